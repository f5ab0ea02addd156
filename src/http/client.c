/*-------------------------------------------------------------------------
 *
 * client.c
 *	  The HTTP engine: one libcurl multi handle per worker on a TzMux.
 *
 * libcurl tells us its sockets and its next deadline; the sockets go into the
 * mux, the deadline is what tz_http_client_timeout answers. Mux callbacks only
 * note which socket is ready: curl itself runs in tz_http_client_pump, with all
 * signals blocked, because its resolver starts a thread per name lookup and
 * threads inherit the mask; the server's handlers must never run on them.
 * Callbacks of ended calls run last, with signals as before, when no list is
 * being walked, so that they may start and cancel other calls.
 *
 * A call moves waiting -> running -> ended, and each state is a list.
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "http/transfer.h"

#define STARTS_PER_TURN 32
#define HELD_MAX ((size_t) 512 * 1024 * 1024) /* bodies of all answers in flight */
#define LINGER_MS 250 /* for the end of a body that nobody wants more of: the connection stays usable */
#define POOL_MAX 256 /* idle easy handles kept */

typedef struct CallList
{
	TzHttpCall *first;
	TzHttpCall *last;
} CallList;

typedef struct Ready
{
	int fd;
	int mask;
} Ready;

struct TzHttpClient
{
	TzMux *mux;
	CURLM *multi;
	TzTransferRules rules;
	char *ca_file;
	char *user_agent;
	int max_calls;
	unsigned pool_generation; /* pooled handles of another one are dropped */
	CallList waiting;
	CallList running;
	CallList ended;
	int ncalls; /* in all three lists */
	size_t held; /* bytes of bodies in all three lists */
	bool cancels; /* some running or waiting call is to be cut */
	int64_t deadline_ms; /* curl's timer, -1 for none */
	int64_t linger_ms; /* when to look for calls that have enough, -1 for never */
	Ready *ready; /* sockets to look at in the next pump */
	int nready;
	int cap_ready;
	CURL *pool[POOL_MAX];
	int npool;
};

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known);
static int on_timer(CURLM *multi, long timeout_ms, void *arg);
static void on_ready(void *arg, int fd, int events);
static void start_waiting(TzHttpClient *client);
static void start_one(TzHttpClient *client, TzHttpCall *call);
static void act_on_sockets(TzHttpClient *client);
static void collect_finished(TzHttpClient *client);
static bool start_anew(TzHttpClient *client, TzHttpCall *call);
static void cut_cancelled(TzHttpClient *client);
static void cut_lingering(TzHttpClient *client);
static void run_callbacks(TzHttpClient *client);
static void end_call(TzHttpCall *call, CallList *from);
static void release_easy(TzHttpClient *client, TzHttpCall *call);
static void call_free(TzHttpCall *call);
static void pool_clear(TzHttpClient *client);
static void block_signals(sigset_t *before);
static void list_push(CallList *list, TzHttpCall *call);
static void list_remove(CallList *list, TzHttpCall *call);
static bool same_text(const char *a, const char *b);

/* Once per worker, after the fork. The caller owns the result; mux outlives it. */
TzStatus
tz_http_client_create(const TzHttpClientConfig *config, TzMux *mux, TzHttpClient **out, TzErr *err)
{
	static bool initialised = false;
	TzHttpClient *client;
	sigset_t before;
	bool ok;

	*out = NULL;
	client = calloc(1, sizeof(TzHttpClient));
	if (client == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	client->mux = mux;
	client->deadline_ms = client->linger_ms = -1;
	block_signals(&before);
	if (!initialised)
		initialised = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	client->multi = initialised ? curl_multi_init() : NULL;
	ok = client->multi != NULL;
	if (ok)
	{
		ok &= curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK;
		ok &= curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK;
		ok &= curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK;
		ok &= curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) == CURLM_OK;
		ok &= curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING) == CURLM_OK;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!ok)
	{
		tz_http_client_free(client);
		return tz_err_set(err, TZ_UNAVAILABLE, "could not set up libcurl");
	}
	tz_http_client_reconfigure(client, config);
	*out = client;
	return TZ_OK;
}

