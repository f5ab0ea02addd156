/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  Frames between the parent and the init of a box.
 *
 * Pure: bytes in, values out, no I/O and no allocation. Linked into the
 * server's library and into the static init, hence no lib/ and no libc beyond
 * string.h. Each decoder refuses what is too short, too long or out of range,
 * because each side treats the other as hostile.
 *
 *-------------------------------------------------------------------------
 */
#include "sandbox/wire.h"

#include <string.h>

void
tz_wire_header(unsigned char out[TZ_WIRE_HEADER], TzWireType type, uint32_t id, size_t len)
{
	TzWireWriter w;

	tz_wire_writer(&w, out, TZ_WIRE_HEADER);
	tz_wire_put_u32(&w, (uint32_t) len);
	tz_wire_put_u16(&w, (uint32_t) type); /* flags = 0 in the high byte */
	tz_wire_put_u16(&w, 0);
	tz_wire_put_u32(&w, id);
}

static bool
wire_type_ok(uint32_t type, bool from_init)
{
	if (type >= TZ_WIRE_CONN_DATA && type <= TZ_WIRE_CONN_RESET)
		return true;
	if (from_init)
		return type >= TZ_WIRE_READY && type <= TZ_WIRE_CONN_OPEN;
	return type >= TZ_WIRE_CONFIG && type <= TZ_WIRE_LIMIT;
}

bool
tz_wire_parse(const unsigned char *packet, size_t len, bool from_init, TzWireFrame *out)
{
	TzWireReader r;
	uint32_t plen, type;

	memset(out, 0, sizeof(*out));
	if (len < TZ_WIRE_HEADER || len > TZ_WIRE_FRAME_MAX)
		return false;
	tz_wire_reader(&r, packet, TZ_WIRE_HEADER);
	plen = tz_wire_get_u32(&r);
	type = tz_wire_get_u16(&r);
	if (plen != len - TZ_WIRE_HEADER || type > 255 || tz_wire_get_u16(&r) != 0)
		return false;
	if (!wire_type_ok(type, from_init))
		return false;
	out->type = (TzWireType) type;
	out->id = tz_wire_get_u32(&r);
	out->data = packet + TZ_WIRE_HEADER;
	out->len = plen;
	return true;
}

void
tz_wire_reader(TzWireReader *r, const unsigned char *data, size_t len)
{
	r->data = data;
	r->len = len;
	r->pos = 0;
	r->ok = true;
}

/* n bytes, little-endian. */
static uint64_t
wire_get(TzWireReader *r, size_t n)
{
	uint64_t v = 0;

	if (!r->ok || r->len - r->pos < n)
	{
		r->ok = false;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t) r->data[r->pos + i] << (8 * i);
	r->pos += n;
	return v;
}

uint32_t
tz_wire_get_u16(TzWireReader *r)
{
	return (uint32_t) wire_get(r, 2);
}

uint32_t
tz_wire_get_u32(TzWireReader *r)
{
	return (uint32_t) wire_get(r, 4);
}

uint64_t
tz_wire_get_u64(TzWireReader *r)
{
	return wire_get(r, 8);
}

static const char *
wire_get_text(TzWireReader *r, size_t n, size_t max, size_t *len)
{
	const char *s;

	*len = 0;
	if (!r->ok || n > max || r->len - r->pos < n || (n > 0 && memchr(r->data + r->pos, 0, n) != NULL))
	{
		r->ok = false;
		return NULL;
	}
	s = (const char *) r->data + r->pos;
	r->pos += n;
	*len = n;
	return s;
}

const char *
tz_wire_get_str(TzWireReader *r, size_t max, size_t *len)
{
	uint32_t n = tz_wire_get_u32(r);

	return wire_get_text(r, n, max, len);
}

const char *
tz_wire_get_rest(TzWireReader *r, size_t max, size_t *len)
{
	size_t n = r->len - r->pos;

	if (n == 0)
		r->ok = false;
	return wire_get_text(r, n, max, len);
}

