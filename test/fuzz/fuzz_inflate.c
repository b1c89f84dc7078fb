/*
 * fuzz_inflate.c
 *	  Any bytes as a gzip body: never more than allowed, a NUL behind the end, and
 *	  nothing left where it fails.
 */
#include "odata/inflate.h"

extern int LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

#define BOUND 65536

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	DvError error;
	DvBuf out;

	dv_error_clear(&error);
	dv_buf_init(&out, BOUND);
	if (dv_inflate_gzip((const char *) data, size, &out, &error))
	{
		if (out.len > BOUND || out.cap > BOUND + 1 || out.data[out.len] != '\0')
			abort();
	}
	else
	{
		if (error.kind == DV_ERROR_NONE || out.data != NULL || out.len != 0)
			abort();
		pfree(error.message);
	}
	dv_buf_free(&out);
	return 0;
}
