/*-------------------------------------------------------------------------
 *
 * entry.h
 *	  The exact bytes of an audit event that are hashed.
 *
 * "theazo event 2\n", then each field in the order below as a netstring
 * (decimal length, colon, bytes, comma), or a hyphen where there is none. Whole
 * numbers are decimal; times are microseconds since 1970 in UTC; booleans are t
 * or f. docs/audit.md has an example.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ENTRY_H
#define TZ_ENTRY_H

#include "lib/buf.h"

#define TZ_ENTRY_FORMAT 2
#define TZ_ENTRY_MAX (64 * 1024) /* bytes of an entry; the longest one that can be stored has some 40 KiB */
#define TZ_ENTRY_INT_MAX 21 /* bytes of a number with its sign */

typedef enum TzEntryField
{
	TZ_ENTRY_PLATFORM,
	TZ_ENTRY_ID,
	TZ_ENTRY_NUMBER,
	TZ_ENTRY_OCCURRED_AT,
	TZ_ENTRY_XID,
	TZ_ENTRY_INSTANCE,
	TZ_ENTRY_ENVIRONMENT,
	TZ_ENTRY_SESSION,
	TZ_ENTRY_AGENT,
	TZ_ENTRY_RUN,
	TZ_ENTRY_ACTOR_KIND,
	TZ_ENTRY_ACTOR,
	TZ_ENTRY_REQUEST,
	TZ_ENTRY_CATEGORY,
	TZ_ENTRY_ACTION,
	TZ_ENTRY_PERMISSION,
	TZ_ENTRY_DECISION,
	TZ_ENTRY_RULE,
	TZ_ENTRY_VIOLATION,
	TZ_ENTRY_PERSONAL,
	TZ_ENTRY_BODY,
	TZ_ENTRY_FIELDS
} TzEntryField;

/* data NULL where there is none. */
typedef struct TzEntry
{
	TzSlice field[TZ_ENTRY_FIELDS];
} TzEntry;

/* Names of the fields: the columns of theazo_data.event. */
extern const char *const tz_entry_names[TZ_ENTRY_FIELDS];

/* Appends the bytes that are hashed. TZ_TOO_LARGE when out cannot take them. */
extern TzStatus tz_entry_append(const TzEntry *entry, TzBuf *out);

/* A number as it stands in an entry. */
extern TzSlice tz_entry_int(int64_t value, char space[TZ_ENTRY_INT_MAX]);

#endif /* TZ_ENTRY_H */
