\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include

SELECT live AS k, test AS kt, platform AS p FROM tst.platform('Secrets') \gset
SELECT live AS other FROM tst.platform('Secrets, other') \gset

-- bad input: never repeated in the message
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.try($$SELECT theazo.secret_set('', 'v')$$);
SELECT tst.try($$SELECT theazo.secret_set(NULL, 'v')$$);
SELECT tst.try($$SELECT theazo.secret_set(E'a\nb', 'v')$$);
SELECT tst.try($$SELECT theazo.secret_set('a/b', 'v')$$);
SELECT tst.try($$SELECT theazo.secret_set('ä', 'v')$$);
SELECT tst.try($$SELECT theazo.secret_set(repeat('n', 129), 'v')$$);
SELECT tst.try($$SELECT theazo.secret_set('n', '')$$);
SELECT tst.try($$SELECT theazo.secret_set('n', NULL)$$);
SELECT tst.try($$SELECT theazo.secret_set('n', repeat('v', 65537))$$);
SELECT tst.try($$SELECT theazo.secret_set('n', repeat('ä', 32769))$$);
SELECT tst.try($$SELECT theazo.secret_set('n', 'v', delivery => 'post')$$);
SELECT tst.try($$SELECT theazo.secret_set('n', 'v', 'ses_00000000000000000000000000')$$);
SELECT tst.try($$SELECT theazo.secrets_set(NULL)$$);
SELECT tst.try($$SELECT theazo.secrets_set('[]')$$);
SELECT tst.try($$SELECT theazo.secrets_set('{}')$$);
SELECT tst.try($$SELECT theazo.secrets_set('{"a":"1","b":2}')$$);
SELECT tst.try($$SELECT theazo.secrets_set('{"a":"1","b":""}')$$);
SELECT tst.try($$SELECT theazo.secrets_set('{"a":"1","b/c":"2"}')$$);
SELECT tst.try($$SELECT theazo.secrets_set((SELECT jsonb_object_agg('n' || i, 'v') FROM generate_series(1, 201) i))$$);
SELECT tst.try($$SELECT theazo.secret_set('n', 'canary' || chr(1))$$);
SELECT tst.try($$SELECT theazo.secret_set('n', 'canary' || chr(127))$$);
SELECT tst.try($$SELECT theazo.secret_set('n', E'canary\x00')$$);
SELECT tst.code($$SELECT theazo.secret_set('n', '\x00ff'::bytea)$$);
SELECT tst.try($$SELECT theazo.secrets_set('{"n":"canary\u0000"}')$$);
SELECT tst.try($$SELECT theazo.secrets_set('{"a":"1","n":"canary\u0001"}')$$);
-- names that would set variables which programs rely on; others that look like them
SAVEPOINT names;
SELECT n, tst.code(format('SELECT theazo.secret_set(%L, %L)', n, 'v')) FROM unnest(ARRAY['PATH', 'path', 'home', 'User', 'SHELL', 'pwd', 'tmpdir', 'ifs', 'env', 'bash.env', 'ld preload',
	'LD_LIBRARY_PATH', 'ld.', 'node-options', 'pythonpath', 'PYTHONHOME', 'python_startup', 'pythonstartup', 'http.proxy', 'https_proxy', 'all proxy', 'NO_PROXY', 'theazo_x', 'THEAZO.Y',
	'paths', 'ld', 'ldx', 'theazo', 'my path', 'proxy']) n ORDER BY n COLLATE "C";
ROLLBACK TO names;
SELECT tst.try($$SELECT theazo.secret_set('ld-preload', 'v')$$);
-- where it may go, and as what
SELECT h, tst.try(format('SELECT theazo.secret_set(%L, %L, delivery => %L, hosts => %L)', 'n', 'v', 'brokered', h)) FROM unnest(ARRAY['{""}', '{NULL}', '{*}', '{*.com}', '{*.com:443}', '{*.0.0.1}', '{a.example/x}',
	'{https://a.example}', '{a.example:0}', '{a.example:65536}', '{a..example}', '{a*.example}', '{*.*.example}', '{u@a.example}', '{ä.example}', '{a b}']) h;
SELECT tst.try($$SELECT theazo.secret_set('n', 'v', hosts => (SELECT array_agg('h' || i || '.example') FROM generate_series(1, 51) i))$$);
SELECT h, tst.code(format('SELECT theazo.secret_set(%L, %L, delivery => %L, header => %L)', 'n', 'v', 'brokered', h)) FROM unnest(ARRAY['X Key', 'X-Key:', E'X-Key\n', 'ä', repeat('x', 101),
	'Host', 'content-length', 'Transfer-Encoding', 'connection', 'Proxy-Authorization']) h;
