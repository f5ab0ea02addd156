/* wire.c: headers, payloads, specs, entries, the head of CONNECT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/wire.h"

static bool
parse(const void *bytes, size_t len, bool from_init, TzWireFrame *f)
{
	/* An exact copy, so that a read past the end is seen. */
	unsigned char *copy = malloc(len > 0 ? len : 1);
	bool ok;

	memcpy(copy, bytes, len);
	ok = tz_wire_parse(copy, len, from_init, f);
	free(copy);
	return ok;
}

static void
test_header(void **state)
{
	unsigned char p[TZ_WIRE_HEADER + 3];
	TzWireFrame f;

	(void) state;
	tz_wire_header(p, TZ_WIRE_STDOUT, 0x01020304, 3);
	memcpy(p + TZ_WIRE_HEADER, "abc", 3);
	assert_memory_equal(p, "\3\0\0\0\101\0\0\0\4\3\2\1", TZ_WIRE_HEADER);
	assert_true(tz_wire_parse(p, sizeof(p), true, &f));
	assert_int_equal(f.type, TZ_WIRE_STDOUT);
	assert_int_equal(f.id, 0x01020304);
	assert_int_equal(f.len, 3);
	assert_memory_equal(f.data, "abc", 3);
}

static void
test_header_refused(void **state)
{
	unsigned char p[TZ_WIRE_FRAME_MAX + 1];
	TzWireFrame f;

	(void) state;
	memset(p, 0, sizeof(p));
	assert_false(parse(p, 0, true, &f));
	assert_false(parse(p, 11, true, &f));
	/* length that is not the packet's */
	tz_wire_header(p, TZ_WIRE_STDOUT, 1, 5);
	assert_false(parse(p, TZ_WIRE_HEADER + 4, true, &f));
	assert_false(parse(p, TZ_WIRE_HEADER + 6, true, &f));
	tz_wire_header(p, TZ_WIRE_STDOUT, 1, 0xffffffff);
	assert_false(parse(p, TZ_WIRE_HEADER, true, &f));
	/* over the ceiling */
	tz_wire_header(p, TZ_WIRE_STDOUT, 1, sizeof(p) - TZ_WIRE_HEADER);
	assert_false(parse(p, sizeof(p), true, &f));
	/* flags and the reserved half */
	for (int at = 5; at < 8; at++)
	{
		tz_wire_header(p, TZ_WIRE_STDOUT, 1, 0);
		p[at] = 1;
		assert_false(parse(p, TZ_WIRE_HEADER, true, &f));
	}
	/* types: unknown, and of the other direction */
	for (int type = 0; type < 256; type++)
	{
		bool to = type >= TZ_WIRE_CONFIG && type <= TZ_WIRE_LIMIT;
		bool both = type >= TZ_WIRE_CONN_DATA && type <= TZ_WIRE_CONN_RESET;
		bool from = type >= TZ_WIRE_READY && type <= TZ_WIRE_CONN_OPEN;

		tz_wire_header(p, (TzWireType) type, 1, 0);
		assert_int_equal(parse(p, TZ_WIRE_HEADER, true, &f), from || both);
		assert_int_equal(parse(p, TZ_WIRE_HEADER, false, &f), to || both);
	}
}

