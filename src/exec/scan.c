/*
 * scan.c
 *	  Begin, iterate, rescan, end: the rows of the scan's pages in slots.
 *
 * Three lifetimes.  What the plan says is prepared once, in the scan's context.
 * A run is what one set of operand values leads to: addresses, pages, requests;
 * its context is deleted when a rescan starts another, and whatever is in
 * flight is cancelled with it.  A row lives in the executor's per-tuple
 * context, which is current when Iterate is called.
 *
 * The network is touched at the first Iterate, never in Begin: EXPLAIN asks
 * nothing, and parameters are not known earlier.
 *
 * A rescan with the same values starts again from the page at hand when that
 * page held everything; else it asks anew.
 *
 * A pushed join is a scan of its main table whose rows hold related rows: the
 * columns of several tables, and the joined room's word on each row.
 *
 * When a long list was cut into pieces and the plan relies on an order, the
 * pieces, each in order, are sorted together here.
 *
 * A key join may give the keys of the next run while one is being read: the
 * next one then asks where the other leaves the wire idle, and takes its place
 * at the rescan.
 */
#include "postgres.h"

#include "compat.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "exec/aggregate.h"
#include "exec/bulk.h"
#include "exec/convert.h"
#include "exec/etag.h"
#include "exec/joined.h"
#include "exec/lanes.h"
#include "exec/operand.h"
#include "exec/request.h"
#include "exec/scan.h"
#include "remote/pollset.h"

/* A table of the scan: the only one, or a member of a join. */
typedef struct Source
{
	DvTable *table;
	DvConvert *convert;
	int ncolumns;
	DvColumn **columns;
	int id; /* place of its primary id among the fields, -1 unknown */
} Source;

/* Where a field goes. */
typedef struct Output
{
	Source *source;
	int column; /* of the source's */
	int place;  /* in the slot */
} Output;
/* What one set of operand values leads to. */
typedef struct Run
{
	MemoryContext context; /* all of it */
	DvValue **values;
	DvLanes *lanes; /* NULL: no row can satisfy the condition */
	DvSweep *sweep; /* or NULL */
	int npieces;
	bool unordered;         /* the plan relies on an order in which the pieces do not come */
	Tuplesortstate *sort;   /* while and after these are sorted, or NULL */
	TupleTableSlot *sorted; /* NULL until all have been sorted */
} Run;

typedef struct DvScan
{
	MemoryContext context;
	DvScanPlan *plan;
	DvTable *table;     /* of a join: the main table */
	DvService *service; /* NULL for EXPLAIN without ANALYZE */
	int nsources;
	Source *sources;
	DvJoined *joined; /* NULL: no join */
	DvRequest *request;
	DvOperands *operands;
	int ncolumns;
	Output *outputs;
	DvField *fields;
	DvCounters counters;

	Run *run;     /* NULL before the first */
	Run *next;    /* has begun to ask, for the keys that will be given next; or NULL */
	bool running; /* false: the next Iterate begins a run */
	int64 returned;
	bool impatient; /* Iterate gives up where it would have to wait */
	bool pending;   /* and has done so */
	int watch;      /* descriptor for a wait of somebody else's; 0: none yet */

	Datum keys; /* array for the slot that a key join fills; valid while a run is made */
	bool keys_given;
} DvScan;

/*
 * Begin.
 */

static void
prepare_sources(DvScan *scan)
{
	List *members = scan->plan->members;

	scan->nsources = Max(list_length(members), 1);
	scan->sources = palloc0(sizeof(Source) * scan->nsources);
	for (int i = 0; i < scan->nsources; i++)
	{
		Source *source = &scan->sources[i];

		source->table = scan->table;
		if (i > 0)
			source->table = dv_options_table(((DvJoinMember *) list_nth(members, i))->relid);
		source->columns = palloc(sizeof(DvColumn *) * Max(scan->ncolumns, 1));
		source->id = -1;
	}
}

/* A column to be read, for the next output. */
static void
prepare_output(DvScan *scan, int number, AttrNumber attnum)
{
	List *sources = scan->plan->sources;
	Output *output = &scan->outputs[number];

	output->source = &scan->sources[sources == NIL ? 0 : list_nth_int(sources, number)];
	output->place = sources == NIL ? attnum - 1 : number;
	output->column = output->source->ncolumns++;
	output->source->columns[output->column] = dv_table_column(output->source->table, attnum);
	if (output->source->columns[output->column] == NULL)
		elog(ERROR, "foreign table \"%s\" has no column %d", output->source->table->name, attnum);
}

