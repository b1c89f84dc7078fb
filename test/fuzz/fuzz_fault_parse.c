/*
 * fuzz_fault_parse.c
 *	  Any bytes as an error answer, and as a Retry-After: always a message, one
 *	  line of valid UTF-8, and a verdict.
 */
#include "odata/fault.h"

#include "mb/pg_wchar.h"

extern int LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static void
free_text(char *text)
{
	if (text != NULL)
		pfree(text);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	DvError error;
	char *value;
	long wait;
	long after;
	int len;

	if (size < 2)
		return 0;
	dv_fault_parse(400 + data[0] % 200, (const char *) data + 1, size - 1, &error);
	len = error.message != NULL ? (int) strlen(error.message) : 0;
	if (error.kind != DV_ERROR_HTTP || len == 0 || strpbrk(error.message, "\r\n") != NULL ||
		pg_encoding_verifymbstr(PG_UTF8, error.message, len) != len)
		abort();
	(void) dv_fault_class(&error);
	if (dv_fault_decide(&error, DV_REPEAT_SAFE, data[1], 0.5, &wait) > DV_VERDICT_SPLIT || wait < 0)
		abort();

	value = pnstrdup((const char *) data + 1, size - 1);
	after = dv_fault_retry_after(value, INT64CONST(784111777));
	if (after < -1 || after > 24L * 3600 * 1000)
		abort();
	pfree(value);
	free_text(error.message);
	free_text(error.code_text);
	free_text(error.duplicate_attributes);
	free_text(error.row_errors);
	return 0;
}
