\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
-- Webhooks: changing them, their keys, how many deliveries at once, what became of each, and when nobody listens any more.
SELECT platform AS p, live AS k, test AS t FROM tst.platform('Set') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Other') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s FROM theazo.session_create('user-1') \gset
SELECT key AS reader FROM theazo.api_key_create('reader', scopes => '{webhook:read}') \gset
SELECT id AS w, secret AS first FROM theazo.webhook_create('https://you.example/hook', '{webhook.test,approval.requested}') \gset
COMMIT;
CREATE FUNCTION tst.deliveries() RETURNS TABLE (event text, status text, attempts int, waits boolean, last_error text, http_status int, tries text) LANGUAGE sql AS $$
	SELECT d.event, d.status, d.attempts, d.next_attempt_at IS NOT NULL, d.last_error, d.http_status, (SELECT string_agg(tst.mask((h - 'ms')::text), ' ') FROM jsonb_array_elements(d.history) h)
	  FROM theazo.webhook_deliveries d ORDER BY d.id
$$;

-- what can be changed, and what not
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT url, events, status, max_in_flight, secret = left(:'first', 10) || '…' AS same FROM theazo.webhook_update(:'w', url => 'https://you.example/other', events => '{*}', max_in_flight => 3);
SELECT url, events, status, max_in_flight FROM theazo.webhook_update(:'w');
SELECT tst.try(format('SELECT theazo.webhook_update(%L, %s)', :'w', x)) FROM unnest(ARRAY['url => ''ftp://x''', 'url => ''http://169.254.169.254/x''', 'events => ''{}''', 'events => ''{nothing}''', 'max_in_flight => 0', 'max_in_flight => 1001']) x;
SELECT tst.try($$SELECT theazo.webhook_update('wh_00000000000000000000000000', active => false)$$);
SELECT tst.try(format('SELECT theazo.webhook_update(%L, active => false, api_key => %L)', :'w', k)) FROM unnest(ARRAY[:'reader', :'k2', :'t']) k;
SELECT theazo.authenticate(:'k');
SELECT action, tst.mask(summary::text) FROM theazo.events WHERE action = 'webhook_updated' ORDER BY id;
ROLLBACK;

-- off: what waits is dropped and nothing is queued; on again
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{}');
SELECT status, disabled_reason, disabled_at IS NOT NULL AS at FROM theazo.webhook_update(:'w', active => false);
SELECT status, disabled_reason FROM theazo.webhook_update(:'w', active => false);
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{}');
SELECT * FROM tst.deliveries();
SELECT tst.try(format('SELECT theazo.webhook_redeliver(%L)', id)) FROM theazo.webhook_deliveries;
SELECT status, disabled_reason, disabled_at FROM theazo.webhook_update(:'w', active => true);
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{}');
SELECT action, category, tst.mask(summary::text) FROM theazo.events WHERE action IN ('webhook_disabled', 'webhook_updated') ORDER BY id;
ROLLBACK;

-- another key: shown once, and for a while both are opened; then the old one goes
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.try(format('SELECT theazo.webhook_rotate(%L, %L)', :'w', o)) FROM unnest(ARRAY['-1 s', '31 days']::interval[]) o;
SELECT secret AS second, round(extract(epoch FROM previous_until - clock_timestamp()) / 3600) AS hours FROM theazo.webhook_rotate(:'w') \gset
SELECT :'second' ~ '^whsec_[A-Za-z0-9+/]{43}=$' AS whole, :'second' <> :'first' AS another, :hours;
SELECT count(*) FROM theazo.secrets WHERE name LIKE 'webhook.%';
SELECT tst.try(format('SELECT theazo.secret_delete(%L)', 'webhook.' || :'w'));
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{}');
SELECT count(*) FROM tst.claim();
SELECT s.use, replace(s.name, :'w', 'it') FROM tst.claimed c CROSS JOIN LATERAL theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) s ORDER BY 1;
SELECT count(theazo.webhook_rotate(:'w', '0 s'));
SELECT replace(name, :'w', 'it') FROM theazo.secrets WHERE name LIKE 'webhook.%' ORDER BY 1;
SELECT theazo_internal.effect_endpoint(:'p', NULL, 'webhook.' || :'w', 'webhook_out') ? 'previous_ref' AS both;
SELECT theazo_internal.keeper_webhooks();
UPDATE theazo_data.webhook SET previous_until = clock_timestamp() - interval '61 minutes' WHERE id = :'w';
SELECT theazo_internal.keeper_webhooks(), theazo_internal.keeper_webhooks();
SELECT replace(name, :'w', 'it') FROM theazo.secrets WHERE name LIKE 'webhook.%' ORDER BY 1;
SELECT action, tst.mask(summary::text) FROM theazo.events WHERE action = 'webhook_rotated' ORDER BY id;
SELECT count(*) FROM theazo.events e WHERE e::text LIKE '%whsec_%';
ROLLBACK;

