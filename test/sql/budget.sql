\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
-- Budgets and limits: what is refused, in which order, and what is said.
SELECT platform AS p, live AS k, test AS t FROM tst.platform('Budgets') \gset
SELECT theazo.authenticate(:'k') IS NULL AS x \gset
CREATE FUNCTION tst.facts(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_detail text; v_hint text;
BEGIN
	EXECUTE command;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, regexp_replace(SQLERRM, '"ses_[0-9A-Z]+"', '"*"'), v_detail, v_hint);
END $$;
-- setting and reading
BEGIN;
SELECT theazo.authenticate(:'k') IS NULL AS x \gset
SELECT environment, level, user_id, budget, spent, remaining, percentage, alerts FROM theazo.budget_get();
SELECT environment, level, budget, spent, reserved, remaining, percentage, alerts FROM theazo.budget_set(1000, '[{"threshold": 0.8, "channel": "webhook"}, {"threshold": 1.0, "action": "pause_all"}]');
SELECT level, user_id, budget, spent FROM theazo.user_budget_set(50);
SELECT level, user_id, budget, spent FROM theazo.user_budget_set(70.5, user_id => 'ann');
SELECT level, user_id, budget, spent FROM theazo.user_budget_get('ann');
SELECT level, user_id, budget, spent FROM theazo.user_budget_get('bob');
SELECT level, user_id, budget FROM theazo.budget_status ORDER BY level, user_id;
SELECT theazo.user_budget_delete('ann'), theazo.user_budget_delete('ann'), theazo.user_budget_delete(), theazo.budget_delete(), theazo.budget_delete();
SELECT action, count(*) FROM theazo_data.event WHERE platform_id = :'p' AND action LIKE 'budget%' GROUP BY 1 ORDER BY 1;
SELECT tst.try(c) FROM unnest(ARRAY['SELECT theazo.budget_set(-1)', 'SELECT theazo.budget_set(NULL)', $$SELECT theazo.budget_set('NaN')$$, 'SELECT theazo.budget_set(0.0000001)',
	$$SELECT theazo.budget_set(1, '{}')$$, $$SELECT theazo.budget_set(1, '[{"threshold": 2}]')$$, $$SELECT theazo.budget_set(1, '[{"threshold": 0.5}, {"threshold": 0.50}]')$$,
	$$SELECT theazo.budget_set(1, '[{"threshold": 1, "action": "explode"}]')$$, $$SELECT theazo.budget_set(1, '[{"at": 1}]')$$]) c;
-- the budget of every user is no user's own
SELECT tst.facts(c) FROM unnest(ARRAY[$$SELECT theazo.user_budget_set(1, user_id => '*')$$, $$SELECT theazo.user_budget_get('*')$$, $$SELECT theazo.user_budget_delete('*')$$,
	$$SELECT theazo.user_budget_set(1, user_id => '')$$]) c;
SELECT theazo.user_budget_set(9) IS NULL AS x \gset
SELECT (theazo.session_create('*')).id AS star \gset
SELECT level, subject, max FROM theazo_internal.budget_levels(:'p', 'live', :'star', '*', now());
-- durations that cannot be measured
SELECT tst.facts(format('SELECT theazo.session_create(%L, limits => %L)', 'ann', l))
  FROM unnest(ARRAY['{"maxDuration": {"seconds": 1e-400}}', '{"maxDuration": 1e-7}', '{"maxDuration": {"seconds": 1e400}}', '{"maxDuration": {"hours": 1, "seconds": 1e-400}}']) l;
-- a test key has budgets of its own
SELECT theazo.budget_set(5) IS NULL AS x \gset
SELECT theazo.authenticate(:'t') IS NULL AS x \gset
SELECT environment, budget FROM theazo.budget_get();
ROLLBACK;

