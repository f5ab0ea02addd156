\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
-- what each template gives executions, and holds them to: also those that others start
SELECT platform AS p, live AS k FROM tst.platform('Templates') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
CREATE FUNCTION tst.started(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v text := (theazo.execution_start(name)).run_id;
BEGIN PERFORM tst.claim(); RETURN v; END $$;
CREATE FUNCTION tst.call(run text, n integer, fn text, args jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT theazo_internal.host_calls(jsonb_build_array(jsonb_build_object('platform', r.platform_id, 'root', substr(r.id, 5), 'call', n, 'fn', fn, 'args', args,
		'at', clock_timestamp(), 'slot', 3, 'deadline', clock_timestamp() + '20 s'::interval))) -> 0 FROM theazo_data.run r WHERE r.id = run
$$;
CREATE VIEW tst.template AS SELECT * FROM (VALUES ('STRICT', 65536, 100, 512, 180), ('STANDARD', 262144, 500, 1024, 600), ('DEV', 1048576, 10000, 2048, 1800)) t (t, source, calls, memory, seconds);

-- what is given by itself, the most that can be asked for, and a little more
CREATE FUNCTION tst.limits(template text, limits jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_run text;
BEGIN
	PERFORM theazo.governed_register('limits ' || template || limits::text, 'return 1', sandbox => template, limits => limits);
	v_run := tst.started('limits ' || template || limits::text);
	RETURN (SELECT concat_ws(' ', x.policy #>> '{run,memory_mb}', x.policy #>> '{run,time_ms}', x.policy #>> '{run,max_api_calls}', x.policy #>> '{run,calls_per_minute}')
			  FROM theazo_data.execution x WHERE x.run_id = v_run);
END $$;
SELECT t, tst.limits(t, '{}') AS given, tst.limits(t, jsonb_build_object('maxMemoryMb', memory, 'maxExecutionTimeSec', seconds, 'maxApiCallsPerRun', calls)) AS most FROM tst.template;
SELECT t, tst.code(format($$SELECT theazo.governed_register('more', 'x', sandbox => %L, limits => '{"maxMemoryMb": %s}')$$, t, memory + 1)) AS memory,
	tst.code(format($$SELECT theazo.governed_register('more', 'x', sandbox => %L, limits => '{"maxExecutionTimeSec": %s}')$$, t, seconds + 1)) AS time,
	tst.code(format($$SELECT theazo.governed_register('more', 'x', sandbox => %L, limits => '{"maxApiCallsPerRun": %s}')$$, t, calls + 1)) AS calls,
	tst.code(format($$SELECT theazo.governed_register('more %s', repeat('x', %s), sandbox => %L)$$, t, source, t)) AS source,
	tst.code(format($$SELECT theazo.governed_register('more', repeat('x', %s), sandbox => %L)$$, source + 1, t)) AS larger,
	tst.code(format($$SELECT theazo.governed_register('net %s', 'x', '{"allow_network": true}', sandbox => %L)$$, t, t)) AS network,
	tst.code(format($$SELECT theazo.governed_register('unsafe %s', 'x', '{"content_safety": false}', sandbox => %L)$$, t, t)) AS unsafe FROM tst.template;

-- calls of one execution: as many as it may make, and so many a minute
CREATE FUNCTION tst.calls(p_template text, max integer, n integer) RETURNS TABLE (answered integer, codes text, rules text, violations bigint, within boolean) LANGUAGE plpgsql AS $$
DECLARE
	v_run	text;
	v_from	timestamptz;
	v_rate	integer := (SELECT t.calls_per_minute FROM theazo_internal.templates() t WHERE t.template = p_template);
	v_first	integer;
	c		jsonb;
BEGIN
	PERFORM theazo.governed_register('calls ' || p_template || max, 'return 1', jsonb_build_object('max_api_calls_per_run', max), sandbox => p_template);
	v_run := tst.started('calls ' || p_template || max);
	v_from := clock_timestamp();
	answered := 0;
	codes := '';
	FOR i IN 1..n LOOP
		c := tst.call(v_run, i, 'read_context', '["k"]');
		answered := answered + (c ? 'ok')::integer;
		v_first := coalesce(v_first, CASE WHEN c ? 'error' THEN i END);
		codes := CASE WHEN c ? 'error' AND position(c #>> '{error,code}' IN codes) = 0 THEN codes || (c #>> '{error,code}') ELSE codes END;
	END LOOP;
	SELECT string_agg(DISTINCT e.action || ' ' || e.rule, ',') , count(*) INTO rules, violations FROM theazo.events e WHERE e.run_id = v_run AND e.is_violation;
	-- what the minute gives back while this takes its time
	within := coalesce(v_first > least(max, v_rate), true) AND answered <= least(max, v_rate + 1 + ceil(extract(epoch FROM clock_timestamp() - v_from) * v_rate / 60));
	IF v_rate < max THEN
		answered := NULL;
		violations := least(violations, 1);
	END IF;
	RETURN NEXT;
END $$;
SELECT t, c.* FROM (VALUES (1, 'STRICT', 20, 25), (2, 'STANDARD', 50, 55), (3, 'DEV', 100, 105), (4, 'STRICT', 100, 40), (5, 'STANDARD', 500, 80), (6, 'DEV', 1000, 400)) v (i, t, max, n)
 CROSS JOIN LATERAL tst.calls(v.t, v.max, v.n) c ORDER BY v.i;

-- executions that a run starts: ten an hour by each agent, whatever its template; each is held to its own
SELECT g.name FROM tst.template CROSS JOIN LATERAL theazo.governed_register('child ' || t, 'return 1', sandbox => t) g;
CREATE FUNCTION tst.swarm(template text, n integer) RETURNS TABLE (started bigint, code text, children text) LANGUAGE plpgsql AS $$
DECLARE
	v_run	text;
	v_code	text[] := '{}';
BEGIN
	PERFORM theazo.governed_register('boss ' || template || n, NULL, '{"instructions": "You share out.", "model": "openai/gpt-5.4"}', sandbox => template);
	v_run := (theazo.secure_agent_start('boss ' || template || n, '{"task": "Share it out."}')).run_id;
	FOR i IN 1..n LOOP
		v_code := v_code || tst.code(format('SELECT theazo.execution_start(%L, parent => %L)', 'child ' || (ARRAY['STRICT', 'STANDARD', 'DEV'])[i % 3 + 1], v_run));
	END LOOP;
	RETURN QUERY SELECT count(*), (SELECT string_agg(DISTINCT c, ',') FROM unnest(v_code) c WHERE c <> 'ok'),
			(SELECT string_agg(DISTINCT concat_ws(' ', g.name, x.policy #>> '{run,memory_mb}', x.policy #>> '{run,max_api_calls}', x.policy #>> '{run,calls_per_minute}'), ', ')
			   FROM theazo_data.execution x JOIN theazo_data.run r ON r.platform_id = x.platform_id AND r.id = x.run_id JOIN theazo_data.governed_agent g ON g.platform_id = x.platform_id AND g.id = x.agent_id WHERE r.parent_id = v_run)
	  FROM theazo_data.run r WHERE r.parent_id = v_run;
END $$;
SELECT t, s.* FROM tst.template CROSS JOIN LATERAL tst.swarm(t, 12) s;
-- the operator raises it
RESET SESSION AUTHORIZATION;
SELECT scope, per_minute, burst FROM theazo.operator_rate_limit_set('spawn', 20, 15);
SELECT s.started FROM tst.swarm('STRICT', 13) s;
SELECT theazo.operator_rate_limit_delete('spawn');
ROLLBACK;
