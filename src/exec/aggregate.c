/*
 * aggregate.c
 *	  A foreign scan that is a pushed aggregate: begin, iterate, rescan, end.
 *
 * At the first row everything is asked for (exec/ranges.h), and put together by
 * group: counts and sums are added, extremes compared, distinct values
 * remembered.  Only then are rows returned, so that an answer that turns out not
 * to be had can be forgotten, and the outer plan, PostgreSQL's own aggregation
 * over the plain scan, runs instead: it has the same columns.
 *
 * Sums are numerics, whatever the column, and become what PostgreSQL's
 * aggregate returns at the end.  An average is numeric's own division of sum and
 * count, as avg() does it.  A sum has as many decimals as the least value shows,
 * since the service gives more (sheet 2.9).
 *
 * Memory grows with the groups and the distinct values, 5,000 of them for each
 * range at most.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

#include "exec/aggregate.h"
#include "exec/bulk.h"
#include "exec/convert.h"
#include "exec/datum.h"
#include "exec/operand.h"
#include "exec/ranges.h"

/* What a request has said about a group so far. */
typedef struct Tally
{
	bool present;
	int64 count;
	Datum *values; /* of the items: a numeric, or a value of the column's type */
	bool *nulls;
} Tally;

typedef struct Bucket
{
	Datum *values; /* of the group columns */
	bool *nulls;
	Tally *tallies; /* one for each request */
} Bucket;

/* A text, and what it stands for. */
typedef struct KeyEntry
{
	char *key;
	Bucket *group; /* NULL for a distinct value, which is only remembered */
	uint32 hash;
	char status;
} KeyEntry;

#define SH_PREFIX keys
#define SH_ELEMENT_TYPE KeyEntry
#define SH_KEY_TYPE char *
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), (int) strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* How one item of a request is read and put together. */
typedef struct Part
{
	DvApplyMethod method;
	int place;         /* among the converted columns; of extremes */
	FmgrInfo *compare; /* the same */
	Oid collation;
} Part;

typedef struct Answer
{
	int distinct; /* place among the converted columns; -1 none */
	Oid distinct_type;
	int nitems;
	Part *items;
} Answer;

typedef struct Aggregate
{
	MemoryContext context;
	DvAggregatePlan *plan;
	DvTable *table;
	DvService *service; /* NULL for EXPLAIN without ANALYZE */
	DvOperands *operands;
	DvConvert *convert; /* the group columns first, then those of the items */
	int ngroups;
	Oid *group_types; /* base types */
	int nqueries;
	Answer *queries;
	Oid userid;
	DvCounters counters;

	/* one run */
	MemoryContext run; /* NULL before the first */
	bool local;        /* the outer plan has the result */
	const char *reason;
	int ranges;
	List *groups; /* Bucket *, in the order in which they came */
	int next;
	keys_hash *keys;
	keys_hash *seen; /* distinct values */
	StringInfoData key;
} Aggregate;

bool
dv_aggregate_is(const ForeignScanState *node)
{
	return dv_handoff_is_aggregate(((ForeignScan *) node->ss.ps.plan)->fdw_private);
}

/*
 * Begin.
 */

static List *
add_column(const Aggregate *agg, List *columns, int attnum, int *place)
{
	DvColumn *column = dv_table_column(agg->table, attnum);

	if (column == NULL)
		elog(ERROR, "foreign table \"%s\" has no column %d", agg->table->name, attnum);
	*place = list_length(columns);
	return lappend(columns, column);
}

static List *
prepare_item(const Aggregate *agg, Part *item, DvApplyMethod method, int attnum, List *columns)
{
	DvColumn *column;
	TypeCacheEntry *type;

	item->method = method;
	if (method != DV_APPLY_MIN && method != DV_APPLY_MAX)
		return columns;
	columns = add_column(agg, columns, attnum, &item->place);
	column = llast(columns);
	type = lookup_type_cache(getBaseType(column->typid), TYPECACHE_CMP_PROC_FINFO);
	item->compare = &type->cmp_proc_finfo;
	item->collation = column->collation;
	return columns;
}

static List *
prepare_query(const Aggregate *agg, Answer *query, const DvAggregateQuery *plan, List *columns)
{
	query->distinct = -1;
	if (plan->distinct != 0)
	{
		columns = add_column(agg, columns, plan->distinct, &query->distinct);
		query->distinct_type = getBaseType(((DvColumn *) llast(columns))->typid);
	}
	query->nitems = list_length(plan->methods);
	query->items = palloc0(sizeof(Part) * Max(query->nitems, 1));
	for (int i = 0; i < query->nitems; i++)
		columns = prepare_item(agg, &query->items[i], list_nth_int(plan->methods, i),
							   list_nth_int(plan->attnums, i), columns);
	return columns;
}

