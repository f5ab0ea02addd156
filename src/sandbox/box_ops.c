/*-------------------------------------------------------------------------
 *
 * box_ops.c
 *	  Operations of a box: commands, files, pause, figures.
 *
 * Each operation has an id, a slot and one end. What the init says about it is
 * believed only within the limits set when it was started: no more bytes, no
 * other kind of answer, no second end.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "lib/utf8.h"
#include "sandbox/box_internal.h"

static TzStatus
box_op_check(TzBox *box, TzErr *err)
{
	if (box->state == BOX_DEAD || box->doomed)
		return tz_err_set(err, TZ_UNAVAILABLE, "the sandbox is gone");
	return TZ_OK;
}

static BoxOp *
box_op_find(TzBox *box, uint32_t id)
{
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
		if (box->ops[i].kind != BOX_OP_FREE && box->ops[i].id == id)
			return &box->ops[i];
	return NULL;
}

static BoxOp *
box_op_new(TzBox *box, BoxOpKind kind, int timeout_ms, TzBoxDone done, void *arg, TzErr *err)
{
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		BoxOp *op = &box->ops[i];

		if (op->kind != BOX_OP_FREE)
			continue;
		memset(op, 0, sizeof(*op));
		op->kind = kind;
		do
			op->id = ++box->last_id;
		while (op->id == 0);
		op->done = done;
		op->arg = arg;
		op->started_ms = tz_box_now_ms();
		op->deadline_ms = op->started_ms + timeout_ms;
		/* Before READY the start has its own time. */
		if (box->state == BOX_STARTING)
			op->deadline_ms += BOX_START_MS;
		tz_buf_init(&op->out, 0);
		tz_buf_init(&op->errout, 0);
		return op;
	}
	tz_err_set(err, TZ_TOO_LARGE, "more than %d operations at once in one sandbox", TZ_WIRE_OPS_MAX);
	return NULL;
}

/* Content that was sent, or never will be; its length stays, which says that all of it is out. */
static void
box_op_forget_data(BoxOp *op)
{
	if (op->data != NULL && op->data_secret)
		explicit_bzero(op->data, op->data_len);
	free(op->data);
	op->data = NULL;
}

static void
box_op_release(BoxOp *op)
{
	box_op_forget_data(op);
	tz_buf_free(&op->out);
	tz_buf_free(&op->errout);
	for (int i = 0; i < op->nentries; i++)
		free(op->entries[i].name);
	free(op->entries);
	memset(op, 0, sizeof(*op));
}

/* The one end of an operation: the slot is free when the owner hears of it. */
void
tz_box_op_finish(TzBox *box, BoxOp *op, TzBoxResult *res)
{
	BoxOp mine = *op;

	memset(op, 0, sizeof(*op));
	res->wall_ms = tz_box_now_ms() - mine.started_ms;
	res->out = tz_buf_slice(&mine.out);
	res->errout = tz_buf_slice(&mine.errout);
	res->entries = mine.entries;
	res->nentries = mine.nentries;
	if (mine.cancelled && res->err.status == TZ_OK && mine.kind != BOX_OP_EXEC)
		mine.cancelled = false; /* it was faster */
	if (mine.cancelled && res->err.status != TZ_CANCELLED)
	{
		tz_err_clear(&res->err);
		tz_err_set(&res->err, TZ_CANCELLED, "cancelled");
	}
	tz_box_enter(box);
	if (mine.done != NULL)
		mine.done(mine.arg, res);
	box_op_release(&mine);
	tz_box_leave(box);
}

/* --- content on its way in ------------------------------------------------ */

bool
tz_box_op_data_waiting(const TzBox *box)
{
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
		if (box->ops[i].kind != BOX_OP_FREE && box->ops[i].data_sent < box->ops[i].data_len)
			return true;
	return false;
}