-- no more at once than it says, over all dispatchers; the oldest first
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT max_in_flight FROM theazo.webhook_update(:'w', max_in_flight => 2);
SELECT id AS w2 FROM theazo.webhook_create('https://you.example/second', '{approval.requested}') \gset
SELECT sum(theazo_internal.notify(:'p', 'live', 'approval.requested', to_jsonb(i))) FROM generate_series(1, 5) i;
SELECT count(*) FROM tst.claim(0, 7, 100);
SELECT replace(replace(endpoint ->> 'provider', :'w2', 'second'), :'w', 'first') AS hook, convert_from(content, 'UTF8')::jsonb -> 'data' AS data FROM tst.claimed ORDER BY 1, 2;
SELECT count(*) FROM theazo_internal.effect_claim(1, 8, 100, '60 s');
-- one of the first webhook arrives: one more leaves
DELETE FROM tst.claimed WHERE endpoint ->> 'provider' = :'w2' OR convert_from(content, 'UTF8')::jsonb -> 'data' <> '1';
SELECT tst.settle('webhook.deliver', 'done', '{"status": 200}');
SELECT count(*) FROM tst.claim(1, 8);
SELECT convert_from(content, 'UTF8')::jsonb -> 'data' AS data FROM tst.claimed;
-- one that failed is due later; when it is and there is no place, it waits in its lane
SELECT tst.settle('webhook.deliver', 'retry', '{"message": "answered 500", "http_status": 500}');
SELECT count(*) FROM tst.claim(1, 8);
SELECT tst.due();
SELECT count(*) FROM tst.claim(1, 8);
SELECT state, due_at = 'infinity' AS lane, attempt, count(*) FROM theazo_data.effect WHERE provider_name = 'webhook.' || :'w' GROUP BY 1, 2, 3 ORDER BY 1, 3;
SELECT status, attempts, waits, count(*) FROM tst.deliveries() GROUP BY 1, 2, 3 ORDER BY 1, 2;
-- half of a claim at most goes to lanes while other work is due, and all of it once there is none
SELECT max_in_flight FROM theazo.webhook_update(:'w', max_in_flight => 1000);
SELECT sum(theazo_internal.notify(:'p', 'live', 'webhook.test', to_jsonb(i))) FROM generate_series(1, 20) i;
SELECT count(theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop')) FROM generate_series(1, 10) i;
SELECT count(*) FROM tst.claim(0, 7, 8);
SELECT kind, count(*) FROM tst.claimed GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM tst.claim(0, 7, 100);
ROLLBACK;

-- what became of each attempt
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.notify(:'p', 'live', 'approval.requested', '{}'), theazo_internal.notify(:'p', 'live', 'webhook.test', '{}');
SELECT count(*) FROM tst.claim();
DELETE FROM tst.claimed WHERE request ->> 'type' = 'webhook.test';
SELECT tst.settle('webhook.deliver', 'retry', '{"message": "answered 503 Bearer abcdefghijkl", "http_status": 503, "retry_after_ms": 60000}');
SELECT failing_since IS NOT NULL AS failing, failures, last_error FROM theazo.webhooks WHERE id = :'w';
SELECT * FROM tst.deliveries();
SELECT tst.due();
SELECT count(*) FROM tst.claim();
SELECT tst.settle('webhook.deliver', 'done', '{"status": 204}');
SELECT failing_since IS NOT NULL AS failing, failures FROM theazo.webhooks WHERE id = :'w';
SELECT * FROM tst.deliveries();
SELECT event, status FROM theazo.webhook_delivery_list(:'w', 'delivered');
SELECT count(*) FROM theazo.webhook_delivery_list(max_rows => 1);
SELECT count(*) FROM theazo.webhook_delivery_list(before => (SELECT max(id) FROM theazo.webhook_deliveries));
SELECT tst.try($$SELECT count(*) FROM theazo.webhook_delivery_list(max_rows => 0)$$);
SELECT tst.try($$SELECT count(*) FROM theazo.webhook_delivery_list('wh_00000000000000000000000000')$$);
-- once more, as it was: same event, same body
SELECT id AS d FROM theazo.webhook_deliveries WHERE status = 'delivered' \gset
SELECT event, status, attempts, id <> :'d' AS another FROM theazo.webhook_redeliver(:'d');
SELECT count(DISTINCT event_id), count(*) FROM theazo.webhook_deliveries WHERE event = 'approval.requested';
SELECT count(DISTINCT p.content) FROM theazo_data.effect_payload p JOIN theazo.webhook_deliveries d ON d.id = p.id WHERE d.event = 'approval.requested';
SELECT tst.try(format('SELECT theazo.webhook_redeliver(%L)', id)) FROM theazo.webhook_deliveries WHERE status = 'waiting';
SELECT tst.try($$SELECT theazo.webhook_redeliver('eff_00000000000000000000000000')$$);
SELECT tst.try(format('SELECT theazo.webhook_redeliver(%L, %L)', :'d', :'k2'));
SELECT theazo.authenticate(:'k');
SELECT action, tst.mask(summary::text) FROM theazo.events WHERE action = 'webhook_redelivered' ORDER BY id;
ROLLBACK;

-- nothing has arrived for days: disabled, and the others hear of it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.webhook_create('https://you.example/second', '{webhook.disabled}'));
SELECT sum(theazo_internal.notify(:'p', 'live', 'approval.requested', '{}')) FROM generate_series(1, 3);
SELECT max_in_flight FROM theazo.webhook_update(:'w', max_in_flight => 1);
SELECT count(*) FROM tst.claim();
SELECT tst.settle('webhook.deliver', 'retry', '{"message": "answered 500", "http_status": 500}');
UPDATE theazo_data.webhook SET failing_since = clock_timestamp() - theazo_internal.webhook_patience() + interval '1 minute' WHERE id = :'w';
SELECT count(*) FROM tst.claim();
SELECT tst.settle('webhook.deliver', 'retry', '{"message": "answered 500", "http_status": 500}');
SELECT status FROM theazo.webhooks WHERE id = :'w';
UPDATE theazo_data.webhook SET failing_since = clock_timestamp() - theazo_internal.webhook_patience() - interval '1 minute' WHERE id = :'w';
SELECT count(*) FROM tst.claim();
SELECT tst.settle('webhook.deliver', 'retry', '{"message": "answered 500", "http_status": 500}');
SELECT status, disabled_reason, failures FROM theazo.webhooks WHERE id = :'w';
SELECT event, status, attempts FROM tst.deliveries();
SELECT action, category, tst.mask(summary::text) FROM theazo.events WHERE action IN ('webhook_disabled', 'webhook_given_up') ORDER BY id;
SELECT status, failing_since FROM theazo.webhook_update(:'w', active => true);
ROLLBACK;
-- one user's key changes nothing here
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT (theazo.act_as(:'s')).status;
SELECT tst.try(format('SELECT theazo.webhook_%s(%L)', f, :'w')) FROM unnest(ARRAY['update', 'rotate', 'delivery_list']) f;
ROLLBACK;
