/*-------------------------------------------------------------------------
 *
 * sse.c
 *	  Streams of events to a client: their beginning, what is in line, their end.
 *
 * What is in line for a client is bounded: more is looked for only when it has
 * taken what there is, so a slow one falls behind in rows, where nothing is lost,
 * and not in memory. One that takes nothing at all for a while the library cuts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>

#include "common/hashfn.h"
#include "utils/builtins.h"

#include "gateway/sse.h"
#include "pg/errors.h"

#define BLOCK_BYTES (16 * 1024) /* handed to the library at once */
#define PING_MS 15000
#define LIMIT_MS 600000

static char *member(Jsonb *object, const char *name);
static int member_ms(Jsonb *object, const char *name, int otherwise);
static TzSseKind kind_of(const char *name);
static char *own(const char *text);
static uint32 hash_of(const TzStream *s, const TzIdentity *who);
static ssize_t reader(void *cls, uint64_t pos, char *buf, size_t max);

/* ---- beginning --------------------------------------------------------------- */

void
tz_push_begin(TzRequest *r, Jsonb *what)
{
	TzStream *s;

	/* a transaction that failed as a whole is repeated */
	tz_push_free(r);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	s->r = r;
	s->bucket = -1;
	r->stream = s;
	s->kind = kind_of(member(what, "$stream"));
	s->what = own(member(what, "what"));
	s->at = own(member(what, "at"));
	s->hello = own(member(what, "hello"));
	s->ping_ms = member_ms(what, "pingMs", PING_MS);
	s->limit_ms = member_ms(what, "limitMs", LIMIT_MS);
	s->hash = hash_of(s, &r->identity);
}

static char *
member(Jsonb *object, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, name, (int) strlen(name), NULL);

	if (value == NULL)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type == jbvBinary)
	{
		Jsonb *inner = JsonbValueToJsonb(value);

		return JsonbToCString(NULL, &inner->root, VARSIZE(inner));
	}
	return NULL;
}

static int
member_ms(Jsonb *object, const char *name, int otherwise)
{
	char *text = member(object, name);

	return text == NULL ? otherwise : pg_strtoint32(text);
}

static TzSseKind
kind_of(const char *name)
{
	if (strcmp(name, "agent") == 0)
		return TZ_SSE_AGENT;
	if (strcmp(name, "log") == 0)
		return TZ_SSE_LOG;
	if (strcmp(name, "audit") == 0)
		return TZ_SSE_AUDIT;
	elog(ERROR, "there is no stream \"%s\"", name);
}

/* Outlives the transaction. */
static char *
own(const char *text)
{
	char *copy = strdup(text == NULL ? "" : text);

	if (copy == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return copy;
}

static uint32
hash_of(const TzStream *s, const TzIdentity *who)
{
	uint32 h = hash_bytes((const unsigned char *) s->what, (int) strlen(s->what));

	h = hash_combine(h, hash_bytes((const unsigned char *) who->platform, (int) strlen(who->platform)));
	return hash_combine(h, (uint32) s->kind);
}

void
tz_push_open(TzRequest *r)
{
	TzGateway *g = r->gateway;
	TzStream *s = r->stream;
	TimestampTz now = GetCurrentTimestamp();

	s->open = true;
	s->fd = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	s->look = true;
	s->look_at = now;
	s->check_at = now;
	s->ping_at = TimestampTzPlusMilliseconds(now, s->ping_ms);
	s->until = s->kind == TZ_SSE_LOG ? 0 : TimestampTzPlusMilliseconds(now, s->limit_ms);
	dlist_push_tail(&g->streams, &s->node);
	g->nstreams++;
	g->hungry = true;
	/* something to read at once, also through a proxy that waits for the first byte */
	tz_push_say(s, s->hello[0] != '\0' ? s->hello : ": open\n\n");
	r->state = TZ_REQUEST_STREAMING;
	MHD_resume_connection(r->connection);
}

struct MHD_Response *
tz_push_response(TzRequest *r)
{
	struct MHD_Response *response =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, reader, r->stream, NULL);

	if (response == NULL)
		return NULL;
	MHD_add_response_header(response, "Content-Type", "text/event-stream");
	MHD_add_response_header(response, "Cache-Control", "no-cache");
	/* of nginx: each event at once */
	MHD_add_response_header(response, "X-Accel-Buffering", "no");
	return response;
}

