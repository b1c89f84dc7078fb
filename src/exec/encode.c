/*
 * encode.c
 *	  A row as JSON fields: plain columns, lookups as binds, the key as an
 *	  address.
 *
 * Decides which columns of a row travel and under which names.  A column that
 * the statement names travels with every row, NULL included (unless the table
 * says null_columns 'omit'); the others of an INSERT are NULLs that PostgreSQL
 * filled in, and travel only when a default or a trigger gave them a value.
 * Key columns that are the address stay out of the body (sheet 4.3, 5.1).  The
 * service ignores values for columns it does not let us write (3.7): here they
 * are errors.
 *
 * A lookup is written by its navigation property and the set it points to
 * (3.5).  Both come from the column's options; where a lookup leads to several
 * tables, the companion column (option target_of) names the table and the
 * metadata the rest, asked once for each table met.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "port.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "exec/convert.h"
#include "exec/encode.h"
#include "odata/keyfold.h"
#include "odata/newid.h"
#include "remote/metadata.h"
#include "writerules.h"

#define PARTITION_COLUMN "partitionid"
#define TYPE_PREFIX "Microsoft.Dynamics.CRM."

/* Where one lookup column points, for one of its tables. */
typedef struct Route
{
	char *table; /* logical name; NULL: as the options say */
	char *navigation;
	char *set; /* entity set */
} Route;

/* A column that may travel, or must not be given. */
typedef struct Field
{
	const DvColumn *column;
	bool forbidden; /* a value for it is an error */
	bool named;     /* by the statement: NULL counts */
	bool lookup;
	const DvColumn *companion; /* lookup: names the table; or NULL */
	char *null_name;           /* lookup: property that clears it, once known */
	List *routes;              /* lookup: Route *, those met so far */
} Field;

struct DvEncode
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	TupleDesc desc; /* of the rows */
	MemoryContext context;
	AttrNumber id_attno;
	AttrNumber partition_attno;
	const DvColumn *id_column; /* INSERT: may be given by the user; or NULL */
	const DvColumn *partition_column;
	char *primary_id; /* logical name; NULL until known */
	char *odata_type;
	int nfields;
	Field *fields;
	DvConvert *convert; /* for the fields, same order */
	int nkeys;
	const DvColumn **keys;
	int64 rows;
	DvIdStream ids;
	uint8 random[DV_ID_RANDOM * 64];
	int random_used;
};

static bool
is_insert(const DvEncode *encode)
{
	return encode->plan->mode == DV_WRITE_CREATE || encode->plan->mode == DV_WRITE_UPSERT;
}

static bool
is_lookup(const DvColumn *column)
{
	return dv_type_is_lookup(column->type) || column->navigation != NULL;
}

static const DvColumn *
find_companion(const DvTable *table, const DvColumn *lookup)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];

		if (column->target_of && strcmp(column->target_of, lookup->logical) == 0)
			return column;
	}
	return NULL;
}

static bool
is_generated(const DvEncode *encode, const DvColumn *column)
{
	return TupleDescAttr(encode->desc, column->attnum - 1)->attgenerated != '\0';
}

/* True if the column has a place in the list of fields. */
static bool
make_field(DvEncode *encode, const DvColumn *column, Field *field)
{
	/* What PostgreSQL computes counts like what the statement says: its NULL clears, too. */
	bool named = list_member_int(encode->plan->attnums, column->attnum) ||
				 (is_insert(encode) && is_generated(encode, column));

	if (column->target_of || column->is_primary_id)
		return false;
	field->column = column;
	field->forbidden = column->label_of != NULL || column->read_only;
	field->named = named && !field->forbidden;
	field->lookup = is_lookup(column);
	field->companion = field->lookup ? find_companion(encode->table, column) : NULL;
	return is_insert(encode) || field->named;
}

