\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
-- Schedules and triggers: what they may be, when they are due, and what begins. Workers are those of 045_schedule.
SET timezone = 'UTC';

-- ---- times ----
SELECT * FROM theazo_internal.cron_next('30 9 * * mon-fri', 'Europe/Berlin', '2026-03-27 12:00+00') AS t;
-- 02:30 is not there on 29 March, and there twice on 25 October
SELECT * FROM theazo_internal.cron_next('30 2 * * *', 'Europe/Berlin', '2026-03-28 12:00+00') AS t;
SELECT * FROM theazo_internal.cron_next('30 2 * * *', 'Europe/Berlin', '2026-10-24 12:00+00') AS t;
SELECT * FROM theazo_internal.cron_next('30 2 * * *', 'Europe/Berlin', '2026-10-25 00:30+00') AS t;
SELECT * FROM theazo_internal.cron_next('*/15 * * * *', 'America/New_York', '2026-11-01 05:50+00') AS t;
SELECT * FROM theazo_internal.cron_next('0 12 30 12 *', 'Pacific/Apia', '2011-12-01 00:00+00') AS t;
SELECT * FROM theazo_internal.cron_next('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04 15:00+00') AS t;
SELECT * FROM theazo_internal.cron_next('0 0 * * *', 'Asia/Kathmandu', '2026-01-01 00:00:30.5+00') AS t;
SELECT theazo_internal.cron_next('0 0 30 2 *', 'UTC', now()) IS NULL AS never, theazo_internal.cron_next('* * * * *', 'UTC', 'infinity') IS NULL AS infinite;
SELECT theazo_internal.cron_next('* * * * *', 'UTC', '2026-01-01 00:00:59.999999+00');
-- years of summer time in one go: each day once, but for the day without 02:30
SELECT total FROM theazo_internal.cron_between('30 2 * * *', 'Europe/Berlin', '2026-01-01', '2027-01-01', 3);
SELECT total, times FROM theazo_internal.cron_between('0 0 1 * *', 'UTC', '2026-01-01', '2026-12-31', 3);
SELECT total, times FROM theazo_internal.cron_between('0 0 1 * *', 'UTC', '2026-01-02', '2026-01-31', 3);
SELECT tst.try(format('SELECT theazo_internal.cron_next(%L, %L, now())', c, z)) FROM (VALUES ('61 * * * *', 'UTC'), ('* * * *', 'UTC'), ('5/15 * * * *', 'UTC'), ('* * * * *', 'Mars/Phobos'), ('* * * * *', 'UTC+3'), ('* * * * *', 'Etc/GMT+13'),
	('* * * * *', 'localtime'), ('* * * * *', '')) v (c, z);
SELECT z, theazo_internal.cron_next('0 0 * * *', z, '2026-01-01 00:00+00') FROM unnest(ARRAY['Etc/GMT+3', 'Etc/GMT-14', 'EST5EDT', 'europe/berlin', 'America/Port-au-Prince', 'GMT']) z;

-- ---- who and what ----
SELECT platform AS plt, live AS k, test AS tk FROM tst.platform('Scheduled') \gset
SELECT platform AS plt2, live AS k2 FROM tst.platform('Strangers') \gset
SELECT key AS weak FROM theazo.api_key_create('weak', scopes => '{schedule:*,trigger:*}', platform => :'plt') \gset
SELECT key AS reader FROM theazo.api_key_create('reader', scopes => '{schedule:read}', platform => :'plt') \gset
SELECT theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:9/v1', api_key => :'k') IS NOT NULL;
SELECT id AS def FROM theazo.definition_create('reporter', '{"model": "gate/m", "instructions": "Report."}', api_key => :'k') \gset
SELECT id AS gov, number AS num FROM theazo.governed_register('sweeper', 'return input', api_key => :'k') \gset
SELECT id AS ses FROM theazo.session_create('alice', api_key => :'k') \gset
SELECT id AS agt FROM theazo.agent_create(:'ses', '{"model": "gate/m"}', api_key => :'k') \gset
UPDATE theazo_data.agent SET status = 'ready' WHERE id = :'agt';

SELECT id AS sch, name, target, agent, user_id, cron, timezone, input, overlap, catchup, jitter, status, next_run_at > now() AS later, last_run_at, fires, held
  FROM theazo.schedule_create('daily', 'reporter', '0 9 * * *', 'alice', 'Europe/Berlin', '{"task": "report", "day": 1}', api_key => :'k') \gset