SELECT u, tst.code(format('SELECT theazo.secret_set(%L, %L, delivery => %L, username => %L)', 'n', 'v', 'brokered', u)) FROM unnest(ARRAY['a:b', E'a\nb', repeat('u', 257)]) u;
SELECT tst.try($$SELECT theazo.secret_set('n', 'v', delivery => 'brokered', header => 'X-Key', username => 'u')$$);
SELECT tst.try($$SELECT theazo.secret_set('n', 'v', delivery => 'env', header => 'X-Key')$$);
SELECT tst.try($$SELECT theazo.secret_set('n', E'two\nlines', delivery => 'brokered')$$);
SELECT tst.try($$SELECT theazo.secret_set('n', E'two\r', hosts => '{a.example}')$$);
SELECT count(*) FROM theazo.secrets;
SELECT count(*) FROM theazo.secret_versions;

-- set, replace, list
SELECT session_id, name, version, delivery, last_used_at FROM theazo.secret_set('api token', 'canary-1');
SELECT name, version, delivery FROM theazo.secret_set('api token', 'canary-2', delivery => 'brokered');
SELECT name, version, delivery FROM theazo.secret_set('api token', 'canary-3');
SELECT name, version FROM theazo.secret_set(repeat('n', 128), repeat('v', 65536)) \gset
SELECT name, version FROM theazo.secrets_set('{"b":"canary-4","a":"canary-5","api token":"canary-6"}');
SELECT id AS s FROM theazo.session_create('u') \gset
SELECT session_id = :'s' AS session, name, version FROM theazo.secret_set('api token', 'canary-7', :'s');
SELECT name FROM theazo.secrets_set('{"x":"canary-8"}', :'s', 'brokered');
SELECT name, version, delivery FROM theazo.secret_list() WHERE name NOT LIKE 'nnn%';
SELECT name, version, delivery, session_id = :'s' AS session FROM theazo.secret_list(:'s');
COMMIT;

-- delivery: null until chosen, changed with the value only, kept when not given
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name, delivery, hosts, header, username FROM theazo.secret_set('plain', 'v');
SELECT secret_delivery FROM theazo.platform_update(secret_delivery => 'brokered');
SELECT name, delivery FROM theazo.secret_list() WHERE name IN ('plain', 'api token');
SELECT tst.try($$SELECT theazo.platform_update(secret_delivery => 'post')$$);
SELECT secret_delivery FROM theazo.platform_get();
SELECT delivery, hosts, header, username FROM theazo.secret_set('how', 'v', hosts => '{API.Example.com,*.example.org:8443,api.example.com," 10.0.0.1 ","[::1]:80"}', header => 'X-Api-Key');
SELECT delivery, hosts, header, username FROM theazo.secret_set('how', 'w');
SELECT delivery, hosts, header, username FROM theazo.secret_set('how', E'two\nlines', username => 'robot');
SELECT delivery, hosts, header, username FROM theazo.secret_set('how', 'v', hosts => '{a.example}', header => 'Authorization');
SELECT delivery, hosts, header, username FROM theazo.secret_set('how', E'two\nlines', delivery => 'env');
SELECT tst.try($$SELECT theazo.secret_set('how', 'v', hosts => '{b.example}')$$);
SELECT delivery, hosts, header, username FROM theazo.secret_set('how', 'v', delivery => 'brokered', hosts => '{}', header => '');
SELECT delivery, hosts, header, username FROM theazo.secret_set('how', E'-----BEGIN\n\tx\r\n', delivery => 'env');
SELECT name, delivery, hosts, username FROM theazo.secrets_set('{"one":"1","two":"2"}', delivery => 'brokered', hosts => '{a.example}', username => 'u');
SELECT summary FROM theazo.events WHERE action = 'secret_set' AND summary ->> 'name' IN ('how', 'two') ORDER BY summary ->> 'name', (summary ->> 'version')::int;
SELECT DISTINCT summary -> 'secretDelivery', summary #> '{was,secretDelivery}' FROM theazo.events WHERE action = 'platform_updated';
ROLLBACK;

-- a definition and an agent choose for what does not say; an agent tightens only
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.code($$SELECT theazo.definition_create('x', '{"secretDelivery":"post"}')$$), tst.code($$SELECT theazo.definition_create('x', '{"secretDelivery":true}')$$);
SELECT id AS tight FROM theazo.definition_create('tight', '{"secretDelivery":"brokered"}') \gset
SELECT id AS loose FROM theazo.definition_create('loose', '{"secretDelivery":"env"}') \gset
SELECT o, options ->> 'secretDelivery' FROM unnest(ARRAY['{"definition":"tight"}', '{"definition":"tight","secretDelivery":"brokered"}', '{"definition":"loose"}',
	'{"definition":"loose","secretDelivery":"brokered"}', '{"secretDelivery":"env"}', '{"secretDelivery":"brokered"}', '{"definition":"loose","overrides":{"secretDelivery":"brokered"}}']) o,
	theazo.agent_create(:'s', o::jsonb);
