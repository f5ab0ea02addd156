-- safety.sql: content safety of what goes into a run, through its tools and out of it.
--
-- Every text is judged by one function, safety_judge(), which answers with a verdict or, when anything fails on the way, with
-- one of status error: what has no verdict passes nowhere. The guardrails of a run are those it began with (run_loop.policy).
--
-- Hot: no definer functions, nothing set; called from settlements.

CREATE OR REPLACE FUNCTION theazo_internal.safety_scan(p_platform text, p_text text, p_level text, p_injection boolean, p_pii boolean)
RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_safety_scan';
COMMENT ON FUNCTION theazo_internal.safety_scan(text, text, text, boolean, boolean) IS
'what the rules find in a text: blocked, scores, the rule that says most, the first kind of personal data';

CREATE OR REPLACE FUNCTION theazo_internal.safety_why(p_text text, p_injection boolean)
RETURNS jsonb LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'theazo_safety_why';
COMMENT ON FUNCTION theazo_internal.safety_why(text, boolean) IS
'the phrases of a text that weigh most with the model, the heaviest first: for an injection, else for a toxic or harmful text';

CREATE OR REPLACE FUNCTION theazo_internal.safety_redact(p_text text)
RETURNS text LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'theazo_safety_redact';
COMMENT ON FUNCTION theazo_internal.safety_redact(text) IS 'a text with [REDACTED] in place of personal data';

CREATE OR REPLACE FUNCTION theazo_internal.safety_version()
RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_safety_version';
COMMENT ON FUNCTION theazo_internal.safety_version() IS 'version of the shipped rules';

CREATE OR REPLACE FUNCTION theazo_internal.safety_pattern_why(p_patterns text[])
RETURNS text LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'theazo_safety_pattern_why';
COMMENT ON FUNCTION theazo_internal.safety_pattern_why(text[]) IS 'why a set of patterns cannot be used, or null';

CREATE OR REPLACE FUNCTION theazo_internal.safety_rules()
RETURNS TABLE (name text, category text, weight integer, concepts text[], reach integer, ordered boolean, firm boolean)
LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_safety_rules';
COMMENT ON FUNCTION theazo_internal.safety_rules() IS 'the shipped rules: concepts that stand so close to each other, and what that weighs';

CREATE OR REPLACE FUNCTION theazo_internal.safety_words()
RETURNS TABLE (concept text, language text, words text)
LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_safety_words';
COMMENT ON FUNCTION theazo_internal.safety_words() IS 'the words of the concepts that the shipped rules are made of';

-- The operator's rows, then the platform's: read by every process that judges a text of the platform, once a change.
CREATE OR REPLACE FUNCTION theazo_internal.safety_rows(p_platform text)
RETURNS TABLE (name text, pattern text, category text, weight integer)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.name, p.pattern, p.category, p.weight::integer FROM theazo_data.safety_pattern p
	 WHERE p.platform_id IN (theazo_internal.operator_platform(), p_platform)
	 ORDER BY p.platform_id <> theazo_internal.operator_platform(), p.name
$$;
COMMENT ON FUNCTION theazo_internal.safety_rows(text) IS 'patterns laid over the shipped rules for one platform, the operator''s among them';

CREATE OR REPLACE TRIGGER safety_pattern_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.safety_pattern
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
ALTER TABLE theazo_data.safety_pattern ENABLE ALWAYS TRIGGER safety_pattern_memo;

-- ----------------------------------------------------------------------------
-- The verdict about one text
-- ----------------------------------------------------------------------------
-- p_guard: the guardrails that hold. Personal data blocks what goes in, and is replaced in what comes out (safety_out).
CREATE OR REPLACE FUNCTION theazo_internal.safety_judge(p_platform text, p_guard jsonb, p_stage text, p_text text)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	v_level		text := coalesce(p_guard ->> 'contentFilter', 'off');
	v_injection	boolean := coalesce((p_guard ->> 'promptInjection')::boolean, false);
	v_pii		boolean := coalesce((p_guard ->> 'blockPII')::boolean, false);
	d			jsonb;
