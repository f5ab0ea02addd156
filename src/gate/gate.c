/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  The one gate that every action passes before an effect of it is queued.
 *
 * That nothing goes round it is not left to care: queuing an effect takes the
 * pass that asking left (tz_gate_take_pass), and without one it is an error.
 * What needs no pass stands in the table below, with the reason.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/tuplestore.h"

#include "gate/gate.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/objects.h"

#define PASSES_MAX 16 /* asked and not used: the oldest is forgotten */
#define PASS_ID_MAX 40

typedef struct GateKind
{
	const char *kind;
	const char *exempt; /* why it needs no pass; NULL: it does */
} GateKind;

static const GateKind kinds[] = {
	{"model.call", NULL},
	{"compute.create", NULL},
	{"compute.exec", NULL},
	{"compute.write", NULL},
	{"compute.read", NULL},
	{"compute.list", NULL},
	{"compute.metrics", NULL},
	{"compute.expose_port", NULL},
	{"tool.webhook", NULL},
	{"tool.sql", NULL},
	{"http.get", NULL},
	{"http.request", NULL},
	{"http.fetch", NULL},
	{"script.run", NULL},
	{"safety.judge", "judges what is about to pass the gate"},
	{"compute.pause", "stops work"},
	{"compute.stop", "ends work"},
	{"compute.destroy", "ends work"},
	{"webhook.deliver", "tells the platform what happened, a halt too"},
	{"anchor.rfc3161", "evidence of the operator's"},
	{"anchor.evm", "evidence of the operator's"},
	{"anchor.file", "evidence of the operator's"},
	{"probe.noop", "does nothing"},
	{"probe.hold", "waits, for a drill of the kill switch"},
	{"compute.sample", "the keeper looks at its figures"},
	{"compute.resume", "what needs the sandbox has passed"},
	{"compute.renew", "keeps what has passed"},
	{"compute.snapshot", "keeps what is there"},
	{"compute.forget", "ends what was kept"},
	{"compute.sweep", "looks at what is there"},
	{"compute.logs", "looks at what is there"},
	{"tool.progress", "leaves a line in the log"},
	/* of a run, not of an effect */
	{"run.start", NULL},
	{"run.spawn", NULL},
};

typedef struct Pass
{
	const GateKind *kind;
	char platform[PASS_ID_MAX];
	char agent[PASS_ID_MAX];
} Pass;

static Pass passes[PASSES_MAX];
static int npasses = 0;

static void gate_xact(XactEvent event, void *arg);
static const GateKind *kind_find(TzSlice kind);
static bool is_same(const char *id, TzSlice other);
static void pass_leave(const GateKind *kind, const TzGateAsk *ask);
static void labels_of(TzGateAsk *ask, ArrayType *labels);
static void put_text(StringInfo doc, const char *key, const char *text);
static Datum refusal_document(const TzGateRefusal *why);

void
tz_gate_init(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(gate_xact, NULL);
	registered = true;
}

bool
tz_gate_judge(const TzGateAsk *ask, TzGateRefusal *why)
{
	const GateKind *kind = kind_find(ask->kind);

	memset(why, 0, sizeof(*why));
	if (tz_halt_judge(ask, why) || tz_permission_judge(ask, why) || tz_rate_judge(ask, why))
		return false;
	if (kind != NULL && kind->exempt == NULL)
		pass_leave(kind, ask);
	return true;
}

bool
tz_gate_take_pass(TzSlice kind, TzSlice platform, TzSlice agent)
{
	const GateKind *known = kind_find(kind);

	/* a kind of another version is held by whoever claims it */
	if (known == NULL || known->exempt != NULL)
		return true;
	for (int i = npasses - 1; i >= 0; i--)
	{
		if (passes[i].kind == known && is_same(passes[i].platform, platform) &&
		    is_same(passes[i].agent, agent))
		{
			memmove(&passes[i], &passes[i + 1], sizeof(Pass) * (npasses - i - 1));
			npasses--;
			return true;
		}
	}
	return false;
}

/*
 * theazo_internal.gate(kind, platform, environment, session, agent, run, parent, policy, labels, provider, tool, path,
 * host): null when it is allowed, {"delay_ms"} when it is later, else the refusal as a document
 */
