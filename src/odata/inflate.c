/*
 * inflate.c
 *	  A whole body as it was before its content coding.
 *
 * Decides that a body is unpacked in one go once all of it is here, which costs
 * a third of what zlib's streams cost when libdeflate does it; where the build
 * had no libdeflate, zlib does it with the same results.
 *
 * The size in a gzip trailer is a hint from outside: it saves growing when it is
 * right, and is believed only as far as the packed bytes can hold that much and
 * the caller's bound allows it.
 *
 * Deliberately knows gzip alone.  "deflate" means two formats in practice, and
 * the service is asked for gzip (sheet 1.2).
 */
#include "odata/base.h"

#include "compat.h"

#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

#include "odata/inflate.h"

/* One packed byte never becomes more (RFC 1951: a length of 258 in two bits). */
#define MOST_PER_BYTE 1032

/* Header and trailer of a member. */
#define LEAST_MEMBER 18

#define FIRST_ROOM 4096

DvCoding
dv_inflate_coding(const char *content_encoding)
{
	if (content_encoding == NULL || content_encoding[0] == '\0' ||
		pg_strcasecmp(content_encoding, "identity") == 0)
		return DV_CODING_NONE;
	if (pg_strcasecmp(content_encoding, "gzip") == 0 ||
		pg_strcasecmp(content_encoding, "x-gzip") == 0)
		return DV_CODING_GZIP;
	return DV_CODING_UNKNOWN;
}

/* Room for what the trailer of the last member announces, within reason. */
static size_t
announced(const char *bytes, size_t len, size_t max)
{
	const unsigned char *trailer = (const unsigned char *) bytes + len - 4;
	size_t size = (size_t) trailer[0] | (size_t) trailer[1] << 8 | (size_t) trailer[2] << 16 |
				  (size_t) trailer[3] << 24;

	if (size / MOST_PER_BYTE > len)
		size = FIRST_ROOM;
	return Min(Max(size, 1), max);
}

/* Bytes that may be written behind those that are there. */
static size_t
room(const DvBuf *out)
{
	return out->cap > 0 ? out->cap - 1 - out->len : 0;
}

/* At least doubles it; false when the bound or memory does not allow more. */
static bool
more_room(DvBuf *out)
{
	size_t possible = out->max - out->len;
	size_t had = room(out);

	return dv_buf_reserve(out,
						  had < possible ? Min(had + out->cap + FIRST_ROOM, possible) : had + 1);
}

#ifdef HAVE_LIBDEFLATE

static bool
unpack_members(struct libdeflate_decompressor *unpacker, const char *bytes, size_t len, DvBuf *out)
{
	while (len > 0)
	{
		size_t used;
		size_t made;
		enum libdeflate_result result = libdeflate_gzip_decompress_ex(
			unpacker, bytes, len, out->data + out->len, room(out), &used, &made);

		if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
		{
			if (!more_room(out))
				return false;
			continue;
		}
		if (result != LIBDEFLATE_SUCCESS)
			return false;
		out->len += made;
		bytes += used;
		len -= used;
	}
	return true;
}

static bool
unpack(const char *bytes, size_t len, DvBuf *out)
{
	struct libdeflate_decompressor *unpacker = libdeflate_alloc_decompressor();
	bool good;

	if (unpacker == NULL)
	{
		out->nomem = true;
		return false;
	}
	good = unpack_members(unpacker, bytes, len, out);
	libdeflate_free_decompressor(unpacker);
	return good;
}

#else

/* Window bits for gzip and nothing else. */
#define GZIP_ONLY (15 + 16)

/* One call of zlib: bytes, len and out move on. */
static int
inflate_some(z_stream *stream, const char **bytes, size_t *len, DvBuf *out)
{
	uInt in = (uInt) Min(*len, UINT_MAX);
	uInt space = (uInt) Min(room(out), UINT_MAX);
	int result;

	stream->next_in = (z_const Bytef *) *bytes;
	stream->avail_in = in;
	stream->next_out = (Bytef *) out->data + out->len;
	stream->avail_out = space;
	result = inflate(stream, Z_NO_FLUSH);
	*bytes += in - stream->avail_in;
	*len -= in - stream->avail_in;
	out->len += space - stream->avail_out;
	return result;
}

static bool
unpack_members(z_stream *stream, const char *bytes, size_t len, DvBuf *out)
{
	for (;;)
	{
		int result = inflate_some(stream, &bytes, &len, out);

		if (result == Z_STREAM_END)
		{
			if (len == 0)
				return true;
			if (inflateReset(stream) != Z_OK)
				return false;
			continue;
		}
		out->nomem = result == Z_MEM_ERROR;
		if (result != Z_OK && result != Z_BUF_ERROR)
			return false;

		/* all room used: there may be more in the window even when all bytes are taken */
		if (room(out) == 0)
		{
			if (!more_room(out))
				return false;
		}
		else if (len == 0)
			return false;
	}
}

static bool
unpack(const char *bytes, size_t len, DvBuf *out)
{
	z_stream stream = {0};
	int result = inflateInit2(&stream, GZIP_ONLY);
	bool good;

	if (result != Z_OK)
	{
		out->nomem = result == Z_MEM_ERROR;
		return false;
	}
	good = unpack_members(&stream, bytes, len, out);
	inflateEnd(&stream);
	return good;
}

#endif

static void
describe_failure(const DvBuf *out, DvError *error)
{
	if (out->overflow)
		dv_error_set(error, DV_ERROR_LIMIT, "the answer is larger than %zu bytes", out->max);
	else if (out->nomem)
		dv_error_set(error, DV_ERROR_MEMORY, "out of memory while unpacking the answer");
	else
		dv_error_set(error, DV_ERROR_PROTOCOL,
					 "the answer's compressed body is damaged or incomplete");
}

bool
dv_inflate_gzip(const char *bytes, size_t len, DvBuf *out, DvError *error)
{
	if (len >= LEAST_MEMBER && dv_buf_reserve(out, announced(bytes, len, out->max)) &&
		unpack(bytes, len, out))
	{
		out->data[out->len] = '\0';
		return true;
	}
	describe_failure(out, error);
	dv_buf_free(out);
	return false;
}
