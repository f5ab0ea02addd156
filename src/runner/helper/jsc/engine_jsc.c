/*-------------------------------------------------------------------------
 *
 * engine_jsc.c
 *	  JavaScriptCore of the system, as an interpreter in one thread.
 *
 * For machines that cannot fetch the other engine. It is no module behind a
 * memory wall: the kernel's walls are all there is, its filter allows more, its
 * ceiling of memory is the process's and coarse, and the deadline is the
 * parent's kill alone. One context a run, made after the fork.
 *
 *-------------------------------------------------------------------------
 */
#include <JavaScriptCore/JavaScript.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner/helper/engine.h"
#include "runner/helper/helper.h"

#define CODE_HEAD "(async function main() {"
#define CODE_TAIL "\n})"
#define BESIDE (24 << 20)
#define REFUSED_BYTES (1 << 20) /* as much as the allocator asks for when its heap cannot grow */

const char engine_name[] = "javascriptcore";
const int engine_calls[] = {
	SYS_pread64, SYS_futex, SYS_sched_yield, SYS_madvise, SYS_rt_sigprocmask, SYS_close, SYS_gettid,
};
const int engine_ncalls = sizeof(engine_calls) / sizeof(engine_calls[0]);
const int engine_missing[] = {
	SYS_openat,
	SYS_newfstatat,
#ifdef SYS_readlink
	SYS_readlink,
#endif
	SYS_readlinkat,
};
const int engine_nmissing = sizeof(engine_missing) / sizeof(engine_missing[0]);

static JSContextGroupRef group;
static JSGlobalContextRef js;
static JSObjectRef fn_prepare, fn_start, fn_answer, fn_idle;
static uint64_t data_kb; /* VmData once the engine stands */
static int event_fd = -1;

/* --- start -------------------------------------------------------------------------- */

/* The descriptor that wakes its (one) thread. */
static int
find_event_fd(void)
{
	int found = -1;

	for (int fd = 0; fd < 64; fd++)
	{
		char path[64], to[64];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to) - 1);
		if (n > 0 && fd > RUN_FD)
		{
			to[n] = '\0';
			if (strstr(to, "eventfd") != NULL)
				found = fd;
		}
	}
	return found;
}

static uint64_t
status_kb(const char *what)
{
	char line[256];
	unsigned long long kb = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, what, strlen(what)) == 0)
			kb = strtoull(line + strlen(what), NULL, 10);
	if (f != NULL)
		fclose(f);
	return kb;
}

bool
engine_early(void)
{
	static const char *const options[][2] = {
		{"JSC_useJIT", "0"},
		{"JSC_useConcurrentJIT", "0"},
		{"JSC_useConcurrentGC", "0"},
		{"JSC_numberOfGCMarkers", "1"},
		{"Malloc", "1"},
	};
	JSGlobalContextRef warm;
	JSStringRef one;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (setenv(options[i][0], options[i][1], 1) != 0)
			return false;
	group = JSContextGroupCreate();
	warm = group == NULL ? NULL : JSGlobalContextCreateInGroup(group, NULL);
	if (warm == NULL)
		return false;
	one = JSStringCreateWithUTF8CString("[1].map(x => x)");
	(void) JSEvaluateScript(warm, one, NULL, NULL, 1, NULL);
	JSStringRelease(one);
	JSGlobalContextRelease(warm);
	data_kb = status_kb("VmData:");
	event_fd = find_event_fd();
	return data_kb > 0 && status_kb("Threads:") == 1;
}

bool
engine_boot(void)
{
	return true;
}

const char *
engine_version(void)
{
	return JSC_VERSION;
}

uint64_t
engine_beside(void)
{
	return data_kb * 1024 + BESIDE;
}

int
engine_fd(void)
{
	return event_fd;
}

/* --- values -------------------------------------------------------------------------- */

static JSValueRef
text_value(const char *s)
{
	JSStringRef t = JSStringCreateWithUTF8CString(s);
	JSValueRef v = JSValueMakeString(js, t);

	JSStringRelease(t);
	return v;
}

/* UTF-8 of a value, to be freed; NULL out of memory. */
static char *
value_text(JSValueRef v, size_t *len)
{
	JSStringRef t = JSValueToStringCopy(js, v, NULL);
	size_t max;
	char *out;

	*len = 0;
	if (t == NULL)
		return NULL;
	max = JSStringGetMaximumUTF8CStringSize(t);
	out = malloc(max);
	if (out != NULL)
		*len = JSStringGetUTF8CString(t, out, max) - 1;
	JSStringRelease(t);
	return out;
}

