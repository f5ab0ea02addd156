-- run.sql: how waiting requests are answered once their run has ended.
--
-- rest_run_ended() and rest_work_ended() are what the face calls after a wake ($then). They may
-- be called too early, and then say again that there is to wait.

CREATE OR REPLACE FUNCTION theazo_internal.rest_wait(p_id text, p_then text, p_args jsonb, p_now jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN pg_catalog.jsonb_build_object('$wait', p_id, '$then', p_then, '$args', p_args)
	|| CASE WHEN p_now IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('$now', p_now) END;
COMMENT ON FUNCTION theazo_internal.rest_wait(text, text, jsonb, jsonb) IS
'what an operation returns that has to wait: for what, which operation answers then, and what a face answers that cannot wait';

-- What a limit said when it stopped a run, as the error of a call would say it.
CREATE OR REPLACE FUNCTION theazo_internal.rest_limit_details(p_message text)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN (SELECT pg_catalog.jsonb_build_object(
			'level', CASE WHEN p_message LIKE 'limit % of session %' THEN 'session' WHEN p_message LIKE 'the budget of user %' THEN 'user'
						  WHEN p_message LIKE '%budget%platform%' THEN 'platform' ELSE 'run' END,
			'limit', coalesce(pg_catalog.substring(p_message, '^limit (\w+) of session'), 'maxCost'))
			|| CASE WHEN m IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('max', m[2]::numeric, 'used', m[1]::numeric) END
		  FROM (SELECT pg_catalog.regexp_match(p_message, ': ([0-9.]+) of ([0-9.]+) ') AS m) x);
COMMENT ON FUNCTION theazo_internal.rest_limit_details(text) IS
'level, limit, max and used out of the message of TZ202';

CREATE OR REPLACE FUNCTION theazo_internal.rest_run_failed(r theazo.runs)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	state text := coalesce(r.error_sqlstate, CASE r.status WHEN 'cancelled' THEN 'TZ103' ELSE 'TZ401' END);
	more jsonb := pg_catalog.jsonb_build_object('runId', r.id, 'agentId', r.agent_id);
BEGIN
	more := more || CASE
		WHEN state IN ('TZ401', 'TZ402', 'TZ404', 'TZ406', 'TZ408', 'TZ409', 'TZ410', 'TZ411') THEN pg_catalog.jsonb_build_object('provider', r.provider)
		WHEN state = 'TZ403' THEN pg_catalog.jsonb_build_object('timeoutMs', r.timeout_ms)
		WHEN state IN ('42704', '58P01') AND r.kind LIKE 'file%' THEN '{"resource": "file"}'
		WHEN state = 'TZ202' THEN theazo_internal.rest_limit_details(r.error_message)
		WHEN state = 'TZ103' THEN pg_catalog.jsonb_build_object('status', r.status)
		ELSE '{}' END;
	RAISE EXCEPTION USING ERRCODE = state, MESSAGE = coalesce(nullif(r.error_message, ''), pg_catalog.format('run "%s" was %s', r.id, r.status)),
		DETAIL = more::text, HINT = coalesce(r.error_hint, 'theazo.run_steps() shows how far it came.');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_run_failed(theazo.runs) IS
'raises what ended a run that did not complete';

CREATE OR REPLACE FUNCTION theazo_internal.rest_run_ended(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	r theazo.runs := theazo.run_get(a ->> 'run');
	x theazo.run_results;
BEGIN
	IF r.status IN ('queued', 'running') THEN
		RETURN theazo_internal.rest_wait(r.id, 'run_ended', a);
	ELSIF r.status <> 'completed' THEN
		PERFORM theazo_internal.rest_run_failed(r);
	END IF;
	x := theazo.run_result(r.id);
	RETURN pg_catalog.jsonb_build_object(
		'output', coalesce(x.output, ''), 'artifacts', coalesce(x.artifacts, '[]'),
		'cost', theazo_internal.rest_cost(pg_catalog.round(x.cost)::bigint),
		'duration', theazo_internal.rest_duration(x.duration_ms), 'durationMs', x.duration_ms,
		-- an agent made for one run gets its sandbox, and with it its provider, when a tool needs it
		'provider', coalesce((SELECT t.provider FROM theazo.agents t WHERE t.id = r.agent_id), r.provider), 'toolCalls', coalesce(x.tool_calls, '[]'),
		'agentId', r.agent_id, 'traceId', r.trace_id,
		'usage', pg_catalog.jsonb_build_object('inputTokens', coalesce(x.usage -> 'input_tokens', '0'),
			'outputTokens', coalesce(x.usage -> 'output_tokens', '0'), 'modelCalls', coalesce(x.usage -> 'model_calls', '0')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_run_ended(jsonb) IS
'a RunResult, once the run has ended';

-- Files and lists: text as it is, anything else in base64.
CREATE OR REPLACE FUNCTION theazo_internal.rest_file(p_content bytea)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object('data', pg_catalog.convert_from(coalesce(p_content, ''), 'UTF8'), 'encoding', 'utf-8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
	RETURN pg_catalog.jsonb_build_object('data', pg_catalog.translate(pg_catalog.encode(p_content, 'base64'), E'\n', ''), 'encoding', 'base64');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_file(bytea) IS
'content of a file: data and encoding';

CREATE OR REPLACE FUNCTION theazo_internal.rest_work_ended(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	r theazo.runs := theazo.run_get(a ->> 'run');
	x theazo.run_results;
BEGIN
	IF r.status IN ('queued', 'running') THEN
		RETURN theazo_internal.rest_wait(r.id, 'work_ended', a);
	ELSIF r.status <> 'completed' AND r.kind = 'file_list' AND r.error_sqlstate IN ('42704', '58P01') THEN
		RETURN '[]';
	ELSIF r.status <> 'completed' THEN
		PERFORM theazo_internal.rest_run_failed(r);
	END IF;
	x := theazo.run_result(r.id);
	RETURN CASE r.kind
		WHEN 'exec' THEN pg_catalog.jsonb_build_object('stdout', coalesce(x.stdout, ''), 'stderr', coalesce(x.stderr, ''), 'exitCode', x.exit_code,
			'cost', theazo_internal.rest_cost(pg_catalog.round(x.cost)::bigint),
			'duration', theazo_internal.rest_duration(x.duration_ms), 'durationMs', x.duration_ms, 'output', x.handed_over)
		WHEN 'file_read' THEN theazo_internal.rest_file(x.content)
		WHEN 'file_list' THEN (
			SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', e.value -> 'name', 'size', coalesce(e.value -> 'size', '0'),
						'modified', theazo_internal.rest_at(CASE
							WHEN pg_catalog.jsonb_typeof(e.value -> 'modified') = 'number' THEN pg_catalog.to_timestamp((e.value ->> 'modified')::double precision / 1000)
							WHEN e.value ->> 'modified' OPERATOR(pg_catalog.~) '^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}' THEN (e.value ->> 'modified')::timestamptz
							ELSE r.ended_at END),
						'isDir', coalesce(e.value -> 'is_dir', 'false')) ORDER BY e.n), '[]')
			  FROM pg_catalog.jsonb_array_elements(x.entries) WITH ORDINALITY e(value, n))
		WHEN 'port_expose' THEN pg_catalog.jsonb_build_object('url', x.url)
		WHEN 'metrics' THEN pg_catalog.jsonb_build_object('cpuPercent', x.metrics -> 'cpu_percent', 'memoryMb', x.metrics -> 'memory_mb',
			'diskMb', x.metrics -> 'disk_mb')
	END;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_work_ended(jsonb) IS
'the answer of one piece of work in a sandbox, once it has ended; nothing for a written file';
