/*-------------------------------------------------------------------------
 *
 * notes.c
 *	  What happened without being asked for, on its way to the rows.
 *
 * A program in a sandbox connects, a sandbox dies: nobody holds an effect for
 * that, so it waits here until the next settling transaction writes it. The
 * queue is bounded. A connection that cannot be kept is refused, because every
 * one of them is to be recorded; the end of a sandbox is always kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "effect/done.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "worker/notes.h"

#define NOTES_MAX 2000
#define NOTE_TIMEOUT_MS 10000

struct TzNote
{
	TzNote *next;
	bool gone; /* else a connection */
	bool allowed;
	int port;
	char *platform_id;
	char *root_id;
	char *sandbox_id;
	char *agent_id;
	char *run_id;
	char *host;
	char *address;
	char *reason;
	char *records; /* what a command reported; else NULL */
};

static TzStmt connection_stmt = {
	"SELECT theazo_internal.connection_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	10,
	{TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, BOOLOID, TEXTOID}};

static TzStmt gone_stmt = {"SELECT theazo_internal.sandbox_gone($1, $2, $3)", 3, {TEXTOID, TEXTOID, TEXTOID}};

static TzStmt reports_stmt = {"SELECT theazo_internal.reports_note($1, $2, $3::jsonb)",
                              3,
                              {TEXTOID, TEXTOID, TEXTOID}};

static void
note_free(TzNote *n)
{
	free(n->platform_id);
	free(n->root_id);
	free(n->sandbox_id);
	free(n->agent_id);
	free(n->run_id);
	free(n->host);
	free(n->address);
	free(n->reason);
	free(n->records);
	free(n);
}

static bool
note_push(TzNotes *notes, TzNote *n, bool complete)
{
	if (!complete)
	{
		note_free(n);
		return false;
	}
	if (notes->last != NULL)
		notes->last->next = n;
	else
		notes->first = n;
	notes->last = n;
	notes->n++;
	return true;
}

bool
tz_notes_connection(TzNotes *notes, const TzLocalConnection *conn)
{
	TzNote *n = notes->n < NOTES_MAX ? calloc(1, sizeof(TzNote)) : NULL;

	if (n == NULL)
		return false;
	n->allowed = conn->allowed;
	n->port = conn->port;
	n->platform_id = strdup(conn->platform_id);
	n->root_id = strdup(conn->root_id);
	n->sandbox_id = strdup(conn->sandbox_id);
	n->agent_id = strdup(conn->agent_id);
	n->run_id = strdup(conn->run_id);
	n->host = strdup(conn->host);
	n->address = strdup(conn->address);
	n->reason = strdup(conn->reason);
	return note_push(notes, n,
	                 n->platform_id && n->root_id && n->sandbox_id && n->agent_id && n->run_id && n->host &&
	                     n->address && n->reason);
}

bool
tz_notes_gone(TzNotes *notes, const char *platform_id, const char *sandbox_id, const char *reason)
{
	TzNote *n = calloc(1, sizeof(TzNote));

	if (n == NULL)
		return false;
	n->gone = true;
	n->platform_id = strdup(platform_id);
	n->sandbox_id = strdup(sandbox_id);
	n->reason = strdup(reason);
	return note_push(notes, n, n->platform_id && n->sandbox_id && n->reason);
}

bool
tz_notes_room(const TzNotes *notes)
{
	return notes->n < NOTES_MAX;
}

bool
tz_notes_reports(TzNotes *notes, const char *platform_id, const char *run_id, char *records)
{
	TzNote *n = records != NULL ? calloc(1, sizeof(TzNote)) : NULL;

	if (n == NULL)
	{
		free(records);
		return false;
	}
	n->records = records;
	n->platform_id = strdup(platform_id);
	n->run_id = strdup(run_id);
	return note_push(notes, n, n->platform_id && n->run_id);
}

/* "" is stored as NULL. */
static void
set_text(Datum *value, bool *null, const char *text)
{
	*null = text[0] == '\0';
	*value = *null ? (Datum) 0 : CStringGetTextDatum(text);
}

static void
note_write(const TzNote *n)
{
	Datum values[10];
	bool nulls[10] = {false};

	values[0] = CStringGetTextDatum(n->platform_id);
	if (n->gone)
	{
		values[1] = CStringGetTextDatum(n->sandbox_id);
		values[2] = CStringGetTextDatum(n->reason);
		tz_spi_exec(&gone_stmt, values, NULL, 0);
		return;
	}
	if (n->records != NULL)
	{
		values[1] = CStringGetTextDatum(n->run_id);
		values[2] = CStringGetTextDatum(n->records);
		tz_spi_exec(&reports_stmt, values, NULL, 0);
		return;
	}
	values[1] = CStringGetTextDatum(n->root_id);
	set_text(&values[2], &nulls[2], n->sandbox_id);
	set_text(&values[3], &nulls[3], n->agent_id);
	set_text(&values[4], &nulls[4], n->run_id);
	values[5] = CStringGetTextDatum(n->host);
	values[6] = Int32GetDatum(n->port);
	set_text(&values[7], &nulls[7], n->address);
	values[8] = BoolGetDatum(n->allowed);
	set_text(&values[9], &nulls[9], n->reason);
	tz_spi_exec(&connection_stmt, values, nulls, 0);
}

void
tz_notes_write(TzNotes *notes, int max)
{
	notes->written = 0;
	for (const TzNote *n = notes->first; n != NULL && notes->written < max; n = n->next)
	{
		note_write(n);
		notes->written++;
	}
}

static void
note_drop(TzNotes *notes)
{
	TzNote *n = notes->first;

	notes->first = n->next;
	if (notes->first == NULL)
		notes->last = NULL;
	notes->n--;
	note_free(n);
}

void
tz_notes_written(TzNotes *notes, bool committed)
{
	while (committed && notes->written > 0)
	{
		note_drop(notes);
		notes->written--;
	}
	notes->written = 0;
}

/* Its own transaction; what is not a passing trouble is reported and lets the note go. */
static void
note_write_alone(const TzNote *n)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		tz_txn_begin("theazo: recording a sandbox's doings", NOTE_TIMEOUT_MS);
		note_write(n);
		tz_txn_commit();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (tz_error_is_passing(geterrcode()))
			PG_RE_THROW();
		EmitErrorReport();
		FlushErrorState();
		tz_txn_abort();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

void
tz_notes_write_each(TzNotes *notes, int max)
{
	while (max-- > 0 && notes->first != NULL)
	{
		note_write_alone(notes->first);
		note_drop(notes);
	}
}
