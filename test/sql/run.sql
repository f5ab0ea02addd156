\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k, test AS kt FROM tst.platform('Runs') \gset
SELECT live AS other FROM tst.platform('Runs, other') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT id AS s2 FROM theazo.session_create('user-2', api_key => :'k') \gset

-- exec: from a call to its result
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT id AS r, status, kind, language, provider, timeout_ms, cost, exit_code, duration_ms FROM theazo.exec_start(:'a', 'Shell', 'echo hi', '90 s', '{"A": "1"}') \gset
SELECT :'status', :'kind', :'language', :'provider', :timeout_ms, :cost;
-- the agent boots: the work waits for its sandbox
SELECT status, run_id = :'r' FROM theazo.agents WHERE id = :'a';
SELECT kind, state, due_at = 'infinity', run_id = :'r' FROM theazo_data.effect WHERE platform_id = :'p' ORDER BY kind;
SELECT tst.boot();
SELECT status FROM theazo.agents WHERE id = :'a';
SELECT status FROM theazo.sandboxes;
SELECT * FROM tst.claim();
SELECT request - 'sandbox' - 'records', request ->> 'sandbox', timeout_ms, endpoint, needs_secrets, trace = 'tr_' || substr(:'r', 5), content FROM tst.claimed;
SELECT status, started_at IS NOT NULL, ended_at FROM theazo.run_get(:'r');
-- one exec at a time
SELECT tst.try(format($$SELECT theazo.exec_start(%L, 'sh', 'true')$$, :'a'));
SELECT tst.settle('compute.exec', 'done', '{"stdout": "hi\n", "stderr": "", "exit_code": 3, "truncated": false, "timed_out": false, "cpu_ms": 5, "peak_rss_kb": 900}', p_ms => 1200);
SELECT status, stdout, stderr, exit_code, duration_ms, cost, truncated, entries, content, metrics, error_code FROM theazo.run_result(:'r');
SELECT status, run_id FROM theazo.agents WHERE id = :'a';
SELECT item, quantity, cents, payer, estimated, run_id = :'r' FROM theazo.charges ORDER BY interval_start, run_id;
SELECT action, category, run_id = :'r' AS run, tst.mask((summary - 'durationMs')::text) FROM theazo.events WHERE agent_id = :'a' ORDER BY occurred_at, action;
SELECT level, source, message, metadata FROM theazo.logs WHERE run_id = :'r';
SELECT name, status, duration_ms >= 1200, cents FROM theazo.traces;
SELECT name, status, parent_id = trace_id AS child, attributes FROM theazo.spans WHERE trace_id = 'tr_' || substr(:'r', 5) ORDER BY name, child;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
-- the same again is refused: it has ended
SELECT tst.try(format($$SELECT theazo.run_cancel(%L)$$, :'r'));
ROLLBACK;

-- what can go wrong
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
-- timed out: the run fails, what was printed stays
SELECT id AS r FROM theazo.exec_start(:'a', 'python', 'while True: pass', '2 s') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"stdout": "part", "stderr": "", "exit_code": 124, "timed_out": true}', p_ms => 2200);
SELECT status, stdout, exit_code, error_sqlstate, error_code, error_message, error_hint, cost FROM theazo.run_result(:'r');
-- the provider fails
SELECT id AS r FROM theazo.exec_start(:'a', 'js', '1') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.exec', 'failed', '{"code": "provider_error", "sqlstate": "TZ409", "message": "runtime \"node\" is not installed", "hint": "Install it.", "http_status": 500}');
SELECT status, language, error_sqlstate, error_code, error_message, error_hint, outcome_unknown FROM theazo.run_get(:'r');
SELECT level, source, message, metadata FROM theazo.logs WHERE source = 'provider';
-- the outcome is unknown: booked by estimate, beyond the three seconds that are
UPDATE theazo_data.sandbox SET started_at = clock_timestamp() - interval '0.1 s' WHERE agent_id = :'a';
SELECT id AS r FROM theazo.exec_start(:'a', 'bash', 'true') \gset
SELECT * FROM tst.claim();
SELECT tst.settle('compute.exec', 'unknown', '{"message": "connection reset"}', p_ms => 4200);
SELECT status, error_sqlstate, error_message, error_hint, outcome_unknown FROM theazo.run_get(:'r');
SELECT quantity, estimated FROM theazo.charges WHERE run_id = :'r';
-- cancelled before it was taken
SELECT id AS r FROM theazo.exec_start(:'a', 'bash', 'true') \gset
SELECT status, cancel_requested FROM theazo.run_cancel(:'r');
SELECT status FROM theazo.run_cancel(:'r');
SELECT status, run_id FROM theazo.agents WHERE id = :'a';
SELECT count(*) FROM tst.claim();
SELECT count(*) FROM theazo.charges WHERE run_id = :'r';
-- cancelled in flight: its dispatcher cuts it
SELECT id AS r FROM theazo.exec_start(:'a', 'bash', 'sleep 9') \gset
SELECT * FROM tst.claim();
SELECT status, cancel_requested FROM theazo.run_cancel(:'r');
SELECT attempt FROM theazo_internal.effect_cancels(7);
SELECT tst.settle('compute.exec', 'cancelled', p_ms => 6200);
SELECT status, error_code, cost > 0 FROM theazo.run_get(:'r');
SELECT status FROM theazo.agents WHERE id = :'a';
SELECT action, count(*) FROM theazo.events WHERE agent_id = :'a' AND category IN ('execution', 'control') GROUP BY 1 ORDER BY 1;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- files and metrics
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT id AS w FROM theazo.file_write_start(:'a', 'data//./x/../in.csv', '\x000102') \gset
SELECT id AS rd FROM theazo.file_read_start(:'a', '/data/out.bin') \gset
SELECT id AS l FROM theazo.file_list_start(:'a') \gset
SELECT id AS m FROM theazo.metrics_start(:'a') \gset
-- they may run beside an exec
SELECT kind, status FROM theazo.exec_start(:'a', 'sh', 'true');
SELECT * FROM tst.claim();
SELECT kind, request - 'sandbox' - 'records', content FROM tst.claimed ORDER BY kind;
SELECT tst.settle('compute.write', 'done'), tst.settle('compute.read', 'done', '{"size": 3}', '\xff00fe'),
	tst.settle('compute.list', 'done', '{"entries": [{"name": "in.csv", "size": 3, "is_dir": false}]}'), tst.settle('compute.metrics', 'done', '{"cpu_percent": 1.5, "memory_mb": 12, "disk_mb": 1}');
