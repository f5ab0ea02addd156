/*-------------------------------------------------------------------------
 *
 * flow_note.h
 *	  Labels of what a process has read in the name of a run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_FLOW_NOTE_H
#define TZ_FLOW_NOTE_H

#include <stddef.h>

#define TZ_FLOW_NOTE_BYTES 8192 /* more than 64 labels of 64 characters take */

/*
 * From now on labels are noted at this place, which holds TZ_FLOW_NOTE_BYTES and is empty: one a line, terminated. It lies in
 * memory that outlives the process, so that what was read is known however the process ends.
 */
extern void tz_flow_note_at(char *place);

#endif /* TZ_FLOW_NOTE_H */
