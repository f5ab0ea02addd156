/*-------------------------------------------------------------------------
 *
 * url.h
 *	  The parts of an http or https URL that decide where a request goes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_URL_H
#define TZ_URL_H

#include "lib/buf.h"

#define TZ_URL_HOST_MAX 253
#define TZ_URL_BYTES_MAX 8192

typedef struct TzUrl
{
	bool tls; /* https */
	int port; /* as given, else 443 or 80 */
	char host[TZ_URL_HOST_MAX + 1]; /* lower case, without brackets and trailing dot */
	size_t rest; /* where path, query or fragment begin; the length when there is none */
	size_t fragment; /* where a fragment begins; the length when there is none */
} TzUrl;

/*
 * TZ_BAD_INPUT, with a message that does not repeat the text, for everything that
 * two readers could read differently: user names, backslashes, percent signs or
 * non-ASCII characters in the host, blanks, empty ports.
 */
extern TzStatus tz_url_split(TzSlice text, TzUrl *out, TzErr *err);

#endif /* TZ_URL_H */
