-- model_gate.sql: how many calls a model provider gets at once, and none while it keeps failing or has asked for a pause.
--
-- A pause is the provider's own word (429 or overload with a time to come back) and holds for one model at one entry: calls to it
-- are due when it is over. Rest comes of failures and holds for the entry.
-- A call to a provider that has a limit or is not well waits at the gate: it is queued with due_at infinity. The gate is opened by
-- dispatchers only, in the transaction of their claim, one at a time for each provider: nobody's transaction of unknown length
-- decides about the calls of others. What is under way is counted in the rows themselves, so nothing can be left behind by a crash.

-- Hot: what each step calls is no definer function and sets nothing; definer functions call it.

-- The name under which calls of an entry are counted: that of effect.provider_name. Null for an address of one's own.
CREATE OR REPLACE FUNCTION theazo_internal.model_slot(p_entry jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN CASE WHEN (p_entry ->> 'managed')::boolean THEN 'theazo:' ELSE '' END || (p_entry ->> 'provider');
END
$$;
COMMENT ON FUNCTION theazo_internal.model_slot(jsonb) IS 'name under which the calls of an entry of a chain are counted, null when they are not';

-- Until when nothing is sent there, null when it may be tried. What rests is the account of the entry, not one of somebody's own.
CREATE OR REPLACE FUNCTION theazo_internal.model_rests(p_entry jsonb)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	IF NOT theazo_internal.provider_noted(p_entry ->> 'owner', 'model', p_entry ->> 'provider') THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT max(h.open_until) FROM theazo_data.provider_health h
	 WHERE h.platform_id = p_entry ->> 'owner' AND h.kind = 'model' AND h.name = p_entry ->> 'provider' AND h.open_until > clock_timestamp()
	   AND h.model IN ('', p_entry ->> 'model') AND NOT p_entry ? 'own');
END
$$;
COMMENT ON FUNCTION theazo_internal.model_rests(jsonb) IS
'until when a provider is not called because it keeps failing or has asked for a pause, null when it may be';

-- Is it no use to wait for an entry? A pause of up to a minute is waited for rather than asking another model.
CREATE OR REPLACE FUNCTION theazo_internal.model_down(p_entry jsonb)
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM theazo_data.provider_health h
	 WHERE h.platform_id = p_entry ->> 'owner' AND h.kind = 'model' AND h.name = p_entry ->> 'provider' AND NOT p_entry ? 'own'
	   AND (h.model = '' AND h.open_until > clock_timestamp()
			OR h.model = p_entry ->> 'model' AND h.open_until > clock_timestamp() + '1 minute'::interval));
END
$$;
COMMENT ON FUNCTION theazo_internal.model_down(jsonb) IS 'does a provider rest, or is it paused for longer than a run should wait';

-- The first entry from a place on that does not rest, else the one at this place. While one is paused for a short time only the
-- same model elsewhere takes its place, unless the pause lasts beyond the deadline.
CREATE OR REPLACE FUNCTION theazo_internal.model_pick(p_chain jsonb, p_at integer, p_deadline timestamptz)
RETURNS smallint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_rests	timestamptz := theazo_internal.model_rests(p_chain -> p_at);
	v_any	boolean;
BEGIN
	IF v_rests IS NULL THEN
		RETURN p_at;
	END IF;
	v_any := v_rests >= p_deadline OR theazo_internal.model_down(p_chain -> p_at);
	FOR i IN p_at + 1 .. jsonb_array_length(p_chain) - 1
	LOOP
		IF (v_any OR p_chain -> i ->> 'model' = p_chain -> p_at ->> 'model') AND theazo_internal.model_rests(p_chain -> i) IS NULL THEN
			RETURN i;
		END IF;
	END LOOP;
	RETURN p_at;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_pick(jsonb, integer, timestamptz) IS 'place of the first entry of a chain from here on that does not rest';

-- Until when an entry rests, as model_rests() has it, and when a call to it is due: now, when its pause is over, or when the gate
-- lets it through. Those that waited for the end of a pause do not all come at once. One look for both: every call comes here.
CREATE OR REPLACE FUNCTION theazo_internal.model_turn(p_entry jsonb, OUT rests timestamptz, OUT due timestamptz)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_owner	text := p_entry ->> 'owner';
	v_name	text := p_entry ->> 'provider';
	v_gate	boolean;
