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
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner/helper/engine.h"
#include "runner/helper/helper.h"

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this processor"
#endif

#define X32_BIT 0x40000000
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define CLONE_MORE                                                                                \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
	 CLONE_NEWNET | CLONE_VM | CLONE_THREAD)
#define FILTER_MAX 160

typedef struct FilterProgram
{
	struct sock_filter code[FILTER_MAX];
	unsigned short len;
	bool full;
} FilterProgram;

static void
add(FilterProgram *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (p->len >= FILTER_MAX)
	{
		p->full = true;
		return;
	}
	p->code[p->len++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
}

static void
load(FilterProgram *p, size_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t) offset, 0, 0);
}

static void
answer(FilterProgram *p, uint32_t action)
{
	add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Of an argument; descriptors, protections and flags have no more. */
static size_t
low_half(int arg)
{
	size_t at = offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t) arg;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	at += 4;
#endif
	return at;
}

/* The number is in the accumulator before and, where none matched, after. */
static void
allow(FilterProgram *p, const int *numbers, int n)
{
	for (int i = 0; i < n; i++)
	{
		add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) numbers[i], 0, 1);
		answer(p, SECCOMP_RET_ALLOW);
	}
}

/* A call that is allowed if every need() holds: begin, needs, end. */
static unsigned short
only_if(FilterProgram *p, int number)
{
	add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) number, 0, 0);
	return (unsigned short) (p->len - 1);
}

static void
need_clear(FilterProgram *p, int arg, uint32_t bits)
{
	load(p, low_half(arg));
	add(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	answer(p, SECCOMP_RET_KILL_PROCESS);
}

static void
need_set(FilterProgram *p, int arg, uint32_t bits)
{
	load(p, low_half(arg));
	add(p, BPF_ALU | BPF_AND | BPF_K, bits, 0, 0);
	add(p, BPF_JMP | BPF_JEQ | BPF_K, bits, 1, 0);
	answer(p, SECCOMP_RET_KILL_PROCESS);
}

/* One of two values. */
static void
need_equal(FilterProgram *p, int arg, uint32_t value, uint32_t other)
{
	load(p, low_half(arg));
	add(p, BPF_JMP | BPF_JEQ | BPF_K, value, 2, 0);
	add(p, BPF_JMP | BPF_JEQ | BPF_K, other, 1, 0);
	answer(p, SECCOMP_RET_KILL_PROCESS);
}

static void
end_only_if(FilterProgram *p, unsigned short from)
{
	answer(p, SECCOMP_RET_ALLOW);
	p->code[from].jf = (uint8_t) (p->len - from - 1);
}

static void
begin(FilterProgram *p)
{
	memset(p, 0, sizeof(*p));
	load(p, offsetof(struct seccomp_data, arch));
	add(p, BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0);
	answer(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
	add(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	answer(p, SECCOMP_RET_KILL_PROCESS);
#endif
}

/* Memory of its own, never executable, never shared, never of a file. */
static void
memory(FilterProgram *p)
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

static int
install(FilterProgram *p)
{
	struct sock_fprog prog = {p->len, p->code};

	if (p->full)
		return E2BIG;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0 ? 0 : errno;
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
engine(FilterProgram *p)
{
	allow(p, engine_calls, engine_ncalls);
	for (int i = 0; i < engine_nmissing; i++)
	{
		add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) engine_missing[i], 0, 1);
		answer(p, SECCOMP_RET_ERRNO | ENOENT);
	}
}

#define COUNT(a) ((int) (sizeof(a) / sizeof((a)[0])))

int
filter_zygote(void)
{
	static FilterProgram p;
	unsigned short from;

	begin(&p);
	allow(&p, filter_run_calls, COUNT(filter_run_calls));
	allow(&p, filter_zygote_calls, COUNT(filter_zygote_calls));
	memory(&p);
	from = only_if(&p, SYS_clone);
	need_clear(&p, 0, CLONE_MORE);
	end_only_if(&p, from);
	engine(&p);
	/* Hides its flags behind a pointer; callers fall back to clone. */
	add(&p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	answer(&p, SECCOMP_RET_ERRNO | ENOSYS);
	answer(&p, SECCOMP_RET_KILL_PROCESS);
	return install(&p);
}

int
filter_run(void)
{
	static FilterProgram p;
	unsigned short from;

	begin(&p);
	from = only_if(&p, SYS_read);
	need_equal(&p, 0, RUN_FD, RUN_FD);
	end_only_if(&p, from);
	from = only_if(&p, SYS_write);
	need_equal(&p, 0, RUN_FD, engine_fd() >= 0 ? (uint32_t) engine_fd() : RUN_FD);
	end_only_if(&p, from);
	memory(&p);
	allow(&p, filter_run_calls, COUNT(filter_run_calls));
	engine(&p);
	answer(&p, SECCOMP_RET_KILL_PROCESS);
	return install(&p);
}
