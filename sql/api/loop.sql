-- loop.sql: a run as a loop of model calls and tool calls, each a row.
--
--	start -> model call -> its tool calls, all at once -> model call ... -> a text without tool calls: the end
--
-- Each settled call writes its step, its money, its message and what comes next in one transaction, so
-- a run goes on after a crash from its last finished step and no finished call is made again. The agent's
-- row is locked by whoever settles, which makes one run a single line of events. What a provider said is kept as it
-- was said (message.wire) and sent back so.
--
-- Hot: what is not the first function of a settlement is no definer function and sets nothing. It is handed the run's rows
-- (l, r), counts in them, and whatever ends the transaction's part stores the counters once (loop_save).

-- ----------------------------------------------------------------------------
-- Messages
-- ----------------------------------------------------------------------------
-- Without its wire form it is encoded for the dialect. The caller stores the counters.
CREATE OR REPLACE FUNCTION theazo_internal.message_add(
	INOUT l theazo_data.run_loop, p_role text, p_canonical jsonb, p_wire text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
	v_dialect	text := l.chain -> l.at ->> 'dialect';
	v_wire		text := coalesce(p_wire, theazo_internal.model_encode(v_dialect, p_canonical));
	v_tokens	integer := (pg_catalog.octet_length(v_wire) + 3) / 4;
BEGIN
	l.messages := l.messages + 1;
	l.tokens := l.tokens + v_tokens;
	INSERT INTO theazo_data.message (platform_id, root_id, seq, role, canonical, dialect, wire, tokens)
	VALUES (l.platform_id, l.root_id, l.messages, p_role, p_canonical, v_dialect, v_wire, v_tokens);
END
$$;
COMMENT ON FUNCTION theazo_internal.message_add(theazo_data.run_loop, text, jsonb, text) IS
'appends a message to the history of a run and counts it';

-- Earlier runs of the agent that still fit, oldest first: what the last one that ended well remembered, and that one. Of
-- others nothing is remembered, as their history may stop between a tool call and its answer, which no provider takes.
CREATE OR REPLACE FUNCTION theazo_internal.history_prior(a theazo_data.agent, p_budget integer, OUT prior text[], OUT prior_tokens integer[])
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_left	integer := p_budget;
	v_n		integer;
	v_from	integer;
BEGIN
	SELECT x.prior || x.root_id::text, x.prior_tokens || x.tokens INTO prior, prior_tokens
	  FROM theazo_data.run_loop x WHERE x.platform_id = a.platform_id AND x.root_id = a.memory_root;
	v_n := coalesce(pg_catalog.cardinality(prior), 0);
	v_from := v_n + 1;
	WHILE v_from > 1 AND v_left >= prior_tokens[v_from - 1] AND v_n - v_from < 199
	LOOP
		v_from := v_from - 1;
		v_left := v_left - prior_tokens[v_from];
	END LOOP;
	prior := coalesce(prior[v_from:], '{}');
	prior_tokens := coalesce(prior_tokens[v_from:], '{}');
END
$$;
COMMENT ON FUNCTION theazo_internal.history_prior(theazo_data.agent, integer) IS
'roots of the earlier runs an agent remembers within so many tokens, oldest first';

-- What a model call sends, made when it is claimed: so nothing of a history is stored twice.
CREATE OR REPLACE FUNCTION theazo_internal.model_request(p_platform text, p_root text, OUT request jsonb, OUT content bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l		theazo_data.run_loop;
	v_entry	jsonb;
	v_text	text;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = p_platform AND x.root_id = p_root;
	v_entry := l.chain -> l.at;
	request := jsonb_strip_nulls(jsonb_build_object(
		'model', v_entry -> 'sent', 'step', l.last_seq, 'api', v_entry -> 'api', 'system', nullif(l.system, ''), 'stream', true,
		'max_tokens', l.options -> 'max_tokens', 'temperature', l.options -> 'temperature'))
		|| CASE WHEN l.options ? 'schema'
				THEN jsonb_build_object('response_schema', jsonb_build_object('name', 'answer', 'schema', l.options -> 'schema')) ELSE '{}' END
		|| CASE WHEN l.tools = '[]' THEN '{}' ELSE jsonb_build_object('tools', l.tools) END;
	-- An empty answer is no message: it has no wire form.
	SELECT string_agg(nullif(CASE WHEN m.dialect = v_entry ->> 'dialect' THEN m.wire
								  ELSE theazo_internal.model_encode(v_entry ->> 'dialect', m.canonical) END, ''),
					  ',' ORDER BY o.ord, m.seq) INTO v_text
	  FROM unnest(l.prior || p_root) WITH ORDINALITY AS o (root, ord)
	  JOIN theazo_data.message m ON m.platform_id = p_platform AND m.root_id = o.root;
	content := convert_to(v_text, 'UTF8');
END
$$;
COMMENT ON FUNCTION theazo_internal.model_request(text, text) IS
'request of a run''s next model call: the document, and the history as it goes out';

-- ----------------------------------------------------------------------------
-- Start
-- ----------------------------------------------------------------------------
-- p_options: max_cost (millionths of a cent), timeout_ms, max_steps, schema. p_role: whom SQL tools act for. The agent is locked.
CREATE OR REPLACE FUNCTION theazo_internal.loop_make(p_agent theazo_data.agent, p_task text, p_options jsonb, p_role name)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a		theazo_data.agent := p_agent;
	l		theazo_data.run_loop;
	r		theazo_data.run;
	i		theazo_data.agent_input;
	v_run	text := theazo_internal.id_new('run');
	v_root	text := substr(v_run, 5);
	v_now	timestamptz := clock_timestamp();
BEGIN
	l.platform_id := a.platform_id;
	l.root_id := v_root;
	l.agent_id := a.id;
	l.cost_cap := least((p_options ->> 'max_cost')::bigint, theazo_internal.agent_cap_left(a));
	IF l.cost_cap <= 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ202', MESSAGE = format('agent "%s" may not spend anything', a.id),
			DETAIL = CASE WHEN (p_options ->> 'max_cost')::bigint <= 0 THEN 'max_cost is 0.' ELSE 'Its costCap is used up.' END,
			HINT = 'Give a higher max_cost, or raise the agent''s costCap.';
	END IF;
	l.chain := theazo_internal.model_chain(a);
	l.tools := theazo_internal.tool_offer(a);
	l.tools_hash := sha256(convert_to(l.tools::text, 'UTF8'));
	l.system := coalesce(a.options ->> 'instructions', '');
	l.options := jsonb_strip_nulls(jsonb_build_object('max_tokens', coalesce(a.options -> 'config' -> 'maxTokens', '8192'),
		'temperature', a.options -> 'config' -> 'temperature'))
		|| CASE WHEN p_options ? 'schema' THEN jsonb_build_object('schema', p_options -> 'schema') ELSE '{}' END;
	l.role_name := p_role;
	l.max_steps := least(25, coalesce((p_options ->> 'max_steps')::integer, 25));
	-- The first call is among them.
	l.model_calls := 1;
	l.last_seq := 1;
	l.at := 0;
	l.spent := 0;
	l.open_tools := 0;
	l.corrections := 0;
	l.messages := 0;
	l.tokens := 0;
	l.paused := false;
	l.suspended := false;
	SELECT h.prior, h.prior_tokens INTO l.prior, l.prior_tokens
	  FROM theazo_internal.history_prior(a, greatest(0, 100000 - octet_length(p_task) / 4)) h;

	INSERT INTO theazo_data.run (platform_id, id, session_id, agent_id, user_id, environment, kind, status, provider, timeout_ms, trace_id, started_at)
	VALUES (a.platform_id, v_run, a.session_id, a.id, a.user_id, a.key_environment, 'agent', 'running', a.provider,
			coalesce((p_options ->> 'timeout_ms')::integer, least(86400000, ceil(coalesce((a.options ->> 'timeout')::numeric, 300) * 1000))::integer),
			'tr_' || v_root, v_now)
	RETURNING * INTO r;
	l.deadline := v_now + r.timeout_ms * '1 millisecond'::interval;
	INSERT INTO theazo_data.run_payload (platform_id, root_id, input)
	VALUES (a.platform_id, v_root, jsonb_build_object('task', p_task) || p_options);
	FOR i IN
		SELECT x.* FROM theazo_data.agent_input x
		 WHERE x.platform_id = a.platform_id AND x.agent_id = a.id AND x.run_id IS NULL ORDER BY x.created_at, x.id FOR UPDATE
	LOOP
		UPDATE theazo_data.agent_input x SET run_id = v_run WHERE x.platform_id = i.platform_id AND x.id = i.id;
		l := theazo_internal.message_add(l, 'user', jsonb_build_object('role', 'user', 'text', format('[%s] %s', i.type, i.content)));
	END LOOP;
	l := theazo_internal.message_add(l, 'user', jsonb_build_object('role', 'user', 'text', p_task));
	INSERT INTO theazo_data.run_loop SELECT l.*;
	INSERT INTO theazo_data.span (platform_id, root_id, id, trace_id, environment, session_id, agent_id, run_id, name, status, started_at)
	VALUES (a.platform_id, v_root, r.trace_id, r.trace_id, r.environment, a.session_id, a.id, v_run, 'agent', 'running', v_now);
	PERFORM theazo_internal.event_write(a.platform_id, 'execution', 'execution_started',
		jsonb_build_object('kind', 'agent', 'model', l.chain -> 0 -> 'model', 'tools', encode(l.tools_hash, 'hex'), 'task', left(p_task, 200)),
		a.session_id, a.id, v_run, r.environment);
	UPDATE theazo_data.agent x
	   SET run_id = v_run, task_run_id = v_run, retry_at = NULL, status = CASE x.status WHEN 'booting' THEN x.status ELSE 'running' END,
		   paused_at = NULL, paused_by = NULL, error = CASE WHEN x.status = 'failed' THEN NULL ELSE x.error END
	 WHERE x.platform_id = a.platform_id AND x.id = a.id;
	-- The time a sandbox idles up to here is the session's, from here on the run's.
	IF a.sandbox_id IS NOT NULL THEN
		PERFORM theazo_internal.sandbox_bill(a.platform_id, s.id, v_now, true)
		   FROM (SELECT y.id FROM theazo_data.sandbox y
				  WHERE y.platform_id = a.platform_id AND y.id = a.sandbox_id AND y.status = 'ready' FOR UPDATE) s;
	END IF;
	PERFORM theazo_internal.loop_send(l, r, 1, 1);
	RETURN v_run;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_make(theazo_data.agent, text, jsonb, name) IS
'writes a run of the agent loop and queues its first model call';

-- ----------------------------------------------------------------------------
-- What comes next
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.loop_save(l theazo_data.run_loop)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE theazo_data.run_loop x
	   SET at = l.at, spent = l.spent, model_calls = l.model_calls, last_seq = l.last_seq, open_tools = l.open_tools,
		   corrections = l.corrections, messages = l.messages, tokens = l.tokens, suspended = l.suspended
	 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_save(theazo_data.run_loop) IS 'stores the counters of a run';

-- The next model call. The run ends here when it may not have one.
CREATE OR REPLACE FUNCTION theazo_internal.loop_call(l theazo_data.run_loop, r theazo_data.run)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF r.cancel_requested THEN
		PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
		RETURN;
	ELSIF l.paused THEN
		-- A pause is kept between two calls: the run goes on when its agent is resumed.
		PERFORM theazo_internal.sandbox_bill_run(r, clock_timestamp());
		l.suspended := true;
		PERFORM theazo_internal.loop_save(l);
		PERFORM theazo_internal.sandbox_pause(r.platform_id, r.agent_id);
		RETURN;
	ELSIF clock_timestamp() >= l.deadline THEN
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, theazo_internal.loop_late(r));
		RETURN;
	END IF;
	IF l.cost_cap IS NOT NULL THEN
		l.spent := l.spent + theazo_internal.sandbox_bill_run(r, clock_timestamp());
		IF l.spent >= l.cost_cap THEN
			PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'session_limit_exceeded', 'sqlstate', 'TZ202',
				'message', 'the run has used up its cost cap',
				'detail', format('Used %s of %s cents.', round(theazo_internal.cents(l.spent), 4), round(theazo_internal.cents(l.cost_cap), 4)),
				'hint', 'Give a higher max_cost, or raise the agent''s costCap.'));
			RETURN;
		END IF;
	END IF;
	IF l.model_calls >= l.max_steps THEN
		-- As many calls as it may have: what it said last is its answer.
		PERFORM theazo_internal.log_write(r.platform_id, l.root_id, 'warn', 'agent', format('stopped after %s model calls', l.model_calls),
			r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id);
		PERFORM theazo_internal.loop_end(l, r, 'completed', coalesce((SELECT p.output FROM theazo_data.step s
			JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
			WHERE s.platform_id = r.platform_id AND s.root_id = l.root_id AND s.kind = 'model' AND p.output <> '' ORDER BY s.seq DESC LIMIT 1), ''), NULL);
		RETURN;
	END IF;
	l.model_calls := l.model_calls + 1;
	l.last_seq := l.last_seq + 1;
	PERFORM theazo_internal.loop_save(l);
	PERFORM theazo_internal.loop_send(l, r, l.last_seq, 1);
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_call(theazo_data.run_loop, theazo_data.run) IS
'queues the next model call of a run, or ends the run where it may not have one';

