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
RETURNS theazo.providers LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.providers;
BEGIN
	PERFORM theazo_internal.one_of('kind', p_kind, 'compute', 'model');
	SELECT * INTO result FROM theazo.providers p
	 WHERE p.platform_id = theazo_internal.current_platform() AND p.kind = p_kind AND p.name = p_name;
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
	-- not by the view: whoever makes an agent need not be allowed to read it
	IF p_name NOT IN ('theazo', 'local') AND NOT EXISTS (SELECT FROM theazo_data.provider p
			WHERE p.platform_id = theazo_internal.current_platform() AND p.kind = 'compute' AND p.name = p_name AND p.name NOT LIKE 'ses\_%') THEN
		PERFORM theazo_internal.raise_not_found('compute provider', p_name);
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

-- Checks an entry and stores it. The caller has checked who asks; the operator's own entries are
-- managed, go to any address and are named by nobody else.
CREATE OR REPLACE FUNCTION theazo_internal.provider_put(
	p_platform text, p_name text, p_kind text, p_type text, p_mode text, p_endpoint text, p_credential_ref text, p_signing_ref text,
	p_config jsonb, p_priority integer, p_limits jsonb)
RETURNS theazo_data.provider LANGUAGE plpgsql AS $$
DECLARE
	is_operators boolean := p_platform = theazo_internal.operator_platform();
	ref text;
	result theazo_data.provider;
BEGIN
	PERFORM theazo_internal.name_check('name', p_name, 128);
	IF p_name = 'theazo' OR p_name LIKE 'theazo:%' OR p_name LIKE 'ses\_%' THEN
		PERFORM theazo_internal.raise_value('name', pg_catalog.format('%s is reserved', theazo_internal.quoted(p_name)), 'Choose another name.');
	END IF;
	PERFORM theazo_internal.one_of('kind', p_kind, 'compute', 'model');
	p_config := theazo_internal.object_check('config', p_config, 16384);
	p_endpoint := coalesce(p_endpoint, p_config ->> 'endpoint', CASE p_kind WHEN 'model' THEN p_config ->> 'baseUrl' END);
	p_signing_ref := coalesce(p_signing_ref, p_config ->> 'signingSecretRef', p_config ->> 'signing_secret_ref');
	p_type := theazo_internal.provider_type(p_kind, p_name, p_type, p_endpoint);
	IF p_type = 'webhook' AND p_endpoint IS NULL THEN
		PERFORM theazo_internal.raise_value('endpoint', 'is needed for a webhook provider', 'Give the https address of your webhook.');
	ELSIF p_type = 'local' AND p_endpoint IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('endpoint', 'cannot be given for the local provider');
	ELSIF p_endpoint IS NOT NULL THEN
		p_endpoint := theazo_internal.endpoint_check('endpoint', p_endpoint, is_operators OR theazo_internal.platform_http());
	END IF;
	p_mode := coalesce(p_mode, CASE p_type WHEN 'local' THEN 'managed' ELSE 'byoi' END);
	PERFORM theazo_internal.one_of('mode', p_mode, 'byoi', 'managed');
	IF p_kind = 'compute' AND NOT is_operators AND (p_type = 'local') <> (p_mode = 'managed') THEN
		PERFORM theazo_internal.raise_value('mode', pg_catalog.format('%s does not fit a provider of type "%s"', theazo_internal.quoted(p_mode), p_type),
			CASE p_type WHEN 'local' THEN 'The local sandbox is the operator''s: managed.' ELSE 'The operator has no account there: byoi.' END);
	END IF;
	IF p_priority IS NULL OR p_priority NOT BETWEEN 0 AND 1000000 THEN
		PERFORM theazo_internal.raise_value('priority', 'must be from 0 to 1000000');
	END IF;
	IF p_kind = 'model' THEN
		PERFORM theazo_internal.model_config_check('config', p_config);
		IF p_mode = 'managed' AND NOT is_operators THEN
			-- Back to the operator's account: what the platform had of its own there goes.
			p_endpoint := NULL;
			p_credential_ref := NULL;
			p_signing_ref := NULL;
		END IF;
	END IF;
	p_limits := theazo_internal.object_check('limits', p_limits, 1024, ARRAY['maxConcurrent']);
	IF p_limits ? 'maxConcurrent' THEN
		PERFORM theazo_internal.integer_check('limits.maxConcurrent', p_limits -> 'maxConcurrent', 0, 1000000);
	END IF;
	FOREACH ref IN ARRAY pg_catalog.array_remove(ARRAY[p_credential_ref, p_signing_ref], NULL) LOOP
		-- the share lock keeps a delete of the secret from passing this check
		PERFORM 1 FROM theazo_data.secret s WHERE s.platform_id = p_platform AND s.session_id = '' AND s.name = ref FOR SHARE;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_value(CASE WHEN ref = p_credential_ref THEN 'credential_ref' ELSE 'signing_ref' END,
				pg_catalog.format('names no stored secret: %s', theazo_internal.quoted(ref)),
				CASE WHEN is_operators THEN 'Store it first with theazo.operator_secret_set().' ELSE 'Store it first with theazo.secret_set().' END);
		END IF;
	END LOOP;
	IF (SELECT pg_catalog.count(*) FROM theazo_data.provider p WHERE p.platform_id = p_platform AND p.name NOT LIKE 'ses\_%') >= 200 THEN
		PERFORM 1 FROM theazo_data.provider p WHERE p.platform_id = p_platform AND p.kind = p_kind AND p.name = p_name;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_ceiling('providers', 200, 'Delete those that are not used.');
		END IF;
	END IF;
	INSERT INTO theazo_data.provider AS p (platform_id, kind, name, type, mode, endpoint, credential_ref, signing_ref, config, priority, limits)
	VALUES (p_platform, p_kind, p_name, p_type, p_mode, p_endpoint, p_credential_ref, p_signing_ref, p_config, p_priority, p_limits)
	ON CONFLICT ON CONSTRAINT provider_pkey DO UPDATE
	   SET type = excluded.type, mode = excluded.mode, endpoint = excluded.endpoint, credential_ref = excluded.credential_ref,
		   signing_ref = excluded.signing_ref, config = excluded.config, priority = excluded.priority, limits = excluded.limits,
		   capabilities = '{}', updated_at = pg_catalog.now()
	RETURNING * INTO result;
	IF p_kind = 'model' THEN
		PERFORM theazo_internal.model_changed(p_platform, p_name);
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'provider_set',
		pg_catalog.jsonb_build_object('kind', result.kind, 'name', result.name, 'type', result.type, 'mode', result.mode,
			'endpoint', result.endpoint, 'credentialRef', result.credential_ref, 'signingRef', result.signing_ref, 'priority', result.priority),
		NULL, NULL, NULL, coalesce(theazo_internal.current_environment(), 'live'));
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.provider_put(text, text, text, text, text, text, text, text, jsonb, integer, jsonb) IS
'creates or replaces a provider of a platform, or of the operator';

