\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
\set ECHO none
-- a model played by hand: what it says, or what it calls
CREATE FUNCTION tst.says(t text, stop text DEFAULT 'end') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('text', t, 'stop', stop, 'tool_calls', '[]'::jsonb, 'wire', jsonb_build_object('role', 'assistant', 'content', t)::text,
		'request_id', 'req_1', 'usage', '{"input": 1000, "cache_read": 100, "output": 50, "reasoning": 5, "estimated": false}'::jsonb)
$$;
CREATE FUNCTION tst.calls(VARIADIC c jsonb[]) RETURNS jsonb LANGUAGE sql AS $$
	SELECT tst.says('thinking', 'tool_use') || jsonb_build_object('wire', '{"role":"assistant","content":"thinking","tool_calls":[]}',
		'tool_calls', (SELECT jsonb_agg(jsonb_build_object('id', 'call_' || o) || x ORDER BY o) FROM unnest(c) WITH ORDINALITY AS u (x, o)))
$$;
CREATE FUNCTION tst.call(tool text, arguments jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('name', tool, 'arguments', arguments)
$$;
-- claims what is due and answers the model calls among it
CREATE FUNCTION tst.model(result jsonb, verdict text DEFAULT 'done') RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tst.claim();
	RETURN tst.settle('model.call', verdict, result);
END $$;
CREATE FUNCTION tst.steps(run text) RETURNS TABLE (seq int, round int, kind text, state text, name text, input jsonb, output text) LANGUAGE sql AS $$
	SELECT s.seq, s.round, s.kind, s.state, s.name, s.input, left(s.output, 100) FROM theazo.run_steps(run) s ORDER BY s.seq
$$;
CREATE FUNCTION tst.ended(run text) RETURNS TABLE (status text, sqlstate text, message text, hint text, unknown boolean) LANGUAGE sql AS $$
	SELECT r.status, r.error_sqlstate, r.error_message, r.error_hint, r.outcome_unknown FROM theazo.run_get(run) r
$$;
CREATE FUNCTION tst.whole(platform text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT tst.mask(concat_ws(' | ', c.problem, c.object_id, c.detail)) FROM theazo.integrity_check() AS c (problem, platform_id, object_id, detail)
	 WHERE c.platform_id = platform ORDER BY 1
$$;
\set ECHO all
SELECT platform AS p, live AS k FROM tst.platform('Loops') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
SELECT id AS s FROM theazo.session_create('user-1') \gset
COMMIT;

-- an answer without tools ends the run; the agent remembers it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "instructions": "Be brief.", "config": {"temperature": 0.2}}') \gset
SELECT tst.boot();
SELECT status, task, run_id, cost FROM theazo.agent_status(:'a');
SELECT id AS r, kind, status, timeout_ms, cost FROM theazo.run_start(:'a', 'Say hello') \gset
SELECT :'kind', :'status', :timeout_ms;
SELECT status, run_id = :'r' FROM theazo.agents WHERE id = :'a';
SELECT tst.claim();
SELECT kind, adapter, timeout_ms, deadline IS NOT NULL, jsonb_array_length(request -> 'tools') > 5, request ->> 'cache_key' = agent_id, request - 'tools' - 'cache_key', convert_from(content, 'UTF8') FROM tst.claimed;
SELECT tst.settle('model.call', 'done', tst.says('Hello'));
SELECT status, output, artifacts, usage, tool_calls, stdout, cost > 0, error_sqlstate FROM theazo.run_result(:'r');
SELECT seq, kind, state, name, provider, adapter, attempts, input_tokens, cache_read_tokens, output_tokens, reasoning_tokens, cost, estimated, stop, request_id
  FROM theazo.steps WHERE run_id = :'r';
SELECT status, run_id FROM theazo.agents WHERE id = :'a';
SELECT status, task, run_id = :'r', cost > 0 FROM theazo.agent_status(:'a');
SELECT item, quantity, amount, payer, provider, model, input_tokens, cached_tokens, output_tokens, estimated FROM theazo_data.charge
 WHERE run_id = :'r' AND item = 'model.call';
SELECT category, action, summary - 'tools' - 'durationMs' FROM theazo.events WHERE run_id = :'r' ORDER BY occurred_at;
SELECT level, source, message FROM theazo.logs WHERE run_id = :'r';
SELECT name, status, parent_id IS NULL AS is_trace, attributes FROM theazo.spans WHERE run_id = :'r' ORDER BY parent_id NULLS FIRST;
SELECT id AS r2 FROM theazo.run_start(:'a', 'And again') \gset
SELECT tst.claim();
SELECT convert_from(content, 'UTF8') FROM tst.claimed;
-- one run at a time
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'more')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.exec_start(%L, 'sh', 'true')$$, :'a'));
SELECT tst.settle('model.call', 'done', tst.says('Again'));
SELECT prior, prior_tokens, messages, tokens FROM (SELECT cardinality(prior) AS prior, prior_tokens, messages, tokens FROM theazo_data.run_loop WHERE root_id = substr(:'r2', 5)) x;
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- tools: in the sandbox, at once, all of one answer in parallel; then their answers go back in one message
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "tools": ["run_code", "report_progress", "write_file", "read_file", "no_such_tool"]}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'Compute') \gset
SELECT tst.model(tst.calls(tst.call('run_code', '{"language": "sh", "code": "echo 1"}'), tst.call('report_progress', '{"message": "half", "percentage": 50}'),
	tst.call('write_file', '{"path": "/out.txt", "content": "x"}'), tst.call('nothing'), tst.call('run_code', '{"language": "cobol", "code": ""}'),
	tst.call('read_file', '{"path": "/../etc"}'), '{"name": "run_code", "arguments_error": "unexpected end", "arguments_text": "{\"language\": "}'));
