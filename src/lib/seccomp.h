/*-------------------------------------------------------------------------
 *
 * seccomp.h
 *	  Programs that judge system calls, built step by step.
 *
 *	  Plain C, no allocation: linked into programs that are locked down, too.
 *	  Jumps count instructions to be skipped, as in the kernel's documentation of
 *	  classic BPF.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SECCOMP_H
#define TZ_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Namespaces that clone() can be asked for. CLONE_NEWTIME is not among them: its bit belongs to the signal there. */
#define TZ_CLONE_NEW                                                                              \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
	 CLONE_NEWNET)

#define TZ_SECCOMP_MAX 320

typedef struct TzSeccomp
{
	struct sock_filter code[TZ_SECCOMP_MAX];
	unsigned short len;
	bool full; /* something did not fit */
} TzSeccomp;

/* Kills what is called by another architecture's numbers; then the number is in the accumulator. */
extern void tz_seccomp_begin(TzSeccomp *p);
extern void tz_seccomp_add(TzSeccomp *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf);
/* Of struct seccomp_data, into the accumulator. */
extern void tz_seccomp_load(TzSeccomp *p, size_t offset);
extern void tz_seccomp_answer(TzSeccomp *p, uint32_t action);
/* Where the low half of an argument is; descriptors, protections and flags have no more. */
extern size_t tz_seccomp_low(int arg);
/* The answer for each of these numbers. The number is in the accumulator before and, where none matched, after. */
extern void tz_seccomp_numbers(TzSeccomp *p, const int *numbers, int n, uint32_t action);
/* For this process and all it starts, for ever. 0, or why not: the kernel's errno, E2BIG for what did not fit. */
extern int tz_seccomp_install(TzSeccomp *p);

#endif /* TZ_SECCOMP_H */