BEGIN
	-- What a tool is called with is the model's, and what it answers is others': each is held against what it can do.
	IF p_stage = 'result' THEN
		v_pii := false;
		v_level := 'off';
	ELSIF p_stage IN ('arguments', 'code', 'output') THEN
		v_injection := false;
	END IF;
	IF v_level = 'off' AND NOT v_injection AND NOT v_pii THEN
		RETURN pg_catalog.jsonb_build_object('stage', p_stage, 'status', 'skipped', 'reason', 'the guardrails ask for nothing here',
			'hash', theazo_internal.text_hash(p_text));
	ELSIF p_text = '' THEN
		RETURN pg_catalog.jsonb_build_object('stage', p_stage, 'status', 'passed', 'hash', theazo_internal.text_hash(p_text));
	END IF;
	d := theazo_internal.safety_scan(p_platform, p_text, v_level, v_injection, v_pii);
	IF d IS NULL OR NOT d ? 'blocked' THEN
		RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = 'the filter gave no answer';
	END IF;
	RETURN d || pg_catalog.jsonb_build_object('stage', p_stage, 'hash', theazo_internal.text_hash(p_text))
		|| CASE WHEN (d ->> 'blocked')::boolean THEN pg_catalog.jsonb_build_object('status', 'blocked',
					'type', CASE d ->> 'category' WHEN 'prompt_injection' THEN 'prompt_injection' ELSE 'content_filter' END)
				WHEN d ? 'pii' AND p_stage = 'output' THEN '{"status": "redacted", "type": "pii", "category": "pii"}'
					|| pg_catalog.jsonb_build_object('rule', 'pii.' || (d ->> 'pii'))
				WHEN d ? 'pii' THEN '{"status": "blocked", "type": "pii", "category": "pii"}'
					|| pg_catalog.jsonb_build_object('rule', 'pii.' || (d ->> 'pii'))
				ELSE '{"status": "passed"}' END;
EXCEPTION WHEN OTHERS THEN
	-- A filter that fails lets nothing through.
	RETURN pg_catalog.jsonb_build_object('stage', p_stage, 'status', 'error', 'type', 'content_filter', 'rule', 'filter_failed',
		'reason', SQLERRM, 'hash', theazo_internal.text_hash(p_text));
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_judge(text, jsonb, text, text) IS
'the verdict about a text at one stage: passed, blocked, redacted, skipped, or error when it could not be judged';

