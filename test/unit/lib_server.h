/* A web server that misbehaves on request, in a process of its own. */
#ifndef TZ_TEST_SERVER_H
#define TZ_TEST_SERVER_H

#include <stdbool.h>

typedef struct TestServer TestServer;

/* Listens on 127.0.0.1 (or ::1); the path of a request says what to do. tls: with a fresh certificate. */
extern TestServer *test_server_start(bool tls, bool v6);
extern void test_server_stop(TestServer *server);
extern int test_server_port(const TestServer *server);
/* Requests whose head arrived so far, and connections accepted. */
extern int test_server_requests(const TestServer *server);
extern int test_server_connections(const TestServer *server);
/* Head and body of the last request. */
extern const char *test_server_last(const TestServer *server);
/* File with the authority that signed a TLS server's certificate. */
extern const char *test_server_ca(const TestServer *server);

#endif
