/*-------------------------------------------------------------------------
 *
 * client.h
 *	  The library that programs in a sandbox report with, as it is put there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CLIENT_H
#define TZ_CLIENT_H

#include "lib/buf.h"

extern TzSlice tz_client_python(void); /* theazo_sandbox.py */
extern TzSlice tz_client_node(void); /* theazo_sandbox/index.js */

#endif /* TZ_CLIENT_H */
