/*
 * url.c
 *	  Addresses: entity set, key, query options; is this link still our service?
 *
 * Requests carry the bearer token, so a link that the service hands out is
 * followed only where its meaning is beyond doubt.  dv_url_same_service does
 * not ask whether a link is bad but whether it is of the one shape that good
 * ones have; a link of any other shape is refused, and the scan ends in an
 * error.  It does no more resolving than comparing: what it accepts, a URL
 * parser of any school takes to the same host.
 */
#include "odata/url.h"

#include "compat.h"

#include <ctype.h>

/*
 * Bytes left alone in query values: what JavaScript's encodeURIComponent
 * leaves alone, which is how most clients of the service write, and the comma,
 * slash and colon that RFC 3986 allows in a query and without which EXPLAIN
 * would be hard to read.  Not + & = # ; $ @ ? (sheet 1.7).
 */
#define QUERY_KEEP "!*'(),/:"

/*
 * In $expand, whose options are separated by what must be encoded elsewhere:
 * nav($select=a,b;$expand=...) as the documentation writes it.  It holds names
 * only.
 */
#define EXPAND_KEEP QUERY_KEEP "$=;"

/* In key values of an address: quotes are doubled by then, and must stay visible as quotes. */
#define KEY_KEEP "'"

/* Characters that keyed addresses refuse, encoded or not (sheet 1.5); # was seen to fail, too. */
#define KEY_REFUSED "/<>*%&:\\?+#"

static void
append_option_keeping(StringInfo out, char *separator, const char *name, const char *value,
					  const char *keep)
{
	if (value == NULL || value[0] == '\0')
		return;
	appendStringInfo(out, "%c%s=", *separator, name);
	dv_url_escape(out, value, strlen(value), keep);
	*separator = '&';
}

static void
append_option(StringInfo out, char *separator, const char *name, const char *value)
{
	append_option_keeping(out, separator, name, value, QUERY_KEEP);
}

void
dv_url_query(StringInfo out, const DvQuery *query)
{
	char separator = '?';

	appendStringInfoString(out, query->path);
	append_option(out, &separator, "$select", query->select);
	append_option(out, &separator, "$filter", query->filter);
	append_option(out, &separator, "$orderby", query->orderby);
	append_option_keeping(out, &separator, "$expand", query->expand, EXPAND_KEEP);
	append_option(out, &separator, "$apply", query->apply);
	if (query->top >= 0)
	{
		appendStringInfo(out, "%c$top=%lld", separator, (long long) query->top);
		separator = '&';
	}
	if (query->count)
	{
		appendStringInfo(out, "%c$count=true", separator);
		separator = '&';
	}
	if (query->extra != NULL && query->extra[0] != '\0')
		appendStringInfo(out, "%c%s", separator, query->extra);
}

/* Date and time in a key are whole seconds (sheet 1.5); the service cuts fractions off as well (3.3). */
static void
append_key_datetime(StringInfo out, const char *text)
{
	int start = out->len;
	char *point;

	dv_literal_append(out, DV_EDM_DATETIME, text);
	point = strchr(out->data + start, '.');
	if (point != NULL)
	{
		out->len = (int) (point - out->data);
		out->data[out->len] = '\0';
		appendStringInfoChar(out, 'Z');
	}
}

static void
append_key_value(StringInfo out, DvEdm edm, const char *text, bool in_url)
{
	StringInfoData plain;

	initStringInfo(&plain);
	if (edm == DV_EDM_DATETIME)
		append_key_datetime(&plain, text);
	else
		dv_literal_append(&plain, edm, text);
	if (in_url)
		dv_url_escape(out, plain.data, plain.len, KEY_KEEP);
	else
		appendBinaryStringInfo(out, plain.data, plain.len);
	pfree(plain.data);
}

void
dv_url_key(StringInfo out, const char *entity_set, const DvKeyPart *parts, int nparts, bool in_url)
{
	int i;

	appendStringInfo(out, "%s(", entity_set);
	for (i = 0; i < nparts; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		if (parts[i].property != NULL)
			appendStringInfo(out, "%s=", parts[i].property);
		append_key_value(out, parts[i].edm, parts[i].text, in_url);
	}
	appendStringInfoChar(out, ')');
}

/*
 * Only text can hold them: other types print letters, digits, minus, point and
 * colon, and the colon of a date is how Microsoft's own clients write it.  The
 * empty text is null to the service, which no key addresses; control characters
 * are refused by its web server.
 */
bool
dv_url_key_refuses(DvEdm edm, const char *text)
{
	const char *p;

	if (edm != DV_EDM_STRING && edm != DV_EDM_CHOICES)
		return false;
	if (text[0] == '\0')
		return true;
	for (p = text; *p != '\0'; p++)
	{
		if ((unsigned char) *p < 0x20 || *p == 0x7f || strchr(KEY_REFUSED, *p) != NULL)
			return true;
	}
	return false;
}

/*
 * An absolute URL taken apart.  Pointers into the text.
 */
typedef struct Parts
{
	bool secure;
	const char *host;
	size_t host_len; /* with brackets for an IPv6 address */
	int port;
	const char *path; /* starts with / or is empty */
	size_t path_len;
	const char *rest; /* starts with ? or is empty */
} Parts;

/* Nothing but visible ASCII, and none of the two that URL parsers disagree on. */
static bool
plain_characters(const char *text)
{
	for (; *text != '\0'; text++)
	{
		if (*text <= ' ' || *text > '~' || *text == '\\' || *text == '#')
			return false;
	}
	return true;
}

