/*
 * batch.h
 *	  Multipart batches, written and split (sheet 5.6, 5.7).
 */
#ifndef DV_ODATA_BATCH_H
#define DV_ODATA_BATCH_H

#include "odata/base.h"

#define DV_BATCH_MAX 1000 /* operations in one batch */

typedef struct DvBatch DvBatch;

/* boundary_seed: any text unique to the batch (hex digits). */
extern DvBatch *dv_batch_create(const char *boundary_seed);

/* path: "/api/data/v9.2/..." ; headers: "Name: value" lines or NULL, each ended by \r\n. */
extern void dv_batch_add(DvBatch *batch, const char *method, const char *path, const char *headers,
						 const char *body, size_t body_len, int content_id);
extern void dv_batch_changeset_begin(DvBatch *batch);
extern void dv_batch_changeset_end(DvBatch *batch);
extern int dv_batch_count(const DvBatch *batch);
extern size_t dv_batch_bytes(const DvBatch *batch);

/* Appends the body; returns the Content-Type value. */
extern const char *dv_batch_finish(DvBatch *batch, StringInfo out);

/* One answered operation. Pointers into the response body given to dv_batch_split. */
typedef struct DvBatchPart
{
	int status;     /* of the inner HTTP message */
	int content_id; /* -1 where none */
	bool in_changeset;
	int changeset;       /* number of the change set answered, -1 outside */
	const char *headers; /* raw header lines */
	size_t headers_len;
	const char *body;
	size_t body_len;
} DvBatchPart;

/*
 * Splits a multipart answer into its operations, in order.  Missing parts are
 * operations that were not executed: the caller compares numbers.  False, with
 * DV_ERROR_PROTOCOL, when the text is not a well-formed, completely ended
 * multipart body.
 */
extern bool dv_batch_split(const char *content_type, const char *body, size_t len,
						   DvBatchPart **parts, int *nparts, DvError *error);

/* Value of one header of a part, palloc'd, or NULL. Name without case. */
extern char *dv_batch_part_header(const DvBatchPart *part, const char *name);

#endif /* DV_ODATA_BATCH_H */
