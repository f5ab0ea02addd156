/*-------------------------------------------------------------------------
 *
 * flight_mask.c
 *	  The secrets of a call kept out of what comes back.
 *
 * All of it is malloc'ed and nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "worker/inflight_internal.h"

/* Values that were opened for the call, borrowed; free the list. NULL when there are none, or no memory. */
static TzSlice *
opened_values(const TzClaimed *c, int *n)
{
	TzSlice *values = malloc(((size_t) c->nsecrets + 1) * sizeof(TzSlice));

	*n = 0;
	for (int i = 0; values != NULL && i < c->nsecrets; i++)
	{
		if (c->secrets[i].sealed)
			values[(*n)++] = tz_buf_slice(&c->secrets[i].value);
	}
	return values;
}

static TzStatus
make_share(const TzBuf *key, const TzSlice *values, int n, TzMaskShare **out)
{
	TzMaskShare *share = calloc(1, sizeof(*share));
	TzStatus status = share != NULL ? tz_mask_create(values, n, &share->mask, NULL) : TZ_NOMEM;

	if (status != TZ_OK)
	{
		free(share);
		return status;
	}
	share->values = *key;
	*out = share;
	return TZ_OK;
}

/* The one with these values; key is taken over if it is new. */
static TzStatus
find_mask(TzFlight *f, TzBuf *key, const TzSlice *values, int n)
{
	uint32 hash = hash_bytes((const unsigned char *) key->data, (int) key->len);
	TzMaskShare *share = f->table->masks;
	TzStatus status;

	while (share != NULL &&
	       (share->hash != hash || !tz_slice_eq(tz_buf_slice(&share->values), tz_buf_slice(key))))
		share = share->next;
	if (share == NULL)
	{
		status = make_share(key, values, n, &share);
		if (status != TZ_OK)
			return status;
		tz_buf_init_secret(key, 0);
		share->hash = hash;
		share->next = f->table->masks;
		f->table->masks = share;
	}
	share->refs++;
	f->mask_share = share;
	f->mask = share->mask;
	return TZ_OK;
}

void
tz_flight_unmask(TzFlight *f)
{
	TzMaskShare *share = f->mask_share;
	TzMaskShare **at = &f->table->masks;

	f->mask = NULL;
	f->mask_share = NULL;
	if (share == NULL || --share->refs > 0)
		return;
	while (*at != share)
		at = &(*at)->next;
	*at = share->next;
	tz_buf_wipe(&share->values);
	tz_mask_free(share->mask);
	free(share);
}

/* Made at the first need: most calls have no secrets, and most secrets meet one text. */
TzStatus
tz_flight_mask(TzFlight *f)
{
	TzSlice *values;
	TzBuf key;
	int n;

	if (f->mask_tried || f->claim->nsecrets == 0)
		return f->mask_tried ? f->mask_status : TZ_OK;
	f->mask_tried = true;
	values = opened_values(f->claim, &n);
	if (values == NULL)
		return f->mask_status = TZ_NOMEM;
	tz_buf_init_secret(&key, SIZE_MAX);
	for (int i = 0; i < n; i++)
	{
		tz_buf_append(&key, &values[i].len, sizeof(values[i].len));
		tz_buf_append(&key, values[i].data, values[i].len);
	}
	f->mask_status = key.status;
	if (key.status == TZ_OK && n > 0)
		f->mask_status = find_mask(f, &key, values, n);
	tz_buf_wipe(&key);
	free(values);
	return f->mask_status;
}

void
tz_flight_conceal_outcome(TzFlight *f)
{
	TzStatus status = tz_flight_mask(f);
	/* Files, packed: nothing reads them but a sandbox, and a byte changed there makes them worthless. */
	bool packed = f->effect.op != NULL && strcmp(f->effect.op, "snapshot") == 0;
	TzBuf files = f->outcome.content;
	TzSlice *values;
	int n;

	if (status != TZ_OK)
	{
		tz_conceal_withhold(&f->outcome, status);
		return;
	}
	if (f->mask == NULL)
		return;
	values = opened_values(f->claim, &n);
	if (packed)
		tz_buf_init(&f->outcome.content, 0);
	if (values != NULL)
		tz_conceal_outcome(f->mask, values, n, &f->outcome);
	else
		tz_conceal_withhold(&f->outcome, TZ_NOMEM);
	free(values);
	if (packed && f->outcome.verdict != TZ_V_DONE)
		tz_buf_wipe(&files);
	if (packed)
		f->outcome.content = files;
}

bool
tz_flight_conceal(TzFlight *f, const char *text, char *out, size_t size)
{
	TzErr err;

	if (tz_flight_mask(f) != TZ_OK)
		return false;
	tz_err_clear(&err);
	strlcpy(err.detail, text, sizeof(err.detail));
	tz_conceal_err(f->mask, &err);
	strlcpy(out, err.detail, size);
	return true;
}
