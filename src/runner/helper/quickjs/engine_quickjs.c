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

#include "runner/helper/engine.h"
#include "runner/helper/quickjs/wasm_rt.h"

#define MAX_STACK (512 * 1024) /* of the module's 1 MiB */
#define HEADROOM_PAGES 16
#define PAGES_PER_MB 16
/* Code becomes the body of a function, on the same line: its line numbers are the author's. */
#define CODE_HEAD "(async function main() {"
#define CODE_TAIL "\n})"
#define CODE_NAME "agent.js"

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

Z_qjs_instance_t tz_js;
static struct Z_env_instance_t env;
static struct Z_wasi_snapshot_preview1_instance_t wasi;
static uint32_t fn_prepare, fn_start, fn_answer, fn_idle, undefined;
static bool stopped; /* once asked to stop it stops for good */
static bool running; /* foreign code has begun */
static uint32_t random_at; /* state of Math.random */
static char version[24];

/* --- memory of the module ---------------------------------------------------- */

char *
tz_js_at(uint32_t addr, uint64_t len)
{
	if (addr == 0 || addr + len > tz_js.w2c_memory.size)
		run_trap("an address outside the engine's memory");
	return (char *) tz_js.w2c_memory.data + addr;
}

static uint32_t
addr_of(const char *p)
{
	return (uint32_t) ((const uint8_t *) p - tz_js.w2c_memory.data);
}

char *
engine_text(uint32_t len)
{
	uint32_t a = Z_qjsZ_wasm_malloc(&tz_js, len + (uint32_t) sizeof(CODE_HEAD CODE_TAIL));
	char *p;

	if (a == 0)
		return NULL;
	p = tz_js_at(a, (uint64_t) len + sizeof(CODE_HEAD CODE_TAIL));
	return p + sizeof(CODE_HEAD) - 1;
}

static void
text_free(char *p)
{
	Z_qjsZ_wasm_free(&tz_js, addr_of(p) - (uint32_t) sizeof(CODE_HEAD) + 1);
}