BEGIN
	IF theazo_internal.provider_noted(v_owner, 'model', v_name) THEN
		SELECT max(h.open_until) FILTER (WHERE h.open_until > clock_timestamp() AND h.model IN ('', p_entry ->> 'model')),
			   bool_or(h.model = '' AND h.open_until IS NOT NULL)
		  INTO rests, v_gate
		  FROM theazo_data.provider_health h WHERE h.platform_id = v_owner AND h.kind = 'model' AND h.name = v_name AND NOT p_entry ? 'own';
	END IF;
	IF v_gate OR EXISTS (SELECT FROM theazo_data.provider v
						  WHERE v.platform_id = v_owner AND v.kind = 'model' AND v.name = v_name AND v.limits ? 'maxConcurrent') THEN
		due := 'infinity';
	ELSIF rests IS NULL THEN
		due := now();
	ELSE
		due := theazo_internal.pause_end(rests);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_turn(jsonb) IS
'until when an entry rests, and when a call to it may be claimed: now, after its pause, or infinity for one that waits at the gate';

CREATE OR REPLACE FUNCTION theazo_internal.pause_end(p_until timestamptz)
RETURNS timestamptz
LANGUAGE sql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p_until + random() * least('5 seconds'::interval, greatest('0'::interval, p_until - clock_timestamp()) / 10)
$$;
COMMENT ON FUNCTION theazo_internal.pause_end(timestamptz) IS 'a moment soon after the end of a pause, by chance';

