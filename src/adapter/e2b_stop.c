/*-------------------------------------------------------------------------
 *
 * e2b_stop.c
 *	  E2B: the process of a command that nobody waits for any more.
 *
 *	list -> tree -> signal
 *
 * A daemon goes on with what it was asked to start when its caller hangs up. A process is
 * found by the tag it was started with and meant by its number, because daemons look a tag
 * up wrongly where others are about. They signal that process alone: what it has started
 * is ended by a command before.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <string.h>

#include "adapter/connect.h"
#include "adapter/e2b.h"
#include "adapter/shell.h"
#include "lib/json.h"

#define TREE_MS 10000

static TzStatus
build_tree(int64_t pid, TzHttpRequest *out, TzErr *err)
{
	char number[24];
	TzBuf script;
	TzBuf text;
	json_t *body;
	TzStatus status = tz_e2b_start_headers(TREE_MS, out, err);

	if (status != TZ_OK)
		return status;
	snprintf(number, sizeof(number), "%lld", (long long) pid);
	tz_buf_init(&script, 4096);
	tz_shell_end_tree(number, &script);
	body = json_pack("{s:{s:s, s:[s, s%]}, s:b}", "process", "cmd", "/bin/bash", "args", "-c", script.data,
	                 script.len, "stdin", 0);
	tz_buf_free(&script);
	tz_buf_init(&text, 8192);
	status = body != NULL ? tz_json_dump(body, &text, err) : tz_err_set(err, TZ_NOMEM, "out of memory");
	json_decref(body);
	if (status == TZ_OK)
		status = tz_connect_envelope(tz_buf_slice(&text), &out->body);
	tz_buf_free(&text);
	tz_buf_append_cstr(&out->url, "/process.Process/Start");
	return status;
}

TzStatus
tz_e2b_build_stop(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                  TzErr *err)
{
	int64_t pid = tz_e2b_state_int(effect, "pid");
	TzStatus status = tz_e2b_envd(effect, to, kept, "POST", false, out, err);

	if (status == TZ_OK && pid > 0 && tz_e2b_state_int(effect, "tree") == 0)
		return build_tree(pid, out, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Connect-Protocol-Version", "1", false, err);
	if (status != TZ_OK)
		return status;
	if (pid == 0)
	{
		tz_buf_append_cstr(&out->url, "/process.Process/List");
		return tz_buf_append_cstr(&out->body, "{}");
	}
	tz_buf_append_cstr(&out->url, "/process.Process/SendSignal");
	return tz_buf_printf(&out->body, "{\"process\":{\"pid\":%lld},\"signal\":\"SIGNAL_SIGKILL\"}",
	                     (long long) pid);
}

/* The process that was started for that command; none: it has ended. */
static void
listed(const TzEffect *effect, json_t *doc, TzOutcome *out)
{
	const char *exec = json_string_value(json_object_get(effect->request, "exec"));
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(doc, "processes"), i, item)
	{
		const char *tag = json_string_value(json_object_get(item, "tag"));
		int64_t pid = 0;

		if (exec != NULL && tag != NULL && strcmp(exec, tag) == 0 &&
		    tz_json_get_int(item, "pid", true, 2, INT_MAX, &pid, NULL) == TZ_OK)
		{
			tz_e2b_next(effect, NULL, json_pack("{s:I}", "pid", (json_int_t) pid), 0, out);
			return;
		}
	}
	tz_answer_done(out, json_object());
}

void
tz_e2b_stopped(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const char *url = in->request != NULL && in->request->url.len > 0 ? in->request->url.data : "";
	bool found = in->err.status == TZ_OK && in->status == 200;
	json_t *doc;

	/* whatever became of what it had started, the process itself is still to be ended */
	if (strstr(url, "/Start") != NULL && (found || tz_connect_streams(in)))
		tz_e2b_next(effect, NULL, json_pack("{s:i}", "tree", 1), 0, out);
	else if (strstr(url, "/SendSignal") != NULL && in->err.status == TZ_OK && in->status == 404 &&
	         (doc = tz_e2b_document(in)) != NULL)
	{
		const char *code = json_string_value(json_object_get(doc, "code"));

		/* a daemon's word for a process, and not a proxy's for a sandbox */
		if (code != NULL && strcmp(code, "not_found") == 0)
			tz_answer_done(out, json_object());
		else
			tz_e2b_failed(effect, TZ_REPEAT_SAME, in, out);
		json_decref(doc);
	}
	else if (!found)
		tz_e2b_failed(effect, TZ_REPEAT_SAME, in, out);
	else if ((doc = tz_answer_json(in, out)) != NULL)
	{
		if (strstr(url, "/List") != NULL)
			listed(effect, doc, out);
		else
			tz_answer_done(out, json_object());
		json_decref(doc);
	}
}
