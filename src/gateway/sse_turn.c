/*-------------------------------------------------------------------------
 *
 * sse_turn.c
 *	  What streams have to tell: from rows when something was committed, from
 *	  memory while a model talks.
 *
 * Streams that follow the same thing in the name of the same caller, from the same
 * place, share a look and the bytes that come of it. Waking is as for requests
 * that wait: buckets of bells in shared memory, a latch, and a look now and then
 * without being asked to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"

#include "call/enter.h"
#include "gateway/envelope.h"
#include "gateway/sse.h"
#include "lib/jansson.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/guc.h"
#include "pg/runwait.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "pg/wake.h"
#include "pg/worker.h"
#include "stream/stream.h"

#define LOOK_ANYWAY_MS 10000
#define SWEEP_MS 2000
#define LOOK_AGAIN_MS 1000 /* after an error that may pass */
#define TURN_US 100000 /* then requests have their turn */
#define READ_MAX (16 * 1024)

#define SEQ_BYTES INT64CONST(33554431) /* of a place in a run: see sql/api/follow.sql */

/* What a look found; strings live in the worker's cycle. */
typedef struct Look
{
	TzStream *s;
	bool check; /* its key as well */
	char *at;
	char *frames;
	char *bell;
	bool over;
	bool more;
	bool idle;
	int step;
	int64 place; /* below 0: none */
} Look;

static void watch(TzGateway *g);
static void mark(TzStream *s, TimestampTz now);
static void tell(TzGateway *g, TzStream *s, TimestampTz now);
static void look(TzGateway *g, TzStream *s, TimestampTz now);
static void look_work(void *arg);
static void found(TzStream *s, const Look *k, TzPiece *piece, TimestampTz now);
static void failed(TzStream *s, const ErrorData *error, TimestampTz now);
static bool replace(char **mine, const char *text);
static void live_set(TzStream *s, const Look *k);
static bool live_news(const TzStream *s);
static void live_tell(TzGateway *g, TzStream *s);
static void time_over(TzStream *s);
static void end_with_error(TzStream *s, const char *code, const char *message);

int
tz_push_turn(TzGateway *g)
{
	static TimestampTz sweep_at = 0;
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz now = began;
	TimestampTz next = DT_NOEND;
	dlist_iter iter;

	g->hungry = false;
	tz_push_pages_forget(now);
	if (g->nstreams == 0 && g->moved == 0)
		return -1;
	if (now >= sweep_at)
	{
		tz_push_sweep(g);
		sweep_at = TimestampTzPlusMilliseconds(now, SWEEP_MS);
	}
	/* first the bits, then the generations, then the rows: what commits in between wakes us */
	watch(g);
	dlist_foreach (iter, &g->streams)
		mark(dlist_container(TzStream, node, iter.cur), now);
	for (int n = g->nstreams; n > 0; n--)
	{
		TzStream *s = dlist_container(TzStream, node, dlist_pop_head_node(&g->streams));

		dlist_push_tail(&g->streams, &s->node);
		if (now - began > TURN_US)
		{
			g->hungry = true;
			break;
		}
		if (!s->over)
		{
			tell(g, s, now);
			now = GetCurrentTimestamp();
		}
	}
	dlist_foreach (iter, &g->streams)
	{
		TzStream *s = dlist_container(TzStream, node, iter.cur);

		if (s->over)
			continue;
		g->hungry = g->hungry || (s->look && !s->full);
		next = Min(next, Min(s->look_at, s->ping_at));
		if (s->until != 0)
			next = Min(next, s->until);
	}
	if (next == DT_NOEND)
		return -1;
	return (int) Max(1, Min(SWEEP_MS, (next - now) / 1000 + 1));
}

static void
watch(TzGateway *g)
{
	dlist_iter iter;

	g->moved = 0;
	dlist_foreach (iter, &g->streams)
	{
		TzStream *s = dlist_container(TzStream, node, iter.cur);

		if (s->bucket >= 0 && !s->over)
			g->moved |= UINT64CONST(1) << s->bucket;
	}
	tz_gateway_watch(g);
}

