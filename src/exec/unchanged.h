/*
 * unchanged.h
 *	  Which values of rows to be written the service has already.
 */
#ifndef DV_EXEC_UNCHANGED_H
#define DV_EXEC_UNCHANGED_H

#include "exec/rowset.h"
#include "handoff.h"
#include "remote/service.h"

typedef struct DvUnchanged DvUnchanged;

typedef struct DvUnchangedSpec
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	DvIdentity *identity;
	DvEncode *encode;
	DvCounters *counters;
} DvUnchangedSpec;

/*
 * For the rows of one statement; NULL where the table does not want it (option
 * skip_unchanged) or where it cannot be told.  Current context, which must
 * outlive it.  No request.
 */
extern DvUnchanged *dv_unchanged_prepare(const DvUnchangedSpec *spec);

/*
 * Reads what the service has of the listed rows, by one request for all of
 * them, leaves out the fields that would be stored as they are, and marks rows
 * of which nothing is left as skipped.  The others move to the front of the
 * list; their number.  Only of sets whose body is tracked (dv_body_track) from
 * the beginning: others stay as they are.  Throws when the service cannot be asked.
 */
extern int dv_unchanged_sift(DvUnchanged *unchanged, DvRowSet *set, int *rows, int n);

#endif /* DV_EXEC_UNCHANGED_H */
