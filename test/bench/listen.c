/*-------------------------------------------------------------------------
 *
 * listen.c
 *	  The reference for commit to start: LISTEN, then SKIP LOCKED, by hand.
 *
 * The shortest way a client can have from somebody else's commit to the start
 * of work. Takes rows of bench_listen one by one and stamps them; ends after
 * COUNT rows. Connects as libpq's environment says.
 *
 *	  listen COUNT
 *
 *-------------------------------------------------------------------------
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKE                                                                                                \
	"WITH j AS (SELECT id FROM bench_listen WHERE state = 'r' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) " \
	"UPDATE bench_listen q SET state = 'a', started_at = clock_timestamp() FROM j WHERE q.id = j.id RETURNING q.id"

static void
need(PGconn *conn, PGresult *res, ExecStatusType want)
{
	if (PQresultStatus(res) != want)
	{
		fprintf(stderr, "listen: %s", PQerrorMessage(conn));
		exit(1);
	}
	PQclear(res);
}

int
main(int argc, char **argv)
{
	long left = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	PGconn *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "listen: %s", PQerrorMessage(conn));
		return 1;
	}
	need(conn, PQexec(conn, "LISTEN bench"), PGRES_COMMAND_OK);
	need(conn, PQprepare(conn, "take", TAKE, 0, NULL), PGRES_COMMAND_OK);
	puts("ready");
	fflush(stdout);
	while (left > 0)
	{
		PGnotify *note;
		PGresult *res;
		int got;

		do
		{
			res = PQexecPrepared(conn, "take", 0, NULL, NULL, NULL, 0);
			got = PQntuples(res);
			need(conn, res, PGRES_TUPLES_OK);
			left -= got;
		} while (got > 0 && left > 0);
		if (left <= 0)
			break;
		while ((note = PQnotifies(conn)) == NULL)
		{
			struct pollfd p = {.fd = PQsocket(conn), .events = POLLIN};

			if (poll(&p, 1, 10000) <= 0)
			{
				fputs("listen: nothing for ten seconds\n", stderr);
				return 1;
			}
			if (!PQconsumeInput(conn))
				return 1;
		}
		PQfreemem(note);
	}
	PQfinish(conn);
	return 0;
}
