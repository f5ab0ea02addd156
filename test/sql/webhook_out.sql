\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
-- Permission requests, and webhooks out as far as they are rows: what is sent is in 096_approval.
SELECT platform AS p, live AS k, test AS t FROM tst.platform('Hooks') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Strangers') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s FROM theazo.session_create('user-1') \gset
SELECT key AS reader FROM theazo.api_key_create('reader', scopes => '{permission:read,webhook:read}') \gset
COMMIT;

-- webhooks: the secret is shown once and kept in the vault
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS w, url, events, environment, status, failures, secret ~ '^whsec_[A-Za-z0-9+/]{43}=$' AS whole FROM theazo.webhook_create('https://you.example/hook?v=1', '{webhook.test,approval.requested,approval.requested}') \gset
SELECT :'url', :'events', :'environment', :'status', :'failures', :'whole';
SELECT secret ~ '^whsec_.{4}…$' AS short FROM theazo.webhook_get(:'w');
SELECT count(*) FROM theazo.webhook_list();
SELECT name = 'webhook.' || :'w' AS named, version FROM theazo.secrets;
SELECT tst.try(format('SELECT theazo.secret_delete(%L)', 'webhook.' || :'w'));
SELECT action, tst.mask(summary::text) FROM theazo.events WHERE action LIKE 'webhook%' ORDER BY id;
SELECT count(*) FROM theazo.events e WHERE e::text LIKE '%whsec_%';
SELECT tst.try(format('SELECT theazo.webhook_create(%L, %L)', u, e)) FROM (VALUES ('ftp://you.example', '{*}'), ('https://u:p@you.example', '{*}'), (NULL, '{*}'),
	('https://you.example', '{}'), ('https://you.example', NULL), ('https://you.example', '{approval}'), ('https://you.example', '{NULL}')) v (u, e);
-- who is told: who asked for it, of the same environment
SELECT count(theazo.webhook_create('https://all.example/', '{*}'));
SELECT count(theazo.webhook_create('https://test.example/', '{*}', :'t'));
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{"a": [1.50, "ä/"]}'), theazo_internal.notify(:'p', 'live', 'budget.alert', '{}'),
	theazo_internal.notify(:'p', 'test', 'budget.alert', '{}'), theazo_internal.notify(:'p2', 'live', 'budget.alert', '{}');
SELECT w.url, d.event, d.status, d.attempts FROM theazo.webhook_deliveries d JOIN theazo.webhooks w ON w.id = d.webhook_id ORDER BY 1, 2;
SELECT count(DISTINCT event_id), count(*) FROM theazo.webhook_deliveries WHERE event = 'approval.requested';
SELECT tst.claim();
SELECT kind, timeout_ms, needs_secrets, tst.mask(request::text), endpoint ->> 'url', tst.mask(convert_from(content, 'UTF8')) FROM tst.claimed WHERE request ->> 'type' = 'approval.requested' ORDER BY 5;
SELECT s.use, s.name = 'webhook.' || :'w' AS its, s.host FROM tst.claimed c CROSS JOIN LATERAL theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) s WHERE c.endpoint ->> 'url' LIKE '%you.example%';
-- waits by the attempts that failed; what was given back unsent is none of them
SELECT theazo_internal.webhook_wait(n, NULL) FROM generate_series(1, 7) n;
SELECT theazo_internal.webhook_wait(1, 60000), theazo_internal.webhook_wait(1, 999999999), theazo_internal.webhook_wait(7, 1);
SELECT tst.settle('webhook.deliver', 'released', '{}');
SELECT tst.claim();
SELECT tst.settle('webhook.deliver', 'retry', '{"message": "answered 500", "http_status": 500}');
SELECT DISTINCT status, attempts, round(extract(epoch FROM next_attempt_at - clock_timestamp())) IN (4, 5) AS soon, last_error FROM theazo.webhook_deliveries WHERE status = 'waiting';
SELECT tst.due();
SELECT tst.claim();
SELECT tst.settle('webhook.deliver', 'unknown', '{"message": "it broke"}');
SELECT DISTINCT status, attempts, round(extract(epoch FROM next_attempt_at - clock_timestamp())) IN (299, 300) AS later FROM theazo.webhook_deliveries WHERE status = 'waiting';
SELECT tst.due();
SELECT tst.claim();
SELECT tst.settle('webhook.deliver', 'done', '{"status": 204}');
SELECT DISTINCT status, http_status FROM theazo.webhook_deliveries;
-- gone: disabled, and what waits for it is dropped
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{}');
DELETE FROM tst.claimed;
INSERT INTO tst.claimed SELECT * FROM theazo_internal.effect_claim(0, 7, 1, '60 s');
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{}');
SELECT tst.settle('webhook.deliver', 'failed', '{"message": "answered 410", "http_status": 410}');
SELECT status, failures, last_error, disabled_at IS NOT NULL AS disabled FROM theazo.webhooks WHERE failures > 0;
SELECT d.status, count(*) FROM theazo.webhook_deliveries d JOIN theazo.webhooks w ON w.id = d.webhook_id WHERE w.status = 'disabled' AND d.status <> 'delivered' GROUP BY 1 ORDER BY 1;
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{}');
SELECT tst.try(format('SELECT theazo.webhook_test(%L)', id)) FROM theazo.webhooks WHERE status = 'disabled';
SELECT event, status FROM theazo.webhook_test((SELECT id FROM theazo.webhooks WHERE status = 'active' ORDER BY id LIMIT 1));
SELECT action, category, tst.mask((summary - 'host')::text) FROM theazo.events WHERE action IN ('webhook_disabled', 'webhook_tested') ORDER BY id;
-- deleted: its secret goes, what is on its way finds no address
SELECT url FROM theazo.webhook_delete(:'w');
SELECT count(*) FROM theazo.secrets WHERE name = 'webhook.' || :'w';
SELECT tst.try(format('SELECT theazo.webhook_get(%L)', :'w'));
SELECT theazo_internal.effect_endpoint(:'p', NULL, 'webhook.' || :'w', 'webhook_out') IS NULL AS nowhere;
ROLLBACK;
-- who may
SELECT tst.try($$SELECT theazo.webhook_list()$$);
SELECT tst.try(format($$SELECT theazo.webhook_create('https://you.example', '{*}', %L)$$, :'reader'));
SELECT tst.try(format($$SELECT theazo.webhook_delete('wh_00000000000000000000000000', %L)$$, :'k'));
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.webhook_create('https://all.example/', '{*}'));
SELECT (theazo.act_as(:'s')).status;
SELECT tst.try($$SELECT theazo.webhook_list()$$);
SELECT count(*) FROM theazo.webhooks;
ROLLBACK;

