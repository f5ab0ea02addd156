\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
-- What webhooks are told of sessions, agents and their runs.
\set ECHO none
-- what is told since the last look, in order: name and data
CREATE SEQUENCE tst.looked;
CREATE TABLE tst.told_before (id text PRIMARY KEY);
CREATE FUNCTION tst.told() RETURNS TABLE (event text, data text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY
	WITH new AS (
		SELECT p.id, convert_from(p.content, 'UTF8')::jsonb AS body FROM theazo_data.effect e
		  JOIN theazo_data.effect_payload p ON p.platform_id = e.platform_id AND p.root_id = e.root_id AND p.id = e.id
		 WHERE e.kind = 'webhook.deliver' AND NOT EXISTS (SELECT FROM tst.told_before b WHERE b.id = e.id)),
	noted AS (INSERT INTO tst.told_before SELECT n.id FROM new n RETURNING id)
	SELECT n.body ->> 'type', tst.mask((n.body -> 'data')::text) FROM new n ORDER BY n.id;
END $$;
CREATE FUNCTION tst.said(t text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('text', t, 'stop', 'end', 'tool_calls', '[]'::jsonb, 'wire', jsonb_build_object('role', 'assistant', 'content', t)::text,
		'request_id', 'req_1', 'usage', '{"input": 1000, "cache_read": 100, "output": 50, "reasoning": 5, "estimated": false}'::jsonb)
$$;
\set ECHO all
SELECT platform AS p, live AS k, test AS t FROM tst.platform('Told') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
COMMIT;

-- nobody listens: nothing is queued
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s FROM theazo.session_create('user-0') \gset
SELECT * FROM tst.told();

-- a session
SELECT count(theazo.webhook_create('https://all.example/', '{*}'));
SELECT id AS s FROM theazo.session_create('user-1', metadata => '{"plan": "pro"}', limits => '{"maxAgents": 5}') \gset
SELECT count(theazo.session_update_limits(:'s', '{"maxAgents": 6}'));
SELECT count(theazo.session_pause(:'s')), count(theazo.session_pause(:'s'));
SELECT count(theazo.session_resume(:'s'));
SELECT * FROM tst.told();

-- an agent: made, paused, woken, at work, ended
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT * FROM tst.told();
SELECT status FROM theazo.agent_pause(:'a');
SELECT tst.settle('compute.pause', 'done', '{"snapshot": "snap"}');
SELECT status FROM theazo.agent_resume(:'a');
SELECT * FROM tst.told();
SELECT tst.settle('compute.resume', 'done', '{"sandbox": "box-1"}');
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s FROM theazo.session_create('user-1') \gset
SELECT id AS a FROM theazo.agent_create(:'s', '{"model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT count(theazo.webhook_create('https://all.example/', '{agent.completed,agent.failed,agent.terminated}'));
SELECT id AS r FROM theazo.run_start(:'a', 'Say hello') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('model.call', 'done', tst.said('Hello'));
SELECT event, regexp_replace(regexp_replace(data, '"durationMs": \d+', '"durationMs": (ms)'), '"duration": "[0-9.]+s"', '"duration": (text)') FROM tst.told();
SELECT id AS r FROM theazo.run_start(:'a', 'Say hello again') \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('model.call', 'failed', '{"code": "provider_error", "message": "the model said no", "http_status": 400}');
SELECT event, regexp_replace(regexp_replace(data, '"durationMs": \d+', '"durationMs": (ms)'), '"duration": "[0-9.]+s"', '"duration": (text)') FROM tst.told();
-- a run that was cancelled has neither completed nor failed
SELECT id AS r FROM theazo.run_start(:'a', 'Say hello once more') \gset
SELECT count(theazo.run_cancel(:'r'));
SELECT * FROM tst.told();
SELECT status FROM theazo.agent_terminate(:'a');
SELECT * FROM tst.told();
-- one whose sandbox cannot be made has failed without a run
SELECT id AS a FROM theazo.agent_create(:'s', '{}') \gset
DO $$ BEGIN PERFORM tst.claim(); END $$;
SELECT tst.settle('compute.create', 'failed', '{"message": "no room", "http_status": 500}');
SELECT status FROM theazo.agents WHERE id = :'a';
SELECT * FROM tst.told();
-- each object is the one that its GET shows
SELECT theazo_internal.session_document(s) = theazo_internal.rest_session(v) AS same FROM theazo_data.session s JOIN theazo.sessions v ON v.id = s.id WHERE s.id = :'s';
SELECT DISTINCT theazo_internal.agent_document(a) = theazo_internal.rest_agent(v) AS same FROM theazo_data.agent a JOIN theazo.agents v ON v.id = a.id;
-- a session that has ended, to whoever asked for that
SELECT count(theazo.webhook_create('https://more.example/', '{session.terminated}'));
SELECT status FROM theazo.session_terminate(:'s');
SELECT * FROM tst.told() t WHERE t.event = 'session.terminated';
-- another environment's webhook hears nothing of it
ROLLBACK;
BEGIN;
SELECT count(theazo.webhook_create('https://test.example/', '{*}', :'t'));
SELECT theazo.authenticate(:'k');
SELECT count(theazo.session_create('user-1'));
SELECT * FROM tst.told();
ROLLBACK;
