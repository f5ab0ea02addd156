/*-------------------------------------------------------------------------
 *
 * relay.c
 *	  Outgoing connections of local sandboxes: who may connect where.
 *
 * A sandbox has no network. A program inside asks its init for CONNECT, the
 * box asks the dispatcher, and the dispatcher dials here: the name is resolved
 * by a thread of its own (getaddrinfo blocks), every address is judged by the
 * egress policy, and the socket that is handed back is connected to an address
 * that was judged, so a name that changes its mind between check and connect
 * gains nothing. Plain C11 on a TzMux; never throws. The threads never touch
 * anything but their own lookup and the queue it goes back through, and run
 * with every signal blocked, so the server's handlers never run on them.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "worker/relay.h"

#define LOOKUPS_MAX 64 /* threads at once */
/* A name server that does not answer holds a thread for long: no platform may hold them all. */
#define LOOKUPS_PER_PAYER 16
#define DIALS_MAX 512
#define LOOKUP_STACK (256 * 1024)

typedef struct Lookup Lookup;

/* Outlives the relay while a lookup is still under way. */
typedef struct Queue
{
	pthread_mutex_t lock;
	Lookup *ended;
	int refs; /* the relay and each thread */
	bool closed; /* the relay is gone */
	int fd; /* eventfd */
} Queue;

struct Lookup
{
	Lookup *next;
	Queue *queue;
	TzRelayDial *dial; /* main thread only; NULL when nobody waits */
	int slot; /* of payers */
	struct addrinfo *list;
	int gai;
	char port[8];
	char host[];
};

typedef enum DialState
{
	DIAL_RESOLVING,
	DIAL_CONNECTING,
	DIAL_ENDED /* told at the next tick */
} DialState;

struct TzRelayDial
{
	TzRelayDial *next;
	TzRelayDial *prev;
	TzRelay *relay;
	TzRelayDone done;
	void *arg;
	DialState state;
	Lookup *lookup;
	struct addrinfo *list;
	struct addrinfo *next_addr;
	int64_t deadline_ms;
	uint64_t payer;
	int port;
	bool allow_private;
	TzRelayResult res;
	char host[256];
};

struct TzRelay
{
	TzRelayConfig config;
	TzMux *mux;
	Queue *queue;
	TzRelayDial *dials;
	int ndials;
	uint64_t payers[LOOKUPS_MAX]; /* of lookups under way; 0: a free place */
};

static void relay_resolved(void *arg, int fd, int events);
static void relay_connected(void *arg, int fd, int events);
static void dial_next(TzRelayDial *dial);
static void dial_finish(TzRelayDial *dial);

