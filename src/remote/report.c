/*
 * report.c
 *	  The one door out for failures of the service.
 *
 * Decides SQLSTATE and hint by the kind of a failure and, for answers of the
 * service, by its class (sheet 7.7): two tables.  Where SQL has a state for
 * the same thing (unique_violation and the like) it is used, so that callers
 * can handle refused rows as they handle local ones; the rest is of the FDW
 * class.
 *
 * Assumes that addresses in a DvError were stripped of values already.
 * Deliberately does not translate the service's words: they are in the
 * language of the service's user, and may change at any time.
 */
#include "postgres.h"
#include "compat.h"

#include "common/string.h"
#include "mb/pg_wchar.h"

#include "odata/fault.h"
#include "remote/report.h"

/* Plug-ins put stack traces into messages; the first part says what happened. */
#define MAX_WORDS 2000

typedef struct Rule
{
	int which; /* DvErrorKind or DvFaultClass */
	int sqlstate;
	const char *hint;       /* or NULL */
	const char *write_hint; /* for writes, where it differs */
} Rule;

static const Rule kind_rules[] = {
	{DV_ERROR_CONNECT, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
	 "Check the server's option \"url\", the network and the proxy settings of the database "
	 "server's environment."},
	{DV_ERROR_TLS, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
	 "Check that the address is the right one; for a private certificate authority set the "
	 "server's option \"sslrootcert\"."},
	{DV_ERROR_BROKEN, ERRCODE_CONNECTION_FAILURE,
	 "Check the network, and try again. The server's option \"retry_timeout\" says for how long "
	 "a request is repeated.",
	 "The service may have processed the request: check before you repeat the statement."},
	{DV_ERROR_TIMEOUT, ERRCODE_CONNECTION_FAILURE,
	 "Raise the server's option \"request_timeout\", or ask for less at a time with "
	 "\"fetch_size\".",
	 "The service may have processed the request: check before you repeat the statement. Raise the "
	 "server's option \"request_timeout\", or send less at a time with \"batch_size\"."},
	{DV_ERROR_TOKEN, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "Check authority and tenant_id of the server, and client_id and client_secret of the user "
	 "mapping."},
	{DV_ERROR_PROTOCOL, ERRCODE_PROTOCOL_VIOLATION,
	 "This is not how Dataverse answers. Check that the server's option \"url\" is the root "
	 "address of an environment, and that no proxy on the way gives answers of its own.",
	 "This is not how Dataverse answers. Check that no proxy on the way gives answers of its own, "
	 "and what was written before you repeat the statement."},
	{DV_ERROR_LIMIT, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	 "Ask for less at a time with \"fetch_size\" or \"batch_size\", or for fewer columns."},
	{DV_ERROR_DATA, ERRCODE_DATA_EXCEPTION, NULL},
	{DV_ERROR_MEMORY, ERRCODE_OUT_OF_MEMORY, NULL},
};

