/*
 * inflate.h
 *	  A whole body as it was before its content coding.
 */
#ifndef DV_ODATA_INFLATE_H
#define DV_ODATA_INFLATE_H

#include "odata/base.h"
#include "odata/buf.h"

/* For Accept-Encoding: what can be unpacked. */
#define DV_INFLATE_ACCEPT "gzip"

typedef enum DvCoding
{
	DV_CODING_NONE,
	DV_CODING_GZIP,
	DV_CODING_UNKNOWN
} DvCoding;

/* What a Content-Encoding header says; NULL: there is none. */
extern DvCoding dv_inflate_coding(const char *content_encoding);

/*
 * Unpacks all members of a gzip body into out, which is empty; out->max bounds
 * the result, and nothing larger is allocated.  False, with error set and
 * nothing to be read in out, when a single byte is wrong, missing or too many.
 */
extern bool dv_inflate_gzip(const char *bytes, size_t len, DvBuf *out, DvError *error);

#endif /* DV_ODATA_INFLATE_H */
