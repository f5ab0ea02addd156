-- bound.sql: bounds of what runs and agents may use up, as content safety asks for: what a run costs against the one that started
-- it, and how often an agent is changed. How often runs start others is a rate (rate.sql, scope spawn).
--
-- They hold where guardrails ask for anything, the child's or its parent's.

-- A bound that a run has passed, in a dispatcher's transaction.
CREATE OR REPLACE FUNCTION theazo_internal.bound_passed(r theazo_data.run, p_rule text, p_message text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.event_write(r.platform_id, 'limit', 'sandbox_limit_hit', pg_catalog.jsonb_build_object('code', 'TZ202', 'type', 'resource_bound',
		'stage', 'run', 'message', p_message), r.session_id, r.agent_id, r.id, r.environment, 'deny', p_rule, true);
	PERFORM theazo_internal.log_write(r.platform_id, theazo_internal.id_root(r.id), 'warn', 'system', p_message, r.environment, r.session_id, r.agent_id,
		r.id, r.user_id, r.provider, r.trace_id);
	PERFORM theazo_internal.safety_tell(r, 'resource_bound', p_message);
END
$$;
COMMENT ON FUNCTION theazo_internal.bound_passed(theazo_data.run, text, text) IS 'event, log and alert of a resource bound that a run has passed';

-- The run that started this one, where its cost bounds that of this one; nulls else.
CREATE OR REPLACE FUNCTION theazo_internal.bound_parent(l theazo_data.run_loop)
RETURNS theazo_data.run_loop
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	p	theazo_data.run_loop;
BEGIN
	IF l.parent_root IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT * INTO p FROM theazo_data.run_loop x WHERE x.platform_id = l.platform_id AND x.root_id = l.parent_root;
	IF NOT FOUND OR NOT theazo_internal.guardrails_on(theazo_internal.safety_guard(l)) AND NOT theazo_internal.guardrails_on(theazo_internal.safety_guard(p)) THEN
		RETURN NULL;
	END IF;
	RETURN p;
END
$$;
COMMENT ON FUNCTION theazo_internal.bound_parent(theazo_data.run_loop) IS 'the loop of the run whose cost bounds this one''s, if any does';

-- Where the parent has a cap, twice that is a cap of the child.
CREATE OR REPLACE FUNCTION theazo_internal.bound_cap(l theazo_data.run_loop)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	p	theazo_data.run_loop := theazo_internal.bound_parent(l);
BEGIN
	RETURN 2 * p.cost_cap;
END
$$;
COMMENT ON FUNCTION theazo_internal.bound_cap(theazo_data.run_loop) IS 'the most a run may cost because of what the one that started it may; null without such a bound';

CREATE OR REPLACE FUNCTION theazo_internal.bound_spent(p_platform text, p_root text)
RETURNS bigint
LANGUAGE sql STABLE
AS $$
	SELECT coalesce(pg_catalog.sum(c.amount), 0)::bigint FROM theazo_data.charge c WHERE c.platform_id = p_platform AND c.root_id = p_root
$$;
COMMENT ON FUNCTION theazo_internal.bound_spent(text, text) IS 'what a run has cost so far, by the ledger';

-- Where the parent has none, its child goes on as long as it has not cost more than twice what the parent has. Asked before each
-- call but the first: one call is always possible. Returns what the run fails with, or null.
CREATE OR REPLACE FUNCTION theazo_internal.bound_cost(l theazo_data.run_loop, r theazo_data.run)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	p			theazo_data.run_loop;
	v_spent		bigint;
	v_parent	bigint;
	v_message	text;
BEGIN
	IF l.parent_root IS NULL THEN
		RETURN NULL;
	END IF;
	p := theazo_internal.bound_parent(l);
	IF p.root_id IS NULL OR p.cost_cap IS NOT NULL THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.sandbox_bill_run(r, clock_timestamp());
	v_spent := theazo_internal.bound_spent(l.platform_id, l.root_id);
	v_parent := theazo_internal.bound_spent(p.platform_id, p.root_id);
	IF v_spent <= 2 * v_parent THEN
		RETURN NULL;
	END IF;
	v_message := pg_catalog.format('the run has cost more than twice what the run that started it has: %s against %s cents',
		pg_catalog.round(theazo_internal.cents(v_spent), 4), pg_catalog.round(theazo_internal.cents(v_parent), 4));
	PERFORM theazo_internal.bound_passed(r, 'parent_cost', v_message);
	RETURN pg_catalog.jsonb_build_object('code', 'session_limit_exceeded', 'sqlstate', 'TZ202', 'message', v_message,
		'hint', 'Give the run that starts others a max_cost: each of them may then cost twice that.');
END
$$;
COMMENT ON FUNCTION theazo_internal.bound_cost(theazo_data.run_loop, theazo_data.run) IS
'the error of a run that has cost more than twice what its parent has, with its violation; null where it goes on';

-- A run that its cap has ended: where the cap came from its parent's, that is a violation.
CREATE OR REPLACE FUNCTION theazo_internal.bound_ended(l theazo_data.run_loop, r theazo_data.run, p_error jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF l.parent_root IS NULL OR l.cost_cap IS NULL OR p_error ->> 'sqlstate' IS DISTINCT FROM 'TZ202'
		OR l.cost_cap IS DISTINCT FROM theazo_internal.bound_cap(l)
		OR p_error ->> 'message' NOT LIKE '%cost cap%'
		-- of a run further up
		OR p_error ->> 'detail' LIKE '{%' AND ((p_error ->> 'detail')::jsonb ->> 'max')::pg_catalog."numeric" <> theazo_internal.cents(l.cost_cap) THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.bound_passed(r, 'parent_cost', pg_catalog.format('the run may cost twice what the run that started it may: %s cents',
		pg_catalog.round(theazo_internal.cents(l.cost_cap), 4)));
END
$$;
COMMENT ON FUNCTION theazo_internal.bound_ended(theazo_data.run_loop, theazo_data.run, jsonb) IS 'the violation of a run that was ended by the cap it has of its parent';

-- What an agent is made of: instructions, tools, model, rights, code. Each change of it is one of these events.
CREATE OR REPLACE FUNCTION theazo_internal.evolution_actions()
RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['permission_approved', 'agent_updated'];
COMMENT ON FUNCTION theazo_internal.evolution_actions() IS 'events of an agent that has become another one';

-- Before such a change, with the agent locked, in the caller's transaction.
CREATE OR REPLACE FUNCTION theazo_internal.evolution_check(a theazo_data.agent)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_most		CONSTANT integer := 10;
	v_now		timestamptz := clock_timestamp();
	v_n			integer;
	v_first		timestamptz;
	v_message	text;
BEGIN
	IF NOT theazo_internal.guardrails_on(theazo_internal.guardrails_of(a)) THEN
		RETURN;
	END IF;
	SELECT pg_catalog.count(*), pg_catalog.min(x.occurred_at) INTO v_n, v_first
	  FROM (SELECT e.occurred_at FROM theazo_data.event e
			 WHERE e.platform_id = a.platform_id AND e.id >= 'evt_' || theazo_internal.id_floor(v_now - '1 hour'::interval)
			   AND e.agent_id = a.id AND e.action = ANY (theazo_internal.evolution_actions())
			   -- another status makes no other agent
			   AND (e.action <> 'agent_updated' OR pg_catalog.convert_from(e.body, 'UTF8')::jsonb -> 'summary' ? 'revision')
			 ORDER BY e.id DESC LIMIT v_most) x;
	IF v_n < v_most THEN
		RETURN;
	END IF;
	v_message := pg_catalog.format('agent "%s" was changed %s times within an hour', a.id, v_most);
	PERFORM theazo_internal.event_refused(a.platform_id, 'limit', 'rate_limit_hit', pg_catalog.jsonb_build_object('code', 'TZ201', 'type', 'resource_bound',
		'stage', 'change', 'message', v_message), a.session_id, a.id, NULL, a.key_environment, 'deny', 'evolution_rate', true);
	RAISE EXCEPTION USING ERRCODE = 'TZ201', MESSAGE = v_message,
		DETAIL = pg_catalog.format('Retry after %s ms.', greatest(1, ceil(extract(epoch FROM v_first + '1 hour'::interval - v_now) * 1000))::bigint),
		HINT = 'Change it later, and see who changes it that often: theazo.guardrails_violations() has each refusal.';
END
$$;
COMMENT ON FUNCTION theazo_internal.evolution_check(theazo_data.agent) IS
'TZ201 for an agent whose guardrails ask for something and that was changed ten times within the last hour';