SELECT tst.try(format($$SELECT theazo.agent_create(%L, '{"definition":"tight","secretDelivery":"env"}')$$, :'s'));
SELECT tst.code(format($$SELECT theazo.agent_create(%L, '{"definition":"tight","overrides":{"secretDelivery":"env"}}')$$, :'s'));
SELECT tst.code(format($$SELECT theazo.agent_create(%L, '{"definition":"tight","secretDelivery":null}')$$, :'s'));
SELECT secret_delivery FROM theazo.platform_update(secret_delivery => 'env');
SAVEPOINT narrow;
SELECT id = :'s' FROM theazo.act_as(:'s');
SELECT o, options ->> 'secretDelivery' FROM unnest(ARRAY['{"definition":"loose"}', '{"secretDelivery":"env"}', '{"secretDelivery":"brokered"}']) o, theazo.agent_create(:'s', o::jsonb);
ROLLBACK TO narrow;
SELECT secret_delivery FROM theazo.platform_update(secret_delivery => 'brokered');
SELECT id = :'s' FROM theazo.act_as(:'s');
SELECT tst.try(format($$SELECT theazo.agent_create(%L, '{"secretDelivery":"env"}')$$, :'s'));
SELECT options ->> 'secretDelivery' FROM theazo.agent_create(:'s', '{"definition":"loose"}');
ROLLBACK;

-- what counts in the end: the secret's own, else the option, else the platform's default
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS m FROM theazo.session_create('matrix') \gset
SELECT name FROM theazo.secret_set('e', 'v', :'m', 'env');
SELECT name FROM theazo.secret_set('b', 'v', :'m', 'brokered');
SELECT name FROM theazo.secret_set('n', 'v', :'m');
CREATE FUNCTION tst.delivered(platform text, session text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE p text; o text; a text;
BEGIN
	FOREACH p IN ARRAY ARRAY['env', 'brokered'] LOOP
		PERFORM theazo.platform_update(secret_delivery => p);
		FOREACH o IN ARRAY ARRAY['{}', '{"secretDelivery":"env"}', '{"secretDelivery":"brokered"}'] LOOP
			a := (theazo.agent_create(session, o::jsonb)).id;
			RETURN QUERY SELECT format('%s %s: %s', p, o, string_agg(x.name || ' ' || x.delivery, ', ' ORDER BY x.name)) FROM theazo_internal.agent_secrets(platform, session, a) x;
		END LOOP;
	END LOOP;
END $$;
SELECT * FROM tst.delivered(:'p', :'m');
ROLLBACK;

-- history: who, when, how it ended; numbers go on after a delete; the hundred newest
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name, version, actor_kind, actor LIKE 'key\_%' AS key, set_at IS NOT NULL AS at, ended_at IS NOT NULL AS ended, end_reason FROM theazo.secret_history('api token');
SELECT version FROM theazo.secret_delete('api token');
SELECT version, end_reason FROM theazo.secret_history('api token');
SELECT version FROM theazo.secret_set('api token', 'canary-9');
SELECT version, end_reason FROM theazo.secret_history('api token');
SELECT session_id = :'s' AS session, version, end_reason FROM theazo.secret_history('api token', :'s');
SELECT tst.try($$SELECT theazo.secret_history('nope')$$);
SELECT tst.try($$SELECT theazo.secret_history('x')$$);
SELECT count(v.version) FROM generate_series(1, 120) i, theazo.secret_set('often', 'v' || i) v;
SELECT count(*), min(version), max(version), count(*) FILTER (WHERE ended_at IS NULL) AS current FROM theazo.secret_history('often');
SELECT id = :'s' FROM theazo.act_as(:'s');
SELECT DISTINCT name FROM theazo.secret_versions ORDER BY 1;
SELECT tst.code($$SELECT theazo.secret_history('often')$$), tst.code(format($$SELECT theazo.secret_history('api token', %L)$$, :'s'));
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'kt');
SELECT DISTINCT session_id, name FROM theazo.secret_versions ORDER BY 2;
SELECT tst.code(format($$SELECT theazo.secret_history('api token', %L)$$, :'s'));
SELECT theazo.authenticate(:'other');
SELECT count(*) FROM theazo.secret_versions;
SELECT tst.code(format($$SELECT theazo.secret_history('api token', %L)$$, :'s')), tst.code($$SELECT theazo.secret_history('api token')$$);
ROLLBACK;

