\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Checkpoint') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://one.example', priority => 10, api_key => :'k');
SELECT name FROM theazo.provider_set('other', type => 'webhook', endpoint => 'https://two.example', priority => 20, api_key => :'k');
-- as if webhooks had what their contract lacks: until the transaction ends
CREATE FUNCTION tst.capable() RETURNS void LANGUAGE plpgsql AS $f$
DECLARE o text; k text;
BEGIN
	SELECT string_agg(format('(%L, %L, %L, NULL::text)', x.type, x.operation, CASE WHEN x.operation IN ('renew', 'snapshot', 'forget') THEN 'native' ELSE x.support END), ',')
	  INTO o FROM theazo_internal.compute_operations() x WHERE x.type IN ('webhook', 'local');
	SELECT string_agg(format('(%L, %L, %s::int2, %L)', x.adapter, x.kind, x.contract, x.recovery), ',')
	  INTO k FROM (SELECT * FROM theazo_internal.effect_kinds() UNION SELECT 'webhook', 'compute.' || u, 1::int2, 'repeat' FROM unnest('{renew,snapshot,forget}'::text[]) u) x;
	EXECUTE 'CREATE OR REPLACE FUNCTION theazo_internal.compute_operations() RETURNS TABLE (type text, operation text, support text, note text) LANGUAGE sql IMMUTABLE AS $$ VALUES ' || o || '$$';
	EXECUTE 'CREATE OR REPLACE FUNCTION theazo_internal.effect_kinds() RETURNS TABLE (adapter text, kind text, contract smallint, recovery text) LANGUAGE sql IMMUTABLE AS $$ VALUES ' || k || '$$';
END $f$;
CREATE FUNCTION tst.back(p_seconds int) RETURNS void LANGUAGE sql AS $$
	UPDATE theazo_data.agent SET created_at = created_at - p_seconds * interval '1 s', paused_at = paused_at - p_seconds * interval '1 s', resumed_at = resumed_at - p_seconds * interval '1 s'
	 WHERE platform_id IN (SELECT platform_id FROM theazo_data.platform WHERE name = 'Checkpoint');
	UPDATE theazo_data.run SET ended_at = ended_at - p_seconds * interval '1 s' WHERE platform_id IN (SELECT platform_id FROM theazo_data.platform WHERE name = 'Checkpoint');
	UPDATE theazo_data.checkpoint SET created_at = created_at - p_seconds * interval '1 s' WHERE platform_id IN (SELECT platform_id FROM theazo_data.platform WHERE name = 'Checkpoint');
	UPDATE theazo_data.sandbox SET started_at = started_at - p_seconds * interval '1 s', billed_until = billed_until - p_seconds * interval '1 s',
		renew_at = renew_at - p_seconds * interval '1 s', expires_at = expires_at - p_seconds * interval '1 s'
	 WHERE platform_id IN (SELECT platform_id FROM theazo_data.platform WHERE name = 'Checkpoint');
$$;

-- a provider that can pause: asleep for a moment, its agent is not; work that comes meanwhile waits for that and no longer
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT phase, progress, metadata, automatic, files, snapshot_id ~ '^snap_' AS snapshot FROM theazo.checkpoint_create(:'a', 'reading', 40.5, '{"page": 3}');
SELECT status FROM theazo.agent_get(:'a');
SELECT status FROM theazo.sandboxes;
SELECT * FROM tst.claim();
SELECT id AS r, status FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT * FROM tst.claim() WHERE kind = 'compute.exec';
SELECT e.kind, theazo_internal.effect_settle(e.platform_id, e.root_id, e.id, e.attempt, 'done', '{"snapshot": "snap-1", "supported": true}', NULL, e.claimed_at, clock_timestamp())
  FROM theazo_data.effect e WHERE e.agent_id = :'a' AND e.kind = 'compute.pause';
