\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Operator') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
-- why an effect waits
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SET LOCAL ROLE theazo_operator;
SELECT kind, state, waiting FROM theazo.effects WHERE platform_id = :'p' AND kind = 'compute.exec';
RESET ROLE;
SELECT theazo_internal.effect_waiting('held', now(), NULL, 'unknown kind', NULL, 'x'), theazo_internal.effect_waiting('done', now(), NULL, NULL, NULL, 'x'),
	theazo_internal.effect_waiting('sent', now(), NULL, NULL, 5, 'x'), theazo_internal.effect_waiting('queued', now(), NULL, NULL, NULL, 'x');
ROLLBACK;
-- what the machine offers
BEGIN;
DELETE FROM theazo_data.preflight;
SET LOCAL ROLE theazo_worker;
SELECT theazo_internal.preflight_store('namespaces', '[{"name": "user namespaces", "ok": true, "found": "yes", "hint": ""}, {"name": "cgroup", "ok": false, "found": "read-only", "hint": "delegate one"}]') \gset
SELECT theazo_internal.preflight_store('full', '[{"name": "user namespaces", "ok": true, "found": "yes", "hint": ""}, {"name": "cgroup", "ok": false, "found": "read-only", "hint": "delegate one"}]') \gset
RESET ROLE;
SELECT mode, name, ok, found, hint, is_current FROM theazo.sandbox_preflight ORDER BY name;
-- connections of sandboxes
SET LOCAL ROLE theazo_worker;
SELECT theazo_internal.connection_record(:'p', NULL, 'sbx_00000000000000000000000000', 'agt_00000000000000000000000000', '', E'exa\nmple.org', 443, '10.0.0.1', false, 'private address') \gset
RESET ROLE;
SELECT level, source, message, metadata FROM theazo_data.log WHERE platform_id = :'p' ORDER BY id;
SELECT category, action, decision, is_violation, convert_from(body, 'UTF8')::jsonb -> 'summary' FROM theazo_data.event WHERE platform_id = :'p' AND action = 'connection';
ROLLBACK;
-- the checker finds what no constraint can hold
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}', p_ms => 1200);
SELECT rule FROM theazo.integrity_check() WHERE platform_id = :'p';
UPDATE theazo_data.charge SET quantity = quantity + 1, amount = amount + 1 WHERE run_id = :'r';
UPDATE theazo_data.run SET status = 'running' WHERE id = :'r';
DELETE FROM theazo_data.run_payload WHERE root_id = substr(:'r', 5);
UPDATE theazo_data.agent SET status = 'running' WHERE id = :'a';
SELECT rule FROM theazo.integrity_check() WHERE platform_id = :'p' ORDER BY 1;
UPDATE theazo_data.run SET status = 'completed', agent_id = 'agt_00000000000000000000000000' WHERE id = :'r';
UPDATE theazo_data.effect SET state = 'sent' WHERE run_id = :'r';
INSERT INTO theazo_data.charge SELECT c.platform_id, theazo_internal.id_floor('2001-01-01+00'), c.id, c.environment, c.session_id, c.agent_id, c.run_id, c.user_id, c.effect_id, c.sandbox_id, c.item, c.quantity,
	c.amount, c.currency, c.payer, c.provider, c.model, c.input_tokens, c.cached_tokens, c.output_tokens, c.estimated, c.interval_start, c.interval_end, c.occurred_at FROM theazo_data.charge c WHERE c.run_id = :'r';
SELECT rule FROM theazo.integrity_check() WHERE platform_id = :'p' ORDER BY 1;
DROP INDEX theazo_data.run_default_open_idx;
SELECT rule, object, detail FROM theazo.integrity_check() WHERE platform_id IS NULL;
ROLLBACK;
SET ROLE theazo_app;
SELECT tst.code($$SELECT theazo.integrity_check()$$), tst.code($$TABLE theazo.workers$$), tst.code($$TABLE theazo.sandbox_preflight$$), tst.code($$TABLE theazo.held_effects$$), tst.code($$TABLE theazo.operator_partitions$$);
RESET ROLE;
SET ROLE theazo_operator;
SELECT tst.code($$SELECT theazo.integrity_check()$$), tst.code($$TABLE theazo.workers$$), tst.code($$TABLE theazo.sandbox_preflight$$), tst.code($$TABLE theazo.held_effects$$), tst.code($$TABLE theazo.operator_partitions$$);
RESET ROLE;
