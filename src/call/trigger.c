/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  Was a call of a trigger signed by whoever has its secret?
 *
 * The secret is a key that theazo made (data_key), so that any process may open
 * it here. It never leaves this file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "lib/sign.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/spi.h"
#include "vault/vault.h"

#define SECRET_MAX 256

static bool trigger_mac(TzSlice signature, uint8_t out[TZ_SHA256_LEN]);
static TzStatus trigger_open(Datum platform, Datum id, TzBuf *secret, TzErr *err);

/* theazo_internal.trigger_signed(platform text, key text, body bytea, signature text) */
THEAZO_FUNCTION(theazo_trigger_signed)
{
	TzSlice body = tz_datum_slice(PG_GETARG_DATUM(2));
	uint8_t given[TZ_SHA256_LEN];
	uint8_t right[TZ_SHA256_LEN];
	TzBuf secret;
	TzErr err;
	volatile TzStatus status = TZ_INTERNAL;

	if (!trigger_mac(tz_datum_slice(PG_GETARG_DATUM(3)), given))
		PG_RETURN_BOOL(false);
	tz_err_clear(&err);
	tz_buf_init_secret(&secret, SECRET_MAX);
	PG_TRY();
	{
		status = trigger_open(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), &secret, &err);
		if (status == TZ_OK)
			status = tz_hmac_sha256(tz_buf_slice(&secret), body, right, &err);
	}
	PG_FINALLY();
	{
		tz_buf_wipe(&secret);
	}
	PG_END_TRY();
	if (status != TZ_OK)
		tz_throw_as(tz_vault_sqlstate(status), &err);
	PG_RETURN_BOOL(CRYPTO_memcmp(given, right, sizeof(right)) == 0);
}

/* What is no signature at all is not worth opening a secret for. */
static bool
trigger_mac(TzSlice signature, uint8_t out[TZ_SHA256_LEN])
{
	static const char prefix[] = "sha256=";
	size_t skip = sizeof(prefix) - 1;

	if (signature.len > skip && memcmp(signature.data, prefix, skip) == 0)
		signature = tz_slice(signature.data + skip, signature.len - skip);
	if (signature.len != 2 * TZ_SHA256_LEN)
		return false;
	for (size_t i = 0; i < TZ_SHA256_LEN; i++)
	{
		int high = tz_hex_digit(signature.data[2 * i]);
		int low = tz_hex_digit(signature.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t) (high << 4 | low);
	}
	return true;
}

static TzStatus
trigger_open(Datum platform, Datum id, TzBuf *secret, TzErr *err)
{
	static TzStmt find = {
		"SELECT p.vault_salt, k.master_key_id, k.salt, k.sealed FROM theazo_data.data_key k"
		" JOIN theazo_data.platform p ON p.platform_id = k.platform_id WHERE k.platform_id = $1 AND k.id = $2",
		2,
		{TEXTOID, TEXTOID},
		NULL};
	Datum args[2] = {platform, id};
	TzStatus status;

	SPI_connect();
	if (tz_spi_exec(&find, args, NULL, 1) == 1)
		status = tz_vault_open_key(tz_datum_slice(platform), tz_datum_slice(id),
		                           tz_spi_bytea(0, tz_spi_column("vault_salt")),
		                           tz_slice_cstr(tz_spi_text(0, tz_spi_column("master_key_id"))),
		                           tz_spi_bytea(0, tz_spi_column("salt")),
		                           tz_spi_bytea(0, tz_spi_column("sealed")), secret, err);
	else
		status = tz_err_set(err, TZ_NOT_FOUND, "the key of this trigger is gone");
	SPI_finish();
	return status;
}
