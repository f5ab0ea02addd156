/*-------------------------------------------------------------------------
 *
 * env.c
 *	  An environment for a sandbox: checked names, no duplicates, wiped after use.
 *
 * Values may be secrets, so nothing here ever puts one into a message. Plain
 * C11; never throws.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "worker/env.h"

static bool
name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > 256 || (name[0] >= '0' && name[0] <= '9'))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		char c = name[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return true;
}

static int
env_find(const TzEnv *env, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < env->n; i++)
	{
		if (strncmp(env->entries[i], name, len) == 0 && env->entries[i][len] == '=')
			return i;
	}
	return -1;
}

static void
entry_free(char *entry)
{
	explicit_bzero(entry, strlen(entry));
	free(entry);
}

TzStatus
tz_env_set(TzEnv *env, const char *name, TzSlice value, TzErr *err)
{
	size_t len = strlen(name);
	size_t total = len + 1 + value.len + 1;
	char *entry;
	int at;

	if (!name_valid(name))
	{
		/* The name comes from outside: quote only what is printable for sure. */
		tz_err_set(err, TZ_BAD_INPUT, "environment name is not valid");
		tz_err_hint(err, "Names are letters, digits and underscores, and do not begin with a digit.");
		return TZ_BAD_INPUT;
	}
	if (value.len > 0 && memchr(value.data, '\0', value.len) != NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "value of environment variable \"%s\" contains a zero byte",
		                  name);
	at = env_find(env, name);
	if ((at < 0 && env->n >= TZ_ENV_MAX) || env->bytes + total > TZ_ENV_BYTES_MAX)
	{
		tz_err_set(err, TZ_TOO_LARGE, "environment is larger than %d variables or %d bytes", TZ_ENV_MAX,
		           TZ_ENV_BYTES_MAX);
		tz_err_hint(
			err,
			"Secrets are part of it: name those that are needed in the agent's option secrets, or set large ones as brokered.");
		return TZ_TOO_LARGE;
	}
	entry = malloc(total);
	if (entry == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	memcpy(entry, name, len);
	entry[len] = '=';
	if (value.len > 0)
		memcpy(entry + len + 1, value.data, value.len);
	entry[total - 1] = '\0';
	if (at >= 0)
	{
		env->bytes -= strlen(env->entries[at]) + 1;
		entry_free(env->entries[at]);
		env->entries[at] = entry;
	}
	else
		env->entries[env->n++] = entry;
	env->bytes += total;
	return TZ_OK;
}

TzStatus
tz_env_object(TzEnv *env, const json_t *object, TzErr *err)
{
	const char *name;
	json_t *value;

	if (object == NULL || json_is_null(object))
		return TZ_OK;
	if (!json_is_object(object))
		return tz_err_set(err, TZ_BAD_INPUT, "environment is not an object of strings");
	json_object_foreach ((json_t *) object, name, value)
	{
		TzStatus st;

		if (!json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT, "environment is not an object of strings");
		st = tz_env_set(env, name, tz_slice(json_string_value(value), json_string_length(value)), err);
		if (st != TZ_OK)
			return st;
	}
	return TZ_OK;
}

void
tz_env_wipe(TzEnv *env)
{
	for (int i = 0; i < env->n; i++)
		entry_free(env->entries[i]);
	env->n = 0;
	env->bytes = 0;
}
