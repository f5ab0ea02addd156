/*-------------------------------------------------------------------------
 *
 * script_sql.h
 *	  What running programs ask of their host, put before SQL.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SCRIPT_SQL_H
#define TZ_SCRIPT_SQL_H

#include "worker/script.h"

/* Inside a transaction: has SQL judge up to max of the calls that wait. May throw. */
extern void tz_script_judge(TzScripts *scripts, int slot, int max);
/* After its commit: programs are told. After its abort: the calls wait again. Never throws. */
extern void tz_script_judged(TzScripts *scripts, bool committed);
/*
 * In transactions of its own, ever fewer at once: a call that throws alone is answered so, one that
 * somebody's open transaction holds up waits. Throws for troubles that are not a call's.
 */
extern void tz_script_judge_each(TzScripts *scripts, int slot, int max);

/* ---- script_answer.c: what SQL says of answers to requests ---- */

/* Before requests are settled: nothing is said of any. */
extern void tz_script_answers_reset(void);
/* False: SQL said nothing. *error: what is to be told in place of the answer, or empty; until the next reset. */
extern bool tz_script_answer_said(const char *effect_id, TzSlice *error);

#endif /* TZ_SCRIPT_SQL_H */
