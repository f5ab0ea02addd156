-- budget_alert.sql: setting and reading budgets, their alerts, and what the keeper does about limits that were hit.

-- ----------------------------------------------------------------------------
-- Reading
-- ----------------------------------------------------------------------------
-- What is spent and reserved of a budget that the caller may see, and its alerts with what fired this month. Null amounts: the budget
-- of everybody without one is many.
CREATE OR REPLACE FUNCTION theazo_internal.budget_shown(
	p_platform text, p_environment text, p_level text, p_subject text, p_alerts jsonb,
	OUT spent bigint, OUT reserved bigint, OUT alerts jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_month	text := theazo_internal.budget_period('month', now());
	v_all	boolean := p_platform = theazo_internal.operator_platform();
BEGIN
	IF p_subject <> '*' THEN
		SELECT theazo_internal.spent(CASE WHEN NOT v_all THEN p_platform END, p_environment, p_level, p_subject, 'month', now()),
			   coalesce(sum(r.held), 0)
		  INTO spent, reserved
		  FROM theazo_data.reservation r
		 WHERE (v_all OR r.platform_id = p_platform) AND (p_level = 'operator' OR r.environment = p_environment)
		   AND (p_level <> 'user' OR r.user_id = p_subject);
	END IF;
	SELECT coalesce(jsonb_agg(a.alert || jsonb_build_object('fired', EXISTS (
				SELECT FROM theazo_data.budget_fired f
				 WHERE f.platform_id = p_platform AND f.environment = p_environment AND f.level = p_level AND f.period = v_month
				   AND f.threshold = (a.alert ->> 'threshold')::numeric AND (f.subject = p_subject OR p_subject = '*'))) ORDER BY a.ord), '[]')
	  INTO alerts
	  FROM jsonb_array_elements(p_alerts) WITH ORDINALITY AS a (alert, ord);
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_shown(text, text, text, text, jsonb) IS
'what is spent and reserved of a budget this month, and which alerts have fired; for whoever may see the budget';

CREATE OR REPLACE FUNCTION theazo_internal.percentage(p_used numeric, p_max numeric)
RETURNS numeric
LANGUAGE sql IMMUTABLE
AS $$
	SELECT CASE WHEN p_used IS NULL THEN NULL WHEN p_max > 0 THEN pg_catalog.round(100 * p_used / p_max, 2) ELSE 100 END
$$;
COMMENT ON FUNCTION theazo_internal.percentage(numeric, numeric) IS 'how much of a limit is used, from 0 to 100 and above; a limit of nothing is used up';

CREATE OR REPLACE VIEW theazo.budget_status WITH (security_barrier) AS
	SELECT b.environment, b.level, nullif(b.subject, '') AS user_id, theazo_internal.cents(b.monthly) AS budget,
		   theazo_internal.cents(x.spent) AS spent, theazo_internal.cents(x.reserved) AS reserved,
		   theazo_internal.cents(CASE WHEN x.spent < b.monthly THEN b.monthly - x.spent WHEN x.spent IS NOT NULL THEN 0 END) AS remaining,
		   theazo_internal.percentage(x.spent, b.monthly) AS percentage, x.alerts, b.set_at
	  FROM theazo_data.budget b
	 CROSS JOIN LATERAL theazo_internal.budget_shown(b.platform_id, b.environment, b.level, b.subject, b.alerts) x
	 WHERE (SELECT theazo_internal.may_read('billing:read')) AND (SELECT theazo_internal.current_session()) IS NULL
	   AND b.level <> 'operator';
COMMENT ON VIEW theazo.budget_status IS
'budgets of the platform and of its users in cents this month; user_id * is the budget of every user without one of his own; reserved is promised to work that is under way';

CREATE OR REPLACE VIEW theazo.operator_budget_status WITH (security_barrier) AS
	SELECT nullif(b.platform_id, theazo_internal.operator_platform())::text AS platform_id, nullif(b.environment, '') AS environment, b.level,
		   nullif(b.subject, '') AS user_id, theazo_internal.cents(b.monthly) AS budget,
		   theazo_internal.cents(x.spent) AS spent, theazo_internal.cents(x.reserved) AS reserved,
		   theazo_internal.cents(CASE WHEN x.spent < b.monthly THEN b.monthly - x.spent WHEN x.spent IS NOT NULL THEN 0 END) AS remaining,
		   theazo_internal.percentage(x.spent, b.monthly) AS percentage, x.alerts, b.set_at
	  FROM theazo_data.budget b
	 CROSS JOIN LATERAL theazo_internal.budget_shown(b.platform_id, b.environment, b.level, b.subject, b.alerts) x;
COMMENT ON VIEW theazo.operator_budget_status IS
'operator: all budgets in cents this month; those of level operator are the operator''s own, without a platform the one for all of them together';

-- Limits of a session with what is used of them, one row a limit that is set.
CREATE OR REPLACE FUNCTION theazo.session_limits(session text, api_key text DEFAULT NULL)
RETURNS TABLE (name text, max numeric, used numeric, remaining numeric, percentage numeric, unit text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	s	theazo.sessions;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:read');
	s := theazo_internal.session_shown(session_limits.session);
	RETURN QUERY
	SELECT x.name, x.max, x.used, greatest(0, x.max - x.used), theazo_internal.percentage(x.used, x.max), x.unit
	  FROM theazo_internal.session_limits_used(s.platform_id, s.id) x ORDER BY x.ord;
END
$$;
COMMENT ON FUNCTION theazo.session_limits(text, text) IS
'the limits that are set for a session with what is used of them: cents in the present day or month, agents, minutes, seconds';

CREATE OR REPLACE FUNCTION theazo_internal.session_limits_used(p_platform text, p_session text)
RETURNS TABLE (ord integer, name text, max numeric, used numeric, unit text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT l.ord, l.name,
		   CASE l.ord WHEN 1 THEN (s.limits -> 'maxCost' ->> 'amount')::numeric WHEN 4 THEN theazo_internal.duration_seconds(s.limits -> 'maxDuration')
					  ELSE (s.limits ->> l.name)::numeric END,
		   CASE l.ord WHEN 1 THEN theazo_internal.cents(theazo_internal.spent(s.platform_id, s.key_environment, 'session', s.id, s.limits -> 'maxCost' ->> 'period', now()))
					  WHEN 2 THEN theazo_internal.session_live_agents(s.platform_id, s.id)
					  WHEN 3 THEN theazo_internal.session_minutes(s.platform_id, s.id)
					  ELSE round(extract(epoch FROM clock_timestamp() - s.created_at), 3) END, l.unit
	  FROM theazo_data.session s
	  JOIN (VALUES (1, 'maxCost', 'cents'), (2, 'maxAgents', 'agents'), (3, 'maxComputeMinutes', 'minutes'), (4, 'maxDuration', 'seconds'))
			AS l (ord, name, unit) ON s.limits ? l.name
	 WHERE s.platform_id = p_platform AND s.id = p_session;
END
$$;
COMMENT ON FUNCTION theazo_internal.session_limits_used(text, text) IS 'limits of a session that the caller may see, with what is used';

-- ----------------------------------------------------------------------------
-- Setting
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.alerts_check(p_alerts jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	a			jsonb;
	v_threshold	numeric;
	v_out		jsonb := '[]';
BEGIN
	IF p_alerts IS NULL OR pg_catalog.jsonb_typeof(p_alerts) = 'null' THEN
		RETURN v_out;
	ELSIF pg_catalog.jsonb_typeof(p_alerts) <> 'array' OR pg_catalog.jsonb_array_length(p_alerts) > 20 THEN
		PERFORM theazo_internal.raise_value('alerts', 'must be an array of at most 20', 'For example [{"threshold": 0.8}, {"threshold": 1, "action": "pause_all"}].');
	END IF;
	FOR a IN SELECT x FROM pg_catalog.jsonb_array_elements(p_alerts) x
	LOOP
		PERFORM theazo_internal.object_check('alerts', a, 1024, ARRAY['threshold', 'channel', 'action']);
		IF pg_catalog.jsonb_typeof(a -> 'threshold') IS DISTINCT FROM 'number' OR NOT (a ->> 'threshold')::numeric BETWEEN 0 AND 1 THEN
			PERFORM theazo_internal.raise_value('alerts.threshold', 'must be a number from 0 to 1', '0.8 is at 80 percent of the budget.');
		END IF;
		v_threshold := pg_catalog.trim_scale((a ->> 'threshold')::numeric);
		IF v_out @> pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('threshold', v_threshold)) THEN
			PERFORM theazo_internal.raise_value('alerts.threshold', pg_catalog.format('%s is there twice', v_threshold));
		END IF;
		v_out := v_out || pg_catalog.jsonb_build_array(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('threshold', v_threshold,
			'channel', CASE WHEN a ->> 'channel' IS NOT NULL THEN theazo_internal.one_of('alerts.channel', a ->> 'channel', 'webhook') END,
			'action', CASE WHEN a ->> 'action' IS NOT NULL THEN theazo_internal.one_of('alerts.action', a ->> 'action', 'pause_all', 'pause_user') END)));
	END LOOP;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.alerts_check(jsonb) IS 'alerts of a budget: threshold from 0 to 1, channel webhook, action pause_all or pause_user';

-- A budget that is set begins anew: its alerts fire again.
CREATE OR REPLACE FUNCTION theazo_internal.budget_store(
	p_platform text, p_environment text, p_level text, p_subject text, p_monthly numeric, p_alerts jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_alerts	jsonb := theazo_internal.alerts_check(p_alerts);
BEGIN
	IF p_monthly IS NULL OR p_monthly = 'NaN' OR NOT p_monthly BETWEEN 0 AND 1000000000000 OR p_monthly * 1000000 <> trunc(p_monthly * 1000000) THEN
		PERFORM theazo_internal.raise_value('monthly', 'must be from 0 to 1000000000000 cents, to a millionth', 'It holds for a calendar month, UTC.');
	END IF;
	INSERT INTO theazo_data.budget AS b (platform_id, environment, level, subject, monthly, alerts)
	VALUES (p_platform, p_environment, p_level, p_subject, p_monthly * 1000000, v_alerts)
	ON CONFLICT ON CONSTRAINT budget_pkey DO UPDATE SET monthly = excluded.monthly, alerts = excluded.alerts, set_at = clock_timestamp();
	PERFORM theazo_internal.budget_forget(p_platform, p_environment, p_level, p_subject);
	PERFORM theazo_internal.event_write(p_platform, 'control', 'budget_set', jsonb_strip_nulls(jsonb_build_object('level', p_level,
		'userId', nullif(p_subject, ''), 'monthly', p_monthly, 'alerts', v_alerts)), NULL, NULL, NULL, coalesce(nullif(p_environment, ''), 'live'));
	PERFORM theazo_internal.wake_keeper();
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_store(text, text, text, text, numeric, jsonb) IS 'sets a budget in cents a month; its alerts begin anew';

CREATE OR REPLACE FUNCTION theazo_internal.budget_forget(p_platform text, p_environment text, p_level text, p_subject text)
RETURNS void
LANGUAGE sql
AS $$
	DELETE FROM theazo_data.budget_fired f
	 WHERE f.platform_id = p_platform AND f.environment = p_environment AND f.level = p_level
	   AND (f.subject = p_subject OR p_subject = '*' AND NOT EXISTS (SELECT FROM theazo_data.budget b
			WHERE b.platform_id = f.platform_id AND b.environment = f.environment AND b.level = 'user' AND b.subject = f.subject))
$$;
COMMENT ON FUNCTION theazo_internal.budget_forget(text, text, text, text) IS 'forgets which alerts of a budget have fired';

CREATE OR REPLACE FUNCTION theazo_internal.budget_drop(p_platform text, p_environment text, p_level text, p_subject text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM theazo_data.budget b
	 WHERE b.platform_id = p_platform AND b.environment = p_environment AND b.level = p_level AND b.subject = p_subject;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM theazo_internal.budget_forget(p_platform, p_environment, p_level, p_subject);
	PERFORM theazo_internal.event_write(p_platform, 'control', 'budget_deleted', jsonb_strip_nulls(jsonb_build_object('level', p_level,
		'userId', nullif(p_subject, ''))), NULL, NULL, NULL, coalesce(nullif(p_environment, ''), 'live'));
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_drop(text, text, text, text) IS 'deletes a budget; false when there was none';

-- As the REST contract shows it: a budget of nothing where there is none.
CREATE OR REPLACE FUNCTION theazo_internal.budget_row(p_level text, p_user text)
RETURNS theazo.budget_status
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_out	theazo.budget_status;
BEGIN
	SELECT * INTO v_out FROM theazo.budget_status b
	 WHERE b.level = p_level AND (p_user IS NULL OR b.user_id IN (p_user, '*'))
	 ORDER BY b.user_id = '*' AND p_user <> '*' LIMIT 1;
	IF NOT FOUND THEN
		v_out.environment := theazo_internal.current_environment();
		v_out.level := p_level;
		SELECT theazo_internal.cents(x.spent), theazo_internal.cents(x.reserved) INTO v_out.spent, v_out.reserved
		  FROM theazo_internal.budget_shown(theazo_internal.current_platform(), v_out.environment, p_level, coalesce(p_user, ''), '[]') x;
		v_out.budget := 0;
		v_out.remaining := 0;
		v_out.percentage := 0;
		v_out.alerts := '[]';
	ELSIF v_out.user_id = '*' AND p_user <> '*' THEN
		-- the budget of everybody, for this one
		SELECT theazo_internal.cents(x.spent), theazo_internal.cents(x.reserved), x.alerts INTO v_out.spent, v_out.reserved, v_out.alerts
		  FROM theazo_internal.budget_shown(theazo_internal.current_platform(), v_out.environment, 'user', p_user,
			(SELECT pg_catalog.jsonb_agg(a - 'fired') FROM pg_catalog.jsonb_array_elements(v_out.alerts) a)) x;
		v_out.remaining := greatest(0, v_out.budget - v_out.spent);
		v_out.percentage := theazo_internal.percentage(v_out.spent, v_out.budget);
	END IF;
	v_out.user_id := p_user;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_row(text, text) IS 'the budget of the caller''s platform or of one of its users';

CREATE OR REPLACE FUNCTION theazo.budget_set(monthly numeric, alerts jsonb DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.budget_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'billing:write');
	PERFORM theazo_internal.refuse_narrowed('setting a budget');
	PERFORM theazo_internal.budget_store(theazo_internal.current_platform(), theazo_internal.current_environment(), 'platform', '', monthly, alerts);
	RETURN theazo_internal.budget_row('platform', NULL);
END $$;
COMMENT ON FUNCTION theazo.budget_set(numeric, jsonb, text) IS
'sets what the platform may spend in a calendar month, in cents, and alerts at parts of it; replaces the one before';

CREATE OR REPLACE FUNCTION theazo.budget_get(api_key text DEFAULT NULL)
RETURNS theazo.budget_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'billing:read');
	PERFORM theazo_internal.refuse_narrowed('budgets');
	RETURN theazo_internal.budget_row('platform', NULL);
END $$;
COMMENT ON FUNCTION theazo.budget_get(text) IS 'the budget of the platform with what is spent of it this month; 0 without one';

CREATE OR REPLACE FUNCTION theazo.budget_delete(api_key text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'billing:write');
	PERFORM theazo_internal.refuse_narrowed('setting a budget');
	RETURN theazo_internal.budget_drop(theazo_internal.current_platform(), theazo_internal.current_environment(), 'platform', '');
END $$;
COMMENT ON FUNCTION theazo.budget_delete(text) IS 'removes the budget of the platform; false when there is none';

-- The budget of everybody is kept as that of user *. A user of that name has it and none of his own.
CREATE OR REPLACE FUNCTION theazo_internal.budget_user_check(p_user text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	IF p_user = '*' THEN
		PERFORM theazo_internal.raise_value('user_id', 'cannot be *', 'Leave user_id out for the budget of every user without one of his own.');
	ELSIF p_user IS NOT NULL THEN
		PERFORM theazo_internal.name_check('user_id', p_user, 256);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_user_check(text) IS 'checks the user a budget is for; null is everybody';

CREATE OR REPLACE FUNCTION theazo.user_budget_set(monthly numeric, alerts jsonb DEFAULT NULL, user_id text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.budget_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'billing:write');
	PERFORM theazo_internal.refuse_narrowed('setting a budget');
	PERFORM theazo_internal.budget_user_check(user_id);
	PERFORM theazo_internal.budget_store(theazo_internal.current_platform(), theazo_internal.current_environment(), 'user', coalesce(user_id, '*'),
		monthly, alerts);
	RETURN theazo_internal.budget_row('user', coalesce(user_id, '*'));
END $$;
COMMENT ON FUNCTION theazo.user_budget_set(numeric, jsonb, text, text) IS
'sets what one user may spend in a calendar month, in cents; without user_id every user that has no budget of his own';

CREATE OR REPLACE FUNCTION theazo.user_budget_get(user_id text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.budget_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'billing:read');
	PERFORM theazo_internal.refuse_narrowed('budgets');
	PERFORM theazo_internal.budget_user_check(user_id);
	RETURN theazo_internal.budget_row('user', coalesce(user_id, '*'));
END $$;
COMMENT ON FUNCTION theazo.user_budget_get(text, text) IS
'the budget that holds for a user with what he has spent of it this month; without user_id the one of every user';

CREATE OR REPLACE FUNCTION theazo.user_budget_delete(user_id text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'billing:write');
	PERFORM theazo_internal.refuse_narrowed('setting a budget');
	PERFORM theazo_internal.budget_user_check(user_id);
	RETURN theazo_internal.budget_drop(theazo_internal.current_platform(), theazo_internal.current_environment(), 'user', coalesce(user_id, '*'));
END $$;
COMMENT ON FUNCTION theazo.user_budget_delete(text, text) IS
'removes a user''s own budget, or without user_id the one of every user; false when there is none';

-- Above all platforms, or above one of them.
CREATE OR REPLACE FUNCTION theazo_internal.operator_budget_of(p_platform text)
RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF p_platform IS NOT NULL AND NOT EXISTS (SELECT FROM theazo_data.platform p WHERE p.platform_id = p_platform AND p.state <> 'reserved') THEN
		RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('platform %s does not exist', theazo_internal.quoted(p_platform)),
			HINT = 'theazo.operator_platforms lists them.';
	END IF;
	RETURN coalesce(p_platform, theazo_internal.operator_platform());
END $$;
COMMENT ON FUNCTION theazo_internal.operator_budget_of(text) IS 'the platform that an operator''s budget is kept under';

CREATE OR REPLACE FUNCTION theazo.operator_budget_get(platform text DEFAULT NULL)
RETURNS theazo.operator_budget_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_out theazo.operator_budget_status;
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.operator_budget_of(platform);
	SELECT * INTO v_out FROM theazo.operator_budget_status b WHERE b.level = 'operator' AND b.platform_id IS NOT DISTINCT FROM platform;
	RETURN v_out;
END $$;
COMMENT ON FUNCTION theazo.operator_budget_get(text) IS 'operator: the budget above one platform, or without one above all of them together; nulls without one';

CREATE OR REPLACE FUNCTION theazo.operator_budget_set(monthly numeric, alerts jsonb DEFAULT NULL, platform text DEFAULT NULL)
RETURNS theazo.operator_budget_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.operator_platform_ready();
	PERFORM theazo_internal.budget_store(theazo_internal.operator_budget_of(platform), '', 'operator', '', monthly, alerts);
	RETURN theazo.operator_budget_get(platform);
END $$;
COMMENT ON FUNCTION theazo.operator_budget_set(numeric, jsonb, text) IS
'operator: sets what a platform, or without one all of them together, may spend in a calendar month, in cents; platforms see it as theirs';

CREATE OR REPLACE FUNCTION theazo.operator_budget_delete(platform text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	RETURN theazo_internal.budget_drop(theazo_internal.operator_budget_of(platform), '', 'operator', '');
END $$;
COMMENT ON FUNCTION theazo.operator_budget_delete(text) IS 'operator: removes the budget above one platform or above all; false when there is none';

-- ----------------------------------------------------------------------------
-- Keeper
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.keeper_spend()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_platform	text;
	v_n			integer := 0;
BEGIN
	FOR v_platform IN SELECT DISTINCT d.platform_id FROM theazo_data.spend_delta d ORDER BY 1
	LOOP
		-- whoever has it folds himself, or the next turn does
		IF theazo_internal.budget_lock(v_platform) THEN
			v_n := v_n + theazo_internal.spend_fold(v_platform);
		END IF;
	END LOOP;
	-- Of a session a day is asked for while it lasts, and of a user nobody asks after a year.
	DELETE FROM theazo_data.spend s
	 WHERE s.level = 'session' AND s.period < theazo_internal.budget_period('month', now() - '40 days'::interval)
		OR s.level = 'user' AND s.period < theazo_internal.budget_period('month', now() - '400 days'::interval);
	DELETE FROM theazo_data.budget_fired f WHERE f.period < theazo_internal.budget_period('month', now() - '400 days'::interval);
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_spend() IS 'keeper: folds charges into the sums that budgets look at';

-- Whoever has reached a threshold of a budget, once in a month.
CREATE OR REPLACE FUNCTION theazo_internal.budget_reached(p_month text)
RETURNS TABLE (platform_id text, environment text, level text, subject text, monthly bigint, used numeric, threshold numeric, action text, channel text)
LANGUAGE sql STABLE
AS $$
	SELECT b.platform_id::text, b.environment, b.level, u.subject, b.monthly, u.used, a.threshold, a.action, a.channel
	  FROM theazo_data.budget b
	 CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(b.alerts) AS a (threshold numeric, action text, channel text)
	 CROSS JOIN LATERAL (
		SELECT CASE WHEN b.level = 'user' THEN s.subject ELSE '' END AS subject, pg_catalog.sum(s.used) AS used FROM theazo_data.spend s
		 WHERE s.period = p_month AND s.level = CASE WHEN b.level = 'user' THEN 'user' ELSE 'platform' END
		   AND (s.platform_id = b.platform_id OR b.level = 'operator' AND b.platform_id = theazo_internal.operator_platform())
		   AND (s.environment = b.environment OR b.level = 'operator')
		   AND (b.level <> 'user' OR s.subject = b.subject OR b.subject = '*' AND NOT EXISTS (SELECT FROM theazo_data.budget y
				WHERE y.platform_id = b.platform_id AND y.environment = b.environment AND y.level = 'user' AND y.subject = s.subject))
		 GROUP BY 1) u
	 WHERE u.used >= a.threshold * b.monthly
	   AND NOT EXISTS (SELECT FROM theazo_data.budget_fired f
		WHERE f.platform_id = b.platform_id AND f.environment = b.environment AND f.level = b.level AND f.subject = u.subject
		  AND f.period = p_month AND f.threshold = a.threshold)
	 ORDER BY 1, 2, 3, 4, a.threshold LIMIT 1000
$$;
COMMENT ON FUNCTION theazo_internal.budget_reached(text) IS 'alerts of budgets that are due and have not fired this month';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_alerts()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r		record;
	v_month	text := theazo_internal.budget_period('month', now());
	v_n		integer := 0;
	v_data	jsonb;
BEGIN
	FOR r IN SELECT * FROM theazo_internal.budget_reached(v_month)
	LOOP
		INSERT INTO theazo_data.budget_fired (platform_id, environment, level, subject, period, threshold)
		VALUES (r.platform_id, r.environment, r.level, r.subject, v_month, r.threshold) ON CONFLICT DO NOTHING;
		CONTINUE WHEN NOT FOUND;
		v_data := jsonb_strip_nulls(jsonb_build_object('level', CASE r.level WHEN 'operator' THEN 'platform' ELSE r.level END, 'userId', nullif(r.subject, ''),
			'threshold', r.threshold, 'budget', trim_scale(theazo_internal.cents(r.monthly)), 'spent', trim_scale(theazo_internal.cents(r.used::bigint)),
			'action', r.action, 'period', v_month));
		PERFORM theazo_internal.event_write(r.platform_id, 'limit', 'budget_alert', v_data, NULL, NULL, NULL, coalesce(nullif(r.environment, ''), 'live'),
			NULL, 'budget:' || r.level, false, NULL);
		IF r.level <> 'operator' THEN
			PERFORM theazo_internal.notify(r.platform_id, r.environment, 'budget.alert', v_data);
		END IF;
		PERFORM theazo_internal.budget_pause(r.platform_id, r.environment, r.level, r.subject, r.action);
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_alerts() IS 'keeper: fires alerts of budgets, each threshold once in a month, and notes whom they pause';

-- Notes the sessions that an alert pauses: all of them, or those of the user who spent most this month.
CREATE OR REPLACE FUNCTION theazo_internal.budget_pause(p_platform text, p_environment text, p_level text, p_subject text, p_action text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_user text := nullif(p_subject, '');
BEGIN
	IF p_action IS NULL THEN
		RETURN;
	ELSIF p_action = 'pause_user' AND v_user IS NULL THEN
		SELECT s.subject INTO v_user FROM theazo_data.spend s
		 WHERE s.platform_id = p_platform AND (s.environment = p_environment OR p_environment = '') AND s.level = 'user'
		   AND s.period = theazo_internal.budget_period('month', now())
		 ORDER BY s.used DESC, s.subject LIMIT 1;
		IF NOT FOUND THEN
			RETURN;
		END IF;
	ELSIF p_action = 'pause_all' AND p_level <> 'user' THEN
		v_user := NULL;
	END IF;
	INSERT INTO theazo_data.limit_hit (platform_id, id, session_id, rule)
	SELECT s.platform_id, theazo_internal.id_new('hit'), s.id, 'budget:' || CASE p_level WHEN 'operator' THEN 'platform' ELSE p_level END
	  FROM theazo_data.session s
	 WHERE (s.platform_id = p_platform OR p_level = 'operator' AND p_platform = theazo_internal.operator_platform())
	   AND (s.key_environment = p_environment OR p_environment = '') AND s.status = 'active' AND (v_user IS NULL OR s.user_id = v_user);
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_pause(text, text, text, text, text) IS 'notes the sessions that an alert of a budget pauses';

-- Pauses the sessions whose limit was hit, and those past their age. One that somebody else holds waits for the next turn.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_limits()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h	theazo_data.limit_hit;
	v_n	integer := 0;
BEGIN
	INSERT INTO theazo_data.limit_hit (platform_id, id, session_id, rule)
	SELECT s.platform_id, theazo_internal.id_new('hit'), s.id, 'limit:maxDuration' FROM theazo_data.session s
	 WHERE s.status = 'active' AND s.limits ? 'maxDuration'
	   AND s.created_at + theazo_internal.duration_seconds(s.limits -> 'maxDuration') * '1 second'::interval <= clock_timestamp();
	PERFORM set_config('lock_timeout', '500ms', true);
	FOR h IN
		SELECT DISTINCT ON (x.platform_id, x.session_id) x.* FROM theazo_data.limit_hit x ORDER BY x.platform_id, x.session_id, x.id LIMIT 200
	LOOP
		BEGIN
			PERFORM theazo_internal.limit_pause(h);
			DELETE FROM theazo_data.limit_hit x WHERE x.platform_id = h.platform_id AND x.session_id = h.session_id AND x.id <= h.id;
			v_n := v_n + 1;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			RAISE LOG 'theazo keeper: session % is to be paused and is held by somebody; left for the next turn', h.session_id;
		END;
	END LOOP;
	RETURN CASE WHEN v_n = 200 THEN -v_n ELSE v_n END;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_limits() IS 'keeper: pauses sessions whose limit was hit or that an alert pauses';

-- Not when the limit was changed since, or does not hold any more.
CREATE OR REPLACE FUNCTION theazo_internal.limit_pause(h theazo_data.limit_hit)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	s		theazo_data.session;
	v_hit	jsonb;
BEGIN
	SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = h.platform_id AND x.id = h.session_id FOR NO KEY UPDATE;
	IF s.status IS DISTINCT FROM 'active' THEN
		RETURN;
	END IF;
	IF h.rule LIKE 'limit:%' THEN
		IF h.was IS NOT NULL THEN
			IF s.limits -> pg_catalog.substr(h.rule, 7) IS DISTINCT FROM h.was THEN
				RETURN;
			END IF;
		ELSE
			v_hit := theazo_internal.budget_hit(s, false, clock_timestamp());
			IF v_hit ->> 'rule' IS DISTINCT FROM h.rule THEN
				RETURN;
			END IF;
		END IF;
		PERFORM theazo_internal.notify(s.platform_id, s.key_environment, 'limit.exceeded',
			pg_catalog.jsonb_build_object('sessionId', s.id, 'userId', s.user_id, 'limit', pg_catalog.substr(h.rule, 7)));
	END IF;
	PERFORM theazo_internal.session_pause(s, h.rule);
END
$$;
COMMENT ON FUNCTION theazo_internal.limit_pause(theazo_data.limit_hit) IS 'pauses a session whose limit was hit, where that is still so';

-- The next minutes of sandboxes that a limit or budget watches; where they cannot be paid, work in them ends and their agent pauses.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_minutes()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	b			theazo_data.sandbox;
	v_refusal	jsonb;
	v_here		text := theazo_internal.instance();
	v_n			integer := 0;
BEGIN
	PERFORM set_config('lock_timeout', '500ms', true);
	FOR b IN
		SELECT x.* FROM theazo_data.sandbox x
		 WHERE x.status IN ('ready', 'warm') AND x.instance = v_here AND theazo_internal.sandbox_watched(x) ORDER BY x.agent_id, x.id
	LOOP
		BEGIN
			PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = b.platform_id AND a.id = b.agent_id FOR UPDATE;
			SELECT * INTO b FROM theazo_data.sandbox x WHERE x.platform_id = b.platform_id AND x.id = b.id AND x.status IN ('ready', 'warm');
			CONTINUE WHEN NOT FOUND;
			v_refusal := theazo_internal.budget_sandbox(b, theazo_internal.sandbox_ahead());
			IF v_refusal ->> 'code' = 'busy' THEN
				PERFORM theazo_internal.wake_keeper();
			ELSIF v_refusal IS NOT NULL AND b.agent_id IS NULL THEN
				v_n := v_n + theazo_internal.pool_drain(b.platform_id, b.id)::integer;
			ELSIF v_refusal IS NOT NULL THEN
				PERFORM theazo_internal.budget_stop(b, v_refusal);
				v_n := v_n + 1;
			END IF;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			RAISE LOG 'theazo keeper: sandbox % is held by somebody; its next minute is left for the next turn', b.id;
		END;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_minutes() IS 'keeper: reserves the next minutes of sandboxes, and pauses agents that cannot pay for them';

CREATE OR REPLACE FUNCTION theazo_internal.sandbox_watched(b theazo_data.sandbox)
RETURNS boolean
LANGUAGE sql STABLE
AS $$
	SELECT theazo_internal.budget_limited(b.platform_id, b.session_id)
		OR EXISTS (SELECT FROM theazo_data.reservation x WHERE x.platform_id = b.platform_id AND x.id = b.id)
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_watched(theazo_data.sandbox) IS 'does a limit, a budget or a cap watch what this sandbox costs';

-- The agent's next minute cannot be paid: what it does ends, and its sandbox stops costing. The agent is locked.
CREATE OR REPLACE FUNCTION theazo_internal.budget_stop(b theazo_data.sandbox, p_refusal jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	a	theazo_data.agent;
	s	theazo_data.session;
	r	theazo_data.run;
	l	theazo_data.run_loop;
BEGIN
	SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = b.platform_id AND x.id = b.session_id;
	FOR r IN
		SELECT x.* FROM theazo_data.run x
		 WHERE x.platform_id = b.platform_id AND x.agent_id = b.agent_id AND x.status IN ('queued', 'running') ORDER BY x.id
	LOOP
		IF r.kind = 'agent' THEN
			SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = r.platform_id AND x.root_id = theazo_internal.id_root(r.id);
			PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, p_refusal);
		ELSE
			PERFORM theazo_internal.loop_drop(r);
			PERFORM theazo_internal.run_finish(r.platform_id, r.id, 'failed', NULL, NULL, p_refusal,
				CASE WHEN r.kind = 'exec' AND r.status = 'running' THEN theazo_internal.sandbox_bill_run(r, clock_timestamp()) ELSE 0 END,
				NULL, clock_timestamp(), false);
		END IF;
	END LOOP;
	PERFORM theazo_internal.budget_refused(p_refusal, s, b.agent_id, NULL);
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = b.platform_id AND x.id = b.agent_id;
	IF a.status IN ('ready', 'running', 'failed') THEN
		PERFORM theazo_internal.agent_pause(a, 'budget');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_stop(theazo_data.sandbox, jsonb) IS 'ends the work of an agent whose next minute cannot be paid, and pauses it';

-- What belongs to nothing any more: its run has ended without saying so, its sandbox is gone.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_reservations()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_n integer;
BEGIN
	WITH old AS (
		SELECT x.platform_id, x.id FROM theazo_data.reservation x
		 WHERE x.made_at < clock_timestamp() - '10 seconds'::interval
		   AND CASE WHEN x.id LIKE 'run\_%'
					THEN NOT EXISTS (SELECT FROM theazo_data.run r WHERE r.platform_id = x.platform_id AND r.id = x.id AND r.status IN ('queued', 'running'))
						 AND (x.need = 0 OR NOT theazo_internal.budget_awaited(x.platform_id, x.id))
					WHEN x.id LIKE 'agt\_%'
					THEN NOT EXISTS (SELECT FROM theazo_data.run r
						WHERE r.platform_id = x.platform_id AND r.agent_id = x.id AND r.kind = 'agent' AND r.status IN ('queued', 'running'))
						 AND NOT EXISTS (SELECT FROM theazo_data.sandbox s WHERE s.platform_id = x.platform_id AND s.agent_id = x.id
											AND s.status IN ('creating', 'destroying') AND s.started_at IS NULL)
					WHEN x.id LIKE 'eff\_%'
					THEN NOT EXISTS (SELECT FROM theazo_data.effect e
						-- its root is that of its run
						WHERE e.platform_id = x.platform_id AND e.id = x.id AND e.state IN ('claimed', 'sent', 'held'))
					WHEN x.id LIKE 'apr\_%'
					THEN NOT EXISTS (SELECT FROM theazo_data.approval p WHERE p.platform_id = x.platform_id AND p.id = x.id AND p.status = 'pending')
					ELSE NOT EXISTS (SELECT FROM theazo_data.sandbox s
						WHERE s.platform_id = x.platform_id AND s.id = x.id AND s.status IN ('creating', 'warm', 'ready', 'destroying', 'held')) END
		   FOR UPDATE OF x SKIP LOCKED)
	DELETE FROM theazo_data.reservation x USING old o WHERE x.platform_id = o.platform_id AND x.id = o.id;
	GET DIAGNOSTICS v_n = ROW_COUNT;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_reservations() IS 'keeper: lets go what is reserved for runs and sandboxes that are no more';
