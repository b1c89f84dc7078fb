/*
 * convert.c
 *	  Column text to Datum and back, with the column named in errors.
 *
 * Reading goes through the column type's input function, so that a foreign
 * table may declare any type that takes the text.  The commonest types have a
 * way round it that takes only text whose meaning leaves no doubt, and hands
 * everything else to the input function: the result is the same, or the input
 * function's own error.
 *
 * Writing and comparing take the texts of the datum room, which depend on no
 * setting.
 *
 * Numbers are text all the way.  Fields come as UTF-8, as the service sent
 * them (odata/page.h), and are converted here, value by value, when the
 * database has another encoding.  Values going out are in the database's
 * encoding: who puts them into a request converts the whole.
 *
 * Facts used: sheet 3.1 (JSON by column type), 3.3 (dates), 2.1.3 (annotations).
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "exec/convert.h"
#include "exec/datum.h"
#include "odata/literal.h"

#define LABEL_ANNOTATION "@OData.Community.Display.V1.FormattedValue"
#define TARGET_ANNOTATION "@Microsoft.Dynamics.CRM.lookuplogicalname"

/* Bytes of a value that an error message shows. */
#define VALUE_SHOWN 60

/* How a field becomes a Datum. */
typedef enum ReadKind
{
	READ_FUNCTION, /* its text through the input function */
	READ_NOTHING,  /* the column is only written */
	READ_TEXT,
	READ_INTEGER,
	READ_BIGINT,
	READ_BOOLEAN,
	READ_UUID,
	READ_TIMESTAMP, /* with and without zone: the wire has UTC for both */
	READ_DATE,
	READ_JSON,  /* a JSON value of any kind */
	READ_ARRAY, /* 1,9 */
	READ_BASE64 /* bytea */
} ReadKind;

typedef struct Converter
{
	const DvColumn *column;
	Oid base;    /* the type below domains */
	Oid element; /* of an array, else invalid */
	bool base64;
	ReadKind read;
	FmgrInfo input; /* of the declared type, which checks domains */
	Oid ioparam;
	DvEdm edm; /* how values are written */
} Converter;

struct DvConvert
{
	const DvTable *table;
	MemoryContext context;
	bool utf8; /* the database's encoding is the service's */
	int ncolumns;
	Converter *converters;
	const char **properties;
	StringInfoData text; /* a field's text with its NUL, for input functions */
};

/* What is being read or written, for the context line of an error. */
typedef struct Conversion
{
	const DvTable *table;
	const DvColumn *column;
	const DvField *row_id;
	const char *value; /* or NULL: not shown */
	int len;
} Conversion;

/*
 * Preparing.
 */

/* What a column of unknown attribute type must be, judged by its declared type. */
static DvEdm
natural_edm(Oid base)
{
	switch (base)
	{
		case BOOLOID:
			return DV_EDM_BOOLEAN;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return DV_EDM_INT64;
		case NUMERICOID:
			return DV_EDM_DECIMAL;
		case FLOAT4OID:
		case FLOAT8OID:
			return DV_EDM_DOUBLE;
		case UUIDOID:
			return DV_EDM_GUID;
		case DATEOID:
			return DV_EDM_DATE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return DV_EDM_DATETIME;
		default:
			return OidIsValid(get_element_type(base)) ? DV_EDM_CHOICES : DV_EDM_STRING;
	}
}

static DvEdm
column_edm(DvType type, Oid base)
{
	DvEdm edm = dv_type_edm(type);

	return edm == DV_EDM_NONE ? natural_edm(base) : edm;
}

/* Edm.Binary travels as base64; text in a bytea column is whatever bytea takes. */
static bool
is_base64(const DvColumn *column, Oid base)
{
	return base == BYTEAOID && (column->type == DV_TYPE_IMAGE || column->type == DV_TYPE_UNKNOWN);
}

/* Short cuts skip the input function, and so are only for types that check nothing more. */
static ReadKind
short_cut(const DvColumn *column)
{
	switch (column->typid)
	{
		case TEXTOID:
			return READ_TEXT;
		case VARCHAROID:
			return column->typmod == -1 ? READ_TEXT : READ_FUNCTION;
		case INT4OID:
			return READ_INTEGER;
		case INT8OID:
			return READ_BIGINT;
		case BOOLOID:
			return READ_BOOLEAN;
		case UUIDOID:
			return READ_UUID;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return READ_TIMESTAMP;
		case DATEOID:
			return READ_DATE;
		default:
			return READ_FUNCTION;
	}
}

