/*
 * datum.c
 *	  A Datum as text that depends on no setting.
 *
 * Output functions follow DateStyle, TimeZone and extra_float_digits; the
 * service must get the same text whatever the session has set.  Times are
 * given as numbers, in the forms of literal.h, by arithmetic and not by parsing
 * what was printed.
 *
 * Types that are not known here go through their output function.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "exec/datum.h"
#include "odata/literal.h"

/* From 1970-01-01, where literals count, to 2000-01-01, where PostgreSQL does. */
#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

char *
dv_datum_output(Datum value, Oid typid)
{
	Oid function;
	bool varlena;

	getTypeOutputInfo(typid, &function, &varlena);
	return OidOutputFunctionCall(function, value);
}

/* Shortest digits that read back as the same double; NaN and infinities in numeric's words. */
char *
dv_datum_double(double value)
{
	if (isnan(value))
		return "NaN";
	if (isinf(value))
		return value > 0 ? "Infinity" : "-Infinity";
	return value == 0 ? "0" : double_to_shortest_decimal(value);
}

char *
dv_datum_real(float value)
{
	if (isnan(value) || isinf(value))
		return dv_datum_double(value);
	return value == 0 ? "0" : float_to_shortest_decimal(value);
}

/* Any text that numeric reads, as digits without an exponent. */
static char *
plain_digits(const char *text)
{
	Datum number = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
									   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	return DatumGetCString(DirectFunctionCall1(numeric_out, number));
}

/* A number as its digits: every digit PostgreSQL prints, trailing zeros included. */
char *
dv_datum_number(Datum value, Oid typid)
{
	switch (typid)
	{
		case INT2OID:
			return psprintf("%d", DatumGetInt16(value));
		case INT4OID:
			return psprintf("%d", DatumGetInt32(value));
		case INT8OID:
			return psprintf(INT64_FORMAT, DatumGetInt64(value));
		case NUMERICOID:
			return DatumGetCString(DirectFunctionCall1(numeric_out, value));
		case FLOAT4OID:
			return plain_digits(dv_datum_real(DatumGetFloat4(value)));
		case FLOAT8OID:
			return plain_digits(dv_datum_double(DatumGetFloat8(value)));
		default:
			return plain_digits(dv_datum_output(value, typid));
	}
}

bool
dv_datum_boolean(Datum value, Oid typid)
{
	if (typid == BOOLOID)
		return DatumGetBool(value);
	return DatumGetBool(
		DirectFunctionCall1(boolin, CStringGetDatum(dv_datum_output(value, typid))));
}

/*
 * Days or microseconds since 1970 as literal.h wants them.  What the 64 bits
 * do not hold is past everything, and so is as good as infinite.
 */
static char *
days_text(DateADT date)
{
	if (DATE_NOT_FINITE(date))
		return DATE_IS_NOBEGIN(date) ? "-infinity" : "infinity";
	return psprintf(INT64_FORMAT, (int64) date + EPOCH_DAYS);
}

static char *
micros_text(Timestamp timestamp)
{
	int64 micros;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return TIMESTAMP_IS_NOBEGIN(timestamp) ? "-infinity" : "infinity";
	if (pg_add_s64_overflow(timestamp, EPOCH_DAYS * USECS_PER_DAY, &micros))
		return "infinity";
	return psprintf(INT64_FORMAT, micros);
}

static char *
date_micros_text(DateADT date)
{
	int64 micros;

	if (DATE_NOT_FINITE(date))
		return days_text(date);
	if (pg_mul_s64_overflow(date, USECS_PER_DAY, &micros) ||
		pg_add_s64_overflow(micros, EPOCH_DAYS * USECS_PER_DAY, &micros))
		return date > 0 ? "infinity" : "-infinity";
	return psprintf(INT64_FORMAT, micros);
}

static Datum
input_value(PGFunction function, const char *text)
{
	return DirectFunctionCall3(function, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/* An instant. Types without a zone are taken as UTC, as the wire has them. */
char *
dv_datum_instant(Datum value, Oid typid)
{
	switch (typid)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return micros_text(DatumGetTimestamp(value));
		case DATEOID:
			return date_micros_text(DatumGetDateADT(value));
		default:
			return micros_text(
				DatumGetTimestampTz(input_value(timestamptz_in, dv_datum_output(value, typid))));
	}
}

/* A day. A timestamp's is that of the cast: UTC on the wire stays a plain date here. */
char *
dv_datum_day(Datum value, Oid typid)
{
	switch (typid)
	{
		case DATEOID:
			return days_text(DatumGetDateADT(value));
		case TIMESTAMPOID:
			return days_text(DatumGetDateADT(DirectFunctionCall1(timestamp_date, value)));
		case TIMESTAMPTZOID:
			return days_text(DatumGetDateADT(DirectFunctionCall1(timestamptz_date, value)));
		default:
			return days_text(DatumGetDateADT(
				DirectFunctionCall1(date_in, CStringGetDatum(dv_datum_output(value, typid)))));
	}
}

char *
dv_datum_session_instant(Datum value, Oid typid)
{
	int overflow = 0;
	TimestampTz instant;

	if (typid == DATEOID)
		instant = date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
	else
		instant = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
	if (overflow != 0)
		return overflow < 0 ? "-infinity" : "infinity";
	return micros_text(instant);
}

char *
dv_datum_day_fraction(Datum timestamp)
{
	Timestamp value = DatumGetTimestamp(timestamp);
	int64 days;

	if (TIMESTAMP_NOT_FINITE(value))
		return micros_text(value);
	days = value / USECS_PER_DAY - (value % USECS_PER_DAY < 0);
	return psprintf(INT64_FORMAT "%s", days + EPOCH_DAYS,
					days * USECS_PER_DAY == value ? "" : ".5");
}

/* As the double that PostgreSQL would compare with. */
char *
dv_datum_as_double(Datum value, Oid typid)
{
	switch (typid)
	{
		case FLOAT8OID:
			return dv_datum_double(DatumGetFloat8(value));
		case FLOAT4OID:
			return dv_datum_double((double) DatumGetFloat4(value));
		default:
			return dv_datum_double(DatumGetFloat8(
				DirectFunctionCall1(float8in, CStringGetDatum(dv_datum_number(value, typid)))));
	}
}

/* The text of a value in a text column of the service. */
char *
dv_datum_string(Datum value, Oid typid)
{
	StringInfoData out;

	switch (typid)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return TextDatumGetCString(value);
		case UUIDOID:
			return DatumGetCString(DirectFunctionCall1(uuid_out, value));
		case BOOLOID:
			return DatumGetBool(value) ? "true" : "false";
		case FLOAT4OID:
			return dv_datum_real(DatumGetFloat4(value));
		case FLOAT8OID:
			return dv_datum_double(DatumGetFloat8(value));
		case DATEOID:
			if (DATE_NOT_FINITE(DatumGetDateADT(value)))
				return days_text(DatumGetDateADT(value));
			initStringInfo(&out);
			dv_literal_append_date(&out, strtoll(dv_datum_day(value, typid), NULL, 10));
			return out.data;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
				return micros_text(DatumGetTimestamp(value));
			initStringInfo(&out);
			dv_literal_append_datetime(&out, strtoll(dv_datum_instant(value, typid), NULL, 10));
			return out.data;
		default:
			return dv_datum_output(value, typid);
	}
}
