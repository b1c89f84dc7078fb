/*
 * labels.h
 *	  Labels of choices as the values they stand for.
 */
#ifndef DV_EXEC_LABELS_H
#define DV_EXEC_LABELS_H

#include "odata/filter.h"
#include "remote/service.h"

/*
 * The values that carry these labels, as a list in literal.h's text forms: a
 * label may stand for several, and one that nobody has for none.  Asks for the
 * table's metadata once in a backend, and again when a label is not known:
 * somebody may have added it.  "unknown" when the column's choices are not to be
 * had.  Current context.
 */
extern DvValue *dv_labels_values(DvService *service, const char *table, const char *logical,
								 DvType type, const DvValue *labels);

#endif /* DV_EXEC_LABELS_H */