SELECT * FROM tst.claim();
SELECT request FROM tst.claimed;
SELECT tst.settle('compute.resume', 'done', '{"sandbox": "box-1"}');
SELECT * FROM tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
SELECT status FROM theazo.run_get(:'r');
SELECT files, phase FROM theazo.checkpoint_list(:'a');
SELECT origin, status, size, provider FROM theazo.snapshots;
SELECT action, summary - 'checkpoint' - 'snapshot' - 'agentId' - 'sessionId' - 'userId' FROM theazo.events WHERE action LIKE 'checkpoint%';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- while something works it waits for the end of that
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT * FROM tst.claim();
SELECT files FROM theazo.checkpoint_create(:'a');
SELECT status FROM theazo.sandboxes;
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
SELECT status FROM theazo.sandboxes;
-- work that comes before the pause has left takes its place
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT * FROM tst.claim();
SELECT status FROM theazo.snapshots;
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
SELECT * FROM tst.claim();
-- and where the provider turns out not to pause, nothing is kept
SELECT tst.settle('compute.pause', 'failed', '{"code": "provider_error", "sqlstate": "TZ406", "message": "not supported"}');
SELECT files FROM theazo.checkpoint_list(:'a');
SELECT status FROM theazo.sandboxes;
SELECT files FROM theazo.checkpoint_create(:'a');
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- files of the machine's own sandboxes lie here: taken where they run, given to the next one, and gone with the checkpoint
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot(1, 8);
SELECT id AS c FROM theazo.checkpoint_create(:'a') \gset
SELECT * FROM tst.claim(0);
SELECT * FROM tst.claim(1, 8);
SELECT tst.settle('compute.snapshot', 'done', '{"snapshot": "snap_x", "size_bytes": 2097152}', '\xc0ffee');
SELECT files FROM theazo.checkpoint_get(:'c');
SELECT size, status FROM theazo.snapshots;
SELECT billed_until IS NOT NULL AS paid FROM theazo_data.snapshot;
SELECT status FROM theazo.agent_resume_with(:'a', :'c');
SELECT * FROM tst.claim(1, 8);
SELECT kind, request ->> 'snapshot' AS snapshot, content FROM tst.claimed ORDER BY kind;
SELECT theazo.checkpoint_delete(:'c');
SELECT count(*) FROM theazo_data.snapshot_content;
SELECT * FROM tst.claim(1, 8);
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- a pause freezes them: asked of the dispatcher that holds it, and of no other
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot(1, 8);
SELECT status FROM theazo.agent_pause(:'a');
SELECT status FROM theazo.sandboxes;
SELECT * FROM tst.claim(0);
SELECT * FROM tst.claim(1, 8);
SELECT status FROM theazo.agent_resume(:'a');
SELECT * FROM tst.claim(1, 8);
SELECT theazo_internal.effect_settle(e.platform_id, e.root_id, e.id, e.attempt, 'done', '{"snapshot": "", "supported": true}', NULL, e.claimed_at, clock_timestamp())
  FROM theazo_data.effect e WHERE e.agent_id = :'a' AND e.kind = 'compute.pause';
SELECT * FROM tst.claim(0);
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT * FROM tst.claim(1, 8);
SELECT tst.settle('compute.resume', 'done', '{"sandbox": "box-1"}');
SELECT status FROM theazo.sandboxes;
SELECT * FROM tst.claim(1, 8);
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- where nothing is kept of files the conversation is, and there is a snapshot id all the same
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT files, snapshot_id IS NOT NULL AS snapshot, progress, phase FROM theazo.checkpoint_create(:'a');
SELECT tst.boot();
SELECT theazo_internal.keeper_snapshots() >= 0;
SELECT * FROM tst.claim();
SELECT tst.settle('compute.snapshot', 'failed', '{"sqlstate": "TZ402", "message": "over 24 MB, packed"}');
SELECT size, size_bytes, status FROM theazo.snapshots;
-- what is refused
SELECT tst.try(format($$SELECT theazo.checkpoint_create(%L, progress => 101)$$, :'a'));
SELECT tst.try(format($$SELECT theazo.checkpoint_create(%L, metadata => '[]')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.checkpoint_get('ckpt_x')$$));
SELECT id AS c FROM theazo.checkpoint_list(:'a') \gset
SELECT id = :'c' AS got FROM theazo.checkpoint_get(:'c');
SELECT theazo.checkpoint_delete(:'c');
SELECT count(*) FROM theazo.checkpoints;
SELECT status FROM theazo.agent_terminate(:'a');
SELECT tst.try(format($$SELECT theazo.checkpoint_create(%L)$$, :'a'));
SELECT tst.try(format($$SELECT theazo.agent_resume_with(%L)$$, :'a'));
ROLLBACK;