\echo :name :target :agent :user_id :cron :timezone :input :overlap :catchup :jitter :status :later :last_run_at :fires :held
SELECT target FROM theazo.schedule_create('s', :'agt', '@daily', api_key => :'k');
SELECT target, user_id <> '' FROM theazo.schedule_create('s', 'governed:sweeper', '@daily', api_key => :'k');
SELECT target FROM theazo.schedule_create('s', :'gov', '@daily', api_key => :'k');
SELECT target FROM theazo.schedule_create('s', 'any role at all', '@daily', 'alice', jitter => '10 min', catchup => 'window', catchup_window => '1 h', api_key => :'k');
-- what cannot be meant
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT c, tst.try(format('SELECT theazo.schedule_create(' || c || ')', :'agt', :'gov')) FROM (VALUES
	($$'', 'r', '@daily', 'alice'$$),
	($$'s', NULL, '@daily', 'alice'$$),
	($$'s', 'r', '@daily'$$),
	($$'s', 'r', NULL, 'alice'$$),
	($$'s', 'r', '99 * * * *', 'alice'$$),
	($$'s', 'r', '0 0 31 2 *', 'alice'$$),
	($$'s', 'r', '@daily', 'alice', 'UTC+3'$$),
	($$'s', 'r', '@daily', 'alice', NULL$$),
	($$'s', 'r', '@daily', 'alice', input => '[]'$$),
	($$'s', 'r', '@daily', 'alice', overlap => 'wait'$$),
	($$'s', 'r', '@daily', 'alice', catchup => 'window'$$),
	($$'s', 'r', '@daily', 'alice', catchup_window => '1 h'$$),
	($$'s', 'r', '@daily', 'alice', jitter => '2 h'$$),
	($$'s', 'r', '@daily', 'alice', jitter => '-1 s'$$),
	($$'s', 'r', '@daily', 'alice', target => 'fleet'$$),
	($$'s', 'workflow:wf_1', '@daily', 'alice'$$),
	($$'s', 'adef_00000000000000000000000000', '@daily', 'alice'$$),
	($$'s', 'agt_00000000000000000000000000', '@daily', 'alice'$$),
	($$'s', 'governed:nobody', '@daily', 'alice'$$),
	($$'s', %1$L, '@daily', 'bob'$$),
	($$'s', %2$L, '@daily', max_cost => 5$$),
	($$'s', 'r', '@daily', 'alice', max_cost => -1$$)) v (c);
COMMIT;
-- who may not
SELECT tst.try(format($$SELECT theazo.schedule_create('s', 'r', '@daily', 'alice', api_key => %L)$$, x)) FROM unnest(ARRAY[:'weak', :'reader']) x;
SELECT count(*) FROM theazo.schedule_list(api_key => :'reader');
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id = :'ses' FROM theazo.act_as(:'ses');
SELECT count(*) FROM theazo.schedules;
SELECT tst.try(c) FROM (VALUES ('SELECT theazo.schedule_list()'), ($$SELECT theazo.trigger_create('t', 'r', 'alice')$$)) v (c);
ROLLBACK;

-- ---- looking and changing ----
SELECT count(*), count(*) FILTER (WHERE user_id = 'alice') FROM theazo.schedule_list(api_key => :'k');
SELECT name FROM theazo.schedule_get(:'sch', api_key => :'k');
SELECT cron, timezone, overlap, jitter, input FROM theazo.schedule_update(:'sch', '{"cron": "0 0 1 1 *", "timezone": "UTC", "overlap": "queue", "jitter": "30s", "input": {"n": 1}}', api_key => :'k');
SELECT tst.try(format('SELECT theazo.schedule_update(%L, %L, api_key => %L)', :'sch', c, :'k')) FROM (VALUES ('{"agent": "x"}'), ('{"cron": 5}'), ('{"cron": "* * *"}'), ('[]')) v (c);
SELECT overlap, jitter FROM theazo.schedule_update(:'sch', '{"overlap": "skip", "jitter": 0}', api_key => :'k');
SELECT status, next_run_at, paused_at IS NOT NULL FROM theazo.schedule_pause(:'sch', api_key => :'k');
SELECT status FROM theazo.schedule_pause(:'sch', api_key => :'k');
SELECT status, next_run_at > now(), paused_at FROM theazo.schedule_resume(:'sch', api_key => :'k');
SELECT tst.try(format('SELECT theazo.schedule_get(%L, api_key => %L)', :'sch', :'k2'));
SELECT t FROM theazo.cron_preview('0 9 * * 1', 'Europe/Berlin', 2, '2026-03-25', api_key => :'k') t;
SELECT tst.try(format($$SELECT theazo.cron_preview('0 9 * * 1', times => 0, api_key => %L)$$, :'k'));

