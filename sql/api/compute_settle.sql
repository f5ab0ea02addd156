-- compute_settle.sql: what each answer of a compute provider means for sandbox, agent and run.
--
-- Order of locks: agent, sandbox, effect, run. What is called here by other areas expects the agent's row locked.

-- A call to a provider that was kept from leaving: by the secret it would have taken along, or by its address. Name and
-- address of a managed account are the operator's to know. Returns the result as its platform may see it.
CREATE OR REPLACE FUNCTION theazo_internal.compute_refused(e theazo_data.effect, p_environment text, p_result jsonb)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_to		jsonb := theazo_internal.effect_endpoint(e.platform_id, e.session_id, e.provider_name, e.adapter);
	v_host		text := theazo_internal.url_host(v_to ->> 'url');
	v_managed	boolean := e.provider_name IS NOT NULL AND e.provider_name LIKE 'theazo:%';
	v_reason	text := theazo_internal.mask_left(p_result ->> 'message', 300);
BEGIN
	IF v_managed THEN
		PERFORM theazo_internal.event_write(theazo_internal.operator_platform(), 'network', 'provider_call_refused',
			jsonb_strip_nulls(jsonb_build_object('kind', e.kind, 'provider', substr(e.provider_name, 8), 'host', v_host, 'name', v_to ->> 'credential_ref',
				'sqlstate', p_result ->> 'sqlstate', 'reason', v_reason,
				'platform', e.platform_id, 'session', e.session_id, 'agent', e.agent_id, 'run', e.run_id)),
			NULL, NULL, NULL, p_environment, 'deny', NULL, true);
		v_host := NULL;
		IF p_result ->> 'sqlstate' = 'TZ405' THEN
			v_reason := 'the address of the managed provider is not allowed';
			p_result := p_result - 'detail' || jsonb_build_object('message', v_reason,
				'hint', 'The operator finds the address in theazo.operator_events.');
		END IF;
	END IF;
	PERFORM theazo_internal.event_write(e.platform_id, 'network', 'provider_call_refused',
		jsonb_strip_nulls(jsonb_build_object('kind', e.kind, 'provider', v_to ->> 'provider', 'host', v_host,
			'sqlstate', p_result ->> 'sqlstate', 'reason', v_reason)),
		e.session_id, e.agent_id, e.run_id, p_environment, 'deny', NULL, true);
	RETURN p_result;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_refused(theazo_data.effect, text, jsonb) IS
'writes the events of a call to a provider that was refused before it left; returns what the platform is told';

CREATE OR REPLACE FUNCTION theazo_internal.compute_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_content bytea, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s		theazo_data.sandbox;
	v_op	text := split_part(e.kind, '.', 2);
	v_unheard boolean;
