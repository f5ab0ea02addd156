-- settle.sql: what an attempt came to, and what its effect means for its area. Each area has a handler.
--
-- Order of locks, everywhere: agent, sandbox, effect, run. Settling several agents goes by agent id.

-- Milliseconds before attempt n + 1: doubling from half a second to 30 s, half of it by chance.
CREATE OR REPLACE FUNCTION theazo_internal.backoff_ms(p_attempt integer, p_chance double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (least(30000, 500 * 2 ^ least(greatest(p_attempt, 1) - 1, 10)) * (0.5 + 0.5 * p_chance))::integer
$$;
COMMENT ON FUNCTION theazo_internal.backoff_ms(integer, double precision) IS
'wait before the next attempt in milliseconds; chance is a number from 0 to 1';

CREATE OR REPLACE FUNCTION theazo_internal.effect_end(
	p_platform text, p_root text, p_id text, p_state text, p_finished timestamptz, p_error_code text, p_error_message text)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_effect_end';
COMMENT ON FUNCTION theazo_internal.effect_end(text, text, text, text, timestamptz, text, text) IS
'the row of an effect that has ended; without a statement, so only the owners may call it';

-- A call that did not leave because its secret does not open, or because of where it would have gone. Of calls to compute
-- providers and of http_fetch their own settlements tell the latter, as they know more.
CREATE OR REPLACE FUNCTION theazo_internal.effect_refused(p_effect theazo_data.effect, p_result jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_vault	boolean := p_result ->> 'sqlstate' IN ('TZ301', 'TZ302', 'TZ303');
BEGIN
	IF NOT v_vault AND split_part(p_effect.kind, '.', 1) IN ('compute', 'http') THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.event_write(p_effect.platform_id, CASE WHEN v_vault THEN 'data' ELSE 'network' END,
		CASE WHEN v_vault THEN 'secret_not_opened' ELSE 'provider_call_refused' END,
		jsonb_strip_nulls(jsonb_build_object('kind', p_effect.kind,
			-- which account of the operator's it was is the operator's to know
			'provider', CASE WHEN p_effect.provider_name LIKE 'theazo:%' THEN 'theazo' ELSE p_effect.provider_name END, 'sqlstate', p_result ->> 'sqlstate',
			'reason', theazo_internal.mask_left(p_result ->> 'message', 200))),
		p_effect.session_id, p_effect.agent_id, p_effect.run_id,
		coalesce((SELECT s.key_environment FROM theazo_data.session s WHERE s.platform_id = p_effect.platform_id AND s.id = p_effect.session_id), 'live'),
		'deny', NULL, NOT v_vault);
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_refused(theazo_data.effect, jsonb) IS
'writes the event of a call that did not leave because of its secret or its destination';

-- The effect has ended: state, then what it means for its area. The caller has locked agent and effect.
CREATE OR REPLACE FUNCTION theazo_internal.effect_close(
	p_effect theazo_data.effect, p_state text, p_result jsonb, p_content bytea, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.effect_end(p_effect.platform_id, p_effect.root_id, p_effect.id, p_state, coalesce(p_finished, clock_timestamp()),
		CASE WHEN p_state <> 'done' THEN coalesce(p_result ->> 'code', 'provider_error') END,
		CASE WHEN p_state <> 'done' THEN left(theazo_internal.text_mask(coalesce(p_result ->> 'message', p_state)), 1000) END);
	IF p_state = 'failed' AND p_result ->> 'sqlstate' IN ('TZ301', 'TZ302', 'TZ303', 'TZ304', 'TZ405') THEN
		PERFORM theazo_internal.effect_refused(p_effect, p_result);
	END IF;
	CASE split_part(p_effect.kind, '.', 1)
		WHEN 'compute' THEN
			PERFORM theazo_internal.compute_settle(p_effect, p_state, coalesce(p_result, '{}'), p_content,
												   p_started, coalesce(p_finished, clock_timestamp()));
		WHEN 'model' THEN
			PERFORM theazo_internal.model_settle(p_effect, p_state, coalesce(p_result, '{}'), p_started, coalesce(p_finished, clock_timestamp()));
		WHEN 'tool' THEN
			IF p_effect.step_seq IS NULL THEN
				PERFORM theazo_internal.tool_test_settle(p_effect, p_state, coalesce(p_result, '{}'), p_started, coalesce(p_finished, clock_timestamp()));
			ELSE
				PERFORM theazo_internal.tool_settle(p_effect, p_state, coalesce(p_result, '{}'), p_content, p_started,
													coalesce(p_finished, clock_timestamp()));
			END IF;
		WHEN 'http' THEN
			IF p_effect.kind = 'http.fetch' THEN
				PERFORM theazo_internal.host_called(p_effect, p_state, coalesce(p_result, '{}'), p_started, coalesce(p_finished, clock_timestamp()));
			ELSE
				PERFORM theazo_internal.fetch_settle(p_effect, p_state, coalesce(p_result, '{}'),
													 p_started, coalesce(p_finished, clock_timestamp()));
			END IF;
		WHEN 'script' THEN
			PERFORM theazo_internal.script_settle(p_effect, p_state, coalesce(p_result, '{}'), p_started, coalesce(p_finished, clock_timestamp()));
		WHEN 'anchor' THEN
			PERFORM theazo_internal.anchor_settle(p_effect, p_state, coalesce(p_result, '{}'), coalesce(p_finished, clock_timestamp()));
		WHEN 'safety' THEN
			PERFORM theazo_internal.safety_settle(p_effect, p_state, coalesce(p_result, '{}'), p_started, coalesce(p_finished, clock_timestamp()));
		WHEN 'webhook' THEN
			PERFORM theazo_internal.notice_settle(p_effect, p_state, coalesce(p_result, '{}'), p_started, coalesce(p_finished, clock_timestamp()));
		ELSE
			NULL;
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_close(theazo_data.effect, text, jsonb, bytea, timestamptz, timestamptz) IS
'ends an effect and lets its area draw the consequences';

CREATE OR REPLACE FUNCTION theazo_internal.effect_cancel(p_effect theazo_data.effect)
RETURNS void
LANGUAGE sql
AS $$
	SELECT theazo_internal.effect_close(p_effect, 'cancelled', '{"code": "cancelled", "message": "cancelled"}', NULL, NULL, NULL)
$$;
COMMENT ON FUNCTION theazo_internal.effect_cancel(theazo_data.effect) IS 'ends an effect that has not left';

CREATE OR REPLACE FUNCTION theazo_internal.effects_cut(p_platform text, p_run text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE theazo_data.effect x SET cancel_requested = true
	 WHERE x.platform_id = p_platform AND x.root_id = theazo_internal.id_root(p_run) AND x.run_id = p_run AND x.state IN ('claimed', 'sent');
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM theazo_internal.wake_cancel();
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.effects_cut(text, text) IS
'has dispatchers cut the calls of a run that are in flight; false when there are none';

CREATE OR REPLACE FUNCTION theazo_internal.effect_hold(p_platform text, p_root text, p_id text)
RETURNS theazo_data.effect LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_effect_hold';
COMMENT ON FUNCTION theazo_internal.effect_hold(text, text, text) IS
'locks the agent of an effect, then the effect; returns it, or null. Without a statement, so only the owners may call it';

-- One verdict about one attempt. False when it is about another attempt or the effect is settled already.
CREATE OR REPLACE FUNCTION theazo_internal.effect_settle(
	p_platform text, p_root text, p_id text, p_attempt integer, p_verdict text, p_result jsonb, p_content bytea,
	p_started timestamptz, p_finished timestamptz)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e			theazo_data.effect;
	v_verdict	text := p_verdict;
	v_max		integer;
	v_delay		integer;
	v_due		timestamptz;
	v_recovery	text;
	v_refused	boolean;
BEGIN
	e := theazo_internal.effect_hold(p_platform, p_root, p_id);
	IF e.id IS NULL OR e.state NOT IN ('claimed', 'sent') OR e.attempt <> p_attempt THEN
		RETURN false;
	END IF;
	v_max := e.max_attempts;
	-- Its claim refused it, and its worker is gone before it said so: it never left, and nothing is reserved for it. It is taken again.
	v_refused := v_verdict = 'unknown' AND e.state = 'claimed' AND coalesce(e.held_reason = 'refused', false);
	IF v_refused THEN
		v_verdict := 'released';
		p_result := coalesce(p_result, '{}') || '{"maybe_sent": false}';
	END IF;

	IF v_verdict = 'released' THEN
		-- Claimed, not sent: back to the queue as if nothing had been.
		IF e.cancel_requested THEN
			v_verdict := 'cancelled';
		ELSE
			UPDATE theazo_data.effect x
			   SET state = 'queued', incarnation = NULL, claimed_at = NULL, lease_until = NULL, sent_at = NULL,
				   affinity = CASE WHEN x.kind <> 'compute.create' THEN x.affinity END, due_at = clock_timestamp(), held_reason = NULL,
				   attempt = x.attempt - v_refused::integer, max_attempts = x.max_attempts + (NOT v_refused)::integer
			 WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.id = p_id;
			PERFORM theazo_internal.wake(CASE WHEN e.kind <> 'compute.create' THEN e.affinity END);
			RETURN true;
		END IF;
	ELSIF v_verdict = 'next' THEN
		IF e.cancel_requested THEN
			v_verdict := 'cancelled';
		ELSE
			UPDATE theazo_data.effect x
			   SET state = 'queued', step = x.step + 1, incarnation = NULL, claimed_at = NULL, lease_until = NULL,
				   sent_at = NULL, max_attempts = x.max_attempts + 1,
				   due_at = clock_timestamp() + coalesce((p_result ->> 'wait_ms')::integer, 0) * '1 millisecond'::interval
			 WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.id = p_id;
			UPDATE theazo_data.effect_payload x SET step_state = p_result -> 'state'
			 WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.id = p_id;
			IF NOT FOUND THEN
				INSERT INTO theazo_data.effect_payload (platform_id, root_id, id, request, step_state)
				VALUES (p_platform, p_root, p_id, '{}', p_result -> 'state');
			END IF;
			PERFORM theazo_internal.wake(e.affinity);
			RETURN true;
		END IF;
	ELSIF v_verdict = 'unknown' THEN
		v_recovery := theazo_internal.effect_recovery(e.adapter, e.kind);
		-- A function that only reads has done nothing: once more, and no oftener, should it be what takes the server down.
		IF e.kind = 'tool.sql' AND (SELECT (x.request ->> 'read_only')::boolean FROM theazo_data.effect_payload x
									 WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.id = p_id) THEN
			v_verdict := 'retry';
			v_max := greatest(v_max, 2);
		ELSIF v_recovery IN ('repeat', 'reconcile') THEN
			v_verdict := 'retry';
			v_max := CASE WHEN e.kind = 'webhook.deliver' THEN v_max ELSE greatest(v_max, e.step + 5) END;
			IF v_recovery = 'reconcile' THEN
				UPDATE theazo_data.effect_payload x SET step_state = coalesce(x.step_state, '{}') || '{"reconcile": true}'
				 WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.id = p_id;
			END IF;
		END IF;
	ELSIF v_verdict = 'failed' AND e.kind = 'compute.destroy' AND p_result ->> 'sqlstate' IS DISTINCT FROM 'TZ406' THEN
		-- Whatever the reason, a machine left behind costs money: tried again.
		v_verdict := 'retry';
	END IF;

	IF p_verdict = 'retry' THEN
		-- The adapter's table of verdicts has counted the attempts: a request that never left, or that the other side
		-- has not carried out, goes again also where a request is sent once. Each step has its own.
		v_max := CASE WHEN e.kind IN ('model.call', 'webhook.deliver') THEN v_max ELSE greatest(v_max, e.step + 6) END;
	END IF;
	IF v_verdict = 'retry' THEN
		IF e.cancel_requested THEN
			v_verdict := 'cancelled';
		ELSE
			-- A webhook has waits of its own, by the attempts that have failed: one that was given back unsent is not among them.
			v_delay := CASE WHEN e.kind = 'webhook.deliver'
							THEN theazo_internal.webhook_wait(e.attempt - v_max + 1 + cardinality(theazo_internal.webhook_waits()),
								(p_result ->> 'retry_after_ms')::bigint)
							WHEN (p_result ->> 'retry_after_ms')::bigint > 0
							THEN least((p_result ->> 'retry_after_ms')::bigint, 3600000)
							-- A model is asked twice more, after half a second and after one.
							WHEN e.kind = 'model.call' THEN 500 * 2 ^ least(e.attempt - 1, 1)
							-- attempts at this step
							ELSE theazo_internal.backoff_ms(e.attempt - e.step, random()) END;
			v_due := clock_timestamp() + v_delay * '1 millisecond'::interval;
			IF e.kind = 'model.call' AND (p_result ->> 'pause_ms')::bigint > 0 THEN
				v_due := theazo_internal.model_told(e, p_result);
			ELSIF e.kind = 'webhook.deliver' AND theazo_internal.notice_hopeless(e) THEN
				v_due := NULL;
			END IF;
			-- Told to wait longer than a minute, another provider is sooner.
			IF v_due IS NULL OR e.attempt >= v_max OR e.kind = 'model.call' AND v_delay > 60000 OR e.deadline < clock_timestamp() + v_delay * '1 millisecond'::interval THEN
				v_verdict := CASE WHEN p_verdict = 'unknown' THEN 'unknown' ELSE 'failed' END;
			ELSE
				UPDATE theazo_data.effect x
				   SET state = 'queued', incarnation = NULL, claimed_at = NULL, lease_until = NULL, sent_at = NULL,
					   -- Any dispatcher may make the box; what came after belongs to the one that holds it.
					   affinity = CASE WHEN x.kind <> 'compute.create' THEN x.affinity END,
					   due_at = v_due, max_attempts = v_max,
					   error_code = p_result ->> 'code',
					   error_message = left(theazo_internal.text_mask(p_result ->> 'message'), 1000)
				 WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.id = p_id;
				IF e.kind = 'model.call' AND p_result ? 'usage' THEN
					PERFORM theazo_internal.model_attempted(e, p_result, p_finished);
				ELSIF e.kind = 'webhook.deliver' THEN
					PERFORM theazo_internal.notice_failed(e, p_result, p_started, coalesce(p_finished, clock_timestamp()));
				END IF;
				PERFORM theazo_internal.wake(CASE WHEN e.kind <> 'compute.create' THEN e.affinity END);
				RETURN true;
			END IF;
		END IF;
	END IF;

	IF v_verdict NOT IN ('done', 'failed', 'unknown', 'cancelled') THEN
		RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('verdict %s is not known', theazo_internal.quoted(p_verdict));
	END IF;
	IF v_verdict = 'unknown' THEN
		p_result := coalesce(p_result, '{}') || jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ408', 'message',
			'the outcome is unknown', 'detail', coalesce(p_result ->> 'message', 'The request may have left and no answer came.'),
			'hint', 'It may have happened or not; look at its effects before doing it again.');
	ELSIF v_verdict = 'cancelled' THEN
		p_result := coalesce(p_result, '{}') || '{"code": "cancelled", "message": "cancelled"}';
	END IF;
	PERFORM theazo_internal.effect_close(e, v_verdict, p_result, p_content, p_started, p_finished);
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_settle(text, text, text, integer, text, jsonb, bytea, timestamptz, timestamptz) IS
'applies a verdict about one attempt; false when it comes too late';

CREATE OR REPLACE FUNCTION theazo_internal.effect_done(
	p_platform_ids text[], p_root_ids text[], p_ids text[], p_attempts integer[], p_verdicts text[], p_results jsonb[],
	p_contents bytea[], p_started timestamptz[], p_finished timestamptz[])
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
	v_n		integer;
	v_all	integer := coalesce(cardinality(p_ids), 0);
	v_told	text[];			-- whose webhooks have been told
	v_hooks	text[];
	r		record;
BEGIN
	-- What has no consequences is settled as a set; of that, a no-op has no result and a call has one, so each of the two
	-- statements below looks at its own. The state is compared in a way that no index offers: the planner must
	-- begin with the batch, not with everything that is open.
	UPDATE theazo_data.effect e
	   SET state = 'done', finished_at = coalesce(d.finished, clock_timestamp())
	  FROM unnest(p_platform_ids, p_root_ids, p_ids, p_attempts, p_verdicts, p_results, p_finished)
			AS d (platform_id, root_id, id, attempt, verdict, result, finished)
	 WHERE d.verdict = 'done' AND d.result IS NULL AND e.platform_id = d.platform_id AND e.root_id = d.root_id AND e.id = d.id
	   AND e.kind = 'probe.noop' AND e.attempt = d.attempt
	   AND CASE e.state WHEN 'claimed' THEN true WHEN 'sent' THEN true ELSE false END;
	GET DIAGNOSTICS v_n = ROW_COUNT;
	IF v_n = v_all THEN
		RETURN v_n;
	END IF;
	-- Calls of no run, agent or sandbox: nobody waits, the answer stays with the effect.
	WITH taken AS (
		UPDATE theazo_data.effect e
		   SET state = 'done', finished_at = coalesce(d.finished, clock_timestamp())
		  FROM unnest(p_platform_ids, p_root_ids, p_ids, p_attempts, p_verdicts, p_results, p_finished)
				AS d (platform_id, root_id, id, attempt, verdict, result, finished)
		 WHERE d.verdict = 'done' AND d.result IS NOT NULL
		   AND e.platform_id = d.platform_id AND e.root_id = d.root_id AND e.id = d.id
		   AND e.run_id IS NULL AND e.agent_id IS NULL AND e.sandbox_id IS NULL
		   AND e.kind IN ('compute.exec', 'compute.read', 'compute.list', 'compute.metrics', 'http.get', 'http.request', 'webhook.deliver')
		   -- of a delivery what went well at once; somebody may wait for one that is tried once only
		   AND (e.kind <> 'webhook.deliver' OR e.attempt = 1 AND e.max_attempts > 1)
		   AND e.attempt = d.attempt
		   AND CASE e.state WHEN 'claimed' THEN true WHEN 'sent' THEN true ELSE false END
		RETURNING e.platform_id, e.root_id, e.id, d.result, CASE WHEN e.kind = 'webhook.deliver' THEN e.provider_name END AS hook),
	kept AS (
		UPDATE theazo_data.effect_payload p SET result = t.result
		  FROM taken t
		 WHERE p.platform_id = t.platform_id AND p.root_id = t.root_id AND p.id = t.id)
	SELECT v_n + count(*), array_agg(t.platform_id) FILTER (WHERE t.hook IS NOT NULL), array_agg(t.hook) FILTER (WHERE t.hook IS NOT NULL)
	  INTO v_n, v_told, v_hooks FROM taken t;
	IF v_hooks IS NOT NULL THEN
		PERFORM theazo_internal.notices_arrived(v_told, v_hooks);
	END IF;
	IF v_n = v_all THEN
		RETURN v_n;
	END IF;
	FOR r IN
		SELECT d.*
		  FROM unnest(p_platform_ids, p_root_ids, p_ids, p_attempts, p_verdicts, p_results, p_contents, p_started, p_finished)
				WITH ORDINALITY AS d (platform_id, root_id, id, attempt, verdict, result, content, started, finished, ord)
		  JOIN theazo_data.effect e
			ON e.platform_id = d.platform_id AND e.root_id = d.root_id AND e.id = d.id
		   AND CASE e.state WHEN 'claimed' THEN true WHEN 'sent' THEN true ELSE false END
		 ORDER BY e.agent_id NULLS FIRST, CASE WHEN e.kind = 'webhook.deliver' THEN e.provider_name END NULLS FIRST, d.ord
	LOOP
		IF theazo_internal.effect_settle(r.platform_id, r.root_id, r.id, r.attempt, r.verdict, r.result, r.content,
										 r.started, r.finished) THEN
			v_n := v_n + 1;
		END IF;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_done(text[], text[], text[], integer[], text[], jsonb[], bytea[], timestamptz[], timestamptz[]) IS
'settles a batch of calls in one transaction; returns how many verdicts counted';

-- The handler of this effect throws: it ends as failed, and its run, without running code of its area.
CREATE OR REPLACE FUNCTION theazo_internal.effect_broken(p_platform_id text, p_root_id text, p_id text, p_attempt integer, p_message text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e	theazo_data.effect;
	v_run	text;
BEGIN
	SELECT * INTO e FROM theazo_data.effect x
	 WHERE x.platform_id = p_platform_id AND x.root_id = p_root_id AND x.id = p_id;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = e.platform_id AND a.id = e.agent_id FOR UPDATE;
	UPDATE theazo_data.effect x
	   SET state = 'failed', finished_at = clock_timestamp(), error_code = 'internal_error', error_message = theazo_internal.mask_left(p_message, 1000)
	 WHERE x.platform_id = p_platform_id AND x.root_id = p_root_id AND x.id = p_id
	   AND x.attempt = p_attempt AND x.state IN ('claimed', 'sent');
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF e.step_seq IS NOT NULL THEN
		-- Its run is more than this call: it ends in order, if it can.
		BEGIN
			PERFORM theazo_internal.loop_broken(e, p_message);
			RETURN;
		EXCEPTION WHEN OTHERS THEN
			RAISE LOG 'theazo: the run of effect % cannot be ended in order: %', p_id, SQLERRM;
			UPDATE theazo_data.effect x SET state = 'cancelled', finished_at = clock_timestamp()
			 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.run_id = e.run_id AND x.state IN ('queued', 'held');
			PERFORM theazo_internal.effects_cut(e.platform_id, e.run_id);
			UPDATE theazo_data.step x SET state = 'failed', ended_at = clock_timestamp()
			 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.state = 'queued';
			UPDATE theazo_data.agent a SET status = 'failed', error = theazo_internal.mask_left(p_message, 1000)
			 WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.run_id = e.run_id AND a.status IN ('booting', 'running');
		END;
	END IF;
	UPDATE theazo_data.run r
	   SET status = 'failed', ended_at = clock_timestamp(), error_sqlstate = 'XX000', error_code = 'internal_error',
		   error_message = 'the result could not be stored', error_hint = theazo_internal.mask_left(p_message, 1000)
	 WHERE r.platform_id = e.platform_id AND r.id = e.run_id AND r.status IN ('queued', 'running');
	IF e.kind = 'script.run' THEN
		UPDATE theazo_data.execution x
		   SET status = 'failed', ended_at = clock_timestamp(), error_code = 'INTERNAL_ERROR', error_message = 'the result could not be stored'
		 WHERE x.platform_id = e.platform_id AND x.run_id = e.run_id AND x.agent_id = e.agent_id AND x.status = 'running';
	END IF;
	UPDATE theazo_data.agent a
	   SET run_id = NULL, status = CASE a.status WHEN 'running' THEN 'ready' ELSE a.status END
	 WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.run_id = e.run_id;
	UPDATE theazo_data.agent a SET status = 'failed', error = theazo_internal.mask_left(p_message, 1000)
	 WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.status = 'booting' AND e.kind = 'compute.create';
	-- It may exist or not; nothing waits for it any more, and the next exec makes a new one.
	UPDATE theazo_data.sandbox s SET status = 'unknown', ended_at = coalesce(s.ended_at, clock_timestamp()),
		   reap_at = CASE WHEN s.external_id IS NOT NULL THEN clock_timestamp() + theazo_internal.reap_wait(s.reaps)
						  WHEN theazo_internal.compute_unseen(e, 'unknown') THEN clock_timestamp() END
	 WHERE s.platform_id = e.platform_id AND s.id = e.sandbox_id
	   AND (e.kind = 'compute.create' AND s.status IN ('creating', 'destroying') OR e.kind = 'compute.destroy' AND s.status = 'destroying');
	IF FOUND AND e.kind = 'compute.create' THEN
		UPDATE theazo_data.agent a SET sandbox_id = NULL
		 WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.sandbox_id = e.sandbox_id;
		FOR v_run IN
			UPDATE theazo_data.run x
			   SET status = 'failed', ended_at = clock_timestamp(), error_sqlstate = 'TZ402', error_code = 'provider_error',
				   error_message = 'the sandbox could not be made', error_hint = theazo_internal.mask_left(p_message, 1000)
			 WHERE x.platform_id = e.platform_id AND x.agent_id = e.agent_id AND x.status = 'queued'
			RETURNING x.id
		LOOP
			UPDATE theazo_data.effect x
			   SET state = 'failed', finished_at = clock_timestamp(), error_code = 'provider_error', error_message = theazo_internal.mask_left(p_message, 1000)
			 WHERE x.platform_id = e.platform_id AND x.root_id = theazo_internal.id_root(v_run) AND x.run_id = v_run AND x.state = 'queued';
			UPDATE theazo_data.agent a
			   SET run_id = NULL, status = CASE a.status WHEN 'running' THEN 'ready' ELSE a.status END
			 WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.run_id = v_run;
			PERFORM theazo_internal.run_notify(v_run);
		END LOOP;
	END IF;
	IF coalesce(e.run_id, e.agent_id) IS NOT NULL THEN
		PERFORM theazo_internal.run_notify(coalesce(e.run_id, e.agent_id));
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_broken(text, text, text, integer, text) IS
'ends an effect whose settlement throws, so that one bad row never stops the queue';
