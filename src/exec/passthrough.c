/*
 * passthrough.c
 *	  What SQL cannot say: OData paths and FetchXML in the service's own words,
 *	  rows as jsonb.
 *
 * The rows are the service's, untouched: names, annotations and nested objects
 * as they came, numbers digit by digit (their text goes to jsonb_in and through
 * no double).  Nothing is rechecked here, so the service's rules hold, its
 * collation above all.
 *
 * Rows are handed out one at a time, and a page is asked for when the one before
 * is used up: SELECT dataverse_odata(...) LIMIT 10 asks once.  In FROM,
 * PostgreSQL keeps a function's rows in a tuplestore that goes to disk.  One page
 * is held, in a context that is emptied for the next.  Reading ahead is left to
 * foreign tables: a caller of these functions often wants little.
 *
 * The rule of all reading holds here, too: an answer that may be incomplete is an
 * error.  A link that comes again or leads elsewhere, a paging cookie that stands
 * still (sheet 2.11), more than 50,000 rows without a cookie (sheet 2.12.4), a
 * full page of groups without word of more (sheet 2.9), fewer rows than the
 * service counted on its only page.
 *
 * What is nested in a row is not paged: an expanded collection with a link of its
 * own keeps that link, to be followed by another call.
 */
#include "postgres.h"

#include "compat.h"

#include "common/hashfn.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "exec/bulk.h"
#include "exec/fetch.h"
#include "exec/functions.h"
#include "odata/address.h"
#include "odata/fetchxml.h"
#include "odata/literal.h"
#include "odata/page.h"
#include "odata/url.h"
#include "remote/metadata.h"
#include "remote/report.h"

/* Places remembered: a circle of pages is found when it is no longer than this. */
#define PLACES_KEPT 16

/* Pages without a row, one after another; a provider that filters late may send some. */
#define EMPTY_PAGES_MAX 1000

/* Largest page, also of groups; the service counts no further (sheet 2.5, 2.7, 2.9). */
#define PAGE_MAX 5000

#define FETCHXML_PREFER                                                                            \
	"Prefer: odata.include-annotations=\"" DV_FETCHXML_COOKIE "," DV_FETCHXML_MORE "\""

typedef struct Reader
{
	MemoryContext context; /* all of it */
	MemoryContext sheet;   /* the page at hand */
	DvService *service;
	char *address; /* of the page to ask for; NULL: there is none */
	char *prefer;
	DvPage *page;
	char *text;   /* an answer that is no JSON: its one row, or NULL */
	bool limited; /* $top or top: no pages */
	bool grouped; /* rows are groups */

	/* FetchXML; entity NULL: OData */
	DvFetchXml fetch;
	char *set;
	int number; /* of the page */

	int64 rows; /* of the pages before this one */
	int pages;
	int empty_pages;
	uint64 places[PLACES_KEPT];
	int nplaces;
} Reader;

static void fail(const Reader *reader, const DvError *error) pg_attribute_noreturn();

static void
fail(const Reader *reader, const DvError *error)
{
	DvReportContext context = {0};

	context.what = psprintf("could not read from server \"%s\"", reader->service->server->name);
	dv_report(error, &context);
}

static void refuse_page(const Reader *reader, const char *detail, const char *hint)
	pg_attribute_noreturn();

static void
refuse_page(const Reader *reader, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
					errmsg("the answer of server \"%s\" would be incomplete",
						   reader->service->server->name),
					errdetail("%s", detail), hint != NULL ? errhint("%s", hint) : 0));
}

static void refuse_input(const DvError *error, const char *hint) pg_attribute_noreturn();

static void
refuse_input(const DvError *error, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", error->message),
					errhint("%s", hint)));
}

/* The text in UTF-8, as the service wants it. */
static char *
utf8(text *value)
{
	char *plain = text_to_cstring(value);

	return pg_server_to_any(plain, strlen(plain), PG_UTF8);
}

