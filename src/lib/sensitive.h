/*-------------------------------------------------------------------------
 *
 * sensitive.h
 *	  Does a text of SQL or of the log carry a secret?
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SENSITIVE_H
#define TZ_SENSITIVE_H

#include "lib/buf.h"

#define TZ_SENSITIVE_NAME 0x01 /* names a function or setting that takes a secret */
#define TZ_SENSITIVE_KEY 0x02 /* holds an API key, known by its form */
#define TZ_SENSITIVE_VALUE 0x08 /* of the names, one of a function that takes a value to be stored */
#define TZ_SENSITIVE_EXECUTE 0x04 /* runs a prepared statement: look at what that is */

/* Bits of TZ_SENSITIVE_*; 0 for a harmless text. One pass, no allocation. */
extern unsigned int tz_sensitive_scan(TzSlice text);

/* Overwrites what is secret of each API key in place; the first characters stay, as in lists of keys. */
extern void tz_sensitive_scrub_keys(char *text, size_t len);

/*
 * Name of the next prepared statement that text executes, from *pos on; false
 * when there is no further one. ASCII letters are folded as the server does;
 * what does not fit into name is cut.
 */
extern bool tz_sensitive_next_execute(TzSlice text, size_t *pos, char *name, size_t name_size);

#endif /* TZ_SENSITIVE_H */
