-- safety_ai.sql: what only a model can judge. A text the rules are in doubt about is shown to somebody else, if anybody is
-- configured, while its run waits at the boundary the text would have passed.
--
--	input		before the first model call		the run has no step yet
--	arguments	before the tool begins			the step waits
--	result		before the model is told		the step waits
--	output		before it is delivered			the run has no open step
--
-- The question is an effect (safety.judge) of the run, with a deadline of its own; what is known of the text stands in its
-- request. Its step is the tool call's, or 0. Whatever comes back but a verdict blocks.

-- ----------------------------------------------------------------------------
-- Who is asked
-- ----------------------------------------------------------------------------
-- No SET, no definer: called from settlements.
CREATE OR REPLACE FUNCTION theazo_internal.safety_ai_of(p_platform text)
RETURNS theazo_data.safety_ai
LANGUAGE sql STABLE
AS $$
	SELECT a.* FROM theazo_data.safety_ai a
	 WHERE a.platform_id IN (p_platform, theazo_internal.operator_platform())
	 ORDER BY a.platform_id <> p_platform LIMIT 1
$$;
COMMENT ON FUNCTION theazo_internal.safety_ai_of(text) IS 'who is asked about texts of a platform: its own judge, else the operator''s';

-- Null for a moderation endpoint, and where the provider is gone.
CREATE OR REPLACE FUNCTION theazo_internal.safety_ai_entry(j theazo_data.safety_ai)
RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_managed	boolean := j.platform_id = theazo_internal.operator_platform();
	v			theazo_data.provider;
BEGIN
	IF j.kind = 'moderation' THEN
		RETURN NULL;
	ELSIF j.provider IS NULL THEN
		RETURN theazo_internal.model_entry('openai-compatible', j.model, 'safety_ai', j.platform_id, v_managed, j.endpoint, '{}', '{}');
	END IF;
	SELECT * INTO v FROM theazo_data.provider x WHERE x.platform_id = j.platform_id AND x.kind = 'model' AND x.name = j.provider;
	RETURN CASE WHEN v.name IS NOT NULL THEN theazo_internal.model_entry(v.type, j.model, v.name, j.platform_id, v_managed, v.endpoint, v.config) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_ai_entry(theazo_data.safety_ai) IS 'the model that is asked, as an entry of a chain; null for a moderation endpoint';

-- Where a question goes, as it is when it leaves. Of the operator's judge platforms learn nothing.
CREATE OR REPLACE FUNCTION theazo_internal.safety_ai_endpoint(p_platform text, p_provider text, p_adapter text)
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_managed	boolean := p_provider LIKE 'theazo:%';
	j			theazo_data.safety_ai;
	p			theazo_data.platform;
	v			theazo_data.provider;
	v_preset	text;
	v_adapter	text := 'openai-compatible';
BEGIN
	SELECT * INTO j FROM theazo_data.safety_ai a
	 WHERE a.platform_id = CASE WHEN v_managed THEN theazo_internal.operator_platform() ELSE p_platform END;
	IF NOT FOUND OR (p_adapter = 'moderation') <> (j.kind = 'moderation') THEN
		RETURN NULL;
	END IF;
	SELECT * INTO p FROM theazo_data.platform x WHERE x.platform_id = p_platform;
	v.endpoint := j.endpoint;
	v.credential_ref := j.credential_ref;
	v.config := '{}';
	IF j.provider IS NOT NULL THEN
		SELECT * INTO v FROM theazo_data.provider x WHERE x.platform_id = j.platform_id AND x.kind = 'model' AND x.name = j.provider;
		IF NOT FOUND THEN
			RETURN NULL;
		END IF;
		v_adapter := theazo_internal.model_adapter(v.type, v.endpoint);
	END IF;
	IF j.kind = 'model' AND v_adapter = 'openai-compatible' THEN
		v_preset := theazo_internal.model_preset(v.endpoint, v.config);
	END IF;
	RETURN jsonb_build_object('url', coalesce(v.endpoint, theazo_internal.model_base(v_adapter, v_preset)),
		'config', v.config || CASE WHEN v_preset IS NULL THEN '{}' ELSE jsonb_build_object('preset', v_preset) END,
		'provider', CASE WHEN v_managed THEN 'theazo' ELSE coalesce(j.provider, 'safety_ai') END, 'credential_ref', v.credential_ref,
		'owner', j.platform_id, 'vault', 'platform', 'allow_http', p.allow_http OR v_managed, 'allow_private', p.allow_private OR v_managed);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_ai_endpoint(text, text, text) IS 'address, flags and references of who judges texts, null once nobody does';

