-- permission.sql: what an agent may do: scopes and presets, rules about tools, files and hosts, and the judgement.
--
-- The judgement itself is in C (src/gate/permission.c), over what permission_load() tells it; every gate asks for it.

CREATE OR REPLACE TRIGGER permission_rule_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.permission_rule
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
CREATE OR REPLACE TRIGGER flow_label_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.flow_label
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
CREATE OR REPLACE TRIGGER flow_rule_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.flow_rule
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
CREATE OR REPLACE TRIGGER platform_policy_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.platform_policy
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
-- whether a function only reads is part of the judgement
CREATE OR REPLACE TRIGGER tool_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.tool
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
ALTER TABLE theazo_data.permission_rule ENABLE ALWAYS TRIGGER permission_rule_memo;
ALTER TABLE theazo_data.flow_label ENABLE ALWAYS TRIGGER flow_label_memo;
ALTER TABLE theazo_data.flow_rule ENABLE ALWAYS TRIGGER flow_rule_memo;
ALTER TABLE theazo_data.platform_policy ENABLE ALWAYS TRIGGER platform_policy_memo;
ALTER TABLE theazo_data.tool ENABLE ALWAYS TRIGGER tool_memo;

-- ---------------------------------------------------------------------------------------
-- scopes

CREATE OR REPLACE FUNCTION theazo_internal.permission_scopes()
RETURNS TABLE (scope text, meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
VALUES
	('compute:read',     'metrics of its sandbox'),
	('compute:write',    'code in its sandbox'),
	('inference:call',   'calls of models'),
	('data:read',        'functions of the database that only read, its context store'),
	('data:write',       'functions of the database that write, its context store'),
	('network:outbound', 'requests to the outside: http_fetch, web_search, tools behind a webhook, network of its sandbox'),
	('storage:read',     'files of its sandbox, its context store'),
	('storage:write',    'writing files of its sandbox, its context store'),
	('agents:read',      'results of other agents'' runs'),
	('agents:write',     'starting runs and sending inputs to other agents')
$$;
COMMENT ON FUNCTION theazo_internal.permission_scopes() IS 'the scopes an agent can hold';

CREATE OR REPLACE FUNCTION theazo_internal.permission_presets()
RETURNS TABLE (preset text, scopes text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
VALUES
	('READONLY',   '{compute:read,data:read,storage:read}'::text[]),
	('WRITER',     '{data:read,inference:call}'),
	('RESEARCHER', '{agents:read,data:read,inference:call,network:outbound,storage:read}'),
	('CODER',      '{compute:read,compute:write,data:read,inference:call,network:outbound}'),
	('ANALYST',    '{agents:read,compute:read,data:read,data:write,inference:call,storage:read,storage:write}'),
	('FULL',       '{agents:read,agents:write,compute:read,compute:write,data:read,data:write,inference:call,network:outbound,storage:read,storage:write}')
$$;
COMMENT ON FUNCTION theazo_internal.permission_presets() IS 'names for sets of scopes';

-- What each kind of action needs: one of its scopes, or none. A function of the database needs data:read or data:write by
-- what it was registered as. A kind that is not here is closed to an agent with permissions.
CREATE OR REPLACE FUNCTION theazo_internal.permission_kinds()
RETURNS TABLE (kind text, scopes text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
VALUES
	('model.call',      '{inference:call}'::text[]),
	('compute.exec',    '{compute:write}'),
	('compute.metrics', '{compute:read}'),
	('compute.expose_port', '{compute:write}'),
	('compute.read',    '{storage:read}'),
	('compute.list',    '{storage:read}'),
	('compute.write',   '{storage:write}'),
	('compute.create',  '{}'),
	('compute.pause',   '{}'),
	('compute.resume',  '{}'),
	('compute.destroy', '{}'),
	('http.get',        '{network:outbound}'),
	('http.request',    '{network:outbound}'),
	('http.fetch',      '{network:outbound}'),
	('script.run',      '{}'),
	('tool.webhook',    '{network:outbound}'),
	('tool.sql',        '{data:read,data:write}'),
	('tool.progress',   '{}'),
	('run.start',       '{inference:call}'),
	('run.spawn',       '{agents:write}'),
	('run.read',        '{agents:read}'),
	('agent.send',      '{agents:write}'),
	('agent.write',     '{agents:write}'),
	('context.read',    '{data:read,storage:read}'),
	('context.write',   '{data:write,storage:write}')
$$;
COMMENT ON FUNCTION theazo_internal.permission_kinds() IS 'which scope an agent needs for what';

-- What a tool call of a model is, as the judgement looks at it. A path that climbs out or a host that cannot be read is null.
CREATE OR REPLACE FUNCTION theazo_internal.tool_action(
	p_platform text, p_name text, p_arguments jsonb, OUT known boolean, OUT kind text, OUT path text, OUT host text)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	t theazo_data.tool;
BEGIN
	SELECT * INTO t FROM theazo_data.tool x WHERE x.platform_id = p_platform AND x.name = p_name;
	known := FOUND OR EXISTS (SELECT FROM theazo_internal.tool_builtins() b WHERE b.name = p_name);
	kind := theazo_internal.tool_kind(t, p_name, p_arguments);
	host := theazo_internal.tool_host(t, p_name, p_arguments);
	path := CASE WHEN kind IN ('compute.read', 'compute.write') THEN theazo_internal.path_clean(p_arguments ->> 'path')
				 WHEN kind = 'compute.list' THEN theazo_internal.path_clean(coalesce(p_arguments ->> 'dir', '/')) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_action(text, text, jsonb) IS 'kind, path and host of a tool call, and whether there is such a tool';

-- Where a search goes is the operator's choice and no host of the agent's: only a pattern for every host means it.
CREATE OR REPLACE FUNCTION theazo_internal.tool_host(t theazo_data.tool, p_name text, p_arguments jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN CASE WHEN t.name IS NOT NULL THEN theazo_internal.url_host(t.url)
				WHEN p_name = 'web_search' THEN '*'
				WHEN p_name = 'http_fetch' THEN theazo_internal.url_host(p_arguments ->> 'url') END;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_host(theazo_data.tool, text, jsonb) IS 'the host that a tool call sends something to';

-- As path_check(), for what only looks.
CREATE OR REPLACE FUNCTION theazo_internal.path_clean(p_path text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	v_part	text;
	v_out	text[] := '{}';
BEGIN
	IF p_path IS NULL OR p_path = '' OR pg_catalog.octet_length(p_path) > 4096 THEN
		RETURN NULL;
	END IF;
	FOREACH v_part IN ARRAY pg_catalog.string_to_array(p_path, '/')
	LOOP
		CONTINUE WHEN v_part IN ('', '.');
		IF v_part <> '..' THEN
			v_out := v_out || v_part;
		ELSIF pg_catalog.cardinality(v_out) = 0 THEN
			RETURN NULL;
		ELSE
			v_out := v_out[1:pg_catalog.cardinality(v_out) - 1];
		END IF;
	END LOOP;
	RETURN '/' || pg_catalog.array_to_string(v_out, '/');
END
$$;
COMMENT ON FUNCTION theazo_internal.path_clean(text) IS 'a path in a sandbox without dots and double slashes, null when it climbs out';

-- ---------------------------------------------------------------------------------------
-- judgement

-- Everything a platform's judgements are made of, for the memo of a process: not what the caller may see, but what holds.
CREATE OR REPLACE FUNCTION theazo_internal.permission_load(p_platform text)
RETURNS TABLE (what text, id text, kind text, a text, b text, c text, d text, subject text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH rows AS (
		(SELECT 'rule' AS what, r.id::text, r.effect AS kind, r.scope AS a, r.tool AS b, r.path AS c, r.host AS d, r.subject
		  FROM theazo_data.permission_rule r WHERE r.platform_id = p_platform
		 ORDER BY r.effect DESC, (r.scope <> '')::int + (r.tool <> '')::int + (r.path <> '')::int + (r.host <> '')::int + (r.subject <> '')::int DESC,
			   length(r.scope || r.tool || r.path || r.host) DESC, r.id)
		UNION ALL
		(SELECT 'source', s.id::text, s.kind, s.label, s.pattern, '', '', s.subject
		  FROM theazo_data.flow_label s WHERE s.platform_id = p_platform ORDER BY s.id)
		UNION ALL
		(SELECT 'sink', s.id::text, s.kind, s.label, s.pattern, '', '', s.subject
		  FROM theazo_data.flow_rule s WHERE s.platform_id = p_platform ORDER BY s.id)
		UNION ALL
		(SELECT 'tool', t.name, CASE WHEN t.type = 'sql' AND t.read_only THEN 'reads' ELSE 'writes' END, '', '', '', '', ''
		  FROM theazo_data.tool t WHERE t.platform_id = p_platform ORDER BY t.name COLLATE "C")
		UNION ALL
		SELECT 'policy', '', coalesce(y.template, ''), y.max_memory_mb::text, y.max_execution_time_sec::text, y.max_api_calls_per_run::text, '', ''
		  FROM theazo_data.platform_policy y WHERE y.platform_id = p_platform
		UNION ALL
		SELECT 'kind', k.kind, '', k.scopes[1], k.scopes[2], '', '', '' FROM theazo_internal.permission_kinds() k)
	SELECT * FROM rows
	UNION ALL
	SELECT 'digest', encode(sha256(convert_to(coalesce(string_agg(r::text, E'\n' ORDER BY r::text COLLATE "C"), ''), 'UTF8')), 'hex'), '', '', '', '', '', ''
	  FROM rows r WHERE r.what <> 'tool'
$$;
COMMENT ON FUNCTION theazo_internal.permission_load(text) IS 'rules, labels, tools and kinds of a platform; deny before allow, what names more before what names less';

-- Null path or host: not known, which is everything to a rule that forbids and nothing to one that allows.
CREATE OR REPLACE FUNCTION theazo_internal.permission_decide(
	p_platform text, p_agent text, p_policy jsonb, p_labels text[], p_kind text, p_tool text, p_path text, p_host text,
	OUT allowed boolean, OUT rule text, OUT message text, OUT hint text, OUT alternative text)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_permission_decide';
COMMENT ON FUNCTION theazo_internal.permission_decide(text, text, jsonb, text[], text, text, text, text) IS
'may an agent with this policy do this, and by which rule; the gate asks the same without SQL';

CREATE OR REPLACE FUNCTION theazo_internal.permission_judge(
	a theazo_data.agent, labels text[], kind text, tool text, path text, host text,
	OUT rule text, OUT message text, OUT hint text, OUT alternative text)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v record;
BEGIN
	v := theazo_internal.permission_decide(a.platform_id, a.id, theazo_internal.policy_of(a), labels, kind, tool, path, host);
	IF NOT v.allowed THEN
		rule := v.rule;
		message := v.message;
		hint := v.hint;
		alternative := v.alternative;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.permission_judge(theazo_data.agent, text[], text, text, text, text) IS
'what forbids an agent an action, or null';

CREATE OR REPLACE FUNCTION theazo_internal.rules_digest(p_platform text)
RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_rules_digest';
COMMENT ON FUNCTION theazo_internal.rules_digest(text) IS 'changes when anything changes that decides what a platform''s agents may do';

-- ---------------------------------------------------------------------------------------
-- values

-- Scopes of an agent, or the name of a preset; returns the scopes, each once. A preset is what it is now: agents keep
-- what they were given.
CREATE OR REPLACE FUNCTION theazo_internal.permissions_check(p_field text, p_value jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	s text;
	result text[];
BEGIN
	IF pg_catalog.jsonb_typeof(p_value) = 'string' THEN
		SELECT p.scopes INTO result FROM theazo_internal.permission_presets() p WHERE p.preset = p_value #>> '{}';
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('has no preset %s', theazo_internal.quoted(p_value #>> '{}')),
				(SELECT pg_catalog.format('Use one of: %s, or an array of scopes.', pg_catalog.string_agg(p.preset, ', ')) FROM theazo_internal.permission_presets() p));
		END IF;
	ELSE
		result := theazo_internal.names_check(p_field, p_value, 50, 64);
		FOREACH s IN ARRAY result LOOP
			PERFORM theazo_internal.agent_scope_check(p_field, s);
		END LOOP;
	END IF;
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT u COLLATE "C"), '[]') FROM pg_catalog.unnest(result) u);
END $$;
COMMENT ON FUNCTION theazo_internal.permissions_check(text, jsonb) IS 'scopes of an agent or a preset; returns the scopes';

CREATE OR REPLACE FUNCTION theazo_internal.agent_scope_check(p_field text, p_scope text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM theazo_internal.permission_scopes() s WHERE s.scope = p_scope) THEN
		PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('has no scope %s', theazo_internal.quoted(p_scope)),
			(SELECT pg_catalog.format('Use: %s.', pg_catalog.string_agg(s.scope, ', ')) FROM theazo_internal.permission_scopes() s));
	END IF;
	RETURN p_scope;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_scope_check(text, text) IS 'a scope an agent can hold; returns it';

-- A pattern of names. The number of stars is bounded because a comparison tries each.
CREATE OR REPLACE FUNCTION theazo_internal.pattern_check(p_field text, p_pattern text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_pattern IS NULL THEN
		RETURN '';
	END IF;
	PERFORM theazo_internal.name_check(p_field, p_pattern, 256);
	IF pg_catalog.length(p_pattern) - pg_catalog.length(pg_catalog.replace(p_pattern, '*', '')) > 8 THEN
		PERFORM theazo_internal.raise_value(p_field, 'has more than 8 stars', 'Make several rules.');
	END IF;
	RETURN p_pattern;
END $$;
COMMENT ON FUNCTION theazo_internal.pattern_check(text, text) IS 'a pattern of names; empty for null';

-- Paths are compared clean, so patterns are kept clean: a pattern that no path can match would forbid nothing.
CREATE OR REPLACE FUNCTION theazo_internal.path_pattern_check(p_field text, p_pattern text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	result text;
BEGIN
	IF p_pattern IS NULL THEN
		RETURN '';
	END IF;
	PERFORM theazo_internal.pattern_check(p_field, p_pattern);
	result := theazo_internal.path_clean(p_pattern);
	IF result IS NULL THEN
		PERFORM theazo_internal.raise_value(p_field, 'climbs out of the sandbox''s working directory', 'Paths begin at the working directory.');
	ELSIF result = '/' THEN
		result := '/**';
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.path_pattern_check(text, text) IS 'a pattern of paths in a sandbox, cleaned; it covers what lies below';

CREATE OR REPLACE FUNCTION theazo_internal.host_clean(p_host text)
RETURNS text LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_host_clean';
COMMENT ON FUNCTION theazo_internal.host_clean(text) IS 'a host in its one spelling, without port; null for what is no host';

CREATE OR REPLACE FUNCTION theazo_internal.host_covers(p_pattern text, p_host text)
RETURNS boolean LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_host_covers';
COMMENT ON FUNCTION theazo_internal.host_covers(text, text) IS
'is this the host, or, where the pattern is a name, below it; *. for those below it alone; both as host_clean() gives them';

CREATE OR REPLACE FUNCTION theazo_internal.host_pattern_check(p_field text, p_pattern text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_pattern IS NULL OR p_pattern = '*' THEN
		RETURN coalesce(p_pattern, '');
	END IF;
	PERFORM theazo_internal.host_rule_check(p_field, p_pattern);
	IF p_pattern OPERATOR(pg_catalog.~) ':[0-9]+$' AND NOT p_pattern OPERATOR(pg_catalog.~) '^\[[^]]*\]$' THEN
		PERFORM theazo_internal.raise_value(p_field, 'names a port', 'A rule holds for all ports of a host.');
	END IF;
	RETURN theazo_internal.host_clean(p_pattern);
END $$;
COMMENT ON FUNCTION theazo_internal.host_pattern_check(text, text) IS 'a host, which covers its subdomains, or *.host, or *; empty for null';

-- Rules are the platform's, so an agent or a definition of another one does not exist.
CREATE OR REPLACE FUNCTION theazo_internal.subject_check(p_subject text)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	here text := theazo_internal.current_platform();
BEGIN
	IF p_subject IS NULL THEN
		RETURN '';
	ELSIF p_subject LIKE 'agt\_%' THEN
		PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = here AND a.id = p_subject;
	ELSE
		PERFORM 1 FROM theazo_data.definition d WHERE d.platform_id = here AND d.id = p_subject;
	END IF;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found(CASE WHEN p_subject LIKE 'agt\_%' THEN 'agent' ELSE 'definition' END, p_subject);
	END IF;
	RETURN p_subject;
END $$;
COMMENT ON FUNCTION theazo_internal.subject_check(text) IS 'an agent or a definition of the platform that a rule is about; empty for null';

-- What governs a run is not changed by it.
CREATE OR REPLACE FUNCTION theazo_internal.governance_check(p_what text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.shared_change_check(p_what);
	IF theazo_internal.current_run() IS NOT NULL THEN
		PERFORM theazo_internal.raise_scope(pg_catalog.format('a tool of a run cannot change %s', p_what), 'governance',
			'Change it outside of a run.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.governance_check(text) IS 'TZ602 for a change of what governs agents, by a session, with a test key or by a run';

-- ---------------------------------------------------------------------------------------
-- rules

CREATE OR REPLACE VIEW theazo.permission_rules WITH (security_barrier) AS
SELECT r.platform_id, r.id, r.effect, nullif(r.scope, '') AS scope, nullif(r.tool, '') AS tool, nullif(r.path, '') AS path,
	   nullif(r.host, '') AS host, nullif(r.subject, '') AS subject, r.created_at
  FROM theazo_data.permission_rule r
 WHERE (SELECT theazo_internal.may_read('permission:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.permission_rules IS
'rules of the platform about what agents may do; what is null is not asked for, subject null is every agent';

CREATE OR REPLACE FUNCTION theazo.permission_rule_set(
	effect text, scope text DEFAULT NULL, tool text DEFAULT NULL, path text DEFAULT NULL, host text DEFAULT NULL,
	subject text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.permission_rules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	here	text;
	r		theazo_data.permission_rule;
	was		text;
	result	theazo.permission_rules;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.governance_check('a rule');
	here := theazo_internal.current_platform();
	r.effect := theazo_internal.one_of('effect', permission_rule_set.effect, 'allow', 'deny');
	r.scope := theazo_internal.scope_pattern_check('scope', permission_rule_set.scope);
	r.tool := theazo_internal.pattern_check('tool', permission_rule_set.tool);
	r.path := theazo_internal.path_pattern_check('path', permission_rule_set.path);
	r.host := theazo_internal.host_pattern_check('host', permission_rule_set.host);
	r.subject := theazo_internal.subject_check(permission_rule_set.subject);
	IF r.scope || r.tool || r.path || r.host = '' THEN
		PERFORM theazo_internal.raise_value('scope', 'or tool, path or host must be given', 'Say what the rule is about.');
	END IF;
	SELECT x.id INTO was FROM theazo_data.permission_rule x
	 WHERE x.platform_id = here AND (x.effect, x.scope, x.tool, x.path, x.host, x.subject) = (r.effect, r.scope, r.tool, r.path, r.host, r.subject);
	IF NOT FOUND THEN
		IF (SELECT count(*) FROM theazo_data.permission_rule x WHERE x.platform_id = here) >= 500 THEN
			PERFORM theazo_internal.raise_ceiling('permission rules', 500, 'Use patterns, and delete what is not needed any more.');
		END IF;
		r.id := theazo_internal.id_new('prl');
		INSERT INTO theazo_data.permission_rule AS x (platform_id, id, effect, scope, tool, path, host, subject)
		VALUES (here, r.id, r.effect, r.scope, r.tool, r.path, r.host, r.subject)
		ON CONFLICT ON CONSTRAINT permission_rule_key DO UPDATE SET effect = excluded.effect
		RETURNING x.id INTO was;
		PERFORM theazo_internal.event_write(here, 'permission', 'permission_rule_set', jsonb_strip_nulls(jsonb_build_object('rule', was, 'effect', r.effect,
			'scope', nullif(r.scope, ''), 'tool', nullif(r.tool, ''), 'path', nullif(r.path, ''), 'host', nullif(r.host, ''), 'subject', nullif(r.subject, ''))),
			NULL, NULL, NULL, theazo_internal.current_environment());
	END IF;
	SELECT * INTO STRICT result FROM theazo.permission_rules x WHERE x.platform_id = here AND x.id = was;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.permission_rule_set(text, text, text, text, text, text, text) IS
'allows or denies what is named: a scope, tools, files, hosts, of one agent, of a definition''s agents or of all; deny wins';

CREATE OR REPLACE FUNCTION theazo_internal.scope_pattern_check(p_field text, p_scope text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_scope IS NULL OR p_scope = '*' THEN
		RETURN coalesce(p_scope, '');
	ELSIF p_scope LIKE '%:*' AND EXISTS (SELECT FROM theazo_internal.permission_scopes() s
			WHERE pg_catalog.split_part(s.scope, ':', 1) || ':*' = p_scope) THEN
		RETURN p_scope;
	END IF;
	RETURN theazo_internal.agent_scope_check(p_field, p_scope);
END $$;
COMMENT ON FUNCTION theazo_internal.scope_pattern_check(text, text) IS 'a scope, area:* or *; empty for null';

CREATE OR REPLACE FUNCTION theazo.permission_rule_delete(rule text, api_key text DEFAULT NULL)
RETURNS theazo.permission_rules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here	text;
	result	theazo.permission_rules;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.governance_check('a rule');
	here := theazo_internal.current_platform();
	SELECT * INTO result FROM theazo.permission_rules x WHERE x.platform_id = here AND x.id = permission_rule_delete.rule;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('rule', permission_rule_delete.rule);
	END IF;
	DELETE FROM theazo_data.permission_rule x WHERE x.platform_id = here AND x.id = permission_rule_delete.rule;
	PERFORM theazo_internal.event_write(here, 'permission', 'permission_rule_deleted', jsonb_build_object('rule', result.id, 'effect', result.effect),
		NULL, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.permission_rule_delete(text, text) IS 'deletes a rule about what agents may do';

CREATE OR REPLACE FUNCTION theazo.permission_rule_list(subject text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.permission_rules LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:read');
	PERFORM theazo_internal.refuse_narrowed('the list of rules');
	RETURN QUERY
	SELECT r.* FROM theazo.permission_rules r
	 WHERE r.platform_id = theazo_internal.current_platform() AND (permission_rule_list.subject IS NULL OR r.subject = permission_rule_list.subject)
	 ORDER BY r.id;
END $$;
COMMENT ON FUNCTION theazo.permission_rule_list(text, text) IS 'rules about what agents may do, of one subject or all';

-- ---------------------------------------------------------------------------------------
-- asking

-- Labels null: those that a run of the agent would begin with now.
CREATE OR REPLACE FUNCTION theazo.permission_check(
	agent text, action text DEFAULT NULL, tool text DEFAULT NULL, path text DEFAULT NULL, host text DEFAULT NULL,
	labels text[] DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS TABLE (decision text, rule text, message text, hint text, alternative text, scopes text[], carried text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a	theazo_data.agent;
	v	record;
	t	record;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = permission_check.agent;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('agent', permission_check.agent);
	END IF;
	IF permission_check.tool IS NOT NULL THEN
		t := theazo_internal.tool_action(a.platform_id, permission_check.tool, '{}');
		IF NOT t.known THEN
			PERFORM theazo_internal.raise_not_found('tool', permission_check.tool);
		END IF;
		action := coalesce(action, t.kind);
		host := coalesce(host, t.host);
	END IF;
	action := theazo_internal.one_of('action', action, VARIADIC
		(SELECT pg_catalog.array_agg(k.kind ORDER BY k.kind COLLATE "C") FROM theazo_internal.permission_kinds() k));
	IF path IS NOT NULL THEN
		path := theazo_internal.path_clean(path);
		IF path IS NULL THEN
			PERFORM theazo_internal.raise_value('path', 'climbs out of the sandbox''s working directory', 'Paths begin at the working directory.');
		END IF;
	END IF;
	IF host IS NOT NULL AND host <> '*' AND theazo_internal.host_clean(host) IS NULL THEN
		PERFORM theazo_internal.raise_value('host', 'is no host', 'Give a name or an address, without scheme and path.');
	END IF;
	carried := coalesce(labels, theazo_internal.flow_agent(a));
	v := theazo_internal.permission_decide(a.platform_id, a.id, theazo_internal.policy_of(a), carried, action, tool, path, host);
	decision := CASE WHEN v.allowed THEN 'allow' ELSE 'deny' END;
	rule := v.rule;
	message := v.message;
	hint := v.hint;
	alternative := v.alternative;
	scopes := (SELECT k.scopes FROM theazo_internal.permission_kinds() k WHERE k.kind = action);
	PERFORM theazo_internal.event_write(a.platform_id, 'permission', 'permission_checked', jsonb_strip_nulls(jsonb_build_object(
		'action', action, 'tool', tool, 'path', path, 'host', host, 'labels', nullif(to_jsonb(carried), '[]'))),
		a.session_id, a.id, NULL, a.key_environment, decision, rule);
	RETURN NEXT;
END $$;
COMMENT ON FUNCTION theazo.permission_check(text, text, text, text, text, text[], text) IS
'may an agent do this: the decision, the rule that makes it, and what would be allowed instead; nothing is done';
