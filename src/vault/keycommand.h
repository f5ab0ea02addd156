/*-------------------------------------------------------------------------
 *
 * keycommand.h
 *	  Run a program that prints the master keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_KEYCOMMAND_H
#define TZ_KEYCOMMAND_H

#include "lib/buf.h"

/*
 * Runs a command line by the shell and appends what it prints to out, whose
 * ceiling bounds it. Fails when the command does not end with status 0 in time;
 * its process group is killed then. Its standard error goes to the server's.
 */
extern TzStatus tz_keycommand_run(const char *command, int timeout_ms, TzBuf *out, TzErr *err);

#endif /* TZ_KEYCOMMAND_H */
