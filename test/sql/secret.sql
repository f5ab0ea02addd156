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
SELECT count(*) FROM theazo.secrets;

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
