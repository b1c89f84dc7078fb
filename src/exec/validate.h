/*
 * validate.h
 *	  Values that the service would refuse, refused before they are sent.
 */
#ifndef DV_EXEC_VALIDATE_H
#define DV_EXEC_VALIDATE_H

#include "odata/body.h"
#include "remote/service.h"

typedef struct DvValidate DvValidate;

/*
 * For the rows of one statement; NULL where the table does not want it (option
 * validate).  Current context, which must outlive it.  No request.
 */
extern DvValidate *dv_validate_prepare(DvService *service, const DvTable *table);

/*
 * Throws when a column of that table does not take this value, which is an error
 * of the row.  text is what goes into a body (dv_body_field), in UTF-8.  Asks for
 * the table's metadata once in a backend, and again, though not often, before it
 * refuses anything: somebody may have widened the column.
 */
extern void dv_validate_value(DvValidate *validate, const DvColumn *column, DvJson kind,
							  const char *text, size_t len);

/* The row is complete: throws when values that it has do not go together. Ready for the next row. */
extern void dv_validate_row(DvValidate *validate);

/* Forgets a row that was begun. */
extern void dv_validate_begin(DvValidate *validate);

#endif /* DV_EXEC_VALIDATE_H */