CREATE OR REPLACE FUNCTION theazo_internal.loop_late(r theazo_data.run)
RETURNS jsonb
LANGUAGE sql STABLE
AS $$
	SELECT pg_catalog.jsonb_build_object('code', 'timeout', 'sqlstate', 'TZ403',
		'message', pg_catalog.format('the run took longer than %s ms', r.timeout_ms), 'hint', 'Give a larger timeout.')
$$;
COMMENT ON FUNCTION theazo_internal.loop_late(theazo_data.run) IS 'what a run fails with when its time is over';

-- Queues the model call of a step at the chain's present entry; the step is made with its first attempt.
CREATE OR REPLACE FUNCTION theazo_internal.loop_send(l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_attempt integer)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_at		smallint := theazo_internal.model_pick(l.chain, l.at);
	v_entry		jsonb := l.chain -> v_at;
	v_effect	text;
BEGIN
	-- One that keeps failing is passed over.
	IF v_at <> l.at THEN
		l.at := v_at;
		UPDATE theazo_data.run_loop x SET at = v_at WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id;
	END IF;
	-- All of them, for longer than this run may take: nothing to wait for.
	IF theazo_internal.model_rests(v_entry) >= l.deadline THEN
		UPDATE theazo_data.step x SET state = 'failed', ended_at = clock_timestamp(), error_code = 'no_providers_available'
		 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id AND x.seq = p_seq;
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'no_providers_available', 'sqlstate', 'TZ407',
			'message', format('no provider of model "%s" answers at the moment', v_entry ->> 'model'),
			'detail', 'Kind: model.', 'hint', 'theazo.provider_health shows which ones rest, why, and until when.'));
		RETURN;
	END IF;
	v_effect := theazo_internal.effect_enqueue(
		l.platform_id, l.root_id, 'model.call', v_entry ->> 'adapter', NULL, r.id, r.session_id, r.agent_id, NULL,
		theazo_internal.model_slot(v_entry), 120000, 3, p_due => theazo_internal.model_due(v_entry), p_deadline => l.deadline, p_step_seq => p_seq);
	IF p_attempt = 1 THEN
		INSERT INTO theazo_data.step (platform_id, root_id, seq, round, kind, name, effect_id, provider, adapter)
		VALUES (l.platform_id, l.root_id, p_seq, l.model_calls, 'model', v_entry ->> 'model', v_effect, v_entry ->> 'shown', v_entry ->> 'adapter');
	ELSE
		UPDATE theazo_data.step x
		   SET effect_id = v_effect, provider = v_entry ->> 'shown', adapter = v_entry ->> 'adapter', name = v_entry ->> 'model', attempts = p_attempt,
			   state = 'queued', ended_at = NULL
		 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id AND x.seq = p_seq;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_send(theazo_data.run_loop, theazo_data.run, integer, integer) IS
