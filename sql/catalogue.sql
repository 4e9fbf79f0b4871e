-- name: columns
-- Columns of tables, partitioned tables and views of schema public that this role may see. Types come without
-- length: -1 gives bpchar, to which any text may be cast, where NULL would give character, which is one letter.
-- A domain goes by the type it is made of.
SELECT c.relname AS relation,
       a.attname AS name,
       format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE a.atttypid END, -1) AS type_name,
       a.attnotnull AS not_null,
       (a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '') AS filled_by_database,
       (a.attidentity = 'a' OR a.attgenerated <> '') AS always_generated,
       has_table_privilege(c.oid, 'SELECT') AS readable
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.relname = ANY(:names) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum

-- name: unique_indexes
-- Key columns of each unique index that is checked at once and covers every row.
SELECT array_agg(a.attname::text)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.position <= i.indnkeyatts
WHERE n.nspname = 'public' AND c.relname = :name
  AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid

-- name: miscounts
-- Whether a rule or a row trigger may make the server count other rows than those that went in.
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = to_regclass('public.' || :name) AND r.ev_type = '3')
    OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = to_regclass('public.' || :name)
               AND NOT t.tgisinternal AND t.tgtype & 1 = 1 AND t.tgtype & 4 = 4 AND t.tgtype & 66 > 0)

-- name: indexes
-- Column names of each index that covers every row, in order; NULL for an expression.
SELECT array_agg(a.attname::text ORDER BY k.position)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
WHERE n.nspname = 'public' AND c.relname = :name AND i.indisvalid AND i.indpred IS NULL
GROUP BY i.indexrelid

-- name: may_use_temporary
-- A server that only stands by takes no temporary table either, but is not published into.
SELECT has_database_privilege(current_database(), 'TEMPORARY')
