\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Compute') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
-- webhook providers need no secret here; their endpoints are never called
SELECT tst.try(format($$SELECT (theazo.provider_set('mine', type => 'webhook', endpoint => 'https://one.example', priority => 10, api_key => %L)).mode$$, :'k'));

-- moves the clock: everything of this sandbox happened so much earlier
CREATE OR REPLACE FUNCTION tst.earlier(p_seconds numeric) RETURNS void LANGUAGE sql AS $$
	UPDATE theazo_data.sandbox SET started_at = started_at - p_seconds * interval '1 s', billed_until = billed_until - p_seconds * interval '1 s',
		paused_at = paused_at - p_seconds * interval '1 s' WHERE status IN ('ready', 'paused') AND platform_id = (SELECT platform_id FROM theazo_data.platform WHERE name = 'Compute')
$$;
-- sets the clock: the sandbox began so long ago, however slow this machine is
CREATE FUNCTION tst.aged(p_seconds numeric) RETURNS void LANGUAGE sql AS $$
	SELECT tst.earlier(p_seconds - extract(epoch FROM clock_timestamp() - min(s.started_at)))
	  FROM theazo_data.sandbox s WHERE s.status = 'ready' AND s.platform_id = (SELECT platform_id FROM theazo_data.platform WHERE name = 'Compute')
$$;

-- a provider of the platform's own: nothing to pay but the fee, minutes counted all the same
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a, provider, status FROM theazo.agent_create(:'s') \gset
SELECT :'provider', :'status';
SELECT item, quantity, cents, payer, agent_id = :'a' FROM theazo.charges;
SELECT * FROM tst.claim();
SELECT endpoint - 'config' - 'owner', request -> 'runtime', request -> 'lifetime_s', request -> 'network', needs_secrets FROM tst.claimed;
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-1", "metadata": {"region": "x"}}', p_ms => 0);
-- the fee, once the machine is there
SELECT item, quantity, cents, payer, agent_id = :'a' FROM theazo.charges;
SELECT status FROM theazo.agents;
SELECT status, managed, external_id, isolation FROM theazo.sandboxes;
-- two and a half minutes of idling, then work of 1.2 s, then 30 s more
SELECT tst.aged(150.1) \gset
SELECT theazo_internal.keeper_meter();
SELECT quantity, cents, payer, run_id, interval_end - interval_start FROM theazo.charges WHERE item = 'compute.second' ORDER BY interval_start;
SELECT theazo_internal.keeper_meter();
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT tst.aged(150.2) \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}', p_ms => 1200);
SELECT cost FROM theazo.run_get(:'r');
SELECT quantity, cents, run_id = :'r' AS run FROM theazo.charges WHERE item = 'compute.second' ORDER BY interval_start, interval_end;
SELECT uptime_seconds FROM theazo.sandboxes;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- managed: started seconds at 10 cents an hour, and 15 with a browser
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT id AS b FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot();
-- no browser is in a local sandbox; at an account of the operator's there is
UPDATE theazo_data.sandbox SET browser = true WHERE agent_id = :'b';
SELECT tst.earlier(3600) \gset
UPDATE theazo_data.sandbox SET billed_until = billed_until + interval '3300 s', billed_seconds = 3300 WHERE agent_id = :'b';
SELECT theazo_internal.keeper_meter() BETWEEN 6 AND 15;
SELECT agent_id = :'b' AS browser, sum(cents), sum(quantity) FROM theazo.charges GROUP BY 1 ORDER BY 1;
ROLLBACK;

-- a price that comes while work runs does not hold for it, and holds for what begins after
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot() \gset
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'sleep 3600') \gset
SELECT count(*) FROM tst.claim();
SELECT cents FROM theazo.price_set('compute.hour', 100, now() + interval '30 minutes', :'p');
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}', p_ms => 3600000);
SELECT round(cost) FROM theazo.run_get(:'r');
SELECT theazo_internal.sandbox_bill(:'p', b.id, b.billed_until + interval '1 h', false) FROM theazo_data.sandbox b WHERE b.agent_id = :'a';
ROLLBACK;

-- a session paused while its agent boots: the agent pauses when it has, nothing is metered, and both go on together
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a, status FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT * FROM tst.claim();
SELECT status FROM theazo.session_pause(:'s');
SELECT status, paused_by FROM theazo.agent_get(:'a');
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-p"}', p_ms => 0);
SELECT status, paused_by FROM theazo.agent_get(:'a');
SELECT status FROM theazo.sandboxes;
SELECT tst.earlier(150) \gset
SELECT theazo_internal.keeper_meter();
SELECT count(*) FROM theazo.charges;
SELECT status FROM theazo.session_resume(:'s');
SELECT status, paused_by FROM theazo.agent_get(:'a');
SELECT status FROM theazo.sandboxes;
ROLLBACK;

