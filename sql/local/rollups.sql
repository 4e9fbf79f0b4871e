-- Triggers that keep the roll-ups, once for each statement, whoever writes. Rows that ON CONFLICT DO NOTHING kept out
-- are not among `added`. An update is a removal and an addition. Writers of one tenant are kept apart by the publish lock.

-- name: triggers
-- EXECUTE plans anew each time: the plan for the reads of one interval does not suit those of a day.
CREATE OR REPLACE FUNCTION public.roll_up_added() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  EXECUTE $query$
    INSERT INTO public.feeder_interval_reads AS f
      (tenant_id, day, feeder_id, read_at, reads, recorded_kwh, out_of_range, low_voltage, expected_reads, expected_kw)
    SELECT a.tenant_id, a.day, a.feeder_id, a.read_at, count(*), sum(a.kwh),
           count(*) FILTER (WHERE a.voltage NOT BETWEEN l.low_v AND l.high_v), count(*) FILTER (WHERE a.voltage < l.low_v),
           count(x.mean_kw), coalesce(sum(x.mean_kw), 0)
    FROM (SELECT *, public.local_day(read_at) AS day, public.local_hour(read_at) AS hour FROM added) a
    CROSS JOIN public.local_thresholds l
    LEFT JOIN public.meter_expectation x
      ON x.tenant_id = a.tenant_id AND x.day = a.day AND x.feeder_id = a.feeder_id AND x.hour = a.hour
     AND x.meter_id = a.meter_id
    GROUP BY a.tenant_id, a.day, a.feeder_id, a.read_at
    ORDER BY a.tenant_id, a.day, a.feeder_id, a.read_at
    ON CONFLICT (tenant_id, day, feeder_id, read_at) DO UPDATE SET
      reads = f.reads + excluded.reads, recorded_kwh = f.recorded_kwh + excluded.recorded_kwh,
      out_of_range = f.out_of_range + excluded.out_of_range, low_voltage = f.low_voltage + excluded.low_voltage,
      expected_reads = f.expected_reads + excluded.expected_reads, expected_kw = f.expected_kw + excluded.expected_kw
  $query$;
  RETURN NULL;
END $body$;

CREATE OR REPLACE FUNCTION public.roll_up_removed() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  EXECUTE $query$
    UPDATE public.feeder_interval_reads f SET
      reads = f.reads - r.reads, recorded_kwh = f.recorded_kwh - r.recorded_kwh,
      out_of_range = f.out_of_range - r.out_of_range, low_voltage = f.low_voltage - r.low_voltage,
      expected_reads = f.expected_reads - r.expected_reads, expected_kw = f.expected_kw - r.expected_kw
    FROM (
      SELECT a.tenant_id, a.day, a.feeder_id, a.read_at, count(*) AS reads, sum(a.kwh) AS recorded_kwh,
             count(*) FILTER (WHERE a.voltage NOT BETWEEN l.low_v AND l.high_v) AS out_of_range,
             count(*) FILTER (WHERE a.voltage < l.low_v) AS low_voltage,
             count(x.mean_kw) AS expected_reads, coalesce(sum(x.mean_kw), 0) AS expected_kw
      FROM (SELECT *, public.local_day(read_at) AS day, public.local_hour(read_at) AS hour FROM removed) a
      CROSS JOIN public.local_thresholds l
      LEFT JOIN public.meter_expectation x
        ON x.tenant_id = a.tenant_id AND x.day = a.day AND x.feeder_id = a.feeder_id AND x.hour = a.hour
       AND x.meter_id = a.meter_id
      GROUP BY a.tenant_id, a.day, a.feeder_id, a.read_at
    ) r
    WHERE f.tenant_id = r.tenant_id AND f.day = r.day AND f.feeder_id = r.feeder_id AND f.read_at = r.read_at
  $query$;
  EXECUTE $query$
    DELETE FROM public.feeder_interval_reads f
    USING (SELECT DISTINCT tenant_id, public.local_day(read_at) AS day, feeder_id, read_at FROM removed) r
    WHERE f.tenant_id = r.tenant_id AND f.day = r.day AND f.feeder_id = r.feeder_id AND f.read_at = r.read_at
      AND f.reads = 0
  $query$;
  RETURN NULL;
