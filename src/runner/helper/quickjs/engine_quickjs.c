/*-------------------------------------------------------------------------
 *
 * engine_quickjs.c
 *	  QuickJS-ng, compiled to WebAssembly and from there to C.
 *
 * A value is the address of a box in the module's memory, owned by whoever got
 * it. Every address that comes back from the engine is checked before it is
 * read: the engine may be spoilt by the code it runs.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "runner/helper/engine.h"
#include "runner/helper/quickjs/wasm_rt.h"

#define MAX_STACK (512 * 1024) /* of the module's 1 MiB */
#define HEADROOM_PAGES 16
#define PAGES_PER_MB 16
/* Code becomes the body of a function, on the same line: its line numbers are the author's. */
#define CODE_HEAD "(async function main() {"
#define CODE_TAIL "\n})"
#define CODE_NAME "agent.js"
#define WASI_EBADF 8
#define WASI_EIO 29

/* Instances of the two imported modules: nothing. */
struct Z_env_instance_t
{
	int unused;
};
struct Z_wasi_snapshot_preview1_instance_t
{
	int unused;
};

const char engine_name[] = "quickjs-ng";

static Z_qjs_instance_t js;
static struct Z_env_instance_t env;
static struct Z_wasi_snapshot_preview1_instance_t wasi;
static uint32_t fn_prepare, fn_start, fn_answer, fn_idle, undefined;
static bool stopped; /* once asked to stop it stops for good */
static bool running; /* foreign code has begun */
static uint32_t random_at; /* state of Math.random */
static char version[24];

/* --- memory of the module ---------------------------------------------------- */

static char *
at(uint32_t addr, uint64_t len)
{
	if (addr == 0 || addr + len > js.w2c_memory.size)
		run_trap("an address outside the engine's memory");
	return (char *) js.w2c_memory.data + addr;
}

static uint32_t
addr_of(const char *p)
{
	return (uint32_t) ((const uint8_t *) p - js.w2c_memory.data);
}

char *
engine_text(uint32_t len)
{
	uint32_t a = Z_qjsZ_wasm_malloc(&js, len + (uint32_t) sizeof(CODE_HEAD CODE_TAIL));
	char *p;

	if (a == 0)
		return NULL;
	p = at(a, (uint64_t) len + sizeof(CODE_HEAD CODE_TAIL));
	return p + sizeof(CODE_HEAD) - 1;
}

static void
text_free(char *p)
{
	Z_qjsZ_wasm_free(&js, addr_of(p) - (uint32_t) sizeof(CODE_HEAD) + 1);
}

static uint32_t
copy_in(const char *s, uint32_t len)
{
	uint32_t a = Z_qjsZ_wasm_malloc(&js, len + 1);

	if (a != 0)
	{
		char *p = at(a, (uint64_t) len + 1);

		memcpy(p, s, len);
		p[len] = '\0';
	}
	return a;
}

/* --- calls into the engine ---------------------------------------------------- */

static EngineStop
verdict(void)
{
	return stopped ? ENGINE_STOPPED : tz_wasm_refused ? ENGINE_OUT_OF_MEMORY : ENGINE_BROKEN;
}

/* Calls a function of the bridge. The arguments are taken. */
static EngineStop
call(uint32_t fn, uint32_t argc, const uint32_t *args)
{
	EngineStop st = ENGINE_GOES_ON;
	uint32_t argv = Z_qjsZ_wasm_malloc(&js, 4 * (argc + 1));
	uint32_t v;

	for (uint32_t i = 0; i < argc; i++)
		if (args[i] == 0)
			argv = 0;
	if (argv == 0)
		return verdict();
	memcpy(at(argv, 4 * argc), args, 4 * argc);
	v = Z_qjsZ_qjs_call(&js, fn, undefined, argc, argv);
	Z_qjsZ_wasm_free(&js, argv);
	for (uint32_t i = 0; i < argc; i++)
		Z_qjsZ_qjs_free_value(&js, args[i]);
	if (v == 0 || Z_qjsZ_qjs_is_exception(&js, v))
	{
		st = verdict();
		Z_qjsZ_qjs_free_value(&js, Z_qjsZ_qjs_get_exception(&js));
	}
	if (v != 0)
		Z_qjsZ_qjs_free_value(&js, v);
	return stopped ? ENGINE_STOPPED : st;
}

