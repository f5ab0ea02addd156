-- usage.sql: what was used and what it cost. The ledger counts fractions of a cent, the contract whole cents: parts of a sum
-- are rounded so that they add up to the rounded sum.

CREATE OR REPLACE FUNCTION theazo_internal.rest_period(a jsonb, p_default text DEFAULT 'month')
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN coalesce(theazo_internal.rest_one_of(a, 'period', p_default IS NULL, 'today', 'week', 'month', 'last_7_days', 'last_30_days'), p_default);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_period(jsonb, text) IS
'the period of the query; required where there is no default';

-- Of parts in order: each is what the rounded sum up to it adds to the rounded sum before it.
CREATE OR REPLACE FUNCTION theazo_internal.rest_parts(VARIADIC p_cents numeric[])
RETURNS bigint[] LANGUAGE sql IMMUTABLE
RETURN (
	SELECT pg_catalog.array_agg((pg_catalog.round(x.upto) - pg_catalog.round(x.upto - x.part))::bigint ORDER BY x.n)
	  FROM (SELECT p.part, p.n, pg_catalog.sum(p.part) OVER (ORDER BY p.n) AS upto
			  FROM pg_catalog.unnest(p_cents) WITH ORDINALITY p (part, n)) x);
COMMENT ON FUNCTION theazo_internal.rest_parts(numeric[]) IS
'parts of a sum in whole cents that add up to the sum in whole cents';