bool
tz_wire_end(const TzWireReader *r)
{
	return r->ok && r->pos == r->len;
}

void
tz_wire_writer(TzWireWriter *w, void *data, size_t cap)
{
	w->data = data;
	w->cap = cap;
	w->len = 0;
	w->ok = true;
}

static void
wire_put(TzWireWriter *w, uint64_t v, size_t n)
{
	if (!w->ok || w->cap - w->len < n)
	{
		w->ok = false;
		return;
	}
	for (size_t i = 0; i < n; i++)
		w->data[w->len++] = (unsigned char) (v >> (8 * i));
}

void
tz_wire_put_u16(TzWireWriter *w, uint32_t v)
{
	wire_put(w, v, 2);
}

void
tz_wire_put_u32(TzWireWriter *w, uint32_t v)
{
	wire_put(w, v, 4);
}

void
tz_wire_put_u64(TzWireWriter *w, uint64_t v)
{
	wire_put(w, v, 8);
}

void
tz_wire_put_bytes(TzWireWriter *w, const void *s, size_t len)
{
	if (!w->ok || w->cap - w->len < len)
	{
		w->ok = false;
		return;
	}
	if (len > 0)
		memcpy(w->data + w->len, s, len);
	w->len += len;
}

void
tz_wire_put_str(TzWireWriter *w, const char *s, size_t len)
{
	if (len > UINT32_MAX)
	{
		w->ok = false;
		return;
	}
	tz_wire_put_u32(w, (uint32_t) len);
	tz_wire_put_bytes(w, s, len);
}

size_t
tz_wire_put_config(unsigned char *out, size_t cap, const TzWireConfig *in)
{
	TzWireWriter w;

	tz_wire_writer(&w, out, cap);
	tz_wire_put_u64(&w, in->memory_bytes);
	tz_wire_put_u64(&w, in->file_bytes);
	tz_wire_put_u32(&w, in->processes);
	tz_wire_put_u32(&w, in->open_files);
	tz_wire_put_u32(&w, in->cpu_seconds);
	tz_wire_put_u32(&w, in->network);
	return w.ok ? w.len : 0;
}

bool
tz_wire_get_config(const TzWireFrame *f, TzWireConfig *out)
{
	TzWireReader r;

	tz_wire_reader(&r, f->data, f->len);
	out->memory_bytes = tz_wire_get_u64(&r);
	out->file_bytes = tz_wire_get_u64(&r);
	out->processes = tz_wire_get_u32(&r);
	out->open_files = tz_wire_get_u32(&r);
	out->cpu_seconds = tz_wire_get_u32(&r);
	out->network = tz_wire_get_u32(&r);
	return tz_wire_end(&r) && out->memory_bytes > 0 && out->processes > 0 && out->open_files > 0 &&
	       out->network <= 1;
}

size_t
tz_wire_put_exec(unsigned char *out, size_t cap, const TzWireExec *in)
{
	TzWireWriter w;

	tz_wire_writer(&w, out, cap);
	tz_wire_put_u32(&w, in->timeout_ms);
	tz_wire_put_u64(&w, in->max_output);
	tz_wire_put_u32(&w, in->spec_len);
	tz_wire_put_u32(&w, in->code_len);
	tz_wire_put_u32(&w, in->stdin_len);
	return w.ok ? w.len : 0;
}

bool
tz_wire_get_exec(const TzWireFrame *f, TzWireExec *out)
{
	TzWireReader r;

	tz_wire_reader(&r, f->data, f->len);
	out->timeout_ms = tz_wire_get_u32(&r);
	out->max_output = tz_wire_get_u64(&r);
	out->spec_len = tz_wire_get_u32(&r);
	out->code_len = tz_wire_get_u32(&r);
	out->stdin_len = tz_wire_get_u32(&r);
	return tz_wire_end(&r) && out->timeout_ms > 0 && out->timeout_ms <= INT32_MAX && out->spec_len > 0 &&
	       out->spec_len <= TZ_WIRE_SPEC_MAX && out->code_len <= TZ_WIRE_CODE_MAX &&
	       out->stdin_len <= TZ_WIRE_STDIN_MAX;
}

