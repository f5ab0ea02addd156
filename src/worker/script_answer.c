/*-------------------------------------------------------------------------
 *
 * script_answer.c
 *	  Which answers to requests of running programs may be told.
 *
 * SQL judges what came back while it settles the request, and says so here; the
 * dispatcher, which runs that SQL itself, asks once the transaction has committed.
 * What SQL has said nothing about is not told. Other processes keep nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/id.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "worker/script_sql.h"

typedef struct Said
{
	struct Said *next;
	char effect_id[TZ_ID_MAX + 1];
	size_t len; /* 0: it may be told */
	char error[FLEXIBLE_ARRAY_MEMBER]; /* else this is told in its place: JSON */
} Said;

static Said *said = NULL;
static bool listening = false;

void
tz_script_answers_reset(void)
{
	while (said != NULL)
	{
		Said *s = said;

		said = s->next;
		free(s);
	}
	listening = true;
}

bool
tz_script_answer_said(const char *effect_id, TzSlice *error)
{
	for (const Said *s = said; s != NULL; s = s->next)
	{
		if (strcmp(s->effect_id, effect_id) == 0)
		{
			*error = tz_slice(s->error, s->len);
			return true;
		}
	}
	return false;
}

/* host_answer(effect, error): the newest word counts. */
THEAZO_FUNCTION(theazo_host_answer)
{
	TzSlice id;
	TzSlice error = {"", 0};
	Said *s;

	if (!listening || PG_ARGISNULL(0))
		PG_RETURN_VOID();
	id = tz_datum_slice(PG_GETARG_DATUM(0));
	if (!PG_ARGISNULL(1))
		error = tz_datum_slice(PG_GETARG_DATUM(1));
	s = malloc(offsetof(Said, error) + error.len);
	if (s == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	snprintf(s->effect_id, sizeof(s->effect_id), "%.*s", (int) id.len, id.data);
	memcpy(s->error, error.data, error.len);
	s->len = error.len;
	s->next = said;
	said = s;
	PG_RETURN_VOID();
}