void
tz_box_op_data(TzBox *box)
{
	int idle = 0;

	for (int sent = 0; idle < TZ_WIRE_OPS_MAX && sent < BOX_FRAMES_A_TURN && box->state != BOX_DEAD;)
	{
		BoxOp *op = &box->ops[box->data_turn];
		size_t n = op->kind == BOX_OP_FREE ? 0 : op->data_len - op->data_sent;

		box->data_turn = (box->data_turn + 1) % TZ_WIRE_OPS_MAX;
		if (n == 0)
		{
			idle++;
			continue;
		}
		if (box->blocked || box->queue != NULL)
			return;
		if (n > TZ_WIRE_PAYLOAD_MAX)
			n = TZ_WIRE_PAYLOAD_MAX;
		idle = 0;
		sent++;
		tz_box_send(box, TZ_WIRE_DATA, op->id, op->data + op->data_sent, n);
		op->data_sent += n;
		if (op->data_sent == op->data_len)
			box_op_forget_data(op);
	}
}

/* Sends the first frame of an operation, and as much of its content as fits now. */
static TzStatus
box_op_start(TzBox *box, BoxOp *op, TzWireType type, const TzWireWriter *w, TzErr *err)
{
	uint32_t id = op->id;
	bool alive;

	if (!w->ok)
	{
		box_op_release(op);
		return tz_err_set(err, TZ_TOO_LARGE, "path too long");
	}
	tz_box_enter(box);
	tz_box_send(box, type, id, w->data, w->len);
	if (box->state != BOX_DEAD && !box->blocked)
		tz_box_op_data(box);
	if (box->state != BOX_DEAD)
		(void) tz_box_interest(box);
	alive = box->state != BOX_DEAD;
	tz_box_leave(box);
	/* When it died meanwhile, done was called: the caller must not hear of it twice. */
	(void) alive;
	return TZ_OK;
}

/* --- commands --------------------------------------------------------------- */

static void
box_put_strings(TzWireWriter *w, const char *const *a, int na, const char *const *b, int nb)
{
	tz_wire_put_u32(w, (uint32_t) (na + nb));
	for (int i = 0; i < na; i++)
		tz_wire_put_str(w, a[i], strlen(a[i]));
	for (int i = 0; i < nb; i++)
		tz_wire_put_str(w, b[i], strlen(b[i]));
}

static size_t
box_strings_size(const char *const *a, int na)
{
	size_t size = 4;

	for (int i = 0; i < na; i++)
		size += 4 + strlen(a[i]);
	return size;
}

static TzStatus
box_exec_check(const TzBox *box, const TzBoxExec *exec, TzErr *err)
{
	if (exec->argc < 1 || exec->argc > TZ_WIRE_ARGS_MAX || exec->argv[0][0] == '\0')
		return tz_err_set(err, TZ_BAD_INPUT, "a command needs 1 to %d arguments", TZ_WIRE_ARGS_MAX);
	if (exec->nenv < 0 || exec->nenv + box->nenv > TZ_WIRE_ARGS_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "more than %d environment variables", TZ_WIRE_ARGS_MAX);
	if (exec->timeout_ms <= 0)
		return tz_err_set(err, TZ_BAD_INPUT, "a command needs a positive timeout");
	if (exec->max_output == 0 || exec->max_output > (size_t) 1 << 30)
		return tz_err_set(err, TZ_BAD_INPUT, "a command needs an output ceiling between 1 and 2^30 bytes");
	if (exec->code.len > TZ_WIRE_CODE_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "program text is over %d bytes", TZ_WIRE_CODE_MAX);
	if (exec->stdin_data.len > TZ_WIRE_STDIN_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "standard input is over %d bytes", TZ_WIRE_STDIN_MAX);
	if (exec->code.len > 0 && exec->code_name == NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "program text needs a file name");
	if (exec->code_name != NULL && !tz_wire_name_ok(exec->code_name, strlen(exec->code_name)))
		return tz_err_set(err, TZ_BAD_INPUT, "\"%.64s\" is no file name for program text", exec->code_name);
	return TZ_OK;
}

