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

-- tiers, searches, several models in one call, what the provider says it costs
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s1 FROM theazo.session_create('tiers') \gset
SELECT name FROM theazo.operator_provider_set('claude', 'model', 'anthropic') \gset
CREATE FUNCTION tst.talk(p_run text, p_usage jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tst.claim();
	PERFORM tst.settle('model.call', 'done', jsonb_build_object('text', 'hi', 'stop', 'end', 'wire', '{}', 'usage', p_usage));
	RETURN (SELECT format('%s in, %s cached, %s out, %s cents%s', c.input_tokens, c.cached_tokens, c.output_tokens, c.cents, CASE WHEN c.estimated THEN ', estimated' END)
			  FROM theazo.charges c WHERE c.run_id = p_run AND c.item = 'model.call');
END $$;
-- 0.8 + 4 cents and 10 percent on it, by the shipped price of the fast mode
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-opus-5-5"}')).id, '{"input":1000,"output":1000,"tier":"fast"}');
-- a tier without a price: the usual one, and it says so
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-opus-5-5"}')).id, '{"input":1000,"output":1000,"tier":"priority"}');
SELECT model, provider, tier, input, output, web_search FROM theazo.model_price_set('claude-opus-5-5', 1000, 5000, tier => 'priority', web_search => 1);
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-opus-5-5"}')).id, '{"input":1000,"output":1000,"tier":"priority","searches":3}');
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-opus-5-5"}')).id, '{"input":1000,"output":1000,"searches":3}');
-- through one of the operator's providers it costs more
SELECT provider, tier, input FROM theazo.model_price_set('claude-opus-5-5', 440, 2200, provider => 'claude');
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-opus-5-5"}')).id, '{"input":1000,"output":1000}');
SELECT coalesce(provider, '-') AS provider, coalesce(tier, '-') AS tier, source, input, output FROM theazo.model_prices WHERE model = 'anthropic/claude-opus-5-5' ORDER BY 1, 2, 3;
SELECT tst.try($$SELECT theazo.model_price_set('m', 1, 1, provider => 'nobody')$$), tst.try($$SELECT theazo.model_price_set('m', 1, 1, tier => 'A b')$$), tst.try($$SELECT theazo.model_price_set('m', 1, 1, web_search => -1)$$);
-- a compaction by haiku (0.1 and 0.5 cents), an answer by sonnet (0.3 and 1.5), what names no model by the one that was asked
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-sonnet-4-6"}')).id,
	'{"input":2000,"output":2000,"iterations":[{"model":"claude-haiku-4-5-20251001","input":1000,"output":1000},{"input":1000,"output":1000}]}');
