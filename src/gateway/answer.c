/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What an operation says about its answer beside the document.
 *
 * An operation of sql/rest returns a document and nothing else. The few that
 * answer with another status than their route's, or with headers, say so
 * here. The face that called (gateway or rest_call()) resets before and reads
 * after, so nothing has to be undone when the operation fails.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "gateway/answer.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/objects.h"

#define HEADERS_MAX 8192

static int answer_status = 0;
static char *answer_headers = NULL; /* in TopMemoryContext */

void
tz_rest_answer_reset(void)
{
	answer_status = 0;
	if (answer_headers != NULL)
		pfree(answer_headers);
	answer_headers = NULL;
}

TzRestAnswer
tz_rest_answer(void)
{
	TzRestAnswer out = {answer_status, answer_headers};

	return out;
}

/* theazo_internal.rest_answer(status integer, headers jsonb): null leaves what was said before */
THEAZO_FUNCTION(theazo_rest_answer)
{
	if (!PG_ARGISNULL(0))
	{
		int status = PG_GETARG_INT32(0);

		if (status < 200 || status > 599)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			        errmsg("status must be from 200 to 599"));
		answer_status = status;
	}
	if (!PG_ARGISNULL(1))
	{
		Jsonb *headers = PG_GETARG_JSONB_P(1);
		char *text;

		if (!JB_ROOT_IS_OBJECT(headers) || VARSIZE(headers) > HEADERS_MAX)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			        errmsg("headers must be a JSON object of at most %d bytes", HEADERS_MAX));
		text = JsonbToCString(NULL, &headers->root, VARSIZE(headers));
		if (answer_headers != NULL)
			pfree(answer_headers);
		answer_headers = MemoryContextStrdup(TopMemoryContext, text);
	}
	PG_RETURN_VOID();
}

/* theazo_internal.rest_answer_reset() */
THEAZO_FUNCTION(theazo_rest_answer_reset)
{
	(void) fcinfo;
	tz_rest_answer_reset();
	PG_RETURN_VOID();
}

/* theazo_internal.rest_answered(OUT status integer, OUT headers jsonb) */
THEAZO_FUNCTION(theazo_rest_answered)
{
	TupleDesc desc = tz_result_desc(fcinfo);
	Datum values[2] = {(Datum) 0, (Datum) 0};
	bool nulls[2] = {answer_status == 0, answer_headers == NULL};

	values[0] = Int32GetDatum(answer_status);
	if (answer_headers != NULL)
		values[1] = tz_jsonb_datum(tz_slice_cstr(answer_headers));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
