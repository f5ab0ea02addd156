\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
-- Compute providers as they are configured: what an entry may hold, what a kind can do, who is asked, who rests.
SELECT platform AS p, live AS k FROM tst.platform('Compute config') \gset
SELECT theazo_internal.operator_platform() AS op \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
-- refusals settle as a dispatcher settles them
CREATE FUNCTION tst.refuse() RETURNS int LANGUAGE sql AS $$
	SELECT theazo_internal.effect_done(array_agg(c.platform_id), array_agg(c.root_id), array_agg(c.id), array_agg(c.attempt),
		array_agg('failed'::text), array_agg(c.refusal), array_agg(NULL::bytea), array_agg(now()), array_agg(now()))
	  FROM tst.claimed c WHERE c.refusal IS NOT NULL
$$;
CREATE FUNCTION tst.turns() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT coalesce(e.provider_name, 'theazo') || ': ' || coalesce(tst.mask(c.refusal ->> 'message'), 'goes')
	  FROM tst.claimed c JOIN theazo_data.effect e ON e.platform_id = c.platform_id AND e.root_id = c.root_id AND e.id = c.id
	 WHERE c.kind = 'compute.create' ORDER BY c.id
$$;

-- so many agents, of any provider
CREATE FUNCTION tst.agents(p_n int) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg((theazo.agent_create(s.id)).provider, ' ') FROM theazo.sessions s, generate_series(1, p_n)
$$;

-- ---- what an entry may hold ---------------------------------------------------------------------------------------
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name, type, mode, endpoint FROM (VALUES ('e2b', '{}'::jsonb), ('daytona', '{}'), ('fly', '{"app":"mine"}')) v (n, c), theazo.provider_set(v.n, config => v.c);
SELECT endpoint FROM theazo.provider_set('e2b', config => '{"domain":"e2b.example.com"}');
SELECT endpoint FROM theazo.provider_set('e2b', config => '{"baseUrl":"https://proxy.example/e2b/"}');
SELECT endpoint FROM theazo.provider_set('e2b', endpoint => 'https://first.example', config => '{"baseUrl":"https://second.example"}');
SELECT name, type, endpoint FROM theazo.provider_set('engine', type => 'docker', endpoint => 'https://engine.example:2376');
SELECT c, tst.try('SELECT theazo.provider_set(' || c || ')') FROM unnest(ARRAY[
	$$'docker'$$, $$'docker', endpoint => 'unix:///var/run/docker.sock'$$, $$'docker', config => '{"endpoint":"unix:///x"}'$$, $$'fly'$$,
	$$'e2b', config => '{"template":5}'$$, $$'e2b', config => '{"templates":{"rust":"x"}}'$$,
	$$'e2b', config => '{"secure":"yes"}'$$, $$'e2b', config => '{"routing":"round"}'$$, $$'e2b', config => '{"domain":"*.example"}'$$,
	$$'e2b', config => '{"sandboxUrl":"file:///x"}'$$, $$'docker', endpoint => 'https://e.example', config => '{"cpus":0}'$$,
	$$'docker', endpoint => 'https://e.example', config => '{"memoryMb":1.5}'$$, $$'docker', endpoint => 'https://e.example', config => '{"ca":"no"}'$$,
	$$'fly', config => '{"app":"a","memory_mb":300}'$$, $$'daytona', config => '{"baseUrl":"ftp://x"}'$$]) c;
SELECT tst.code($$SELECT theazo.provider_set('e2b', config => '{"colour":"red"}')$$);
SELECT config FROM theazo.provider_set('e2b', config => '{"template":"base","templates":{"node":"n","browser":"b"},"routing":"host","sandboxUrl":"https://{port}-{id}.box.example","secure":false,"maxLifetimeSeconds":600}');
SELECT config FROM theazo.provider_set('mine', endpoint => 'https://mine.example', config => '{"whatever":[1]}');
SELECT name, type FROM theazo.provider_list() ORDER BY 1;
SELECT name FROM theazo.provider_list('model');
SELECT tst.try($$SELECT theazo.provider_list('x')$$);
ROLLBACK;
-- a session may bring an account of its own: a webhook, or at a vendor, where the credential is enough
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT c, tst.try(format('SELECT theazo.session_create(''u'', compute => %L)', c)) FROM unnest(ARRAY['{"provider":"e2b"}',
	'{"provider":"fly","credentialRef":"a"}', '{"provider":"docker","endpoint":"unix:///run/x","credentialRef":"a"}']) c;
