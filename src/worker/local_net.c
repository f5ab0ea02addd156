/*-------------------------------------------------------------------------
 *
 * local_net.c
 *	  Connections that programs in sandboxes ask for.
 *
 * Allowed by the list of the sandbox, judged and dialled by relay.c, recorded in
 * any case: what cannot be recorded is refused.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/local_internal.h"

#define CONNS_PER_BOX 64

static void
conn_free(LocalConn *c)
{
	LocalConn **at = &c->box->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->box->nconns--;
	free(c);
}

/* The connection belongs to the newest command under way. */
static const TzLocalJob *
box_current(const LocalBox *b)
{
	for (const TzLocalJob *job = b->jobs; job != NULL; job = job->next)
	{
		if (strcmp(job->effect->op, "exec") == 0)
			return job;
	}
	return NULL;
}

static bool
conn_record(const LocalConn *c, const char *address, bool allowed, const char *reason)
{
	const LocalBox *b = c->box;
	TzLocalConnection conn = {
		.platform_id = b->platform_id,
		.root_id = c->root_id,
		.sandbox_id = b->sandbox_id,
		.agent_id = b->agent_id,
		.run_id = c->run_id,
		.host = c->host,
		.port = c->port,
		.address = address,
		.allowed = allowed,
		.reason = reason,
	};

	return b->local->cb.connection(b->local->cb.arg, &conn);
}

static void
conn_refuse(LocalConn *c, const char *address, const char *reason)
{
	conn_record(c, address, false, reason);
	tz_box_connect_deny(c->box->box, c->conn, reason);
	conn_free(c);
}

static void
conn_dialled(void *arg, const TzRelayResult *res)
{
	LocalConn *c = arg;

	c->dial = NULL;
	if (res->err.status != TZ_OK)
	{
		conn_refuse(c, res->address, res->err.message);
		return;
	}
	if (!conn_record(c, res->address, true, ""))
	{
		close(res->fd);
		tz_box_connect_deny(c->box->box, c->conn, "too many connections wait to be recorded");
		conn_free(c);
		return;
	}
	tz_box_connect_allow(c->box->box, c->conn, res->fd);
	conn_free(c);
}

/* A program inside asks to connect. */
void
tz_local_box_connect(void *arg, TzBox *box, uint32_t conn, const char *host, int port)
{
	LocalBox *b = arg;
	const TzLocalJob *job = box_current(b);
	LocalConn *c;
	TzErr err;

	if (b->doomed || b->nconns >= CONNS_PER_BOX || (c = calloc(1, sizeof(LocalConn))) == NULL)
	{
		tz_box_connect_deny(box, conn, "too many connections are being opened");
		return;
	}
	c->box = b;
	c->conn = conn;
	c->port = port;
	snprintf(c->host, sizeof(c->host), "%s", host);
	snprintf(c->root_id, sizeof(c->root_id), "%s", job != NULL ? job->effect->root_id : b->root_id);
	snprintf(c->run_id, sizeof(c->run_id), "%s", job != NULL && job->run_id != NULL ? job->run_id : "");
	c->next = b->conns;
	b->conns = c;
	b->nconns++;
	if (!b->network || strlen(host) >= sizeof(c->host) ||
	    !tz_hostlist_match((const char *const *) b->rules, b->nrules, host, port))
	{
		conn_refuse(c, "", "the host is not in the sandbox's list of allowed hosts");
		return;
	}
	tz_err_clear(&err);
	if (tz_relay_dial(b->local->relay, b->platform_id, host, port, b->allow_private, conn_dialled, c,
	                  &c->dial, &err) != TZ_OK)
		conn_refuse(c, "", err.message);
}

void
tz_local_conns_drop(LocalBox *b)
{
	while (b->conns != NULL)
	{
		if (b->conns->dial != NULL)
			tz_relay_cancel(b->conns->dial);
		conn_free(b->conns);
	}
}
