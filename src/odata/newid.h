/*
 * newid.h
 *	  Ids for new rows, ordered as the service's index orders them.
 */
#ifndef DV_ODATA_NEWID_H
#define DV_ODATA_NEWID_H

#include "odata/base.h"

#define DV_ID_LEN 36
#define DV_ID_RANDOM 8

/* One stream of ids; all zeros at the start. */
typedef struct DvIdStream
{
	int64 ms;        /* time of the last id */
	uint32 sequence; /* of the last id within that time */
} DvIdStream;

/*
 * Writes the next id, lower case, NUL-terminated.  unix_ms is the clock's
 * reading; a clock that stands still or goes back does no harm.
 */
extern void dv_newid(DvIdStream *stream, int64 unix_ms, const uint8 random[DV_ID_RANDOM],
					 char id[DV_ID_LEN + 1]);

#endif /* DV_ODATA_NEWID_H */