/* Aborts what is in flight, without callbacks; borrowed things may go after it. */
void
tz_http_client_free(TzHttpClient *client)
{
	CallList *lists[] = {&client->waiting, &client->running, &client->ended};
	sigset_t before;

	block_signals(&before);
	for (int i = 0; i < 3; i++)
	{
		TzHttpCall *call;

		while ((call = lists[i]->first) != NULL)
		{
			list_remove(lists[i], call);
			release_easy(client, call);
			call_free(call);
		}
	}
	pool_clear(client);
	if (client->multi != NULL)
		curl_multi_cleanup(client->multi);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	free(client->ready);
	free(client->ca_file);
	free(client->user_agent);
	free(client);
}

/* New settings hold for calls started from now on; the policy for all, at once. */
void
tz_http_client_reconfigure(TzHttpClient *client, const TzHttpClientConfig *config)
{
	sigset_t before;
	bool changed =
		!same_text(client->ca_file, config->ca_file) || !same_text(client->user_agent, config->user_agent);

	block_signals(&before);
	if (changed)
	{
		/* curl copies strings, so handles in flight keep what they have */
		free(client->ca_file);
		free(client->user_agent);
		client->ca_file = config->ca_file != NULL ? strdup(config->ca_file) : NULL;
		client->user_agent = config->user_agent != NULL ? strdup(config->user_agent) : NULL;
		client->pool_generation++;
		pool_clear(client);
	}
	client->max_calls = config->max_calls > 0 ? config->max_calls : 1;
	client->rules.policy = config->policy;
	client->rules.allow_http = config->allow_http;
	client->rules.allow_private = config->allow_private;
	client->rules.connect_timeout_ms = config->connect_timeout_ms;
	client->rules.ca_file = client->ca_file;
	client->rules.user_agent = client->user_agent;
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long) client->max_calls);
	curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long) client->max_calls);
	curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long) config->max_per_host);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/*
 * Takes over the contents of req on success. Nothing leaves before the next pump.
 * *out is valid until the callback returned; out may be NULL.
 */