static const Rule class_rules[] = {
	{DV_FAULT_NOT_FOUND, ERRCODE_NO_DATA_FOUND, NULL},
	{DV_FAULT_UNIQUE, ERRCODE_UNIQUE_VIOLATION,
	 "Set the table's option \"key\" to update rows that exist, or \"on_conflict\" to skip them."},
	{DV_FAULT_SERIALIZATION, ERRCODE_T_R_SERIALIZATION_FAILURE,
	 "Somebody else changed the row. Read it again and repeat the statement."},
	{DV_FAULT_FOREIGN_KEY, ERRCODE_FOREIGN_KEY_VIOLATION,
	 "Rows that point to each other go in order: what is pointed to is created first, and deleted "
	 "last."},
	{DV_FAULT_NOT_NULL, ERRCODE_NOT_NULL_VIOLATION,
	 "Give the row a value for every column that the table requires."},
	{DV_FAULT_TOO_LONG, ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
	 "Shorten the value, or lengthen the column in Dataverse."},
	{DV_FAULT_OUT_OF_RANGE, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
	 "Keep the value within the column's range, or widen the range in Dataverse."},
	{DV_FAULT_CHECK, ERRCODE_CHECK_VIOLATION,
	 "Use a value that the column has in Dataverse, or add the value there."},
	{DV_FAULT_DATETIME, ERRCODE_DATETIME_FIELD_OVERFLOW,
	 "Use a date that the column can hold in Dataverse."},
	{DV_FAULT_RAISED, ERRCODE_RAISE_EXCEPTION,
	 "Custom logic in the environment refused the request; the option \"bypass_business_logic\" "
	 "skips it where the user has the right to."},
	{DV_FAULT_UNSUPPORTED, ERRCODE_FEATURE_NOT_SUPPORTED, NULL},
	{DV_FAULT_AUTH, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "Check the user mapping (an access_token may have expired), and that the application is an "
	 "application user of the environment, enabled and with a security role."},
	{DV_FAULT_PRIVILEGE, ERRCODE_INSUFFICIENT_PRIVILEGE,
	 "Give the application user a security role with the privilege that is missing."},
	{DV_FAULT_THROTTLED, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
	 "The service limits requests over five minutes. Lower \"concurrency\", raise "
	 "\"retry_timeout\", or try again later."},
	{DV_FAULT_RETRY, ERRCODE_LOCK_NOT_AVAILABLE,
	 "The service was busy with other work on the same rows. Try again, with a smaller "
	 "\"batch_size\" or \"concurrency\"."},
	{DV_FAULT_UNAVAILABLE, ERRCODE_CONNECTION_FAILURE,
	 "The service, or a gateway before it, was down or busy for longer than the server's option "
	 "\"retry_timeout\". Try again later."},
	{DV_FAULT_AGGREGATE_LIMIT, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	 "Restrict the rows further: the service aggregates 50,000 at most."},
	{DV_FAULT_COLUMN, ERRCODE_FDW_COLUMN_NAME_NOT_FOUND,
	 "Compare the foreign table's columns and their \"column_name\" options with the table in "
	 "Dataverse, or import it again."},
	{DV_FAULT_TABLE, ERRCODE_FDW_TABLE_NOT_FOUND,
	 "Compare the foreign table's option \"entity_set_name\" with the table in Dataverse, or "
	 "import it again; the server's option \"api_version\" may be wrong, too."},
	{DV_FAULT_MISMATCH, ERRCODE_FDW_INCONSISTENT_DESCRIPTOR_INFORMATION,
	 "A name, a type or the key is not as in Dataverse. Compare the foreign table with it (columns "
	 "and their types, options \"column_name\", \"attribute_type\", \"navigation_property\", "
	 "\"key\"), or import it again."},
	{DV_FAULT_RESYNC, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	 "The saved position is too old. Read the whole table again."},
	{DV_FAULT_CALLER, ERRCODE_FDW_ERROR, NULL},
	{DV_FAULT_OTHER, ERRCODE_FDW_ERROR,
	 "The service does not say what is wrong. Its operators find more by the request id."},
};

/* What to look at, by the token authority's word for its reason (sheet 6.3). */
static const struct
{
	const char *error;
	const char *hint;
} token_hints[] = {
	{"invalid_client", "Check client_secret of the user mapping: it must be the secret's value, "
					   "not its id, and it may have expired."},
	{"unauthorized_client", "Check client_id of the user mapping and tenant_id of the server: the "
							"application must be registered in that tenant."},
	{"invalid_request", "Check tenant_id and authority of the server."},
	{"invalid_resource",
	 "Check url and scope of the server: the tenant must know the environment."},
	{"invalid_scope", "Check url and scope of the server: the tenant must know the environment."},
};

static const Rule *
find_rule(const Rule *rules, int n, int which)
{
	for (int i = 0; i < n; i++)
		if (rules[i].which == which)
			return &rules[i];
	return NULL;
}

static const Rule *
rule_for(const DvError *error)
{
	/* Dataverse does not redirect: somebody else answers (and we do not follow). */
	if (error->kind == DV_ERROR_HTTP && error->status >= 300 && error->status < 400)
		return find_rule(kind_rules, lengthof(kind_rules), DV_ERROR_PROTOCOL);
	if (error->kind == DV_ERROR_HTTP)
		return find_rule(class_rules, lengthof(class_rules), dv_fault_class(error));
	return find_rule(kind_rules, lengthof(kind_rules), error->kind);
}

int
dv_report_sqlstate(const DvError *error)
{
	const Rule *rule = rule_for(error);

	return rule != NULL ? rule->sqlstate : ERRCODE_FDW_ERROR;
}

