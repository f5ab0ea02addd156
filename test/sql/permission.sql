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
-- what permission_check says, in a line
CREATE FUNCTION tst.may(agent text, action text DEFAULT NULL, tool text DEFAULT NULL, path text DEFAULT NULL, host text DEFAULT NULL, labels text[] DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
	SELECT tst.mask(concat_ws(' | ', c.decision, c.rule, c.message, c.hint, c.alternative)) FROM theazo.permission_check(agent, action, tool, path, host, labels) c
$$;
-- only which way and by what
CREATE FUNCTION tst.may_short(agent text, action text DEFAULT NULL, tool text DEFAULT NULL, path text DEFAULT NULL, host text DEFAULT NULL, labels text[] DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
	SELECT tst.mask(c.decision || ' ' || c.rule) FROM theazo.permission_check(agent, action, tool, path, host, labels) c
$$;
CREATE SCHEMA crm;
CREATE FUNCTION crm.find(name text) RETURNS text LANGUAGE sql AS $$ SELECT name $$;
CREATE FUNCTION crm.save(name text) RETURNS text LANGUAGE sql AS $$ SELECT name $$;
\set ECHO all
SELECT platform AS p, live AS k, test AS t FROM tst.platform('Rules') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Others') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
SELECT id AS s FROM theazo.session_create('user-1') \gset
SELECT count(theazo.tool_set('find', 'Finds.', sql_function => 'crm.find'));
SELECT count(theazo.tool_set('save', 'Saves.', sql_function => 'crm.save', read_only => false));
SELECT count(theazo.tool_set('ship', 'Ships.', '{"type": "object"}', url => 'https://shop.example/ship'));
COMMIT;
BEGIN;
SELECT theazo.authenticate(:'k2');
SELECT id AS s2 FROM theazo.session_create('user-2') \gset
SELECT id AS a2 FROM theazo_internal.agent_make(:'s2', '{}', true) \gset
COMMIT;
-- its sandbox is nothing to claim for the tests that follow
UPDATE theazo_data.effect SET state = 'cancelled' WHERE platform_id = :'p2' AND state = 'queued';

-- scopes: an array, or the name of a preset, and nothing else
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.try(format($$SELECT (theazo.agent_create(%L, %L)).options -> 'permissions'$$, :'s', jsonb_build_object('permissions', v)))
  FROM (VALUES ('"READONLY"'::jsonb), ('"FULL"'), ('["data:write", "data:read", "data:write"]'), ('[]'), ('"full"'), ('"EVERYTHING"'), ('["data:*"]'), ('["data:read", "root"]'),
	('{"scopes": []}'), ('7'), ('[7]')) AS t (v);
SELECT preset, cardinality(scopes) FROM theazo_internal.permission_presets() ORDER BY preset;
-- every scope of a preset is one, every kind needs scopes that there are, and the gate knows the same kinds
SELECT p.preset, s FROM theazo_internal.permission_presets() p, unnest(p.scopes) s WHERE s NOT IN (SELECT scope FROM theazo_internal.permission_scopes());
SELECT k.kind, s FROM theazo_internal.permission_kinds() k, unnest(k.scopes) s WHERE s NOT IN (SELECT scope FROM theazo_internal.permission_scopes());
SELECT g.kind FROM theazo_internal.gate_kinds() g LEFT JOIN theazo_internal.permission_kinds() k USING (kind)
 WHERE g.exempt IS NULL AND k.kind IS NULL ORDER BY 1;
ROLLBACK;

-- what each preset may, tool by tool: deny by default
BEGIN;
SELECT theazo.authenticate(:'k');
CREATE TEMP TABLE agents ON COMMIT DROP AS
SELECT p, (theazo.agent_create(:'s', jsonb_build_object('permissions', p, 'network', '{"enabled": true}'::jsonb))).id
  FROM unnest('{READONLY,WRITER,RESEARCHER,CODER,ANALYST,FULL}'::text[]) p;
INSERT INTO agents SELECT '(none)', (theazo.agent_create(:'s', '{}')).id;
INSERT INTO agents SELECT '(empty)', (theazo.agent_create(:'s', '{"permissions": []}')).id;
SELECT tool, (SELECT string_agg(a.p, ' ' ORDER BY a.p) FROM agents a WHERE tst.may_short(a.id, tool => t.tool) LIKE 'allow%') AS may
  FROM unnest('{find,http_fetch,list_files,read_file,report_progress,run_code,save,ship,web_search,write_file}'::text[]) AS t (tool);
SELECT action, (SELECT string_agg(a.p, ' ' ORDER BY a.p) FROM agents a WHERE tst.may_short(a.id, action => t.action) LIKE 'allow%') AS may
  FROM unnest('{model.call,compute.create,compute.metrics,run.start,run.spawn,run.read,agent.send,context.read,context.write}'::text[]) AS t (action);
SELECT tst.may(id, tool => 'save') FROM agents WHERE p IN ('(none)', 'CODER', 'FULL') ORDER BY p;
SELECT tst.may(id, 'context.read') FROM agents WHERE p IN ('(empty)', 'CODER', 'READONLY') ORDER BY p;
-- the question is on record, and changes nothing
SELECT action, decision, rule, is_violation, summary FROM theazo.events WHERE agent_id = (SELECT id FROM agents WHERE p = 'CODER') AND action = 'permission_checked' ORDER BY number LIMIT 3;
SELECT tst.try(format($$SELECT theazo.permission_check(%L, %L, %L, %L, %L)$$, :'a2', 'model.call', NULL, NULL, NULL)),
	tst.try(format($$SELECT theazo.permission_check(%L, %L, %L, %L, %L)$$, id, 'anything', NULL, NULL, NULL)),
	tst.try(format($$SELECT theazo.permission_check(%L, %L, %L, %L, %L)$$, id, NULL, NULL, NULL, NULL)),
	tst.try(format($$SELECT theazo.permission_check(%L, %L, %L, %L, %L)$$, id, NULL, 'nothing', NULL, NULL)),
	tst.try(format($$SELECT theazo.permission_check(%L, %L, %L, %L, %L)$$, id, NULL, 'read_file', '/../x', NULL)),
	tst.try(format($$SELECT theazo.permission_check(%L, %L, %L, %L, %L)$$, id, NULL, 'http_fetch', NULL, 'http://x/')) FROM agents WHERE p = 'FULL';
ROLLBACK;

-- rules: kept clean, each once
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('worker') \gset
SELECT id AS r1, effect, scope, tool, path, host, subject FROM theazo.permission_rule_set('deny', path => '//secrets/./x/../keys/', subject => :'d') \gset
SELECT :'path', :'subject' = :'d';
SELECT id = :'r1' FROM theazo.permission_rule_set('deny', path => 'secrets/keys', subject => :'d');
SELECT scope, tool, path, host FROM theazo.permission_rule_set('allow', 'network:*', 'http_*', host => '*.API.Example');
SELECT scope, path, host FROM theazo.permission_rule_set('deny', path => '/', host => '[::FFFF:10.0.0.1]');
SELECT host FROM theazo.permission_rule_set('deny', host => '2130706433');
SELECT tst.try(format('SELECT theazo.permission_rule_set(%L, %L, %L, %L, %L, %L)', e, sc, t, p, h, su))
  FROM (VALUES ('deny', NULL, NULL, NULL, NULL, NULL), ('maybe', '*', NULL, NULL, NULL, NULL), (NULL, '*', NULL, NULL, NULL, NULL), ('deny', 'network', NULL, NULL, NULL, NULL), ('deny', 'files:*', NULL, NULL, NULL, NULL),
	('deny', NULL, '', NULL, NULL, NULL), ('deny', NULL, repeat('x', 257), NULL, NULL, NULL), ('deny', NULL, '*a*b*c*d*e*f*g*h*i', NULL, NULL, NULL), ('deny', NULL, NULL, '/../etc', NULL, NULL),
	('deny', NULL, NULL, NULL, 'https://x.example', NULL), ('deny', NULL, NULL, NULL, 'x.example:443', NULL), ('deny', NULL, NULL, NULL, 'x y', NULL), ('deny', '*', NULL, NULL, NULL, 'somebody')) AS v (e, sc, t, p, h, su);
SELECT tst.try(format('SELECT theazo.permission_rule_set(%L, %L, subject => %L)', 'deny', '*', :'a2'));
SELECT effect, scope, tool, path, host, subject = :'d' AS of_definition FROM theazo.permission_rule_list();
SELECT count(*) FROM theazo.permission_rule_list(:'d');
SELECT action, tst.mask(summary::text) FROM theazo.events WHERE action LIKE 'permission_rule%' ORDER BY number;
SELECT effect, path FROM theazo.permission_rule_delete(:'r1');
SELECT tst.try(format('SELECT theazo.permission_rule_delete(%L)', :'r1'));
SELECT count(theazo.permission_rule_set('deny', tool => 't' || i)) FROM generate_series(1, 497) i;
SELECT tst.try($$SELECT theazo.permission_rule_set('deny', tool => 'one more')$$);
SELECT tst.try($$SELECT (theazo.permission_rule_set('deny', tool => 't1')).tool$$);
SELECT theazo.authenticate(:'k2');
SELECT count(*) FROM theazo.permission_rules;
ROLLBACK;

-- deny wins; then a rule that names more; an action that may do what is forbidden is forbidden
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('coder', '{"permissions": "CODER", "network": {"enabled": true, "allow": ["api.example", "*.cdn.example"]}}') \gset
SELECT id AS a FROM theazo.agent_create(:'s', jsonb_build_object('definition', :'d')) \gset
SELECT id AS b FROM theazo.agent_create(:'s', '{"permissions": "CODER", "network": {"enabled": true, "allow": ["api.example"]}}') \gset
SELECT id AS allow_one FROM theazo.permission_rule_set('allow', tool => 'save') \gset
SELECT tst.may_short(:'a', tool => 'save') = 'allow ' || tst.mask(:'allow_one'), tst.may(:'a', tool => 'read_file', path => '/x');
SELECT count(theazo.permission_rule_set('allow', 'storage:read', path => '/public'));
SELECT tst.may_short(:'a', tool => 'read_file', path => p), p FROM unnest('{/public,/public/a/b,/publicity,/private,/public/../private,/}'::text[]) p;
SELECT tst.may(:'a', tool => 'read_file', path => '/private');
SELECT tst.may_short(:'a', tool => 'list_files', path => p), p FROM unnest('{/public,/}'::text[]) p;
SELECT id AS deny_def FROM theazo.permission_rule_set('deny', 'network:outbound', host => 'evil.example', subject => :'d') \gset
SELECT id AS deny_all FROM theazo.permission_rule_set('deny', host => 'evil.example') \gset
SELECT (theazo.permission_check(:'a', tool => 'http_fetch', host => 'www.EVIL.example')).rule = :'deny_def', (theazo.permission_check(:'b', tool => 'http_fetch', host => 'evil.example.')).rule = :'deny_all';
SELECT tst.may(:'b', tool => 'http_fetch', host => 'evil.example'), tst.may_short(:'b', tool => 'http_fetch', host => 'notevil.example'), tst.may_short(:'b', tool => 'http_fetch');
-- an address has many spellings
SELECT count(theazo.permission_rule_set('deny', host => '127.0.0.1'));
SELECT h, tst.may_short(:'b', tool => 'http_fetch', host => h) FROM unnest('{127.1,0x7f000001,2130706433,017700000001,[::ffff:127.0.0.1],[::ffff:7f00:1],127.0.0.1:8080,127.0.0.2,x.127.0.0.1}'::text[]) h;
-- where a search goes is not the agent's choice: only a rule about every host holds for it
SELECT tst.may_short(:'b', tool => 'web_search');
SELECT count(theazo.permission_rule_set('deny', host => '*', subject => :'b'));
SELECT tst.may_short(:'b', tool => t) FROM unnest('{web_search,ship,http_fetch}'::text[]) t;
ROLLBACK;

-- code can open every file, and send to where its sandbox is open to
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"network": {"enabled": true, "allow": ["api.example", "*.cdn.example"]}}') \gset
SELECT id AS b FROM theazo.agent_create(:'s', '{}') \gset
SELECT count(theazo.permission_rule_set('deny', tool => 'read_file', path => '/named'));
SELECT tst.may_short(x, tool => 'run_code') FROM unnest(ARRAY[:'a', :'b']) x;
SAVEPOINT one;
SELECT count(theazo.permission_rule_set('deny', 'storage:read', path => '/secrets/**'));
SELECT tst.may(:'b', tool => 'run_code');
SELECT tst.may_short(:'b', tool => 'write_file', path => '/secrets/x'), tst.may_short(:'b', tool => 'read_file', path => '/secrets/x');
SELECT tst.may_short(:'b', tool => 'list_files', path => p), p FROM unnest('{/,/secrets,/secrets/a,/other}'::text[]) p;
ROLLBACK TO one;
SELECT h, (SELECT tst.may_short(:'a', tool => 'run_code') FROM theazo.permission_rule_set('deny', host => h)) FROM unnest('{api.other,eu.cdn.example}'::text[]) h;
SELECT tst.may(:'a', tool => 'run_code');
ROLLBACK TO one;
SELECT count(theazo.permission_rule_set('deny', 'network:outbound'));
SELECT tst.may(:'a', tool => 'run_code'), tst.may_short(:'b', tool => 'run_code');
ROLLBACK;

-- network: a scope alone opens nothing, and a sandbox gets no more than its agent
BEGIN;
SELECT theazo.authenticate(:'k');
CREATE TEMP TABLE made ON COMMIT DROP AS SELECT o, n, a.id
  FROM unnest(ARRAY['{}', '{"permissions": "FULL"}', '{"permissions": "FULL", "network": {"enabled": true}}', '{"permissions": "WRITER", "network": {"enabled": true}}', '{"template": "STANDARD"}',
	'{"template": "STANDARD", "network": {"enabled": true}}', '{"template": "STRICT", "network": {"enabled": true}}', '{"template": "STRICT", "network": {"enabled": true, "allow": ["x.example"]}}']::jsonb[]) WITH ORDINALITY u (o, n)
  CROSS JOIN LATERAL theazo.agent_create(:'s', o) a;
SELECT o, tst.may_short(m.id, tool => 'http_fetch', host => 'x.example'), theazo_internal.sandbox_network(g) ->> 'enabled' AS sandbox
  FROM made m JOIN theazo_data.agent g ON g.id = m.id ORDER BY n;
ROLLBACK;

-- in a run: the model is told, the run goes on, and the trail knows
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.permission_rule_set('deny', path => '/etc'));
SELECT id AS a FROM theazo.agent_create(:'s', '{"permissions": ["inference:call", "storage:read", "data:read"]}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'Do it') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_calls('[["run_code", {"language": "sh", "code": "id"}], ["read_file", {"path": "x/../etc/./passwd"}], ["read_file", {"path": "../x"}], ["read_file", {"path": "/ok"}], ["save", {"name": "n"}], ["find", {"name": "n"}], ["http_fetch", {"url": "https://x.example/"}], ["ship", {}]]'));
SELECT seq, state, name, output FROM theazo.run_steps(:'r') WHERE kind = 'tool' ORDER BY seq;
SELECT tst.claim();
SELECT tst.settle('tool.sql', 'done', '{"output": "x"}'), tst.settle('compute.read', 'done', '{}', 'text');
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_says('Done'));
SELECT status, output FROM theazo.run_result(:'r');
SELECT action, decision, rule ~ '^(prl_|scope:)' AS ruled, is_violation, permission_state, summary ->> 'tool' AS tool FROM theazo.events WHERE run_id = :'r' AND decision = 'deny' ORDER BY number;
-- what a human grants meanwhile holds for the rest of the run, and for the next ones
SELECT id AS c FROM theazo.agent_create(:'s', '{"permissions": ["inference:call"]}') \gset
SELECT tst.boot();
SELECT id AS r2 FROM theazo.run_start(:'c', 'Do it') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_calls('[["find", {"name": "n"}]]'));
SELECT id AS q FROM theazo.permission_request_create(:'c', '{"scopes": ["data:read"]}', 'to find customers') \gset
SELECT status FROM theazo.permission_request_approve(:'q');
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_calls('[["find", {"name": "n"}], ["save", {"name": "n"}]]'));
SELECT seq, state, name, output FROM theazo.run_steps(:'r2') WHERE kind = 'tool' ORDER BY seq;
SELECT theazo.agent_policy(:'c') -> 'scopes';
-- a model that it may not ask: the run ends
SELECT id AS b FROM theazo.agent_create(:'s', '{"permissions": ["data:read"]}') \gset
SELECT tst.boot();
SELECT tst.try(format($$SELECT (theazo.run_start(%L, 'Do it')).status$$, :'b'));
-- outside of a run the same holds
SELECT tst.try(format($$SELECT theazo.exec_start(%L, 'sh', 'true')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.file_read_start(%L, '/a/../etc/x')$$, :'a'));
SELECT tst.try(format($$SELECT (theazo.file_read_start(%L, '/x')).kind$$, :'a'));
SELECT tst.try(format($$SELECT theazo.http_fetch_start(%L, 'https://x.example/')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.tool_test_start(%L, 'save', '{"name": "n"}')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.metrics_start(%L)$$, :'a'));
ROLLBACK;

