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
 *
 * The first piece of each reader is left out, and all it gets with that: it may have come late.
 *
 *-------------------------------------------------------------------------
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
