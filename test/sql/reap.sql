\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Reap') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Reap, other') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT id AS s2 FROM theazo.session_create('user-1', api_key => :'k2') \gset
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://one.example', api_key => :'k');
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://two.example', api_key => :'k2');

-- which kinds can list what they have: the contract of webhooks cannot, a dispatcher can
SELECT type, operation, support FROM theazo_internal.compute_operations() WHERE operation = 'sweep' AND type IN ('local', 'webhook') ORDER BY 1;
SELECT DISTINCT adapter FROM theazo_internal.sweep_accounts() WHERE adapter = 'webhook';

-- a provider is asked, as one that can list would be
CREATE FUNCTION tst.ask(p_platform text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE w theazo_data.compute_sweep;
BEGIN
	INSERT INTO theazo_data.compute_sweep (platform_id, provider_name, adapter) VALUES (p_platform, 'mine', 'webhook')
		ON CONFLICT ON CONSTRAINT compute_sweep_pkey DO NOTHING;
	SELECT * INTO w FROM theazo_data.compute_sweep x WHERE x.platform_id = p_platform AND x.provider_name = 'mine';
	PERFORM theazo_internal.sweep_ask(w);
	PERFORM tst.claim();
END $$;
-- and says that it has these: tag of ours and its own id
CREATE FUNCTION tst.listed(VARIADIC p_there text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tst.settle('compute.sweep', 'done', jsonb_build_object('complete', true, 'sandboxes', coalesce((
		SELECT jsonb_agg(jsonb_build_object('tag', split_part(t, ' ', 1), 'sandbox', split_part(t, ' ', 2),
			'instance', coalesce(nullif(split_part(t, ' ', 3), 'us'), theazo_internal.instance()), 'started_at', nullif(split_part(t, ' ', 4), ''))) FROM unnest(p_there) t WHERE t <> ''), '[]')));
	PERFORM theazo_internal.keeper_reap();
END $$;
-- moves the clock of what there is, so that it was made before the provider was asked
CREATE FUNCTION tst.older(p_seconds int) RETURNS void LANGUAGE sql AS $$
	UPDATE theazo_data.sandbox SET created_at = created_at - p_seconds * interval '1 s', started_at = started_at - p_seconds * interval '1 s',
		billed_until = billed_until - p_seconds * interval '1 s', seen_at = seen_at - p_seconds * interval '1 s', ended_at = ended_at - p_seconds * interval '1 s'
	 WHERE platform_id IN (SELECT platform_id FROM theazo_data.platform WHERE name LIKE 'Reap%')
$$;

-- one after the other
CREATE FUNCTION tst.swept(p_platform text, VARIADIC p_there text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tst.ask(p_platform);
	PERFORM tst.listed(VARIADIC p_there);
END $$;
-- an agent and its sandbox, which runs for so long
CREATE FUNCTION tst.running(p_session text, p_options jsonb DEFAULT '{}', OUT a text, OUT b text) LANGUAGE plpgsql AS $$
BEGIN
	SELECT x.id INTO a FROM theazo.agent_create(p_session, p_options) x;
	PERFORM tst.boot();
	SELECT x.sandbox_id INTO b FROM theazo.agent_get(a) x;
	PERFORM tst.older(100);
END $$;

-- rows without a sandbox: the first time it may be the list that is behind; the second time the row ends, owing up to when it was last seen
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT * FROM tst.running(:'s') \gset
SELECT tst.swept(:'p', :'b' || ' box-1 us');
SELECT status, missed, seen_at IS NOT NULL AS seen FROM theazo_data.sandbox WHERE id = :'b';
SELECT provider, listed, lost, reaped, error FROM theazo.compute_sweeps;
UPDATE theazo_data.sandbox SET seen_at = started_at + interval '41.5 s' WHERE id = :'b';
SELECT tst.swept(:'p', '');
SELECT status, missed FROM theazo_data.sandbox WHERE id = :'b';
-- asked again soon
SELECT due_at < clock_timestamp() + interval '31 s' AS soon FROM theazo.compute_sweeps;
SELECT tst.swept(:'p', '');
SELECT status, missed, ended_at - started_at AS lived FROM theazo_data.sandbox WHERE id = :'b';
SELECT sum(quantity) FROM theazo.charges WHERE item = 'compute.second';
SELECT status, sandbox_id FROM theazo.agent_get(:'a');
SELECT listed, lost, reaped FROM theazo.compute_sweeps;
SELECT action, summary - 'sandbox' FROM theazo.events WHERE action IN ('sandbox_lost', 'sandbox_reaped') ORDER BY id;
-- it works on, in a new one
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT * FROM tst.claim();
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- seen again after it was missed once: nothing has happened
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT * FROM tst.running(:'s') \gset
SELECT tst.swept(:'p', '');
SELECT tst.swept(:'p', :'b' || ' box-1 us');
SELECT status, missed FROM theazo_data.sandbox WHERE id = :'b';
-- a part of a list says nothing about what is not in it
SELECT tst.ask(:'p');
SELECT tst.settle('compute.sweep', 'done', '{"sandboxes": [], "complete": false}');
SELECT theazo_internal.keeper_reap() >= 0;
SELECT status, missed FROM theazo_data.sandbox WHERE id = :'b';
-- nor does an answer that is none
SELECT tst.ask(:'p');
SELECT tst.settle('compute.sweep', 'failed', '{"message": "no route", "sqlstate": "TZ402"}');
SELECT theazo_internal.keeper_reap() >= 0;
SELECT listed, error FROM theazo.compute_sweeps;
ROLLBACK;

-- made after the provider was asked, or being made: not missed
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'p');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
CREATE TEMPORARY TABLE asked AS SELECT * FROM tst.claimed;
SELECT tst.boot();
DELETE FROM tst.claimed;
INSERT INTO tst.claimed SELECT * FROM asked;
SELECT tst.listed('');
SELECT status, missed FROM theazo.sandboxes JOIN theazo_data.sandbox USING (id, status);
ROLLBACK;

-- sandboxes without a row: of ours they are destroyed, each by its provider's name
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT id AS b FROM theazo.sandboxes \gset
SELECT status FROM theazo.agent_terminate(:'a');
SELECT * FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done');
SELECT status FROM theazo.sandboxes;
SELECT tst.older(100);
SELECT theazo_internal.id_new('sbx') AS b2 \gset
SELECT tst.ask(:'p');
-- its row has ended; no row at all; one of another database; one that was not made by us; nonsense
SELECT tst.listed(:'b' || ' box-1 us', :'b2' || ' box-2 us', :'b2' || ' box-3 7:7', 'their-own box-4 us', 'sbx_ box-5 us');
SELECT * FROM tst.claim();
SELECT request ->> 'sandbox' AS destroyed, request ->> 'tag' = :'b' AS known FROM tst.claimed ORDER BY 1;
SELECT tst.settle('compute.destroy', 'done');
SELECT lost, reaped FROM theazo.compute_sweeps;
SELECT summary - 'sandbox', agent_id = :'a' AS agent FROM theazo.events WHERE action = 'sandbox_reaped' ORDER BY id;
SELECT message LIKE 'sandbox % was still there at mine and is destroyed' AS said FROM theazo.logs WHERE message LIKE '%still there%';
-- nobody pays for it
SELECT sum(cents), count(*) FROM theazo.charges WHERE item = 'compute.second';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- what one platform's provider lists does not reach another platform's rows
BEGIN;
SELECT theazo.authenticate(:'k2');
SELECT * FROM tst.running(:'s2') \gset
SELECT tst.swept(:'p', :'b' || ' box-9 us');
SELECT * FROM tst.claim();
SELECT status, missed FROM theazo_data.sandbox WHERE id = :'b';
ROLLBACK;

-- a second machine for one creation: the one that is known stays
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT * FROM tst.running(:'s') \gset
SELECT tst.swept(:'p', :'b' || ' box-1 us', :'b' || ' box-1b us');
SELECT kind FROM tst.claim();
SELECT request ->> 'sandbox' AS destroyed FROM tst.claimed;
SELECT status FROM theazo.sandboxes;
ROLLBACK;

-- the answer of a creation was lost: what it made is found by its tag, destroyed, and booked as it is: by the provider's word, else by an estimate
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'unknown', '{"message": "no answer", "maybe_sent": true}');
SELECT id AS b, status FROM theazo.sandboxes WHERE provider = 'mine' \gset
SELECT :'status';
SELECT tst.older(100);
UPDATE theazo_data.effect SET claimed_at = claimed_at - interval '95 s' WHERE sandbox_id = :'b';
SELECT tst.swept(:'p', :'b' || ' box-7 us');
SELECT kind FROM tst.claim() WHERE kind = 'compute.destroy';
SELECT status FROM theazo_data.sandbox WHERE id = :'b';
-- on the platform's own account time is counted and costs nothing here
SELECT quantity BETWEEN 95 AND 110 AS seconds, cents, estimated, payer FROM theazo.charges WHERE item = 'compute.second';
-- found again before it is gone: not booked twice
SELECT tst.swept(:'p', :'b' || ' box-7 us');
SELECT count(*) FROM theazo.charges WHERE item = 'compute.second';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
-- on the operator's it is paid
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT * FROM tst.claim();
UPDATE theazo_data.sandbox SET managed = true WHERE agent_id = :'a';
SELECT tst.settle('compute.create', 'unknown', '{"message": "no answer", "maybe_sent": true}');
SELECT tst.older(100);
SELECT id AS b, extract(epoch FROM created_at)::bigint + 10 AS t FROM theazo.sandboxes WHERE provider = 'mine' \gset
SELECT tst.swept(:'p', :'b' || ' box-7 us ' || :'t');
SELECT quantity BETWEEN 88 AND 105 AS seconds, cents > 0 AS paid, estimated, payer FROM theazo.charges WHERE item = 'compute.second';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- rows that are nobody's: the agent has another one, or what made or ended it is no more; booked as they end
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT * FROM tst.running(:'s', '{"provider": "theazo"}') \gset
UPDATE theazo_data.agent SET sandbox_id = NULL WHERE id = :'a';
SELECT theazo_internal.keeper_reap() >= 0;
SELECT status FROM theazo.sandboxes;
SELECT sum(quantity) BETWEEN 100 AND 130 AS booked, count(*) FROM theazo.charges WHERE item = 'compute.second';
SELECT theazo_internal.keeper_reap() >= 0;
SELECT * FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done');
SELECT status FROM theazo.sandboxes;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
UPDATE theazo_data.effect SET state = 'cancelled', finished_at = now() WHERE agent_id = :'a' AND kind = 'compute.create';
SELECT theazo_internal.keeper_reap() >= 0;
SELECT tst.older(100);
SELECT theazo_internal.keeper_reap() >= 0;
SELECT status FROM theazo.sandboxes;
SELECT status, error FROM theazo.agent_get(:'a');
SELECT status, error_sqlstate, error_message FROM theazo.run_get(:'r');
ROLLBACK;

-- could not be destroyed: again later, less and less often
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT status FROM theazo.agent_terminate(:'a');
UPDATE theazo_data.effect SET max_attempts = 1 WHERE agent_id = :'a';
SELECT * FROM tst.claim();
UPDATE theazo_data.effect SET attempt = 9 WHERE agent_id = :'a' AND kind = 'compute.destroy';
UPDATE tst.claimed SET attempt = 9;
SELECT tst.settle('compute.destroy', 'failed', '{"message": "no route", "sqlstate": "TZ402"}');
SELECT status, round(extract(epoch FROM reap_at - clock_timestamp()) / 60) AS minutes FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT theazo_internal.keeper_reap() >= 0;
UPDATE theazo_data.sandbox SET reap_at = now() WHERE agent_id = :'a';
SELECT theazo_internal.keeper_reap() >= 0;
SELECT status, reaps FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT * FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done');
SELECT status, reap_at FROM theazo_data.sandbox WHERE agent_id = :'a';
SELECT n, theazo_internal.reap_wait(n) FROM unnest('{0,1,7,8,9,10}'::int[]) n;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
