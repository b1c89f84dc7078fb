/*
 * directory.h
 *	  Which tables an environment and its solutions have.
 */
#ifndef DV_REMOTE_DIRECTORY_H
#define DV_REMOTE_DIRECTORY_H

#include "odata/schema.h"
#include "remote/service.h"

/*
 * Every table by name: name, set_name, table_type, metadata_id, is_private and
 * is_intersect are filled, attributes are not.  Sorted by name.
 */
typedef struct DvDirectory
{
	int ntables;
	DvSchema *tables;
} DvDirectory;

/* One request.  Current context. */
extern DvDirectory *dv_directory_fetch(DvService *service);

/* NULL when there is no such table. */
extern const DvSchema *dv_directory_find(const DvDirectory *directory, const char *logical);

/*
 * Does an import without LIMIT TO take it?  Private and intersect tables and
 * those without an address are left (sheet 9.2).
 */
extern bool dv_directory_importable(const DvSchema *table);

/*
 * Logical names (List of char *, sorted) of the tables in a solution, by its
 * unique name.  Throws, naming the solutions there are, when there is none of
 * that name.  Two requests.
 */
extern List *dv_directory_solution(DvService *service, const DvDirectory *directory,
								   const char *solution);

#endif /* DV_REMOTE_DIRECTORY_H */
