/* dataverse_fdw--0.1.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataverse_fdw" to load this file. \quit

CREATE FUNCTION dataverse_fdw_handler()
RETURNS fdw_handler
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT;

CREATE FUNCTION dataverse_fdw_validator(text[], oid)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER dataverse_fdw
  HANDLER dataverse_fdw_handler
  VALIDATOR dataverse_fdw_validator;

CREATE FUNCTION dataverse_whoami(server text,
  OUT user_id uuid, OUT business_unit_id uuid, OUT organization_id uuid)
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dataverse_whoami(text)
  IS 'asks the service who the user mapping''s user is there';

CREATE FUNCTION dataverse_connections(
  OUT server_name text, OUT user_name text, OUT valid boolean,
  OUT requests bigint, OUT retries bigint,
  OUT bytes_sent bigint, OUT bytes_received bigint,
  OUT throttled_ms bigint, OUT dop_hint integer,
  OUT last_used timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dataverse_connections()
  IS 'servers and users that this session has worked with, and their totals';

CREATE FUNCTION dataverse_disconnect(server text)
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dataverse_disconnect(text)
  IS 'forgets what this session knows of a server: tokens, metadata, totals';

CREATE FUNCTION dataverse_options(
  OUT option text, OUT context text, OUT "default" text, OUT description text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION dataverse_options()
  IS 'the options of dataverse_fdw, where they may stand, and what holds without them';

CREATE FUNCTION dataverse_odata(server text, path text)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dataverse_odata(text, text)
  IS 'reads a path below the service root, all its pages, a row for each row of the answer';

CREATE FUNCTION dataverse_fetchxml(server text, xml text)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dataverse_fetchxml(text, text)
  IS 'runs a FetchXML query, all its pages, a row for each row of the answer';

CREATE FUNCTION dataverse_create_reject_table(name text)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION dataverse_create_reject_table(text)
  IS 'creates a table that the option reject_table may name';

CREATE FUNCTION dataverse_create_result_table(name text)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION dataverse_create_result_table(text)
  IS 'creates a table that the option result_table may name';