/* The columns to be read; returns the names of their properties in a row. */
static const char **
prepare_columns(DvScan *scan)
{
	const char **properties;
	ListCell *lc;

	scan->ncolumns = list_length(scan->plan->attnums);
	scan->outputs = palloc0(sizeof(Output) * Max(scan->ncolumns, 1));
	prepare_sources(scan);
	foreach (lc, scan->plan->attnums)
		prepare_output(scan, foreach_current_index(lc), lfirst_int(lc));
	for (int i = 0; i < scan->nsources; i++)
	{
		Source *source = &scan->sources[i];

		source->convert = dv_convert_prepare(source->table, source->columns, source->ncolumns);
	}
	properties = palloc(sizeof(char *) * Max(scan->ncolumns, 1));
	for (int i = 0; i < scan->ncolumns; i++)
	{
		const Output *output = &scan->outputs[i];

		properties[i] = dv_convert_properties(output->source->convert)[output->column];
	}
	return properties;
}

/* Under the paths of their members; and where each member's id is. */
static void
put_on_paths(DvScan *scan, const char **properties)
{
	for (int i = 0; i < scan->ncolumns; i++)
	{
		const Output *output = &scan->outputs[i];
		int number = output->source - scan->sources;
		const DvJoinMember *member;

		if (number == 0)
			continue;
		member = list_nth(scan->plan->members, number);
		properties[i] = psprintf("%s/%s", member->path, properties[i]);
		if (output->source->columns[output->column]->is_primary_id)
			output->source->id = i;
	}
}

static List *
all_filters(const DvScanPlan *plan)
{
	List *filters = list_make1(plan->filter);
	ListCell *lc;

	foreach (lc, plan->children)
		filters = lappend(filters, ((DvJoinChild *) lfirst(lc))->filter);
	return filters;
}

static DvJoined *
prepare_join(DvScan *scan, ForeignScanState *node)
{
	int *ids;

	if (scan->plan->steps == NIL)
		return NULL;
	ids = palloc(sizeof(int) * scan->nsources);
	for (int i = 0; i < scan->nsources; i++)
	{
		ids[i] = scan->sources[i].id;
		if (i > 0 && ids[i] < 0)
			elog(ERROR, "primary id of joined foreign table \"%s\" is not among the columns",
				 scan->sources[i].table->name);
	}
	return dv_joined_prepare(&node->ss.ps, scan->plan,
							 ((ForeignScan *) node->ss.ps.plan)->fdw_exprs, ids);
}

void
dataverseBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState *estate = node->ss.ps.state;
	MemoryContext context;
	MemoryContext before;
	DvScan *scan;
	DvServerOptions *server;
	const char **properties;

	if (dv_aggregate_is(node))
	{
		dv_aggregate_begin(node, eflags);
		return;
	}
	context =
		AllocSetContextCreate(estate->es_query_cxt, "dataverse_fdw scan", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(context);
	scan = palloc0(sizeof(DvScan));

	scan->context = context;
	scan->plan = dv_handoff_unpack_scan(plan->fdw_private);
	scan->table = dv_options_table(scan->plan->relid);
	server = dv_options_server(scan->table->serverid);
	properties = prepare_columns(scan);
	put_on_paths(scan, properties);
	scan->request = dv_request_prepare(scan->plan, scan->table, server->root, properties);
	scan->sources[0].id = scan->request->id;
	scan->joined = prepare_join(scan, node);
	scan->fields = palloc0(sizeof(DvField) * (scan->request->nproperties + 1));
	scan->operands =
		dv_operand_prepare(&node->ss.ps, scan->table, plan->fdw_exprs, all_filters(scan->plan));
	if (scan->plan->key_param > 0)
		dv_operand_leave_open(scan->operands, scan->plan->key_param - 1);
	MemoryContextSwitchTo(before);
	node->fdw_state = scan;

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
	{
		Oid userid = dv_scan_check_as_user(plan, estate);

		scan->service =
			dv_service_open(scan->table->serverid, OidIsValid(userid) ? userid : GetUserId());
	}
}

/*
 * A run: values, addresses, pages.
 */

/* The slots' values in the current context, with what a key join above has given for this run. */
static DvValue **
evaluate(DvScan *scan, ForeignScanState *node)
{
	int open = scan->plan->key_param - 1;
	DvValue **values =
		dv_operand_values(scan->operands, node->ss.ps.ps_ExprContext, scan->service, false);

	if (open < 0)
		return values;
	if (!scan->keys_given)
		elog(ERROR, "foreign scan below a key join has no keys");
	scan->keys_given = false;
	values[open] = dv_operand_given(scan->operands, open, scan->keys);
	return values;
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_value(const DvValue *a, const DvValue *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->isnull != b->isnull || a->isarray != b->isarray || a->nitems != b->nitems ||
		a->has_null != b->has_null || a->unknown != b->unknown || !same_text(a->text, b->text))
		return false;
	for (int i = 0; i < a->nitems; i++)
	{
		if (!same_text(a->items[i], b->items[i]))
			return false;
	}
	return true;
}

