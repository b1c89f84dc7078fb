/*
 * fault.c
 *	  An error response understood, and what to do about it.
 *
 * Source: protocol sheet 7.4 to 7.8; token errors 6.3; query errors 2.10.
 * The codes are one table: what kind each is, and whether asking again can
 * help.  Texts are never looked at: they change with release and language.
 *
 * A fault is the moment when nothing goes as documented, so parsing cannot
 * fail: front ends answer in HTML, proxies in plain text, some failures come
 * without "error", codes come empty, in hex of either case, or as decimals.
 *
 * It does not decide how long to go on: patience is the caller's.
 */
#include "odata/fault.h"

#include "compat.h"

#include <jansson.h>

#include "mb/pg_wchar.h"

/* Longest message taken over, in bytes; of an answer that is not JSON, only a first impression. */
#define MESSAGE_MAX 4000
#define EXCERPT_MAX 200

/* Longest wait between two tries that we choose, and that we accept (sheet 7.1). */
#define BACKOFF_MAX_MS 30000
#define RETRY_AFTER_MAX_MS (5 * 60 * 1000)
#define RETRY_AFTER_DAY_MS (24L * 60 * 60 * 1000)

/* Tries after the first for failures that say nothing about when they will pass. */
#define NETWORK_RETRIES 4
#define CONNECT_RETRIES 2

/* An address that does not exist, or, with 400, a query that is not understood (sheet 2.10). */
#define CODE_GENERIC 0x8006088A

/* How a code answers the question "again?". */
typedef enum Again
{
	AGAIN_BY_STATUS, /* the code does not say: the status decides */
	AGAIN_NEVER,     /* whatever the status */
	AGAIN_LATER,     /* refused or rolled back, passing: also for blind creates */
	AGAIN_ONCE,
	AGAIN_SMALLER,     /* too much for one statement */
	AGAIN_THEN_SMALLER /* may be a deadlock, may be too much */
} Again;

typedef struct Code
{
	uint32 code;
	DvFaultClass class;
	Again again;
} Code;