-- back to a checkpoint: what it remembers, and its files where the provider kept them
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT id AS a2 FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot();
UPDATE theazo_data.agent SET memory_root = theazo_internal.id_root(theazo_internal.id_new('run')) WHERE id = :'a';
SELECT memory_root AS m FROM theazo_data.agent WHERE id = :'a' \gset
SELECT id AS c FROM theazo.checkpoint_create(:'a', 'one') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.pause', 'done', '{"snapshot": "snap-1", "supported": true}');
SELECT * FROM tst.claim();
SELECT tst.settle('compute.resume', 'done', '{"sandbox": "box-1"}');
UPDATE theazo_data.agent SET memory_root = theazo_internal.id_root(theazo_internal.id_new('run')), labels = '{secret}' WHERE id = :'a';
SELECT tst.try(format($$SELECT theazo.agent_resume_with(%L, %L)$$, :'a2', :'c'));
SELECT status FROM theazo.agent_resume_with(:'a', :'c');
SELECT memory_root = :'m' AS back, labels FROM theazo_data.agent WHERE id = :'a';
SELECT * FROM tst.claim();
SELECT request ->> 'snapshot' AS from_snapshot FROM tst.claimed;
SELECT tst.settle('compute.resume', 'done', '{"sandbox": "box-2"}');
SELECT status, external_id FROM theazo.sandboxes WHERE provider = 'mine';
SELECT summary - 'checkpoint' - 'agentId' - 'sessionId' - 'userId' FROM theazo.events WHERE action = 'agent_restored';
-- elsewhere: a new sandbox there, the old one ends, and files stay behind
SELECT status, provider FROM theazo.agent_resume_with(:'a', provider => 'other', region => 'eu-west-1');
SELECT provider, status FROM theazo.sandboxes WHERE provider <> 'theazo' ORDER BY provider;
SELECT message LIKE 'files of agent % stay behind: nothing is kept of them' AS said FROM theazo.logs WHERE level = 'warn';
SELECT options ->> 'provider' AS provider, region FROM theazo.agent_get(:'a');
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-3"}');
SELECT tst.settle('compute.destroy', 'done');
-- a run or exec is not taken along
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT tst.try(format($$SELECT theazo.agent_resume_with(%L, %L)$$, :'a', :'c'));
SELECT tst.try(format($$SELECT theazo.agent_resume_with(%L, provider => 'nowhere')$$, :'a2'));
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- a provider that takes snapshots of what runs: nothing sleeps, and a checkpoint is a new sandbox made from it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.capable();
DISCARD PLANS;
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT id AS c, snapshot_id AS sn FROM theazo.checkpoint_create(:'a', 'one') \gset
SELECT status FROM theazo.sandboxes;
SELECT * FROM tst.claim();
SELECT request ->> 'tag' = :'sn' AS tagged, request ->> 'sandbox' AS sandbox FROM tst.claimed;
SELECT tst.settle('compute.snapshot', 'done', '{"snapshot": "img-1", "size_bytes": 268435456}');
SELECT files FROM theazo.checkpoint_get(:'c');
SELECT size FROM theazo.snapshots;
SELECT status FROM theazo.agent_resume_with(:'a', :'c');
SELECT * FROM tst.claim();
SELECT kind, request ->> 'snapshot' AS from_snapshot FROM tst.claimed ORDER BY kind;
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-2"}');
SELECT status, external_id FROM theazo.sandboxes ORDER BY id;
-- at another account of the same kind there is no such image
SELECT status FROM theazo.agent_resume_with(:'a', :'c', 'other');
SELECT message LIKE 'files of agent % stay behind: other cannot resume the snapshot of mine' AS said FROM theazo.logs WHERE level = 'warn';
-- deleted: the provider is told
SELECT theazo.checkpoint_delete(:'c');
SELECT * FROM tst.claim() WHERE kind = 'compute.forget';
SELECT request ->> 'snapshot' AS forgotten FROM tst.claimed WHERE kind = 'compute.forget';
ROLLBACK;
DISCARD PLANS;

