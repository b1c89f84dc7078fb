/*
 * literal.h
 *	  One value as OData text, and text as URL text.
 *
 * Values arrive as text in a fixed form per Edm type, never as C numbers, so
 * that no digit is lost:
 *	 INT32, INT64, DECIMAL	digits as numeric_out prints them
 *	 DOUBLE					float8out's shortest exact digits
 *	 BOOLEAN				true, false
 *	 GUID					36 characters
 *	 DATETIME				whole microseconds since 1970-01-01T00:00:00Z
 *	 DATE					days since 1970-01-01
 *	 STRING, CHOICES		the text
 * Dates also take "infinity" and "-infinity", which no literal can express.
 */
#ifndef DV_ODATA_LITERAL_H
#define DV_ODATA_LITERAL_H

#include "odata/type.h"

/* Can this text stand as a literal of this type? (syntax and the service's range) */
extern bool dv_literal_check(DvEdm edm, const char *text);

/* Appends the $filter form (2.3.2); the text must have passed dv_literal_check. */
extern void dv_literal_append(StringInfo out, DvEdm edm, const char *text);

/*
 * Appends the form inside a JSON array of PropertyValues (2.3.6): always a
 * JSON string in double quotes, whatever the type.
 */
extern void dv_literal_append_quoted(StringInfo out, DvEdm edm, const char *text);

/* "2024-01-31T08:00:00Z" with a fraction only when there is one; "2024-01-31". */
extern void dv_literal_append_datetime(StringInfo out, int64 micros);
extern void dv_literal_append_date(StringInfo out, int64 days);

/* Appends text as the content of a JSON string, without the quotes. */
extern void dv_json_escape(StringInfo out, const char *text, size_t len);

/*
 * Percent-encodes all but RFC 3986's unreserved characters and those that the
 * sheet shows bare in queries: ( ) ' , * ! $ @ : / stay where they are harmless is the
 * caller's choice: "keep" lists further bytes to leave alone, or NULL.
 */
extern void dv_url_escape(StringInfo out, const char *text, size_t len, const char *keep);

#endif /* DV_ODATA_LITERAL_H */
