/*-------------------------------------------------------------------------
 *
 * parent_channel.c
 *	  What is said to the zygote, and what it says.
 *
 * Orders that do not fit wait in a queue, with the descriptor that goes along.
 * A packet that is no frame, or a frame out of its place, ends the program.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runner/parent_internal.h"

#define QUEUE_MAX 1024

static void runner_on_channel(void *arg, int fd, int events);

/* 1 sent, 0 full, -1 broken. */
static int
runner_send(TzRunner *runner, const unsigned char *packet, size_t len, int fd)
{
	union
	{
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {(void *) packet, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0)
	{
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do
		n = sendmsg(runner->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n >= 0 ? 1 : errno == EAGAIN || errno == ETOOMANYREFS ? 0 : -1;
}

TzStatus
tz_runner_interest(TzRunner *runner)
{
	if (runner->state == RUNNER_DOWN)
		return TZ_OK;
	return tz_mux_set(runner->mux, runner->fd, TZ_MUX_READ | (runner->queue != NULL ? TZ_MUX_WRITE : 0),
	                  runner_on_channel, runner);
}

/* fd is taken: closed here once it is sent. */
TzStatus
tz_runner_tell(TzRunner *runner, TzFrameType type, uint32_t id, const void *data, size_t len, int fd)
{
	RunnerPacket *p;
	int queued = 0;

	if (runner->state == RUNNER_DOWN)
	{
		if (fd >= 0)
			close(fd);
		return TZ_UNAVAILABLE;
	}
	for (p = runner->queue; p != NULL; p = p->next)
		queued++;
	p = queued < QUEUE_MAX ? malloc(sizeof(*p)) : NULL;
	if (p == NULL)
	{
		if (fd >= 0)
			close(fd);
		return TZ_NOMEM;
	}
	p->next = NULL;
	p->fd = fd;
	p->len = TZ_FRAME_HEADER + len;
	tz_frame_put_head(p->data, type, id, len);
	if (len > 0)
		memcpy(p->data + TZ_FRAME_HEADER, data, len);
	/* A broken channel is noticed where it is read. */
	if (runner->queue == NULL && runner_send(runner, p->data, p->len, fd) != 0)
	{
		if (fd >= 0)
			close(fd);
		free(p);
		return TZ_OK;
	}
	*runner->queue_tail = p;
	runner->queue_tail = &p->next;
	(void) tz_runner_interest(runner);
	return TZ_OK;
}

static void
runner_flush(TzRunner *runner)
{
	while (runner->queue != NULL)
	{
		RunnerPacket *p = runner->queue;

		if (runner_send(runner, p->data, p->len, p->fd) == 0)
			break;
		runner->queue = p->next;
		if (runner->queue == NULL)
			runner->queue_tail = &runner->queue;
		if (p->fd >= 0)
			close(p->fd);
		free(p);
	}
	(void) tz_runner_interest(runner);
}

static bool
runner_on_hello(TzRunner *runner, const TzFrameHead *head, const unsigned char *p)
{
	TzRunnerInfo *info = &runner->info;
	unsigned must = TZ_RUNNER_WALL_SECCOMP | TZ_RUNNER_WALL_CAPS;

	if (runner->state != RUNNER_STARTING || head->len != TZ_FRAME_HELLO_LEN ||
	    tz_frame_get_u32(p) != TZ_FRAME_VERSION)
		return false;
	info->walls = tz_frame_get_u32(p + 4) & ((1u << TZ_RUNNER_WALLS) - 1);
	if ((info->walls & must) != must)
		return false;
	for (int i = 0; i < TZ_RUNNER_WALLS; i++)
		info->refused[i] = p[8 + 2 * i] | p[9 + 2 * i] << 8;
	for (int i = 0; i < 24; i++)
	{
		unsigned char a = p[28 + i], b = p[52 + i];

		info->engine[i] = (char) (i < 23 && a > ' ' && a < 127 ? a : 0);
		info->engine_version[i] = (char) (i < 23 && b > ' ' && b < 127 ? b : 0);
	}
	info->mode = info->walls == (1u << TZ_RUNNER_WALLS) - 1 ? TZ_RUNNER_FULL : TZ_RUNNER_SECCOMP;
	tz_err_clear(&info->err);
	runner->state = RUNNER_UP;
	/* Time begins with the program: a run must not pay for its start. */
	for (TzRunnerRun *r = runner->runs; r != NULL; r = r->next)
		if (r->state == RUN_RUNNING)
		{
			r->begun = true;
			r->started_us = tz_runner_now_us();
			r->deadline_ms = tz_runner_now_ms() + r->time_ms + TZ_RUNNER_GRACE_MS;
		}
	return true;
}

static bool
runner_on_exited(TzRunner *runner, const TzFrameHead *head, const unsigned char *p)
{
	TzRunnerRun *r;
	int64_t cpu_us, peak_kb;

	if (head->len != TZ_FRAME_EXITED_LEN)
		return false;
	cpu_us = (int64_t) tz_frame_get_u64(p + 8);
	peak_kb = (int64_t) tz_frame_get_u64(p + 16);
	for (r = runner->runs; r != NULL && r->id != head->id; r = r->next)
		;
	if (r == NULL || r->exited || cpu_us < 0 || peak_kb < 0)
		return false;
	tz_runner_exited(r, (int) tz_frame_get_u32(p), (int) tz_frame_get_u32(p + 4), cpu_us, peak_kb);
	return true;
}

static void
runner_on_channel(void *arg, int fd, int events)
{
	TzRunner *runner = arg;
	unsigned char packet[TZ_FRAME_HEADER + TZ_FRAME_CONTROL_MAX + 1];

	(void) fd;
	if (events & TZ_MUX_WRITE)
		runner_flush(runner);
	for (int i = 0; i < RUNNER_READS_A_TURN && runner->state != RUNNER_DOWN; i++)
	{
		/* Without room for descriptors: whatever is sent along is closed by the kernel. */
		struct iovec iov = {packet, sizeof(packet)};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = recvmsg(runner->fd, &msg, MSG_DONTWAIT);
		TzFrameHead head;
		bool good;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
		{
			tz_runner_down(runner, TZ_UNAVAILABLE,
			               runner->state == RUNNER_STARTING
			                   ? "the program that runs code could not be started"
			                   : "the program that runs code has ended");
			return;
		}
		good = n >= TZ_FRAME_HEADER && (msg.msg_flags & MSG_TRUNC) == 0 && tz_frame_get_head(packet, &head) &&
		       head.len == (size_t) n - TZ_FRAME_HEADER;
		if (good && head.type == TZ_FRAME_HELLO)
			good = runner_on_hello(runner, &head, packet + TZ_FRAME_HEADER);
		else if (good && head.type == TZ_FRAME_EXITED && runner->state == RUNNER_UP)
			good = runner_on_exited(runner, &head, packet + TZ_FRAME_HEADER);
		else
			good = false;
		if (!good)
		{
			tz_runner_down(runner, TZ_UNSUPPORTED,
			               "the program that runs code does not belong to this version");
			return;
		}
	}
	tz_runner_refill(runner);
}
