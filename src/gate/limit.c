/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  Rate limits as operator and platform have set them.
 *
 * What the rows say of a subject is remembered until one of them changes. Where
 * no row names a subject of its own, which is nearly always, one answer serves
 * all subjects of a scope.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "gate/gate.h"
#include "gate/limit.h"
#include "lib/id.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/memo.h"
#include "pg/spi.h"

#define LIMIT_MEMO_MAX 4096 /* then all of it is forgotten */
#define LIMIT_SUBJECT_MAX 64 /* longer ones are asked for each time */
#define LIMIT_PUT_OFF_MS (60 * 60 * 1000) /* a model call is put off by no more */

typedef struct LimitKey
{
	int scope;
	char platform[TZ_ID_MAX + 1];
	char subject[LIMIT_SUBJECT_MAX + 1];
} LimitKey;

typedef struct LimitMemo
{
	LimitKey key;
	TzRate rate;
	bool by_subject; /* of the entry without a subject: some have limits of their own */
} LimitMemo;

/* The answer to the last question of a scope: mostly the next one is the same. */
typedef struct LimitLast
{
	bool known;
	size_t platform_len;
	size_t subject_len;
	char platform[TZ_ID_MAX];
	char subject[LIMIT_SUBJECT_MAX];
	TzRate rate;
	uint64 tag;
} LimitLast;

static TzStmt limit_stmt = {
	"SELECT per_minute, burst, by_subject, most FROM theazo_internal.rate_of($1, $2, $3)",
	3,
	{TEXTOID, TEXTOID, TEXTOID}};

static HTAB *memo = NULL;
static bool memo_stale = false; /* the table has changed */
static Oid memo_table = InvalidOid;
static LimitLast lasts[TZ_RATE_SCOPES];

static bool starts_with(TzSlice text, const char *prefix);
static double policy_number(JsonbContainer *object, const char *key);
static TzRate policy_rate(Jsonb *policy);
static bool limit_refuses(TzRateScope scope, int64 retry_ms, TzGateRefusal *why);
static TzRate limit_of(TzRateScope scope, TzSlice platform, TzSlice subject, const TzRate *own, uint64 *tag);
static void limit_keep(LimitLast *last, TzSlice platform, TzSlice subject, const TzRate *rate, uint64 tag);
static void limit_prepare(void);
static void limit_table_changed(Datum arg, Oid relation);
static TzRate limit_look_up(TzRateScope scope, TzSlice platform, TzSlice subject, bool *by_subject);
static TzRate limit_ask(TzRateScope scope, TzSlice platform, TzSlice subject, bool *by_subject, bool *kept);

bool
tz_limit_take(TzRateScope scope, TzSlice platform, TzSlice subject, const TzRate *own, int64 *retry_ms)
{
	uint64 tag;
	TzRate rate = limit_of(scope, platform, subject, own, &tag);

	*retry_ms = 0;
	return rate.per_minute <= 0 || tz_rate_take(scope, tag, rate.per_minute, rate.burst, rate.most, retry_ms);
}

bool
tz_limit_reserve(TzRateScope scope, TzSlice platform, TzSlice subject, int64 longest_ms, int64 *wait_ms)
{
	uint64 tag;
	TzRate rate = limit_of(scope, platform, subject, NULL, &tag);

	*wait_ms = 0;
	return rate.per_minute <= 0 || tz_rate_reserve(tag, rate.per_minute, rate.burst, longest_ms, wait_ms);
}

/* ---- the gate ---------------------------------------------------------------------- */

static bool
starts_with(TzSlice text, const char *prefix)
{
	size_t n = strlen(prefix);

	return text.len >= n && memcmp(text.data, prefix, n) == 0;
}

/* A number of an object, or 0. */
static double
policy_number(JsonbContainer *object, const char *key)
{
	JsonbValue value;

	if (object == NULL || getKeyJsonValueFromContainer(object, key, (int) strlen(key), &value) == NULL ||
	    value.type != jbvNumeric)
		return 0;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
}

/*
 * Tool calls a minute of a run whose agent is governed: what its template says,
 * else 60, or what its calls per run were raised to. Others have no such limit.
 */
static TzRate
policy_rate(Jsonb *policy)
{
	TzRate rate = {0};
	JsonbContainer *limits = NULL;
	JsonbValue value;

	if (policy == NULL || !JB_ROOT_IS_OBJECT(policy))
		return rate;
	if (getKeyJsonValueFromContainer(&policy->root, "limits", 6, &value) != NULL && value.type == jbvBinary &&
	    JsonContainerIsObject(value.val.binary.data))
		limits = value.val.binary.data;
	rate.per_minute = policy_number(limits, "apiCallsPerMinute");
	if (rate.per_minute <= 0 && getKeyJsonValueFromContainer(&policy->root, "template", 8, &value) != NULL &&
	    value.type == jbvString)
	{
		TzSlice name = tz_slice(value.val.string.val, value.val.string.len);

		rate.per_minute = tz_slice_eq_cstr(name, "STRICT") ? 30 : tz_slice_eq_cstr(name, "DEV") ? 240 : 60;
	}
	else if (rate.per_minute <= 0 && policy_number(limits, "maxApiCallsPerRun") > 0)
		rate.per_minute = Max(60, policy_number(limits, "maxApiCallsPerRun"));
	rate.burst = rate.per_minute < 1 ? 1 : (int) Min(rate.per_minute, 1000000);
	rate.most = rate.burst;
	return rate;
}