SELECT * FROM tst.steps(:'r');
SELECT open_tools, model_calls, last_seq FROM theazo_data.run_loop WHERE root_id = substr(:'r', 5);
SELECT * FROM tst.whole(:'p');
SELECT tst.claim();
SELECT tst.settle('compute.write', 'done', '{}');
SELECT count(*) FROM theazo_data.effect WHERE run_id = :'r' AND state = 'queued';
SELECT tst.settle('compute.exec', 'done', '{"stdout": "1\n", "stderr": "", "exit_code": 0}');
-- a settlement that comes twice counts once
SELECT tst.settle('compute.exec', 'done', '{"stdout": "2\n", "stderr": "", "exit_code": 0}');
SELECT tst.claim();
SELECT convert_from(content, 'UTF8') FROM tst.claimed;
SELECT tst.settle('model.call', 'done', tst.says('Done'));
SELECT output, artifacts, usage, jsonb_path_query_array(tool_calls, '$[*].tool'), tool_calls -> 0 FROM theazo.run_result(:'r');
SELECT level, message FROM theazo.logs WHERE agent_id = :'a' AND source = 'agent' ORDER BY occurred_at;
SELECT name, status, attributes FROM theazo.spans WHERE run_id = :'r' AND parent_id IS NOT NULL ORDER BY attributes -> 'step';
SELECT action, count(*) FROM theazo.events WHERE run_id = :'r' GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM theazo_data.charge WHERE run_id = :'r' AND item = 'compute.second';
SELECT * FROM tst.whole(:'p');
-- what it wrote into files is kept with it, and booked by the day to its session, each day once; a run that is gone keeps nothing
SELECT size_bytes, session_id = :'s' AS session, user_id FROM theazo_data.artifact;
SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS today \gset
UPDATE theazo_data.artifact SET size_bytes = 1000000000, created_at = :'today'::timestamptz - interval '36 hours';
SELECT theazo_internal.keeper_artifacts();
SELECT theazo_internal.keeper_artifacts();
DELETE FROM theazo_data.artifact_account WHERE session_id = '';
SELECT theazo_internal.keeper_artifacts();
SELECT interval_end - interval_start AS long, quantity = round(extract(epoch FROM interval_end - interval_start) / theazo_internal.month_seconds(interval_start), 12) AS part, session_id = :'s' AS session,
	   agent_id, run_id, payer, amount = round(10000000 * quantity) AS priced FROM theazo_data.charge WHERE item = 'storage.gb_month' ORDER BY interval_start;
UPDATE theazo_data.artifact SET root_id = theazo_internal.id_root(theazo_internal.id_new('run'));
UPDATE theazo_data.artifact_account SET billed_until = billed_until - interval '1 day';
SELECT theazo_internal.keeper_artifacts();
SELECT count(*) FROM theazo_data.artifact;
SELECT count(*) FROM theazo_data.artifact_account WHERE session_id <> '';
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- an output is cut at 32 KiB, and not inside a character
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'Read') \gset
SELECT tst.model(tst.calls(tst.call('read_file', '{"path": "a"}'), tst.call('read_file', '{"path": "b"}')));
SELECT tst.claim();
SELECT theazo_internal.effect_done(ARRAY[c.platform_id], ARRAY[c.root_id], ARRAY[c.id], ARRAY[c.attempt], ARRAY['done'], ARRAY['{}'::jsonb],
	ARRAY[CASE WHEN c.request ->> 'path' = '/a' THEN convert_to(repeat('ä€', 20000), 'UTF8') ELSE '\xff00'::bytea END], ARRAY[now()], ARRAY[now()]) FROM tst.claimed c;
