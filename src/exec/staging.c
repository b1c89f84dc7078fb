/*
 * staging.c
 *	  A load's rows as a local table: the same, in the same order, whatever
 *	  happens between two chunks.
 *
 * A cursor over the query would need no space, but nothing says that a query
 * that is run again after a crash gives the same rows in the same order; then
 * "the rows from 10,001 on" means others than it did before.  So the query runs
 * once, into an ordinary logged table with the rows' numbers, and chunks are
 * ranges of these.  It also tells how many rows there are.
 *
 * Rows that are to be created get their primary ids here, once.  A chunk that
 * is sent again carries them again, and the service refuses what is there
 * (sheet 4.1), which modify then takes for the echo that it is.  Rows addressed
 * by an alternate key need none: an upsert may be repeated.  Ids of the
 * query's own in plain creates are refused before anything is sent: after a
 * crash nobody could tell a row of the load from one that was there before.
 *
 * The table belongs to the caller, who needs no right but to create tables in
 * the schema for them, which everybody has.  Names of everything but the
 * caller's query are qualified, as in the journal.
 */
#include "postgres.h"

#include "compat.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "exec/staging.h"
#include "odata/newid.h"
#include "writerules.h"

#define SCHEMA "dataverse_staging"

/* The first column.  Names in Dataverse begin with a letter, so this is none of the query's. */
#define NUMBER "\"#\""

static void
execute(const char *sql)
{
	int result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
}

static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/*
 * What the query must be.
 */

/* Alone, so that its errors are told in its own words and places. */
static void
check_query(const char *query)
{
	SPIPlanPtr plan = SPI_prepare(query, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("the query of a load must be one SELECT or VALUES")));
	SPI_freeplan(plan);
}

static const DvColumn *
find_column(const DvTable *table, const char *name)
{
	const DvColumn *column = dv_table_column_named(table, name);

	if (column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of the query is not a column of foreign table \"%s\"", name,
						table->name),
				 errhint("The columns of the query have the names of those that they fill: use "
						 "AS in its select list.")));
	return column;
}

/* The staged columns as a list. */
static char *
read_columns(DvJob *job, const DvTable *table)
{
	Relation rel = table_open(job->staging, AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 1; i < desc->natts; i++) /* the first is the number */
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		job->given_ids = job->given_ids || find_column(table, name)->is_primary_id;
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote_identifier(name));
	}
	table_close(rel, NoLock);
	if (list.len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("the query of a load has no columns")));
	return list.data;
}

/*
 * What may be repeated.
 */

static bool
goes_by_key(const DvTable *table)
{
	DvModifyPlan plan = {0};

	dv_writerules_insert(&plan, table, false);
	return plan.mode == DV_WRITE_UPSERT && table->nkeys > 0;
}

static bool
refuses_existing(const DvTable *table)
{
	DvModifyPlan plan = {0};

	dv_writerules_insert(&plan, table, false);
	return plan.mode == DV_WRITE_CREATE && !plan.do_nothing;
}

void
dv_staging_check(const DvJob *job, const DvTable *table)
{
	if (job->made_ids)
		return;
	if (job->given_ids && refuses_existing(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a load that creates rows of foreign table \"%s\" with ids of its query "
						"could not go on after a failure",
						table->name),
				 errdetail("Rows that the load has created could not be told from rows that were "
						   "there before."),
				 errhint("Leave the primary id out of the query, or set the table's option "
						 "on_conflict to \"update\" or \"nothing\".")));
	if (!job->given_ids && !goes_by_key(table))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the rows of the load cannot be told apart in foreign table \"%s\"",
					table->name),
			 errdetail("The rows have neither an alternate key nor ids made when the load began."),
			 errhint("Set the table's option \"key\" as it was, or call with restart => true.")));
}