uint32_t
tz_js_copy_in(const char *s, uint32_t len)
{
	uint32_t a = Z_qjsZ_wasm_malloc(&tz_js, len + 1);

	if (a != 0)
	{
		char *p = tz_js_at(a, (uint64_t) len + 1);

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
	uint32_t argv = Z_qjsZ_wasm_malloc(&tz_js, 4 * (argc + 1));
	uint32_t v;

	for (uint32_t i = 0; i < argc; i++)
		if (args[i] == 0)
			argv = 0;
	if (argv == 0)
		return verdict();
	memcpy(tz_js_at(argv, 4 * argc), args, 4 * argc);
	v = Z_qjsZ_qjs_call(&tz_js, fn, undefined, argc, argv);
	Z_qjsZ_wasm_free(&tz_js, argv);
	for (uint32_t i = 0; i < argc; i++)
		Z_qjsZ_qjs_free_value(&tz_js, args[i]);
	if (v == 0 || Z_qjsZ_qjs_is_exception(&tz_js, v))
	{
		st = verdict();
		Z_qjsZ_qjs_free_value(&tz_js, Z_qjsZ_qjs_get_exception(&tz_js));
	}
	if (v != 0)
		Z_qjsZ_qjs_free_value(&tz_js, v);
	return stopped ? ENGINE_STOPPED : st;
}

/* Runs what is queued; then the bridge looks whether anything can still come. */
static EngineStop
drain(void)
{
	while (Z_qjsZ_qjs_is_job_pending(&tz_js))
	{
		if ((int32_t) Z_qjsZ_qjs_execute_pending_job(&tz_js) < 0)
		{
			Z_qjsZ_qjs_free_value(&tz_js, Z_qjsZ_qjs_get_exception(&tz_js));
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
	return Z_qjsZ_qjs_new_number(&tz_js, d);
}

/* Takes the text. */
static uint32_t
string(char *p, uint32_t len)
{
	uint32_t v = Z_qjsZ_qjs_new_string(&tz_js, addr_of(p), len);

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
	uint32_t a = tz_js_copy_in(name, len);
	uint32_t v = a == 0 ? 0 : Z_qjsZ_qjs_new_host_function(&tz_js, a, len, 0);

	Z_qjsZ_wasm_free(&tz_js, a);
	return v;
}

static uint32_t
member(uint32_t object, const char *name)
{
	uint32_t a = tz_js_copy_in(name, (uint32_t) strlen(name));
	uint32_t v = a == 0 ? 0 : Z_qjsZ_qjs_get_prop_string(&tz_js, object, a);

	Z_qjsZ_wasm_free(&tz_js, a);
	return v;
}

static uint32_t
eval(const char *text, uint32_t len, const char *name)
{
	uint32_t code = tz_js_copy_in(text, len), file = tz_js_copy_in(name, (uint32_t) strlen(name));
	uint32_t v = code == 0 || file == 0 ? 0 : Z_qjsZ_qjs_eval(&tz_js, code, len, file, 0);

	Z_qjsZ_wasm_free(&tz_js, code);
	Z_qjsZ_wasm_free(&tz_js, file);
	return v != 0 && Z_qjsZ_qjs_is_exception(&tz_js, v) ? 0 : v;
}

static bool
realm(void)
{
	uint32_t make, argv, bridge, args[3];

	if (Z_qjsZ_qjs_init(&tz_js) != 0)
		return false;
	Z_qjsZ_qjs_set_max_stack_size(&tz_js, MAX_STACK);
	undefined = Z_qjsZ_qjs_get_undefined(&tz_js);
	make = eval(bridge_text, bridge_text_len, "bridge.js");
	args[0] = host_function("log");
	args[1] = host_function("call");
	args[2] = host_function("done");
	argv = Z_qjsZ_wasm_malloc(&tz_js, sizeof(args));
	if (make == 0 || argv == 0)
		return false;
	memcpy(tz_js_at(argv, sizeof(args)), args, sizeof(args));
	bridge = Z_qjsZ_qjs_call(&tz_js, make, undefined, 3, argv);
	Z_qjsZ_wasm_free(&tz_js, argv);
	if (bridge == 0 || Z_qjsZ_qjs_is_exception(&tz_js, bridge))
		return false;
	fn_prepare = member(bridge, "prepare");
	fn_start = member(bridge, "start");
	fn_answer = member(bridge, "answer");
	fn_idle = member(bridge, "idle");
	Z_qjsZ_qjs_set_interrupt_handler(&tz_js, 1);
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
	uint32_t v = Z_qjsZ_qjs_call(&tz_js, fn, undefined, 0, 0);
	double d = v == 0 ? -1 : Z_qjsZ_qjs_get_float64(&tz_js, v);

	Z_qjsZ_qjs_free_value(&tz_js, v);
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
	uint32_t fn = eval("Math.random", 11, "random"), found = 0, size = tz_js.w2c_memory.size;
	const uint64_t known = 0x0123456789abcdefULL;
	uint8_t *before = malloc(size);
	double value;

	if (fn == 0 || before == NULL)
		return 0;
	(void) random_call(fn);
	memcpy(before, tz_js.w2c_memory.data, size);
	value = random_call(fn);
	for (uint32_t i = 8; i + 8 <= size; i += 8)
	{
		uint64_t old, new;

		memcpy(&old, before + i, 8);
		memcpy(&new, tz_js.w2c_memory.data + i, 8);
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
		memcpy(tz_js_at(found, 8), &known, 8);
		if (random_call(fn) != random_value(random_step(known)))
			found = 0;
	}
	Z_qjsZ_qjs_free_value(&tz_js, fn);
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
	Z_qjs_instantiate(&tz_js, &env, &wasi);
	Z_qjsZ__initialize(&tz_js);
	v = Z_qjsZ_qjs_get_quickjs_version(&tz_js);
	if (v != 0)
	{
		const char *s = tz_js_at(v, 1);

		for (size_t i = 0;
		     i < sizeof(version) - 1 && (uint64_t) v + i < tz_js.w2c_memory.size && s[i] != '\0'; i++)
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
	memcpy(tz_js_at(random_at, 8), &seed, sizeof(seed));
	return true;
}

void
engine_memory(uint32_t mb)
{
	tz_js.w2c_memory.max_pages = mb * PAGES_PER_MB;
	if (tz_js.w2c_memory.max_pages < tz_js.w2c_memory.pages)
		tz_js.w2c_memory.max_pages = tz_js.w2c_memory.pages;
}

void
engine_headroom(void)
{
	tz_js.w2c_memory.max_pages += HEADROOM_PAGES;
}

bool
engine_memory_refused(void)
{
	return tz_wasm_refused;
}

uint32_t
engine_heap_kb(void)
{
	return tz_js.w2c_memory.size / 1024;
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
	name = tz_js_copy_in(CODE_NAME, sizeof(CODE_NAME) - 1);
	if (name == 0)
		return verdict();
	compiled = Z_qjsZ_qjs_eval(&tz_js, addr_of(code), code_len + (uint32_t) sizeof(CODE_HEAD CODE_TAIL) - 1,
	                           name, 0);
	Z_qjsZ_wasm_free(&tz_js, addr_of(code));
	Z_qjsZ_wasm_free(&tz_js, name);
	if (stopped || compiled == 0)
		return verdict();
	good = !Z_qjsZ_qjs_is_exception(&tz_js, compiled);
	if (!good)
	{
		Z_qjsZ_qjs_free_value(&tz_js, compiled);
		compiled = Z_qjsZ_qjs_get_exception(&tz_js);
	}
	args[0] = good ? Z_qjsZ_qjs_get_true(&tz_js) : Z_qjsZ_qjs_get_false(&tz_js);
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
	args[1] = ok ? Z_qjsZ_qjs_get_true(&tz_js) : Z_qjsZ_qjs_get_false(&tz_js);
	args[2] = string(text, len);
	st = call(fn_answer, 3, args);
	return st == ENGINE_GOES_ON ? drain() : st;
}

/* What the engine asks now and then while it works. */
u32
Z_envZ_host_interrupt(struct Z_env_instance_t *e)
{
	(void) e;
	if (running && !stopped)
		stopped = engine_interrupt();
	return stopped;
}
