/*-------------------------------------------------------------------------
 *
 * mux.h
 *	  One inner epoll behind one descriptor: the only OS #ifdef.
 *
 * A WaitEventSet can gain sockets but never lose one, so everything whose
 * sockets come and go (libcurl, sandboxes) registers here, and only
 * tz_mux_fd() is in the worker's WaitEventSet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_MUX_H
#define TZ_MUX_H

#include "lib/buf.h"

#define TZ_MUX_READ 1
#define TZ_MUX_WRITE 2
#define TZ_MUX_HUP 4

typedef struct TzMux TzMux;

/* Runs inside tz_mux_pump; may add, change or remove any descriptor, its own too. */
typedef void (*TzMuxCallback)(void *arg, int fd, int events);

extern TzStatus tz_mux_create(TzMux **out, TzErr *err);
extern void tz_mux_free(TzMux *mux);
extern int tz_mux_fd(const TzMux *mux);
extern TzStatus tz_mux_set(TzMux *mux, int fd, int events, TzMuxCallback cb, void *arg);
extern void tz_mux_remove(TzMux *mux, int fd);
/* Never blocks; handles at most max events; returns how many. */
extern int tz_mux_pump(TzMux *mux, int max);

#endif /* TZ_MUX_H */
