-- run.sql: runs: one row path from a call to its result.
--
-- A *_start function writes run, payload, effect, event and trace in the caller's transaction and
-- returns the run; the commit wakes a dispatcher. Nothing here waits except run_wait.

CREATE OR REPLACE VIEW theazo.runs WITH (security_barrier) AS
	SELECT r.id, r.session_id, r.agent_id, r.user_id, r.environment, r.kind, r.status, r.language, r.provider,
		   r.timeout_ms, r.created_at, r.started_at, r.ended_at, r.exit_code,
		   round(extract(epoch FROM r.ended_at - coalesce(r.started_at, r.ended_at)) * 1000)::bigint AS duration_ms,
		   (r.cost::numeric / 1000000)::numeric(30,6) AS cost,
		   r.trace_id, r.error_sqlstate, r.error_code, r.error_message, r.error_hint, r.outcome_unknown, r.cancel_requested, r.parent_id
	  FROM theazo_data.run r
	 WHERE (SELECT theazo_internal.may_read('run:read'));
COMMENT ON VIEW theazo.runs IS 'runs of the platform; cost is in cents; parent_id is the run that started it';

-- What a run called, in order. A view calls it, so it stands before it.
CREATE OR REPLACE FUNCTION theazo_internal.run_tool_calls(p_platform text, p_run text)
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('tool', s.name, 'input', coalesce(p.input, '{}'), 'output', coalesce(p.output, '')) ORDER BY s.seq), '[]')
	  FROM theazo_data.step s
	  LEFT JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
	 WHERE s.platform_id = p_platform AND s.root_id = substr(p_run, 5) AND s.kind = 'tool'
$$;
COMMENT ON FUNCTION theazo_internal.run_tool_calls(text, text) IS 'tool calls of a run in order: tool, input, output';

-- With what came out. Lists should use theazo.runs, which never touches payloads.
CREATE OR REPLACE VIEW theazo.run_results WITH (security_barrier) AS
	SELECT r.id, r.agent_id, r.kind, r.status, p.result ->> 'stdout' AS stdout, p.result ->> 'stderr' AS stderr, r.exit_code,
		   round(extract(epoch FROM r.ended_at - coalesce(r.started_at, r.ended_at)) * 1000)::bigint AS duration_ms,
		   (r.cost::numeric / 1000000)::numeric(30,6) AS cost,
		   coalesce((p.result ->> 'truncated')::boolean, false) AS truncated,
		   p.result -> 'entries' AS entries, p.result_content AS content,
		   CASE WHEN r.kind = 'metrics' THEN p.result END AS metrics,
		   CASE WHEN r.kind = 'port_expose' THEN p.result ->> 'url' END AS url,
		   r.error_sqlstate, r.error_code, r.error_message, r.error_hint, r.outcome_unknown,
		   CASE WHEN r.kind = 'exec' THEN p.result ->> 'note' END AS note,
		   CASE WHEN r.kind = 'http_fetch' THEN (p.result ->> 'status')::integer END AS http_status,
		   CASE WHEN r.kind = 'http_fetch' THEN p.result -> 'headers' END AS response_headers,
		   CASE WHEN r.kind = 'http_fetch' THEN p.result ->> 'body' END AS response_body,
		   CASE WHEN r.kind IN ('agent', 'exec', 'tool_test') THEN p.result ->> 'output' END AS output,
		   CASE WHEN r.kind IN ('agent', 'exec') THEN p.result -> 'artifacts' END AS artifacts,
		   CASE WHEN r.kind = 'agent' THEN p.result -> 'usage' END AS usage,
		   CASE WHEN r.kind = 'agent' AND p.result IS NOT NULL THEN theazo_internal.run_tool_calls(r.platform_id, r.id) END AS tool_calls,
		   CASE WHEN r.kind = 'tool_test' THEN (p.result ->> 'success')::boolean END AS success,
		   CASE WHEN r.kind = 'exec' THEN nullif(p.result -> 'output', 'null') END AS handed_over
	  FROM theazo_data.run r
	  LEFT JOIN theazo_data.run_payload p ON p.platform_id = r.platform_id AND p.root_id = theazo_internal.run_root(r.id)
	 WHERE (SELECT theazo_internal.may_read('run:read'))
	   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(current_user) END);
