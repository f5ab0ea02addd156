-- operator.sql: what runs, what waits and why, over all platforms; the checker of integrity.

-- Why an effect stands where it stands, in words.
CREATE OR REPLACE FUNCTION theazo_internal.effect_waiting(
	p_state text, p_due timestamptz, p_affinity integer, p_held text, p_incarnation bigint, p_instance text)
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CASE
		WHEN p_state = 'held' THEN RETURN 'held: ' || coalesce(p_held, '');
		WHEN p_state IN ('claimed', 'sent') THEN
			RETURN CASE WHEN p_incarnation = ANY (theazo_internal.workers_alive()) THEN 'in flight' ELSE 'waiting: its worker is gone' END;
		WHEN p_state <> 'queued' THEN RETURN NULL;
		WHEN p_due = 'infinity' THEN RETURN 'waiting: sandbox';
		WHEN p_instance <> theazo_internal.instance() THEN RETURN 'waiting: came from another instance';
		WHEN NOT coalesce(current_setting('theazo.enabled', true), 'on')::boolean THEN RETURN 'waiting: theazo.enabled is off';
		WHEN NOT EXISTS (SELECT FROM theazo_internal.worker_status() w
						  WHERE w.kind = 'dispatcher' AND w.pid IS NOT NULL AND w.pid <> 0) THEN RETURN 'waiting: no dispatcher';
		WHEN p_affinity IS NOT NULL AND NOT EXISTS (SELECT FROM theazo_internal.worker_status() w
													 WHERE w.kind = 'dispatcher' AND w.slot = p_affinity AND w.pid <> 0)
			THEN RETURN format('waiting: no dispatcher %s', p_affinity);
		WHEN p_due > now() THEN RETURN 'waiting: due later';
		ELSE RETURN 'waiting: its turn';
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.effect_waiting(text, timestamptz, integer, text, bigint, text) IS 'why an effect stands where it stands';

CREATE OR REPLACE VIEW theazo.effects WITH (security_barrier) AS
	SELECT e.platform_id, e.id, e.root_id, e.kind, e.adapter, e.state, e.step, e.attempt, e.max_attempts, e.due_at, e.deadline,
		   e.affinity, e.incarnation, e.claimed_at, e.lease_until, e.sent_at, e.finished_at, e.instance,
		   e.run_id, e.session_id, e.agent_id, e.sandbox_id, e.provider_name, e.cancel_requested, e.error_code, e.error_message,
		   e.held_reason,
		   CASE WHEN e.kind = 'model.call' AND e.state = 'queued' AND e.due_at = 'infinity' THEN 'waiting: provider is at its limit or rests'
				ELSE theazo_internal.effect_waiting(e.state, e.due_at, e.affinity, e.held_reason, e.incarnation, e.instance) END AS waiting
	  FROM theazo_data.effect e;
COMMENT ON VIEW theazo.effects IS 'operator: effects of all platforms and what they wait for';

CREATE OR REPLACE VIEW theazo.held_effects WITH (security_barrier) AS
	SELECT e.platform_id, e.id, e.root_id, e.kind, e.adapter, e.attempt, e.instance, e.held_reason,
		   CASE WHEN e.incarnation IS NULL THEN 'is sent'
				WHEN e.held_reason LIKE 'unknown kind%' THEN 'is sent once its kind is known'
				WHEN theazo_internal.effect_recovery(e.adapter, e.kind) = 'neither' THEN 'ends with outcome unknown'
				ELSE 'is sent again' END AS on_release,
		   e.run_id, e.session_id, e.agent_id, e.sandbox_id, e.provider_name, e.due_at
	  FROM theazo_data.effect e
	 WHERE e.state = 'held';
COMMENT ON VIEW theazo.held_effects IS 'operator: what a restored or cloned database would send, and what release would do with each';

