-- The four KPI views of the local database and what they stand on. They never call now() and never look at
-- ami_events. Limits are those of public.local_thresholds (thresholds.sql).

-- name: drop_views
DROP VIEW IF EXISTS public.v_kpi_fieldops_daily, public.v_kpi_suspicious_meters_daily,
  public.v_kpi_electric_overview_daily, public.v_kpi_electric_feeder_loss_daily, public.v_feeder_balance,
  public.v_feeder_interval, public.local_thresholds;

-- name: views
-- One row a feeder and interval. The few reads that are missing of a complete interval are estimated at what those
-- meters usually use of their feeder's energy at that hour (on the first day, at their number), and that unread
-- energy is never counted as loss.
CREATE VIEW public.v_feeder_interval AS
SELECT i.tenant_id, i.day, i.feeder_id, i.read_at, i.hour, i.interval_minutes, i.meters_due,
       i.supplied_kwh, i.reads, i.recorded_kwh, i.out_of_range, i.low_voltage,
       i.reads >= l.complete_share * i.meters_due AS complete,
       CASE WHEN i.missing_share = 0 THEN 0.000000
            ELSE round(i.recorded_kwh * (i.missing_share / nullif(1 - i.missing_share, 0))::numeric, 6) END AS unread_kwh,
       i.missing_share
FROM (
  SELECT s.tenant_id, s.day, s.feeder_id, s.read_at, s.hour, s.interval_minutes, s.meters_due, s.supplied_kwh,
         coalesce(r.reads, 0)::bigint AS reads,
         coalesce(r.recorded_kwh, 0) AS recorded_kwh,
         coalesce(r.out_of_range, 0)::bigint AS out_of_range,
         coalesce(r.low_voltage, 0)::bigint AS low_voltage,
         CASE WHEN coalesce(r.reads, 0) = s.meters_due THEN 0
              WHEN x.meters > coalesce(r.expected_reads, 0) AND x.mean_kw > 0
              THEN 1 - coalesce(r.expected_kw, 0)::float8 / x.mean_kw::float8
              ELSE 1 - coalesce(r.reads, 0)::float8 / nullif(s.meters_due, 0) END AS missing_share
  FROM public.feeder_supply s
  LEFT JOIN public.feeder_interval_reads r
    ON r.tenant_id = s.tenant_id AND r.day = s.day AND r.feeder_id = s.feeder_id AND r.read_at = s.read_at
  LEFT JOIN public.feeder_hour_expectation x
    ON x.tenant_id = s.tenant_id AND x.day = s.day AND x.feeder_id = s.feeder_id AND x.hour = s.hour
) i
CROSS JOIN public.local_thresholds l;

CREATE VIEW public.v_kpi_electric_feeder_loss_daily AS
SELECT tenant_id, day, feeder_id, feeder_id AS feeder,
       round(supplied_kwh - metered_kwh, 3) AS loss_kwh,
       round((supplied_kwh - metered_kwh) / nullif(supplied_kwh, 0), 6) AS loss_percent,
       supplied_kwh, metered_kwh, read_success_pct, last_read_at
FROM (
  SELECT tenant_id, day, feeder_id,
         coalesce(sum(supplied_kwh) FILTER (WHERE complete), 0) AS supplied_kwh,
         coalesce(sum(recorded_kwh + unread_kwh) FILTER (WHERE complete), 0) AS metered_kwh,
         round(100.0 * sum(reads) / nullif(sum(meters_due), 0), 3) AS read_success_pct,
         max(read_at) AS last_read_at
  FROM public.v_feeder_interval
  GROUP BY tenant_id, day, feeder_id
) f;