-- who may change rules
SELECT tst.try(format($$SELECT theazo.permission_rule_set('deny', '*', api_key => %L)$$, :'t'));
SELECT tst.try($$SELECT theazo.permission_rule_list()$$);
SELECT key AS narrow FROM theazo.api_key_create('narrow', scopes => '{permission:read}', api_key => :'k') \gset
SELECT count(*) FROM theazo.permission_rule_list(api_key => :'narrow');
SELECT tst.try(format($$SELECT theazo.permission_rule_set('deny', '*', api_key => %L)$$, :'narrow'));
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.permission_rule_set('deny', 'storage:*'));
SELECT (theazo.act_as(:'s')).status;
SELECT count(*) FROM theazo.permission_rules;
SELECT tst.try($$SELECT theazo.permission_rule_list()$$), tst.try($$SELECT theazo.permission_rule_set('allow', '*')$$), tst.try($$SELECT theazo.platform_policy_set('DEV')$$);
-- ... and they hold for one who acts for a session
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.try(format($$SELECT theazo.file_read_start(%L, '/x')$$, :'a'));
ROLLBACK;

-- templates: within what template, definition and platform allow
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.try(format($$SELECT theazo.agent_policy((theazo.agent_create(%L, %L)).id) - 'version' - 'guardrails'$$, :'s', o))
  FROM unnest(ARRAY['{}', '{"template": "STRICT"}', '{"template": "STANDARD", "permissions": "WRITER"}', '{"template": "DEV"}', '{"template": "STRICT", "limits": {"maxMemoryMb": 512, "maxExecutionTimeSec": 180, "maxApiCallsPerRun": 3}}',
	'{"limits": {"maxApiCallsPerRun": 0}}', '{"template": "STRICT", "limits": {"maxMemoryMb": 513}}', '{"template": "STANDARD", "limits": {"maxExecutionTimeSec": 601}}', '{"template": "LOOSE"}', '{"limits": {"maxMemory": 1}}',
	'{"limits": {"maxMemoryMb": 8}}', '{"limits": []}', '{"limits": {"maxMemoryMb": 2049}}']::jsonb[]) o;
