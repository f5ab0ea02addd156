/*
 * The model adapters against the scripted server over real connections, which the
 * vendors' own clients have judged (test/mock/clients). It refuses a history that is
 * not, byte for byte, what it said: so what an adapter keeps is what it may send.
 */
#include "tz_test.h"

#include "lib_model.h"

#include <curl/curl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "adapter/model.h"

#define KEY "sk-test-0123456789"
#define HARD             \
	"Gr\xc3\xbc\xc3\x9f" \
	"e, \xe2\x82\xac \xf0\x9f\x98\x80 \"\\\n\t\x01"

static pid_t server;
static char base[64];

typedef struct Wire
{
	const TzAdapter *adapter;
	TzStream *stream; /* NULL: not asked for */
	TzHttpResponse in;
	CURL *curl;
	bool given_up;
} Wire;

typedef struct Face
{
	const char *adapter;
	const char *api;
	bool stream;
	const char *dialect; /* of the server, or "" */
} Face;

static const Face faces[] = {
	{"anthropic", "messages", false, ""},
	{"anthropic", "messages", true, ""},
	{"openai", "chat", false, ""},
	{"openai", "chat", true, ""},
	{"openai", "responses", false, ""},
	{"openai", "responses", true, ""},
	{"openai-compatible", "chat", false, "openrouter"},
	{"openai-compatible", "chat", true, "openrouter"},
	{"openai-compatible", "chat", false, "ollama"},
	{"openai-compatible", "chat", true, "ollama"},
	{"openai-compatible", "chat", true, "vllm"},
	{"openai-compatible", "chat", true, "azure"},
	{"openai-compatible", "chat", true, "litellm"},
	{"openai-compatible", "chat", true, "deepseek"},
	{"openai-compatible", "chat", false, "stop_with_tools"},
	{"openai-compatible", "chat", true, "stop_with_tools"},
	{"openai-compatible", "chat", true, "index0"},
	{"openai-compatible", "chat", true, "no_finish_member"},
};

#define FACES (sizeof(faces) / sizeof(faces[0]))

static int
start_server(void **state)
{
	int out[2];
	char port[16] = "";
	FILE *f;

	(void) state;
	assert_int_equal(pipe(out), 0);
	server = fork();
	assert_true(server >= 0);
	if (server == 0)
	{
		dup2(out[1], 1);
		close(out[0]);
		close(out[1]);
		execlp("python3", "python3", "test/mock/model_server.py", "--key", KEY, (char *) NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	assert_non_null(f);
	if (fgets(port, sizeof(port), f) == NULL)
		fail_msg("the scripted server did not start");
	fclose(f);
	port[strcspn(port, "\n")] = '\0';
	snprintf(base, sizeof(base), "http://127.0.0.1:%s", port);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	return 0;
}

static int
stop_server(void **state)
{
	(void) state;
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	curl_global_cleanup();
	return 0;
}

static size_t
take_header(char *data, size_t size, size_t n, void *arg)
{
	Wire *w = arg;

	if (size * n > 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		w->in.status = (int) strtol(data + 9, NULL, 10);
		tz_http_response_clear_headers(&w->in);
	}
	else
		tz_http_response_add(&w->in, data, size * n);
	return size * n;
}

static size_t
take_body(char *data, size_t size, size_t n, void *arg)
{
	Wire *w = arg;

	if (w->stream == NULL || !tz_answer_streams(&w->in))
		return tz_buf_append(&w->in.body, data, size * n) == TZ_OK ? size * n : 0;
	if (w->adapter->stream_feed(w->stream, tz_slice(data, size * n), NULL) == TZ_OK)
		return size * n;
	w->given_up = true;
	return 0;
}

static void
send_request(Wire *w, const TzHttpRequest *req)
{
	struct curl_slist *list = NULL;
	CURLcode code;
	char line[1024];

	w->curl = curl_easy_init();
	curl_easy_setopt(w->curl, CURLOPT_URL, req->url.data);
	curl_easy_setopt(w->curl, CURLOPT_POSTFIELDSIZE, (long) req->body.len);
	curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, req->body.data);
	curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, 20000L);
	curl_easy_setopt(w->curl, CURLOPT_PROXY, "");
	for (int i = 0; i < req->nheaders; i++)
	{
		snprintf(line, sizeof(line), "%s: %s", req->headers[i].name, req->headers[i].value);
		list = curl_slist_append(list, line);
	}
	curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(w->curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(w->curl, CURLOPT_HEADERDATA, w);
	curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, w);
	code = curl_easy_perform(w->curl);
	w->in.maybe_sent = true;
	if (w->given_up)
		tz_err_set(&w->in.err, TZ_CANCELLED, "given up");
	else if (code != CURLE_OK)
		tz_err_set(&w->in.err, TZ_UNAVAILABLE, "connection broke: %s", curl_easy_strerror(code));
	curl_slist_free_all(list);
	curl_easy_cleanup(w->curl);
}