-- ---- when its time has come: the operator's tick, with time moved ----
-- p_ago: its next time was so long ago
CREATE FUNCTION tst.came(p_schedule text, p_ago interval DEFAULT '0') RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	UPDATE theazo_data.schedule SET due_at = clock_timestamp() - p_ago, next_at = clock_timestamp() - p_ago WHERE id = p_schedule;
	RETURN theazo.operator_schedules_tick();
END $$;
CREATE FUNCTION tst.settled(p_schedule text, p_how text DEFAULT 'completed') RETURNS bigint LANGUAGE sql AS $$
	SELECT count(theazo_internal.run_finish(r.platform_id, r.id, p_how, '{"output": "done"}', NULL, CASE p_how WHEN 'failed' THEN '{"code": "broken", "message": "why"}'::jsonb END,
			2000000, NULL, clock_timestamp(), false, 'passed'))
	  FROM theazo_data.schedule_fire f JOIN theazo_data.run r ON r.id = f.run_id WHERE f.source_id = p_schedule AND r.status IN ('queued', 'running') $$;
CREATE VIEW tst.fires AS SELECT f.source_id, row_number() OVER (PARTITION BY f.source_id ORDER BY f.id) AS n, f.cause, f.status, f.error_code, f.run_id IS NOT NULL AS has_run FROM theazo_data.schedule_fire f;
SELECT tst.came(:'sch');
SELECT cause, due_at <= started_at AS on_time, e.status, s.user_id, cost, error_code, completed_at, source_id = :'sch' AS its
  FROM theazo.schedule_history(:'sch', api_key => :'k') e JOIN theazo_data.session s ON s.id = e.session_id;
SELECT fires, last_run_at IS NOT NULL AS ran, next_run_at > now() AS later FROM theazo.schedule_get(:'sch', api_key => :'k');
-- the same time again begins nothing
UPDATE theazo_data.schedule SET due_at = (SELECT due_at FROM theazo_data.schedule_fire WHERE source_id = :'sch'), next_at = now() WHERE id = :'sch';
SELECT theazo.operator_schedules_tick();
SELECT fires, skips FROM theazo.schedule_get(:'sch', api_key => :'k');
-- its task, its fee, and in whose name
SELECT p.input ->> 'task', l.role_name = current_user AS as_me, l.started_by[1] LIKE 'key:%' AS for_the_key, l.spent FROM theazo_data.schedule_fire f
  JOIN theazo_data.run_payload p ON p.root_id = substr(f.run_id, 5) JOIN theazo_data.run_loop l ON l.root_id = p.root_id WHERE f.source_id = :'sch';
SELECT item, amount, user_id FROM theazo_data.charge WHERE item = 'schedule.execution';
-- while it runs another is left, and by hand refused
SELECT tst.came(:'sch', '-2 min') AS not_yet, tst.came(:'sch', '1 s'), tst.came(:'sch', '2 s');
SELECT n, cause, status, error_code, has_run FROM tst.fires WHERE source_id = :'sch' ORDER BY n;
SELECT tst.try(format('SELECT theazo.schedule_run(%L, api_key => %L)', :'sch', :'k'));
SELECT tst.settled(:'sch');
SELECT status, cost, completed_at IS NOT NULL AS over FROM theazo.schedule_history(:'sch', api_key => :'k') ORDER BY id LIMIT 1;
SELECT theazo_internal.keeper_fires();
SELECT status, cost, completed_at IS NOT NULL AS over FROM theazo.schedule_history(:'sch', api_key => :'k') ORDER BY id LIMIT 1;
SELECT cause, status, due_at FROM theazo.schedule_run(:'sch', api_key => :'k');
SELECT tst.settled(:'sch', 'failed');
SELECT cause, status, error_code, tst.mask(error_message) FROM theazo.schedule_history(:'sch', 1, api_key => :'k');