BEGIN
	SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = e.platform_id AND x.id = e.sandbox_id FOR UPDATE;
	v_unheard := v_op = 'destroy' AND p_state = 'done' AND s.external_id IS NULL AND coalesce((p_result ->> 'gone')::boolean, false);
	-- 501: switched off for this provider, never asked again.
	IF p_state = 'failed' AND p_result ->> 'sqlstate' = 'TZ406' THEN
		PERFORM theazo_internal.compute_learn(e.platform_id, e.provider_name, CASE v_op WHEN 'sample' THEN 'metrics' ELSE v_op END);
	END IF;
	IF p_state = 'failed' AND e.adapter <> 'local' AND p_result ->> 'sqlstate' IN ('TZ304', 'TZ405') THEN
		p_result := theazo_internal.compute_refused(e, coalesce(s.environment, 'live'), p_result);
	END IF;
	IF theazo_internal.provider_tests(e.sandbox_id) THEN
		IF v_op = 'create' THEN
			PERFORM theazo_internal.compute_health(e, p_state, p_result);
		END IF;
		PERFORM theazo_internal.provider_test_settle(e, p_state, p_result, p_started, p_finished);
		RETURN;
	END IF;
	IF p_state IN ('failed', 'unknown') AND s.id IS NOT NULL AND e.attempt > 0 AND v_op <> 'sample' AND p_result ->> 'sqlstate' IS DISTINCT FROM 'TZ202' THEN
		PERFORM theazo_internal.log_write(e.platform_id, CASE WHEN e.run_id IS NULL THEN NULL ELSE e.root_id END,
			'warn', 'provider', format('%s failed: %s', e.kind, coalesce(p_result ->> 'message', p_state)),
			s.environment, e.session_id, e.agent_id, e.run_id, s.user_id, s.provider,
			CASE WHEN e.run_id IS NULL THEN NULL ELSE 'tr_' || e.root_id END,
			jsonb_strip_nulls(jsonb_build_object('status', p_result -> 'http_status', 'attempt', e.attempt, 'detail', p_result -> 'detail')));
	END IF;
	CASE v_op
		WHEN 'create' THEN
			PERFORM theazo_internal.compute_health(e, p_state, p_result);
			PERFORM theazo_internal.compute_created(e, s, p_state, p_result, p_started, p_finished);
		WHEN 'exec', 'write', 'read', 'list', 'metrics', 'expose_port' THEN
			PERFORM theazo_internal.compute_worked(e, s, p_state, p_result, p_content, p_started, p_finished);
			IF v_op = 'expose_port' AND p_state = 'done' THEN
				PERFORM theazo_internal.event_write(e.platform_id, 'network', 'port_exposed',
					jsonb_build_object('sandbox', e.sandbox_id, 'port', (SELECT rp.input -> 'port' FROM theazo_data.run_payload rp
						WHERE rp.platform_id = e.platform_id AND rp.root_id = e.root_id), 'host', theazo_internal.url_host(p_result ->> 'url')),
					e.session_id, e.agent_id, e.run_id, s.environment);
			END IF;
		WHEN 'sample' THEN
			IF p_state = 'done' THEN
				PERFORM theazo_internal.sample_keep(s, p_result, p_finished);
			END IF;
		WHEN 'pause' THEN
			PERFORM theazo_internal.compute_paused(e, s, p_state, p_result);
		WHEN 'resume' THEN
			PERFORM theazo_internal.compute_resumed(e, s, p_state, p_result, p_finished);
		WHEN 'renew' THEN
			PERFORM theazo_internal.compute_renewed(e, s, p_state, p_result, p_finished);
		WHEN 'snapshot' THEN
			PERFORM theazo_internal.compute_snapshotted(e, s, p_state, p_result, p_content, p_finished);
		WHEN 'sweep' THEN
			PERFORM theazo_internal.compute_swept(e, p_state, p_result, p_started);
		WHEN 'destroy' THEN
			IF p_state = 'done' AND s.status = 'destroying' AND s.external_id IS NULL AND s.started_at IS NULL AND NOT v_unheard THEN
				-- It knew our name of it, so it had made it.
				PERFORM theazo_internal.sandbox_found(s, NULL);
			END IF;
			UPDATE theazo_data.sandbox x
			   SET status = CASE WHEN p_state = 'done' AND NOT v_unheard THEN 'destroyed' ELSE 'unknown' END,
				   ended_at = coalesce(x.ended_at, p_finished),
				   -- A machine left behind costs money. The name we gave it may not be known yet: its creation may still be under way.
				   reap_at = CASE WHEN v_unheard THEN CASE WHEN x.reaps < 2 THEN p_finished + '75 seconds'::interval END
								  WHEN p_state <> 'done' THEN p_finished + theazo_internal.reap_wait(x.reaps) END
			 WHERE x.platform_id = e.platform_id AND x.id = e.sandbox_id AND x.status = 'destroying';
			IF e.sandbox_id IS NULL THEN
				-- one that was nobody's: its event was written when it was found
				NULL;
			ELSIF v_unheard THEN
				-- it does not know our name of it: it never made it, or calls it otherwise
				NULL;
			ELSIF p_state = 'done' THEN
				PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_destroyed',
					jsonb_build_object('sandbox', e.sandbox_id), e.session_id, e.agent_id, NULL, s.environment);
			ELSE
				PERFORM theazo_internal.log_write(e.platform_id, NULL, 'error', 'provider',
					format('sandbox %s could not be destroyed after %s attempts; it may still exist at %s', e.sandbox_id, e.attempt, s.provider),
					s.environment, e.session_id, e.agent_id, NULL, s.user_id, s.provider);
			END IF;
		ELSE
			NULL;
	END CASE;
	-- who waits until an agent has booted or sleeps
	IF e.run_id IS NULL AND e.agent_id IS NOT NULL THEN
		PERFORM theazo_internal.run_notify(e.agent_id);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_settle(theazo_data.effect, text, jsonb, bytea, timestamptz, timestamptz) IS
