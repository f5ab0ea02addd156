/*-------------------------------------------------------------------------
 *
 * permission_sql.c
 *	  The faces of permission.c in SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "gate/permission.h"
#include "lib/pattern.h"
#include "pg/convert.h"
#include "pg/export.h"

static void labels_of(ArrayType *labels, TzGateAsk *ask);
static TzSlice text_arg(FunctionCallInfo fcinfo, int n);
static Datum permission_record(FunctionCallInfo fcinfo, const TzPermission *verdict);

/*
 * permission_decide(platform, agent, policy, labels, kind, tool, path, host, OUT allowed, rule, message, hint,
 * alternative)
 */
THEAZO_FUNCTION(theazo_permission_decide)
{
	TzGateAsk ask = {0};
	TzPermission verdict;

	if (PG_ARGISNULL(0))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		        errmsg("platform of an action must not be null"));
	ask.platform = text_arg(fcinfo, 0);
	ask.agent = text_arg(fcinfo, 1);
	ask.policy = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	if (!PG_ARGISNULL(3))
		labels_of(PG_GETARG_ARRAYTYPE_P(3), &ask);
	ask.kind = text_arg(fcinfo, 4);
	ask.tool = text_arg(fcinfo, 5);
	ask.path = text_arg(fcinfo, 6);
	ask.host = text_arg(fcinfo, 7);
	tz_permission_decide(&ask, &verdict);
	return permission_record(fcinfo, &verdict);
}

/* flow_sources(platform, agent, policy, kind, tool, path, host, key): labels of what this action reads */
THEAZO_FUNCTION(theazo_flow_sources)
{
	TzGateAsk ask = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		        errmsg("platform of an action must not be null"));
	ask.platform = text_arg(fcinfo, 0);
	ask.agent = text_arg(fcinfo, 1);
	ask.policy = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	ask.kind = text_arg(fcinfo, 3);
	ask.tool = text_arg(fcinfo, 4);
	ask.path = text_arg(fcinfo, 5);
	ask.host = text_arg(fcinfo, 6);
	PG_RETURN_ARRAYTYPE_P(tz_flow_sources(&ask, text_arg(fcinfo, 7)));
}

/* flow_known(platform): has the platform labels, or rules about them */
THEAZO_FUNCTION(theazo_flow_known)
{
	const TzRules *rules = tz_rules(tz_datum_slice(PG_GETARG_DATUM(0)));

	PG_RETURN_BOOL(rules->nsources > 0 || rules->nsinks > 0);
}

/* rules_digest(platform): another one when anything that decides was changed */
THEAZO_FUNCTION(theazo_rules_digest)
{
	return tz_text_datum(tz_rules(tz_datum_slice(PG_GETARG_DATUM(0)))->digest);
}

static Datum
permission_record(FunctionCallInfo fcinfo, const TzPermission *verdict)
{
	const char *const texts[] = {verdict->rule, verdict->message, verdict->hint, verdict->alternative};
	TupleDesc desc;
	Datum values[1 + lengthof(texts)];
	bool nulls[1 + lengthof(texts)] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != lengthof(values))
		elog(ERROR, "permission_decide() must return a row of %d columns", (int) lengthof(values));
	values[0] = BoolGetDatum(verdict->allowed);
	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		nulls[i + 1] = texts[i] == NULL;
		values[i + 1] = texts[i] == NULL ? (Datum) 0 : CStringGetTextDatum(texts[i]);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* More than there is room for cannot be judged; labels are few by their ceiling. */
static void
labels_of(ArrayType *labels, TzGateAsk *ask)
{
	Datum *values;
	bool *nulls;
	int n;

	deconstruct_array(labels, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	if (n > TZ_GATE_LABELS_MAX)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		        errmsg("more than %d labels are given", TZ_GATE_LABELS_MAX), errhint("Give fewer labels."));
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			ask->labels[ask->nlabels++] = tz_datum_slice(values[i]);
}

static TzSlice
text_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? tz_slice("", 0) : tz_datum_slice(PG_GETARG_DATUM(n));
}

/* host_covers(pattern, host): both as host_clean() gives them */
THEAZO_FUNCTION(theazo_host_covers)
{
	PG_RETURN_BOOL(tz_pattern_host(tz_datum_slice(PG_GETARG_DATUM(0)), tz_datum_slice(PG_GETARG_DATUM(1))));
}

/* host_clean(host): null for what is no host */
THEAZO_FUNCTION(theazo_host_clean)
{
	char out[TZ_PATTERN_HOST_MAX + 1];

	if (!tz_pattern_host_clean(tz_datum_slice(PG_GETARG_DATUM(0)), out))
		PG_RETURN_NULL();
	return CStringGetTextDatum(out);
}
