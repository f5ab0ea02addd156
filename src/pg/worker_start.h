/*-------------------------------------------------------------------------
 *
 * worker_start.h
 *	  What the launcher tells a dynamic worker, in bgw_extra.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_WORKER_START_H
#define TZ_WORKER_START_H

#include "pg/worker.h"

typedef struct TzWorkerStart
{
	Oid dboid;
	int dbindex; /* entry in tz_shared->database */
	int position; /* of the slot within the entry */
	int number; /* of the dispatcher */
	TzWorkerKind kind;
} TzWorkerStart;

#endif /* TZ_WORKER_START_H */
