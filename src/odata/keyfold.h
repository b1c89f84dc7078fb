/*
 * keyfold.h
 *	  A coarse form of a row's key: rows that the service may take for the same
 *	  one have the same form.
 */
#ifndef DV_ODATA_KEYFOLD_H
#define DV_ODATA_KEYFOLD_H

#include "odata/url.h"

/*
 * Appends the folded form.  Values are UTF-8.  Equal forms say "perhaps the
 * same row", different ones "surely not", as far as a collation can be known
 * from outside; nothing but the order of requests may hang on it.
 */
extern void dv_keyfold(StringInfo out, const DvKeyPart *parts, int nparts);

/* The same for one text; also usable to compare a text with one the service returned. */
extern void dv_keyfold_text(StringInfo out, const char *text);

#endif /* DV_ODATA_KEYFOLD_H */