SELECT id AS d FROM theazo.definition_create('tight', '{"template": "STANDARD", "permissions": ["data:read", "inference:call"], "limits": {"maxMemoryMb": 300}}') \gset
SELECT o, tst.try(format($$SELECT theazo.agent_policy((theazo.agent_create(%L, %L)).id) - 'version' - 'guardrails' - 'definition'$$, :'s', jsonb_build_object('definition', :'d') || o))
  FROM unnest(ARRAY['{}', '{"template": "STRICT", "permissions": ["data:read"], "limits": {"maxMemoryMb": 100}}', '{"template": "DEV"}', '{"template": null}', '{"permissions": "FULL"}', '{"permissions": null}', '{"limits": {"maxMemoryMb": 301}}',
	'{"limits": {}}', '{"limits": null}', '{"overrides": {"permissions": "FULL"}}']::jsonb[]) o;
SELECT id AS old FROM theazo.agent_create(:'s', '{"template": "DEV", "limits": {"maxMemoryMb": 2000}}') \gset
SELECT id AS bare FROM theazo.agent_create(:'s') \gset
SELECT theazo.agent_policy(:'old') ->> 'version' AS before \gset
SELECT template, max_memory_mb, max_execution_time_sec, max_api_calls_per_run FROM theazo.platform_policy_set('STANDARD', max_memory_mb => 700, max_api_calls_per_run => 40);
SELECT theazo.agent_policy(x) -> 'template', theazo.agent_policy(x) -> 'limits', theazo.agent_policy(x) ->> 'version' <> :'before' FROM unnest(ARRAY[:'old', :'bare']) x;
SELECT tst.try(format($$SELECT (theazo.agent_create(%L, %L)).options$$, :'s', o))
  FROM unnest(ARRAY['{}', '{"template": "STRICT"}', '{"template": "DEV"}', '{"limits": {"maxMemoryMb": 701}}', '{"limits": {"maxApiCallsPerRun": 41}}']::jsonb[]) o;