size_t
tz_wire_put_exit(unsigned char *out, size_t cap, const TzWireExit *in)
{
	TzWireWriter w;

	tz_wire_writer(&w, out, cap);
	tz_wire_put_u32(&w, in->code);
	tz_wire_put_u32(&w, in->reason);
	tz_wire_put_u64(&w, in->cpu_us);
	tz_wire_put_u64(&w, in->peak_rss_kb);
	tz_wire_put_u64(&w, in->wall_us);
	return w.ok ? w.len : 0;
}

bool
tz_wire_get_exit(const TzWireFrame *f, TzWireExit *out)
{
	TzWireReader r;

	tz_wire_reader(&r, f->data, f->len);
	out->code = tz_wire_get_u32(&r);
	out->reason = tz_wire_get_u32(&r);
	out->cpu_us = tz_wire_get_u64(&r);
	out->peak_rss_kb = tz_wire_get_u64(&r);
	out->wall_us = tz_wire_get_u64(&r);
	return tz_wire_end(&r) && out->code <= 255 && out->reason <= TZ_WIRE_TOO_MANY &&
	       out->cpu_us <= INT64_MAX && out->peak_rss_kb <= INT64_MAX && out->wall_us <= INT64_MAX;
}

size_t
tz_wire_put_metrics(unsigned char *out, size_t cap, const TzWireMetrics *in)
{
	TzWireWriter w;

	tz_wire_writer(&w, out, cap);
	tz_wire_put_u64(&w, in->memory_kb);
	tz_wire_put_u64(&w, in->disk_kb);
	tz_wire_put_u64(&w, in->cpu_us);
	tz_wire_put_u32(&w, in->processes);
	return w.ok ? w.len : 0;
}

bool
tz_wire_get_metrics(const TzWireFrame *f, TzWireMetrics *out)
{
	TzWireReader r;

	tz_wire_reader(&r, f->data, f->len);
	out->memory_kb = tz_wire_get_u64(&r);
	out->disk_kb = tz_wire_get_u64(&r);
	out->cpu_us = tz_wire_get_u64(&r);
	out->processes = tz_wire_get_u32(&r);
	return tz_wire_end(&r) && out->memory_kb <= INT64_MAX && out->disk_kb <= INT64_MAX &&
	       out->cpu_us <= INT64_MAX;
}

/* Skips n strings of at most max bytes each; the reader ends behind them. */
static bool
wire_skip_strings(TzWireReader *r, uint32_t n, size_t max)
{
	size_t len;

	for (uint32_t i = 0; i < n && r->ok; i++)
		(void) tz_wire_get_str(r, max, &len);
	return r->ok;
}

bool
tz_wire_name_ok(const char *name, size_t len)
{
	if (len == 0 || len > 64 || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
	{
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
		      c == '-' || c == '_'))
			return false;
	}
	return true;
}

bool
tz_wire_get_spec(const unsigned char *data, size_t len, TzWireSpec *out)
{
	TzWireReader r;

	memset(out, 0, sizeof(*out));
	tz_wire_reader(&r, data, len);
	out->argc = tz_wire_get_u32(&r);
	if (!r.ok || out->argc == 0 || out->argc > TZ_WIRE_ARGS_MAX)
		return false;
	out->argv = r;
	if (!wire_skip_strings(&r, out->argc, TZ_WIRE_SPEC_MAX))
		return false;
	out->envc = tz_wire_get_u32(&r);
	if (!r.ok || out->envc > TZ_WIRE_ARGS_MAX)
		return false;
	out->env = r;
	if (!wire_skip_strings(&r, out->envc, TZ_WIRE_SPEC_MAX))
		return false;
	out->cwd = tz_wire_get_str(&r, TZ_WIRE_PATH_MAX - 1, &out->cwd_len);
	out->code_name = tz_wire_get_str(&r, 64, &out->code_name_len);
	return tz_wire_end(&r) &&
	       (out->code_name_len == 0 || tz_wire_name_ok(out->code_name, out->code_name_len));
}

