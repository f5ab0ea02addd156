/*-------------------------------------------------------------------------
 *
 * reply.c
 *	  Answers: documents, errors in their envelope, headers that all have.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "gateway/gateway.h"
#include "lib/jansson.h"
#include "pg/guc.h"

static const char *snake_code(int status, const char *code, char *space, size_t size);
static void answer_text(TzReply *a, int status, char *text);
static void cors(TzRequest *r, struct MHD_Response *response);

void
tz_reply_clear(TzReply *a)
{
	free(a->body);
	for (int i = 0; i < a->nheaders; i++)
	{
		free(a->name[i]);
		free(a->value[i]);
	}
	memset(a, 0, sizeof(*a));
}

/* Out of memory leaves an empty body: the status still tells. */
void
tz_reply_json(TzReply *a, int status, const char *text, size_t len)
{
	free(a->body);
	a->status = status;
	a->type = "application/json";
	a->body = malloc(len + 1);
	a->len = 0;
	if (a->body == NULL)
		return;
	memcpy(a->body, text, len);
	a->body[len] = '\0';
	a->len = len;
}

void
tz_reply_header(TzReply *a, const char *name, const char *value)
{
	char *n;
	char *v;

	for (int i = 0; i < a->nheaders; i++)
	{
		if (strcasecmp(a->name[i], name) == 0)
		{
			v = strdup(value);
			if (v == NULL)
				return;
			free(a->value[i]);
			a->value[i] = v;
			return;
		}
	}
	n = strdup(name);
	v = strdup(value);
	if (n == NULL || v == NULL || a->nheaders == TZ_REPLY_HEADERS_MAX)
	{
		free(n);
		free(v);
		return;
	}
	a->name[a->nheaders] = n;
	a->value[a->nheaders++] = v;
}

void
tz_reply_error(TzRequest *r, int status, const char *code, const char *message, const char *details)
{
	json_t *error;
	json_t *whole;
	json_t *more = details == NULL ? NULL : json_loads(details, 0, NULL);
	char space[64];
	bool snake = (r->flags & TZ_ROUTE_SNAKE) != 0;

	if (snake)
		code = snake_code(status, code, space, sizeof(space));
	error = json_pack("{s:s, s:s}", "code", code, "message", message);
	if (error != NULL && json_is_object(more) && json_object_size(more) > 0)
		json_object_set(error, "details", more);
	json_decref(more);
	whole = snake ? json_pack("{s:b, s:o, s:s}", "success", 0, "error", error, "requestId", r->id)
	              : json_pack("{s:o, s:s}", "error", error, "requestId", r->id);
	answer_text(&r->reply, status, whole == NULL ? NULL : json_dumps(whole, JSON_COMPACT));
	json_decref(whole);
}

/* Codes of the gateway's own errors, in the words of governed agents. */
static const char *
snake_code(int status, const char *code, char *space, size_t size)
{
	size_t i;

	(void) status;
	for (i = 0; code[i] != '\0' && i < size - 1; i++)
		space[i] = (char) toupper((unsigned char) code[i]);
	space[i] = '\0';
	return space;
}

/* Takes text. */
static void
answer_text(TzReply *a, int status, char *text)
{
	free(a->body);
	a->status = status;
	a->type = "application/json";
	a->body = text;
	a->len = text == NULL ? 0 : strlen(text);
}

struct MHD_Response *
tz_reply_response(TzRequest *r)
{
	TzReply *a = &r->reply;
	struct MHD_Response *response;

	response =
		MHD_create_response_from_buffer(a->len, a->body == NULL ? (void *) "" : a->body,
	                                    a->body == NULL ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		return NULL;
	a->body = NULL;
	a->len = 0;
	if (a->type != NULL && a->status != MHD_HTTP_NO_CONTENT)
	{
		bool typed = false;

		for (int i = 0; i < a->nheaders; i++)
			typed = typed || strcasecmp(a->name[i], "Content-Type") == 0;
		if (!typed)
			MHD_add_response_header(response, "Content-Type", a->type);
	}
	for (int i = 0; i < a->nheaders; i++)
		MHD_add_response_header(response, a->name[i], a->value[i]);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	tz_reply_headers(r, response);
	return response;
}

void
tz_reply_headers(TzRequest *r, struct MHD_Response *response)
{
	MHD_add_response_header(response, "X-Request-Id", r->id);
	cors(r, response);
	if (r->reply.last || r->gateway->draining)
		MHD_add_response_header(response, "Connection", "close");
}

static void
cors(TzRequest *r, struct MHD_Response *response)
{
	if (tz_guc_gateway_allow_origins == NULL || tz_guc_gateway_allow_origins[0] == '\0')
		return;
	MHD_add_response_header(response, "Vary", "Origin");
	if (r->origin == NULL)
		return;
	MHD_add_response_header(response, "Access-Control-Allow-Origin", r->origin);
	MHD_add_response_header(response, "Access-Control-Expose-Headers",
	                        "X-Request-Id, Retry-After, Idempotent-Replay, X-Next-Cursor, Location");
}
