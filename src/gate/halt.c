/*-------------------------------------------------------------------------
 *
 * halt.c
 *	  The kill switch, as every process knows it.
 *
 * What is kept is a sorted list of (platform, what is halted). Descendants of a
 * halted agent, session or run are in it by name, as far as they are open, so
 * that nobody has to climb a lineage to find out: theazo_internal.halts_in_force()
 * has done that. A descendant whose transaction commits after the list was read
 * is not in it; so a transaction that has asked here, and finds at its end that
 * the epoch moved meanwhile, moves it once more.
 *
 * The epoch is moved by commits (pg/wake.h). Those that nobody announces
 * (prepared transactions, a restored table) are noticed by the invalidation
 * that a trigger of the table sends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "gate/gate.h"
#include "gate/halt.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/memo.h"
#include "pg/shmem.h"
#include "pg/spi.h"
#include "pg/wake.h"

typedef struct HaltEntry
{
	char platform[TZ_ID_MAX + 1];
	char target[TZ_ID_MAX + 1]; /* empty: the whole platform */
	char environment[8]; /* empty: all */
	TzHalt halt;
} HaltEntry;

/* In a context of its own, replaced as a whole. */
typedef struct HaltList
{
	MemoryContext context;
	int n;
	HaltEntry *entry; /* by platform and target; the global halt has no platform */
} HaltList;

static TzStmt halts_stmt = {
	"SELECT id, kind, platform_id, target, environment, subject, reason FROM theazo_internal.halts_in_force()",
	0};

static HaltList *list = NULL;
static uint32 list_epoch = 0; /* it was read at; 0: never */
static bool list_stale = false; /* its table has changed, whatever the epoch says */
static Oid list_table = InvalidOid;
static uint32 asked_epoch = 0; /* of the first look of this transaction; 0: none */

static TzDatabase *halt_database(void);
static void halt_refresh(void);
static void halt_read(void);
static void halt_read_entry(HaltEntry *entry, uint64 row);
static int halt_compare(const void *a, const void *b);
static const TzHalt *halt_search(const char *platform, const char *target, const char *environment);
static void halt_table_changed(Datum arg, Oid relation);
static void halt_xact_callback(XactEvent event, void *arg);

void
tz_halt_init(void)
{
	RegisterXactCallback(halt_xact_callback, NULL);
}

const TzHalt *
tz_halt_find(const TzHaltOf *of)
{
	halt_refresh();
	return tz_halt_recall(of);
}

bool
tz_halt_any(void)
{
	halt_refresh();
	return list != NULL && list->n > 0;
}

const TzHalt *
tz_halt_recall(const TzHaltOf *of)
{
	const char *const targets[] = {"", of->session, of->agent, of->run, of->parent};
	const TzHalt *found;

	if (list == NULL || list->n == 0)
		return NULL;
	found = halt_search("", "", NULL);
	for (size_t i = 0; found == NULL && of->platform != NULL && i < lengthof(targets); i++)
	{
		if (targets[i] != NULL)
			found = halt_search(of->platform, targets[i], of->environment);
	}
	return found;
}

bool
tz_halt_moved(void)
{
	TzDatabase *db = halt_database();

	return db != NULL && (list_stale || pg_atomic_read_u32(&db->halt_epoch) != list_epoch);
}

bool
tz_halt_spares(const char *kind)
{
	static const char *const spared[] = {"compute.destroy", "compute.pause", "compute.forget",
	                                     "compute.stop",    "compute.sweep", "webhook.deliver"};

	for (size_t i = 0; i < lengthof(spared); i++)
	{
		if (strcmp(kind, spared[i]) == 0)
			return true;
	}
	return strncmp(kind, "anchor.", 7) == 0;
}

const char *
tz_halt_reason(const TzHalt *halt)
{
	static const char *const reasons[TZ_HALT_KINDS] = {"global_halt", "platform_halt", "session_halted",
	                                                   "agent_halted", "run_halted"};

	return reasons[halt->kind];
}

void
tz_halt_message(const TzHalt *halt, char *message, size_t size)
{
	static const char *const what[TZ_HALT_KINDS] = {"everything", "the platform", "session", "agent", "run"};

	if (halt->subject[0] == '\0' || halt->kind < TZ_HALT_SESSION)
		snprintf(message, size, "%s is halted: %s", what[halt->kind], halt->why);
	else
		snprintf(message, size, "%s \"%s\" is halted: %s", what[halt->kind], halt->subject, halt->why);
}

const char *
tz_halt_hint(const TzHalt *halt)
{
	switch (halt->kind)
	{
		case TZ_HALT_GLOBAL:
			return "The operator has halted everything; wait until it is lifted.";
		case TZ_HALT_PLATFORM:
			return "theazo.halts shows who halted it; theazo.unhalt() lifts what the platform has halted itself.";
		case TZ_HALT_RUN:
			return "A run that was killed stays so; start a new one.";
		default:
			return "theazo.halts shows who halted it; theazo.resume_halted() lets it work again.";
	}
}

