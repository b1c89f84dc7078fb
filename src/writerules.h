/*
 * writerules.h
 *	  What the planner and the executor must agree on about writes.
 *
 * COPY and routed partitions come to the executor without having seen the
 * planner, so the rules stand here, between the two.
 */
#ifndef DV_WRITERULES_H
#define DV_WRITERULES_H

#include "handoff.h"
#include "remote/options.h"

/*
 * What an INSERT does, by the table's options:
 *
 *	 on_conflict	with a key						without
 *	 update			upsert by key (default)			upsert by the id given
 *	 nothing		upsert that leaves rows alone	create, clashes skipped
 *	 error			create: the service's own unique keys refuse (default without a key)
 *
 * Sets mode and do_nothing. sql_nothing: the statement says ON CONFLICT DO NOTHING.
 */
static inline void
dv_writerules_insert(DvModifyPlan *plan, const DvTable *table, bool sql_nothing)
{
	DvOnConflict conflict = table->settings.on_conflict;

	if (sql_nothing)
		conflict = DV_CONFLICT_NOTHING;
	else if (conflict == DV_CONFLICT_DEFAULT)
		conflict = table->nkeys > 0 ? DV_CONFLICT_UPDATE : DV_CONFLICT_ERROR;

	plan->do_nothing = conflict == DV_CONFLICT_NOTHING;
	if (conflict == DV_CONFLICT_UPDATE || (plan->do_nothing && table->nkeys > 0))
		plan->mode = DV_WRITE_UPSERT;
	else
		plan->mode = DV_WRITE_CREATE;
}

/* Can a value of this column travel at all? A lookup's table goes along with its lookup. */
static inline bool
dv_writerules_sendable(const DvColumn *column, bool update)
{
	return !column->target_of && !column->read_only && !(update && column->is_primary_id);
}

/* Is the column's value the Dataverse column's own, and not a label of it or a key of its target? */
static inline bool
dv_writerules_own(const DvColumn *column)
{
	return !column->label_of && !column->target_of && !column->key_of;
}

/* Do both columns write the same value: a choice and its label, a lookup and its target's key? */
static inline bool
dv_writerules_partners(const DvColumn *a, const DvColumn *b)
{
	bool labels = a->label_of || b->label_of;
	bool keys = a->key_of || b->key_of;

	return a->attnum != b->attnum && labels != keys && !a->target_of && !b->target_of &&
		   strcmp(a->logical, b->logical) == 0;
}

/*
 * The columns that address a row for UPDATE and DELETE: the primary id, NULL if
 * the table has no column for it, and on elastic tables the partition (sheet
 * 13.1), NULL elsewhere.
 */
static inline void
dv_writerules_identity(const DvTable *table, const DvColumn **id, const DvColumn **partition)
{
	*id = NULL;
	*partition = NULL;
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];

		if (column->is_primary_id)
			*id = column;
		else if (table->table_type == DV_TABLE_ELASTIC &&
				 strcmp(column->property, "partitionid") == 0)
			*partition = column;
	}
}

/*
 * Name of such a column among the junk of a plan.  It holds the number, since
 * tables of one inheritance tree may not use one name for different columns.
 */
#define DV_WRITERULES_NAME(column) psprintf("dataverse_%d", (column)->attnum)

/* The same of the row's version, with option optimistic_concurrency: a tid (exec/etag.h). */
#define DV_WRITERULES_ETAG "dataverse_etag"

#endif /* DV_WRITERULES_H */
