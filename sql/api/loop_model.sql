-- loop_model.sql: what the answer of a model means for its run.

-- What a provider gives as its reason belongs to what the caller is told: "answered 400" alone helps nobody.
CREATE OR REPLACE FUNCTION theazo_internal.model_said(p_result jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN p_result ->> 'detail' LIKE 'Provider said: %'
				THEN (p_result - 'detail') || jsonb_build_object('message', (p_result ->> 'message') || ': ' || substr(p_result ->> 'detail', 16))
				ELSE p_result END
$$;
COMMENT ON FUNCTION theazo_internal.model_said(jsonb) IS 'the result of a failed model call with the provider''s own words in its message';

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
	IF p_state IN ('failed', 'unknown') THEN
		p_result := theazo_internal.safety_failed(l, theazo_internal.model_said(p_result));
	END IF;
	-- It may have been answered, and then somebody pays: booked as estimated. A refusal is not paid.
	IF v_usage IS NULL AND (p_state IN ('done', 'unknown') OR p_result ->> 'code' = 'guardrail_blocked' OR p_state = 'cancelled'
		AND coalesce((p_result ->> 'maybe_sent')::boolean, e.state = 'sent') AND coalesce((p_result ->> 'http_status')::integer, 200) < 300) THEN
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
	PERFORM theazo_internal.step_close(e.platform_id, e.root_id, e.step_seq, p_state, (v_usage ->> 'input')::bigint, (v_usage ->> 'cache_read')::bigint,
		coalesce((v_usage ->> 'cache_write_5m')::bigint + (v_usage ->> 'cache_write_1h')::bigint,
				 (v_usage ->> 'cache_write_5m')::bigint, (v_usage ->> 'cache_write_1h')::bigint),
		(v_usage ->> 'output')::bigint, (v_usage ->> 'reasoning')::bigint, v_cost, coalesce((v_usage ->> 'estimated')::boolean, false),
		p_result ->> 'stop', left(p_result ->> 'request_id', 200), p_started, p_finished, CASE WHEN p_state <> 'done' THEN p_result ->> 'code' END,
		CASE WHEN p_state <> 'done' THEN left(theazo_internal.text_mask(p_result ->> 'message'), 1000) END);
	PERFORM theazo_internal.span_write(e.platform_id, e.root_id, theazo_internal.id_new('spn'), r.trace_id, r.trace_id, r.environment,
		r.session_id, r.agent_id, r.id, 'model', CASE WHEN p_state = 'done' THEN 'completed' ELSE 'failed' END,
		coalesce(p_started, p_finished), p_finished,
		jsonb_strip_nulls(jsonb_build_object('model', v_entry -> 'model', 'provider', v_entry -> 'shown', 'step', e.step_seq,
			'error', CASE WHEN p_state <> 'done' THEN p_result -> 'code' END)));
	PERFORM theazo_internal.event_write(e.platform_id, 'inference', CASE WHEN p_state = 'done' THEN 'model_called' ELSE 'model_call_failed' END,
		jsonb_strip_nulls(jsonb_build_object('model', v_entry -> 'model', 'provider', v_entry -> 'shown', 'step', e.step_seq, 'stop', p_result -> 'stop',
			'input', v_usage -> 'input', 'output', v_usage -> 'output', 'error', CASE WHEN p_state <> 'done' THEN p_result -> 'code' END)),
		r.session_id, r.agent_id, r.id, r.environment);
	-- Whoever follows the run looks at its rows now.
	PERFORM theazo_internal.run_moved(r.id);
	IF r.status NOT IN ('queued', 'running') THEN
		-- The run had ended without it; what it cost is still the run's.
		PERFORM theazo_internal.loop_save(l);
		UPDATE theazo_data.run x SET cost = x.cost + v_cost WHERE x.platform_id = r.platform_id AND x.id = r.id AND v_cost > 0;
		PERFORM theazo_internal.budget_release(r.platform_id, r.id);
		RETURN;
	END IF;
	CASE p_state
		WHEN 'done' THEN
			PERFORM theazo_internal.model_health(v_entry, true, NULL);
			PERFORM theazo_internal.model_answered(l, r, e.step_seq, p_result);
		WHEN 'cancelled' THEN
			PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
		WHEN 'unknown' THEN
			PERFORM theazo_internal.model_failed_log(l, r, e, p_result, NULL);
			PERFORM theazo_internal.loop_end(l, r, 'failed', NULL,
				CASE WHEN p_finished >= l.deadline THEN theazo_internal.loop_late(r) ELSE p_result END, true);
		ELSE
			PERFORM theazo_internal.model_refused(l, r, e, p_result);
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'the end of a model call: its money and its step, then what comes next';

-- A count of one attempt on top of those of earlier ones; null where nobody counted.
CREATE OR REPLACE FUNCTION theazo_internal.plus(p_sum bigint, p_count jsonb)
RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$
	SELECT CASE WHEN p_count IS NULL THEN p_sum ELSE coalesce(p_sum, 0) + p_count::bigint END
$$;
COMMENT ON FUNCTION theazo_internal.plus(bigint, jsonb) IS 'adds a count to a sum, either of which may be missing';

-- An attempt failed and the call goes out again: what it cost is booked with it, and its tokens count in the step.
CREATE OR REPLACE FUNCTION theazo_internal.model_attempted(e theazo_data.effect, p_result jsonb, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l		theazo_data.run_loop;
	r		theazo_data.run;
	v_cost	bigint;
	v_usage	jsonb := p_result -> 'usage';
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id;
	v_cost := theazo_internal.model_charge(e, r, l.chain -> l.at, v_usage, coalesce(p_finished, clock_timestamp()));
	UPDATE theazo_data.run_loop x SET spent = x.spent + v_cost WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	UPDATE theazo_data.step x
	   SET cost = x.cost + v_cost, input_tokens = theazo_internal.plus(x.input_tokens, v_usage -> 'input'),
		   cache_read_tokens = theazo_internal.plus(x.cache_read_tokens, v_usage -> 'cache_read'),
		   cache_write_tokens = theazo_internal.plus(theazo_internal.plus(x.cache_write_tokens, v_usage -> 'cache_write_5m'), v_usage -> 'cache_write_1h'),
		   output_tokens = theazo_internal.plus(x.output_tokens, v_usage -> 'output'),
		   reasoning_tokens = theazo_internal.plus(x.reasoning_tokens, v_usage -> 'reasoning'),
		   estimated = x.estimated OR coalesce((v_usage ->> 'estimated')::boolean, false)
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_attempted(theazo_data.effect, jsonb, timestamptz) IS
'books what an attempt of a model call used that goes out again';

-- What a call failed of, for whoever looks into it. p_next: the entry of the chain that is asked instead.
CREATE OR REPLACE FUNCTION theazo_internal.model_failed_log(
	l theazo_data.run_loop, r theazo_data.run, e theazo_data.effect, p_result jsonb, p_next jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.log_write(l.platform_id, l.root_id, 'warn', 'model',
		CASE WHEN p_next IS NULL THEN format('%s failed: %s', l.chain -> l.at ->> 'model', coalesce(p_result ->> 'message', 'no reason was given'))
			 ELSE format('%s: falling back to %s at %s', coalesce(p_result ->> 'message', 'failed'), p_next ->> 'model', p_next ->> 'shown') END,
		r.environment, r.session_id, r.agent_id, r.id, r.user_id, coalesce(p_next, l.chain -> l.at) ->> 'shown', r.trace_id,
		jsonb_strip_nulls(jsonb_build_object('status', p_result -> 'http_status', 'attempt', nullif(e.attempt, 0), 'detail', p_result -> 'detail',
			'requestId', p_result -> 'request_id')));
END
$$;
COMMENT ON FUNCTION theazo_internal.model_failed_log(theazo_data.run_loop, theazo_data.run, theazo_data.effect, jsonb, jsonb) IS
'logs a model call that failed, with what its provider said';

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
	IF p_result ->> 'sqlstate' = 'TZ202' THEN
		-- Never sent, and no provider makes it cheaper.
		PERFORM theazo_internal.loop_end(l, r, CASE WHEN r.cancel_requested THEN 'cancelled' ELSE 'failed' END, NULL, p_result);
		RETURN;
	END IF;
	IF p_result ->> 'code' = 'guardrail_blocked' THEN
		-- Cut while it came: no other provider's fault, and none is asked instead.
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, theazo_internal.safety_cut(r));
		RETURN;
	END IF;
	IF (p_result ->> 'pause_ms')::bigint > 0 THEN
		PERFORM theazo_internal.model_pause(l.chain -> l.at, (p_result ->> 'pause_ms')::bigint, v_class);
	END IF;
	-- What was never sent says nothing about a provider, and what is refused for its content shows that it is well. So does one that
	-- has too many calls and says when it takes more.
	IF e.attempt > 0 AND NOT (v_late AND p_result ->> 'code' = 'timeout') AND NOT (v_class = 'rate' AND p_result ? 'pause_ms') THEN
		PERFORM theazo_internal.model_health(l.chain -> l.at, v_class IN ('caller', 'policy', 'too_long'), v_class);
	END IF;
	IF r.cancel_requested THEN
		PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
	ELSIF v_late THEN
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, theazo_internal.loop_late(r));
	-- No use in one that rests for longer than this run may take.
	ELSIF v_next IS NOT NULL AND coalesce(theazo_internal.model_rests(l.chain -> theazo_internal.model_pick(l.chain, v_next, l.deadline)) < l.deadline, true) THEN
		l.at := v_next;
		PERFORM theazo_internal.loop_save(l);
		PERFORM theazo_internal.model_failed_log(l, r, e, p_result, l.chain -> l.at);
		PERFORM theazo_internal.loop_send(l, r, e.step_seq, 1 + (SELECT s.attempts FROM theazo_data.step s
			WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.seq = e.step_seq));
	ELSE
		PERFORM theazo_internal.model_failed_log(l, r, e, p_result, NULL);
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
	v_said	record;
BEGIN
	v_said := theazo_internal.safety_said(l, r, v_text);
	-- People see it in the steps; the model is given its own words again.
	PERFORM theazo_internal.step_payload_append(l.platform_id, l.root_id, p_seq, NULL, coalesce(v_said.shown, ''),
		jsonb_strip_nulls(jsonb_build_object('usage', p_result -> 'usage_raw', 'rate', p_result -> 'rate', 'model', p_result -> 'model',
			'providerCost', p_result -> 'usage' -> 'provider_cost_usd')));
	IF v_said.error IS NOT NULL THEN
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, v_said.error);
		RETURN;
	END IF;
	IF v_stop IN ('refusal', 'content_filter') THEN
		-- Asking again unchanged would be refused again; what it had begun to say is dropped. Its reason is its own words, too.
		v_said := theazo_internal.safety_said(l, r, coalesce(p_result -> 'refusal' ->> 'explanation', ''));
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_strip_nulls(jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ401',
			'message', concat_ws(': ', 'the model refused to answer', nullif(left(v_said.shown, 500), '')),
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
	PERFORM theazo_internal.loop_deliver(l, r, v_text);
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

-- Without the reason nobody knows what to change.
CREATE OR REPLACE FUNCTION theazo_internal.answer_wrong(p_why text, p_hint text)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$
	SELECT pg_catalog.jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ404',
		'message', 'the model''s answer does not fit the schema: ' || pg_catalog."left"(p_why, 500), 'hint', p_hint)
$$;
COMMENT ON FUNCTION theazo_internal.answer_wrong(text, text) IS 'what a run fails with whose answer does not fit the schema that was asked for';

-- An answer that does not fit its schema is sent back, twice at most.
CREATE OR REPLACE FUNCTION theazo_internal.loop_correct(l theazo_data.run_loop, r theazo_data.run, p_why text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	l.corrections := l.corrections + 1;
	IF l.corrections >= 3 THEN
		-- it may name what the answer was made of
		p_why := coalesce((theazo_internal.safety_said(l, r, p_why)).shown, 'it is withheld');
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, theazo_internal.answer_wrong(p_why,
			'Simplify the schema, or use a model that supports structured output.'));
		RETURN;
	END IF;
	l := theazo_internal.message_add(l, 'user', jsonb_build_object('role', 'user', 'text',
		format('Your answer does not fit the required JSON schema: %s. Answer again with JSON that does, and nothing else.', p_why)));
	PERFORM theazo_internal.loop_call(l, r);
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_correct(theazo_data.run_loop, theazo_data.run, text) IS
'sends an answer back that does not fit its schema; ends the run at the third';
