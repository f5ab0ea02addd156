\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k, test AS kt FROM tst.platform('Pool') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT id AS st FROM theazo.session_create('user-1', api_key => :'kt') \gset
SELECT name FROM theazo.secret_set('api-key', 'top-secret', api_key => :'k');
-- the keeper's turn; shows what this platform's pool is then
CREATE FUNCTION tst.pool() RETURNS TABLE (status text, n bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.keeper_pool();
	RETURN QUERY SELECT s.status, count(*) FROM theazo_data.sandbox s JOIN theazo_data.platform p USING (platform_id)
		WHERE p.name = 'Pool' AND s.agent_id IS NULL GROUP BY 1 ORDER BY 1;
END $$;
CREATE FUNCTION tst.waited(p_seconds int) RETURNS void LANGUAGE sql AS $$
	UPDATE theazo_data.sandbox SET created_at = created_at - p_seconds * interval '1 s', started_at = started_at - p_seconds * interval '1 s',
		billed_until = billed_until - p_seconds * interval '1 s', ended_at = ended_at - p_seconds * interval '1 s'
	 WHERE platform_id IN (SELECT platform_id FROM theazo_data.platform WHERE name = 'Pool');
$$;

-- made ahead, for nobody; given to whoever comes and is like it, without another creation; another one is made
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "theazo", "warmPool": 2, "instructions": "Help."}') \gset
SELECT * FROM tst.pool();
SELECT kind, adapter FROM tst.claim();
SELECT request -> 'env' ? 'THEAZO_AGENT_ID' AS agent, request ? 'tag' AS tagged, count(*) FROM tst.claimed GROUP BY 1, 2;
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-w", "isolation": "full"}', p_ms => 0);
SELECT * FROM tst.pool();
SELECT tst.waited(90);
SELECT id AS a, status, sandbox_id AS b FROM theazo.agent_create(:'s', json_build_object('definition', :'d')::jsonb) \gset
SELECT :'status';
SELECT status, external_id, agent_id = :'a' AS agent, session_id = :'s' AS session FROM theazo.sandboxes WHERE id = :'b';
SELECT count(*) FROM theazo_data.effect WHERE kind = 'compute.create' AND sandbox_id = :'b';
SELECT options ? 'warmPool' AS option FROM theazo.agent_get(:'a');
-- up to then the platform has paid, without session and user; the second in which it is given away is the session's
SELECT session_id IS NULL AS platform, user_id, sum(quantity), sum(cents) > 0 AS paid FROM theazo.charges WHERE item = 'compute.second' GROUP BY 1, 2;
SELECT * FROM tst.pool();
-- whose it is programs are told with each exec, with the secrets that are theirs
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true', env => '{"MINE": "1"}') \gset
SELECT kind FROM tst.claim() WHERE kind = 'compute.exec';
SELECT request -> 'env' = jsonb_build_object('MINE', '1', 'THEAZO_AGENT_ID', :'a', 'THEAZO_SESSION_ID', :'s') AS env FROM tst.claimed WHERE kind = 'compute.exec';
SELECT action, count(*) FROM theazo.events WHERE action LIKE 'sandbox\_%' GROUP BY 1 ORDER BY 1;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- who is not like it gets one of its own
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "theazo", "warmPool": 1}') \gset
SELECT * FROM tst.pool();
SELECT tst.boot();
SELECT o, (theazo.agent_create(:'s', jsonb_build_object('definition', :'d') || o::jsonb)).status
  FROM unnest(ARRAY['{"compute": "node"}', '{"network": {"enabled": true}}', '{"limits": {"maxMemoryMb": 128}}', '{"maxDuration": "1h"}']) o;
SELECT (theazo.agent_create(:'s')).status;
SELECT (theazo.agent_create(:'st', jsonb_build_object('definition', :'d'), api_key => :'kt')).status;
SELECT theazo.authenticate(:'k');
SELECT (theazo.agent_create(:'s', jsonb_build_object('definition', :'d', 'instructions', 'Other words.'))).status;
ROLLBACK;

-- a run or an exec that needs a sandbox finds it at once
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "theazo", "warmPool": 1}') \gset
SELECT id AS a FROM theazo.agent_create(:'s', jsonb_build_object('definition', :'d')) \gset
SELECT tst.boot();
SELECT theazo_internal.sandbox_lost(:'p', sandbox_id, 'it died', clock_timestamp()) FROM theazo.agent_get(:'a');
SELECT * FROM tst.pool();
SELECT tst.boot();
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT kind FROM tst.claim();
SELECT status FROM theazo.run_get(:'r');
ROLLBACK;

-- fewer wanted, none wanted, another version, deleted, halted: what waits ends, and is booked
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "theazo", "warmPool": 3}') \gset
SELECT * FROM tst.pool();
SELECT tst.boot();
SELECT tst.waited(10);
SELECT version FROM theazo.definition_update(:'d', '{"warmPool": 1}');
SELECT * FROM tst.pool();
SELECT version FROM theazo.definition_update(:'d', '{"compute": "node"}');
SELECT * FROM tst.pool();
SELECT tst.boot();
SELECT tst.settle('compute.destroy', 'done');
SELECT tst.waited(10);
SELECT id IS NOT NULL AS halted FROM theazo.halt('enough');
SELECT * FROM tst.pool();
SELECT sum(quantity) >= 30 AS booked, bool_and(session_id IS NULL AND agent_id IS NULL) AS platform FROM theazo.charges WHERE item = 'compute.second';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "theazo", "warmPool": 2}') \gset
SELECT * FROM tst.pool();
SELECT tst.waited(10);
SELECT FROM theazo.definition_delete(:'d');
-- not sent yet, so never made
SELECT * FROM tst.pool();
SELECT count(*) FROM tst.claim();
ROLLBACK;

