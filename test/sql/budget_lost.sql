\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
-- What is reserved where a worker dies, or a run ends before its call: nothing is booked that was not reserved.
-- 10 percent on 100 and 1000 cents a million tokens: 110 and 1100 millionths of a cent a token.
SELECT platform AS p, live AS k FROM tst.platform('Lost') \gset
\set opts '{"model": "dear", "tools": [], "config": {"maxTokens": 50}}'
CREATE FUNCTION tst.money(platform text) RETURNS TABLE (charges bigint, spent bigint, reservations bigint, within boolean) LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM theazo_data.charge c WHERE c.platform_id = platform),
		(SELECT coalesce(sum(c.amount), 0) FROM theazo_data.charge c WHERE c.platform_id = platform),
		(SELECT count(*) FROM theazo_data.reservation x WHERE x.platform_id = platform),
		(SELECT bool_and(l.used + l.held <= l.max) FROM theazo_internal.budget_levels(platform, 'live', NULL, 'user', now()) l)
$$;
CREATE FUNCTION tst.stands(run text) RETURNS TABLE (status text, sqlstate text, effect text, attempt int, mark text) LANGUAGE sql AS $$
	SELECT r.status, r.error_sqlstate, e.state, e.attempt, e.held_reason FROM theazo_data.run r
	  JOIN theazo_data.effect e ON e.platform_id = r.platform_id AND e.root_id = substr(r.id, 5) WHERE r.id = run ORDER BY e.id
$$;
-- as late as the keeper wants it
CREATE FUNCTION tst.later() RETURNS void LANGUAGE sql AS $$ UPDATE theazo_data.reservation SET made_at = made_at - '1 minute'::interval $$;

