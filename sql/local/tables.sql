-- The local stand-in for what a utility's database already has: tables, roll-ups (rollups.sql) and views (views.sql).
-- Never applied to a database that came from DATABASE_URL. :timezone is the utility's time zone; a day is its local
-- day, and the read stamped 00:00 covers the last interval of the day before.

-- name: clock
-- Day and hour of the interval's last instant, taken before the clock on the wall may change.
CREATE OR REPLACE FUNCTION public.local_day(read_at timestamptz) RETURNS date
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN ((((read_at AT TIME ZONE 'UTC') - interval '1 microsecond') AT TIME ZONE 'UTC') AT TIME ZONE :timezone)::date;
CREATE OR REPLACE FUNCTION public.local_hour(read_at timestamptz) RETURNS smallint
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN extract(hour FROM ((((read_at AT TIME ZONE 'UTC') - interval '1 microsecond') AT TIME ZONE 'UTC') AT TIME ZONE :timezone))::smallint;

-- name: tables
CREATE TABLE IF NOT EXISTS public.meter_reads_electric (
  tenant_id text NOT NULL,
  meter_id  text NOT NULL,
  feeder_id text NOT NULL,
  read_at   timestamptz NOT NULL,
  kwh       numeric(12,6) NOT NULL,  -- net: under zero where solar panels yield more than is used
  voltage   numeric(5,1) NOT NULL,
  -- Reads come in order of time: what leads with the time is written at its end, and still leads to a meter.
  CONSTRAINT meter_reads_electric_once UNIQUE (tenant_id, read_at, meter_id)
);
CREATE INDEX IF NOT EXISTS meter_reads_electric_by_feeder ON public.meter_reads_electric (tenant_id, read_at, feeder_id);

-- Registry of meters: which reads are due.
CREATE TABLE IF NOT EXISTS public.meters (
  tenant_id text NOT NULL,
  meter_id  text NOT NULL,
  feeder_id text NOT NULL,
  position  integer NOT NULL,
  PRIMARY KEY (tenant_id, meter_id)
);

-- Energy the substation put into each feeder, one row an interval, and how many reads are due for it.
CREATE TABLE IF NOT EXISTS public.feeder_supply (
  tenant_id        text NOT NULL,
  feeder_id        text NOT NULL,
  read_at          timestamptz NOT NULL,
  interval_minutes integer NOT NULL,
  supplied_kwh     numeric(14,3) NOT NULL,
  meters_due       integer NOT NULL,
  day  date     GENERATED ALWAYS AS (public.local_day(read_at)) STORED,
  hour smallint GENERATED ALWAYS AS (public.local_hour(read_at)) STORED,
  PRIMARY KEY (tenant_id, feeder_id, read_at)
);
CREATE INDEX IF NOT EXISTS feeder_supply_by_day ON public.feeder_supply (tenant_id, day, feeder_id, read_at);

-- What the utility's nightly estimation (VEE) expects of each meter on a day, learned from the days before:
-- mean power [kW] in each hour of the local day, hour h at [h + 1], NULL for an hour without a read. Exact numbers, so
-- that sums do not depend on the order of rows.
CREATE TABLE IF NOT EXISTS public.meter_expectation (
  tenant_id text NOT NULL,
  day       date NOT NULL,
  feeder_id text NOT NULL,
  meter_id  text NOT NULL,
  mean_kw   numeric(15,9)[] NOT NULL,
  PRIMARY KEY (tenant_id, day, feeder_id, meter_id)
);

ALTER TABLE public.meter_expectation ALTER COLUMN mean_kw SET STATISTICS 0;  -- no query chooses by it

-- The same for a feeder's meters together: their number and the sum of their mean power [kW].
CREATE TABLE IF NOT EXISTS public.feeder_hour_expectation (
  tenant_id text NOT NULL,
  day       date NOT NULL,
  feeder_id text NOT NULL,
  hour      smallint NOT NULL,
  meters    integer NOT NULL,
  mean_kw   numeric(18,9) NOT NULL,
  PRIMARY KEY (tenant_id, day, feeder_id, hour)
);

-- Each feeder's technical loss, no_load_kw + load_factor * kW^2.
CREATE TABLE IF NOT EXISTS public.feeder_expectation (
  tenant_id   text NOT NULL,
  day         date NOT NULL,
  feeder_id   text NOT NULL,
  no_load_kw  double precision NOT NULL,
  load_factor double precision NOT NULL,
  PRIMARY KEY (tenant_id, day, feeder_id)
);

-- Roll-up by feeder and interval, kept by triggers on the reads. expected_reads and expected_kw: how many of its
-- reads are of meters with an expectation, and what those meters are expected to use.
CREATE TABLE IF NOT EXISTS public.feeder_interval_reads (
  tenant_id      text NOT NULL,
  day            date NOT NULL,
  feeder_id      text NOT NULL,
  read_at        timestamptz NOT NULL,
  reads          integer NOT NULL,
  recorded_kwh   numeric(18,6) NOT NULL,
  out_of_range   integer NOT NULL,
  low_voltage    integer NOT NULL,
  expected_reads integer NOT NULL,
  expected_kw    numeric(18,9) NOT NULL,
  PRIMARY KEY (tenant_id, day, feeder_id, read_at)
);

