/*
 * chain.c
 *	  The pages of one piece of a scan, one page ahead, every page checked to be
 *	  the next one.
 *
 * As soon as a page is begun its next link is found and asked for, so that it
 * downloads while this page is decoded.  At most two pages are held: the one
 * being read and the one coming.  Each has a context of its own, deleted when
 * it is done, so memory does not grow with the rows.
 *
 * Nothing here waits: which chains are run, and when a page is waited for, is
 * the affair of the lanes.
 *
 * The service re-runs the query for every page (sheet 2.5): nothing but the
 * links say that the pages join.  So a link that comes again, a link that
 * differs from the one acted on, and a row that was already in this page or in
 * the one before are errors, never a silently wrong answer.  The ids of just
 * two pages are kept: rows repeated further apart can only come with a link
 * that goes back.
 *
 * The rows of a range come by date, and each is checked to lie in it: ranges
 * do not overlap, so that no two chains return a row twice as long as its date
 * stays what it is.  The end of a range may be moved while it is read, to a
 * second that has not been reached; the order then says where to stop.
 *
 * A FetchXML query has no links: its next page's address is made from what the
 * page's envelope says, and the cookie in it plays the link's part.
 *
 * Addresses too long for a GET travel as the only request of a batch, which
 * takes twice the length (sheet 1.7).
 */
#include "postgres.h"

#include "compat.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "exec/chain.h"
#include "exec/convert.h"
#include "exec/fetch.h"
#include "exec/fetchdoc.h"
#include "odata/batch.h"
#include "odata/url.h"
#include "remote/report.h"

/* Links remembered: a circle of pages is found when it is no longer than this. */
#define LINKS_KEPT 16

/*
 * The first page under a LIMIT that is applied here has as many rows as the
 * LIMIT; if the recheck throws some away, the next pages are larger and larger.
 */
#define PAGE_GROWTH 4

/* Pages without a row in a row; a provider that filters late may send some. */
#define EMPTY_PAGES_MAX 1000

/* Primary ids of a page. */
typedef struct IdEntry
{
	pg_uuid_t id;
	char status;
} IdEntry;

#define SH_PREFIX idset
#define SH_ELEMENT_TYPE IdEntry
#define SH_KEY_TYPE pg_uuid_t
#define SH_KEY id
#define SH_HASH_KEY(tb, key) hash_bytes((key).data, UUID_LEN)
#define SH_EQUAL(tb, a, b) (memcmp((a).data, (b).data, UUID_LEN) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* A page from asking to its last row. */
typedef struct Sheet
{
	MemoryContext context; /* all of it */
	MemoryContext reader;  /* what reading it needs; reset by a rewind */
	DvCall *call;          /* NULL once it has arrived */
	bool batched;
	const char *body;
	size_t len;
	char *next;        /* link found ahead of reading, or NULL */
	const char *place; /* what of it must never come again */
	int number;        /* of the page, from 1 on */
	DvPage *page;
} Sheet;

struct DvChain
{
	DvService *service;
	const DvRequest *request;
	const DvPiece *piece;
	DvCounters *counters;
	DvAppetite *appetite;
	MemoryContext context;

	bool begun; /* the first page has been asked for */
	char *link; /* page to ask for next, or NULL */
	Sheet *current;
	Sheet *ahead;
	bool rewound;
	bool held;      /* asks for no further page */
	bool shortened; /* its end may be in the page at hand: none is asked for ahead */
	bool left;      /* has none */

	DvSpan span;          /* what is left of a range */
	int64 reached;        /* second of its last row */
	const DvChain *first; /* whose last page's rows are left out, or NULL */

	int sheets;      /* arrived so far */
	int empty_pages; /* without a row, one after another */
	uint64 links[LINKS_KEPT];
	int nlinks;
	idset_hash *ids; /* of the page being read, and of the one before */
	idset_hash *ids_before;
};

static void report_failure(const DvChain *chain, const DvError *error) pg_attribute_noreturn();

static void
report_failure(const DvChain *chain, const DvError *error)
{
	DvReportContext context = {0};

	context.what =
		psprintf("could not read from foreign table \"%s\"", chain->request->table->name);
	dv_report(error, &context);
}

static void refuse_page(const DvChain *chain, const char *detail) pg_attribute_noreturn();

/* The pages do not join. */
static void
refuse_page(const DvChain *chain, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("pages of foreign table \"%s\" do not follow one another",
					chain->request->table->name),
			 errdetail("%s", detail),
			 errhint("The answer would be incomplete or hold rows twice. Run the query again; "
					 "if rows are being changed meanwhile, without ORDER BY.")));
}

