/*
 * dataverse_fdw.c
 *	  Table of contents: which room answers which callback.
 *
 * Nothing here branches.  A room that needs something done at load has an
 * init function of its own, called from _PG_init.
 */
#include "postgres.h"
#include "compat.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "utils/guc.h"

#include "exec/analyze.h"
#include "exec/async.h"
#include "exec/convert.h"
#include "exec/direct.h"
#include "exec/explain.h"
#include "exec/import.h"
#include "exec/keyjoin.h"
#include "exec/modify.h"
#include "exec/scan.h"
#include "plan/direct_plan.h"
#include "plan/join_plan.h"
#include "plan/keyjoin_plan.h"
#include "plan/modify_plan.h"
#include "plan/rel.h"
#include "plan/scan_plan.h"
#include "plan/upper_plan.h"
#include "remote/sessionkey.h"

PG_MODULE_MAGIC;

static const FdwRoutine routine = {
	.type = T_FdwRoutine,

	/* reading */
	.GetForeignRelSize = dataverseGetForeignRelSize,
	.GetForeignPaths = dataverseGetForeignPaths,
	.GetForeignJoinPaths = dataverseGetForeignJoinPaths,
	.GetForeignUpperPaths = dataverseGetForeignUpperPaths,
	.GetForeignPlan = dataverseGetForeignPlan,
	.BeginForeignScan = dataverseBeginForeignScan,
	.IterateForeignScan = dataverseIterateForeignScan,
	.ReScanForeignScan = dataverseReScanForeignScan,
	.EndForeignScan = dataverseEndForeignScan,

	/*
	 * No IsForeignScanParallelSafe: each worker would ask for all rows, with a token and limits of
	 * its own, and Append waits for scans together only where none may run in a worker.
	 */
	.IsForeignPathAsyncCapable = dataverseIsForeignPathAsyncCapable,
	.ForeignAsyncRequest = dataverseForeignAsyncRequest,
	.ForeignAsyncConfigureWait = dataverseForeignAsyncConfigureWait,
	.ForeignAsyncNotify = dataverseForeignAsyncNotify,

	/* writing */
	.AddForeignUpdateTargets = dataverseAddForeignUpdateTargets,
	.PlanForeignModify = dataversePlanForeignModify,
	.IsForeignRelUpdatable = dataverseIsForeignRelUpdatable,
	.PlanDirectModify = dataversePlanDirectModify,
	.BeginDirectModify = dataverseBeginDirectModify,
	.IterateDirectModify = dataverseIterateDirectModify,
	.EndDirectModify = dataverseEndDirectModify,
	.BeginForeignModify = dataverseBeginForeignModify,
	.ExecForeignInsert = dataverseExecForeignInsert,
	.ExecForeignBatchInsert = dataverseExecForeignBatchInsert,
	.GetForeignModifyBatchSize = dataverseGetForeignModifyBatchSize,
	.ExecForeignUpdate = dataverseExecForeignUpdate,
	.ExecForeignDelete = dataverseExecForeignDelete,
	.EndForeignModify = dataverseEndForeignModify,
	.BeginForeignInsert = dataverseBeginForeignInsert,
	.EndForeignInsert = dataverseEndForeignInsert,

	/* looking */
	.ExplainForeignScan = dataverseExplainForeignScan,
	.ExplainDirectModify = dataverseExplainDirectModify,
	.ExplainForeignModify = dataverseExplainForeignModify,
	.ImportForeignSchema = dataverseImportForeignSchema,
	.AnalyzeForeignTable = dataverseAnalyzeForeignTable,
};

/* What the planner borrows from the executor's wing, which it does not see. */
const DvOperandText dv_rel_operand_text = dv_convert_operand;

void
_PG_init(void)
{
	dv_keyjoin_init();
	dv_keyjoin_plan_init();
	dv_sessionkey_init();
	MarkGUCPrefixReserved("dataverse_fdw");
}

DV_FUNCTION(dataverse_fdw_handler)
{
	FdwRoutine *copy = makeNode(FdwRoutine);

	*copy = routine;
	PG_RETURN_POINTER(copy);
}
