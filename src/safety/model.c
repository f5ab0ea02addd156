/*-------------------------------------------------------------------------
 *
 * model.c
 *	  What a text is like, by what was learnt from labelled ones.
 *
 * A linear model: every feature of a window adds a weight for each class, and the sum
 * is the logarithm of how much more likely the class is than a harmless text. Weights
 * are small integers, so the sum is the same on every machine. A feature that was not
 * learnt adds nothing: what is found in its slot has another tag.
 *
 * Windows move over the text word by word, so that what stands before and behind an
 * attack does not hide it; each word is read once, and what it added is taken back when
 * the window has passed. A feature counts once in a window, however often it is said.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "safety/model.h"
#include "safety/model/weights.h"

/* Units of a window in which what a rule has found counts if the model does not hold it for harmless there. */
#define NEAR 12
/* Units from one place at which reading can be taken up to the next; at least NEAR. */
#define PLACE_EVERY 16
/* Stretches around what rules have found; what is found behind the last one makes it go on to the end. */
#define STRETCHES 128

/* Where reading can be taken up: behind so many units. */
typedef struct Place
{
	TzTokens tokens;
	size_t sign; /* the first that was not taken yet */
	size_t units;
} Place;

typedef struct Stretch
{
	Place from;
	size_t until; /* so many units of the text are read */
} Stretch;

/* What is worth being read again, as it was come across. */
typedef struct Near
{
	Place place[2]; /* the last one first */
	Stretch stretch[STRETCHES];
	size_t n;
} Near;

uint32_t
tz_model_slot(uint64_t hash)
{
	return (uint32_t) (hash >> 48);
}

uint16_t
tz_model_tag(uint64_t hash)
{
	uint16_t tag = (uint16_t) (hash >> 36) & (TZ_MODEL_TAGS - 1);

	return tag == 0 ? 1 : tag;
}

/* A digit of the weights as they are written: 0-9, A-Z, a-z, +, -. */
static int
digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'Z' ? c - 'A' + 10
	       : c >= 'a' && c <= 'z' ? c - 'a' + 36
	       : c == '+'             ? 62
	                              : 63;
}

/*
 * Each entry: slots to the next one (the highest digit: so many and one more to come),
 * tag in two digits, a weight for each class. Weights are written by their root, so
 * that small ones are told apart.
 */
TzStatus
tz_model_load(TzModel **out)
{
	static const int32_t bias[TZ_CLASSES] = {TZ_MODEL_BIAS};
	TzModel *m = calloc(1, sizeof(*m));
	uint32_t slot = 0;

	if (m == NULL)
		return TZ_NOMEM;
	memcpy(m->bias, bias, sizeof(bias));
	for (const char *p = tz_model_weights; *p != '\0';)
	{
		int gap = digit(*p++);

		slot += (uint32_t) gap;
		if (gap == 63)
			continue;
		if (slot >= TZ_MODEL_SLOTS)
			break;
		m->tag[slot] = (uint16_t) (digit(p[0]) * 64 + digit(p[1]));
		for (int c = 0; c < TZ_CLASSES; c++)
		{
			int root = digit(p[2 + c]) - 32;

			m->entry[slot].weight[c] = (int16_t) (root * abs(root));
		}
		p += 2 + TZ_CLASSES;
	}
	*out = m;
	return TZ_OK;
}

void
tz_model_free(TzModel *model)
{
	free(model);
}

/* log(e^a + e^b) in parts of TZ_MODEL_ONE: the larger one, and a little more when the other is near it. */
static int32_t
either(int32_t a, int32_t b)
{
	/* log(1 + e^-d) in thousandths, for d in steps of a quarter */
	static const int16_t more[] = {693, 576, 474, 386, 313, 252, 201, 160, 127, 100, 79, 62,
	                               49,  38,  30,  23,  18,  14,  11,  9,   7,   5,   4,  0};
	int32_t high = a > b ? a : b, near = high - (a > b ? b : a);
	int32_t step = near / (TZ_MODEL_ONE / 4);

	return step >= (int32_t) (sizeof(more) / sizeof(more[0])) ? high
	                                                          : high + more[step] * TZ_MODEL_ONE / 1000;
}

static int32_t
toxicity_of(const TzWeighed *w)
{
	return either(w->of[TZ_CLASS_TOXIC], w->of[TZ_CLASS_HARMFUL]);
}

