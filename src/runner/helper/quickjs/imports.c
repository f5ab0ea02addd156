/*-------------------------------------------------------------------------
 *
 * imports.c
 *	  What the engine's module imports: the bridge's calls, and of a system
 *	  nothing but a clock and random numbers.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "runner/helper/engine.h"
#include "runner/helper/quickjs/wasm_rt.h"

#define WASI_EBADF 8
#define WASI_EIO 29

/* --- the bridge's calls ------------------------------------------------------------ */

static uint32_t
throw_error(const char *message)
{
	uint32_t e = Z_qjsZ_qjs_new_error(&tz_js);
	uint32_t name = tz_js_copy_in("message", 7), text = tz_js_copy_in(message, (uint32_t) strlen(message));

	if (e != 0 && name != 0 && text != 0)
	{
		uint32_t v = Z_qjsZ_qjs_new_string(&tz_js, text, (uint32_t) strlen(message));

		if (v != 0)
		{
			(void) Z_qjsZ_qjs_set_prop_string(&tz_js, e, name, v);
			Z_qjsZ_qjs_free_value(&tz_js, v);
		}
	}
	Z_qjsZ_wasm_free(&tz_js, name);
	Z_qjsZ_wasm_free(&tz_js, text);
	return Z_qjsZ_qjs_throw(&tz_js, e) * 0;
}

typedef struct Text
{
	uint32_t addr; /* 0: none */
	uint32_t len;
	const char *data;
} Text;

/* Argument n of a host call as UTF-8; undefined is an empty text. */
static Text
argument(uint32_t n, uint32_t argc, uint32_t argv)
{
	Text t = {0, 0, ""};
	uint32_t v, lenp;

	if (n >= argc)
		return t;
	memcpy(&v, tz_js_at(argv, 4 * (uint64_t) argc) + 4 * n, 4);
	if (v == 0 || Z_qjsZ_qjs_is_undefined(&tz_js, v))
		return t;
	lenp = Z_qjsZ_wasm_malloc(&tz_js, 4);
	if (lenp == 0)
		return t;
	t.addr = Z_qjsZ_qjs_get_string_len(&tz_js, v, lenp);
	memcpy(&t.len, tz_js_at(lenp, 4), 4);
	Z_qjsZ_wasm_free(&tz_js, lenp);
	if (t.addr == 0)
		t.len = 0;
	else
		t.data = tz_js_at(t.addr, (uint64_t) t.len + 1);
	return t;
}

static void
argument_free(Text *t)
{
	if (t->addr != 0)
		Z_qjsZ_qjs_free_cstring(&tz_js, t->addr);
}

static bool
argument_bool(uint32_t n, uint32_t argc, uint32_t argv)
{
	uint32_t v;

	if (n >= argc)
		return false;
	memcpy(&v, tz_js_at(argv, 4 * (uint64_t) argc) + 4 * n, 4);
	return v != 0 && Z_qjsZ_qjs_get_bool(&tz_js, v) == 1;
}

static uint32_t
argument_number(uint32_t n, uint32_t argc, uint32_t argv)
{
	uint32_t v;
	double d;

	if (n >= argc)
		return 0;
	memcpy(&v, tz_js_at(argv, 4 * (uint64_t) argc) + 4 * n, 4);
	d = v == 0 ? 0 : Z_qjsZ_qjs_get_float64(&tz_js, v);
	return d >= 1 && d < 4294967296.0 ? (uint32_t) d : 0;
}

u32
Z_envZ_host_call(struct Z_env_instance_t *e, u32 name, u32 len, u32 this, u32 argc, u32 argv)
{
	const char *which = tz_js_at(name, len);
	const char *error = NULL;
	Text a, b;

	(void) e;
	(void) this;
	if (argc > 8)
		run_trap("a call of the bridge that it does not make");
	if (len == 3 && memcmp(which, "log", 3) == 0)
	{
		a = argument(0, argc, argv);
		error = a.addr == 0 ? "out of memory" : run_log(a.data, a.len);
		argument_free(&a);
	}
	else if (len == 4 && memcmp(which, "call", 4) == 0)
	{
		a = argument(1, argc, argv);
		b = argument(2, argc, argv);
		error = a.addr == 0 || b.addr == 0
		            ? "out of memory"
		            : run_call(argument_number(0, argc, argv), a.data, a.len, b.data, b.len);
		argument_free(&a);
		argument_free(&b);
	}
	else if (len == 4 && memcmp(which, "done", 4) == 0)
	{
		engine_headroom();
		a = argument(1, argc, argv);
		if (argument_bool(2, argc, argv) && tz_wasm_refused)
			run_out_of_memory();
		run_done(argument_bool(0, argc, argv), a.data, a.len);
	}
	else
		run_trap("a call of the bridge that it does not make");
	return error == NULL ? Z_qjsZ_qjs_get_undefined(&tz_js) : throw_error(error);
}

void
Z_envZ_host_promise_rejection(struct Z_env_instance_t *e, u32 promise, u32 reason, u32 handled)
{
	(void) e;
	(void) promise;
	(void) reason;
	(void) handled;
}

/* Nothing can be imported. */
u32
Z_envZ_host_module_load(struct Z_env_instance_t *e, u32 name, u32 lenp)
{
	(void) e;
	(void) name;
	(void) lenp;
	return 0;
}

u32
Z_envZ_host_module_normalize(struct Z_env_instance_t *e, u32 base, u32 name)
{
	(void) e;
	(void) base;
	(void) name;
	return 0;
}

/* UTC. */
u32
Z_envZ_host_get_timezone_offset(struct Z_env_instance_t *e, u32 low, u32 high)
{
	(void) e;
	(void) low;
	(void) high;
	return 0;
}

u32
Z_wasi_snapshot_preview1Z_clock_time_get(struct Z_wasi_snapshot_preview1_instance_t *w, u32 clock,
                                         u64 precision, u32 out)
{
	struct timespec ts;
	uint64_t ns;

	(void) w;
	(void) precision;
	if (clock_gettime(clock == 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC, &ts) != 0)
		return WASI_EIO;
	ns = (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
	memcpy(tz_js_at(out, 8), &ns, 8);
	return 0;
}

u32
Z_wasi_snapshot_preview1Z_random_get(struct Z_wasi_snapshot_preview1_instance_t *w, u32 out, u32 len)
{
	(void) w;
	return getrandom(tz_js_at(out, len), len, 0) == (ssize_t) len ? 0 : WASI_EIO;
}

u32
Z_wasi_snapshot_preview1Z_fd_write(struct Z_wasi_snapshot_preview1_instance_t *w, u32 fd, u32 iovs, u32 n,
                                   u32 out)
{
	(void) w;
	(void) fd;
	(void) iovs;
	(void) n;
	(void) out;
	return WASI_EBADF;
}

u32
Z_wasi_snapshot_preview1Z_fd_close(struct Z_wasi_snapshot_preview1_instance_t *w, u32 fd)
{
	(void) w;
	(void) fd;
	return WASI_EBADF;
}

u32
Z_wasi_snapshot_preview1Z_fd_seek(struct Z_wasi_snapshot_preview1_instance_t *w, u32 fd, u64 offset,
                                  u32 whence, u32 out)
{
	(void) w;
	(void) fd;
	(void) offset;
	(void) whence;
	(void) out;
	return WASI_EBADF;
}

u32
Z_wasi_snapshot_preview1Z_fd_fdstat_get(struct Z_wasi_snapshot_preview1_instance_t *w, u32 fd, u32 out)
{
	(void) w;
	(void) fd;
	(void) out;
	return WASI_EBADF;
}
