/* mux.c: registrations that change while events are being handled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/mux.h"

typedef struct Pair
{
	TzMux *mux;
	int fd[2];
	int calls;
	int events;
	struct Pair *victim; /* removed, closed and replaced by the callback */
	struct Pair *added;
} Pair;

static void
count(void *arg, int fd, int events)
{
	Pair *p = arg;
	char c;

	p->calls++;
	p->events |= events;
	if (events & TZ_MUX_READ)
		(void) !read(fd, &c, 1);
}

static void
pair_open(Pair *p, TzMux *mux)
{
	memset(p, 0, sizeof(*p));
	p->mux = mux;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
}

static void
pair_close(Pair *p)
{
	close(p->fd[0]);
	close(p->fd[1]);
}

static void
pair_poke(Pair *p)
{
	assert_int_equal(write(p->fd[1], "x", 1), 1);
}

/* Removes its victim, which is ready too, and puts a new socket under its number. */
static void
replace_victim(void *arg, int fd, int events)
{
	Pair *p = arg;
	Pair *v = p->victim;
	int other[2];

	count(arg, fd, events);
	if (v == NULL)
		return;
	p->victim = NULL;
	tz_mux_remove(p->mux, v->fd[0]);
	close(v->fd[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, other), 0);
	if (other[0] != v->fd[0])
	{
		assert_int_equal(dup2(other[0], v->fd[0]), v->fd[0]);
		close(other[0]);
	}
	close(v->fd[1]);
	v->fd[1] = other[1];
	assert_int_equal(tz_mux_set(p->mux, v->fd[0], TZ_MUX_READ, count, p->added), TZ_OK);
}

static void
test_read_write_hup(void **state)
{
	TzMux *mux;
	Pair p;

	(void) state;
	assert_int_equal(tz_mux_create(&mux, NULL), TZ_OK);
	pair_open(&p, mux);
	assert_int_equal(tz_mux_set(mux, p.fd[0], TZ_MUX_READ, count, &p), TZ_OK);
	assert_int_equal(tz_mux_pump(mux, 10), 0);
	pair_poke(&p);
	assert_int_equal(tz_mux_pump(mux, 10), 1);
	assert_int_equal(p.events, TZ_MUX_READ);
	assert_int_equal(tz_mux_set(mux, p.fd[0], TZ_MUX_WRITE, count, &p), TZ_OK);
	p.events = 0;
	tz_mux_pump(mux, 10);
	assert_int_equal(p.events, TZ_MUX_WRITE);
	assert_int_equal(tz_mux_set(mux, p.fd[0], 0, count, &p), TZ_OK);
	p.events = 0;
	assert_int_equal(tz_mux_pump(mux, 10), 0);
	close(p.fd[1]);
	tz_mux_pump(mux, 10);
	assert_int_equal(p.events, TZ_MUX_HUP);
	tz_mux_remove(mux, p.fd[0]);
	tz_mux_remove(mux, p.fd[0]);
	tz_mux_remove(mux, 9999);
	assert_int_equal(tz_mux_pump(mux, 10), 0);
	close(p.fd[0]);
	tz_mux_free(mux);
}

/* Whichever of the two is handled first, the other's stale event is not delivered. */
static void
test_replaced_in_the_batch(void **state)
{
	TzMux *mux;
	Pair a;
	Pair b;
	Pair fresh = {.calls = 0};

	(void) state;
	assert_int_equal(tz_mux_create(&mux, NULL), TZ_OK);
	pair_open(&a, mux);
	pair_open(&b, mux);
	a.victim = &b;
	a.added = &fresh;
	b.victim = &a;
	b.added = &fresh;
	assert_int_equal(tz_mux_set(mux, a.fd[0], TZ_MUX_READ, replace_victim, &a), TZ_OK);
	assert_int_equal(tz_mux_set(mux, b.fd[0], TZ_MUX_READ, replace_victim, &b), TZ_OK);
	pair_poke(&a);
	pair_poke(&b);
	tz_mux_pump(mux, 10);
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(fresh.calls, 0);
	pair_poke(a.calls ? &b : &a);
	tz_mux_pump(mux, 10);
	assert_int_equal(fresh.calls, 1);
	pair_close(&a);
	pair_close(&b);
	tz_mux_free(mux);
}

/* Closed without a word, and the number taken by another: the registration follows. */
static void
test_closed_without_remove(void **state)
{
	TzMux *mux;
	Pair p;
	Pair q;

	(void) state;
	assert_int_equal(tz_mux_create(&mux, NULL), TZ_OK);
	pair_open(&p, mux);
	pair_open(&q, mux);
	assert_int_equal(tz_mux_set(mux, p.fd[0], TZ_MUX_READ, count, &p), TZ_OK);
	assert_int_equal(dup2(q.fd[0], p.fd[0]), p.fd[0]);
	assert_int_equal(tz_mux_set(mux, p.fd[0], TZ_MUX_READ, count, &q), TZ_OK);
	pair_poke(&q);
	tz_mux_pump(mux, 10);
	assert_int_equal(q.calls, 1);
	assert_int_equal(p.calls, 0);
	pair_close(&p);
	pair_close(&q);
	tz_mux_free(mux);
}

static void
test_bounds(void **state)
{
	TzMux *mux;
	Pair p[20];

	(void) state;
	assert_int_equal(tz_mux_create(&mux, NULL), TZ_OK);
	assert_int_equal(tz_mux_set(mux, -1, TZ_MUX_READ, count, NULL), TZ_BAD_INPUT);
	assert_int_equal(tz_mux_set(mux, 0, TZ_MUX_READ, NULL, NULL), TZ_BAD_INPUT);
	assert_int_equal(tz_mux_set(mux, 987, TZ_MUX_READ, count, NULL), TZ_BAD_INPUT);
	for (int i = 0; i < 20; i++)
	{
		pair_open(&p[i], mux);
		assert_int_equal(tz_mux_set(mux, p[i].fd[0], TZ_MUX_READ, count, &p[i]), TZ_OK);
		pair_poke(&p[i]);
	}
	assert_int_equal(tz_mux_pump(mux, 7), 7);
	assert_int_equal(tz_mux_pump(mux, 100), 13);
	for (int i = 0; i < 20; i++)
	{
		assert_int_equal(p[i].calls, 1);
		pair_close(&p[i]);
	}
	tz_mux_free(mux);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write_hup),
		cmocka_unit_test(test_replaced_in_the_batch),
		cmocka_unit_test(test_closed_without_remove),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("mux", tests, NULL, NULL);
}
