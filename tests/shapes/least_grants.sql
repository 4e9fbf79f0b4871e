-- A role with SELECT and INSERT only, no CREATE, its own search_path and time zone; a partial unique index beside a
-- plain one by time, a materialized view. To be connected to as gridlens_app.
DO $$ BEGIN CREATE ROLE gridlens_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE gridlens_app SET search_path = pg_catalog;
ALTER ROLE gridlens_app SET timezone = 'Asia/Kolkata';
REVOKE CREATE, USAGE ON SCHEMA public FROM PUBLIC;
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$;

CREATE DOMAIN public.energy AS numeric(12,5) CHECK (VALUE >= 0);
CREATE TABLE public.meter_reads_electric (
  tenant_id text NOT NULL,
  meter_id  text NOT NULL,
  feeder_id text NOT NULL,
  read_at   timestamptz NOT NULL,
  kwh       public.energy NOT NULL,
  voltage   smallint
);
CREATE UNIQUE INDEX recent_once ON public.meter_reads_electric (tenant_id, meter_id, read_at) WHERE read_at > '2030-01-01Z';
CREATE INDEX by_time ON public.meter_reads_electric (tenant_id, read_at);
CREATE TABLE public.feeder_head (feeder_id text, read_at timestamptz, kwh numeric, PRIMARY KEY (feeder_id, read_at));
INSERT INTO public.meter_reads_electric
SELECT 'DEMO_TENANT', 'MTR-' || f || m, 'FEEDER_' || f, t,
       (0.6 - 0.3 * cos(extract(epoch FROM t) / 86400 * 2 * pi())) * (0.85 + (abs(hashtext(m || 'x' || t::text)) % 300) / 1000.0), 240
FROM generate_series(1, 3) f, generate_series(1, 10) m,
     generate_series(timestamptz '2026-11-16 00:15Z', timestamptz '2026-11-18 12:00Z', interval '15 minutes') t;
INSERT INTO public.feeder_head
SELECT 'FEEDER_' || f, t, 10 * (0.6 - 0.3 * cos(extract(epoch FROM t) / 86400 * 2 * pi())) * 1.05
FROM generate_series(1, 3) f, generate_series(timestamptz '2026-11-16 00:15Z', timestamptz '2026-11-21 00:00Z', interval '15 minutes') t;

CREATE VIEW public.v_kpi_electric_feeder_loss_daily AS
SELECT 'DEMO_TENANT' AS tenant_id, (read_at AT TIME ZONE 'UTC')::date AS day, feeder_id, sum(h.kwh) - sum(s.kwh) AS loss_kwh,
       1 - sum(s.kwh) / sum(h.kwh) AS loss_percent
FROM public.feeder_head h JOIN (SELECT feeder_id, read_at, sum(kwh) AS kwh FROM public.meter_reads_electric GROUP BY 1, 2) s USING (feeder_id, read_at)
GROUP BY 1, 2, 3;
CREATE VIEW public.v_kpi_electric_overview_daily AS
SELECT tenant_id, day, sum(loss_kwh) AS total_loss_kwh, 100 * avg(loss_percent) AS loss_percent_pct, 'NaN'::numeric AS read_success_pct
FROM public.v_kpi_electric_feeder_loss_daily GROUP BY 1, 2;
CREATE VIEW public.v_kpi_suspicious_meters_daily AS
SELECT tenant_id, day, feeder_id AS meter_id, 'LOSSY'::text AS issue FROM public.v_kpi_electric_feeder_loss_daily WHERE loss_percent > 0.2;
CREATE MATERIALIZED VIEW public.v_kpi_fieldops_daily AS
SELECT 'DEMO_TENANT'::text AS tenant_id, date '2026-11-18' AS day, 3::bigint AS open_tasks;

GRANT USAGE ON SCHEMA public TO gridlens_app;
GRANT SELECT, INSERT ON public.meter_reads_electric TO gridlens_app;
GRANT SELECT ON public.v_kpi_electric_overview_daily, public.v_kpi_electric_feeder_loss_daily,
  public.v_kpi_suspicious_meters_daily, public.v_kpi_fieldops_daily TO gridlens_app;