/* Has the last run these values, and can it be read again? */
static bool
rewind_run(DvScan *scan, DvValue **values)
{
	const Run *run = scan->run;

	if (run == NULL || run->unordered)
		return false;
	for (int i = 0; i < scan->operands->n; i++)
	{
		if (!same_value(run->values[i], values[i]))
			return false;
	}
	return run->lanes == NULL || dv_lanes_rewind(run->lanes);
}

static void
end_run(Run *run)
{
	if (run == NULL)
		return;
	if (run->sort != NULL)
		tuplesort_end(run->sort);
	if (run->sorted != NULL)
		ExecDropSingleTupleTableSlot(run->sorted);
	MemoryContextDelete(run->context);
}

/* What follows the run is forgotten. */
static void
end_next(DvScan *scan)
{
	if (scan->run != NULL && scan->run->lanes != NULL)
		dv_lanes_follow(scan->run->lanes, NULL);
	end_run(scan->next);
	scan->next = NULL;
}

static void
end_runs(DvScan *scan)
{
	end_next(scan);
	end_run(scan->run);
	scan->run = NULL;
}

/* Ranges take the place of a query's pages, not of a list's pieces. */
static DvSweep *
make_sweep(DvScan *scan, const Run *run, List *pieces)
{
	DvSweepSpec spec = {scan->service, scan->request, (const DvValue *const *) run->values,
						scan->operands->n, &scan->counters};

	if (scan->request->partition == NULL || list_length(pieces) != 1 ||
		((DvPiece *) linitial(pieces))->nchecks > 0)
		return NULL;
	return dv_sweep_open(&spec);
}

