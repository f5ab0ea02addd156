/*-------------------------------------------------------------------------
 *
 * env.h
 *	  An environment for a sandbox: checked names, no duplicates, wiped after use.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ENV_H
#define TZ_ENV_H

#include "lib/jansson.h"

#include "lib/buf.h"

#define TZ_ENV_MAX 512 /* entries */
#define TZ_ENV_BYTES_MAX (256 * 1024) /* all of them together */

typedef struct TzEnv
{
	char *entries[TZ_ENV_MAX]; /* "NAME=value", malloc'ed */
	int n;
	size_t bytes;
} TzEnv;

/* env must be zeroed before the first use. A name that is there already is replaced. */
extern TzStatus tz_env_set(TzEnv *env, const char *name, TzSlice value, TzErr *err);
/* Every member of an object of strings; NULL and JSON null are empty. */
extern TzStatus tz_env_object(TzEnv *env, const json_t *object, TzErr *err);
extern void tz_env_wipe(TzEnv *env);

#endif /* TZ_ENV_H */
