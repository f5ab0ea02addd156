/*-------------------------------------------------------------------------
 *
 * shell.c
 *	  Code carried inside a shell command line.
 *
 * The only operation every customer's endpoint must offer is "run this command
 * line", so code travels in it as base64, is written to a file in the working
 * directory and run from there: base64 needs no quoting and the file gives the
 * interpreter its usual error messages. Only values of environment variables are
 * quoted, by the one rule that holds in every POSIX shell.
 *
 * Where the machine has timeout(1) the command is limited there too, because our
 * own limit cannot stop what runs at the other end.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "adapter/shell.h"
#include "lib/client.h"
#include "lib/sign.h"
#include "lib/utf8.h"

typedef struct Language
{
	const char *name;
	const char *suffix;
	const char *run;
} Language;

static const Language languages[] = {
	{"python", "py", "python3"},  {"python3", "py", "python3"}, {"node", "js", "node"},
	{"javascript", "js", "node"}, {"js", "js", "node"},         {"go", "go", "go run"},
	{"sh", "sh", "sh"},           {"shell", "sh", "sh"},        {"bash", "sh", "bash"},
};

static const Language *language_find(const char *name);
static void append_name(const TzShellCode *code, const Language *language, TzBuf *out);
static TzStatus append_run(const TzShellCode *code, const Language *language, TzBuf *out, TzErr *err);
static void append_client(const TzShellCode *code, TzBuf *out);
static TzStatus append_export(const char *name, TzSlice value, TzBuf *out, TzErr *err);

TzStatus
tz_shell_command(const TzShellCode *code, TzBuf *out, TzErr *err)
{
	const Language *language = language_find(code->language);
	TzStatus status;

	if (language == NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "language \"%.32s\" is not known", code->language);
	status = tz_shell_exports(code, out, err);
	if (status != TZ_OK)
		return status;
	append_name(code, language, out);
	if (code->in_pieces)
		tz_buf_append_cstr(out, "for tz_p; do printf %s \"$tz_p\"; done");
	else
	{
		tz_buf_append_cstr(out, "printf %s '");
		tz_base64_append(out, code->code.data, code->code.len);
		tz_buf_append_byte(out, '\'');
	}
	tz_buf_append_cstr(out, " | base64 -d > \"$tz_f\" || exit 126; ");
	return append_run(code, language, out, err);
}

TzStatus
tz_shell_file(const TzShellCode *code, const char *path, TzBuf *out, TzErr *err)
{
	const Language *language = language_find(code->language);
	TzStatus status;

	if (language == NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "language \"%.32s\" is not known", code->language);
	status = tz_shell_exports(code, out, err);
	if (status != TZ_OK)
		return status;
	append_name(code, language, out);
	tz_buf_printf(out, "mv -f \"%s\" \"$tz_f\" || exit 126; ", path);
	return append_run(code, language, out, err);
}

void
tz_shell_stem(const char *tag, TzBuf *out)
{
	tz_buf_append_cstr(out, "theazo-");
	for (const char *p = tag; *p != '\0'; p++)
		tz_buf_append_byte(out, isalnum((unsigned char) *p) ? *p : '-');
}

/* go takes a name that begins with . or _ for no source file, and _linux.go for a condition */
static void
append_name(const TzShellCode *code, const Language *language, TzBuf *out)
{
	tz_buf_append_cstr(out, "tz_f='");
	tz_shell_stem(code->tag, out);
	tz_buf_printf(out, ".%s'; ", language->suffix);
	if (code->in_pieces)
		tz_buf_append_cstr(out, "echo $$ > \".${tz_f%.*}.pid\" || exit 126; ");
}

static TzStatus
append_run(const TzShellCode *code, const Language *language, TzBuf *out, TzErr *err)
{
	if (code->timeout_ms > 0)
	{
		int seconds = code->timeout_ms / 1000 + (code->timeout_ms % 1000 > 0);

		tz_buf_printf(out,
		              "if timeout -k 2 9 true 2>/dev/null; then timeout -k 2 %d %s \"$tz_f\"; "
		              "else %s \"$tz_f\"; fi; ",
		              seconds, language->run, language->run);
	}
	else
		tz_buf_printf(out, "%s \"$tz_f\"; ", language->run);
	tz_buf_append_cstr(out, "tz_r=$?; rm -f \"$tz_f\"");
	tz_buf_append_cstr(out, code->in_pieces ? " \".${tz_f%.*}.pid\"; " : "; ");
	/* small timeouts end the command alone; what it had started is in the group of this line */
	if (code->in_pieces && code->timeout_ms > 0)
		tz_buf_append_cstr(out, "case $tz_r in 124|137|143) trap '' TERM; kill -s TERM 0;; esac; ");
	tz_buf_append_cstr(out, "exit $tz_r");
	if (out->status == TZ_TOO_LARGE)
		return tz_err_set(err, TZ_TOO_LARGE, "command line is longer than %zu bytes", out->max);
	if (out->status != TZ_OK)
		return tz_err_set(err, out->status, "out of memory");
	return TZ_OK;
}

