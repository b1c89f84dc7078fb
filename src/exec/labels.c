/*
 * labels.c
 *	  Labels of choices as the values they stand for.
 *
 * The labels are those of the caller's language, as formatted values are
 * (sheet 2.1.3, 9.4).  In a condition the mapping is only a way to ask for
 * fewer rows: the label that comes with each row is compared here all the same.
 *
 * In a row to be written the label is the value, so it must be one, letter by
 * letter: case and accents decide nothing that a reader could not see, and a
 * label that two values share is refused unless the row says which it means.
 */
#include "postgres.h"

#include "compat.h"

#include "exec/labels.h"
#include "remote/metadata.h"

/* Labels that a hint names. */
#define HINT_LABELS 5

/* Between the labels of a column of several choices, as the service shows them (sheet 3.1). */
#define SEPARATOR ';'

struct DvLabelWriter
{
	DvService *service;
	const DvTable *table;
	const DvColumn *column;
	const DvAttribute *attribute; /* the choice; NULL until asked for */
};

/* Without a list of choices nothing can be said of any label. */
static const DvAttribute *
find_choices(const DvSchema *schema, const char *logical)
{
	const DvAttribute *attribute = schema ? dv_schema_attribute(schema, logical) : NULL;

	return attribute != NULL && attribute->nchoices > 0 ? attribute : NULL;
}

static char *
value_text(DvType type, int value)
{
	if (type == DV_TYPE_BOOLEAN)
		return value != 0 ? "true" : "false";
	return psprintf("%d", value);
}

/*
 * Reading.
 */

/* Adds the values that carry a label; false when there are none. */
static bool
add_values(DvValue *values, const DvAttribute *attribute, DvType type, const char *label)
{
	bool found = false;

	for (int i = 0; i < attribute->nchoices; i++)
	{
		const DvChoice *choice = &attribute->choices[i];

		if (choice->label == NULL || strcmp(choice->label, label) != 0)
			continue;
		if (values->items == NULL)
			values->items = palloc(sizeof(char *));
		else
			values->items = repalloc(values->items, sizeof(char *) * (values->nitems + 1));
		values->items[values->nitems++] = value_text(type, choice->value);
		found = true;
	}
	return found;
}

/* False when a label was not known. */
static bool
map_labels(DvValue *values, const DvAttribute *attribute, DvType type, const DvValue *labels)
{
	bool all = true;

	values->nitems = 0;
	values->items = NULL;
	if (!labels->isarray)
		return add_values(values, attribute, type, labels->text);
	for (int i = 0; i < labels->nitems; i++)
		all &= add_values(values, attribute, type, labels->items[i]);
	return all;
}

DvValue *
dv_labels_values(DvService *service, const char *table, const char *logical, DvType type,
				 const DvValue *labels)
{
	DvValue *values = palloc0(sizeof(DvValue));
	const DvAttribute *choices;

	values->isarray = true;
	values->isnull = labels->isnull;
	if (labels->isnull)
		return values;
	choices = find_choices(dv_metadata_table(service, table), logical);
	if (choices == NULL || !map_labels(values, choices, type, labels))
	{
		choices = find_choices(dv_metadata_again(service, table), logical);
		if (choices != NULL)
			map_labels(values, choices, type, labels);
	}
	values->unknown = choices == NULL;
	return values;
}

/*
 * Writing.
 */

/* What a label, or a list of them, stands for. */
typedef struct Meaning
{
	int n; /* values found */
	int *values;
	const char *missing; /* a label that nobody has; or NULL */
	bool ambiguous;
} Meaning;

DvLabelWriter *
dv_labels_prepare(DvService *service, const DvTable *table, const DvColumn *column)
{
	DvLabelWriter *writer = palloc0(sizeof(DvLabelWriter));

	writer->service = service;
	writer->table = table;
	writer->column = column;
	return writer;
}

static void
ask_choices(DvLabelWriter *writer, bool again)
{
	const char *table = writer->table->table_name;

	writer->attribute = find_choices(again ? dv_metadata_again(writer->service, table)
										   : dv_metadata_table(writer->service, table),
									 writer->column->label_of);
	if (writer->attribute == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
				 errmsg("column \"%s\" of foreign table \"%s\" cannot be given a value: the "
						"choices of \"%s\" are not known",
						writer->column->name, writer->table->name, writer->column->label_of),
				 errhint("Leave the column out of the statement, and give the value itself.")));
}

static bool
is_among(const int *values, int n, int value)
{
	for (int i = 0; i < n; i++)
	{
		if (values[i] == value)
			return true;
	}
	return false;
}

/*
 * Adds the value of one label.  given: values of the row's own, of which one with
 * this label is what is meant.
 */
static void
add_meaning(Meaning *meaning, const DvAttribute *attribute, const char *label, const int *given,
			int ngiven)
{
	int first = meaning->n;
	bool settled = false;

	for (int i = 0; i < attribute->nchoices; i++)
	{
		const DvChoice *choice = &attribute->choices[i];

		if (choice->label == NULL || strcmp(choice->label, label) != 0)
			continue;
		if (meaning->n == first)
			meaning->values[meaning->n++] = choice->value;
		else if (!settled)
			meaning->ambiguous = true;
		if (!settled && is_among(given, ngiven, choice->value))
		{
			meaning->values[first] = choice->value;
			settled = true;
		}
	}
	if (settled)
		meaning->ambiguous = false;
	if (meaning->n == first)
		meaning->missing = label;
}

static char *
trimmed(const char *from, const char *to)
{
	while (from < to && *from == ' ')
		from++;
	while (to > from && to[-1] == ' ')
		to--;
	return pnstrdup(from, to - from);
}

