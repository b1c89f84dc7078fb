/*
 * etag.c
 *	  A row's version as it travels through a plan, from the scan to the write.
 *
 * It is no column of the foreign table, and a plan carries only columns.  But
 * a foreign table has a ctid, which nobody else uses: six bytes, enough for
 * versions up to 2^48.  The service counts them over a whole database (sheet
 * 2.1.1), so that one which writes a million rows a second gets there in nine
 * years.  Elastic tables' versions are no numbers (13.1); they are not taken.
 */
#include "postgres.h"

#include "compat.h"

#include "exec/etag.h"

#define PREFIX "W/\""
#define PREFIX_LEN 3
#define VERSION_MAX (((uint64) 1 << 48) - 1)

/* The number in W/"number", written in its one way; false for anything else. */
static bool
read_version(const char *text, int len, uint64 *version)
{
	*version = 0;
	if (len < PREFIX_LEN + 2 || memcmp(text, PREFIX, PREFIX_LEN) != 0 || text[len - 1] != '"' ||
		(text[PREFIX_LEN] == '0' && len > PREFIX_LEN + 2))
		return false;
	for (int i = PREFIX_LEN; i < len - 1; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		*version = *version * 10 + (text[i] - '0');
		if (*version > VERSION_MAX)
			return false;
	}
	return true;
}

void
dv_etag_pack(const DvField *field, ItemPointer tid)
{
	uint64 version;

	if (field->kind != DV_FIELD_STRING || !read_version(field->text, field->len, &version))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("a row has no version that can be compared later"),
						field->kind == DV_FIELD_STRING
							? errdetail("It is given as %.*s.", Min(field->len, 80), field->text)
							: 0,
						errhint("Set the option \"optimistic_concurrency\" of the foreign table to "
								"false.")));
	ItemPointerSet(tid, (BlockNumber) (version >> 16), (OffsetNumber) (version & 0xFFFF));
}

char *
dv_etag_text(const ItemPointerData *tid)
{
	uint64 version = ((uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16) |
					 ItemPointerGetOffsetNumberNoCheck(tid);

	return psprintf(PREFIX UINT64_FORMAT "\"", version);
}