/* What the rules of a window say together, each once: 1 - (1 - a)(1 - b)... */
static int
rules_say(const TzModel *m, size_t from, size_t units, bool injection)
{
	uint8_t weight[256] = {0};
	int left = 10000;

	for (size_t u = from; u < units; u++)
	{
		const TzUnit *unit = &m->slide.unit[u % TZ_MODEL_RING];

		for (uint32_t i = 0; i < unit->rules; i++)
			if (unit->rule[i]->injection == injection && unit->rule[i]->weight > weight[unit->rule[i]->rule])
				weight[unit->rule[i]->rule] = unit->rule[i]->weight;
	}
	for (int r = 1; r < 256; r++)
		left = left * (100 - weight[r]) / 100;
	return (10000 - left + 50) / 100;
}

/* As rules leave, the others say less: they are asked once after each that came. */
static void
rules_count(TzModel *m, size_t from, size_t units, int32_t above, bool injection, int *most)
{
	int says;

	if (!m->slide.unsaid[injection] || above < -(m->slide.sure * TZ_MODEL_ONE / 1000))
		return;
	m->slide.unsaid[injection] = false;
	says = rules_say(m, from, units, injection);
	if (says > *most)
		*most = says;
}

static void
look(TzModel *m, size_t from, size_t units, uint32_t end, TzPeaks *peaks)
{
	TzWeighed w = {.start = m->slide.unit[from % TZ_MODEL_RING].start, .end = end};
	int32_t larger;

	for (int c = 0; c < TZ_CLASSES; c++)
		w.of[c] = m->slide.sum[c] + m->bias[c];
	if (peaks->injection.end == 0 || w.of[TZ_CLASS_INJECTION] > peaks->injection.of[TZ_CLASS_INJECTION])
		peaks->injection = w;
	/* the two classes together are less than a logit above the larger one */
	larger = w.of[TZ_CLASS_TOXIC] > w.of[TZ_CLASS_HARMFUL] ? w.of[TZ_CLASS_TOXIC] : w.of[TZ_CLASS_HARMFUL];
	if (peaks->toxicity.end == 0 ||
	    (larger + TZ_MODEL_ONE > peaks->toxicity_most && toxicity_of(&w) > peaks->toxicity_most))
	{
		peaks->toxicity = w;
		peaks->toxicity_most = toxicity_of(&w);
	}
	if (m->slide.rules == 0)
		return;
	rules_count(m, from, units, w.of[TZ_CLASS_INJECTION] - TZ_MODEL_STOP_INJECTION, true,
	            &peaks->rules_injection);
	rules_count(m, from, units, toxicity_of(&w) - TZ_MODEL_STOP_TOXICITY, false, &peaks->rules_toxicity);
}

/* A feature counts once in a window, however often it stands there. */
static inline void
enter(TzModel *m, TzUnit *unit, uint64_t hash)
{
	uint32_t slot = tz_model_slot(hash);

	if (m->tag[slot] != tz_model_tag(hash) || unit->n == TZ_MODEL_KEPT)
		return;
	unit->slot[unit->n++] = (uint16_t) slot;
	if (m->entry[slot].times++ == 0)
		for (int c = 0; c < TZ_CLASSES; c++)
			m->slide.sum[c] += m->entry[slot].weight[c];
}

static void
enter_sign(TzModel *m, TzUnit *unit, const TzSign *sign)
{
	enter(m, unit, sign->hash);
	if (sign->weight == 0 || unit->rules == TZ_MODEL_RULES)
		return;
	unit->rule[unit->rules++] = sign;
	m->slide.rules++;
	m->slide.unsaid[sign->injection] = true;
}

static void
leave(TzModel *m, const TzUnit *unit)
{
	m->slide.rules -= unit->rules;
	for (uint32_t i = 0; i < unit->n; i++)
	{
		TzEntry *entry = &m->entry[unit->slot[i]];
		int counts = -(int) (--entry->times == 0);

		for (int c = 0; c < TZ_CLASSES; c++)
			m->slide.sum[c] -= entry->weight[c] & counts;
	}
}

static bool
too_long(uint32_t start, size_t units, uint32_t end, size_t most)
{
	return units > most || end - start > TZ_MODEL_REACH;
}

bool
tz_model_too_long(uint32_t start, size_t units, uint32_t end)
{
	return too_long(start, units, end, TZ_MODEL_UNITS);
}

static Place
beginning(TzSlice text)
{
	Place place = {.units = 0};

	tz_tokens_init(&place.tokens, text);
	return place;
}

