/*
 * fuzz_fetchxml.c
 *	  Any bytes as a user's query, as an annotation with a paging cookie, and as a
 *	  text in a condition: no crash, and what was printed is a query again.
 */
#include "odata/fetchquery.h"
#include "odata/fetchxml.h"

extern int LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static void
read_query(const char *text)
{
	DvFetchXml fetch;
	DvError error;
	StringInfoData out;

	if (!dv_fetchxml_parse(text, &fetch, &error))
	{
		pfree(error.message);
		return;
	}
	initStringInfo(&out);
	dv_fetchxml_page(&out, &fetch, 1, 5000, NULL);
	if (!dv_fetchxml_parse(out.data, &fetch, &error))
		abort();
	pfree(out.data);
}

static void
read_cookie(const char *text)
{
	char *cookie;
	DvError error;

	if (!dv_fetchxml_cookie(text, &cookie, &error))
		pfree(error.message);
	else if (cookie != NULL)
	{
		const char *position = dv_fetchxml_position(cookie);

		if (position < cookie || position > cookie + strlen(cookie))
			abort();
	}
}

/* Between the apostrophes nothing may end the attribute or begin an element. */
static void
print_text(char *text)
{
	DvValue value = {.text = text};
	const DvValue *values[] = {&value};
	DvFilter *leaf = dv_filter_leaf(DV_OP_EQ, "c", "c", DV_TYPE_STRING, 0);
	DvFetchQuery query = {.table = {.entity = "t", .filter = dv_filter_bind(leaf, values, 1)},
						  .primary_id = "id"};
	StringInfoData out;
	int quotes = 0;
	int open = 0;

	initStringInfo(&out);
	dv_fetchquery_print(&out, &query);
	for (const char *p = out.data; *p != '\0'; p++)
	{
		quotes += *p == '\'';
		open += *p == '<' ? 1 : *p == '>' ? -1 : 0;
		if (open < 0 || open > 1 || ((unsigned char) *p < 0x20))
			abort();
	}
	if (quotes % 2 != 0 || open != 0)
		abort();
	read_query(out.data);
	pfree(out.data);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = pnstrdup((const char *) data + 1, size - 1);
	if (data[0] % 3 == 0)
		read_query(text);
	else if (data[0] % 3 == 1)
		read_cookie(text);
	else
		print_text(text);
	pfree(text);
	return 0;
}
