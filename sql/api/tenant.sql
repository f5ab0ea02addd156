-- tenant.sql: platforms, their keys and roles, and the ways to say who asks.
--
-- Rows of another platform than the caller's (an operator's work, a key looked up by its
-- hash) are touched only by the definer functions of theazo_system in this file.

-- What backends remember: who is bound to which platform, and platforms.
CREATE OR REPLACE TRIGGER platform_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.platform
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
CREATE OR REPLACE TRIGGER platform_role_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.platform_role
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
ALTER TABLE theazo_data.platform ENABLE ALWAYS TRIGGER platform_memo;
ALTER TABLE theazo_data.platform_role ENABLE ALWAYS TRIGGER platform_role_memo;

CREATE OR REPLACE VIEW theazo.platforms WITH (security_barrier) AS
SELECT p.platform_id AS id, p.name, p.compute_mode, p.primitives_enabled, p.plan, p.state, p.metadata,
	   p.allow_private, p.allow_http, p.secret_delivery, p.created_at
  FROM theazo_data.platform p
 WHERE (SELECT theazo_internal.may_read('platform:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.platforms IS 'the caller''s platform';

CREATE OR REPLACE VIEW theazo.api_keys WITH (security_barrier) AS
SELECT k.platform_id, k.id, k.name, k.environment, k.kind, k.prefix, k.scopes, k.created_at, k.expires_at,
	   k.revoked_at, k.rotated_to, k.last_used_at, k.made_by, k.session_id
  FROM theazo_data.api_key k
 WHERE (SELECT theazo_internal.may_read('key:read'));
COMMENT ON VIEW theazo.api_keys IS 'the platform''s API keys and tokens of sessions; the key itself is shown once, when it is made';

CREATE OR REPLACE VIEW theazo.operator_platforms WITH (security_barrier) AS
SELECT p.platform_id AS id, p.name, p.compute_mode, p.primitives_enabled, p.plan, p.state, p.metadata,
	   p.allow_private, p.allow_http, p.secret_delivery, p.created_at
  FROM theazo_data.platform p
 WHERE p.state <> 'reserved';
COMMENT ON VIEW theazo.operator_platforms IS 'every platform, for the operator';

CREATE OR REPLACE VIEW theazo.operator_platform_roles WITH (security_barrier) AS
SELECT r.platform_id, r.role_name, r.scopes, r.environment, r.created_at
  FROM theazo_data.platform_role r;
COMMENT ON VIEW theazo.operator_platform_roles IS 'database roles bound to platforms, for the operator';

-- ---------------------------------------------------------------------------------------
-- platforms

CREATE OR REPLACE FUNCTION theazo_internal.platform_insert(p_name text, p_compute_mode text, p_primitives_enabled boolean, p_metadata jsonb)
RETURNS theazo.operator_platforms LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made text := theazo_internal.id_new('plt');
	result theazo.operator_platforms;
BEGIN
	INSERT INTO theazo_data.platform (platform_id, name, compute_mode, primitives_enabled, metadata, vault_salt)
	VALUES (made, p_name, p_compute_mode, p_primitives_enabled, p_metadata, theazo_internal.random_bytes(32));
	PERFORM theazo_internal.event_write(made, 'control', 'platform_created',
		pg_catalog.jsonb_build_object('name', p_name, 'computeMode', p_compute_mode, 'primitivesEnabled', p_primitives_enabled),
		NULL, NULL, NULL, 'live');
	SELECT * INTO STRICT result FROM theazo.operator_platforms p WHERE p.id = made;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.platform_insert(text, text, boolean, jsonb) IS
'makes a platform; the caller has checked who asks';

CREATE OR REPLACE FUNCTION theazo.platform_create(
	name text, compute_mode text DEFAULT 'managed', primitives_enabled boolean DEFAULT true, metadata jsonb DEFAULT '{}')
RETURNS theazo.operator_platforms LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.name_check('name', name, 200);
	PERFORM theazo_internal.one_of('compute_mode', compute_mode, 'managed', 'byoi');
	IF primitives_enabled IS NULL THEN
		PERFORM theazo_internal.raise_value('primitives_enabled', 'must be true or false');
	END IF;
	RETURN theazo_internal.platform_insert(name, compute_mode, primitives_enabled,
		theazo_internal.metadata_check('metadata', metadata));
END $$;
COMMENT ON FUNCTION theazo.platform_create(text, text, boolean, jsonb) IS
'makes a platform (operator); its first key comes from api_key_create(..., platform => id)';

CREATE OR REPLACE FUNCTION theazo.platform_get(api_key text DEFAULT NULL)
RETURNS theazo.platforms LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.platforms;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'platform:read');
	PERFORM theazo_internal.refuse_narrowed('the platform');
	SELECT * INTO STRICT result FROM theazo.platforms;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.platform_get(text) IS 'the caller''s platform';

CREATE OR REPLACE FUNCTION theazo.platform_update(
	name text DEFAULT NULL, compute_mode text DEFAULT NULL, primitives_enabled boolean DEFAULT NULL,
	metadata jsonb DEFAULT NULL, secret_delivery text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.platforms LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was theazo_data.platform;
	result theazo.platforms;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'platform:write');
	PERFORM theazo_internal.refuse_narrowed('the platform');
	IF theazo_internal.current_environment() <> 'live' THEN
		PERFORM theazo_internal.raise_scope('a test key cannot change the platform', 'test_key', 'Use a live key.');
	END IF;
	SELECT * INTO STRICT was FROM theazo_data.platform p FOR UPDATE;
	IF name IS NOT NULL THEN
		PERFORM theazo_internal.name_check('name', name, 200);
	END IF;
	IF compute_mode IS NOT NULL THEN
		PERFORM theazo_internal.one_of('compute_mode', compute_mode, 'managed', 'byoi');
	END IF;
	IF secret_delivery IS NOT NULL THEN
		PERFORM theazo_internal.one_of('secret_delivery', secret_delivery, 'env', 'brokered');
	END IF;
	UPDATE theazo_data.platform p
	   SET name = coalesce(platform_update.name, p.name),
		   compute_mode = coalesce(platform_update.compute_mode, p.compute_mode),
		   primitives_enabled = coalesce(platform_update.primitives_enabled, p.primitives_enabled),
		   secret_delivery = coalesce(platform_update.secret_delivery, p.secret_delivery),
		   metadata = CASE WHEN platform_update.metadata IS NULL THEN p.metadata
						   ELSE theazo_internal.metadata_check('metadata', platform_update.metadata) END
	 WHERE p.platform_id = was.platform_id;
	SELECT * INTO STRICT result FROM theazo.platforms;
	PERFORM theazo_internal.event_write(was.platform_id, 'control', 'platform_updated',
		pg_catalog.jsonb_build_object('name', result.name, 'computeMode', result.compute_mode,
			'primitivesEnabled', result.primitives_enabled, 'secretDelivery', result.secret_delivery,
			'was', pg_catalog.jsonb_build_object('name', was.name, 'computeMode', was.compute_mode,
				'primitivesEnabled', was.primitives_enabled, 'secretDelivery', was.secret_delivery)),
		NULL, NULL, NULL, 'live');
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.platform_update(text, text, boolean, jsonb, text, text) IS
'changes the knobs of the caller''s platform; what is not given stays';

CREATE OR REPLACE FUNCTION theazo_internal.platform_egress_set(p_platform text, p_private boolean, p_http boolean)
RETURNS theazo.operator_platforms LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.operator_platforms;
BEGIN
	UPDATE theazo_data.platform p
	   SET allow_private = coalesce(p_private, p.allow_private), allow_http = coalesce(p_http, p.allow_http)
	 WHERE p.platform_id = p_platform AND p.state <> 'reserved';
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('platform', p_platform);
	END IF;
	SELECT * INTO STRICT result FROM theazo.operator_platforms p WHERE p.id = p_platform;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'platform_egress_changed',
		pg_catalog.jsonb_build_object('allowPrivate', result.allow_private, 'allowHttp', result.allow_http),
		NULL, NULL, NULL, 'live');
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.platform_egress_set(text, boolean, boolean) IS
'sets a platform''s egress exceptions; the caller has checked who asks';

