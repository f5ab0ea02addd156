/*-------------------------------------------------------------------------
 *
 * keyfile.h
 *	  Master keys as a file or a program gives them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_KEYFILE_H
#define TZ_KEYFILE_H

#include "lib/envelope.h"

#define TZ_KEYFILE_MAX 4096 /* bytes */
#define TZ_KEYFILE_KEYS_MAX 16

/*
 * Either exactly 32 raw bytes, or text: a key of 256 bit in hex or base64 on
 * each line, empty lines and lines that begin with # left out. The first key is
 * the current one. The message names a line, never its content. On failure no
 * key is left in keys.
 */
extern TzStatus tz_keyfile_parse(TzSlice content, uint8_t keys[TZ_KEYFILE_KEYS_MAX][TZ_KEY_LEN], int *nkeys,
                                 TzErr *err);

#endif /* TZ_KEYFILE_H */
