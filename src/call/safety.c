/*-------------------------------------------------------------------------
 *
 * safety.c
 *	  The content filter as SQL sees it.
 *
 * The shipped rules are compiled once, by the postmaster, and every process has them
 * by being forked. The rows of a platform are compiled once per process and again when
 * one of them has changed. Whatever goes wrong on the way throws: a text that was not
 * read to its end has no verdict.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "call/safety.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/memo.h"
#include "pg/spi.h"
#include "safety/pii.h"

#define PLATFORMS_KEPT 16
#define PLATFORM_MAX 64
#define VERSION_MAX 40

/* What was read and compiled of one platform's rows. */
typedef struct Laid
{
	uint64 generation; /* of the memo; 0: nothing here */
	char platform[PLATFORM_MAX];
	char version[VERSION_MAX];
	TzExtra *extra; /* NULL: no rows */
} Laid;

static TzScorer *shipped = NULL;
static TzErr shipped_err;
static Laid laid[PLATFORMS_KEPT];

static const Laid *safety_laid(TzSlice platform);
static TZ_NORETURN void safety_failed(TzStatus status);

void
tz_safety_init(void)
{
	TzErr err;

	tz_err_clear(&err);
	if (tz_safety_scorer(&err) == NULL)
		ereport(WARNING, errmsg("the content filter cannot be used: %s", err.message),
		        errdetail("Whatever it would have to pass is blocked."));
}

TzScorer *
tz_safety_scorer(TzErr *err)
{
	if (shipped == NULL && tz_scorer_create(&shipped, &shipped_err) != TZ_OK)
	{
		shipped = NULL;
		*err = shipped_err;
	}
	return shipped;
}

bool
tz_safety_stream(const char *platform, const char *level, bool injection, bool pii, TzGuard *guard,
                 TzScorer **scorer, TzExtra **extra)
{
	const Laid *found = NULL;
	TzErr err;

	*extra = NULL;
	if (!tz_level_parse(level, &guard->level))
		return false;
	guard->injection = injection;
	guard->pii = pii;
	*scorer = tz_safety_scorer(&err);
	if (*scorer == NULL)
		return false;
	if (guard->level == TZ_LEVEL_OFF && !injection)
		return true;
	/* the claim that brought this call has read them */
	for (int i = 0; i < PLATFORMS_KEPT && found == NULL; i++)
		if (laid[i].generation != 0 && strcmp(laid[i].platform, platform) == 0)
			found = &laid[i];
	if (found == NULL)
		return false;
	*extra = found->extra;
	if (*extra != NULL)
		(*extra)->refs++;
	return true;
}

void
tz_safety_release(TzExtra *extra)
{
	tz_extra_free(extra);
}

/* ----------------------------------------------------------------------------
 * Rows laid over the shipped rules
 * ----------------------------------------------------------------------------
 */
static const Laid *
safety_find(TzSlice platform, uint64 generation, Laid **free_slot)
{
	uint32 hash = 0;

	for (size_t i = 0; i < platform.len; i++)
		hash = hash * 31 + (unsigned char) platform.data[i];
	*free_slot = &laid[hash % PLATFORMS_KEPT];
	if ((*free_slot)->generation == generation && tz_slice_eq_cstr(platform, (*free_slot)->platform))
		return *free_slot;
	return NULL;
}

