/*
 * fuzz_page.c
 *	  Any bytes as a page: no crash, fields within bounds and valid, and what is
 *	  accepted as complete is JSON to another reader too.
 */
#include "odata/page.h"

#include <jansson.h>

#include "mb/pg_wchar.h"

extern int LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static void
check_field(const char *body, size_t len, const DvField *field)
{
	if (field->kind == DV_FIELD_ABSENT)
		return;
	if (field->kind == DV_FIELD_STRING &&
		pg_encoding_verifymbstr(PG_UTF8, field->text, field->len) != field->len)
		abort();
	if (field->kind != DV_FIELD_STRING &&
		(field->len <= 0 || field->text < body || field->text + field->len > body + len))
		abort();
}

/* Two readers of one grammar.  jansson has limits of its own on numbers and depth. */
static void
check_accepted(const char *body, size_t len)
{
	json_error_t error;
	json_t *root;

	if (len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0)
	{
		body += 3;
		len -= 3;
	}
	root = json_loadb(body, len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
	if (root == NULL && strstr(error.text, "overflow") == NULL &&
		strstr(error.text, "Unicode") == NULL && strstr(error.text, "\\u") == NULL)
		abort();
	json_decref(root);
}

/* What was seen ahead must be what is there. */
static void
check_peeked(const DvPage *page, const char *peeked, const char *name, uint8 mode)
{
	const char *found = dv_page_annotation(page, name);

	if (peeked != NULL && (mode & 1) == 0 && (found == NULL || strcmp(peeked, found) != 0))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	static const char *const names[] = {"a",           "b",   "name", "accountid", "a",
										"@odata.etag", "n/a", "n/b",  "n/n/a",     "n/a"};
	DvField fields[lengthof(names)];
	DvError error;
	const char *body = (const char *) data;
	DvPage *page;
	char *peeked;
	char *more;
	char *cookie;

	if (size == 0)
		return 0;
	page = dv_page_open(body + 1, size - 1, PG_UTF8, (data[0] & 1) != 0, names, lengthof(names));
	while (dv_page_row(page, fields, &error))
	{
		size_t i;

		for (i = 0; i < lengthof(names); i++)
			check_field(body, size, &fields[i]);
	}
	peeked = dv_page_peek_next(body + 1, size - 1);
	dv_page_peek_fetchxml(body + 1, size - 1, &more, &cookie);
	if (error.kind == DV_ERROR_NONE)
	{
		const char *next = dv_page_next(page);

		check_accepted(body + 1, size - 1);
		if (peeked != NULL && (data[0] & 1) == 0 && (next == NULL || strcmp(peeked, next) != 0))
			abort();
		check_peeked(page, more, "@Microsoft.Dynamics.CRM.morerecords", data[0]);
		check_peeked(page, cookie, "@Microsoft.Dynamics.CRM.fetchxmlpagingcookie", data[0]);
	}
	else
		pfree(error.message);
	if (more != NULL)
		pfree(more);
	if (cookie != NULL)
		pfree(cookie);
	if (peeked != NULL)
		pfree(peeked);
	dv_page_close(page);
	return 0;
}
