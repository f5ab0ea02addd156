-- pool.sql: sandboxes made ahead of agents: a definition with warmPool: n has n of them waiting, and an agent of it gets one at once.
--
--	creating -> warm -> ready (given away, from then on as any other) | destroying
--
-- Until it is given away nobody's secrets are in it, and its time is the platform's: charges without session, agent and user. The
-- keeper makes what is missing and ends what fits no more: an older version, a provider that is not the first any more, one that
-- has waited too long for what is left of its time. Pools serve live keys.

-- What a sandbox is made of, as far as agents differ in it. Two agents with the same can have each other's.
CREATE OR REPLACE FUNCTION theazo_internal.pool_key(a theazo_data.agent)
RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT pg_catalog."left"(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
		a.compute, theazo_internal.sandbox_network(a), theazo_internal.policy_of(a) #> '{limits,maxMemoryMb}', theazo_internal.compute_wishes(a.options),
		a.options -> 'provider', a.options -> 'providerFallback', a.options -> 'maxDuration')::text, 'UTF8')), 'hex'), 32)
$$;
COMMENT ON FUNCTION theazo_internal.pool_key(theazo_data.agent) IS 'what must be the same for an agent to get a sandbox that was made ahead';

-- An agent as one of this definition would be.
CREATE OR REPLACE FUNCTION theazo_internal.pool_agent(d theazo_data.definition, p_content jsonb)
RETURNS theazo_data.agent
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	a.platform_id := d.platform_id;
	a.definition_id := d.id;
	a.key_environment := 'live';
	a.compute := coalesce(p_content ->> 'compute', 'python');
	a.options := theazo_internal.policy_check(d.platform_id, p_content, p_content) - 'compute' - 'managedLoop' - 'warmPool';
	a.created_at := pg_catalog.now();
	a.labels := '{}';
	RETURN a;
END
$$;
COMMENT ON FUNCTION theazo_internal.pool_agent(theazo_data.definition, jsonb) IS 'an agent as one of a definition would be, for what is made ahead of it';

-- May this agent have it, as far as money goes? What waits holds its next minutes, or the fee of an agent on its owner's machines, from
-- the budgets of the platform and the operator. A fee within narrower limits is reserved by a dispatcher, so there the usual way is gone.
CREATE OR REPLACE FUNCTION theazo_internal.pool_payable(a theazo_data.agent, b theazo_data.sandbox)
RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_held	bigint := coalesce((SELECT x.held FROM theazo_data.reservation x WHERE x.platform_id = b.platform_id AND x.id = b.id), 0);
	v_fee	bigint;
BEGIN
	IF b.managed THEN
		RETURN NOT EXISTS (SELECT FROM theazo_internal.budget_levels(a.platform_id, a.key_environment, a.session_id, a.user_id, pg_catalog.clock_timestamp()) l
			WHERE l.level IN ('session', 'user') AND l.max - l.used - l.held < v_held);
	END IF;
	v_fee := theazo_internal.amount_round(theazo_internal.price_at(a.platform_id, 'agent.fee', pg_catalog.clock_timestamp()));
	IF v_fee = 0 OR EXISTS (SELECT FROM theazo_data.reservation x WHERE x.platform_id = a.platform_id AND x.id = a.id) THEN
		RETURN true;
	ELSIF EXISTS (SELECT FROM theazo_data.run_loop l WHERE l.platform_id = a.platform_id AND l.root_id = theazo_internal.id_root(a.run_id)
					AND (l.cost_cap IS NOT NULL OR l.parent_root IS NOT NULL)) THEN
		RETURN false;
	END IF;
	RETURN NOT theazo_internal.budget_limited(a.platform_id, a.session_id)
		OR v_held >= v_fee AND NOT EXISTS (SELECT FROM theazo_internal.budget_levels(a.platform_id, a.key_environment, a.session_id, a.user_id,
			pg_catalog.clock_timestamp()) l WHERE l.level IN ('session', 'user'));
END
$$;
COMMENT ON FUNCTION theazo_internal.pool_payable(theazo_data.agent, theazo_data.sandbox) IS 'is what an agent would owe for a sandbox made ahead reserved or free';

-- A sandbox for a locked agent that waits for one like it; null when there is none.
CREATE OR REPLACE FUNCTION theazo_internal.pool_assign(a theazo_data.agent)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	b		theazo_data.sandbox;
	v_now	timestamptz := clock_timestamp();
