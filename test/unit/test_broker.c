/* broker.c and url.c */
#include "tz_test.h"

#include <strings.h>

#include "lib/broker.h"
#include "lib/sign.h"
#include "lib/url.h"

#define VALUE "canary-9c1f-value"

static const char *const hosts[] = {"api.example.com", "*.wild.example", "odd.example:8443", "[::1]:9000",
                                    "10.1.2.3"};
static const char *const bare[] = {"plain.example:80", "api.example.com"};

static const TzBrokered secrets[] = {
	{"STRIPE_KEY", "stripe.key", {VALUE, sizeof(VALUE) - 1}, hosts, 5, NULL, NULL},
	{"X_KEY", "x key", {VALUE "-x", sizeof(VALUE) + 1}, hosts, 5, "X-Api-Key", NULL},
	{"BASIC", "basic", {VALUE "-b", sizeof(VALUE) + 1}, hosts, 5, NULL, "user"},
	{"NOWHERE", "nowhere", {VALUE, sizeof(VALUE) - 1}, NULL, 0, NULL, NULL},
	{"BROKEN", "broken", {"line\nbreak", 10}, hosts, 5, NULL, NULL},
	{"HOSTILE", "hostile", {VALUE, sizeof(VALUE) - 1}, hosts, 5, "Host", NULL},
	{"PLAIN", "plain", {VALUE, sizeof(VALUE) - 1}, bare, 2, NULL, NULL},
	{"EMPTY", "empty", {"", 0}, hosts, 5, NULL, NULL},
};
#define NSECRETS ((int) (sizeof(secrets) / sizeof(secrets[0])))

static TzHttpRequest req;
static TzErr err;

static void
begin(const char *url)
{
	tz_http_request_free(&req);
	tz_http_request_init(&req, 4096);
	tz_buf_append_cstr(&req.url, url);
	req.method = "GET";
	tz_err_clear(&err);
}

static void
set(const char *name, const char *value)
{
	assert_int_equal(tz_http_request_header(&req, name, value, false, NULL), TZ_OK);
}

static TzStatus
apply(bool http)
{
	return tz_broker_apply(secrets, NSECRETS, TZ_BROKER_ALL, http, &req, &err);
}

static const char *
get(const char *name)
{
	const char *found = NULL;
	int n = 0;

	for (int i = 0; i < req.nheaders; i++)
		if (strcasecmp(req.headers[i].name, name) == 0)
		{
			found = req.headers[i].value;
			n++;
		}
	assert_true(n <= 1);
	return found;
}

/* Nothing of any value, in any header. */
static void
assert_clean(void)
{
	for (int i = 0; i < req.nheaders; i++)
	{
		assert_null(strstr(req.headers[i].value, "canary"));
		assert_false(req.headers[i].secret);
	}
	assert_null(strstr(err.message, "canary"));
	assert_null(strstr(err.hint, "canary"));
}

static void
refused(const char *url, const char *name, const char *value, const char *like)
{
	begin(url);
	set(name, value);
	assert_int_equal(apply(false), TZ_REFUSED);
	assert_int_equal(err.status, TZ_REFUSED);
	if (strstr(err.message, like) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.message, like);
	assert_clean();
}