-- the order of levels: what stands first is what is said
CREATE TABLE tst.s AS SELECT (theazo.session_create('ann', limits => '{"maxCost": {"amount": 3, "period": "month"}}', api_key => :'k')).id AS id;
SELECT id AS s FROM tst.s \gset
CREATE FUNCTION tst.spend(amount bigint) RETURNS void LANGUAGE sql AS $$
	SELECT theazo_internal.charge_write(s.platform_id, theazo_internal.id_root(theazo_internal.id_new('run')), theazo_internal.id_new('chg'), 'live', s.id, NULL, NULL, s.user_id,
		NULL, NULL, 'workflow.run', 1, amount, 'theazo', 'theazo') FROM theazo_data.session s JOIN tst.s t ON t.id = s.id $$;
CREATE FUNCTION tst.hit() RETURNS text LANGUAGE sql AS $$
	SELECT tst.facts(format('SELECT theazo_internal.budget_check(%L, %L, %L, %L, NULL, false)', s.platform_id, 'live', s.id, s.user_id)) FROM theazo_data.session s JOIN tst.s t ON t.id = s.id $$;
SELECT theazo.operator_budget_set(2, platform => :'p') IS NULL AS x \gset
SELECT theazo.budget_set(4, api_key => :'k') IS NULL AS x \gset
SELECT theazo.user_budget_set(5, api_key => :'k') IS NULL AS x \gset
SELECT tst.hit();
SELECT tst.spend(1999999);
SELECT tst.hit();
SELECT tst.spend(1);
SELECT tst.hit();
SELECT tst.spend(2000000);
SELECT tst.hit();
SELECT theazo.session_update_limits(:'s', '{"maxCost": null}', api_key => :'k') IS NULL AS x \gset
SELECT tst.hit();
SELECT tst.spend(1000000);
SELECT tst.hit();
SELECT level, budget, spent, remaining, percentage FROM theazo.operator_budget_status WHERE platform_id = :'p' ORDER BY level;
-- of another environment, and of another month, is not counted
SELECT theazo_internal.spent(:'p', 'test', 'platform', '', 'month', now()), theazo_internal.spent(:'p', 'live', 'platform', '', 'month', now() + interval '40 days');
-- folded or not, in a session's sum that is kept or not: the same
SELECT theazo_internal.spent(:'p', 'live', l, u, 'month', now()) FROM (VALUES ('platform', ''), ('user', 'ann'), ('session', :'s'), ('operator', '')) AS x (l, u);
BEGIN;
SELECT theazo_internal.budget_lock(:'p'), theazo_internal.spend_open(:'p', 'live', :'s', 'month', now()), theazo_internal.spend_fold(:'p') > 0;
SELECT theazo_internal.spent(:'p', 'live', l, u, 'month', now()) FROM (VALUES ('platform', ''), ('user', 'ann'), ('session', :'s'), ('operator', '')) AS x (l, u);
SELECT tst.spend(7);
SELECT theazo_internal.spent(:'p', 'live', l, u, 'month', now()) FROM (VALUES ('platform', ''), ('user', 'ann'), ('session', :'s'), ('operator', '')) AS x (l, u);
ROLLBACK;
-- what a limit of a session is at
SELECT theazo.session_update_limits(:'s', '{"maxCost": {"amount": 10, "period": "day"}, "maxAgents": 2, "maxComputeMinutes": 1.5, "maxDuration": {"hours": 1}}', api_key => :'k') IS NULL AS x \gset
SELECT name, max, CASE name WHEN 'maxDuration' THEN NULL ELSE used END, CASE name WHEN 'maxDuration' THEN NULL ELSE remaining END, CASE name WHEN 'maxDuration' THEN NULL ELSE percentage END, unit
  FROM theazo.session_limits(:'s', api_key => :'k');
SELECT theazo.operator_budget_delete(:'p'), theazo.operator_budget_delete();

