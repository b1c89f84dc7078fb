/*
 * pollset.h
 *	  The sockets of all requests, and a timer, behind one descriptor that
 *	  others may watch.
 */
#ifndef DV_REMOTE_POLLSET_H
#define DV_REMOTE_POLLSET_H

#include <sys/epoll.h>

/* Makes it at first use; it stays as long as the backend. */
extern void dv_pollset_open(void);

/* Readable when a socket stirs or the timer has gone off. */
extern int dv_pollset_fd(void);

/* Waits for EPOLLIN, EPOLLOUT; 0 takes the socket out.  Never throws; false when it cannot. */
extern bool dv_pollset_set(int sock, uint32 events);

/* The sockets that stir, without waiting; their number.  Silences the timer. */
extern int dv_pollset_ready(struct epoll_event *events, int n);

/*
 * For a wait of somebody else's (async Append): another descriptor like
 * dv_pollset_fd's.  Each call gives a new one, since a set of events takes each
 * only once; closed with the current memory context.
 */
extern int dv_pollset_watch(void);

/* Makes these descriptors readable, once, after that time (-1: none) at the latest. */
extern void dv_pollset_wake_after(long ms);

/* Says in advance that so many descriptors will be opened, which fd.c has to know; or were closed. */
extern void dv_pollset_reserve(int n);
extern void dv_pollset_release(int n);

#endif /* DV_REMOTE_POLLSET_H */
