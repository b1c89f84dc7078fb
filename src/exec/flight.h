/*
 * flight.h
 *	  Sets on their way to the service: sent, repeated, narrowed down to their
 *	  bad rows.
 */
#ifndef DV_EXEC_FLIGHT_H
#define DV_EXEC_FLIGHT_H

#include "exec/ledger.h"
#include "exec/unchanged.h"
#include "odata/hunt.h"

typedef struct DvFlights DvFlights;

/* A set and its place in the order.  The second half is flight.c's own. */
typedef struct DvFlight
{
	uint64 serial;
	uint64 barrier; /* all of this serial and before must be done first */
	DvRowSet *set;
	bool alone; /* one row that is waited for: nothing of it is left out */

	int *rows; /* those that are open, in order; hunt.open of them */
	DvHunt hunt;
	DvWrite *write;    /* in flight, or NULL */
	int sent;          /* so many of the first rows, by the last request */
	bool by_row;       /* which asked about each for itself */
	DvOutcome outcome; /* of that */
	DvError error;
	bool digested; /* it has had its consequences */
	int attempt;   /* without any row getting on */
	long wait_ms;  /* before the next request */
} DvFlight;

/* Called when no row of the flight is open any more; frees it. */
typedef void (*DvFlightDone)(void *arg, DvFlight *flight);

/* In the current context.  unchanged: NULL when every row is sent as it is. */
extern DvFlights *dv_flights_create(const DvWriter *writer, DvLedger *ledger,
									DvUnchanged *unchanged, DvFlightDone done, void *arg);

/* How large a set may become. */
extern int dv_flights_rows(const DvFlights *flights);
extern size_t dv_flights_bytes(const DvFlights *flights);

/*
 * Sends a set when there is a place and what must go before it is done.  Waits
 * for both; throws for a row of an earlier flight, too.
 */
extern void dv_flights_launch(DvFlights *flights, DvFlight *flight);

/* Lets transfers go on, without waiting. */
extern void dv_flights_drive(DvFlights *flights);

/* Waits until nothing is in flight. */
extern void dv_flights_land(DvFlights *flights);

extern int dv_flights_count(const DvFlights *flights);

#endif /* DV_EXEC_FLIGHT_H */
