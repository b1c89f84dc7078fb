-- Writes as they are planned: which run without the executor going row by row,
-- what is read for them, by which key rows are addressed.  No network.
\set VERBOSITY terse
SET timezone = 'UTC';
CREATE SERVER nowhere FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (access_token 'x');
CREATE FOREIGN TABLE account (
    id uuid OPTIONS (attribute_type 'Uniqueidentifier', column_name 'accountid'),
    no text OPTIONS (attribute_type 'String', column_name 'accountnumber'),
    name text OPTIONS (attribute_type 'String'),
    n integer OPTIONS (attribute_type 'Integer', column_name 'numberofemployees'),
    since date OPTIONS (attribute_type 'DateOnly', column_name 'new_since'),
    parent uuid OPTIONS (attribute_type 'Lookup', column_name 'parentaccountid'),
    state integer OPTIONS (attribute_type 'State', column_name 'statecode'),
    state_label text OPTIONS (label_of 'statecode'),
    created timestamptz OPTIONS (attribute_type 'DateTime', column_name 'createdon', read_only 'true')
) SERVER nowhere OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid');
CREATE TABLE here AS SELECT 1 AS n, 'x' AS name;
CREATE FUNCTION write_plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line !~ '^ *(Output|Query Identifier|Batch Size|InitPlan)\M' THEN
            RETURN NEXT line;
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION is_direct(query text) RETURNS boolean LANGUAGE sql AS
$$ SELECT bool_or(line ~ 'Foreign (Update|Delete)') FROM write_plan(query) AS line $$;
\pset tuples_only on
\pset format unaligned