/* A name, an IPv4 address, or an IPv6 address in brackets. */
static bool
split_host(const char *text, size_t len, Parts *parts)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	static const char address[] = "0123456789abcdefABCDEF:.";
	size_t n;

	parts->host = text;
	if (len > 0 && text[0] == '[')
	{
		n = 1 + strspn(text + 1, address);
		if (n < 4 || text[n] != ']')
			return false;
		parts->host_len = n + 1;
		return n < len;
	}
	n = strspn(text, name);
	parts->host_len = n;
	return n > 0 && n <= len && text[0] != '.' && text[0] != '-' && text[n - 1] != '.';
}

static bool
split_port(const char *text, size_t len, Parts *parts)
{
	size_t i;

	parts->port = parts->secure ? 443 : 80;
	if (len == 0)
		return true;
	if (text[0] != ':' || len < 2 || len > 6 || text[1] == '0')
		return false;
	parts->port = 0;
	for (i = 1; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		parts->port = parts->port * 10 + (text[i] - '0');
	}
	return parts->port >= 1 && parts->port <= 65535;
}

static bool
split(const char *url, Parts *parts)
{
	const char *authority;
	size_t len;

	if (!plain_characters(url))
		return false;
	if (pg_strncasecmp(url, "https://", 8) == 0)
		parts->secure = true;
	else if (pg_strncasecmp(url, "http://", 7) == 0)
		parts->secure = false;
	else
		return false;
	authority = url + (parts->secure ? 8 : 7);
	len = strcspn(authority, "/?");

	/* A user's name before the host is caught here: @ belongs to no host or port. */
	if (!split_host(authority, len, parts) ||
		!split_port(authority + parts->host_len, len - parts->host_len, parts))
		return false;
	parts->path = authority + len;
	parts->path_len = strcspn(parts->path, "?");
	parts->rest = parts->path + parts->path_len;
	return true;
}

static bool
same_origin(const Parts *a, const Parts *b)
{
	return a->secure == b->secure && a->port == b->port && a->host_len == b->host_len &&
		   pg_strncasecmp(a->host, b->host, a->host_len) == 0;
}

/* Is this character percent-encoded here? */
static bool
is_encoded(const char *p, const char *end, char c)
{
	static const char digits[] = "0123456789abcdef";

	return end - p >= 3 && p[0] == '%' && pg_tolower((unsigned char) p[1]) == digits[c >> 4] &&
		   pg_tolower((unsigned char) p[2]) == digits[c & 0x0f];
}

/*
 * No segment that is empty or of dots alone, plain or encoded, no encoded slash,
 * backslash, NUL or percent sign, no percent sign that is not an encoding:
 * nothing that a server or proxy could resolve to another path.
 */
static bool
path_is_straight(const char *path, size_t len)
{
	const char *end = path + len;
	const char *p = path;

	while (p < end)
	{
		const char *start = ++p; /* past the slash */
		bool dots = true;

		while (p < end && *p != '/')
		{
			bool encoded_dot = is_encoded(p, end, '.');

			if (is_encoded(p, end, '/') || is_encoded(p, end, '\\') || is_encoded(p, end, '\0') ||
				is_encoded(p, end, '%'))
				return false;
			if (*p == '%' &&
				(end - p < 3 || !isxdigit((unsigned char) p[1]) || !isxdigit((unsigned char) p[2])))
				return false;
			dots = dots && (*p == '.' || encoded_dot);
			p += encoded_dot ? 3 : 1;
		}
		if (p == start || dots)
			return false;
	}
	return true;
}

bool
dv_url_same_service(const char *base, const char *link)
{
	Parts a;
	Parts b;
	size_t root;

	if (!split(base, &a) || !split(link, &b) || !same_origin(&a, &b) || a.rest[0] != '\0')
		return false;
	root = a.path_len;
	if (root > 0 && a.path[root - 1] == '/')
		root--;
	if (b.path_len < root + 2 || memcmp(a.path, b.path, root) != 0 || b.path[root] != '/')
		return false;
	return path_is_straight(b.path, b.path_len);
}

/* localhost, 127.0.0.0/8, ::1 */
static bool
is_loopback(const Parts *parts)
{
	char host[16];
	int octets[4];
	int n = 0;
	const char *p = host;

	if (parts->host_len >= sizeof(host))
		return false;
	memcpy(host, parts->host, parts->host_len);
	host[parts->host_len] = '\0';
	if (pg_strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;

	/* Four decimal numbers, without leading zeros: those some readers take for octal. */
	for (n = 0; n < 4; n++)
	{
		size_t digits = strspn(p, "0123456789");

		if (digits < 1 || digits > 3 || (digits > 1 && p[0] == '0'))
			return false;
		for (octets[n] = 0; digits > 0; digits--)
			octets[n] = octets[n] * 10 + (*p++ - '0');
		if (octets[n] > 255 || *p++ != (n < 3 ? '.' : '\0'))
			return false;
	}
	return octets[0] == 127;
}

bool
dv_url_check_root(const char *url, DvError *error)
{
	Parts parts;

	/* Not repeated in the message: what stands before the @ may be a password. */
	if (strchr(url, '@') != NULL)
	{
		dv_error_set(error, DV_ERROR_DATA, "the address of an environment has no user name in it");
		return false;
	}
	if (!split(url, &parts))
	{
		dv_error_set(error, DV_ERROR_DATA, "\"%s\" is not an absolute http or https address", url);
		return false;
	}
	if (parts.rest[0] != '\0' || (parts.path_len > 0 && strcmp(parts.path, "/") != 0))
	{
		dv_error_set(error, DV_ERROR_DATA,
					 "\"%s\" is not the root of an environment: it must end after the host", url);
		return false;
	}
	if (!parts.secure && !is_loopback(&parts))
	{
		dv_error_set(error, DV_ERROR_DATA,
					 "\"%s\" would send the token in clear text: http is allowed to a loopback "
					 "address only",
					 url);
		return false;
	}
	return true;
}
