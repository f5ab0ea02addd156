\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k, test AS kt FROM tst.platform('Logs') \gset
SELECT live AS other FROM tst.platform('Logs, other') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.log_write(:'p', NULL, 'warn', 'provider', 'key th_live_0123456789 shown, ' || repeat('x', 9000), 'live', :'s', p_metadata => '{"secret": "x", "n": 1}') \gset
SELECT level, source, left(message, 25), length(message) <= 4000, session_id = :'s', metadata FROM theazo.logs ORDER BY id;
SELECT tst.code(format($$SELECT theazo_internal.log_write(%L, NULL, 'fatal', 'provider', 'x', 'live')$$, :'p')), tst.code(format($$SELECT theazo_internal.log_write(%L, NULL, 'info', 'nobody', 'x', 'live')$$, :'p'));
-- a test key and another platform see nothing of it
SELECT theazo.authenticate(:'kt');
SELECT count(*) FROM theazo.logs;
SELECT theazo.authenticate(:'other');
SELECT count(*) FROM theazo.logs;
ROLLBACK;

-- figures over many runs
BEGIN;
SELECT theazo.authenticate(:'k');
INSERT INTO theazo_data.run (platform_id, id, session_id, agent_id, user_id, environment, kind, provider, timeout_ms, status, started_at, ended_at, cost)
	SELECT :'p', theazo_internal.id_new('run'), :'s', theazo_internal.id_new('agt'), 'u', 'live', 'exec', 'x', 1, CASE WHEN n <= 5 THEN 'failed' ELSE 'completed' END,
		   t, t + n * interval '10 ms', n * 1000000
	  FROM generate_series(1, 100) n, (VALUES (date_bin('1 h', now(), 'epoch'))) v (t);
SELECT b ->> 'p50', b ->> 'p95', b ->> 'p99' FROM jsonb_array_elements(theazo.metrics_query('exec.duration', now() - interval '2 h', now() + interval '1 h', '1 h')) b;
SELECT jsonb_array_length(theazo.metrics_query('latency', now() - interval '2 h', now() + interval '1 h', '2 s'));
SELECT b ->> 'p50' FROM jsonb_array_elements(theazo.metrics_query('cost', now() - interval '2 h', now() + interval '1 h', '1 d')) b;
SELECT jsonb_array_length(theazo.metrics_query('cost', '1900-01-01', now() + interval '1 h', '30 d')), theazo.metrics_query('cost', '1900-01-01', '1950-01-01', '30 d');
SELECT theazo.metrics_query('tokens', now() - interval '2 h', now(), '1 h');
SELECT theazo.metrics_summary();
SELECT tst.try(c) FROM unnest(ARRAY[$$SELECT theazo.metrics_query('speed', now() - interval '1 h', now(), '1 h')$$, $$SELECT theazo.metrics_query(NULL, now() - interval '1 h', now(), '1 h')$$,
	$$SELECT theazo.metrics_query('cost', now(), now() - interval '1 h', '1 h')$$, $$SELECT theazo.metrics_query('cost', now() - interval '1 h', now(), '0')$$, $$SELECT theazo.metrics_query('cost', now() - interval '1 h', now(), NULL)$$,
	$$SELECT theazo.metrics_query('cost', now() - interval '10 y', now(), '1 s')$$, $$SELECT theazo.metrics_query('cost', '-infinity', now(), '1 h')$$]) c;
ROLLBACK;

-- what somebody altered by hand is told, and nothing is written to it
BEGIN;
ALTER TABLE theazo_data.log ADD COLUMN more integer DEFAULT 1;
SELECT tst.try(format($$SELECT theazo_internal.log_write(%L, NULL, 'info', 'agent', 'x', 'live')$$, :'p'));
ROLLBACK;
BEGIN;
ALTER TABLE theazo_data.log RENAME COLUMN message TO words;
SELECT tst.try(format($$SELECT theazo_internal.log_write(%L, NULL, 'info', 'agent', 'x', 'live')$$, :'p'));
ROLLBACK;
BEGIN;
CREATE FUNCTION tst.no_row(text) RETURNS integer LANGUAGE c AS '$libdir/theazo', 'theazo_api_key_make';
SELECT tst.try($$SELECT tst.no_row('th_live')$$);
ROLLBACK;
BEGIN;
SELECT theazo_internal.log_write(:'p', NULL, 'info', 'agent', 'x', 'live');
ROLLBACK;