CREATE VIEW public.v_kpi_electric_overview_daily AS
SELECT tenant_id, day,
       sum(supplied_kwh - metered_kwh) AS total_loss_kwh,
       round(100.0 * sum(supplied_kwh - metered_kwh) / nullif(sum(supplied_kwh), 0), 4) AS loss_percent_pct,
       (array_agg(feeder_id ORDER BY supplied_kwh - metered_kwh DESC, feeder_id))[1:3] AS top_loss_feeders,
       max(last_read_at) AS last_updated,
       sum(supplied_kwh) AS supplied_kwh,
       sum(metered_kwh) AS metered_kwh,
       round(100.0 * sum(reads) / nullif(sum(due), 0), 3) AS read_success_pct,
       round(100.0 * sum(in_range) / nullif(sum(reads), 0), 3) AS voltage_compliance_pct,
       sum(meters_reporting)::integer AS meters_reporting
FROM (
  SELECT tenant_id, day, feeder_id,
         coalesce(sum(supplied_kwh) FILTER (WHERE complete), 0) AS supplied_kwh,
         coalesce(sum(recorded_kwh + unread_kwh) FILTER (WHERE complete), 0) AS metered_kwh,
         sum(reads) AS reads, sum(meters_due) AS due, sum(reads - out_of_range) AS in_range,
         (array_agg(reads ORDER BY read_at DESC))[1] AS meters_reporting,
         max(read_at) AS last_read_at
  FROM public.v_feeder_interval
  GROUP BY tenant_id, day, feeder_id
) f
GROUP BY tenant_id, day;

-- The latest intervals of each feeder's day, as far back as evidence goes: what its conductors do not explain of its
-- loss, and whether that is too much. age: 1 is the day's latest. However long the day, no more than these are read.
CREATE VIEW public.v_feeder_balance AS
SELECT b.*,
       b.complete AND b.unexplained_kwh
         > greatest(abs(b.supplied_kwh::float8), l.least_load_per_no_load * b.no_load_kwh)
           * (l.lossy_share + l.lossy_per_missing_share * abs(b.missing_share)) AS lossy
FROM (
  SELECT i.*, a.age, e.no_load_kw * i.interval_minutes / 60 AS no_load_kwh,
         i.recorded_kwh::float8 + i.unread_kwh::float8 AS delivered_kwh,
         i.supplied_kwh::float8 - i.recorded_kwh::float8 - i.unread_kwh::float8
           - e.no_load_kw * i.interval_minutes / 60
           - e.load_factor * i.supplied_kwh::float8 ^ 2 * 60 / i.interval_minutes AS unexplained_kwh
  FROM (SELECT tenant_id, day, feeder_id FROM public.feeder_supply GROUP BY tenant_id, day, feeder_id) f
  CROSS JOIN public.local_thresholds l
  CROSS JOIN LATERAL (
    SELECT s.read_at, row_number() OVER (ORDER BY s.read_at DESC) AS age
    FROM public.feeder_supply s
    WHERE s.tenant_id = f.tenant_id AND s.day = f.day AND s.feeder_id = f.feeder_id
    ORDER BY s.read_at DESC
    LIMIT l.evidence_intervals
  ) a
  JOIN public.v_feeder_interval i
    ON i.tenant_id = f.tenant_id AND i.day = f.day AND i.feeder_id = f.feeder_id AND i.read_at = a.read_at
  LEFT JOIN public.feeder_expectation e
    ON e.tenant_id = i.tenant_id AND e.day = i.day AND e.feeder_id = i.feeder_id
) b
CROSS JOIN public.local_thresholds l;

