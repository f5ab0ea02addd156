-- script.sql: what came of an agent's code: outcome, output, logs, trail, price.

-- The program of an execution: of the version that held when it was started.
CREATE OR REPLACE FUNCTION theazo_internal.script_code(p_platform text, p_agent text, p_request jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object('code', coalesce((SELECT v.entry_code FROM theazo_data.governed_version v
		WHERE v.platform_id = p_platform AND v.agent_id = p_agent AND v.revision = (p_request ->> 'revision')::integer), ''));
END $$;
COMMENT ON FUNCTION theazo_internal.script_code(text, text, jsonb) IS 'the code of an execution, as its dispatcher is given it';

-- What an execution costs: the seconds it began, at the price of a managed sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.script_charge(e theazo_data.effect, r theazo_data.run, p_started timestamptz, p_finished timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	v_seconds bigint := greatest(1, ceil(extract(epoch FROM p_finished - p_started)))::bigint;
	v_amount bigint := theazo_internal.amount_round(theazo_internal.price_at(e.platform_id, 'compute.hour', p_started) * v_seconds / 3600);
BEGIN
	-- An effect settles once, under its lock, so the row is new.
	PERFORM theazo_internal.charge_append(e.platform_id, e.root_id, theazo_internal.id_derive('chg', e.root_id, e.id || '|script'), r.environment,
		r.session_id, r.agent_id, r.id, r.user_id, e.id, 'compute.second', v_seconds, v_amount, 'theazo', 'theazo', NULL, NULL, NULL, NULL,
		false, p_started, p_finished, p_finished, NULL);
	RETURN v_amount;
END $$;
COMMENT ON FUNCTION theazo_internal.script_charge(theazo_data.effect, theazo_data.run, timestamptz, timestamptz) IS
'books the seconds that code ran and returns their price';

-- What was cut where the code ran is masked here, and its end goes, where a key may have been cut with it.
CREATE OR REPLACE FUNCTION theazo_internal.script_text(p_text text, p_cut jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_text text := theazo_internal.text_mask(coalesce(p_text, ''));
BEGIN
	RETURN CASE WHEN p_cut = 'true' THEN pg_catalog."left"(v_text, -64) ELSE v_text END;
END $$;
COMMENT ON FUNCTION theazo_internal.script_text(text, jsonb) IS 'a text of code''s as it is kept: masked, and without its end where it was cut before';

-- Logs as they are kept: masked, each with level and time; a text that the content filter stops is withheld.
CREATE OR REPLACE FUNCTION theazo_internal.script_logs(x theazo_data.execution, r theazo_data.run, p_logs jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_logs		jsonb;
	v_text		text;
	v_verdict	jsonb;
BEGIN
	IF coalesce(pg_catalog.jsonb_typeof(p_logs), '') <> 'array' OR p_logs = '[]' THEN
		RETURN '[]';
	END IF;
	SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('level', CASE WHEN l.it ->> 'level' IN ('debug', 'info', 'warn', 'error') THEN l.it ->> 'level' ELSE 'info' END,
				'message', theazo_internal.script_text(l.it ->> 'message', l.it -> 'cut'), 'timestamp', l.it -> 'at') ORDER BY l.ord),
		   pg_catalog.string_agg(l.it ->> 'message', E'\n' ORDER BY l.ord)
	  INTO v_logs, v_text
	  FROM pg_catalog.jsonb_array_elements(p_logs) WITH ORDINALITY AS l (it, ord);
	IF theazo_internal.guardrails_on(x.policy -> 'guardrails') THEN
		v_verdict := theazo_internal.safety_judge(x.platform_id, x.policy -> 'guardrails', 'output', v_text);
		IF theazo_internal.safety_stops(v_verdict) THEN
			PERFORM theazo_internal.safety_note(r, 'the log', v_verdict);
			v_logs := (SELECT pg_catalog.jsonb_agg(l.it || '{"message": "[withheld]"}' ORDER BY l.ord) FROM pg_catalog.jsonb_array_elements(v_logs) WITH ORDINALITY AS l (it, ord));
		ELSIF v_verdict ->> 'status' = 'redacted' THEN
			v_logs := (SELECT pg_catalog.jsonb_agg(l.it || pg_catalog.jsonb_build_object('message', theazo_internal.safety_redact(l.it ->> 'message')) ORDER BY l.ord)
						 FROM pg_catalog.jsonb_array_elements(v_logs) WITH ORDINALITY AS l (it, ord));
		END IF;
	END IF;
	PERFORM theazo_internal.event_write(r.platform_id, 'execution', 'log', pg_catalog.jsonb_build_object('level', l.it -> 'level',
			'message', theazo_internal.excerpt(l.it ->> 'message')), r.session_id, r.agent_id, r.id, r.environment)
	   FROM pg_catalog.jsonb_array_elements(v_logs) WITH ORDINALITY AS l (it, ord);
	RETURN v_logs;
END $$;
COMMENT ON FUNCTION theazo_internal.script_logs(theazo_data.execution, theazo_data.run, jsonb) IS 'logs of code as they are kept, each with its event';

-- A piece of what code wrote, for the audit: masked, and like the output itself where the content filter has a say.
CREATE OR REPLACE FUNCTION theazo_internal.script_shown(x theazo_data.execution, p_text text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	-- more than is shown, so that what is cut is known for what it was
	v_text		text := nullif(theazo_internal.mask_left(p_text, 1000), '');
	v_verdict	jsonb;
BEGIN
	IF v_text IS NOT NULL AND theazo_internal.guardrails_on(x.policy -> 'guardrails') THEN
		v_verdict := theazo_internal.safety_judge(x.platform_id, x.policy -> 'guardrails', 'output', v_text);
		v_text := CASE WHEN theazo_internal.safety_stops(v_verdict) THEN '[withheld]'
					   WHEN v_verdict ->> 'status' = 'redacted' THEN theazo_internal.safety_redact(v_text) ELSE v_text END;
	END IF;
	RETURN pg_catalog."left"(v_text, 200);
END $$;
COMMENT ON FUNCTION theazo_internal.script_shown(theazo_data.execution, text) IS 'a piece of what code wrote as the audit may show it';

-- Calls that were answered on the spot, and what was written last, as the audit may show them.
CREATE OR REPLACE FUNCTION theazo_internal.script_local(x theazo_data.execution, p_result jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	-- mostly there are none
	IF coalesce(p_result -> 'host_calls_local', '[]') = '[]' THEN
		RETURN pg_catalog.jsonb_build_object('written_summary', theazo_internal.script_shown(x, (p_result -> 'written')::text), 'host_calls_local', '[]'::jsonb);
	END IF;
	RETURN pg_catalog.jsonb_build_object('written_summary', theazo_internal.script_shown(x, (p_result -> 'written')::text),
		'host_calls_local', (SELECT coalesce(pg_catalog.jsonb_agg((l.it - 'cut') || pg_catalog.jsonb_build_object('args_summary',
				coalesce(theazo_internal.script_shown(x, theazo_internal.script_text(l.it ->> 'args_summary', l.it -> 'cut')), '')) ORDER BY l.ord), '[]')
			  FROM pg_catalog.jsonb_array_elements(CASE WHEN pg_catalog.jsonb_typeof(p_result -> 'host_calls_local') = 'array'
					THEN p_result -> 'host_calls_local' ELSE '[]' END) WITH ORDINALITY AS l (it, ord)));
END $$;
COMMENT ON FUNCTION theazo_internal.script_local(theazo_data.execution, jsonb) IS 'members of an outcome that the audit shows, masked and judged';

-- The output as it may be delivered, with the verdict that lets it out; error: it may not.
CREATE OR REPLACE FUNCTION theazo_internal.script_output(
	x theazo_data.execution, r theazo_data.run, p_output jsonb, OUT output jsonb, OUT verdict text, OUT error jsonb)
LANGUAGE plpgsql AS $$
DECLARE
	v_verdict	jsonb := '{"stage": "output", "status": "skipped", "reason": "the guardrails ask for nothing here"}';
BEGIN
	output := p_output;
	IF theazo_internal.guardrails_on(x.policy -> 'guardrails') THEN
		v_verdict := theazo_internal.safety_judge(x.platform_id, x.policy -> 'guardrails', 'output', theazo_internal.json_text(p_output))
			|| '{"stage": "output"}';
		IF v_verdict ->> 'status' = 'redacted' THEN
			BEGIN
				output := theazo_internal.json_redacted(p_output);
			EXCEPTION WHEN OTHERS THEN
				v_verdict := v_verdict || pg_catalog.jsonb_build_object('status', 'error', 'rule', 'filter_failed', 'reason', SQLERRM);
			END;
		END IF;
	END IF;
	IF theazo_internal.safety_stops(v_verdict) THEN
		output := NULL;
		error := theazo_internal.safety_error('the output', v_verdict);
	END IF;
	verdict := theazo_internal.safety_note(r, 'the output', v_verdict || CASE WHEN output IS NULL THEN '{}' ELSE
		pg_catalog.jsonb_build_object('delivered', theazo_internal.text_hash(output::text)) END);
END $$;
COMMENT ON FUNCTION theazo_internal.script_output(theazo_data.execution, theazo_data.run, jsonb) IS 'the output of code as it may be delivered, or why it may not';

-- Each string by itself, so that what comes out is the same document.
CREATE OR REPLACE FUNCTION theazo_internal.json_redacted(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE pg_catalog.jsonb_typeof(p_doc)
		WHEN 'string' THEN pg_catalog.to_jsonb(theazo_internal.safety_redact(p_doc #>> '{}'))
		WHEN 'array' THEN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.json_redacted(e.it) ORDER BY e.ord), '[]')
							 FROM pg_catalog.jsonb_array_elements(p_doc) WITH ORDINALITY AS e (it, ord))
		WHEN 'object' THEN (SELECT coalesce(pg_catalog.jsonb_object_agg(theazo_internal.safety_redact(e.key), theazo_internal.json_redacted(e.value)), '{}')
							  FROM pg_catalog.jsonb_each(p_doc) e)
		ELSE p_doc END;
END $$;
COMMENT ON FUNCTION theazo_internal.json_redacted(jsonb) IS 'a document with [REDACTED] in place of personal data';

-- Done: the outcome document; cancelled: the same with what cut it; failed and unknown: why there is none.
CREATE OR REPLACE FUNCTION theazo_internal.script_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	r			theazo_data.run;
	x			theazo_data.execution;
	o			record;
	v_doc		jsonb := '{}';
	v_error		jsonb;
	v_cost		bigint := 0;
	v_ran		boolean := p_state = 'done' OR p_result ? 'usage';
	-- cut while it waited for a place: there is a document, and nothing to pay
	v_begun		boolean := v_ran AND coalesce((p_result ->> 'begun')::boolean, true);
	v_started	timestamptz := CASE WHEN v_begun THEN coalesce(p_started, e.claimed_at, p_finished) END;
	v_verdict	text;
BEGIN
	-- Of no execution: whoever queued it looks there.
	IF e.run_id IS NULL THEN
		UPDATE theazo_data.effect_payload y SET result = p_result
		 WHERE y.platform_id = e.platform_id AND y.root_id = e.root_id AND y.id = e.id;
		RETURN;
	END IF;
	r := theazo_internal.run_read(e.platform_id, e.run_id);
	x := theazo_internal.execution_read(e.platform_id, r.execution);
	IF v_begun THEN
		v_cost := theazo_internal.script_charge(e, r, v_started, p_finished);
	END IF;
	IF x.number IS NULL THEN
		PERFORM theazo_internal.governed_sweep(e.platform_id, e.root_id, e.agent_id);
	END IF;
	IF r.status NOT IN ('queued', 'running') THEN
		RETURN;
	ELSIF x.number IS NULL THEN
		-- deleted while it ran: nothing of it is kept, and its run ends all the same
		UPDATE theazo_data.run_payload p SET input = '{}' WHERE p.platform_id = e.platform_id AND p.root_id = e.root_id;
		PERFORM theazo_internal.run_finish(e.platform_id, e.run_id, 'cancelled', NULL, NULL,
			'{"code": "cancelled", "message": "the agent was deleted"}', v_cost, v_started, p_finished, p_state = 'unknown');
		RETURN;
	END IF;
	IF v_ran THEN
		p_result := p_result || theazo_internal.script_local(x, p_result);
		v_doc := pg_catalog.jsonb_build_object('logs', theazo_internal.script_logs(x, r, p_result -> 'logs'), 'usage', p_result -> 'usage',
				-- those too that were refused, or cut short, without being written down one by one
				'host_calls', coalesce((p_result ->> 'log_calls')::integer, 0) + coalesce((p_result ->> 'host_calls')::integer, 0),
				'calls_refused', nullif((p_result ->> 'calls_refused')::integer, 0), 'host_calls_local', p_result -> 'host_calls_local', 'isolation', p_result -> 'isolation',
				'helper_sha256', p_result -> 'helper_sha256', 'engine', p_result -> 'engine', 'engine_version', p_result -> 'engine_version',
				'logs_dropped', p_result -> 'logs_dropped', 'fault', p_result -> 'fault');
		v_doc := pg_catalog.jsonb_strip_nulls(v_doc);
		PERFORM theazo_internal.event_write(r.platform_id, 'data', 'result_written', pg_catalog.jsonb_build_object(
				'output', p_result -> 'written_summary'), r.session_id, r.agent_id, r.id, r.environment)
		  WHERE p_result ? 'written';
	END IF;
	IF p_state = 'done' AND p_result ->> 'status' = 'completed' THEN
		o := theazo_internal.script_output(x, r, CASE WHEN (p_result ->> 'returned')::boolean THEN p_result -> 'output' ELSE p_result -> 'written' END);
		v_error := o.error;
		v_verdict := o.verdict;
		v_doc := v_doc || pg_catalog.jsonb_build_object('output', o.output, 'output_sha256', theazo_internal.text_hash(coalesce(o.output, 'null')::text));
		IF v_error IS NOT NULL THEN
			v_doc := v_doc || '{"code": "CONTENT_BLOCKED"}';
		END IF;
	ELSIF v_ran THEN
		v_error := theazo_internal.script_error(p_result -> 'error', p_state, r);
		v_doc := v_doc || pg_catalog.jsonb_build_object('code', v_error -> 'script_code');
		IF v_error ->> 'script_code' IN ('TIME_LIMIT', 'MEMORY_LIMIT') OR p_result ? 'fault' AND p_result -> 'fault' <> 'null' THEN
			PERFORM theazo_internal.event_write(r.platform_id, 'limit', CASE WHEN v_error ->> 'script_code' = 'EXECUTION_ERROR' THEN 'sandbox_fault' ELSE 'sandbox_limit_hit' END,
				pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('code', v_error -> 'script_code', 'message', v_error -> 'message', 'fault', p_result -> 'fault',
					'memoryMb', x.policy #> '{run,memory_mb}', 'timeMs', x.policy #> '{run,time_ms}')),
				r.session_id, r.agent_id, r.id, r.environment, 'deny', pg_catalog.lower(v_error ->> 'script_code'), true);
		END IF;
		v_verdict := theazo_internal.safety_note(r, 'the result', '{"stage": "output", "status": "skipped", "reason": "nothing came out"}');
	ELSE
		v_error := coalesce(p_result, '{}');
	END IF;
	PERFORM theazo_internal.run_finish(e.platform_id, e.run_id,
		CASE WHEN p_state = 'cancelled' THEN 'cancelled' WHEN v_error IS NULL THEN 'completed' ELSE 'failed' END,
		CASE WHEN v_ran THEN v_doc END, NULL, v_error, v_cost, v_started, p_finished, p_state = 'unknown', coalesce(v_verdict, 'none'));
END
$$;
COMMENT ON FUNCTION theazo_internal.script_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'what the end of an agent''s code means for its execution';

-- Messages and stacks are the code's own words: masked, and bounded by run_finish.
CREATE OR REPLACE FUNCTION theazo_internal.script_error(p_error jsonb, p_state text, r theazo_data.run)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_code	text := CASE WHEN p_error ->> 'code' IN ('TIME_LIMIT', 'MEMORY_LIMIT') THEN p_error ->> 'code' ELSE 'EXECUTION_ERROR' END;
BEGIN
	IF p_state = 'cancelled' THEN
		RETURN '{"script_code": "CANCELLED", "code": "cancelled", "message": "cancelled"}';
	END IF;
	RETURN pg_catalog.jsonb_build_object('script_code', v_code, 'code', CASE v_code WHEN 'TIME_LIMIT' THEN 'timeout' ELSE 'execution_error' END,
		'sqlstate', CASE v_code WHEN 'TIME_LIMIT' THEN 'TZ403' ELSE 'TZ401' END,
		'message', CASE WHEN v_code = 'EXECUTION_ERROR' AND p_error ->> 'name' IS NOT NULL
						THEN pg_catalog.concat_ws(': ', p_error ->> 'name', nullif(p_error ->> 'message', ''))
						ELSE coalesce(nullif(p_error ->> 'message', ''), 'the code failed') END,
		'hint', CASE v_code WHEN 'TIME_LIMIT' THEN 'Give it more time: config.cpu_time_limit_ms.' WHEN 'MEMORY_LIMIT' THEN 'Give it more memory: config.memory_limit_mb.'
			ELSE theazo_internal.mask_left(p_error ->> 'stack', 900) END);
END $$;
COMMENT ON FUNCTION theazo_internal.script_error(jsonb, text, theazo_data.run) IS 'the error of an execution as its run has it, and the code that people are shown';

-- A run that is an execution has ended: whatever ended it passes here, once. p_event: of its end.
CREATE OR REPLACE FUNCTION theazo_internal.execution_close(r theazo_data.run, p_result jsonb, p_event text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	x			theazo_data.execution;
	v_code		text;
	v_calls		record;
BEGIN
	IF r.execution IS NULL THEN
		RETURN;
	END IF;
	v_code := CASE WHEN r.status = 'completed' THEN NULL
				   WHEN r.error_sqlstate = 'TZ203' THEN CASE WHEN r.error_message OPERATOR(pg_catalog.~) '^(agent|session|run) ' THEN 'AGENT_HALTED' ELSE 'GLOBAL_HALT' END
				   WHEN r.error_sqlstate = 'TZ205' THEN 'CONTENT_BLOCKED'
				   WHEN r.error_sqlstate = 'TZ403' THEN 'TIME_LIMIT'
				   ELSE coalesce(p_result ->> 'code', CASE r.status WHEN 'cancelled' THEN 'CANCELLED' END, pg_catalog.upper(r.error_code), 'EXECUTION_ERROR') END;
	v_calls := theazo_internal.host_tally(r.platform_id, theazo_internal.id_root(r.id));
	IF r.kind = 'agent' THEN
		x := theazo_internal.execution_read(r.platform_id, r.execution);
		v_calls.counted := theazo_internal.execution_steps(r);
		v_calls.made := v_calls.counted;
		x.evidence := theazo_internal.attestation_evidence(x);
	ELSE
		v_calls.made := greatest(v_calls.made, coalesce((p_result ->> 'host_calls')::integer, 0));
	END IF;
	IF theazo_internal.execution_end(r.platform_id, r.execution,
			CASE WHEN r.status = 'completed' THEN 'completed' WHEN v_code = 'CONTENT_BLOCKED' THEN 'blocked'
				 WHEN r.status = 'cancelled' OR v_code IN ('TIME_LIMIT', 'MEMORY_LIMIT', 'AGENT_HALTED', 'GLOBAL_HALT') THEN 'terminated' ELSE 'failed' END,
			v_code, CASE WHEN v_code IS NOT NULL THEN coalesce(r.error_message, 'the execution was cut') END, r.started_at, r.ended_at,
			(p_result #>> '{usage,cpu_ms}')::pg_catalog."numeric", (p_result #>> '{usage,memory_mb}')::pg_catalog."numeric",
			v_calls.counted, v_calls.made,
			v_calls.violations + coalesce((p_result ->> 'calls_refused')::integer, 0) + coalesce(v_code IN ('TIME_LIMIT', 'MEMORY_LIMIT', 'CONTENT_BLOCKED') OR p_result ? 'fault', false)::integer,
			r.status = 'cancelled' OR coalesce(v_code IN ('TIME_LIMIT', 'MEMORY_LIMIT', 'AGENT_HALTED', 'GLOBAL_HALT'), false), x.evidence, p_event) THEN
		PERFORM theazo_internal.execution_counted(r.platform_id, r.agent_id, r.ended_at);
	ELSIF (theazo_internal.execution_read(r.platform_id, r.execution)).number IS NULL THEN
		-- deleted while it ran
		PERFORM theazo_internal.run_wipe(r.platform_id, ARRAY[theazo_internal.id_root(r.id)]);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.execution_close(theazo_data.run, jsonb, text) IS 'what became of an execution, when its run has ended';

-- In task mode the calls of tools are what code's calls of its host are.
CREATE OR REPLACE FUNCTION theazo_internal.execution_steps(r theazo_data.run)
RETURNS integer LANGUAGE sql STABLE
AS $$
	SELECT pg_catalog.count(*)::integer FROM theazo_data.step s
	 WHERE s.platform_id = r.platform_id AND s.root_id = theazo_internal.id_root(r.id) AND s.kind = 'tool'
$$;
COMMENT ON FUNCTION theazo_internal.execution_steps(theazo_data.run) IS 'calls of tools that a run has made';
