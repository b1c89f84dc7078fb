/*
 * body.c
 *	  Rows and parameters as JSON request bodies, single or many.
 *
 * A row is kept as two runs of encoded members without braces: those that a
 * bulk message wants in addition, and the row's own.  Either way of sending it
 * is then a matter of copying.  Numbers are taken as text and checked against
 * the JSON grammar, never converted.
 *
 * Names are not checked for repetition: the columns of one table are distinct.
 */
#include "odata/body.h"

#include "compat.h"

#include "common/jsonapi.h"

/* One run of members: {..} without the braces. */
typedef struct Run
{
	int start;
	int len;
} Run;

typedef struct Row
{
	Run targets;     /* in DvBody.targets */
	Run fields;      /* in DvBody.fields */
	int first_field; /* in DvBody.tracked */
	int nfields;
} Row;

struct DvBody
{
	StringInfoData targets;
	StringInfoData fields;
	Row *rows;
	int nrows;
	int cap;
	bool open;            /* between row_begin and row_end */
	int mark;             /* of the fields to come */
	DvBodyField *tracked; /* of all rows; NULL: they are not */
	int ntracked;
	int tracked_cap;
};

DvBody *
dv_body_create(void)
{
	DvBody *body = palloc0(sizeof(DvBody));

	initStringInfo(&body->targets);
	initStringInfo(&body->fields);
	body->cap = 64;
	body->rows = palloc(body->cap * sizeof(Row));
	return body;
}

void
dv_body_reset(DvBody *body)
{
	resetStringInfo(&body->targets);
	resetStringInfo(&body->fields);
	body->nrows = 0;
	body->ntracked = 0;
	body->open = false;
}

void
dv_body_track(DvBody *body)
{
	Assert(body->nrows == 0 && !body->open);
	body->tracked_cap = 256;
	body->tracked = palloc(body->tracked_cap * sizeof(DvBodyField));
}

bool
dv_body_tracked(const DvBody *body)
{
	return body->tracked != NULL;
}

void
dv_body_mark(DvBody *body, int mark)
{
	body->mark = mark;
}

void
dv_body_free(DvBody *body)
{
	if (body->tracked != NULL)
		pfree(body->tracked);
	pfree(body->targets.data);
	pfree(body->fields.data);
	pfree(body->rows);
	pfree(body);
}

void
dv_body_row_begin(DvBody *body)
{
	Row *row;

	Assert(!body->open);
	if (body->nrows == body->cap)
	{
		body->cap *= 2;
		body->rows = repalloc(body->rows, body->cap * sizeof(Row));
	}
	row = &body->rows[body->nrows];
	row->targets.start = body->targets.len;
	row->fields.start = body->fields.len;
	row->first_field = body->ntracked;
	row->nfields = 0;
	body->open = true;
}

/* The field that begins at start, its value at value, is complete. */
static void
track_field(DvBody *body, int start, int value)
{
	DvBodyField *field;

	if (body->ntracked == body->tracked_cap)
	{
		body->tracked_cap *= 2;
		body->tracked = repalloc(body->tracked, body->tracked_cap * sizeof(DvBodyField));
	}
	field = &body->tracked[body->ntracked++];
	field->mark = body->mark;
	field->start = start;
	field->value = value;
	field->len = body->fields.len - start;
	body->rows[body->nrows].nfields++;
}

static void
append_text(StringInfo out, const char *text, size_t len)
{
	appendStringInfoChar(out, '"');
	dv_json_escape(out, text, len);
	appendStringInfoChar(out, '"');
}

/* Comma where needed, name, colon. */
static void
append_name(StringInfo out, int start, const char *name)
{
	if (out->len > start)
		appendStringInfoChar(out, ',');
	append_text(out, name, strlen(name));
	appendStringInfoChar(out, ':');
}

static bool
is_word(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

static bool
check_value(DvJson kind, const char *text, size_t len)
{
	switch (kind)
	{
		case DV_JSON_NUMBER:
			return len > 0 && IsValidJsonNumber(text, len);
		case DV_JSON_BOOLEAN:
			return is_word(text, len, "true") || is_word(text, len, "false");
		case DV_JSON_RAW:
			return len > 0;
		default:
			return true;
	}
}

void
dv_body_name(DvBodyName *name, const char *plain)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, ',');
	append_text(&text, plain, strlen(plain));
	appendStringInfoChar(&text, ':');
	name->text = text.data;
	name->len = text.len;
}

static void
refuse_value(const DvBodyName *name, const DvBodyValue *value, DvError *error)
{
	dv_error_set(error, DV_ERROR_DATA, "the value \"%.*s\" of %.*s cannot be sent as a %s",
				 (int) Min(value->len, 100), value->text, name->len - 2, name->text + 1,
				 value->kind == DV_JSON_NUMBER
					 ? "number"
					 : (value->kind == DV_JSON_RAW ? "JSON value" : "boolean"));
}

