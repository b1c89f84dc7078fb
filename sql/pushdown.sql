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
        IF line ~ '(Remote Filter|Remote Request|Remote Pieces|^ *Filter|One-Time Filter|Limit|Sort|Sort Key|Nested Loop|Key Join|Hash Join|Hash Cond|Aggregate|Foreign Scan)' THEN
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
-- a date or a timestamp beside an instant: the session's time zone
SET timezone = 'America/New_York';
SELECT sent('ts >= date ''2024-01-31''');
SELECT sent('ts < timestamp ''2024-07-01 00:00:00''');
SELECT sent('date ''2024-03-10'' < ts');
SELECT sent('ts = ANY (ARRAY[date ''2024-01-31'', ''infinity''])');
SET timezone = 'UTC';
SELECT sent('local > date ''2024-01-31''');
SELECT sent('day <= timestamp ''2024-01-31 12:00''');
SELECT sent('day > timestamp ''1969-12-31 12:00''');
SELECT sent('day = timestamp ''2024-01-31 12:00''');
-- an instant has no timestamp that could stand for it: clocks go back
SELECT sent('local > timestamptz ''2024-01-31 00:00+00''');
SELECT sent('day > timestamptz ''2024-01-31 00:00+00''');
-- casts that keep the number, and one that does not
SELECT sent('i = 2.5');
SELECT sent('i < 2.5');
SELECT sent('i::bigint = 7');
SELECT sent('i = 1.5::float8');
SELECT sent('dec > 1.5::float8');
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
SELECT sent('i IS NOT DISTINCT FROM 1');
SELECT sent('day IS DISTINCT FROM NULL');
SELECT sent('txt IS NOT DISTINCT FROM ''a''');
SELECT sent('txt IS DISTINCT FROM ''a''');
SELECT sent('ts IS DISTINCT FROM ''2024-01-31 08:00:00.5+00''');
-- AND, OR, NOT
SELECT sent('i = 1 AND txt <> ''a''');
SELECT sent('i = 1 OR txt <> ''a''');
SELECT sent('i = 1 OR (txt = ''a'' AND memo <> ''b'')');
SELECT sent('NOT (i = 1 OR day = ''2024-01-31'')');
SELECT sent('NOT (i = 1 AND txt = ''a'')');
SELECT sent('i = 1 AND (day IS NULL OR flag)');
-- labels: their value goes out; which one is asked when the scan begins
SELECT sent('choice_label = ''Retail''');
SELECT sent('choice_label IN (''Retail'', ''Services'')');
SELECT sent('i = 1 OR choice_label = ''Retail''');
SELECT sent('choice_label <> ''Retail''');
SELECT sent('choice_label LIKE ''R%''');
-- never sent
SELECT sent('choices @> ARRAY[1]');
SELECT sent('untyped = ''a''');
SELECT sent('i = big');
SELECT sent('i + 1 = 2');
SELECT sent('random() < 0.5');
-- stable expressions are evaluated here and sent as literals
SELECT sent('i = length(current_setting(''datestyle'')) - 8');

-- a list that may grow beyond a request, where it cannot be cut: left out then, so rechecked
SELECT sent('i <> ALL (string_to_array(current_setting(''max_identifier_length''), '','')::int[])');
SELECT sent('flag OR i = ANY (string_to_array(''1,2'', '','')::int[])');
SELECT sent('i = ANY (string_to_array(current_setting(''max_identifier_length''), '','')::int[]) AND i < 0');
-- a domain, a char(n) column, a collation that calls different texts equal
CREATE DOMAIN posint AS integer CHECK (value > 0);
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
ALTER FOREIGN TABLE everything
    ADD COLUMN dom posint OPTIONS (attribute_type 'Integer', column_name 'sample_integer'),
    ADD COLUMN ch char(5) OPTIONS (attribute_type 'String', column_name 'sample_code'),
    ADD COLUMN vague text OPTIONS (attribute_type 'String', column_name 'sample_string') COLLATE blind;
SELECT sent('dom = 5');
SELECT sent('ch = ''a''');
SELECT sent('vague = ''a''');
SELECT sent('vague IN (''a'', ''b'')');
SELECT sent('txt = ''a'' COLLATE blind');
ALTER FOREIGN TABLE everything DROP COLUMN dom, DROP COLUMN ch, DROP COLUMN vague;
DROP DOMAIN posint;
DROP COLLATION blind;

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
-- nulls may occur, and their place is not documented: a request of their own, before or after
SELECT plan_of('SELECT id FROM everything ORDER BY i LIMIT 10');
SELECT plan_of('SELECT id FROM everything ORDER BY i DESC LIMIT 10');
SELECT plan_of('SELECT id FROM everything WHERE big > 0 ORDER BY i NULLS FIRST, big LIMIT 10');
-- only for the first key
SELECT plan_of('SELECT id FROM everything WHERE big > 0 ORDER BY big, i LIMIT 10');
-- a recheck may drop rows
SELECT plan_of('SELECT id FROM everything WHERE i > 0 AND txt = ''a'' ORDER BY i LIMIT 10');
-- no key after a timestamp
SELECT plan_of('SELECT id FROM everything WHERE ts > ''2024-01-01'' AND i > 0 ORDER BY ts, i LIMIT 10');
SELECT plan_of('SELECT id FROM everything WHERE ts > ''2024-01-01'' AND i > 0 ORDER BY i, ts LIMIT 10');
-- never by text, uuid, lookup, boolean, state
SELECT plan_of('SELECT id FROM everything WHERE txt IS NOT NULL ORDER BY txt LIMIT 10');
SELECT plan_of('SELECT id FROM everything WHERE id IS NOT NULL ORDER BY id LIMIT 10');
SELECT plan_of('SELECT id FROM everything WHERE flag ORDER BY flag, look LIMIT 10');
-- an empty list is unlike everything, null too: no order by a nullable column from it
SELECT plan_of('SELECT id FROM everything WHERE i <> ALL (ARRAY[1, 2]) ORDER BY i LIMIT 10');
-- WITH TIES may take more rows; a limit that is not a constant is not known
SELECT plan_of('SELECT id FROM everything WHERE i > 0 ORDER BY i FETCH FIRST 3 ROWS WITH TIES');
SELECT plan_of('SELECT id FROM everything WHERE i > 0 ORDER BY i LIMIT length(current_setting(''datestyle''))');
-- min and max are an order and a limit
SELECT plan_of('SELECT max(i) FROM everything');
-- beyond $top
SELECT plan_of('SELECT id FROM everything LIMIT 6000');
-- DISTINCT, grouping and joins take more rows than LIMIT says
SELECT plan_of('SELECT DISTINCT i FROM everything LIMIT 10');

-- a join by key: the outer value goes out (many at once: keyjoin.sql)
CREATE TABLE orders (no integer, account uuid);
INSERT INTO orders SELECT n, gen_random_uuid() FROM generate_series(1, 3) n;
ANALYZE orders;
SET dataverse_fdw.enable_key_join = off;
SELECT plan_of('SELECT o.no, e.txt FROM orders o JOIN everything e ON e.id = o.account');
RESET dataverse_fdw.enable_key_join;

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
