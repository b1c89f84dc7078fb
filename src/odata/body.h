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

/* A name as it stands in a row, made once for many rows. */
typedef struct DvBodyName
{
	char *text; /* comma, quoted name, colon; palloc'd */
	int len;
} DvBodyName;

extern void dv_body_name(DvBodyName *name, const char *plain);

/* A value with its JSON kind. */
typedef struct DvBodyValue
{
	DvJson kind;
	const char *text; /* NULL for DV_JSON_NULL */
	size_t len;
} DvBodyValue;

/* dv_body_field with a name made before. */
extern bool dv_body_member(DvBody *body, const DvBodyName *name, const DvBodyValue *value,
						   DvError *error);

/*
 * Further members that only a bulk message wants ("@odata.type", "@odata.id",
 * the key): written before the row's fields in dv_body_targets, left out by
 * dv_body_row_single.  Text values, escaped here.
 */
extern void dv_body_target_field(DvBody *body, const char *name, const char *text);
extern void dv_body_row_end(DvBody *body);

/* One field of a row, when fields are tracked. */
typedef struct DvBodyField
{
	int mark;
	int start; /* of name and value, in the body's own buffer */
	int value;
	int len; /* of both */
} DvBodyField;

/*
 * From here on every field's place is remembered, so that some may be left out.
 * Before any row; the current context must outlive the body.
 */
extern void dv_body_track(DvBody *body);
extern bool dv_body_tracked(const DvBody *body);

/* A number for the caller to know the following fields by. */
extern void dv_body_mark(DvBody *body, int mark);

/* A row's fields; their number. */
extern int dv_body_fields(const DvBody *body, int row, const DvBodyField **fields);
extern const char *dv_body_value(const DvBody *body, const DvBodyField *field, size_t *len);

/* Leaves all fields of a row out but those, by their places among dv_body_fields. */
extern void dv_body_keep(DvBody *body, int row, const bool *keep);
extern void dv_body_row_abandon(DvBody *body); /* forgets the row begun and not ended */

extern int dv_body_rows(const DvBody *body);
extern size_t dv_body_bytes(const DvBody *body, int first, int n); /* of that run, about */

/* {"Targets":[...]} with the n rows listed; rows NULL: with the first n. */
extern void dv_body_targets(const DvBody *body, const int *rows, int n, StringInfo out);

/* {...}: one row without its target fields. */
extern void dv_body_row_single(const DvBody *body, int row, StringInfo out);

#endif /* DV_ODATA_BODY_H */
