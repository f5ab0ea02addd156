/*-------------------------------------------------------------------------
 *
 * daytona.c
 *	  Sandboxes of Daytona: phases, and requests to the control plane.
 *
 * An operation is a walk through phases, each a request; where it goes on after an
 * answer is in daytona_answer.c, _made.c, _keep.c and _worked.c. What happens inside a sandbox is
 * asked of its toolbox, whose address the control plane tells: it is kept in memory
 * like a secret, and whoever does not have it begins with "find".
 *
 * A sandbox has a name made from our id of it, which the provider takes once, and a
 * label with that id. So a creation whose answer was lost is looked for, and one that is
 * sent again meets the first one's name.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "adapter/daytona.h"
#include "adapter/signed.h"
#include "lib/json.h"
#include "lib/url.h"

#define DEFAULT_URL "https://app.daytona.io/api"
#define BODY_MAX (64 * 1024 * 1024)
#define PREVIEW_SECONDS 86400

static TzStatus daytona_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static void daytona_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static TzStatus build_create(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus build_look(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus build_named(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus build_port(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus add_headers(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static void stream_end(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

static const TzDaytonaPhase phases[] = {
	{"create", "POST", build_create},
	{"look", "GET", build_look},
	{"sweep", "GET", build_look},
	{"named", "GET", build_named},
	{"poll", "GET", tz_daytona_build_box},
	{"find", "GET", tz_daytona_build_box},
	{"drop", "DELETE", tz_daytona_build_box},
	{"delete", "DELETE", tz_daytona_build_box},
	{"start", "POST", tz_daytona_build_box},
	{"stop", "POST", tz_daytona_build_box},
	{"pause", "POST", tz_daytona_build_box},
	{"port", "GET", build_port},
	{"ttl", "POST", tz_daytona_build_ttl},
	{"unlimit", "POST", tz_daytona_build_ttl},
	{"shoot", "POST", tz_daytona_build_shoot},
	{"shot", "GET", tz_daytona_build_shot},
	{"forget", "DELETE", tz_daytona_build_shot},
	{"clear", "POST", tz_daytona_build_clear},
	{"work", "POST", tz_daytona_build_work},
	{"watch", "POST", tz_daytona_build_watch},
	{"sample", "POST", tz_daytona_build_sample},
};

static const struct
{
	const char *op;
	const char *first; /* phase; NULL: work where the toolbox is known, else find */
} ops[] = {
	{"create", "create"}, {"exec", NULL},        {"read", NULL},          {"write", NULL},
	{"list", NULL},       {"metrics", NULL},     {"expose_port", "port"}, {"pause", "find"},
	{"resume", "find"},   {"destroy", "delete"}, {"sweep", "sweep"},      {"renew", "ttl"},
	{"snapshot", "find"}, {"forget", "forget"},  {"stop", NULL},
};

static const char *const op_names[] = {"create",   "exec",   "read",    "write",   "list",  "expose_port",
                                       "pause",    "resume", "metrics", "destroy", "sweep", "renew",
                                       "snapshot", "forget", "stop",    NULL};

extern const TzAdapter tz_compute_daytona;
const TzAdapter tz_compute_daytona = {
	.name = "daytona",
	.kind = TZ_COMPUTE,
	.ops = op_names,
	.build = daytona_build,
	.parse = daytona_parse,
	.stream_new = tz_job_stream_new,
	.stream_feed = tz_job_stream_feed,
	.stream_end = stream_end,
	.stream_free = tz_job_stream_free,
	.stream_wants = tz_job_stream_wants,
	.stream_whole = tz_job_stream_whole,
};

/*
 * Building, what is kept decides between the first two phases of work in a sandbox;
 * reading the answer, what was sent does: the address of a sandbox has nothing after its id.
 */
