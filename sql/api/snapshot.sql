-- snapshot.sql: what providers keep of sandboxes: taken at pauses and checkpoints, paid by the day, given up.
--
--	pending -> taking -> kept -> ended
--	pending, taking -> empty (the provider keeps nothing) -> ended
--
-- Secrets are given to processes, never to files of ours, and are no part of a snapshot's row. The agent is locked by the caller,
-- and one is taken only while nothing works in the sandbox.

CREATE OR REPLACE VIEW theazo.snapshots WITH (security_barrier) AS
	SELECT s.id, s.agent_id, s.session_id, s.environment, s.provider, s.origin, s.status,
		   round(coalesce(s.size_bytes, 0) / 1048576.0)::text || CASE WHEN coalesce(s.size_bytes, 0) = 0 THEN 'B' ELSE 'MB' END AS size,
		   coalesce(s.size_bytes, 0) AS size_bytes, s.created_at, s.taken_at, s.ended_at, 'run_' || s.memory_root AS last_run_id
	  FROM theazo_data.snapshot s
	 WHERE (SELECT theazo_internal.may_read('agent:read'))
	   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(current_user) END);
COMMENT ON VIEW theazo.snapshots IS 'sandboxes as they were at a pause or a checkpoint; status empty: the provider keeps no files of it; last_run_id: its agent remembered up to there';

-- native, emulated or none: what a kind of compute says of an operation.
CREATE OR REPLACE FUNCTION theazo_internal.compute_support(p_type text, p_op text)
RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT coalesce((SELECT o.support FROM theazo_internal.compute_operations() o WHERE o.type = p_type AND o.operation = p_op), 'none')
$$;
COMMENT ON FUNCTION theazo_internal.compute_support(text, text) IS 'native, emulated or none: how a kind of compute offers an operation';

-- How this sandbox's provider keeps one: native, by a pause, or none.
CREATE OR REPLACE FUNCTION theazo_internal.snapshot_way(b theazo_data.sandbox)
RETURNS text
LANGUAGE sql STABLE
AS $$
	SELECT CASE WHEN b.id IS NULL THEN 'none'
				WHEN w.support = 'native' AND theazo_internal.compute_capable(b.platform_id, b.provider_name, 'snapshot') THEN 'native'
				WHEN w.support <> 'none' AND theazo_internal.compute_support(b.adapter, 'pause') <> 'none'
					AND theazo_internal.compute_capable(b.platform_id, b.provider_name, 'pause') THEN 'pause'
				ELSE 'none' END
	  FROM (SELECT theazo_internal.compute_support(b.adapter, 'snapshot') AS support) w
$$;
COMMENT ON FUNCTION theazo_internal.snapshot_way(theazo_data.sandbox) IS 'how the provider of a sandbox takes a snapshot: native, pause or none';

