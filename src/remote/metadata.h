/*
 * metadata.h
 *	  Table schemas of an environment, fetched once, dropped on invalidation.
 */
#ifndef DV_REMOTE_METADATA_H
#define DV_REMOTE_METADATA_H

#include "odata/schema.h"
#include "remote/service.h"

/*
 * Whole schemas of the named tables (List of char *, logical names), by one
 * request for every DV_METADATA_CHUNK of them, in the order of those chunks.
 * Names that do not exist are left out: the caller compares.  Texts are in the
 * server encoding.  Current context.
 */
extern void dv_metadata_fetch(DvService *service, List *names, DvSchema **schemas, int *nschemas);

/*
 * One table's schema from the backend's cache (fetched at first use); NULL if
 * there is no such table.  Valid until the end of the transaction.
 */
extern const DvSchema *dv_metadata_table(DvService *service, const char *logical);

/*
 * The same for a caller who has looked into it and misses something: asked anew
 * unless that was done less than DV_METADATA_FRESH_MS ago.  What
 * dv_metadata_table returned before stays valid.
 */
extern const DvSchema *dv_metadata_again(DvService *service, const char *logical);

/*
 * Does the table take CreateMultiple and UpdateMultiple, and with them
 * UpsertMultiple (sheet 5.5)? Asked once, remembered.  A user who may not ask
 * gets false: $batch works everywhere.
 */
extern bool dv_metadata_bulk(DvService *service, const char *logical);

/* Forgets what is cached for a server; InvalidOid: for all. */
extern void dv_metadata_reset(Oid serverid);

#define DV_METADATA_CHUNK 50

/* The service caches metadata and labels for about as long (sheet 2.6). */
#define DV_METADATA_FRESH_MS 30000

#endif /* DV_REMOTE_METADATA_H */
