-- name: lock_tenant
-- Held to the end of the transaction: one cycle at a time for a tenant, across processes.
SELECT pg_advisory_xact_lock(hashtextextended('gridlens publish ' || :tenant_id, 0))

-- name: try_lock_auto
-- Held by the session of the one process that publishes for the tenant on a timer.
SELECT pg_try_advisory_lock(hashtextextended('gridlens auto ' || :tenant_id, 0))

-- name: auto_is_locked
-- A 64-bit advisory key stands in pg_locks as two halves.
SELECT EXISTS (
  SELECT 1 FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) + objid::bigint = hashtextextended('gridlens auto ' || :tenant_id, 0)
)

-- name: interval_energy
-- The local database's energy balance, one row an interval of all complete feeders, newest first.
SELECT read_at,
       sum(supplied_kwh) AS supplied_kwh,
       sum(recorded_kwh) AS metered_kwh,
       sum(supplied_kwh) FILTER (WHERE complete) AS balanced_supplied_kwh,
       sum(recorded_kwh + unread_kwh) FILTER (WHERE complete) AS balanced_metered_kwh,
       sum(reads) AS reads, sum(meters_due) AS reads_due, sum(out_of_range) AS out_of_range
FROM public.v_feeder_interval
WHERE tenant_id = :tenant_id AND day BETWEEN :first_day AND :last_day AND read_at > :after
GROUP BY read_at
ORDER BY read_at

-- name: feeder_now
-- The balance of each feeder in its latest interval.
SELECT feeder_id, read_at, supplied_kwh, recorded_kwh, unread_kwh, complete, reads, meters_due,
       out_of_range, low_voltage
FROM public.v_feeder_interval
WHERE tenant_id = :tenant_id AND day = :day AND read_at = :read_at