/* One call; the caller releases the outcome's document. */
static json_t *
ask(const Face *face, TzSlice history, size_t ceiling)
{
	char url[80];
	json_t *tool =
		json_pack("{s:s, s:{s:s, s:{}}}", "name", "lookup", "parameters", "type", "object", "properties");
	json_t *request = json_pack("{s:s, s:s, s:b, s:i, s:[o]}", "model", "m", "api", face->api, "stream",
	                            face->stream, "max_tokens", 100, "tools", tool);
	TzSecretValue secret = {"credential", "key", tz_slice_cstr(KEY)};
	TzEndpoint to = {.url = url, .allow_http = true, .allow_private = true, .max_response = ceiling};
	TzEffect effect = {.id = "eff_1", .op = "call", .attempt = 1, .request = request, .content = history};
	Wire w = {.adapter = tz_adapter_find(face->adapter)};
	TzHttpRequest req;
	TzOutcome out;
	TzErr err;
	json_t *doc;

	snprintf(url, sizeof(url), "%s%s", base, strcmp(face->adapter, "anthropic") == 0 ? "" : "/v1");
	effect.secrets = &secret;
	effect.nsecrets = 1;
	effect.now_ms = (int64_t) time(NULL) * 1000;
	tz_http_request_init(&req, 0);
	tz_http_response_init(&w.in, ceiling);
	tz_outcome_init(&out, 1000);
	if (w.adapter->build(&effect, &to, &req, &err) != TZ_OK)
		fail_msg("%s", err.message);
	if (face->stream)
		w.stream = w.adapter->stream_new(&effect, &to, NULL, NULL);
	send_request(&w, &req);
	w.in.request = &req;
	if (face->stream)
		w.adapter->stream_end(w.stream, &effect, &w.in, &out);
	else
		w.adapter->parse(&effect, &w.in, &out);
	if (face->stream)
		w.adapter->stream_free(w.stream);
	doc = model_outcome(&out, NULL);
	tz_outcome_free(&out);
	tz_http_response_free(&w.in);
	tz_http_request_free(&req);
	json_decref(request);
	return doc;
}

static size_t
ignore_body(char *data, size_t size, size_t n, void *arg)
{
	return size * n;
}

static void
control(const char *text)
{
	char url[80];
	CURL *curl = curl_easy_init();

	snprintf(url, sizeof(url), "%s/_control", base);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_body);
	assert_int_equal(curl_easy_perform(curl), CURLE_OK);
	curl_easy_cleanup(curl);
}

/* The rule is a JSON object's members; the dialect is put in front of them. */
static void
rule(const Face *face, const char *members)
{
	TzBuf text;

	tz_buf_init(&text, 100000);
	tz_buf_printf(&text, "{\"rules\":[{\"dialect\":\"%s\",%s}]}", face->dialect, members);
	control(text.data);
	tz_buf_free(&text);
}

static const char *
text_of(json_t *doc, const char *key)
{
	json_t *value = json_object_get(json_object_get(doc, "result"), key);
	const char *text = json_string_value(json_is_string(value) ? value : json_object_get(doc, key));

	return text != NULL ? text : "";
}

static void
expect(const Face *face, json_t *doc, const char *key, const char *value)
{
	if (strcmp(text_of(doc, key), value) != 0)
	{
		char *all = json_dumps(doc, 0);

		fail_msg("%s %s %s%s: %s is \"%s\" in %s", face->adapter, face->api, face->dialect,
		         face->stream ? " streamed" : "", key, text_of(doc, key), all);
	}
}

