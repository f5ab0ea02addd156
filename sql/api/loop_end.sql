-- loop_end.sql: how a run ends, and what it cost.

-- The run ends, once: what is still under way is cut, its sandbox's time is booked, the result is put together.
CREATE OR REPLACE FUNCTION theazo_internal.loop_end(
	l theazo_data.run_loop, r theazo_data.run, p_status text, p_output text, p_error jsonb, p_unknown boolean DEFAULT false,
	p_verdict text DEFAULT 'none')
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	a			theazo_data.agent;
	v_result	jsonb;
	v_tools		integer;
	v_cost		bigint;
	v_now		timestamptz := clock_timestamp();
	v_halt		jsonb := theazo_internal.halt_error(r.platform_id, r.environment, r.session_id, r.agent_id, r.id);
BEGIN
	IF v_halt IS NOT NULL THEN
		-- However it ends: it was killed.
		p_status := 'failed';
		p_output := NULL;
		p_verdict := 'none';
		p_error := v_halt;
	END IF;
	l.suspended := false;
	PERFORM theazo_internal.loop_save(l);
	IF p_status <> 'completed' THEN
		PERFORM theazo_internal.loop_drop(r);
		PERFORM theazo_internal.bound_ended(l, r, p_error);
	END IF;
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = r.platform_id AND x.id = r.agent_id;
	IF a.sandbox_id IS NOT NULL THEN
		PERFORM theazo_internal.sandbox_bill_run(r, v_now);
	END IF;
	-- Model calls and sandbox time of this run lie with it in the ledger.
	SELECT coalesce(sum(c.amount), 0) INTO v_cost FROM theazo_data.charge c WHERE c.platform_id = r.platform_id AND c.root_id = l.root_id;
	IF a.one_shot THEN
		v_cost := v_cost + theazo_internal.run_fee(l, a);
	END IF;
	SELECT jsonb_build_object('output', coalesce(p_output, ''), 'artifacts', '[]'::jsonb,
			'usage', jsonb_build_object('input_tokens', coalesce(sum(s.input_tokens + coalesce(s.cache_read_tokens, 0) + coalesce(s.cache_write_tokens, 0)), 0),
				'output_tokens', coalesce(sum(s.output_tokens), 0), 'model_calls', count(*) FILTER (WHERE s.kind = 'model'))),
		   count(*) FILTER (WHERE s.kind = 'tool')
	  INTO v_result, v_tools
	  FROM theazo_data.step s WHERE s.platform_id = r.platform_id AND s.root_id = l.root_id;
	IF v_tools > 0 AND (l.tools @> '[{"name": "write_file"}]' OR l.tools @> '[{"name": "run_code"}]') THEN
		v_result := v_result || jsonb_build_object('artifacts', theazo_internal.run_artifacts(l));
		PERFORM theazo_internal.artifact_keep(l, r);
	END IF;
	PERFORM theazo_internal.run_finish(r.platform_id, r.id, p_status, v_result, NULL, p_error, v_cost, NULL, v_now, p_unknown, p_verdict);
	PERFORM theazo_internal.log_write(r.platform_id, l.root_id, CASE p_status WHEN 'failed' THEN 'error' ELSE 'info' END, 'agent',
		format('run %s after %s model calls and %s tool calls%s', p_status, l.model_calls, v_tools,
			   CASE WHEN p_status = 'failed' THEN ': ' || coalesce(p_error ->> 'message', '') ELSE '' END),
		r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id);
	UPDATE theazo_data.agent x
	   SET run_id = NULL, memory_root = CASE WHEN p_status = 'completed' THEN l.root_id ELSE x.memory_root END,
		   status = CASE WHEN x.status NOT IN ('running', 'booting') THEN x.status
						 WHEN p_status = 'failed' THEN 'failed'
						 WHEN x.one_shot THEN 'completed'
						 WHEN x.status = 'running' THEN 'ready' ELSE x.status END,
		   status_before_pause = CASE WHEN x.status = 'paused' THEN 'ready' ELSE x.status_before_pause END,
		   ended_at = CASE WHEN x.one_shot THEN v_now ELSE x.ended_at END,
		   error = CASE WHEN p_status = 'failed' THEN left(theazo_internal.text_mask(p_error ->> 'message'), 1000) ELSE x.error END,
		   labels = CASE WHEN p_status = 'completed' THEN l.labels ELSE x.labels END
	 WHERE x.platform_id = a.platform_id AND x.id = a.id AND x.run_id = r.id
	RETURNING x.* INTO a;
	PERFORM theazo_internal.run_tell(r.platform_id, r.environment, r.id, p_status);
	IF a.one_shot THEN
		-- Made for this run, it goes with it.
		PERFORM theazo_internal.sandbox_destroy(a.platform_id, a.id);
	ELSIF p_status = 'failed' AND a.options ? 'lifecycle' THEN
		PERFORM theazo_internal.loop_failed(a, r, p_error);
	ELSIF p_status <> 'failed' AND (a.options ->> 'longRunning')::boolean THEN
		PERFORM theazo_internal.agent_read_on(a);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_end(theazo_data.run_loop, theazo_data.run, text, text, jsonb, boolean, text) IS
