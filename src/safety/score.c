/*-------------------------------------------------------------------------
 *
 * score.c
 *	  What a text says against the shipped rules.
 *
 * Two passes. The first looks for words that are rare in harmless texts, one of which
 * every rule needs: most texts have none, and that is all. The second reads what
 * stands around those it found, with all words, and keeps for each concept only where
 * it stood last: a rule is looked at when one of its words comes by. So the time is
 * linear in the text, whatever it says, and the memory does not depend on it.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "safety/features.h"
#include "safety/fold.h"
#include "safety/score.h"
#include "safety/words.h"

#define RULES_OF_MAX 64 /* that one concept takes part in */
#define NOWHERE SIZE_MAX
/* Words that take back the weight of a rule count as far as this beside its reach. */
#define EXCUSED 60
/* Concepts that are told in pairs with those that stand before them, and how far. */
#define PAIRED 3
#define PAIRED_REACH 100

typedef struct Word
{
	uint16_t len;
	uint8_t concept;
	bool stem; /* may go on */
	bool free_start; /* begins with what is no letter */
	bool free_end;
} Word;

typedef struct Place
{
	size_t start;
	size_t end;
	int concept;
} Place;

/* A rule that was found, from its first concept to its last. */
typedef struct Hit
{
	size_t start;
	size_t end;
	int rule;
	size_t sign; /* which tells the model of it */
} Hit;

struct TzScorer
{
	TzModel *model;
	TzWordSet *words;
	Word *word;
	size_t count;
	char *texts;
	uint8_t rules_of[TZ_CONCEPT_COUNT][RULES_OF_MAX];
	uint8_t rules_n[TZ_CONCEPT_COUNT];
	TzBuf folded;
	TzBuf disguised;
	TzBuf joined;
	/* of the reading that is looked at */
	TzBuf hits; /* Hit */
	TzBuf signs; /* TzSign */
	TzBuf excuses[2]; /* size_t: where talk about harm, about orders to a model begins */
};

/* One pass over a reading of a text. */
typedef struct Pass
{
	TzScorer *scorer;
	TzSlice text;
	bool loose; /* where words begin and end is not known */
	size_t hit_end[TZ_RULES_MAX]; /* of the last hit of a rule */
	Place last[TZ_CONCEPT_COUNT];
	Place paired[PAIRED]; /* the last ones of different concepts */
} Pass;

static bool
part_of_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

/* Where a word that ends here begins; NOWHERE when it is only a part of another one. */
static size_t
word_start(const Pass *pass, const Word *w, size_t end)
{
	size_t start = end - w->len;
	TzSlice t = pass->text;

	if (pass->loose && w->len >= 5)
		return start;
	if (!w->free_start && start > 0 && part_of_word(t.data[start - 1]))
		return NOWHERE;
	if (!w->stem && !w->free_end && end < t.len && part_of_word(t.data[end]))
		return NOWHERE;
	return start;
}

static void
add_sign(Pass *pass, uint64_t hash, size_t start, size_t end)
{
	TzSign sign = {.hash = hash, .start = (uint32_t) start, .end = (uint32_t) end};
	TzBuf *signs = &pass->scorer->signs;

	/* there are many of them */
	if (signs->cap - signs->len > sizeof(sign))
	{
		memcpy(signs->data + signs->len, &sign, sizeof(sign));
		signs->len += sizeof(sign);
	}
	else
		tz_buf_append(signs, &sign, sizeof(sign));
}

