/*-------------------------------------------------------------------------
 *
 * hostlist.c
 *	  The host rules of one sandbox (declared in netpolicy.h).
 *
 * A name is matched as text, before anything is resolved; where the name leads is
 * for tz_netpolicy_check. An address is therefore never matched by a wildcard, in
 * none of the ways a resolver would read one: 127.1, 0x7f000001, 2130706433. A rule that
 * names one of IPv6 holds for it in every spelling.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "lib/netpolicy.h"
#include "lib/pattern.h"

#define HOST_MAX 255
#define DEFAULT_PORT 443

typedef struct Rule
{
	const char *host;
	size_t len;
	int port;
	bool below; /* "*.": any depth below host, not host itself */
} Rule;

static bool rule_parse(const char *text, int default_port, Rule *rule);
static bool rule_is(const Rule *rule, const char *host, size_t len, bool address);
static bool looks_like_address(const char *host, size_t len);
static size_t address_spell(const char *host, size_t len, char *out);
static size_t host_trim(const char **host);

/* False also for what is no proper host or port. */
bool
tz_hostlist_match(const char *const *rules, int nrules, const char *host, int port)
{
	return tz_hostlist_match_port(rules, nrules, host, port, DEFAULT_PORT);
}

bool
tz_hostlist_match_port(const char *const *rules, int nrules, const char *host, int port, int default_port)
{
	size_t len = host_trim(&host);
	char spelled[TZ_PATTERN_HOST_MAX + 1];
	bool address;

	if (len == 0 || len > HOST_MAX || port < 1 || port > 65535)
		return false;
	address = looks_like_address(host, len);
	if (address)
	{
		size_t said = len;

		len = address_spell(host, len, spelled);
		/* Of IPv4 no spelling but the one: others are written to get past somebody. */
		if (len == 0 || (strchr(spelled, ':') == NULL && (len != said || strncmp(spelled, host, len) != 0)))
			return false;
		host = spelled;
	}
	for (int i = 0; i < nrules; i++)
	{
		Rule rule;

		if (!rule_parse(rules[i], default_port, &rule) || rule.port != port)
			continue;
		if (!rule.below)
		{
			if (rule_is(&rule, host, len, address))
				return true;
		}
		else if (!address && len > rule.len + 1 && host[len - rule.len - 1] == '.' && host[0] != '.' &&
		         strncasecmp(host + len - rule.len, rule.host, rule.len) == 0)
			return true;
	}
	return false;
}

/* Does the rule name this host? An address is spelled already. */
static bool
rule_is(const Rule *rule, const char *host, size_t len, bool address)
{
	const char *named = rule->host;
	size_t named_len = rule->len;
	char spelled[TZ_PATTERN_HOST_MAX + 1];

	if (address)
	{
		named_len = address_spell(named, named_len, spelled);
		named = spelled;
	}
	return named_len == len && strncasecmp(named, host, len) == 0;
}

/* In its one spelling; what is no address after all stays as it is, and what is too long is nothing. */
static size_t
address_spell(const char *host, size_t len, char *out)
{
	if (len > TZ_PATTERN_HOST_MAX)
		len = 0;
	memcpy(out, host, len);
	out[len] = '\0';
	(void) tz_pattern_address(out, out);
	return strlen(out);
}

/* Cuts brackets of an IPv6 literal and one trailing dot. */
static size_t
host_trim(const char **host)
{
	size_t len;

	if (*host == NULL)
		return 0;
	len = strlen(*host);
	if (len >= 2 && (*host)[0] == '[' && (*host)[len - 1] == ']')
	{
		(*host)++;
		return len - 2;
	}
	if (len > 0 && (*host)[len - 1] == '.')
		len--;
	return len;
}

static bool
rule_parse(const char *text, int default_port, Rule *rule)
{
	const char *end;
	const char *colon;

	if (text == NULL || strlen(text) > HOST_MAX + 10)
		return false;
	rule->below = strncmp(text, "*.", 2) == 0;
	rule->host = rule->below ? text + 2 : text;
	rule->port = default_port;
	if (rule->host[0] == '[')
	{
		end = strchr(rule->host, ']');
		if (end == NULL)
			return false;
		rule->host++;
		colon = end[1] == ':' ? end + 1 : NULL;
		if (colon == NULL && end[1] != '\0')
			return false;
	}
	else
	{
		colon = strchr(rule->host, ':');
		/* several colons without brackets: an IPv6 address, so no port */
		if (colon != NULL && strchr(colon + 1, ':') != NULL)
			colon = NULL;
		end = colon != NULL ? colon : rule->host + strlen(rule->host);
	}
	if (colon != NULL)
	{
		rule->port = 0;
		for (const char *p = colon + 1; *p != '\0'; p++)
		{
			if (!isdigit((unsigned char) *p) || rule->port > 65535)
				return false;
			rule->port = rule->port * 10 + (*p - '0');
		}
	}
	rule->len = (size_t) (end - rule->host);
	if (rule->len > 0 && rule->host[rule->len - 1] == '.')
		rule->len--;
	return rule->len > 0 && rule->port >= 1 && rule->port <= 65535;
}

/* A last label that is a number makes the whole host an IPv4 address (WHATWG URL rule). */
static bool
looks_like_address(const char *host, size_t len)
{
	size_t start = len;

	if (memchr(host, ':', len) != NULL)
		return true;
	while (start > 0 && host[start - 1] != '.')
		start--;
	if (len - start >= 2 && host[start] == '0' && (host[start + 1] | 0x20) == 'x')
		return true;
	for (size_t i = start; i < len; i++)
		if (!isdigit((unsigned char) host[i]))
			return false;
	return true;
}
