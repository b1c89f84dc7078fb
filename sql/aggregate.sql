-- Which aggregates are sent, as which requests, and which stay here.
-- Planning needs no network: nothing listens at this address.
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on
CREATE SERVER nowhere FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (access_token 'x');
CREATE FOREIGN TABLE everything (
    id uuid OPTIONS (attribute_type 'Uniqueidentifier', column_name 'sample_everythingid') NOT NULL,
    txt text OPTIONS (attribute_type 'String', column_name 'sample_string'),
    i integer OPTIONS (attribute_type 'Integer', column_name 'sample_integer'),
    small smallint OPTIONS (attribute_type 'Integer', column_name 'sample_smallinteger'),
    wide numeric OPTIONS (attribute_type 'Integer', column_name 'sample_wide'),
    big bigint OPTIONS (attribute_type 'BigInt', column_name 'versionnumber'),
    dec numeric OPTIONS (attribute_type 'Decimal', column_name 'sample_decimal'),
    cut numeric(10,2) OPTIONS (attribute_type 'Decimal', column_name 'sample_decimal'),
    money numeric OPTIONS (attribute_type 'Money', column_name 'sample_money'),
    dbl float8 OPTIONS (attribute_type 'Double', column_name 'sample_double'),
    flag boolean OPTIONS (attribute_type 'Boolean', column_name 'sample_boolean'),
    choice integer OPTIONS (attribute_type 'Picklist', column_name 'sample_choice'),
    choice_label text OPTIONS (label_of 'sample_choice'),
    state integer OPTIONS (attribute_type 'State', column_name 'statecode') NOT NULL,
    ts timestamptz OPTIONS (attribute_type 'DateTime', column_name 'createdon'),
    local timestamp OPTIONS (attribute_type 'TimeZoneIndependent', column_name 'sample_floating'),
    day date OPTIONS (attribute_type 'DateOnly', column_name 'sample_date'),
    look uuid OPTIONS (attribute_type 'Lookup', column_name 'sample_lookup'),
    untyped integer OPTIONS (column_name 'sample_untyped')
) SERVER nowhere OPTIONS (table_name 'sample_everything', entity_set_name 'sample_everythings',
                          primary_id 'sample_everythingid');
-- a size of its own: what is assumed of an unknown table is none of this script's business
UPDATE pg_class SET reltuples = 10000, relpages = 1000 WHERE oid = 'everything'::regclass;

