-- name: lock_tenant
-- Held to the end of the transaction: one cycle at a time for a tenant, across processes.
SELECT pg_advisory_xact_lock(hashtextextended('gridlens publish ' || :tenant_id, 0))

-- name: try_lock_auto
-- Held by the session of the one process that publishes for the tenant on a timer.
SELECT pg_try_advisory_lock(hashtextextended('gridlens auto ' || :tenant_id, 0))

-- name: unlock_auto
SELECT pg_advisory_unlock(hashtextextended('gridlens auto ' || :tenant_id, 0))

-- name: try_lock_auto_pooled
-- Behind a pooler in transaction mode only a transaction keeps its server session, so one is left open to hold this.
SELECT pg_try_advisory_xact_lock(hashtextextended('gridlens auto ' || :tenant_id, 0))

-- name: holds_lock_auto
-- Whether this session still holds it: a pooler may have put another in its place.
SELECT EXISTS (
  SELECT 1 FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid = pg_catalog.pg_backend_pid()
    AND (classid::bigint << 32) + objid::bigint = hashtextextended('gridlens auto ' || :tenant_id, 0)
)

-- name: auto_is_locked
-- A 64-bit advisory key stands in pg_locks as two halves.
SELECT EXISTS (
  SELECT 1 FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) + objid::bigint = hashtextextended('gridlens auto ' || :tenant_id, 0)
)

-- name: feeder_intervals
-- The local database's energy balance by feeder and interval, oldest first. Where too few reads came for a balance, all
-- that was supplied and not recorded is unread, and none of it is a loss.
SELECT feeder_id, read_at, supplied_kwh::float8 AS supplied_kwh, recorded_kwh::float8 AS metered_kwh,
       (CASE WHEN complete THEN unread_kwh ELSE supplied_kwh - recorded_kwh END)::float8 AS unread_kwh,
       complete, reads::int AS reads, meters_due, out_of_range::int AS out_of_range
FROM public.v_feeder_interval
WHERE tenant_id = :tenant_id AND day BETWEEN :first_day AND :last_day AND read_at > :after AND read_at <= :until
ORDER BY read_at, feeder_id

-- name: meter_expected
-- The local estimation's view of one meter: what it recorded, and its own habit scaled to what its feeder got.
SELECT i.read_at, m.kwh::float8 AS recorded_kwh,
       x.mean_kw[i.hour + 1] / nullif(t.mean_kw, 0) * i.supplied_kwh::float8 AS expected_kwh
FROM public.meters g
JOIN public.v_feeder_interval i ON i.tenant_id = g.tenant_id AND i.feeder_id = g.feeder_id
JOIN public.meter_expectation x
  ON x.tenant_id = i.tenant_id AND x.day = i.day AND x.feeder_id = i.feeder_id AND x.meter_id = g.meter_id
 AND x.mean_kw[i.hour + 1] IS NOT NULL
JOIN public.feeder_hour_expectation t
  ON t.tenant_id = i.tenant_id AND t.day = i.day AND t.feeder_id = i.feeder_id AND t.hour = i.hour
LEFT JOIN public.meter_reads_electric m
  ON m.tenant_id = i.tenant_id AND m.meter_id = g.meter_id AND m.read_at = i.read_at
WHERE g.tenant_id = :tenant_id AND g.meter_id = :meter_id AND i.day BETWEEN :first_day AND :last_day
  AND i.read_at > :after
ORDER BY i.read_at
