/*-------------------------------------------------------------------------
 *
 * netpolicy.h
 *	  May we connect there? Judged on the resolved address, at connect time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_NETPOLICY_H
#define TZ_NETPOLICY_H

#include <sys/socket.h>

#include "lib/buf.h"

/*
 * Operator's lists: comma-separated CIDR blocks ("10.1.0.0/16, fd00::/8").
 * deny wins over allow; allow wins over the built-in refusal of private,
 * loopback, link-local, unspecified, multicast, carrier-grade NAT,
 * documentation and metadata addresses, in IPv4, IPv6 and every mapped form
 * (::ffff:a.b.c.d, 64:ff9b::/96, 2002::/16, Teredo, ISATAP). Metadata, unspecified,
 * multicast and reserved addresses are opened only by a block that names nothing
 * but them, so that 0.0.0.0/0 does not.
 */
typedef struct TzNetPolicy TzNetPolicy;

extern TzStatus tz_netpolicy_parse(const char *allow, const char *deny, TzNetPolicy **out, TzErr *err);
extern void tz_netpolicy_free(TzNetPolicy *policy);

/* allow_private lifts the built-in refusal for this call, except metadata and unspecified/multicast addresses. */
extern TzStatus tz_netpolicy_check(const TzNetPolicy *policy, const struct sockaddr *addr, socklen_t len,
                                   bool allow_private, TzErr *err);

/*
 * Host rules of one sandbox: "example.com" (exact), "*.example.com" (any
 * depth below), optional ":port" (default 443 only). Case-insensitive, trailing
 * dot ignored, address literals only if listed literally.
 */
extern bool tz_hostlist_match(const char *const *rules, int nrules, const char *host, int port);
/* The same, for rules whose port is another one when they name none. */
extern bool tz_hostlist_match_port(const char *const *rules, int nrules, const char *host, int port,
                                   int default_port);

#endif /* TZ_NETPOLICY_H */
