/*
 * changed.c
 *	  Which columns of an updated row differ from the row that was read.
 *
 * A BEFORE trigger may change any column, so all of them would have to be
 * sent; but what is sent counts as changed for the service's plug-ins and its
 * auditing (sheet 4.3).  The old row travels through the plan for the trigger's
 * sake, and tells which columns it left alone.
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/datum.h"

#include "exec/changed.h"

Bitmapset *
dv_changed_columns(TupleTableSlot *slot, Datum old_row)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	Datum *values = palloc(sizeof(Datum) * desc->natts);
	bool *isnull = palloc(sizeof(bool) * desc->natts);
	Bitmapset *changed = NULL;
	HeapTupleData old = {0};

	old.t_data = DatumGetHeapTupleHeader(old_row);
	old.t_len = HeapTupleHeaderGetDatumLength(old.t_data);
	ItemPointerSetInvalid(&old.t_self);
	heap_deform_tuple(&old, desc, values, isnull);
	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		if (isnull[i] != slot->tts_isnull[i] ||
			(!isnull[i] && !datum_image_eq(values[i], slot->tts_values[i], attribute->attbyval,
										   attribute->attlen)))
			changed = bms_add_member(changed, i + 1);
	}
	return changed;
}