CREATE OR REPLACE FUNCTION theazo_internal.rest_usage_summary(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	u jsonb := theazo.usage_summary(theazo_internal.rest_period(a));
BEGIN
	RETURN pg_catalog.jsonb_build_object(
		'totalCost', theazo_internal.rest_cost(pg_catalog.round((u ->> 'total_cents')::numeric)::bigint),
		'activeSessions', u -> 'active_sessions', 'runningAgents', u -> 'running_agents',
		'topUser', pg_catalog.jsonb_build_object('userId', u #> '{top_user,user_id}',
			'cost', theazo_internal.rest_cost(pg_catalog.round((u #>> '{top_user,cents}')::numeric)::bigint)));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_usage_summary(jsonb) IS
'GET /v1/usage/summary';

-- The ledger counts storage by months.
CREATE OR REPLACE FUNCTION theazo_internal.rest_gb_hours(p_user text, p_period text)
RETURNS numeric LANGUAGE sql STABLE
RETURN (
	SELECT coalesce(pg_catalog.trim_scale(pg_catalog.round(pg_catalog.sum(c.quantity * EXTRACT(epoch FROM m.month + '1 month'::interval - m.month) / 3600), 4)), 0) FROM theazo.charges c
	 CROSS JOIN LATERAL (SELECT pg_catalog.date_trunc('month', coalesce(c.interval_start, c.occurred_at) AT TIME ZONE 'UTC') AS month) m
	 WHERE c.user_id = p_user AND c.item = 'storage.gb_month' AND c.occurred_at >= theazo_internal.rest_since(p_period));
COMMENT ON FUNCTION theazo_internal.rest_gb_hours(text, text) IS
'storage of one end user in a period, in GB and hours';

CREATE OR REPLACE FUNCTION theazo_internal.rest_usage_for_user(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	u		jsonb := theazo.usage_for_user(a ->> 'userId', theazo_internal.rest_period(a));
	part	bigint[] := theazo_internal.rest_parts((u #>> '{compute,cents}')::numeric, (u #>> '{models,cents}')::numeric,
		(u #>> '{storage,cents}')::numeric, (u #>> '{orchestration,cents}')::numeric, (u #>> '{primitives,cents}')::numeric);
	days	bigint[] := theazo_internal.rest_parts(VARIADIC ARRAY(
		SELECT (d ->> 'cents')::numeric FROM pg_catalog.jsonb_array_elements(u -> 'breakdown') WITH ORDINALITY x (d, n) ORDER BY n));
BEGIN
	RETURN pg_catalog.jsonb_build_object(
		'compute', pg_catalog.jsonb_build_object('minutes', pg_catalog.trim_scale((u #>> '{compute,minutes}')::numeric), 'cost', theazo_internal.rest_cost(part[1])),
		'models', pg_catalog.jsonb_build_object('calls', u #> '{models,calls}', 'cost', theazo_internal.rest_cost(part[2]),
			'tokens', pg_catalog.jsonb_build_object('input', u #> '{models,tokens,input}', 'output', u #> '{models,tokens,output}')),
		'storage', pg_catalog.jsonb_build_object('gbHours', theazo_internal.rest_gb_hours(a ->> 'userId', theazo_internal.rest_period(a)), 'cost', theazo_internal.rest_cost(part[3])),
		'orchestration', pg_catalog.jsonb_build_object('cost', theazo_internal.rest_cost(part[4])),
		'primitives', pg_catalog.jsonb_build_object('cost', theazo_internal.rest_cost(part[5])),
		'total', theazo_internal.rest_cost((SELECT pg_catalog.sum(p)::bigint FROM pg_catalog.unnest(part) p)),
		'breakdown', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('date', d -> 'date', 'total', theazo_internal.rest_cost(days[n])) ORDER BY n), '[]')
						FROM pg_catalog.jsonb_array_elements(u -> 'breakdown') WITH ORDINALITY x (d, n)));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_usage_for_user(jsonb) IS
'GET /v1/usage/users/:userId';

CREATE OR REPLACE FUNCTION theazo_internal.rest_usage_daily(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('date', d.day, 'cost', theazo_internal.rest_cost(pg_catalog.round(d.cents)::bigint),
				'computeMinutes', pg_catalog.trim_scale(d.compute_minutes), 'modelCalls', d.model_calls) ORDER BY d.day DESC), '[]')
			  FROM theazo.usage_daily(coalesce(theazo_internal.rest_one_of(a, 'period', false, 'last_7_days', 'last_30_days'), 'last_7_days')) d);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_usage_daily(jsonb) IS
'GET /v1/usage/daily';

CREATE OR REPLACE FUNCTION theazo_internal.rest_usage_by_provider(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_object_agg(p.provider, theazo_internal.rest_cost(pg_catalog.round(p.cents)::bigint)), '{}')
			  FROM theazo.usage_by_provider(theazo_internal.rest_period(a)) p);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_usage_by_provider(jsonb) IS
'GET /v1/usage/by-provider';

-- Each session's days are rounded so that they add up; the ledger may have entries of no user's.
CREATE OR REPLACE FUNCTION theazo_internal.rest_usage_rows(p_period text)
RETURNS jsonb LANGUAGE sql VOLATILE
RETURN (
	SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('userId', r.user_id, 'sessionId', r.session_id, 'date', r.day,
			'computeMinutes', pg_catalog.trim_scale(r.minutes), 'modelCalls', r.calls, 'inputTokens', r.input, 'outputTokens', r.output,
			'cost', theazo_internal.rest_cost((pg_catalog.round(r.upto) - pg_catalog.round(r.upto - r.cents))::bigint))
			ORDER BY r.day DESC, r.user_id COLLATE "C", r.session_id COLLATE "C"), '[]')
	  FROM (SELECT x.*, pg_catalog.sum(x.cents) OVER (PARTITION BY x.user_id, x.session_id ORDER BY x.day) AS upto
			  FROM (SELECT u.day, coalesce(u.user_id, '') AS user_id, coalesce(u.session_id, '') AS session_id, pg_catalog.sum(u.compute_minutes) AS minutes,
						   pg_catalog.sum(u.model_calls) AS calls, pg_catalog.sum(u.input_tokens + u.cached_tokens) AS input,
						   pg_catalog.sum(u.output_tokens) AS output, pg_catalog.sum(u.cents) AS cents
					  FROM theazo.usage_export(p_period) u GROUP BY 1, 2, 3) x) r);
COMMENT ON FUNCTION theazo_internal.rest_usage_rows(text) IS
'the ledger of a period by day, user and session, newest day first';

CREATE OR REPLACE FUNCTION theazo_internal.rest_usage_csv(p_rows jsonb)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'userId,sessionId,date,computeMinutes,modelCalls,inputTokens,outputTokens,costCents' || E'\r\n' || coalesce((
	SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', theazo_internal.csv_field(r ->> 'userId'), theazo_internal.csv_field(r ->> 'sessionId'), r ->> 'date',
			r ->> 'computeMinutes', r ->> 'modelCalls', r ->> 'inputTokens', r ->> 'outputTokens', r #>> '{cost,amount}') || E'\r\n', '' ORDER BY n)
	  FROM pg_catalog.jsonb_array_elements(p_rows) WITH ORDINALITY x (r, n)), '');
COMMENT ON FUNCTION theazo_internal.rest_usage_csv(jsonb) IS
'rows of the export as CSV';

-- One record for each end user and day: a usage record that is set again stays what it is.
CREATE OR REPLACE FUNCTION theazo_internal.rest_usage_stripe(p_rows jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN (
	SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('customer', x.customer, 'quantity', x.quantity,
			'timestamp', pg_catalog.date_part('epoch', x.day)::bigint, 'action', 'set') ORDER BY x.day DESC, x.customer COLLATE "C"), '[]')
	  FROM (SELECT r ->> 'userId' AS customer, (r ->> 'date')::date AS day, pg_catalog.sum((r #>> '{cost,amount}')::bigint) AS quantity
			  FROM pg_catalog.jsonb_array_elements(p_rows) r WHERE r ->> 'userId' <> '' GROUP BY 1, 2) x);
COMMENT ON FUNCTION theazo_internal.rest_usage_stripe(jsonb) IS
'rows of the export as usage records';

CREATE OR REPLACE FUNCTION theazo_internal.rest_usage_export(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_period	text := theazo_internal.rest_period(a, NULL);
	v_format	text := theazo_internal.rest_one_of(a, 'format', true, 'stripe', 'csv', 'json');
	v_rows		jsonb := theazo_internal.rest_usage_rows(v_period);
	v_file		text := pg_catalog.format('usage-%s-%s.csv', pg_catalog.replace(v_period, '_', '-'),
					pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'));
BEGIN
	IF v_format = 'csv' AND a ->> '$accept' LIKE '%text/csv%' THEN
		PERFORM theazo_internal.rest_answer(200, pg_catalog.jsonb_build_object('Content-Type', 'text/csv; charset=utf-8',
			'Content-Disposition', pg_catalog.format('attachment; filename="%s"', v_file)));
		RETURN pg_catalog.to_jsonb(theazo_internal.rest_usage_csv(v_rows));
	END IF;
	RETURN pg_catalog.jsonb_build_object('format', v_format, 'period', v_period)
		|| CASE v_format
			WHEN 'csv' THEN pg_catalog.jsonb_build_object('contentType', 'text/csv', 'filename', v_file, 'data', theazo_internal.rest_usage_csv(v_rows))
			WHEN 'stripe' THEN pg_catalog.jsonb_build_object('data', theazo_internal.rest_usage_stripe(v_rows))
			ELSE pg_catalog.jsonb_build_object('data', v_rows) END;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_usage_export(jsonb) IS
'GET /v1/usage/export; raw CSV only for who accepts text/csv';
