/*-------------------------------------------------------------------------
 *
 * netpolicy.c
 *	  May we connect there? The built-in ranges, the operator's lists, and the
 *	  host rules of a sandbox.
 *
 * Every address is brought into 16 bytes, IPv4 as ::ffff:a.b.c.d, so that one
 * table and one comparison serve both families. An IPv6 address that carries an
 * IPv4 one for a gateway to unpack (NAT64, 6to4, Teredo, ISATAP) is judged twice:
 * as itself and as what it carries, and the worse answer counts.
 *
 * IPv6 is allowed by exception: only 2000::/3 is handed out for the public
 * network, so everything else is special without having to be listed.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/netpolicy.h"

#define LIST_MAX 256 /* blocks in one list */
#define ITEM_MAX 64
#define V4(a, b, c, d)                                       \
	{                                                        \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d \
	}

typedef struct Block
{
	uint8_t addr[16];
	int prefix; /* bits of the 128 */
} Block;

typedef enum Reach
{
	REACH_PUBLIC = 0,
	REACH_SPECIAL, /* allow_private or the allow list opens it */
	REACH_NEVER /* only an allow block of nothing else opens it */
} Reach;

typedef struct Range
{
	Block block;
	Reach reach;
	const char *what;
} Range;

struct TzNetPolicy
{
	Block *allow;
	int nallow;
	Block *deny;
	int ndeny;
};

/* First match wins: what is never allowed stands before the range around it. */
static const Range ranges[] = {
	{{V4(169, 254, 169, 0), 120}, REACH_NEVER, "metadata service"},
	{{V4(169, 254, 170, 0), 120}, REACH_NEVER, "metadata service"},
	{{V4(100, 100, 100, 200), 128}, REACH_NEVER, "metadata service"},
	{{V4(168, 63, 129, 16), 128}, REACH_NEVER, "metadata service"},
	{{V4(192, 0, 0, 192), 128}, REACH_NEVER, "metadata service"},
	{{{0xfd, 0x00, 0x0e, 0xc2}, 32}, REACH_NEVER, "metadata service"},
	{{{0xfd, 0x20, 0x00, 0xce}, 32}, REACH_NEVER, "metadata service"},
	{{V4(0, 0, 0, 0), 104}, REACH_NEVER, "unspecified"},
	{{V4(224, 0, 0, 0), 100}, REACH_NEVER, "multicast"},
	{{V4(255, 255, 255, 255), 128}, REACH_NEVER, "broadcast"},
	{{V4(240, 0, 0, 0), 100}, REACH_NEVER, "reserved"},
	{{V4(10, 0, 0, 0), 104}, REACH_SPECIAL, "private"},
	{{V4(100, 64, 0, 0), 106}, REACH_SPECIAL, "carrier-grade NAT"},
	{{V4(127, 0, 0, 0), 104}, REACH_SPECIAL, "loopback"},
	{{V4(169, 254, 0, 0), 112}, REACH_SPECIAL, "link-local"},
	{{V4(172, 16, 0, 0), 108}, REACH_SPECIAL, "private"},
	{{V4(192, 0, 0, 0), 120}, REACH_SPECIAL, "reserved"},
	{{V4(192, 0, 2, 0), 120}, REACH_SPECIAL, "documentation"},
	{{V4(192, 88, 99, 0), 120}, REACH_SPECIAL, "6to4 relay"},
	{{V4(192, 168, 0, 0), 112}, REACH_SPECIAL, "private"},
	{{V4(198, 18, 0, 0), 111}, REACH_SPECIAL, "benchmarking"},
	{{V4(198, 51, 100, 0), 120}, REACH_SPECIAL, "documentation"},
	{{V4(203, 0, 113, 0), 120}, REACH_SPECIAL, "documentation"},
	{{V4(0, 0, 0, 0), 96}, REACH_PUBLIC, "public"},
	{{{0}, 128}, REACH_NEVER, "unspecified"},
	{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128}, REACH_SPECIAL, "loopback"},
	{{{0xff}, 8}, REACH_NEVER, "multicast"},
	{{{0xfc}, 7}, REACH_SPECIAL, "private"},
	{{{0xfe, 0x80}, 10}, REACH_SPECIAL, "link-local"},
	{{{0xfe, 0xc0}, 10}, REACH_SPECIAL, "private"},
	{{{0x00, 0x64, 0xff, 0x9b}, 96}, REACH_PUBLIC, "NAT64"}, /* judged by what it carries */
	{{{0x20, 0x01, 0x00, 0x00}, 32}, REACH_PUBLIC, "Teredo"}, /* likewise */
	{{{0x20, 0x01, 0x00, 0x00}, 23}, REACH_SPECIAL, "reserved"},
	{{{0x20, 0x01, 0x0d, 0xb8}, 32}, REACH_SPECIAL, "documentation"},
	{{{0x3f, 0xff, 0x00}, 20}, REACH_SPECIAL, "documentation"},
	{{{0x20}, 3}, REACH_PUBLIC, "public"},
	{{{0}, 0}, REACH_SPECIAL, "not public"},
};

