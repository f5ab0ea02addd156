\echo Use "CREATE EXTENSION theazo CASCADE" to load this file. \quit

-- Answers of sandboxes and providers, and JSON, are UTF-8: in another encoding they would be stored garbled, and in
-- SQL_ASCII the server refuses JSON with escapes.
DO $$
BEGIN
	IF pg_catalog.current_setting('server_encoding') <> 'UTF8' THEN
		RAISE EXCEPTION USING ERRCODE = '0A000',
			MESSAGE = pg_catalog.format('theazo does not work in a database of encoding %s', pg_catalog.current_setting('server_encoding')),
			HINT = 'Create the database with ENCODING ''UTF8''.';
	END IF;
END
$$;
