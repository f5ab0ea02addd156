\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Keeper') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT j, count(*) FROM theazo_internal.keeper_jobs() WITH ORDINALITY x (j, o) GROUP BY 1 ORDER BY min(o);
-- every job is there and may be called by the worker's role, and by nobody else
SELECT j, has_function_privilege('theazo_worker', 'theazo_internal.' || j || '()', 'EXECUTE') AS worker, has_function_privilege('theazo_app', 'theazo_internal.' || j || '()', 'EXECUTE') AS app
  FROM (SELECT DISTINCT j FROM theazo_internal.keeper_jobs() j) j (j) ORDER BY 1;
BEGIN;
SET LOCAL ROLE theazo_worker;
SELECT theazo_internal.keeper_turn() BETWEEN '1 s' AND '60 s';
SELECT theazo_internal.keeper_hold() >= 0, theazo_internal.keeper_expire() >= 0, theazo_internal.keeper_meter() >= 0, theazo_internal.keeper_agents() >= 0, theazo_internal.keeper_prune() >= 0, theazo_internal.keeper_retention() >= 0;
SELECT theazo_internal.keeper_leases() >= 0, theazo_internal.keeper_keys() >= 0, theazo_internal.keeper_partitions() >= 0;
RESET ROLE;
-- this month and three more, of everything
SELECT parent, count(*) >= 4 FROM theazo.operator_partitions WHERE NOT is_default AND to_time > now() GROUP BY 1 ORDER BY 1;
SELECT * FROM theazo.integrity_check() WHERE platform_id IS NULL;
ROLLBACK;
-- it comes back when the next idle minute is due
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
UPDATE theazo_data.sandbox SET billed_until = clock_timestamp() - interval '40 s' WHERE agent_id = :'a';
SELECT theazo_internal.keeper_turn() BETWEEN '5 s' AND '20 s';
ROLLBACK;
