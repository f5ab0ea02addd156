\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
-- The operator's own accounts: what platforms know as theazo.

SELECT platform AS p, live AS k FROM tst.platform('Managed') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Managed, other') \gset
CREATE ROLE reg_managed_app;
GRANT theazo_app TO reg_managed_app;
SELECT theazo_internal.operator_platform() AS op \gset

-- nothing there: theazo is the local sandbox
SELECT * FROM theazo_internal.compute_candidates(:'p', NULL, NULL, NULL);

-- bad input, and nobody but the operator
SELECT c, tst.try('SELECT theazo.operator_secret_set(' || c || ')') FROM unnest(ARRAY[
	$$'', 'v'$$, $$NULL, 'v'$$, $$'a/b', 'v'$$, $$'PATH', 'v'$$, $$'n', ''$$, $$'n', NULL$$, $$'n', repeat('v', 65537)$$, $$'n', 'v', 'post'$$,
	$$'n', 'v', hosts => '{*}'$$, $$'n', 'v', 'env', '{a.example}'$$, $$'n', 'v', header => 'Host'$$]) c;
SELECT c, tst.try('SELECT theazo.operator_provider_set(' || c || ')') FROM unnest(ARRAY[
	$$''$$, $$'theazo'$$, $$'theazo:x', endpoint => 'https://a.example'$$, $$'ses_x', endpoint => 'https://a.example'$$, $$'x', 'storage'$$, $$'x'$$,
	$$'local', endpoint => 'https://a.example'$$, $$'x', endpoint => 'a.example'$$, $$'x', endpoint => 'https://a.example', priority => -1$$,
	$$'x', endpoint => 'https://a.example', credential_ref => 'account'$$, $$'x', endpoint => 'https://a.example', config => '{"signingSecretRef":"account"}'$$]) c;
SELECT count(*) FROM theazo.operator_secrets;
SELECT count(*) FROM theazo.operator_providers;
SET ROLE reg_managed_app;
SELECT theazo.authenticate(:'k') IS NULL AS x \gset
SELECT c, tst.code(c) FROM unnest(ARRAY[$$SELECT theazo.operator_secret_set('a', 'b')$$, 'SELECT theazo.operator_secret_list()', $$SELECT theazo.operator_secret_delete('a')$$,
	$$SELECT theazo.operator_provider_set('a')$$, $$SELECT theazo.operator_provider_delete('a')$$, 'TABLE theazo.operator_secrets', 'TABLE theazo.operator_secret_versions',
	'TABLE theazo.operator_providers', 'TABLE theazo.operator_events']) c;
RESET ROLE;

-- secrets: history, one set is a rotation
SELECT name, version, delivery, hosts, header, username, last_used_at FROM theazo.operator_secret_set('account', 'canary-operator-1');
SELECT name, version, delivery, hosts, header FROM theazo.operator_secret_set('account', 'canary-operator-2', hosts => '{One.Example}', header => 'X-Api-Key');
SELECT name, version, delivery, hosts, header FROM theazo.operator_secret_set('account', 'canary-operator-3');
SELECT name, delivery FROM theazo.operator_secret_set('sign', 'canary-operator-4');
SELECT name, version FROM theazo.operator_secret_list();
SELECT name, version, end_reason, actor_kind, actor IS NOT NULL AS somebody FROM theazo.operator_secret_versions ORDER BY 1, 2;
SELECT bool_or(position('canary'::bytea in sealed) > 0) AS readable FROM theazo_data.secret WHERE platform_id = :'op';

-- the row it hangs on is no platform for anybody
SELECT count(*) FROM theazo.operator_platforms WHERE id = :'op';
SELECT tst.mask(f), tst.code('SELECT theazo.' || f) FROM unnest(ARRAY[format('api_key_create(''x'', platform => %L)', :'op'),
	format('platform_bind_role(%L, ''reg_managed_app'')', :'op'), format('platform_allow_egress(%L, true)', :'op')]) f;

