/*-------------------------------------------------------------------------
 *
 * stub.c
 *	  A program in the place of theazo-runner that says whatever it is told to.
 *
 * Zygote and runs are one process. The code of a run is a list of lines:
 *	  hex 0a0b...			these bytes
 *	  frame TYPE ID TEXT	a frame with this text
 *	  fill N BYTE			N times that byte, as far as it can be sent
 *	  times N TYPE ID TEXT	N frames
 *	  slow HEX				one byte every 20 ms
 *	  wait MS | close | exited STATUS | mute (never reports the end) | die
 * Its name says how it starts: stub-version, stub-nowall, stub-silent, stub-garbage, stub-early, stub-long,
 * stub-twice.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runner/frame.h"

#define CHANNEL 3
#define RUNS 64

static struct
{
	int fd;
	uint32_t id;
	bool used;
	bool mute;
} runs[RUNS];

static char name[64];

static bool
is(const char *what)
{
	return strstr(name, what) != NULL;
}

static void
nap(int ms)
{
	struct timespec ts = {ms / 1000, (long) (ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

static void
tell(TzFrameType type, uint32_t id, const void *data, size_t len)
{
	unsigned char packet[512];

	tz_frame_put_head(packet, type, id, len);
	memcpy(packet + TZ_FRAME_HEADER, data, len);
	(void) !send(CHANNEL, packet, TZ_FRAME_HEADER + len, MSG_NOSIGNAL);
}

static void
exited(uint32_t id, int status)
{
	unsigned char p[TZ_FRAME_EXITED_LEN] = {0};

	tz_frame_put_u32(p, (uint32_t) status);
	tell(TZ_FRAME_EXITED, id, p, sizeof(p));
}

static void
hello(void)
{
	unsigned char p[TZ_FRAME_HELLO_LEN] = {0};

	tz_frame_put_u32(p, is("stub-version") ? TZ_FRAME_VERSION + 1 : TZ_FRAME_VERSION);
	tz_frame_put_u32(p + 4, is("stub-nowall") ? 2 : 3);
	memset(p + 28, 'x', 48);
	if (is("stub-garbage"))
		(void) !send(CHANNEL, "garbage", 7, 0);
	tell(TZ_FRAME_HELLO, 0, p, sizeof(p) - (is("stub-long") ? 1 : 0));
	if (is("stub-twice"))
		tell(TZ_FRAME_HELLO, 0, p, sizeof(p));
}

static void
put(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0)
	{
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		p += n;
		len -= (size_t) n;
	}
}

static void
frame(int fd, long type, long id, const char *text)
{
	unsigned char head[TZ_FRAME_HEADER];

	tz_frame_put_head(head, (TzFrameType) type, (uint32_t) id, strlen(text));
	put(fd, head, sizeof(head));
	put(fd, text, strlen(text));
}

static void
hex(int fd, const char *s, int pause_ms)
{
	for (; s[0] != '\0' && s[1] != '\0'; s += 2)
	{
		char pair[3] = {s[0], s[1], 0};
		unsigned char c = (unsigned char) strtoul(pair, NULL, 16);

		put(fd, &c, 1);
		if (pause_ms > 0)
			nap(pause_ms);
	}
}

static void
line(int r, char *s)
{
	char *rest = strchr(s, ' ');
	int fd = runs[r].fd;

	rest = rest != NULL ? rest + 1 : s + strlen(s);
	if (strncmp(s, "hex ", 4) == 0)
		hex(fd, rest, 0);
	else if (strncmp(s, "slow ", 5) == 0)
		hex(fd, rest, 20);
	else if (strncmp(s, "frame ", 6) == 0 || strncmp(s, "times ", 6) == 0)
	{
		long n = s[0] == 't' ? strtol(rest, &rest, 10) : 1, type = strtol(rest, &rest, 10),
			 id = strtol(rest, &rest, 10);

		for (long i = 0; i < n; i++)
			frame(fd, type, id + (type == TZ_FRAME_CALL ? i : 0), *rest == ' ' ? rest + 1 : rest);
	}
	else if (strncmp(s, "fill ", 5) == 0)
	{
		long n = strtol(rest, &rest, 10);
		char c = (char) strtol(rest, NULL, 10), block[4096];

		memset(block, c, sizeof(block));
		for (; n > 0; n -= (long) sizeof(block))
			put(fd, block, n < (long) sizeof(block) ? (size_t) n : sizeof(block));
	}
	else if (strncmp(s, "wait ", 5) == 0)
		nap((int) strtol(rest, NULL, 10));
	else if (strcmp(s, "close") == 0)
		shutdown(fd, SHUT_RDWR);
	else if (strncmp(s, "exited ", 7) == 0)
	{
		exited(runs[r].id, (int) strtol(rest, NULL, 10));
		runs[r].used = false;
	}
	else if (strcmp(s, "mute") == 0)
		runs[r].mute = true;
	else if (strcmp(s, "die") == 0)
		_exit(1);
}

static bool
take(int fd, void *data, size_t len)
{
	char *p = data;

	while (len > 0)
	{
		ssize_t n = read(fd, p, len);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t) n;
	}
	return true;
}

static void
work(int r)
{
	unsigned char head[TZ_FRAME_HEADER];
	TzFrameHead h;
	char *p = NULL, *save = NULL;

	if (take(runs[r].fd, head, sizeof(head)) && tz_frame_get_head(head, &h) &&
	    (p = calloc(1, h.len + 1)) != NULL && take(runs[r].fd, p, h.len) && h.type == TZ_FRAME_RUN)
	{
		char *code = p + TZ_FRAME_RUN_HEAD + tz_frame_get_u32((unsigned char *) p + 8);

		for (char *s = strtok_r(code, "\n", &save); s != NULL; s = strtok_r(NULL, "\n", &save))
			line(r, s);
	}
	free(p);
	if (runs[r].used && !runs[r].mute)
	{
		exited(runs[r].id, 0);
		runs[r].used = false;
	}
	close(runs[r].fd);
	runs[r].fd = -1;
}

static void
order(void)
{
	unsigned char packet[512];
	union
	{
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {packet, sizeof(packet)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(CHANNEL, &msg, 0);
	struct cmsghdr *c;
	TzFrameHead h;
	int fd = -1;

	if (n < TZ_FRAME_HEADER)
		_exit(0);
	(void) tz_frame_get_head(packet, &h);
	c = CMSG_FIRSTHDR(&msg);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	for (int i = 0; i < RUNS; i++)
	{
		if (h.type == TZ_FRAME_SPAWN && !runs[i].used)
		{
			runs[i].fd = fd;
			runs[i].id = h.id;
			runs[i].used = true;
			runs[i].mute = false;
			if (is("stub-early"))
				frame(fd, TZ_FRAME_DONE_OK, 0, "1");
			break;
		}
		if (h.type == TZ_FRAME_KILL && runs[i].used && runs[i].id == h.id && !runs[i].mute)
		{
			exited(h.id, 9);
			runs[i].used = false;
			if (runs[i].fd >= 0)
				close(runs[i].fd);
			runs[i].fd = -1;
		}
	}
}

int
main(void)
{
	char path[4096] = {0};

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) > 0 && strrchr(path, '/') != NULL)
		snprintf(name, sizeof(name), "%s", strrchr(path, '/'));
	for (int i = 0; i < RUNS; i++)
		runs[i].fd = -1;
	if (is("stub-silent"))
		nap(60000);
	hello();
	for (;;)
	{
		struct pollfd p[RUNS + 1];

		p[0] = (struct pollfd){.fd = CHANNEL, .events = POLLIN};
		for (int i = 0; i < RUNS; i++)
			p[i + 1] = (struct pollfd){.fd = runs[i].used ? runs[i].fd : -1, .events = POLLIN};
		if (poll(p, RUNS + 1, -1) <= 0)
			continue;
		if (p[0].revents != 0)
			order();
		for (int i = 0; i < RUNS; i++)
			if (p[i + 1].revents != 0 && runs[i].used && runs[i].fd >= 0)
				work(i);
	}
}