-- Meters named as of a day's last intervals; a name goes when the feeder's balance closes again.
-- CONSUMPTION_DROP, where a feeder lost more than its conductors explain (a drop without loss on the feeder is an
-- empty home). Expected is a meter's own habit, scaled to what the substation delivered.
--   silence: meters that record nothing explain at least half of it;
--   pattern: else it follows one meter's own load so closely that it must be that meter's;
--   balance: else meters from the deepest drop on, until their shortfall explains the unexplained loss.
-- VOLTAGE_LOW: under the limit twice in a row, or once together with a tenth of the feeder.
-- Only reads of feeders that are lossy or low now are looked at, and of no more than the latest evidence_intervals.
CREATE VIEW public.v_kpi_suspicious_meters_daily AS
WITH feeder AS (
  -- how each feeder stands at the end of its day
  SELECT tenant_id, day, feeder_id,
         min(age) FILTER (WHERE lossy) AS last_lossy,
         max(age) FILTER (WHERE lossy) AS first_lossy,
         bool_or(low_voltage > 0) FILTER (WHERE age = 1) AS low_now,
         array_agg(b ORDER BY age) AS latest
  FROM public.v_feeder_balance b
  GROUP BY tenant_id, day, feeder_id
)
SELECT f.tenant_id, f.day, n.meter_id, n.issue, f.feeder_id, n.evidence, n.recorded_kwh, n.expected_kwh
FROM feeder f
CROSS JOIN public.local_thresholds l
CROSS JOIN LATERAL (
  WITH interval AS (
    -- the feeder's intervals since its first lossy one
    SELECT b.read_at, b.hour, b.age, b.lossy, b.unexplained_kwh, b.delivered_kwh + b.unexplained_kwh AS to_meters_kwh,
           x.mean_kw::float8 AS feeder_mean_kw
    FROM unnest(f.latest) b
    JOIN public.feeder_hour_expectation x
      ON x.tenant_id = f.tenant_id AND x.day = f.day AND x.feeder_id = f.feeder_id AND x.hour = b.hour
    WHERE f.last_lossy <= l.named_intervals AND b.age <= f.first_lossy AND b.complete
  ), meter AS (
    -- each meter's energy beside what was expected of it; added up in order of time, so that no digit hangs on the plan
    SELECT m.meter_id,
           count(*) FILTER (WHERE i.lossy) AS intervals,
           sum(m.kwh) FILTER (WHERE i.lossy) AS recorded_kwh,
           round((sum(x.mean_kw[i.hour + 1]::float8 / nullif(i.feeder_mean_kw, 0) * i.to_meters_kwh ORDER BY i.age)
             FILTER (WHERE i.lossy))::numeric, 6) AS expected_kwh,
           round((sum(i.unexplained_kwh ORDER BY i.age) FILTER (WHERE i.lossy))::numeric, 6) AS unexplained_kwh,
           count(*) AS seen,
           corr(i.unexplained_kwh, m.kwh::float8 ORDER BY i.age) AS likeness,
           corr(i.unexplained_kwh, m.kwh::float8 ORDER BY i.age) FILTER (WHERE i.lossy) AS likeness_while_lossy,
           regr_slope(i.unexplained_kwh, m.kwh::float8 ORDER BY i.age) * sum(m.kwh)::float8
             / nullif(sum(i.unexplained_kwh ORDER BY i.age), 0) AS explains
    FROM interval i
    JOIN public.meter_reads_electric m
      ON m.tenant_id = f.tenant_id AND m.read_at = i.read_at AND m.feeder_id = f.feeder_id
    JOIN public.meter_expectation x
      ON x.tenant_id = f.tenant_id AND x.day = f.day AND x.feeder_id = f.feeder_id AND x.meter_id = m.meter_id
     AND x.mean_kw[i.hour + 1] IS NOT NULL
    GROUP BY m.meter_id
  ), ranked AS (
    -- which rule would name the meter
    SELECT meter.*,
           likeness > (CASE seen WHEN 4 THEN l.likeness_of_4 WHEN 5 THEN l.likeness_of_5 ELSE l.likeness_of_more END)
             AND seen >= l.pattern_intervals
             AND explains BETWEEN l.explains_least AND l.explains_most
             -- the end of a feeder's theft is a step, which one of 40 loads follows by chance
             AND (f.last_lossy = 1 OR intervals >= l.pattern_intervals AND likeness_while_lossy > l.likeness_of_more)
             AND likeness = max(likeness) OVER () AS by_pattern,
           coalesce(sum(expected_kwh) FILTER (WHERE recorded_kwh = 0) OVER (), 0)
             >= l.silence_share * unexplained_kwh AS silence_explains,
           coalesce(sum(greatest(expected_kwh - recorded_kwh, 0)) OVER (
             ORDER BY recorded_kwh / nullif(expected_kwh, 0), meter_id
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS explained_before_kwh
    FROM meter
  ), drop AS (
    SELECT ranked.*, bool_or(by_pattern) OVER () AS pattern_found FROM ranked
  ), low AS (
    -- reads under the limit in the latest two intervals
    SELECT m.meter_id, min(m.voltage) AS lowest, count(*) AS intervals,
           bool_or(b.age = 1) AND (count(*) = l.low_intervals
             OR bool_or(b.age = 1 AND b.low_voltage >= l.low_share * b.meters_due)) AS named
    FROM unnest(f.latest) b
    JOIN public.meter_reads_electric m
      ON m.tenant_id = f.tenant_id AND m.read_at = b.read_at AND m.feeder_id = f.feeder_id AND m.voltage < l.low_v
    WHERE f.low_now AND b.age <= l.low_intervals AND b.low_voltage > 0
    GROUP BY m.meter_id
  )
  SELECT meter_id, 'CONSUMPTION_DROP' AS issue,
         CASE WHEN by_pattern
              THEN format('the unexplained loss of %s follows this meter''s own load in %s intervals (correlation %s)',
                          f.feeder_id, seen, round(likeness::numeric, 2))
              ELSE format('recorded %s of %s kWh expected in %s intervals with unexplained loss on %s',
                          round(recorded_kwh, 2), round(expected_kwh, 2), intervals, f.feeder_id)
         END AS evidence,
         round(recorded_kwh, 3) AS recorded_kwh, round(expected_kwh, 3) AS expected_kwh
  FROM drop
  WHERE CASE WHEN silence_explains AND f.last_lossy <= l.drop_intervals THEN recorded_kwh = 0
             WHEN pattern_found THEN by_pattern
             WHEN f.last_lossy > l.drop_intervals THEN false
             ELSE recorded_kwh / nullif(expected_kwh, 0) < l.drop_ratio AND explained_before_kwh < unexplained_kwh END
  UNION ALL
  SELECT meter_id, 'VOLTAGE_LOW',
         format('%s V in the latest %s interval(s), under %s V', lowest, intervals, l.low_v), NULL, NULL
  FROM low WHERE named
) n;

-- One task is one dispatch: a crew is sent to a feeder for a kind of work, not to each of its meters.
CREATE VIEW public.v_kpi_fieldops_daily AS
WITH silent AS (
  -- whether a feeder's latest interval misses many reads
  SELECT tenant_id, day, feeder_id,
         meters_due - reads >= greatest(l.silent_meters, l.silent_share * meters_due) AS silent
  FROM public.v_feeder_balance CROSS JOIN public.local_thresholds l
  WHERE age = 1
), comms AS (
  SELECT tenant_id, day, count(*) FILTER (WHERE silent)::integer AS tasks
  FROM silent GROUP BY tenant_id, day
), named AS (
  SELECT tenant_id, day,
         count(DISTINCT feeder_id) FILTER (WHERE issue = 'VOLTAGE_LOW')::integer AS power_quality,
         count(DISTINCT feeder_id) FILTER (WHERE issue = 'CONSUMPTION_DROP')::integer AS revenue
  FROM public.v_kpi_suspicious_meters_daily GROUP BY tenant_id, day
)
SELECT c.tenant_id, c.day,
       coalesce(n.power_quality, 0) + coalesce(n.revenue, 0) + c.tasks AS open_tasks,
       coalesce(n.power_quality, 0) AS power_quality_tasks,
       coalesce(n.revenue, 0) AS revenue_or_meter_tasks,
       c.tasks AS comms_tasks
FROM comms c LEFT JOIN named n ON n.tenant_id = c.tenant_id AND n.day = c.day;
