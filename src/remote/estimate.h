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

/*
 * dv_estimate_table for somebody who has other things to wait for.  False when
 * it is not remembered: then dv_estimate_ask starts the request, NULL when that
 * is not wanted at the moment, and dv_estimate_take has its answer when it is
 * done, and releases it.
 */
typedef struct DvEstimate DvEstimate;

extern bool dv_estimate_remembered(DvService *service, const DvTable *table, double *rows);
extern DvEstimate *dv_estimate_ask(DvService *service, const DvTable *table, DvCounters *counters);
extern DvCall *dv_estimate_call(const DvEstimate *estimate);
extern double dv_estimate_take(DvEstimate *estimate);

#endif /* DV_REMOTE_ESTIMATE_H */
