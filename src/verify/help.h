/*-------------------------------------------------------------------------
 *
 * help.h
 *	  What theazo-verify --help prints.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VERIFY_HELP_H
#define TZ_VERIFY_HELP_H

extern const char tz_verify_help[];

#endif /* TZ_VERIFY_HELP_H */
