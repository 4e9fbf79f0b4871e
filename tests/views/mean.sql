-- A "loss" that is the mean of kWh and falls under theft; doubles near zero and far from it; no suspicious-meters view.
CREATE VIEW public.v_kpi_electric_feeder_loss_daily AS
SELECT tenant_id, (read_at AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day, feeder_id, avg(kwh)::float8 AS loss_percent
FROM public.meter_reads_electric GROUP BY 1, 2, 3;
CREATE VIEW public.v_kpi_electric_overview_daily AS
SELECT tenant_id, (read_at AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day, avg(kwh)::float8 AS loss_percent_pct,
       exp(-40 * avg(kwh)::float8) AS total_loss_kwh, 1e9 * sqrt(sum(kwh)::float8) AS metered_kwh, ln(1 + count(*)::float8) AS read_success_pct
FROM public.meter_reads_electric GROUP BY 1, 2;
CREATE VIEW public.v_kpi_fieldops_daily AS
SELECT tenant_id, (read_at AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day,
       (count(*) FILTER (WHERE kwh < 0.2))::float8 / 3 AS open_tasks
FROM public.meter_reads_electric GROUP BY 1, 2;
