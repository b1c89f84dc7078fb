/*
 * metadata.c
 *	  Table schemas of an environment, fetched once, dropped on invalidation.
 *
 * Decides which requests tell what we want to know.  EntityDefinitions alone
 * would need one request per table and attribute type for choices and lookup
 * targets (sheet 9.1), so whole schemas come by RetrieveMetadataChanges, which
 * returns the type-specific members of all types at once (sheet 9.5).  Its
 * conditions are a chain of Equals under Or, the form that the documentation
 * shows, and not In, whose array has to be written as text inside text.
 *
 * An environment has hundreds of tables and its whole metadata is tens of
 * megabytes, so tables are asked for in chunks; each answer is parsed and
 * freed before the next.  A chunk of fifty names stays far below the longest
 * address (sheet 1.7).
 *
 * The cache holds what a session asked for table by table, per server and user
 * mapping, since labels come in the caller's language and custom tables differ
 * in visibility.  It is dropped when a server or mapping changes; what a caller
 * still holds lives until the end of the transaction.  It does not watch the
 * environment.  A caller who misses something, such as a choice that a maker
 * has just added, has the table asked for anew, but not oftener than the
 * service's own caches change (sheet 2.6): a join may miss the same label in
 * every row.
 */
#include "postgres.h"

#include "compat.h"

#include <jansson.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "common/string.h"
#include "mb/pg_wchar.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "remote/document.h"
#include "remote/metadata.h"

/* Logical names are far shorter; longer ones are not cached. */
#define CACHE_NAME_LEN 128

typedef struct CacheKey
{
	Oid serverid;
	Oid umid;
	char name[CACHE_NAME_LEN]; /* zero-filled */
} CacheKey;

typedef struct CacheEntry
{
	CacheKey key;
	MemoryContext context; /* holds schema; NULL while there is none */
	DvSchema *schema;
	TimestampTz fetched; /* when schema was asked for; 0: never */
	bool bulk_known;
	bool bulk;
} CacheEntry;

static HTAB *cache = NULL;
static bool cache_stale = false;

/* What a whole schema is made of: the members that schema.c reads. */
#define TABLE_MEMBERS                                                                              \
	"\"LogicalName\",\"EntitySetName\",\"PrimaryIdAttribute\",\"PrimaryNameAttribute\","           \
	"\"DataProviderId\",\"ChangeTrackingEnabled\",\"IsOptimisticConcurrencyEnabled\","             \
	"\"IsPrivate\",\"IsIntersect\",\"DisplayName\",\"Attributes\",\"Keys\","                       \
	"\"ManyToOneRelationships\""
#define ATTRIBUTE_MEMBERS                                                                          \
	"\"LogicalName\",\"SchemaName\",\"DisplayName\",\"AttributeType\",\"AttributeTypeName\","      \
	"\"AttributeOf\",\"ColumnNumber\",\"IsValidForRead\",\"IsValidForCreate\","                    \
	"\"IsValidForUpdate\",\"IsValidODataAttribute\",\"IsPrimaryName\",\"RequiredLevel\","          \
	"\"SourceType\",\"MaxLength\",\"Precision\",\"PrecisionSource\",\"DateTimeBehavior\","         \
	"\"Targets\",\"OptionSet\",\"MinValue\",\"MaxValue\",\"MaxSizeInKB\""
#define RELATIONSHIP_MEMBERS                                                                       \
	"\"ReferencedEntity\",\"ReferencingAttribute\",\"ReferencingEntityNavigationPropertyName\""
#define KEY_MEMBERS "\"LogicalName\",\"KeyAttributes\",\"EntityKeyIndexStatus\""

static void
append_members(StringInfo json, const char *query, const char *members)
{
	appendStringInfo(json,
					 ",\"%s\":{\"Properties\":{\"AllProperties\":false,\"PropertyNames\":[%s]}}",
					 query, members);
}

/* The EntityQueryExpression for names[first .. first + n) (sheet 9.5). */
static void
append_query(StringInfo json, List *names, int first, int n)
{
	appendStringInfo(json,
					 "{\"Properties\":{\"AllProperties\":false,\"PropertyNames\":[%s]},"
					 "\"Criteria\":{\"FilterOperator\":\"Or\",\"Conditions\":[",
					 TABLE_MEMBERS);
	for (int i = 0; i < n; i++)
	{
		const char *name = list_nth(names, first + i);

		appendStringInfo(json,
						 "%s{\"ConditionOperator\":\"Equals\",\"PropertyName\":\"LogicalName\","
						 "\"Value\":{\"Type\":\"System.String\",\"Value\":\"",
						 i > 0 ? "," : "");
		dv_json_escape(json, name, strlen(name));
		appendStringInfoString(json, "\"}}");
	}
	appendStringInfoString(json, "]}");
	append_members(json, "AttributeQuery", ATTRIBUTE_MEMBERS);
	append_members(json, "RelationshipQuery", RELATIONSHIP_MEMBERS);
	append_members(json, "KeyQuery", KEY_MEMBERS);
	appendStringInfoChar(json, '}');
}

