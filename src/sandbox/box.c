/*-------------------------------------------------------------------------
 *
 * box.c
 *	  A box from create to destroy, as its parent sees it.
 *
 * One isolation program per box, inside it our init, between us one socket.
 * Whatever is wrong with a box (a frame that a correct init does not send, a
 * deadline that passed without an answer, the socket closed) has one end: kill
 * it, answer everything that is pending, tell the owner.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/box_internal.h"
#include "lib/utf8.h"

static void box_on_stderr(void *arg, int fd, int events);

int64_t
tz_box_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *
tz_box_mode_name(TzBoxMode mode)
{
	return mode == TZ_BOX_FULL ? "full" : mode == TZ_BOX_NAMESPACES ? "namespaces" : "none";
}

static void
box_free(TzBox *box)
{
	for (BoxFrame *f = box->queue, *next; f != NULL; f = next)
	{
		next = f->next;
		free(f);
	}
	for (int i = 0; i < box->nenv; i++)
	{
		explicit_bzero(box->env[i], strlen(box->env[i]));
		free(box->env[i]);
	}
	free(box->env);
	free(box);
}

/* Around everything that may call back: the owner may destroy the box meanwhile. */
void
tz_box_enter(TzBox *box)
{
	box->depth++;
}

void
tz_box_leave(TzBox *box)
{
	if (--box->depth == 0 && box->doomed)
		box_free(box);
}

/* Processes, descriptors and connections; idempotent. */
static void
box_stop(TzBox *box)
{
	box->state = BOX_DEAD;
	tz_box_relay_close_all(box);
	if (box->err_fd >= 0)
	{
		tz_mux_remove(box->mux, box->err_fd);
		close(box->err_fd);
		box->err_fd = -1;
	}
	if (box->fd >= 0)
	{
		tz_mux_remove(box->mux, box->fd);
		close(box->fd);
		box->fd = -1;
	}
	tz_box_kill(box);
	tz_box_cgroup_remove(box);
}

static void
box_answer_all(TzBox *box, const TzErr *err)
{
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		TzBoxResult res;

		if (box->ops[i].kind == BOX_OP_FREE)
			continue;
		memset(&res, 0, sizeof(res));
		res.err = *err;
		tz_box_op_finish(box, &box->ops[i], &res);
	}
}

/* What the isolation program said on its stderr, one line, fit for a message. */
static void
box_stderr_text(TzBox *box, TzBuf *out)
{
	char *s = box->err_text;

	if (box->err_fd >= 0)
		box_on_stderr(box, box->err_fd, TZ_MUX_READ);
	while (box->err_len > 0 && (unsigned char) s[box->err_len - 1] <= ' ')
		box->err_len--;
	for (size_t i = 0; i < box->err_len; i++)
		if ((unsigned char) s[i] < ' ')
			s[i] = ' ';
	(void) tz_utf8_sanitize(tz_slice(s, box->err_len < 300 ? box->err_len : 300), out);
}

/* Something does not work: what to change, by what the isolation program said. */
static const char *
box_start_hint(const char *said)
{
	static const struct
	{
		const char *part;
		const char *hint;
	} table[] = {
		{"No permissions to create new namespace",
	     "Allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1 and user.max_user_namespaces > 0; in a container a seccomp profile that permits unshare and mount."},
		{"Creating new namespace failed",
	     "Raise sysctl user.max_user_namespaces and the other user.max_*_namespaces; remove RestrictNamespaces= from the server's unit."},
		{"setting up uid map",
	     "Allow unprivileged user namespaces; on Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for bwrap."},
		{"RTM_NEWADDR",
	     "On Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for bwrap."},
		{"mount proc", "The container masks /proc; run it with an unmasked /proc."},
		{"max_user_namespaces", "The container's /proc/sys is read-only; make it writable at its start."},
		{"Unknown option", "Install bubblewrap 0.8 or newer."},
		{"execvp", "The init program must be readable and executable by the server's user."},
		{"Can't find source path", "Install the extension completely, or set theazo.sandbox_init."},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strstr(said, table[i].part) != NULL)
			return table[i].hint;
	return "Look into the view theazo.sandbox_preflight for what this machine offers, or configure another compute provider.";
}

