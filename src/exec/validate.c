/*
 * validate.c
 *	  Values that the service would refuse, refused before they are sent.
 *
 * A bulk request fails whole for one bad row and does not say which, so that
 * row costs a dozen requests to find (bulk.c).  What the metadata tell (sheet
 * 9.3) is checked here for nothing: lengths, ranges, choices, states and the
 * statuses that belong to them, nulls where the system requires a value (sheet
 * 3.7).  More decimals than the column has are refused as well: the service
 * would round them without a word.
 *
 * Nothing is refused that the service might take.  Lengths count characters, of
 * which no reading of "length" has fewer; ranges are compared as doubles, which
 * may let through what is outside by less than a double can tell; what the
 * service fills in itself (owner, state, two-option columns) may be null.  What
 * only its own logic knows, it still refuses itself.
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "mb/pg_wchar.h"

#include "exec/validate.h"
#include "remote/metadata.h"

/* Bytes of a value that a message shows. */
#define SHOWN_MAX 60

/* Values that a detail lists. */
#define LISTED_MAX 20

/* Values of a column of several choices (sheet 3.1). */
#define CHOICES_MAX 150

struct DvValidate
{
	DvService *service;
	const DvTable *table;
	bool asked;
	const DvAttribute *attributes[MaxHeapAttributeNumber + 1]; /* by attnum; NULL: not known */
	/* of the row being checked */
	const DvColumn *state_column; /* NULL: not given */
	const DvColumn *status_column;
	int state;
	int status;
};

/* One value to be checked. */
typedef struct Checked
{
	DvValidate *validate;
	const DvColumn *column;
	const DvAttribute *attribute;
	DvJson kind;
	const char *text;
	size_t len;
} Checked;

/* What is wrong with it. */
typedef struct Complaint
{
	int sqlstate;        /* 0: nothing */
	const char *problem; /* follows: value "x" */
	char *detail;
} Complaint;

DvValidate *
dv_validate_prepare(DvService *service, const DvTable *table)
{
	DvValidate *validate;

	if (!table->settings.validate)
		return NULL;
	validate = palloc0(sizeof(DvValidate));
	validate->service = service;
	validate->table = table;
	return validate;
}

static void
take_schema(DvValidate *validate, const DvSchema *schema)
{
	const DvTable *table = validate->table;

	validate->asked = true;
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];

		validate->attributes[column->attnum] =
			schema ? dv_schema_attribute(schema, column->logical) : NULL;
	}
}

/*
 * The checks.
 */

static size_t
count_characters(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char) text[i] & 0xC0) != 0x80;
	return n;
}

static void
check_text(const Checked *checked, Complaint *complaint)
{
	int most = checked->attribute->max_length;
	size_t n;

	if (checked->kind != DV_JSON_STRING || most <= 0 || checked->len <= (size_t) most)
		return;
	n = count_characters(checked->text, checked->len);
	if (n <= (size_t) most)
		return;
	complaint->sqlstate = ERRCODE_STRING_DATA_RIGHT_TRUNCATION;
	complaint->problem = "is too long";
	complaint->detail = psprintf("It has %zu characters, and the column takes %d.", n, most);
}

/* Digits after the point that are not zeros at its end; 0 where there is an exponent. */
static int
count_decimals(const char *text, size_t len)
{
	const char *point = memchr(text, '.', len);
	const char *end = text + len;

	if (point == NULL || memchr(text, 'e', len) || memchr(text, 'E', len))
		return 0;
	while (end[-1] == '0')
		end--;
	return (int) (end - point - 1);
}