static const char *
hint_for(const DvError *error, const Rule *rule, bool write)
{
	if (error->kind == DV_ERROR_TOKEN && error->code_text != NULL)
		for (int i = 0; i < lengthof(token_hints); i++)
			if (strcmp(error->code_text, token_hints[i].error) == 0)
				return token_hints[i].hint;
	if (rule == NULL)
		return NULL;
	return write && rule->write_hint != NULL ? rule->write_hint : rule->hint;
}

/* Words may be cut off, so the beginning of a long secret counts; nothing shorter is one. */
#define SECRET_LEAST 8
#define SECRET_MOST 16

void
dv_report_hide(DvError *error, const char *secret)
{
	size_t len = strlen(secret);
	char *start = pnstrdup(secret, Min(len, SECRET_MOST));

	if (len >= SECRET_LEAST && error->message != NULL && strstr(error->message, start) != NULL)
		error->message = pstrdup("the answer repeats what was sent, and is not shown");
	if (len >= SECRET_LEAST && error->code_text != NULL && strstr(error->code_text, start) != NULL)
		error->code_text = NULL;
	explicit_bzero(start, strlen(start));
	pfree(start);
}

/*
 * The service's words, fit for a message in the database's encoding.  Nothing
 * here may fail: a message lost to its own encoding would be worse than one
 * with question marks.
 */
static char *
clean_words(const char *words)
{
	int len = (int) strnlen(words, MAX_WORDS);
	bool keep_high;
	char *clean;

	len = pg_encoding_mbcliplen(PG_UTF8, words, len, MAX_WORDS);
	keep_high = GetDatabaseEncoding() == PG_UTF8 && pg_verify_mbstr(PG_UTF8, words, len, true);
	while (len > 0 && strchr(" \t\r\n", words[len - 1]) != NULL)
		len--;
	clean = pnstrdup(words, len);
	for (unsigned char *p = (unsigned char *) clean; *p != '\0'; p++)
	{
		if (*p >= 0x80 && !keep_high)
			*p = '?';
		else if (*p < 0x20 && *p != '\n')
			*p = ' ';
	}
	return clean;
}

static void
add_part(StringInfo out, const char *start, const char *text)
{
	if (text != NULL && text[0] != '\0')
		appendStringInfo(out, "%s%s%s", out->len > 0 ? ", " : "", start, clean_words(text));
}

/* "Service code 0x80040217, HTTP status 404, request id …." and what the caller knows. */
static char *
detail_of(const DvError *error, const DvReportContext *context)
{
	StringInfoData out;

	initStringInfo(&out);
	add_part(&out, "service code ", error->code_text);
	if (error->status > 0)
		add_part(&out, "HTTP status ", psprintf("%d", error->status));
	add_part(&out, "request id ", error->request_id);
	if (out.len > 0)
	{
		out.data[0] = pg_toupper((unsigned char) out.data[0]);
		appendStringInfoChar(&out, '.');
	}
	if (context->row != NULL)
		appendStringInfo(&out, "%sRow: %s%s", out.len > 0 ? " " : "", context->row,
						 pg_str_endswith(context->row, "...") ? "" : ".");
	if (context->written != NULL)
		appendStringInfo(&out, "%s%s.", out.len > 0 ? " " : "", context->written);
	return out.len > 0 ? out.data : NULL;
}

char *
dv_report_words(const DvError *error)
{
	return error->message != NULL ? clean_words(error->message) : pstrdup("unknown failure");
}

static void
report(int elevel, const DvError *error, const DvReportContext *context)
{
	static const DvReportContext nothing = {0};
	const Rule *rule = rule_for(error);
	const char *words = dv_report_words(error);
	const char *hint;
	const char *detail;

	if (context == NULL)
		context = &nothing;
	hint = context->hint != NULL ? context->hint : hint_for(error, rule, context->written != NULL);
	detail = detail_of(error, context);

	ereport(elevel,
			(errcode(context->sqlstate != 0 ? context->sqlstate : dv_report_sqlstate(error)),
			 context->what != NULL ? errmsg("%s: %s", context->what, words) : errmsg("%s", words),
			 detail != NULL ? errdetail("%s", detail) : 0, hint != NULL ? errhint("%s", hint) : 0,
			 error->url != NULL ? errcontext("request to %s", error->url) : 0));
}

void
dv_report(const DvError *error, const DvReportContext *context)
{
	report(ERROR, error, context);
	pg_unreachable();
}

void
dv_report_warning(const DvError *error, const DvReportContext *context)
{
	report(WARNING, error, context);
}
