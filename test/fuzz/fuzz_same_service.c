/*
 * fuzz_same_service.c
 *	  Any text as a link: what is accepted begins, as text, with the origin and
 *	  the root, and holds nothing that another parser could stumble over.
 */
#include "odata/url.h"

extern int LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

#define ORIGIN "https://org.crm4.dynamics.com"
#define ROOT "/api/data/v9.2/"

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	char *link = pnstrdup((const char *) data, size);
	DvError error;

	if (dv_url_same_service(ORIGIN "/api/data/v9.2", link))
	{
		const char *rest = link + strlen(ORIGIN);
		const char *p;

		if (pg_strncasecmp(link, ORIGIN, strlen(ORIGIN)) != 0)
			abort();
		if (strncmp(rest, ":443", 4) == 0)
			rest += 4;
		if (strncmp(rest, ROOT, strlen(ROOT)) != 0 || rest[strlen(ROOT)] == '\0')
			abort();
		for (p = link; *p != '\0'; p++)
		{
			if (*p <= ' ' || *p > '~' || *p == '\\' || *p == '#')
				abort();
		}
		link[strcspn(link, "?")] = '\0';
		if (strstr(rest, "/../") != NULL || strstr(rest, "//") != NULL ||
			strstr(rest, "/./") != NULL)
			abort();
	}
	if (!dv_url_check_root(link, &error))
		pfree(error.message);
	pfree(link);
	return 0;
}
