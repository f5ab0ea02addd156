-- execution.sql: executions of governed agents: started, looked at, waited for.
--
-- One is a run under a number. An agent with code has it run by the program for that (effect script.run); one without is given
-- its task through the loop. Both end in run_finish(), which closes the execution.

CREATE OR REPLACE FUNCTION theazo_internal.execution_ms(p_from timestamptz, p_to timestamptz)
RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN pg_catalog.round(EXTRACT(epoch FROM p_to - p_from) * 1000)::bigint;
COMMENT ON FUNCTION theazo_internal.execution_ms(timestamptz, timestamptz) IS 'milliseconds between two times';

CREATE OR REPLACE VIEW theazo.executions WITH (security_barrier) AS
SELECT x.platform_id, x.number AS execution_id, x.run_id, x.agent_id, g.number AS agent_number, g.name AS agent_name, v.version, x.revision,
	   x.session_id, x.environment, x.mode, x.status, x.error_code, x.error_message, x.created_at, x.started_at, x.ended_at,
	   theazo_internal.execution_ms(coalesce(x.started_at, x.created_at), x.ended_at) AS duration_ms,
	   x.cpu_ms, x.memory_mb, x.api_calls, x.host_calls, x.violations AS violation_count, x.was_terminated, x.attestation AS attestation_id
  FROM theazo_data.execution x
  JOIN theazo_data.governed_agent g ON g.platform_id = x.platform_id AND g.id = x.agent_id
  JOIN theazo_data.governed_version v ON v.platform_id = x.platform_id AND v.agent_id = x.agent_id AND v.revision = x.revision
 WHERE (SELECT theazo_internal.may_read('run:read'));
COMMENT ON VIEW theazo.executions IS 'executions of governed agents, without what went in and came out';

-- What code asked for, in the order of its calls: what was judged, and what was taken down on the spot.
CREATE OR REPLACE FUNCTION theazo_internal.execution_audit(p_platform text, p_root text, p_local jsonb, p_logs jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT coalesce(jsonb_agg(d.doc ORDER BY d.at, d.ord), '[]')
	  FROM (SELECT h.occurred_at AS at, h.call AS ord, jsonb_strip_nulls(jsonb_build_object('fn', h.fn, 'args_summary', h.args_summary, 'allowed', h.allowed,
					'timestamp', theazo_internal.time_iso(h.occurred_at), 'duration_ms', h.duration_ms, 'error', h.error)) AS doc
			  FROM theazo_data.host_call h WHERE h.platform_id = p_platform AND h.root_id = p_root
			UNION ALL
			SELECT (l.it ->> 'at')::timestamptz, l.ord::integer, jsonb_build_object('fn', l.it -> 'fn', 'args_summary', coalesce(l.it ->> 'args_summary', ''),
					'allowed', true, 'timestamp', l.it -> 'at', 'duration_ms', 0)
			  FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p_local) = 'array' THEN p_local ELSE '[]' END) WITH ORDINALITY AS l (it, ord)
			UNION ALL
			SELECT (l.it ->> 'timestamp')::timestamptz, l.ord::integer, jsonb_build_object('fn', 'log', 'args_summary', coalesce(theazo_internal.excerpt(l.it ->> 'message'), ''),
					'allowed', true, 'timestamp', l.it -> 'timestamp', 'duration_ms', 0)
			  FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p_logs) = 'array' THEN p_logs ELSE '[]' END) WITH ORDINALITY AS l (it, ord)) d);
END
$$;
COMMENT ON FUNCTION theazo_internal.execution_audit(text, text, jsonb, jsonb) IS 'what code asked of its host: function, arguments in short, decision, duration';

-- An answer of the loop as an output: the JSON it contains, by itself or as the one block of code in it, else the text.
CREATE OR REPLACE FUNCTION theazo_internal.output_json(p_text text)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_blocks text[] := pg_catalog.string_to_array(p_text, '```');
BEGIN
	IF pg_catalog.cardinality(v_blocks) = 3 AND v_blocks[2] OPERATOR(pg_catalog.~) '^(json)?\s*[\[{]' THEN
		RETURN pg_catalog.regexp_replace(v_blocks[2], '^json', '')::jsonb;
	ELSIF p_text OPERATOR(pg_catalog.~) '^\s*[\[{]' THEN
		RETURN p_text::jsonb;
	END IF;
	RETURN pg_catalog.to_jsonb(p_text);
