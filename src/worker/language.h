/*-------------------------------------------------------------------------
 *
 * language.h
 *	  Languages an exec can name, and the commands that run them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LANGUAGE_H
#define TZ_LANGUAGE_H

#define TZ_LANGUAGE_ARGS_MAX 4

typedef struct TzLanguage
{
	const char *name; /* canonical: "python" */
	const char *alias; /* one more spelling, or NULL */
	const char *runtime; /* program the machine must have, as preflight names it */
	const char *file; /* name of the file the code becomes; NULL: it is the standard input */
	const char *argv[TZ_LANGUAGE_ARGS_MAX]; /* "{code}" is the file's path; NULL-terminated */
	const char *env; /* "NAME=value" it needs to find modules in the working directory, or NULL */
} TzLanguage;

/* NULL when nothing is known under that name. */
extern const TzLanguage *tz_language_find(const char *name);
/* "python, node, go, bash, sh" */
extern const char *tz_language_list(void);

#endif /* TZ_LANGUAGE_H */