'queues the model call of one step at the provider whose turn it is';

-- The agent is paused: its run stops at the next boundary between two calls.
CREATE OR REPLACE FUNCTION theazo_internal.loop_pause(a theazo_data.agent)
RETURNS void
LANGUAGE sql
AS $$
	UPDATE theazo_data.run_loop x SET paused = true
	 WHERE x.platform_id = a.platform_id AND x.root_id = theazo_internal.id_root(a.run_id)
$$;
COMMENT ON FUNCTION theazo_internal.loop_pause(theazo_data.agent) IS 'has the run of an agent stop between two calls';

-- The agent is resumed: a run that its pause stopped goes on, with the time it had left.
CREATE OR REPLACE FUNCTION theazo_internal.loop_resume(a theazo_data.agent)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l	theazo_data.run_loop;
	r	theazo_data.run;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = a.platform_id AND x.root_id = theazo_internal.id_root(a.run_id);
	IF NOT FOUND OR NOT l.paused THEN
		RETURN;
	END IF;
	l.paused := false;
	IF l.suspended THEN
		l.deadline := l.deadline + greatest('0'::interval, clock_timestamp() - coalesce(a.paused_at, clock_timestamp()));
	END IF;
	UPDATE theazo_data.run_loop x SET paused = false, suspended = false, deadline = l.deadline
	 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id;
	IF l.suspended THEN
		l.suspended := false;
		SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = a.platform_id AND x.id = a.run_id;
		PERFORM theazo_internal.loop_call(l, r);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_resume(theazo_data.agent) IS 'goes on with a run that a pause had stopped between two calls';

