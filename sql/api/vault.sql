-- vault.sql: master keys, and sealing everything anew under the current one.

-- The first secret under a master key leaves a known value sealed under it, so that a server
-- which holds another key of that name is found out before any secret is needed.
CREATE OR REPLACE FUNCTION theazo_internal.master_key_record(p_id text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	box record;
	here text := theazo_internal.operator_platform();
BEGIN
	PERFORM 1 FROM theazo_data.master_key m WHERE m.platform_id = here AND m.id = p_id;
	IF NOT FOUND THEN
		box := theazo_internal.secret_seal(here, '', 'master key check', 1, pg_catalog.sha256('theazo'), 'theazo');
		INSERT INTO theazo_data.master_key (platform_id, id, salt, check_value)
		VALUES (here, box.master_key_id, box.salt, box.sealed) ON CONFLICT ON CONSTRAINT master_key_pkey DO NOTHING;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.master_key_record(text) IS 'stores the check value of a master key seen for the first time';

CREATE OR REPLACE FUNCTION theazo_internal.master_key_verify(p_id text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m theazo_data.master_key;
BEGIN
	SELECT * INTO m FROM theazo_data.master_key t WHERE t.platform_id = theazo_internal.operator_platform() AND t.id = p_id;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	RETURN theazo_internal.secret_opens(m.platform_id, '', 'master key check', 1, pg_catalog.sha256('theazo'), m.id, m.salt, m.check_value);
END $$;
COMMENT ON FUNCTION theazo_internal.master_key_verify(text) IS 'does the check value of a loaded master key open; null when none was stored yet';

-- ---------------------------------------------------------------------------------------
-- status

CREATE OR REPLACE FUNCTION theazo_internal.vault_counts()
RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce((SELECT pg_catalog.jsonb_object_agg(c.id, c.n) FROM (
		SELECT s.master_key_id AS id, pg_catalog.count(*) AS n FROM theazo_data.secret s GROUP BY 1) c), '{}');
END $$;
COMMENT ON FUNCTION theazo_internal.vault_counts() IS 'secrets of all platforms by master key';

CREATE OR REPLACE FUNCTION theazo.vault_status(api_key text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	operator boolean;
	counts jsonb;
	keys jsonb;
BEGIN
	PERFORM theazo_internal.enter_check();
	operator := api_key IS NULL AND theazo_internal.is_operator() AND theazo_internal.current_key() IS NULL;
	IF operator THEN
		counts := theazo_internal.vault_counts();
	ELSE
		PERFORM theazo_internal.enter(api_key, 'secret:read');
		PERFORM theazo_internal.refuse_narrowed('the vault');
		SELECT coalesce(pg_catalog.jsonb_object_agg(c.id, c.n), '{}') INTO counts FROM (
			SELECT s.master_key_id AS id, pg_catalog.count(*) AS n FROM theazo_data.secret s GROUP BY 1) c;
	END IF;
	SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
			'id', u.id, 'loaded', k.id IS NOT NULL, 'current', coalesce(k.current, false),
			'verified', CASE WHEN k.id IS NOT NULL THEN theazo_internal.master_key_verify(u.id) END,
			'secrets', coalesce((counts ->> u.id)::bigint, 0), 'source', CASE WHEN operator THEN k.source END)) ORDER BY u.id), '[]')
	  INTO keys
	  FROM (SELECT m.id FROM theazo_internal.master_keys() m UNION SELECT c FROM pg_catalog.jsonb_object_keys(counts) c) u (id)
	  LEFT JOIN theazo_internal.master_keys() k ON k.id = u.id;
	RETURN pg_catalog.jsonb_build_object(
		'ready', EXISTS (SELECT FROM theazo_internal.master_keys() m WHERE m.current),
		'keys', keys,
		'hint', CASE WHEN NOT EXISTS (SELECT FROM theazo_internal.master_keys() m WHERE m.current)
			THEN 'Set theazo.master_key_file or theazo.master_key_command and restart the server.' END);
END $$;
COMMENT ON FUNCTION theazo.vault_status(text) IS
'is the vault ready, and how many secrets lie under which master key: the caller''s, or everybody''s for the operator';