COMMENT ON VIEW theazo.run_results IS 'runs with their output: stdout, stderr, file contents, directory entries, answers over HTTP, of an agent''s run its text, files, tokens and tool calls, of a command what it handed over with complete(), as text and as JSON; note says what the program could not, such as that it was over its memory';

-- ----------------------------------------------------------------------------
-- Idempotency keys: the same key sent twice starts one run
-- ----------------------------------------------------------------------------
-- The run a key stands for, or null. Locks the owner first, so that the same key sent twice at once meets itself.
CREATE OR REPLACE FUNCTION theazo_internal.idempotent_run(p_scope text, p_owner text, p_key text, p_hash bytea)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_old theazo_data.idempotency_key;
BEGIN
	IF length(p_key) NOT BETWEEN 1 AND 255 OR theazo_internal.has_control(p_key) THEN
		PERFORM theazo_internal.raise_value('idempotency_key', 'must have 1 to 255 printable characters');
	END IF;
	IF p_scope = 'session_run:' THEN
		PERFORM theazo_internal.session_lock(p_owner);
	ELSE
		PERFORM theazo_internal.agent_lock(p_owner);
	END IF;
	SELECT * INTO v_old FROM theazo_data.idempotency_key k
	 WHERE k.platform_id = theazo_internal.current_platform() AND k.scope = p_scope || p_owner AND k.key = p_key;
	IF FOUND AND v_old.request_hash <> p_hash THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103',
			MESSAGE = format('idempotency key %s was used for another request', theazo_internal.quoted(p_key)),
			DETAIL = format('It belongs to run "%s".', v_old.object_id),
			HINT = 'Use a new key for a new request.';
	END IF;
	RETURN v_old.object_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.idempotent_run(text, text, text, bytea) IS
'the run that an idempotency key has started already, null for none; TZ103 when it was another request';