/* Compiles the rows of the last statement. */
static TzStatus
safety_compile(uint64 n, TzExtra **out, TzErr *err)
{
	TzExtra *extra = calloc(1, sizeof(*extra));
	TzPattern *patterns = palloc0(sizeof(TzPattern) * n);
	TzStatus status;

	if (extra == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	extra->refs = 1;
	extra->rules = calloc(n, sizeof(*extra->rules));
	if (extra->rules == NULL)
	{
		tz_extra_free(extra);
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	extra->n = n;
	for (uint64 i = 0; i < n; i++)
	{
		const char *category = tz_spi_text(i, 3);

		strlcpy(extra->rules[i].id, tz_spi_text(i, 1), sizeof(extra->rules[i].id));
		extra->rules[i].category = category != NULL ? tz_category_parse(category) : -1;
		extra->rules[i].weight = (uint8_t) tz_spi_int32(i, 4, 100);
		patterns[i] = (TzPattern){(uint32_t) i, tz_spi_text(i, 2)};
		if (extra->rules[i].category < 0)
		{
			tz_extra_free(extra);
			return tz_err_set(err, TZ_INTERNAL, "pattern \"%s\" has no category", tz_spi_text(i, 1));
		}
	}
	status = tz_matcher_expressions(patterns, n, &extra->matcher, err);
	if (status != TZ_OK)
	{
		tz_extra_free(extra);
		return status;
	}
	*out = extra;
	return TZ_OK;
}

/* What stands in the verdicts: the version of the shipped rules and, where rows are laid over them, a digest of these. */
static void
safety_version(uint64 n, char *out)
{
	pg_cryptohash_ctx *ctx;
	uint8 digest[PG_SHA256_DIGEST_LENGTH];

	strlcpy(out, TZ_LEXICON_VERSION, VERSION_MAX);
	if (n == 0)
		return;
	ctx = pg_cryptohash_create(PG_SHA256);
	if (ctx == NULL || pg_cryptohash_init(ctx) < 0)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	for (uint64 i = 0; i < n; i++)
		for (int col = 1; col <= 4; col++)
		{
			char *text = col == 4 ? psprintf("%d", tz_spi_int32(i, 4, 0)) : tz_spi_text(i, col);

			if (pg_cryptohash_update(ctx, (uint8 *) text, strlen(text) + 1) < 0)
				ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("the filter's rows cannot be hashed"));
		}
	if (pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("the filter's rows cannot be hashed"));
	pg_cryptohash_free(ctx);
	snprintf(out, VERSION_MAX, "%s+%02x%02x%02x%02x", TZ_LEXICON_VERSION, digest[0], digest[1], digest[2],
	         digest[3]);
}

/* The rows of a platform, compiled; throws when they cannot be read. */
static const Laid *
safety_laid(TzSlice platform)
{
	static TzStmt stmt = {
		"SELECT r.name, r.pattern, r.category, r.weight FROM theazo_internal.safety_rows($1) r",
		1,
		{TEXTOID},
		NULL};
	uint64 generation = tz_memo_generation();
	Laid *slot;
	const Laid *found = safety_find(platform, generation, &slot);
	TzExtra *extra = NULL;
	char version[VERSION_MAX];
	TzStatus status = TZ_OK;
	TzErr err;
	Datum arg;
	uint64 n;

	if (found != NULL)
		return found;
	if (platform.len >= PLATFORM_MAX || !tz_memo_begin())
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		        errmsg("the content filter cannot be read here"),
		        errhint("Do not call it in a parallel query."));
	arg = tz_text_datum(platform);
	tz_err_clear(&err);
	SPI_connect();
	n = tz_spi_exec(&stmt, &arg, NULL, 0);
	safety_version(n, version);
	if (n > 0)
		status = safety_compile(n, &extra, &err);
	SPI_finish();
	tz_memo_end();
	if (status != TZ_OK)
		tz_throw(&err);
	tz_safety_release(slot->extra);
	slot->extra = extra;
	memcpy(slot->platform, platform.data, platform.len);
	slot->platform[platform.len] = '\0';
	strlcpy(slot->version, version, sizeof(slot->version));
	slot->generation = generation;
	return slot;
}

/* ----------------------------------------------------------------------------
 * SQL
 * ----------------------------------------------------------------------------
 */
static void
safety_failed(TzStatus status)
{
	ereport(ERROR, errcode(status == TZ_NOMEM ? ERRCODE_OUT_OF_MEMORY : ERRCODE_INTERNAL_ERROR),
	        errmsg("a text could not be checked: %s", tz_status_name(status)),
	        errhint("What was not checked is blocked. The server's log may say more."));
}