#define ARGUMENTS "{\"q\":\"\\u00e9\xe2\x82\xac\\n\\\"\", \"n\":[1, 2.50]}"
#define TOOLS                                                                                      \
	"\"text\":\"Gr\xc3\xbc\xc3\x9f"                                                                \
	"e, \xe2\x82\xac \xf0\x9f\x98\x80 \\\"\\\\\\n\\t\\u0001\",\"piece\":5,\"tools\":["             \
	"{\"name\":\"lookup\",\"arguments\":\"{\\\"q\\\":\\\"\\\\u00e9\xe2\x82\xac\\\\n\\\\\\\"\\\", " \
	"\\\"n\\\":[1, 2.50]}\"},{\"name\":\"lookup\",\"arguments\":{}}]"

static void
check_tools(const Face *face, json_t *doc)
{
	json_t *calls = json_object_get(json_object_get(doc, "result"), "tool_calls");
	json_t *wanted = json_loads(ARGUMENTS, 0, NULL);

	expect(face, doc, "verdict", "done");
	expect(face, doc, "text", HARD);
	expect(face, doc, "stop", "tool_use");
	assert_int_equal(json_array_size(calls), 2);
	assert_true(json_equal(json_object_get(json_array_get(calls, 0), "arguments"), wanted));
	assert_int_equal(json_object_size(json_object_get(json_array_get(calls, 1), "arguments")), 0);
	json_decref(wanted);
}

/* Results of all its calls, in this adapter's words. */
static void
append_results(const Face *face, json_t *doc, int round, TzBuf *history)
{
	json_t *calls = json_object_get(json_object_get(doc, "result"), "tool_calls");
	json_t *results = json_array();
	json_t *message;
	char text[64];

	for (size_t i = 0; i < json_array_size(calls); i++)
	{
		json_t *call = json_array_get(calls, i);

		snprintf(text, sizeof(text), "result %d of call %zu", round, i);
		json_array_append_new(results,
		                      json_pack("{s:O, s:O, s:s, s:b}", "id", json_object_get(call, "id"), "name",
		                                json_object_get(call, "name"), "content", text, "is_error", i == 1));
	}
	message = json_pack("{s:s, s:o}", "role", "tool", "results", results);
	assert_int_equal(tz_model_encode(tz_adapter_find(face->adapter), face->api, message, history, NULL),
	                 TZ_OK);
	json_decref(message);
}

/* Five rounds of two tools, every history checked by the server to the byte. */
static void
test_rounds(void **state)
{
	(void) state;
	for (size_t f = 0; f < FACES; f++)
	{
		const Face *face = &faces[f];
		TzBuf history;
		json_t *doc;

		rule(face, "\"turns\":[{" TOOLS "},{\"reasoning\":\"I think\"," TOOLS "},{" TOOLS "},{" TOOLS
		           "},{" TOOLS "},{\"text\":\"done\"}]");
		tz_buf_init(&history, 1 << 20);
		tz_buf_printf(&history, "{\"role\":\"user\",\"content\":\"work [conv:c-%zu]\"}", f);
		for (int i = 0; i < 5; i++)
		{
			doc = ask(face, tz_buf_slice(&history), 1 << 20);
			check_tools(face, doc);
			tz_buf_printf(&history, ",%s", text_of(doc, "wire"));
			append_results(face, doc, i, &history);
			json_decref(doc);
		}
		doc = ask(face, tz_buf_slice(&history), 1 << 20);
		expect(face, doc, "text", "done");
		expect(face, doc, "stop", "end");
		json_decref(doc);
		/* proof that it looks: one byte of an old result */
		*strstr(history.data, "result 2") = 'R';
		doc = ask(face, tz_buf_slice(&history), 1 << 20);
		expect(face, doc, "verdict", "failed");
		assert_non_null(strstr(text_of(doc, "detail"), "history differs"));
		json_decref(doc);
		tz_buf_free(&history);
	}
}

#define USER tz_slice_cstr("{\"role\":\"user\",\"content\":\"hi\"}")

/* Cut by the network at many places, with all line ends. */
static void
test_cut_anywhere(void **state)
{
	static const char *const eols[] = {"lf", "crlf", "cr"};

	(void) state;
	for (size_t f = 1; f < 6; f += 2)
	{
		for (int at = 1; at < 3000; at += 61)
		{
			char members[1200];
			json_t *doc;

			snprintf(members, sizeof(members),
			         "\"eol\":\"%s\",\"split_at\":%d,\"split_ms\":2,\"comments\":2,\"answer\":{" TOOLS "}",
			         eols[at % 3], at);
			rule(&faces[f], members);
			doc = ask(&faces[f], USER, 1 << 20);
			check_tools(&faces[f], doc);
			json_decref(doc);
		}
		rule(&faces[f], "\"eol\":\"crlf\",\"split\":1,\"bom\":true,\"answer\":{" TOOLS "}");
		json_decref(ask(&faces[f], USER, 1 << 20));
	}
}