BEGIN
	IF a.definition_id IS NULL OR NOT EXISTS (SELECT FROM theazo_data.sandbox x
		WHERE x.platform_id = a.platform_id AND x.definition_id = a.definition_id AND x.status = 'warm')
		OR EXISTS (SELECT FROM theazo_data.session s WHERE s.platform_id = a.platform_id AND s.id = a.session_id AND (s.compute ? 'provider' OR s.compute ? 'endpoint')) THEN
		RETURN NULL;
	END IF;
	SELECT x.* INTO b FROM theazo_data.sandbox x
	 WHERE x.platform_id = a.platform_id AND x.definition_id = a.definition_id AND x.status = 'warm' AND x.environment = a.key_environment
	   AND x.pool_key = theazo_internal.pool_key(a) AND x.instance = theazo_internal.instance()
	   AND (x.expires_at IS NULL OR x.expires_at > v_now + '5 minutes'::interval)
	 ORDER BY x.started_at LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF NOT FOUND OR NOT theazo_internal.pool_payable(a, b) THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.gate_agent('compute.create', a, a.run_id, b.provider_name);
	-- So far it was the platform's, from here on it is the session's, with what is reserved for it.
	PERFORM theazo_internal.sandbox_bill(b.platform_id, b.id, v_now, true);
	UPDATE theazo_data.reservation x SET session_id = a.session_id, user_id = a.user_id, agent_id = a.id
	 WHERE x.platform_id = b.platform_id AND x.id = b.id;
	UPDATE theazo_data.sandbox x
	   SET status = 'ready', session_id = a.session_id, agent_id = a.id, user_id = a.user_id, assigned_at = v_now
	 WHERE x.platform_id = b.platform_id AND x.id = b.id;
	IF NOT b.managed THEN
		PERFORM theazo_internal.fee_write(a.platform_id, 'agent.fee', a.id, b.environment, a.session_id, a.id, NULL, a.user_id, b.provider);
		PERFORM theazo_internal.budget_release(b.platform_id, b.id);
	END IF;
	UPDATE theazo_data.agent x
	   SET sandbox_id = b.id, provider = b.provider,
		   status = CASE x.status WHEN 'booting' THEN CASE WHEN x.run_id IS NULL THEN 'ready' ELSE 'running' END ELSE x.status END
	 WHERE x.platform_id = a.platform_id AND x.id = a.id;
	PERFORM theazo_internal.event_write(a.platform_id, 'lifecycle', 'sandbox_assigned', jsonb_build_object('sandbox', b.id, 'provider', b.provider),
		a.session_id, a.id, NULL, b.environment);
	-- Another one is made, and the minutes of this one are reserved.
	PERFORM theazo_internal.wake_keeper();
	RETURN b.id;
END
$$;
COMMENT ON FUNCTION theazo_internal.pool_assign(theazo_data.agent) IS 'gives an agent a sandbox that was made ahead; null when none is like it';