static const DvColumn *
id_column(const DvTable *table)
{
	const DvColumn *id;
	const DvColumn *partition;

	dv_writerules_identity(table, &id, &partition);
	if (id == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
			 errmsg("foreign table \"%s\" has no column for the primary id of its rows",
					table->name),
			 errdetail("A load that creates rows gives them ids, so that none is created twice."),
			 errhint("Add a uuid column with option column_name '%s', or set the option "
					 "\"key\".",
					 table->primary_id ? table->primary_id : "<primary id>")));
	return id;
}

/*
 * Making it.
 */

/* Query as a subquery: its semicolon, if any, would end the statement. */
static char *
without_semicolon(const char *query)
{
	size_t len = strlen(query);

	while (len > 0 && strchr("; \t\r\n", query[len - 1]) != NULL)
		len--;
	return pnstrdup(query, len);
}

/* Says what is wrong with columns and types before the query takes its time. */
static void
create_empty(DvJob *job, const char *query)
{
	const char *table = psprintf("job_%d", job->id);

	execute(psprintf("CREATE TABLE " SCHEMA ".%s AS SELECT NULL::pg_catalog.int8 AS " NUMBER
					 ", q.* FROM (%s\n) AS q WITH NO DATA",
					 table, query));
	job->staging = get_relname_relid(table, get_namespace_oid(SCHEMA, false));
}

static void
add_ids(DvJournal *journal, DvJob *job, const DvColumn *column)
{
	const char *name = quote_identifier(column->name);

	execute(psprintf("ALTER TABLE %s ADD COLUMN %s pg_catalog.uuid DEFAULT %s.dataverse_newid()",
					 qualified_name(job->staging), name, dv_journal_schema(journal)));
	job->columns = psprintf("%s, %s", job->columns, name);
	job->made_ids = true;
}

static void
check_types(const DvJob *job)
{
	Oid types[2] = {INT8OID, INT8OID};
	SPIPlanPtr plan = SPI_prepare(dv_staging_insert(job), 2, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	SPI_freeplan(plan);
}

void
dv_staging_make(DvJournal *journal, DvJob *job, const DvTable *table)
{
	const char *query = without_semicolon(job->query);
	const char *staging;
	const char *given;

	check_query(query);
	create_empty(job, query);
	staging = qualified_name(job->staging);
	given = read_columns(job, table);
	job->columns = pstrdup(given);
	if (!job->given_ids && !goes_by_key(table))
		add_ids(journal, job, id_column(table));
	dv_staging_check(job, table);
	check_types(job);
	execute(psprintf("INSERT INTO %s (" NUMBER ", %s)"
					 " SELECT pg_catalog.row_number() OVER (), q.* FROM (%s\n) AS q",
					 staging, given, query));
	job->total = SPI_processed;
	execute(psprintf("ALTER TABLE %s ADD PRIMARY KEY (" NUMBER ")", staging));
	job->staged = true;
}

char *
dv_staging_insert(const DvJob *job)
{
	return psprintf(
		"INSERT INTO %s (%s) SELECT %s FROM %s WHERE " NUMBER
		" OPERATOR(pg_catalog.>=) $1 AND " NUMBER " OPERATOR(pg_catalog.<=) $2 ORDER BY " NUMBER,
		qualified_name(job->target), job->columns, job->columns, qualified_name(job->staging));
}

void
dv_staging_drop(const DvJob *job)
{
	if (OidIsValid(job->staging))
		execute(psprintf("DROP TABLE %s", qualified_name(job->staging)));
}

/*
 * Ids.
 */

/* An id for a new row.  The stream of ids lasts as long as the call's place in its statement. */
DV_FUNCTION(dataverse_newid)
{
	DvIdStream *stream = fcinfo->flinfo->fn_extra;
	int64 now_ms = GetCurrentTimestamp() / 1000 +
				   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * INT64CONST(1000);
	uint8 random[DV_ID_RANDOM];
	char id[DV_ID_LEN + 1];

	if (stream == NULL)
	{
		stream = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(DvIdStream));
		fcinfo->flinfo->fn_extra = stream;
	}
	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
	dv_newid(stream, now_ms, random, id);
	return DirectFunctionCall1(uuid_in, CStringGetDatum(id));
}
