/*-------------------------------------------------------------------------
 *
 * pii.h
 *	  Personal data in text: e-mail addresses, phone numbers, social security
 *	  numbers of the USA, payment cards, bank accounts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_PII_H
#define TZ_PII_H

#include "lib/buf.h"

/* No find is longer, so no more than this has to be kept of a text that comes in pieces. */
#define TZ_PII_MAX 200

#define TZ_PII_MARK "[REDACTED]"

typedef enum TzPiiKind
{
	TZ_PII_NONE,
	TZ_PII_EMAIL,
	TZ_PII_PHONE,
	TZ_PII_SSN,
	TZ_PII_CARD,
	TZ_PII_IBAN
} TzPiiKind;

typedef struct TzPii
{
	size_t start;
	size_t end;
	TzPiiKind kind;
} TzPii;

/* The first find at or behind from. */
extern bool tz_pii_next(TzSlice text, size_t from, TzPii *find);
/* Appends text with each find replaced; *count is how many there were. */
extern TzStatus tz_pii_redact(TzSlice text, TzBuf *out, size_t *count);
extern const char *tz_pii_name(TzPiiKind kind);

#endif /* TZ_PII_H */
