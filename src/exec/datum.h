/*
 * datum.h
 *	  A Datum as text that depends on no setting.
 *
 * Types are base types: domains are the caller's to look through.  Texts are
 * palloc'd or static, in the database's encoding.
 */
#ifndef DV_EXEC_DATUM_H
#define DV_EXEC_DATUM_H

/* By the type's output function, settings and all. */
extern char *dv_datum_output(Datum value, Oid typid);

/* A number's digits without exponent, trailing zeros kept; NaN, Infinity, -Infinity. */
extern char *dv_datum_number(Datum value, Oid typid);

/* The shortest digits that read back as the same float, perhaps with an exponent. */
extern char *dv_datum_double(double value);
extern char *dv_datum_real(float value);

/* Any number as the double that PostgreSQL makes of it. */
extern char *dv_datum_as_double(Datum value, Oid typid);
extern bool dv_datum_boolean(Datum value, Oid typid);

/*
 * Microseconds or days since 1970-01-01 UTC; infinity, -infinity.  For an
 * instant, types without a zone are taken as UTC; a day is that of the cast.
 */
extern char *dv_datum_instant(Datum value, Oid typid);
/* The instant that a date or a timestamp without zone is in the session's time zone. */
extern char *dv_datum_session_instant(Datum value, Oid typid);

/* A timestamp as days, ".5" after the number when it is not midnight: between two days. */
extern char *dv_datum_day_fraction(Datum timestamp);
extern char *dv_datum_day(Datum value, Oid typid);

/* The value in a text column: ISO dates, UTC, true and false. */
extern char *dv_datum_string(Datum value, Oid typid);

#endif /* DV_EXEC_DATUM_H */
