/*-------------------------------------------------------------------------
 *
 * event_row.c
 *	  From a stored event to the bytes that are hashed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "audit/event_row.h"
#include "pg/convert.h"

static TzSlice event_text(Datum value);
static TzSlice event_bytes(Datum value);

void
tz_event_entry(const Datum *values, const bool *nulls, TzEventNumbers *numbers, TzEntry *entry)
{
	bool utf8 = GetDatabaseEncoding() == PG_UTF8;

	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
	{
		TzSlice *field = &entry->field[i];

		if (nulls[i])
		{
			*field = tz_slice(NULL, 0);
			continue;
		}
		switch (i)
		{
			case TZ_ENTRY_NUMBER:
				*field = tz_entry_int(DatumGetInt64(values[i]), numbers->number);
				break;
			case TZ_ENTRY_OCCURRED_AT:
				*field = tz_entry_int(TZ_UNIX_US(DatumGetTimestampTz(values[i])), numbers->occurred_at);
				break;
			case TZ_ENTRY_XID:
				*field = tz_entry_int((int64) U64FromFullTransactionId(DatumGetFullTransactionId(values[i])),
				                      numbers->xid);
				break;
			case TZ_ENTRY_VIOLATION:
				*field = DatumGetBool(values[i]) ? tz_slice("t", 1) : tz_slice("f", 1);
				break;
			case TZ_ENTRY_BODY:
				*field = event_bytes(values[i]);
				break;
			default:
				*field = utf8 ? event_bytes(values[i]) : event_text(values[i]);
				break;
		}
	}
}

/* What is hashed is UTF-8, whatever the database is. */
static TzSlice
event_text(Datum value)
{
	TzSlice text = event_bytes(value);
	char *utf8 = pg_server_to_any(text.data, (int) text.len, PG_UTF8);

	return utf8 == text.data ? text : tz_slice_cstr(utf8);
}

/* Nearly all values are short and lie as they are; no call for those. */
static TzSlice
event_bytes(Datum value)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(value);

	if (VARATT_IS_SHORT(v) && !VARATT_IS_EXTERNAL(v))
		return tz_slice(VARDATA_SHORT(v), VARSIZE_SHORT(v) - VARHDRSZ_SHORT);
	return tz_datum_slice(value);
}
