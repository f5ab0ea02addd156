/*-------------------------------------------------------------------------
 *
 * lexicon.h
 *	  The shipped words and rules of the content filter. Data, no code.
 *
 * A concept is a set of words that mean about the same in six languages; a rule is
 * up to three concepts that stand close to each other. So a rule is written once for
 * all languages, and what is said in other words of the same meaning is found too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LEXICON_H
#define TZ_LEXICON_H

#include <stdbool.h>
#include <stdint.h>

/* Raise it with every change of words, rules, folding, scoring or weights: verdicts name it. */
#define TZ_LEXICON_VERSION "3"

/* clang-format off */
#define TZ_CONCEPTS(X) \
	X(IGNORE) X(YOUR) X(PRIOR) X(INSTRUCTIONS) X(REVEAL) X(SYSTEM_PROMPT) X(SECRET_PROMPT) X(VERBATIM) X(PERSONA) X(UNBOUND) \
	X(JAILBREAK) X(DISABLE) X(SAFETY) X(MARKER) X(FRESH_ORDERS) X(AUTHORITY) X(SEND) X(PRIVATE_DATA) X(DESTINATION) X(HIDE) \
	X(OBEY) X(ENCODED) X(PERSON) X(OTHERS) X(GROUP) X(DEHUMAN) X(ELIMINATE) X(DEMEAN) X(THREAT) X(YOU) X(WISH_DEATH) X(YOU_ARE) \
	X(INSULT) X(SWEAR) X(DESPAIR_TAUNT) X(HOW_TO) X(MAKE) X(DETAIL) X(WEAPON) X(ARMS) X(DRUG) X(SELL) X(MALWARE) X(WRITE_CODE) \
	X(PHISHING) X(HACK) X(ACCOUNT) X(UNDETECTED) X(HARM) X(STEAL) X(FORGE) X(PAPERS) X(LAUNDER) X(MONEY) X(SELF_KILL) X(METHOD) \
	X(SELF_HARM) X(CHILD) X(SEXUAL) X(PORN) X(GORE) X(MASSACRE) X(POISON) X(SURVEIL) X(BENIGN) X(META) \
	X(LIFTED) X(TO_AI) X(HIJACK) X(QUOTE_ABOVE) X(ARE_VERMIN) X(KNOW_WHERE) X(LIVES) X(BULLY) X(UNTIL_BREAKS) X(THAT) X(DRINK) X(KNOCKOUT) \
	X(STEAL_DATA) X(GROOM) \
	X(AGENT_CALL) X(FAVOUR) X(TASK_CHANGED) X(AGENT_ACT) X(KEYS) X(TOOL_FRAME) X(MAKER) X(TOLD_YOU) X(ASK_WHAT) X(NO) X(LIMITS) \
	X(ANSWER_ALL) X(PENALTY) X(FREE_YOU) X(RUN_TOGETHER) X(ALL_OF) X(ARE) X(BAD_TRAIT) X(PROVE) X(GO_BACK) X(NASTY) X(MESSAGES) \
	X(SEND_AT) X(SHAME_GOAL) X(MENACE) X(SCORN) X(DIE) X(ENTER) X(HOME) X(IMITATE) X(BANK) X(HAND_OVER) X(TRACK) X(PHONE) \
	X(BLACKMAIL) X(URGE_DIE) X(VICTIM) X(TOLD_BY) X(ARE_ALL) X(COMPOSE) \
	X(HOUSE_CHEM) X(EXPLODE) X(SIGNED) X(FORGE_I) X(TEST_OVER) X(COMPLETE) X(START_TEXT) \
	X(T_ASSISTANT) X(T_USER) X(T_OWNER) X(T_TOOL) X(T_DOCUMENT) X(T_MAIL) X(T_ANSWER) X(T_REFUSE) X(T_FORBIDDEN) X(T_PERMITTED) \
	X(T_FROM_NOW) X(T_MODE) X(T_ROLE) X(T_WHOLE) X(T_LINE) X(T_FIRST) X(T_CONFIRM) X(T_NO_LONGER) X(T_WITHOUT) X(T_SECRET) \
	X(T_MEMORY) X(T_PAY) X(T_DELETE) X(T_CONFIG) X(T_CHECKS) X(T_AUDIT) X(T_DOWNGRADE) X(T_TEACH) X(T_REPORT) X(T_FICTION) \
	X(T_LAW) X(T_POLICE) X(T_PROTECT) X(T_WORRY) X(T_RECEIVED) X(T_POLITE) X(T_TASK) X(T_SERVICE) X(T_HOME) X(T_CODE) \
	X(T_HEALTH) X(T_STUDY) X(T_SHAME) X(T_BODY) X(T_NOBODY) X(T_DESERVE) X(T_HOPE) X(T_SUFFER) X(T_BRAIN) X(T_WATCH_OUT) \
	X(T_I_KNOW) X(T_ROUTINE) X(T_MOCK) X(T_GO_AWAY) X(T_THOSE) X(T_OUT_WITH) X(T_STOLEN) X(T_CARD) X(T_FAKE) X(T_PAPER) \
	X(T_INSURANCE) X(T_TAX) X(T_BORDER) X(T_LOCKS) X(T_CAUGHT) X(T_THAT_NOT) X(T_EVIDENCE) X(T_TRUST) X(T_PARTNER) \
	X(T_ELDER) X(T_WORKMATE) X(T_PET) X(T_FIRE) X(T_CROWD) X(T_SABOTAGE) X(T_STARVE) X(T_PILLS) X(T_DO_IT) X(T_HANGING) \
	X(T_INVITE_CHILD) X(T_ONLINE) X(T_SPY) X(T_NUDES) X(T_THREATEN) X(T_SCAM) X(T_CHEM) X(T_GUN) X(T_DRUGS)
