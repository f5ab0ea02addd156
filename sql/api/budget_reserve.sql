-- budget_reserve.sql: money is promised before it is spent.
--
-- A dispatcher that has taken a model call reserves its worst case before it leaves: the prompt by its length at the dearest rate
-- that can apply, and max_tokens of answer. What the settlement does not use stays with the run for its next calls, and a run
-- draws a little ahead, so most calls touch nothing but their run's own row. When money is short, what others have drawn ahead is
-- taken back first: nothing is refused while money lies idle. A run that was started by another draws from that one's row first.
--
-- Rows of reservations are locked without waiting, and so is a level (budget_lock): a transaction that claims many calls would
-- otherwise wait for another one that waits for it. What is taken puts the call off for some milliseconds.

-- ----------------------------------------------------------------------------
-- What a call can cost at most
-- ----------------------------------------------------------------------------
-- Tokens of the prompt of a run's next call, rather too many: three bytes a token, where they are mostly four, and what providers
-- put around messages and tools. The history is counted in tokens of four bytes.
CREATE OR REPLACE FUNCTION theazo_internal.prompt_most(l theazo_data.run_loop)
RETURNS bigint
LANGUAGE sql STABLE
AS $$
	SELECT pg_catalog.ceil((4.0 * (l.tokens + coalesce((SELECT pg_catalog.sum(t) FROM pg_catalog.unnest(l.prior_tokens) t), 0))
		+ pg_catalog.octet_length(l.system) + CASE WHEN l.tools = '[]' THEN 0 ELSE pg_catalog.octet_length(l.tools::text) + 1536 END
		+ coalesce(pg_catalog.octet_length((l.options -> 'schema')::text), 0)) / 3)::bigint + 8 * l.messages + 64
$$;
COMMENT ON FUNCTION theazo_internal.prompt_most(theazo_data.run_loop) IS 'tokens that the prompt of a run''s next call has at most, by its length';

-- Rates of a managed entry in millionths of a cent a token, markup included: the dearest that can apply to such a prompt.
CREATE OR REPLACE FUNCTION theazo_internal.rates_most(
	p_platform text, p_entry jsonb, p_prompt bigint, p_at timestamptz, OUT input pg_catalog."numeric", OUT output pg_catalog."numeric")
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v			theazo_data.model_price := theazo_internal.model_price_at(p_platform, p_entry ->> 'model', p_at, p_entry ->> 'provider');
	v_markup	pg_catalog."numeric" := (1 + theazo_internal.price_at(p_platform, 'model.markup', p_at) / 100000000) / 1000000;
BEGIN
	input := greatest(v.input, v.cache_read, v.cache_write_5m, v.cache_write_1h);
	output := v.output;
	IF p_prompt > v.threshold_tokens THEN
		input := greatest(input, v.over_input, v.over_cache_read, v.over_cache_write_5m, v.over_cache_write_1h);
		output := greatest(output, v.over_output);
	END IF;
	input := coalesce(input, 0) * v_markup;
	output := coalesce(output, 0) * v_markup;
END
$$;
COMMENT ON FUNCTION theazo_internal.rates_most(text, jsonb, bigint, timestamptz) IS
'the dearest price of a token of prompt and of answer that can apply to a call of a managed model, in millionths of a cent';

-- The fee that the agent of a run will owe at its end: one made for this run that works on its owner's machines, and has none yet.
CREATE OR REPLACE FUNCTION theazo_internal.run_fee_most(l theazo_data.run_loop, p_at timestamptz)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	a			theazo_data.agent;
	v_managed	boolean;
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = l.platform_id AND x.id = l.agent_id;
	IF NOT a.one_shot OR EXISTS (SELECT FROM theazo_data.sandbox s WHERE s.platform_id = a.platform_id AND s.agent_id = a.id) THEN
		RETURN 0;
	END IF;
	SELECT c.managed INTO v_managed FROM theazo_internal.compute_choose(a) c;
	RETURN CASE WHEN v_managed OR v_managed IS NULL THEN 0
				ELSE theazo_internal.amount_round(theazo_internal.price_at(a.platform_id, 'agent.fee', p_at)) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.run_fee_most(theazo_data.run_loop, timestamptz) IS 'the agent fee a run will owe when it ends, in millionths of a cent';