END $body$;

CREATE OR REPLACE FUNCTION public.roll_up_truncated() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  TRUNCATE public.feeder_interval_reads, public.meter_energy_to_date;
  RETURN NULL;
END $body$;

-- A change of a past day's reads or supply: the energy to date from that day on is to be summed again.
CREATE OR REPLACE FUNCTION public.forget_energy_of_added() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  DELETE FROM public.meter_energy_to_date e
  USING (SELECT tenant_id, feeder_id, public.local_day(min(read_at)) AS day FROM added GROUP BY tenant_id, feeder_id) c
  WHERE e.tenant_id = c.tenant_id AND e.feeder_id = c.feeder_id AND e.day >= c.day;
  RETURN NULL;
END $body$;

CREATE OR REPLACE FUNCTION public.forget_energy_of_removed() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  DELETE FROM public.meter_energy_to_date e
  USING (SELECT tenant_id, feeder_id, public.local_day(min(read_at)) AS day FROM removed GROUP BY tenant_id, feeder_id) c
  WHERE e.tenant_id = c.tenant_id AND e.feeder_id = c.feeder_id AND e.day >= c.day;
  RETURN NULL;
END $body$;

CREATE OR REPLACE TRIGGER roll_up_inserted AFTER INSERT ON public.meter_reads_electric
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up_added();
CREATE OR REPLACE TRIGGER roll_up_deleted AFTER DELETE ON public.meter_reads_electric
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up_removed();
CREATE OR REPLACE TRIGGER roll_up_updated_from AFTER UPDATE ON public.meter_reads_electric
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up_removed();
CREATE OR REPLACE TRIGGER roll_up_updated_to AFTER UPDATE ON public.meter_reads_electric
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up_added();
CREATE OR REPLACE TRIGGER roll_up_truncated AFTER TRUNCATE ON public.meter_reads_electric
  FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up_truncated();

CREATE OR REPLACE TRIGGER energy_inserted AFTER INSERT ON public.meter_reads_electric
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy_of_added();
CREATE OR REPLACE TRIGGER energy_deleted AFTER DELETE ON public.meter_reads_electric
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy_of_removed();
CREATE OR REPLACE TRIGGER energy_updated_from AFTER UPDATE ON public.meter_reads_electric
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy_of_removed();
CREATE OR REPLACE TRIGGER energy_updated_to AFTER UPDATE ON public.meter_reads_electric
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy_of_added();

CREATE OR REPLACE TRIGGER energy_inserted AFTER INSERT ON public.feeder_supply
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy_of_added();
CREATE OR REPLACE TRIGGER energy_deleted AFTER DELETE ON public.feeder_supply
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy_of_removed();
CREATE OR REPLACE TRIGGER energy_updated_from AFTER UPDATE ON public.feeder_supply
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy_of_removed();
CREATE OR REPLACE TRIGGER energy_updated_to AFTER UPDATE ON public.feeder_supply
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy_of_added();

-- name: fill
-- From the reads that are there already.
TRUNCATE public.feeder_interval_reads, public.meter_energy_to_date;
INSERT INTO public.feeder_interval_reads
  (tenant_id, day, feeder_id, read_at, reads, recorded_kwh, out_of_range, low_voltage, expected_reads, expected_kw)
SELECT m.tenant_id, m.day, m.feeder_id, m.read_at, count(*), sum(m.kwh),
       count(*) FILTER (WHERE m.voltage NOT BETWEEN l.low_v AND l.high_v), count(*) FILTER (WHERE m.voltage < l.low_v),
       count(x.mean_kw), coalesce(sum(x.mean_kw), 0)
FROM (SELECT *, public.local_day(read_at) AS day, public.local_hour(read_at) AS hour FROM public.meter_reads_electric) m
CROSS JOIN public.local_thresholds l
LEFT JOIN public.meter_expectation x
  ON x.tenant_id = m.tenant_id AND x.day = m.day AND x.feeder_id = m.feeder_id AND x.hour = m.hour
 AND x.meter_id = m.meter_id
GROUP BY m.tenant_id, m.day, m.feeder_id, m.read_at;
