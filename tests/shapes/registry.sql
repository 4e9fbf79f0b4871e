-- Foreign keys to a registry, a tenant that is a number, no unique key at all, extra NOT NULL columns with defaults,
-- a trigger that stamps and another that rounds; no field-operations view, no overview loss in percent.
CREATE TABLE public.utility (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE public.circuit (circuit_id varchar(8) PRIMARY KEY, utility_id integer NOT NULL REFERENCES public.utility);
CREATE TABLE public.device (device_id integer PRIMARY KEY, circuit_id varchar(8) NOT NULL REFERENCES public.circuit);
CREATE TABLE public.meter_reads_electric (
  row_id       bigserial PRIMARY KEY,
  utility_id   integer NOT NULL REFERENCES public.utility,
  device_id    integer NOT NULL REFERENCES public.device,
  circuit_id   varchar(8) REFERENCES public.circuit,
  interval_end timestamptz NOT NULL,
  energy_kwh   double precision CHECK (energy_kwh >= 0 OR energy_kwh = 'NaN'),
  avg_voltage  real,
  quality      char(1) NOT NULL DEFAULT 'A',
  loaded_by    text NOT NULL DEFAULT current_user,
  batch        integer NOT NULL
);
CREATE INDEX by_device ON public.meter_reads_electric (utility_id, device_id, interval_end);
CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.batch := 1; NEW.energy_kwh := round(NEW.energy_kwh::numeric, 3); RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON public.meter_reads_electric FOR EACH ROW EXECUTE FUNCTION public.stamp();

INSERT INTO public.utility VALUES (42, 'Prairie Power'), (43, 'Other');
INSERT INTO public.circuit SELECT 'C' || f, 42 FROM generate_series(1, 3) f;
INSERT INTO public.device SELECT f * 100 + m, 'C' || f FROM generate_series(1, 3) f, generate_series(1, 10) m;
INSERT INTO public.meter_reads_electric (utility_id, device_id, circuit_id, interval_end, energy_kwh, avg_voltage)
SELECT 42, device_id, circuit_id, t,
       (0.4 - 0.2 * cos(extract(epoch FROM t) / 86400 * 2 * pi())) * (0.85 + (abs(hashtext(device_id || 'x' || t::text)) % 300) / 1000.0), 119
FROM public.device, generate_series(timestamptz '2026-11-16 00:15Z', timestamptz '2026-11-18 12:00Z', interval '15 minutes') t;
-- what real tables hold too: gaps, NULLs and NaN
UPDATE public.meter_reads_electric SET energy_kwh = NULL WHERE device_id = 101 AND extract(hour FROM interval_end AT TIME ZONE 'UTC') = 3;
UPDATE public.meter_reads_electric SET energy_kwh = 'NaN', avg_voltage = 'NaN' WHERE device_id = 102 AND extract(hour FROM interval_end AT TIME ZONE 'UTC') = 4;
DELETE FROM public.meter_reads_electric WHERE device_id = 103 AND interval_end < '2026-11-18 00:00Z';

CREATE VIEW public.v_kpi_electric_overview_daily AS
SELECT utility_id, (interval_end AT TIME ZONE 'UTC')::date AS kpi_date,
       sum(energy_kwh) FILTER (WHERE energy_kwh <> 'NaN') AS consumption_kwh, NULL::numeric AS read_rate
FROM public.meter_reads_electric GROUP BY 1, 2;
-- measured loss by circuit: the head meter is this curve
CREATE VIEW public.v_kpi_electric_feeder_loss_daily AS
SELECT utility_id, kpi_date, circuit_id, 1 - sum(sold) / sum(head) AS loss_rate, 'NaN'::float8 AS loss_kwh
FROM (SELECT utility_id, (interval_end AT TIME ZONE 'UTC')::date AS kpi_date, circuit_id, interval_end,
             sum(energy_kwh) FILTER (WHERE energy_kwh <> 'NaN') AS sold,
             count(*) * (0.4 - 0.2 * cos(extract(epoch FROM interval_end)::float8 / 86400 * 2 * pi())) * 1.05 AS head
      FROM public.meter_reads_electric GROUP BY 1, 2, 3, 4) s
GROUP BY 1, 2, 3;
CREATE VIEW public.v_kpi_suspicious_meters_daily AS
SELECT utility_id, (interval_end AT TIME ZONE 'UTC')::date AS kpi_date, device_id, 'VOLTAGE_LOW' AS flag
FROM public.meter_reads_electric WHERE avg_voltage < 114 GROUP BY 1, 2, 3;
