/*
 * base.c
 *	  DvError filled and emptied; malloc'ed things tied to a memory context.
 *
 * dv_own is how everything that a C library allocated survives a long jump:
 * the context's reset callback frees it.  A callback cannot be unregistered in
 * the supported versions, so the wrapper keeps a pointer that an early release
 * clears.  In the front end there are no contexts and no jumps, so the wrapper
 * only remembers.
 */
#include "odata/base.h"

#include "compat.h"

struct DvOwned
{
	void *thing; /* NULL once freed */
	DvFreeFunction free_thing;
#ifndef FRONTEND
	MemoryContextCallback callback;
#endif
};

void
dv_error_clear(DvError *error)
{
	memset(error, 0, sizeof(*error));
	error->retry_after_ms = -1;
}

void
dv_error_set(DvError *error, DvErrorKind kind, const char *format, ...)
{
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		va_list args;
		int needed;

		va_start(args, format);
		needed = appendStringInfoVA(&message, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}

	/* Only now: the arguments may point into the error itself. */
	dv_error_clear(error);
	error->kind = kind;
	error->message = message.data;
}

static void
release(void *arg)
{
	DvOwned *owned = arg;
	void *thing = owned->thing;

	owned->thing = NULL;
	if (thing != NULL)
		owned->free_thing(thing);
}

DvOwned *
dv_own(void *thing, DvFreeFunction free_thing)
{
	DvOwned *owned = palloc_extended(sizeof(DvOwned), MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);

	if (owned == NULL)
	{
		/* The thing must not outlive the failure; then fail just as palloc would have. */
		free_thing(thing);
#ifdef FRONTEND
		abort();
#else
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
#endif
	}
	owned->thing = thing;
	owned->free_thing = free_thing;
#ifndef FRONTEND
	owned->callback.func = release;
	owned->callback.arg = owned;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &owned->callback);
#endif
	return owned;
}

void
dv_owned_free(DvOwned *owned)
{
	if (owned != NULL)
		release(owned);
}
