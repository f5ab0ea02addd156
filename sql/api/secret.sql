-- secret.sql: setting, naming and deleting secrets. No function here, or anywhere, returns
-- a value: only workers open them.

CREATE OR REPLACE VIEW theazo.secrets WITH (security_barrier) AS
SELECT s.platform_id, NULLIF(s.session_id, '') AS session_id, s.name, s.version, coalesce(s.delivery, 'env') AS delivery, s.master_key_id,
	   s.created_at, s.updated_at, s.last_used_at
  FROM theazo_data.secret s
 WHERE (SELECT theazo_internal.may_read('secret:read'));
COMMENT ON VIEW theazo.secrets IS 'names and dates of secrets, of the platform (no session_id) and of sessions; never a value';

CREATE OR REPLACE FUNCTION theazo_internal.secret_name_check(p_field text, p_name text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_name IS NULL OR pg_catalog.octet_length(p_name) > 128 OR NOT p_name OPERATOR(pg_catalog.~) '^[A-Za-z0-9_. -]{1,128}$' THEN
		PERFORM theazo_internal.raise_value(p_field, 'is not a name of a secret',
			'Names have 1 to 128 of letters, digits, _ . - and space.');
	END IF;
	RETURN p_name;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_name_check(text, text) IS 'a secret''s name; the message never repeats it';

-- Whose vault is meant, and may the caller touch it. Returns '' for the platform's.
CREATE OR REPLACE FUNCTION theazo_internal.vault_of(p_session text, p_for_change boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s theazo_data.session;
BEGIN
	IF p_session IS NULL THEN
		IF p_for_change THEN
			PERFORM theazo_internal.shared_change_check('a platform secret');
		ELSE
			PERFORM theazo_internal.refuse_narrowed('a platform secret');
		END IF;
		RETURN '';
	END IF;
	IF NOT p_for_change THEN
		PERFORM theazo_internal.session_shown(p_session);
		RETURN p_session;
	END IF;
	s := theazo_internal.session_lock(p_session);
	IF s.status = 'terminated' THEN
		PERFORM theazo_internal.session_open_check(s.id, s.status, NULL);
	END IF;
	RETURN p_session;
END $$;
COMMENT ON FUNCTION theazo_internal.vault_of(text, boolean) IS 'the vault a session argument means; locks the session for a change';

-- The salt of a platform comes with its first secret. Locks the platform's row only then.
CREATE OR REPLACE FUNCTION theazo_internal.vault_salt(p_platform text)
RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	result bytea;
BEGIN
	SELECT p.vault_salt INTO STRICT result FROM theazo_data.platform p WHERE p.platform_id = p_platform;
	IF result IS NULL THEN
		UPDATE theazo_data.platform p SET vault_salt = theazo_internal.random_bytes(32)
		 WHERE p.platform_id = p_platform AND p.vault_salt IS NULL;
		-- whoever was first, its salt counts
		SELECT p.vault_salt INTO STRICT result FROM theazo_data.platform p WHERE p.platform_id = p_platform;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.vault_salt(text) IS 'the platform''s salt, made with its first secret';

CREATE OR REPLACE FUNCTION theazo_internal.secret_set_one(p_vault text, p_name text, p_value text, p_delivery text)
RETURNS theazo.secrets LANGUAGE plpgsql AS $$
DECLARE
	here text := theazo_internal.current_platform();
	salt bytea := theazo_internal.vault_salt(here);
	next_version integer;
	box record;
	result theazo.secrets;
	most bigint := CASE WHEN p_vault = '' THEN 1000 ELSE 200 END;
BEGIN
	PERFORM theazo_internal.secret_name_check('name', p_name);
	IF p_value IS NULL OR p_value = '' THEN
		PERFORM theazo_internal.raise_value('value', 'must not be empty', 'Delete a secret with theazo.secret_delete().');
	ELSIF pg_catalog.octet_length(p_value) > 65536 THEN
		PERFORM theazo_internal.raise_value('value', 'is longer than 65536 bytes');
	END IF;
	-- the version is sealed into the record, so it must be known before; a lost race starts over
	LOOP
		SELECT s.version + 1 INTO next_version FROM theazo_data.secret s
		 WHERE s.platform_id = here AND s.session_id = p_vault AND s.name = p_name FOR UPDATE;
		box := theazo_internal.secret_seal(here, p_vault, p_name, coalesce(next_version, 1), salt, p_value);
		IF next_version IS NOT NULL THEN
			UPDATE theazo_data.secret s
			   SET version = next_version, delivery = coalesce(p_delivery, s.delivery), master_key_id = box.master_key_id,
				   salt = box.salt, sealed = box.sealed, updated_at = pg_catalog.clock_timestamp()
			 WHERE s.platform_id = here AND s.session_id = p_vault AND s.name = p_name;
			EXIT;
		END IF;
		-- all of a session's may go into one environment (effect_secrets)
		IF (SELECT pg_catalog.count(*) FROM theazo_data.secret s WHERE s.platform_id = here AND s.session_id = p_vault) >= most THEN
			PERFORM theazo_internal.raise_ceiling('secrets in this vault', most, 'Delete those that are not used.');
		END IF;
		INSERT INTO theazo_data.secret (platform_id, session_id, name, version, delivery, master_key_id, salt, sealed)
		VALUES (here, p_vault, p_name, 1, p_delivery, box.master_key_id, box.salt, box.sealed)
		ON CONFLICT ON CONSTRAINT secret_pkey DO NOTHING;
		EXIT WHEN FOUND;
	END LOOP;
	PERFORM theazo_internal.master_key_record(box.master_key_id);
	SELECT * INTO STRICT result FROM theazo.secrets s
	 WHERE s.platform_id = here AND s.session_id IS NOT DISTINCT FROM NULLIF(p_vault, '') AND s.name = p_name;
	PERFORM theazo_internal.event_write(here, 'data', 'secret_set',
		pg_catalog.jsonb_build_object('name', p_name, 'version', result.version, 'delivery', result.delivery),
		result.session_id, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.secret_set_one(text, text, text, text) IS 'seals one value into a vault of the caller';

CREATE OR REPLACE FUNCTION theazo.secret_set(
	name text, value text, session text DEFAULT NULL, delivery text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.secrets LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:write');
	IF delivery IS NOT NULL THEN
		PERFORM theazo_internal.one_of('delivery', delivery, 'env', 'brokered');
	END IF;
	RETURN theazo_internal.secret_set_one(theazo_internal.vault_of(session, true), name, value, delivery);
END $$;
COMMENT ON FUNCTION theazo.secret_set(text, text, text, text, text) IS
'stores or replaces a secret of the platform, or of a session; pass the value as a parameter, not as text of the statement';

CREATE OR REPLACE FUNCTION theazo.secrets_set(
	secrets jsonb, session text DEFAULT NULL, delivery text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.secrets LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	vault text;
	k text;
	v jsonb;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:write');
	IF delivery IS NOT NULL THEN
		PERFORM theazo_internal.one_of('delivery', delivery, 'env', 'brokered');
	END IF;
	IF secrets IS NULL OR pg_catalog.jsonb_typeof(secrets) <> 'object' OR secrets = '{}' THEN
		PERFORM theazo_internal.raise_value('secrets', 'must be an object of names and values');
	ELSIF (SELECT pg_catalog.count(*) FROM pg_catalog.jsonb_object_keys(secrets)) > 200 THEN
		PERFORM theazo_internal.raise_value('secrets', 'has more than 200 names');
	END IF;
	vault := theazo_internal.vault_of(session, true);
	-- one order for all, so that two calls never wait for each other in a ring
	FOR k, v IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(secrets) e ORDER BY e.key COLLATE "C" LOOP
		IF pg_catalog.jsonb_typeof(v) <> 'string' THEN
			PERFORM theazo_internal.raise_value('secrets', 'must have strings as values');
		END IF;
		RETURN NEXT theazo_internal.secret_set_one(vault, k, v #>> '{}', delivery);
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo.secrets_set(jsonb, text, text, text) IS
'stores or replaces several secrets at once: all or none';

CREATE OR REPLACE FUNCTION theazo.secret_list(session text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.secrets LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	vault text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:read');
	vault := NULLIF(theazo_internal.vault_of(session, false), '');
	RETURN QUERY SELECT s.* FROM theazo.secrets s
	 WHERE s.platform_id = theazo_internal.current_platform() AND s.session_id IS NOT DISTINCT FROM vault
	 ORDER BY s.name COLLATE "C";
END $$;
COMMENT ON FUNCTION theazo.secret_list(text, text) IS 'the platform''s secrets, or one session''s: names and dates, no values';

CREATE OR REPLACE FUNCTION theazo.secret_delete(
	name text, session text DEFAULT NULL, force boolean DEFAULT false, api_key text DEFAULT NULL)
RETURNS theazo.secrets LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here text;
	vault text;
	users text;
	result theazo.secrets;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'secret:write');
	here := theazo_internal.current_platform();
	vault := theazo_internal.vault_of(session, true);
	PERFORM 1 FROM theazo_data.secret s
	 WHERE s.platform_id = here AND s.session_id = vault AND s.name = secret_delete.name FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('secret', name);
	END IF;
	SELECT * INTO STRICT result FROM theazo.secrets s
	 WHERE s.platform_id = here AND s.session_id IS NOT DISTINCT FROM NULLIF(vault, '') AND s.name = secret_delete.name;
	IF vault = '' AND NOT coalesce(force, false) THEN
		SELECT pg_catalog.string_agg(pg_catalog.format('%s provider "%s"', p.kind, p.name), ', ' ORDER BY p.kind, p.name COLLATE "C")
		  INTO users FROM theazo_data.provider p
		 WHERE p.platform_id = here AND p.name NOT LIKE 'ses\_%'
		   AND secret_delete.name IN (p.credential_ref, p.signing_ref);
		IF users IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'object_in_use',
				MESSAGE = pg_catalog.format('secret %s is in use', theazo_internal.quoted(name)),
				DETAIL = pg_catalog.format('It is used by %s.', users),
				HINT = 'Change or delete them first, or pass force => true.';
		END IF;
	END IF;
	DELETE FROM theazo_data.secret s WHERE s.platform_id = here AND s.session_id = vault AND s.name = secret_delete.name;
	PERFORM theazo_internal.event_write(here, 'data', 'secret_deleted',
		pg_catalog.jsonb_build_object('name', name, 'version', result.version, 'forced', force),
		result.session_id, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.secret_delete(text, text, boolean, text) IS
'deletes a secret; refused while a provider uses it, unless forced';
