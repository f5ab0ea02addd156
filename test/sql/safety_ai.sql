\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
\set ECHO none
CREATE OR REPLACE FUNCTION tst.gate_says(t text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('text', t, 'stop', 'end', 'tool_calls', '[]'::jsonb, 'wire', jsonb_build_object('role', 'assistant', 'content', t)::text,
		'usage', '{"input": 10, "output": 5}'::jsonb)
$$;
CREATE OR REPLACE FUNCTION tst.gate_calls(c jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT tst.gate_says('thinking') || jsonb_build_object('stop', 'tool_use',
		'tool_calls', (SELECT jsonb_agg(jsonb_build_object('id', 'call_' || o, 'name', x ->> 0, 'arguments', x -> 1) ORDER BY o)
						 FROM jsonb_array_elements(c) WITH ORDINALITY AS u (x, o)))
$$;
-- what a run waits for
CREATE FUNCTION tst.open(run text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', r.status, r.error_sqlstate, (SELECT string_agg(concat_ws(' ', s.seq, s.kind, s.state, s.name), ', ' ORDER BY s.seq) FROM theazo_data.step s
		WHERE s.root_id = substr(r.id, 5)), (SELECT string_agg(concat_ws(' ', e.kind, e.adapter, e.step_seq), ', ' ORDER BY e.kind, e.step_seq) FROM theazo_data.effect e
		WHERE e.root_id = substr(r.id, 5) AND e.state IN ('queued', 'claimed', 'sent'))) FROM theazo_data.run r WHERE r.id = run
$$;
CREATE FUNCTION tst.judged(run text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', v.stage, v.status, v.tool, v.rule, v.toxicity, v.injection, v.judge, v.judge_toxicity, v.judge_injection) FROM theazo_data.safety_verdict v
	 WHERE v.run_id = run ORDER BY v.id
$$;
CREATE FUNCTION tst.shown(run text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' > ', p.seq, p.input, p.output) FROM theazo_data.step_payload p WHERE p.root_id = substr(run, 5) ORDER BY p.seq
$$;
\set ECHO all
-- who is asked about texts that the rules are in doubt about, while their run waits
SELECT platform AS p, live AS k FROM tst.platform('Judged') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
SELECT name FROM theazo.safety_pattern_set('grey', 'grey\s+heron', 'illicit', 0.3);
SELECT name FROM theazo.safety_pattern_set('blue', 'blue\s+heron', 'prompt_injection', 0.25);
SELECT theazo.guardrails_set('{"contentFilter": "moderate", "promptInjection": true, "blockPII": true}') IS NOT NULL;
SELECT model FROM theazo.safety_ai_set('model', 'acme/judge', 'gate');
SELECT id AS s FROM theazo.session_create('user-1') \gset
COMMIT;
\set plain '{"model": "gate/m", "tools": ["run_code"]}'
\set asks '{"model": "gate/m", "tools": ["run_code"], "approvals": {"require": ["run_code"]}}'
\set passes '{"toxicity": 0.1, "injection": 0.05, "usage": {"input": 100, "output": 20}}'
\set blocks '{"toxicity": 0.9, "injection": 0.9, "usage": {"input": 100, "output": 20}}'

-- input: no step before the verdict; what was sent to the agent before is shown with it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', :'plain') \gset
SELECT theazo.agent_send(:'a', 'note', 'Mind the blue heron.') IS NOT NULL;
SELECT id AS r1 FROM theazo.run_start(:'a', 'Feed it.') \gset
SELECT id AS r2 FROM theazo.session_run(:'s', 'two', 'Feed the grey heron.', :'plain') \gset
SELECT id AS r3 FROM theazo.session_run(:'s', 'three', 'Feed the cat.', :'plain') \gset
SELECT tst.open(:'r1');
SELECT tst.open(:'r2');
SELECT tst.open(:'r3');
SELECT count(*) FROM tst.claim();
SELECT kind, adapter, timeout_ms, deadline - clock_timestamp() <= '3 s', request ->> 'input', request ->> 'via', request ->> 'model', request -> 'limits', needs_secrets,
	endpoint - 'owner' FROM tst.claimed WHERE kind = 'safety.judge' ORDER BY request ->> 'input';
SELECT count(*) FROM theazo.integrity_check();
SELECT tst.settle('safety.judge', 'done', :'passes');
SELECT tst.open(:'r1');
SELECT tst.open(:'r2');
SELECT tst.judged(:'r1');
SELECT tst.judged(:'r2');
SELECT item, payer, amount, input_tokens, output_tokens FROM theazo_data.charge WHERE run_id = :'r1';
SELECT action, summary - 'judge' FROM theazo.events WHERE action LIKE 'judge%' ORDER BY id LIMIT 1;
SELECT count(*) FROM theazo.integrity_check();
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS r1 FROM theazo.session_run(:'s', 'one', 'Feed the grey heron.', :'plain') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('safety.judge', 'unknown', '{"message": "nobody knows"}');
SELECT tst.open(:'r1');
SELECT tst.judged(:'r1');
SELECT item, estimated, input_tokens > 0 FROM theazo_data.charge WHERE run_id = :'r1';
SELECT error_message FROM theazo_data.run WHERE id = :'r1';
SELECT type, stage, rule, message FROM theazo.guardrails_violations();
SELECT count(*) FROM theazo.integrity_check();
ROLLBACK;

-- arguments: shown to nobody before their verdict, approvers among them; what an approver makes of them is judged as well
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS r1 FROM theazo.session_run(:'s', 'one', 'Feed it.', :'asks') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_calls('[["run_code", {"language": "python", "code": "print(''grey heron'')"}], ["run_code", {"language": "python", "code": "print(1)"}]]'));
SELECT tst.open(:'r1');
SELECT tst.shown(:'r1');
SELECT params FROM theazo.approvals WHERE status = 'pending' ORDER BY id;
SELECT count(*) FROM theazo.integrity_check();
SELECT count(*) FROM tst.claim();
SELECT tst.settle('safety.judge', 'done', :'passes');
SELECT tst.open(:'r1');
SELECT tst.shown(:'r1');
SELECT id AS apr FROM theazo.approvals WHERE status = 'pending' AND params ->> 'code' LIKE '%heron%' \gset
SELECT count(*) FROM theazo.integrity_check();
SELECT theazo_internal.tool_decided(:'p', substr(:'r1', 5), 2, 'approved', '{"language": "python", "code": "print(''grey  heron'')"}', NULL);
SELECT tst.open(:'r1');
SELECT count(*) FROM tst.claim();
SELECT tst.settle('safety.judge', 'done', :'blocks');
SELECT tst.open(:'r1');
SELECT tst.shown(:'r1');
SELECT tst.judged(:'r1');
ROLLBACK;

-- results: the call is over, and the model is told after the verdict
BEGIN;
SELECT theazo.authenticate(:'k');
CREATE FUNCTION public.page() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
SELECT name FROM theazo.tool_set('page', 'reads', sql_function => 'public.page');
SELECT id AS r1 FROM theazo.session_run(:'s', 'one', 'Read it.', '{"model": "gate/m", "tools": ["page"]}') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_calls('[["page", {}], ["page", {}]]'));
SELECT count(*) FROM tst.claim();
SELECT tst.settle('tool.sql', 'done', '{"output": "The blue heron says hello."}');
SELECT tst.open(:'r1');
SELECT tst.shown(:'r1');
SELECT count(*) FROM theazo.integrity_check();
SELECT count(*) FROM tst.claim();
SELECT tst.settle('safety.judge', 'done', :'passes');
SELECT tst.open(:'r1');
SELECT tst.shown(:'r1');
-- the same text again in this run has its verdict
SELECT count(*) FROM tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_calls('[["page", {}]]'));
SELECT count(*) FROM tst.claim();
SELECT tst.settle('tool.sql', 'done', '{"output": "The blue heron says hello."}');
SELECT tst.open(:'r1');
SELECT tst.judged(:'r1');
SELECT count(*) FROM theazo.integrity_check();
ROLLBACK;

