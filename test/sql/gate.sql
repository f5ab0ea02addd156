\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k, test AS kt FROM tst.platform('Gate') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Gate, other') \gset

-- every kind of effect is known to the gate: why it passes unasked, or what an agent needs for it
SELECT kind, exempt, (SELECT p.scopes FROM theazo_internal.permission_kinds() p WHERE p.kind = g.kind) AS scopes FROM theazo_internal.gate_kinds() g ORDER BY exempt IS NOT NULL, kind COLLATE "C";
SELECT DISTINCT k.kind FROM theazo_internal.effect_kinds() k WHERE NOT EXISTS (SELECT FROM theazo_internal.gate_kinds() g WHERE g.kind = k.kind);

-- where effects are made: each of these functions asks the gate, or makes kinds that need not
SELECT p.proname, p.prosrc ~ 'theazo_internal\.(gate|gate_agent|tool_gate)\(' AS asks
  FROM pg_proc p WHERE p.pronamespace = 'theazo_internal'::regnamespace AND p.proname !~ '^effect_enqueue'
   AND p.prosrc ~ '(effect_enqueue(_many)?\(|INSERT INTO theazo_data\.effect\M)' ORDER BY 1;
SELECT p.proname FROM pg_proc p WHERE p.pronamespace IN ('theazo'::regnamespace, 'theazo_api'::regnamespace)
   AND p.prosrc ~ '(effect_enqueue(_many)?\(|INSERT INTO theazo_data\.effect\M)' ORDER BY 1;

-- without a pass there is no effect, whatever its kind
SELECT k.kind, tst.code(format($$SELECT theazo_internal.effect_enqueue(%L, NULL, %L, 'webhook')$$, :'p', k.kind)) AS code
  FROM theazo_internal.gate_kinds() k WHERE k.exempt IS NULL AND k.kind NOT LIKE 'run.%' ORDER BY k.kind COLLATE "C";
SELECT tst.code(format($$SELECT theazo_internal.effect_enqueue_many(%L, %L, 'webhook', '{NULL}')$$, :'p', k.kind)), count(*)
  FROM theazo_internal.gate_kinds() k WHERE k.exempt IS NULL GROUP BY 1;

-- a pass is for one effect, of this kind, platform and agent, in this transaction
\set pass 'theazo_internal.gate(''http.get'', :''p'', ''live'', NULL, NULL, NULL, NULL, NULL, NULL)'
BEGIN;
SELECT :pass;
SAVEPOINT s;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'http.request', 'http');
ROLLBACK TO s;
SELECT theazo_internal.effect_enqueue(:'p2', NULL, 'http.get', 'http');
ROLLBACK TO s;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'http.get', 'http', p_agent => theazo_internal.id_new('agt'));
ROLLBACK TO s;
SELECT count(theazo_internal.effect_enqueue(:'p', NULL, 'http.get', 'http'));
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'http.get', 'http');
ROLLBACK;
BEGIN;
SELECT :pass;
COMMIT;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'http.get', 'http');
SELECT tst.try(format($$SELECT theazo_internal.gate(NULL, %L, NULL, NULL, NULL, NULL, NULL, NULL, NULL)$$, :'p'));
SELECT tst.try(format($$SELECT theazo_internal.gate('http.get', %L, NULL, NULL, NULL, NULL, NULL, NULL, ARRAY(SELECT 'l' || i FROM generate_series(1, 65) i))$$, :'p'));

-- a run that starts another one
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
SELECT id AS s FROM theazo.session_create('user-1') \gset
COMMIT;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS r1, agent_id AS a1 FROM theazo.session_run(:'s', 'parent', 'Begin.') \gset
SELECT id AS r2, agent_id AS a2, parent_id = :'r1' AS child FROM theazo.session_run(:'s', 'child', 'Go on.', parent => :'r1') \gset
SELECT :'child';
SELECT l.parent_root = substr(:'r1', 5) AS root, a.parent_run_id = :'r1' AS agent
  FROM theazo_data.run_loop l JOIN theazo_data.agent a ON a.id = l.agent_id WHERE l.root_id = substr(:'r2', 5);
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'me', parent => %L)$$, :'a1', :'r1'));
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'x', 'task', parent => %L)$$, :'s', theazo_internal.id_new('run')));
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'x', 'task', parent => 'nonsense')$$, :'s'));
-- somebody else's run is no parent
SELECT theazo.authenticate(:'k2');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
SELECT id AS s2 FROM theazo.session_create('user-1') \gset
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'x', 'task', parent => %L)$$, :'s2', :'r1'));
-- nor is one of the other environment
SELECT theazo.authenticate(:'kt');
SELECT id AS st FROM theazo.session_create('user-1') \gset
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'x', 'task', parent => %L)$$, :'st', :'r1'));
-- nor one of another session for who acts for one
SELECT id AS s3 FROM theazo.session_create('user-2', api_key => :'k') \gset
SAVEPOINT narrowed;
SELECT id = :'s3' FROM theazo.act_as(:'s3', :'k');
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'x', 'task', parent => %L)$$, :'s3', :'r1'));
ROLLBACK TO narrowed;
-- nor is one that has ended
SELECT theazo.authenticate(:'k');
SELECT status FROM theazo.run_cancel(:'r2');
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'x', 'task', parent => %L)$$, :'s', :'r2'));
-- eight in a row at most
DO $$
DECLARE
	v text := (SELECT r.id FROM theazo.runs r WHERE r.parent_id IS NULL);
	s text := (SELECT r.session_id FROM theazo.runs r WHERE r.parent_id IS NULL);
