/*
 * Lists and addresses of the egress policy, and host rules. The first 16 bytes are
 * an address; the rest, split at NUL, is allow list, deny list, host and rules.
 * Checked: an address that the lists do not name is judged the same in its IPv4
 * and its mapped form, and a denied one is never allowed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lib/netpolicy.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static TzStatus
check_v6(const TzNetPolicy *policy, const uint8_t *bytes, bool allow_private)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6};
	TzErr err;

	memcpy(&addr.sin6_addr, bytes, 16);
	return tz_netpolicy_check(policy, (struct sockaddr *) &addr, sizeof(addr), allow_private, &err);
}

static TzStatus
check_v4(const TzNetPolicy *policy, const uint8_t *bytes, bool allow_private)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	TzErr err;

	memcpy(&addr.sin_addr, bytes, 4);
	return tz_netpolicy_check(policy, (struct sockaddr *) &addr, sizeof(addr), allow_private, &err);
}

static void
check_forms(const TzNetPolicy *policy, const uint8_t *bytes)
{
	uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	uint8_t nat64[16] = {0x00, 0x64, 0xff, 0x9b};

	memcpy(mapped + 12, bytes, 4);
	memcpy(nat64 + 12, bytes, 4);
	for (int p = 0; p < 2; p++)
	{
		TzStatus v4 = check_v4(policy, bytes, p);

		if (v4 != check_v6(policy, mapped, p))
			abort();
		/* what carries a refused address is refused */
		if (v4 != TZ_OK && check_v6(policy, nat64, p) == TZ_OK)
			abort();
		if (check_v6(policy, bytes, p) == TZ_OK && check_v6(policy, bytes, true) != TZ_OK)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[4096];
	const char *part[16];
	int n = 0;
	TzNetPolicy *policy = NULL;
	TzNetPolicy *closed = NULL;
	TzErr err;

	if (size < 18 || size > sizeof(text))
		return 0;
	memcpy(text, data + 16, size - 16);
	text[size - 16] = '\0';
	for (size_t i = 0; i < size - 16 && n < 16; i += strlen(text + i) + 1)
		part[n++] = text + i;
	check_forms(NULL, data);
	if (tz_netpolicy_parse(part[0], n > 1 ? part[1] : NULL, &policy, &err) == TZ_OK)
	{
		check_forms(policy, data);
		tz_netpolicy_free(policy);
	}
	else if (policy != NULL || err.message[0] == '\0')
		abort();
	if (tz_netpolicy_parse(part[0], "0.0.0.0/0 ::/0", &closed, &err) == TZ_OK)
	{
		if (check_v6(closed, data, true) == TZ_OK || check_v4(closed, data, true) == TZ_OK)
			abort();
		tz_netpolicy_free(closed);
	}
	if (n > 3)
	{
		tz_hostlist_match(part + 3, n - 3, part[2], 443);
		if (tz_hostlist_match(part + 3, n - 3, part[2], 0))
			abort();
	}
	return 0;
}
