-- approval.sql: calls that wait for a person: what an approval is bound to, asking for one, looking at them.
--
-- An approval is about one exact call: a step of a run, with the hash of its arguments, of the tool's definition and of the
-- policy. Decisions are in approval_decide.sql, ends that nobody decides in approval_wait.sql.

CREATE OR REPLACE VIEW theazo.approvals WITH (security_barrier) AS
SELECT a.platform_id, a.id, a.session_id, a.agent_id, a.user_id, a.environment, a.run_id, a.step_seq, a.action, a.params,
	   pg_catalog.encode(a.params_hash, 'hex') AS params_hash, pg_catalog.encode(a.tool_hash, 'hex') AS tool_hash, a.policy_version,
	   a.status, a.requested_at, a.expires_at, a.default_action, a.quorum, a.no_self_approval, a.modifications,
	   pg_catalog.encode(a.modified_hash, 'hex') AS modified_hash, a.reason, a.resolved_at, a.resolved_by, a.used_at
  FROM theazo_data.approval a
 WHERE (SELECT theazo_internal.may_read('approval:read'));
COMMENT ON VIEW theazo.approvals IS 'calls that needed an approval, and what became of them';

CREATE OR REPLACE VIEW theazo.approval_votes WITH (security_barrier) AS
SELECT v.platform_id, v.approval_id, v.voted_by, v.verdict, pg_catalog.encode(v.params_hash, 'hex') AS params_hash, v.modifications,
	   v.reason, v.voted_at
  FROM theazo_data.approval_vote v
 WHERE (SELECT theazo_internal.may_read('approval:read'));
COMMENT ON VIEW theazo.approval_votes IS 'who approved or denied which arguments';

CREATE OR REPLACE FUNCTION theazo_internal.approval_shown(p_id text)
RETURNS theazo.approvals LANGUAGE plpgsql AS $$
DECLARE
	result theazo.approvals;
BEGIN
	SELECT * INTO result FROM theazo.approvals a
	 WHERE a.platform_id = theazo_internal.current_platform() AND a.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('approval', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_shown(text) IS 'an approval as the caller may see it, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.time_iso(p_at timestamptz)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN pg_catalog.to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
COMMENT ON FUNCTION theazo_internal.time_iso(timestamptz) IS 'a moment as documents that go out show it';

CREATE OR REPLACE FUNCTION theazo_internal.approval_document(a theazo_data.approval)
RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('id', a.id, 'sessionId', a.session_id, 'userId', a.user_id, 'agentId', a.agent_id, 'runId', a.run_id,
			'action', a.action, 'params', a.params, 'status', a.status, 'requestedAt', theazo_internal.time_iso(a.requested_at),
			'expiresAt', theazo_internal.time_iso(a.expires_at))
		|| jsonb_strip_nulls(jsonb_build_object('resolvedAt', theazo_internal.time_iso(a.resolved_at), 'resolvedBy', a.resolved_by, 'reason', a.reason,
			'modifications', a.modifications))
$$;
COMMENT ON FUNCTION theazo_internal.approval_document(theazo_data.approval) IS 'an approval as it is told to webhooks';

-- ---------------------------------------------------------------------------------------
-- what an approval is bound to

-- jsonb prints keys in one order and numbers as they were given.
CREATE OR REPLACE FUNCTION theazo_internal.params_hash(p_params jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN pg_catalog.sha256(pg_catalog.convert_to(p_params::text, 'UTF8'));
COMMENT ON FUNCTION theazo_internal.params_hash(jsonb) IS 'SHA-256 of the arguments of a call';

CREATE OR REPLACE FUNCTION theazo_internal.tool_hash(p_name text, p_description text, p_parameters jsonb, p_pin text)
RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(p_name, p_description, p_parameters, p_pin)::text, 'UTF8'));
COMMENT ON FUNCTION theazo_internal.tool_hash(text, text, jsonb, text) IS
'SHA-256 of a tool: what a model is told of it, and what it does';

CREATE OR REPLACE FUNCTION theazo_internal.tool_hash_now(p_platform text, p_name text)
RETURNS bytea LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce(
		(SELECT theazo_internal.tool_hash(t.name, t.description, t.parameters, theazo_internal.tool_pin(t))
		   FROM theazo_data.tool t WHERE t.platform_id = p_platform AND t.name = p_name),
		(SELECT theazo_internal.tool_hash(b.name, b.description, b.parameters, NULL)
		   FROM theazo_internal.tool_builtins() b WHERE b.name = p_name));
