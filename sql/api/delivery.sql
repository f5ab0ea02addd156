-- delivery.sql: which secrets a call gets, and how: in a header, in the environment of a process, or not at all.

-- What to open: credential and signing key of the provider, and environment variables of the sandbox. Session vault
-- first, then the platform's. Every one is an event.
CREATE OR REPLACE FUNCTION theazo_internal.effect_secrets(p_platform_id text, p_root_id text, p_id text)
RETURNS TABLE (use text, env_name text, name text, session_id text, version integer, master_key_id text,
			   salt bytea, sealed bytea, platform_salt bytea)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	e			theazo_data.effect;
	v_endpoint	jsonb;
	v_owner		text;
	v_ref		text;
	v_use		text;
	v_wanted	jsonb;
	v_own		jsonb;
	v_env		text;
	r			record;
BEGIN
	SELECT * INTO e FROM theazo_data.effect x WHERE x.platform_id = p_platform_id AND x.root_id = p_root_id AND x.id = p_id;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	v_env := coalesce((SELECT s.key_environment FROM theazo_data.session s WHERE s.platform_id = e.platform_id AND s.id = e.session_id), 'live');
	v_endpoint := theazo_internal.effect_endpoint(e.platform_id, e.session_id, e.provider_name, e.adapter);
	v_owner := coalesce(v_endpoint ->> 'owner', e.platform_id);
	FOREACH v_use IN ARRAY ARRAY['credential', 'signing']
	LOOP
		v_ref := v_endpoint ->> (v_use || '_ref');
		-- Without a signing secret the credential is both.
		IF v_ref IS NULL AND v_use = 'signing' THEN
			v_ref := v_endpoint ->> 'credential_ref';
		END IF;
		CONTINUE WHEN v_ref IS NULL;
		SELECT x.session_id, x.name, x.version, x.master_key_id, x.salt, x.sealed, p.vault_salt INTO r
		  FROM theazo_data.secret x JOIN theazo_data.platform p ON p.platform_id = x.platform_id
		 WHERE x.platform_id = v_owner AND x.name = v_ref
		   -- A session's vault counts for its own endpoint only: it must not stand in for what the platform stored.
		   AND x.session_id IN ('', CASE WHEN v_endpoint ->> 'provider' = e.session_id THEN e.session_id::text ELSE '' END)
		 ORDER BY x.session_id DESC LIMIT 1;
		IF NOT FOUND THEN
			RAISE EXCEPTION USING ERRCODE = '42704',
				MESSAGE = format('secret "%s" does not exist', v_ref),
				DETAIL = format('Provider "%s" names it as its %s.', v_endpoint ->> 'provider', v_use),
				HINT = 'Store it with theazo.secret_set() or change the provider.';
		END IF;
		use := v_use; env_name := NULL; name := r.name; session_id := r.session_id; version := r.version;
		master_key_id := r.master_key_id; salt := r.salt; sealed := r.sealed; platform_salt := r.vault_salt;
		RETURN NEXT;
		PERFORM theazo_internal.secret_opened(v_owner, r.session_id, r.name, v_use, e.platform_id, e.session_id, e.agent_id, e.run_id, v_env);
	END LOOP;
	IF e.kind NOT IN ('compute.create', 'compute.exec') THEN
		RETURN;
	END IF;
	SELECT a.options -> 'secrets', coalesce(a.options -> 'sessionSecrets', '[]') INTO v_wanted, v_own FROM theazo_data.agent a WHERE a.platform_id = e.platform_id AND a.id = e.agent_id;
	FOR r IN
		-- A list on the agent restricts and opens the platform's vault, but for names that one who acted for the
		-- session alone put there; without a list only the session's secrets are given.
		SELECT DISTINCT ON (v.env_name) v.env_name, x.session_id, x.name, x.version, x.master_key_id, x.salt, x.sealed, p.vault_salt
		  FROM theazo_data.secret x
		  JOIN theazo_data.platform p ON p.platform_id = x.platform_id
		 CROSS JOIN LATERAL (SELECT regexp_replace(regexp_replace(upper(x.name), '[^A-Z0-9_]', '_', 'g'), '^([0-9])', '_\1')) AS v (env_name)
		 WHERE x.platform_id = e.platform_id AND coalesce(x.delivery, 'env') = 'env'
		   AND CASE WHEN jsonb_typeof(v_wanted) = 'array'
					THEN v_wanted ? x.name AND (x.session_id = e.session_id OR x.session_id = '' AND NOT v_own ? x.name)
					ELSE x.session_id = e.session_id END
		   AND v.env_name NOT LIKE 'THEAZO\_%'
		 ORDER BY v.env_name, x.session_id DESC, x.name
		 LIMIT 200
	LOOP
		use := 'env'; env_name := r.env_name; name := r.name; session_id := r.session_id; version := r.version;
		master_key_id := r.master_key_id; salt := r.salt; sealed := r.sealed; platform_salt := r.vault_salt;
		RETURN NEXT;
		PERFORM theazo_internal.secret_opened(e.platform_id, r.session_id, r.name, 'env', e.platform_id, e.session_id, e.agent_id, e.run_id, v_env);
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_secrets(text, text, text) IS
'sealed secrets to open for one call; writes an event for each';

CREATE OR REPLACE FUNCTION theazo_internal.secret_opened(
	p_owner text, p_vault text, p_name text, p_use text, p_platform text, p_session text, p_agent text, p_run text, p_environment text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- One row a minute is enough for "last used"; a write per call would make the row hot.
	-- Nor does it wait: whoever holds the row is using it as well.
	UPDATE theazo_data.secret x SET last_used_at = now()
	  FROM (SELECT y.platform_id, y.session_id, y.name FROM theazo_data.secret y
			 WHERE y.platform_id = p_owner AND y.session_id = p_vault AND y.name = p_name
			   AND (y.last_used_at IS NULL OR y.last_used_at < now() - '1 minute'::interval)
			   FOR UPDATE SKIP LOCKED) y
	 WHERE x.platform_id = y.platform_id AND x.session_id = y.session_id AND x.name = y.name;
	PERFORM theazo_internal.event_write(p_platform, 'data', 'secret_opened',
		jsonb_build_object('name', p_name, 'use', p_use, 'vault', CASE p_vault WHEN '' THEN 'platform' ELSE 'session' END),
		p_session, p_agent, p_run, p_environment);
END
$$;
COMMENT ON FUNCTION theazo_internal.secret_opened(text, text, text, text, text, text, text, text, text) IS
'records that a worker opens a secret';

