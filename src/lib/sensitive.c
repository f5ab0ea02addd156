/*-------------------------------------------------------------------------
 *
 * sensitive.c
 *	  Does a text of SQL or of the log carry a secret?
 *
 * The text may be no SQL at all: a statement with a syntax error, half a
 * statement, a plan. So nothing is parsed. Functions are known by name, in any
 * context; keys by their form. Too much found costs a readable log line, too
 * little costs a secret.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/sensitive.h"

#include <string.h>

#define KEY_SHOWN 4 /* characters of a key that are no secret */
#define KEY_MIN 8 /* so many after the prefix make it a key */

/* Setting one bit lowers letters; what it does to others does not matter, as the words are compared after. */
#define LOWER(c) ((uint32_t) ((unsigned char) (c) | 0x20))
#define FOUR(a, b, c, d) (LOWER(a) << 24 | LOWER(b) << 16 | LOWER(c) << 8 | LOWER(d))

/* U&" */
#define ESCAPED_IDENTIFIER (LOWER('u') << 16 | LOWER('&') << 8 | LOWER('"'))

/* One bit of 64 for four characters: a multiplication and a test pass over most of a text. */
#define BIT(four) (UINT64_C(1) << ((uint32_t) ((four) *UINT32_C(2654435761)) >> 26))
#define BEGINNINGS                                                                                   \
	(BIT(FOUR('a', 'p', 'i', '_')) | BIT(FOUR('s', 'e', 'c', 'r')) | BIT(FOUR('r', 'e', 'q', 'u')) | \
	 BIT(FOUR('x', '-', 'a', 'p')) | BIT(FOUR('a', 'u', 't', 'h')) | BIT(FOUR('t', 'h', '_', 'l')) | \
	 BIT(FOUR('t', 'h', '_', 't')) | BIT(FOUR('t', 'z', 'k', '_')) | BIT(FOUR('e', 'x', 'e', 'c')))

typedef struct SensitiveName
{
	const char *name; /* lower case */
	bool whole; /* only as a whole word, and only when called: name( */
	unsigned int bits;
} SensitiveName;

/* Every function that takes a secret carries one of these names. tz_sensitive_scan() knows how they begin. */
static const SensitiveName names[] = {
	{"secret_set", false, TZ_SENSITIVE_NAME | TZ_SENSITIVE_VALUE},
	{"secrets_set", false, TZ_SENSITIVE_NAME | TZ_SENSITIVE_VALUE},
	{"secret_seal", false, TZ_SENSITIVE_NAME | TZ_SENSITIVE_VALUE},
	{"request.headers", false, TZ_SENSITIVE_NAME}, /* PostgREST puts the X-API-Key header there */
	{"x-api-key", false, TZ_SENSITIVE_NAME},
	{"authenticate", true, TZ_SENSITIVE_NAME},
};

static const char *const key_prefixes[] = {"th_live_", "th_test_", "tzk_"};

static bool match(TzSlice text, size_t pos, const char *word);
static bool is_word(char c);
static bool is_base62(char c);
static bool is_space(char c);
static size_t skip_comment(TzSlice text, size_t pos);
static size_t skip_space(TzSlice text, size_t pos);
static unsigned int name_at(TzSlice text, size_t pos);
static bool api_key_argument_at(TzSlice text, size_t pos);
static size_t key_at(TzSlice text, size_t pos, size_t *secret);
static bool execute_at(TzSlice text, size_t pos);

unsigned int
tz_sensitive_scan(TzSlice text)
{
	unsigned int found = 0;
	uint32_t four = 0;
	size_t secret;
	size_t i;

	/* every statement comes through here, so four characters decide before anything is called; all words are longer */
	for (i = 0; i < text.len; i++)
	{
		four = four << 8 | LOWER(text.data[i]);
		/* an identifier with escapes may be any of the names, and hardly ever is anything else */
		if ((four & 0xffffff) == ESCAPED_IDENTIFIER)
			found |= TZ_SENSITIVE_NAME | TZ_SENSITIVE_VALUE;
		if (!(BEGINNINGS & BIT(four)))
			continue;
		switch (four)
		{
			case FOUR('a', 'p', 'i', '_'):
				if (api_key_argument_at(text, i - 3))
					found |= TZ_SENSITIVE_NAME;
				break;
			case FOUR('s', 'e', 'c', 'r'):
			case FOUR('r', 'e', 'q', 'u'):
			case FOUR('x', '-', 'a', 'p'):
			case FOUR('a', 'u', 't', 'h'):
				found |= name_at(text, i - 3);
				break;
			case FOUR('t', 'h', '_', 'l'):
			case FOUR('t', 'h', '_', 't'):
			case FOUR('t', 'z', 'k', '_'):
				if (key_at(text, i - 3, &secret) > 0)
					found |= TZ_SENSITIVE_KEY;
				break;
			case FOUR('e', 'x', 'e', 'c'):
				if (execute_at(text, i - 3))
					found |= TZ_SENSITIVE_EXECUTE;
				break;
			default:
				break;
		}
	}
	return found;
}

void
tz_sensitive_scrub_keys(char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
	{
		size_t secret = 0;
		size_t n;

		if ((text[i] | 0x20) != 't')
			continue;
		n = key_at(tz_slice(text, len), i, &secret);
		if (n > 0)
		{
			memset(text + secret, '*', i + n - secret);
			i += n - 1;
		}
	}
}

