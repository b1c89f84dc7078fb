/*
 * labels.c
 *	  Labels of choices as the values they stand for.
 *
 * The labels are those of the caller's language, as formatted values are
 * (sheet 2.1.3, 9.4).  The mapping is only a way to ask for fewer rows: the
 * label that comes with each row is compared here all the same.
 */
#include "postgres.h"

#include "compat.h"

#include "exec/labels.h"
#include "remote/metadata.h"

static const DvAttribute *
find_attribute(DvService *service, const char *table, const char *logical)
{
	const DvSchema *schema = dv_metadata_table(service, table);

	for (int i = 0; schema != NULL && i < schema->nattributes; i++)
	{
		if (strcmp(schema->attributes[i].name, logical) == 0)
			return &schema->attributes[i];
	}
	return NULL;
}

static char *
value_text(DvType type, int value)
{
	if (type == DV_TYPE_BOOLEAN)
		return value != 0 ? "true" : "false";
	return psprintf("%d", value);
}

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

/* Without a list of choices nothing can be said of any label. */
static const DvAttribute *
find_choices(DvService *service, const char *table, const char *logical)
{
	const DvAttribute *attribute = find_attribute(service, table, logical);

	return attribute != NULL && attribute->nchoices > 0 ? attribute : NULL;
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
	choices = find_choices(service, table, logical);
	if (choices == NULL || !map_labels(values, choices, type, labels))
	{
		dv_metadata_reset(service->server->serverid);
		choices = find_choices(service, table, logical);
		if (choices != NULL)
			map_labels(values, choices, type, labels);
	}
	values->unknown = choices == NULL;
	return values;
}