SELECT name, state, octet_length(output) BETWEEN 32760 AND 32768 AS cut, CASE WHEN length(output) < 100 THEN output END FROM theazo.run_steps(:'r') WHERE kind = 'tool';
ROLLBACK;

-- three equal failures of a tool stop the run; others do not
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'Loop') \gset
SELECT tst.model(tst.calls(tst.call('nothing', '{"a": 1}')));
SELECT tst.model(tst.calls(tst.call('nothing', '{"a": 2}')));
SELECT tst.model(tst.calls(tst.call('nothing', '{"a": 1}'), tst.call('report_progress', '{"message": "trying"}')));
SELECT status FROM theazo.run_get(:'r');
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "still"}')));
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "again"}'), tst.call('nothing', '{"a": 1}')));
SELECT * FROM tst.ended(:'r');
SELECT status, error, run_id FROM theazo.agents WHERE id = :'a';
-- the agent takes its task again
SELECT id AS r2 FROM theazo.agent_retry(:'a') \gset
SELECT tst.claim();
SELECT convert_from(content, 'UTF8') FROM tst.claimed;
SELECT tst.settle('model.call', 'done', tst.says('Better'));
SELECT tst.try(format('SELECT theazo.agent_retry(%L)', :'a'));
SELECT status, error FROM theazo.agents WHERE id = :'a';
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- how many model calls: the last text is the answer
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'Work', max_steps => 3) \gset
SELECT tst.model(tst.calls(tst.call('report_progress', format('{"message": "%s"}', i)::jsonb))) FROM generate_series(1, 3) i;
SELECT status, output, usage FROM theazo.run_result(:'r');
SELECT level, message FROM theazo.logs WHERE run_id = :'r' AND level <> 'info';
-- ... and 25 at most
SELECT id AS r FROM theazo.run_start(:'a', 'Work') \gset
SELECT count(tst.model(tst.calls(tst.call('report_progress', format('{"message": "%s"}', i)::jsonb)))) FROM generate_series(1, 30) i;
SELECT status, output, usage FROM theazo.run_result(:'r');
-- a pause is asked on, without a new message
SELECT id AS r FROM theazo.run_start(:'a', 'Pause') \gset
SELECT tst.model(tst.says('so far', 'pause'));
SELECT tst.claim();
SELECT right(convert_from(content, 'UTF8'), 60) FROM tst.claimed;
SELECT tst.settle('model.call', 'done', tst.says('whole'));
SELECT status, output FROM theazo.run_result(:'r');
ROLLBACK;

-- stops: refusals, cut answers, cut tool calls
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.says('I beg', 'refusal') || '{"refusal": {"explanation": "no"}}');
SELECT * FROM tst.ended(:'r');
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.says('cut', 'max_tokens'));
SELECT status, output FROM theazo.run_result(:'r');
SELECT level, message FROM theazo.logs WHERE run_id = :'r' AND level <> 'info';
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.says('', 'max_tokens'));
SELECT * FROM tst.ended(:'r');
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "half a call"}')) || '{"stop": "max_tokens"}');
SELECT * FROM tst.ended(:'r');
SELECT count(*) FROM theazo_data.step WHERE root_id = substr(:'r', 5) AND kind = 'tool';
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- structured output: sent back twice, then it is over
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x', response_schema => '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}') \gset
SELECT tst.claim();
SELECT request -> 'response_schema' FROM tst.claimed;
SELECT tst.settle('model.call', 'done', tst.says('no json'));
SELECT tst.claim();
SELECT convert_from(content, 'UTF8') FROM tst.claimed;
SELECT tst.settle('model.call', 'done', tst.says('{"n": "1"}'));
SELECT tst.model(tst.says('{"n": 1}'));
SELECT status, output FROM theazo.run_result(:'r');
SELECT id AS r FROM theazo.run_start(:'a', 'x', response_schema => '{"type": "array"}') \gset
SELECT tst.model(tst.says(repeat('[', 20000)));
SELECT tst.model(tst.says('1e9999999'));
SELECT tst.model(tst.says('{}'));
SELECT status, sqlstate, message FROM tst.ended(:'r');
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'x', response_schema => '{"type": 5}')$$, :'a'));
ROLLBACK;

