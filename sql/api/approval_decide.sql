-- approval_decide.sql: deciding about calls that wait for a person.
--
-- Who decides locks the agent first, as every settlement does, then the approval. What is decided is carried out in the
-- same transaction: after a crash a call has begun exactly when its approval says so.

CREATE OR REPLACE FUNCTION theazo_internal.approval_lock(p_platform text, p_ids text[])
RETURNS SETOF theazo_data.approval LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM 1 FROM theazo_data.agent a
	  WHERE a.platform_id = p_platform
		AND a.id IN (SELECT x.agent_id FROM theazo_data.approval x WHERE x.platform_id = p_platform AND x.id = ANY (p_ids))
	  ORDER BY a.id FOR UPDATE;
	RETURN QUERY SELECT x.* FROM theazo_data.approval x WHERE x.platform_id = p_platform AND x.id = ANY (p_ids) ORDER BY x.id FOR UPDATE;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_lock(text, text[]) IS 'approvals, locked for a decision behind their agents';

-- What is refused stays in the trail although the caller's transaction ends here.
CREATE OR REPLACE FUNCTION theazo_internal.approval_refused(x theazo_data.approval, p_code text, p_rule text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.event_refused(x.platform_id, 'permission', 'decision_refused',
		pg_catalog.jsonb_build_object('code', p_code, 'approval', x.id, 'tool', x.action), x.session_id, x.agent_id, x.run_id, x.environment, p_rule => p_rule);
END $$;
COMMENT ON FUNCTION theazo_internal.approval_refused(theazo_data.approval, text, text) IS 'records a decision that was not accepted';

CREATE OR REPLACE FUNCTION theazo_internal.approval_open_check(x theazo_data.approval, p_verdict text)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF x.status IN ('approved', 'denied') THEN
		PERFORM theazo_internal.approval_refused(x, 'TZ103', 'decided');
		PERFORM theazo_internal.raise_state('approval', x.id, x.status, p_verdict, 'An approval is decided once; every call asks for one of its own.');
	ELSIF x.status = 'expired' OR x.expires_at <= clock_timestamp() THEN
		PERFORM theazo_internal.approval_refused(x, 'TZ102', 'expired');
		RAISE EXCEPTION USING ERRCODE = 'TZ102',
			MESSAGE = format('approval "%s" has expired', x.id),
			DATATYPE = theazo_internal.time_iso(CASE WHEN x.status = 'expired' THEN x.resolved_at ELSE x.expires_at END),
			DETAIL = CASE WHEN x.resolved_by = 'run_ended' THEN 'The run that asked for it has ended.'
						  WHEN x.resolved_by = 'tool_changed' THEN 'The tool was changed after it had been asked for.'
						  ELSE format('Its time was over at %s.', theazo_internal.time_iso(x.expires_at)) END,
			HINT = 'A call that is made again asks for a new one; the agent''s option approvals.timeout says how long one waits.';
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_open_check(theazo_data.approval, text) IS 'TZ103 for what is decided, TZ102 for what has expired';

-- What differs from what was asked for: null when nothing does. The agent is locked.
CREATE OR REPLACE FUNCTION theazo_internal.approval_changed(x theazo_data.approval)
RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_input		jsonb;
	l			theazo_data.run_loop;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop y WHERE y.platform_id = x.platform_id AND y.root_id = substr(x.run_id, 5);
	SELECT p.input INTO v_input FROM theazo_data.step_payload p
	 WHERE p.platform_id = x.platform_id AND p.root_id = substr(x.run_id, 5) AND p.seq = x.step_seq;
	RETURN CASE
		WHEN theazo_internal.tool_hash_now(x.platform_id, x.action) IS DISTINCT FROM x.tool_hash THEN 'the tool'
		WHEN theazo_internal.params_hash(coalesce(nullif(v_input, 'null'), '{}')) IS DISTINCT FROM x.params_hash
		  OR theazo_internal.params_hash(x.params) IS DISTINCT FROM x.params_hash THEN 'the arguments'
		WHEN theazo_internal.approval_policy(l) IS DISTINCT FROM x.policy_version THEN 'the policy' END;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_changed(theazo_data.approval) IS
'what is not any more as it was when an approval was asked for, or null';

-- Arguments as they would go out, with what the decider changes, at the top level.
CREATE OR REPLACE FUNCTION theazo_internal.approval_params(x theazo_data.approval, p_modifications jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_schema	jsonb;
	v_why		text;
BEGIN
	IF p_modifications IS NULL THEN
		RETURN x.params;
	END IF;
	SELECT o -> 'parameters' INTO v_schema
	  FROM theazo_data.run_loop l CROSS JOIN LATERAL jsonb_array_elements(l.tools) o
	 WHERE l.platform_id = x.platform_id AND l.root_id = substr(x.run_id, 5) AND o ->> 'name' = x.action;
	v_why := theazo_internal.json_schema_check(v_schema, x.params || p_modifications);
	IF v_why IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('modifications', 'do not fit the tool''s parameters: ' || v_why);
	END IF;
	RETURN x.params || p_modifications;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_params(theazo_data.approval, jsonb) IS
'arguments of a call as modified, checked against the tool''s schema';

-- Ends an approval and carries it out. The agent and the approval are locked. p_by null: whoever calls.
CREATE OR REPLACE FUNCTION theazo_internal.approval_resolve(
	x theazo_data.approval, p_status text, p_verdict text, p_params jsonb, p_modifications jsonb, p_reason text, p_by text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_now	timestamptz := clock_timestamp();
	v_from	timestamptz;
	y		theazo_data.approval;
BEGIN
	-- Time that two of a run's calls waited together counts once.
	SELECT greatest(x.requested_at, max(o.resolved_at)) INTO v_from FROM theazo_data.approval o
	 WHERE o.platform_id = x.platform_id AND o.run_id = x.run_id;
	UPDATE theazo_data.approval t
	   SET status = p_status, modifications = p_modifications, reason = left(p_reason, 2000), resolved_at = v_now,
		   modified_hash = CASE WHEN p_modifications IS NOT NULL THEN theazo_internal.params_hash(p_params) END,
		   resolved_by = coalesce(p_by, theazo_internal.current_actor()),
		   -- it begins below, in this transaction, once
		   used_at = CASE WHEN p_verdict = 'approved' THEN v_now END
	 WHERE t.platform_id = x.platform_id AND t.id = x.id AND t.status = 'pending'
	RETURNING t.* INTO y;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.event_write(y.platform_id, 'permission', CASE p_status WHEN 'expired' THEN 'approval_expired' ELSE 'approval_resolved' END,
		jsonb_strip_nulls(jsonb_build_object('approval', y.id, 'tool', y.action, 'step', y.step_seq, 'status', y.status, 'by', y.resolved_by,
			'action', CASE WHEN p_status = 'expired' THEN p_verdict END, 'params', encode(y.params_hash, 'hex'), 'modified', encode(y.modified_hash, 'hex'),
			'reason', theazo_internal.excerpt(p_reason), 'waitedMs', round(extract(epoch FROM v_now - y.requested_at) * 1000))),
		y.session_id, y.agent_id, y.run_id, y.environment, CASE p_verdict WHEN 'approved' THEN 'allow' ELSE 'deny' END, p_permission => y.status);
	PERFORM theazo_internal.budget_fee_due(y.platform_id, y.id, y.run_id);
	-- The time of people is not the run's; their fee is.
	UPDATE theazo_data.run_loop l
	   SET deadline = l.deadline + (v_now - v_from),
		   spent = l.spent + theazo_internal.fee_write(y.platform_id, 'approval.cycle', y.id, y.environment, y.session_id, y.agent_id, y.run_id, y.user_id, 'theazo')
	 WHERE l.platform_id = y.platform_id AND l.root_id = substr(y.run_id, 5);
	PERFORM theazo_internal.notify(y.platform_id, y.environment, CASE p_status WHEN 'expired' THEN 'approval.expired' ELSE 'approval.resolved' END,
		theazo_internal.approval_document(y));
	PERFORM theazo_internal.run_moved(y.run_id);
	IF y.resolved_by <> 'run_ended' THEN
		PERFORM theazo_internal.tool_decided(y.platform_id, substr(y.run_id, 5), y.step_seq, p_verdict, p_params, p_reason);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_resolve(theazo_data.approval, text, text, jsonb, jsonb, text, text) IS
'ends an approval: row, fee, event, webhooks, and the call begins or is answered';

-- One vote. The quorum counts those who approved the very same arguments; one denial is enough.
CREATE OR REPLACE FUNCTION theazo_internal.approval_vote(x theazo_data.approval, p_verdict text, p_modifications jsonb, p_reason text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_actor		text := theazo_internal.current_actor();
	v_voter		text := theazo_internal.principal_origin(x.platform_id, theazo_internal.current_actor_kind() || ':' || v_actor);
	v_params	jsonb;
	v_hash		bytea;
	v_votes		integer;
	v_what		text;
BEGIN
	PERFORM theazo_internal.approval_open_check(x, CASE p_verdict WHEN 'approved' THEN 'approve' ELSE 'deny' END);
	IF p_verdict = 'approved' THEN
		IF theazo_internal.current_run() IS NOT NULL THEN
			PERFORM theazo_internal.raise_scope('a run cannot approve anything', 'own_run', 'Approvals are given by people, outside of runs.');
		ELSIF x.no_self_approval AND theazo_internal.approval_is_own(x) THEN
			PERFORM theazo_internal.raise_scope(format('approval "%s" is about a request of your own run', x.id), 'own_run',
				'Somebody else must approve it; the agent''s option approvals.noSelfApproval can allow it.');
		END IF;
		v_what := theazo_internal.approval_changed(x);
		IF v_what IS NOT NULL THEN
			PERFORM theazo_internal.approval_refused(x, 'TZ103', 'changed');
			RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('approval "%s" is about another call', x.id), DATATYPE = x.status,
				DETAIL = format('Since it was asked for %s changed.', v_what), HINT = 'Deny it; a call that is made again asks for a new one.';
		END IF;
		PERFORM theazo_internal.approval_awake(x);
	END IF;
	v_params := theazo_internal.approval_params(x, p_modifications);
	v_hash := theazo_internal.params_hash(v_params);
	INSERT INTO theazo_data.approval_vote (platform_id, approval_id, voter, voted_by, verdict, params_hash, modifications, reason, voted_at,
		session_id, environment)
	VALUES (x.platform_id, x.id, v_voter, v_actor, CASE p_verdict WHEN 'approved' THEN 'approve' ELSE 'deny' END, v_hash, p_modifications,
		left(p_reason, 2000), clock_timestamp(), x.session_id, x.environment)
	ON CONFLICT ON CONSTRAINT approval_vote_pkey DO UPDATE
	   SET verdict = excluded.verdict, voted_by = excluded.voted_by, reason = excluded.reason, voted_at = excluded.voted_at;
	IF p_verdict = 'denied' THEN
		PERFORM theazo_internal.approval_resolve(x, 'denied', 'denied', NULL, NULL, p_reason, NULL);
		RETURN;
	END IF;
	SELECT count(*) INTO v_votes FROM theazo_data.approval_vote v
	 WHERE v.platform_id = x.platform_id AND v.approval_id = x.id AND v.verdict = 'approve' AND v.params_hash = v_hash;
	IF v_votes >= x.quorum THEN
		PERFORM theazo_internal.approval_resolve(x, 'approved', 'approved', v_params, p_modifications, p_reason, NULL);
	ELSE
		PERFORM theazo_internal.event_write(x.platform_id, 'permission', 'approval_voted',
			jsonb_build_object('approval', x.id, 'tool', x.action, 'votes', v_votes, 'quorum', x.quorum, 'params', encode(v_hash, 'hex')),
			x.session_id, x.agent_id, x.run_id, x.environment, 'allow', p_permission => 'requested');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_vote(theazo_data.approval, text, jsonb, text) IS
'counts one vote of the caller, and carries out what the votes come to';

-- Nothing begins in what is paused; a denial may be told at any time.
CREATE OR REPLACE FUNCTION theazo_internal.approval_awake(x theazo_data.approval)
RETURNS void LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_agent	text;
	s		theazo_data.session;
BEGIN
	SELECT * INTO s FROM theazo_data.session t WHERE t.platform_id = x.platform_id AND t.id = x.session_id;
	PERFORM theazo_internal.session_open_check(s.id, s.status, s.paused_reason);
	SELECT a.status INTO v_agent FROM theazo_data.agent a WHERE a.platform_id = x.platform_id AND a.id = x.agent_id;
	IF v_agent = 'paused' THEN
		PERFORM theazo_internal.raise_state('agent', x.agent_id, v_agent, 'approve', 'Resume it with theazo.agent_resume() first.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_awake(theazo_data.approval) IS 'TZ101 or TZ103 while the session or the agent of an approval is paused';

-- All or none: what is refused for one takes back what was done for the others.
CREATE OR REPLACE FUNCTION theazo_internal.approvals_decide(p_ids text[], p_verdict text, p_modifications jsonb, p_reason text)
RETURNS SETOF theazo.approvals LANGUAGE plpgsql AS $$
DECLARE
	v_here	text := theazo_internal.current_platform();
	v_id	text;
	x		theazo_data.approval;
BEGIN
	-- the reason is read by another run
	PERFORM theazo_internal.flow_clean('an approval');
	IF p_reason IS NOT NULL AND pg_catalog.length(p_reason) > 2000 THEN
		PERFORM theazo_internal.raise_value('reason', 'is longer than 2000 characters');
	ELSIF p_ids IS NULL OR pg_catalog.cardinality(p_ids) NOT BETWEEN 1 AND 200 THEN
		PERFORM theazo_internal.raise_value('approvals', 'must name 1 to 200 approvals');
	END IF;
	p_ids := ARRAY(SELECT DISTINCT i FROM pg_catalog.unnest(p_ids) i ORDER BY i);
	FOREACH v_id IN ARRAY p_ids LOOP
		PERFORM theazo_internal.approval_shown(v_id);
	END LOOP;
	FOR x IN SELECT * FROM theazo_internal.approval_lock(v_here, p_ids) LOOP
		PERFORM theazo_internal.approval_vote(x, p_verdict, p_modifications, p_reason);
	END LOOP;
	RETURN QUERY SELECT a.* FROM theazo.approvals a WHERE a.platform_id = v_here AND a.id = ANY (p_ids) ORDER BY a.id;
END $$;
COMMENT ON FUNCTION theazo_internal.approvals_decide(text[], text, jsonb, text) IS 'decides approvals of the caller, all or none';

CREATE OR REPLACE FUNCTION theazo.approval_approve(
	approval text, modifications jsonb DEFAULT NULL, reason text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.approvals LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.approvals;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'approval:write');
	IF modifications IS NOT NULL THEN
		modifications := nullif(theazo_internal.object_check('modifications', modifications, 65536), '{}');
	END IF;
	SELECT * INTO result FROM theazo_internal.approvals_decide(ARRAY[approval], 'approved', modifications, reason);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.approval_approve(text, jsonb, text, text) IS
'approves a call, with arguments changed at the top level if need be; with the last vote of its quorum the call begins';

CREATE OR REPLACE FUNCTION theazo.approval_deny(approval text, reason text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.approvals LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.approvals;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'approval:write');
	SELECT * INTO result FROM theazo_internal.approvals_decide(ARRAY[approval], 'denied', NULL, reason);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.approval_deny(text, text, text) IS 'denies a call; the model is told the reason and goes on without it';

CREATE OR REPLACE FUNCTION theazo.approval_bulk_approve(approvals text[], reason text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.approvals LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'approval:write');
	RETURN QUERY SELECT * FROM theazo_internal.approvals_decide(approvals, 'approved', NULL, reason);
END $$;
COMMENT ON FUNCTION theazo.approval_bulk_approve(text[], text, text) IS 'approves several calls at once, all or none';

CREATE OR REPLACE FUNCTION theazo.approval_bulk_deny(approvals text[], reason text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.approvals LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'approval:write');
	RETURN QUERY SELECT * FROM theazo_internal.approvals_decide(approvals, 'denied', NULL, reason);
END $$;
COMMENT ON FUNCTION theazo.approval_bulk_deny(text[], text, text) IS 'denies several calls at once, all or none';
