/*-------------------------------------------------------------------------
 *
 * lib_model.c
 *	  Cases of recorded answers of models, fed whole and in pieces.
 *
 * A streamed answer is fed whole, byte by byte, and cut in two at every place, with
 * each of the three line ends: all must end in the same outcome and the same text.
 * Objects of what is expected must be contained in what comes out, everything else
 * must be equal; "absent" names members that must not be there.
 *
 *-------------------------------------------------------------------------
 */
#include "lib_adapter.h"
#include "lib_model.h"

#include "tz_test.h"

#include "adapter/model.h"

#define CREDENTIAL "sk-secret-0123456789"
#define MAX_RESPONSE (256 * 1024)

typedef struct Case
{
	const char *name;
	const TzAdapter *adapter;
	json_t *test;
	TzEffect effect;
	TzEndpoint to;
	TzHttpRequest sent;
	TzHttpResponse in;
	TzBuf stream;
} Case;

static const char *const verdicts[] = {"", "done", "next", "retry", "failed", "unknown"};

static void
note_delta(void *arg, const TzDelta *delta)
{
	json_t *deltas = arg;
	json_t *last = json_array_get(deltas, json_array_size(deltas) - 1);
	json_t *text = json_stringn(delta->text.data != NULL ? delta->text.data : "", delta->text.len);
	static const char *const kinds[] = {"", "text", "reasoning", "tool", "arguments"};

	assert_non_null(text); /* UTF-8 */
	if (delta->kind == TZ_DELTA_TOOL)
	{
		json_array_append_new(deltas,
		                      json_pack("[s, i, s, s]", "tool", delta->index, delta->id, delta->name));
		json_decref(text);
		return;
	}
	/* pieces of one kind in a row are one */
	if (strcmp(json_string_value(json_array_get(last, 0)) != NULL ? json_string_value(json_array_get(last, 0))
	                                                              : "",
	           kinds[delta->kind]) == 0 &&
	    json_integer_value(json_array_get(last, 1)) == delta->index)
	{
		json_t *old = json_array_get(last, 2);
		json_t *both = json_sprintf("%s%s", json_string_value(old), json_string_value(text));

		json_array_set_new(last, 2, both);
		json_decref(text);
		return;
	}
	json_array_append_new(deltas, json_pack("[s, i, o]", kinds[delta->kind], delta->index, text));
}

json_t *
model_outcome(const TzOutcome *out, json_t *deltas)
{
	json_t *doc = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:i}", "verdict", verdicts[out->verdict],
	                        "retry_after_ms", out->retry_after_ms, "message", out->err.message, "detail",
	                        out->err.detail, "hint", out->err.hint, "status", tz_status_name(out->err.status),
	                        "http_status", out->err.http_status);

	assert_non_null(doc);
	if (out->error_class != NULL)
		json_object_set_new(doc, "class", json_string(out->error_class));
	if (out->error_code != NULL)
		json_object_set_new(doc, "error_code", json_string(out->error_code));
	if (out->result != NULL)
		json_object_set(doc, "result", out->result);
	if (deltas != NULL)
		json_object_set(doc, "deltas", deltas);
	return doc;
}

static void
contained(const Case *c, const char *where, json_t *expected, json_t *got)
{
	const char *key;
	json_t *value;
	char path[256];
	char *text;

	if (!json_is_object(expected))
	{
		if (json_equal(expected, got))
			return;
		text = got != NULL ? json_dumps(got, JSON_ENCODE_ANY) : NULL;
		fail_msg("%s: %s is %s", c->name, where, text != NULL ? text : "missing");
	}
	json_object_foreach (expected, key, value)
	{
		snprintf(path, sizeof(path), "%s.%s", where, key);
		if (strcmp(key, "contains") == 0 && json_is_string(got))
		{
			if (strstr(json_string_value(got), json_string_value(value)) == NULL)
				fail_msg("%s: %s is \"%s\"", c->name, where, json_string_value(got));
		}
		else if (strcmp(key, "absent") == 0)
		{
			for (size_t i = 0; i < json_array_size(value); i++)
				if (json_object_get(got, json_string_value(json_array_get(value, i))) != NULL)
					fail_msg("%s: %s.%s is there", c->name, where,
					         json_string_value(json_array_get(value, i)));
		}
		else
			contained(c, path, value, json_object_get(got, key));
	}
}

/* Text of the events, each line ended by eol. */
static void
write_stream(json_t *events, const char *eol, TzBuf *out)
{
	size_t i;
	json_t *event;

	json_array_foreach (events, i, event)
	{
		json_t *name = json_object_get(event, "event");
		json_t *data = json_object_get(event, "data");

		if (json_is_string(event)) /* as it stands */
		{
			tz_buf_append(out, json_string_value(event), json_string_length(event));
			continue;
		}
		if (name != NULL)
			tz_buf_printf(out, "event: %s%s", json_string_value(name), eol);
		if (json_is_string(data))
			tz_buf_printf(out, "data: %s%s%s", json_string_value(data), eol, eol);
		else
		{
			char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));

			tz_buf_printf(out, "data: %s%s%s", text, eol, eol);
			free(text);
		}
	}
	assert_int_equal(out->status, TZ_OK);
}