-- the sum of all intervals is the uptime rounded up once, however it is cut, pauses left out
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot();
CREATE FUNCTION tst.cuts(p_seed float8) RETURNS TABLE (intervals int, short int) LANGUAGE plpgsql AS $$
DECLARE
	s theazo_data.sandbox; t timestamptz; paused numeric := 0; d numeric; n int := 0; bad int := 0; root text;
BEGIN
	SELECT * INTO s FROM theazo_data.sandbox WHERE status = 'ready';
	PERFORM setseed(p_seed);
	t := s.started_at;
	FOR i IN 1..200 LOOP
		d := round((random() * CASE WHEN random() < 0.3 THEN 0.3 ELSE 7 END)::numeric, 6);
		t := t + d * interval '1 s';
		IF random() < 0.2 THEN
			PERFORM theazo_internal.sandbox_bill(s.platform_id, s.id, t, false);
			UPDATE theazo_data.sandbox SET paused_at = t WHERE id = s.id;
			d := round((random() * 100)::numeric, 6);
			-- nothing is booked while it sleeps
			PERFORM theazo_internal.sandbox_bill(s.platform_id, s.id, t + d / 2 * interval '1 s', false);
			t := t + d * interval '1 s';
			paused := paused + d;
			UPDATE theazo_data.sandbox SET paused_at = NULL, paused_seconds = paused_seconds + d, billed_until = t WHERE id = s.id;
		ELSIF random() < 0.5 THEN
			root := theazo_internal.id_new('run');
			PERFORM theazo_internal.sandbox_bill_work(s.platform_id, s.id, root, theazo_internal.id_new('eff'), t - d / 2 * interval '1 s', t, false);
		ELSE
			PERFORM theazo_internal.sandbox_bill(s.platform_id, s.id, t, false);
		END IF;
	END LOOP;
	PERFORM theazo_internal.sandbox_bill(s.platform_id, s.id, t, false);
	SELECT count(*), (ceil(extract(epoch FROM t - s.started_at) - paused) - sum(quantity))::int INTO intervals, short
	  FROM theazo_data.charge WHERE sandbox_id = s.id;
	intervals := (intervals > 100)::int;
	RETURN NEXT;
END $$;
SELECT * FROM tst.cuts(0.1);
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot();
-- the same interval twice is one charge
SELECT theazo_internal.sandbox_bill(:'p', id, started_at + interval '90 s', false) FROM theazo_data.sandbox WHERE status = 'ready';
SELECT theazo_internal.sandbox_bill(:'p', id, started_at + interval '90 s', false) FROM theazo_data.sandbox WHERE status = 'ready';
SELECT quantity, amount FROM theazo.charges;
ROLLBACK;

-- creation fails: the next provider, each failure a warning; none left: the agent failed
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT (theazo.provider_set('second', type => 'webhook', endpoint => 'https://two.example', priority => 20)).name;
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'failed', '{"code": "provider_error", "sqlstate": "TZ401", "message": "the provider refused", "http_status": 500}');
SELECT provider, status FROM theazo.sandboxes ORDER BY created_at, status DESC;
SELECT count(*) FROM tst.claim();
SELECT endpoint ->> 'url' FROM tst.claimed;
SELECT tst.settle('compute.create', 'unknown', '{"message": "no answer"}');
SELECT provider, status, error FROM theazo.agents;
-- managed compute comes last
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'failed', '{"code": "provider_error", "sqlstate": "TZ411", "message": "isolation is too weak"}');
SELECT provider, status, error, run_id, sandbox_id FROM theazo.agents;
SELECT status, error_sqlstate, error_code, error_message FROM theazo.run_get(:'r');
SELECT level, source, message, provider FROM theazo.logs ORDER BY occurred_at, id;
SELECT provider, status FROM theazo.sandboxes ORDER BY provider;
-- no fee: none of its own providers gave a machine
SELECT item, cents FROM theazo.charges;
-- a failed agent may be used again
SELECT status FROM theazo.exec_start(:'a', 'sh', 'true');
SELECT status, provider FROM theazo.agents;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- terminated while it boots: nothing is left behind
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT id AS b FROM theazo.agent_create(:'s') \gset
SELECT status FROM theazo.agent_terminate(:'b');
SELECT status FROM theazo.sandboxes ORDER BY 1;
SELECT * FROM tst.claim();
SELECT status FROM theazo.agent_terminate(:'a');
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-9"}');
SELECT status, external_id FROM theazo.sandboxes ORDER BY 1;
SELECT * FROM tst.claim();
SELECT request FROM tst.claimed;
-- a DELETE that fails is repeated, five times in all
SELECT tst.settle('compute.destroy', 'failed', '{"code": "provider_error", "message": "500"}');
CREATE FUNCTION tst.insist() RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 2..6 LOOP
		PERFORM tst.due();
		PERFORM tst.claim();
		RETURN NEXT tst.settle('compute.destroy', 'failed', '{"code": "provider_error", "message": "500"}');
	END LOOP;
