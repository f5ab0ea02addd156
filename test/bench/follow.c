/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  How long a piece of an answer takes to its readers.
 *
 * Follows the runs named on standard input, one connection each, to their ends, and
 * prints for each piece the microseconds since it left talkd. Connects as libpq's
 * environment says.
 *
 *	  follow KEY < runs
 *	  follow -t PORT N		the reference: N answers read from talkd by hand
 *
 * The first piece of each reader is left out, and all it gets with that: it may have come late.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define READERS_MAX 64
#define FOLLOW "SELECT seq, type, data ->> 'text' FROM theazo.run_follow($1, $2::bigint, api_key => $3)"

typedef struct Reader
{
	PGconn *conn;
	char run[64];
	char after[32];
	int begun;
	int ended;
} Reader;

static const char *key;

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* All that is in the text, unless it may be old. */
static void
tell(Reader *r, const char *text, int64_t now)
{
	int begun = r->begun;

	for (const char *t = strstr(text, " t"); t != NULL; t = strstr(t + 1, " t"))
	{
		r->begun = 1;
		if (begun)
			printf("%lld\n", (long long) (now - strtoll(t + 2, NULL, 10)));
	}
	fflush(stdout); /* whoever measures ends us */
}

/* Pieces come whole: each is one small write on the other side. */
static int
by_hand(int port, int n)
{
	static const char request[] = "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
	static Reader readers[READERS_MAX];
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	struct pollfd fds[READERS_MAX];
	static char buf[65536];
	int left = n;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < n; i++)
	{
		fds[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		fds[i].events = POLLIN;
		if (connect(fds[i].fd, (struct sockaddr *) &addr, sizeof(addr)) != 0 ||
		    send(fds[i].fd, request, sizeof(request) - 1, 0) < 0)
			return 1;
	}
	while (left > 0 && poll(fds, (nfds_t) n, 60000) > 0)
	{
		for (int i = 0; i < n; i++)
		{
			ssize_t got;

			if (!(fds[i].revents & (POLLIN | POLLHUP)))
				continue;
			got = recv(fds[i].fd, buf, sizeof(buf) - 1, 0);
			buf[got > 0 ? got : 0] = '\0';
			tell(&readers[i], buf, now_us());
			if (got <= 0 || strstr(buf, "[DONE]") != NULL)
			{
				fds[i].fd = -1;
				left--;
			}
		}
	}
	return left > 0;
}

static void
ask(Reader *r)
{
	const char *values[] = {r->run, r->after, key};

	if (!PQsendQueryPrepared(r->conn, "follow", 3, values, NULL, NULL, 0))
	{
		fprintf(stderr, "follow: %s", PQerrorMessage(r->conn));
		exit(1);
	}
}

static void
hear(Reader *r, PGresult *res)
{
	int64_t now = now_us();

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
	{
		fprintf(stderr, "follow: %s", PQerrorMessage(r->conn));
		exit(1);
	}
	for (int i = 0; i < PQntuples(res); i++)
	{
		const char *type = PQgetvalue(res, i, 1);
		const char *text = PQgetvalue(res, i, 2);

		snprintf(r->after, sizeof(r->after), "%s", PQgetvalue(res, i, 0));
		r->ended |= strcmp(type, "done") == 0 || strcmp(type, "error") == 0;
		tell(r, text, now);
	}
}

static int
start(Reader *r)
{
	r->conn = PQconnectdb("");
	strcpy(r->after, "0");
	if (PQstatus(r->conn) != CONNECTION_OK)
	{
		fprintf(stderr, "follow: %s", PQerrorMessage(r->conn));
		exit(1);
	}
	PQclear(PQprepare(r->conn, "follow", FOLLOW, 0, NULL));
	ask(r);
	return PQsocket(r->conn);
}

int
main(int argc, char **argv)
{
	static Reader readers[READERS_MAX];
	struct pollfd fds[READERS_MAX];
	int n = 0;
	int left;

	if (argc < 2)
		return 2;
	if (argc > 3 && strcmp(argv[1], "-t") == 0)
		return by_hand((int) strtol(argv[2], NULL, 10), (int) strtol(argv[3], NULL, 10));
	key = argv[1];
	while (n < READERS_MAX && scanf("%63s", readers[n].run) == 1)
	{
		fds[n].fd = start(&readers[n]);
		fds[n].events = POLLIN;
		n++;
	}
	left = n;
	while (left > 0 && poll(fds, (nfds_t) n, 60000) > 0)
	{
		for (int i = 0; i < n; i++)
		{
			PGresult *res;

			if (!(fds[i].revents & (POLLIN | POLLHUP)))
				continue;
			PQconsumeInput(readers[i].conn);
			if (PQisBusy(readers[i].conn))
				continue;
			while ((res = PQgetResult(readers[i].conn)) != NULL)
			{
				hear(&readers[i], res);
				PQclear(res);
			}
			if (!readers[i].ended)
			{
				ask(&readers[i]);
				continue;
			}
			fds[i].fd = -1;
			left--;
		}
	}
	return left > 0;
}
