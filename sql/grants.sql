-- The least a role needs to show and emulate in an existing database. For a DBA, after sql/phase3_ami_events.sql:
--   psql "$DATABASE_URL_OF_THE_OWNER" -v role=gridlens_app -f sql/grants.sql
-- The role itself is made beforehand, with a password or, on Azure, for a managed identity:
--   CREATE ROLE gridlens_app LOGIN PASSWORD '...';
--   SELECT * FROM pgaadauth_create_principal('gridlens_app', false, false);  -- in the database postgres
-- It may neither change nor delete a read, make or drop anything, nor write into any other table.
GRANT CONNECT ON DATABASE :"DBNAME" TO :"role";
GRANT USAGE ON SCHEMA public TO :"role";
GRANT SELECT, INSERT ON public.meter_reads_electric TO :"role";
GRANT SELECT, INSERT, UPDATE ON public.ami_events TO :"role";
GRANT SELECT ON
  public.v_kpi_electric_overview_daily,
  public.v_kpi_electric_feeder_loss_daily,
  public.v_kpi_suspicious_meters_daily,
  public.v_kpi_fieldops_daily
TO :"role";
-- Only where meter_reads_electric fills a column from a sequence of its own (serial, not identity):
-- GRANT USAGE ON SEQUENCE public.meter_reads_electric_id_seq TO :"role";
