/*
 * buf.h
 *	  Bytes that grow up to a bound and never throw.
 *
 * The only room that is called beneath libcurl, so it uses malloc and returns
 * failure: an ereport there would jump over libcurl's frames.
 */
#ifndef DV_ODATA_BUF_H
#define DV_ODATA_BUF_H

#include "odata/base.h"

typedef struct DvBuf
{
	char *data; /* malloc'ed, NUL-terminated; NULL while empty */
	size_t len; /* bytes, without the NUL */
	size_t cap;
	size_t max;    /* never more bytes than this */
	bool overflow; /* an append would have passed max */
	bool nomem;    /* an append found no memory */
} DvBuf;

extern void dv_buf_init(DvBuf *buf, size_t max);

/* False, with overflow or nomem set and nothing appended, when it cannot. */
extern bool dv_buf_append(DvBuf *buf, const void *bytes, size_t len);

/*
 * Room for that many more bytes and a NUL, which the caller may write at
 * data + len before it adds them to len; false as above.
 */
extern bool dv_buf_reserve(DvBuf *buf, size_t extra);
extern void dv_buf_reset(DvBuf *buf); /* empty, memory kept */
extern void dv_buf_free(DvBuf *buf);  /* empty, memory freed; may be repeated */

#endif /* DV_ODATA_BUF_H */
