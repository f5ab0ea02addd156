-- reap.sql: both sides of a sandbox agree. Providers that can are asked every few minutes which sandboxes they have: a row whose
-- sandbox is gone ends with what is owed for it, and a sandbox whose row has ended, or never came to be, is destroyed.
--
-- The answer is only stored when it comes; the keeper looks at it, in short steps, and passes over what somebody has locked.
-- Nothing is done to a sandbox that is being made, is being destroyed, or is held, nor to one that another database made.

CREATE OR REPLACE VIEW theazo.compute_sweeps WITH (security_barrier) AS
	SELECT s.provider_name AS provider, s.asked_at, s.answered_at, s.listed, s.lost, s.reaped, s.error, s.due_at
	  FROM theazo_data.compute_sweep s
	 WHERE (SELECT theazo_internal.may_read('agent:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.compute_sweeps IS
'when each provider of the platform was last asked which sandboxes it has, how many rows were found without one and how many without a row';

CREATE OR REPLACE VIEW theazo.operator_compute_sweeps WITH (security_barrier) AS
	SELECT s.platform_id, s.provider_name AS provider, s.adapter, s.asked_at, s.answered_at, s.listed, s.lost, s.reaped, s.error, s.due_at
	  FROM theazo_data.compute_sweep s;
COMMENT ON VIEW theazo.operator_compute_sweeps IS 'operator: theazo.compute_sweeps of all platforms, of managed accounts, and of the dispatchers of this machine';

CREATE OR REPLACE FUNCTION theazo_internal.sweep_every()
RETURNS interval
LANGUAGE sql IMMUTABLE
AS $$ SELECT '5 minutes'::interval $$;
COMMENT ON FUNCTION theazo_internal.sweep_every() IS 'between two questions to a provider about its sandboxes';

-- Can this kind of compute do that at all, by the table of capabilities.
CREATE OR REPLACE FUNCTION theazo_internal.compute_offers(p_type text, p_op text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
	SELECT EXISTS (SELECT FROM theazo_internal.compute_operations() o WHERE o.type = p_type AND o.operation = p_op AND o.support <> 'none')
$$;
COMMENT ON FUNCTION theazo_internal.compute_offers(text, text) IS 'does a kind of compute offer an operation';

-- ----------------------------------------------------------------------------
-- Asking
-- ----------------------------------------------------------------------------
-- Accounts that can be asked: entries of platforms and of the operator, and each dispatcher for what it holds itself.
CREATE OR REPLACE FUNCTION theazo_internal.sweep_accounts()
RETURNS TABLE (platform_id text, provider_name text, adapter text)
LANGUAGE sql STABLE
AS $$
	SELECT v.platform_id::text, CASE WHEN v.platform_id = theazo_internal.operator_platform() THEN 'theazo:' || v.name ELSE v.name END, v.type
	  FROM theazo_data.provider v
	 WHERE v.kind = 'compute' AND v.type <> 'local' AND theazo_internal.compute_offers(v.type, 'sweep')
	   AND v.capabilities -> 'sweep' IS DISTINCT FROM 'false'::jsonb
	UNION ALL
	SELECT theazo_internal.operator_platform(), 'local:' || w.slot, 'local'
	  FROM theazo_internal.worker_status() w WHERE w.kind = 'dispatcher' AND w.state = 'running'
$$;
COMMENT ON FUNCTION theazo_internal.sweep_accounts() IS 'accounts at providers that can list their sandboxes';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_sweep()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w		theazo_data.compute_sweep;
	v_id	text;
	v_n		integer := 0;
BEGIN
	INSERT INTO theazo_data.compute_sweep (platform_id, provider_name, adapter, due_at)
	SELECT a.platform_id, a.provider_name, a.adapter, clock_timestamp() + theazo_internal.sweep_every() FROM theazo_internal.sweep_accounts() a
	    ON CONFLICT ON CONSTRAINT compute_sweep_pkey DO NOTHING;
	DELETE FROM theazo_data.compute_sweep x
	 WHERE x.due_at < clock_timestamp() AND NOT EXISTS (SELECT FROM theazo_internal.sweep_accounts() a
		WHERE a.platform_id = x.platform_id AND a.provider_name = x.provider_name AND a.adapter = x.adapter);
	FOR w IN
		SELECT x.* FROM theazo_data.compute_sweep x
		 WHERE x.due_at <= clock_timestamp() AND x.listing IS NULL
		   AND NOT EXISTS (SELECT FROM theazo_data.effect e
							WHERE e.platform_id = x.platform_id AND e.root_id = x.root_id AND e.id = x.effect_id
							  AND e.state IN ('queued', 'claimed', 'sent', 'held'))
		 ORDER BY x.due_at LIMIT 100 FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM theazo_internal.sweep_ask(w);
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_sweep() IS 'keeper: asks providers whose turn it is which sandboxes they have';

CREATE OR REPLACE FUNCTION theazo_internal.sweep_ask(w theazo_data.compute_sweep)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	v_id text;
BEGIN
	v_id := theazo_internal.effect_enqueue(
		w.platform_id, NULL, 'compute.sweep', w.adapter, pg_catalog.jsonb_build_object('instance', theazo_internal.instance()),
		p_provider => CASE WHEN w.adapter <> 'local' THEN w.provider_name END, p_timeout_ms => 60000, p_max_attempts => 2,
		p_affinity => CASE WHEN w.adapter = 'local' THEN pg_catalog.substr(w.provider_name, 7)::integer END,
		p_deadline => pg_catalog.clock_timestamp() + theazo_internal.sweep_every());
	UPDATE theazo_data.compute_sweep x
	   SET root_id = theazo_internal.id_root(v_id), effect_id = v_id, asked_at = pg_catalog.clock_timestamp(),
		   due_at = pg_catalog.clock_timestamp() + theazo_internal.sweep_every()
	 WHERE x.platform_id = w.platform_id AND x.provider_name = w.provider_name;
	RETURN v_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.sweep_ask(theazo_data.compute_sweep) IS 'asks one provider which sandboxes it has';

-- A creation ended that may have made this sandbox, and nobody knows its name: its provider is asked now and not when its turn comes.
CREATE OR REPLACE FUNCTION theazo_internal.sweep_soon(s theazo_data.sandbox)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	INSERT INTO theazo_data.compute_sweep (platform_id, provider_name, adapter, due_at)
	SELECT a.platform_id, a.provider_name, a.adapter, pg_catalog.clock_timestamp() FROM theazo_internal.sweep_accounts() a
	 WHERE a.platform_id = (SELECT n.owner FROM theazo_internal.compute_entry(s.platform_id, s.provider_name) n)
	   AND a.provider_name = s.provider_name AND a.adapter = s.adapter
	    ON CONFLICT ON CONSTRAINT compute_sweep_pkey DO UPDATE SET due_at = least(compute_sweep.due_at, excluded.due_at);
	-- The first time its creation may still be under way there.
	UPDATE theazo_data.sandbox b
	   SET reaps = b.reaps + 1, reap_at = CASE WHEN b.status = 'unknown' AND b.reaps = 0 THEN pg_catalog.clock_timestamp() + '75 seconds'::interval END
	 WHERE b.platform_id = s.platform_id AND b.id = s.id;
END
$$;
COMMENT ON FUNCTION theazo_internal.sweep_soon(theazo_data.sandbox) IS 'has a provider asked at once whether it has a sandbox whose creation nobody saw the end of';

-- The answer, or why there is none. In a dispatcher's transaction, so nothing is done about it here.
CREATE OR REPLACE FUNCTION theazo_internal.compute_swept(e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE theazo_data.compute_sweep x
	   SET answered_at = pg_catalog.clock_timestamp(),
		   listing = CASE WHEN p_state = 'done' AND pg_catalog.jsonb_typeof(p_result -> 'sandboxes') = 'array'
				THEN p_result || pg_catalog.jsonb_build_object('at', coalesce(p_started, e.claimed_at), 'incarnation', e.incarnation) END,
		   listed = CASE WHEN p_state = 'done' AND pg_catalog.jsonb_typeof(p_result -> 'sandboxes') = 'array'
				THEN pg_catalog.jsonb_array_length(p_result -> 'sandboxes') ELSE x.listed END,
		   error = CASE WHEN p_state <> 'done' THEN pg_catalog."left"(theazo_internal.text_mask(coalesce(p_result ->> 'message', p_state)), 500) END
	 WHERE x.platform_id = e.platform_id AND x.effect_id = e.id;
	IF FOUND AND p_state = 'done' THEN
		PERFORM theazo_internal.wake_keeper();
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_swept(theazo_data.effect, text, jsonb, timestamptz) IS 'stores what a provider says about its sandboxes, for the keeper';

-- ----------------------------------------------------------------------------
-- Drawing the consequences
-- ----------------------------------------------------------------------------
-- A sandbox that nobody has, or is to have: destroyed by its provider's name. p_row: what was once known of it.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_reap(w theazo_data.compute_sweep, p_external text, p_tag text, s theazo_data.sandbox)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.effect_enqueue(
		w.platform_id, NULL, 'compute.destroy', w.adapter, pg_catalog.jsonb_build_object('sandbox', p_external, 'tag', p_tag),
		p_provider => CASE WHEN w.adapter <> 'local' THEN w.provider_name END, p_max_attempts => 5,
		p_affinity => CASE WHEN w.adapter = 'local' THEN pg_catalog.substr(w.provider_name, 7)::integer END);
	UPDATE theazo_data.compute_sweep x SET reaped = x.reaped + 1 WHERE x.platform_id = w.platform_id AND x.provider_name = w.provider_name;
	PERFORM theazo_internal.event_write(coalesce(s.platform_id, w.platform_id), 'lifecycle', 'sandbox_reaped',
		pg_catalog.jsonb_build_object('sandbox', pg_catalog."left"(p_tag, 64), 'provider', coalesce(s.provider, w.provider_name), 'was', coalesce(s.status, 'no row')),
		s.session_id, s.agent_id, NULL, coalesce(s.environment, 'live'));
	IF s.id IS NOT NULL THEN
		PERFORM theazo_internal.log_write(s.platform_id, NULL, 'warn', 'provider',
			pg_catalog.format('sandbox %s was still there at %s and is destroyed', s.id, s.provider), s.environment, s.session_id, s.agent_id, NULL, s.user_id, s.provider);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_reap(theazo_data.compute_sweep, text, text, theazo_data.sandbox) IS
'destroys a sandbox at a provider that is nobody''s';

-- A machine whose creation nobody heard the end of has run all the same: its time is booked as it ends, from when its provider says it
-- started, else from when it was asked for, and then as an estimate. False: somebody holds it now.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_found(s theazo_data.sandbox, p_started timestamptz)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
	v_now	timestamptz := pg_catalog.clock_timestamp();
	v_from	timestamptz;
BEGIN
	IF s.agent_id IS NOT NULL THEN
		PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = s.platform_id AND a.id = s.agent_id FOR UPDATE SKIP LOCKED;
		IF NOT FOUND THEN
			RETURN false;
		END IF;
	END IF;
	PERFORM 1 FROM theazo_data.sandbox b
	 WHERE b.platform_id = s.platform_id AND b.id = s.id AND b.status = s.status AND b.started_at IS NULL FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	v_from := coalesce(p_started, (SELECT pg_catalog.min(e.claimed_at) FROM theazo_data.effect e
		WHERE e.platform_id = s.platform_id AND e.sandbox_id = s.id AND e.kind = 'compute.create'), s.created_at);
	v_from := least(v_now, greatest(v_from, s.created_at));
	UPDATE theazo_data.sandbox b SET started_at = v_from, billed_until = v_from, ended_at = v_now WHERE b.platform_id = s.platform_id AND b.id = s.id;
	PERFORM theazo_internal.sandbox_bill(s.platform_id, s.id, v_now, false, p_estimated => p_started IS NULL);
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_found(theazo_data.sandbox, timestamptz) IS
'books the time of a machine whose creation was never answered; false when its row is locked';

-- What a provider has, against the rows. An account of the operator's holds sandboxes of every platform, and nobody else's counts.
CREATE OR REPLACE FUNCTION theazo_internal.sweep_apply(w theazo_data.compute_sweep)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
	v_at		timestamptz := (w.listing ->> 'at')::timestamptz;
	v_whole		boolean := coalesce((w.listing ->> 'complete')::boolean, true);
	v_own		boolean := w.platform_id = theazo_internal.operator_platform();
	v_local		boolean := w.adapter = 'local';
	v_there		text[] := '{}';
	f			record;
	s			theazo_data.sandbox;
	v_n			integer := 0;
BEGIN
	FOR f IN
		SELECT x ->> 'sandbox' AS sandbox, x ->> 'tag' AS tag, x ->> 'instance' AS instance,
			   CASE WHEN x ->> 'started_at' ~ '^[0-9]{9,10}(\.[0-9]{1,9})?$' THEN pg_catalog.to_timestamp((x ->> 'started_at')::pg_catalog.float8) END AS started_at
		  FROM pg_catalog.jsonb_array_elements(w.listing -> 'sandboxes') x WHERE pg_catalog.jsonb_typeof(x) = 'object'
	LOOP
		CONTINUE WHEN f.sandbox IS NULL OR f.tag IS NULL OR pg_catalog.octet_length(f.sandbox) > 512 OR f.tag !~ '^sbx_[0-9A-HJKMNP-TV-Z]{26}$';
		-- What another database made is that one's to end.
		CONTINUE WHEN f.instance IS NOT NULL AND f.instance <> '' AND f.instance <> theazo_internal.instance();
		SELECT b.* INTO s FROM theazo_data.sandbox b
		 WHERE b.id = f.tag AND b.adapter = w.adapter AND (v_own OR b.platform_id = w.platform_id)
		   AND (v_local OR b.provider_name = w.provider_name);
		IF s.id IS NULL THEN
			-- Rows are there before anything is made, so it is of a time that this database does not know any more.
			IF f.instance = theazo_internal.instance() AND NOT EXISTS (SELECT FROM theazo_data.sandbox b WHERE b.id = f.tag) THEN
				PERFORM theazo_internal.sandbox_reap(w, f.sandbox, f.tag, NULL);
				v_n := v_n + 1;
			END IF;
		ELSIF s.status IN ('warm', 'ready', 'paused') AND s.external_id = f.sandbox THEN
			v_there := v_there || s.id::text;
		ELSIF s.instance <> theazo_internal.instance() OR s.status IN ('creating', 'destroying', 'held')
			OR s.status = 'paused' AND coalesce(s.snapshot, '') <> '' OR coalesce(s.started_at, s.ended_at) >= v_at OR s.ended_at >= v_at THEN
			-- under way, or moved while the provider looked
			CONTINUE;
		ELSE
			CONTINUE WHEN s.status = 'unknown' AND s.started_at IS NULL AND NOT theazo_internal.sandbox_found(s, f.started_at);
			PERFORM theazo_internal.sandbox_reap(w, f.sandbox, f.tag, s);
			v_n := v_n + 1;
			UPDATE theazo_data.sandbox b SET status = 'destroyed', reap_at = NULL
			 WHERE b.platform_id = s.platform_id AND b.id = s.id AND b.status = 'unknown';
		END IF;
	END LOOP;
	UPDATE theazo_data.sandbox b SET seen_at = v_at, missed = 0
	  FROM (SELECT y.platform_id, y.id FROM theazo_data.sandbox y WHERE y.id = ANY (v_there) FOR NO KEY UPDATE SKIP LOCKED) o
	 WHERE b.platform_id = o.platform_id AND b.id = o.id;
	IF v_whole THEN
		v_n := v_n + theazo_internal.sweep_missing(w, v_at, v_there);
	END IF;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.sweep_apply(theazo_data.compute_sweep) IS
'compares what a provider has with the rows: ends those without a sandbox and destroys those without a row';

-- Rows whose sandbox was not listed. A provider's list may be behind, so it takes two; a dispatcher knows what it holds.
CREATE OR REPLACE FUNCTION theazo_internal.sweep_missing(w theazo_data.compute_sweep, p_at timestamptz, p_there text[])
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
	v_local	boolean := w.adapter = 'local';
	s		theazo_data.sandbox;
	v_n		integer := 0;
BEGIN
	FOR s IN
		SELECT b.* FROM theazo_data.sandbox b
		 WHERE b.status IN ('warm', 'ready', 'paused') AND b.adapter = w.adapter AND b.instance = theazo_internal.instance()
		   AND (w.platform_id = theazo_internal.operator_platform() OR b.platform_id = w.platform_id)
		   AND CASE WHEN v_local THEN 'local:' || b.worker_slot = w.provider_name AND b.incarnation = (w.listing ->> 'incarnation')::bigint
					ELSE b.provider_name = w.provider_name END
		   AND b.started_at < p_at AND b.id <> ALL (p_there) AND b.labelled IS NULL
		   -- what sleeps in a snapshot need not be among the machines
		   AND NOT (b.status = 'paused' AND coalesce(b.snapshot, '') <> '')
		 ORDER BY b.agent_id, b.id
	LOOP
		IF s.agent_id IS NOT NULL THEN
			PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = s.platform_id AND a.id = s.agent_id FOR UPDATE SKIP LOCKED;
			CONTINUE WHEN NOT FOUND;
		END IF;
		SELECT b.* INTO s FROM theazo_data.sandbox b
		 WHERE b.platform_id = s.platform_id AND b.id = s.id AND b.status = s.status AND b.external_id = s.external_id FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		IF NOT v_local AND s.missed = 0 THEN
			UPDATE theazo_data.sandbox b SET missed = 1 WHERE b.platform_id = s.platform_id AND b.id = s.id;
			UPDATE theazo_data.compute_sweep x SET due_at = least(x.due_at, pg_catalog.clock_timestamp() + '30 seconds'::interval)
			 WHERE x.platform_id = w.platform_id AND x.provider_name = w.provider_name;
			CONTINUE;
		END IF;
		-- Owed is what is booked, and up to when it was last seen.
		PERFORM theazo_internal.sandbox_lost(s.platform_id, s.id, 'its provider does not have it any more', greatest(s.billed_until, s.seen_at));
		UPDATE theazo_data.compute_sweep x SET lost = x.lost + 1 WHERE x.platform_id = w.platform_id AND x.provider_name = w.provider_name;
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.sweep_missing(theazo_data.compute_sweep, timestamptz, text[]) IS 'ends rows whose sandbox their provider does not have';

-- ----------------------------------------------------------------------------
-- Rows that are nobody's
-- ----------------------------------------------------------------------------
-- Is something under way that makes or ends it?
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_busy(s theazo_data.sandbox)
RETURNS boolean
LANGUAGE sql STABLE
AS $$
	SELECT EXISTS (SELECT FROM theazo_data.effect e
					WHERE e.platform_id = s.platform_id AND e.sandbox_id = s.id AND e.kind IN ('compute.create', 'compute.destroy')
					  AND e.state IN ('queued', 'claimed', 'sent', 'held'))
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_busy(theazo_data.sandbox) IS 'is a creation or a destruction of this sandbox under way';

-- Ends a sandbox whose row, and whose agent's, the caller has locked: what is owed is booked in this transaction.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_end(s theazo_data.sandbox)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	-- What was made unseen has no name but ours; who cannot list what it has may know it by that.
	v_named	boolean := s.external_id IS NULL AND s.status IN ('creating', 'unknown') AND s.adapter <> 'local'
		AND NOT theazo_internal.compute_offers(s.adapter, 'sweep');
BEGIN
	PERFORM theazo_internal.sandbox_bill(s.platform_id, s.id, pg_catalog.clock_timestamp(), false);
	PERFORM theazo_internal.budget_release(s.platform_id, s.id);
	UPDATE theazo_data.sandbox x
	   SET status = CASE WHEN x.external_id IS NOT NULL OR v_named THEN 'destroying' WHEN x.status IN ('creating', 'unknown') THEN 'unknown' ELSE 'destroyed' END,
		   ended_at = coalesce(x.ended_at, pg_catalog.clock_timestamp()),
		   reap_at = CASE WHEN x.status = 'creating' AND x.adapter <> 'local' AND NOT v_named THEN pg_catalog.clock_timestamp() END
	 WHERE x.platform_id = s.platform_id AND x.id = s.id;
	IF s.external_id IS NOT NULL OR v_named THEN
		PERFORM theazo_internal.effect_enqueue(
			s.platform_id, NULL, 'compute.destroy', s.adapter,
			CASE WHEN v_named THEN pg_catalog.jsonb_build_object('sandbox', s.id, 'tag', s.id) END, p_session => s.session_id, p_agent => s.agent_id,
			p_sandbox => s.id, p_provider => s.provider_name, p_max_attempts => 5,
			p_affinity => CASE WHEN s.adapter = 'local' THEN s.worker_slot END);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_end(theazo_data.sandbox) IS 'books what is owed for a locked sandbox and destroys it';

-- How long to wait before a sandbox that could not be destroyed is destroyed again; null: no more.
CREATE OR REPLACE FUNCTION theazo_internal.reap_wait(p_times integer)
RETURNS interval
LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE WHEN p_times < 10 THEN least('1 day'::interval, '10 minutes'::interval * 2 ^ p_times) END $$;
COMMENT ON FUNCTION theazo_internal.reap_wait(integer) IS 'wait before a sandbox that could not be destroyed is destroyed again';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_reap()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w		theazo_data.compute_sweep;
	s		theazo_data.sandbox;
	v_here	text := theazo_internal.instance();
	v_n		integer := 0;
BEGIN
	FOR w IN
		SELECT x.* FROM theazo_data.compute_sweep x WHERE x.listing IS NOT NULL ORDER BY x.answered_at LIMIT 20 FOR UPDATE SKIP LOCKED
	LOOP
		v_n := v_n + theazo_internal.sweep_apply(w);
		UPDATE theazo_data.compute_sweep x SET listing = NULL WHERE x.platform_id = w.platform_id AND x.provider_name = w.provider_name;
	END LOOP;
	-- Its agent has ended, or works in another one; or what made or ended it is no more.
	FOR s IN
		SELECT b.* FROM theazo_data.sandbox b
		  LEFT JOIN theazo_data.agent a ON a.platform_id = b.platform_id AND a.id = b.agent_id
		 WHERE b.status IN ('creating', 'ready', 'paused', 'destroying') AND b.instance = v_here AND b.created_at < clock_timestamp() - '1 minute'::interval
		   AND CASE WHEN b.status IN ('ready', 'paused') THEN a.status = 'completed' OR a.sandbox_id IS DISTINCT FROM b.id
					ELSE coalesce(b.ended_at, b.created_at) < clock_timestamp() - '1 minute'::interval AND NOT theazo_internal.sandbox_busy(b) END
		 ORDER BY b.agent_id, b.id LIMIT 500
	LOOP
		IF s.agent_id IS NOT NULL THEN
			PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = s.platform_id AND a.id = s.agent_id FOR UPDATE SKIP LOCKED;
			CONTINUE WHEN NOT FOUND;
		END IF;
		SELECT b.* INTO s FROM theazo_data.sandbox b
		  LEFT JOIN theazo_data.agent a ON a.platform_id = b.platform_id AND a.id = b.agent_id
		 WHERE b.platform_id = s.platform_id AND b.id = s.id AND b.status = s.status
		   AND CASE WHEN b.status IN ('ready', 'paused') THEN a.status = 'completed' OR a.sandbox_id IS DISTINCT FROM b.id
					ELSE NOT theazo_internal.sandbox_busy(b) END
		   FOR UPDATE OF b SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		PERFORM theazo_internal.event_write(s.platform_id, 'lifecycle', 'sandbox_reaped',
			jsonb_build_object('sandbox', s.id, 'provider', s.provider, 'was', s.status), s.session_id, s.agent_id, NULL, s.environment);
		IF s.status = 'creating' THEN
			PERFORM theazo_internal.sandbox_refuse(s.platform_id, s.agent_id,
				'{"code": "provider_error", "sqlstate": "TZ402", "message": "the sandbox could not be made", "hint": "The next exec makes a new one."}');
			-- A run of the loop goes on without one: its model is told.
			UPDATE theazo_data.agent a
			   SET sandbox_id = NULL, status = CASE WHEN a.status <> 'booting' THEN a.status WHEN a.run_id = a.task_run_id THEN 'running' ELSE 'failed' END,
				   error = CASE WHEN a.status <> 'booting' OR a.run_id = a.task_run_id THEN a.error ELSE 'the sandbox could not be made' END
			 WHERE a.platform_id = s.platform_id AND a.id = s.agent_id AND a.sandbox_id = s.id;
		END IF;
		PERFORM theazo_internal.sandbox_end(s);
		v_n := v_n + 1;
	END LOOP;
	-- Could not be destroyed, or was perhaps made unseen, or has a twin.
	FOR s IN
		SELECT b.* FROM theazo_data.sandbox b
		 WHERE b.reap_at <= clock_timestamp() AND b.instance = v_here ORDER BY b.reap_at LIMIT 100 FOR UPDATE SKIP LOCKED
	LOOP
		v_n := v_n + 1;
		IF s.status <> 'unknown' OR s.external_id IS NULL AND theazo_internal.compute_offers(s.adapter, 'sweep') THEN
			PERFORM theazo_internal.sweep_soon(s);
			CONTINUE;
		END IF;
		UPDATE theazo_data.sandbox b SET reaps = b.reaps + 1 WHERE b.platform_id = s.platform_id AND b.id = s.id;
		PERFORM theazo_internal.sandbox_end(s);
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_reap() IS 'keeper: brings rows of sandboxes and what providers have into line, and ends sandboxes that are nobody''s';
