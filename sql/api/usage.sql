-- usage.sql: what a platform used, by session, user, day and provider, all from the ledger.
--
-- Amounts are what this platform pays here: calls at providers of its own cost nothing and are counted all the same, so that what
-- those providers send as an invoice can be shared out by session. input_tokens are those that did not come from a cache.

-- Period names of usage functions, UTC calendar.
CREATE OR REPLACE FUNCTION theazo_internal.period_start(p_period text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_today timestamptz := date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
BEGIN
	CASE coalesce(p_period, 'month')
		WHEN 'today' THEN RETURN v_today;
		WHEN 'week', 'last_7_days' THEN RETURN v_today - '6 days'::interval;
		WHEN 'last_30_days' THEN RETURN v_today - '29 days'::interval;
		WHEN 'month' THEN RETURN theazo_internal.month_floor(now());
		ELSE
			RAISE EXCEPTION USING ERRCODE = '22023',
				MESSAGE = format('period %s is not known', theazo_internal.quoted(p_period)),
				HINT = 'Use today, week, month, last_7_days or last_30_days.';
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.period_start(text) IS 'first moment of a named period, UTC calendar';

-- Everything of a period in one row. Runs as the function that calls it, under its policies.
CREATE OR REPLACE FUNCTION theazo_internal.usage_total(p_since timestamptz, p_session text, p_user text)
RETURNS TABLE (
	compute_minutes numeric, compute_cents numeric, model_calls bigint, input_tokens bigint, cached_tokens bigint, output_tokens bigint,
	estimated_calls bigint, model_cents numeric, orchestration_cents numeric, primitive_cents numeric, storage_cents numeric, total_cents numeric)
LANGUAGE sql STABLE
AS $$
	SELECT coalesce(pg_catalog.round(pg_catalog.sum(c.quantity) FILTER (WHERE c.item = 'compute.second') / 60, 2), 0),
		   coalesce(pg_catalog.sum(c.cents) FILTER (WHERE c.item = 'compute.second'), 0),
		   pg_catalog.count(*) FILTER (WHERE c.item = 'model.call'),
		   coalesce(pg_catalog.sum(c.input_tokens), 0)::bigint, coalesce(pg_catalog.sum(c.cached_tokens), 0)::bigint,
		   coalesce(pg_catalog.sum(c.output_tokens), 0)::bigint,
		   pg_catalog.count(*) FILTER (WHERE c.item = 'model.call' AND c.estimated),
		   coalesce(pg_catalog.sum(c.cents) FILTER (WHERE c.item IN ('model.call', 'safety.moderation')), 0),
		   coalesce(pg_catalog.sum(c.cents) FILTER (WHERE c.item = 'agent.fee'), 0),
		   coalesce(pg_catalog.sum(c.cents) FILTER (WHERE c.item IN ('workflow.run', 'fleet.dispatch', 'approval.cycle', 'schedule.execution')), 0),
		   coalesce(pg_catalog.sum(c.cents) FILTER (WHERE c.item = 'storage.gb_month'), 0),
		   coalesce(pg_catalog.sum(c.cents), 0)
	  FROM theazo.charges c
	 WHERE c.occurred_at >= p_since AND (p_session IS NULL OR c.session_id = p_session) AND (p_user IS NULL OR c.user_id = p_user)
$$;
COMMENT ON FUNCTION theazo_internal.usage_total(timestamptz, text, text) IS 'sums of the ledger since a moment, of the caller''s platform, a session or a user';

CREATE OR REPLACE FUNCTION theazo.usage_summary(period text DEFAULT 'month', api_key text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_since	timestamptz;
	v_out	jsonb;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'usage:read');
	v_since := theazo_internal.period_start(usage_summary.period);
	SELECT jsonb_build_object(
		'total_cents', t.total_cents, 'compute_minutes', t.compute_minutes, 'compute_cents', t.compute_cents,
		'models', jsonb_build_object('calls', t.model_calls, 'input_tokens', t.input_tokens, 'cached_tokens', t.cached_tokens,
			'output_tokens', t.output_tokens, 'cents', t.model_cents),
		'active_sessions', (SELECT count(*) FROM theazo.sessions s WHERE s.status = 'active'),
		'running_agents', (SELECT count(*) FROM theazo.agents a WHERE a.status = 'running'),
		'top_user', coalesce((SELECT jsonb_build_object('user_id', c.user_id, 'cents', sum(c.cents))
								FROM theazo.charges c WHERE c.occurred_at >= v_since AND c.payer = 'theazo' AND c.user_id IS NOT NULL
							   GROUP BY c.user_id ORDER BY sum(c.cents) DESC, c.user_id LIMIT 1),
							 '{"user_id": "", "cents": 0}')) INTO v_out
	  FROM theazo_internal.usage_total(v_since, NULL, NULL) t;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.usage_summary(text, text) IS
'spend, compute minutes, model calls and tokens, active sessions and the user with the highest spend in a period';

CREATE OR REPLACE FUNCTION theazo.usage_for_user(user_id text, period text DEFAULT 'month', api_key text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_since	timestamptz;
	v_out	jsonb;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'usage:read');
	PERFORM theazo_internal.name_check('user_id', usage_for_user.user_id, 256);
	v_since := theazo_internal.period_start(usage_for_user.period);
	SELECT jsonb_build_object(
		'compute', jsonb_build_object('minutes', t.compute_minutes, 'cents', t.compute_cents),
		'models', jsonb_build_object('calls', t.model_calls, 'tokens', jsonb_build_object('input', t.input_tokens + t.cached_tokens,
			'cached', t.cached_tokens, 'output', t.output_tokens), 'cents', t.model_cents),
		'orchestration', jsonb_build_object('cents', t.orchestration_cents),
		'primitives', jsonb_build_object('cents', t.primitive_cents),
		'storage', jsonb_build_object('cents', t.storage_cents),
		'total_cents', t.total_cents,
		'breakdown', coalesce((
			SELECT jsonb_agg(jsonb_build_object('date', d.day, 'cents', d.cents) ORDER BY d.day)
			  FROM (SELECT (c.occurred_at AT TIME ZONE 'UTC')::date AS day, sum(c.cents) AS cents
					  FROM theazo.charges c
					 WHERE c.user_id = usage_for_user.user_id AND c.occurred_at >= v_since GROUP BY 1) d), '[]')) INTO v_out
	  FROM theazo_internal.usage_total(v_since, NULL, usage_for_user.user_id) t;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.usage_for_user(text, text, text) IS
'what one end user used and cost in a period, by kind and by day; its parts add up to the total; zeros for an unknown one';

CREATE OR REPLACE FUNCTION theazo.user_usage(user_id text, period text DEFAULT 'month', api_key text DEFAULT NULL)
RETURNS TABLE (
	compute_minutes numeric, compute_cents numeric, model_calls bigint, input_tokens bigint, cached_tokens bigint, output_tokens bigint,
	estimated_calls bigint, model_cents numeric, orchestration_cents numeric, primitive_cents numeric, storage_cents numeric, total_cents numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'usage:read');
	PERFORM theazo_internal.name_check('user_id', user_usage.user_id, 256);
	RETURN QUERY SELECT * FROM theazo_internal.usage_total(theazo_internal.period_start(user_usage.period), NULL, user_usage.user_id);
END
$$;
COMMENT ON FUNCTION theazo.user_usage(text, text, text) IS
'what one end user used and cost in a period, as one row of numbers; zeros for an unknown one';

CREATE OR REPLACE FUNCTION theazo.session_usage(session text, period text DEFAULT 'month', api_key text DEFAULT NULL)
RETURNS TABLE (
	compute_minutes numeric, compute_cents numeric, model_calls bigint, input_tokens bigint, cached_tokens bigint, output_tokens bigint,
	estimated_calls bigint, model_cents numeric, orchestration_cents numeric, primitive_cents numeric, storage_cents numeric, total_cents numeric,
	active_agents bigint, agents_created bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_since	timestamptz;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'usage:read');
	IF NOT EXISTS (SELECT FROM theazo_data.session s WHERE s.platform_id = theazo_internal.current_platform() AND s.id = session_usage.session) THEN
		PERFORM theazo_internal.raise_not_found('session', session_usage.session);
	END IF;
	v_since := CASE WHEN session_usage.period = 'all' THEN '-infinity' ELSE theazo_internal.period_start(session_usage.period) END;
	RETURN QUERY
	SELECT t.*, a.active, a.created
	  FROM theazo_internal.usage_total(v_since, session_usage.session, NULL) t
	 CROSS JOIN (SELECT count(*) FILTER (WHERE x.status NOT IN ('completed', 'failed')) AS active,
						count(*) FILTER (WHERE x.created_at >= v_since) AS created
				   FROM theazo_data.agent x
				  WHERE x.platform_id = theazo_internal.current_platform() AND x.session_id = session_usage.session) a;
END
$$;
COMMENT ON FUNCTION theazo.session_usage(text, text, text) IS
'what one session used and cost in a period (all: since it began), how many agents were made in it and how many live now, as one row of numbers';

CREATE OR REPLACE FUNCTION theazo.usage_daily(period text DEFAULT 'last_7_days', api_key text DEFAULT NULL)
RETURNS TABLE (day date, cents numeric, compute_minutes numeric, model_calls bigint, input_tokens bigint, cached_tokens bigint, output_tokens bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_since	timestamptz;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'usage:read');
	v_since := theazo_internal.period_start(coalesce(usage_daily.period, 'last_7_days'));
	RETURN QUERY
	SELECT d.day::date, coalesce(sum(c.cents), 0), coalesce(round(sum(c.quantity) FILTER (WHERE c.item = 'compute.second') / 60, 2), 0),
		   count(*) FILTER (WHERE c.item = 'model.call'), coalesce(sum(c.input_tokens), 0)::bigint, coalesce(sum(c.cached_tokens), 0)::bigint,
		   coalesce(sum(c.output_tokens), 0)::bigint
	  FROM generate_series(v_since AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', '1 day'::interval) AS d (day)
	  LEFT JOIN theazo.charges c ON c.occurred_at >= v_since AND (c.occurred_at AT TIME ZONE 'UTC')::date = d.day::date
	 GROUP BY 1 ORDER BY 1 DESC;
END
$$;
COMMENT ON FUNCTION theazo.usage_daily(text, text) IS 'cost, compute minutes, model calls and tokens of each day of a period (UTC), newest first, days without usage as zeros';

CREATE OR REPLACE FUNCTION theazo.usage_by_provider(period text DEFAULT 'month', api_key text DEFAULT NULL)
RETURNS TABLE (provider text, payer text, cents numeric, compute_minutes numeric, model_calls bigint, input_tokens bigint, cached_tokens bigint, output_tokens bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_since	timestamptz;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'usage:read');
	v_since := theazo_internal.period_start(usage_by_provider.period);
	RETURN QUERY
	SELECT coalesce(c.provider, 'theazo'), CASE WHEN bool_or(c.payer = 'provider') THEN 'provider' ELSE 'theazo' END, sum(c.cents),
		   coalesce(round(sum(c.quantity) FILTER (WHERE c.item = 'compute.second') / 60, 2), 0), count(*) FILTER (WHERE c.item = 'model.call'),
		   coalesce(sum(c.input_tokens), 0)::bigint, coalesce(sum(c.cached_tokens), 0)::bigint, coalesce(sum(c.output_tokens), 0)::bigint
	  FROM theazo.charges c WHERE c.occurred_at >= v_since
	 GROUP BY 1 ORDER BY 3 DESC, 1;
END
$$;
COMMENT ON FUNCTION theazo.usage_by_provider(text, text) IS
'cost, compute minutes, model calls and tokens by provider in a period; payer provider means that the provider sends its own invoice for them';

CREATE OR REPLACE FUNCTION theazo.usage_export(period text DEFAULT 'month', api_key text DEFAULT NULL)
RETURNS TABLE (day date, user_id text, session_id text, payer text, provider text, model text, compute_minutes numeric, model_calls bigint,
			   input_tokens bigint, cached_tokens bigint, output_tokens bigint, estimated_calls bigint, cents numeric, provider_cents numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_since	timestamptz;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'usage:read');
	v_since := theazo_internal.period_start(usage_export.period);
	RETURN QUERY
	SELECT (c.occurred_at AT TIME ZONE 'UTC')::date, c.user_id, c.session_id::text, c.payer, coalesce(c.provider, 'theazo'), c.model,
		   coalesce(round(sum(c.quantity) FILTER (WHERE c.item = 'compute.second') / 60, 2), 0), count(*) FILTER (WHERE c.item = 'model.call'),
		   coalesce(sum(c.input_tokens), 0)::bigint, coalesce(sum(c.cached_tokens), 0)::bigint, coalesce(sum(c.output_tokens), 0)::bigint,
		   count(*) FILTER (WHERE c.item = 'model.call' AND c.estimated), sum(c.cents), sum(c.provider_cents)
	  FROM theazo.charges c WHERE c.occurred_at >= v_since
	 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6;
END
$$;
COMMENT ON FUNCTION theazo.usage_export(text, text) IS
'the ledger of a period by day, session, provider and model: cents paid here, and minutes and tokens to share out the invoices of the providers where payer is provider; provider_cents is what those told themselves';