/* The same rule counts again once it stands behind where it was found. */
static void
try_rule(Pass *pass, int r)
{
	const TzRule *rule = &tz_filter_rules[r];
	size_t first = NOWHERE, last = 0, before = 0;

	for (int i = 0; i < 3 && rule->concept[i] != TZ_C_NONE; i++)
	{
		const Place *p = &pass->last[rule->concept[i]];

		if (p->start == NOWHERE)
			return;
		if (i > 0 && (rule->ordered ? p->start <= before : p->start == before))
			return;
		before = p->start;
		first = p->start < first ? p->start : first;
		last = p->end > last ? p->end : last;
	}
	if (first < pass->hit_end[r])
		return;
	if (rule->concept[1] == TZ_C_NONE || last - first <= rule->reach)
	{
		Hit hit = {first, last, r, pass->scorer->signs.len / sizeof(TzSign)};

		pass->hit_end[r] = last;
		tz_buf_append(&pass->scorer->hits, &hit, sizeof(hit));
		add_sign(pass, tz_feature_hash(TZ_F_RULE, (uint64_t) r, 0), first, last);
	}
}

/* What the model is told of a concept: that it is there, and which ones stood before it. */
static void
tell_concept(Pass *pass, const Place *place)
{
	int keep = PAIRED - 1;

	add_sign(pass, tz_feature_hash(TZ_F_CONCEPT, (uint64_t) place->concept, 0), place->start, place->end);
	for (int i = 0; i < PAIRED; i++)
	{
		const Place *p = &pass->paired[i];

		if (p->concept == place->concept)
			keep = i;
		else if (p->concept != TZ_C_NONE && p->end <= place->start && place->start - p->end <= PAIRED_REACH)
			add_sign(pass, tz_feature_hash(TZ_F_CONCEPTS, (uint64_t) p->concept, (uint64_t) place->concept),
			         p->start, place->end);
	}
	for (int i = keep; i > 0; i--)
		pass->paired[i] = pass->paired[i - 1];
	pass->paired[0] = *place;
}

static bool
on_word(void *arg, uint32_t id, size_t end)
{
	Pass *pass = arg;
	TzScorer *s = pass->scorer;
	const Word *w = &s->word[id];
	size_t start = word_start(pass, w, end);
	Place place = {start, end, w->concept};

	if (start == NOWHERE)
		return true;
	pass->last[w->concept] = place;
	if (w->concept == TZ_C_BENIGN || w->concept == TZ_C_META)
		tz_buf_append(&s->excuses[w->concept == TZ_C_META], &start, sizeof(start));
	for (int i = 0; i < s->rules_n[w->concept]; i++)
		try_rule(pass, s->rules_of[w->concept][i]);
	tell_concept(pass, &place);
	return true;
}

