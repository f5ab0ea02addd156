-- governed_agent.sql: governed agents: registered by name, changed, kept in every version.
--
-- One is an agent without a machine of its own, and a row beside it: its options are made of what it was registered with, so
-- policy, permissions, context, permission requests, halts and the trail are those of every agent.

-- ---------------------------------------------------------------------------------------
-- what it may be registered with

CREATE OR REPLACE FUNCTION theazo_internal.governed_config_check(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	k	text;
	v	jsonb;
BEGIN
	p_doc := theazo_internal.object_check('config', p_doc, 65536, ARRAY['memory_limit_mb', 'cpu_time_limit_ms', 'max_api_calls_per_run',
		'allow_network', 'allow_filesystem', 'sandbox_template', 'allowed_domains', 'content_safety', 'model', 'instructions', 'tools']);
	FOR k, v IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(p_doc) e LOOP
		CONTINUE WHEN pg_catalog.jsonb_typeof(v) = 'null';
		CASE k
			WHEN 'memory_limit_mb' THEN
				PERFORM theazo_internal.integer_check('config.' || k, v, 16, 2048);
			WHEN 'cpu_time_limit_ms' THEN
				PERFORM theazo_internal.integer_check('config.' || k, v, 10, 1800000);
			WHEN 'max_api_calls_per_run' THEN
				PERFORM theazo_internal.integer_check('config.' || k, v, 0, 10000);
			WHEN 'sandbox_template' THEN
				PERFORM theazo_internal.template_check('config.' || k, v #>> '{}');
			WHEN 'allowed_domains' THEN
				p_doc := p_doc || pg_catalog.jsonb_build_object(k, (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.domain_check('config.' || k, d)), '[]')
					FROM pg_catalog.unnest(theazo_internal.names_check('config.' || k, v, 100, 253)) d));
			WHEN 'allow_network', 'allow_filesystem', 'content_safety' THEN
				PERFORM theazo_internal.boolean_check('config.' || k, v);
			ELSE
				-- an option of every agent, checked as such
				NULL;
		END CASE;
	END LOOP;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_config_check(jsonb) IS 'the config of a governed agent: known fields, values that can be meant; nulls stay, for merging';

