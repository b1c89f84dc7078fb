/*
 * fetchxml.c
 *	  A FetchXML query, page by page (sheet 2.12).
 *
 * Reads of XML what it takes to find two tags and their attributes, and no
 * more: the query is the user's, and the service says better what is wrong with
 * it.  A document type is refused, since what it could define is not read here.
 *
 * Pages are counted here and not read from the answers, whose number was seen
 * to stand still (sheet 2.12.4).
 */
#include "odata/fetchxml.h"

#include "compat.h"

#include <ctype.h>

#include "odata/literal.h"

/* Characters left bare in the address. */
#define XML_KEEP "'(),*:/"

#define BLANKS " \t\r\n"

typedef struct Attribute
{
	const char *start; /* of the name */
	size_t name_len;
	const char *value; /* as it stands, between the quotes */
	size_t value_len;
	const char *end; /* after the closing quote */
} Attribute;

static bool
is_attribute(const Attribute *attribute, const char *name)
{
	return attribute->name_len == strlen(name) &&
		   memcmp(attribute->start, name, attribute->name_len) == 0;
}

static bool
is_true(const Attribute *attribute)
{
	return (attribute->value_len == 4 && pg_strncasecmp(attribute->value, "true", 4) == 0) ||
		   (attribute->value_len == 1 && attribute->value[0] == '1');
}

/* Past blanks, comments and processing instructions; NULL where one of them does not end. */
static const char *
skip_misc(const char *p)
{
	while (p != NULL)
	{
		p += strspn(p, BLANKS);
		if (strncmp(p, "<!--", 4) == 0)
		{
			p = strstr(p + 4, "-->");
			p = p != NULL ? p + 3 : NULL;
		}
		else if (strncmp(p, "<?", 2) == 0)
		{
			p = strstr(p + 2, "?>");
			p = p != NULL ? p + 2 : NULL;
		}
		else
			break;
	}
	return p;
}

/* After "<name" if that is what stands here, else NULL. */
static const char *
open_tag(const char *p, const char *name)
{
	size_t len = strlen(name);

	if (p == NULL || p[0] != '<' || strncmp(p + 1, name, len) != 0)
		return NULL;
	p += 1 + len;
	return *p != '\0' && strchr(BLANKS "/>", *p) != NULL ? p : NULL;
}

/* The next attribute of a tag. False at the tag's end, and where there is no attribute. */
static bool
read_attribute(const char *p, Attribute *attribute)
{
	const char *quote;

	p += strspn(p, BLANKS);
	attribute->start = p;
	attribute->name_len = strcspn(p, BLANKS "=/><\"'");
	p += attribute->name_len;
	p += strspn(p, BLANKS);
	if (attribute->name_len == 0 || *p != '=')
		return false;
	p++;
	p += strspn(p, BLANKS);
	quote = p;
	if (*quote != '"' && *quote != '\'')
		return false;
	attribute->value = quote + 1;
	p = strchr(quote + 1, *quote);
	if (p == NULL)
		return false;
	attribute->value_len = p - attribute->value;
	attribute->end = p + 1;
	return memchr(attribute->value, '<', attribute->value_len) == NULL;
}

static bool
refuse(DvError *error, const char *what)
{
	dv_error_set(error, DV_ERROR_DATA, "%s", what);
	return false;
}

/* One attribute of <fetch>; those of paging are ours. */
static bool
take_attribute(const Attribute *attribute, DvFetchXml *fetch, StringInfo kept, DvError *error)
{
	if (is_attribute(attribute, "paging-cookie"))
		return refuse(error, "the FetchXML has a paging cookie: all pages are read anyway");
	if (is_attribute(attribute, "page"))
	{
		if (attribute->value_len == 1 && attribute->value[0] == '1')
			return true;
		return refuse(error, "the FetchXML asks for one page: all pages are read anyway");
	}
	if (is_attribute(attribute, "count"))
		fetch->count = (int) Max(0, Min(strtol(attribute->value, NULL, 10), PG_INT32_MAX));
	if (is_attribute(attribute, "top"))
		fetch->top = true;
	if (is_attribute(attribute, "aggregate"))
		fetch->aggregate = is_true(attribute);
	appendStringInfoChar(kept, ' ');
	appendBinaryStringInfo(kept, attribute->start, (int) (attribute->end - attribute->start));
	return true;
}

/* p: after <entity */
static bool
read_entity(const char *p, DvFetchXml *fetch)
{
	Attribute attribute;

	for (; read_attribute(p, &attribute); p = attribute.end)
	{
		if (is_attribute(&attribute, "name") && attribute.value_len > 0)
			fetch->entity = pnstrdup(attribute.value, attribute.value_len);
	}
	p += strspn(p, BLANKS "/");
	return *p == '>' && fetch->entity != NULL;
}

