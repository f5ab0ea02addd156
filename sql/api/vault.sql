-- vault.sql: master keys: which are needed, whether they are the right ones, and what lies under each. Changing
-- them is in rotation.sql.

-- The first secret under a master key leaves a known value sealed under it, so that a server
-- which holds another key of that name is found out before any secret is needed.
CREATE OR REPLACE FUNCTION theazo_internal.master_key_record(p_id text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	box record;
	here text := theazo_internal.operator_platform();
BEGIN
	PERFORM theazo_internal.master_keys_required();
	PERFORM FROM theazo_data.master_key m WHERE m.platform_id = here AND m.id = p_id;
	IF NOT FOUND THEN
		box := theazo_internal.secret_seal(here, '', 'master key check', 1, pg_catalog.sha256('theazo'), 'theazo');
		INSERT INTO theazo_data.master_key (platform_id, id, salt, check_value)
		VALUES (here, box.master_key_id, box.salt, box.sealed) ON CONFLICT ON CONSTRAINT master_key_pkey DO NOTHING;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.master_key_record(text) IS
'stores the check value of a master key seen for the first time; TZ303 while one that is in use is not loaded';

-- Values sealed under one key while another is missing would make two half vaults of one: a restore
-- under the wrong key has to be found at the first secret, not at the first run that needs an old one.
CREATE OR REPLACE FUNCTION theazo_internal.master_keys_required()
RETURNS void LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	missing text;
	source text;
	held text;
BEGIN
	SELECT m.id INTO missing FROM theazo_data.master_key m
	 WHERE m.platform_id = theazo_internal.operator_platform() AND NOT m.lost
	   AND NOT theazo_internal.master_key_loaded(m.id) AND theazo_internal.vault_key_is_used(m.id)
	 ORDER BY m.created_at, m.id LIMIT 1;
	IF FOUND THEN
		SELECT pg_catalog.string_agg(pg_catalog.format('"%s"', k.id), ', ' ORDER BY k.current DESC, k.id), pg_catalog.min(k.source)
		  INTO held, source FROM theazo_internal.master_keys() k;
		PERFORM theazo_internal.event_refused(NULL, 'data', 'vault_refused', pg_catalog.jsonb_build_object('code', 'TZ303', 'key', missing), p_rule => 'key_missing');
		RAISE EXCEPTION USING ERRCODE = 'TZ303',
			MESSAGE = pg_catalog.format('master key "%s" is missing', missing),
			DETAIL = pg_catalog.format('Secrets are sealed under it. Keys this server holds: %s.', coalesce(held, 'none')),
			HINT = pg_catalog.format('Add that key as a further line of what theazo.master_key_%s gives and restart the server. If it is lost for ever, an operator gives it up with theazo.vault_forget(%L).',
				coalesce(source, 'file'), missing);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.master_keys_required() IS 'TZ303 while a master key that secrets are sealed under is not loaded';

-- Nothing is left for master_key_record() to do or to say; a backend remembers that until the table changes.
CREATE OR REPLACE FUNCTION theazo_internal.master_keys_ready()
RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM theazo_data.master_key m
					WHERE m.platform_id = theazo_internal.operator_platform()
					  AND m.id = (SELECT k.id FROM theazo_internal.master_keys() k WHERE k.current))
		AND NOT EXISTS (SELECT FROM theazo_data.master_key m
						 WHERE m.platform_id = theazo_internal.operator_platform() AND NOT m.lost
						   AND NOT theazo_internal.master_key_loaded(m.id) AND theazo_internal.vault_key_is_used(m.id));
END $$;
COMMENT ON FUNCTION theazo_internal.master_keys_ready() IS
'the key that seals is recorded, and every key that something is sealed under is loaded';

CREATE OR REPLACE TRIGGER master_key_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.master_key
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
ALTER TABLE theazo_data.master_key ENABLE ALWAYS TRIGGER master_key_memo;