-- output: held back in the step, too, and without personal data; then it is there
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS r1 FROM theazo.session_run(:'s', 'one', 'Say it.', :'plain') \gset
SELECT count(*) FROM tst.claim();
SELECT request -> 'guard' FROM tst.claimed WHERE kind = 'model.call';
SELECT tst.settle('model.call', 'done', tst.gate_says('The grey heron is bob@example.com.'));
SELECT tst.open(:'r1');
SELECT tst.shown(:'r1');
SELECT count(*) FROM theazo.integrity_check();
SAVEPOINT here;
SELECT theazo.run_cancel(:'r1') IS NOT NULL;
SELECT tst.open(:'r1');
SELECT count(*) FROM theazo.integrity_check();
ROLLBACK TO here;
SELECT count(*) FROM tst.claim();
SELECT request ->> 'input', request -> 'limits' FROM tst.claimed WHERE kind = 'safety.judge';
SAVEPOINT here;
SELECT tst.settle('safety.judge', 'failed', '{"message": "it broke"}');
SELECT tst.open(:'r1');
SELECT tst.shown(:'r1');
ROLLBACK TO here;
SELECT tst.settle('safety.judge', 'done', :'passes');
SELECT tst.open(:'r1');
SELECT tst.shown(:'r1');
SELECT output FROM theazo.run_result(:'r1');
SELECT tst.judged(:'r1');
SELECT count(*) FROM theazo.integrity_check();
ROLLBACK;

-- the provider is gone when it is asked: nobody judges, and nothing passes
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('other', 'model', 'openai-compatible', endpoint => 'https://other.example/v1');
SELECT provider FROM theazo.safety_ai_set('model', 'acme/judge', 'other');
SELECT theazo.provider_delete('other', 'model') IS NOT NULL;
SELECT id AS r1 FROM theazo.session_run(:'s', 'one', 'Feed the grey heron.', :'plain') \gset
SELECT count(*) FROM tst.claim();
SELECT kind, endpoint IS NULL FROM tst.claimed;
ROLLBACK;

-- the operator's: paid like a managed call
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo.safety_ai_delete();
SELECT name FROM theazo.operator_provider_set('big', 'model', 'openai-compatible', endpoint => 'https://big.example/v1');
SELECT theazo.model_price_set('acme/judge', 100, 400) IS NOT NULL;
SELECT model FROM theazo.operator_safety_ai_set('model', 'acme/judge', 'big');
SELECT id AS r1 FROM theazo.session_run(:'s', 'one', 'Feed the grey heron.', :'plain') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('safety.judge', 'done', '{"toxicity": 0, "injection": 0, "usage": {"input": 1000000, "output": 1000000}}');
SELECT tst.judged(:'r1');
SELECT c.payer, c.provider, c.model, c.amount = l.spent, c.amount > 500000000 FROM theazo_data.charge c JOIN theazo_data.run_loop l ON l.root_id = c.root_id WHERE c.run_id = :'r1';
SELECT count(*) FROM theazo.integrity_check();
ROLLBACK;