const char *
tz_daytona_phase(const TzEffect *effect, const TzEndpoint *to, const TzHttpRequest *sent)
{
	const char *phase = json_string_value(json_object_get(effect->state, "phase"));
	const char *id = json_string_value(json_object_get(effect->request, "sandbox"));

	/* nobody knows what became of the last attempt of this creation */
	if (strcmp(effect->op, "create") == 0 && json_is_true(json_object_get(effect->state, "reconcile")) &&
	    (phase == NULL || strcmp(phase, "create") == 0))
		return "look";
	if (phase != NULL)
		return phase;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].op, effect->op) == 0 && ops[i].first != NULL)
			return ops[i].first;
	if (sent != NULL && id != NULL)
	{
		size_t len = strlen(id);

		return sent->url.len > len && memcmp(sent->url.data + sent->url.len - len, id, len) == 0 &&
		               sent->url.data[sent->url.len - len - 1] == '/'
		           ? "find"
		           : "work";
	}
	if (to != NULL && json_is_string(json_object_get(to->config, "toolboxUrl")))
		return "work";
	return effect->kept.len > 0 ? "work" : "find";
}

/* out must be fresh from tz_http_request_init or zeroed; the caller frees it in any case. */
static TzStatus
daytona_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const char *name = tz_daytona_phase(effect, to, NULL);
	const TzDaytonaPhase *phase = NULL;
	TzStatus status;

	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
		if (strcmp(phases[i].name, name) == 0)
			phase = &phases[i];
	if (phase == NULL)
		return tz_err_set(err, TZ_UNSUPPORTED, "operation \"%.32s\" is not known", effect->op);
	tz_http_request_free(out);
	tz_http_request_init(out, BODY_MAX);
	out->method = phase->method;
	out->timeout_ms = 60000;
	out->max_response = to->max_response;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;
	status = phase->build(effect, to, out, err);
	if (status == TZ_OK)
		status = add_headers(effect, to, out, err);
	if (status == TZ_OK && (out->url.status != TZ_OK || out->body.status != TZ_OK))
		status =
			tz_err_set(err, out->body.status == TZ_NOMEM ? TZ_NOMEM : TZ_TOO_LARGE, "request is too large");
	return status;
}

static TzStatus
build_create(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = tz_daytona_base(to, out, err);

	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/sandbox");
	return tz_daytona_create_body(effect, to, &out->body, err);
}

/* By a label: {"theazo.id":"..."}; a sweep by that of our database, page by page. */
static TzStatus
build_look(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	bool sweep = strcmp(effect->op, "sweep") == 0;
	json_t *cursor = json_object_get(effect->state, "cursor");
	TzSlice value;
	TzBuf filter;
	TzStatus status =
		tz_json_get_str(effect->request, sweep ? "instance" : "tag", true, TZ_DAYTONA_ID_MAX, &value, err);

	if (status == TZ_OK)
		status = tz_daytona_base(to, out, err);
	if (status != TZ_OK)
		return status;
	tz_buf_init(&filter, 1024);
	tz_buf_printf(&filter, "{\"%s\":", sweep ? TZ_DAYTONA_INSTANCE : TZ_DAYTONA_TAG);
	tz_job_json_string(value, &filter);
	tz_buf_append_byte(&filter, '}');
	tz_buf_append_cstr(&out->url, "/sandbox?labels=");
	tz_daytona_encode(tz_buf_slice(&filter), "", &out->url);
	tz_buf_printf(&out->url, "&limit=%d", sweep ? 200 : 10);
	if (json_is_string(cursor))
	{
		tz_buf_append_cstr(&out->url, "&cursor=");
		tz_daytona_encode(tz_slice(json_string_value(cursor), json_string_length(cursor)), "", &out->url);
	}
	tz_buf_free(&filter);
	return TZ_OK;
}

static TzStatus
build_named(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = tz_daytona_base(to, out, err);

	tz_buf_append_cstr(&out->url, "/sandbox/");
	tz_daytona_name(effect, &out->url);
	return status;
}

/* The sandbox itself, or one of the things that can be done with it. */
TzStatus
tz_daytona_build_box(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const char *phase = tz_daytona_phase(effect, to, NULL);
	bool ours = json_object_get(effect->state, "id") != NULL;
	TzSlice id = {NULL, 0};
	TzStatus status = tz_json_get_str(ours ? effect->state : effect->request, ours ? "id" : "sandbox", true,
	                                  TZ_DAYTONA_ID_MAX, &id, err);

	if (status == TZ_OK && !tz_daytona_id_ok(id))
		status = tz_err_set(err, TZ_BAD_INPUT, "id of the sandbox is not valid");
	if (status == TZ_OK)
		status = tz_daytona_base(to, out, err);
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/sandbox/");
	tz_buf_append(&out->url, id.data, id.len);
	if (strcmp(phase, "start") == 0 || strcmp(phase, "stop") == 0 || strcmp(phase, "pause") == 0)
		tz_buf_printf(&out->url, "/%s", phase);
	return TZ_OK;
}