-- what is stored is sealed: fresh salt each time, no value anywhere
SELECT count(*), count(DISTINCT salt), bool_and(octet_length(salt) = 32), bool_or(position('canary'::bytea in sealed) > 0)
  FROM theazo_data.secret WHERE platform_id = :'p';
SELECT octet_length(vault_salt) FROM theazo_data.platform WHERE platform_id = :'p';
SELECT count(*) FROM theazo_data.event e WHERE position('canary'::bytea in e.body) > 0;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT action, count(*) FROM theazo.events WHERE action LIKE 'secret\_%' GROUP BY 1 ORDER BY 1;
SELECT summary FROM theazo.events WHERE action = 'secret_set' AND session_id = :'s' ORDER BY summary ->> 'name';
COMMIT;

-- one session's vault is not another's, and not a test key's
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id = :'s' FROM theazo.act_as(:'s');
SELECT name, version FROM theazo.secret_set('own', 'v', :'s');
SELECT name FROM theazo.secrets ORDER BY name;
SELECT tst.code('SELECT theazo.secret_list()'), tst.code($$SELECT theazo.secret_set('a', 'v')$$), tst.code($$SELECT theazo.secret_delete('a')$$);
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'kt');
SELECT name FROM theazo.secrets WHERE session_id IS NOT NULL;
SELECT tst.code(format('SELECT theazo.secret_list(%L)', :'s')), tst.code(format($$SELECT theazo.secret_set('a', 'v', %L)$$, :'s'));
COMMIT;
BEGIN;
SELECT theazo.authenticate(:'other');
SELECT count(*) FROM theazo.secrets;
SELECT tst.code(format('SELECT theazo.secret_list(%L)', :'s')), tst.code(format($$SELECT theazo.secret_set('a', 'v', %L)$$, :'s')),
	tst.code(format($$SELECT theazo.secret_delete('x', %L)$$, :'s')), tst.code($$SELECT theazo.secret_delete('a')$$);
COMMIT;

-- as many as fit into one environment
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS full FROM theazo.session_create('full') \gset
SELECT count(*) FROM theazo.secrets_set((SELECT jsonb_object_agg('n' || i, 'v') FROM generate_series(1, 200) i), :'full');
SELECT tst.try(format($$SELECT theazo.secret_set('one_more', 'v', %L)$$, :'full'));
SELECT name, version FROM theazo.secret_set('n7', 'w', :'full');
ROLLBACK;

-- two names that become one variable: an agent would get one of them
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS twins FROM theazo.session_create('twins') \gset
SELECT count(*) FROM theazo.secrets_set('{"stripe.key":"v","1st":"v","a b":"v"}', :'twins');
SELECT tst.try(format($$SELECT theazo.secret_set('STRIPE_KEY', 'v', %L)$$, :'twins'));
SELECT n, tst.code(format('SELECT theazo.secret_set(%L, %L, %L)', n, 'v', :'twins')) FROM unnest(ARRAY['stripe key', '_1ST', '1ST', 'A-B', 'stripe.key', '_stripe.key', 'st', 'ab', '__1st']) n;
SELECT tst.code(format($$SELECT theazo.secrets_set('{"two.a":"v","two_a":"v"}', %L)$$, :'twins'));
SELECT name FROM theazo.secret_set('STRIPE_KEY', 'v');
ROLLBACK;

-- many and long values: names alone are sorted, so no value gets into a temporary file
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS long FROM theazo.session_create('long') \gset
SELECT jsonb_object_agg('n' || i, repeat('canary ', 9000)) AS many FROM generate_series(1, 40) i \gset
SET LOCAL work_mem = '256kB';
SET LOCAL log_temp_files = 0;
SET LOCAL client_min_messages = log;
SELECT count(*) FROM theazo.secrets_set(:'many', :'long');
ROLLBACK;

-- deleting: refused while in use, with the users named
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('one', endpoint => 'https://one.example', credential_ref => 'a');
SELECT name FROM theazo.provider_set('two', 'model', endpoint => 'https://two.example', credential_ref => 'b', signing_ref => 'a');
SELECT tst.try($$SELECT theazo.secret_delete('a')$$);
SELECT name, version FROM theazo.secret_delete('a', force => true);
SELECT tst.try($$SELECT theazo.secret_delete('a')$$);
SELECT name FROM theazo.secret_delete('x', :'s');
SELECT tst.try(format($$SELECT theazo.secret_delete('x', %L)$$, :'s'));
SELECT tst.try($$SELECT theazo.secret_delete(NULL)$$);
SELECT name, version FROM theazo.secret_set('a', 'again');
COMMIT;

