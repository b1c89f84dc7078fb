/*
 * rowlog.c
 *	  Writes what became of rows into a local table.
 *
 * A table's shape is a list of columns, which gives the check, the INSERT and
 * the CREATE TABLE that users are told.  Lines gather and are written a few
 * hundred at a time, by one INSERT from arrays, so that memory stays bounded and
 * a line costs little.  It is the statement's user who writes, with his rights,
 * whoever's function makes the lines be written, and it is done in his transaction.
 *
 * The table is looked at and locked before the statement writes anything
 * abroad: whatever is wrong with it must not come to light when rows are final
 * already.  Further columns, triggers and constraints of it are the user's
 * business, and their errors end the statement.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "exec/rowlog.h"

/* Lines, and bytes of them, that are kept. */
#define LINES_MAX 256
#define BYTES_MAX (1024 * 1024)

#define COLUMNS_MAX 8

/* Where a column's value comes from. */
typedef enum Source
{
	FROM_TARGET,
	FROM_TIME,
	FROM_NUMBER,
	FROM_TEXT /* of the note, at offset */
} Source;

typedef struct Column
{
	const char *name;
	Oid type;
	const char *type_name;
	Source source;
	size_t offset;
} Column;

#define NOTE(field) FROM_TEXT, offsetof(DvRowNote, field)

typedef struct Shape
{
	const char *option;
	const char *maker; /* function that creates such a table */
	Column columns[COLUMNS_MAX];
	int ncolumns;
} Shape;

/* clang-format off */
static const Shape shapes[] = {
	[DV_ROWLOG_REJECTS] = {"reject_table", "dataverse_create_reject_table", {
		{"target", TEXTOID, "text", FROM_TARGET},
		{"number", INT8OID, "bigint", FROM_NUMBER},
		{"row", JSONBOID, "jsonb", NOTE(row)},
		{"key", TEXTOID, "text", NOTE(key)},
		{"code", TEXTOID, "text", NOTE(code)},
		{"message", TEXTOID, "text", NOTE(message)},
		{"request_id", TEXTOID, "text", NOTE(request_id)},
		{"refused_at", TIMESTAMPTZOID, "timestamptz", FROM_TIME},
	}, 8},
	[DV_ROWLOG_RESULTS] = {"result_table", "dataverse_create_result_table", {
		{"target", TEXTOID, "text", FROM_TARGET},
		{"number", INT8OID, "bigint", FROM_NUMBER},
		{"key", TEXTOID, "text", NOTE(key)},
		{"outcome", TEXTOID, "text", NOTE(outcome)},
		{"id", UUIDOID, "uuid", NOTE(id)},
		{"code", TEXTOID, "text", NOTE(code)},
		{"message", TEXTOID, "text", NOTE(message)},
		{"written_at", TIMESTAMPTZOID, "timestamptz", FROM_TIME},
	}, 8},
};
/* clang-format on */

struct DvRowLog
{
	const Shape *shape;
	const char *name;
	char *insert;       /* the statement */
	const char *target; /* the foreign table, qualified */
	Oid userid;         /* the statement's */
	int sec_context;
	MemoryContext context; /* of the lines kept */
	size_t bytes;
	int nlines;
	Datum *values[COLUMNS_MAX];
	bool *nulls[COLUMNS_MAX];
};

static const char *
qualified(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static char *
create_statement(const Shape *shape, const char *name)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "CREATE TABLE %s (", name);
	for (int i = 0; i < shape->ncolumns; i++)
		appendStringInfo(&out, "%s%s %s", i > 0 ? ", " : "",
						 quote_identifier(shape->columns[i].name), shape->columns[i].type_name);
	appendStringInfoChar(&out, ')');
	return out.data;
}

/*
 * Looking at the table.
 */

static void
misfit(const Shape *shape, const char *name, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					errmsg("table \"%s\" of option \"%s\" cannot be used", name, shape->option),
					errdetail("%s", detail),
					errhint("Such a table is made by %s(), or by: %s", shape->maker,
							create_statement(shape, name))));
}

static void
check_columns(const Shape *shape, const char *name, Oid relid)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const Column *column = &shape->columns[i];
		AttrNumber attno = get_attnum(relid, column->name);
		Oid type;

		if (attno == InvalidAttrNumber)
			misfit(shape, name, psprintf("It has no column \"%s\".", column->name));
		type = get_atttype(relid, attno);
		if (!can_coerce_type(1, &column->type, &type, COERCION_ASSIGNMENT))
			misfit(
				shape, name,
				psprintf("Its column \"%s\" is not of type %s.", column->name, column->type_name));
	}
}

static RangeVar *
parse_name(const Shape *shape, const char *name)
{
	List *names;

	if (!SplitIdentifierString(pstrdup(name), '.', &names) || list_length(names) != 2)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("invalid table name \"%s\"", name),
						errhint("Give the table's name with its schema, like public.rejects.")));
	return makeRangeVar(linitial(names), lsecond(names), -1);
}

static void
check_table(const Shape *shape, RangeVar *table, const char *name)
{
	Oid relid = RangeVarGetRelid(table, RowExclusiveLock, true);
	char kind;
	AclResult acl;

	if (!OidIsValid(relid))
		misfit(shape, name, "It does not exist.");
	kind = get_rel_relkind(relid);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		misfit(shape, name, "It is not a local table.");
	acl = pg_class_aclcheck(relid, GetUserId(), ACL_INSERT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_TABLE, name);
	check_columns(shape, name, relid);
}

/*
 * Lines.
 */

