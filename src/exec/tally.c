/*
 * tally.c
 *	  How many rows this transaction has written abroad, told when it rolls back.
 *
 * The service has no transaction with us: what it confirmed stays.  A user who
 * rolls back must hear of it, so rows are counted by server and by nesting
 * level, a subtransaction that commits hands its count to its parent, and one
 * that aborts tells it, once.  Rows whose answer nobody waited for, since an
 * error or a cancel came first, are told apart: they may be written or not.
 *
 * Callbacks at abort must not throw; they do nothing but a WARNING.  A
 * transaction that is to be prepared is refused: nobody would be told when it
 * is rolled back.
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

#include "exec/tally.h"

typedef struct Tally
{
	dlist_node node;
	Oid serverid;
	int level; /* of the subtransaction, 1 the top */
	int64 written;
	int64 pending; /* sent, fate unknown */
	char name[FLEXIBLE_ARRAY_MEMBER];
} Tally;

/* Those of the current transaction, in its memory context. */
static dlist_head tallies = DLIST_STATIC_INIT(tallies);
static bool registered = false;

static Tally *
find(Oid serverid, int level)
{
	dlist_iter iter;

	dlist_foreach(iter, &tallies)
	{
		Tally *tally = dlist_container(Tally, node, iter.cur);

		if (tally->serverid == serverid && tally->level == level)
			return tally;
	}
	return NULL;
}

static void
tell(const Tally *tally)
{
	if (tally->written > 0)
		ereport(WARNING,
				(errmsg_plural("%lld row had been written to foreign server \"%s\" and stays there",
							   "%lld rows had been written to foreign server \"%s\" and stay there",
							   tally->written, (long long) tally->written, tally->name),
				 tally->pending > 0
					 ? errdetail("Up to %lld more were on their way and may be there too.",
								 (long long) tally->pending)
					 : 0));
	else if (tally->pending > 0)
		ereport(
			WARNING,
			(errmsg_plural("%lld row was on its way to foreign server \"%s\" and may be there now",
						   "up to %lld rows were on their way to foreign server \"%s\" and may "
						   "be there now",
						   tally->pending, (long long) tally->pending, tally->name)));
}

static void
forget_all(void)
{
	/* The memory goes with the transaction. */
	dlist_init(&tallies);
}

/* Who rolls it back later would be told nothing. */
static void
refuse_prepare(const Tally *tally)
{
	if (tally->written + tally->pending == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot PREPARE a transaction that has written to foreign server \"%s\"",
					tally->name),
			 errdetail("What the service has written is final, and cannot wait for the second "
					   "phase.")));
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	dlist_iter iter;

	switch (event)
	{
		case XACT_EVENT_ABORT:
			dlist_foreach(iter, &tallies) tell(dlist_container(Tally, node, iter.cur));
			forget_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			dlist_foreach(iter, &tallies) refuse_prepare(dlist_container(Tally, node, iter.cur));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			forget_all();
			break;
		default:
			break;
	}
}

static void
leave_level(Tally *tally, bool commit)
{
	Tally *parent = commit ? find(tally->serverid, tally->level - 1) : NULL;

	if (!commit)
		tell(tally);
	else if (parent == NULL)
	{
		tally->level--;
		return;
	}
	else
	{
		parent->written += tally->written;
		parent->pending += tally->pending;
	}
	dlist_delete(&tally->node);
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
					  void *arg)
{
	int level = GetCurrentTransactionNestLevel();
	dlist_mutable_iter iter;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	dlist_foreach_modify(iter, &tallies)
	{
		Tally *tally = dlist_container(Tally, node, iter.cur);

		if (tally->level >= level)
			leave_level(tally, event == SUBXACT_EVENT_COMMIT_SUB);
	}
}

static Tally *
find_or_make(const DvServerOptions *server)
{
	int level = GetCurrentTransactionNestLevel();
	Tally *tally = find(server->serverid, level);

	if (tally != NULL)
		return tally;
	if (!registered)
	{
		RegisterXactCallback(end_of_transaction, NULL);
		RegisterSubXactCallback(end_of_subtransaction, NULL);
		registered = true;
	}
	tally = MemoryContextAllocZero(TopTransactionContext,
								   offsetof(Tally, name) + strlen(server->name) + 1);
	tally->serverid = server->serverid;
	tally->level = level;
	strlcpy(tally->name, server->name, strlen(server->name) + 1);
	dlist_push_tail(&tallies, &tally->node);
	return tally;
}

void
dv_tally_sent(const DvServerOptions *server, int64 rows)
{
	find_or_make(server)->pending += rows;
}

void
dv_tally_settled(const DvServerOptions *server, int64 rows, int64 written)
{
	dlist_iter iter;

	find_or_make(server)->written += written;

	/* They may have been sent at another level: a trigger's read flushes its caller's rows. */
	dlist_foreach(iter, &tallies)
	{
		Tally *tally = dlist_container(Tally, node, iter.cur);
		int64 known;

		if (tally->serverid != server->serverid)
			continue;
		known = Min(rows, tally->pending);
		tally->pending -= known;
		rows -= known;
	}
}