static char *
chunk_path(List *names, int first, int n)
{
	StringInfoData json;
	StringInfoData path;

	initStringInfo(&json);
	append_query(&json, names, first, n);
	initStringInfo(&path);
	appendStringInfoString(&path, "RetrieveMetadataChanges(Query=@p1)?@p1=");
	dv_url_escape(&path, json.data, json.len, ":,");
	pfree(json.data);
	return path.data;
}

/*
 * A label that the database's encoding cannot hold is none: nothing here can be
 * compared with it, and the table must not become unusable for it.
 */
static void
to_server_encoding(char **text)
{
	int encoding = GetDatabaseEncoding();
	int len = *text != NULL ? (int) strlen(*text) : 0;
	Oid conversion;
	unsigned char *converted;

	if (*text == NULL || pg_is_ascii(*text))
		return;
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
	{
		*text = pg_any_to_server(*text, len, PG_UTF8);
		return;
	}
	conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	converted = palloc((Size) len * MAX_CONVERSION_GROWTH + 1);
	if (OidIsValid(conversion) &&
		pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, (unsigned char *) *text, len,
									  converted, len * MAX_CONVERSION_GROWTH + 1, true) == len)
		*text = (char *) converted;
	else
		*text = NULL;
}

/* Labels are the only texts that are more than ASCII. */
static void
convert_labels(DvSchema *schema)
{
	to_server_encoding(&schema->description);
	for (int a = 0; a < schema->nattributes; a++)
	{
		DvAttribute *attribute = &schema->attributes[a];

		to_server_encoding(&attribute->description);
		for (int c = 0; c < attribute->nchoices; c++)
			to_server_encoding(&attribute->choices[c].label);
	}
}

void
dv_metadata_fetch(DvService *service, List *names, DvSchema **schemas, int *nschemas)
{
	int total = list_length(names);

	*schemas = palloc0(sizeof(DvSchema) * (total + 1));
	*nschemas = 0;
	for (int first = 0; first < total; first += DV_METADATA_CHUNK)
	{
		char *path = chunk_path(names, first, Min(DV_METADATA_CHUNK, total - first));
		DvCall *call = dv_document_get(service, path);
		DvSchema *some;
		int n;

		dv_document_schemas(service, call, &some, &n);
		dv_call_release(call);
		pfree(path);
		for (int i = 0; i < n && *nschemas < total; i++)
		{
			convert_labels(&some[i]);
			(*schemas)[(*nschemas)++] = some[i];
		}
	}
}

/* Any change to a server or mapping: rare enough to start over. */
static void
invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	cache_stale = true;
}

static void
ensure_cache(void)
{
	HASHCTL control = {.keysize = sizeof(CacheKey), .entrysize = sizeof(CacheEntry)};

	if (cache != NULL)
		return;
	control.hcxt = CacheMemoryContext;
	cache =
		hash_create("dataverse_fdw metadata", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidate, (Datum) 0);
}

/* What a caller may still point at goes with the transaction. */
static void
forget_schema(CacheEntry *entry)
{
	if (entry->context != NULL && IsTransactionState())
		MemoryContextSetParent(entry->context, TopTransactionContext);
	else if (entry->context != NULL)
		MemoryContextDelete(entry->context);
	entry->context = NULL;
	entry->schema = NULL;
}

static void
drop_entry(CacheEntry *entry)
{
	forget_schema(entry);
	hash_search(cache, &entry->key, HASH_REMOVE, NULL);
}

void
dv_metadata_reset(Oid serverid)
{
	HASH_SEQ_STATUS scan;
	CacheEntry *entry;

	if (cache == NULL)
		return;
	hash_seq_init(&scan, cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (!OidIsValid(serverid) || entry->key.serverid == serverid)
			drop_entry(entry);
	}
}

static bool
make_key(DvService *service, const char *logical, CacheKey *key)
{
	memset(key, 0, sizeof(CacheKey));
	key->serverid = service->server->serverid;
	key->umid = service->user->umid;
	if (strlen(logical) >= CACHE_NAME_LEN)
		return false;
	strlcpy(key->name, logical, CACHE_NAME_LEN);
	return true;
}

static CacheEntry *
lookup(const CacheKey *key, HASHACTION action)
{
	CacheEntry *entry;
	bool found;

	ensure_cache();
	if (cache_stale)
	{
		cache_stale = false;
		dv_metadata_reset(InvalidOid);
	}
	entry = hash_search(cache, key, action, &found);
	if (action == HASH_ENTER && !found)
	{
		entry->context = NULL;
		entry->schema = NULL;
		entry->fetched = 0;
		entry->bulk_known = false;
	}
	return entry;
}