static void
mark(TzStream *s, TimestampTz now)
{
	if (s->bucket >= 0)
	{
		uint32 generation = tz_run_generation(s->bucket);

		if (generation != s->seen)
			s->look = true;
		s->seen = generation;
	}
	if (now >= s->look_at)
		s->look = true;
}

static void
tell(TzGateway *g, TzStream *s, TimestampTz now)
{
	if (s->until != 0 && now >= s->until && (s->kind == TZ_SSE_AUDIT || s->idle))
	{
		time_over(s);
		return;
	}
	if (now >= s->ping_at)
	{
		s->ping_at = TimestampTzPlusMilliseconds(now, s->ping_ms);
		/* whoever has something in line needs no sign of life */
		if (s->first == NULL)
			tz_push_say(s, s->kind == TZ_SSE_AUDIT ? "event: keepalive\ndata: {}\n\n" : ": keepalive\n\n");
		/* also where nothing happens a key is asked for now and then */
		s->look = s->look || now >= s->check_at;
	}
	s->full = s->queued >= TZ_SSE_QUEUE_MAX;
	if (s->full)
		return;
	if (s->look)
		look(g, s, now);
	else if (s->live.step != 0 && live_news(s))
		live_tell(g, s);
}

/* ---- rows ------------------------------------------------------------------------ */

/* What another one has just been told from the same place. */
static bool
look_page(TzStream *s, TimestampTz now)
{
	const TzPushPage *page = tz_push_page_find(s, now);
	Look k = {.more = true, .place = -1};

	if (page == NULL)
		return false;
	k.at = page->next;
	k.bell = page->bell;
	found(s, &k, page->piece, now);
	return true;
}

static void
look(TzGateway *g, TzStream *s, TimestampTz now)
{
	Look k = {.s = s, .check = now >= s->check_at};
	ErrorData *error = NULL;
	TzPiece *piece;
	char *at;
	bool ok;

	s->look = false;
	if (!k.check && look_page(s, now))
		return;
	tz_enter_counts(false);
	ok = tz_txn_try("theazo gateway: streams", tz_guc_gateway_statement_timeout_ms, look_work, &k, &error);
	tz_enter_counts(true);
	if (!ok)
	{
		failed(s, error, now);
		FreeErrorData(error);
		return;
	}
	if (k.check)
		s->check_at = TimestampTzPlusMilliseconds(now, 2 * s->ping_ms);
	piece = tz_push_piece(k.frames, strlen(k.frames));
	at = pstrdup(s->at);
	if (piece == NULL)
		tz_push_end(s, "");
	else
	{
		TzPushPage page = {piece, k.at, k.bell};
		dlist_iter iter;

		if (k.more)
			tz_push_page_keep(s, &page, now);
		dlist_foreach (iter, &g->streams)
		{
			TzStream *other = dlist_container(TzStream, node, iter.cur);

			if (other == s || other->over || other->hash != s->hash || now >= other->check_at ||
			    other->queued >= TZ_SSE_QUEUE_MAX ||
			    !tz_push_same(other, s->kind, s->what, &s->r->identity) || strcmp(other->at, at) != 0)
				continue;
			found(other, &k, piece, now);
		}
		found(s, &k, piece, now);
	}
	tz_push_release(piece);
	pfree(at);
	pfree(k.frames);
	pfree(k.at);
}