-- By id: no read
SELECT write_plan($$UPDATE account SET name = 'x' WHERE id = '00000000-0000-4000-8000-000000000001'$$);
SELECT write_plan($$DELETE FROM account WHERE id = '00000000-0000-4000-8000-000000000001'$$);
SELECT write_plan($$UPDATE account SET name = 'x' WHERE id IN ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001')$$);
SELECT write_plan($$DELETE FROM account WHERE id = ANY ('{}')$$);
SELECT write_plan($$DELETE FROM account WHERE id = ANY ('{NULL}')$$);
SELECT write_plan($$UPDATE account SET name = upper('x') || current_user, n = NULL, parent = '00000000-0000-4000-8000-000000000002' WHERE id = '00000000-0000-4000-8000-000000000001'$$);
SELECT write_plan($$DELETE FROM account WHERE id = (SELECT md5(name)::uuid FROM here)$$);
SELECT write_plan($$DELETE FROM account WHERE id = ANY (ARRAY(SELECT md5(name)::uuid FROM here))$$);
SET plan_cache_mode = force_generic_plan;
PREPARE by_id (uuid, text) AS UPDATE account SET name = $2 WHERE id = $1;
SELECT write_plan($$EXECUTE by_id ('00000000-0000-4000-8000-000000000001', 'x')$$);
RESET plan_cache_mode;

-- By the alternate key, when its types compare as SQL does: text does not
ALTER FOREIGN TABLE account OPTIONS (ADD key 'parent, n');
SELECT write_plan($$UPDATE account SET name = 'x' WHERE n = 7 AND parent = '00000000-0000-4000-8000-000000000001'$$);
SELECT write_plan($$DELETE FROM account WHERE n = (SELECT n FROM here) AND parent = '00000000-0000-4000-8000-000000000001'$$);
SELECT write_plan($$UPDATE account SET n = 8 WHERE n = 7 AND parent = '00000000-0000-4000-8000-000000000001'$$);
SELECT write_plan($$DELETE FROM account WHERE n = 7 AND parent IN ('00000000-0000-4000-8000-000000000001')$$);
ALTER FOREIGN TABLE account OPTIONS (SET key 'no');
SELECT is_direct($$DELETE FROM account WHERE no = 'A'$$);
ALTER FOREIGN TABLE account OPTIONS (DROP key);

-- By other conditions that the service answers exactly: ids are read
SELECT write_plan($$UPDATE account SET name = 'x' WHERE n = 7$$);
SELECT write_plan($$DELETE FROM account WHERE n BETWEEN 1 AND 5 AND parent IS NULL$$);
SELECT write_plan($$DELETE FROM account$$);
SELECT write_plan($$DELETE FROM account WHERE id = '00000000-0000-4000-8000-000000000001' AND n = 7$$);
SELECT write_plan($$DELETE FROM account WHERE id <> '00000000-0000-4000-8000-000000000001'$$);

-- Row by row
SELECT query, is_direct(query) FROM (VALUES
    ($$UPDATE account SET name = 'x' WHERE no = 'A'$$),
    ($$UPDATE account SET name = 'x' WHERE id = '00000000-0000-4000-8000-000000000001' AND no = 'A'$$),
    ($$UPDATE account SET name = name || 'x' WHERE n = 7$$),
    ($$UPDATE account SET n = n + 1 WHERE n = 7$$),
    ($$UPDATE account SET n = random() WHERE n = 7$$),
    ($$UPDATE account SET (name, n) = (SELECT name, n FROM here) WHERE n = 7$$),
    ($$UPDATE account SET (name, n) = (SELECT h.name, account.n FROM here h) WHERE n = 7$$),
    ($$UPDATE account SET name = h.name FROM here h WHERE account.n = h.n$$),
    ($$DELETE FROM account USING here h WHERE account.n = h.n$$),
    ($$DELETE FROM account WHERE n IN (SELECT n FROM here)$$),
    ($$DELETE FROM account WHERE EXISTS (SELECT FROM here) AND n = 7$$),
    ($$DELETE FROM account WHERE n = 7 AND random() < 0.5$$),
    ($$UPDATE account SET name = 'x' WHERE n = 7 RETURNING name$$),
    ($$DELETE FROM account WHERE n = 7 RETURNING 1$$),
    ($$WITH gone AS (DELETE FROM account WHERE n = 7) SELECT 1$$)) AS q (query);
SELECT write_plan($$UPDATE account SET name = name || 'x' WHERE n = 7$$);

-- What cannot be set is an error in either form
UPDATE account SET created = now() WHERE id = '00000000-0000-4000-8000-000000000001';
UPDATE account SET id = '00000000-0000-4000-8000-000000000002' WHERE id = '00000000-0000-4000-8000-000000000001';

-- A label can be set, and is resolved when the statement runs
EXPLAIN (VERBOSE, COSTS OFF) UPDATE account SET state_label = 'x' WHERE id = '00000000-0000-4000-8000-000000000001';
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO account (name, state_label) VALUES ('a', 'x');

-- Triggers for rows, generated columns and check options need the row here
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER each_row BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT is_direct($$UPDATE account SET name = 'x' WHERE n = 7$$), is_direct($$DELETE FROM account WHERE n = 7$$);
DROP TRIGGER each_row ON account;
CREATE TRIGGER each_statement BEFORE UPDATE ON account FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT is_direct($$UPDATE account SET name = 'x' WHERE n = 7$$);
DROP TRIGGER each_statement ON account;
CREATE VIEW small AS SELECT * FROM account WHERE n < 10 WITH CHECK OPTION;
SELECT is_direct($$UPDATE small SET name = 'x' WHERE n = 7$$), is_direct($$DELETE FROM small WHERE n = 7$$);
DROP VIEW small;
ALTER FOREIGN TABLE account ADD twice integer GENERATED ALWAYS AS (n * 2) STORED;
SELECT is_direct($$UPDATE account SET name = 'x' WHERE n = 7$$);
ALTER FOREIGN TABLE account DROP twice;

-- Other kinds of tables
ALTER FOREIGN TABLE account OPTIONS (ADD table_type 'virtual');
SELECT is_direct($$UPDATE account SET name = 'x' WHERE n = 7$$), is_direct($$UPDATE account SET name = 'x'$$);
ALTER FOREIGN TABLE account OPTIONS (SET table_type 'elastic');
ALTER FOREIGN TABLE account ADD partitionid text;
SELECT is_direct($$DELETE FROM account WHERE id = '00000000-0000-4000-8000-000000000001'$$);
ALTER FOREIGN TABLE account DROP partitionid;
ALTER FOREIGN TABLE account OPTIONS (DROP table_type);

-- Partitions: each by its own way
CREATE TABLE parent (id uuid, name text, n integer, region text) PARTITION BY LIST (region);
CREATE TABLE parent_here PARTITION OF parent FOR VALUES IN ('here');
CREATE FOREIGN TABLE parent_there PARTITION OF parent FOR VALUES IN ('there')
    SERVER nowhere OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid');
ALTER FOREIGN TABLE parent_there ALTER id OPTIONS (ADD attribute_type 'Uniqueidentifier', ADD column_name 'accountid');
SELECT write_plan($$UPDATE parent SET name = 'x' WHERE id = '00000000-0000-4000-8000-000000000001'$$);
SELECT write_plan($$DELETE FROM parent WHERE id = '00000000-0000-4000-8000-000000000001'$$);
DROP TABLE parent;

-- Versions: a read whose rows may change before the write goes row by row
ALTER FOREIGN TABLE account OPTIONS (ADD optimistic_concurrency 'true');
SELECT write_plan($$UPDATE account SET name = 'x' WHERE n = 7$$);
SELECT is_direct($$UPDATE account SET name = 'x' WHERE id = '00000000-0000-4000-8000-000000000001'$$);
ALTER FOREIGN TABLE account OPTIONS (SET optimistic_concurrency 'maybe');
ALTER FOREIGN TABLE account OPTIONS (DROP optimistic_concurrency);

-- By which key an INSERT goes
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
SET dataverse_fdw.key = 'account(no)';
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x') ON CONFLICT DO NOTHING$$);
SET dataverse_fdw.key = 'public.account (parent, n), elsewhere(x)';
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
SET dataverse_fdw.key = 'public.account (parent, n)';
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
ALTER FOREIGN TABLE account OPTIONS (ADD key 'no');
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
SET dataverse_fdw.key = 'here(n), account()';
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
SET dataverse_fdw.key = 'no';
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
RESET dataverse_fdw.key;
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
SET dataverse_fdw.kye = 'account(no)';

-- All or nothing
ALTER FOREIGN TABLE account OPTIONS (ADD transaction 'session');
ALTER FOREIGN TABLE account OPTIONS (ADD transaction 'statement');
SELECT write_plan($$INSERT INTO account (no, name) VALUES ('A', 'x')$$);
INSERT INTO account (no) VALUES ('A') RETURNING created;
\pset tuples_only off
\pset format aligned
DROP SERVER nowhere CASCADE;
DROP TABLE here;
DROP FUNCTION write_plan, is_direct, nothing;