-- ----------------------------------------------------------------------------
-- The question
-- ----------------------------------------------------------------------------
-- Is a verdict of the rules in doubt, and is there anybody to ask? A moderation endpoint knows nothing of injections.
CREATE OR REPLACE FUNCTION theazo_internal.safety_doubts(p_platform text, p_verdict jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_toxicity	pg_catalog."numeric" := coalesce((p_verdict ->> 'toxicity')::pg_catalog."numeric", 0);
	v_injection	pg_catalog."numeric" := coalesce((p_verdict ->> 'injection')::pg_catalog."numeric", 0);
	j			theazo_data.safety_ai;
BEGIN
	IF p_verdict ->> 'status' NOT IN ('passed', 'redacted') OR v_toxicity = 0 AND v_injection = 0 THEN
		RETURN NULL;
	END IF;
	SELECT x.* INTO j FROM theazo_internal.safety_ai_of(p_platform) x;
	IF v_toxicity >= j.toxicity_from OR v_injection >= j.injection_from AND j.kind = 'model' THEN
		RETURN pg_catalog.to_jsonb(j);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_doubts(text, jsonb) IS 'who is to be asked about a text that the rules would let pass, or null';

-- p_seq: the step of a tool call, or 0. p_text: as it was judged; p_shown: what would pass. p_more: what the answer's handling needs.
CREATE OR REPLACE FUNCTION theazo_internal.safety_ask(
	l theazo_data.run_loop, r theazo_data.run, p_judge jsonb, p_guard jsonb, p_verdict jsonb, p_seq integer, p_text text, p_shown text, p_more jsonb)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	j			theazo_data.safety_ai := pg_catalog.jsonb_populate_record(NULL::theazo_data.safety_ai, p_judge);
	v_managed	boolean := j.platform_id = theazo_internal.operator_platform();
	v_entry		jsonb := theazo_internal.safety_ai_entry(j);
	v_stage		text := p_verdict ->> 'stage';
BEGIN
	RETURN theazo_internal.effect_enqueue(l.platform_id, l.root_id, 'safety.judge', CASE j.kind WHEN 'moderation' THEN 'moderation' ELSE 'judge' END,
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
			'input', p_shown, 'text', CASE WHEN p_text <> p_shown THEN p_text END,
			'model', CASE j.kind WHEN 'moderation' THEN j.model ELSE v_entry ->> 'sent' END, 'via', v_entry -> 'adapter', 'api', v_entry -> 'api',
			'level', p_guard -> 'contentFilter', 'entry', v_entry, 'local', p_verdict - 'blocked',
			'judge', CASE WHEN v_managed THEN 'theazo' ELSE pg_catalog.concat_ws(' ', j.kind, coalesce(j.provider, theazo_internal.url_host(j.endpoint)), j.model) END,
			'limits', pg_catalog.jsonb_build_object(
				'toxicity', CASE WHEN p_guard ->> 'contentFilter' <> 'off' AND v_stage <> 'result' THEN j.toxicity_max END,
				'injection', CASE WHEN (p_guard ->> 'promptInjection')::boolean AND v_stage IN ('input', 'result') AND j.kind = 'model' THEN j.injection_max END)))
			|| p_more,
		r.id, r.session_id, r.agent_id, NULL, CASE WHEN v_managed THEN 'theazo:safety_ai' ELSE 'safety_ai' END, j.timeout_ms, 1,
		p_deadline => least(l.deadline, clock_timestamp() + j.timeout_ms * '1 millisecond'::interval), p_step_seq => p_seq);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_ask(theazo_data.run_loop, theazo_data.run, jsonb, jsonb, jsonb, integer, text, text, jsonb) IS
