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
-- Rows. What each step writes is written without a statement and asks no privilege: only the owners may call these.
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.message_append(
	p_platform text, p_root text, p_seq integer, p_role text, p_canonical jsonb, p_dialect text, p_wire text, p_tokens integer)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_message_append';
COMMENT ON FUNCTION theazo_internal.message_append(text, text, integer, text, jsonb, text, text, integer) IS 'the row of a message';

CREATE OR REPLACE FUNCTION theazo_internal.run_read(p_platform text, p_run text)
RETURNS theazo_data.run LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_run_read';
COMMENT ON FUNCTION theazo_internal.run_read(text, text) IS 'a run by its id, or null; without a statement, so only the owners may call it';

CREATE OR REPLACE FUNCTION theazo_internal.run_payload_read(p_platform text, p_root text)
RETURNS theazo_data.run_payload LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_run_payload_read';
COMMENT ON FUNCTION theazo_internal.run_payload_read(text, text) IS 'what went into a run and came out of it, or null; without a statement, so only the owners may call it';

CREATE OR REPLACE FUNCTION theazo_internal.run_append(r theazo_data.run)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_run_append';
COMMENT ON FUNCTION theazo_internal.run_append(theazo_data.run) IS 'the row of a run, all columns given';

CREATE OR REPLACE FUNCTION theazo_internal.run_loop_append(l theazo_data.run_loop)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_run_loop_append';
COMMENT ON FUNCTION theazo_internal.run_loop_append(theazo_data.run_loop) IS 'what a run of the loop needs beside its row, all columns given';

CREATE OR REPLACE FUNCTION theazo_internal.run_payload_append(p_platform text, p_root text, p_input jsonb)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_run_payload_append';
COMMENT ON FUNCTION theazo_internal.run_payload_append(text, text, jsonb) IS 'what goes into a run';

CREATE OR REPLACE FUNCTION theazo_internal.step_append(
	p_platform text, p_root text, p_seq integer, p_round integer, p_kind text, p_state text, p_name text, p_call text, p_effect text,
	p_provider text, p_adapter text, p_started timestamptz DEFAULT NULL, p_ended timestamptz DEFAULT NULL, p_ended_no integer DEFAULT NULL,
	p_error_code text DEFAULT NULL)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_step_append';
COMMENT ON FUNCTION theazo_internal.step_append(text, text, integer, integer, text, text, text, text, text, text, text, timestamptz, timestamptz,
	integer, text) IS 'the row of a step at its first attempt';

CREATE OR REPLACE FUNCTION theazo_internal.step_payload_append(
	p_platform text, p_root text, p_seq integer, p_input jsonb, p_output text, p_raw jsonb DEFAULT NULL)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_step_payload_append';
COMMENT ON FUNCTION theazo_internal.step_payload_append(text, text, integer, jsonb, text, jsonb) IS 'what went into a step and what came out';

CREATE OR REPLACE FUNCTION theazo_internal.step_close(
	p_platform text, p_root text, p_seq integer, p_state text, p_input bigint, p_cache_read bigint, p_cache_write bigint, p_output bigint,
	p_reasoning bigint, p_cost bigint, p_estimated boolean, p_stop text, p_request text, p_started timestamptz, p_ended timestamptz,
	p_error_code text, p_error_message text)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_step_close';
