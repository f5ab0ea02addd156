/*-------------------------------------------------------------------------
 *
 * loopd.c
 *	  The far end of the HTTP measurements: one thread, one epoll.
 *
 * Answers every request on loopback with the same small JSON document, at
 * once or after the milliseconds that stand in the path as "/delay/N". Where the
 * path ends with /chat/completions it is a model without latency that asks for the
 * tool report_progress five times and then answers. All contenders of a
 * measurement talk to this program, so its cost cancels out.
 *
 *	  loopd PORT		prints "ready" once it listens
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS 4096
#define IN_MAX 65536

typedef struct Conn
{
	int fd;
	size_t len;
	int64_t due_ms; /* 0: nothing waits */
	char in[IN_MAX];
} Conn;

static const char answer[] =
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 71\r\n\r\n"
	"{\"sandboxId\":\"sb\",\"metadata\":{},\"stdout\":\"ok\",\"stderr\":\"\",\"exitCode\":0}";

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nx-request-id: req_bench\r\nContent-Length: %zu\r\n\r\n"
#define ENVELOPE \
	"{\"id\":\"chatcmpl-b\",\"object\":\"chat.completion%s\",\"created\":1767225600,\"model\":\"bench-1\","
#define USAGE "\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":20,\"total_tokens\":220}"
#define CALL \
	"\"id\":\"call_%d\",\"type\":\"function\",\"function\":{\"name\":\"report_progress\",\"arguments\":\"{\\\"message\\\":\\\"on it\\\"}\"}"
#define TURNS 5

static Conn *conns[MAX_CONNS];
static int nwaiting;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
drop(Conn *c)
{
	if (c->due_ms)
		nwaiting--;
	conns[c->fd] = NULL;
	close(c->fd);
	free(c);
}

/* The length of a whole request at the start of the buffer, or 0. */
static size_t
whole_request(Conn *c, int *delay)
{
	char *end = memmem(c->in, c->len, "\r\n\r\n", 4);
	char *p;
	size_t head, body = 0;

	if (!end)
		return 0;
	head = (size_t) (end - c->in) + 4;
	*end = '\0';
	if ((p = strcasestr(c->in, "\r\ncontent-length:")) != NULL)
		body = strtoul(p + 17, NULL, 10);
	*delay = 0;
	if ((p = strstr(c->in, "/delay/")) != NULL)
		*delay = (int) strtol(p + 7, NULL, 10);
	*end = '\r';
	return c->len >= head + body ? head + body : 0;
}

/* One event, or the whole of an unstreamed answer. */
static void
say(char *body, size_t size, int turn, int stream)
{
	const char *role = stream ? "delta" : "message";
	size_t len = strlen(body);
	char *at = body + len;

	size -= len;
	len = (size_t) snprintf(at, size, "%s" ENVELOPE, stream ? "data: " : "", stream ? ".chunk" : "");
	if (turn < TURNS)
		len += (size_t) snprintf(
			at + len, size - len,
			"\"choices\":[{\"index\":0,\"%s\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{%s" CALL
			"}]},\"finish_reason\":\"tool_calls\"}]",
			role, stream ? "\"index\":0," : "", turn);
	else
		len += (size_t) snprintf(
			at + len, size - len,
			"\"choices\":[{\"index\":0,\"%s\":{\"role\":\"assistant\",\"content\":\"Done.\"},\"finish_reason\":\"stop\"}]",
			role);
	if (stream)
		snprintf(at + len, size - len, "}\n\ndata: " ENVELOPE "\"choices\":[]," USAGE "}\n\ndata: [DONE]\n\n",
		         ".chunk");
	else
		snprintf(at + len, size - len, "," USAGE "}");
}

/* The model: its turn is how many results of tools it has been told. */
static int
answer_model(Conn *c, size_t request)
{
	char body[4096] = "", out[8192];
	int turn = 0, stream = memmem(c->in, request, "\"stream\":true", 13) != NULL;
	const char *p = c->in;
	size_t len;

	while ((p = memmem(p, request - (size_t) (p - c->in), "\"role\":\"tool\"", 13)) != NULL)
	{
		turn++;
		p += 13;
	}
	say(body, sizeof(body), turn, stream);
	len = (size_t) snprintf(out, sizeof(out), HEAD "%s", stream ? "text/event-stream" : "application/json",
	                        strlen(body), body);
	return write(c->fd, out, len) == (ssize_t) len ? 0 : -1;
}

static int
serve(Conn *c)
{
	for (;;)
	{
		int delay = 0, model;
		size_t n;

		if (c->due_ms)
			return 0;
		n = whole_request(c, &delay);
		if (n == 0)
			return 0;
		model = memmem(c->in, n < 200 ? n : 200, "/chat/completions ", 18) != NULL;
		if (model && answer_model(c, n) < 0)
			return -1;
		memmove(c->in, c->in + n, c->len - n);
		c->len -= n;
		if (model)
			continue;
		if (delay > 0)
		{
			c->due_ms = now_ms() + delay;
			nwaiting++;
			return 0;
		}
		if (write(c->fd, answer, sizeof(answer) - 1) != (ssize_t) sizeof(answer) - 1)
			return -1;
	}
}

static void
readable(Conn *c)
{
	ssize_t n = read(c->fd, c->in + c->len, IN_MAX - c->len);

	if (n <= 0)
	{
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		drop(c);
		return;
	}
	c->len += (size_t) n;
	if (serve(c) < 0 || c->len == IN_MAX)
		drop(c);
}

static void
answer_waiting(void)
{
	int64_t now = now_ms();

	for (int i = 0; i < MAX_CONNS && nwaiting > 0; i++)
	{
		Conn *c = conns[i];

		if (!c || c->due_ms == 0 || c->due_ms > now)
			continue;
		c->due_ms = 0;
		nwaiting--;
		if (write(c->fd, answer, sizeof(answer) - 1) < 0 || serve(c) < 0)
			drop(c);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event ev = {.events = EPOLLIN}, evs[256];
	int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
		ep = epoll_create1(EPOLL_CLOEXEC), one = 1;

	if (argc != 2)
		return 2;
	addr.sin_port = htons((uint16_t) strtoul(argv[1], NULL, 10));
	setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(ls, (struct sockaddr *) &addr, sizeof(addr)) != 0 || listen(ls, 1024) != 0)
	{
		perror("loopd");
		return 1;
	}
	ev.data.fd = ls;
	epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
	puts("ready");
	fflush(stdout);
	for (;;)
	{
		int n = epoll_wait(ep, evs, 256, nwaiting ? 1 : -1);

		for (int i = 0; i < n; i++)
		{
			int fd = evs[i].data.fd;

			if (fd != ls)
			{
				if (conns[fd])
					readable(conns[fd]);
				continue;
			}
			while ((fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
			{
				if (fd >= MAX_CONNS || (conns[fd] = calloc(1, sizeof(Conn))) == NULL)
				{
					close(fd);
					continue;
				}
				conns[fd]->fd = fd;
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				ev.events = EPOLLIN;
				ev.data.fd = fd;
				epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
			}
		}
		if (nwaiting)
			answer_waiting();
	}
}