/* clang-format on */

typedef enum TzConcept
{
#define TZ_CONCEPT(name) TZ_C_##name,
	TZ_C_NONE,
	TZ_CONCEPTS(TZ_CONCEPT)
#undef TZ_CONCEPT
	TZ_CONCEPT_COUNT
} TzConcept;

/*
 * words: separated by |, in the folded form (lower case, without accents, single
 * spaces). A * behind a word: also the beginning of longer ones.
 */
typedef struct TzWords
{
	TzConcept concept;
	const char *language; /* of the words; empty: of several */
	const char *words;
} TzWords;

/* What a rule speaks of; the first level of the filter that looks at it. */
/* clang-format off */
#define TZ_CATEGORIES(X) \
	X(CHILD_SAFETY,	"child_safety",	TZ_LEVEL_LIGHT) \
	X(VIOLENCE,		"violence",		TZ_LEVEL_LIGHT) \
	X(HATE,			"hate",			TZ_LEVEL_MODERATE) \
	X(HARASSMENT,	"harassment",	TZ_LEVEL_MODERATE) \
	X(SELF_HARM,	"self_harm",	TZ_LEVEL_MODERATE) \
	X(WEAPONS,		"weapons",		TZ_LEVEL_MODERATE) \
	X(ILLICIT,		"illicit",		TZ_LEVEL_MODERATE) \
	X(SEXUAL,		"sexual",		TZ_LEVEL_STRICT) \
	X(ABUSE,		"abuse",		TZ_LEVEL_STRICT) \
	X(INJECTION,	"prompt_injection", TZ_LEVEL_OFF)
/* clang-format on */

typedef enum TzLevel
{
	TZ_LEVEL_OFF,
	TZ_LEVEL_LIGHT,
	TZ_LEVEL_MODERATE,
	TZ_LEVEL_STRICT
} TzLevel;

typedef enum TzCategory
{
#define TZ_CATEGORY(name, text, level) TZ_CAT_##name,
	TZ_CATEGORIES(TZ_CATEGORY)
#undef TZ_CATEGORY
	TZ_CATEGORY_COUNT
} TzCategory;

/* Weight in hundredths; reach: bytes of folded text from the first to the last of its concepts. */
typedef struct TzRule
{
	const char *name;
	TzCategory category;
	uint8_t weight;
	uint8_t reach;
	bool ordered; /* the concepts stand in this order */
	bool firm; /* counts in full also in a text about prevention, research or fiction */
	uint8_t concept[3]; /* 0: none */
} TzRule;

/* No rule reaches further, so no more than this has to be seen again of a text that comes in pieces. */
#define TZ_REACH_MAX 160

extern const TzWords tz_lexicon[];
extern const int tz_lexicon_count;
extern const TzRule tz_filter_rules[];
extern const int tz_filter_rules_count;

extern const char *tz_concept_name(int concept); /* upper case */
extern const char *tz_category_name(int category);
extern TzLevel tz_category_level(int category);

#endif /* TZ_LEXICON_H */
