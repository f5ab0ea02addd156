/*-------------------------------------------------------------------------
 *
 * job.c
 *	  A command in a sandbox that outlives the call that starts it.
 *
 * A directory below TMPDIR or /tmp holds the job: the command line, what it prints, its
 * process, and at the end its exit code, which is moved into place so that nobody
 * reads half of it. Making the directory is what decides who starts the job, so a
 * call whose answer was lost can be made again. Output travels as base64, because
 * providers put it into JSON strings, which cannot hold any bytes.
 *
 * Environments go to the process and not into a file: a snapshot of the disk must not
 * have them. For the same reason what was printed is thrown away before a pause, and
 * ten minutes after the end by whoever starts the next job.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/job.h"
#include "lib/json.h"
#include "lib/sign.h"
#include "lib/utf8.h"

#define ROOT "\"${TMPDIR:-/tmp}/.theazo\""
#define MARK "@theazo "
#define END "@end"
#define COMMAND_MAX (8 * 1024 * 1024)
#define GRACE_S 5 /* beyond its limit, until a look stops what timeout(1) should have stopped */
#define HELD "THEAZO_HELD" /* in the environment of what was given secrets: where its jobs are */
#define STOPPED MARK "stopped"
#define EXIT_TIMED_OUT 124
#define EXIT_KILLED 137
#define EXIT_TERMINATED 143 /* what busybox' timeout leaves */

static TzStatus append_start(const TzJobLook *look, const TzShellCode *code, TzBuf *out, TzErr *err);
static void append_look(const TzJobLook *look, TzBuf *out);
static bool take_number(const char **p, const char *end, int64_t *out);
static bool take_word(const char **p, const char *end, TzSlice *word);
static bool take_base64(const char **p, const char *end, TzBuf *out);

static const char clear_ended[] = "| while read -r tz_f; do tz_j=${tz_f%/*}; : >\"$tz_j/gone\"; "
								  "rm -f \"$tz_j/code\" \"$tz_j/out\" \"$tz_j/err\" \"$tz_j/run\"; done; ";

static TzStatus
check_id(const char *id, TzErr *err)
{
	for (const char *p = id; *p != '\0'; p++)
		if (!isalnum((unsigned char) *p) && *p != '_' && *p != '-')
			return tz_err_set(err, TZ_INTERNAL, "a job has a bad name");
	return TZ_OK;
}

TzStatus
tz_job_script(const TzJobLook *look, const TzShellCode *code, TzBuf *out, TzErr *err)
{
	TzStatus status = check_id(look->id, err);

	if (status != TZ_OK)
		return status;
	/* as one compound command: it is read whole before a program in it could read the rest */
	tz_buf_printf(out, "{ tz_r=" ROOT "; tz_d=\"$tz_r/%s\"; ", look->id);
	if (code != NULL)
		status = append_start(look, code, out, err);
	if (status != TZ_OK)
		return status;
	append_look(look, out);
	tz_buf_append_cstr(out, "} </dev/null 2>/dev/null\n");
	if (out->status == TZ_TOO_LARGE)
		return tz_err_set(err, TZ_TOO_LARGE, "command line is longer than %zu bytes", out->max);
	return out->status == TZ_OK ? TZ_OK : tz_err_set(err, out->status, "out of memory");
}

static TzStatus
append_start(const TzJobLook *look, const TzShellCode *code, TzBuf *out, TzErr *err)
{
	TzShellCode bare = *code;
	TzBuf line;
	TzStatus status;

	bare.env = NULL;
	bare.secrets = NULL;
	bare.nsecrets = 0;
	bare.reports = false;
	bare.tag = look->id;
	tz_buf_init(&line, COMMAND_MAX);
	status = tz_shell_command(&bare, &line, err);
	tz_buf_append_cstr(out, "mkdir -p \"$tz_r\"; chmod 700 \"$tz_r\"; if mkdir -m 700 \"$tz_d\"; then "
	                        "find \"$tz_r\" -mindepth 2 -maxdepth 2 -name code -mmin +10 ");
	tz_buf_append_cstr(out, clear_ended);
	tz_buf_append_cstr(out, "if printf %s '");
	tz_base64_append(out, line.data, line.len);
	tz_buf_append_cstr(out, "' | base64 -d >\"$tz_d/run\" && [ -s \"$tz_d/run\" ]; then "
	                        "date +%s >\"$tz_d/at\"; : >\"$tz_d/out\"; : >\"$tz_d/err\"; "
	                        "tz_s=$(command -v setsid || command -v nohup || command -v env); ( ");
	tz_buf_free(&line);
	for (int i = 0; i < code->nsecrets; i++)
		if (strcmp(code->secrets[i].use, "env") == 0)
		{
			tz_buf_append_cstr(out, "export " HELD "=\"$tz_r\"; ");
			break;
		}
	if (status == TZ_OK)
		status = tz_shell_exports(code, out, err);
	tz_buf_append_cstr(out, "exec \"$tz_s\" sh -c 'echo $$ >\"$1/pid\"; "
	                        "sh \"$1/run\" </dev/null >>\"$1/out\" 2>>\"$1/err\"; tz_c=$?; "
	                        "read -r tz_t <\"$1/at\"; echo \"$tz_c $(($(date +%s) - tz_t))\" >\"$1/c\"; "
	                        "mv \"$1/c\" \"$1/code\"' theazo \"$tz_d\" ) >/dev/null & "
	                        "else echo 'theazo: the command could not be written' >\"$tz_d/err\"; "
	                        "echo '126 0' >\"$tz_d/code\"; fi; fi; ");
	return status;
}