/*
 * Going on.
 */

/* Remembers where a page begins; a place seen before means that nothing advances. */
static void
remember_place(Reader *reader, const char *place, const char *detail)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) place, strlen(place), 0);

	for (int i = 0; i < Min(reader->nplaces, PLACES_KEPT); i++)
	{
		if (reader->places[i] == hash)
			refuse_page(reader, detail, "Run the query again, or order it by a unique column.");
	}
	reader->places[reader->nplaces++ % PLACES_KEPT] = hash;
}

/* The address of the FetchXML query's current page. */
static void
address_fetchxml(Reader *reader, const char *cookie)
{
	StringInfoData address;

	initStringInfo(&address);
	dv_fetchxml_address(&address, reader->set, &reader->fetch, reader->number,
						reader->service->server->settings.fetch_size, cookie);
	reader->address = MemoryContextStrdup(reader->context, address.data);
}

/* The last page has been read, as far as it says. */
static void
end_fetchxml(const Reader *reader, int64 rows)
{
	if (reader->grouped && rows >= PAGE_MAX)
		refuse_page(reader, "A full page of groups came without word of whether there are more.",
					"Set a smaller count in the FetchXML, or group less finely.");
}

/* After a page of FetchXML. */
static void
go_on_fetchxml(Reader *reader, int64 rows)
{
	DvFetchXmlEnvelope envelope = {dv_page_annotation(reader->page, "@" DV_FETCHXML_MORE),
								   dv_page_annotation(reader->page, "@" DV_FETCHXML_COOKIE),
								   dv_page_next(reader->page)};
	char *cookie;
	DvError error = {0};

	switch (dv_fetchxml_next(&reader->fetch, &envelope, reader->rows + rows, &cookie, &error))
	{
		case DV_FETCHXML_LAST:
			end_fetchxml(reader, rows);
			return;
		case DV_FETCHXML_LOST:
			refuse_page(reader, "A page names a next one, but not how FetchXML gets there.", NULL);
		case DV_FETCHXML_TOO_MANY:
			refuse_page(
				reader,
				psprintf("The service pages this query without a cookie, which ends at %d rows.",
						 DV_FETCHXML_LEGACY_ROWS),
				"Order by columns of the query's own table, or cut it by a condition.");
		case DV_FETCHXML_BROKEN:
			fail(reader, &error);
		case DV_FETCHXML_NEXT:
			break;
	}
	if (cookie != NULL)
		remember_place(reader, dv_fetchxml_position(cookie),
					   "The service gave the paging cookie of an earlier page again.");
	reader->number++;
	address_fetchxml(reader, cookie);
}

/* After a page of OData. */
static void
go_on_odata(Reader *reader, int64 rows)
{
	const char *next = dv_page_next(reader->page);
	const char *count = dv_page_count(reader->page);
	long counted = count != NULL ? strtol(count, NULL, 10) : -1;

	if (next != NULL)
	{
		remember_place(reader, next,
					   "The service gave the address of an earlier page as the next one.");
		reader->address = MemoryContextStrdup(reader->context, next);
		return;
	}
	if (reader->grouped && rows == PAGE_MAX)
		refuse_page(reader, "A full page of groups came without word of whether there are more.",
					"Group less finely, or cut the query by a filter.");
	if (!reader->limited && reader->pages == 1 && counted < PAGE_MAX && rows < counted)
		refuse_page(
			reader,
			psprintf("The service counts %ld rows and sent " INT64_FORMAT ".", counted, rows),
			NULL);
}

/* The last row of the page has been handed out: what follows? */
static void
finish_page(Reader *reader)
{
	int64 rows = dv_page_rows(reader->page);

	reader->empty_pages = rows == 0 ? reader->empty_pages + 1 : 0;
	if (reader->empty_pages > EMPTY_PAGES_MAX)
		refuse_page(reader,
					psprintf("%d pages without a row came one after another.", reader->empty_pages),
					NULL);
	if (reader->fetch.entity != NULL)
		go_on_fetchxml(reader, rows);
	else
		go_on_odata(reader, rows);
	reader->rows += rows;
	reader->page = NULL;
}