static JSValueRef
thrown(const char *message, JSValueRef *exception)
{
	JSValueRef text = text_value(message);

	*exception = JSObjectMakeError(js, 1, &text, NULL);
	return JSValueMakeUndefined(js);
}

/* --- what the bridge calls ------------------------------------------------------------ */

static JSValueRef
host_log(JSContextRef c, JSObjectRef f, JSObjectRef this, size_t argc, const JSValueRef argv[],
         JSValueRef *exception)
{
	const char *error = "out of memory";
	size_t len;
	char *text = argc > 0 ? value_text(argv[0], &len) : NULL;

	(void) c;
	(void) f;
	(void) this;
	if (text != NULL)
		error = run_log(text, len);
	free(text);
	return error != NULL ? thrown(error, exception) : JSValueMakeUndefined(js);
}

static JSValueRef
host_call(JSContextRef c, JSObjectRef f, JSObjectRef this, size_t argc, const JSValueRef argv[],
          JSValueRef *exception)
{
	const char *error = "out of memory";
	size_t name_len, len;
	char *name = argc > 2 ? value_text(argv[1], &name_len) : NULL;
	char *text = argc > 2 ? value_text(argv[2], &len) : NULL;

	(void) c;
	(void) f;
	(void) this;
	if (name != NULL && text != NULL)
		error = run_call((uint32_t) JSValueToNumber(js, argv[0], NULL), name, name_len, text, len);
	free(name);
	free(text);
	return error != NULL ? thrown(error, exception) : JSValueMakeUndefined(js);
}

static JSValueRef
host_done(JSContextRef c, JSObjectRef f, JSObjectRef this, size_t argc, const JSValueRef argv[],
          JSValueRef *exception)
{
	size_t len = 0;
	char *text = argc > 1 && !JSValueIsUndefined(js, argv[1]) ? value_text(argv[1], &len) : NULL;

	(void) c;
	(void) f;
	(void) this;
	(void) exception;
	/* A thrown null is no sign of it here. */
	if (argc > 2 && JSValueToBoolean(js, argv[2]) && text != NULL && strstr(text, "ut of memory") != NULL)
		run_out_of_memory();
	run_done(argc > 0 && JSValueToBoolean(js, argv[0]), text != NULL ? text : "", len);
}

static JSObjectRef
host_function(const char *name, JSObjectCallAsFunctionCallback what)
{
	JSStringRef t = JSStringCreateWithUTF8CString(name);
	JSObjectRef f = JSObjectMakeFunctionWithCallback(js, t, what);

	JSStringRelease(t);
	return f;
}

static JSObjectRef
member(JSObjectRef o, const char *name)
{
	JSStringRef t = JSStringCreateWithUTF8CString(name);
	JSValueRef v = JSObjectGetProperty(js, o, t, NULL);

	JSStringRelease(t);
	if (v == NULL || !JSValueIsObject(js, v))
		return NULL;
	JSValueProtect(js, v);
	return (JSObjectRef) v;
}

static JSValueRef
eval(const char *code, const char *name, JSValueRef *exception)
{
	JSStringRef t = JSStringCreateWithUTF8CString(code), file = JSStringCreateWithUTF8CString(name);
	JSValueRef v = JSEvaluateScript(js, t, NULL, file, 1, exception);

	JSStringRelease(t);
	JSStringRelease(file);
	return v;
}

/* The engine's own generator has the state that all forks inherit. */
static uint64_t random_state;

static JSValueRef
host_random(JSContextRef c, JSObjectRef f, JSObjectRef this, size_t argc, const JSValueRef argv[],
            JSValueRef *exception)
{
	uint64_t x = random_state;

	(void) c;
	(void) f;
	(void) this;
	(void) argc;
	(void) argv;
	(void) exception;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random_state = x;
	return JSValueMakeNumber(js, (double) ((x * 0x2545F4914F6CDD1DULL) >> 11) / 9007199254740992.0);
}

static bool
seed_random(void)
{
	JSValueRef math = eval("Math", "random", NULL);
	JSStringRef name = JSStringCreateWithUTF8CString("random");

	while (random_state == 0)
		if (getrandom(&random_state, sizeof(random_state), 0) != (ssize_t) sizeof(random_state))
			return false;
	if (math == NULL || !JSValueIsObject(js, math))
		return false;
	JSObjectSetProperty(js, (JSObjectRef) math, name, host_function("random", host_random),
	                    kJSPropertyAttributeDontEnum, NULL);
	JSStringRelease(name);
	return true;
}