/*
 * Labels may hold the separator themselves, so the longest run of pieces that
 * is a label counts as one.
 */
static void
add_meanings(Meaning *meaning, const DvAttribute *attribute, const char *labels, const int *given,
			 int ngiven)
{
	const char *from = labels;

	while (meaning->missing == NULL && !meaning->ambiguous)
	{
		const char *to = from + strlen(from);

		for (;;)
		{
			int before = meaning->n;

			meaning->missing = NULL;
			add_meaning(meaning, attribute, trimmed(from, to), given, ngiven);
			if (meaning->n > before)
				break;
			do
				to--;
			while (to > from && *to != SEPARATOR);
			if (to <= from)
				return; /* what is missing is the first piece */
		}
		if (*to == '\0')
			return;
		from = to + 1;
	}
}

static Meaning
find_meaning(const DvAttribute *attribute, const char *label, const int *given, int ngiven)
{
	Meaning meaning = {0};
	int pieces = 1;

	for (const char *p = label; *p != '\0'; p++)
		pieces += *p == SEPARATOR;
	meaning.values = palloc(sizeof(int) * pieces);
	if (attribute->type == DV_TYPE_MULTISELECT)
		add_meanings(&meaning, attribute, label, given, ngiven);
	else
		add_meaning(&meaning, attribute, label, given, ngiven);
	return meaning;
}

/* Some labels that would do, for a hint; those that begin like the wrong one first. */
static char *
known_labels(const DvAttribute *attribute, const char *label)
{
	StringInfoData out;
	int shown = 0;

	initStringInfo(&out);
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < attribute->nchoices && shown < HINT_LABELS; i++)
		{
			const char *known = attribute->choices[i].label;

			if (known == NULL || (pg_strncasecmp(known, label, 2) == 0) != (pass == 0))
				continue;
			appendStringInfo(&out, "%s\"%s\"", shown++ > 0 ? ", " : "", known);
		}
	}
	if (shown < attribute->nchoices)
		appendStringInfo(&out, " and %d more", attribute->nchoices - shown);
	return out.data;
}

static void
refuse_label(const DvLabelWriter *writer, const Meaning *meaning, const char *label)
{
	const DvColumn *column = writer->column;

	if (meaning->missing == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("label \"%s\" for column \"%s\" of foreign table \"%s\" is ambiguous",
						label, column->name, writer->table->name),
				 errdetail("More than one value of \"%s\" has it.", column->label_of),
				 errhint("Give the value itself.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("label \"%s\" for column \"%s\" of foreign table \"%s\" is not known",
					meaning->missing, column->name, writer->table->name),
			 errdetail("No value of \"%s\" has it in the language of the service's user.",
					   column->label_of),
			 errhint("Known labels are %s.", known_labels(writer->attribute, meaning->missing))));
}

static void
refuse_pair(const DvLabelWriter *writer, const char *label, const char *value)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 errmsg("label \"%s\" for column \"%s\" of foreign table \"%s\" does not belong to the "
				"value %s that the row has for \"%s\"",
				label, writer->column->name, writer->table->name, value, writer->column->label_of),
		 errhint("Give one of the two, or NULL for one of them.")));
}

/* The row's own value as numbers: 6, true, or 1,9. */
static int *
read_given(const char *value, int *n)
{
	int *given;
	const char *p = value;

	*n = 0;
	if (value == NULL)
		return NULL;
	given = palloc(sizeof(int) * (strlen(value) + 1));
	if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
	{
		given[(*n)++] = value[0] == 't';
		return given;
	}
	while (*p != '\0')
	{
		char *end;
		long number = strtol(p, &end, 10);

		if (end == p)
			break;
		given[(*n)++] = (int) number;
		p = end + strspn(end, ", ");
	}
	return given;
}

static bool
same_values(const Meaning *meaning, const int *given, int ngiven)
{
	for (int i = 0; i < meaning->n; i++)
	{
		if (!is_among(given, ngiven, meaning->values[i]))
			return false;
	}
	for (int i = 0; i < ngiven; i++)
	{
		if (!is_among(meaning->values, meaning->n, given[i]))
			return false;
	}
	return true;
}

static char *
values_text(const Meaning *meaning)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < meaning->n; i++)
		appendStringInfo(&out, "%s%d", i > 0 ? "," : "", meaning->values[i]);
	return out.data;
}

static DvJson
json_kind(DvType type)
{
	if (type == DV_TYPE_BOOLEAN)
		return DV_JSON_BOOLEAN;
	return type == DV_TYPE_MULTISELECT ? DV_JSON_STRING : DV_JSON_NUMBER;
}

DvJson
dv_labels_write(DvLabelWriter *writer, const char *label, const char *value, const char **text)
{
	int ngiven;
	int *given = read_given(value, &ngiven);
	Meaning meaning;

	if (writer->attribute == NULL)
		ask_choices(writer, false);
	meaning = find_meaning(writer->attribute, label, given, ngiven);
	if (meaning.missing != NULL)
	{
		ask_choices(writer, true);
		meaning = find_meaning(writer->attribute, label, given, ngiven);
	}
	if (meaning.missing != NULL || (meaning.ambiguous && value == NULL))
		refuse_label(writer, &meaning, label);
	if (value != NULL && !same_values(&meaning, given, ngiven))
		refuse_pair(writer, label, value);
	if (value != NULL)
		*text = value;
	else if (writer->attribute->type == DV_TYPE_MULTISELECT)
		*text = values_text(&meaning);
	else
		*text = value_text(writer->attribute->type, meaning.values[0]);
	return json_kind(writer->attribute->type);
}
