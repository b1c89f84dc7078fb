/*
 * address.h
 *	  An address as a person writes it, as it goes over the wire.
 */
#ifndef DV_ODATA_ADDRESS_H
#define DV_ODATA_ADDRESS_H

#include "odata/base.h"

/*
 * Appends what is asked for below the service root, percent-encoded where it
 * must be.  text is UTF-8.  False, with DV_ERROR_DATA, when it is no relative
 * path.  What the path leads to is for dv_url_same_service to judge.
 */
extern bool dv_address_encode(StringInfo out, const char *text, DvError *error);

/* Does the query of this encoded address have the option ($top)? */
extern bool dv_address_has_option(const char *address, const char *option);

/* Does its path end in that segment ($count)? */
extern bool dv_address_ends_in(const char *address, const char *segment);

#endif /* DV_ODATA_ADDRESS_H */
