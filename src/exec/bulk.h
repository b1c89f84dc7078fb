/*
 * bulk.h
 *	  Gathers rows into sets, and keeps order where it matters.
 */
#ifndef DV_EXEC_BULK_H
#define DV_EXEC_BULK_H

#include "executor/tuptable.h"
#include "handoff.h"
#include "remote/service.h"

typedef struct DvBulk DvBulk;

typedef struct DvBulkSpec
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	TupleDesc desc;             /* of the rows */
	AttrNumber id_attno;        /* UPDATE, DELETE: the primary id among the plan slot's junk;
								 * 0: the row itself has its alternate key */
	AttrNumber partition_attno; /* the same for elastic tables' partitionid; 0 none */
	AttrNumber etag_attno;      /* the same for the version read; 0: any will do */
	AttrNumber old_attno;       /* UPDATE: the same for the whole row read; 0 none */
	const void *owner;          /* the statement: its own scans do not flush it */
	bool hold;                  /* send nothing before the flush: the statement reads the
								 * table that it inserts into */
	bool own_ids;               /* INSERT: ids given were made for these rows, and an id that is
								 * taken is a row written before */
	const char *returning;      /* properties wanted back by dv_bulk_one; NULL none */
	bool labels;                /* annotations among them */
} DvBulkSpec;

/* In a child of the current context; everything ends with it. No request. */
extern DvBulk *dv_bulk_begin(const DvBulkSpec *spec);

/*
 * Encodes a row and keeps it; sends when a batch is full, and waits when all
 * places in flight are taken.  Throws for a row of an earlier call, too.
 */
extern void dv_bulk_add(DvBulk *bulk, TupleTableSlot *slot, TupleTableSlot *planslot);

/* One row at once, and what became of it. Valid until the next call. */
typedef struct DvBulkRow
{
	bool written;       /* else: left alone, or gone */
	const char *id;     /* primary id; NULL when only the key is known */
	const char *answer; /* JSON of the returning properties; NULL when there
								 * are none */
	size_t answer_len;
} DvBulkRow;

extern void dv_bulk_one(DvBulk *bulk, TupleTableSlot *slot, TupleTableSlot *planslot,
						DvBulkRow *row);

/* Sends what is kept and waits for everything in flight. */
extern void dv_bulk_flush(DvBulk *bulk);
extern int64 dv_bulk_written(const DvBulk *bulk); /* rows the service has confirmed */
extern int64 dv_bulk_skipped(const DvBulk *bulk); /* rows rightly not written */
extern int64 dv_bulk_refused(const DvBulk *bulk); /* rows set aside */
extern const DvCounters *dv_bulk_counters(const DvBulk *bulk);

/* Flushes, frees. */
extern void dv_bulk_end(DvBulk *bulk);

/*
 * Everything pending for this server is flushed, change sets (transaction
 * 'statement') excepted: before a read of the same
 * server.  reader is the reading statement's EState: rows of that statement
 * itself are not flushed, since SQL does not let it see them, and a keyed
 * inner scan would otherwise cut its own UPDATE into single rows.
 */
extern void dv_bulk_flush_before_read(Oid serverid, const void *reader);

/* The same for readers outside of any statement. */
extern void dv_bulk_flush_server(Oid serverid);

#endif /* DV_EXEC_BULK_H */