SELECT tst.try(format('SELECT theazo.platform_policy_set(%L, %L, %L, %L)', a, b, c, d)) FROM (VALUES ('NONE', NULL, NULL, NULL), (NULL, 15, NULL, NULL), (NULL, NULL, 0, NULL), (NULL, NULL, NULL, -1)) AS v (a, b, c, d);
-- another version whenever something changes that decides
SELECT theazo.agent_policy(:'bare') ->> 'version' AS v1 \gset
SELECT count(theazo.permission_rule_set('deny', tool => 'x'));
SELECT theazo.agent_policy(:'bare') ->> 'version' <> :'v1';
SELECT count(theazo.permission_rule_delete(id)) FROM theazo.permission_rules;
SELECT theazo.agent_policy(:'bare') ->> 'version' = :'v1';
ROLLBACK;

-- limits where they take effect: time of a run and of code, memory of a sandbox, calls of a run
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"limits": {"maxMemoryMb": 100, "maxExecutionTimeSec": 20, "maxApiCallsPerRun": 2}}') \gset
SELECT tst.claim();
SELECT request -> 'limits' FROM tst.claimed WHERE kind = 'compute.create';
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-1", "isolation": "full"}', p_ms => 0);
SELECT timeout_ms FROM theazo.exec_start(:'a', 'sh', 'true', '1 h');
SELECT tst.claim();
SELECT request ->> 'timeout_ms' FROM tst.claimed;
SELECT tst.settle('compute.exec', 'done', '{"exit_code": 0}');
SELECT id AS r, timeout_ms FROM theazo.run_start(:'a', 'Do it', timeout => '1 h') \gset
SELECT :timeout_ms;
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.gate_calls('[["run_code", {"language": "sh", "code": "id"}], ["report_progress", {"message": "m"}], ["find", {"name": "n"}], ["find", {"name": "o"}]]'));
SELECT tst.claim();
SELECT request ->> 'timeout_ms' FROM tst.claimed;
SELECT tst.settle('compute.exec', 'done', '{"exit_code": 0}');
SELECT seq, state, name, output FROM theazo.run_steps(:'r') WHERE kind = 'tool' ORDER BY seq;
SELECT action, rule, is_violation, summary FROM theazo.events WHERE run_id = :'r' AND decision = 'deny';
ROLLBACK;
\set ECHO none
DROP SCHEMA crm CASCADE;
