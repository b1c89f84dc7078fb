/*
 * fuzz_schema_parse.c
 *	  Any bytes as a metadata answer: no crash, and names where names are due.
 */
#include "odata/schema.h"

extern int LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static void
check_schema(const DvSchema *schema)
{
	int i;

	if (schema->name == NULL || schema->table_type == NULL)
		abort();
	for (i = 0; i < schema->nattributes; i++)
	{
		const DvAttribute *attribute = &schema->attributes[i];

		if (attribute->name == NULL || attribute->property == NULL ||
			dv_schema_pg_type(attribute) == NULL)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	DvSchema *schemas;
	int nschemas;
	DvError error;

	if (dv_schema_parse((const char *) data, size, &schemas, &nschemas, &error))
	{
		int i;

		for (i = 0; i < nschemas; i++)
			check_schema(&schemas[i]);
	}
	else if (error.kind == DV_ERROR_NONE || error.message == NULL)
		abort();
	return 0;
}