-- What a provider said about when to come back, at most 10 minutes at a time. Calls that are queued for it are put off by the next
-- claim: here other agents' rows must not be touched.
CREATE OR REPLACE FUNCTION theazo_internal.model_pause(p_entry jsonb, p_ms bigint, p_class text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_owner	text := p_entry ->> 'owner';
	v_name	text := p_entry ->> 'provider';
	v_until	timestamptz := clock_timestamp() + least(p_ms, 600000) * '1 millisecond'::interval;
BEGIN
	IF v_name IS NULL OR p_entry ? 'own' OR NOT theazo_internal.provider_lock('health model ' || v_owner || '/' || v_name) THEN
		RETURN;
	END IF;
	INSERT INTO theazo_data.provider_health AS h (platform_id, kind, name, model, open_until, last_error)
	VALUES (v_owner, 'model', v_name, p_entry ->> 'model', v_until, p_class)
	ON CONFLICT ON CONSTRAINT provider_health_pkey DO UPDATE
	   SET open_until = greatest(h.open_until, v_until), last_error = p_class, updated_at = clock_timestamp();
END
$$;
COMMENT ON FUNCTION theazo_internal.model_pause(jsonb, bigint, text) IS 'has a model at a provider left alone for as long as the provider asked';

-- Puts off calls that were queued before their provider asked for a pause. One that somebody else holds at this moment goes out,
-- and hears the same.
CREATE OR REPLACE FUNCTION theazo_internal.model_hold()
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_operator	text := theazo_internal.operator_platform();
	v_instance	text := theazo_internal.instance();
	h			theazo_data.provider_health;
BEGIN
	FOR h IN SELECT * FROM theazo_data.provider_health x WHERE x.model <> '' AND x.open_until > clock_timestamp()
	LOOP
		WITH early AS (
			SELECT e.platform_id, e.root_id, e.id FROM theazo_data.effect e
			 WHERE e.kind = 'model.call' AND e.state = 'queued' AND e.due_at < h.open_until AND e.instance = v_instance
			   AND e.provider_name = CASE WHEN h.platform_id = v_operator THEN 'theazo:' ELSE '' END || h.name
			   AND (h.platform_id = v_operator OR e.platform_id = h.platform_id)
			   AND EXISTS (SELECT FROM theazo_data.run_loop l
							WHERE l.platform_id = e.platform_id AND l.root_id = e.root_id AND l.chain -> l.at ->> 'model' = h.model
							  AND NOT l.chain -> l.at ? 'own')
			   FOR UPDATE OF e SKIP LOCKED)
		UPDATE theazo_data.effect x
		   SET due_at = CASE WHEN EXISTS (SELECT FROM theazo_data.provider v
										   WHERE v.platform_id = h.platform_id AND v.kind = 'model' AND v.name = h.name AND v.limits ? 'maxConcurrent')
							 THEN 'infinity' ELSE theazo_internal.pause_end(h.open_until) END
		  FROM early y WHERE x.platform_id = y.platform_id AND x.root_id = y.root_id AND x.id = y.id;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_hold() IS 'puts off queued model calls whose provider has asked for a pause; for a claim only';

-- A call is to be asked again and was told when. Returns when it is due; null when another provider of the same model does it
-- sooner. One second is no longer than any call waits that is asked again; for more it gives up its place at the gate.
CREATE OR REPLACE FUNCTION theazo_internal.model_told(e theazo_data.effect, p_result jsonb)
RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_ms	bigint := (p_result ->> 'pause_ms')::bigint;
	v_chain	jsonb;
	v_at	smallint;
	r		theazo_data.run;
BEGIN
	SELECT l.chain, l.at INTO v_chain, v_at FROM theazo_data.run_loop l WHERE l.platform_id = e.platform_id AND l.root_id = e.root_id;
	PERFORM theazo_internal.model_pause(v_chain -> v_at, v_ms, p_result ->> 'class');
	IF v_ms <= 1000 THEN
		RETURN clock_timestamp() + v_ms * '1 millisecond'::interval;
	END IF;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id;
	PERFORM theazo_internal.log_write(r.platform_id, e.root_id, 'warn', 'model',
		format('%s: asked to come back in %s s', v_chain -> v_at ->> 'model', ceil(v_ms / 1000.0)),
		r.environment, r.session_id, r.agent_id, r.id, r.user_id, v_chain -> v_at ->> 'shown', r.trace_id);
	IF v_chain -> v_at ? 'own' THEN
		RETURN clock_timestamp() + v_ms * '1 millisecond'::interval;
	ELSIF EXISTS (SELECT FROM jsonb_array_elements(v_chain) WITH ORDINALITY AS x (entry, ord)
		WHERE x.ord > v_at + 1 AND x.entry ->> 'model' = v_chain -> v_at ->> 'model' AND theazo_internal.model_rests(x.entry) IS NULL) THEN
		RETURN NULL;
	END IF;
	RETURN greatest((theazo_internal.model_turn(v_chain -> v_at)).due, clock_timestamp() + v_ms * '1 millisecond'::interval);
END
$$;
COMMENT ON FUNCTION theazo_internal.model_told(theazo_data.effect, jsonb) IS
'notes the pause that a provider asked for; when the call is due again, null when another provider need not be waited for';

-- Lets calls through, the oldest of each platform in turn. A provider whose rest is over gets one; when that one succeeds all go,
-- and should nothing be heard of it the next goes after half a minute.
CREATE OR REPLACE FUNCTION theazo_internal.model_gate()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_operator	text := theazo_internal.operator_platform();
	v_instance	text := theazo_internal.instance();
	p			record;
	v_until		timestamptz;
	v_paused	boolean;
	v_free		bigint;
	v_n			integer;
	v_all		integer := 0;
BEGIN
	FOR p IN
		SELECT DISTINCT CASE WHEN e.provider_name LIKE 'theazo:%' THEN v_operator ELSE e.platform_id END AS owner, e.provider_name AS slot,
			   CASE WHEN e.provider_name LIKE 'theazo:%' THEN substr(e.provider_name, 8) ELSE e.provider_name END AS name
		  FROM theazo_data.effect e
		 WHERE e.kind = 'model.call' AND e.state = 'queued' AND e.due_at = 'infinity' AND e.instance = v_instance ORDER BY 1, 2
	LOOP
		CONTINUE WHEN NOT theazo_internal.provider_lock('gate model ' || p.owner || '/' || coalesce(p.slot, ''));
		SELECT max(h.open_until) FILTER (WHERE h.model = ''), coalesce(bool_or(h.model <> '' AND h.open_until > clock_timestamp()), false)
		  INTO v_until, v_paused FROM theazo_data.provider_health h
		 WHERE h.platform_id = p.owner AND h.kind = 'model' AND h.name = p.name;
		CONTINUE WHEN v_until > clock_timestamp();
		SELECT (v.limits ->> 'maxConcurrent')::bigint INTO v_free FROM theazo_data.provider v
		 WHERE v.platform_id = p.owner AND v.kind = 'model' AND v.name = p.name;
		IF v_free IS NOT NULL THEN
			SELECT v_free - count(*) INTO v_free FROM theazo_data.effect e
			 WHERE e.kind = 'model.call' AND e.provider_name = p.slot AND (p.owner = v_operator OR e.platform_id = p.owner)
			   AND e.instance = v_instance AND (e.state IN ('claimed', 'sent') OR e.state = 'queued' AND e.due_at < 'infinity');
			CONTINUE WHEN v_free <= 0;
		END IF;
		IF v_until IS NOT NULL THEN
			-- Somebody who writes this row has news of it and comes here next.
			PERFORM 1 FROM theazo_data.provider_health h
			 WHERE h.platform_id = p.owner AND h.kind = 'model' AND h.name = p.name AND h.model = '' AND h.open_until <= clock_timestamp()
			   FOR UPDATE SKIP LOCKED;
			CONTINUE WHEN NOT FOUND;
			v_free := 1;
		END IF;
		WITH waiting AS (
			SELECT e.platform_id, e.root_id, e.id, row_number() OVER (PARTITION BY e.platform_id ORDER BY e.id) AS turn
			  FROM theazo_data.effect e
			 WHERE e.kind = 'model.call' AND e.provider_name IS NOT DISTINCT FROM p.slot AND (p.owner = v_operator OR e.platform_id = p.owner)
			   AND e.state = 'queued' AND e.due_at = 'infinity' AND e.instance = v_instance AND NOT e.cancel_requested
			   AND (NOT v_paused OR NOT EXISTS (
					SELECT FROM theazo_data.run_loop l
					  JOIN theazo_data.provider_health h ON h.platform_id = p.owner AND h.kind = 'model' AND h.name = p.name
					   AND h.model = l.chain -> l.at ->> 'model' AND h.open_until > clock_timestamp()
					 WHERE h.model <> '' AND l.platform_id = e.platform_id AND l.root_id = e.root_id))),
		next AS (
			SELECT e.platform_id, e.root_id, e.id FROM waiting w
			  JOIN theazo_data.effect e ON e.platform_id = w.platform_id AND e.root_id = w.root_id AND e.id = w.id
			 WHERE e.state = 'queued' AND e.due_at = 'infinity'
			 ORDER BY w.turn, w.id LIMIT v_free FOR UPDATE OF e SKIP LOCKED),
		-- its place is taken while it waits for its turn in time
		turns AS MATERIALIZED (
			SELECT n.platform_id, n.root_id, n.id, theazo_internal.rate_turn(n.platform_id, p.slot) AS wait_ms FROM next n)
		UPDATE theazo_data.effect x SET due_at = now() + n.wait_ms * '1 millisecond'::interval
		  FROM turns n WHERE x.platform_id = n.platform_id AND x.root_id = n.root_id AND x.id = n.id AND n.wait_ms IS NOT NULL;
		GET DIAGNOSTICS v_n = ROW_COUNT;
		IF v_n > 0 AND v_until IS NOT NULL THEN
			UPDATE theazo_data.provider_health h SET open_until = clock_timestamp() + '30 seconds'::interval
			 WHERE h.platform_id = p.owner AND h.kind = 'model' AND h.name = p.name AND h.model = '';
		END IF;
		v_all := v_all + v_n;
	END LOOP;
	RETURN v_all;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_gate() IS 'lets waiting model calls through, as many as their providers take; for a claim only';

-- A call of this entry has ended: somebody may wait for its place.
CREATE OR REPLACE FUNCTION theazo_internal.model_freed(p_entry jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	-- Mostly nobody waits for any provider.
	IF theazo_internal.effect_gated() IS NOT DISTINCT FROM false THEN
		RETURN;
	ELSIF EXISTS (SELECT FROM theazo_data.effect e
				   WHERE e.kind = 'model.call' AND e.state = 'queued' AND e.due_at = 'infinity'
					 AND e.provider_name = theazo_internal.model_slot(p_entry)) THEN
		PERFORM theazo_internal.wake();
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_freed(jsonb) IS 'wakes a dispatcher when calls wait for the provider of one that has ended';

-- Used-up quota rests a provider for 10 minutes at once. An own address of an agent has no row: it rests nobody else.
CREATE OR REPLACE FUNCTION theazo_internal.model_health(p_entry jsonb, p_ok boolean, p_class text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_owner	text := p_entry ->> 'owner';
	v_name	text := p_entry ->> 'provider';
BEGIN
	IF v_name IS NULL OR p_entry ? 'own' THEN
		RETURN;
	END IF;
	IF p_ok THEN
		PERFORM theazo_internal.provider_well(v_owner, 'model', v_name);
	ELSE
		PERFORM theazo_internal.provider_failed(v_owner, 'model', v_name, p_class, CASE p_class WHEN 'quota' THEN '10 minutes'::interval END);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_health(jsonb, boolean, text) IS 'notes that a provider answered, or how it failed';
