/*
 * journal.h
 *	  What is known of the jobs of dataverse_load and of their chunks, as rows
 *	  of two local tables.
 *
 * All of it works within an SPI connection of the caller, as the current user;
 * nothing here commits.  Results live as long as that connection.
 */
#ifndef DV_EXEC_JOURNAL_H
#define DV_EXEC_JOURNAL_H

#include "utils/timestamp.h"

typedef struct DvJournal DvJournal;

typedef struct DvJob
{
	int32 id;
	char *name;
	Oid target;
	char *query;
	bool staged;    /* the rows stand in the table staging */
	Oid staging;    /* InvalidOid: dropped by somebody, or not yet there */
	char *columns;  /* of the target, as a list ready for SQL */
	bool made_ids;  /* the rows have primary ids that were made here, */
	bool given_ids; /* or that the query gave */
	bool finished;
	int64 total;
	int64 done; /* rows of chunks that are done */
	int64 refused;
} DvJob;

typedef struct DvChunk
{
	int32 number;
	int64 first; /* rows, both included */
	int64 last;
	int64 loaded;
	int64 refused;
} DvChunk;

/* procedure: one of the extension's, whose schema is the tables'. */
extern DvJournal *dv_journal_open(Oid procedure);
extern const char *dv_journal_schema(const DvJournal *journal); /* quoted */

/* The current user's job of that name; NULL when there is none. */
extern DvJob *dv_journal_find(DvJournal *journal, const char *name);

/* Makes one unless it is there. */
extern void dv_journal_enter(DvJournal *journal, const char *name, Oid target, const char *query);

/*
 * The job is this session's until it is let go or a transaction fails, over
 * commits.  False when it is another's.
 */
extern bool dv_journal_lock(DvJournal *journal, const DvJob *job);
extern void dv_journal_unlock(DvJournal *journal, const DvJob *job);

/* As if it had just been entered. */
extern void dv_journal_reset(DvJournal *journal, const DvJob *job, Oid target, const char *query);

/* The rows are there: job's staging, columns, ids and total.  Cuts them into chunks. */
extern void dv_journal_staged(DvJournal *journal, const DvJob *job, int64 chunk_rows);

/* A call begins to load. */
extern void dv_journal_begin(DvJournal *journal, const DvJob *job);

/* The first chunk that is not done is taken; false when all are done. */
extern bool dv_journal_next(DvJournal *journal, const DvJob *job, DvChunk *chunk);

/* throttled_until: 0 for never. */
extern void dv_journal_done(DvJournal *journal, const DvJob *job, const DvChunk *chunk,
							TimestampTz throttled_until);

/* chunk NULL: before there was one. */
extern void dv_journal_failed(DvJournal *journal, const DvJob *job, const DvChunk *chunk,
							  const char *error, TimestampTz throttled_until);
extern void dv_journal_finished(DvJournal *journal, const DvJob *job);
extern void dv_journal_forget(DvJournal *journal, const DvJob *job);

#endif /* DV_EXEC_JOURNAL_H */
