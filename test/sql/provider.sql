\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include

SELECT live AS k FROM tst.platform('Providers') \gset
SELECT live AS other FROM tst.platform('Providers, other') \gset

BEGIN;
SELECT theazo.authenticate(:'k');
-- bad input
SELECT c, tst.try('SELECT theazo.provider_set(' || c || ')') FROM unnest(ARRAY[
	$$''$$, $$NULL$$, $$E'a\nb'$$, $$'theazo'$$, $$'ses_x'$$, $$repeat('x', 129)$$, $$'x', 'storage'$$, $$'x'$$, $$'x', type => 'webhook'$$, $$'custom'$$,
	$$'x', type => 'ssh'$$, $$'local', endpoint => 'https://a.example'$$, $$'local', mode => 'byoi'$$, $$'x', endpoint => 'https://a.example', mode => 'managed'$$,
	$$'x', endpoint => 'https://a.example', mode => 'free'$$, $$'x', endpoint => ''$$, $$'x', endpoint => 'a.example'$$, $$'x', endpoint => 'https://'$$,
	$$'x', endpoint => 'file:///etc/passwd'$$, $$'x', endpoint => 'https://a.example/?q=1'$$, $$'x', endpoint => 'https://a.example/#f'$$,
	$$'x', endpoint => 'https://a.example:0'$$, $$'x', endpoint => 'https://a.example:65536/x'$$, $$'x', endpoint => 'https://[::1]:99999'$$,
	$$'x', endpoint => 'https://u:p@a.example/'$$, $$'x', endpoint => 'https://a.example/ x'$$, $$'x', endpoint => 'https://a.example/' || repeat('x', 2048)$$,
	$$'x', endpoint => 'https://a.example', credential_ref => 'missing'$$, $$'x', endpoint => 'https://a.example', signing_ref => 'missing'$$,
	$$'x', endpoint => 'https://a.example', config => '{"signingSecretRef":"missing"}'$$, $$'x', endpoint => 'https://a.example', config => '[]'$$,
	$$'x', endpoint => 'https://a.example', config => jsonb_build_object('x', repeat('x', 20000))$$, $$'x', endpoint => 'https://a.example', priority => -1$$,
	$$'x', endpoint => 'https://a.example', priority => NULL$$, $$'x', endpoint => 'https://a.example', limits => '{"maxConcurrent":-1}'$$,
	$$'x', endpoint => 'https://a.example', limits => '{"maxCost":1}'$$, $$'x', 'model', type => 'webhook'$$]) c;
SELECT count(*) FROM theazo.providers;

-- kinds, types and modes
SELECT kind, name, type, mode, endpoint, credential_ref, config, priority, limits, capabilities FROM theazo.provider_set('local');
SELECT kind, name, type, mode, endpoint FROM theazo.provider_set('mine', endpoint => 'https://compute.example:8443/base/', priority => 5, limits => '{"maxConcurrent":2}');
SELECT kind, name, type, mode, endpoint FROM theazo.provider_set('custom', config => '{"endpoint":"https://[::1]/x"}');
SELECT kind, name, type, mode, endpoint FROM theazo.provider_set('e2b');
SELECT kind, name, type, mode, endpoint FROM theazo.provider_set('anthropic', 'model');
SELECT kind, name, type, mode, endpoint FROM theazo.provider_set('gateway', 'model', config => '{"baseUrl":"https://models.example/v1"}');
SELECT kind, name, type, mode, endpoint FROM theazo.provider_set('mine', 'model', endpoint => 'https://models.example');
SELECT name, type FROM theazo.provider_get('mine');
SELECT name, type FROM theazo.provider_get('mine', 'model');
SELECT tst.try($$SELECT theazo.provider_get('nope')$$);
SELECT tst.try($$SELECT theazo.provider_get('mine', 'x')$$);

-- replacing forgets what was learnt
UPDATE theazo_data.provider SET capabilities = '{"pause":false}' WHERE name = 'mine';
SELECT capabilities FROM theazo.provider_get('mine');
SELECT capabilities, priority, limits FROM theazo.provider_set('mine', endpoint => 'https://compute.example');

-- credentials by reference, which must exist
SELECT name FROM theazo.secret_set('token', 'v1') \gset
SELECT credential_ref, signing_ref FROM theazo.provider_set('mine', endpoint => 'https://compute.example', credential_ref => 'token', config => '{"signingSecretRef":"token"}');
SELECT tst.try($$SELECT theazo.secret_delete('token')$$);

-- deleting
SELECT name FROM theazo.provider_delete('custom');
SELECT tst.try($$SELECT theazo.provider_delete('custom')$$);
SELECT kind, name, type, mode FROM theazo.providers ORDER BY 1, 2;
COMMIT;

-- held by live sandboxes
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s FROM theazo.session_create('u') \gset
SELECT provider, status FROM theazo.agent_create(:'s', '{"provider":"mine"}');
SELECT tst.try($$SELECT theazo.provider_delete('mine')$$);
SELECT name FROM theazo.provider_delete('mine', 'model');
SELECT name FROM theazo.provider_delete('mine', force => true);
ROLLBACK;

-- another platform
SELECT tst.mask(f), tst.code(format('SELECT theazo.%s', f)) FROM unnest(ARRAY[
	format('provider_get(''mine'', api_key => %L)', :'other'), format('provider_delete(''mine'', api_key => %L)', :'other'),
	format('provider_set(''x'', endpoint => ''https://a.example'', credential_ref => ''token'', api_key => %L)', :'other')]) f;
BEGIN;
SELECT theazo.authenticate(:'other');
SELECT count(*) FROM theazo.providers;
SELECT endpoint FROM theazo.provider_set('mine', endpoint => 'https://theirs.example');
SELECT endpoint FROM theazo.provider_get('mine', api_key => :'k');
COMMIT;

-- what the whole platform shares, live work included, is not a test key's to change
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('shared') \gset
SELECT key AS t FROM theazo.api_key_create('tester', 'test') \gset
SELECT theazo.authenticate(:'t');
SELECT split_part(c, '(', 1) AS call, tst.try('SELECT theazo.' || c) FROM unnest(ARRAY[$$provider_set('local')$$, $$secret_set('a', 'b')$$,
	$$definition_create('shared')$$, format('definition_update(%L, ''{}'')', :'d'), format('definition_delete(%L)', :'d')]) c;
ROLLBACK;