/*
 * Asking.
 */

static bool
is_digits(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* Plain text: a number for $count, else a string. */
static void
read_text(Reader *reader, const char *body, size_t len)
{
	StringInfoData json;

	if (len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0)
	{
		body += 3;
		len -= 3;
	}
	if (dv_address_ends_in(reader->address, "$count"))
	{
		reader->text = pnstrdup(body, len);
		if (is_digits(reader->text))
			return;
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR), errmsg("the count of server \"%s\" is not a number",
													reader->service->server->name)));
	}
	initStringInfo(&json);
	appendStringInfoChar(&json, '"');
	dv_json_escape(&json, body, len);
	appendStringInfoChar(&json, '"');
	reader->text = json.data;
}

static bool
is_type(const char *content_type, const char *type)
{
	size_t len = strlen(type);

	return pg_strncasecmp(content_type, type, len) == 0 &&
		   (content_type[len] == '\0' || strchr("; ", content_type[len]) != NULL);
}

/* Asks for the page at the address and opens it. */
static void
ask(Reader *reader)
{
	MemoryContext before;
	DvError error = {0};
	DvFetch fetch = {0};

	reader->page = NULL;
	reader->text = NULL;
	MemoryContextReset(reader->sheet);
	before = MemoryContextSwitchTo(reader->sheet);
	if (!dv_fetch(reader->service, reader->address, reader->prefer, &fetch, &error))
		fail(reader, &error);
	reader->pages++;
	if (fetch.status == 204)
		; /* a single property that is null */
	else if (is_type(fetch.content_type, "application/json"))
		reader->page = dv_page_open(fetch.body, fetch.len, PG_UTF8, true, NULL, 0);
	else if (is_type(fetch.content_type, "text/plain"))
	{
		(void) pg_verify_mbstr(PG_UTF8, fetch.body, (int) Min(fetch.len, PG_INT32_MAX), false);
		read_text(reader, fetch.body, fetch.len);
	}
	else
	{
		dv_error_set(&error, DV_ERROR_PROTOCOL, "the answer is not JSON but \"%s\"",
					 fetch.content_type);
		fail(reader, &error);
	}
	pfree(reader->address);
	reader->address = NULL;
	MemoryContextSwitchTo(before);
}

/* The next row's JSON in UTF-8, or NULL at the end. */
static const char *
next_row(Reader *reader, int *len)
{
	for (;;)
	{
		const char *text = reader->text;
		MemoryContext before;
		DvError error = {0};
		bool found;

		CHECK_FOR_INTERRUPTS();
		reader->text = NULL;
		if (text != NULL)
		{
			*len = (int) strlen(text);
			return text;
		}
		if (reader->page == NULL && reader->address == NULL)
			return NULL;
		if (reader->page == NULL)
		{
			ask(reader);
			continue;
		}
		before = MemoryContextSwitchTo(reader->sheet);
		found = dv_page_row_text(reader->page, &text, len, &error);
		MemoryContextSwitchTo(before);
		if (found)
			return text;
		if (error.kind != DV_ERROR_NONE)
			fail(reader, &error);
		finish_page(reader);
	}
}

/*
 * The functions.
 */

static Reader *
create_reader(FuncCallContext *call, text *server)
{
	Reader *reader = palloc0(sizeof(Reader));

	reader->context = call->multi_call_memory_ctx;
	reader->sheet =
		AllocSetContextCreate(reader->context, "dataverse_fdw answer", ALLOCSET_DEFAULT_SIZES);
	reader->service = dv_service_open(dv_functions_server(server)->serverid, GetUserId());

	/* What this transaction wrote before must be there to be read. */
	dv_bulk_flush_server(reader->service->server->serverid);
	return reader;
}

