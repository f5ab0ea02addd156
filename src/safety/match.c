/*-------------------------------------------------------------------------
 *
 * match.c
 *	  Many patterns over one text: the library behind match.h.
 *
 * It is Vectorscan, which has the interface of Hyperscan and runs on more processors.
 * It is automata throughout: no text makes it slow. What can be slow or large is
 * compiling a hostile expression, so those are bounded in length and in repeats
 * before it sees them.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <hs/hs.h>
#include <stdlib.h>
#include <string.h>

#include "safety/match.h"

/* The largest count a bounded repeat may have; the states of an automaton grow with it. */
#define REPEAT_MAX 200
#define REPEATS_MAX 8

struct TzMatcher
{
	hs_database_t *db; /* NULL: nothing to find */
	hs_scratch_t *scratch; /* of this process, used by one scan at a time */
};

typedef struct Call
{
	TzMatchFn fn;
	void *arg;
} Call;

static int
on_match(unsigned int id, unsigned long long from, unsigned long long to, unsigned int flags, void *context)
{
	Call *call = context;

	(void) from;
	(void) flags;
	return call->fn(call->arg, id, (size_t) to) ? 0 : 1;
}

static TzStatus
finish(hs_database_t *db, TzMatcher **out, TzErr *err)
{
	TzMatcher *m = calloc(1, sizeof(*m));

	if (m == NULL)
	{
		hs_free_database(db);
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	m->db = db;
	if (db != NULL && hs_alloc_scratch(db, &m->scratch) != HS_SUCCESS)
	{
		tz_matcher_free(m);
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	*out = m;
	return TZ_OK;
}

/* Parallel arrays, as the library takes them. */
typedef struct Lists
{
	const char **text;
	unsigned int *flags;
	unsigned int *ids;
	size_t *lengths;
} Lists;

static void
lists_free(Lists *l)
{
	free(l->text);
	free(l->flags);
	free(l->ids);
	free(l->lengths);
}

static TzStatus
lists_make(Lists *l, const TzPattern *p, size_t n, unsigned int flags)
{
	l->text = calloc(n, sizeof(*l->text));
	l->flags = calloc(n, sizeof(*l->flags));
	l->ids = calloc(n, sizeof(*l->ids));
	l->lengths = calloc(n, sizeof(*l->lengths));
	if (l->text == NULL || l->flags == NULL || l->ids == NULL || l->lengths == NULL)
	{
		lists_free(l);
		return TZ_NOMEM;
	}
	for (size_t i = 0; i < n; i++)
	{
		l->text[i] = p[i].text;
		l->flags[i] = flags;
		l->ids[i] = p[i].id;
		l->lengths[i] = strlen(p[i].text);
	}
	return TZ_OK;
}

/* What would make an automaton large: long texts, many or high repeats. */
static TzStatus
pattern_bounds(const char *p, TzErr *err)
{
	size_t len = strlen(p);
	int repeats = 0;

	if (len == 0 || len > TZ_PATTERN_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "a pattern has from 1 to %d bytes", TZ_PATTERN_MAX);
	for (size_t i = 0; i < len; i++)
	{
		if ((unsigned char) p[i] < 0x20)
			return tz_err_set(err, TZ_BAD_INPUT, "a pattern has no control characters");
		if (p[i] == '\\' && p[i + 1] != '\0')
			i++;
		else if (p[i] == '{' && isdigit((unsigned char) p[i + 1]))
		{
			unsigned long high = strtoul(p + i + 1, NULL, 10);
			const char *comma = strchr(p + i, ',');
			const char *end = strchr(p + i, '}');

			if (end == NULL)
				return tz_err_set(err, TZ_BAD_INPUT, "a repeat has no end");
			if (comma != NULL && comma < end && comma + 1 < end)
			{
				unsigned long second = strtoul(comma + 1, NULL, 10);

				high = second > high ? second : high;
			}
			if (high > REPEAT_MAX)
				return tz_err_set(err, TZ_BAD_INPUT, "a repeat is higher than %d", REPEAT_MAX);
			if (++repeats > REPEATS_MAX)
				return tz_err_set(err, TZ_BAD_INPUT, "more than %d counted repeats", REPEATS_MAX);
		}
	}
	return TZ_OK;
}

/* A pattern that is found where nothing stands would block everything. */
static TzStatus
pattern_check(const char *p, TzErr *err)
{
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *wrong = NULL;
	TzStatus status = pattern_bounds(p, err);

	if (status != TZ_OK)
		return status;
	if (hs_expression_info(p, HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH, &info, &wrong) != HS_SUCCESS)
	{
		tz_err_set(err, TZ_BAD_INPUT, "%s",
		           wrong != NULL && wrong->message != NULL ? wrong->message : "no reason was given");
		status = TZ_BAD_INPUT;
	}
	else if (info->min_width == 0)
		status = tz_err_set(err, TZ_BAD_INPUT, "the pattern matches an empty text");
	if (wrong != NULL)
		hs_free_compile_error(wrong);
	free(info);
	return status;
}

TzStatus
tz_matcher_expressions(const TzPattern *patterns, size_t n, TzMatcher **out, TzErr *err)
{
	Lists l;
	hs_database_t *db = NULL;
	hs_compile_error_t *wrong = NULL;
	TzStatus status;

	if (n == 0)
		return finish(NULL, out, err);
	if (n > TZ_PATTERNS_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "more than %d patterns", TZ_PATTERNS_MAX);
	for (size_t i = 0; i < n; i++)
	{
		status = pattern_check(patterns[i].text, err);
		if (status != TZ_OK)
			return status;
	}
	if (lists_make(&l, patterns, n, HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH) != TZ_OK)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	if (hs_compile_multi(l.text, l.flags, l.ids, (unsigned int) n, HS_MODE_BLOCK, NULL, &db, &wrong) !=
	    HS_SUCCESS)
	{
		status = wrong != NULL && wrong->expression < 0 ? TZ_TOO_LARGE : TZ_BAD_INPUT;
		tz_err_set(err, status, "%s",
		           wrong != NULL && wrong->message != NULL ? wrong->message : "no reason was given");
		if (wrong != NULL)
			hs_free_compile_error(wrong);
		lists_free(&l);
		return status;
	}
	lists_free(&l);
	return finish(db, out, err);
}

TzStatus
tz_matcher_scan(const TzMatcher *m, TzSlice text, TzMatchFn fn, void *arg)
{
	Call call = {fn, arg};
	hs_error_t rc;

	if (m->db == NULL || text.len == 0)
		return TZ_OK;
	if (text.len > UINT32_MAX)
		return TZ_TOO_LARGE;
	rc = hs_scan(m->db, text.data, (unsigned int) text.len, 0, m->scratch, on_match, &call);
	if (rc == HS_SCAN_TERMINATED)
		return TZ_CANCELLED;
	return rc == HS_SUCCESS ? TZ_OK : rc == HS_NOMEM ? TZ_NOMEM : TZ_INTERNAL;
}

void
tz_matcher_free(TzMatcher *m)
{
	if (m == NULL)
		return;
	if (m->scratch != NULL)
		hs_free_scratch(m->scratch);
	if (m->db != NULL)
		hs_free_database(m->db);
	free(m);
}