/* Runs what is queued; then the bridge looks whether anything can still come. */
static EngineStop
drain(void)
{
	while (Z_qjsZ_qjs_is_job_pending(&js))
	{
		if ((int32_t) Z_qjsZ_qjs_execute_pending_job(&js) < 0)
		{
			Z_qjsZ_qjs_free_value(&js, Z_qjsZ_qjs_get_exception(&js));
			if (stopped || tz_wasm_refused)
				return verdict();
		}
		if (stopped)
			return ENGINE_STOPPED;
	}
	return call(fn_idle, 0, NULL);
}

static uint32_t
number(double d)
{
	return Z_qjsZ_qjs_new_number(&js, d);
}

/* Takes the text. */
static uint32_t
string(char *p, uint32_t len)
{
	uint32_t v = Z_qjsZ_qjs_new_string(&js, addr_of(p), len);

	text_free(p);
	return v;
}

const char *
engine_version(void)
{
	return version;
}

static uint32_t
host_function(const char *name)
{
	uint32_t len = (uint32_t) strlen(name);
	uint32_t a = copy_in(name, len);
	uint32_t v = a == 0 ? 0 : Z_qjsZ_qjs_new_host_function(&js, a, len, 0);

	Z_qjsZ_wasm_free(&js, a);
	return v;
}

static uint32_t
member(uint32_t object, const char *name)
{
	uint32_t a = copy_in(name, (uint32_t) strlen(name));
	uint32_t v = a == 0 ? 0 : Z_qjsZ_qjs_get_prop_string(&js, object, a);

	Z_qjsZ_wasm_free(&js, a);
	return v;
}

static uint32_t
eval(const char *text, uint32_t len, const char *name)
{
	uint32_t code = copy_in(text, len), file = copy_in(name, (uint32_t) strlen(name));
	uint32_t v = code == 0 || file == 0 ? 0 : Z_qjsZ_qjs_eval(&js, code, len, file, 0);

	Z_qjsZ_wasm_free(&js, code);
	Z_qjsZ_wasm_free(&js, file);
	return v != 0 && Z_qjsZ_qjs_is_exception(&js, v) ? 0 : v;
}

static bool
realm(void)
{
	uint32_t make, argv, bridge, args[3];

	if (Z_qjsZ_qjs_init(&js) != 0)
		return false;
	Z_qjsZ_qjs_set_max_stack_size(&js, MAX_STACK);
	undefined = Z_qjsZ_qjs_get_undefined(&js);
	make = eval(bridge_text, bridge_text_len, "bridge.js");
	args[0] = host_function("log");
	args[1] = host_function("call");
	args[2] = host_function("done");
	argv = Z_qjsZ_wasm_malloc(&js, sizeof(args));
	if (make == 0 || argv == 0)
		return false;
	memcpy(at(argv, sizeof(args)), args, sizeof(args));
	bridge = Z_qjsZ_qjs_call(&js, make, undefined, 3, argv);
	Z_qjsZ_wasm_free(&js, argv);
	if (bridge == 0 || Z_qjsZ_qjs_is_exception(&js, bridge))
		return false;
	fn_prepare = member(bridge, "prepare");
	fn_start = member(bridge, "start");
	fn_answer = member(bridge, "answer");
	fn_idle = member(bridge, "idle");
	Z_qjsZ_qjs_set_interrupt_handler(&js, 1);
	return fn_prepare != 0 && fn_start != 0 && fn_answer != 0 && fn_idle != 0;
}

/* --- random numbers ------------------------------------------------------------- */

/* What Math.random does to its state (xorshift64*), and what it makes of it. */
static uint64_t
random_step(uint64_t x)
{
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return x;
}

static double
random_value(uint64_t state)
{
	uint64_t bits = (uint64_t) 0x3ff << 52 | (state * 0x2545F4914F6CDD1DULL) >> 12;
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d - 1.0;
}

static double
random_call(uint32_t fn)
{
	uint32_t v = Z_qjsZ_qjs_call(&js, fn, undefined, 0, 0);
	double d = v == 0 ? -1 : Z_qjsZ_qjs_get_float64(&js, v);

	Z_qjsZ_qjs_free_value(&js, v);
	return d;
}