-- a model in it that has no price
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-sonnet-4-6"}')).id, '{"input":1000,"output":1000,"iterations":[{"model":"who-knows","input":1000,"output":1000}]}');
-- each by its own length: neither of two prompts of 60000 is over 100000
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"claude-haiku-5-5"}')).id, '{"input":120000,"output":0,"iterations":[{"input":60000},{"input":60000}]}');
-- a provider of one's own tells what it costs there
SELECT name FROM theazo.provider_set('router', 'model', endpoint => 'https://openrouter.ai/api/v1') \gset
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"x/y"}')).id, '{"input":10,"output":10,"provider_cost_usd":"0.00014"}');
SELECT tst.talk((theazo.session_run(:'s1', NULL, 'hi', '{"model":"x/y"}')).id, format('{"input":10,"output":10,"provider_cost_usd":"%s"}', n)::jsonb) FROM unnest(ARRAY['1.4e-05', '1e999', '99999999999', '-1', 'x']) n;
SELECT cents, provider_cents, payer FROM theazo.charges WHERE provider = 'router' ORDER BY occurred_at, id;
SELECT payer, provider, model_calls, estimated_calls, cents, provider_cents FROM theazo.usage_export() ORDER BY payer, provider, model;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- what a provider may have billed is booked, each attempt by itself
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS s1 FROM theazo.session_create('attempts') \gset
SELECT name FROM theazo.operator_provider_set('claude', 'model', 'anthropic') \gset
SELECT name FROM theazo.operator_provider_set('claude2', 'model', 'anthropic', priority => 900) \gset
CREATE FUNCTION tst.booked(p_run text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s: %s in, %s out, %s', r.status, s.state, s.input_tokens, s.output_tokens, s.cost) FROM theazo.runs r JOIN theazo.steps s ON s.run_id = r.id WHERE r.id = p_run
	UNION ALL
	(SELECT format('%s in, %s out, %s cents%s', c.input_tokens, c.output_tokens, c.cents, CASE WHEN c.estimated THEN ', estimated' END)
	  FROM theazo.charges c WHERE c.run_id = p_run ORDER BY c.interval_start) $$;
CREATE FUNCTION tst.attempt(p_verdict text, p_result jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tst.due();
	PERFORM tst.claim();
	PERFORM tst.settle('model.call', p_verdict, p_result);
END $$;
\set broken '{"code":"provider_error","class":"transient","message":"broke off","maybe_sent":true,"usage":{"input":1000,"output":7,"estimated":true}}'
\set whole '{"text":"hi","stop":"end","wire":"{}","usage":{"input":1000,"output":10}}'
\set opts '{"model":"claude-sonnet-4-6","tools":[]}'
-- broken twice, then whole
SELECT (theazo.session_run(:'s1', NULL, 'hi', :'opts')).id AS r \gset
SELECT tst.attempt('retry', :'broken'), tst.attempt('retry', :'broken'), tst.attempt('done', :'whole');
SELECT tst.booked(:'r');
SELECT usage FROM theazo.run_result(:'r');
-- refused, then broken for the last time here, then whole at the next one
SELECT (theazo.session_run(:'s1', NULL, 'hi', :'opts')).id AS r \gset
SELECT tst.attempt('retry', '{"class":"rate","http_status":429,"message":"slow down","maybe_sent":true}'), tst.attempt('retry', :'broken'), tst.attempt('failed', :'broken'), tst.attempt('done', :'whole');
SELECT tst.booked(:'r');
-- nobody knows: the prompt by its length
SELECT (theazo.session_run(:'s1', NULL, repeat('long ', 200), :'opts')).id AS r \gset
SELECT tst.attempt('unknown', '{"message":"gone"}');
SELECT tst.booked(:'r');
-- broken, and then its worker dies
SELECT (theazo.session_run(:'s1', NULL, repeat('long ', 200), :'opts')).id AS r \gset
SELECT tst.attempt('retry', :'broken');
SELECT tst.due();
SELECT count(*) FROM tst.claim();
SELECT theazo_internal.leases_reclaim('{}') > 0;
SELECT tst.booked(:'r');
-- cancelled: under way with half an answer; without one; before it was sent; instead of being asked again; after a refusal
SELECT (theazo.session_run(:'s1', NULL, 'hi', :'opts')).id AS r \gset
SELECT tst.claim();
SELECT status FROM theazo.run_cancel(:'r');
SELECT tst.settle('model.call', 'cancelled', :'broken');
SELECT tst.booked(:'r');
SELECT (theazo.session_run(:'s1', NULL, repeat('long ', 200), :'opts')).id AS r \gset
SELECT tst.claim();
SELECT status FROM theazo.run_cancel(:'r');
SELECT tst.settle('model.call', 'cancelled', '{"maybe_sent":true}');
SELECT tst.booked(:'r');
SELECT (theazo.session_run(:'s1', NULL, 'hi', :'opts')).id AS r \gset
SELECT tst.claim();
SELECT status FROM theazo.run_cancel(:'r');
SELECT tst.settle('model.call', 'cancelled', '{"maybe_sent":false}');
SELECT tst.booked(:'r');
SELECT (theazo.session_run(:'s1', NULL, 'hi', :'opts')).id AS r \gset
SELECT tst.attempt('retry', :'broken');
SELECT status FROM theazo.run_cancel(:'r');
SELECT theazo_internal.effects_expire() >= 0;
SELECT tst.booked(:'r');
SELECT (theazo.session_run(:'s1', NULL, 'hi', :'opts')).id AS r \gset
SELECT tst.claim();
SELECT status FROM theazo.run_cancel(:'r');
SELECT tst.settle('model.call', 'retry', '{"class":"rate","http_status":429,"message":"slow down","maybe_sent":true}');
SELECT tst.booked(:'r');
SELECT count(*), count(*) FILTER (WHERE estimated) AS estimated FROM theazo.charges WHERE item = 'model.call';
SELECT model_calls, estimated_calls, total_cents = (SELECT sum(cost) FROM theazo.runs) AS same FROM theazo.session_usage(:'s1');
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;

-- every face says the same about the same runs, and what a run says of itself is what was charged for it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.operator_provider_set('claude', 'model', 'anthropic') \gset
SELECT id AS s1 FROM theazo.session_create('a') \gset
SELECT id AS s2 FROM theazo.session_create('a') \gset
SELECT id AS s3 FROM theazo.session_create('b') \gset
SELECT id AS s4 FROM theazo.session_create('b') \gset
SELECT id AS s5 FROM theazo.session_create('c') \gset
-- the operator's machines, managed model: one-shot; an agent that has been there for an hour; an exec of it
SELECT * FROM tst.play((theazo.session_run(:'s1', NULL, 'task', :'model')).id);
SELECT id AS a FROM theazo.agent_create(:'s2', :'model') \gset
SELECT tst.boot();
SELECT tst.cost_earlier(3600);
SELECT * FROM tst.play((theazo.run_start(:'a', 'task')).id);
SELECT id AS x FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT tst.claim();
SELECT tst.settle('compute.exec', 'done', '{"stdout":"","stderr":"","exit_code":0}', p_ms => 1);
-- a model of one's own: the vendor's, then a gateway, which tells no tokens, breaks off once and says what it costs
SELECT name FROM theazo.provider_set('direct', 'model', 'anthropic') \gset
SELECT * FROM tst.play((theazo.session_run(:'s5', NULL, 'task', :'model')).id);
SELECT name FROM theazo.provider_delete('direct', 'model') \gset
SELECT name FROM theazo.provider_set('router', 'model', endpoint => 'https://openrouter.ai/api/v1') \gset
SELECT (theazo.session_run(:'s5', NULL, 'task', '{"model":"x/y","tools":[]}')).id AS r \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'retry', '{"code":"provider_error","class":"transient","message":"broke off","usage":{"input":100,"output":7,"estimated":true}}');
SELECT tst.due();
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', '{"text":"one","stop":"end","wire":"{}","usage":{"input":100,"cache_read":50,"cache_write_5m":3,"output":9,"provider_cost_usd":"0.0002"}}');
-- own machines: own gateway, then the managed model by name
SELECT name FROM theazo.provider_set('mine', type => 'webhook', endpoint => 'https://mine.example') \gset
SELECT * FROM tst.play((theazo.session_run(:'s4', NULL, 'task', '{"model":"x/y","tools":["run_code"]}')).id);
SELECT * FROM tst.play((theazo.session_run(:'s3', NULL, 'task', '{"model":{"provider":"theazo","model":"claude-sonnet-4-6"},"tools":["run_code"]}')).id);
-- one that fails after its first call, and one whose answer was lost
SELECT (theazo.session_run(:'s3', NULL, 'task', '{"model":{"provider":"theazo","model":"claude-sonnet-4-6"},"tools":[]}')).id AS r \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', '{"text":"no","stop":"refusal","wire":"","usage":{"input":1000,"output":10}}');
SELECT (theazo.session_run(:'s3', NULL, 'task', '{"model":{"provider":"theazo","model":"claude-sonnet-4-6"},"tools":[]}')).id AS r \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'unknown', '{"message":"gone"}');
CREATE TEMP TABLE face ON COMMIT DROP AS
	SELECT 'charges' AS face, sum(c.cents) AS cents, count(*) FILTER (WHERE c.item = 'model.call') AS calls, sum(c.input_tokens) AS input, sum(c.cached_tokens) AS cached, sum(c.output_tokens) AS output FROM theazo.charges c
	UNION ALL SELECT 'session_usage', sum(u.total_cents), sum(u.model_calls), sum(u.input_tokens), sum(u.cached_tokens), sum(u.output_tokens) FROM theazo.sessions s CROSS JOIN LATERAL theazo.session_usage(s.id) u
	UNION ALL SELECT 'parts of session_usage', sum(u.compute_cents + u.model_cents + u.orchestration_cents + u.primitive_cents + u.storage_cents), sum(u.model_calls), sum(u.input_tokens), sum(u.cached_tokens), sum(u.output_tokens) FROM theazo.sessions s CROSS JOIN LATERAL theazo.session_usage(s.id) u
	UNION ALL SELECT 'user_usage', sum(u.total_cents), sum(u.model_calls), sum(u.input_tokens), sum(u.cached_tokens), sum(u.output_tokens) FROM unnest(ARRAY['a', 'b', 'c', 'nobody']) n CROSS JOIN LATERAL theazo.user_usage(n) u
	UNION ALL SELECT 'usage_for_user', sum((u ->> 'total_cents')::numeric), sum((u #>> '{models,calls}')::int), sum((u #>> '{models,tokens,input}')::int - (u #>> '{models,tokens,cached}')::int), sum((u #>> '{models,tokens,cached}')::int), sum((u #>> '{models,tokens,output}')::int)
		FROM unnest(ARRAY['a', 'b', 'c', 'nobody']) n CROSS JOIN LATERAL theazo.usage_for_user(n) u
	UNION ALL SELECT 'usage_daily', sum(u.cents), sum(u.model_calls), sum(u.input_tokens), sum(u.cached_tokens), sum(u.output_tokens) FROM theazo.usage_daily() u
	UNION ALL SELECT 'usage_by_provider', sum(u.cents), sum(u.model_calls), sum(u.input_tokens), sum(u.cached_tokens), sum(u.output_tokens) FROM theazo.usage_by_provider() u
	UNION ALL SELECT 'usage_export', sum(u.cents), sum(u.model_calls), sum(u.input_tokens), sum(u.cached_tokens), sum(u.output_tokens) FROM theazo.usage_export() u
	UNION ALL SELECT 'usage_summary', (u ->> 'total_cents')::numeric, (u #>> '{models,calls}')::int, (u #>> '{models,input_tokens}')::int, (u #>> '{models,cached_tokens}')::int, (u #>> '{models,output_tokens}')::int FROM theazo.usage_summary() u
	UNION ALL SELECT 'steps', (SELECT sum(cents) FROM theazo.charges) - (SELECT sum(cents) FROM theazo.charges WHERE item = 'model.call') + sum(s.cost),
		(SELECT count(*) FROM theazo.charges WHERE item = 'model.call'), sum(s.input_tokens + coalesce(s.cache_write_tokens, 0)), sum(coalesce(s.cache_read_tokens, 0)), sum(s.output_tokens) FROM theazo.steps s WHERE s.kind = 'model';
SELECT face, (cents, calls, input, cached, output) IS NOT DISTINCT FROM (SELECT (c.cents, c.calls, c.input, c.cached, c.output) FROM face c WHERE c.face = 'charges') AS same FROM face;
SELECT calls, input - (SELECT sum(input_tokens) FROM theazo.charges WHERE estimated AND output_tokens = 0) AS input, cached, output FROM face WHERE face = 'charges';
-- runs: what they cost is what was charged for them, and the fee of the agent they made
SELECT count(*) AS runs, bool_and(r.cost = coalesce((SELECT sum(c.cents) FROM theazo.charges c WHERE c.run_id = r.id), 0)
	+ CASE WHEN a.one_shot THEN coalesce((SELECT sum(c.cents) FROM theazo.charges c WHERE c.agent_id = r.agent_id AND c.item = 'agent.fee'), 0) ELSE 0 END) AS each_agrees
  FROM theazo.runs r JOIN theazo_data.agent a ON a.id = r.agent_id WHERE r.kind = 'agent';
-- ... and what belongs to none: the hour an agent was idle
SELECT (SELECT sum(cents) FROM theazo.charges) - (SELECT sum(cost) FROM theazo.runs) = (SELECT sum(cents) FROM theazo.charges WHERE run_id IS NULL AND item = 'compute.second') AS rest_is_idle_time;
SELECT user_id, payer, provider, model, model_calls, estimated_calls, compute_minutes > 0 AS minutes, cents > 0 AS paid_here, provider_cents FROM theazo.usage_export() ORDER BY user_id, payer, provider, model, 5, 6, 7, 8, 9;
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';
ROLLBACK;