static void
check_number(const Checked *checked, Complaint *complaint)
{
	const DvAttribute *attribute = checked->attribute;
	double number;

	if (checked->kind != DV_JSON_NUMBER)
		return;
	number = strtod(checked->text, NULL);
	if (attribute->bounded && (number < attribute->least || number > attribute->most))
	{
		complaint->sqlstate = ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
		complaint->problem = "is out of range";
		complaint->detail = psprintf("The column takes numbers from %.15g to %.15g.",
									 attribute->least, attribute->most);
	}
	else if (attribute->precision >= 0 &&
			 (attribute->type == DV_TYPE_DECIMAL || attribute->type == DV_TYPE_MONEY) &&
			 count_decimals(checked->text, checked->len) > attribute->precision)
	{
		complaint->sqlstate = ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
		complaint->problem = "has too many decimals";
		complaint->detail =
			psprintf("The column has %d; the service would round the value.", attribute->precision);
	}
}

static const DvChoice *
find_choice(const DvAttribute *attribute, long value)
{
	for (int i = 0; i < attribute->nchoices; i++)
	{
		if (attribute->choices[i].value == value)
			return &attribute->choices[i];
	}
	return NULL;
}

static void
complain_of_choice(const DvAttribute *attribute, long value, Complaint *complaint)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < attribute->nchoices && i < LISTED_MAX; i++)
		appendStringInfo(&list, "%s%d", i > 0 ? ", " : "", attribute->choices[i].value);
	if (attribute->nchoices > LISTED_MAX)
		appendStringInfo(&list, " and %d more", attribute->nchoices - LISTED_MAX);
	complaint->sqlstate = ERRCODE_CHECK_VIOLATION;
	complaint->problem = "is no choice";
	complaint->detail = psprintf("The column has no choice %ld; it has %s.", value, list.data);
}

static void
check_choice(const Checked *checked, Complaint *complaint)
{
	const DvAttribute *attribute = checked->attribute;
	long value;

	if (checked->kind != DV_JSON_NUMBER || attribute->nchoices == 0)
		return;
	value = strtol(checked->text, NULL, 10);
	if (find_choice(attribute, value) == NULL)
		complain_of_choice(attribute, value, complaint);
	else if (attribute->type == DV_TYPE_STATE)
	{
		checked->validate->state_column = checked->column;
		checked->validate->state = (int) value;
	}
	else if (attribute->type == DV_TYPE_STATUS)
	{
		checked->validate->status_column = checked->column;
		checked->validate->status = (int) value;
	}
}

static void
check_choices(const Checked *checked, Complaint *complaint)
{
	const char *p = checked->text;
	int n = 0;

	if (checked->kind != DV_JSON_STRING || checked->attribute->nchoices == 0)
		return;
	for (;;)
	{
		char *end;
		long value = strtol(p, &end, 10);

		/* What is no list of numbers, the service may still understand. */
		if (end == p)
			return;
		if (find_choice(checked->attribute, value) == NULL)
		{
			complain_of_choice(checked->attribute, value, complaint);
			return;
		}
		n++;
		end += strspn(end, " ");
		if (*end != ',')
			break;
		p = end + 1;
	}
	if (n > CHOICES_MAX)
	{
		complaint->sqlstate = ERRCODE_CHECK_VIOLATION;
		complaint->problem = "has too many choices";
		complaint->detail = psprintf("The service takes %d.", CHOICES_MAX);
	}
}

static void
check_image(const Checked *checked, Complaint *complaint)
{
	size_t most = (size_t) checked->attribute->max_kb * 1024;
	size_t bytes = checked->len / 4 * 3;

	/* base64: up to two bytes of the last three may be padding */
	if (checked->kind != DV_JSON_STRING || most == 0 || bytes <= most + 2)
		return;
	complaint->sqlstate = ERRCODE_STRING_DATA_RIGHT_TRUNCATION;
	complaint->problem = "is too large";
	complaint->detail = psprintf("It has about %zu kB, and the column takes %d.", bytes / 1024,
								 checked->attribute->max_kb);
}

/* Does the service refuse a null there, and not put a value of its own in its place? */
static bool
requires_value(const DvAttribute *attribute)
{
	return attribute->required && attribute->creatable && attribute->updatable &&
		   attribute->type != DV_TYPE_BOOLEAN && attribute->type != DV_TYPE_OWNER &&
		   !dv_type_is_choice(attribute->type);
}