/* ---- the gate, and SQL ------------------------------------------------------------ */

/* An id as a string; what is too long is none. */
static const char *
halt_word(TzSlice text, char word[TZ_ID_MAX + 1])
{
	if (text.data == NULL || text.len > TZ_ID_MAX)
		return NULL;
	memcpy(word, text.data, text.len);
	word[text.len] = '\0';
	return word;
}

bool
tz_halt_judge(const TzGateAsk *ask, TzGateRefusal *why)
{
	char words[5][TZ_ID_MAX + 1];
	char parent[TZ_ID_MAX + 8];
	const TzHalt *halt;
	TzHaltOf of = {NULL};

	if (!tz_halt_any())
		return false;
	of.platform = halt_word(ask->platform, words[0]);
	of.environment = halt_word(ask->environment, words[1]);
	of.session = halt_word(ask->session, words[2]);
	of.agent = halt_word(ask->agent, words[3]);
	of.run = halt_word(ask->run, words[4]);
	if (ask->parent.data != NULL && ask->parent.len <= TZ_ID_MAX)
	{
		snprintf(parent, sizeof(parent), "run_%.*s", (int) ask->parent.len, ask->parent.data);
		of.parent = parent;
	}
	halt = tz_halt_recall(&of);
	if (halt == NULL)
		return false;
	why->check = "halt";
	why->sqlstate = "TZ203";
	why->code = "forbidden";
	why->category = "control";
	why->action = "halt_refused";
	why->rule = tz_halt_reason(halt);
	why->message = palloc(TZ_HALT_MESSAGE_MAX);
	tz_halt_message(halt, unconstify(char *, why->message), TZ_HALT_MESSAGE_MAX);
	why->hint = tz_halt_hint(halt);
	return true;
}

/* Arguments platform, environment, session, agent, run. */
static const TzHalt *
halt_asked(FunctionCallInfo fcinfo)
{
	char words[5][TZ_ID_MAX + 1];
	const char *found[5];
	TzHaltOf of;

	if (!tz_halt_any())
		return NULL;
	for (int i = 0; i < 5; i++)
		found[i] = PG_ARGISNULL(i) ? NULL : halt_word(tz_datum_slice(PG_GETARG_DATUM(i)), words[i]);
	of = (TzHaltOf){found[0], found[1], found[2], found[3], found[4], NULL};
	return tz_halt_recall(&of);
}

/* theazo_internal.halt_of(platform, environment, session, agent, run): id of the halt that holds, or null */
THEAZO_FUNCTION(theazo_halt_of)
{
	const TzHalt *halt = halt_asked(fcinfo);

	if (halt == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(halt->id));
}

/* theazo_internal.halt_error(platform, environment, session, agent, run): what a run ends with that it holds for, or null */
THEAZO_FUNCTION(theazo_halt_error)
{
	const TzHalt *halt = halt_asked(fcinfo);
	char message[TZ_HALT_MESSAGE_MAX];
	StringInfoData doc;

	if (halt == NULL)
		PG_RETURN_NULL();
	tz_halt_message(halt, message, sizeof(message));
	initStringInfo(&doc);
	appendStringInfoString(&doc, "{\"code\": \"forbidden\", \"sqlstate\": \"TZ203\", \"message\": ");
	escape_json(&doc, message);
	appendStringInfo(&doc,
	                 ", \"detail\": \"Reason: %s.\", \"reason\": \"%s\", \"hint\": ", tz_halt_reason(halt),
	                 tz_halt_reason(halt));
	escape_json(&doc, tz_halt_hint(halt));
	appendStringInfoChar(&doc, '}');
	return tz_jsonb_datum(tz_slice(doc.data, doc.len));
}

/* theazo_internal.halt_any() */
THEAZO_FUNCTION(theazo_halt_any)
{
	(void) fcinfo;
	PG_RETURN_BOOL(tz_halt_any());
}