/*
 * Asking.
 */

static bool
is_absolute(const char *address)
{
	return address[0] != '/' && strstr(address, "://") != NULL &&
		   strstr(address, "://") < address + strlen("https://");
}

/* What stands in the request line within a batch: a path from the host on. */
static const char *
inner_path(const DvChain *chain, const char *address)
{
	const char *url;
	const char *path;

	if (is_absolute(address))
	{
		if (!dv_url_same_service(chain->request->root, address))
			refuse_page(chain, "The next page is said to be on another server.");
		url = address;
	}
	else
		url = psprintf("%s/%s", chain->request->root, address);
	path = strchr(strstr(url, "://") + 3, '/');
	return path == NULL ? "/" : path;
}

static size_t
full_length(const DvChain *chain, const char *address)
{
	return is_absolute(address) ? strlen(address)
								: strlen(chain->request->root) + 1 + strlen(address);
}

/* Starts the request for a page. */
static Sheet *
ask(DvChain *chain, const char *address)
{
	MemoryContext context =
		AllocSetContextCreate(chain->context, "dataverse_fdw page", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	DvAppetite *appetite = chain->appetite;
	Sheet *sheet = palloc0(sizeof(Sheet));
	const char *prefer = dv_request_prefer(chain->request, appetite->page_size);
	const char **headers = palloc0(sizeof(char *) * 2);
	size_t length = full_length(chain, address);
	DvCallSpec spec = {0};

	if (length > DV_URL_MAX_BATCH)
		refuse_page(chain, "The address of the next page is longer than the service takes.");
	sheet->context = context;
	sheet->batched = length > DV_URL_MAX;
	headers[0] = prefer;
	spec.method = "GET";
	spec.path = pstrdup(address);
	spec.headers = headers;
	spec.repeat = DV_REPEAT_SAFE;
	spec.counters = chain->counters;
	if (sheet->batched)
		dv_fetch_put_in_batch(&spec, inner_path(chain, spec.path), prefer);
	sheet->call = dv_call_start(chain->service, &spec);
	appetite->rows_asked += appetite->page_size;
	appetite->page_size = Min(appetite->page_size * PAGE_GROWTH, chain->request->page_size);
	MemoryContextSwitchTo(before);
	return sheet;
}

void
dv_chain_ask(DvChain *chain)
{
	if (chain->ahead != NULL || (chain->shortened && chain->current != NULL))
		return;
	if (!chain->begun)
	{
		chain->ahead = ask(chain, chain->piece->path);
		chain->begun = true;
	}
	else if (chain->link != NULL && !chain->held)
	{
		chain->ahead = ask(chain, chain->link);
		pfree(chain->link);
		chain->link = NULL;
	}
}

DvCall *
dv_chain_call(const DvChain *chain)
{
	return chain->ahead != NULL ? chain->ahead->call : NULL;
}

bool
dv_chain_more(const DvChain *chain)
{
	return !chain->begun || chain->ahead != NULL || chain->link != NULL;
}

/*
 * Arriving.
 */

/* The one answer inside a batch's answer. */
static void
take_out_of_batch(const DvChain *chain, Sheet *sheet, const char *content_type)
{
	DvError error = {0};
	DvBatchPart *parts;
	int nparts;

	if (!dv_batch_split(content_type, sheet->body, sheet->len, &parts, &nparts, &error))
		report_failure(chain, &error);
	if (nparts != 1)
	{
		dv_error_set(&error, DV_ERROR_PROTOCOL, "a batch of one request has %d answers", nparts);
		report_failure(chain, &error);
	}
	if (parts[0].status < 200 || parts[0].status > 299)
	{
		dv_fault_parse(parts[0].status, parts[0].body, parts[0].body_len, &error);
		report_failure(chain, &error);
	}
	sheet->body = parts[0].body;
	sheet->len = parts[0].body_len;
}

static void
arriving_callback(void *arg)
{
	errcontext("page of foreign table \"%s\"", (const char *) arg);
}

/* That it is UTF-8 is checked by the page, once for all of it. */
static void
check_size(const DvChain *chain, const Sheet *sheet)
{
	ErrorContextCallback callback = {error_context_stack, arriving_callback,
									 chain->request->table->name};

	error_context_stack = &callback;
	if (sheet->len > PG_INT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("page is larger than 2 GB"),
						errhint("Set a smaller fetch_size on the foreign table.")));
	error_context_stack = callback.previous;
}