/* A run with the present values, which asks nothing yet; NULL when the last one did for it. */
static Run *
make_run(DvScan *scan, ForeignScanState *node, bool rewind)
{
	MemoryContext context =
		AllocSetContextCreate(scan->context, "dataverse_fdw run of a scan", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Run *run = palloc0(sizeof(Run));
	DvLanesSpec spec = {scan->service, scan->request, &scan->counters};
	List *pieces;

	run->context = context;
	run->values = evaluate(scan, node);
	if (rewind && rewind_run(scan, run->values))
	{
		MemoryContextSwitchTo(before);
		MemoryContextDelete(context);
		return NULL;
	}
	pieces = dv_request_pieces(scan->request, (const DvValue *const *) run->values,
							   scan->operands->n, NULL);
	run->npieces = list_length(pieces);
	run->unordered = scan->plan->sortkeys != NIL && !dv_request_in_order(pieces);
	spec.ordered = scan->plan->sortkeys != NIL && !run->unordered;
	if (pieces != NIL)
	{
		/* What functions and triggers read must hold what the statement that calls them wrote. */
		dv_bulk_flush_before_read(scan->table->serverid, node->ss.ps.state);
		spec.sweep = run->sweep = make_sweep(scan, run, pieces);
		run->lanes = dv_lanes_open(&spec, pieces);
	}
	MemoryContextSwitchTo(before);
	return run;
}

static void
start_run(DvScan *scan, ForeignScanState *node)
{
	Run *run = scan->next;

	scan->returned = 0;
	scan->running = true;
	if (run == NULL)
	{
		run = make_run(scan, node, true);
		if (run == NULL)
			return;
	}
	scan->next = NULL;
	if (scan->run != NULL && scan->run->lanes != NULL)
		dv_lanes_follow(scan->run->lanes, NULL);
	end_run(scan->run);
	scan->run = run;
	if (run->lanes != NULL)
		dv_lanes_start(run->lanes);
}

/*
 * Rows.
 */

static void
fill_slot(DvScan *scan, TupleTableSlot *slot)
{
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	for (int i = 0; i < scan->ncolumns; i++)
	{
		const Output *output = &scan->outputs[i];
		const Source *source = output->source;

		slot->tts_values[output->place] = dv_convert_in(
			source->convert, output->column, &scan->fields[i],
			source->id >= 0 ? &scan->fields[source->id] : NULL, &slot->tts_isnull[output->place]);
	}
	ExecStoreVirtualTuple(slot);
	if (scan->request->etag >= 0)
		dv_etag_pack(&scan->fields[scan->request->etag], &slot->tts_tid);
}

/* The fields as a row; false when a join has none for them. */
static bool
take_row(DvScan *scan, TupleTableSlot *slot, ExprContext *econtext)
{
	if (scan->joined != NULL && !dv_joined_possible(scan->joined, scan->fields))
		return false;
	fill_slot(scan, slot);
	if (scan->joined == NULL || dv_joined_row(scan->joined, scan->fields, slot, econtext))
		return true;
	ExecClearTuple(slot);
	MemoryContextReset(econtext->ecxt_per_tuple_memory);
	return false;
}

/* The next row of the run's pages; an impatient scan's slot stays empty where it has to wait. */
static DvLanesState
next_row(DvScan *scan, TupleTableSlot *slot, ExprContext *econtext)
{
	DvLanes *lanes = scan->run->lanes;
	DvLanesState state = DV_LANES_END;

	ExecClearTuple(slot);
	do
	{
		if (lanes != NULL && scan->impatient)
			state = dv_lanes_try(lanes, scan->fields);
		else if (lanes != NULL)
			state = dv_lanes_row(lanes, scan->fields) ? DV_LANES_ROW : DV_LANES_END;
	} while (state == DV_LANES_ROW && !take_row(scan, slot, econtext));
	return state;
}

/* The column that holds a sort key; InvalidAttrNumber when it is not read. */
static AttrNumber
sort_attribute(DvScan *scan, const DvSortKey *key)
{
	for (int i = 0; i < scan->ncolumns; i++)
	{
		if (strcmp(scan->request->properties[i], key->property) == 0)
			return scan->outputs[i].place + 1;
	}
	return InvalidAttrNumber;
}

/*
 * Sorts on the keys that the plan relies on.  The primary id, which comes last
 * to keep paging stable, need not be among the columns read.
 */
static Tuplesortstate *
begin_sort(DvScan *scan, TupleDesc desc)
{
	int most = list_length(scan->plan->sortkeys);
	AttrNumber *attnums = palloc(sizeof(AttrNumber) * most);
	Oid *operators = palloc(sizeof(Oid) * most);
	Oid *collations = palloc(sizeof(Oid) * most);
	bool *nulls_first = palloc(sizeof(bool) * most);
	int n = 0;
	ListCell *lc;

	foreach (lc, scan->plan->sortkeys)
	{
		const DvSortKey *key = lfirst(lc);
		AttrNumber attnum = sort_attribute(scan, key);
		Form_pg_attribute attribute;
		TypeCacheEntry *type;

		if (attnum == InvalidAttrNumber)
			break;
		attribute = TupleDescAttr(desc, attnum - 1);
		type = lookup_type_cache(attribute->atttypid, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
		attnums[n] = attnum;
		operators[n] = key->descending ? type->gt_opr : type->lt_opr;
		collations[n] = attribute->attcollation;
		nulls_first[n] = key->nullable ? key->nulls_first : key->descending;
		n++;
	}
	if (n == 0 || n < most - 1)
		elog(ERROR, "sort key of a foreign scan is not among its columns");
	return tuplesort_begin_heap(desc, n, attnums, operators, collations, nulls_first, work_mem,
								NULL, TUPLESORT_NONE);
}

/* Reads all rows, and sorts them; WAIT when that is not possible yet. */
static DvLanesState
sort_pieces(DvScan *scan, ForeignScanState *node)
{
	Run *run = scan->run;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	MemoryContext before = MemoryContextSwitchTo(run->context);
	DvLanesState state;

	if (run->sort == NULL)
		run->sort = begin_sort(scan, slot->tts_tupleDescriptor);
	MemoryContextSwitchTo(before);
	while ((state = next_row(scan, slot, node->ss.ps.ps_ExprContext)) == DV_LANES_ROW)
	{
		tuplesort_puttupleslot(run->sort, slot);
		ExecClearTuple(slot);
		MemoryContextReset(node->ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	}
	if (state == DV_LANES_WAIT)
		return state;
	tuplesort_performsort(run->sort);
	MemoryContextSwitchTo(run->context);
	run->sorted = MakeSingleTupleTableSlot(slot->tts_tupleDescriptor, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(before);
	return state;
}

static DvLanesState
next_sorted(DvScan *scan, ForeignScanState *node)
{
	Run *run = scan->run;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	int natts = slot->tts_tupleDescriptor->natts;

	if (run->sorted == NULL && sort_pieces(scan, node) == DV_LANES_WAIT)
		return DV_LANES_WAIT;
	ExecClearTuple(slot);
	if (!tuplesort_gettupleslot(run->sort, true, false, run->sorted, NULL))
		return DV_LANES_END;
	slot_getallattrs(run->sorted);
	memcpy(slot->tts_values, run->sorted->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, run->sorted->tts_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	return DV_LANES_ROW;
}

TupleTableSlot *
dataverseIterateForeignScan(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	DvLanesState state;

	if (dv_aggregate_is(node))
		return dv_aggregate_iterate(node);
	scan->pending = false;
	if (!scan->running)
		start_run(scan, node);
	if (scan->plan->exact_limit && scan->returned >= scan->plan->limit)
		return ExecClearTuple(slot);
	state = scan->run->unordered ? next_sorted(scan, node)
								 : next_row(scan, slot, node->ss.ps.ps_ExprContext);
	if (state == DV_LANES_ROW)
		scan->returned++;
	scan->pending = state == DV_LANES_WAIT;
	return slot;
}

void
dataverseReScanForeignScan(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;

	if (dv_aggregate_is(node))
		dv_aggregate_rescan(node);
	else
		scan->running = false;
}

void
dv_scan_give_keys(ForeignScanState *node, Datum keys)
{
	DvScan *scan = node->fdw_state;

	end_next(scan);
	scan->keys = keys;
	scan->keys_given = true;
	ExecReScan((PlanState *) node);
}

void
dv_scan_give_next_keys(ForeignScanState *node, Datum keys)
{
	DvScan *scan = node->fdw_state;

	Assert(scan->running && scan->next == NULL);
	scan->keys = keys;
	scan->keys_given = true;
	scan->next = make_run(scan, node, false);
	if (scan->next->lanes != NULL && scan->run->lanes != NULL)
		dv_lanes_follow(scan->run->lanes, scan->next->lanes);
}

void
dv_scan_take_next_keys(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;

	if (scan->next == NULL)
		elog(ERROR, "foreign scan below a key join has no next keys");
	ExecReScan((PlanState *) node);
}

/*
 * Not waiting.
 */

void
dv_scan_start(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;

	if (!scan->running)
		start_run(scan, node);
}

void
dv_scan_be_impatient(ForeignScanState *node, bool impatient)
{
	DvScan *scan = node->fdw_state;

	scan->impatient = impatient;
}

bool
dv_scan_pending(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;

	return scan->pending;
}

int
dv_scan_calls(ForeignScanState *node, DvCall **calls)
{
	DvScan *scan = node->fdw_state;

	if (!scan->running || scan->run->lanes == NULL)
		return 0;
	return dv_lanes_calls(scan->run->lanes, calls);
}

int
dv_scan_watch(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;
	MemoryContext before;

	if (scan->watch == 0)
	{
		before = MemoryContextSwitchTo(scan->context);
		scan->watch = dv_pollset_watch();
		MemoryContextSwitchTo(before);
	}
	return scan->watch;
}

void
dataverseEndForeignScan(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;

	if (dv_aggregate_is(node))
	{
		dv_aggregate_end(node);
		return;
	}
	/* Begin may have failed. */
	if (scan == NULL)
		return;
	end_runs(scan);
	MemoryContextDelete(scan->context);
	node->fdw_state = NULL;
}

/*
 * For EXPLAIN.
 */

static char *
first_request(const DvScan *scan, DvValue *const *values, List *pieces)
{
	char *path;

	if (pieces == NIL)
		return NULL;
	path = ((DvPiece *) linitial(pieces))->path;
	return psprintf("GET %s",
					dv_operand_all_known(scan->operands, values) ? path : dv_operand_show(path));
}

/*
 * The last run's values, or those that are known before the first; a key
 * join's are many and change from run to run, and are shown as $n.
 */
static DvValue **
shown_values(DvScan *scan, ForeignScanState *node)
{
	DvValue **values;

	if (scan->run == NULL)
		return dv_operand_values(scan->operands, node->ss.ps.ps_ExprContext, NULL, true);
	values = palloc0(sizeof(DvValue *) * Max(scan->operands->n, 1));
	for (int i = 0; i < scan->operands->n; i++)
		values[i] = i == scan->plan->key_param - 1 ? NULL : scan->run->values[i];
	return values;
}

void
dv_scan_report(ForeignScanState *node, DvScanReport *report)
{
	DvScan *scan = node->fdw_state;
	DvValue **values = shown_values(scan, node);
	List *pieces = dv_request_pieces(scan->request, (const DvValue *const *) values,
									 scan->operands->n, &report->filter);

	report->pieces = list_length(pieces);
	report->request = first_request(scan, values, pieces);
	report->counters = scan->counters;
	report->plan = scan->plan;
	if (scan->run != NULL && scan->run->sweep != NULL)
		report->ranges = dv_sweep_ranges(scan->run->sweep);
}