SELECT kind, status, entries, content, metrics, cost FROM theazo.run_results WHERE id IN (:'w', :'rd', :'l', :'m') ORDER BY kind;
SELECT status FROM theazo.agents WHERE id = :'a';
-- an address, as the provider gives it; a local sandbox has none
SELECT tst.try(format('SELECT theazo.port_expose_start(%L, 8080)', :'a'));
SELECT name FROM theazo.provider_set('hosts', endpoint => 'https://hosts.example') \gset
SELECT id AS h FROM theazo.agent_create(:'s', '{"provider": "hosts"}') \gset
SELECT tst.boot();
SELECT id AS pe FROM theazo.port_expose_start(:'h', 8080) \gset
SELECT * FROM tst.claim();
SELECT kind, request - 'sandbox' AS request FROM tst.claimed;
SELECT tst.settle('compute.expose_port', 'done', '{"url": "https://8080-box.example/?t=1"}');
SELECT kind, status, url FROM theazo.run_results WHERE id = :'pe';
SELECT p, tst.code(format('SELECT theazo.port_expose_start(%L, %L)', :'h', p)) FROM unnest('{0,65536,NULL}'::text[]) p;
SELECT category, action, summary - 'sandbox' FROM theazo.events WHERE run_id = :'pe' ORDER BY id;
-- no such file
SELECT id AS rd FROM theazo.file_read_start(:'a', '/nope') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('compute.read', 'failed', '{"code": "not_found", "sqlstate": "42704", "message": "file \"/nope\" does not exist"}');
SELECT status, error_sqlstate, error_code, error_message FROM theazo.run_get(:'rd');
ROLLBACK;