'queues the question about one text; returns its effect';

-- The verdict of a judge about a text of this run, else the effect that asks for one, else neither: the rules suffice.
CREATE OR REPLACE FUNCTION theazo_internal.safety_second(
	l theazo_data.run_loop, r theazo_data.run, p_guard jsonb, p_verdict jsonb, p_seq integer, p_text text, p_shown text, p_more jsonb,
	OUT verdict jsonb, OUT asked text)
LANGUAGE plpgsql
AS $$
DECLARE
	v_judge	jsonb := theazo_internal.safety_doubts(l.platform_id, p_verdict);
BEGIN
	IF v_judge IS NULL THEN
		RETURN;
	END IF;
	SELECT p_verdict || pg_catalog.jsonb_build_object('id', v.id, 'status', v.status, 'type', v.type, 'category', v.category, 'rule', v.rule) INTO verdict
	  FROM theazo_data.safety_verdict v
	 WHERE v.platform_id = l.platform_id AND v.root_id = l.root_id AND v.stage = p_verdict ->> 'stage' AND v.judge IS NOT NULL
	   AND v.text_hash = pg_catalog.decode(p_verdict ->> 'hash', 'hex')
	 ORDER BY v.id DESC LIMIT 1;
	IF verdict IS NULL THEN
		asked := theazo_internal.safety_ask(l, r, v_judge, p_guard, p_verdict, p_seq, p_text, p_shown, p_more);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_second(theazo_data.run_loop, theazo_data.run, jsonb, jsonb, integer, text, text, jsonb) IS
'what a judge has said about a text that the rules are in doubt about, or the effect that asks one';

-- Before the first model call: the task, and what was sent to the agent before. Those in doubt are shown together.
CREATE OR REPLACE FUNCTION theazo_internal.safety_ask_input(l theazo_data.run_loop, r theazo_data.run, p_sent text[], p_task text, p_verdict jsonb)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
	v_guard		jsonb;
	v_texts		text[] := '{}';
	v_text		text;
	v_judge		jsonb;
	v_doubts	jsonb;
	v_verdict	jsonb := p_verdict;
	v			jsonb;
BEGIN
	IF p_verdict IS NULL THEN
		RETURN false;
	END IF;
	v_guard := theazo_internal.safety_guard(l);
	v_judge := theazo_internal.safety_doubts(l.platform_id, p_verdict);
	IF pg_catalog.cardinality(p_sent) > 0 AND EXISTS (SELECT FROM theazo_data.safety_ai a
		WHERE a.platform_id IN (l.platform_id, theazo_internal.operator_platform())) THEN
		FOREACH v_text IN ARRAY p_sent
		LOOP
			v := theazo_internal.safety_judge(l.platform_id, v_guard, 'input', v_text);
			v_doubts := theazo_internal.safety_doubts(l.platform_id, v);
			IF v_doubts IS NOT NULL THEN
				v_judge := v_doubts;
				v_texts := v_texts || v_text;
				v_verdict := v_verdict || pg_catalog.jsonb_build_object(
					'toxicity', greatest((v_verdict ->> 'toxicity')::pg_catalog."numeric", (v ->> 'toxicity')::pg_catalog."numeric"),
					'injection', greatest((v_verdict ->> 'injection')::pg_catalog."numeric", (v ->> 'injection')::pg_catalog."numeric"));
			END IF;
		END LOOP;
	END IF;
	IF v_judge IS NULL THEN
		RETURN false;
	END IF;
	v_text := pg_catalog.array_to_string(v_texts || p_task, E'\n\n');
	PERFORM theazo_internal.safety_ask(l, r, v_judge, v_guard, v_verdict || pg_catalog.jsonb_build_object('hash', theazo_internal.text_hash(v_text)),
		0, v_text, v_text, '{}');
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_ask_input(theazo_data.run_loop, theazo_data.run, text[], text, jsonb) IS
'asks a judge about what goes into a run, where the rules are in doubt; true when the run waits for it';