/* The next row as jsonb, or the end. */
static Datum
return_next(FunctionCallInfo fcinfo)
{
	FuncCallContext *call = SRF_PERCALL_SETUP();
	int len;
	const char *text = next_row(call->user_fctx, &len);
	char *json;
	char *converted;

	if (text == NULL)
		SRF_RETURN_DONE(call);
	json = pnstrdup(text, len);
	converted = pg_any_to_server(json, len, PG_UTF8);
	SRF_RETURN_NEXT(call, DirectFunctionCall1(jsonb_in, CStringGetDatum(converted)));
}

/* Page size, where the user wants another than the service's own; $top must not meet it (sheet 2.5). */
static char *
odata_prefer(const Reader *reader)
{
	int size = reader->service->server->settings.fetch_size;

	if (size >= PAGE_MAX || reader->limited)
		return NULL;
	return psprintf("Prefer: odata.maxpagesize=%d", size);
}

static void
begin_odata(Reader *reader, text *path)
{
	static const char hint[] =
		"Write what follows the service root, for example accounts?$select=name.";
	StringInfoData address;
	DvError error = {0};

	initStringInfo(&address);
	if (!dv_address_encode(&address, utf8(path), &error))
		refuse_input(&error, hint);
	if (!dv_url_same_service(reader->service->server->root,
							 psprintf("%s/%s", reader->service->server->root, address.data)))
	{
		dv_error_set(&error, DV_ERROR_DATA, "the path leads out of the service");
		refuse_input(&error, hint);
	}
	reader->address = address.data;
	reader->limited = dv_address_has_option(address.data, "$top");
	reader->grouped = dv_address_has_option(address.data, "$apply");
	reader->prefer = odata_prefer(reader);
}

/* dataverse_odata(server text, path text) returns setof jsonb */
DV_FUNCTION(dataverse_odata)
{
	if (SRF_IS_FIRSTCALL())
	{
		FuncCallContext *call = SRF_FIRSTCALL_INIT();
		MemoryContext before = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		Reader *reader = create_reader(call, PG_GETARG_TEXT_PP(0));

		begin_odata(reader, PG_GETARG_TEXT_PP(1));
		call->user_fctx = reader;
		MemoryContextSwitchTo(before);
	}
	return return_next(fcinfo);
}

static void
begin_fetchxml(Reader *reader, text *xml)
{
	DvError error = {0};
	const DvSchema *schema;
	char *plain = utf8(xml);

	if (!dv_fetchxml_parse(plain, &reader->fetch, &error))
		refuse_input(&error, "Write <fetch><entity name='account'>...</entity></fetch>; count is "
							 "the size of a page, top a limit on rows.");
	schema = dv_metadata_table(reader->service, reader->fetch.entity);
	if (schema == NULL || schema->set_name == NULL || schema->set_name[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
						errmsg("server \"%s\" has no table \"%s\"", reader->service->server->name,
							   pg_any_to_server(reader->fetch.entity, strlen(reader->fetch.entity),
												PG_UTF8)),
						errhint("The name in <entity> is the table's logical name.")));
	reader->set = pstrdup(schema->set_name);
	reader->limited = reader->fetch.top;
	reader->grouped = reader->fetch.aggregate;
	reader->prefer = FETCHXML_PREFER;
	reader->number = 1;
	address_fetchxml(reader, NULL);
}

/* dataverse_fetchxml(server text, xml text) returns setof jsonb */
DV_FUNCTION(dataverse_fetchxml)
{
	if (SRF_IS_FIRSTCALL())
	{
		FuncCallContext *call = SRF_FIRSTCALL_INIT();
		MemoryContext before = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		Reader *reader = create_reader(call, PG_GETARG_TEXT_PP(0));

		begin_fetchxml(reader, PG_GETARG_TEXT_PP(1));
		call->user_fctx = reader;
		MemoryContextSwitchTo(before);
	}
	return return_next(fcinfo);
}