static const Code codes[] = {
	/* rows and keys */
	{0x80040217, DV_FAULT_NOT_FOUND, AGAIN_NEVER},     /* ObjectDoesNotExist */
	{0x80060891, DV_FAULT_NOT_FOUND, AGAIN_NEVER},     /* RecordNotFoundByEntityKey */
	{0x80048D02, DV_FAULT_NOT_FOUND, AGAIN_NEVER},     /* IsvAbortedNotFound */
	{0x8006089D, DV_FAULT_CALLER, AGAIN_NEVER},        /* MultipleRecordsFoundByEntityKey */
	{0x80060890, DV_FAULT_MISMATCH, AGAIN_NEVER},      /* EntityKeyNotDefined */
	{0x80041140, DV_FAULT_MISMATCH, AGAIN_NEVER},      /* entity key not found */
	{0x80060892, DV_FAULT_UNIQUE, AGAIN_NEVER},        /* DuplicateRecordEntityKey */
	{0x80073002, DV_FAULT_UNIQUE, AGAIN_NEVER},        /* unique index violated */
	{0x80040237, DV_FAULT_UNIQUE, AGAIN_NEVER},        /* DuplicateRecord */
	{0x8004022A, DV_FAULT_UNIQUE, AGAIN_NEVER},        /* object with that name exists */
	{0x80048208, DV_FAULT_UNIQUE, AGAIN_NEVER},        /* ConnectionExists */
	{0x80040333, DV_FAULT_UNIQUE, AGAIN_NEVER},        /* DuplicateRecordsFound */
	{0x80040227, DV_FAULT_FOREIGN_KEY, AGAIN_NEVER},   /* CannotDeleteDueToAssociation */
	{0x80040353, DV_FAULT_FOREIGN_KEY, AGAIN_NEVER},   /* LookupNotFound */
	{0x80060882, DV_FAULT_SERIALIZATION, AGAIN_NEVER}, /* ConcurrencyVersionMismatch */
	{0x80060883, DV_FAULT_CALLER, AGAIN_NEVER},        /* ConcurrencyVersionNotProvided */
	{0x8006088D, DV_FAULT_CALLER, AGAIN_NEVER},        /* OptimisticConcurrencyNotEnabled */

	/* values */
	{0x80040200, DV_FAULT_NOT_NULL, AGAIN_NEVER},     /* RequiredFieldMissing */
	{0x80040215, DV_FAULT_NOT_NULL, AGAIN_NEVER},     /* MissingOwner */
	{0x80044331, DV_FAULT_TOO_LONG, AGAIN_NEVER},     /* StringLengthTooLong */
	{0x80090429, DV_FAULT_TOO_LONG, AGAIN_NEVER},     /* the same, newer */
	{0x8004432F, DV_FAULT_OUT_OF_RANGE, AGAIN_NEVER}, /* integer */
	{0x80044330, DV_FAULT_OUT_OF_RANGE, AGAIN_NEVER}, /* decimal */
	{0x80041136, DV_FAULT_OUT_OF_RANGE, AGAIN_NEVER}, /* SQL arithmetic overflow */
	{0x8004431A, DV_FAULT_CHECK, AGAIN_NEVER},        /* choice value */
	{0x80061005, DV_FAULT_CHECK, AGAIN_NEVER},        /* option set validation */
	{0x80061004, DV_FAULT_CHECK, AGAIN_NEVER},        /* min-max validation */
	{0x8004431C, DV_FAULT_CHECK, AGAIN_NEVER},        /* boolean option */
	{0x80050222, DV_FAULT_CHECK, AGAIN_NEVER},        /* too many MultiSelect values */
	{0x80048408, DV_FAULT_CHECK, AGAIN_NEVER},        /* InvalidStateCodeStatusCode */
	{0x80040239, DV_FAULT_DATETIME, AGAIN_NEVER},     /* date out of range */

	/* names and forms */
	{0x80040203, DV_FAULT_CALLER, AGAIN_NEVER},      /* InvalidArgument */
	{0x80048D19, DV_FAULT_MISMATCH, AGAIN_NEVER},    /* payload not readable */
	{0x80060888, DV_FAULT_MISMATCH, AGAIN_NEVER},    /* query or payload not understood */
	{0x80041103, DV_FAULT_COLUMN, AGAIN_NEVER},      /* unknown column */
	{0x80041102, DV_FAULT_TABLE, AGAIN_NEVER},       /* unknown table */
	{CODE_GENERIC, DV_FAULT_TABLE, AGAIN_NEVER},     /* 404: no such segment; 400: query syntax */
	{0x80041106, DV_FAULT_CALLER, AGAIN_NEVER},      /* bad condition */
	{0x80041120, DV_FAULT_CALLER, AGAIN_NEVER},      /* operator not supported */
	{0x80041128, DV_FAULT_CALLER, AGAIN_NEVER},      /* FetchXML entity is not the set's */
	{0x80040303, DV_FAULT_CALLER, AGAIN_NEVER},      /* malformed FetchXML */
	{0x80090487, DV_FAULT_CALLER, AGAIN_NEVER},      /* non-primary image on create */
	{0x80090017, DV_FAULT_CALLER, AGAIN_NEVER},      /* chunked transfer */
	{0x80044A02, DV_FAULT_CALLER, AGAIN_NEVER},      /* attachment */
	{0x80072491, DV_FAULT_CALLER, AGAIN_NEVER},      /* change tracking not enabled */
	{0x8004112A, DV_FAULT_CALLER, AGAIN_NEVER},      /* paging cookie page */
	{0x80041129, DV_FAULT_CALLER, AGAIN_NEVER},      /* order differs from cookie */
	{0x8004112F, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* aggregate of that column type */
	{0x80048D0B, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* link entities (elastic) */
	{0x80044822, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* InvalidQueryForVirtualEntity */
	{0x80040315, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* NotSupported */
	{0x8004023B, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* InvalidOperation */
	{0x8004430A, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* 50,000 rows without cookies */
	{0x8004430C, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* too many conditions */
	{0x8004430D, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* too many link entities */
	{0x8004430E, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* too many values in a condition */
	{0x80060429, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* too many calculated columns */
	{0x80050223, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* too many MultiSelect conditions */
	{0x8004E023, DV_FAULT_AGGREGATE_LIMIT, AGAIN_NEVER},
	{0x8004E024, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* quick find limit */
	{0x80044352, DV_FAULT_RESYNC, AGAIN_NEVER},      /* ExpiredVersionStamp */

	/* plug-ins */
	{0x80040265, DV_FAULT_RAISED, AGAIN_NEVER}, /* IsvAborted */
	{0x80040224, DV_FAULT_RAISED, AGAIN_NEVER}, /* IsvUnExpected */

	/* who is asking: 401 */
	{0x8004A100, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* InvalidAuthTicket */
	{0x8004A101, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* ExpiredAuthTicket */
	{0x8004A102, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* BadAuthTicket */
	{0x8004A103, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* InsufficientAuthTicket */
	{0x8004A105, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* TamperedAuthTicket */
	{0x80040204, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* InvalidUserAuth */
	{0x80044300, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* MissingCrmAuthenticationToken */
	{0x80044302, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* RequestIsNotAuthenticated */
	{0x80040277, DV_FAULT_AUTH, AGAIN_BY_STATUS}, /* UnauthorizedAccess */
	{0x80072560, DV_FAULT_AUTH, AGAIN_NEVER},     /* not a member of the organization */
	{0x80042F09, DV_FAULT_AUTH, AGAIN_NEVER},     /* no roles */
	{0x80040225, DV_FAULT_AUTH, AGAIN_NEVER},     /* user disabled */
	{0x8004A104, DV_FAULT_AUTH, AGAIN_NEVER},     /* organization disabled */

	/* and what they may do: 403 */
	{0x80048405, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* AccessDenied */
	{0x8004F502, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* AttributePrivilegeCreateIsMissing */
	{0x8004F504, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* AttributePermissionReadIsMissing */
	{0x8004F507, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* AttributePermissionUpdateIsMissing... */
	{0x8004A110, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* CannotActOnBehalfOfAnotherUser */
	{0x80040256, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* CrmSecurityError */
	{0x8004020D, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* InvalidAccessRights */
	{0x80040231, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* PrincipalPrivilegeDenied */
	{0x80040220, DV_FAULT_PRIVILEGE, AGAIN_NEVER}, /* PrivilegeDenied */

	/* service protection */
	{0x80072321, DV_FAULT_THROTTLED, AGAIN_LATER},   /* execution time */
	{0x80072322, DV_FAULT_THROTTLED, AGAIN_LATER},   /* requests */
	{0x80072326, DV_FAULT_THROTTLED, AGAIN_LATER},   /* concurrent requests */
	{0x80072323, DV_FAULT_UNAVAILABLE, AGAIN_LATER}, /* database resource limit */
	{0x80072324, DV_FAULT_UNAVAILABLE, AGAIN_LATER}, /* database worker limit */

	/* another query is wanted, not another try (sheet 2.14) */
	{0x80048544, DV_FAULT_UNSUPPORTED, AGAIN_NEVER},
	{0x80048644, DV_FAULT_UNSUPPORTED, AGAIN_NEVER},
	{0x80048744, DV_FAULT_UNSUPPORTED, AGAIN_NEVER},
	{0x80048745, DV_FAULT_UNSUPPORTED, AGAIN_NEVER},
	{0x80048573, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* leading wildcard */
	{0x80048574, DV_FAULT_UNSUPPORTED, AGAIN_NEVER}, /* computed column */

	/* passing */
	{0x80040255, DV_FAULT_RETRY, AGAIN_ONCE},         /* TransactionAborted */
	{0x80044150, DV_FAULT_RETRY, AGAIN_THEN_SMALLER}, /* SQL error: deadlock, table in change */
	{0x80044151, DV_FAULT_RETRY, AGAIN_SMALLER},      /* SQL timeout */
	{0x80044339, DV_FAULT_RETRY, AGAIN_LATER},        /* could not obtain lock */
	{0x8004A001, DV_FAULT_UNAVAILABLE, AGAIN_LATER},  /* server busy */
	{0x80048105, DV_FAULT_RETRY, AGAIN_LATER},        /* concurrent cascade operation */
	{0x80048551, DV_FAULT_UNAVAILABLE, AGAIN_LATER},  /* database initialising */
	{0x80071151, DV_FAULT_RETRY, AGAIN_LATER},        /* another customization is running */

	{0x80040216, DV_FAULT_OTHER, AGAIN_BY_STATUS}, /* UnExpected */
};

/* Statuses without a code that says more; also codes of elastic and virtual tables (sheet 7.7). */
static const struct
{
	int status;
	DvFaultClass class;
} statuses[] = {
	{400, DV_FAULT_CALLER},      {401, DV_FAULT_AUTH},        {403, DV_FAULT_PRIVILEGE},
	{404, DV_FAULT_NOT_FOUND},   {405, DV_FAULT_UNSUPPORTED}, {408, DV_FAULT_RETRY},
	{409, DV_FAULT_UNIQUE},      {410, DV_FAULT_RESYNC},      {412, DV_FAULT_SERIALIZATION},
	{429, DV_FAULT_THROTTLED},   {501, DV_FAULT_UNSUPPORTED}, {502, DV_FAULT_UNAVAILABLE},
	{503, DV_FAULT_UNAVAILABLE}, {504, DV_FAULT_UNAVAILABLE},
};

/* Token errors that pass (sheet 6.3): by "error", else by number. */
static const char *const passing_token_errors[] = {"temporarily_unavailable", "server_error"};
static const uint32 passing_token_codes[] = {90055, 90006, 90024, 90033, 90012};

/*
 * Texts.
 */

/* One line of valid UTF-8: blanks of all kinds run together, what is no character replaced. */
static char *
tidy(const char *text, size_t len, size_t max)
{
	StringInfoData out;
	bool blank = false;
	size_t i = 0;

	initStringInfo(&out);
	while (i < len && (size_t) out.len < max)
	{
		unsigned char c = (unsigned char) text[i];
		int width = pg_utf_mblen((const unsigned char *) text + i);

		if (c <= ' ' || c == 0x7f)
		{
			blank = true;
			i++;
			continue;
		}
		if (blank && out.len > 0)
			appendStringInfoChar(&out, ' ');
		blank = false;
		if ((size_t) width <= len - i && pg_utf8_islegal((const unsigned char *) text + i, width))
		{
			appendBinaryStringInfo(&out, text + i, width);
			i += width;
		}
		else
		{
			appendStringInfoChar(&out, '?');
			i++;
		}
	}
	return out.data;
}

static const char *
status_words(int status)
{
	static const struct
	{
		int status;
		const char *words;
	} words[] = {
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};
	size_t i;

	for (i = 0; i < lengthof(words); i++)
	{
		if (words[i].status == status)
			return words[i].words;
	}
	return "no description";
}

/* Body text without what stands between < and >. */
static char *
strip_tags(const char *body, size_t len)
{
	StringInfoData out;
	bool tag = false;
	size_t i;

	initStringInfo(&out);
	for (i = 0; i < len; i++)
	{
		if (body[i] == '<')
			tag = true;
		if (!tag)
			appendStringInfoChar(&out, body[i]);
		else if (body[i] == '>')
		{
			tag = false;
			appendStringInfoChar(&out, ' ');
		}
	}
	return out.data;
}

/* A message for a body that is not what the service sends. */
static char *
foreign_message(int status, const char *body, size_t len)
{
	char *text;
	char *words;

	/* What a person would see of it stands near its beginning. */
	text = strip_tags(body, Min(len, 16 * 1024));
	words = tidy(text, strlen(text), EXCERPT_MAX);
	pfree(text);
	if (words[0] == '\0')
		return psprintf("the answer has no body (HTTP %d %s)", status, status_words(status));
	return psprintf("the answer is not JSON (HTTP %d %s) and begins: %s", status,
					status_words(status), words);
}

/*
 * Codes.
 */

/* Hexadecimal with 0x, or decimal, the latter also as a signed 32-bit number; 0 if neither. */
static uint32
parse_code(const char *text)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;
	long long value;

	if (!hex && text[0] != '-' && (text[0] < '0' || text[0] > '9'))
		return 0;
	errno = 0;
	value = strtoll(hex ? text + 2 : text, &end, hex ? 16 : 10);
	if (errno != 0 || *end != '\0' || value < PG_INT32_MIN || value > (long long) PG_UINT32_MAX)
		return 0;
	return (uint32) value;
}

static const Code *
find_code(uint32 code)
{
	size_t i;

	for (i = 0; i < lengthof(codes); i++)
	{
		if (codes[i].code == code)
			return &codes[i];
	}
	return NULL;
}

/*
 * Parsing.
 */

static void
free_json(void *json)
{
	json_decref(json);
}

/* A member's text, palloc'd: a string as it is, anything else as JSON; NULL for null and absent. */
static char *
text_of(const json_t *value)
{
	size_t len;
	char *text;

	if (value == NULL || json_is_null(value))
		return NULL;
	if (json_is_string(value))
		return pnstrdup(json_string_value(value), json_string_length(value));
	len = json_dumpb(value, NULL, 0, JSON_ENCODE_ANY | JSON_COMPACT);
	text = palloc(len + 1);
	len = json_dumpb(value, text, len, JSON_ENCODE_ANY | JSON_COMPACT);
	text[len] = '\0';
	return text;
}

/* The member whose name ends so: annotations are known by their last words. */
static const json_t *
find_ending(json_t *object, const char *ending)
{
	const char *key;
	json_t *value;
	size_t n = strlen(ending);

	json_object_foreach(object, key, value)
	{
		size_t len = strlen(key);

		if (len >= n && strcmp(key + len - n, ending) == 0)
			return value;
	}
	return NULL;
}

static void
take_message(DvError *error, const json_t *value)
{
	char *text;

	/* Some services wrap it with its language. */
	if (json_is_object(value))
		value = json_object_get(value, "value");
	text = text_of(value);
	if (text == NULL)
		return;
	error->message = tidy(text, strlen(text), MESSAGE_MAX);
	if (error->message[0] == '\0')
		error->message = NULL;
	pfree(text);
}

static void
take_code(DvError *error, const json_t *value)
{
	char *text = text_of(value);

	if (text == NULL || text[0] == '\0')
		return;
	error->code = parse_code(text);
	error->code_text = text;
}

/* {"error":{"code":..,"message":..,annotations}} */
static void
take_service_error(DvError *error, json_t *object)
{
	take_code(error, json_object_get(object, "code"));
	take_message(error, json_object_get(object, "message"));
	error->duplicate_attributes = text_of(find_ending(object, "ErrorDetails.DuplicateAttributes"));
	error->row_errors = text_of(find_ending(object, "BulkApiErrorDetails"));
}

/* {"error":"invalid_client","error_description":"AADSTS7000215: ...\r\nTrace ID: ..","error_codes":[7000215]} */
static void
take_token_error(DvError *error, json_t *root)
{
	const json_t *description = json_object_get(root, "error_description");
	const json_t *number = json_array_get(json_object_get(root, "error_codes"), 0);

	error->code_text = text_of(json_object_get(root, "error"));
	if (json_is_integer(number))
		error->code = (uint32) json_integer_value(number);
	if (json_is_string(description))
	{
		/* The first line; those below are for a support case. */
		const char *text = json_string_value(description);

		error->message = tidy(text, strcspn(text, "\r\n"), MESSAGE_MAX);
	}
}

/* {"Message":..,"ExceptionMessage":..,"ErrorCode":..}, in either case */
static void
take_plain_error(DvError *error, json_t *root)
{
	take_code(error, json_object_get(root, "ErrorCode"));
	take_message(error, json_object_get(root, "Message"));
	if (error->message == NULL)
		take_message(error, json_object_get(root, "message"));
	if (error->message == NULL)
		take_message(error, json_object_get(root, "ExceptionMessage"));
}

static void
take_document(DvError *error, json_t *root)
{
	json_t *inner = json_object_get(root, "error");

	if (json_is_object(inner))
		take_service_error(error, inner);
	else if (json_is_string(inner))
		take_token_error(error, root);
	else
		take_plain_error(error, root);
}

void
dv_fault_parse(int status, const char *body, size_t len, DvError *error)
{
	json_t *root = NULL;

	dv_error_clear(error);
	error->kind = DV_ERROR_HTTP;
	error->status = status;
	if (len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0)
	{
		body += 3;
		len -= 3;
	}

	/* A whole number that jansson cannot hold must not hide the message beside it. */
	if (len > 0)
		root = json_loadb(body, len, 0, NULL);
	if (len > 0 && root == NULL)
		root = json_loadb(body, len, JSON_DECODE_INT_AS_REAL, NULL);
	if (root != NULL)
	{
		DvOwned *owner = dv_own(root, free_json);

		take_document(error, root);
		dv_owned_free(owner);
		if (error->message == NULL || error->message[0] == '\0')
			error->message =
				psprintf("the answer gives no reason (HTTP %d %s)", status, status_words(status));
	}
	else
		error->message = foreign_message(status, body, len);
}

/*
 * Retry-After.
 */

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64
days_from_civil(int year, int month, int day)
{
	int64 y = year - (month <= 2 ? 1 : 0);
	int64 era = y / 400;
	int64 year_of_era = y - era * 400;
	int64 day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
		   719468;
}

/* Takes a number of one to max digits. */
static bool
take_number(const char **p, int max, int *value)
{
	int n = 0;

	*value = 0;
	while (n < max && **p >= '0' && **p <= '9')
	{
		*value = *value * 10 + (**p - '0');
		(*p)++;
		n++;
	}
	return n > 0;
}

static bool
take_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool
take_month(const char **p, int *month)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (*month = 1; *month <= 12; (*month)++)
	{
		if (pg_strncasecmp(*p, names + (*month - 1) * 3, 3) == 0)
		{
			*p += 3;
			return true;
		}
	}
	return false;
}

static bool
take_time(const char **p, int64 *seconds)
{
	int hour;
	int minute;
	int second;

	if (!take_number(p, 2, &hour) || !take_char(p, ':') || !take_number(p, 2, &minute) ||
		!take_char(p, ':') || !take_number(p, 2, &second) || hour > 23 || minute > 59 ||
		second > 60)
		return false;
	*seconds = hour * 3600 + minute * 60 + second;
	return true;
}

/*
 * The three forms of RFC 9110: "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday,
 * 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994".
 */
static bool
parse_http_date(const char *p, int64 *epoch)
{
	int day;
	int month;
	int year;
	int64 seconds;
	const char *comma = strchr(p, ',');

	if (comma != NULL)
	{
		char separator;

		p = comma + 1;
		p += strspn(p, " ");
		if (!take_number(&p, 2, &day) || (*p != ' ' && *p != '-'))
			return false;
		separator = *p;
		if (!take_char(&p, separator) || !take_month(&p, &month) || !take_char(&p, separator) ||
			!take_number(&p, 4, &year) || !take_char(&p, ' ') || !take_time(&p, &seconds) ||
			strcmp(p, " GMT") != 0)
			return false;
		if (separator == '-' && year < 100)
			year += year < 70 ? 2000 : 1900;
	}
	else
	{
		p += strcspn(p, " ");
		p += strspn(p, " ");
		if (!take_month(&p, &month))
			return false;
		p += strspn(p, " ");
		if (!take_number(&p, 2, &day) || !take_char(&p, ' ') || !take_time(&p, &seconds) ||
			!take_char(&p, ' ') || !take_number(&p, 4, &year) || *p != '\0')
			return false;
	}
	if (day < 1 || day > 31 || year < 1601)
		return false;
	*epoch = days_from_civil(year, month, day) * 86400 + seconds;
	return true;
}

/* Digits, and perhaps a fraction that some proxies add; saturates. */
static bool
parse_seconds(const char *p, int64 *ms)
{
	int64 scale = 100;

	if (*p < '0' || *p > '9')
		return false;
	for (*ms = 0; *p >= '0' && *p <= '9'; p++)
		*ms = Min(*ms * 10 + (*p - '0') * 1000, (int64) RETRY_AFTER_DAY_MS);
	if (*p == '.')
	{
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			*ms += (*p - '0') * scale;
	}
	return *p == '\0';
}

long
dv_fault_retry_after(const char *value, int64 now_epoch)
{
	char text[64];
	size_t n;
	int64 ms;
	int64 epoch;

	value += strspn(value, " \t");
	n = strlen(value);
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	if (n == 0 || n >= sizeof(text))
		return -1;
	memcpy(text, value, n);
	text[n] = '\0';
	if (parse_seconds(text, &ms))
		return (long) Min(ms, (int64) RETRY_AFTER_DAY_MS);
	if (!parse_http_date(text, &epoch))
		return -1;
	if (epoch <= now_epoch)
		return 0;
	return (long) (Min(epoch - now_epoch, (int64) RETRY_AFTER_DAY_MS / 1000) * 1000);
}

/*
 * Deciding.
 */

static DvVerdict
retry(const DvError *error, int attempt, double jitter, long *wait_ms)
{
	if (error->retry_after_ms >= 0)
		*wait_ms = Min(error->retry_after_ms, (long) RETRY_AFTER_MAX_MS);
	else
	{
		long most = attempt >= 5 ? BACKOFF_MAX_MS : Min(1000L << attempt, (long) BACKOFF_MAX_MS);

		*wait_ms = most / 2 + (long) ((double) (most / 2) * Min(Max(jitter, 0.0), 1.0));
	}
	return DV_VERDICT_RETRY;
}

static DvVerdict
retry_up_to(int retries, const DvError *error, int attempt, double jitter, long *wait_ms)
{
	return attempt < retries ? retry(error, attempt, jitter, wait_ms) : DV_VERDICT_FAIL;
}

/* Is it a wait of the authority's own making? */
static bool
token_error_passes(const DvError *error)
{
	size_t i;

	if (error->status == 429 || error->status >= 502)
		return true;
	for (i = 0; i < lengthof(passing_token_errors); i++)
	{
		if (error->code_text != NULL && strcmp(error->code_text, passing_token_errors[i]) == 0)
			return true;
	}
	for (i = 0; i < lengthof(passing_token_codes); i++)
	{
		if (error->code == passing_token_codes[i])
			return true;
	}
	return false;
}

static DvVerdict
decide_by_status(const DvError *error, DvRepeat repeat, int attempt, double jitter, long *wait_ms)
{
	/* Codes of elastic tables are statuses (sheet 7.7). */
	int status = error->code >= 400 && error->code <= 599 ? (int) error->code : error->status;

	switch (status)
	{
		case 401:
			return DV_VERDICT_RENEW;
		case 413:
			return DV_VERDICT_SPLIT;
		case 429:
			return retry(error, attempt, jitter, wait_ms);
		case 503:
			/* With Retry-After it was turned away at the door. */
			if (repeat == DV_REPEAT_SAFE || error->retry_after_ms >= 0)
				return retry(error, attempt, jitter, wait_ms);
			return DV_VERDICT_FAIL;
		case 502:
		case 504:
			if (repeat == DV_REPEAT_SAFE)
				return retry(error, attempt, jitter, wait_ms);
			return DV_VERDICT_FAIL;
		case 408:
			return repeat == DV_REPEAT_SAFE ? DV_VERDICT_SPLIT : DV_VERDICT_FAIL;
		case 500:
			/* A front end's, that is: the service gives a code. */
			if (repeat == DV_REPEAT_SAFE && error->code == 0)
				return retry_up_to(CONNECT_RETRIES, error, attempt, jitter, wait_ms);
			return DV_VERDICT_FAIL;
		default:
			return DV_VERDICT_FAIL;
	}
}

static DvVerdict
decide_answer(const DvError *error, DvRepeat repeat, int attempt, double jitter, long *wait_ms)
{
	const Code *code = find_code(error->code);

	switch (code != NULL ? code->again : AGAIN_BY_STATUS)
	{
		case AGAIN_NEVER:
			return DV_VERDICT_FAIL;
		case AGAIN_LATER:
			return retry(error, attempt, jitter, wait_ms);
		case AGAIN_ONCE:
			return retry_up_to(1, error, attempt, jitter, wait_ms);
		case AGAIN_SMALLER:
			return DV_VERDICT_SPLIT;
		case AGAIN_THEN_SMALLER:
			return attempt < CONNECT_RETRIES ? retry(error, attempt, jitter, wait_ms)
											 : DV_VERDICT_SPLIT;
		default:
			return decide_by_status(error, repeat, attempt, jitter, wait_ms);
	}
}

DvVerdict
dv_fault_decide(const DvError *error, DvRepeat repeat, int attempt, double jitter, long *wait_ms)
{
	*wait_ms = 0;
	switch (error->kind)
	{
		case DV_ERROR_CONNECT:
			return retry_up_to(NETWORK_RETRIES, error, attempt, jitter, wait_ms);
		case DV_ERROR_BROKEN:
			if (repeat == DV_REPEAT_SAFE)
				return retry_up_to(NETWORK_RETRIES, error, attempt, jitter, wait_ms);
			return DV_VERDICT_FAIL;
		case DV_ERROR_TIMEOUT:
			return repeat == DV_REPEAT_SAFE ? DV_VERDICT_SPLIT : DV_VERDICT_FAIL;
		case DV_ERROR_HTTP:
			return decide_answer(error, repeat, attempt, jitter, wait_ms);
		case DV_ERROR_TOKEN:
			return token_error_passes(error) ? retry(error, attempt, jitter, wait_ms)
											 : DV_VERDICT_FAIL;
		default:
			return DV_VERDICT_FAIL;
	}
}

DvFaultClass
dv_fault_class(const DvError *error)
{
	const Code *code = find_code(error->code);
	int status = error->code >= 400 && error->code <= 599 ? (int) error->code : error->status;
	size_t i;

	if (error->kind == DV_ERROR_TOKEN)
		return DV_FAULT_AUTH;
	/* query syntax: what was sent is not what the service expects there */
	if (error->code == CODE_GENERIC && status == 400)
		return DV_FAULT_MISMATCH;
	if (code != NULL)
		return code->class;
	for (i = 0; i < lengthof(statuses); i++)
	{
		if (statuses[i].status == status)
			return statuses[i].class;
	}
	return DV_FAULT_OTHER;
}

void
dv_fault_row_statuses(const char *row_errors, int *statuses, int n)
{
	json_t *root = json_loads(row_errors, JSON_REJECT_DUPLICATES, NULL);
	json_t *entry;
	size_t i;

	memset(statuses, 0, sizeof(int) * n);
	json_array_foreach(root, i, entry)
	{
		const json_t *index = json_object_get(entry, "RequestIndex");
		const json_t *status = json_object_get(entry, "StatusCode");

		if (json_is_integer(index) && json_is_integer(status) && json_integer_value(index) >= 0 &&
			json_integer_value(index) < n)
			statuses[json_integer_value(index)] = (int) json_integer_value(status);
	}
	json_decref(root);
}