BEGIN
	FOR i IN 2..8 LOOP
		v := (theazo.session_run(s, 'x', 'level ' || i, parent => v)).id;
	END LOOP;
	PERFORM theazo.session_run(s, 'x', 'level 9', parent => v);
EXCEPTION WHEN configuration_limit_exceeded THEN
	RAISE WARNING '%', SQLERRM;
END
$$;
ROLLBACK;

-- every place that makes effects, closed by permissions: an agent that may only ask its model
CREATE FUNCTION tst.gate_asks(c jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('text', 'thinking', 'stop', 'tool_use', 'wire', '{"role":"assistant","content":"thinking","tool_calls":[]}', 'usage', '{"input": 10, "output": 5}'::jsonb,
		'tool_calls', (SELECT jsonb_agg(jsonb_build_object('id', 'call_' || o, 'name', x ->> 0, 'arguments', x -> 1) ORDER BY o)
						 FROM jsonb_array_elements(c) WITH ORDINALITY AS u (x, o)))
$$;
CREATE SCHEMA gate_shop;
CREATE FUNCTION gate_shop.find(name text) RETURNS text LANGUAGE sql AS $$ SELECT name $$;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.tool_set('ship', 'Ships an order.', '{"type": "object"}', url => 'https://shop.example/ship');
SELECT name FROM theazo.tool_set('find', 'Finds an article.', sql_function => 'gate_shop.find');
\set calls '[["run_code", {"language": "sh", "code": "true"}], ["read_file", {"path": "a"}], ["write_file", {"path": "a", "content": "b"}], ["list_files", {}], ["http_fetch", {"url": "https://example.com/"}], ["http_fetch", {"url": "https://example.com/", "method": "POST"}], ["web_search", {"query": "q"}], ["ship", {}], ["find", {"name": "n"}], ["report_progress", {"message": "m"}]]'
SELECT id AS r FROM theazo.session_run(:'s', 'careful', 'Do it.', '{"permissions": ["inference:call"]}') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_asks(:'calls'));
SELECT s.name, s.state, s.output FROM theazo.run_steps(:'r') s WHERE s.kind = 'tool' ORDER BY s.seq;
SELECT kind, count(*) FROM theazo_data.effect WHERE run_id = :'r' GROUP BY 1;
SELECT summary ->> 'tool' AS tool, decision, rule, is_violation, permission_state FROM theazo.events WHERE run_id = :'r' AND action = 'permission_denied' ORDER BY number;
-- and open: the same calls begin
SELECT id AS r FROM theazo.session_run(:'s', 'bold', 'Do it.', '{"permissions": "FULL", "network": {"enabled": true}}') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_asks(:'calls'));
SELECT s.name, s.state FROM theazo.run_steps(:'r') s WHERE s.kind = 'tool' ORDER BY s.seq;
SELECT kind, count(*) FROM theazo_data.effect WHERE run_id = :'r' GROUP BY 1 ORDER BY 1;
-- not even its model
SELECT tst.try(format($$SELECT theazo.session_run(%L, 'mute', 'Do it.', '{"permissions": "READONLY"}')$$, :'s'));
ROLLBACK;

-- closed by the kill switch: nothing begins, whoever asks
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.tool_set('ship', 'Ships an order.', '{"type": "object"}', url => 'https://shop.example/ship');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT count(*) AS before FROM theazo_data.effect WHERE platform_id = :'p' \gset
SELECT kind, in_force FROM theazo.halt('test of the gate');
SELECT tst.try(format($$SELECT theazo.run_start(%L, 'x')$$, :'a'));
SELECT w, tst.code(format(w, :'a')) FROM unnest(ARRAY['SELECT theazo.exec_start(%L, ''sh'', ''true'')', 'SELECT theazo.file_read_start(%L, ''/a'')',
	'SELECT theazo.file_write_start(%L, ''/a'', ''b'')', 'SELECT theazo.file_list_start(%L, ''/'')', 'SELECT theazo.metrics_start(%L)', 'SELECT theazo.port_expose_start(%L, 8080)',
	'SELECT theazo.http_fetch_start(%L, ''https://example.com/'')', 'SELECT theazo.tool_test_start(%L, ''ship'', ''{}'')']) w;
SELECT tst.code(format('SELECT theazo.session_run(%L, NULL, ''x'')', :'s')), tst.code(format('SELECT theazo.agent_create(%L)', :'s'));
SELECT count(*) - :before AS more FROM theazo_data.effect WHERE platform_id = :'p';
SELECT theazo.unhalt();
SELECT status FROM theazo.exec_start(:'a', 'sh', 'true');
ROLLBACK;
