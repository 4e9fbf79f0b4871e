-- Putting reads of the local database right inside a savepoint, to see what the views say without an event; it is
-- always rolled back. Never used on a database that came from DATABASE_URL.

-- name: published_intervals
-- The intervals published between two times, with their lengths.
SELECT DISTINCT read_at, interval_minutes FROM public.feeder_supply
WHERE tenant_id = :tenant_id AND read_at > :after AND read_at <= :until
ORDER BY read_at

-- name: change_reads
UPDATE public.meter_reads_electric r
SET kwh = n.kwh, voltage = n.voltage
FROM unnest(CAST(:meters AS text[]), CAST(:times AS timestamptz[]), CAST(:kwh AS numeric[]), CAST(:volts AS numeric[]))
  AS n(meter_id, read_at, kwh, voltage)
WHERE r.tenant_id = :tenant_id AND r.meter_id = n.meter_id AND r.read_at = n.read_at

-- name: add_reads
INSERT INTO public.meter_reads_electric (tenant_id, meter_id, feeder_id, read_at, kwh, voltage)
SELECT :tenant_id, n.meter_id, n.feeder_id, n.read_at, n.kwh, n.voltage
FROM unnest(CAST(:meters AS text[]), CAST(:feeders AS text[]), CAST(:times AS timestamptz[]), CAST(:kwh AS numeric[]),
            CAST(:volts AS numeric[])) AS n(meter_id, feeder_id, read_at, kwh, voltage)
ON CONFLICT DO NOTHING

-- name: remove_reads
DELETE FROM public.meter_reads_electric r
USING unnest(CAST(:meters AS text[]), CAST(:times AS timestamptz[])) AS n(meter_id, read_at)
WHERE r.tenant_id = :tenant_id AND r.meter_id = n.meter_id AND r.read_at = n.read_at