/* One table into a context of its own, which goes when the transaction does unless it is kept. */
static DvSchema *
fetch_one(DvService *service, const char *logical, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	DvSchema *schemas;
	int n;

	dv_metadata_fetch(service, list_make1(pstrdup(logical)), &schemas, &n);
	MemoryContextSwitchTo(old);
	return n > 0 ? schemas : NULL;
}

/* Asks for a table and puts what comes into the cache, the lack of it, too. */
static const DvSchema *
fetch_into_cache(DvService *service, const char *logical)
{
	MemoryContext context = AllocSetContextCreate(
		TopTransactionContext, "dataverse_fdw table metadata", ALLOCSET_DEFAULT_SIZES);
	DvSchema *schema = fetch_one(service, logical, context);
	CacheEntry *entry;
	CacheKey key;

	if (make_key(service, logical, &key))
	{
		entry = lookup(&key, HASH_ENTER);
		forget_schema(entry);
		entry->fetched = GetCurrentTimestamp();
		entry->schema = schema;
		entry->context = schema != NULL ? context : NULL;
	}
	if (schema == NULL)
		MemoryContextDelete(context);
	else if (strlen(logical) < CACHE_NAME_LEN)
		MemoryContextSetParent(context, CacheMemoryContext);
	return schema;
}

/* Is what we have as good as what the service might tell? */
static bool
is_fresh(const CacheEntry *entry)
{
	return entry->fetched != 0 &&
		   !TimestampDifferenceExceeds(entry->fetched, GetCurrentTimestamp(), DV_METADATA_FRESH_MS);
}

static CacheEntry *
cached(DvService *service, const char *logical)
{
	CacheKey key;

	return make_key(service, logical, &key) ? lookup(&key, HASH_FIND) : NULL;
}

const DvSchema *
dv_metadata_table(DvService *service, const char *logical)
{
	CacheEntry *entry = cached(service, logical);

	if (entry != NULL && (entry->schema != NULL || is_fresh(entry)))
		return entry->schema;
	return fetch_into_cache(service, logical);
}

const DvSchema *
dv_metadata_again(DvService *service, const char *logical)
{
	CacheEntry *entry = cached(service, logical);

	if (entry != NULL && is_fresh(entry))
		return entry->schema;
	return fetch_into_cache(service, logical);
}

/*
 * Both messages in one question.  The names are read from the answer and not
 * counted: a message may have several filters.
 */
static bool
ask_bulk(DvService *service, const char *logical)
{
	StringInfoData filter;
	StringInfoData path;
	DvQuery query = {
		.path = "sdkmessagefilters",
		.select = "sdkmessagefilterid",
		.expand = "sdkmessageid($select=name)",
		.top = -1,
	};
	DvCall *call;
	json_t *list;
	json_t *one;
	size_t i;
	bool create = false;
	bool update = false;

	initStringInfo(&filter);
	appendStringInfoString(&filter, "primaryobjecttypecode eq ");
	dv_literal_append(&filter, DV_EDM_STRING, logical);
	appendStringInfoString(&filter, " and (sdkmessageid/name eq 'CreateMultiple'"
									" or sdkmessageid/name eq 'UpdateMultiple')");
	query.filter = filter.data;
	initStringInfo(&path);
	dv_url_query(&path, &query);

	call = dv_document_ask(service, path.data);
	if (dv_call_error(call)->kind == DV_ERROR_HTTP && dv_call_status(call) == 403)
	{
		dv_call_release(call);
		return false;
	}
	if (dv_call_error(call)->kind != DV_ERROR_NONE)
		dv_document_fail(service, dv_call_error(call));

	list = dv_document_rows(service, call, NULL);
	json_array_foreach(list, i, one)
	{
		const char *name = dv_document_text(json_object_get(one, "sdkmessageid"), "name");

		create = create || (name != NULL && strcmp(name, "CreateMultiple") == 0);
		update = update || (name != NULL && strcmp(name, "UpdateMultiple") == 0);
	}
	dv_call_release(call);
	return create && update;
}

bool
dv_metadata_bulk(DvService *service, const char *logical)
{
	CacheKey key;
	CacheEntry *entry;
	bool bulk;

	if (!make_key(service, logical, &key))
		return ask_bulk(service, logical);
	entry = lookup(&key, HASH_FIND);
	if (entry != NULL && entry->bulk_known)
		return entry->bulk;

	bulk = ask_bulk(service, logical);
	entry = lookup(&key, HASH_ENTER);
	entry->bulk_known = true;
	entry->bulk = bulk;
	return bulk;
}