COMMENT ON FUNCTION theazo_internal.step_close(text, text, integer, text, bigint, bigint, bigint, bigint, bigint, bigint, boolean, text, text,
	timestamptz, timestamptz, text, text) IS 'the row of a model call that has ended; counts and cost are added to those of earlier attempts';

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
	PERFORM theazo_internal.message_append(l.platform_id, l.root_id, l.messages, p_role, p_canonical, v_dialect, v_wire, v_tokens);
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
	IF a.memory_root IS NULL THEN
		prior := '{}';
		prior_tokens := '{}';
		RETURN;
	END IF;
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
	l			theazo_data.run_loop;
	v_entry		jsonb;
	v_dialect	text;
	v_root		text;
	v_parts		text[];
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = p_platform AND x.root_id = p_root;
	v_entry := l.chain -> l.at;
	v_dialect := v_entry ->> 'dialect';
	request := jsonb_strip_nulls(jsonb_build_object(
		'model', v_entry -> 'sent', 'step', l.last_seq, 'api', v_entry -> 'api', 'system', nullif(l.system, ''), 'stream', true,
		'max_tokens', l.options -> 'max_tokens', 'temperature', l.options -> 'temperature', 'guard', theazo_internal.safety_stream(l)))
		|| CASE WHEN l.options ? 'schema'
				THEN jsonb_build_object('response_schema', jsonb_build_object('name', 'answer', 'schema', l.options -> 'schema')) ELSE '{}' END
		|| CASE WHEN l.tools = '[]' THEN '{}' ELSE jsonb_build_object('tools', l.tools) END
		-- Its beginning comes again, in the next round or the next run. What is asked once is not worth the price of storing it.
		|| CASE WHEN l.tools <> '[]' OR l.prior <> '{}' OR l.model_calls > 1 THEN jsonb_build_object('cache_key', l.agent_id) ELSE '{}' END;
	-- Run by run: a join would be free to read all messages of the platform.
	FOREACH v_root IN ARRAY l.prior || p_root
	LOOP
		-- An empty answer is no message: it has no wire form.
		v_parts := v_parts || (SELECT string_agg(nullif(CASE WHEN m.dialect = v_dialect THEN m.wire
												 ELSE theazo_internal.model_encode(v_dialect, m.canonical) END, ''), ',' ORDER BY m.seq)
					 FROM theazo_data.message m WHERE m.platform_id = p_platform AND m.root_id = v_root);
	END LOOP;
	content := convert_to(nullif(array_to_string(v_parts, ','), ''), 'UTF8');
END
$$;
COMMENT ON FUNCTION theazo_internal.model_request(text, text) IS
'request of a run''s next model call: the document, and the history as it goes out';

-- ----------------------------------------------------------------------------
-- Start
-- ----------------------------------------------------------------------------
-- May this run begin, as a child of another one where there is a parent: fills in what holds for it from now on.
CREATE OR REPLACE FUNCTION theazo_internal.loop_admit(INOUT l theazo_data.run_loop, a theazo_data.agent, p_parent text)
LANGUAGE plpgsql
AS $$
DECLARE
	v_refusal	jsonb;
	v_inputs	text[];
BEGIN
	IF p_parent IS NOT NULL THEN
		l.parent_root := theazo_internal.loop_spawn(a, p_parent);
	END IF;
	l.policy := theazo_internal.policy_of(a);
	l.started_by := theazo_internal.principals();
	SELECT array_agg(DISTINCT x.label) INTO v_inputs
	  FROM theazo_data.agent_input i CROSS JOIN LATERAL unnest(i.labels) AS x (label)
	 WHERE i.platform_id = a.platform_id AND i.agent_id = a.id AND i.run_id IS NULL;
	l.labels := coalesce(theazo_internal.flow_begin(a, l.prior, coalesce(v_inputs, '{}'), l.parent_root), '{}');
	v_refusal := theazo_internal.gate('run.start', a.platform_id, a.key_environment, a.session_id, a.id, NULL, l.parent_root, l.policy, l.labels);
	IF v_refusal ? 'sqlstate' THEN
		PERFORM theazo_internal.gate_raise(v_refusal, 'run.start', a.platform_id, a.key_environment, a.session_id, a.id, NULL);
	END IF;
	PERFORM theazo_internal.budget_check(a.platform_id, a.key_environment, a.session_id, a.user_id, a.id, false);
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_admit(theazo_data.run_loop, theazo_data.agent, text) IS
'has a run pass the gate before it begins, with its policy and the labels it begins with';

