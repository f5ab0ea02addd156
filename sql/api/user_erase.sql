-- user_erase.sql: what events say of a person becomes unreadable; what they prove stays.

-- Keys that a transaction under way makes are not seen here: what it writes is newer than the erasure.
CREATE OR REPLACE FUNCTION theazo.user_erase(user_id text, api_key text DEFAULT NULL)
RETURNS theazo.events
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_platform	text;
	v_keys		text[];
	v_sessions	bigint;
	v_plans		bigint;
	v_event		text;
	result		theazo.events;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:write');
	PERFORM theazo_internal.refuse_narrowed('erasing an end user');
	v_platform := theazo_internal.current_platform();
	SELECT count(*) INTO v_sessions FROM theazo_data.session s WHERE s.platform_id = v_platform AND s.user_id = user_erase.user_id;
	v_keys := theazo_internal.user_keys_destroy(v_platform, theazo_internal.current_environment(), user_erase.user_id);
	v_plans := theazo_internal.schedules_erase(v_platform, theazo_internal.current_environment(), user_erase.user_id);
	IF v_sessions = 0 AND v_keys IS NULL AND v_plans = 0 THEN
		PERFORM theazo_internal.raise_not_found('user', user_erase.user_id);
	END IF;
	v_event := theazo_internal.event_write(v_platform, 'data', 'user_erased',
		jsonb_build_object('keys', coalesce(array_length(v_keys, 1), 0), 'sessions', v_sessions, 'schedules', v_plans, 'first_key', v_keys[1]),
		NULL, NULL, NULL, theazo_internal.current_environment());
	SELECT * INTO STRICT result FROM theazo.events e WHERE e.id = v_event;
	RETURN result;
END
$$;
COMMENT ON FUNCTION theazo.user_erase(text, text) IS
'destroys the keys of an end user: personal fields of its events read as [erased], every hash and proof stays valid; returns the event';

CREATE OR REPLACE FUNCTION theazo_internal.user_keys_destroy(p_platform text, p_environment text, p_user text)
RETURNS text[]
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH gone AS (
		DELETE FROM theazo_data.data_key k
		 WHERE k.platform_id = p_platform AND k.environment = p_environment AND k.user_id = p_user
		RETURNING k.id)
	SELECT array_agg(g.id::text ORDER BY g.id) FROM gone g
$$;
COMMENT ON FUNCTION theazo_internal.user_keys_destroy(text, text, text) IS 'deletes the keys of an end user; returns their ids, null when there was none';
