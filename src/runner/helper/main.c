/*-------------------------------------------------------------------------
 *
 * main.c
 *	  theazo-runner: JavaScript behind walls of the kernel.
 *
 *	  theazo-runner			as a worker starts it: its channel is descriptor 3
 *	  theazo-runner --probe	says on standard output what this machine grants
 *	  theazo-runner --version
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/helper/engine.h"
#include "runner/helper/helper.h"

int
main(int argc, char **argv)
{
	Jail jail;
	struct stat st;

	if (argc > 1 && strcmp(argv[1], "--version") == 0)
	{
		printf("theazo-runner %s\n", THEAZO_VERSION);
		return 0;
	}
	if (argc > 1)
	{
		fprintf(stderr, "theazo-runner is started by the server\n");
		return 2;
	}
	if (fstat(RUN_FD, &st) != 0 || !S_ISSOCK(st.st_mode))
	{
		fprintf(stderr, "theazo-runner is started by the server\n");
		return EXIT_NO_CHANNEL;
	}
	jail_enter(&jail);
	zygote_main(&jail);
}
