/*-------------------------------------------------------------------------
 *
 * pattern.c
 *	  Patterns that name tools, paths and hosts in a platform's rules.
 *
 * One matcher with two kinds of star, without recursion: after a mismatch it goes
 * back to the last star of each kind and lets it take one character more. A "*"
 * cannot take a slash, so going back to it ends there and the last "**" is tried.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/pattern.h"

static bool glob(TzSlice pattern, TzSlice text, bool parts);

bool
tz_pattern_name(TzSlice pattern, TzSlice name)
{
	return glob(pattern, name, false);
}

bool
tz_pattern_path(TzSlice pattern, TzSlice path)
{
	return glob(pattern, path, true);
}

/*
 * The part of the pattern before its first star, cut at a slash, is where what it names must lie. A listing of a
 * directory shows names one part long, so it can show something there when the directory is at or below that place, or
 * when the pattern covers the directory. A pattern without stars says the name itself: seeing it there tells nothing.
 */
bool
tz_pattern_listing(TzSlice pattern, TzSlice dir)
{
	size_t fixed = 0;
	size_t len = dir.len > 0 && dir.data[dir.len - 1] == '/' ? dir.len - 1 : dir.len;

	if (tz_pattern_path(pattern, dir))
		return true;
	for (size_t i = 0; i < pattern.len && pattern.data[i] != '*' && pattern.data[i] != '?'; i++)
		if (pattern.data[i] == '/')
			fixed = i;
	if (memchr(pattern.data, '*', pattern.len) == NULL && memchr(pattern.data, '?', pattern.len) == NULL)
		return false;
	return len >= fixed && memcmp(pattern.data, dir.data, fixed) == 0 &&
	       (len == fixed || dir.data[fixed] == '/');
}

/*
 * parts: a single star and a question mark stay within a part of a path, a double star does not, and the pattern may end
 * where a part of the text ends. Otherwise every star takes anything.
 */
static bool
glob(TzSlice pattern, TzSlice text, bool parts)
{
	const size_t none = (size_t) -1;
	size_t p = 0;
	size_t t = 0;
	size_t one_p = none; /* behind the last "*", and how far it has taken */
	size_t one_t = 0;
	size_t all_p = none; /* behind the last "**" */
	size_t all_t = 0;

	for (;;)
	{
		if (p < pattern.len && pattern.data[p] == '*')
		{
			bool crosses = !parts;

			while (p < pattern.len && pattern.data[p] == '*')
			{
				crosses = crosses || (p + 1 < pattern.len && pattern.data[p + 1] == '*');
				p++;
			}
			if (crosses)
			{
				all_p = p;
				all_t = t;
				one_p = none;
			}
			else
			{
				one_p = p;
				one_t = t;
			}
			continue;
		}
		if (p == pattern.len &&
		    (t == text.len || (parts && (text.data[t] == '/' || (p > 0 && pattern.data[p - 1] == '/')))))
			return true;
		if (p < pattern.len && t < text.len &&
		    (pattern.data[p] == text.data[t] || (pattern.data[p] == '?' && !(parts && text.data[t] == '/'))))
		{
			p++;
			t++;
		}
		else if (one_p != none && one_t < text.len && text.data[one_t] != '/')
		{
			p = one_p;
			t = ++one_t;
		}
		else if (all_p != none && all_t < text.len)
		{
			p = all_p;
			t = ++all_t;
			one_p = none;
		}
		else
			return false;
	}
}

bool
tz_pattern_host(TzSlice pattern, TzSlice host)
{
	bool below = pattern.len > 2 && pattern.data[0] == '*' && pattern.data[1] == '.';
	struct in_addr four;
	char text[TZ_PATTERN_HOST_MAX + 1];

	if (tz_slice_eq_cstr(pattern, "*"))
		return true;
	if (below)
		pattern = tz_slice(pattern.data + 2, pattern.len - 2);
	if (!below && tz_slice_eq(pattern, host))
		return true;
	if (host.len <= pattern.len + 1 || host.len > TZ_PATTERN_HOST_MAX)
		return false;
	/* nothing lies below an address */
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	if (memchr(text, ':', host.len) != NULL || inet_pton(AF_INET, text, &four) == 1)
		return false;
	return host.data[host.len - pattern.len - 1] == '.' &&
	       memcmp(host.data + host.len - pattern.len, pattern.data, pattern.len) == 0;
}

bool
tz_pattern_host_overlap(TzSlice a, TzSlice b)
{
	TzSlice host_a = a.len > 2 && a.data[0] == '*' && a.data[1] == '.' ? tz_slice(a.data + 2, a.len - 2) : a;
	TzSlice host_b = b.len > 2 && b.data[0] == '*' && b.data[1] == '.' ? tz_slice(b.data + 2, b.len - 2) : b;

	if (tz_slice_eq_cstr(a, "*") || tz_slice_eq_cstr(b, "*") || tz_slice_eq(host_a, host_b))
		return true;
	return tz_pattern_host(a, host_b) || tz_pattern_host(b, host_a);
}

bool
tz_pattern_host_clean(TzSlice host, char *out)
{
	size_t len = host.len;
	const char *data = host.data;

	if (len >= 2 && data[0] == '[')
	{
		const char *close = memchr(data, ']', len);

		if (close == NULL)
			return false;
		len = (size_t) (close - data) - 1;
		data++;
	}
	else
	{
		const char *colon = len > 0 ? memchr(data, ':', len) : NULL;

		/* several without brackets: an address */
		if (colon != NULL && memchr(colon + 1, ':', len - (size_t) (colon + 1 - data)) == NULL)
			len = (size_t) (colon - data);
	}
	if (len > 0 && data[len - 1] == '.')
		len--;
	if (len == 0 || len > TZ_PATTERN_HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) data[i];

		if (!(isalnum(c) || c == '-' || c == '_' || c == '.' || c == ':' || c == '*'))
			return false;
		out[i] = (char) tolower(c);
	}
	out[len] = '\0';
	return tz_pattern_address(out, out) || strchr(out, ':') == NULL;
}

bool
tz_pattern_address(const char *host, char *out)
{
	struct in_addr four;
	struct in6_addr six;
	const char *last = strrchr(host, '.');

	last = last != NULL ? last + 1 : host;
	if (strchr(host, ':') != NULL)
	{
		if (inet_pton(AF_INET6, host, &six) != 1)
			return false;
		if (IN6_IS_ADDR_V4MAPPED(&six))
		{
			memcpy(&four, six.s6_addr + 12, sizeof(four));
			return inet_ntop(AF_INET, &four, out, TZ_PATTERN_HOST_MAX + 1) != NULL;
		}
		return inet_ntop(AF_INET6, &six, out, TZ_PATTERN_HOST_MAX + 1) != NULL;
	}
	/* a last label that begins with a digit: what a resolver would read as an address */
	if (!isdigit((unsigned char) last[0]) || inet_aton(host, &four) == 0)
		return false;
	return inet_ntop(AF_INET, &four, out, TZ_PATTERN_HOST_MAX + 1) != NULL;
}
