/*
 * test_inflate.c
 *	  Packed bodies come out as they went in, or not at all.  Built twice: with
 *	  the library that the build chose, and with zlib.
 */
#include "odata/inflate.h"

#include <zlib.h>

#include "tap.h"

#define BOUND ((size_t) 4 * 1024 * 1024)

typedef struct Bytes
{
	char *data;
	size_t len;
} Bytes;

/* One member, with a name in its header, as some senders have. */
static Bytes
pack_at(const char *data, size_t len, int level)
{
	z_stream stream = {0};
	gz_header header = {.name = (Bytef *) "page.json"};
	Bytes packed;

	if (deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		bail_out("zlib does not work");
	deflateSetHeader(&stream, &header);
	packed.len = deflateBound(&stream, len) + 64;
	packed.data = palloc(packed.len);
	stream.next_in = (Bytef *) data;
	stream.avail_in = len;
	stream.next_out = (Bytef *) packed.data;
	stream.avail_out = packed.len;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		bail_out("zlib does not pack");
	packed.len = stream.total_out;
	deflateEnd(&stream);
	return packed;
}

static Bytes
pack(const char *data, size_t len)
{
	return pack_at(data, len, 6);
}

static Bytes
concatenate(Bytes a, Bytes b)
{
	Bytes both = {palloc(a.len + b.len), a.len + b.len};

	memcpy(both.data, a.data, a.len);
	memcpy(both.data + a.len, b.data, b.len);
	return both;
}

static Bytes
copy(Bytes bytes)
{
	return concatenate(bytes, (Bytes){"", 0});
}

/* Rows that differ, so that there is something to pack. */
static Bytes
rows(size_t len)
{
	Bytes text = {palloc(len + 64), 0};

	for (int i = 0; text.len < len; i++)
		text.len += snprintf(text.data + text.len, 64, "{\"n\":%d,\"x\":\"%u\"},", i,
							 (unsigned) i * 2654435761u);
	text.len = len;
	return text;
}

static DvErrorKind
unpack(Bytes packed, size_t max, DvBuf *out)
{
	DvError error;

	dv_error_clear(&error);
	dv_buf_init(out, max);
	/* what lies behind the last byte is nobody's: a copy lets the sanitizer see */
	packed = copy(packed);
	if (dv_inflate_gzip(packed.data, packed.len, out, &error))
		return DV_ERROR_NONE;
	return error.kind;
}

static void
comes_back(Bytes packed, Bytes plain, size_t max, const char *name)
{
	DvBuf out;
	DvErrorKind kind = unpack(packed, max, &out);

	ok(kind == DV_ERROR_NONE && out.len == plain.len &&
		   memcmp(out.data, plain.data, plain.len) == 0 && out.data[out.len] == '\0' &&
		   out.cap <= max + 1,
	   "%s", name);
	dv_buf_free(&out);
}

static void
fails(Bytes packed, size_t max, DvErrorKind expected, const char *name)
{
	DvBuf out;
	DvErrorKind kind = unpack(packed, max, &out);

	ok(kind == expected && out.len == 0 && out.data == NULL, "%s", name);
	dv_buf_free(&out);
}

/* The size that the last four bytes name. */
static Bytes
with_size(Bytes packed, uint32 size)
{
	Bytes changed = copy(packed);

	for (int i = 0; i < 4; i++)
		changed.data[changed.len - 4 + i] = (char) (size >> 8 * i);
	return changed;
}

static void
test_codings(void)
{
	ok(dv_inflate_coding(NULL) == DV_CODING_NONE, "no header");
	ok(dv_inflate_coding("") == DV_CODING_NONE, "empty header");
	ok(dv_inflate_coding("identity") == DV_CODING_NONE, "identity");
	ok(dv_inflate_coding("gzip") == DV_CODING_GZIP, "gzip");
	ok(dv_inflate_coding("GZip") == DV_CODING_GZIP, "case does not count");
	ok(dv_inflate_coding("x-gzip") == DV_CODING_GZIP, "its old name");
	ok(dv_inflate_coding("deflate") == DV_CODING_UNKNOWN, "deflate");
	ok(dv_inflate_coding("br") == DV_CODING_UNKNOWN, "br");
	ok(dv_inflate_coding("gzip, gzip") == DV_CODING_UNKNOWN, "packed twice");
	ok(dv_inflate_coding("gzipped") == DV_CODING_UNKNOWN, "a longer word");
}

static void
test_good(void)
{
	Bytes small = {"{\"value\":[]}", 12};
	Bytes large = rows(3000000);
	Bytes nothing = {"", 0};
	Bytes zeros = {palloc0(BOUND), BOUND};

	comes_back(pack(small.data, small.len), small, BOUND, "small");
	comes_back(pack(large.data, large.len), large, BOUND, "large");
	comes_back(pack_at(large.data, large.len, 0), large, BOUND, "stored");
	comes_back(pack("", 0), nothing, BOUND, "empty");
	comes_back(pack("", 0), nothing, 0, "empty, nothing allowed");
	comes_back(concatenate(pack(large.data, 1000000), pack(large.data + 1000000, 2000000)), large,
			   BOUND, "two members");
	comes_back(concatenate(pack(large.data, large.len), pack("", 0)), large, BOUND,
			   "an empty member last");
	comes_back(concatenate(pack("", 0), pack(large.data, large.len)), large, BOUND,
			   "an empty member first");
	comes_back(pack(zeros.data, BOUND), zeros, BOUND, "as large as allowed");
	comes_back(pack(large.data, large.len), large, large.len, "just as large as allowed");
}

static void
test_bounds(void)
{
	Bytes large = rows(3000000);
	Bytes packed = pack(large.data, large.len);
	Bytes bomb = pack(palloc0(64 * BOUND), 64 * BOUND);

	fails(packed, large.len - 1, DV_ERROR_LIMIT, "one byte too many");
	fails(packed, 0, DV_ERROR_LIMIT, "nothing allowed");
	fails(bomb, BOUND, DV_ERROR_LIMIT, "a bomb");
	fails(with_size(bomb, 100), BOUND, DV_ERROR_LIMIT, "a bomb that calls itself small");
	fails(concatenate(packed, packed), BOUND, DV_ERROR_LIMIT, "too much in two members");
}

static void
test_damaged(void)
{
	Bytes large = rows(100000);
	Bytes packed = pack(large.data, large.len);
	Bytes changed;
	bool all = true;

	for (size_t len = 0; len < packed.len; len += len < packed.len - 64 ? 97 : 1)
	{
		DvBuf out;

		all = all && unpack((Bytes){packed.data, len}, BOUND, &out) == DV_ERROR_PROTOCOL;
		dv_buf_free(&out);
	}
	ok(all, "cut short, anywhere");
	all = true;
	for (size_t cut = 1; cut < 64; cut++)
	{
		DvBuf out;
		Bytes part = {packed.data, packed.len - cut};

		all = all && unpack(concatenate(packed, part), BOUND, &out) == DV_ERROR_PROTOCOL;
		dv_buf_free(&out);
	}
	ok(all, "second member cut short");

	fails(with_size(packed, 99999), BOUND, DV_ERROR_PROTOCOL, "a smaller size than there is");
	fails(with_size(packed, 100001), BOUND, DV_ERROR_PROTOCOL, "a larger size than there is");
	fails(with_size(packed, UINT_MAX), BOUND, DV_ERROR_PROTOCOL, "a size beyond all bounds");
	changed = copy(packed);
	changed.data[changed.len - 8] ^= 1;
	fails(changed, BOUND, DV_ERROR_PROTOCOL, "wrong checksum");
	changed = copy(packed);
	changed.data[changed.len / 2] ^= 0x10;
	fails(changed, BOUND, DV_ERROR_PROTOCOL, "a flipped bit");
	fails(concatenate(packed, (Bytes){"\0", 1}), BOUND, DV_ERROR_PROTOCOL, "a byte too many");
	fails(concatenate(packed, rows(200)), BOUND, DV_ERROR_PROTOCOL, "text behind it");
	fails(rows(200), BOUND, DV_ERROR_PROTOCOL, "not packed at all");
	fails((Bytes){packed.data + 2, packed.len - 2}, BOUND, DV_ERROR_PROTOCOL, "no magic bytes");
}

int
main(void)
{
#ifdef HAVE_LIBDEFLATE
	diag("by libdeflate");
#else
	diag("by zlib");
#endif
	test_codings();
	test_good();
	test_bounds();
	test_damaged();
	return done_testing();
}
