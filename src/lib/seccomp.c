/*-------------------------------------------------------------------------
 *
 * seccomp.c
 *	  Programs that judge system calls, built step by step.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this processor"
#endif

#define X32_BIT 0x40000000

void
tz_seccomp_add(TzSeccomp *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (p->len >= TZ_SECCOMP_MAX)
	{
		p->full = true;
		return;
	}
	p->code[p->len++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
}

void
tz_seccomp_load(TzSeccomp *p, size_t offset)
{
	tz_seccomp_add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t) offset, 0, 0);
}

void
tz_seccomp_answer(TzSeccomp *p, uint32_t action)
{
	tz_seccomp_add(p, BPF_RET | BPF_K, action, 0, 0);
}

size_t
tz_seccomp_low(int arg)
{
	size_t at = offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t) arg;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	at += 4;
#endif
	return at;
}

void
tz_seccomp_numbers(TzSeccomp *p, const int *numbers, int n, uint32_t action)
{
	for (int i = 0; i < n; i++)
	{
		tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) numbers[i], 0, 1);
		tz_seccomp_answer(p, action);
	}
}

void
tz_seccomp_begin(TzSeccomp *p)
{
	memset(p, 0, sizeof(*p));
	tz_seccomp_load(p, offsetof(struct seccomp_data, arch));
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	tz_seccomp_answer(p, SECCOMP_RET_KILL_PROCESS);
	tz_seccomp_load(p, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
	tz_seccomp_add(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	tz_seccomp_answer(p, SECCOMP_RET_KILL_PROCESS);
#endif
}

int
tz_seccomp_install(TzSeccomp *p)
{
	struct sock_fprog prog = {p->len, p->code};

	if (p->full)
		return E2BIG;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0 ? 0 : errno;
}