static void
prepare_columns(Aggregate *agg)
{
	List *columns = NIL;
	DvColumn **array;
	ListCell *lc;
	int place;

	agg->ngroups = list_length(agg->plan->groups);
	agg->group_types = palloc(sizeof(Oid) * Max(agg->ngroups, 1));
	foreach (lc, agg->plan->groups)
	{
		columns = add_column(agg, columns, lfirst_int(lc), &place);
		agg->group_types[place] = getBaseType(((DvColumn *) llast(columns))->typid);
	}
	agg->nqueries = list_length(agg->plan->queries);
	agg->queries = palloc0(sizeof(Answer) * Max(agg->nqueries, 1));
	foreach (lc, agg->plan->queries)
		columns = prepare_query(agg, &agg->queries[foreach_current_index(lc)], lfirst(lc), columns);

	array = palloc(sizeof(DvColumn *) * Max(list_length(columns), 1));
	foreach (lc, columns)
		array[foreach_current_index(lc)] = lfirst(lc);
	agg->convert = dv_convert_prepare(agg->table, array, list_length(columns));
}

static List *
all_filters(const DvAggregatePlan *plan)
{
	List *filters = NIL;
	ListCell *lc;

	foreach (lc, plan->queries)
		filters = lappend(filters, ((DvAggregateQuery *) lfirst(lc))->filter);
	return filters;
}

void
dv_aggregate_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState *estate = node->ss.ps.state;
	MemoryContext context = AllocSetContextCreate(estate->es_query_cxt, "dataverse_fdw aggregate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Aggregate *agg = palloc0(sizeof(Aggregate));

	agg->context = context;
	agg->plan = dv_handoff_unpack_aggregate(plan->fdw_private);
	agg->table = dv_options_table(agg->plan->relid);
	prepare_columns(agg);
	agg->operands =
		dv_operand_prepare((PlanState *) node, agg->table, plan->fdw_exprs, all_filters(agg->plan));
	MemoryContextSwitchTo(before);
	node->fdw_state = agg;

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
	{
		agg->userid = dv_scan_check_as_user(plan, estate);
		if (!OidIsValid(agg->userid))
			agg->userid = GetUserId();
		agg->service = dv_service_open(agg->table->serverid, agg->userid);
	}
}

/*
 * Putting together.
 */

/* Equal values of a group column have equal texts. */
static void
append_key(StringInfo key, Datum value, bool isnull, Oid typid)
{
	if (isnull)
		appendStringInfoChar(key, '-');
	else if (typid == NUMERICOID)
		appendStringInfo(key, "=%s", numeric_normalize(DatumGetNumeric(value)));
	else
		appendStringInfo(key, "=%s", dv_datum_output(value, typid));
	appendStringInfoChar(key, '\n');
}

static Bucket *
new_group(Aggregate *agg, Datum *values, bool *nulls)
{
	Bucket *group = palloc(sizeof(Bucket));

	group->values = values;
	group->nulls = nulls;
	group->tallies = palloc0(sizeof(Tally) * Max(agg->nqueries, 1));
	for (int i = 0; i < agg->nqueries; i++)
	{
		Tally *tally = &group->tallies[i];
		int nitems = Max(agg->queries[i].nitems, 1);

		tally->values = palloc0(sizeof(Datum) * nitems);
		tally->nulls = palloc(sizeof(bool) * nitems);
		memset(tally->nulls, true, sizeof(bool) * nitems);
	}
	agg->groups = lappend(agg->groups, group);
	return group;
}

/* The group a row belongs to; the key buffer holds its key. */
static Bucket *
find_group(Aggregate *agg, DvField *fields)
{
	Datum *values = palloc(sizeof(Datum) * Max(agg->ngroups, 1));
	bool *nulls = palloc(sizeof(bool) * Max(agg->ngroups, 1));
	KeyEntry *entry;
	bool found;

	resetStringInfo(&agg->key);
	for (int i = 0; i < agg->ngroups; i++)
	{
		values[i] = dv_convert_in(agg->convert, i, &fields[i], NULL, &nulls[i]);
		append_key(&agg->key, values[i], nulls[i], agg->group_types[i]);
	}
	entry = keys_lookup(agg->keys, agg->key.data);
	if (entry != NULL)
		return entry->group;
	entry = keys_insert(agg->keys, pstrdup(agg->key.data), &found);
	entry->group = new_group(agg, values, nulls);
	return entry->group;
}

/* One value of a group more, unless an earlier range has had it. */
static void
take_distinct(Aggregate *agg, int query, Tally *tally, const DvField *field)
{
	const Answer *q = &agg->queries[query];
	bool isnull;
	bool found;
	Datum value = dv_convert_in(agg->convert, q->distinct, field, NULL, &isnull);

	if (isnull)
		return;
	appendStringInfo(&agg->key, "%d", query);
	append_key(&agg->key, value, false, q->distinct_type);
	if (keys_lookup(agg->seen, agg->key.data) != NULL)
		return;
	(void) keys_insert(agg->seen, pstrdup(agg->key.data), &found);
	tally->count++;
}

