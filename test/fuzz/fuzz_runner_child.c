/*
 * The run's side of the wire: whatever comes through the socket, it takes what
 * was agreed on and ends at the rest, and what it says is whole frames. run.c
 * with a socket of bytes and an engine that only counts.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static jmp_buf ended;
static const uint8_t *input;
static size_t left;
static unsigned char *said;
static size_t said_len;
static char *texts[512];
static int ntexts;

static ssize_t fuzz_read(int fd, void *out, size_t len);
static ssize_t fuzz_write(int fd, const void *data, size_t len);
static void fuzz_exit(int status) __attribute__((noreturn));

#define read fuzz_read
#define write fuzz_write
#define _exit fuzz_exit
#include "runner/helper/run.c"
#undef read
#undef write
#undef _exit

static ssize_t
fuzz_read(int fd, void *out, size_t len)
{
	size_t n = len < left ? len : left;

	if (fd != RUN_FD)
		abort();
	/* In pieces, as a socket would. */
	if (n > 1)
		n = n / 2 + 1;
	memcpy(out, input, n);
	input += n;
	left -= n;
	return (ssize_t) n;
}

static ssize_t
fuzz_write(int fd, const void *data, size_t len)
{
	if (fd != RUN_FD || said_len + len > 64 * 1024 * 1024)
		abort();
	said = realloc(said, said_len + len + 1);
	memcpy(said + said_len, data, len);
	said_len += len;
	return (ssize_t) len;
}

static void
fuzz_exit(int status)
{
	(void) status;
	longjmp(ended, 1);
}

void
engine_memory(uint32_t mb)
{
	if (mb < TZ_RUNNER_MEMORY_MIN_MB || mb > TZ_RUNNER_MEMORY_MAX_MB)
		abort();
}

void
engine_headroom(void)
{
}

uint32_t
engine_heap_kb(void)
{
	return 1;
}

/* Exactly so long, that the sanitizer sees a byte too many. */
char *
engine_text(uint32_t len)
{
	if (ntexts == 512)
		return NULL;
	return texts[ntexts++] = malloc(len);
}

EngineStop
engine_start(char *json, uint32_t json_len, char *code, uint32_t code_len)
{
	(void) run_log(json, json_len);
	for (uint32_t i = 0; i < code_len % 100; i++)
		(void) run_call(i + 1, "read_context", 12, code, code_len);
	return ENGINE_GOES_ON;
}

EngineStop
engine_answer(uint32_t id, bool ok, char *text, uint32_t len)
{
	(void) text;
	if (len % 7 == 0)
		run_done(ok, text, len);
	return id % 5 == 0   ? ENGINE_STOPPED
	       : id % 5 == 1 ? ENGINE_OUT_OF_MEMORY
	       : id % 5 == 2 ? ENGINE_BROKEN
	                     : ENGINE_GOES_ON;
}

/* All that was said is frames, and nothing follows the last word. */
static void
whole(void)
{
	size_t at = 0;
	bool over = false;

	while (at < said_len)
	{
		TzFrameHead head;

		if (over || said_len - at < TZ_FRAME_HEADER || !tz_frame_get_head(said + at, &head) ||
		    head.len > TZ_RUNNER_FRAME_MAX || head.len > said_len - at - TZ_FRAME_HEADER)
			abort();
		over = head.type == TZ_FRAME_DONE_OK || head.type == TZ_FRAME_DONE_ERR;
		at += TZ_FRAME_HEADER + head.len;
	}
}

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	left = size;
	said_len = 0;
	ntexts = 0;
	talked = 0;
	calls_open = 0;
	deadline_ns = 0;
	if (setjmp(ended) == 0)
		run_main();
	whole();
	while (ntexts > 0)
		free(texts[--ntexts]);
	free(said);
	said = NULL;
	return 0;
}