CREATE OR REPLACE FUNCTION theazo.provider_set(
	name text, kind text DEFAULT 'compute', type text DEFAULT NULL, mode text DEFAULT NULL, endpoint text DEFAULT NULL,
	credential_ref text DEFAULT NULL, signing_ref text DEFAULT NULL, config jsonb DEFAULT '{}',
	priority integer DEFAULT 100, limits jsonb DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here text;
	result theazo.providers;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:write');
	PERFORM theazo_internal.shared_change_check('a provider');
	here := theazo_internal.current_platform();
	PERFORM theazo_internal.provider_put(here, name, kind, type, mode, endpoint, credential_ref, signing_ref, config, priority, limits);
	SELECT * INTO STRICT result FROM theazo.providers p
	 WHERE p.platform_id = here AND p.kind = provider_set.kind AND p.name = provider_set.name;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.provider_set(text, text, text, text, text, text, text, jsonb, integer, jsonb, text) IS
'creates or replaces a provider; replacing forgets what was learnt of it';

CREATE OR REPLACE FUNCTION theazo.provider_get(name text, kind text DEFAULT 'compute', api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:read');
	PERFORM theazo_internal.refuse_narrowed('a provider');
	RETURN theazo_internal.provider_shown(kind, name);
END $$;
COMMENT ON FUNCTION theazo.provider_get(text, text, text) IS 'one provider';

-- The caller has checked who asks, and that it is there.
CREATE OR REPLACE FUNCTION theazo_internal.provider_drop(p_platform text, p_kind text, p_name text, p_force boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	is_operators boolean := p_platform = theazo_internal.operator_platform();
	live bigint := 0;
BEGIN
	IF p_kind = 'compute' THEN
		SELECT pg_catalog.count(*) INTO live FROM theazo_data.sandbox b
		 WHERE (is_operators OR b.platform_id = p_platform) AND b.provider_name = CASE WHEN is_operators THEN 'theazo:' ELSE '' END || p_name
		   AND b.status IN ('creating', 'ready', 'paused', 'destroying', 'held');
	END IF;
	IF live > 0 AND NOT coalesce(p_force, false) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_in_use',
			MESSAGE = pg_catalog.format('provider %s holds %s live sandboxes', theazo_internal.quoted(p_name), live),
			DETAIL = 'Without the provider they cannot be destroyed.',
			HINT = 'Terminate their agents first, or pass force => true and remove the sandboxes yourself.';
	END IF;
	DELETE FROM theazo_data.provider p WHERE p.platform_id = p_platform AND p.kind = p_kind AND p.name = p_name;
	IF p_kind = 'model' THEN
		PERFORM theazo_internal.model_changed(p_platform, p_name);
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'provider_deleted',
		pg_catalog.jsonb_build_object('kind', p_kind, 'name', p_name, 'liveSandboxes', live),
		NULL, NULL, NULL, coalesce(theazo_internal.current_environment(), 'live'));
END $$;
COMMENT ON FUNCTION theazo_internal.provider_drop(text, text, text, boolean) IS
'deletes a provider of a platform, or of the operator, unless it holds sandboxes and this is not forced';

CREATE OR REPLACE FUNCTION theazo.provider_delete(name text, kind text DEFAULT 'compute', force boolean DEFAULT false, api_key text DEFAULT NULL)
RETURNS theazo.providers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.providers;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'provider:write');
	PERFORM theazo_internal.shared_change_check('a provider');
	result := theazo_internal.provider_shown(kind, name);
	PERFORM theazo_internal.provider_drop(result.platform_id, result.kind, result.name, force);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.provider_delete(text, text, boolean, text) IS
'deletes a provider; refused while it holds sandboxes, unless forced';