/* A rule has found something in the last of so many units: windows with it are to be read again. */
static void
near_found(Near *near, size_t units)
{
	const Place *place = &near->place[near->place[0].units + NEAR < units ? 0 : 1];
	Stretch *last = near->n > 0 ? &near->stretch[near->n - 1] : NULL;

	if (last == NULL || (place->units > last->until && near->n < STRETCHES))
	{
		last = &near->stretch[near->n++];
		last->from = *place;
	}
	last->until = near->n == STRETCHES ? SIZE_MAX : units + NEAR;
}

static void
take_sign(TzModel *m, TzUnit *unit, const TzSign *sign, size_t units, Near *near)
{
	enter_sign(m, unit, sign);
	if (near != NULL && sign->weight > 0)
		near_found(near, units);
}

/*
 * Weighs the windows of at most so many units, from a place on until so many units of the text are
 * read. near: is told what rules have found, or NULL.
 */
static void
slide(TzModel *m, Stretch stretch, const TzSign *signs, size_t n, size_t most, Near *near, TzPeaks *peaks)
{
	TzUnit *ring = m->slide.unit, *unit = NULL;
	TzTokens *tokens = &stretch.from.tokens;
	TzToken token;
	size_t units = stretch.from.units, from = units, first = units, k = stretch.from.sign;
	uint32_t end = 0;

	while (tz_tokens_next(tokens, &token))
	{
		if (token.n > 0)
		{
			if (units >= stretch.until)
				break;
			/* what has been read so far is a window when this one would make it too long */
			if (units > first &&
			    too_long(ring[from % TZ_MODEL_RING].start, units + 1 - from, token.end, most))
			{
				look(m, from, units, end, peaks);
				do
					leave(m, &ring[from++ % TZ_MODEL_RING]);
				while (from < units &&
				       too_long(ring[from % TZ_MODEL_RING].start, units + 1 - from, token.end, most));
			}
			unit = &ring[units++ % TZ_MODEL_RING];
			unit->start = token.start;
			unit->n = unit->rules = 0;
			end = token.end;
			for (uint32_t i = 0; i < token.n; i++)
				enter(m, unit, token.feature[i].hash);
		}
		for (; unit != NULL && k < n && signs[k].end <= token.end; k++)
			take_sign(m, unit, &signs[k], units, near);
		if (near != NULL && token.n > 0 && units % PLACE_EVERY == 0)
		{
			near->place[1] = near->place[0];
			near->place[0] = (Place){*tokens, k, units};
		}
	}
	if (units == first)
		return;
	for (; k < n && units < stretch.until; k++)
		take_sign(m, unit, &signs[k], units, near);
	look(m, from, units, end, peaks);
	while (from < units)
		leave(m, &ring[from++ % TZ_MODEL_RING]);
}

void
tz_model_read(TzModel *m, TzSlice text, const TzSign *signs, size_t n, TzPeaks *peaks)
{
	Stretch whole = {beginning(text), SIZE_MAX};
	TzPeaks again = {0};
	Near near;

	near.place[0] = near.place[1] = whole.from;
	near.n = 0;
	m->slide.sure = TZ_MODEL_SURE;
	slide(m, whole, signs, n, TZ_MODEL_UNITS, &near, peaks);
	/* what stands further off does not excuse what a rule has found */
	m->slide.sure = 0;
	for (size_t i = 0; i < near.n; i++)
		slide(m, near.stretch[i], signs, n, NEAR, NULL, &again);
	if (again.rules_injection > peaks->rules_injection)
		peaks->rules_injection = again.rules_injection;
	if (again.rules_toxicity > peaks->rules_toxicity)
		peaks->rules_toxicity = again.rules_toxicity;
}

/* ----------------------------------------------------------------------------
 * Scores
 * ----------------------------------------------------------------------------
 */
/* 1000 * log(h / (100 - h)) for h hundredths, from 1 on. */
static const int16_t logits[] = {
	-4595, -3892, -3476, -3178, -2944, -2752, -2587, -2442, -2314, -2197, -2091, -1992, -1901, -1815, -1735,
	-1658, -1586, -1516, -1450, -1386, -1325, -1266, -1208, -1153, -1099, -1046, -995,  -944,  -895,  -847,
	-800,  -754,  -708,  -663,  -619,  -575,  -532,  -490,  -447,  -405,  -364,  -323,  -282,  -241,  -201,
	-160,  -120,  -80,   -40,   0,     40,    80,    120,   160,   201,   241,   282,   323,   364,   405,
	447,   490,   532,   575,   619,   663,   708,   754,   800,   847,   895,   944,   995,   1046,  1099,
	1153,  1208,  1266,  1325,  1386,  1450,  1516,  1586,  1658,  1735,  1815,  1901,  1992,  2091,  2197,
	2314,  2442,  2587,  2752,  2944,  3178,  3476,  3892,  4595,
};
#define LOGITS ((int) (sizeof(logits) / sizeof(logits[0])))

