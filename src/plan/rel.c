/*
 * rel.c
 *	  What we know of a foreign table while planning, and what reading it costs.
 *
 * Planning asks the service nothing, unless use_remote_estimate says so: sizes
 * come from ANALYZE's figures where there are any, else from a round number.  Costs are postgres_fdw's two
 * figures, start-up and per row sent, plus what further pages add; they are
 * meant to make PostgreSQL prefer few rows sent and few requests, not to
 * predict seconds.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"

#include "plan/rel.h"
#include "remote/estimate.h"

/*
 * Rows assumed for a table never analyzed: rather too many, since reading a
 * large table whole instead of by keys is the dearer mistake.
 */
#define DEFAULT_ROWS 100000.0

/* Comparisons that the service takes in one query (sheet 2.3.1). */
#define CONDITIONS_MAX 500

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

/*
 * Asking the service (use_remote_estimate).
 */

/* Conditions that are known while planning, and those that are not. */
typedef struct Question
{
	DvFilter *filter; /* bound; NULL for none */
	List *others;     /* RestrictInfo *: to be judged by selectivity */
	List *others_sent;
} Question;

/* The type of the column that a slot is compared with; false when the filter has no such slot. */
static bool
slot_type(const DvFilter *filter, int slot, DvType *type)
{
	if (filter->kind == DV_FILTER_LEAF && filter->slot == slot)
	{
		*type = filter->type;
		return true;
	}
	for (int i = 0; i < filter->nargs; i++)
	{
		if (slot_type(filter->args[i], slot, type))
			return true;
	}
	return false;
}

/* The sendable part with its values, or NULL when they are not known yet. */
static DvFilter *
bind_known(PlannerInfo *root, const DvClause *clause)
{
	DvFilter *filter = dv_filter_sendable(clause->filter);
	int n = list_length(clause->operands);
	const DvValue **values = palloc0(sizeof(DvValue *) * Max(n, 1));
	ListCell *lc;

	if (filter == NULL)
		return NULL;
	foreach (lc, clause->operands)
	{
		int slot = foreach_current_index(lc);
		Const *value;
		DvType type;

		if (!slot_type(filter, slot, &type))
			continue;
		value = (Const *) estimate_expression_value(root, lfirst(lc));
		if (!IsA(value, Const))
			return NULL;
		values[slot] =
			dv_rel_operand_text(value->constvalue, value->constisnull, value->consttype, type);
	}
	return dv_filter_bind(filter, values, n);
}

static void
sort_known(PlannerInfo *root, const DvRel *dvrel, Question *question)
{
	ListCell *lc;

	memset(question, 0, sizeof(*question));
	foreach (lc, dvrel->clauses)
	{
		const DvRelClause *clause = lfirst(lc);
		DvFilter *known = NULL;

		if (clause->clause->filter->exactness != DV_NONE)
			known = bind_known(root, clause->clause);
		if (known != NULL)
		{
			question->filter = question->filter ? dv_filter_and(question->filter, known) : known;
			continue;
		}
		question->others = lappend(question->others, clause->rinfo);
		if (clause->clause->filter->exactness != DV_NONE)
			question->others_sent = lappend(question->others_sent, clause->rinfo);
	}
}

/* Rows that the known conditions leave: DV_COUNT_MAX for that or more, -1 unknown. */
static double
count_known(Oid userid, const DvRel *dvrel, const DvFilter *filter)
{
	StringInfoData text;

	if (filter->kind == DV_FILTER_FALSE)
		return 0;
	if (dv_filter_conditions(filter) > CONDITIONS_MAX)
		return -1;
	initStringInfo(&text);
	dv_filter_print(&text, filter);
	return dv_estimate_filter(userid, dvrel->table, text.data);
}

/*
 * The table's size, or the rows that the known conditions leave: *counted is
 * -1 where that is not known, and a lower bound from DV_COUNT_MAX on.  One of
 * the two is asked for, both only beyond the service's counting.
 */
static void
ask_service(RelOptInfo *rel, const DvRel *dvrel, const Question *question, double *counted)
{
	Oid userid = OidIsValid(rel->userid) ? rel->userid : GetUserId();
	double total;

	*counted = -1;
	if (question->filter != NULL && question->filter->kind != DV_FILTER_TRUE)
	{
		*counted = count_known(userid, dvrel, question->filter);
		rel->tuples = Max(rel->tuples, *counted);
		if (*counted < DV_COUNT_MAX)
			return;
	}
	total = dv_estimate_table(userid, dvrel->table);
	if (total >= 0)
		rel->tuples = Max(total, *counted);
}

static double
times_selectivity(PlannerInfo *root, RelOptInfo *rel, double rows, List *clauses)
{
	return clamp_row_est(rows *
						 clauselist_selectivity(root, clauses, rel->relid, JOIN_INNER, NULL));
}

/* Rows that some clauses leave of what the service counted, or not fewer than that. */
static double
apply_count(PlannerInfo *root, RelOptInfo *rel, double rows, double counted, List *others)
{
	double bound;

	if (counted < 0)
		return rows;
	bound = times_selectivity(root, rel, counted, others);
	return counted < DV_COUNT_MAX ? bound : Max(rows, bound);
}

static void
estimate_rows(PlannerInfo *root, RelOptInfo *rel, DvRel *dvrel)
{
	Question question = {0};
	double counted = -1;

	/* -1: never analyzed */
	dvrel->counted = rel->tuples > 0 || (rel->tuples == 0 && rel->pages > 0);
	if (!dvrel->counted)
		rel->tuples = DEFAULT_ROWS;

	dvrel->single_row = names_one_row(dvrel);
	if (dvrel->table->settings.remote_estimate && !dvrel->single_row)
	{
		sort_known(root, dvrel, &question);
		ask_service(rel, dvrel, &question, &counted);
	}
	set_baserel_size_estimates(root, rel);
	rel->rows = apply_count(root, rel, rel->rows, counted, question.others);
	dvrel->remote_rows = times_selectivity(root, rel, rel->tuples, sent_conditions(dvrel));
	dvrel->remote_rows = apply_count(root, rel, dvrel->remote_rows, counted, question.others_sent);
	if (dvrel->single_row)
	{
		rel->rows = Min(rel->rows, 1);
		dvrel->remote_rows = 1;
	}
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

bool
dv_rel_has_pseudoconstant(List *rinfos)
{
	ListCell *lc;

	foreach (lc, rinfos)
	{
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return true;
	}
	return false;
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
