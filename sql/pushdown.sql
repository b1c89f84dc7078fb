-- What is sent and what is rechecked, row by row of the README's table.
-- Planning needs no network: nothing listens at this address.
\set VERBOSITY terse
SET timezone = 'UTC';
CREATE SERVER nowhere FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (access_token 'x');
CREATE FOREIGN TABLE everything (
    id uuid OPTIONS (attribute_type 'Uniqueidentifier', column_name 'sample_everythingid'),
    txt text OPTIONS (attribute_type 'String', column_name 'sample_string'),
    memo text OPTIONS (attribute_type 'Memo', column_name 'sample_memo'),
    vc varchar(10) OPTIONS (attribute_type 'String', column_name 'sample_code'),
    i integer OPTIONS (attribute_type 'Integer', column_name 'sample_integer'),
    big bigint OPTIONS (attribute_type 'BigInt', column_name 'versionnumber'),
    dec numeric OPTIONS (attribute_type 'Decimal', column_name 'sample_decimal'),
    cut numeric(10,2) OPTIONS (attribute_type 'Decimal', column_name 'sample_decimal'),
    money numeric OPTIONS (attribute_type 'Money', column_name 'sample_money'),
    dbl float8 OPTIONS (attribute_type 'Double', column_name 'sample_double'),
    flag boolean OPTIONS (attribute_type 'Boolean', column_name 'sample_boolean'),
    choice integer OPTIONS (attribute_type 'Picklist', column_name 'sample_choice'),
    choice_label text OPTIONS (label_of 'sample_choice'),
    choices integer[] OPTIONS (attribute_type 'MultiSelectPicklist', column_name 'sample_choices'),
    ts timestamptz OPTIONS (attribute_type 'DateTime', column_name 'sample_datetime'),
    local timestamp OPTIONS (attribute_type 'TimeZoneIndependent', column_name 'sample_floating'),
    day date OPTIONS (attribute_type 'DateOnly', column_name 'sample_date'),
    look uuid OPTIONS (attribute_type 'Lookup', column_name 'sample_lookup'),
    untyped text OPTIONS (column_name 'sample_untyped')
) SERVER nowhere OPTIONS (table_name 'sample_everything', entity_set_name 'sample_everythings',
                          primary_id 'sample_everythingid');

