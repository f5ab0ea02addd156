-- personal.sql: personal fields of events, sealed under a key of their end user, and their erasure.
--
-- A field of a summary that names a person or repeats what one wrote is not in the event's body. Its
-- commitment is hashed instead, a SHA-256 over a random salt, its name and its value; salt and value stand
-- beside it, sealed under a key of the user. Destroying the key leaves every hash as it was.

-- The key of the user a session belongs to; key_id is null when there is none yet. A user can have several: whoever
-- makes one waits for nobody.
CREATE OR REPLACE FUNCTION theazo_internal.user_key_find(
	p_platform text, p_session text, OUT user_id text, OUT environment text, OUT vault_salt bytea,
	OUT key_id text, OUT master_key_id text, OUT salt bytea, OUT sealed bytea)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	SELECT s.user_id, s.key_environment, p.vault_salt, k.id, k.master_key_id, k.salt, k.sealed
	  INTO user_key_find.user_id, user_key_find.environment, user_key_find.vault_salt, key_id, user_key_find.master_key_id, user_key_find.salt, user_key_find.sealed
	  FROM theazo_data.session s
	  JOIN theazo_data.platform p ON p.platform_id = s.platform_id
	  LEFT JOIN theazo_data.data_key k ON k.platform_id = s.platform_id AND k.user_id = s.user_id AND k.environment = s.key_environment
	 WHERE s.platform_id = p_platform AND s.id = p_session
	 ORDER BY k.id LIMIT 1;
	user_key_find.vault_salt := coalesce(user_key_find.vault_salt, theazo_internal.vault_salt(p_platform));
END
$$;
COMMENT ON FUNCTION theazo_internal.user_key_find(text, text) IS 'the end user of a session, and the key its personal fields are sealed under';

CREATE OR REPLACE FUNCTION theazo_internal.user_key_add(
	p_platform text, p_id text, p_environment text, p_user text, p_master_key_id text, p_salt bytea, p_sealed bytea)
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO theazo_data.data_key (platform_id, id, environment, user_id, master_key_id, salt, sealed)
	VALUES (p_platform, p_id, p_environment, p_user, p_master_key_id, p_salt, p_sealed)
$$;
COMMENT ON FUNCTION theazo_internal.user_key_add(text, text, text, text, text, bytea, bytea) IS 'stores a new key of an end user';

CREATE OR REPLACE FUNCTION theazo_internal.event_personal(p_platform text, p_event text, p_personal text, p_sealed bytea)
RETURNS jsonb LANGUAGE c STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'theazo_event_personal';
COMMENT ON FUNCTION theazo_internal.event_personal(text, text, text, bytea) IS
'personal fields of an event: [erased] once the key is gone, [sealed] while the master key is missing';
