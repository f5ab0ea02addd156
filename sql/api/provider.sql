-- provider.sql: the compute and model providers a platform configured. The choice among
-- them for an agent is in compute.sql.
--
-- Compute that runs on the operator's own machine or account is managed; whoever pays
-- follows from that, so a platform cannot declare the local sandbox its own.

CREATE OR REPLACE VIEW theazo.providers WITH (security_barrier) AS
SELECT p.platform_id, p.kind, p.name, p.type, p.mode, p.endpoint, p.credential_ref, p.signing_ref, p.config,
	   p.priority, p.limits, p.capabilities, p.created_at, p.updated_at
  FROM theazo_data.provider p
 WHERE (SELECT theazo_internal.may_read('provider:read')) AND theazo_internal.current_session() IS NULL AND p.name NOT LIKE 'ses\_%';
COMMENT ON VIEW theazo.providers IS 'the platform''s compute and model providers';

CREATE OR REPLACE FUNCTION theazo_internal.provider_shown(p_kind text, p_name text)
RETURNS theazo_data.provider LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo_data.provider;
BEGIN
	SELECT * INTO result FROM theazo_data.provider p
	 WHERE p.platform_id = theazo_internal.current_platform() AND p.kind = p_kind AND p.name = p_name
	   AND p.name NOT LIKE 'ses\_%';
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found(p_kind || ' provider', p_name);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.provider_shown(text, text) IS 'a provider of the caller, or 42704';

