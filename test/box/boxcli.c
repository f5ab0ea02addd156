/*-------------------------------------------------------------------------
 *
 * boxcli.c
 *	  Drives one real box through the parent's API, for tests and for a look.
 *
 *	  boxcli [options] step [step ...]
 *
 * Each step is a list of arguments ended by ";" or the end:
 *	  exec [-t ms] [-o max] [-c cwd] [-e NAME=v] [-i stdin] [-s file-with-code name] -- argv...
 *	  start ...			the same, without waiting: ends at "wait" or at the end
 *	  wait				waits for everything started
 *	  cancel			cancels the oldest started command
 *	  write PATH TEXT	| writefile PATH HOSTFILE | zeros PATH BYTES
 *	  read PATH [MAX] | list PATH | stat PATH | delete PATH
 *	  pause | resume | metrics | sleep MS | tree (pids below us) | preflight
 * Options: --init F --bwrap F --memory MB --disk MB --file MB --procs N --files N
 *	  --cpu S --net (allow everything, connecting for real) --deny --flags N --env N=V
 * Prints one line per answer: what, then status=... exit=... and the output.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/box.h"

static TzMux *mux;
static TzBox *box;
static TzBoxPreflight preflight;
static bool ready, gone, deny_all, quiet;
static int pending;
static int foreground;
static uint32_t started[64];
static int nstarted;
static const char *box_env[16];
static int nbox_env;
static int worst;

static TzBoxConfig config = {
	.init_path = NULL,
	.bwrap_path = "/usr/bin/bwrap",
	.mode = TZ_BOX_NAMESPACES,
	.memory_bytes = 512LL << 20,
	.disk_bytes = 256LL << 20,
	.file_bytes = 64LL << 20,
	.processes = 64,
	.open_files = 256,
};

static void
print_slice(const char *name, TzSlice s)
{
	size_t shown = s.len < 4000 ? s.len : 4000;

	if (s.len == 0)
		return;
	printf("%s(%zu): ", name, s.len);
	fwrite(s.data, 1, shown, stdout);
	if (s.len == 0 || s.data[shown - 1] != '\n')
		putchar('\n');
}

static void
print_err(const TzErr *err)
{
	printf(" message=\"%s\"", err->message);
	if (err->detail[0])
		printf(" detail=\"%s\"", err->detail);
	if (err->hint[0])
		printf(" hint=\"%s\"", err->hint);
}

static void
on_done(void *arg, const TzBoxResult *res)
{
	pending--;
	foreground -= strcmp(arg, "start") != 0;
	printf("%s status=%s exit=%d", (const char *) arg, tz_status_name(res->err.status), res->exit_code);
	if (res->timed_out)
		printf(" timed_out");
	if (res->out_of_memory)
		printf(" out_of_memory");
	if (res->truncated)
		printf(" truncated");
	if (res->note)
		printf(" note=\"%s\"", res->note);
	printf(" cpu_ms=%lld rss_kb=%lld wall_ms=%lld", (long long) res->cpu_ms, (long long) res->peak_rss_kb,
	       (long long) res->wall_ms);
	if (strcmp(arg, "metrics") == 0)
		printf(" memory_kb=%lld disk_kb=%lld cpu_percent=%.0f processes=%d", (long long) res->memory_kb,
		       (long long) res->disk_kb, res->cpu_percent, res->nprocesses);
	if (res->err.status != TZ_OK)
	{
		print_err(&res->err);
		worst = 1;
	}
	else if (res->exit_code != 0)
		worst = res->exit_code;
	putchar('\n');
	if (!quiet)
	{
		print_slice("out", res->out);
		print_slice("err", res->errout);
	}
	for (int i = 0; i < res->nentries; i++)
		printf("entry %s%s %lld\n", res->entries[i].name, res->entries[i].is_dir ? "/" : "",
		       (long long) res->entries[i].size);
	fflush(stdout);
}

static void
on_ready(void *arg, const TzBoxResult *res)
{
	(void) arg;
	ready = true;
	if (res->err.status != TZ_OK)
	{
		printf("create status=%s", tz_status_name(res->err.status));
		print_err(&res->err);
		putchar('\n');
		worst = 1;
		gone = true;
	}
}

static void
on_gone(void *arg, TzBox *b, const TzErr *why)
{
	(void) arg;
	(void) b;
	printf("gone status=%s", tz_status_name(why->status));
	print_err(why);
	putchar('\n');
	worst = 1;
	gone = true;
}

static void
on_connect(void *arg, TzBox *b, uint32_t conn, const char *host, int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	int fd;

	(void) arg;
	printf("connect %s:%d\n", host, port);
	if (deny_all || inet_pton(AF_INET, host, &addr.sin_addr) != 1)
	{
		tz_box_connect_deny(b, conn, "not on the list");
		return;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *) &addr, sizeof(addr)) != 0)
	{
		close(fd);
		tz_box_connect_deny(b, conn, "refused");
		return;
	}
	(void) fcntl(fd, F_SETFL, O_NONBLOCK);
	tz_box_connect_allow(b, conn, fd);
}

static void
turn(int ms)
{
	struct pollfd p = {.fd = tz_mux_fd(mux), .events = POLLIN};
	int wait = box != NULL ? tz_box_timeout(box) : -1;

	if (wait < 0 || wait > ms)
		wait = ms;
	(void) poll(&p, 1, wait);
	(void) tz_mux_pump(mux, 64);
	if (box != NULL)
		tz_box_tick(box);
}

static void
settle(void)
{
	while (pending > 0)
		turn(1000);
	nstarted = 0;
}

/* What was started in the background may go on. */
static void
settle_one(void)
{
	while (foreground > 0 && !gone)
		turn(1000);
}