-- A run that is cancelled while its agent's pause holds it between two calls: nothing is under way that could end it.
CREATE OR REPLACE FUNCTION theazo_internal.loop_cancel(p_run theazo_data.run)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l	theazo_data.run_loop;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x
	 WHERE x.platform_id = p_run.platform_id AND x.root_id = theazo_internal.id_root(p_run.id) AND x.suspended;
	IF FOUND THEN
		PERFORM theazo_internal.loop_end(l, p_run, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_cancel(theazo_data.run) IS 'ends a run that is suspended';

-- ----------------------------------------------------------------------------
-- A model call has ended
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.model_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l		theazo_data.run_loop;
	r		theazo_data.run;
	v_entry	jsonb;
	v_usage	jsonb := p_result -> 'usage';
	v_cost	bigint := 0;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id;
	v_entry := l.chain -> l.at;
	-- It may have been answered, and then somebody pays: booked as estimated.
	IF v_usage IS NULL AND (p_state IN ('done', 'unknown') OR p_state = 'cancelled' AND e.state = 'sent') THEN
		v_usage := theazo_internal.usage_estimate(e);
	END IF;
	IF v_usage IS NOT NULL THEN
		v_cost := theazo_internal.model_charge(e, r, v_entry, v_usage, p_finished);
		l.spent := l.spent + v_cost;
	END IF;
	IF p_state = 'unknown' THEN
		PERFORM theazo_internal.model_health(v_entry, false, 'transient');
	END IF;
	PERFORM theazo_internal.model_freed(v_entry);
	UPDATE theazo_data.step x
	   SET state = p_state, input_tokens = (v_usage ->> 'input')::bigint, cache_read_tokens = (v_usage ->> 'cache_read')::bigint,
		   cache_write_tokens = coalesce((v_usage ->> 'cache_write_5m')::bigint + (v_usage ->> 'cache_write_1h')::bigint,
				(v_usage ->> 'cache_write_5m')::bigint, (v_usage ->> 'cache_write_1h')::bigint),
		   output_tokens = (v_usage ->> 'output')::bigint, reasoning_tokens = (v_usage ->> 'reasoning')::bigint,
		   cost = x.cost + v_cost, estimated = coalesce((v_usage ->> 'estimated')::boolean, false),
		   stop = p_result ->> 'stop', request_id = left(p_result ->> 'request_id', 200), started_at = coalesce(p_started, x.started_at),
		   ended_at = p_finished, error_code = CASE WHEN p_state <> 'done' THEN p_result ->> 'code' END,
		   error_message = CASE WHEN p_state <> 'done' THEN left(theazo_internal.text_mask(p_result ->> 'message'), 1000) END
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
	INSERT INTO theazo_data.span (platform_id, root_id, id, trace_id, parent_id, environment, session_id, agent_id, run_id, name, status,
								  started_at, ended_at, attributes)
	VALUES (e.platform_id, e.root_id, theazo_internal.id_new('spn'), r.trace_id, r.trace_id, r.environment, r.session_id, r.agent_id, r.id,
			'model', CASE WHEN p_state = 'done' THEN 'completed' ELSE 'failed' END, coalesce(p_started, p_finished), p_finished,
			jsonb_strip_nulls(jsonb_build_object('model', v_entry -> 'model', 'provider', v_entry -> 'shown', 'step', e.step_seq,
				'error', CASE WHEN p_state <> 'done' THEN p_result -> 'code' END)));
	PERFORM theazo_internal.event_write(e.platform_id, 'execution', CASE WHEN p_state = 'done' THEN 'model_called' ELSE 'model_call_failed' END,
		jsonb_strip_nulls(jsonb_build_object('model', v_entry -> 'model', 'provider', v_entry -> 'shown', 'step', e.step_seq, 'stop', p_result -> 'stop',
			'input', v_usage -> 'input', 'output', v_usage -> 'output', 'error', CASE WHEN p_state <> 'done' THEN p_result -> 'code' END)),
		r.session_id, r.agent_id, r.id, r.environment);
	-- Whoever follows the run looks at its rows now.
	PERFORM theazo_internal.run_notify(r.id);
	IF r.status NOT IN ('queued', 'running') THEN
		-- The run had ended without it; what it cost is still the run's.
		PERFORM theazo_internal.loop_save(l);
		UPDATE theazo_data.run x SET cost = x.cost + v_cost WHERE x.platform_id = r.platform_id AND x.id = r.id AND v_cost > 0;
		RETURN;
	END IF;
	CASE p_state
		WHEN 'done' THEN
			PERFORM theazo_internal.model_health(v_entry, true, NULL);
			PERFORM theazo_internal.model_answered(l, r, e.step_seq, p_result);
		WHEN 'cancelled' THEN
			PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
		WHEN 'unknown' THEN
			PERFORM theazo_internal.loop_end(l, r, 'failed', NULL,
				CASE WHEN p_finished >= l.deadline THEN theazo_internal.loop_late(r) ELSE p_result END, true);
		ELSE
			PERFORM theazo_internal.model_refused(l, r, e, p_result);
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'the end of a model call: its money and its step, then what comes next';

-- An attempt failed and the call goes out again: what it cost is booked with it.
CREATE OR REPLACE FUNCTION theazo_internal.model_attempted(e theazo_data.effect, p_result jsonb, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l		theazo_data.run_loop;
	r		theazo_data.run;
	v_cost	bigint;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id;
	v_cost := theazo_internal.model_charge(e, r, l.chain -> l.at, p_result -> 'usage', coalesce(p_finished, clock_timestamp()));
	UPDATE theazo_data.run_loop x SET spent = x.spent + v_cost WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	UPDATE theazo_data.step x SET cost = x.cost + v_cost
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_attempted(theazo_data.effect, jsonb, timestamptz) IS
'books what an attempt of a model call used that goes out again';

-- The call failed for good at this provider: the next of the chain, where another one can do better.
CREATE OR REPLACE FUNCTION theazo_internal.model_refused(
	l theazo_data.run_loop, r theazo_data.run, e theazo_data.effect, p_result jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_class	text := coalesce(p_result ->> 'class', 'transient');
	v_late	boolean := clock_timestamp() >= l.deadline;
	v_next	smallint := theazo_internal.model_next(l.chain, l.at, v_class, p_result);
BEGIN
	-- What was never sent says nothing about a provider, and what is refused for its content shows that it is well.
	IF e.attempt > 0 AND NOT (v_late AND p_result ->> 'code' = 'timeout') THEN
		PERFORM theazo_internal.model_health(l.chain -> l.at, v_class IN ('caller', 'policy', 'too_long'), v_class);
	END IF;
	IF r.cancel_requested THEN
		PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
	ELSIF v_late THEN
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, theazo_internal.loop_late(r));
	-- No use in one that rests for longer than this run may take.
	ELSIF v_next IS NOT NULL AND coalesce(theazo_internal.model_rests(l.chain -> theazo_internal.model_pick(l.chain, v_next)) < l.deadline, true) THEN
		l.at := v_next;
		PERFORM theazo_internal.loop_save(l);
		PERFORM theazo_internal.log_write(l.platform_id, l.root_id, 'warn', 'model',
			format('%s: falling back to %s at %s', coalesce(p_result ->> 'message', 'failed'), l.chain -> l.at ->> 'model', l.chain -> l.at ->> 'shown'),
			r.environment, r.session_id, r.agent_id, r.id, r.user_id, l.chain -> l.at ->> 'shown', r.trace_id);
		PERFORM theazo_internal.loop_send(l, r, e.step_seq, 1 + (SELECT s.attempts FROM theazo_data.step s
			WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.seq = e.step_seq));
	ELSE
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, p_result);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_refused(theazo_data.run_loop, theazo_data.run, theazo_data.effect, jsonb) IS
'a model call that failed for good: the next provider of the chain, or the end of the run';

CREATE OR REPLACE FUNCTION theazo_internal.model_answered(l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_result jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_text	text := coalesce(p_result ->> 'text', '');
	v_stop	text := coalesce(p_result ->> 'stop', 'other');
	v_calls	jsonb := coalesce(nullif(p_result -> 'tool_calls', 'null'), '[]');
	v_cut	boolean := v_stop IN ('max_tokens', 'context');
	v_why	text;
BEGIN
	INSERT INTO theazo_data.step_payload (platform_id, root_id, seq, output, raw)
	VALUES (l.platform_id, l.root_id, p_seq, v_text,
			jsonb_strip_nulls(jsonb_build_object('usage', p_result -> 'usage_raw', 'rate', p_result -> 'rate', 'model', p_result -> 'model',
				'providerCost', p_result -> 'usage' -> 'provider_cost_usd')));
	IF v_stop IN ('refusal', 'content_filter') THEN
		-- Asking again unchanged would be refused again; what it had begun to say is dropped.
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_strip_nulls(jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ401',
			'message', 'the model refused to answer', 'detail', left(p_result -> 'refusal' ->> 'explanation', 500),
			'hint', 'Rephrase the task, or let another model try.')));
		RETURN;
	END IF;
	-- Half a tool call is not run, and without its answer it cannot stay in the history either.
	IF NOT v_cut OR v_calls = '[]' THEN
		l := theazo_internal.message_add(l, 'assistant', jsonb_build_object('role', 'assistant', 'text', v_text, 'tool_calls', v_calls), p_result ->> 'wire');
	END IF;
	IF v_stop = 'pause' THEN
		PERFORM theazo_internal.loop_call(l, r);
		RETURN;
	ELSIF v_calls <> '[]' AND NOT v_cut THEN
		IF r.cancel_requested THEN
			PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
		ELSE
			PERFORM theazo_internal.loop_tools(l, r, v_calls);
		END IF;
		RETURN;
	END IF;
	IF v_cut THEN
		PERFORM theazo_internal.log_write(l.platform_id, l.root_id, 'warn', 'model',
			CASE v_stop WHEN 'context' THEN 'the answer was cut: the context is full' ELSE 'the answer was cut at max_tokens' END,
			r.environment, r.session_id, r.agent_id, r.id, r.user_id, l.chain -> l.at ->> 'shown', r.trace_id);
		IF v_text = '' OR v_calls <> '[]' THEN
			PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ404', 'message',
				CASE WHEN v_calls = '[]' THEN 'the model''s answer was cut before it said anything' ELSE 'the model''s answer was cut inside a tool call' END,
				'hint', CASE v_stop WHEN 'context' THEN 'Give it less to read, or a model with a larger context.' ELSE 'Raise config.maxTokens of the agent.' END));
			RETURN;
		END IF;
	END IF;
	IF l.options ? 'schema' THEN
		v_why := theazo_internal.answer_check(l.options -> 'schema', v_text);
		IF v_why IS NOT NULL THEN
			PERFORM theazo_internal.loop_correct(l, r, v_why);
			RETURN;
		END IF;
	END IF;
	PERFORM theazo_internal.loop_end(l, r, 'completed', v_text, NULL);
