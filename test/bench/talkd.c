/*-------------------------------------------------------------------------
 *
 * talkd.c
 *	  A slow model: many streamed answers at once, each piece with its time.
 *
 * Answers every POST as Chat Completions stream: COUNT pieces, one every
 * INTERVAL_MS, each of which says when it left, in microseconds of the monotonic
 * clock: " t123456789.". One thread, one epoll.
 *
 *	  talkd PORT INTERVAL_MS COUNT		prints "ready" once it listens
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
	int left; /* pieces of the answer under way */
	int64_t due_us; /* 0: none is */
	char in[IN_MAX];
} Conn;

static const char head[] =
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char stop[] =
	"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"slow\",\"choices\":"
	"[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"slow\",\"choices\":[],"
	"\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":10,\"total_tokens\":20}}\n\n"
	"data: [DONE]\n\n";

static Conn *conns[MAX_CONNS];
static int64_t interval_us;
static int count;

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void
drop(Conn *c)
{
	conns[c->fd] = NULL;
	close(c->fd);
	free(c);
}

/* When a caller went in the middle of an answer: "cut " and microseconds since 1970. */
static void
tell_cut(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	printf("cut %lld\n", (long long) t.tv_sec * 1000000 + t.tv_nsec / 1000);
	fflush(stdout);
}

static void
put(Conn *c, const char *data, size_t len)
{
	char out[2048];
	int n = snprintf(out, sizeof(out), "%zx\r\n%.*s\r\n", len, (int) len, data);

	/* an answer is far smaller than a socket's buffer */
	if (send(c->fd, out, (size_t) n, MSG_NOSIGNAL) != n)
	{
		tell_cut();
		drop(c);
	}
}

/* A whole request in the buffer begins an answer. */
static void
take(Conn *c)
{
	char *end = memmem(c->in, c->len, "\r\n\r\n", 4);
	char *length = end != NULL ? memmem(c->in, (size_t) (end - c->in), "Content-Length:", 15) : NULL;
	size_t whole;

	if (end == NULL || length == NULL)
		return;
	whole = (size_t) (end + 4 - c->in) + strtoul(length + 15, NULL, 10);
	if (c->len < whole)
		return;
	memmove(c->in, c->in + whole, c->len - whole);
	c->len -= whole;
	c->left = count;
	/* not all at the same moment */
	c->due_us = now_us() + interval_us * (c->fd % 100) / 100;
	if (send(c->fd, head, sizeof(head) - 1, MSG_NOSIGNAL) != (ssize_t) sizeof(head) - 1)
		drop(c);
}

static void
speak(Conn *c)
{
	char piece[512];
	char last[1024];
	int n;

	if (c->left-- > 0)
	{
		n = snprintf(
			piece, sizeof(piece),
			"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"slow\","
			"\"choices\":[{\"index\":0,\"delta\":{\"content\":\" t%lld.\"},\"finish_reason\":null}]}\n\n",
			(long long) now_us());
		c->due_us += interval_us;
		put(c, piece, (size_t) n);
		return;
	}
	c->due_us = 0;
	n = snprintf(last, sizeof(last), "%zx\r\n%s\r\n0\r\n\r\n", sizeof(stop) - 1, stop);
	if (send(c->fd, last, (size_t) n, MSG_NOSIGNAL) != n)
		drop(c);
}

static void
listen_again(int ep, int server)
{
	int on = 1;
	int fd = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN};

	if (fd < 0)
		return;
	if (fd >= MAX_CONNS || (conns[fd] = calloc(1, sizeof(Conn))) == NULL)
	{
		close(fd);
		return;
	}
	conns[fd]->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ev.data.fd = fd;
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static void
hear(Conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, IN_MAX - c->len, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN))
	{
		if (c->due_us != 0)
			tell_cut();
		drop(c);
		return;
	}
	if (n > 0)
	{
		c->len += (size_t) n;
		take(c);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	struct epoll_event events[256];
	struct epoll_event ev = {.events = EPOLLIN};
	int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int on = 1;

	if (argc < 4)
		return 2;
	interval_us = strtoll(argv[2], NULL, 10) * 1000;
	count = (int) strtol(argv[3], NULL, 10);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons((uint16_t) strtol(argv[1], NULL, 10));
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(server, (struct sockaddr *) &addr, sizeof(addr)) != 0 || listen(server, 4096) != 0)
	{
		perror("talkd");
		return 1;
	}
	ev.data.fd = server;
	epoll_ctl(ep, EPOLL_CTL_ADD, server, &ev);
	puts("ready");
	fflush(stdout);
	for (;;)
	{
		int n = epoll_wait(ep, events, 256, 1);
		int64_t now = now_us();

		for (int i = 0; i < n; i++)
		{
			if (events[i].data.fd == server)
				listen_again(ep, server);
			else if (conns[events[i].data.fd] != NULL)
				hear(conns[events[i].data.fd]);
		}
		for (int fd = 0; fd < MAX_CONNS; fd++)
			if (conns[fd] != NULL && conns[fd]->due_us != 0 && conns[fd]->due_us <= now)
				speak(conns[fd]);
	}
}