/* In the name of who asked for the stream, whose key may have been revoked since. */
static void
look_work(void *arg)
{
	static TzStmt authenticate = {"SELECT theazo.authenticate($1)", 1, {TEXTOID}};
	static TzStmt stmt = {
		"SELECT l.at, l.frames, l.over, l.more, l.idle, l.bell, l.step, l.place FROM theazo_internal.rest_stream_look($1, $2, $3) l",
		3,
		{TEXTOID, JSONBOID, TEXTOID}};
	static const char *const kinds[] = {"agent", "log", "audit"};
	Look *k = arg;
	TzRequest *r = k->s->r;
	MemoryContext inner;
	Datum values[3];

	(void) set_config_option("theazo.request_id", r->id, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
	                         0, false);
	if (k->check)
	{
		TzIdentity nobody = {0};
		Datum key = CStringGetTextDatum(r->key);

		tz_identity_restore(&nobody);
		tz_spi_exec(&authenticate, &key, NULL, 0);
		tz_identity_save(&r->identity);
	}
	else
		tz_identity_restore(&r->identity);
	values[0] = CStringGetTextDatum(kinds[k->s->kind]);
	values[1] = tz_jsonb_datum(tz_slice_cstr(k->s->what));
	values[2] = CStringGetTextDatum(k->s->at);
	if (tz_spi_exec(&stmt, values, NULL, 1) != 1)
		elog(ERROR, "rest_stream_look() returned no row");
	inner = MemoryContextSwitchTo(tz_worker_cycle());
	k->at = tz_spi_text(0, 1);
	k->frames = tz_spi_text(0, 2);
	k->over = tz_spi_bool(0, 3, false);
	k->more = tz_spi_bool(0, 4, false);
	k->idle = tz_spi_bool(0, 5, false);
	k->bell = tz_spi_text(0, 6);
	k->step = tz_spi_int32(0, 7, 0);
	k->place = tz_spi_int64(0, 8, -1);
	MemoryContextSwitchTo(inner);
	if (k->at == NULL || k->frames == NULL || k->bell == NULL)
		elog(ERROR, "rest_stream_look() says too little");
}

static void
found(TzStream *s, const Look *k, TzPiece *piece, TimestampTz now)
{
	int bucket = tz_wake_run_bucket(k->bell, strlen(k->bell));

	tz_push_put(s, piece);
	if (k->over || !replace(&s->at, k->at))
	{
		tz_push_end(s, "");
		return;
	}
	s->look = k->more;
	s->idle = k->idle;
	s->look_at = TimestampTzPlusMilliseconds(now, LOOK_ANYWAY_MS);
	if (bucket != s->bucket)
	{
		/* nobody has woken us for it so far */
		s->bucket = bucket;
		s->look = true;
	}
	live_set(s, k);
}

static void
failed(TzStream *s, const ErrorData *error, TimestampTz now)
{
	TzRestError shown = {0};
	StringInfoData text;
	json_t *envelope;
	const char *code = "internal_error";
	const char *message = "the stream cannot go on";
	int retry_after;

	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
			s->look_at = TimestampTzPlusMilliseconds(now, LOOK_AGAIN_MS);
			return;
	}
	shown.sqlstate = error->sqlerrcode;
	shown.message = error->message;
	shown.detail = error->detail;
	shown.hint = error->hint;
	shown.request_id = s->r->id;
	initStringInfo(&text);
	if (tz_rest_envelope(&text, &shown, &retry_after) == 500)
		ereport(LOG, (errmsg("stream %s failed: %s", s->r->id, error->message)));
	envelope = json_loads(text.data, 0, NULL);
	(void) json_unpack(envelope, "{s:{s:s,s:s}}", "error", "code", &code, "message", &message);
	end_with_error(s, code, message);
	json_decref(envelope);
	pfree(text.data);
}

static bool
replace(char **mine, const char *text)
{
	char *copy;

	if (strcmp(*mine, text) == 0)
		return true;
	copy = strdup(text);
	if (copy == NULL)
		return false;
	free(*mine);
	*mine = copy;
	return true;
}

/* ---- a text that is being spoken --------------------------------------------------- */

static void
live_set(TzStream *s, const Look *k)
{
	const char *slash = strchr(s->at, '/');
	TzLive *live = &s->live;

	live->step = 0;
	if (k->step <= 0 || k->place < 0 || slash == NULL || slash - s->at > TZ_SSE_RUN_MAX)
		return;
	strlcpy(live->run, s->at, (size_t) (slash - s->at) + 1);
	live->step = k->step;
	live->seq = k->place;
	live->generation = (int) (k->place >> 25 & 1023);
	live->offset = k->place & SEQ_BYTES;
}

static bool
live_news(const TzStream *s)
{
	TzStreamView view;

	(void) tz_stream_read(MyDatabaseId, s->live.run, s->live.step, 0, 0, NULL, 0, &view);
	if (view.generation == 0 || view.end == 0)
		return false;
	return view.generation != s->live.generation || view.end > s->live.offset;
}

