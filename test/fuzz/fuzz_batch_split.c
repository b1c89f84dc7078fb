/*
 * fuzz_batch_split.c
 *	  Any bytes as the answer to a batch: no crash, parts within the body.
 */
#include "odata/batch.h"

extern int LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

static void
check_part(const char *body, size_t len, const DvBatchPart *part)
{
	char *header;

	if (part->status < 100 || part->status > 599 || part->headers < body ||
		part->headers + part->headers_len > body + len || part->body < body ||
		part->body + part->body_len > body + len)
		abort();
	header = dv_batch_part_header(part, "REQ_ID");
	if (header != NULL)
		pfree(header);
}

/* The first line is the content type. */
int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	const char *text = (const char *) data;
	const char *newline = memchr(text, '\n', size);
	char *type;
	DvBatchPart *parts;
	int nparts;
	DvError error;
	size_t len;

	if (newline == NULL)
		return 0;
	type = pnstrdup(text, newline - text);
	len = text + size - (newline + 1);
	if (dv_batch_split(type, newline + 1, len, &parts, &nparts, &error))
	{
		int i;

		for (i = 0; i < nparts; i++)
			check_part(newline + 1, len, &parts[i]);
		pfree(parts);
	}
	else
		pfree(error.message);
	pfree(type);
	return 0;
}
