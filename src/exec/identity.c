/*
 * identity.c
 *	  Which row of the service a row of a statement is: its id or key, its
 *	  address, its version.
 *
 * An INSERT addresses its rows by the alternate key, if the table has one, or by
 * an id: the user's, or one made here, so that a request may be repeated.  UPDATE
 * and DELETE find the id among what the scan read, or have the key in the row.
 * Key values that no address can hold (sheet 1.5) are marked, and whoever looks
 * the id up settles it.
 *
 * Rows that the service may take for the same one share a fold, by which bulk
 * keeps them apart and in order.
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

#include "exec/changed.h"
#include "exec/convert.h"
#include "exec/etag.h"
#include "exec/identity.h"
#include "odata/keyfold.h"
#include "odata/newid.h"
#include "remote/metadata.h"
#include "writerules.h"

#define PARTITION_COLUMN "partitionid"

struct DvIdentity
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	MemoryContext context;
	bool own_ids;
	AttrNumber id_attno;
	AttrNumber partition_attno;
	AttrNumber etag_attno;
	AttrNumber old_attno;
	const DvColumn *id_column; /* INSERT: may be given by the user; or NULL */
	const DvColumn *partition_column;
	char *primary_id; /* logical name; NULL until known */
	int nkeys;
	const DvColumn **keys;
	int64 rows;
	DvIdStream ids;
	uint8 random[DV_ID_RANDOM * 64];
	int random_used;
};

static bool
is_insert(const DvIdentity *identity)
{
	return identity->plan->mode == DV_WRITE_CREATE || identity->plan->mode == DV_WRITE_UPSERT;
}

static void
prepare_keys(DvIdentity *identity)
{
	const DvTable *table = identity->table;

	if (identity->plan->mode != DV_WRITE_UPSERT && (is_insert(identity) || identity->id_attno > 0))
		return;
	identity->nkeys = table->nkeys;
	identity->keys = palloc0(sizeof(DvColumn *) * (table->nkeys + 1));
	for (int i = 0; i < table->nkeys; i++)
	{
		identity->keys[i] = dv_table_column_named(table, table->keys[i]);
		if (identity->keys[i] == NULL)
			ereport(ERROR, (errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
							errmsg("column \"%s\" of option \"key\" is not a column of foreign "
								   "table \"%s\"",
								   table->keys[i], table->name)));
	}
}

DvIdentity *
dv_identity_prepare(const DvIdentitySpec *spec)
{
	DvIdentity *identity = palloc0(sizeof(DvIdentity));
	const DvTable *table = spec->table;

	identity->service = spec->service;
	identity->table = table;
	identity->plan = spec->plan;
	identity->context = CurrentMemoryContext;
	identity->own_ids = spec->own_ids;
	identity->id_attno = spec->id_attno;
	identity->partition_attno = spec->partition_attno;
	identity->etag_attno = spec->etag_attno;
	identity->old_attno = spec->old_attno;
	identity->primary_id = table->primary_id;
	identity->random_used = sizeof(identity->random);
	dv_writerules_identity(table, &identity->id_column, &identity->partition_column);
	if (identity->id_column && identity->primary_id == NULL)
		identity->primary_id = identity->id_column->logical;
	prepare_keys(identity);
	return identity;
}

const char *
dv_identity_primary_id(DvIdentity *identity)
{
	const DvSchema *schema;

	if (identity->primary_id)
		return identity->primary_id;
	schema = dv_metadata_table(identity->service, identity->table->table_name);
	if (schema == NULL || schema->primary_id == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
						errmsg("the primary id of foreign table \"%s\" is not known",
							   identity->table->name),
						errhint("Set the table's option primary_id.")));
	identity->primary_id = MemoryContextStrdup(identity->context, schema->primary_id);
	return identity->primary_id;
}

const DvColumn *const *
dv_identity_keys(const DvIdentity *identity, int *n)
{
	*n = identity->nkeys;
	return identity->keys;
}

/*
 * Who is it?
 */

