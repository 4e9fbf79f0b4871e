-- name: baseline_marks
SELECT obj_description(to_regclass('public.v_kpi_electric_overview_daily')) AS views,
       obj_description(to_regclass('public.feeder_interval_reads')) AS rollups,
       obj_description(to_regclass('public.feeder_supply')) AS timezone

-- name: register_meters
INSERT INTO public.meters (tenant_id, meter_id, feeder_id, position)
SELECT :tenant_id, m.meter_id, m.feeder_id, m.position
FROM unnest(CAST(:meter_ids AS text[]), CAST(:feeder_ids AS text[]))
  WITH ORDINALITY AS m(meter_id, feeder_id, position)
ON CONFLICT DO NOTHING

-- name: registered_meters
SELECT meter_id, feeder_id FROM public.meters WHERE tenant_id = :tenant_id ORDER BY position

-- name: has_reads
SELECT EXISTS (
  SELECT 1 FROM public.meter_reads_electric WHERE tenant_id = :tenant_id AND read_at > :start AND read_at <= :end
)

-- name: insert_supply
INSERT INTO public.feeder_supply (tenant_id, feeder_id, read_at, interval_minutes, supplied_kwh, meters_due)
SELECT :tenant_id, s.feeder_id, s.read_at, :interval_minutes, s.supplied_wh / 1000.0, s.meters_due
FROM unnest(CAST(:feeder_ids AS text[]), CAST(:read_times AS timestamptz[]), CAST(:supplied_wh AS bigint[]),
            CAST(:meters_due AS integer[])) AS s(feeder_id, read_at, supplied_wh, meters_due)
ON CONFLICT DO NOTHING

-- name: latest_supply
-- From feeder to feeder down the primary key, where max() would read it all.
WITH RECURSIVE hop AS (
  (SELECT feeder_id, read_at FROM public.feeder_supply WHERE tenant_id = :tenant_id
   ORDER BY feeder_id DESC, read_at DESC LIMIT 1)
  UNION ALL
  SELECT n.* FROM hop CROSS JOIN LATERAL (
    SELECT feeder_id, read_at FROM public.feeder_supply s
    WHERE s.tenant_id = :tenant_id AND s.feeder_id < hop.feeder_id
    ORDER BY feeder_id DESC, read_at DESC LIMIT 1) n
)
SELECT max(read_at) FROM hop

-- name: voltage_limits
SELECT low_v, high_v FROM public.local_thresholds

-- name: holes
-- What lies between two intervals of the supply that do not follow each other, oldest first.
SELECT before AS starts_at, start AS ends_at
FROM (
  SELECT read_at - make_interval(mins => interval_minutes) AS start, lag(read_at) OVER (ORDER BY read_at) AS before
  FROM public.feeder_supply
  WHERE tenant_id = :tenant_id AND feeder_id = (
    SELECT feeder_id FROM public.feeder_supply WHERE tenant_id = :tenant_id ORDER BY feeder_id LIMIT 1)
) i
WHERE start > before
ORDER BY before

-- name: is_learned
SELECT EXISTS (SELECT 1 FROM public.feeder_hour_expectation WHERE tenant_id = :tenant_id AND day = :day)

-- name: feeders_to_learn
-- With their number of meters, those that were supplied in the four weeks before :day and of which nothing is expected
-- on it; of all where :feeder_ids is null. From feeder to feeder down the primary key, as for the latest supply.
WITH RECURSIVE hop AS (
  (SELECT feeder_id FROM public.feeder_supply WHERE tenant_id = :tenant_id ORDER BY feeder_id LIMIT 1)
  UNION ALL
  SELECT n.* FROM hop CROSS JOIN LATERAL (
    SELECT feeder_id FROM public.feeder_supply s
    WHERE s.tenant_id = :tenant_id AND s.feeder_id > hop.feeder_id
    ORDER BY feeder_id LIMIT 1) n
), unlearned AS MATERIALIZED (
  SELECT feeder_id FROM hop
  WHERE (CAST(:feeder_ids AS text[]) IS NULL OR feeder_id = ANY(:feeder_ids)) AND NOT EXISTS (
    SELECT 1 FROM public.feeder_hour_expectation e
    WHERE e.tenant_id = :tenant_id AND e.day = :day AND e.feeder_id = hop.feeder_id)
)
SELECT u.feeder_id, latest.meters_due AS meters
FROM unlearned u
CROSS JOIN LATERAL (
  SELECT s.day, s.meters_due FROM public.feeder_supply s
  WHERE s.tenant_id = :tenant_id AND s.feeder_id = u.feeder_id AND s.day < :day
  ORDER BY s.read_at DESC LIMIT 1
) latest
WHERE latest.day >= CAST(:day AS date) - 28
ORDER BY u.feeder_id

