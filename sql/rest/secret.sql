-- secret.sql: names of secrets as REST shows them. Values go in and never come out.

CREATE OR REPLACE FUNCTION theazo_internal.rest_secret_names(p_session text, a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	names boolean := theazo_internal.rest_one_of(a, 'format', false, 'names') IS NOT NULL;
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(CASE WHEN names THEN pg_catalog.to_jsonb(s.name)
				ELSE pg_catalog.jsonb_build_object('name', s.name, 'createdAt', theazo_internal.rest_at(s.created_at))
					 || CASE WHEN p_session IS NULL THEN pg_catalog.jsonb_build_object('updatedAt', theazo_internal.rest_at(s.updated_at)) ELSE '{}'::jsonb END END
				ORDER BY s.created_at DESC, s.name COLLATE "C"), '[]')
			  FROM theazo.secret_list(p_session) s);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_secret_names(text, jsonb) IS
'names of the secrets of a session, or of the platform';

CREATE OR REPLACE FUNCTION theazo_internal.rest_secrets_store(p_session text, p_secrets jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k text;
BEGIN
	IF p_secrets IS NULL OR p_secrets = '{}' THEN
		PERFORM theazo_internal.rest_bad('body', 'must be an object of names and values');
	END IF;
	SELECT e.name INTO k FROM pg_catalog.jsonb_object_keys(p_secrets) e (name)
	 WHERE pg_catalog.jsonb_typeof(p_secrets -> e.name) <> 'string' ORDER BY e.name COLLATE "C" LIMIT 1;
	IF FOUND THEN
		-- a name that is none may be a value in the wrong place
		PERFORM theazo_internal.rest_bad(CASE WHEN k OPERATOR(pg_catalog.~) '^[A-Za-z0-9_. -]{1,128}$' THEN k ELSE 'name' END, 'must be a string');
	END IF;
	PERFORM theazo.secrets_set(p_secrets, p_session);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_secrets_store(text, jsonb) IS
'stores an object of names and values';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_secrets_set(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.rest_secrets_store(a ->> 'id', a -> '$body');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_secrets_set(jsonb) IS
'POST /v1/sessions/:id/secrets';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_secret_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_secret_names(a ->> 'id', a);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_secret_list(jsonb) IS
'GET /v1/sessions/:id/secrets';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_secret_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.secret_delete(a ->> 'name', a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_secret_delete(jsonb) IS
'DELETE /v1/sessions/:id/secrets/:name';

CREATE OR REPLACE FUNCTION theazo_internal.rest_secrets_set(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.rest_secrets_store(NULL, a -> '$body');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_secrets_set(jsonb) IS
'POST /v1/secrets';

CREATE OR REPLACE FUNCTION theazo_internal.rest_secret_set(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	s theazo.secrets := theazo.secret_set(a ->> 'name', theazo_internal.rest_text(a, 'value', true));
BEGIN
	RETURN pg_catalog.jsonb_build_object('name', s.name, 'createdAt', theazo_internal.rest_at(s.created_at), 'updatedAt', theazo_internal.rest_at(s.updated_at));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_secret_set(jsonb) IS
'PUT /v1/secrets/:name';

CREATE OR REPLACE FUNCTION theazo_internal.rest_secret_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_secret_names(NULL, a);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_secret_list(jsonb) IS
'GET /v1/secrets';

CREATE OR REPLACE FUNCTION theazo_internal.rest_secret_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.secret_delete(a ->> 'name');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_secret_delete(jsonb) IS
'DELETE /v1/secrets/:name';
