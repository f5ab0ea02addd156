/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  System calls of the zygote and of a run.
 *
 * Lists of what is allowed; all else kills the process. The run's filter comes
 * on top of the zygote's, and where two filters answer the stricter one holds.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/seccomp.h"
#include "runner/helper/engine.h"
#include "runner/helper/helper.h"

#define CLONE_MORE (TZ_CLONE_NEW | CLONE_VM | CLONE_THREAD)

/* A call that is allowed if every need() holds: begin, needs, end. */
static unsigned short
only_if(TzSeccomp *p, int number)
{
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) number, 0, 0);
	return (unsigned short) (p->len - 1);
}

static void
need_clear(TzSeccomp *p, int arg, uint32_t bits)
{
	tz_seccomp_load(p, tz_seccomp_low(arg));
	tz_seccomp_add(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	tz_seccomp_answer(p, SECCOMP_RET_KILL_PROCESS);
}

static void
need_set(TzSeccomp *p, int arg, uint32_t bits)
{
	tz_seccomp_load(p, tz_seccomp_low(arg));
	tz_seccomp_add(p, BPF_ALU | BPF_AND | BPF_K, bits, 0, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, bits, 1, 0);
	tz_seccomp_answer(p, SECCOMP_RET_KILL_PROCESS);
}

/* One of two values. */
static void
need_equal(TzSeccomp *p, int arg, uint32_t value, uint32_t other)
{
	tz_seccomp_load(p, tz_seccomp_low(arg));
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, value, 2, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, other, 1, 0);
	tz_seccomp_answer(p, SECCOMP_RET_KILL_PROCESS);
}

static void
end_only_if(TzSeccomp *p, unsigned short from)
{
	tz_seccomp_answer(p, SECCOMP_RET_ALLOW);
	p->code[from].jf = (uint8_t) (p->len - from - 1);
}

/* Memory of its own, never executable, never shared, never of a file. */
static void
memory(TzSeccomp *p)
{
	unsigned short from = only_if(p, SYS_mmap);

	need_clear(p, 2, PROT_EXEC);
	need_set(p, 3, MAP_PRIVATE | MAP_ANONYMOUS);
	/* Neither what the limit of data does not count nor what others have set aside. */
	need_clear(p, 3, MAP_SHARED | MAP_GROWSDOWN | MAP_HUGETLB);
	end_only_if(p, from);
	from = only_if(p, SYS_mprotect);
	need_clear(p, 2, PROT_EXEC);
	end_only_if(p, from);
}

/* Any argument. */
static const int filter_run_calls[] = {
	SYS_munmap,    SYS_mremap,       SYS_brk,  SYS_clock_gettime,
	SYS_getrandom, SYS_rt_sigreturn, SYS_exit, SYS_exit_group,
};

static const int filter_zygote_calls[] = {
	SYS_read,        SYS_write,        SYS_recvmsg,        SYS_sendmsg,     SYS_ppoll,   SYS_wait4,
	SYS_kill,        SYS_close,        SYS_dup3,           SYS_prlimit64,   SYS_seccomp, SYS_prctl,
	SYS_setpriority, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_sigaltstack, SYS_getppid,
#ifdef SYS_dup2
	SYS_dup2,
#endif
};

/* What the engine makes of its own. */
static void
engine(TzSeccomp *p)
{
	tz_seccomp_numbers(p, engine_calls, engine_ncalls, SECCOMP_RET_ALLOW);
	for (int i = 0; i < engine_nmissing; i++)
	{
		tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) engine_missing[i], 0, 1);
		tz_seccomp_answer(p, SECCOMP_RET_ERRNO | ENOENT);
	}
}

#define COUNT(a) ((int) (sizeof(a) / sizeof((a)[0])))

int
filter_zygote(void)
{
	static TzSeccomp p;
	unsigned short from;

	tz_seccomp_begin(&p);
	tz_seccomp_numbers(&p, filter_run_calls, COUNT(filter_run_calls), SECCOMP_RET_ALLOW);
	tz_seccomp_numbers(&p, filter_zygote_calls, COUNT(filter_zygote_calls), SECCOMP_RET_ALLOW);
	memory(&p);
	from = only_if(&p, SYS_clone);
	need_clear(&p, 0, CLONE_MORE);
	end_only_if(&p, from);
	engine(&p);
	/* Hides its flags behind a pointer; callers fall back to clone. */
	tz_seccomp_add(&p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	tz_seccomp_answer(&p, SECCOMP_RET_ERRNO | ENOSYS);
	tz_seccomp_answer(&p, SECCOMP_RET_KILL_PROCESS);
	return tz_seccomp_install(&p);
}

int
filter_run(void)
{
	static TzSeccomp p;
	unsigned short from;

	tz_seccomp_begin(&p);
	from = only_if(&p, SYS_read);
	need_equal(&p, 0, RUN_FD, RUN_FD);
	end_only_if(&p, from);
	from = only_if(&p, SYS_write);
	need_equal(&p, 0, RUN_FD, engine_fd() >= 0 ? (uint32_t) engine_fd() : RUN_FD);
	end_only_if(&p, from);
	memory(&p);
	tz_seccomp_numbers(&p, filter_run_calls, COUNT(filter_run_calls), SECCOMP_RET_ALLOW);
	engine(&p);
	tz_seccomp_answer(&p, SECCOMP_RET_KILL_PROCESS);
	return tz_seccomp_install(&p);
}
