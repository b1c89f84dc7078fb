/*
 * encode.c
 *	  A row as JSON fields: plain columns, and lookups as binds.
 *
 * Decides which columns of a row travel and under which names.  A column that
 * the statement names travels with every row, NULL included (unless the table
 * says null_columns 'omit'); the others of an INSERT are NULLs that PostgreSQL
 * filled in, and travel only when a default or a trigger gave them a value.
 * Key columns that are the address stay out of the body (sheet 4.3, 5.1).  The
 * service ignores values for columns it does not let us write (3.7): here they
 * are errors.
 *
 * One value may have several columns: a choice its own and those of its label, a
 * lookup its id and the parts of a key of its target (lookup.h).  They share a
 * field.  What the statement names counts before what came along with the row,
 * and in an UPDATE, where the rest is the row as it was read, alone.  A choice and
 * its label must agree where both count.
 */
#include "postgres.h"

#include "compat.h"

#include "mb/pg_wchar.h"

#include "exec/convert.h"
#include "exec/encode.h"
#include "exec/labels.h"
#include "exec/lookup.h"
#include "exec/validate.h"
#include "odata/newid.h"
#include "writerules.h"

#define TYPE_PREFIX "Microsoft.Dynamics.CRM."

/* A column with the label of a choice. */
typedef struct Label
{
	const DvColumn *column;
	DvLabelWriter *writer;
} Label;

/* A value that may travel, or must not be given. */
typedef struct Field
{
	const DvColumn *column; /* its own, or the first of those that stand for it */
	int number;             /* of that column in convert */
	bool forbidden;         /* a value for it is an error */
	bool named;             /* by the statement: NULL counts */
	bool triggered;         /* by a trigger only, if at all */
	bool counts;            /* the value of its own column does, beside labels */
	DvBodyName member;      /* its name in a body, unless it is a lookup's */
	List *labels;           /* Label *: those that count */
	DvLookup *lookup;       /* or NULL */
} Field;

struct DvEncode
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	TupleDesc desc; /* of the rows */
	DvLookupSpec lookups;
	DvIdentity *identity;
	bool only_changed; /* what a trigger may have changed travels if it has */
	char *odata_type;
	int nfields;
	Field *fields;
	DvConvert *convert;   /* for the fields, same order */
	DvValidate *validate; /* or NULL */
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

static bool
is_named(const DvEncode *encode, const DvColumn *column)
{
	/* What PostgreSQL computes counts like what the statement says: its NULL clears, too. */
	return list_member_int(encode->plan->attnums, column->attnum) ||
		   (is_insert(encode) && column->generated);
}

static bool
any_named(const DvEncode *encode, const List *columns)
{
	ListCell *lc;

	foreach (lc, columns)
	{
		if (is_named(encode, lfirst(lc)))
			return true;
	}
	return false;
}

/* The columns that write the label of this one. */
static List *
find_labels(const DvTable *table, const char *logical)
{
	List *labels = NIL;

	for (int i = 0; i < table->ncolumns; i++)
	{
		DvColumn *column = &table->columns[i];

		if (column->label_of && !column->read_only && strcmp(column->label_of, logical) == 0)
			labels = lappend(labels, column);
	}
	return labels;
}

static void
count_labels(DvEncode *encode, Field *field, const List *columns)
{
	ListCell *lc;

	foreach (lc, columns)
	{
		Label *label = palloc(sizeof(Label));

		label->column = lfirst(lc);
		label->writer = dv_labels_prepare(encode->service, encode->table, label->column);
		if (is_insert(encode) || is_named(encode, label->column))
			field->labels = lappend(field->labels, label);
	}
}

static bool
make_plain(DvEncode *encode, const DvColumn *column, Field *field)
{
	List *labels = column->read_only ? NIL : find_labels(encode->table, column->logical);
	bool label_named = any_named(encode, labels);
	bool own = column->label_of == NULL;
	bool own_named = own && is_named(encode, column);

	dv_body_name(&field->member, column->property);
	field->forbidden = column->read_only;
	field->named = !field->forbidden && (own_named || label_named);
	field->counts = own && (own_named || (is_insert(encode) && !label_named));
	if (label_named || !own_named)
		count_labels(encode, field, labels);
	return is_insert(encode) || field->named;
}

static bool
make_lookup(DvEncode *encode, const DvColumn *column, Field *field)
{
	field->lookup = dv_lookup_prepare(&encode->lookups, column->logical);
	field->named = dv_lookup_named(field->lookup);
	return is_insert(encode) || field->named;
}

