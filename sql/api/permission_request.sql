-- permission_request.sql: agents that ask for more: a request with a reason, decided by the platform within a time.

CREATE OR REPLACE VIEW theazo.permission_requests WITH (security_barrier) AS
SELECT q.platform_id, q.id, q.number, q.session_id, q.agent_id, q.environment, q.permissions, q.justification, q.status, q.requested_by,
	   q.requested_at, q.expires_at, q.granted, q.reason, q.decided_at, q.decided_by
  FROM theazo_data.permission_request q
 WHERE (SELECT theazo_internal.may_read('permission:read'));
COMMENT ON VIEW theazo.permission_requests IS 'rights that agents asked for, and what was decided';

CREATE OR REPLACE FUNCTION theazo_internal.permission_request_shown(p_id text)
RETURNS theazo.permission_requests LANGUAGE plpgsql AS $$
DECLARE
	result theazo.permission_requests;
BEGIN
	SELECT * INTO result FROM theazo.permission_requests q
	 WHERE q.platform_id = theazo_internal.current_platform() AND q.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('permission request', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.permission_request_shown(text) IS 'a permission request as the caller may see it, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.permission_request_document(q theazo_data.permission_request)
RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('id', q.id, 'number', q.number, 'sessionId', q.session_id, 'agentId', q.agent_id, 'permissions', q.permissions,
		'justification', q.justification, 'status', q.status, 'requestedAt', theazo_internal.time_iso(q.requested_at),
		'expiresAt', theazo_internal.time_iso(q.expires_at), 'granted', q.granted, 'reason', q.reason, 'decidedAt', theazo_internal.time_iso(q.decided_at),
		'decidedBy', q.decided_by)
$$;
COMMENT ON FUNCTION theazo_internal.permission_request_document(theazo_data.permission_request) IS 'a permission request as it is told to webhooks';

CREATE OR REPLACE FUNCTION theazo_internal.permission_bell(p_platform text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'permissions:' || p_platform;
COMMENT ON FUNCTION theazo_internal.permission_bell(text) IS 'the bell at which those sleep who wait for permission requests or their answers';

-- ---------------------------------------------------------------------------------------
-- what can be asked for

-- Names as the contract of governed agents has them, and where each goes in an agent's options.
CREATE OR REPLACE FUNCTION theazo_internal.request_permission_keys()
RETURNS TABLE (key text, kind text, path text[])
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	VALUES ('scopes', 'scopes', '{permissions}'::text[]),
		   ('allow_network', 'network', '{permissions}'),
		   ('allow_external_apis', 'network', '{permissions}'),
		   ('max_api_calls_per_run', 'number', '{limits,maxApiCallsPerRun}'),
		   ('memory_limit_mb', 'number', '{limits,maxMemoryMb}'),
		   ('max_execution_time_sec', 'number', '{limits,maxExecutionTimeSec}'),
		   ('cpu_time_limit_ms', 'milliseconds', '{limits,maxExecutionTimeSec}'),
		   ('allowed_domains', 'hosts', '{network,allow}')
$$;
COMMENT ON FUNCTION theazo_internal.request_permission_keys() IS 'what a permission request can ask for, and which option of the agent it changes';

CREATE OR REPLACE FUNCTION theazo_internal.request_permissions_check(p_field text, p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k		text;
	v		jsonb;
	v_kind	text;
BEGIN
	p_doc := theazo_internal.object_check(p_field, p_doc, 16384, ARRAY(SELECT x.key FROM theazo_internal.request_permission_keys() x));
	IF p_doc = '{}' THEN
		PERFORM theazo_internal.raise_value(p_field, 'asks for nothing',
			format('Name at least one of: %s.', (SELECT string_agg(x.key, ', ') FROM theazo_internal.request_permission_keys() x)));
	END IF;
	FOR k, v IN SELECT e.key, e.value FROM jsonb_each(p_doc) e LOOP
		SELECT x.kind INTO STRICT v_kind FROM theazo_internal.request_permission_keys() x WHERE x.key = k;
		CASE v_kind
			WHEN 'scopes' THEN
				p_doc := p_doc || jsonb_build_object(k, theazo_internal.permissions_check(p_field || '.' || k, v));
			WHEN 'network' THEN
				IF NOT theazo_internal.boolean_check(p_field || '.' || k, v) THEN
					PERFORM theazo_internal.raise_value(p_field || '.' || k, 'must be true', 'A request asks for more, not for less.');
				END IF;
			WHEN 'hosts' THEN
				p_doc := p_doc || jsonb_build_object(k, (SELECT coalesce(jsonb_agg(theazo_internal.host_rule_check(p_field || '.' || k, d)), '[]')
					FROM unnest(theazo_internal.names_check(p_field || '.' || k, v, 100, 253)) d));
			WHEN 'milliseconds' THEN
				PERFORM theazo_internal.integer_check(p_field || '.' || k, v, 10, 1800000);
			ELSE
				PERFORM theazo_internal.integer_check(p_field || '.' || k, v, 0, 1000000);
		END CASE;
	END LOOP;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.request_permissions_check(text, jsonb) IS 'what a permission request asks for: known names, values that can be meant';

-- The agent's options with more in them. What was not limited, or higher, stays so; rights are added to those there are.
CREATE OR REPLACE FUNCTION theazo_internal.request_permissions_merge(p_options jsonb, p_policy jsonb, p_permissions jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k			text;
	v			jsonb;
	v_kind		text;
	v_path		text[];
	v_scopes	jsonb := '[]';
	v_net		jsonb := p_options -> 'network';
	v_open		boolean := v_net = 'true' OR v_net -> 'enabled' = 'true' AND coalesce(v_net -> 'allow', '[]') = '[]';
BEGIN
	FOR k, v IN SELECT e.key, e.value FROM jsonb_each(p_permissions) e LOOP
		SELECT x.kind, x.path INTO STRICT v_kind, v_path FROM theazo_internal.request_permission_keys() x WHERE x.key = k;
		CASE v_kind
			WHEN 'scopes' THEN
				v_scopes := v_scopes || v;
			WHEN 'network' THEN
				v_scopes := v_scopes || '["network:outbound"]';
				p_options := p_options || jsonb_build_object('network', jsonb_build_object('enabled', true)
					|| CASE WHEN p_options -> 'network' ? 'allow' THEN jsonb_build_object('allow', p_options -> 'network' -> 'allow') ELSE '{}' END);
			WHEN 'hosts' THEN
				-- of an agent that may reach every host, no list is made
				IF NOT coalesce(v_open, false) THEN
					p_options := p_options || jsonb_build_object('network', '{"enabled": false}'::jsonb
						|| CASE WHEN jsonb_typeof(p_options -> 'network') = 'object' THEN p_options -> 'network' ELSE '{}' END
						|| jsonb_build_object('allow', (SELECT jsonb_agg(DISTINCT h) FROM jsonb_array_elements(coalesce(v_net -> 'allow', '[]') || v) h)));
					PERFORM theazo_internal.names_check('permissions.' || k, p_options -> 'network' -> 'allow', 100, 253);
				END IF;
			ELSE
				IF v_kind = 'milliseconds' THEN
					v := to_jsonb(ceil((v #>> '{}')::numeric / 1000));
				END IF;
				IF (v #>> '{}')::numeric > (p_policy #>> v_path)::numeric THEN
					p_options := p_options || jsonb_build_object(v_path[1], coalesce(p_options -> v_path[1], '{}') || jsonb_build_object(v_path[2], v));
				END IF;
		END CASE;
	END LOOP;
	-- an agent without permissions is not held to any
	IF v_scopes <> '[]' AND p_options ? 'permissions' THEN
		p_options := p_options || jsonb_build_object('permissions', theazo_internal.permissions_check('permissions', p_options -> 'permissions' || v_scopes));
	END IF;
	RETURN p_options;
END $$;
COMMENT ON FUNCTION theazo_internal.request_permissions_merge(jsonb, jsonb, jsonb) IS 'options of an agent with what a permission request grants';

-- ---------------------------------------------------------------------------------------
-- asking and looking

CREATE OR REPLACE FUNCTION theazo.permission_request_create(
	agent text, permissions jsonb, justification text, timeout_ms integer DEFAULT 120000, api_key text DEFAULT NULL)
RETURNS theazo.permission_requests LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a	theazo_data.agent;
	q	theazo_data.permission_request;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	-- the reason goes to people and webhooks
	PERFORM theazo_internal.flow_clean('what others are asked');
	permissions := theazo_internal.request_permissions_check('permissions', permissions);
	PERFORM theazo_internal.text_check('justification', to_jsonb(justification), 2000);
	IF btrim(justification) = '' THEN
		PERFORM theazo_internal.raise_value('justification', 'is empty', 'Say what the agent needs it for.');
	ELSIF timeout_ms IS NULL OR timeout_ms < 1000 THEN
		PERFORM theazo_internal.raise_value('timeout_ms', 'must be from 1000 to 2147483647');
	END IF;
	a := theazo_internal.agent_lock(agent);
	IF a.status = 'completed' THEN
		PERFORM theazo_internal.raise_state('agent', a.id, a.status, 'ask for permissions', 'Create a new agent.');
	ELSIF (SELECT count(*) FROM theazo_data.permission_request x
			WHERE x.platform_id = a.platform_id AND x.agent_id = a.id AND x.status = 'pending') >= 20 THEN
		PERFORM theazo_internal.raise_ceiling('permission requests of this agent without an answer', 20, 'Answer them first.');
	END IF;
	INSERT INTO theazo_data.permission_request AS t (platform_id, id, number, session_id, agent_id, environment, permissions, justification,
		requested_by, requested_at, expires_at)
	VALUES (a.platform_id, theazo_internal.id_new('prq'), theazo_internal.number_new(), a.session_id, a.id, a.key_environment,
		permission_request_create.permissions, permission_request_create.justification, theazo_internal.current_actor(), clock_timestamp(),
		clock_timestamp() + timeout_ms * '1 millisecond'::interval)
	RETURNING t.* INTO q;
	PERFORM theazo_internal.permission_request_told(q, 'permission_requested', 'permission.requested');
	PERFORM theazo_internal.wake_keeper();
	RETURN theazo_internal.permission_request_shown(q.id);
END $$;
COMMENT ON FUNCTION theazo.permission_request_create(text, jsonb, text, integer, text) IS
'asks for more rights of an agent, with a reason; nobody who answers in time is as good as a no';

-- Trail, webhooks and whoever waits.
CREATE OR REPLACE FUNCTION theazo_internal.permission_request_told(q theazo_data.permission_request, p_action text, p_event text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.event_write(q.platform_id, 'permission', p_action,
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('request', q.id, 'number', q.number, 'permissions', coalesce(q.granted, q.permissions),
			'justification', CASE WHEN p_action = 'permission_requested' THEN theazo_internal.excerpt(q.justification) END,
			'reason', theazo_internal.excerpt(q.reason))),
		q.session_id, q.agent_id, NULL, q.environment, CASE q.status WHEN 'approved' THEN 'allow' WHEN 'pending' THEN NULL ELSE 'deny' END,
		p_permission => CASE q.status WHEN 'pending' THEN 'requested' ELSE q.status END);
	PERFORM theazo_internal.notify(q.platform_id, q.environment, p_event, theazo_internal.permission_request_document(q));
	PERFORM theazo_internal.run_moved(theazo_internal.permission_bell(q.platform_id));
END $$;
COMMENT ON FUNCTION theazo_internal.permission_request_told(theazo_data.permission_request, text, text) IS
'the event of a permission request, its webhooks, and a bell for those who wait';

CREATE OR REPLACE FUNCTION theazo.permission_request_get(request text, api_key text DEFAULT NULL)
RETURNS theazo.permission_requests LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:read');
	RETURN theazo_internal.permission_request_shown(request);
END $$;
COMMENT ON FUNCTION theazo.permission_request_get(text, text) IS 'one permission request';

CREATE OR REPLACE FUNCTION theazo.permission_request_list(
	status text DEFAULT NULL, agent text DEFAULT NULL, max_rows integer DEFAULT 100, before text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.permission_requests LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:read');
	IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	END IF;
	IF status IS NOT NULL THEN
		PERFORM theazo_internal.one_of('status', status, 'pending', 'approved', 'denied', 'expired');
	END IF;
	IF agent IS NOT NULL THEN
		PERFORM theazo_internal.agent_shown(agent);
	END IF;
	RETURN QUERY
	SELECT q.* FROM theazo.permission_requests q
	 WHERE q.platform_id = theazo_internal.current_platform()
	   AND (permission_request_list.status IS NULL OR q.status = permission_request_list.status)
	   AND (agent IS NULL OR q.agent_id = agent) AND (before IS NULL OR q.id < before)
	 ORDER BY q.id DESC LIMIT max_rows;
END $$;
COMMENT ON FUNCTION theazo.permission_request_list(text, text, integer, text, text) IS
'permission requests, newest first; before is the last id of the page before';

-- How it stands when it is decided or the wait is over: whose time was up first is the caller's to say.
CREATE OR REPLACE FUNCTION theazo.permission_request_wait(request text, timeout interval DEFAULT '25 s', api_key text DEFAULT NULL)
RETURNS theazo.permission_requests LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_bell	text;
	v_mark	integer;
	v_until	timestamptz;
	v_left	integer;
	result	theazo.permission_requests;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:read');
	v_until := theazo_internal.wait_check('a permission request', permission_request_wait.timeout);
	v_bell := theazo_internal.permission_bell(theazo_internal.current_platform());
	LOOP
		v_mark := theazo_internal.stream_mark(v_bell);
		result := theazo_internal.permission_request_shown(request);
		v_left := ceil(extract(epoch FROM v_until - clock_timestamp()) * 1000);
		EXIT WHEN result.status <> 'pending' OR v_left <= 0;
		PERFORM theazo_internal.stream_block(v_bell, v_mark, 0, 0, 0, v_left);
	END LOOP;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.permission_request_wait(text, interval, text) IS
'waits until a permission request is decided or has expired, at most 25 s, and returns it as it stands';

-- ---------------------------------------------------------------------------------------
-- deciding

CREATE OR REPLACE FUNCTION theazo_internal.permission_request_refused(q theazo_data.permission_request, p_code text, p_rule text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.event_refused(q.platform_id, 'permission', 'decision_refused',
		pg_catalog.jsonb_build_object('code', p_code, 'request', q.id), q.session_id, q.agent_id, NULL, q.environment, p_rule => p_rule);
END $$;
COMMENT ON FUNCTION theazo_internal.permission_request_refused(theazo_data.permission_request, text, text) IS
'records an answer to a permission request that was not accepted';

-- The agent first, as everywhere.
CREATE OR REPLACE FUNCTION theazo_internal.permission_request_lock(p_id text)
RETURNS theazo_data.permission_request LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text := theazo_internal.current_platform();
	q		theazo_data.permission_request;
BEGIN
	PERFORM theazo_internal.agent_lock((theazo_internal.permission_request_shown(p_id)).agent_id);
	SELECT * INTO q FROM theazo_data.permission_request x WHERE x.platform_id = v_here AND x.id = p_id FOR UPDATE;
	IF q.status IN ('approved', 'denied') THEN
		PERFORM theazo_internal.permission_request_refused(q, 'TZ103', 'decided');
		PERFORM theazo_internal.raise_state('permission request', q.id, q.status, 'decide', 'It is decided once; the agent can ask again.');
	ELSIF q.status = 'expired' OR q.expires_at <= clock_timestamp() THEN
		PERFORM theazo_internal.permission_request_refused(q, 'TZ102', 'expired');
		RAISE EXCEPTION USING ERRCODE = 'TZ102', MESSAGE = format('permission request "%s" has expired', q.id),
			DETAIL = format('Its time was over at %s.', theazo_internal.time_iso(q.expires_at)), HINT = 'The agent can ask again, with a longer timeout_ms.';
	END IF;
	RETURN q;
END $$;
COMMENT ON FUNCTION theazo_internal.permission_request_lock(text) IS
'a permission request of the caller, locked behind its agent, that can still be decided';

-- No more than was asked for: scopes among those, numbers not above.
CREATE OR REPLACE FUNCTION theazo_internal.request_permissions_within(p_granted jsonb, p_asked jsonb)
RETURNS void LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k	text;
	v	jsonb;
BEGIN
	FOR k, v IN SELECT e.key, e.value FROM jsonb_each(p_granted) e LOOP
		IF NOT (CASE jsonb_typeof(v) WHEN 'array' THEN coalesce(v <@ (p_asked -> k), false)
									 WHEN 'number' THEN coalesce((v #>> '{}')::numeric <= (p_asked ->> k)::numeric, false)
									 ELSE p_asked ? k END) THEN
			PERFORM theazo_internal.raise_value('permissions.' || k, 'is more than was asked for', 'An approval can grant less, not more.');
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo_internal.request_permissions_within(jsonb, jsonb) IS '22023 unless what is granted is part of what was asked for';

CREATE OR REPLACE FUNCTION theazo.permission_request_approve(
	request text, permissions jsonb DEFAULT NULL, reason text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.permission_requests LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	q		theazo_data.permission_request;
	v_grant	jsonb;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.refuse_narrowed('an answer to a permission request');
	IF theazo_internal.current_run() IS NOT NULL THEN
		PERFORM theazo_internal.raise_scope('a run cannot grant permissions', 'own_run', 'They are granted by people, outside of runs.');
	END IF;
	q := theazo_internal.permission_request_lock(request);
	v_grant := q.permissions;
	IF permissions IS NOT NULL THEN
		v_grant := theazo_internal.request_permissions_check('permissions', permissions);
		PERFORM theazo_internal.request_permissions_within(v_grant, q.permissions);
	END IF;
	PERFORM theazo_internal.request_permissions_grant(q.platform_id, q.agent_id, v_grant);
	UPDATE theazo_data.permission_request x
	   SET status = 'approved', granted = v_grant, reason = left(permission_request_approve.reason, 2000), decided_at = clock_timestamp(),
		   decided_by = theazo_internal.current_actor()
	 WHERE x.platform_id = q.platform_id AND x.id = q.id
	RETURNING x.* INTO q;
	PERFORM theazo_internal.permission_request_told(q, 'permission_approved', 'permission.resolved');
	RETURN theazo_internal.permission_request_shown(q.id);
END $$;
COMMENT ON FUNCTION theazo.permission_request_approve(text, jsonb, text, text) IS
'grants what an agent asked for, or part of it, for good, within what its template allows';

-- Checked as if the agent were made with it: within its template and what the platform allows.
CREATE OR REPLACE FUNCTION theazo_internal.request_permissions_grant(p_platform text, p_agent text, p_grant jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a			theazo_data.agent;
	v_options	jsonb;
	v_governed	boolean := EXISTS (SELECT FROM theazo_data.governed_agent g WHERE g.platform_id = p_platform AND g.id = p_agent);
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent FOR UPDATE;
	PERFORM theazo_internal.evolution_check(a);
	IF p_grant ? 'allowed_domains' AND v_governed THEN
		-- theirs are domains, each with all below it
		p_grant := p_grant || jsonb_build_object('allowed_domains', (SELECT jsonb_agg(DISTINCT theazo_internal.domain_check('permissions.allowed_domains', d))
			FROM jsonb_array_elements_text(p_grant -> 'allowed_domains') d));
	END IF;
	v_options := theazo_internal.request_permissions_merge(a.options, theazo_internal.policy_of(a), p_grant);
	-- as when it is registered
	IF v_governed AND theazo_internal.policy_of(a) ->> 'template' = 'STRICT' AND v_options -> 'network' -> 'enabled' = 'true'
		AND coalesce(v_options -> 'network' -> 'allow', '[]') = '[]' THEN
		PERFORM theazo_internal.raise_value('permissions.allow_network', 'opens no host with template STRICT', 'Ask for allowed_domains as well.');
	END IF;
	PERFORM theazo_internal.option_check('limits', v_options -> 'limits', false) WHERE v_options ? 'limits';
	PERFORM theazo_internal.policy_check(p_platform, NULL, v_options);
	UPDATE theazo_data.agent x SET options = v_options WHERE x.platform_id = p_platform AND x.id = p_agent RETURNING x.* INTO a;
	-- the run that asked goes on with what it was given
	UPDATE theazo_data.run_loop l SET policy = theazo_internal.policy_of(a)
	 WHERE a.run_id IS NOT NULL AND l.platform_id = a.platform_id AND l.root_id = theazo_internal.id_root(a.run_id);
END $$;
COMMENT ON FUNCTION theazo_internal.request_permissions_grant(text, text, jsonb) IS 'merges permissions into an agent''s options, or says why they cannot be given';

CREATE OR REPLACE FUNCTION theazo.permission_request_deny(request text, reason text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.permission_requests LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	q	theazo_data.permission_request;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.refuse_narrowed('an answer to a permission request');
	q := theazo_internal.permission_request_lock(request);
	UPDATE theazo_data.permission_request x
	   SET status = 'denied', reason = left(permission_request_deny.reason, 2000), decided_at = clock_timestamp(), decided_by = theazo_internal.current_actor()
	 WHERE x.platform_id = q.platform_id AND x.id = q.id
	RETURNING x.* INTO q;
	PERFORM theazo_internal.permission_request_told(q, 'permission_refused', 'permission.resolved');
	RETURN theazo_internal.permission_request_shown(q.id);
END $$;
COMMENT ON FUNCTION theazo.permission_request_deny(text, text, text) IS 'denies what an agent asked for; nothing changes';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_permission_requests()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	q	theazo_data.permission_request;
	v_n	integer := 0;
BEGIN
	FOR q IN
		SELECT x.* FROM theazo_data.permission_request x WHERE x.status = 'pending' AND x.expires_at <= clock_timestamp()
		 ORDER BY x.expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED
	LOOP
		UPDATE theazo_data.permission_request x SET status = 'expired' WHERE x.platform_id = q.platform_id AND x.id = q.id RETURNING x.* INTO q;
		PERFORM theazo_internal.permission_request_told(q, 'permission_expired', 'permission.expired');
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END $$;
COMMENT ON FUNCTION theazo_internal.keeper_permission_requests() IS 'keeper: expires permission requests that nobody answered';

CREATE OR REPLACE FUNCTION theazo_internal.permission_requests_next()
RETURNS timestamptz LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT min(x.expires_at) FROM theazo_data.permission_request x WHERE x.status = 'pending'
$$;
COMMENT ON FUNCTION theazo_internal.permission_requests_next() IS 'when the next permission request runs out of time';