/* A signed address, which needs no header of who opens it. */
static TzStatus
build_port(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	int64_t port = 0;
	int64_t seconds = PREVIEW_SECONDS;
	TzStatus status = tz_json_get_int(effect->request, "port", true, 1, 65535, &port, err);

	if (status == TZ_OK)
		status = tz_json_get_int(to->config, "previewSeconds", false, 1, 86400, &seconds, err);
	if (status == TZ_OK)
		status = tz_daytona_build_box(effect, to, out, err);
	if (status == TZ_OK)
		tz_buf_printf(&out->url, "/ports/%d/signed-preview-url?expiresInSeconds=%d", (int) port,
		              (int) seconds);
	return status;
}

/* The base URL without its trailing slashes. */
TzStatus
tz_daytona_base(const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice base = tz_slice_cstr(to->url != NULL ? to->url : DEFAULT_URL);

	while (base.len > 0 && base.data[base.len - 1] == '/')
		base.len--;
	if (!tz_daytona_url_ok(base))
	{
		tz_err_set(err, TZ_BAD_INPUT, "provider's endpoint is no base URL");
		tz_err_hint(err, "Give the address of the API, such as " DEFAULT_URL ".");
		return TZ_BAD_INPUT;
	}
	tz_buf_append(&out->url, base.data, base.len);
	return TZ_OK;
}

static TzStatus
add_headers(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice credential = tz_effect_secret(effect, "credential");
	const char *organization = json_string_value(json_object_get(to->config, "organization"));
	TzStatus status = TZ_OK;

	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
		status = tz_http_request_mask(out, effect->secrets[i].value, err);
	if (status == TZ_OK && credential.len == 0)
	{
		tz_err_set(err, TZ_BAD_INPUT, "provider has no credential");
		tz_err_hint(err,
		            "Store an API key of Daytona with theazo.secret_set() and name it in credential_ref.");
		return TZ_BAD_INPUT;
	}
	if (status == TZ_OK)
		status = tz_credential_header(out, "Authorization", "Bearer ", credential, err);
	if (status == TZ_OK && organization != NULL)
		status = tz_http_request_header(out, "X-Daytona-Organization-ID", organization, false, err);
	/* a look at the machine is no sign of life */
	if (status == TZ_OK && strcmp(effect->op, "metrics") == 0)
		status = tz_http_request_header(out, "X-Daytona-Skip-Last-Activity-Update", "true", false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Accept", "application/json", false, err);
	if (status == TZ_OK && out->body.len > 0 && out->body.data[0] == '{')
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	return status;
}

bool
tz_daytona_id_ok(TzSlice id)
{
	if (id.len == 0 || id.len > TZ_DAYTONA_ID_MAX || id.data[0] == '.')
		return false;
	for (size_t i = 0; i < id.len; i++)
	{
		unsigned char c = (unsigned char) id.data[i];

		if (!isascii(c) || (!isalnum(c) && strchr("-_.", c) == NULL))
			return false;
	}
	return true;
}

/* An http or https URL that a path can be put behind. */
bool
tz_daytona_url_ok(TzSlice url)
{
	TzUrl parts;

	return url.len > 0 && url.len < 2048 && memchr(url.data, '?', url.len) == NULL &&
	       memchr(url.data, '#', url.len) == NULL && memchr(url.data, '\\', url.len) == NULL &&
	       tz_url_split(url, &parts, NULL) == TZ_OK;
}

/* Everything but RFC 3986's unreserved characters and those of kept. */
void
tz_daytona_encode(TzSlice text, const char *kept, TzBuf *out)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c != 0 && ((isascii(c) && isalnum(c)) || strchr("-._~", c) != NULL || strchr(kept, c) != NULL))
			tz_buf_append_byte(out, (char) c);
		else
			tz_buf_printf(out, "%%%02X", c);
	}
}

static void
daytona_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	tz_daytona_answer(effect, in, &(TzJobFollower){NULL, NULL}, out);
}

static void
stream_end(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	tz_daytona_answer(effect, in, tz_job_stream_to(stream), out);
}
