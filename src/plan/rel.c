/*
 * rel.c
 *	  What we know of a foreign table while planning, and what reading it costs.
 *
 * Planning asks the service nothing: sizes come from ANALYZE's figures where
 * there are any, else from a round number.  Costs are postgres_fdw's two
 * figures, start-up and per row sent, plus what further pages add; they are
 * meant to make PostgreSQL prefer few rows sent and few requests, not to
 * predict seconds.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"

#include "plan/rel.h"

/* Rows assumed for a table never analyzed. */
#define DEFAULT_ROWS 10000.0

static DvRelClause *
translate_restriction(const DvTable *table, Index relid, RestrictInfo *rinfo)
{
	DvRelClause *result = palloc(sizeof(DvRelClause));

	result->rinfo = rinfo;
	result->clause = dv_translate_clause(table, relid, rinfo->clause);
	return result;
}

/* Is there a condition "column = one value" among the restrictions? */
static bool
has_equality(const DvRel *dvrel, const char *logical)
{
	ListCell *lc;

	foreach (lc, dvrel->clauses)
	{
		const DvFilter *filter = ((DvRelClause *) lfirst(lc))->clause->filter;

		if (filter->kind == DV_FILTER_LEAF && filter->op == DV_OP_EQ &&
			filter->exactness != DV_NONE && strcmp(filter->logical, logical) == 0)
			return true;
	}
	return false;
}

/* Do the restrictions name one row, by primary id or by the whole alternate key? */
static bool
names_one_row(const DvRel *dvrel)
{
	const DvTable *table = dvrel->table;

	if (table->primary_id != NULL && has_equality(dvrel, table->primary_id))
		return true;
	for (int i = 0; i < table->nkeys; i++)
	{
		DvColumn *column = dv_table_column_named(table, table->keys[i]);

		if (column == NULL || !has_equality(dvrel, column->logical))
			return false;
	}
	return table->nkeys > 0;
}

/* Conditions that go out, as a list for clauselist_selectivity. */
static List *
sent_conditions(const DvRel *dvrel)
{
	List *result = NIL;
	ListCell *lc;

	foreach (lc, dvrel->clauses)
	{
		DvRelClause *clause = lfirst(lc);

		if (clause->clause->filter->exactness != DV_NONE)
			result = lappend(result, clause->rinfo);
	}
	return result;
}

static void
estimate_rows(PlannerInfo *root, RelOptInfo *rel, DvRel *dvrel)
{
	/* -1: never analyzed */
	if (rel->tuples < 0 || (rel->tuples == 0 && rel->pages == 0))
		rel->tuples = DEFAULT_ROWS;

	set_baserel_size_estimates(root, rel);
	dvrel->single_row = names_one_row(dvrel);
	if (dvrel->single_row)
		rel->rows = Min(rel->rows, 1);
	dvrel->remote_rows =
		clamp_row_est(rel->tuples * clauselist_selectivity(root, sent_conditions(dvrel), rel->relid,
														   JOIN_INNER, NULL));
	if (dvrel->single_row)
		dvrel->remote_rows = 1;
	dvrel->remote_rows = Max(dvrel->remote_rows, rel->rows);
}

DvRel *
dv_rel_init(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	DvRel *dvrel = palloc0(sizeof(DvRel));
	ListCell *lc;

	dvrel->table = dv_options_table(relid);
	dvrel->all_exact = true;
	foreach (lc, rel->baserestrictinfo)
	{
		DvRelClause *clause = translate_restriction(dvrel->table, rel->relid, lfirst(lc));

		dvrel->clauses = lappend(dvrel->clauses, clause);
		if (clause->clause->filter->exactness != DV_EXACT)
			dvrel->all_exact = false;
	}
	estimate_rows(root, rel, dvrel);
	rel->fdw_private = dvrel;
	return dvrel;
}

DvClause *
dv_rel_clause(const RelOptInfo *rel, RestrictInfo *rinfo)
{
	const DvRel *dvrel = rel->fdw_private;
	ListCell *lc;

	foreach (lc, dvrel->clauses)
	{
		DvRelClause *clause = lfirst(lc);

		if (clause->rinfo == rinfo)
			return clause->clause;
	}
	return dv_translate_clause(dvrel->table, rel->relid, rinfo->clause);
}

DvCost
dv_rel_cost(PlannerInfo *root, const RelOptInfo *rel, double sent, List *checked)
{
	const DvSettings *settings = &((DvRel *) rel->fdw_private)->table->settings;
	double pages = ceil(Max(sent, 1) / settings->fetch_size);
	QualCost quals;
	DvCost cost;

	cost_qual_eval(&quals, checked, root);

	/* Each page after the first is a further round trip, half hidden by reading ahead. */
	cost.startup = settings->startup_cost + quals.startup + rel->reltarget->cost.startup;
	cost.total = cost.startup + (pages - 1) * settings->startup_cost / 2 +
				 sent * (settings->tuple_cost + cpu_tuple_cost + quals.per_tuple) +
				 sent * rel->reltarget->cost.per_tuple;
	return cost;
}
