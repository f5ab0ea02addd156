\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include

SELECT live AS k, platform AS p FROM tst.platform('Agents') \gset
SELECT live AS other FROM tst.platform('Agents, other') \gset
SELECT id AS s FROM theazo.session_create('user-1', models => '{"model":"session/model"}', api_key => :'k') \gset
SELECT id AS s2 FROM theazo.session_create('user-2', api_key => :'k') \gset
-- Everything happens in transactions that are rolled back, so no worker takes part.
-- What a worker does when the sandbox has answered:
CREATE FUNCTION tst.booted(agent text, event text DEFAULT 'boot') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.agent_move(a, event) FROM theazo_data.agent a WHERE a.id = booted.agent;
	UPDATE theazo_data.sandbox SET status = 'ready', started_at = clock_timestamp(), billed_until = clock_timestamp() WHERE agent_id = booted.agent AND status = 'creating';
	RETURN (SELECT status FROM theazo_data.agent WHERE id = booted.agent);
END $$;

-- the moves, as data
SELECT from_state, event, to_state FROM theazo_internal.moves() WHERE object = 'agent' ORDER BY 1, 2;

-- making: defaults, options, their places
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT session_id = :'s' AS session, user_id, status, compute, provider, model, managed_loop, browser, region, definition_id, error, options, ended_at, sandbox_id IS NOT NULL AS sandbox
  FROM theazo.agent_create(:'s');
SELECT name FROM theazo.provider_set('wide', endpoint => 'https://wide.example') \gset
SELECT compute, model, managed_loop, browser, region, options FROM theazo.agent_create(:'s2', '{"compute":"node","browser":true,"region":"eu-west-1","model":"openai/gpt","managedLoop":false,
	"timeout":"2m","network":{"enabled":true,"allow":["files.example.org"]},"secrets":["token"],"costCap":{"amount":50},"instructions":null}');
SELECT model FROM theazo.agent_create(:'s2', '{"model":{"baseUrl":"https://m.example","model":"x-large"}}');
SELECT model FROM theazo.agent_create(:'s2', '{"model":{"provider":"openai"}}');
-- one effect each, nothing else
SELECT kind, adapter, state, count(*) FROM theazo_data.effect e WHERE e.platform_id = :'p' GROUP BY 1, 2, 3;
SELECT count(*) FROM theazo.charges;
-- bad input
SELECT o, tst.try(format('SELECT theazo.agent_create(%L, %L)', :'s', o)) FROM unnest(ARRAY['"x"', '{"colour":1}', '{"compute":"ruby"}', '{"provider":"nope"}',
	'{"providerFallback":"nope"}', '{"definition":"nope"}', '{"definition":5}', '{"overrides":[]}', '{"overrides":{"overrides":{}}}', '{"overrides":{"timeout":-1}}', '{"network":{"allow":["../x"]}}']) o;
SELECT tst.try($$SELECT theazo.agent_create('ses_00000000000000000000000000')$$);
SELECT tst.try($$SELECT theazo.agent_create(NULL)$$);
ROLLBACK;

-- from a definition: overrides over it, what stands beside wins, nulls remove
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('wide', endpoint => 'https://wide.example') \gset
SELECT id AS d FROM theazo.definition_create('writer', '{"compute":"go","instructions":"one","timeout":60,"model":"d/model","region":"r1"}') \gset
SELECT version FROM theazo.definition_update(:'d', '{"instructions":"two"}');
SELECT definition_id = :'d' AS d, definition_version, compute, model, region, options FROM theazo.agent_create(:'s', '{"definition":"writer"}');
SELECT definition_version, compute, model, region, options FROM theazo.agent_create(:'s', format('{"definition":%s,"overrides":{"compute":"node","region":"r2","timeout":null},"region":"r3","model":null}', to_json(:'d'::text))::jsonb);
SELECT version FROM theazo.definition_delete(:'d') \gset
SELECT tst.try(format($$SELECT theazo.agent_create(%L, '{"definition":"writer"}')$$, :'s'));
SELECT definition_version, options FROM theazo.agents WHERE compute = 'go';
ROLLBACK;