END $$;
COMMENT ON FUNCTION theazo_internal.tool_hash_now(text, text) IS 'hash of a tool as it is defined now; null when there is none of that name';

CREATE OR REPLACE FUNCTION theazo_internal.approval_policy(l theazo_data.run_loop)
RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(l.policy ->> 'version', left(encode(sha256(convert_to(l.policy::text, 'UTF8')), 'hex'), 32))
$$;
COMMENT ON FUNCTION theazo_internal.approval_policy(theazo_data.run_loop) IS
'version of the policy that a run is under, as theazo.agent_policy() shows it: what a call of it is approved under';

-- ---------------------------------------------------------------------------------------
-- who is who

-- What a run's own tool does is done for those whose request the run is.
CREATE OR REPLACE FUNCTION theazo_internal.principals()
RETURNS text[] LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(DISTINCT p), '{}') FROM (
		SELECT theazo_internal.current_actor_kind() || ':' || theazo_internal.current_actor() AS p
		 WHERE theazo_internal.current_actor_kind() IN ('key', 'role')
		 UNION ALL
		SELECT 'session:' || theazo_internal.current_session() WHERE theazo_internal.current_session() IS NOT NULL
		 UNION ALL
		SELECT unnest(theazo_internal.run_requesters_of(theazo_internal.current_platform(), theazo_internal.current_run()))
		 WHERE theazo_internal.current_run() IS NOT NULL) x
$$;
COMMENT ON FUNCTION theazo_internal.principals() IS
'who asks: the key or role, the session it is narrowed to, and in the tool of a run whoever asked for that run';

-- The first key of its rotation: the same for all that followed one another, whenever they did.
CREATE OR REPLACE FUNCTION theazo_internal.principal_origin(p_platform text, p_principal text)
RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_principal NOT LIKE 'key:%' THEN
		RETURN p_principal;
	END IF;
	RETURN (WITH RECURSIVE b (id, depth) AS (
				SELECT substr(p_principal, 5), 0
				 UNION ALL
				SELECT k.id::text, b.depth + 1 FROM b JOIN theazo_data.api_key k ON k.platform_id = p_platform AND k.rotated_to = b.id
				 WHERE b.depth < 1000)
			SELECT 'key:' || b.id FROM b ORDER BY b.depth DESC LIMIT 1);
END $$;
COMMENT ON FUNCTION theazo_internal.principal_origin(text, text) IS 'a principal, a key by the first of its rotation';

-- Whoever started the run or sent what it reads, and the same of the runs above it.
CREATE OR REPLACE FUNCTION theazo_internal.run_requesters(l theazo_data.run_loop)
RETURNS text[] LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (WITH RECURSIVE up (started_by, parent_root, depth) AS (
				SELECT l.started_by, l.parent_root::text, 0
				 UNION ALL
				SELECT p.started_by, p.parent_root::text, up.depth + 1
				  FROM up JOIN theazo_data.run_loop p ON p.platform_id = l.platform_id AND p.root_id = up.parent_root
				 WHERE up.depth < 1000)
			SELECT coalesce(array_agg(DISTINCT s ORDER BY s), '{}') FROM up CROSS JOIN LATERAL unnest(up.started_by) s);
END $$;
COMMENT ON FUNCTION theazo_internal.run_requesters(theazo_data.run_loop) IS 'whose request a run is, with all runs above it';

CREATE OR REPLACE FUNCTION theazo_internal.run_requesters_of(p_platform text, p_run text)
RETURNS text[] LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT theazo_internal.run_requesters(l) FROM theazo_data.run_loop l
			 WHERE l.platform_id = p_platform AND l.root_id = theazo_internal.id_root(p_run));
END $$;
COMMENT ON FUNCTION theazo_internal.run_requesters_of(text, text) IS 'whose request a run is, by its id';

-- Whoever has made a key, or rotated one into it, since then; and whoever made the keys they did it with.
CREATE OR REPLACE FUNCTION theazo_internal.principal_makers(p_platform text, p_principal text, p_since timestamptz)
RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE up (principal, depth) AS (
		SELECT p_principal, 0
		 UNION
		SELECT m.principal, up.depth + 1
		  FROM up
		  JOIN theazo_data.api_key k ON k.platform_id = p_platform AND up.principal = 'key:' || k.id
		 CROSS JOIN LATERAL (
			-- its id has the time it was made; created_at is when that transaction began
			SELECT k.made_by WHERE theazo_internal.id_time(k.id) >= p_since AND k.made_by IS NOT NULL
			 UNION ALL
			SELECT 'key:' || o.id FROM theazo_data.api_key o WHERE o.platform_id = p_platform AND o.rotated_to = k.id) m (principal)
		 WHERE up.depth < 1000)
	SELECT up.principal FROM up WHERE up.depth > 0