-- ----------------------------------------------------------------------------
-- Levels of a run
-- ----------------------------------------------------------------------------
-- A run and those that it started, directly or not.
CREATE OR REPLACE FUNCTION theazo_internal.run_family(p_platform text, p_root text)
RETURNS text[]
LANGUAGE sql STABLE
AS $$
	WITH RECURSIVE f (root) AS (
		SELECT p_root
		UNION
		SELECT l.root_id::text FROM f JOIN theazo_data.run_loop l ON l.platform_id = p_platform AND l.parent_root = f.root)
	SELECT pg_catalog.array_agg(f.root) FROM f
$$;
COMMENT ON FUNCTION theazo_internal.run_family(text, text) IS 'roots of a run and of all that came of it';

-- The cap of a run and those of the runs it came of. All that came of a run counts against its cap, with the sandboxes it works in.
CREATE OR REPLACE FUNCTION theazo_internal.budget_run_levels(l theazo_data.run_loop)
RETURNS TABLE (root text, max bigint, used bigint, reserved bigint, held bigint)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
DECLARE
	v_family	text[];
	v_agents	text[];
	v_depth		integer := 0;
BEGIN
	LOOP
		IF l.cost_cap IS NOT NULL THEN
			v_family := theazo_internal.run_family(l.platform_id, l.root_id);
			v_agents := ARRAY(SELECT y.agent_id::text FROM theazo_data.run_loop y WHERE y.platform_id = l.platform_id AND y.root_id = ANY (v_family));
			RETURN QUERY
			SELECT l.root_id::text, l.cost_cap,
				   coalesce((SELECT pg_catalog.sum(c.amount) FROM theazo_data.charge c
							  WHERE c.platform_id = l.platform_id AND c.root_id = ANY (v_family)), 0)::bigint
				   -- the fee of an agent that was made for its run
				   + coalesce((SELECT pg_catalog.sum(c.amount) FROM theazo_data.agent a
								 JOIN theazo_data.charge c ON c.platform_id = a.platform_id AND c.root_id = theazo_internal.id_root(a.id)
								  AND c.agent_id = a.id AND c.item = 'agent.fee'
								WHERE a.platform_id = l.platform_id AND a.id = ANY (v_agents) AND a.one_shot), 0)::bigint,
				   coalesce(pg_catalog.sum(x.need), 0)::bigint, coalesce(pg_catalog.sum(x.held), 0)::bigint
			  FROM theazo_data.reservation x
			 WHERE x.platform_id = l.platform_id
			   AND (pg_catalog.substr(x.id, 5) = ANY (v_family)
					OR x.id NOT LIKE 'run\_%' AND x.agent_id = ANY (v_agents));
		END IF;
		v_depth := v_depth + 1;
		EXIT WHEN l.parent_root IS NULL OR v_depth > 64;
		SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = l.platform_id AND x.root_id = l.parent_root;
		EXIT WHEN NOT FOUND;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_run_levels(theazo_data.run_loop) IS 'cost caps that hold for a run: its own and those of the runs it came of';

-- The level that has the least left. left: what nobody has spent or holds.
CREATE OR REPLACE FUNCTION theazo_internal.budget_tightest(
	s theazo_data.session, l theazo_data.run_loop, p_at timestamptz,
	OUT level text, OUT subject text, OUT max bigint, OUT used bigint, OUT left_over bigint, OUT idle bigint)
LANGUAGE sql STABLE
AS $$
	SELECT x.level, x.subject, x.max, x.used, x.max - x.used - x.held, x.held - x.reserved
	  FROM (SELECT 0 AS ord, 'run' AS level, r.root AS subject, r.max, r.used, r.reserved, r.held FROM theazo_internal.budget_run_levels(l) r
			 WHERE l.root_id IS NOT NULL
			UNION ALL
			SELECT v.ord, v.level, v.subject, v.max, v.used, v.reserved, v.held
			  FROM theazo_internal.budget_levels(s.platform_id, s.key_environment, s.id, s.user_id, p_at) v) x
	 ORDER BY x.max - x.used - x.held, x.ord LIMIT 1
$$;
COMMENT ON FUNCTION theazo_internal.budget_tightest(theazo_data.session, theazo_data.run_loop, timestamptz) IS
'the limit or budget with the least left for a run or a sandbox; nulls without any';