static void
test_fixed_payloads(void **state)
{
	unsigned char out[128];
	TzWireConfig c = {1 << 20, 2, 3, 4, 5, 1}, c2;
	TzWireExec e = {1000, 1 << 20, 10, 20, 30}, e2;
	TzWireExit x = {137, TZ_WIRE_TIMED_OUT, 1, 2, 3}, x2;
	TzWireMetrics m = {1, 2, 3, 4}, m2;
	TzWireFrame f = {.data = out};

	(void) state;
	f.len = tz_wire_put_config(out, sizeof(out), &c);
	assert_true(tz_wire_get_config(&f, &c2));
	assert_int_equal(c2.memory_bytes, 1 << 20);
	assert_int_equal(c2.network, 1);
	f.len--;
	assert_false(tz_wire_get_config(&f, &c2));
	f.len += 2;
	assert_false(tz_wire_get_config(&f, &c2));
	assert_int_equal(tz_wire_put_config(out, 10, &c), 0);
	c.memory_bytes = 0;
	f.len = tz_wire_put_config(out, sizeof(out), &c);
	assert_false(tz_wire_get_config(&f, &c2));

	f.len = tz_wire_put_exec(out, sizeof(out), &e);
	assert_true(tz_wire_get_exec(&f, &e2));
	assert_int_equal(e2.max_output, 1 << 20);
	assert_int_equal(e2.stdin_len, 30);
	e.spec_len = TZ_WIRE_SPEC_MAX + 1;
	f.len = tz_wire_put_exec(out, sizeof(out), &e);
	assert_false(tz_wire_get_exec(&f, &e2));
	e.spec_len = 1;
	e.timeout_ms = 0;
	f.len = tz_wire_put_exec(out, sizeof(out), &e);
	assert_false(tz_wire_get_exec(&f, &e2));

	f.len = tz_wire_put_exit(out, sizeof(out), &x);
	assert_true(tz_wire_get_exit(&f, &x2));
	assert_int_equal(x2.code, 137);
	x.code = 256;
	f.len = tz_wire_put_exit(out, sizeof(out), &x);
	assert_false(tz_wire_get_exit(&f, &x2));
	x.code = 0;
	x.cpu_us = UINT64_MAX;
	f.len = tz_wire_put_exit(out, sizeof(out), &x);
	assert_false(tz_wire_get_exit(&f, &x2));

	f.len = tz_wire_put_metrics(out, sizeof(out), &m);
	assert_true(tz_wire_get_metrics(&f, &m2));
	assert_int_equal(m2.processes, 4);
}

static size_t
spec(unsigned char *out, size_t cap, int argc, const char *arg, size_t arg_len, const char *name)
{
	TzWireWriter w;

	tz_wire_writer(&w, out, cap);
	tz_wire_put_u32(&w, (uint32_t) argc);
	for (int i = 0; i < argc; i++)
		tz_wire_put_str(&w, arg, arg_len);
	tz_wire_put_u32(&w, 1);
	tz_wire_put_str(&w, "A=b", 3);
	tz_wire_put_str(&w, "", 0);
	tz_wire_put_str(&w, name, strlen(name));
	return w.ok ? w.len : 0;
}

static void
test_spec(void **state)
{
	static unsigned char out[65536];
	TzWireSpec s;
	size_t len = spec(out, sizeof(out), 2, "echo", 4, "main.py");

	(void) state;
	assert_true(tz_wire_get_spec(out, len, &s));
	assert_int_equal(s.argc, 2);
	assert_int_equal(s.envc, 1);
	assert_memory_equal(s.code_name, "main.py", 7);
	for (size_t cut = 0; cut < len; cut++)
		assert_false(tz_wire_get_spec(out, cut, &s));
	out[len] = 0;
	assert_false(tz_wire_get_spec(out, len + 1, &s));
	/* none, too many, a NUL inside */
	assert_false(tz_wire_get_spec(out, spec(out, sizeof(out), 0, "", 0, ""), &s));
	assert_false(tz_wire_get_spec(out, spec(out, sizeof(out), TZ_WIRE_ARGS_MAX + 1, "", 0, ""), &s));
	assert_true(tz_wire_get_spec(out, spec(out, sizeof(out), TZ_WIRE_ARGS_MAX, "", 0, ""), &s));
	assert_false(tz_wire_get_spec(out, spec(out, sizeof(out), 1, "a\0b", 3, ""), &s));
	/* names of program text */
	assert_false(tz_wire_get_spec(out, spec(out, sizeof(out), 1, "a", 1, "../x"), &s));
	assert_false(tz_wire_get_spec(out, spec(out, sizeof(out), 1, "a", 1, ".."), &s));
	assert_false(tz_wire_get_spec(out, spec(out, sizeof(out), 1, "a", 1, "a/b"), &s));
	assert_false(tz_wire_get_spec(out, spec(out, sizeof(out), 1, "a", 1, "-c"), &s));
}

