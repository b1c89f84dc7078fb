/*
 * analyze.h
 *	  A sample of a table's rows, for a bounded number of requests.
 */
#ifndef DV_EXEC_ANALYZE_H
#define DV_EXEC_ANALYZE_H

#include "commands/vacuum.h"
#include "foreign/fdwapi.h"

extern bool dataverseAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
										 BlockNumber *totalpages);

#endif /* DV_EXEC_ANALYZE_H */
