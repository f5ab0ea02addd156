/*-------------------------------------------------------------------------
 *
 * flight_prepare.c
 *	  A claimed row made ready for its adapter: documents, secrets, endpoint.
 *
 * All of it is malloc'ed and nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "adapter/model.h"
#include "lib/json.h"
#include "worker/inflight_internal.h"

#define REQUEST_BYTES_MAX (64 * 1024 * 1024)
#define DOCUMENT_DEPTH_MAX 128
#define DOCUMENT_VALUES_MAX 1000000
#define CONTENT_BYTES_MAX (64 * 1024 * 1024)

static TzStatus
parse_document(const char *text, size_t len, bool needed, json_t **out, TzErr *err)
{
	static const TzJsonLimits limits = {
		.max_bytes = REQUEST_BYTES_MAX,
		.max_depth = DOCUMENT_DEPTH_MAX,
		.max_values = DOCUMENT_VALUES_MAX,
	};
	TzStatus st;

	*out = NULL;
	if (text == NULL && !needed)
		return TZ_OK;
	st = tz_json_parse(text != NULL ? tz_slice(text, len) : tz_slice_cstr("{}"), &limits, out, err);
	if (st == TZ_OK && !json_is_object(*out))
		return tz_err_set(err, TZ_INTERNAL, "document of the effect is not an object");
	return st;
}

/* What adapters get to see: a brokered value is not for them, a placeholder is a variable like any other. */
static void
add_secret(TzFlight *f, const TzClaimedSecret *s)
{
	TzSecretValue *out = &f->secrets[f->effect.nsecrets];
	bool placeholder = strcmp(s->use, "placeholder") == 0;

	if (strcmp(s->use, "broker") == 0 || strcmp(s->use, "mask") == 0)
		return;
	out->use = placeholder ? "env" : s->use;
	out->name = strcmp(out->use, "env") == 0 ? s->env_name : s->name;
	out->value = tz_buf_slice(&s->value);
	f->effect.nsecrets++;
}

/* unix:///path is a socket of this machine: whoever may open it may own the machine, so only the operator gives one. */
static TzStatus
take_socket(TzFlight *f, bool allowed, TzErr *err)
{
	static const char scheme[] = "unix://";

	if (f->endpoint.url == NULL || strncmp(f->endpoint.url, scheme, sizeof(scheme) - 1) != 0)
		return TZ_OK;
	if (!allowed)
	{
		tz_err_set(err, TZ_REFUSED, "a socket of the server's machine is not for platforms");
		tz_err_hint(err, "Give an https address, or have the operator offer it as managed compute.");
		return TZ_REFUSED;
	}
	f->endpoint.socket = f->endpoint.url + sizeof(scheme) - 1;
	f->endpoint.url = "http://localhost";
	f->endpoint.allow_http = true;
	return TZ_OK;
}

TzStatus
tz_flight_prepare(TzFlight *f, size_t max_response, int64 now_unix_ms, TzErr *err)
{
	TzClaimed *c = f->claim;
	const char *dot = strchr(c->kind, '.');
	const json_t *to;
	TzStatus st;

	tz_outcome_init(&f->outcome, CONTENT_BYTES_MAX);
	st = parse_document(c->request, c->request_len, true, &f->request, err);
	if (st == TZ_OK)
		st = parse_document(c->step_state, c->step_state_len, false, &f->step_state, err);
	if (st == TZ_OK && c->endpoint != NULL && c->endpoint->doc == NULL)
		st = parse_document(c->endpoint->text, c->endpoint->len, true, &c->endpoint->doc, err);
	if (st != TZ_OK)
		return st;
	free(c->request);
	c->request = NULL;
	if (c->nsecrets > 0)
	{
		f->secrets = calloc((size_t) c->nsecrets, sizeof(TzSecretValue));
		if (f->secrets == NULL)
			return tz_err_set(err, TZ_NOMEM, "out of memory");
		for (int i = 0; i < c->nsecrets; i++)
			add_secret(f, &c->secrets[i]);
	}
	f->effect.platform_id = c->platform_id;
	f->effect.root_id = c->root_id;
	f->effect.id = c->id;
	f->effect.kind = c->kind;
	f->effect.op = dot != NULL ? dot + 1 : c->kind;
	/* asked by the keeper, but the same question */
	if (strcmp(c->kind, "compute.sample") == 0)
		f->effect.op = "metrics";
	f->effect.attempt = c->attempt;
	f->effect.step = c->step;
	f->effect.request = f->request;
	f->effect.state = f->step_state;
	f->effect.content = tz_slice(c->content, c->content_len);
	f->effect.secrets = f->secrets;
	f->effect.now_ms = now_unix_ms;
	to = c->endpoint != NULL ? c->endpoint->doc : NULL;
	f->endpoint.url = json_string_value(json_object_get(to, "url"));
	f->endpoint.allow_http = json_is_true(json_object_get(to, "allow_http"));
	f->endpoint.allow_private = json_is_true(json_object_get(to, "allow_private"));
	f->endpoint.config = json_object_get(to, "config");
	if (!json_is_object(f->endpoint.config))
		f->endpoint.config = NULL;
	f->endpoint.max_response = max_response;
	return take_socket(f, json_is_true(json_object_get(to, "allow_socket")), err);
}

void
tz_flight_wipe(TzFlight *f)
{
	free(f->secrets);
	f->secrets = NULL;
	f->effect.secrets = NULL;
	f->effect.nsecrets = 0;
	tz_flight_unmask(f);
	f->mask_tried = false;
	tz_claimed_wipe(f->claim);
}

void
tz_flight_slim(TzFlight *f)
{
	static const char *const members[] = {"tools", "system", "response_schema", "extra"};

	f->effect.prompt_chars = tz_model_prompt_chars(&f->effect);
	f->effect.content = tz_slice(NULL, 0);
	free(f->claim->content);
	f->claim->content = NULL;
	f->claim->content_len = 0;
	for (size_t i = 0; i < lengthof(members); i++)
		json_object_del(f->request, members[i]);
}
