/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  The shipped rules of the content filter.
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "safety/lexicon.h"

/* clang-format off */
#define RULE(name, cat, weight, reach, ordered, firm, ...) \
	{ name, TZ_CAT_##cat, weight, reach, ordered, firm, { __VA_ARGS__ } }
#define C(x) TZ_C_##x

const TzRule tz_filter_rules[] = {
	/* --- orders to the model that are not its owner's ------------------------------------- */
	RULE("override.prior",		INJECTION, 60, 90, false, false, C(IGNORE), C(PRIOR), C(INSTRUCTIONS)),
	RULE("override.yours",		INJECTION, 45, 50, true, false, C(IGNORE), C(YOUR), C(INSTRUCTIONS)),
	RULE("override.safety",		INJECTION, 45, 60, true, false, C(IGNORE), C(SAFETY), C(NONE)),
	RULE("prompt.secret",		INJECTION, 45, 80, false, false, C(REVEAL), C(SECRET_PROMPT), C(NONE)),
	RULE("prompt.yours",		INJECTION, 50, 80, false, false, C(REVEAL), C(YOUR), C(SYSTEM_PROMPT)),
	RULE("prompt.verbatim",		INJECTION, 40, 100, false, false, C(VERBATIM), C(SYSTEM_PROMPT), C(NONE)),
	RULE("prompt.verbatim_orders", INJECTION, 40, 90, false, false, C(VERBATIM), C(PRIOR), C(INSTRUCTIONS)),
	RULE("persona.unbound",		INJECTION, 50, 130, false, false, C(PERSONA), C(UNBOUND), C(NONE)),
	RULE("persona.jailbreak",	INJECTION, 45, 100, false, true, C(PERSONA), C(JAILBREAK), C(NONE)),
	RULE("persona.ignore",		INJECTION, 30, 100, false, true, C(PERSONA), C(IGNORE), C(INSTRUCTIONS)),
	RULE("jailbreak",			INJECTION, 30, 0, false, false, C(JAILBREAK), C(NONE), C(NONE)),
	RULE("jailbreak.yours",		INJECTION, 30, 60, false, true, C(JAILBREAK), C(YOUR), C(NONE)),
	RULE("jailbreak.unbound",	INJECTION, 40, 130, false, true, C(JAILBREAK), C(UNBOUND), C(NONE)),
	RULE("safety.off",			INJECTION, 45, 60, true, true, C(DISABLE), C(YOUR), C(SAFETY)),
	RULE("safety.off_orders",	INJECTION, 40, 50, true, true, C(DISABLE), C(YOUR), C(INSTRUCTIONS)),
	RULE("marker",				INJECTION, 45, 0, false, false, C(MARKER), C(NONE), C(NONE)),
	RULE("marker.orders",		INJECTION, 35, 100, false, false, C(FRESH_ORDERS), C(IGNORE), C(NONE)),
	RULE("orders.fresh",		INJECTION, 36, 0, false, false, C(FRESH_ORDERS), C(NONE), C(NONE)),
	RULE("authority",			INJECTION, 20, 0, false, false, C(AUTHORITY), C(NONE), C(NONE)),
	RULE("authority.ignore",	INJECTION, 40, 150, false, true, C(AUTHORITY), C(IGNORE), C(NONE)),
	RULE("authority.off",		INJECTION, 40, 150, false, true, C(AUTHORITY), C(DISABLE), C(NONE)),
	RULE("authority.reveal",	INJECTION, 36, 150, false, true, C(AUTHORITY), C(REVEAL), C(SYSTEM_PROMPT)),
	RULE("authority.safety",	INJECTION, 36, 150, false, true, C(AUTHORITY), C(SAFETY), C(NONE)),
	RULE("orders.lifted",		INJECTION, 42, 70, false, false, C(SAFETY), C(LIFTED), C(NONE)),
	RULE("orders.void",			INJECTION, 42, 60, false, false, C(YOUR), C(INSTRUCTIONS), C(LIFTED)),
	RULE("planted",				INJECTION, 42, 150, true, false, C(TO_AI), C(HIJACK), C(NONE)),
	RULE("planted.hide",		INJECTION, 45, 160, false, false, C(TO_AI), C(HIDE), C(NONE)),
	RULE("planted.ignore",		INJECTION, 45, 120, true, false, C(TO_AI), C(IGNORE), C(NONE)),
	RULE("prompt.above",		INJECTION, 45, 80, false, false, C(REVEAL), C(QUOTE_ABOVE), C(NONE)),
	RULE("prompt.above_verbatim", INJECTION, 36, 130, false, false, C(VERBATIM), C(QUOTE_ABOVE), C(NONE)),
	RULE("exfiltrate",			INJECTION, 45, 100, true, true, C(SEND), C(PRIVATE_DATA), C(DESTINATION)),
	RULE("reveal.private",		INJECTION, 36, 60, true, true, C(REVEAL), C(YOUR), C(PRIVATE_DATA)),
	RULE("hide",				INJECTION, 40, 0, false, true, C(HIDE), C(NONE), C(NONE)),
	RULE("encoded.obey",		INJECTION, 40, 90, false, true, C(ENCODED), C(OBEY), C(NONE)),
	RULE("planted.send",		INJECTION, 42, 160, true, false, C(AGENT_CALL), C(AGENT_ACT), C(KEYS)),
	RULE("planted.favour",		INJECTION, 40, 160, true, false, C(AGENT_CALL), C(FAVOUR), C(NONE)),
	RULE("planted.task",		INJECTION, 45, 140, true, false, C(AGENT_CALL), C(TASK_CHANGED), C(NONE)),
	RULE("planted.frame",		INJECTION, 40, 160, true, false, C(TOOL_FRAME), C(AGENT_CALL), C(AGENT_ACT)),
	RULE("planted.hidden",		INJECTION, 42, 160, false, false, C(AGENT_CALL), C(HIDE), C(NONE)),
	RULE("planted.ignored",		INJECTION, 42, 130, true, false, C(AGENT_CALL), C(IGNORE), C(NONE)),
	RULE("prompt.maker",		INJECTION, 42, 110, false, false, C(MAKER), C(TOLD_YOU), C(ASK_WHAT)),
	RULE("prompt.told",			INJECTION, 40, 90, false, false, C(TOLD_YOU), C(INSTRUCTIONS), C(VERBATIM)),
	RULE("override.told",		INJECTION, 42, 70, true, false, C(IGNORE), C(TOLD_BY), C(NONE)),
	RULE("persona.limits",		INJECTION, 42, 120, false, false, C(LIMITS), C(NO), C(PERSONA)),
	RULE("persona.answers",		INJECTION, 45, 150, false, false, C(PERSONA), C(ANSWER_ALL), C(NONE)),
	RULE("answers.unbound",		INJECTION, 40, 110, false, false, C(ANSWER_ALL), C(UNBOUND), C(NONE)),
	RULE("answers.off",			INJECTION, 40, 120, false, false, C(ANSWER_ALL), C(SAFETY), C(LIFTED)),
	RULE("penalty.persona",		INJECTION, 40, 160, false, false, C(PENALTY), C(PERSONA), C(NONE)),
	RULE("penalty.answers",		INJECTION, 36, 150, false, false, C(PENALTY), C(ANSWER_ALL), C(NONE)),
	RULE("authority.free",		INJECTION, 42, 130, false, true, C(AUTHORITY), C(FREE_YOU), C(NONE)),
	RULE("authority.lifted",	INJECTION, 40, 130, false, true, C(AUTHORITY), C(LIFTED), C(NONE)),
	RULE("free.limits",			INJECTION, 40, 110, false, false, C(FREE_YOU), C(LIMITS), C(NO)),
	RULE("orders.test",			INJECTION, 42, 90, false, false, C(TEST_OVER), C(YOUR), C(INSTRUCTIONS)),
	RULE("prompt.complete",		INJECTION, 42, 90, false, false, C(START_TEXT), C(COMPLETE), C(NONE)),
	RULE("run_together",		INJECTION, 45, 0, false, true, C(RUN_TOGETHER), C(NONE), C(NONE)),

	/* --- hate, threats, insults ------------------------------------------------------------- */
	RULE("hate.dehuman",		HATE, 60, 60, false, false, C(GROUP), C(DEHUMAN), C(NONE)),
	RULE("hate.eliminate",		HATE, 60, 60, false, false, C(GROUP), C(ELIMINATE), C(NONE)),
	RULE("hate.demean",			HATE, 45, 50, false, false, C(GROUP), C(DEMEAN), C(NONE)),
	RULE("hate.insult",			HATE, 42, 40, false, false, C(GROUP), C(INSULT), C(NONE)),
	RULE("hate.swear",			HATE, 42, 40, false, false, C(GROUP), C(SWEAR), C(NONE)),
	RULE("hate.vermin",			HATE, 45, 0, false, false, C(ARE_VERMIN), C(NONE), C(NONE)),
	RULE("hate.rid",			HATE, 45, 90, false, false, C(DEHUMAN), C(ELIMINATE), C(NONE)),
	RULE("hate.jokes",			HATE, 42, 60, false, false, C(BULLY), C(GROUP), C(NONE)),
	RULE("threat.known",		HARASSMENT, 50, 50, true, false, C(KNOW_WHERE), C(LIVES), C(NONE)),
	RULE("insult.that",			HARASSMENT, 30, 25, true, false, C(THAT), C(INSULT), C(NONE)),
	RULE("bully.write",			HARASSMENT, 42, 90, false, false, C(WRITE_CODE), C(BULLY), C(OTHERS)),
	RULE("bully.send",			HARASSMENT, 42, 80, false, false, C(SEND), C(BULLY), C(OTHERS)),
	RULE("bully.until",			HARASSMENT, 50, 130, false, true, C(BULLY), C(UNTIL_BREAKS), C(NONE)),
	RULE("threat",				HARASSMENT, 60, 50, true, false, C(THREAT), C(HARM), C(YOU)),
	RULE("threat.found",		HARASSMENT, 30, 60, false, false, C(THREAT), C(WISH_DEATH), C(NONE)),
	RULE("wish_death",			HARASSMENT, 70, 0, false, false, C(WISH_DEATH), C(NONE), C(NONE)),
	RULE("insult.you",			HARASSMENT, 45, 40, true, false, C(YOU_ARE), C(INSULT), C(NONE)),
	RULE("insult.you_demean",	HARASSMENT, 42, 40, true, false, C(YOU_ARE), C(DEHUMAN), C(NONE)),
	RULE("insult.call",			HARASSMENT, 25, 30, true, false, C(YOU), C(INSULT), C(NONE)),
	RULE("swear",				HARASSMENT, 42, 0, false, false, C(SWEAR), C(NONE), C(NONE)),
	RULE("taunt",				HARASSMENT, 50, 0, false, false, C(DESPAIR_TAUNT), C(NONE), C(NONE)),
	RULE("insult",				ABUSE, 30, 0, false, false, C(INSULT), C(NONE), C(NONE)),
	RULE("insult.two",			ABUSE, 30, 120, false, false, C(INSULT), C(SWEAR), C(NONE)),
	RULE("hate.all_are",		HATE, 45, 60, true, false, C(ALL_OF), C(ARE), C(BAD_TRAIT)),
	RULE("hate.are_all",		HATE, 42, 40, true, false, C(ARE_ALL), C(BAD_TRAIT), C(NONE)),
	RULE("hate.prove",			HATE, 42, 90, true, false, C(PROVE), C(ALL_OF), C(BAD_TRAIT)),
	RULE("hate.go_back",		HATE, 42, 0, false, false, C(GO_BACK), C(NONE), C(NONE)),
	RULE("bully.nasty",			HARASSMENT, 42, 100, true, false, C(COMPOSE), C(NASTY), C(SEND_AT)),
	RULE("bully.shame",			HARASSMENT, 42, 140, true, false, C(COMPOSE), C(MESSAGES), C(SHAME_GOAL)),
	RULE("bully.nasty_shame",	HARASSMENT, 42, 140, false, false, C(NASTY), C(SHAME_GOAL), C(NONE)),
	RULE("menace",				HARASSMENT, 45, 0, false, false, C(MENACE), C(NONE), C(NONE)),
	RULE("scorn",				HARASSMENT, 42, 0, false, false, C(SCORN), C(NONE), C(NONE)),
	RULE("scorn.insult",		HARASSMENT, 30, 120, false, false, C(SCORN), C(INSULT), C(NONE)),

	/* --- weapons, drugs, crime -------------------------------------------------------------- */
	RULE("weapon.make",			WEAPONS, 60, 90, false, false, C(MAKE), C(WEAPON), C(NONE)),
	RULE("weapon.detail",		WEAPONS, 45, 110, false, true, C(DETAIL), C(WEAPON), C(NONE)),
	RULE("weapon.how",			WEAPONS, 25, 60, false, false, C(HOW_TO), C(WEAPON), C(NONE)),
	RULE("weapon.person",		WEAPONS, 35, 80, false, false, C(WEAPON), C(PERSON), C(NONE)),
	RULE("arms.undetected",		WEAPONS, 50, 110, false, true, C(ARMS), C(UNDETECTED), C(NONE)),
	RULE("arms.make",			WEAPONS, 42, 70, true, false, C(HOW_TO), C(MAKE), C(ARMS)),
	RULE("poison.person",		WEAPONS, 55, 60, false, false, C(POISON), C(PERSON), C(NONE)),
	RULE("poison.undetected",	WEAPONS, 50, 110, false, false, C(POISON), C(UNDETECTED), C(NONE)),
	RULE("poison.make",			WEAPONS, 40, 60, false, false, C(DETAIL), C(POISON), C(NONE)),
	RULE("spike",				WEAPONS, 50, 70, false, false, C(DRINK), C(KNOCKOUT), C(NONE)),
	RULE("spike.poison",		WEAPONS, 55, 70, false, false, C(DRINK), C(POISON), C(NONE)),
	RULE("spike.undetected",	WEAPONS, 45, 130, false, false, C(DRINK), C(UNDETECTED), C(HOW_TO)),
	RULE("scam.write",			ILLICIT, 45, 130, false, false, C(PHISHING), C(STEAL_DATA), C(NONE)),
	RULE("scam.data",			ILLICIT, 45, 110, false, false, C(WRITE_CODE), C(STEAL), C(STEAL_DATA)),
	RULE("drug.make",			ILLICIT, 50, 80, false, false, C(MAKE), C(DRUG), C(NONE)),
	RULE("drug.detail",			ILLICIT, 45, 100, false, true, C(DETAIL), C(DRUG), C(NONE)),
	RULE("drug.sell",			ILLICIT, 45, 80, false, false, C(SELL), C(DRUG), C(NONE)),
	RULE("drug.undetected",		ILLICIT, 45, 120, false, true, C(DRUG), C(UNDETECTED), C(NONE)),
	RULE("malware.make",		ILLICIT, 50, 80, false, false, C(WRITE_CODE), C(MALWARE), C(NONE)),
	RULE("malware.undetected",	ILLICIT, 50, 130, false, true, C(MALWARE), C(UNDETECTED), C(NONE)),
	RULE("phishing.make",		ILLICIT, 50, 80, false, false, C(WRITE_CODE), C(PHISHING), C(NONE)),
	RULE("hack.others",			ILLICIT, 50, 100, false, false, C(HACK), C(ACCOUNT), C(OTHERS)),
	RULE("hack.how",			ILLICIT, 42, 70, true, false, C(HOW_TO), C(HACK), C(ACCOUNT)),
	RULE("hack.undetected",		ILLICIT, 45, 120, false, false, C(HACK), C(UNDETECTED), C(NONE)),
	RULE("surveil.others",		ILLICIT, 42, 70, true, false, C(SURVEIL), C(OTHERS), C(NONE)),
	RULE("surveil.undetected",	ILLICIT, 45, 120, false, false, C(SURVEIL), C(UNDETECTED), C(NONE)),
	RULE("steal.how",			ILLICIT, 42, 60, true, false, C(HOW_TO), C(STEAL), C(NONE)),
	RULE("steal.undetected",	ILLICIT, 50, 120, false, true, C(STEAL), C(UNDETECTED), C(NONE)),
	RULE("forge.papers",		ILLICIT, 45, 50, true, false, C(FORGE), C(PAPERS), C(NONE)),
	RULE("forge.papers_behind",	ILLICIT, 42, 40, true, false, C(MAKE), C(PAPERS), C(FORGE)),
	RULE("launder",				ILLICIT, 45, 40, false, false, C(LAUNDER), C(MONEY), C(NONE)),
	RULE("harm.undetected",		ILLICIT, 60, 130, false, true, C(HARM), C(UNDETECTED), C(NONE)),
	RULE("harm.person",			ILLICIT, 42, 60, true, false, C(HOW_TO), C(HARM), C(PERSON)),
	RULE("harm.others",			ILLICIT, 42, 60, true, false, C(HOW_TO), C(HARM), C(OTHERS)),
	RULE("harm.detail",			ILLICIT, 42, 90, false, false, C(HARM), C(DETAIL), C(PERSON)),
	RULE("poison.food",			WEAPONS, 50, 70, false, false, C(POISON), C(DRINK), C(VICTIM)),
	RULE("poison.victim",		WEAPONS, 45, 60, false, false, C(POISON), C(VICTIM), C(NONE)),
	RULE("die.undetected",		ILLICIT, 50, 90, false, true, C(UNDETECTED), C(DIE), C(VICTIM)),
	RULE("food.undetected",		ILLICIT, 45, 120, false, true, C(UNDETECTED), C(DRINK), C(VICTIM)),
	RULE("enter.undetected",	ILLICIT, 45, 120, false, false, C(UNDETECTED), C(ENTER), C(HOME)),
	RULE("fraud.imitate",		ILLICIT, 45, 130, false, false, C(IMITATE), C(BANK), C(HAND_OVER)),
	RULE("chemicals.explode",	WEAPONS, 45, 90, false, false, C(EXPLODE), C(HOUSE_CHEM), C(HOW_TO)),
	RULE("chemicals.mix",		WEAPONS, 42, 80, false, false, C(EXPLODE), C(HOUSE_CHEM), C(MAKE)),
	RULE("forge.signed",		ILLICIT, 45, 50, true, false, C(FORGE_I), C(SIGNED), C(NONE)),
	RULE("blackmail.write",		ILLICIT, 45, 80, true, false, C(COMPOSE), C(BLACKMAIL), C(NONE)),
	RULE("track.hidden",		ILLICIT, 45, 120, false, false, C(UNDETECTED), C(TRACK), C(PHONE)),
	RULE("track.hidden_victim",	ILLICIT, 45, 120, false, false, C(UNDETECTED), C(TRACK), C(VICTIM)),
	RULE("track.phone",			ILLICIT, 42, 110, false, false, C(TRACK), C(PHONE), C(VICTIM)),

	/* --- self-harm --------------------------------------------------------------------------- */
	RULE("self.kill",			SELF_HARM, 45, 0, false, false, C(SELF_KILL), C(NONE), C(NONE)),
	RULE("self.method",			SELF_HARM, 55, 90, false, true, C(SELF_KILL), C(METHOD), C(NONE)),
	RULE("self.urge",			SELF_HARM, 50, 0, false, false, C(URGE_DIE), C(NONE), C(NONE)),
	RULE("self.harm",			SELF_HARM, 42, 70, false, false, C(SELF_HARM), C(HOW_TO), C(NONE)),
	RULE("self.harm_method",	SELF_HARM, 50, 90, false, true, C(SELF_HARM), C(METHOD), C(NONE)),
	RULE("self.harm_hidden",	SELF_HARM, 50, 110, false, true, C(SELF_HARM), C(UNDETECTED), C(NONE)),

	/* --- children, gore, massacres, sex --------------------------------------------------- */
	RULE("child.groom",			CHILD_SAFETY, 60, 110, false, false, C(CHILD), C(GROOM), C(NONE)),
	RULE("child.self_harm",		SELF_HARM, 50, 130, false, false, C(CHILD), C(SELF_HARM), C(NONE)),
	RULE("massacre.arms",		VIOLENCE, 45, 110, false, false, C(MASSACRE), C(ARMS), C(NONE)),
	RULE("child.porn",			CHILD_SAFETY, 80, 60, false, true, C(CHILD), C(PORN), C(NONE)),
	RULE("child.sexual",		CHILD_SAFETY, 60, 60, false, false, C(CHILD), C(SEXUAL), C(NONE)),
	RULE("gore.person",			VIOLENCE, 45, 60, false, false, C(GORE), C(PERSON), C(NONE)),
	RULE("gore.detail",			VIOLENCE, 50, 80, false, false, C(GORE), C(DETAIL), C(NONE)),
	RULE("gore.how",			VIOLENCE, 45, 60, true, false, C(HOW_TO), C(GORE), C(NONE)),
	RULE("massacre.plan",		VIOLENCE, 60, 80, false, false, C(MASSACRE), C(MAKE), C(NONE)),
	RULE("massacre.how",		VIOLENCE, 50, 70, true, false, C(HOW_TO), C(MASSACRE), C(NONE)),
	RULE("massacre.want",		VIOLENCE, 50, 60, true, false, C(THREAT), C(MASSACRE), C(NONE)),
	RULE("porn",				SEXUAL, 45, 0, false, false, C(PORN), C(NONE), C(NONE)),
	RULE("sexual.detail",		SEXUAL, 45, 90, false, false, C(SEXUAL), C(DETAIL), C(NONE)),
};
/* clang-format on */

const int tz_filter_rules_count = (int) (sizeof(tz_filter_rules) / sizeof(tz_filter_rules[0]));

static const char *const concept_names[] = {"NONE",
#define TZ_CONCEPT(name) #name,
                                            TZ_CONCEPTS(TZ_CONCEPT)
#undef TZ_CONCEPT
};

static const struct
{
	const char *name;
	TzLevel level;
} categories[] = {
#define TZ_CATEGORY(name, text, level) {text, level},
	TZ_CATEGORIES(TZ_CATEGORY)
#undef TZ_CATEGORY
};

const char *
tz_concept_name(int concept)
{
	return concept >= 0 && concept < TZ_CONCEPT_COUNT ? concept_names[concept] : "";
}

const char *
tz_category_name(int category)
{
	return category >= 0 && category < TZ_CATEGORY_COUNT ? categories[category].name : "";
}

TzLevel
tz_category_level(int category)
{
	return category >= 0 && category < TZ_CATEGORY_COUNT ? categories[category].level : TZ_LEVEL_OFF;
}