/* Columns of one value have one field, that of the first in the table, but its own if there is one. */
static bool
leads_group(const DvTable *table, const DvColumn *column)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *other = &table->columns[i];

		if (other == column || other->read_only || !dv_writerules_partners(other, column))
			continue;
		if (dv_writerules_own(other) || (other < column && !dv_writerules_own(column)))
			return false;
	}
	return true;
}

/* True if the column has a place in the list of fields. */
static bool
make_field(DvEncode *encode, const DvColumn *column, Field *field)
{
	memset(field, 0, sizeof(Field));
	field->column = column;
	field->number = encode->nfields;
	if (column->target_of || column->is_primary_id)
		return false;
	if (column->read_only)
		return make_plain(encode, column, field);
	if (!leads_group(encode->table, column))
		return false;
	field->triggered = list_member_int(encode->plan->triggered, column->attnum);
	return is_lookup(column) || column->key_of ? make_lookup(encode, column, field)
											   : make_plain(encode, column, field);
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
	}
	encode->convert = dv_convert_prepare(table, columns, encode->nfields);
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
	encode->lookups.service = spec->service;
	encode->lookups.table = table;
	encode->lookups.plan = spec->plan;
	encode->validate = dv_validate_prepare(spec->service, table);
	encode->identity = spec->identity;
	encode->only_changed = spec->only_changed;
	encode->odata_type = psprintf(TYPE_PREFIX "%s", table->table_name);
	prepare_fields(encode);
	return encode;
}

int
dv_encode_marks(const DvEncode *encode)
{
	return encode->nfields;
}

void
dv_encode_describe(const DvEncode *encode, int mark, DvEncodedField *field)
{
	const Field *own = &encode->fields[mark];

	field->property = own->column->property;
	field->logical = own->column->logical;
	field->type = own->column->type;
	field->lookup = own->lookup;
}

/* Does the statement set the column's value by another column? */
static bool
set_by_partner(const DvTable *table, const DvModifyPlan *plan, const DvColumn *column)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *other = &table->columns[i];

		if (dv_writerules_partners(other, column) && list_member_int(plan->attnums, other->attnum))
			return true;
	}
	return false;
}

bool
dv_encode_sends(const DvTable *table, const DvModifyPlan *plan, const DvColumn *column)
{
	bool named = list_member_int(plan->attnums, column->attnum);

	/* A key of a lookup's target cannot be read: what was sent is all there is. */
	if (column->key_of)
		return true;
	if (!dv_writerules_sendable(column, false) || column->label_of ||
		set_by_partner(table, plan, column))
		return false;
	/* The slot of an UPDATE holds the other columns as they were read, its id too. */
	if (plan->mode == DV_WRITE_UPDATE)
		return true;
	if (column->is_primary_id)
		return plan->mode == DV_WRITE_CREATE;
	/* A NULL that is not sent may stand for any value (sends_null). */
	if (table->settings.null_omit || (plan->mode == DV_WRITE_CREATE && is_lookup(column)))
		return false;
	return named;
}

/*
 * The body.
 */

static void
add_field(DvEncode *encode, const Field *field, const DvBodyName *name, const DvBodyValue *value,
		  DvBody *body)
{
	DvError error = {0};

	if (encode->validate != NULL)
		dv_validate_value(encode->validate, field->column, value->kind, value->text, value->len);
	if (!dv_body_member(body, name, value, &error))
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("value of column \"%s\" cannot be sent: %s", field->column->name,
							   error.message)));
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
	if (encode->plan->mode == DV_WRITE_CREATE && field->lookup != NULL)
		return false;
	return !encode->table->settings.null_omit;
}

static void
refuse_value(const DvEncode *encode, const Field *field)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
			 errmsg("column \"%s\" of foreign table \"%s\" cannot be given a value: %s",
					field->column->name, encode->table->name,
					field->column->label_of ? "it is the label of a column that is not written"
											: "it has option read_only"),
			 errhint("Leave the column out of the statement.")));
}

static void
encode_lookup(DvEncode *encode, Field *field, TupleTableSlot *slot, DvBody *body)
{
	DvBind bind;
	DvBodyValue value = {DV_JSON_NULL};

	if (!dv_lookup_bind(field->lookup, slot, sends_null(encode, field), &bind))
		return;
	if (bind.address != NULL)
	{
		value.kind = DV_JSON_STRING;
		value.text = bind.address;
		value.len = strlen(bind.address);
	}
	add_field(encode, field, bind.name, &value, body);
}

