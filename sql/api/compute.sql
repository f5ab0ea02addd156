-- compute.sql: which compute provider an agent gets, and what each answer of one means.
--
-- Order of locks: agent, sandbox, effect, run. What is called here by other areas expects the agent's row locked.

-- Every compute provider that an agent could get, best first. Named by the agent, else by the session, else the
-- platform's entries by priority, else the operator's: theazo, which stands for the operator's
-- entries by priority, and for the local sandbox when there are none. provider_name
-- is theazo: and its name for an entry of the operator's, null for the local sandbox; shown is
-- what the agent says. refused says why one is left out: with compute mode byoi everything managed, what has no adapter, what cannot
-- serve what the agent wants, what rests after failures, what is at its ceiling.
CREATE OR REPLACE FUNCTION theazo_internal.compute_entries(
	p_platform text, p_session text, p_provider text, p_fallback text, p_wishes jsonb DEFAULT '{}')
RETURNS TABLE (ord integer, provider_name text, type text, managed boolean, shown text, refused text, why text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_operator text := theazo_internal.operator_platform();
	compute jsonb;
	names text[];
	byoi boolean;
BEGIN
	SELECT s.compute INTO compute FROM theazo_data.session s WHERE s.platform_id = p_platform AND s.id = p_session;
	SELECT p.compute_mode = 'byoi' INTO byoi FROM theazo_data.platform p WHERE p.platform_id = p_platform;
	IF p_provider IS NOT NULL THEN
		names := ARRAY[p_provider];
	ELSIF compute ? 'endpoint' THEN
		names := ARRAY[p_session];
	ELSIF compute ? 'provider' THEN
		names := ARRAY[compute ->> 'provider'];
	ELSE
		SELECT pg_catalog.array_agg(p.name ORDER BY p.priority, p.name COLLATE "C") INTO names
		  FROM theazo_data.provider p
		 WHERE p.platform_id = p_platform AND p.kind = 'compute' AND p.name NOT LIKE 'ses\_%';
		names := coalesce(names, '{}') || 'theazo'::text;
	END IF;
	IF p_fallback IS NOT NULL THEN
		names := names[1:1] || p_fallback;
	END IF;
	RETURN QUERY
	SELECT d.ord, d.name, d.type, d.managed, d.shown, d.refused,
		   CASE d.refused
				WHEN 'mode' THEN 'the platform uses compute of its own only'
				WHEN 'adapter' THEN 'this version has no adapter for type ' || d.type
				WHEN 'unsupported' THEN (SELECT pg_catalog.string_agg(u || coalesce(': ' || theazo_internal.compute_lacks(d.type, u), ''), ', ')
										   FROM pg_catalog.unnest(d.unserved) u)
				WHEN 'resting' THEN pg_catalog.format('it keeps failing and rests until %s', theazo_internal.moment(d.rests))
				WHEN 'limit' THEN pg_catalog.format('it is at its limit of %s sandboxes', d.most) END
	  FROM (
		SELECT pg_catalog.row_number() OVER (ORDER BY c.place, c.priority, c.name COLLATE "C")::integer AS ord, c.*, h.open_until AS rests,
			   u.unserved,
			   CASE WHEN byoi AND c.managed THEN 'mode'
					WHEN NOT theazo_internal.compute_carried(c.type) THEN 'adapter'
					WHEN u.unserved <> '{}' THEN 'unsupported'
					WHEN h.open_until > pg_catalog.clock_timestamp() THEN 'resting'
					WHEN c.most IS NULL THEN NULL
					WHEN c.most <= theazo_internal.compute_live(c.owner, c.name) THEN 'limit' END AS refused
		  FROM (
			SELECT n.ord AS place, 0 AS priority, p.name, p.name AS row_name, p.type, p.mode = 'managed' AS managed,
				   CASE WHEN p.name = p_session THEN coalesce(compute ->> 'provider', 'custom') ELSE p.name END AS shown,
				   (p.limits ->> 'maxConcurrent')::bigint AS most, p_platform AS owner
			  FROM pg_catalog.unnest(names) WITH ORDINALITY n (name, ord)
			  JOIN theazo_data.provider p ON p.platform_id = p_platform AND p.kind = 'compute' AND p.name = n.name
			UNION ALL
			SELECT n.ord, o.priority, CASE WHEN o.type <> 'local' THEN 'theazo:' || o.name END, o.name, o.type, true, 'theazo',
				   (o.limits ->> 'maxConcurrent')::bigint, v_operator
			  FROM pg_catalog.unnest(names) WITH ORDINALITY n (name, ord)
			  JOIN theazo_data.provider o ON o.platform_id = v_operator AND o.kind = 'compute'
			 WHERE n.name = 'theazo'
			UNION ALL
			SELECT n.ord, 0, NULL, NULL, 'local', true, 'theazo', NULL, NULL
			  FROM pg_catalog.unnest(names) WITH ORDINALITY n (name, ord)
			 WHERE n.name IN ('theazo', 'local')
			   AND NOT EXISTS (SELECT FROM theazo_data.provider x
								WHERE x.kind = 'compute' AND (n.name = 'theazo' AND x.platform_id = v_operator
									  OR n.name = 'local' AND x.platform_id = p_platform AND x.name = 'local'))) c
		 CROSS JOIN LATERAL (SELECT theazo_internal.compute_unserved(c.type, p_wishes)) u (unserved)
		  LEFT JOIN theazo_data.provider_health h
			ON h.platform_id = c.owner AND h.kind = 'compute' AND h.name = c.row_name AND h.model = '') d
	 ORDER BY d.ord;
END $$;
COMMENT ON FUNCTION theazo_internal.compute_entries(text, text, text, text, jsonb) IS
'compute providers an agent could get, best first, and why some are left out';

CREATE OR REPLACE FUNCTION theazo_internal.moment(p_at timestamptz)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN pg_catalog.to_char(pg_catalog.timezone('UTC', p_at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
END
$$;
COMMENT ON FUNCTION theazo_internal.moment(timestamptz) IS 'a moment in a message, whatever the zone of who reads it';

-- Sandboxes that count to the ceiling of an entry; those of the operator's are counted over all platforms.
CREATE OR REPLACE FUNCTION theazo_internal.compute_live(p_owner text, p_provider_name text)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT count(*) FROM theazo_data.sandbox b
	 WHERE (p_owner = theazo_internal.operator_platform() OR b.platform_id = p_owner) AND b.provider_name IS NOT DISTINCT FROM p_provider_name
	   AND b.status IN ('creating', 'warm', 'ready', 'paused')
$$;
COMMENT ON FUNCTION theazo_internal.compute_live(text, text) IS 'sandboxes that a compute provider holds, those being made included';

CREATE OR REPLACE FUNCTION theazo_internal.compute_candidates(p_platform text, p_session text, p_provider text, p_fallback text, p_wishes jsonb DEFAULT '{}')
RETURNS TABLE (ord integer, provider_name text, type text, managed boolean, shown text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT row_number() OVER (ORDER BY e.ord)::integer, e.provider_name, e.type, e.managed, e.shown
	  FROM theazo_internal.compute_entries(p_platform, p_session, p_provider, p_fallback, p_wishes) e
	 WHERE e.refused IS NULL ORDER BY e.ord
$$;
COMMENT ON FUNCTION theazo_internal.compute_candidates(text, text, text, text, jsonb) IS
'compute providers to try for an agent, best first';

-- The first compute provider for an agent that has not been tried. No row: nothing is left.
CREATE OR REPLACE FUNCTION theazo_internal.compute_choose(p_agent theazo_data.agent, p_tried text[] DEFAULT '{}')
RETURNS TABLE (shown text, provider_name text, adapter text, managed boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
		SELECT c.shown, c.provider_name, c.type, c.managed
		  FROM theazo_internal.compute_candidates(p_agent.platform_id, p_agent.session_id, p_agent.options ->> 'provider',
				p_agent.options ->> 'providerFallback', theazo_internal.compute_wishes(p_agent.options)) c
		 WHERE NOT coalesce(c.provider_name, 'theazo') = ANY (p_tried)
		 ORDER BY c.ord LIMIT 1;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_choose(theazo_data.agent, text[]) IS
'compute provider for an agent, leaving out those that failed; no row when there is nothing to try';

-- The same for a sandbox that is about to be made, with a record of who was passed over. Adapter is null when all that could be have
-- been tried; raises when nothing could be from the start.
CREATE OR REPLACE FUNCTION theazo_internal.compute_take(
	a theazo_data.agent, p_tried text[], OUT shown text, OUT provider_name text, OUT adapter text, OUT managed boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_wishes	jsonb := theazo_internal.compute_wishes(a.options);
	v_all		jsonb;
	v_last		jsonb;
	v_chosen	jsonb;
	x			jsonb;
BEGIN
	SELECT coalesce(jsonb_agg(to_jsonb(e) || jsonb_build_object('tried', coalesce(e.provider_name, 'theazo') = ANY (p_tried)) ORDER BY e.ord), '[]') INTO v_all
	  FROM theazo_internal.compute_entries(a.platform_id, a.session_id, a.options ->> 'provider', a.options ->> 'providerFallback', v_wishes) e;
	v_chosen := (SELECT e FROM jsonb_array_elements(v_all) WITH ORDINALITY AS u (e, n)
				  WHERE e -> 'refused' = 'null' AND NOT (e -> 'tried')::boolean ORDER BY n LIMIT 1);
	IF v_chosen IS NULL THEN
		IF cardinality(p_tried) = 0 THEN
			PERFORM theazo_internal.compute_none(a, v_all);
		END IF;
		RETURN;
	END IF;
	-- The one that failed, then who comes after it and cannot be asked.
	v_last := (SELECT e FROM jsonb_array_elements(v_all) e WHERE coalesce(e ->> 'provider_name', 'theazo') = p_tried[cardinality(p_tried)]);
	IF cardinality(p_tried) > 0 THEN
		PERFORM theazo_internal.compute_passed(a, coalesce(v_last, '{"shown": "theazo"}') || '{"refused": "failed", "why": "it failed"}', v_chosen);
	END IF;
	FOR x IN SELECT e FROM jsonb_array_elements(v_all) e
			  WHERE (e ->> 'ord')::integer > coalesce((v_last ->> 'ord')::integer, 0) AND (e ->> 'ord')::integer < (v_chosen ->> 'ord')::integer
				AND e ->> 'refused' IN ('unsupported', 'resting', 'limit')
	LOOP
		PERFORM theazo_internal.compute_passed(a, x, v_chosen);
	END LOOP;
	shown := v_chosen ->> 'shown';
	provider_name := v_chosen ->> 'provider_name';
	adapter := v_chosen ->> 'type';
	managed := (v_chosen ->> 'managed')::boolean;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_take(theazo_data.agent, text[]) IS
'compute provider for a sandbox that is about to be made; writes who was passed over, raises TZ406 or TZ407 when there is none';

-- One provider takes the place of another: a warning in the log, and an event.
CREATE OR REPLACE FUNCTION theazo_internal.compute_passed(a theazo_data.agent, p_from jsonb, p_to jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.log_write(a.platform_id, NULL, 'warn', 'provider',
		format('provider "%s" is passed over, because %s; the sandbox is made by "%s"', p_from ->> 'shown', p_from ->> 'why', p_to ->> 'shown'),
		a.key_environment, a.session_id, a.id, NULL, a.user_id, p_from ->> 'shown');
	PERFORM theazo_internal.event_write(a.platform_id, 'lifecycle', 'provider_fallback',
		jsonb_build_object('from', p_from ->> 'shown', 'to', p_to ->> 'shown', 'reason', p_from ->> 'refused'),
		a.session_id, a.id, NULL, a.key_environment);
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_passed(theazo_data.agent, jsonb, jsonb) IS 'records that a provider takes the place of another';

-- Nobody makes this sandbox: because of what is wanted of it, or because there is nobody.
CREATE OR REPLACE FUNCTION theazo_internal.compute_none(a theazo_data.agent, p_entries jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_lacking	text := (SELECT string_agg(format('"%s" (%s)', e ->> 'shown', e ->> 'why'), ', ' ORDER BY (e ->> 'ord')::integer)
						   FROM jsonb_array_elements(p_entries) e WHERE e ->> 'refused' = 'unsupported');
	v_rest		text := (SELECT string_agg(format('"%s": %s', e ->> 'shown', e ->> 'why'), '; ' ORDER BY (e ->> 'ord')::integer)
						   FROM jsonb_array_elements(p_entries) e WHERE e ->> 'refused' IN ('adapter', 'resting', 'limit'));
BEGIN
	PERFORM theazo_internal.event_refused(a.platform_id, 'execution', 'capability_refused',
		jsonb_build_object('code', CASE WHEN v_lacking IS NULL THEN 'TZ407' ELSE 'TZ406' END, 'kind', 'compute'), a.session_id, a.id,
		p_environment => a.key_environment, p_rule => CASE WHEN v_lacking IS NULL THEN 'no_provider' ELSE 'unsupported' END);
	IF v_lacking IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ406',
			MESSAGE = format('no compute provider can serve what the agent asks for: %s', v_lacking),
			DETAIL = concat('Asked for: ', theazo_internal.compute_wishes(a.options), '.', ' Others: ' || v_rest || '.'),
			HINT = 'Leave the option out, or name a provider that has it: theazo.compute_capabilities shows which.';
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'TZ407',
		MESSAGE = 'there is no compute provider for this agent',
		DETAIL = concat(format('Compute mode of the platform: %s.', (SELECT p.compute_mode FROM theazo_data.platform p WHERE p.platform_id = a.platform_id)),
			' ' || v_rest || '.'),
		HINT = 'Configure one with theazo.provider_set(), raise its limit, or let the platform use managed compute.';
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_none(theazo_data.agent, jsonb) IS 'raises why no provider makes a sandbox for an agent';

-- The entry that a sandbox or an effect names.
CREATE OR REPLACE FUNCTION theazo_internal.compute_entry(p_platform text, p_provider_name text, OUT owner text, OUT name text)
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	owner := CASE WHEN p_provider_name LIKE 'theazo:%' THEN theazo_internal.operator_platform() ELSE p_platform END;
	name := CASE WHEN p_provider_name LIKE 'theazo:%' THEN substr(p_provider_name, 8) ELSE p_provider_name END;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_entry(text, text) IS 'owner and name of the provider entry that a sandbox or an effect names';

-- By its kind, and by what it has answered 501 to, which is never asked again until the entry is replaced.
CREATE OR REPLACE FUNCTION theazo_internal.compute_capable(p_platform text, p_provider_name text, p_op text)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT theazo_internal.compute_incapable(p_platform, p_provider_name, p_op) IS NULL
$$;
COMMENT ON FUNCTION theazo_internal.compute_capable(text, text, text) IS
'false when this kind of compute lacks an operation, or the provider has answered 501 to it';

CREATE OR REPLACE FUNCTION theazo_internal.compute_incapable(p_platform text, p_provider_name text, p_op text)
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_type	text := 'local';
	v_learnt boolean;
BEGIN
	IF p_provider_name IS NOT NULL THEN
		SELECT v.type, v.capabilities -> p_op = 'false'::jsonb INTO v_type, v_learnt
		  FROM theazo_internal.compute_entry(p_platform, p_provider_name) n
		  JOIN theazo_data.provider v ON v.platform_id = n.owner AND v.kind = 'compute' AND v.name = n.name;
		-- One that was deleted is asked, and says itself what is wrong.
		IF NOT FOUND THEN
			RETURN NULL;
		END IF;
	END IF;
	RETURN CASE WHEN v_learnt THEN 'it has answered 501 before' ELSE theazo_internal.compute_lacks(v_type, p_op) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_incapable(text, text, text) IS 'why a provider cannot do something, null when it can';

-- Before anything is queued. s is the sandbox that would be asked; p_run is the run, where there is one already.
CREATE OR REPLACE FUNCTION theazo_internal.compute_demand(s theazo_data.sandbox, p_op text, p_run text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_why	text := theazo_internal.compute_incapable(s.platform_id, s.provider_name, p_op);
BEGIN
	IF v_why IS NULL THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.event_refused(s.platform_id, 'execution', 'capability_refused',
		jsonb_build_object('code', 'TZ406', 'provider', s.provider, 'op', p_op), s.session_id, s.agent_id, p_run, s.environment, p_rule => 'unsupported');
	RAISE EXCEPTION USING ERRCODE = 'TZ406',
		MESSAGE = format('provider "%s" does not support "%s"', s.provider, p_op),
		DETAIL = upper(left(v_why, 1)) || substr(v_why, 2) || '.',
		HINT = CASE WHEN v_why = 'it has answered 501 before' THEN 'Use exec instead; replacing the provider entry asks it again.'
					ELSE 'Use exec instead, or a provider that has it: theazo.compute_capabilities shows which.' END;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_demand(theazo_data.sandbox, text, text) IS 'TZ406 unless the provider of a sandbox can do something';

CREATE OR REPLACE FUNCTION theazo_internal.compute_learn(p_platform text, p_provider_name text, p_op text)
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE theazo_data.provider v
	   SET capabilities = v.capabilities || jsonb_build_object(p_op, false)
	  FROM theazo_internal.compute_entry(p_platform, p_provider_name) n
	 WHERE v.kind = 'compute' AND v.capabilities -> p_op IS DISTINCT FROM 'false'::jsonb AND v.platform_id = n.owner AND v.name = n.name
$$;
COMMENT ON FUNCTION theazo_internal.compute_learn(text, text, text) IS 'remembers that a provider lacks an operation';

-- ----------------------------------------------------------------------------
-- The turn of a creation
-- ----------------------------------------------------------------------------
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

-- ----------------------------------------------------------------------------
-- Answers
-- ----------------------------------------------------------------------------
-- A call to a provider that was kept from leaving: by the secret it would have taken along, or by its address. Name and
-- address of a managed account are the operator's to know. Returns the result as its platform may see it.
CREATE OR REPLACE FUNCTION theazo_internal.compute_refused(e theazo_data.effect, p_environment text, p_result jsonb)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_to		jsonb := theazo_internal.effect_endpoint(e.platform_id, e.session_id, e.provider_name, e.adapter);
	v_host		text := theazo_internal.url_host(v_to ->> 'url');
	v_managed	boolean := e.provider_name IS NOT NULL AND e.provider_name LIKE 'theazo:%';
	v_reason	text := left(p_result ->> 'message', 300);
BEGIN
	IF v_managed THEN
		PERFORM theazo_internal.event_write(theazo_internal.operator_platform(), 'network', 'provider_call_refused',
			jsonb_strip_nulls(jsonb_build_object('kind', e.kind, 'provider', substr(e.provider_name, 8), 'host', v_host, 'name', v_to ->> 'credential_ref',
				'sqlstate', p_result ->> 'sqlstate', 'reason', v_reason,
				'platform', e.platform_id, 'session', e.session_id, 'agent', e.agent_id, 'run', e.run_id)),
			NULL, NULL, NULL, p_environment, 'deny', NULL, true);
		v_host := NULL;
		IF p_result ->> 'sqlstate' = 'TZ405' THEN
			v_reason := 'the address of the managed provider is not allowed';
			p_result := p_result - 'detail' || jsonb_build_object('message', v_reason,
				'hint', 'The operator finds the address in theazo.operator_events.');
		END IF;
	END IF;
	PERFORM theazo_internal.event_write(e.platform_id, 'network', 'provider_call_refused',
		jsonb_strip_nulls(jsonb_build_object('kind', e.kind, 'provider', v_to ->> 'provider', 'host', v_host,
			'sqlstate', p_result ->> 'sqlstate', 'reason', v_reason)),
		e.session_id, e.agent_id, e.run_id, p_environment, 'deny', NULL, true);
	RETURN p_result;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_refused(theazo_data.effect, text, jsonb) IS
'writes the events of a call to a provider that was refused before it left; returns what the platform is told';

CREATE OR REPLACE FUNCTION theazo_internal.compute_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_content bytea, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s		theazo_data.sandbox;
	v_op	text := split_part(e.kind, '.', 2);
BEGIN
	SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = e.platform_id AND x.id = e.sandbox_id FOR UPDATE;
	-- 501: switched off for this provider, never asked again.
	IF p_state = 'failed' AND p_result ->> 'sqlstate' = 'TZ406' THEN
		PERFORM theazo_internal.compute_learn(e.platform_id, e.provider_name, CASE v_op WHEN 'sample' THEN 'metrics' ELSE v_op END);
	END IF;
	IF p_state = 'failed' AND e.adapter <> 'local' AND p_result ->> 'sqlstate' IN ('TZ304', 'TZ405') THEN
		p_result := theazo_internal.compute_refused(e, coalesce(s.environment, 'live'), p_result);
	END IF;
	IF theazo_internal.provider_tests(e.sandbox_id) THEN
		IF v_op = 'create' THEN
			PERFORM theazo_internal.compute_health(e, p_state, p_result);
		END IF;
		PERFORM theazo_internal.provider_test_settle(e, p_state, p_result, p_started, p_finished);
		RETURN;
	END IF;
	IF p_state IN ('failed', 'unknown') AND s.id IS NOT NULL AND e.attempt > 0 AND v_op <> 'sample' AND p_result ->> 'sqlstate' IS DISTINCT FROM 'TZ202' THEN
		PERFORM theazo_internal.log_write(e.platform_id, CASE WHEN e.run_id IS NULL THEN NULL ELSE e.root_id END,
			'warn', 'provider', format('%s failed: %s', e.kind, coalesce(p_result ->> 'message', p_state)),
			s.environment, e.session_id, e.agent_id, e.run_id, s.user_id, s.provider,
			CASE WHEN e.run_id IS NULL THEN NULL ELSE 'tr_' || e.root_id END,
			jsonb_strip_nulls(jsonb_build_object('status', p_result -> 'http_status', 'attempt', e.attempt, 'detail', p_result -> 'detail')));
	END IF;
	CASE v_op
		WHEN 'create' THEN
			PERFORM theazo_internal.compute_health(e, p_state, p_result);
			PERFORM theazo_internal.compute_created(e, s, p_state, p_result, p_started, p_finished);
		WHEN 'exec', 'write', 'read', 'list', 'metrics', 'expose_port' THEN
			PERFORM theazo_internal.compute_worked(e, s, p_state, p_result, p_content, p_started, p_finished);
			IF v_op = 'expose_port' AND p_state = 'done' THEN
				PERFORM theazo_internal.event_write(e.platform_id, 'network', 'port_exposed',
					jsonb_build_object('sandbox', e.sandbox_id, 'port', (SELECT rp.input -> 'port' FROM theazo_data.run_payload rp
						WHERE rp.platform_id = e.platform_id AND rp.root_id = e.root_id), 'host', theazo_internal.url_host(p_result ->> 'url')),
					e.session_id, e.agent_id, e.run_id, s.environment);
			END IF;
		WHEN 'sample' THEN
			IF p_state = 'done' THEN
				PERFORM theazo_internal.sample_keep(s, p_result, p_finished);
			END IF;
		WHEN 'pause' THEN
			PERFORM theazo_internal.compute_paused(e, s, p_state, p_result);
		WHEN 'resume' THEN
			PERFORM theazo_internal.compute_resumed(e, s, p_state, p_result, p_finished);
		WHEN 'renew' THEN
			PERFORM theazo_internal.compute_renewed(e, s, p_state, p_result, p_finished);
		WHEN 'snapshot' THEN
			PERFORM theazo_internal.compute_snapshotted(e, s, p_state, p_result, p_finished);
		WHEN 'sweep' THEN
			PERFORM theazo_internal.compute_swept(e, p_state, p_result, p_started);
		WHEN 'destroy' THEN
			UPDATE theazo_data.sandbox x
			   SET status = CASE WHEN p_state = 'done' THEN 'destroyed' ELSE 'unknown' END,
				   ended_at = coalesce(x.ended_at, p_finished),
				   -- A machine left behind costs money.
				   reap_at = CASE WHEN p_state <> 'done' AND x.external_id IS NOT NULL THEN p_finished + theazo_internal.reap_wait(x.reaps) END
			 WHERE x.platform_id = e.platform_id AND x.id = e.sandbox_id AND x.status = 'destroying';
			IF e.sandbox_id IS NULL THEN
				-- one that was nobody's: its event was written when it was found
				NULL;
			ELSIF p_state = 'done' THEN
				PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_destroyed',
					jsonb_build_object('sandbox', e.sandbox_id), e.session_id, e.agent_id, NULL, s.environment);
			ELSE
				PERFORM theazo_internal.log_write(e.platform_id, NULL, 'error', 'provider',
					format('sandbox %s could not be destroyed after %s attempts; it may still exist at %s', e.sandbox_id, e.attempt, s.provider),
					s.environment, e.session_id, e.agent_id, NULL, s.user_id, s.provider);
			END IF;
		ELSE
			NULL;
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_settle(theazo_data.effect, text, jsonb, bytea, timestamptz, timestamptz) IS
'what the end of a compute effect means for sandbox, agent and run';

CREATE OR REPLACE FUNCTION theazo_internal.compute_created(
	e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a		theazo_data.agent;
	v_next	text;
	v_error	jsonb;
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = e.platform_id AND x.id = e.agent_id;
	IF p_state = 'done' AND NOT s.managed AND s.agent_id IS NOT NULL THEN
		-- The orchestration fee of an agent on its owner's machines: due once one of them is there, not when the
		-- operator's had to step in. The key makes it count once.
		PERFORM theazo_internal.fee_write(e.platform_id, 'agent.fee', e.agent_id, s.environment, s.session_id, e.agent_id, NULL,
										  s.user_id, s.provider);
	END IF;
	IF p_state <> 'done' OR NOT s.managed THEN
		-- The fee is booked, or nothing was made.
		PERFORM theazo_internal.budget_release(e.platform_id, s.id);
	END IF;
	IF s.status = 'destroying' THEN
		-- The agent ended meanwhile.
		IF p_state = 'done' THEN
			UPDATE theazo_data.sandbox x
			   SET external_id = p_result ->> 'sandbox', worker_slot = e.affinity,
				   incarnation = CASE WHEN e.adapter = 'local' THEN e.incarnation END
			 WHERE x.platform_id = e.platform_id AND x.id = s.id;
			PERFORM theazo_internal.effect_enqueue(
				e.platform_id, NULL, 'compute.destroy', e.adapter, NULL, p_session => s.session_id, p_agent => s.agent_id,
				p_sandbox => s.id, p_provider => s.provider_name, p_max_attempts => 5,
				p_affinity => CASE WHEN e.adapter = 'local' THEN e.affinity END);
		ELSE
			UPDATE theazo_data.sandbox x SET status = CASE WHEN p_state = 'unknown' THEN 'unknown' ELSE 'destroyed' END, ended_at = p_finished
			 WHERE x.platform_id = e.platform_id AND x.id = s.id;
		END IF;
		RETURN;
	END IF;
	IF s.agent_id IS NULL THEN
		PERFORM theazo_internal.pool_made(e, s, p_state, p_result, p_finished);
		RETURN;
	END IF;
	IF s.status IS DISTINCT FROM 'creating' THEN
		RETURN;
	END IF;
	IF p_state = 'done' THEN
		UPDATE theazo_data.sandbox x
		   SET status = 'ready', external_id = p_result ->> 'sandbox', isolation = p_result ->> 'isolation', snapshot_id = NULL,
			   metadata = CASE WHEN octet_length((p_result -> 'metadata')::text) <= 16384 THEN p_result -> 'metadata' END,
			   started_at = p_finished, billed_until = p_finished, worker_slot = CASE WHEN e.adapter = 'local' THEN e.affinity END,
			   incarnation = CASE WHEN e.adapter = 'local' THEN e.incarnation END
		 WHERE x.platform_id = e.platform_id AND x.id = s.id;
		PERFORM theazo_internal.sandbox_granted(e, s, p_result, p_finished);
		UPDATE theazo_data.agent x
		   SET status = CASE x.status WHEN 'booting' THEN CASE WHEN x.run_id IS NULL THEN 'ready' ELSE 'running' END ELSE x.status END,
			   error = CASE x.status WHEN 'booting' THEN NULL ELSE x.error END
		 WHERE x.platform_id = e.platform_id AND x.id = e.agent_id;
		IF a.run_id IS NOT NULL THEN
			PERFORM theazo_internal.span_write(e.platform_id, theazo_internal.id_root(a.run_id), theazo_internal.id_new('spn'),
				'tr_' || theazo_internal.id_root(a.run_id), 'tr_' || theazo_internal.id_root(a.run_id), s.environment,
				e.session_id, e.agent_id, a.run_id, 'sandbox.create', 'completed', coalesce(p_started, p_finished), p_finished,
				jsonb_build_object('provider', s.provider));
		END IF;
		PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_ready',
			jsonb_strip_nulls(jsonb_build_object('sandbox', s.id, 'provider', s.provider, 'isolation', p_result ->> 'isolation')),
			e.session_id, e.agent_id, NULL, s.environment);
		PERFORM theazo_internal.sandbox_release(e.platform_id, s.id);
		IF a.status = 'paused' THEN
			PERFORM theazo_internal.sandbox_pause(e.platform_id, e.agent_id);
		ELSIF a.status = 'booting' AND EXISTS (SELECT FROM theazo_data.session x
				WHERE x.platform_id = e.platform_id AND x.id = e.session_id AND x.status = 'paused') THEN
			-- The session was paused during the boot: its agents pause with it.
			SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = e.platform_id AND x.id = e.agent_id;
			PERFORM theazo_internal.agent_pause(a, 'session');
		END IF;
		RETURN;
	END IF;

	UPDATE theazo_data.sandbox x SET status = CASE WHEN p_state = 'unknown' THEN 'unknown' ELSE 'failed' END, ended_at = p_finished
	 WHERE x.platform_id = e.platform_id AND x.id = s.id;
	-- Does another provider come after this one?
	IF a.status NOT IN ('completed', 'failed') AND p_state IN ('failed', 'unknown') AND p_result ->> 'sqlstate' IS DISTINCT FROM 'TZ202' THEN
		-- Halted meanwhile, or too many: there is no next one.
		BEGIN
			v_next := theazo_internal.sandbox_start(e.platform_id, e.agent_id, s.tried, s.snapshot_id);
		EXCEPTION WHEN SQLSTATE 'TZ201' OR SQLSTATE 'TZ202' OR SQLSTATE 'TZ203' OR SQLSTATE 'TZ602' THEN
			p_result := p_result || jsonb_build_object('message', SQLERRM, 'sqlstate', SQLSTATE);
		END;
	END IF;
	IF v_next IS NOT NULL THEN
		RETURN;
	END IF;
	v_error := jsonb_build_object('code', 'provider_error', 'sqlstate', 'TZ402') || p_result;
	UPDATE theazo_data.agent x
	   SET sandbox_id = NULL,
		   -- A run of the loop goes on without one: its model is told, and may do without.
		   status = CASE x.status WHEN 'booting' THEN CASE WHEN x.run_id IS NOT NULL AND x.run_id = x.task_run_id THEN 'running' ELSE 'failed' END
								  ELSE x.status END,
		   error = CASE WHEN x.status = 'booting' AND x.run_id IS NOT DISTINCT FROM x.task_run_id AND x.run_id IS NOT NULL THEN NULL
						WHEN x.status = 'booting' THEN left(coalesce(v_error ->> 'message', 'the sandbox could not be made'), 1000) ELSE x.error END
	 WHERE x.platform_id = e.platform_id AND x.id = e.agent_id AND x.sandbox_id = s.id;
	PERFORM theazo_internal.event_write(e.platform_id, 'lifecycle', 'sandbox_failed',
		jsonb_build_object('sandbox', s.id, 'provider', s.provider, 'error', left(coalesce(v_error ->> 'message', ''), 200)),
		e.session_id, e.agent_id, NULL, s.environment);
	PERFORM theazo_internal.sandbox_refuse(e.platform_id, e.agent_id, v_error);
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_created(theazo_data.effect, theazo_data.sandbox, text, jsonb, timestamptz, timestamptz) IS
'the end of a creation: ready, the next provider, or failed';

-- The run that was this one call ends with it.
CREATE OR REPLACE FUNCTION theazo_internal.compute_run_ended(
	e theazo_data.effect, p_state text, p_result jsonb, p_content bytea, p_amount bigint, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_status	text;
	v_result	jsonb := p_result;
	v_error		jsonb;
BEGIN
	v_status := CASE p_state WHEN 'done' THEN 'completed' WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END;
	IF p_state = 'done' AND (p_result ->> 'timed_out')::boolean THEN
		v_status := 'failed';
		v_error := jsonb_build_object('code', 'timeout', 'sqlstate', 'TZ403',
			'message', format('the command ran longer than %s ms', (SELECT r.timeout_ms FROM theazo_data.run r
																	 WHERE r.platform_id = e.platform_id AND r.id = e.run_id)),
			'hint', 'Give a larger timeout, or do less in one call.');
	ELSIF p_state = 'cancelled' THEN
		v_error := '{"code": "cancelled", "message": "cancelled"}';
		v_result := NULL;
	ELSIF p_state <> 'done' THEN
		v_error := p_result;
		v_result := NULL;
	END IF;
	PERFORM theazo_internal.run_finish(e.platform_id, e.run_id, v_status, v_result, p_content, v_error, p_amount,
									   p_started, p_finished, p_state = 'unknown');
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_run_ended(theazo_data.effect, text, jsonb, bytea, bigint, timestamptz, timestamptz) IS
'ends the run that was one exec or one piece of file work';

-- exec and file work: the run ends.
CREATE OR REPLACE FUNCTION theazo_internal.compute_worked(
	e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_content bytea, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_amount	bigint := 0;
	v_started	timestamptz := coalesce(p_started, e.claimed_at);
BEGIN
	IF p_result ? 'records' THEN
		p_result := theazo_internal.reports_settle(e, p_result);
	END IF;
	-- What was used is booked whatever came of it; what was never sent used nothing. A tool call is part of its run's time.
	IF e.step_seq IS NULL AND e.kind = 'compute.exec' AND e.attempt > 0 AND e.state IN ('claimed', 'sent') AND s.started_at IS NOT NULL THEN
		v_amount := theazo_internal.sandbox_bill_work(e.platform_id, s.id, e.run_id, e.id, v_started, p_finished, p_state = 'unknown');
	END IF;
	IF e.kind = 'compute.metrics' AND p_state = 'done' THEN
		PERFORM theazo_internal.sample_keep(s, p_result, p_finished);
	END IF;
	IF e.step_seq IS NOT NULL THEN
		PERFORM theazo_internal.tool_settle(e, p_state, p_result, p_content, v_started, p_finished);
	ELSE
		PERFORM theazo_internal.compute_run_ended(e, p_state, p_result, p_content, v_amount, v_started, p_finished);
	END IF;
	IF p_state = 'failed' AND p_result ->> 'sqlstate' = 'TZ410' AND s.status = 'ready' THEN
		PERFORM theazo_internal.sandbox_lost(e.platform_id, s.id, coalesce(p_result ->> 'message', 'the provider does not know it'), p_finished);
	END IF;
	-- A pause that came while this ran takes effect now.
	IF s.status = 'ready' AND EXISTS (SELECT FROM theazo_data.agent a
									   WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.status = 'paused') THEN
		PERFORM theazo_internal.sandbox_pause(e.platform_id, e.agent_id);
	END IF;
	-- So do snapshots that waited for its end.
	IF EXISTS (SELECT FROM theazo_data.snapshot x WHERE x.platform_id = e.platform_id AND x.agent_id = e.agent_id AND x.status = 'pending') THEN
		PERFORM theazo_internal.snapshots_take(e.platform_id, e.agent_id);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_worked(theazo_data.effect, theazo_data.sandbox, text, jsonb, bytea, timestamptz, timestamptz) IS
'the end of an exec or of file work: metering, then the run ends';

CREATE OR REPLACE FUNCTION theazo_internal.compute_paused(e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.snapshot_settle(e, p_state, p_result);
	IF p_state = 'done' AND p_result -> 'supported' = 'false'::jsonb THEN
		PERFORM theazo_internal.compute_learn(e.platform_id, e.provider_name, 'pause');
	ELSIF p_state = 'done' AND s.status = 'paused' THEN
		UPDATE theazo_data.sandbox x SET snapshot = coalesce(p_result ->> 'snapshot', '')
		 WHERE x.platform_id = e.platform_id AND x.id = s.id;
	END IF;
	-- Resumed while the pause was under way.
	IF p_state <> 'cancelled' AND s.status = 'paused'
		AND EXISTS (SELECT FROM theazo_data.agent a
					 WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.status IN ('ready', 'running')) THEN
		PERFORM theazo_internal.sandbox_resume(e.platform_id, e.agent_id);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_paused(theazo_data.effect, theazo_data.sandbox, text, jsonb) IS
'the end of a pause; where the provider cannot, the pause stays a matter of the control plane';

CREATE OR REPLACE FUNCTION theazo_internal.compute_resumed(
	e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF s.status IS DISTINCT FROM 'paused' THEN
		RETURN;
	END IF;
	IF p_state = 'done' THEN
		-- The provider may have moved it: later calls use the new name.
		UPDATE theazo_data.sandbox x SET external_id = coalesce(p_result ->> 'sandbox', x.external_id)
		 WHERE x.platform_id = e.platform_id AND x.id = s.id;
		PERFORM theazo_internal.sandbox_awake(e.platform_id, s.id, p_finished);
		PERFORM theazo_internal.sandbox_granted(e, s, p_result, p_finished);
		IF EXISTS (SELECT FROM theazo_data.agent a
					WHERE a.platform_id = e.platform_id AND a.id = e.agent_id AND a.status = 'paused') THEN
			PERFORM theazo_internal.sandbox_pause(e.platform_id, e.agent_id);
		ELSE
			PERFORM theazo_internal.snapshots_take(e.platform_id, e.agent_id);
		END IF;
	ELSIF p_state = 'failed' AND p_result ->> 'sqlstate' IN ('TZ406', 'TZ410') THEN
		-- It cannot be brought back: the next exec makes a new one.
		PERFORM theazo_internal.sandbox_refuse(e.platform_id, e.agent_id, p_result);
		PERFORM theazo_internal.sandbox_lost(e.platform_id, s.id, coalesce(p_result ->> 'message', 'it cannot be resumed'), NULL);
	ELSIF p_state <> 'cancelled' THEN
		PERFORM theazo_internal.sandbox_refuse(e.platform_id, e.agent_id, p_result);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_resumed(theazo_data.effect, theazo_data.sandbox, text, jsonb, timestamptz) IS
'the end of a resume: work that waited goes out, or fails';