bool
dv_fetchxml_parse(const char *xml, DvFetchXml *fetch, DvError *error)
{
	const char *p = strncmp(xml, "\xEF\xBB\xBF", 3) == 0 ? xml + 3 : xml;
	StringInfoData kept;
	Attribute attribute;

	memset(fetch, 0, sizeof(*fetch));
	p = open_tag(skip_misc(p), "fetch");
	if (p == NULL)
		return refuse(error, "the FetchXML does not begin with <fetch>");
	initStringInfo(&kept);
	for (; read_attribute(p, &attribute); p = attribute.end)
	{
		if (!take_attribute(&attribute, fetch, &kept, error))
			return false;
	}
	p += strspn(p, BLANKS);
	if (*p != '>')
		return refuse(error, "the FetchXML's <fetch> is not well formed");
	fetch->attributes = kept.data;
	fetch->rest = pstrdup(p);
	p = open_tag(skip_misc(p + 1), "entity");
	if (p == NULL || !read_entity(p, fetch))
		return refuse(error, "the FetchXML has no <entity name='...'> in its <fetch>");
	return true;
}

void
dv_fetchxml_escape(StringInfo out, const char *text)
{
	/* Blanks other than the space would be made spaces in an attribute. */
	static const struct
	{
		char c;
		const char *entity;
	} entities[] = {{'&', "&amp;"},   {'<', "&lt;"},  {'>', "&gt;"},   {'"', "&quot;"},
					{'\'', "&apos;"}, {'\t', "&#9;"}, {'\n', "&#10;"}, {'\r', "&#13;"}};

	for (; *text != '\0'; text++)
	{
		int i = 0;

		while (i < lengthof(entities) && entities[i].c != *text)
			i++;
		if (i < lengthof(entities))
			appendStringInfoString(out, entities[i].entity);
		else
			appendStringInfoChar(out, *text);
	}
}

void
dv_fetchxml_page(StringInfo out, const DvFetchXml *fetch, int page, int count, const char *cookie)
{
	appendStringInfo(out, "<fetch%s", fetch->attributes);
	if (!fetch->top)
	{
		if (fetch->count == 0)
			appendStringInfo(out, " count='%d'", count);
		appendStringInfo(out, " page='%d'", page);
		if (cookie != NULL)
		{
			appendStringInfoString(out, " paging-cookie='");
			dv_fetchxml_escape(out, cookie);
			appendStringInfoChar(out, '\'');
		}
	}
	appendStringInfoString(out, fetch->rest);
}

/* In place. */
static void
url_decode(char *text)
{
	char *to = text;

	for (const char *p = text; *p != '\0'; p++)
	{
		if (p[0] == '%' && isxdigit((unsigned char) p[1]) && isxdigit((unsigned char) p[2]))
		{
			char digits[3] = {p[1], p[2], '\0'};

			*to++ = (char) strtol(digits, NULL, 16);
			p += 2;
		}
		else
			*to++ = *p;
	}
	*to = '\0';
}

bool
dv_fetchxml_cookie(const char *annotation, char **cookie, DvError *error)
{
	const char *p = open_tag(skip_misc(annotation), "cookie");
	Attribute attribute;

	*cookie = NULL;
	if (p == NULL)
	{
		dv_error_set(error, DV_ERROR_PROTOCOL, "the paging cookie is not a cookie");
		return false;
	}
	for (; read_attribute(p, &attribute); p = attribute.end)
	{
		if (!is_attribute(&attribute, "pagingcookie") || attribute.value_len == 0)
			continue;
		*cookie = pnstrdup(attribute.value, attribute.value_len);
		url_decode(*cookie);
		url_decode(*cookie);
	}
	return true;
}

const char *
dv_fetchxml_position(const char *cookie)
{
	const char *end = open_tag(cookie, "cookie") != NULL ? strchr(cookie, '>') : NULL;

	return end != NULL ? end + 1 : cookie;
}

void
dv_fetchxml_address(StringInfo out, const char *set, const DvFetchXml *fetch, int page, int count,
					const char *cookie)
{
	StringInfoData xml;

	initStringInfo(&xml);
	dv_fetchxml_page(&xml, fetch, page, count, cookie);
	appendStringInfo(out, "%s?fetchXml=", set);
	dv_url_escape(out, xml.data, xml.len, XML_KEEP);
	pfree(xml.data);
}

DvFetchXmlVerdict
dv_fetchxml_next(const DvFetchXml *fetch, const DvFetchXmlEnvelope *envelope, int64 rows,
				 char **cookie, DvError *error)
{
	*cookie = NULL;
	if (fetch->top)
		return DV_FETCHXML_LAST;
	if (envelope->more == NULL && envelope->link != NULL)
		return DV_FETCHXML_LOST;
	if (envelope->more == NULL || strcmp(envelope->more, "true") != 0)
		return DV_FETCHXML_LAST;
	if (envelope->cookie != NULL && !dv_fetchxml_cookie(envelope->cookie, cookie, error))
		return DV_FETCHXML_BROKEN;
	if (*cookie == NULL && rows >= DV_FETCHXML_LEGACY_ROWS)
		return DV_FETCHXML_TOO_MANY;
	return DV_FETCHXML_NEXT;
}