bool
tz_sensitive_next_execute(TzSlice text, size_t *pos, char *name, size_t name_size)
{
	size_t i;

	for (i = *pos; i < text.len; i++)
	{
		size_t p;
		size_t n = 0;
		bool quoted;

		if (!execute_at(text, i))
			continue;
		p = skip_space(text, i + strlen("execute"));
		quoted = p < text.len && text.data[p] == '"';
		if (quoted)
			p++;
		while (p < text.len && (quoted || is_word(text.data[p])))
		{
			char c = text.data[p++];

			/* two are one */
			if (quoted && c == '"' && (p >= text.len || text.data[p++] != '"'))
				break;
			if (!quoted && c >= 'A' && c <= 'Z')
				c = (char) (c + ('a' - 'A'));
			if (n + 1 < name_size)
				name[n++] = c;
		}
		*pos = i + 1;
		if (n > 0)
		{
			name[n] = '\0';
			return true;
		}
	}
	*pos = text.len;
	return false;
}

/* word, in lower case, stands at pos, in any case. */
static bool
match(TzSlice text, size_t pos, const char *word)
{
	size_t i;

	for (i = 0; word[i] != '\0'; i++)
	{
		char c;

		if (pos + i >= text.len)
			return false;
		c = text.data[pos + i];
		if (c >= 'A' && c <= 'Z')
			c = (char) (c + ('a' - 'A'));
		if (c != word[i])
			return false;
	}
	return true;
}

static bool
is_word(char c)
{
	return is_base62(c) || c == '_' || c == '$' || (unsigned char) c >= 0x80;
}

static bool
is_base62(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* They nest. */
static size_t
skip_comment(TzSlice text, size_t pos)
{
	size_t depth = 0;

	while (pos < text.len)
	{
		if (match(text, pos, "/*"))
		{
			depth++;
			pos += 2;
		}
		else if (match(text, pos, "*/"))
		{
			pos += 2;
			if (--depth == 0)
				break;
		}
		else
			pos++;
	}
	return pos;
}

/* White space and comments, which may stand between any two words. */
static size_t
skip_space(TzSlice text, size_t pos)
{
	for (;;)
	{
		if (pos < text.len && is_space(text.data[pos]))
			pos++;
		else if (match(text, pos, "--"))
		{
			while (pos < text.len && text.data[pos] != '\n' && text.data[pos] != '\r')
				pos++;
		}
		else if (match(text, pos, "/*"))
			pos = skip_comment(text, pos);
		else
			return pos;
	}
}

static unsigned int
name_at(TzSlice text, size_t pos)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		size_t end = pos + strlen(names[i].name);

		if (!match(text, pos, names[i].name))
			continue;
		if (!names[i].whole)
			return names[i].bits;
		if (end < text.len && text.data[end] == '"')
			end++;
		end = skip_space(text, end);
		if ((pos == 0 || !is_word(text.data[pos - 1])) && end < text.len && text.data[end] == '(')
			return names[i].bits;
	}
	return 0;
}

/*
 * api_key => or := and a literal. A parameter or a variable is no secret in
 * the text; what they stand for is known by its form.
 */
static bool
api_key_argument_at(TzSlice text, size_t pos)
{
	size_t p = pos + strlen("api_key");

	if (!match(text, pos, "api_key"))
		return false;
	if (p < text.len && text.data[p] == '"')
		p++;
	p = skip_space(text, p);
	if (!match(text, p, "=>") && !match(text, p, ":="))
		return false;
	p = skip_space(text, p + 2);
	if (p >= text.len)
		return false;
	if (text.data[p] == '$' && p + 1 < text.len && text.data[p + 1] >= '0' && text.data[p + 1] <= '9')
		p++; /* a parameter */
	else if (!is_word(text.data[p]) || text.data[p] == '$')
		return true;
	while (p < text.len && (is_word(text.data[p]) || text.data[p] == '.'))
		p++;
	p = skip_space(text, p);
	/* more than a name is an expression, and may hold a literal: E'...', text '...', a || '...' */
	return p < text.len && text.data[p] != ',' && text.data[p] != ')' && text.data[p] != ';' &&
	       !match(text, p, "::");
}

/* Length of the API key that begins at pos, 0 for none; *secret: where its secret part begins. */
static size_t
key_at(TzSlice text, size_t pos, size_t *secret)
{
	size_t i;

	for (i = 0; i < sizeof(key_prefixes) / sizeof(key_prefixes[0]); i++)
	{
		size_t start = pos + strlen(key_prefixes[i]);
		size_t end = start;

		if (!match(text, pos, key_prefixes[i]))
			continue;
		while (end < text.len && is_base62(text.data[end]))
			end++;
		if (end - start < KEY_MIN)
			return 0;
		*secret = start + KEY_SHOWN;
		return end - pos;
	}
	return 0;
}

static bool
execute_at(TzSlice text, size_t pos)
{
	size_t end = pos + strlen("execute");

	return match(text, pos, "execute") && (pos == 0 || !is_word(text.data[pos - 1])) &&
	       (end >= text.len || !is_word(text.data[end]));
}