CREATE OR REPLACE FUNCTION theazo.platform_allow_egress(
	platform text, allow_private boolean DEFAULT NULL, allow_http boolean DEFAULT NULL)
RETURNS theazo.operator_platforms LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	RETURN theazo_internal.platform_egress_set(platform, allow_private, allow_http);
END $$;
COMMENT ON FUNCTION theazo.platform_allow_egress(text, boolean, boolean) IS
'lets one platform''s endpoints be private addresses or plain http (operator); null leaves a flag as it is';

-- ---------------------------------------------------------------------------------------
-- scopes

CREATE OR REPLACE FUNCTION theazo_internal.scopes_check(p_scopes text[])
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	s text;
BEGIN
	IF p_scopes IS NULL OR pg_catalog.cardinality(p_scopes) NOT BETWEEN 1 AND 50 THEN
		PERFORM theazo_internal.raise_value('scopes', 'must name 1 to 50 scopes', 'Use {*} for all of them.');
	END IF;
	FOREACH s IN ARRAY p_scopes LOOP
		IF s IS NULL OR NOT (s = '*' OR s OPERATOR(pg_catalog.~)
			'^(agent|approval|definition|event|file|halt|key|limit|log|permission|platform|provider|run|schedule|secret|session|tool|trigger|usage|webhook):(read|write|\*)$') THEN
			PERFORM theazo_internal.raise_value('scopes', pg_catalog.format('has no scope %s', theazo_internal.quoted(s)),
				'A scope is *, or area:read, area:write, area:* with an area of agent, approval, definition, event, file, halt, key, limit, log, permission, platform, provider, run, schedule, secret, session, tool, trigger, usage, webhook.');
		END IF;
	END LOOP;
	RETURN ARRAY(SELECT DISTINCT u COLLATE "C" FROM pg_catalog.unnest(p_scopes) u ORDER BY 1);
