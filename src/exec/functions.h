/*
 * functions.h
 *	  What all SQL functions that name a server have in common.
 */
#ifndef DV_EXEC_FUNCTIONS_H
#define DV_EXEC_FUNCTIONS_H

#include "foreign/foreign.h"

/* The server by its name, if the current user may use it and it is one of ours. */
extern ForeignServer *dv_functions_server(text *name);

/* Is it our wrapper? */
extern bool dv_functions_is_ours(Oid fdwid);

#endif /* DV_EXEC_FUNCTIONS_H */