'what the end of a compute effect means for sandbox, agent and run';

-- May a creation that ended like this have left something at its provider? A box of a dispatcher's is gone with it.
CREATE OR REPLACE FUNCTION theazo_internal.compute_unseen(e theazo_data.effect, p_state text)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN e.adapter <> 'local' AND (p_state = 'unknown' OR p_state = 'cancelled' AND e.attempt > 0);
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_unseen(theazo_data.effect, text) IS 'may a creation have made a sandbox whose name nobody has learnt';

CREATE OR REPLACE FUNCTION theazo_internal.compute_created(
	e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a		theazo_data.agent;
	v_next	text;
	v_error	jsonb;
	v_unseen boolean := theazo_internal.compute_unseen(e, p_state);
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = e.platform_id AND x.id = e.agent_id;
	IF p_state = 'done' AND s.agent_id IS NOT NULL AND s.status = 'creating' THEN
		v_error := theazo_internal.policy_refusal(e, s, a, p_result, p_finished);
		IF v_error IS NOT NULL THEN
			p_state := 'failed';
			p_result := v_error;
		END IF;
	END IF;
	IF p_state = 'done' AND NOT s.managed AND s.agent_id IS NOT NULL THEN
		-- The orchestration fee of an agent on its owner's machines: due once one of them is there, not when the
		-- operator's had to step in. The key makes it count once.
		PERFORM theazo_internal.fee_write(e.platform_id, 'agent.fee', e.agent_id, s.environment, s.session_id, e.agent_id, NULL,
										  s.user_id, s.provider);
	END IF;
	IF p_state <> 'done' OR NOT s.managed AND (s.agent_id IS NOT NULL OR s.status = 'destroying') THEN
		-- The fee is booked, or nothing was made.
		PERFORM theazo_internal.budget_release(e.platform_id, s.id);
	END IF;
	IF s.status = 'destroying' THEN
		-- The agent ended meanwhile.
		IF p_state = 'done' THEN
			UPDATE theazo_data.sandbox x
			   SET external_id = p_result ->> 'sandbox', worker_slot = e.affinity,
				   incarnation = CASE WHEN e.adapter = 'local' THEN e.incarnation END
			 WHERE x.platform_id = e.platform_id AND x.id = s.id;
			PERFORM theazo_internal.effect_enqueue(
				e.platform_id, NULL, 'compute.destroy', e.adapter, NULL, p_session => s.session_id, p_agent => s.agent_id,
				p_sandbox => s.id, p_provider => s.provider_name, p_max_attempts => 5,
				p_affinity => CASE WHEN e.adapter = 'local' THEN e.affinity END);
		ELSE
			UPDATE theazo_data.sandbox x
			   SET status = CASE WHEN p_state = 'unknown' OR v_unseen THEN 'unknown' ELSE 'destroyed' END, ended_at = p_finished,
				   reap_at = CASE WHEN v_unseen THEN p_finished END
			 WHERE x.platform_id = e.platform_id AND x.id = s.id;
		END IF;
		RETURN;
	END IF;
	IF s.agent_id IS NULL THEN
		PERFORM theazo_internal.pool_made(e, s, p_state, p_result, p_finished);
		RETURN;
	END IF;
	IF s.status IS DISTINCT FROM 'creating' THEN
		RETURN;
	END IF;
	IF p_state = 'done' THEN
		UPDATE theazo_data.sandbox x
		   SET status = 'ready', external_id = p_result ->> 'sandbox', isolation = p_result ->> 'isolation', snapshot_id = NULL,
			   metadata = CASE WHEN octet_length((p_result -> 'metadata')::text) <= 16384 THEN p_result -> 'metadata' END,
			   started_at = p_finished, billed_until = p_finished, worker_slot = CASE WHEN e.adapter = 'local' THEN e.affinity END,
			   incarnation = CASE WHEN e.adapter = 'local' THEN e.incarnation END,
			   -- Asked for more than once, it may have a twin that its provider was still making when it was looked for.
			   reap_at = CASE WHEN e.attempt - e.step > 1 AND e.adapter <> 'local' AND theazo_internal.compute_offers(e.adapter, 'sweep')
							  THEN p_finished + '75 seconds'::interval END
		 WHERE x.platform_id = e.platform_id AND x.id = s.id;
		PERFORM theazo_internal.sandbox_granted(e, s, p_result, p_finished);
		UPDATE theazo_data.agent x
		   SET status = CASE x.status WHEN 'booting' THEN CASE WHEN x.run_id IS NULL THEN 'ready' ELSE 'running' END ELSE x.status END,
			   error = CASE x.status WHEN 'booting' THEN NULL ELSE x.error END
		 WHERE x.platform_id = e.platform_id AND x.id = e.agent_id;
		IF a.run_id IS NOT NULL THEN
			PERFORM theazo_internal.span_write(e.platform_id, theazo_internal.id_root(a.run_id), theazo_internal.id_new('spn'),
				'tr_' || theazo_internal.id_root(a.run_id), 'tr_' || theazo_internal.id_root(a.run_id), s.environment,
				e.session_id, e.agent_id, a.run_id, 'sandbox.create', 'completed', coalesce(p_started, p_finished), p_finished,
				jsonb_build_object('provider', s.provider));
		END IF;
		PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_ready',
			jsonb_strip_nulls(jsonb_build_object('sandbox', s.id, 'provider', s.provider, 'isolation', p_result ->> 'isolation')),
			e.session_id, e.agent_id, NULL, s.environment);
		PERFORM theazo_internal.sandbox_release(e.platform_id, s.id);
		IF a.status = 'paused' THEN
			PERFORM theazo_internal.sandbox_pause(e.platform_id, e.agent_id);
		ELSIF a.status = 'booting' AND EXISTS (SELECT FROM theazo_data.session x
				WHERE x.platform_id = e.platform_id AND x.id = e.session_id AND x.status = 'paused') THEN
			-- The session was paused during the boot: its agents pause with it.
			SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = e.platform_id AND x.id = e.agent_id;
			PERFORM theazo_internal.agent_pause(a, 'session');
		END IF;
		RETURN;
	END IF;

	UPDATE theazo_data.sandbox x
	   SET status = CASE WHEN p_state = 'unknown' OR v_unseen THEN 'unknown' ELSE 'failed' END, ended_at = p_finished,
		   reap_at = CASE WHEN v_unseen THEN p_finished END
	 WHERE x.platform_id = e.platform_id AND x.id = s.id AND x.status = 'creating';
	-- Does another provider come after this one?
	IF a.status NOT IN ('completed', 'failed') AND p_state IN ('failed', 'unknown') AND p_result ->> 'sqlstate' IS DISTINCT FROM 'TZ202' THEN
		-- Halted meanwhile, or too many: there is no next one.
		BEGIN
			v_next := theazo_internal.sandbox_start(e.platform_id, e.agent_id, s.tried, s.snapshot_id);
		EXCEPTION WHEN SQLSTATE 'TZ201' OR SQLSTATE 'TZ202' OR SQLSTATE 'TZ203' OR SQLSTATE 'TZ602' THEN
			p_result := p_result || jsonb_build_object('message', SQLERRM, 'sqlstate', SQLSTATE);
		END;
	END IF;
	IF v_next IS NOT NULL THEN
		RETURN;
	END IF;
	v_error := jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ402') || p_result;
	UPDATE theazo_data.agent x
	   SET sandbox_id = NULL,
		   -- A run of the loop goes on without one: its model is told, and may do without.
		   status = CASE x.status WHEN 'booting' THEN CASE WHEN x.run_id IS NOT NULL AND x.run_id = x.task_run_id THEN 'running' ELSE 'failed' END
								  ELSE x.status END,
		   error = CASE WHEN x.status = 'booting' AND x.run_id IS NOT DISTINCT FROM x.task_run_id AND x.run_id IS NOT NULL THEN NULL
						WHEN x.status = 'booting' THEN theazo_internal.mask_left(coalesce(v_error ->> 'message', 'the sandbox could not be made'), 1000) ELSE x.error END
	 WHERE x.platform_id = e.platform_id AND x.id = e.agent_id AND x.sandbox_id = s.id;
	PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_failed',
		jsonb_build_object('sandbox', s.id, 'provider', s.provider, 'error', theazo_internal.mask_left(coalesce(v_error ->> 'message', ''), 200)),
		e.session_id, e.agent_id, NULL, s.environment);
	-- It has no run whose end would say so.
	IF a.status = 'booting' AND a.run_id IS NULL THEN
		PERFORM theazo_internal.agent_tell(e.platform_id, s.environment, e.agent_id, 'agent.failed',
			jsonb_build_object('failure', jsonb_build_object('code', 'provider_error', 'message', left(coalesce(v_error ->> 'message', ''), 1000))));
	END IF;
	PERFORM theazo_internal.sandbox_refuse(e.platform_id, e.agent_id, v_error);
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_created(theazo_data.effect, theazo_data.sandbox, text, jsonb, timestamptz, timestamptz) IS
'the end of a creation: ready, the next provider, or failed';