/* Fills in why there is no token; true. */
static bool
limit_refuses(TzRateScope scope, int64 retry_ms, TzGateRefusal *why)
{
	why->check = "rate";
	why->sqlstate = "TZ201";
	why->code = "rate_limited";
	why->category = "limit";
	why->action = "rate_limit_hit";
	why->rule = tz_rate_scope_name(scope);
	why->message = tz_limit_message(scope);
	why->hint = "Wait as long as it says; theazo.rate_limits shows what was set.";
	why->retry_ms = retry_ms;
	why->violation = true;
	return true;
}

bool
tz_rate_judge(const TzGateAsk *ask, TzGateRefusal *why)
{
	bool model = tz_slice_eq_cstr(ask->kind, "model.call");
	TzRate own = {0};
	int64 retry_ms;

	if (tz_slice_eq_cstr(ask->kind, "run.spawn"))
		return !tz_limit_take(TZ_RATE_SPAWN, ask->platform, ask->agent, NULL, &retry_ms) &&
		       limit_refuses(TZ_RATE_SPAWN, retry_ms, why);
	if (ask->tool.data != NULL)
	{
		own = policy_rate(ask->policy);
		if (ask->run.data != NULL && !tz_limit_take(TZ_RATE_RUN, ask->platform, ask->run, &own, &retry_ms))
			return limit_refuses(TZ_RATE_RUN, retry_ms, why);
	}
	else if (!model && !tz_slice_eq_cstr(ask->kind, "compute.create"))
	{
		/* work that somebody begins; what a run does on its own was begun with it */
		if (ask->agent.data != NULL &&
		    !tz_limit_take(TZ_RATE_AGENT, ask->platform, ask->agent, NULL, &retry_ms))
			return limit_refuses(TZ_RATE_AGENT, retry_ms, why);
		if (ask->session.data != NULL &&
		    !tz_limit_take(TZ_RATE_SESSION, ask->platform, ask->session, NULL, &retry_ms))
			return limit_refuses(TZ_RATE_SESSION, retry_ms, why);
	}
	if (ask->provider.data == NULL || starts_with(ask->kind, "run."))
		return false;
	/* its turn comes: no reason to fail a run */
	if (model)
	{
		if (!tz_limit_reserve(TZ_RATE_PROVIDER, ask->platform, ask->provider, LIMIT_PUT_OFF_MS, &retry_ms))
			return limit_refuses(TZ_RATE_PROVIDER, retry_ms, why);
		why->retry_ms = retry_ms;
		return false;
	}
	return !tz_limit_take(TZ_RATE_PROVIDER, ask->platform, ask->provider, NULL, &retry_ms) &&
	       limit_refuses(TZ_RATE_PROVIDER, retry_ms, why);
}

const char *
tz_limit_message(TzRateScope scope)
{
	static const char *const messages[TZ_RATE_SCOPES] = {
		[TZ_RATE_KEY] = "too many calls with this API key",
		[TZ_RATE_PLATFORM] = "too many calls of the platform",
		[TZ_RATE_SESSION] = "too much work begun in this session",
		[TZ_RATE_AGENT] = "too much work begun by this agent",
		[TZ_RATE_RUN] = "too many tool calls of this run",
		[TZ_RATE_SPAWN] = "too many runs started by runs of this agent",
		[TZ_RATE_PROVIDER] = "too many calls to this provider",
	};

	return messages[scope];
}

/* ---- what is remembered ---------------------------------------------------------- */

/* What holds for one subject: the stricter of the operator's and the platform's, and of own; and whose bucket it is. */
static TzRate
limit_of(TzRateScope scope, TzSlice platform, TzSlice subject, const TzRate *own, uint64 *tag)
{
	LimitLast *last = &lasts[scope];
	TzRate rate;

	limit_prepare();
	if (last->known && last->platform_len == platform.len && last->subject_len == subject.len &&
	    memcmp(last->platform, platform.data, platform.len) == 0 &&
	    (subject.len == 0 || memcmp(last->subject, subject.data, subject.len) == 0))
	{
		rate = last->rate;
		*tag = last->tag;
	}
	else
	{
		bool by_subject;

		rate = limit_look_up(scope, platform, tz_slice("", 0), &by_subject);
		if (by_subject && subject.len > 0)
			rate = limit_look_up(scope, platform, subject, &by_subject);
		*tag = tz_rate_tag(scope, platform, subject);
		limit_keep(last, platform, subject, &rate, *tag);
	}
	if (own != NULL && own->per_minute > 0)
	{
		if (rate.per_minute <= 0)
			return *own;
		rate.most = Max(rate.most, own->burst);
		rate.per_minute = Min(rate.per_minute, own->per_minute);
		rate.burst = Min(rate.burst, own->burst);
	}
	return rate;
}

