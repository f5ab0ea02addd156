/*-------------------------------------------------------------------------
 *
 * box.h
 *	  Parent's side of the embedded sandbox: create, command and destroy boxes.
 *
 * A box is one isolated process tree whose PID 1 is our own init, connected by
 * one socket. Plain C11 on a TzMux; knows no server and never throws. Everything
 * that comes from a box is hostile and is checked here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_BOX_H
#define TZ_BOX_H

#include "http/mux.h"
#include "lib/netpolicy.h"

/* Strength of isolation, strongest first. */
typedef enum TzBoxMode
{
	TZ_BOX_NONE = 0, /* nothing usable: refuse */
	TZ_BOX_FULL = 3, /* namespaces, seccomp, rlimits, cgroup memory */
	TZ_BOX_NAMESPACES = 2, /* namespaces, seccomp, rlimits, memory by sampling */
} TzBoxMode;

typedef struct TzBoxCheck
{
	char name[40]; /* "user namespaces", "bubblewrap", "python3", ... */
	bool ok;
	char found[120]; /* version or errno text */
	char hint[240]; /* what to change, empty when ok */
} TzBoxCheck;

#define TZ_BOX_CHECKS_MAX 24

typedef struct TzBoxPreflight
{
	TzBoxMode mode;
	int nchecks;
	TzBoxCheck checks[TZ_BOX_CHECKS_MAX];
	unsigned flags; /* TZ_BOX_WITHOUT_...: what this machine lacks; copy to TzBoxConfig.flags */
	char cgroup[256]; /* delegated cgroup v2 directory, empty when none; copy to TzBoxConfig.cgroup */
	TzErr err; /* mode none: what to tell the user */
} TzBoxPreflight;

/* Found by the preflight, obeyed by tz_box_create. */
#define TZ_BOX_WITHOUT_PROC 1 /* /proc cannot be mounted: commands see an empty one */
#define TZ_BOX_WITHOUT_DISABLE_USERNS 2 /* the filter alone refuses nested user namespaces */

extern const char *tz_box_mode_name(TzBoxMode mode); /* "full", "namespaces", "none" */
/* Runs the isolation program once for real with a trivial command. Blocks for a fraction of a second, up to 15 s on a machine that is overloaded. */
extern void tz_box_preflight(const char *init_path, const char *bwrap_path, TzBoxPreflight *out);
/* The check of that name ("python3", "node", "go", "bash", "sh": runtimes inside the box), or NULL. */
extern const TzBoxCheck *tz_box_preflight_check(const TzBoxPreflight *pf, const char *name);

typedef struct TzBoxConfig
{
	const char *init_path; /* our PID 1, installed with the extension */
	const char *bwrap_path; /* "/usr/bin/bwrap" */
	TzBoxMode mode;
	int64_t memory_bytes; /* whole box */
	int64_t disk_bytes; /* /workspace */
	int64_t file_bytes; /* largest file */
	int processes;
	int open_files;
	int cpu_seconds; /* per process, 0 = none */
	bool network; /* relay on 127.0.0.1:3128 inside; the parent decides per CONNECT */
	const char *const *env; /* "NAME=value", n entries: every command gets these; copied */
	int nenv;
	unsigned flags; /* of the preflight */
	const char *cgroup; /* of the preflight; NULL or empty: memory by sampling */
} TzBoxConfig;

typedef struct TzBox TzBox;

typedef void (*TzBoxOutput)(void *arg, bool is_stderr, TzSlice bytes);

typedef struct TzBoxExec
{
	const char *const *argv;
	int argc;
	const char *const *env; /* on top of the box's; wiped by the caller after the call returns */
	int nenv;
	const char *cwd; /* relative to /workspace, or NULL */
	TzSlice stdin_data;
	/*
	 * Program text, or empty. The init stores it under code_name ("main.py") outside /workspace for as long
	 * as the command runs, and the argv element "{code}" becomes its path.
	 */
	TzSlice code;
	const char *code_name;
	int timeout_ms;
	size_t max_output; /* per stream, then the command is killed and truncated is set */
	/* Told of output as it comes, with done's arg; or NULL. It is in the result as well. Must not destroy the box. */
	TzBoxOutput output;
} TzBoxExec;

typedef struct TzBoxEntry
{
	char *name;
	int64_t size;
	int64_t modified_ms;
	bool is_dir;
} TzBoxEntry;