void
tz_box_fail(TzBox *box, TzStatus status, const char *fmt, ...)
{
	BoxState was = box->state;
	TzErr err;
	TzBuf said;
	char text[TZ_ERR_MESSAGE_MAX];
	va_list ap;

	if (was == BOX_DEAD)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tz_err_clear(&err);
	tz_err_set(&err, status, "%s", text);

	tz_box_enter(box);
	tz_buf_init(&said, 2048);
	if (was == BOX_STARTING)
		box_stderr_text(box, &said);
	box_stop(box);
	if (was == BOX_STARTING)
	{
		TzBoxResult res;

		memset(&res, 0, sizeof(res));
		if (said.len > 0)
			tz_err_detail(&err, "%s", said.data);
		tz_err_hint(&err, "%s", box_start_hint(said.len > 0 ? said.data : ""));
		box_answer_all(box, &err);
		res.err = err;
		if (box->ready != NULL)
			box->ready(box->ready_arg, &res);
	}
	else
	{
		box_answer_all(box, &err);
		if (!box->doomed && box->cb.gone != NULL)
			box->cb.gone(box->cb.arg, box, &err);
	}
	tz_buf_free(&said);
	tz_box_leave(box);
}

static void
box_on_stderr(void *arg, int fd, int events)
{
	TzBox *box = arg;
	char more[512];
	ssize_t n;

	(void) events;
	while ((n = read(fd, more, sizeof(more))) > 0)
	{
		size_t room = sizeof(box->err_text) - box->err_len;

		if ((size_t) n > room)
			n = (ssize_t) room;
		memcpy(box->err_text + box->err_len, more, (size_t) n);
		box->err_len += (size_t) n;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
	{
		tz_mux_remove(box->mux, fd);
		close(fd);
		box->err_fd = -1;
	}
}

static TzStatus
box_check_config(const TzBoxConfig *c, TzErr *err)
{
	if (c->mode == TZ_BOX_NONE)
	{
		tz_err_set(err, TZ_UNSUPPORTED, "local sandboxes need unprivileged user namespaces");
		tz_err_hint(
			err,
			"Configure another compute provider, or change the machine as the view theazo.sandbox_preflight says.");
		return TZ_UNSUPPORTED;
	}
	if (c->init_path == NULL || c->bwrap_path == NULL || c->init_path[0] != '/' || c->bwrap_path[0] != '/')
		return tz_err_set(err, TZ_BAD_INPUT, "the paths of the sandbox programs must be absolute");
	if (c->memory_bytes <= 0 || c->disk_bytes <= 0 || c->file_bytes < 0 || c->processes <= 0 ||
	    c->processes > 100000 || c->open_files < 8 || c->cpu_seconds < 0)
		return tz_err_set(err, TZ_BAD_INPUT, "sandbox limits must be positive");
	if (c->nenv < 0 || c->nenv > TZ_WIRE_ARGS_MAX / 2)
		return tz_err_set(err, TZ_TOO_LARGE, "too many environment variables");
	return TZ_OK;
}

static TzStatus
box_configure(TzBox *box, const TzBoxConfig *config)
{
	unsigned char out[64];
	TzWireConfig c = {.memory_bytes = (uint64_t) config->memory_bytes,
	                  .file_bytes = (uint64_t) config->file_bytes,
	                  .processes = (uint32_t) config->processes,
	                  .open_files = (uint32_t) config->open_files,
	                  .cpu_seconds = (uint32_t) config->cpu_seconds,
	                  .network = config->network ? 1 : 0};
	size_t len = tz_wire_put_config(out, sizeof(out), &c);

	box->env = calloc((size_t) config->nenv + 1, sizeof(char *));
	if (box->env == NULL)
		return TZ_NOMEM;
	for (; box->nenv < config->nenv; box->nenv++)
		if ((box->env[box->nenv] = strdup(config->env[box->nenv])) == NULL)
			return TZ_NOMEM;
	tz_box_send(box, TZ_WIRE_CONFIG, 0, out, len);
	return TZ_OK;
}

TzStatus
tz_box_create(const TzBoxConfig *config, TzMux *mux, const TzBoxCallbacks *cb, TzBoxDone ready, void *arg,
              TzBox **out, TzErr *err)
{
	TzBox *box;
	TzStatus st;

	*out = NULL;
	st = box_check_config(config, err);
	if (st != TZ_OK)
		return st;
	box = calloc(1, sizeof(*box));
	if (box == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	box->mux = mux;
	if (cb != NULL)
		box->cb = *cb;
	box->ready = ready;
	box->ready_arg = arg;
	box->fd = box->err_fd = box->pidfd = -1;
	box->queue_tail = &box->queue;
	box->created_ms = box->last_cpu_ms = tz_box_now_ms();
	box->start_deadline_ms = box->created_ms + BOX_START_MS;
	box->memory_bytes = config->memory_bytes;
	box->processes = config->processes;
	for (int i = 0; i < TZ_WIRE_CONNS_MAX; i++)
	{
		box->conns[i].box = box;
		box->conns[i].fd = -1;
	}

	/* Not to be told of by a callback: whoever called gets the error here. */
	box->depth++;
	st = tz_box_cgroup_make(box, config, err);
	if (st == TZ_OK)
		st = tz_box_spawn(box, config, err);
	if (st == TZ_OK && (tz_box_interest(box) != TZ_OK ||
	                    tz_mux_set(mux, box->err_fd, TZ_MUX_READ, box_on_stderr, box) != TZ_OK))
		st = tz_err_set(err, TZ_NOMEM, "out of memory");
	if (st == TZ_OK && box_configure(box, config) != TZ_OK)
		st = tz_err_set(err, TZ_NOMEM, "out of memory");
	box->depth--;
	if (st != TZ_OK)
	{
		box_stop(box);
		box_free(box);
		return st;
	}
	*out = box;
	return TZ_OK;
}

void
tz_box_destroy(TzBox *box)
{
	TzErr err;

	if (box == NULL || box->doomed)
		return;
	box->doomed = true;
	box->cb.gone = NULL;
	tz_box_enter(box);
	box_stop(box);
	tz_err_clear(&err);
	tz_err_set(&err, TZ_CANCELLED, "the sandbox was destroyed");
	box_answer_all(box, &err);
	tz_box_leave(box);
}

int
tz_box_running(const TzBox *box)
{
	int n = 0;

	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
		n += box->ops[i].kind == BOX_OP_EXEC;
	return n;
}

static bool
box_wants_sample(const TzBox *box)
{
	return box->state == BOX_READY && box->sample_outside && !box->paused &&
	       (box->outside_busy || tz_box_running(box) > 0);
}

static int64_t
box_deadline(const TzBox *box)
{
	int64_t due = INT64_MAX;

	if (box->state == BOX_STARTING)
		due = box->start_deadline_ms;
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		const BoxOp *op = &box->ops[i];

		if (op->kind == BOX_OP_FREE || (op->kind == BOX_OP_EXEC && box->paused))
			continue;
		if (op->deadline_ms < due)
			due = op->deadline_ms;
	}
	if (box_wants_sample(box) && box->next_sample_ms < due)
		due = box->next_sample_ms;
	return due;
}

int
tz_box_timeout(const TzBox *box)
{
	int64_t due = box_deadline(box), now = tz_box_now_ms();

	if (box->state == BOX_DEAD || due == INT64_MAX)
		return -1;
	if (due <= now)
		return 0;
	return due - now > 3600000 ? 3600000 : (int) (due - now);
}

/*
 * We may have been stopped ourselves, with the answer waiting in the socket
 * since: who is late for the first time gets another second.
 */
static bool
box_overdue(TzBox *box, int64_t now)
{
	bool overdue = false;

	if (box->state == BOX_STARTING && now >= box->start_deadline_ms)
	{
		overdue = box->start_late;
		box->start_late = true;
		box->start_deadline_ms = now + BOX_LATE_MS;
	}
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		BoxOp *op = &box->ops[i];

		if (op->kind == BOX_OP_FREE || (op->kind == BOX_OP_EXEC && box->paused) || now < op->deadline_ms)
			continue;
		overdue = overdue || op->late;
		op->late = true;
		op->deadline_ms = now + BOX_LATE_MS;
	}
	return overdue;
}

void
tz_box_tick(TzBox *box)
{
	int64_t now = tz_box_now_ms();

	if (box->state == BOX_DEAD)
		return;
	tz_box_enter(box);
	if (box_wants_sample(box) && now >= box->next_sample_ms)
		tz_box_sample(box, now);
	if (box->state != BOX_DEAD && box_overdue(box, now))
	{
		if (box->state == BOX_STARTING)
			tz_box_fail(box, TZ_TIMEOUT, "the sandbox did not start within %d seconds", BOX_START_MS / 1000);
		else
			tz_box_fail(box, TZ_UNAVAILABLE, "the sandbox stopped answering");
	}
	tz_box_leave(box);
}

bool
tz_box_alive(const TzBox *box)
{
	return box->state != BOX_DEAD;
}