SELECT id AS v FROM theazo.session_create('u', compute => '{"provider":"e2b","credentialRef":"a","config":{"template":"t"}}') \gset
SELECT type, mode, endpoint, credential_ref, config FROM theazo_data.provider WHERE name = :'v';
SELECT shown, type, managed FROM theazo_internal.compute_entries(:'p', :'v', NULL, NULL);
ROLLBACK;
-- every shape is one that is checked, and every member has its kind
SELECT type, member, shape FROM theazo_internal.compute_members()
 WHERE shape NOT IN ('boolean', 'host', 'integer', 'integers', 'key', 'name', 'names', 'path', 'number', 'pem', 'ports', 'runtimes', 'url', 'word');
SELECT type, member FROM theazo_internal.compute_members() GROUP BY 1, 2 HAVING count(*) > 1;
-- the operator's may be a socket of this machine
BEGIN;
SELECT name, type, endpoint FROM (VALUES (1)) v, theazo_internal.provider_put(theazo_internal.operator_platform_ready(), 'engine', 'compute', 'docker', 'managed',
	NULL, NULL, NULL, '{}', 900, '{}');
SELECT e, tst.try(format('SELECT (theazo_internal.provider_put(%L, ''engine'', ''compute'', ''docker'', ''managed'', %L, NULL, NULL, ''{}'', 900, ''{}'')).endpoint', :'op', e))
  FROM unnest(ARRAY['unix:///run/podman/podman.sock', 'unix://run/x', 'unix:///', 'unix:///a/../b', 'unix:///a b', 'unix:///a?x', 'unix:///' || repeat('x', 107), 'https://engine.example']) e;
SELECT name FROM theazo.operator_provider_delete('engine');
ROLLBACK;

-- ---- what a kind can do -------------------------------------------------------------------------------------------
-- the support of each row is a known word; what a kind lacks says why, or it speaks for itself
SELECT type, operation, support FROM theazo_internal.compute_operations() WHERE support NOT IN ('native', 'emulated', 'none') OR support = 'emulated' AND note IS NULL;
SELECT type, operation FROM theazo_internal.compute_operations() GROUP BY 1, 2 HAVING count(*) > 1;
-- each kind with an adapter says something about what a sandbox can be asked to have
SELECT type, o FROM (SELECT DISTINCT type FROM theazo_internal.compute_operations()) t, unnest(ARRAY['region', 'browser', 'storage', 'gpu']) o
 WHERE theazo_internal.compute_carried(type) AND NOT EXISTS (SELECT FROM theazo_internal.compute_operations() c WHERE c.type = t.type AND c.operation = o);
SELECT t, theazo_internal.storage_gb('storage', t) FROM unnest(ARRAY['20', '20GB', '20 gib', '1.5TB', '100MB', ' 7 g ']) t;
SELECT t, tst.code(format('SELECT theazo_internal.storage_gb(''storage'', %L)', t)) FROM unnest(ARRAY['', 'big', '-1GB', '0', '1e9', '65 TB', '1PB']) t;
SELECT theazo_internal.compute_wishes(o::jsonb) FROM unnest(ARRAY['{}', '{"region":"eu","browser":true,"storage":"20GB","gpu":"a100"}', '{"browser":false,"gpu":"none"}']) o;

