/*
 * buf.c
 *	  Bytes that grow up to a bound and never throw.
 *
 * Grows by doubling, so that appending n bytes in small pieces costs O(n).
 * The bound is the caller's protection against an answer without end: the
 * byte that would pass it is refused, and what was there before stays intact.
 */
#include "odata/buf.h"

#include "compat.h"

/* First allocation: a header line or a small answer fits. */
#define BUF_START 1024

void
dv_buf_init(DvBuf *buf, size_t max)
{
	memset(buf, 0, sizeof(*buf));

	/* Room for the terminating NUL must not overflow the arithmetic below. */
	buf->max = Min(max, SIZE_MAX / 4);
}

static bool
resize(DvBuf *buf, size_t cap)
{
	char *data = realloc(buf->data, cap);

	if (data == NULL)
	{
		buf->nomem = true;
		return false;
	}
	buf->data = data;
	buf->cap = cap;
	return true;
}

/* Makes room for needed bytes and a NUL. */
static bool
grow(DvBuf *buf, size_t needed)
{
	size_t cap = buf->cap > 0 ? buf->cap : BUF_START;

	if (needed < buf->cap)
		return true;
	while (cap <= needed)
		cap *= 2;

	/* Never much more than the bound allows to be used. */
	return resize(buf, Min(cap, buf->max + 1));
}

bool
dv_buf_reserve(DvBuf *buf, size_t extra)
{
	if (extra > buf->max - buf->len)
	{
		buf->overflow = true;
		return false;
	}
	return buf->len + extra < buf->cap || resize(buf, buf->len + extra + 1);
}

bool
dv_buf_append(DvBuf *buf, const void *bytes, size_t len)
{
	if (len > buf->max - buf->len)
	{
		buf->overflow = true;
		return false;
	}
	if (!grow(buf, buf->len + len))
		return false;
	if (len > 0)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return true;
}

void
dv_buf_reset(DvBuf *buf)
{
	buf->len = 0;
	buf->overflow = false;
	buf->nomem = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

void
dv_buf_free(DvBuf *buf)
{
	free(buf->data);
	dv_buf_init(buf, buf->max);
}
