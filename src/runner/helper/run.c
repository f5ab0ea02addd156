/*-------------------------------------------------------------------------
 *
 * run.c
 *	  One run, from RUN to DONE, in its own process.
 *
 * Locked in already: the socket on descriptor 3 is all there is. Reads block,
 * writes block; the parent does neither and has the last word on time.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "runner/frame.h"
#include "runner/helper/engine.h"
#include "runner/helper/helper.h"
#include "runner/parent.h"

#define EXIT_DONE 0
#define EXIT_CLOSED 64
#define EXIT_PROTOCOL 65
#define EXIT_TRAP 70

static int64_t deadline_ns; /* 0: not begun */
static uint64_t talked;
static uint32_t calls_open;

static int64_t
now_ns(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* --- the socket ------------------------------------------------------------------ */

static void
put(const void *data, size_t len)
{
	const char *p = data;

	while (len > 0)
	{
		ssize_t n = write(RUN_FD, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(EXIT_CLOSED);
		p += n;
		len -= (size_t) n;
	}
}

/* Small frames leave in one piece: header and payload side by side. */
static void
send_frame(TzFrameType type, uint32_t id, const void *a, size_t alen, const void *b, size_t blen)
{
	static unsigned char small[4096];

	tz_frame_put_head(small, type, id, alen + blen);
	if (alen + blen <= sizeof(small) - TZ_FRAME_HEADER)
	{
		memcpy(small + TZ_FRAME_HEADER, a, alen);
		memcpy(small + TZ_FRAME_HEADER + alen, b, blen);
		put(small, TZ_FRAME_HEADER + alen + blen);
		return;
	}
	put(small, TZ_FRAME_HEADER);
	put(a, alen);
	put(b, blen);
}

static void
take(void *data, size_t len)
{
	char *p = data;

	while (len > 0)
	{
		ssize_t n = read(RUN_FD, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(EXIT_CLOSED);
		p += n;
		len -= (size_t) n;
	}
}

/* --- the end ---------------------------------------------------------------------- */

static void __attribute__((noreturn)) end(TzFrameType type, const char *json, size_t len, int status)
{
	send_frame(type, engine_heap_kb(), json, len, "", 0);
	_exit(status);
}

static void __attribute__((noreturn))
end_limit(const char *name, const char *message, const char *limit, int status)
{
	char json[256];
	int n =
		snprintf(json, sizeof(json), "{\"name\":\"%s\",\"message\":\"%s\",\"stack\":\"\",\"limit\":\"%s\"}",
	             name, message, limit);

	end(TZ_FRAME_DONE_ERR, json, (size_t) n, status);
}

void
run_done(bool ok, const char *json, size_t len)
{
	if (len > TZ_RUNNER_FRAME_MAX)
	{
		static const char large[] =
			"{\"name\":\"RangeError\",\"message\":\"the result is larger than 1 MiB\",\"stack\":\"\"}";

		end(TZ_FRAME_DONE_ERR, large, sizeof(large) - 1, EXIT_DONE);
	}
	end(ok ? TZ_FRAME_DONE_OK : TZ_FRAME_DONE_ERR, json, len, EXIT_DONE);
}

void
run_out_of_memory(void)
{
	end_limit("InternalError", "out of memory", TZ_FRAME_LIMIT_MEMORY, EXIT_DONE);
}

/* Also from a signal handler: nothing here allocates or locks. */
void
run_trap(const char *what)
{
	if (deadline_ns != 0)
		end_limit("SandboxTrap", what, TZ_FRAME_LIMIT_TRAP, EXIT_TRAP);
	_exit(EXIT_TRAP);
}

/* --- what the code does ------------------------------------------------------------ */

bool
engine_interrupt(void)
{
	return now_ns() >= deadline_ns;
}

const char *
run_log(const char *json, size_t len)
{
	if (len > TZ_RUNNER_FRAME_MAX)
		return "a log line is larger than 1 MiB";
	if (talked + len > TZ_RUNNER_TALK_MAX)
		return "logs and calls of this execution are larger than 8 MiB";
	talked += len;
	send_frame(TZ_FRAME_LOG, 0, json, len, "", 0);
	return NULL;
}

const char *
run_call(uint32_t id, const char *name, size_t name_len, const char *json, size_t len)
{
	char head[1 + TZ_FRAME_NAME_MAX];

	if (name_len == 0 || name_len > TZ_FRAME_NAME_MAX)
		run_trap("a call of the bridge that it does not make");
	if (calls_open >= TZ_RUNNER_CALLS_OPEN)
		return "64 calls wait for an answer already";
	if (1 + name_len + len > TZ_RUNNER_FRAME_MAX)
		return "the arguments are larger than 1 MiB";
	if (talked + 1 + name_len + len > TZ_RUNNER_TALK_MAX)
		return "logs and calls of this execution are larger than 8 MiB";
	talked += 1 + name_len + len;
	calls_open++;
	head[0] = (char) name_len;
	memcpy(head + 1, name, name_len);
	send_frame(TZ_FRAME_CALL, id, head, 1 + name_len, json, len);
	return NULL;
}

static void
judge(EngineStop st)
{
	if (st == ENGINE_GOES_ON)
		return;
	engine_headroom();
	if (st == ENGINE_STOPPED)
		end_limit("TimeLimit", "the execution took too long", TZ_FRAME_LIMIT_TIME, EXIT_DONE);
	if (st == ENGINE_OUT_OF_MEMORY)
		run_out_of_memory();
	else
	{
		static const char broken[] =
			"{\"name\":\"Error\",\"message\":\"the code has broken what it runs on\",\"stack\":\"\"}";

		end(TZ_FRAME_DONE_ERR, broken, sizeof(broken) - 1, EXIT_DONE);
	}
}

static void
begin(void)
{
	unsigned char head[TZ_FRAME_HEADER], numbers[TZ_FRAME_RUN_HEAD];
	uint32_t memory_mb, time_ms, json_len, code_len;
	TzFrameHead frame;
	char *json, *code;

	take(head, sizeof(head));
	if (!tz_frame_get_head(head, &frame) || frame.type != TZ_FRAME_RUN || frame.id != 0 ||
	    frame.len < TZ_FRAME_RUN_HEAD)
		_exit(EXIT_PROTOCOL);
	take(numbers, sizeof(numbers));
	memory_mb = tz_frame_get_u32(numbers);
	time_ms = tz_frame_get_u32(numbers + 4);
	json_len = tz_frame_get_u32(numbers + 8);
	code_len = tz_frame_get_u32(numbers + 12);
	if (memory_mb < TZ_RUNNER_MEMORY_MIN_MB || memory_mb > TZ_RUNNER_MEMORY_MAX_MB || time_ms == 0 ||
	    json_len > TZ_RUNNER_JOB_MAX || code_len > TZ_RUNNER_CODE_MAX ||
	    frame.len != TZ_FRAME_RUN_HEAD + (uint64_t) json_len + code_len)
		_exit(EXIT_PROTOCOL);
	deadline_ns = now_ns() + (int64_t) time_ms * 1000000;
	engine_memory(memory_mb);
	json = engine_text(json_len);
	code = engine_text(code_len);
	if (json == NULL || code == NULL)
		run_out_of_memory();
	take(json, json_len);
	take(code, code_len);
	judge(engine_start(json, json_len, code, code_len));
}

static void
answer(void)
{
	unsigned char head[TZ_FRAME_HEADER];
	TzFrameHead frame;
	char *text;

	take(head, sizeof(head));
	if (!tz_frame_get_head(head, &frame) ||
	    (frame.type != TZ_FRAME_RET_OK && frame.type != TZ_FRAME_RET_ERR) ||
	    frame.len > TZ_RUNNER_ANSWER_MAX || calls_open == 0)
		_exit(EXIT_PROTOCOL);
	text = engine_text(frame.len);
	if (text == NULL)
		run_out_of_memory();
	take(text, frame.len);
	calls_open--;
	judge(engine_answer(frame.id, frame.type == TZ_FRAME_RET_OK, text, frame.len));
}

void
run_main(void)
{
	begin();
	for (;;)
		answer();
}
