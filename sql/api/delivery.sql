-- delivery.sql: which secrets a call gets, and how: in a header, in the environment of a process, or not at all.

-- The environment variable a secret becomes; its placeholder is named after it.
CREATE OR REPLACE FUNCTION theazo_internal.secret_env_name(p_name text)
RETURNS text LANGUAGE sql IMMUTABLE	-- a body without settings is inlined: a tenth of the time
RETURN pg_catalog.regexp_replace(pg_catalog.regexp_replace(pg_catalog.upper(p_name COLLATE "C"), '[^A-Z0-9_]', '_', 'g'), '^([0-9])', '_\1');
COMMENT ON FUNCTION theazo_internal.secret_env_name(text) IS
'name of the environment variable that a secret of this name becomes';

-- Names of the placeholders in the headers of a request, also inside basic authentication.
CREATE OR REPLACE FUNCTION theazo_internal.header_placeholders(p_headers jsonb)
RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(DISTINCT m.name[1]), '{}')
	  FROM jsonb_each_text(CASE WHEN jsonb_typeof(p_headers) = 'object' THEN p_headers ELSE '{}' END) h
	 CROSS JOIN LATERAL (SELECT rtrim(substring(h.value FROM '^\s*[Bb][Aa][Ss][Ii][Cc]\s+([A-Za-z0-9+/]+)={0,2}\s*$')) AS b64) b
	 CROSS JOIN LATERAL (
		SELECT h.value AS text
		UNION ALL
		-- padded here, so that what a lenient server would take is looked into as well
		SELECT encode(decode(rpad(b.b64, (length(b.b64) + 3) / 4 * 4, '='), 'base64'), 'escape')
		 WHERE length(b.b64) % 4 <> 1) t
	 CROSS JOIN LATERAL regexp_matches(t.text, 'tzsecret_([A-Z0-9_]+)', 'g') AS m (name)
$$;
COMMENT ON FUNCTION theazo_internal.header_placeholders(jsonb) IS
'environment names of the brokered secrets whose placeholder stands in request headers';