-- One more, at the provider that agents of this definition get first. False: not now.
CREATE OR REPLACE FUNCTION theazo_internal.pool_make(a theazo_data.agent, p_key text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
	c			record;
	v_id		text := theazo_internal.id_new('sbx');
	v_life		integer;
	v_policy	jsonb := theazo_internal.policy_of(a);
BEGIN
	SELECT * INTO c FROM theazo_internal.compute_entries(a.platform_id, NULL, a.options ->> 'provider', a.options ->> 'providerFallback',
		theazo_internal.compute_wishes(a.options)) e WHERE e.refused IS NULL ORDER BY e.ord LIMIT 1;
	IF NOT FOUND
		OR EXISTS (SELECT FROM theazo_internal.budget_levels(a.platform_id, a.key_environment, NULL, NULL, pg_catalog.clock_timestamp()) l WHERE l.used_up)
		OR theazo_internal.gate('compute.create', a.platform_id, a.key_environment, NULL, NULL, NULL, NULL, v_policy, '{}', c.provider_name) IS NOT NULL THEN
		RETURN false;
	END IF;
	v_life := theazo_internal.sandbox_lifetime(a, c.type);
	INSERT INTO theazo_data.sandbox (platform_id, id, environment, provider, provider_name, adapter, managed, browser, tried, instance, lifetime_s,
		definition_id, pool_key)
	VALUES (a.platform_id, v_id, a.key_environment, c.shown, c.provider_name, c.type, c.managed, coalesce((a.options ->> 'browser')::boolean, false),
		ARRAY[coalesce(c.provider_name, 'theazo')::text], theazo_internal.instance(), v_life, a.definition_id, p_key);
	PERFORM theazo_internal.effect_enqueue(
		a.platform_id, NULL, 'compute.create', c.type,
		pg_catalog.jsonb_build_object('runtime', a.compute, 'tag', v_id, 'instance', theazo_internal.instance(), 'lifetime_s', v_life,
			-- whose it is the programs are told with each exec
			'env', pg_catalog.jsonb_build_object('THEAZO_ENDPOINT', coalesce(pg_catalog.current_setting('theazo.endpoint', true), '')),
			'network', theazo_internal.sandbox_network(a),
			'limits', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('memory_mb', v_policy #> '{limits,maxMemoryMb}')))
			|| theazo_internal.compute_wishes(a.options),
		p_sandbox => v_id, p_provider => c.provider_name, p_timeout_ms => 60000);
	PERFORM theazo_internal.event_write(a.platform_id, 'lifecycle', 'sandbox_created',
		pg_catalog.jsonb_build_object('sandbox', v_id, 'provider', c.shown, 'definition', a.definition_id), NULL, NULL, NULL, a.key_environment);
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.pool_make(theazo_data.agent, text) IS 'makes one sandbox ahead; false where that cannot be now';

-- The end of a creation for which nobody waits.
CREATE OR REPLACE FUNCTION theazo_internal.pool_made(e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_refusal jsonb;
BEGIN
	IF s.status IS DISTINCT FROM 'creating' THEN
		RETURN;
	END IF;
	IF p_state <> 'done' THEN
		PERFORM theazo_internal.budget_release(e.platform_id, s.id);
		UPDATE theazo_data.sandbox x
		   SET status = CASE WHEN p_state = 'unknown' OR theazo_internal.compute_unseen(e, p_state) THEN 'unknown' ELSE 'failed' END, ended_at = p_finished,
			   reap_at = CASE WHEN theazo_internal.compute_unseen(e, p_state) THEN p_finished END
		 WHERE x.platform_id = e.platform_id AND x.id = s.id;
		PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_failed',
			pg_catalog.jsonb_build_object('sandbox', s.id, 'provider', s.provider, 'error', theazo_internal.mask_left(coalesce(p_result ->> 'message', ''), 200)),
			NULL, NULL, NULL, s.environment);
		RETURN;
	END IF;
	SELECT theazo_internal.policy_refusal(e, s, theazo_internal.pool_agent(d, v.content), p_result, p_finished) INTO v_refusal
	  FROM theazo_data.definition d
	  JOIN theazo_data.definition_version v ON v.platform_id = d.platform_id AND v.definition_id = d.id AND v.version = d.version
	 WHERE d.platform_id = s.platform_id AND d.id = s.definition_id;
	IF v_refusal IS NOT NULL THEN
		PERFORM theazo_internal.budget_release(e.platform_id, s.id);
		RETURN;
	END IF;
	UPDATE theazo_data.sandbox x
	   SET status = 'warm', external_id = p_result ->> 'sandbox', isolation = p_result ->> 'isolation',
		   metadata = CASE WHEN pg_catalog.octet_length((p_result -> 'metadata')::text) <= 16384 THEN p_result -> 'metadata' END,
		   started_at = p_finished, billed_until = p_finished, worker_slot = CASE WHEN e.adapter = 'local' THEN e.affinity END,
		   incarnation = CASE WHEN e.adapter = 'local' THEN e.incarnation END
	 WHERE x.platform_id = e.platform_id AND x.id = s.id;
	PERFORM theazo_internal.sandbox_granted(e, s, p_result, p_finished);
	PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_ready', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
		'sandbox', s.id, 'provider', s.provider, 'isolation', p_result ->> 'isolation', 'definition', s.definition_id)), NULL, NULL, NULL, s.environment);
END
$$;
COMMENT ON FUNCTION theazo_internal.pool_made(theazo_data.effect, theazo_data.sandbox, text, jsonb, timestamptz) IS 'the end of a creation ahead: it waits, or there is none';

-- Definitions that want sandboxes made ahead, with how many; none of a platform that is halted.
CREATE OR REPLACE FUNCTION theazo_internal.pool_wishes()
RETURNS TABLE (definition theazo_data.definition, content jsonb, size integer)
LANGUAGE sql STABLE
AS $$
	SELECT d, v.content, (v.content ->> 'warmPool')::integer
	  FROM theazo_data.definition_version v
	  JOIN theazo_data.definition d ON d.platform_id = v.platform_id AND d.id = v.definition_id AND d.version = v.version
	 WHERE v.content ? 'warmPool' AND (v.content ->> 'warmPool')::integer > 0 AND d.deleted_at IS NULL
	   AND theazo_internal.halt_of(d.platform_id, 'live', NULL, NULL, NULL) IS NULL
