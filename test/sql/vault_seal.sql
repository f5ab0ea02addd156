-- Sealing from SQL: what is refused, what a sealed value is bound to.
\set VERBOSITY terse
\set p '''plt_0000000000000000000000000A'''
\set salt '''\\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'''

SELECT count(*) AS keys, count(*) FILTER (WHERE current) AS current, bool_and(id ~ '^[0-9a-f]{16}$') AS form,
	bool_and(source IN ('file', 'command')) AS source FROM theazo_internal.master_keys();

CREATE TEMP TABLE sealed AS
	SELECT * FROM theazo_internal.secret_seal(:p, '', 'A', 1, :salt, 'value of A');
SELECT octet_length(salt) AS salt, octet_length(sealed) AS sealed, get_byte(sealed, 0) AS format,
	position('value'::bytea IN sealed) AS plain,
	master_key_id = (SELECT id FROM theazo_internal.master_keys() WHERE current) AS current FROM sealed;

-- fresh salt each time
SELECT count(DISTINCT s.salt), count(DISTINCT s.sealed)
FROM generate_series(1, 20) i, LATERAL theazo_internal.secret_seal(:p, '', 'A', i - i + 1, :salt, 'value of A') s;

-- opens where it belongs, and nowhere else
CREATE FUNCTION pg_temp.opens(p text, s text, n text, v int, psalt bytea, salt bytea, sealed bytea) RETURNS boolean
	LANGUAGE sql AS $$ SELECT theazo_internal.secret_opens(p, s, n, v, psalt, (SELECT master_key_id FROM sealed), salt, sealed) $$;
SELECT pg_temp.opens(:p, '', 'A', 1, :salt, salt, sealed) AS here,
	pg_temp.opens(:p, NULL, 'A', 1, :salt, salt, sealed) AS "null session",
	pg_temp.opens('plt_0000000000000000000000000B', '', 'A', 1, :salt, salt, sealed) AS platform,
	pg_temp.opens(:p, 'ses_0000000000000000000000000A', 'A', 1, :salt, salt, sealed) AS session,
	pg_temp.opens(:p, '', 'B', 1, :salt, salt, sealed) AS name,
	pg_temp.opens(:p, '', 'A', 2, :salt, salt, sealed) AS version,
	pg_temp.opens(:p, '', 'A', 1, set_byte(:salt, 31, 7), salt, sealed) AS "platform salt",
	pg_temp.opens(:p, '', 'A', 1, '\x00', salt, sealed) AS "short platform salt",
	pg_temp.opens(:p, '', 'A', 1, :salt, substr(salt, 2), sealed) AS "short salt",
	pg_temp.opens(:p, '', 'A', 1, :salt, salt, '') AS empty
FROM sealed;
-- each byte of each region flipped, and each length
SELECT count(*) FILTER (WHERE pg_temp.opens(:p, '', 'A', 1, :salt, salt, set_byte(sealed, i, get_byte(sealed, i) # 1))) AS opened
FROM sealed, generate_series(0, octet_length(sealed) - 1) i;
SELECT count(*) FILTER (WHERE pg_temp.opens(:p, '', 'A', 1, :salt, set_byte(salt, i, get_byte(salt, i) # 128), sealed)) AS opened
FROM sealed, generate_series(0, 31) i;
SELECT count(*) FILTER (WHERE pg_temp.opens(:p, '', 'A', 1, :salt, salt, substr(sealed, 1, i))) AS opened
FROM sealed, generate_series(0, octet_length(sealed) - 1) i;

-- sizes
SELECT n, octet_length(s.sealed) - n AS overhead,
	theazo_internal.secret_opens(:p, '', 'A', 1, :salt, s.master_key_id, s.salt, s.sealed) AS opens
FROM unnest(ARRAY[1, 16, 8192, 65536]) n, LATERAL theazo_internal.secret_seal(:p, '', 'A', 1, :salt, repeat('x', n)) s;
SELECT theazo_internal.secret_seal(:p, '', 'A', 1, :salt, repeat('x', 65537));
SELECT theazo_internal.secret_seal(:p, '', 'A', 1, :salt, '');

-- nulls and nonsense
SELECT theazo_internal.secret_seal(:p, '', 'A', 1, :salt, NULL);
SELECT theazo_internal.secret_seal(NULL, '', 'A', 1, :salt, 'x');
SELECT theazo_internal.secret_seal(:p, '', NULL, 1, :salt, 'x');
SELECT theazo_internal.secret_seal(:p, '', 'A', NULL, :salt, 'x');
SELECT theazo_internal.secret_seal(:p, '', 'A', 1, NULL, 'x');
SELECT theazo_internal.secret_seal(:p, '', 'A', 1, '\x00', 'x');
SELECT theazo_internal.secret_seal('', '', 'A', 1, :salt, 'x');
SELECT theazo_internal.secret_seal(repeat('x', 41), '', 'A', 1, :salt, 'x');
SELECT theazo_internal.secret_seal(:p, repeat('x', 2000), 'A', 1, :salt, 'x');

-- a key this server does not hold: named
DO $$
BEGIN
	PERFORM theazo_internal.secret_opens('plt_0000000000000000000000000A', '', 'A', 1, salt, '0123456789abcdef', salt, sealed) FROM sealed;
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE '% %', SQLSTATE, SQLERRM;
END $$;

-- the error of a statement that takes a secret repeats nothing of it
SELECT theazo_internal.secret_seal(:p, '', 'A', 'sk-not-a-number', :salt, 'x');
SELECT theazo_internal.secret_seal(:p, '', 'A', 1, 'sk-not-bytea'::text::int::text::bytea, 'x');
SELECT theazo_internal.secret_seal(:p, '', 'A', 1, :salt, "sk-not-a-column");

SELECT octet_length(theazo_internal.random_bytes(32)), theazo_internal.random_bytes(16) <> theazo_internal.random_bytes(16) AS random;
SELECT theazo_internal.random_bytes(0);
SELECT theazo_internal.random_bytes(1025);

-- only the owners
CREATE ROLE regress_vault_none;
SET ROLE regress_vault_none;
SELECT theazo_internal.random_bytes(1);
RESET ROLE;
DROP ROLE regress_vault_none;
