/*
 * ledger.h
 *	  What became of a statement's rows: counted, told, and set aside.
 */
#ifndef DV_EXEC_LEDGER_H
#define DV_EXEC_LEDGER_H

#include "exec/write.h"

typedef struct DvLedger DvLedger;

/*
 * In the current context.  Opens the tables that the options name, and throws
 * when they cannot be used; no request.
 */
extern DvLedger *dv_ledger_open(const DvWriter *writer, TupleDesc desc);

/* Must rowsets keep their rows' tuples? */
extern bool dv_ledger_keeps_tuples(const DvLedger *ledger);

/*
 * Does the statement go on after so many more refused rows, the last of them for
 * this (NULL: what stands in the row)?
 */
extern bool dv_ledger_tolerates(const DvLedger *ledger, int refused, const DvError *error);

/* Do rows that are refused end the statement, whatever their number? */
extern bool dv_ledger_stops(const DvLedger *ledger);

/* Rows that a request was about: so many of them are written, so many skipped. */
extern void dv_ledger_count(DvLedger *ledger, int written, int skipped);

/* Rows that left the statement before they were sent, since they exist. */
extern void dv_ledger_skip(DvLedger *ledger, const DvRow *row, const char *id);

/* Rows of which nobody will know whether they are written. */
extern void dv_ledger_doubt(DvLedger *ledger, int rows);

/* The service has refused a row of a set: sets it aside, or throws. */
extern void dv_ledger_refuse(DvLedger *ledger, const DvRowSet *set, int row);

/*
 * A row cannot be sent: sets it aside, or throws the error, which then also
 * says which row it is and what is written.  row may be known in part; slot as
 * it came, NULL for DELETE.
 */
extern void dv_ledger_refuse_unsent(DvLedger *ledger, const DvRow *row, TupleTableSlot *slot,
									ErrorData *error);

/* A failure that is no row's. */
extern void dv_ledger_fail(const DvLedger *ledger, const DvError *error) pg_attribute_noreturn();

/* "could not insert into foreign table", "12 rows had been written before": for errors. */
extern const char *dv_ledger_action(const DvLedger *ledger);
extern const char *dv_ledger_written_before(const DvLedger *ledger);

/* Before a set is sent: finds out which of its rows exist, if results tell that. May ask. */
extern void dv_ledger_foresee(DvLedger *ledger, DvRowSet *set);

/* No row of the set is open: results. May ask for ids. */
extern void dv_ledger_settle(DvLedger *ledger, DvRowSet *set);

/* Writes what is kept for local tables. */
extern void dv_ledger_flush(DvLedger *ledger);

/* The statement ends: flushes, and tells how many rows were refused. */
extern void dv_ledger_close(DvLedger *ledger);

extern int64 dv_ledger_written(const DvLedger *ledger);
extern int64 dv_ledger_skipped(const DvLedger *ledger);
extern int64 dv_ledger_refused(const DvLedger *ledger);

#endif /* DV_EXEC_LEDGER_H */
