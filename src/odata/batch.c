/*
 * batch.c
 *	  Multipart batches, written and split (sheet 5.6, 5.7).
 *
 * Writing follows the documented shape to the letter: CRLF everywhere, a blank
 * line even where there is no body, Content-Length on inner writes (one report
 * says that they fail without) and no Content-Type on inner reads.
 *
 * Splitting is strict about ends and generous about the rest: an answer that
 * stops before its closing delimiter is refused whole, since a part that was
 * cut off would look like an operation that was not executed.  It accepts bare
 * line feeds, quoted and unquoted boundaries, and a failed change set as one
 * nested multipart or as one plain part.
 *
 * The boundary is not searched for in the bodies: it is made from a seed that
 * those who wrote the data cannot know, and JSON never starts a line with it.
 */
#include "odata/batch.h"

#include "compat.h"

#define CRLF "\r\n"

/* RFC 2046: at most 70 characters.  The seed's share of ours. */
#define SEED_MAX 40
#define BOUNDARY_MAX 70

/* Answers hold as many operations as we sent; this is only a guard. */
#define PARTS_MAX (4 * DV_BATCH_MAX)

/* What follows the last operation: two closing delimiters. */
#define END_BYTES 128

struct DvBatch
{
	char seed[SEED_MAX + 1];
	StringInfoData text;
	char *content_type;
	int count;
	int changesets; /* begun so far */
	bool in_changeset;
};

/*
 * Writing.
 */

DvBatch *
dv_batch_create(const char *boundary_seed)
{
	DvBatch *batch = palloc0(sizeof(DvBatch));
	int n = 0;

	/* Only what may stand in a boundary without quotes. */
	for (; *boundary_seed != '\0' && n < SEED_MAX; boundary_seed++)
	{
		char c = *boundary_seed;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-')
			batch->seed[n++] = c;
	}
	initStringInfo(&batch->text);
	return batch;
}

/* "--boundary" of the innermost multipart, or with two hyphens more its end. */
static void
append_delimiter(DvBatch *batch, const char *end)
{
	if (batch->in_changeset)
		appendStringInfo(&batch->text, "--changeset_%s_%d%s" CRLF, batch->seed, batch->changesets,
						 end);
	else
		appendStringInfo(&batch->text, "--batch_%s%s" CRLF, batch->seed, end);
}

void
dv_batch_add(DvBatch *batch, const char *method, const char *path, const char *headers,
			 const char *body, size_t body_len, int content_id)
{
	StringInfo out = &batch->text;

	Assert(strpbrk(method, " \r\n") == NULL && strpbrk(path, " \r\n") == NULL);
	append_delimiter(batch, "");
	appendStringInfoString(out, "Content-Type: application/http" CRLF);
	appendStringInfoString(out, "Content-Transfer-Encoding: binary" CRLF);
	if (content_id >= 0)
		appendStringInfo(out, "Content-ID: %d" CRLF, content_id);
	appendStringInfo(out, CRLF "%s %s HTTP/1.1" CRLF, method, path);
	if (headers != NULL)
		appendStringInfoString(out, headers);
	if (body != NULL)
	{
		appendStringInfoString(out, "Content-Type: application/json" CRLF);
		appendStringInfo(out, "Content-Length: %zu" CRLF CRLF, body_len);
		appendBinaryStringInfo(out, body, (int) body_len);
	}
	else
		appendStringInfoString(out, CRLF);
	appendStringInfoString(out, CRLF);
	batch->count++;
}

void
dv_batch_changeset_begin(DvBatch *batch)
{
	Assert(!batch->in_changeset);
	append_delimiter(batch, "");
	batch->changesets++;
	batch->in_changeset = true;
	appendStringInfo(&batch->text,
					 "Content-Type: multipart/mixed; boundary=\"changeset_%s_%d\"" CRLF CRLF,
					 batch->seed, batch->changesets);
}

void
dv_batch_changeset_end(DvBatch *batch)
{
	Assert(batch->in_changeset);
	append_delimiter(batch, "--");
	batch->in_changeset = false;
}

int
dv_batch_count(const DvBatch *batch)
{
	return batch->count;
}

size_t
dv_batch_bytes(const DvBatch *batch)
{
	return (size_t) batch->text.len + END_BYTES;
}

const char *
dv_batch_finish(DvBatch *batch, StringInfo out)
{
	Assert(!batch->in_changeset);
	append_delimiter(batch, "--");
	appendBinaryStringInfo(out, batch->text.data, batch->text.len);
	batch->content_type = psprintf("multipart/mixed; boundary=\"batch_%s\"", batch->seed);
	return batch->content_type;
}

/*
 * Splitting.
 */

typedef struct Text
{
	const char *start;
	const char *end;
} Text;

typedef struct Splitter
{
	DvBatchPart *parts;
	int nparts;
	int cap;
	int changesets;
	DvError *error;
} Splitter;

