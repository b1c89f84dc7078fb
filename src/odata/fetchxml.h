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

/*
 * The cookie inside the annotation fetchxmlpagingcookie, URL-decoded twice;
 * *cookie is NULL when there is none.  False, with DV_ERROR_PROTOCOL, for
 * anything but such an annotation.
 */
extern bool dv_fetchxml_cookie(const char *annotation, char **cookie, DvError *error);

/* What of a cookie must differ from page to page: all but the number of the page. */
extern const char *dv_fetchxml_position(const char *cookie);

#endif /* DV_ODATA_FETCHXML_H */