/*
 * A realm made once and forked would give every run the same numbers. So the
 * place of the generator's state is looked for: the one word that a call changes
 * as the generator does, and that, when set, decides what comes next. 0: not
 * found; then nothing runs.
 */
static uint32_t
random_find(void)
{
	uint32_t fn = eval("Math.random", 11, "random"), found = 0, size = js.w2c_memory.size;
	const uint64_t known = 0x0123456789abcdefULL;
	uint8_t *before = malloc(size);
	double value;

	if (fn == 0 || before == NULL)
		return 0;
	(void) random_call(fn);
	memcpy(before, js.w2c_memory.data, size);
	value = random_call(fn);
	for (uint32_t i = 8; i + 8 <= size; i += 8)
	{
		uint64_t old, new;

		memcpy(&old, before + i, 8);
		memcpy(&new, js.w2c_memory.data + i, 8);
		if (old != new &&random_step(old) == new &&random_value(new) == value)
		{
			if (found != 0)
				return 0;
			found = i;
		}
	}
	free(before);
	if (found != 0)
	{
		memcpy(at(found, 8), &known, 8);
		if (random_call(fn) != random_value(random_step(known)))
			found = 0;
	}
	Z_qjsZ_qjs_free_value(&js, fn);
	return found;
}

/* --- start ------------------------------------------------------------------------ */

/* Nothing: all it is lies in the program. */
bool
engine_early(void)
{
	return true;
}

uint64_t
engine_beside(void)
{
	return 24 << 20;
}

const int engine_calls[] = {-1};
const int engine_ncalls = 0;
const int engine_missing[] = {-1};
const int engine_nmissing = 0;

int
engine_fd(void)
{
	return -1;
}

bool
engine_boot(void)
{
	uint32_t v;

	wasm_rt_init();
	Z_qjs_init_module();
	Z_qjs_instantiate(&js, &env, &wasi);
	Z_qjsZ__initialize(&js);
	v = Z_qjsZ_qjs_get_quickjs_version(&js);
	if (v != 0)
	{
		const char *s = at(v, 1);

		for (size_t i = 0; i < sizeof(version) - 1 && (uint64_t) v + i < js.w2c_memory.size && s[i] != '\0';
		     i++)
			version[i] = s[i];
	}
	if (!realm())
		return false;
	random_at = random_find();
	return random_at != 0;
}

bool
engine_realm(void)
{
	uint64_t seed = 0;

	while (seed == 0)
		if (getrandom(&seed, sizeof(seed), 0) != (ssize_t) sizeof(seed))
			return false;
	memcpy(at(random_at, 8), &seed, sizeof(seed));
	return true;
}

void
engine_memory(uint32_t mb)
{
	js.w2c_memory.max_pages = mb * PAGES_PER_MB;
	if (js.w2c_memory.max_pages < js.w2c_memory.pages)
		js.w2c_memory.max_pages = js.w2c_memory.pages;
}

void
engine_headroom(void)
{
	js.w2c_memory.max_pages += HEADROOM_PAGES;
}

bool
engine_memory_refused(void)
{
	return tz_wasm_refused;
}

uint32_t
engine_heap_kb(void)
{
	return js.w2c_memory.size / 1024;
}

EngineStop
engine_start(char *json, uint32_t json_len, char *code, uint32_t code_len)
{
	uint32_t args[2], name, compiled;
	EngineStop st;
	bool good;

	args[0] = string(json, json_len);
	st = call(fn_prepare, 1, args);
	if (st != ENGINE_GOES_ON)
		return st;
	running = true;
	code -= sizeof(CODE_HEAD) - 1;
	memcpy(code, CODE_HEAD, sizeof(CODE_HEAD) - 1);
	memcpy(code + sizeof(CODE_HEAD) - 1 + code_len, CODE_TAIL, sizeof(CODE_TAIL));
	name = copy_in(CODE_NAME, sizeof(CODE_NAME) - 1);
	if (name == 0)
		return verdict();
	compiled =
		Z_qjsZ_qjs_eval(&js, addr_of(code), code_len + (uint32_t) sizeof(CODE_HEAD CODE_TAIL) - 1, name, 0);
	Z_qjsZ_wasm_free(&js, addr_of(code));
	Z_qjsZ_wasm_free(&js, name);
	if (stopped || compiled == 0)
		return verdict();
	good = !Z_qjsZ_qjs_is_exception(&js, compiled);
	if (!good)
	{
		Z_qjsZ_qjs_free_value(&js, compiled);
		compiled = Z_qjsZ_qjs_get_exception(&js);
	}
	args[0] = good ? Z_qjsZ_qjs_get_true(&js) : Z_qjsZ_qjs_get_false(&js);
	args[1] = compiled;
	st = call(fn_start, 2, args);
	return st == ENGINE_GOES_ON ? drain() : st;
}

