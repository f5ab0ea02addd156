-- rotation.sql: sealing everything anew under the current master key, and giving up a lost one.
--
-- vault_rotate() leaves a row; the keeper carries it on, a batch a transaction. The batch and how far it got commit
-- together, so whoever dies and whenever, the next keeper goes on behind the last batch. No row is waited for: what
-- somebody else holds is met again in the next pass. Old and new key are both loaded, so everything opens at any moment.

-- Sealed under other keys than the one it goes to, but for what nothing can open any more.
CREATE OR REPLACE FUNCTION theazo_internal.vault_keys_to_leave(p_target text)
RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(array_agg(k.id), '{}') FROM theazo_internal.vault_key_ids() k (id)
	 WHERE k.id <> p_target
	   AND NOT EXISTS (SELECT FROM theazo_data.master_key m
						WHERE m.platform_id = theazo_internal.operator_platform() AND m.id = k.id AND m.lost)
$$;
COMMENT ON FUNCTION theazo_internal.vault_keys_to_leave(text) IS 'master keys whose values a rotation to this one seals anew';

CREATE OR REPLACE FUNCTION theazo_internal.vault_remaining(p_target text)
RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(sum((SELECT count(*) FROM theazo_data.secret s WHERE s.master_key_id = k.id)
					  + (SELECT count(*) FROM theazo_data.secret_delivered d WHERE d.master_key_id = k.id)
					  + (SELECT count(*) FROM theazo_data.data_key d WHERE d.master_key_id = k.id)), 0)::bigint
	  FROM unnest(theazo_internal.vault_keys_to_leave(p_target)) k (id)
$$;
COMMENT ON FUNCTION theazo_internal.vault_remaining(text) IS 'values that a rotation to this master key still has to seal anew';