END
$$;
COMMENT ON FUNCTION theazo_internal.model_answered(theazo_data.run_loop, theazo_data.run, integer, jsonb) IS
'what a model''s answer means for its run: tools, another call, or the end';

-- Is a text the JSON that was asked for? Null when it is.
CREATE OR REPLACE FUNCTION theazo_internal.answer_check(p_schema jsonb, p_text text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN theazo_internal.json_schema_check(p_schema, p_text::pg_catalog.jsonb);
EXCEPTION WHEN invalid_text_representation OR untranslatable_character OR numeric_value_out_of_range OR program_limit_exceeded OR statement_too_complex THEN
	RETURN 'it is no JSON';
END
$$;
COMMENT ON FUNCTION theazo_internal.answer_check(jsonb, text) IS 'why a text is not the JSON a schema asks for, or null';

-- An answer that does not fit its schema is sent back, twice at most.
CREATE OR REPLACE FUNCTION theazo_internal.loop_correct(l theazo_data.run_loop, r theazo_data.run, p_why text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	l.corrections := l.corrections + 1;
	IF l.corrections >= 3 THEN
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ404',
			'message', 'the model''s answer does not fit the schema', 'detail', left(p_why, 500),
			'hint', 'Simplify the schema, or use a model that supports structured output.'));
		RETURN;
	END IF;
	l := theazo_internal.message_add(l, 'user', jsonb_build_object('role', 'user', 'text',
		format('Your answer does not fit the required JSON schema: %s. Answer again with JSON that does, and nothing else.', p_why)));
	PERFORM theazo_internal.loop_call(l, r);
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_correct(theazo_data.run_loop, theazo_data.run, text) IS
'sends an answer back that does not fit its schema; ends the run at the third';

