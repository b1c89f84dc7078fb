-- Key joins: the keys of many outer rows in one request.  Which joins become
-- one, and what each of them sends; no network.
\set VERBOSITY terse
CREATE SERVER nowhere FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (access_token 'x');
CREATE FOREIGN TABLE far (
    id uuid OPTIONS (attribute_type 'Uniqueidentifier', column_name 'accountid'),
    no text OPTIONS (attribute_type 'String', column_name 'accountnumber'),
    name text OPTIONS (attribute_type 'String'),
    n integer OPTIONS (attribute_type 'Integer', column_name 'numberofemployees'),
    money numeric OPTIONS (attribute_type 'Money', column_name 'revenue'),
    dbl float8 OPTIONS (attribute_type 'Double', column_name 'address1_latitude'),
    ts timestamptz OPTIONS (attribute_type 'DateTime', column_name 'createdon'),
    parent uuid OPTIONS (attribute_type 'Lookup', column_name '_parentaccountid_value'),
    untyped text OPTIONS (column_name 'telephone1')
) SERVER nowhere OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid', key 'no');
CREATE TABLE near AS SELECT n, md5(n::text)::uuid AS id, 'A-' || n AS no, n % 100 AS small, n::float8 AS dbl, now() AS ts FROM generate_series(1, 10000) n;
CREATE UNIQUE INDEX ON near (n);
ANALYZE near;

-- Only what tells the plan: nodes, join, what is sent
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line !~ '^ *(Output|Query Identifier|Remote Request):?' THEN
            -- from 16 a derived equality may stand the other way round; before 17 an InitPlan names its parameter
            RETURN NEXT regexp_replace(replace(line, '(f.n = l.small)', '(l.small = f.n)'), ' \(returns \$\d+\)$', '');
        END IF;
    END LOOP;
END $$;

-- The whole of one
EXPLAIN (VERBOSE, COSTS OFF) SELECT l.n, f.name FROM near l JOIN far f ON f.id = l.id;

-- Join types
SELECT plan_of('SELECT l.n, f.name FROM near l LEFT JOIN far f ON f.no = l.no');
SELECT plan_of('SELECT l.n FROM near l WHERE EXISTS (SELECT FROM far f WHERE f.no = l.no)');
SELECT plan_of('SELECT l.n FROM near l WHERE NOT EXISTS (SELECT FROM far f WHERE f.no = l.no)');
SELECT plan_of('SELECT f.name FROM far f WHERE f.id IN (SELECT id FROM near)');
SELECT plan_of('SELECT f.name FROM far f WHERE (f.id, f.n) IN (SELECT id, n FROM near)');
SELECT plan_of('SELECT l.n, f.name FROM near l, LATERAL (SELECT name FROM far WHERE no = l.no) f');
SELECT plan_of('SELECT l.n, f.name FROM far f RIGHT JOIN near l ON f.no = l.no');

-- The foreign side must be whole: no key join
SELECT plan_of('SELECT l.n, f.name FROM far f LEFT JOIN near l ON f.no = l.no');
SELECT plan_of('SELECT l.n, f.name FROM far f FULL JOIN near l ON f.no = l.no');

-- Conditions beside the key: sent, checked here, of the join, above it
SELECT plan_of('SELECT l.n, f.name FROM near l JOIN far f ON f.id = l.id AND f.n > l.small AND f.money > 1000 AND f.name ~ ''x''');
SELECT plan_of('SELECT l.n, f.name FROM near l LEFT JOIN far f ON f.id = l.id AND f.n > l.small WHERE f.name IS NULL OR f.n > l.n');
-- two equalities: the one that names one row
SELECT plan_of('SELECT l.n FROM near l JOIN far f ON f.n = l.small AND f.id = l.id');
-- keys that are expressions; types that differ
SELECT plan_of('SELECT l.n FROM near l JOIN far f ON f.no = upper(l.no) || ''x''');
SELECT plan_of('SELECT l.n FROM near l JOIN far f ON f.no = l.no::varchar(5)');

-- Other types; and no key join where the list cannot be cut into requests, is
-- not sent, or its operator has no hash
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT plan_of('SELECT l.n FROM near l JOIN far f ON f.ts = l.ts');
SELECT plan_of('SELECT l.n FROM near l JOIN far f ON f.money = l.n');
SELECT plan_of('SELECT l.n FROM near l JOIN far f ON f.n = l.n::bigint');
CREATE FUNCTION is_key_join(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
        IF line ~ 'Key Join' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;
SELECT is_key_join('SELECT FROM near l JOIN far f ON f.no = l.no') AS yes,
       is_key_join('SELECT FROM near l JOIN far f ON f.dbl = l.dbl') AS cannot_be_cut,
       is_key_join('SELECT FROM near l JOIN far f ON f.untyped = l.no') AS not_sent,
       is_key_join('SELECT FROM near l JOIN far f ON f.ts = l.ts::date') AS not_hashable,
       is_key_join('SELECT FROM near l JOIN far f ON f.n < l.n') AS no_equality;
-- Locked and changed rows of the other side are no obstacle; a table that the
-- statement itself changes is not read in batches
SELECT is_key_join('SELECT FROM near l JOIN far f ON f.no = l.no FOR UPDATE OF l') AS locked,
       is_key_join('UPDATE near l SET n = f.n FROM far f WHERE f.no = l.no') AS near_changed,
       is_key_join('UPDATE far f SET n = l.n FROM near l WHERE f.no = l.no') AS far_changed,
       is_key_join('DELETE FROM far f USING near l WHERE f.no = l.no') AS far_deleted;
SET dataverse_fdw.enable_key_join = off;
SELECT is_key_join('SELECT FROM near l JOIN far f ON f.no = l.no') AS switched_off;
RESET ALL;

-- The planner's choice by size: 10,000 keys to a million rows, to 20,000; few keys; one key
CREATE FUNCTION size_of_far(rows real, pages integer) RETURNS void LANGUAGE sql AS
    'UPDATE pg_class SET reltuples = rows, relpages = pages WHERE oid = ''far''::regclass';
SELECT size_of_far(1000000, 100000);
SELECT plan_of('SELECT l.n, f.name FROM near l JOIN far f ON f.id = l.id');
SELECT size_of_far(20000, 2000);
SELECT plan_of('SELECT l.n, f.name FROM near l JOIN far f ON f.id = l.id');
SELECT plan_of('SELECT l.n, f.name FROM near l JOIN far f ON f.id = l.id WHERE l.small = 5');
SELECT plan_of('SELECT l.n, f.name FROM near l JOIN far f ON f.id = l.id WHERE l.n = 5');
-- a restriction that leaves few foreign rows: those
SELECT plan_of('SELECT l.n, f.name FROM near l JOIN far f ON f.parent = l.id WHERE f.no = ''A-5''');
-- the form that names the list itself
SELECT plan_of('SELECT f.name FROM far f WHERE f.id = ANY (ARRAY(SELECT id FROM near))');

DROP FUNCTION plan_of, is_key_join, size_of_far;
DROP TABLE near;
DROP SERVER nowhere CASCADE;
