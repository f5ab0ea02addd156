-- provider_health.sql: how compute and model providers fare: who keeps failing rests, and is tried with one call before all go again.
--
-- A row is there only after something failed. open_until in the future: it rests. In the past: it is on trial, and the one call that
-- is let through decides. Models have pauses beside it, which a provider asked for itself (model_gate.sql).

-- Hot: what each step calls is no definer function and sets nothing; definer functions call it.

-- Is anything known of how a provider fares? Mostly not: then nothing rests, is paused or waits. Without a statement.
CREATE OR REPLACE FUNCTION theazo_internal.provider_noted(p_platform text, p_kind text, p_name text)
RETURNS boolean LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_provider_noted';
COMMENT ON FUNCTION theazo_internal.provider_noted(text, text, text) IS 'has a provider a row of its health, for whatever model';

-- One at a time. Whoever waits here sees afterwards what the other one has done; nobody waits long for one that was stopped.
CREATE OR REPLACE FUNCTION theazo_internal.provider_lock(p_name text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
BEGIN
	IF NOT theazo_internal.own_lock('provider', p_name, false) THEN
		PERFORM theazo_internal.own_lock('provider', p_name, true);
	END IF;
	RETURN true;
EXCEPTION WHEN lock_not_available THEN
	RETURN false;
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_lock(text) IS 'makes what concerns one gate, or the health of one provider, follow one another; false when another one takes too long';

-- Five failures in a row rest a provider for 5 s, doubling up to 5 minutes; p_rest says how long at once. Many calls are settled in one
-- transaction, in any order, so nothing here waits for long: rather one failure is not counted.
CREATE OR REPLACE FUNCTION theazo_internal.provider_failed(p_owner text, p_kind text, p_name text, p_class text, p_rest interval DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF NOT theazo_internal.provider_lock(format('health %s %s/%s', p_kind, p_owner, p_name)) THEN
		RETURN;
	END IF;
	INSERT INTO theazo_data.provider_health AS h (platform_id, kind, name, failures, open_until, last_error)
	VALUES (p_owner, p_kind, p_name, 1, clock_timestamp() + p_rest, p_class)
	ON CONFLICT ON CONSTRAINT provider_health_pkey DO UPDATE
	   SET failures = h.failures + 1, last_error = p_class, updated_at = clock_timestamp(),
		   open_until = CASE WHEN p_rest IS NOT NULL THEN clock_timestamp() + p_rest
							 WHEN h.failures + 1 >= 5 THEN clock_timestamp() + least(300, 5 * 2 ^ least(h.failures - 4, 10)) * '1 second'::interval
							 ELSE h.open_until END;
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_failed(text, text, text, text, interval) IS 'counts a failure of a provider; the fifth in a row rests it';

-- A pause lasts as long as was said: what answers now was under way before.
CREATE OR REPLACE FUNCTION theazo_internal.provider_well(p_owner text, p_kind text, p_name text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF theazo_internal.provider_noted(p_owner, p_kind, p_name) THEN
		DELETE FROM theazo_data.provider_health h
		 USING (SELECT x.platform_id, x.kind, x.name, x.model FROM theazo_data.provider_health x
				 WHERE x.platform_id = p_owner AND x.kind = p_kind AND x.name = p_name AND (x.model = '' OR x.open_until <= clock_timestamp())
				   FOR UPDATE SKIP LOCKED) x
		 WHERE h.platform_id = x.platform_id AND h.kind = x.kind AND h.name = x.name AND h.model = x.model;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_well(text, text, text) IS 'a provider has answered: its failures are forgotten';

-- Lets one call try a provider whose rest is over; for p_until nobody else does. For a claim only: it holds the row till the end.
CREATE OR REPLACE FUNCTION theazo_internal.provider_trial(p_owner text, p_kind text, p_name text, p_until interval)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Somebody who writes this row has news of it.
	UPDATE theazo_data.provider_health h SET open_until = clock_timestamp() + p_until
	  FROM (SELECT x.platform_id, x.kind, x.name, x.model FROM theazo_data.provider_health x
			 WHERE x.platform_id = p_owner AND x.kind = p_kind AND x.name = p_name AND x.model = '' AND x.open_until <= clock_timestamp()
			   FOR UPDATE SKIP LOCKED) x
	 WHERE h.platform_id = x.platform_id AND h.kind = x.kind AND h.name = x.name AND h.model = x.model;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_trial(text, text, text, interval) IS 'true for the one call that tries a provider after its rest';

-- The entry is another one now: what is known about the old one does not count, and who waits may not have to.
CREATE OR REPLACE FUNCTION theazo_internal.provider_changed(p_platform text, p_kind text, p_name text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM theazo_data.provider_health h WHERE h.platform_id = p_platform AND h.kind = p_kind AND h.name = p_name;
	PERFORM theazo_internal.wake();
END
$$;
COMMENT ON FUNCTION theazo_internal.provider_changed(text, text, text) IS 'forgets the health of a provider that was set anew or deleted';

-- The operator sees all of them: its own have its platform's id. A pause that is over is history.
CREATE OR REPLACE VIEW theazo.operator_provider_health WITH (security_barrier) AS
	SELECT h.platform_id, h.platform_id = theazo_internal.operator_platform() AS managed, h.kind, h.name, h.failures, h.last_error, h.open_until,
		   CASE WHEN h.model <> '' THEN 'paused' WHEN h.open_until > now() THEN 'resting' WHEN h.open_until IS NOT NULL THEN 'on trial' ELSE 'failing' END AS state,
		   h.updated_at, nullif(h.model, '') AS model
	  FROM theazo_data.provider_health h WHERE h.model = '' OR h.open_until > clock_timestamp();
COMMENT ON VIEW theazo.operator_provider_health IS
'operator: compute and model providers of all platforms and managed ones whose last call failed, or that asked for a pause of a model';

CREATE OR REPLACE VIEW theazo.provider_health WITH (security_barrier) AS
	SELECT h.platform_id, h.kind, h.name, h.failures, h.last_error, h.open_until,
		   CASE WHEN h.model <> '' THEN 'paused' WHEN h.open_until > now() THEN 'resting' WHEN h.open_until IS NOT NULL THEN 'on trial' ELSE 'failing' END AS state,
		   h.updated_at, nullif(h.model, '') AS model
	  FROM theazo_data.provider_health h
	 WHERE (SELECT theazo_internal.may_read('provider:read')) AND theazo_internal.current_session() IS NULL
	   AND (h.model = '' OR h.open_until > clock_timestamp());
COMMENT ON VIEW theazo.provider_health IS
'compute and model providers of the platform whose last call failed: failing, resting until a moment, or on trial with one call; and models that a provider asked to leave alone until a moment: paused; no row means all is well';