-- Lets held effects go: what had not been sent is queued here; what may have been sent goes by the table of recovery.
CREATE OR REPLACE FUNCTION theazo.effects_release(effect text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r	record;
	v_n	integer := 0;
	v_boxes	integer := 0;
	v_anchors	integer := 0;
BEGIN
	-- With everything, the sandboxes that came along; first, as the end of a creation looks at its sandbox.
	IF effects_release.effect IS NULL THEN
		v_boxes := theazo_internal.sandboxes_release();
		v_anchors := theazo_internal.anchors_release();
		PERFORM theazo_internal.approvals_release();
		PERFORM theazo_internal.schedules_release();
	END IF;
	FOR r IN
		SELECT e.platform_id, e.root_id, e.id, e.agent_id, e.attempt, e.incarnation, e.held_reason FROM theazo_data.effect e
		 WHERE e.state = 'held' AND (effects_release.effect IS NULL OR e.id = effects_release.effect)
		 ORDER BY e.agent_id NULLS FIRST, e.id
	LOOP
		PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = r.platform_id AND a.id = r.agent_id FOR UPDATE;
		UPDATE theazo_data.effect e
		   SET state = CASE WHEN r.incarnation IS NULL OR r.held_reason LIKE 'unknown kind%' THEN 'queued' ELSE 'claimed' END,
			   instance = theazo_internal.instance(), held_reason = NULL,
			   incarnation = CASE WHEN r.held_reason LIKE 'unknown kind%' THEN NULL ELSE e.incarnation END
		 WHERE e.platform_id = r.platform_id AND e.root_id = r.root_id AND e.id = r.id AND e.state = 'held';
		CONTINUE WHEN NOT FOUND;
		v_n := v_n + 1;
		IF r.incarnation IS NOT NULL AND r.held_reason NOT LIKE 'unknown kind%' THEN
			PERFORM theazo_internal.effect_settle(r.platform_id, r.root_id, r.id, r.attempt, 'unknown',
				'{"code": "provider_error", "message": "It was under way when this copy of the database was made.", "maybe_sent": true}',
				NULL, NULL, NULL);
		END IF;
	END LOOP;
	IF effects_release.effect IS NOT NULL AND v_n = 0 THEN
		RAISE EXCEPTION USING ERRCODE = '42704',
			MESSAGE = format('held effect %s does not exist', theazo_internal.quoted(effects_release.effect)),
			HINT = 'theazo.held_effects lists what is held.';
	END IF;
	IF v_n + v_boxes + v_anchors > 0 THEN
		PERFORM theazo_internal.event_write(theazo_internal.operator_platform(), 'control', 'effects_released',
			jsonb_build_object('count', v_n, 'sandboxes', v_boxes, 'anchors', v_anchors), NULL, NULL, NULL, 'live');
		PERFORM theazo_internal.wake(-1);
	END IF;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo.effects_release(text) IS
'operator: lets held effects go, all (and held sandboxes and anchors with them) or one; returns how many effects';

-- What runs, and what waits and why. Places without a worker say which setting to raise (in note).
CREATE OR REPLACE VIEW theazo.workers WITH (security_barrier) AS
	SELECT w.kind, w.slot, nullif(w.pid, 0) AS pid, w.incarnation, w.started_at, w.state, w.inflight,
		   nullif(w.note, '') AS note
	  FROM theazo_internal.worker_status() w
	UNION ALL
	SELECT 'queue', NULL, NULL, NULL, q.oldest, 'waiting', q.n::integer,
		   CASE WHEN NOT coalesce(current_setting('theazo.enabled', true), 'on')::boolean THEN 'waiting: theazo.enabled is off'
				ELSE 'waiting: no dispatcher' END
	  FROM (SELECT count(*) AS n, min(e.due_at) AS oldest FROM theazo_data.effect e
			 WHERE e.state = 'queued' AND e.due_at <= now()) q
	 WHERE q.n > 0
	   AND NOT EXISTS (SELECT FROM theazo_internal.worker_status() w WHERE w.kind = 'dispatcher' AND w.pid IS NOT NULL AND w.pid <> 0);
COMMENT ON VIEW theazo.workers IS 'operator: workers of this database, what they do, and what waits for a worker that is not there';

CREATE OR REPLACE VIEW theazo.sandbox_preflight WITH (security_barrier) AS
	SELECT p.mode, c.check_name AS name, c.ok, c.found, nullif(c.hint, '') AS hint, p.checked_at,
		   p.instance = theazo_internal.instance() AS is_current
	  FROM theazo_data.preflight p
	 CROSS JOIN LATERAL jsonb_to_recordset(p.checks) AS x (name text, ok boolean, found text, hint text)
	 CROSS JOIN LATERAL (SELECT x.name, x.ok, x.found, x.hint) AS c (check_name, ok, found, hint);
COMMENT ON VIEW theazo.sandbox_preflight IS 'operator: what this machine offers for local sandboxes and what to change';

CREATE OR REPLACE VIEW theazo.operator_partitions WITH (security_barrier) AS
	SELECT l.parent, l.partition, l.is_default,
		   CASE WHEN l.from_key IS NOT NULL THEN theazo_internal.id_time('x_' || right(l.from_key, 26)) END AS from_time,
		   CASE WHEN l.to_key IS NOT NULL THEN theazo_internal.id_time('x_' || right(l.to_key, 26)) END AS to_time,
		   pg_table_size(l.part_oid) AS bytes
	  FROM theazo_internal.partition_list() l;
COMMENT ON VIEW theazo.operator_partitions IS 'operator: partitions with their spans and sizes';

-- ----------------------------------------------------------------------------
-- Integrity across partitions: what no constraint can hold. Nothing means all is well.
-- ----------------------------------------------------------------------------
CREATE OR REPLACE VIEW theazo.operator_integrity WITH (security_barrier) AS
	SELECT NULL::text AS rule, NULL::text AS platform_id, NULL::text AS object, NULL::text AS detail WHERE false;
COMMENT ON VIEW theazo.operator_integrity IS 'row type of theazo.integrity_check()';

CREATE OR REPLACE FUNCTION theazo.integrity_check()
RETURNS SETOF theazo.operator_integrity
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
BEGIN
	RETURN QUERY
	-- Keys are unique within a partition only.
	SELECT 'duplicate run', x.platform_id::text, x.id::text, format('%s rows', count(*)) FROM theazo_data.run x
	 GROUP BY 1, 2, 3 HAVING count(*) > 1
	UNION ALL
	SELECT 'duplicate effect', x.platform_id::text, x.id::text, format('%s rows', count(*)) FROM theazo_data.effect x
	 GROUP BY 1, 2, 3 HAVING count(*) > 1
	UNION ALL
	SELECT 'duplicate charge', x.platform_id::text, x.id::text, format('%s rows', count(*)) FROM theazo_data.charge x
	 GROUP BY 1, 2, 3 HAVING count(*) > 1
	UNION ALL
	SELECT 'duplicate event', x.platform_id::text, x.id::text, format('%s rows', count(*)) FROM theazo_data.event x
	 GROUP BY 1, 2, 3 HAVING count(*) > 1
	UNION ALL
	-- What belongs together.
	SELECT 'run without agent', r.platform_id::text, r.id::text, r.agent_id::text FROM theazo_data.run r
	 WHERE NOT EXISTS (SELECT FROM theazo_data.agent a WHERE a.platform_id = r.platform_id AND a.id = r.agent_id)
	UNION ALL
	SELECT 'run without payload', r.platform_id::text, r.id::text, NULL FROM theazo_data.run r
	 WHERE NOT EXISTS (SELECT FROM theazo_data.run_payload p WHERE p.platform_id = r.platform_id AND p.root_id = substr(r.id, 5))
	UNION ALL
	SELECT 'run without trace', r.platform_id::text, r.id::text, r.trace_id::text FROM theazo_data.run r
	 WHERE r.ended_at > now() - '7 days'::interval
	   AND NOT EXISTS (SELECT FROM theazo_data.span s
						WHERE s.platform_id = r.platform_id AND s.root_id = substr(r.id, 5) AND s.id = r.trace_id)
	UNION ALL
	SELECT 'open run without open effect', r.platform_id::text, r.id::text, r.status FROM theazo_data.run r
	 WHERE r.status IN ('queued', 'running')
	   AND NOT EXISTS (SELECT FROM theazo_data.effect e
						WHERE e.platform_id = r.platform_id AND e.root_id = substr(r.id, 5) AND e.run_id = r.id
						  AND e.state IN ('queued', 'claimed', 'sent', 'held'))
	   AND NOT EXISTS (SELECT FROM theazo_data.run_loop l WHERE l.platform_id = r.platform_id AND l.root_id = substr(r.id, 5) AND l.suspended)
	   AND NOT EXISTS (SELECT FROM theazo_data.step s WHERE s.platform_id = r.platform_id AND s.root_id = substr(r.id, 5) AND s.state = 'waiting')
	UNION ALL
	-- The loop: one model call, or tool calls, or suspended, or a judge is asked about a text.
	SELECT 'run of the loop without its state', r.platform_id::text, r.id::text, r.status FROM theazo_data.run r
	 WHERE r.kind = 'agent' AND NOT EXISTS (SELECT FROM theazo_data.run_loop l WHERE l.platform_id = r.platform_id AND l.root_id = substr(r.id, 5))
	UNION ALL
	SELECT 'open steps of a run are not what it waits for', r.platform_id::text, r.id::text,
		   format('%s model calls, %s tool calls, %s counted, suspended %s, judged %s', o.models, o.tools, l.open_tools, l.suspended, j.judged)
	  FROM theazo_data.run r
	  JOIN theazo_data.run_loop l ON l.platform_id = r.platform_id AND l.root_id = substr(r.id, 5)
	 CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE s.kind = 'model') AS models, count(*) FILTER (WHERE s.kind = 'tool') AS tools
						   FROM theazo_data.step s
						  WHERE s.platform_id = r.platform_id AND s.root_id = l.root_id AND s.state IN ('queued', 'waiting')) o
	 CROSS JOIN LATERAL (SELECT count(*)::integer AS judged FROM theazo_data.effect e
						  WHERE e.platform_id = r.platform_id AND e.root_id = l.root_id AND e.kind = 'safety.judge' AND e.step_seq = 0
							AND e.state IN ('queued', 'claimed', 'sent', 'held')) j
	 WHERE CASE WHEN r.status NOT IN ('queued', 'running') THEN o.models + o.tools > 0
				ELSE o.tools <> l.open_tools OR o.models + (l.open_tools > 0)::integer + l.suspended::integer + j.judged <> 1 END
	UNION ALL
	SELECT 'output is not what its verdict let out', p.platform_id::text, 'run_' || p.root_id, p.verdict FROM theazo_data.run_payload p
	  JOIN theazo_data.run r ON r.platform_id = p.platform_id AND r.id = 'run_' || p.root_id
	 WHERE p.verdict <> 'none' AND r.kind = 'agent'
	   AND NOT EXISTS (SELECT FROM theazo_data.safety_verdict v
						WHERE v.platform_id = p.platform_id AND v.root_id = p.root_id AND v.id = p.verdict AND v.stage = 'output'
						  AND v.status IN ('passed', 'redacted', 'skipped')
						  AND encode(v.delivered_hash, 'hex') = theazo_internal.text_hash(coalesce(p.result ->> 'output', '')))
	UNION ALL
	SELECT 'output of code is not what its verdict let out', p.platform_id::text, 'run_' || p.root_id, p.verdict FROM theazo_data.run_payload p
	  JOIN theazo_data.run r ON r.platform_id = p.platform_id AND r.id = 'run_' || p.root_id
	 WHERE r.kind = 'script' AND coalesce(p.result -> 'output', 'null') <> 'null'
	   AND NOT EXISTS (SELECT FROM theazo_data.safety_verdict v
						WHERE v.platform_id = p.platform_id AND v.root_id = p.root_id AND v.id = p.verdict AND v.stage = 'output'
						  AND v.status IN ('passed', 'redacted', 'skipped')
						  AND encode(v.delivered_hash, 'hex') = theazo_internal.text_hash((p.result -> 'output')::text))
	UNION ALL
	SELECT 'execution and run do not agree', x.platform_id::text, x.run_id::text, x.status FROM theazo_data.execution x
	  JOIN theazo_data.run r ON r.platform_id = x.platform_id AND r.id = x.run_id
	 WHERE (x.status = 'running') <> (r.status IN ('queued', 'running')) OR (x.status = 'completed') <> (r.status = 'completed')
	UNION ALL
	SELECT 'result without its verdict', p.platform_id::text, 'run_' || p.root_id, p.verdict FROM theazo_data.run_payload p
	  JOIN theazo_data.run r ON r.platform_id = p.platform_id AND r.id = 'run_' || p.root_id
	 WHERE r.kind NOT IN ('agent', 'script') AND (p.result IS NOT NULL OR p.result_content IS NOT NULL)
	   AND NOT EXISTS (SELECT FROM theazo_data.safety_verdict v
						WHERE v.platform_id = p.platform_id AND v.root_id = p.root_id AND v.id = p.verdict AND v.stage = 'result')
	UNION ALL
	SELECT 'open step without open effect', s.platform_id::text, 'run_' || s.root_id, format('step %s', s.seq) FROM theazo_data.step s
	 WHERE s.state = 'queued'
	   AND NOT EXISTS (SELECT FROM theazo_data.effect e
						WHERE e.platform_id = s.platform_id AND e.root_id = s.root_id AND e.id = s.effect_id
						  AND e.step_seq = s.seq AND e.state IN ('queued', 'claimed', 'sent', 'held'))
	UNION ALL
	SELECT 'open effect of an ended run', e.platform_id::text, e.id::text, format('%s of %s', e.state, r.id) FROM theazo_data.effect e
	  JOIN theazo_data.run r ON r.platform_id = e.platform_id AND r.id = e.run_id
	 WHERE e.state IN ('queued', 'claimed', 'sent', 'held') AND r.status NOT IN ('queued', 'running')
	   -- what its dispatcher is about to cut
	   AND NOT (e.step_seq IS NOT NULL AND e.cancel_requested AND e.state IN ('claimed', 'sent'))
	UNION ALL
	SELECT 'effect of a missing run', e.platform_id::text, e.id::text, e.run_id::text FROM theazo_data.effect e
	 WHERE e.run_id IS NOT NULL
	   AND NOT EXISTS (SELECT FROM theazo_data.run r WHERE r.platform_id = e.platform_id AND r.id = e.run_id)
	UNION ALL
	SELECT 'payload without effect', p.platform_id::text, p.id::text, NULL FROM theazo_data.effect_payload p
	 WHERE NOT EXISTS (SELECT FROM theazo_data.effect e
						WHERE e.platform_id = p.platform_id AND e.root_id = p.root_id AND e.id = p.id)
	UNION ALL
	SELECT 'agent at work on a run that has ended', a.platform_id::text, a.id::text, a.run_id::text FROM theazo_data.agent a
	 WHERE a.run_id IS NOT NULL
	   AND NOT EXISTS (SELECT FROM theazo_data.run r
						WHERE r.platform_id = a.platform_id AND r.id = a.run_id AND r.status IN ('queued', 'running'))
	UNION ALL
	SELECT 'agent at work without a run', a.platform_id::text, a.id::text, NULL FROM theazo_data.agent a
	 WHERE a.status = 'running' AND a.run_id IS NULL
	UNION ALL
	SELECT 'two live sandboxes of an agent', s.platform_id::text, s.agent_id::text, string_agg(s.id, ' ' ORDER BY s.id) FROM theazo_data.sandbox s
	 WHERE s.agent_id IS NOT NULL AND s.status IN ('creating', 'ready', 'paused') GROUP BY 2, 3 HAVING count(*) > 1
	UNION ALL
	SELECT 'sandbox outlives its agent', s.platform_id::text, s.id::text, s.status FROM theazo_data.sandbox s
	  JOIN theazo_data.agent a ON a.platform_id = s.platform_id AND a.id = s.agent_id
	 WHERE a.status = 'completed' AND s.status IN ('creating', 'ready', 'paused')
	UNION ALL
	-- Money.
	SELECT 'uptime and charges differ', s.platform_id::text, s.id::text,
		   format('%s s of uptime, %s s charged', s.billed_seconds, coalesce(sum(c.quantity), 0))
	  FROM theazo_data.sandbox s
	  LEFT JOIN theazo_data.charge c ON c.platform_id = s.platform_id AND c.sandbox_id = s.id AND c.item = 'compute.second'
	 GROUP BY s.platform_id, s.id, s.billed_seconds
	HAVING s.billed_seconds <> coalesce(sum(c.quantity), 0)
	UNION ALL
	-- A run that made its agent carries the fee, which is booked with the agent.
	SELECT 'cost of a run and its charges differ', r.platform_id::text, r.id::text, format('%s, charges %s', r.cost, b.amount)
	  FROM theazo_data.run r
	 CROSS JOIN LATERAL (
		SELECT coalesce((SELECT sum(c.amount) FROM theazo_data.charge c
						  WHERE c.platform_id = r.platform_id AND c.root_id = substr(r.id, 5) AND c.run_id = r.id), 0)
			   + CASE WHEN r.kind <> 'agent' THEN 0 ELSE coalesce((
					SELECT sum(c.amount) FROM theazo_data.agent a
					  JOIN theazo_data.charge c ON c.platform_id = a.platform_id AND c.root_id = theazo_internal.id_root(a.id) AND c.agent_id = a.id
					 WHERE a.platform_id = r.platform_id AND a.id = r.agent_id AND a.one_shot AND c.item = 'agent.fee'
						AND c.occurred_at <= r.ended_at), 0) END AS amount) b
	 WHERE r.status NOT IN ('queued', 'running') AND r.cost <> b.amount
	UNION ALL
	-- An attempt that broke off has its own, which is an estimate.
	SELECT 'model call without its one charge', s.platform_id::text, 'run_' || s.root_id, format('step %s: %s', s.seq, b.n)
	  FROM theazo_data.step s
	 CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE NOT c.estimated) AS exact FROM theazo_data.charge c
						  WHERE c.platform_id = s.platform_id AND c.root_id = s.root_id AND c.item = 'model.call' AND c.effect_id = s.effect_id) b
	 WHERE s.kind = 'model' AND s.state IN ('done', 'unknown') AND (b.n = 0 OR b.exact > 1)
	UNION ALL
	SELECT 'tokens of a model call and of its charge differ', s.platform_id::text, 'run_' || s.root_id, format('step %s', s.seq)
	  FROM theazo_data.step s
	 CROSS JOIN LATERAL (SELECT coalesce(sum(c.input_tokens), 0) AS input, coalesce(sum(c.cached_tokens), 0) AS cached,
								coalesce(sum(c.output_tokens), 0) AS output, coalesce(bool_or(c.estimated), false) AS estimated,
								coalesce(bool_or(e.id = s.effect_id AND c.model <> s.name), false) AS other
						   FROM theazo_data.effect e
						   JOIN theazo_data.charge c ON c.platform_id = e.platform_id AND c.root_id = e.root_id AND c.effect_id = e.id AND c.item = 'model.call'
						  WHERE e.platform_id = s.platform_id AND e.root_id = s.root_id AND e.step_seq = s.seq) b
	 WHERE s.kind = 'model' AND s.state <> 'queued'
	   AND (b.other OR s.estimated AND NOT b.estimated
			OR (coalesce(s.input_tokens, 0) + coalesce(s.cache_write_tokens, 0), coalesce(s.cache_read_tokens, 0), coalesce(s.output_tokens, 0))
			   IS DISTINCT FROM (b.input::bigint, b.cached::bigint, b.output::bigint))
	UNION ALL
	SELECT 'pending approval of a call that does not wait', x.platform_id::text, x.id::text, format('%s step %s', x.run_id, x.step_seq)
	  FROM theazo_data.approval x
	 WHERE x.status = 'pending'
	   AND NOT EXISTS (SELECT FROM theazo_data.step s WHERE s.platform_id = x.platform_id AND s.root_id = substr(x.run_id, 5) AND s.seq = x.step_seq
						  AND s.state = 'waiting' AND s.approval_id = x.id)
	UNION ALL
	SELECT 'approval and its fee differ', x.platform_id::text, x.id::text, format('%s, %s charges', x.status, c.n)
	  FROM theazo_data.approval x
	 CROSS JOIN LATERAL (SELECT count(*) AS n FROM theazo_data.charge c
						  WHERE c.platform_id = x.platform_id AND c.root_id = substr(x.run_id, 5) AND c.item = 'approval.cycle'
							AND c.id = theazo_internal.id_derive('chg', x.id, x.id || '|approval.cycle')) c
	 WHERE c.n <> (x.status <> 'pending')::integer
	   -- what was booked long ago is not kept for ever
	   AND EXISTS (SELECT FROM theazo_data.run_loop l WHERE l.platform_id = x.platform_id AND l.root_id = substr(x.run_id, 5))
	UNION ALL
	SELECT 'cost of steps, what a run has spent and its charges differ', l.platform_id::text, 'run_' || l.root_id,
		   format('steps %s, spent %s, charges %s, approvals %s', b.steps, l.spent, b.charges, b.fees)
	  FROM theazo_data.run_loop l
	 CROSS JOIN LATERAL (
		-- a question to a judge has no step of its own
		SELECT (SELECT coalesce(sum(s.cost), 0) FROM theazo_data.step s WHERE s.platform_id = l.platform_id AND s.root_id = l.root_id)
			   + (SELECT coalesce(sum(c.amount), 0) FROM theazo_data.charge c
					JOIN theazo_data.effect e ON e.platform_id = c.platform_id AND e.root_id = c.root_id AND e.id = c.effect_id AND e.kind = 'safety.judge'
				   WHERE c.platform_id = l.platform_id AND c.root_id = l.root_id AND c.item = 'model.call') AS steps,
			   (SELECT coalesce(sum(c.amount), 0) FROM theazo_data.charge c
				 WHERE c.platform_id = l.platform_id AND c.root_id = l.root_id AND c.item = 'model.call') AS charges,
			   (SELECT coalesce(sum(c.amount), 0) FROM theazo_data.charge c
				 WHERE c.platform_id = l.platform_id AND c.root_id = l.root_id AND c.item IN ('approval.cycle', 'safety.moderation')) AS fees) b
	 -- under a cap the time of its sandbox counts as well
	 WHERE b.steps <> b.charges OR l.spent < b.charges + b.fees OR l.spent > b.charges + b.fees AND l.cost_cap IS NULL
	UNION ALL
	SELECT 'charge without its model call', c.platform_id::text, c.id::text, c.effect_id::text FROM theazo_data.charge c
	 WHERE c.item = 'model.call'
	   AND EXISTS (SELECT FROM theazo_data.run_loop l WHERE l.platform_id = c.platform_id AND l.root_id = c.root_id)
	   AND NOT EXISTS (SELECT FROM theazo_data.effect e
						WHERE e.platform_id = c.platform_id AND e.root_id = c.root_id AND e.id = c.effect_id AND e.kind IN ('model.call', 'safety.judge'))
	UNION ALL
	SELECT 'call to a provider of one''s own was charged', c.platform_id::text, c.id::text, c.provider FROM theazo_data.charge c
	 WHERE c.payer = 'provider' AND c.amount <> 0
	UNION ALL
	SELECT 'exec without its one charge', r.platform_id::text, r.id::text, r.status FROM theazo_data.run r
	 WHERE r.kind = 'exec' AND r.status = 'completed'
	   AND 1 <> (SELECT count(*) FROM theazo_data.charge c
				  WHERE c.platform_id = r.platform_id AND c.root_id = substr(r.id, 5) AND c.run_id = r.id AND c.item = 'compute.second')
	UNION ALL
	SELECT 'run without event', r.platform_id::text, r.id::text, r.status FROM theazo_data.run r
	 WHERE NOT EXISTS (SELECT FROM theazo_data.event e
						WHERE e.platform_id = r.platform_id AND e.run_id = r.id AND e.id >= 'evt_' || theazo_internal.id_floor(r.created_at - '1 hour'::interval))
	UNION ALL
	-- Partitions.
	SELECT 'partition lacks an index', NULL, l.partition, i.suffix
	  FROM theazo_internal.partition_list() l JOIN theazo_internal.partition_indexes() i ON i.parent = l.parent
	 WHERE NOT EXISTS (SELECT FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
						WHERE x.indrelid = l.part_oid AND x.indisvalid AND c.relname = l.partition || '_' || i.suffix)
	UNION ALL
	SELECT 'partition lacks row-level security', NULL, l.partition, NULL
	  FROM theazo_internal.partition_list() l JOIN pg_class c ON c.oid = l.part_oid
	 WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity)
	UNION ALL
	SELECT 'partition lacks a guard', NULL, l.partition, t.name
	  FROM theazo_internal.partition_list('event') l CROSS JOIN (VALUES ('event_guard_row'), ('event_guard_truncate')) AS t (name)
	 WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = l.part_oid AND g.tgname = t.name::name AND g.tgenabled = 'A')
	UNION ALL
	SELECT 'dated partition is a member of the extension', NULL, l.partition, NULL
	  FROM theazo_internal.partition_list() l
	 WHERE NOT l.is_default
	   AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = l.part_oid
					AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
	UNION ALL
	SELECT 'default partition is not registered for dumps', NULL, l.partition, NULL
	  FROM theazo_internal.partition_list() l
	 WHERE l.is_default AND EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'theazo')
	   AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'theazo' AND l.part_oid = ANY (e.extconfig));
END
$$;
COMMENT ON FUNCTION theazo.integrity_check() IS 'operator: what no constraint can hold across partitions; no row means all is well';
