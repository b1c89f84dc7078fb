/*
 * import.h
 *	  IMPORT FOREIGN SCHEMA text from metadata.
 */
#ifndef DV_EXEC_IMPORT_H
#define DV_EXEC_IMPORT_H

#include "foreign/fdwapi.h"

extern List *dataverseImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid);

#endif /* DV_EXEC_IMPORT_H */
