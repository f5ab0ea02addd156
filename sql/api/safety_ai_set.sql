-- safety_ai_set.sql: who is asked about texts the rules are in doubt about: a platform's own judge, or the operator's.
CREATE OR REPLACE VIEW theazo.safety_ai WITH (security_barrier) AS
	SELECT a.platform_id, a.kind, a.provider, a.endpoint, a.credential_ref, a.model, a.timeout_ms, a.toxicity_from, a.injection_from,
		   a.toxicity_max, a.injection_max, a.updated_at
	  FROM theazo_data.safety_ai a
	 WHERE (SELECT theazo_internal.may_read('guardrail:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.safety_ai IS 'who the platform asks about texts that the content filter is in doubt about';

CREATE OR REPLACE VIEW theazo.operator_safety_ai WITH (security_barrier) AS
	SELECT a.platform_id, a.kind, a.provider, a.endpoint, a.credential_ref, a.model, a.timeout_ms, a.toxicity_from, a.injection_from,
		   a.toxicity_max, a.injection_max, a.updated_at
	  FROM theazo_data.safety_ai a;
COMMENT ON VIEW theazo.operator_safety_ai IS 'operator: who is asked about texts that the content filter is in doubt about; the row of the operator platform holds where a platform has none';

CREATE OR REPLACE FUNCTION theazo_internal.safety_ai_put(
	p_platform text, p_kind text, p_model text, p_provider text, p_endpoint text, p_credential_ref text, p_timeout_ms integer,
	p_toxicity_from numeric, p_injection_from numeric, p_toxicity_max numeric, p_injection_max numeric)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_operators	boolean := p_platform = theazo_internal.operator_platform();
	v_scores	jsonb := jsonb_build_object('toxicity_from', p_toxicity_from, 'injection_from', p_injection_from, 'toxicity_max', p_toxicity_max,
		'injection_max', p_injection_max);
	v_entry		jsonb;
	v			theazo_data.provider;
	j			theazo_data.safety_ai;
	k			text;
BEGIN
	PERFORM theazo_internal.one_of('kind', p_kind, 'moderation', 'model');
	IF p_timeout_ms IS NULL OR p_timeout_ms NOT BETWEEN 100 AND 30000 THEN
		PERFORM theazo_internal.raise_value('timeout_ms', 'must be from 100 to 30000');
	END IF;
	FOR k IN SELECT jsonb_object_keys(v_scores)
	LOOP
		IF v_scores -> k = 'null' OR v_scores ->> k = 'NaN' OR (v_scores ->> k)::numeric NOT BETWEEN 0.01 AND 1 THEN
			PERFORM theazo_internal.raise_value(k, 'must be from 0.01 to 1');
		END IF;
	END LOOP;
	IF p_kind = 'model' AND p_model IS NULL THEN
		PERFORM theazo_internal.raise_value('model', 'is needed', 'Name the model that is to be asked.');
	ELSIF p_model IS NOT NULL AND (p_model = '' OR octet_length(p_model) > 200 OR p_model ~ '[[:cntrl:]]') THEN
		PERFORM theazo_internal.raise_value('model', 'must have 1 to 200 bytes, without control characters');
	ELSIF (p_provider IS NULL) = (p_endpoint IS NULL) THEN
		PERFORM theazo_internal.raise_value('endpoint', 'or a provider is needed, and only one of them', 'A moderation endpoint is given by its whole address.');
	ELSIF p_kind = 'moderation' AND p_endpoint IS NULL THEN
		PERFORM theazo_internal.raise_value('endpoint', 'is needed for moderation', 'Give its whole address, such as https://api.openai.com/v1/moderations.');
	ELSIF p_provider IS NOT NULL AND p_credential_ref IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('credential_ref', 'is the provider''s', 'Leave it out.');
	END IF;
	IF p_endpoint IS NOT NULL THEN
		p_endpoint := theazo_internal.endpoint_check('endpoint', p_endpoint, v_operators OR theazo_internal.platform_http());
	END IF;
	IF p_provider IS NOT NULL THEN
		SELECT * INTO v FROM theazo_data.provider x
		 WHERE x.platform_id = p_platform AND x.kind = 'model' AND x.name = p_provider AND (v_operators OR x.mode <> 'managed');
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_value('provider', format('names no model provider of one''s own: %s', theazo_internal.quoted(p_provider)));
		END IF;
	END IF;
	IF p_credential_ref IS NOT NULL THEN
		-- the share lock keeps a delete of the secret from passing this check
		PERFORM 1 FROM theazo_data.secret s WHERE s.platform_id = p_platform AND s.session_id = '' AND s.name = p_credential_ref FOR SHARE;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_value('credential_ref', format('names no stored secret: %s', theazo_internal.quoted(p_credential_ref)));
		END IF;
	END IF;
	INSERT INTO theazo_data.safety_ai AS a (platform_id, kind, provider, endpoint, credential_ref, model, timeout_ms, toxicity_from, injection_from,
		toxicity_max, injection_max, updated_at)
	VALUES (p_platform, p_kind, p_provider, p_endpoint, p_credential_ref, p_model, p_timeout_ms, p_toxicity_from, p_injection_from, p_toxicity_max,
		p_injection_max, clock_timestamp())
		ON CONFLICT (platform_id) DO UPDATE SET kind = excluded.kind, provider = excluded.provider, endpoint = excluded.endpoint,
			credential_ref = excluded.credential_ref, model = excluded.model, timeout_ms = excluded.timeout_ms, toxicity_from = excluded.toxicity_from,
			injection_from = excluded.injection_from, toxicity_max = excluded.toxicity_max, injection_max = excluded.injection_max,
			updated_at = excluded.updated_at
	RETURNING a.* INTO j;
	v_entry := theazo_internal.safety_ai_entry(j);
	IF v_operators AND v_entry IS NOT NULL
		AND theazo_internal.model_price_at(p_platform, v_entry ->> 'model', now(), v_entry ->> 'provider') IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = '22023', COLUMN = 'model', MESSAGE = format('model %s has no price', theazo_internal.quoted(p_model)),
			DETAIL = 'Reason: no_price.', HINT = 'What platforms use of it could not be billed: set one with theazo.model_price_set().';
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'safety_ai_set', jsonb_strip_nulls(jsonb_build_object('kind', p_kind, 'provider', p_provider,
		'host', theazo_internal.url_host(p_endpoint), 'model', p_model, 'timeout_ms', p_timeout_ms)) || v_scores, NULL, NULL, NULL, 'live');
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_ai_put(text, text, text, text, text, text, integer, numeric, numeric, numeric, numeric) IS
'sets who is asked about texts in doubt, or 22023';

CREATE OR REPLACE FUNCTION theazo_internal.safety_ai_drop(p_platform text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM theazo_data.safety_ai a WHERE a.platform_id = p_platform;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('judge of texts', 'safety_ai');
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'safety_ai_deleted', '{}', NULL, NULL, NULL, 'live');
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_ai_drop(text) IS 'has nobody asked about texts in doubt any more';

CREATE OR REPLACE FUNCTION theazo.safety_ai_set(
	kind text, model text DEFAULT NULL, provider text DEFAULT NULL, endpoint text DEFAULT NULL, credential_ref text DEFAULT NULL,
	timeout_ms integer DEFAULT 3000, toxicity_from numeric DEFAULT 0.2, injection_from numeric DEFAULT 0.2, toxicity_max numeric DEFAULT 0.4,
	injection_max numeric DEFAULT 0.35, api_key text DEFAULT NULL)
RETURNS theazo.safety_ai
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_out theazo.safety_ai;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'guardrail:write');
	PERFORM theazo_internal.shared_change_check('the judge of texts');
	PERFORM theazo_internal.safety_ai_put(theazo_internal.current_platform(), safety_ai_set.kind, safety_ai_set.model, safety_ai_set.provider,
		safety_ai_set.endpoint, safety_ai_set.credential_ref, safety_ai_set.timeout_ms, safety_ai_set.toxicity_from, safety_ai_set.injection_from,
		safety_ai_set.toxicity_max, safety_ai_set.injection_max);
	SELECT * INTO v_out FROM theazo.safety_ai a WHERE a.platform_id = theazo_internal.current_platform();
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.safety_ai_set(text, text, text, text, text, integer, numeric, numeric, numeric, numeric, text) IS
'has a moderation endpoint or a model asked about texts that the content filter is in doubt about; what is not answered in time is blocked';

