/*
 * apply.c
 *	  The text of $apply: filter, groupby, aggregate (sheet 2.9).
 *
 * Names of results are ours alone: what happens when one is also the name of a
 * column is not documented (sheet 15), so they begin with a prefix that no
 * publisher has.  "average" is deliberately missing: on whole numbers it is cut
 * to a whole number.  So is $orderby, which may not stand beside $apply.
 */
#include "odata/apply.h"

#include "compat.h"

static const char *const method_names[] = {
	[DV_APPLY_COUNT] = NULL,
	[DV_APPLY_SUM] = "sum",
	[DV_APPLY_MIN] = "min",
	[DV_APPLY_MAX] = "max",
};

char *
dv_apply_alias(int n)
{
	return psprintf("dv_%d", n);
}

static void
print_items(StringInfo out, const DvApply *apply)
{
	appendStringInfoString(out, "aggregate(");
	for (int i = 0; i < apply->nitems; i++)
	{
		const DvApplyItem *item = &apply->items[i];

		if (i > 0)
			appendStringInfoChar(out, ',');
		if (item->method == DV_APPLY_COUNT)
			appendStringInfo(out, "$count as dv_%d", i);
		else
			appendStringInfo(out, "%s with %s as dv_%d", item->property, method_names[item->method],
							 i);
	}
	appendStringInfoChar(out, ')');
}

void
dv_apply_print(StringInfo out, const DvApply *apply)
{
	Assert(apply->ngroups > 0 || apply->nitems > 0);
	if (apply->filter != NULL && apply->filter->kind != DV_FILTER_TRUE)
	{
		appendStringInfoString(out, "filter(");
		dv_filter_print(out, apply->filter);
		appendStringInfoString(out, ")/");
	}
	if (apply->ngroups == 0)
	{
		print_items(out, apply);
		return;
	}
	appendStringInfoString(out, "groupby((");
	for (int i = 0; i < apply->ngroups; i++)
		appendStringInfo(out, "%s%s", i > 0 ? "," : "", apply->groups[i]);
	appendStringInfoChar(out, ')');
	if (apply->nitems > 0)
	{
		appendStringInfoChar(out, ',');
		print_items(out, apply);
	}
	appendStringInfoChar(out, ')');
}