/* What simply goes on is told from here; begun anew, or overtaken: the look tells it. */
static void
live_tell(TzGateway *g, TzStream *s)
{
	TzLive was = s->live;
	TzLive live = was;
	char buf[READ_MAX + 1];
	char at[TZ_SSE_RUN_MAX + 32];
	StringInfoData text;
	TzStreamView view;
	TzPiece *piece;
	char *from;
	dlist_iter iter;
	size_t n;

	if (live.generation == 0)
	{
		(void) tz_stream_read(MyDatabaseId, live.run, live.step, 0, 0, NULL, 0, &view);
		live.generation = view.generation;
		live.seq = (int64) live.step << 40 | (int64) live.generation << 25;
	}
	n = tz_stream_read(MyDatabaseId, live.run, live.step, live.generation, live.offset, buf, READ_MAX, &view);
	if (view.generation != live.generation || view.begin > live.offset || live.offset + READ_MAX > SEQ_BYTES)
	{
		s->look = true;
		return;
	}
	n = (size_t) pg_encoding_mbcliplen(PG_UTF8, buf, (int) n, (int) n);
	n = (size_t) pg_encoding_verifymbstr(PG_UTF8, buf, (int) n);
	if (n == 0)
		return;
	buf[n] = '\0';
	live.offset += (int64) n;
	live.seq = (live.seq & ~SEQ_BYTES) | live.offset;
	snprintf(at, sizeof(at), "%s/" INT64_FORMAT, live.run, live.seq);
	initStringInfo(&text);
	appendStringInfo(&text, "id: %s\ndata: {\"text\": ", at);
	escape_json(&text, buf);
	appendStringInfoString(&text, ", \"type\": \"text\"}\n\n");
	piece = tz_push_piece(text.data, (size_t) text.len);
	pfree(text.data);
	from = pstrdup(s->at);
	dlist_foreach (iter, &g->streams)
	{
		TzStream *other = dlist_container(TzStream, node, iter.cur);

		/* who may follow the run was asked when the stream began; the text is the same for all */
		if (other->over || other->look || other->hash != s->hash || other->queued >= TZ_SSE_QUEUE_MAX ||
		    other->live.step != was.step || other->live.generation != was.generation ||
		    strcmp(other->at, from) != 0 || !tz_push_same(other, s->kind, s->what, &s->r->identity))
			continue;
		tz_push_put(other, piece);
		if (piece == NULL || !replace(&other->at, at))
			tz_push_end(other, "");
		other->live = live;
	}
	pfree(from);
	tz_push_release(piece);
}

/* ---- ends ---------------------------------------------------------------------------- */

static void
time_over(TzStream *s)
{
	if (s->kind == TZ_SSE_AUDIT)
		tz_push_end(s, "event: timeout\ndata: {}\n\n");
	else
		end_with_error(s, "timeout", "the agent was given no task for 10 minutes");
}

static void
end_with_error(TzStream *s, const char *code, const char *message)
{
	StringInfoData text;

	initStringInfo(&text);
	if (s->kind != TZ_SSE_AGENT)
		appendStringInfoString(&text, "event: error\n");
	appendStringInfoString(&text, "data: {\"type\": \"error\", \"code\": ");
	escape_json(&text, code);
	appendStringInfoString(&text, ", \"message\": ");
	escape_json(&text, message);
	appendStringInfoString(&text, s->kind == TZ_SSE_AGENT ? "}\n\ndata: [DONE]\n\n" : "}\n\n");
	tz_push_end(s, text.data);
	pfree(text.data);
}

void
tz_push_leave(TzGateway *g)
{
	dlist_iter iter;

	dlist_foreach (iter, &g->streams)
	{
		TzStream *s = dlist_container(TzStream, node, iter.cur);

		if (s->kind == TZ_SSE_AGENT)
			end_with_error(s, "internal_error", "the server is about to leave; come back with Last-Event-ID");
		else
			tz_push_end(s, s->kind == TZ_SSE_AUDIT ? "event: timeout\ndata: {}\n\n" : "");
	}
}
