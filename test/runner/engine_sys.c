/*-------------------------------------------------------------------------
 *
 * engine_sys.c
 *	  An "engine" whose code is one system call, made from within the walls.
 *
 * Linked with the program's own jail, filter and zygote, it is what an attacker
 * would be who had got out of the real engine's memory. Code: "number a b c d e f",
 * "int80 number" for the 32-bit entry, "deep" to use up the stack, "wild" to
 * write where nothing is. "p" as an argument is the address of a page.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner/helper/engine.h"

const char engine_name[] = "system-calls";
static char page[8192] __attribute__((aligned(4096)));
static char texts[2][65536];

const int engine_calls[] = {-1};
const int engine_ncalls = 0;
const int engine_missing[] = {-1};
const int engine_nmissing = 0;

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

int
engine_fd(void)
{
	return -1;
}

bool
engine_boot(void)
{
	return true;
}

const char *
engine_version(void)
{
	return "1";
}

bool
engine_realm(void)
{
	return true;
}

void
engine_memory(uint32_t mb)
{
	(void) mb;
}

void
engine_headroom(void)
{
}

bool
engine_memory_refused(void)
{
	return false;
}

uint32_t
engine_heap_kb(void)
{
	return 0;
}

char *
engine_text(uint32_t len)
{
	static int n;

	return len < sizeof(texts[0]) ? texts[n++ % 2] : NULL;
}

static int __attribute__((noinline)) deep(volatile char *p)
{
	volatile char frame[4096];

	frame[0] = *p;
	return deep(frame) + frame[0];
}

static void __attribute__((noreturn)) say(long r)
{
	char json[64];
	int n = snprintf(json, sizeof(json), "%ld", r);

	run_done(true, json, (size_t) n);
}

EngineStop
engine_start(char *json, uint32_t json_len, char *code, uint32_t code_len)
{
	long a[7] = {0};
	int n = 0;
	char *save = NULL;
	long r;

	(void) json;
	(void) json_len;
	code[code_len] = '\0';
	if (strcmp(code, "deep") == 0)
		say(deep(page));
	if (strcmp(code, "wild") == 0)
		*(volatile char *) (uintptr_t) 0x1000 = 1;
	if (strncmp(code, "int80 ", 6) == 0)
	{
#if defined(__x86_64__)
		__asm__ volatile("int $0x80"
		                 : "=a"(r)
		                 : "a"(strtol(code + 6, NULL, 0)), "b"(0), "c"(0), "d"(0)
		                 : "memory");
		say(r);
#endif
		say(-1);
	}
	for (char *t = strtok_r(code, " ", &save); t != NULL && n < 7; t = strtok_r(NULL, " ", &save))
		a[n++] = strcmp(t, "p") == 0 ? (long) page : strtol(t, NULL, 0);
	r = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	say(r < 0 ? -errno : r);
}

EngineStop
engine_answer(uint32_t id, bool ok, char *text, uint32_t len)
{
	(void) id;
	(void) ok;
	(void) text;
	(void) len;
	return ENGINE_GOES_ON;
}