bool
engine_realm(void)
{
	JSValueRef make, bridge, exception = NULL, args[3];

	js = JSGlobalContextCreateInGroup(group, NULL);
	if (js == NULL || !seed_random())
		return false;
	make = eval(bridge_text, "bridge.js", &exception);
	if (make == NULL || exception != NULL || !JSValueIsObject(js, make))
		return false;
	args[0] = host_function("log", host_log);
	args[1] = host_function("call", host_call);
	args[2] = host_function("done", host_done);
	bridge = JSObjectCallAsFunction(js, (JSObjectRef) make, NULL, 3, args, &exception);
	if (bridge == NULL || exception != NULL || !JSValueIsObject(js, bridge))
		return false;
	fn_prepare = member((JSObjectRef) bridge, "prepare");
	fn_start = member((JSObjectRef) bridge, "start");
	fn_answer = member((JSObjectRef) bridge, "answer");
	fn_idle = member((JSObjectRef) bridge, "idle");
	return fn_prepare != NULL && fn_start != NULL && fn_answer != NULL && fn_idle != NULL;
}

/* --- a run ---------------------------------------------------------------------------- */

/* What the engine does where it finds no memory for itself; in place of the library's, which would send a signal. */
void
abort(void)
{
	if (engine_memory_refused())
		run_out_of_memory();
	run_trap("the engine has given up");
}

/* Would so many bytes more be given? */
static bool
memory_given(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	(void) munmap(p, bytes);
	return true;
}

/* The limit of the process is the limit, and it is the zygote that sets it: not a line runs before it holds. */
void
engine_memory(uint32_t mb)
{
	while (memory_given(((size_t) mb << 20) + BESIDE + REFUSED_BYTES))
		(void) sched_yield();
}

void
engine_headroom(void)
{
}

/* Nothing notes a refusal, but who asks does so at once. */
bool
engine_memory_refused(void)
{
	return !memory_given(REFUSED_BYTES);
}

uint32_t
engine_heap_kb(void)
{
	return 0;
}

char *
engine_text(uint32_t len)
{
	char *p = malloc((size_t) len + sizeof(CODE_HEAD CODE_TAIL));

	return p == NULL ? NULL : p + sizeof(CODE_HEAD) - 1;
}

static void
text_free(char *p)
{
	free(p - sizeof(CODE_HEAD) + 1);
}

/* Takes the text. */
static JSValueRef
text_taken(char *p, uint32_t len)
{
	JSValueRef v;

	p[len] = '\0';
	v = text_value(p);
	text_free(p);
	return v;
}

/* Jobs run when the outermost call returns; then nothing is left. */
static EngineStop
call(JSObjectRef fn, size_t argc, const JSValueRef *args)
{
	JSValueRef exception = NULL;

	(void) JSObjectCallAsFunction(js, fn, NULL, argc, args, &exception);
	return exception != NULL ? ENGINE_BROKEN : ENGINE_GOES_ON;
}

EngineStop
engine_start(char *json, uint32_t json_len, char *code, uint32_t code_len)
{
	JSValueRef args[2], exception = NULL, compiled;
	EngineStop st;

	args[0] = text_taken(json, json_len);
	st = call(fn_prepare, 1, args);
	if (st != ENGINE_GOES_ON)
		return st;
	code -= sizeof(CODE_HEAD) - 1;
	memcpy(code, CODE_HEAD, sizeof(CODE_HEAD) - 1);
	memcpy(code + sizeof(CODE_HEAD) - 1 + code_len, CODE_TAIL, sizeof(CODE_TAIL));
	compiled = eval(code, "agent.js", &exception);
	free(code);
	args[0] = JSValueMakeBoolean(js, exception == NULL);
	args[1] = exception == NULL ? compiled : exception;
	st = call(fn_start, 2, args);
	return st == ENGINE_GOES_ON ? call(fn_idle, 0, NULL) : st;
}

EngineStop
engine_answer(uint32_t id, bool ok, char *text, uint32_t len)
{
	JSValueRef args[3] = {JSValueMakeNumber(js, id), JSValueMakeBoolean(js, ok), text_taken(text, len)};
	EngineStop st = call(fn_answer, 3, args);

	return st == ENGINE_GOES_ON ? call(fn_idle, 0, NULL) : st;
}