/* FetchXML: the address that an envelope leads to, or NULL. */
static char *
fetchxml_next(const DvChain *chain, const Sheet *sheet, const DvFetchXmlEnvelope *envelope,
			  const char **place)
{
	DvError error = {0};
	char *address;

	if (!dv_fetchdoc_next(chain->request, chain->piece->document, sheet->number, envelope, &address,
						  place, &error))
		report_failure(chain, &error);
	return address;
}

/* The next page's address before this one is read; NULL for none, or for one that is overlooked. */
static char *
peek_next(const DvChain *chain, const Sheet *sheet, const char **place)
{
	DvFetchXmlEnvelope envelope = {0};
	char *more;
	char *cookie;

	if (chain->piece->document == NULL)
	{
		char *link = dv_page_peek_next(sheet->body, sheet->len);

		*place = link;
		return link;
	}
	dv_page_peek_fetchxml(sheet->body, sheet->len, &more, &cookie);
	envelope.more = more;
	envelope.cookie = cookie;
	return fetchxml_next(chain, sheet, &envelope, place);
}

/* The same as the page itself has it. */
static const char *
read_next(const DvChain *chain, const Sheet *sheet, const char **place)
{
	DvFetchXmlEnvelope envelope = {dv_page_annotation(sheet->page, "@" DV_FETCHXML_MORE),
								   dv_page_annotation(sheet->page, "@" DV_FETCHXML_COOKIE),
								   dv_page_next(sheet->page)};

	*place = envelope.link;
	if (chain->piece->document == NULL)
		return envelope.link;
	return fetchxml_next(chain, sheet, &envelope, place);
}

/* Waits for a page, and takes its body. */
static void
receive(DvChain *chain, Sheet *sheet)
{
	MemoryContext before = MemoryContextSwitchTo(sheet->context);
	const char *content_type;

	dv_call_wait(sheet->call);
	if (dv_call_error(sheet->call)->kind != DV_ERROR_NONE)
		report_failure(chain, dv_call_error(sheet->call));
	content_type = dv_call_header(sheet->call, "Content-Type");
	content_type = pstrdup(content_type ? content_type : "");
	chain->appetite->body_max =
		Max(chain->appetite->body_max, (size_t) dv_call_received(sheet->call));
	sheet->body = dv_call_take_body(sheet->call, &sheet->len);
	dv_call_release(sheet->call);
	sheet->call = NULL;
	if (sheet->batched)
		take_out_of_batch(chain, sheet, content_type);
	check_size(chain, sheet);
	sheet->number = ++chain->sheets;
	sheet->next = peek_next(chain, sheet, &sheet->place);
	chain->appetite->sheets++;
	MemoryContextSwitchTo(before);
}

/* Remembers a link; a link seen before means that the chain does not advance. */
static void
follow(DvChain *chain, const char *link, const char *place)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) place, strlen(place), 0);

	if (chain->piece->document == NULL && !dv_url_same_service(chain->request->root, link))
	{
		DvError error = {0};

		dv_error_set(&error, DV_ERROR_PROTOCOL,
					 "the address of the next page lies outside of the service");
		report_failure(chain, &error);
	}
	for (int i = 0; i < Min(chain->nlinks, LINKS_KEPT); i++)
	{
		if (chain->links[i] == hash)
			refuse_page(chain, "The service gave the address of an earlier page as the next one.");
	}
	chain->links[chain->nlinks++ % LINKS_KEPT] = hash;
	chain->link = MemoryContextStrdup(chain->context, link);
}

/* Ranges bring the date, if nothing else does. */
static int
nproperties(const DvChain *chain)
{
	const DvRequest *request = chain->request;

	return chain->piece->ranged ? Max(request->nproperties, request->date + 1)
								: request->nproperties;
}