static void
prepare_fields(DvEncode *encode)
{
	const DvTable *table = encode->table;
	DvColumn **columns = palloc(sizeof(DvColumn *) * (table->ncolumns + 1));

	encode->fields = palloc0(sizeof(Field) * (table->ncolumns + 1));
	if (encode->plan->mode == DV_WRITE_DELETE)
		return;
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (make_field(encode, &table->columns[i], &encode->fields[encode->nfields]))
			columns[encode->nfields++] = &table->columns[i];
		else
			memset(&encode->fields[encode->nfields], 0, sizeof(Field));
	}
	encode->convert = dv_convert_prepare(table, columns, encode->nfields);
}

static void
prepare_keys(DvEncode *encode)
{
	const DvTable *table = encode->table;

	if (encode->plan->mode != DV_WRITE_UPSERT)
		return;
	encode->nkeys = table->nkeys;
	encode->keys = palloc0(sizeof(DvColumn *) * (table->nkeys + 1));
	for (int i = 0; i < table->nkeys; i++)
	{
		encode->keys[i] = dv_table_column_named(table, table->keys[i]);
		if (encode->keys[i] == NULL)
			ereport(ERROR, (errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
							errmsg("column \"%s\" of option \"key\" is not a column of foreign "
								   "table \"%s\"",
								   table->keys[i], table->name)));
	}
}

DvEncode *
dv_encode_prepare(const DvEncodeSpec *spec)
{
	DvEncode *encode = palloc0(sizeof(DvEncode));
	const DvTable *table = spec->table;

	encode->service = spec->service;
	encode->table = table;
	encode->plan = spec->plan;
	encode->desc = spec->desc;
	encode->context = CurrentMemoryContext;
	encode->id_attno = spec->id_attno;
	encode->partition_attno = spec->partition_attno;
	encode->primary_id = table->primary_id;
	encode->odata_type = psprintf(TYPE_PREFIX "%s", table->table_name);
	encode->random_used = sizeof(encode->random);
	dv_writerules_identity(table, &encode->id_column, &encode->partition_column);
	if (encode->id_column && encode->primary_id == NULL)
		encode->primary_id = encode->id_column->logical;
	prepare_fields(encode);
	prepare_keys(encode);
	return encode;
}

const char *
dv_encode_primary_id(DvEncode *encode)
{
	const DvSchema *schema;

	if (encode->primary_id)
		return encode->primary_id;
	schema = dv_metadata_table(encode->service, encode->table->table_name);
	if (schema == NULL || schema->primary_id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
				 errmsg("the primary id of foreign table \"%s\" is not known", encode->table->name),
				 errhint("Set the table's option primary_id.")));
	encode->primary_id = MemoryContextStrdup(encode->context, schema->primary_id);
	return encode->primary_id;
}

const DvColumn *const *
dv_encode_keys(const DvEncode *encode, int *n)
{
	*n = encode->nkeys;
	return encode->keys;
}

bool
dv_encode_sends(const DvTable *table, const DvModifyPlan *plan, const DvColumn *column)
{
	if (!dv_writerules_sendable(column, false))
		return false;
	/* The slot of an UPDATE holds the other columns as they were read, its id too. */
	if (plan->mode == DV_WRITE_UPDATE)
		return true;
	if (column->is_primary_id)
		return plan->mode == DV_WRITE_CREATE;
	/* A NULL that is not sent may stand for any value (sends_null). */
	if (table->settings.null_omit || (plan->mode == DV_WRITE_CREATE && is_lookup(column)))
		return false;
	return list_member_int(plan->attnums, column->attnum);
}

/*
 * Who is it?
 */