static TzStatus list_parse(const char *text, const char *which, Block **out, int *nout, TzErr *err);
static bool block_parse(const char *item, Block *out);
static bool block_has(const Block *block, const uint8_t addr[16]);
static const Range *range_of(const uint8_t addr[16]);
static bool carried_v4(const uint8_t addr[16], int which, uint8_t out[16]);
static TzStatus judge(const TzNetPolicy *policy, const uint8_t addr[16], bool allow_private, TzErr *err);
static bool allowed_by_list(const TzNetPolicy *policy, const uint8_t addr[16], const Range *range);
static bool is_v4(const uint8_t addr[16]);
static void address_text(const uint8_t addr[16], char *out, size_t size);

/* NULL or empty lists are fine. The caller frees *out with tz_netpolicy_free. */
TzStatus
tz_netpolicy_parse(const char *allow, const char *deny, TzNetPolicy **out, TzErr *err)
{
	TzNetPolicy *policy = calloc(1, sizeof(TzNetPolicy));
	TzStatus status;

	*out = NULL;
	if (policy == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	status = list_parse(allow, "allow", &policy->allow, &policy->nallow, err);
	if (status == TZ_OK)
		status = list_parse(deny, "deny", &policy->deny, &policy->ndeny, err);
	if (status != TZ_OK)
	{
		tz_netpolicy_free(policy);
		return status;
	}
	*out = policy;
	return TZ_OK;
}

void
tz_netpolicy_free(TzNetPolicy *policy)
{
	if (policy == NULL)
		return;
	free(policy->allow);
	free(policy->deny);
	free(policy);
}

/* TZ_OK or TZ_REFUSED. policy may be NULL: then the lists are empty. */
TzStatus
tz_netpolicy_check(const TzNetPolicy *policy, const struct sockaddr *addr, socklen_t len, bool allow_private,
                   TzErr *err)
{
	uint8_t bytes[16] = V4(0, 0, 0, 0);
	uint8_t carried[16];
	TzStatus status;

	if (addr->sa_family == AF_INET && (size_t) len >= sizeof(struct sockaddr_in))
	{
		struct sockaddr_in v4;

		memcpy(&v4, addr, sizeof(v4));
		memcpy(bytes + 12, &v4.sin_addr, 4);
	}
	else if (addr->sa_family == AF_INET6 && (size_t) len >= sizeof(struct sockaddr_in6))
	{
		struct sockaddr_in6 v6;

		memcpy(&v6, addr, sizeof(v6));
		memcpy(bytes, &v6.sin6_addr, 16);
	}
	else
		return tz_err_set(err, TZ_REFUSED, "address is not an internet address");

	status = judge(policy, bytes, allow_private, err);
	for (int i = 0; status == TZ_OK && carried_v4(bytes, i, carried); i++)
		status = judge(policy, carried, allow_private, err);
	return status;
}

static TzStatus
judge(const TzNetPolicy *policy, const uint8_t addr[16], bool allow_private, TzErr *err)
{
	const Range *range = range_of(addr);
	char text[INET6_ADDRSTRLEN];
	bool denied = false;

	for (int i = 0; policy != NULL && i < policy->ndeny; i++)
		denied |= block_has(&policy->deny[i], addr);
	if (!denied)
	{
		if (range->reach == REACH_PUBLIC || (range->reach == REACH_SPECIAL && allow_private) ||
		    (policy != NULL && allowed_by_list(policy, addr, range)))
			return TZ_OK;
	}
	address_text(addr, text, sizeof(text));
	tz_err_set(err, TZ_REFUSED, "address \"%s\" is not allowed", text);
	if (denied)
	{
		tz_err_detail(err, "It is on the operator's deny list.");
		tz_err_hint(err, "The operator's setting \"theazo.egress_deny\" names it.");
	}
	else
	{
		tz_err_detail(err, "Kind of address: %s.", range->what);
		tz_err_hint(
			err,
			range->reach == REACH_NEVER
				? "Such addresses are refused unless \"theazo.egress_allow\" names exactly them."
				: "The operator can allow it by \"theazo.egress_allow\", or all private addresses by \"theazo.egress_allow_private\".");
	}
	return TZ_REFUSED;
}

/*
 * A wide block must not open a metadata service by accident, so what is never
 * allowed needs a block that holds nothing besides.
 */
static bool
allowed_by_list(const TzNetPolicy *policy, const uint8_t addr[16], const Range *range)
{
	for (int i = 0; i < policy->nallow; i++)
	{
		const Block *block = &policy->allow[i];

		if (block_has(block, addr) && (range->reach != REACH_NEVER || block->prefix >= range->block.prefix))
			return true;
	}
	return false;
}

static const Range *
range_of(const uint8_t addr[16])
{
	const Range *last = &ranges[sizeof(ranges) / sizeof(ranges[0]) - 1];
	const Range *range = ranges;

	while (range < last && !block_has(&range->block, addr))
		range++;
	return range;
}

/*
 * The which-th IPv4 address inside addr. Several forms can be meant by one
 * address; false once there are no more.
 */
static bool
carried_v4(const uint8_t addr[16], int which, uint8_t out[16])
{
	static const uint8_t zeros[15];
	static const uint8_t mapped[16] = V4(0, 0, 0, 0);
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t local_nat64[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
	static const uint8_t siit[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0};
	static const uint8_t teredo[4] = {0x20, 0x01, 0x00, 0x00};
	uint8_t found[2][4];
	int n = 0;

	/* ::1 and :: have the form of an IPv4 address, and are none */
	if (is_v4(addr) || (memcmp(addr, zeros, 15) == 0 && addr[15] <= 1))
		return false;
	if (memcmp(addr, zeros, 12) == 0 || memcmp(addr, nat64, 12) == 0 || memcmp(addr, siit, 12) == 0 ||
	    memcmp(addr, local_nat64, 6) == 0)
		memcpy(found[n++], addr + 12, 4);
	else if (addr[0] == 0x20 && addr[1] == 0x02)
		memcpy(found[n++], addr + 2, 4);
	else if (memcmp(addr, teredo, 4) == 0)
	{
		memcpy(found[n++], addr + 4, 4);
		for (int i = 0; i < 4; i++)
			found[n][i] = addr[12 + i] ^ 0xff;
		n++;
	}
	/* ISATAP: an interface id of 0000:5efe or 0200:5efe, under any prefix */
	if (n == 0 && (addr[8] & 0xfd) == 0 && addr[9] == 0 && addr[10] == 0x5e && addr[11] == 0xfe)
		memcpy(found[n++], addr + 12, 4);
	if (which >= n)
		return false;
	memcpy(out, mapped, 16);
	memcpy(out + 12, found[which], 4);
	return true;
}

static TzStatus
list_parse(const char *text, const char *which, Block **out, int *nout, TzErr *err)
{
	const char *p = text != NULL ? text : "";
	Block *blocks = NULL;
	int n = 0;

	while (*p != '\0')
	{
		char item[ITEM_MAX];
		size_t len = strcspn(p, ", \t\r\n");
		TzStatus status = TZ_OK;

		if (len == 0)
		{
			p++;
			continue;
		}
		if (blocks == NULL && (blocks = calloc(LIST_MAX, sizeof(Block))) == NULL)
			return tz_err_set(err, TZ_NOMEM, "out of memory");
		snprintf(item, sizeof(item), "%.*s", (int) (len < ITEM_MAX ? len : ITEM_MAX - 1), p);
		if (n >= LIST_MAX)
			status = tz_err_set(err, TZ_TOO_LARGE, "%s list has more than %d blocks", which, LIST_MAX);
		else if (len >= ITEM_MAX || !block_parse(item, &blocks[n]))
		{
			status =
				tz_err_set(err, TZ_BAD_INPUT, "\"%s\" in the %s list is no block of addresses", item, which);
			tz_err_hint(err, "Write blocks like 10.1.0.0/16 or fd00::/8, separated by commas.");
		}
		if (status != TZ_OK)
		{
			free(blocks);
			return status;
		}
		n++;
		p += len;
	}
	*out = blocks;
	*nout = n;
	return TZ_OK;
}

/* "10.0.0.0/8", "fd00::/8" or one address. Destroys nothing; bits behind the prefix are ignored. */
static bool
block_parse(const char *item, Block *out)
{
	static const uint8_t mapped[16] = V4(0, 0, 0, 0);
	char address[ITEM_MAX];
	const char *slash = strchr(item, '/');
	size_t len = slash != NULL ? (size_t) (slash - item) : strlen(item);
	int bits = -1;

	memcpy(address, item, len);
	address[len] = '\0';
	if (slash != NULL)
	{
		const char *p = slash + 1;

		if (*p == '\0' || strlen(p) > 3)
			return false;
		for (bits = 0; *p != '\0'; p++)
		{
			if (!isdigit((unsigned char) *p))
				return false;
			bits = bits * 10 + (*p - '0');
		}
	}
	memcpy(out->addr, mapped, 16);
	if (inet_pton(AF_INET, address, out->addr + 12) == 1)
	{
		out->prefix = bits < 0 ? 128 : 96 + bits;
		return bits <= 32;
	}
	out->prefix = bits < 0 ? 128 : bits;
	return inet_pton(AF_INET6, address, out->addr) == 1 && bits <= 128;
}

static bool
block_has(const Block *block, const uint8_t addr[16])
{
	int whole = block->prefix / 8;
	int rest = block->prefix % 8;
	uint8_t mask = (uint8_t) (0xff << (8 - rest));

	if (memcmp(block->addr, addr, (size_t) whole) != 0)
		return false;
	return rest == 0 || ((block->addr[whole] ^ addr[whole]) & mask) == 0;
}

static bool
is_v4(const uint8_t addr[16])
{
	static const uint8_t mapped[16] = V4(0, 0, 0, 0);

	return memcmp(addr, mapped, 12) == 0;
}

static void
address_text(const uint8_t addr[16], char *out, size_t size)
{
	const char *done = is_v4(addr) ? inet_ntop(AF_INET, addr + 12, out, (socklen_t) size)
	                               : inet_ntop(AF_INET6, addr, out, (socklen_t) size);

	if (done == NULL)
		snprintf(out, size, "?");
}
