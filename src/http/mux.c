/*-------------------------------------------------------------------------
 *
 * mux.c
 *	  Inner epoll whose one descriptor stands for all that come and go.
 *
 * A callback may close its descriptor, and the kernel may give the same number
 * to a new socket before the batch of events read earlier is used up. So each
 * registration has a generation, which travels in the event: an event of an
 * earlier generation is dropped. The table of registrations grows while
 * callbacks run, so nothing keeps a pointer into it across a call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef __linux__
#error "mux.c knows epoll only; a kqueue variant would go here"
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "http/mux.h"

#define MUX_FD_MAX (1 << 20) /* far above any sane RLIMIT_NOFILE */
#define MUX_BATCH 256

typedef struct MuxEntry
{
	TzMuxCallback cb; /* NULL: not registered */
	void *arg;
	uint32_t generation;
} MuxEntry;

struct TzMux
{
	int epfd;
	int nentries;
	MuxEntry *entries; /* by descriptor */
};

static TzStatus mux_grow(TzMux *mux, int fd);
static uint32_t mux_mask(int events);
static int mux_dispatch(TzMux *mux, const struct epoll_event *ev);

/* The caller owns the result and frees it with tz_mux_free. */
TzStatus
tz_mux_create(TzMux **out, TzErr *err)
{
	TzMux *mux = calloc(1, sizeof(TzMux));

	*out = NULL;
	if (mux == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	mux->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (mux->epfd < 0)
	{
		int e = errno;

		free(mux);
		return tz_err_set(err, TZ_UNAVAILABLE, "could not create an epoll descriptor: %s", strerror(e));
	}
	*out = mux;
	return TZ_OK;
}

/* Forgets all registrations; the registered descriptors stay open. */
void
tz_mux_free(TzMux *mux)
{
	if (mux == NULL)
		return;
	close(mux->epfd);
	free(mux->entries);
	free(mux);
}

int
tz_mux_fd(const TzMux *mux)
{
	return mux->epfd;
}

/*
 * Registers fd, or changes what it waits for. With no events asked for, only
 * TZ_MUX_HUP is reported.
 */
TzStatus
tz_mux_set(TzMux *mux, int fd, int events, TzMuxCallback cb, void *arg)
{
	struct epoll_event ev;
	MuxEntry *entry;
	TzStatus status;
	bool known;
	int rc;

	if (fd < 0 || fd >= MUX_FD_MAX || cb == NULL)
		return TZ_BAD_INPUT;
	status = mux_grow(mux, fd);
	if (status != TZ_OK)
		return status;
	entry = &mux->entries[fd];
	known = entry->cb != NULL;
	if (!known)
		entry->generation++;

	memset(&ev, 0, sizeof(ev));
	ev.events = mux_mask(events);
	ev.data.u64 = ((uint64_t) entry->generation << 32) | (uint32_t) fd;
	rc = epoll_ctl(mux->epfd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
	if (rc < 0 && known && errno == ENOENT)
		rc = epoll_ctl(mux->epfd, EPOLL_CTL_ADD, fd, &ev);
	else if (rc < 0 && !known && errno == EEXIST)
		rc = epoll_ctl(mux->epfd, EPOLL_CTL_MOD, fd, &ev);
	if (rc < 0)
		return errno == ENOMEM || errno == ENOSPC ? TZ_NOMEM : TZ_BAD_INPUT;

	entry->cb = cb;
	entry->arg = arg;
	return TZ_OK;
}

/* Harmless for a descriptor that is not registered or already closed. */
void
tz_mux_remove(TzMux *mux, int fd)
{
	if (fd < 0 || fd >= mux->nentries || mux->entries[fd].cb == NULL)
		return;
	(void) epoll_ctl(mux->epfd, EPOLL_CTL_DEL, fd, NULL);
	mux->entries[fd].cb = NULL;
	mux->entries[fd].arg = NULL;
}

/* Handles what is ready now; returns the number of events read. */
int
tz_mux_pump(TzMux *mux, int max)
{
	struct epoll_event events[MUX_BATCH];
	int total = 0;

	while (total < max)
	{
		int want = max - total < MUX_BATCH ? max - total : MUX_BATCH;
		int n = epoll_wait(mux->epfd, events, want, 0);

		if (n <= 0)
			break;
		for (int i = 0; i < n; i++)
			(void) mux_dispatch(mux, &events[i]);
		total += n;

		/*
		 * A full batch means there may be more; anything else waits for the
		 * next turn, or an always-ready descriptor would hold us here.
		 */
		if (n < want)
			break;
	}
	return total;
}

static int
mux_dispatch(TzMux *mux, const struct epoll_event *ev)
{
	int fd = (int) (uint32_t) ev->data.u64;
	uint32_t generation = (uint32_t) (ev->data.u64 >> 32);
	MuxEntry entry;
	int events = 0;

	if (fd >= mux->nentries)
		return 0;
	entry = mux->entries[fd];
	if (entry.cb == NULL || entry.generation != generation)
		return 0;
	if (ev->events & (EPOLLIN | EPOLLPRI))
		events |= TZ_MUX_READ;
	if (ev->events & EPOLLOUT)
		events |= TZ_MUX_WRITE;
	if (ev->events & (EPOLLERR | EPOLLHUP))
		events |= TZ_MUX_HUP;
	entry.cb(entry.arg, fd, events);
	return 1;
}

static uint32_t
mux_mask(int events)
{
	return ((events & TZ_MUX_READ) ? EPOLLIN : 0) | ((events & TZ_MUX_WRITE) ? EPOLLOUT : 0);
}

static TzStatus
mux_grow(TzMux *mux, int fd)
{
	int want = mux->nentries > 0 ? mux->nentries : 64;
	MuxEntry *grown;

	if (fd < mux->nentries)
		return TZ_OK;
	while (want <= fd)
		want *= 2;
	grown = realloc(mux->entries, (size_t) want * sizeof(MuxEntry));
	if (grown == NULL)
		return TZ_NOMEM;
	memset(grown + mux->nentries, 0, (size_t) (want - mux->nentries) * sizeof(MuxEntry));
	mux->entries = grown;
	mux->nentries = want;
	return TZ_OK;
}
