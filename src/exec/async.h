/*
 * async.h
 *	  Scans below one Append that wait together.
 */
#ifndef DV_EXEC_ASYNC_H
#define DV_EXEC_ASYNC_H

#include "nodes/execnodes.h"

extern void dataverseForeignAsyncRequest(AsyncRequest *areq);
extern void dataverseForeignAsyncConfigureWait(AsyncRequest *areq);
extern void dataverseForeignAsyncNotify(AsyncRequest *areq);

#endif /* DV_EXEC_ASYNC_H */