static bool
fail(Splitter *splitter, const char *what)
{
	dv_error_set(splitter->error, DV_ERROR_PROTOCOL, "the answer to a batch is malformed: %s",
				 what);
	return false;
}

/* Takes one line without its end; false when there is none. */
static bool
next_line(Text *text, Text *line)
{
	const char *newline;

	if (text->start >= text->end)
		return false;
	newline = memchr(text->start, '\n', text->end - text->start);
	line->start = text->start;
	line->end = newline != NULL ? newline : text->end;
	text->start = newline != NULL ? newline + 1 : text->end;
	if (newline != NULL && line->end > line->start && line->end[-1] == '\r')
		line->end--;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static Text
trim(Text text)
{
	while (text.start < text.end && is_blank(*text.start))
		text.start++;
	while (text.start < text.end && is_blank(text.end[-1]))
		text.end--;
	return text;
}

/* Does the text start with this word, without case? Then *rest is what follows. */
static bool
starts_with(Text text, const char *word, Text *rest)
{
	size_t n = strlen(word);

	if ((size_t) (text.end - text.start) < n || pg_strncasecmp(text.start, word, n) != 0)
		return false;
	rest->start = text.start + n;
	rest->end = text.end;
	return true;
}

/* Value of a header among header lines. */
static bool
find_header(Text headers, const char *name, Text *value)
{
	Text line;

	while (next_line(&headers, &line))
	{
		Text rest;

		if (starts_with(line, name, &rest) && rest.start < rest.end && *rest.start == ':')
		{
			rest.start++;
			*value = trim(rest);
			return true;
		}
	}
	return false;
}

/* A number that is the whole text; -1 if it is none. */
static int64
parse_number(Text text)
{
	int64 value = 0;

	if (text.start == text.end || text.end - text.start > 15)
		return -1;
	for (; text.start < text.end; text.start++)
	{
		if (*text.start < '0' || *text.start > '9')
			return -1;
		value = value * 10 + (*text.start - '0');
	}
	return value;
}

/* Header lines up to the empty line, which is passed over. */
static bool
take_headers(Text *text, Text *headers)
{
	Text line;

	headers->start = text->start;
	while (next_line(text, &line))
	{
		if (line.start == line.end)
		{
			headers->end = line.start;
			return true;
		}
	}
	return false;
}

/* "multipart/mixed; boundary=x": the boundary into a buffer. */
static bool
parse_boundary(Text type, char boundary[BOUNDARY_MAX + 1])
{
	Text rest;
	size_t n;

	if (!starts_with(type, "multipart/mixed", &rest))
		return false;
	while (rest.start < rest.end)
	{
		const char *semicolon = memchr(rest.start, ';', rest.end - rest.start);
		Text parameter = {rest.start, semicolon != NULL ? semicolon : rest.end};
		Text value;

		rest.start = semicolon != NULL ? semicolon + 1 : rest.end;
		if (!starts_with(trim(parameter), "boundary=", &value))
			continue;
		if (value.end - value.start >= 2 && *value.start == '"' && value.end[-1] == '"')
		{
			value.start++;
			value.end--;
		}
		n = value.end - value.start;
		if (n == 0 || n > BOUNDARY_MAX || memchr(value.start, '"', n) != NULL)
			return false;
		memcpy(boundary, value.start, n);
		boundary[n] = '\0';
		return true;
	}
	return false;
}

typedef enum Delimiter
{
	DELIMITER_NONE,
	DELIMITER_PART,
	DELIMITER_END
} Delimiter;

static Delimiter
delimiter(Text line, const char *boundary)
{
	Text rest;
	size_t n = strlen(boundary);

	if (line.end - line.start < 2 || line.start[0] != '-' || line.start[1] != '-')
		return DELIMITER_NONE;
	line.start += 2;
	if ((size_t) (line.end - line.start) < n || memcmp(line.start, boundary, n) != 0)
		return DELIMITER_NONE;
	line.start += n;
	rest = trim(line);
	if (rest.start == rest.end)
		return DELIMITER_PART;
	if (rest.end - rest.start == 2 && rest.start == line.start && memcmp(rest.start, "--", 2) == 0)
		return DELIMITER_END;
	return DELIMITER_NONE;
}

/*
 * The bytes up to the next delimiter of this boundary, without the line break
 * that belongs to it.  DELIMITER_NONE when there is none.
 */
static Delimiter
take_part(Text *text, const char *boundary, Text *part)
{
	Text line;

	part->start = text->start;
	while (next_line(text, &line))
	{
		Delimiter kind = delimiter(line, boundary);

		if (kind == DELIMITER_NONE)
			continue;
		part->end = line.start;
		if (part->end > part->start && part->end[-1] == '\n')
			part->end--;
		if (part->end > part->start && part->end[-1] == '\r')
			part->end--;
		return kind;
	}
	return DELIMITER_NONE;
}

static DvBatchPart *
new_part(Splitter *splitter)
{
	DvBatchPart *part;

	if (splitter->nparts == splitter->cap)
	{
		splitter->cap *= 2;
		splitter->parts = repalloc(splitter->parts, splitter->cap * sizeof(DvBatchPart));
	}
	part = &splitter->parts[splitter->nparts++];
	memset(part, 0, sizeof(*part));
	return part;
}

/* HTTP/1.1 204 No Content */
static int
parse_status(Text line)
{
	Text rest;
	Text number;
	int64 status;

	if (!starts_with(line, "HTTP/", &rest))
		return -1;
	while (rest.start < rest.end && *rest.start != ' ')
		rest.start++;
	rest = trim(rest);
	number = rest;
	number.end = number.start;
	while (number.end < rest.end && *number.end != ' ')
		number.end++;
	status = parse_number(number);
	return status >= 100 && status <= 599 ? (int) status : -1;
}

/* An inner HTTP message. changeset: -1 outside. */
static bool
split_operation(Splitter *splitter, Text mime, Text text, int changeset)
{
	DvBatchPart *part;
	Text line;
	Text headers;
	Text value;
	int status;
	int64 length;

	if (splitter->nparts >= PARTS_MAX)
		return fail(splitter, "it has too many parts");
	if (!next_line(&text, &line) || (status = parse_status(line)) < 0)
		return fail(splitter, "a part has no HTTP status");

	/* Without a body, the empty line may be the one that belongs to the delimiter. */
	if (!take_headers(&text, &headers))
	{
		headers = text;
		headers.start = line.end;
		text.start = headers.end = text.end;
	}

	/* Only as a check: the delimiters say where a part ends. */
	if (find_header(headers, "Content-Length", &value))
	{
		length = parse_number(value);
		if (length < 0 || length > text.end - text.start)
			return fail(splitter, "a part is shorter than it says");
	}

	part = new_part(splitter);
	part->status = status;
	part->content_id = -1;
	if (find_header(mime, "Content-ID", &value) || find_header(headers, "Content-ID", &value))
	{
		int64 id = parse_number(value);

		part->content_id = id >= 0 && id <= PG_INT32_MAX ? (int) id : -1;
	}
	part->changeset = changeset;
	part->in_changeset = changeset >= 0;
	part->headers = headers.start;
	part->headers_len = headers.end - headers.start;
	text = trim(text);
	part->body = text.start;
	part->body_len = text.end - text.start;
	return true;
}

static bool split_multipart(Splitter *splitter, Text text, const char *boundary, int changeset);

static bool
split_part(Splitter *splitter, Text text, int changeset)
{
	Text headers;
	Text type;
	Text rest;
	char boundary[BOUNDARY_MAX + 1];

	if (!take_headers(&text, &headers) || !find_header(headers, "Content-Type", &type))
		return fail(splitter, "a part has no headers");
	if (starts_with(type, "application/http", &rest))
		return split_operation(splitter, headers, text, changeset);
	if (changeset >= 0 || !parse_boundary(type, boundary))
		return fail(splitter, "a part is neither an HTTP message nor a change set");
	return split_multipart(splitter, text, boundary, splitter->changesets++);
}

static bool
split_multipart(Splitter *splitter, Text text, const char *boundary, int changeset)
{
	Text part;
	Delimiter kind =
		take_part(&text, boundary, &part); /* what stands before the first is nothing */

	while (kind == DELIMITER_PART)
	{
		kind = take_part(&text, boundary, &part);
		if (kind != DELIMITER_NONE && !split_part(splitter, part, changeset))
			return false;
	}
	if (kind == DELIMITER_NONE)
		return fail(splitter, "it breaks off before its end");
	text = trim(text);
	return text.start == text.end || fail(splitter, "something follows its end");
}

bool
dv_batch_split(const char *content_type, const char *body, size_t len, DvBatchPart **parts,
			   int *nparts, DvError *error)
{
	Splitter splitter = {NULL, 0, 16, 0, error};
	Text text = {body, body + len};
	Text type;
	char boundary[BOUNDARY_MAX + 1];

	*parts = NULL;
	*nparts = 0;
	type.start = content_type != NULL ? content_type : "";
	type.end = type.start + strlen(type.start);
	if (!parse_boundary(trim(type), boundary))
		return fail(&splitter, "it is not multipart");
	splitter.parts = palloc(splitter.cap * sizeof(DvBatchPart));
	if (!split_multipart(&splitter, text, boundary, -1))
	{
		pfree(splitter.parts);
		return false;
	}
	*parts = splitter.parts;
	*nparts = splitter.nparts;
	return true;
}

char *
dv_batch_part_header(const DvBatchPart *part, const char *name)
{
	Text headers = {part->headers, part->headers + part->headers_len};
	Text value;

	if (!find_header(headers, name, &value))
		return NULL;
	return pnstrdup(value.start, value.end - value.start);
}