-- a worker refuses a call and dies before it has said so: the call never left, nothing is booked, and it is refused again
BEGIN;
SELECT theazo.authenticate(:'k') IS NULL AS x \gset
SELECT name FROM theazo.operator_provider_set('lost', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1') \gset
SELECT model AS x FROM theazo.model_price_set('dear', input => 100, output => 1000) \gset
SELECT id AS s FROM theazo.session_create('user') \gset
SELECT theazo.budget_set(0.001) IS NULL AS x \gset
SELECT (theazo.session_run(:'s', NULL, 'hi', :'opts')).id AS r \gset
SELECT kind, attempt FROM tst.claim();
SELECT refusal ->> 'sqlstate' FROM tst.claimed;
SELECT * FROM tst.stands(:'r');
SELECT theazo_internal.leases_reclaim('{}') > 0;
SELECT * FROM tst.stands(:'r');
SELECT * FROM tst.money(:'p');
SELECT kind, attempt FROM tst.claim();
SELECT tst.settle('model.call', 'failed', refusal) FROM tst.claimed;
SELECT * FROM tst.stands(:'r');
SELECT * FROM tst.money(:'p');
-- cancelled meanwhile, or held by a copy of the database: neither
SELECT (theazo.session_run(:'s', NULL, 'hi', :'opts')).id AS r \gset
SELECT kind, attempt FROM tst.claim();
SELECT status FROM theazo.run_cancel(:'r');
SELECT theazo_internal.leases_reclaim('{}') > 0;
SELECT * FROM tst.stands(:'r');
SELECT (theazo.session_run(:'s', NULL, 'hi', :'opts')).id AS r \gset
SELECT kind, attempt FROM tst.claim();
UPDATE theazo_data.effect SET instance = '1:1' WHERE run_id = :'r';
SELECT theazo_internal.effects_hold() > 0;
SELECT on_release FROM theazo.held_effects WHERE run_id = :'r';
SELECT theazo.effects_release() > 0;
SELECT * FROM tst.stands(:'r');
-- its settlement throws
SELECT kind, attempt FROM tst.claim();
SELECT theazo_internal.effect_broken(platform_id, root_id, id, attempt, 'broken') FROM tst.claimed;
SELECT * FROM tst.stands(:'r');
SELECT * FROM tst.money(:'p');
-- where it is paid after all, its worker's death is an outcome nobody knows again
SELECT (theazo.session_run(:'s', NULL, 'hi', :'opts')).id AS r \gset
SELECT kind, attempt FROM tst.claim();
SELECT theazo_internal.leases_reclaim('{}') > 0;
SELECT theazo.budget_set(10) IS NULL AS x \gset
SELECT kind, attempt FROM tst.claim();
SELECT refusal FROM tst.claimed;
SELECT theazo_internal.leases_reclaim('{}') > 0;
SELECT * FROM tst.stands(:'r');
SELECT charges, spent > 0, reservations, within FROM tst.money(:'p');
ROLLBACK;

-- a run that is ended while its call is under way: what is reserved for that stays until it is settled
BEGIN;
SELECT theazo.authenticate(:'k') IS NULL AS x \gset
SELECT name FROM theazo.operator_provider_set('lost', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1') \gset
SELECT model AS x FROM theazo.model_price_set('dear', input => 100, output => 1000) \gset
SELECT id AS s FROM theazo.session_create('user') \gset
SELECT theazo.budget_set(10) IS NULL AS x \gset
SELECT (theazo.session_run(:'s', NULL, 'hi', :'opts')).id AS r \gset
SELECT kind, attempt FROM tst.claim();
SELECT need AS need FROM theazo_data.reservation WHERE id = :'r' \gset
SELECT theazo.kill(:'r', 'enough') IS NULL AS x \gset
SELECT theazo_internal.halt_run(:'p', :'r');
SELECT status, error_sqlstate FROM theazo_data.run WHERE id = :'r';
SELECT need = :need, held >= need FROM theazo_data.reservation WHERE id = :'r';
SELECT tst.later() AS x \gset
SELECT theazo_internal.keeper_reservations() IS NULL AS x \gset
SELECT count(*) FROM theazo_data.reservation WHERE id = :'r';
SELECT tst.settle('model.call', 'cancelled', '{"maybe_sent": true, "usage": {"input": 20, "output": 50}}');
SELECT * FROM tst.money(:'p');
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- so does what is set aside for a question to a judge
BEGIN;
SELECT theazo.authenticate(:'k') IS NULL AS x \gset
SELECT name FROM theazo.operator_provider_set('lost', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1') \gset
SELECT model AS x FROM theazo.model_price_set('dear', input => 100, output => 1000) \gset
SELECT id AS s FROM theazo.session_create('user') \gset
SELECT (theazo.session_run(:'s', NULL, 'hi', '{"model": "dear", "tools": []}')).id AS r \gset
UPDATE theazo_data.effect SET state = 'sent', kind = 'safety.judge' WHERE run_id = :'r' RETURNING id AS e \gset
INSERT INTO theazo_data.reservation (platform_id, id, environment, session_id, user_id, agent_id, held, need)
SELECT x.platform_id, :'e', 'live', x.session_id, 'user', x.agent_id, 5, 5 FROM theazo_data.run x WHERE x.id = :'r';
SELECT tst.later() AS x \gset
SELECT theazo_internal.keeper_reservations() IS NULL AS x \gset
SELECT count(*) FROM theazo_data.reservation WHERE id = :'e';
UPDATE theazo_data.effect SET state = 'done' WHERE run_id = :'r';
SELECT theazo_internal.keeper_reservations() IS NULL AS x \gset
SELECT count(*) FROM theazo_data.reservation WHERE id = :'e';
ROLLBACK;

-- and the fee of an agent whose machine is still being made
BEGIN;
SELECT theazo.authenticate(:'k') IS NULL AS x \gset
SELECT name FROM theazo.operator_provider_set('lost', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1') \gset
SELECT model AS x FROM theazo.model_price_set('dear', input => 100, output => 1000) \gset
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://mine.example') \gset
SELECT id AS s FROM theazo.session_create('user') \gset
SELECT theazo.budget_set(10) IS NULL AS x \gset
SELECT r.id AS r, r.agent_id AS a FROM theazo.session_run(:'s', NULL, 'hi', '{"model": "dear", "tools": ["run_code"], "config": {"maxTokens": 50}}') r \gset
SELECT kind, attempt FROM tst.claim();
SELECT tst.settle('model.call', 'done', '{"text": "", "stop": "tool_use", "wire": "{}", "usage": {"input": 20, "output": 50},
	"tool_calls": [{"id": "c1", "name": "run_code", "arguments": {"language": "python", "code": "1"}}]}');
SELECT kind, attempt FROM tst.claim();
SELECT theazo.kill(:'r', 'enough') IS NULL AS x \gset
SELECT theazo_internal.halt_run(:'p', :'r');
SELECT tst.later() AS x \gset
SELECT theazo_internal.keeper_reservations() IS NULL AS x \gset
SELECT held FROM theazo_data.reservation WHERE id = :'a';
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-1", "isolation": "full"}');
SELECT item, amount FROM theazo_data.charge WHERE platform_id = :'p' ORDER BY item;
SELECT sum(held) FROM theazo_data.reservation WHERE platform_id = :'p';
ROLLBACK;
