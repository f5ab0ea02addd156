/*-------------------------------------------------------------------------
 *
 * url.c
 *	  The parts of an http or https URL that decide where a request goes.
 *
 * Who checks an address and who connects must mean the same host, and that is
 * where URL readers differ: "https://good.example\@bad.example", a tab in the
 * middle, a percent sign in the host. So nothing is repaired here: what is not
 * in the narrow form that all readers agree on is refused. The HTTP engine,
 * which reads the URL once more with a library, is told what was found and
 * refuses to differ (TzHttpRequest.pin).
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/url.h"

static TzStatus refuse(TzErr *err, const char *why);
static bool take_scheme(TzSlice text, TzUrl *out, size_t *pos);
static bool take_name(TzSlice authority, TzUrl *out, size_t *used);
static bool take_literal(TzSlice authority, TzUrl *out, size_t *used);
static bool take_port(TzSlice digits, int *port);

TzStatus
tz_url_split(TzSlice text, TzUrl *out, TzErr *err)
{
	const char *hash;
	size_t pos = 0;
	size_t end;
	size_t used = 0;
	TzSlice authority;

	memset(out, 0, sizeof(*out));
	if (text.len == 0 || text.len > TZ_URL_BYTES_MAX)
		return refuse(err, "it is empty or longer than 8192 bytes");
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char) text.data[i] <= 0x20 || (unsigned char) text.data[i] >= 0x7f)
			return refuse(err, "it has a blank, a control character or one that is not ASCII");
	if (!take_scheme(text, out, &pos))
		return refuse(err, "it does not begin with https:// or http://");
	for (end = pos; end < text.len && strchr("/?#", text.data[end]) == NULL; end++)
		;
	authority = tz_slice(text.data + pos, end - pos);
	if (authority.len > 0 && memchr(authority.data, '@', authority.len) != NULL)
		return refuse(err, "it has a user name or password");
	if (!(authority.len > 0 && authority.data[0] == '[' ? take_literal(authority, out, &used)
	                                                    : take_name(authority, out, &used)))
		return refuse(err, "its host is no plain host name or address");
	out->port = out->tls ? 443 : 80;
	if (used < authority.len && !take_port(tz_slice(authority.data + used, authority.len - used), &out->port))
		return refuse(err, "its port is not a number from 1 to 65535");
	hash = end < text.len ? memchr(text.data + end, '#', text.len - end) : NULL;
	out->rest = end;
	out->fragment = hash != NULL ? (size_t) (hash - text.data) : text.len;
	return TZ_OK;
}

/* The text itself is not shown: it may carry a password. */
static TzStatus
refuse(TzErr *err, const char *why)
{
	tz_err_set(err, TZ_BAD_INPUT, "URL is not valid: %s", why);
	tz_err_hint(
		err,
		"Give an absolute https URL without user name; write international host names in their xn-- form.");
	return TZ_BAD_INPUT;
}

static bool
take_scheme(TzSlice text, TzUrl *out, size_t *pos)
{
	if (text.len > 8 && strncasecmp(text.data, "https://", 8) == 0)
	{
		out->tls = true;
		*pos = 8;
		return true;
	}
	*pos = 7;
	return text.len > 7 && strncasecmp(text.data, "http://", 7) == 0;
}

/* Labels of letters, digits, hyphens and underscores, none of them empty. One trailing dot is dropped. */
static bool
take_name(TzSlice authority, TzUrl *out, size_t *used)
{
	size_t len = 0;

	while (len < authority.len && authority.data[len] != ':')
	{
		unsigned char c = (unsigned char) authority.data[len];

		if (len > TZ_URL_HOST_MAX || !(isalnum(c) || c == '-' || c == '_' || c == '.'))
			return false;
		if (c == '.' && (len == 0 || authority.data[len - 1] == '.'))
			return false;
		len++;
	}
	*used = len;
	if (len > 0 && authority.data[len - 1] == '.')
		len--;
	if (len == 0 || len > TZ_URL_HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		out->host[i] = (char) tolower((unsigned char) authority.data[i]);
	out->host[len] = '\0';
	return true;
}

/* [IPv6], without a zone. */
static bool
take_literal(TzSlice authority, TzUrl *out, size_t *used)
{
	const char *close = memchr(authority.data, ']', authority.len);
	size_t len = close != NULL ? (size_t) (close - authority.data) - 1 : 0;

	if (len < 2 || len > 45)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) authority.data[i + 1];

		if (!(isxdigit(c) || c == ':' || c == '.'))
			return false;
		out->host[i] = (char) tolower(c);
	}
	out->host[len] = '\0';
	*used = len + 2;
	return strchr(out->host, ':') != NULL;
}

/* ":" and digits. */
static bool
take_port(TzSlice digits, int *port)
{
	int n = 0;

	if (digits.len < 2 || digits.len > 6 || digits.data[0] != ':')
		return false;
	for (size_t i = 1; i < digits.len; i++)
	{
		if (!isdigit((unsigned char) digits.data[i]))
			return false;
		n = n * 10 + (digits.data[i] - '0');
	}
	*port = n;
	return n >= 1 && n <= 65535;
}
