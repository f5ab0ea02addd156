\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
-- How many calls a model provider gets at once, and none while it keeps failing.
SELECT platform AS p, live AS k FROM tst.platform('Gate') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Gate, other') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT id AS s2 FROM theazo.session_create('user-2', api_key => :'k2') \gset
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1', limits => '{"maxConcurrent":2}', api_key => :'k') \gset

CREATE FUNCTION tst.ours(p text) RETURNS boolean LANGUAGE sql AS $$ SELECT EXISTS (SELECT FROM theazo_data.platform x WHERE x.platform_id = p AND x.name LIKE 'Gate%') $$;
CREATE FUNCTION tst.start(p_session text, p_n int DEFAULT 1, p_task text DEFAULT 'task', p_options jsonb DEFAULT '{"model":"m"}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..p_n LOOP
		PERFORM theazo.session_run(p_session, NULL, p_task || ' ' || i, p_options);
		-- ids order by the millisecond
		PERFORM pg_sleep(0.002);
	END LOOP;
END $$;
-- the calls that one claim takes: which tasks, where to
CREATE FUNCTION tst.calls() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tst.claim();
	RETURN QUERY SELECT concat(rp.input ->> 'task', ' at ', e.provider_name, ', attempt ', c.attempt) FROM tst.claimed c
	  JOIN theazo_data.effect e USING (platform_id, root_id, id) JOIN theazo_data.run_payload rp USING (platform_id, root_id)
	 WHERE c.kind = 'model.call' AND tst.ours(c.platform_id) ORDER BY c.id;
END $$;
-- settles all that was claimed, or the one of a task
CREATE FUNCTION tst.answer(p_verdict text, p_result jsonb DEFAULT '{}', p_task text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(theazo_internal.effect_done(ARRAY[e.platform_id::text], ARRAY[e.root_id::text], ARRAY[e.id::text], ARRAY[e.attempt], ARRAY[p_verdict],
		ARRAY[CASE p_verdict WHEN 'done' THEN '{"text":"hello","stop":"end","wire":"{}","usage":{"input":10,"output":5}}' ELSE '{}' END::jsonb || p_result], ARRAY[NULL]::bytea[],
		ARRAY[e.claimed_at], ARRAY[clock_timestamp()]))
	  FROM theazo_data.effect e JOIN theazo_data.run_payload rp USING (platform_id, root_id)
	 WHERE e.kind = 'model.call' AND e.state IN ('claimed', 'sent') AND tst.ours(e.platform_id) AND (p_task IS NULL OR rp.input ->> 'task' = p_task) $$;
CREATE VIEW tst.now AS
	SELECT rp.input ->> 'task' AS task, r.status, r.error_sqlstate, r.error_message,
		   (SELECT string_agg(concat_ws(' ', e.state, CASE WHEN e.state = 'queued' THEN CASE e.due_at WHEN 'infinity' THEN 'at the gate' END END), ', ' ORDER BY e.id)
			  FROM theazo_data.effect e WHERE e.run_id = r.id AND e.kind = 'model.call') AS calls
	  FROM theazo_data.run r JOIN theazo_data.run_payload rp ON rp.platform_id = r.platform_id AND rp.root_id = substr(r.id, 5) WHERE tst.ours(r.platform_id) ORDER BY r.id;

-- the limit: the oldest go first, the next when one has ended
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.start(:'s', 5);
SELECT DISTINCT waiting FROM theazo.effects WHERE kind = 'model.call' AND due_at = 'infinity';
SELECT tst.calls();
SELECT tst.calls();
SELECT tst.answer('done', p_task => 'task 2');
SELECT tst.calls();
-- one that is to be asked again keeps its place
SELECT tst.answer('retry', '{"class":"transient","message":"busy"}', 'task 1');
SELECT tst.calls();
SELECT tst.due();
SELECT tst.calls();
SELECT tst.answer('failed', '{"class":"caller","http_status":400,"message":"no"}');
SELECT tst.calls();
-- who waits can be cancelled, and runs out of time
SELECT tst.start(:'s', 2, 'late');
SELECT tst.calls();
SELECT status FROM theazo.run_cancel((SELECT 'run_' || root_id FROM theazo_data.run_payload WHERE input ->> 'task' = 'late 1'));
UPDATE theazo_data.effect SET deadline = clock_timestamp() - interval '1 s' WHERE root_id = (SELECT root_id FROM theazo_data.run_payload WHERE input ->> 'task' = 'late 2');
SELECT theazo_internal.effects_expire();
SELECT * FROM tst.now;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- a limit that changes counts at once; without an entry nobody waits for it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.start(:'s', 7);
SELECT tst.calls();
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1', limits => '{"maxConcurrent":1}') \gset
SELECT tst.answer('done', p_task => 'task 1');
SELECT tst.calls();
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1', limits => '{"maxConcurrent":3}') \gset
SELECT tst.calls();
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1') \gset
SELECT tst.start(:'s', 1, 'free');
SELECT tst.calls();
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1', limits => '{"maxConcurrent":1}') \gset
SELECT tst.start(:'s', 1, 'gone');
SELECT tst.calls();
SELECT name FROM theazo.provider_delete('one', 'model') \gset
SELECT tst.calls();
ROLLBACK;

-- a dead dispatcher leaves nothing behind: its calls end as unknown, and others get their places
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.start(:'s', 3);
SELECT tst.calls();
SELECT theazo_internal.leases_reclaim('{}');
SELECT tst.calls();
SELECT * FROM tst.now;
SELECT DISTINCT s.state, s.estimated, c.estimated, c.amount, c.input_tokens > 0 AS counted FROM theazo_data.step s JOIN theazo_data.charge c USING (platform_id, root_id) WHERE s.state = 'unknown' AND tst.ours(s.platform_id);
ROLLBACK;

-- the operator's account: one limit for all platforms, which take turns
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_delete('one', 'model') \gset
SELECT name FROM theazo.operator_provider_set('ours', 'model', 'anthropic', limits => '{"maxConcurrent":2}') \gset
SELECT tst.start(:'s', 4, 'first', '{}');
SELECT theazo.authenticate(:'k2');
SELECT tst.start(:'s2', 2, 'second', '{}');
SELECT tst.calls();
SELECT tst.answer('done');
SELECT tst.calls();
SELECT tst.answer('done');
SELECT tst.calls();
ROLLBACK;

-- what is asked again, and when: twice more, after 0.5 s and 1 s, or when the provider says, within a minute
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.start(:'s');
CREATE TEMP TABLE w (at timestamptz) ON COMMIT DROP;
INSERT INTO w SELECT clock_timestamp() FROM tst.calls();
SELECT tst.answer('retry', '{"class":"transient","message":"busy"}');
SELECT due_at BETWEEN w.at + '0.5 s' AND clock_timestamp() + '0.5 s' AS after_half_a_second FROM theazo_data.effect, w WHERE kind = 'model.call' AND due_at > w.at;
SELECT tst.due();
SELECT tst.calls();
UPDATE w SET at = clock_timestamp();
SELECT tst.answer('retry', '{"class":"rate","message":"slow down","http_status":429}');
SELECT due_at BETWEEN w.at + '1 s' AND clock_timestamp() + '1 s' AS after_a_second FROM theazo_data.effect, w WHERE kind = 'model.call' AND due_at > w.at;
SELECT tst.due();
SELECT tst.calls();
SELECT tst.answer('retry', '{"class":"rate","message":"slow down","http_status":429}');
SELECT * FROM tst.now;
SELECT tst.start(:'s', 2, 'told');
SELECT tst.calls();
UPDATE w SET at = clock_timestamp();
SELECT tst.answer('retry', '{"class":"rate","message":"slow down","retry_after_ms":20000}', 'told 1');
SELECT tst.answer('retry', '{"class":"rate","message":"slow down","retry_after_ms":61000}', 'told 2');
SELECT due_at BETWEEN w.at + '20 s' AND clock_timestamp() + '20 s' AS after_twenty_seconds FROM theazo_data.effect, w WHERE kind = 'model.call' AND due_at > w.at;
SELECT task, status, error_message FROM tst.now WHERE task LIKE 'told%';
ROLLBACK;

-- five failures in a row: it rests, and others are asked meanwhile
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1', priority => 1) \gset
SELECT tst.start(:'s', 4);
SELECT tst.calls();
SELECT tst.answer('failed', '{"class":"transient","message":"down"}');
SELECT name, failures, last_error, state FROM theazo.provider_health;
-- one that answers ends the row
SELECT tst.start(:'s', 1, 'good');
SELECT tst.calls();
SELECT tst.answer('done');
SELECT count(*) FROM theazo.provider_health;
SELECT tst.start(:'s', 5, 'bad');
SELECT count(*) FROM tst.calls();
SELECT tst.answer('failed', '{"class":"transient","message":"down"}');
SELECT name, failures, last_error, state, ceil(extract(epoch FROM open_until - clock_timestamp()) / 5) * 5 AS s FROM theazo.provider_health;
-- nobody else: it waits for the end of the rest, then one goes to see
SELECT tst.start(:'s', 3, 'later');
SELECT tst.calls();
SELECT theazo_internal.effect_next_due(0) = open_until AS wakes FROM theazo_data.provider_health;
UPDATE theazo_data.provider_health SET open_until = clock_timestamp();
SELECT tst.calls();
SELECT tst.calls();
SELECT name, failures, state, ceil(extract(epoch FROM open_until - clock_timestamp()) / 5) * 5 AS s FROM theazo.provider_health;
SELECT tst.answer('failed', '{"class":"transient","message":"down"}');
SELECT name, failures, state, ceil(extract(epoch FROM open_until - clock_timestamp()) / 5) * 5 AS s FROM theazo.provider_health;
UPDATE theazo_data.provider_health SET open_until = clock_timestamp();
SELECT tst.calls();
-- nothing is heard of it: the next goes
UPDATE theazo_data.provider_health SET open_until = clock_timestamp();
SELECT tst.calls();
SELECT tst.start(:'s', 2, 'last');
SELECT tst.answer('done');
SELECT count(*) FROM theazo.provider_health;
SELECT tst.calls();
SELECT tst.answer('done');
-- used up: at once, for longer than a run may take
SELECT tst.start(:'s', 1, 'paid');
SELECT tst.calls();
SELECT tst.answer('failed', '{"class":"quota","message":"no money","http_status":429}');
SELECT name, failures, last_error, state, ceil(extract(epoch FROM open_until - clock_timestamp()) / 5) * 5 AS s FROM theazo.provider_health;
SELECT tst.start(:'s', 1, 'poor');
SELECT * FROM tst.now WHERE task LIKE 'p%';
-- who brings a key of one's own is not out of money
SELECT tst.start(:'s', 1, 'own', '{"model":{"provider":"one","credentialRef":"k","model":"m"}}');
SELECT tst.calls();
SELECT tst.answer('done');
-- another entry serves meanwhile
SELECT name FROM theazo.provider_set('two', 'model', endpoint => 'https://two.example/v1', priority => 9) \gset
SELECT tst.start(:'s', 1, 'rich');
SELECT tst.calls();
SELECT tst.answer('failed', '{"class":"transient","message":"down"}');
SELECT * FROM tst.now WHERE task LIKE 'r%';
-- a new entry begins anew
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1') \gset
SELECT name FROM theazo.provider_health;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- a chain: the next provider, then the next model; what is wrong with the request ends it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('two', 'model', endpoint => 'https://two.example/v1') \gset
SELECT tst.start(:'s', 1, 'chain', '{"model":"m","modelFallback":["n"]}');
SELECT tst.calls();
SELECT tst.answer('failed', '{"class":"auth","message":"no key","http_status":401}');
SELECT tst.calls();
SELECT tst.answer('failed', '{"class":"too_long","message":"too long","http_status":400}');
SELECT tst.calls();
SELECT tst.answer('done', '{"text":"at last"}');
SELECT name, state, provider, attempts FROM theazo_data.step WHERE tst.ours(platform_id);
SELECT status, p.result ->> 'output' AS output FROM theazo_data.run JOIN theazo_data.run_payload p ON p.root_id = substr(run.id, 5) WHERE tst.ours(run.platform_id);
SELECT message FROM theazo_data.log WHERE source = 'model' AND tst.ours(platform_id) ORDER BY 1;
SELECT tst.start(:'s', 1, 'wrong', '{"model":"m","modelFallback":["n"]}');
SELECT tst.calls();
SELECT tst.answer('failed', '{"class":"caller","message":"bad request","http_status":400}');
SELECT * FROM tst.now;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- a provider that says when to come back is left alone until then, at this model, and that is nobody's failure
BEGIN;
SELECT theazo.authenticate(:'k');
CREATE VIEW tst.health AS SELECT name, model, state, failures, last_error, ceil(extract(epoch FROM open_until - clock_timestamp()) / 10) * 10 AS s FROM theazo.provider_health ORDER BY name, model;
CREATE VIEW tst.waits AS SELECT rp.input ->> 'task' AS task, e.provider_name, e.due_at = 'infinity' AS gate, e.due_at BETWEEN h.open_until AND h.open_until + '5 s' AS until_then
	FROM theazo_data.effect e JOIN theazo_data.run_payload rp USING (platform_id, root_id) JOIN theazo_data.provider_health h ON h.platform_id = e.platform_id AND h.model = 'm' WHERE e.kind = 'model.call' AND e.state = 'queued' AND tst.ours(e.platform_id) ORDER BY e.id;
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1', priority => 1) \gset
\set told '{"class":"rate","message":"slow down","http_status":429,"retry_after_ms":20000,"pause_ms":20000}'
SELECT tst.start(:'s', 6);
SELECT tst.calls();
SELECT tst.start(:'s', 1, 'queued before');
SELECT tst.answer('retry', :'told', 'task ' || i) FROM generate_series(1, 5) i;
SELECT * FROM tst.health;
SELECT tst.start(:'s', 1, 'begun later');
SELECT tst.calls();
SELECT * FROM tst.waits;
-- another model of the same provider, and a key of somebody's own, are not paused
SELECT tst.start(:'s', 1, 'other model', '{"model":"n"}');
SELECT tst.start(:'s', 1, 'own key', '{"model":{"provider":"one","credentialRef":"k","model":"m"}}');
SELECT tst.calls();
SELECT tst.answer('done', p_task => 'own key 1');
SELECT tst.answer('failed', '{"class":"transient","message":"down"}', 'other model 1');
SELECT * FROM tst.health;
-- what was under way answers: the pause lasts
SELECT tst.answer('done', p_task => 'task 6');
SELECT * FROM tst.health;
SELECT managed, name, model, state FROM theazo.operator_provider_health WHERE tst.ours(platform_id);
-- over
UPDATE theazo_data.provider_health SET open_until = clock_timestamp();
SELECT tst.due();
SELECT * FROM tst.health;
SELECT tst.calls();
SELECT tst.answer('done');
SELECT count(*) FROM theazo_data.provider_health h WHERE tst.ours(h.platform_id);
-- at most ten minutes at a time; a run that has less does not wait in vain
SELECT tst.start(:'s', 1, 'told long');
SELECT tst.calls();
SELECT tst.answer('failed', '{"class":"rate","message":"slow down","http_status":429,"pause_ms":86400000}');
SELECT * FROM tst.health;
SELECT tst.start(:'s', 1, 'too short');
SELECT task, status, error_sqlstate, error_message FROM tst.now WHERE task ~ '^to';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- meanwhile another provider of the same model is asked; another model only where the wait is longer than a minute
BEGIN;
SELECT theazo.authenticate(:'k');
CREATE VIEW tst.health AS SELECT name, model, state, failures, last_error, ceil(extract(epoch FROM open_until - clock_timestamp()) / 10) * 10 AS s FROM theazo.provider_health ORDER BY name, model;
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1', priority => 1) \gset
SELECT name FROM theazo.provider_set('two', 'model', endpoint => 'https://two.example/v1', priority => 2) \gset
SELECT tst.start(:'s', 1, 'chain', '{"model":"m","modelFallback":["n"]}');
SELECT tst.calls();
SELECT tst.answer('retry', :'told');
SELECT tst.calls();
SELECT tst.start(:'s', 1, 'second', '{"model":"m","modelFallback":["n"]}');
SELECT tst.calls();
-- both
SELECT tst.answer('retry', :'told', 'second 1');
SELECT * FROM tst.health;
SELECT tst.answer('done', p_task => 'chain 1');
SELECT tst.start(:'s', 1, 'third', '{"model":"m","modelFallback":["n"]}');
SELECT tst.calls();
SELECT rp.input ->> 'task' AS task, x.due_at > clock_timestamp() + '5 s' AS waits, l.chain -> l.at ->> 'model' AS model, l.chain -> l.at ->> 'provider' AS provider
  FROM theazo_data.effect x JOIN theazo_data.run_loop l USING (platform_id, root_id) JOIN theazo_data.run_payload rp USING (platform_id, root_id)
 WHERE x.state = 'queued' AND x.kind = 'model.call' AND tst.ours(x.platform_id) ORDER BY x.id;
-- for longer
UPDATE theazo_data.provider_health SET open_until = open_until + '1 minute'::interval;
SELECT tst.start(:'s', 1, 'fourth', '{"model":"m","modelFallback":["n"]}');
SELECT l.chain -> l.at ->> 'model' AS model, l.chain -> l.at ->> 'provider' AS provider FROM theazo_data.run_loop l JOIN theazo_data.run_payload rp USING (platform_id, root_id) WHERE rp.input ->> 'task' = 'fourth 1';
-- a second or less is no longer than anybody waits: asked again there, and a retry that was said to be short stays
DELETE FROM theazo_data.provider_health;
SELECT tst.start(:'s', 1, 'short', '{"model":"m"}');
SELECT count(*) FROM tst.calls();
SELECT tst.answer('retry', '{"class":"rate","message":"slow down","http_status":429,"retry_after_ms":1000,"pause_ms":1000}', 'short 1');
SELECT e.provider_name, e.state FROM theazo_data.effect e JOIN theazo_data.run_payload rp USING (platform_id, root_id) WHERE rp.input ->> 'task' = 'short 1' AND e.kind = 'model.call';
-- overload that says when: a pause, and a failure as well once it is given up
DELETE FROM theazo_data.provider_health;
SELECT tst.answer('failed', '{"class":"transient","message":"overloaded","http_status":529,"pause_ms":30000}', 'fourth 1');
SELECT * FROM tst.health;
ROLLBACK;

-- a place at the gate is not kept for one that is paused; all platforms hear what the operator's account was told
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_delete('one', 'model') \gset
SELECT name FROM theazo.operator_provider_set('ours', 'model', 'anthropic', limits => '{"maxConcurrent":1}') \gset
SELECT tst.start(:'s', 2, 'first', '{"model":"claude-opus-5"}');
SELECT theazo.authenticate(:'k2');
SELECT tst.start(:'s2', 1, 'same', '{"model":"claude-opus-5"}');
SELECT tst.start(:'s2', 1, 'other', '{"model":"claude-haiku-4-5"}');
SELECT tst.calls();
SELECT tst.answer('retry', :'told');
SELECT tst.calls();
SELECT tst.calls();
SELECT count(*) FROM theazo.provider_health;
SELECT managed, name, model, state FROM theazo.operator_provider_health WHERE managed;
UPDATE theazo_data.provider_health SET open_until = clock_timestamp();
SELECT tst.due();
SELECT tst.calls();
SELECT tst.answer('done');
SELECT tst.calls();
ROLLBACK;

-- a pause that outlasts the run is not waited for when another model can do it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('one', 'model', endpoint => 'https://one.example/v1') \gset
SELECT tst.start(:'s', 1, 'slow');
SELECT tst.calls();
SELECT tst.answer('retry', :'told');
SELECT level, message FROM theazo.logs WHERE source = 'model';
SELECT tst.start(:'s', 1, 'hasty', '{"model":"m","modelFallback":["n"],"timeout":10}');
SELECT tst.start(:'s', 1, 'lost', '{"model":"m","timeout":10}');
SELECT rp.input ->> 'task' AS task, l.chain -> l.at ->> 'model' AS model, r.status, r.error_message FROM theazo_data.run_loop l JOIN theazo_data.run_payload rp USING (platform_id, root_id) JOIN theazo_data.run r ON r.id = 'run_' || l.root_id WHERE tst.ours(l.platform_id) ORDER BY r.id;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
