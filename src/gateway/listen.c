/*-------------------------------------------------------------------------
 *
 * listen.c
 *	  The sockets that gateway workers accept from.
 *
 * The postmaster opens each once and its children inherit it, so all workers of
 * a database share one queue of new connections: whoever is idle accepts, and a
 * worker that died leaves nobody behind in a queue of its own. Connections that
 * come while the server restarts after a crash wait in it.
 *
 * There is no TLS here. Beyond loopback a proxy has to end it, and somebody has
 * to say that it does: keys would travel in the clear otherwise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "gateway/listen.h"
#include "pg/guc.h"

#define LISTEN_MAX 64
#define LISTEN_BACKLOG 1024
#define LISTEN_TEXT 160

typedef struct Listen
{
	char database[NAMEDATALEN]; /* empty: of whichever database asks first */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	int port;
	int fd;
	char trouble[LISTEN_TEXT]; /* empty: none */
} Listen;

static Listen listens[LISTEN_MAX];
static int nlistens = 0;

static void listen_read(const char *item, size_t len);
static bool read_address(const char *text, size_t len, Listen *out);
static bool is_loopback(const Listen *one);
static void listen_open(Listen *one, const char *text);

void
tz_listen_init(void)
{
	const char *p = tz_guc_gateway_listen == NULL ? "" : tz_guc_gateway_listen;

	if (tz_guc_gateway_workers == 0)
		return;
	while (*p != '\0')
	{
		size_t blank = strspn(p, ", \t\r\n");
		size_t len = strcspn(p + blank, ", \t\r\n");

		if (len > 0)
			listen_read(p + blank, len);
		p += blank + len;
	}
}

int
tz_listen_entry(const char *dbname)
{
	for (int i = 0; i < nlistens; i++)
		if (strcmp(listens[i].database, dbname) == 0)
			return i;
	for (int i = 0; i < nlistens; i++)
		if (listens[i].database[0] == '\0')
			return i;
	return -1;
}

const char *
tz_listen_trouble(int entry)
{
	if (entry < 0)
		return "theazo.gateway_listen has no address for this database";
	return listens[entry].trouble[0] != '\0' ? listens[entry].trouble : NULL;
}

int
tz_listen_fd(int entry)
{
	return listens[entry].fd;
}

int
tz_listen_port(int entry)
{
	return listens[entry].port;
}

/* One item of the list. What is wrong with it is logged, and stands in the places of its workers. */
static void
listen_read(const char *item, size_t len)
{
	char *text = pnstrdup(item, len);
	char *equals = strchr(text, '=');
	const char *address = equals != NULL ? equals + 1 : text;
	Listen *one = &listens[nlistens];

	if (nlistens == LISTEN_MAX)
	{
		ereport(LOG, (errmsg("theazo.gateway_listen has more than %d addresses", LISTEN_MAX)));
		return;
	}
	memset(one, 0, sizeof(*one));
	one->fd = -1;
	if (equals != NULL)
		strlcpy(one->database, text, Min((size_t) (equals - text) + 1, sizeof(one->database)));
	if (!read_address(address, strlen(address), one))
		snprintf(one->trouble, sizeof(one->trouble), "not an address and a port: \"%.80s\"", address);
	else if (!is_loopback(one) && !tz_guc_gateway_tls_in_front)
		snprintf(one->trouble, sizeof(one->trouble),
		         "%.60s is not loopback: put a TLS proxy in front and say so by theazo.gateway_tls_in_front",
		         address);
	else
		listen_open(one, address);
	if (one->trouble[0] != '\0')
		ereport(
			LOG,
			(errmsg("theazo gateway does not listen: %s", one->trouble),
		     errhint(
				 "theazo.gateway_listen is a list of [database=]address:port; addresses are numeric, those of IPv6 stand in brackets.")));
	nlistens++;
	pfree(text);
}

/* 127.0.0.1:8787 or [::1]:8787. */
static bool
read_address(const char *text, size_t len, Listen *out)
{
	const char *colon = len > 0 ? strrchr(text, ':') : NULL;
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_in *v4 = (struct sockaddr_in *) &out->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &out->addr;
	size_t host_len;
	char *end;
	long port;

	if (colon == NULL || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtol(colon + 1, &end, 10);
	host_len = (size_t) (colon - text);
	if (*end != '\0' || port < 1 || port > 65535 || host_len == 0)
		return false;
	out->port = (int) port;
	if (text[0] == '[' && colon[-1] == ']' && host_len >= 4 && host_len - 2 < sizeof(host))
	{
		memcpy(host, text + 1, host_len - 2);
		host[host_len - 2] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t) port);
		out->addr_len = sizeof(*v6);
		return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
	}
	if (host_len >= sizeof(host))
		return false;
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t) port);
	out->addr_len = sizeof(*v4);
	return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

static bool
is_loopback(const Listen *one)
{
	if (one->addr.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) &one->addr)->sin6_addr);
	return (ntohl(((const struct sockaddr_in *) &one->addr)->sin_addr.s_addr) >> 24) == 127;
}

/* The server starts without it: the gateway is no reason to keep everything else away. */
static void
listen_open(Listen *one, const char *text)
{
	int on = 1;
	int fd = socket(one->addr.ss_family, SOCK_STREAM, 0);

	if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (one->addr.ss_family != AF_INET6 ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, (struct sockaddr *) &one->addr, one->addr_len) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
	{
		one->fd = fd;
		ereport(LOG, (errmsg("theazo gateway listens on %s", text)));
		return;
	}
	snprintf(one->trouble, sizeof(one->trouble), "cannot listen on %.60s: %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
}
