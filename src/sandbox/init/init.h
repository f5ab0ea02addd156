/*-------------------------------------------------------------------------
 *
 * init.h
 *	  What the parts of PID 1 of a box share.
 *
 * A static program of its own: one thread, one poll loop, no library of ours
 * beyond the wire. It runs as the box's user behind the same filter as the
 * commands, so that a mistake here gives nothing a command does not have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_INIT_H
#define TZ_INIT_H

#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/wire.h"

#define INIT_SOCKET 3 /* inherited from the parent */
#define INIT_RELAY_PORT 3128
#define INIT_WORKSPACE "/workspace"
#define INIT_RUN_DIR "/run/theazo" /* program text and stdin of running commands */
#define INIT_WRITE_PREFIX ".theazo-write-"
#define INIT_POLL_MAX (4 + 3 * TZ_WIRE_OPS_MAX + TZ_WIRE_CONNS_MAX)
#define INIT_FILES_MAX 100000 /* inodes of the whole box: each costs kernel memory no size limits */
#define INIT_MONITORS_MAX 256

typedef enum InitOpKind
{
	INIT_FREE = 0,
	INIT_EXEC,
	INIT_READ,
	INIT_WRITE,
	INIT_LIST
} InitOpKind;

/* A stream of a command on its way to the parent. */
typedef struct InitStream
{
	int fd; /* -1: closed */
	uint64_t sent;
	int64_t last; /* after the command's end: bytes still to take, else -1 */
} InitStream;

typedef struct InitOp
{
	InitOpKind kind;
	uint32_t id;

	/* EXEC and WRITE: bytes still to come from the parent */
	uint32_t spec_left, code_left, stdin_left;
	uint64_t write_left;
	unsigned char *spec;
	uint32_t spec_len;
	uint32_t failure; /* TzWireFailure, told once everything has arrived */
	char message[TZ_WIRE_REASON_MAX];

	/* EXEC */
	uint32_t timeout_ms;
	uint64_t max_output;
	int code_fd, stdin_save_fd, stdin_fd;
	char code_path[128];
	bool running;
	bool exited;
	int monitor; /* slot, or -1 */
	int report_fd;
	pid_t main_pid;
	InitStream out, err;
	int64_t started_us;
	int64_t deadline_us;
	uint32_t reason;
	TzWireExit exit;

	/* READ, WRITE, LIST */
	int fd;
	int dir_fd; /* directory of the file being written */
	uint64_t max;
	uint64_t done;
	char name[256]; /* last part of the path being written */
	DIR *dir;
	uint32_t entries;
} InitOp;

/*
 * A monitor is a process between us and one command. It is the reaper of
 * everything the command starts, so that the tree of an operation stays
 * findable whatever sessions and double forks it makes.
 */
typedef struct InitMonitor
{
	pid_t pid; /* 0: free */
	int op; /* index, or -1 once the operation has ended */
	bool killing;
	int rounds;
} InitMonitor;

/* From monitor (or the command, before its exec) to us; smaller than PIPE_BUF, hence whole. */
typedef struct InitReport
{
	enum
	{
		REPORT_STARTED = 1, /* value = pid */
		REPORT_NO_EXEC, /* value = errno */
		REPORT_NO_CWD, /* value = errno */
		REPORT_EXITED /* value = wait status */
	} kind;
	int value;
	uint64_t cpu_us;
	uint64_t peak_rss_kb;
} InitReport;

typedef struct InitState
{
	TzWireConfig config;
	bool configured;
	bool has_proc;
	bool paused;
	int64_t paused_us;
	InitOp ops[TZ_WIRE_OPS_MAX];
	InitMonitor monitors[INIT_MONITORS_MAX];
	int nmonitors;
	int64_t next_sample_us;
	uint64_t memory_bytes; /* of the last sample */
	uint64_t files;
	uint32_t processes;
} InitState;

extern InitState init_state;

/* main.c */
extern int64_t init_now_us(void);
extern void init_die(int code) __attribute__((noreturn));
extern InitOp *init_op_new(InitOpKind kind, uint32_t id);
extern void init_op_free(InitOp *op);
/* Adds to the array of this turn; answers its index, or -1 when it is full. */
extern int init_poll_add(struct pollfd *fds, int *n, int fd, short events);
/* Lowers *deadline to when. */
extern void init_due(int64_t *deadline, int64_t when);

/* link.c: the socket. */
extern void link_send(TzWireType type, uint32_t id, const void *data, size_t len);
extern void link_fail(uint32_t id, uint32_t failure, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
extern void link_fail_errno(uint32_t id, int err, const char *path);
extern uint32_t link_failure_of(int err, const char **text);
extern bool link_clear(void); /* nothing waits: bulk may be sent */
extern bool link_wants_write(void);
extern void link_flush(void);
/* Takes frames until the socket is empty or enough were handled. */
extern void link_receive(void (*handle)(const TzWireFrame *frame));

/* filter.c */
extern int filter_install(void);

/* command.c */
extern void command_frame(const TzWireFrame *frame); /* EXEC */
extern void command_data(InitOp *op, const unsigned char *data, size_t len);
extern void command_kill(InitOp *op, uint32_t reason);
extern void command_poll(InitOp *op, struct pollfd *fds, int *n, int64_t *deadline);
extern void command_step(InitOp *op, int64_t now);
extern void command_reap(void);
extern void command_free(InitOp *op);

/* spawn.c */
/* The command's processes, once all its bytes are there; its first report comes by op->report_fd. False and errno. */
extern bool spawn_start(InitOp *op, const TzWireSpec *spec);

/* files.c */
extern void files_frame(const TzWireFrame *frame); /* READ, WRITE, LIST, STAT, DELETE */
extern void files_data(InitOp *op, const unsigned char *data, size_t len);
extern void files_step(InitOp *op);
extern void files_free(InitOp *op);
extern int files_open_dir(const char *path, size_t len); /* below the workspace; -1 and errno */

/* proc.c */
extern bool proc_probe(void);
extern void proc_sample(int64_t now);
extern void proc_kill_tree(InitMonitor *mon);
extern void proc_kill_step(void); /* goes on with trees that are being killed */
extern bool proc_killing(void);
extern void proc_kill_all(uint32_t reason);
extern void proc_metrics(uint32_t id);

/* relay.c */
extern bool relay_start(void);
extern void relay_poll(struct pollfd *fds, int *n, int64_t *deadline);
extern void relay_step(const struct pollfd *fds, int n, int64_t now);
extern void relay_frame(const TzWireFrame *frame);

#endif /* TZ_INIT_H */
