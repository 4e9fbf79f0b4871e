-- A "loss" that is the mean of kWh and falls under theft, no voltage column, a deferrable key, hourly reads, real and
-- integer measures, extra required columns that only a person can fill; suspicious meters without a meter column.
CREATE TABLE public.meter_reads_electric (
  tenant_id     text NOT NULL,
  meter_id      character(12) NOT NULL,
  feeder_id     text,
  read_at       timestamptz NOT NULL,
  kwh           real,
  source_system text NOT NULL,
  site_code     integer NOT NULL,
  CONSTRAINT later UNIQUE (tenant_id, meter_id, read_at) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO public.meter_reads_electric
SELECT 'DEMO_TENANT', 'M' || f || '-' || m, 'F' || f, t,
       (1.2 - 0.6 * cos(extract(epoch FROM t) / 86400 * 2 * pi())) * (0.8 + (abs(hashtext(m || 'x' || t::text)) % 400) / 1000.0), 'head-end', 1
FROM generate_series(1, 3) f, generate_series(1, 10) m,
     generate_series(timestamptz '2026-11-14 01:00Z', timestamptz '2026-11-18 17:00Z', interval '1 hour') t;
CREATE VIEW public.v_kpi_electric_overview_daily AS
SELECT tenant_id, (read_at AT TIME ZONE 'UTC')::date AS day, avg(kwh) AS loss_percent_pct, sum(kwh) AS metered_kwh, now() AS last_updated
FROM public.meter_reads_electric GROUP BY 1, 2;
CREATE VIEW public.v_kpi_electric_feeder_loss_daily AS
SELECT tenant_id, (read_at AT TIME ZONE 'UTC')::date AS day, feeder_id, avg(kwh)::numeric(10,4) AS loss_percent
FROM public.meter_reads_electric GROUP BY 1, 2, 3;
CREATE VIEW public.v_kpi_suspicious_meters_daily AS
SELECT tenant_id, (read_at AT TIME ZONE 'UTC')::date AS day, 'LOW' AS issue, count(*) AS meters
FROM public.meter_reads_electric WHERE kwh < 0.3 GROUP BY 1, 2;
