/*-------------------------------------------------------------------------
 *
 * client.c
 *	  The library that programs in a sandbox report with, as it is put there.
 *
 * Its sources are in src/client; test/run/embed.py makes client_text.h of them.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/client.h"
#include "lib/client_text.h"

static const char python[] = CLIENT_PYTHON;
static const char node[] = CLIENT_NODE;

TzSlice
tz_client_python(void)
{
	return tz_slice(python, sizeof(python) - 1);
}

TzSlice
tz_client_node(void)
{
	return tz_slice(node, sizeof(node) - 1);
}
