/*-------------------------------------------------------------------------
 *
 * script_sql.c
 *	  What running programs ask of their host, put before SQL.
 *
 * All calls that wait go to theazo_internal.host_calls() at once, in the
 * transaction of the dispatcher's turn. A refusal is an answer like any other.
 * What SQL queues as an effect is answered later, when that has been settled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "effect/done.h"
#include "lib/json.h"
#include "lib/json_raw.h"
#include "pg/convert.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "worker/script_internal.h"
#include "worker/script_sql.h"

#define JUDGE_BYTES_MAX (16 * 1024 * 1024)
#define JUDGE_TIMEOUT_MS 10000
#define HELD_MS 100 /* until a call that somebody's transaction holds up is tried again */
#define BEHIND_MS 1000 /* a request may last so much longer than its program, which ends by its own limit */

static TzStmt judge_stmt = {"SELECT theazo_internal.host_calls($1) AS answers", 1, {JSONBOID}};

static void
put_member(TzBuf *out, const char *key, const char *text)
{
	if (text == NULL)
		return;
	tz_buf_printf(out, "\"%s\":", key);
	tz_script_append_text(out, tz_slice_cstr(text));
	tz_buf_append_byte(out, ',');
}

static void
put_call(TzBuf *out, const TzHostCall *call, int slot)
{
	const TzScriptJob *job = call->job;

	tz_buf_append_cstr(out, "{");
	put_member(out, "platform", job->platform_id);
	put_member(out, "root", job->root_id);
	put_member(out, "effect", job->effect_id);
	put_member(out, "session", job->session_id);
	put_member(out, "agent", job->agent_id);
	put_member(out, "run", job->run_id);
	put_member(out, "fn", call->name);
	if (job->execution.len > 0)
	{
		tz_buf_append_cstr(out, "\"execution\":");
		tz_buf_append(out, job->execution.data, job->execution.len);
		tz_buf_append_byte(out, ',');
	}
	tz_buf_printf(out, "\"slot\":%d,\"call\":%u,\"at\":", slot, call->id);
	tz_script_append_time(out, call->at_us);
	tz_buf_append_cstr(out, ",\"deadline\":");
	tz_script_append_time(out, job->started_us + (int64) (job->time_ms + BEHIND_MS) * 1000);
	tz_buf_append_cstr(out, ",\"args\":");
	tz_buf_append(out, call->args.data, call->args.len);
	tz_buf_append_cstr(out, "}");
}

/* Marks those that fit as judged, and appends them to out as an array. */
static int
collect(TzScripts *s, int slot, int max, TzBuf *out)
{
	int64 now = tz_script_now_us();
	int n = 0;

	tz_buf_append_cstr(out, "[");
	for (TzHostCall *c = tz_scripts_calls(s); c != NULL && n < max; c = c->next)
	{
		if (c->state != TZ_CALL_WAITING || c->not_before_us > now)
			continue;
		if (n > 0 && out->len + c->args.len > JUDGE_BYTES_MAX / 2)
			break;
		if (n++ > 0)
			tz_buf_append_cstr(out, ",");
		put_call(out, c, slot);
		tz_host_call_judged(c);
	}
	tz_buf_append_cstr(out, "]");
	if (out->status != TZ_OK)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return n;
}

static void
keep(TzHostCall *call, bool ok, TzSlice json)
{
	call->ok = ok;
	tz_buf_reset(&call->answer);
	if (tz_buf_append(&call->answer, json.data, json.len) == TZ_OK)
		return;
	/* too large: what is kept is empty, and said so once it is told */
	tz_buf_free(&call->answer);
	tz_buf_init(&call->answer, TZ_RUNNER_ANSWER_MAX);
	call->ok = false;
}

/* What SQL said of one call. */
static void
take_answer(TzHostCall *call, TzSlice item)
{
	TzSlice value;

	if (tz_json_raw_member(item, "ok", &value))
		keep(call, true, value);
	else if (tz_json_raw_member(item, "error", &value))
		keep(call, false, value);
	else if (tz_json_raw_member(item, "effect", &value) && value.len > 2)
		tz_host_call_fetches(call, tz_slice(value.data + 1, value.len - 2));
	else
		elog(ERROR, "host_calls() left a call without an answer");
}

