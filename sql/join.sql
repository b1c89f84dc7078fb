-- Joins of foreign tables along lookups: which become one request, and what it asks for; no network.
\set VERBOSITY terse
CREATE SERVER nowhere FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://127.0.0.1:9');
CREATE SERVER elsewhere FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://127.0.0.1:10');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (access_token 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere OPTIONS (access_token 'x');
CREATE FOREIGN TABLE account (
    accountid uuid OPTIONS (attribute_type 'Uniqueidentifier'),
    name text OPTIONS (attribute_type 'String'),
    employees integer OPTIONS (attribute_type 'Integer', column_name 'numberofemployees'),
    version bigint OPTIONS (attribute_type 'BigInt', column_name 'versionnumber') NOT NULL,
    industry integer OPTIONS (attribute_type 'Picklist', column_name 'industrycode'),
    industry_label text OPTIONS (label_of 'industrycode'),
    contact uuid OPTIONS (attribute_type 'Lookup', column_name '_primarycontactid_value', navigation_property 'primarycontactid', target 'contacts'),
    parent uuid OPTIONS (attribute_type 'Lookup', column_name '_parentaccountid_value', navigation_property 'parentaccountid', target 'accounts'),
    creator uuid OPTIONS (attribute_type 'Lookup', column_name '_createdby_value', navigation_property 'createdby', target 'systemusers') NOT NULL,
    owner uuid OPTIONS (attribute_type 'Owner', column_name '_ownerid_value'),
    untold uuid OPTIONS (attribute_type 'Lookup', column_name '_masterid_value')
) SERVER nowhere OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid');
CREATE FOREIGN TABLE contact (
    contactid uuid OPTIONS (attribute_type 'Uniqueidentifier'),
    fullname text OPTIONS (attribute_type 'String'),
    children integer OPTIONS (attribute_type 'Integer', column_name 'numberofchildren'),
    state integer OPTIONS (attribute_type 'State', column_name 'statecode'),
    state_label text OPTIONS (label_of 'statecode'),
    born date OPTIONS (attribute_type 'DateOnly', column_name 'birthdate'),
    changer uuid OPTIONS (attribute_type 'Lookup', column_name '_modifiedby_value', navigation_property 'modifiedby', target 'systemusers')
) SERVER nowhere OPTIONS (table_name 'contact', entity_set_name 'contacts', primary_id 'contactid');
CREATE FOREIGN TABLE systemuser (
    systemuserid uuid OPTIONS (attribute_type 'Uniqueidentifier'),
    fullname text OPTIONS (attribute_type 'String'),
    disabled boolean OPTIONS (attribute_type 'Boolean', column_name 'isdisabled')
) SERVER nowhere OPTIONS (table_name 'systemuser', entity_set_name 'systemusers', primary_id 'systemuserid');
CREATE FOREIGN TABLE contact_elsewhere (
    contactid uuid OPTIONS (attribute_type 'Uniqueidentifier'),
    fullname text OPTIONS (attribute_type 'String')
) SERVER elsewhere OPTIONS (table_name 'contact', entity_set_name 'contacts', primary_id 'contactid');
CREATE FOREIGN TABLE contact_elastic (
    contactid uuid OPTIONS (attribute_type 'Uniqueidentifier'),
    fullname text OPTIONS (attribute_type 'String')
) SERVER nowhere OPTIONS (table_name 'contact', entity_set_name 'contacts', primary_id 'contactid', table_type 'elastic');
CREATE FOREIGN TABLE contact_virtual (
    contactid uuid OPTIONS (attribute_type 'Uniqueidentifier'),
    fullname text OPTIONS (attribute_type 'String')
) SERVER nowhere OPTIONS (table_name 'contact', entity_set_name 'contacts', primary_id 'contactid', table_type 'virtual');
CREATE TABLE near (n int);

CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line !~ '^ *(Output|Query Identifier|Remote Dialect):?' THEN
            -- before 17 an InitPlan names its parameter
            RETURN NEXT regexp_replace(replace(line, '%20', ' '), ' \(returns \$\d+\)$', '');
        END IF;
    END LOOP;
