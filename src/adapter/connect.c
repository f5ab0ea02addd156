/*-------------------------------------------------------------------------
 *
 * connect.c
 *	  The Connect protocol: envelopes taken apart, codes of errors.
 *
 * The decoder takes a body in any pieces, also cut inside the five bytes of a head.
 * What it holds is one payload, of a length that was checked before anything is kept.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "adapter/connect.h"
#include "lib/json.h"

#define FLAG_COMPRESSED 0x01
#define FLAG_END 0x02
#define END_MAX (64 * 1024) /* of an error's words there is no need for more */

typedef struct CodeName
{
	const char *name;
	TzConnectCode code;
} CodeName;

static const CodeName names[] = {
	{"canceled", TZ_CONNECT_CANCELED},
	{"unknown", TZ_CONNECT_UNKNOWN},
	{"invalid_argument", TZ_CONNECT_INVALID_ARGUMENT},
	{"deadline_exceeded", TZ_CONNECT_DEADLINE_EXCEEDED},
	{"not_found", TZ_CONNECT_NOT_FOUND},
	{"already_exists", TZ_CONNECT_ALREADY_EXISTS},
	{"permission_denied", TZ_CONNECT_PERMISSION_DENIED},
	{"resource_exhausted", TZ_CONNECT_RESOURCE_EXHAUSTED},
	{"failed_precondition", TZ_CONNECT_FAILED_PRECONDITION},
	{"aborted", TZ_CONNECT_ABORTED},
	{"out_of_range", TZ_CONNECT_OUT_OF_RANGE},
	{"unimplemented", TZ_CONNECT_UNIMPLEMENTED},
	{"internal", TZ_CONNECT_INTERNAL},
	{"unavailable", TZ_CONNECT_UNAVAILABLE},
	{"data_loss", TZ_CONNECT_DATA_LOSS},
	{"unauthenticated", TZ_CONNECT_UNAUTHENTICATED},
};

/* What a status means that came without a word of the protocol. */
static const struct
{
	int status;
	TzConnectCode code;
} statuses[] = {
	{400, TZ_CONNECT_INVALID_ARGUMENT},  {401, TZ_CONNECT_UNAUTHENTICATED},
	{403, TZ_CONNECT_PERMISSION_DENIED}, {404, TZ_CONNECT_NOT_FOUND},
	{409, TZ_CONNECT_ALREADY_EXISTS},    {429, TZ_CONNECT_RESOURCE_EXHAUSTED},
	{499, TZ_CONNECT_CANCELED},          {501, TZ_CONNECT_UNIMPLEMENTED},
	{502, TZ_CONNECT_UNAVAILABLE},       {503, TZ_CONNECT_UNAVAILABLE},
	{504, TZ_CONNECT_UNAVAILABLE},
};

static TzStatus begin_frame(TzConnect *c, TzErr *err);
static TzStatus end_frame(TzConnect *c, TzErr *err);
static TzStatus end_stream(TzConnect *c, TzErr *err);
static size_t frame_length(const TzConnect *c);

TzStatus
tz_connect_envelope(TzSlice message, TzBuf *out)
{
	unsigned char head[5] = {0, (unsigned char) (message.len >> 24), (unsigned char) (message.len >> 16),
	                         (unsigned char) (message.len >> 8), (unsigned char) message.len};

	if (message.len > TZ_CONNECT_FRAME_MAX)
		return out->status = TZ_TOO_LARGE;
	tz_buf_append(out, head, sizeof(head));
	return tz_buf_append(out, message.data, message.len);
}

bool
tz_connect_streams(const TzHttpResponse *head)
{
	const char *type = tz_http_response_header(head, "content-type");
	size_t len = sizeof(TZ_CONNECT_STREAM_TYPE) - 1;

	return head->status == 200 && type != NULL && strncasecmp(type, TZ_CONNECT_STREAM_TYPE, len) == 0 &&
	       (type[len] == '\0' || strchr("; \t", type[len]) != NULL);
}

void
tz_connect_init(TzConnect *c, size_t max_frame, TzConnectFn on_message, void *arg)
{
	memset(c, 0, sizeof(*c));
	c->on_message = on_message;
	c->arg = arg;
	tz_buf_init(&c->frame, max_frame);
}