/* News that came while it was looked up is about it, too; in parallel mode nothing is kept. */
static void
limit_keep(LimitLast *last, TzSlice platform, TzSlice subject, const TzRate *rate, uint64 tag)
{
	last->known = false;
	if (memo_stale || IsInParallelMode() || platform.len > sizeof(last->platform) ||
	    subject.len > sizeof(last->subject))
		return;
	memcpy(last->platform, platform.data, platform.len);
	if (subject.len > 0)
		memcpy(last->subject, subject.data, subject.len);
	last->platform_len = platform.len;
	last->subject_len = subject.len;
	last->rate = *rate;
	last->tag = tag;
	last->known = true;
}

static void
limit_prepare(void)
{
	HASHCTL control = {.keysize = sizeof(LimitKey), .entrysize = sizeof(LimitMemo)};

	if (memo != NULL && !memo_stale && hash_get_num_entries(memo) < LIMIT_MEMO_MAX)
		return;
	if (memo == NULL)
		CacheRegisterRelcacheCallback(limit_table_changed, (Datum) 0);
	else
		hash_destroy(memo);
	memo = NULL;
	memset(lasts, 0, sizeof(lasts));
	memo_stale = false;
	memo_table = get_relname_relid("rate_limit", get_namespace_oid("theazo_data", false));
	control.hcxt = TopMemoryContext;
	memo = hash_create("theazo rate limits", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
limit_table_changed(Datum arg, Oid relation)
{
	(void) arg;
	if (!OidIsValid(relation) || relation == memo_table)
		memo_stale = true;
}

static TzRate
limit_look_up(TzRateScope scope, TzSlice platform, TzSlice subject, bool *by_subject)
{
	LimitKey key;
	LimitMemo *entry = NULL;
	bool keepable = platform.len <= TZ_ID_MAX && subject.len <= LIMIT_SUBJECT_MAX;
	bool found = false;
	bool kept;
	TzRate rate;

	if (keepable)
	{
		memset(&key, 0, sizeof(key));
		key.scope = (int) scope;
		memcpy(key.platform, platform.data, platform.len);
		if (subject.len > 0)
			memcpy(key.subject, subject.data, subject.len);
		entry = hash_search(memo, &key, HASH_FIND, &found);
	}
	if (found)
	{
		*by_subject = entry->by_subject;
		return entry->rate;
	}
	rate = limit_ask(scope, platform, subject, by_subject, &kept);
	/* news that came meanwhile is about this answer, too */
	if (keepable && kept && !memo_stale)
	{
		entry = hash_search(memo, &key, HASH_ENTER, &found);
		entry->rate = rate;
		entry->by_subject = *by_subject;
	}
	return rate;
}

static TzRate
limit_ask(TzRateScope scope, TzSlice platform, TzSlice subject, bool *by_subject, bool *kept)
{
	Datum values[3];
	TzRate rate = {0};
	bool isnull;
	Datum per_minute;

	values[0] = CStringGetTextDatum(tz_rate_scope_name(scope));
	values[1] = tz_text_datum(platform);
	values[2] = tz_text_datum(subject);
	*by_subject = false;
	SPI_connect();
	*kept = tz_memo_begin();
	if (tz_spi_exec(&limit_stmt, values, NULL, 1) == 1)
	{
		per_minute = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		if (!isnull)
		{
			rate.per_minute = DatumGetFloat8(per_minute);
			rate.burst = tz_spi_int32(0, 2, 1);
			rate.most = tz_spi_int32(0, 4, 1);
		}
		*by_subject = tz_spi_bool(0, 3, false);
	}
	if (*kept)
		tz_memo_end();
	SPI_finish();
	return rate;
}

/* ---- SQL ------------------------------------------------------------------------------ */

static TzRateScope
scope_argument(Datum name)
{
	TzRateScope scope;

	if (!tz_rate_scope_find(tz_datum_slice(name), &scope))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("scope \"%s\" of a rate limit is not known", TextDatumGetCString(name)));
	return scope;
}

/* theazo_internal.rate_take(scope, platform, subject): null when there was a token, else milliseconds until one comes */
THEAZO_FUNCTION(theazo_rate_take)
{
	int64 retry_ms;

	if (tz_limit_take(scope_argument(PG_GETARG_DATUM(0)), tz_datum_slice(PG_GETARG_DATUM(1)),
	                  tz_datum_slice(PG_GETARG_DATUM(2)), NULL, &retry_ms))
		PG_RETURN_NULL();
	PG_RETURN_INT64(retry_ms);
}

/* theazo_internal.rate_turn(platform, provider): milliseconds until the next model call's turn, which is taken; null when that is too far off */
THEAZO_FUNCTION(theazo_rate_turn)
{
	int64 wait_ms;

	if (!tz_limit_reserve(TZ_RATE_PROVIDER, tz_datum_slice(PG_GETARG_DATUM(0)),
	                      tz_datum_slice(PG_GETARG_DATUM(1)), LIMIT_PUT_OFF_MS, &wait_ms))
		PG_RETURN_NULL();
	PG_RETURN_INT64(wait_ms);
}
