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
	Run targets; /* in DvBody.targets */
	Run fields;  /* in DvBody.fields */
} Row;

struct DvBody
{
	StringInfoData targets;
	StringInfoData fields;
	Row *rows;
	int nrows;
	int cap;
	bool open; /* between row_begin and row_end */
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
	body->open = false;
}

void
dv_body_free(DvBody *body)
{
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
	body->open = true;
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

bool
dv_body_field(DvBody *body, const char *name, DvJson kind, const char *text, size_t len,
			  DvError *error)
{
	StringInfo out = &body->fields;

	Assert(body->open);
	if (!check_value(kind, text, len))
	{
		dv_error_set(error, DV_ERROR_DATA, "the value \"%.*s\" of \"%s\" cannot be sent as a %s",
					 (int) Min(len, 100), text, name,
					 kind == DV_JSON_NUMBER ? "number"
											: (kind == DV_JSON_RAW ? "JSON value" : "boolean"));
		return false;
	}
	append_name(out, body->rows[body->nrows].fields.start, name);
	switch (kind)
	{
		case DV_JSON_NULL:
			appendStringInfoString(out, "null");
			break;
		case DV_JSON_STRING:
			append_text(out, text, len);
			break;
		default:
			appendBinaryStringInfo(out, text, (int) len);
			break;
	}
	return true;
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
	body->open = false;
}

int
dv_body_rows(const DvBody *body)
{
	return body->nrows;
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
