-- template.sql: the templates STRICT, STANDARD and DEV, what a platform allows over them, and the policy of an agent.
--
-- What holds for an agent is worked out when it is asked for: from its options, its template and the platform's row. So a
-- platform that allows less holds at once, for agents that are there too; a run keeps what held when it began.

CREATE OR REPLACE FUNCTION theazo_internal.templates()
RETURNS TABLE (template text, place integer, memory_mb integer, max_memory_mb integer, time_sec integer, max_time_sec integer,
	calls integer, max_calls integer, calls_per_minute integer, safety_always boolean, source_bytes integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
VALUES
	('STRICT',   1,  256,  512, 120,  180,  20,   100,  30, true,    65536),
	('STANDARD', 2,  512, 1024, 300,  600,  50,   500,  60, true,   262144),
	('DEV',      3, 1024, 2048, 600, 1800, 500, 10000, 240, false, 1048576)
$$;
COMMENT ON FUNCTION theazo_internal.templates() IS 'what each template gives and at most allows; the higher its place, the more it leaves open';

CREATE OR REPLACE FUNCTION theazo_internal.template_check(p_field text, p_template text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN theazo_internal.one_of(p_field, p_template, 'STRICT', 'STANDARD', 'DEV');
END $$;
COMMENT ON FUNCTION theazo_internal.template_check(text, text) IS 'the name of a template; returns it';

CREATE OR REPLACE FUNCTION theazo_internal.template_place(p_template text)
RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE p_template WHEN 'STRICT' THEN 1 WHEN 'STANDARD' THEN 2 WHEN 'DEV' THEN 3 END;
END $$;
COMMENT ON FUNCTION theazo_internal.template_place(text) IS 'how much a template leaves open; null for none';

-- The stricter of the two; the other one where one is null.
CREATE OR REPLACE FUNCTION theazo_internal.template_least(p_given text, p_allowed text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE WHEN p_given IS NULL OR theazo_internal.template_place(p_given) > theazo_internal.template_place(p_allowed) THEN p_allowed ELSE p_given END;
END $$;
COMMENT ON FUNCTION theazo_internal.template_least(text, text) IS 'the template of an agent where its platform allows another one at most';

-- ---------------------------------------------------------------------------------------
-- options

CREATE OR REPLACE FUNCTION theazo_internal.agent_limits_check(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM theazo_internal.object_check('limits', p_doc, 1024, ARRAY['maxMemoryMb', 'maxExecutionTimeSec', 'maxApiCallsPerRun']);
	IF p_doc ? 'maxMemoryMb' THEN
		PERFORM theazo_internal.integer_check('limits.maxMemoryMb', p_doc -> 'maxMemoryMb', 16, 2048);
	END IF;
	IF p_doc ? 'maxExecutionTimeSec' THEN
		PERFORM theazo_internal.integer_check('limits.maxExecutionTimeSec', p_doc -> 'maxExecutionTimeSec', 1, 1800);
	END IF;
	IF p_doc ? 'maxApiCallsPerRun' THEN
		PERFORM theazo_internal.integer_check('limits.maxApiCallsPerRun', p_doc -> 'maxApiCallsPerRun', 0, 10000);
	END IF;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_limits_check(jsonb) IS 'the limits option of an agent; what its template allows is checked when the agent is made';

-- One limit of a new agent: within its template and within what the platform allows.
CREATE OR REPLACE FUNCTION theazo_internal.limit_within(p_field text, p_value jsonb, p_template text, p_template_max integer, p_platform_max integer)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_value IS NULL THEN
		RETURN;
	ELSIF (p_value #>> '{}')::bigint > p_template_max THEN
		PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('is more than template %s allows', p_template),
			pg_catalog.format('At most %s; or choose a template that leaves more open.', p_template_max));
	ELSIF (p_value #>> '{}')::bigint > p_platform_max THEN
		PERFORM theazo_internal.raise_value(p_field, 'is more than the platform allows',
			pg_catalog.format('At most %s; theazo.platform_policy_set() changes it.', p_platform_max));
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.limit_within(text, jsonb, text, integer, integer) IS '22023 for a limit above what template or platform allow';

-- Options of an agent that is made or changed, against its template, its platform and its definition; returns them, with the
-- platform's template where they name none. p_base: options of the definition, which an agent can tighten and not loosen.
CREATE OR REPLACE FUNCTION theazo_internal.policy_check(p_platform text, p_base jsonb, p_options jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	y		theazo_data.platform_policy;
	t		record;
	v_name	text := p_options ->> 'template';
	v_key	text;
BEGIN
	SELECT * INTO y FROM theazo_data.platform_policy x WHERE x.platform_id = p_platform;
	IF theazo_internal.template_place(v_name) > theazo_internal.template_place(y.template) THEN
		PERFORM theazo_internal.raise_value('template', pg_catalog.format('%s leaves more open than the platform allows', v_name),
			pg_catalog.format('Use %s or a stricter one.', y.template));
	END IF;
	v_name := coalesce(v_name, y.template);
	IF p_base ? 'template' AND (NOT p_options ? 'template'
			OR theazo_internal.template_place(p_options ->> 'template') > theazo_internal.template_place(p_base ->> 'template')) THEN
		PERFORM theazo_internal.raise_value('template', pg_catalog.format('is %s in the definition', p_base ->> 'template'),
			'An agent can tighten what its definition says, not loosen it.');
	ELSIF p_base ? 'permissions' AND NOT (p_options ? 'permissions' AND p_base -> 'permissions' @> (p_options -> 'permissions')) THEN
		PERFORM theazo_internal.raise_value('permissions', 'go beyond those of the definition',
			'An agent can tighten what its definition says, not loosen it. Leave the option out, or name scopes of the definition only.');
	END IF;
	FOREACH v_key IN ARRAY ARRAY['maxMemoryMb', 'maxExecutionTimeSec', 'maxApiCallsPerRun'] LOOP
		IF p_base -> 'limits' ? v_key AND NOT coalesce((p_options -> 'limits' ->> v_key)::bigint <= (p_base -> 'limits' ->> v_key)::bigint, false) THEN
			PERFORM theazo_internal.raise_value('limits.' || v_key, pg_catalog.format('is %s in the definition', p_base -> 'limits' ->> v_key),
				'An agent can tighten what its definition says, not loosen it.');
		END IF;
	END LOOP;
	SELECT * INTO t FROM theazo_internal.templates() x WHERE x.template = v_name;
	PERFORM theazo_internal.limit_within('limits.maxMemoryMb', p_options -> 'limits' -> 'maxMemoryMb', v_name, t.max_memory_mb, y.max_memory_mb);
	PERFORM theazo_internal.limit_within('limits.maxExecutionTimeSec', p_options -> 'limits' -> 'maxExecutionTimeSec', v_name, t.max_time_sec,
		y.max_execution_time_sec);
	PERFORM theazo_internal.limit_within('limits.maxApiCallsPerRun', p_options -> 'limits' -> 'maxApiCallsPerRun', v_name, t.max_calls, y.max_api_calls_per_run);
	RETURN p_options || CASE WHEN v_name IS NULL THEN '{}' ELSE pg_catalog.jsonb_build_object('template', v_name) END;
END $$;
COMMENT ON FUNCTION theazo_internal.policy_check(text, jsonb, jsonb) IS
'agent options within template, platform and definition, or 22023; returns them with the template that holds';

-- ---------------------------------------------------------------------------------------
-- policy

-- What holds for an agent now. A value of its own, else its template's; never more than template and platform allow. What no
-- one limits is not there. version: another one when the agent's policy or any rule of the platform changes.
CREATE OR REPLACE FUNCTION theazo_internal.policy_of(a theazo_data.agent)
RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	y		theazo_data.platform_policy;
	t		record;
	v_name	text := a.options ->> 'template';
	v_own	jsonb := coalesce(a.options -> 'limits', '{}');
	v_doc	jsonb;
BEGIN
	SELECT * INTO y FROM theazo_data.platform_policy x WHERE x.platform_id = a.platform_id;
	IF y.template IS NOT NULL THEN
		v_name := theazo_internal.template_least(v_name, y.template);
		a.options := a.options || pg_catalog.jsonb_build_object('template', v_name);
	END IF;
	SELECT * INTO t FROM theazo_internal.templates() x WHERE x.template = v_name;
	v_doc := pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('template', v_name, 'definition', a.definition_id,
		'scopes', a.options -> 'permissions', 'network', a.options -> 'network', 'approvals', a.options -> 'approvals',
		'limits', pg_catalog.jsonb_build_object(
			'maxMemoryMb', least(coalesce((v_own ->> 'maxMemoryMb')::integer, t.memory_mb), t.max_memory_mb, y.max_memory_mb),
			'maxExecutionTimeSec', least(coalesce((v_own ->> 'maxExecutionTimeSec')::integer, t.time_sec), t.max_time_sec, y.max_execution_time_sec),
			'maxApiCallsPerRun', least(coalesce((v_own ->> 'maxApiCallsPerRun')::integer, t.calls), t.max_calls, y.max_api_calls_per_run),
			'maxApiCallsPerMinute', t.calls_per_minute, 'maxSourceBytes', t.source_bytes)))
		|| pg_catalog.jsonb_build_object('guardrails', theazo_internal.guardrails_of(a));
	RETURN v_doc || pg_catalog.jsonb_build_object('version', pg_catalog."left"(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
		v_doc::text || theazo_internal.rules_digest(a.platform_id), 'UTF8')), 'hex'), 32));
END
$$;
COMMENT ON FUNCTION theazo_internal.policy_of(theazo_data.agent) IS 'template, scopes, network, limits, approvals and guardrails of an agent as they hold now, with a version';

-- Network of a sandbox that is made now: a scope that the agent does not hold is not given by a machine either.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_network(a theazo_data.agent)
RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_net jsonb := coalesce(a.options -> 'network', '{}');
BEGIN
	IF jsonb_typeof(v_net) <> 'object' THEN
		v_net := jsonb_build_object('enabled', v_net = 'true'::jsonb);
	END IF;
	RETURN jsonb_build_object('allow', coalesce(v_net -> 'allow', '[]'),
		'enabled', coalesce((v_net -> 'enabled')::boolean, false) AND (NOT a.options ? 'permissions' OR a.options -> 'permissions' ? 'network:outbound'));
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_network(theazo_data.agent) IS 'network of an agent''s sandbox: what its options open, if its scopes do too';

-- What work of this agent may take at most, in milliseconds; null without a limit.
CREATE OR REPLACE FUNCTION theazo_internal.policy_time_ms(p_policy jsonb)
RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$ SELECT (p_policy #>> '{limits,maxExecutionTimeSec}')::integer * 1000 $$;
COMMENT ON FUNCTION theazo_internal.policy_time_ms(jsonb) IS 'time limit of a policy in milliseconds, or null';

-- The calls a run may make: null, or what the model is told. p_seq: of the step; the model's own calls do not count.
CREATE OR REPLACE FUNCTION theazo_internal.calls_check(l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_name text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	v_max	integer := (l.policy #>> '{limits,maxApiCallsPerRun}')::integer;
BEGIN
	IF v_max IS NULL OR p_seq - l.model_calls <= v_max THEN
		RETURN NULL;
	ELSIF p_seq - l.model_calls = v_max + 1 THEN
		PERFORM theazo_internal.event_write(r.platform_id, 'limit', 'rate_limit_hit', jsonb_build_object('code', 'TZ201', 'tool', left(p_name, 128), 'max', v_max),
			r.session_id, r.agent_id, r.id, r.environment, 'deny', 'maxApiCallsPerRun', true);
	END IF;
	RETURN 'error: tool call limit reached';
END
$$;
COMMENT ON FUNCTION theazo_internal.calls_check(theazo_data.run_loop, theazo_data.run, integer, text) IS 'refuses the tool calls of a run beyond its limit';

-- ---------------------------------------------------------------------------------------
-- what a platform allows

CREATE OR REPLACE VIEW theazo.platform_policies WITH (security_barrier) AS
SELECT y.platform_id, y.template, y.max_memory_mb, y.max_execution_time_sec, y.max_api_calls_per_run, y.updated_at
  FROM theazo_data.platform_policy y
 WHERE (SELECT theazo_internal.may_read('permission:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.platform_policies IS 'what the platform allows its agents at most; no row: what their templates allow';

CREATE OR REPLACE FUNCTION theazo.platform_policy_set(
	template text DEFAULT NULL, max_memory_mb integer DEFAULT NULL, max_execution_time_sec integer DEFAULT NULL,
	max_api_calls_per_run integer DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.platform_policies LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	here	text;
	result	theazo.platform_policies;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.governance_check('what the platform allows');
	here := theazo_internal.current_platform();
	IF platform_policy_set.template IS NOT NULL THEN
		PERFORM theazo_internal.template_check('template', platform_policy_set.template);
	END IF;
	IF platform_policy_set.max_memory_mb NOT BETWEEN 16 AND 2048 THEN
		PERFORM theazo_internal.raise_value('max_memory_mb', 'must be from 16 to 2048');
	ELSIF platform_policy_set.max_execution_time_sec NOT BETWEEN 1 AND 1800 THEN
		PERFORM theazo_internal.raise_value('max_execution_time_sec', 'must be from 1 to 1800');
	ELSIF platform_policy_set.max_api_calls_per_run NOT BETWEEN 0 AND 10000 THEN
		PERFORM theazo_internal.raise_value('max_api_calls_per_run', 'must be from 0 to 10000');
	END IF;
	INSERT INTO theazo_data.platform_policy AS x (platform_id, template, max_memory_mb, max_execution_time_sec, max_api_calls_per_run)
	VALUES (here, platform_policy_set.template, platform_policy_set.max_memory_mb, platform_policy_set.max_execution_time_sec,
			platform_policy_set.max_api_calls_per_run)
	ON CONFLICT ON CONSTRAINT platform_policy_pkey DO UPDATE
	   SET template = excluded.template, max_memory_mb = excluded.max_memory_mb, max_execution_time_sec = excluded.max_execution_time_sec,
		   max_api_calls_per_run = excluded.max_api_calls_per_run, updated_at = now();
	PERFORM theazo_internal.event_write(here, 'permission', 'platform_policy_set', jsonb_strip_nulls(jsonb_build_object('template', platform_policy_set.template,
		'maxMemoryMb', platform_policy_set.max_memory_mb, 'maxExecutionTimeSec', platform_policy_set.max_execution_time_sec,
		'maxApiCallsPerRun', platform_policy_set.max_api_calls_per_run)), NULL, NULL, NULL, theazo_internal.current_environment());
	SELECT * INTO STRICT result FROM theazo.platform_policies x WHERE x.platform_id = here;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.platform_policy_set(text, integer, integer, integer, text) IS
'what agents of the platform get at most: the loosest template, which those get that name none, and the highest limits; null does not limit';

CREATE OR REPLACE FUNCTION theazo.agent_policy(agent text, api_key text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = agent_policy.agent;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('agent', agent_policy.agent);
	END IF;
	RETURN theazo_internal.policy_of(a);
END $$;
COMMENT ON FUNCTION theazo.agent_policy(text, text) IS 'what holds for an agent now: template, scopes, network, limits, approvals, guardrails, and the version of all that';