TzStatus
tz_connect_feed(TzConnect *c, TzSlice bytes, TzErr *err)
{
	TzStatus status = c->failed ? tz_err_set(err, TZ_BAD_ANSWER, "stream has failed before") : TZ_OK;

	while (status == TZ_OK && bytes.len > 0 && !c->ended)
	{
		size_t n;

		if (c->nhead < sizeof(c->head))
		{
			c->head[c->nhead++] = (unsigned char) *bytes.data;
			n = 1;
			if (c->nhead == sizeof(c->head))
				status = begin_frame(c, err);
		}
		else
		{
			n = frame_length(c) - c->frame.len;
			if (n > bytes.len)
				n = bytes.len;
			if (tz_buf_append(&c->frame, bytes.data, n) != TZ_OK)
				status = tz_err_set(err, TZ_NOMEM, "out of memory");
		}
		bytes.data += n;
		bytes.len -= n;
		if (status == TZ_OK && c->nhead == sizeof(c->head) && c->frame.len == frame_length(c))
			status = end_frame(c, err);
	}
	if (status != TZ_OK)
		c->failed = true;
	return status;
}

void
tz_connect_free(TzConnect *c)
{
	tz_buf_wipe(&c->frame);
	json_decref(c->error);
	c->error = NULL;
}

TzConnectCode
tz_connect_code(const json_t *error, int http_status)
{
	const char *word = json_string_value(json_object_get(error, "code"));

	for (size_t i = 0; word != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, word) == 0)
			return names[i].code;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == http_status)
			return statuses[i].code;
	return TZ_CONNECT_UNKNOWN;
}

const char *
tz_connect_code_name(TzConnectCode code)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	return "unknown";
}

static size_t
frame_length(const TzConnect *c)
{
	return (size_t) c->head[1] << 24 | (size_t) c->head[2] << 16 | (size_t) c->head[3] << 8 | c->head[4];
}

/* A head is whole: is it one that is taken? */
static TzStatus
begin_frame(TzConnect *c, TzErr *err)
{
	size_t max = (c->head[0] & FLAG_END) != 0 && c->frame.max > END_MAX ? END_MAX : c->frame.max;

	if ((c->head[0] & FLAG_COMPRESSED) != 0)
		return tz_err_set(err, TZ_BAD_ANSWER, "stream has a compressed message");
	if ((c->head[0] & ~(FLAG_COMPRESSED | FLAG_END)) != 0)
		return tz_err_set(err, TZ_BAD_ANSWER, "stream has a message with unknown flags");
	if (frame_length(c) > max)
		return tz_err_set(err, TZ_BAD_ANSWER, "stream has a message of more than %zu bytes", max);
	return TZ_OK;
}

static TzStatus
end_frame(TzConnect *c, TzErr *err)
{
	bool end = (c->head[0] & FLAG_END) != 0;
	TzStatus status = end ? end_stream(c, err) : c->on_message(c->arg, tz_buf_slice(&c->frame), err);

	c->ended = end;
	c->nhead = 0;
	tz_buf_reset(&c->frame);
	return status;
}

/* {} or {"metadata": ...}: it went well. Only whether there is an error counts. */
static TzStatus
end_stream(TzConnect *c, TzErr *err)
{
	static const TzJsonLimits limits = {.max_bytes = END_MAX,
	                                    .max_depth = 32,
	                                    .max_values = 10000,
	                                    .flags = TZ_JSON_NUL | TZ_JSON_DUPLICATES};
	json_t *doc = NULL;
	json_t *error;

	if (tz_json_parse(tz_buf_slice(&c->frame), &limits, &doc, NULL) != TZ_OK || !json_is_object(doc))
	{
		json_decref(doc);
		return tz_err_set(err, TZ_BAD_ANSWER, "end of the stream is no JSON object");
	}
	error = json_object_get(doc, "error");
	if (error != NULL && !json_is_null(error))
		c->error = json_is_object(error) ? json_incref(error) : json_object();
	json_decref(doc);
	return TZ_OK;
}