typedef void (*CheckFunction)(const Checked *checked, Complaint *complaint);

static const CheckFunction checks[DV_TYPE_COUNT] = {
	[DV_TYPE_STRING] = check_text,         [DV_TYPE_MEMO] = check_text,
	[DV_TYPE_INTEGER] = check_number,      [DV_TYPE_BIGINT] = check_number,
	[DV_TYPE_DECIMAL] = check_number,      [DV_TYPE_MONEY] = check_number,
	[DV_TYPE_DOUBLE] = check_number,       [DV_TYPE_PICKLIST] = check_choice,
	[DV_TYPE_STATE] = check_choice,        [DV_TYPE_STATUS] = check_choice,
	[DV_TYPE_MULTISELECT] = check_choices, [DV_TYPE_IMAGE] = check_image,
};

static bool
is_wrong(Checked *checked, Complaint *complaint)
{
	complaint->sqlstate = 0;
	checked->attribute = checked->validate->attributes[checked->column->attnum];
	if (checked->attribute == NULL)
		return false;
	if (checked->kind == DV_JSON_NULL)
		complaint->sqlstate = requires_value(checked->attribute) ? ERRCODE_NOT_NULL_VIOLATION : 0;
	else if (checks[checked->attribute->type] != NULL)
		checks[checked->attribute->type](checked, complaint);
	return complaint->sqlstate != 0;
}

static void
refuse(const Checked *checked, const Complaint *complaint)
{
	const DvColumn *column = checked->column;
	const char *table = checked->validate->table->name;
	int shown;

	if (complaint->sqlstate == ERRCODE_NOT_NULL_VIOLATION)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("null value in column \"%s\" of foreign table \"%s\"", column->name, table),
				 errdetail("The service requires a value (option \"validate\").")));
	shown = pg_encoding_mbcliplen(PG_UTF8, checked->text, (int) Min(checked->len, 2 * SHOWN_MAX),
								  SHOWN_MAX);
	ereport(ERROR,
			(errcode(complaint->sqlstate),
			 errmsg("value \"%s%s\" for column \"%s\" of foreign table \"%s\" %s",
					pg_any_to_server(pnstrdup(checked->text, shown), shown, PG_UTF8),
					(size_t) shown < checked->len ? "..." : "", column->name, table,
					complaint->problem),
			 errdetail("%s", complaint->detail),
			 errhint("The metadata say so (option \"validate\"): correct the value, or change the "
					 "column in Dataverse.")));
}

void
dv_validate_begin(DvValidate *validate)
{
	validate->state_column = NULL;
	validate->status_column = NULL;
}

void
dv_validate_value(DvValidate *validate, const DvColumn *column, DvJson kind, const char *text,
				  size_t len)
{
	Checked checked = {validate, column, NULL, kind, text, len};
	const char *table = validate->table->table_name;
	Complaint complaint;

	if (!validate->asked)
		take_schema(validate, dv_metadata_table(validate->service, table));
	if (!is_wrong(&checked, &complaint))
		return;
	take_schema(validate, dv_metadata_again(validate->service, table));
	if (is_wrong(&checked, &complaint))
		refuse(&checked, &complaint);
}

void
dv_validate_row(DvValidate *validate)
{
	const DvColumn *column = validate->status_column;
	const DvChoice *status;

	if (column == NULL || validate->state_column == NULL)
		return;
	status = find_choice(validate->attributes[column->attnum], validate->status);
	if (status == NULL || status->state < 0 || status->state == validate->state)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("value %d for column \"%s\" of foreign table \"%s\" does not go with value %d "
					"for column \"%s\"",
					validate->status, column->name, validate->table->name, validate->state,
					validate->state_column->name),
			 errdetail("That status belongs to state %d.", status->state),
			 errhint("Give the state and a status of it, or the state alone.")));
}