BEGIN;
SELECT theazo.authenticate(:'k');
-- refused before anything is queued, and never ignored
SELECT o, tst.try(format('SELECT theazo.agent_create(%L, %L)', :'s', o)) FROM unnest(ARRAY['{"region":"eu-west-1"}', '{"gpu":"a100"}', '{"browser":true,"storage":"20GB"}',
	'{"storage":"huge"}', '{"provider":"theazo","region":"mars"}']) o;
SELECT count(*) FROM theazo_data.effect e WHERE e.platform_id = :'p';
-- a provider that has it gets it with the call
SELECT name FROM theazo.provider_set('wide', endpoint => 'https://wide.example') \gset
SELECT provider FROM theazo.agent_create(:'s', '{"region":"eu-west-1","gpu":"a100","browser":true,"storage":"20GB"}');
SELECT count(*) FROM tst.claim();
SELECT request -> 'region', request -> 'gpu', request -> 'browser', request -> 'storage_gb' FROM tst.claimed;
-- who was passed over for it is in the log and in the trail
SELECT name, priority FROM theazo.provider_set('local', priority => 1);
SELECT provider FROM theazo.agent_create(:'s', '{"region":"eu-west-1"}');
SELECT level, source, message, provider FROM theazo.logs WHERE source = 'provider';
SELECT summary FROM theazo.events WHERE action = 'provider_fallback';
ROLLBACK;
-- an operation that a kind lacks, or that one provider has answered 501 to
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('wide', endpoint => 'https://wide.example') \gset
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider":"local"}') \gset
SELECT op, theazo_internal.compute_incapable(:'p', NULL, op) FROM unnest(ARRAY['exec', 'expose_port', 'teleport']) op;
SELECT tst.try(format('SELECT theazo_internal.compute_demand(s, ''expose_port'') FROM theazo_data.sandbox s WHERE s.agent_id = %L', :'a'));
SELECT theazo_internal.compute_learn(:'p', 'wide', 'pause');
SELECT op, theazo_internal.compute_incapable(:'p', 'wide', op) FROM unnest(ARRAY['exec', 'pause', 'gpu']) op;
SELECT provider, operation, support, note, learnt FROM theazo.compute_capabilities WHERE provider = 'wide' AND operation IN ('exec', 'pause') ORDER BY 2;
SELECT count(*) = (SELECT count(*) FROM theazo_internal.compute_operations()) FROM theazo.compute_capabilities WHERE provider IS NULL;
-- a provider that is gone is asked, and says so itself
SELECT theazo_internal.compute_incapable(:'p', 'gone', 'exec');
ROLLBACK;
SELECT count(*) FROM theazo.compute_capabilities;

-- ---- who rests --------------------------------------------------------------------------------------------------------
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('one', endpoint => 'https://one.example', priority => 1) \gset
SELECT name FROM theazo.provider_set('two', endpoint => 'https://two.example', priority => 2) \gset
CREATE FUNCTION tst.fail(p_result jsonb, p_times int, p_provider text DEFAULT 'one') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..p_times LOOP
		PERFORM theazo.agent_create(s.id, jsonb_build_object('provider', p_provider)) FROM theazo.sessions s LIMIT 1;
		PERFORM tst.claim();
		PERFORM tst.settle('compute.create', 'failed', p_result);
	END LOOP;
	RETURN QUERY SELECT h.name || ' ' || h.failures || ' ' || h.state || ' ' || h.last_error FROM theazo.provider_health h ORDER BY h.name;
