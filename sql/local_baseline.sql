-- The local stand-in for what a utility's database already has. Never applied to a database that came
-- from DATABASE_URL. :timezone is the utility's time zone; a day is its local day, and the read stamped
-- 00:00 covers the last interval of the day before. The views never call now() and never look at ami_events.

-- name: tables
CREATE TABLE IF NOT EXISTS public.meter_reads_electric (
  tenant_id text NOT NULL,
  meter_id  text NOT NULL,
  feeder_id text NOT NULL,
  read_at   timestamptz NOT NULL,
  kwh       numeric(12,6) NOT NULL CHECK (kwh >= 0),
  voltage   numeric(5,1) NOT NULL,
  CONSTRAINT meter_reads_electric_once UNIQUE (tenant_id, meter_id, read_at)
);
CREATE INDEX IF NOT EXISTS meter_reads_electric_by_time
  ON public.meter_reads_electric (tenant_id, read_at, feeder_id) INCLUDE (meter_id, kwh, voltage);

-- Registry of meters: which reads are due.
CREATE TABLE IF NOT EXISTS public.meters (
  tenant_id text NOT NULL,
  meter_id  text NOT NULL,
  feeder_id text NOT NULL,
  position  integer NOT NULL,
  PRIMARY KEY (tenant_id, meter_id)
);

-- Energy the substation put into each feeder, one row an interval, and how many reads are due for it. Day and
-- hour are those of the interval's last instant, taken before the clock on the wall may change.
CREATE TABLE IF NOT EXISTS public.feeder_supply (
  tenant_id        text NOT NULL,
  feeder_id        text NOT NULL,
  read_at          timestamptz NOT NULL,
  interval_minutes integer NOT NULL,
  supplied_kwh     numeric(14,3) NOT NULL,
  meters_due       integer NOT NULL,
  day  date     GENERATED ALWAYS AS (((((read_at AT TIME ZONE 'UTC') - interval '1 microsecond') AT TIME ZONE 'UTC') AT TIME ZONE :timezone)::date) STORED,
  hour smallint GENERATED ALWAYS AS (extract(hour FROM ((((read_at AT TIME ZONE 'UTC') - interval '1 microsecond') AT TIME ZONE 'UTC') AT TIME ZONE :timezone))::smallint) STORED,
  PRIMARY KEY (tenant_id, feeder_id, read_at)
);
CREATE INDEX IF NOT EXISTS feeder_supply_by_day ON public.feeder_supply (tenant_id, day, feeder_id, read_at);

-- What the utility's nightly estimation (VEE) expects of each meter on a day, learned from the days before:
-- mean power [kW] in each hour of the local day. And each feeder's technical loss, no_load_kw + load_factor * kW^2.
CREATE TABLE IF NOT EXISTS public.meter_expectation (
  tenant_id text NOT NULL,
  day       date NOT NULL,
  feeder_id text NOT NULL,
  meter_id  text NOT NULL,
  hour      smallint NOT NULL,
  mean_kw   real NOT NULL,
  PRIMARY KEY (tenant_id, day, feeder_id, hour, meter_id)
);
CREATE TABLE IF NOT EXISTS public.feeder_expectation (
  tenant_id   text NOT NULL,
  day         date NOT NULL,
  feeder_id   text NOT NULL,
  no_load_kw  double precision NOT NULL,
  load_factor double precision NOT NULL,
  PRIMARY KEY (tenant_id, day, feeder_id)
);

-- name: timezone
-- Days and hours follow the setting, also when it changes.
ALTER TABLE public.feeder_supply
  ALTER COLUMN day  SET EXPRESSION AS (((((read_at AT TIME ZONE 'UTC') - interval '1 microsecond') AT TIME ZONE 'UTC') AT TIME ZONE :timezone)::date),
  ALTER COLUMN hour SET EXPRESSION AS (extract(hour FROM ((((read_at AT TIME ZONE 'UTC') - interval '1 microsecond') AT TIME ZONE 'UTC') AT TIME ZONE :timezone))::smallint);

-- name: views
DROP VIEW IF EXISTS public.v_kpi_fieldops_daily, public.v_kpi_suspicious_meters_daily,
  public.v_kpi_electric_overview_daily, public.v_kpi_electric_feeder_loss_daily, public.v_feeder_interval;