-- ----------------------------------------------------------------------------
-- The answer
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.safety_judged(p_request jsonb, p_state text, p_result jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	v			jsonb := (p_request -> 'local') || pg_catalog.jsonb_build_object('judge', p_request -> 'judge');
	v_limits	jsonb := p_request -> 'limits';
	-- A judge's 0.35 is 0.35, and not the binary number below it that it came as.
	v_toxicity	pg_catalog."numeric" := round((p_result ->> 'toxicity')::pg_catalog."numeric", 4);
	v_injection	pg_catalog."numeric" := round((p_result ->> 'injection')::pg_catalog."numeric", 4);
BEGIN
	-- Every score that counts is there, or there is no verdict.
	IF p_state <> 'done' OR v_toxicity IS NULL AND v_limits ? 'toxicity' OR v_injection IS NULL AND v_limits ? 'injection' THEN
		RETURN v || pg_catalog.jsonb_build_object('status', 'error', 'type', 'content_filter', 'rule', 'judge_failed',
			'reason', coalesce(theazo_internal.text_mask(p_result ->> 'message'), 'no verdict came'));
	END IF;
	v := v || pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('judgeToxicity', v_toxicity, 'judgeInjection', v_injection));
	IF v_injection >= (v_limits ->> 'injection')::pg_catalog."numeric" THEN
		RETURN v || '{"status": "blocked", "type": "prompt_injection", "category": "prompt_injection", "rule": "judge.injection"}';
	ELSIF v_limits ? 'toxicity' AND (v_toxicity >= (v_limits ->> 'toxicity')::pg_catalog."numeric" OR (p_result ->> 'flagged')::boolean) THEN
		RETURN v || '{"status": "blocked", "type": "content_filter", "category": "toxicity", "rule": "judge.toxicity"}';
	END IF;
	RETURN v;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_judged(jsonb, text, jsonb) IS 'the verdict about a text that a judge was asked about; whatever is none blocks';

-- What the question cost. An answer that never came may have been given, and then somebody pays.
CREATE OR REPLACE FUNCTION theazo_internal.safety_ai_charge(e theazo_data.effect, r theazo_data.run, p_request jsonb, p_state text, p_result jsonb, p_finished timestamptz)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
	v_usage	jsonb := p_result -> 'usage';
	v_maybe	boolean := p_state = 'unknown' OR p_state = 'cancelled' AND coalesce((p_result ->> 'maybe_sent')::boolean, e.state = 'sent');
	v_price	bigint;
BEGIN
	IF NOT p_request ? 'entry' THEN
		v_price := CASE WHEN e.provider_name LIKE 'theazo:%' AND (p_state = 'done' OR v_maybe)
						THEN theazo_internal.amount_round(theazo_internal.price_at(e.platform_id, 'safety.moderation', coalesce(e.claimed_at, now()))) ELSE 0 END;
		RETURN CASE WHEN v_price > 0 THEN theazo_internal.charge_write(e.platform_id, e.root_id,
			theazo_internal.id_derive('chg', e.id, e.id || '|' || e.attempt || '|safety.moderation'), r.environment, r.session_id, r.agent_id, r.id, r.user_id,
			e.id, NULL, 'safety.moderation', 1, v_price, 'theazo', 'theazo', v_maybe, e.claimed_at, p_finished) ELSE 0 END;
	END IF;
	IF v_usage IS NULL AND v_maybe THEN
		v_usage := pg_catalog.jsonb_build_object('input', (pg_catalog.length(p_request ->> 'input') + 1600) / 4, 'output', 0, 'estimated', true);
	END IF;
	IF v_usage IS NULL THEN
		RETURN 0;
	END IF;
	RETURN theazo_internal.model_charge(e, r, p_request -> 'entry', v_usage, p_finished);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_ai_charge(theazo_data.effect, theazo_data.run, jsonb, text, jsonb, timestamptz) IS