static const char *
fresh_random(DvEncode *encode)
{
	const char *bytes;

	if (encode->random_used + DV_ID_RANDOM > sizeof(encode->random))
	{
		if (!pg_strong_random(encode->random, sizeof(encode->random)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
		encode->random_used = 0;
	}
	bytes = (const char *) encode->random + encode->random_used;
	encode->random_used += DV_ID_RANDOM;
	return bytes;
}

static char *
make_id(DvEncode *encode)
{
	char *id = palloc(DV_ID_LEN + 1);
	int64 now_ms = GetCurrentTimestamp() / 1000 +
				   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * INT64CONST(1000);

	dv_newid(&encode->ids, now_ms, (const uint8 *) fresh_random(encode), id);
	return id;
}

/* Requests are in UTF-8, values in the database's encoding. */
static char *
to_utf8(char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

static char *
operand_text(const DvColumn *column, Datum value)
{
	return to_utf8(dv_convert_operand(value, false, column->typid, column->type)->text);
}

/* A primary id in its one spelling, DV_ID_LEN long, whatever its column is declared as. */
static char *
id_text(const DvColumn *column, Datum value)
{
	return dv_convert_operand(value, false, column->typid, DV_TYPE_GUID)->text;
}

/* What kind of literal a key value is; by the local type where the table does not say. */
static DvEdm
key_edm(const DvColumn *column)
{
	DvEdm edm = dv_type_edm(column->type);

	if (edm != DV_EDM_NONE)
		return edm;
	switch (getBaseType(column->typid))
	{
		case INT2OID:
		case INT4OID:
			return DV_EDM_INT32;
		case INT8OID:
			return DV_EDM_INT64;
		case NUMERICOID:
			return DV_EDM_DECIMAL;
		case UUIDOID:
			return DV_EDM_GUID;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return DV_EDM_DATETIME;
		case DATEOID:
			return DV_EDM_DATE;
		default:
			return DV_EDM_STRING;
	}
}

static void
address_by_id(DvEncode *encode, DvRow *row, const char *partition)
{
	row->by_key = false;
	row->nparts = partition ? 2 : 1;
	row->parts = palloc0(sizeof(DvKeyPart) * row->nparts);
	row->parts[0].edm = DV_EDM_GUID;
	row->parts[0].text = row->id;
	if (partition)
	{
		row->parts[0].property = dv_encode_primary_id(encode);
		row->parts[1].property = PARTITION_COLUMN;
		row->parts[1].edm = DV_EDM_STRING;
		row->parts[1].text = partition;
	}
}

/* UPDATE, DELETE: the id came along with the row. */
static void
identify_existing(DvEncode *encode, TupleTableSlot *planslot, DvRow *row)
{
	bool isnull;
	Datum value = slot_getattr(planslot, encode->id_attno, &isnull);
	const char *partition = NULL;

	if (isnull)
		elog(ERROR, "primary id of a row of foreign table \"%s\" is null", encode->table->name);
	row->id = id_text(encode->id_column, value);
	row->id_given = true;
	row->fold = row->id;
	if (encode->partition_attno > 0)
	{
		value = slot_getattr(planslot, encode->partition_attno, &isnull);
		if (!isnull)
		{
			partition = operand_text(encode->partition_column, value);
			row->fold = psprintf("%s/%s", row->id, partition);
		}
	}
	address_by_id(encode, row, partition);
}

/* Fills the key's values; returns the column that is null (empty text is null to the service). */
static const DvColumn *
read_key(DvEncode *encode, TupleTableSlot *slot, DvRow *row)
{
	row->nkeys = encode->nkeys;
	row->keys = palloc0(sizeof(DvKeyPart) * encode->nkeys);
	for (int i = 0; i < encode->nkeys; i++)
	{
		const DvColumn *column = encode->keys[i];
		DvKeyPart *part = &row->keys[i];
		bool isnull;
		Datum value = slot_getattr(slot, column->attnum, &isnull);

		if (isnull)
			return column;
		part->property = column->property;
		part->edm = key_edm(column);
		part->text = operand_text(column, value);
		if (part->text[0] == '\0')
			return column;
		row->refused = row->refused || dv_url_key_refuses(part->edm, part->text);
	}
	return NULL;
}

static const DvColumn *
identify_by_key(DvEncode *encode, TupleTableSlot *slot, DvRow *row)
{
	const DvColumn *missing = read_key(encode, slot, row);
	StringInfoData fold;

	if (missing)
		return missing;
	initStringInfo(&fold);
	dv_keyfold(&fold, row->keys, row->nkeys);
	row->fold = fold.data;
	row->parts = row->keys;
	row->nparts = row->nkeys;
	row->by_key = true;
	return NULL;
}

/* INSERT by id: the user's, or one made here. */
static void
identify_by_id(DvEncode *encode, TupleTableSlot *slot, DvRow *row, const char *given)
{
	const char *partition = NULL;
	bool isnull;

	row->id_given = given != NULL;
	row->id = given ? pstrdup(given) : make_id(encode);
	if (given && encode->plan->mode == DV_WRITE_UPSERT)
		row->fold = row->id;
	if (encode->partition_column && encode->plan->mode == DV_WRITE_UPSERT)
	{
		Datum value = slot_getattr(slot, encode->partition_column->attnum, &isnull);

		if (!isnull)
			partition = operand_text(encode->partition_column, value);
		if (row->fold && partition)
			row->fold = psprintf("%s/%s", row->id, partition);
	}
	address_by_id(encode, row, partition);
}

const DvColumn *
dv_encode_identify(DvEncode *encode, TupleTableSlot *slot, TupleTableSlot *planslot, DvRow *row)
{
	const char *given = NULL;

	memset(row, 0, sizeof(DvRow));
	row->number = ++encode->rows;
	if (!is_insert(encode))
	{
		identify_existing(encode, planslot, row);
		return NULL;
	}
	if (encode->id_column)
	{
		bool isnull;
		Datum value = slot_getattr(slot, encode->id_column->attnum, &isnull);

		if (!isnull)
			given = id_text(encode->id_column, value);
	}
	if (encode->nkeys > 0 && given == NULL)
		return identify_by_key(encode, slot, row);
	identify_by_id(encode, slot, row, given);
	return NULL;
}

void
dv_encode_settle(DvEncode *encode, DvRow *row, const char *id)
{
	row->id = id ? pstrdup(id) : make_id(encode);
	row->refused = false;
	address_by_id(encode, row, NULL);
}

static DvKeyPart *
copy_parts(const DvKeyPart *parts, int n)
{
	DvKeyPart *copy;

	if (n == 0)
		return NULL;
	copy = palloc(sizeof(DvKeyPart) * n);
	for (int i = 0; i < n; i++)
	{
		copy[i] = parts[i]; /* property lives as long as the table's options */
		copy[i].text = pstrdup(parts[i].text);
	}
	return copy;
}

void
dv_encode_copy_row(DvRow *to, const DvRow *from)
{
	*to = *from;
	to->id = from->id ? pstrdup(from->id) : NULL;
	to->fold = from->fold ? pstrdup(from->fold) : NULL;
	to->keys = copy_parts(from->keys, from->nkeys);
	to->parts = from->parts == from->keys ? to->keys : copy_parts(from->parts, from->nparts);
}

void
dv_encode_address(const DvEncode *encode, const DvRow *row, bool in_url, StringInfo out)
{
	dv_url_key(out, encode->table->entity_set, row->parts, row->nparts, in_url);
}

char *
dv_encode_show(const DvEncode *encode, const DvRow *row)
{
	StringInfoData out;

	initStringInfo(&out);
	if (row->nkeys == 0 && row->id_given)
		appendStringInfo(&out, "%s='%s'", encode->id_column ? encode->id_column->name : "id",
						 row->id);
	else if (row->nkeys == 0)
		appendStringInfo(&out, "number " INT64_FORMAT " of the statement", row->number);
	for (int i = 0; i < row->nkeys; i++)
		appendStringInfo(&out, "%s%s='%s'", i > 0 ? ", " : "", encode->keys[i]->name,
						 row->keys[i].text);
	return pg_any_to_server(out.data, out.len, PG_UTF8);
}

/*
 * Lookups.
 */

static void
unknown_route(const DvEncode *encode, const Field *field, const char *table)
{
	const DvColumn *column = field->column;

	if (table)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("column \"%s\" of foreign table \"%s\" cannot point to \"%s\"",
							   column->name, encode->table->name, table),
						errdetail("The metadata have no such table among the targets of \"%s\".",
								  column->logical)));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("it is not known which table column \"%s\" of foreign table \"%s\" "
					"points to",
					column->name, encode->table->name),
			 field->companion
				 ? errhint("Give column \"%s\" the table's logical name.", field->companion->name)
				 : errhint("Set options navigation_property and target of the column, or "
						   "add a text column with option target_of '%s'.",
						   column->logical)));
}