-- One row a feeder and interval. An interval is complete when at least 90 % of its reads are there; the few
-- that are missing are estimated at what those meters usually use of their feeder's energy at that hour (on the
-- first day, at their number), and that unread energy is never counted as loss.
CREATE VIEW public.v_feeder_interval AS
SELECT s.tenant_id, s.day, s.feeder_id, s.read_at, s.hour, s.interval_minutes, s.meters_due,
       s.supplied_kwh, r.reads, r.recorded_kwh, r.out_of_range, r.low_voltage,
       r.reads >= 0.9 * s.meters_due AS complete,
       round(r.recorded_kwh * (q.missing_share / nullif(1 - q.missing_share, 0))::numeric, 6) AS unread_kwh,
       q.missing_share
FROM public.feeder_supply s
CROSS JOIN LATERAL (
  SELECT count(*) AS reads,
         coalesce(sum(m.kwh), 0) AS recorded_kwh,
         -- ANSI C84.1 Range A at 120 V nominal: 114 to 126 V
         count(*) FILTER (WHERE m.voltage NOT BETWEEN 114 AND 126) AS out_of_range,
         count(*) FILTER (WHERE m.voltage < 114) AS low_voltage
  FROM public.meter_reads_electric m
  WHERE m.tenant_id = s.tenant_id AND m.read_at = s.read_at AND m.feeder_id = s.feeder_id
) r
CROSS JOIN LATERAL (
  SELECT CASE WHEN r.reads = s.meters_due THEN 0 ELSE coalesce((
    SELECT sum(x.mean_kw) FILTER (WHERE m.meter_id IS NULL) / nullif(sum(x.mean_kw), 0)
    FROM public.meter_expectation x
    LEFT JOIN public.meter_reads_electric m
      ON m.tenant_id = x.tenant_id AND m.meter_id = x.meter_id AND m.read_at = s.read_at
    WHERE x.tenant_id = s.tenant_id AND x.day = s.day AND x.feeder_id = s.feeder_id AND x.hour = s.hour
  ), 1 - r.reads::float8 / s.meters_due) END AS missing_share
) q;

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