-- storage: by the day, in parts of its month, each once; nothing for what lies with the platform's own provider
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT snapshot_id AS sn FROM theazo.checkpoint_create(:'a') \gset
UPDATE theazo_data.snapshot SET status = 'kept', handle = 'img', size_bytes = 31000000000, billed_until = date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '2 days 12 hours' WHERE id = :'sn';
SELECT theazo_internal.snapshot_bill(x, date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') FROM theazo_data.snapshot x WHERE x.id = :'sn';
SELECT item, count(*), round(sum(quantity) / (31.0 * 2.5) * extract(day FROM date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 day'), 6) AS months,
	   round(sum(cents) / (310.0 * 2.5) * extract(day FROM date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 day'), 4) AS paid, bool_and(agent_id = :'a') AS agent
  FROM theazo.charges WHERE item LIKE 'storage%' GROUP BY item;
-- the same again is nothing
SELECT theazo_internal.snapshot_bill(x, x.billed_until) FROM theazo_data.snapshot x WHERE x.id = :'sn';
UPDATE theazo_data.snapshot SET billed_until = billed_until - interval '1 day' WHERE id = :'sn';
SELECT theazo_internal.snapshot_bill(x, x.billed_until + interval '1 day') FROM theazo_data.snapshot x WHERE x.id = :'sn';
SELECT count(*) FROM theazo.charges WHERE item LIKE 'storage%';
-- given up with its agent
SELECT status FROM theazo.agent_terminate(:'a');
SELECT theazo_internal.keeper_snapshots() > 0 AS kept;
SELECT status, billed_until FROM theazo_data.snapshot WHERE id = :'sn';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- automatic ones: of what works for long, when it has done something since; the newest ten stay
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo", "longRunning": true, "checkpointInterval": "10m", "hibernateAfterIdle": "2h"}') \gset
SELECT tst.boot();
SELECT tst.back(660);
SELECT theazo_internal.keeper_agents() >= 0;
SELECT count(*) FROM theazo.checkpoints;
SELECT id AS c FROM theazo.checkpoint_create(:'a', 'halfway', 50) \gset
SELECT tst.back(660);
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT theazo_internal.keeper_agents() > 0;
SELECT theazo_internal.keeper_agents() >= 0;
SELECT phase, progress, automatic FROM theazo.checkpoint_list(:'a');
SELECT theazo_internal.checkpoint_make((SELECT x FROM theazo_data.agent x WHERE x.id = :'a'), NULL, NULL, NULL, true) IS NOT NULL FROM generate_series(1, 12);
SELECT automatic, count(*) FROM theazo.checkpoints GROUP BY 1 ORDER BY 1;
SELECT phase, progress, checkpoints, status, active_ms = total_ms AS active, last_checkpoint_at IS NOT NULL AS last FROM theazo.agent_progress(:'a');
ROLLBACK;

-- asleep when idle, awake with work; who was woken without work is not idle at once; what somebody paused is not woken
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo", "hibernateAfterIdle": "1h"}') \gset
SELECT tst.boot();
SELECT tst.back(3000);
SELECT theazo_internal.keeper_agents() >= 0;
SELECT status FROM theazo.agent_get(:'a');
SELECT tst.back(700);
SELECT theazo_internal.keeper_agents() > 0;
SELECT status, paused_by FROM theazo.agent_get(:'a');
SELECT status FROM theazo.sandboxes;
SELECT tst.back(1000);
SELECT status, active_ms < total_ms - 900000 AS asleep FROM theazo.agent_progress(:'a');
SELECT status FROM theazo.agent_resume(:'a');
SELECT theazo_internal.keeper_agents() >= 0;
SELECT status FROM theazo.agent_get(:'a');
SELECT paused_seconds BETWEEN 990 AND 1060 AS paused FROM theazo_data.agent WHERE id = :'a';
SELECT tst.back(3700);
SELECT theazo_internal.keeper_agents() > 0;
SELECT status, paused_by FROM theazo.agent_get(:'a');
SELECT status FROM theazo.exec_start(:'a', 'sh', 'true');
SELECT status FROM theazo.agent_get(:'a');
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo", "hibernateAfterIdle": "1h", "autoResume": false}') \gset
SELECT tst.boot();
SELECT tst.back(3700);
SELECT theazo_internal.keeper_agents() > 0;
SELECT tst.try(format($$SELECT theazo.exec_start(%L, 'sh', 'true')$$, :'a'));
ROLLBACK;
-- what wakes one that fell asleep, and what does not; who somebody paused is not woken
CREATE FUNCTION tst.woken(p_session text, p_options jsonb, p_by text, p_paused boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_agent	text := (theazo.agent_create(p_session, '{"provider": "theazo", "hibernateAfterIdle": "1h", "model": "openai/gpt-5.4"}' || p_options)).id;
	v_was	text;
	v_now	text;
BEGIN
	PERFORM tst.boot();
	IF p_paused THEN
		PERFORM theazo.agent_pause(v_agent);
	ELSE
		PERFORM tst.back(3700);
		PERFORM theazo_internal.keeper_agents();
	END IF;
	SELECT status INTO v_was FROM theazo.agent_get(v_agent);
	BEGIN
		CASE p_by WHEN 'exec' THEN PERFORM theazo.exec_start(v_agent, 'sh', 'true'); WHEN 'run' THEN PERFORM theazo.run_start(v_agent, 'Go on');
				  WHEN 'file' THEN PERFORM theazo.file_read_start(v_agent, 'x'); ELSE PERFORM theazo.agent_send(v_agent, 'note', 'x'); END CASE;
	EXCEPTION WHEN OTHERS THEN
		RETURN concat_ws(' ', v_was, SQLSTATE);
	END;
	SELECT a.status || ' ' || s.status INTO v_now FROM theazo.agent_get(v_agent) a JOIN theazo.sandboxes s ON s.agent_id = a.id;
	RETURN v_was || ' -> ' || v_now;
END $$;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
SELECT x AS work, tst.woken(:'s', '{}', x) AS idle, tst.woken(:'s', '{"longRunning": true}', x) AS long, tst.woken(:'s', '{"autoResume": false}', x) AS unless, tst.woken(:'s', '{}', x, true) AS paused
  FROM unnest('{exec,file,run,input}'::text[]) x;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
-- how far it is: its newest checkpoint, without one what was reported
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo", "longRunning": true, "checkpointInterval": "10m"}') \gset
SELECT tst.boot();
SELECT phase, progress, checkpoints, status, last_checkpoint_at FROM theazo.agent_progress(:'a');
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT theazo_internal.progress_set(x, 30, 'reading') FROM theazo_data.run x WHERE x.id = :'r';
SELECT phase, progress, checkpoints, last_checkpoint_at IS NOT NULL AS at FROM theazo.agent_progress(:'a');
SELECT FROM theazo.checkpoint_create(:'a', 'writing', 60);
SELECT phase, progress, checkpoints FROM theazo.agent_progress(:'a');
-- what a pause and a checkpoint keep of the conversation is said with them
UPDATE theazo_data.agent SET memory_root = theazo_internal.id_root(theazo_internal.id_new('run')) WHERE id = :'a' RETURNING memory_root AS m \gset
SELECT FROM theazo.checkpoint_create(:'a', 'done', 100);
SELECT last_run_id = 'run_' || :'m' AS last FROM theazo.snapshots ORDER BY id;
ROLLBACK;
-- maxDuration ends it, whatever it does
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo", "maxDuration": "1h"}') \gset
SELECT tst.boot();
SELECT status FROM theazo.agent_pause(:'a');
SELECT tst.back(3700);
SELECT theazo_internal.keeper_agents() > 0;
SELECT status FROM theazo.agent_get(:'a');
SELECT status FROM theazo.agent_progress(:'a');
ROLLBACK;

-- lifetimes: given at creation, asked for again while the agent lives, never beyond its own end; nothing is owed after they run out
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.capable();
DISCARD PLANS;
SELECT id AS a FROM theazo.agent_create(:'s', '{"maxDuration": "90m"}') \gset
SELECT * FROM tst.claim();
SELECT request ->> 'lifetime_s' AS asked FROM tst.claimed;
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-1", "lifetime_s": 1800}', p_ms => 0);
SELECT lifetime_s, round(extract(epoch FROM expires_at - started_at)) AS lives, round(extract(epoch FROM renew_at - started_at)) AS renewed FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT theazo_internal.keeper_renew();
SELECT tst.back(1300);
SELECT theazo_internal.keeper_turn() <= '1 s';
SELECT theazo_internal.keeper_renew();
SELECT theazo_internal.keeper_renew();
SELECT * FROM tst.claim();
SELECT (request ->> 'lifetime_s')::int BETWEEN 3500 AND 3600 AS asked, request ->> 'sandbox' AS sandbox FROM tst.claimed;
SELECT tst.settle('compute.renew', 'done', '{}');
SELECT lifetime_s BETWEEN 3500 AND 3600 AS given, expires_at > clock_timestamp() + interval '50 min' AS lives, renew_at < expires_at - interval '15 min' AS renewed FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT tst.back(2600);
SELECT theazo_internal.keeper_renew();
SELECT * FROM tst.claim();
SELECT (request ->> 'lifetime_s')::int BETWEEN 1500 AND 1600 AS asked FROM tst.claimed;
-- its time is over although nobody has noticed
SELECT tst.back(2000);
SELECT theazo_internal.sandbox_bill(:'p', id, clock_timestamp(), false) FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT billed_until = expires_at AS to_its_end FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT tst.settle('compute.renew', 'failed', '{"sqlstate": "TZ410", "message": "no such sandbox"}');
SELECT status FROM theazo.sandboxes;
ROLLBACK;
DISCARD PLANS;
-- who cannot give more is not asked
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT expires_at, renew_at FROM theazo_data.sandbox WHERE agent_id = :'a';
ROLLBACK;

-- what a provider says it holds a sandbox to
SELECT theazo_internal.policy_verdict('{"network": {"enabled": false}, "limits": {"memory_mb": 512}}', f::jsonb), f
  FROM unnest(ARRAY[NULL, '{}', '[]', '{"network": false}', '{"memory_mb": 512}', '{"network": false, "memory_mb": 512}', '{"network": false, "memory_mb": 256}',
	'{"network": false, "memory_mb": 1024}', '{"network": true, "memory_mb": 512}']) f;
SELECT theazo_internal.policy_verdict('{"network": {"enabled": true, "allow": ["a.example", "b.example"]}}', f::jsonb), f
  FROM unnest(ARRAY['{"network": false}', '{"network": true}', '{"network": true, "allow": ["a.example"]}', '{"network": true, "allow": ["a.example", "c.example"]}']) f;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-1", "policy": {"network": true}}', p_ms => 0);
SELECT status, policy FROM theazo.sandboxes;
SELECT decision, rule, is_violation, summary - 'sandbox' FROM theazo.events WHERE action = 'sandbox_policy_weaker';
ROLLBACK;
-- template STRICT does not get such a one: it is destroyed, unpaid, and the next provider is asked
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"template": "STRICT"}') \gset
SELECT adapter FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-1", "policy": {"network": true}}', p_ms => 0);
SELECT provider, status, policy, started_at FROM theazo.sandboxes ORDER BY id;
SELECT decision, rule, is_violation FROM theazo.events WHERE action = 'sandbox_policy_weaker';
SELECT message FROM theazo.logs WHERE level = 'warn' AND message LIKE 'provider%';
SELECT * FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done');
-- what is not known is not weaker
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-2", "policy": {"memory_mb": 128}}', p_ms => 0);
SELECT provider, status, policy FROM theazo.sandboxes ORDER BY id;
SELECT status, provider FROM theazo.agent_get(:'a');
SELECT count(*) FROM theazo.charges WHERE item = 'compute.second';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"template": "STRICT", "provider": "mine"}') \gset
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT adapter FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-1", "policy": {"network": false, "memory_mb": 4096}}', p_ms => 0);
SELECT status, error FROM theazo.agent_get(:'a');
SELECT status, error_sqlstate, error_hint FROM theazo.run_get(:'r');
SELECT count(*) FROM theazo.charges;
ROLLBACK;
-- and none is made ahead
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d FROM theazo.definition_create('helper', '{"template": "STRICT", "provider": "mine", "warmPool": 1}') \gset
SELECT theazo_internal.keeper_pool() > 0;
SELECT adapter FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-1", "policy": {"network": true}}', p_ms => 0);
SELECT status, policy FROM theazo.sandboxes;
SELECT theazo_internal.keeper_pool() >= 0;
SELECT * FROM tst.claim();
ROLLBACK;
