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

/*
 * Loads that survive (src/exec/load.c).
 *
 * A job belongs to the role that called dataverse_load.  Roles see and change
 * the journal through the two dataverse_own_ views only, which show them their
 * own jobs; nothing is granted on the tables.  Row-level security would say the
 * same, but pg_dump repeats the policies of an extension's tables, which then
 * fail to restore.
 */
CREATE SCHEMA dataverse_staging;
GRANT USAGE, CREATE ON SCHEMA dataverse_staging TO PUBLIC;
COMMENT ON SCHEMA dataverse_staging
  IS 'rows of the loads that are not finished, a table for each, made and dropped by dataverse_load';

CREATE TABLE dataverse_job (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner name NOT NULL DEFAULT current_user,
  job text NOT NULL,
  target regclass NOT NULL,
  query text NOT NULL,
  columns text,              -- of the target, those that the query gives, comma separated
  ids text CHECK (ids IN ('made', 'given')), -- primary ids among them: made here, or the query's
  staging regclass,          -- the rows; NULL before there are any and when all is done
  state text NOT NULL DEFAULT 'staging' CHECK (state IN ('staging', 'loading', 'failed', 'finished')),
  total bigint,              -- rows
  calls integer NOT NULL DEFAULT 0,
  created timestamptz NOT NULL DEFAULT clock_timestamp(),
  started timestamptz,       -- the last call began to load
  call_rows bigint NOT NULL DEFAULT 0, -- rows done by the last call
  updated timestamptz,       -- these were counted
  finished timestamptz,
  throttled_until timestamptz,
  last_error text,
  UNIQUE (owner, job)
);
COMMENT ON TABLE dataverse_job IS 'loads by dataverse_load, one row for each job';
SELECT pg_extension_config_dump('dataverse_job', '');
SELECT pg_extension_config_dump('dataverse_job_id_seq', '');

CREATE TABLE dataverse_job_chunk (
  job_id integer NOT NULL REFERENCES dataverse_job ON DELETE CASCADE,
  chunk integer NOT NULL,
  first_row bigint NOT NULL,
  last_row bigint NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
  rows_loaded bigint,
  rows_refused bigint,
  attempts integer NOT NULL DEFAULT 0,
  last_error text,
  started timestamptz,
  finished timestamptz,
  PRIMARY KEY (job_id, chunk)
);
COMMENT ON TABLE dataverse_job_chunk IS 'what became of each chunk of a job''s rows';
SELECT pg_extension_config_dump('dataverse_job_chunk', '');

CREATE VIEW dataverse_own_job WITH (security_barrier) AS
  SELECT * FROM dataverse_job WHERE owner = current_user
  WITH CHECK OPTION;
COMMENT ON VIEW dataverse_own_job IS 'the current user''s rows of dataverse_job';

CREATE VIEW dataverse_own_job_chunk WITH (security_barrier) AS
  SELECT * FROM dataverse_job_chunk AS c
   WHERE EXISTS (SELECT FROM dataverse_job AS j WHERE j.id = c.job_id AND j.owner = current_user)
  WITH CHECK OPTION;
COMMENT ON VIEW dataverse_own_job_chunk IS 'the current user''s rows of dataverse_job_chunk';

/* Who owns a job, and its number, nobody chooses. */
GRANT SELECT, DELETE, INSERT (job, target, query),
  UPDATE (target, query, columns, ids, staging, state, total, calls, created, started, call_rows, updated, finished,
    throttled_until, last_error)
  ON dataverse_own_job TO PUBLIC;
GRANT SELECT, DELETE, INSERT (job_id, chunk, first_row, last_row),
  UPDATE (state, rows_loaded, rows_refused, attempts, last_error, started, finished)
  ON dataverse_own_job_chunk TO PUBLIC;

/* A job that runs holds a lock of its own number (src/exec/journal.c). */
CREATE VIEW dataverse_job_progress WITH (security_barrier) AS
  SELECT j.owner, j.job, j.target,
         CASE WHEN j.state IN ('staging', 'loading') AND l.pid IS NULL THEN 'interrupted' ELSE j.state END AS state,
         c.done AS rows_done,
         c.refused AS rows_refused,
         j.total AS rows_total,
         round(r.rate)::bigint AS rows_per_second,
         CASE WHEN l.pid IS NOT NULL THEN make_interval(secs => round((j.total - c.done) / r.rate)::float8) END AS time_left,
         CASE WHEN j.throttled_until > clock_timestamp() THEN j.throttled_until END AS throttled_until,
         j.last_error,
         l.pid
    FROM dataverse_job AS j
   CROSS JOIN LATERAL (
         SELECT coalesce(sum(rows_loaded + rows_refused), 0)::bigint AS done, coalesce(sum(rows_refused), 0)::bigint AS refused
           FROM dataverse_job_chunk WHERE job_id = j.id AND state = 'done') AS c
   CROSS JOIN LATERAL (
         SELECT nullif(j.call_rows, 0) / nullif(extract(epoch FROM j.updated - j.started), 0) AS rate) AS r
    LEFT JOIN pg_locks AS l
      ON l.locktype = 'object' AND l.granted AND l.objsubid = 0 AND l.objid = j.id::oid
         AND l.classid = 'dataverse_job'::regclass
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   WHERE j.owner = current_user
      OR EXISTS (SELECT FROM pg_roles AS a WHERE a.rolname = j.owner AND pg_has_role(a.oid, 'USAGE'));
COMMENT ON VIEW dataverse_job_progress
  IS 'how far the jobs of dataverse_load are: those of the current user and of roles it is a member of';
GRANT SELECT ON dataverse_job_progress TO PUBLIC;

CREATE PROCEDURE dataverse_load(target regclass, query text, job text,
  chunk_rows integer DEFAULT NULL, restart boolean DEFAULT false)
AS 'MODULE_PATHNAME'
LANGUAGE C;
COMMENT ON PROCEDURE dataverse_load(regclass, text, text, integer, boolean)
  IS 'loads a query''s rows into a foreign table, chunk by chunk, and goes on where it stood';

CREATE FUNCTION dataverse_load_forget(job text)
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION dataverse_load_forget(text)
  IS 'takes a job of the current user and its staged rows away; false when there is none';

CREATE FUNCTION dataverse_newid()
RETURNS uuid
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION dataverse_newid()
  IS 'an id for a new row, in the order that suits the service''s index';
