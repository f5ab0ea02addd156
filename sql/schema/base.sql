-- base.sql: roles, schemas and domains. Everything else builds on these.

DO $$
DECLARE
	r text;
BEGIN
	-- Roles are shared by all databases: made if missing, never dropped.
	FOREACH r IN ARRAY ARRAY['theazo_owner', 'theazo_system', 'theazo_guard',
							 'theazo_app', 'theazo_auditor', 'theazo_operator',
							 'theazo_worker', 'theazo_gateway']
	LOOP
		BEGIN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', r);
		EXCEPTION WHEN duplicate_object THEN
			NULL;
		END;
	END LOOP;
	ALTER ROLE theazo_owner NOLOGIN NOBYPASSRLS NOSUPERUSER;
	ALTER ROLE theazo_guard NOLOGIN NOBYPASSRLS NOSUPERUSER;
	ALTER ROLE theazo_system NOLOGIN BYPASSRLS NOSUPERUSER;
END
$$;

CREATE SCHEMA theazo;
CREATE SCHEMA theazo_data;
CREATE SCHEMA theazo_internal;
CREATE SCHEMA theazo_api;

COMMENT ON SCHEMA theazo IS 'theazo: functions and read-only views';
COMMENT ON SCHEMA theazo_data IS 'theazo: tables, under forced row-level security';
COMMENT ON SCHEMA theazo_internal IS 'theazo: what workers call';
COMMENT ON SCHEMA theazo_api IS 'theazo: REST documents';

-- Prefix, underscore, 26 characters of time-ordered Crockford base32. Collation "C"
-- so that partition bounds never depend on the C library.
CREATE DOMAIN theazo.id AS text COLLATE "C"
	CONSTRAINT id_form CHECK (pg_catalog.octet_length(VALUE) BETWEEN 28 AND 40
							  AND VALUE OPERATOR(pg_catalog.~) '^[a-z]+_[0-9A-HJKMNP-TV-Z]{26}$');
-- The part after the prefix: what run trees are partitioned by.
CREATE DOMAIN theazo.root AS text COLLATE "C"
	CONSTRAINT root_form CHECK (pg_catalog.octet_length(VALUE) = 26
								AND VALUE OPERATOR(pg_catalog.~) '^[0-9A-HJKMNP-TV-Z]{26}$');