END $$;
-- 18 says of every node whether it is disabled
CREATE FUNCTION json_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (COSTS OFF, FORMAT JSON) ' || query INTO plan;
    RETURN jsonb_pretty(plan #- '{0,Plan,Disabled}');
END $$;
-- Is it one request?
CREATE FUNCTION in_one(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ 'Relations:' THEN
            RETURN btrim(line);
        END IF;
    END LOOP;
    RETURN 'here';
END $$;

-- The whole of one, in a few words and in many
EXPLAIN (COSTS OFF) SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact;
EXPLAIN (VERBOSE, COSTS OFF) SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact WHERE a.employees > 10;
SELECT json_of('SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact');

-- What may be joined so is; these settings leave no other way
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SET dataverse_fdw.enable_key_join = off;

-- Join types
SELECT plan_of('SELECT a.name, c.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact');
SELECT plan_of('SELECT a.name, c.fullname FROM contact c RIGHT JOIN account a ON c.contactid = a.contact');
SELECT plan_of('SELECT name FROM account WHERE EXISTS (SELECT FROM contact c WHERE c.contactid = account.contact AND c.children > 2)');
SELECT plan_of('SELECT name FROM account WHERE contact IN (SELECT contactid FROM contact WHERE fullname LIKE ''A%'')');
SELECT plan_of('SELECT name FROM account WHERE NOT EXISTS (SELECT FROM contact c WHERE c.contactid = account.contact AND c.children > 2)');
SELECT plan_of('SELECT a.name FROM account a LEFT JOIN contact c ON c.contactid = a.contact WHERE c.contactid IS NULL');
SELECT plan_of('SELECT a.name, c.fullname FROM account a, LATERAL (SELECT fullname FROM contact WHERE contactid = a.contact) c');

-- Conditions on both sides: exact ones only there, others there and here
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE a.employees < 5 AND c.children = 2 AND c.born < ''1980-01-01''');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.fullname = ''Ann'' AND a.name LIKE ''B%'' AND c.fullname <> ''Bob''');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.children IN (1, 2) AND c.state <> 1');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.children IS NULL');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.children IS DISTINCT FROM 1');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.children = 1 OR a.employees = 2');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.fullname = ''x'' OR a.employees = 2');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.fullname <> ''x'' OR a.employees = 2');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.children > a.employees');
-- labels: the main table's are resolved, a related table's are compared here
SELECT plan_of('SELECT a.industry_label, c.state_label FROM account a JOIN contact c ON c.contactid = a.contact WHERE a.industry_label = ''Retail'' AND c.state_label = ''Active''');

-- On the nullable side nothing is sent
SELECT plan_of('SELECT a.name, c.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact AND c.children = 1 AND a.employees = 2 WHERE a.version > 5');
SELECT plan_of('SELECT a.name, c.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact WHERE c.children IS NULL');
SELECT plan_of('SELECT a.name, c.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact WHERE c.children = 1 OR a.employees = 2');
-- but a condition that no null satisfies makes it an inner join
SELECT plan_of('SELECT a.name, c.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact WHERE c.children = 1');

-- Chains, stars, one table several times
SELECT plan_of('SELECT a.name, c.fullname, u.fullname FROM account a JOIN contact c ON c.contactid = a.contact JOIN systemuser u ON u.systemuserid = c.changer WHERE u.disabled');
SELECT plan_of('SELECT a.name, c.fullname, u.fullname FROM account a LEFT JOIN (contact c JOIN systemuser u ON u.systemuserid = c.changer AND u.disabled) ON c.contactid = a.contact');
SELECT plan_of('SELECT a.name, c.fullname, u.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact JOIN systemuser u ON u.systemuserid = a.creator');
SELECT plan_of('SELECT a.name, p.name, pp.name FROM account a JOIN account p ON p.accountid = a.parent LEFT JOIN account pp ON pp.accountid = p.parent');
SELECT plan_of('SELECT a.name, u1.fullname, u2.fullname FROM account a JOIN contact c ON a.contact = c.contactid JOIN systemuser u1 ON u1.systemuserid = a.creator JOIN systemuser u2 ON u2.systemuserid = c.changer');
SELECT plan_of('SELECT a.name, c.fullname, d.children FROM account a JOIN contact c ON c.contactid = a.contact JOIN contact d ON d.contactid = a.contact');
SELECT plan_of('SELECT a.name FROM account a WHERE EXISTS (SELECT FROM contact c JOIN systemuser u ON u.systemuserid = c.changer WHERE c.contactid = a.contact AND NOT u.disabled)');

