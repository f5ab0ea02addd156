/*-------------------------------------------------------------------------
 *
 * conn.c
 *	  Connections, and how long each may take to say what it wants.
 *
 * The library ends a connection that says nothing for a while. One that says a
 * little now and then would hold its place for ever, so each request also has a
 * time by which it must be here: a fixed one for its headers, one that grows with
 * what has come for its body. No SQL, no throw.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "gateway/gateway.h"
#include "pg/guc.h"

#define BODY_BYTES_PER_MS 16 /* a body that comes more slowly is given up */

typedef enum ConnPhase
{
	CONN_HEAD, /* nothing, or a part of the headers */
	CONN_BODY,
	CONN_BUSY /* ours to go on */
} ConnPhase;

/* The library keeps it with the socket. */
typedef struct TzConn
{
	dlist_node node;
	int fd;
	ConnPhase phase;
	TimestampTz since;
	size_t received; /* of the body */
} TzConn;

static TzConn *conn_of(struct MHD_Connection *connection);

void
tz_conn_notify(void *cls, struct MHD_Connection *connection, void **context,
               enum MHD_ConnectionNotificationCode what)
{
	TzGateway *g = cls;
	TzConn *conn = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED)
	{
		conn = calloc(1, sizeof(*conn));
		*context = conn;
		if (conn == NULL)
			return;
		conn->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		conn->since = GetCurrentTimestamp();
		dlist_push_tail(&g->connections, &conn->node);
	}
	else if (conn != NULL)
	{
		dlist_delete(&conn->node);
		free(conn);
		*context = NULL;
	}
}

static TzConn *
conn_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info == NULL ? NULL : info->socket_context;
}

void
tz_conn_head(struct MHD_Connection *connection)
{
	TzConn *conn = conn_of(connection);

	if (conn == NULL)
		return;
	conn->phase = CONN_HEAD;
	conn->since = GetCurrentTimestamp();
}

void
tz_conn_body(struct MHD_Connection *connection, size_t received)
{
	TzConn *conn = conn_of(connection);

	if (conn == NULL)
		return;
	if (conn->phase != CONN_BODY)
	{
		conn->phase = CONN_BODY;
		conn->since = GetCurrentTimestamp();
		conn->received = 0;
	}
	conn->received += received;
}

void
tz_conn_busy(struct MHD_Connection *connection)
{
	TzConn *conn = conn_of(connection);

	if (conn != NULL)
		conn->phase = CONN_BUSY;
}

/* What is cut here the library finds closed in its next round. */
void
tz_conn_sweep(TzGateway *g)
{
	TimestampTz now = GetCurrentTimestamp();
	int64 patience_ms = (int64) tz_guc_gateway_idle_timeout_s * 2000;
	dlist_iter iter;

	dlist_foreach (iter, &g->connections)
	{
		TzConn *conn = dlist_container(TzConn, node, iter.cur);
		int64 allowed_ms = patience_ms;

		if (conn->phase == CONN_BUSY)
			continue;
		if (conn->phase == CONN_BODY)
			allowed_ms += (int64) (conn->received / BODY_BYTES_PER_MS);
		if ((now - conn->since) / 1000 > allowed_ms)
			(void) shutdown(conn->fd, SHUT_RDWR);
	}
}
