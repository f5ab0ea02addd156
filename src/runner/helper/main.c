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
#include <sys/wait.h>
#include <unistd.h>

#include "runner/frame.h"
#include "runner/helper/engine.h"
#include "runner/helper/helper.h"

static const char *
exit_reason(int status)
{
	switch (status)
	{
		case EXIT_NO_PRIVILEGES:
			return "privileges could not be given up";
		case EXIT_NO_FILTER:
			return "the kernel refuses a filter of system calls (seccomp)";
		case EXIT_NO_ENGINE:
			return "the JavaScript engine does not start";
		case EXIT_NO_FORK:
			return "no process may be made";
		default:
			return "it does not start";
	}
}

/*
 * What a worker would find: the program locks itself in as it does for one, in a child, and its HELLO is printed as JSON.
 */
static int
probe(void)
{
	unsigned char packet[TZ_FRAME_HEADER + TZ_FRAME_HELLO_LEN];
	const unsigned char *p = packet + TZ_FRAME_HEADER;
	int sock[2], status = 0;
	unsigned walls;
	ssize_t n;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) != 0 || (pid = fork()) < 0)
	{
		perror("theazo-runner");
		return 1;
	}
	if (pid == 0)
	{
		Jail jail;

		if (dup2(sock[1], RUN_FD) != RUN_FD)
			_exit(EXIT_NO_CHANNEL);
		(void) close_range(RUN_FD + 1, ~0U, 0);
		if (!engine_early())
			_exit(EXIT_NO_ENGINE);
		jail_enter(&jail);
		zygote_main(&jail);
	}
	close(sock[1]);
	n = recv(sock[0], packet, sizeof(packet), 0);
	/* It ends when its channel does. */
	close(sock[0]);
	(void) waitpid(pid, &status, 0);
	if (n != (ssize_t) sizeof(packet))
	{
		printf("{\"mode\":\"none\",\"error\":\"%s\"}\n",
		       WIFEXITED(status) ? exit_reason(WEXITSTATUS(status)) : "it was killed");
		return 1;
	}
	walls = tz_frame_get_u32(p + 4);
	printf("{\"mode\":\"%s\",\"engine\":\"%.23s\",\"engine_version\":\"%.23s\"",
	       walls == (1u << TZ_RUNNER_WALLS) - 1 ? "full" : "seccomp", (const char *) p + 28,
	       (const char *) p + 52);
	for (int i = 0; i < TZ_RUNNER_WALLS; i++)
	{
		static const char *const names[TZ_RUNNER_WALLS] = {"seccomp", "capabilities", "user", "pid",
		                                                   "net",     "ipc",          "uts",  "cgroup",
		                                                   "mount",   "root"};

		if (walls & (1u << i))
			printf(",\"%s\":true", names[i]);
		else
			printf(",\"%s\":\"%s\"", names[i], strerror(p[8 + 2 * i] | p[9 + 2 * i] << 8));
	}
	printf("}\n");
	return 0;
}

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
	if (argc > 1 && strcmp(argv[1], "--probe") == 0)
		return probe();
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
	if (!engine_early())
		return EXIT_NO_ENGINE;
	jail_enter(&jail);
	zygote_main(&jail);
}
