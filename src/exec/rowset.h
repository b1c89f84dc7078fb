/*
 * rowset.h
 *	  Rows that travel together, encoded once, and what became of each.
 */
#ifndef DV_EXEC_ROWSET_H
#define DV_EXEC_ROWSET_H

#include "exec/encode.h"
#include "odata/body.h"

typedef enum DvFate
{
	DV_FATE_OPEN = 0, /* not sent, or not known, or to be sent again */
	DV_FATE_WRITTEN,
	DV_FATE_SKIPPED, /* rightly not: exists (do_nothing), or is gone (UPDATE, DELETE) */
	DV_FATE_REFUSED
} DvFate;

typedef struct DvRowSet
{
	MemoryContext context; /* owns all of it, requests included */
	DvBody *body;          /* NULL for DELETE */
	int nrows;
	int cap;
	DvRow *rows;
	DvFate *fates;
	DvError **errors;     /* of refused rows; NULL while none is refused */
	MinimalTuple *tuples; /* the rows as they came; NULL unless they are kept */
	bool *existed;        /* before this set was sent; NULL: nobody asked */
	char **found;         /* their ids then, or since; NULL: nobody asked */
	int told;             /* HTTP status of a single row's answer: 201 created; 0 none */
	bool doubtful;        /* a request for these rows may have been processed
								 * without our knowing */
	bool raced;           /* the second chance of sheet 7.8 is spent */
	bool slow;            /* so is the second one after a time-out */
	char *turns;          /* elastic upserts: how often each row turned (write.c); NULL: none yet */
	bool turned;          /* some did in the last request: it was progress */
	bool told_apart;      /* the last request's open rows are those that it was refused for */
	const int *sent;      /* rows of the last request; valid until it is judged */
	int nsent;
	bool *there;        /* of them, by number in the set: are they there?  NULL: not asked */
	const char *answer; /* the row as the service has it now, if it said */
	size_t answer_len;
} DvRowSet;

/* In a context of its own below parent. */
extern DvRowSet *dv_rowset_create(MemoryContext parent, DvWriteMode mode, bool keep_tuples);
/* Before any row is added: its fields will be compared (dv_body_track). */
extern void dv_rowset_track(DvRowSet *set);
extern void dv_rowset_free(DvRowSet *set);

/* Copies and encodes.  May throw like dv_encode_row, and then the set is as it was before. */
extern void dv_rowset_add(DvRowSet *set, DvEncode *encode, TupleTableSlot *slot, const DvRow *row);

/* Sets a row's fate to refused and keeps a copy of the error. No row may be added any more. */
extern void dv_rowset_refuse(DvRowSet *set, int row, const DvError *error);

/* A copy of an error in the set's context. */
extern void dv_rowset_copy_error(const DvRowSet *set, DvError *to, const DvError *from);

/* Rows of that fate. */
extern int dv_rowset_count(const DvRowSet *set, DvFate fate);

/* The open ones among the listed rows, moved to the front; their number. */
extern int dv_rowset_keep_open(const DvRowSet *set, int *rows, int n);

#endif /* DV_EXEC_ROWSET_H */
