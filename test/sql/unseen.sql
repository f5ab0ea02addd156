\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Unseen') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://one.example', api_key => :'k');
SELECT name FROM theazo.secret_set('e2b.key', 'e2b_0123456789', api_key => :'k');
SELECT name FROM theazo.provider_set('vendor', type => 'e2b', credential_ref => 'e2b.key', priority => 200, api_key => :'k');

-- a creation whose end nobody saw: who cannot list what it has is told to destroy it by our name of it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "mine"}') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'unknown', '{"message": "no answer"}', p_ms => 0);
SELECT s.status, s.external_id, s.reap_at <= clock_timestamp() AS now FROM theazo_data.sandbox s WHERE s.agent_id = :'a';
SELECT theazo_internal.keeper_reap() > 0;
SELECT status, reap_at FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT * FROM tst.claim();
SELECT c.request = jsonb_build_object('sandbox', c.sandbox_id, 'tag', c.sandbox_id) AS by_name FROM tst.claimed c;
-- it does not know that name, perhaps not yet
SELECT tst.settle('compute.destroy', 'done', '{"gone": true}');
SELECT status, round(extract(epoch FROM reap_at - clock_timestamp()) / 10) AS tens FROM theazo_data.sandbox WHERE agent_id = :'a';
UPDATE theazo_data.sandbox SET reap_at = now() WHERE agent_id = :'a';
SELECT theazo_internal.keeper_reap() > 0;
SELECT * FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done', '{"gone": true}');
SELECT status, reap_at, reaps FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- it had made it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "mine"}') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'unknown', p_ms => 0);
SELECT theazo_internal.keeper_reap() > 0;
SELECT * FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done');
SELECT status, reap_at, ended_at IS NOT NULL AS ended FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT count(*) FROM theazo_data.event WHERE agent_id = :'a' AND action = 'sandbox_destroyed';
SELECT quantity > 0 AS some, estimated FROM theazo_data.charge WHERE agent_id = :'a' AND item = 'compute.second';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- ended before its second attempt: the first may have made it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "mine"}') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'retry', '{"message": "busy"}');
SELECT status FROM theazo.agent_terminate(:'a');
SELECT status, reap_at IS NOT NULL AS chased FROM theazo_data.sandbox WHERE agent_id = :'a';
ROLLBACK;
-- one that was never asked for is not looked for
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "mine"}') \gset
SELECT status FROM theazo.agent_terminate(:'a');
SELECT status, reap_at IS NOT NULL AS chased FROM theazo_data.sandbox WHERE agent_id = :'a';
ROLLBACK;

-- who can list what it has is asked at once
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.keeper_sweep() >= 0;
SELECT due_at > clock_timestamp() + interval '4 min' AS later FROM theazo.compute_sweeps WHERE provider = 'vendor';
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "vendor"}') \gset
SELECT sandbox_id AS b FROM theazo_data.agent WHERE id = :'a' \gset
SELECT * FROM tst.claim();
UPDATE theazo_data.effect SET attempt = 9 WHERE agent_id = :'a';
UPDATE tst.claimed SET attempt = 9;
SELECT tst.settle('compute.create', 'unknown', p_ms => 0);
SELECT theazo_internal.keeper_reap() > 0;
SELECT due_at <= clock_timestamp() AS now FROM theazo.compute_sweeps WHERE provider = 'vendor';
SELECT reap_at > clock_timestamp() + interval '1 min' AS once_more FROM theazo_data.sandbox WHERE id = :'b';
SELECT theazo_internal.keeper_sweep() > 0;
SELECT kind FROM tst.claim() WHERE kind = 'compute.sweep';
UPDATE theazo_data.sandbox SET ended_at = ended_at - interval '1 s' WHERE id = :'b';
SELECT tst.settle('compute.sweep', 'done', jsonb_build_object('complete', true, 'sandboxes', jsonb_build_array(
	jsonb_build_object('tag', :'b'::text, 'sandbox', 'i0left', 'instance', theazo_internal.instance()))));
SELECT theazo_internal.keeper_reap() > 0;
SELECT status, reap_at FROM theazo_data.sandbox WHERE id = :'b';
SELECT kind FROM tst.claim();
SELECT c.request - 'tag' FROM tst.claimed c;
ROLLBACK;

-- made at the second attempt: its provider may have been busy with the first one still, so its list is asked for once more
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.keeper_sweep() >= 0;
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "vendor"}') \gset
SELECT sandbox_id AS b FROM theazo_data.agent WHERE id = :'a' \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'unknown', p_ms => 0);
SELECT tst.due();
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "i0two"}', p_ms => 0);
SELECT status, reap_at > clock_timestamp() + interval '1 min' AS later FROM theazo_data.sandbox WHERE id = :'b';
UPDATE theazo_data.sandbox SET reap_at = now(), started_at = started_at - interval '1 s' WHERE id = :'b';
SELECT theazo_internal.keeper_reap() > 0;
SELECT due_at <= clock_timestamp() AS now FROM theazo.compute_sweeps WHERE provider = 'vendor';
SELECT theazo_internal.keeper_sweep() > 0;
SELECT kind FROM tst.claim() WHERE kind = 'compute.sweep';
SELECT tst.settle('compute.sweep', 'done', jsonb_build_object('complete', true, 'sandboxes', jsonb_build_array(
	jsonb_build_object('tag', :'b'::text, 'sandbox', 'i0one', 'instance', theazo_internal.instance()),
	jsonb_build_object('tag', :'b'::text, 'sandbox', 'i0two', 'instance', theazo_internal.instance()))));
SELECT theazo_internal.keeper_reap() > 0;
SELECT status, external_id, reap_at FROM theazo_data.sandbox WHERE id = :'b';
SELECT kind FROM tst.claim();
SELECT c.request - 'tag' FROM tst.claimed c;
ROLLBACK;

-- a pause that nobody saw the end of: it is woken before it works on
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "mine"}') \gset
SELECT tst.boot();
SELECT status FROM theazo.agent_pause(:'a');
SELECT kind FROM tst.claim();
SELECT tst.settle('compute.pause', 'unknown');
SELECT status, snapshot = '' AS to_wake FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT status FROM theazo.agent_resume(:'a');
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT kind FROM tst.claim();
-- it never slept
SELECT tst.settle('compute.resume', 'failed', '{"status": 409, "message": "it is running", "sqlstate": "TZ401"}');
SELECT status, snapshot FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT kind FROM tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
SELECT status FROM theazo.run_get(:'r');
ROLLBACK;

-- what came with a restore is known by another name at its provider, so it is never in the list of ours, and not lost for that
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "vendor"}') \gset
SELECT tst.boot();
UPDATE theazo_data.sandbox SET instance = '7:1', started_at = started_at - interval '1 h', billed_until = now() WHERE agent_id = :'a';
SELECT theazo_internal.sandboxes_hold();
SELECT theazo_internal.sandboxes_release();
SELECT status, labelled FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT theazo_internal.keeper_sweep() >= 0;
SELECT theazo_internal.sweep_missing(w, clock_timestamp(), '{}') FROM theazo_data.compute_sweep w WHERE w.provider_name = 'vendor' AND w.platform_id = :'p';
SELECT status, missed FROM theazo_data.sandbox WHERE agent_id = :'a';
-- and ours again
UPDATE theazo_data.sandbox SET status = 'held', status_before_hold = 'ready', instance = '7:2', labelled = theazo_internal.instance() WHERE agent_id = :'a';
SELECT theazo_internal.sandboxes_release();
SELECT status, labelled FROM theazo_data.sandbox WHERE agent_id = :'a';
ROLLBACK;