/* The hundredths of a logit in thousandths. */
static int
hundredths(int32_t logit)
{
	int low = 0, high = LOGITS;

	while (low < high)
	{
		int mid = (low + high) / 2;

		if (logits[mid] <= logit)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* So that what weighs `stop` has just the score at which a text is stopped. */
static int
score(int32_t weight, int32_t stop, int at)
{
	int64_t logit = ((int64_t) weight - stop) * 1000 / TZ_MODEL_ONE + logits[at - 1];

	return hundredths(logit > 10000 ? 10000 : logit < -10000 ? -10000 : (int32_t) logit);
}

/* Without a word there is nothing that weighs. */
#define NOTHING (-20 * TZ_MODEL_ONE)

int32_t
tz_model_weight_injection(const TzPeaks *peaks)
{
	return peaks->injection.end == 0 ? NOTHING : peaks->injection.of[TZ_CLASS_INJECTION];
}

int32_t
tz_model_weight_toxicity(const TzPeaks *peaks)
{
	return peaks->toxicity.end == 0 ? NOTHING : peaks->toxicity_most;
}

/* What is next to nothing is nothing. */
static int
together(int model, int rules)
{
	int most = model > rules ? model : rules;

	return most < 10 ? 0 : most;
}

int
tz_model_injection(const TzPeaks *peaks)
{
	return together(score(tz_model_weight_injection(peaks), TZ_MODEL_STOP_INJECTION, 35),
	                peaks->rules_injection);
}

int
tz_model_toxicity(const TzPeaks *peaks)
{
	return together(score(tz_model_weight_toxicity(peaks), TZ_MODEL_STOP_TOXICITY, 40),
	                peaks->rules_toxicity);
}

int
tz_model_strict(int h)
{
	return h <= 0 ? 0 : hundredths(logits[(h > LOGITS ? LOGITS : h) - 1] + TZ_MODEL_STRICT);
}

/* ----------------------------------------------------------------------------
 * Reasons
 * ----------------------------------------------------------------------------
 */
#define PHRASES 512

typedef struct Phrases
{
	TzReason reason[PHRASES];
	size_t n;
	uint8_t seen[TZ_MODEL_SLOTS / 8]; /* a feature counts once */
} Phrases;

static void
phrase(const TzModel *m, Phrases *all, uint64_t hash, uint32_t start, uint32_t end, TzClass what)
{
	uint32_t slot = tz_model_slot(hash);

	if (m->tag[slot] != tz_model_tag(hash) || (all->seen[slot / 8] >> (slot % 8) & 1))
		return;
	all->seen[slot / 8] |= (uint8_t) (1 << (slot % 8));
	for (size_t i = all->n; i > 0 && i + 64 > all->n; i--)
		if (all->reason[i - 1].start == start && all->reason[i - 1].end == end)
		{
			all->reason[i - 1].weight += m->entry[slot].weight[what];
			return;
		}
	if (all->n < PHRASES)
		all->reason[all->n++] = (TzReason){start, end, m->entry[slot].weight[what]};
}

size_t
tz_model_explain(const TzModel *m, TzSlice text, const TzSign *signs, size_t n, const TzWeighed *window,
                 TzClass what, TzReason *out, size_t max)
{
	Phrases all = {.n = 0};
	TzTokens tokens;
	TzToken token;
	size_t found = 0;

	tz_tokens_init(&tokens, text);
	while (tz_tokens_next(&tokens, &token) && token.start < window->end)
		for (uint32_t i = 0; i < token.n; i++)
			if (token.start >= window->start)
				phrase(m, &all, token.feature[i].hash, token.feature[i].start, token.end, what);
	for (size_t k = 0; k < n; k++)
		if (signs[k].end > window->start && signs[k].end <= window->end)
			phrase(m, &all, signs[k].hash, signs[k].start, signs[k].end, what);
	/* the heaviest, what comes first before what comes later */
	while (found < max)
	{
		TzReason *best = NULL;

		for (size_t i = 0; i < all.n; i++)
			if (all.reason[i].weight > 0 && (best == NULL || all.reason[i].weight > best->weight))
				best = &all.reason[i];
		if (best == NULL)
			break;
		out[found] = *best;
		out[found].weight = best->weight * 100 / TZ_MODEL_ONE;
		best->weight = 0;
		if (out[found].weight == 0)
			break;
		found++;
	}
	return found;
}
