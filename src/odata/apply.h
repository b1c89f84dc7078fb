/*
 * apply.h
 *	  The text of $apply: filter, groupby, aggregate (sheet 2.9).
 */
#ifndef DV_ODATA_APPLY_H
#define DV_ODATA_APPLY_H

#include "odata/filter.h"

typedef enum DvApplyMethod
{
	DV_APPLY_COUNT, /* rows; has no property */
	DV_APPLY_SUM,
	DV_APPLY_MIN,
	DV_APPLY_MAX
} DvApplyMethod;

typedef struct DvApplyItem
{
	DvApplyMethod method;
	const char *property;
} DvApplyItem;

typedef struct DvApply
{
	const DvFilter *filter; /* NULL: all rows */
	int ngroups;
	const char *const *groups; /* properties; an answer shows them under the same names */
	int nitems;
	const DvApplyItem *items; /* item n is called dv_n in the answer */
} DvApply;

/* OData text, not percent-encoded. Has groups or items. */
extern void dv_apply_print(StringInfo out, const DvApply *apply);

/* The name of item n in an answer; palloc'd. */
extern char *dv_apply_alias(int n);

/* Groups in one answer; one with so many may be cut short (sheet 2.9). */
#define DV_APPLY_GROUPS_MAX 5000

/* Rows that one request may aggregate. */
#define DV_APPLY_ROWS_MAX 50000

#endif /* DV_ODATA_APPLY_H */