static TzScorer *
safety_scorer(void)
{
	TzErr err;
	TzScorer *scorer;

	tz_err_clear(&err);
	scorer = tz_safety_scorer(&err);
	if (scorer == NULL)
		tz_throw(&err);
	return scorer;
}

/* safety_scan(platform, text, level, injection, pii): what is found, as a document */
THEAZO_FUNCTION(theazo_safety_scan)
{
	TzSlice platform = tz_datum_slice(PG_GETARG_DATUM(0));
	TzSlice body = tz_datum_slice(PG_GETARG_DATUM(1));
	char *level = text_to_cstring(PG_GETARG_TEXT_PP(2));
	TzGuard guard = {TZ_LEVEL_OFF, PG_GETARG_BOOL(3), PG_GETARG_BOOL(4), 0};
	TzEvidence *evidence = palloc0(sizeof(*evidence));
	const Laid *rows = safety_laid(platform);
	TzJudgement verdict;
	TzPii find;
	bool pii;
	TzStatus status;
	StringInfoData doc;

	if (!tz_level_parse(level, &guard.level))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no level \"%s\"", level),
		        errhint("Use off, light, moderate or strict."));
	status = tz_guard_read(safety_scorer(), rows->extra, &guard, body, evidence);
	if (status != TZ_OK)
		safety_failed(status);
	tz_guard_judge(rows->extra, &guard, evidence, &verdict);
	pii = guard.pii && tz_pii_next(body, 0, &find);
	initStringInfo(&doc);
	appendStringInfo(&doc,
	                 "{\"blocked\": %s, \"toxicity\": %d.%02d, \"injection\": %d.%02d, \"version\": \"%s\"",
	                 verdict.blocked ? "true" : "false", verdict.toxicity / 100, verdict.toxicity % 100,
	                 verdict.injection / 100, verdict.injection % 100, rows->version);
	if (verdict.blocked)
	{
		appendStringInfo(&doc, ", \"category\": \"%s\", \"rule\": ", verdict.category);
		escape_json(&doc, verdict.rule);
	}
	if (pii)
		appendStringInfo(&doc, ", \"pii\": \"%s\"", tz_pii_name(find.kind));
	appendStringInfoChar(&doc, '}');
	pfree(evidence);
	return tz_jsonb_datum(tz_slice(doc.data, doc.len));
}

/* safety_why(text, injection): the phrases that weigh most for an injection, or for a toxic or harmful text */
THEAZO_FUNCTION(theazo_safety_why)
{
	TzSlice text = tz_datum_slice(PG_GETARG_DATUM(0));
	TzWhy why[TZ_WHY_MAX];
	size_t n = 0;
	StringInfoData doc;
	TzStatus status = tz_scorer_explain(safety_scorer(), text, PG_GETARG_BOOL(1), why, TZ_WHY_MAX, &n);

	if (status != TZ_OK)
		safety_failed(status);
	initStringInfo(&doc);
	appendStringInfoChar(&doc, '[');
	for (size_t i = 0; i < n; i++)
	{
		appendStringInfo(&doc, "%s{\"phrase\": ", i > 0 ? ", " : "");
		escape_json(&doc, why[i].text);
		appendStringInfo(&doc, ", \"weight\": %d.%02d}", why[i].weight / 100, why[i].weight % 100);
	}
	appendStringInfoChar(&doc, ']');
	return tz_jsonb_datum(tz_slice(doc.data, doc.len));
}

/* safety_redact(text): personal data replaced */
THEAZO_FUNCTION(theazo_safety_redact)
{
	TzSlice text = tz_datum_slice(PG_GETARG_DATUM(0));
	TzBuf out;
	size_t count;
	TzStatus status;
	Datum result;

	tz_buf_init(&out, MaxAllocSize - VARHDRSZ - 1);
	status = tz_pii_redact(text, &out, &count);
	if (status != TZ_OK)
	{
		tz_buf_wipe(&out);
		safety_failed(status);
	}
	PG_TRY();
	{
		result = tz_text_datum(tz_buf_slice(&out));
	}
	PG_FINALLY();
	{
		tz_buf_wipe(&out);
	}
	PG_END_TRY();
	PG_RETURN_DATUM(result);
}

