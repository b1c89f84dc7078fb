/*
 * rowfault.h
 *	  Errors about a row's data, caught so that they can be the row's alone.
 */
#ifndef DV_EXEC_ROWFAULT_H
#define DV_EXEC_ROWFAULT_H

typedef void (*DvRowWork)(void *arg);

/*
 * Does the work; what it throws about data is returned, in the current context,
 * and everything else goes on.  NULL when all went well.
 */
extern ErrorData *dv_rowfault_catch(DvRowWork work, void *arg);

#endif /* DV_EXEC_ROWFAULT_H */