/* spec, code and stdin in one block, which is all that is kept of them. */
static TzStatus
box_exec_data(TzBox *box, const TzBoxExec *exec, BoxOp *op, size_t *spec_len, TzErr *err)
{
	const char *cwd = exec->cwd != NULL ? exec->cwd : "";
	const char *name = exec->code_name != NULL ? exec->code_name : "";
	size_t spec = box_strings_size(exec->argv, exec->argc) + box_strings_size(exec->env, exec->nenv) +
	              box_strings_size((const char *const *) box->env, box->nenv) - 4 + 4 + strlen(cwd) + 4 +
	              strlen(name);
	TzWireWriter w;

	if (spec > TZ_WIRE_SPEC_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "arguments and environment are over %d bytes", TZ_WIRE_SPEC_MAX);
	if (strlen(cwd) >= TZ_WIRE_PATH_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "path too long");
	op->data_len = spec + exec->code.len + exec->stdin_data.len;
	op->data_secret = true;
	op->data = malloc(op->data_len);
	if (op->data == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	tz_wire_writer(&w, op->data, op->data_len);
	box_put_strings(&w, exec->argv, exec->argc, NULL, 0);
	box_put_strings(&w, (const char *const *) box->env, box->nenv, exec->env, exec->nenv);
	tz_wire_put_str(&w, cwd, strlen(cwd));
	tz_wire_put_str(&w, name, strlen(name));
	*spec_len = w.len;
	tz_wire_put_bytes(&w, exec->code.data, exec->code.len);
	tz_wire_put_bytes(&w, exec->stdin_data.data, exec->stdin_data.len);
	return w.ok && w.len == op->data_len ? TZ_OK
	                                     : tz_err_set(err, TZ_INTERNAL, "sandbox command badly encoded");
}

TzStatus
tz_box_exec(TzBox *box, const TzBoxExec *exec, TzBoxDone done, void *arg, uint32_t *id, TzErr *err)
{
	unsigned char out[64];
	TzWireExec head = {0};
	TzWireWriter w;
	BoxOp *op;
	size_t spec_len = 0;
	TzStatus st = box_op_check(box, err);

	if (st == TZ_OK)
		st = box_exec_check(box, exec, err);
	if (st != TZ_OK)
		return st;
	op = box_op_new(box, BOX_OP_EXEC, exec->timeout_ms, done, arg, err);
	if (op == NULL)
		return TZ_TOO_LARGE;
	st = box_exec_data(box, exec, op, &spec_len, err);
	if (st != TZ_OK)
	{
		box_op_release(op);
		return st;
	}
	op->deadline_ms += BOX_GRACE_MS;
	op->max = exec->max_output;
	op->output = exec->output;
	tz_buf_init(&op->out, exec->max_output);
	tz_buf_init(&op->errout, exec->max_output);
	head.timeout_ms = (uint32_t) exec->timeout_ms;
	head.max_output = exec->max_output;
	head.spec_len = (uint32_t) spec_len;
	head.code_len = (uint32_t) exec->code.len;
	head.stdin_len = (uint32_t) exec->stdin_data.len;
	tz_wire_writer(&w, out, sizeof(out));
	w.len = tz_wire_put_exec(out, sizeof(out), &head);
	if (id != NULL)
		*id = op->id;
	return box_op_start(box, op, TZ_WIRE_EXEC, &w, err);
}

void
tz_box_cancel(TzBox *box, uint32_t id)
{
	BoxOp *op = box->state == BOX_DEAD ? NULL : box_op_find(box, id);

	if (op == NULL || op->cancelled)
		return;
	op->cancelled = true;
	/* A kill is quick; if nothing comes, the box is not sane. */
	if (op->deadline_ms > tz_box_now_ms() + 2 * BOX_GRACE_MS && op->data_sent == op->data_len)
		op->deadline_ms = tz_box_now_ms() + 2 * BOX_GRACE_MS;
	tz_box_enter(box);
	tz_box_send(box, TZ_WIRE_KILL, id, NULL, 0);
	tz_box_leave(box);
}

/* --- files -------------------------------------------------------------------- */

static TzStatus
box_file_op(TzBox *box, BoxOpKind kind, TzWireType type, const char *path, uint64_t number, int number_size,
            TzSlice content, size_t max, TzBoxDone done, void *arg, TzErr *err)
{
	unsigned char out[8 + TZ_WIRE_PATH_MAX];
	TzWireWriter w;
	BoxOp *op;
	TzStatus st = box_op_check(box, err);

	if (st != TZ_OK)
		return st;
	if (path == NULL || path[0] == '\0')
		path = "/";
	if (strlen(path) >= TZ_WIRE_PATH_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "a path has at most %d bytes", TZ_WIRE_PATH_MAX - 1);
	tz_wire_writer(&w, out, sizeof(out));
	if (number_size == 8)
		tz_wire_put_u64(&w, number);
	else if (number_size == 4)
		tz_wire_put_u32(&w, (uint32_t) number);
	tz_wire_put_bytes(&w, path, strlen(path));
	op = box_op_new(box, kind, BOX_FILE_MS, done, arg, err);
	if (op == NULL)
		return TZ_TOO_LARGE;
	op->max = max;
	tz_buf_init(&op->out, max);
	if (content.len > 0)
	{
		op->data = malloc(content.len);
		if (op->data == NULL)
		{
			box_op_release(op);
			return tz_err_set(err, TZ_NOMEM, "out of memory");
		}
		memcpy(op->data, content.data, content.len);
		op->data_len = content.len;
	}
	return box_op_start(box, op, type, &w, err);
}

TzStatus
tz_box_write(TzBox *box, const char *path, TzSlice content, TzBoxDone done, void *arg, TzErr *err)
{
	return box_file_op(box, BOX_OP_WRITE, TZ_WIRE_WRITE, path, content.len, 8, content, 0, done, arg, err);
}

TzStatus
tz_box_read(TzBox *box, const char *path, size_t max, TzBoxDone done, void *arg, TzErr *err)
{
	return box_file_op(box, BOX_OP_READ, TZ_WIRE_READ, path, max, 8, tz_slice(NULL, 0), max, done, arg, err);
}

TzStatus
tz_box_list(TzBox *box, const char *path, TzBoxDone done, void *arg, TzErr *err)
{
	return box_file_op(box, BOX_OP_LIST, TZ_WIRE_LIST, path, BOX_LIST_MAX, 4, tz_slice(NULL, 0), BOX_LIST_MAX,
	                   done, arg, err);
}

TzStatus
tz_box_stat(TzBox *box, const char *path, TzBoxDone done, void *arg, TzErr *err)
{
	return box_file_op(box, BOX_OP_STAT, TZ_WIRE_STAT, path, 0, 0, tz_slice(NULL, 0), 1, done, arg, err);
}

TzStatus
tz_box_delete(TzBox *box, const char *path, TzBoxDone done, void *arg, TzErr *err)
{
	return box_file_op(box, BOX_OP_DELETE, TZ_WIRE_DELETE, path, 0, 0, tz_slice(NULL, 0), 0, done, arg, err);
}

/* --- pause, figures --------------------------------------------------------- */

static TzStatus
box_plain_op(TzBox *box, BoxOpKind kind, TzWireType type, TzBoxDone done, void *arg, TzErr *err)
{
	unsigned char none[1];
	TzWireWriter w;
	BoxOp *op;
	TzStatus st = box_op_check(box, err);

	if (st != TZ_OK)
		return st;
	op = box_op_new(box, kind, BOX_FILE_MS, done, arg, err);
	if (op == NULL)
		return TZ_TOO_LARGE;
	tz_wire_writer(&w, none, 0);
	return box_op_start(box, op, type, &w, err);
}

TzStatus
tz_box_pause(TzBox *box, bool stop, TzBoxDone done, void *arg, TzErr *err)
{
	return box_plain_op(box, stop ? BOX_OP_PAUSE : BOX_OP_RESUME, stop ? TZ_WIRE_PAUSE : TZ_WIRE_RESUME, done,
	                    arg, err);
}

TzStatus
tz_box_metrics(TzBox *box, TzBoxDone done, void *arg, TzErr *err)
{
	return box_plain_op(box, BOX_OP_METRICS, TZ_WIRE_METRICS, done, arg, err);
}

/* --- answers ------------------------------------------------------------------ */

static const char *
box_exit_note(uint32_t reason)
{
	switch (reason)
	{
		case TZ_WIRE_TIMED_OUT:
			return "the command ran into its timeout";
		case TZ_WIRE_OUT_OF_MEMORY:
			return "the sandbox was over its memory";
		case TZ_WIRE_OUTPUT:
			return "the output was over its ceiling";
		case TZ_WIRE_TOO_MANY:
			return "the sandbox had too many processes or files";
		default:
			return NULL;
	}
}

static bool
box_on_exit(TzBox *box, BoxOp *op, const TzWireFrame *frame)
{
	TzBoxResult res;
	TzWireExit e;

	if (op->kind != BOX_OP_EXEC || op->data_sent < op->data_len || !tz_wire_get_exit(frame, &e))
		return false;
	memset(&res, 0, sizeof(res));
	res.exit_code = (int) e.code;
	if (e.code == 137 && e.reason == TZ_WIRE_SIGNALED && tz_box_cgroup_oom(box))
		e.reason = TZ_WIRE_OUT_OF_MEMORY;
	res.timed_out = e.reason == TZ_WIRE_TIMED_OUT;
	res.out_of_memory = e.reason == TZ_WIRE_OUT_OF_MEMORY;
	res.truncated = e.reason == TZ_WIRE_OUTPUT;
	res.note = box_exit_note(e.reason);
	if (res.timed_out)
		res.exit_code = 124;
	res.cpu_ms = (int64_t) (e.cpu_us / 1000);
	res.peak_rss_kb = (int64_t) e.peak_rss_kb;
	tz_box_op_finish(box, op, &res);
	return true;
}

static void
box_on_resumed(TzBox *box)
{
	int64_t stood = tz_box_now_ms() - box->paused_ms;

	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
		if (box->ops[i].kind == BOX_OP_EXEC)
			box->ops[i].deadline_ms += stood;
}

static bool
box_on_metrics(TzBox *box, const TzWireFrame *frame, TzBoxResult *res)
{
	TzWireMetrics m;
	int64_t now = tz_box_now_ms();

	if (!tz_wire_get_metrics(frame, &m))
		return false;
	res->memory_kb = (int64_t) m.memory_kb;
	res->disk_kb = (int64_t) m.disk_kb;
	res->nprocesses = (int) (m.processes & 0xffffff);
	/* Over the time since the last look. */
	if (m.cpu_us > box->last_cpu_us && now > box->last_cpu_ms)
		res->cpu_percent = (double) (m.cpu_us - box->last_cpu_us) / 10.0 / (double) (now - box->last_cpu_ms);
	box->last_cpu_us = m.cpu_us;
	box->last_cpu_ms = now;
	return true;
}

static bool
box_on_done(TzBox *box, BoxOp *op, const TzWireFrame *frame)
{
	TzBoxResult res;

	memset(&res, 0, sizeof(res));
	if (op->kind == BOX_OP_EXEC || op->data_sent < op->data_len)
		return false;
	if (op->kind == BOX_OP_METRICS ? !box_on_metrics(box, frame, &res) : frame->len != 0)
		return false;
	if (op->kind == BOX_OP_STAT && op->nentries != 1)
		return false;
	res.truncated = op->kind == BOX_OP_LIST && op->nentries >= BOX_LIST_MAX;
	if (op->kind == BOX_OP_PAUSE && !box->paused)
	{
		box->paused = true;
		box->paused_ms = tz_box_now_ms();
	}
	else if (op->kind == BOX_OP_RESUME && box->paused)
	{
		box->paused = false;
		box_on_resumed(box);
	}
	tz_box_op_finish(box, op, &res);
	return true;
}

static bool
box_on_fail(TzBox *box, BoxOp *op, const TzWireFrame *frame)
{
	TzBoxResult res;
	TzWireReader r;
	TzBuf text;
	uint32_t code;
	const char *said;
	size_t len;
	TzStatus st;

	tz_wire_reader(&r, frame->data, frame->len);
	code = tz_wire_get_u32(&r);
	said = tz_wire_get_rest(&r, TZ_WIRE_REASON_MAX, &len);
	if (said == NULL || code < TZ_WIRE_F_BAD || code > TZ_WIRE_F_SYSTEM || op->data_sent < op->data_len)
		return false;
	st = code == TZ_WIRE_F_BAD         ? TZ_BAD_INPUT
	     : code == TZ_WIRE_F_NOT_FOUND ? TZ_NOT_FOUND
	     : code == TZ_WIRE_F_TOO_LARGE ? TZ_TOO_LARGE
	                                   : TZ_UNAVAILABLE;
	memset(&res, 0, sizeof(res));
	/* File names of the box are in it: any bytes. */
	tz_buf_init(&text, 4 * TZ_WIRE_REASON_MAX);
	(void) tz_utf8_sanitize(tz_slice(said, len), &text);
	text.len = tz_utf8_cut(tz_buf_slice(&text), TZ_ERR_MESSAGE_MAX - 1);
	tz_err_set(&res.err, st, "%.*s", (int) text.len, text.data != NULL ? text.data : "");
	tz_buf_free(&text);
	tz_box_op_finish(box, op, &res);
	return true;
}

static bool
box_on_bytes(BoxOp *op, const TzWireFrame *frame)
{
	TzBuf *buf = frame->type == TZ_WIRE_STDERR ? &op->errout : &op->out;

	if (op->kind != (frame->type == TZ_WIRE_CHUNK ? BOX_OP_READ : BOX_OP_EXEC) || frame->len == 0)
		return false;
	if (op->data_sent < op->data_len || buf->len + frame->len > op->max)
		return false;
	if (tz_buf_append(buf, frame->data, frame->len) != TZ_OK)
		return false;
	if (op->output != NULL && !op->cancelled)
		op->output(op->arg, buf == &op->errout, tz_slice((const char *) frame->data, frame->len));
	return true;
}

static bool
box_on_entries(BoxOp *op, const TzWireFrame *frame)
{
	TzWireReader r;
	TzWireEntry e;

	if (op->kind != BOX_OP_LIST && op->kind != BOX_OP_STAT)
		return false;
	tz_wire_reader(&r, frame->data, frame->len);
	while (r.pos < r.len)
	{
		TzBoxEntry *out;

		if (!tz_wire_get_entry(&r, &e) || (size_t) op->nentries >= op->max ||
		    (op->entries_bytes += e.name_len) > BOX_LIST_BYTES)
			return false;
		if (op->nentries == op->entries_cap)
		{
			int cap = op->entries_cap > 0 ? op->entries_cap * 2 : 16;
			TzBoxEntry *grown = realloc(op->entries, (size_t) cap * sizeof(TzBoxEntry));

			if (grown == NULL)
				return false;
			op->entries = grown;
			op->entries_cap = cap;
		}
		out = &op->entries[op->nentries];
		out->name = strndup(e.name, e.name_len);
		if (out->name == NULL)
			return false;
		out->size = (int64_t) e.size;
		out->modified_ms = e.modified_ms;
		out->is_dir = e.is_dir;
		op->nentries++;
	}
	return true;
}

void
tz_box_op_frame(TzBox *box, const TzWireFrame *frame)
{
	BoxOp *op = box_op_find(box, frame->id);
	bool ok = false;

	if (op != NULL && box->state == BOX_READY)
		switch (frame->type)
		{
			case TZ_WIRE_STDOUT:
			case TZ_WIRE_STDERR:
			case TZ_WIRE_CHUNK:
				ok = box_on_bytes(op, frame);
				break;
			case TZ_WIRE_ENTRIES:
				ok = box_on_entries(op, frame);
				break;
			case TZ_WIRE_EXIT:
				ok = box_on_exit(box, op, frame);
				break;
			case TZ_WIRE_DONE:
				ok = box_on_done(box, op, frame);
				break;
			case TZ_WIRE_FAIL:
				ok = box_on_fail(box, op, frame);
				break;
			default:
				break;
		}
	if (!ok)
		tz_box_fail(box, TZ_BAD_ANSWER, "sandbox fault: a message of type %d out of place",
		            (int) frame->type);
}