/*
 * INSERT INTO t (a, b) SELECT line.a, line.b::jsonb FROM unnest($1, $2) AS line (a, b).
 * unnest of several arrays goes by that name alone, whatever the search path.
 */
static char *
insert_statement(const Shape *shape, const char *name)
{
	StringInfoData columns;
	StringInfoData selected;
	StringInfoData parameters;

	initStringInfo(&columns);
	initStringInfo(&selected);
	initStringInfo(&parameters);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const char *comma = i > 0 ? ", " : "";
		const char *column = quote_identifier(shape->columns[i].name);

		appendStringInfo(&columns, "%s%s", comma, column);
		appendStringInfo(&selected, "%sline.%s", comma, column);
		if (shape->columns[i].type == JSONBOID || shape->columns[i].type == UUIDOID)
			appendStringInfo(&selected, "::pg_catalog.%s", shape->columns[i].type_name);
		appendStringInfo(&parameters, "%s$%d", comma, i + 1);
	}
	return psprintf("INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS line (%s)", name,
					columns.data, selected.data, parameters.data, columns.data);
}

DvRowLog *
dv_rowlog_open(DvRowLogKind kind, const char *name, Oid relid)
{
	DvRowLog *log = palloc0(sizeof(DvRowLog));
	const Shape *shape = &shapes[kind];
	RangeVar *table = parse_name(shape, name);

	log->shape = shape;
	log->name = quote_qualified_identifier(table->schemaname, table->relname);
	check_table(shape, table, log->name);
	log->insert = insert_statement(shape, log->name);
	log->target = qualified(relid);
	GetUserIdAndSecContext(&log->userid, &log->sec_context);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		log->values[i] = palloc(sizeof(Datum) * LINES_MAX);
		log->nulls[i] = palloc(sizeof(bool) * LINES_MAX);
	}
	log->context = AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw row log",
										 ALLOCSET_DEFAULT_SIZES);
	return log;
}

static Datum
text_value(DvRowLog *log, const char *text)
{
	log->bytes += strlen(text);
	return CStringGetTextDatum(text);
}

static void
add_value(DvRowLog *log, const Column *column, int i, const DvRowNote *note)
{
	Datum *value = &log->values[i][log->nlines];
	bool *isnull = &log->nulls[i][log->nlines];
	const char *text;

	*isnull = false;
	switch (column->source)
	{
		case FROM_TARGET:
			*value = text_value(log, log->target);
			break;
		case FROM_TIME:
			*value = TimestampTzGetDatum(GetCurrentTimestamp());
			break;
		case FROM_NUMBER:
			*value = Int64GetDatum(note->number);
			break;
		case FROM_TEXT:
			text = *(const char *const *) ((const char *) note + column->offset);
			*isnull = text == NULL;
			*value = text != NULL ? text_value(log, text) : (Datum) 0;
			break;
	}
}

void
dv_rowlog_add(DvRowLog *log, const DvRowNote *note)
{
	MemoryContext old = MemoryContextSwitchTo(log->context);

	for (int i = 0; i < log->shape->ncolumns; i++)
		add_value(log, &log->shape->columns[i], i, note);
	log->nlines++;
	MemoryContextSwitchTo(old);
	if (log->nlines == LINES_MAX || log->bytes >= BYTES_MAX)
		dv_rowlog_flush(log);
}

/* Times and numbers travel as such, everything else as text. */
static Oid
element_type(const Column *column)
{
	return column->source == FROM_TIME || column->source == FROM_NUMBER ? column->type : TEXTOID;
}

static Datum
array_of(const DvRowLog *log, int i)
{
	Oid type = element_type(&log->shape->columns[i]);
	int lower = 1;
	int n = log->nlines;
	int16 len;
	bool byval;
	char align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(
		construct_md_array(log->values[i], log->nulls[i], 1, &n, &lower, type, len, byval, align));
}

static void
run_insert(const DvRowLog *log, const Oid *types, const Datum *arrays)
{
	Oid userid;
	int sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(log->userid, log->sec_context);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(log->insert, log->shape->ncolumns, unconstify(Oid *, types),
							  unconstify(Datum *, arrays), NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into table \"%s\"", log->name);
	SPI_finish();
	SetUserIdAndSecContext(userid, sec_context);
}

void
dv_rowlog_flush(DvRowLog *log)
{
	Datum arrays[COLUMNS_MAX];
	Oid types[COLUMNS_MAX];
	MemoryContext old;

	if (log->nlines == 0)
		return;
	old = MemoryContextSwitchTo(log->context);
	for (int i = 0; i < log->shape->ncolumns; i++)
	{
		types[i] = get_array_type(element_type(&log->shape->columns[i]));
		arrays[i] = array_of(log, i);
	}
	log->nlines = 0;
	log->bytes = 0;
	run_insert(log, types, arrays);
	MemoryContextSwitchTo(old);
	MemoryContextReset(log->context);
}

const char *
dv_rowlog_name(const DvRowLog *log)
{
	return log->name;
}

/*
 * Functions for users.
 */

static Datum
create_table(FunctionCallInfo fcinfo, DvRowLogKind kind)
{
	const Shape *shape = &shapes[kind];
	RangeVar *table = parse_name(shape, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	const char *name = quote_qualified_identifier(table->schemaname, table->relname);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(create_statement(shape, name), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not create table \"%s\"", name);
	SPI_finish();
	PG_RETURN_VOID();
}

DV_FUNCTION(dataverse_create_reject_table)
{
	return create_table(fcinfo, DV_ROWLOG_REJECTS);
}

DV_FUNCTION(dataverse_create_result_table)
{
	return create_table(fcinfo, DV_ROWLOG_RESULTS);
}
