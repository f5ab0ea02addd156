/*-------------------------------------------------------------------------
 *
 * broker.h
 *	  Puts the value of a brokered secret into a request, for its hosts only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_BROKER_H
#define TZ_BROKER_H

#include "lib/http_msg.h"

/* Stands for a value wherever the value itself must not be: tzsecret_STRIPE_KEY. */
#define TZ_PLACEHOLDER_PREFIX "tzsecret_"

/* One secret that may be put into this request. Borrowed. */
typedef struct TzBrokered
{
	const char *env_name; /* what its placeholder ends with */
	const char *name; /* as its owner calls it, for messages */
	TzSlice value;
	const char *const *hosts; /* "host", "*.host", each with an optional ":port" */
	int nhosts;
	const char *header; /* that one, with the bare value; NULL: Authorization */
	const char *username; /* not NULL: basic authentication; else a bearer token */
} TzBrokered;

/* What else a placeholder must not stand in. */
typedef enum TzBrokerScope
{
	TZ_BROKER_HEADERS, /* nothing else is looked at: a program in the body may name placeholders */
	TZ_BROKER_ALL /* nor in URL, body and names of headers */
} TzBrokerScope;

/*
 * Replaces every header of req with a placeholder in its value by the header that
 * its secret names, pins req to the host that was checked, and has the values
 * masked. Otherwise TZ_REFUSED (not to be sent there), TZ_BAD_INPUT (cannot be a
 * header) or TZ_NOMEM: then req must not be sent. allow_http: plain http will do.
 * Without a placeholder nothing is changed.
 */
extern TzStatus tz_broker_apply(const TzBrokered *secrets, int nsecrets, TzBrokerScope scope, bool allow_http,
                                TzHttpRequest *req, TzErr *err);

/* A header that says where a message goes or ends: no caller and no secret may set it. */
extern bool tz_header_is_framing(const char *name);

#endif /* TZ_BROKER_H */