CREATE OR REPLACE FUNCTION theazo_internal.master_key_verify(p_id text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m theazo_data.master_key;
BEGIN
	SELECT * INTO m FROM theazo_data.master_key t WHERE t.platform_id = theazo_internal.operator_platform() AND t.id = p_id;
	IF NOT FOUND OR m.check_value = '' THEN
		RETURN NULL;
	END IF;
	RETURN theazo_internal.secret_opens(m.platform_id, '', 'master key check', 1, pg_catalog.sha256('theazo'), m.id, m.salt, m.check_value);
END $$;
COMMENT ON FUNCTION theazo_internal.master_key_verify(text) IS 'does the check value of a loaded master key open; null when none was stored yet';

-- What a worker says when it starts: keys in use that are missing or are not what they are called.
CREATE OR REPLACE FUNCTION theazo_internal.master_key_faults(OUT id text, OUT fault text)
RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	FOR id IN
		SELECT m.id FROM theazo_data.master_key m
		 WHERE m.platform_id = theazo_internal.operator_platform() AND NOT m.lost ORDER BY m.created_at, m.id
	LOOP
		IF NOT theazo_internal.master_key_loaded(id) THEN
			CONTINUE WHEN NOT theazo_internal.vault_key_is_used(id);
			fault := 'missing';
			RETURN NEXT;
		ELSIF NOT theazo_internal.master_key_verify(id) THEN
			fault := 'check';
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo_internal.master_key_faults() IS
'master keys in use that are not loaded (missing), or whose check value does not open (check)';

-- ---------------------------------------------------------------------------------------
-- status

-- Every key id that stands on a row, known or not: one index probe for each.
CREATE OR REPLACE FUNCTION theazo_internal.vault_key_ids()
RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE s (id) AS (
		SELECT min(x.master_key_id) FROM theazo_data.secret x
		UNION ALL
		SELECT (SELECT min(x.master_key_id) FROM theazo_data.secret x WHERE x.master_key_id > s.id) FROM s WHERE s.id IS NOT NULL
	), d (id) AS (
		SELECT min(x.master_key_id) FROM theazo_data.secret_delivered x
		UNION ALL
		SELECT (SELECT min(x.master_key_id) FROM theazo_data.secret_delivered x WHERE x.master_key_id > d.id) FROM d WHERE d.id IS NOT NULL
	), k (id) AS (
		SELECT min(x.master_key_id) FROM theazo_data.data_key x
		UNION ALL
		SELECT (SELECT min(x.master_key_id) FROM theazo_data.data_key x WHERE x.master_key_id > k.id) FROM k WHERE k.id IS NOT NULL
	)
	SELECT s.id FROM s WHERE s.id IS NOT NULL UNION SELECT d.id FROM d WHERE d.id IS NOT NULL UNION SELECT k.id FROM k WHERE k.id IS NOT NULL
$$;
COMMENT ON FUNCTION theazo_internal.vault_key_ids() IS 'master keys that something is sealed under';

CREATE OR REPLACE FUNCTION theazo_internal.vault_key_is_used(p_id text)
RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM theazo_data.secret s WHERE s.master_key_id = p_id)
		OR EXISTS (SELECT FROM theazo_data.secret_delivered d WHERE d.master_key_id = p_id)
		OR EXISTS (SELECT FROM theazo_data.data_key k WHERE k.master_key_id = p_id)
$$;
COMMENT ON FUNCTION theazo_internal.vault_key_is_used(text) IS 'is anything sealed under this master key';

-- A key can be taken out of the file once nothing is sealed under it and it is not the current one.
CREATE OR REPLACE FUNCTION theazo_internal.master_key_list(
	OUT id text, OUT state text, OUT current boolean, OUT loaded boolean, OUT verified boolean, OUT removable boolean,
	OUT secrets bigint, OUT delivered bigint, OUT source text, OUT created_at timestamptz, OUT retired_at timestamptz, OUT data_keys bigint)
RETURNS SETOF record LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT u.id,
		   CASE WHEN k.current THEN 'current' WHEN m.lost THEN 'lost' WHEN m.retired_at IS NOT NULL THEN 'retired'
				WHEN n.secrets + n.delivered + n.data_keys = 0 THEN 'unused' ELSE 'live' END,
		   coalesce(k.current, false), k.id IS NOT NULL,
		   CASE WHEN k.id IS NOT NULL THEN theazo_internal.master_key_verify(u.id) END,
		   k.current IS NOT TRUE AND n.secrets + n.delivered + n.data_keys = 0,
		   n.secrets, n.delivered, k.source, m.created_at, m.retired_at, n.data_keys
	  FROM (SELECT x.id FROM theazo_internal.master_keys() x UNION SELECT * FROM theazo_internal.vault_key_ids()
			UNION SELECT x.id FROM theazo_data.master_key x WHERE x.platform_id = theazo_internal.operator_platform()) u (id)
	  LEFT JOIN theazo_internal.master_keys() k ON k.id = u.id
	  LEFT JOIN theazo_data.master_key m ON m.platform_id = theazo_internal.operator_platform() AND m.id = u.id
	 CROSS JOIN LATERAL (SELECT (SELECT count(*) FROM theazo_data.secret s WHERE s.master_key_id = u.id) AS secrets,
								(SELECT count(*) FROM theazo_data.secret_delivered d WHERE d.master_key_id = u.id) AS delivered,
								(SELECT count(*) FROM theazo_data.data_key d WHERE d.master_key_id = u.id) AS data_keys) n
	 ORDER BY u.id;
