/*-------------------------------------------------------------------------
 *
 * transfer.h
 *	  One transfer: an easy handle, its request and its answer.
 *
 * Private to src/http. The client decides when; a transfer knows how.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_HTTP_TRANSFER_H
#define TZ_HTTP_TRANSFER_H

#include <curl/curl.h>

#include "http/client.h"

typedef enum TzCallState
{
	TZ_CALL_WAITING = 1, /* taken over, not yet given to curl */
	TZ_CALL_RUNNING, /* in the multi handle */
	TZ_CALL_ENDED /* answer is complete, callback is due or running */
} TzCallState;

struct TzHttpCall
{
	TzHttpClient *client;
	TzHttpCall *prev; /* list of its state */
	TzHttpCall *next;
	TzCallState state;
	bool cancel;
	unsigned pool_generation; /* of the client when the handle was taken */
	CURL *easy; /* NULL unless running */
	CURLU *url;
	struct curl_slist *header_list;
	TzHttpRequest req;
	TzHttpResponse res;
	TzHttpDone done;
	void *arg;
	int64_t accepted_ms; /* monotonic, when it was taken over */
	size_t held; /* bytes of the body noted with tz_http_client_hold */
	size_t header_bytes; /* of all answers, interim ones too */
	int header_lines;
	TzHttpSink sink; /* of all 0 when the body is kept */
	bool tasted; /* its head was looked at */
	bool pours; /* ... and the body goes to the sink */
	int64_t enough_ms; /* the sink has what it wanted: the call ends then, 0 never */
	int departures; /* how often the request was about to leave */
	bool ended; /* the kept connection it got had ended: nothing was written to it */
	bool anew; /* it has a connection of its own */
	TzErr stop; /* why we ended it ourselves; status TZ_OK: we did not */
	TzErr denied; /* last address the policy refused */
};

/* What every transfer of a client has in common, as of now. */
typedef struct TzTransferRules
{
	const TzNetPolicy *policy;
	bool allow_private;
	bool allow_http;
	int connect_timeout_ms;
	const char *ca_file;
	const char *user_agent;
} TzTransferRules;

/* Checks scheme and form of the request's URL; the result is freed with curl_url_cleanup. */
extern TzStatus tz_transfer_url(const TzHttpRequest *req, const TzTransferRules *rules, CURLU **out,
                                TzErr *err);
/* Options that hold for every call, once per easy handle. */
extern bool tz_transfer_prepare(CURL *easy, const TzTransferRules *rules);
/* Options of this call. */
extern bool tz_transfer_arm(TzHttpCall *call, const TzTransferRules *rules);
/* For a call that got a connection which had ended: the next one is a new one. */
extern bool tz_transfer_anew(TzHttpCall *call);
/* Reads everything out of the easy handle after curl ended it. */
extern void tz_transfer_finish(TzHttpCall *call, CURLcode code);
/* Undoes tz_transfer_arm, so that the easy handle can serve another call. */
extern void tz_transfer_disarm(TzHttpCall *call);
/* For the callbacks: the rules in force (of the client). */
extern const TzTransferRules *tz_http_client_rules(const TzHttpClient *client);
/* Notes bytes of answers held in memory; false when all calls together hold too many. */
extern bool tz_http_client_hold(TzHttpClient *client, size_t bytes);
/* The call is to end soon, however long its body goes on. */
extern void tz_http_client_linger(TzHttpCall *call);
extern int64_t tz_http_now_ms(void);

#endif /* TZ_HTTP_TRANSFER_H */