-- money: the cap of a run and of an agent, checked after every call; what was used stays booked
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.operator_provider_set('vendor', 'model', 'openai-compatible', endpoint => 'https://vendor.example/v1');
SELECT theazo.provider_delete('gate', 'model') IS NOT NULL;
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "costCap": {"amount": 2, "currency": "usd"}}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x', max_cost => 0.5) \gset
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "1"}')));
SELECT status FROM theazo.run_get(:'r');
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "2"}')));
SELECT * FROM tst.ended(:'r');
SELECT cost FROM theazo.run_get(:'r');
SELECT name, cost, provider FROM theazo.steps WHERE run_id = :'r' AND kind = 'model';
SELECT status, error FROM theazo.agents WHERE id = :'a';
SELECT cost FROM theazo.agent_status(:'a');
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'x', max_cost => 0)$$, :'a'));
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT count(tst.model(tst.calls(tst.call('report_progress', format('{"message": "%s"}', i)::jsonb)))) FROM generate_series(1, 5) i;
SELECT * FROM tst.ended(:'r');
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'x')$$, :'a'));
-- an attempt that breaks off is paid too
SELECT id AS b FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'b', 'x') \gset
SELECT tst.model('{"code": "provider_error", "message": "cut", "class": "transient", "usage": {"input": 1000, "output": 10, "estimated": true}}', 'retry');
SELECT tst.due();
SELECT tst.model(tst.says('whole'));
SELECT status, cost FROM theazo.run_get(:'r');
SELECT amount, estimated FROM theazo_data.charge WHERE run_id = :'r' AND item = 'model.call' ORDER BY amount;
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- nobody knows: the run fails and says so, the estimate is booked
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model('{"message": "connection reset"}', 'unknown');
SELECT * FROM tst.ended(:'r');
SELECT state, estimated, input_tokens > 100 AS with_tools FROM theazo_data.step WHERE root_id = substr(:'r', 5);
SELECT estimated, input_tokens > 100 AS with_tools FROM theazo_data.charge WHERE run_id = :'r' AND item = 'model.call';
-- of a tool: the model is told, the run goes on
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.calls(tst.call('http_fetch', '{"url": "https://api.example/", "method": "POST"}')));
SELECT tst.claim();
SELECT tst.settle('http.request', 'unknown', '{"message": "connection reset"}');
SELECT state, output FROM theazo.run_steps(:'r') WHERE kind = 'tool';
SELECT status FROM theazo.run_get(:'r');
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- the next provider of the chain; what a caller did wrong is not tried elsewhere
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('other', 'model', 'openai-compatible', endpoint => 'https://other.example/v1', priority => 200);
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model('{"code": "provider_error", "sqlstate": "TZ401", "message": "overloaded", "class": "transient"}', 'failed');
SELECT seq, state, provider, attempts FROM theazo.steps WHERE run_id = :'r';
SELECT tst.model(tst.says('from the other'));
SELECT status, output FROM theazo.run_result(:'r');
SELECT seq, state, provider, attempts, error_code FROM theazo.steps WHERE run_id = :'r';
SELECT level, source, message FROM theazo.logs WHERE run_id = :'r' ORDER BY occurred_at;
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model('{"code": "provider_error", "sqlstate": "TZ401", "message": "no such parameter", "class": "caller"}', 'failed');
SELECT * FROM tst.ended(:'r');
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- time: queued, in flight, waiting for a sandbox that never comes
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "timeout": "10s"}') \gset
SELECT id AS r, timeout_ms FROM theazo.run_start(:'a', 'x') \gset
SELECT :timeout_ms;
UPDATE theazo_data.effect SET deadline = now() - interval '1 s' WHERE run_id = :'r';
UPDATE theazo_data.run_loop SET deadline = now() - interval '1 s' WHERE root_id = substr(:'r', 5);
SELECT theazo_internal.keeper_expire();
SELECT * FROM tst.ended(:'r');
SELECT count(*) FROM theazo_data.provider_health;
SELECT id AS r FROM theazo.run_start(:'a', 'x', timeout => '20 s') \gset
SELECT tst.claim();
UPDATE theazo_data.run_loop SET deadline = now() - interval '1 s' WHERE root_id = substr(:'r', 5);
SELECT tst.settle('model.call', 'unknown', '{"message": "timed out"}');
SELECT * FROM tst.ended(:'r');
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.calls(tst.call('run_code', '{"language": "sh", "code": "true"}')));
SELECT kind, state, due_at FROM theazo_data.effect WHERE run_id = :'r' AND state = 'queued';
UPDATE theazo_data.effect SET deadline = now() - interval '1 s' WHERE run_id = :'r' AND state = 'queued';
UPDATE theazo_data.run_loop SET deadline = now() - interval '1 s' WHERE root_id = substr(:'r', 5);
SELECT theazo_internal.keeper_expire();
SELECT * FROM tst.ended(:'r');
SELECT state, output FROM theazo.run_steps(:'r') WHERE kind = 'tool';
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- cancelled: queued, in flight, with tools under way, waiting for a sandbox
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT status FROM theazo.run_cancel(:'r');
SELECT status, error FROM theazo.agents WHERE id = :'a';
-- in flight: cut by its dispatcher, and what was begun is booked
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.claim();
SELECT theazo_internal.effect_sent(array_agg(root_id), array_agg(id), array_agg(attempt)) FROM tst.claimed WHERE kind = 'model.call';
SELECT status, cancel_requested FROM theazo.run_cancel(:'r');
SELECT tst.settle('model.call', 'cancelled');
SELECT status FROM theazo.run_get(:'r');
SELECT estimated FROM theazo_data.charge WHERE run_id = :'r';
-- answered all the same: an answer counts, tools do not run
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.claim();
SELECT cancel_requested FROM theazo.run_cancel(:'r');
SELECT tst.settle('model.call', 'done', tst.calls(tst.call('run_code', '{"language": "sh", "code": "true"}')));
SELECT status FROM theazo.run_get(:'r');
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.claim();
SELECT cancel_requested FROM theazo.run_cancel(:'r');
SELECT tst.settle('model.call', 'done', tst.says('answer'));
SELECT status, output FROM theazo.run_result(:'r');
-- tools: one queued, one in flight, waiting for a sandbox
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.calls(tst.call('http_fetch', '{"url": "https://api.example/"}'), tst.call('run_code', '{"language": "sh", "code": "true"}')));
SELECT tst.claim();
SELECT kind, state FROM theazo_data.effect WHERE run_id = :'r' AND kind <> 'model.call' ORDER BY kind;
SELECT status, cancel_requested FROM theazo.run_cancel(:'r');
SELECT seq, kind, state FROM tst.steps(:'r');
SELECT tst.settle('http.get', 'done', '{"status": 200, "body": "late"}');
SELECT status FROM theazo.run_get(:'r');
SELECT seq, kind, state FROM tst.steps(:'r');
-- all queued
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.calls(tst.call('run_code', '{"language": "sh", "code": "1"}'), tst.call('run_code', '{"language": "sh", "code": "2"}')));
SELECT status FROM theazo.run_cancel(:'r');
SELECT status, run_id FROM theazo.agents WHERE id = :'a';
SELECT * FROM tst.whole(:'p');
-- the agent ends
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT status FROM theazo.agent_terminate(:'a');
SELECT status FROM theazo.run_get(:'r');
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'x')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.agent_send(%L, 'note', 'x')$$, :'a'));
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- paused between two calls, with the time it had left; the sandbox sleeps as well
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.claim();
SELECT status FROM theazo.agent_pause(:'a');
SELECT tst.settle('model.call', 'done', tst.calls(tst.call('report_progress', '{"message": "1"}'), tst.call('read_file', '{"path": "a"}')));
SELECT tst.claim();
SELECT tst.settle('compute.read', 'done', '{}', 'text');
SELECT suspended, open_tools FROM theazo_data.run_loop WHERE root_id = substr(:'r', 5);
SELECT s.status FROM theazo_data.sandbox s WHERE s.agent_id = :'a';
SELECT count(*) FROM theazo_data.effect WHERE run_id = :'r' AND state = 'queued';
SELECT * FROM tst.whole(:'p');
UPDATE theazo_data.agent SET paused_at = paused_at - interval '1 hour' WHERE id = :'a';
SELECT deadline AS d FROM theazo_data.run_loop WHERE root_id = substr(:'r', 5) \gset
SELECT status FROM theazo.agent_resume(:'a');
SELECT deadline - :'d'::timestamptz > interval '59 minutes', suspended FROM theazo_data.run_loop WHERE root_id = substr(:'r', 5);
SELECT tst.model(tst.says('done'));
SELECT status, output FROM theazo.run_result(:'r');
SELECT status FROM theazo.agents WHERE id = :'a';
-- paused and resumed before the boundary: nothing has happened
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.claim();
SELECT status FROM theazo.agent_pause(:'a');
SELECT status FROM theazo.agent_resume(:'a');
SELECT tst.settle('model.call', 'done', tst.calls(tst.call('report_progress', '{"message": "1"}')));
-- the whole session, and its end while it holds the run
SELECT status FROM theazo.session_pause(:'s');
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "2"}')));
SELECT suspended FROM theazo_data.run_loop WHERE root_id = substr(:'r', 5);
SELECT status FROM theazo.session_resume(:'s');
SELECT status FROM theazo.agents WHERE id = :'a';
SELECT count(*) FROM theazo_data.effect WHERE run_id = :'r' AND state = 'queued' AND kind = 'model.call';
SELECT status FROM theazo.agent_pause(:'a');
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "3"}')));
SELECT status FROM theazo.run_cancel(:'r');
SELECT status FROM theazo.agents WHERE id = :'a';
SELECT status FROM theazo.agent_resume(:'a');
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT status FROM theazo.agent_pause(:'a');
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "4"}')));
SELECT status FROM theazo.agent_terminate(:'a');
SELECT status FROM theazo.run_get(:'r');
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- inputs wait for the next run
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT theazo.agent_send(:'a', 'order', '4711 arrived'), theazo.agent_send(:'a', 'mail', 'from Ada', '{"to": "me"}');
SELECT id AS r FROM theazo.run_start(:'a', 'Handle it') \gset
SELECT tst.claim();
SELECT convert_from(content, 'UTF8') FROM tst.claimed WHERE kind = 'model.call';
SELECT theazo.agent_send(:'a', 'late', 'for the next');
SELECT tst.settle('model.call', 'done', tst.says('ok'));
SELECT type, run_id = :'r' FROM theazo_data.agent_input WHERE agent_id = :'a' ORDER BY created_at;
SELECT tst.code(format('SELECT theazo.agent_send(%L, %L, %L)', :'a', t, c)) FROM (VALUES (NULL, 'x'), ('', 'x'), (repeat('x', 65), 'x'), (E'a\nb', 'x'), ('t', NULL), ('t', ''), ('t', repeat('x', 65537))) v (t, c);
-- one that works for long begins at once, also when it slept
SELECT id AS b FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "longRunning": true, "hibernateAfterIdle": "60s"}') \gset
SELECT tst.boot();
SELECT theazo.agent_send(:'b', 'order', '1');
SELECT task, status FROM theazo.agent_status(:'b');
-- what comes while it works is read when it has nothing to do any more
SELECT theazo.agent_send(:'b', 'order', '2');
SELECT tst.model(tst.says('ok'));
SELECT status, run_id IS NOT NULL FROM theazo.agents WHERE id = :'b';
SELECT tst.model(tst.says('ok, too'));
UPDATE theazo_data.agent SET created_at = created_at - interval '1 hour' WHERE id = :'b';
UPDATE theazo_data.run SET ended_at = ended_at - interval '1 hour' WHERE agent_id = :'b';
SELECT theazo_internal.keeper_agents();
SELECT status, paused_by FROM theazo.agents WHERE id = :'b';
SELECT theazo.agent_send(:'b', 'order', '3');
SELECT status, run_id IS NOT NULL FROM theazo.agents WHERE id = :'b';
SELECT tst.claim();
SELECT convert_from(content, 'UTF8') FROM tst.claimed WHERE kind = 'model.call';
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- the loop is off
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "managedLoop": false}') \gset
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'x')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.agent_retry(%L)$$, :'a'));
SELECT tst.try(format($$SELECT theazo.agent_send(%L, 'a', 'x')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'helper', 'x', '{"managedLoop": false}')$$, :'s'));
SELECT count(*) FROM theazo_data.agent WHERE one_shot;
ROLLBACK;