END $$;
COMMENT ON FUNCTION theazo_internal.master_key_list() IS 'master keys that are loaded, known, or stand on a row';

CREATE OR REPLACE VIEW theazo.vault_keys WITH (security_barrier) AS
	SELECT k.id, k.state, k.current, k.loaded, k.verified, k.removable, k.secrets, k.delivered, k.source, k.created_at, k.retired_at, k.data_keys
	  FROM theazo_internal.master_key_list() k;
COMMENT ON VIEW theazo.vault_keys IS 'operator: master keys, what is sealed under each, and which can be removed; never a key';

-- What is wrong with the settings, and what to set: in the words of the server's start.
CREATE OR REPLACE FUNCTION theazo_internal.master_key_fault()
RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	PERFORM theazo_internal.master_key_current();
	RETURN NULL;
EXCEPTION WHEN SQLSTATE 'TZ301' THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN pg_catalog.concat_ws('. ', NULLIF(detail, ''), hint);
END $$;
COMMENT ON FUNCTION theazo_internal.master_key_fault() IS 'why the server holds no master key, and what to set; null when it holds one';

CREATE OR REPLACE FUNCTION theazo.vault_status(api_key text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	operator boolean;
	current text;
	missing text;
	counts jsonb;
	keys jsonb;
	rotation jsonb;
BEGIN
	PERFORM theazo_internal.enter_check();
	operator := api_key IS NULL AND theazo_internal.is_operator() AND theazo_internal.current_key() IS NULL;
	IF operator THEN
		SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(k)) ORDER BY k.id) INTO keys
		  FROM theazo_internal.master_key_list() k;
		SELECT pg_catalog.to_jsonb(r) INTO rotation FROM theazo_internal.vault_rotation_list() r ORDER BY r.started_at DESC LIMIT 1;
	ELSE
		PERFORM theazo_internal.enter(api_key, 'secret:read');
		PERFORM theazo_internal.refuse_narrowed('the vault');
		SELECT coalesce(pg_catalog.jsonb_object_agg(c.id, c.n), '{}') INTO counts FROM (
			SELECT s.master_key_id AS id, pg_catalog.count(*) AS n FROM theazo_data.secret s GROUP BY 1) c;
		SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
				'id', u.id, 'loaded', k.id IS NOT NULL, 'current', coalesce(k.current, false),
				'verified', CASE WHEN k.id IS NOT NULL THEN theazo_internal.master_key_verify(u.id) END,
				'secrets', coalesce((counts ->> u.id)::bigint, 0))) ORDER BY u.id)
		  INTO keys
		  FROM (SELECT m.id FROM theazo_internal.master_keys() m UNION SELECT c FROM pg_catalog.jsonb_object_keys(counts) c) u (id)
		  LEFT JOIN theazo_internal.master_keys() k ON k.id = u.id;
	END IF;
	SELECT m.id INTO current FROM theazo_internal.master_keys() m WHERE m.current;
	SELECT pg_catalog.string_agg(pg_catalog.format('"%s"', f.id), ', ' ORDER BY f.id) INTO missing
	  FROM theazo_internal.master_key_faults() f WHERE f.fault = 'missing';
	RETURN pg_catalog.jsonb_build_object(
		'ready', current IS NOT NULL AND missing IS NULL,
		'keys', coalesce(keys, '[]'),
		'hint', CASE WHEN current IS NULL AND operator THEN theazo_internal.master_key_fault()
					 WHEN current IS NULL THEN 'Set theazo.master_key_file or theazo.master_key_command and restart the server.'
					 WHEN missing IS NOT NULL THEN pg_catalog.format(
						'Secrets are sealed under %s, which this server does not hold: add what is missing to the master keys and restart the server, or have an operator give it up with theazo.vault_forget().', missing) END)
		|| CASE WHEN operator THEN pg_catalog.jsonb_build_object('rotation', rotation) ELSE '{}' END;
END $$;
COMMENT ON FUNCTION theazo.vault_status(text) IS
'is the vault ready, and how many secrets lie under which master key: the caller''s, or everybody''s for the operator';