static void
test_entry(void **state)
{
	unsigned char out[512];
	char name[300];
	TzWireEntry e = {.size = 7, .modified_ms = -5, .is_dir = true, .name = "x", .name_len = 1}, e2;
	TzWireWriter w;
	TzWireReader r;

	(void) state;
	tz_wire_writer(&w, out, sizeof(out));
	tz_wire_put_entry(&w, &e);
	tz_wire_reader(&r, out, w.len);
	assert_true(tz_wire_get_entry(&r, &e2));
	assert_true(tz_wire_end(&r));
	assert_int_equal(e2.modified_ms, -5);
	assert_true(e2.is_dir);
	out[16] = 2; /* flags */
	tz_wire_reader(&r, out, w.len);
	assert_false(tz_wire_get_entry(&r, &e2));
	memset(name, 'a', sizeof(name));
	e.name = name;
	e.name_len = 256;
	tz_wire_writer(&w, out, sizeof(out));
	tz_wire_put_entry(&w, &e);
	tz_wire_reader(&r, out, w.len);
	assert_false(tz_wire_get_entry(&r, &e2));
}

static int
head(const char *text, char *host, int *port, int *status)
{
	size_t len = strlen(text);
	char *copy = malloc(len);
	int n;

	memcpy(copy, text, len);
	n = tz_wire_connect_head(copy, len, 8192, host, port, status);
	free(copy);
	return n;
}

static void
test_connect_head(void **state)
{
	char host[TZ_WIRE_HOST_MAX + 1], big[9000];
	int port, status;
	static const char *const bad[] = {
		"CONNECT example.com HTTP/1.1\r\n\r\n",
		"CONNECT example.com:0 HTTP/1.1\r\n\r\n",
		"CONNECT example.com:65536 HTTP/1.1\r\n\r\n",
		"CONNECT example.com:123456 HTTP/1.1\r\n\r\n",
		"CONNECT :443 HTTP/1.1\r\n\r\n",
		"CONNECT a:b:443 HTTP/1.1\r\n\r\n",
		"CONNECT [::1:443 HTTP/1.1\r\n\r\n",
		"CONNECT []:443 HTTP/1.1\r\n\r\n",
		"CONNECT exa mple.com:443 HTTP/1.1\r\n\r\n",
		"CONNECT exa\"mple.com:443 HTTP/1.1\r\n\r\n",
		"CONNECT example.com:443 HTTP/2.0\r\n\r\n",
		"CONNECT example.com:443 HTTP/1.1 x\r\n\r\n",
		"CONNECT example.com:443\r\n\r\n",
		"CONNECT  example.com:443 HTTP/1.1\r\n\r\n",
	};

	(void) state;
	assert_int_equal(head("CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\nmore", host, &port, &status),
	                 45);
	assert_string_equal(host, "example.com");
	assert_int_equal(port, 443);
	assert_true(head("CONNECT [2001:db8::1]:8443 HTTP/1.0\r\n\r\n", host, &port, &status) > 0);
	assert_string_equal(host, "2001:db8::1");
	assert_int_equal(port, 8443);
	/* not complete yet */
	assert_int_equal(head("", host, &port, &status), 0);
	assert_int_equal(head("CONNECT example.com:443 HTTP/1.1\r\n", host, &port, &status), 0);
	/* plain http */
	assert_int_equal(head("GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n", host, &port, &status), -1);
	assert_int_equal(status, 405);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		assert_int_equal(head(bad[i], host, &port, &status), -1);
		assert_int_equal(status, 400);
		assert_string_equal(host, "");
	}
	/* too long */
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(head(big, host, &port, &status), -1);
	assert_int_equal(status, 431);
	/* a name of 254 bytes */
	memcpy(big, "CONNECT ", 8);
	strcpy(big + 8 + 254, ":443 HTTP/1.1\r\n\r\n");
	assert_int_equal(head(big, host, &port, &status), -1);
	strcpy(big + 8 + 253, ":443 HTTP/1.1\r\n\r\n");
	assert_true(head(big, host, &port, &status) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),         cmocka_unit_test(test_header_refused),
		cmocka_unit_test(test_fixed_payloads), cmocka_unit_test(test_spec),
		cmocka_unit_test(test_entry),          cmocka_unit_test(test_connect_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