-- The root of the run that starts another one. It must be at work for the same platform and environment, and allowed to.
CREATE OR REPLACE FUNCTION theazo_internal.loop_spawn(a theazo_data.agent, p_parent text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	p			theazo_data.run_loop;
	r			theazo_data.run;
	v_refusal	jsonb;
	v_depth		integer := 1;
	v_root		text;
BEGIN
	IF p_parent ~ '^run_[0-9A-HJKMNP-TV-Z]{26}$' THEN
		SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = a.platform_id AND x.id = p_parent AND x.environment = a.key_environment;
		SELECT * INTO p FROM theazo_data.run_loop x WHERE x.platform_id = a.platform_id AND x.root_id = theazo_internal.id_root(p_parent);
	END IF;
	IF r.id IS NULL OR p.root_id IS NULL OR r.session_id <> theazo_internal.current_session() THEN
		PERFORM theazo_internal.raise_not_found('run', p_parent);
	ELSIF r.status NOT IN ('queued', 'running') THEN
		PERFORM theazo_internal.raise_state('run', r.id, r.status, 'spawn', 'Only a run that is at work starts others.');
	ELSIF r.agent_id = a.id THEN
		PERFORM theazo_internal.raise_state('agent', a.id, a.status, 'spawn', 'A run starts runs of other agents.');
	END IF;
	v_root := p.parent_root;
	WHILE v_root IS NOT NULL
	LOOP
		v_depth := v_depth + 1;
		SELECT x.parent_root INTO v_root FROM theazo_data.run_loop x WHERE x.platform_id = a.platform_id AND x.root_id = v_root;
	END LOOP;
	IF v_depth >= 8 THEN
		PERFORM theazo_internal.raise_ceiling('runs in a row that started each other', 8, 'Have a run further up start it.');
	END IF;
	v_refusal := theazo_internal.gate('run.spawn', p.platform_id, r.environment, r.session_id, r.agent_id, r.id, p.parent_root, p.policy, p.labels);
	IF v_refusal ? 'sqlstate' THEN
		PERFORM theazo_internal.gate_raise(v_refusal, 'run.spawn', r.platform_id, r.environment, r.session_id, r.agent_id, r.id);
	END IF;
	RETURN p.root_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_spawn(theazo_data.agent, text) IS 'root of the run that starts another one, or why it may not';

-- p_options: max_cost (millionths of a cent), timeout_ms, max_steps, schema. p_role: whom SQL tools act for. p_parent: the run that
-- starts it. The agent is locked.
CREATE OR REPLACE FUNCTION theazo_internal.loop_make(p_agent theazo_data.agent, p_task text, p_options jsonb, p_role name, p_parent text DEFAULT NULL)
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
	v_verdict jsonb;
	v_texts	text[] := '{}';
	v_asked	boolean;
BEGIN
	l.platform_id := a.platform_id;
	l.root_id := v_root;
	l.agent_id := a.id;
	l.cost_cap := least((p_options ->> 'max_cost')::bigint, theazo_internal.agent_cap_left(a));
	IF l.cost_cap <= 0 THEN
		PERFORM theazo_internal.event_refused(a.platform_id, 'limit', 'limit_hit', '{"code": "TZ202"}', a.session_id, a.id,
			p_environment => a.key_environment, p_rule => CASE WHEN (p_options ->> 'max_cost')::bigint <= 0 THEN 'max_cost' ELSE 'costCap' END);
		RAISE EXCEPTION USING ERRCODE = 'TZ202', MESSAGE = format('agent "%s" may not spend anything: %s', a.id,
				CASE WHEN (p_options ->> 'max_cost')::bigint <= 0 THEN 'max_cost is 0' ELSE 'its costCap is used up' END),
			DETAIL = theazo_internal.budget_refusal('run', 'maxCost', 'the run',
				CASE WHEN (p_options ->> 'max_cost')::bigint <= 0 THEN 0 ELSE (a.options -> 'costCap' ->> 'amount')::numeric END,
				CASE WHEN (p_options ->> 'max_cost')::bigint <= 0 THEN 0 ELSE theazo_internal.cents(theazo_internal.agent_spent(a)) END) ->> 'detail',
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
	l := theazo_internal.loop_admit(l, a, p_parent);
	l.cost_cap := least(l.cost_cap, theazo_internal.bound_cap(l));
	v_verdict := theazo_internal.safety_input(a, 'input', p_task);
	IF (theazo_internal.safety_guard(l) ->> 'maxOutputTokens')::integer < (l.options ->> 'max_tokens')::integer THEN
		l.options := jsonb_set(l.options, '{max_tokens}', theazo_internal.safety_guard(l) -> 'maxOutputTokens');
	END IF;

	r.platform_id := a.platform_id;
	r.id := v_run;
	r.session_id := a.session_id;
	r.agent_id := a.id;
	r.user_id := a.user_id;
	r.environment := a.key_environment;
	r.kind := 'agent';
	r.status := 'running';
	r.provider := a.provider;
	r.timeout_ms := coalesce((p_options ->> 'timeout_ms')::integer, least(86400000, ceil(coalesce((a.options ->> 'timeout')::numeric, 300) * 1000))::integer);
	r.timeout_ms := least(r.timeout_ms, theazo_internal.policy_time_ms(l.policy));
	r.created_at := now();
	r.started_at := v_now;
	r.cost := 0;
	r.trace_id := 'tr_' || v_root;
	r.outcome_unknown := false;
	r.cancel_requested := false;
	r.parent_id := p_parent;
	r.execution := (p_options ->> 'execution_id')::bigint;
	PERFORM theazo_internal.run_append(r);
	l.deadline := v_now + r.timeout_ms * '1 millisecond'::interval;
	PERFORM theazo_internal.run_payload_append(a.platform_id, v_root, jsonb_build_object('task', p_task) || p_options);
	FOR i IN
		SELECT x.* FROM theazo_data.agent_input x
		 WHERE x.platform_id = a.platform_id AND x.agent_id = a.id AND x.run_id IS NULL ORDER BY x.created_at, x.id FOR UPDATE
	LOOP
		UPDATE theazo_data.agent_input x SET run_id = v_run WHERE x.platform_id = i.platform_id AND x.id = i.id;
		l.started_by := l.started_by || i.sent_by;
		l := theazo_internal.message_add(l, 'user', jsonb_build_object('role', 'user', 'text', format('[%s] %s', i.type, i.content)));
		v_texts := v_texts || format('[%s] %s', i.type, i.content);
	END LOOP;
	l := theazo_internal.message_add(l, 'user', jsonb_build_object('role', 'user', 'text', p_task));
	v_asked := theazo_internal.safety_ask_input(l, r, v_texts, p_task, v_verdict);
	IF v_asked THEN
		-- No call of a model before the verdict.
		l.model_calls := 0;
		l.last_seq := 0;
	ELSE
		PERFORM theazo_internal.verdict_write(r, v_verdict);
	END IF;
	PERFORM theazo_internal.run_loop_append(l);
	PERFORM theazo_internal.span_write(a.platform_id, v_root, r.trace_id, r.trace_id, NULL, r.environment, a.session_id, a.id, v_run, 'agent',
		'running', v_now, NULL);
	PERFORM theazo_internal.event_write(a.platform_id, 'execution', 'execution_started',
		jsonb_build_object('kind', 'agent', 'model', l.chain -> 0 -> 'model', 'tools', encode(l.tools_hash, 'hex'), 'task', theazo_internal.excerpt(p_task)),
		a.session_id, a.id, v_run, r.environment);
	UPDATE theazo_data.agent x
	   SET run_id = v_run, task_run_id = v_run, retry_at = NULL, status = CASE x.status WHEN 'booting' THEN x.status ELSE 'running' END,
		   paused_at = NULL, paused_by = NULL, error = CASE WHEN x.status = 'failed' THEN NULL ELSE x.error END,
		   parent_run_id = CASE WHEN x.one_shot THEN p_parent ELSE x.parent_run_id END
	 WHERE x.platform_id = a.platform_id AND x.id = a.id;
	-- for who follows the agent, and waits for its next run
	PERFORM theazo_internal.run_moved(a.id);
	-- The time a sandbox idles up to here is the session's, from here on the run's.
	IF a.sandbox_id IS NOT NULL THEN
		PERFORM theazo_internal.sandbox_bill(a.platform_id, s.id, v_now, true)
		   FROM (SELECT y.id FROM theazo_data.sandbox y
				  WHERE y.platform_id = a.platform_id AND y.id = a.sandbox_id AND y.status = 'ready' FOR UPDATE) s;
	END IF;
	IF NOT v_asked THEN
		PERFORM theazo_internal.loop_send(l, r, 1, 1);
	END IF;
	RETURN v_run;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_make(theazo_data.agent, text, jsonb, name, text) IS
'writes a run of the agent loop and queues its first model call';

-- ----------------------------------------------------------------------------
-- What comes next
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.loop_save(l theazo_data.run_loop)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_loop_save';
COMMENT ON FUNCTION theazo_internal.loop_save(theazo_data.run_loop) IS 'stores the counters of a run';

-- The next model call. The run ends here when it may not have one.
CREATE OR REPLACE FUNCTION theazo_internal.loop_call(l theazo_data.run_loop, r theazo_data.run)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_text	text;
	v_why	text;
	v_error	jsonb;
BEGIN
	IF r.cancel_requested THEN
		PERFORM theazo_internal.loop_end(l, r, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
		RETURN;
	ELSIF l.paused THEN
		-- A pause is kept between two calls: the run goes on when its agent is resumed.
		PERFORM theazo_internal.sandbox_bill_run(r, clock_timestamp());
		l.suspended := true;
		PERFORM theazo_internal.loop_save(l);
		-- It may sleep for months: what it has drawn ahead is not kept for it.
		PERFORM theazo_internal.budget_end(r);
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
				'message', format('the run has used up its cost cap: %s of %s cents', round(theazo_internal.cents(l.spent), 4),
					round(theazo_internal.cents(l.cost_cap), 4)),
				'hint', 'Give a higher max_cost, or raise the agent''s costCap.'));
			RETURN;
		END IF;
	END IF;
	v_error := theazo_internal.bound_cost(l, r);
	IF v_error IS NOT NULL THEN
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, v_error);
		RETURN;
	END IF;
	IF l.model_calls >= l.max_steps THEN
		-- As many calls as it may have: what it said last is its answer.
		PERFORM theazo_internal.log_write(r.platform_id, l.root_id, 'warn', 'agent', format('stopped after %s model calls', l.model_calls),
			r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id);
		v_text := coalesce((SELECT p.output FROM theazo_data.step s
			JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
			WHERE s.platform_id = r.platform_id AND s.root_id = l.root_id AND s.kind = 'model' AND p.output <> '' ORDER BY s.seq DESC LIMIT 1), '');
		-- Whoever asked for JSON is not given something else as the result.
		v_why := CASE WHEN l.options ? 'schema' THEN theazo_internal.answer_check(l.options -> 'schema', v_text) END;
		IF v_why IS NULL THEN
			PERFORM theazo_internal.loop_deliver(l, r, v_text);
		ELSE
			PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, theazo_internal.answer_wrong(v_why,
				CASE WHEN l.max_steps < 25 THEN format('It may make only %s model calls; give a higher max_steps.', l.max_steps)
					 ELSE 'Simplify the task, or the schema.' END));
		END IF;
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
	v_at		smallint;
	v_entry		jsonb := l.chain -> l.at;
	v_rests		timestamptz;
	v_due		timestamptz;
	v_effect	text;
	v_gate		jsonb;
