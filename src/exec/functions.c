/*
 * functions.c
 *	  The SQL functions: who am I there, what is open, forget it, which options.
 *
 * Decides who may call what: a function that asks the service wants USAGE on
 * the server, as everything does that works through it.  What a function shows
 * of this backend's own connections is for everybody; secrets are in none.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "exec/functions.h"
#include "odata/page.h"
#include "remote/credentials.h"
#include "remote/metadata.h"
#include "remote/report.h"
#include "remote/service.h"
#include "remote/transport.h"

bool
dv_functions_is_ours(Oid fdwid)
{
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(fdwid);

	return OidIsValid(wrapper->fdwvalidator) &&
		   strcmp(get_func_name(wrapper->fdwvalidator), "dataverse_fdw_validator") == 0;
}

ForeignServer *
dv_functions_server(text *name)
{
	ForeignServer *server = GetForeignServerByName(text_to_cstring(name), false);
	AclResult allowed = dv_server_aclcheck(server->serverid, GetUserId());

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_FOREIGN_SERVER, server->servername);
	if (!dv_functions_is_ours(server->fdwid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a server of dataverse_fdw", server->servername)));
	return server;
}

/* ---- dataverse_whoami ---- */

static const char *const whoami_members[] = {"UserId", "BusinessUnitId", "OrganizationId"};

/* The answer is one row like any other (sheet 6.7). */
static void
read_whoami(const char *body, size_t len, DvField *fields)
{
	DvPage *page = dv_page_open(body, len, PG_UTF8, true, whoami_members, lengthof(whoami_members));
	DvError error = {0};

	if (dv_page_row(page, fields, &error) && fields[0].kind == DV_FIELD_STRING)
		return;
	if (error.kind == DV_ERROR_NONE)
		dv_error_set(&error, DV_ERROR_PROTOCOL, "the answer to WhoAmI holds no UserId");
	dv_report(&error, NULL);
}

static Datum
uuid_field(const DvField *field, bool *isnull)
{
	*isnull = field->kind != DV_FIELD_STRING;
	if (*isnull)
		return (Datum) 0;
	return DirectFunctionCall1(uuid_in, CStringGetDatum(pnstrdup(field->text, field->len)));
}

/* dataverse_whoami(server text) returns (user_id, business_unit_id, organization_id) */
DV_FUNCTION(dataverse_whoami)
{
	ForeignServer *server = dv_functions_server(PG_GETARG_TEXT_PP(0));
	DvCallSpec spec = {.method = "GET", .path = "WhoAmI", .repeat = DV_REPEAT_SAFE};
	DvCall *call = dv_call_now(dv_service_open(server->serverid, GetUserId()), &spec);
	DvField fields[lengthof(whoami_members)] = {0};
	Datum values[lengthof(whoami_members)];
	bool nulls[lengthof(whoami_members)];
	TupleDesc desc;
	size_t len;
	const char *body = dv_call_body(call, &len);

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	read_whoami(body, len, fields);
	for (int i = 0; i < lengthof(whoami_members); i++)
		values[i] = uuid_field(&fields[i], &nulls[i]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---- dataverse_connections ---- */

static Datum
text_or_null(const char *value, bool *isnull)
{
	*isnull = value == NULL;
	return value != NULL ? CStringGetTextDatum(value) : (Datum) 0;
}

static void
put_connection(ReturnSetInfo *result, const DvService *service)
{
	Oid userid = service->user->userid;
	const char *user = OidIsValid(userid) ? GetUserNameFromId(userid, true) : "public";
	Datum values[10];
	bool nulls[10] = {false};
	int n = 0;

	values[n++] = CStringGetTextDatum(service->server->name);
	values[n] = text_or_null(user, &nulls[n]);
	n++;
	values[n++] = BoolGetDatum(service->valid);
	values[n++] = Int64GetDatum((int64) service->requests);
	values[n++] = Int64GetDatum((int64) service->retries);
	values[n++] = Int64GetDatum((int64) service->bytes_out);
	values[n++] = Int64GetDatum((int64) service->bytes_in);
	values[n++] = Int64GetDatum((int64) service->throttled_ms);
	nulls[n] = service->dop_hint == 0;
	values[n++] = Int32GetDatum(service->dop_hint);
	nulls[n] = service->last_used == 0;
	values[n++] = TimestampTzGetDatum(service->last_used);
	Assert(n == lengthof(values));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* What this backend has opened: one row per server and user mapping. */
DV_FUNCTION(dataverse_connections)
{
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach (cell, dv_service_list())
		put_connection((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	PG_RETURN_VOID();
}

/* ---- dataverse_disconnect ---- */

/* Forgets tokens, metadata and totals, and closes connections nobody uses; true if there was one. */
DV_FUNCTION(dataverse_disconnect)
{
	ForeignServer *server = dv_functions_server(PG_GETARG_TEXT_PP(0));
	bool known = dv_service_forget(server->serverid);

	dv_credentials_forget_all(server->serverid);
	dv_metadata_reset(server->serverid);
	dv_http_close_idle();
	PG_RETURN_BOOL(known);
}

/* ---- dataverse_options ---- */

/* The option table, for the README and for those who read no README. */
DV_FUNCTION(dataverse_options)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DvOptionInfo info;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; dv_options_describe(i, &info); i++)
	{
		Datum values[4];
		bool nulls[4] = {false};

		values[0] = CStringGetTextDatum(info.name);
		values[1] = CStringGetTextDatum(info.context);
		values[2] = text_or_null(info.fallback, &nulls[2]);
		values[3] = CStringGetTextDatum(info.description);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_VOID();
}
