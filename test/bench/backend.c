/*-------------------------------------------------------------------------
 *
 * backend.c
 *	  CPU time that a backend spends on each of two statements.
 *
 * They are executed in turn, prepared, so that other programs on the machine
 * disturb both alike; only the backend's own time is counted. Connects as
 * libpq's environment says.
 *
 *	  backend ROUNDS CALLS STATEMENT STATEMENT
 *
 * Prints microseconds a call of each, the median of the rounds.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 1000

static PGconn *conn;

static void
fail(const char *what)
{
	fprintf(stderr, "backend: %s: %s", what, PQerrorMessage(conn));
	exit(1);
}

static double
spent(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	static const char *const names[2] = {"a", "b"};
	static double took[2][ROUNDS_MAX];
	clockid_t clock;
	int rounds = argc == 5 ? atoi(argv[1]) : 0;
	int calls = argc == 5 ? atoi(argv[2]) : 0;

	if (rounds < 1 || rounds > ROUNDS_MAX || calls < 1)
	{
		fprintf(stderr, "usage: backend ROUNDS CALLS STATEMENT STATEMENT\n");
		return 2;
	}
	conn = PQconnectdb("");
	if (PQstatus(conn) != CONNECTION_OK)
		fail("cannot connect");
	if (clock_getcpuclockid(PQbackendPID(conn), &clock) != 0)
	{
		fprintf(stderr, "backend: no clock of another process\n");
		return 1;
	}
	for (int i = 0; i < 2; i++)
	{
		PGresult *r = PQprepare(conn, names[i], argv[3 + i], 0, NULL);

		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			fail("cannot prepare");
		PQclear(r);
	}
	/* the first round warms up */
	for (int round = -1; round < rounds; round++)
	{
		for (int i = 0; i < 2; i++)
		{
			double before = spent(clock);

			for (int n = 0; n < calls; n++)
			{
				PGresult *r = PQexecPrepared(conn, names[i], 0, NULL, NULL, NULL, 0);

				if (PQresultStatus(r) != PGRES_TUPLES_OK)
					fail("cannot execute");
				PQclear(r);
			}
			if (round >= 0)
				took[i][round] = (spent(clock) - before) / calls;
		}
	}
	for (int i = 0; i < 2; i++)
	{
		qsort(took[i], (size_t) rounds, sizeof(double), compare);
		printf("%.3f\n", took[i][rounds / 2]);
	}
	PQfinish(conn);
	return 0;
}
