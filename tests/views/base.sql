-- What the sets of views in this folder stand on: reads of 30 meters on three feeders, and what each feeder was given.
-- Energy is numeric: sums of doubles depend on the order of the rows, and two databases could not be compared.
CREATE TABLE public.meter_reads_electric (
  tenant_id text NOT NULL,
  meter_id  text NOT NULL,
  feeder_id text NOT NULL,
  read_at   timestamptz NOT NULL,
  kwh       numeric(12,6),
  voltage   double precision,
  PRIMARY KEY (tenant_id, meter_id, read_at)
);
CREATE INDEX by_time ON public.meter_reads_electric (tenant_id, read_at);
CREATE TABLE public.feeder_head (feeder_id text, read_at timestamptz, kwh numeric(18,6), PRIMARY KEY (feeder_id, read_at));
INSERT INTO public.meter_reads_electric
SELECT 'DEMO_TENANT', 'M' || f || lpad(m::text, 2, '0'), 'F' || f, t,
       round(((0.5 - 0.2 * cos(extract(epoch FROM t)::float8 / 86400 * 2 * pi()))
              * (0.85 + (abs(hashtext(f || 'x' || m || t::text)) % 300) / 1000.0))::numeric, 3),
       120 + (abs(hashtext(f || 'v' || m || t::text)) % 300 - 150) / 100.0
FROM generate_series(1, 3) f, generate_series(1, 10) m,
     generate_series(timestamptz '2026-11-16 00:15Z', timestamptz '2026-11-18 17:45Z', interval '15 minutes') t;
-- by five minutes, so that intervals of any length can be balanced
INSERT INTO public.feeder_head
SELECT 'F' || f, t, 10.0 / 3 * (0.5 - 0.2 * cos(extract(epoch FROM t)::float8 / 86400 * 2 * pi())) * 1.05
FROM generate_series(1, 3) f, generate_series(timestamptz '2026-11-16 00:05Z', timestamptz '2026-11-21 00:00Z', interval '5 minutes') t;
-- by feeder and day: given up to the last read, recorded, due and read
CREATE VIEW public.balance AS
SELECT s.tenant_id, s.day, s.feeder_id, s.sold_kwh, s.reads, 10 * max(s.intervals) OVER (PARTITION BY s.tenant_id, s.day) AS due, s.low,
       (SELECT sum(h.kwh) FROM public.feeder_head h
        WHERE h.feeder_id = s.feeder_id AND h.read_at <= s.last AND h.read_at > s.day::timestamp AT TIME ZONE 'UTC') AS given_kwh
FROM (
  SELECT tenant_id, (read_at AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day, feeder_id, sum(kwh) AS sold_kwh,
         count(*) AS reads, count(DISTINCT read_at) AS intervals, count(*) FILTER (WHERE voltage < 114) AS low, max(read_at) AS last
  FROM public.meter_reads_electric GROUP BY 1, 2, 3
) s;
