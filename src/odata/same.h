/*
 * same.h
 *	  Would writing a value leave what is stored as it is?
 */
#ifndef DV_ODATA_SAME_H
#define DV_ODATA_SAME_H

#include "odata/page.h"
#include "odata/type.h"

/*
 * json is the value as a body has it (null, "...", 1.50, true), stored what the
 * service shows of the column.  precision: digits after the point to which the
 * service rounds the column, -1 unknown.  False when in doubt.
 */
extern bool dv_same_value(DvType type, int precision, const char *json, size_t len,
						  const DvField *stored);

#endif /* DV_ODATA_SAME_H */
