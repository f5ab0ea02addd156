/*-------------------------------------------------------------------------
 *
 * conceal.c
 *	  Keeping the secrets of a call out of what comes back from it.
 *
 * Whatever a sandbox prints or a provider answers may hold a value that was
 * given to it, and what is stored is read by many. Fails closed: what cannot be
 * searched is not stored. Plain C11; never throws.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "worker/conceal.h"

#define TEXT_MAX (256 * 1024 * 1024)
#define DEPTH_MAX 256
#define IDENTIFIER_MIN 8 /* shorter values stand in identifiers by chance */

/* A copy with every value masked; *found false: there is none, and no copy. */
static TzStatus
conceal_text(const TzMask *mask, TzSlice text, bool cut, TzBuf *out, bool *found)
{
	TzStatus status;

	tz_buf_init(out, TEXT_MAX);
	status = tz_mask_apply(mask, text, cut, out, found);
	if (status != TZ_OK || !*found)
		tz_buf_free(out);
	return status;
}

static TzStatus
conceal_string(const TzMask *mask, json_t *string, bool cut)
{
	TzBuf text;
	bool found;
	TzStatus status = conceal_text(mask, tz_slice(json_string_value(string), json_string_length(string)), cut,
	                               &text, &found);

	if (status != TZ_OK || !found)
		return status;
	/* Half of an escaped character may be left over, so no check here: what is written later is checked. */
	if (json_string_setn_nocheck(string, text.data, text.len) != 0)
		status = TZ_NOMEM;
	tz_buf_free(&text);
	return status;
}

static bool
is_identifier(const char *key)
{
	return strcmp(key, "sandbox") == 0 || strcmp(key, "snapshot") == 0;
}

static TzStatus conceal_value(const TzMask *mask, json_t *value, bool cut, int depth);

/* The member under its masked name; found is set if that differs. */
static TzStatus
copy_member(const TzMask *mask, json_t *to, const char *key, json_t *value, bool *found)
{
	TzBuf name;
	bool here;
	TzStatus status = conceal_text(mask, tz_slice_cstr(key), false, &name, &here);

	if (status != TZ_OK)
		return status;
	if (json_object_set_nocheck(to, here ? name.data : key, value) != 0)
		status = TZ_NOMEM;
	if (here)
		tz_buf_free(&name);
	*found |= here;
	return status;
}

/* Names of members as well: a program may print its environment as an object of any shape. */
static TzStatus
conceal_names(const TzMask *mask, json_t *object)
{
	json_t *fresh = json_object();
	TzStatus status = fresh != NULL ? TZ_OK : TZ_NOMEM;
	bool found = false;
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value)
	{
		if (status == TZ_OK)
			status = copy_member(mask, fresh, key, value, &found);
	}
	if (status == TZ_OK && found)
	{
		json_object_clear(object);
		if (json_object_update(object, fresh) != 0)
			status = TZ_NOMEM;
	}
	json_decref(fresh);
	return status;
}

static TzStatus
conceal_object(const TzMask *mask, json_t *object, bool cut, int depth)
{
	TzStatus status = TZ_OK;
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value)
	{
		if (depth == 0 && is_identifier(key))
			continue;
		status = conceal_value(mask, value, cut, depth + 1);
		if (status != TZ_OK)
			return status;
	}
	return conceal_names(mask, object);
}

static TzStatus
conceal_value(const TzMask *mask, json_t *value, bool cut, int depth)
{
	TzStatus status = TZ_OK;

	if (depth > DEPTH_MAX)
		return TZ_TOO_LARGE;
	if (json_is_string(value))
		return conceal_string(mask, value, cut);
	if (json_is_object(value))
		return conceal_object(mask, value, cut, depth);
	for (size_t i = 0; json_is_array(value) && i < json_array_size(value) && status == TZ_OK; i++)
		status = conceal_value(mask, json_array_get(value, i), cut, depth + 1);
	return status;
}

/* Text that a limit or a signal ended may end within a value. */
static bool
was_cut(json_t *doc)
{
	return json_is_true(json_object_get(doc, "truncated")) || json_is_true(json_object_get(doc, "timed_out"));
}