BEGIN
	SELECT t.rests, t.due INTO v_rests, v_due FROM theazo_internal.model_turn(v_entry) t;
	-- One that keeps failing is passed over.
	IF v_rests IS NOT NULL THEN
		v_at := theazo_internal.model_pick(l.chain, l.at, l.deadline);
		IF v_at <> l.at THEN
			l.at := v_at;
			v_entry := l.chain -> v_at;
			UPDATE theazo_data.run_loop x SET at = v_at WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id;
			SELECT t.rests, t.due INTO v_rests, v_due FROM theazo_internal.model_turn(v_entry) t;
		END IF;
	END IF;
	-- All of them, for longer than this run may take: nothing to wait for.
	IF v_rests >= l.deadline THEN
		UPDATE theazo_data.step x SET state = 'failed', ended_at = clock_timestamp(), error_code = 'no_providers_available'
		 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id AND x.seq = p_seq;
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', 'no_providers_available', 'sqlstate', 'TZ407',
			'message', format('no provider of model "%s" answers at the moment', v_entry ->> 'model'),
			'detail', 'Kind: model.', 'hint', 'theazo.provider_health shows which ones rest, why, and until when.'));
		RETURN;
	END IF;
	-- One that waits for its provider's limit of calls at once takes its turn in time when it is let through (model_gate).
	v_gate := theazo_internal.gate('model.call', l.platform_id, r.environment, r.session_id, r.agent_id, r.id, l.parent_root, l.policy, l.labels,
		CASE WHEN v_due < 'infinity' THEN theazo_internal.model_slot(v_entry) END);
	IF v_gate ? 'sqlstate' THEN
		PERFORM theazo_internal.loop_refused(l, r, p_seq, v_gate);
		RETURN;
	ELSIF v_gate ? 'delay_ms' THEN
		v_due := greatest(v_due, clock_timestamp() + (v_gate ->> 'delay_ms')::bigint * '1 millisecond'::interval);
	END IF;
	v_effect := theazo_internal.effect_enqueue(
		l.platform_id, l.root_id, 'model.call', v_entry ->> 'adapter', NULL, r.id, r.session_id, r.agent_id, NULL,
		theazo_internal.model_slot(v_entry), 120000, 3, p_due => v_due, p_deadline => l.deadline, p_step_seq => p_seq);
	IF p_attempt = 1 THEN
		PERFORM theazo_internal.step_append(l.platform_id, l.root_id, p_seq, l.model_calls, 'model', 'queued', v_entry ->> 'model', NULL, v_effect,
			v_entry ->> 'shown', v_entry ->> 'adapter');
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

