/*-------------------------------------------------------------------------
 *
 * theazo.c
 *	  Where the server enters the library: registers things, nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "audit/protect.h"
#include "audit/ring.h"
#include "auth/identity.h"
#include "call/safety.h"
#include "gate/gate.h"
#include "gate/halt.h"
#include "gate/rate.h"
#include "gateway/listen.h"
#include "gateway/stats.h"
#include "pg/compat.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/quiesce.h"
#include "pg/shmem.h"
#include "pg/wake.h"
#include "stream/stream.h"
#include "vault/keyring.h"
#include "vault/redact.h"
#include "worker/launcher.h"

TZ_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/*
 * Loaded by a single session the library offers its pure functions only: what
 * needs shared memory says so (tz_shmem_require). pg_upgrade's servers get
 * nothing at all: no worker may touch rows while they are carried over.
 */
void
_PG_init(void)
{
	if (IsBinaryUpgrade || !process_shared_preload_libraries_in_progress)
		return;
	tz_guc_init();
	tz_shmem_init();
	tz_wake_init();
	tz_stream_init();
	tz_ring_init();
	tz_halt_init();
	tz_rate_init();
	tz_quiesce_init();
	tz_protect_init();
	tz_identity_init();
	tz_gate_init();
	tz_safety_init();
	tz_keyring_load();
	tz_redact_init();
	tz_gateway_stats_init();
	tz_listen_init();
	tz_launcher_register();
}
