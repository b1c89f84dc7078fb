/*
 * document.h
 *	  One document about an environment, asked for and read.
 *
 * For metadata and the system tables around it: small in number, wanted whole,
 * and as current as the service can tell.
 */
#ifndef DV_REMOTE_DOCUMENT_H
#define DV_REMOTE_DOCUMENT_H

#include "odata/schema.h"
#include "odata/url.h"
#include "remote/service.h"

struct json_t;

/* Starts a GET and waits for it.  The answer may be an error: see dv_call_error. */
extern DvCall *dv_document_ask(DvService *service, const char *path);

/* The same; throws when there is no answer. */
extern DvCall *dv_document_get(DvService *service, const char *path);
extern DvCall *dv_document_query(DvService *service, const DvQuery *query);

/*
 * The "value" list of an answer as a jansson array, which dies with the current
 * context; throws when there is none.  next, unless NULL: the palloc'd next
 * link or NULL.
 */
extern struct json_t *dv_document_rows(DvService *service, DvCall *call, char **next);

/* A text member of a row; NULL when it is absent or no text. */
extern const char *dv_document_text(const struct json_t *row, const char *name);

/* An answer that is metadata: dv_schema_parse that throws. */
extern void dv_document_schemas(DvService *service, DvCall *call, DvSchema **schemas,
								int *nschemas);

/* Throws: could not read metadata of this server. */
extern void dv_document_fail(DvService *service, const DvError *error) pg_attribute_noreturn();

#endif /* DV_REMOTE_DOCUMENT_H */
