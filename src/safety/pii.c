/*-------------------------------------------------------------------------
 *
 * pii.c
 *	  Personal data in text, by scanners that hang on a sign each of them has.
 *
 * An address has an @, everything else a run of digits. From there each scanner looks
 * a bounded way to both sides, so the time is linear in the text.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "safety/pii.h"

#define LOCAL_MAX 64
#define DOMAIN_MAX 120
#define DIGITS_MAX 34

static bool
alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80;
}

static bool
digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* --- addresses ---------------------------------------------------------------- */
static bool
email_at(TzSlice t, size_t at, TzPii *find)
{
	size_t start = at, end = at + 1, dot = 0;

	while (start > 0 && at - start < LOCAL_MAX &&
	       (alnum((unsigned char) t.data[start - 1]) || strchr("._%+-", t.data[start - 1]) != NULL) &&
	       t.data[start - 1] != '\0')
		start--;
	while (start < at && !alnum((unsigned char) t.data[start]))
		start++;
	while (end < t.len && end - at < DOMAIN_MAX &&
	       (alnum((unsigned char) t.data[end]) || t.data[end] == '.' || t.data[end] == '-'))
	{
		if (t.data[end] == '.' && end + 1 < t.len && isalpha((unsigned char) t.data[end + 1]) && end > at + 1)
			dot = end;
		end++;
	}
	/* what ends a sentence is no part of it */
	while (end > at + 1 && !alnum((unsigned char) t.data[end - 1]))
		end--;
	if (start == at || dot == 0 || end < dot + 3)
		return false;
	*find = (TzPii){start, end, TZ_PII_EMAIL};
	return true;
}

/* --- digits ------------------------------------------------------------------- */
/* A run of digits with single signs between them. */
typedef struct Run
{
	size_t start; /* with what belongs to it in front: + or ( */
	size_t end;
	char digit[DIGITS_MAX];
	int n;
	int group[12]; /* digits of each */
	char sign[12]; /* behind each */
	int groups;
	bool plus;
} Run;

static void
read_run(TzSlice t, size_t at, Run *run)
{
	size_t i = at;
	int in_group = 0;

	memset(run, 0, sizeof(*run));
	run->start = at;
	if (at > 0 && t.data[at - 1] == '(')
		run->start = --at;
	if (at > 0 && t.data[at - 1] == '+')
	{
		run->plus = true;
		run->start = at - 1;
	}
	while (i < t.len && run->n < DIGITS_MAX && run->groups < 11)
	{
		size_t next = i;
		char sign = t.data[i];

		if (digit((unsigned char) sign))
		{
			run->digit[run->n++] = sign;
			in_group++;
			i++;
			run->end = i;
			continue;
		}
		/* one sign, or one with a bracket or a blank beside it, and then digits again */
		while (next < t.len && next - i < 3 && strchr(" -./()", t.data[next]) != NULL && t.data[next] != '\0')
			next++;
		if (next == i || next >= t.len || !digit((unsigned char) t.data[next]))
			break;
		if (next - i > 1 && memchr(t.data + i, '(', next - i) == NULL &&
		    memchr(t.data + i, ')', next - i) == NULL)
			break;
		run->group[run->groups] = in_group;
		run->sign[run->groups++] = sign;
		in_group = 0;
		i = next;
	}
	run->group[run->groups++] = in_group;
}

static bool
luhn(const char *d, int n)
{
	int sum = 0;

	for (int i = 0; i < n; i++)
	{
		int v = d[n - 1 - i] - '0';

		if (i % 2 == 1)
			v = v * 2 > 9 ? v * 2 - 9 : v * 2;
		sum += v;
	}
	return sum % 10 == 0;
}

static bool
signs_are(const Run *run, const char *allowed)
{
	for (int i = 0; i + 1 < run->groups; i++)
		if (strchr(allowed, run->sign[i]) == NULL)
			return false;
	return true;
}

static bool
is_card(const Run *run)
{
	bool same = true;

	for (int i = 1; i < run->n; i++)
		same = same && run->digit[i] == run->digit[0];
	return run->n >= 13 && run->n <= 19 && !run->plus && !same && run->digit[0] >= '2' &&
	       run->digit[0] <= '6' && run->groups <= 5 && signs_are(run, " -") && luhn(run->digit, run->n);
}

static bool
is_ssn(const Run *run)
{
	return run->groups == 3 && run->group[0] == 3 && run->group[1] == 2 && run->group[2] == 4 &&
	       signs_are(run, " -") && run->sign[0] == run->sign[1] && run->digit[0] != '9' &&
	       memcmp(run->digit, "000", 3) != 0 && memcmp(run->digit, "666", 3) != 0 &&
	       memcmp(run->digit + 3, "00", 2) != 0 && memcmp(run->digit + 5, "0000", 4) != 0;
}

static bool
is_phone(const Run *run)
{
	if (run->plus)
		return run->n >= 8 && run->n <= 15 && run->digit[0] != '0';
	/* as written in North America */
	if (run->groups == 3 && run->group[0] == 3 && run->group[1] == 3 && run->group[2] == 4)
		return run->digit[0] >= '2' && run->digit[3] >= '2';
	if (run->groups == 4 && run->group[0] == 1 && run->group[1] == 3 && run->group[2] == 3 &&
	    run->group[3] == 4)
		return run->digit[0] == '1' && run->digit[1] >= '2';
	/* with a leading zero, as in most of Europe */
	return run->digit[0] == '0' && run->digit[1] != '0' && run->n >= 9 && run->n <= 12 && run->groups >= 2 &&
	       run->group[0] >= 2 && signs_are(run, " -/.") && run->group[run->groups - 1] >= 2;
}