/* What ended. Owned by the box, valid during the callback only. */
typedef struct TzBoxResult
{
	TzErr err; /* TZ_OK, or why the operation failed */
	int exit_code; /* 128 + signal when killed, 124 when timed out, 127 when argv[0] is missing */
	bool timed_out;
	bool out_of_memory;
	bool truncated;
	const char *note; /* why the sandbox ended the command, static text, or NULL */
	TzSlice out; /* stdout, or file content */
	TzSlice errout;
	int64_t cpu_ms;
	int64_t peak_rss_kb;
	int64_t wall_ms;
	TzBoxEntry *entries; /* list */
	int nentries;
	int64_t memory_kb; /* metrics */
	int64_t disk_kb;
	double cpu_percent;
	int nprocesses;
} TzBoxResult;

typedef void (*TzBoxDone)(void *arg, const TzBoxResult *res);
/* A program inside asks to connect: answer with tz_box_connect_allow or _deny, at once or later. */
typedef void (*TzBoxConnect)(void *arg, TzBox *box, uint32_t conn, const char *host, int port);
/*
 * The box is gone without being asked; every pending operation has been
 * answered before. tz_box_destroy is still the caller's to call (here or
 * later), as it is after a create whose ready callback got an error; in that
 * case gone is not called. Any callback may destroy its box.
 */
typedef void (*TzBoxGone)(void *arg, TzBox *box, const TzErr *why);

typedef struct TzBoxCallbacks
{
	TzBoxConnect connect; /* may be NULL: everything is denied */
	TzBoxGone gone;
	void *arg;
} TzBoxCallbacks;

/* Starts the box; ready (or err) is told through done. */
extern TzStatus tz_box_create(const TzBoxConfig *config, TzMux *mux, const TzBoxCallbacks *cb,
                              TzBoxDone ready, void *arg, TzBox **out, TzErr *err);
extern TzStatus tz_box_exec(TzBox *box, const TzBoxExec *exec, TzBoxDone done, void *arg, uint32_t *op,
                            TzErr *err);
/* Kills the command of this operation and all its descendants; done still comes. */
extern void tz_box_cancel(TzBox *box, uint32_t op);
/*
 * Paths of the file calls are below /workspace: "a/b", "/a/b" and "/workspace/a/b" are the same file. "..",
 * and links that lead out of /workspace, are refused with TZ_BAD_INPUT; missing files are TZ_NOT_FOUND, and
 * what is over a size or full is TZ_TOO_LARGE. content is copied.
 */
extern TzStatus tz_box_write(TzBox *box, const char *path, TzSlice content, TzBoxDone done, void *arg,
                             TzErr *err);
extern TzStatus tz_box_read(TzBox *box, const char *path, size_t max, TzBoxDone done, void *arg, TzErr *err);
/* A missing directory is an empty list; of more than 10000 entries truncated is set. */
extern TzStatus tz_box_list(TzBox *box, const char *path, TzBoxDone done, void *arg, TzErr *err);
/* One entry (nentries == 1), or TZ_NOT_FOUND. */
extern TzStatus tz_box_stat(TzBox *box, const char *path, TzBoxDone done, void *arg, TzErr *err);
/* A file or an empty directory; TZ_NOT_FOUND when it is not there. */
extern TzStatus tz_box_delete(TzBox *box, const char *path, TzBoxDone done, void *arg, TzErr *err);
extern TzStatus tz_box_pause(TzBox *box, bool stop, TzBoxDone done, void *arg, TzErr *err);
extern TzStatus tz_box_metrics(TzBox *box, TzBoxDone done, void *arg, TzErr *err);
/* Carries a granted connection: upstream is a connected, non-blocking socket the box takes over. */
extern void tz_box_connect_allow(TzBox *box, uint32_t conn, int upstream_fd);
extern void tz_box_connect_deny(TzBox *box, uint32_t conn, const char *reason);
/* The init's view of running commands, for tests and views. */
extern int tz_box_running(const TzBox *box);
/* Kills everything inside, waits for the processes to be gone (bounded), frees. Pending operations get TZ_CANCELLED. */
extern void tz_box_destroy(TzBox *box);
/* Sends the kill and does not wait: many boxes die at once, and each tz_box_destroy then finds its own dead. */
extern void tz_box_condemn(TzBox *box);
/* Deadlines: ms until tz_box_tick wants to be called, -1 never. */
extern int tz_box_timeout(const TzBox *box);
extern void tz_box_tick(TzBox *box);
/* False once it is gone, also while its pending operations are being answered. */
extern bool tz_box_alive(const TzBox *box);

#endif /* TZ_BOX_H */
