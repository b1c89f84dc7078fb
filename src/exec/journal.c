/*
 * journal.c
 *	  What is known of the jobs of dataverse_load and of their chunks, as rows
 *	  of two local tables.
 *
 * A chunk is marked as running, and that is committed, before its first row is
 * sent, so that after a crash the journal names every chunk that may have been
 * sent in part.
 *
 * A job belongs to the role that called for it.  The statements go through the
 * views that show a role its own jobs only, and run with its rights: there is
 * no moment at which somebody else's rights could be abused.  The caller's
 * search_path is not to be trusted with what they mean, nor may it be changed
 * (a procedure with a setting of its own cannot commit), so every name,
 * operators included, is qualified.
 *
 * Who runs a job holds a session lock on its number.  An ordinary object lock
 * is used, not an advisory one: it outlives commits, ends with the session and,
 * unlike an advisory one, with a failed transaction, so that no error can leave
 * it behind.  dataverse_job_progress finds it in pg_locks.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "exec/journal.h"

#define ARGS_MAX 6

/* The operators that the statements need. */
#define EQ " OPERATOR(pg_catalog.=) "
#define NE " OPERATOR(pg_catalog.<>) "
#define PLUS " OPERATOR(pg_catalog.+) "
#define MINUS " OPERATOR(pg_catalog.-) "
#define NOW "pg_catalog.clock_timestamp()"

struct DvJournal
{
	Oid jobs_table;
	const char *schema; /* quoted */
	char *jobs;         /* quoted names of the two views */
	char *chunks;
};

/*
 * Statements.
 */

typedef struct Args
{
	int n;
	Oid types[ARGS_MAX];
	Datum values[ARGS_MAX];
	char nulls[ARGS_MAX + 1];
} Args;

static void
add(Args *args, Oid type, Datum value, bool isnull)
{
	Assert(args->n < ARGS_MAX);
	args->types[args->n] = type;
	args->values[args->n] = value;
	args->nulls[args->n++] = isnull ? 'n' : ' ';
}

static void
add_int4(Args *args, int32 value)
{
	add(args, INT4OID, Int32GetDatum(value), false);
}

static void
add_int8(Args *args, int64 value)
{
	add(args, INT8OID, Int64GetDatum(value), false);
}

static void
add_text(Args *args, const char *value)
{
	add(args, TEXTOID, CStringGetTextDatum(value), false);
}

static void
add_regclass(Args *args, Oid value)
{
	add(args, REGCLASSOID, ObjectIdGetDatum(value), false);
}

static void
add_time(Args *args, TimestampTz value)
{
	add(args, TIMESTAMPTZOID, TimestampTzGetDatum(value), value == 0);
}

/* Frees the statement's text: a job's chunks may be many. Returns the number of rows. */
static uint64
run(char *sql, Args *args)
{
	int result =
		SPI_execute_with_args(sql, args->n, args->types, args->values, args->nulls, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(result));
	pfree(sql);
	return SPI_processed;
}

/* For a statement that finds its row, or else somebody has taken it away. */
static void
run_on_row(char *sql, Args *args, const DvJob *job)
{
	uint64 rows = run(sql, args);

	SPI_freetuptable(SPI_tuptable);
	if (rows != 1)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("job \"%s\" has been changed while it was running", job->name),
						errhint("Leave the rows of the journal alone while a job is running.")));
}

DvJournal *
dv_journal_open(Oid procedure)
{
	DvJournal *journal = palloc0(sizeof(DvJournal));
	Oid namespace = get_func_namespace(procedure);
	const char *schema = get_namespace_name(namespace);

	journal->schema = quote_identifier(schema);
	journal->jobs = quote_qualified_identifier(schema, "dataverse_own_job");
	journal->chunks = quote_qualified_identifier(schema, "dataverse_own_job_chunk");
	journal->jobs_table = get_relname_relid("dataverse_job", namespace);
	return journal;
}

const char *
dv_journal_schema(const DvJournal *journal)
{
	return journal->schema;
}

/*
 * Who runs it.
 */

static void
set_tag(LOCKTAG *tag, const DvJournal *journal, const DvJob *job)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, journal->jobs_table, job->id, 0);
}

bool
dv_journal_lock(DvJournal *journal, const DvJob *job)
{
	LOCKTAG tag;

	set_tag(&tag, journal, job);
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
dv_journal_unlock(DvJournal *journal, const DvJob *job)
{
	LOCKTAG tag;

	set_tag(&tag, journal, job);
	LockRelease(&tag, ExclusiveLock, true);
}

/*
 * Jobs.
 */

static Datum
field(int place, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, place, isnull);
}