-- permission requests: asked for, granted in part, merged within the template
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"permissions": "WRITER", "template": "STRICT", "limits": {"maxApiCallsPerRun": 10}}') \gset
SELECT tst.try(format('SELECT theazo.permission_request_create(%L, %L::jsonb, %L, %s)', :'a', p, j, m)) FROM (VALUES ('{}', 'x', '5000'), ('[]', 'x', '5000'), ('{"root": true}', 'x', '5000'),
	('{"scopes": ["everything"]}', 'x', '5000'), ('{"allow_network": false}', 'x', '5000'), ('{"max_api_calls_per_run": -1}', 'x', '5000'), ('{"allow_network": true}', ' ', '5000'), ('{"allow_network": true}', 'x', '5')) v (p, j, m);
SELECT id AS q, number > 0 AND number < 9007199254740992 AS numbered, status, permissions, round(extract(epoch FROM expires_at - requested_at)) AS time FROM theazo.permission_request_create(:'a',
	'{"scopes": ["storage:read", "storage:write"], "max_api_calls_per_run": 90}', 'to keep the report') \gset
SELECT :'numbered', :'status', :'permissions', :'time';
SELECT tst.try(format('SELECT theazo.permission_request_approve(%L, %L::jsonb)', :'q', p)) FROM unnest(ARRAY['{"scopes": ["agents:write"]}', '{"max_api_calls_per_run": 91}', '{"allow_network": true}', '{}']) p;
SELECT status, granted, reason, decided_by IS NOT NULL AS decided FROM theazo.permission_request_approve(:'q', '{"scopes": ["storage:read"], "max_api_calls_per_run": 80}', 'not all of it');
SELECT options -> 'permissions' AS permissions, options -> 'limits' AS limits, options -> 'template' AS template FROM theazo.agents WHERE id = :'a';
SELECT tst.try(format('SELECT theazo.permission_request_deny(%L)', :'q'));
-- more than the template allows
SELECT id AS q FROM theazo.permission_request_create(:'a', '{"max_api_calls_per_run": 5000}', 'much') \gset
SELECT tst.try(format('SELECT theazo.permission_request_approve(%L)', :'q'));
SELECT status FROM theazo.permission_request_deny(:'q', 'too much');
-- the network
SELECT id AS q FROM theazo.permission_request_create(:'a', '{"allow_external_apis": true}', 'to look') \gset
SELECT status FROM theazo.permission_request_approve(:'q');
SELECT options -> 'permissions' AS permissions, options -> 'network' AS network FROM theazo.agents WHERE id = :'a';
-- a limit is never lowered by a request
SELECT id AS q FROM theazo.permission_request_create(:'a', '{"max_api_calls_per_run": 5}', 'less') \gset
SELECT status FROM theazo.permission_request_approve(:'q');
SELECT options -> 'limits' AS limits FROM theazo.agents WHERE id = :'a';
-- no answer in time
SELECT id AS q FROM theazo.permission_request_create(:'a', '{"allow_network": true}', 'to look', 5000) \gset
UPDATE theazo_data.permission_request SET expires_at = clock_timestamp() - interval '1 s' WHERE id = :'q';
SELECT tst.try(format('SELECT theazo.permission_request_approve(%L)', :'q'));
SELECT theazo_internal.keeper_permission_requests(), theazo_internal.keeper_permission_requests();
SELECT tst.try(format('SELECT theazo.permission_request_approve(%L)', :'q'));
SELECT status, count(*) FROM theazo.permission_request_list() GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM theazo.permission_request_list('expired', :'a');
SELECT action, category, decision, permission_state, count(*) FROM theazo.events WHERE action LIKE 'permission\_%' AND summary ? 'request' GROUP BY 1, 2, 3, 4 ORDER BY 1;
-- who may
SELECT tst.try(format('SELECT (theazo.permission_request_get(%L, %L)).status', :'q', :'reader'));
SELECT tst.try(format('SELECT theazo.permission_request_deny(%L, api_key => %L)', :'q', :'reader'));
SELECT tst.try(format('SELECT theazo.permission_request_get(%L, %L)', :'q', :'k2'));
SELECT id AS q FROM theazo.permission_request_create(:'a', '{"allow_network": true}', 'to look', api_key => :'k') \gset
SELECT theazo.authenticate(:'k');
SELECT (theazo.act_as(:'s')).status;
SELECT tst.try(format('SELECT theazo.permission_request_approve(%L)', :'q'));
ROLLBACK;
