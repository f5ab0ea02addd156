-- trigger.sql: work that begins when another system says so: it signs what it sends with the trigger's secret.

CREATE OR REPLACE VIEW theazo.triggers WITH (security_barrier) AS
SELECT t.platform_id, t.id, t.environment, t.name, t.target, t.agent, t.user_id, t.secret_hint AS secret, t.max_cost, t.timeout_ms, t.fires,
	   t.last_at AS last_fired_at, t.created_at
  FROM theazo_data.trigger t
 WHERE (SELECT theazo_internal.may_read('trigger:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.triggers IS
'work that begins when another system says so; secret is shown whole once, by theazo.trigger_create(), later only its beginning';

CREATE OR REPLACE FUNCTION theazo_internal.trigger_signed(p_platform text, p_key text, p_body bytea, p_signature text)
RETURNS boolean LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_trigger_signed';
COMMENT ON FUNCTION theazo_internal.trigger_signed(text, text, bytea, text) IS
'was this body signed with this key of a trigger: HMAC-SHA-256 in hex, with or without sha256= in front, compared in constant time';

CREATE OR REPLACE FUNCTION theazo_internal.trigger_shown(p_id text)
RETURNS theazo.triggers LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.triggers;
BEGIN
	SELECT * INTO result FROM theazo.triggers t WHERE t.platform_id = theazo_internal.current_platform() AND t.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('trigger', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.trigger_shown(text) IS 'a trigger as the caller may see it, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.trigger_target(t theazo_data.trigger)
RETURNS theazo_internal.fire_target LANGUAGE sql IMMUTABLE
RETURN ROW(t.target, t.agent, t.agent_id, t.user_id, t.max_cost, t.timeout_ms, t.role_name, t.asked_by)::theazo_internal.fire_target;
COMMENT ON FUNCTION theazo_internal.trigger_target(theazo_data.trigger) IS 'what a trigger begins';

CREATE OR REPLACE FUNCTION theazo.trigger_create(
	name text, agent text, user_id text DEFAULT NULL, max_cost numeric DEFAULT NULL, timeout interval DEFAULT NULL, target text DEFAULT NULL,
	api_key text DEFAULT NULL)
RETURNS theazo.triggers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	v_here		text;
	v_env		text;
	v_id		text := theazo_internal.id_new('trg');
	v_key		text := theazo_internal.id_new('trk');
	v_salt		bytea;
	v_secret	text;
	box			record;
	t			theazo_internal.fire_target;
	result		theazo.triggers;
BEGIN
	PERFORM theazo_internal.schedule_enter_write(api_key, 'trigger:write', 'a trigger');
	v_here := theazo_internal.current_platform();
	v_env := theazo_internal.current_environment();
	PERFORM theazo_internal.name_check('name', name, 200);
	t := theazo_internal.fire_target_of(target, agent, user_id, max_cost, timeout);
	IF (SELECT count(*) FROM theazo_data.trigger x WHERE x.platform_id = v_here) >= 1000 THEN
		PERFORM theazo_internal.raise_ceiling('triggers', 1000, 'Delete those that are not used.');
	END IF;
	v_salt := theazo_internal.vault_salt(v_here);
	v_secret := 'trgsec_' || rtrim(translate(encode(theazo_internal.random_bytes(32), 'base64'), '+/', '-_'), '=');
	box := theazo_internal.secret_seal(v_here, '', v_key, 0, v_salt, v_secret);
	INSERT INTO theazo_data.data_key (platform_id, id, environment, master_key_id, salt, sealed)
	VALUES (v_here, v_key, v_env, box.master_key_id, box.salt, box.sealed);
	INSERT INTO theazo_data.trigger (platform_id, id, environment, name, target, agent, agent_id, user_id, max_cost, timeout_ms, role_name, asked_by, key_id, secret_hint)
	VALUES (v_here, v_id, v_env, name, t.kind, t.agent, t.agent_id, t.user_id, t.max_cost, t.timeout_ms, t.role_name, t.asked_by, v_key, left(v_secret, 10) || '…');
	PERFORM theazo_internal.event_write(v_here, 'control', 'trigger_created', jsonb_build_object('trigger', v_id, 'target', t.kind), NULL, t.agent_id, NULL, v_env);
	result := theazo_internal.trigger_shown(v_id);
	result.secret := v_secret;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.trigger_create(text, text, text, numeric, interval, text, text) IS
'has an agent work when another system says so; what that system signs with is shown once, here; agent as for theazo.schedule_create()';

CREATE OR REPLACE FUNCTION theazo.trigger_get(trigger text, api_key text DEFAULT NULL)
RETURNS theazo.triggers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'trigger:read', 'a trigger');
	RETURN theazo_internal.trigger_shown(trigger);
END $$;
COMMENT ON FUNCTION theazo.trigger_get(text, text) IS 'one trigger; of its secret the beginning';

CREATE OR REPLACE FUNCTION theazo.trigger_list(max_rows integer DEFAULT 100, before text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.triggers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'trigger:read', 'the list of triggers');
	IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	END IF;
	RETURN QUERY
	SELECT t.* FROM theazo.triggers t WHERE t.platform_id = theazo_internal.current_platform() AND (before IS NULL OR t.id < before)
	 ORDER BY t.id DESC LIMIT max_rows;
END $$;
COMMENT ON FUNCTION theazo.trigger_list(integer, text, text) IS 'triggers, newest first; before is the last id of the page before';

CREATE OR REPLACE FUNCTION theazo.trigger_delete(trigger text, api_key text DEFAULT NULL)
RETURNS theazo.triggers LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was		theazo_data.trigger;
	result	theazo.triggers;
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'trigger:write', 'a trigger');
	SELECT * INTO was FROM theazo_data.trigger t WHERE t.platform_id = theazo_internal.current_platform() AND t.id = trigger_delete.trigger FOR UPDATE;
	result := theazo_internal.trigger_shown(trigger_delete.trigger);
	DELETE FROM theazo_data.trigger t WHERE t.platform_id = was.platform_id AND t.id = was.id;
	DELETE FROM theazo_data.data_key k WHERE k.platform_id = was.platform_id AND k.id = was.key_id;
	PERFORM theazo_internal.event_write(was.platform_id, 'control', 'trigger_deleted', jsonb_build_object('trigger', was.id), NULL, was.agent_id, NULL, was.environment);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.trigger_delete(text, text) IS 'deletes a trigger and its secret; what runs goes on';

CREATE OR REPLACE FUNCTION theazo.trigger_history(trigger text, max_rows integer DEFAULT 100, before text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.schedule_executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'trigger:read', 'a trigger');
	PERFORM theazo_internal.trigger_shown(trigger);
	RETURN QUERY SELECT e.* FROM theazo_internal.fire_history(trigger, max_rows, before) e;
END $$;
COMMENT ON FUNCTION theazo.trigger_history(text, integer, text, text) IS 'what a trigger has begun, newest first; before is the last id of the page before';

-- ---------------------------------------------------------------------------------------
-- when it is called

-- Whoever calls has no key: the signature says who it is. From here on the platform of the trigger asks.
CREATE OR REPLACE FUNCTION theazo_internal.trigger_admit(p_trigger text, p_body text, p_signature text)
RETURNS theazo_data.trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t theazo_data.trigger;
BEGIN
	PERFORM theazo_internal.enter_check();
	SELECT x.* INTO t FROM theazo_data.trigger x JOIN theazo_data.platform p ON p.platform_id = x.platform_id AND p.state = 'active' WHERE x.id = p_trigger;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('trigger', p_trigger);
	ELSIF octet_length(p_body) > 1048576 THEN
		PERFORM theazo_internal.raise_value('body', 'is larger than 1 MiB', 'Send a reference, and let the agent fetch the rest.');
	ELSIF p_signature IS NULL OR NOT theazo_internal.trigger_signed(t.platform_id, t.key_id, convert_to(coalesce(p_body, ''), 'UTF8'), p_signature) THEN
		PERFORM theazo_internal.event_refused(t.platform_id, 'permission', 'trigger_refused', jsonb_build_object('trigger', t.id, 'code', 'TZ601'),
			p_environment => t.environment, p_rule => CASE WHEN p_signature IS NULL THEN 'signature_missing' ELSE 'signature_wrong' END, p_permission => 'denied');
		RAISE EXCEPTION USING ERRCODE = 'TZ601',
			MESSAGE = CASE WHEN p_signature IS NULL THEN 'the signature is missing' ELSE 'the signature is not right' END,
			HINT = 'Send the HMAC-SHA-256 of the body, to the byte, under the trigger''s secret, in hex, as X-Trigger-Signature.';
	END IF;
	PERFORM theazo_internal.identity_set(t.platform_id, NULL, t.environment, '{run:write,session:write}');
	RETURN t;
END $$;
COMMENT ON FUNCTION theazo_internal.trigger_admit(text, text, text) IS 'the trigger that was called, once the signature is right; sets the identity of this transaction';

-- A JSON object is the input as it is, anything else becomes one.
CREATE OR REPLACE FUNCTION theazo_internal.trigger_input(p_body text)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb;
BEGIN
	BEGIN
		v := p_body::jsonb;
	EXCEPTION WHEN OTHERS THEN
		v := pg_catalog.to_jsonb(p_body);
	END;
	RETURN CASE pg_catalog.jsonb_typeof(v) WHEN 'object' THEN v ELSE pg_catalog.jsonb_build_object('body', coalesce(v, '""')) END;
END $$;
COMMENT ON FUNCTION theazo_internal.trigger_input(text) IS 'the input that the body of a trigger''s call is';

-- What keeps the work from beginning is what became of the call, not an answer to it: whoever calls can do nothing about it.
CREATE OR REPLACE FUNCTION theazo.trigger_fire(trigger text, body text, signature text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t	theazo_data.trigger;
	f	theazo_data.schedule_fire;
BEGIN
	IF signature IS NULL AND (api_key IS NOT NULL OR theazo_internal.current_platform() IS NOT NULL) THEN
		-- by its own platform, to try it
		PERFORM theazo_internal.schedule_enter_write(api_key, 'trigger:write', 'a trigger');
		SELECT * INTO t FROM theazo_data.trigger x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = trigger;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_not_found('trigger', trigger);
		END IF;
	ELSE
		t := theazo_internal.trigger_admit(trigger, body, signature);
		-- its calls count like everybody's
		PERFORM theazo_internal.enter(NULL, 'run:write');
	END IF;
	f := theazo_internal.fire_new(t.platform_id, t.environment, t.id, 'trigger', NULL);
	f.input := theazo_internal.trigger_input(body);
	f := theazo_internal.fire_attempt(f, theazo_internal.trigger_target(t), f.input, false);
	PERFORM theazo_internal.fire_store(f);
	UPDATE theazo_data.trigger x SET fires = x.fires + 1, last_at = f.started_at WHERE x.platform_id = t.platform_id AND x.id = t.id;
	PERFORM theazo_internal.fire_notify(f, t.user_id);
	RETURN f.id;
END $$;
COMMENT ON FUNCTION theazo.trigger_fire(text, text, text, text) IS
'another system calls a trigger: signature is the HMAC-SHA-256 of the body under the trigger''s secret, in hex, sha256= may stand in front, and no key is needed; its own platform needs no signature; returns the execution';

-- A person is erased: nothing begins for them any more, and what others sent for them goes.
CREATE OR REPLACE FUNCTION theazo_internal.schedules_erase(p_platform text, p_environment text, p_user text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_ids text[];
BEGIN
	WITH s AS (DELETE FROM theazo_data.schedule x WHERE x.platform_id = p_platform AND x.environment = p_environment AND x.user_id = p_user RETURNING x.id, NULL::text AS key_id),
		 t AS (DELETE FROM theazo_data.trigger x WHERE x.platform_id = p_platform AND x.environment = p_environment AND x.user_id = p_user RETURNING x.id, x.key_id),
		 k AS (DELETE FROM theazo_data.data_key y USING t WHERE y.platform_id = p_platform AND y.id = t.key_id)
	SELECT array_agg(u.id::text) INTO v_ids FROM (SELECT s.id FROM s UNION ALL SELECT t.id FROM t) u;
	UPDATE theazo_data.schedule_fire f SET input = NULL WHERE f.platform_id = p_platform AND f.source_id = ANY (v_ids) AND f.input IS NOT NULL;
	UPDATE theazo_data.schedule_fire f SET status = 'skipped', error_code = 'schedule_deleted', ended_at = clock_timestamp()
	 WHERE f.platform_id = p_platform AND f.source_id = ANY (v_ids) AND f.status = 'queued';
	RETURN coalesce(cardinality(v_ids), 0);
END $$;
COMMENT ON FUNCTION theazo_internal.schedules_erase(text, text, text) IS 'deletes the schedules and triggers of an end user; returns how many there were';
