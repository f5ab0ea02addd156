/*-------------------------------------------------------------------------
 *
 * answer.h
 *	  What an operation says about its answer beside the document: another
 *	  status than its route's, and headers.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ANSWER_H
#define TZ_ANSWER_H

typedef struct TzRestAnswer
{
	int status; /* 0: the route's */
	const char *headers; /* a JSON object of strings, or NULL; lives until the next reset */
} TzRestAnswer;

/* Forgets what was said: a face does so before it calls an operation. */
extern void tz_rest_answer_reset(void);

/* What the operation said since then. */
extern TzRestAnswer tz_rest_answer(void);

#endif /* TZ_ANSWER_H */