END $$;
-- what the caller did wrong, what was never sent and what the vault held back say nothing about a provider
SELECT * FROM tst.fail('{"sqlstate":"TZ401","message":"400","http_status":400}', 1);
SELECT * FROM tst.fail('{"sqlstate":"TZ406","message":"501"}', 1);
SELECT * FROM tst.fail('{"sqlstate":"TZ405","message":"address"}', 1);
SELECT * FROM tst.fail('{"sqlstate":"TZ302","message":"vault"}', 1);
SELECT * FROM tst.fail('{"sqlstate":"TZ407","message":"not asked"}', 1);
SELECT * FROM tst.fail('{"sqlstate":"TZ402","message":"503","http_status":503}', 4);
-- one success, and the count begins anew
SELECT provider FROM theazo.agent_create(:'s');
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-1"}', p_ms => 0);
SELECT count(*) FROM theazo.provider_health;
SELECT * FROM tst.fail('{"sqlstate":"TZ403","message":"timeout"}', 5);
-- however slow this machine is
UPDATE theazo_data.provider_health SET open_until = open_until + interval '1 minute' WHERE name = 'one';
-- it rests: nobody is sent there, the next one is asked, and both is written down
SELECT ord, shown, refused, tst.mask(why) FROM theazo_internal.compute_entries(:'p', :'s', NULL, NULL);
SELECT provider FROM theazo.agent_create(:'s');
SELECT tst.mask(message) FROM theazo.logs WHERE message ~ 'rests' ORDER BY id;
SELECT summary FROM theazo.events WHERE action = 'provider_fallback' AND summary ->> 'reason' = 'resting';
-- named alone, there is nobody
SELECT tst.try(format($$SELECT theazo.agent_create(%L, '{"provider":"one"}')$$, :'s'));
SELECT provider FROM theazo.agent_create(:'s', '{"provider":"one","providerFallback":"theazo"}');
DELETE FROM tst.claimed;
-- what was queued for it before goes to the next one as well
UPDATE theazo_data.provider_health SET open_until = NULL WHERE name = 'one';
SELECT provider FROM theazo.agent_create(:'s');
UPDATE theazo_data.provider_health SET open_until = now() + interval '1 minute' WHERE name = 'one';
SELECT count(*) FROM tst.claim();
SELECT * FROM tst.turns();
SELECT tst.refuse();
SELECT failures, state FROM theazo.provider_health;
SELECT provider, status, count(*) FROM theazo.sandboxes WHERE status = 'creating' GROUP BY 1, 2 ORDER BY 1;
-- the rest is over: one tries, the others go elsewhere
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-2"}', p_ms => 0);
UPDATE theazo_data.provider_health SET open_until = now() - interval '1 s' WHERE name = 'one';
SELECT state FROM theazo.provider_health;
SELECT tst.agents(3);
SELECT count(*) FROM tst.claim();
SELECT * FROM tst.turns();
SELECT tst.refuse();
-- nobody else while it does
SELECT state FROM theazo.provider_health;
SELECT provider FROM theazo.agent_create(:'s');
-- it fails: the rest is longer than the first
DELETE FROM tst.claimed WHERE refusal IS NOT NULL;
SELECT tst.settle('compute.create', 'failed', '{"sqlstate":"TZ402","message":"503","http_status":503}');
SELECT failures, state, open_until > updated_at + interval '8 s' AS longer FROM theazo.provider_health;
-- it works: all is forgotten
UPDATE theazo_data.provider_health SET open_until = now() - interval '1 s' WHERE name = 'one';
SELECT count(*) FROM tst.claim();
SELECT provider FROM theazo.agent_create(:'s');
SELECT count(*) FROM tst.claim();
SELECT * FROM tst.turns();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-3"}', p_ms => 0);
SELECT count(*) FROM theazo.provider_health;
-- setting it anew forgets as well
SELECT * FROM tst.fail('{"sqlstate":"TZ402","message":"503"}', 4, 'two');
SELECT name FROM theazo.provider_set('two', endpoint => 'https://three.example', priority => 2);
SELECT count(*) FROM theazo.provider_health;
ROLLBACK;
-- a worker that died says nothing about the provider
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('one', endpoint => 'https://one.example', priority => 1) \gset
SELECT provider FROM theazo.agent_create(:'s');
SELECT count(*) FROM tst.claim(1, 78);
SELECT theazo_internal.leases_reclaim('{}');
SELECT provider, status FROM theazo.sandboxes ORDER BY 1;
SELECT count(*) FROM theazo.provider_health;
ROLLBACK;

