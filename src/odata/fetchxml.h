/*
 * fetchxml.h
 *	  A FetchXML query, page by page (sheet 2.12).
 */
#ifndef DV_ODATA_FETCHXML_H
#define DV_ODATA_FETCHXML_H

#include "odata/base.h"

/* A query taken apart as far as paging needs. */
typedef struct DvFetchXml
{
	char *entity;     /* logical name of its table */
	char *attributes; /* of <fetch> as written, without those of paging */
	char *rest;       /* from the end of <fetch ...'s attributes on */
	int count;        /* page size it asks for, 0: none */
	bool top;         /* has top, so it has no pages */
	bool aggregate;
} DvFetchXml;

/*
 * False, with DV_ERROR_DATA, when there is no <fetch> with an <entity name='...'>
 * in it, or when it names a page or a cookie: those are the reader's.  Everything is
 * palloc'd.  The rest of the document is not looked at: the service does.
 */
extern bool dv_fetchxml_parse(const char *xml, DvFetchXml *fetch, DvError *error);

/* Appends the query for one page, plain. cookie: as dv_fetchxml_cookie gave it, or NULL. */
extern void dv_fetchxml_page(StringInfo out, const DvFetchXml *fetch, int page, int count,
							 const char *cookie);

/* Appends text as content of an element or of an attribute. */
extern void dv_fetchxml_escape(StringInfo out, const char *text);

/*
 * The cookie inside the annotation fetchxmlpagingcookie, URL-decoded twice;
 * *cookie is NULL when there is none.  False, with DV_ERROR_PROTOCOL, for
 * anything but such an annotation.
 */
extern bool dv_fetchxml_cookie(const char *annotation, char **cookie, DvError *error);

/* What of a cookie must differ from page to page: all but the number of the page. */
extern const char *dv_fetchxml_position(const char *cookie);

/* Appends the address of one page below the service root, encoded. set: the table's entity set. */
extern void dv_fetchxml_address(StringInfo out, const char *set, const DvFetchXml *fetch, int page,
								int count, const char *cookie);

/*
 * The annotations by which pages follow one another: asked for in Prefer, and
 * members of the envelope with @ before them.
 */
#define DV_FETCHXML_COOKIE "Microsoft.Dynamics.CRM.fetchxmlpagingcookie"
#define DV_FETCHXML_MORE "Microsoft.Dynamics.CRM.morerecords"

/* Rows that can be paged through without a cookie (sheet 2.12.4). */
#define DV_FETCHXML_LEGACY_ROWS 50000

/* What a page's envelope says, each NULL where absent. */
typedef struct DvFetchXmlEnvelope
{
	const char *more;   /* DV_FETCHXML_MORE */
	const char *cookie; /* DV_FETCHXML_COOKIE */
	const char *link;   /* @odata.nextLink */
} DvFetchXmlEnvelope;

typedef enum DvFetchXmlVerdict
{
	DV_FETCHXML_LAST,     /* no page follows */
	DV_FETCHXML_NEXT,     /* one does */
	DV_FETCHXML_LOST,     /* one does, but not by FetchXML's means */
	DV_FETCHXML_TOO_MANY, /* one does, behind the last that numbers lead to */
	DV_FETCHXML_BROKEN    /* the cookie is none: error is set */
} DvFetchXmlVerdict;

/*
 * What follows a page.  rows: of the query so far, this page included (if it is
 * not read yet, as if all pages were full).  *cookie, with DV_FETCHXML_NEXT: for
 * the next page's address, palloc'd; NULL: the page goes by its number.  That
 * dv_fetchxml_position of it has not been seen before is for the caller to watch.
 */
extern DvFetchXmlVerdict dv_fetchxml_next(const DvFetchXml *fetch,
										  const DvFetchXmlEnvelope *envelope, int64 rows,
										  char **cookie, DvError *error);

#endif /* DV_ODATA_FETCHXML_H */