END $$;
SELECT * FROM tst.insist();
SELECT state, attempt FROM theazo_data.effect WHERE platform_id = :'p' AND kind = 'compute.destroy';
SELECT status FROM theazo.sandboxes ORDER BY 1;
SELECT level, count(*) FROM theazo.logs WHERE source = 'provider' GROUP BY 1 ORDER BY 1;
SELECT status FROM theazo.agents;
ROLLBACK;

-- pause and resume at the provider: nothing is booked meanwhile; the provider may rename the sandbox
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT tst.aged(10.1) \gset
SELECT status FROM theazo.agent_pause(:'a');
SELECT status, uptime_seconds FROM theazo.sandboxes;
SELECT * FROM tst.claim();
SELECT tst.settle('compute.pause', 'done', '{"snapshot": "snap-1", "supported": true}');
SELECT tst.earlier(1000) \gset
SELECT theazo_internal.keeper_meter();
SELECT status FROM theazo.agent_resume(:'a');
SELECT status FROM theazo.sandboxes;
-- work waits until the provider has answered
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT * FROM tst.claim();
SELECT request FROM tst.claimed;
SELECT tst.settle('compute.resume', 'done', '{"sandbox": "vm-2"}', p_ms => 0);
SELECT status, external_id, uptime_seconds FROM theazo.sandboxes;
SELECT * FROM tst.claim();
SELECT request ->> 'sandbox' FROM tst.claimed;
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}', p_ms => 1300);
SELECT uptime_seconds FROM theazo.sandboxes;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- 501: learnt, never asked again, until the entry is replaced
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT status FROM theazo.agent_pause(:'a');
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.pause', 'failed', '{"code": "provider_error", "sqlstate": "TZ406", "message": "501"}');
SELECT capabilities FROM theazo_data.provider WHERE platform_id = :'p' AND name = 'mine';
SELECT status FROM theazo.sandboxes;
SELECT status FROM theazo.agent_resume(:'a');
SELECT status FROM theazo.sandboxes;
SELECT status FROM theazo.agent_pause(:'a');
SELECT count(*) FROM tst.claim();
SELECT status FROM theazo.agent_resume(:'a');
SELECT id AS r FROM theazo.file_list_start(:'a') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.list', 'failed', '{"code": "provider_error", "sqlstate": "TZ406", "message": "501"}');
SELECT status, error_sqlstate FROM theazo.run_get(:'r');
SELECT tst.try(format('SELECT theazo.file_list_start(%L)', :'a'));
SELECT (theazo.provider_set('mine', type => 'webhook', endpoint => 'https://one.example', priority => 10)).name;
SELECT status FROM theazo.file_list_start(:'a');
ROLLBACK;

-- a pause during an exec waits for its end
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT count(*) FROM tst.claim();
SELECT status FROM theazo.agent_pause(:'a');
SELECT status FROM theazo.sandboxes;
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
SELECT status FROM theazo.run_get(:'r');
SELECT status, run_id FROM theazo.agents;
SELECT status FROM theazo.sandboxes;
SELECT * FROM tst.claim();
-- resumed while the pause is in flight: undone as soon as it has answered
SELECT status FROM theazo.agent_resume(:'a');
SELECT status FROM theazo.sandboxes;
SELECT tst.settle('compute.pause', 'done', '{"snapshot": "s9", "supported": true}');
SELECT * FROM tst.claim();
SELECT tst.settle('compute.resume', 'done', '{"sandbox": "box-1"}');
SELECT status FROM theazo.sandboxes;
ROLLBACK;

