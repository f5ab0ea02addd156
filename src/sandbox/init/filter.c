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
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "lib/seccomp.h"
#include "sandbox/init/init.h"

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

static void
filter_build(TzSeccomp *p)
{
	uint32_t eperm = SECCOMP_RET_ERRNO | EPERM;

	tz_seccomp_begin(p);
	tz_seccomp_numbers(p, filter_missing, FILTER_MISSING, SECCOMP_RET_ERRNO | ENOSYS);
	tz_seccomp_numbers(p, filter_refused, FILTER_REFUSED, eperm);

	/* clone: no new namespaces */
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
	tz_seccomp_load(p, tz_seccomp_low(0));
	tz_seccomp_add(p, BPF_JMP | BPF_JSET | BPF_K, TZ_CLONE_NEW, 0, 1);
	tz_seccomp_answer(p, eperm);
	tz_seccomp_answer(p, SECCOMP_RET_ALLOW);

	/* ioctl: no typing into terminals, no line disciplines */
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6);
	tz_seccomp_load(p, tz_seccomp_low(1));
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, IOCTL_TIOCSTI, 2, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, IOCTL_TIOCSETD, 1, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, IOCTL_TIOCLINUX, 0, 1);
	tz_seccomp_answer(p, eperm);
	tz_seccomp_answer(p, SECCOMP_RET_ALLOW);

	/* socketpair: unix only */
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_socketpair, 0, 4);
	tz_seccomp_load(p, tz_seccomp_low(0));
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1);
	tz_seccomp_answer(p, SECCOMP_RET_ALLOW);
	tz_seccomp_answer(p, eperm);

	/*
	 * socket: unix, and of the internet TCP and UDP. No netlink, packet, vsock
	 * or crypto; no protocol whose module the kernel would load for us.
	 */
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0);
	tz_seccomp_answer(p, SECCOMP_RET_ALLOW);
	tz_seccomp_load(p, tz_seccomp_low(0));
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 11, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 8);
	tz_seccomp_load(p, tz_seccomp_low(1));
	tz_seccomp_add(p, BPF_ALU | BPF_AND | BPF_K, 0xf, 0, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 1, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_DGRAM, 0, 4);
	tz_seccomp_load(p, tz_seccomp_low(2));
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 2, 0);
	tz_seccomp_add(p, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 1, 0);
	tz_seccomp_answer(p, eperm);
	tz_seccomp_answer(p, SECCOMP_RET_ALLOW);
}

/* 0, or the errno of the kernel's refusal. */
int
filter_install(void)
{
	static TzSeccomp p;

	filter_build(&p);
	return tz_seccomp_install(&p);
}
