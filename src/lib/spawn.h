/*-------------------------------------------------------------------------
 *
 * spawn.h
 *	  Starting a program from a process with threads and a large address space.
 *
 *	  Plain C, no allocation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SPAWN_H
#define TZ_SPAWN_H

#include <sys/types.h>

/*
 * What the child does between vfork and exec: system calls only, for the caller's
 * memory is its own until then. It ends in an exec, or sets *error and leaves with
 * _exit(). All signals are blocked while it runs.
 */
typedef void (*TzSpawnChild)(const void *plan, volatile int *error);

/* Answers the pid, or -1 with errno: also of what the child could not do. */
extern pid_t tz_spawn(TzSpawnChild child, const void *plan);

/* For the child: signals as a program expects them, and a session of its own. */
extern void tz_spawn_reset(void);
/* For the child, right before exec: closes every descriptor from first on, and lets signals in. */
extern void tz_spawn_ready(int first);

#endif /* TZ_SPAWN_H */