-- ----------------------------------------------------------------------------
-- Tools
-- ----------------------------------------------------------------------------
-- All calls of one answer begin at once; some are answered at once.
CREATE OR REPLACE FUNCTION theazo_internal.loop_tools(l theazo_data.run_loop, r theazo_data.run, p_calls jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	c			jsonb;
	t			record;
	v_n			integer := 0;
	v_results	jsonb := '[]';
	v_failed	boolean := false;
BEGIN
	l.open_tools := 0;
	FOR c IN SELECT x FROM jsonb_array_elements(p_calls) x
	LOOP
		v_n := v_n + 1;
		l.last_seq := l.last_seq + 1;
		IF v_n > 128 THEN
			SELECT 'error: at most 128 tools can be called at once' AS output, true AS failed, NULL::text AS effect_id INTO t;
		ELSIF c ? 'arguments_error' THEN
			SELECT 'error: the arguments are no JSON: ' || left(c ->> 'arguments_error', 200) AS output, true AS failed, NULL::text AS effect_id INTO t;
		ELSE
			t := theazo_internal.tool_begin(l, r, l.last_seq, c ->> 'name', coalesce(nullif(c -> 'arguments', 'null'), '{}'));
		END IF;
		INSERT INTO theazo_data.step (platform_id, root_id, seq, round, kind, state, name, call_id, effect_id, started_at, ended_at, ended_no, error_code)
		VALUES (l.platform_id, l.root_id, l.last_seq, l.model_calls, 'tool',
				CASE WHEN t.effect_id IS NOT NULL THEN 'queued' WHEN t.failed THEN 'failed' ELSE 'done' END,
				left(coalesce(c ->> 'name', ''), 200), left(c ->> 'id', 200), t.effect_id, clock_timestamp(),
				CASE WHEN t.effect_id IS NULL THEN clock_timestamp() END, CASE WHEN t.effect_id IS NULL THEN v_n - l.open_tools END,
				CASE WHEN t.failed THEN 'tool_failed' END);
		INSERT INTO theazo_data.step_payload (platform_id, root_id, seq, input, output)
		VALUES (l.platform_id, l.root_id, l.last_seq, coalesce(c -> 'arguments', to_jsonb(left(c ->> 'arguments_text', 32768))),
				theazo_internal.tool_bound(t.output));
		PERFORM theazo_internal.event_write(l.platform_id, 'execution', 'tool_called',
			jsonb_build_object('tool', left(coalesce(c ->> 'name', ''), 128), 'step', l.last_seq,
				'input', left(coalesce((c -> 'arguments')::text, c ->> 'arguments_text'), 200)),
			r.session_id, r.agent_id, r.id, r.environment);
		IF t.effect_id IS NOT NULL THEN
			l.open_tools := l.open_tools + 1;
		ELSE
			v_failed := v_failed OR t.failed;
			v_results := v_results || jsonb_build_object('id', c -> 'id', 'name', c -> 'name',
				'content', theazo_internal.tool_bound(t.output), 'is_error', t.failed);
		END IF;
	END LOOP;
	IF l.open_tools = 0 THEN
		PERFORM theazo_internal.loop_tools_done(l, r, v_results, v_failed);
	ELSE
		PERFORM theazo_internal.loop_save(l);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_tools(theazo_data.run_loop, theazo_data.run, jsonb) IS 'begins the tool calls of one answer, all at once';

-- What a model is told, at most 32 KiB.
CREATE OR REPLACE FUNCTION theazo_internal.tool_bound(p_text text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	v_text text;
BEGIN
	IF pg_catalog.octet_length(p_text) <= 32768 THEN
		RETURN p_text;
	END IF;
	v_text := pg_catalog."left"(p_text, 32768);
	WHILE pg_catalog.octet_length(v_text) > 32768
	LOOP
		v_text := pg_catalog."left"(v_text, pg_catalog.length(v_text) - greatest(1, (pg_catalog.octet_length(v_text) - 32768) / 4));
	END LOOP;
	RETURN v_text;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_bound(text) IS 'output of a tool, cut at 32 KiB';

-- A tool call that went out has ended.
CREATE OR REPLACE FUNCTION theazo_internal.tool_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_content bytea, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l	theazo_data.run_loop;
	r	theazo_data.run;
	s	theazo_data.step;
	t	record;
BEGIN
	SELECT * INTO s FROM theazo_data.step x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
	IF s.state IS DISTINCT FROM 'queued' THEN
		RETURN;
	END IF;
	t := theazo_internal.tool_answer(s.name, e.kind, p_state, p_result, p_content);
	UPDATE theazo_data.step x
	   SET state = CASE WHEN p_state IN ('cancelled', 'unknown') THEN p_state WHEN t.failed THEN 'failed' ELSE 'done' END,
		   started_at = coalesce(p_started, x.started_at), ended_at = p_finished,
		   ended_no = (SELECT count(y.ended_no) + 1 FROM theazo_data.step y
						WHERE y.platform_id = e.platform_id AND y.root_id = e.root_id AND y.round = s.round AND y.kind = 'tool'),
		   error_code = CASE WHEN p_state <> 'done' THEN p_result ->> 'code' WHEN t.failed THEN 'tool_failed' END,
		   error_message = CASE WHEN p_state <> 'done' THEN left(theazo_internal.text_mask(p_result ->> 'message'), 1000) END
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
	UPDATE theazo_data.step_payload x SET output = theazo_internal.tool_bound(t.output)
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
	UPDATE theazo_data.run_loop x SET open_tools = x.open_tools - 1
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id RETURNING x.* INTO l;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id;
	INSERT INTO theazo_data.span (platform_id, root_id, id, trace_id, parent_id, environment, session_id, agent_id, run_id, name, status,
								  started_at, ended_at, attributes)
	VALUES (e.platform_id, e.root_id, theazo_internal.id_new('spn'), r.trace_id, r.trace_id, r.environment, r.session_id, r.agent_id, r.id,
			'tool', CASE WHEN p_state = 'done' AND NOT t.failed THEN 'completed' ELSE 'failed' END, coalesce(p_started, p_finished), p_finished,
			jsonb_build_object('tool', s.name, 'step', e.step_seq));
	PERFORM theazo_internal.run_notify(r.id);
	IF l.open_tools = 0 AND r.status IN ('queued', 'running') THEN
		PERFORM theazo_internal.loop_tools_done(l, r, NULL, true);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_settle(theazo_data.effect, text, jsonb, bytea, timestamptz, timestamptz) IS
'the end of a tool call that went out; with the last one the model is called again';

-- Every call of the round has an answer: they go back to the model in one message. p_results null: they stand in the steps.
CREATE OR REPLACE FUNCTION theazo_internal.loop_tools_done(l theazo_data.run_loop, r theazo_data.run, p_results jsonb, p_failed boolean)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_results	jsonb := p_results;
	v_failed	boolean := p_failed;
	v_cancelled	boolean := r.cancel_requested;
	v_name		text;
BEGIN
	IF v_results IS NULL THEN
		SELECT jsonb_agg(jsonb_build_object('id', s.call_id, 'name', s.name, 'content', coalesce(p.output, ''), 'is_error', s.state <> 'done') ORDER BY s.seq),
			   v_cancelled OR bool_or(s.state = 'cancelled'), bool_or(s.state <> 'done')
		  INTO v_results, v_cancelled, v_failed
		  FROM theazo_data.step s
		  JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
		 WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.round = l.model_calls AND s.kind = 'tool';
	END IF;
	IF v_cancelled THEN
		PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
		RETURN;
	ELSIF v_failed THEN
		v_name := theazo_internal.loop_stuck(l);
		IF v_name IS NOT NULL THEN
			PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ404',
				'message', format('the model called "%s" three times in vain', v_name),
				'detail', 'Same arguments, same failure, three times in a row.', 'hint', 'theazo.run_steps() shows the calls and what they answered.'));
			RETURN;
		END IF;
	END IF;
	l := theazo_internal.message_add(l, 'tool', jsonb_build_object('role', 'tool', 'results', v_results));
	PERFORM theazo_internal.loop_call(l, r);
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_tools_done(theazo_data.run_loop, theazo_data.run, jsonb, boolean) IS
'all tool calls of a round are answered: back to the model, or the end after three equal failures';