static void
test_forms(void **state)
{
	TzBuf b;

	(void) state;
	begin("https://api.example.com/v1?q=1");
	set("Authorization", "Bearer tzsecret_STRIPE_KEY");
	set("Accept", "text/plain");
	assert_int_equal(apply(false), TZ_OK);
	assert_string_equal(get("authorization"), "Bearer " VALUE);
	assert_string_equal(get("accept"), "text/plain");
	assert_true(req.headers[1].secret);
	assert_true(req.pin.set && req.pin.tls);
	assert_int_equal(req.pin.port, 443);
	assert_string_equal(req.pin.host, "api.example.com");
	assert_int_equal(req.nmasks, 1);

	/* the header that the secret names, whatever the placeholder stood in, and nothing around it */
	begin("https://api.example.com");
	set("X-Other", "exfiltrate=tzsecret_X_KEY; more");
	set("Cookie", "tzsecret_X_KEY");
	assert_int_equal(apply(false), TZ_OK);
	assert_int_equal(req.nheaders, 1);
	assert_string_equal(get("x-api-key"), VALUE "-x");

	tz_buf_init(&b, 1000);
	tz_base64_append(&b, "me:tzsecret_BASIC", 17);
	begin("https://api.example.com");
	tz_buf_reset(&req.body);
	{
		char value[100];

		snprintf(value, sizeof(value), "bAsic  %s ", b.data);
		set("AUTHORIZATION", value);
	}
	assert_int_equal(apply(false), TZ_OK);
	tz_buf_reset(&b);
	tz_buf_append_cstr(&b, "Basic ");
	tz_base64_append(&b, "user:" VALUE "-b", strlen("user:" VALUE "-b"));
	assert_string_equal(get("authorization"), b.data);
	assert_int_equal(req.nmasks, 2);
	tz_buf_free(&b);

	/* two secrets, each in its own header */
	begin("https://api.example.com");
	set("A", "tzsecret_X_KEY");
	set("B", "tzsecret_STRIPE_KEY");
	assert_int_equal(apply(false), TZ_OK);
	assert_int_equal(req.nheaders, 2);
	assert_string_equal(get("authorization"), "Bearer " VALUE);
	assert_string_equal(get("x-api-key"), VALUE "-x");
}

static void
test_untouched(void **state)
{
	(void) state;
	begin("http://user@@@nonsense");
	set("Authorization", "Bearer something");
	set("X", "tzsecret_ tzsecret_lower TZSECRET_STRIPE_KEY tzsecret");
	assert_int_equal(apply(false), TZ_OK);
	assert_int_equal(req.nheaders, 2);
	assert_false(req.pin.set);
	assert_clean();
	/* what cannot be decoded goes out as it is */
	begin("https://evil.example");
	set("Authorization", "Basic !!!!");
	assert_int_equal(apply(false), TZ_OK);
	begin("https://evil.example");
	set("X", "Basic bWU6dHpzZWNyZXRfQkFTSUM=");
	assert_int_equal(apply(false), TZ_OK);
	assert_string_equal(get("x"), "Basic bWU6dHpzZWNyZXRfQkFTSUM=");
	/* a program in the body may name placeholders when an adapter sends it */
	begin("https://api.example.com/tzsecret_A");
	tz_buf_append_cstr(&req.body, "{\"env\":{\"A\":\"tzsecret_A\"}}");
	set("Authorization", "Bearer tzsecret_STRIPE_KEY");
	assert_int_equal(tz_broker_apply(secrets, NSECRETS, TZ_BROKER_HEADERS, false, &req, &err), TZ_OK);
	assert_string_equal(get("authorization"), "Bearer " VALUE);
	assert_string_equal(req.body.data, "{\"env\":{\"A\":\"tzsecret_A\"}}");
}