static int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
queue_unref(Queue *q)
{
	bool last;

	pthread_mutex_lock(&q->lock);
	last = --q->refs == 0;
	pthread_mutex_unlock(&q->lock);
	if (!last)
		return;
	close(q->fd);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

TzStatus
tz_relay_create(const TzRelayConfig *config, TzMux *mux, TzRelay **out, TzErr *err)
{
	TzRelay *relay = calloc(1, sizeof(TzRelay));
	Queue *q = calloc(1, sizeof(Queue));
	TzStatus st;

	if (relay == NULL || q == NULL)
	{
		free(relay);
		free(q);
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	q->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->fd < 0)
	{
		int saved = errno;

		free(relay);
		free(q);
		return tz_err_set(err, TZ_UNAVAILABLE, "could not create an event descriptor: %s", strerror(saved));
	}
	pthread_mutex_init(&q->lock, NULL);
	q->refs = 1;
	relay->config = *config;
	relay->mux = mux;
	relay->queue = q;
	st = tz_mux_set(mux, q->fd, TZ_MUX_READ, relay_resolved, relay);
	if (st != TZ_OK)
	{
		queue_unref(q);
		free(relay);
		return tz_err_set(err, st, "could not watch the resolver");
	}
	*out = relay;
	return TZ_OK;
}

void
tz_relay_configure(TzRelay *relay, const TzRelayConfig *config)
{
	relay->config = *config;
}

static void
lookup_free(Lookup *l)
{
	if (l->list != NULL)
		freeaddrinfo(l->list);
	free(l);
}

void
tz_relay_free(TzRelay *relay)
{
	Queue *q;
	Lookup *l;

	if (relay == NULL)
		return;
	q = relay->queue;
	while (relay->dials != NULL)
		tz_relay_cancel(relay->dials);
	tz_mux_remove(relay->mux, q->fd);
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	l = q->ended;
	q->ended = NULL;
	pthread_mutex_unlock(&q->lock);
	while (l != NULL)
	{
		Lookup *next = l->next;

		lookup_free(l);
		l = next;
	}
	queue_unref(q);
	free(relay);
}

/* The thread: one name, then back through the queue. */
static void *
lookup_main(void *arg)
{
	Lookup *l = arg;
	Queue *q = l->queue;
	struct addrinfo hints;
	uint64_t one = 1;
	bool closed;

	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_NUMERICSERV;
	l->gai = getaddrinfo(l->host, l->port, &hints, &l->list);
	if (l->gai != 0)
		l->list = NULL;

	pthread_mutex_lock(&q->lock);
	closed = q->closed;
	if (!closed)
	{
		l->next = q->ended;
		q->ended = l;
		while (write(q->fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&q->lock);
	if (closed)
		lookup_free(l);
	queue_unref(q);
	return NULL;
}

/* Never 0. */
static uint64_t
payer_of(const char *platform_id)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *platform_id != '\0'; platform_id++)
		h = (h ^ (unsigned char) *platform_id) * UINT64_C(1099511628211);
	return h | 1;
}

/* A place for one more lookup of this payer, or -1. */
static int
payer_slot(const TzRelay *relay, uint64_t payer)
{
	int slot = -1;
	int held = 0;

	for (int i = 0; i < LOOKUPS_MAX; i++)
	{
		if (relay->payers[i] == payer)
			held++;
		else if (relay->payers[i] == 0)
			slot = i;
	}
	return held < LOOKUPS_PER_PAYER ? slot : -1;
}

static TzStatus
lookup_start(TzRelayDial *dial, TzErr *err)
{
	TzRelay *relay = dial->relay;
	size_t len = strlen(dial->host) + 1;
	int slot = payer_slot(relay, dial->payer);
	Lookup *l = slot < 0 ? NULL : calloc(1, sizeof(Lookup) + len);
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	sigset_t old;
	int rc;

	if (slot < 0)
		return tz_err_set(err, TZ_UNAVAILABLE, "too many host names are being resolved");
	if (l == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	memcpy(l->host, dial->host, len);
	snprintf(l->port, sizeof(l->port), "%d", dial->port);
	l->queue = relay->queue;
	l->dial = dial;
	l->slot = slot;

	pthread_mutex_lock(&relay->queue->lock);
	relay->queue->refs++;
	pthread_mutex_unlock(&relay->queue->lock);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, LOOKUP_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, &attr, lookup_main, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc != 0)
	{
		queue_unref(relay->queue);
		free(l);
		return tz_err_set(err, TZ_UNAVAILABLE, "could not start the resolver: %s", strerror(rc));
	}
	dial->lookup = l;
	relay->payers[slot] = dial->payer;
	return TZ_OK;
}

static void
dial_unlink(TzRelayDial *dial)
{
	TzRelay *relay = dial->relay;

	if (dial->prev != NULL)
		dial->prev->next = dial->next;
	else
		relay->dials = dial->next;
	if (dial->next != NULL)
		dial->next->prev = dial->prev;
	relay->ndials--;
	if (dial->lookup != NULL)
		dial->lookup->dial = NULL;
	if (dial->list != NULL)
		freeaddrinfo(dial->list);
}

static void
dial_close(TzRelayDial *dial)
{
	if (dial->res.fd >= 0)
	{
		tz_mux_remove(dial->relay->mux, dial->res.fd);
		close(dial->res.fd);
		dial->res.fd = -1;
	}
}

TzStatus
tz_relay_dial(TzRelay *relay, const char *platform_id, const char *host, int port, bool allow_private,
              TzRelayDone done, void *arg, TzRelayDial **out, TzErr *err)
{
	TzRelayDial *dial;
	struct addrinfo hints;
	char service[8];
	TzStatus st;

	if (host[0] == '\0' || strlen(host) >= sizeof(dial->host) || port < 1 || port > 65535)
		return tz_err_set(err, TZ_BAD_INPUT, "host or port is not valid");
	if (relay->ndials >= DIALS_MAX)
		return tz_err_set(err, TZ_UNAVAILABLE, "too many connections are being opened");
	dial = calloc(1, sizeof(TzRelayDial));
	if (dial == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	memcpy(dial->host, host, strlen(host) + 1);
	dial->relay = relay;
	dial->done = done;
	dial->arg = arg;
	dial->port = port;
	dial->allow_private = allow_private;
	dial->payer = payer_of(platform_id);
	dial->res.fd = -1;
	dial->deadline_ms = clock_ms() + relay->config.connect_timeout_ms;
	dial->next = relay->dials;
	if (relay->dials != NULL)
		relay->dials->prev = dial;
	relay->dials = dial;
	relay->ndials++;

	/* An address literal needs no thread. */
	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(host, service, &hints, &dial->list) == 0)
	{
		*out = dial;
		dial->next_addr = dial->list;
		dial_next(dial);
		return TZ_OK;
	}
	dial->list = NULL;
	st = lookup_start(dial, err);
	if (st != TZ_OK)
	{
		dial_unlink(dial);
		free(dial);
		return st;
	}
	*out = dial;
	return TZ_OK;
}

void
tz_relay_cancel(TzRelayDial *dial)
{
	dial_close(dial);
	dial_unlink(dial);
	free(dial);
}

/* Names are in: goes on with every dial whose lookup ended. */
static void
relay_resolved(void *arg, int fd, int events)
{
	TzRelay *relay = arg;
	uint64_t count;
	Lookup *l;

	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&relay->queue->lock);
	l = relay->queue->ended;
	relay->queue->ended = NULL;
	pthread_mutex_unlock(&relay->queue->lock);
	while (l != NULL)
	{
		Lookup *next = l->next;
		TzRelayDial *dial = l->dial;

		relay->payers[l->slot] = 0;
		if (dial != NULL)
		{
			dial->lookup = NULL;
			if (l->gai != 0)
			{
				tz_err_set(&dial->res.err, TZ_UNAVAILABLE, "could not resolve \"%s\": %s", dial->host,
				           gai_strerror(l->gai));
				dial->state = DIAL_ENDED;
			}
			else
			{
				dial->list = dial->next_addr = l->list;
				l->list = NULL;
				dial_next(dial);
			}
		}
		lookup_free(l);
		l = next;
	}
}