-- A domain as it is registered: the host itself and what is below it.
CREATE OR REPLACE FUNCTION theazo_internal.domain_check(p_field text, p_domain text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	p_domain := theazo_internal.host_rule_check(p_field, p_domain);
	RETURN CASE WHEN p_domain LIKE '*.%' THEN pg_catalog.substr(p_domain, 3) ELSE p_domain END;
END $$;
COMMENT ON FUNCTION theazo_internal.domain_check(text, text) IS 'a domain that may be reached, with all below it; returns it in lower case';

CREATE OR REPLACE FUNCTION theazo_internal.frameworks()
RETURNS TABLE (framework text, title text)
LANGUAGE sql IMMUTABLE
AS $$
	VALUES
	('eu_ai_act', 'Regulation (EU) 2024/1689'),
	('soc2', 'AICPA Trust Services Criteria 2017, points of focus 2022'),
	('nist_ai_rmf', 'NIST AI 100-1, AI RMF 1.0'),
	('iso_42001', 'ISO/IEC 42001:2023'),
	('owasp_llm', 'OWASP Top 10 for LLM Applications 2025'),
	('owasp_agentic', 'OWASP Top 10 for Agentic Applications 2026'),
	('gdpr', 'Regulation (EU) 2016/679')
$$;
COMMENT ON FUNCTION theazo_internal.frameworks() IS 'frameworks that an agent''s compliance may name, with the edition that is meant';

-- What is registered: {config, permissions, sandbox, limits, compliance}, each checked by itself.
CREATE OR REPLACE FUNCTION theazo_internal.governed_document_check(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	p_doc := theazo_internal.without_nulls(p_doc);
	p_doc := p_doc || pg_catalog.jsonb_build_object('config', theazo_internal.without_nulls(theazo_internal.governed_config_check(p_doc -> 'config')));
	IF p_doc ? 'permissions' THEN
		p_doc := p_doc || pg_catalog.jsonb_build_object('permissions', theazo_internal.permissions_check('permissions', p_doc -> 'permissions'));
	END IF;
	IF p_doc ? 'sandbox' THEN
		PERFORM theazo_internal.template_check('sandbox', p_doc ->> 'sandbox');
		IF p_doc -> 'config' ? 'sandbox_template' AND p_doc -> 'config' ->> 'sandbox_template' <> p_doc ->> 'sandbox' THEN
			PERFORM theazo_internal.raise_value('sandbox', 'is another template than config.sandbox_template', 'Name one of them.');
		END IF;
	END IF;
	IF p_doc ? 'limits' THEN
		p_doc := p_doc || pg_catalog.jsonb_build_object('limits', theazo_internal.agent_limits_check(p_doc -> 'limits'));
	END IF;
	IF p_doc ? 'compliance' THEN
		PERFORM theazo_internal.one_of('compliance', k, VARIADIC ARRAY(SELECT f.framework FROM theazo_internal.frameworks() f))
		   FROM pg_catalog.unnest(theazo_internal.names_check('compliance', p_doc -> 'compliance', 20, 64)) k;
	END IF;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_document_check(jsonb) IS 'what a governed agent is registered with, checked; returns it without nulls';

-- One limit: what config says, else what limits say, else what the template gives where one was chosen, else p_plain.
CREATE OR REPLACE FUNCTION theazo_internal.governed_limit(
	p_field text, p_config jsonb, p_own_field text, p_limit jsonb, p_factor integer, p_template bigint, p_plain bigint, p_max bigint, p_name text, p_platform bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_given bigint := coalesce((p_config #>> '{}')::bigint, (p_limit #>> '{}')::bigint * p_factor);
	v_field text := CASE WHEN p_config IS NULL THEN p_own_field ELSE p_field END;
	v_unit	integer := CASE WHEN p_config IS NULL THEN p_factor ELSE 1 END;
BEGIN
	IF v_given > p_max THEN
		PERFORM theazo_internal.raise_value(v_field, pg_catalog.format('is more than template %s allows', p_name),
			pg_catalog.format('At most %s; or choose a template that leaves more open.', p_max / v_unit));
	ELSIF v_given > p_platform THEN
		PERFORM theazo_internal.raise_value(v_field, 'is more than the platform allows',
			pg_catalog.format('At most %s; theazo.platform_policy_set() changes it.', p_platform / v_unit));
	END IF;
	RETURN least(coalesce(v_given, p_template, p_plain), p_max, p_platform);
END $$;
COMMENT ON FUNCTION theazo_internal.governed_limit(text, jsonb, text, jsonb, integer, bigint, bigint, bigint, text, bigint) IS
'one limit of a governed agent within its template and its platform, or 22023 under the name it was given by: in config, else in limits';

-- The limits that hold: {template, memory_mb, time_ms, calls}.
CREATE OR REPLACE FUNCTION theazo_internal.governed_limits(p_platform text, p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	c		jsonb := p_doc -> 'config';
	l		jsonb := coalesce(p_doc -> 'limits', '{}');
	v_own	boolean := p_doc ? 'sandbox';
	v_name	text := coalesce(p_doc ->> 'sandbox', p_doc -> 'config' ->> 'sandbox_template');
	y		theazo_data.platform_policy;
	t		record;
BEGIN
	SELECT * INTO y FROM theazo_data.platform_policy x WHERE x.platform_id = p_platform;
	IF theazo_internal.template_place(v_name) > theazo_internal.template_place(y.template) THEN
		PERFORM theazo_internal.raise_value('sandbox', pg_catalog.format('%s leaves more open than the platform allows', v_name),
			pg_catalog.format('Use %s or a stricter one.', y.template));
	END IF;
	v_name := theazo_internal.template_least(coalesce(v_name, 'STANDARD'), coalesce(y.template, 'DEV'));
	SELECT * INTO STRICT t FROM theazo_internal.templates() x WHERE x.template = v_name;
	RETURN pg_catalog.jsonb_build_object('template', v_name,
		'memory_mb', theazo_internal.governed_limit('config.memory_limit_mb', c -> 'memory_limit_mb', 'limits.maxMemoryMb', l -> 'maxMemoryMb', 1,
			CASE WHEN v_own THEN t.memory_mb END, 128, t.max_memory_mb, v_name, y.max_memory_mb),
		'time_ms', theazo_internal.governed_limit('config.cpu_time_limit_ms', c -> 'cpu_time_limit_ms', 'limits.maxExecutionTimeSec', l -> 'maxExecutionTimeSec', 1000,
			CASE WHEN v_own THEN t.time_sec * 1000 END, 30000, t.max_time_sec * 1000, v_name, y.max_execution_time_sec * 1000),
		'calls', theazo_internal.governed_limit('config.max_api_calls_per_run', c -> 'max_api_calls_per_run', 'limits.maxApiCallsPerRun', l -> 'maxApiCallsPerRun', 1,
			CASE WHEN v_own THEN t.calls END, 50, t.max_calls, v_name, y.max_api_calls_per_run),
		'source_bytes', t.source_bytes);
END $$;
COMMENT ON FUNCTION theazo_internal.governed_limits(text, jsonb) IS 'template and limits of a governed agent as they follow from what it was registered with';

-- Options of the agent beside it.
CREATE OR REPLACE FUNCTION theazo_internal.governed_options(p_platform text, p_doc jsonb, p_code text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	c		jsonb := p_doc -> 'config';
	l		jsonb := theazo_internal.governed_limits(p_platform, p_doc);
	v_net	boolean := coalesce((c ->> 'allow_network')::boolean, false);
BEGIN
	IF pg_catalog.octet_length(p_code) > (l ->> 'source_bytes')::integer THEN
		PERFORM theazo_internal.raise_value('entry_code', pg_catalog.format('is %s bytes large', pg_catalog.octet_length(p_code)),
			pg_catalog.format('Template %s takes at most %s bytes.', l ->> 'template', l ->> 'source_bytes'));
	ELSIF l ->> 'template' = 'STRICT' AND v_net AND coalesce(c -> 'allowed_domains', '[]') = '[]' THEN
		PERFORM theazo_internal.raise_value('config.allowed_domains', 'is empty', 'Template STRICT opens the network to named domains only.');
	ELSIF c ->> 'content_safety' = 'false' AND l ->> 'template' <> 'DEV' THEN
		PERFORM theazo_internal.raise_value('config.content_safety', pg_catalog.format('is always on with template %s', l ->> 'template'),
			'Only template DEV can do without.');
	END IF;
	RETURN pg_catalog.jsonb_build_object('template', l -> 'template',
			'limits', pg_catalog.jsonb_build_object('maxMemoryMb', l -> 'memory_mb',
				'maxExecutionTimeSec', greatest(1, (ceil((l ->> 'time_ms')::numeric / 1000))::integer), 'maxApiCallsPerRun', l -> 'calls'),
			'network', pg_catalog.jsonb_build_object('enabled', v_net)
				|| CASE WHEN coalesce(c -> 'allowed_domains', '[]') <> '[]' THEN pg_catalog.jsonb_build_object('allow', c -> 'allowed_domains') ELSE '{}' END)
		|| CASE WHEN p_doc ? 'permissions' THEN pg_catalog.jsonb_build_object('permissions', p_doc -> 'permissions') ELSE '{}' END
		-- a template has the filter on by itself; DEV takes what the platform says, and at least this
		|| CASE WHEN c ->> 'content_safety' = 'false' THEN '{"guardrails": {"contentFilter": "off", "promptInjection": false}}'
				WHEN l ->> 'template' = 'DEV' THEN '{"guardrails": {"contentFilter": "moderate", "promptInjection": true}}' ELSE '{}' END::jsonb
		|| (SELECT coalesce(pg_catalog.jsonb_object_agg(e.key, e.value), '{}') FROM pg_catalog.jsonb_each(c) e WHERE e.key IN ('model', 'instructions', 'tools'));
END $$;
COMMENT ON FUNCTION theazo_internal.governed_options(text, jsonb, text) IS 'options of the agent that a governed agent is, or 22023 for what its template or platform does not allow';

-- What was approved since stands in the agent's options: it is part of what holds.
CREATE OR REPLACE FUNCTION theazo_internal.governed_held(p_doc jsonb, p_options jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	c		jsonb := p_doc -> 'config';
	l		jsonb := p_options -> 'limits';
	v_ms	bigint := coalesce((c ->> 'cpu_time_limit_ms')::bigint, (p_doc #>> '{limits,maxExecutionTimeSec}')::bigint * 1000, 30000);
BEGIN
	c := '{"allow_filesystem": false, "content_safety": true}'::jsonb || c || pg_catalog.jsonb_build_object(
		'allowed_domains', coalesce(p_options -> 'network' -> 'allow', '[]'), 'sandbox_template', p_options -> 'template', 'memory_limit_mb', l -> 'maxMemoryMb', 'max_api_calls_per_run', l -> 'maxApiCallsPerRun',
		-- whole seconds are what an agent has; what was given in milliseconds holds while it is meant
		'cpu_time_limit_ms', CASE WHEN greatest(1, ceil(v_ms / 1000.0)) = (l ->> 'maxExecutionTimeSec')::integer THEN v_ms
								  ELSE (l ->> 'maxExecutionTimeSec')::bigint * 1000 END,
		'allow_network', coalesce(p_options -> 'network' -> 'enabled', 'false'));
	RETURN p_doc || pg_catalog.jsonb_build_object('config', c)
		|| CASE WHEN p_options ? 'permissions' THEN pg_catalog.jsonb_build_object('permissions', p_options -> 'permissions') ELSE '{}' END;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_held(jsonb, jsonb) IS 'what a governed agent was registered with and what was granted to it since, with every default filled in';

-- ---------------------------------------------------------------------------------------
-- looking

CREATE OR REPLACE VIEW theazo.governed_agents WITH (security_barrier) AS
SELECT g.platform_id, g.id, g.number, g.session_id, g.environment, g.name, v.version, g.revision, v.description,
	   CASE WHEN a.status = 'completed' THEN 'ended'
			WHEN EXISTS (SELECT FROM theazo_data.halt h WHERE h.platform_id = g.platform_id AND h.kind = 'agent' AND h.target = g.id AND h.lifted_at IS NULL)
			THEN 'halted'
			WHEN a.status = 'paused' AND (a.paused_by IS DISTINCT FROM 'idle' OR a.options -> 'autoResume' = 'false') THEN 'paused'
			ELSE g.status END AS status,
	   d.held -> 'config' AS config, d.held -> 'permissions' AS permissions, d.held ->> 'sandbox' AS sandbox, d.held -> 'limits' AS limits,
	   d.held -> 'compliance' AS compliance, v.entry_code, encode(v.code_hash, 'hex') AS code_hash,
	   CASE WHEN d.held -> 'config' -> 'allow_filesystem' = 'true' THEN ARRAY['config.allow_filesystem is reserved and has no effect'] END AS warnings,
	   g.execution_count, g.last_execution_at, g.created_at, g.updated_at
  FROM theazo_data.governed_agent g
  JOIN theazo_data.governed_version v ON v.platform_id = g.platform_id AND v.agent_id = g.id AND v.revision = g.revision
  JOIN theazo_data.agent a ON a.platform_id = g.platform_id AND a.id = g.id
 CROSS JOIN LATERAL (SELECT theazo_internal.governed_held(v.document, a.options) OFFSET 0) AS d (held)
 WHERE (SELECT theazo_internal.may_read('agent:read'));
COMMENT ON VIEW theazo.governed_agents IS
'governed agents: code that runs in a sandbox under the policy of the agent of the same id; config is what holds, defaults and granted requests included';

CREATE OR REPLACE VIEW theazo.governed_versions WITH (security_barrier) AS
SELECT v.platform_id, v.agent_id, v.revision, v.version, v.description, v.document, v.entry_code, encode(v.code_hash, 'hex') AS code_hash, v.created_at
  FROM theazo_data.governed_version v
 WHERE (SELECT theazo_internal.may_read('agent:read'));
COMMENT ON VIEW theazo.governed_versions IS 'every version of every governed agent, as it was registered';

-- By id, number or name. Of several of a name in different sessions: one that has not ended, in the session where those are that were
-- registered without one, else the first that was made.
CREATE OR REPLACE FUNCTION theazo_internal.governed_find(p_agent text)
RETURNS theazo_data.governed_agent LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	g	theazo_data.governed_agent;
BEGIN
	IF p_agent ~ '^agt_' THEN
		SELECT * INTO g FROM theazo_data.governed_agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = p_agent;
	ELSIF p_agent ~ '^[0-9]{1,18}$' THEN
		SELECT * INTO g FROM theazo_data.governed_agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.number = p_agent::bigint;
	END IF;
	IF g.id IS NULL THEN
		SELECT x.* INTO g FROM theazo_data.governed_agent x
		  JOIN theazo_data.agent a ON a.platform_id = x.platform_id AND a.id = x.id
		  LEFT JOIN theazo_data.governed_session h ON h.platform_id = x.platform_id AND h.session_id = x.session_id
		 WHERE x.platform_id = theazo_internal.current_platform() AND x.name = p_agent AND x.environment = theazo_internal.current_environment()
		   AND (theazo_internal.current_session() IS NULL OR x.session_id = theazo_internal.current_session())
		 ORDER BY a.status = 'completed', h.session_id IS NULL, x.id LIMIT 1;
	END IF;
	IF g.id IS NULL OR NOT (theazo_internal.current_session() IS NULL OR g.session_id = theazo_internal.current_session())
		OR g.environment <> theazo_internal.current_environment() THEN
		PERFORM theazo_internal.raise_not_found('governed agent', p_agent);
	END IF;
	RETURN g;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_find(text) IS 'a governed agent of the caller by id, number or name, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.governed_shown(p_id text)
RETURNS theazo.governed_agents LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.governed_agents;
BEGIN
	SELECT * INTO result FROM theazo.governed_agents g WHERE g.platform_id = theazo_internal.current_platform() AND g.id = p_id;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_shown(text) IS 'a governed agent as the caller may see it';

CREATE OR REPLACE FUNCTION theazo.governed_get(agent text, api_key text DEFAULT NULL)
RETURNS theazo.governed_agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	RETURN theazo_internal.governed_shown((theazo_internal.governed_find(agent)).id);
END $$;
COMMENT ON FUNCTION theazo.governed_get(text, text) IS 'one governed agent, by id, number or name';

CREATE OR REPLACE FUNCTION theazo.governed_list(
	status text DEFAULT NULL, page integer DEFAULT 1, page_size integer DEFAULT 20, api_key text DEFAULT NULL)
RETURNS SETOF theazo.governed_agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	PERFORM theazo_internal.page_check(page, page_size);
	IF status IS NOT NULL THEN
		PERFORM theazo_internal.one_of('status', status, 'draft', 'ready', 'paused', 'halted', 'ended');
	END IF;
	RETURN QUERY
	SELECT g.* FROM theazo.governed_agents g
	 WHERE g.platform_id = theazo_internal.current_platform() AND (governed_list.status IS NULL OR g.status = governed_list.status)
	 ORDER BY g.id DESC LIMIT page_size OFFSET (page - 1)::bigint * page_size;
END $$;
COMMENT ON FUNCTION theazo.governed_list(text, integer, integer, text) IS 'governed agents, newest first, in pages counted from 1';

CREATE OR REPLACE FUNCTION theazo_internal.page_check(p_page integer, p_size integer)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_page IS NULL OR p_page < 1 THEN
		PERFORM theazo_internal.raise_value('page', 'must be 1 or more');
	ELSIF p_size IS NULL OR p_size NOT BETWEEN 1 AND 100 THEN
		PERFORM theazo_internal.raise_value('page_size', 'must be from 1 to 100');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.page_check(integer, integer) IS 'a page of a list, counted from 1, of at most 100 rows';
