/*
 * explain.c
 *	  The request as the service will see it, without asking it.
 *
 * EXPLAIN never waits for the network: what depends on the service's answers
 * (does a table take bulk messages? which lookup target?) is not shown.
 *
 * VERBOSE shows what is sent, ANALYZE what it cost; a plain EXPLAIN stays as
 * short as PostgreSQL's own.
 *
 * PostgreSQL explains after the executor has run and finished, but before the
 * node ends, which is when the last rows are sent.  So the figures of a write
 * are asked for in a way that sends them first.  That time is not in PostgreSQL's
 * "Execution Time", which has stopped its clock by then.
 */
#include "postgres.h"

#include "compat.h"

#include DV_EXPLAIN_STATE_HEADER
#include DV_EXPLAIN_HEADER
#include "utils/rel.h"

#include "exec/aggregate.h"
#include "exec/explain.h"
#include "exec/modify.h"
#include "exec/scan.h"
#include "remote/options.h"

static void
show_counter(const char *label, const char *unit, uint64 value, bool always, ExplainState *es)
{
	if (always || value != 0)
		ExplainPropertyInteger(label, unit, (int64) value, es);
}

static void
show_counters(const DvCounters *counters, ExplainState *es)
{
	show_counter("Remote Requests", NULL, counters->requests, true, es);
	show_counter("Remote Rows", NULL, counters->rows, true, es);
	show_counter("Remote Bytes", NULL, counters->bytes_in, true, es);
	show_counter("Remote Retries", NULL, counters->retries, false, es);
	if (es->timing)
		show_counter("Throttled Time", "ms", counters->throttled_ms, false, es);
}

static void
show_request(const DvScanReport *report, ExplainState *es)
{
	if (report->request == NULL)
	{
		ExplainPropertyText("Remote Request", "none (no row can satisfy the condition)", es);
		return;
	}
	ExplainPropertyText("Remote Request", report->request, es);
	if (report->pieces > 1)
		ExplainPropertyInteger("Remote Pieces", NULL, report->pieces, es);
	if (report->filter != NULL)
		ExplainPropertyText("Remote Filter", report->filter, es);
}

static void
explain_aggregate(ForeignScanState *node, ExplainState *es)
{
	DvAggregateReport report = {0};
	ListCell *lc;

	dv_aggregate_report(node, &report);
	foreach (lc, report.requests)
	{
		int n = foreach_current_index(lc) + 1;
		char *label = n == 1 ? "Remote Request" : psprintf("Remote Request %d", n);

		if (es->verbose)
			ExplainPropertyText(
				label, lfirst(lc) ? lfirst(lc) : "none (no row can satisfy the condition)", es);
	}
	if (!es->analyze)
		return;
	if (report.ranges > list_length(report.requests))
		ExplainPropertyInteger("Remote Ranges", NULL, report.ranges, es);
	if (report.reason != NULL)
		ExplainPropertyText("Aggregated Here", report.reason, es);
	show_counters(&report.counters, es);
}

void
dataverseExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	DvScanReport report = {0};

	if (!es->verbose && !es->analyze)
		return;
	if (dv_aggregate_is(node))
	{
		explain_aggregate(node, es);
		return;
	}
	dv_scan_report(node, &report);
	if (es->verbose)
		show_request(&report, es);
	if (!es->analyze)
		return;
	show_counter("Remote Ranges", NULL, report.ranges, false, es);
	show_counters(&report.counters, es);
}

/* "upsert by key accountnumber", and how it treats rows that are there. */
static char *
mode_text(const DvModifyPlan *plan, const DvTable *table)
{
	StringInfoData out;

	switch (plan->mode)
	{
		case DV_WRITE_CREATE:
			return plan->do_nothing ? "create, skipping rows that exist" : "create";
		case DV_WRITE_UPDATE:
			return "update";
		case DV_WRITE_DELETE:
			return "delete";
		case DV_WRITE_UPSERT:
			break;
	}
	initStringInfo(&out);
	appendStringInfoString(&out, plan->do_nothing ? "create where missing, by " : "upsert by ");
	if (table->nkeys == 0)
		appendStringInfoString(&out, "primary id");
	for (int i = 0; i < table->nkeys; i++)
		appendStringInfo(&out, "%s%s", i == 0 ? "key " : ", ", table->keys[i]);
	return out.data;
}

/* The address of one row, its values in braces. */
static char *
address_text(const DvModifyPlan *plan, const DvTable *table)
{
	StringInfoData out;

	initStringInfo(&out);
	switch (plan->mode)
	{
		case DV_WRITE_CREATE:
			appendStringInfo(&out, "POST %s", table->entity_set);
			return out.data;
		case DV_WRITE_DELETE:
			appendStringInfo(&out, "DELETE %s(", table->entity_set);
			break;
		case DV_WRITE_UPDATE:
		case DV_WRITE_UPSERT:
			appendStringInfo(&out, "PATCH %s(", table->entity_set);
			break;
	}
	if (plan->mode != DV_WRITE_UPSERT || table->nkeys == 0)
		appendStringInfo(&out, "{%s}", table->primary_id ? table->primary_id : "primary id");
	else
	{
		for (int i = 0; i < table->nkeys; i++)
		{
			const DvColumn *column = dv_table_column_named(table, table->keys[i]);

			appendStringInfo(&out, "%s%s={%s}", i == 0 ? "" : ",",
							 column ? column->property : table->keys[i], table->keys[i]);
		}
	}
	appendStringInfoChar(&out, ')');
	return out.data;
}

static void
show_write(const DvModifyPlan *plan, const DvTable *table, ExplainState *es)
{
	ExplainPropertyText("Remote Operation", mode_text(plan, table), es);
	ExplainPropertyText("Remote Address", address_text(plan, table), es);
	ExplainPropertyInteger("Batch Size", NULL, table->settings.batch_size, es);
}

void
dataverseExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private,
							  int subplan_index, ExplainState *es)
{
	const DvCounters *counters = es->analyze ? dv_modify_counters(rinfo) : NULL;

	if (es->verbose)
		show_write(dv_handoff_unpack_modify(fdw_private),
				   dv_options_table(RelationGetRelid(rinfo->ri_RelationDesc)), es);
	if (counters != NULL)
		show_counters(counters, es);
}
