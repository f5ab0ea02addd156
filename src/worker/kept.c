/*-------------------------------------------------------------------------
 *
 * kept.c
 *	  Secrets that providers hand out for one sandbox, kept in memory.
 *
 * A table of fixed size, of sets of a few places; in a full set the value that was
 * not asked for longest goes. Keys name the platform and our sandbox, so
 * nobody is given the value of another one's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdlib.h>

#include "common/hashfn.h"

#include "worker/kept.h"

#define SETS 512
#define WAYS 4
#define KEY_MAX 700

typedef struct Kept
{
	char *key; /* NULL: free */
	TzBuf value;
	uint64 used;
} Kept;

static Kept table[SETS][WAYS];
static uint64 clock_now;

/* By our name and the provider's, which changes when it is moved. False when there is none. */
static bool
make_key(const TzClaimed *claim, const char *sandbox, char key[KEY_MAX])
{
	int n;

	if (sandbox == NULL || claim->sandbox_id == NULL)
		return false;
	n = snprintf(key, KEY_MAX, "%s\n%s\n%s", claim->platform_id, claim->sandbox_id, sandbox);
	return n > 0 && n < KEY_MAX;
}

static Kept *
set_of(const char *key)
{
	return table[hash_bytes((const unsigned char *) key, (int) strlen(key)) % SETS];
}

static Kept *
find(const char *key)
{
	Kept *set = set_of(key);

	for (int i = 0; i < WAYS; i++)
		if (set[i].key != NULL && strcmp(set[i].key, key) == 0)
			return &set[i];
	return NULL;
}

static void
forget(Kept *kept)
{
	free(kept->key);
	tz_buf_wipe(&kept->value);
	memset(kept, 0, sizeof(*kept));
}

TzSlice
tz_kept_find(const TzClaimed *claim, const char *sandbox)
{
	char key[KEY_MAX];
	Kept *kept = make_key(claim, sandbox, key) ? find(key) : NULL;

	if (kept == NULL)
		return tz_slice(NULL, 0);
	kept->used = ++clock_now;
	return tz_buf_slice(&kept->value);
}

void
tz_kept_put(const TzClaimed *claim, const char *sandbox, TzSlice value)
{
	char key[KEY_MAX];
	Kept *kept;

	if (!make_key(claim, sandbox, key))
		return;
	kept = find(key);
	if (kept != NULL)
		forget(kept);
	if (value.len == 0 || value.len > TZ_KEPT_VALUE_MAX)
		return;
	kept = set_of(key);
	for (int i = 1; i < WAYS; i++)
		if (set_of(key)[i].used < kept->used)
			kept = &set_of(key)[i];
	forget(kept);
	kept->key = strdup(key);
	tz_buf_init_secret(&kept->value, TZ_KEPT_VALUE_MAX);
	if (kept->key == NULL || tz_buf_append(&kept->value, value.data, value.len) != TZ_OK)
		forget(kept);
	else
		kept->used = ++clock_now;
}