-- whoever names it is told: sessions with an endpoint or model of their own, definitions, agents
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.secret_set('shared', 'v') \gset
SELECT id AS own FROM theazo.session_create('own', compute => '{"endpoint":"https://own.example","credentialRef":"shared"}', models => '{"credentialRef":"shared"}') \gset
SELECT id AS signs FROM theazo.session_create('signs', compute => '{"endpoint":"https://own.example","config":{"signingSecretRef":"shared"}}') \gset
SELECT id AS d FROM theazo.definition_create('lists', '{"secrets":["shared"]}') \gset
SELECT id AS d2 FROM theazo.definition_create('model', '{"model":{"provider":"p","credentialRef":"shared"}}') \gset
SELECT id AS d3 FROM theazo.definition_create('past', '{"secrets":["shared"]}') \gset
SELECT version FROM theazo.definition_update(:'d3', '{"secrets":["a"]}');
SELECT id AS ag FROM theazo.agent_create(:'s', '{"secrets":["shared"]}') \gset
SELECT tst.try($$SELECT theazo.secret_delete('shared')$$);
SELECT status FROM theazo.agent_terminate(:'ag');
SELECT id FROM theazo.definition_delete(:'d') \gset
SELECT id FROM theazo.definition_delete(:'d2') \gset
SELECT tst.try($$SELECT theazo.secret_delete('shared')$$);
-- a session that has one of the name in its own vault does not miss the platform's, but its own
SELECT name FROM theazo.secret_set('shared', 'v', :'own');
SELECT tst.try($$SELECT theazo.secret_delete('shared')$$);
SELECT tst.try(format($$SELECT theazo.secret_delete('shared', %L)$$, :'own'));
SELECT status FROM theazo.session_terminate(:'signs');
SELECT name FROM theazo.secret_delete('shared');
SELECT version, end_reason FROM theazo.secret_history('shared');
-- a session that has ended takes no secret, and gives back those it had; not while its endpoint has machines to take down
SELECT id AS ag FROM theazo.agent_create(:'own') \gset
SELECT name FROM theazo.secret_set('left', 'v', :'own');
SELECT status FROM theazo.session_terminate(:'own');
SELECT tst.try(format($$SELECT theazo.secret_set('shared', 'w', %L)$$, :'own'));
UPDATE theazo_data.sandbox SET status = 'destroying' WHERE agent_id = :'ag';
SELECT name FROM theazo.secret_delete('left', :'own');
SELECT tst.try(format($$SELECT theazo.secret_delete('shared', %L)$$, :'own'));
UPDATE theazo_data.sandbox SET status = 'destroyed' WHERE agent_id = :'ag';
SELECT name FROM theazo.secret_delete('shared', :'own');
SELECT count(*) FROM theazo.secret_list(:'own');
SELECT count(theazo.definition_create('n' || i, '{"secrets":["a"]}')) FROM generate_series(1, 12) i;
SELECT tst.try($$SELECT theazo.secret_delete('a')$$);
SELECT name FROM theazo.secret_delete('a', force => true);
SELECT summary FROM theazo.events WHERE action = 'secret_deleted' AND summary ->> 'name' IN ('shared', 'a') ORDER BY 1;
ROLLBACK;

-- the vault's state: a platform sees its own secrets, the operator all, and where the key comes from
SELECT (v -> 'ready')::boolean, jsonb_array_length(v -> 'keys'), v #> '{keys,0,loaded}', v #> '{keys,0,current}', v #> '{keys,0,verified}', v #> '{keys,0,secrets}', v #> '{keys,0}' ? 'source', v -> 'hint'
  FROM theazo.vault_status(:'k') v;
SELECT (v #> '{keys,0,secrets}')::int > 0, v #> '{keys,0}' ? 'source' FROM theazo.vault_status() v;
SELECT tst.try('SELECT theazo.vault_status() IS NULL');
CREATE ROLE reg_secret_app;
GRANT theazo_app TO reg_secret_app;
SET ROLE reg_secret_app;
SELECT tst.code('SELECT theazo.vault_status()');
-- no role of an application reaches the vault itself
SELECT tst.code($$SELECT theazo_internal.secret_seal('a', 'b', 'c', 1, '\x00', 'd')$$), tst.code('SELECT * FROM theazo_internal.master_keys()'),
	tst.code('SELECT * FROM theazo_data.secret');
RESET ROLE;
DROP ROLE reg_secret_app;