-- Order and limit are the main table's
SELECT plan_of('SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact ORDER BY a.version LIMIT 10');
SELECT plan_of('SELECT a.name, c.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact ORDER BY a.employees NULLS FIRST');
SELECT plan_of('SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact ORDER BY c.children');

-- Rows that lead to a row, or none: FetchXML
SELECT plan_of('SELECT c.fullname FROM contact c WHERE EXISTS (SELECT FROM account a WHERE a.contact = c.contactid AND a.employees > 5) AND c.children = 2');
SELECT plan_of('SELECT c.fullname FROM contact c WHERE NOT EXISTS (SELECT FROM account a WHERE a.contact = c.contactid) AND c.fullname LIKE ''A%'' LIMIT 10');
SELECT plan_of('SELECT c.contactid FROM contact c WHERE c.contactid IN (SELECT contact FROM account WHERE version IN (1, 2)) AND NOT EXISTS (SELECT FROM account a WHERE a.contact = c.contactid AND a.industry IS NULL) LIMIT 10');
SELECT plan_of('SELECT a.name FROM account a WHERE EXISTS (SELECT FROM account b WHERE b.parent = a.accountid AND b.employees = (SELECT max(n) FROM near))');
-- only where all that is said of them is exact, and nothing else
SELECT in_one('SELECT c.fullname FROM contact c WHERE EXISTS (SELECT FROM account a WHERE a.contact = c.contactid AND a.name = ''x'')');
SELECT in_one('SELECT c.fullname FROM contact c WHERE EXISTS (SELECT FROM account a WHERE a.contact = c.contactid AND a.industry_label = ''Retail'')');
SELECT in_one('SELECT c.fullname FROM contact c WHERE EXISTS (SELECT FROM account a WHERE a.contact = c.contactid AND a.employees = c.children)');
SELECT in_one('SELECT c.fullname FROM contact c WHERE EXISTS (SELECT FROM account a WHERE a.contact = c.contactid AND a.employees = ANY (ARRAY(SELECT n FROM near)))');
SELECT in_one('SELECT c.fullname FROM contact c WHERE EXISTS (SELECT FROM account a WHERE a.owner = c.contactid)');
SELECT in_one('SELECT c.fullname FROM contact c WHERE EXISTS (SELECT FROM account a WHERE a.contact IS NOT DISTINCT FROM c.contactid)');
SELECT in_one('SELECT c.fullname, a.name FROM contact c JOIN account a ON a.contact = c.contactid');

