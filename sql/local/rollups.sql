-- Triggers that keep the roll-ups, once for each statement, whoever writes. Rows that ON CONFLICT DO NOTHING kept out
-- are not among those `changed`. An update is a removal and an addition. Writers of one tenant are kept apart by the
-- publish lock.

-- name: triggers
-- $1 is 1 for rows that came and -1 for rows that went. EXECUTE plans anew each time: the plan for the reads of one
-- interval does not suit those of a day.
CREATE OR REPLACE FUNCTION public.roll_up() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  EXECUTE $query$
    INSERT INTO public.feeder_interval_reads AS f
      (tenant_id, day, feeder_id, read_at, reads, recorded_kwh, out_of_range, low_voltage, expected_reads, expected_kw)
    SELECT c.tenant_id, t.day, c.feeder_id, c.read_at, $1 * count(*), $1 * sum(c.kwh),
           $1 * count(*) FILTER (WHERE c.voltage NOT BETWEEN l.low_v AND l.high_v),
           $1 * count(*) FILTER (WHERE c.voltage < l.low_v),
           $1 * count(x.mean_kw[t.hour + 1]), $1 * coalesce(sum(x.mean_kw[t.hour + 1]), 0)
    FROM changed c
    JOIN (
      SELECT read_at, public.local_day(read_at) AS day, public.local_hour(read_at) AS hour
      FROM (SELECT DISTINCT read_at FROM changed) d
    ) t ON t.read_at = c.read_at
    CROSS JOIN public.local_thresholds l
    LEFT JOIN public.meter_expectation x
      ON x.tenant_id = c.tenant_id AND x.day = t.day AND x.feeder_id = c.feeder_id AND x.meter_id = c.meter_id
    GROUP BY c.tenant_id, t.day, c.feeder_id, c.read_at
    ON CONFLICT (tenant_id, day, feeder_id, read_at) DO UPDATE SET
      reads = f.reads + excluded.reads, recorded_kwh = f.recorded_kwh + excluded.recorded_kwh,
      out_of_range = f.out_of_range + excluded.out_of_range, low_voltage = f.low_voltage + excluded.low_voltage,
      expected_reads = f.expected_reads + excluded.expected_reads, expected_kw = f.expected_kw + excluded.expected_kw
  $query$ USING CAST(TG_ARGV[0] AS integer);
  IF TG_ARGV[0] = '-1' THEN
    EXECUTE $query$
      DELETE FROM public.feeder_interval_reads f
      USING (
        SELECT tenant_id, public.local_day(read_at) AS day, feeder_id, read_at
        FROM (SELECT DISTINCT tenant_id, feeder_id, read_at FROM changed) d
      ) c
      WHERE f.tenant_id = c.tenant_id AND f.day = c.day AND f.feeder_id = c.feeder_id AND f.read_at = c.read_at
        AND f.reads = 0
    $query$;
  END IF;
  RETURN NULL;
END $body$;

CREATE OR REPLACE FUNCTION public.roll_up_truncated() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  TRUNCATE public.feeder_interval_reads, public.meter_energy_to_date;
  RETURN NULL;
END $body$;

-- A change of a past day's reads or supply: the energy to date from that day on is to be summed again.
CREATE OR REPLACE FUNCTION public.forget_energy() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  DELETE FROM public.meter_energy_to_date e
  USING (SELECT tenant_id, feeder_id, public.local_day(min(read_at)) AS day FROM changed GROUP BY tenant_id, feeder_id) c
  WHERE e.tenant_id = c.tenant_id AND e.feeder_id = c.feeder_id AND e.day >= c.day;
  RETURN NULL;
END $body$;

CREATE OR REPLACE TRIGGER roll_up_inserted AFTER INSERT ON public.meter_reads_electric
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up('1');
CREATE OR REPLACE TRIGGER roll_up_deleted AFTER DELETE ON public.meter_reads_electric
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up('-1');
CREATE OR REPLACE TRIGGER roll_up_updated_from AFTER UPDATE ON public.meter_reads_electric
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up('-1');
CREATE OR REPLACE TRIGGER roll_up_updated_to AFTER UPDATE ON public.meter_reads_electric
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up('1');
CREATE OR REPLACE TRIGGER roll_up_truncated AFTER TRUNCATE ON public.meter_reads_electric
  FOR EACH STATEMENT EXECUTE FUNCTION public.roll_up_truncated();

CREATE OR REPLACE TRIGGER energy_inserted AFTER INSERT ON public.meter_reads_electric
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy();
CREATE OR REPLACE TRIGGER energy_deleted AFTER DELETE ON public.meter_reads_electric
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy();
CREATE OR REPLACE TRIGGER energy_updated_from AFTER UPDATE ON public.meter_reads_electric
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy();
CREATE OR REPLACE TRIGGER energy_updated_to AFTER UPDATE ON public.meter_reads_electric
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy();

CREATE OR REPLACE TRIGGER energy_inserted AFTER INSERT ON public.feeder_supply
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy();
CREATE OR REPLACE TRIGGER energy_deleted AFTER DELETE ON public.feeder_supply
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy();
CREATE OR REPLACE TRIGGER energy_updated_from AFTER UPDATE ON public.feeder_supply
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy();
CREATE OR REPLACE TRIGGER energy_updated_to AFTER UPDATE ON public.feeder_supply
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.forget_energy();

-- name: older_triggers
-- Functions of an earlier version, after the triggers were given their new ones.
DROP FUNCTION IF EXISTS public.roll_up_added, public.roll_up_removed, public.forget_energy_of_added,
  public.forget_energy_of_removed;

-- name: fill
-- From the reads that are there already.
TRUNCATE public.feeder_interval_reads, public.meter_energy_to_date;
INSERT INTO public.feeder_interval_reads
  (tenant_id, day, feeder_id, read_at, reads, recorded_kwh, out_of_range, low_voltage, expected_reads, expected_kw)
SELECT m.tenant_id, t.day, m.feeder_id, m.read_at, count(*), sum(m.kwh),
       count(*) FILTER (WHERE m.voltage NOT BETWEEN l.low_v AND l.high_v), count(*) FILTER (WHERE m.voltage < l.low_v),
       count(x.mean_kw[t.hour + 1]), coalesce(sum(x.mean_kw[t.hour + 1]), 0)
FROM public.meter_reads_electric m
JOIN (
  SELECT read_at, public.local_day(read_at) AS day, public.local_hour(read_at) AS hour
  FROM (SELECT DISTINCT read_at FROM public.meter_reads_electric) d
) t ON t.read_at = m.read_at
CROSS JOIN public.local_thresholds l
LEFT JOIN public.meter_expectation x
  ON x.tenant_id = m.tenant_id AND x.day = t.day AND x.feeder_id = m.feeder_id AND x.meter_id = m.meter_id
GROUP BY m.tenant_id, t.day, m.feeder_id, m.read_at;