-- The gate says no between two calls: the run ends with its reason.
CREATE OR REPLACE FUNCTION theazo_internal.loop_refused(l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_refusal jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.gate_note(p_refusal, 'model.call', r);
	UPDATE theazo_data.step x SET state = 'failed', ended_at = clock_timestamp(), error_code = p_refusal ->> 'code'
	 WHERE x.platform_id = l.platform_id AND x.root_id = l.root_id AND x.seq = p_seq;
	PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, jsonb_build_object('code', p_refusal -> 'code', 'sqlstate', p_refusal -> 'sqlstate',
		'message', p_refusal -> 'message', 'hint', concat_ws(' ', p_refusal ->> 'hint', p_refusal ->> 'alternative')));
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_refused(theazo_data.run_loop, theazo_data.run, integer, jsonb) IS 'ends a run whose next model call the gate refused';

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

-- A run that is cancelled while its agent's pause holds it between two calls, or a human's answer: nothing is under way that
-- could end it.
CREATE OR REPLACE FUNCTION theazo_internal.loop_cancel(p_run theazo_data.run)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l	theazo_data.run_loop;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x
	 WHERE x.platform_id = p_run.platform_id AND x.root_id = theazo_internal.id_root(p_run.id)
	   AND (x.suspended OR EXISTS (SELECT FROM theazo_data.step s
									WHERE s.platform_id = x.platform_id AND s.root_id = x.root_id AND s.state = 'waiting'));
	IF FOUND THEN
		PERFORM theazo_internal.loop_end(l, p_run, 'cancelled', NULL, '{"code": "cancelled", "message": "cancelled"}');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_cancel(theazo_data.run) IS 'ends a run that is suspended, or waits for a human';
