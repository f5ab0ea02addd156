/*-------------------------------------------------------------------------
 *
 * pattern.h
 *	  Patterns that name tools, paths and hosts in a platform's rules.
 *
 * A pattern covers what it matches and what lies below: a directory its files,
 * a domain its subdomains. Nothing here allocates; time is linear in the text
 * times the number of stars, both bounded by whoever stores the pattern.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_PATTERN_H
#define TZ_PATTERN_H

#include "lib/buf.h"

#define TZ_PATTERN_HOST_MAX 255

/* "*" any characters, "?" one. No match for an empty text unless the pattern is empty or "*". */
extern bool tz_pattern_name(TzSlice pattern, TzSlice name);

/*
 * Paths that begin with a slash and are clean: no empty, "." or ".." parts. "*" and
 * "?" stay within a part, "**" crosses them. The pattern covers what lies below it.
 */
extern bool tz_pattern_path(TzSlice pattern, TzSlice path);

/* May a listing of this directory show something that the pattern covers? */
extern bool tz_pattern_listing(TzSlice pattern, TzSlice dir);

/* "host" covers host and its subdomains, "*.host" its subdomains only, "*" every host. Both as tz_pattern_host_clean() made them. */
extern bool tz_pattern_host(TzSlice pattern, TzSlice host);

/* Is there a host that both cover? */
extern bool tz_pattern_host_overlap(TzSlice a, TzSlice b);

/*
 * A host (or a pattern of one) in its one spelling: lower case, without port, brackets
 * and trailing dot, an address in whatever form as the address it is. out holds
 * TZ_PATTERN_HOST_MAX + 1 bytes. False for what is no host.
 */
extern bool tz_pattern_host_clean(TzSlice host, char *out);

/*
 * An address in its one spelling: 127.1, 0x7f000001, 2130706433, ::ffff:7f00:1 are one. host without brackets, out as
 * above and possibly the same. False, and out untouched, for a name.
 */
extern bool tz_pattern_address(const char *host, char *out);

#endif /* TZ_PATTERN_H */