'books the tokens of a question to a model, or what the price list says of one to the operator''s moderation endpoint; returns the amount';

CREATE OR REPLACE FUNCTION theazo_internal.safety_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l		theazo_data.run_loop;
	r		theazo_data.run;
	s		theazo_data.step;
	q		jsonb;
	v		jsonb;
	v_cost	bigint;
BEGIN
	SELECT x.request INTO q FROM theazo_data.effect_payload x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id;
	PERFORM theazo_internal.budget_fee_due(e.platform_id, e.id, e.run_id);
	v_cost := theazo_internal.safety_ai_charge(e, r, q, p_state, p_result, p_finished);
	UPDATE theazo_data.run_loop x SET spent = x.spent + v_cost WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND v_cost > 0;
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	PERFORM theazo_internal.event_write(e.platform_id, 'inference', CASE p_state WHEN 'done' THEN 'judge_called' ELSE 'judge_call_failed' END,
		jsonb_strip_nulls(jsonb_build_object('judge', q -> 'judge', 'stage', q -> 'local' -> 'stage', 'input', p_result -> 'usage' -> 'input',
			'output', p_result -> 'usage' -> 'output', 'error', CASE WHEN p_state <> 'done' THEN coalesce(p_result ->> 'code', p_state) END)),
		r.session_id, r.agent_id, r.id, r.environment);
	IF r.status NOT IN ('queued', 'running') THEN
		-- The run had ended without it; what it cost is still the run's.
		UPDATE theazo_data.run x SET cost = x.cost + v_cost WHERE x.platform_id = r.platform_id AND x.id = r.id AND v_cost > 0;
		RETURN;
	END IF;
	SELECT * INTO s FROM theazo_data.step x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.seq = e.step_seq;
	IF e.step_seq > 0 AND s.state IS DISTINCT FROM 'waiting' THEN
		RETURN;
	ELSIF p_state = 'cancelled' AND e.step_seq > 0 THEN
		PERFORM theazo_internal.tool_end(l, r, s, 'cancelled', 'cancelled', p_started, p_finished, p_result ->> 'code', p_result ->> 'message');
		RETURN;
	ELSIF p_state = 'cancelled' OR r.cancel_requested AND e.step_seq = 0 THEN
		PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
		RETURN;
	END IF;
	v := theazo_internal.safety_judged(q, p_state, p_result);
	CASE v ->> 'stage'
		WHEN 'input' THEN
			PERFORM theazo_internal.safety_input_judged(l, r, v);
		WHEN 'output' THEN
			PERFORM theazo_internal.safety_output_judged(l, r, q, v);
		WHEN 'result' THEN
			PERFORM theazo_internal.safety_result_judged(l, r, s, q, v);
		ELSE
			PERFORM theazo_internal.safety_arguments_judged(l, r, s, q, v);
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'the end of a question about a text: what it cost, the verdict, and how the run goes on that has waited for it';

