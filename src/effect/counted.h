/*-------------------------------------------------------------------------
 *
 * counted.h
 *	  How many executions of an agent have ended.
 *
 * The number stands in the agent's row, which all that settle executions of that
 * agent would change, one version for each of them. So whoever settles many in a
 * transaction gathers, and writes once, last:
 *
 *		tz_counted_gather();
 *		... settle ...
 *		tz_counted_write();
 *		(commit)
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_COUNTED_H
#define TZ_COUNTED_H

/* What ends from here on is gathered. The end of the transaction ends that too, and forgets what was not written. */
extern void tz_counted_gather(void);

/* Writes what was gathered, agents in their order. */
extern void tz_counted_write(void);

#endif /* TZ_COUNTED_H */