static const char *
fresh_random(DvIdentity *identity)
{
	const char *bytes;

	if (identity->random_used + DV_ID_RANDOM > sizeof(identity->random))
	{
		if (!pg_strong_random(identity->random, sizeof(identity->random)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
		identity->random_used = 0;
	}
	bytes = (const char *) identity->random + identity->random_used;
	identity->random_used += DV_ID_RANDOM;
	return bytes;
}

static char *
make_id(DvIdentity *identity)
{
	char *id = palloc(DV_ID_LEN + 1);
	int64 now_ms = GetCurrentTimestamp() / 1000 +
				   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * INT64CONST(1000);

	dv_newid(&identity->ids, now_ms, (const uint8 *) fresh_random(identity), id);
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
address_by_id(DvIdentity *identity, DvRow *row, const char *partition)
{
	row->by_key = false;
	row->nparts = partition ? 2 : 1;
	row->parts = palloc0(sizeof(DvKeyPart) * row->nparts);
	row->parts[0].edm = DV_EDM_GUID;
	row->parts[0].text = row->id;
	if (partition)
	{
		row->parts[0].property = dv_identity_primary_id(identity);
		row->parts[1].property = PARTITION_COLUMN;
		row->parts[1].edm = DV_EDM_STRING;
		row->parts[1].text = partition;
	}
}

/* UPDATE, DELETE: the id came along with the row. */
static void
identify_existing(DvIdentity *identity, TupleTableSlot *planslot, DvRow *row)
{
	bool isnull;
	Datum value = slot_getattr(planslot, identity->id_attno, &isnull);
	const char *partition = NULL;

	if (isnull)
		elog(ERROR, "primary id of a row of foreign table \"%s\" is null", identity->table->name);
	row->id = id_text(identity->id_column, value);
	row->id_given = true;
	row->fold = row->id;
	if (identity->partition_attno > 0)
	{
		value = slot_getattr(planslot, identity->partition_attno, &isnull);
		if (!isnull)
		{
			partition = operand_text(identity->partition_column, value);
			row->fold = psprintf("%s/%s", row->id, partition);
		}
	}
	if (identity->etag_attno > 0)
	{
		value = slot_getattr(planslot, identity->etag_attno, &isnull);
		row->etag = dv_etag_text((ItemPointer) DatumGetPointer(value));
	}
	address_by_id(identity, row, partition);
}

/* Fills the key's values; returns the column that is null (empty text is null to the service). */
static const DvColumn *
read_key(DvIdentity *identity, TupleTableSlot *slot, DvRow *row)
{
	row->nkeys = identity->nkeys;
	row->keys = palloc0(sizeof(DvKeyPart) * identity->nkeys);
	for (int i = 0; i < identity->nkeys; i++)
	{
		const DvColumn *column = identity->keys[i];
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
identify_by_key(DvIdentity *identity, TupleTableSlot *slot, DvRow *row)
{
	const DvColumn *missing = read_key(identity, slot, row);
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
identify_by_id(DvIdentity *identity, TupleTableSlot *slot, DvRow *row, const char *given)
{
	const char *partition = NULL;
	bool isnull;

	row->id_given = given != NULL && !identity->own_ids;
	row->id = given ? pstrdup(given) : make_id(identity);
	if (given && identity->plan->mode == DV_WRITE_UPSERT)
		row->fold = row->id;
	if (identity->partition_column && identity->plan->mode == DV_WRITE_UPSERT)
	{
		Datum value = slot_getattr(slot, identity->partition_column->attnum, &isnull);

		if (!isnull)
			partition = operand_text(identity->partition_column, value);
		if (row->fold && partition)
			row->fold = psprintf("%s/%s", row->id, partition);
	}
	address_by_id(identity, row, partition);
}

/* UPDATE with a BEFORE trigger: the attributes that differ from the row that was read. */
static const Bitmapset *
changed_columns(const DvIdentity *identity, TupleTableSlot *slot, TupleTableSlot *planslot)
{
	bool isnull;
	Datum old = slot_getattr(planslot, identity->old_attno, &isnull);

	if (isnull)
		elog(ERROR, "row of foreign table \"%s\" that was read is null", identity->table->name);
	return dv_changed_columns(slot, old);
}

const DvColumn *
dv_identity_find(DvIdentity *identity, TupleTableSlot *slot, TupleTableSlot *planslot, DvRow *row)
{
	const char *given = NULL;

	memset(row, 0, sizeof(DvRow));
	row->number = ++identity->rows;
	if (!is_insert(identity) && identity->id_attno == 0)
		return identify_by_key(identity, slot, row);
	if (!is_insert(identity))
	{
		identify_existing(identity, planslot, row);
		if (identity->old_attno > 0)
			row->changed = changed_columns(identity, slot, planslot);
		return NULL;
	}
	if (identity->id_column)
	{
		bool isnull;
		Datum value = slot_getattr(slot, identity->id_column->attnum, &isnull);

		if (!isnull)
			given = id_text(identity->id_column, value);
	}
	if (identity->nkeys > 0 && given == NULL)
		return identify_by_key(identity, slot, row);
	identify_by_id(identity, slot, row, given);
	return NULL;
}

void
dv_identity_settle(DvIdentity *identity, DvRow *row, const char *id)
{
	row->id = id ? pstrdup(id) : make_id(identity);
	row->refused = false;
	address_by_id(identity, row, NULL);
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
dv_identity_copy(DvRow *to, const DvRow *from)
{
	*to = *from;
	to->changed = NULL;
	to->id = from->id ? pstrdup(from->id) : NULL;
	to->etag = from->etag ? pstrdup(from->etag) : NULL;
	to->fold = from->fold ? pstrdup(from->fold) : NULL;
	to->keys = copy_parts(from->keys, from->nkeys);
	to->parts = from->parts == from->keys ? to->keys : copy_parts(from->parts, from->nparts);
}

void
dv_identity_address(const DvIdentity *identity, const DvRow *row, bool in_url, StringInfo out)
{
	dv_url_key(out, identity->table->entity_set, row->parts, row->nparts, in_url);
}

char *
dv_identity_show(const DvIdentity *identity, const DvRow *row)
{
	StringInfoData out;

	initStringInfo(&out);
	if (row->nkeys == 0 && row->id_given)
		appendStringInfo(&out, "%s='%s'", identity->id_column ? identity->id_column->name : "id",
						 row->id);
	else if (row->nkeys == 0)
		appendStringInfo(&out, "number " INT64_FORMAT " of the statement", row->number);
	for (int i = 0; i < row->nkeys; i++)
		appendStringInfo(&out, "%s%s='%s'", i > 0 ? ", " : "", identity->keys[i]->name,
						 row->keys[i].text);
	return pg_any_to_server(out.data, out.len, PG_UTF8);
}