-- Prints what a condition becomes: the request's filter, and what is checked here.
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line ~ '(Remote Filter|Remote Request|^ *Filter|One-Time Filter|Limit|Sort|Sort Key|Nested Loop|Hash Join|Hash Cond|Aggregate|Foreign Scan)' THEN
            RETURN NEXT line;
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION sent(condition text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM everything WHERE ' || condition LOOP
        IF line ~ '(Remote Filter|Request: none|^ *Filter|One-Time Filter)' THEN
            RETURN NEXT btrim(line);
        END IF;
    END LOOP;
END $$;

-- The request as it goes out
SELECT plan_of('SELECT id, txt, money FROM everything WHERE i = 5 AND txt = ''O''''Brian & Söhne''');

-- EXACT: integers, choices, numbers
SELECT sent('i = 5');
SELECT sent('i <> 5');
SELECT sent('5 < i');
SELECT sent('i BETWEEN 1 AND 10');
SELECT sent('i = 5000000000');
SELECT sent('i < 5000000000');
SELECT sent('big >= 9223372036854775807');
SELECT sent('choice = 100000001');
SELECT sent('choice IN (1, 2, NULL)');
SELECT sent('choice NOT IN (1, 2)');
SELECT sent('dec = 99999999999.1234567891');
SELECT sent('dec < 0.12345678919');
SELECT sent('money >= 922337203685477.5807');
SELECT sent('money = ''NaN''');
-- a scale that rounds when read keeps the comparison here
SELECT sent('cut = 1.25');
-- SUPERSET: doubles, bounds widened
SELECT sent('dbl = 47.63958');
SELECT sent('dbl > 1');
SELECT sent('dbl <> 1');
SELECT sent('dbl = ''NaN''');
-- booleans
SELECT sent('flag');
SELECT sent('NOT flag');
SELECT sent('flag = false');
SELECT sent('flag IS NOT TRUE');
SELECT sent('flag IS UNKNOWN');
-- dates and times
SELECT sent('day >= ''2024-01-31''');
SELECT sent('day < ''infinity''');
SELECT sent('day = ''0044-03-15 BC''');
SELECT sent('ts = ''2024-01-31 08:00:00+00''');
SELECT sent('ts > ''2024-01-31 08:00:00.347+00''');
SELECT sent('ts <= ''2024-01-31 08:00:00+00''');
SELECT sent('ts <> ''2024-01-31 08:00:00+00''');
SELECT sent('ts = ''2024-01-31 08:00:00.5+00''');
SELECT sent('local < ''2024-01-31 08:00:00''');
SELECT sent('ts <= ''9999-12-31 23:59:59+00''');
-- ids and lookups
SELECT sent('id = ''3F2504E0-4F89-11D3-9A0C-0305E82C3301''');
SELECT sent('look = ''3f2504e0-4f89-11d3-9a0c-0305e82c3301''');
SELECT sent('look IN (''3f2504e0-4f89-11d3-9a0c-0305e82c3301'', ''3f2504e0-4f89-11d3-9a0c-0305e82c3302'')');
SELECT sent('look > ''3f2504e0-4f89-11d3-9a0c-0305e82c3301''');
-- text: sent as a superset, checked here
SELECT sent('txt = ''Fourth Coffee''');
SELECT sent('txt = ''''');
SELECT sent('txt IN (''a'', ''b'')');
SELECT sent('txt <> ''a''');
SELECT sent('txt NOT IN (''a'', ''b'')');
SELECT sent('txt < ''a''');
SELECT sent('vc = ''a''');
SELECT sent('txt LIKE ''50\%%''');
SELECT sent('txt LIKE ''%[x]_y''');
SELECT sent('txt NOT LIKE ''a%''');
SELECT sent('txt ILIKE ''abc%''');
SELECT sent('starts_with(txt, ''a_b'')');
SELECT sent('txt ^@ ''a''');
SELECT sent('txt ~ ''^a''');
SELECT sent('upper(txt) = ''A''');
SELECT sent('txt COLLATE "C" < ''a''');
-- nulls
SELECT sent('i IS NULL');
SELECT sent('i IS NOT NULL');
SELECT sent('txt IS NULL');
SELECT sent('i = NULL');
SELECT sent('i IS DISTINCT FROM 1');
-- AND, OR, NOT
SELECT sent('i = 1 AND txt <> ''a''');
SELECT sent('i = 1 OR txt <> ''a''');
SELECT sent('i = 1 OR (txt = ''a'' AND memo <> ''b'')');
SELECT sent('NOT (i = 1 OR day = ''2024-01-31'')');
SELECT sent('NOT (i = 1 AND txt = ''a'')');
SELECT sent('i = 1 AND (day IS NULL OR flag)');
-- never sent
SELECT sent('choice_label = ''Retail''');
SELECT sent('choices @> ARRAY[1]');
SELECT sent('untyped = ''a''');
SELECT sent('i = big');
SELECT sent('i + 1 = 2');
SELECT sent('random() < 0.5');
-- stable expressions are evaluated here and sent as literals
SELECT sent('i = length(current_setting(''datestyle'')) - 8');

-- parameters
PREPARE by_number(integer, text) AS SELECT id FROM everything WHERE i = $1 AND txt = $2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE by_number(7, 'x');
RESET plan_cache_mode;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE by_number(7, 'x');
DEALLOCATE by_number;

-- ORDER BY and LIMIT
SELECT plan_of('SELECT id FROM everything WHERE i > 0 ORDER BY i LIMIT 10');
SELECT plan_of('SELECT id FROM everything WHERE i > 0 ORDER BY i DESC NULLS LAST LIMIT 10 OFFSET 5');
SELECT plan_of('SELECT id FROM everything WHERE i > 0 LIMIT 10');
-- nulls may occur: their place is not known
SELECT plan_of('SELECT id FROM everything ORDER BY i LIMIT 10');
-- a recheck may drop rows
SELECT plan_of('SELECT id FROM everything WHERE i > 0 AND txt = ''a'' ORDER BY i LIMIT 10');
-- no key after a timestamp
SELECT plan_of('SELECT id FROM everything WHERE ts > ''2024-01-01'' AND i > 0 ORDER BY ts, i LIMIT 10');
SELECT plan_of('SELECT id FROM everything WHERE ts > ''2024-01-01'' AND i > 0 ORDER BY i, ts LIMIT 10');
-- never by text, uuid, lookup, boolean, state
SELECT plan_of('SELECT id FROM everything WHERE txt IS NOT NULL ORDER BY txt LIMIT 10');
SELECT plan_of('SELECT id FROM everything WHERE id IS NOT NULL ORDER BY id LIMIT 10');
SELECT plan_of('SELECT id FROM everything WHERE flag ORDER BY flag, look LIMIT 10');
-- beyond $top
SELECT plan_of('SELECT id FROM everything LIMIT 6000');
-- DISTINCT, grouping and joins take more rows than LIMIT says
SELECT plan_of('SELECT DISTINCT i FROM everything LIMIT 10');

-- a join by key: the outer value goes out
CREATE TABLE orders (no integer, account uuid);
INSERT INTO orders SELECT n, gen_random_uuid() FROM generate_series(1, 3) n;
ANALYZE orders;
SELECT plan_of('SELECT o.no, e.txt FROM orders o JOIN everything e ON e.id = o.account');

-- columns: only the needed ones, the key where none is needed
SELECT plan_of('SELECT count(*) FROM everything');
SELECT plan_of('SELECT 1 FROM everything WHERE txt <> memo');
SELECT plan_of('SELECT e FROM everything e');
SELECT plan_of('SELECT choice_label FROM everything');

-- a virtual table's provider may ignore what it is told
ALTER FOREIGN TABLE everything OPTIONS (ADD table_type 'virtual');
SELECT sent('i = 5');
SELECT plan_of('SELECT id FROM everything WHERE i > 0 ORDER BY i LIMIT 10');

DROP TABLE orders;
DROP SERVER nowhere CASCADE;
DROP FUNCTION sent(text);
DROP FUNCTION plan_of(text);