-- Takes back what other runs have drawn ahead of a level. Those that are drawing themselves at this moment are left alone.
CREATE OR REPLACE FUNCTION theazo_internal.budget_reclaim(s theazo_data.session, p_level text, p_subject text, p_id text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_family text[] := CASE WHEN p_level = 'run' THEN theazo_internal.run_family(s.platform_id, p_subject) END;
BEGIN
	WITH idle AS (
		SELECT x.platform_id, x.id FROM theazo_data.reservation x
		 WHERE x.held > x.need AND x.id <> p_id
		   AND (x.platform_id = s.platform_id OR p_level = 'operator')
		   AND CASE p_level WHEN 'run' THEN pg_catalog.substr(x.id, 5) = ANY (v_family)
							WHEN 'session' THEN x.session_id = s.id WHEN 'user' THEN x.environment = s.key_environment AND x.user_id = s.user_id
							WHEN 'platform' THEN x.environment = s.key_environment ELSE true END
		   FOR UPDATE SKIP LOCKED)
	UPDATE theazo_data.reservation x SET held = x.need
	  FROM idle i WHERE x.platform_id = i.platform_id AND x.id = i.id AND x.held > x.need;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_reclaim(theazo_data.session, text, text, text) IS 'takes back what runs have drawn ahead of a level';

-- A taken call goes back to the queue for a moment, as if it had not been taken.
CREATE OR REPLACE FUNCTION theazo_internal.budget_put_off(e theazo_data.effect, p_ms integer DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE theazo_data.effect x
	   SET state = 'queued', attempt = x.attempt - 1, incarnation = NULL, claimed_at = NULL, lease_until = NULL, sent_at = NULL,
		   affinity = e.affinity, due_at = clock_timestamp() + coalesce(p_ms, 2 + 6 * random()) * '1 millisecond'::interval
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
	RETURN '{"code": "busy"}';
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_put_off(theazo_data.effect, integer) IS
'returns a call to the queue, because its budget is being drawn from at this moment or is not known yet';

-- When what limits a session was changed last.
CREATE OR REPLACE FUNCTION theazo_internal.budget_since(s theazo_data.session)
RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
	SELECT greatest(s.limits_at, (SELECT pg_catalog.max(b.set_at) FROM theazo_data.budget b
		WHERE b.platform_id IN (s.platform_id, theazo_internal.operator_platform())))
$$;
COMMENT ON FUNCTION theazo_internal.budget_since(theazo_data.session) IS 'when limits or budgets of a session were set last';

-- Has more been spent and drawn than there is? A provider may count more than a call was allowed.
CREATE OR REPLACE FUNCTION theazo_internal.budget_over(s theazo_data.session, l theazo_data.run_loop, p_at timestamptz)
RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM theazo_internal.budget_levels(s.platform_id, s.key_environment, s.id, s.user_id, p_at) v WHERE v.used + v.held > v.max)
		OR (l.cost_cap IS NOT NULL OR l.parent_root IS NOT NULL)
		   AND EXISTS (SELECT FROM theazo_internal.budget_run_levels(l) r WHERE r.used + r.held > r.max);
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_over(theazo_data.session, theazo_data.run_loop, timestamptz) IS
'is a limit of a run overdrawn, so that what was drawn ahead must not be used';

-- Calls that left before there was a limit have nothing reserved, and nobody knows what they will cost: who comes after them waits
-- for their answers, which is a matter of minutes after the limit was set. Those of this very claim reserve one by one.
CREATE OR REPLACE FUNCTION theazo_internal.budget_unknown(e theazo_data.effect, s theazo_data.session)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN theazo_internal.budget_since(s) > clock_timestamp() - '10 minutes'::interval
		AND EXISTS (SELECT FROM theazo_data.effect x
					 WHERE x.kind IN ('model.call', 'safety.judge') AND x.state IN ('claimed', 'sent') AND x.platform_id = e.platform_id
					   AND x.provider_name LIKE 'theazo:%' AND x.claimed_at < e.claimed_at
					   AND theazo_internal.budget_limited(x.platform_id, x.session_id)
					   AND (x.kind = 'model.call' OR theazo_internal.judge_most(x, clock_timestamp()) > 0)
					   AND x.held_reason IS DISTINCT FROM 'refused'
					   AND NOT EXISTS (SELECT FROM theazo_data.reservation r
						WHERE r.platform_id = x.platform_id AND r.id = CASE x.kind WHEN 'model.call' THEN x.run_id ELSE x.id END));
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_unknown(theazo_data.effect, theazo_data.session) IS
'are calls of the platform under way for which nothing was reserved, because they left before there was a limit';

-- Event of a call that was refused, and the note for the keeper where the session's own limit is what was hit.
CREATE OR REPLACE FUNCTION theazo_internal.budget_refused(
	p_refusal jsonb, s theazo_data.session, p_agent text, p_run text)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.event_write(s.platform_id, 'limit', 'limit_hit',
		pg_catalog.jsonb_build_object('code', 'TZ202') || (p_refusal ->> 'detail')::pg_catalog.jsonb, s.id, p_agent, p_run, s.key_environment,
		'deny', p_refusal ->> 'rule', false, NULL);
	IF p_refusal ->> 'rule' LIKE 'limit:max%' THEN
		INSERT INTO theazo_data.limit_hit (platform_id, id, session_id, rule, was)
		VALUES (s.platform_id, theazo_internal.id_new('hit'), s.id, p_refusal ->> 'rule', s.limits -> substr(p_refusal ->> 'rule', 7));
		PERFORM theazo_internal.wake_keeper();
	END IF;
	RETURN p_refusal;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_refused(jsonb, theazo_data.session, text, text) IS
'records that a dispatcher refused work because of a limit; returns the refusal';

-- ----------------------------------------------------------------------------
-- Model calls
-- ----------------------------------------------------------------------------
-- Before a taken model call leaves. max_tokens: fewer than configured, because more cannot be paid; null: as configured. refusal: it
-- must not leave, with code busy it is back in the queue.
CREATE OR REPLACE FUNCTION theazo_internal.budget_reserve(e theazo_data.effect, l theazo_data.run_loop, OUT max_tokens integer, OUT refusal jsonb)
LANGUAGE plpgsql
AS $$
DECLARE
	s			theazo_data.session;
	v_entry		jsonb := l.chain -> l.at;
	v_at		timestamptz := clock_timestamp();
	v_most		bigint := coalesce((l.options ->> 'max_tokens')::bigint, 8192);
	v_fixed		pg_catalog."numeric" := 0;
	v_rate		pg_catalog."numeric" := 0;
	v_need		bigint := 0;
	v_prompt	bigint;
	v_input		pg_catalog."numeric";
	v_own		bigint;
	v_drawn		timestamptz;
	v_fee		bigint := 0;
BEGIN
	IF l.cost_cap IS NULL AND l.parent_root IS NULL AND NOT theazo_internal.budget_limited(e.platform_id, e.session_id) THEN
		RETURN;
	END IF;
	SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = e.platform_id AND x.id = e.session_id;
	refusal := theazo_internal.session_limit_hit(s, v_at);
	IF refusal IS NOT NULL THEN
		refusal := theazo_internal.budget_refused(refusal, s, e.agent_id, e.run_id);
		RETURN;
	END IF;
	-- Until it is booked, the fee has a row of its own: what a run has drawn ahead may be taken for others.
	IF NOT EXISTS (SELECT FROM theazo_data.reservation x WHERE x.platform_id = e.platform_id AND x.id = e.agent_id) THEN
		v_fee := theazo_internal.run_fee_most(l, v_at);
		v_fixed := v_fee;
	END IF;
	IF (v_entry ->> 'managed')::boolean THEN
		v_prompt := theazo_internal.prompt_most(l);
		SELECT r.input, r.output INTO v_input, v_rate FROM theazo_internal.rates_most(e.platform_id, v_entry, v_prompt, v_at) r;
		v_fixed := v_fixed + v_prompt * v_input;
		v_need := ceil(v_fixed + v_most * v_rate);
	ELSE
		v_need := ceil(v_fixed);
	END IF;
	SELECT x.held, x.drawn_at INTO v_own, v_drawn FROM theazo_data.reservation x
	 WHERE x.platform_id = e.platform_id AND x.id = e.run_id FOR UPDATE SKIP LOCKED;
	IF NOT FOUND AND EXISTS (SELECT FROM theazo_data.reservation x WHERE x.platform_id = e.platform_id AND x.id = e.run_id) THEN
		refusal := theazo_internal.budget_put_off(e);
		RETURN;
	END IF;
	v_own := coalesce(v_own, 0);
	IF v_need > 0 AND v_own < v_need AND l.parent_root IS NOT NULL THEN
		v_own := v_own + theazo_internal.budget_inherit(s, l, v_need - v_own);
		-- The sums that are looked at below must have it.
		PERFORM theazo_internal.budget_hold(s, e.run_id, e.agent_id, v_own, 0);
	END IF;
	-- What a run draws for itself alone is watched by its own row; everything else by the lock of the platform. What it drew
	-- ahead is looked at again when other limits hold now, or somebody's call has cost more than was reserved for it.
	IF v_need = 0 OR v_own < v_need OR v_drawn < theazo_internal.budget_since(s) OR theazo_internal.budget_over(s, l, v_at) THEN
		SELECT b.held, b.max_tokens, b.refusal INTO v_own, max_tokens, refusal
		  FROM theazo_internal.budget_draw(e, l, s, v_own, v_need, v_fixed, v_rate, v_at) b;
		v_drawn := v_at;
	END IF;
	IF refusal IS NULL AND v_need = 0 THEN
		RETURN;
	END IF;
	v_need := CASE WHEN refusal IS NOT NULL THEN 0 WHEN max_tokens IS NOT NULL THEN ceil(v_fixed + max_tokens * v_rate) ELSE v_need END;
	IF refusal IS NULL AND v_fee > 0 THEN
		PERFORM theazo_internal.budget_hold(s, e.agent_id, e.agent_id, v_fee, v_fee);
		v_own := v_own - v_fee;
		v_need := v_need - v_fee;
	END IF;
	PERFORM theazo_internal.budget_hold(s, e.run_id, e.agent_id, v_own, v_need);
	UPDATE theazo_data.reservation x SET drawn_at = v_at
	 WHERE x.platform_id = e.platform_id AND x.id = e.run_id AND v_drawn = v_at AND refusal IS NULL;
	IF refusal ->> 'code' = 'busy' THEN
		refusal := theazo_internal.budget_put_off(e, (refusal ->> 'wait_ms')::integer);
	ELSIF refusal IS NOT NULL THEN
		refusal := theazo_internal.budget_refused(refusal, s, e.agent_id, e.run_id);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_reserve(theazo_data.effect, theazo_data.run_loop) IS
'reserves the most that a model call can cost before it leaves: fewer tokens where less is left, or a refusal';

-- What a run or a sandbox holds from now on. Whoever calls this has its row locked, or is the one who makes it.
CREATE OR REPLACE FUNCTION theazo_internal.budget_hold(s theazo_data.session, p_id text, p_agent text, p_held bigint, p_need bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE theazo_data.reservation x SET held = p_held, need = p_need WHERE x.platform_id = s.platform_id AND x.id = p_id;
	IF NOT FOUND AND p_held > 0 THEN
		INSERT INTO theazo_data.reservation (platform_id, id, environment, session_id, user_id, agent_id, held, need)
		VALUES (s.platform_id, p_id, s.key_environment, s.id, s.user_id, p_agent, p_held, p_need);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_hold(theazo_data.session, text, text, bigint, bigint) IS 'stores what is reserved for a run or a sandbox';

-- Moves what a parent's run has drawn and does not need now to one that it started in the same session, whose levels are the same,
-- so sums do not change. Returns how much.
CREATE OR REPLACE FUNCTION theazo_internal.budget_inherit(s theazo_data.session, l theazo_data.run_loop, p_want bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
	v_id	text;
	v_take	bigint;
BEGIN
	SELECT x.id, least(x.held - x.need, p_want) INTO v_id, v_take FROM theazo_data.reservation x
	 WHERE x.platform_id = l.platform_id AND x.id = 'run_' || l.parent_root AND x.held > x.need AND x.session_id = s.id FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	UPDATE theazo_data.reservation x SET held = x.held - v_take WHERE x.platform_id = l.platform_id AND x.id = v_id;
	RETURN v_take;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_inherit(theazo_data.session, theazo_data.run_loop, bigint) IS
'takes over what the parent of a run has drawn and does not need now';

-- Draws from the levels above a run, with something ahead while there is plenty. p_own is what the run holds; held what it holds then.
CREATE OR REPLACE FUNCTION theazo_internal.budget_draw(
	e theazo_data.effect, l theazo_data.run_loop, s theazo_data.session, p_own bigint, p_need bigint, p_fixed pg_catalog."numeric",
	p_rate pg_catalog."numeric", p_at timestamptz, OUT held bigint, OUT max_tokens integer, OUT refusal jsonb)
LANGUAGE plpgsql
AS $$
DECLARE
	t			record;
	v_missing	bigint := p_need - p_own;
	v_tokens	bigint;
BEGIN
	held := p_own;
	IF NOT theazo_internal.budget_enter(s, l, p_at) THEN
		refusal := '{"code": "busy"}';
		RETURN;
	ELSIF p_need > 0 AND theazo_internal.budget_unknown(e, s) THEN
		refusal := '{"code": "busy", "wait_ms": 50}';
		RETURN;
	END IF;
	SELECT * INTO t FROM theazo_internal.budget_tightest(s, l, p_at);
	IF t.level IS NULL THEN
		held := greatest(held, p_need);
		RETURN;
	ELSIF t.left_over < v_missing AND t.idle > 0 AND p_need > 0 THEN
		PERFORM theazo_internal.budget_reclaim(s, t.level, t.subject, e.run_id);
		SELECT * INTO t FROM theazo_internal.budget_tightest(s, l, p_at);
	END IF;
	IF p_need = 0 THEN
		-- It costs nothing here, and is not made once everything is spent.
		IF t.used >= t.max THEN
			refusal := theazo_internal.budget_refusal_of(t.level, t.subject, t.max, t.used);
		END IF;
	ELSIF t.left_over >= v_missing THEN
		-- Ahead: for three calls like this one, and never more than a sixty-fourth of what is left.
		held := p_need + least(3 * p_need, (t.left_over - v_missing) / 64);
	ELSE
		v_tokens := CASE WHEN p_rate > 0 THEN floor((p_own + t.left_over - p_fixed) / p_rate) ELSE 0 END;
		IF v_tokens >= 16 THEN
			max_tokens := v_tokens;
			held := ceil(p_fixed + max_tokens * p_rate);
		ELSE
			refusal := theazo_internal.budget_refusal_of(t.level, t.subject, t.max, t.max - greatest(t.left_over, 0));
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_draw(theazo_data.effect, theazo_data.run_loop, theazo_data.session, bigint, bigint, numeric, numeric, timestamptz) IS
'draws from the limits and budgets above a run: all it needs and something ahead, fewer tokens, or a refusal';

-- The locks for drawing, and sums that are short. False: somebody else has one of them now.
CREATE OR REPLACE FUNCTION theazo_internal.budget_enter(s theazo_data.session, l theazo_data.run_loop, p_at timestamptz)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
	v_root text := l.parent_root;
BEGIN
	IF l.parent_root IS NULL AND l.root_id IS NOT NULL AND NOT theazo_internal.budget_limited(s.platform_id, s.id) THEN
		RETURN true;
	END IF;
	IF NOT theazo_internal.budget_lock(s.platform_id) THEN
		RETURN false;
	END IF;
	IF EXISTS (SELECT FROM theazo_data.budget b WHERE b.platform_id = theazo_internal.operator_platform() AND b.level = 'operator')
		AND NOT theazo_internal.budget_lock(theazo_internal.operator_platform()) THEN
		RETURN false;
	END IF;
	-- A run that this one came of may draw on its own row alone; it must not at this moment.
	WHILE v_root IS NOT NULL
	LOOP
		PERFORM 1 FROM theazo_data.reservation x WHERE x.platform_id = s.platform_id AND x.id = 'run_' || v_root FOR UPDATE SKIP LOCKED;
		IF NOT FOUND AND EXISTS (SELECT FROM theazo_data.reservation x WHERE x.platform_id = s.platform_id AND x.id = 'run_' || v_root) THEN
			RETURN false;
		END IF;
		SELECT x.parent_root INTO v_root FROM theazo_data.run_loop x WHERE x.platform_id = s.platform_id AND x.root_id = v_root;
	END LOOP;
	IF (SELECT pg_catalog.count(*) FROM (SELECT FROM theazo_data.spend_delta d WHERE d.platform_id = s.platform_id LIMIT 64) x) = 64 THEN
		PERFORM theazo_internal.spend_fold(s.platform_id);
	END IF;
	IF s.limits OPERATOR(pg_catalog.?) 'maxCost' THEN
		PERFORM theazo_internal.spend_open(s.platform_id, s.key_environment, s.id, s.limits -> 'maxCost' ->> 'period', p_at);
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_enter(theazo_data.session, theazo_data.run_loop, timestamptz) IS
'takes the locks for drawing from the budgets of a session without waiting; false when another transaction has one';

-- ----------------------------------------------------------------------------
-- Sandboxes
-- ----------------------------------------------------------------------------
-- What a sandbox will have cost in so many seconds from now beyond what is booked; on its owner's machines the agent's fee until it is.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_most(b theazo_data.sandbox, p_seconds integer, p_at timestamptz)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_open pg_catalog."numeric" := CASE WHEN b.started_at IS NULL OR b.billed_until IS NULL THEN 0 ELSE extract(epoch FROM p_at - b.billed_until) END;
BEGIN
	IF NOT b.managed THEN
		-- One that was made ahead holds the fee of whoever will get it.
		RETURN CASE WHEN b.agent_id IS NOT NULL AND (b.started_at IS NOT NULL
				OR EXISTS (SELECT FROM theazo_data.reservation x WHERE x.platform_id = b.platform_id AND x.id = b.agent_id)
				OR EXISTS (SELECT FROM theazo_data.charge c
				WHERE c.platform_id = b.platform_id AND c.root_id = theazo_internal.id_root(b.agent_id) AND c.agent_id = b.agent_id AND c.item = 'agent.fee'))
			THEN 0 ELSE theazo_internal.amount_round(theazo_internal.price_at(b.platform_id, 'agent.fee', p_at)) END;
	END IF;
	RETURN ceil(theazo_internal.price_at(b.platform_id, CASE WHEN b.browser THEN 'compute.hour.browser' ELSE 'compute.hour' END, coalesce(b.billed_until, p_at))
		* (ceil(greatest(0, v_open)) + p_seconds + 1) / 3600);
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_most(theazo_data.sandbox, integer, timestamptz) IS
'the most a sandbox costs from what is booked until so many seconds from now, in millionths of a cent';

-- Reserves for a sandbox until so many seconds from now. Null: it is; else what is said, or code busy.
CREATE OR REPLACE FUNCTION theazo_internal.budget_sandbox(b theazo_data.sandbox, p_seconds integer)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	s			theazo_data.session;
	l			theazo_data.run_loop;
	t			record;
	v_at		timestamptz := clock_timestamp();
	v_need		bigint;
	v_held		bigint;
	v_refusal	jsonb;
BEGIN
	SELECT x.* INTO l FROM theazo_data.agent a
	  JOIN theazo_data.run_loop x ON x.platform_id = a.platform_id AND x.root_id = theazo_internal.id_root(a.run_id)
	 WHERE a.platform_id = b.platform_id AND a.id = b.agent_id;
	IF l.cost_cap IS NULL AND l.parent_root IS NULL AND NOT theazo_internal.budget_limited(b.platform_id, b.session_id) THEN
		RETURN NULL;
	END IF;
	SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = b.platform_id AND x.id = b.session_id;
	IF b.session_id IS NULL THEN
		-- Made ahead: the platform's own.
		s.platform_id := b.platform_id;
		s.key_environment := b.environment;
	END IF;
	v_refusal := theazo_internal.session_limit_hit(s, v_at);
	IF v_refusal IS NOT NULL THEN
		RETURN v_refusal;
	END IF;
	v_need := theazo_internal.sandbox_most(b, p_seconds, v_at);
	SELECT x.held INTO v_held FROM theazo_data.reservation x
	 WHERE x.platform_id = b.platform_id AND x.id = b.id FOR UPDATE SKIP LOCKED;
	IF NOT FOUND AND EXISTS (SELECT FROM theazo_data.reservation x WHERE x.platform_id = b.platform_id AND x.id = b.id) THEN
		RETURN '{"code": "busy"}';
	END IF;
	IF coalesce(v_held, 0) >= v_need THEN
		RETURN NULL;
	END IF;
	-- The agent's run may draw on its own row alone; the two must not meet.
	IF l.root_id IS NOT NULL THEN
		l.parent_root := coalesce(l.parent_root, l.root_id);
	END IF;
	IF NOT theazo_internal.budget_enter(s, l, v_at) THEN
		RETURN '{"code": "busy"}';
	END IF;
	IF l.parent_root = l.root_id THEN
		l.parent_root := NULL;
	END IF;
	SELECT * INTO t FROM theazo_internal.budget_tightest(s, l, v_at);
	IF t.left_over < v_need - coalesce(v_held, 0) AND t.idle > 0 THEN
		PERFORM theazo_internal.budget_reclaim(s, t.level, t.subject, b.id);
		SELECT * INTO t FROM theazo_internal.budget_tightest(s, l, v_at);
	END IF;
	IF t.left_over < v_need - coalesce(v_held, 0) THEN
		RETURN theazo_internal.budget_refusal_of(t.level, t.subject, t.max, t.max - greatest(t.left_over, 0));
	END IF;
	PERFORM theazo_internal.budget_hold(s, b.id, b.agent_id, v_need, v_need);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_sandbox(theazo_data.sandbox, integer) IS
'reserves the started minutes of a sandbox; null when it is done, else the refusal';

-- Before a taken creation of a sandbox leaves: its first minutes, or its agent's fee.
CREATE OR REPLACE FUNCTION theazo_internal.budget_create(e theazo_data.effect)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	b			theazo_data.sandbox;
	s			theazo_data.session;
	v_refusal	jsonb;
BEGIN
	SELECT * INTO b FROM theazo_data.sandbox x WHERE x.platform_id = e.platform_id AND x.id = e.sandbox_id;
	IF NOT FOUND OR b.status <> 'creating' THEN
		RETURN NULL;
	END IF;
	v_refusal := theazo_internal.budget_sandbox(b, theazo_internal.sandbox_ahead());
	IF v_refusal ->> 'code' = 'busy' THEN
		RETURN theazo_internal.budget_put_off(e);
	ELSIF v_refusal IS NOT NULL THEN
		SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = b.platform_id AND x.id = b.session_id;
		s.platform_id := b.platform_id;
		s.key_environment := b.environment;
		PERFORM theazo_internal.budget_refused(v_refusal, s, e.agent_id, NULL);
	END IF;
	RETURN v_refusal;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_create(theazo_data.effect) IS
'reserves for a sandbox that is about to be made; null when it is done, else the refusal';

-- The keeper comes every minute; the minute it may be late is reserved as well.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_ahead()
RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$ SELECT 120 $$;
COMMENT ON FUNCTION theazo_internal.sandbox_ahead() IS 'seconds for which a sandbox is reserved ahead';

-- ----------------------------------------------------------------------------
-- Release
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.budget_release(p_platform text, p_id text)
RETURNS void
LANGUAGE sql
AS $$
	DELETE FROM theazo_data.reservation x WHERE x.platform_id = p_platform AND x.id = p_id
$$;
COMMENT ON FUNCTION theazo_internal.budget_release(text, text) IS 'lets go what is reserved for a run or a sandbox';

-- Is a call of a run under way whose charge is still to come? A function of its own in PL/pgSQL, so that no partition is looked for in
-- a statement that locks rows.
CREATE OR REPLACE FUNCTION theazo_internal.budget_awaited(p_platform text, p_run text)
RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM theazo_data.effect e
					WHERE e.platform_id = p_platform AND e.root_id = theazo_internal.id_root(p_run) AND e.run_id = p_run
					  AND e.kind = 'model.call' AND e.state IN ('claimed', 'sent', 'held'));
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_awaited(text, text) IS 'is a model call of a run under way, so that what is reserved for it must stay';

-- A run has ended: what it still holds is everybody's again. A call that is cut with it is paid when it is settled, out of what is
-- reserved for it, which goes then.
CREATE OR REPLACE FUNCTION theazo_internal.reservation_noted(p_platform text, p_id text)
RETURNS boolean LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_reservation_noted';
COMMENT ON FUNCTION theazo_internal.reservation_noted(text, text) IS 'may something be reserved under this id; false: certainly not. Without a statement, so only the owners may call it';

CREATE OR REPLACE FUNCTION theazo_internal.budget_end(r theazo_data.run)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	DELETE FROM theazo_data.reservation x
	 WHERE x.platform_id = r.platform_id AND x.id = r.id AND (x.need = 0 OR NOT theazo_internal.budget_awaited(r.platform_id, r.id));
	IF r.kind = 'agent' THEN
		-- the fee of the agent that was made for it, unless a machine is being made that it will fall due with
		DELETE FROM theazo_data.reservation x
		 WHERE x.platform_id = r.platform_id AND x.id = r.agent_id
		   AND NOT EXISTS (SELECT FROM theazo_data.sandbox s WHERE s.platform_id = r.platform_id AND s.agent_id = r.agent_id
							  AND s.status IN ('creating', 'destroying') AND s.started_at IS NULL);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_end(theazo_data.run) IS 'lets go what a run that has ended still holds';
