/*-------------------------------------------------------------------------
 *
 * lib_server.c
 *	  A web server that misbehaves on request, in a process of its own.
 *
 * One thread per connection. What it saw is in memory shared with the test.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_server.h"

#define LAST_MAX 65536

typedef struct Shared
{
	atomic_int requests;
	atomic_int connections;
	char last[LAST_MAX];
} Shared;

struct TestServer
{
	int listener;
	int port;
	pid_t pid;
	bool tls;
	Shared *shared;
	SSL_CTX *ctx;
	char ca[64];
};

typedef struct Conn
{
	TestServer *server;
	int fd;
	SSL *ssl;
	int served;
} Conn;

static void
put(Conn *c, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, data, (int) (len > 16384 ? 16384 : len))
		                           : send(c->fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t) n;
	}
}

static ssize_t
get(Conn *c, char *data, size_t len)
{
	return c->ssl != NULL ? SSL_read(c->ssl, data, (int) len) : read(c->fd, data, len);
}

static void
puts_text(Conn *c, const char *text)
{
	put(c, text, strlen(text));
}

static void
reply(Conn *c, int status, const char *headers, const char *body)
{
	char head[4096];

	snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\n\r\n", status, headers,
	         strlen(body));
	puts_text(c, head);
	puts_text(c, body);
}

static void
reset(Conn *c)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static void
big_answer(Conn *c, long bytes, bool stated)
{
	static char chunk[65536];
	char head[128];

	memset(chunk, 'x', sizeof(chunk));
	if (stated)
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n", bytes);
	else
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	puts_text(c, head);
	for (; bytes > 0; bytes -= (long) sizeof(chunk))
		put(c, chunk, bytes > (long) sizeof(chunk) ? sizeof(chunk) : (size_t) bytes);
}

/* Does what path says; false: close the connection. */
static bool
answer(Conn *c, const char *path)
{
	static const char slow[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Slow: yes\r\n\r\nhello";
	long number = 0;
	const char *query = strchr(path, '?');

	if (query != NULL)
		number = atol(query + 1);
	if (strncmp(path, "/ok", 3) == 0)
		reply(c, 200, "Content-Type: text/plain\r\n", "hello");
	else if (strncmp(path, "/status", 7) == 0)
		reply(c, (int) number, "Retry-After: 7\r\n", "status");
	else if (strncmp(path, "/delay", 6) == 0)
	{
		usleep((useconds_t) number * 1000);
		reply(c, 200, "", "late");
	}
	else if (strncmp(path, "/slow", 5) == 0)
		for (size_t i = 0; i < sizeof(slow) - 1; i++)
		{
			put(c, slow + i, 1);
			usleep(2000);
		}
	else if (strncmp(path, "/drip", 5) == 0)
	{
		puts_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
		for (int i = 0; i < 1000; i++)
		{
			put(c, "x", 1);
			usleep(50000);
		}
	}
	else if (strncmp(path, "/half", 5) == 0)
	{
		puts_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
		return false;
	}
	else if (strncmp(path, "/big", 4) == 0)
	{
		big_answer(c, number, false);
		return false;
	}
	else if (strncmp(path, "/stated", 7) == 0)
	{
		big_answer(c, number, true);
		return false;
	}
	else if (strncmp(path, "/nothing", 8) == 0)
		return false;
	else if (strncmp(path, "/reset", 6) == 0)
	{
		reset(c);
		return false;
	}
	else if (strncmp(path, "/headers-then-reset", 19) == 0)
	{
		puts_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
		usleep(50000);
		reset(c);
		return false;
	}
	else if (strncmp(path, "/redirect", 9) == 0)
		reply(c, 302, "Location: /ok\r\n", "");
	else if (strncmp(path, "/garbage", 8) == 0)
	{
		puts_text(c, "SSH-2.0-OpenSSH_9.2\r\n\r\nnot http at all\r\n");
		return false;
	}
	else if (strncmp(path, "/many", 5) == 0)
	{
		puts_text(c, "HTTP/1.1 200 OK\r\n");
		for (int i = 0; i < 100; i++)
			puts_text(c, "X-Some: thing\r\n");
		puts_text(c, "Content-Length: 0\r\n\r\n");
	}
	else if (strncmp(path, "/endless-headers", 16) == 0)
	{
		puts_text(c, "HTTP/1.1 200 OK\r\n");
		for (int i = 0; i < 100000; i++)
			puts_text(c, "X-Some: thing that does not end\r\n");
		return false;
	}
	else if (strncmp(path, "/interim", 8) == 0)
	{
		puts_text(c, "HTTP/1.1 103 Early Hints\r\nX-Interim: 1\r\n\r\n");
		reply(c, 200, "X-Final: 1\r\n", "final");
	}
	else if (strncmp(path, "/second-dies", 12) == 0)
	{
		if (c->served > 0)
			return false;
		reply(c, 200, "", "first");
	}
	else if (strncmp(path, "/chunked", 8) == 0)
		puts_text(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	else if (strncmp(path, "/bad-chunk", 10) == 0)
	{
		puts_text(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n");
		return false;
	}
	else
		reply(c, 404, "", "no such path");
	return true;
}

static bool
read_request(Conn *c, char *buf, size_t size)
{
	size_t len = 0;
	size_t body = 0;
	char *end = NULL;
	size_t want = 0;

	for (;;)
	{
		ssize_t n = get(c, buf + len, size - len - 1);

		if (n <= 0)
			return false;
		len += (size_t) n;
		body += (size_t) n;
		buf[len] = '\0';
		if (end == NULL && (end = strstr(buf, "\r\n\r\n")) != NULL)
		{
			char *length = strcasestr(buf, "\r\ncontent-length:");

			want = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
			body = len - (size_t) (end + 4 - buf);
		}
		if (end != NULL && body >= want)
			return true;
		if (len >= size - 1)
			len = size / 2; /* a large body: its middle is not kept */
	}
}

static void *
serve(void *arg)
{
	Conn *c = arg;
	static _Thread_local char buf[LAST_MAX];
	char path[256];

	if (c->server->tls)
	{
		c->ssl = SSL_new(c->server->ctx);
		SSL_set_fd(c->ssl, c->fd);
		if (SSL_accept(c->ssl) != 1)
			goto out;
	}
	while (read_request(c, buf, sizeof(buf)))
	{
		memcpy(c->server->shared->last, buf, sizeof(buf));
		atomic_fetch_add(&c->server->shared->requests, 1);
		if (sscanf(buf, "%*15s %255s", path) != 1 || !answer(c, path))
			break;
		c->served++;
	}
out:
	if (c->ssl != NULL)
	{
		SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	close(c->fd);
	free(c);
	return NULL;
}

static void
run(TestServer *server)
{
	pthread_attr_t attr;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (;;)
	{
		int fd = accept(server->listener, NULL, NULL);
		int one = 1;
		pthread_t thread;
		Conn *c;

		if (fd < 0)
			continue;
		atomic_fetch_add(&server->shared->connections, 1);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = calloc(1, sizeof(Conn));
		c->server = server;
		c->fd = fd;
		if (pthread_create(&thread, &attr, serve, c) != 0)
		{
			close(fd);
			free(c);
		}
	}
}

/* A self-signed certificate for 127.0.0.1 and localhost, which is its own authority. */
static void
make_tls(TestServer *server)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *ext;
	X509V3_CTX v3;
	FILE *file;
	int fd;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), getpid());
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *) "theazo test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	X509V3_set_ctx(&v3, cert, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	ext = X509V3_EXT_conf_nid(NULL, &v3, NID_basic_constraints, "critical,CA:TRUE");
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	X509_sign(cert, key, EVP_sha256());

	snprintf(server->ca, sizeof(server->ca), "/tmp/theazo-test-ca-XXXXXX");
	fd = mkstemp(server->ca);
	file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (file == NULL || PEM_write_X509(file, cert) != 1)
		abort();
	fclose(file);
	server->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(server->ctx, cert);
	SSL_CTX_use_PrivateKey(server->ctx, key);
	X509_free(cert);
	EVP_PKEY_free(key);
}

