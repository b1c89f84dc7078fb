/*
 * newid.c
 *	  Ids for new rows, ordered as the service's index orders them.
 *
 * A create that may have been processed without our knowing can only be
 * repeated safely when the row carries an id of ours (sheet 4.1, 7.1), and ids
 * that grow save the service page splits.  Its database compares a GUID's last
 * six bytes first and the two before them next, so the milliseconds stand at
 * the end, a counter before them, and the randomness in front: RFC 9562's
 * version 8, which is there for layouts of one's own.
 */
#include "odata/base.h"

#include "odata/newid.h"

#define SEQUENCE_MAX 0x3FFF /* 14 bits beside the variant's two */

void
dv_newid(DvIdStream *stream, int64 unix_ms, const uint8 random[DV_ID_RANDOM],
		 char id[DV_ID_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint8 bytes[16];
	char *p = id;

	if (unix_ms > stream->ms)
	{
		stream->ms = unix_ms;
		stream->sequence = 0;
	}
	else if (++stream->sequence > SEQUENCE_MAX)
	{
		stream->ms++;
		stream->sequence = 0;
	}
	memcpy(bytes, random, DV_ID_RANDOM);
	bytes[6] = 0x80 | (bytes[6] & 0x0F);
	bytes[8] = 0x80 | (stream->sequence >> 8);
	bytes[9] = stream->sequence & 0xFF;
	for (int i = 0; i < 6; i++)
		bytes[10 + i] = (stream->ms >> (8 * (5 - i))) & 0xFF;

	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[bytes[i] >> 4];
		*p++ = digits[bytes[i] & 0x0F];
	}
	*p = '\0';
}
