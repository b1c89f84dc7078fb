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
#include "nodes/nodes.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "exec/aggregate.h"
#include "exec/direct.h"
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
	show_counter("Rows Unchanged", NULL, counters->unchanged, false, es);
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
		ExplainPropertyText(report->plan->children != NIL ? "Remote Query" : "Remote Filter",
							report->filter, es);
}

/* crm.account a: the schema under VERBOSE, the alias where it says something else. */
static void
append_relation(StringInfo out, Oid relid, int rti, ExplainState *es)
{
	const char *name = get_rel_name(relid);
	const char *alias = list_nth(es->rtable_names, rti - 1);

	if (es->verbose)
		appendStringInfo(out, "%s.",
						 quote_identifier(get_namespace_name(get_rel_namespace(relid))));
	appendStringInfoString(out, quote_identifier(name));
	if (alias == NULL)
		alias = rt_fetch(rti, es->rtable)->eref->aliasname;
	if (strcmp(alias, name) != 0)
		appendStringInfo(out, " %s", quote_identifier(alias));
}

static const char *
join_word(int join)
{
	switch (join)
	{
		case JOIN_LEFT:
			return "LEFT JOIN";
		case JOIN_SEMI:
			return "SEMI JOIN";
		case JOIN_ANTI:
			return "ANTI JOIN";
		default:
			return "INNER JOIN";
	}
}

static void
append_side(StringInfo out, const DvScanPlan *plan, int side, int offset, ExplainState *es)
{
	const DvJoinStep *step;
	const DvJoinMember *member;

	appendStringInfoChar(out, '(');
	if (side >= 0)
	{
		member = list_nth(plan->members, side);
		append_relation(out, member->relid, member->rti + offset, es);
	}
	else
	{
		step = list_nth(plan->steps, ~side);
		append_side(out, plan, step->left, offset, es);
		appendStringInfo(out, " %s ", join_word(step->join));
		append_side(out, plan, step->right, offset, es);
	}
	appendStringInfoChar(out, ')');
}

/* ((crm.account a) SEMI JOIN (crm.contact c)) */
static void
append_children(StringInfo out, const DvScanPlan *plan, int offset, ExplainState *es)
{
	ListCell *lc;

	foreach (lc, plan->children)
	{
		const DvJoinChild *child = lfirst(lc);
		char *left = pstrdup(out->data);

		resetStringInfo(out);
		appendStringInfo(out, "(%s %s JOIN (", left, child->anti ? "ANTI" : "SEMI");
		append_relation(out, child->relid, child->rti + offset, es);
		appendStringInfoString(out, "))");
	}
}

/* Range table indexes in the plan are those of planning: setrefs.c has moved them all alike. */
static int
rti_offset(const ForeignScan *scan, const DvScanPlan *plan)
{
	int least = PG_INT32_MAX;
	ListCell *lc;

	foreach (lc, plan->members)
		least = Min(least, ((DvJoinMember *) lfirst(lc))->rti);
	foreach (lc, plan->children)
		least = Min(least, ((DvJoinChild *) lfirst(lc))->rti);
	return dv_scan_first_rti(scan) - least;
}

/* What a pushed join joins, and in which language it is asked for. */
static void
show_join(ForeignScanState *node, const DvScanPlan *plan, ExplainState *es)
{
	int offset = rti_offset((ForeignScan *) node->ss.ps.plan, plan);
	StringInfoData out;

	if (plan->members == NIL)
		return;
	initStringInfo(&out);
	append_side(&out, plan, plan->steps == NIL ? 0 : ~(list_length(plan->steps) - 1), offset, es);
	append_children(&out, plan, offset, es);
	/* the outermost parentheses say nothing */
	ExplainPropertyText("Relations", pnstrdup(out.data + 1, out.len - 2), es);
	ExplainPropertyText("Remote Dialect", plan->children != NIL ? "FetchXML" : "OData", es);
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
	bool join = node->ss.ss_currentRelation == NULL;

	if (!es->verbose && !es->analyze && !join)
		return;
	if (dv_aggregate_is(node))
	{
		if (es->verbose || es->analyze)
			explain_aggregate(node, es);
		return;
	}
	dv_scan_report(node, &report);
	show_join(node, report.plan, es);
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

/* How many rows travel together. */
static void
show_size(const DvTable *table, ExplainState *es)
{
	if (table->settings.atomic)
		ExplainPropertyText("Remote Transaction", "statement", es);
	else
		ExplainPropertyInteger("Batch Size", NULL, table->settings.batch_size, es);
}

static void
show_write(const DvModifyPlan *plan, const DvTable *table, ExplainState *es)
{
	ExplainPropertyText("Remote Operation", mode_text(plan, table), es);
	ExplainPropertyText("Remote Address", address_text(plan, table), es);
	show_size(table, es);
}

void
dataverseExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private,
							  int subplan_index, ExplainState *es)
{
	const DvCounters *counters = es->analyze ? dv_modify_counters(rinfo) : NULL;

	if (es->verbose)
	{
		DvModifyPlan *plan = dv_handoff_unpack_modify(fdw_private);
		DvTable *table = dv_options_table(RelationGetRelid(rinfo->ri_RelationDesc));

		if (mtstate->operation == CMD_INSERT)
			dv_modify_choose_key(mtstate, table, plan);
		show_write(plan, table, es);
	}
	if (counters != NULL)
		show_counters(counters, es);
}

static void
add_counters(DvCounters *to, const DvCounters *from)
{
	to->requests += from->requests;
	to->retries += from->retries;
	to->bytes_in += from->bytes_in;
	to->bytes_out += from->bytes_out;
	to->throttled_ms += from->throttled_ms;
}

static void
show_known_rows(const DvDirectReport *report, ExplainState *es)
{
	const char *method = report->plan->mode == DV_WRITE_DELETE ? "DELETE" : "PATCH";

	if (report->ids == 0)
		ExplainPropertyText("Remote Request", "none (no row can satisfy the condition)", es);
	else if (report->address != NULL)
		ExplainPropertyText("Remote Request", psprintf("%s %s", method, report->address), es);
	else
	{
		ExplainPropertyText("Remote Address", address_text(report->plan, report->table), es);
		show_size(report->table, es);
	}
	if (report->ids > 1)
		ExplainPropertyInteger("Remote Ids", NULL, report->ids, es);
}

/* Rows are those written; requests and bytes also those of the read. */
void
dataverseExplainDirectModify(ForeignScanState *node, ExplainState *es)
{
	DvDirectReport report = {0};

	if (!es->verbose && !es->analyze)
		return;
	dv_direct_report(node, &report);
	if (es->verbose && report.reads)
	{
		show_request(&report.read, es);
		show_write(report.plan, report.table, es);
	}
	else if (es->verbose)
		show_known_rows(&report, es);
	add_counters(&report.counters, &report.read.counters);
	if (es->analyze)
		show_counters(&report.counters, es);
}