/* The body is a subshell, so that each depth has variables of its own. The name of a process may have blanks in it. */
void
tz_shell_end_tree(const char *pid, TzBuf *out)
{
	tz_buf_printf(
		out,
		"tz_end() ( kill -s STOP \"$1\"; for s in /proc/[0-9]*/stat; do read -r l <\"$s\" || continue; "
		"q=${l##*) }; q=${q#* }; if [ \"${q%%%% *}\" = \"$1\" ]; then c=${s#/proc/}; tz_end \"${c%%/stat}\"; fi; "
		"done; kill -s KILL \"$1\" ); { tz_end %s; } 2>/dev/null; ",
		pid);
}

/* Inside single quotes nothing is special but the quote itself. */
TzStatus
tz_shell_quote(TzSlice word, TzBuf *out)
{
	const char *p = word.data;
	size_t left = word.len;

	if (left > 0 && memchr(p, 0, left) != NULL)
		return TZ_BAD_INPUT;
	tz_buf_append_byte(out, '\'');
	while (left > 0)
	{
		const char *quote = memchr(p, '\'', left);
		size_t plain = quote != NULL ? (size_t) (quote - p) : left;

		tz_buf_append(out, p, plain);
		if (quote != NULL)
		{
			tz_buf_append_cstr(out, "'\\''");
			plain++;
		}
		p += plain;
		left -= plain;
	}
	return tz_buf_append_byte(out, '\'');
}

bool
tz_shell_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > 128 || isdigit((unsigned char) name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isascii((unsigned char) name[i]) || (!isalnum((unsigned char) name[i]) && name[i] != '_'))
			return false;
	return true;
}

static const Language *
language_find(const char *name)
{
	for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++)
		if (strcmp(languages[i].name, name) == 0)
			return &languages[i];
	return NULL;
}

/* One file of the client, whole or not at all, where it is not there yet. */
static void
append_client_file(const char *path, TzSlice text, TzBuf *out)
{
	tz_buf_printf(out, "[ -s \"$tz_c/%s\" ] || { printf %%s '", path);
	tz_base64_append(out, text.data, text.len);
	tz_buf_printf(out, "' | base64 -d > \"$tz_c/%s.new\" && mv \"$tz_c/%s.new\" \"$tz_c/%s\"; }; ", path,
	              path, path);
}

/*
 * The library a program reports with, below the working directory, for commands whose records are looked for.
 * Where it cannot be written the command runs without it.
 */
static void
append_client(const TzShellCode *code, TzBuf *out)
{
	char kind = code->language[0];
	bool python = kind == 'p' || kind == 's' || kind == 'b';
	bool node = kind == 'n' || kind == 'j' || kind == 's' || kind == 'b';

	if ((!code->reports && json_object_get(code->env, "THEAZO_RECORDS") == NULL) || (!python && !node))
		return;
	tz_buf_append_cstr(out, "tz_c=\"$PWD/.theazo\"; { mkdir -p \"$tz_c/theazo_sandbox\"; ");
	if (python)
		append_client_file("theazo_sandbox.py", tz_client_python(), out);
	if (node)
		append_client_file("theazo_sandbox/index.js", tz_client_node(), out);
	tz_buf_append_cstr(out, "} 2>/dev/null; ");
	if (python)
		tz_buf_append_cstr(out, "export PYTHONPATH=\"$tz_c${PYTHONPATH:+:$PYTHONPATH}\"; ");
	if (node)
		tz_buf_append_cstr(out, "export NODE_PATH=\"$tz_c${NODE_PATH:+:$NODE_PATH}\"; ");
}

/* Secrets first, so that what the caller gave for this call wins. */
TzStatus
tz_shell_exports(const TzShellCode *code, TzBuf *out, TzErr *err)
{
	const char *name;
	json_t *value;
	TzStatus status = TZ_OK;

	for (int i = 0; status == TZ_OK && i < code->nsecrets; i++)
		if (strcmp(code->secrets[i].use, "env") == 0)
			status = append_export(code->secrets[i].name, code->secrets[i].value, out, err);
	json_object_foreach (code->env, name, value)
	{
		if (status != TZ_OK)
			break;
		if (!json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT, "environment variable \"%.64s\" is not a string", name);
		status = append_export(name, tz_slice(json_string_value(value), json_string_length(value)), out, err);
	}
	if (status == TZ_OK)
		append_client(code, out);
	return status;
}

static TzStatus
append_export(const char *name, TzSlice value, TzBuf *out, TzErr *err)
{
	if (!tz_shell_name_ok(name))
		return tz_err_set(err, TZ_BAD_INPUT, "\"%.64s\" is no name for an environment variable", name);
	if (!tz_utf8_valid(value))
		return tz_err_set(err, TZ_BAD_INPUT, "value of environment variable \"%.64s\" is not text", name);
	tz_buf_printf(out, "export %s=", name);
	tz_shell_quote(value, out);
	tz_buf_append_cstr(out, "; ");
	return TZ_OK;
}