/* Tries the next address the policy lets through; the end is told at the next tick. */
static void
dial_next(TzRelayDial *dial)
{
	TzRelay *relay = dial->relay;
	struct addrinfo *ai;

	dial_close(dial);
	while ((ai = dial->next_addr) != NULL)
	{
		TzErr err;

		dial->next_addr = ai->ai_next;
		tz_err_clear(&err);
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, dial->res.address, sizeof(dial->res.address), NULL, 0,
		                NI_NUMERICHOST) != 0)
			dial->res.address[0] = '\0';
		if (tz_netpolicy_check(relay->config.policy, ai->ai_addr, ai->ai_addrlen,
		                       dial->allow_private || relay->config.allow_private, &err) != TZ_OK)
		{
			/* An address that was let through but did not answer says more. */
			if (dial->res.err.status != TZ_UNAVAILABLE)
				dial->res.err = err;
			continue;
		}
		dial->res.fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
		if (dial->res.fd >= 0 &&
		    (connect(dial->res.fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS) &&
		    tz_mux_set(relay->mux, dial->res.fd, TZ_MUX_WRITE, relay_connected, dial) == TZ_OK)
		{
			dial->state = DIAL_CONNECTING;
			return;
		}
		tz_err_set(&dial->res.err, TZ_UNAVAILABLE, "could not connect to \"%s\": %s", dial->host,
		           strerror(errno));
		if (dial->res.fd >= 0)
			close(dial->res.fd);
		dial->res.fd = -1;
	}
	if (dial->res.err.status == TZ_OK)
		tz_err_set(&dial->res.err, TZ_UNAVAILABLE, "\"%s\" has no address", dial->host);
	dial->state = DIAL_ENDED;
}

static void
relay_connected(void *arg, int fd, int events)
{
	TzRelayDial *dial = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0)
	{
		tz_err_set(&dial->res.err, TZ_UNAVAILABLE, "could not connect to \"%s\": %s", dial->host,
		           strerror(error));
		dial_next(dial);
		return;
	}
	tz_mux_remove(dial->relay->mux, fd);
	tz_err_clear(&dial->res.err);
	dial_finish(dial);
}

static void
dial_finish(TzRelayDial *dial)
{
	TzRelayResult res = dial->res;
	TzRelayDone done = dial->done;
	void *arg = dial->arg;

	dial_unlink(dial);
	free(dial);
	done(arg, &res);
}

int
tz_relay_timeout(const TzRelay *relay, int64_t now_ms)
{
	int best = -1;

	for (const TzRelayDial *d = relay->dials; d != NULL; d = d->next)
	{
		int64_t left = d->state == DIAL_ENDED ? 0 : d->deadline_ms - now_ms;

		if (left < 0)
			left = 0;
		if (best < 0 || left < best)
			best = (int) left;
	}
	return best;
}

void
tz_relay_tick(TzRelay *relay, int64_t now_ms)
{
	TzRelayDial *d = relay->dials;

	while (d != NULL)
	{
		if (d->state != DIAL_ENDED && d->deadline_ms <= now_ms)
		{
			dial_close(d);
			tz_err_set(&d->res.err, TZ_TIMEOUT, "connecting to \"%s\" took too long", d->host);
			d->state = DIAL_ENDED;
		}
		if (d->state == DIAL_ENDED)
		{
			/* The callback may cancel any other dial, so begin again. */
			dial_finish(d);
			d = relay->dials;
		}
		else
			d = d->next;
	}
}
