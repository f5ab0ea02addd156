\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Charges') \gset
SELECT platform AS p2 FROM tst.platform('Charges, other') \gset
SELECT item, amount, unit, currency FROM theazo_internal.price_book();
SELECT theazo_internal.amount_round(a) FROM unnest(ARRAY[0, 0.4, 0.5, 1.5, 2.5, -0.5, -1.5, 2777.7777]) a;
SELECT tst.try('SELECT theazo_internal.amount_round(9223372036854775807.4)');
SELECT tst.try('SELECT theazo_internal.amount_round(9223372036854775807.5)');
SELECT tst.try('SELECT theazo_internal.amount_round(-1e30)');
SELECT tst.try(format($$SELECT theazo_internal.price_at(%L, 'nothing', now())$$, :'p'));

-- prices: shipped, the operator's, one platform's, each from a moment on
BEGIN;
SELECT theazo_internal.price_at(:'p', 'compute.hour', now());
SELECT platform_id, item, cents, unit, source FROM theazo.price_set('compute.hour', 12.5);
SELECT item, cents, source FROM theazo.price_set('compute.hour', 3, platform => :'p2');
SELECT theazo_internal.price_at(:'p', 'compute.hour', now()), theazo_internal.price_at(:'p2', 'compute.hour', now()), theazo_internal.price_at(:'p', 'compute.hour', now() - interval '1 s');
SELECT item, cents FROM theazo.price_set('compute.hour', 20, now() + interval '1 day');
SELECT theazo_internal.price_at(:'p', 'compute.hour', now()), theazo_internal.price_at(:'p', 'compute.hour', now() + interval '2 days');
SELECT item, cents, source FROM theazo.prices WHERE item = 'compute.hour' ORDER BY source, cents;
SELECT tst.try(c) FROM unnest(ARRAY[$$SELECT theazo.price_set('gold', 1)$$, $$SELECT theazo.price_set(NULL, 1)$$, $$SELECT theazo.price_set('agent.fee', -1)$$, $$SELECT theazo.price_set('agent.fee', NULL)$$,
	$$SELECT theazo.price_set('agent.fee', 'NaN')$$, $$SELECT theazo.price_set('agent.fee', 1e12)$$, $$SELECT theazo.price_set('agent.fee', 1, now() - interval '1 day')$$, $$SELECT theazo.price_set('agent.fee', 1, 'infinity')$$,
	$$SELECT theazo.price_set('agent.fee', 1, platform => 'plt_0000000000000000000000000Z')$$]) c;
-- each change is an event of the operator
SELECT action, count(*) FROM theazo_data.event WHERE platform_id = theazo_internal.operator_platform() AND action = 'price_set' GROUP BY 1;
ROLLBACK;

-- a fee is booked once for what caused it
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.id_new('agt') AS a \gset
SELECT theazo_internal.fee_write(:'p', 'agent.fee', :'a', 'live', NULL, :'a', NULL, 'u', 'mine'), theazo_internal.fee_write(:'p', 'agent.fee', :'a', 'live', NULL, :'a', NULL, 'u', 'mine');
SELECT theazo_internal.fee_write(:'p', 'workflow.run', :'a', 'live', NULL, :'a', NULL, 'u', 'mine');
SELECT item, quantity, cents, amount, currency, payer, provider FROM theazo.charges ORDER BY item;
SELECT theazo.usage_summary() - 'active_sessions' - 'running_agents';
SELECT u - 'breakdown', jsonb_array_length(u -> 'breakdown') FROM theazo.usage_for_user('u') u;
SELECT theazo.usage_for_user('nobody', 'today');
SELECT tst.try($$SELECT theazo.usage_summary('year')$$);
ROLLBACK;
SET ROLE theazo_app;
SELECT tst.code($$SELECT theazo.price_set('agent.fee', 0)$$), tst.code($$TABLE theazo.prices$$), tst.code($$INSERT INTO theazo_data.charge (platform_id) VALUES ('x')$$), tst.code($$TABLE theazo.charges$$);
RESET ROLE;