/* True if an identifier holds a value long enough not to be there by chance. */
static bool
identifier_tells(const TzMask *mask, const TzSlice *values, int n, json_t *doc)
{
	static const char *const keys[] = {"sandbox", "snapshot"};
	bool tells = false;

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
	{
		json_t *id = json_object_get(doc, keys[k]);
		TzSlice text;
		TzBuf masked;
		bool found = false;

		if (!json_is_string(id))
			continue;
		text = tz_slice(json_string_value(id), json_string_length(id));
		if (conceal_text(mask, text, false, &masked, &found) == TZ_OK && !found)
			continue;
		if (found)
			tz_buf_free(&masked);
		for (int i = 0; i < n; i++)
		{
			TzMask *one = NULL;

			if (values[i].len < IDENTIFIER_MIN)
				continue;
			found = true;
			if (tz_mask_create(&values[i], 1, &one, NULL) == TZ_OK &&
			    conceal_text(one, text, false, &masked, &found) == TZ_OK && found)
				tz_buf_free(&masked);
			tz_mask_free(one);
			tells |= found;
		}
	}
	return tells;
}

static TzStatus
conceal_content(const TzMask *mask, TzOutcome *out)
{
	json_t *size = json_object_get(out->result, "size");
	bool whole = json_is_integer(size) && (size_t) json_integer_value(size) == out->content.len;
	bool cut = was_cut(out->result) ||
	           (json_is_integer(size) && (size_t) json_integer_value(size) > out->content.len);
	TzBuf text;
	bool found;
	TzStatus status = conceal_text(mask, tz_buf_slice(&out->content), cut, &text, &found);

	if (status != TZ_OK || !found)
		return status;
	tz_buf_wipe(&out->content);
	out->content = text;
	if (whole)
		json_integer_set(size, (json_int_t) text.len);
	return TZ_OK;
}

void
tz_conceal_withhold(TzOutcome *out, TzStatus why)
{
	json_decref(out->result);
	json_decref(out->state);
	out->result = NULL;
	out->state = NULL;
	tz_buf_wipe(&out->content);
	/* What went wrong already stays so: it may be carried out again. */
	if (out->verdict == TZ_V_DONE || out->verdict == TZ_V_NEXT)
		out->verdict = TZ_V_FAILED;
	out->error_code = NULL;
	tz_err_set(&out->err, why, "what came back is withheld, as its secrets cannot be masked");
	tz_err_hint(&out->err, "Print less, or give the agent fewer and shorter secrets.");
}

TzStatus
tz_conceal_document(const TzMask *mask, json_t *doc)
{
	return mask != NULL ? conceal_value(mask, doc, false, 1) : TZ_OK;
}

void
tz_conceal_outcome(const TzMask *mask, const TzSlice *values, int n, TzOutcome *out)
{
	TzStatus status;

	if (mask == NULL)
		return;
	if (identifier_tells(mask, values, n, out->result))
	{
		tz_conceal_withhold(out, TZ_BAD_ANSWER);
		tz_err_set(&out->err, TZ_BAD_ANSWER, "provider put the value of a secret into the name of a sandbox");
		return;
	}
	status = conceal_content(mask, out);
	if (status == TZ_OK && out->result != NULL)
		status = conceal_value(mask, out->result, was_cut(out->result), 0);
	if (status == TZ_OK && out->state != NULL)
		status = conceal_value(mask, out->state, false, 0);
	if (status != TZ_OK)
		tz_conceal_withhold(out, status);
	tz_conceal_err(mask, &out->err);
}

static void
conceal_line(const TzMask *mask, char *line, size_t size)
{
	TzBuf text;
	bool found = false;

	if (conceal_text(mask, tz_slice_cstr(line), true, &text, &found) != TZ_OK)
		line[0] = '\0';
	else if (found)
	{
		size_t len = text.len < size - 1 ? text.len : size - 1;

		/* Between characters, as ever. */
		while (len < text.len && len > 0 && ((unsigned char) text.data[len] & 0xC0) == 0x80)
			len--;
		memcpy(line, text.data, len);
		line[len] = '\0';
		tz_buf_free(&text);
	}
}

void
tz_conceal_err(const TzMask *mask, TzErr *err)
{
	if (mask == NULL)
		return;
	conceal_line(mask, err->message, sizeof(err->message));
	conceal_line(mask, err->detail, sizeof(err->detail));
	conceal_line(mask, err->hint, sizeof(err->hint));
}
