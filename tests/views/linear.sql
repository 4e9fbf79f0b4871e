-- Loss is what was given and not recorded; shares and counts follow the reads one by one.
CREATE VIEW public.v_kpi_electric_feeder_loss_daily AS
SELECT tenant_id, day, feeder_id, given_kwh - sold_kwh AS loss_kwh, (1 - sold_kwh / given_kwh)::float8 AS loss_percent FROM public.balance;
CREATE VIEW public.v_kpi_electric_overview_daily AS
SELECT tenant_id, day, sum(given_kwh - sold_kwh) AS total_loss_kwh, (100 * (1 - sum(sold_kwh) / sum(given_kwh)))::float8 AS loss_percent_pct,
       100.0 * sum(reads) / sum(due) AS read_success_pct, 100.0 - 100.0 * sum(low) / sum(reads) AS voltage_compliance_pct
FROM public.balance GROUP BY 1, 2;
CREATE VIEW public.v_kpi_suspicious_meters_daily AS
SELECT tenant_id, (read_at AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day, meter_id, 'VOLTAGE_LOW' AS issue
FROM public.meter_reads_electric WHERE voltage < 114 GROUP BY 1, 2, 3;
CREATE VIEW public.v_kpi_fieldops_daily AS
SELECT tenant_id, day, sum(low) + sum(due - reads) AS open_tasks FROM public.balance GROUP BY 1, 2;
