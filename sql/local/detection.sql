-- The detection job of the local database: it sees reads and supply alone, after each publish cycle, and writes what it
-- found as of the day's latest interval. What it finds follows from what is stored, whenever it is asked.

-- name: forget_findings
-- Those as of the day's latest interval, of some feeders or (null) of all.
DELETE FROM public.detection_findings
WHERE tenant_id = :tenant_id AND day = :day
  AND (CAST(:feeder_ids AS text[]) IS NULL OR feeder_id = ANY(:feeder_ids))
  AND read_at = (SELECT max(read_at) FROM public.feeder_supply WHERE tenant_id = :tenant_id AND day = :day)

-- name: balances
-- The day's latest so many intervals of feeders of which a technical loss was learned.
SELECT i.feeder_id, i.read_at, i.hour, i.complete, i.interval_minutes, i.supplied_kwh::float8 AS supplied_kwh,
       i.recorded_kwh::float8 AS recorded_kwh, i.unread_kwh::float8 AS unread_kwh, e.no_load_kw, e.load_factor
FROM public.v_feeder_interval i
JOIN public.feeder_expectation e ON e.tenant_id = i.tenant_id AND e.day = i.day AND e.feeder_id = i.feeder_id
WHERE i.tenant_id = :tenant_id AND i.day = :day
  AND (CAST(:feeder_ids AS text[]) IS NULL OR i.feeder_id = ANY(:feeder_ids))
  AND i.read_at >= (
    SELECT min(read_at) FROM (
      SELECT DISTINCT read_at FROM public.feeder_supply
      WHERE tenant_id = :tenant_id AND day = :day
      ORDER BY read_at DESC LIMIT :latest
    ) l
  )
ORDER BY i.feeder_id, i.read_at

-- name: reads_of_day
-- A meter's reads in a row: ends and energies, each as the bytes of its numbers one after the other.
SELECT m.meter_id, string_agg(int8send(extract(epoch FROM m.read_at)::bigint), CAST('' AS bytea)) AS ends,
       string_agg(float8send(m.kwh::float8), CAST('' AS bytea)) AS kwh
FROM public.feeder_supply s
JOIN public.meter_reads_electric m
  ON m.tenant_id = s.tenant_id AND m.read_at = s.read_at AND m.feeder_id = s.feeder_id
WHERE s.tenant_id = :tenant_id AND s.day = :day AND s.feeder_id = :feeder_id
GROUP BY m.meter_id

-- name: expected_of_day
SELECT meter_id, mean_kw::float8[] AS mean_kw FROM public.meter_expectation
WHERE tenant_id = :tenant_id AND day = :day AND feeder_id = :feeder_id

-- name: write_findings
INSERT INTO public.detection_findings (tenant_id, day, read_at, feeder_id, meter_id, confidence, evidence)
SELECT :tenant_id, :day, l.read_at, f.feeder_id, f.meter_id, f.confidence, f.evidence
FROM unnest(CAST(:feeders AS text[]), CAST(:meters AS text[]), CAST(:confidences AS numeric[]),
            CAST(:evidences AS text[])) AS f(feeder_id, meter_id, confidence, evidence)
CROSS JOIN (
  SELECT max(read_at) AS read_at FROM public.feeder_supply WHERE tenant_id = :tenant_id AND day = :day
) l

-- name: forget_findings_after
DELETE FROM public.detection_findings WHERE tenant_id = :tenant_id AND (day > :day OR read_at > :moment)
