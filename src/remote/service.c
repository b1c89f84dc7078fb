/*
 * service.c
 *	  The environments this backend talks to, one per user mapping.
 *
 * Decides when options that were read once may be used again: until the server
 * or the mapping changes, which syscache invalidation tells.  A statement that
 * is running then keeps the DvService it began with; it is freed at the end of
 * the transaction.  Totals move on to the successor.
 *
 * Deliberately opens no connection: those belong to transport.c, tokens to
 * credentials.c, and requests to call.c.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "foreign/foreign.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "remote/service.h"

typedef struct Entry
{
	Oid umid;              /* hash key; a mapping belongs to one server */
	DvService *service;    /* NULL: none yet */
	MemoryContext context; /* holds service */
	uint32 server_hash;    /* for invalidation */
	uint32 mapping_hash;
} Entry;

static HTAB *services = NULL;

/* Parent of what successors replaced; emptied at the end of the transaction. */
static MemoryContext retired = NULL;

/* hashvalue 0: everything may have changed */
static void
invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS scan;
	Entry *entry;

	hash_seq_init(&scan, services);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		uint32 own = cacheid == FOREIGNSERVEROID ? entry->server_hash : entry->mapping_hash;

		if (entry->service != NULL && (hashvalue == 0 || hashvalue == own))
			entry->service->valid = false;
	}
}

static void
free_retired(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		MemoryContextReset(retired);
}

static void
open_cache(void)
{
	HASHCTL ctl = {0};

	if (services != NULL)
		return;
	retired =
		AllocSetContextCreate(TopMemoryContext, "dataverse_fdw retired", ALLOCSET_SMALL_SIZES);
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Entry);
	ctl.hcxt = CacheMemoryContext;
	services =
		hash_create("dataverse_fdw services", 8, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidate, (Datum) 0);
	RegisterXactCallback(free_retired, NULL);
}

static void
copy_totals(DvService *to, const DvService *from)
{
	to->dop_hint = from->dop_hint;
	to->throttled_until = from->throttled_until;
	to->requests = from->requests;
	to->retries = from->retries;
	to->bytes_in = from->bytes_in;
	to->bytes_out = from->bytes_out;
	to->throttled_ms = from->throttled_ms;
	to->last_used = from->last_used;
}

/* Built aside, so that an error leaves the entry as it was. */
static void
fill(Entry *entry, Oid serverid, Oid userid)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw service", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DvService *service = palloc0(sizeof(DvService));

	service->server = dv_options_server(serverid);
	service->user = dv_options_user(userid, serverid);
	service->valid = true;
	MemoryContextSwitchTo(old);

	if (entry->service != NULL)
	{
		copy_totals(service, entry->service);
		MemoryContextSetParent(entry->context, retired);
	}
	MemoryContextSetParent(context, CacheMemoryContext);
	entry->service = service;
	entry->context = context;
	entry->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(serverid));
	entry->mapping_hash = GetSysCacheHashValue1(USERMAPPINGOID, ObjectIdGetDatum(entry->umid));
}

DvService *
dv_service_open(Oid serverid, Oid userid)
{
	Oid umid = GetUserMapping(userid, serverid)->umid;
	Entry *entry;
	bool found;

	open_cache();
	entry = hash_search(services, &umid, HASH_ENTER, &found);
	if (!found)
		entry->service = NULL;
	if (entry->service == NULL || !entry->service->valid)
		fill(entry, serverid, userid);
	return entry->service;
}

List *
dv_service_list(void)
{
	HASH_SEQ_STATUS scan;
	Entry *entry;
	List *list = NIL;

	if (services == NULL)
		return NIL;
	hash_seq_init(&scan, services);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->service != NULL)
			list = lappend(list, entry->service);
	return list;
}

bool
dv_service_forget(Oid serverid)
{
	HASH_SEQ_STATUS scan;
	Entry *entry;
	bool any = false;

	if (services == NULL)
		return false;
	hash_seq_init(&scan, services);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->service == NULL || entry->service->server->serverid != serverid)
			continue;
		MemoryContextSetParent(entry->context, retired);
		entry->service = NULL;
		any = true;
	}
	return any;
}