-- name: days_to_sum
-- Days of the four weeks before :day, each with the feeders whose energy to date lacks the day.
SELECT s.day, array_agg(s.feeder_id) AS feeder_ids
FROM (
  SELECT DISTINCT day, feeder_id FROM public.feeder_supply
  WHERE tenant_id = :tenant_id AND day < :day AND day >= CAST(:day AS date) - 28 AND feeder_id = ANY(:feeder_ids)
) s
WHERE NOT EXISTS (
  SELECT 1 FROM public.meter_energy_to_date e
  WHERE e.tenant_id = :tenant_id AND e.feeder_id = s.feeder_id AND e.day = s.day
)
GROUP BY s.day
ORDER BY s.day

-- name: forget_energy_from
-- Days follow each other without a gap: what comes after a day that is to be summed is summed again.
DELETE FROM public.meter_energy_to_date
WHERE tenant_id = :tenant_id AND feeder_id = ANY(:feeder_ids) AND day >= :day

-- name: sum_day
-- The energy to date of the day before, and what the day itself recorded on top of it.
INSERT INTO public.meter_energy_to_date (tenant_id, feeder_id, day, meter_id, hours, kwh, minutes)
SELECT :tenant_id, feeder_id, :day, meter_id,
       array_agg(hour ORDER BY hour), array_agg(kwh ORDER BY hour), array_agg(minutes ORDER BY hour)
FROM (
  SELECT feeder_id, meter_id, hour, sum(kwh) AS kwh, sum(minutes)::bigint AS minutes
  FROM (
    SELECT s.feeder_id, r.meter_id, s.hour, r.kwh, s.interval_minutes AS minutes
    FROM public.feeder_supply s
    JOIN public.meter_reads_electric r
      ON r.tenant_id = s.tenant_id AND r.read_at = s.read_at AND r.feeder_id = s.feeder_id
    WHERE s.tenant_id = :tenant_id AND s.day = :day AND s.feeder_id = ANY(:feeder_ids)
    UNION ALL
    SELECT b.feeder_id, e.meter_id, h.hour, h.kwh, h.minutes
    FROM unnest(CAST(:feeder_ids AS text[])) AS b(feeder_id)
    CROSS JOIN LATERAL (
      SELECT max(d.day) AS day FROM public.meter_energy_to_date d
      WHERE d.tenant_id = :tenant_id AND d.feeder_id = b.feeder_id AND d.day < :day
    ) latest
    JOIN public.meter_energy_to_date e
      ON e.tenant_id = :tenant_id AND e.feeder_id = b.feeder_id AND e.day = latest.day
    CROSS JOIN LATERAL unnest(e.hours, e.kwh, e.minutes) AS h(hour, kwh, minutes)
  ) p
  GROUP BY feeder_id, meter_id, hour
) m
GROUP BY feeder_id, meter_id

-- name: learn_meters
-- Four weeks at the most; the day itself is left out. The energy to date before the day, less that before the weeks.
WITH learned AS (
  INSERT INTO public.meter_expectation (tenant_id, day, feeder_id, meter_id, mean_kw)
  SELECT :tenant_id, :day, feeder_id, meter_id, array_agg(mean_kw ORDER BY hour)
  FROM (
    SELECT feeder_id, meter_id, hour, round(sum(kwh) * 60 / nullif(sum(minutes), 0), 9) AS mean_kw
    FROM (
      SELECT b.feeder_id, e.meter_id, h.hour, w.sign * h.kwh AS kwh, w.sign * h.minutes AS minutes
      FROM unnest(CAST(:feeder_ids AS text[])) AS b(feeder_id)
      CROSS JOIN (VALUES (1, CAST(:day AS date)), (-1, CAST(:day AS date) - 28)) AS w(sign, before)
      CROSS JOIN LATERAL (
        SELECT max(d.day) AS day FROM public.meter_energy_to_date d
        WHERE d.tenant_id = :tenant_id AND d.feeder_id = b.feeder_id AND d.day < w.before
      ) latest
      JOIN public.meter_energy_to_date e
        ON e.tenant_id = :tenant_id AND e.feeder_id = b.feeder_id AND e.day = latest.day
      CROSS JOIN LATERAL (
        SELECT u.hour, u.kwh, u.minutes FROM unnest(e.hours, e.kwh, e.minutes) AS u(hour, kwh, minutes)
        UNION ALL
        SELECT number, 0, 0 FROM generate_series(0, 23) AS number
      ) h
    ) p
    GROUP BY feeder_id, meter_id, hour
  ) hourly
  GROUP BY feeder_id, meter_id
  HAVING count(mean_kw) > 0
  ORDER BY feeder_id, meter_id
  RETURNING feeder_id, mean_kw
)
INSERT INTO public.feeder_hour_expectation (tenant_id, day, feeder_id, hour, meters, mean_kw)
SELECT :tenant_id, :day, l.feeder_id, h.number - 1, count(*), sum(h.mean_kw)
FROM learned l
CROSS JOIN LATERAL unnest(l.mean_kw) WITH ORDINALITY AS h(mean_kw, number)
WHERE h.mean_kw IS NOT NULL
GROUP BY l.feeder_id, h.number

