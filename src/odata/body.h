/*
 * body.h
 *	  Rows and parameters as JSON request bodies, single or many.
 *
 * Each row is encoded once, into one buffer, and remembered by its place, so
 * that any run of rows can be sent (and, when a bulk request is halved, sent
 * again) without encoding it anew.
 */
#ifndef DV_ODATA_BODY_H
#define DV_ODATA_BODY_H

#include "odata/literal.h"

typedef enum DvJson
{
	DV_JSON_NULL,
	DV_JSON_STRING,  /* escaped and quoted here */
	DV_JSON_NUMBER,  /* written digit by digit as given; NaN and
								 * Infinity are refused */
	DV_JSON_BOOLEAN, /* "true" or "false" */
	DV_JSON_RAW      /* JSON text, written as it is */
} DvJson;

typedef struct DvBody DvBody;

extern DvBody *dv_body_create(void);     /* palloc'd */
extern void dv_body_reset(DvBody *body); /* no rows; memory kept */
extern void dv_body_free(DvBody *body);

extern void dv_body_row_begin(DvBody *body);

/*
 * False, with DV_ERROR_DATA and nothing added, when text is no such JSON value.
 * name: plain, escaped here.
 */
extern bool dv_body_field(DvBody *body, const char *name, DvJson kind, const char *text, size_t len,
						  DvError *error);

/*
 * Further members that only a bulk message wants ("@odata.type", "@odata.id",
 * the key): written before the row's fields in dv_body_targets, left out by
 * dv_body_row_single.  Text values, escaped here.
 */
extern void dv_body_target_field(DvBody *body, const char *name, const char *text);
extern void dv_body_row_end(DvBody *body);
extern void dv_body_row_abandon(DvBody *body); /* forgets the row begun and not ended */

extern int dv_body_rows(const DvBody *body);
extern size_t dv_body_bytes(const DvBody *body, int first, int n); /* of that run, about */

/* {"Targets":[...]} with the n rows listed; rows NULL: with the first n. */
extern void dv_body_targets(const DvBody *body, const int *rows, int n, StringInfo out);

/* {...}: one row without its target fields. */
extern void dv_body_row_single(const DvBody *body, int row, StringInfo out);

#endif /* DV_ODATA_BODY_H */
