/*
 * convert.h
 *	  Column text to Datum and back, with the column named in errors.
 */
#ifndef DV_EXEC_CONVERT_H
#define DV_EXEC_CONVERT_H

#include "odata/body.h"
#include "odata/filter.h"
#include "odata/page.h"
#include "remote/options.h"

typedef struct DvConvert DvConvert;

/* For these columns, in this order; current context, which must outlive it. */
extern DvConvert *dv_convert_prepare(const DvTable *table, DvColumn *const *columns, int ncolumns);

/* Properties to ask for in each column's place: property, or annotation for labels and targets. */
extern const char *const *dv_convert_properties(const DvConvert *convert);

/*
 * A field as the column's Datum, in the current context.  A value that does
 * not fit throws, naming table, column, row id (may be NULL) and value.
 */
extern Datum dv_convert_in(DvConvert *convert, int column, const DvField *field,
						   const DvField *row_id, bool *isnull);

/*
 * A Datum as JSON of the kind the column's Dataverse type wants; *text is
 * palloc'd or static.  Throws when the value cannot be sent (NaN, infinity,
 * date out of range).
 */
extern DvJson dv_convert_out(DvConvert *convert, int column, Datum value, bool isnull,
							 const char **text, size_t *len);

/* A GUID's 36 characters as its 16 bytes; false for any other text. */
extern bool dv_convert_guid(const char *text, int len, unsigned char *bytes);

/*
 * A Datum of any type as the fixed text form of literal.h for comparison with
 * a column of that Dataverse type, scalars and arrays.  Used for alternate keys.
 */
extern DvValue *dv_convert_operand(Datum value, bool isnull, Oid typid, DvType type);

/*
 * The same for filter slots, where the operand's type may differ from the
 * column's as SQL's operators allow: dates and timestamps without zone are then
 * taken in the session's time zone.
 */
extern DvValue *dv_convert_comparand(Datum value, bool isnull, Oid typid, DvType type);

#endif /* DV_EXEC_CONVERT_H */
