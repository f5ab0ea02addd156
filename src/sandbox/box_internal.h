/*-------------------------------------------------------------------------
 *
 * box_internal.h
 *	  What the files of the parent's side share. Not for others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_BOX_INTERNAL_H
#define TZ_BOX_INTERNAL_H

#include <sys/types.h>

#include "sandbox/box.h"
#include "sandbox/wire.h"

#define BOX_START_MS 10000 /* from create to READY */
#define BOX_GRACE_MS 5000 /* a command's end may be told so much after its deadline */
#define BOX_FILE_MS 60000 /* file work and other short operations */
#define BOX_DEATH_MS 3000 /* wait for the kernel to take everything down */
#define BOX_FRAMES_A_TURN 64 /* then others of the mux have their turn */
#define BOX_SMALL_DISKS (128LL << 20) /* /tmp, /run and /dev/shm together */
#define BOX_LATE_MS 1000 /* once more for an answer that may be in the socket already */
#define BOX_LIST_MAX 10000
#define BOX_LIST_BYTES (2 * 1024 * 1024)
#define BOX_ERRTEXT_MAX 2048

typedef enum BoxOpKind
{
	BOX_OP_FREE = 0,
	BOX_OP_EXEC,
	BOX_OP_READ,
	BOX_OP_WRITE,
	BOX_OP_LIST,
	BOX_OP_STAT,
	BOX_OP_DELETE,
	BOX_OP_PAUSE,
	BOX_OP_RESUME,
	BOX_OP_METRICS
} BoxOpKind;

typedef struct BoxOp
{
	BoxOpKind kind;
	uint32_t id;
	TzBoxDone done;
	void *arg;
	int64_t started_ms;
	int64_t deadline_ms;
	bool cancelled;
	bool late;
	char *data; /* what DATA frames carry */
	size_t data_len;
	size_t data_sent;
	bool data_secret; /* wiped before free */
	size_t max; /* ceiling on out and on errout, each */
	TzBoxOutput output;
	TzBuf out;
	TzBuf errout;
	TzBoxEntry *entries;
	int nentries;
	int entries_cap;
	size_t entries_bytes;
} BoxOp;

typedef enum BoxConnState
{
	BOX_CONN_FREE = 0,
	BOX_CONN_ASKED,
	BOX_CONN_OPEN
} BoxConnState;

typedef struct BoxConn
{
	struct TzBox *box;
	BoxConnState state;
	uint32_t id;
	int fd;
	char *out; /* towards upstream, TZ_WIRE_WINDOW */
	size_t out_len;
	size_t out_pos;
	uint32_t credit; /* bytes we may send into the box */
	uint32_t taken; /* bytes upstream took, not yet announced */
	bool eof_got; /* from the box */
	bool eof_sent; /* to the box */
	bool shut;
} BoxConn;

typedef struct BoxFrame
{
	struct BoxFrame *next;
	size_t len;
	unsigned char data[];
} BoxFrame;

typedef enum BoxState
{
	BOX_STARTING,
	BOX_READY,
	BOX_DEAD /* only destroy is left */
} BoxState;

struct TzBox
{
	TzMux *mux;
	TzBoxCallbacks cb;
	TzBoxDone ready;
	void *ready_arg;
	BoxState state;
	int depth; /* callbacks under way */
	bool doomed; /* destroyed inside a callback: freed on the way out */
	bool paused;
	int64_t paused_ms;
	int64_t created_ms;
	int64_t start_deadline_ms;
	bool start_late;

	int fd; /* our end of the socket */
	int err_fd; /* stderr of the isolation program until READY */
	char err_text[BOX_ERRTEXT_MAX];
	size_t err_len;
	pid_t pid; /* the isolation program, our child */
	int pidfd; /* the init, or -1 */
	char cgroup[320]; /* of this box, or empty */
	uint64_t oom_kills;
	bool sample_outside; /* no /proc inside: memory is watched from here */
	int64_t next_sample_ms;
	bool outside_busy; /* more than the init was seen */
	int64_t memory_bytes;
	int processes;

	uint32_t last_id;
	BoxOp ops[TZ_WIRE_OPS_MAX];
	int data_turn;
	BoxFrame *queue;
	BoxFrame **queue_tail;
	bool blocked; /* the socket was full */
	uint32_t last_conn;
	int64_t conn_ms; /* budget of new connections, as of then */
	int conn_budget;
	BoxConn conns[TZ_WIRE_CONNS_MAX];

	char **env;
	int nenv;
	uint64_t last_cpu_us;
	int64_t last_cpu_ms;
};

/* box.c */
extern int64_t tz_box_now_ms(void);
/* Ends the box: answers what is pending and tells the owner. The box may be freed on return if depth is 0. */
extern void tz_box_fail(TzBox *box, TzStatus status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
extern void tz_box_enter(TzBox *box);
extern void tz_box_leave(TzBox *box);

/* box_io.c: frames. */
extern void tz_box_send(TzBox *box, TzWireType type, uint32_t id, const void *data, size_t len);
extern TzStatus tz_box_interest(TzBox *box);

/* box_ops.c: operations. */
extern void tz_box_op_frame(TzBox *box, const TzWireFrame *frame);
extern void tz_box_op_finish(TzBox *box, BoxOp *op, TzBoxResult *res);
extern void tz_box_op_data(TzBox *box); /* sends DATA frames while the socket takes them */
extern bool tz_box_op_data_waiting(const TzBox *box);

/* box_relay.c: connections out of the box. */
extern void tz_box_relay_frame(TzBox *box, const TzWireFrame *frame);
extern void tz_box_relay_close_all(TzBox *box);
extern void tz_box_relay_resume(TzBox *box);

/* box_spawn.c: processes. */
extern TzStatus tz_box_spawn(TzBox *box, const TzBoxConfig *config, TzErr *err);
extern void tz_box_kill(TzBox *box); /* kills, waits, reaps */
/* Runs argv[0] with an empty environment, output in out; blocks up to timeout_ms. Exit status, or -1. */
extern int tz_box_run_simple(const char *const *argv, TzBuf *out, int timeout_ms);

/* box_sample.c: memory from outside, where the box has no /proc. */
extern void tz_box_sample(TzBox *box, int64_t now);

/* box_cgroup.c */
extern TzStatus tz_box_cgroup_make(TzBox *box, const TzBoxConfig *config, TzErr *err);
extern void tz_box_cgroup_remove(TzBox *box);
extern bool tz_box_cgroup_oom(TzBox *box);
/* Finds a delegated directory; found tells what was seen, hint what to change. */
extern bool tz_box_cgroup_find(const char *root, const char *self, char *dir, size_t size, char *found,
                               size_t nfound);
extern void tz_box_cgroup_sweep(const char *dir);

#endif /* TZ_BOX_INTERNAL_H */