TestServer *
test_server_start(bool tls, bool v6)
{
	TestServer *server = calloc(1, sizeof(TestServer));
	struct sockaddr_in6 addr6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in addr4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *addr = v6 ? (struct sockaddr *) &addr6 : (struct sockaddr *) &addr4;
	socklen_t len = v6 ? sizeof(addr6) : sizeof(addr4);

	server->tls = tls;
	server->shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	server->listener = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->listener < 0 || bind(server->listener, addr, len) != 0 || listen(server->listener, 1024) != 0)
	{
		free(server);
		return NULL;
	}
	getsockname(server->listener, addr, &len);
	server->port = ntohs(v6 ? addr6.sin6_port : addr4.sin_port);
	if (tls)
		make_tls(server);
	server->pid = fork();
	if (server->pid == 0)
		run(server);
	close(server->listener);
	return server;
}

void
test_server_stop(TestServer *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	munmap(server->shared, sizeof(Shared));
	if (server->tls)
		unlink(server->ca);
	SSL_CTX_free(server->ctx);
	free(server);
}

int
test_server_port(const TestServer *server)
{
	return server->port;
}

int
test_server_requests(const TestServer *server)
{
	return atomic_load(&server->shared->requests);
}

int
test_server_connections(const TestServer *server)
{
	return atomic_load(&server->shared->connections);
}

const char *
test_server_last(const TestServer *server)
{
	return server->shared->last;
}

const char *
test_server_ca(const TestServer *server)
{
	return server->ca;
}