static const DvAttribute *
lookup_metadata(DvEncode *encode, const Field *field)
{
	const DvSchema *schema = dv_metadata_table(encode->service, encode->table->table_name);

	for (int i = 0; schema != NULL && i < schema->nattributes; i++)
	{
		if (strcmp(schema->attributes[i].name, field->column->logical) == 0)
			return &schema->attributes[i];
	}
	return NULL;
}

/* Number of a table among the lookup's targets; the only one when none is named; -1. */
static int
find_target(const DvAttribute *attribute, const char *table)
{
	if (table == NULL)
		return attribute->ntargets == 1 ? 0 : -1;
	for (int i = 0; i < attribute->ntargets; i++)
	{
		if (strcmp(attribute->targets[i], table) == 0)
			return i;
	}
	return -1;
}

static const Route *
add_route(DvEncode *encode, Field *field, const char *table, const char *navigation,
		  const char *set)
{
	MemoryContext old = MemoryContextSwitchTo(encode->context);
	Route *route = palloc(sizeof(Route));

	route->table = table ? pstrdup(table) : NULL;
	route->navigation = pstrdup(navigation);
	route->set = pstrdup(set);
	field->routes = lappend(field->routes, route);
	MemoryContextSwitchTo(old);
	return route;
}

static const Route *
route_by_metadata(DvEncode *encode, Field *field, const char *table)
{
	const DvColumn *column = field->column;
	const DvAttribute *attribute = lookup_metadata(encode, field);
	int target = attribute ? find_target(attribute, table) : -1;
	const char *navigation;
	const DvSchema *schema;

	if (target < 0)
		unknown_route(encode, field, table);
	/* The owner's property has the column's name and is listed for no target (sheet 3.5). */
	navigation = attribute->navigations[target];
	if (navigation == NULL)
		navigation = column->navigation ? column->navigation : column->logical;
	navigation = pstrdup(navigation);
	schema = dv_metadata_table(encode->service, attribute->targets[target]);
	if (schema == NULL || schema->set_name == NULL)
		unknown_route(encode, field, table);
	return add_route(encode, field, table, navigation, schema->set_name);
}

