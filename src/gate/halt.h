/*-------------------------------------------------------------------------
 *
 * halt.h
 *	  The kill switch, as every process knows it.
 *
 * Halts are rows (theazo_data.halt). Each process keeps those in force, with the
 * descendants they reach, and reads them again when the commit of a halt moved
 * the epoch of the database. As long as nothing is halted, asking costs one read
 * of shared memory.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_HALT_H
#define TZ_HALT_H

#include "lib/id.h"

#define TZ_HALT_WHY_MAX 200 /* characters of a reason */
#define TZ_HALT_MESSAGE_MAX 1024

typedef enum TzHaltKind
{
	TZ_HALT_GLOBAL,
	TZ_HALT_PLATFORM,
	TZ_HALT_SESSION,
	TZ_HALT_AGENT,
	TZ_HALT_RUN,
	TZ_HALT_KINDS
} TzHaltKind;

typedef struct TzHalt
{
	char id[TZ_ID_MAX + 1];
	TzHaltKind kind;
	char subject[TZ_ID_MAX +
	             1]; /* what was halted; of a descendant: the ancestor that was. Empty: all of it */
	char why[TZ_HALT_WHY_MAX * 4 + 1]; /* as whoever halted it said */
} TzHalt;

/* What might be halted; NULL where it has none. */
typedef struct TzHaltOf
{
	const char *platform;
	const char *environment; /* a halt of test work alone is known by its sessions as well */
	const char *session;
	const char *agent;
	const char *run;
	const char *parent; /* run that starts this one */
} TzHaltOf;

/* Registers what ends with transactions; called once, while libraries are preloaded. */
extern void tz_halt_init(void);

/*
 * The halt that holds for it, the widest first, or NULL. Inside a transaction,
 * which is remembered: if a halt commits before it does, everybody looks again
 * once it has, so that nothing slips through between the two. The answer is good
 * until the next call.
 */
extern const TzHalt *tz_halt_find(const TzHaltOf *of);

/* Is anything halted at all? The same reading, so inside a transaction. */
extern bool tz_halt_any(void);

/* The same from what was read last: no transaction, never throws. */
extern const TzHalt *tz_halt_recall(const TzHaltOf *of);

/* Has a halt been committed or lifted since this process last read them? No transaction needed. */
extern bool tz_halt_moved(void);

/* Effects of this kind go on under every halt: what ends things, and what records. */
extern bool tz_halt_spares(const char *kind);

/* agent_halted, session_halted, run_halted, platform_halt or global_halt. */
extern const char *tz_halt_reason(const TzHalt *halt);

/* What is told to who is refused; message gets at most size bytes. */
extern void tz_halt_message(const TzHalt *halt, char *message, size_t size);
extern const char *tz_halt_hint(const TzHalt *halt);

#endif /* TZ_HALT_H */