CREATE OR REPLACE FUNCTION theazo_internal.safety_stops(p_verdict jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
	SELECT coalesce(p_verdict ->> 'status' NOT IN ('passed', 'redacted', 'skipped'), true)
$$;
COMMENT ON FUNCTION theazo_internal.safety_stops(jsonb) IS 'does a verdict keep its text back; no verdict does';

-- What people are told. The text itself is not repeated: it may be somebody's address.
CREATE OR REPLACE FUNCTION theazo_internal.safety_message(p_what text, p_verdict jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT CASE WHEN p_verdict ->> 'status' = 'error' THEN pg_catalog.format('%s could not be checked, so it is blocked', p_what)
		WHEN p_verdict ->> 'type' = 'pii' THEN pg_catalog.format('%s contains personal data (%s)', p_what, pg_catalog.substr(p_verdict ->> 'rule', 5))
		WHEN p_verdict ->> 'type' = 'prompt_injection' THEN pg_catalog.format('%s reads like instructions that override the agent''s own', p_what)
		ELSE pg_catalog.format('%s is blocked by the content filter (%s)', p_what, coalesce(p_verdict ->> 'category', p_verdict ->> 'rule')) END
$$;
COMMENT ON FUNCTION theazo_internal.safety_message(text, jsonb) IS 'what a blocked text is called in messages, without the text';

CREATE OR REPLACE FUNCTION theazo_internal.safety_summary(p_what text, p_verdict jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$
	SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('code', 'TZ205', 'type', p_verdict -> 'type', 'stage', p_verdict -> 'stage',
		'category', p_verdict -> 'category', 'version', p_verdict -> 'version', 'toxicity', p_verdict -> 'toxicity', 'injection', p_verdict -> 'injection',
		'tool', p_verdict -> 'tool', 'judge', p_verdict -> 'judge', 'judgeToxicity', p_verdict -> 'judgeToxicity', 'judgeInjection', p_verdict -> 'judgeInjection', 'status', p_verdict -> 'status', 'message', theazo_internal.safety_message(p_what, p_verdict)))
$$;
COMMENT ON FUNCTION theazo_internal.safety_summary(text, jsonb) IS 'what the event of a violation says about it';

CREATE OR REPLACE FUNCTION theazo_internal.safety_tell(r theazo_data.run, p_type text, p_message text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.notify(r.platform_id, r.environment, 'guardrail.violation', pg_catalog.jsonb_build_object('sessionId', r.session_id,
		'userId', r.user_id, 'agentId', r.agent_id, 'runId', r.id, 'type', p_type, 'message', p_message,
		'timestamp', theazo_internal.time_iso(clock_timestamp())));
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_tell(theazo_data.run, text, text) IS 'tells the platform''s webhooks of a violation';

-- In a dispatcher's transaction: verdict, event and log of what was found. Returns the verdict's id.
CREATE OR REPLACE FUNCTION theazo_internal.safety_note(r theazo_data.run, p_what text, p_verdict jsonb)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	v_id	text := theazo_internal.verdict_write(r, p_verdict);
BEGIN
	IF p_verdict ->> 'status' IN ('blocked', 'error', 'redacted') THEN
		PERFORM theazo_internal.event_write(r.platform_id, 'safety', 'content_blocked',
			theazo_internal.safety_summary(p_what, p_verdict) || pg_catalog.jsonb_build_object('verdict', v_id),
			r.session_id, r.agent_id, r.id, r.environment, CASE p_verdict ->> 'status' WHEN 'redacted' THEN 'allow' ELSE 'deny' END,
			p_verdict ->> 'rule', true);
		PERFORM theazo_internal.log_write(r.platform_id, theazo_internal.id_root(r.id), 'warn', 'system', theazo_internal.safety_message(p_what, p_verdict),
			r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id);
		PERFORM theazo_internal.safety_tell(r, p_verdict ->> 'type', theazo_internal.safety_message(p_what, p_verdict));
	END IF;
	RETURN v_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_note(theazo_data.run, text, jsonb) IS 'keeps a verdict of a run, and tells who watches when it is a violation';

-- The guardrails a run began with. One that began without any of them recorded is held to those of its agent now.
CREATE OR REPLACE FUNCTION theazo_internal.safety_guard(l theazo_data.run_loop)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	a	theazo_data.agent;
BEGIN
	IF l.policy ? 'guardrails' THEN
		RETURN l.policy -> 'guardrails';
	END IF;
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = l.platform_id AND x.id = l.agent_id;
	RETURN theazo_internal.guardrails_of(a);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_guard(theazo_data.run_loop) IS 'the guardrails that hold for a run';

-- ----------------------------------------------------------------------------
-- Where texts pass
-- ----------------------------------------------------------------------------
-- Before a run or an input is taken, in the caller's transaction: what is refused leaves its event, and the call fails.
CREATE OR REPLACE FUNCTION theazo_internal.safety_input(a theazo_data.agent, p_stage text, p_text text)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	v_guard		jsonb := theazo_internal.guardrails_of(a);
	v_verdict	jsonb;
BEGIN
	-- Nothing is asked for: the verdict about the answer says so once for the run.
	IF NOT theazo_internal.guardrails_on(v_guard) THEN
		RETURN NULL;
	ELSIF pg_catalog.char_length(p_text) > 32000 THEN
		v_verdict := pg_catalog.jsonb_build_object('stage', p_stage, 'status', 'blocked', 'type', 'content_filter', 'category', 'prompt_length',
			'rule', 'prompt_length', 'reason', 'longer than 32000 characters');
	ELSE
		v_verdict := theazo_internal.safety_judge(a.platform_id, v_guard, p_stage, p_text);
	END IF;
	IF NOT theazo_internal.safety_stops(v_verdict) THEN
		RETURN v_verdict;
	END IF;
	PERFORM theazo_internal.event_refused(a.platform_id, 'safety', 'content_blocked', theazo_internal.safety_summary('the input', v_verdict),
		a.session_id, a.id, NULL, a.key_environment, 'deny', v_verdict ->> 'rule', true);
	RAISE EXCEPTION USING ERRCODE = 'TZ205', MESSAGE = theazo_internal.safety_message('the input', v_verdict),
		DETAIL = pg_catalog.format('Type: %s. Rule: %s.', v_verdict ->> 'type', v_verdict ->> 'rule'),
		HINT = CASE WHEN v_verdict ->> 'status' = 'error' THEN 'The server''s log says what failed; nothing passes until it is mended.'
					WHEN v_verdict ->> 'rule' = 'prompt_length' THEN 'Give at most 32000 characters.'
					ELSE 'Change the input, or the guardrails with theazo.guardrails_set().' END;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_input(theazo_data.agent, text, text) IS 'TZ205 for a text that must not go in, else the verdict about it';

-- The model is told; the run goes on.
CREATE OR REPLACE FUNCTION theazo_internal.safety_arguments(
	l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_tool text, p_arguments jsonb, p_decided boolean, OUT why text, OUT asked text)
LANGUAGE plpgsql
AS $$
DECLARE
	v_guard		jsonb := theazo_internal.safety_guard(l);
	v_verdict	jsonb;
	d			record;
BEGIN
	IF NOT theazo_internal.guardrails_on(v_guard) THEN
		RETURN;
	END IF;
	why := theazo_internal.guardrails_calls(l, r, v_guard, p_seq);
	IF why IS NULL AND p_tool = 'http_fetch' THEN
		why := theazo_internal.guardrails_domain(r, v_guard, p_tool, theazo_internal.url_host(p_arguments ->> 'url'));
	END IF;
	IF why IS NOT NULL THEN
		RETURN;
	END IF;
	v_verdict := theazo_internal.safety_judge(l.platform_id, v_guard, CASE p_tool WHEN 'run_code' THEN 'code' ELSE 'arguments' END, p_arguments::text)
		|| pg_catalog.jsonb_build_object('tool', p_tool);
	d := theazo_internal.safety_second(l, r, v_guard, v_verdict, p_seq, p_arguments::text, p_arguments::text, pg_catalog.jsonb_build_object('decided', p_decided));
	asked := d.asked;
	IF asked IS NOT NULL THEN
		RETURN;
	ELSIF d.verdict IS NOT NULL THEN
		v_verdict := d.verdict;
	ELSIF v_verdict ->> 'status' <> 'skipped' THEN
		PERFORM theazo_internal.safety_note(r, 'the tool''s input', v_verdict);
	END IF;
	IF theazo_internal.safety_stops(v_verdict) THEN
		why := 'error: ' || theazo_internal.safety_message('the tool''s input', v_verdict);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_arguments(theazo_data.run_loop, theazo_data.run, integer, text, jsonb, boolean) IS
'why a tool must not be called with these arguments, or null; or the effect of a judge who is asked first';

-- What a tool answers comes from outside. The model does not see what would give it orders.
-- p_end: what tool_over() is told once a judge has seen it; without it none is asked.
CREATE OR REPLACE FUNCTION theazo_internal.safety_result(
	l theazo_data.run_loop, r theazo_data.run, p_tool text, p_text text, p_seq integer DEFAULT NULL, p_end jsonb DEFAULT NULL,
	OUT shown text, OUT asked text)
LANGUAGE plpgsql
AS $$
DECLARE
	v_guard		jsonb;
	v_verdict	jsonb;
	v_second	jsonb;
	d			record;
BEGIN
	shown := p_text;
	IF coalesce(p_text, '') = '' THEN
		RETURN;
	END IF;
	v_guard := theazo_internal.safety_guard(l);
	IF NOT theazo_internal.guardrails_on(v_guard) THEN
		RETURN;
	END IF;
	v_verdict := theazo_internal.safety_judge(l.platform_id, v_guard, 'result', p_text) || pg_catalog.jsonb_build_object('tool', p_tool);
	IF p_end IS NOT NULL THEN
		-- the model sees no more of it
		d := theazo_internal.safety_second(l, r, v_guard, v_verdict, p_seq, p_text, theazo_internal.tool_bound(p_text), pg_catalog.jsonb_build_object('end', p_end));
		asked := d.asked;
		v_second := d.verdict;
		IF asked IS NOT NULL THEN
			shown := NULL;
			RETURN;
		END IF;
	END IF;
	IF v_second IS NOT NULL THEN
		v_verdict := v_second;
	ELSIF v_verdict ->> 'status' <> 'skipped' THEN
		PERFORM theazo_internal.safety_note(r, 'the tool''s answer', v_verdict);
	END IF;
	IF theazo_internal.safety_stops(v_verdict) THEN
		shown := pg_catalog.format('[withheld: %s]', theazo_internal.safety_message('the tool''s answer', v_verdict));
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_result(theazo_data.run_loop, theazo_data.run, text, text, integer, jsonb) IS
'the answer of a tool as the model may see it, or the effect of a judge who is asked first';

-- What a run fails with whose text does not pass.
CREATE OR REPLACE FUNCTION theazo_internal.safety_error(p_what text, p_verdict jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$
	SELECT pg_catalog.jsonb_build_object('code', 'guardrail_blocked', 'sqlstate', 'TZ205', 'message', theazo_internal.safety_message(p_what, p_verdict),
		'detail', pg_catalog.format('Type: %s. Rule: %s.', p_verdict ->> 'type', p_verdict ->> 'rule'),
		'hint', 'theazo.safety_verdicts shows what was found; the guardrails are changed with theazo.guardrails_set().')
$$;
COMMENT ON FUNCTION theazo_internal.safety_error(text, jsonb) IS 'the error of a run that a verdict ends';

-- A text of the model's as people may see it, or the error its run ends with.
CREATE OR REPLACE FUNCTION theazo_internal.safety_out(
	l theazo_data.run_loop, r theazo_data.run, p_stage text, p_text text, OUT shown text, OUT verdict jsonb, OUT error jsonb)
LANGUAGE plpgsql
AS $$
BEGIN
	verdict := theazo_internal.safety_judge(l.platform_id, theazo_internal.safety_guard(l), 'output', p_text);
	shown := p_text;
	IF verdict ->> 'status' = 'redacted' THEN
		BEGIN
			shown := theazo_internal.safety_redact(p_text);
		EXCEPTION WHEN OTHERS THEN
			verdict := verdict || pg_catalog.jsonb_build_object('status', 'error', 'rule', 'filter_failed', 'reason', SQLERRM);
		END;
	END IF;
	verdict := verdict || pg_catalog.jsonb_build_object('stage', p_stage);
	IF theazo_internal.safety_stops(verdict) OR shown IS NULL THEN
		shown := NULL;
		error := theazo_internal.safety_error('the answer', verdict);
	ELSE
		verdict := verdict || pg_catalog.jsonb_build_object('delivered', theazo_internal.text_hash(shown));
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_out(theazo_data.run_loop, theazo_data.run, text, text) IS
'a text of the model''s as people may see it, with the verdict about it, or why they may not';

-- What a model's answer is held against while it streams; it goes with the request. Reading the rows here has the dispatcher
-- that sends it know them. Null: nothing is asked for.
CREATE OR REPLACE FUNCTION theazo_internal.safety_stream(l theazo_data.run_loop)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	v_guard	jsonb := theazo_internal.safety_guard(l);
BEGIN
	IF v_guard ->> 'contentFilter' = 'off' AND NOT (v_guard ->> 'blockPII')::boolean THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.safety_scan(l.platform_id, '', v_guard ->> 'contentFilter', false, false);
	RETURN pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('level', v_guard -> 'contentFilter', 'pii', v_guard -> 'blockPII',
		'hold', (SELECT pg_catalog.ceil(j.toxicity_from * 100)::integer FROM theazo_internal.safety_ai_of(l.platform_id) j)));
EXCEPTION WHEN OTHERS THEN
	-- It cannot be judged, so nothing of it is shown; what becomes of the answer is decided when it is there.
	RETURN '{"level": "unknown", "pii": true}';
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_stream(theazo_data.run_loop) IS 'what the answer of a model is held against while it streams, or null';

-- The dispatcher has cut an answer while it came.
CREATE OR REPLACE FUNCTION theazo_internal.safety_cut(r theazo_data.run)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	v_verdict	CONSTANT jsonb := '{"stage": "delta", "status": "blocked", "type": "content_filter", "category": "content_filter", "rule": "stream"}';
BEGIN
	PERFORM theazo_internal.safety_note(r, 'the answer', v_verdict);
	RETURN pg_catalog.jsonb_build_object('code', 'guardrail_blocked', 'sqlstate', 'TZ205', 'message', 'the answer is blocked by the content filter',
		'detail', 'Type: content_filter. Rule: stream.', 'hint', 'It was cut while it came; theazo.safety_verdicts shows it.');
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_cut(theazo_data.run) IS 'keeps the verdict about an answer that was cut while it came; returns what its run fails with';

-- What a model says on the way to its answer, beside its tool calls: people see it in the run's steps. What is fine leaves no verdict.
CREATE OR REPLACE FUNCTION theazo_internal.safety_said(l theazo_data.run_loop, r theazo_data.run, p_text text, OUT shown text, OUT error jsonb)
LANGUAGE plpgsql
AS $$
DECLARE
	d	record;
BEGIN
	shown := p_text;
	IF p_text = '' OR NOT theazo_internal.guardrails_on(theazo_internal.safety_guard(l)) THEN
		RETURN;
	END IF;
	d := theazo_internal.safety_out(l, r, 'delta', p_text);
	shown := d.shown;
	error := d.error;
	IF error IS NOT NULL THEN
		PERFORM theazo_internal.safety_note(r, 'the answer', d.verdict);
	ELSIF theazo_internal.safety_doubts(l.platform_id, d.verdict) IS NOT NULL THEN
		-- Only the answer is shown to the judge; what is in doubt beside it people do not see.
		shown := '';
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_said(theazo_data.run_loop, theazo_data.run, text) IS 'what a model said as people may see it, or the error its run ends with';

-- A call that came to nothing stands in the steps and in the trail as well, and what it was called with was judged at best: as
-- people may see it. p_output: what the model is told.
CREATE OR REPLACE FUNCTION theazo_internal.safety_called(
	l theazo_data.run_loop, r theazo_data.run, p_call jsonb, p_output text, OUT name text, OUT input jsonb, OUT output text)
LANGUAGE plpgsql
AS $$
DECLARE
	v_verdict	jsonb;
BEGIN
	name := coalesce(p_call ->> 'name', '');
	input := coalesce(p_call -> 'arguments', pg_catalog.to_jsonb(pg_catalog."left"(p_call ->> 'arguments_text', 32768)));
	output := p_output;
	IF NOT theazo_internal.guardrails_on(theazo_internal.safety_guard(l)) THEN
		RETURN;
	END IF;
	-- by themselves, as safety_arguments() reads them, and with the name, which a model may have made up
	v_verdict := theazo_internal.safety_judge(l.platform_id, theazo_internal.safety_guard(l), 'arguments', input #>> '{}');
	IF NOT theazo_internal.safety_stops(v_verdict) THEN
		v_verdict := theazo_internal.safety_judge(l.platform_id, theazo_internal.safety_guard(l), 'arguments', pg_catalog.concat_ws(' ', name, input #>> '{}'));
	END IF;
	IF NOT theazo_internal.safety_stops(v_verdict) THEN
		RETURN;
	END IF;
	input := pg_catalog.to_jsonb(pg_catalog.format('[withheld: %s]', theazo_internal.safety_message('the tool''s input', v_verdict)));
	IF NOT l.tools @> pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('name', name)) THEN
		name := '[withheld]';
	END IF;
	IF p_output IS DISTINCT FROM 'error: ' || theazo_internal.safety_message('the tool''s input', v_verdict) THEN
		PERFORM theazo_internal.safety_note(r, 'the tool''s input', v_verdict || pg_catalog.jsonb_build_object('tool', name));
	END IF;
	-- an error may repeat what it is about
	IF theazo_internal.safety_stops(theazo_internal.safety_judge(l.platform_id, theazo_internal.safety_guard(l), 'arguments', output)) THEN
		output := 'error: ' || theazo_internal.safety_message('the tool''s input', v_verdict);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_called(theazo_data.run_loop, theazo_data.run, jsonb, text) IS
'name, arguments and answer of a tool call that did not begin, as people may see them';

-- What a provider says when it fails may be what it was asked, or anything else.
CREATE OR REPLACE FUNCTION theazo_internal.safety_failed(l theazo_data.run_loop, p_result jsonb)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	v_guard	jsonb := theazo_internal.safety_guard(l);
BEGIN
	IF p_result ->> 'message' IS NULL OR NOT theazo_internal.guardrails_on(v_guard)
		OR theazo_internal.safety_judge(l.platform_id, v_guard, 'output', pg_catalog.concat_ws(' ', p_result ->> 'message', p_result ->> 'detail'))
			->> 'status' IN ('passed', 'skipped') THEN
		RETURN p_result;
	END IF;
	RETURN (p_result - 'detail') || '{"message": "the call failed; the content filter withholds what the provider says"}';
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_failed(theazo_data.run_loop, jsonb) IS
'the result of a failed model call without words of its provider that people may not see';

-- The one function that lets an answer out. Its verdict is a row before the answer is, and names the answer by its hash.
CREATE OR REPLACE FUNCTION theazo_internal.safety_deliver(l theazo_data.run_loop, r theazo_data.run, p_text text, OUT output text, OUT verdict text, OUT error jsonb, OUT waiting boolean)
LANGUAGE plpgsql
AS $$
DECLARE
	d	record;
	j	record;
BEGIN
	waiting := false;
	d := theazo_internal.safety_out(l, r, 'output', p_text);
	IF d.error IS NULL THEN
		j := theazo_internal.safety_second(l, r, theazo_internal.safety_guard(l), d.verdict, 0, p_text, d.shown, '{}');
		IF j.asked IS NOT NULL THEN
			waiting := true;
			RETURN;
		ELSIF j.verdict IS NOT NULL THEN
			verdict := j.verdict ->> 'id';
			IF theazo_internal.safety_stops(j.verdict) THEN
				error := theazo_internal.safety_error('the answer', j.verdict);
			ELSE
				output := d.shown;
			END IF;
			RETURN;
		END IF;
	END IF;
	output := d.shown;
	error := d.error;
	verdict := theazo_internal.safety_note(r, 'the answer', d.verdict);
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_deliver(theazo_data.run_loop, theazo_data.run, text) IS 'the answer of a run as it may be delivered with the verdict that lets it out, why it may not, or that a judge is still asked';
