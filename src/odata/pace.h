/*
 * pace.h
 *	  How many rows, and how many bytes, the next bulk request may have.
 */
#ifndef DV_ODATA_PACE_H
#define DV_ODATA_PACE_H

#include "odata/base.h"

/* One measure: rows, or bytes. */
typedef struct DvPaceMeasure
{
	size_t most;   /* never more */
	size_t least;  /* nor less */
	size_t limit;  /* what holds */
	size_t failed; /* the least that was too much; 0 none */
	size_t passed; /* the most that went well below that */
	int good;      /* requests in a row that were as large as allowed and went well */
} DvPaceMeasure;

typedef struct DvPace
{
	DvPaceMeasure rows;  /* by time: what was too slow once may do later */
	DvPaceMeasure bytes; /* by size: what was too large once always is */
} DvPace;

/* Starts with the most. */
extern void dv_pace_begin(DvPace *pace, int most_rows, size_t most_bytes);

extern int dv_pace_rows(const DvPace *pace);
extern size_t dv_pace_bytes(const DvPace *pace);

/* A request of that size went well, was too slow, was too large. */
extern void dv_pace_good(DvPace *pace, int rows, size_t bytes);
extern void dv_pace_slow(DvPace *pace, int rows);
extern void dv_pace_large(DvPace *pace, int rows, size_t bytes);

#endif /* DV_ODATA_PACE_H */
