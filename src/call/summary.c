/*-------------------------------------------------------------------------
 *
 * summary.c
 *	  Bounding and masking what people will read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "call/summary.h"
#include "pg/spi.h"

#define SUMMARY_PLAIN_MAX 200 /* bytes, as in summary_bound() */

static bool summary_is_plain(Jsonb *summary);

Jsonb *
tz_summary(Jsonb *summary)
{
	static TzStmt stmt = {"SELECT theazo_internal.summary_bound($1)", 1, {JSONBOID}, NULL};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inner;
	Datum arg;
	Datum bound;
	bool isnull;

	if (summary == NULL || (JB_ROOT_IS_OBJECT(summary) && JB_ROOT_COUNT(summary) == 0))
		return NULL;
	if (summary_is_plain(summary))
		return summary;
	arg = JsonbPGetDatum(summary);
	SPI_connect();
	tz_spi_exec(&stmt, &arg, NULL, 1);
	bound = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	inner = MemoryContextSwitchTo(caller);
	summary = isnull ? NULL : DatumGetJsonbPCopy(bound);
	MemoryContextSwitchTo(inner);
	SPI_finish();
	return summary;
}

bool
tz_text_is_suspicious(TzSlice text)
{
	/* a superset of what summary_bound() and text_mask() look for */
	static const char *const words[] = {"secret", "passw",   "token",  "credential", "authorization",
	                                    "apikey", "api_key", "_live_", "_test_",     "tzk_",
	                                    "sec_",   "sk-",     "ghp_",   "gho_",       "xox",
	                                    "akia",   "bearer"};
	char *lower = palloc(text.len + 1);

	for (size_t i = 0; i < text.len; i++)
	{
		/* a pattern that ignores case finds more than ASCII letters */
		if ((text.data[i] & 0x80) != 0)
			return true;
		lower[i] = (char) pg_ascii_tolower((unsigned char) text.data[i]);
	}
	lower[text.len] = '\0';
	for (size_t i = 0; i < lengthof(words); i++)
	{
		if (strstr(lower, words[i]) != NULL)
			return true;
	}
	return false;
}

/* Whether summary_bound() would leave it alone. When in doubt it is asked. */
static bool
summary_is_plain(Jsonb *summary)
{
	TzSlice text;

	if (!JB_ROOT_IS_OBJECT(summary) || VARSIZE(summary) > 2 * SUMMARY_PLAIN_MAX)
		return false;
	text = tz_slice_cstr(JsonbToCString(NULL, &summary->root, VARSIZE(summary)));
	return text.len <= SUMMARY_PLAIN_MAX && !tz_text_is_suspicious(text);
}