TzStatus
tz_http_start(TzHttpClient *client, TzHttpRequest *req, TzHttpDone done, void *arg, TzHttpCall **out,
              TzErr *err)
{
	TzHttpCall *call;
	CURLU *url;
	TzStatus status;

	if (out != NULL)
		*out = NULL;
	if (req->method == NULL || req->timeout_ms <= 0 || req->max_response == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "request without method, time limit or answer limit");
	if (req->url.status != TZ_OK || req->body.status != TZ_OK)
		return tz_err_set(err, TZ_TOO_LARGE, "request is too large");
	if (client->ncalls >= client->max_calls)
	{
		status = tz_err_set(err, TZ_UNAVAILABLE, "too many calls in flight");
		tz_err_hint(err, "Raise \"theazo.http_max_calls\".");
		return status;
	}
	status = tz_transfer_url(req, &client->rules, &url, err);
	if (status != TZ_OK)
		return status;
	call = calloc(1, sizeof(TzHttpCall));
	if (call == NULL)
	{
		curl_url_cleanup(url);
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	call->client = client;
	call->url = url;
	call->req = *req;
	tz_http_request_init(req, 0);
	tz_http_response_init(&call->res, call->req.max_response);
	call->done = done;
	call->arg = arg;
	call->accepted_ms = tz_http_now_ms();
	call->state = TZ_CALL_WAITING;
	list_push(&client->waiting, call);
	client->ncalls++;
	if (out != NULL)
		*out = call;
	return TZ_OK;
}

void
tz_http_sink(TzHttpCall *call, const TzHttpSink *sink)
{
	call->sink = *sink;
}

void
tz_http_client_linger(TzHttpCall *call)
{
	TzHttpClient *client = call->client;

	call->enough_ms = tz_http_now_ms() + LINGER_MS;
	if (client->linger_ms < 0)
		client->linger_ms = call->enough_ms;
}

/* Without effect on a call that has ended and only awaits its callback. */
void
tz_http_cancel(TzHttpCall *call)
{
	if (call->state == TZ_CALL_ENDED)
		return;
	call->cancel = true;
	call->client->cancels = true;
}

int
tz_http_client_timeout(const TzHttpClient *client)
{
	int64_t until_ms;
	int64_t left_ms;

	if (client->waiting.first != NULL || client->ended.first != NULL || client->nready > 0 || client->cancels)
		return 0;
	until_ms = client->deadline_ms;
	if (until_ms < 0 || (client->linger_ms >= 0 && client->linger_ms < until_ms))
		until_ms = client->linger_ms;
	if (until_ms < 0)
		return -1;
	left_ms = until_ms - tz_http_now_ms();
	if (left_ms <= 0)
		return 0;
	return left_ms > 3600 * 1000 ? 3600 * 1000 : (int) left_ms;
}

int
tz_http_client_inflight(const TzHttpClient *client)
{
	return client->ncalls;
}

const TzTransferRules *
tz_http_client_rules(const TzHttpClient *client)
{
	return &client->rules;
}

/* One answer may be large, a thousand large ones must not take the machine down. */
bool
tz_http_client_hold(TzHttpClient *client, size_t bytes)
{
	if (bytes > HELD_MAX - client->held)
		return false;
	client->held += bytes;
	return true;
}

void
tz_http_client_pump(TzHttpClient *client)
{
	sigset_t before;
	int running;

	block_signals(&before);
	if (client->cancels)
		cut_cancelled(client);
	start_waiting(client);
	act_on_sockets(client);
	if (client->deadline_ms >= 0 && tz_http_now_ms() >= client->deadline_ms)
	{
		client->deadline_ms = -1;
		curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect_finished(client);
	if (client->linger_ms >= 0 && tz_http_now_ms() >= client->linger_ms)
		cut_lingering(client);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	run_callbacks(client);
}

/* From curl: a socket to watch, or one to forget. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	TzHttpClient *client = arg;
	int events = 0;

	(void) easy;
	(void) known;
	if (what == CURL_POLL_REMOVE)
	{
		tz_mux_remove(client->mux, fd);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= TZ_MUX_READ;
	if (what & CURL_POLL_OUT)
		events |= TZ_MUX_WRITE;
	return tz_mux_set(client->mux, fd, events, on_ready, client) == TZ_OK ? 0 : -1;
}

/* From curl: when it wants to be called next. */
static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	TzHttpClient *client = arg;

	(void) multi;
	client->deadline_ms = timeout_ms < 0 ? -1 : tz_http_now_ms() + timeout_ms;
	return 0;
}

/*
 * From the mux. Without memory the note is lost, but the descriptor stays
 * ready, so it comes again.
 */
static void
on_ready(void *arg, int fd, int events)
{
	TzHttpClient *client = arg;
	int mask = 0;

	if (client->nready == client->cap_ready)
	{
		int cap = client->cap_ready > 0 ? client->cap_ready * 2 : 64;
		Ready *grown = realloc(client->ready, (size_t) cap * sizeof(Ready));

		if (grown == NULL)
			return;
		client->ready = grown;
		client->cap_ready = cap;
	}
	if (events & TZ_MUX_READ)
		mask |= CURL_CSELECT_IN;
	if (events & TZ_MUX_WRITE)
		mask |= CURL_CSELECT_OUT;
	if (events & TZ_MUX_HUP)
		mask |= CURL_CSELECT_ERR;
	client->ready[client->nready].fd = fd;
	client->ready[client->nready].mask = mask;
	client->nready++;
}

/* A socket that an earlier one's action closed is unknown to curl: harmless. */
static void
act_on_sockets(TzHttpClient *client)
{
	int running;

	for (int i = 0; i < client->nready; i++)
		curl_multi_socket_action(client->multi, client->ready[i].fd, client->ready[i].mask, &running);
	client->nready = 0;
}

/* A name lookup is a thread, so a burst is spread over turns. */
static void
start_waiting(TzHttpClient *client)
{
	TzHttpCall *call;

	for (int i = 0; i < STARTS_PER_TURN && (call = client->waiting.first) != NULL; i++)
		start_one(client, call);
}

static void
start_one(TzHttpClient *client, TzHttpCall *call)
{
	call->easy = client->npool > 0 ? client->pool[--client->npool] : NULL;
	if (call->easy == NULL)
	{
		call->easy = curl_easy_init();
		if (call->easy != NULL && !tz_transfer_prepare(call->easy, &client->rules))
		{
			curl_easy_cleanup(call->easy);
			call->easy = NULL;
		}
	}
	call->pool_generation = client->pool_generation;
	if (call->easy != NULL && tz_transfer_arm(call, &client->rules) &&
	    curl_multi_add_handle(client->multi, call->easy) == CURLM_OK)
	{
		list_remove(&client->waiting, call);
		call->state = TZ_CALL_RUNNING;
		list_push(&client->running, call);
		return;
	}
	tz_err_set(&call->res.err, TZ_NOMEM, "could not set up the call");
	end_call(call, &client->waiting);
}

static void
collect_finished(TzHttpClient *client)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(client->multi, &left)) != NULL)
	{
		char *private_data = NULL;
		CURLcode code = msg->data.result;
		TzHttpCall *call;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private_data);
		call = (TzHttpCall *) (void *) private_data;
		if (call == NULL)
			continue;
		if (call->ended && start_anew(client, call))
			continue;
		tz_transfer_finish(call, code);
		end_call(call, &client->running);
	}
}

