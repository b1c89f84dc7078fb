/*
 * probe.h
 *	  Asks which rows exist: by their ids, or by keys that no address can hold.
 */
#ifndef DV_EXEC_PROBE_H
#define DV_EXEC_PROBE_H

#include "odata/url.h"
#include "remote/service.h"

typedef struct DvProbe
{
	DvService *service;
	const DvTable *table;
	const char *primary_id; /* logical name */
	DvCounters *counters;
	bool *unclear; /* dv_probe_keys: of each row, true when several rows have such a key and none
					* has it exactly, or when it is too long to be asked for; NULL: that throws */
} DvProbe;

/* For each id: is there such a row? palloc'd. Few requests; throws when they fail. */
extern bool *dv_probe_ids(const DvProbe *probe, const char *const *ids, int n);

/*
 * For each row's key values (nkeys of them, in the order of columns): the id
 * of the row that has them, or NULL.  Matches as the service does, without
 * case; when several do, the one that is equal byte by byte.  No two of the
 * rows may have the same folded key.
 */
extern char **dv_probe_keys(const DvProbe *probe, const DvColumn *const *columns, int nkeys,
							const DvKeyPart *const *rows, int n);

#endif /* DV_EXEC_PROBE_H */
