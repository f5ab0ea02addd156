\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include

SELECT * FROM tst.platform('Sessions') \gset
SELECT test AS kt, live AS k FROM (SELECT :'test' AS test, :'live' AS live) x \gset

-- bad input
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.try($$SELECT theazo.session_create(NULL)$$);
SELECT tst.try($$SELECT theazo.session_create('')$$);
SELECT tst.try($$SELECT theazo.session_create('  ')$$);
SELECT tst.try($$SELECT theazo.session_create(repeat('u', 257))$$);
SELECT tst.try($$SELECT theazo.session_create(E'u\t1')$$);
SELECT tst.try($$SELECT theazo.session_create('u', 'live')$$);
SELECT tst.try($$SELECT theazo.session_create('u', metadata => '"x"')$$);
SELECT tst.try($$SELECT theazo.session_create('u', metadata => '{"a":null}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '[]')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxTokens":1}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxAgents":-1}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxAgents":1.5}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxAgents":"3"}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxComputeMinutes":-0.5}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxComputeMinutes":1e400}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxCost":500}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxCost":{"amount":500}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxCost":{"amount":-1,"period":"day"}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxCost":{"amount":1.5,"period":"day"}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxCost":{"amount":1,"currency":"eur","period":"day"}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxCost":{"amount":1,"period":"week"}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxDuration":"soon"}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxDuration":{"hours":-1}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxDuration":{}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxDuration":-5}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', limits => '{"maxDuration":"99999999d"}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', compute => '{}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', compute => '{"provider":"nope"}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', compute => '{"endpoint":"//a.example/"}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', compute => '{"endpoint":"https://user:pw@a.example/"}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', compute => '{"endpoint":7}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', compute => '{"endpoint":"https://a.example","credentials":{"apiKey":"x"}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', compute => '{"endpoint":"https://a.example","credentialRef":"a/b"}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', models => '{"model":7}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', models => '{"keys":{}}')$$);
SELECT tst.try($$SELECT theazo.session_create('u', models => '{"baseUrl":"ftp://x"}')$$);
SELECT count(*) FROM theazo.sessions;
COMMIT;

-- making
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s1 FROM theazo.session_create('user-1') \gset
SELECT user_id, status, environment, key_environment, metadata, limits, compute, models, paused_at, paused_reason, terminated_at
  FROM theazo.session_get(:'s1');
SELECT user_id, environment, metadata, limits, compute, models FROM theazo.session_create('user ü', 'staging',
	'{"maxCost":{"amount":0,"period":"month"},"maxAgents":0,"maxComputeMinutes":0,"maxDuration":0}', '{"plan":"pro","seats":3,"beta":true}',
	'{"endpoint":"https://compute.example/base/","credentialRef":"token"}', '{"model":"m","credentialRef":"key"}');
SELECT limits -> 'maxDuration' FROM theazo.session_create('u', limits => '{"maxDuration":"1d 2h30m5s"}');
SELECT limits -> 'maxDuration' FROM theazo.session_create('u', limits => '{"maxDuration":{"minutes":90}}');
SELECT limits -> 'maxDuration' FROM theazo.session_create('u', limits => '{"maxDuration":1.5}');
SELECT limits FROM theazo.session_create('u', limits => '{"maxAgents":null}');
SELECT count(DISTINCT id) FROM theazo.session_list('u');
SELECT user_id FROM theazo.session_list(max_rows => 2);
SELECT tst.try($$SELECT theazo.session_list(max_rows => 0)$$);
SELECT tst.try($$SELECT theazo.session_list(max_rows => 1001)$$);
SELECT tst.try($$SELECT theazo.session_list(status => 'open')$$);
COMMIT;

-- for a user: the newest that is not terminated
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS f1 FROM theazo.session_for_user('fu', '{"maxAgents":2,"maxComputeMinutes":5}', '{"a":"1","b":"2"}') \gset
SELECT id = :'f1' AS same, limits, metadata, environment FROM theazo.session_for_user('fu', '{"maxAgents":3,"maxComputeMinutes":null}', '{"b":"3"}', 'staging');
SELECT id = :'f1' AS same, limits, metadata FROM theazo.session_for_user('fu');
SELECT tst.try($$SELECT theazo.session_for_user('fu', environment => 'x')$$);
SELECT tst.try($$SELECT theazo.session_for_user('fu', '{"maxAgents":-3}')$$);
SELECT tst.try($$SELECT theazo.session_for_user('fu', metadata => (SELECT jsonb_object_agg('k' || i, 1) FROM generate_series(1, 49) i))$$);
-- ids are in the order of milliseconds
SELECT pg_sleep(0.002) IS NULL AS slept \gset
SELECT id AS f2 FROM theazo.session_create('fu') \gset
SELECT id = :'f2' AS newest FROM theazo.session_for_user('fu');
SELECT status FROM theazo.session_terminate(:'f2');
SELECT id = :'f1' AS newest FROM theazo.session_for_user('fu');
SELECT status FROM theazo.session_pause(:'f1');
SELECT id = :'f1' AS newest, status FROM theazo.session_for_user('fu');
SELECT status FROM theazo.session_terminate(:'f1');
SELECT id NOT IN (:'f1', :'f2') AS another, status FROM theazo.session_for_user('fu');
COMMIT;