static void
test_hosts(void **state)
{
	static const char *const good[] = {
		"https://api.example.com",
		"https://API.EXAMPLE.com/",
		"https://api.example.com./",
		"HTTPS://api.example.com:443/",
		"https://api.example.com?x=@evil",
		"https://api.example.com#@evil.example",
		"https://api.example.com/@evil.com",
		"https://a.wild.example/",
		"https://a.b.wild.example/",
		"https://odd.example:8443/x",
		"https://[::1]:9000/",
		"https://10.1.2.3/",
		"https://api.example.com:0443/@:",
	};
	static const char *const bad[] = {
		"https://evil.example/",
		"https://api.example.com.evil.example/",
		"https://evil.example/api.example.com",
		"https://evil.example?api.example.com",
		"https://evil.example#api.example.com",
		"https://xapi.example.com/",
		"https://api-example.com/",
		"https://example.com/",
		"https://wild.example/",
		"https://.wild.example/",
		"https://xwild.example/",
		"https://a..wild.example/",
		"https://*.wild.example/",
		"https://api.example.com:8443/",
		"https://api.example.com:80/",
		"https://odd.example/",
		"https://odd.example:443/",
		"https://api.example.com@evil.example/",
		"https://evil.example@api.example.com/",
		"https://api.example.com:pw@evil.example/",
		"https://evil.example\\@api.example.com/",
		"https://api.example.com\\@evil.example/",
		"https://api.example.com\\.evil.example/",
		"https://api.example.com%2eevil.example/",
		"https://api%2eexample.com/",
		"https://api.example.com%00.evil.example/",
		"https://api.example.com:/",
		"https://api.example.com:443:443/",
		"https://api.example.com:+443/",
		"https://api.example.com: 443/",
		"https://api.example.com:65979/",
		"https://api.example.com..",
		"https:///api.example.com/",
		"https:/api.example.com/",
		"https:api.example.com/",
		"https//api.example.com/",
		"//api.example.com/",
		"api.example.com/",
		"ftp://api.example.com/",
		"httpss://api.example.com/",
		" https://api.example.com/",
		"https://api.example.com /",
		"https://api.example.com\t.evil.example/",
		"https://api.ex\xc3\xa4mple.com/",
		"https://\xef\xbd\x81pi.example.com/",
		"https://api.example\xe3\x80\x82"
		"com/",
		"https://[::1]/",
		"https://[::2]:9000/",
		"https://[::1%25eth0]:9000/",
		"https://[::1]evil.example:9000/",
		"https://[v1.x]:9000/",
		"https://0:0:0:0:0:0:0:1:9000/",
		"https://10.1.2.03/",
		"https://0xa.1.2.3/",
		"https://167838211/",
		"https://10.1.515/",
		"https://10.1.2.3.evil.example/",
		"",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		begin(good[i]);
		set("Authorization", "Bearer tzsecret_STRIPE_KEY");
		if (apply(false) != TZ_OK)
			fail_msg("%s: %s", good[i], err.message);
		assert_string_equal(get("authorization"), "Bearer " VALUE);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		begin(bad[i]);
		set("Authorization", "Bearer tzsecret_STRIPE_KEY");
		if (apply(true) == TZ_OK)
			fail_msg("%s was allowed", bad[i]);
		assert_int_equal(err.status, TZ_REFUSED);
		assert_clean();
		assert_string_equal(get("authorization"), "Bearer tzsecret_STRIPE_KEY");
	}
	refused("https://evil.example/", "A", "tzsecret_STRIPE_KEY",
	        "secret \"stripe.key\" must not be sent to \"evil.example\"");
	refused("https://api.example.com:8443/", "A", "tzsecret_STRIPE_KEY", "port 8443");
	refused("https://api.example.com/", "A", "tzsecret_NOWHERE", "\"nowhere\"");
}

static void
test_plain_http(void **state)
{
	(void) state;
	refused("http://api.example.com/", "A", "tzsecret_STRIPE_KEY", "over plain http");
	refused("HTTP://api.example.com:443/", "A", "tzsecret_STRIPE_KEY", "over plain http");
	begin("http://api.example.com/");
	set("A", "tzsecret_PLAIN");
	assert_int_equal(apply(true), TZ_OK);
	assert_false(req.pin.tls);
	assert_int_equal(req.pin.port, 80);
	begin("http://plain.example/");
	set("A", "tzsecret_PLAIN");
	assert_int_equal(apply(true), TZ_OK);
	/* a name without a port is 443 with TLS and 80 without, never across */
	begin("http://api.example.com:443/");
	set("A", "tzsecret_PLAIN");
	assert_int_equal(apply(true), TZ_REFUSED);
	begin("https://api.example.com:80/");
	set("A", "tzsecret_PLAIN");
	assert_int_equal(apply(true), TZ_REFUSED);
}

static void
test_elsewhere(void **state)
{
	static const char *const urls[] = {"https://api.example.com/tzsecret_STRIPE_KEY",
	                                   "https://api.example.com/?k=tzsecret_STRIPE_KEY",
	                                   "https://api.example.com/?k=%74zsecret%5fSTRIPE_KEY",
	                                   "https://api.example.com/#tzsecret_UNKNOWN"};

	(void) state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
	{
		begin(urls[i]);
		assert_int_equal(apply(false), TZ_REFUSED);
		assert_non_null(strstr(err.message, "URL"));
	}
	begin("https://api.example.com/");
	tz_buf_append_cstr(&req.body, "key=tzsecret_STRIPE_KEY");
	set("Authorization", "Bearer tzsecret_STRIPE_KEY");
	assert_int_equal(apply(false), TZ_REFUSED);
	assert_non_null(strstr(err.message, "body"));
	assert_clean();
	begin("https://api.example.com/");
	set("tzsecret_STRIPE_KEY", "x");
	assert_int_equal(apply(false), TZ_REFUSED);
	assert_non_null(strstr(err.message, "name of a header"));
	refused("https://api.example.com/", "A", "tzsecret_UNKNOWN", "\"UNKNOWN\" is brokered");
	refused("https://api.example.com/", "A", "tzsecret_STRIPE_KEY2", "\"STRIPE_KEY2\" is brokered");
	refused("https://api.example.com/", "A", "tzsecret_STRIPE", "\"STRIPE\" is brokered");
	refused("https://api.example.com/", "A", "tzsecret_STRIPE_KEY tzsecret_X_KEY", "one header names two");
}