static void
fill_answer(Case *c)
{
	json_t *answer = json_object_get(c->test, "answer");
	json_t *body = json_object_get(answer, "body");
	json_t *transport = json_object_get(answer, "transport");
	const char *key;
	json_t *value;
	char line[512];

	tz_http_request_init(&c->sent, 0);
	tz_http_request_mask(&c->sent, tz_slice_cstr(CREDENTIAL), NULL);
	tz_http_response_init(&c->in, MAX_RESPONSE);
	c->in.request = &c->sent;
	c->in.status = (int) json_integer_value(json_object_get(answer, "status"));
	c->in.maybe_sent = c->in.status != 0 || json_is_true(json_object_get(answer, "maybe_sent"));
	json_object_foreach (json_object_get(answer, "headers"), key, value)
	{
		snprintf(line, sizeof(line), "%s: %s", key, json_string_value(value));
		tz_http_response_add(&c->in, line, strlen(line));
	}
	if (json_is_string(body))
		tz_buf_append(&c->in.body, json_string_value(body), json_string_length(body));
	else if (body != NULL)
	{
		char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(6));

		tz_buf_append_cstr(&c->in.body, text);
		free(text);
	}
	for (int s = TZ_NOMEM; transport != NULL && s <= TZ_INTERNAL; s++)
		if (strcmp(tz_status_name((TzStatus) s), json_string_value(transport)) == 0)
			tz_err_set(&c->in.err, (TzStatus) s, "transport said so");
}

static json_t *
run_whole(Case *c)
{
	TzOutcome out;
	json_t *doc;

	tz_outcome_init(&out, 1024);
	c->adapter->parse(&c->effect, &c->in, &out);
	doc = model_outcome(&out, NULL);
	tz_outcome_free(&out);
	return doc;
}

/* Cut at `cut`, or into pieces of `step` bytes where that is not 0. */
static json_t *
run_pieces(Case *c, size_t cut, size_t step)
{
	json_t *deltas = json_array();
	TzStream *st = c->adapter->stream_new(&c->effect, &c->to, note_delta, deltas);
	TzSlice all = tz_buf_slice(&c->stream);
	TzOutcome out;
	TzErr err;
	json_t *doc;

	assert_non_null(st);
	tz_err_clear(&err);
	for (size_t at = 0; at < all.len;)
	{
		size_t n = step > 0 ? step : at < cut ? cut - at : all.len - at;
		char *copy;

		if (n > all.len - at)
			n = all.len - at;
		copy = malloc(n); /* so that reading beyond is seen */
		memcpy(copy, all.data + at, n);
		if (c->adapter->stream_feed(st, tz_slice(copy, n), &err) != TZ_OK)
			assert_true(err.message[0] != '\0');
		free(copy);
		at += n;
	}
	tz_outcome_init(&out, 1024);
	c->adapter->stream_end(st, &c->effect, &c->in, &out);
	c->adapter->stream_free(st);
	doc = model_outcome(&out, deltas);
	tz_outcome_free(&out);
	json_decref(deltas);
	return doc;
}

static void
same(const Case *c, json_t *expected, json_t *got, size_t cut)
{
	char *a;
	char *b;

	if (json_equal(expected, got))
	{
		json_decref(got);
		return;
	}
	a = json_dumps(expected, 0);
	b = json_dumps(got, 0);
	fail_msg("%s: cut at %zu it is\n%s\nwhole it is\n%s", c->name, cut, b, a);
}

static void
run_stream(Case *c, json_t *expected)
{
	static const char *const eols[] = {"\n", "\r\n", "\r"};
	json_t *events = json_object_get(json_object_get(c->test, "answer"), "events");
	json_t *first = NULL;

	for (size_t e = 0; e < 3; e++)
	{
		json_t *doc;

		tz_buf_init(&c->stream, MAX_RESPONSE * 2);
		write_stream(events, eols[e], &c->stream);
		doc = run_pieces(c, 0, 0);
		if (first == NULL)
		{
			first = json_incref(doc);
			contained(c, "outcome", expected, doc);
		}
		same(c, first, doc, 0);
		same(c, first, run_pieces(c, 0, 1), 1);
		same(c, first, run_pieces(c, 0, 7), 7);
		for (size_t cut = 1; cut < c->stream.len && c->stream.len < 20000; cut += e == 0 ? 1 : 5)
			same(c, first, run_pieces(c, cut, 0), cut);
		tz_buf_free(&c->stream);
	}
	json_decref(first);
}

static void
run_case(json_t *test)
{
	json_t *answer = json_object_get(test, "answer");
	json_t *request = json_object_get(test, "request");
	json_t *attempt = json_object_get(test, "attempt");
	json_t *doc;
	Case c = {.name = json_string_value(json_object_get(test, "name")),
	          .adapter = tz_adapter_find(json_string_value(json_object_get(test, "adapter"))),
	          .test = test};

	assert_non_null(c.adapter);
	c.effect = (TzEffect){.id = "eff_0123456789", .op = "call", .kind = "model.call", .request = request};
	c.effect.attempt = attempt != NULL ? (int) json_integer_value(attempt) : 1;
	c.effect.now_ms = INT64_C(1790000000000);
	c.effect.content = tz_slice_cstr("{\"role\":\"user\",\"content\":\"hello\"}");
	c.to = (TzEndpoint){.url = "https://h.example", .max_response = MAX_RESPONSE};
	fill_answer(&c);
	if (json_object_get(answer, "events") != NULL)
		run_stream(&c, json_object_get(test, "expect"));
	else
	{
		doc = run_whole(&c);
		contained(&c, "outcome", json_object_get(test, "expect"), doc);
		json_decref(doc);
		/* a streamed request can be answered like that too */
		doc = run_pieces(&c, 0, 0);
		contained(&c, "outcome", json_object_get(test, "expect"), doc);
		json_decref(doc);
	}
	tz_http_response_free(&c.in);
	tz_http_request_free(&c.sent);
}

void
model_run_file(const char *path)
{
	adapter_run_file(path, run_case);
}