-- ---- overlap ----
SELECT theazo.schedule_update(:'sch', '{"overlap": "queue"}', api_key => :'k') IS NULL;
SELECT tst.came(:'sch', '3 s'), tst.came(:'sch', '4 s'), tst.came(:'sch', '5 s');
SELECT n, cause, status FROM tst.fires WHERE source_id = :'sch' AND n > 4 ORDER BY n;
SELECT theazo.operator_schedules_tick(), tst.settled(:'sch'), theazo.operator_schedules_tick(), theazo.operator_schedules_tick();
SELECT n, cause, status, has_run FROM tst.fires WHERE source_id = :'sch' AND n > 4 ORDER BY n;
SELECT theazo.schedule_pause(:'sch', api_key => :'k') IS NULL;
SELECT n, cause, status, error_code FROM tst.fires WHERE source_id = :'sch' AND n > 6 ORDER BY n;
SELECT tst.settled(:'sch');
SELECT theazo.schedule_resume(:'sch', api_key => :'k') IS NULL, theazo.schedule_update(:'sch', '{"overlap": "parallel"}', api_key => :'k') IS NULL;
SELECT tst.came(:'sch', '6 s'), tst.came(:'sch', '7 s');
SELECT n, cause, status FROM tst.fires WHERE source_id = :'sch' AND n > 7 ORDER BY n;
-- the one before is cancelled, and those that waited go
SELECT theazo.schedule_update(:'sch', '{"overlap": "cancel_previous"}', api_key => :'k') IS NULL;
SELECT tst.came(:'sch', '8 s');
SELECT r.status, count(*) FROM theazo_data.schedule_fire f JOIN theazo_data.run r ON r.id = f.run_id WHERE f.source_id = :'sch' AND r.status IN ('cancelled', 'running') GROUP BY 1 ORDER BY 1;
SELECT n, cause, status, error_code FROM tst.fires WHERE source_id = :'sch' AND n > 7 ORDER BY n;
SELECT tst.came(:'sch', '9 s');
SELECT n, cause, status, error_code FROM tst.fires WHERE source_id = :'sch' AND n > 9 ORDER BY n;
SELECT tst.settled(:'sch') >= 0, theazo_internal.keeper_fires() >= 0, theazo.operator_schedules_tick() >= 0, tst.settled(:'sch') >= 0;

-- ---- missed times: each policy, an hour away, a time every ten minutes ----
SELECT theazo.schedule_update(:'sch', '{"overlap": "skip", "cron": "* * * * *"}', api_key => :'k') IS NULL;
DELETE FROM theazo_data.schedule_fire WHERE source_id = :'sch';
SELECT tst.came(:'sch', '10 min') > 0;
SELECT cause, status, error_code, count(*) BETWEEN 9 AND 10 AS all_of_them FROM tst.fires WHERE source_id = :'sch' GROUP BY 1, 2, 3 ORDER BY count(*) DESC LIMIT 1;
SELECT misses BETWEEN 9 AND 10 AS counted, next_run_at > now() - interval '1 minute' AS goes_on FROM theazo.schedule_get(:'sch', api_key => :'k');
SELECT theazo.schedule_update(:'sch', '{"catchup": "last"}', api_key => :'k') IS NULL;
DELETE FROM theazo_data.schedule_fire WHERE source_id = :'sch';
SELECT tst.came(:'sch', '10 min') > 0;
SELECT count(*) FILTER (WHERE cause = 'late' AND status = 'running') AS made_up, count(*) FILTER (WHERE error_code = 'schedule_missed') BETWEEN 8 AND 9 AS others FROM tst.fires WHERE source_id = :'sch';
SELECT tst.settled(:'sch') > 0, theazo.schedule_update(:'sch', '{"catchup": "all"}', api_key => :'k') IS NULL;
DELETE FROM theazo_data.schedule_fire WHERE source_id = :'sch';
SELECT tst.came(:'sch', '10 min') > 0;
SELECT count(*) FILTER (WHERE cause = 'late' AND status = 'running') AS first, count(*) FILTER (WHERE cause = 'late' AND status = 'queued') BETWEEN 8 AND 9 AS then FROM tst.fires WHERE source_id = :'sch';
SELECT tst.settled(:'sch') > 0, theazo.schedule_update(:'sch', '{"catchup": "window", "catchup_window": "5m30s"}', api_key => :'k') IS NULL;
DELETE FROM theazo_data.schedule_fire WHERE source_id = :'sch';
SELECT tst.came(:'sch', '10 min') > 0;
SELECT count(*) FILTER (WHERE cause = 'late') BETWEEN 4 AND 5 AS within, count(*) FILTER (WHERE error_code = 'schedule_missed') BETWEEN 4 AND 6 AS older FROM tst.fires WHERE source_id = :'sch';
-- a year of minutes: the last hundred by themselves
SELECT tst.settled(:'sch') > 0, theazo.schedule_update(:'sch', '{"catchup": "none"}', api_key => :'k') IS NULL;
DELETE FROM theazo_data.schedule_fire WHERE source_id = :'sch';
UPDATE theazo_data.schedule SET misses = 0 WHERE id = :'sch';
SELECT tst.came(:'sch', '365 days') > 0;
SELECT count(*) FILTER (WHERE error_code = 'schedule_missed') AS rows FROM tst.fires WHERE source_id = :'sch';
SELECT misses BETWEEN 525590 AND 525610 AS counted FROM theazo.schedule_get(:'sch', api_key => :'k');

