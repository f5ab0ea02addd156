-- loop_tool.sql: the tool calls of an answer, from their beginning to the message that takes them back.

-- All calls of one answer begin at once; some are answered at once.
CREATE OR REPLACE FUNCTION theazo_internal.loop_tools(l theazo_data.run_loop, r theazo_data.run, p_calls jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	c			jsonb;
	t			record;
	d			record;
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
			SELECT 'error: at most 128 tools can be called at once' AS output, true AS failed, NULL::text AS effect_id, NULL::text AS approval_id, false AS judged INTO t;
		ELSIF c ? 'arguments_error' THEN
			SELECT 'error: the arguments are no JSON: ' || left(c ->> 'arguments_error', 200) AS output, true AS failed, NULL::text AS effect_id, NULL::text AS approval_id, false AS judged INTO t;
		ELSE
			t := theazo_internal.tool_begin(l, r, l.last_seq, c ->> 'name', coalesce(nullif(c -> 'arguments', 'null'), '{}'), false);
			IF t.output IS NOT NULL AND NOT t.failed THEN
				t.output := (theazo_internal.safety_result(l, r, c ->> 'name', t.output)).shown;
			END IF;
		END IF;
		IF t.failed THEN
			d := theazo_internal.safety_called(l, r, c, t.output);
			t.output := d.output;
		ELSE
			SELECT coalesce(c ->> 'name', '') AS name,
				CASE WHEN t.judged THEN to_jsonb('[held back until it is judged]'::text) ELSE c -> 'arguments' END AS input INTO d;
		END IF;
		PERFORM theazo_internal.step_append(l.platform_id, l.root_id, l.last_seq, l.model_calls, 'tool',
			CASE WHEN t.judged THEN 'waiting' WHEN t.effect_id IS NOT NULL THEN 'queued' WHEN t.approval_id IS NOT NULL THEN 'waiting' WHEN t.failed THEN 'failed' ELSE 'done' END,
			d.name, c ->> 'id', t.effect_id, NULL, NULL, clock_timestamp(),
			CASE WHEN t.effect_id IS NULL AND t.approval_id IS NULL THEN clock_timestamp() END,
			CASE WHEN t.effect_id IS NULL AND t.approval_id IS NULL THEN v_n - l.open_tools END,
			CASE WHEN t.failed THEN 'tool_failed' END);
		PERFORM theazo_internal.step_payload_append(l.platform_id, l.root_id, l.last_seq,
			d.input, theazo_internal.tool_bound(t.output));
		-- An event stays for ever. Of an address never path or query: they carry keys more often than they should.
		PERFORM theazo_internal.event_write(l.platform_id, 'execution', 'tool_called',
			jsonb_build_object('tool', left(d.name, 128), 'step', l.last_seq,
				'input', CASE WHEN d.name = 'http_fetch' AND jsonb_typeof(d.input) = 'object'
							  THEN concat_ws(' ', upper(left(coalesce(d.input ->> 'method', 'GET'), 10)), theazo_internal.url_host(d.input ->> 'url'))
							  ELSE theazo_internal.excerpt(CASE jsonb_typeof(d.input) WHEN 'string' THEN d.input #>> '{}' ELSE d.input::text END) END),
			r.session_id, r.agent_id, r.id, r.environment);
		IF t.approval_id IS NOT NULL THEN
			UPDATE theazo_data.step x SET approval_id = t.approval_id
			 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id AND x.seq = l.last_seq;
			l.open_tools := l.open_tools + 1;
		ELSIF t.effect_id IS NOT NULL THEN
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
	d	record;
	v_end	jsonb;
BEGIN
	SELECT * INTO s FROM theazo_data.step x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
	IF s.state IS DISTINCT FROM 'queued' THEN
		RETURN;
	END IF;
	t := theazo_internal.tool_answer(s.name, e.kind, p_state, p_result, p_content);
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id;
	PERFORM theazo_internal.span_write(e.platform_id, e.root_id, theazo_internal.id_new('spn'), r.trace_id, r.trace_id, r.environment,
		r.session_id, r.agent_id, r.id, 'tool', CASE WHEN p_state = 'done' AND NOT t.failed THEN 'completed' ELSE 'failed' END,
		coalesce(p_started, p_finished), p_finished, jsonb_build_object('tool', s.name, 'step', e.step_seq));
	v_end := jsonb_build_object('state', CASE WHEN p_state IN ('cancelled', 'unknown') THEN p_state WHEN t.failed THEN 'failed' ELSE 'done' END,
		'started', p_started, 'finished', p_finished, 'code', CASE WHEN p_state <> 'done' THEN p_result ->> 'code' WHEN t.failed THEN 'tool_failed' END,
		'message', CASE WHEN p_state <> 'done' THEN p_result ->> 'message' END);
	IF e.kind = 'compute.exec' AND jsonb_array_length(p_result -> 'artifacts') > 0 THEN
		UPDATE theazo_data.step_payload x SET raw = jsonb_build_object('artifacts', p_result -> 'artifacts')
		 WHERE x.platform_id = s.platform_id AND x.root_id = s.root_id AND x.seq = s.seq;
	END IF;
	-- What a handler says when it fails is from outside as well.
	IF p_state <> 'cancelled' THEN
		l := theazo_internal.tool_read(l, r, s, e.kind, t.output, p_result -> 'labels');
		IF s.name = 'web_search' AND NOT t.failed THEN
			t.output := theazo_internal.guardrails_results(r, theazo_internal.safety_guard(l), t.output);
		END IF;
		d := theazo_internal.safety_result(l, r, s.name, t.output, s.seq, v_end);
		IF d.asked IS NOT NULL THEN
			-- The call is over, but the model is not told before the answer was judged.
			UPDATE theazo_data.step x SET state = 'waiting' WHERE x.platform_id = s.platform_id AND x.root_id = s.root_id AND x.seq = s.seq;
			RETURN;
		END IF;
		t.output := d.shown;
	END IF;
	PERFORM theazo_internal.tool_over(l, r, s, v_end, t.output);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_settle(theazo_data.effect, text, jsonb, bytea, timestamptz, timestamptz) IS
'the end of a tool call that went out; with the last one the model is called again';

-- p_end: state, started, finished, code, message, as tool_end() takes them.
CREATE OR REPLACE FUNCTION theazo_internal.tool_over(l theazo_data.run_loop, r theazo_data.run, s theazo_data.step, p_end jsonb, p_output text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.tool_end(l, r, s, p_end ->> 'state', p_output, (p_end ->> 'started')::timestamptz, (p_end ->> 'finished')::timestamptz,
		p_end ->> 'code', p_end ->> 'message');
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_over(theazo_data.run_loop, theazo_data.run, theazo_data.step, jsonb, text) IS
'stores the answer of a tool call that was judged, with what is known of its end';

-- What a call has read marks the run from now on.
CREATE OR REPLACE FUNCTION theazo_internal.tool_read(
	INOUT l theazo_data.run_loop, r theazo_data.run, s theazo_data.step, p_kind text, p_output text, p_noted jsonb)
LANGUAGE plpgsql
AS $$
DECLARE
	v_more	text[];
BEGIN
	IF NOT theazo_internal.flow_known(l.platform_id) THEN
		RETURN;
	END IF;
	v_more := theazo_internal.flow_read(l, r, p_kind, s.name, (SELECT x.input FROM theazo_data.step_payload x
		WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id AND x.seq = s.seq), p_output);
	-- what a function of the database says that it has read
	IF jsonb_typeof(p_noted) = 'array' THEN
		v_more := v_more || ARRAY(SELECT jsonb_array_elements_text(p_noted));
	END IF;
	IF NOT v_more <@ l.labels THEN
		UPDATE theazo_data.run_loop x SET labels = ARRAY(SELECT DISTINCT u FROM unnest(x.labels || v_more) u ORDER BY u)
		 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id RETURNING x.* INTO l;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_read(theazo_data.run_loop, theazo_data.run, theazo_data.step, text, text, jsonb) IS
'adds the labels of what a tool call has read to its run';

-- A call that was open has its answer. With the last one the model is called again.
CREATE OR REPLACE FUNCTION theazo_internal.tool_end(
	INOUT l theazo_data.run_loop, r theazo_data.run, s theazo_data.step, p_state text, p_output text, p_started timestamptz, p_finished timestamptz,
	p_code text, p_message text)
LANGUAGE plpgsql
AS $$
DECLARE
	v_waiting	integer;
BEGIN
	UPDATE theazo_data.step x
	   SET state = p_state, started_at = coalesce(p_started, x.started_at), ended_at = p_finished,
		   ended_no = (SELECT count(y.ended_no) + 1 FROM theazo_data.step y
						WHERE y.platform_id = s.platform_id AND y.root_id = s.root_id AND y.round = s.round AND y.kind = 'tool'),
		   error_code = p_code, error_message = left(theazo_internal.text_mask(p_message), 1000)
	 WHERE x.platform_id = s.platform_id AND x.root_id = s.root_id AND x.seq = s.seq;
	UPDATE theazo_data.step_payload x SET output = theazo_internal.tool_bound(p_output)
	 WHERE x.platform_id = s.platform_id AND x.root_id = s.root_id AND x.seq = s.seq;
	UPDATE theazo_data.run_loop x SET open_tools = x.open_tools - 1
	 WHERE x.platform_id = s.platform_id AND x.root_id = s.root_id RETURNING x.* INTO l;
	PERFORM theazo_internal.run_moved(r.id);
	IF r.status NOT IN ('queued', 'running') THEN
		RETURN;
	ELSIF l.open_tools = 0 THEN
		PERFORM theazo_internal.loop_tools_done(l, r, NULL, true);
	ELSIF r.cancel_requested THEN
		-- Nobody needs to answer any more what only waits for a human.
		SELECT count(*) INTO v_waiting FROM theazo_data.step x
		 WHERE x.platform_id = s.platform_id AND x.root_id = s.root_id AND x.state = 'waiting';
		IF v_waiting = l.open_tools THEN
			PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_end(theazo_data.run_loop, theazo_data.run, theazo_data.step, text, text, timestamptz, timestamptz, text, text) IS
'stores the answer of a tool call; with the last one of its round the model is called again';

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