static void
open_sheet(DvChain *chain, Sheet *sheet)
{
	MemoryContext before;

	if (sheet->reader == NULL)
		sheet->reader = AllocSetContextCreate(sheet->context, "dataverse_fdw page reader",
											  ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(sheet->reader);
	before = MemoryContextSwitchTo(sheet->reader);
	sheet->page = dv_page_open(sheet->body, sheet->len, PG_UTF8, false, chain->request->properties,
							   nproperties(chain));
	MemoryContextSwitchTo(before);
}

/* The ids of the page that was just read are now those of the page before. */
static void
turn_ids(DvChain *chain)
{
	idset_hash *old = chain->ids_before;

	chain->ids_before = chain->ids;
	chain->ids = old;
	idset_reset(chain->ids);
}

bool
dv_chain_worthwhile(const DvRequest *request, const DvAppetite *appetite)
{
	const DvScanPlan *plan = request->plan;

	if (plan->limit < 0 || appetite->rows_asked < plan->limit)
		return true;
	return !plan->exact_limit && appetite->sheets > 1 && appetite->page_size == request->page_size;
}

void
dv_chain_turn(DvChain *chain)
{
	Sheet *sheet = chain->ahead;

	Assert(chain->current == NULL && sheet != NULL);
	receive(chain, sheet);
	chain->ahead = NULL;
	chain->current = sheet;
	if (sheet->next != NULL)
		follow(chain, sheet->next, sheet->place);
	turn_ids(chain);
	open_sheet(chain, sheet);
}

/*
 * Reading.
 */

/* The link in the page is the one acted on, or was not seen ahead of time. */
static void
check_link(DvChain *chain, Sheet *sheet)
{
	const char *place;
	const char *next = read_next(chain, sheet, &place);

	if (chain->left || (next == NULL && sheet->next == NULL))
		return;
	if (next != NULL && sheet->next != NULL && strcmp(next, sheet->next) == 0)
		return;
	if (next == NULL || sheet->next != NULL)
		refuse_page(chain, "A page names two different pages as the next one.");

	/* A link that was overlooked comes after all. */
	follow(chain, next, place);
}

static void
let_go(DvChain *chain)
{
	dv_page_close(chain->current->page);
	MemoryContextDelete(chain->current->context);
	chain->current = NULL;
}

/* The last row has been read.  A piece's only page stays, for a rewind. */
static void
finish_page(DvChain *chain)
{
	Sheet *sheet = chain->current;

	check_link(chain, sheet);
	chain->empty_pages = dv_page_rows(sheet->page) == 0 ? chain->empty_pages + 1 : 0;
	if (chain->empty_pages > EMPTY_PAGES_MAX)
		refuse_page(chain,
					psprintf("%d pages without a row came one after another.", chain->empty_pages));
	if (chain->sheets == 1 && !dv_chain_more(chain) && !chain->left)
		return;
	let_go(chain);
}

/*
 * A row's id must be new.  Asked of rows that belong to their piece
 * only.  Elastic tables have the same id in several partitions, and providers of virtual tables may have no id (sheet 13).
 */
static void
check_id(DvChain *chain, const DvField *field)
{
	pg_uuid_t id;
	bool found;

	if (field->kind != DV_FIELD_STRING || !dv_convert_guid(field->text, field->len, id.data))
		return;
	(void) idset_insert(chain->ids, id, &found);
	if (found || idset_lookup(chain->ids_before, id) != NULL)
		refuse_page(chain, psprintf("Row %.*s came twice, the second time in page %d.", field->len,
									field->text, chain->sheets));
}

static int
compare_item(const void *key, const void *item)
{
	return strcmp(key, *(char *const *) item);
}

/* Is the row's own text among the piece's items? */
static bool
passes(const DvPieceCheck *check, const DvField *fields)
{
	const DvField *field = &fields[check->field];
	char *text;
	char *local;
	int len = field->len;
	bool found;

	if (field->kind == DV_FIELD_ABSENT)
		return false;
	while (check->trim && len > 0 && field->text[len - 1] == ' ')
		len--;
	text = pnstrdup(field->text, len);
	local = pg_any_to_server(text, len, PG_UTF8);
	found = bsearch(local, check->items, check->nitems, sizeof(char *), compare_item) != NULL;
	if (local != text)
		pfree(local);
	pfree(text);
	return found;
}

static bool
belongs(const DvPiece *piece, const DvField *fields)
{
	for (int i = 0; i < piece->nchecks; i++)
	{
		if (!passes(&piece->checks[i], fields))
			return false;
	}
	return true;
}

/*
 * Ranges.
 */

/* What becomes of a row of a range. */
typedef enum Fate
{
	FATE_TAKE,
	FATE_LEAVE, /* it was in the first page */
	FATE_STOP   /* it belongs to somebody else, as do all after it */
} Fate;

/* The row's second, which must lie in the range and not before the last row's. */
static int64
check_second(DvChain *chain, const DvField *field)
{
	const DvSpan *span = &chain->piece->span;
	int64 second;

	if (field->kind != DV_FIELD_STRING || !dv_span_second(field->text, field->len, &second))
		refuse_page(chain, "A row of a range of dates has none that can be read.");
	if (second < chain->reached)
		refuse_page(chain, "The rows of a range of dates did not come in the order asked for.");
	if ((span->has_from && second < span->from) || (span->has_to && second >= span->to))
		refuse_page(chain, psprintf("A row of %.*s is not within the range of dates asked for.",
									field->len, field->text));
	chain->reached = second;
	return second;
}

static Fate
decide_fate(DvChain *chain, const DvField *fields)
{
	const DvRequest *request = chain->request;
	const DvField *id = &fields[request->id];
	pg_uuid_t uuid;

	if (!chain->piece->ranged)
		return FATE_TAKE;
	if (chain->span.nulls)
	{
		if (fields[request->date].kind != DV_FIELD_ABSENT)
			refuse_page(chain, "A row that should have no date has one.");
	}
	else
	{
		int64 second = check_second(chain, &fields[request->date]);

		if (chain->span.has_to && second >= chain->span.to)
			return FATE_STOP;
	}
	if (chain->first != NULL && id->kind == DV_FIELD_STRING &&
		dv_convert_guid(id->text, id->len, uuid.data) &&
		idset_lookup(chain->first->ids, uuid) != NULL)
		return FATE_LEAVE;
	return FATE_TAKE;
}

void
dv_chain_hold(DvChain *chain, bool held)
{
	chain->held = held;
}

void
dv_chain_leave(DvChain *chain)
{
	if (chain->ahead != NULL)
		MemoryContextDelete(chain->ahead->context);
	chain->ahead = NULL;
	if (chain->link != NULL)
		pfree(chain->link);
	chain->link = NULL;
	chain->left = true;
}

void
dv_chain_leave_out(DvChain *chain, const DvChain *first)
{
	chain->first = first;
}

const char *
dv_chain_body(const DvChain *chain, size_t *len)
{
	if (chain->current == NULL)
		return NULL;
	*len = chain->current->len;
	return chain->current->body;
}

const DvSpan *
dv_chain_span(const DvChain *chain)
{
	return &chain->span;
}

void
dv_chain_shorten(DvChain *chain, int64 to)
{
	Assert(!chain->span.has_to || to <= chain->span.to);
	chain->span.has_to = true;
	chain->span.to = to;
	chain->shortened = true;
}

/* One row of the current page; false at its end. */
static bool
read_row(DvChain *chain, DvField *fields)
{
	Sheet *sheet = chain->current;
	MemoryContext before = MemoryContextSwitchTo(sheet->reader);
	DvError error = {0};
	bool found = dv_page_row(sheet->page, fields, &error);

	MemoryContextSwitchTo(before);
	if (!found && error.kind != DV_ERROR_NONE)
		report_failure(chain, &error);
	return found;
}

bool
dv_chain_row(DvChain *chain, DvField *fields)
{
	const DvRequest *request = chain->request;
	Fate fate;

	while (read_row(chain, fields))
	{
		if (!chain->rewound)
			chain->counters->rows++;
		if (!belongs(chain->piece, fields))
			continue;
		fate = decide_fate(chain, fields);
		if (fate == FATE_STOP)
		{
			dv_chain_leave(chain);
			let_go(chain);
			return false;
		}
		if (request->table->table_type == DV_TABLE_STANDARD && request->id >= 0)
			check_id(chain, &fields[request->id]);
		if (fate == FATE_LEAVE)
			continue;
		return true;
	}
	finish_page(chain);
	return false;
}

bool
dv_chain_rewind(DvChain *chain)
{
	if (chain->current == NULL || chain->sheets != 1 || dv_chain_more(chain))
		return false;
	dv_page_close(chain->current->page);
	idset_reset(chain->ids);
	open_sheet(chain, chain->current);
	chain->rewound = true;
	return true;
}

DvChain *
dv_chain_open(const DvChainSpec *spec, const DvPiece *piece)
{
	DvChain *chain = palloc0(sizeof(DvChain));

	chain->service = spec->service;
	chain->request = spec->request;
	chain->counters = spec->counters;
	chain->appetite = spec->appetite;
	chain->piece = piece;
	chain->span = piece->span;
	chain->reached = PG_INT64_MIN;
	chain->context = CurrentMemoryContext;
	chain->ids = idset_create(CurrentMemoryContext, 128, NULL);
	chain->ids_before = idset_create(CurrentMemoryContext, 128, NULL);
	return chain;
}
