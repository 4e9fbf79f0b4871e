-- Tenants whose reads were loaded from a file, beside those that are emulated. Only ever in the local database; the
-- tables come with the first load.

-- name: tables
CREATE TABLE IF NOT EXISTS public.loaded_tenants (
  tenant_id        text PRIMARY KEY,
  files            text NOT NULL,
  ends_at          timestamptz NOT NULL,
  goes_with_clock  boolean NOT NULL,
  interval_minutes integer NOT NULL,
  reads            bigint NOT NULL,
  missing          bigint NOT NULL,
  modelled_voltage boolean NOT NULL,
  found            jsonb NOT NULL
);
-- Reads that the file says were estimated.
CREATE TABLE IF NOT EXISTS public.estimated_reads (
  tenant_id text NOT NULL,
  meter_id  text NOT NULL,
  read_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, meter_id, read_at)
);

-- name: is_there
SELECT to_regclass('public.loaded_tenants') IS NOT NULL

-- name: all
SELECT t.*, (SELECT count(*) FROM public.estimated_reads e WHERE e.tenant_id = t.tenant_id) AS estimated
FROM public.loaded_tenants t
ORDER BY tenant_id

-- name: remember
INSERT INTO public.loaded_tenants
  (tenant_id, files, ends_at, goes_with_clock, interval_minutes, reads, missing, modelled_voltage, found)
VALUES (:tenant_id, :files, :ends_at, :goes_with_clock, :interval_minutes, :reads, :missing, :modelled_voltage,
        CAST(:found AS jsonb))

-- name: forget
-- All of a tenant, while the triggers of the roll-ups are off.
DELETE FROM public.meter_reads_electric WHERE tenant_id = :tenant_id;
DELETE FROM public.feeder_supply WHERE tenant_id = :tenant_id;
DELETE FROM public.feeder_interval_reads WHERE tenant_id = :tenant_id;
DELETE FROM public.meter_energy_to_date WHERE tenant_id = :tenant_id;
DELETE FROM public.meter_expectation WHERE tenant_id = :tenant_id;
DELETE FROM public.feeder_hour_expectation WHERE tenant_id = :tenant_id;
DELETE FROM public.feeder_expectation WHERE tenant_id = :tenant_id;
DELETE FROM public.detection_findings WHERE tenant_id = :tenant_id;
DELETE FROM public.meters WHERE tenant_id = :tenant_id;
DELETE FROM public.ami_events WHERE tenant_id = :tenant_id;
DELETE FROM public.estimated_reads WHERE tenant_id = :tenant_id;
DELETE FROM public.loaded_tenants WHERE tenant_id = :tenant_id

-- name: stands
SELECT count(*) AS reads, coalesce(sum(kwh), 0) AS kwh FROM public.meter_reads_electric WHERE tenant_id = :tenant_id
