/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  The system call filter of a box.
 *
 * Installed by the init on itself, hence inherited by every command and never
 * to be taken off. A list of what is refused rather than of what is allowed:
 * bash, python and node must run, and the walls are the namespaces and the
 * missing capabilities. What is cut here is the kernel surface those leave
 * open, and the ways to hold memory that no limit of ours counts.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/init/init.h"

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
#define CLONE_NEW_ANY                                                                             \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
	 CLONE_NEWNET)
#define IOCTL_TIOCSTI 0x5412
#define IOCTL_TIOCLINUX 0x541C
#define IOCTL_TIOCSETD 0x5423

/* Numbers that the headers of the build may not know yet; the same on all processors since 5.1. */
#define NR_pidfd_getfd 438
#define NR_process_madvise 440
#define NR_mount_setattr 442
#define NR_quotactl_fd 443
#define NR_memfd_secret 447
#define NR_process_mrelease 448
#define NR_set_mempolicy_home_node 450
#define NR_open_tree_attr 467

/* EPERM: exists, but not for you. */
static const int filter_refused[] = {
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_move_mount,
	SYS_open_tree,
	NR_mount_setattr,
	NR_open_tree_attr,
	SYS_unshare,
	SYS_setns,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	NR_pidfd_getfd,
	NR_process_madvise,
	NR_process_mrelease,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_fanotify_init,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_open_by_handle_at,
	SYS_name_to_handle_at,
	SYS_clock_settime,
	SYS_settimeofday,
	SYS_adjtimex,
	SYS_clock_adjtime,
	SYS_swapon,
	SYS_swapoff,
	SYS_reboot,
	SYS_acct,
	SYS_syslog,
	SYS_quotactl,
	NR_quotactl_fd,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_vhangup,
	SYS_lookup_dcookie,
	SYS_mbind,
	SYS_set_mempolicy,
	SYS_migrate_pages,
	SYS_move_pages,
	NR_set_mempolicy_home_node,
#ifdef SYS_iopl
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_uselib,
	SYS_ustat,
	SYS_sysfs,
	SYS__sysctl,
#endif
};

/*
 * ENOSYS: programs fall back. clone3 hides its flags behind a pointer;
 * io_uring does I/O past the filter; memory of memfd and System V segments,
 * messages and semaphores outlives its mapping and is in nobody's figures.
 */
static const int filter_missing[] = {
	SYS_clone3,       SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
	SYS_memfd_create, NR_memfd_secret,    SYS_shmget,         SYS_shmat,
	SYS_shmctl,       SYS_msgget,         SYS_msgsnd,         SYS_msgctl,
	SYS_semget,       SYS_semctl,         SYS_semop,          SYS_semtimedop,
};

#define FILTER_REFUSED ((int) (sizeof(filter_refused) / sizeof(filter_refused[0])))
#define FILTER_MISSING ((int) (sizeof(filter_missing) / sizeof(filter_missing[0])))
#define FILTER_MAX (64 + 2 * (FILTER_REFUSED + FILTER_MISSING))

typedef struct FilterProgram
{
	struct sock_filter code[FILTER_MAX];
	unsigned short len;
} FilterProgram;

static void
filter_add(FilterProgram *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (p->len >= FILTER_MAX)
		init_die(74);
	p->code[p->len++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
}

static void
filter_load(FilterProgram *p, size_t offset)
{
	filter_add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t) offset, 0, 0);
}

static void
filter_return(FilterProgram *p, uint32_t action)
{
	filter_add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Low half of argument n; all arguments looked at are ints. */
static size_t
filter_arg(int n)
{
	size_t at = offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t) n;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	at += 4;
#endif
	return at;
}

/* The number is in the accumulator before and after. */
static void
filter_numbers(FilterProgram *p, const int *numbers, int n, uint32_t action)
{
	for (int i = 0; i < n; i++)
	{
		filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) numbers[i], 0, 1);
		filter_return(p, action);
	}
}

static void
filter_build(FilterProgram *p)
{
	uint32_t eperm = SECCOMP_RET_ERRNO | EPERM;

	memset(p, 0, sizeof(*p));
	filter_load(p, offsetof(struct seccomp_data, arch));
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0);
	filter_return(p, SECCOMP_RET_KILL_PROCESS);
	filter_load(p, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
	filter_add(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	filter_return(p, SECCOMP_RET_KILL_PROCESS);
#endif
	filter_numbers(p, filter_missing, FILTER_MISSING, SECCOMP_RET_ERRNO | ENOSYS);
	filter_numbers(p, filter_refused, FILTER_REFUSED, eperm);

	/* clone: no new namespaces */
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
	filter_load(p, filter_arg(0));
	filter_add(p, BPF_JMP | BPF_JSET | BPF_K, CLONE_NEW_ANY, 0, 1);
	filter_return(p, eperm);
	filter_return(p, SECCOMP_RET_ALLOW);

	/* ioctl: no typing into terminals, no line disciplines */
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6);
	filter_load(p, filter_arg(1));
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, IOCTL_TIOCSTI, 2, 0);
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, IOCTL_TIOCSETD, 1, 0);
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, IOCTL_TIOCLINUX, 0, 1);
	filter_return(p, eperm);
	filter_return(p, SECCOMP_RET_ALLOW);

	/* socketpair: unix only */
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_socketpair, 0, 4);
	filter_load(p, filter_arg(0));
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1);
	filter_return(p, SECCOMP_RET_ALLOW);
	filter_return(p, eperm);

	/*
	 * socket: unix, and of the internet TCP and UDP. No netlink, packet, vsock
	 * or crypto; no protocol whose module the kernel would load for us.
	 */
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0);
	filter_return(p, SECCOMP_RET_ALLOW);
	filter_load(p, filter_arg(0));
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 11, 0);
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0);
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 8);
	filter_load(p, filter_arg(1));
	filter_add(p, BPF_ALU | BPF_AND | BPF_K, 0xf, 0, 0);
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 1, 0);
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_DGRAM, 0, 4);
	filter_load(p, filter_arg(2));
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0);
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 2, 0);
	filter_add(p, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 1, 0);
	filter_return(p, eperm);
	filter_return(p, SECCOMP_RET_ALLOW);
}

/* 0, or the errno of the kernel's refusal. */
int
filter_install(void)
{
	static FilterProgram p;
	struct sock_fprog prog;

	filter_build(&p);
	prog.len = p.len;
	prog.filter = p.code;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return errno;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
		return errno;
	return 0;
}