-- a box that dies: the agent stays usable, the next exec makes a new one
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot(3, 77);
SELECT worker_slot, incarnation FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT id AS x FROM theazo.sandboxes \gset
SELECT id AS r FROM theazo.file_list_start(:'a') \gset
SELECT count(*) FROM tst.claim(2, 76);
SELECT theazo_internal.sandbox_gone(:'p', :'x', 'killed by signal 9') \gset
SELECT status FROM theazo.sandboxes;
SELECT status, error_sqlstate, error_message, error_hint FROM theazo.run_get(:'r');
SELECT level, source, message ~ 'is gone: killed by signal 9' FROM theazo.logs ORDER BY id;
SELECT status, sandbox_id FROM theazo.agents;
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT status FROM theazo.sandboxes ORDER BY 1;
SELECT tst.boot(1, 78);
SELECT count(*) FROM tst.claim(1, 78);
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
SELECT status FROM theazo.run_get(:'r');
-- its dispatcher dies: the exec's outcome is unknown, the box lost; uptime that nobody saw is not booked
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true', '5 s') \gset
SELECT count(*) FROM tst.claim(1, 78);
SELECT tst.earlier(7200) \gset
UPDATE theazo_data.effect SET claimed_at = claimed_at - interval '7200 s' WHERE platform_id = :'p' AND state = 'claimed';
SELECT theazo_internal.leases_reclaim('{79}');
SELECT status, error_sqlstate, outcome_unknown FROM theazo.run_get(:'r');
SELECT quantity BETWEEN 9 AND 11, estimated FROM theazo.charges WHERE run_id = :'r';
SELECT status, count(*) FROM theazo.sandboxes GROUP BY 1;
SELECT sum(quantity) < 30 FROM theazo.charges;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- a creation whose dispatcher died: harmless here, so it is made again
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT count(*) FROM tst.claim(1, 78);
SELECT theazo_internal.leases_reclaim('{}');
SELECT tst.due() \gset
SELECT tst.boot(0, 80);
SELECT status FROM theazo.agents;
SELECT status FROM theazo.sandboxes;
ROLLBACK;

-- a box that was to be destroyed by a dispatcher that does not come back
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo"}') \gset
SELECT tst.boot(60, 78);
SELECT status FROM theazo.agent_terminate(:'a');
SELECT theazo_internal.leases_reclaim('{}');
SELECT status FROM theazo.sandboxes;
SELECT theazo_internal.effects_expire();
SELECT kind, state FROM theazo_data.effect WHERE agent_id = :'a' ORDER BY kind;
SELECT theazo_internal.effects_expire();
ROLLBACK;

-- limits of an entry, and the mode without ours
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT (theazo.provider_set('mine', type => 'webhook', endpoint => 'https://one.example', limits => '{"maxConcurrent": 1}')).name;
SELECT provider FROM theazo.agent_create(:'s');
SELECT provider FROM theazo.agent_create(:'s');
SELECT compute_mode FROM theazo.platform_update(compute_mode => 'byoi');
SELECT tst.try(format('SELECT theazo.agent_create(%L)', :'s'));
ROLLBACK;

-- asleep after idling, woken by work
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "theazo", "hibernateAfterIdle": "5m"}') \gset
SELECT id AS b FROM theazo.agent_create(:'s', '{"provider": "theazo", "maxDuration": "1h"}') \gset
SELECT tst.boot();
SELECT theazo_internal.keeper_agents();
UPDATE theazo_data.agent SET created_at = now() - interval '6 min' WHERE id = :'a';
UPDATE theazo_data.agent SET created_at = now() - interval '61 min' WHERE id = :'b';
SELECT theazo_internal.keeper_agents();
SELECT status, paused_by FROM theazo.agents ORDER BY status;
SELECT status FROM theazo.exec_start(:'a', 'sh', 'true');
SELECT status, paused_by FROM theazo.agents ORDER BY status;
ROLLBACK;

-- a restored or cloned database: machines at a provider are held, an agent gets another, and release takes them over
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "mine"}') \gset
SELECT tst.claim() \gset
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-1"}', p_ms => 0) \gset
SELECT id AS b FROM theazo.agent_create(:'s', '{"provider": "mine"}') \gset
SELECT tst.claim() \gset
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-2"}', p_ms => 0) \gset
UPDATE theazo_data.sandbox SET instance = '1:1' WHERE platform_id = :'p';
SELECT tst.earlier(7200) \gset
SELECT theazo_internal.sandboxes_meter();
SELECT theazo_internal.keeper_hold();
SELECT external_id, status FROM theazo.sandboxes ORDER BY 1;
SELECT status FROM theazo.exec_start(:'a', 'sh', 'true');
SELECT (theazo.agent_terminate(:'b')).status;
SELECT kind, state FROM theazo_data.effect WHERE platform_id = :'p' AND state = 'queued' ORDER BY 1, 2;
SELECT theazo.effects_release();
SELECT external_id, status, instance = theazo_internal.instance() AS ours FROM theazo_data.sandbox WHERE platform_id = :'p' ORDER BY external_id, status;
SELECT count(*) FROM theazo.charges WHERE item = 'compute.second';
ROLLBACK;

BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "mine"}') \gset
SELECT tst.claim() \gset
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-1"}', p_ms => 0) \gset
UPDATE theazo_data.sandbox SET instance = '1:1' WHERE platform_id = :'p';
SELECT tst.earlier(7200) \gset
SELECT theazo_internal.keeper_hold();
SELECT theazo.effects_release();
SELECT status, billed_until > now() - interval '1 minute' AS from_now FROM theazo_data.sandbox WHERE platform_id = :'p';
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}', p_ms => 1200);
SELECT sum(quantity) < 60 AS not_the_gap FROM theazo.charges WHERE item = 'compute.second';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
