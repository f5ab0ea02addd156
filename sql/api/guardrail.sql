-- guardrail.sql: what is checked of what goes in and out, and what was found.

CREATE OR REPLACE TRIGGER guardrail_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.guardrail
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
ALTER TABLE theazo_data.guardrail ENABLE ALWAYS TRIGGER guardrail_memo;

CREATE OR REPLACE FUNCTION theazo_internal.guardrails_default()
RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$
	SELECT '{"contentFilter": "off", "blockPII": false, "promptInjection": false, "allowedDomains": null, "blockedDomains": [],
			 "maxOutputTokens": null, "maxToolCalls": null}'::jsonb
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_default() IS 'guardrails where nobody has set any';

-- Validates a change; fields left out keep their value.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_check(p_field text, p_config jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	k text;
	v jsonb;
	v_out jsonb := '{}';
BEGIN
	p_config := theazo_internal.object_check(p_field, p_config, 16384, ARRAY['contentFilter', 'blockPII', 'promptInjection', 'allowedDomains',
		'blockedDomains', 'maxOutputTokens', 'maxToolCalls']);
	FOR k, v IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(p_config) e
	LOOP
		CASE
			WHEN k = 'contentFilter' THEN
				PERFORM theazo_internal.one_of(p_field || '.' || k, v #>> '{}', 'off', 'light', 'moderate', 'strict');
			WHEN k IN ('blockPII', 'promptInjection') THEN
				IF pg_catalog.jsonb_typeof(v) <> 'boolean' THEN
					PERFORM theazo_internal.raise_value(p_field || '.' || k, 'must be true or false');
				END IF;
			WHEN k = 'allowedDomains' AND v = 'null' OR k IN ('maxOutputTokens', 'maxToolCalls') AND v = 'null' THEN
				NULL;
			WHEN k IN ('allowedDomains', 'blockedDomains') THEN
				v := theazo_internal.domains_check(p_field || '.' || k, v);
			ELSE
				v := pg_catalog.to_jsonb(theazo_internal.integer_check(p_field || '.' || k, v, CASE k WHEN 'maxOutputTokens' THEN 1 ELSE 0 END, 10000000));
		END CASE;
		v_out := v_out || pg_catalog.jsonb_build_object(k, v);
	END LOOP;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_check(text, jsonb) IS 'guardrails, all or some of them, or 22023';

-- Of two sets of guardrails what is stricter, field by field; a field that only one has is that one's. A domain that both allow is
-- one that either names and the other covers.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_strictest(p_one jsonb, p_other jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	v_levels	CONSTANT text[] := '{off,light,moderate,strict}';
	v_out		jsonb := p_one || p_other;
	k			text;
	a			jsonb;
	b			jsonb;
BEGIN
	FOR k IN SELECT x FROM pg_catalog.jsonb_object_keys(p_one) x WHERE p_other OPERATOR(pg_catalog.?) x
	LOOP
		a := p_one -> k;
		b := p_other -> k;
		v_out := v_out || pg_catalog.jsonb_build_object(k, CASE
			WHEN a = 'null' THEN b
			WHEN b = 'null' THEN a
			WHEN k = 'contentFilter' THEN CASE WHEN pg_catalog.array_position(v_levels, a #>> '{}') > pg_catalog.array_position(v_levels, b #>> '{}') THEN a ELSE b END
			WHEN k IN ('blockPII', 'promptInjection') THEN pg_catalog.to_jsonb(a::boolean OR b::boolean)
			WHEN k = 'blockedDomains' THEN (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT d), '[]') FROM pg_catalog.jsonb_array_elements_text(a || b) d)
			WHEN k = 'allowedDomains' THEN (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT d), '[]') FROM pg_catalog.jsonb_array_elements_text(a || b) d
				 WHERE theazo_internal.domain_listed(d, a) AND theazo_internal.domain_listed(d, b))
			ELSE pg_catalog.to_jsonb(least((a #>> '{}')::bigint, (b #>> '{}')::bigint)) END);
	END LOOP;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_strictest(jsonb, jsonb) IS 'two sets of guardrails in one: of each field the stricter value';

-- The template that holds for an agent now: its own, or a stricter one that its platform asks for.
CREATE OR REPLACE FUNCTION theazo_internal.template_of(p_platform text, p_template text)
RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_floor	text;
BEGIN
	SELECT y.template INTO v_floor FROM theazo_data.platform_policy y WHERE y.platform_id = p_platform;
	RETURN CASE WHEN v_floor IS NULL THEN p_template ELSE coalesce(theazo_internal.template_least(p_template, v_floor), p_template) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.template_of(text, text) IS 'the template of an agent as it holds now, platform''s floor included';

-- Guardrails of a definition and of the call that makes an agent of it. A template that is always filtered takes the stricter of each.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_merge(p_template text, p_base jsonb, p_over jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	IF p_base IS NULL OR p_over IS NULL THEN
		RETURN coalesce(p_over, p_base);
	ELSIF p_template IN ('STRICT', 'STANDARD') THEN
		RETURN theazo_internal.guardrails_strictest(p_base, p_over);
	END IF;
	RETURN p_base || p_over;
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_merge(text, jsonb, jsonb) IS 'guardrails laid over others, field by field';

-- The platform's, overlaid by the agent's field by field. Templates STRICT and STANDARD are always filtered, whatever either says,
-- and are held to the stricter of both; so are agents whose platform asks for such a template, whenever they were made.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_of(a theazo_data.agent)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	v_template	text := theazo_internal.template_of(a.platform_id, a.options ->> 'template');
	g			jsonb := theazo_internal.guardrails_merge(v_template, theazo_internal.guardrails_default()
		|| coalesce((SELECT x.config FROM theazo_data.guardrail x WHERE x.platform_id = a.platform_id), '{}'), coalesce(a.options -> 'guardrails', '{}'));
BEGIN
	IF v_template IN ('STRICT', 'STANDARD') THEN
		IF g ->> 'contentFilter' IN ('off', 'light') THEN
			g := g || '{"contentFilter": "moderate"}';
		END IF;
		g := g || '{"promptInjection": true}';
	END IF;
	RETURN g;
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_of(theazo_data.agent) IS 'the guardrails that hold for an agent now';

-- One who acts for a session alone can ask for more than the platform and its definition do, not for less.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_narrowed(p_base jsonb, p_guard jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_platform	jsonb := theazo_internal.guardrails_default()
		|| coalesce((SELECT x.config FROM theazo_data.guardrail x WHERE x.platform_id = theazo_internal.current_platform()), '{}');
	b			jsonb := v_platform || coalesce(p_base, '{}');
	g			jsonb := v_platform || coalesce(p_guard, '{}');
	v_levels	CONSTANT text[] := '{off,light,moderate,strict}';
	v_field		text;
BEGIN
	v_field := CASE
		WHEN pg_catalog.array_position(v_levels, g ->> 'contentFilter') < pg_catalog.array_position(v_levels, b ->> 'contentFilter') THEN 'contentFilter'
		WHEN (b ->> 'blockPII')::boolean AND NOT (g ->> 'blockPII')::boolean THEN 'blockPII'
		WHEN (b ->> 'promptInjection')::boolean AND NOT (g ->> 'promptInjection')::boolean THEN 'promptInjection'
		WHEN NOT (b -> 'blockedDomains') <@ (g -> 'blockedDomains') THEN 'blockedDomains'
		WHEN b -> 'allowedDomains' <> 'null' AND (g -> 'allowedDomains' = 'null' OR NOT (g -> 'allowedDomains') <@ (b -> 'allowedDomains')) THEN 'allowedDomains'
		WHEN coalesce((g ->> 'maxOutputTokens')::bigint > (b ->> 'maxOutputTokens')::bigint, b ->> 'maxOutputTokens' IS NOT NULL AND g ->> 'maxOutputTokens' IS NULL) THEN 'maxOutputTokens'
		WHEN coalesce((g ->> 'maxToolCalls')::bigint > (b ->> 'maxToolCalls')::bigint, b ->> 'maxToolCalls' IS NOT NULL AND g ->> 'maxToolCalls' IS NULL) THEN 'maxToolCalls' END;
	IF v_field IS NOT NULL THEN
		PERFORM theazo_internal.raise_scope(pg_catalog.format('one who acts for a session cannot loosen guardrails.%s', v_field), 'session_only',
			'Leave it out, or have the platform say it in a definition.');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_narrowed(jsonb, jsonb) IS
'TZ602 for guardrails of one session that are looser than those of the platform and its definition';

CREATE OR REPLACE FUNCTION theazo_internal.guardrails_on(p_guard jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
	SELECT p_guard <> theazo_internal.guardrails_default()
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_on(jsonb) IS 'do guardrails ask for anything';

-- A violation that is no text: where a run goes, how often.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_violated(r theazo_data.run, p_type text, p_tool text, p_message text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.event_write(r.platform_id, 'safety', 'content_blocked', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('code', 'TZ205',
		'type', p_type, 'stage', 'arguments', 'tool', pg_catalog."left"(p_tool, 128), 'message', p_message)), r.session_id, r.agent_id, r.id, r.environment,
		'deny', p_type, true);
	PERFORM theazo_internal.log_write(r.platform_id, theazo_internal.id_root(r.id), 'warn', 'system', p_message, r.environment, r.session_id, r.agent_id,
		r.id, r.user_id, r.provider, r.trace_id);
	PERFORM theazo_internal.safety_tell(r, p_type, p_message);
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_violated(theazo_data.run, text, text, text) IS 'event and log of a violation';

-- Calls are counted by their place in the run: one that others began beside, or that waited for an approval, counts once.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_calls(l theazo_data.run_loop, r theazo_data.run, p_guard jsonb, p_seq integer)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	v_max	integer := (p_guard ->> 'maxToolCalls')::integer;
	v_n		integer;
BEGIN
	IF v_max IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT pg_catalog.count(*) INTO v_n FROM theazo_data.step s WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.kind = 'tool'
	   AND s.seq < p_seq;
	IF v_n < v_max THEN
		RETURN NULL;
	ELSIF v_n = v_max THEN
		PERFORM theazo_internal.guardrails_violated(r, 'max_tool_calls', NULL, pg_catalog.format('the run has made its %s tool calls', v_max));
	END IF;
	RETURN 'error: tool call limit reached';
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_calls(theazo_data.run_loop, theazo_data.run, jsonb, integer) IS 'the error for a tool call beyond the limit, or null';

-- ----------------------------------------------------------------------------
-- Faces
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo.guardrails_set(config jsonb, api_key text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_new	jsonb;
	v_all	jsonb;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'guardrail:write');
	PERFORM theazo_internal.shared_change_check('the guardrails');
	v_new := theazo_internal.guardrails_check('config', config);
	INSERT INTO theazo_data.guardrail AS g (platform_id, config, updated_at)
	VALUES (theazo_internal.current_platform(), theazo_internal.guardrails_default() || v_new, clock_timestamp())
		ON CONFLICT (platform_id) DO UPDATE SET config = g.config || v_new, updated_at = excluded.updated_at
	RETURNING g.config INTO v_all;
	PERFORM theazo_internal.event_write(theazo_internal.current_platform(), 'control', 'guardrails_set', v_new, NULL, NULL, NULL,
		theazo_internal.current_environment());
	RETURN v_all;
END
$$;
COMMENT ON FUNCTION theazo.guardrails_set(jsonb, text) IS
'sets the platform''s guardrails: contentFilter (off, light, moderate, strict), blockPII, promptInjection, allowedDomains, blockedDomains, maxOutputTokens, maxToolCalls; what is left out keeps its value';

CREATE OR REPLACE FUNCTION theazo.guardrails_get(api_key text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'guardrail:read');
	RETURN theazo_internal.guardrails_default()
		|| coalesce((SELECT g.config FROM theazo_data.guardrail g WHERE g.platform_id = theazo_internal.current_platform()), '{}');
END
$$;
COMMENT ON FUNCTION theazo.guardrails_get(text) IS 'the platform''s guardrails, every field present';

CREATE OR REPLACE VIEW theazo.guardrail_violations WITH (security_barrier) AS
	SELECT 'grv_' || substr(v.id, 5) AS id, v.occurred_at, v.environment, v.session_id, v.agent_id, v.run_id, coalesce(v.summary ->> 'type', 'resource_bound') AS type,
		   coalesce(v.summary ->> 'stage', 'run') AS stage, v.rule, v.summary ->> 'message' AS message, v.decision
	  FROM (SELECT e.id, e.occurred_at, e.environment, e.session_id, e.agent_id, e.run_id, e.rule, e.decision,
				   convert_from(e.body, 'UTF8')::jsonb -> 'summary' AS summary
			  FROM theazo_data.event e
			 WHERE e.is_violation AND (e.category = 'safety' AND e.action = 'content_blocked'
				OR e.category = 'limit' AND e.action IN ('sandbox_limit_hit', 'rate_limit_hit') AND e.rule IN ('parent_cost', 'evolution_rate', 'spawn'))) v
	 WHERE (SELECT theazo_internal.may_read('event:read'));
COMMENT ON VIEW theazo.guardrail_violations IS 'what the guardrails stopped or replaced, from the audit trail; the text itself is not kept';

CREATE OR REPLACE FUNCTION theazo.guardrails_violations(
	since timestamptz DEFAULT NULL, agent text DEFAULT NULL, type text DEFAULT NULL, max_rows integer DEFAULT 100, before text DEFAULT NULL,
	api_key text DEFAULT NULL)
RETURNS SETOF theazo.guardrail_violations
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'event:read');
	IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	END IF;
	RETURN QUERY
	SELECT * FROM theazo.guardrail_violations v
	 WHERE (guardrails_violations.since IS NULL OR v.occurred_at >= guardrails_violations.since)
	   AND (guardrails_violations.agent IS NULL OR v.agent_id = guardrails_violations.agent)
	   AND (guardrails_violations.type IS NULL OR v.type = guardrails_violations.type)
	   AND (guardrails_violations.before IS NULL OR v.id < guardrails_violations.before)
	 ORDER BY v.id DESC LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION theazo.guardrails_violations(timestamptz, text, text, integer, text, text) IS
'violations of the platform, newest first; before is the id of the last one of the page above';

-- What the filter says to a text, for whoever writes guardrails. Nothing is kept.
CREATE OR REPLACE FUNCTION theazo.safety_check(text text, agent text DEFAULT NULL, stage text DEFAULT 'input', api_key text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a				theazo_data.agent;
	g				jsonb;
	v				jsonb;
	v_toxicity		numeric;
	v_injection		numeric;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'guardrail:read');
	IF safety_check.text IS NULL OR octet_length(safety_check.text) > 1048576 THEN
		PERFORM theazo_internal.raise_value('text', 'must have up to 1048576 bytes');
	END IF;
	PERFORM theazo_internal.one_of('stage', safety_check.stage, 'input', 'output', 'arguments', 'result');
	IF safety_check.agent IS NULL THEN
		g := theazo_internal.guardrails_default()
			|| coalesce((SELECT x.config FROM theazo_data.guardrail x WHERE x.platform_id = theazo_internal.current_platform()), '{}');
	ELSE
		SELECT * INTO a FROM theazo_data.agent x WHERE x.id = safety_check.agent AND x.platform_id = theazo_internal.current_platform();
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_not_found('agent', safety_check.agent);
		END IF;
		g := theazo_internal.guardrails_of(a);
	END IF;
	v := theazo_internal.safety_judge(theazo_internal.current_platform(), g, safety_check.stage, safety_check.text) - 'hash' - 'blocked';
	v_toxicity := coalesce((v ->> 'toxicity')::numeric, 0);
	v_injection := coalesce((v ->> 'injection')::numeric, 0);
	IF greatest(v_toxicity, v_injection) >= 0.2 THEN
		v := v || jsonb_build_object('why', theazo_internal.safety_why(safety_check.text, v_injection > v_toxicity));
	END IF;
	RETURN v;
END
$$;
COMMENT ON FUNCTION theazo.safety_check(text, text, text, text) IS
'what the filter finds in a text under the guardrails of the platform, or of one agent: status, scores, the rule that says most, and the phrases that weigh most';

-- ----------------------------------------------------------------------------
-- Patterns laid over the shipped rules
-- ----------------------------------------------------------------------------
CREATE OR REPLACE VIEW theazo.safety_patterns WITH (security_barrier) AS
	SELECT p.platform_id, p.name, p.pattern, p.category, round(p.weight / 100.0, 2) AS weight, p.updated_at
	  FROM theazo_data.safety_pattern p
	 WHERE (SELECT theazo_internal.may_read('guardrail:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.safety_patterns IS 'the platform''s own patterns of the content filter';

CREATE OR REPLACE VIEW theazo.operator_safety_patterns WITH (security_barrier) AS
	SELECT p.platform_id, p.name, p.pattern, p.category, round(p.weight / 100.0, 2) AS weight, p.updated_at FROM theazo_data.safety_pattern p;
COMMENT ON VIEW theazo.operator_safety_patterns IS 'patterns laid over the shipped rules; those of the operator platform hold for everybody';

-- The row, where the whole set can be used with it.
CREATE OR REPLACE FUNCTION theazo_internal.safety_pattern_put(p_platform text, p_name text, p_pattern text, p_category text, p_weight numeric)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_why text;
BEGIN
	IF p_name IS NULL OR p_name !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$' THEN
		PERFORM theazo_internal.raise_value('name', 'must have 1 to 64 letters, digits, dots, underscores or hyphens');
	ELSIF p_weight IS NULL OR p_weight NOT BETWEEN 0.01 AND 1 THEN
		PERFORM theazo_internal.raise_value('weight', 'must be from 0.01 to 1', 'What weighs 0.4 or more blocks by itself, a prompt injection from 0.35.');
	ELSIF p_pattern IS NULL THEN
		PERFORM theazo_internal.raise_value('pattern', 'must not be null');
	END IF;
	PERFORM theazo_internal.one_of('category', p_category, 'child_safety', 'violence', 'hate', 'harassment', 'self_harm', 'weapons', 'illicit', 'sexual',
		'abuse', 'prompt_injection');
	-- One writer at a time, so that the set as it will be is what was tried.
	PERFORM theazo_internal.own_lock('safety_pattern', '', true);
	v_why := theazo_internal.safety_pattern_why(ARRAY[p_pattern]);
	IF v_why IS NULL THEN
		v_why := theazo_internal.safety_pattern_why(ARRAY(SELECT r.pattern FROM theazo_internal.safety_rows(p_platform) r WHERE r.name <> p_name) || p_pattern);
	END IF;
	IF v_why IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('pattern', 'is refused: ' || v_why,
			'Patterns are regular expressions of at most 512 bytes, without look-around and back-references.');
	END IF;
	INSERT INTO theazo_data.safety_pattern AS s (platform_id, name, pattern, category, weight, updated_at)
	VALUES (p_platform, p_name, p_pattern, p_category, round(p_weight * 100), clock_timestamp())
		ON CONFLICT (platform_id, name) DO UPDATE SET pattern = excluded.pattern, category = excluded.category, weight = excluded.weight,
			updated_at = excluded.updated_at;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'safety_pattern_set', jsonb_build_object('name', p_name, 'category', p_category,
		'weight', p_weight), NULL, NULL, NULL, 'live');
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_pattern_put(text, text, text, text, numeric) IS 'sets a pattern of the content filter, or 22023 for one that cannot be used';

CREATE OR REPLACE FUNCTION theazo.safety_pattern_set(
	name text, pattern text, category text, weight numeric DEFAULT 1, api_key text DEFAULT NULL)
RETURNS theazo.safety_patterns
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_out theazo.safety_patterns;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'guardrail:write');
	PERFORM theazo_internal.shared_change_check('a pattern of the content filter');
	IF (SELECT count(*) FROM theazo_data.safety_pattern p WHERE p.platform_id = theazo_internal.current_platform() AND p.name <> safety_pattern_set.name) >= 100 THEN
		PERFORM theazo_internal.raise_ceiling('patterns of a platform', 100, 'Delete one, or put several into one with |.');
	END IF;
	PERFORM theazo_internal.safety_pattern_put(theazo_internal.current_platform(), safety_pattern_set.name, safety_pattern_set.pattern,
		safety_pattern_set.category, safety_pattern_set.weight);
	SELECT * INTO v_out FROM theazo.safety_patterns p
	 WHERE p.platform_id = theazo_internal.current_platform() AND p.name = safety_pattern_set.name;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.safety_pattern_set(text, text, text, numeric, text) IS
'lays a pattern over the shipped rules for the platform; it holds for every text from the commit on';

CREATE OR REPLACE FUNCTION theazo_internal.safety_pattern_drop(p_platform text, p_name text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM theazo_data.safety_pattern p WHERE p.platform_id = p_platform AND p.name = p_name;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('pattern', p_name);
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'safety_pattern_deleted', jsonb_build_object('name', p_name), NULL, NULL, NULL, 'live');
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_pattern_drop(text, text) IS 'deletes a pattern of the content filter';

CREATE OR REPLACE FUNCTION theazo.safety_pattern_delete(name text, api_key text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'guardrail:write');
	PERFORM theazo_internal.shared_change_check('a pattern of the content filter');
	PERFORM theazo_internal.safety_pattern_drop(theazo_internal.current_platform(), safety_pattern_delete.name);
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo.safety_pattern_delete(text, text) IS 'deletes a pattern of the platform';

CREATE OR REPLACE FUNCTION theazo.operator_safety_pattern_set(name text, pattern text, category text, weight numeric DEFAULT 1)
RETURNS theazo.operator_safety_patterns
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_out theazo.operator_safety_patterns;
BEGIN
	PERFORM theazo_internal.enter_operator();
	IF (SELECT count(*) FROM theazo_data.safety_pattern p
		 WHERE p.platform_id = theazo_internal.operator_platform() AND p.name <> operator_safety_pattern_set.name) >= 150 THEN
		PERFORM theazo_internal.raise_ceiling('patterns of the operator', 150, 'Delete one, or put several into one with |.');
	END IF;
	PERFORM theazo_internal.safety_pattern_put(theazo_internal.operator_platform(), operator_safety_pattern_set.name, operator_safety_pattern_set.pattern,
		operator_safety_pattern_set.category, operator_safety_pattern_set.weight);
	SELECT * INTO v_out FROM theazo.operator_safety_patterns p
	 WHERE p.platform_id = theazo_internal.operator_platform() AND p.name = operator_safety_pattern_set.name;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.operator_safety_pattern_set(text, text, text, numeric) IS 'operator: lays a pattern over the shipped rules for every platform';

CREATE OR REPLACE FUNCTION theazo.operator_safety_pattern_delete(name text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.safety_pattern_drop(theazo_internal.operator_platform(), operator_safety_pattern_delete.name);
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo.operator_safety_pattern_delete(text) IS 'operator: deletes a pattern of everybody''s';

CREATE OR REPLACE VIEW theazo.operator_safety_rules WITH (security_barrier) AS
	SELECT r.name, r.category, round(r.weight / 100.0, 2) AS weight, r.concepts, r.reach, r.ordered, r.firm FROM theazo_internal.safety_rules() r;
COMMENT ON VIEW theazo.operator_safety_rules IS 'the shipped rules of the content filter';

CREATE OR REPLACE VIEW theazo.operator_safety_words WITH (security_barrier) AS
	SELECT w.concept, w.language, unnest(string_to_array(w.words, '|')) AS word FROM theazo_internal.safety_words() w;
COMMENT ON VIEW theazo.operator_safety_words IS 'the words of the concepts that the shipped rules are made of; * behind one: also the beginning of longer ones';