/* theazo_internal.halt_spares(kind) */
THEAZO_FUNCTION(theazo_halt_spares)
{
	PG_RETURN_BOOL(tz_halt_spares(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/* ---- reading ------------------------------------------------------------------- */

static TzDatabase *
halt_database(void)
{
	int dbindex = tz_shared == NULL ? -1 : tz_database_find(MyDatabaseId);

	return dbindex < 0 ? NULL : &tz_shared->database[dbindex];
}

/* Without workers there is no epoch, so the rows are read each time. */
static void
halt_refresh(void)
{
	TzDatabase *db = halt_database();
	uint32 epoch = db == NULL ? 0 : pg_atomic_read_u32(&db->halt_epoch);

	if (asked_epoch == 0)
		asked_epoch = epoch;
	if (epoch != 0 && epoch == list_epoch && !list_stale)
		return;
	list_stale = false;
	list_epoch = 0;
	halt_read();
	list_epoch = epoch;
}

/* The new list takes the old one's place when it is complete. */
static void
halt_read(void)
{
	static bool registered = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "theazo halts", ALLOCSET_SMALL_SIZES);
	HaltList *fresh = MemoryContextAllocZero(context, sizeof(*fresh));
	bool snapshot;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(halt_table_changed, (Datum) 0);
		registered = true;
	}
	list_table = get_relname_relid("halt", get_namespace_oid("theazo_data", false));
	fresh->context = context;
	SPI_connect();
	snapshot = tz_memo_begin();
	fresh->n = (int) tz_spi_exec(&halts_stmt, NULL, NULL, 0);
	if (fresh->n > 0)
		fresh->entry = MemoryContextAllocExtended(context, sizeof(HaltEntry) * fresh->n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < fresh->n; i++)
		halt_read_entry(&fresh->entry[i], (uint64) i);
	if (snapshot)
		tz_memo_end();
	SPI_finish();
	if (fresh->n > 1)
		qsort(fresh->entry, fresh->n, sizeof(HaltEntry), halt_compare);
	MemoryContextSetParent(context, TopMemoryContext);
	if (list != NULL)
		MemoryContextDelete(list->context);
	list = fresh;
}

static void
halt_copy(char *out, size_t size, uint64 row, int column)
{
	char *text = tz_spi_text(row, column);

	strlcpy(out, text == NULL ? "" : text, size);
}

static void
halt_read_entry(HaltEntry *entry, uint64 row)
{
	static const char *const kinds[TZ_HALT_KINDS] = {"global", "platform", "session", "agent", "run"};
	char kind[16];

	memset(entry, 0, sizeof(*entry));
	halt_copy(entry->halt.id, sizeof(entry->halt.id), row, 1);
	halt_copy(kind, sizeof(kind), row, 2);
	entry->halt.kind = TZ_HALT_RUN;
	for (int i = 0; i < TZ_HALT_KINDS; i++)
	{
		if (strcmp(kind, kinds[i]) == 0)
			entry->halt.kind = (TzHaltKind) i;
	}
	halt_copy(entry->platform, sizeof(entry->platform), row, 3);
	halt_copy(entry->target, sizeof(entry->target), row, 4);
	halt_copy(entry->environment, sizeof(entry->environment), row, 5);
	halt_copy(entry->halt.subject, sizeof(entry->halt.subject), row, 6);
	halt_copy(entry->halt.why, sizeof(entry->halt.why), row, 7);
}

/* ---- looking ------------------------------------------------------------------- */

static int
halt_compare(const void *a, const void *b)
{
	const HaltEntry *x = a;
	const HaltEntry *y = b;
	int order = strcmp(x->platform, y->platform);

	if (order == 0)
		order = strcmp(x->target, y->target);
	return order != 0 ? order : (int) x->halt.kind - (int) y->halt.kind;
}

/* Of several for the same thing, any that holds for the environment. */
static const TzHalt *
halt_search(const char *platform, const char *target, const char *environment)
{
	int low = 0;
	int high = list->n;

	while (low < high)
	{
		int middle = low + (high - low) / 2;
		const HaltEntry *e = &list->entry[middle];
		int order = strcmp(e->platform, platform);

		if (order == 0)
			order = strcmp(e->target, target);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < list->n; low++)
	{
		const HaltEntry *e = &list->entry[low];

		if (strcmp(e->platform, platform) != 0 || strcmp(e->target, target) != 0)
			break;
		if (e->environment[0] == '\0' || (environment != NULL && strcmp(e->environment, environment) == 0))
			return &e->halt;
	}
	return NULL;
}

/* ---- what makes it stale --------------------------------------------------------- */

static void
halt_table_changed(Datum arg, Oid relation)
{
	(void) arg;
	if (!OidIsValid(relation) || relation == list_table)
		list_stale = true;
}

/* After the commit became visible it must not throw. What is prepared says so when it is committed, whoever does that. */
static void
halt_xact_callback(XactEvent event, void *arg)
{
	uint32 asked = asked_epoch;
	TzDatabase *db;

	(void) arg;
	if (event == XACT_EVENT_PRE_PREPARE && asked != 0 &&
	    SearchSysCacheExists1(RELOID, ObjectIdGetDatum(list_table)))
		CacheInvalidateRelcacheByRelid(list_table);
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	asked_epoch = 0;
	if (event != XACT_EVENT_COMMIT || asked == 0)
		return;
	db = halt_database();
	if (db != NULL && pg_atomic_read_u32(&db->halt_epoch) != asked)
		tz_wake_now(MyDatabaseId, TZ_WAKE_HALT);
}