/* The states of a look, in the order they are asked for; an end may come between two questions. */
static void
append_look(const TzJobLook *look, TzBuf *out)
{
	int limit_s = look->timeout_ms / 1000 + 1 + GRACE_S;

	tz_buf_printf(
		out,
		"tz_n=0; while [ ! -f \"$tz_d/code\" ] && [ -d \"$tz_d\" ] && [ ! -f \"$tz_d/gone\" ] && [ $tz_n -lt %d ]; do ",
		look->wait_ms);
	if (look->early)
		tz_buf_printf(
			out,
			"[ $(wc -c <\"$tz_d/out\") -gt %lld ] && break; [ $(wc -c <\"$tz_d/err\") -gt %lld ] && break; ",
			(long long) look->out_seen, (long long) look->err_seen);
	tz_buf_append_cstr(
		out,
		"if [ $tz_n -lt 200 ]; then tz_w=20; tz_q=0.02; elif [ $tz_n -lt 3000 ]; then tz_w=50; tz_q=0.05; "
		"else tz_w=250; tz_q=0.25; fi; "
		"if sleep $tz_q; then tz_n=$((tz_n + tz_w)); else sleep 1; tz_n=$((tz_n + 1000)); fi; done; ");
	tz_buf_printf(
		out,
		"if [ -f \"$tz_d/pid\" ] && [ ! -f \"$tz_d/code\" ]; then read -r tz_p <\"$tz_d/pid\"; read -r tz_t <\"$tz_d/at\"; "
		/* a number that somebody else's process has got since is not ours */
		"if ! kill -0 \"$tz_p\" || { [ -r \"/proc/$tz_p/cmdline\" ] && ! grep -q \"$tz_d\" \"/proc/$tz_p/cmdline\"; }; "
		"then [ -f \"$tz_d/code\" ] || tz_l=1; "
		"elif [ $(($(date +%%s) - tz_t)) -gt %d ]; then kill -9 \"-$tz_p\" || kill -9 \"$tz_p\"; "
		"echo \"124 $(($(date +%%s) - tz_t))\" >\"$tz_d/c\"; mv \"$tz_d/c\" \"$tz_d/code\"; fi; fi; ",
		limit_s);
	tz_buf_append_cstr(
		out, "tz_c='0 0'; if [ -f \"$tz_d/code\" ]; then read -r tz_c <\"$tz_d/code\"; tz_s=done; "
			 "elif [ -f \"$tz_d/gone\" ]; then tz_s=cleared; elif [ ! -d \"$tz_d\" ]; then tz_s=none; "
			 "elif [ -n \"$tz_l\" ]; then tz_s=lost; else tz_s=running; fi; "
			 "tz_o=$(wc -c <\"$tz_d/out\" || echo 0); tz_e=$(wc -c <\"$tz_d/err\" || echo 0); ");
	tz_buf_printf(out, "echo; echo " MARK "%s $tz_s \"$tz_c\" $tz_o $tz_e; if [ $tz_s = done ]; then ",
	              look->id);
	for (int i = 0; i < 2; i++)
		tz_buf_printf(out, "head -c %lld \"$tz_d/%s\" | base64; echo @; ",
		              (long long) look->max_output + 4, /* so that a cut falls between characters */
		              i == 0 ? "out" : "err");
	tz_buf_append_cstr(out, "else ");
	for (int i = 0; i < 2; i++)
		tz_buf_printf(out, "head -c %d \"$tz_d/%s\" | base64; echo @; ", TZ_JOB_PIECE_MAX,
		              i == 0 ? "out" : "err");
	tz_buf_append_cstr(out, "fi; echo " END "; ");
}

