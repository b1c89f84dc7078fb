/*
 * credentials.c
 *	  Tokens by the OAuth client credentials grant, or as the mapping gives them.
 *
 * Decides when a token is too old to use and what of the authority's answer a
 * user may see.  One token serves all requests of a mapping in this backend:
 * the authority refuses clients that ask for one per call (sheet 6.1).
 *
 * Assumes that the answers are small documents, hence jansson.  Deliberately
 * does not keep refresh tokens (this grant has none) and does not judge what a
 * token may do; a token that the service refuses comes back by
 * dv_credentials_forget.
 *
 * Secrets live in the catalogs, in DvUserOptions, in the request's body while
 * it is under way, and in the cache; nothing here prints them.
 */
#include "postgres.h"
#include "compat.h"

#include <jansson.h>

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "portability/instr_time.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "odata/fault.h"
#include "odata/literal.h"
#include "remote/credentials.h"
#include "remote/report.h"
#include "remote/transport.h"

/* A token is renewed this long before it ends, or after four fifths of a shorter life. */
#define RENEW_BEFORE_S 300
#define RENEW_SHARE 5

/* Tokens are 1 to 4 kB; an answer of the authority is not much longer. */
#define MAX_ANSWER (256 * 1024)

/* A year; more is no life but a misreading, and would overflow in microseconds. */
#define MAX_LIFE_S (366 * 24 * 3600)

typedef struct CachedToken
{
	Oid umid; /* hash key */
	Oid serverid;
	char *token;        /* in CacheMemoryContext; NULL: none */
	uint64 identity;    /* hash of whom it was got for, and where */
	bool had_one;       /* the authority has answered with a token before */
	int64 renew_at_us;  /* monotonic */
	uint32 server_hash; /* for invalidation */
	uint32 mapping_hash;
} CachedToken;

static HTAB *tokens = NULL;

static int64
now_us(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* ---- the cache ---- */

static void
drop_token(CachedToken *entry)
{
	if (entry->token == NULL)
		return;
	explicit_bzero(entry->token, strlen(entry->token));
	pfree(entry->token);
	entry->token = NULL;
}

/* hashvalue 0: everything may have changed */
static void
invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS scan;
	CachedToken *entry;

	hash_seq_init(&scan, tokens);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		uint32 own = cacheid == FOREIGNSERVEROID ? entry->server_hash : entry->mapping_hash;

		if (hashvalue != 0 && hashvalue != own)
			continue;
		drop_token(entry);
		entry->had_one = false; /* the authority may be another one now */
	}
}

static void
open_cache(void)
{
	HASHCTL ctl = {0};

	if (tokens != NULL)
		return;
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(CachedToken);
	ctl.hcxt = CacheMemoryContext;
	tokens = hash_create("dataverse_fdw tokens", 8, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidate, (Datum) 0);
}

static CachedToken *
find_entry(Oid umid, Oid serverid)
{
	bool found;
	CachedToken *entry;

	open_cache();
	entry = hash_search(tokens, &umid, HASH_ENTER, &found);
	if (!found)
	{
		entry->token = NULL;
		entry->had_one = false;
	}
	entry->serverid = serverid;
	entry->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(serverid));
	entry->mapping_hash = GetSysCacheHashValue1(USERMAPPINGOID, ObjectIdGetDatum(umid));
	return entry;
}

/*
 * Credentials may change while a statement goes on with those it began with,
 * and asks for a token by them: nobody else's.
 */
static uint64
identity_of(const DvServerOptions *server, const DvUserOptions *user)
{
	const char *const parts[] = {server->authority, server->tenant_id, server->scope,
								 user->client_id, user->client_secret};
	uint64 hash = 0;

	for (int i = 0; i < lengthof(parts); i++)
		if (parts[i] != NULL)
			hash = hash_combine64(hash, hash_bytes_extended((const unsigned char *) parts[i],
															(int) strlen(parts[i]), i));
	return hash;
}

