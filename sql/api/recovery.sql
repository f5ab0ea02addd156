-- recovery.sql: effects whose worker is gone, that came by restore or clone, or that cannot be sent any more.

-- Leases of incarnations that are gone. A lease that merely ran out is not taken: the worker may only be stopped.
CREATE OR REPLACE FUNCTION theazo_internal.leases_reclaim(p_alive bigint[])
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
	r	record;
	v_n	integer := 0;
BEGIN
	FOR r IN
		SELECT e.platform_id, e.root_id, e.id, e.agent_id, e.attempt, e.state, e.claimed_at, e.timeout_ms, e.incarnation
		  FROM theazo_data.effect e
		 WHERE e.state IN ('claimed', 'sent') AND e.instance = theazo_internal.instance()
		   AND (e.incarnation IS NULL OR NOT e.incarnation = ANY (coalesce(p_alive, '{}')))
		 ORDER BY e.agent_id NULLS FIRST, e.id
	LOOP
		-- It may have been born after the caller counted.
		CONTINUE WHEN r.incarnation = ANY (theazo_internal.workers_alive());
		-- What somebody's open transaction holds comes with the keeper's next look.
		IF r.agent_id IS NOT NULL THEN
			PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = r.platform_id AND a.id = r.agent_id FOR UPDATE SKIP LOCKED;
			CONTINUE WHEN NOT FOUND;
		END IF;
		-- How long it ran nobody knows: until now, at most its own limit.
		IF theazo_internal.effect_settle(r.platform_id, r.root_id, r.id, r.attempt, 'unknown',
				jsonb_build_object('code', 'provider_error', 'message', 'The worker that carried it is gone.', 'maybe_sent', true, 'worker_gone', true),
				NULL, r.claimed_at,
				least(clock_timestamp(), r.claimed_at + r.timeout_ms * '1 millisecond'::interval)) THEN
			v_n := v_n + 1;
		END IF;
	END LOOP;
	-- Boxes died with their dispatcher. After the effects, so that what was repeated onto them ends too.
	FOR r IN
		SELECT s.platform_id, s.id, s.incarnation
		  FROM theazo_data.sandbox s
		 WHERE s.adapter = 'local' AND s.status IN ('warm', 'ready', 'paused', 'destroying') AND s.incarnation IS NOT NULL
		   AND NOT s.incarnation = ANY (coalesce(p_alive, '{}'))
		 ORDER BY s.agent_id
	LOOP
		CONTINUE WHEN r.incarnation = ANY (theazo_internal.workers_alive());
		PERFORM theazo_internal.sandbox_lost(r.platform_id, r.id, 'its dispatcher is gone', NULL);
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.leases_reclaim(bigint[]) IS
'settles what incarnations that are not alive had claimed, by the table of recovery, and marks their sandboxes lost';

-- Rows of another instance came by restore or clone: the world outside is ahead of them.
CREATE OR REPLACE FUNCTION theazo_internal.effects_hold()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
	v_queued	text[];
	v_sent		text[];
BEGIN
	-- Two statements, one for each partial index.
	WITH held AS (
		UPDATE theazo_data.effect e
		   SET state = 'held', held_reason = format('%s on instance %s', e.state, e.instance)
		 WHERE e.state = 'queued' AND e.instance <> theazo_internal.instance()
		RETURNING e.platform_id)
	SELECT array_agg(h.platform_id::text) INTO v_queued FROM held h;
	WITH held AS (
		UPDATE theazo_data.effect e
		   SET state = 'held', held_reason = format('%s on instance %s', e.state, e.instance),
			   -- refused by its claim: it never left, and is queued again on release
			   incarnation = CASE WHEN e.held_reason = 'refused' THEN NULL ELSE e.incarnation END
		 WHERE e.state IN ('claimed', 'sent') AND e.instance <> theazo_internal.instance()
		RETURNING e.platform_id)
	SELECT array_agg(h.platform_id::text) INTO v_sent FROM held h;
	PERFORM theazo_internal.event_write(h.platform, 'control', 'effects_held',
				jsonb_build_object('count', h.n, 'reason', 'another instance'), NULL, NULL, NULL, 'live')
	   FROM (SELECT x.platform, count(*) AS n FROM unnest(v_queued || v_sent) AS x (platform) GROUP BY 1) h;
	RETURN coalesce(cardinality(v_queued), 0) + coalesce(cardinality(v_sent), 0);
END
$$;
COMMENT ON FUNCTION theazo_internal.effects_hold() IS 'holds effects that were queued by another instance';

-- What cannot be sent any more: its deadline is over, it was cancelled between two attempts, or it belongs to a
-- box that is gone (and perhaps to a dispatcher that is not coming back).
CREATE OR REPLACE FUNCTION theazo_internal.effects_expire()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
	r	record;
	e	theazo_data.effect;
	v_n	integer := 0;
BEGIN
	FOR r IN
		SELECT x.platform_id, x.root_id, x.id, x.agent_id FROM theazo_data.effect x
		 WHERE x.state = 'queued' AND x.instance = theazo_internal.instance()
		   AND (x.deadline <= clock_timestamp() OR x.cancel_requested
				OR x.adapter = 'local' AND x.affinity IS NOT NULL
				   AND EXISTS (SELECT FROM theazo_data.sandbox s
								WHERE s.platform_id = x.platform_id AND s.id = x.sandbox_id AND s.status IN ('lost', 'destroyed', 'failed')))
		 ORDER BY x.agent_id NULLS FIRST, x.id LIMIT 1000
	LOOP
		-- What somebody's open transaction holds comes with a later look: it must not hold up the rest.
		IF r.agent_id IS NOT NULL THEN
			PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = r.platform_id AND a.id = r.agent_id FOR UPDATE SKIP LOCKED;
			CONTINUE WHEN NOT FOUND;
		END IF;
		SELECT * INTO e FROM theazo_data.effect x
		 WHERE x.platform_id = r.platform_id AND x.root_id = r.root_id AND x.id = r.id AND x.state = 'queued' FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		IF e.cancel_requested THEN
			PERFORM theazo_internal.effect_cancel(e);
		ELSIF e.deadline <= clock_timestamp() THEN
			PERFORM theazo_internal.effect_close(e, 'failed',
				'{"code": "timeout", "sqlstate": "TZ403", "message": "timed out before it could be sent", "hint": "theazo.workers shows what runs and what waits."}',
				NULL, NULL, NULL);
		ELSIF e.kind = 'compute.destroy' THEN
			PERFORM theazo_internal.effect_close(e, 'done', '{}', NULL, NULL, NULL);
		ELSE
			PERFORM theazo_internal.effect_close(e, 'failed',
				'{"code": "provider_error", "sqlstate": "TZ410", "message": "the sandbox is gone", "hint": "Its files are lost. The next exec makes a new sandbox."}',
				NULL, NULL, NULL);
		END IF;
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.effects_expire() IS 'ends queued effects whose deadline is over, that were cancelled, or whose box is gone';