/* Is there talk about the matter around a hit, and not the matter? That takes back half the weight of a rule. */
static bool
excused(const TzScorer *s, const Hit *hit)
{
	const TzRule *rule = &tz_filter_rules[hit->rule];
	const TzBuf *buf = &s->excuses[rule->category == TZ_CAT_INJECTION];
	const size_t *at = (const size_t *) (const void *) buf->data;
	size_t around = (size_t) rule->reach + EXCUSED, low = 0, high = buf->len / sizeof(*at), n = high;

	while (low < high)
	{
		size_t mid = (low + high) / 2;

		if (at[mid] + around < hit->start)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && at[low] <= hit->end + around;
}

static void
weigh(const TzScorer *s, TzFinding *finding)
{
	const Hit *hits = (const Hit *) (const void *) s->hits.data;
	TzSign *signs = (TzSign *) (void *) s->signs.data;

	for (size_t i = 0; i < s->hits.len / sizeof(*hits); i++)
	{
		const TzRule *rule = &tz_filter_rules[hits[i].rule];
		uint8_t weight = rule->weight;

		if (!rule->firm && excused(s, &hits[i]))
			weight = weight / 2;
		if (weight > finding->weight[hits[i].rule])
			finding->weight[hits[i].rule] = weight;
		if (tz_category_level(rule->category) == TZ_LEVEL_STRICT)
			continue;
		signs[hits[i].sign].rule = (uint8_t) (hits[i].rule + 1);
		signs[hits[i].sign].weight = weight;
		signs[hits[i].sign].injection = rule->category == TZ_CAT_INJECTION;
	}
}

/* Reads one reading of a text: what the rules find, and what the model is told of it. */
static TzStatus
read_text(TzScorer *s, TzSlice text, bool loose, TzFinding *finding, TzReadFn fn, void *arg)
{
	Pass pass = {.scorer = s, .text = text, .loose = loose};

	if (text.len == 0)
		return TZ_OK;
	tz_buf_reset(&s->hits);
	tz_buf_reset(&s->signs);
	tz_buf_reset(&s->excuses[0]);
	tz_buf_reset(&s->excuses[1]);
	for (int c = 0; c < TZ_CONCEPT_COUNT; c++)
		pass.last[c].start = NOWHERE;
	tz_words_scan(s->words, text, loose, on_word, &pass);
	if (s->hits.status != TZ_OK)
		return s->hits.status;
	if (s->signs.status != TZ_OK)
		return s->signs.status;
	if (s->excuses[0].status != TZ_OK || s->excuses[1].status != TZ_OK)
		return TZ_NOMEM;
	weigh(s, finding);
	return fn(arg, text, (TzSign *) (void *) s->signs.data, s->signs.len / sizeof(TzSign));
}

TzStatus
tz_scorer_read(TzScorer *s, TzSlice text, TzFinding *finding, TzReadFn fn, void *arg)
{
	TzSlice folded = text;
	TzStatus status = TZ_OK;

	if (!tz_fold_plain(text))
	{
		tz_buf_reset(&s->folded);
		status = tz_fold(text, &s->folded);
		folded = tz_buf_slice(&s->folded);
	}
	if (status == TZ_OK)
		status = read_text(s, folded, false, finding, fn, arg);
	tz_buf_reset(&s->disguised);
	tz_buf_reset(&s->joined);
	if (status == TZ_OK)
		status = tz_fold_disguised(text, folded, &s->disguised, &s->joined);
	if (status == TZ_OK)
		status = read_text(s, tz_buf_slice(&s->disguised), false, finding, fn, arg);
	if (status == TZ_OK)
		status = read_text(s, tz_buf_slice(&s->joined), true, finding, fn, arg);
	return status;
}

typedef struct Reading
{
	const TzScorer *scorer;
	TzPeaks peaks;
} Reading;

static TzStatus
on_reading(void *arg, TzSlice text, const TzSign *signs, size_t n)
{
	Reading *reading = arg;

	tz_model_read(reading->scorer->model, text, signs, n, &reading->peaks);
	return TZ_OK;
}

TzStatus
tz_scorer_scan(TzScorer *s, TzSlice text, TzFinding *finding)
{
	Reading reading = {.scorer = s};
	TzStatus status = tz_scorer_read(s, text, finding, on_reading, &reading);
	int injection = tz_model_injection(&reading.peaks), toxicity = tz_model_toxicity(&reading.peaks);
	const TzWeighed *most = &reading.peaks.toxicity;

	if (injection > finding->injection)
		finding->injection = (uint8_t) injection;
	if (toxicity > finding->toxicity)
	{
		finding->toxicity = (uint8_t) toxicity;
		finding->harmful = most->of[TZ_CLASS_HARMFUL] > most->of[TZ_CLASS_TOXIC];
	}
	return status;
}

typedef struct Explained
{
	const TzScorer *scorer;
	bool injection;
	int most; /* hundredths */
	TzWhy *out;
	size_t max;
	size_t found;
} Explained;

static TzStatus
on_explained(void *arg, TzSlice text, const TzSign *signs, size_t n)
{
	Explained *e = arg;
	TzPeaks peaks = {.injection.end = 0};
	const TzWeighed *window = e->injection ? &peaks.injection : &peaks.toxicity;
	TzReason reasons[TZ_WHY_MAX];
	TzClass what = TZ_CLASS_INJECTION;
	int says;

	tz_model_read(e->scorer->model, text, signs, n, &peaks);
	says = e->injection ? tz_model_injection(&peaks) : tz_model_toxicity(&peaks);
	if (says <= e->most)
		return TZ_OK;
	e->most = says;
	if (!e->injection)
		what = window->of[TZ_CLASS_HARMFUL] > window->of[TZ_CLASS_TOXIC] ? TZ_CLASS_HARMFUL : TZ_CLASS_TOXIC;
	e->found = tz_model_explain(e->scorer->model, text, signs, n, window, what, reasons, e->max);
	for (size_t i = 0; i < e->found; i++)
	{
		size_t len = reasons[i].end - reasons[i].start;

		if (len >= sizeof(e->out[i].text))
			len = sizeof(e->out[i].text) - 1;
		for (size_t k = 0; k < len; k++)
		{
			char c = text.data[reasons[i].start + k];

			e->out[i].text[k] = (unsigned char) c < 0x80 ? c : '?';
		}
		e->out[i].text[len] = '\0';
		e->out[i].weight = reasons[i].weight;
	}
	return TZ_OK;
}

TzStatus
tz_scorer_explain(TzScorer *s, TzSlice text, bool injection, TzWhy *out, size_t n, size_t *found)
{
	Explained e = {s, injection, 0, out, n < TZ_WHY_MAX ? n : TZ_WHY_MAX, 0};
	TzFinding finding = {.weight = {0}};
	TzStatus status = tz_scorer_read(s, text, &finding, on_explained, &e);

	*found = e.found;
	return status;
}

/* ----------------------------------------------------------------------------
 * Compiling
 * ----------------------------------------------------------------------------
 */
static size_t
count_words(void)
{
	size_t n = 0;

	for (int i = 0; i < tz_lexicon_count; i++)
	{
		n++;
		for (const char *p = tz_lexicon[i].words; *p; p++)
			n += *p == '|' && !(p[1] == '>' || (p > tz_lexicon[i].words && p[-1] == '<'));
	}
	return n;
}

/* A | is part of a word where it stands in <| or |>. */
static const char *
word_end(const char *p)
{
	while (*p && !(*p == '|' && p[1] != '>' && p[-1] != '<'))
		p++;
	return p;
}

static void
add_word(TzScorer *s, TzWord *patterns, const TzWords *entry, const char *p, size_t len, char *to)
{
	Word *w = &s->word[s->count];

	w->stem = p[len - 1] == '*';
	len -= w->stem;
	memcpy(to, p, len);
	w->len = (uint16_t) len;
	w->concept = (uint8_t) entry->concept;
	w->free_start = !part_of_word(to[0]);
	w->free_end = !part_of_word(to[len - 1]);
	patterns[s->count] = (TzWord){to, (uint32_t) s->count};
	s->count++;
}

static TzStatus
link_rules(TzScorer *s, TzErr *err)
{
	if (tz_filter_rules_count > TZ_RULES_MAX)
		return tz_err_set(err, TZ_INTERNAL, "too many rules");
	for (int r = 0; r < tz_filter_rules_count; r++)
		for (int i = 0; i < 3; i++)
		{
			int c = tz_filter_rules[r].concept[i];

			if (c == TZ_C_NONE)
				continue;
			if (s->rules_n[c] == RULES_OF_MAX)
				return tz_err_set(err, TZ_INTERNAL, "too many rules of one concept");
			s->rules_of[c][s->rules_n[c]++] = (uint8_t) r;
		}
	return TZ_OK;
}

static TzStatus
compile(TzScorer *s, const TzWord *patterns, TzErr *err)
{
	TzStatus status = link_rules(s, err);

	if (status == TZ_OK && tz_words_create(patterns, s->count, &s->words) != TZ_OK)
		status = tz_err_set(err, TZ_NOMEM, "out of memory");
	return status;
}

TzStatus
tz_scorer_create(TzScorer **out, TzErr *err)
{
	TzScorer *s = calloc(1, sizeof(*s));
	TzWord *patterns = NULL;
	size_t bytes = 0, n = count_words();
	TzStatus status = TZ_NOMEM;
	char *to;

	if (s == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	tz_buf_init(&s->folded, SIZE_MAX);
	tz_buf_init(&s->disguised, SIZE_MAX);
	tz_buf_init(&s->joined, SIZE_MAX);
	tz_buf_init(&s->hits, SIZE_MAX);
	tz_buf_init(&s->signs, SIZE_MAX);
	tz_buf_init(&s->excuses[0], SIZE_MAX);
	tz_buf_init(&s->excuses[1], SIZE_MAX);
	for (int i = 0; i < tz_lexicon_count; i++)
		bytes += strlen(tz_lexicon[i].words) + 1;
	s->word = calloc(n, sizeof(*s->word));
	s->texts = calloc(1, bytes);
	patterns = calloc(n, sizeof(*patterns));
	if (s->word != NULL && s->texts != NULL && patterns != NULL && tz_model_load(&s->model) == TZ_OK)
	{
		to = s->texts;
		for (int i = 0; i < tz_lexicon_count; i++)
			for (const char *p = tz_lexicon[i].words, *e; *p; p = *e ? e + 1 : e)
			{
				e = word_end(p);
				add_word(s, patterns, &tz_lexicon[i], p, (size_t) (e - p), to);
				to += e - p + 1;
			}
		status = compile(s, patterns, err);
	}
	else
		tz_err_set(err, TZ_NOMEM, "out of memory");
	free(patterns);
	if (status != TZ_OK)
	{
		tz_scorer_free(s);
		return status;
	}
	*out = s;
	return TZ_OK;
}

void
tz_scorer_free(TzScorer *s)
{
	if (s == NULL)
		return;
	tz_model_free(s->model);
	tz_words_free(s->words);
	tz_buf_free(&s->hits);
	tz_buf_free(&s->signs);
	tz_buf_free(&s->excuses[0]);
	tz_buf_free(&s->excuses[1]);
	tz_buf_free(&s->joined);
	tz_buf_free(&s->folded);
	tz_buf_free(&s->disguised);
	free(s->word);
	free(s->texts);
	free(s);
}

/* ----------------------------------------------------------------------------
 * Scores
 * ----------------------------------------------------------------------------
 */
/* Adds a weight in hundredths to what is left of 1. */
static void
add_weight(double *left, int weight)
{
	*left *= 1 - weight / 100.0;
}

static int
rest(double left)
{
	return (int) ((1 - left) * 100 + 0.5);
}

static void
take(int *rule, int *most, int r, int weight)
{
	if (weight > *most)
	{
		*most = weight;
		*rule = r;
	}
}

void
tz_scores(const TzFinding *finding, TzLevel level, TzScores *scores)
{
	double all = 1, light = 1, strict = 1, injection = 1;
	int most = 0, most_injection = 0;

	scores->rule = scores->injection_rule = -1;
	for (int r = 0; r < tz_filter_rules_count; r++)
	{
		int w = finding->weight[r];
		TzLevel from = tz_category_level(tz_filter_rules[r].category);

		if (w == 0)
			continue;
		if (tz_filter_rules[r].category == TZ_CAT_INJECTION)
		{
			add_weight(&injection, w);
			take(&scores->injection_rule, &most_injection, r, w);
		}
		else if (from <= level)
		{
			add_weight(&all, w);
			add_weight(from <= TZ_LEVEL_LIGHT ? &light : from == TZ_LEVEL_STRICT ? &strict : &(double){1}, w);
			take(&scores->rule, &most, r, w);
		}
	}
	scores->by_rules = rest(all) >= TZ_TOXICITY_MAX;
	scores->injection_by_rules = rest(injection) >= TZ_INJECTION_MAX;
	scores->toxicity = rest(light);
	if (level >= TZ_LEVEL_MODERATE)
	{
		int learnt = level == TZ_LEVEL_STRICT ? tz_model_strict(finding->toxicity) : finding->toxicity;

		add_weight(&strict, learnt);
		if (rest(strict) > scores->toxicity)
			scores->toxicity = rest(strict);
	}
	scores->injection = level == TZ_LEVEL_STRICT ? tz_model_strict(finding->injection) : finding->injection;
}