/* ---- what is in line ------------------------------------------------------------ */

TzPiece *
tz_push_piece(const char *data, size_t len)
{
	TzPiece *piece = malloc(offsetof(TzPiece, data) + len);

	if (piece == NULL)
		return NULL;
	piece->refs = 1;
	piece->len = len;
	memcpy(piece->data, data, len);
	return piece;
}

void
tz_push_release(TzPiece *piece)
{
	if (piece != NULL && --piece->refs == 0)
		free(piece);
}

static void
wake(TzStream *s)
{
	if (!s->suspended)
		return;
	s->suspended = false;
	MHD_resume_connection(s->r->connection);
}

void
tz_push_put(TzStream *s, TzPiece *piece)
{
	TzPlace *place;

	if (s->over || piece == NULL || piece->len == 0)
		return;
	place = malloc(sizeof(*place));
	if (place == NULL)
	{
		/* an event less would not be noticed: the client comes back with what it has */
		s->over = true;
		wake(s);
		return;
	}
	place->next = NULL;
	place->piece = piece;
	piece->refs++;
	if (s->last != NULL)
		s->last->next = place;
	else
		s->first = place;
	s->last = place;
	s->queued += piece->len;
	wake(s);
}

void
tz_push_say(TzStream *s, const char *text)
{
	TzPiece *piece = tz_push_piece(text, strlen(text));

	tz_push_put(s, piece);
	tz_push_release(piece);
}

static void
drop_first(TzStream *s)
{
	TzPlace *place = s->first;

	s->first = place->next;
	if (s->first == NULL)
		s->last = NULL;
	s->queued -= place->piece->len;
	s->sent = 0;
	tz_push_release(place->piece);
	free(place);
}

/* Called by the library when the client can take something. */
static ssize_t
reader(void *cls, uint64_t pos, char *buf, size_t max)
{
	TzStream *s = cls;
	size_t done = 0;

	(void) pos;
	if (s->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	while (done < max && s->first != NULL)
	{
		TzPiece *piece = s->first->piece;
		size_t n = Min(max - done, piece->len - s->sent);

		memcpy(buf + done, piece->data + s->sent, n);
		done += n;
		s->sent += n;
		if (s->sent == piece->len)
			drop_first(s);
	}
	if (s->full && s->first == NULL)
	{
		s->full = false;
		s->r->gateway->hungry = true;
	}
	if (done > 0)
		return (ssize_t) done;
	if (s->over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	s->suspended = true;
	MHD_suspend_connection(s->r->connection);
	return 0;
}

/* ---- end --------------------------------------------------------------------------- */

void
tz_push_end(TzStream *s, const char *last_words)
{
	if (s->over)
		return;
	tz_push_say(s, last_words);
	s->over = true;
	/* with nothing to say there is still an end to be told */
	wake(s);
}

void
tz_push_sweep(TzGateway *g)
{
	struct pollfd *fds = malloc(sizeof(*fds) * (size_t) Max(g->nstreams, 1));
	dlist_iter iter;
	int n = 0;

	if (fds == NULL)
		return;
	dlist_foreach (iter, &g->streams)
	{
		fds[n].fd = dlist_container(TzStream, node, iter.cur)->fd;
		fds[n++].events = POLLRDHUP;
	}
	if (poll(fds, (nfds_t) n, 0) > 0)
	{
		n = 0;
		dlist_foreach (iter, &g->streams)
		{
			TzStream *s = dlist_container(TzStream, node, iter.cur);

			if ((fds[n++].revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0)
				continue;
			s->gone = true;
			s->over = true;
			wake(s);
		}
	}
	free(fds);
}

void
tz_push_free(TzRequest *r)
{
	TzStream *s = r->stream;

	if (s == NULL)
		return;
	r->stream = NULL;
	if (s->open)
	{
		dlist_delete(&s->node);
		r->gateway->nstreams--;
	}
	while (s->first != NULL)
		drop_first(s);
	free(s->what);
	free(s->at);
	free(s->hello);
	free(s);
}