'ends a run of the agent loop: sandbox time, result, cost, agent';

-- The answer of a run passes the filters, or the run fails with what they found.
CREATE OR REPLACE FUNCTION theazo_internal.loop_deliver(l theazo_data.run_loop, r theazo_data.run, p_text text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	d	record;
BEGIN
	d := theazo_internal.safety_deliver(l, r, p_text);
	IF d.waiting THEN
		PERFORM theazo_internal.loop_save(l);
	ELSIF d.error IS NOT NULL THEN
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, d.error);
	ELSE
		PERFORM theazo_internal.loop_end(l, r, 'completed', d.output, NULL, p_verdict => d.verdict);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_deliver(theazo_data.run_loop, theazo_data.run, text) IS 'ends a run with its answer, where the filters let it out';

-- Files that a run wrote, and what its commands handed over with complete(), unless their answer was withheld.
CREATE OR REPLACE FUNCTION theazo_internal.run_artifacts(l theazo_data.run_loop)
RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(a.path ORDER BY a.path), '[]') FROM (
		SELECT DISTINCT f.path
		  FROM theazo_data.step s
		  JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
		 CROSS JOIN LATERAL (
			SELECT p.input ->> 'path' AS path WHERE s.name = 'write_file'
			UNION ALL
			SELECT x FROM pg_catalog.jsonb_array_elements_text(p.raw -> 'artifacts') x
			 WHERE s.name = 'run_code' AND p.output NOT LIKE '[withheld: %') f
		 WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.kind = 'tool' AND s.state = 'done'
		 LIMIT 1000) a);
END
$$;
COMMENT ON FUNCTION theazo_internal.run_artifacts(theazo_data.run_loop) IS 'paths of the files that a run wrote or its commands handed over';

-- What is still under way belongs to a run that ends: it is dropped, or cut by its dispatcher. Not through its area, which
-- would go on with the run.
CREATE OR REPLACE FUNCTION theazo_internal.loop_drop(r theazo_data.run)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE theazo_data.effect x
	   SET state = 'cancelled', finished_at = clock_timestamp(), held_reason = NULL, error_code = 'cancelled', error_message = 'the run has ended'
	 WHERE x.platform_id = r.platform_id AND x.root_id = theazo_internal.id_root(r.id) AND x.run_id = r.id AND x.state IN ('queued', 'held');
	UPDATE theazo_data.step x SET state = 'cancelled', ended_at = clock_timestamp()
	 WHERE x.platform_id = r.platform_id AND x.root_id = theazo_internal.id_root(r.id) AND x.state IN ('queued', 'waiting');
	PERFORM theazo_internal.approvals_close(r);
	PERFORM theazo_internal.effects_cut(r.platform_id, r.id);
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_drop(theazo_data.run) IS 'drops what a run that ends still has under way';

-- What the run's agent fee is: only a run that made its agent carries it. An agent on its owner's machines owes it also when no
-- tool needed one; otherwise it was booked with the first machine. A run that no call of has left, because it was refused,
-- cancelled or halted, owes nothing.
CREATE OR REPLACE FUNCTION theazo_internal.run_fee(l theazo_data.run_loop, a theazo_data.agent)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c record;
BEGIN
	IF NOT EXISTS (SELECT FROM theazo_data.sandbox s WHERE s.platform_id = a.platform_id AND s.agent_id = a.id) THEN
		SELECT * INTO c FROM theazo_internal.compute_choose(a);
		IF NOT c.managed
			AND (EXISTS (SELECT FROM theazo_data.reservation x WHERE x.platform_id = a.platform_id AND x.id = a.id)
				 OR EXISTS (SELECT FROM theazo_data.effect e WHERE e.platform_id = l.platform_id AND e.root_id = l.root_id AND e.kind = 'model.call'
							   AND e.attempt > 0 AND e.error_code IS DISTINCT FROM 'session_limit_exceeded'
							   AND e.held_reason IS DISTINCT FROM 'refused')) THEN
			PERFORM theazo_internal.fee_write(a.platform_id, 'agent.fee', a.id, a.key_environment, a.session_id, a.id, NULL, a.user_id, c.shown);
		END IF;
	END IF;
	RETURN coalesce((SELECT sum(x.amount) FROM theazo_data.charge x
					  WHERE x.platform_id = a.platform_id AND x.root_id = theazo_internal.id_root(a.id) AND x.agent_id = a.id
						AND x.item = 'agent.fee'), 0);
END
$$;
COMMENT ON FUNCTION theazo_internal.run_fee(theazo_data.run_loop, theazo_data.agent) IS 'books and returns the fee of an agent, for the run that made it';