static void
keep_token(CachedToken *entry, const char *token, int64 life_s)
{
	int64 margin = Min(RENEW_BEFORE_S, life_s / RENEW_SHARE);
	char *copy = MemoryContextStrdup(CacheMemoryContext, token);

	drop_token(entry);
	entry->token = copy;
	entry->had_one = true;
	entry->renew_at_us = now_us() + (life_s - margin) * 1000000;
}

/* ---- the request ---- */

static void
add_field(StringInfo form, const char *name, const char *value)
{
	if (form->len > 0)
		appendStringInfoChar(form, '&');
	appendStringInfo(form, "%s=", name);
	dv_url_escape(form, value, strlen(value), NULL);
}

static void
require(const char *value, const char *what, const char *hint)
{
	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("no credentials for Dataverse: %s is missing", what), errhint("%s", hint)));
}

static void
check_complete(const DvServerOptions *server, const DvUserOptions *user)
{
	static const char mapping_hint[] =
		"Set client_id and client_secret, or access_token, in the user mapping.";

	require(user->client_id, "client_id", mapping_hint);
	require(user->client_secret, "client_secret", mapping_hint);
	require(server->tenant_id, "tenant_id",
			"Set the server's option \"tenant_id\" to the Entra ID tenant of the environment.");
}

static DvHttp *
ask(const DvServerOptions *server, const char *url, const StringInfoData *form)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
										  "Accept: application/json", NULL};
	DvHttpSpec spec = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.body = form->data,
		.body_len = form->len,
		.max_response = MAX_ANSWER,
		.connect_timeout = server->connect_timeout,
		.timeout = server->request_timeout,
		.ca_file = server->sslrootcert,
		.plain_ok = true, /* the option's check lets http through for loopback only */
	};
	DvHttp *http = dv_http_start(&spec);

	dv_http_wait(&http, 1, -1);
	return http;
}

/* ---- the answer ---- */

static void
free_json(void *root)
{
	json_decref(root);
}

/* A number, or a number as text: the older endpoint and managed identities quote it (sheet 6.1, 6.4). */
static int64
life_of(const json_t *root)
{
	const json_t *member = json_object_get(root, "expires_in");

	if (json_is_integer(member))
		return json_integer_value(member);
	if (json_is_string(member))
		return strtoll(json_string_value(member), NULL, 10);
	return 0;
}

/* A bearer token goes into a header as it is: nothing but visible ASCII. */
static bool
is_token(const char *text)
{
	const unsigned char *p = (const unsigned char *) text;

	if (text == NULL || *p == '\0')
		return false;
	for (; *p != '\0'; p++)
		if (*p <= 0x20 || *p >= 0x7f)
			return false;
	return true;
}

static void
refusal(DvHttp *http, const DvUserOptions *user, DvError *error)
{
	const char *wait = dv_http_header(http, "Retry-After");
	size_t len;
	const char *body = dv_http_body(http, &len);

	dv_fault_parse(dv_http_status(http), body, len, error);
	error->kind = DV_ERROR_TOKEN;
	if (wait != NULL)
		error->retry_after_ms = dv_fault_retry_after(wait, (int64) time(NULL));

	dv_report_hide(error, user->client_secret);
}

/* Keeps the token of a good answer; false when it holds none. */
static bool
accept_token(CachedToken *entry, DvHttp *http)
{
	size_t len;
	const char *body = dv_http_body(http, &len);
	json_error_t where;
	json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, &where);
	DvOwned *owned = root != NULL ? dv_own(root, free_json) : NULL;
	const char *token = json_string_value(json_object_get(root, "access_token"));
	int64 life_s = life_of(root);
	bool good = is_token(token) && life_s > 0 && life_s < MAX_LIFE_S;

	if (good)
		keep_token(entry, token, life_s);
	dv_owned_free(owned);
	return good;
}