static void
test_refusals(void **state)
{
	static const struct
	{
		const char *fault;
		const char *verdict;
		const char *class;
	} faults[] = {{"rate_seconds", "retry", "rate"},    {"rate_date", "retry", "rate"},
	              {"rate_ms", "retry", "rate"},         {"rate_none", "retry", "rate"},
	              {"rate_no_retry", "failed", "rate"},  {"spend", "failed", "quota"},
	              {"overloaded", "retry", "transient"}, {"busy", "retry", "transient"},
	              {"error", "retry", "transient"},      {"key", "failed", "auth"},
	              {"credits", "failed", "quota"},       {"model", "failed", "caller"},
	              {"html", "retry", "transient"},       {"error200", "retry", "transient"},
	              {"close", "unknown", "transient"}};

	(void) state;
	for (size_t f = 0; f < 8; f++)
		for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		{
			char members[64];
			json_t *doc;

			snprintf(members, sizeof(members), "\"fault\":\"%s\"", faults[i].fault);
			rule(&faces[f], members);
			doc = ask(&faces[f], USER, 1 << 20);
			expect(&faces[f], doc, "verdict", faults[i].verdict);
			expect(&faces[f], doc, "class", faults[i].class);
			assert_null(strstr(text_of(doc, "detail"), KEY));
			json_decref(doc);
		}
	for (size_t f = 0; f < 8; f++)
	{
		json_t *doc;

		rule(&faces[f], "\"fault\":\"redirect\",\"location\":\"http://127.0.0.1:1/x\"");
		doc = ask(&faces[f], USER, 1 << 20);
		expect(&faces[f], doc, "verdict", "failed");
		json_decref(doc);
	}
}

/* Cut after every event, cleanly and by a reset; an error after every event. */
static void
test_broken_streams(void **state)
{
	static const char *const ways[] = {"\"cut_after\":%d", "\"close\":\"reset\",\"cut_after\":%d",
	                                   "\"error_after\":%d"};

	(void) state;
	for (size_t f = 1; f < 8; f += 2)
		for (size_t w = 0; w < 3; w++)
			for (int n = w == 2 ? 0 : 1; n < 9; n++)
			{
				char members[1200];
				char way[64];
				json_t *doc;

				snprintf(way, sizeof(way), ways[w], n);
				snprintf(members, sizeof(members), "%s,\"answer\":{" TOOLS "}", way);
				rule(&faces[f], members);
				doc = ask(&faces[f], USER, 1 << 20);
				expect(&faces[f], doc, "verdict", "retry");
				expect(&faces[f], doc, "class", "transient");
				assert_true(json_is_true(json_object_get(json_object_get(doc, "result"), "truncated")));
				assert_null(json_object_get(json_object_get(doc, "result"), "tool_calls"));
				json_decref(doc);
			}
}

static void
test_never_ending(void **state)
{
	(void) state;
	for (size_t f = 1; f < 8; f += 2)
	{
		json_t *doc;

		rule(&faces[f], "\"endless\":\"text\",\"answer\":{" TOOLS "}");
		doc = ask(&faces[f], USER, 200000);
		expect(&faces[f], doc, "verdict", "failed");
		expect(&faces[f], doc, "status", "too_large");
		json_decref(doc);
	}
	for (size_t f = 0; f < 8; f++)
	{
		json_t *doc;

		/* a client that did not ask for it gets it packed all the same */
		rule(&faces[f], "\"gzip\":true,\"answer\":{" TOOLS "}");
		doc = ask(&faces[f], USER, 200000);
		assert_string_not_equal(text_of(doc, "verdict"), "done");
		json_decref(doc);
		/* a streamed request answered whole */
		rule(&faces[f], "\"unstreamed\":true,\"answer\":{" TOOLS "}");
		doc = ask(&faces[f], USER, 200000);
		check_tools(&faces[f], doc);
		json_decref(doc);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounds),       cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_refusals),     cmocka_unit_test(test_broken_streams),
		cmocka_unit_test(test_never_ending),
	};

	return cmocka_run_group_tests_name("model_server", tests, start_server, stop_server);
}
