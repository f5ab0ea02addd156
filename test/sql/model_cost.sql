\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
-- What a run costs: whose machines, whose models. Prices as shipped: sandbox 10 cents an hour, claude-sonnet-4-6 3 USD in and 15 USD out
-- per million tokens, 10 percent on it, 2 cents for an agent on its owner's machines.
SELECT platform AS p, live AS k FROM tst.platform('Cost') \gset
SELECT name FROM theazo.operator_provider_set('claude', 'model', 'anthropic') \gset
\set model '{"model":"anthropic/claude-sonnet-4-6","tools":["run_code"]}'

-- the sandbox has been up for so much longer
CREATE FUNCTION tst.cost_earlier(p_seconds numeric) RETURNS void LANGUAGE sql AS $$
	UPDATE theazo_data.sandbox SET started_at = started_at - p_seconds * interval '1 s', billed_until = billed_until - p_seconds * interval '1 s'
	 WHERE status = 'ready' AND platform_id = (SELECT platform_id FROM theazo_data.platform WHERE name = 'Cost')
$$;
-- when its work was claimed it had been up for so long, however slow this machine is
CREATE FUNCTION tst.cost_at(p_seconds numeric) RETURNS void LANGUAGE sql AS $$
	SELECT tst.cost_earlier(p_seconds - extract(epoch FROM e.claimed_at - s.started_at))
	  FROM tst.claimed c JOIN theazo_data.effect e ON e.platform_id = c.platform_id AND e.root_id = c.root_id AND e.id = c.id
	  JOIN theazo_data.sandbox s ON s.platform_id = e.platform_id AND s.id = e.sandbox_id WHERE c.kind = 'compute.exec'
