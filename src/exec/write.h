/*
 * write.h
 *	  One write request for some rows: its shape, and what its answer says of
 *	  each.
 */
#ifndef DV_EXEC_WRITE_H
#define DV_EXEC_WRITE_H

#include "exec/rowset.h"
#include "handoff.h"
#include "odata/batch.h"
#include "remote/service.h"

/* Same for all requests of a statement. */
typedef struct DvWriter
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	DvIdentity *identity;
	DvEncode *encode;
	bool own_ids; /* a create's id that is taken may be from an earlier statement */
	DvCounters *counters;
	const char *returning; /* properties wanted back from single rows, comma
								 * separated; NULL for none */
	bool labels;           /* they include annotations */
	bool tells;            /* a single upsert says whether it created */
} DvWriter;

typedef enum DvOutcome
{
	DV_OUTCOME_DONE,    /* no row of the request is open */
	DV_OUTCOME_AGAIN,   /* some are: send them again, after wait_ms */
	DV_OUTCOME_SMALLER, /* too large or too slow at once */
	DV_OUTCOME_BLAME,   /* refused whole for the sake of a row: nothing written */
	DV_OUTCOME_FATAL    /* no fault of a row */
} DvOutcome;

typedef struct DvWrite DvWrite;

/* What to send. */
typedef struct DvWriteAsk
{
	const int *rows; /* numbers in the set; kept by reference until finished */
	int n;
	bool by_row;   /* each row gets an answer of its own */
	long delay_ms; /* not before so long */
} DvWriteAsk;

/*
 * One row goes by a single-row request; several by the bulk message, or by
 * $batch where there is none for the purpose.
 */
extern DvWrite *dv_write_start(const DvWriter *writer, DvRowSet *set, const DvWriteAsk *ask);
extern DvCall *dv_write_call(const DvWrite *write);

/*
 * Once its call is done: sets the fates of its rows, the set's flags and, for
 * BLAME and FATAL, *error (in the set's context).  *written is the number of
 * rows found written.  May ask the service which rows exist.  Frees the write.
 */
extern DvOutcome dv_write_finish(DvWrite *write, DvError *error, long *wait_ms, int *written);

/* Reads one row's returning properties: set's context owns the answer. Throws if it is gone. */
extern const char *dv_write_read(const DvWriter *writer, DvRowSet *set, int row, size_t *len);

/*
 * For change sets, which are sent elsewhere.  A row's plain request as a part
 * of a batch; what an error to it means when it is none (open: it is one, may
 * ask the service); and a batch's boundary, which no data can hold.
 */
extern void dv_write_part(const DvWriter *writer, const DvRowSet *set, int row, DvBatch *batch,
						  int content_id);
extern DvFate dv_write_harmless(const DvWriter *writer, DvRowSet *set, int row,
								const DvError *error);
extern char *dv_write_boundary(void);

#endif /* DV_EXEC_WRITE_H */
