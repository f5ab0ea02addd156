/*-------------------------------------------------------------------------
 *
 * main.c
 *	  theazo-verify: checks an export of an audit trail where no server runs.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "verify/help.h"
#include "verify/report.h"
#include "verify/statement.h"

#define EXIT_FINE 0
#define EXIT_TAMPERED 1
#define EXIT_UNREADABLE 2

#define BLOCK ((size_t) 1 << 17)
#define ANCHOR_LINE_MAX 4096
#define KEY_FILE_MAX 65536

typedef TzStatus (*TakeText)(TzTrust *trust, TzSlice text, TzErr *err);

typedef struct Options
{
	bool json;
	bool quiet;
	const char *at; /* file at hand */
	const char *statement;
	TzStatementAsk ask;
} Options;

static const struct option options_long[] = {
	{"vkey", required_argument, NULL, 'k'},
	{"vkey-file", required_argument, NULL, 'K'},
	{"tsa-ca", required_argument, NULL, 't'},
	{"anchor-file", required_argument, NULL, 'a'},
	{"evm-tx", required_argument, NULL, 'e'},
	{"checkpoint", required_argument, NULL, 'c'},
	{"require-anchored", required_argument, NULL, 'r'},
	{"statement", required_argument, NULL, 's'},
	{"helper", required_argument, NULL, 'x'},
	{"code", required_argument, NULL, 'p'},
	{"input", required_argument, NULL, 'i'},
	{"output", required_argument, NULL, 'o'},
	{"provider-key", required_argument, NULL, 'P'},
	{"json", no_argument, NULL, 'j'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static void print(const TzFinding *finding, void *arg);
static void read_options(int argc, char **argv, TzTrust *trust, Options *options);
static void read_option(int c, const char *arg, TzTrust *trust);
static void read_time(const char *text, int64_t *us);
static void read_whole(const char *path, TzTrust *trust, TakeText take);
static void read_text(const char *path, size_t max, TzBuf *text);
static void read_digest(const char *path, const char *field, Options *options);
static void read_provider_key(const char *text, Options *options);
static int verify_statement(const TzTrust *trust, const Options *options);
static void read_lines(const char *path, TzTrust *trust, TakeText take, size_t max);
static bool verify_file(TzJudge *judge, const char *path);
static FILE *open_file(const char *path);
static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

int
main(int argc, char **argv)
{
	static char *standard_input[] = {"-", NULL};
	static TzTrust trust;
	static Options options;
	const TzFinding *finding;
	char **files;
	TzJudge *judge;
	TzErr err;
	int code;

	tz_trust_init(&trust);
	read_options(argc, argv, &trust, &options);
	if (options.statement != NULL)
	{
		code = verify_statement(&trust, &options);
		tz_trust_free(&trust);
		return code;
	}
	if (tz_trust_ready(&trust, &err) != TZ_OK || tz_judge_new(&judge, &trust, print, &options, &err) != TZ_OK)
		die("%s", err.message);
	files = argv[optind] == NULL ? standard_input : argv + optind;
	for (int i = 0; files[i] != NULL; i++)
	{
		options.at = strcmp(files[i], "-") == 0 ? "standard input" : files[i];
		if (!verify_file(judge, files[i]))
			break;
	}
	finding = tz_judge_end(judge);
	print(finding, &options);
	code = finding->verdict == TZ_VERDICT_FINE       ? EXIT_FINE
	       : finding->verdict == TZ_VERDICT_TAMPERED ? EXIT_TAMPERED
	                                                 : EXIT_UNREADABLE;
	tz_judge_free(judge);
	tz_trust_free(&trust);
	return code;
}

static void
print(const TzFinding *finding, void *arg)
{
	const Options *options = arg;
	TzBuf out;

	if (options->quiet && finding->verdict == TZ_VERDICT_FINE)
		return;
	tz_buf_init(&out, BLOCK);
	if ((options->json ? tz_report_json(finding, options->at, &out)
	                   : tz_report_text(finding, options->at, &out)) != TZ_OK)
		die("out of memory");
	if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
		die("could not write the result: %s", strerror(errno));
	tz_buf_free(&out);
}

static void
read_options(int argc, char **argv, TzTrust *trust, Options *options)
{
	int c;

	while ((c = getopt_long(argc, argv, "hVjqk:", options_long, NULL)) != -1)
	{
		switch (c)
		{
			case 'j':
				options->json = true;
				break;
			case 'q':
				options->quiet = true;
				break;
			case 'h':
				fputs(tz_verify_help, stdout);
				exit(EXIT_FINE);
			case 'V':
				puts("theazo-verify " THEAZO_VERSION ", export format 1");
				exit(EXIT_FINE);
			case 's':
				options->statement = optarg;
				break;
			case 'x':
				read_digest(optarg, "helper_sha256", options);
				break;
			case 'p':
				read_digest(optarg, "code_sha256", options);
				break;
			case 'i':
				read_digest(optarg, "input_sha256", options);
				break;
			case 'o':
				read_digest(optarg, "output_sha256", options);
				break;
			case 'P':
				read_provider_key(optarg, options);
				break;
			case '?':
				fputs("Try --help.\n", stderr);
				exit(EXIT_UNREADABLE);
			default:
				read_option(c, optarg, trust);
		}
	}
}

static void
read_option(int c, const char *arg, TzTrust *trust)
{
	TzErr err;

	switch (c)
	{
		case 'k':
			if (tz_trust_add_key(trust, tz_slice_cstr(arg), &err) != TZ_OK)
				die("--vkey: %s", err.message);
			break;
		case 'K':
			read_lines(arg, trust, tz_trust_add_key, KEY_FILE_MAX);
			break;
		case 't':
			read_whole(arg, trust, tz_trust_add_ca);
			break;
		case 'a':
			trust->file_given = true;
			read_lines(arg, trust, tz_trust_add_line, ANCHOR_LINE_MAX);
			break;
		case 'e':
			read_whole(arg, trust, tz_trust_add_tx);
			break;
		case 'c':
			read_whole(arg, trust, tz_trust_add_checkpoint);
			break;
		case 'r':
			read_time(arg, &trust->anchored_before_us);
			break;
	}
}

/* "all", "none", or a time in UTC. */
static void
read_time(const char *text, int64_t *us)
{
	struct tm tm = {0};
	const char *rest;

	if (strcmp(text, "all") == 0)
		*us = INT64_MAX;
	else if (strcmp(text, "none") == 0)
		*us = INT64_MIN + 1;
	else
	{
		rest = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
		if (rest == NULL || *rest != '\0')
			die("--require-anchored: \"%s\" is not \"all\", \"none\" or a time like 2027-01-31T00:00:00Z",
			    text);
		*us = (int64_t) timegm(&tm) * 1000000;
	}
}

static void
read_whole(const char *path, TzTrust *trust, TakeText take)
{
	TzBuf text;
	TzErr err;

	read_text(path, TZ_TRUST_FILE_MAX, &text);
	if (take(trust, tz_buf_slice(&text), &err) != TZ_OK)
		die("%s: %s", path, err.message);
	tz_buf_free(&text);
}

static void
read_text(const char *path, size_t max, TzBuf *text)
{
	FILE *f = open_file(path);
	size_t n;

	tz_buf_init(text, max);
	do
	{
		if (tz_buf_reserve(text, BLOCK) != TZ_OK)
			die("%s: more than %zu bytes", path, max);
		n = fread(text->data + text->len, 1, BLOCK, f);
		text->len += n;
	} while (n > 0);
	if (ferror(f))
		die("%s: %s", path, strerror(errno));
	if (f != stdin)
		fclose(f);
}

static void
read_digest(const char *path, const char *field, Options *options)
{
	TzStatementFile *file = &options->ask.file[options->ask.nfiles];
	TzBuf text;
	TzErr err;

	if (options->ask.nfiles == TZ_STATEMENT_FILES_MAX)
		die("%s: too many files", path);
	read_text(path, TZ_TRUST_FILE_MAX, &text);
	file->field = field;
	if (tz_sha256(tz_buf_slice(&text), file->digest, &err) != TZ_OK)
		die("%s: %s", path, err.message);
	options->ask.nfiles++;
	tz_buf_free(&text);
}

/* Itself, or a file that has it. */
static void
read_provider_key(const char *text, Options *options)
{
	TzBuf file;
	TzErr err;
	TzStatus status = tz_evidence_key(tz_slice_cstr(text), options->ask.provider_key, &err);

	if (status != TZ_OK && access(text, R_OK) == 0)
	{
		read_text(text, TZ_TRUST_FILE_MAX, &file);
		status = tz_evidence_key(tz_buf_slice(&file), options->ask.provider_key, &err);
		tz_buf_free(&file);
	}
	if (status != TZ_OK)
		die("--provider-key: %s", err.message);
	options->ask.has_provider_key = true;
}

static int
verify_statement(const TzTrust *trust, const Options *options)
{
	TzStatementFinding finding;
	TzBuf text;
	TzBuf out;
	TzErr err;

	read_text(options->statement, TZ_STATEMENT_MAX * 4, &text);
	if (tz_statement_check(tz_buf_slice(&text), trust, &options->ask, &finding, &err) != TZ_OK)
		die("%s: %s", options->statement, err.message);
	tz_buf_free(&text);
	tz_buf_init(&out, BLOCK);
	if (!(options->quiet && finding.fine) &&
	    (tz_statement_report(&finding, options->json, &out) != TZ_OK ||
	     fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0))
		die("could not write the result");
	tz_buf_free(&out);
	return finding.fine ? EXIT_FINE : EXIT_TAMPERED;
}

/* Empty lines and lines that begin with # are left out. */
static void
read_lines(const char *path, TzTrust *trust, TakeText take, size_t max)
{
	FILE *f = open_file(path);
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int number = 0;
	TzErr err;

	while ((len = getline(&line, &cap, f)) >= 0)
	{
		number++;
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			len--;
		if (len == 0 || line[0] == '#')
			continue;
		if ((size_t) len > max)
			die("%s, line %d: too long", path, number);
		if (take(trust, tz_slice(line, (size_t) len), &err) != TZ_OK)
			die("%s, line %d: %s", path, number, err.message);
	}
	if (ferror(f))
		die("%s: %s", path, strerror(errno));
	free(line);
	fclose(f);
}

/* Lines of one export, through a buffer of fixed size. */
static bool
verify_file(TzJudge *judge, const char *path)
{
	FILE *f = open_file(path);
	size_t max = TZ_RECORD_LINE_MAX + BLOCK;
	char *data = malloc(max);
	size_t len = 0;
	bool more = true;
	size_t n;

	if (data == NULL)
		die("out of memory");
	tz_judge_file(judge);
	while (more && (n = fread(data + len, 1, max - len, f)) > 0)
	{
		char *line = data;
		char *end;

		/* what was there before has no line feed */
		end = memchr(data + len, '\n', n);
		len += n;
		while (more && end != NULL)
		{
			more = tz_judge_line(judge, tz_slice(line, (size_t) (end - line)));
			line = end + 1;
			end = memchr(line, '\n', len - (size_t) (line - data));
		}
		len -= (size_t) (line - data);
		memmove(data, line, len);
		if (more && len > TZ_RECORD_LINE_MAX)
			die("%s: a line of more than %zu bytes", path, TZ_RECORD_LINE_MAX);
	}
	if (ferror(f))
		die("%s: %s", path, strerror(errno));
	if (more && len > 0)
		more = tz_judge_line(judge, tz_slice(data, len));
	if (f != stdin)
		fclose(f);
	free(data);
	return more && tz_judge_file_end(judge);
}

static FILE *
open_file(const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");

	if (f == NULL)
		die("%s: %s", path, strerror(errno));
	return f;
}

static void
die(const char *fmt, ...)
{
	va_list args;

	fputs("theazo-verify: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_UNREADABLE);
}
