/*
 * hunt.h
 *	  Which rows of a refused set to send next, so that few requests find the
 *	  bad ones and write all others.
 */
#ifndef DV_ODATA_HUNT_H
#define DV_ODATA_HUNT_H

#include "odata/base.h"

/* One set's. Rows are counted in their order, settled ones left out. */
typedef struct DvHunt
{
	int open;       /* rows not settled */
	int suspects;   /* the first so many hold a bad one; 0: none known to */
	int one_by_one; /* so few suspects are asked each for itself */
	bool found;     /* a bad one, at least */
	bool crowd;     /* there are several: no halving */
} DvHunt;

/* The next request: for the first so many open rows; by_row: each with an answer of its own. */
typedef struct DvHuntStep
{
	int rows;
	bool by_row;
} DvHuntStep;

/* How many bad rows there were lately. */
typedef struct DvHuntDensity
{
	double rows;
	double bad;
} DvHuntDensity;

/*
 * one_by_one: at least 1, up to which rows may be asked each for itself; 1: no
 * such requests at all.  crowd: several bad ones are expected.
 */
extern void dv_hunt_begin(DvHunt *hunt, int rows, int one_by_one, bool crowd);

/* There must be open rows. */
extern DvHuntStep dv_hunt_next(const DvHunt *hunt);

/*
 * The request for the first so many, so made, was refused whole for the sake of
 * a row.  crowd: by now several bad ones are expected.
 */
extern void dv_hunt_refused(DvHunt *hunt, int sent, bool by_row, bool crowd);

/*
 * Of the first so many, sent together, some are left open.  bad: rows among the
 * others for which a request for several fails.
 */
extern void dv_hunt_settled(DvHunt *hunt, int sent, int left, int bad);

/* So many rows turned out to have so many bad ones: other sets learn from it. */
extern void dv_hunt_learn(DvHuntDensity *density, int rows, int bad);

/* Is a set of so many rows likely to have several bad ones? */
extern bool dv_hunt_expects_crowd(const DvHuntDensity *density, int rows);

#endif /* DV_ODATA_HUNT_H */