END $$;
COMMENT ON FUNCTION theazo_internal.scopes_check(text[]) IS
'scopes of a key or role: known, bounded, each once';

-- ---------------------------------------------------------------------------------------
-- roles

CREATE OR REPLACE FUNCTION theazo_internal.platform_role_set(p_platform text, p_role name, p_scopes text[], p_environment text)
RETURNS theazo.operator_platform_roles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.operator_platform_roles;
BEGIN
	PERFORM 1 FROM theazo_data.platform p WHERE p.platform_id = p_platform AND p.state = 'active' FOR SHARE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('platform', p_platform);
	END IF;
	-- a role stands for one platform; two binders at once must see each other
	LOCK TABLE theazo_data.platform_role IN SHARE ROW EXCLUSIVE MODE;
	PERFORM 1 FROM theazo_data.platform_role r WHERE r.role_name = p_role AND r.platform_id <> p_platform;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
			MESSAGE = pg_catalog.format('role %s is bound to another platform', theazo_internal.quoted(p_role)),
			HINT = 'Unbind it there with theazo.platform_unbind_role(), or use a role per platform.';
	END IF;
	UPDATE theazo_data.platform_role r SET scopes = p_scopes, environment = p_environment
	 WHERE r.platform_id = p_platform AND r.role_name = p_role;
	IF NOT FOUND THEN
		INSERT INTO theazo_data.platform_role (platform_id, role_name, scopes, environment)
		VALUES (p_platform, p_role, p_scopes, p_environment);
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'platform_role_bound',
		pg_catalog.jsonb_build_object('role', p_role, 'scopes', p_scopes, 'environment', p_environment),
		NULL, NULL, NULL, p_environment);
	SELECT * INTO STRICT result FROM theazo.operator_platform_roles r WHERE r.platform_id = p_platform AND r.role_name = p_role;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.platform_role_set(text, name, text[], text) IS
'binds a role; the caller has checked who asks';

CREATE OR REPLACE FUNCTION theazo.platform_bind_role(
	platform text, role name, scopes text[] DEFAULT '{*}', environment text DEFAULT 'live')