/* What was given secrets ends first, so that its jobs are among those that have ended; more than once, because it may start others. */
void
tz_job_clear_script(TzBuf *out)
{
	tz_buf_append_cstr(
		out,
		"{ tz_r=" ROOT "; for tz_n in 1 2 3 4 5; do tz_k=; for tz_p in /proc/[0-9]*/environ; do "
		"if tr '\\000' '\\n' <\"$tz_p\" | grep -qxF \"" HELD "=$tz_r\"; then "
		"tz_p=${tz_p#/proc/}; kill -s KILL \"${tz_p%/environ}\" && tz_k=1; fi; done; "
		"[ -n \"$tz_k\" ] || break; sleep 0.1 || sleep 1; done; "
		"for tz_j in \"$tz_r\"/*; do if [ ! -f \"$tz_j/code\" ]; then read -r tz_p <\"$tz_j/pid\" || continue; "
		"if kill -0 \"$tz_p\" && { [ ! -r \"/proc/$tz_p/cmdline\" ] || grep -qF \"$tz_j\" \"/proc/$tz_p/cmdline\"; }; then continue; fi; fi; "
		": >\"$tz_j/gone\"; rm -f \"$tz_j/code\" \"$tz_j/out\" \"$tz_j/err\" \"$tz_j/run\"; done; "
		"echo; echo " STOPPED "; } </dev/null 2>/dev/null\n");
}

/* Its directory is what decides who starts a job: where there is none yet, one is made that says it is over. */
TzStatus
tz_job_stop_script(const char *id, TzBuf *out, TzErr *err)
{
	TzStatus status = check_id(id, err);

	if (status != TZ_OK)
		return status;
	tz_buf_printf(out, "{ tz_r=" ROOT "; tz_d=\"$tz_r/%s\"; mkdir -p \"$tz_r\"; chmod 700 \"$tz_r\"; ", id);
	tz_buf_append_cstr(
		out,
		"if mkdir -m 700 \"$tz_d\"; then : >\"$tz_d/gone\"; elif [ ! -f \"$tz_d/code\" ]; then "
		"tz_n=0; while [ ! -s \"$tz_d/pid\" ] && [ $tz_n -lt 40 ]; do sleep 0.05 || sleep 1; tz_n=$((tz_n + 1)); done; "
		"if read -r tz_p <\"$tz_d/pid\" && kill -0 \"$tz_p\" && "
		"{ [ ! -r \"/proc/$tz_p/cmdline\" ] || grep -qF \"$tz_d\" \"/proc/$tz_p/cmdline\"; }; then ");
	tz_shell_end_tree("\"$tz_p\"", out);
	tz_buf_printf(out,
	              "fi; read -r tz_t <\"$tz_d/at\"; echo \"%d $(($(date +%%s) - ${tz_t:-0}))\" >\"$tz_d/c\"; "
	              "mv \"$tz_d/c\" \"$tz_d/code\"; fi; echo; echo " STOPPED "; } </dev/null 2>/dev/null\n",
	              EXIT_KILLED);
	return out->status == TZ_OK ? TZ_OK : tz_err_set(err, out->status, "out of memory");
}

bool
tz_job_stopped(TzSlice text)
{
	return text.len > 0 && memmem(text.data, text.len, STOPPED, strlen(STOPPED)) != NULL;
}

void
tz_job_report_init(TzJobReport *report)
{
	memset(report, 0, sizeof(*report));
	report->state = TZ_JOB_UNREADABLE;
	tz_buf_init(&report->out, TZ_JOB_OUTPUT_MAX + 1024);
	tz_buf_init(&report->err, TZ_JOB_OUTPUT_MAX + 1024);
}

void
tz_job_report_free(TzJobReport *report)
{
	tz_buf_free(&report->out);
	tz_buf_free(&report->err);
}