-- the edge of a month: what occurs in its last microsecond is its own, what occurs in the first one behind it is the next one's,
-- in the day's sum of a session, the sums of its user and of the platform alike, folded before or after that, or not at all
SELECT theazo.user_budget_set(5, user_id => 'ann', api_key => :'k') IS NULL AS x \gset
CREATE TABLE tst.edge AS SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + '1 month'::interval) AT TIME ZONE 'UTC' AS at;
CREATE FUNCTION tst.spend_at(n bigint, behind interval) RETURNS void LANGUAGE sql AS $$
	SELECT theazo_internal.charge_append(s.platform_id, theazo_internal.id_root(theazo_internal.id_new('run')), theazo_internal.id_new('chg'), 'live', s.id, NULL, NULL, s.user_id,
		NULL, 'model.call', 1, n, 'theazo', 'm', 'm', 0, 0, 0, false, e.at + behind, e.at + behind, e.at + behind, NULL)
	  FROM theazo_data.session s JOIN tst.s t ON t.id = s.id, tst.edge e $$;
CREATE FUNCTION tst.levels() RETURNS TABLE (at text, levels text) LANGUAGE sql AS $$
	SELECT x.name, (SELECT string_agg(format('%s %s %s: %s of %s%s', l.ord, l.level, l.period, l.used, l.max, CASE WHEN l.used_up THEN ', used up' END), '; ' ORDER BY l.ord) FILTER (WHERE l.ord < 5 OR x.name <> 'last')
					  FROM theazo_internal.budget_levels(s.platform_id, 'live', s.id, 'ann', e.at + x.behind) l)
	  FROM theazo_data.session s JOIN tst.s t ON t.id = s.id, tst.edge e, (VALUES ('last', '-1 microsecond'::interval), ('first', '0'), ('next day', '1 day')) AS x (name, behind) $$;
SELECT theazo.operator_budget_set(1000000000) IS NULL AS x \gset
SELECT tst.spend_at(7, '-1 microsecond'), tst.spend_at(11, '0'), tst.spend_at(13, '1 day - 1 microsecond'), tst.spend_at(17, '1 day');
CREATE TABLE tst.sums AS SELECT * FROM tst.levels();
SELECT * FROM tst.sums ORDER BY at;
-- a sum of the one day is kept before there is anything to fold, that of the other one after
BEGIN;
SELECT theazo_internal.budget_lock(:'p'), theazo_internal.spend_open(:'p', 'live', :'s', 'day', at) FROM tst.edge;
SELECT count(*) FROM (SELECT * FROM tst.levels() EXCEPT SELECT * FROM tst.sums) x;
SELECT theazo_internal.spend_fold(:'p') > 0;
SELECT count(*) FROM (SELECT * FROM tst.levels() EXCEPT SELECT * FROM tst.sums) x;
SELECT theazo_internal.spend_open(:'p', 'live', :'s', 'day', at - '1 microsecond'::interval), theazo_internal.spend_open(:'p', 'live', :'s', 'day', at + '1 day'::interval) FROM tst.edge;
SELECT tst.spend_at(19, '-1 microsecond'), tst.spend_at(23, '0');
SELECT * FROM tst.levels() ORDER BY at;
CREATE TABLE tst.more AS SELECT * FROM tst.levels();
SELECT theazo_internal.spend_fold(:'p');
SELECT count(*) FROM (SELECT * FROM tst.levels() EXCEPT SELECT * FROM tst.more) x;
SELECT count(*) FROM theazo_data.spend s WHERE s.platform_id = :'p' AND s.level <> 'session'
   AND s.used <> (SELECT sum(c.amount) FROM theazo_data.charge c WHERE c.platform_id = :'p' AND to_char(c.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM') = s.period);
ROLLBACK;
SELECT theazo.operator_budget_delete(), theazo.user_budget_delete('ann', api_key => :'k');
-- every sum of money has a bound
BEGIN;
SELECT tst.spend_at(9223372036854775807, '1 day'), tst.spend_at(9223372036854775807, '1 day');
SELECT tst.try(format('SELECT theazo_internal.spent(%L, %L, %L, %L, %L, %L)', :'p', 'live', 'platform', '', 'month', at + '1 day'::interval)) FROM tst.edge;
ROLLBACK;
DROP TABLE tst.s, tst.edge, tst.sums;