$$;
-- plays a run: the model asks for code, the sandbox is made (6 minutes ago, so that the run costs that) and runs it, the model answers
CREATE FUNCTION tst.play(p_run text, OUT status text, OUT cents numeric, OUT compute numeric, OUT models numeric, OUT fee numeric, OUT tokens text, OUT payers text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tst.claim();
	PERFORM tst.settle('model.call', 'done', '{"text":"","stop":"tool_use","wire":"{}","tool_calls":[{"id":"c1","name":"run_code","arguments":{"language":"python","code":"1"}}],
		"usage":{"input":60000,"output":6000}}');
	PERFORM tst.claim();
	IF EXISTS (SELECT FROM tst.claimed WHERE kind = 'compute.create') THEN
		PERFORM tst.settle('compute.create', 'done', '{"sandbox":"box-1","isolation":"full"}', p_ms => 0);
		PERFORM tst.claim();
		PERFORM tst.cost_at(359.5);
	END IF;
	PERFORM tst.settle('compute.exec', 'done', '{"stdout":"1","stderr":"","exit_code":0}', p_ms => 1);
	PERFORM tst.claim();
	PERFORM tst.settle('model.call', 'done', '{"text":"one","stop":"end","wire":"{}","usage":{"input":40000,"output":4000}}');
	SELECT r.status, r.cost INTO status, cents FROM theazo.runs r WHERE r.id = p_run;
	SELECT sum(c.cents) FILTER (WHERE c.item = 'compute.second'), sum(c.cents) FILTER (WHERE c.item = 'model.call'),
		   format('%s calls, %s in, %s out', count(*) FILTER (WHERE c.item = 'model.call'), sum(c.input_tokens), sum(c.output_tokens)),
		   string_agg(DISTINCT c.item || ' ' || c.payer, ', ')
	  INTO compute, models, tokens, payers FROM theazo.charges c WHERE c.run_id = p_run;
	SELECT sum(c.cents) INTO fee FROM theazo.charges c JOIN theazo.runs r ON r.agent_id = c.agent_id WHERE r.id = p_run AND c.item = 'agent.fee';
END $$;

BEGIN;
SELECT theazo.authenticate(:'k');
-- managed, managed: 360 s of sandbox are 1 cent; 100000 tokens in and 10000 out are 45 cents, and 10 percent on it
SELECT id AS s1 FROM theazo.session_create('both managed') \gset
SELECT * FROM tst.play((theazo.session_run(:'s1', NULL, 'task', :'model')).id);
-- own machines, managed model: the fee of the agent that was made for it
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://mine.example') \gset
SELECT id AS s2 FROM theazo.session_create('own machines') \gset
SELECT * FROM tst.play((theazo.session_run(:'s2', NULL, 'task', :'model')).id);
-- own machines, own model: the fee alone; tokens and minutes are counted
SELECT name FROM theazo.provider_set('anthropic', 'model') \gset
SELECT id AS s3 FROM theazo.session_create('both own') \gset
SELECT * FROM tst.play((theazo.session_run(:'s3', NULL, 'task', :'model')).id);
-- managed machines, own model: seconds of the sandbox
SELECT name FROM theazo.provider_delete('mine', force => true) \gset
SELECT id AS s4 FROM theazo.session_create('own model') \gset
SELECT * FROM tst.play((theazo.session_run(:'s4', NULL, 'task', :'model')).id);
SELECT user_id, u.* FROM theazo.sessions s CROSS JOIN LATERAL theazo.session_usage(s.id) u ORDER BY s.id;
SELECT * FROM theazo.user_usage('both own');
SELECT theazo.usage_for_user('both managed') - 'breakdown';
SELECT theazo.usage_summary() - 'active_sessions' - 'running_agents';
SELECT * FROM theazo.usage_by_provider();
SELECT day = (now() AT TIME ZONE 'UTC')::date AS today, cents, compute_minutes, model_calls, input_tokens, output_tokens FROM theazo.usage_daily() LIMIT 2;
SELECT count(*) FROM theazo.usage_daily(), (SELECT count(*) FROM theazo.usage_daily('last_30_days')) m (n) GROUP BY n;
SELECT e.user_id, e.session_id = s.id AS of_session, payer, provider, model, compute_minutes, model_calls, input_tokens, output_tokens, cents
  FROM theazo.usage_export('today') e JOIN theazo.sessions s USING (user_id) ORDER BY s.id, payer, provider, model;
-- result.cost plus what providers invoice: one session's share of an invoice over 9 dollars
SELECT user_id, round(900.0 * sum(e.input_tokens + 5 * e.output_tokens) / sum(sum(e.input_tokens + 5 * e.output_tokens)) OVER (), 2) AS share, sum(cents) AS paid_here
  FROM theazo.usage_export() e WHERE payer = 'provider' AND model_calls > 0 GROUP BY user_id ORDER BY 1;
SELECT sum(cents) = (SELECT sum(cents) FROM theazo.charges) AS all_of_it FROM theazo.usage_export();
SELECT tst.try('SELECT theazo.session_usage(''ses_x'')'), tst.try('SELECT theazo.user_usage('''')'), tst.try('SELECT theazo.usage_export(''year'')');
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
-- seen by one who acts for a session: that session
SELECT count(*) FROM theazo.act_as(:'s3');
SELECT DISTINCT user_id FROM theazo.usage_export();
SELECT total_cents FROM theazo.user_usage('both managed');
SELECT tst.code(format('SELECT theazo.session_usage(%L)', :'s1'));
ROLLBACK;

-- a run of an agent that was there before: no fee, and no time before it began
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s1 FROM theazo.session_create('agent') \gset
SELECT id AS a FROM theazo.agent_create(:'s1', :'model') \gset
SELECT tst.boot();
SELECT tst.cost_earlier(3600);
SELECT * FROM tst.play((theazo.run_start(:'a', 'task')).id);
SELECT item, quantity >= 3600 AS hour, run_id IS NULL AS idle FROM theazo.charges WHERE item = 'compute.second' ORDER BY quantity DESC;
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://mine.example') \gset
SELECT name FROM theazo.provider_set('anthropic', 'model') \gset
SELECT id AS a FROM theazo.agent_create(:'s1', :'model') \gset
SELECT tst.boot();
SELECT * FROM tst.play((theazo.run_start(:'a', 'task')).id);
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- one that needs no machine: own machines still mean the fee, the operator's nothing
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s1 FROM theazo.session_create('talk') \gset
CREATE FUNCTION tst.talk(p_run text, p_usage jsonb) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tst.claim();
	PERFORM tst.settle('model.call', 'done', jsonb_build_object('text', 'hi', 'stop', 'end', 'wire', '{}', 'usage', p_usage));
	RETURN (SELECT r.cost FROM theazo.runs r WHERE r.id = p_run);
END $$;
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-opus-5-5"}')).id, '{"input":1000,"output":1000}');
-- what came from a cache and went into it has prices of its own: 0.02 + 0.5 + 0.8 cents, and 10 percent
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-opus-5-5"}')).id, '{"cache_read":1000,"cache_write_5m":1000,"cache_write_1h":1000}');
SELECT input_tokens, cached_tokens, output_tokens, quantity FROM theazo.charges ORDER BY occurred_at DESC, id DESC LIMIT 1;
-- the length of the prompt, cache included, prices the whole call
SELECT n, tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-haiku-5-5"}')).id, format('{"input":60000,"cache_read":%s,"output":1000}', n)::jsonb) FROM unnest(ARRAY[40000, 40001]) n;
-- wrong numbers were clamped by the adapter; one that told none is estimated and says so
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-haiku-4-5"}')).id, '{"input":7,"output":3,"estimated":true}');
SELECT estimated_calls, model_calls FROM theazo.session_usage(:'s1');
-- the operator's prices and markup, from now on
SELECT model, input, cache_read, cache_write_5m, cache_write_1h, output, source FROM theazo.model_price_set('claude-haiku-4-5-20251001', 1000, 2000, cache_read => 50);
SELECT cents FROM theazo.price_set('model.markup', 50);
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-haiku-4-5"}')).id, '{"input":1000,"cache_read":1000,"output":1000}');
SELECT source FROM theazo.model_price_set('claude-haiku-4-5', 0, 0, platform => :'p');
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-haiku-4-5"}')).id, '{"input":1000,"output":1000}');
-- from a moment on: what was sent before costs what it cost then
SELECT input, threshold_tokens, over_input, over_cache_read FROM theazo.model_price_set('claude-haiku-4-5', 9, 9, threshold_tokens => 1000, over_input => 90, over_output => 90, valid_from => now() + interval '1 hour', platform => :'p');
SELECT at, p.input / 1000000 AS cents FROM unnest(ARRAY['0', '1 hour']) at, theazo_internal.model_price_at(:'p', 'anthropic/claude-haiku-4-5', now() + at::interval) p;
SELECT theazo_internal.model_price_at(:'p', 'anthropic/claude-sonnet-5-5', '2026-10-06 23:59+00') = theazo_internal.model_price_at(:'p', 'anthropic/claude-sonnet-5-5', '2026-10-07 00:00+00') AS same;
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://mine.example') \gset
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-haiku-4-5"}')).id, '{"input":1,"output":1}');
SELECT item, cents, provider FROM theazo.charges WHERE item = 'agent.fee';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
-- and what it finds
UPDATE theazo_data.charge SET amount = amount + 1 WHERE platform_id = :'p' AND item = 'model.call' AND amount > 0;
UPDATE theazo_data.charge SET output_tokens = 5 WHERE platform_id = :'p' AND estimated;
DELETE FROM theazo_data.charge WHERE platform_id = :'p' AND amount = 0;
SELECT rule, count(*) > 0 FROM theazo.integrity_check() WHERE platform_id = :'p' GROUP BY 1 ORDER BY 1;
ROLLBACK;

-- bad input of prices, and nobody but the operator
SELECT c, tst.try('SELECT theazo.model_price_set(' || c || ')') FROM unnest(ARRAY[$$'', 1, 1$$, $$NULL, 1, 1$$, $$'m', NULL, 1$$, $$'m', 1, NULL$$, $$'m', -1, 1$$, $$'m', 1, 'NaN'$$, $$'m', 100000001, 1$$,
	$$'m', 1, 1, cache_read => -0.1$$, $$'m', 1, 1, threshold_tokens => 0$$, $$'m', 1, 1, threshold_tokens => 10$$, $$'m', 1, 1, over_input => 2$$, $$'m', 1, 1, valid_from => '2001-01-01'$$,
	$$'m', 1, 1, valid_from => 'infinity'$$, $$'m', 1, 1, platform => 'plt_x'$$, $$repeat('m', 201), 1, 1$$]) c;
SELECT count(*) > 20 AS shipped, min(source), max(input) FROM theazo.model_prices;
SELECT valid_from, input, cache_read, output FROM theazo.model_prices WHERE model = 'anthropic/claude-sonnet-5-5' ORDER BY valid_from NULLS FIRST;
SET ROLE theazo_app;
SELECT tst.code($$SELECT theazo.model_price_set('m', 1, 1)$$), tst.code('TABLE theazo.model_prices');
RESET ROLE;
SELECT name FROM theazo.operator_provider_delete('claude', 'model') \gset
