/*
 * directory.c
 *	  Which tables an environment and its solutions have.
 *
 * The list of all tables is one request of a few kilobytes to a hundred, so it
 * is asked for whole: it answers which names exist, which entity set a lookup
 * leads to, and, put beside the components of a solution, which tables that
 * solution has.  Components know a table by its MetadataId only.
 *
 * Nothing is remembered: an import is rare and must see what is there.
 */
#include "postgres.h"

#include "compat.h"

#include <jansson.h>

#include "remote/directory.h"
#include "remote/document.h"

/* How many existing solutions the hint for an unknown one names. */
#define HINT_SOLUTIONS 20

DvDirectory *
dv_directory_fetch(DvService *service)
{
	DvDirectory *directory = palloc0(sizeof(DvDirectory));
	DvCall *call;

	/* MetadataId always comes (sheet 9.1) */
	call = dv_document_get(service, "EntityDefinitions?$select=LogicalName,EntitySetName,TableType,"
									"DataProviderId,IsPrivate,IsIntersect");
	dv_document_schemas(service, call, &directory->tables, &directory->ntables);
	dv_call_release(call);
	return directory;
}

const DvSchema *
dv_directory_find(const DvDirectory *directory, const char *logical)
{
	int low = 0;
	int high = directory->ntables - 1;

	while (low <= high)
	{
		int middle = low + (high - low) / 2;
		int order = strcmp(logical, directory->tables[middle].name);

		if (order == 0)
			return &directory->tables[middle];
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return NULL;
}

bool
dv_directory_importable(const DvSchema *table)
{
	return !table->is_private && !table->is_intersect && table->set_name != NULL &&
		   table->set_name[0] != '\0';
}

/* The first names there are, for the hint; the service orders them. */
static char *
solution_names(DvService *service)
{
	DvQuery query = {
		.path = "solutions",
		.select = "uniquename",
		.orderby = "uniquename",
		.top = HINT_SOLUTIONS,
	};
	StringInfoData names;
	json_t *list;
	json_t *one;
	size_t i;

	initStringInfo(&names);
	list = dv_document_rows(service, dv_document_query(service, &query), NULL);
	json_array_foreach(list, i, one)
	{
		const char *name = dv_document_text(one, "uniquename");

		if (name != NULL)
			appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", name);
	}
	if (i >= HINT_SOLUTIONS)
		appendStringInfoString(&names, ", ...");
	return names.data;
}

/*
 * The id of a solution.  Its name is compared once more here: the service's
 * comparison is looser than one of names may be (sheet 2.3.3, 2.3.4).
 */
static char *
solution_id(DvService *service, const char *solution)
{
	StringInfoData filter;
	DvQuery query = {.path = "solutions", .select = "solutionid,uniquename", .top = -1};
	json_t *list;
	json_t *one;
	size_t i;

	initStringInfo(&filter);
	appendStringInfoString(&filter, "uniquename eq ");
	dv_literal_append(&filter, DV_EDM_STRING, solution);
	query.filter = filter.data;
	list = dv_document_rows(service, dv_document_query(service, &query), NULL);
	json_array_foreach(list, i, one)
	{
		const char *name = dv_document_text(one, "uniquename");
		const char *id = dv_document_text(one, "solutionid");

		if (name != NULL && id != NULL && pg_strcasecmp(name, solution) == 0 &&
			dv_literal_check(DV_EDM_GUID, id))
			return pstrdup(id);
	}

	ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
					errmsg("could not find solution \"%s\" in the environment of server \"%s\"",
						   solution, service->server->name),
					errhint("Import from schema \"dataverse\" for all tables, or from a solution "
							"by its unique name: %s.",
							solution_names(service))));
}

/* Marks the tables that one page of components names; returns the next link or NULL. */
static char *
mark_components(DvService *service, DvCall *call, const DvDirectory *directory, bool *chosen)
{
	json_t *list;
	json_t *one;
	size_t i;
	char *next;

	list = dv_document_rows(service, call, &next);
	json_array_foreach(list, i, one)
	{
		const char *id = dv_document_text(one, "objectid");

		for (int t = 0; id != NULL && t < directory->ntables; t++)
		{
			const char *table_id = directory->tables[t].metadata_id;

			if (table_id != NULL && pg_strcasecmp(table_id, id) == 0)
				chosen[t] = true;
		}
	}
	return next;
}

List *
dv_directory_solution(DvService *service, const DvDirectory *directory, const char *solution)
{
	bool *chosen = palloc0(sizeof(bool) * (directory->ntables + 1));
	char *id = solution_id(service, solution);
	List *names = NIL;
	DvQuery query = {
		.path = "solutioncomponents",
		.select = "objectid",
		.filter = psprintf("_solutionid_value eq %s and componenttype eq 1", id),
		.top = -1,
	};
	DvCall *call = dv_document_query(service, &query);
	char *next;

	while ((next = mark_components(service, call, directory, chosen)) != NULL)
	{
		dv_call_release(call);
		call = dv_document_get(service, next);
	}
	dv_call_release(call);

	for (int t = 0; t < directory->ntables; t++)
	{
		if (chosen[t])
			names = lappend(names, directory->tables[t].name);
	}
	return names;
}