bool
dv_body_member(DvBody *body, const DvBodyName *name, const DvBodyValue *value, DvError *error)
{
	StringInfo out = &body->fields;
	int start = out->len;
	int comma = start > body->rows[body->nrows].fields.start ? 0 : 1;
	int at;

	Assert(body->open);
	if (!check_value(value->kind, value->text, value->len))
	{
		refuse_value(name, value, error);
		return false;
	}
	appendBinaryStringInfo(out, name->text + comma, name->len - comma);
	at = out->len;
	switch (value->kind)
	{
		case DV_JSON_NULL:
			appendBinaryStringInfo(out, "null", 4);
			break;
		case DV_JSON_STRING:
			append_text(out, value->text, value->len);
			break;
		default:
			appendBinaryStringInfo(out, value->text, (int) value->len);
			break;
	}
	if (body->tracked != NULL)
		track_field(body, start, at);
	return true;
}

bool
dv_body_field(DvBody *body, const char *name, DvJson kind, const char *text, size_t len,
			  DvError *error)
{
	DvBodyName member;
	DvBodyValue value = {kind, text, len};
	bool done;

	dv_body_name(&member, name);
	done = dv_body_member(body, &member, &value, error);
	pfree(member.text);
	return done;
}

void
dv_body_target_field(DvBody *body, const char *name, const char *text)
{
	Assert(body->open);
	append_name(&body->targets, body->rows[body->nrows].targets.start, name);
	append_text(&body->targets, text, strlen(text));
}

void
dv_body_row_end(DvBody *body)
{
	Row *row = &body->rows[body->nrows];

	Assert(body->open);
	row->targets.len = body->targets.len - row->targets.start;
	row->fields.len = body->fields.len - row->fields.start;
	body->nrows++;
	body->open = false;
}

static void
cut(StringInfo text, int len)
{
	text->len = len;
	text->data[len] = '\0';
}

void
dv_body_row_abandon(DvBody *body)
{
	if (!body->open)
		return;
	cut(&body->targets, body->rows[body->nrows].targets.start);
	cut(&body->fields, body->rows[body->nrows].fields.start);
	body->ntracked = body->rows[body->nrows].first_field;
	body->open = false;
}

int
dv_body_rows(const DvBody *body)
{
	return body->nrows;
}

int
dv_body_fields(const DvBody *body, int row, const DvBodyField **fields)
{
	Assert(row >= 0 && row < body->nrows && body->tracked != NULL);
	*fields = &body->tracked[body->rows[row].first_field];
	return body->rows[row].nfields;
}

const char *
dv_body_value(const DvBody *body, const DvBodyField *field, size_t *len)
{
	*len = (size_t) (field->start + field->len - field->value);
	return body->fields.data + field->value;
}

/* What is kept moves to the front of the row's run; a field's comma stands before its name. */
void
dv_body_keep(DvBody *body, int row, const bool *keep)
{
	Row *one = &body->rows[row];
	DvBodyField *fields = &body->tracked[one->first_field];
	char *data = body->fields.data;
	int to = one->fields.start;
	int kept = 0;

	for (int i = 0; i < one->nfields; i++)
	{
		DvBodyField field = fields[i];
		int comma = data[field.start] == ',';
		int len = field.len - comma;

		if (!keep[i])
			continue;
		if (kept > 0)
			data[to++] = ',';
		memmove(data + to, data + field.start + comma, len);
		fields[kept].mark = field.mark;
		fields[kept].start = to - (kept > 0);
		fields[kept].value = to + (field.value - field.start - comma);
		fields[kept].len = len + (kept > 0);
		to += len;
		kept++;
	}
	one->nfields = kept;
	one->fields.len = to - one->fields.start;
}

/* Members, and for each row two braces and two commas. */
size_t
dv_body_bytes(const DvBody *body, int first, int n)
{
	const Row *from;
	const Row *to;

	if (n <= 0)
		return 0;
	Assert(first >= 0 && first + n <= body->nrows);
	from = &body->rows[first];
	to = &body->rows[first + n - 1];
	return (size_t) (to->targets.start + to->targets.len - from->targets.start) +
		   (size_t) (to->fields.start + to->fields.len - from->fields.start) + (size_t) n * 4;
}

static void
append_fields(const DvBody *body, const Row *row, StringInfo out)
{
	appendBinaryStringInfo(out, body->fields.data + row->fields.start, row->fields.len);
}

void
dv_body_targets(const DvBody *body, const int *rows, int n, StringInfo out)
{
	int i;

	appendStringInfoString(out, "{\"Targets\":[");
	for (i = 0; i < n; i++)
	{
		const Row *row = &body->rows[rows != NULL ? rows[i] : i];

		Assert(row < body->rows + body->nrows);
		appendStringInfoString(out, i > 0 ? ",{" : "{");
		appendBinaryStringInfo(out, body->targets.data + row->targets.start, row->targets.len);
		if (row->targets.len > 0 && row->fields.len > 0)
			appendStringInfoChar(out, ',');
		append_fields(body, row, out);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoString(out, "]}");
}

void
dv_body_row_single(const DvBody *body, int row, StringInfo out)
{
	Assert(row >= 0 && row < body->nrows);
	appendStringInfoChar(out, '{');
	append_fields(body, &body->rows[row], out);
	appendStringInfoChar(out, '}');
}