-- the platform's knobs
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT primitives_enabled FROM theazo.platform_update(primitives_enabled => false);
SELECT managed_loop FROM theazo.agent_create(:'s');
SELECT managed_loop FROM theazo.agent_create(:'s', '{"managedLoop":true}');
SELECT compute_mode FROM theazo.platform_update(compute_mode => 'byoi');
SELECT tst.try(format($$SELECT theazo.agent_create(%L)$$, :'s'));
SELECT tst.try(format($$SELECT theazo.agent_create(%L, '{"provider":"theazo"}')$$, :'s'));
SELECT name, mode FROM theazo.provider_set('local');
SELECT tst.try(format($$SELECT theazo.agent_create(%L)$$, :'s'));
ROLLBACK;

-- which compute: the agent's, the session's, the platform's by priority, the operator's
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('slow', endpoint => 'https://slow.example', priority => 50);
SELECT name FROM theazo.provider_set('fast', endpoint => 'https://fast.example', priority => 10, limits => '{"maxConcurrent":1}');
SELECT name FROM theazo.provider_set('closed', endpoint => 'https://closed.example', priority => 1, limits => '{"maxConcurrent":0}');
SELECT provider FROM theazo.agent_create(:'s');
SELECT provider FROM theazo.agent_create(:'s');
SELECT provider FROM theazo.agent_create(:'s', '{"provider":"theazo"}');
SELECT provider FROM theazo.agent_create(:'s', '{"provider":"slow"}');
SELECT tst.code(format($$SELECT theazo.agent_create(%L, '{"provider":"fast"}')$$, :'s'));
SELECT tst.try(format($$SELECT theazo.agent_create(%L, '{"provider":"closed"}')$$, :'s'));
SELECT provider FROM theazo.agent_create(:'s', '{"provider":"fast","providerFallback":"theazo"}');
SELECT id AS sc FROM theazo.session_create('u', compute => '{"provider":"slow"}') \gset
SELECT provider FROM theazo.agent_create(:'sc');
SELECT id AS se FROM theazo.session_create('u', compute => '{"endpoint":"https://own.example"}') \gset
SELECT provider FROM theazo.agent_create(:'se');
SELECT provider FROM theazo.agent_create(:'se', '{"provider":"local"}');
-- that endpoint is no provider of the platform
SELECT tst.try(format($$SELECT theazo.agent_create(%L, '{"provider":"%s"}')$$, :'s', :'se'));
SELECT count(*) FROM theazo.providers WHERE endpoint ~ 'own';
SELECT tst.code(format('SELECT theazo.provider_delete(%L)', :'se'));
ROLLBACK;

-- the life of one
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.try(format('SELECT theazo.agent_pause(%L)', :'a'));
SELECT tst.try(format('SELECT theazo.agent_resume(%L)', :'a'));
SELECT tst.booted(:'a');
SELECT status FROM theazo.agent_resume(:'a');
SELECT status, paused_by, paused_at = now() AS at FROM theazo.agent_pause(:'a');
SELECT status, paused_by FROM theazo.agent_pause(:'a');
SELECT status, paused_by, paused_at FROM theazo.agent_resume(:'a');
SELECT tst.booted(:'a', 'run');
SELECT status FROM theazo.agent_pause(:'a');
SELECT status FROM theazo.agent_resume(:'a');
SELECT tst.booted(:'a', 'break');
SELECT status FROM theazo.agent_pause(:'a');
SELECT status FROM theazo.agent_resume(:'a');
SELECT status, ended_at IS NOT NULL AS ended FROM theazo.agent_terminate(:'a');
SELECT status FROM theazo.agent_terminate(:'a');
SELECT tst.try(format('SELECT theazo.agent_pause(%L)', :'a'));
SELECT tst.try(format('SELECT theazo.agent_resume(%L)', :'a'));
SELECT status FROM theazo.sandboxes WHERE agent_id = :'a';
SELECT action, count(*) FROM theazo.events WHERE agent_id = :'a' AND action LIKE 'agent\_%' GROUP BY 1 ORDER BY 1;
-- one that never booted
SELECT pg_sleep(0.002) IS NULL AS slept \gset
SELECT id AS b FROM theazo.agent_create(:'s') \gset
SELECT status FROM theazo.agent_terminate(:'b');
ROLLBACK;