-- A tool that failed in this round, and in the same words in the two rounds before in which it was called with these
-- arguments. Whatever else was called meanwhile.
CREATE OR REPLACE FUNCTION theazo_internal.loop_stuck(l theazo_data.run_loop)
RETURNS text
LANGUAGE sql
AS $$
	WITH calls AS (
		SELECT s.round, s.name, p.input, pg_catalog.bool_and(s.state <> 'done') AS failed, pg_catalog.min(p.output) AS output
		  FROM theazo_data.step s
		  JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
		 WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.kind = 'tool'
		 GROUP BY s.round, s.name, p.input),
	last AS (
		SELECT c.*, pg_catalog.row_number() OVER (PARTITION BY c.name, c.input ORDER BY c.round DESC) AS place FROM calls c)
	SELECT x.name FROM last x WHERE x.place <= 3
	 GROUP BY x.name, x.input
	HAVING pg_catalog.count(*) = 3 AND pg_catalog.bool_and(x.failed) AND pg_catalog.min(x.output) = pg_catalog.max(x.output)
	   AND pg_catalog.max(x.round) = l.model_calls
	 ORDER BY x.name LIMIT 1
$$;
COMMENT ON FUNCTION theazo_internal.loop_stuck(theazo_data.run_loop) IS
'name of a tool that failed three times in a row with the same arguments and answer, else null';

-- ----------------------------------------------------------------------------
-- End
-- ----------------------------------------------------------------------------
-- The run ends, once: what is still under way is cut, its sandbox's time is booked, the result is put together.
CREATE OR REPLACE FUNCTION theazo_internal.loop_end(
	l theazo_data.run_loop, r theazo_data.run, p_status text, p_output text, p_error jsonb, p_unknown boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	a			theazo_data.agent;
	v_result	jsonb;
	v_tools		integer;
	v_cost		bigint;
	v_now		timestamptz := clock_timestamp();
BEGIN
	l.suspended := false;
	PERFORM theazo_internal.loop_save(l);
	IF p_status <> 'completed' THEN
		PERFORM theazo_internal.loop_drop(r);
	END IF;
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = r.platform_id AND x.id = r.agent_id;
	IF a.sandbox_id IS NOT NULL THEN
		PERFORM theazo_internal.sandbox_bill_run(r, v_now);
	END IF;
	-- Model calls and sandbox time of this run lie with it in the ledger.
	SELECT coalesce(sum(c.amount), 0) INTO v_cost FROM theazo_data.charge c WHERE c.platform_id = r.platform_id AND c.root_id = l.root_id;
	IF a.one_shot THEN
		v_cost := v_cost + theazo_internal.run_fee(a);
	END IF;
	SELECT jsonb_build_object('output', coalesce(p_output, ''), 'artifacts', '[]'::jsonb,
			'usage', jsonb_build_object('input_tokens', coalesce(sum(s.input_tokens + coalesce(s.cache_read_tokens, 0) + coalesce(s.cache_write_tokens, 0)), 0),
				'output_tokens', coalesce(sum(s.output_tokens), 0), 'model_calls', count(*) FILTER (WHERE s.kind = 'model'))),
		   count(*) FILTER (WHERE s.kind = 'tool')
	  INTO v_result, v_tools
	  FROM theazo_data.step s WHERE s.platform_id = r.platform_id AND s.root_id = l.root_id;
	IF v_tools > 0 THEN
		v_result := v_result || jsonb_build_object('artifacts', theazo_internal.run_artifacts(l));
	END IF;
	PERFORM theazo_internal.run_finish(r.platform_id, r.id, p_status, v_result, NULL, p_error, v_cost, NULL, v_now, p_unknown);
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
		   error = CASE WHEN p_status = 'failed' THEN left(theazo_internal.text_mask(p_error ->> 'message'), 1000) ELSE x.error END
	 WHERE x.platform_id = a.platform_id AND x.id = a.id AND x.run_id = r.id
	RETURNING x.* INTO a;
	IF a.one_shot THEN
		-- Made for this run, it goes with it.
		PERFORM theazo_internal.sandbox_destroy(a.platform_id, a.id);
	ELSIF p_status = 'failed' AND a.options ? 'lifecycle' THEN
		PERFORM theazo_internal.loop_failed(a, r, p_error);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_end(theazo_data.run_loop, theazo_data.run, text, text, jsonb, boolean) IS
'ends a run of the agent loop: sandbox time, result, cost, agent';

-- Files that a run wrote.
CREATE OR REPLACE FUNCTION theazo_internal.run_artifacts(l theazo_data.run_loop)
RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT p.input ->> 'path'), '[]')
	  FROM theazo_data.step s
	  JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
	 WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.kind = 'tool' AND s.name = 'write_file' AND s.state = 'done');
