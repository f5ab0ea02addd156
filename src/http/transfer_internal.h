/*-------------------------------------------------------------------------
 *
 * transfer_internal.h
 *	  What the files of a transfer share.
 *
 * Not for others: they include http/transfer.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_HTTP_TRANSFER_INTERNAL_H
#define TZ_HTTP_TRANSFER_INTERNAL_H

#include "http/transfer.h"

/* ---- transfer_connect.c ---- */

/* May libcurl send it a second time by itself? */
extern bool tz_transfer_may_repeat(const TzHttpRequest *req);
/* Callbacks: a socket for an address, and just before the request is written. */
extern curl_socket_t tz_transfer_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr);
extern int tz_transfer_departure(void *arg, char *peer, char *local, int peer_port, int local_port);

/* ---- transfer_answer.c: callbacks ---- */

extern size_t tz_transfer_body(char *data, size_t size, size_t n, void *arg);
extern size_t tz_transfer_header(char *data, size_t size, size_t n, void *arg);

/* ---- transfer_end.c ---- */

/* It departed, and yet nothing was written. */
extern bool tz_transfer_surely_unsent(TzHttpCall *call, CURLcode code);
/* Why it failed, into the answer's error; never a URL or a header. */
extern void tz_transfer_explain(TzHttpCall *call, CURLcode code);

#endif /* TZ_HTTP_TRANSFER_INTERNAL_H */