EXCEPTION WHEN OTHERS THEN
	RETURN pg_catalog.to_jsonb(p_text);
END $$;
COMMENT ON FUNCTION theazo_internal.output_json(text) IS 'a text as JSON: the document it is, else a string';

CREATE OR REPLACE VIEW theazo.execution_details WITH (security_barrier) AS
SELECT e.*, p.input -> 'input' AS input,
	   CASE WHEN e.mode = 'task' THEN theazo_internal.output_json(p.result ->> 'output') ELSE nullif(p.result -> 'output', 'null') END AS output,
	   CASE WHEN e.error_code IS NOT NULL THEN jsonb_build_object('code', e.error_code, 'message', e.error_message) END AS error,
	   jsonb_build_object('cpu_ms', e.cpu_ms, 'memory_mb', e.memory_mb, 'api_calls', e.api_calls, 'host_calls', e.host_calls) AS resource_usage,
	   theazo_internal.execution_audit(e.platform_id, substr(e.run_id, 5), p.result -> 'host_calls_local', p.result -> 'logs') AS host_call_audit,
	   coalesce(p.result -> 'logs', '[]') AS logs, coalesce((p.result ->> 'logs_dropped')::integer, 0) AS logs_dropped,
	   p.result -> 'isolation' AS isolation, p.result ->> 'engine' AS engine, p.result ->> 'engine_version' AS engine_version,
	   p.result ->> 'helper_sha256' AS helper_sha256
  FROM theazo.executions e
  LEFT JOIN theazo_data.run_payload p ON p.platform_id = e.platform_id AND p.root_id = theazo_internal.run_root(e.run_id)
 WHERE (SELECT theazo_internal.may_read('run:read'))
   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(current_user) END);
COMMENT ON VIEW theazo.execution_details IS 'executions with input, output, logs, what they asked of their host, and what they ran in';

-- Without statements, so only the owners may call these.
CREATE OR REPLACE FUNCTION theazo_internal.execution_read(p_platform text, p_number bigint)
RETURNS theazo_data.execution LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_execution_read';
COMMENT ON FUNCTION theazo_internal.execution_read(text, bigint) IS 'an execution by its number, or null';

CREATE OR REPLACE FUNCTION theazo_internal.execution_append(x theazo_data.execution)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_execution_append';
COMMENT ON FUNCTION theazo_internal.execution_append(theazo_data.execution) IS 'the row of an execution, all columns given';

CREATE OR REPLACE FUNCTION theazo_internal.execution_end(
	p_platform text, p_number bigint, p_status text, p_error_code text, p_error_message text, p_started timestamptz, p_ended timestamptz,
	p_cpu_ms numeric, p_memory_mb numeric, p_api_calls integer, p_host_calls integer, p_violations integer, p_terminated boolean,
	p_evidence jsonb, p_event text)
RETURNS boolean LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_execution_end';
COMMENT ON FUNCTION theazo_internal.execution_end(text, bigint, text, text, text, timestamptz, timestamptz, numeric, numeric, integer, integer, integer, boolean, jsonb, text) IS
'the row of an execution that has ended; false when it had ended before';

CREATE OR REPLACE FUNCTION theazo_internal.execution_counted(p_platform text, p_agent text, p_ended timestamptz)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_execution_counted';
COMMENT ON FUNCTION theazo_internal.execution_counted(text, text, timestamptz) IS
'counts an execution that has ended for its agent: at once, or where many are settled, with the last of them';