-- entries: the first by priority is what theazo means, then the next
SELECT kind, name, type, endpoint, credential_ref, signing_ref, priority FROM theazo.operator_provider_set('second', endpoint => 'http://10.0.0.1:8080/', priority => 20);
SELECT kind, name, type, endpoint, credential_ref, signing_ref, priority FROM theazo.operator_provider_set('first', endpoint => 'https://one.example/base', credential_ref => 'account',
	config => '{"signingSecretRef":"sign"}', priority => 10, limits => '{"maxConcurrent":2}');
SELECT kind, name, type FROM theazo.operator_provider_set('here', type => 'local', priority => 30);
SELECT * FROM theazo_internal.compute_candidates(:'p', NULL, NULL, NULL);
SELECT * FROM theazo_internal.compute_candidates(:'p', NULL, 'local', NULL);
SELECT * FROM theazo_internal.compute_candidates(:'p', NULL, 'theazo:first', NULL);
SELECT * FROM theazo_internal.compute_candidates(:'p', NULL, 'first', NULL);

BEGIN;
SELECT theazo.authenticate(:'k');
-- a platform's own come before, theazo where it was named
SELECT name FROM theazo.provider_set('mine', endpoint => 'https://mine.example', priority => 90) \gset
SELECT * FROM theazo_internal.compute_candidates(:'p', NULL, NULL, NULL);
SELECT * FROM theazo_internal.compute_candidates(:'p', NULL, 'theazo', 'mine');
SELECT compute_mode FROM theazo.platform_update(compute_mode => 'byoi');
SELECT * FROM theazo_internal.compute_candidates(:'p', NULL, NULL, NULL);
ROLLBACK;

-- no platform can name, list or send it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s FROM theazo.session_create('u') \gset
SELECT c, tst.try(replace('SELECT theazo.' || c, '{s}', :'s')) FROM unnest(ARRAY[$$agent_create('{s}', '{"provider":"theazo:first"}')$$, $$agent_create('{s}', '{"provider":"first"}')$$,
	$$agent_create('{s}', '{"provider":"theazo","providerFallback":"theazo:first"}')$$, $$session_create('v', compute => '{"provider":"theazo:first"}')$$,
	$$provider_get('first')$$, $$provider_get('theazo:first')$$, $$provider_delete('first')$$, $$provider_set('theazo:first', endpoint => 'https://mine.example')$$,
	$$provider_set('first', endpoint => 'https://mine.example', credential_ref => 'account')$$, $$provider_set('first', endpoint => 'https://mine.example', signing_ref => 'account')$$,
	$$provider_set('first', endpoint => 'https://mine.example', config => '{"signingSecretRef":"account"}')$$,
	$$secret_delete('account')$$, $$secret_history('account')$$]) c;
SELECT count(*) FROM theazo.providers;
SELECT count(*) FROM theazo.secrets;
SELECT count(*) FROM theazo.secret_versions;
-- a session's own endpoint names what it likes, and is given its platform's
SELECT id AS s2 FROM theazo.session_create('v', compute => '{"endpoint":"https://mine.example","credentialRef":"account","signingSecretRef":"sign"}') \gset
SELECT id AS thief FROM theazo.agent_create(:'s2') \gset
SELECT platform_id, root_id, id FROM theazo_data.effect WHERE agent_id = :'thief' \gset t_
SELECT tst.try(format('SELECT * FROM theazo_internal.effect_secrets(%L, %L, %L)', :'t_platform_id', :'t_root_id', :'t_id'));

