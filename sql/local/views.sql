-- The four KPI views of the local database and what they stand on. They never call now() and never look at
-- ami_events. Limits are those of public.local_thresholds (thresholds.sql).

-- name: drop_views
-- An earlier version had v_feeder_balance.
DROP VIEW IF EXISTS public.v_kpi_fieldops_daily, public.v_kpi_suspicious_meters_daily,
  public.v_kpi_electric_overview_daily, public.v_kpi_electric_feeder_loss_daily, public.v_feeder_balance,
  public.v_feeder_latest, public.v_feeder_interval, public.local_thresholds;

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

-- evidence: why the detection job suspects a theft on the feeder as of the day's last interval.
CREATE VIEW public.v_kpi_electric_feeder_loss_daily AS
SELECT f.tenant_id, f.day, f.feeder_id, f.feeder_id AS feeder,
       round(supplied_kwh - metered_kwh, 3) AS loss_kwh,
       round((supplied_kwh - metered_kwh) / nullif(supplied_kwh, 0), 6) AS loss_percent,
       supplied_kwh, metered_kwh, read_success_pct, last_read_at, d.evidence
FROM (
  SELECT tenant_id, day, feeder_id,
         coalesce(sum(supplied_kwh) FILTER (WHERE complete), 0) AS supplied_kwh,
         coalesce(sum(recorded_kwh + unread_kwh) FILTER (WHERE complete), 0) AS metered_kwh,
         round(100.0 * sum(reads) / nullif(sum(meters_due), 0), 3) AS read_success_pct,
         max(read_at) AS last_read_at
  FROM public.v_feeder_interval
  GROUP BY tenant_id, day, feeder_id
) f
LEFT JOIN public.detection_findings d
  ON d.tenant_id = f.tenant_id AND d.day = f.day AND d.read_at = f.last_read_at AND d.feeder_id = f.feeder_id
 AND d.meter_id IS NULL;

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

-- The latest intervals of each feeder's day. age: 1 is the day's last. However long the day, no more than these are read.
CREATE VIEW public.v_feeder_latest AS
SELECT i.*, a.age
FROM (SELECT tenant_id, day, feeder_id FROM public.feeder_supply GROUP BY tenant_id, day, feeder_id) f
CROSS JOIN public.local_thresholds l
CROSS JOIN LATERAL (
  SELECT s.read_at, row_number() OVER (ORDER BY s.read_at DESC) AS age
  FROM public.feeder_supply s
  WHERE s.tenant_id = f.tenant_id AND s.day = f.day AND s.feeder_id = f.feeder_id
  ORDER BY s.read_at DESC
  LIMIT l.low_intervals
) a
JOIN public.v_feeder_interval i
  ON i.tenant_id = f.tenant_id AND i.day = f.day AND i.feeder_id = f.feeder_id AND i.read_at = a.read_at;

-- Meters named as of a day's last interval.
-- CONSUMPTION_DROP: by the detection job (detection.sql), which says why and how sure it is.
-- VOLTAGE_LOW: under the limit twice in a row, or once together with a tenth of the feeder.
CREATE VIEW public.v_kpi_suspicious_meters_daily AS
WITH feeder AS (
  -- how each feeder stands at the end of its day
  SELECT tenant_id, day, feeder_id, max(read_at) AS read_at,
         bool_or(low_voltage > 0) FILTER (WHERE age = 1) AS low_now,
         array_agg(b ORDER BY age) AS latest
  FROM public.v_feeder_latest b
  GROUP BY tenant_id, day, feeder_id
)
SELECT f.tenant_id, f.day, n.meter_id, n.issue, f.feeder_id, n.evidence, n.confidence
FROM feeder f
CROSS JOIN public.local_thresholds l
CROSS JOIN LATERAL (
  WITH low AS (
    -- reads under the limit in the latest two intervals
    SELECT m.meter_id, min(m.voltage) AS lowest, count(*) AS intervals,
           bool_or(b.age = 1) AND (count(*) = l.low_intervals
             OR bool_or(b.age = 1 AND b.low_voltage >= l.low_share * b.meters_due)) AS named
    FROM unnest(f.latest) b
    JOIN public.meter_reads_electric m
      ON m.tenant_id = f.tenant_id AND m.read_at = b.read_at AND m.feeder_id = f.feeder_id AND m.voltage < l.low_v
    WHERE f.low_now AND b.low_voltage > 0
    GROUP BY m.meter_id
  )
  SELECT meter_id, 'CONSUMPTION_DROP' AS issue,
         format('%s; confidence %s %%', evidence, round(100 * confidence)) AS evidence, confidence
  FROM public.detection_findings d
  WHERE d.tenant_id = f.tenant_id AND d.day = f.day AND d.read_at = f.read_at AND d.feeder_id = f.feeder_id
    AND d.meter_id IS NOT NULL
  UNION ALL
  SELECT meter_id, 'VOLTAGE_LOW',
         format('%s V in the latest %s interval(s), under %s V', lowest, intervals, l.low_v), NULL
  FROM low WHERE named
) n;

-- One task is one dispatch: a crew is sent to a feeder for a kind of work, not to each of its meters.
-- A crew for revenue goes to a feeder on which a theft is suspected, also before its meters can be named.
CREATE VIEW public.v_kpi_fieldops_daily AS
WITH latest AS (
  -- how each feeder stands: whether many reads are missing, and whether a theft is suspected
  SELECT i.tenant_id, i.day, i.feeder_id,
         i.meters_due - i.reads >= greatest(l.silent_meters, l.silent_share * i.meters_due) AS silent,
         EXISTS (
           SELECT FROM public.detection_findings d
           WHERE d.tenant_id = i.tenant_id AND d.day = i.day AND d.read_at = i.read_at AND d.feeder_id = i.feeder_id
         ) AS suspected
  FROM public.v_feeder_latest i CROSS JOIN public.local_thresholds l
  WHERE i.age = 1
), tasks AS (
  SELECT tenant_id, day, count(*) FILTER (WHERE silent)::integer AS comms,
         count(*) FILTER (WHERE suspected)::integer AS revenue
  FROM latest GROUP BY tenant_id, day
), low AS (
  SELECT tenant_id, day, count(DISTINCT feeder_id)::integer AS power_quality
  FROM public.v_kpi_suspicious_meters_daily WHERE issue = 'VOLTAGE_LOW' GROUP BY tenant_id, day
)
SELECT t.tenant_id, t.day,
       coalesce(n.power_quality, 0) + t.revenue + t.comms AS open_tasks,
       coalesce(n.power_quality, 0) AS power_quality_tasks,
       t.revenue AS revenue_or_meter_tasks,
       t.comms AS comms_tasks
FROM tasks t LEFT JOIN low n ON n.tenant_id = t.tenant_id AND n.day = t.day;