-- ---- what does not begin ----
-- in a copy of the database, until the operator lets it
UPDATE theazo_data.schedule SET instance = 'another';
SELECT tst.came(:'sch', '0');
SELECT held FROM theazo.schedule_get(:'sch', api_key => :'k');
SELECT theazo.effects_release();
SELECT held FROM theazo.schedule_get(:'sch', api_key => :'k');
DELETE FROM theazo_data.schedule_fire;
-- where the session is paused, or the budget is used up: it is told, and the next time comes
SELECT theazo.session_pause(s.id, api_key => :'k') IS NULL FROM theazo_data.session s WHERE s.user_id = 'alice' AND s.status = 'active';
SELECT tst.came(:'sch', '0') > 0;
SELECT status, error_code, tst.mask(error_message), cost, completed_at IS NOT NULL AS over FROM theazo.schedule_history(:'sch', 1, api_key => :'k');
SELECT theazo.session_resume(s.id, api_key => :'k') IS NULL FROM theazo_data.session s WHERE s.user_id = 'alice' AND s.status = 'paused';
SELECT theazo.user_budget_set(1, user_id => 'alice', api_key => :'k') IS NULL;
SELECT tst.came(:'sch', '1 s') > 0;
SELECT status, error_code, error_message ~ 'is used up' AS told FROM theazo.schedule_history(:'sch', 1, api_key => :'k');
SELECT theazo.user_budget_delete('alice', api_key => :'k');
SELECT theazo.halt('now', api_key => :'k') IS NULL;
SELECT tst.came(:'sch', '2 s') > 0;
SELECT status, error_code FROM theazo.schedule_history(:'sch', 1, api_key => :'k');
SELECT theazo.unhalt(api_key => :'k') IS NULL;
SELECT theazo.schedule_pause(:'sch', api_key => :'k') IS NULL;
-- an agent that is there, and a governed one
SELECT id AS run, target FROM theazo.schedule_create('run', :'agt', '@daily', input => '{"task": "hello"}', api_key => :'k') \gset
SELECT tst.came(:'run', '0'), tst.came(:'run', '1 s');
SELECT n, status, error_code FROM tst.fires WHERE source_id = :'run' ORDER BY n;
SELECT agent_id = :'agt' AS its FROM theazo.schedule_history(:'run', api_key => :'k') WHERE status = 'running';
SELECT id AS gsch FROM theazo.schedule_create('gov', 'governed:sweeper', '@daily', input => '{"n": 2}', api_key => :'k') \gset
SELECT tst.came(:'gsch', '0');
SELECT f.status, f.agent_id = :'gov' AS its, f.cost, x.mode, p.input -> 'input' AS input FROM theazo.schedule_history(:'gsch', api_key => :'k') f
  JOIN theazo_data.execution x ON x.run_id = f.run_id JOIN theazo_data.run_payload p ON p.root_id = substr(f.run_id, 5);
-- whatever is missing later is what became of that time
SELECT tst.settled(:'gsch');
UPDATE theazo_data.schedule SET agent_id = 'agt_00000000000000000000000000' WHERE id = :'gsch';
SELECT tst.came(:'gsch', '1 s');
SELECT n, status, error_code FROM tst.fires WHERE source_id = :'gsch' ORDER BY n;
-- deleted: nothing begins, and what was stays
SELECT name FROM theazo.schedule_delete(:'gsch', api_key => :'k');
SELECT count(*) FROM theazo_data.schedule_fire WHERE source_id = :'gsch';