/* True with the token kept in entry, else error says why not. */
static bool
take_answer(CachedToken *entry, DvHttp *http, const DvUserOptions *user, DvError *error)
{
	bool refused = dv_http_error(http)->kind == DV_ERROR_NONE && dv_http_status(http) != 200;

	dv_error_clear(error);
	if (refused)
		refusal(http, user, error);
	else if (!dv_http_unpack(http))
	{
		*error = *dv_http_error(http);
		error->message = pstrdup(error->message);
	}
	else if (!accept_token(entry, http))
		dv_error_set(error, DV_ERROR_PROTOCOL, "the token authority's answer holds no token");
	return error->kind == DV_ERROR_NONE;
}

/*
 * An authority that cannot be reached is worth another try only where it could
 * be reached before: else its address is wrong, and the user waits for nothing.
 */
static bool
worth_repeating(const CachedToken *entry, const DvError *error, int attempt, long *wait_ms)
{
	if (error->kind == DV_ERROR_CONNECT && !entry->had_one)
		return false;
	return dv_fault_decide(error, DV_REPEAT_SAFE, attempt, pg_prng_double(&pg_global_prng_state),
						   wait_ms) == DV_VERDICT_RETRY;
}

/* Fetches a token, patiently within the bounds of retry_timeout. */
static bool
fetch(CachedToken *entry, const DvServerOptions *server, const DvUserOptions *user, const char *url,
	  DvError *error)
{
	int64 patience_us = (int64) server->retry_timeout * 1000000;
	int64 began = now_us();
	StringInfoData form;
	bool good;

	initStringInfo(&form);
	add_field(&form, "client_id", user->client_id);
	add_field(&form, "client_secret", user->client_secret);
	add_field(&form, "scope", server->scope);
	add_field(&form, "grant_type", "client_credentials");

	for (int attempt = 0;; attempt++)
	{
		DvHttp *http = ask(server, url, &form);
		long wait_ms;

		good = take_answer(entry, http, user, error);
		dv_http_release(http);
		if (good || !worth_repeating(entry, error, attempt, &wait_ms))
			break;
		if (now_us() - began + (int64) wait_ms * 1000 > patience_us)
			break;
		dv_http_wait(NULL, 0, wait_ms);
	}
	explicit_bzero(form.data, form.len);
	return good;
}

static void
renew(CachedToken *entry, const DvServerOptions *server, const DvUserOptions *user)
{
	DvError error = {0};
	DvReportContext context = {
		.what = psprintf("could not get a token for server \"%s\"", server->name)};
	char *url;

	check_complete(server, user);
	url = psprintf("%s/%s/oauth2/v2.0/token", server->authority, server->tenant_id);
	if (fetch(entry, server, user, url, &error))
		return;
	error.url = url;
	if (error.kind == DV_ERROR_CONNECT || error.kind == DV_ERROR_PROTOCOL)
		context.hint =
			"Check the server's option \"authority\", the network and the proxy settings of "
			"the database server's environment.";
	dv_report(&error, &context);
}

const char *
dv_credentials_token(const DvServerOptions *server, const DvUserOptions *user)
{
	MemoryContext scratch;
	MemoryContext old;
	CachedToken *entry;

	if (user->access_token != NULL)
		return user->access_token;

	entry = find_entry(user->umid, server->serverid);
	if (entry->token != NULL && entry->identity != identity_of(server, user))
		drop_token(entry);
	if (entry->token != NULL && now_us() < entry->renew_at_us)
		return entry->token;

	/* once an hour, in the middle of a scan: leave nothing behind in its memory */
	scratch = AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw token request",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(scratch);
	renew(entry, server, user);
	entry->identity = identity_of(server, user);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return entry->token;
}

void
dv_credentials_forget(Oid umid, const char *token)
{
	CachedToken *entry;

	if (tokens == NULL)
		return;
	entry = hash_search(tokens, &umid, HASH_FIND, NULL);
	if (entry != NULL && entry->token != NULL && strcmp(entry->token, token) == 0)
		drop_token(entry);
}

void
dv_credentials_forget_all(Oid serverid)
{
	HASH_SEQ_STATUS scan;
	CachedToken *entry;

	if (tokens == NULL)
		return;
	hash_seq_init(&scan, tokens);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->serverid == serverid)
			drop_token(entry);
}
