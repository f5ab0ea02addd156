\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Delivery') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
-- what effect_secrets gives for all that was claimed of one kind
CREATE FUNCTION tst.given(p_kind text) RETURNS TABLE (use text, env_name text, name text, version int, vault text, opened boolean, hosts text[], header text, username text, host text)
LANGUAGE sql AS $$
	SELECT x.use, x.env_name, x.name, x.version, CASE x.session_id WHEN '' THEN 'platform' ELSE 'session' END, x.sealed IS NOT NULL, x.hosts, x.header, x.username, x.host
	  FROM tst.claimed c, theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) x WHERE c.kind = p_kind ORDER BY 1, 2, 3, 4
$$;
CREATE FUNCTION tst.openings() RETURNS SETOF jsonb LANGUAGE sql AS $$
	SELECT summary FROM theazo.events WHERE action = 'secret_opened' ORDER BY summary ->> 'use', summary ->> 'name', summary ->> 'version'
$$;

-- ---- names and addresses ---------------------------------------------------------------
SELECT n, theazo_internal.secret_env_name(n) FROM unnest(ARRAY['stripe.key', 'A b-c', '9lives', 'ok_1', 'ß']) n;
SELECT u, theazo_internal.url_host(u) FROM unnest(ARRAY['https://API.Example.com/x', 'http://u:p@h.example:8080?q=@x', 'https://[2001:db8::1]:443/', 'https://h.example#@y', 'nothing', NULL]) u;
SELECT theazo_internal.header_placeholders(h) FROM unnest(ARRAY[
	'{"X-Key": "tzsecret_ONE", "Authorization": "Bearer tzsecret_TWO", "X-Both": "tzsecret_ONE tzsecret_THREE_3."}',
	jsonb_build_object('authorization', 'Basic ' || encode('user:tzsecret_IN_BASIC', 'base64'))::text,
	jsonb_build_object('authorization', ' basic  ' || rtrim(encode('tzsecret_UNPADDED:', 'base64'), '='))::text,
	jsonb_build_object('authorization', 'Basic ' || encode('\xff00fe'::bytea || 'tzsecret_BINARY', 'base64'))::text,
	'{"authorization": "Basic A", "x": "Basic !!", "y": "tzsecret_ TZSECRET_X tzsecret_lower"}', '{}', '[1]', 'null']::jsonb[]) h;
SELECT theazo_internal.header_placeholders(NULL);

-- ---- what each call gets ------------------------------------------------------------------
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name, version FROM theazo.secret_set('plain', 'canary-1', :'s');
SELECT name, version FROM theazo.secret_set('plain', 'canary-2', :'s');
SELECT name, delivery FROM theazo.secret_set('api.key', 'canary-3', :'s', 'brokered', '{api.example,*.api.example:8443}', 'X-Api-Key');
SELECT name, delivery FROM theazo.secret_set('shared', 'canary-4');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT * FROM tst.claim();
-- a local sandbox is made without any
SELECT needs_secrets FROM tst.claimed;
SELECT * FROM tst.given('compute.create');
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-1", "isolation": "full"}');
SELECT (theazo.exec_start(:'a', 'sh', 'true')).status;
SELECT * FROM tst.claim();
SELECT needs_secrets FROM tst.claimed;
SELECT * FROM tst.given('compute.exec');
SELECT * FROM tst.openings();
SELECT name, version, session_id = :'s' AS own FROM theazo_data.secret_delivered ORDER BY name;
-- an attempt again gives the same and remembers it once
SELECT * FROM tst.given('compute.exec');
SELECT count(*) FROM theazo_data.secret_delivered;
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
-- replaced: the new one from the next process on, the old one is masked; deleted: masked
SELECT version FROM theazo.secret_set('plain', 'canary-5', :'s');
SELECT (theazo.exec_start(:'a', 'sh', 'true')).status;
SELECT count(*) FROM tst.claim();
SELECT * FROM tst.given('compute.exec');
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
SELECT name FROM theazo.secret_delete('plain', :'s');
SELECT (theazo.file_read_start(:'a', 'x')).status, (theazo.file_write_start(:'a', 'x', 'y')).status, (theazo.file_list_start(:'a')).status;
SELECT count(*) FROM tst.claim();
SELECT bool_and(needs_secrets) FROM tst.claimed;
SELECT use, name, version FROM tst.given('compute.read');
SELECT use, name, version FROM tst.given('compute.list');
-- a write to a local sandbox answers nothing of its own
SELECT use, name, version FROM tst.given('compute.write');
-- too many to look for: refused, and not let through
INSERT INTO theazo_data.secret_delivered (platform_id, sandbox_id, session_id, name, version, master_key_id, salt, sealed)
SELECT d.platform_id, d.sandbox_id, d.session_id, d.name, 1000 + i, d.master_key_id, d.salt, d.sealed
  FROM theazo_data.secret_delivered d, generate_series(1, 300) i WHERE d.version = 2;
