/*-------------------------------------------------------------------------
 *
 * sqltool_segment.h
 *	  What a dispatcher and the process that runs one function share.
 *
 * The state decides who may still do what, by compare-and-exchange: once it is
 * TZ_SQL_ABANDONED the function's transaction can never commit, once it is
 * TZ_SQL_COMMITTING the dispatcher must wait and see.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SQLTOOL_SEGMENT_H
#define TZ_SQLTOOL_SEGMENT_H

#include "gate/flow_note.h"
#include "lib/id.h"
#include "port/atomics.h"

#define TZ_SQL_MAGIC 0x747a7371
#define TZ_SQL_OUTPUT_MAX (32 * 1024)
#define TZ_SQL_MESSAGE_MAX 1024

typedef enum TzSqlState
{
	TZ_SQL_STARTING = 0,
	TZ_SQL_RUNNING,
	TZ_SQL_COMMITTING,
	TZ_SQL_DONE, /* committed: output holds */
	TZ_SQL_RAISED, /* undone: the function, or what it needs, raised message */
	TZ_SQL_ABANDONED /* nobody waits any more */
} TzSqlState;

typedef struct TzSqlSegment
{
	uint32 magic;
	pg_atomic_uint32 state;
	int dispatcher; /* its number, for the latch */
	int timeout_ms;
	bool read_only;
	char database[NAMEDATALEN];
	char role[NAMEDATALEN];
	char platform[TZ_ID_MAX + 1]; /* of the run that calls */
	char run[TZ_ID_MAX + 1]; /* "": none, the tool is being tried */
	uint32 function_at; /* places of strings in text */
	uint32 arguments_at;

	/* written by the process */
	bool refused; /* RAISED, and not by the function itself */
	bool truncated;
	char sqlstate[6];
	char message[TZ_SQL_MESSAGE_MAX]; /* UTF-8 */
	uint32 output_len;
	char output[TZ_SQL_OUTPUT_MAX]; /* UTF-8 */
	char labels[TZ_FLOW_NOTE_BYTES]; /* of what the function has read, one a line */

	char text[FLEXIBLE_ARRAY_MEMBER];
} TzSqlSegment;

#endif /* TZ_SQLTOOL_SEGMENT_H */
