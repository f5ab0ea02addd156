/*-------------------------------------------------------------------------
 *
 * shell.h
 *	  One POSIX shell command line that runs a piece of code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_SHELL_H
#define TZ_ADAPTER_SHELL_H

#include "adapter/adapter.h"

typedef struct TzShellCode
{
	const char *language; /* python, node, go, sh, bash or an alias */
	TzSlice code;
	const char *tag; /* makes the file's name: letters, digits, _ and - */
	int timeout_ms; /* 0: none */
	/*
	 * the code is not in the line: its base64 comes as the line's arguments; the line leads its session, and leaves
	 * its number in a file of its own while it runs: a dot, its stem and .pid
	 */
	bool in_pieces;
	bool reports; /* the library that programs report with is put there; also where env has THEAZO_RECORDS */
	json_t *env; /* object of strings, or NULL */
	const TzSecretValue *secrets; /* those of use "env" are exported too */
	int nsecrets;
} TzShellCode;

/* Appends the command line to out. */
extern TzStatus tz_shell_command(const TzShellCode *code, TzBuf *out, TzErr *err);

/*
 * The same for code that lies in a file already, which is removed afterwards: path is a
 * word of the shell, code->code is not looked at.
 */
extern TzStatus tz_shell_file(const TzShellCode *code, const char *path, TzBuf *out, TzErr *err);

/* Appends only its environment: an export each, of secrets and of env. */
extern TzStatus tz_shell_exports(const TzShellCode *code, TzBuf *out, TzErr *err);

/*
 * Appends commands that end a process and all it has started, with whatever groups they are in; pid is a word of
 * the shell. They are stopped before they are looked for, so that none starts another meanwhile.
 */
extern void tz_shell_end_tree(const char *pid, TzBuf *out);

/* One word in single quotes, safe in any POSIX shell; refuses NUL. */
extern TzStatus tz_shell_quote(TzSlice word, TzBuf *out);

/* Appends what the names of a command's files begin with, in its working directory. */
extern void tz_shell_stem(const char *tag, TzBuf *out);

/* A name that can be exported. */
extern bool tz_shell_name_ok(const char *name);

#endif /* TZ_ADAPTER_SHELL_H */
