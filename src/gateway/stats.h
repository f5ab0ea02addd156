/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  What gateway workers have done, for metrics: counters in shared memory.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_GATEWAY_STATS_H
#define TZ_GATEWAY_STATS_H

/* Asks for shared memory; called once, while libraries are loaded. */
extern void tz_gateway_stats_init(void);

/* This process counts for gateway `number` of its database. */
extern void tz_gateway_stats_attach(int number);

extern void tz_gateway_count_reply(int status);
extern void tz_gateway_count_turn(int requests, int64 us);
extern void tz_gateway_gauge(int connections, int waiting, int streams);

#endif /* TZ_GATEWAY_STATS_H */