static ReadKind
read_kind(const DvColumn *column, Oid base)
{
	if (column->key_of != NULL)
		return READ_NOTHING;
	if (base == JSONOID || base == JSONBOID)
		return READ_JSON;
	if (is_base64(column, base))
		return READ_BASE64;
	if (OidIsValid(get_element_type(base)))
		return READ_ARRAY;
	return short_cut(column);
}

/* Name of a value in a row: that of its column, or of an annotation on another column's. */
static const char *
column_property(const DvTable *table, const DvColumn *column)
{
	const char *owner = column->label_of != NULL ? column->label_of : column->target_of;
	const DvColumn *owner_column;

	if (owner == NULL)
		return column->property;
	owner_column = dv_table_column_logical(table, owner);
	if (owner_column != NULL)
		owner = owner_column->property;
	else if (column->target_of != NULL && owner[0] != '_')
		owner = psprintf("_%s_value", owner);
	return psprintf("%s%s", owner, column->label_of ? LABEL_ANNOTATION : TARGET_ANNOTATION);
}

static void
prepare_column(Converter *converter, const DvColumn *column)
{
	Oid function;

	converter->column = column;
	converter->base = getBaseType(column->typid);
	converter->element = get_element_type(converter->base);
	converter->base64 = is_base64(column, converter->base);
	converter->read = read_kind(column, converter->base);
	converter->edm = column_edm(column->type, converter->base);
	getTypeInputInfo(column->typid, &function, &converter->ioparam);
	fmgr_info(function, &converter->input);
}

DvConvert *
dv_convert_prepare(const DvTable *table, DvColumn *const *columns, int ncolumns)
{
	DvConvert *convert = palloc0(sizeof(DvConvert));

	convert->table = table;
	convert->context = CurrentMemoryContext;
	convert->utf8 = GetDatabaseEncoding() == PG_UTF8;
	convert->ncolumns = ncolumns;
	convert->converters = palloc0(sizeof(Converter) * Max(ncolumns, 1));
	convert->properties = palloc0(sizeof(char *) * Max(ncolumns, 1));
	initStringInfo(&convert->text);
	for (int i = 0; i < ncolumns; i++)
	{
		prepare_column(&convert->converters[i], columns[i]);
		convert->properties[i] = column_property(table, columns[i]);
	}
	return convert;
}

const char *const *
dv_convert_properties(const DvConvert *convert)
{
	return convert->properties;
}

/*
 * Reading.
 */

/* Value of two digits; -1 if one is none. */
static inline int
digits2(const char *p)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	return (p[0] - '0') * 10 + (p[1] - '0');
}

/* 2024-05-01 as days since 2000. */
static bool
read_days(const char *p, int *days)
{
	int century = digits2(p);
	int year = digits2(p + 2);
	int month = digits2(p + 5);
	int day = digits2(p + 8);

	if (century < 0 || year < 0 || p[4] != '-' || p[7] != '-')
		return false;
	year += century * 100;
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > day_tab[isleap(year)][month - 1])
		return false;
	*days = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	return true;
}

/* 2024-05-01T12:00:00Z, the only form that the service writes (sheet 3.3). */
static bool
read_timestamp(const char *p, int len, Timestamp *timestamp)
{
	int days;
	int hour;
	int minute;
	int second;

	if (len != 20 || p[10] != 'T' || p[13] != ':' || p[16] != ':' || p[19] != 'Z')
		return false;
	hour = digits2(p + 11);
	minute = digits2(p + 14);
	second = digits2(p + 17);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return false;
	if (!read_days(p, &days))
		return false;
	*timestamp = days * USECS_PER_DAY + ((hour * 60 + minute) * 60 + second) * USECS_PER_SEC;
	return true;
}

/* Plain digits, few enough that nothing can overflow. */
static bool
read_digits(const char *p, int len, int most, int64 *number)
{
	bool negative = len > 0 && *p == '-';
	const char *end = p + len;
	int64 value = 0;

	p += negative;
	if (p == end || end - p > most)
		return false;
	for (; p < end; p++)
	{
		if (*p < '0' || *p > '9')
			return false;
		value = value * 10 + (*p - '0');
	}
	*number = negative ? -value : value;
	return true;
}

