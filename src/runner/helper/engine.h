/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  The JavaScript engine as the run sees it.
 *
 * One realm a process. The bridge (bridge.js) is all the JavaScript of ours; it
 * talks to C through three functions, and C to it through three.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNNER_ENGINE_H
#define TZ_RUNNER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why the engine gave up. */
typedef enum EngineStop
{
	ENGINE_GOES_ON,
	ENGINE_STOPPED, /* by engine_interrupt */
	ENGINE_OUT_OF_MEMORY,
	ENGINE_BROKEN, /* code has changed what the bridge stands on */
} EngineStop;

extern const char engine_name[];
/* What it needs of the machine, before the process is locked in. False: it cannot. */
extern bool engine_early(void);
/* The rest of its start, in the zygote. */
extern bool engine_boot(void);
/* Bytes of the process beside what code may have. */
extern uint64_t engine_beside(void);
/*
 * What a run's engine calls beyond the run's own list, with any argument; what it may try and shall not find (ENOENT);
 * a descriptor of its own that it writes to, or -1.
 */
extern const int engine_calls[];
extern const int engine_ncalls;
extern const int engine_missing[];
extern const int engine_nmissing;
extern int engine_fd(void);
/* Version, at most 23 bytes. */
extern const char *engine_version(void);
/*
 * Once per process, after the fork and before the filter: what makes this run's realm its own (random numbers).
 * False: it cannot.
 */
extern bool engine_realm(void);
/* Ceiling of the code's memory; the engine's own few MB are within. */
extern void engine_memory(uint32_t mb);
/* Room for the last words once code has ended. */
extern void engine_headroom(void);
/* True once memory was refused because of the ceiling. */
extern bool engine_memory_refused(void);
extern uint32_t engine_heap_kb(void);

/* A place of len bytes in the engine's memory for a text to come, or NULL. Handed back by the calls below. */
extern char *engine_text(uint32_t len);

/* Starts the code: json is the document beside it. Both from engine_text, both are taken. */
extern EngineStop engine_start(char *json, uint32_t json_len, char *code, uint32_t code_len);
/* An answer; text from engine_text, is taken. */
extern EngineStop engine_answer(uint32_t id, bool ok, char *text, uint32_t len);

/*
 * What the engine calls back. Texts are borrowed.
 *
 * run_log and run_call answer NULL, or static text: the message of an Error to throw. run_done ends the process.
 */
extern bool engine_interrupt(void);
extern const char *run_log(const char *json, size_t len);
extern const char *run_call(uint32_t id, const char *name, size_t name_len, const char *json, size_t len);
extern void run_done(bool ok, const char *json, size_t len) __attribute__((noreturn));
/* Never returns: the engine's memory wall was hit. */
extern void run_trap(const char *what) __attribute__((noreturn));
extern void run_out_of_memory(void) __attribute__((noreturn));

/* bridge.js */
extern const char bridge_text[];
extern const uint32_t bridge_text_len;

#endif /* TZ_RUNNER_ENGINE_H */
