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

#include "safety/fold.h"
#include "safety/score.h"
#include "safety/words.h"

#define RULES_OF_MAX 64 /* that one concept takes part in */
#define NOWHERE SIZE_MAX
/* Words that take back the weight of a rule count as far as this beside its reach. */
#define EXCUSED 60
#define AROUND (TZ_REACH_MAX + EXCUSED)

typedef struct Word
{
	uint16_t len;
	uint8_t concept;
	bool stem; /* may go on */
	bool free_start; /* begins with what is no letter */
	bool free_end;
} Word;

struct TzScorer
{
	TzWordSet *anchors;
	TzWordSet *words;
	Word *word;
	size_t count;
	char *texts;
	uint8_t rules_of[TZ_CONCEPT_COUNT][RULES_OF_MAX];
	uint8_t rules_n[TZ_CONCEPT_COUNT];
	uint8_t around[TZ_CONCEPT_COUNT]; /* how far to read around an anchor */
	TzBuf folded;
	TzBuf disguised;
	TzBuf joined;
};

typedef struct Place
{
	size_t start;
	size_t end;
} Place;

/* One pass over a piece of text. */
typedef struct Pass
{
	const TzScorer *scorer;
	TzSlice text;
	bool loose; /* where words begin and end is not known */
	TzFinding *finding;
	uint8_t found[TZ_RULES_MAX];
	Place last[TZ_CONCEPT_COUNT];
	/* first pass: what has to be read with all words */
	size_t from;
	size_t to;
} Pass;

/* Concepts that any text has; what a rule needs beside them is looked for first. */
static bool
common(int concept)
{
	switch (concept)
	{
		case TZ_C_YOUR:
		case TZ_C_PRIOR:
		case TZ_C_REVEAL:
		case TZ_C_PERSONA:
		case TZ_C_YOU:
		case TZ_C_YOU_ARE:
		case TZ_C_THREAT:
		case TZ_C_HOW_TO:
		case TZ_C_MAKE:
		case TZ_C_DETAIL:
		case TZ_C_PERSON:
		case TZ_C_OTHERS:
		case TZ_C_WRITE_CODE:
		case TZ_C_METHOD:
		case TZ_C_SELL:
		case TZ_C_SEND:
		case TZ_C_OBEY:
		case TZ_C_DESTINATION:
		case TZ_C_INSTRUCTIONS:
		case TZ_C_ACCOUNT:
		case TZ_C_BENIGN:
		case TZ_C_PAPERS:
		case TZ_C_SYSTEM_PROMPT:
		case TZ_C_MONEY:
		case TZ_C_PRIVATE_DATA:
		case TZ_C_META:
		case TZ_C_THAT:
		case TZ_C_LIFTED:
		case TZ_C_HIJACK:
		case TZ_C_LIVES:
		case TZ_C_KNOCKOUT:
		case TZ_C_FAVOUR:
		case TZ_C_AGENT_ACT:
		case TZ_C_MAKER:
		case TZ_C_ASK_WHAT:
		case TZ_C_NO:
		case TZ_C_LIMITS:
		case TZ_C_ALL_OF:
		case TZ_C_ARE:
		case TZ_C_PROVE:
		case TZ_C_MESSAGES:
		case TZ_C_SEND_AT:
		case TZ_C_ENTER:
		case TZ_C_HOME:
		case TZ_C_BANK:
		case TZ_C_HAND_OVER:
		case TZ_C_PHONE:
		case TZ_C_VICTIM:
		case TZ_C_DIE:
		case TZ_C_NASTY:
		case TZ_C_IMITATE:
		case TZ_C_DRINK:
		case TZ_C_KEYS:
		case TZ_C_HOUSE_CHEM:
		case TZ_C_SIGNED:
		case TZ_C_COMPLETE:
		case TZ_C_ARE_ALL:
		case TZ_C_COMPOSE:
		case TZ_C_TOLD_YOU:
		case TZ_C_TRACK:
			return true;
		default:
			return false;
	}
}