static bool
number_at(TzSlice t, size_t at, Run *run, TzPii *find)
{
	TzPiiKind kind = TZ_PII_NONE;

	read_run(t, at, run);
	if ((run->start > 0 && alnum((unsigned char) t.data[run->start - 1])) ||
	    (run->end < t.len && alnum((unsigned char) t.data[run->end])))
		return false;
	if (is_card(run))
		kind = TZ_PII_CARD;
	else if (is_ssn(run))
		kind = TZ_PII_SSN;
	else if (is_phone(run))
		kind = TZ_PII_PHONE;
	if (kind == TZ_PII_NONE)
		return false;
	*find = (TzPii){run->start, run->end, kind};
	return true;
}

/* Two letters in front of the digits: a bank account, when its check digits are right. */
static bool
iban_at(TzSlice t, size_t at, TzPii *find)
{
	size_t start, end, n = 0;
	unsigned int rest = 0;
	char c[DIGITS_MAX + 1];

	if (at < 2 || !isupper((unsigned char) t.data[at - 1]) || !isupper((unsigned char) t.data[at - 2]))
		return false;
	start = at - 2;
	if (start > 0 && alnum((unsigned char) t.data[start - 1]))
		return false;
	for (end = start; end < t.len && n < DIGITS_MAX; end++)
	{
		unsigned char b = (unsigned char) t.data[end];

		if (b == ' ' && n >= 4 && n % 4 == 0 && end + 1 < t.len &&
		    (digit((unsigned char) t.data[end + 1]) || isupper((unsigned char) t.data[end + 1])))
			continue;
		if (!digit(b) && !(b >= 'A' && b <= 'Z'))
			break;
		c[n++] = (char) b;
	}
	/* a word in capitals behind it is none of its digits: the longest that fits */
	for (; n >= 15; n--)
	{
		rest = 0;
		for (size_t i = 0; i < n; i++)
		{
			char b = c[(i + 4) % n];

			rest = digit((unsigned char) b) ? (rest * 10 + (unsigned int) (b - '0')) % 97
			                                : (rest * 100 + (unsigned int) (b - 'A' + 10)) % 97;
		}
		if (rest == 1)
			break;
	}
	if (n < 15)
		return false;
	for (end = start; n > 0; end++)
		n -= t.data[end] != ' ';
	*find = (TzPii){start, end, TZ_PII_IBAN};
	return true;
}

/* --- both ----------------------------------------------------------------------- */
/* Bytes the processor looks at at once. */
typedef unsigned char Block __attribute__((vector_size(16)));

/* The next byte of use at or behind from: an @, or a digit. */
static size_t
next_sign(TzSlice t, size_t from)
{
	const unsigned char *s = (const unsigned char *) t.data;
	size_t i = from;

	for (; i + sizeof(Block) <= t.len; i += sizeof(Block))
	{
		Block b, use;
		uint64_t any[2];

		memcpy(&b, s + i, sizeof(b));
		use = (Block) ((Block) (b - '0') < 10) | (Block) (b == '@');
		memcpy(any, &use, sizeof(any));
		if (any[0] | any[1])
			break;
	}
	while (i < t.len && !digit(s[i]) && s[i] != '@')
		i++;
	return i;
}

bool
tz_pii_next(TzSlice t, size_t from, TzPii *find)
{
	Run run;
	size_t i = from;

	while ((i = next_sign(t, i)) < t.len)
	{
		if (t.data[i] == '@')
		{
			if (email_at(t, i, find))
			{
				find->start = find->start < from ? from : find->start;
				return true;
			}
			i++;
			continue;
		}
		/* digits of an address are found with it */
		if (iban_at(t, i, find) && find->start >= from)
			return true;
		if (number_at(t, i, &run, find) && find->start >= from)
		{
			TzPii other;
			const char *at = memchr(t.data + i, '@', t.len - i > LOCAL_MAX ? LOCAL_MAX : t.len - i);

			if (at != NULL && email_at(t, (size_t) (at - t.data), &other) && other.start <= find->start)
				*find = other;
			find->start = find->start < from ? from : find->start;
			return true;
		}
		/* the first group alone was none, and neither is what begins inside it */
		while (i < t.len && digit((unsigned char) t.data[i]))
			i++;
	}
	return false;
}

TzStatus
tz_pii_redact(TzSlice t, TzBuf *out, size_t *count)
{
	TzPii find;
	size_t at = 0;
	TzStatus status = TZ_OK;

	*count = 0;
	while (status == TZ_OK && tz_pii_next(t, at, &find))
	{
		status = tz_buf_append(out, t.data + at, find.start - at);
		if (status == TZ_OK)
			status = tz_buf_append_cstr(out, TZ_PII_MARK);
		at = find.end;
		++*count;
	}
	if (status == TZ_OK)
		status = tz_buf_append(out, t.data + at, t.len - at);
	return status;
}

const char *
tz_pii_name(TzPiiKind kind)
{
	static const char *const names[] = {"", "email", "phone", "ssn", "card", "iban"};

	return names[kind];
}