-- Roll-up by meter and day, for the nightly estimation: what a meter recorded in each hour of the day, from the first
-- day that is here to the end of this one. The days of a feeder follow each other without a gap: whatever changes a
-- read or the supply takes the later rows away, and the next estimation makes them again.
CREATE TABLE IF NOT EXISTS public.meter_energy_to_date (
  tenant_id text NOT NULL,
  feeder_id text NOT NULL,
  day       date NOT NULL,
  meter_id  text NOT NULL,
  hours     smallint[] NOT NULL,
  kwh       numeric[] NOT NULL,
  minutes   bigint[] NOT NULL,
  PRIMARY KEY (tenant_id, feeder_id, day, meter_id)
);
ALTER TABLE public.meter_energy_to_date ALTER COLUMN hours SET STATISTICS 0, ALTER COLUMN kwh SET STATISTICS 0,
  ALTER COLUMN minutes SET STATISTICS 0;

-- What the detection job found as of an interval: a feeder that loses more than is explained (meter_id is null), and
-- meters that explain it. The views show what was found as of a day's last interval.
CREATE TABLE IF NOT EXISTS public.detection_findings (
  tenant_id  text NOT NULL,
  day        date NOT NULL,
  read_at    timestamptz NOT NULL,
  feeder_id  text NOT NULL,
  meter_id   text,
  confidence numeric(3,2) NOT NULL,
  evidence   text NOT NULL,
  UNIQUE NULLS NOT DISTINCT (tenant_id, day, read_at, feeder_id, meter_id)
);

-- name: older_tables
-- Tables of an earlier version: expectations stood hour by hour, some as rounded numbers, their sums by feeder were not
-- kept, no read could be under zero, and the key of the reads led with the meter. Days and hours are worked out anew: they follow the time zone,
-- also when it changes.
DO $body$
BEGIN
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'public.meter_expectation'::regclass AND attname = 'hour') THEN
    CREATE TEMP TABLE older_expectation ON COMMIT DROP AS
    SELECT tenant_id, day, feeder_id, meter_id, array_agg(mean_kw ORDER BY hour) AS mean_kw
    FROM (
      SELECT m.tenant_id, m.day, m.feeder_id, m.meter_id, h.hour, e.mean_kw
      FROM (SELECT DISTINCT tenant_id, day, feeder_id, meter_id FROM public.meter_expectation) m
      CROSS JOIN generate_series(0, 23) AS h(hour)
      LEFT JOIN public.meter_expectation e
        ON e.tenant_id = m.tenant_id AND e.day = m.day AND e.feeder_id = m.feeder_id AND e.meter_id = m.meter_id
       AND e.hour = h.hour
    ) hourly
    GROUP BY tenant_id, day, feeder_id, meter_id;
    TRUNCATE public.meter_expectation;
    ALTER TABLE public.meter_expectation DROP CONSTRAINT meter_expectation_pkey, DROP COLUMN hour, DROP COLUMN mean_kw,
      ADD COLUMN mean_kw numeric(15,9)[] NOT NULL, ADD PRIMARY KEY (tenant_id, day, feeder_id, meter_id);
    INSERT INTO public.meter_expectation SELECT * FROM older_expectation;
  END IF;
  IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'public.meter_reads_electric'::regclass
             AND conname = 'meter_reads_electric_kwh_check') THEN
    ALTER TABLE public.meter_reads_electric DROP CONSTRAINT meter_reads_electric_kwh_check;
  END IF;
  IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('public.meter_reads_electric_by_time')) THEN
    DROP INDEX public.meter_reads_electric_by_time;
    ALTER TABLE public.meter_reads_electric DROP CONSTRAINT meter_reads_electric_once,
      ADD CONSTRAINT meter_reads_electric_once UNIQUE (tenant_id, read_at, meter_id);
  END IF;
END $body$;
TRUNCATE public.feeder_hour_expectation;
INSERT INTO public.feeder_hour_expectation (tenant_id, day, feeder_id, hour, meters, mean_kw)
SELECT e.tenant_id, e.day, e.feeder_id, h.number - 1, count(*), sum(h.mean_kw)
FROM public.meter_expectation e
CROSS JOIN LATERAL unnest(e.mean_kw) WITH ORDINALITY AS h(mean_kw, number)
WHERE h.mean_kw IS NOT NULL
GROUP BY e.tenant_id, e.day, e.feeder_id, h.number;
ALTER TABLE public.feeder_supply
  ALTER COLUMN day  SET EXPRESSION AS (public.local_day(read_at)),
  ALTER COLUMN hour SET EXPRESSION AS (public.local_hour(read_at));
