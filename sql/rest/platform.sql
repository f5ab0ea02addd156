-- platform.sql: API keys and the platform that asks.

CREATE OR REPLACE FUNCTION theazo_internal.rest_api_key(p_id text, p_name text, p_prefix text, p_environment text, p_created timestamptz, p_used timestamptz)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('id', p_id, 'name', p_name, 'prefix', p_prefix, 'environment', p_environment,
	'createdAt', theazo_internal.rest_at(p_created), 'lastUsedAt', theazo_internal.rest_at(p_used));
COMMENT ON FUNCTION theazo_internal.rest_api_key(text, text, text, text, timestamptz, timestamptz) IS
'an API key without the key itself';

CREATE OR REPLACE FUNCTION theazo_internal.rest_api_key_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_name			text := theazo_internal.rest_text(a, 'name', true, 200);
	v_environment	text := theazo_internal.rest_one_of(a, 'environment', true, 'live', 'test');
	k				record;
BEGIN
	SELECT * INTO STRICT k FROM theazo.api_key_create(v_name, v_environment);
	RETURN theazo_internal.rest_api_key(k.id, v_name, k.prefix, v_environment, k.created_at, NULL)
		|| pg_catalog.jsonb_build_object('key', k.key);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_api_key_create(jsonb) IS
'POST /v1/api-keys: the only answer that shows the key';

-- Tokens of sessions are no keys of the platform, and what has ended is gone.
CREATE OR REPLACE FUNCTION theazo_internal.rest_api_key_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.enter(NULL, 'key:read');
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_api_key(k.id, k.name, k.prefix, k.environment, k.created_at, k.last_used_at)
				ORDER BY k.id DESC), '[]')
			  FROM (SELECT x.id::text COLLATE "C" AS id, x.name, x.prefix, x.environment, x.created_at, x.last_used_at
					  FROM theazo.api_keys x
					 WHERE x.session_id IS NULL AND x.revoked_at IS NULL AND (x.expires_at IS NULL OR x.expires_at > pg_catalog.clock_timestamp())
					 ORDER BY 1 DESC LIMIT 1000) k);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_api_key_list(jsonb) IS
'GET /v1/api-keys: those that work';

CREATE OR REPLACE FUNCTION theazo_internal.rest_api_key_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.api_key_revoke(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_api_key_delete(jsonb) IS
'DELETE /v1/api-keys/:id';

-- ---------------------------------------------------------------------------------------
-- the platform

CREATE OR REPLACE FUNCTION theazo_internal.rest_platform(p theazo.platforms)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN pg_catalog.jsonb_build_object('id', p.id, 'name', p.name, 'computeMode', p.compute_mode,
	'primitivesEnabled', p.primitives_enabled, 'plan', p.plan);
COMMENT ON FUNCTION theazo_internal.rest_platform(theazo.platforms) IS
'the platform';

CREATE OR REPLACE FUNCTION theazo_internal.rest_platform_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_platform(theazo.platform_get());
END $$;
COMMENT ON FUNCTION theazo_internal.rest_platform_get(jsonb) IS
'GET /v1/platform';

CREATE OR REPLACE FUNCTION theazo_internal.rest_platform_update(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_platform(theazo.platform_update(theazo_internal.rest_text(a, 'name'),
		theazo_internal.rest_one_of(a, 'computeMode', false, 'managed', 'byoi'), theazo_internal.rest_bool(a, 'primitivesEnabled')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_platform_update(jsonb) IS
'PATCH /v1/platform';