THEAZO_FUNCTION(theazo_gate)
{
	TzGateAsk ask = {0};
	TzGateRefusal why;
	TzSlice *texts[] = {&ask.kind,  &ask.platform, &ask.environment, &ask.session,
	                    &ask.agent, &ask.run,      &ask.parent,      NULL,
	                    NULL,       &ask.provider, &ask.tool,        &ask.path,
	                    &ask.host};

	tz_args_expect(fcinfo, lengthof(texts));
	tz_gate_init();
	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		if (texts[i] != NULL && !PG_ARGISNULL(i))
			*texts[i] = tz_datum_slice(PG_GETARG_DATUM(i));
	}
	if (ask.kind.data == NULL || ask.platform.data == NULL)
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		        errmsg("kind and platform of an action must not be null"));
	if (!PG_ARGISNULL(7))
		ask.policy = PG_GETARG_JSONB_P(7);
	if (!PG_ARGISNULL(8))
		labels_of(&ask, PG_GETARG_ARRAYTYPE_P(8));
	if (!tz_gate_judge(&ask, &why))
		return refusal_document(&why);
	if (why.retry_ms > 0)
		return tz_jsonb_datum(tz_slice_cstr(psprintf("{\"delay_ms\": " INT64_FORMAT "}", why.retry_ms)));
	PG_RETURN_NULL();
}

/* theazo_internal.gate_kinds(): what there is, for docs and tests */
THEAZO_FUNCTION(theazo_gate_kinds)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		Datum values[2] = {0};
		bool nulls[2] = {false, kinds[i].exempt == NULL};

		values[0] = CStringGetTextDatum(kinds[i].kind);
		if (!nulls[1])
			values[1] = CStringGetTextDatum(kinds[i].exempt);
		tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static void
gate_xact(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PARALLEL_PRE_COMMIT &&
	    event != XACT_EVENT_PRE_PREPARE)
		npasses = 0;
}

static const GateKind *
kind_find(TzSlice kind)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (is_same(kinds[i].kind, kind))
			return &kinds[i];
	}
	return NULL;
}

static bool
is_same(const char *id, TzSlice other)
{
	return strlen(id) == other.len && (other.len == 0 || memcmp(id, other.data, other.len) == 0);
}

/* An id that is too long for a pass is none, and finds none later. */
static void
pass_leave(const GateKind *kind, const TzGateAsk *ask)
{
	Pass *pass;

	if (ask->platform.len >= PASS_ID_MAX || ask->agent.len >= PASS_ID_MAX)
		return;
	if (npasses == PASSES_MAX)
	{
		memmove(&passes[0], &passes[1], sizeof(Pass) * (PASSES_MAX - 1));
		npasses--;
	}
	pass = &passes[npasses++];
	memset(pass, 0, sizeof(*pass));
	pass->kind = kind;
	memcpy(pass->platform, ask->platform.data, ask->platform.len);
	if (ask->agent.len > 0)
		memcpy(pass->agent, ask->agent.data, ask->agent.len);
}

/* More labels than there is room for: the run has read so much that nobody can say what it may still do. */
static void
labels_of(TzGateAsk *ask, ArrayType *labels)
{
	Datum *values;
	bool *nulls;
	int n;

	deconstruct_array(labels, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	if (n > TZ_GATE_LABELS_MAX)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		        errmsg("a run carries more than %d labels", TZ_GATE_LABELS_MAX),
		        errhint("Use fewer labels for sources of data."));
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			ask->labels[ask->nlabels++] = tz_datum_slice(values[i]);
	}
}

static void
put_text(StringInfo doc, const char *key, const char *text)
{
	if (text == NULL)
		return;
	appendStringInfoString(doc, doc->len == 0 ? "{" : ", ");
	escape_json(doc, key);
	appendStringInfoString(doc, ": ");
	escape_json(doc, text);
}

static Datum
refusal_document(const TzGateRefusal *why)
{
	StringInfoData doc;

	initStringInfo(&doc);
	put_text(&doc, "check", why->check);
	put_text(&doc, "sqlstate", why->sqlstate);
	put_text(&doc, "code", why->code);
	put_text(&doc, "category", why->category);
	put_text(&doc, "action", why->action);
	put_text(&doc, "rule", why->rule);
	put_text(&doc, "message", why->message);
	put_text(&doc, "hint", why->hint);
	put_text(&doc, "alternative", why->alternative);
	if (why->retry_ms > 0)
		put_text(&doc, "retry_ms", psprintf(INT64_FORMAT, why->retry_ms));
	put_text(&doc, "violation", why->violation ? "true" : "false");
	appendStringInfoChar(&doc, '}');
	return tz_jsonb_datum(tz_slice(doc.data, doc.len));
}
