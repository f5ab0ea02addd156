-- compute_turn.sql: when a creation may leave, and what its end says about its provider's health.

-- Creations of a claim that must not leave, and why: their provider rests, somebody else tries it, or it is at its ceiling. This is
-- decided here and not when they are queued, because only a claim is short enough to make others wait for it. What is under way is
-- counted in the rows themselves. A creation of several steps has had its turn at the first, and a test goes to whoever is tested.
CREATE OR REPLACE FUNCTION theazo_internal.compute_turn(p_taken theazo_data.effect[])
RETURNS TABLE (id text, refusal jsonb)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
	p			record;
	v_most		bigint;
	v_until		timestamptz;
	v_free		bigint;
	v_trial		boolean;
BEGIN
	FOR p IN
		SELECT n.owner, n.name, c.provider_name AS slot, array_agg(c.id::text ORDER BY c.id) AS ids
		  FROM unnest(p_taken) c CROSS JOIN LATERAL theazo_internal.compute_entry(c.platform_id, c.provider_name) n
		 WHERE c.kind = 'compute.create' AND c.step = 0 AND c.provider_name IS NOT NULL AND NOT theazo_internal.provider_tests(c.sandbox_id)
		 GROUP BY 1, 2, 3 ORDER BY 1, 2
	LOOP
		SELECT (v.limits ->> 'maxConcurrent')::bigint INTO v_most FROM theazo_data.provider v
		 WHERE v.platform_id = p.owner AND v.kind = 'compute' AND v.name = p.name;
		CONTINUE WHEN v_most IS NULL AND NOT theazo_internal.provider_noted(p.owner, 'compute', p.name);
		IF NOT theazo_internal.provider_lock('gate compute ' || p.owner || '/' || p.name) THEN
			RETURN QUERY SELECT u, '{"code": "busy"}'::jsonb FROM unnest(p.ids) u;
			CONTINUE;
		END IF;
		v_free := NULL;
		IF v_most IS NOT NULL THEN
			v_free := greatest(0, v_most - theazo_internal.compute_held(p.owner, p.slot, p.ids));
			RETURN QUERY SELECT u, theazo_internal.compute_put_back(p.slot, 'limit', format('it is at its limit of %s sandboxes', v_most))
				FROM unnest(p.ids[v_free + 1:]) u;
			p.ids := p.ids[1:v_free];
		END IF;
		CONTINUE WHEN cardinality(p.ids) = 0;
		SELECT h.open_until INTO v_until FROM theazo_data.provider_health h
		 WHERE h.platform_id = p.owner AND h.kind = 'compute' AND h.name = p.name AND h.model = '';
		CONTINUE WHEN v_until IS NULL;
		-- as long as a creation may take, and some more
		v_trial := v_until <= clock_timestamp() AND theazo_internal.provider_trial(p.owner, 'compute', p.name, '90 seconds');
		RETURN QUERY SELECT u, theazo_internal.compute_put_back(p.slot, 'resting',
				CASE WHEN v_until > clock_timestamp() THEN format('it keeps failing and rests until %s', theazo_internal.moment(v_until)) ELSE 'it keeps failing and is tried with one call' END)
			FROM unnest(p.ids[CASE WHEN v_trial THEN 2 ELSE 1 END:]) u;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_turn(theazo_data.effect[]) IS
'creations of a claim that must not leave, because their provider rests or is at its ceiling; for a claim only';

-- Sandboxes of an entry that are there, and creations that have left, but for these.
CREATE OR REPLACE FUNCTION theazo_internal.compute_held(p_owner text, p_slot text, p_but text[])
RETURNS bigint
LANGUAGE sql STABLE
AS $$
	SELECT (SELECT count(*) FROM theazo_data.sandbox b
			 WHERE (p_owner = theazo_internal.operator_platform() OR b.platform_id = p_owner) AND b.provider_name = p_slot AND b.status IN ('warm', 'ready', 'paused'))
		 + (SELECT count(*) FROM theazo_data.effect e
			 WHERE e.kind = 'compute.create' AND e.provider_name = p_slot AND (p_owner = theazo_internal.operator_platform() OR e.platform_id = p_owner)
			   AND e.state IN ('claimed', 'sent') AND e.instance = theazo_internal.instance() AND NOT e.id = ANY (p_but))
		 + (SELECT count(*) FROM theazo_data.effect e
			 WHERE e.kind = 'compute.create' AND e.provider_name = p_slot AND (p_owner = theazo_internal.operator_platform() OR e.platform_id = p_owner)
			   -- between two steps, or two attempts
			   AND e.state = 'queued' AND e.attempt > 0 AND e.instance = theazo_internal.instance())
$$;
COMMENT ON FUNCTION theazo_internal.compute_held(text, text, text[]) IS 'sandboxes of a compute provider that are there or on their way';

-- How a creation ends that did not leave: as failed, so that the next provider is asked.
CREATE OR REPLACE FUNCTION theazo_internal.compute_put_back(p_slot text, p_reason text, p_why text)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$
	SELECT jsonb_build_object('code', 'no_providers_available', 'sqlstate', 'TZ407', 'reason', p_reason,
		'message', format('provider "%s" was not asked: %s', CASE WHEN p_slot LIKE 'theazo:%' THEN 'theazo' ELSE p_slot END, p_why),
		'hint', 'Try again later, configure another provider, or raise its limit.')
$$;
COMMENT ON FUNCTION theazo_internal.compute_put_back(text, text, text) IS 'the result of a creation that was not sent';

-- What the end of a creation says about its provider: one that cannot be reached, or that fails without saying why at the caller's
-- door. What was never sent, or lost with its worker, says nothing; nor does an address of a session's own.
CREATE OR REPLACE FUNCTION theazo_internal.compute_health(e theazo_data.effect, p_state text, p_result jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_owner	text;
	v_name	text;
	v_code	text := p_result ->> 'sqlstate';
	v_http	integer := coalesce((p_result ->> 'http_status')::integer, (p_result ->> 'status')::integer);
BEGIN
	IF e.provider_name IS NULL OR e.provider_name LIKE 'ses\_%' OR e.attempt = 0 OR p_result ? 'worker_gone' THEN
		RETURN;
	END IF;
	SELECT n.owner, n.name INTO v_owner, v_name FROM theazo_internal.compute_entry(e.platform_id, e.provider_name) n;
	IF p_state = 'done' THEN
		PERFORM theazo_internal.provider_well(v_owner, 'compute', v_name);
	ELSIF p_state = 'unknown' OR p_state = 'failed' AND v_code IN ('TZ401', 'TZ402', 'TZ403', 'TZ404', 'TZ411')
		AND (v_http IS NULL OR v_http IN (401, 403, 408, 429) OR v_http NOT BETWEEN 400 AND 499) THEN
		PERFORM theazo_internal.provider_failed(v_owner, 'compute', v_name,
			CASE v_code WHEN 'TZ401' THEN 'refused' WHEN 'TZ402' THEN 'unavailable' WHEN 'TZ403' THEN 'timeout' WHEN 'TZ404' THEN 'bad answer'
						WHEN 'TZ411' THEN 'isolation' ELSE 'unknown' END);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_health(theazo_data.effect, text, jsonb) IS 'notes what the end of a creation says about its provider';