static char *
slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *buf;
	struct stat st;

	if (f == NULL || fstat(fileno(f), &st) != 0)
	{
		perror(path);
		exit(2);
	}
	buf = malloc((size_t) st.st_size + 1);
	*len = fread(buf, 1, (size_t) st.st_size, f);
	fclose(f);
	return buf;
}

static void
step_exec(int argc, char **argv, bool wait)
{
	TzBoxExec exec = {.timeout_ms = 10000, .max_output = 1 << 20};
	const char *env[16];
	int opt = 1;
	TzErr err;
	char *code = NULL;

	tz_err_clear(&err);
	exec.env = env;
	for (; opt + 1 < argc && strcmp(argv[opt], "--") != 0; opt += 2)
	{
		const char *v = argv[opt + 1];

		if (strcmp(argv[opt], "-t") == 0)
			exec.timeout_ms = atoi(v);
		else if (strcmp(argv[opt], "-o") == 0)
			exec.max_output = (size_t) atoll(v);
		else if (strcmp(argv[opt], "-c") == 0)
			exec.cwd = v;
		else if (strcmp(argv[opt], "-e") == 0 && exec.nenv < 16)
			env[exec.nenv++] = v;
		else if (strcmp(argv[opt], "-i") == 0)
			exec.stdin_data = tz_slice_cstr(v);
		else if (strcmp(argv[opt], "-s") == 0)
		{
			code = slurp(v, &exec.code.len);
			exec.code.data = code;
		}
		else if (strcmp(argv[opt], "-n") == 0)
			exec.code_name = v;
	}
	if (opt < argc && strcmp(argv[opt], "--") == 0)
		opt++;
	exec.argv = (const char *const *) argv + opt;
	exec.argc = argc - opt;
	pending++;
	foreground += wait;
	if (tz_box_exec(box, &exec, on_done, wait ? "exec" : "start", &started[nstarted % 64], &err) != TZ_OK)
	{
		pending--;
		foreground -= wait;
		printf("exec status=%s", tz_status_name(err.status));
		print_err(&err);
		putchar('\n');
		worst = 1;
	}
	free(code);
	if (wait)
		settle_one();
	else
		nstarted++;
}

static void
print_preflight(void)
{
	printf("mode: %s flags: %u\n", tz_box_mode_name(preflight.mode), preflight.flags);
	for (int i = 0; i < preflight.nchecks; i++)
		printf("%-24s %-3s %s%s%s\n", preflight.checks[i].name, preflight.checks[i].ok ? "ok" : "NO",
		       preflight.checks[i].found, preflight.checks[i].hint[0] ? " -- " : "",
		       preflight.checks[i].hint);
	if (preflight.err.status != TZ_OK)
	{
		printf("status=%s", tz_status_name(preflight.err.status));
		print_err(&preflight.err);
		putchar('\n');
	}
}