bool
tz_job_read(TzSlice text, const char *id, TzJobReport *report)
{
	static const struct
	{
		const char *word;
		TzJobState state;
	} states[] = {{"running", TZ_JOB_RUNNING},
	              {"done", TZ_JOB_DONE},
	              {"none", TZ_JOB_NONE},
	              {"lost", TZ_JOB_LOST},
	              {"cleared", TZ_JOB_CLEARED}};
	size_t mark_len = strlen(MARK);
	const char *p = text.len > 0 ? memmem(text.data, text.len, MARK, mark_len) : NULL;
	const char *end;
	TzSlice word;
	int64_t code;

	if (p == NULL)
		return false;
	end = text.data + text.len;
	p += mark_len;
	if (!take_word(&p, end, &word) || !tz_slice_eq_cstr(word, id) || !take_word(&p, end, &word))
		return false;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (tz_slice_eq_cstr(word, states[i].word))
			report->state = states[i].state;
	if (report->state == TZ_JOB_UNREADABLE || !take_number(&p, end, &code) || code > INT_MAX ||
	    !take_number(&p, end, &report->elapsed_s) || !take_number(&p, end, &report->out_size) ||
	    !take_number(&p, end, &report->err_size) || !take_base64(&p, end, &report->out) ||
	    !take_base64(&p, end, &report->err) || !take_word(&p, end, &word) || !tz_slice_eq_cstr(word, END))
	{
		report->state = TZ_JOB_UNREADABLE;
		return false;
	}
	report->exit_code = (int) code;
	return true;
}

/* The next word after blanks. */
static bool
take_word(const char **p, const char *end, TzSlice *word)
{
	const char *start;

	while (*p < end && isspace((unsigned char) **p))
		(*p)++;
	start = *p;
	while (*p < end && !isspace((unsigned char) **p))
		(*p)++;
	*word = tz_slice(start, (size_t) (*p - start));
	return word->len > 0;
}

static bool
take_number(const char **p, const char *end, int64_t *out)
{
	TzSlice word;
	int64_t value = 0;

	if (!take_word(p, end, &word) || word.len > 18)
		return false;
	for (size_t i = 0; i < word.len; i++)
	{
		if (!isdigit((unsigned char) word.data[i]))
			return false;
		value = value * 10 + (word.data[i] - '0');
	}
	*out = value;
	return true;
}

/* Lines of base64 up to one that is "@". */
static bool
take_base64(const char **p, const char *end, TzBuf *out)
{
	TzBuf joined;
	TzSlice word;
	bool ok = true;

	tz_buf_init(&joined, SIZE_MAX);
	while ((ok = take_word(p, end, &word)) && !tz_slice_eq_cstr(word, "@"))
		tz_buf_append(&joined, word.data, word.len);
	ok = ok && joined.status == TZ_OK &&
	     (joined.len == 0 || tz_base64_decode(tz_buf_slice(&joined), out, NULL) == TZ_OK);
	tz_buf_free(&joined);
	return ok;
}

int
tz_job_wait_ms(int looks, bool followed)
{
	/* looks are steps, and steps are counted: a day must fit into 32,767 of them */
	if (followed && looks < 600)
		return 1000;
	if (followed)
		return 5000;
	return looks < 10 ? 10000 : 25000;
}

json_t *
tz_job_result(const TzJobReport *report, int timeout_ms, int64_t max_output)
{
	json_t *result = json_object();
	bool over = report->elapsed_s >= timeout_ms / 1000;
	bool timed_out = over && (report->exit_code == EXIT_TIMED_OUT || report->exit_code == EXIT_KILLED ||
	                          report->exit_code == EXIT_TERMINATED);
	size_t max = (size_t) max_output;
	size_t out_len = tz_utf8_cut(tz_buf_slice(&report->out), max);
	size_t err_len = tz_utf8_cut(tz_buf_slice(&report->err), max);
	bool cut = (int64_t) out_len < report->out_size || (int64_t) err_len < report->err_size;

	if (result == NULL ||
	    tz_json_set_text(result, "stdout", tz_slice(report->out.data, out_len), NULL) != TZ_OK ||
	    tz_json_set_text(result, "stderr", tz_slice(report->err.data, err_len), NULL) != TZ_OK)
	{
		json_decref(result);
		return NULL;
	}
	json_object_set_new(result, "exit_code", json_integer(timed_out ? EXIT_TIMED_OUT : report->exit_code));
	json_object_set_new(result, "truncated", json_boolean(cut));
	json_object_set_new(result, "timed_out", json_boolean(timed_out));
	return result;
}

void
tz_job_json_string(TzSlice text, TzBuf *out)
{
	size_t start = 0;

	tz_buf_append_byte(out, '"');
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		tz_buf_append(out, text.data + start, i - start);
		start = i + 1;
		if (c < 0x20)
			tz_buf_printf(out, "\\u%04x", c);
		else
		{
			tz_buf_append_byte(out, '\\');
			tz_buf_append_byte(out, (char) c);
		}
	}
	if (text.len > start)
		tz_buf_append(out, text.data + start, text.len - start);
	tz_buf_append_byte(out, '"');
}
