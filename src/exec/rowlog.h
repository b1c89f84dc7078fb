/*
 * rowlog.h
 *	  Writes what became of rows into a local table.
 */
#ifndef DV_EXEC_ROWLOG_H
#define DV_EXEC_ROWLOG_H

#include "postgres.h"

typedef enum DvRowLogKind
{
	DV_ROWLOG_REJECTS, /* refused rows, as a whole */
	DV_ROWLOG_RESULTS  /* a line for every row */
} DvRowLogKind;

/* One row. Texts in the server encoding, NULL where there is none; each kind uses its own. */
typedef struct DvRowNote
{
	int64 number;
	const char *row; /* JSON */
	const char *key;
	const char *outcome;
	const char *id;
	const char *code;
	const char *message;
	const char *request_id;
} DvRowNote;

typedef struct DvRowLog DvRowLog;

/*
 * Locks the table for writing until the end of the transaction.  Throws when it
 * is not there, its columns do not fit, or the user may not insert.  name:
 * schema.table in SQL's spelling; relid: the foreign table that the rows are
 * for.  Current context.
 */
extern DvRowLog *dv_rowlog_open(DvRowLogKind kind, const char *name, Oid relid);

/* Copies; writes when there are some hundred. */
extern void dv_rowlog_add(DvRowLog *log, const DvRowNote *note);

/* Writes what is kept, as the user who opened it. */
extern void dv_rowlog_flush(DvRowLog *log);

/* "public.rejects": as it was given. */
extern const char *dv_rowlog_name(const DvRowLog *log);

#endif /* DV_EXEC_ROWLOG_H */