END
$$;
COMMENT ON FUNCTION theazo_internal.run_artifacts(theazo_data.run_loop) IS 'paths of the files that a run wrote';

-- What is still under way belongs to a run that ends: it is dropped, or cut by its dispatcher. Not through its area, which
-- would go on with the run.
CREATE OR REPLACE FUNCTION theazo_internal.loop_drop(r theazo_data.run)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_cut boolean;
BEGIN
	UPDATE theazo_data.effect x
	   SET state = 'cancelled', finished_at = clock_timestamp(), held_reason = NULL, error_code = 'cancelled', error_message = 'the run has ended'
	 WHERE x.platform_id = r.platform_id AND x.root_id = theazo_internal.id_root(r.id) AND x.run_id = r.id AND x.state IN ('queued', 'held');
	UPDATE theazo_data.effect x SET cancel_requested = true
	 WHERE x.platform_id = r.platform_id AND x.root_id = theazo_internal.id_root(r.id) AND x.run_id = r.id AND x.state IN ('claimed', 'sent');
	v_cut := FOUND;
	UPDATE theazo_data.step x SET state = 'cancelled', ended_at = clock_timestamp()
	 WHERE x.platform_id = r.platform_id AND x.root_id = theazo_internal.id_root(r.id) AND x.state = 'queued';
	IF v_cut THEN
		PERFORM theazo_internal.wake_cancel();
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_drop(theazo_data.run) IS 'drops what a run that ends still has under way';

-- What the run's agent fee is: only a run that made its agent carries it. An agent on its owner's machines owes it also when no
-- tool needed one; otherwise it was booked with the first machine.
CREATE OR REPLACE FUNCTION theazo_internal.run_fee(a theazo_data.agent)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c record;
BEGIN
	IF NOT EXISTS (SELECT FROM theazo_data.sandbox s WHERE s.platform_id = a.platform_id AND s.agent_id = a.id) THEN
		SELECT * INTO c FROM theazo_internal.compute_choose(a);
		IF NOT c.managed THEN
			PERFORM theazo_internal.fee_write(a.platform_id, 'agent.fee', a.id, a.key_environment, a.session_id, a.id, NULL, a.user_id, c.shown);
		END IF;
	END IF;
	RETURN coalesce((SELECT sum(x.amount) FROM theazo_data.charge x
					  WHERE x.platform_id = a.platform_id AND x.root_id = theazo_internal.id_root(a.id) AND x.agent_id = a.id
						AND x.item = 'agent.fee'), 0);
END
$$;
COMMENT ON FUNCTION theazo_internal.run_fee(theazo_data.agent) IS 'books and returns the fee of an agent, for the run that made it';

-- Closes the time a sandbox served a run, thinking time included, with one charge of the run.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_bill_run(r theazo_data.run, p_until timestamptz)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_id text;
BEGIN
	SELECT s.id INTO v_id FROM theazo_data.agent a
	  JOIN theazo_data.sandbox s ON s.platform_id = a.platform_id AND s.id = a.sandbox_id
	 WHERE a.platform_id = r.platform_id AND a.id = r.agent_id AND s.status = 'ready' FOR UPDATE OF s;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	RETURN theazo_internal.sandbox_bill(r.platform_id, v_id, p_until, false, r.id);
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_bill_run(theazo_data.run, timestamptz) IS
'books the time a sandbox served a run; returns the amount';

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
			-- Where the money is used up, another try would only use more.
			IF p_error ->> 'sqlstate' IS DISTINCT FROM 'TZ202' THEN
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
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id AND x.status IN ('queued', 'running');
	IF NOT FOUND THEN
		RETURN;
	END IF;
	UPDATE theazo_data.step x SET state = 'failed', ended_at = clock_timestamp(), error_code = 'internal_error', error_message = left(p_message, 1000)
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
	IF e.kind = 'model.call' THEN
		-- It was answered, and the answer cannot be read any more.
		BEGIN
			v_cost := theazo_internal.model_charge(e, r, l.chain -> l.at, theazo_internal.usage_estimate(e), clock_timestamp());
			l.spent := l.spent + v_cost;
			UPDATE theazo_data.step x SET cost = x.cost + v_cost, estimated = true
			 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
			PERFORM theazo_internal.model_freed(l.chain -> l.at);
		EXCEPTION WHEN OTHERS THEN
			RAISE LOG 'theazo: a model call of % could not be booked: %', r.id, SQLERRM;
		END;
	END IF;
	PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'internal_error', 'sqlstate', 'XX000',
		'message', 'the result could not be stored', 'hint', left(p_message, 1000)));
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
