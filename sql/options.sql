-- Which options exist, where, with which values, and what the errors say.
-- Nothing here needs a network.
CREATE SERVER typo FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (urll 'https://contoso.crm.dynamics.com');
CREATE SERVER typo FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'https://contoso.crm.dynamics.com', fetchsize '10');
CREATE SERVER typo FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'https://contoso.crm.dynamics.com', client_secret 'x');
CREATE SERVER typo FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'https://contoso.crm.dynamics.com', "table" 'x');

-- the address
CREATE SERVER bad FOREIGN DATA WRAPPER dataverse_fdw;
CREATE SERVER bad FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://contoso.crm.dynamics.com');
CREATE SERVER bad FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'https://contoso.crm.dynamics.com/api/data/v9.2');
CREATE SERVER bad FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'contoso.crm.dynamics.com');

-- values
CREATE FUNCTION refused(option text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    words text;
BEGIN
    EXECUTE format('CREATE SERVER refused FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url %L, %I %L)',
                   'https://contoso.crm.dynamics.com', option, value);
    DROP SERVER refused;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS words = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ': ' || SQLERRM || ': ' || words;
END $$;
SELECT option, value, refused(option, value) FROM (VALUES
    ('fetch_size', '1'), ('fetch_size', '5000'), ('fetch_size', '0'), ('fetch_size', '5001'), ('fetch_size', 'many'),
    ('batch_size', '1000'), ('batch_size', '1001'), ('batch_size', ''),
    ('concurrency', '52'), ('concurrency', '53'), ('concurrency', '1.5'),
    ('connect_timeout', '0'), ('request_timeout', '-1'), ('retry_timeout', '0'),
    ('fdw_startup_cost', '12.5'), ('fdw_startup_cost', '-1'), ('fdw_tuple_cost', 'NaN'),
    ('updatable', 'yes'), ('updatable', 'maybe'),
    ('on_conflict', 'nothing'), ('on_conflict', 'merge'),
    ('null_columns', 'omit'), ('null_columns', 'null'),
    ('bypass_business_logic', 'CustomSync,CustomAsync'), ('bypass_business_logic', 'all'),
    ('api_version', 'v9.1'), ('api_version', '9.2'), ('api_version', 'v9.2/..'),
    ('tenant_id', 'contoso.onmicrosoft.com'), ('tenant_id', 'a/b'), ('tenant_id', '..'), ('tenant_id', ''),
    ('authority', 'https://login.microsoftonline.us/'), ('authority', 'http://login.microsoftonline.us'),
    ('tag', 'nightly load'), ('tag', ''), ('tag', E'two\nlines')
) AS v (option, value);

-- a slash at the end is no part of the address
CREATE SERVER crm FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'https://contoso.crm.dynamics.com/');

-- secrets belong to user mappings
CREATE USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (client_secret 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (client_id 'a', client_secret 'x', access_token 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (access_token 'two words');
CREATE USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (access_token 'x', caller_object_id 'somebody');
CREATE USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (client_id 'a');
SELECT dataverse_whoami('crm');
ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (ADD client_secret 'x');
SELECT dataverse_whoami('crm');
SELECT dataverse_whoami('nobody');

-- tables and columns
CREATE FOREIGN TABLE t (a integer) SERVER crm;
CREATE FOREIGN TABLE t (a integer) SERVER crm OPTIONS (entity_set_name 'ts', key 'a, a');
CREATE FOREIGN TABLE t (a integer) SERVER crm OPTIONS (entity_set_name 'ts', key '');
CREATE FOREIGN TABLE t (a integer) SERVER crm OPTIONS (entity_set_name 'ts', table_type 'plastic');
CREATE FOREIGN TABLE t (a integer OPTIONS (attribute_type 'Integre')) SERVER crm OPTIONS (entity_set_name 'ts');
CREATE FOREIGN TABLE t (a text OPTIONS (label_of 'b', target_of 'c')) SERVER crm OPTIONS (entity_set_name 'ts');
CREATE FOREIGN TABLE t (a text OPTIONS (colum_name 'b')) SERVER crm OPTIONS (entity_set_name 'ts');
CREATE FOREIGN TABLE t (a integer) SERVER crm OPTIONS (entity_set_name 'ts', key 'b');
EXPLAIN SELECT * FROM t;
ALTER FOREIGN TABLE t OPTIONS (DROP entity_set_name);

-- who may what
CREATE ROLE regress_dataverse_user;
GRANT USAGE ON FOREIGN DATA WRAPPER dataverse_fdw TO regress_dataverse_user;
SET ROLE regress_dataverse_user;
SELECT dataverse_whoami('crm');
SELECT dataverse_disconnect('crm');
CREATE SERVER own FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url 'https://contoso.crm.dynamics.com', sslrootcert '/etc/passwd');
RESET ROLE;
DROP OWNED BY regress_dataverse_user;
DROP ROLE regress_dataverse_user;

-- the whole table
SELECT option, context, "default" FROM dataverse_options();
SELECT count(*) FROM dataverse_options() WHERE description !~ '^[a-zA-Z].*[^.]$';
SET client_min_messages = warning;
DROP SERVER crm CASCADE;
DROP FUNCTION refused(text, text);
