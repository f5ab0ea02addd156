-- compute.sql: which compute provider an agent gets, and what one lacks.
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
