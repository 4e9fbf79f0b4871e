-- Mixed-case quoted names, numbers for ids, times without a zone, an identity key, a generated column, a unique index
-- without tenant, days as timestamps, shares as fractions under a bare name, views of another owner.
DO $$ BEGIN CREATE ROLE shape_owner; EXCEPTION WHEN duplicate_object THEN NULL; END $$;

CREATE TABLE public.meter_reads_electric (
  "Id"       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "TenantId" varchar(20) NOT NULL,
  "MeterId"  bigint NOT NULL,
  "Feeder"   integer NOT NULL,
  "ReadTime" timestamp NOT NULL,
  "kWh"      real NOT NULL,
  "Watts"    real GENERATED ALWAYS AS ("kWh" * 4000) STORED,
  "Volts"    numeric(6,2)
);
CREATE UNIQUE INDEX one_read ON public.meter_reads_electric ("MeterId", "ReadTime");
CREATE TABLE public.feeder_head ("Feeder" integer, "ReadTime" timestamp, "In" float8, PRIMARY KEY ("Feeder", "ReadTime"));

INSERT INTO public.meter_reads_electric ("TenantId", "MeterId", "Feeder", "ReadTime", "kWh", "Volts")
SELECT 'DEMO_TENANT', 7000000000 + f * 100 + m, f, t,
       (0.3 - 0.15 * cos(extract(epoch FROM t) / 86400 * 2 * pi())) * (0.85 + (abs(hashtext(m || 'x' || t)) % 300) / 1000.0),
       120 + (abs(hashtext(m || 'v' || t)) % 300 - 150) / 100.0
FROM generate_series(1, 4) f, generate_series(1, 10) m,
     generate_series(timestamp '2026-11-16 00:15', timestamp '2026-11-18 00:00', interval '15 minutes') t;
INSERT INTO public.feeder_head
SELECT f, t, 10 * (0.3 - 0.15 * cos(extract(epoch FROM t) / 86400 * 2 * pi())) * 1.05
FROM generate_series(1, 4) f,
     generate_series(timestamp '2026-11-16 00:15', timestamp '2026-11-21 00:00', interval '15 minutes') t;

CREATE VIEW public.balance AS
SELECT 'DEMO_TENANT'::varchar AS "Tenant", date_trunc('day', "ReadTime") AS "Date", "Feeder", sum("In") AS supplied, sum(sold) AS sold
FROM public.feeder_head JOIN (SELECT "Feeder", "ReadTime", sum("kWh") AS sold FROM public.meter_reads_electric GROUP BY 1, 2) s
     USING ("Feeder", "ReadTime")
GROUP BY 1, 2, 3;
CREATE VIEW public.v_kpi_electric_overview_daily AS
SELECT "Tenant", "Date", 1 - sum(sold) / sum(supplied) AS "Loss", sum(supplied) - sum(sold) AS "LossKwh" FROM public.balance GROUP BY 1, 2;
CREATE VIEW public.v_kpi_electric_feeder_loss_daily AS
SELECT "Tenant", "Date", "Feeder", 1 - sold / supplied AS "Loss" FROM public.balance;
CREATE VIEW public.v_kpi_suspicious_meters_daily AS
SELECT "TenantId" AS "Tenant", date_trunc('day', "ReadTime") AS "Date", "MeterId" AS "Meter", 'low'::varchar AS "Reason"
FROM public.meter_reads_electric WHERE "Volts" < 114 GROUP BY 1, 2, 3;
CREATE VIEW public.v_kpi_fieldops_daily AS
SELECT "Tenant", "Date", count(*) AS "OpenTasks" FROM public.v_kpi_suspicious_meters_daily GROUP BY 1, 2;
ALTER VIEW public.v_kpi_electric_overview_daily OWNER TO shape_owner;
ALTER VIEW public.v_kpi_fieldops_daily OWNER TO shape_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO shape_owner;
