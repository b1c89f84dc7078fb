/*
 * ranges.h
 *	  Asks the requests of a pushed aggregate, in ranges of dates where the
 *	  whole is too much for the service.
 */
#ifndef DV_EXEC_RANGES_H
#define DV_EXEC_RANGES_H

#include "handoff.h"
#include "odata/page.h"
#include "remote/service.h"

/*
 * One row of the answer to a request: its group columns, the distinct column if
 * the query has one, its items.  The same group comes again for every range.
 * False: the row makes no sense.
 */
typedef bool (*DvRangesTake)(void *target, int query, DvField *fields);

typedef struct DvRanges
{
	const DvAggregatePlan *plan;
	const DvTable *table;
	DvService *service;
	Oid userid; /* whom the service is asked for */
	DvCounters *counters;
	DvRangesTake take;
	void *target;
	int ranges; /* set: requests that brought a part of the result */
} DvRanges;

/* The address of a request over all rows; NULL when no row can satisfy its condition. */
extern char *dv_ranges_path(const DvRanges *ranges, int query, const DvValue *const *values,
							int nvalues);

/*
 * Asks everything, hands over all rows.  False when the service does not
 * answer in full, with the reason: the caller reads the rows instead.  Throws
 * what would also keep it from reading them.  Current context.
 */
extern bool dv_ranges_run(DvRanges *ranges, const DvValue *const *values, int nvalues,
						  const char **reason);

#endif /* DV_EXEC_RANGES_H */
