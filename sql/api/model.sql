-- model.sql: which model answers a run, and where.
--
-- A chain of entries is fixed when a run starts: {provider, adapter, api, dialect, sent, model, shown, managed, owner} and, for
-- what an agent or a session configured itself, {own, url, config, credential, vault}. Entries of the platform and of the operator
-- are looked up again at each call, so that a new secret or address holds at once.

-- The name under which tokens are counted and priced: vendor/model, lower case, without the date of a snapshot. What stands
-- behind a colon stays: it is another model (llama3:70b) or another way of serving one, at another price.
CREATE OR REPLACE FUNCTION theazo_internal.model_id(p_name text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_name text := regexp_replace(lower(p_name), '(@[0-9a-z.-]+|-20[0-9]{6}|-20[0-9]{2}-[0-9]{2}-[0-9]{2}|-latest)$', '');
BEGIN
	IF v_name !~ '/' THEN
		v_name := CASE WHEN v_name LIKE 'claude%' THEN 'anthropic/'
					   WHEN v_name ~ '^(gpt|chatgpt|o[0-9]|text-embedding)' THEN 'openai/'
					   WHEN v_name LIKE 'gemini%' THEN 'google/' ELSE '' END || v_name;
	END IF;
	-- Resellers write claude-opus-5.5.
	RETURN CASE WHEN v_name LIKE 'anthropic/%' THEN replace(v_name, '.', '-') ELSE v_name END;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_id(text) IS 'canonical id of a model: what tokens are counted and priced under';

-- The vendor's own service? Everything else that speaks its API is a gateway.
CREATE OR REPLACE FUNCTION theazo_internal.model_direct(p_type text, p_url text)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN CASE p_type WHEN 'anthropic' THEN p_url IS NULL OR theazo_internal.url_host(p_url) OPERATOR(pg_catalog.~) '(^|\.)api\.anthropic\.com$'
					   WHEN 'openai' THEN p_url IS NULL OR theazo_internal.url_host(p_url) OPERATOR(pg_catalog.~) '(^|\.)api\.openai\.com$'
					   ELSE false END;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_direct(text, text) IS 'does a provider of this type and address belong to the vendor itself';

-- Somebody else's server behind the name openai speaks the dialect that servers have in common.
CREATE OR REPLACE FUNCTION theazo_internal.model_adapter(p_type text, p_url text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN CASE WHEN p_type = 'openai' AND NOT theazo_internal.model_direct(p_type, p_url) THEN 'openai-compatible' ELSE p_type END;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_adapter(text, text) IS 'the adapter that a model provider''s type and address mean';

-- What a gateway is known by besides what its entry says. Azure takes its key in a header of its own, so it must be known.
CREATE OR REPLACE FUNCTION theazo_internal.model_preset(p_url text, p_config jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	v_host text;
BEGIN
	IF p_config OPERATOR(pg_catalog.->>) 'preset' IS NOT NULL THEN
		RETURN p_config OPERATOR(pg_catalog.->>) 'preset';
	END IF;
	v_host := theazo_internal.url_host(p_url);
	RETURN CASE WHEN v_host OPERATOR(pg_catalog.~) '(^|\.)openrouter\.ai$' THEN 'openrouter'
				WHEN v_host OPERATOR(pg_catalog.~) '\.(openai\.azure\.com|services\.ai\.azure\.com|cognitiveservices\.azure\.com)$' THEN 'azure'
				WHEN p_url OPERATOR(pg_catalog.~) '^[a-z]+://[^/]*:11434(/|$)' THEN 'ollama' END;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_preset(text, jsonb) IS 'the kind of gateway: what its entry says, else what its address tells';

CREATE OR REPLACE FUNCTION theazo_internal.model_base(p_adapter text, p_preset text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN p_adapter = 'anthropic' THEN 'https://api.anthropic.com'
				WHEN p_preset = 'openrouter' THEN 'https://openrouter.ai/api/v1'
				WHEN p_preset = 'ollama' THEN 'http://localhost:11434/v1'
				ELSE 'https://api.openai.com/v1' END
$$;
COMMENT ON FUNCTION theazo_internal.model_base(text, text) IS 'address of a provider whose entry has none';

-- What the configuration of a model provider may say; the adapters read it.
CREATE OR REPLACE FUNCTION theazo_internal.model_config_check(p_field text, p_config jsonb)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k text;
	v text;
BEGIN
	IF p_config ? 'preset' THEN
		PERFORM theazo_internal.one_of(p_field || '.preset', p_config ->> 'preset', 'azure', 'openrouter', 'litellm', 'vllm', 'ollama');
	END IF;
	IF p_config ? 'api' THEN
		PERFORM theazo_internal.one_of(p_field || '.api', p_config ->> 'api', 'chat', 'responses');
	END IF;
	FOREACH k IN ARRAY ARRAY['model', 'deployment', 'api_version', 'auth', 'path', 'max_tokens_field'] LOOP
		IF p_config ? k THEN
			PERFORM theazo_internal.name_check(p_field || '.' || k, theazo_internal.text_check(p_field || '.' || k, p_config -> k, 200), 200);
		END IF;
	END LOOP;
	IF p_config ? 'path' AND p_config ->> 'path' NOT LIKE '/%' THEN
		PERFORM theazo_internal.raise_value(p_field || '.path', 'must begin with a slash');
	END IF;
	IF p_config ? 'cache' THEN
		PERFORM theazo_internal.one_of(p_field || '.cache', p_config ->> 'cache', 'off', '5m', '1h');
	END IF;
	FOREACH k IN ARRAY ARRAY['supports_stream_usage', 'supports_tool_choice'] LOOP
		IF p_config ? k THEN
			PERFORM theazo_internal.boolean_check(p_field || '.' || k, p_config -> k);
		END IF;
	END LOOP;
	FOREACH k IN ARRAY ARRAY['headers', 'query'] LOOP
		CONTINUE WHEN NOT p_config ? k;
		PERFORM theazo_internal.object_check(p_field || '.' || k, p_config -> k, 8192);
		FOR v IN SELECT x.key FROM jsonb_each(p_config -> k) x WHERE jsonb_typeof(x.value) <> 'string' OR theazo_internal.has_control(x.value #>> '{}') LOOP
			PERFORM theazo_internal.raise_value(p_field || '.' || k, format('has a value for %s that is no printable string', theazo_internal.quoted(v)));
		END LOOP;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_config_check(text, jsonb) IS '22023 for a model provider''s configuration that its adapter could not read';

-- These models take tools together with reasoning at the Responses API only.
CREATE OR REPLACE FUNCTION theazo_internal.model_api(p_model text, p_adapter text, p_config jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN p_adapter = 'anthropic' THEN 'messages'
				WHEN p_config ->> 'api' IN ('chat', 'responses') THEN p_config ->> 'api'
				WHEN p_adapter = 'openai' AND p_model ~ '^openai/gpt-(5\.[4-9]|[6-9]|[1-9][0-9])' THEN 'responses'
				ELSE 'chat' END
$$;
COMMENT ON FUNCTION theazo_internal.model_api(text, text, jsonb) IS 'which of a provider''s APIs a model is called through: messages, chat, responses';

-- One entry of a chain. p_own: what an agent or a session configured itself.
CREATE OR REPLACE FUNCTION theazo_internal.model_entry(
	p_type text, p_name text, p_provider text, p_owner text, p_managed boolean, p_url text, p_config jsonb, p_own jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_model		text := theazo_internal.model_id(p_name);
	v_adapter	text := theazo_internal.model_adapter(p_type, p_url);
	v_api		text := theazo_internal.model_api(v_model, v_adapter, p_config);
	v_plain		text := regexp_replace(p_name, '^(anthropic|openai)/', '');
BEGIN
	RETURN jsonb_strip_nulls(jsonb_build_object(
		'provider', p_provider, 'owner', p_owner, 'adapter', v_adapter, 'api', v_api,
		'dialect', CASE v_api WHEN 'messages' THEN 'anthropic' ELSE v_api END,
		-- A vendor knows its models without its name, a gateway needs it, and what was given for an address of one's own stays as it
		-- is. Azure knows deployments, whose names have no slash.
		'sent', CASE WHEN theazo_internal.model_preset(p_url, p_config) = 'azure' THEN coalesce(p_config ->> 'deployment', v_plain)
					 WHEN v_adapter <> 'openai-compatible' AND (p_own IS NULL OR p_url IS NULL) THEN v_plain
					 ELSE p_name END,
		'model', v_model, 'managed', p_managed, 'shown', CASE WHEN p_managed THEN 'theazo' ELSE coalesce(p_provider, p_type) END))
		|| coalesce(p_own, '{}');
END
$$;
COMMENT ON FUNCTION theazo_internal.model_entry(text, text, text, text, boolean, text, jsonb, jsonb) IS 'one entry of a chain of models';

-- Entries of one owner that can serve a model, best first: the vendor's own, then gateways, then the rest by priority; among
-- equals the one that was set up for this model. A platform's entry of mode managed stands for the operator's of its type.
CREATE OR REPLACE FUNCTION theazo_internal.model_entries(p_owner text, p_name text, p_type text DEFAULT NULL)
RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT theazo_internal.model_entry(v.type, p_name, v.name, v.platform_id, v.platform_id = o.platform, v.endpoint, v.config)
	  FROM (SELECT theazo_internal.operator_platform() AS platform, split_part(theazo_internal.model_id(p_name), '/', 1) AS vendor) o
	  JOIN theazo_data.provider e ON e.platform_id = p_owner AND e.kind = 'model' AND e.name NOT LIKE 'ses\_%'
	  JOIN theazo_data.provider v ON v.kind = 'model'
	   AND CASE WHEN e.mode = 'managed' AND e.platform_id <> o.platform THEN v.platform_id = o.platform AND v.type = e.type
				ELSE v.platform_id = e.platform_id AND v.name = e.name END
	 CROSS JOIN LATERAL (SELECT theazo_internal.model_direct(v.type, v.endpoint) AS direct) d
	 WHERE (p_type IS NULL OR e.type = p_type)
	   -- The vendor itself serves its own models only; of one that is nobody's anybody may know.
	   AND (NOT d.direct OR v.type = o.vendor OR o.vendor NOT IN ('anthropic', 'openai'))
	   AND coalesce((v.limits ->> 'maxConcurrent')::bigint, 1) > 0
	 ORDER BY CASE WHEN v.type = o.vendor AND (d.direct OR v.type = 'anthropic') THEN 0 WHEN v.type = 'openai-compatible' THEN 1
				   WHEN v.type = 'openai' AND NOT d.direct THEN 2 ELSE 3 END,
			  v.config ->> 'model' IS DISTINCT FROM p_name, e.priority, e.name, v.priority, v.name;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_entries(text, text, text) IS 'provider entries that can serve a model, best first';

-- What an agent or a session says about its models, apart from their names.
CREATE OR REPLACE FUNCTION theazo_internal.model_configured(p_doc jsonb)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce(jsonb_typeof(p_doc) = 'object'
		AND (p_doc ?| ARRAY['provider', 'baseUrl', 'endpoint', 'credentialRef'] OR p_doc -> 'config' ?| ARRAY['baseUrl', 'endpoint', 'preset']), false);
END
$$;
COMMENT ON FUNCTION theazo_internal.model_configured(jsonb) IS 'does an agent or a session bring a model provider of its own';

-- Entries that an agent's or a session's own model settings mean. p_narrowed: made by somebody who acts for the session alone,
-- whose references open that session's vault only.
CREATE OR REPLACE FUNCTION theazo_internal.model_own(p_platform text, p_doc jsonb, p_name text, p_narrowed boolean)
RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_config	jsonb := coalesce(p_doc -> 'config', '{}');
	v_url		text := coalesce(p_doc ->> 'endpoint', p_doc ->> 'baseUrl', v_config ->> 'baseUrl', v_config ->> 'endpoint');
	v_named		text := p_doc ->> 'provider';
	v_operator	text := theazo_internal.operator_platform();
	v_type		text;
	v			theazo_data.provider;
BEGIN
	IF v_named = 'theazo' AND v_url IS NULL THEN
		RETURN QUERY SELECT theazo_internal.model_entries(v_operator, p_name);
		RETURN;
	END IF;
	-- One of the platform's: by name, else the first of that type.
	IF v_named IS NOT NULL AND v_url IS NULL THEN
		SELECT * INTO v FROM theazo_data.provider x
		 WHERE x.platform_id = p_platform AND x.kind = 'model' AND x.name NOT LIKE 'ses\_%' AND (x.name = v_named OR x.type = v_named)
		 ORDER BY x.name <> v_named, x.priority, x.name LIMIT 1;
		IF FOUND AND v.mode = 'managed' OR v.name IS NULL AND NOT p_doc ? 'credentialRef' AND NOT v_config ? 'preset' THEN
			-- The operator's account, where the platform has none of its own.
			RETURN QUERY SELECT theazo_internal.model_entries(v_operator, p_name, coalesce(v.type, v_named));
			RETURN;
		ELSIF FOUND AND NOT p_doc ? 'credentialRef' THEN
			RETURN NEXT theazo_internal.model_entry(v.type, p_name, v.name, p_platform, false, v.endpoint, v.config);
			RETURN;
		ELSIF FOUND THEN
			v_url := v.endpoint;
			v_config := v.config || v_config;
			v_type := v.type;
		ELSIF v_named NOT IN ('anthropic', 'openai', 'openai-compatible') THEN
			-- Nobody knows where that is, and a key must not go elsewhere.
			RETURN;
		END IF;
	END IF;
	v_type := coalesce(v_type, CASE WHEN v_named IN ('anthropic', 'openai', 'openai-compatible') THEN v_named
									WHEN v_url IS NOT NULL OR v_config ? 'preset' THEN 'openai-compatible'
									WHEN split_part(theazo_internal.model_id(p_name), '/', 1) = 'anthropic' THEN 'anthropic'
									ELSE 'openai' END);
	RETURN NEXT theazo_internal.model_entry(v_type, p_name, v.name, p_platform, false, v_url, v_config,
		jsonb_strip_nulls(jsonb_build_object('own', true, 'url', v_url, 'config', v_config, 'credential', p_doc -> 'credentialRef',
			'vault', CASE WHEN p_narrowed THEN 'session' ELSE 'any' END)));
END
$$;
COMMENT ON FUNCTION theazo_internal.model_own(text, jsonb, text, boolean) IS
'the entries that an agent''s or a session''s own model settings mean';

-- The chain of a run: the agent's own provider, else the session's, else the platform's entries, else the operator's; and the
-- same again for each model it may fall back to. Raises TZ407 when there is nothing, 22023 when a managed model has no price.
CREATE OR REPLACE FUNCTION theazo_internal.model_chain(a theazo_data.agent)
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_session	jsonb;
	v_name		text;
	v_found		jsonb;
	v_chain		jsonb := '[]';
	e			jsonb;
BEGIN
	SELECT s.models INTO v_session FROM theazo_data.session s WHERE s.platform_id = a.platform_id AND s.id = a.session_id;
	FOR v_name IN SELECT a.model UNION ALL SELECT x FROM jsonb_array_elements_text(coalesce(a.options -> 'modelFallback', '[]')) x
	LOOP
		IF theazo_internal.model_configured(a.options -> 'model') THEN
			SELECT jsonb_agg(x) INTO v_found FROM theazo_internal.model_own(a.platform_id, a.options -> 'model', v_name,
				coalesce((a.options ->> 'modelNarrowed')::boolean, false)) x;
		ELSIF theazo_internal.model_configured(v_session) THEN
			SELECT jsonb_agg(x) INTO v_found FROM theazo_internal.model_own(a.platform_id, v_session, v_name, false) x;
		ELSE
			SELECT jsonb_agg(x) INTO v_found FROM theazo_internal.model_entries(a.platform_id, v_name) x;
			IF v_found IS NULL THEN
				SELECT jsonb_agg(x) INTO v_found FROM theazo_internal.model_entries(theazo_internal.operator_platform(), v_name) x;
			END IF;
		END IF;
		FOR e IN SELECT x FROM jsonb_array_elements(coalesce(v_found, '[]')) x
		LOOP
			CONTINUE WHEN v_chain @> jsonb_build_array(e);
			IF (e ->> 'managed')::boolean AND theazo_internal.model_price_at(a.platform_id, e ->> 'model', now(), e ->> 'provider') IS NULL THEN
				RAISE EXCEPTION USING ERRCODE = '22023', COLUMN = 'model',
					MESSAGE = format('model %s has no price', theazo_internal.quoted(v_name)), DETAIL = 'Reason: no_price.',
					HINT = 'A managed model without a price could not be billed: let the operator set one with theazo.model_price_set(), or configure a provider of your own.';
			END IF;
			v_chain := v_chain || jsonb_build_array(e);
		END LOOP;
	END LOOP;
	IF v_chain = '[]' THEN
		PERFORM theazo_internal.event_refused(a.platform_id, 'inference', 'capability_refused', jsonb_build_object('code', 'TZ407', 'kind', 'model', 'model', a.model),
			a.session_id, a.id, p_environment => a.key_environment, p_rule => 'no_provider');
		RAISE EXCEPTION USING ERRCODE = 'TZ407',
			MESSAGE = format('there is no provider for model %s', theazo_internal.quoted(a.model)),
			DETAIL = 'Kind: model.' || coalesce(' The agent asks for provider "' || left(a.options -> 'model' ->> 'provider', 100) || '".', ''),
			HINT = 'Configure one with theazo.provider_set(kind => ''model'', ...); the operator can offer managed models with theazo.operator_provider_set().';
	END IF;
	-- One that is known not to answer now stands back, unless all are; one that is paused, behind others of its model.
	SELECT jsonb_agg(x.entry ORDER BY x.down, x.model_ord, x.resting, x.ord) INTO v_chain
	  FROM (SELECT y.entry, y.ord, theazo_internal.model_rests(y.entry) IS NOT NULL AS resting, theazo_internal.model_down(y.entry) AS down,
				   min(y.ord) OVER (PARTITION BY y.entry ->> 'model') AS model_ord
			  FROM jsonb_array_elements(v_chain) WITH ORDINALITY AS y (entry, ord) WHERE y.ord <= 16) x;
	RETURN v_chain;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_chain(theazo_data.agent) IS
'providers and models to try for a run, best first; TZ407 when there is none';

-- The model of the entry that would be asked, for an agent that names none: of the provider its own or its session's settings
-- name, else of the platform's first, else of the operator's first.
CREATE OR REPLACE FUNCTION theazo_internal.model_of_entry(p_platform text, p_options jsonb, p_models jsonb)
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_doc		jsonb := CASE WHEN theazo_internal.model_configured(p_options -> 'model') THEN p_options -> 'model'
							  WHEN theazo_internal.model_configured(p_models) THEN p_models END;
	v_platform	text := p_platform;
BEGIN
	IF v_doc ->> 'provider' = 'theazo' OR v_doc IS NULL
		AND NOT EXISTS (SELECT FROM theazo_data.provider v WHERE v.platform_id = p_platform AND v.kind = 'model') THEN
		v_platform := theazo_internal.operator_platform();
	ELSIF v_doc IS NOT NULL AND (v_doc ?| ARRAY['endpoint', 'baseUrl'] OR NOT v_doc ? 'provider') THEN
		RETURN v_doc -> 'config' ->> 'model';
	END IF;
	RETURN (SELECT v.config ->> 'model' FROM theazo_data.provider v
			 WHERE v.platform_id = v_platform AND v.kind = 'model'
			   AND (v_doc IS NULL OR v_platform <> p_platform OR v_doc ->> 'provider' IN (v.name, v.type))
			 ORDER BY v.name IS DISTINCT FROM v_doc ->> 'provider', v.priority, v.name LIMIT 1);
END
$$;
COMMENT ON FUNCTION theazo_internal.model_of_entry(text, jsonb, jsonb) IS 'the model that a provider entry names for agents that name none';

-- Where the next call of a run goes: what effect_endpoint is for compute.
CREATE OR REPLACE FUNCTION theazo_internal.model_endpoint(p_platform text, p_root text)
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_entry		jsonb;
	v_out		jsonb;
	v_managed	boolean;
	v_http		boolean;
	v_private	boolean;
	v_preset	text;
BEGIN
	SELECT l.chain -> l.at INTO v_entry FROM theazo_data.run_loop l WHERE l.platform_id = p_platform AND l.root_id = p_root;
	SELECT p.allow_http, p.allow_private INTO v_http, v_private FROM theazo_data.platform p WHERE p.platform_id = p_platform;
	v_managed := coalesce((v_entry ->> 'managed')::boolean, false);
	IF v_entry ? 'own' THEN
		v_out := jsonb_build_object('url', v_entry ->> 'url', 'config', coalesce(v_entry -> 'config', '{}'), 'provider', v_entry ->> 'shown',
			'credential_ref', v_entry ->> 'credential', 'owner', p_platform, 'vault', v_entry ->> 'vault');
	ELSE
		SELECT jsonb_build_object('url', v.endpoint, 'config', v.config, 'provider', CASE WHEN v_managed THEN 'theazo' ELSE v.name END,
				'credential_ref', v.credential_ref, 'owner', v.platform_id, 'vault', 'platform')
		  INTO v_out FROM theazo_data.provider v
		 WHERE v.platform_id = v_entry ->> 'owner' AND v.kind = 'model' AND v.name = v_entry ->> 'provider'
		   AND theazo_internal.model_adapter(v.type, v.endpoint) = v_entry ->> 'adapter' AND (v_managed OR v.mode <> 'managed');
		IF NOT FOUND THEN
			-- Gone since the run began. What the run has said is nobody else's: looking for its secret fails the call.
			RETURN jsonb_build_object('gone', true, 'provider', CASE WHEN v_managed THEN 'theazo' ELSE v_entry ->> 'provider' END,
				'credential_ref', '', 'url', 'https://provider.invalid', 'config', '{}'::jsonb, 'allow_http', false, 'allow_private', false);
		END IF;
	END IF;
	v_preset := CASE WHEN v_entry ->> 'adapter' = 'openai-compatible' THEN theazo_internal.model_preset(v_out ->> 'url', v_out -> 'config') END;
	RETURN v_out || jsonb_build_object(
		'url', coalesce(v_out ->> 'url', theazo_internal.model_base(v_entry ->> 'adapter', v_preset)),
		'config', v_out -> 'config' || CASE WHEN v_preset IS NULL THEN '{}' ELSE jsonb_build_object('preset', v_preset) END,
		'allow_http', v_http OR v_managed, 'allow_private', v_private OR v_managed);
END
$$;
COMMENT ON FUNCTION theazo_internal.model_endpoint(text, text) IS 'address, flags and references of the provider a run''s next model call goes to';

-- The next entry of a chain after one refused, null when another one could not do better. What is wrong with the request is
-- wrong everywhere, unless this model is what does not exist; what is too long or not to be said is for another model.
CREATE OR REPLACE FUNCTION theazo_internal.model_next(p_chain jsonb, p_at integer, p_class text, p_result jsonb)
RETURNS smallint
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_class = 'caller' AND p_result ->> 'http_status' IS DISTINCT FROM '404'
		AND coalesce(p_result ->> 'upstream_code', p_result ->> 'code', '') NOT IN ('model_not_found', 'not_found_error', 'unsupported_parameter', 'unsupported_value') THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT (min(x.ord) - 1)::smallint FROM jsonb_array_elements(p_chain) WITH ORDINALITY AS x (entry, ord)
			 WHERE x.ord > p_at + 1
			   AND (coalesce(p_class, '') NOT IN ('too_long', 'policy') OR x.entry ->> 'model' <> p_chain -> p_at ->> 'model'));
END
$$;
COMMENT ON FUNCTION theazo_internal.model_next(jsonb, integer, text, jsonb) IS 'place of the entry to fall back to after a refusal, or null';