RETURNS theazo.operator_platform_roles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_role pg_catalog.pg_roles;
	result theazo.operator_platform_roles;
BEGIN
	PERFORM theazo_internal.enter_operator();
	scopes := theazo_internal.scopes_check(scopes);
	PERFORM theazo_internal.one_of('environment', environment, 'live', 'test');
	SELECT * INTO found_role FROM pg_catalog.pg_roles r WHERE r.rolname = platform_bind_role.role;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object',
			MESSAGE = pg_catalog.format('role %s does not exist', theazo_internal.quoted(role)),
			HINT = 'Make it with CREATE ROLE first.';
	ELSIF found_role.rolsuper OR found_role.rolbypassrls OR role::text LIKE 'theazo\_%' OR role::text LIKE 'pg\_%' THEN
		PERFORM theazo_internal.raise_value('role', pg_catalog.format('%s cannot stand for a platform', theazo_internal.quoted(role)),
			'Use an ordinary role of the platform''s own: no superuser, no BYPASSRLS, none of theazo''s.');
	END IF;
	result := theazo_internal.platform_role_set(platform, role, scopes, environment);
	IF NOT pg_catalog.pg_has_role(role, 'theazo_app', 'USAGE') AND NOT pg_catalog.pg_has_role(role, 'theazo_auditor', 'USAGE') THEN
		RAISE NOTICE USING
			MESSAGE = pg_catalog.format('role %s may not call theazo yet', theazo_internal.quoted(role)),
			HINT = pg_catalog.format('GRANT theazo_app TO %I;', role);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.platform_bind_role(text, name, text[], text) IS
'lets a database role act for a platform (operator); direct only, memberships do not carry it';

CREATE OR REPLACE FUNCTION theazo_internal.platform_role_delete(p_platform text, p_role name)
RETURNS theazo.operator_platform_roles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.operator_platform_roles;
BEGIN
	DELETE FROM theazo_data.platform_role r WHERE r.platform_id = p_platform AND r.role_name = p_role
	RETURNING r.platform_id, r.role_name, r.scopes, r.environment, r.created_at INTO result;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('role binding', p_role);
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'platform_role_unbound',
		pg_catalog.jsonb_build_object('role', p_role), NULL, NULL, NULL, result.environment);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.platform_role_delete(text, name) IS
'unbinds a role; the caller has checked who asks';

CREATE OR REPLACE FUNCTION theazo.platform_unbind_role(platform text, role name)
RETURNS theazo.operator_platform_roles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	RETURN theazo_internal.platform_role_delete(platform, role);
END $$;
COMMENT ON FUNCTION theazo.platform_unbind_role(text, name) IS
'ends what platform_bind_role began (operator)';

-- ---------------------------------------------------------------------------------------
-- keys

