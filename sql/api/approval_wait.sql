-- approval_wait.sql: waiting for requests, and the ends that nobody decides: time is over, the run is over, the tool is
-- another one.

-- ---------------------------------------------------------------------------------------
-- who waits for requests

CREATE OR REPLACE FUNCTION theazo_internal.approval_bell(p_platform text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'approvals:' || p_platform;
COMMENT ON FUNCTION theazo_internal.approval_bell(text) IS 'the bell in shared memory at which a platform''s approvers sleep';

CREATE OR REPLACE FUNCTION theazo_internal.approval_ring(p_platform text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.run_moved(theazo_internal.approval_bell(p_platform));
END $$;
COMMENT ON FUNCTION theazo_internal.approval_ring(text) IS 'wakes a platform''s approvers when the transaction commits';

CREATE OR REPLACE FUNCTION theazo_internal.wait_check(p_what text, p_timeout interval)
RETURNS timestamptz LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_timeout IS NULL OR extract(epoch FROM p_timeout) < 0 THEN
		PERFORM theazo_internal.raise_value('timeout', 'must not be negative');
	ELSIF pg_current_xact_id_if_assigned() IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ104',
			MESSAGE = format('cannot wait for %s in this transaction', p_what),
			DETAIL = 'It has written something, or its snapshot would never show what commits later.',
			HINT = 'Use a READ COMMITTED transaction that has written nothing.';
	END IF;
	RETURN clock_timestamp() + least(p_timeout, '25 s'::interval);
END $$;
COMMENT ON FUNCTION theazo_internal.wait_check(text, interval) IS
'until when a call may wait, at most 25 s from now; TZ104 in a transaction that could wait for itself';

-- By what is known, not by time: requests become visible in the order of their commits. The mark is taken before rows are
-- looked at, so that no request falls between the look and the sleep.
CREATE OR REPLACE FUNCTION theazo.approval_wait(
	timeout interval DEFAULT '25 s', session text DEFAULT NULL, known text[] DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS SETOF theazo.approvals
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text;
	v_bell	text;
	v_mark	integer;
	v_until	timestamptz;
	v_left	integer;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'approval:read');
	v_until := theazo_internal.wait_check('approvals', approval_wait.timeout);
	IF cardinality(known) > 1000 THEN
		PERFORM theazo_internal.raise_value('known', 'names more than 1000 approvals');
	END IF;
	IF session IS NOT NULL THEN
		PERFORM theazo_internal.session_shown(session);
	END IF;
	v_here := theazo_internal.current_platform();
	v_bell := theazo_internal.approval_bell(v_here);
	LOOP
		v_mark := theazo_internal.stream_mark(v_bell);
		RETURN QUERY
		SELECT a.* FROM theazo.approvals a
		 WHERE a.platform_id = v_here AND a.status = 'pending' AND (session IS NULL OR a.session_id = session)
		   AND NOT a.id = ANY (coalesce(known, '{}'))
		 ORDER BY a.id LIMIT 1000;
		EXIT WHEN FOUND;
		v_left := ceil(extract(epoch FROM v_until - clock_timestamp()) * 1000);
		EXIT WHEN v_left <= 0;
		PERFORM theazo_internal.stream_block(v_bell, v_mark, 0, 0, 0, v_left);
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo.approval_wait(interval, text, text[], text) IS
'pending approvals that are not known yet; waits for the first, at most 25 s, without holding a worker';

-- ---------------------------------------------------------------------------------------
-- ends that nobody decides

-- The run ends: nothing of it can be approved any more. The agent is locked.
CREATE OR REPLACE FUNCTION theazo_internal.approvals_close(r theazo_data.run)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	x theazo_data.approval;
BEGIN
	FOR x IN SELECT t.* FROM theazo_data.approval t
			  WHERE t.platform_id = r.platform_id AND t.run_id = r.id AND t.status = 'pending' ORDER BY t.id FOR UPDATE
	LOOP
		PERFORM theazo_internal.approval_resolve(x, 'expired', 'denied', NULL, NULL, NULL, 'run_ended');
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo_internal.approvals_close(theazo_data.run) IS 'expires what a run that ends still asks for';

-- Those whose time is over, and those whose tool became another one. A copy of the database lets its own alone until the
-- operator has released it: somebody else may be deciding about the same calls.
CREATE OR REPLACE FUNCTION theazo_internal.approvals_due(p_most integer)
RETURNS SETOF theazo_data.approval LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT x.* FROM theazo_data.approval x
	 WHERE x.status = 'pending' AND x.expires_at <= clock_timestamp() AND x.instance = theazo_internal.instance()
	 ORDER BY x.expires_at LIMIT p_most;
	-- Only what was changed since is compared; an hour for a change that took so long to commit.
	RETURN QUERY
	SELECT x.* FROM theazo_data.approval x
	  LEFT JOIN theazo_data.tool t ON t.platform_id = x.platform_id AND t.name = x.action
	 WHERE x.status = 'pending' AND x.expires_at > clock_timestamp() AND x.instance = theazo_internal.instance()
	   AND CASE WHEN t.name IS NULL THEN NOT x.action = ANY (ARRAY(SELECT b.name FROM theazo_internal.tool_builtins() b))
				WHEN t.updated_at < x.requested_at - '1 hour'::interval THEN false
				ELSE theazo_internal.tool_hash_now(x.platform_id, x.action) IS DISTINCT FROM x.tool_hash END
	 ORDER BY x.expires_at LIMIT p_most;
END $$;
COMMENT ON FUNCTION theazo_internal.approvals_due(integer) IS 'pending approvals that nobody can decide any more';

CREATE OR REPLACE FUNCTION theazo_internal.approval_expire(p_platform text, p_id text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	x		theazo_data.approval;
	v_what	text;
BEGIN
	-- whoever holds the agent is about to decide, or to end the run: next turn
	PERFORM 1 FROM theazo_data.agent a
	  WHERE a.platform_id = p_platform AND a.id = (SELECT t.agent_id FROM theazo_data.approval t WHERE t.platform_id = p_platform AND t.id = p_id)
		FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	SELECT t.* INTO x FROM theazo_data.approval t WHERE t.platform_id = p_platform AND t.id = p_id FOR UPDATE;
	IF x.status <> 'pending' THEN
		RETURN false;
	END IF;
	v_what := theazo_internal.approval_changed(x);
	IF v_what IS NOT NULL THEN
		PERFORM theazo_internal.approval_resolve(x, 'expired', 'denied', NULL, NULL, format('%s changed while an approval was waited for', v_what),
			CASE v_what WHEN 'the tool' THEN 'tool_changed' ELSE 'default_action' END);
	ELSIF x.expires_at > clock_timestamp() THEN
		RETURN false;
	ELSIF x.default_action = 'approve' THEN
		PERFORM theazo_internal.approval_resolve(x, 'expired', 'approved', x.params, NULL, NULL, 'default_action');
	ELSE
		PERFORM theazo_internal.approval_resolve(x, 'expired', 'denied', NULL, NULL, 'nobody decided in time', 'default_action');
	END IF;
	RETURN true;
END $$;
COMMENT ON FUNCTION theazo_internal.approval_expire(text, text) IS
'ends an approval that nobody decided, by its default action; what changed meanwhile is denied';

-- One that cannot be carried out ends its run; it must not keep the others waiting.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_approvals()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	x		theazo_data.approval;
	v_n		integer := 0;
	v_why	text;
BEGIN
	FOR x IN SELECT d.* FROM theazo_internal.approvals_due(100) d ORDER BY d.agent_id, d.id LOOP
		BEGIN
			v_n := v_n + theazo_internal.approval_expire(x.platform_id, x.id)::integer;
		EXCEPTION WHEN OTHERS THEN
			v_why := SQLERRM;
			PERFORM theazo_internal.log_write(x.platform_id, substr(x.run_id, 5), 'error', 'system',
				format('approval %s could not be carried out: %s', x.id, v_why), x.environment, x.session_id, x.agent_id, x.run_id, x.user_id, NULL);
			PERFORM theazo_internal.approval_broken(x, v_why);
		END;
	END LOOP;
	RETURN v_n;
END $$;
COMMENT ON FUNCTION theazo_internal.keeper_approvals() IS 'keeper: ends approvals that nobody decided in time, or whose tool was changed';

CREATE OR REPLACE FUNCTION theazo_internal.approval_broken(x theazo_data.approval, p_why text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l	theazo_data.run_loop;
	r	theazo_data.run;
BEGIN
	PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = x.platform_id AND a.id = x.agent_id FOR UPDATE;
	SELECT * INTO l FROM theazo_data.run_loop t WHERE t.platform_id = x.platform_id AND t.root_id = substr(x.run_id, 5);
	SELECT * INTO r FROM theazo_data.run t WHERE t.platform_id = x.platform_id AND t.id = x.run_id AND t.status IN ('queued', 'running');
	IF FOUND THEN
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'internal_error', 'sqlstate', 'XX000',
			'message', 'an approval could not be carried out', 'hint', theazo_internal.mask_left(p_why, 1000)));
	END IF;
	SELECT * INTO r FROM theazo_data.run t WHERE t.platform_id = x.platform_id AND t.id = x.run_id;
	PERFORM theazo_internal.approvals_close(r);
EXCEPTION WHEN OTHERS THEN
	RAISE LOG 'theazo: the run of approval % cannot be ended in order: %', x.id, SQLERRM;
	UPDATE theazo_data.approval t SET status = 'expired', resolved_at = clock_timestamp(), resolved_by = 'run_ended'
	 WHERE t.platform_id = x.platform_id AND t.id = x.id AND t.status = 'pending';
END $$;
COMMENT ON FUNCTION theazo_internal.approval_broken(theazo_data.approval, text) IS 'ends the run of an approval that cannot be carried out';

CREATE OR REPLACE FUNCTION theazo_internal.approvals_next()
RETURNS timestamptz LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT min(x.expires_at) FROM theazo_data.approval x WHERE x.status = 'pending' AND x.instance = theazo_internal.instance()
$$;
COMMENT ON FUNCTION theazo_internal.approvals_next() IS 'when the next approval runs out of time';

CREATE OR REPLACE FUNCTION theazo_internal.approvals_release()
RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE theazo_data.approval x SET instance = theazo_internal.instance() WHERE x.status = 'pending' AND x.instance <> theazo_internal.instance()
$$;
COMMENT ON FUNCTION theazo_internal.approvals_release() IS 'approvals that came with a copy of the database are this one''s from now on';
