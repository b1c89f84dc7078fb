/*
 * rowjson.c
 *	  A row as a JSON object that jsonb_populate_record turns into the same row.
 *
 * A value is what its type's output function prints, as a JSON string: its input
 * function, which jsonb_populate_record calls, takes that back.  Numbers and
 * booleans are written bare, digit by digit, and JSON as it is.  Dates have
 * PostgreSQL's ISO form whatever the session's DateStyle says, since another
 * session may read them.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "exec/rowjson.h"

typedef enum Form
{
	FORM_TEXT,
	FORM_NUMBER,
	FORM_BOOLEAN,
	FORM_DATE,
	FORM_JSON
} Form;

typedef struct Output
{
	Oid type; /* base type */
	Form form;
	FmgrInfo function;
} Output;

struct DvRowJson
{
	TupleDesc desc;
	Output *outputs; /* of each attribute */
};

static const struct
{
	Oid type;
	Form form;
} forms[] = {
	{BOOLOID, FORM_BOOLEAN},  {INT2OID, FORM_NUMBER},    {INT4OID, FORM_NUMBER},
	{INT8OID, FORM_NUMBER},   {NUMERICOID, FORM_NUMBER}, {FLOAT4OID, FORM_NUMBER},
	{FLOAT8OID, FORM_NUMBER}, {JSONOID, FORM_JSON},      {JSONBOID, FORM_JSON},
	{DATEOID, FORM_DATE},     {TIMESTAMPOID, FORM_DATE}, {TIMESTAMPTZOID, FORM_DATE},
	{TIMEOID, FORM_DATE},     {TIMETZOID, FORM_DATE},
};

static Form
form_of(Oid type)
{
	for (int i = 0; i < lengthof(forms); i++)
	{
		if (forms[i].type == type)
			return forms[i].form;
	}
	return FORM_TEXT;
}

DvRowJson *
dv_rowjson_prepare(TupleDesc desc)
{
	DvRowJson *json = palloc(sizeof(DvRowJson));

	json->desc = desc;
	json->outputs = palloc0(sizeof(Output) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		Output *output = &json->outputs[i];
		Oid function;
		bool varlena;

		if (attribute->attisdropped)
			continue;
		output->type = getBaseType(attribute->atttypid);
		output->form = form_of(output->type);
		getTypeOutputInfo(attribute->atttypid, &function, &varlena);
		fmgr_info(function, &output->function);
	}
	return json;
}

/* NaN and Infinity are no JSON numbers. */
static bool
is_json_number(const char *text)
{
	return text[strspn(text, "+-0123456789.eE")] == '\0';
}

static void
append_value(StringInfo out, const Output *output, Datum value)
{
	char date[MAXDATELEN + 1];
	char *text;

	if (output->form == FORM_DATE)
	{
		JsonEncodeDateTime(date, value, output->type, NULL);
		escape_json(out, date);
		return;
	}
	text = OutputFunctionCall(unconstify(FmgrInfo *, &output->function), value);
	if (output->form == FORM_BOOLEAN)
		appendStringInfoString(out, text[0] == 't' ? "true" : "false");
	else if (output->form == FORM_JSON || (output->form == FORM_NUMBER && is_json_number(text)))
		appendStringInfoString(out, text);
	else
		escape_json(out, text);
	pfree(text);
}

char *
dv_rowjson_make(const DvRowJson *json, TupleTableSlot *slot, const List *attnums, bool others)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	if (slot != NULL)
		slot_getallattrs(slot);
	for (int i = 0; slot != NULL && i < json->desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(json->desc, i);
		bool isnull = slot->tts_isnull[i];

		/* What PostgreSQL computes cannot be given to it. */
		if (attribute->attisdropped || attribute->attgenerated != '\0' ||
			!(list_member_int(attnums, i + 1) || (others && !isnull)))
			continue;
		if (out.len > 1)
			appendStringInfoChar(&out, ',');
		escape_json(&out, NameStr(attribute->attname));
		appendStringInfoChar(&out, ':');
		if (isnull)
			appendStringInfoString(&out, "null");
		else
			append_value(&out, &json->outputs[i], slot->tts_values[i]);
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}