-- The requests, readable, when the aggregate is sent; else the node that computes it.
CREATE FUNCTION sent(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    found boolean := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line ~ '^ *(->)? *Foreign Scan$' THEN
            found := true;
        ELSIF found AND line ~ '->' THEN
            EXIT;
        ELSIF found AND line ~ '(Remote Request|Filter:)' THEN
            line := regexp_replace(btrim(line), 'Remote Request( \d+)?: GET sample_everythings\?\$apply=', '');
            RETURN NEXT replace(replace(line, '%20', ' '), '%24', '$');
        END IF;
    END LOOP;
    IF NOT found THEN
        RETURN NEXT 'computed here';
    END IF;
END $$;

-- counts
SELECT sent('SELECT count(*) FROM everything');
SELECT sent('SELECT count(1) FROM everything');
SELECT sent('SELECT count(*) FROM everything WHERE i > 5 AND flag');
SELECT sent('SELECT count(*), count(id), count(state) FROM everything');
SELECT sent('SELECT count(i) FROM everything');
SELECT sent('SELECT count(*), count(i), count(look) FROM everything');
SELECT sent('SELECT count(NULL) FROM everything');
-- the empty string may be stored as null
SELECT sent('SELECT count(txt) FROM everything');
SELECT sent('SELECT count(choice_label) FROM everything');
SELECT sent('SELECT count(untyped) FROM everything');

-- sums and averages: beside them a count, and for decimals a least value
SELECT sent('SELECT sum(i), avg(i) FROM everything');
SELECT sent('SELECT sum(small), sum(wide), sum(big) FROM everything');
SELECT sent('SELECT sum(money), avg(money), count(money), max(money) FROM everything');
SELECT sent('SELECT avg(dec) FROM everything');
SELECT sent('SELECT sum(cut) FROM everything');
SELECT sent('SELECT sum(dbl) FROM everything');
SELECT sent('SELECT sum(choice) FROM everything');
SELECT sent('SELECT sum(i + 1) FROM everything');
SELECT sent('SELECT sum(i::bigint) FROM everything');
SELECT sent('SELECT sum(DISTINCT i) FROM everything');
SELECT sent('SELECT sum(i ORDER BY big) FROM everything');

-- least and greatest
SELECT sent('SELECT count(*), min(i), max(i), min(ts), max(local), min(day), max(dbl) FROM everything');
SELECT sent('SELECT count(*), min(txt) FROM everything');
SELECT sent('SELECT count(*), max(choice) FROM everything');
-- one alone is an order and a limit
SELECT sent('SELECT max(i) FROM everything');

-- other aggregates
SELECT sent('SELECT stddev(i) FROM everything');
SELECT sent('SELECT bool_or(flag) FROM everything');
SELECT sent('SELECT array_agg(i) FROM everything');

-- groups
SELECT sent('SELECT choice, count(*) FROM everything GROUP BY choice');
SELECT sent('SELECT state, flag, look, count(*) FROM everything GROUP BY 1, 2, 3 HAVING count(*) > 1');
-- by the statistics, or without them, too many to come in one answer
SELECT sent('SELECT look, big, count(*) FROM everything GROUP BY 1, 2');
SELECT sent('SELECT choice, count(*), sum(i), avg(i), min(i), sum(money) FROM everything GROUP BY choice');
SELECT sent('SELECT count(*) FROM everything GROUP BY choice ORDER BY choice LIMIT 3');
SELECT sent('SELECT choice + 1, sum(i) * 2 FROM everything GROUP BY choice');
SELECT sent('SELECT choice FROM everything GROUP BY choice HAVING sum(i) > 5');
SELECT sent('SELECT txt, count(*) FROM everything GROUP BY txt');
SELECT sent('SELECT money, count(*) FROM everything GROUP BY money');
SELECT sent('SELECT day, count(*) FROM everything GROUP BY day');
SELECT sent('SELECT ts, count(*) FROM everything GROUP BY ts');
SELECT sent('SELECT choice_label, count(*) FROM everything GROUP BY choice_label');
SELECT sent('SELECT choice / 2, count(*) FROM everything GROUP BY 1');
SELECT sent('SELECT choice, count(*) FROM everything GROUP BY CUBE (choice)');
SELECT sent('SELECT choice, count(*), sum(count(*)) OVER () FROM everything GROUP BY choice');

-- DISTINCT
SELECT sent('SELECT DISTINCT choice, state FROM everything');
SELECT sent('SELECT DISTINCT choice FROM everything WHERE state = 0 ORDER BY choice');
SELECT sent('SELECT DISTINCT choice, txt FROM everything');
SELECT sent('SELECT DISTINCT ON (state) state, choice FROM everything');
SELECT sent('SELECT count(DISTINCT choice), count(DISTINCT state), count(DISTINCT money) FROM everything');
SELECT sent('SELECT state, count(DISTINCT choice) FROM everything GROUP BY state');
SELECT sent('SELECT count(DISTINCT txt) FROM everything');
SELECT sent('SELECT count(DISTINCT day) FROM everything');

-- FILTER
SELECT sent('SELECT count(*) FILTER (WHERE i > 5), sum(money) FILTER (WHERE flag), count(*) FROM everything WHERE big > 0');
SELECT sent('SELECT count(*) FILTER (WHERE txt = ''a'') FROM everything');

-- conditions: all of them exact, or the rows are needed here
SELECT sent('SELECT count(*) FROM everything WHERE txt = ''a''');
SELECT sent('SELECT count(*) FROM everything WHERE random() > 0.5');
SELECT sent('SELECT count(*) FROM everything WHERE dbl > 1');
PREPARE p(int) AS SELECT count(*) FROM everything WHERE i = $1;
SET plan_cache_mode = force_generic_plan;
SELECT sent('EXECUTE p(7)');
SELECT sent('EXECUTE p(5000000)');
SELECT sent('SELECT (SELECT count(*) FROM everything e WHERE e.i = v.n) FROM (VALUES (1), (2)) v(n)');

-- a join takes rows
SELECT sent('SELECT count(*) FROM everything a JOIN everything b ON a.id = b.look');

-- what would have to be read instead stands below
EXPLAIN (VERBOSE, COSTS OFF) SELECT choice, count(*) + 1, sum(money) FROM everything WHERE i > 5 GROUP BY choice HAVING count(*) > 2;

-- costs: few rows are read, many are not; too many groups would come in more than one page
SELECT sent('SELECT choice, count(*), sum(i), sum(big) FROM everything WHERE id = ''00000000-0000-0000-0000-000000000001'' GROUP BY choice');
SELECT sent('SELECT choice, count(*), sum(i), sum(big) FROM everything WHERE i IN (1, 2, 3) GROUP BY choice');
ALTER FOREIGN TABLE everything OPTIONS (ADD fdw_tuple_cost '0', ADD fdw_startup_cost '100000');
SELECT sent('SELECT choice, count(*), sum(i), sum(big) FROM everything GROUP BY choice');
ALTER FOREIGN TABLE everything OPTIONS (DROP fdw_tuple_cost, DROP fdw_startup_cost);

-- the column by which too large an aggregate is cut
ALTER FOREIGN TABLE everything OPTIONS (ADD partition_column 'local');
SELECT sent('SELECT count(*) FROM everything');
ALTER FOREIGN TABLE everything OPTIONS (SET partition_column 'day');
SELECT sent('SELECT count(*) FROM everything');
ALTER FOREIGN TABLE everything OPTIONS (SET partition_column 'sample_floating');
SELECT sent('SELECT count(*) FROM everything');
ALTER FOREIGN TABLE everything OPTIONS (DROP partition_column);

-- only standard tables aggregate
ALTER FOREIGN TABLE everything OPTIONS (ADD table_type 'elastic');
SELECT sent('SELECT count(*) FROM everything');
ALTER FOREIGN TABLE everything OPTIONS (SET table_type 'virtual');
SELECT sent('SELECT count(*) FROM everything');

DROP SERVER nowhere CASCADE;
DROP FUNCTION sent(text);