$$;
COMMENT ON FUNCTION theazo_internal.principal_makers(text, text, timestamptz) IS
'keys and roles from which a key has come since a moment, by being made or rotated';

-- When the first of the runs above an approval's began.
CREATE OR REPLACE FUNCTION theazo_internal.approval_since(x theazo_data.approval)
RETURNS timestamptz LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE up (root, depth) AS (
		SELECT theazo_internal.id_root(x.run_id), 0
		 UNION
		SELECT l.parent_root::text, up.depth + 1
		  FROM up JOIN theazo_data.run_loop l ON l.platform_id = x.platform_id AND l.root_id = up.root
		 WHERE l.parent_root IS NOT NULL AND up.depth < 1000)
	SELECT theazo_internal.id_time('run_' || min(up.root COLLATE "C")) FROM up
$$;
COMMENT ON FUNCTION theazo_internal.approval_since(theazo_data.approval) IS 'when the first run above the one that asks began';

-- A caller narrowed to a session asks for that session only, so it is the one that asked also when its key is another. Neither
-- does it help to make a key, or to rotate another one's, while the run goes on.
CREATE OR REPLACE FUNCTION theazo_internal.approval_is_own(x theazo_data.approval)
RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
		SELECT FROM unnest(theazo_internal.principals()) p
		 CROSS JOIN LATERAL (SELECT p UNION ALL SELECT theazo_internal.principal_makers(x.platform_id, p, theazo_internal.approval_since(x))) m (principal)
		 CROSS JOIN unnest(x.requesters) r
		 WHERE theazo_internal.principal_origin(x.platform_id, m.principal) = theazo_internal.principal_origin(x.platform_id, r))
$$;
COMMENT ON FUNCTION theazo_internal.approval_is_own(theazo_data.approval) IS 'does the caller decide about what its own run asked for';

-- ---------------------------------------------------------------------------------------
-- asking

-- p_approvals: the option of that name.
CREATE OR REPLACE FUNCTION theazo_internal.approval_required(p_approvals jsonb, p_name text, p_needed boolean)
RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN p_needed OR coalesce(p_approvals -> 'require' OPERATOR(pg_catalog.?|) ARRAY[p_name, '*'], false);
COMMENT ON FUNCTION theazo_internal.approval_required(jsonb, text, boolean) IS
'does a tool need an approval in an agent with this option: by itself, by name, or as all do';