-- ---- how many ------------------------------------------------------------------------------------------------------
-- two callers who do not see each other: the claim counts again
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('one', endpoint => 'https://one.example', priority => 1, limits => '{"maxConcurrent":9}') \gset
SELECT tst.agents(4);
UPDATE theazo_data.provider SET limits = '{"maxConcurrent":2}' WHERE platform_id = :'p' AND name = 'one';
SELECT count(*) FROM tst.claim();
SELECT * FROM tst.turns();
SELECT tst.refuse();
SELECT provider, status, count(*) FROM theazo.sandboxes WHERE status <> 'failed' GROUP BY 1, 2 ORDER BY 1;
-- those that are under way count, and those that are there
SELECT tst.mask(why) FROM theazo_internal.compute_entries(:'p', :'s', 'one', NULL);
DELETE FROM tst.claimed WHERE refusal IS NOT NULL;
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-1"}', p_ms => 0);
SELECT theazo_internal.compute_held(:'p', 'one', '{}');
-- a step that follows has its place already
SELECT count(*) FROM theazo_internal.compute_turn((SELECT array_agg(jsonb_populate_record(e, '{"step":1,"state":"claimed"}'))
	FROM theazo_data.effect e WHERE e.platform_id = :'p' AND e.kind = 'compute.create' AND e.provider_name = 'one'));
SELECT count(*) > 0 FROM theazo_internal.compute_turn((SELECT array_agg(jsonb_populate_record(e, '{"step":0,"state":"claimed"}'))
	FROM theazo_data.effect e WHERE e.platform_id = :'p' AND e.kind = 'compute.create' AND e.provider_name = 'one'));
ROLLBACK;

-- ---- compute of one's own stays so ---------------------------------------------------------------------------------
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('one', endpoint => 'https://one.example', priority => 1) \gset
SELECT name FROM theazo.provider_set('local', priority => 2) \gset
SELECT name, type FROM theazo.operator_provider_set('account', endpoint => 'https://account.example');
SELECT compute_mode FROM theazo.platform_update(compute_mode => 'byoi');
SELECT shown, managed, refused FROM theazo_internal.compute_entries(:'p', :'s', NULL, NULL);
SELECT shown, managed, refused FROM theazo_internal.compute_entries(:'p', :'s', 'one', 'theazo');
SELECT id AS a, provider FROM theazo.agent_create(:'s', '{"provider":"one","providerFallback":"theazo"}') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'failed', '{"sqlstate":"TZ402","message":"503","http_status":503}');
SELECT status, error FROM theazo.agent_get(:'a');
SELECT count(*) FROM theazo_data.effect e WHERE e.platform_id = :'p' AND e.state = 'queued';
SELECT count(*) FROM theazo.sandboxes WHERE managed;
SELECT tst.code(format('SELECT theazo.agent_create(%L, ''{"provider":"theazo"}'')', :'s'));
-- resting or full, it stays so
UPDATE theazo_data.provider SET limits = '{"maxConcurrent":0}' WHERE platform_id = :'p' AND name = 'one';
SELECT tst.try(format('SELECT theazo.agent_create(%L)', :'s'));
SELECT count(*) FROM theazo.sandboxes WHERE managed;
ROLLBACK;

-- ---- trying one ----------------------------------------------------------------------------------------------------
CREATE FUNCTION tst.tested(p_name text) RETURNS text LANGUAGE sql AS $$
	SELECT tst.mask((p.tested - 'at' - 'finished' - 'ms')::text) || ' ' || (SELECT string_agg(m, ' ' ORDER BY m) FROM jsonb_object_keys(p.tested -> 'ms') m)
	  FROM theazo.providers p WHERE p.name = p_name