void
tz_wire_put_entry(TzWireWriter *w, const TzWireEntry *in)
{
	tz_wire_put_u64(w, in->size);
	tz_wire_put_u64(w, (uint64_t) in->modified_ms);
	tz_wire_put_u16(w, in->is_dir ? 1 : 0);
	tz_wire_put_str(w, in->name, in->name_len);
}

bool
tz_wire_get_entry(TzWireReader *r, TzWireEntry *out)
{
	uint32_t flags;

	out->size = tz_wire_get_u64(r);
	out->modified_ms = (int64_t) tz_wire_get_u64(r);
	flags = tz_wire_get_u16(r);
	out->is_dir = flags == 1;
	out->name = tz_wire_get_str(r, 255, &out->name_len);
	if (flags > 1 || out->name_len == 0 || out->size > INT64_MAX)
		r->ok = false;
	return r->ok;
}

static bool
wire_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A host name, IPv4 literal, or IPv6 literal without its brackets. */
static bool
wire_host_ok(const char *host, size_t len)
{
	if (len == 0 || len > TZ_WIRE_HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		char c = host[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || wire_digit(c) || c == '.' || c == '-' ||
		      c == '_' || c == ':'))
			return false;
	}
	return true;
}

/* "host:port" of len bytes. */
static bool
wire_authority(const char *s, size_t len, char *host, int *port)
{
	size_t colon = len, from = 0, to;
	int p = 0;

	while (colon > 0 && s[colon - 1] != ':')
		colon--;
	if (colon < 2 || colon == len || len - colon > 5)
		return false;
	for (size_t i = colon; i < len; i++)
	{
		if (!wire_digit(s[i]))
			return false;
		p = p * 10 + (s[i] - '0');
	}
	to = colon - 1;
	if (s[0] == '[')
	{
		if (to < 3 || s[to - 1] != ']')
			return false;
		from = 1;
		to--;
	}
	else if (memchr(s, ':', to) != NULL)
		return false;
	if (p < 1 || p > 65535 || !wire_host_ok(s + from, to - from))
		return false;
	memcpy(host, s + from, to - from);
	host[to - from] = '\0';
	*port = p;
	return true;
}

int
tz_wire_connect_head(const char *data, size_t len, size_t max, char host[TZ_WIRE_HOST_MAX + 1], int *port,
                     int *status)
{
	size_t head = 0, line, end;

	*status = 400;
	host[0] = '\0';
	*port = 0;
	for (size_t i = 3; i < len && i < max; i++)
		if (data[i] == '\n' && data[i - 1] == '\r' && data[i - 2] == '\n' && data[i - 3] == '\r')
		{
			head = i + 1;
			break;
		}
	if (head == 0)
	{
		if (len < max)
			return 0;
		*status = 431;
		return -1;
	}
	for (line = 0; data[line] != '\r' && data[line] != '\n'; line++)
		if (data[line] == '\0')
			return -1;
	if (line < 8 || memcmp(data, "CONNECT ", 8) != 0)
	{
		/* Plain http would make us a reader of requests; only tunnels are carried. */
		*status = 405;
		return -1;
	}
	for (end = 8; end < line && data[end] != ' '; end++)
		;
	if (line - end != 9 || memcmp(data + end, " HTTP/1.", 8) != 0 || !wire_digit(data[end + 8]))
		return -1;
	if (!wire_authority(data + 8, end - 8, host, port))
	{
		host[0] = '\0';
		return -1;
	}
	return (int) head;
}