static char *
text_field(int place)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, place);
}

static int64
int8_field(int place)
{
	bool isnull;
	Datum value = field(place, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static bool
bool_field(int place)
{
	bool isnull;
	Datum value = field(place, &isnull);

	return !isnull && DatumGetBool(value);
}

static Oid
regclass_field(int place, bool *given)
{
	bool isnull;
	Oid relid = DatumGetObjectId(field(place, &isnull));

	*given = !isnull;
	return !isnull && get_rel_name(relid) != NULL ? relid : InvalidOid;
}

static DvJob *
read_job(const char *name)
{
	DvJob *job = palloc0(sizeof(DvJob));
	bool isnull;
	bool given;

	/* Long texts are fetched from elsewhere, for which nobody may have left a snapshot. */
	EnsurePortalSnapshotExists();
	job->id = DatumGetInt32(field(1, &isnull));
	job->name = pstrdup(name);
	job->target = regclass_field(2, &given);
	job->query = text_field(3);
	job->staging = regclass_field(4, &job->staged);
	job->columns = text_field(5);
	job->made_ids = bool_field(6);
	job->given_ids = bool_field(7);
	job->finished = bool_field(8);
	job->total = int8_field(9);
	job->done = int8_field(10);
	job->refused = int8_field(11);
	return job;
}

DvJob *
dv_journal_find(DvJournal *journal, const char *name)
{
	Args args = {0};
	DvJob *job = NULL;

	add_text(&args, name);
	if (run(psprintf("SELECT id, target, query, staging, columns, ids" EQ "'made', ids" EQ
					 "'given',"
					 " state" EQ "'finished', total,"
					 " (SELECT pg_catalog.sum(rows_loaded" PLUS "rows_refused)::pg_catalog.int8"
					 " FROM %s AS c WHERE c.job_id" EQ "j.id AND c.state" EQ "'done'),"
					 " (SELECT pg_catalog.sum(rows_refused)::pg_catalog.int8"
					 " FROM %s AS c WHERE c.job_id" EQ "j.id AND c.state" EQ "'done')"
					 " FROM %s AS j WHERE job" EQ "$1",
					 journal->chunks, journal->chunks, journal->jobs),
			&args) > 0)
		job = read_job(name);
	SPI_freetuptable(SPI_tuptable);
	return job;
}

void
dv_journal_enter(DvJournal *journal, const char *name, Oid target, const char *query)
{
	Args args = {0};

	add_text(&args, name);
	add_regclass(&args, target);
	add_text(&args, query);
	(void) run(psprintf("INSERT INTO %s (job, target, query) VALUES ($1, $2, $3)"
						" ON CONFLICT DO NOTHING",
						journal->jobs),
			   &args);
}

static void
drop_chunks(DvJournal *journal, const DvJob *job)
{
	Args args = {0};

	add_int4(&args, job->id);
	(void) run(psprintf("DELETE FROM %s WHERE job_id" EQ "$1", journal->chunks), &args);
}

void
dv_journal_reset(DvJournal *journal, const DvJob *job, Oid target, const char *query)
{
	Args args = {0};

	drop_chunks(journal, job);
	add_int4(&args, job->id);
	add_regclass(&args, target);
	add_text(&args, query);
	run_on_row(psprintf("UPDATE %s SET target = $2, query = $3, columns = NULL, ids = NULL,"
						" staging = NULL, state = 'staging', total = NULL, calls = 0,"
						" created = " NOW ", started = NULL, call_rows = 0, updated = NULL,"
						" finished = NULL, throttled_until = NULL, last_error = NULL WHERE id" EQ
						"$1",
						journal->jobs),
			   &args, job);
}

static void
cut(DvJournal *journal, const DvJob *job, int64 chunk_rows)
{
	Args args = {0};

	add_int4(&args, job->id);
	add_int8(&args, job->total);
	add_int8(&args, chunk_rows);
	(void) run(psprintf("INSERT INTO %s (job_id, chunk, first_row, last_row)"
						" SELECT $1, pg_catalog.row_number() OVER (ORDER BY n), n,"
						" LEAST(n" PLUS "$3" MINUS "1, $2)"
						" FROM pg_catalog.generate_series(1, $2, $3) AS n",
						journal->chunks),
			   &args);
}

void
dv_journal_staged(DvJournal *journal, const DvJob *job, int64 chunk_rows)
{
	Args args = {0};

	add_int4(&args, job->id);
	add_text(&args, job->columns);
	if (job->made_ids || job->given_ids)
		add_text(&args, job->made_ids ? "made" : "given");
	else
		add(&args, TEXTOID, (Datum) 0, true);
	add_regclass(&args, job->staging);
	add_int8(&args, job->total);
	run_on_row(psprintf("UPDATE %s SET columns = $2, ids = $3, staging = $4, total = $5"
						" WHERE id" EQ "$1",
						journal->jobs),
			   &args, job);
	cut(journal, job, chunk_rows);
}

void
dv_journal_begin(DvJournal *journal, const DvJob *job)
{
	Args args = {0};

	add_int4(&args, job->id);
	run_on_row(psprintf("UPDATE %s SET state = 'loading', calls = calls" PLUS "1, started = " NOW
						","
						" call_rows = 0, updated = " NOW " WHERE id" EQ "$1",
						journal->jobs),
			   &args, job);
}

void
dv_journal_finished(DvJournal *journal, const DvJob *job)
{
	Args args = {0};

	add_int4(&args, job->id);
	run_on_row(psprintf("UPDATE %s SET state = 'finished', finished = " NOW ", staging = NULL,"
						" throttled_until = NULL, last_error = NULL WHERE id" EQ "$1",
						journal->jobs),
			   &args, job);
}

void
dv_journal_forget(DvJournal *journal, const DvJob *job)
{
	Args args = {0};

	add_int4(&args, job->id);
	run_on_row(psprintf("DELETE FROM %s WHERE id" EQ "$1", journal->jobs), &args, job);
}

/*
 * Chunks.
 */

bool
dv_journal_next(DvJournal *journal, const DvJob *job, DvChunk *chunk)
{
	Args args = {0};
	bool found;
	bool isnull;

	add_int4(&args, job->id);
	found = run(psprintf("UPDATE %s SET state = 'running', attempts = attempts" PLUS "1,"
						 " started = " NOW ", finished = NULL WHERE job_id" EQ "$1 AND chunk" EQ
						 "(SELECT chunk FROM %s WHERE job_id" EQ "$1 AND state" NE "'done'"
						 " ORDER BY chunk LIMIT 1) RETURNING chunk, first_row, last_row",
						 journal->chunks, journal->chunks),
				&args) > 0;
	if (found)
	{
		memset(chunk, 0, sizeof(DvChunk));
		chunk->number = DatumGetInt32(field(1, &isnull));
		chunk->first = int8_field(2);
		chunk->last = int8_field(3);
	}
	SPI_freetuptable(SPI_tuptable);
	return found;
}

void
dv_journal_done(DvJournal *journal, const DvJob *job, const DvChunk *chunk,
				TimestampTz throttled_until)
{
	Args args = {0};
	Args more = {0};

	add_int4(&args, job->id);
	add_int4(&args, chunk->number);
	add_int8(&args, chunk->loaded);
	add_int8(&args, chunk->refused);
	run_on_row(psprintf("UPDATE %s SET state = 'done', finished = " NOW ", rows_loaded = $3,"
						" rows_refused = $4, last_error = NULL WHERE job_id" EQ "$1 AND chunk" EQ
						"$2",
						journal->chunks),
			   &args, job);
	add_int4(&more, job->id);
	add_int8(&more, chunk->loaded + chunk->refused);
	add_time(&more, throttled_until);
	run_on_row(psprintf("UPDATE %s SET call_rows = call_rows" PLUS "$2, updated = " NOW ","
						" throttled_until = $3, last_error = NULL WHERE id" EQ "$1",
						journal->jobs),
			   &more, job);
}

void
dv_journal_failed(DvJournal *journal, const DvJob *job, const DvChunk *chunk, const char *error,
				  TimestampTz throttled_until)
{
	Args args = {0};
	Args more = {0};

	if (chunk != NULL)
	{
		add_int4(&args, job->id);
		add_int4(&args, chunk->number);
		add_text(&args, error);
		run_on_row(psprintf("UPDATE %s SET state = 'failed', finished = " NOW ", last_error = $3"
							" WHERE job_id" EQ "$1 AND chunk" EQ "$2",
							journal->chunks),
				   &args, job);
	}
	add_int4(&more, job->id);
	add_text(&more, error);
	add_time(&more, throttled_until);
	run_on_row(psprintf("UPDATE %s SET state = 'failed', last_error = $2, throttled_until = $3"
						" WHERE id" EQ "$1",
						journal->jobs),
			   &more, job);
}