$$;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name, tested FROM theazo.provider_set('one', endpoint => 'https://one.example');
SELECT n, tst.try(format('SELECT theazo.provider_test(%L)', n)) FROM unnest(ARRAY['nope', 'theazo', '']) n;
SELECT tested ->> 'status' FROM theazo.provider_test('one');
SELECT tst.try($$SELECT theazo.provider_test('one')$$);
SELECT tst.try($$SELECT theazo.provider_delete('one')$$);
SELECT * FROM tst.claim();
SELECT tst.mask((request - 'test')::text), needs_secrets, endpoint ->> 'url' FROM tst.claimed;
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-1"}');
SELECT * FROM tst.claim();
SELECT tst.mask((request - 'test')::text) FROM tst.claimed;
SELECT tst.settle('compute.exec', 'done', jsonb_build_object('exit_code', 0, 'stdout', (SELECT tested ->> 'id' FROM theazo.provider_get('one')) || E'\n', 'stderr', ''));
SELECT tst.tested('one');
SELECT * FROM tst.claim();
SELECT tst.mask((request - 'test')::text) FROM tst.claimed;
SELECT tst.settle('compute.destroy', 'done');
SELECT tst.tested('one');
SELECT action, summary - 'test' FROM theazo.events WHERE action ~ 'provider_test' ORDER BY id;
-- no sandbox of anybody's, nothing to pay
SELECT count(*) FROM theazo.sandboxes;
SELECT count(*) FROM theazo.charges;
-- a command that says something else, and a creation that fails; one that rests is tried all the same, and a passed test ends its rest
SELECT theazo_internal.provider_failed(:'p', 'compute', 'one', 'timeout', '1 minute');
SELECT tested ->> 'status' FROM theazo.provider_test('one');
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-2"}');
SELECT count(*) FROM theazo.provider_health;
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"exit_code": 127, "stdout": "", "stderr": "sh: not found"}');
SELECT * FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done');
SELECT tst.tested('one');
SELECT tested ->> 'status' FROM theazo.provider_test('one');
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'failed', '{"code": "provider_error", "sqlstate": "TZ401", "message": "provider answered 401", "hint": "Check the secret.", "http_status": 401}');
SELECT tst.tested('one');
SELECT failures, last_error FROM theazo.provider_health;
SELECT level, message FROM theazo.logs WHERE source = 'provider' ORDER BY id;
SELECT count(*) FROM theazo_data.effect e WHERE e.platform_id = :'p' AND e.state NOT IN ('done', 'failed');
-- what is not destroyed is no passed test
SELECT tested ->> 'status' FROM theazo.provider_test('one');
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'unknown', '{"message": "no answer"}');
SELECT tst.tested('one');
-- replaced while it was tried: the sandbox goes, and the new entry knows nothing of it
SELECT tested ->> 'status' FROM theazo.provider_test('one');
SELECT count(*) FROM tst.claim();
SELECT tested FROM theazo.provider_set('one', endpoint => 'https://one.example');
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-3"}');
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.exec', 'failed', '{"sqlstate": "TZ402", "message": "gone"}');
SELECT kind FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done');
SELECT tested FROM theazo.provider_get('one');
ROLLBACK;
-- the operator's: the account's own address and secret, and no platform hears of it
BEGIN;
SELECT name, tested FROM theazo.operator_provider_set('account', endpoint => 'http://10.0.0.1:8080');
SELECT tst.try($$SELECT theazo.operator_provider_test('nope')$$);
SELECT tested ->> 'status' FROM theazo.operator_provider_test('account');
SELECT count(*) FROM tst.claim();
SELECT endpoint ->> 'url', endpoint ->> 'provider' FROM tst.claimed;
SELECT tst.settle('compute.create', 'failed', '{"sqlstate": "TZ402", "message": "no route"}');
SELECT tested -> 'error' FROM theazo.operator_providers;
SELECT action, summary - 'test' FROM theazo.operator_events WHERE action ~ 'provider_test' ORDER BY id;
SELECT theazo.authenticate(:'k');
SELECT count(*) FROM theazo.events WHERE action ~ 'provider_test';
ROLLBACK;
-- who acts for one session, or with a test key, tries nothing
SELECT tst.code($$SELECT theazo.provider_test('one', api_key => 'th_live_0000000000000000000000000000000000000000000')$$);