static const Route *
find_route(DvEncode *encode, Field *field, const char *table)
{
	const DvColumn *column = field->column;
	ListCell *lc;

	foreach (lc, field->routes)
	{
		const Route *route = lfirst(lc);

		if (table == NULL ? route->table == NULL
						  : route->table != NULL && strcmp(route->table, table) == 0)
			return route;
	}
	if (table == NULL && column->navigation && column->target)
		return add_route(encode, field, NULL, column->navigation, column->target);
	return route_by_metadata(encode, field, table);
}

/* The table that the row's companion column names; NULL when it names none. */
static char *
companion_table(const Field *field, TupleTableSlot *slot)
{
	bool isnull;
	Datum value;
	char *table;

	if (field->companion == NULL)
		return NULL;
	value = slot_getattr(slot, field->companion->attnum, &isnull);
	if (isnull)
		return NULL;
	/* Its declared type may be any. */
	table = dv_convert_operand(value, false, field->companion->typid, DV_TYPE_STRING)->text;
	return table[0] != '\0' ? table : NULL;
}

/* Any of a lookup's properties clears it: one is enough, and only one may be sent (sheet 3.5). */
static const char *
clearing_name(DvEncode *encode, Field *field)
{
	const char *name = field->column->navigation;

	if (field->null_name)
		return field->null_name;
	if (name == NULL)
	{
		const DvAttribute *attribute = lookup_metadata(encode, field);

		if (attribute == NULL || attribute->ntargets == 0)
			unknown_route(encode, field, NULL);
		name = attribute->navigations[0] ? attribute->navigations[0] : field->column->logical;
	}
	field->null_name = MemoryContextStrdup(encode->context, name);
	return field->null_name;
}

/*
 * The body.
 */

static void
add_field(DvBody *body, const Field *field, const char *name, DvJson kind, const char *text,
		  size_t len)
{
	DvError error = {0};

	if (!dv_body_field(body, name, kind, text, len, &error))
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("value of column \"%s\" cannot be sent: %s", field->column->name,
							   error.message)));
}