-- bad input: an error in the field's words, nothing half done
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT l, tst.try(format('SELECT theazo.exec_start(%L, %L, %L)', :'a', l, '1')) FROM unnest(ARRAY['ruby', '', NULL, E'py\nthon']) l;
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, NULL)', :'a', 'sh'));
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L)', :'a', 'sh', repeat('x', 1048577)));
SELECT t, tst.try(format('SELECT theazo.exec_start(%L, %L, %L, %L)', :'a', 'sh', '1', t)) FROM unnest(ARRAY['0', '-1 s', '25 hours']) t;
SELECT e, tst.try(format('SELECT theazo.exec_start(%L, %L, %L, env => %L)', :'a', 'sh', '1', e)) FROM unnest(ARRAY['[]', '{"1A": "x"}', '{"A=B": "x"}', '{"A": 1}', '{"THEAZO_X": "y"}', '"x"']) e;
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L, env => %L)', :'a', 'sh', '1', (SELECT jsonb_object_agg('V' || n, '') FROM generate_series(1, 65) n)));
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L, env => %L)', :'a', 'sh', '1', jsonb_build_object('A', repeat('x', 32768))));
SELECT f, tst.try(format('SELECT theazo.file_read_start(%L, %L)', :'a', f)) FROM unnest(ARRAY['', '..', '/../etc/passwd', 'a/../../b', '/', 'a/', E'a\tb', '.']) f;
SELECT tst.try(format('SELECT theazo.file_read_start(%L, %L)', :'a', repeat('a/', 3000)));
SELECT tst.try(format('SELECT theazo.file_read_start(%L, %L)', :'a', repeat('a', 300)));
SELECT tst.try(format('SELECT theazo.file_read_start(%L, NULL)', :'a'));
SELECT tst.try(format('SELECT theazo.file_write_start(%L, %L, NULL)', :'a', 'x'));
SELECT tst.try(format('SELECT theazo.file_write_start(%L, %L, convert_to(repeat(%L, 16777217), %L))', :'a', 'x', 'x', 'UTF8'));
SELECT tst.try(format('SELECT theazo.file_list_start(%L, %L)', :'a', '/a/../..'));
-- unknown and foreign ids read the same
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L)', i, 'sh', '1')) FROM unnest(ARRAY['agt_00000000000000000000000000', 'x', NULL]) i;
SELECT tst.try(format('SELECT theazo.run_get(%L)', i)) FROM unnest(ARRAY['run_00000000000000000000000000', 'x', '%', NULL]) i;
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', '1') \gset
SELECT tst.try(format('SELECT theazo.%s(%L, api_key => %L)', f, :'r', :'other')) FROM unnest(ARRAY['run_get', 'run_result', 'run_cancel']) f;
SELECT tst.try(format('SELECT theazo.run_get(%L, %L)', :'r', :'kt'));
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L, api_key => %L)', :'a', 'sh', '1', :'other'));
-- nothing of all this left a trace
SELECT theazo.authenticate(:'k');
SELECT count(*) FROM theazo.runs;
-- waiting here would wait for ever
SELECT tst.try(format('SELECT theazo.run_wait(%L)', :'r'));
ROLLBACK;
SELECT tst.try(format('SELECT theazo.run_wait(%L, %L, %L)', 'run_00000000000000000000000000', '1 s', :'k'));
SELECT tst.try(format('SELECT theazo.run_wait(%L, %L, %L)', 'run_00000000000000000000000000', '-1 s', :'k'));
SELECT tst.try($$SELECT theazo.run_get('run_00000000000000000000000000')$$);

-- the same request sent twice is one run
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true', idempotency_key => 'one') \gset
SELECT id = :'r' FROM theazo.exec_start(:'a', 'shell', 'true', idempotency_key => 'one');
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L, idempotency_key => %L)', :'a', 'sh', 'false', 'one'));
SELECT k, tst.try(format('SELECT theazo.exec_start(%L, %L, %L, idempotency_key => %L)', :'a', 'sh', 'false', k)) FROM unnest(ARRAY['', repeat('x', 256), E'a\nb']) k;
SELECT count(*) FROM theazo.runs;
-- for a day
UPDATE theazo_data.idempotency_key SET created_at = now() - '25 hours'::interval WHERE platform_id = :'p';
SELECT theazo_internal.keeper_prune();
ROLLBACK;

-- states that take no work
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.boot();
SELECT status FROM theazo.agent_pause(:'a');
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L)', :'a', 'sh', '1'));
SELECT tst.try(format('SELECT theazo.file_list_start(%L)', :'a'));
SELECT status FROM theazo.agent_resume(:'a');
SELECT status FROM theazo.session_pause(:'s');
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L)', :'a', 'sh', '1'));
SELECT status FROM theazo.session_resume(:'s');
SELECT status FROM theazo.exec_start(:'a', 'sh', '1');
-- terminating cancels what runs
SELECT count(*) FROM tst.claim();
SELECT status FROM theazo.agent_terminate(:'a');
SELECT count(*) FROM theazo_internal.effect_cancels(7);
SELECT tst.settle('compute.exec', 'cancelled');
SELECT status, error_code FROM theazo.runs;
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L)', :'a', 'sh', '1'));
SELECT * FROM tst.claim();
SELECT tst.settle('compute.destroy', 'done');
SELECT status FROM theazo.sandboxes;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- one end user sees no other's
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', '1') \gset
SELECT theazo.act_as(:'s2') IS NOT NULL;
SELECT tst.try(format('SELECT theazo.run_get(%L)', :'r'));
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L)', :'a', 'sh', '1'));
SELECT (SELECT count(*) FROM theazo.runs), (SELECT count(*) FROM theazo.run_results), (SELECT count(*) FROM theazo.sandboxes), (SELECT count(*) FROM theazo.charges),
	(SELECT count(*) FROM theazo.traces), (SELECT count(*) FROM theazo.logs);
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT theazo.act_as(:'s') IS NOT NULL;
SELECT status FROM theazo.exec_start(:'a', 'sh', '1');
ROLLBACK;

-- scopes
SELECT key AS ro FROM theazo.api_key_create('ro', scopes => '{run:read}', platform => :'p') \gset
SELECT tst.try(format('SELECT theazo.exec_start(%L, %L, %L, api_key => %L)', 'agt_00000000000000000000000000', 'sh', '1', :'ro'));
SELECT tst.code(format('SELECT theazo.run_get(%L, %L)', 'run_00000000000000000000000000', :'ro'));