-- ... by the platform as well
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT primitives_enabled FROM theazo.platform_update(primitives_enabled => false);
SELECT id AS a, managed_loop FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT :'managed_loop';
SELECT tst.code(format($$SELECT theazo.run_start(%L, 'x')$$, :'a'));
ROLLBACK;

-- one run, one agent: without a sandbox until a tool needs one, gone at the end
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS r, agent_id AS a FROM theazo.session_run(:'s', 'accountant', 'Add up', '{"model": "openai/gpt-5.4"}', idempotency_key => 'once') \gset
SELECT id = :'r' FROM theazo.session_run(:'s', 'accountant', 'Add up', '{"model": "openai/gpt-5.4"}', idempotency_key => 'once');
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'accountant', 'Other', idempotency_key => 'once')$$, :'s'));
SELECT tst.try(format($$SELECT theazo.agent_send(%L, 'note', 'nobody would read this')$$, :'a'));
SELECT tst.claim();
SELECT request ->> 'system', convert_from(content, 'UTF8') FROM tst.claimed;
SELECT count(*) FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT tst.settle('model.call', 'done', tst.says('4'));
SELECT status, sandbox_id, ended_at IS NOT NULL FROM theazo.agents WHERE id = :'a';
SELECT output FROM theazo.run_result(:'r');
-- with a sandbox of its owner's: the fee is the run's
SELECT name FROM theazo.provider_set('own', 'compute', 'webhook', endpoint => 'https://compute.example');
SELECT id AS r, agent_id AS a FROM theazo.session_run(:'s', 'accountant', 'Add up', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.model(tst.calls(tst.call('run_code', '{"language": "sh", "code": "1"}')));
SELECT tst.boot();
SELECT tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"stdout": "1\n", "stderr": "", "exit_code": 0}');
SELECT tst.model(tst.says('5'));
SELECT status, cost FROM theazo.run_get(:'r');
SELECT kind, state FROM theazo_data.effect WHERE agent_id = :'a' AND kind = 'compute.destroy';
SELECT status, sandbox_id FROM theazo.agents WHERE id = :'a';
-- one that fails is not tried again
SELECT id AS r, agent_id AS a FROM theazo.session_run(:'s', 'accountant', 'Add up', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.model('{"code": "provider_error", "message": "no", "class": "caller"}', 'failed');
SELECT status, error, ended_at IS NOT NULL FROM theazo.agents WHERE id = :'a';
SELECT tst.try(format('SELECT theazo.agent_retry(%L)', :'a'));
SELECT tst.code(format($$SELECT theazo.session_run(%L, 'adef_00000000000000000000000000', 'x')$$, :'s'));
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- a sandbox that cannot be made: the model is told, three times, and another provider of sandboxes is not awaited
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('own', 'compute', 'webhook', endpoint => 'https://compute.example');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "provider": "own"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT status FROM theazo.agents WHERE id = :'a';
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.calls(tst.call('run_code', '{"language": "sh", "code": "1"}')));
SELECT tst.settle('compute.create', 'failed', '{"code": "provider_error", "sqlstate": "TZ402", "message": "no machine left"}');
SELECT status FROM theazo.agents WHERE id = :'a';
SELECT state, output FROM theazo.run_steps(:'r') WHERE kind = 'tool';
SELECT tst.model(tst.says('without, then'));
SELECT status, output FROM theazo.run_result(:'r');
SELECT status, error FROM theazo.agents WHERE id = :'a';
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- what a failure means for the agent
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "lifecycle": {"onFailure": "retry", "maxRetries": 2, "retryDelay": "5s"}}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x', timeout => '77 s') \gset
SELECT tst.model('{"code": "provider_error", "message": "no", "class": "caller"}', 'failed');
SELECT status, retry_at BETWEEN now() + '1 s' AND clock_timestamp() + '6 s' FROM theazo_data.agent WHERE id = :'a';
SELECT theazo_internal.keeper_retries();
UPDATE theazo_data.agent SET retry_at = now() - interval '1 s' WHERE id = :'a';
SELECT theazo_internal.keeper_retries();
SELECT r.status, r.timeout_ms, l.role_name = current_user, p.input FROM theazo_data.agent a JOIN theazo_data.run r ON r.id = a.run_id
  JOIN theazo_data.run_loop l ON l.root_id = substr(r.id, 5) JOIN theazo_data.run_payload p ON p.root_id = l.root_id WHERE a.id = :'a';