static Datum
read_numeric(const DvField *field)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(pnstrdup(field->text, field->len)),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static bool
take_count(Tally *tally, const DvField *field, int64 *rows)
{
	char *text = pnstrdup(field->text, field->len);

	if (field->kind != DV_FIELD_NUMBER || field->len == 0 || field->len > 18 ||
		text[strspn(text, "0123456789")] != '\0')
		return false;
	*rows = strtoll(text, NULL, 10);
	tally->count += *rows;
	return true;
}

static void
take_sum(Tally *tally, int i, const DvField *field)
{
	Datum more = read_numeric(field);

	if (!tally->nulls[i])
		more = DirectFunctionCall2(numeric_add, tally->values[i], more);
	tally->values[i] = more;
	tally->nulls[i] = false;
}

static void
take_extreme(Aggregate *agg, Tally *tally, int i, const Part *item, const DvField *field)
{
	bool isnull;
	Datum value = dv_convert_in(agg->convert, item->place, field, NULL, &isnull);
	int order;

	if (isnull)
		return;
	if (!tally->nulls[i])
	{
		order = DatumGetInt32(
			FunctionCall2Coll(item->compare, item->collation, value, tally->values[i]));
		if (item->method == DV_APPLY_MIN ? order >= 0 : order <= 0)
			return;
	}
	tally->values[i] = value;
	tally->nulls[i] = false;
}

/* One row of an answer; false when it cannot be what was asked for. */
static bool
take_row(void *target, int query, DvField *fields)
{
	Aggregate *agg = target;
	const Answer *q = &agg->queries[query];
	MemoryContext before = MemoryContextSwitchTo(agg->run);
	Tally *tally = &find_group(agg, fields)->tallies[query];
	const DvField *results = fields + agg->ngroups;
	int64 rows = 0;
	bool good = true;

	tally->present = true;
	if (q->distinct >= 0)
		take_distinct(agg, query, tally, &results[0]);
	for (int i = 0; i < q->nitems && good; i++)
	{
		switch (q->items[i].method)
		{
			case DV_APPLY_COUNT:
				good = take_count(tally, &results[i], &rows);
				break;
			case DV_APPLY_SUM:
				/* Item 0 has counted; a service may say 0 or nothing of no rows. */
				if (rows == 0)
					break;
				good = results[i].kind == DV_FIELD_NUMBER;
				if (good)
					take_sum(tally, i, &results[i]);
				break;
			case DV_APPLY_MIN:
			case DV_APPLY_MAX:
				if (rows > 0)
					take_extreme(agg, tally, i, &q->items[i], &results[i]);
				break;
		}
	}
	MemoryContextSwitchTo(before);
	return good;
}

/*
 * A run.
 */

static void
end_run(Aggregate *agg)
{
	if (agg->run != NULL)
		MemoryContextDelete(agg->run);
	agg->run = NULL;
	agg->local = false;
	agg->reason = NULL;
	agg->groups = NIL;
	agg->next = 0;
}

