/* wire.c: whatever the bytes, decoders stay inside them, and what they accept encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/wire.h"

static void
same(const TzWireFrame *f, const unsigned char *out, size_t len)
{
	if (len != f->len || memcmp(out, f->data, len) != 0)
		abort();
}

static void
payloads(const TzWireFrame *f)
{
	unsigned char out[128];
	TzWireConfig c;
	TzWireExec e;
	TzWireExit x;
	TzWireMetrics m;
	TzWireSpec s;
	TzWireReader r;
	TzWireEntry entry;
	size_t len;

	if (tz_wire_get_config(f, &c))
		same(f, out, tz_wire_put_config(out, sizeof(out), &c));
	if (tz_wire_get_exec(f, &e))
		same(f, out, tz_wire_put_exec(out, sizeof(out), &e));
	if (tz_wire_get_exit(f, &x))
		same(f, out, tz_wire_put_exit(out, sizeof(out), &x));
	if (tz_wire_get_metrics(f, &m))
		same(f, out, tz_wire_put_metrics(out, sizeof(out), &m));
	if (tz_wire_get_spec(f->data, f->len, &s))
		for (uint32_t i = 0; i < s.argc; i++)
			if (tz_wire_get_str(&s.argv, TZ_WIRE_SPEC_MAX, &len) == NULL || memchr(s.argv.data, 0, 0) != NULL)
				abort();
	tz_wire_reader(&r, f->data, f->len);
	while (r.pos < r.len && tz_wire_get_entry(&r, &entry))
		if (entry.name_len == 0 || entry.name_len > 255)
			abort();
	tz_wire_reader(&r, f->data, f->len);
	(void) tz_wire_get_u16(&r);
	(void) tz_wire_get_rest(&r, 200, &len);
}

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzWireFrame f;
	char host[TZ_WIRE_HOST_MAX + 1];
	int port, status, n;

	for (int way = 0; way < 2; way++)
		if (tz_wire_parse(data, size, way == 1, &f))
		{
			unsigned char head[TZ_WIRE_HEADER];

			tz_wire_header(head, f.type, f.id, f.len);
			if (memcmp(head, data, TZ_WIRE_HEADER) != 0)
				abort();
			payloads(&f);
		}
	n = tz_wire_connect_head((const char *) data, size, 8192, host, &port, &status);
	if (n > 0 && ((size_t) n > size || host[0] == '\0' || port < 1 || port > 65535))
		abort();
	if (n <= 0 && host[0] != '\0')
		abort();
	return 0;
}
