/*
 * url.h
 *	  Addresses: entity set, key, query options; is this link still our service?
 */
#ifndef DV_ODATA_URL_H
#define DV_ODATA_URL_H

#include "odata/literal.h"

/* What follows the service root. All texts plain (not encoded); NULL or 0: absent. */
typedef struct DvQuery
{
	const char *path;   /* accounts, accounts(<key, already encoded>), accounts/$count */
	const char *select; /* comma list */
	const char *filter;
	const char *orderby;
	const char *expand;
	const char *apply;
	int64 top; /* -1: absent */
	bool count;
	const char *extra; /* further options, already encoded: tag=x */
} DvQuery;

/* Appends path and query as they go over the wire. */
extern void dv_url_query(StringInfo out, const DvQuery *query);

/* One column of an alternate key and its value, in literal.h's text forms. */
typedef struct DvKeyPart
{
	const char *property; /* accountnumber, _geo_countryid_value */
	DvEdm edm;
	const char *text; /* never NULL: null addresses nothing */
} DvKeyPart;

/*
 * Appends set(k='v',...), or set(<guid>) when nparts is 1 and its property is
 * NULL.  in_url: percent-encode for use as an address; else the plain form for
 * @odata.id and @odata.bind in a body, which the service takes literally (1.5).
 */
extern void dv_url_key(StringInfo out, const char *entity_set, const DvKeyPart *parts, int nparts,
					   bool in_url);

/* Does the value hold a character that keyed addresses refuse even when encoded? (1.5) */
extern bool dv_url_key_refuses(DvEdm edm, const char *text);

/*
 * Is this absolute link on the same scheme, host, port and below the same
 * service root as base ("https://host/api/data/v9.2")?  Anything doubtful
 * (user info, backslash, control characters, .. segments) is false.
 */
extern bool dv_url_same_service(const char *base, const char *link);

/* Is this an acceptable environment root: https, or http to a loopback address? err says why not. */
extern bool dv_url_check_root(const char *url, DvError *error);

/* Longest address of a GET, and of a GET within $batch (1.7). */
#define DV_URL_MAX 32768
#define DV_URL_MAX_BATCH 65536

#endif /* DV_ODATA_URL_H */
