/*-------------------------------------------------------------------------
 *
 * envelope.h
 *	  An error as the REST contract shows it.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ENVELOPE_H
#define TZ_ENVELOPE_H

#include "lib/stringinfo.h"

/* The fields of an error that matter here; NULL where there is none. */
typedef struct TzRestError
{
	int sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
	const char *column; /* of the error: the field */
	const char *datatype; /* id or state, by SQLSTATE */
	const char *table; /* kind of the thing that was not found */
	const char *request_id;
	bool snake; /* the form of the governed agents' interface */
} TzRestError;

/*
 * Appends the envelope, as JSON. An unexpected error is internal_error and
 * says nothing more: its message is the server log's. Returns the HTTP status.
 * *retry_after is set to whole seconds where the caller should wait, else 0.
 */
extern int tz_rest_envelope(StringInfo out, const TzRestError *error, int *retry_after);

#endif /* TZ_ENVELOPE_H */