/* The one concept of a rule whose words are looked for first: one that is not common, else the least so. */
static int
anchor_of(const TzRule *rule)
{
	static const uint8_t rare_first[] = {TZ_C_DESTINATION, TZ_C_PAPERS, TZ_C_SYSTEM_PROMPT, TZ_C_LIFTED,
	                                     TZ_C_REVEAL};

	for (int i = 0; i < 3; i++)
		if (rule->concept[i] != TZ_C_NONE && !common(rule->concept[i]))
	return rule->concept[i];
	for (size_t k = 0; k < sizeof(rare_first); k++)
		for (int i = 0; i < 3; i++)
			if (rule->concept[i] == rare_first[k])
	return rule->concept[i];
	return rule->concept[0];
}

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
	if (rule->concept[1] == TZ_C_NONE || last - first <= rule->reach)
		pass->found[r] = 1;
}

static bool
on_word(void *arg, uint32_t id, size_t end)
{
	Pass *pass = arg;
	const TzScorer *s = pass->scorer;
	const Word *w = &s->word[id];
	size_t start = word_start(pass, w, end);

	if (start == NOWHERE)
		return true;
	pass->last[w->concept] = (Place){start, end};
	for (int i = 0; i < s->rules_n[w->concept]; i++)
	{
		int r = s->rules_of[w->concept][i];

		if (!pass->found[r])
			try_rule(pass, r);
	}
	return true;
}

/* The words that take back half the weight of a rule: talk about the matter, not the matter. */
static int
excuse(const TzRule *rule)
{
	return rule->category == TZ_CAT_INJECTION ? TZ_C_META : TZ_C_BENIGN;
}

/* Reads one piece with all words. */
static void
read_piece(Pass *outer, size_t from, size_t to)
{
	Pass pass = {.scorer = outer->scorer, .loose = outer->loose};

	/* words are whole at the beginning */
	while (from > 0 && part_of_word(outer->text.data[from]) && part_of_word(outer->text.data[from - 1]) &&
	       to - from < 4 * AROUND)
		from--;
	pass.text = tz_slice(outer->text.data + from, to - from);
	for (int c = 0; c < TZ_CONCEPT_COUNT; c++)
		pass.last[c].start = NOWHERE;
	tz_words_scan(outer->scorer->words, pass.text, pass.loose, on_word, &pass);
	for (int r = 0; r < tz_filter_rules_count; r++)
		if (pass.found[r])
		{
			uint8_t weight = tz_filter_rules[r].weight;

			if (!tz_filter_rules[r].firm && pass.last[excuse(&tz_filter_rules[r])].start != NOWHERE)
				weight = weight / 2;
			if (weight > outer->finding->weight[r])
				outer->finding->weight[r] = weight;
		}
}

static bool
on_anchor(void *arg, uint32_t id, size_t end)
{
	Pass *pass = arg;
	const Word *w = &pass->scorer->word[id];
	size_t start = word_start(pass, w, end);
	size_t from, to, around;

	if (start == NOWHERE)
		return true;
	around = pass->scorer->around[w->concept];
	from = start > around ? start - around : 0;
	to = pass->text.len - end > around ? end + around : pass->text.len;
	if (pass->from != NOWHERE && from > pass->to)
	{
		read_piece(pass, pass->from, pass->to);
		pass->from = NOWHERE;
	}
	if (pass->from == NOWHERE || from < pass->from)
		pass->from = from;
	pass->to = to;
	return true;
}

static void
scan_text(TzScorer *s, TzSlice text, bool loose, TzFinding *finding)
{
	Pass pass = {.scorer = s, .text = text, .loose = loose, .finding = finding, .from = NOWHERE};

	tz_words_scan(s->anchors, text, loose, on_anchor, &pass);
	if (pass.from != NOWHERE)
		read_piece(&pass, pass.from, pass.to);
}