static void
start_run(Aggregate *agg, ForeignScanState *node)
{
	MemoryContext before;
	DvValue **values;
	DvRanges ranges = {.plan = agg->plan,
					   .table = agg->table,
					   .service = agg->service,
					   .userid = agg->userid,
					   .counters = &agg->counters,
					   .take = take_row,
					   .target = agg};

	agg->run = AllocSetContextCreate(agg->context, "dataverse_fdw run of an aggregate",
									 ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(agg->run);
	agg->keys = keys_create(agg->run, 128, NULL);
	agg->seen = keys_create(agg->run, 128, NULL);
	initStringInfo(&agg->key);
	if (!agg->plan->grouped)
		(void) find_group(agg, NULL);
	values = dv_operand_values(agg->operands, node->ss.ps.ps_ExprContext, agg->service, false);
	/* What functions and triggers read must hold what the statement that calls them wrote. */
	dv_bulk_flush_before_read(agg->table->serverid, node->ss.ps.state);
	agg->local =
		!dv_ranges_run(&ranges, (const DvValue *const *) values, agg->operands->n, &agg->reason);
	agg->ranges = ranges.ranges;
	if (agg->local)
		elog(DEBUG1, "aggregating rows of foreign table \"%s\" here: %s", agg->table->name,
			 agg->reason);
	MemoryContextSwitchTo(before);
}

/*
 * Results.
 */

/* With the decimals that PostgreSQL would see in the values. */
static Datum
sum_of(const Tally *tally, const DvAggregateOutput *output)
{
	Datum sum = tally->values[output->item];
	int32 scale;
	int32 needed;

	if (output->scale < 0 || tally->nulls[output->scale])
		return sum;
	scale = DatumGetInt32(DirectFunctionCall1(numeric_scale, tally->values[output->scale]));
	needed = DatumGetInt32(DirectFunctionCall1(numeric_min_scale, sum));
	return DirectFunctionCall2(numeric_round, sum, Int32GetDatum(Max(scale, needed)));
}

static Datum
result_value(const Bucket *group, const DvAggregateOutput *output, bool *isnull)
{
	const Tally *tally = &group->tallies[output->query];

	*isnull = false;
	switch (output->kind)
	{
		case DV_AGGREGATE_GROUP:
			*isnull = group->nulls[output->query];
			return group->values[output->query];
		case DV_AGGREGATE_COUNT:
			return Int64GetDatum(tally->count);
		case DV_AGGREGATE_SUM:
		case DV_AGGREGATE_AVG:
			*isnull = tally->nulls[output->item];
			if (*isnull)
				return (Datum) 0;
			if (output->kind == DV_AGGREGATE_AVG)
				return DirectFunctionCall2(numeric_div, sum_of(tally, output),
										   NumericGetDatum(int64_to_numeric(tally->count)));
			if (output->typid == INT8OID)
				return DirectFunctionCall1(numeric_int8, tally->values[output->item]);
			return sum_of(tally, output);
		case DV_AGGREGATE_BEST:
			*isnull = tally->nulls[output->item];
			return tally->values[output->item];
	}
	elog(ERROR, "unknown kind of aggregate %d", output->kind);
	return (Datum) 0;
}

/* The next group that exists, or NULL. */
static const Bucket *
next_group(Aggregate *agg)
{
	while (agg->next < list_length(agg->groups))
	{
		const Bucket *group = list_nth(agg->groups, agg->next++);

		if (!agg->plan->grouped || group->tallies[0].present)
			return group;
	}
	return NULL;
}

/*
 * The outer plan's columns are the scan's.  Its nodes want the context that
 * nodes usually find, and not that of one row.
 */
static TupleTableSlot *
next_local(ForeignScanState *node, TupleTableSlot *slot)
{
	MemoryContext before = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);
	TupleTableSlot *outer = ExecProcNode(outerPlanState(node));
	int natts = slot->tts_tupleDescriptor->natts;

	MemoryContextSwitchTo(before);
	ExecClearTuple(slot);
	if (TupIsNull(outer))
		return slot;
	slot_getallattrs(outer);
	memcpy(slot->tts_values, outer->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, outer->tts_isnull, sizeof(bool) * natts);
	return ExecStoreVirtualTuple(slot);
}

TupleTableSlot *
dv_aggregate_iterate(ForeignScanState *node)
{
	Aggregate *agg = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	const Bucket *group;
	ListCell *lc;

	if (agg->run == NULL)
		start_run(agg, node);
	if (agg->local)
		return next_local(node, slot);
	ExecClearTuple(slot);
	group = next_group(agg);
	if (group == NULL)
		return slot;
	foreach (lc, agg->plan->outputs)
	{
		int i = foreach_current_index(lc);

		slot->tts_values[i] = result_value(group, lfirst(lc), &slot->tts_isnull[i]);
	}
	return ExecStoreVirtualTuple(slot);
}

/* Without new parameters the result is still there. The executor rescans the outer plan. */
void
dv_aggregate_rescan(ForeignScanState *node)
{
	Aggregate *agg = node->fdw_state;

	agg->next = 0;
	if (node->ss.ps.chgParam != NULL)
		end_run(agg);
}

void
dv_aggregate_end(ForeignScanState *node)
{
	Aggregate *agg = node->fdw_state;

	/* Begin may have failed. */
	if (agg == NULL)
		return;
	MemoryContextDelete(agg->context);
	node->fdw_state = NULL;
}

/*
 * For EXPLAIN.
 */

void
dv_aggregate_report(ForeignScanState *node, DvAggregateReport *report)
{
	Aggregate *agg = node->fdw_state;
	DvRanges ranges = {.plan = agg->plan, .table = agg->table};
	DvValue **values = dv_operand_values(agg->operands, node->ss.ps.ps_ExprContext, NULL, true);

	for (int i = 0; i < agg->nqueries; i++)
	{
		char *path = dv_ranges_path(&ranges, i, (const DvValue *const *) values, agg->operands->n);

		if (path != NULL && !dv_operand_all_known(agg->operands, values))
			path = dv_operand_show(path);
		report->requests = lappend(report->requests, path ? psprintf("GET %s", path) : NULL);
	}
	report->ranges = agg->ranges;
	report->reason = agg->reason;
	report->counters = agg->counters;
}
