/*-------------------------------------------------------------------------
 *
 * language.c
 *	  Languages an exec can name, and the commands that run them.
 *
 * A table and two look-ups. Programs are named without a path: the sandbox's
 * PATH decides, so that the machine's own /usr is what runs.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "worker/language.h"

static const TzLanguage languages[] = {
	{"python", "python3", "python3", "main.py", {"python3", "{code}"}, "PYTHONPATH=/workspace:/theazo"},
	/* From its standard input node resolves "./x" against the working directory. */
	{"node", "javascript", "node", NULL, {"node", "-"}, NULL},
	{"node", "js", "node", NULL, {"node", "-"}, NULL},
	{"go", "golang", "go", "main.go", {"go", "run", "{code}"}, NULL},
	{"bash", NULL, "bash", "main.sh", {"bash", "{code}"}, "PYTHONPATH=/theazo"},
	{"sh", "shell", "sh", "main.sh", {"sh", "{code}"}, "PYTHONPATH=/theazo"},
};

const TzLanguage *
tz_language_find(const char *name)
{
	for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++)
	{
		const TzLanguage *l = &languages[i];

		if (strcmp(l->name, name) == 0 || (l->alias != NULL && strcmp(l->alias, name) == 0))
			return l;
	}
	return NULL;
}

const char *
tz_language_list(void)
{
	return "python, node, go, bash, sh";
}