$$;
COMMENT ON FUNCTION theazo_internal.pool_wishes() IS 'definitions that want sandboxes made ahead, and how many';

-- One that waits for nobody ends; one that is being made is destroyed when it has been.
CREATE OR REPLACE FUNCTION theazo_internal.pool_drain(p_platform text, p_sandbox text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
	b	theazo_data.sandbox;
	e	theazo_data.effect;
BEGIN
	SELECT x.* INTO b FROM theazo_data.sandbox x
	 WHERE x.platform_id = p_platform AND x.id = p_sandbox AND x.agent_id IS NULL AND x.status IN ('creating', 'warm') FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM theazo_internal.event_write(b.platform_id, 'lifecycle', 'sandbox_drained', pg_catalog.jsonb_build_object('sandbox', b.id, 'definition', b.definition_id),
		NULL, NULL, NULL, b.environment);
	IF b.status = 'warm' THEN
		PERFORM theazo_internal.sandbox_end(b);
		RETURN true;
	END IF;
	UPDATE theazo_data.sandbox x SET status = 'destroying', ended_at = pg_catalog.clock_timestamp() WHERE x.platform_id = b.platform_id AND x.id = b.id;
	SELECT x.* INTO e FROM theazo_data.effect x
	 WHERE x.platform_id = b.platform_id AND x.state = 'queued' AND x.kind = 'compute.create' AND x.sandbox_id = b.id FOR UPDATE;
	IF FOUND THEN
		PERFORM theazo_internal.effect_cancel(e);
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.pool_drain(text, text) IS 'ends a sandbox that was made ahead and is not needed';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_pool()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w		record;
	r		record;
	a		theazo_data.agent;
	v_key	text;
	v_keep	text[] := '{}';
	v_have	integer;
	v_n		integer := 0;
BEGIN
	FOR w IN SELECT * FROM theazo_internal.pool_wishes()
	LOOP
		BEGIN
			a := theazo_internal.pool_agent(w.definition, w.content);
			v_key := theazo_internal.pool_key(a);
			v_have := 0;
			FOR r IN
				SELECT x.id FROM theazo_data.sandbox x
				 WHERE x.platform_id = a.platform_id AND x.definition_id = a.definition_id AND x.agent_id IS NULL AND x.status IN ('creating', 'warm')
				   AND x.pool_key = v_key AND x.environment = 'live' AND x.instance = theazo_internal.instance()
				   -- where no more time can be had, one with less than half of it left is replaced
				   AND (x.started_at IS NULL OR x.renew_at IS NOT NULL OR x.adapter = 'local'
						OR x.started_at + coalesce(x.lifetime_s, 3600) / 2 * '1 second'::interval > clock_timestamp())
				 ORDER BY x.started_at NULLS LAST LIMIT w.size
			LOOP
				v_keep := v_keep || r.id::text;
				v_have := v_have + 1;
			END LOOP;
			-- What has just failed is not tried again at once.
			WHILE v_have < w.size
				AND NOT EXISTS (SELECT FROM theazo_data.sandbox x WHERE x.platform_id = a.platform_id AND x.definition_id = a.definition_id
									AND (x.status IN ('failed', 'unknown') OR x.policy = 'weaker') AND x.ended_at > clock_timestamp() - '1 minute'::interval)
			LOOP
				EXIT WHEN NOT theazo_internal.pool_make(a, v_key);
				v_have := v_have + 1;
				v_n := v_n + 1;
			END LOOP;
		EXCEPTION WHEN OTHERS THEN
			RAISE LOG 'theazo keeper: nothing is made ahead for definition %: %', (w.definition).id, SQLERRM;
		END;
	END LOOP;
	FOR r IN
		SELECT x.platform_id, x.id FROM theazo_data.sandbox x
		 WHERE x.definition_id IS NOT NULL AND x.status IN ('creating', 'warm') AND x.agent_id IS NULL AND x.id <> ALL (v_keep)
		   AND x.created_at < now() ORDER BY x.id LIMIT 500
	LOOP
		v_n := v_n + theazo_internal.pool_drain(r.platform_id, r.id)::integer;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_pool() IS 'keeper: makes the sandboxes that definitions want ahead, and ends those they do not';