/* Once: its kept connection had ended before anything was written. */
static bool
start_anew(TzHttpClient *client, TzHttpCall *call)
{
	return curl_multi_remove_handle(client->multi, call->easy) == CURLM_OK && tz_transfer_anew(call) &&
	       curl_multi_add_handle(client->multi, call->easy) == CURLM_OK;
}

static void
cut_cancelled(TzHttpClient *client)
{
	CallList *lists[] = {&client->waiting, &client->running};

	client->cancels = false;
	for (int i = 0; i < 2; i++)
	{
		TzHttpCall *next;

		for (TzHttpCall *call = lists[i]->first; call != NULL; call = next)
		{
			next = call->next;
			if (!call->cancel)
				continue;
			tz_err_set(&call->stop, TZ_CANCELLED, "call was cancelled");
			if (call->easy != NULL)
				tz_transfer_finish(call, CURLE_ABORTED_BY_CALLBACK);
			else
				call->res.err = call->stop;
			end_call(call, lists[i]);
		}
	}
}

/* Calls that have what they wanted, and whose time for the rest is over. */
static void
cut_lingering(TzHttpClient *client)
{
	int64_t now_ms = tz_http_now_ms();
	TzHttpCall *next;

	client->linger_ms = -1;
	for (TzHttpCall *call = client->running.first; call != NULL; call = next)
	{
		next = call->next;
		if (call->enough_ms == 0)
			continue;
		if (call->enough_ms > now_ms)
		{
			if (client->linger_ms < 0 || call->enough_ms < client->linger_ms)
				client->linger_ms = call->enough_ms;
			continue;
		}
		tz_transfer_finish(call, CURLE_OK);
		end_call(call, &client->running);
	}
}

/* Moves a call to the ended list and gives its handle back. */
static void
end_call(TzHttpCall *call, CallList *from)
{
	TzHttpClient *client = call->client;

	list_remove(from, call);
	release_easy(client, call);
	call->state = TZ_CALL_ENDED;
	list_push(&client->ended, call);
}

/*
 * Only what had ended before the first callback: a callback that starts a call
 * which fails at once must not keep us here.
 */
static void
run_callbacks(TzHttpClient *client)
{
	TzHttpCall *last = client->ended.last;
	TzHttpCall *call;
	bool more = last != NULL;

	while (more && (call = client->ended.first) != NULL)
	{
		more = call != last;
		list_remove(&client->ended, call);
		client->ncalls--;
		call->res.request = &call->req;
		if (call->done != NULL)
			call->done(call->arg, &call->res);
		call_free(call);
	}
}

static void
release_easy(TzHttpClient *client, TzHttpCall *call)
{
	CURL *easy = call->easy;

	if (easy != NULL && call->state == TZ_CALL_RUNNING)
		curl_multi_remove_handle(client->multi, easy);
	tz_transfer_disarm(call);
	call->easy = NULL;
	if (easy == NULL)
		return;
	if (call->pool_generation == client->pool_generation && client->npool < POOL_MAX)
		client->pool[client->npool++] = easy;
	else
		curl_easy_cleanup(easy);
}

static void
call_free(TzHttpCall *call)
{
	call->client->held -= call->held;
	tz_http_request_free(&call->req);
	tz_http_response_free(&call->res);
	free(call);
}

static void
pool_clear(TzHttpClient *client)
{
	while (client->npool > 0)
		curl_easy_cleanup(client->pool[--client->npool]);
}

/* All but those that a fault in our own code raises. */
static void
block_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

static void
list_push(CallList *list, TzHttpCall *call)
{
	call->prev = list->last;
	call->next = NULL;
	if (list->last != NULL)
		list->last->next = call;
	else
		list->first = call;
	list->last = call;
}

static void
list_remove(CallList *list, TzHttpCall *call)
{
	if (call->prev != NULL)
		call->prev->next = call->next;
	else
		list->first = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	else
		list->last = call->prev;
	call->prev = call->next = NULL;
}

static bool
same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}