-- Parameters
SET plan_cache_mode = force_generic_plan;
PREPARE p(int, text) AS SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.children = $1 AND c.fullname = $2;
SELECT plan_of('EXECUTE p(3, ''O''''Neill'')');
SELECT plan_of('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.children = (SELECT max(n) FROM near)');
RESET plan_cache_mode;

-- Not in one request
SELECT in_one('SELECT a.name FROM account a JOIN contact_elsewhere c ON c.contactid = a.contact');
SELECT in_one('SELECT a.name FROM account a JOIN contact_elastic c ON c.contactid = a.contact');
SELECT in_one('SELECT a.name FROM account a JOIN contact_virtual c ON c.contactid = a.contact');
SELECT in_one('SELECT a.name FROM account a JOIN systemuser u ON u.systemuserid = a.contact');
SELECT in_one('SELECT a.name FROM account a JOIN systemuser u ON u.systemuserid = a.owner');
SELECT in_one('SELECT a.name FROM account a JOIN account m ON m.accountid = a.untold');
SELECT in_one('SELECT a.name FROM account a JOIN contact c ON c.contactid <> a.contact');
SELECT in_one('SELECT a.name FROM account a JOIN contact c ON c.contactid::text = a.contact::text');
SELECT in_one('SELECT a.name FROM account a JOIN contact c ON c.changer = a.creator');
SELECT in_one('SELECT a.name FROM account a FULL JOIN contact c ON c.contactid = a.contact');
SELECT in_one('SELECT c.fullname, a.name FROM contact c LEFT JOIN account a ON c.contactid = a.contact');
SELECT in_one('SELECT a FROM account a JOIN contact c ON c.contactid = a.contact');
SELECT in_one('SELECT a.tableoid FROM account a JOIN contact c ON c.contactid = a.contact');
SELECT in_one('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact WHERE (c IS NOT NULL)');
SELECT in_one('SELECT a.name, c.one FROM account a LEFT JOIN (SELECT contactid, 1 AS one FROM contact) c ON c.contactid = a.contact');
SELECT in_one('SELECT a.name FROM account a JOIN contact c ON c.contactid = a.contact FOR UPDATE OF a');
SELECT in_one('UPDATE account a SET name = c.fullname FROM contact c WHERE c.contactid = a.contact');
SELECT in_one('DELETE FROM account a USING contact c WHERE c.contactid = a.contact');
SELECT in_one('UPDATE near SET n = 1 FROM account a JOIN contact c ON c.contactid = a.contact WHERE near.n = a.employees');
-- but what INSERT reads may be
SELECT in_one('INSERT INTO near SELECT a.employees FROM account a JOIN contact c ON c.contactid = a.contact');

-- Another user's tables: one request as that user, none across
CREATE ROLE dataverse_join_reader;
CREATE VIEW theirs AS SELECT contactid, fullname FROM contact;
ALTER VIEW theirs OWNER TO dataverse_join_reader;
GRANT SELECT ON contact TO dataverse_join_reader;
GRANT USAGE ON FOREIGN SERVER nowhere TO dataverse_join_reader;
SELECT in_one('SELECT a.name FROM account a JOIN theirs c ON c.contactid = a.contact');
DROP OWNED BY dataverse_join_reader;
DROP ROLE dataverse_join_reader;

RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_nestloop; RESET dataverse_fdw.enable_key_join;

-- The planner's choices, by the sizes that ANALYZE would have found
CREATE PROCEDURE sizes(accounts real, contacts real) LANGUAGE sql AS $$
    UPDATE pg_class SET reltuples = accounts, relpages = 1 WHERE oid = 'account'::regclass;
    UPDATE pg_class SET reltuples = contacts, relpages = 1 WHERE oid = 'contact'::regclass;
$$;
CREATE FUNCTION nodes(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ '(->|^[A-Z])' THEN
            RETURN NEXT line;
        END IF;
    END LOOP;
END $$;
-- as large: one request
CALL sizes(100000, 100000);
SELECT nodes('SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact');
-- a small table beside a large one is read once
CALL sizes(100000, 10);
SELECT nodes('SELECT a.name, c.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact');
-- but not for the sake of a few rows
SELECT nodes('SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact WHERE a.accountid = ''3f2504e0-4f89-11d3-9a0c-0305e82c3301''');
SELECT nodes('SELECT a.name, c.fullname FROM account a LEFT JOIN contact c ON c.contactid = a.contact LIMIT 10');
-- few of the many: not all of the others
CALL sizes(100000, 100000);
SELECT nodes('SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact WHERE a.industry = 7 AND a.employees = 3');
-- one of the others: its rows by the path
SELECT nodes('SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.contact WHERE c.fullname = ''Ann'' AND c.born = ''1980-01-01''');

DROP FUNCTION plan_of, json_of, in_one, nodes;
DROP PROCEDURE sizes;
DROP TABLE near;
SET client_min_messages = warning;
DROP SERVER nowhere, elsewhere CASCADE;
RESET client_min_messages;
