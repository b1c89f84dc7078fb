/*
 * page.h
 *	  One response page as rows of number-exact text, with its next and delta
 *	  links.
 *
 * Built on PostgreSQL's own JSON lexer (common/jsonapi.h): it hands number
 * text through untouched and returns errors instead of throwing.  A page is
 * read row by row and never copied: fields point into the body, or, where a
 * string had escapes, into memory that lives until the next row.
 */
#ifndef DV_ODATA_PAGE_H
#define DV_ODATA_PAGE_H

#include "odata/base.h"

typedef enum DvFieldKind
{
	DV_FIELD_ABSENT = 0, /* not in the row, or null: the same (2.1.1) */
	DV_FIELD_STRING,     /* text is de-escaped */
	DV_FIELD_NUMBER,     /* text is the lexeme */
	DV_FIELD_TRUE,
	DV_FIELD_FALSE,
	DV_FIELD_NESTED /* object or array: text is its JSON, raw */
} DvFieldKind;

typedef struct DvField
{
	DvFieldKind kind;
	const char *text; /* not NUL-terminated */
	int len;
} DvField;

typedef struct DvPage DvPage;

/*
 * Starts reading body[0..len), which must outlive the page.  encoding: what
 * the body is in, and so the fields: PG_UTF8, as it came.  A caller whose
 * database has another encoding converts each value it uses; a body converted
 * beforehand (any server encoding is taken) fails at \u escapes above ASCII.
 * properties: names wanted, in the order fields are to be filled; annotations
 * (name@OData.Community...) are names like others; "nav/name" is a property of
 * the object that stands under "nav", at any depth, and absent where that is
 * null or absent.  The strings must outlive the page.  The page is palloc'd.
 * A body that is one object without "value" (a single row, 2.1.2) is read as
 * a page of one row when single is true.
 */
extern DvPage *dv_page_open(const char *body, size_t len, int encoding, bool single,
							const char *const *properties, int nproperties);

/*
 * Fills fields[nproperties] with the next row.  False at the end of the page
 * or on failure: then error->kind is set.  A body that ends early, is not
 * JSON, nests deeper than DV_PAGE_DEPTH, repeats a wanted property, lacks "value", or has
 * anything after its end is a failure.
 */
extern bool dv_page_row(DvPage *page, DvField *fields, DvError *error);

/*
 * The next row as the JSON text it is in the body, of whatever kind it is, for
 * callers that pass rows on.  A page is read by this or by dv_page_row, not by
 * both.
 */
extern bool dv_page_row_text(DvPage *page, const char **text, int *len, DvError *error);

/*
 * Members of the envelope. Complete once dv_page_row has returned false
 * without error; NULL when absent.  count is the text of @odata.count.
 */
extern const char *dv_page_next(const DvPage *page);
extern const char *dv_page_delta(const DvPage *page);
extern const char *dv_page_count(const DvPage *page);

/*
 * Another member of the envelope by its full name, as text: those FetchXML's
 * paging needs (fetchxmlpagingcookie, morerecords) and the record counts.  NULL
 * when absent or not one of them.
 */
extern const char *dv_page_annotation(const DvPage *page, const char *name);
extern int64 dv_page_rows(const DvPage *page); /* rows handed out so far */
extern void dv_page_close(DvPage *page);

/*
 * The next link, found before the page is read, so that the next request can
 * start while this page is decoded: palloc'd, or NULL.  It looks only at the
 * envelope's beginning and at the last DV_PAGE_TAIL bytes; the caller compares
 * it with dv_page_next at the end of the page and treats a difference as a
 * failure, except that NULL here and a link there is only a late start.
 */
extern char *dv_page_peek_next(const char *body, size_t len);

/*
 * The same for FetchXML's paging: the annotations morerecords and
 * fetchxmlpagingcookie as dv_page_annotation gives them, palloc'd or NULL.
 */
extern void dv_page_peek_fetchxml(const char *body, size_t len, char **more, char **cookie);

#define DV_PAGE_DEPTH 64
#define DV_PAGE_TAIL (128 * 1024)

#endif /* DV_ODATA_PAGE_H */
