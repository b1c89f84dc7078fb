/*
 * etag.h
 *	  A row's version as it travels through a plan, from the scan to the write.
 */
#ifndef DV_EXEC_ETAG_H
#define DV_EXEC_ETAG_H

#include "odata/page.h"
#include "storage/itemptr.h"

/* Packs a row's "@odata.etag". Throws for a version of another form than the service's. */
extern void dv_etag_pack(const DvField *field, ItemPointer tid);

/* The version as If-Match takes it: W/"502482". palloc'd. */
extern char *dv_etag_text(const ItemPointerData *tid);

#endif /* DV_EXEC_ETAG_H */
