/*-------------------------------------------------------------------------
 *
 * tar.h
 *	  Archives in memory: ustar written, ustar with pax and GNU names read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_TAR_H
#define TZ_TAR_H

#include "lib/buf.h"

#define TZ_TAR_BLOCK 512

typedef struct TzTarEntry
{
	TzSlice prefix; /* of a name that stands in two parts, to be put before it with a slash; else empty */
	TzSlice name; /* as it stands in the archive; borrowed from it */
	TzSlice link; /* what a link points to */
	TzSlice data; /* of a file; shorter than size where the archive was cut */
	char type; /* '0' file, '1' hard link, '2' symbolic link, '5' directory, others as they stand */
	unsigned mode;
	int64_t size;
	int64_t mtime; /* unix seconds */
} TzTarEntry;

/* What is put in beside name and content. */
typedef struct TzTarOwner
{
	unsigned uid;
	unsigned gid;
	int64_t mtime;
} TzTarOwner;

/* Both refuse an empty name, one with a zero byte and one that climbs out with "..". */
extern TzStatus tz_tar_add_dir(TzBuf *out, TzSlice name, unsigned mode, const TzTarOwner *owner, TzErr *err);
extern TzStatus tz_tar_add_file(TzBuf *out, TzSlice name, unsigned mode, const TzTarOwner *owner,
                                TzSlice content, TzErr *err);
/* Two blocks of zeros. */
extern TzStatus tz_tar_end(TzBuf *out);

/* Over an archive that is whole in memory, or cut anywhere. */
typedef struct TzTarReader
{
	TzSlice left;
	int64_t max_size; /* a larger entry is refused */
	TzSlice name; /* of the next entry, as an extra header gave it; data NULL: it gave none */
	TzSlice link;
	int64_t size; /* -1: it gave none */
} TzTarReader;

extern void tz_tar_read(TzTarReader *reader, TzSlice archive, int64_t max_size);
/* TZ_NOT_FOUND: there is no further entry; TZ_BAD_ANSWER: it is no archive; TZ_TOO_LARGE. */
extern TzStatus tz_tar_next(TzTarReader *reader, TzTarEntry *entry, TzErr *err);

#endif /* TZ_TAR_H */
