-- budget.sql: what is left: how money that was spent is summed up, the limits that hold, and the check before work begins.
--
--	charge -> spend_delta (same transaction) -> spend (folded by keeper and dispatchers)
--	call about to leave -> reservation.need -> charge;   run drawing ahead -> reservation.held
--
-- A level is used up by what was spent of it and what is reserved: used + held <= max in any snapshot. Whoever takes from a level
-- holds the lock of its platform (budget_lock) and looks after that; nobody waits for it: a call that finds it taken goes
-- back to the queue for a moment. Callers only read, so that an idle client holds up nobody. See budget_reserve.sql.

-- ----------------------------------------------------------------------------
-- Spend
-- ----------------------------------------------------------------------------
-- Beside every charge, in its transaction: what was spent, and that much less of what was reserved for it. p_ends: the call it was
-- reserved for is over. Without a statement where nothing is reserved, so only the owners may call this.
CREATE OR REPLACE FUNCTION theazo_internal.spend_append(
	p_platform text, p_charge text, p_environment text, p_session text, p_user text, p_amount bigint, p_occurred timestamptz,
	p_reservation text, p_ends boolean)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_spend_append';
COMMENT ON FUNCTION theazo_internal.spend_append(text, text, text, text, text, bigint, timestamptz, text, boolean) IS
'notes what a charge spends of budgets, and takes it out of what was reserved for it';

CREATE OR REPLACE FUNCTION theazo_internal.budget_period(p_period text, p_at timestamptz)
RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT pg_catalog.to_char(p_at AT TIME ZONE 'UTC', CASE p_period WHEN 'day' THEN 'YYYY-MM-DD' ELSE 'YYYY-MM' END)
$$;
COMMENT ON FUNCTION theazo_internal.budget_period(text, timestamptz) IS 'the day or month of a moment as spend names it, UTC';

