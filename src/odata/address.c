/*
 * address.c
 *	  An address as a person writes it, as it goes over the wire.
 *
 * The text is plain: blanks, letters of all kinds, a plus sign that means plus.
 * What is encoded already (% and two hexadecimal digits) stays as it is, so
 * that an address copied from a log works too; a percent sign of that look in
 * plain text has to be written %25.
 *
 * The characters that are syntax stay bare.  Between apostrophes, where OData
 * has its text literals, those of them that would end the literal's query
 * option or the address early (& # + ? ;) are text and encoded: name eq 'Smith
 * & Sons' means what it says.  The apostrophe itself is doubled in a literal,
 * which takes care of itself here.  Outside of literals # is encoded as well,
 * since a fragment never reaches a server.
 *
 * Nothing is checked against what the service knows: it answers better itself.
 */
#include "odata/address.h"

#include "compat.h"

#include <ctype.h>

#include "odata/literal.h"

/* Bare everywhere, besides RFC 3986's unreserved characters. */
#define SYNTAX "!$'()*,/:=@"

/* Bare outside of literals only. */
#define DELIMITERS "&?;"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_encoded(const char *p, const char *end)
{
	return end - p >= 3 && p[0] == '%' && isxdigit((unsigned char) p[1]) &&
		   isxdigit((unsigned char) p[2]);
}

/* A path like contacts, not //host, /api or https://host. */
static bool
check_start(const char *p, const char *end, DvError *error)
{
	size_t scheme = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	if (p == end)
		dv_error_set(error, DV_ERROR_DATA, "the path is empty");
	else if (*p == '/')
		dv_error_set(error, DV_ERROR_DATA, "the path begins with a slash");
	else if (p[scheme] == ':')
		dv_error_set(error, DV_ERROR_DATA, "the path is an absolute address");
	else
		return true;
	return false;
}

bool
dv_address_encode(StringInfo out, const char *text, DvError *error)
{
	const char *p = text;
	const char *end = text + strlen(text);
	bool literal = false;

	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	if (!check_start(p, end, error))
		return false;
	for (; p < end; p++)
	{
		if (*p == '\'')
			literal = !literal;
		if (is_encoded(p, end))
			appendStringInfoChar(out, *p);
		else if (!literal && is_blank(*p))
			appendStringInfoString(out, "%20");
		else
			dv_url_escape(out, p, 1, literal ? SYNTAX : SYNTAX DELIMITERS);
	}
	return true;
}

/* Is text[0 .. len), percent-decoded, this name? Option names are case-sensitive to the service. */
static bool
is_name(const char *text, size_t len, const char *name)
{
	const char *end = text + len;

	for (; text < end && *name != '\0'; text++, name++)
	{
		char c = *text;

		if (is_encoded(text, end))
		{
			char digits[3] = {text[1], text[2], '\0'};

			c = (char) strtol(digits, NULL, 16);
			text += 2;
		}
		if (pg_tolower((unsigned char) c) != pg_tolower((unsigned char) *name))
			return false;
	}
	return text == end && *name == '\0';
}

bool
dv_address_has_option(const char *address, const char *option)
{
	const char *p = strchr(address, '?');

	while (p != NULL)
	{
		p++;
		if (is_name(p, strcspn(p, "=&"), option))
			return true;
		p = strchr(p, '&');
	}
	return false;
}

bool
dv_address_ends_in(const char *address, const char *segment)
{
	size_t len = strcspn(address, "?");
	const char *p = address + len;

	while (p > address && p[-1] != '/')
		p--;
	return is_name(p, address + len - p, segment);
}