-- name: learn_feeders
-- Loss in conductors grows with the square of the load; intervals that lost more than any feeder's conductors
-- can (6 %, US public power distributors call that suspicious) are left out of the fit. A least-squares line through
-- x = kW^2 and y = lost kW, from exact sums, so that the last digit is the same whatever the order of rows.
INSERT INTO public.feeder_expectation (tenant_id, day, feeder_id, no_load_kw, load_factor)
SELECT :tenant_id, :day, feeder_id,
       coalesce((y * xx - x * xy)::float8 / nullif(n * xx - x * x, 0)::float8, y::float8 / n),
       coalesce((n * xy - x * y)::float8 / nullif(n * xx - x * x, 0)::float8, 0)
FROM (
  SELECT feeder_id, count(*) AS n, sum(kw * kw) AS x, sum(loss_kw) AS y, sum(kw * kw * kw * kw) AS xx,
         sum(kw * kw * loss_kw) AS xy
  FROM (
    SELECT feeder_id, supplied_kwh * (60 / interval_minutes) AS kw,
           (supplied_kwh - recorded_kwh) * (60 / interval_minutes) AS loss_kw
    FROM public.v_feeder_interval
    WHERE tenant_id = :tenant_id AND day < :day AND day >= CAST(:day AS date) - 28 AND feeder_id = ANY(:feeder_ids)
      AND reads = meters_due AND supplied_kwh > 0 AND supplied_kwh - recorded_kwh <= 0.06 * supplied_kwh
  ) i
  GROUP BY feeder_id
) s

-- name: expect_reads
-- The day's reads that are there already, beside the day's new expectations.
UPDATE public.feeder_interval_reads f SET expected_reads = e.reads, expected_kw = e.mean_kw
FROM (
  SELECT i.feeder_id, i.read_at, count(x.mean_kw[i.hour + 1]) AS reads,
         coalesce(sum(x.mean_kw[i.hour + 1]), 0) AS mean_kw
  FROM (SELECT *, public.local_hour(read_at) AS hour FROM public.feeder_interval_reads) i
  JOIN public.meter_reads_electric m
    ON m.tenant_id = i.tenant_id AND m.read_at = i.read_at AND m.feeder_id = i.feeder_id
  LEFT JOIN public.meter_expectation x
    ON x.tenant_id = i.tenant_id AND x.day = i.day AND x.feeder_id = i.feeder_id AND x.meter_id = m.meter_id
  WHERE i.tenant_id = :tenant_id AND i.day = :day AND i.feeder_id = ANY(:feeder_ids)
  GROUP BY i.feeder_id, i.read_at
) e
WHERE f.tenant_id = :tenant_id AND f.day = :day AND f.feeder_id = e.feeder_id AND f.read_at = e.read_at

-- name: forget_meter_expectations
DELETE FROM public.meter_expectation WHERE tenant_id = :tenant_id AND day = :day AND feeder_id = ANY(:feeder_ids)

-- name: forget_feeder_hour_expectations
DELETE FROM public.feeder_hour_expectation WHERE tenant_id = :tenant_id AND day = :day AND feeder_id = ANY(:feeder_ids)

-- name: forget_feeder_expectations
DELETE FROM public.feeder_expectation WHERE tenant_id = :tenant_id AND day = :day AND feeder_id = ANY(:feeder_ids)

-- name: forget_reads_after
DELETE FROM public.meter_reads_electric WHERE tenant_id = :tenant_id AND read_at > :moment

-- name: forget_supply_after
DELETE FROM public.feeder_supply WHERE tenant_id = :tenant_id AND read_at > :moment

-- name: forget_meter_expectations_after
DELETE FROM public.meter_expectation WHERE tenant_id = :tenant_id AND day > :day

-- name: forget_feeder_hour_expectations_after
DELETE FROM public.feeder_hour_expectation WHERE tenant_id = :tenant_id AND day > :day

-- name: forget_feeder_expectations_after
DELETE FROM public.feeder_expectation WHERE tenant_id = :tenant_id AND day > :day
