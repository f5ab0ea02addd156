/*-------------------------------------------------------------------------
 *
 * record.h
 *	  One line of an export, taken apart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VERIFY_RECORD_H
#define TZ_VERIFY_RECORD_H

#include "lib/entry.h"
#include "lib/json.h"
#include "lib/merkle.h"

#define TZ_RECORD_LINE_MAX ((size_t) 1 << 20) /* bytes */

typedef enum TzRecordKind
{
	TZ_RECORD_ORIGIN,
	TZ_RECORD_START,
	TZ_RECORD_SEAL,
	TZ_RECORD_EVENT,
	TZ_RECORD_LEAF,
	TZ_RECORD_CHECKPOINT,
	TZ_RECORD_ROUND,
	TZ_RECORD_ANCHOR,
	TZ_RECORD_END
} TzRecordKind;

typedef struct TzRecord
{
	TzRecordKind kind;
	json_t *json; /* owned */
} TzRecord;

/* TZ_OK, or the line is no record of an export; tz_record_free in both cases. */
extern TzStatus tz_record_read(TzSlice line, TzRecord *out, TzErr *err);
extern void tz_record_free(TzRecord *record);

/* Members, all required unless said. Numbers may be written as text. */
extern TzStatus tz_record_number(const TzRecord *record, const char *key, uint64_t min, uint64_t max,
                                 uint64_t *out, TzErr *err);
extern TzStatus tz_record_time(const TzRecord *record, const char *key, int64_t *us, TzErr *err);
extern TzStatus tz_record_text(const TzRecord *record, const char *key, size_t max, TzSlice *out, TzErr *err);
extern TzStatus tz_record_hash(const TzRecord *record, const char *key, TzHash *out, TzErr *err);
extern TzStatus tz_record_hashes(const TzRecord *record, const char *key, int max, TzHash *out, int *n,
                                 TzErr *err);
/* Absent: *found is false. Appends the bytes. */
extern TzStatus tz_record_bytes(const TzRecord *record, const char *key, bool *found, TzBuf *out, TzErr *err);

/*
 * The fields of an event as they are hashed. They point into the record or into
 * space, which is reset.
 */
extern TzStatus tz_record_entry(const TzRecord *record, TzBuf *space, TzEntry *out, TzErr *err);

#endif /* TZ_VERIFY_RECORD_H */