-- What an agent or a session may name: an entry of the platform's, or the operator's compute.
CREATE OR REPLACE FUNCTION theazo_internal.compute_named(p_name text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF p_name NOT IN ('theazo', 'local') THEN
		PERFORM theazo_internal.provider_shown('compute', p_name);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.compute_named(text) IS '42704 unless compute of that name exists for the caller';

CREATE OR REPLACE FUNCTION theazo_internal.provider_type(p_kind text, p_name text, p_type text, p_endpoint text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_kind = 'model' THEN
		RETURN theazo_internal.one_of('type', coalesce(p_type,
			CASE WHEN p_name IN ('anthropic', 'openai') THEN p_name ELSE 'openai-compatible' END),
			'anthropic', 'openai', 'openai-compatible');
	END IF;
	IF p_type IS NOT NULL THEN
		RETURN theazo_internal.one_of('type', CASE p_type WHEN 'custom' THEN 'webhook' ELSE p_type END,
			'local', 'webhook', 'docker', 'e2b', 'daytona', 'fly');
	ELSIF p_name IN ('local', 'docker', 'e2b', 'daytona', 'fly') THEN
		RETURN p_name;
	ELSIF p_endpoint IS NULL AND p_name <> 'custom' THEN
		PERFORM theazo_internal.raise_value('endpoint', pg_catalog.format('is needed for provider %s', theazo_internal.quoted(p_name)),
			'Names without a built-in adapter are webhooks and need the address of yours.');
	END IF;
	RETURN 'webhook';
END $$;
COMMENT ON FUNCTION theazo_internal.provider_type(text, text, text, text) IS
'the adapter that a provider''s name, type and endpoint mean';

CREATE OR REPLACE FUNCTION theazo.provider_set(
	name text, kind text DEFAULT 'compute', type text DEFAULT NULL, mode text DEFAULT NULL, endpoint text DEFAULT NULL,
	credential_ref text DEFAULT NULL, signing_ref text DEFAULT NULL, config jsonb DEFAULT '{}',
	priority integer DEFAULT 100, limits jsonb DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here text;
	ref text;
	result theazo.providers;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:write');
	PERFORM theazo_internal.shared_change_check('a provider');
	here := theazo_internal.current_platform();
	PERFORM theazo_internal.name_check('name', name, 128);
	IF name = 'theazo' OR name LIKE 'ses\_%' THEN
		PERFORM theazo_internal.raise_value('name', pg_catalog.format('%s is reserved', theazo_internal.quoted(name)), 'Choose another name.');
	END IF;
	PERFORM theazo_internal.one_of('kind', kind, 'compute', 'model');
	config := theazo_internal.object_check('config', config, 16384);
	endpoint := coalesce(endpoint, config ->> 'endpoint', CASE kind WHEN 'model' THEN config ->> 'baseUrl' END);
	signing_ref := coalesce(signing_ref, config ->> 'signingSecretRef');
	type := theazo_internal.provider_type(kind, name, type, endpoint);
	IF type = 'webhook' AND endpoint IS NULL THEN
		PERFORM theazo_internal.raise_value('endpoint', 'is needed for a webhook provider', 'Give the https address of your webhook.');
	ELSIF type = 'local' AND endpoint IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('endpoint', 'cannot be given for the local provider');
	ELSIF endpoint IS NOT NULL THEN
		endpoint := theazo_internal.endpoint_check('endpoint', endpoint, theazo_internal.platform_http());
	END IF;
	mode := coalesce(mode, CASE type WHEN 'local' THEN 'managed' ELSE 'byoi' END);
	PERFORM theazo_internal.one_of('mode', mode, 'byoi', 'managed');
	IF kind = 'compute' AND (type = 'local') <> (mode = 'managed') THEN
		PERFORM theazo_internal.raise_value('mode', pg_catalog.format('%s does not fit a provider of type "%s"', theazo_internal.quoted(mode), type),
			CASE type WHEN 'local' THEN 'The local sandbox is the operator''s: managed.' ELSE 'The operator has no account there: byoi.' END);
	END IF;
	IF priority IS NULL OR priority NOT BETWEEN 0 AND 1000000 THEN
		PERFORM theazo_internal.raise_value('priority', 'must be from 0 to 1000000');
	END IF;
	limits := theazo_internal.object_check('limits', limits, 1024, ARRAY['maxConcurrent']);
	IF limits ? 'maxConcurrent' THEN
		PERFORM theazo_internal.integer_check('limits.maxConcurrent', limits -> 'maxConcurrent', 0, 1000000);
	END IF;
	FOREACH ref IN ARRAY pg_catalog.array_remove(ARRAY[credential_ref, signing_ref], NULL) LOOP
		-- the share lock keeps a delete of the secret from passing this check
		PERFORM 1 FROM theazo_data.secret s WHERE s.platform_id = here AND s.session_id = '' AND s.name = ref FOR SHARE;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_value(CASE WHEN ref = credential_ref THEN 'credential_ref' ELSE 'signing_ref' END,
				pg_catalog.format('names no stored secret: %s', theazo_internal.quoted(ref)),
				'Store it first with theazo.secret_set().');
		END IF;
	END LOOP;
	IF (SELECT pg_catalog.count(*) FROM theazo_data.provider p WHERE p.platform_id = here AND p.name NOT LIKE 'ses\_%') >= 200 THEN
		PERFORM 1 FROM theazo_data.provider p WHERE p.platform_id = here AND p.kind = provider_set.kind AND p.name = provider_set.name;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_ceiling('providers', 200, 'Delete those that are not used.');
		END IF;
	END IF;
	INSERT INTO theazo_data.provider AS p (platform_id, kind, name, type, mode, endpoint, credential_ref, signing_ref, config, priority, limits)
	VALUES (here, provider_set.kind, provider_set.name, provider_set.type, provider_set.mode, provider_set.endpoint,
			provider_set.credential_ref, provider_set.signing_ref, provider_set.config, provider_set.priority, provider_set.limits)
	ON CONFLICT ON CONSTRAINT provider_pkey DO UPDATE
	   SET type = excluded.type, mode = excluded.mode, endpoint = excluded.endpoint, credential_ref = excluded.credential_ref,
		   signing_ref = excluded.signing_ref, config = excluded.config, priority = excluded.priority, limits = excluded.limits,
		   capabilities = '{}', updated_at = pg_catalog.now();
	SELECT * INTO STRICT result FROM theazo.providers p
	 WHERE p.platform_id = here AND p.kind = provider_set.kind AND p.name = provider_set.name;
	PERFORM theazo_internal.event_write(here, 'control', 'provider_set',
		pg_catalog.jsonb_build_object('kind', result.kind, 'name', result.name, 'type', result.type, 'mode', result.mode,
			'endpoint', result.endpoint, 'credentialRef', result.credential_ref, 'priority', result.priority),
		NULL, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.provider_set(text, text, text, text, text, text, text, jsonb, integer, jsonb, text) IS
'creates or replaces a provider; replacing forgets what was learnt of it';

CREATE OR REPLACE FUNCTION theazo.provider_get(name text, kind text DEFAULT 'compute', api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.providers;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:read');
	PERFORM theazo_internal.refuse_narrowed('a provider');
	PERFORM theazo_internal.one_of('kind', kind, 'compute', 'model');
	SELECT * INTO result FROM theazo.providers p
	 WHERE p.platform_id = theazo_internal.current_platform() AND p.kind = provider_get.kind AND p.name = provider_get.name;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found(kind || ' provider', name);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.provider_get(text, text, text) IS 'one provider';

CREATE OR REPLACE FUNCTION theazo.provider_delete(name text, kind text DEFAULT 'compute', force boolean DEFAULT false, api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.providers;
	live bigint;
BEGIN
	result := theazo.provider_get(name, kind, api_key);
	PERFORM theazo_internal.enter(NULL, 'provider:write');
	PERFORM theazo_internal.shared_change_check('a provider');
	SELECT pg_catalog.count(*) INTO live FROM theazo_data.sandbox b
	 WHERE b.platform_id = result.platform_id AND b.provider_name = result.name
	   AND b.status IN ('creating', 'ready', 'paused', 'destroying');
	IF kind = 'compute' AND live > 0 AND NOT coalesce(force, false) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_in_use',
			MESSAGE = pg_catalog.format('provider %s holds %s live sandboxes', theazo_internal.quoted(name), live),
			DETAIL = 'Without the provider they cannot be destroyed.',
			HINT = 'Terminate their agents first, or pass force => true and remove the sandboxes yourself.';
	END IF;
	DELETE FROM theazo_data.provider p
	 WHERE p.platform_id = result.platform_id AND p.kind = result.kind AND p.name = result.name;
	PERFORM theazo_internal.event_write(result.platform_id, 'control', 'provider_deleted',
		pg_catalog.jsonb_build_object('kind', result.kind, 'name', result.name, 'liveSandboxes', live),
		NULL, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.provider_delete(text, text, boolean, text) IS
'deletes a provider; refused while it holds sandboxes, unless forced';
