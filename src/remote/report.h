/*
 * report.h
 *	  A DvError as ereport: SQLSTATE, detail, hint, URL as context.
 */
#ifndef DV_REMOTE_REPORT_H
#define DV_REMOTE_REPORT_H

#include "odata/base.h"

/* What was being done, for the message. All may be NULL. */
typedef struct DvReportContext
{
	const char *what;    /* "could not read from foreign table \"account\"": the primary message;
								 * NULL: the service's own words are the message */
	const char *row;     /* the failing row's key: accountnumber='A1' */
	const char *written; /* "1200 rows had been written before": it was a write */
	const char *hint;    /* overrides the table's hint */
	int sqlstate;        /* overrides the table's state; 0: does not */
} DvReportContext;

/*
 * Throws.  Message: what + the service's words, lower case by our own part;
 * detail: service code, HTTP status, request id, row, written; hint by class.
 * No secret, no token, no query value reaches it.
 */
extern void dv_report(const DvError *error, const DvReportContext *context) pg_attribute_noreturn();

/* The same as a WARNING: for a failure that does not end the statement. */
extern void dv_report_warning(const DvError *error, const DvReportContext *context);

/* The words of an error in the server encoding, current context: for reject tables. */
extern char *dv_report_words(const DvError *error);

/*
 * Takes the words of an error away when they repeat (the beginning of) a secret
 * that was sent: error pages of front ends may show the request.
 */
extern void dv_report_hide(DvError *error, const char *secret);

/* SQLSTATE (MAKE_SQLSTATE form) for an error: also for reject tables. */
extern int dv_report_sqlstate(const DvError *error);

#endif /* DV_REMOTE_REPORT_H */