-- the state machine
SELECT * FROM theazo_internal.moves() WHERE object = 'session' ORDER BY 2, 3;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT status FROM theazo.session_resume(:'s1');
SELECT status, paused_at = now() AS at, paused_reason FROM theazo.session_pause(:'s1');
SELECT status, paused_reason FROM theazo.session_pause(:'s1');
SELECT tst.try(format($$SELECT theazo.agent_create(%L)$$, :'s1'));
SELECT status, paused_at, paused_reason FROM theazo.session_resume(:'s1');
SELECT status FROM theazo.session_pause(:'s1');
SELECT status, paused_at, terminated_at = now() AS at FROM theazo.session_terminate(:'s1');
SELECT status FROM theazo.session_terminate(:'s1');
SELECT tst.try(format($$SELECT theazo.session_pause(%L)$$, :'s1'));
SELECT tst.try(format($$SELECT theazo.session_resume(%L)$$, :'s1'));
SELECT tst.try(format($$SELECT theazo.session_update_limits(%L, '{}')$$, :'s1'));
SELECT tst.try(format($$SELECT theazo.agent_create(%L)$$, :'s1'));
SELECT tst.try(format($$SELECT theazo.secret_set('n', 'v', %L)$$, :'s1'));
SELECT status FROM theazo.session_get(:'s1');
COMMIT;

-- limits: null removes, the one that paused lets go
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS l FROM theazo.session_create('limits', limits => '{"maxAgents":1,"maxComputeMinutes":10}') \gset
SELECT limits FROM theazo.session_update_limits(:'l', '{"maxCost":{"amount":100,"currency":"usd","period":"day"}}');
SELECT limits FROM theazo.session_update_limits(:'l', '{"maxAgents":null}');
SELECT limits FROM theazo.session_update_limits(:'l', '{}');
SELECT limits FROM theazo.session_update_limits(:'l', NULL);
SELECT tst.try(format($$SELECT theazo.session_update_limits(%L, '{"maxComputeMinutes":"5"}')$$, :'l'));
SELECT theazo_internal.session_pause(theazo_internal.session_lock(:'l'), 'limit:maxCost');
SELECT status, paused_reason FROM theazo.session_update_limits(:'l', '{"maxComputeMinutes":20}');
SELECT status, paused_reason FROM theazo.session_update_limits(:'l', '{"maxCost":{"amount":100,"currency":"usd","period":"day"}}');
SELECT status, paused_reason FROM theazo.session_update_limits(:'l', '{"maxCost":{"amount":200,"currency":"usd","period":"day"}}');
SELECT theazo_internal.session_pause(theazo_internal.session_lock(:'l'), 'limit:maxCost');
SELECT status, limits FROM theazo.session_update_limits(:'l', '{"maxCost":null}');
COMMIT;

-- unknown, malformed, and of another platform: the same words
SELECT live AS other FROM tst.platform('Sessions, other') \gset
SELECT tst.try(format($$SELECT theazo.session_get('ses_00000000000000000000000000', %L)$$, :'k'));
SELECT tst.try(format($$SELECT theazo.session_get(%L, %L)$$, :'s1', :'other'));
SELECT tst.try(format($$SELECT theazo.session_get('', %L)$$, :'k'));
SELECT tst.try(format($$SELECT theazo.session_get(NULL, %L)$$, :'k'));
SELECT tst.try(format($$SELECT theazo.session_get(E'a"b\n' || repeat('x', 200), %L)$$, :'k'));
SELECT tst.code(format('SELECT theazo.%s(%L, api_key => %L)', f, :'l', :'other'))
  FROM unnest('{session_pause,session_resume,session_terminate,act_as,agent_create,secret_list}'::text[]) f;
SELECT tst.code(format('SELECT theazo.session_update_limits(%L, ''{}'', api_key => %L)', :'l', :'other'));
-- test data is apart from live data
SELECT environment, key_environment FROM theazo.session_create('user-1', api_key => :'kt');
SELECT count(*) FROM theazo.session_list('user-1', api_key => :'kt');
SELECT count(*) FROM theazo.session_list('user-1', api_key => :'k');
SELECT tst.code(format('SELECT theazo.session_get(%L, %L)', :'l', :'kt'));

-- acting as one session
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS mine, user_id FROM theazo.act_as(:'l') \gset
SELECT tst.try($$SELECT theazo.whoami()$$);
SELECT count(*) FROM theazo.sessions;
SELECT count(*) FROM theazo.session_list();
SELECT tst.try(format($$SELECT theazo.session_get(%L)$$, :'s1'));
SELECT tst.try(format($$SELECT theazo.act_as(%L)$$, :'s1'));
SELECT user_id FROM theazo.act_as(:'l');
SELECT tst.mask(f), tst.code(format('SELECT theazo.%s', f)) FROM unnest(ARRAY[
	'session_create(''u'')', 'session_for_user(''limits'')', format('session_pause(%L)', :'l'), format('session_resume(%L)', :'l'),
	format('session_terminate(%L)', :'l'), format('session_update_limits(%L, ''{}'')', :'l'), 'platform_get()', 'platform_update(''x'')',
	'api_key_create(''x'')', 'provider_set(''local'')', 'definition_create(''x'')', 'secret_set(''a'', ''b'')', 'secret_list()',
	'secret_delete(''a'')', 'vault_status()']) f;
SELECT (SELECT count(*) FROM theazo.platforms), (SELECT count(*) FROM theazo.api_keys), (SELECT count(*) FROM theazo.providers),
	   (SELECT count(*) FROM theazo.definitions), (SELECT count(*) FROM theazo.secrets);
SELECT DISTINCT session_id = :'l' FROM theazo.events;
-- a key given again stands for the whole platform again
SELECT count(*) > 1 FROM theazo.session_list(api_key => :'k');
COMMIT;

BEGIN;
SELECT theazo.authenticate(:'k');
SELECT action, count(*) FROM theazo.events WHERE action LIKE 'session\_%' GROUP BY 1 ORDER BY 1;
COMMIT;
