-- sandbox_policy.sql: what a provider says it holds a sandbox to, against what was asked for.
--
-- Less than that is a violation in the trail wherever it is found. An agent of template STRICT does not get such a sandbox: it is
-- destroyed, and the next provider is asked. What a provider says nothing about is neither.

-- What a provider says it holds a sandbox to, against what was asked for: confirmed when it says so of everything.
CREATE OR REPLACE FUNCTION theazo_internal.policy_verdict(p_asked jsonb, p_found jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	k			text;
	v_open		boolean := coalesce((p_asked #>> '{network,enabled}')::boolean, false);
	v_allow		jsonb := coalesce(p_asked #> '{network,allow}', '[]');
	v_missing	boolean := false;
BEGIN
	IF p_found IS NULL OR pg_catalog.jsonb_typeof(p_found) <> 'object' THEN
		RETURN 'unconfirmed';
	END IF;
	IF pg_catalog.jsonb_typeof(p_found -> 'network') = 'boolean' THEN
		IF (p_found ->> 'network')::boolean
			AND (NOT v_open OR v_allow <> '[]' AND NOT coalesce(pg_catalog.jsonb_typeof(p_found -> 'allow') = 'array' AND v_allow @> (p_found -> 'allow'), false)) THEN
			RETURN 'weaker';
		END IF;
	ELSE
		v_missing := true;
	END IF;
	FOREACH k IN ARRAY ARRAY['memory_mb', 'disk_mb', 'processes']
	LOOP
		CONTINUE WHEN NOT coalesce(p_asked -> 'limits', '{}') ? k;
		IF pg_catalog.jsonb_typeof(p_found -> k) IS DISTINCT FROM 'number' THEN
			v_missing := true;
		ELSIF (p_found ->> k)::pg_catalog."numeric" > (p_asked -> 'limits' ->> k)::pg_catalog."numeric" THEN
			RETURN 'weaker';
		END IF;
	END LOOP;
	RETURN CASE WHEN v_missing THEN 'unconfirmed' ELSE 'confirmed' END;
END
$$;
COMMENT ON FUNCTION theazo_internal.policy_verdict(jsonb, jsonb) IS
'confirmed, unconfirmed or weaker: what a provider says of a sandbox against what was asked for';

-- The event and the line of a sandbox that is held to less. p_decision: may it be used all the same?
CREATE OR REPLACE FUNCTION theazo_internal.policy_weaker(
	e theazo_data.effect, s theazo_data.sandbox, p_asked jsonb, p_found jsonb, p_decision text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_policy_weaker', pg_catalog.jsonb_build_object('sandbox', e.sandbox_id, 'provider', s.provider,
		'asked', pg_catalog.jsonb_build_object('network', p_asked -> 'network', 'limits', p_asked -> 'limits'), 'found', p_found),
		e.session_id, e.agent_id, NULL, s.environment, p_decision, 'sandbox_policy', true);
	PERFORM theazo_internal.log_write(e.platform_id, NULL, 'warn', 'provider', pg_catalog.format('sandbox %s is held to less than was asked for', e.sandbox_id),
		s.environment, e.session_id, e.agent_id, NULL, s.user_id, s.provider, NULL, pg_catalog.jsonb_build_object('found', p_found));
END
$$;
COMMENT ON FUNCTION theazo_internal.policy_weaker(theazo_data.effect, theazo_data.sandbox, jsonb, jsonb, text) IS 'records that a sandbox is held to less than was asked for';

-- Null: the agent may have what was made. Else it is on its way to be destroyed, and this is how its creation ends. Nothing is booked: it
-- was never anybody's.
CREATE OR REPLACE FUNCTION theazo_internal.policy_refusal(
	e theazo_data.effect, s theazo_data.sandbox, a theazo_data.agent, p_result jsonb, p_finished timestamptz)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	v_request jsonb;
BEGIN
	IF NOT p_result ? 'policy' THEN
		RETURN NULL;
	END IF;
	SELECT x.request INTO v_request FROM theazo_data.effect_payload x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
	IF theazo_internal.policy_verdict(v_request, p_result -> 'policy') <> 'weaker' OR theazo_internal.policy_of(a) ->> 'template' IS DISTINCT FROM 'STRICT' THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.policy_weaker(e, s, v_request, p_result -> 'policy', 'deny');
	UPDATE theazo_data.sandbox x
	   SET status = 'destroying', external_id = p_result ->> 'sandbox', isolation = p_result ->> 'isolation', policy = 'weaker', ended_at = p_finished,
		   policy_found = CASE WHEN pg_catalog.octet_length((p_result -> 'policy')::text) <= 4096 THEN p_result -> 'policy' END,
		   worker_slot = CASE WHEN e.adapter = 'local' THEN e.affinity END, incarnation = CASE WHEN e.adapter = 'local' THEN e.incarnation END
	 WHERE x.platform_id = e.platform_id AND x.id = s.id;
	PERFORM theazo_internal.effect_enqueue(
		e.platform_id, NULL, 'compute.destroy', e.adapter, NULL, p_session => s.session_id, p_agent => s.agent_id,
		p_sandbox => s.id, p_provider => s.provider_name, p_max_attempts => 5,
		p_affinity => CASE WHEN e.adapter = 'local' THEN e.affinity END);
	RETURN pg_catalog.jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ411',
		'message', pg_catalog.format('provider "%s" holds its sandboxes to less than template STRICT asks for', s.provider),
		'hint', 'Events sandbox_policy_weaker say what was found. Use a provider that confirms the policy, or another template.');
END
$$;
COMMENT ON FUNCTION theazo_internal.policy_refusal(theazo_data.effect, theazo_data.sandbox, theazo_data.agent, jsonb, timestamptz) IS
'destroys a sandbox that is held to less than its agent''s template allows, and says how its creation ends; null when it may be used';