-- ---- triggers ----
SELECT id AS trg, secret AS sec, secret ~ '^trgsec_[A-Za-z0-9_-]{43}$' AS whole, target, fires FROM theazo.trigger_create('hook', 'reporter', 'alice', api_key => :'k') \gset
\echo :whole :target :fires
SELECT secret ~ '^trgsec_...…$' AS short FROM theazo.trigger_get(:'trg', api_key => :'k');
SELECT count(*), min(name) FROM theazo.trigger_list(api_key => :'k');
SELECT tst.try(format('SELECT theazo.trigger_create(%L, %L, api_key => %L)', 'x', 'r', :'k'));
SELECT tst.try(format('SELECT theazo.trigger_get(%L, api_key => %L)', :'trg', :'k2'));
CREATE FUNCTION tst.sign(body text, secret text) RETURNS text LANGUAGE sql RETURN encode(public.hmac(convert_to(body, 'UTF8'), convert_to(secret, 'UTF8'), 'sha256'), 'hex');
SELECT theazo.trigger_fire(:'trg', '{"task": "look", "n": 1}', tst.sign('{"task": "look", "n": 1}', :'sec')) ~ '^exe_' AS fired;
SELECT theazo.trigger_fire(:'trg', '{"task": "look", "n": 1}', 'sha256=' || upper(tst.sign('{"task": "look", "n": 1}', :'sec'))) ~ '^exe_' AS again;
SELECT theazo.trigger_fire(:'trg', b, tst.sign(b, :'sec')) ~ '^exe_' FROM unnest(ARRAY['plain ä', '[1, 2]', '', '7']) b;
SELECT input FROM theazo_data.schedule_fire WHERE source_id = :'trg' ORDER BY id;
SELECT p.input ->> 'task' FROM theazo_data.schedule_fire f JOIN theazo_data.run_payload p ON p.root_id = substr(f.run_id, 5) WHERE f.source_id = :'trg' ORDER BY f.id;
SELECT cause, status, cost, count(*) FROM theazo.trigger_history(:'trg', api_key => :'k') GROUP BY 1, 2, 3;
SELECT fires, last_fired_at IS NOT NULL AS fired FROM theazo.trigger_get(:'trg', api_key => :'k');
SELECT tst.try(format('SELECT theazo.trigger_fire(%L, %L, %L)', t, 'body', s)) FROM (VALUES (:'trg', NULL), (:'trg', ''), (:'trg', 'sha256='), (:'trg', repeat('0', 64)), (:'trg', repeat('g', 64)),
	(:'trg', tst.sign('body ', :'sec')), (:'trg', tst.sign('body', 'trgsec_')), ('trg_00000000000000000000000000', tst.sign('body', :'sec')), (NULL, 'x')) v (t, s);
SELECT tst.try(format('SELECT theazo.trigger_fire(%L, repeat(%L, 1048577), %L)', :'trg', 'x', repeat('0', 64)));
-- its own platform needs no signature, another one no luck
SELECT theazo.trigger_fire(:'trg', '{}', api_key => :'k') ~ '^exe_';
SELECT tst.try(format('SELECT theazo.trigger_fire(%L, %L, api_key => %L)', :'trg', '{}', x)) FROM unnest(ARRAY[:'k2', :'weak']) x;
-- whoever fired it is nobody afterwards
BEGIN;
SELECT theazo.trigger_fire(:'trg', 'x', tst.sign('x', :'sec')) IS NULL;
ROLLBACK;
SELECT tst.try('SELECT theazo.schedule_list()');
-- only the trigger's platform sees it
SELECT tst.try(format('SELECT theazo.trigger_history(%L, api_key => %L)', :'trg', :'k2'));
SELECT theazo.trigger_delete(:'trg', api_key => :'k') IS NULL;
SELECT count(*) FROM theazo_data.data_key WHERE id LIKE 'trk\_%';
SELECT tst.try(format('SELECT theazo.trigger_fire(%L, %L, %L)', :'trg', 'x', tst.sign('x', :'sec')));

-- ---- erased with its person ----
SELECT theazo.user_erase('alice', api_key => :'k') IS NULL;
SELECT count(*) FROM theazo_data.schedule WHERE user_id = 'alice';

-- ---- in the trail ----
SELECT action, count(*) > 0 FROM theazo_data.event WHERE platform_id = :'plt' AND (action LIKE 'schedule%' OR action LIKE 'trigger%') GROUP BY 1 ORDER BY 1;
-- nothing is left for the tests behind
UPDATE theazo_data.effect SET state = 'cancelled', finished_at = now() WHERE platform_id = :'plt' AND state IN ('queued', 'claimed', 'sent');
