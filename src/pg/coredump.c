/*-------------------------------------------------------------------------
 *
 * coredump.c
 *	  No core dump of a process that has seen a secret.
 *
 * Keys lie in pages of their own that are left out of dumps. Values do not:
 * they pass through the server's message buffers, its parser, libcurl and
 * OpenSSL, whose memory is not ours to mark or to wipe. So the whole process is
 * taken out: workers when they start, a backend as soon as a statement of its
 * client names a function that takes a secret.
 *
 * On Linux the process is made undumpable, which also keeps other processes of
 * the server's user from tracing it and from reading its memory. A limit on the
 * size of cores alone would not do: it does not hold for a core that the kernel
 * pipes to a program. What a process starts is dumpable again once it has
 * executed another program.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "pg/coredump.h"

void
tz_coredump_off(void)
{
	static bool off = false;

	if (off)
		return;
#ifdef __linux__
	(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#else
	{
		struct rlimit none = {0, 0};

		(void) setrlimit(RLIMIT_CORE, &none);
	}
#endif
	off = true;
}