CREATE OR REPLACE FUNCTION theazo_internal.vault_rotation_list(
	OUT id text, OUT master_key_id text, OUT state text, OUT batch integer, OUT total bigint, OUT done bigint,
	OUT remaining bigint, OUT failed bigint, OUT failures jsonb, OUT waiting text, OUT started_by text,
	OUT started_at timestamptz, OUT updated_at timestamptz, OUT finished_at timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT r.id, r.master_key_id, r.state, r.batch, r.total, r.done,
		   CASE r.state WHEN 'done' THEN 0 WHEN 'running' THEN theazo_internal.vault_remaining(r.master_key_id) END,
		   r.failed, r.failures, r.waiting, r.started_by, r.started_at, r.updated_at, r.finished_at
	  FROM theazo_data.vault_rotation r WHERE r.platform_id = theazo_internal.operator_platform()
$$;
COMMENT ON FUNCTION theazo_internal.vault_rotation_list() IS 'rotations of the vault and how far they are';

CREATE OR REPLACE VIEW theazo.vault_rotations WITH (security_barrier) AS
	SELECT r.id, r.master_key_id, r.state, r.batch, r.total, r.done, r.remaining, r.failed, r.failures, r.waiting,
		   r.started_by, r.started_at, r.updated_at, r.finished_at
	  FROM theazo_internal.vault_rotation_list() r;
COMMENT ON VIEW theazo.vault_rotations IS
'operator: rotations of the vault: how far, what did not open, and why one stands still; never a value';

CREATE OR REPLACE FUNCTION theazo.vault_rotate(batch integer DEFAULT 500)
RETURNS theazo.vault_rotations LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_here		text := theazo_internal.operator_platform();
	v_current	text;
	v_id		text := theazo_internal.id_new('vrt');
	r			theazo_data.vault_rotation;
	result		theazo.vault_rotations;
BEGIN
	PERFORM theazo_internal.enter_operator();
	IF batch IS NULL OR batch NOT BETWEEN 1 AND 10000 THEN
		PERFORM theazo_internal.raise_value('batch', 'must be between 1 and 10000');
	END IF;
	v_current := theazo_internal.master_key_current();
	PERFORM theazo_internal.master_keys_return();
	-- without a lock: the keeper holds the row while it seals a batch
	SELECT * INTO r FROM theazo_data.vault_rotation t WHERE t.platform_id = v_here AND t.state = 'running';
	IF FOUND AND r.master_key_id = v_current THEN
		RAISE EXCEPTION USING ERRCODE = 'object_in_use',
			MESSAGE = 'the vault is being rotated already',
			DETAIL = format('Rotation %s seals everything under master key "%s".', r.id, r.master_key_id),
			HINT = 'theazo.vault_rotations shows how far it is.';
	END IF;
	PERFORM theazo_internal.master_key_record(v_current);
	-- One that went to another key, which is not the current one any more: this one takes its place.
	UPDATE theazo_data.vault_rotation t
	   SET state = 'incomplete', waiting = format('rotation %s took its place', v_id), finished_at = clock_timestamp(), updated_at = clock_timestamp()
	 WHERE t.platform_id = v_here AND t.state = 'running';
	BEGIN
		INSERT INTO theazo_data.vault_rotation (platform_id, id, master_key_id, batch, total, started_by)
		VALUES (v_here, v_id, v_current, batch, theazo_internal.vault_remaining(v_current), theazo_internal.outer_role());
	EXCEPTION WHEN unique_violation THEN
		RAISE EXCEPTION USING ERRCODE = 'object_in_use',
			MESSAGE = 'the vault is being rotated already',
			HINT = 'theazo.vault_rotations shows how far it is.';
	END;
	PERFORM theazo_internal.event_write(v_here, 'control', 'vault_rotation_started',
		jsonb_build_object('rotation', v_id, 'key', v_current), NULL, NULL, NULL, 'live');
	PERFORM theazo_internal.wake_keeper();
	SELECT * INTO STRICT result FROM theazo.vault_rotations v WHERE v.id = v_id;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.vault_rotate(integer) IS
'operator: seals every value anew under the current master key, a batch a transaction, while everything runs; theazo.vault_rotations shows how far';

CREATE OR REPLACE FUNCTION theazo.vault_forget(key_id text)
RETURNS theazo.vault_keys LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_here	text := theazo_internal.operator_platform();
	k		theazo.vault_keys;
BEGIN
	PERFORM theazo_internal.enter_operator();
	SELECT * INTO k FROM theazo.vault_keys v WHERE v.id = key_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('master key', key_id);
	ELSIF k.loaded THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103',
			MESSAGE = format('master key "%s" is not lost', key_id),
			DETAIL = 'This server holds it.',
			HINT = 'Seal everything anew with theazo.vault_rotate(); then the old key can be removed.';
	END IF;
	-- A key that stands on rows and was never recorded has no check value to keep.
	INSERT INTO theazo_data.master_key AS m (platform_id, id, salt, check_value, retired_at, lost)
	VALUES (v_here, key_id, '', '', clock_timestamp(), true)
	ON CONFLICT ON CONSTRAINT master_key_pkey DO UPDATE SET retired_at = coalesce(m.retired_at, clock_timestamp()), lost = true;
	-- Copies kept to mask what sandboxes print: nothing opens them any more.
	DELETE FROM theazo_data.secret_delivered d WHERE d.master_key_id = key_id;
	PERFORM theazo_internal.event_write(v_here, 'control', 'vault_key_forgotten',
		jsonb_build_object('key', key_id, 'secrets', k.secrets), NULL, NULL, NULL, 'live');
	PERFORM theazo_internal.wake_keeper();
	SELECT * INTO STRICT k FROM theazo.vault_keys v WHERE v.id = key_id;
	RETURN k;
END $$;
COMMENT ON FUNCTION theazo.vault_forget(text) IS
'operator: gives up a master key that is lost for ever; names of its secrets stay, their values must be set again';

-- ---------------------------------------------------------------------------------------
-- the keeper's part

-- Why nothing can be sealed anew now; null when it can.
CREATE OR REPLACE FUNCTION theazo_internal.vault_rotation_obstacle(p_target text)
RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_missing text;
BEGIN
	SELECT k INTO v_missing FROM unnest(theazo_internal.vault_keys_to_leave(p_target) || p_target) k
	 WHERE NOT theazo_internal.master_key_loaded(k)
	   -- what stands on a row and was never a key of this vault is a failure of that row
	   AND EXISTS (SELECT FROM theazo_data.master_key m WHERE m.platform_id = theazo_internal.operator_platform() AND m.id = k)
	 ORDER BY k = p_target DESC, k LIMIT 1;
	IF FOUND THEN
		RETURN format('master key "%s" is missing', v_missing);
	ELSIF NOT EXISTS (SELECT FROM theazo_internal.master_keys() m WHERE m.current AND m.id = p_target) THEN
		RETURN format('master key "%s" is not the current one', p_target);
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.vault_rotation_obstacle(text) IS 'why a rotation to this master key cannot go on; null when it can';

-- The next batch behind where the last one ended; changes r, which the caller stores.
CREATE OR REPLACE FUNCTION theazo_internal.vault_rotation_batch(INOUT r theazo_data.vault_rotation)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_leave	text[] := theazo_internal.vault_keys_to_leave(r.master_key_id);
	v_at	text[] := coalesce(r.reached, ARRAY['secret', '', '', '']);
	v_n		integer := 0;
	s		record;
	box		record;
BEGIN
	IF v_at[1] = 'secret' THEN
		FOR s IN
			SELECT x.platform_id, x.session_id, x.name, x.version, x.master_key_id, x.salt, x.sealed, coalesce(p.vault_salt, '') AS vault_salt
			  FROM theazo_data.secret x JOIN theazo_data.platform p ON p.platform_id = x.platform_id
			 WHERE (x.platform_id, x.session_id, x.name) > (v_at[2], v_at[3], v_at[4]) AND x.master_key_id = ANY (v_leave)
			 ORDER BY x.platform_id, x.session_id, x.name LIMIT r.batch FOR UPDATE OF x SKIP LOCKED
		LOOP
			v_n := v_n + 1;
			v_at := ARRAY['secret', s.platform_id, s.session_id, s.name];
			box := theazo_internal.secret_reseal(s.platform_id, s.session_id, s.name, s.version, s.vault_salt, s.master_key_id, s.salt, s.sealed, r.master_key_id);
			IF box.fault IS NULL THEN
				UPDATE theazo_data.secret x SET master_key_id = r.master_key_id, salt = box.new_salt, sealed = box.new_sealed
				 WHERE x.platform_id = s.platform_id AND x.session_id = s.session_id AND x.name = s.name;
				r.pass_done := r.pass_done + 1;
			ELSE
				r := theazo_internal.vault_rotation_failure(r, jsonb_build_object(
					'platform', s.platform_id, 'session', nullif(s.session_id, ''), 'name', s.name, 'version', s.version, 'reason', box.fault));
			END IF;
		END LOOP;
		r.reached := CASE WHEN v_n < r.batch THEN ARRAY['delivered', '', '', '', '', '0'] ELSE v_at END;
	ELSIF v_at[1] = 'delivered' THEN
		FOR s IN
			SELECT x.platform_id, x.sandbox_id, x.session_id, x.name, x.version, x.master_key_id, x.salt, x.sealed, coalesce(p.vault_salt, '') AS vault_salt
			  FROM theazo_data.secret_delivered x JOIN theazo_data.platform p ON p.platform_id = x.platform_id
			 WHERE (x.platform_id, x.sandbox_id, x.session_id, x.name, x.version) > (v_at[2], v_at[3], v_at[4], v_at[5], v_at[6]::integer)
			   AND x.master_key_id = ANY (v_leave)
			 ORDER BY x.platform_id, x.sandbox_id, x.session_id, x.name, x.version LIMIT r.batch FOR UPDATE OF x SKIP LOCKED
		LOOP
			v_n := v_n + 1;
			v_at := ARRAY['delivered', s.platform_id, s.sandbox_id, s.session_id, s.name, s.version::text];
			box := theazo_internal.secret_reseal(s.platform_id, s.session_id, s.name, s.version, s.vault_salt, s.master_key_id, s.salt, s.sealed, r.master_key_id);
			IF box.fault IS NULL THEN
				UPDATE theazo_data.secret_delivered x SET master_key_id = r.master_key_id, salt = box.new_salt, sealed = box.new_sealed
				 WHERE x.platform_id = s.platform_id AND x.sandbox_id = s.sandbox_id AND x.session_id = s.session_id AND x.name = s.name AND x.version = s.version;
				r.pass_done := r.pass_done + 1;
			ELSE
				r := theazo_internal.vault_rotation_failure(r, jsonb_build_object(
					'platform', s.platform_id, 'session', nullif(s.session_id, ''), 'name', s.name, 'version', s.version, 'sandbox', s.sandbox_id, 'reason', box.fault));
			END IF;
		END LOOP;
		r.reached := CASE WHEN v_n < r.batch THEN ARRAY['key', '', ''] ELSE v_at END;
	ELSE
		FOR s IN
			SELECT x.platform_id, x.id, x.master_key_id, x.salt, x.sealed, coalesce(p.vault_salt, '') AS vault_salt
			  FROM theazo_data.data_key x JOIN theazo_data.platform p ON p.platform_id = x.platform_id
			 WHERE (x.platform_id, x.id) > (v_at[2], v_at[3]) AND x.master_key_id = ANY (v_leave)
			 ORDER BY x.platform_id, x.id LIMIT r.batch FOR UPDATE OF x SKIP LOCKED
		LOOP
			v_n := v_n + 1;
			v_at := ARRAY['key', s.platform_id, s.id];
			box := theazo_internal.secret_reseal(s.platform_id, '', s.id, 0, s.vault_salt, s.master_key_id, s.salt, s.sealed, r.master_key_id);
			IF box.fault IS NULL THEN
				UPDATE theazo_data.data_key x SET master_key_id = r.master_key_id, salt = box.new_salt, sealed = box.new_sealed
				 WHERE x.platform_id = s.platform_id AND x.id = s.id;
				r.pass_done := r.pass_done + 1;
			ELSE
				r := theazo_internal.vault_rotation_failure(r, jsonb_build_object('platform', s.platform_id, 'key', s.id, 'reason', box.fault));
			END IF;
		END LOOP;
		r.reached := CASE WHEN v_n < r.batch THEN ARRAY['end'] ELSE v_at END;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.vault_rotation_batch(theazo_data.vault_rotation) IS
'seals the next batch of a rotation anew, in workers only; returns the row as it is to be stored';

CREATE OR REPLACE FUNCTION theazo_internal.vault_rotation_failure(r theazo_data.vault_rotation, p_failure jsonb)
RETURNS theazo_data.vault_rotation LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	r.failed := r.failed + 1;
	IF r.failed <= 20 THEN
		r.failures := r.failures || jsonb_strip_nulls(p_failure);
	END IF;
	RETURN r;
END $$;
COMMENT ON FUNCTION theazo_internal.vault_rotation_failure(theazo_data.vault_rotation, jsonb) IS 'counts a value that did not open, and names the first twenty';

-- Transactions of the other workers of this database. One of them may have read a sealed value before it was sealed
-- anew, and store a copy of it after.
CREATE OR REPLACE FUNCTION theazo_internal.vault_worker_transactions()
RETURNS text[] LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(array_agg(l.virtualtransaction ORDER BY l.virtualtransaction), '{}')
	  FROM pg_locks l JOIN theazo_internal.worker_status() w ON w.pid = l.pid
	 WHERE l.locktype = 'virtualxid' AND l.virtualxid = l.virtualtransaction AND l.pid <> pg_backend_pid()
$$;
COMMENT ON FUNCTION theazo_internal.vault_worker_transactions() IS 'transactions that other workers of this database are in';

-- The end of a pass: everything is done, or not; or there has to be another.
CREATE OR REPLACE FUNCTION theazo_internal.vault_rotation_pass_end(INOUT r theazo_data.vault_rotation)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_running	text[] := theazo_internal.vault_worker_transactions();
	v_left		bigint := theazo_internal.vault_remaining(r.master_key_id);
BEGIN
	IF v_left = 0 THEN
		-- Whoever began before everything was sealed anew has to be gone first. Who begins now sees nothing old.
		r.draining := CASE WHEN r.draining IS NULL THEN v_running
						   ELSE ARRAY(SELECT d FROM unnest(r.draining) d WHERE d = ANY (v_running)) END;
		IF r.draining <> '{}' THEN
			r.due_at := clock_timestamp() + '200 milliseconds'::interval;
			RETURN;
		END IF;
		r.state := 'done';
		r.failed := 0;
		r.failures := '[]';
	ELSIF v_left <= r.failed AND r.pass_done = 0 THEN
		r.state := 'incomplete';
	ELSE
		-- Only rows that others hold are left, or some that came by meanwhile.
		IF r.pass_done = 0 THEN
			r.waiting := format('%s values are held by other transactions', v_left - r.failed);
			r.due_at := clock_timestamp() + '1 second'::interval;
		END IF;
		r.pass := r.pass + 1;
		r.pass_done := 0;
		r.failed := 0;
		r.failures := '[]';
		r.reached := NULL;
		r.draining := NULL;
		RETURN;
	END IF;
	r.waiting := NULL;
	r.finished_at := clock_timestamp();
	UPDATE theazo_data.master_key m SET retired_at = clock_timestamp()
	 WHERE m.platform_id = r.platform_id AND m.retired_at IS NULL AND m.id <> r.master_key_id AND NOT theazo_internal.vault_key_is_used(m.id);
	PERFORM theazo_internal.event_write(r.platform_id, 'control', 'vault_rotation_finished',
		jsonb_build_object('rotation', r.id, 'key', r.master_key_id, 'state', r.state, 'done', r.done, 'failed', r.failed), NULL, NULL, NULL, 'live');
END $$;
COMMENT ON FUNCTION theazo_internal.vault_rotation_pass_end(theazo_data.vault_rotation) IS
'what follows a pass of a rotation over all rows; retires master keys that nothing is sealed under any more';

-- Below zero: it did something that must not be lost, and may have more to do at once.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_rotate()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r			theazo_data.vault_rotation;
	v_before	bigint;
	v_why		text;
BEGIN
	SELECT * INTO r FROM theazo_data.vault_rotation t
	 WHERE t.platform_id = theazo_internal.operator_platform() AND t.state = 'running' FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		PERFORM theazo_internal.master_keys_return();
		RETURN 0;
	ELSIF r.due_at > clock_timestamp() THEN
		RETURN 0;
	END IF;
	v_why := theazo_internal.vault_rotation_obstacle(r.master_key_id);
	IF v_why IS NOT NULL THEN
		IF r.waiting IS DISTINCT FROM v_why THEN
			RAISE LOG 'theazo keeper: rotation % of the vault waits: %', r.id, v_why;
		END IF;
		UPDATE theazo_data.vault_rotation t SET waiting = v_why, due_at = clock_timestamp() + '10 seconds'::interval, updated_at = clock_timestamp()
		 WHERE t.platform_id = r.platform_id AND t.id = r.id;
		RETURN 0;
	END IF;
	r.waiting := NULL;
	IF r.reached[1] = 'end' THEN
		r := theazo_internal.vault_rotation_pass_end(r);
	ELSE
		v_before := r.pass_done;
		r := theazo_internal.vault_rotation_batch(r);
		r.done := r.done + r.pass_done - v_before;
	END IF;
	UPDATE theazo_data.vault_rotation t
	   SET state = r.state, done = r.done, failed = r.failed, failures = r.failures, pass = r.pass, pass_done = r.pass_done, reached = r.reached,
		   draining = r.draining, waiting = r.waiting, due_at = r.due_at, updated_at = clock_timestamp(), finished_at = r.finished_at
	 WHERE t.platform_id = r.platform_id AND t.id = r.id;
	RETURN -1;
END $$;
COMMENT ON FUNCTION theazo_internal.keeper_rotate() IS
'keeper: the next batch of a rotation of the vault; below zero: to be kept at once, and called again';

-- A retired key can come back into use: it becomes the current one again, a transaction was prepared before, rows are
-- copied in. A lost one can be found. Done here and not by who sets a secret, so that callers never wait for each other.
CREATE OR REPLACE FUNCTION theazo_internal.master_keys_return()
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_here		text := theazo_internal.operator_platform();
	v_current	text;
	v_id		text;
BEGIN
	SELECT k.id INTO v_current FROM theazo_internal.master_keys() k WHERE k.current;
	FOR v_id IN
		UPDATE theazo_data.master_key m SET retired_at = NULL, lost = false
		 WHERE m.platform_id = v_here AND m.retired_at IS NOT NULL
		   AND theazo_internal.vault_key_is_used(m.id) AND (NOT m.lost OR theazo_internal.master_key_loaded(m.id))
		RETURNING m.id
	LOOP
		IF v_id IS DISTINCT FROM v_current THEN
			RAISE LOG 'theazo keeper: master key % is in use again: run theazo.vault_rotate() before it is removed', v_id;
		END IF;
	END LOOP;
	-- A new key is recorded before the first secret needs it; in an empty vault the first secret does it, because a
	-- restore may be about to fill the table.
	IF v_current IS NOT NULL
		AND EXISTS (SELECT FROM theazo_data.master_key m WHERE m.platform_id = v_here)
		AND NOT EXISTS (SELECT FROM theazo_data.master_key m WHERE m.platform_id = v_here AND m.id = v_current)
		AND NOT EXISTS (SELECT FROM theazo_data.master_key m WHERE m.platform_id = v_here AND NOT m.lost
						   AND NOT theazo_internal.master_key_loaded(m.id) AND theazo_internal.vault_key_is_used(m.id)) THEN
		PERFORM theazo_internal.master_key_record(v_current);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.master_keys_return() IS
'takes retired master keys that are used again, and lost ones that were found, back into use; records a new one';

-- When the keeper should come for a rotation; null: there is none.
CREATE OR REPLACE FUNCTION theazo_internal.vault_rotation_due()
RETURNS timestamptz LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT r.due_at FROM theazo_data.vault_rotation r
	 WHERE r.platform_id = theazo_internal.operator_platform() AND r.state = 'running'
$$;
COMMENT ON FUNCTION theazo_internal.vault_rotation_due() IS 'when a running rotation of the vault goes on';
