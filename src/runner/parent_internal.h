/*-------------------------------------------------------------------------
 *
 * parent_internal.h
 *	  What the files of the parent's side share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNNER_PARENT_INTERNAL_H
#define TZ_RUNNER_PARENT_INTERNAL_H

#include "runner/frame.h"
#include "runner/parent.h"

/* Tests have less patience. */
#ifndef RUNNER_START_MS
#define RUNNER_START_MS 15000 /* until HELLO, on a machine that is overloaded */
#define RUNNER_EXIT_MS 5000 /* until a killed or finished child is reported */
#endif
#define RUNNER_AGAIN_MS 1000 /* between attempts to start what does not start */
#define RUNNER_DEATH_MS 3000 /* tz_runner_free waits so long for the processes */
#define RUNNER_READS_A_TURN 8

typedef enum RunState
{
	RUN_SPARE, /* waits for work */
	RUN_RUNNING, /* has work */
	RUN_SAID, /* DONE has come, its end not yet */
	RUN_KILLED, /* its end is awaited; what it still says is not heard */
} RunState;

struct TzRunnerRun
{
	TzRunner *runner;
	TzRunnerRun *next;
	TzRunnerCallbacks cb;
	RunState state;
	uint32_t id;
	int fd;
	bool begun;
	bool exited; /* the zygote has said so */
	TzBuf in; /* the frame that is being read */
	TzBuf out;
	size_t out_sent;
	int memory_mb;
	int time_ms;
	int64_t deadline_ms; /* of the state: kill it, or give the zygote up; 0 none */
	int64_t started_us;
	uint32_t last_call;
	uint32_t open[TZ_RUNNER_CALLS_OPEN]; /* calls without an answer */
	int nopen;
	/* What it will be reported as. */
	TzRunnerResult res;
	TzBuf texts; /* holds value and error_* */
};

/* A packet for the zygote that did not go at once. */
typedef struct RunnerPacket
{
	struct RunnerPacket *next;
	int fd; /* travels along, or -1 */
	size_t len;
	unsigned char data[TZ_FRAME_HEADER + 16];
} RunnerPacket;

typedef enum RunnerState
{
	RUNNER_DOWN,
	RUNNER_STARTING,
	RUNNER_UP,
} RunnerState;

struct TzRunner
{
	TzMux *mux;
	char *path;
	int spares;
	int max_runs;
	RunnerState state;
	TzRunnerInfo info;
	int fd; /* the zygote's channel */
	pid_t pid;
	bool freeing;
	uint32_t next_id;
	int64_t start_deadline_ms;
	int64_t again_ms; /* not started before */
	int64_t spare_again_ms;
	RunnerPacket *queue;
	RunnerPacket **queue_tail;
	TzRunnerRun *runs;
};

extern int64_t tz_runner_now_ms(void);
extern int64_t tz_runner_now_us(void);

/* parent_spawn.c: executes the program with the channel as descriptor 3; fills info.sha256. Answers its pid or -1. */
extern TzStatus tz_runner_spawn(TzRunner *runner, TzErr *err);
/* Kills the program and waits, bounded, until it is gone. */
extern void tz_runner_kill(TzRunner *runner, int wait_ms);

/* parent_channel.c: an order to the zygote; fd is taken */
extern TzStatus tz_runner_tell(TzRunner *runner, TzFrameType type, uint32_t id, const void *data, size_t len,
                               int fd);
/* Watches the channel. */
extern TzStatus tz_runner_interest(TzRunner *runner);

/* parent.c: the program is gone or cannot be trusted: everything ends. */
extern void tz_runner_down(TzRunner *runner, TzStatus status, const char *why);
extern void tz_runner_refill(TzRunner *runner);

/* parent_run.c: one run's socket and its end */
extern TzRunnerRun *tz_runner_child(TzRunner *runner, TzErr *err);
extern TzStatus tz_runner_begin(TzRunnerRun *run, const TzRunnerJob *job, TzErr *err);
extern void tz_runner_exited(TzRunnerRun *run, int status, int error, int64_t cpu_us, int64_t peak_kb);
/* Asks the zygote for the run's death; how is what it ended as. */
extern void tz_runner_end(TzRunnerRun *run, TzRunnerEnd how, TzStatus status, const char *message,
                          const char *fault);
extern void tz_runner_fault(TzRunnerRun *run, const char *why);
/* Tells done and frees it. */
extern void tz_runner_finish(TzRunnerRun *run);

/* parent_say.c: one whole frame of a run */
extern void tz_runner_frame(TzRunnerRun *run, const TzFrameHead *head, TzSlice payload);

#endif /* TZ_RUNNER_PARENT_INTERNAL_H */