-- together with the session
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT pg_sleep(0.002) IS NULL AS slept \gset
SELECT id AS b FROM theazo.agent_create(:'s') \gset
SELECT pg_sleep(0.002) IS NULL AS slept \gset
SELECT id AS c FROM theazo.agent_create(:'s') \gset
SELECT pg_sleep(0.002) IS NULL AS slept \gset
SELECT id AS d FROM theazo.agent_create(:'s') \gset
SELECT tst.booted(:'a'), tst.booted(:'b'), tst.booted(:'c');
SELECT status FROM theazo.agent_pause(:'b');
SELECT status FROM theazo.session_pause(:'s');
SELECT status, paused_by FROM theazo.agents WHERE session_id = :'s' ORDER BY id;
SELECT tst.try(format('SELECT theazo.agent_resume(%L)', :'a'));
-- paused on purpose while the session is: stays so
SELECT status, paused_by FROM theazo.agent_pause(:'c');
SELECT status FROM theazo.session_resume(:'s');
SELECT status, paused_by FROM theazo.agents WHERE session_id = :'s' ORDER BY id;
SELECT status FROM theazo.session_terminate(:'s');
SELECT status, ended_at IS NOT NULL AS ended FROM theazo.agents WHERE session_id = :'s' ORDER BY id;
SELECT status, count(*) FROM theazo.sandboxes WHERE session_id = :'s' GROUP BY 1 ORDER BY 1;
ROLLBACK;

-- lists
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"compute":"node"}') \gset
SELECT pg_sleep(0.002) IS NULL AS slept \gset
SELECT id AS b FROM theazo.agent_create(:'s2') \gset
SELECT count(*) FROM theazo.agent_list();
SELECT id = :'a' FROM theazo.agent_list(:'s');
SELECT id = :'a' FROM theazo.agent_list(compute => 'node');
SELECT count(*) FROM theazo.agent_list(status => 'ready');
SELECT id = :'b' FROM theazo.agent_list(max_rows => 1);
SELECT id = :'a' FROM theazo.agent_list(before => :'b');
SELECT tst.try($$SELECT theazo.agent_list(status => 'x')$$);
SELECT tst.try($$SELECT theazo.agent_list('ses_00000000000000000000000000')$$);
SELECT tst.try($$SELECT theazo.agent_list(max_rows => -1)$$);
-- another platform, another session
SELECT tst.mask(f), tst.code(format('SELECT theazo.%s', f)) FROM unnest(ARRAY[
	format('agent_get(%L, %L)', :'a', :'other'), format('agent_pause(%L, %L)', :'a', :'other'), format('agent_resume(%L, %L)', :'a', :'other'),
	format('agent_terminate(%L, %L)', :'a', :'other'), format('agent_list(%L, api_key => %L)', :'s', :'other')]) f;
SELECT tst.try($$SELECT theazo.agent_get('agt_00000000000000000000000000')$$);
SELECT id = :'s2' FROM theazo.act_as(:'s2');
SELECT count(*) FROM theazo.agents;
SELECT tst.mask(f), tst.code(format('SELECT theazo.%s', f)) FROM unnest(ARRAY[
	format('agent_get(%L)', :'a'), format('agent_pause(%L)', :'a'), format('agent_terminate(%L)', :'a'), format('agent_list(%L)', :'s'),
	format('agent_get(%L)', :'b'), format('agent_create(%L)', :'s'), format('agent_create(%L)', :'s2')]) f;
ROLLBACK;
DROP FUNCTION tst.booted;