EngineStop
engine_answer(uint32_t id, bool ok, char *text, uint32_t len)
{
	uint32_t args[3];
	EngineStop st;

	args[0] = number(id);
	args[1] = ok ? Z_qjsZ_qjs_get_true(&js) : Z_qjsZ_qjs_get_false(&js);
	args[2] = string(text, len);
	st = call(fn_answer, 3, args);
	return st == ENGINE_GOES_ON ? drain() : st;
}

/* --- what the engine imports ------------------------------------------------------ */

static uint32_t
throw_error(const char *message)
{
	uint32_t e = Z_qjsZ_qjs_new_error(&js);
	uint32_t name = copy_in("message", 7), text = copy_in(message, (uint32_t) strlen(message));

	if (e != 0 && name != 0 && text != 0)
	{
		uint32_t v = Z_qjsZ_qjs_new_string(&js, text, (uint32_t) strlen(message));

		if (v != 0)
		{
			(void) Z_qjsZ_qjs_set_prop_string(&js, e, name, v);
			Z_qjsZ_qjs_free_value(&js, v);
		}
	}
	Z_qjsZ_wasm_free(&js, name);
	Z_qjsZ_wasm_free(&js, text);
	return Z_qjsZ_qjs_throw(&js, e) * 0;
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
	memcpy(&v, at(argv, 4 * (uint64_t) argc) + 4 * n, 4);
	if (v == 0 || Z_qjsZ_qjs_is_undefined(&js, v))
		return t;
	lenp = Z_qjsZ_wasm_malloc(&js, 4);
	if (lenp == 0)
		return t;
	t.addr = Z_qjsZ_qjs_get_string_len(&js, v, lenp);
	memcpy(&t.len, at(lenp, 4), 4);
	Z_qjsZ_wasm_free(&js, lenp);
	if (t.addr == 0)
		t.len = 0;
	else
		t.data = at(t.addr, (uint64_t) t.len + 1);
	return t;
}

static void
argument_free(Text *t)
{
	if (t->addr != 0)
		Z_qjsZ_qjs_free_cstring(&js, t->addr);
}

static bool
argument_bool(uint32_t n, uint32_t argc, uint32_t argv)
{
	uint32_t v;

	if (n >= argc)
		return false;
	memcpy(&v, at(argv, 4 * (uint64_t) argc) + 4 * n, 4);
	return v != 0 && Z_qjsZ_qjs_get_bool(&js, v) == 1;
}

static uint32_t
argument_number(uint32_t n, uint32_t argc, uint32_t argv)
{
	uint32_t v;
	double d;

	if (n >= argc)
		return 0;
	memcpy(&v, at(argv, 4 * (uint64_t) argc) + 4 * n, 4);
	d = v == 0 ? 0 : Z_qjsZ_qjs_get_float64(&js, v);
	return d >= 1 && d < 4294967296.0 ? (uint32_t) d : 0;
}

u32
Z_envZ_host_call(struct Z_env_instance_t *e, u32 name, u32 len, u32 this, u32 argc, u32 argv)
{
	const char *which = at(name, len);
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
	return error == NULL ? Z_qjsZ_qjs_get_undefined(&js) : throw_error(error);
}

u32
Z_envZ_host_interrupt(struct Z_env_instance_t *e)
{
	(void) e;
	if (running && !stopped)
		stopped = engine_interrupt();
	return stopped;
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
	memcpy(at(out, 8), &ns, 8);
	return 0;
}

u32
Z_wasi_snapshot_preview1Z_random_get(struct Z_wasi_snapshot_preview1_instance_t *w, u32 out, u32 len)
{
	(void) w;
	return getrandom(at(out, len), len, 0) == (ssize_t) len ? 0 : WASI_EIO;
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
