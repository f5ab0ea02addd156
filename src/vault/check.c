/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Do the master keys of this server fit this database?
 *
 * After a restore under a wrong key nothing is amiss until the first secret is
 * needed, which may be weeks later. So each worker looks when it starts, and
 * says once what is wrong; the keys cannot change while it lives.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/errors.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "vault/check.h"
#include "vault/keyring.h"

#define CHECK_TIMEOUT_MS 10000

void
tz_vault_check(void)
{
	static TzStmt faults = {"SELECT id, fault FROM theazo_internal.master_key_faults()", 0, {0}};
	uint64 rows;

	tz_txn_begin("theazo: master keys", CHECK_TIMEOUT_MS);
	rows = tz_spi_exec(&faults, NULL, NULL, 0);
	for (uint64 i = 0; i < rows; i++)
	{
		char *id = tz_spi_text(i, 1);
		char *fault = tz_spi_text(i, 2);

		if (strcmp(fault, "missing") == 0)
			ereport(
				WARNING, errcode(ERRCODE_TZ_UNKNOWN_KEY), errmsg("theazo: master key \"%s\" is missing", id),
				errdetail("Secrets of this database are sealed under it. Keys this server holds: %d.",
			              tz_keyring_count()),
				errhint(
					"Add that key to what theazo.master_key_file or theazo.master_key_command gives and restart the server; if it is lost for ever, give it up with theazo.vault_forget('%s').",
					id));
		else
			ereport(
				WARNING, errcode(ERRCODE_TZ_NOT_AUTHENTIC),
				errmsg("theazo: the check value of master key \"%s\" does not open", id),
				errdetail("The row that tells whether a key is the right one was changed in this database."),
				errhint(
					"Compare this database with a backup; the secrets themselves say when they do not open."));
	}
	tz_txn_commit_lazy();
}