-- an agent on managed compute: the entry's address, the operator's secrets, and nothing of it to be seen
SELECT id AS a, provider FROM theazo.agent_create(:'s', '{"provider":"theazo"}') \gset
SELECT :'provider' AS shown;
SELECT provider, managed FROM theazo.sandboxes WHERE agent_id = :'a';
SELECT provider_name, adapter, platform_id, root_id, id FROM theazo_data.effect WHERE agent_id = :'a' \gset e_
SELECT :'e_provider_name' AS provider_name, :'e_adapter' AS adapter;
SELECT jsonb_pretty(theazo_internal.effect_endpoint(:'p', NULL, :'e_provider_name', :'e_adapter'));
SELECT use, owner = :'op' AS operators, name, version, hosts, header FROM theazo_internal.effect_secrets(:'e_platform_id', :'e_root_id', :'e_id');
SELECT action, summary FROM theazo.events WHERE summary::text ~ 'account|sign|one\.example';
SELECT action, summary - 'platform' - 'agent' - 'session', summary ->> 'agent' = :'a' AS agent, summary ->> 'platform' = :'p' AS platform
  FROM theazo.operator_events WHERE action = 'secret_opened' ORDER BY summary ->> 'use';
-- what the provider cannot do is remembered of the entry
SELECT theazo_internal.compute_capable(:'p', 'theazo:first', 'pause');
SELECT theazo_internal.compute_learn(:'p', 'theazo:first', 'pause');
SELECT theazo_internal.compute_capable(:'p', 'theazo:first', 'pause'), theazo_internal.compute_capable(:'p', 'theazo:second', 'pause'), theazo_internal.compute_capable(:'p2', 'theazo:first', 'pause');
-- all platforms count to its ceiling
SELECT theazo.authenticate(:'k2');
SELECT id AS o FROM theazo.session_create('w') \gset
SELECT provider FROM theazo.agent_create(:'o');
SELECT provider_name, provider FROM theazo_data.sandbox WHERE session_id = :'o';
SELECT provider FROM theazo.agent_create(:'o');
SELECT provider_name, provider FROM theazo_data.sandbox WHERE session_id = :'o' ORDER BY 1;
-- one that fails is followed by the next, to the local sandbox
SELECT ord, provider_name, type FROM theazo_internal.compute_candidates(:'p2', :'o', 'theazo', NULL);
SELECT shown, provider_name, adapter, managed FROM theazo_internal.compute_choose((SELECT a FROM theazo_data.agent a WHERE session_id = :'o' ORDER BY id LIMIT 1), '{theazo:second}');
SELECT count(*) FROM theazo_internal.compute_choose((SELECT a FROM theazo_data.agent a WHERE session_id = :'o' ORDER BY id LIMIT 1), '{theazo:second,theazo}');
-- what is in use stays
SELECT tst.try($$SELECT theazo.operator_provider_delete('first')$$);
SELECT tst.try($$SELECT theazo.operator_secret_delete('account')$$);
SELECT name, version FROM theazo.operator_secret_delete('account', force => true);
SELECT tst.try(format('SELECT * FROM theazo_internal.effect_secrets(%L, %L, %L)', :'e_platform_id', :'e_root_id', :'e_id'));
SELECT name FROM theazo.operator_provider_delete('first', force => true);
ROLLBACK;

-- without the secret
SELECT tst.try($$SELECT theazo.operator_secret_delete('nope')$$);
SELECT tst.try($$SELECT theazo.operator_provider_delete('nope')$$);
SELECT tst.try($$SELECT theazo.operator_provider_delete('first', 'storage')$$);
SELECT name FROM theazo.operator_provider_delete('first');
SELECT name FROM theazo.operator_provider_delete('second');
SELECT name FROM theazo.operator_provider_delete('here');
SELECT name FROM theazo.operator_secret_delete('account');
SELECT name FROM theazo.operator_secret_delete('sign');
SELECT name, version FROM theazo.operator_secret_set('account', 'again');
SELECT name, version, end_reason FROM theazo.operator_secret_versions WHERE name = 'account' ORDER BY version;
SELECT name FROM theazo.operator_secret_delete('account');
SELECT action, count(*) FROM theazo.operator_events WHERE action ~ '^(secret|provider)_' GROUP BY 1 ORDER BY 1;
DROP ROLE reg_managed_app;
