\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Executions') \gset
BEGIN;
SELECT theazo.authenticate(:'k') \g /dev/null
SELECT id AS g FROM theazo.governed_register('one', 'return 1') \gset

-- what holds for an execution is remembered from one to the next, and follows each change of what it is made of
CREATE FUNCTION tst.held() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint := (theazo.execution_start('one')).execution_id;
BEGIN
	RETURN (SELECT concat_ws(' ', x.policy #>> '{run,memory_mb}', x.policy #>> '{run,max_api_calls}', x.policy #>> '{guardrails,contentFilter}', x.policy -> 'scopes')
			  FROM theazo_data.execution x WHERE x.number = n);
END $$;
SELECT tst.held(), tst.held() AS again;
SELECT max_memory_mb FROM theazo.platform_policy_set(max_memory_mb => 64);
SELECT tst.held(), tst.held() AS again;
SAVEPOINT before;
SELECT max_memory_mb FROM theazo.platform_policy_set(max_memory_mb => 32);
SELECT tst.held();
ROLLBACK TO SAVEPOINT before;
SELECT tst.held();
SELECT max_memory_mb FROM theazo.platform_policy_set();
SELECT theazo.guardrails_set('{"contentFilter": "strict"}') ->> 'contentFilter' AS filter;
SELECT tst.held(), tst.held() AS again;
SELECT revision FROM theazo.governed_update('one', '{"config": {"max_api_calls_per_run": 7}}');
SELECT tst.held(), tst.held() AS again;
SELECT revision FROM theazo.governed_update('one', '{"permissions": ["storage:read"]}');
SELECT tst.held(), tst.held() AS again;

-- the view and the function show the same of an execution
SELECT execution_id AS x, run_id AS r FROM theazo.execution_start('one', '{"a": 1}') \gset
SELECT d = theazo.execution_get(:'x') AS same, d = theazo.execution_get(:'r') AS by_run FROM theazo.execution_details d WHERE d.execution_id = :x;
-- and so does what a start returns
SELECT s::text AS shown, s.execution_id AS n FROM theazo.execution_start('one') s \gset
SELECT e::text = :'shown' AS same FROM theazo.executions e WHERE e.execution_id = :n;

ROLLBACK;
