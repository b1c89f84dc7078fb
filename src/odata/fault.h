/*
 * fault.h
 *	  An error response understood, and what to do about it.
 *
 * Source: protocol sheet 7.4 to 7.8.  Uses jansson: faults are small documents.
 */
#ifndef DV_ODATA_FAULT_H
#define DV_ODATA_FAULT_H

#include "odata/base.h"

/*
 * Fills error from an answer with an error status: JSON "error", then
 * "Message", then the status line's meaning.  Never fails: a body that is not
 * JSON (front ends answer with HTML) becomes a message that says so with its
 * first words.  Empty codes, decimal codes and codes in either case are taken.
 */
extern void dv_fault_parse(int status, const char *body, size_t len, DvError *error);

/*
 * Reads a DvError's row_errors (sheet 5.4): statuses[i] becomes the HTTP status
 * of the request's row i, 0 where the text does not tell.
 */
extern void dv_fault_row_statuses(const char *row_errors, int *statuses, int n);

/*
 * A Retry-After value, in seconds or as an HTTP date, as milliseconds from now
 * (0 where past, at most a day); -1 if neither.
 */
extern long dv_fault_retry_after(const char *value, int64 now_epoch);

typedef enum DvRepeat
{
	DV_REPEAT_SAFE,  /* sending twice is the same as once: reads,
								 * keyed upserts, creates with our id, deletes by id */
	DV_REPEAT_UNSAFE /* a blind create: repeat only what surely was
								 * not processed */
} DvRepeat;

typedef enum DvVerdict
{
	DV_VERDICT_FAIL,
	DV_VERDICT_RETRY, /* wait, then the same again */
	DV_VERDICT_RENEW, /* a new token, then the same again, once */
	DV_VERDICT_SPLIT  /* too large or too slow: half of it */
} DvVerdict;

/*
 * attempt counts from 0.  *wait_ms is set for RETRY: Retry-After where given
 * (but after five minutes one asks again, sheet 7.1), else 2^attempt seconds
 * with an upper end of 30 s, of which jitter (0..1, the caller's random share, so
 * that the function stays pure) decides the second half.  How long one request
 * may be retried in all is the caller's bound, and so is "once" of RENEW.
 *
 * SPLIT also answers a time-out of something repeatable; a caller that has
 * nothing to halve (a single row) fails.
 *
 * The race of two upserts (a duplicate key although none was asked about, sheet
 * 4.3) is not decided here: only the caller knows what it asked.
 */
extern DvVerdict dv_fault_decide(const DvError *error, DvRepeat repeat, int attempt, double jitter,
								 long *wait_ms);

/* What kind each failure is: sheet 7.7's last column, by code, then by status. */
typedef enum DvFaultClass
{
	DV_FAULT_OTHER,
	DV_FAULT_NOT_FOUND,
	DV_FAULT_UNIQUE,
	DV_FAULT_SERIALIZATION,
	DV_FAULT_FOREIGN_KEY,
	DV_FAULT_NOT_NULL,
	DV_FAULT_TOO_LONG,
	DV_FAULT_OUT_OF_RANGE,
	DV_FAULT_CHECK,
	DV_FAULT_DATETIME,
	DV_FAULT_RAISED, /* a plug-in refused */
	DV_FAULT_UNSUPPORTED,
	DV_FAULT_AUTH,
	DV_FAULT_PRIVILEGE,
	DV_FAULT_THROTTLED,
	DV_FAULT_RETRY,       /* passing, because of others' work: deadlock, lock */
	DV_FAULT_UNAVAILABLE, /* passing, whoever asks: down, starting, overloaded */
	DV_FAULT_AGGREGATE_LIMIT,
	DV_FAULT_COLUMN,   /* unknown column or property */
	DV_FAULT_TABLE,    /* unknown table or address */
	DV_FAULT_MISMATCH, /* some name, type or key of the request is not the service's */
	DV_FAULT_RESYNC,
	DV_FAULT_CALLER
} DvFaultClass;

extern DvFaultClass dv_fault_class(const DvError *error);

#endif /* DV_ODATA_FAULT_H */