-- Secrets an agent may have, one for each environment name: its session's vault first, then the platform's. A list on
-- the agent restricts and opens the platform's vault, but for names that one who acted for the session alone put there;
-- without a list only the session's secrets are given.
CREATE OR REPLACE FUNCTION theazo_internal.agent_secrets(p_platform text, p_session text, p_agent text)
RETURNS TABLE (env_name text, delivery text, vault text, name text, version integer, master_key_id text, salt bytea,
			   sealed bytea, hosts text[], header text, username text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_wanted	jsonb;
	v_own		jsonb;
	v_delivery	text;
BEGIN
	SELECT a.options -> 'secrets', coalesce(a.options -> 'sessionSecrets', '[]'), coalesce(a.options ->> 'secretDelivery', p.secret_delivery)
	  INTO v_wanted, v_own, v_delivery
	  FROM theazo_data.agent a JOIN theazo_data.platform p ON p.platform_id = a.platform_id
	 WHERE a.platform_id = p_platform AND a.id = p_agent;
	RETURN QUERY
		SELECT DISTINCT ON (v.env_name) v.env_name, coalesce(x.delivery, v_delivery, 'env'), x.session_id::text, x.name, x.version,
			   x.master_key_id, x.salt, x.sealed, x.hosts, x.header, x.username
		  FROM theazo_data.secret x
		 CROSS JOIN LATERAL (SELECT theazo_internal.secret_env_name(x.name)) AS v (env_name)
		 WHERE x.platform_id = p_platform AND x.session_id IN ('', p_session)
		   AND CASE WHEN jsonb_typeof(v_wanted) = 'array'
					THEN v_wanted ? x.name AND (x.session_id = p_session OR x.session_id = '' AND NOT v_own ? x.name)
					ELSE x.session_id = p_session END
		   AND v.env_name NOT LIKE 'THEAZO\_%'
		 ORDER BY v.env_name, x.session_id DESC, x.name
		 LIMIT 200;
END
$$;
COMMENT ON FUNCTION theazo_internal.agent_secrets(text, text, text) IS
'sealed secrets an agent may have, by environment name, and how each is delivered';

-- What to open for one call. use says what for:
--   credential, signing	of the provider; a row without a value means the placeholder of env_name
--   env					environment variable of the sandbox
--   placeholder			environment variable of the sandbox that gets the placeholder; no value
--   broker					value for the headers of calls to hosts only, where the placeholder stands
--   mask					given to this sandbox earlier; kept out of what comes back
-- Every value that is opened is an event; host is where it goes. p_endpoint is where the claim found that the call goes:
-- a credential that was set together with another address must not follow the call to this one.
CREATE OR REPLACE FUNCTION theazo_internal.effect_secrets(p_platform_id text, p_root_id text, p_id text, p_endpoint jsonb DEFAULT NULL)
RETURNS TABLE (use text, env_name text, owner text, session_id text, name text, version integer, master_key_id text,
			   salt bytea, sealed bytea, platform_salt bytea, hosts text[], header text, username text, host text)
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
	v_request	jsonb;
	v_names		text[];
	v_env		text;
	v_salt		bytea;
	v_boot		boolean;
	v_output	boolean;
	v_given		text[] := '{}';
	v_n			integer := 0;
	v_bytes		bigint := 0;
	v_most		bigint;
	r			record;
BEGIN
	SELECT * INTO e FROM theazo_data.effect x WHERE x.platform_id = p_platform_id AND x.root_id = p_root_id AND x.id = p_id;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	v_env := coalesce((SELECT s.key_environment FROM theazo_data.session s WHERE s.platform_id = e.platform_id AND s.id = e.session_id), 'live');
	v_endpoint := coalesce(p_endpoint, CASE WHEN e.kind = 'model.call' THEN theazo_internal.model_endpoint(e.platform_id, e.root_id)
					   ELSE theazo_internal.effect_endpoint(e.platform_id, e.session_id, e.provider_name, e.adapter) END);
	IF v_endpoint ? 'gone' THEN
		RAISE EXCEPTION USING ERRCODE = '42704',
			MESSAGE = format('model provider "%s" does not exist any more', v_endpoint ->> 'provider'),
			HINT = 'It was deleted or became another one while the run was going on.';
	END IF;
	v_owner := coalesce(v_endpoint ->> 'owner', e.platform_id);
	host := theazo_internal.url_host(v_endpoint ->> 'url');
	-- Models, judges and anchors are not signed to.
	FOREACH v_use IN ARRAY CASE WHEN e.kind IN ('model.call', 'safety.judge') OR e.kind LIKE 'anchor.%' THEN ARRAY['credential']
		WHEN e.kind = 'webhook.deliver' THEN ARRAY['signing', 'previous'] ELSE ARRAY['credential', 'signing'] END
	LOOP
		v_ref := v_endpoint ->> (v_use || '_ref');
		-- Without a signing secret the credential is both.
		IF v_ref IS NULL AND v_use = 'signing' THEN
			v_ref := v_endpoint ->> 'credential_ref';
		END IF;
		CONTINUE WHEN v_ref IS NULL;
		SELECT x.session_id, x.name, x.version, x.master_key_id, x.salt, x.sealed, p.vault_salt, x.hosts, x.header, x.username,
			   -- The default of a platform is about sandboxes: it must not take away what reaches a provider today.
			   coalesce(x.delivery, CASE WHEN x.hosts = '{}' THEN 'env' ELSE p.secret_delivery END) = 'brokered' AS brokered,
			   -- in one snapshot with the value
			   CASE WHEN e.kind = 'model.call' THEN theazo_internal.model_endpoint(e.platform_id, e.root_id) ->> 'url'
					WHEN e.kind NOT LIKE 'compute.%' THEN theazo_internal.effect_endpoint(e.platform_id, e.session_id, e.provider_name, e.adapter) ->> 'url'
					ELSE (SELECT y.endpoint FROM theazo_data.provider y
						   WHERE y.platform_id = v_owner AND y.kind = 'compute'
							 AND y.name = CASE WHEN e.provider_name LIKE 'theazo:%' THEN substr(e.provider_name, 8) ELSE e.provider_name END) END AS endpoint INTO r
		  FROM theazo_data.secret x JOIN theazo_data.platform p ON p.platform_id = x.platform_id
		 WHERE x.platform_id = v_owner AND x.name = v_ref
		   -- A session's vault counts for its own endpoint only: it must not stand in for what the platform stored.
		   -- What somebody set who acts for the session alone opens nothing else.
		   AND x.session_id IN (CASE WHEN v_endpoint ->> 'vault' = 'session' THEN e.session_id::text ELSE '' END,
				CASE WHEN v_endpoint ->> 'provider' = e.session_id OR v_endpoint ->> 'vault' IN ('session', 'any') THEN e.session_id::text ELSE '' END)
		 ORDER BY x.session_id DESC LIMIT 1;
		IF NOT FOUND AND v_owner <> e.platform_id THEN
			RAISE EXCEPTION USING ERRCODE = '42704',
				MESSAGE = 'the account of the managed provider is not set up',
				HINT = 'The operator has to store its credential.';
		ELSIF NOT FOUND THEN
			RAISE EXCEPTION USING ERRCODE = '42704',
				MESSAGE = format('secret "%s" does not exist', v_ref),
				DETAIL = format('Provider "%s" names it as its %s.', v_endpoint ->> 'provider', v_use),
				HINT = 'Store it with theazo.secret_set() or change the provider.';
		END IF;
		IF r.endpoint IS DISTINCT FROM v_endpoint ->> 'url' THEN
			RAISE EXCEPTION USING ERRCODE = '40001',
				MESSAGE = 'the provider got another address while the call began',
				HINT = 'Nothing was sent. Call again.';
		END IF;
		use := v_use; env_name := NULL; owner := v_owner; session_id := r.session_id; name := r.name; version := r.version;
		hosts := NULL; header := NULL; username := NULL;
		IF v_use = 'credential' AND r.brokered THEN
			-- The adapter gets the placeholder, the value is put in its place afterwards.
			env_name := theazo_internal.secret_env_name(r.name);
			master_key_id := NULL; salt := NULL; sealed := NULL; platform_salt := NULL;
			RETURN NEXT;
			use := 'broker'; hosts := r.hosts; header := r.header; username := r.username;
		END IF;
		master_key_id := r.master_key_id; salt := r.salt; sealed := r.sealed; platform_salt := r.vault_salt;
		RETURN NEXT;
		PERFORM theazo_internal.secret_opened(v_owner, r.session_id, r.name, r.version, use, host, e.platform_id, e.session_id, e.agent_id, e.run_id, v_env);
	END LOOP;

	-- The operator's search: placeholders stand for secrets of the operator, and no others.
	IF v_endpoint ? 'brokered_by' THEN
		SELECT coalesce(ep.request, rp.input) INTO v_request
		  FROM (SELECT) one
		  LEFT JOIN theazo_data.run_payload rp ON e.step_seq IS NULL AND rp.platform_id = e.platform_id AND rp.root_id = e.root_id
		  LEFT JOIN theazo_data.effect_payload ep ON ep.platform_id = e.platform_id AND ep.root_id = e.root_id AND ep.id = e.id;
		host := theazo_internal.url_host(v_request ->> 'url');
		FOR r IN SELECT x.name, x.version, x.master_key_id, x.salt, x.sealed, x.hosts, x.header, x.username, p.vault_salt,
						theazo_internal.secret_env_name(x.name) AS env_name
				   FROM theazo_data.secret x JOIN theazo_data.platform p ON p.platform_id = x.platform_id
				  WHERE x.platform_id = v_endpoint ->> 'brokered_by' AND x.session_id = '' AND x.delivery = 'brokered'
					AND theazo_internal.secret_env_name(x.name) = ANY (theazo_internal.header_placeholders(v_request -> 'headers'))
		LOOP
			use := 'broker'; env_name := r.env_name; owner := v_endpoint ->> 'brokered_by'; session_id := ''; name := r.name; version := r.version;
			master_key_id := r.master_key_id; salt := r.salt; sealed := r.sealed; platform_salt := r.vault_salt;
			hosts := r.hosts; header := r.header; username := r.username;
			RETURN NEXT;
			PERFORM theazo_internal.secret_opened(owner, '', r.name, r.version, use, host, e.platform_id, e.session_id, e.agent_id, e.run_id, v_env);
		END LOOP;
		RETURN;
	END IF;

	owner := e.platform_id;
	SELECT p.vault_salt INTO v_salt FROM theazo_data.platform p WHERE p.platform_id = e.platform_id;
	IF v_salt IS NULL THEN
		RETURN;
	END IF;
	IF e.adapter = 'http' THEN
		SELECT CASE WHEN e.step_seq IS NULL AND e.kind <> 'http.fetch' THEN coalesce(rp.input, ep.request) ELSE ep.request END INTO v_request
		  FROM (SELECT) one
		  LEFT JOIN theazo_data.run_payload rp ON e.run_id IS NOT NULL AND rp.platform_id = e.platform_id AND rp.root_id = e.root_id
		  LEFT JOIN theazo_data.effect_payload ep ON ep.platform_id = e.platform_id AND ep.root_id = e.root_id AND ep.id = e.id;
		v_names := theazo_internal.header_placeholders(v_request -> 'headers');
		host := theazo_internal.url_host(v_request ->> 'url');
	END IF;
	-- Sandboxes are given them with each process, so not when they are made; only a customer's endpoint takes them then, too.
	v_most := CASE e.adapter WHEN 'local' THEN 262144 ELSE 2097152 END;
	-- One that is made ahead is nobody's yet.
	v_boot := e.kind = 'compute.exec' OR e.kind = 'compute.create' AND e.adapter = 'webhook' AND e.agent_id IS NOT NULL;
	IF v_boot OR cardinality(v_names) > 0 THEN
		FOR r IN SELECT * FROM theazo_internal.agent_secrets(e.platform_id, e.session_id, e.agent_id) a
				  WHERE v_boot OR a.delivery = 'brokered' AND a.env_name = ANY (v_names)
		LOOP
			use := CASE WHEN NOT v_boot THEN 'broker' WHEN r.delivery = 'brokered' THEN 'placeholder' ELSE 'env' END;
			-- Before anything is opened or counts as given: what was given once is looked for as long as the sandbox lives.
			IF use = 'env' THEN
				v_bytes := v_bytes + octet_length(r.env_name) + octet_length(r.sealed);
				IF v_bytes > v_most THEN
					RAISE EXCEPTION USING ERRCODE = '54000',
						MESSAGE = format('the secrets of the agent take more than the %s bytes that its environment has', v_most),
						HINT = 'Name those that it needs in its option secrets, or set large ones as brokered.';
				END IF;
			END IF;
			env_name := r.env_name; session_id := r.vault; name := r.name; version := r.version;
			master_key_id := NULL; salt := NULL; sealed := NULL; platform_salt := NULL; hosts := NULL; header := NULL; username := NULL;
			IF use = 'broker' THEN
				hosts := r.hosts; header := r.header; username := r.username;
			END IF;
			IF use <> 'placeholder' THEN
				master_key_id := r.master_key_id; salt := r.salt; sealed := r.sealed; platform_salt := v_salt;
			END IF;
			RETURN NEXT;
			CONTINUE WHEN use = 'placeholder';
			PERFORM theazo_internal.secret_opened(e.platform_id, r.vault, r.name, r.version, use, host, e.platform_id, e.session_id, e.agent_id, e.run_id, v_env);
			IF use = 'env' AND e.sandbox_id IS NOT NULL THEN
				v_given := v_given || format('%s/%s/%s', r.vault, r.version, r.name);
				-- What does not open is not given; a copy of it would fail every later call of this sandbox.
				INSERT INTO theazo_data.secret_delivered (platform_id, sandbox_id, session_id, name, version, master_key_id, salt, sealed)
				SELECT e.platform_id, e.sandbox_id, r.vault, r.name, r.version, r.master_key_id, r.salt, r.sealed
				 WHERE CASE WHEN theazo_internal.master_key_loaded(r.master_key_id)
							THEN theazo_internal.secret_opens(e.platform_id, r.vault, r.name, r.version, v_salt, r.master_key_id, r.salt, r.sealed) END
				ON CONFLICT ON CONSTRAINT secret_delivered_pkey DO NOTHING;
			END IF;
		END LOOP;
	END IF;

	-- What was given to this sandbox earlier may still be in its files and processes.
	v_output := e.kind IN ('compute.exec', 'compute.read', 'compute.list');
	IF e.sandbox_id IS NULL OR e.adapter = 'local' AND NOT v_output THEN
		RETURN;
	END IF;
	use := 'mask'; env_name := NULL; hosts := NULL; header := NULL; username := NULL; platform_salt := v_salt; host := NULL;
	FOR r IN SELECT d.session_id AS vault, d.name, d.version, d.master_key_id, d.salt, d.sealed FROM theazo_data.secret_delivered d
			  WHERE d.platform_id = e.platform_id AND d.sandbox_id = e.sandbox_id
				AND format('%s/%s/%s', d.session_id, d.version, d.name) <> ALL (v_given)
				-- A machine must be given back also when the key to what it once held is gone, and used when that was given up.
				AND (theazo_internal.master_key_loaded(d.master_key_id)
					 OR v_output AND NOT EXISTS (SELECT FROM theazo_data.master_key m
												  WHERE m.platform_id = theazo_internal.operator_platform() AND m.id = d.master_key_id AND m.lost))
			  ORDER BY d.delivered_at DESC, d.name, d.version
	LOOP
		v_n := v_n + 1;
		IF v_n > 300 THEN
			EXIT WHEN NOT v_output;
			RAISE EXCEPTION USING ERRCODE = '54000',
				MESSAGE = format('more than %s earlier values of secrets would have to be kept out of what the sandbox prints', v_n - 1),
				HINT = 'Start a new agent: its sandbox has been given none of them.';
		END IF;
		session_id := r.vault; name := r.name; version := r.version; master_key_id := r.master_key_id; salt := r.salt; sealed := r.sealed;
		RETURN NEXT;
		PERFORM theazo_internal.secret_opened(e.platform_id, r.vault, r.name, r.version, use, NULL, e.platform_id, e.session_id, e.agent_id, e.run_id, v_env);
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_secrets(text, text, text, jsonb) IS
'sealed secrets to open for one call, and what for; writes an event for each that is opened';

CREATE OR REPLACE FUNCTION theazo_internal.url_host(p_url text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN pg_catalog.lower(pg_catalog."substring"(p_url, '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[^]/?#]*\]|[^/:?#]+)'));
END
$$;
COMMENT ON FUNCTION theazo_internal.url_host(text) IS 'host of a URL in lower case, or null';

CREATE OR REPLACE FUNCTION theazo_internal.secret_opened(
	p_owner text, p_vault text, p_name text, p_version integer, p_use text, p_host text,
	p_platform text, p_session text, p_agent text, p_run text, p_environment text)
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
	IF p_owner <> p_platform THEN
		-- Names and addresses of the operator's accounts are no business of the platform that uses them.
		PERFORM theazo_internal.event_write(p_owner, 'data', 'secret_opened',
			jsonb_build_object('name', p_name, 'version', p_version, 'use', p_use, 'host', p_host, 'vault', 'operator',
							   'platform', p_platform, 'session', p_session, 'agent', p_agent, 'run', p_run),
			NULL, NULL, NULL, p_environment);
		RETURN;
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'data', 'secret_opened',
		jsonb_build_object('name', p_name, 'version', p_version, 'use', p_use, 'host', p_host,
						   'vault', CASE p_vault WHEN '' THEN 'platform' ELSE 'session' END),
		p_session, p_agent, p_run, p_environment);
END
$$;
COMMENT ON FUNCTION theazo_internal.secret_opened(text, text, text, integer, text, text, text, text, text, text, text) IS
'records that a worker opens a secret';

-- A sandbox that has ended prints nothing any more.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_delivered()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_n integer;
BEGIN
	DELETE FROM theazo_data.secret_delivered d
	 USING (SELECT x.platform_id, x.sandbox_id, x.session_id, x.name, x.version FROM theazo_data.secret_delivered x
			 WHERE NOT EXISTS (SELECT FROM theazo_data.sandbox s
								WHERE s.platform_id = x.platform_id AND s.id = x.sandbox_id
								  AND s.status IN ('creating', 'ready', 'paused', 'destroying', 'held'))
			 LIMIT 10000 FOR UPDATE SKIP LOCKED) x
	 WHERE d.platform_id = x.platform_id AND d.sandbox_id = x.sandbox_id AND d.session_id = x.session_id
	   AND d.name = x.name AND d.version = x.version;
	GET DIAGNOSTICS v_n = ROW_COUNT;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_delivered() IS 'keeper: forgets values that were given to sandboxes that have ended';
