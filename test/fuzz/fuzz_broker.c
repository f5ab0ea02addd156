/*
 * A request written by somebody who wants the value elsewhere. Parts split at NUL:
 * URL, then header names and values in turn, the last one alone is the body.
 * Checked: the value is in no header unless libcurl, too, reads one of the secret's
 * own hosts in the URL; then exactly one header holds it, in the configured form.
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/broker.h"

#define VALUE "canary-0123456789"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
curl_agrees(const char *text)
{
	CURLU *url = curl_url();
	char *host = NULL;
	char *port = NULL;
	char *scheme = NULL;
	bool same = false;

	if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
	{
		size_t len = strlen(host);

		if (len > 1 && host[len - 1] == '.')
			host[--len] = '\0';
		same = strcmp(scheme, "https") == 0 && strcmp(port, "443") == 0 &&
		       (strcasecmp(host, "a.example") == 0 ||
		        (len > 10 && strcasecmp(host + len - 10, ".w.example") == 0));
	}
	curl_free(host);
	curl_free(port);
	curl_free(scheme);
	curl_url_cleanup(url);
	return same;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const hosts[] = {"a.example", "*.w.example"};
	TzBrokered secret = {"K", "k", {VALUE, sizeof(VALUE) - 1}, hosts, 2, NULL, NULL};
	char text[4096];
	const char *part[32];
	TzHttpRequest req;
	TzErr err;
	TzStatus status;
	int n = 0;
	int carried = 0;

	/* whoever writes the request does not know the value */
	if (size == 0 || size >= sizeof(text) || memmem(data, size, "canary", 6) != NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	for (size_t i = 0; i < size - 1 && n < 32; i += strlen(text + i) + 1)
		part[n++] = text + i;
	if (n == 0)
		return 0;
	if (data[0] & 1)
		secret.header = "X-Key";
	else if (data[0] & 2)
		secret.username = "u";
	tz_err_clear(&err);
	tz_http_request_init(&req, 4096);
	req.method = "GET";
	tz_buf_append_cstr(&req.url, part[0]);
	for (int i = 1; i + 1 < n; i += 2)
		(void) tz_http_request_header(&req, part[i], part[i + 1], false, NULL);
	if (n > 1 && n % 2 == 0)
		tz_buf_append_cstr(&req.body, part[n - 1]);
	status = tz_broker_apply(&secret, 1, data[0] & 4 ? TZ_BROKER_HEADERS : TZ_BROKER_ALL, false, &req, &err);
	for (int i = 0; i < req.nheaders; i++)
		carried += req.headers[i].secret;
	if (carried > 1 || (status != TZ_OK && carried > 0) || (status != TZ_OK && err.message[0] == '\0') ||
	    strstr(err.message, VALUE) != NULL)
		abort();
	if (carried == 1 && (!req.pin.set || !req.pin.tls || !curl_agrees(part[0])))
		abort();
	tz_http_request_free(&req);
	return 0;
}