/* safety_pattern_why(patterns): why a set of expressions cannot be used, or null */
THEAZO_FUNCTION(theazo_safety_pattern_why)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum *values;
	bool *nulls;
	int n;
	TzPattern *patterns;
	TzMatcher *matcher = NULL;
	TzErr err;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	patterns = palloc0(sizeof(TzPattern) * (n + 1));
	for (int i = 0; i < n; i++)
		patterns[i] = (TzPattern){(uint32_t) i, nulls[i] ? "" : TextDatumGetCString(values[i])};
	tz_err_clear(&err);
	if (tz_matcher_expressions(patterns, (size_t) n, &matcher, &err) != TZ_OK)
		PG_RETURN_TEXT_P(cstring_to_text(err.message));
	tz_matcher_free(matcher);
	PG_RETURN_NULL();
}

/* safety_rules(): the shipped rules */
THEAZO_FUNCTION(theazo_safety_rules)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < tz_filter_rules_count; i++)
	{
		const TzRule *rule = &tz_filter_rules[i];
		Datum concepts[3];
		int n = 0;
		Datum values[7];
		bool nulls[7] = {false};

		while (n < 3 && rule->concept[n] != TZ_C_NONE)
		{
			concepts[n] = CStringGetTextDatum(tz_concept_name(rule->concept[n]));
			n++;
		}
		values[0] = CStringGetTextDatum(rule->name);
		values[1] = CStringGetTextDatum(tz_category_name(rule->category));
		values[2] = Int32GetDatum(rule->weight);
		values[3] = PointerGetDatum(construct_array(concepts, n, TEXTOID, -1, false, TYPALIGN_INT));
		values[4] = Int32GetDatum(rule->reach);
		values[5] = BoolGetDatum(rule->ordered);
		values[6] = BoolGetDatum(rule->firm);
		tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* safety_words(): the words the shipped rules are made of */
THEAZO_FUNCTION(theazo_safety_words)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < tz_lexicon_count; i++)
	{
		Datum values[3];
		bool nulls[3] = {false};

		values[0] = CStringGetTextDatum(tz_concept_name(tz_lexicon[i].concept));
		values[1] = CStringGetTextDatum(tz_lexicon[i].language);
		values[2] = CStringGetTextDatum(tz_lexicon[i].words);
		tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* safety_version(): of the shipped rules */
THEAZO_FUNCTION(theazo_safety_version)
{
	PG_RETURN_TEXT_P(cstring_to_text(TZ_LEXICON_VERSION));
}

/*
 * verdict_append(platform, root, environment, session, agent, run, stage, status, tool, type, category, rule,
 * version, toxicity, injection, reason, text hash, delivered hash, judge, its toxicity, its injection)
 */
THEAZO_FUNCTION(theazo_verdict_append)
{
	static TzAppend verdicts = {
		"safety_verdict",
		23,
		{"platform_id",     "root_id",   "environment",    "session_id", "agent_id",
	     "run_id",          "stage",     "status",         "tool",       "type",
	     "category",        "rule",      "version",        "toxicity",   "injection",
	     "reason",          "text_hash", "delivered_hash", "judge",      "judge_toxicity",
	     "judge_injection", "id",        "created_at"},
		NULL};
	Datum values[23];
	bool nulls[23];
	char id[TZ_ID_MAX + 1];

	for (int i = 0; i < 21; i++)
	{
		nulls[i] = PG_ARGISNULL(i);
		values[i] = nulls[i] ? (Datum) 0 : PG_GETARG_DATUM(i);
	}
	tz_id_new("vrd", id);
	nulls[21] = nulls[22] = false;
	values[21] = CStringGetTextDatum(id);
	values[22] = TimestampTzGetDatum(GetCurrentTimestamp());
	tz_append(&verdicts, values, nulls);
	PG_RETURN_DATUM(values[21]);
}
