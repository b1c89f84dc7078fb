/*
 * sessionkey.h
 *	  The setting that gives tables another alternate key for a while.
 */
#ifndef DV_REMOTE_SESSIONKEY_H
#define DV_REMOTE_SESSIONKEY_H

#include "remote/options.h"

/* Defines the setting. At load. */
extern void dv_sessionkey_init(void);

/*
 * Gives the table the key that the setting names for it, in place of the
 * table's own; leaves it alone when the setting does not mention it.  Throws
 * for a setting that is not well formed or names what does not exist.
 */
extern void dv_sessionkey_apply(DvTable *table);

#endif /* DV_REMOTE_SESSIONKEY_H */
