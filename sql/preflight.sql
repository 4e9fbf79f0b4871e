-- name: server
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major,
       current_user AS role,
       current_database() AS database,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS replica,
       current_setting('default_transaction_read_only')::boolean AS read_only,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser,
       has_schema_privilege('public', 'USAGE') AS uses_schema,
       has_schema_privilege('public', 'CREATE') AS creates,
       current_setting('max_connections')::int AS connections

-- name: privileges
-- What this role may do with a table or view, through itself, a group or single columns.
SELECT c.relname AS relation,
       has_table_privilege(c.oid, 'SELECT') AS reads,
       has_any_column_privilege(c.oid, 'INSERT') AS inserts,
       has_any_column_privilege(c.oid, 'UPDATE') AS updates,
       c.relrowsecurity AS by_row
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relname = ANY(:names) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')

-- name: event_columns
SELECT a.attname AS name, format_type(a.atttypid, -1) AS type_name
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = to_regclass('public.ami_events') AND a.attnum > 0 AND NOT a.attisdropped

-- name: half_keys
-- Unique indexes on the reads table that do not keep every repeated read out at once.
SELECT i.indexrelid::regclass::text AS name,
       NOT i.indimmediate AS deferrable,
       i.indpred IS NOT NULL AS partial
FROM pg_catalog.pg_index i
WHERE i.indrelid = to_regclass('public.meter_reads_electric')
  AND i.indisunique AND (NOT i.indimmediate OR i.indpred IS NOT NULL)
ORDER BY 1

-- name: rules_of_reads
-- What else acts when a read is inserted: triggers, and the tables that its foreign keys ask.
SELECT 'trigger ' || tgname AS rule FROM pg_catalog.pg_trigger
WHERE tgrelid = to_regclass('public.meter_reads_electric') AND NOT tgisinternal
UNION ALL
SELECT 'foreign key to ' || confrelid::regclass::text FROM pg_catalog.pg_constraint
WHERE conrelid = to_regclass('public.meter_reads_electric') AND contype = 'f' AND conparentid = 0
ORDER BY 1

-- name: volume
-- As last analysed, partitions together; negative where that has never been done.
SELECT sum(greatest(c.reltuples, 0)) AS reads,
       bool_and(c.reltuples < 0) AS never_analysed,
       count(*) AS tables
FROM pg_catalog.pg_class c
WHERE c.relkind <> 'p' AND (
  c.oid = to_regclass('public.meter_reads_electric')
  OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass('public.meter_reads_electric')))
)
