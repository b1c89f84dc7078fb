/*
 * credentials.h
 *	  A bearer token for this user mapping, cached until it expires.
 */
#ifndef DV_REMOTE_CREDENTIALS_H
#define DV_REMOTE_CREDENTIALS_H

#include "remote/options.h"

/*
 * The token, from the backend's cache or, when there is none or fewer than five
 * minutes of its life are left (less for short-lived ones), from the token authority (waits, can be
 * cancelled).  Valid until the next call.  Throws with the authority's words,
 * never with the secret.
 */
extern const char *dv_credentials_token(const DvServerOptions *server, const DvUserOptions *user);

/* Drops the cached token if it still is this one: after a 401. */
extern void dv_credentials_forget(Oid umid, const char *token);
extern void dv_credentials_forget_all(Oid serverid);

#endif /* DV_REMOTE_CREDENTIALS_H */
