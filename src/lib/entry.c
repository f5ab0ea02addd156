/*-------------------------------------------------------------------------
 *
 * entry.c
 *	  The exact bytes of an audit event that are hashed.
 *
 * Written when events are sealed and again when they are verified, millions of
 * times: one pass, no printf.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/entry.h"

#include <string.h>

#define ENTRY_HEAD "theazo event 2\n"
#define ENTRY_FRAME_MAX (TZ_ENTRY_INT_MAX + 2) /* of one field, beside its bytes */

const char *const tz_entry_names[TZ_ENTRY_FIELDS] = {
	"platform_id",  "id",         "number",   "occurred_at",      "xid",        "instance",
	"environment",  "session_id", "agent_id", "run_id",           "actor_kind", "actor_id",
	"request_id",   "category",   "action",   "permission_state", "decision",   "rule",
	"is_violation", "personal",   "body",
};

TzStatus
tz_entry_append(const TzEntry *entry, TzBuf *out)
{
	size_t most = sizeof(ENTRY_HEAD) - 1 + TZ_ENTRY_FIELDS * ENTRY_FRAME_MAX;
	TzStatus status;
	char *p;

	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
		most += entry->field[i].len;
	status = tz_buf_reserve(out, most);
	if (status != TZ_OK)
		return status;

	p = out->data + out->len;
	memcpy(p, ENTRY_HEAD, sizeof(ENTRY_HEAD) - 1);
	p += sizeof(ENTRY_HEAD) - 1;
	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
	{
		TzSlice field = entry->field[i];
		char space[TZ_ENTRY_INT_MAX];
		TzSlice len;

		if (field.data == NULL)
		{
			*p++ = '-';
			continue;
		}
		/* nearly all have fewer than a hundred bytes */
		if (field.len < 10)
			*p++ = (char) ('0' + field.len);
		else if (field.len < 100)
		{
			*p++ = (char) ('0' + field.len / 10);
			*p++ = (char) ('0' + field.len % 10);
		}
		else
		{
			len = tz_entry_int((int64_t) field.len, space);
			memcpy(p, len.data, len.len);
			p += len.len;
		}
		*p++ = ':';
		memcpy(p, field.data, field.len);
		p += field.len;
		*p++ = ',';
	}
	*p = '\0';
	out->len = (size_t) (p - out->data);
	return TZ_OK;
}

TzSlice
tz_entry_int(int64_t value, char space[TZ_ENTRY_INT_MAX])
{
	uint64_t rest = value < 0 ? -(uint64_t) value : (uint64_t) value;
	char *end = space + TZ_ENTRY_INT_MAX;
	char *p = end;

	/* two digits a division */
	while (rest >= 100)
	{
		unsigned int pair = (unsigned int) (rest % 100);

		rest /= 100;
		*--p = (char) ('0' + pair % 10);
		*--p = (char) ('0' + pair / 10);
	}
	do
	{
		*--p = (char) ('0' + rest % 10);
		rest /= 10;
	} while (rest != 0);
	if (value < 0)
		*--p = '-';
	return tz_slice(p, (size_t) (end - p));
}