void
tz_script_judge(TzScripts *s, int slot, int max)
{
	TzBuf text;
	Datum values[1];
	char *answers;
	TzSlice item;
	size_t at = 0;

	tz_buf_init(&text, JUDGE_BYTES_MAX);
	PG_TRY();
	{
		collect(s, slot, max, &text);
		values[0] = tz_jsonb_datum(tz_buf_slice(&text));
	}
	PG_FINALLY();
	{
		tz_buf_free(&text);
	}
	PG_END_TRY();
	if (tz_spi_exec(&judge_stmt, values, NULL, 1) != 1)
		elog(ERROR, "host_calls() returned no row");
	answers = tz_spi_text(0, tz_spi_column("answers"));
	for (TzHostCall *c = tz_scripts_calls(s); c != NULL; c = c->next)
	{
		if (c->state != TZ_CALL_JUDGED)
			continue;
		if (answers == NULL || !tz_json_raw_item(tz_slice_cstr(answers), &at, &item))
			elog(ERROR, "host_calls() answered fewer calls than it was asked");
		take_answer(c, item);
	}
}

void
tz_script_judged(TzScripts *s, bool committed)
{
	TzHostCall *call = tz_scripts_calls(s);

	while (call != NULL)
	{
		TzHostCall *next = call->next;

		if (call->state == TZ_CALL_JUDGED && !committed)
			tz_host_call_back(call, 0);
		else if (call->state == TZ_CALL_JUDGED && call->effect_id[0] != '\0')
			call->state = TZ_CALL_FETCHING;
		else if (call->state == TZ_CALL_JUDGED && call->answer.len == 0)
			tz_host_call_fail(call, "TOO_LARGE", "the answer is too large");
		else if (call->state == TZ_CALL_JUDGED)
			tz_host_call_answer(call, call->ok, tz_buf_slice(&call->answer));
		call = next;
	}
}

typedef struct JudgeRange
{
	TzScripts *scripts;
	int slot;
	int max;
} JudgeRange;

static void
judge_work(void *arg)
{
	const JudgeRange *range = arg;

	tz_effect_lock_wait(TZ_DONE_LOCK_MS);
	tz_script_judge(range->scripts, range->slot, range->max);
}

/* True when they were judged, in one transaction; else *error (in the caller's context) says why not. */
static bool
judge_range(TzScripts *s, int slot, int max, ErrorData **error)
{
	JudgeRange range = {s, slot, max};

	return tz_txn_try("theazo: answering programs", JUDGE_TIMEOUT_MS, judge_work, &range, error);
}

/* The first that waits: the only one that was judged, and not well. */
static TzHostCall *
first_ready(TzScripts *s)
{
	int64 now = tz_script_now_us();

	for (TzHostCall *c = tz_scripts_calls(s); c != NULL; c = c->next)
		if (c->state == TZ_CALL_WAITING && c->not_before_us <= now)
			return c;
	return NULL;
}

void
tz_script_judge_each(TzScripts *s, int slot, int max)
{
	int left = Min(max, tz_scripts_ready(s));
	int size = Max(left / 2, 1);

	while (left > 0)
	{
		ErrorData *error = NULL;
		TzHostCall *call;

		size = Min(size, left);
		if (judge_range(s, slot, size, &error))
		{
			tz_script_judged(s, true);
			left -= size;
			continue;
		}
		tz_script_judged(s, false);
		if (tz_error_is_passing(error->sqlerrcode) && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		if (size > 1)
		{
			FreeErrorData(error);
			size /= 2;
			continue;
		}
		left--;
		call = first_ready(s);
		if (call != NULL && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			call->not_before_us = tz_script_now_us() + HELD_MS * 1000;
		else if (call != NULL)
		{
			ereport(WARNING, (errcode(error->sqlerrcode),
			                  errmsg("a call of %s() by program \"%s\" could not be answered", call->name,
			                         call->job->effect_id),
			                  errdetail("%s", error->message != NULL ? error->message : "")));
			tz_host_call_fail(call, "INTERNAL_ERROR", "the host could not answer the call");
		}
		FreeErrorData(error);
	}
}