CREATE OR REPLACE FUNCTION theazo_internal.api_key_insert(
	p_platform text, p_name text, p_environment text, p_kind text, p_scopes text[], p_expires_at timestamptz,
	p_session text DEFAULT NULL, OUT id theazo.id, OUT key text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made record;
BEGIN
	PERFORM 1 FROM theazo_data.platform p WHERE p.platform_id = p_platform AND p.state = 'active' FOR SHARE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('platform', p_platform);
	END IF;
	IF (SELECT pg_catalog.count(*) FROM theazo_data.api_key k
		 WHERE k.platform_id = p_platform AND k.revoked_at IS NULL AND k.session_id IS NOT DISTINCT FROM p_session
		   AND (k.expires_at IS NULL OR k.expires_at > pg_catalog.now())) >= (CASE WHEN p_session IS NULL THEN 1000 ELSE 100 END) THEN
		PERFORM theazo_internal.raise_ceiling(CASE WHEN p_session IS NULL THEN 'valid API keys' ELSE 'valid tokens of the session' END,
			CASE WHEN p_session IS NULL THEN 1000 ELSE 100 END, 'Revoke those that are not used; see view theazo.api_keys.');
	END IF;
	made := theazo_internal.api_key_make(p_kind);
	id := theazo_internal.id_new('key');
	key := made.key;
	INSERT INTO theazo_data.api_key (platform_id, id, name, environment, kind, prefix, key_hash, scopes, expires_at, session_id, made_by)
	VALUES (p_platform, api_key_insert.id, p_name, p_environment, p_kind, made.prefix, made.hash, p_scopes, p_expires_at, p_session,
			CASE WHEN theazo_internal.current_actor_kind() IN ('key', 'role') AND theazo_internal.current_platform() = p_platform
				 THEN theazo_internal.current_actor_kind() || ':' || theazo_internal.current_actor() END);
	PERFORM theazo_internal.event_write(p_platform, 'control', 'key_created',
		pg_catalog.jsonb_build_object('keyId', id, 'name', p_name, 'kind', p_kind, 'scopes', p_scopes,
			'expiresAt', p_expires_at), p_session, NULL, NULL, p_environment);
END $$;
COMMENT ON FUNCTION theazo_internal.api_key_insert(text, text, text, text, text[], timestamptz, text) IS
'makes a key of any platform, or a token of one of its sessions; the caller has checked who asks';

CREATE OR REPLACE FUNCTION theazo.api_key_create(
	name text, environment text DEFAULT 'live', scopes text[] DEFAULT '{*}', expires_at timestamptz DEFAULT NULL,
	platform text DEFAULT NULL, kind text DEFAULT NULL, api_key text DEFAULT NULL,
	OUT id theazo.id, OUT key text, OUT prefix text, OUT created_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target text;
BEGIN
	IF platform IS NULL THEN
		PERFORM theazo_internal.enter(api_key, 'key:write');
		PERFORM theazo_internal.refuse_narrowed('a key');
		target := theazo_internal.current_platform();
	ELSE
		PERFORM theazo_internal.enter_operator();
		target := platform;
	END IF;
	PERFORM theazo_internal.name_check('name', name, 200);
	PERFORM theazo_internal.one_of('environment', environment, 'live', 'test');
	scopes := theazo_internal.scopes_check(scopes);
	kind := coalesce(kind, 'th_' || environment);
	PERFORM theazo_internal.one_of('kind', kind, 'th_' || environment, 'tzk');
	IF expires_at <= pg_catalog.now() THEN
		PERFORM theazo_internal.raise_value('expires_at', 'is in the past');
	ELSIF expires_at > pg_catalog.now() + '100 years'::interval THEN
		-- a rotated key lives as long again, which must stay a date
		PERFORM theazo_internal.raise_value('expires_at', 'is more than 100 years ahead', 'Leave it out for a key without an end.');
	END IF;
	IF platform IS NULL THEN
		PERFORM theazo_internal.key_grant_check(environment, scopes);
	END IF;
	SELECT i.id, i.key INTO STRICT api_key_create.id, api_key_create.key
	  FROM theazo_internal.api_key_insert(target, name, environment, kind, scopes, expires_at) i;
	prefix := pg_catalog."left"(key, 12) || '...';
	created_at := pg_catalog.now();
END $$;
COMMENT ON FUNCTION theazo.api_key_create(text, text, text[], timestamptz, text, text, text) IS
'makes an API key and shows it, once; platform is given by an operator only, for a platform''s first key';

CREATE OR REPLACE FUNCTION theazo_internal.key_grant_check(p_environment text, p_scopes text[])
RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
	s text;
BEGIN
	IF theazo_internal.current_environment() <> 'live' AND p_environment <> 'test' THEN
		PERFORM theazo_internal.raise_scope('a test key cannot make or change live keys', 'test_key', 'Use a live key.');
	END IF;
	FOREACH s IN ARRAY p_scopes LOOP
		IF NOT theazo_internal.scope_held(s)
			AND NOT (s LIKE '%:*' AND theazo_internal.scope_held(pg_catalog.replace(s, '*', 'read'))
									AND theazo_internal.scope_held(pg_catalog.replace(s, '*', 'write'))) THEN
			PERFORM theazo_internal.raise_scope(
				pg_catalog.format('scope "%s" cannot be given by one who does not hold it', s), 'scope_missing',
				'Name only scopes that theazo.whoami() shows.');
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo_internal.key_grant_check(text, text[]) IS
'nobody makes a key that can do more than themselves';

-- The row, locked, if the caller may manage it.
CREATE OR REPLACE FUNCTION theazo_internal.api_key_lock(p_id text)
RETURNS theazo_data.api_key LANGUAGE plpgsql AS $$
DECLARE
	result theazo_data.api_key;
BEGIN
	SELECT * INTO result FROM theazo_data.api_key k
	 WHERE k.platform_id = theazo_internal.current_platform() AND k.id = p_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('API key', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.api_key_lock(text) IS 'a key of the caller''s platform, locked';

CREATE OR REPLACE FUNCTION theazo.api_key_rotate(
	key_id text, overlap interval DEFAULT '1 day', api_key text DEFAULT NULL,
	OUT id theazo.id, OUT key text, OUT prefix text, OUT created_at timestamptz, OUT expires_at timestamptz,
	OUT old_id theazo.id, OUT old_expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old theazo_data.api_key;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'key:write');
	PERFORM theazo_internal.refuse_narrowed('a key');
	IF overlap IS NULL OR overlap < '0' OR overlap > '90 days' THEN
		PERFORM theazo_internal.raise_value('overlap', 'must be from 0 to 90 days');
	END IF;
	old := theazo_internal.api_key_lock(key_id);
	PERFORM theazo_internal.key_grant_check(old.environment, old.scopes);
	IF old.session_id IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('key_id', 'is the token of a session', 'Make a new one with theazo.session_token_create().');
	ELSIF old.revoked_at IS NOT NULL THEN
		PERFORM theazo_internal.raise_state('API key', key_id, 'revoked', 'rotate', 'Make a new one with theazo.api_key_create().');
	ELSIF old.expires_at <= pg_catalog.clock_timestamp() THEN
		PERFORM theazo_internal.raise_state('API key', key_id, 'expired', 'rotate', 'Make a new one with theazo.api_key_create().');
	ELSIF old.rotated_to IS NOT NULL THEN
		PERFORM theazo_internal.raise_state('API key', key_id, 'rotated', 'rotate', 'Rotate the key that followed it; see column rotated_to of theazo.api_keys.');
	END IF;
	created_at := pg_catalog.now();
	-- a key with an end is followed by one with the same length of life
	expires_at := pg_catalog.now() + (old.expires_at - old.created_at);
	old_id := old.id;
	old_expires_at := LEAST(old.expires_at, pg_catalog.now() + overlap);
	SELECT i.id, i.key INTO STRICT api_key_rotate.id, api_key_rotate.key
	  FROM theazo_internal.api_key_insert(old.platform_id, old.name, old.environment, old.kind, old.scopes, api_key_rotate.expires_at) i;
	prefix := pg_catalog."left"(key, 12) || '...';
	UPDATE theazo_data.api_key k SET rotated_to = api_key_rotate.id, expires_at = old_expires_at
	 WHERE k.platform_id = old.platform_id AND k.id = old.id;
	PERFORM theazo_internal.event_write(old.platform_id, 'control', 'key_rotated',
		pg_catalog.jsonb_build_object('keyId', old.id, 'rotatedTo', id, 'expiresAt', old_expires_at),
		NULL, NULL, NULL, old.environment);
END $$;
COMMENT ON FUNCTION theazo.api_key_rotate(text, interval, text) IS
'makes the key''s successor, shown once; the old one works on for the overlap';

CREATE OR REPLACE FUNCTION theazo.api_key_revoke(key_id text, api_key text DEFAULT NULL)
RETURNS theazo.api_keys LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old theazo_data.api_key;
	result theazo.api_keys;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'key:write');
	PERFORM theazo_internal.refuse_narrowed('a key');
	old := theazo_internal.api_key_lock(key_id);
	PERFORM theazo_internal.key_grant_check(old.environment, '{}');
	IF old.revoked_at IS NULL THEN
		UPDATE theazo_data.api_key k SET revoked_at = pg_catalog.now()
		 WHERE k.platform_id = old.platform_id AND k.id = old.id;
		PERFORM theazo_internal.event_write(old.platform_id, 'control', 'key_revoked',
			pg_catalog.jsonb_build_object('keyId', old.id), NULL, NULL, NULL, old.environment);
	END IF;
	SELECT * INTO STRICT result FROM theazo.api_keys k WHERE k.platform_id = old.platform_id AND k.id = old.id;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.api_key_revoke(text, text) IS
'a key stops working with the commit; once revoked it stays so';

-- ---------------------------------------------------------------------------------------
-- who asks

-- Looked up by hash: what an index comparison takes tells nothing about a key. The same
-- statement runs for every input; which of the reasons applies is told only for a key that
-- was real. The last use goes to shared memory, so a READ ONLY transaction can authenticate.
CREATE OR REPLACE FUNCTION theazo_internal.key_authenticate(p_key text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k record;
	why text;
BEGIN
	SELECT a.platform_id, a.id, a.environment, a.scopes, a.expires_at, a.revoked_at, p.state, a.session_id, s.user_id, s.status INTO k
	  FROM theazo_data.api_key a JOIN theazo_data.platform p ON p.platform_id = a.platform_id
	  LEFT JOIN theazo_data.session s ON s.platform_id = a.platform_id AND s.id = a.session_id
	 WHERE a.key_hash = pg_catalog.sha256(pg_catalog.convert_to(pg_catalog."left"(p_key, 256), 'UTF8'));
	why := CASE
		WHEN k.id IS NULL THEN 'No key like this exists.'
		WHEN k.revoked_at IS NOT NULL THEN 'The key was revoked.'
		WHEN k.expires_at <= pg_catalog.clock_timestamp() THEN 'The key has expired.'
		WHEN k.state <> 'active' THEN 'The platform is closed.'
		WHEN k.session_id IS NOT NULL AND coalesce(k.status, 'terminated') = 'terminated' THEN 'The session has ended.'
	END;
	IF why IS NOT NULL THEN
		-- Of what was given nothing is kept: it may be a mistyped key of somebody.
		PERFORM theazo_internal.event_refused(k.platform_id, 'permission', 'authentication_failed',
			pg_catalog.jsonb_build_object('code', 'TZ601', 'key_id', k.id), p_environment => k.environment, p_permission => 'denied',
			p_rule => CASE WHEN k.id IS NULL THEN 'key_unknown' WHEN k.revoked_at IS NOT NULL THEN 'key_revoked'
				WHEN k.expires_at <= pg_catalog.clock_timestamp() THEN 'key_expired'
				WHEN k.state <> 'active' THEN 'platform_closed' ELSE 'session_ended' END);
		RAISE EXCEPTION USING
			ERRCODE = 'TZ601',
			MESSAGE = 'the API key is not valid',
			DETAIL = why,
			HINT = 'Make a key with theazo.api_key_create(); it is shown once.';
	END IF;
	PERFORM theazo_internal.identity_set(k.platform_id, k.id, k.environment, k.scopes);
	IF k.session_id IS NOT NULL THEN
		PERFORM theazo_internal.identity_narrow(k.session_id, k.user_id);
	END IF;
	PERFORM theazo_internal.key_touch(k.platform_id, k.id);
END $$;
COMMENT ON FUNCTION theazo_internal.key_authenticate(text) IS
'sets the identity of this transaction from a key; TZ601 for anything that is no valid key';

CREATE OR REPLACE FUNCTION theazo.authenticate(api_key text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(coalesce(api_key, ''), NULL);
END $$;
COMMENT ON FUNCTION theazo.authenticate(text) IS
'says who asks, by API key, until this transaction ends';

CREATE OR REPLACE FUNCTION theazo.whoami(api_key text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, NULL);
	RETURN pg_catalog.jsonb_build_object(
		'platform', theazo_internal.current_platform(),
		'environment', theazo_internal.current_environment(),
		'scopes', theazo_internal.current_scopes(),
		'session', theazo_internal.current_session(),
		'actor_kind', theazo_internal.current_actor_kind(),
		'actor', theazo_internal.current_actor());
END $$;
COMMENT ON FUNCTION theazo.whoami(text) IS
'who asks: platform, environment, scopes, session and actor';
