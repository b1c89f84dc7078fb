/*
 * fetch.c
 *	  One document by GET, whatever the length of its address.
 *
 * Addresses too long for a GET travel as the only request of a batch, which
 * takes twice the length (sheet 1.7); there, what the answer should be like is
 * said within (sheet 5.6).
 */
#include "postgres.h"

#include "compat.h"

#include "exec/fetch.h"
#include "odata/batch.h"
#include "odata/url.h"

/* Scheme, host and path, where the address itself has none. */
static const char *
absolute(const DvService *service, const char *address)
{
	if (pg_strncasecmp(address, "https://", 8) == 0 || pg_strncasecmp(address, "http://", 7) == 0)
		return address;
	return psprintf("%s/%s", service->server->root, address);
}

static char *
boundary_seed(void)
{
	unsigned char random[8];
	StringInfoData seed;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
	initStringInfo(&seed);
	for (int i = 0; i < lengthof(random); i++)
		appendStringInfo(&seed, "%02x", random[i]);
	return seed.data;
}

void
dv_fetch_put_in_batch(DvCallSpec *spec, const char *path, const char *prefer)
{
	static const char *const headers[] = {"Prefer: odata.continue-on-error", NULL};
	DvBatch *batch = dv_batch_create(boundary_seed());
	StringInfoData body;

	dv_batch_add(
		batch, "GET", path,
		psprintf("Accept: application/json\r\n%s%s", prefer ? prefer : "", prefer ? "\r\n" : ""),
		NULL, 0, -1);
	initStringInfo(&body);
	spec->content_type = dv_batch_finish(batch, &body);
	spec->method = "POST";
	spec->path = "$batch";
	spec->headers = headers;
	spec->body = body.data;
	spec->body_len = body.len;
}

static bool
take_out_of_batch(DvFetch *fetch, DvError *error)
{
	DvBatchPart *parts;
	char *content_type;
	int n;

	if (!dv_batch_split(fetch->content_type, fetch->body, fetch->len, &parts, &n, error))
		return false;
	if (n != 1)
	{
		dv_error_set(error, DV_ERROR_PROTOCOL, "a batch of one request has %d answers", n);
		return false;
	}
	if (parts[0].status < 200 || parts[0].status > 299)
	{
		dv_fault_parse(parts[0].status, parts[0].body, parts[0].body_len, error);
		return false;
	}
	content_type = dv_batch_part_header(&parts[0], "Content-Type");
	fetch->status = parts[0].status;
	fetch->content_type = content_type ? content_type : "";
	fetch->body = parts[0].body;
	fetch->len = parts[0].body_len;
	return true;
}

static void
copy_error(DvError *to, const DvError *from)
{
	*to = *from;
	to->message = pstrdup(from->message);
	to->code_text = from->code_text ? pstrdup(from->code_text) : NULL;
	to->request_id = from->request_id ? pstrdup(from->request_id) : NULL;
	to->url = from->url ? pstrdup(from->url) : NULL;
	to->duplicate_attributes = NULL;
	to->row_errors = NULL;
}

bool
dv_fetch(DvService *service, const char *address, const char *prefer, DvFetch *fetch,
		 DvError *error)
{
	const char *url = absolute(service, address);
	const char *headers[2] = {prefer, NULL};
	bool batched = strlen(url) > DV_URL_MAX;
	DvCallSpec spec = {.method = "GET", .path = address, .headers = headers};
	const char *content_type;
	DvCall *call;

	if (strlen(url) > DV_URL_MAX_BATCH)
	{
		dv_error_set(error, DV_ERROR_LIMIT,
					 "the request's address has %zu bytes, more than the %d that the service takes",
					 strlen(url), DV_URL_MAX_BATCH);
		return false;
	}
	spec.repeat = DV_REPEAT_SAFE;
	if (batched)
	{
		/* Links are judged where they are followed; what is in a batch nobody else looks at. */
		if (!dv_url_same_service(service->server->root, url))
		{
			dv_error_set(error, DV_ERROR_PROTOCOL,
						 "the service's answer links to an address outside of the service");
			return false;
		}
		dv_fetch_put_in_batch(&spec, strchr(strstr(url, "://") + 3, '/'), prefer);
	}
	call = dv_call_start(service, &spec);
	dv_call_wait(call);
	if (dv_call_error(call)->kind != DV_ERROR_NONE)
	{
		copy_error(error, dv_call_error(call));
		dv_call_release(call);
		return false;
	}
	content_type = dv_call_header(call, "Content-Type");
	fetch->status = dv_call_status(call);
	fetch->content_type = content_type ? pstrdup(content_type) : "";
	fetch->body = dv_call_take_body(call, &fetch->len);
	dv_call_release(call);
	return !batched || take_out_of_batch(fetch, error);
}