static void
test_headers_beside(void **state)
{
	static const char *const framing[] = {
		"Host", "Content-Length", "transfer-encoding", "Connection",          "Upgrade", "Expect",
		"TE",   "Trailer",        "Keep-Alive",        "Proxy-Authorization", "proxy-x", "HTTP2-Settings"};

	(void) state;
	for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++)
	{
		begin("https://api.example.com/");
		set("A", "tzsecret_STRIPE_KEY");
		set(framing[i], "evil.example");
		assert_int_equal(apply(false), TZ_REFUSED);
		assert_clean();
	}
	/* a second one of the same name */
	begin("https://api.example.com/");
	set("A", "tzsecret_X_KEY");
	set("x-API-key", "mine");
	assert_int_equal(apply(false), TZ_REFUSED);
	assert_clean();
	/* two values for one header */
	begin("https://api.example.com/");
	set("A", "tzsecret_STRIPE_KEY");
	set("B", "tzsecret_BASIC");
	assert_int_equal(apply(false), TZ_REFUSED);
	assert_clean();
	/* one of two may not go there: then neither goes */
	begin("https://api.example.com/");
	set("A", "tzsecret_X_KEY");
	set("B", "tzsecret_NOWHERE");
	assert_int_equal(apply(false), TZ_REFUSED);
	assert_clean();
}

static void
test_unfit(void **state)
{
	static const char *const names[] = {"tzsecret_BROKEN", "tzsecret_HOSTILE", "tzsecret_EMPTY"};

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		begin("https://api.example.com/");
		set("A", names[i]);
		assert_int_equal(apply(false), TZ_BAD_INPUT);
		assert_null(strstr(err.message, "break"));
		assert_true(err.message[0] != '\0');
	}
}

static void
test_url(void **state)
{
	TzUrl url;

	(void) state;
	assert_int_equal(tz_url_split(tz_slice_cstr("hTTp://A.b:8080/p?q#f"), &url, &err), TZ_OK);
	assert_false(url.tls);
	assert_int_equal(url.port, 8080);
	assert_string_equal(url.host, "a.b");
	assert_int_equal(url.rest, 15);
	assert_int_equal(url.fragment, 19);
	assert_int_equal(tz_url_split(tz_slice_cstr("https://[2001:DB8::1]"), &url, &err), TZ_OK);
	assert_string_equal(url.host, "2001:db8::1");
	assert_int_equal(url.port, 443);
	assert_int_equal(url.rest, url.fragment);
	assert_int_equal(tz_url_split(tz_slice_cstr("https://."), &url, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_url_split(tz_slice_cstr("https://"), &url, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_url_split(tz_slice_cstr("https://["), &url, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_url_split(tz_slice_cstr("https://[]"), &url, &err), TZ_BAD_INPUT);
	{
		char text[400];
		size_t n = (size_t) snprintf(text, sizeof(text), "https://");

		memset(text + n, 'a', 254);
		text[n + 254] = '\0';
		assert_int_equal(tz_url_split(tz_slice_cstr(text), &url, &err), TZ_BAD_INPUT);
		text[n + 253] = '\0';
		assert_int_equal(tz_url_split(tz_slice_cstr(text), &url, &err), TZ_OK);
		assert_int_equal(strlen(url.host), 253);
	}
}

static int
teardown(void **state)
{
	(void) state;
	tz_http_request_free(&req);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),     cmocka_unit_test(test_untouched),
		cmocka_unit_test(test_hosts),     cmocka_unit_test(test_plain_http),
		cmocka_unit_test(test_elsewhere), cmocka_unit_test(test_headers_beside),
		cmocka_unit_test(test_unfit),     cmocka_unit_test(test_url),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