-- Meters named as of a day's last intervals; a name goes when the feeder's balance closes again.
-- CONSUMPTION_DROP, where a feeder lost over one point more than its conductors explain (a drop without loss on
-- the feeder is an empty home). Expected is a meter's own habit, scaled to what the substation delivered.
--   pattern: the unexplained loss follows one meter's own load so closely that it must be that meter's;
--   silence: meters that record nothing explain at least half of it;
--   balance: else meters from the deepest drop on, until their shortfall explains the unexplained loss.
-- VOLTAGE_LOW: under 114 V twice in a row, or once together with a tenth of the feeder.
CREATE VIEW public.v_kpi_suspicious_meters_daily AS
WITH balance AS NOT MATERIALIZED (
  SELECT i.*, row_number() OVER w AS age,
         i.recorded_kwh::float8 + i.unread_kwh::float8 AS delivered_kwh,
         i.supplied_kwh::float8 - i.recorded_kwh::float8 - i.unread_kwh::float8
           - e.no_load_kw * i.interval_minutes / 60
           - e.load_factor * i.supplied_kwh::float8 ^ 2 * 60 / i.interval_minutes AS unexplained_kwh
  FROM public.v_feeder_interval i
  LEFT JOIN public.feeder_expectation e
    ON e.tenant_id = i.tenant_id AND e.day = i.day AND e.feeder_id = i.feeder_id
  WINDOW w AS (PARTITION BY i.tenant_id, i.day, i.feeder_id ORDER BY i.read_at DESC)
), judged AS NOT MATERIALIZED (
  SELECT b.*,
         -- what had to be estimated makes the balance uncertain by several times its share
         complete AND unexplained_kwh > supplied_kwh::float8 * (0.01 + 3 * missing_share) AS lossy
  FROM balance b
), recent AS NOT MATERIALIZED (
  SELECT j.*,
         min(age) FILTER (WHERE lossy) OVER w AS last_lossy,
         max(age) FILTER (WHERE lossy) OVER w AS first_lossy,
         bool_or(low_voltage > 0 AND age = 1) OVER w AS low_now
  FROM judged j
  WINDOW w AS (PARTITION BY tenant_id, day, feeder_id)
), evidence AS (
  SELECT r.tenant_id, r.day, r.feeder_id, x.meter_id, r.last_lossy,
         count(*) FILTER (WHERE r.lossy) AS intervals,
         sum(m.kwh) FILTER (WHERE r.lossy)::float8 AS recorded_kwh,
         sum(x.mean_kw / nullif(t.mean_kw, 0) * (r.delivered_kwh + r.unexplained_kwh))
           FILTER (WHERE r.lossy) AS expected_kwh,
         sum(r.unexplained_kwh) FILTER (WHERE r.lossy) AS unexplained_kwh,
         count(*) AS seen,
         corr(r.unexplained_kwh, m.kwh::float8) AS likeness,
         corr(r.unexplained_kwh, m.kwh::float8) FILTER (WHERE r.lossy) AS likeness_while_lossy,
         regr_slope(r.unexplained_kwh, m.kwh::float8) * sum(m.kwh)::float8 / nullif(sum(r.unexplained_kwh), 0) AS explains
  FROM recent r
  CROSS JOIN LATERAL (
    SELECT sum(y.mean_kw) AS mean_kw FROM public.meter_expectation y
    WHERE y.tenant_id = r.tenant_id AND y.day = r.day AND y.feeder_id = r.feeder_id AND y.hour = r.hour
  ) t
  JOIN public.meter_expectation x
    ON x.tenant_id = r.tenant_id AND x.day = r.day AND x.feeder_id = r.feeder_id AND x.hour = r.hour
  JOIN public.meter_reads_electric m
    ON m.tenant_id = r.tenant_id AND m.meter_id = x.meter_id AND m.read_at = r.read_at
  WHERE r.last_lossy <= 4 AND r.age <= r.first_lossy AND r.complete
  GROUP BY r.tenant_id, r.day, r.feeder_id, x.meter_id, r.last_lossy
), ranked AS (
  SELECT e.*, recorded_kwh / nullif(expected_kwh, 0) AS ratio,
         -- fewer intervals ask for a closer likeness: by chance one of 40 meters looks alike
         likeness > (CASE seen WHEN 4 THEN 0.99 WHEN 5 THEN 0.98 ELSE 0.95 END) AND seen >= 4
           AND explains BETWEEN 0.5 AND 1.5
           -- the end of a feeder's theft is a step, which one of 40 loads follows by chance
           AND (last_lossy = 1 OR intervals >= 4 AND likeness_while_lossy > 0.95)
           AND likeness = max(likeness) OVER (PARTITION BY tenant_id, day, feeder_id) AS by_pattern,
         coalesce(sum(expected_kwh) FILTER (WHERE recorded_kwh = 0) OVER (PARTITION BY tenant_id, day, feeder_id), 0)
           >= 0.5 * unexplained_kwh AS silence_explains,
         coalesce(sum(greatest(expected_kwh - recorded_kwh, 0)) OVER (
           PARTITION BY tenant_id, day, feeder_id ORDER BY recorded_kwh / nullif(expected_kwh, 0), meter_id
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS explained_before_kwh
  FROM evidence e
), drops AS (
  SELECT r.*, bool_or(by_pattern) OVER (PARTITION BY tenant_id, day, feeder_id) AS pattern_found
  FROM ranked r
), low AS (
  SELECT r.tenant_id, r.day, r.feeder_id, m.meter_id,
         min(m.voltage) AS lowest, count(*) AS intervals,
         bool_or(r.age = 1) AND (count(*) = 2 OR bool_or(r.age = 1 AND r.low_voltage >= 0.1 * r.meters_due)) AS named
  FROM recent r
  JOIN public.meter_reads_electric m
    ON m.tenant_id = r.tenant_id AND m.read_at = r.read_at AND m.feeder_id = r.feeder_id AND m.voltage < 114
  WHERE r.low_now AND r.age <= 2 AND r.low_voltage > 0
  GROUP BY r.tenant_id, r.day, r.feeder_id, m.meter_id
)
SELECT tenant_id, day, meter_id, 'CONSUMPTION_DROP' AS issue, feeder_id,
       CASE WHEN by_pattern
            THEN format('the unexplained loss of %s follows this meter''s own load in %s intervals (correlation %s)',
                        feeder_id, seen, round(likeness::numeric, 2))
            ELSE format('recorded %s of %s kWh expected in %s intervals with unexplained loss on %s',
                        round(recorded_kwh::numeric, 2), round(expected_kwh::numeric, 2), intervals, feeder_id)
       END AS evidence,
       round(recorded_kwh::numeric, 3) AS recorded_kwh, round(expected_kwh::numeric, 3) AS expected_kwh
FROM drops
WHERE CASE WHEN pattern_found THEN by_pattern
           WHEN last_lossy > 2 THEN false
           WHEN silence_explains THEN recorded_kwh = 0
           ELSE ratio < 0.85 AND explained_before_kwh < unexplained_kwh END
UNION ALL
SELECT tenant_id, day, meter_id, 'VOLTAGE_LOW', feeder_id,
       format('%s V in the latest %s interval(s), under 114 V', lowest, intervals), NULL, NULL
FROM low WHERE named;

-- One task is one dispatch: a crew is sent to a feeder for a kind of work, not to each of its meters.
-- Comms: a tenth of a feeder's meters, and at least two, silent in its latest interval.
CREATE VIEW public.v_kpi_fieldops_daily AS
WITH silent AS (
  SELECT DISTINCT ON (tenant_id, day, feeder_id) tenant_id, day, feeder_id,
         meters_due - reads >= greatest(2, 0.1 * meters_due) AS silent
  FROM public.v_feeder_interval
  ORDER BY tenant_id, day, feeder_id, read_at DESC
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

-- name: baseline_marks
SELECT obj_description(to_regclass('public.v_kpi_electric_overview_daily')) AS views,
       obj_description(to_regclass('public.feeder_supply')) AS timezone

-- name: register_meters
INSERT INTO public.meters (tenant_id, meter_id, feeder_id, position)
SELECT :tenant_id, m.meter_id, m.feeder_id, m.position
FROM unnest(CAST(:meter_ids AS text[]), CAST(:feeder_ids AS text[]))
  WITH ORDINALITY AS m(meter_id, feeder_id, position)
ON CONFLICT DO NOTHING

-- name: registered_meters
SELECT meter_id, feeder_id FROM public.meters WHERE tenant_id = :tenant_id ORDER BY position

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

-- name: has_expectation
SELECT EXISTS (SELECT 1 FROM public.feeder_expectation WHERE tenant_id = :tenant_id AND day = :day)

-- name: learn_meters
-- Four weeks at the most; the day itself is left out.
INSERT INTO public.meter_expectation (tenant_id, day, feeder_id, meter_id, hour, mean_kw)
SELECT :tenant_id, :day, s.feeder_id, r.meter_id, s.hour, sum(r.kwh) / (sum(s.interval_minutes) / 60.0)
FROM public.feeder_supply s
JOIN public.meter_reads_electric r
  ON r.tenant_id = s.tenant_id AND r.read_at = s.read_at AND r.feeder_id = s.feeder_id
WHERE s.tenant_id = :tenant_id AND s.day < :day AND s.day >= CAST(:day AS date) - 28
GROUP BY s.feeder_id, r.meter_id, s.hour
ON CONFLICT DO NOTHING

-- name: learn_feeders
-- Loss in conductors grows with the square of the load; intervals that lost more than any feeder's conductors
-- can (6 %, US public power distributors call that suspicious) are left out of the fit. Added up in order of
-- time, so that the last digit is the same whatever the plan.
INSERT INTO public.feeder_expectation (tenant_id, day, feeder_id, no_load_kw, load_factor)
SELECT :tenant_id, :day, feeder_id,
       coalesce(regr_intercept(loss_kw, kw ^ 2 ORDER BY read_at), avg(loss_kw ORDER BY read_at)),
       coalesce(regr_slope(loss_kw, kw ^ 2 ORDER BY read_at), 0)
FROM (
  SELECT feeder_id, read_at, supplied_kwh::float8 * 60 / interval_minutes AS kw,
         (supplied_kwh - recorded_kwh)::float8 * 60 / interval_minutes AS loss_kw
  FROM public.v_feeder_interval
  WHERE tenant_id = :tenant_id AND day < :day AND day >= CAST(:day AS date) - 28
    AND reads = meters_due AND supplied_kwh > 0 AND supplied_kwh - recorded_kwh <= 0.06 * supplied_kwh
) i
GROUP BY feeder_id
ON CONFLICT DO NOTHING

-- name: forget_after
DELETE FROM public.meter_reads_electric WHERE tenant_id = :tenant_id AND read_at > :moment

-- name: forget_supply_after
DELETE FROM public.feeder_supply WHERE tenant_id = :tenant_id AND read_at > :moment

-- name: forget_expectations_after
DELETE FROM public.meter_expectation WHERE tenant_id = :tenant_id AND day > :day

-- name: forget_feeder_expectations_after
DELETE FROM public.feeder_expectation WHERE tenant_id = :tenant_id AND day > :day