/* A choice with its labels, as its own JSON: ASCII, whatever the database's encoding. */
static void
encode_choice(DvEncode *encode, Field *field, TupleTableSlot *slot, DvBody *body)
{
	int place = field->column->attnum - 1;
	DvBodyValue value = {DV_JSON_NULL};
	ListCell *lc;

	if (field->counts && !slot->tts_isnull[place])
		value.kind = dv_convert_out(encode->convert, field->number, slot->tts_values[place], false,
									&value.text, &value.len);
	foreach (lc, field->labels)
	{
		const Label *label = lfirst(lc);
		const char *text;

		place = label->column->attnum - 1;
		if (slot->tts_isnull[place])
			continue;
		text =
			dv_convert_operand(slot->tts_values[place], false, label->column->typid, DV_TYPE_STRING)
				->text;
		value.kind = dv_labels_write(label->writer, text,
									 value.kind == DV_JSON_NULL ? NULL : value.text, &value.text);
		value.len = strlen(value.text);
	}
	if (value.kind != DV_JSON_NULL || sends_null(encode, field))
		add_field(encode, field, &field->member, &value, body);
}

/* The value of the field's own column. */
static void
read_value(DvEncode *encode, const Field *field, TupleTableSlot *slot, DvBodyValue *value)
{
	int place = field->column->attnum - 1;
	const char *text;

	value->kind = dv_convert_out(encode->convert, field->number, slot->tts_values[place],
								 slot->tts_isnull[place], &text, &value->len);
	value->text = pg_server_to_any(text, (int) value->len, PG_UTF8);
	if (value->text != text)
		value->len = strlen(value->text);
}

static void
encode_plain(DvEncode *encode, Field *field, TupleTableSlot *slot, DvBody *body)
{
	DvBodyValue value;

	if (slot->tts_isnull[field->column->attnum - 1] && !sends_null(encode, field))
		return;
	if (field->forbidden)
		refuse_value(encode, field);
	read_value(encode, field, slot, &value);
	add_field(encode, field, &field->member, &value, body);
}

static void
encode_field(DvEncode *encode, Field *field, TupleTableSlot *slot, DvBody *body)
{
	if (field->lookup != NULL)
		encode_lookup(encode, field, slot, body);
	else if (field->labels != NIL || !(field->counts || field->forbidden))
		encode_choice(encode, field, slot, body);
	else
		encode_plain(encode, field, slot, body);
}

/* The value of a key column, which is in the address. */
static void
validate_key(DvEncode *encode, const Field *field, TupleTableSlot *slot)
{
	DvBodyValue value;

	if (encode->validate == NULL || field->lookup != NULL)
		return;
	read_value(encode, field, slot, &value);
	dv_validate_value(encode->validate, field->column, value.kind, value.text, value.len);
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
		dv_identity_address(encode->identity, row, false, &address);
		dv_body_target_field(body, "@odata.id", address.data);
		return;
	}
	dv_body_target_field(body, dv_identity_primary_id(encode->identity), row->id);
	if (row->nparts > 1 && encode->plan->mode == DV_WRITE_UPDATE)
		dv_body_target_field(body, row->parts[1].property, row->parts[1].text);
}

/* A lookup that points to the same id in another table has changed. */
static bool
is_changed(const Field *field, const DvRow *row)
{
	const DvColumn *companion = field->lookup ? dv_lookup_companion(field->lookup) : NULL;

	return bms_is_member(field->column->attnum, row->changed) ||
		   (companion != NULL && bms_is_member(companion->attnum, row->changed));
}

void
dv_encode_row(DvEncode *encode, TupleTableSlot *slot, const DvRow *row, DvBody *body)
{
	DvError error = {0};

	slot_getallattrs(slot);
	if (encode->validate != NULL)
		dv_validate_begin(encode->validate);
	dv_body_row_begin(body);
	encode_targets(encode, row, body);
	for (int i = 0; i < encode->nfields; i++)
	{
		if (row->by_key && encode->fields[i].column->is_key)
		{
			validate_key(encode, &encode->fields[i], slot);
			continue;
		}
		if (encode->only_changed && encode->fields[i].triggered &&
			!is_changed(&encode->fields[i], row))
			continue;
		dv_body_mark(body, i);
		encode_field(encode, &encode->fields[i], slot, body);
	}
	if (encode->validate != NULL)
		dv_validate_row(encode->validate);
	/* Last, so that a row shown in an error starts with what the user knows. */
	if (encode->plan->mode == DV_WRITE_CREATE &&
		!dv_body_field(body, dv_identity_primary_id(encode->identity), DV_JSON_STRING, row->id,
					   DV_ID_LEN, &error))
		elog(ERROR, "id \"%s\" cannot be sent: %s", row->id, error.message);
	dv_body_row_end(body);
}
