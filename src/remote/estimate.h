/*
 * estimate.h
 *	  How many rows there are, about, as the service says.
 *
 * For the planner and for ANALYZE; never an answer to a query.
 */
#ifndef DV_REMOTE_ESTIMATE_H
#define DV_REMOTE_ESTIMATE_H

#include "remote/service.h"

/* The service counts no further (sheet 2.7). */
#define DV_COUNT_MAX 5000

/*
 * Rows of the whole table; -1 when the service does not say.  At most one
 * request, none within DV_ESTIMATE_SECONDS of the one before.  Fails silently.
 */
extern double dv_estimate_table(Oid userid, const DvTable *table);

/*
 * Rows for which the condition (OData text, in the database's encoding) holds;
 * DV_COUNT_MAX stands for that or more, -1 for unknown.  As above.
 */
extern double dv_estimate_filter(Oid userid, const DvTable *table, const char *filter);

#define DV_ESTIMATE_SECONDS 60

#endif /* DV_REMOTE_ESTIMATE_H */