-- After a failure the agent does what its lifecycle says.
CREATE OR REPLACE FUNCTION theazo_internal.loop_failed(a theazo_data.agent, r theazo_data.run, p_error jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_policy	jsonb := a.options -> 'lifecycle';
	v_tries		integer;
BEGIN
	IF a.status <> 'failed' THEN
		-- Paused or ended meanwhile: somebody has decided already.
		RETURN;
	END IF;
	CASE v_policy ->> 'onFailure'
		WHEN 'pause' THEN
			PERFORM theazo_internal.agent_pause(a, 'failure');
			UPDATE theazo_data.agent x SET error = a.error WHERE x.platform_id = a.platform_id AND x.id = a.id;
		WHEN 'terminate' THEN
			PERFORM theazo_internal.agent_terminate(a);
		WHEN 'retry' THEN
			-- Where the money is used up, another try would only use more; what was killed stays so.
			IF coalesce(p_error ->> 'sqlstate', '') NOT IN ('TZ202', 'TZ203') THEN
				SELECT coalesce((p.input ->> 'try')::integer, 1) INTO v_tries FROM theazo_data.run_payload p
				 WHERE p.platform_id = r.platform_id AND p.root_id = theazo_internal.id_root(r.id);
				IF v_tries <= coalesce((v_policy ->> 'maxRetries')::integer, 3) THEN
					UPDATE theazo_data.agent x SET retry_at = clock_timestamp() + coalesce((v_policy ->> 'retryDelay')::numeric, 0) * '1 second'::interval
					 WHERE x.platform_id = a.platform_id AND x.id = a.id;
					PERFORM theazo_internal.wake_keeper();
				END IF;
			END IF;
		ELSE
			NULL;
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_failed(theazo_data.agent, theazo_data.run, jsonb) IS 'retries, pauses or ends an agent whose run has failed, as its lifecycle says';

-- The settlement of one of its calls throws: the run ends, with what is known. Called by effect_broken, which gives up on
-- this as well where it throws.
CREATE OR REPLACE FUNCTION theazo_internal.loop_broken(e theazo_data.effect, p_message text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l		theazo_data.run_loop;
	r		theazo_data.run;
	v_cost	bigint;
	v_usage	jsonb;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id AND x.status IN ('queued', 'running');
	IF NOT FOUND THEN
		RETURN;
	END IF;
	UPDATE theazo_data.step x SET state = 'failed', ended_at = clock_timestamp(), error_code = 'internal_error', error_message = theazo_internal.mask_left(p_message, 1000)
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
	IF e.kind = 'model.call' AND e.held_reason IS DISTINCT FROM 'refused' THEN
		-- It was answered, and the answer cannot be read any more.
		BEGIN
			v_usage := theazo_internal.usage_estimate(e);
			v_cost := theazo_internal.model_charge(e, r, l.chain -> l.at, v_usage, clock_timestamp());
			l.spent := l.spent + v_cost;
			UPDATE theazo_data.step x
			   SET cost = x.cost + v_cost, estimated = true, input_tokens = theazo_internal.plus(x.input_tokens, v_usage -> 'input'),
				   output_tokens = theazo_internal.plus(x.output_tokens, v_usage -> 'output')
			 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
			PERFORM theazo_internal.model_freed(l.chain -> l.at);
		EXCEPTION WHEN OTHERS THEN
			RAISE LOG 'theazo: a model call of % could not be booked: %', r.id, SQLERRM;
		END;
	END IF;
	PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'internal_error', 'sqlstate', 'XX000',
		'message', 'the result could not be stored', 'hint', theazo_internal.mask_left(p_message, 1000)));
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_broken(theazo_data.effect, text) IS 'ends the run of a call whose settlement throws';

-- What an agent has cost so far, in millionths of a cent: its own charges, sandbox time between runs included.
CREATE OR REPLACE FUNCTION theazo_internal.agent_spent(a theazo_data.agent)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(sum(c.amount), 0)::bigint FROM theazo_data.charge c
	 WHERE c.platform_id = a.platform_id AND c.session_id = a.session_id AND c.agent_id = a.id
	   AND c.occurred_at >= a.created_at - '1 day'::interval
$$;
COMMENT ON FUNCTION theazo_internal.agent_spent(theazo_data.agent) IS 'what an agent has cost in all, in millionths of a cent';

-- What is left of an agent's lifetime cap, null without one.
CREATE OR REPLACE FUNCTION theazo_internal.agent_cap_left(a theazo_data.agent)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	IF a.options -> 'costCap' -> 'amount' IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN greatest(0, (a.options -> 'costCap' ->> 'amount')::pg_catalog."numeric" * 1000000 - theazo_internal.agent_spent(a));
END
$$;
COMMENT ON FUNCTION theazo_internal.agent_cap_left(theazo_data.agent) IS 'millionths of a cent left of an agent''s costCap; null without one';
