-- The process of a command that is cut: asked to end where its provider can, and only then.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Stop') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT name FROM theazo.provider_set('fly', config => '{"app": "boxes"}', api_key => :'k');
SELECT name FROM theazo.provider_set('hook', type => 'webhook', endpoint => 'https://one.example', api_key => :'k');

-- an effect for each kind that can, and the word that it can
SELECT o.type, o.support, EXISTS (SELECT FROM theazo_internal.effect_kinds() k WHERE k.adapter = o.type AND k.kind = 'compute.stop') AS asked
  FROM theazo_internal.compute_operations() o WHERE o.operation = 'stop' AND (o.support = 'none' OR o.type = 'local')
    OR o.operation = 'create' AND o.type IN ('e2b', 'daytona', 'fly') ORDER BY 1;

CREATE FUNCTION tst.stops() RETURNS TABLE (kind text, of_exec boolean, sandbox text, secrets text[]) LANGUAGE sql AS $$
	SELECT e.kind, ep.request ->> 'exec' = (SELECT x.id FROM theazo_data.effect x WHERE x.kind = 'compute.exec' ORDER BY x.id DESC LIMIT 1), b.external_id,
		   ARRAY(SELECT DISTINCT s.use FROM theazo_internal.effect_secrets(e.platform_id, e.root_id, e.id) s)
	  FROM theazo_data.effect e JOIN theazo_data.effect_payload ep USING (platform_id, root_id, id)
	  LEFT JOIN theazo_data.sandbox b ON b.platform_id = e.platform_id AND b.id = e.sandbox_id
	 WHERE e.kind = 'compute.stop'
$$;
CREATE FUNCTION tst.cut(p_agent text, p_state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_run text := (SELECT x.id FROM theazo.exec_start(p_agent, 'sh', 'sleep 600') x);
BEGIN
	PERFORM count(*) FROM tst.claim();
	PERFORM theazo_internal.effect_sent(ARRAY[e.root_id]::text[], ARRAY[e.id]::text[], ARRAY[e.attempt]) FROM theazo_data.effect e WHERE e.run_id = v_run;
	PERFORM tst.settle('compute.exec', p_state);
	RETURN (SELECT x.status FROM theazo.run_get(v_run) x);
END
$$;

BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "fly"}') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-1"}');
SELECT status FROM theazo.sandboxes;
-- never begun: there is nothing to end
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'sleep 600') \gset
SELECT status FROM theazo.run_cancel(:'r');
SELECT * FROM tst.stops();
SELECT tst.cut(:'a', 'cancelled');
SELECT * FROM tst.stops();
-- ended by itself
UPDATE theazo_data.effect SET kind = 'probe.noop' WHERE kind = 'compute.stop';
SELECT tst.cut(:'a', 'failed');
SELECT * FROM tst.stops();
-- cut in between two looks at it
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'sleep 600') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.exec', 'next', '{"state": {"phase": "watch"}}');
SELECT status FROM theazo.run_cancel(:'r');
SELECT kind, of_exec FROM tst.stops();
SELECT status FROM theazo.run_get(:'r');
-- a halt keeps it from nothing
SELECT count(*) FROM theazo.halt(reason => 'drill');
SELECT count(*) FROM tst.claim();
SELECT kind FROM tst.claimed WHERE kind = 'compute.stop';
ROLLBACK;

-- one whose provider cannot goes on until its limit
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "hook"}') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "vm-2"}');
SELECT tst.cut(:'a', 'cancelled');
SELECT * FROM tst.stops();
ROLLBACK;
