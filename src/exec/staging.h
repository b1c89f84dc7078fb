/*
 * staging.h
 *	  A load's rows as a local table: the same, in the same order, whatever
 *	  happens between two chunks.
 *
 * Works within an SPI connection of the caller, as the current user.
 */
#ifndef DV_EXEC_STAGING_H
#define DV_EXEC_STAGING_H

#include "exec/journal.h"
#include "remote/options.h"

/* Can the job's chunks be sent again without harm, as the table is?  Throws when not. */
extern void dv_staging_check(const DvJob *job, const DvTable *table);

/* Runs the job's query; fills its staging, columns, ids and total. */
extern void dv_staging_make(DvJournal *journal, DvJob *job, const DvTable *table);

/* INSERT of the rows from $1 to $2, both bigint and included, in their order. */
extern char *dv_staging_insert(const DvJob *job);

extern void dv_staging_drop(const DvJob *job);

#endif /* DV_EXEC_STAGING_H */