SELECT tst.try($$SELECT * FROM tst.given('compute.read')$$);
-- under a key that is not here, and under one that was given up
DELETE FROM theazo_data.secret_delivered WHERE version > 1000;
UPDATE theazo_data.secret_delivered SET master_key_id = '0000000000000000' WHERE version = 2;
SELECT use, name, version FROM tst.given('compute.read');
INSERT INTO theazo_data.master_key (platform_id, id, salt, check_value, retired_at, lost)
VALUES (theazo_internal.operator_platform(), '0000000000000000', '', '', now(), true);
SELECT use, name, version FROM tst.given('compute.read');
-- an ended sandbox: forgotten
SELECT theazo_internal.keeper_delivered();
SELECT status FROM theazo.agent_terminate(:'a');
SELECT theazo_internal.keeper_delivered();
UPDATE theazo_data.sandbox SET status = 'destroyed' WHERE agent_id = :'a';
SELECT theazo_internal.keeper_delivered();
SELECT count(*) FROM theazo_data.secret_delivered;
ROLLBACK;

-- ---- how: the secret's word, else the agent's, else the platform's ----------------------------
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.secret_set(n, 'canary-' || n, :'s')) FROM unnest(ARRAY['open', 'other']) n;
SELECT name FROM theazo.secret_set('always.env', 'canary', :'s', 'env');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT id AS b FROM theazo.agent_create(:'s', '{"provider": "theazo", "secretDelivery": "brokered"}') \gset
SELECT x.env_name, x.delivery FROM theazo_internal.agent_secrets(:'p', :'s', :'a') x ORDER BY 1;
SELECT x.env_name, x.delivery FROM theazo_internal.agent_secrets(:'p', :'s', :'b') x ORDER BY 1;
SELECT secret_delivery FROM theazo.platform_update(secret_delivery => 'brokered');
SELECT x.env_name, x.delivery FROM theazo_internal.agent_secrets(:'p', :'s', :'a') x ORDER BY 1;
-- two names that become one variable: refused, and should two callers at once have done it, the first by name
SELECT tst.code(format($$SELECT theazo.secret_set('OPEN', 'canary', %L)$$, :'s'));
INSERT INTO theazo_data.secret SELECT s.platform_id, s.session_id, 'OPEN', s.version, s.delivery, s.hosts, s.header, s.username, s.master_key_id, s.salt, s.sealed
  FROM theazo_data.secret s WHERE s.platform_id = :'p' AND s.session_id = :'s' AND s.name = 'open';
SELECT x.env_name, x.name FROM theazo_internal.agent_secrets(:'p', :'s', :'a') x WHERE x.env_name = 'OPEN';
ROLLBACK;

-- ---- a brokered credential: the adapter gets the placeholder, the worker the value ----------------
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.secret_set('hook.key', 'canary', delivery => 'brokered', hosts => '{one.example}', username => 'me');
SELECT (theazo.provider_set('hooked', type => 'webhook', endpoint => 'https://One.Example:8443/x', credential_ref => 'hook.key')).name;
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "hooked"}') \gset
SELECT * FROM tst.claim();
SELECT * FROM tst.given('compute.create');
SELECT * FROM tst.openings();
-- the platform's default is about sandboxes; it takes no credential away that says no hosts
SELECT secret_delivery FROM theazo.platform_update(secret_delivery => 'brokered');
SELECT (theazo.provider_set('hooked', type => 'webhook', endpoint => 'https://One.Example:8443/x', credential_ref => 'by.default')).name FROM theazo.secret_set('by.default', 'canary');
SELECT use, env_name, name, opened FROM tst.given('compute.create');
-- the provider got another address, and its credential another value, after the call was claimed
SELECT count(*) FROM tst.claimed c, theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id,
	theazo_internal.effect_endpoint(c.platform_id, c.session_id, 'hooked', c.adapter)) x;
SELECT tst.try(format('SELECT * FROM theazo_internal.effect_secrets(%L, %L, %L, %L)', c.platform_id, c.root_id, c.id,
	theazo_internal.effect_endpoint(c.platform_id, c.session_id, 'hooked', c.adapter) || '{"url": "https://former.example"}')) FROM tst.claimed c;
-- one that was deleted by force
SELECT name FROM theazo.secret_delete('by.default', force => true);
SELECT tst.try($$SELECT * FROM tst.given('compute.create')$$);
ROLLBACK;
DROP FUNCTION tst.given(text);
DROP FUNCTION tst.openings();