CREATE OR REPLACE FUNCTION theazo.safety_ai_get(api_key text DEFAULT NULL)
RETURNS SETOF theazo.safety_ai
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'guardrail:read');
	PERFORM theazo_internal.refuse_narrowed('the judge of texts');
	RETURN QUERY SELECT * FROM theazo.safety_ai a WHERE a.platform_id = theazo_internal.current_platform();
END
$$;
COMMENT ON FUNCTION theazo.safety_ai_get(text) IS 'the platform''s own judge of texts; no row where it has none';

CREATE OR REPLACE FUNCTION theazo.safety_ai_delete(api_key text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'guardrail:write');
	PERFORM theazo_internal.shared_change_check('the judge of texts');
	PERFORM theazo_internal.safety_ai_drop(theazo_internal.current_platform());
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo.safety_ai_delete(text) IS 'the platform''s own judge is not asked any more; the operator''s is, where there is one';

CREATE OR REPLACE FUNCTION theazo.operator_safety_ai_set(
	kind text, model text DEFAULT NULL, provider text DEFAULT NULL, endpoint text DEFAULT NULL, credential_ref text DEFAULT NULL,
	timeout_ms integer DEFAULT 3000, toxicity_from numeric DEFAULT 0.2, injection_from numeric DEFAULT 0.2, toxicity_max numeric DEFAULT 0.4,
	injection_max numeric DEFAULT 0.35)
RETURNS theazo.operator_safety_ai
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_out theazo.operator_safety_ai;
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.safety_ai_put(theazo_internal.operator_platform_ready(), operator_safety_ai_set.kind, operator_safety_ai_set.model,
		operator_safety_ai_set.provider, operator_safety_ai_set.endpoint, operator_safety_ai_set.credential_ref, operator_safety_ai_set.timeout_ms,
		operator_safety_ai_set.toxicity_from, operator_safety_ai_set.injection_from, operator_safety_ai_set.toxicity_max,
		operator_safety_ai_set.injection_max);
	SELECT * INTO v_out FROM theazo.operator_safety_ai a WHERE a.platform_id = theazo_internal.operator_platform();
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.operator_safety_ai_set(text, text, text, text, text, integer, numeric, numeric, numeric, numeric) IS
'operator: who is asked about texts in doubt of platforms that have no judge of their own; platforms pay for what a model of the operator''s is asked';

CREATE OR REPLACE FUNCTION theazo.operator_safety_ai_delete()
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.safety_ai_drop(theazo_internal.operator_platform());
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo.operator_safety_ai_delete() IS 'operator: nobody is asked any more where a platform has no judge of its own';