CREATE OR REPLACE FUNCTION theazo_internal.snapshot_make(a theazo_data.agent, b theazo_data.sandbox, p_origin text, p_status text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	v_id text := theazo_internal.id_new('snap');
BEGIN
	INSERT INTO theazo_data.snapshot (platform_id, id, session_id, agent_id, user_id, environment, sandbox_id, origin, status, provider, provider_name,
		adapter, managed, labels, memory_root)
	VALUES (a.platform_id, v_id, a.session_id, a.id, a.user_id, a.key_environment, b.id, p_origin, p_status, coalesce(b.provider, a.provider), b.provider_name,
		b.adapter, coalesce(b.managed, false), coalesce(b.labels, '{}'), a.memory_root);
	RETURN v_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.snapshot_make(theazo_data.agent, theazo_data.sandbox, text, text) IS 'the row of a snapshot; returns its id';

-- Does anything work in this sandbox, or is about to?
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_works(b theazo_data.sandbox)
RETURNS boolean
LANGUAGE sql STABLE
AS $$
	SELECT EXISTS (SELECT FROM theazo_data.run r
					  JOIN theazo_data.effect e ON e.platform_id = r.platform_id AND e.root_id = pg_catalog.substr(r.id, 5)
					 WHERE r.platform_id = b.platform_id AND r.agent_id = b.agent_id AND r.status IN ('queued', 'running')
					   AND e.sandbox_id = b.id AND e.state IN ('queued', 'claimed', 'sent'))
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_works(theazo_data.sandbox) IS 'is work in a sandbox under way or queued';

-- Takes what waits to be taken of an agent's sandbox, if nothing works there. Called when one is asked for, when work ends, when the
-- sandbox wakes, and by the keeper.
CREATE OR REPLACE FUNCTION theazo_internal.snapshots_take(p_platform text, p_agent text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	x		theazo_data.snapshot;
	b		theazo_data.sandbox;
	v_way	text;
	v_id	text;
BEGIN
	FOR x IN
		SELECT y.* FROM theazo_data.snapshot y
		 WHERE y.platform_id = p_platform AND y.agent_id = p_agent AND y.status = 'pending' ORDER BY y.id FOR UPDATE
	LOOP
		SELECT y.* INTO b FROM theazo_data.sandbox y WHERE y.platform_id = p_platform AND y.id = x.sandbox_id FOR UPDATE;
		v_way := theazo_internal.snapshot_way(b);
		IF v_way = 'none' OR b.status NOT IN ('creating', 'ready', 'paused') THEN
			UPDATE theazo_data.snapshot y SET status = 'empty', taken_at = clock_timestamp() WHERE y.platform_id = x.platform_id AND y.id = x.id;
			CONTINUE;
		END IF;
		EXIT WHEN b.status <> 'ready' OR theazo_internal.sandbox_works(b)
			OR EXISTS (SELECT FROM theazo_data.snapshot y WHERE y.platform_id = p_platform AND y.agent_id = p_agent AND y.status = 'taking');
		IF v_way = 'native' THEN
			v_id := theazo_internal.effect_enqueue(
				p_platform, NULL, 'compute.snapshot', b.adapter, jsonb_build_object('tag', x.id), p_session => b.session_id, p_agent => p_agent,
				p_sandbox => b.id, p_provider => b.provider_name, p_timeout_ms => 300000, p_affinity => CASE WHEN b.adapter = 'local' THEN b.worker_slot END);
		ELSE
			-- Asleep for a moment: its agent is not, so the end of the pause wakes it, and what comes meanwhile waits for that.
			v_id := theazo_internal.sandbox_sleep(b);
		END IF;
		UPDATE theazo_data.snapshot y SET status = 'taking', effect_id = v_id WHERE y.platform_id = x.platform_id AND y.id = x.id;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.snapshots_take(text, text) IS 'takes the snapshots that an agent waits for, unless work is under way';

-- A provider's answer about a snapshot, from a pause or from the operation itself. p_content: its files, where they are kept here.
CREATE OR REPLACE FUNCTION theazo_internal.snapshot_settle(e theazo_data.effect, p_state text, p_result jsonb, p_content bytea DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_handle	text := CASE WHEN p_state = 'done' AND p_result -> 'supported' IS DISTINCT FROM 'false'::jsonb THEN nullif(p_result ->> 'snapshot', '') END;
	v_size		bigint := CASE WHEN (p_result ->> 'size_bytes') ~ '^[0-9]{1,18}$' THEN (p_result ->> 'size_bytes')::bigint END;
	k			theazo_data.snapshot;
BEGIN
	UPDATE theazo_data.snapshot x
	   SET status = CASE WHEN p_state = 'cancelled' AND x.origin = 'checkpoint' THEN 'pending' WHEN v_handle IS NULL THEN 'empty' ELSE 'kept' END,
		   handle = v_handle, size_bytes = CASE WHEN v_handle IS NOT NULL THEN v_size END, effect_id = NULL,
		   taken_at = CASE WHEN p_state <> 'cancelled' THEN pg_catalog.clock_timestamp() END,
		   billed_until = CASE WHEN v_handle IS NOT NULL AND v_size > 0 AND x.managed THEN pg_catalog.clock_timestamp() END
	 WHERE x.platform_id = e.platform_id AND x.agent_id = e.agent_id AND x.effect_id = e.id AND x.status = 'taking'
	RETURNING x.* INTO k;
	IF k.status = 'kept' AND p_content IS NOT NULL THEN
		INSERT INTO theazo_data.snapshot_content (platform_id, id, session_id, environment, content)
		VALUES (k.platform_id, k.id, k.session_id, k.environment, p_content);
	END IF;
	-- who waits for it
	PERFORM theazo_internal.run_notify(k.id);
END
$$;
COMMENT ON FUNCTION theazo_internal.snapshot_settle(theazo_data.effect, text, jsonb, bytea) IS 'what a provider kept of a sandbox, or that it keeps nothing';

CREATE OR REPLACE FUNCTION theazo_internal.compute_snapshotted(
	e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_content bytea, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.snapshot_settle(e, p_state, p_result, CASE WHEN e.adapter = 'local' THEN p_content END);
	IF p_state = 'failed' AND p_result ->> 'sqlstate' = 'TZ410' AND s.status = 'ready' THEN
		PERFORM theazo_internal.sandbox_lost(e.platform_id, s.id, coalesce(p_result ->> 'message', 'the provider does not know it'), p_finished);
	END IF;
	PERFORM theazo_internal.snapshots_take(e.platform_id, e.agent_id);
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_snapshotted(theazo_data.effect, theazo_data.sandbox, text, jsonb, bytea, timestamptz) IS 'the end of a snapshot';

-- ----------------------------------------------------------------------------
-- What they cost
-- ----------------------------------------------------------------------------
-- Books the days up to p_until, each by itself, in parts of its month. Only what lies with the operator's providers costs something here.
CREATE OR REPLACE FUNCTION theazo_internal.snapshot_bill(x theazo_data.snapshot, p_until timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_from		timestamptz := x.billed_until;
	v_to		timestamptz;
	v_part		pg_catalog."numeric";
	v_id		text;
BEGIN
	WHILE v_from < p_until
	LOOP
		v_to := least(p_until, (pg_catalog.date_trunc('day', v_from AT TIME ZONE 'UTC') + '1 day'::interval) AT TIME ZONE 'UTC');
		v_part := extract(epoch FROM v_to - v_from) / theazo_internal.month_seconds(v_from);
		v_id := theazo_internal.id_derive('chg', theazo_internal.id_floor(v_from), x.id || '|storage|' || extract(epoch FROM v_from));
		PERFORM theazo_internal.storage_charge(x.platform_id, x.environment, x.session_id, x.agent_id, x.user_id, x.provider, x.id, v_id,
			pg_catalog.round(x.size_bytes / 1000000000.0 * v_part, 12), v_from, v_to);
		v_from := v_to;
	END LOOP;
	UPDATE theazo_data.snapshot y SET billed_until = v_from WHERE y.platform_id = x.platform_id AND y.id = x.id AND y.billed_until < v_from;
END
$$;
COMMENT ON FUNCTION theazo_internal.snapshot_bill(theazo_data.snapshot, timestamptz) IS 'books the storage of a snapshot up to a moment, day by day';

-- Gives a snapshot up, and books its last day.
CREATE OR REPLACE FUNCTION theazo_internal.snapshot_end(x theazo_data.snapshot, p_forget boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF x.status = 'ended' THEN
		RETURN;
	END IF;
	IF x.billed_until IS NOT NULL THEN
		PERFORM theazo_internal.snapshot_bill(x, pg_catalog.clock_timestamp());
	END IF;
	UPDATE theazo_data.snapshot y SET status = 'ended', ended_at = pg_catalog.clock_timestamp(), billed_until = NULL
	 WHERE y.platform_id = x.platform_id AND y.id = x.id;
	IF x.adapter = 'local' THEN
		DELETE FROM theazo_data.snapshot_content y WHERE y.platform_id = x.platform_id AND y.id = x.id;
	ELSIF p_forget AND x.handle IS NOT NULL AND x.status = 'kept' AND theazo_internal.compute_support(x.adapter, 'forget') = 'native'
		-- another one may stand on the same
		AND NOT EXISTS (SELECT FROM theazo_data.snapshot y WHERE y.platform_id = x.platform_id AND y.agent_id = x.agent_id AND y.id <> x.id
							AND y.handle = x.handle AND y.status = 'kept') THEN
		PERFORM theazo_internal.effect_enqueue(
			x.platform_id, NULL, 'compute.forget', x.adapter, pg_catalog.jsonb_build_object('snapshot', x.handle, 'tag', x.id),
			p_session => x.session_id, p_provider => x.provider_name, p_max_attempts => 5);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.snapshot_end(theazo_data.snapshot, boolean) IS 'gives a snapshot up at its provider';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_snapshots()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	x		theazo_data.snapshot;
	v_day	timestamptz := date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
	v_n		integer := 0;
BEGIN
	-- Days that are over.
	FOR x IN
		SELECT y.* FROM theazo_data.snapshot y WHERE y.billed_until < v_day ORDER BY y.billed_until LIMIT 1000 FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM theazo_internal.snapshot_bill(x, v_day);
		v_n := v_n + 1;
	END LOOP;
	-- Of agents that have ended nothing is kept.
	FOR x IN
		SELECT y.* FROM theazo_data.snapshot y JOIN theazo_data.agent a ON a.platform_id = y.platform_id AND a.id = y.agent_id
		 WHERE y.status <> 'ended' AND a.status = 'completed' ORDER BY y.id LIMIT 500 FOR UPDATE OF y SKIP LOCKED
	LOOP
		PERFORM theazo_internal.snapshot_end(x);
		v_n := v_n + 1;
	END LOOP;
	FOR x IN SELECT DISTINCT ON (y.platform_id, y.agent_id) y.* FROM theazo_data.snapshot y WHERE y.status = 'pending' ORDER BY y.platform_id, y.agent_id, y.id LIMIT 500
	LOOP
		PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = x.platform_id AND a.id = x.agent_id FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		PERFORM theazo_internal.snapshots_take(x.platform_id, x.agent_id);
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_snapshots() IS 'keeper: books the storage of snapshots by the day, gives up those of agents that have ended, takes those that wait';
