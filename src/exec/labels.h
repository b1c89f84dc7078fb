/*
 * labels.h
 *	  Labels of choices as the values they stand for.
 */
#ifndef DV_EXEC_LABELS_H
#define DV_EXEC_LABELS_H

#include "odata/body.h"
#include "odata/filter.h"
#include "remote/service.h"

/*
 * The values that carry these labels, as a list in literal.h's text forms: a
 * label may stand for several, and one that nobody has for none.  Asks for the
 * table's metadata once in a backend, and again, though not often, when a label
 * is not known: somebody may have added it.  "unknown" when the column's choices
 * are not to be had.  Current context.
 */
extern DvValue *dv_labels_values(DvService *service, const char *table, const char *logical,
								 DvType type, const DvValue *labels);

/* A label column that is written. */
typedef struct DvLabelWriter DvLabelWriter;

/* Current context, which must outlive it but not the transaction. No request. */
extern DvLabelWriter *dv_labels_prepare(DvService *service, const DvTable *table,
										const DvColumn *column);

/*
 * A label, in the server encoding, as the JSON of the value it stands for;
 * several, with semicolons between them, for a column of several choices.
 * value: what the row gives the choice's own column, in the same JSON, or NULL:
 * it must have that label, and tells which of several values with one label is
 * meant.  Throws what is an error of the row.  *text is palloc'd, static, or value.
 */
extern DvJson dv_labels_write(DvLabelWriter *writer, const char *label, const char *value,
							  const char **text);

#endif /* DV_EXEC_LABELS_H */