CREATE OR REPLACE FUNCTION theazo_internal.safety_ended(l theazo_data.run_loop, r theazo_data.run, p_what text, p_verdict jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.loop_end(l, r, 'failed', NULL,
		CASE WHEN p_verdict ->> 'status' = 'error' AND clock_timestamp() >= l.deadline THEN theazo_internal.loop_late(r)
			 ELSE theazo_internal.safety_error(p_what, p_verdict) END);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_ended(theazo_data.run_loop, theazo_data.run, text, jsonb) IS 'ends a run whose text a judge did not let pass';

CREATE OR REPLACE FUNCTION theazo_internal.safety_input_judged(l theazo_data.run_loop, r theazo_data.run, p_verdict jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.safety_note(r, 'the input', p_verdict);
	IF theazo_internal.safety_stops(p_verdict) THEN
		PERFORM theazo_internal.safety_ended(l, r, 'the input', p_verdict);
	ELSE
		PERFORM theazo_internal.loop_call(l, r);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_input_judged(theazo_data.run_loop, theazo_data.run, jsonb) IS 'begins a run whose input was judged, or ends it';

CREATE OR REPLACE FUNCTION theazo_internal.safety_arguments_judged(
	l theazo_data.run_loop, r theazo_data.run, s theazo_data.step, p_request jsonb, p_verdict jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_arguments	jsonb := p_request ->> 'input';
	v_message	text := theazo_internal.safety_message('the tool''s input', p_verdict);
	v_stops		boolean := theazo_internal.safety_stops(p_verdict);
	t			record;
BEGIN
	PERFORM theazo_internal.safety_note(r, 'the tool''s input', p_verdict);
	UPDATE theazo_data.step_payload x SET input = CASE WHEN v_stops THEN to_jsonb(format('[withheld: %s]', v_message)) ELSE v_arguments END
	 WHERE x.platform_id = s.platform_id AND x.root_id = s.root_id AND x.seq = s.seq;
	IF v_stops THEN
		PERFORM theazo_internal.tool_goes_on(l, r, s, NULL, NULL, false, true, 'error: ' || v_message);
		RETURN;
	END IF;
	t := theazo_internal.tool_begin(l, r, s.seq, s.name, v_arguments, coalesce((p_request ->> 'decided')::boolean, false));
	PERFORM theazo_internal.tool_goes_on(l, r, s, t.effect_id, t.approval_id, t.judged, t.failed, t.output);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_arguments_judged(theazo_data.run_loop, theazo_data.run, theazo_data.step, jsonb, jsonb) IS
'begins a tool call whose arguments were judged, or answers it with the reason';

CREATE OR REPLACE FUNCTION theazo_internal.safety_result_judged(
	l theazo_data.run_loop, r theazo_data.run, s theazo_data.step, p_request jsonb, p_verdict jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.safety_note(r, 'the tool''s answer', p_verdict);
	PERFORM theazo_internal.tool_over(l, r, s, p_request -> 'end', CASE WHEN theazo_internal.safety_stops(p_verdict)
		THEN format('[withheld: %s]', theazo_internal.safety_message('the tool''s answer', p_verdict)) ELSE p_request ->> 'input' END);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_result_judged(theazo_data.run_loop, theazo_data.run, theazo_data.step, jsonb, jsonb) IS
'tells the model what a tool has answered, once that was judged';

CREATE OR REPLACE FUNCTION theazo_internal.safety_output_judged(l theazo_data.run_loop, r theazo_data.run, p_request jsonb, p_verdict jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_id	text;
BEGIN
	IF theazo_internal.safety_stops(p_verdict) THEN
		PERFORM theazo_internal.safety_note(r, 'the answer', p_verdict);
		PERFORM theazo_internal.safety_ended(l, r, 'the answer', p_verdict);
		RETURN;
	END IF;
	v_id := theazo_internal.safety_note(r, 'the answer', p_verdict || jsonb_build_object('delivered', theazo_internal.text_hash(p_request ->> 'input')));
	-- What was held back of the last thing the model said is shown now.
	UPDATE theazo_data.step_payload x SET output = p_request ->> 'input'
	 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id AND x.output = ''
	   AND x.seq = (SELECT max(s.seq) FROM theazo_data.step s WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id AND s.kind = 'model');
	PERFORM theazo_internal.loop_end(l, r, 'completed', p_request ->> 'input', NULL, p_verdict => v_id);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_output_judged(theazo_data.run_loop, theazo_data.run, jsonb, jsonb) IS
'delivers an answer that was judged, or ends its run without it';
