-- budget_aside.sql: money that is set aside for one thing beside the calls of a run, in a row of its own: a fee that falls due
-- when people have answered, a question to a judge. When it is paid the row is handed to the run, whose charge it is.

-- Sets an amount aside for a run. What the run has drawn ahead comes first. Null: it is done; else what is said, or code busy.
CREATE OR REPLACE FUNCTION theazo_internal.budget_aside(
	s theazo_data.session, l theazo_data.run_loop, p_run text, p_id text, p_amount bigint, p_at timestamptz)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	t		record;
	-- its row as well: what a run draws for itself alone takes no other lock
	v_from	theazo_data.run_loop := l;
BEGIN
	v_from.parent_root := l.root_id;
	WITH own AS (
		SELECT x.platform_id, x.id FROM theazo_data.reservation x
		 WHERE x.platform_id = s.platform_id AND x.id = p_run AND x.held - x.need >= p_amount
		   AND x.drawn_at >= theazo_internal.budget_since(s) AND NOT theazo_internal.budget_over(s, l, p_at)
		   FOR UPDATE SKIP LOCKED)
	UPDATE theazo_data.reservation x SET held = x.held - p_amount
	  FROM own o WHERE x.platform_id = o.platform_id AND x.id = o.id;
	IF NOT FOUND THEN
		IF NOT theazo_internal.budget_enter(s, v_from, p_at) THEN
			RETURN '{"code": "busy", "message": "the budget is being drawn from by others; try again"}';
		END IF;
		SELECT * INTO t FROM theazo_internal.budget_tightest(s, l, p_at);
		IF t.left_over < p_amount AND t.idle > 0 THEN
			PERFORM theazo_internal.budget_reclaim(s, t.level, t.subject, '');
			SELECT * INTO t FROM theazo_internal.budget_tightest(s, l, p_at);
		END IF;
		IF t.left_over < p_amount THEN
			RETURN theazo_internal.budget_refusal_of(t.level, t.subject, t.max, t.max - greatest(t.left_over, 0));
		END IF;
	END IF;
	PERFORM theazo_internal.budget_hold(s, p_id, l.agent_id, p_amount, p_amount);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_aside(theazo_data.session, theazo_data.run_loop, text, text, bigint, timestamptz) IS
'reserves an amount for a run in a row of its own; null when it is done, else the refusal';

-- It falls due, or is not needed: what was set aside goes to the run's row, from which charges are taken.
CREATE OR REPLACE FUNCTION theazo_internal.budget_fee_due(p_platform text, p_id text, p_run text)
RETURNS void
LANGUAGE sql
AS $$
	WITH gone AS (DELETE FROM theazo_data.reservation x WHERE x.platform_id = p_platform AND x.id = p_id RETURNING x.held)
	UPDATE theazo_data.reservation x SET held = x.held + g.held FROM gone g WHERE x.platform_id = p_platform AND x.id = p_run
$$;
COMMENT ON FUNCTION theazo_internal.budget_fee_due(text, text, text) IS 'hands what was set aside to the run that pays';

-- A fee that falls due when people have answered: reserved while they are asked. Null: it is, or nothing limits it; else what is
-- said. A claim has the lock for some milliseconds.
CREATE OR REPLACE FUNCTION theazo_internal.budget_fee(l theazo_data.run_loop, r theazo_data.run, p_id text, p_item text)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	s			theazo_data.session;
	v_at		timestamptz := clock_timestamp();
	v_fee		bigint := theazo_internal.amount_round(theazo_internal.price_at(r.platform_id, p_item, v_at));
	v_refusal	jsonb;
BEGIN
	IF v_fee = 0 OR l.cost_cap IS NULL AND l.parent_root IS NULL AND NOT theazo_internal.budget_limited(r.platform_id, r.session_id) THEN
		RETURN NULL;
	END IF;
	SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = r.platform_id AND x.id = r.session_id;
	FOR i IN 1..100
	LOOP
		v_refusal := theazo_internal.budget_aside(s, l, r.id, p_id, v_fee, v_at);
		EXIT WHEN v_refusal ->> 'code' IS DISTINCT FROM 'busy';
		PERFORM pg_catalog.pg_sleep(0.002);
	END LOOP;
	RETURN CASE WHEN v_refusal ? 'sqlstate' THEN theazo_internal.budget_refused(v_refusal, s, r.agent_id, r.id) ELSE v_refusal END;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_fee(theazo_data.run_loop, theazo_data.run, text, text) IS
'reserves a fee that falls due later; null when it is done, else the refusal';

-- The most that a question to the operator's judge can cost: its text as it is sent, the orders around it (about 1500 bytes, the
-- adapter's), and the answer at its longest. A moderation endpoint costs what the price list says. Platforms' own cost nothing here.
CREATE OR REPLACE FUNCTION theazo_internal.judge_most(e theazo_data.effect, p_at timestamptz)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	q			jsonb;
	v_prompt	bigint;
	v_rates		record;
BEGIN
	IF e.provider_name NOT LIKE 'theazo:%' THEN
		RETURN 0;
	END IF;
	SELECT x.request INTO q FROM theazo_data.effect_payload x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
	IF NOT q ? 'entry' THEN
		RETURN theazo_internal.amount_round(theazo_internal.price_at(e.platform_id, 'safety.moderation', p_at));
	END IF;
	-- as a string within a string
	v_prompt := (2048 + pg_catalog.octet_length(pg_catalog.to_jsonb((q -> 'input')::text)::text)) / 3 + 64;
	v_rates := theazo_internal.rates_most(e.platform_id, q -> 'entry', v_prompt, p_at);
	RETURN ceil(v_prompt * v_rates.input + 1024 * v_rates.output);
END
$$;
COMMENT ON FUNCTION theazo_internal.judge_most(theazo_data.effect, timestamptz) IS
'the most a question to a judge can cost, in millionths of a cent';

-- Before a taken question leaves. Null: it may; else the refusal, which is no verdict and blocks, or code busy.
CREATE OR REPLACE FUNCTION theazo_internal.budget_judge(e theazo_data.effect)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	s			theazo_data.session;
	l			theazo_data.run_loop;
	v_at		timestamptz := clock_timestamp();
	v_need		bigint;
	v_refusal	jsonb;
BEGIN
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	IF NOT FOUND OR l.cost_cap IS NULL AND l.parent_root IS NULL AND NOT theazo_internal.budget_limited(e.platform_id, e.session_id) THEN
		RETURN NULL;
	END IF;
	v_need := theazo_internal.judge_most(e, v_at);
	IF v_need = 0 THEN
		RETURN NULL;
	END IF;
	SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = e.platform_id AND x.id = e.session_id;
	IF theazo_internal.budget_unknown(e, s) THEN
		RETURN theazo_internal.budget_put_off(e, 50);
	END IF;
	v_refusal := theazo_internal.budget_aside(s, l, e.run_id, e.id, v_need, v_at);
	IF v_refusal ->> 'code' = 'busy' THEN
		RETURN theazo_internal.budget_put_off(e);
	END IF;
	RETURN CASE WHEN v_refusal IS NOT NULL THEN theazo_internal.budget_refused(v_refusal, s, e.agent_id, e.run_id) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_judge(theazo_data.effect) IS
'reserves the most that a question to a judge can cost before it leaves; null when it is done, else the refusal';