SELECT tst.model('{"code": "provider_error", "message": "no", "class": "caller"}', 'failed');
UPDATE theazo_data.agent SET retry_at = now() - interval '1 s' WHERE id = :'a' AND retry_at IS NOT NULL;
SELECT theazo_internal.keeper_retries();
SELECT tst.model('{"code": "provider_error", "message": "no", "class": "caller"}', 'failed');
SELECT status, retry_at, error FROM theazo_data.agent WHERE id = :'a';
SELECT count(*) FROM theazo_data.run WHERE agent_id = :'a';
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "lifecycle": {"onFailure": "pause"}}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model('{"code": "provider_error", "message": "no", "class": "caller"}', 'failed');
SELECT status, paused_by, error FROM theazo_data.agent WHERE id = :'a';
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4", "lifecycle": {"onFailure": "terminate"}}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model('{"code": "provider_error", "message": "no", "class": "caller"}', 'failed');
SELECT status, error FROM theazo_data.agent WHERE id = :'a';
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- a settlement that throws fails the run and cuts the rest; the queue goes on
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.claim();
SELECT tst.code($$SELECT tst.settle('model.call', 'done', '{"text": "x", "stop": "end", "usage": {"input": "many"}}')$$);
SELECT theazo_internal.effect_broken(platform_id, root_id, id, attempt, 'invalid input syntax') FROM tst.claimed;
SELECT * FROM tst.ended(:'r');
SELECT state, error_code FROM theazo_data.step WHERE root_id = substr(:'r', 5);
SELECT estimated FROM theazo_data.charge WHERE run_id = :'r' AND item = 'model.call';
SELECT status, error, run_id FROM theazo.agents WHERE id = :'a';
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.calls(tst.call('run_code', '{"language": "sh", "code": "1"}'), tst.call('http_fetch', '{"url": "https://api.example/"}')));
SELECT tst.claim();
SELECT theazo_internal.effect_broken(platform_id, root_id, id, attempt, 'invalid input syntax') FROM tst.claimed WHERE kind = 'compute.exec';
SELECT status, sqlstate FROM tst.ended(:'r');
SELECT seq, kind, state FROM tst.steps(:'r');
SELECT kind, state, cancel_requested FROM theazo_data.effect WHERE run_id = :'r' ORDER BY kind;
SELECT tst.settle('http.get', 'cancelled');
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- what a worker that died had claimed
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.claim();
SELECT theazo_internal.leases_reclaim('{}') > 0;
SELECT status, sqlstate, unknown FROM tst.ended(:'r');
SELECT estimated FROM theazo_data.charge WHERE run_id = :'r';
SELECT * FROM tst.whole(:'p');
ROLLBACK;

