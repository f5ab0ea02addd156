/*
 * Requests to models and messages of ours. First byte: adapter; up to the first NUL a
 * request, up to the second a provider's configuration, then messages. What is built is
 * one JSON document with the history in it byte for byte; no header carries more lines
 * than one; what is encoded is JSON as well.
 */
#include "outcome.h"

#include "adapter/model.h"

#define HISTORY "{\"role\":\"user\",\"content\":\"h\\u00e9 \\/\"}, {\"n\":1.50e0}"

static void
check_request(const TzHttpRequest *req)
{
	json_t *doc = json_loadb(req->body.data, req->body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	json_t *list = json_object_get(doc, "messages");

	must(json_is_object(doc));
	if (list == NULL)
		list = json_object_get(doc, "input");
	must(json_array_size(list) == 2 || json_array_size(list) == 3);
	must(memmem(req->body.data, req->body.len, HISTORY, sizeof(HISTORY) - 1) != NULL);
	must(req->url.len > 0 && strpbrk(req->url.data, " \r\n\t#") == NULL);
	must(req->timeout_ms > 0 && req->max_response > 0);
	for (int i = 0; i < req->nheaders; i++)
	{
		must(strpbrk(req->headers[i].value, "\r\n") == NULL);
		must(strcmp(req->headers[i].value, "Bearer tok-123456") != 0 || req->headers[i].secret ||
		     strcmp(req->headers[i].name, "Authorization") != 0);
	}
	json_decref(doc);
}

static void
check_encoded(const TzAdapter *adapter, const char *api, json_t *messages)
{
	TzBuf wire;
	TzBuf list;
	json_t *doc;

	tz_buf_init(&wire, 1 << 20);
	if (tz_model_encode(adapter, api, messages, &wire, NULL) == TZ_OK)
	{
		tz_buf_init(&list, 1 << 21);
		tz_buf_append_byte(&list, '[');
		tz_buf_append(&list, wire.data, wire.len);
		tz_buf_append_byte(&list, ']');
		doc = json_loadb(list.data, list.len, JSON_ALLOW_NUL, NULL);
		must(json_is_array(doc));
		json_decref(doc);
		tz_buf_free(&list);
	}
	tz_buf_free(&wire);
}

static json_t *
part(const char **at, const char *end)
{
	const char *stop = *at < end ? memchr(*at, 0, (size_t) (end - *at)) : NULL;
	json_t *doc;

	if (stop == NULL)
		stop = end;
	doc = json_loadb(*at, (size_t) (stop - *at), JSON_ALLOW_NUL, NULL);
	*at = stop < end ? stop + 1 : end;
	return doc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"anthropic", "openai", "openai-compatible"};
	static const char *const urls[] = {"https://h.example", "", "https://h.example/v1/?x=1"};
	const char *at = (const char *) data + 1;
	const char *end = (const char *) data + size;
	TzSecretValue secret = {"credential", "key", tz_slice_cstr("tok-123456")};
	TzEndpoint to = {.max_response = 1000};
	TzEffect effect = {.id = "e", .op = "call", .secrets = &secret, .nsecrets = 1};
	const TzAdapter *adapter;
	TzHttpRequest req;
	json_t *messages;
	TzErr err;

	if (size < 3)
		return 0;
	adapter = tz_adapter_find(names[data[0] % 3]);
	to.url = urls[data[0] / 3 % 3];
	effect.request = part(&at, end);
	to.config = part(&at, end);
	messages = part(&at, end);
	effect.content = tz_slice_cstr(HISTORY);
	if (json_is_object(effect.request) && (to.config == NULL || json_is_object(to.config)))
	{
		tz_err_clear(&err);
		tz_http_request_init(&req, 0);
		if (adapter->build(&effect, &to, &req, &err) == TZ_OK)
			check_request(&req);
		else
			must(err.message[0] != '\0');
		tz_http_request_free(&req);
	}
	if (messages != NULL)
		check_encoded(adapter, data[0] & 1 ? "responses" : "chat", messages);
	json_decref(effect.request);
	json_decref(to.config);
	json_decref(messages);
	return 0;
}