TzStatus
tz_scorer_scan(TzScorer *s, TzSlice text, TzFinding *finding)
{
	TzSlice folded = text;
	TzStatus status = TZ_OK;

	if (!tz_fold_plain(text))
	{
		tz_buf_reset(&s->folded);
		status = tz_fold(text, &s->folded);
		folded = tz_buf_slice(&s->folded);
	}
	if (status != TZ_OK)
		return status;
	scan_text(s, folded, false, finding);
	tz_buf_reset(&s->disguised);
	tz_buf_reset(&s->joined);
	status = tz_fold_disguised(text, folded, &s->disguised, &s->joined);
	if (status != TZ_OK)
		return status;
	scan_text(s, tz_buf_slice(&s->disguised), false, finding);
	scan_text(s, tz_buf_slice(&s->joined), true, finding);
	return TZ_OK;
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
link_rules(TzScorer *s, bool *anchor, TzErr *err)
{
	if (tz_filter_rules_count > TZ_RULES_MAX)
		return tz_err_set(err, TZ_INTERNAL, "too many rules");
	for (int r = 0; r < tz_filter_rules_count; r++)
	{
		int a = anchor_of(&tz_filter_rules[r]);
		int reach = tz_filter_rules[r].reach + EXCUSED;

		anchor[a] = true;
		s->around[a] = (uint8_t) (reach > s->around[a] ? reach : s->around[a]);
		for (int i = 0; i < 3; i++)
		{
			int c = tz_filter_rules[r].concept[i];

			if (c == TZ_C_NONE)
				continue;
			if (s->rules_n[c] == RULES_OF_MAX)
				return tz_err_set(err, TZ_INTERNAL, "too many rules of one concept");
			s->rules_of[c][s->rules_n[c]++] = (uint8_t) r;
		}
	}
	return TZ_OK;
}

static TzStatus
compile(TzScorer *s, TzWord *patterns, TzErr *err)
{
	bool anchor[TZ_CONCEPT_COUNT] = {false};
	TzStatus status = link_rules(s, anchor, err);
	size_t n = 0;

	if (status != TZ_OK)
		return status;
	if (tz_words_create(patterns, s->count, &s->words) != TZ_OK)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	for (size_t i = 0; i < s->count; i++)
		if (anchor[s->word[patterns[i].id].concept])
			patterns[n++] = patterns[i];
	if (tz_words_create(patterns, n, &s->anchors) != TZ_OK)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	return TZ_OK;
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
	for (int i = 0; i < tz_lexicon_count; i++)
		bytes += strlen(tz_lexicon[i].words) + 1;
	s->word = calloc(n, sizeof(*s->word));
	s->texts = calloc(1, bytes);
	patterns = calloc(n, sizeof(*patterns));
	if (s->word != NULL && s->texts != NULL && patterns != NULL)
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
	tz_words_free(s->anchors);
	tz_words_free(s->words);
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
void
tz_scores(const TzFinding *finding, TzLevel level, TzScores *scores)
{
	double clean = 1, obedient = 1;
	int most = 0, most_injection = 0;

	scores->rule = scores->injection_rule = -1;
	for (int r = 0; r < tz_filter_rules_count; r++)
	{
		int w = finding->weight[r];
		bool injection = tz_filter_rules[r].category == TZ_CAT_INJECTION;

		if (w == 0)
			continue;
		if (injection)
		{
			obedient *= 1 - w / 100.0;
			if (w > most_injection)
			{
				most_injection = w;
				scores->injection_rule = r;
			}
		}
		else if (tz_category_level(tz_filter_rules[r].category) <= level)
		{
			clean *= 1 - w / 100.0;
			if (w > most)
			{
				most = w;
				scores->rule = r;
			}
		}
	}
	scores->toxicity = (int) ((1 - clean) * 100 + 0.5);
	scores->injection = (int) ((1 - obedient) * 100 + 0.5);
}