static void
add_lookup(DvEncode *encode, Field *field, TupleTableSlot *slot, Datum value, DvBody *body)
{
	const Route *route = find_route(encode, field, companion_table(field, slot));
	DvKeyPart id = {NULL, DV_EDM_GUID, NULL};
	StringInfoData address;

	id.text = dv_convert_operand(value, false, field->column->typid, DV_TYPE_GUID)->text;
	initStringInfo(&address);
	appendStringInfoChar(&address, '/');
	dv_url_key(&address, route->set, &id, 1, false);
	add_field(body, field, psprintf("%s@odata.bind", route->navigation), DV_JSON_STRING,
			  address.data, address.len);
}

/*
 * Does a NULL travel?  Not in a row that is made anew when it is a lookup's:
 * there is nothing to clear, and an owner must not be null.
 */
static bool
sends_null(const DvEncode *encode, const Field *field)
{
	if (!field->named)
		return false;
	if (encode->plan->mode == DV_WRITE_UPDATE)
		return true;
	if (encode->plan->mode == DV_WRITE_CREATE && field->lookup)
		return false;
	return !encode->table->settings.null_omit;
}

static void
refuse_value(const DvEncode *encode, const Field *field)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
					errmsg("column \"%s\" of foreign table \"%s\" cannot be given a value: %s",
						   field->column->name, encode->table->name,
						   field->column->label_of ? "it is the label of another column"
												   : "it has option read_only"),
					errhint("Leave the column out of the statement.")));
}

static void
encode_field(DvEncode *encode, int i, TupleTableSlot *slot, DvBody *body)
{
	Field *field = &encode->fields[i];
	int place = field->column->attnum - 1;
	bool isnull = slot->tts_isnull[place];
	const char *text;
	const char *utf8;
	size_t len;
	DvJson kind;

	if (isnull && !sends_null(encode, field))
		return;
	if (field->forbidden)
		refuse_value(encode, field);
	if (field->lookup && isnull)
		add_field(body, field, clearing_name(encode, field), DV_JSON_NULL, NULL, 0);
	else if (field->lookup)
		add_lookup(encode, field, slot, slot->tts_values[place], body);
	else
	{
		kind = dv_convert_out(encode->convert, i, slot->tts_values[place], isnull, &text, &len);
		utf8 = pg_server_to_any(text, (int) len, PG_UTF8);
		add_field(body, field, field->column->property, kind, utf8,
				  utf8 == text ? len : strlen(utf8));
	}
}

static void
encode_targets(DvEncode *encode, const DvRow *row, DvBody *body)
{
	StringInfoData address;

	dv_body_target_field(body, "@odata.type", encode->odata_type);
	if (encode->plan->mode == DV_WRITE_CREATE)
		return;
	if (row->by_key)
	{
		initStringInfo(&address);
		dv_encode_address(encode, row, false, &address);
		dv_body_target_field(body, "@odata.id", address.data);
		return;
	}
	dv_body_target_field(body, dv_encode_primary_id(encode), row->id);
	if (row->nparts > 1 && encode->plan->mode == DV_WRITE_UPDATE)
		dv_body_target_field(body, row->parts[1].property, row->parts[1].text);
}

void
dv_encode_row(DvEncode *encode, TupleTableSlot *slot, const DvRow *row, DvBody *body)
{
	DvError error = {0};

	slot_getallattrs(slot);
	dv_body_row_begin(body);
	encode_targets(encode, row, body);
	for (int i = 0; i < encode->nfields; i++)
	{
		if (row->by_key && encode->fields[i].column->is_key)
			continue;
		encode_field(encode, i, slot, body);
	}
	/* Last, so that a row shown in an error starts with what the user knows. */
	if (encode->plan->mode == DV_WRITE_CREATE &&
		!dv_body_field(body, dv_encode_primary_id(encode), DV_JSON_STRING, row->id, DV_ID_LEN,
					   &error))
		elog(ERROR, "id \"%s\" cannot be sent: %s", row->id, error.message);
	dv_body_row_end(body);
}
