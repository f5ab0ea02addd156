/*-------------------------------------------------------------------------
 *
 * hearall.c
 *	  The reference for streams: as many read by bare libcurl in one process.
 *
 * Reads N answers of talkd through one multi handle on epoll for SECONDS. Prints for
 * each piece of every (N / 10)-th the microseconds since it left, the first second
 * left out, and to standard error the microseconds of processor time of a piece.
 *
 *	  hearall PORT N SECONDS
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#define EVENTS 512

typedef struct Hearer
{
	int told;
} Hearer;

static int ep;
static CURLM *multi;
static int64_t due_us = -1; /* curl's timer */
static int64_t tell_us; /* what comes before is not counted */
static long pieces;

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static int64_t
cpu_us(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * INT64_C(1000000) + ru.ru_utime.tv_usec +
	       ru.ru_stime.tv_usec;
}

/* Pieces come whole: each is one small write on the other side. */
static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	Hearer *h = arg;
	char text[4096];
	size_t len = size * n < sizeof(text) - 1 ? size * n : sizeof(text) - 1;
	int64_t now = now_us();

	memcpy(text, data, len);
	text[len] = '\0';
	for (const char *t = strstr(text, "\" t"); t != NULL && now >= tell_us; t = strstr(t + 1, "\" t"))
	{
		pieces++;
		if (h->told)
			printf("%lld\n", (long long) (now - strtoll(t + 3, NULL, 10)));
	}
	return size * n;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event ev = {.data.fd = fd};

	(void) easy;
	(void) arg;
	if (what == CURL_POLL_REMOVE)
		return epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL) * 0;
	ev.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(ep, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) != 0)
		epoll_ctl(ep, known != NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev);
	curl_multi_assign(multi, fd, &ep);
	return 0;
}

static int
on_timer(CURLM *m, long ms, void *arg)
{
	(void) m;
	(void) arg;
	due_us = ms < 0 ? -1 : now_us() + ms * INT64_C(1000);
	return 0;
}

static void
begin(const char *url, Hearer *h)
{
	CURL *easy = curl_easy_init();

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "{}");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, h);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_multi_add_handle(multi, easy);
}

/* Until that time. */
static void
hear(int64_t until)
{
	static struct epoll_event events[EVENTS];
	int running;
	int64_t now;

	while ((now = now_us()) < until)
	{
		int64_t wait = due_us >= 0 && due_us < until ? due_us - now : until - now;
		int n = epoll_wait(ep, events, EVENTS, wait > 0 ? (int) (wait / 1000 + 1) : 0);

		for (int i = 0; i < n; i++)
			curl_multi_socket_action(multi, events[i].data.fd,
			                         (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			                             (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			                             (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0),
			                         &running);
		if (due_us >= 0 && now_us() >= due_us)
		{
			due_us = -1;
			curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
	}
}

int
main(int argc, char **argv)
{
	char url[64];
	Hearer *hearers;
	int64_t cpu;
	int n;

	if (argc != 4)
		return 2;
	n = (int) strtol(argv[2], NULL, 10);
	snprintf(url, sizeof(url), "http://127.0.0.1:%s/v1/chat/completions", argv[1]);
	curl_global_init(CURL_GLOBAL_ALL);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	ep = epoll_create1(EPOLL_CLOEXEC);
	hearers = calloc((size_t) n, sizeof(Hearer));
	if (n < 10 || multi == NULL || ep < 0 || hearers == NULL)
		return 2;
	tell_us = INT64_MAX;
	for (int i = 0; i < n; i++)
	{
		hearers[i].told = i % (n / 10) == 0;
		begin(url, &hearers[i]);
	}
	hear(now_us() + 1000000);
	tell_us = now_us();
	cpu = cpu_us();
	hear(tell_us + strtol(argv[3], NULL, 10) * 1000000);
	fprintf(stderr, "%.2f\n", pieces > 0 ? (double) (cpu_us() - cpu) / (double) pieces : 0.0);
	return pieces == 0;
}
