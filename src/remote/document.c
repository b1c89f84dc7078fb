/*
 * document.c
 *	  One document about an environment, asked for and read.
 *
 * Repeats are always safe, since these are reads, and a large answer is
 * allowed: metadata has no pages (sheet 9.1).
 */
#include "postgres.h"

#include "compat.h"

#include <jansson.h>

#include "remote/document.h"
#include "remote/report.h"

/* Metadata of fifty large tables in several languages; a bound against nonsense, not a target. */
#define MAX_RESPONSE ((size_t) 512 * 1024 * 1024)

/* Metadata must be of one moment and current (sheet 9.5). */
static const char *const strong_headers[] = {"Consistency: Strong", NULL};

void
dv_document_fail(DvService *service, const DvError *error)
{
	DvReportContext context = {
		.what = psprintf("could not read metadata of server \"%s\"", service->server->name)};

	dv_report(error, &context);
}

DvCall *
dv_document_ask(DvService *service, const char *path)
{
	DvCallSpec spec = {
		.method = "GET",
		.path = path,
		.headers = strong_headers,
		.repeat = DV_REPEAT_SAFE,
		.max_response = MAX_RESPONSE,
	};
	DvCall *call = dv_call_start(service, &spec);

	dv_call_wait(call);
	return call;
}

DvCall *
dv_document_get(DvService *service, const char *path)
{
	DvCall *call = dv_document_ask(service, path);

	if (dv_call_error(call)->kind != DV_ERROR_NONE)
		dv_document_fail(service, dv_call_error(call));
	return call;
}

DvCall *
dv_document_query(DvService *service, const DvQuery *query)
{
	StringInfoData path;

	initStringInfo(&path);
	dv_url_query(&path, query);
	return dv_document_get(service, path.data);
}

static void
free_json(void *thing)
{
	json_decref(thing);
}

struct json_t *
dv_document_rows(DvService *service, DvCall *call, char **next)
{
	size_t len;
	const char *body = dv_call_body(call, &len);
	json_t *root = json_loadb(body, len, 0, NULL);
	json_t *list = json_object_get(root, "value");
	const char *link;

	if (root != NULL)
		dv_own(root, free_json);
	if (!json_is_array(list))
	{
		DvError error = {0};

		dv_error_set(&error, DV_ERROR_PROTOCOL, "the answer holds no list of rows");
		dv_document_fail(service, &error);
	}
	link = dv_document_text(root, "@odata.nextLink");
	if (next != NULL)
		*next = link != NULL ? pstrdup(link) : NULL;
	return list;
}

const char *
dv_document_text(const struct json_t *row, const char *name)
{
	return json_string_value(json_object_get(row, name));
}

void
dv_document_schemas(DvService *service, DvCall *call, DvSchema **schemas, int *nschemas)
{
	size_t len;
	const char *body = dv_call_body(call, &len);
	DvError error = {0};

	if (!dv_schema_parse(body, len, schemas, nschemas, &error))
		dv_document_fail(service, &error);
}