CREATE OR REPLACE FUNCTION theazo_internal.executions_counted(p_platform text, p_agent text, p_count bigint, p_last timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE theazo_data.governed_agent g SET execution_count = g.execution_count + p_count, last_execution_at = greatest(g.last_execution_at, p_last)
	 WHERE g.platform_id = p_platform AND g.id = p_agent;
END $$;
COMMENT ON FUNCTION theazo_internal.executions_counted(text, text, bigint, timestamptz) IS 'adds executions that have ended to those of their agent';

CREATE OR REPLACE FUNCTION theazo_internal.execution_number(p_platform text, p_root text)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (theazo_internal.run_read(p_platform, 'run_' || p_root)).execution;
END $$;
COMMENT ON FUNCTION theazo_internal.execution_number(text, text) IS 'number of the execution that a run is, or null';

CREATE OR REPLACE FUNCTION theazo_internal.execution_of(p_platform text, p_root text)
RETURNS theazo_data.execution LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN theazo_internal.execution_read(p_platform, theazo_internal.execution_number(p_platform, p_root));
END $$;
COMMENT ON FUNCTION theazo_internal.execution_of(text, text) IS 'the execution that a run is, or nulls';

-- By number, or by the id of the run.
CREATE OR REPLACE FUNCTION theazo_internal.execution_find(p_execution text)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
	x	theazo_data.execution;
BEGIN
	IF p_execution ~ '^[0-9]{1,18}$' THEN
		x := theazo_internal.execution_read(theazo_internal.current_platform(), p_execution::bigint);
	ELSIF octet_length(p_execution) = 30 AND p_execution ~ '^run_[0-9A-HJKMNP-TV-Z]{26}$' THEN
		x := theazo_internal.execution_of(theazo_internal.current_platform(), substr(p_execution, 5));
	END IF;
	IF x.number IS NULL OR x.environment IS DISTINCT FROM theazo_internal.current_environment()
		OR theazo_internal.current_session() IS NOT NULL AND x.session_id <> theazo_internal.current_session() THEN
		PERFORM theazo_internal.raise_not_found('execution', p_execution);
	END IF;
	RETURN x.number;
END $$;
COMMENT ON FUNCTION theazo_internal.execution_find(text) IS 'number of an execution of the caller, by itself or by its run, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.execution_row(p_number bigint)
RETURNS theazo.executions LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.executions;
BEGIN
	SELECT * INTO result FROM theazo.executions e WHERE e.platform_id = theazo_internal.current_platform() AND e.execution_id = p_number;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.execution_row(bigint) IS 'an execution as the caller may see it';

-- The same of one that has just been written.
CREATE OR REPLACE FUNCTION theazo_internal.execution_shown(x theazo_data.execution, g theazo_data.governed_agent, v theazo_data.governed_version)
RETURNS theazo.executions LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN ROW(x.platform_id, x.number, x.run_id, x.agent_id, g.number, g.name, v.version, x.revision,
		x.session_id, x.environment, x.mode, x.status, x.error_code, x.error_message, x.created_at, x.started_at, x.ended_at,
		theazo_internal.execution_ms(coalesce(x.started_at, x.created_at), x.ended_at),
		x.cpu_ms, x.memory_mb, x.api_calls, x.host_calls, x.violations, x.was_terminated, x.attestation);
END $$;
COMMENT ON FUNCTION theazo_internal.execution_shown(theazo_data.execution, theazo_data.governed_agent, theazo_data.governed_version) IS
'an execution as its caller is shown it';

-- What theazo.execution_details shows of one that the caller may see, each row by its key: several times cheaper than the view.
CREATE OR REPLACE FUNCTION theazo_internal.execution_whole(p_platform text, p_number bigint)
RETURNS theazo.execution_details LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	x	theazo_data.execution := theazo_internal.execution_read(p_platform, p_number);
	g	theazo_data.governed_agent;
	v	theazo_data.governed_version;
	p	theazo_data.run_payload;
	e	theazo.executions;
BEGIN
	SELECT * INTO g FROM theazo_data.governed_agent y WHERE y.platform_id = p_platform AND y.id = x.agent_id;
	SELECT * INTO v FROM theazo_data.governed_version y WHERE y.platform_id = p_platform AND y.agent_id = x.agent_id AND y.revision = x.revision;
	p := theazo_internal.run_payload_read(p_platform, substr(x.run_id, 5));
	e := theazo_internal.execution_shown(x, g, v);
	RETURN ROW(e.*, p.input -> 'input',
		CASE WHEN e.mode = 'task' THEN theazo_internal.output_json(p.result ->> 'output') ELSE nullif(p.result -> 'output', 'null') END,
		CASE WHEN e.error_code IS NOT NULL THEN jsonb_build_object('code', e.error_code, 'message', e.error_message) END,
		jsonb_build_object('cpu_ms', e.cpu_ms, 'memory_mb', e.memory_mb, 'api_calls', e.api_calls, 'host_calls', e.host_calls),
		theazo_internal.execution_audit(p_platform, substr(e.run_id, 5), p.result -> 'host_calls_local', p.result -> 'logs'),
		coalesce(p.result -> 'logs', '[]'), coalesce((p.result ->> 'logs_dropped')::integer, 0),
		p.result -> 'isolation', p.result ->> 'engine', p.result ->> 'engine_version', p.result ->> 'helper_sha256');
END $$;
COMMENT ON FUNCTION theazo_internal.execution_whole(text, bigint) IS 'an execution with input, output, logs and host calls; the caller has found that it may be shown';

-- ---------------------------------------------------------------------------------------
-- starting

-- All strings of a document, at any depth, names included: what the content filter reads.
CREATE OR REPLACE FUNCTION theazo_internal.json_text(p_doc jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	CASE pg_catalog.jsonb_typeof(p_doc)
		WHEN 'string' THEN RETURN p_doc #>> '{}';
		WHEN 'object', 'array' THEN
			RETURN pg_catalog.concat_ws(E'\n',
				(SELECT pg_catalog.string_agg(x #>> '{}', E'\n') FROM pg_catalog.jsonb_path_query(p_doc, 'strict $.** ? (@.type() == "string")') x),
				(SELECT pg_catalog.string_agg(k ->> 'key', E'\n') FROM pg_catalog.jsonb_path_query(p_doc, 'strict $.** ? (@.type() == "object").keyvalue()') k));
		ELSE RETURN '';
	END CASE;
END $$;
COMMENT ON FUNCTION theazo_internal.json_text(jsonb) IS 'the strings of a document, at any depth';

-- The policy of an execution: the agent's, with what code may use of the machine.
CREATE OR REPLACE FUNCTION theazo_internal.execution_policy(a theazo_data.agent, p_held jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	p	jsonb := theazo_internal.policy_of(a);
	c	jsonb := p_held -> 'config';
BEGIN
	-- what the platform has lowered since holds
	RETURN p || pg_catalog.jsonb_build_object('run', pg_catalog.jsonb_build_object(
		'memory_mb', least((c ->> 'memory_limit_mb')::integer, (p #>> '{limits,maxMemoryMb}')::integer),
		'time_ms', least((c ->> 'cpu_time_limit_ms')::integer, (p #>> '{limits,maxExecutionTimeSec}')::integer * 1000),
		'max_api_calls', least((c ->> 'max_api_calls_per_run')::integer, (p #>> '{limits,maxApiCallsPerRun}')::integer),
		'calls_per_minute', p #> '{limits,maxApiCallsPerMinute}',
		'allow_network', coalesce((a.options -> 'network' ->> 'enabled')::boolean, false),
		'allowed_domains', coalesce(a.options -> 'network' -> 'allow', '[]')));
END $$;
COMMENT ON FUNCTION theazo_internal.execution_policy(theazo_data.agent, jsonb) IS 'what holds for an execution that begins now';

-- The same again and again, so it is remembered: what the platform allows and its guardrails move the memo.
CREATE OR REPLACE FUNCTION theazo_internal.execution_policy_known(p_platform text, p_definition text, p_options jsonb, p_document jsonb)
RETURNS jsonb LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_execution_policy_known';
COMMENT ON FUNCTION theazo_internal.execution_policy_known(text, text, jsonb, jsonb) IS 'the policy of an execution if it was made before and still holds, or null';

CREATE OR REPLACE FUNCTION theazo_internal.execution_policy_keep(p_platform text, p_definition text, p_options jsonb, p_document jsonb, p_policy jsonb)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_execution_policy_keep';
COMMENT ON FUNCTION theazo_internal.execution_policy_keep(text, text, jsonb, jsonb, jsonb) IS 'remembers the policy that was made since execution_policy_known() had none';

-- In the caller's transaction, before anything is written: state of the agent and its session, the gate, the budgets.
CREATE OR REPLACE FUNCTION theazo_internal.execution_admit(
	g theazo_data.governed_agent, a theazo_data.agent, p_policy jsonb, p_labels text[], p_run text, p_parent_root text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_refusal	jsonb;
	v_status	text;
	v_reason	text;
BEGIN
	v_refusal := theazo_internal.gate('script.run', a.platform_id, a.key_environment, a.session_id, a.id, p_run, p_parent_root, p_policy, p_labels);
	IF v_refusal ? 'sqlstate' THEN
		PERFORM theazo_internal.gate_raise(v_refusal, 'script.run', a.platform_id, a.key_environment, a.session_id, a.id, NULL);
	ELSIF a.status = 'completed' THEN
		PERFORM theazo_internal.raise_state('governed agent', g.id, 'ended', 'execute', theazo_internal.governed_ended_hint());
	ELSIF g.status <> 'ready' THEN
		PERFORM theazo_internal.raise_state('governed agent', g.id, g.status, 'execute', theazo_internal.governed_ready_hint());
	END IF;
	SELECT s.status, s.paused_reason INTO v_status, v_reason FROM theazo_data.session s WHERE s.platform_id = a.platform_id AND s.id = a.session_id;
	IF v_status <> 'active' THEN
		PERFORM theazo_internal.budget_check(a.platform_id, a.key_environment, a.session_id, a.user_id, a.id, false);
		RAISE EXCEPTION USING ERRCODE = 'TZ101', MESSAGE = pg_catalog.format('session "%s" is %s', a.session_id, v_status),
			DETAIL = coalesce(pg_catalog.format('Reason: %s.', v_reason), ''), HINT = 'Resume the session first.';
	ELSIF theazo_internal.agent_resting(a) THEN
		PERFORM theazo_internal.raise_state('governed agent', g.id, 'paused', 'execute', 'Resume it with theazo.agent_resume().');
	END IF;
	PERFORM theazo_internal.budget_check(a.platform_id, a.key_environment, a.session_id, a.user_id, a.id, false);
END $$;
COMMENT ON FUNCTION theazo_internal.execution_admit(theazo_data.governed_agent, theazo_data.agent, jsonb, text[], text, text) IS
'may an execution of this agent begin, or why not';

-- Run, payload and trace of an execution of code; p_status: queued, or failed for one that never begins.
CREATE OR REPLACE FUNCTION theazo_internal.script_make(
	a theazo_data.agent, p_run text, p_execution bigint, p_input jsonb, p_time_ms integer, p_status text, p_parent text, p_error jsonb DEFAULT NULL)
RETURNS theazo_data.run LANGUAGE plpgsql AS $$
DECLARE
	v_root	text := substr(p_run, 5);
	r		theazo_data.run;
BEGIN
	r.platform_id := a.platform_id;
	r.id := p_run;
	r.session_id := a.session_id;
	r.agent_id := a.id;
	r.user_id := a.user_id;
	r.environment := a.key_environment;
	r.kind := 'script';
	r.status := p_status;
	r.provider := 'theazo';
	r.timeout_ms := p_time_ms;
	r.created_at := now();
	r.cost := 0;
	r.trace_id := 'tr_' || v_root;
	r.outcome_unknown := false;
	r.cancel_requested := false;
	r.parent_id := p_parent;
	r.execution := p_execution;
	IF p_status = 'failed' THEN
		r.ended_at := clock_timestamp();
		r.error_sqlstate := p_error ->> 'sqlstate';
		r.error_code := p_error ->> 'code';
		r.error_message := p_error ->> 'message';
		r.error_hint := p_error ->> 'hint';
	END IF;
	PERFORM theazo_internal.run_append(r);
	PERFORM theazo_internal.run_payload_append(a.platform_id, v_root, p_input);
	PERFORM theazo_internal.span_write(a.platform_id, v_root, r.trace_id, r.trace_id, NULL, a.key_environment, a.session_id, a.id, p_run, 'script',
		CASE p_status WHEN 'failed' THEN 'failed' ELSE 'running' END, clock_timestamp(), r.ended_at);
	RETURN r;
END $$;
COMMENT ON FUNCTION theazo_internal.script_make(theazo_data.agent, text, bigint, jsonb, integer, text, text, jsonb) IS 'writes run, payload and trace of an execution of code';

-- What the loop is told: the task, and the data as JSON.
CREATE OR REPLACE FUNCTION theazo_internal.task_text(p_task text, p_data jsonb)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN p_task || CASE WHEN p_data IS NULL THEN '' ELSE E'\n\nData (JSON):\n' || p_data::text END;
COMMENT ON FUNCTION theazo_internal.task_text(text, jsonb) IS 'a task with its data, as the loop is given it';

CREATE OR REPLACE FUNCTION theazo_internal.execution_make(g theazo_data.governed_agent, p_input jsonb, p_task text, p_data jsonb, p_parent text)
RETURNS theazo.executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a			theazo_data.agent;
	v			theazo_data.governed_version;
	r			theazo_data.run;
	x			theazo_data.execution;
	v_run		text := theazo_internal.id_new('run');
	v_parent	text;
	v_doc		jsonb;
	v_verdict	jsonb;
	v_error		jsonb;
BEGIN
	SELECT * INTO a FROM theazo_data.agent y WHERE y.platform_id = g.platform_id AND y.id = g.id;
	SELECT * INTO v FROM theazo_data.governed_version y WHERE y.platform_id = g.platform_id AND y.agent_id = g.id AND y.revision = g.revision;
	IF p_parent IS NOT NULL THEN
		v_parent := theazo_internal.loop_spawn(a, p_parent);
	END IF;
	x.platform_id := g.platform_id;
	x.number := theazo_internal.number_new();
	x.agent_id := g.id;
	x.session_id := g.session_id;
	x.environment := g.environment;
	x.revision := g.revision;
	x.mode := CASE WHEN v.entry_code IS NULL THEN 'task' ELSE 'code' END;
	x.policy := theazo_internal.execution_policy_known(a.platform_id, a.definition_id, a.options, v.document);
	IF x.policy IS NULL THEN
		x.policy := theazo_internal.execution_policy(a, theazo_internal.governed_held(v.document, a.options));
		PERFORM theazo_internal.execution_policy_keep(a.platform_id, a.definition_id, a.options, v.document, x.policy);
	END IF;
	x.labels := theazo_internal.flow_begin(a, '{}', '{}', v_parent);
	PERFORM theazo_internal.execution_admit(g, a, x.policy, x.labels, v_run, v_parent);
	IF x.mode = 'task' AND p_task IS NULL THEN
		PERFORM theazo_internal.raise_value('task', 'is missing', 'The agent has no entry_code, so it needs a task.');
	END IF;
	v_doc := coalesce(CASE WHEN p_task IS NOT NULL THEN jsonb_build_object('task', p_task, 'data', p_data) END, p_input, '{}');
	IF theazo_internal.guardrails_on(x.policy -> 'guardrails') THEN
		v_verdict := theazo_internal.execution_judged(x.policy -> 'guardrails', g.platform_id, v_doc, x.mode);
	END IF;
	IF x.mode = 'task' AND NOT (v_verdict IS NOT NULL AND theazo_internal.safety_stops(v_verdict)) THEN
		a := theazo_internal.agent_take(g.id, true);
		PERFORM theazo_internal.loop_allowed(a);
		v_run := theazo_internal.loop_make(a, theazo_internal.task_text(p_task, p_data), jsonb_build_object('execution_id', x.number,
			'timeout_ms', x.policy #> '{run,time_ms}', 'input', v_doc), theazo_internal.outer_role(), p_parent);
		RETURN theazo_internal.execution_shown(theazo_internal.execution_insert(x, v_run, NULL), g, v);
	END IF;
	IF v_verdict IS NOT NULL AND theazo_internal.safety_stops(v_verdict) THEN
		v_error := theazo_internal.safety_error('the input', v_verdict);
	END IF;
	r := theazo_internal.script_make(a, v_run, x.number, jsonb_build_object('execution', v_run, 'execution_id', x.number, 'agent_name', g.name, 'agent_version', v.version,
			'revision', g.revision, 'input', v_doc) || (x.policy -> 'run'), (x.policy #>> '{run,time_ms}')::integer,
		CASE WHEN v_error IS NULL THEN 'queued' ELSE 'failed' END, p_parent, v_error);
	IF v_verdict IS NOT NULL THEN
		PERFORM theazo_internal.safety_note(r, 'the input', v_verdict);
	END IF;
	x := theazo_internal.execution_insert(x, v_run, v_error);
	IF v_error IS NULL THEN
		-- a dispatcher that has no place for it now gives it back; it must not wait for ever
		PERFORM theazo_internal.effect_enqueue(g.platform_id, substr(v_run, 5), 'script.run', 'script', NULL, v_run, g.session_id, g.id,
			p_timeout_ms => r.timeout_ms + 5000);
	END IF;
	RETURN theazo_internal.execution_shown(x, g, v);
END $$;
COMMENT ON FUNCTION theazo_internal.execution_make(theazo_data.governed_agent, jsonb, text, jsonb, text) IS
'writes an execution of a governed agent and queues its code, or gives its task to the loop; returns it';

-- The verdict about what goes in. What a task says is a prompt, and has the length of one at most.
CREATE OR REPLACE FUNCTION theazo_internal.execution_judged(p_guard jsonb, p_platform text, p_input jsonb, p_mode text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_text text := theazo_internal.json_text(p_input);
BEGIN
	IF p_mode = 'task' AND pg_catalog.char_length(v_text) > 32000 THEN
		RETURN '{"stage": "input", "status": "blocked", "type": "content_filter", "category": "prompt_length", "rule": "prompt_length",
			"reason": "longer than 32000 characters"}';
	END IF;
	RETURN theazo_internal.safety_judge(p_platform, p_guard, 'input', v_text);
END $$;
COMMENT ON FUNCTION theazo_internal.execution_judged(jsonb, text, jsonb, text) IS 'the verdict about the input of an execution';

-- p_error: it was blocked and is over.
CREATE OR REPLACE FUNCTION theazo_internal.execution_insert(x theazo_data.execution, p_run text, p_error jsonb)
RETURNS theazo_data.execution LANGUAGE plpgsql AS $$
DECLARE
	v_event text;
BEGIN
	IF p_error IS NOT NULL THEN
		v_event := theazo_internal.event_write(x.platform_id, 'execution', 'execution_failed', jsonb_build_object('kind', 'script', 'execution', x.number,
			'error', p_error -> 'code', 'message', p_error -> 'message'), x.session_id, x.agent_id, p_run, x.environment, 'deny', 'content_filter');
	ELSE
		PERFORM theazo_internal.event_write(x.platform_id, 'execution', 'execution_requested', jsonb_build_object('execution', x.number, 'mode', x.mode,
			'revision', x.revision, 'policy', x.policy -> 'version'), x.session_id, x.agent_id, p_run, x.environment);
	END IF;
	x.run_id := p_run;
	x.status := 'running';
	x.created_at := clock_timestamp();
	x.api_calls := 0;
	x.host_calls := 0;
	x.violations := 0;
	x.was_terminated := false;
	IF p_error IS NOT NULL THEN
		x.status := 'blocked';
		x.error_code := 'CONTENT_BLOCKED';
		x.error_message := p_error ->> 'message';
		x.ended_at := x.created_at;
		x.violations := 1;
		x.end_event := v_event;
	END IF;
	PERFORM theazo_internal.execution_append(x);
	RETURN x;
END $$;
COMMENT ON FUNCTION theazo_internal.execution_insert(theazo_data.execution, text, jsonb) IS 'writes the row of an execution, with its event, and returns it';

-- ---------------------------------------------------------------------------------------
-- faces

CREATE OR REPLACE FUNCTION theazo.execution_start(
	agent text, input jsonb DEFAULT NULL, task text DEFAULT NULL, data jsonb DEFAULT NULL, idempotency_key text DEFAULT NULL,
	parent text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	g		theazo_data.governed_agent;
	v_hash	bytea;
	v_run	text;
	result	theazo.executions;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	IF octet_length(input::text) > 1048576 OR octet_length(data::text) > 1048576 THEN
		PERFORM theazo_internal.raise_value(CASE WHEN octet_length(data::text) > 1048576 THEN 'data' ELSE 'input' END, 'is larger than 1 MiB',
			'Put larger things into the context of the agent, or where it can fetch them.');
	ELSIF input IS NOT NULL AND task IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('input', 'does not go with task', 'Give input, or task with data.');
	ELSIF task IS NULL AND data IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('data', 'does not go without task', 'Give input, or task with data.');
	ELSIF task IS NOT NULL AND (btrim(task, E' \t\r\n') = '' OR octet_length(task) > 262144) THEN
		PERFORM theazo_internal.raise_value('task', 'must have 1 to 262144 bytes', 'Say what the agent is to do.');
	END IF;
	g := theazo_internal.governed_find(agent);
	IF idempotency_key IS NOT NULL THEN
		v_hash := sha256(convert_to(jsonb_build_array(input, task, data)::text, 'UTF8'));
		v_run := theazo_internal.idempotent_run('execution:', g.id, idempotency_key, v_hash);
	END IF;
	IF v_run IS NOT NULL THEN
		-- of the agent that was found for the caller
		RETURN theazo_internal.execution_row(theazo_internal.execution_number(theazo_internal.current_platform(), substr(v_run, 5)));
	END IF;
	result := theazo_internal.execution_make(g, input, task, data, coalesce(parent, theazo_internal.current_run()));
	IF idempotency_key IS NOT NULL THEN
		PERFORM theazo_internal.idempotent_keep('execution:', g.id, idempotency_key, v_hash, result.run_id);
	END IF;
	RETURN CASE WHEN theazo_internal.may_read('run:read') THEN result END;
END $$;
COMMENT ON FUNCTION theazo.execution_start(text, jsonb, text, jsonb, text, text, text) IS
'starts a governed agent, by id, number or name, and returns the execution at once; task, with data, is for agents that work through the loop, and is what code gets as {task, data}';

CREATE OR REPLACE FUNCTION theazo.agent_run(name text, input jsonb DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	RETURN (theazo.execution_start(agent_run.name, agent_run.input)).execution_id;
END $$;
COMMENT ON FUNCTION theazo.agent_run(text, jsonb, text) IS
'starts a governed agent by its name, from wherever SQL runs: a statement, a trigger, pg_cron; returns the number of the execution, which begins when the transaction commits';

CREATE OR REPLACE FUNCTION theazo.execution_get(execution text, api_key text DEFAULT NULL)
RETURNS theazo.execution_details LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_number bigint;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	v_number := theazo_internal.execution_find(execution_get.execution);
	IF theazo_internal.current_run() IS NOT NULL THEN
		PERFORM theazo_internal.flow_look((theazo_internal.execution_row(v_number)).run_id);
	END IF;
	RETURN theazo_internal.execution_whole(theazo_internal.current_platform(), v_number);
END $$;
COMMENT ON FUNCTION theazo.execution_get(text, text) IS 'one execution with input, output, logs and host calls, by number or by its run';

CREATE OR REPLACE FUNCTION theazo.execution_list(
	agent text DEFAULT NULL, status text DEFAULT NULL, page integer DEFAULT 1, page_size integer DEFAULT 20, api_key text DEFAULT NULL)
RETURNS SETOF theazo.executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_agent text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	PERFORM theazo_internal.page_check(page, page_size);
	IF status IS NOT NULL THEN
		PERFORM theazo_internal.one_of('status', status, 'running', 'completed', 'failed', 'terminated', 'blocked');
	END IF;
	IF agent IS NOT NULL THEN
		v_agent := (theazo_internal.governed_find(agent)).id;
	END IF;
	RETURN QUERY
	SELECT e.* FROM theazo.executions e
	 WHERE e.platform_id = theazo_internal.current_platform() AND (v_agent IS NULL OR e.agent_id = v_agent)
	   AND (execution_list.status IS NULL OR e.status = execution_list.status)
	 ORDER BY e.execution_id DESC LIMIT page_size OFFSET (page - 1)::bigint * page_size;
END $$;
COMMENT ON FUNCTION theazo.execution_list(text, text, integer, integer, text) IS 'executions of one governed agent or all, newest first, in pages counted from 1';

CREATE OR REPLACE FUNCTION theazo.execution_wait(execution text, timeout interval DEFAULT '25 s', api_key text DEFAULT NULL)
RETURNS theazo.executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_number bigint;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	v_number := theazo_internal.execution_find(execution_wait.execution);
	PERFORM theazo.run_wait((theazo_internal.execution_row(v_number)).run_id, execution_wait.timeout);
	RETURN theazo_internal.execution_row(v_number);
END $$;
COMMENT ON FUNCTION theazo.execution_wait(text, interval, text) IS 'waits until an execution has ended, at most 25 s, and returns it as it stands';

CREATE OR REPLACE FUNCTION theazo.execution_cancel(execution text, api_key text DEFAULT NULL)
RETURNS theazo.executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_number bigint;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	v_number := theazo_internal.execution_find(execution_cancel.execution);
	PERFORM theazo.run_cancel((theazo_internal.execution_row(v_number)).run_id);
	RETURN theazo_internal.execution_row(v_number);
END $$;
COMMENT ON FUNCTION theazo.execution_cancel(text, text) IS 'cuts an execution; what it logged stays';
