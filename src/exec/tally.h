/*
 * tally.h
 *	  How many rows this transaction has written abroad, told when it rolls back.
 */
#ifndef DV_EXEC_TALLY_H
#define DV_EXEC_TALLY_H

#include "remote/options.h"

/* Rows are on their way: from here on it is not known whether they are written. */
extern void dv_tally_sent(const DvServerOptions *server, int64 rows);

/* Their fate is known: so many of them are written. */
extern void dv_tally_settled(const DvServerOptions *server, int64 rows, int64 written);

#endif /* DV_EXEC_TALLY_H */