static void
step(int argc, char **argv)
{
	const char *what = argv[0], *path = argc > 1 ? argv[1] : "/";
	TzErr err;
	TzStatus st = TZ_OK;
	char *content = NULL;
	size_t len;

	tz_err_clear(&err);
	if (strcmp(what, "exec") == 0 || strcmp(what, "start") == 0)
	{
		step_exec(argc, argv, what[0] == 'e');
		return;
	}
	pending++;
	foreground++;
	if (strcmp(what, "write") == 0)
		st = tz_box_write(box, path, tz_slice_cstr(argc > 2 ? argv[2] : ""), on_done, "write", &err);
	else if (strcmp(what, "writefile") == 0)
	{
		content = slurp(argv[2], &len);
		st = tz_box_write(box, path, tz_slice(content, len), on_done, "write", &err);
	}
	else if (strcmp(what, "zeros") == 0)
	{
		len = (size_t) atoll(argv[2]);
		content = calloc(1, len);
		st = tz_box_write(box, path, tz_slice(content, len), on_done, "write", &err);
	}
	else if (strcmp(what, "read") == 0)
		st = tz_box_read(box, path, argc > 2 ? (size_t) atoll(argv[2]) : 1 << 20, on_done, "read", &err);
	else if (strcmp(what, "list") == 0)
		st = tz_box_list(box, path, on_done, "list", &err);
	else if (strcmp(what, "stat") == 0)
		st = tz_box_stat(box, path, on_done, "stat", &err);
	else if (strcmp(what, "delete") == 0)
		st = tz_box_delete(box, path, on_done, "delete", &err);
	else if (strcmp(what, "pause") == 0 || strcmp(what, "resume") == 0)
		st = tz_box_pause(box, what[0] == 'p', on_done, (void *) what, &err);
	else if (strcmp(what, "metrics") == 0)
		st = tz_box_metrics(box, on_done, "metrics", &err);
	else
	{
		pending--;
		foreground--;
		if (strcmp(what, "wait") == 0)
			settle();
		else if (strcmp(what, "cancel") == 0)
			tz_box_cancel(box, started[0]);
		else if (strcmp(what, "sleep") == 0)
		{
			struct timespec a, b;

			clock_gettime(CLOCK_MONOTONIC, &a);
			do
			{
				turn(5);
				clock_gettime(CLOCK_MONOTONIC, &b);
			} while ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < atoi(path));
		}
		else
		{
			fprintf(stderr, "boxcli: unknown step \"%s\"\n", what);
			exit(2);
		}
		return;
	}
	free(content);
	if (st != TZ_OK)
	{
		pending--;
		foreground--;
		printf("%s status=%s", what, tz_status_name(err.status));
		print_err(&err);
		putchar('\n');
		worst = 1;
	}
	else
		settle_one();
}

static int
options(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++)
	{
		const char *o = argv[i] + 2;

		if (strcmp(o, "net") == 0 || strcmp(o, "deny") == 0)
		{
			config.network = true;
			deny_all = o[0] == 'd';
			continue;
		}
		if (strcmp(o, "quiet") == 0)
		{
			quiet = true;
			continue;
		}
		if (++i >= argc)
			break;
		if (strcmp(o, "init") == 0)
			config.init_path = argv[i];
		else if (strcmp(o, "bwrap") == 0)
			config.bwrap_path = argv[i];
		else if (strcmp(o, "memory") == 0)
			config.memory_bytes = atoll(argv[i]) << 20;
		else if (strcmp(o, "disk") == 0)
			config.disk_bytes = atoll(argv[i]) << 20;
		else if (strcmp(o, "file") == 0)
			config.file_bytes = atoll(argv[i]) << 20;
		else if (strcmp(o, "procs") == 0)
			config.processes = atoi(argv[i]);
		else if (strcmp(o, "files") == 0)
			config.open_files = atoi(argv[i]);
		else if (strcmp(o, "cpu") == 0)
			config.cpu_seconds = atoi(argv[i]);
		else if (strcmp(o, "flags") == 0)
			config.flags = (unsigned) atoi(argv[i]);
		else if (strcmp(o, "env") == 0 && nbox_env < 16)
			box_env[nbox_env++] = argv[i];
	}
	return i;
}

int
main(int argc, char **argv)
{
	TzBoxCallbacks cb = {on_connect, on_gone, NULL};
	TzErr err;
	int i = options(argc, argv);

	tz_err_clear(&err);
	if (config.init_path == NULL)
		config.init_path = getenv("THEAZO_INIT");
	if (config.init_path == NULL || i >= argc)
	{
		fprintf(stderr, "usage: boxcli --init /path/theazo-init [options] step [; step ...]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(argv[i], "preflight") == 0)
	{
		tz_box_preflight(config.init_path, config.bwrap_path, &preflight);
		print_preflight();
		return preflight.mode == TZ_BOX_NONE;
	}
	config.env = box_env;
	config.nenv = nbox_env;
	if (tz_mux_create(&mux, &err) != TZ_OK ||
	    tz_box_create(&config, mux, &cb, on_ready, NULL, &box, &err) != TZ_OK)
	{
		printf("create status=%s", tz_status_name(err.status));
		print_err(&err);
		putchar('\n');
		return 1;
	}
	while (!ready)
		turn(1000);
	while (i < argc && !gone)
	{
		int n = i;

		while (n < argc && strcmp(argv[n], ";") != 0)
			n++;
		if (n > i)
		{
			char *saved = argv[n];

			argv[n] = NULL;
			step(n - i, argv + i);
			argv[n] = saved;
		}
		i = n + 1;
	}
	if (!gone)
		settle();
	tz_box_destroy(box);
	tz_mux_free(mux);
	return worst;
}
