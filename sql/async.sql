-- Scans below one Append that wait together: which do, and that none runs in a
-- parallel worker; no network.
\set VERBOSITY terse
CREATE SERVER nowhere FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://127.0.0.1:9', async_capable 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (access_token 'x');
CREATE TABLE part (n integer, name text) PARTITION BY LIST (n);
CREATE FOREIGN TABLE part_1 (n integer OPTIONS (attribute_type 'Integer'), name text)
    SERVER nowhere OPTIONS (table_name 'a', entity_set_name 'as', primary_id 'aid');
CREATE FOREIGN TABLE part_2 (n integer OPTIONS (attribute_type 'Integer'), name text)
    SERVER nowhere OPTIONS (table_name 'b', entity_set_name 'bs', primary_id 'bid');
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES IN (1);
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2);
CREATE FOREIGN TABLE alone (n integer OPTIONS (attribute_type 'Integer'), name text)
    SERVER nowhere OPTIONS (table_name 'c', entity_set_name 'cs', primary_id 'cid', async_capable 'false');
CREATE TABLE near AS SELECT n, 'n' || n AS name FROM generate_series(1, 1000) n;
ANALYZE near;

EXPLAIN (COSTS OFF) SELECT * FROM part;
EXPLAIN (COSTS OFF) SELECT name FROM part WHERE n > 0 AND length(name) = 3;
EXPLAIN (COSTS OFF) SELECT * FROM part_1 UNION ALL SELECT * FROM alone UNION ALL SELECT * FROM near UNION ALL SELECT * FROM part_2;

-- one scan has nothing to wait for together with, and an order wants its rows one after the other
EXPLAIN (COSTS OFF) SELECT * FROM part WHERE n = 1;
EXPLAIN (COSTS OFF) SELECT n FROM part WHERE n IS NOT NULL ORDER BY n;

-- a pushed aggregate waits by itself
EXPLAIN (COSTS OFF) SELECT count(*) FROM part_1 WHERE n > 5 UNION ALL SELECT count(*) FROM part_2 WHERE n > 5;

SET enable_async_append = off;
EXPLAIN (COSTS OFF) SELECT * FROM part;
RESET enable_async_append;

-- a worker may read what is here, and nothing that is there
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
-- 16 gave the setting another name
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
EXPLAIN (COSTS OFF) SELECT count(*) FROM near WHERE name <> '';
EXPLAIN (COSTS OFF) SELECT name FROM alone WHERE length(name) = 3;
EXPLAIN (COSTS OFF) SELECT name FROM part;
EXPLAIN (COSTS OFF) SELECT count(*) FROM (SELECT name FROM near UNION ALL SELECT name FROM alone) x WHERE length(name) = 3;

SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
DROP TABLE part, near;
DROP SERVER nowhere CASCADE;