CREATE OR REPLACE FUNCTION theazo_internal.idempotent_keep(p_scope text, p_owner text, p_key text, p_hash bytea, p_run text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF p_key IS NOT NULL THEN
		INSERT INTO theazo_data.idempotency_key (platform_id, scope, key, request_hash, object_id)
		VALUES (theazo_internal.current_platform(), p_scope || p_owner, p_key, p_hash, p_run);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.idempotent_keep(text, text, text, bytea, text) IS
'keeps which run an idempotency key has started; nothing without a key';

-- ----------------------------------------------------------------------------
-- Start
-- ----------------------------------------------------------------------------

-- Everything one piece of work needs, in one transaction. p_input is the request of the effect without the sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.run_make(
	p_platform text, p_agent text, p_kind text, p_op text, p_input jsonb, p_content bytea, p_language text, p_timeout_ms integer,
	p_call_ms integer, p_summary jsonb)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a			theazo_data.agent;
	s			theazo_data.sandbox;
	r			theazo_data.run;
	v_run		text := theazo_internal.id_new('run');
	v_root		text := substr(v_run, 5);
	v_env		text;
	v_ready		boolean;
	v_exec		boolean := p_kind = 'exec';
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent;
	PERFORM theazo_internal.gate_agent('compute.' || p_op, a, v_run, a.provider, coalesce(p_input ->> 'path', p_input ->> 'dir'));
	PERFORM theazo_internal.budget_check(a.platform_id, a.key_environment, a.session_id, a.user_id, a.id, false);
	v_ready := theazo_internal.sandbox_ensure(p_platform, p_agent);
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent;
	SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = p_platform AND x.id = a.sandbox_id;
	v_env := s.environment;
	PERFORM theazo_internal.compute_demand(s, p_op);
	PERFORM theazo_internal.flow_worked(a, 'compute.' || p_op);
	r.platform_id := p_platform;
	r.id := v_run;
	r.session_id := a.session_id;
	r.agent_id := p_agent;
	r.user_id := a.user_id;
	r.environment := v_env;
	r.kind := p_kind;
	r.status := 'queued';
	r.language := p_language;
	r.provider := s.provider;
	r.timeout_ms := p_timeout_ms;
	r.created_at := now();
	r.cost := 0;
	r.trace_id := 'tr_' || v_root;
	r.outcome_unknown := false;
	r.cancel_requested := false;
	r.parent_id := theazo_internal.current_run();
	PERFORM theazo_internal.run_append(r);
	IF p_content IS NULL THEN
		PERFORM theazo_internal.run_payload_append(p_platform, v_root, p_input);
	ELSE
		INSERT INTO theazo_data.run_payload (platform_id, root_id, input, content) VALUES (p_platform, v_root, p_input, p_content);
	END IF;
	PERFORM theazo_internal.effect_enqueue(
		p_platform, v_root, 'compute.' || p_op, s.adapter, NULL, v_run, a.session_id, p_agent, s.id, s.provider_name,
		p_call_ms,
		-- A GET may be repeated once when the connection failed; what changes something is sent once.
		CASE WHEN p_op IN ('read', 'list', 'metrics') THEN 2 ELSE 1 END,
		CASE WHEN s.adapter = 'local' THEN s.worker_slot END,
		CASE WHEN v_ready THEN now() ELSE 'infinity'::timestamptz END);
	PERFORM theazo_internal.span_write(p_platform, v_root, r.trace_id, r.trace_id, NULL, v_env, a.session_id, p_agent, v_run, p_kind, 'running',
									   clock_timestamp(), NULL);
	PERFORM theazo_internal.event_write(p_platform, CASE WHEN v_exec THEN 'execution' ELSE 'data' END, p_kind, p_summary,
										a.session_id, p_agent, v_run, v_env);
	IF v_exec OR a.status = 'paused' THEN
		UPDATE theazo_data.agent x
		   SET run_id = CASE WHEN v_exec THEN v_run ELSE x.run_id END,
			   status = CASE WHEN x.status = 'booting' THEN x.status WHEN v_exec THEN 'running' ELSE 'ready' END,
			   paused_at = NULL, paused_by = NULL, error = CASE WHEN x.status = 'failed' THEN NULL ELSE x.error END
		 WHERE x.platform_id = p_platform AND x.id = p_agent;
	END IF;
	RETURN v_run;
END
$$;
COMMENT ON FUNCTION theazo_internal.run_make(text, text, text, text, jsonb, bytea, text, integer, integer, jsonb) IS
'writes run, payload, effect, event and trace of one piece of work';

CREATE OR REPLACE FUNCTION theazo_internal.run_row(p_run text)
RETURNS theazo.runs
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	v_out theazo.runs;
BEGIN
	-- A foreign shape finds nothing, and never a partition scan.
	IF octet_length(p_run) = 30 AND p_run ~ '^run_[0-9A-HJKMNP-TV-Z]{26}$' THEN
		SELECT * INTO v_out FROM theazo.runs r WHERE r.id = p_run;
	END IF;
	IF v_out.id IS NULL THEN
		PERFORM theazo_internal.raise_not_found('run', p_run);
	END IF;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.run_row(text) IS 'a run as the caller may see it, or 42704';

-- ----------------------------------------------------------------------------
-- Look, wait, cancel
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo.run_get(run text, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	RETURN theazo_internal.run_row(run_get.run);
END
$$;
COMMENT ON FUNCTION theazo.run_get(text, text) IS 'a run as it stands';

CREATE OR REPLACE FUNCTION theazo.run_result(run text, api_key text DEFAULT NULL)
RETURNS theazo.run_results
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_out theazo.run_results;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	PERFORM theazo_internal.run_row(run_result.run);
	PERFORM theazo_internal.flow_look(run_result.run);
	SELECT * INTO v_out FROM theazo.run_results r WHERE r.id = run_result.run;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.run_result(text, text) IS 'a run with its output';

-- Waits at most 25 s without holding anything: refused when this transaction has written, because the run
-- could be waiting for exactly those rows.
CREATE OR REPLACE FUNCTION theazo.run_wait(run text, timeout interval DEFAULT '25 s', api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	v_out	theazo.runs;
	v_until	timestamptz;
	v_left	integer;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ104',
			MESSAGE = 'this transaction has uncommitted work of its own',
			DETAIL = 'The run may be waiting for rows that are not committed yet.',
			HINT = 'Commit first and wait in a transaction of its own, or use CALL theazo.run() or theazo.exec().';
	END IF;
	IF run_wait.timeout IS NULL OR extract(epoch FROM run_wait.timeout) < 0 THEN
		PERFORM theazo_internal.raise_value('timeout', 'must not be negative');
	END IF;
	v_until := clock_timestamp() + least(run_wait.timeout, '25 s'::interval);
	LOOP
		v_out := theazo_internal.run_row(run_wait.run);
		v_left := ceil(extract(epoch FROM v_until - clock_timestamp()) * 1000);
		EXIT WHEN v_out.status NOT IN ('queued', 'running') OR v_left <= 0;
		-- In slices: a wake-up between the look and the wait is lost, not the answer.
		PERFORM theazo_internal.run_block(run_wait.run, least(v_left, 1000));
	END LOOP;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.run_wait(text, interval, text) IS
'waits until a run has ended, at most 25 s; refused in a transaction with uncommitted work';

-- Queued work ends at once; what is in flight is cut by its dispatcher. A run that has ended stays as it is.
CREATE OR REPLACE FUNCTION theazo.run_cancel(run text, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_run theazo.runs;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	v_run := theazo_internal.run_row(run_cancel.run);
	IF v_run.status IN ('queued', 'running') THEN
		PERFORM theazo_internal.run_cancel_now(theazo_internal.current_platform(), run_cancel.run);
	ELSIF v_run.status <> 'cancelled' THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103',
			MESSAGE = format('run "%s" has %s already', v_run.id, v_run.status),
			HINT = 'Only queued and running runs can be cancelled.';
	END IF;
	RETURN theazo_internal.run_row(run_cancel.run);
END
$$;
COMMENT ON FUNCTION theazo.run_cancel(text, text) IS 'cancels a run';

CREATE OR REPLACE FUNCTION theazo_internal.run_cancel_now(p_platform text, p_run text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r theazo_data.run;
BEGIN
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = p_platform AND x.id = p_run;
	PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = p_platform AND a.id = r.agent_id FOR UPDATE;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'run_cancelled', NULL, r.session_id, r.agent_id, r.id, r.environment);
	PERFORM theazo_internal.run_cut(r);
END
$$;
COMMENT ON FUNCTION theazo_internal.run_cancel_now(text, text) IS 'cancels a run that the caller may see';

-- Ends everything an agent has under way: queued work at once, calls in flight are cut by their dispatcher.
CREATE OR REPLACE FUNCTION theazo_internal.agent_runs_cancel(p_platform text, p_agent text)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r	theazo_data.run;
	v_n	integer := 0;
BEGIN
	FOR r IN
		SELECT x.* FROM theazo_data.run x
		 WHERE x.platform_id = p_platform AND x.agent_id = p_agent AND x.status IN ('queued', 'running') ORDER BY x.id
	LOOP
		PERFORM theazo_internal.run_cut(r);
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.agent_runs_cancel(text, text) IS 'cancels all runs of an agent';

-- One run: the caller has locked the agent.
CREATE OR REPLACE FUNCTION theazo_internal.run_cut(p_run theazo_data.run)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e	theazo_data.effect;
BEGIN
	FOR e IN
		SELECT x.* FROM theazo_data.effect x
		 WHERE x.platform_id = p_run.platform_id AND x.root_id = theazo_internal.id_root(p_run.id) AND x.run_id = p_run.id
		   AND x.state IN ('queued', 'held')
		 ORDER BY x.id FOR UPDATE
	LOOP
		PERFORM theazo_internal.effect_cancel(e);
	END LOOP;
	UPDATE theazo_data.run x SET cancel_requested = true
	 WHERE x.platform_id = p_run.platform_id AND x.id = p_run.id AND x.status IN ('queued', 'running');
	-- After what was queued: what a dispatcher takes meanwhile is in flight.
	IF NOT theazo_internal.effects_cut(p_run.platform_id, p_run.id) AND p_run.kind = 'agent' THEN
		PERFORM theazo_internal.loop_cancel(p_run);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.run_cut(theazo_data.run) IS 'cancels one run: queued work at once, calls in flight through their dispatcher';

-- ----------------------------------------------------------------------------
-- End
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.run_begin(p_platform text, p_run text, p_at timestamptz)
RETURNS theazo_data.run LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_run_begin';
COMMENT ON FUNCTION theazo_internal.run_begin(text, text, timestamptz) IS
'the row of a run that begins to run; returns it, or null when it was not queued. Without a statement, so only the owners may call it';

CREATE OR REPLACE FUNCTION theazo_internal.run_end(
	p_platform text, p_run text, p_status text, p_started timestamptz, p_ended timestamptz, p_exit_code integer, p_cost bigint,
	p_unknown boolean, p_sqlstate text, p_code text, p_message text, p_hint text)
RETURNS theazo_data.run LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_run_end';
COMMENT ON FUNCTION theazo_internal.run_end(text, text, text, timestamptz, timestamptz, integer, bigint, boolean, text, text, text, text) IS
'the row of a run that ends; returns it, or null when it had ended. Without a statement, so only the owners may call it';

CREATE OR REPLACE FUNCTION theazo_internal.run_payload_end(p_platform text, p_root text, p_result jsonb, p_content bytea, p_verdict text)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_run_payload_end';
COMMENT ON FUNCTION theazo_internal.run_payload_end(text, text, jsonb, bytea, text) IS 'what came out of a run; without a statement, so only the owners may call it';

CREATE OR REPLACE FUNCTION theazo_internal.span_end(p_platform text, p_root text, p_id text, p_status text, p_ended timestamptz)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_span_end';
COMMENT ON FUNCTION theazo_internal.span_end(text, text, text, text, timestamptz) IS 'the end of a span; without a statement, so only the owners may call it';

-- A run ends, once. Agent and effect are locked by the caller.
CREATE OR REPLACE FUNCTION theazo_internal.run_finish(
	p_platform text, p_run text, p_status text, p_result jsonb, p_content bytea, p_error jsonb, p_cost bigint,
	p_started timestamptz, p_finished timestamptz, p_unknown boolean, p_verdict text DEFAULT 'none')
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r		theazo_data.run;
	v_root	text := substr(p_run, 5);
	v_ms	bigint;
	v_event	text;
BEGIN
	-- What a halt has cut says so.
	IF p_status = 'cancelled' AND theazo_internal.halt_any() THEN
		p_error := coalesce((SELECT theazo_internal.halt_error(x.platform_id, x.environment, x.session_id, x.agent_id, x.id)
			FROM theazo_data.run x WHERE x.platform_id = p_platform AND x.id = p_run), p_error);
	END IF;
	r := theazo_internal.run_end(p_platform, p_run, p_status, p_started, p_finished, (p_result ->> 'exit_code')::integer, p_cost, p_unknown,
		coalesce(p_error ->> 'sqlstate', CASE WHEN p_status = 'failed' THEN 'TZ401' END), p_error ->> 'code',
		left(theazo_internal.text_mask(p_error ->> 'message'), 1000),
		left(theazo_internal.text_mask(coalesce(p_error ->> 'hint', p_error ->> 'detail')), 1000));
	IF r.id IS NULL THEN
		RETURN;
	END IF;
	IF p_result IS NOT NULL OR p_content IS NOT NULL THEN
		IF r.kind NOT IN ('agent', 'script') THEN
			SELECT x.shown, x.verdict INTO p_result, p_verdict FROM theazo_internal.safety_work(r, p_result) x;
		END IF;
		PERFORM theazo_internal.run_payload_end(p_platform, v_root, p_result, p_content, p_verdict);
	END IF;
	v_ms := round(extract(epoch FROM r.ended_at - coalesce(r.started_at, r.ended_at)) * 1000);
	PERFORM theazo_internal.span_end(p_platform, v_root, r.trace_id, CASE WHEN p_status = 'completed' THEN 'completed' ELSE 'failed' END, r.ended_at);
	IF p_started IS NOT NULL THEN
		PERFORM theazo_internal.span_write(p_platform, v_root, theazo_internal.id_new('spn'), r.trace_id, r.trace_id, r.environment,
				r.session_id, r.agent_id, r.id, r.kind, CASE WHEN p_status = 'completed' THEN 'completed' ELSE 'failed' END, p_started, r.ended_at,
				jsonb_strip_nulls(jsonb_build_object('provider', r.provider, 'language', r.language, 'exitCode', r.exit_code,
					'cpuMs', p_result -> 'cpu_ms', 'peakRssKb', p_result -> 'peak_rss_kb', 'error', p_error ->> 'code')));
	END IF;
	IF r.kind = 'exec' THEN
		PERFORM theazo_internal.log_write(p_platform, v_root, 'info', 'agent',
			CASE WHEN p_status = 'completed' THEN format('exec %s ended with exit code %s after %s ms', r.language, r.exit_code, v_ms)
				 ELSE format('exec %s %s after %s ms', r.language, p_status, v_ms) END,
			r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id,
			jsonb_strip_nulls(jsonb_build_object('language', r.language, 'exitCode', r.exit_code, 'durationMs', v_ms)));
	END IF;
	v_event := theazo_internal.event_write(p_platform, 'execution',
		CASE WHEN p_status = 'completed' THEN 'execution_completed'
			 WHEN p_status = 'cancelled' OR r.kind = 'script' AND p_result ->> 'code' IN ('TIME_LIMIT', 'MEMORY_LIMIT') THEN 'execution_terminated'
			 ELSE 'execution_failed' END,
		jsonb_strip_nulls(jsonb_build_object('kind', r.kind, 'exitCode', r.exit_code, 'durationMs', v_ms, 'error', r.error_code,
			'output', theazo_internal.excerpt(coalesce(p_result ->> 'output', p_result ->> 'stdout')))),
		r.session_id, r.agent_id, r.id, r.environment);
	IF r.kind IN ('agent', 'script') THEN
		PERFORM theazo_internal.execution_close(r, p_result, v_event);
	END IF;
	-- The loop knows more of its agent.
	IF r.kind NOT IN ('agent', 'script') THEN
		UPDATE theazo_data.agent x
		   SET run_id = NULL, status = CASE WHEN x.status = 'running' THEN 'ready' ELSE x.status END,
			   status_before_pause = CASE WHEN x.status = 'paused' THEN 'ready' ELSE x.status_before_pause END
		 WHERE x.platform_id = p_platform AND x.id = r.agent_id AND x.run_id = r.id;
	END IF;
	IF r.kind = 'script' THEN
		PERFORM theazo_internal.run_tell(r.platform_id, r.environment, r.id, p_status);
	END IF;
	IF theazo_internal.reservation_noted(p_platform, p_run) OR r.kind = 'agent' THEN
		PERFORM theazo_internal.budget_end(r);
	END IF;
	PERFORM theazo_internal.run_notify(r.id);
END
$$;
COMMENT ON FUNCTION theazo_internal.run_finish(text, text, text, jsonb, bytea, jsonb, bigint, timestamptz, timestamptz, boolean, text) IS
'ends a run: result, cost, trace, log, event, agent, and whoever waits';