CREATE OR REPLACE FUNCTION theazo_internal.budget_period_start(p_period text, p_at timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE
AS $$
	SELECT pg_catalog.date_trunc(CASE p_period WHEN 'day' THEN 'day' ELSE 'month' END, p_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;
COMMENT ON FUNCTION theazo_internal.budget_period_start(text, timestamptz) IS 'first moment of the day or month of a moment, UTC';

-- Held to the end of the transaction, and never waited for: false when another transaction has it.
CREATE OR REPLACE FUNCTION theazo_internal.budget_lock(p_platform text)
RETURNS boolean
LANGUAGE sql VOLATILE
AS $$
	SELECT theazo_internal.own_lock('budget', p_platform, false)
$$;
COMMENT ON FUNCTION theazo_internal.budget_lock(text) IS 'who takes from the budgets of a platform, or folds what was spent, has this';

-- Brings what was spent into the sums: of platform and user always, of a session where its limit keeps one. The caller has the lock.
CREATE OR REPLACE FUNCTION theazo_internal.spend_fold(p_platform text)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
	v_n integer;
BEGIN
	WITH gone AS (
		DELETE FROM theazo_data.spend_delta d WHERE d.platform_id = p_platform
		RETURNING d.environment, d.session_id, d.user_id, d.amount, theazo_internal.budget_period('month', d.occurred_at) AS month,
			theazo_internal.budget_period('day', d.occurred_at) AS day),
	added AS (
		SELECT g.environment, 'platform' AS level, '' AS subject, g.month AS period, g.amount FROM gone g
		UNION ALL
		SELECT g.environment, 'user', g.user_id, g.month, g.amount FROM gone g WHERE g.user_id IS NOT NULL
		UNION ALL
		SELECT g.environment, s.level, s.subject, s.period, g.amount FROM gone g
		  JOIN theazo_data.spend s ON s.platform_id = p_platform AND s.environment = g.environment AND s.level = 'session'
		   AND s.subject = g.session_id AND s.period IN (g.month, g.day)),
	folded AS (
		INSERT INTO theazo_data.spend AS x (platform_id, environment, level, subject, period, used)
		SELECT p_platform, a.environment, a.level, a.subject, a.period, pg_catalog.sum(a.amount) FROM added a
		 GROUP BY a.environment, a.level, a.subject, a.period
		ON CONFLICT ON CONSTRAINT spend_pkey DO UPDATE SET used = x.used + excluded.used)
	SELECT pg_catalog.count(*) INTO v_n FROM gone;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.spend_fold(text) IS 'folds the charges of a platform into its sums; returns how many';

-- From here on the sum of a session is kept. What is not folded yet is added by whoever reads. The caller has the lock.
CREATE OR REPLACE FUNCTION theazo_internal.spend_open(p_platform text, p_environment text, p_session text, p_period text, p_at timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_name	text := theazo_internal.budget_period(p_period, p_at);
	v_from	timestamptz := theazo_internal.budget_period_start(p_period, p_at);
BEGIN
	IF EXISTS (SELECT FROM theazo_data.spend s WHERE s.platform_id = p_platform AND s.environment = p_environment
				  AND s.level = 'session' AND s.subject = p_session AND s.period = v_name) THEN
		RETURN;
	END IF;
	INSERT INTO theazo_data.spend (platform_id, environment, level, subject, period, used)
	SELECT p_platform, p_environment, 'session', p_session, v_name,
		   theazo_internal.ledger_sum(p_platform, p_session, v_from, v_from + ('1 ' || p_period)::interval)
		   - coalesce((SELECT pg_catalog.sum(d.amount) FROM theazo_data.spend_delta d
						WHERE d.platform_id = p_platform AND d.session_id = p_session
						  AND theazo_internal.budget_period(p_period, d.occurred_at) = v_name), 0);
END
$$;
COMMENT ON FUNCTION theazo_internal.spend_open(text, text, text, text, timestamptz) IS 'begins to keep the sum of what a session spends in a day or month';

-- Sees all rows, whoever asks: C counts with it (src/gate/level.c).
CREATE OR REPLACE FUNCTION theazo_internal.ledger_sum(p_platform text, p_session text, p_from timestamptz, p_to timestamptz)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(sum(c.amount), 0)::bigint FROM theazo_data.charge c
	 WHERE c.platform_id = p_platform AND c.session_id = p_session AND c.occurred_at >= p_from AND c.occurred_at < p_to
$$;
COMMENT ON FUNCTION theazo_internal.ledger_sum(text, text, timestamptz, timestamptz) IS
'what a session spent between two moments, from the ledger';

CREATE OR REPLACE FUNCTION theazo_internal.spent_by_all(
	p_period text, p_from timestamptz, p_to timestamptz, OUT used bigint, OUT reserved bigint, OUT held bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((SELECT sum(s.used) FROM theazo_data.spend s WHERE s.level = 'platform' AND s.period = p_period), 0)::bigint
		 + coalesce((SELECT sum(d.amount) FROM theazo_data.spend_delta d WHERE d.occurred_at >= p_from AND d.occurred_at < p_to), 0)::bigint,
		   coalesce(sum(x.need), 0)::bigint, coalesce(sum(x.held), 0)::bigint
	  FROM theazo_data.reservation x
$$;
COMMENT ON FUNCTION theazo_internal.spent_by_all(text, timestamptz, timestamptz) IS
'what all platforms together spent in a month, and what is reserved for them now';

-- What was spent at a level in the day or month of p_at. Operator: of one platform, or with a null one of all. As the caller's
-- statement sees it, whatever is folded meanwhile.
CREATE OR REPLACE FUNCTION theazo_internal.spent(
	p_platform text, p_environment text, p_level text, p_subject text, p_period text, p_at timestamptz)
RETURNS bigint LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_spent';
COMMENT ON FUNCTION theazo_internal.spent(text, text, text, text, text, timestamptz) IS
'millionths of a cent spent at a level in the day or month of a moment';

-- ----------------------------------------------------------------------------
-- Levels
-- ----------------------------------------------------------------------------
-- Does anything limit the money or time of this session at all?
CREATE OR REPLACE FUNCTION theazo_internal.budget_limited(p_platform text, p_session text)
RETURNS boolean LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_budget_limited';
COMMENT ON FUNCTION theazo_internal.budget_limited(text, text) IS 'is there a limit or budget that work in a session could hit';

-- Limits of money above a run, in the order in which they are named. reserved: for what is under way; held: with what runs have drawn
-- ahead; used_up: nothing is left for new work. As the caller's statement sees it: what a settlement moves from held to used counts once.
CREATE OR REPLACE FUNCTION theazo_internal.budget_levels(
	p_platform text, p_environment text, p_session text, p_user text, p_at timestamptz)
RETURNS TABLE (ord integer, level text, subject text, period text, max bigint, used bigint, reserved bigint, held bigint, used_up boolean)
LANGUAGE c STABLE ROWS 2 AS 'MODULE_PATHNAME', 'theazo_budget_levels';
COMMENT ON FUNCTION theazo_internal.budget_levels(text, text, text, text, timestamptz) IS
'limits of money of a session, its user, its platform and the operator, with what is spent and reserved of each at one moment';

-- Minutes that sandboxes of a session have run, those that run now included.
CREATE OR REPLACE FUNCTION theazo_internal.session_minutes(p_platform text, p_session text)
RETURNS numeric
LANGUAGE sql STABLE
AS $$
	SELECT pg_catalog.round(coalesce(pg_catalog.sum(s.billed_seconds + CASE WHEN s.status = 'ready'
		THEN greatest(0, extract(epoch FROM pg_catalog.clock_timestamp() - s.billed_until)) ELSE 0 END), 0) / 60, 2)
	  FROM theazo_data.sandbox s WHERE s.platform_id = p_platform AND s.session_id = p_session
$$;
COMMENT ON FUNCTION theazo_internal.session_minutes(text, text) IS 'compute minutes of a session';

CREATE OR REPLACE FUNCTION theazo_internal.session_live_agents(p_platform text, p_session text)
RETURNS bigint
LANGUAGE sql STABLE
AS $$
	SELECT pg_catalog.count(*) FROM theazo_data.agent a
	 WHERE a.platform_id = p_platform AND a.session_id = p_session AND a.status NOT IN ('completed', 'failed')
$$;
COMMENT ON FUNCTION theazo_internal.session_live_agents(text, text) IS 'agents of a session that have neither ended nor failed';

CREATE OR REPLACE FUNCTION theazo_internal.duration_seconds(p_doc jsonb)
RETURNS numeric
LANGUAGE sql IMMUTABLE
AS $$
	SELECT coalesce((p_doc ->> 'hours')::pg_catalog."numeric", 0) * 3600 + coalesce((p_doc ->> 'minutes')::pg_catalog."numeric", 0) * 60
		+ coalesce((p_doc ->> 'seconds')::pg_catalog."numeric", 0)
$$;
COMMENT ON FUNCTION theazo_internal.duration_seconds(jsonb) IS 'hours, minutes and seconds of a limit as seconds';

-- ----------------------------------------------------------------------------
-- Refusals
-- ----------------------------------------------------------------------------
-- What is said when a limit stops work. Amounts of money come in cents; the operator's budgets are called the platform's.
CREATE OR REPLACE FUNCTION theazo_internal.budget_refusal(p_level text, p_limit text, p_what text, p_max numeric, p_used numeric)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$
	SELECT pg_catalog.jsonb_build_object('code', 'session_limit_exceeded', 'sqlstate', 'TZ202',
		'message', pg_catalog.format('%s is used up: %s of %s %s', p_what, pg_catalog.trim_scale(p_used), pg_catalog.trim_scale(p_max),
			CASE p_limit WHEN 'maxAgents' THEN 'agents' WHEN 'maxComputeMinutes' THEN 'compute minutes' WHEN 'maxDuration' THEN 'seconds' ELSE 'cents' END),
		'detail', pg_catalog.jsonb_build_object('level', CASE p_level WHEN 'operator' THEN 'platform' ELSE p_level END, 'limit', p_limit,
			'max', pg_catalog.trim_scale(p_max), 'used', pg_catalog.trim_scale(p_used))::text,
		'hint', CASE p_level WHEN 'run' THEN 'Give a higher max_cost, or raise the agent''s costCap.'
			WHEN 'session' THEN 'Raise the limit with theazo.session_update_limits()'
				|| CASE p_limit WHEN 'maxCost' THEN ', or wait for the next period.' WHEN 'maxAgents' THEN ', or end an agent.' ELSE '.' END
			WHEN 'user' THEN 'Raise it with theazo.user_budget_set(), or wait for the next month.'
			WHEN 'platform' THEN 'Raise it with theazo.budget_set(), or wait for the next month.'
			ELSE 'The operator set it; it begins anew with the next month.' END,
		'rule', CASE p_level WHEN 'session' THEN 'limit:' || p_limit WHEN 'run' THEN 'limit:run' ELSE 'budget:' || p_level END)
$$;
COMMENT ON FUNCTION theazo_internal.budget_refusal(text, text, text, numeric, numeric) IS 'what is said when a limit stops work: code, message, detail, hint, rule';

CREATE OR REPLACE FUNCTION theazo_internal.budget_refusal_of(p_level text, p_subject text, p_max bigint, p_used bigint)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$
	SELECT theazo_internal.budget_refusal(p_level, 'maxCost',
		CASE p_level WHEN 'run' THEN 'the cost cap of the run' WHEN 'session' THEN pg_catalog.format('limit maxCost of session "%s"', p_subject)
			WHEN 'user' THEN pg_catalog.format('the budget of user %s', theazo_internal.quoted(p_subject))
			WHEN 'platform' THEN 'the budget of the platform' ELSE 'the operator''s budget for the platform' END,
		theazo_internal.cents(p_max), theazo_internal.cents(p_used))
$$;
COMMENT ON FUNCTION theazo_internal.budget_refusal_of(text, text, bigint, bigint) IS 'what is said when a limit of money stops work';

-- Limits of a session that are not money: null when none stops work now.
CREATE OR REPLACE FUNCTION theazo_internal.session_limit_hit(s theazo_data.session, p_at timestamptz)
RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_max	pg_catalog."numeric";
	v_used	pg_catalog."numeric";
BEGIN
	IF s.limits OPERATOR(pg_catalog.?) 'maxComputeMinutes' THEN
		v_max := (s.limits ->> 'maxComputeMinutes')::pg_catalog."numeric";
		v_used := theazo_internal.session_minutes(s.platform_id, s.id);
		IF v_used >= v_max THEN
			RETURN theazo_internal.budget_refusal('session', 'maxComputeMinutes', pg_catalog.format('limit maxComputeMinutes of session "%s"', s.id), v_max, v_used);
		END IF;
	END IF;
	IF s.limits OPERATOR(pg_catalog.?) 'maxDuration' THEN
		v_max := theazo_internal.duration_seconds(s.limits -> 'maxDuration');
		v_used := pg_catalog.trunc(extract(epoch FROM p_at - s.created_at), 0);
		IF extract(epoch FROM p_at - s.created_at) >= v_max THEN
			RETURN theazo_internal.budget_refusal('session', 'maxDuration', pg_catalog.format('limit maxDuration of session "%s"', s.id), v_max, greatest(v_used, v_max));
		END IF;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.session_limit_hit(theazo_data.session, timestamptz) IS
'the refusal by a session''s compute minutes or its age, null when neither is used up';

-- What stops new work of a session now: the first limit in the order session, user, platform, operator; null when nothing does.
CREATE OR REPLACE FUNCTION theazo_internal.budget_hit(s theazo_data.session, p_new_agent boolean, p_at timestamptz)
RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v		record;
	v_live	bigint;
	v_money	jsonb;
	v_other	jsonb;
BEGIN
	SELECT * INTO v FROM theazo_internal.budget_levels(s.platform_id, s.key_environment, s.id, s.user_id, p_at) x
	 WHERE x.used_up
		-- its own limit paused it although a remainder is left that buys nothing
		OR x.ord = 1 AND s.paused_reason = 'limit:maxCost' AND s.paused_at >= theazo_internal.budget_period_start(x.period, p_at)
	 ORDER BY x.ord LIMIT 1;
	IF FOUND THEN
		v_money := theazo_internal.budget_refusal_of(v.level, v.subject, v.max, v.used + v.reserved);
		IF v.ord = 1 THEN
			RETURN v_money;
		END IF;
	END IF;
	v_other := theazo_internal.session_limit_hit(s, p_at);
	IF v_other IS NULL AND p_new_agent AND s.limits OPERATOR(pg_catalog.?) 'maxAgents' THEN
		v_live := theazo_internal.session_live_agents(s.platform_id, s.id);
		IF v_live >= (s.limits ->> 'maxAgents')::bigint THEN
			v_other := theazo_internal.budget_refusal('session', 'maxAgents', pg_catalog.format('limit maxAgents of session "%s"', s.id),
				(s.limits ->> 'maxAgents')::pg_catalog."numeric", v_live);
		END IF;
	END IF;
	RETURN coalesce(v_other, v_money);
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_hit(theazo_data.session, boolean, timestamptz) IS
'the refusal by the first limit or budget that stops new work of a session, null when none does';

CREATE OR REPLACE FUNCTION theazo_internal.budget_raise(p_refusal jsonb, p_platform text, p_environment text, p_session text, p_agent text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.event_refused(p_platform, 'limit', 'limit_hit',
		pg_catalog.jsonb_build_object('code', 'TZ202') || (p_refusal ->> 'detail')::pg_catalog.jsonb,
		p_session, p_agent, p_environment => p_environment, p_rule => p_refusal ->> 'rule');
	RAISE EXCEPTION USING ERRCODE = 'TZ202', MESSAGE = p_refusal ->> 'message', DETAIL = p_refusal ->> 'detail', HINT = p_refusal ->> 'hint';
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_raise(jsonb, text, text, text, text) IS
'TZ202 with the facts in DETAIL; the event stays, and the keeper draws the consequence from it';

-- Resuming a session that a limit paused: refused while it is used up.
CREATE OR REPLACE FUNCTION theazo_internal.session_held(s theazo_data.session)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_rule		text := s.paused_reason;
	v_refusal	jsonb;
BEGIN
	-- What is left of it may be too little for the next call; that is said then.
	s.paused_reason := NULL;
	v_refusal := theazo_internal.budget_hit(s, false, clock_timestamp());
	IF v_refusal ->> 'rule' = v_rule THEN
		PERFORM theazo_internal.budget_raise(v_refusal, s.platform_id, s.key_environment, s.id, NULL);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.session_held(theazo_data.session) IS 'TZ202 while the limit that paused a session is used up';

-- Before work begins. Reads only. Of a session that somebody paused or ended, that is what is said, unless a limit is what paused it.
-- Mostly nothing is used up, and that takes no statement: budget_refuse() is asked where it may be otherwise.
CREATE OR REPLACE FUNCTION theazo_internal.budget_check(
	p_platform text, p_environment text, p_session text, p_user text, p_agent text, p_new_agent boolean)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_budget_check';
COMMENT ON FUNCTION theazo_internal.budget_check(text, text, text, text, text, boolean) IS
'TZ202 when a limit or budget is used up that new work in a session would need';

CREATE OR REPLACE FUNCTION theazo_internal.budget_refuse(p_platform text, p_session text, p_agent text, p_new_agent boolean)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	s			theazo_data.session;
	v_refusal	jsonb;
BEGIN
	SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = p_platform AND x.id = p_session;
	IF p_new_agent AND s.limits ? 'maxAgents' THEN
		-- Two that each make the last one: the second counts when the first is there, or is not.
		PERFORM theazo_internal.own_lock('maxAgents', p_session, true);
	END IF;
	v_refusal := theazo_internal.budget_hit(s, p_new_agent, clock_timestamp());
	IF v_refusal IS NOT NULL THEN
		PERFORM theazo_internal.budget_raise(v_refusal, p_platform, s.key_environment, p_session, p_agent);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_refuse(text, text, text, boolean) IS
'TZ202 when the first limit or budget that stops new work of a session is used up';
