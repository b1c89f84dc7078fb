/*
 * grid.h
 *	  Where a value stands among those that a column can hold.
 */
#ifndef DV_ODATA_GRID_H
#define DV_ODATA_GRID_H

#include "odata/type.h"

#define DV_MICROS_PER_SECOND INT64CONST(1000000)

/* The last second of the service's calendar, 9999-12-31T23:59:59Z, since 1970. */
#define DV_MICROS_MAX (INT64CONST(253402300799) * DV_MICROS_PER_SECOND)

typedef enum DvPlace
{
	DV_PLACE_ON_GRID, /* the column can hold it */
	DV_PLACE_BETWEEN, /* between two values of the column */
	DV_PLACE_ABOVE,   /* above all of them */
	DV_PLACE_BELOW
} DvPlace;

/*
 * For numbers but doubles, days and instants, in the text forms of literal.h (a
 * number or a number of days may have a fraction); also "NaN" and "infinity" as
 * PostgreSQL sorts them.  *grid, palloc'd: the value's canonical text on the grid,
 * or of the next one below it; of no meaning above and below all.
 */
extern DvPlace dv_grid_place(DvType type, const char *text, char **grid);

#endif /* DV_ODATA_GRID_H */
