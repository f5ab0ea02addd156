/*-------------------------------------------------------------------------
 *
 * helper.h
 *	  Parts of the program that runs code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNNER_HELPER_H
#define TZ_RUNNER_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runner/parent.h"

/* The one descriptor: of the zygote its channel, of a run its socket. */
#define RUN_FD 3

/* What stands and what was refused, for HELLO. */
typedef struct Jail
{
	unsigned walls; /* TZ_RUNNER_WALL_* */
	int refused[TZ_RUNNER_WALLS]; /* errno, by bit */
} Jail;

/*
 * Everything up to the filter. Comes back in the process that is to be the zygote, PID 1 of its own namespace where that
 * is granted; the process it was called in stays behind and ends with it. Exits where something that must be is not.
 */
extern void jail_enter(Jail *jail);
/* The filters: the zygote's, and on top of it a run's. 0 or errno. */
extern int filter_zygote(void);
extern int filter_run(void);

extern void zygote_main(Jail *jail) __attribute__((noreturn));
/* Never returns: ends with the run. */
extern void run_main(void) __attribute__((noreturn));

/* A step without which nothing may run has failed: to the log of whoever started us, by the exit status. */
#define EXIT_NO_CHANNEL 71
#define EXIT_NO_PRIVILEGES 72 /* privileges could not be given up */
#define EXIT_NO_FILTER 73
#define EXIT_NO_ENGINE 74
#define EXIT_NO_FORK 75

#endif /* TZ_RUNNER_HELPER_H */
