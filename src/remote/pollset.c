/*
 * pollset.c
 *	  The sockets of all requests, and a timer, behind one descriptor that
 *	  others may watch.
 *
 * An epoll descriptor can itself be waited for, together with the latch and,
 * below an Append, with what other scans wait for.  Append waits without a time
 * limit: what comes by time alone has to stir a descriptor, hence the timer.
 *
 * Deliberately knows nothing of libcurl or of exchanges.  It is never closed:
 * whoever watches could not know that it is another one now.
 */
#include "postgres.h"

#include "compat.h"

#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "portability/instr_time.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "remote/pollset.h"

/* The epoll descriptor and the timer's. */
#define OWN_DESCRIPTORS 2

/*
 * A wait of somebody else's comes back this often.  Append, in the minor
 * releases before spring 2025, does not see a cancel earlier.
 */
#define WATCH_TICK_MS 50

static struct
{
	int epoll;
	int timer;
	int64 wake_us; /* when the timer goes off, or last did */
} pollset = {.epoll = -1, .timer = -1};

static int64
now_us(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

void
dv_pollset_reserve(int n)
{
	for (int i = 0; i < n; i++)
	{
		if (AcquireExternalFD())
			continue;
		dv_pollset_release(i);
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not reserve file descriptors for HTTP requests"),
						errhint("Raise the operating system's limit of open files, or lower "
								"max_files_per_process.")));
	}
}

void
dv_pollset_release(int n)
{
	while (n-- > 0)
		ReleaseExternalFD();
}

static void
close_descriptor(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* False with nothing open. */
static bool
create(void)
{
	pollset.epoll = epoll_create1(EPOLL_CLOEXEC);
	pollset.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (pollset.epoll >= 0 && pollset.timer >= 0 && dv_pollset_set(pollset.timer, EPOLLIN))
		return true;
	close_descriptor(&pollset.timer);
	close_descriptor(&pollset.epoll);
	return false;
}

void
dv_pollset_open(void)
{
	if (pollset.epoll >= 0)
		return;
	dv_pollset_reserve(OWN_DESCRIPTORS);
	if (create())
		return;
	dv_pollset_release(OWN_DESCRIPTORS);
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					errmsg("could not set up the HTTP multiplexer: %m")));
}

int
dv_pollset_fd(void)
{
	return pollset.epoll;
}

bool
dv_pollset_set(int sock, uint32 events)
{
	struct epoll_event event = {.events = events, .data.fd = sock};

	if (events == 0)
	{
		/* closing a socket has already taken it out */
		(void) epoll_ctl(pollset.epoll, EPOLL_CTL_DEL, sock, &event);
		return true;
	}
	return epoll_ctl(pollset.epoll, EPOLL_CTL_MOD, sock, &event) == 0 ||
		   (errno == ENOENT && epoll_ctl(pollset.epoll, EPOLL_CTL_ADD, sock, &event) == 0);
}

int
dv_pollset_ready(struct epoll_event *events, int n)
{
	int got = epoll_wait(pollset.epoll, events, n, 0);
	int kept = 0;

	for (int i = 0; i < got; i++)
	{
		uint64 times;

		/* unread, it would say again and again that its time has come */
		if (events[i].data.fd == pollset.timer)
			(void) !read(pollset.timer, &times, sizeof(times));
		else
			events[kept++] = events[i];
	}
	return kept;
}

static void
close_watch(void *arg)
{
	close((int) (intptr_t) arg);
	ReleaseExternalFD();
}

int
dv_pollset_watch(void)
{
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	int fd;

	dv_pollset_open();
	dv_pollset_reserve(1);
	fd = fcntl(pollset.epoll, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
	{
		dv_pollset_release(1);
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not watch the sockets of HTTP requests: %m")));
	}
	callback->func = close_watch;
	callback->arg = (void *) (intptr_t) fd;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return fd;
}

void
dv_pollset_wake_after(long ms)
{
	int64 now = now_us();
	int64 wait_us = (int64) (ms < 0 ? WATCH_TICK_MS : Min(ms, WATCH_TICK_MS)) * 1000;
	struct itimerspec at = {0};

	/* one timer for all who watch: the soonest counts */
	if (pollset.wake_us > now && pollset.wake_us <= now + wait_us)
		return;
	pollset.wake_us = now + wait_us;
	at.it_value.tv_nsec = Max(wait_us * 1000, 1); /* zero would switch it off */
	if (timerfd_settime(pollset.timer, 0, &at, NULL) != 0)
		elog(ERROR, "could not set the timer of HTTP requests: %m");
}