-- The run that was this one call ends with it.
CREATE OR REPLACE FUNCTION theazo_internal.compute_run_ended(
	e theazo_data.effect, p_state text, p_result jsonb, p_content bytea, p_amount bigint, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_status	text;
	v_result	jsonb := p_result;
	v_error		jsonb;
BEGIN
	v_status := CASE p_state WHEN 'done' THEN 'completed' WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END;
	IF p_state = 'done' AND (p_result ->> 'timed_out')::boolean THEN
		v_status := 'failed';
		v_error := jsonb_build_object('code', 'timeout', 'sqlstate', 'TZ403',
			'message', format('the command ran longer than %s ms', (SELECT r.timeout_ms FROM theazo_data.run r
																	 WHERE r.platform_id = e.platform_id AND r.id = e.run_id)),
			'hint', 'Give a larger timeout, or do less in one call.');
	ELSIF p_state = 'cancelled' THEN
		v_error := '{"code": "cancelled", "message": "cancelled"}';
		v_result := NULL;
	ELSIF p_state <> 'done' THEN
		v_error := p_result;
		v_result := NULL;
	END IF;
	PERFORM theazo_internal.run_finish(e.platform_id, e.run_id, v_status, v_result, p_content, v_error, p_amount,
									   p_started, p_finished, p_state = 'unknown');
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_run_ended(theazo_data.effect, text, jsonb, bytea, bigint, timestamptz, timestamptz) IS
'ends the run that was one exec or one piece of file work';

-- exec and file work: the run ends.
CREATE OR REPLACE FUNCTION theazo_internal.compute_worked(
	e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_content bytea, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_amount	bigint := 0;
	v_started	timestamptz := coalesce(p_started, e.claimed_at);
BEGIN
	IF p_result ? 'records' THEN
		p_result := theazo_internal.reports_settle(e, p_result);
	END IF;
	-- What was used is booked whatever came of it; what was never sent used nothing. A tool call is part of its run's time.
	IF e.step_seq IS NULL AND e.kind = 'compute.exec' AND e.attempt > 0 AND e.state IN ('claimed', 'sent') AND s.started_at IS NOT NULL THEN
		v_amount := theazo_internal.sandbox_bill_work(e.platform_id, s.id, e.run_id, e.id, v_started, p_finished, p_state = 'unknown');
	END IF;
	IF e.kind = 'compute.metrics' AND p_state = 'done' THEN
		PERFORM theazo_internal.sample_keep(s, p_result, p_finished);
	END IF;
	IF e.step_seq IS NOT NULL THEN
		PERFORM theazo_internal.tool_settle(e, p_state, p_result, p_content, v_started, p_finished);
	ELSE
		PERFORM theazo_internal.compute_run_ended(e, p_state, p_result, p_content, v_amount, v_started, p_finished);
	END IF;
	PERFORM theazo_internal.compute_stop(e, s, p_state);
	IF p_state = 'failed' AND p_result ->> 'sqlstate' = 'TZ410' AND s.status = 'ready' THEN
		PERFORM theazo_internal.sandbox_lost(e.platform_id, s.id, coalesce(p_result ->> 'message', 'the provider does not know it'), p_finished);
	END IF;
	-- A pause that came while this ran takes effect now.
	IF s.status = 'ready' AND EXISTS (SELECT FROM theazo_data.agent a
									   WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.status = 'paused') THEN
		PERFORM theazo_internal.sandbox_pause(e.platform_id, e.agent_id);
	END IF;
	-- So do snapshots that waited for its end.
	IF EXISTS (SELECT FROM theazo_data.snapshot x WHERE x.platform_id = e.platform_id AND x.agent_id = e.agent_id AND x.status = 'pending') THEN
		PERFORM theazo_internal.snapshots_take(e.platform_id, e.agent_id);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_worked(theazo_data.effect, theazo_data.sandbox, text, jsonb, bytea, timestamptz, timestamptz) IS
'the end of an exec or of file work: metering, then the run ends';

CREATE OR REPLACE FUNCTION theazo_internal.compute_paused(e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.snapshot_settle(e, p_state, p_result);
	IF p_state = 'done' AND p_result -> 'supported' = 'false'::jsonb THEN
		PERFORM theazo_internal.compute_learn(e.platform_id, e.provider_name, 'pause');
	ELSIF p_state = 'done' AND s.status = 'paused' THEN
		UPDATE theazo_data.sandbox x SET snapshot = coalesce(p_result ->> 'snapshot', '')
		 WHERE x.platform_id = e.platform_id AND x.id = s.id;
	ELSIF p_state = 'unknown' AND s.status = 'paused' THEN
		-- It may sleep: its provider is asked to wake it before anything is sent to it.
		UPDATE theazo_data.sandbox x SET snapshot = '' WHERE x.platform_id = e.platform_id AND x.id = s.id;
	END IF;
	-- Resumed while the pause was under way.
	IF p_state <> 'cancelled' AND s.status = 'paused'
		AND EXISTS (SELECT FROM theazo_data.agent a
					 WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.status IN ('ready', 'running')) THEN
		PERFORM theazo_internal.sandbox_resume(e.platform_id, e.agent_id);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_paused(theazo_data.effect, theazo_data.sandbox, text, jsonb) IS
'the end of a pause; where the provider cannot, the pause stays a matter of the control plane';

CREATE OR REPLACE FUNCTION theazo_internal.compute_resumed(
	e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_http	integer := coalesce((p_result ->> 'http_status')::integer, (p_result ->> 'status')::integer);
BEGIN
	IF s.status IS DISTINCT FROM 'paused' THEN
		RETURN;
	END IF;
	IF p_state = 'done' THEN
		-- The provider may have moved it: later calls use the new name.
		UPDATE theazo_data.sandbox x SET external_id = coalesce(p_result ->> 'sandbox', x.external_id)
		 WHERE x.platform_id = e.platform_id AND x.id = s.id;
		PERFORM theazo_internal.sandbox_awake(e.platform_id, s.id, p_finished);
		PERFORM theazo_internal.sandbox_granted(e, s, p_result, p_finished);
		IF EXISTS (SELECT FROM theazo_data.agent a
					WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.status = 'paused') THEN
			PERFORM theazo_internal.sandbox_pause(e.platform_id, e.agent_id);
		ELSE
			PERFORM theazo_internal.snapshots_take(e.platform_id, e.agent_id);
		END IF;
	ELSIF p_state = 'failed' AND (v_http = 409 OR v_http IN (400, 412, 422) AND s.snapshot = '') THEN
		-- Nothing to wake: the answer to the pause, or to an earlier resume, was lost.
		PERFORM theazo_internal.sandbox_awake(e.platform_id, s.id, p_finished);
	ELSIF p_state = 'failed' AND p_result ->> 'sqlstate' IN ('TZ406', 'TZ410') THEN
		-- It cannot be brought back: the next exec makes a new one.
		PERFORM theazo_internal.sandbox_refuse(e.platform_id, e.agent_id, p_result);
		PERFORM theazo_internal.sandbox_lost(e.platform_id, s.id, coalesce(p_result ->> 'message', 'it cannot be resumed'), NULL);
	ELSIF p_state <> 'cancelled' THEN
		PERFORM theazo_internal.sandbox_refuse(e.platform_id, e.agent_id, p_result);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_resumed(theazo_data.effect, theazo_data.sandbox, text, jsonb, timestamptz) IS
'the end of a resume: work that waited goes out, or fails';