/* One more than a hexadecimal digit's value; 0 for what is none. */
static const unsigned char hex_values[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/*
 * 36 characters with hyphens where they belong.  Every row has its id and most
 * have lookups: with a test for each character this was a fifth of a scan's own
 * time.  Now digits are looked up, and one test at the end tells whether any
 * was none.
 */
bool
dv_convert_guid(const char *p, int len, unsigned char *bytes)
{
	static const unsigned char places[UUID_LEN] = {0,  2,  4,  6,  9,  11, 14, 16,
												   19, 21, 24, 26, 28, 30, 32, 34};
	bool digits = true;

	if (len != 36 || p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
		return false;
	for (int i = 0; i < UUID_LEN; i++)
	{
		unsigned int high = hex_values[(unsigned char) p[places[i]]];
		unsigned int low = hex_values[(unsigned char) p[places[i] + 1]];

		digits &= high != 0 && low != 0;
		bytes[i] = (unsigned char) ((high - 1) << 4 | (low - 1));
	}
	return digits;
}

/* The ways round the input function. False: not this text. */
static bool
read_short(const Converter *converter, const DvField *field, const char *text, int len,
		   Datum *result)
{
	int64 number;
	int days;
	pg_uuid_t *uuid;

	switch (converter->read)
	{
		case READ_TEXT:
			*result = PointerGetDatum(cstring_to_text_with_len(text, len));
			return true;
		case READ_INTEGER:
			if (!read_digits(text, len, 9, &number))
				return false;
			*result = Int32GetDatum((int32) number);
			return true;
		case READ_BIGINT:
			if (!read_digits(text, len, 18, &number))
				return false;
			*result = Int64GetDatum(number);
			return true;
		case READ_BOOLEAN:
			*result = BoolGetDatum(field->kind == DV_FIELD_TRUE);
			return field->kind == DV_FIELD_TRUE || field->kind == DV_FIELD_FALSE;
		case READ_UUID:
			uuid = palloc(sizeof(pg_uuid_t));
			*result = UUIDPGetDatum(uuid);
			return dv_convert_guid(text, len, uuid->data);
		case READ_TIMESTAMP:
			if (!read_timestamp(text, len, &number))
				return false;
			*result = TimestampGetDatum(number);
			return true;
		case READ_DATE:
			if (len != 10 || !read_days(text, &days))
				return false;
			*result = DateADTGetDatum(days);
			return true;
		default:
			return false;
	}
}

static void
value_callback(void *arg)
{
	const Conversion *conversion = arg;
	const DvField *row_id = conversion->row_id;
	StringInfoData where;

	initStringInfo(&where);
	if (row_id != NULL && row_id->len > 0)
		appendStringInfo(&where, ", row %.*s", row_id->len, row_id->text);
	if (conversion->value != NULL)
	{
		int shown = pg_mbcliplen(conversion->value, conversion->len, VALUE_SHOWN);

		appendStringInfo(&where, ", value \"%.*s%s\"", shown, conversion->value,
						 shown < conversion->len ? "..." : "");
	}
	errcontext("column \"%s\" of foreign table \"%s\"%s", conversion->column->name,
			   conversion->table->name, where.data);
}

/* The text as the input function wants it, in the reusable buffer. */
static void
input_text(DvConvert *convert, const Converter *converter, const DvField *field, const char *text,
		   int len)
{
	StringInfo out = &convert->text;
	bool string = field->kind == DV_FIELD_STRING;

	resetStringInfo(out);
	if (converter->read == READ_JSON && string)
	{
		appendStringInfoChar(out, '"');
		dv_json_escape(out, text, len);
		appendStringInfoChar(out, '"');
	}
	else if (converter->read == READ_ARRAY && string)
	{
		appendStringInfoChar(out, '{');
		appendBinaryStringInfo(out, text, len);
		appendStringInfoChar(out, '}');
	}
	else
		appendBinaryStringInfo(out, text, len);
}

static Datum
read_base64(DvConvert *convert, const Converter *converter, const char *text, int len)
{
	Datum value =
		DirectFunctionCall2(binary_decode, PointerGetDatum(cstring_to_text_with_len(text, len)),
							CStringGetTextDatum("base64"));

	if (converter->column->typid != converter->base)
		domain_check(value, false, converter->column->typid, NULL, NULL);
	return value;
}

static Datum
read_long(DvConvert *convert, Converter *converter, const DvField *field, const char *text, int len,
		  const DvField *row_id)
{
	Conversion conversion = {convert->table, converter->column, row_id, text, len};
	ErrorContextCallback callback = {error_context_stack, value_callback, &conversion};
	Datum result;

	error_context_stack = &callback;
	if (converter->read == READ_BASE64)
		result = read_base64(convert, converter, text, len);
	else
	{
		input_text(convert, converter, field, text, len);
		result = InputFunctionCall(&converter->input, convert->text.data, converter->ioparam,
								   converter->column->typmod);
	}
	error_context_stack = callback.previous;
	return result;
}

/* The service's text in the database's encoding; not NUL-terminated. */
static const char *
local_text(const DvConvert *convert, const Converter *converter, const char *text, int *len,
		   const DvField *row_id)
{
	/* The value is not shown: it may be in no encoding that the log can take. */
	Conversion conversion = {convert->table, converter->column, row_id, NULL, 0};
	ErrorContextCallback callback = {error_context_stack, value_callback, &conversion};
	char *converted;

	if (convert->utf8)
		return text;
	error_context_stack = &callback;
	converted = pg_any_to_server(text, *len, PG_UTF8);
	error_context_stack = callback.previous;
	if (converted != text)
		*len = strlen(converted);
	return converted;
}

Datum
dv_convert_in(DvConvert *convert, int column, const DvField *field, const DvField *row_id,
			  bool *isnull)
{
	Converter *converter = &convert->converters[column];
	const char *text = field->text;
	int len = field->len;
	Datum result;

	*isnull = field->kind == DV_FIELD_ABSENT || converter->read == READ_NOTHING;
	if (*isnull)
		return (Datum) 0;
	switch (field->kind)
	{
		case DV_FIELD_TRUE:
			text = "true";
			len = 4;
			break;
		case DV_FIELD_FALSE:
			text = "false";
			len = 5;
			break;
		case DV_FIELD_STRING:
		case DV_FIELD_NESTED:
			text = local_text(convert, converter, text, &len, row_id);
			break;
		case DV_FIELD_NUMBER:
		case DV_FIELD_ABSENT:
			break;
	}
	if (read_short(converter, field, text, len, &result))
		return result;
	return read_long(convert, converter, field, text, len, row_id);
}

/*
 * Writing.
 */

static void refuse_value(const DvConvert *convert, const Converter *converter, int code,
						 const char *shown, const char *detail) pg_attribute_noreturn();

static void
refuse_value(const DvConvert *convert, const Converter *converter, int code, const char *shown,
			 const char *detail)
{
	ereport(ERROR, (errcode(code),
					errmsg("value %s cannot be sent for column \"%s\" of foreign table \"%s\"",
						   shown, converter->column->name, convert->table->name),
					errdetail("%s", detail)));
}

static const char *
write_number(const DvConvert *convert, const Converter *converter, Datum value)
{
	const char *text;

	/* A double keeps its exponent, which JSON has, too. */
	if (converter->base == FLOAT8OID)
		text = dv_datum_double(DatumGetFloat8(value));
	else if (converter->base == FLOAT4OID)
		text = dv_datum_real(DatumGetFloat4(value));
	else
		text = dv_datum_number(value, converter->base);
	if (text[0] == 'N' || text[0] == 'I' || text[1] == 'I')
		refuse_value(convert, converter, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, text,
					 "The service has no value that is infinite or not a number.");
	return text;
}

static const char *
write_time(const DvConvert *convert, const Converter *converter, Datum value)
{
	bool day = converter->edm == DV_EDM_DATE;
	const char *text =
		day ? dv_datum_day(value, converter->base) : dv_datum_instant(value, converter->base);
	StringInfoData out;

	if (!dv_literal_check(converter->edm, text))
		refuse_value(convert, converter, ERRCODE_DATETIME_FIELD_OVERFLOW,
					 dv_datum_output(value, converter->base),
					 "The service takes dates from 1753-01-01 to 9999-12-31.");
	initStringInfo(&out);
	if (day)
		dv_literal_append_date(&out, strtoll(text, NULL, 10));
	else
		dv_literal_append_datetime(&out, strtoll(text, NULL, 10));
	return out.data;
}

static bool
is_text_type(Oid typid)
{
	return typid == TEXTOID || typid == VARCHAROID || typid == BPCHAROID;
}

/* base64 without the line breaks that encode() puts in. */
static char *
base64_text(Datum value)
{
	Datum encoded = DirectFunctionCall2(binary_encode, value, CStringGetTextDatum("base64"));
	char *digits = TextDatumGetCString(encoded);
	char *to = digits;

	for (const char *from = digits; *from; from++)
	{
		if (*from != '\n')
			*to++ = *from;
	}
	*to = '\0';
	return digits;
}

/* Elements of an array with their own type. */
typedef struct Elements
{
	Oid typid;
	int n;
	Datum *values;
	bool *nulls;
} Elements;

static void
take_apart(Datum array, Oid element, Elements *elements)
{
	int16 len;
	bool byval;
	char align;

	get_typlenbyvalalign(element, &len, &byval, &align);
	deconstruct_array(DatumGetArrayTypeP(array), element, len, byval, align, &elements->values,
					  &elements->nulls, &elements->n);
	elements->typid = getBaseType(element);
}

/* integer[] as 1,9; NULL for none, which clears the column (sheet 3.1). */
static char *
write_choices(const DvConvert *convert, const Converter *converter, Datum value, Oid element)
{
	Elements elements;
	StringInfoData out;

	take_apart(value, element, &elements);
	if (elements.n == 0)
		return NULL;
	initStringInfo(&out);
	for (int i = 0; i < elements.n; i++)
	{
		if (elements.nulls[i])
			refuse_value(convert, converter, ERRCODE_NULL_VALUE_NOT_ALLOWED,
						 dv_datum_output(value, converter->base),
						 "A list of choices holds no null.");
		if (i > 0)
			appendStringInfoChar(&out, ',');
		appendStringInfoString(&out, dv_datum_string(elements.values[i], elements.typid));
	}
	return out.data;
}

/* Does a column of this declared type have its value as text already, in the user's own spelling? */
static bool
spelt_by_user(const Converter *converter)
{
	return is_text_type(converter->base) &&
		   (converter->edm == DV_EDM_DATE || converter->edm == DV_EDM_DATETIME ||
			converter->edm == DV_EDM_GUID || converter->edm == DV_EDM_CHOICES);
}

static DvJson
write_value(const DvConvert *convert, const Converter *converter, Datum value, const char **text)
{
	if (converter->base == JSONOID || converter->base == JSONBOID)
	{
		*text = dv_datum_output(value, converter->base);
		return DV_JSON_RAW;
	}
	if (converter->base64)
	{
		*text = base64_text(value);
		return DV_JSON_STRING;
	}
	if (OidIsValid(converter->element))
	{
		*text = write_choices(convert, converter, value, converter->element);
		return *text == NULL ? DV_JSON_NULL : DV_JSON_STRING;
	}
	if (spelt_by_user(converter))
	{
		*text = dv_datum_string(value, converter->base);
		return DV_JSON_STRING;
	}
	switch (converter->edm)
	{
		case DV_EDM_INT32:
		case DV_EDM_INT64:
		case DV_EDM_DECIMAL:
		case DV_EDM_DOUBLE:
			*text = write_number(convert, converter, value);
			return DV_JSON_NUMBER;
		case DV_EDM_BOOLEAN:
			*text = dv_datum_boolean(value, converter->base) ? "true" : "false";
			return DV_JSON_BOOLEAN;
		case DV_EDM_DATE:
		case DV_EDM_DATETIME:
			*text = write_time(convert, converter, value);
			return DV_JSON_STRING;
		case DV_EDM_NONE:
		case DV_EDM_STRING:
		case DV_EDM_GUID:
		case DV_EDM_CHOICES:
			break;
	}
	*text = dv_datum_string(value, converter->base);
	return DV_JSON_STRING;
}

DvJson
dv_convert_out(DvConvert *convert, int column, Datum value, bool isnull, const char **text,
			   size_t *len)
{
	const Converter *converter = &convert->converters[column];
	Conversion conversion = {convert->table, converter->column, NULL, NULL, 0};
	ErrorContextCallback callback = {error_context_stack, value_callback, &conversion};
	DvJson kind = DV_JSON_NULL;

	/* Labels and targets are annotations: nothing to write to. */
	Assert(converter->column->label_of == NULL && converter->column->target_of == NULL);
	*text = NULL;
	error_context_stack = &callback;
	if (!isnull)
		kind = write_value(convert, converter, value, text);
	error_context_stack = callback.previous;
	if (kind == DV_JSON_NULL)
		*text = "null";
	*len = strlen(*text);
	return kind;
}

/*
 * Comparing.
 */

/* 1.50 and 1.5 are one value, and one item of a list. */
static char *
canonical_number(char *text)
{
	char *end;

	if (strchr(text, '.') == NULL)
		return text;
	end = text + strlen(text);
	while (end[-1] == '0')
		end--;
	if (end[-1] == '.')
		end--;
	return pnstrdup(text, end - text);
}

/* char(n) compares without its padding. */
static char *
operand_string(Datum value, Oid typid)
{
	char *text = dv_datum_string(value, typid);

	if (typid == BPCHAROID)
	{
		int len = strlen(text);

		while (len > 0 && text[len - 1] == ' ')
			len--;
		text = pnstrdup(text, len);
	}
	return text;
}

static char *
operand_guid(Datum value, Oid typid)
{
	if (typid != UUIDOID)
		value = DirectFunctionCall1(uuid_in, CStringGetDatum(dv_datum_output(value, typid)));
	return DatumGetCString(DirectFunctionCall1(uuid_out, value));
}

static char *
operand_text(Datum value, Oid typid, DvEdm edm)
{
	switch (edm)
	{
		case DV_EDM_INT32:
		case DV_EDM_INT64:
		case DV_EDM_DECIMAL:
			return canonical_number(dv_datum_number(value, typid));
		case DV_EDM_DOUBLE:
			return dv_datum_as_double(value, typid);
		case DV_EDM_BOOLEAN:
			return dv_datum_boolean(value, typid) ? "true" : "false";
		case DV_EDM_GUID:
			return operand_guid(value, typid);
		case DV_EDM_DATE:
			return dv_datum_day(value, typid);
		case DV_EDM_DATETIME:
			return dv_datum_instant(value, typid);
		case DV_EDM_NONE:
		case DV_EDM_STRING:
		case DV_EDM_CHOICES:
			break;
	}
	return operand_string(value, typid);
}

/*
 * What an operator across date types compares with.  A date or a timestamp
 * beside an instant is taken in the session's time zone, as PostgreSQL's
 * operator does; beside a day, the part of a timestamp that is no whole day
 * leaves it between two days.
 */
static char *
comparand_text(Datum value, Oid typid, DvType type)
{
	if (type == DV_TYPE_DATETIME && (typid == DATEOID || typid == TIMESTAMPOID))
		return dv_datum_session_instant(value, typid);
	if (type == DV_TYPE_DATE && typid == TIMESTAMPOID)
		return dv_datum_day_fraction(value);
	return operand_text(value, typid, column_edm(type, typid));
}

static char *
stored_text(Datum value, Oid typid, DvType type)
{
	return operand_text(value, typid, column_edm(type, typid));
}

typedef char *(*TextFunction)(Datum value, Oid typid, DvType type);

static DvValue *
to_value(Datum value, bool isnull, Oid typid, DvType type, TextFunction text)
{
	DvValue *operand = palloc0(sizeof(DvValue));
	Oid base = getBaseType(typid);
	Oid element = get_element_type(base);
	Elements elements;

	operand->isnull = isnull;
	operand->isarray = OidIsValid(element);
	if (isnull)
		return operand;
	if (!operand->isarray)
	{
		operand->text = text(value, base, type);
		return operand;
	}
	take_apart(value, element, &elements);
	operand->items = palloc(sizeof(char *) * Max(elements.n, 1));
	for (int i = 0; i < elements.n; i++)
	{
		if (elements.nulls[i])
			operand->has_null = true;
		else
			operand->items[operand->nitems++] = text(elements.values[i], elements.typid, type);
	}
	return operand;
}

DvValue *
dv_convert_operand(Datum value, bool isnull, Oid typid, DvType type)
{
	return to_value(value, isnull, typid, type, stored_text);
}

DvValue *
dv_convert_comparand(Datum value, bool isnull, Oid typid, DvType type)
{
	return to_value(value, isnull, typid, type, comparand_text);
}