-- could not be made: not again at once
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "theazo", "warmPool": 1}') \gset
SELECT * FROM tst.pool();
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'failed', '{"code": "provider_error", "sqlstate": "TZ402", "message": "full"}');
SELECT * FROM tst.pool();
SELECT tst.waited(70);
SELECT * FROM tst.pool();
-- its dispatcher is gone: it is lost, and replaced
SELECT tst.boot();
SELECT theazo_internal.sandbox_lost(:'p', id, 'its dispatcher is gone', NULL) FROM theazo.sandboxes WHERE status = 'warm';
SELECT * FROM tst.pool();
ROLLBACK;

-- a budget that is used up makes nothing ahead, and one that is nearly reserves for what waits
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "theazo", "warmPool": 1}') \gset
SELECT FROM theazo.budget_set(1);
SELECT * FROM tst.pool();
SELECT * FROM tst.claim();
SELECT held > 0 AS held, session_id, agent_id FROM theazo_data.reservation WHERE platform_id = :'p';
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-w"}', p_ms => 0);
SELECT theazo_internal.keeper_minutes() >= 0;
SELECT status FROM theazo.sandboxes;
-- its next minutes cannot be paid any more
SELECT tst.waited(600);
SELECT theazo_internal.keeper_minutes() >= 0;
SELECT status FROM theazo.sandboxes;
SELECT count(*) FROM theazo_data.reservation WHERE platform_id = :'p';
SELECT theazo_internal.keeper_pool() >= 0;
SELECT count(*) FROM theazo.sandboxes;
ROLLBACK;

-- on one's own machines the fee of whoever will get it is held as long as it waits, and booked out of that
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://one.example');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "mine", "warmPool": 1}') \gset
SELECT FROM theazo.budget_set(3);
SELECT * FROM tst.pool();
SELECT tst.boot();
SELECT id AS b FROM theazo.sandboxes WHERE status = 'warm' \gset
SELECT held, session_id, id = :'b' AS own FROM theazo_data.reservation WHERE platform_id = :'p';
-- as long as it waits
SELECT theazo_internal.keeper_minutes() + theazo_internal.keeper_reservations() >= 0;
SELECT level, spent, reserved, remaining FROM theazo.budget_status;
-- a session with a limit of its own goes the usual way: there a dispatcher reserves
SELECT id AS s3 FROM theazo.session_create('user-3', limits => '{"maxCost": {"amount": 100, "period": "month"}}') \gset
SELECT (theazo.agent_create(:'s3', jsonb_build_object('definition', :'d'))).status;
SELECT id AS a, status FROM theazo.agent_create(:'s', jsonb_build_object('definition', :'d')) \gset
SELECT :'status';
SELECT cents, agent_id = :'a' AS agent FROM theazo.charges WHERE item = 'agent.fee';
SELECT spent, reserved, remaining FROM theazo.budget_status;
-- the next one's cannot be had
SELECT * FROM tst.pool();
SELECT * FROM tst.claim();
SELECT kind, count(*) FROM theazo_data.effect WHERE held_reason = 'refused' GROUP BY 1;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
-- set later: held with the keeper's next turn, and until then nobody gets it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://one.example');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "mine", "warmPool": 1}') \gset
SELECT * FROM tst.pool();
SELECT tst.boot();
SELECT FROM theazo.budget_set(3);
SELECT (theazo.agent_create(:'s', jsonb_build_object('definition', :'d'))).status;
SELECT theazo_internal.keeper_minutes() >= 0;
SELECT held, need FROM theazo_data.reservation WHERE platform_id = :'p';
SELECT (theazo.agent_create(:'s', jsonb_build_object('definition', :'d'))).status;
ROLLBACK;
-- minutes of managed ones go along, and count within the limit of the session that gets one
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"provider": "theazo", "warmPool": 1}') \gset
SELECT FROM theazo.budget_set(3);
SELECT * FROM tst.pool();
SELECT tst.boot();
SELECT id AS s3 FROM theazo.session_create('user-3', limits => '{"maxCost": {"amount": 1, "period": "month"}}') \gset
SELECT held AS h FROM theazo_data.reservation WHERE platform_id = :'p' \gset
UPDATE theazo_data.reservation SET held = 1000001 WHERE platform_id = :'p';
SELECT (theazo.agent_create(:'s3', jsonb_build_object('definition', :'d'))).status;
UPDATE theazo_data.reservation SET held = :h WHERE platform_id = :'p';
SELECT id AS s4 FROM theazo.session_create('user-4', limits => '{"maxCost": {"amount": 1, "period": "month"}}') \gset
SELECT id AS a, status FROM theazo.agent_create(:'s4', jsonb_build_object('definition', :'d')) \gset
SELECT :'status';
SELECT held > 0 AS held, session_id = :'s4' AS session, user_id, agent_id = :'a' AS agent FROM theazo_data.reservation WHERE platform_id = :'p' AND agent_id = :'a';
ROLLBACK;

-- what is refused
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.try($$SELECT theazo.definition_create('x', '{"warmPool": 101}')$$);
SELECT tst.try($$SELECT theazo.definition_create('x', '{"warmPool": "two"}')$$);
SELECT tst.try(format($$SELECT theazo.agent_create(%L, '{"warmPool": 1}')$$, :'s'));
ROLLBACK;
