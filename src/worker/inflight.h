/*-------------------------------------------------------------------------
 *
 * inflight.h
 *	  The table of calls in flight, and their moves.
 *
 * Include after postgres.h. Nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_INFLIGHT_H
#define TZ_INFLIGHT_H

#include "adapter/adapter.h"
#include "effect/claim.h"
#include "effect/done.h"
#include "http/client.h"
#include "worker/conceal.h"
#include "worker/flow.h"
#include "worker/local.h"
#include "worker/script.h"
#include "worker/sqltool.h"

typedef enum TzFlightState
{
	TZ_FLIGHT_CLAIMED, /* ours by a committed claim; nothing has left */
	TZ_FLIGHT_FLYING, /* begun: a request may have left */
	TZ_FLIGHT_ENDED, /* has an outcome, waits to be settled */
	TZ_FLIGHT_PARKED, /* the same, but somebody's open transaction holds its rows */
	TZ_FLIGHT_GONE /* settled and freed */
} TzFlightState;

#define TZ_FLIGHT_LISTS 4 /* GONE has none */

typedef struct TzInflight TzInflight;

/* A mask, for all calls in flight with the same secrets: most have the same key of a provider. */
typedef struct TzMaskShare
{
	struct TzMaskShare *next;
	int refs;
	uint32 hash;
	TzBuf values; /* each behind its length */
	TzMask *mask;
} TzMaskShare;

typedef struct TzFlight
{
	struct TzFlight *next; /* of its state's list, oldest first */
	struct TzFlight *prev;
	struct TzFlight *chain; /* of its hash bucket */
	TzInflight *table;
	TzFlightState state;
	TzClaimed *claim; /* owned */
	TimestampTz claimed_at;
	TimestampTz started;
	TimestampTz finished;
	bool cancel; /* asked to be cut */
	bool noted; /* effect_sent has been told */

	/* filled by tz_flight_prepare */
	json_t *request;
	json_t *step_state;
	TzEffect effect;
	TzEndpoint endpoint;
	TzSecretValue *secrets;
	const TzMask *mask; /* of all values, once something had to be searched */
	TzMaskShare *mask_share; /* whose it is */
	TzStatus mask_status;
	bool mask_tried;

	/* while it flies */
	const TzAdapter *adapter; /* of a call over HTTP */
	struct TzCarrier *carrier; /* who carries it */
	TzHttpCall *http;
	TzFlow *flow; /* of an answer that is read as it comes, or NULL */
	TzLive *live; /* of a command whose output is shown, or NULL */
	bool local;
	TzLocalJob job;
	bool sql;
	TzSqlJob sql_job;
	TzScriptJob *script; /* owned by whoever carries it, or NULL */
	TzOutcome outcome;

	/* once it ended */
	const char *verdict;
	char *result; /* JSON text, or NULL for {} */
	size_t result_len;
} TzFlight;

typedef struct TzFlightList
{
	TzFlight *first;
	TzFlight *last;
	int n;
} TzFlightList;

struct TzInflight
{
	TzFlightList lists[TZ_FLIGHT_LISTS];
	TzFlight **buckets;
	int nbuckets; /* a power of two */
	int n; /* all states */
	int flows; /* answers being read as they come */
	int unnoted; /* flying ones effect_sent was not told of */
	TzFlight *first_unnoted; /* of the flying ones; those behind it are so too */
	TzMaskShare *masks;
	TzFlight *spare; /* cleared and ready for tz_inflight_add */
	int nspare;
};

/* False when out of memory. expected: how many will fly at once. */
extern bool tz_inflight_init(TzInflight *table, int expected);
/* Makes sure that tz_inflight_add succeeds n times; false when out of memory. */
extern bool tz_inflight_reserve(TzInflight *table, int n);
/* Takes over the claim. */
extern TzFlight *tz_inflight_add(TzInflight *table, TzClaimed *claim, TimestampTz now);
extern TzFlight *tz_inflight_find(const TzInflight *table, const char *id, int attempt);
/* An illegal move is refused with false and changes nothing. */
extern bool tz_flight_move(TzFlight *f, TzFlightState to);
/* ENDED only: forgets it. */
extern void tz_flight_free(TzFlight *f);

/* Parses the row's documents and fills effect and endpoint. */
extern TzStatus tz_flight_prepare(TzFlight *f, size_t max_response, int64 now_unix_ms, TzErr *err);
/* Its secrets, which are needed until what comes back has been masked: every way to end does it. */
extern void tz_flight_wipe(TzFlight *f);
/* To be read as it comes, for who follows the run too; before the request leaves. */
extern TzStatus tz_flight_stream(TzFlight *f, const TzPen *pen, TzErr *err);
/*
 * A command: what it prints is shown with these pens, one a channel; before it begins. Without memory it is
 * not shown.
 */
extern void tz_flight_live(TzFlight *f, const TzPen *pens);
/* Its records can be told from what it prints: puts their nonce into its environment. */
extern TzStatus tz_flight_records(TzFlight *f, TzErr *err);
/* Forgets what only a model's request needed, which may be most of what a call holds. */
extern void tz_flight_slim(TzFlight *f);
/* What its command has reported and nobody was told yet, masked: JSON text to be freed, or NULL. */
extern char *tz_flight_reports(TzFlight *f);
/* A text of a call in flight, masked; false when that is not possible. */
extern bool tz_flight_conceal(TzFlight *f, const char *text, char *out, size_t size);

/*
 * The ways to end, all to ENDED. A failure's sqlstate NULL is what the status
 * stands for, code NULL the one of the sqlstate.
 */
extern void tz_flight_end(TzFlight *f, const char *verdict, TimestampTz now);
/* With a document that is text already; it is taken over, and holds no secret. */
extern void tz_flight_document(TzFlight *f, const char *verdict, TzBuf *document, TimestampTz now);
extern void tz_flight_fail(TzFlight *f, const char *verdict, const TzErr *err, const char *sqlstate,
                           const char *code, int retry_after_ms, bool maybe_sent, TimestampTz now);
/* From f->outcome, which is freed but for its content. */
extern void tz_flight_outcome(TzFlight *f, const char *sqlstate, bool maybe_sent, uint32 random,
                              TimestampTz now);
/* What effect_done wants of an ended one; borrowed from it. */
extern void tz_flight_settle(const TzFlight *f, TzSettle *out);
extern size_t tz_flight_bytes(const TzFlight *f);

#endif /* TZ_INFLIGHT_H */