-- rows of another instance are held; what was released goes on where it was
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT id AS r FROM theazo.run_start(:'a', 'x') \gset
SELECT tst.model(tst.calls(tst.call('report_progress', '{"message": "1"}')));
UPDATE theazo_data.effect SET instance = '1:1' WHERE run_id = :'r' AND state = 'queued';
SELECT theazo_internal.effects_hold() > 0;
SELECT tst.claim();
SELECT * FROM tst.whole(:'p');
SELECT theazo.effects_release() > 0;
SELECT tst.model(tst.says('after a restore'));
SELECT status, output FROM theazo.run_result(:'r');
ROLLBACK;

-- what a run is given
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.try(format('SELECT theazo.run_start(%L, %s)', :'a', x)) FROM (VALUES ('NULL'), (''' '''), ('repeat(''x'', 262145)'), ('''x'', max_cost => -1'),
	('''x'', max_cost => ''NaN'''), ('''x'', max_steps => 0'), ('''x'', max_steps => 26'), ('''x'', timeout => ''0 s'''), ('''x'', timeout => ''25 h'''),
	('''x'', response_schema => ''[]'''), ('''x'', idempotency_key => ''''')) v (x);
SELECT tst.try($$SELECT theazo.run_start('agt_00000000000000000000000000', 'x')$$);
SELECT tst.try($$SELECT theazo.run_start(NULL, 'x')$$);
SELECT id AS r FROM theazo.run_start(:'a', 'x', idempotency_key => 'k') \gset
SELECT id = :'r' FROM theazo.run_start(:'a', 'x', idempotency_key => 'k');
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'y', idempotency_key => 'k')$$, :'a'));
SELECT theazo.provider_delete('gate', 'model') IS NOT NULL;
SELECT id AS b FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'x')$$, :'b'));
ROLLBACK;

-- one commit: the run starts if and only if the order exists
CREATE TABLE tst.orders (id int PRIMARY KEY, item text, run text);
CREATE FUNCTION tst.order_arrived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.run := (theazo.run_start(TG_ARGV[0], format('Handle order %s: %s', NEW.id, NEW.item))).id;
	RETURN NEW;
END $$;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SAVEPOINT one;
INSERT INTO tst.orders VALUES (1, 'ink');
UPDATE tst.orders SET run = (theazo.run_start(:'a', 'Handle order 1')).id WHERE id = 1;
SELECT o.id, r.status FROM tst.orders o JOIN theazo_data.run r ON r.id = o.run;
ROLLBACK TO one;
SELECT count(*) FROM tst.orders;
SELECT count(*) FROM theazo_data.run WHERE agent_id = :'a';
SELECT status, run_id FROM theazo.agents WHERE id = :'a';
\set ECHO none
SELECT format('CREATE TRIGGER order_arrived BEFORE INSERT ON tst.orders FOR EACH ROW EXECUTE FUNCTION tst.order_arrived(%L)', :'a') \gexec
\set ECHO all
INSERT INTO tst.orders VALUES (2, 'paper');
SELECT tst.claim();
SELECT convert_from(content, 'UTF8') FROM tst.claimed WHERE kind = 'model.call';
-- the agent is at work: the order cannot be taken either
SELECT tst.code($$INSERT INTO tst.orders VALUES (3, 'pens')$$);
SELECT count(*) FROM tst.orders;
ROLLBACK;