-- One who acts for a session alone can ask for more approvals than the platform's definition does, not for fewer or weaker ones.
CREATE OR REPLACE FUNCTION theazo_internal.approvals_narrowed(p_base jsonb, p_approvals jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF p_approvals IS DISTINCT FROM p_base
		AND (p_base IS NOT NULL OR p_approvals ->> 'defaultAction' = 'approve' OR p_approvals ->> 'noSelfApproval' = 'false') THEN
		PERFORM theazo_internal.raise_scope('one who acts for a session cannot loosen approvals', 'session_only',
			'Leave the option approvals out, or have the platform say it in a definition.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.approvals_narrowed(jsonb, jsonb) IS
'TZ602 for an approvals option of one session that is looser than its definition''s';

-- Asked by the gate before each call of a tool that no approval has been given for. Null: none is needed; or with why, its fee
-- cannot be paid.
CREATE OR REPLACE FUNCTION theazo_internal.approval_need(
	l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_name text, p_arguments jsonb, p_pin text, p_needed boolean,
	OUT approval_id text, OUT why text)
LANGUAGE plpgsql
AS $$
DECLARE
	v_id	text;
BEGIN
	-- the usual case, for the price of a look
	IF NOT p_needed AND NOT l.policy OPERATOR(pg_catalog.?) 'approvals' THEN
		RETURN;
	ELSIF theazo_internal.approval_required(l.policy -> 'approvals', p_name, p_needed) THEN
		v_id := theazo_internal.id_new('apr');
		why := theazo_internal.budget_fee(l, r, v_id, 'approval.cycle') ->> 'message';
		IF why IS NULL THEN
			approval_id := theazo_internal.approval_make(l, r, v_id, p_seq, p_name, p_arguments, p_pin);
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_need(theazo_data.run_loop, theazo_data.run, integer, text, jsonb, text, boolean) IS
'the approval that a call has to wait for, null when it needs none';

-- The hash of a tool as this run was told of it.
CREATE OR REPLACE FUNCTION theazo_internal.tool_hash_pinned(l theazo_data.run_loop, p_name text, p_pin text)
RETURNS bytea LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT theazo_internal.tool_hash(p_name, o ->> 'description', o -> 'parameters', p_pin)
	  FROM jsonb_array_elements(l.tools) o WHERE o ->> 'name' = p_name
$$;
COMMENT ON FUNCTION theazo_internal.tool_hash_pinned(theazo_data.run_loop, text, text) IS 'hash of a tool as a run pinned it';

CREATE OR REPLACE FUNCTION theazo_internal.approval_make(
	l theazo_data.run_loop, r theazo_data.run, p_id text, p_seq integer, p_name text, p_arguments jsonb, p_pin text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_how	jsonb := coalesce(l.policy -> 'approvals', '{}');
	v_now	timestamptz := clock_timestamp();
	x		theazo_data.approval;
BEGIN
	INSERT INTO theazo_data.approval AS t (platform_id, id, session_id, agent_id, user_id, environment, run_id, step_seq, action, params,
		params_hash, tool_hash, policy_version, requesters, requested_at, expires_at, default_action, quorum, no_self_approval, instance)
	VALUES (l.platform_id, p_id, r.session_id, r.agent_id, r.user_id, r.environment, r.id, p_seq, p_name, p_arguments,
		theazo_internal.params_hash(p_arguments), theazo_internal.tool_hash_pinned(l, p_name, p_pin), theazo_internal.approval_policy(l),
		theazo_internal.run_requesters(l), v_now, v_now + coalesce((v_how ->> 'timeout')::numeric, 86400) * '1 second'::interval,
		coalesce(v_how ->> 'defaultAction', 'deny'), coalesce((v_how ->> 'quorum')::integer, 1),
		coalesce((v_how ->> 'noSelfApproval')::boolean, true), theazo_internal.instance())
	RETURNING t.* INTO x;
	PERFORM theazo_internal.event_write(x.platform_id, 'permission', 'approval_requested',
		jsonb_build_object('approval', x.id, 'tool', x.action, 'step', x.step_seq, 'params', encode(x.params_hash, 'hex'),
			'definition', encode(x.tool_hash, 'hex'), 'policy', x.policy_version, 'quorum', x.quorum, 'expiresAt', theazo_internal.time_iso(x.expires_at)),
		x.session_id, x.agent_id, x.run_id, x.environment, p_permission => 'requested');
	PERFORM theazo_internal.log_write(x.platform_id, l.root_id, 'info', 'agent', format('waiting for an approval of %s', x.action),
		r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id,
		jsonb_build_object('progress', true, 'approval', x.id));
	PERFORM theazo_internal.notify(x.platform_id, x.environment, 'approval.requested', theazo_internal.approval_document(x));
	PERFORM theazo_internal.approval_ring(x.platform_id);
	PERFORM theazo_internal.run_moved(x.run_id);
	PERFORM theazo_internal.wake_keeper();
	RETURN x.id;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_make(theazo_data.run_loop, theazo_data.run, text, integer, text, jsonb, text) IS
'asks for the approval of one call: row, event, log, webhooks, and whoever waits for requests';

-- ---------------------------------------------------------------------------------------
-- looking

CREATE OR REPLACE FUNCTION theazo.approval_get(approval text, api_key text DEFAULT NULL)
RETURNS theazo.approvals LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'approval:read');
	RETURN theazo_internal.approval_shown(approval);
END $$;
COMMENT ON FUNCTION theazo.approval_get(text, text) IS 'one approval';

CREATE OR REPLACE FUNCTION theazo.approval_list(
	session text DEFAULT NULL, status text DEFAULT NULL, max_rows integer DEFAULT 100, before text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.approvals LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'approval:read');
	IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	END IF;
	IF status IS NOT NULL THEN
		PERFORM theazo_internal.one_of('status', status, 'pending', 'approved', 'denied', 'expired');
	END IF;
	IF session IS NOT NULL THEN
		PERFORM theazo_internal.session_shown(session);
	END IF;
	RETURN QUERY
	SELECT a.* FROM theazo.approvals a
	 WHERE a.platform_id = theazo_internal.current_platform()
	   AND (session IS NULL OR a.session_id = session)
	   AND (approval_list.status IS NULL OR a.status = approval_list.status)
	   AND (before IS NULL OR a.id < before)
	 ORDER BY a.id DESC LIMIT max_rows;
END $$;
COMMENT ON FUNCTION theazo.approval_list(text, text, integer, text, text) IS
'approvals, newest first; before is the last id of the page before';
