-- session.sql: sessions, one end user's room: life cycle and limits.
--
-- Locks are taken in one order: the session, then its agents by id.

CREATE OR REPLACE VIEW theazo.sessions WITH (security_barrier) AS
SELECT s.platform_id, s.id, s.user_id, s.status, s.environment, s.key_environment, s.metadata, s.limits,
	   s.compute, s.models, s.created_at, s.paused_at, s.paused_reason, s.terminated_at
  FROM theazo_data.session s
 WHERE (SELECT theazo_internal.may_read('session:read'));
COMMENT ON VIEW theazo.sessions IS 'sessions of the caller''s platform and environment';

CREATE OR REPLACE FUNCTION theazo_internal.session_shown(p_id text)
RETURNS theazo.sessions LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.sessions;
BEGIN
	SELECT * INTO result FROM theazo.sessions s
	 WHERE s.platform_id = theazo_internal.current_platform() AND s.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('session', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.session_shown(text) IS 'a session as the caller may see it, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.session_lock(p_id text)
RETURNS theazo_data.session LANGUAGE plpgsql AS $$
DECLARE
	result theazo_data.session;
BEGIN
	SELECT * INTO result FROM theazo_data.session s
	 WHERE s.platform_id = theazo_internal.current_platform() AND s.id = p_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('session', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.session_lock(text) IS 'a session of the caller, locked for change';

CREATE OR REPLACE FUNCTION theazo_internal.session_open(p_id text)
RETURNS theazo_data.session LANGUAGE plpgsql AS $$
DECLARE
	result theazo_data.session;
BEGIN
	-- shared, so that work starts side by side, and never against a pause or an end
	SELECT * INTO result FROM theazo_data.session s
	 WHERE s.platform_id = theazo_internal.current_platform() AND s.id = p_id FOR SHARE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('session', p_id);
	END IF;
	IF result.status = 'paused' THEN
		-- Where a limit is what paused it, that is what the caller is told.
		PERFORM theazo_internal.budget_check(result.platform_id, result.key_environment, result.id, result.user_id, NULL, false);
	END IF;
	PERFORM theazo_internal.session_open_check(result.id, result.status, result.paused_reason);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.session_open(text) IS
'a session that takes work, locked against pause and end; TZ101 otherwise';

CREATE OR REPLACE FUNCTION theazo_internal.session_open_check(p_id text, p_status text, p_reason text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF p_status <> 'active' THEN
		RAISE EXCEPTION USING
			ERRCODE = 'TZ101',
			MESSAGE = pg_catalog.format('session %s is %s', theazo_internal.quoted(p_id), p_status),
			DETAIL = CASE p_status WHEN 'paused' THEN pg_catalog.format('It was paused by "%s".', p_reason)
								   ELSE 'A terminated session can only be read.' END,
			DATATYPE = p_status,
			HINT = CASE p_status WHEN 'paused' THEN 'Resume it with theazo.session_resume().'
								 ELSE 'Begin a new one with theazo.session_create() or theazo.session_for_user().' END;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.session_open_check(text, text, text) IS 'TZ101 unless the session is active';

CREATE OR REPLACE FUNCTION theazo_internal.session_event(p_session theazo_data.session, p_action text, p_more jsonb DEFAULT '{}')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.event_write(p_session.platform_id, 'lifecycle', p_action,
		pg_catalog.jsonb_build_object('sessionId', p_session.id, 'userId', p_session.user_id) || p_more,
		p_session.id, NULL, NULL, p_session.key_environment);
	PERFORM theazo_internal.log_write(p_session.platform_id, NULL, 'info', 'system', pg_catalog.replace(p_action, '_', ' '),
		p_session.key_environment, p_session.id, NULL, NULL, p_session.user_id);
	PERFORM theazo_internal.session_tell(p_session.platform_id, p_session.key_environment, p_session.id, p_action);
END $$;
COMMENT ON FUNCTION theazo_internal.session_event(theazo_data.session, text, jsonb) IS 'writes the event and the log line of a session, and tells webhooks';

-- ---------------------------------------------------------------------------------------
-- overrides

-- Compute of a session: the name of a provider, or one of its own with an endpoint: a webhook, or an account at the vendor that
-- provider names, for which a credential is enough. The
-- latter becomes a provider row named by the session, so that everything below sees one kind
-- of provider only. A secret it names is looked up when it is used: the session's vault first.
CREATE OR REPLACE FUNCTION theazo_internal.session_compute_type(p_doc jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE WHEN p_doc ->> 'provider' IN ('docker', 'e2b', 'daytona', 'fly') THEN p_doc ->> 'provider' ELSE 'webhook' END;
END $$;
COMMENT ON FUNCTION theazo_internal.session_compute_type(jsonb) IS 'the kind of compute that a session brings itself';

CREATE OR REPLACE FUNCTION theazo_internal.session_compute_check(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF p_doc IS NULL OR pg_catalog.jsonb_typeof(p_doc) = 'null' THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.object_check('compute', p_doc, 16384,
		ARRAY['provider', 'endpoint', 'credentialRef', 'signingSecretRef', 'config']);
	IF p_doc ? 'provider' THEN
		PERFORM theazo_internal.name_check('compute.provider', theazo_internal.text_check('compute.provider', p_doc -> 'provider', 128), 128);
	END IF;
	IF p_doc ? 'credentialRef' THEN
		PERFORM theazo_internal.secret_name_check('compute.credentialRef', p_doc ->> 'credentialRef');
	END IF;
	IF p_doc ? 'signingSecretRef' THEN
		PERFORM theazo_internal.secret_name_check('compute.signingSecretRef', p_doc ->> 'signingSecretRef');
	END IF;
	p_doc := p_doc || pg_catalog.jsonb_build_object('config',
		theazo_internal.object_check('compute.config', p_doc -> 'config', 16384));
	IF NOT p_doc ? 'endpoint' AND p_doc -> 'config' ?| ARRAY['endpoint', 'baseUrl'] THEN
		p_doc := p_doc || pg_catalog.jsonb_build_object('endpoint', coalesce(p_doc -> 'config' -> 'endpoint', p_doc -> 'config' -> 'baseUrl'));
	END IF;
	IF theazo_internal.session_compute_type(p_doc) <> 'webhook' AND p_doc ?| ARRAY['endpoint', 'credentialRef'] THEN
		PERFORM theazo_internal.compute_config_check(theazo_internal.session_compute_type(p_doc), p_doc -> 'config');
		p_doc := p_doc || pg_catalog.jsonb_build_object('endpoint', theazo_internal.compute_endpoint(theazo_internal.session_compute_type(p_doc),
			CASE WHEN p_doc ? 'endpoint' THEN theazo_internal.text_check('compute.endpoint', p_doc -> 'endpoint', 2048) END, p_doc -> 'config', false));
	ELSIF p_doc ? 'endpoint' THEN
		p_doc := p_doc || pg_catalog.jsonb_build_object('endpoint', theazo_internal.endpoint_check('compute.endpoint',
			theazo_internal.text_check('compute.endpoint', p_doc -> 'endpoint', 2048), theazo_internal.platform_http()));
	ELSIF p_doc ? 'provider' THEN
		PERFORM theazo_internal.compute_named(p_doc ->> 'provider');
	ELSE
		PERFORM theazo_internal.raise_value('compute', 'needs a provider or an endpoint');
	END IF;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.session_compute_check(jsonb) IS
'a session''s compute override, checked; returns what to store';

CREATE OR REPLACE FUNCTION theazo_internal.session_models_check(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	k text;
BEGIN
	IF p_doc IS NULL OR pg_catalog.jsonb_typeof(p_doc) = 'null' THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.object_check('models', p_doc, 16384,
		ARRAY['provider', 'endpoint', 'baseUrl', 'credentialRef', 'model', 'name', 'config']);
	FOREACH k IN ARRAY ARRAY['provider', 'model', 'name'] LOOP
		IF p_doc ? k THEN
			PERFORM theazo_internal.name_check('models.' || k, theazo_internal.text_check('models.' || k, p_doc -> k, 200), 200);
		END IF;
	END LOOP;
	FOREACH k IN ARRAY ARRAY['endpoint', 'baseUrl'] LOOP
		IF p_doc ? k THEN
			PERFORM theazo_internal.endpoint_check('models.' || k,
				theazo_internal.text_check('models.' || k, p_doc -> k, 2048), theazo_internal.platform_http());
		END IF;
	END LOOP;
	IF p_doc ? 'credentialRef' THEN
		PERFORM theazo_internal.secret_name_check('models.credentialRef', p_doc ->> 'credentialRef');
	END IF;
	PERFORM theazo_internal.object_check('models.config', p_doc -> 'config', 16384);
	PERFORM theazo_internal.model_config_check('models.config', p_doc -> 'config');
	FOREACH k IN ARRAY ARRAY['endpoint', 'baseUrl'] LOOP
		IF p_doc -> 'config' ? k THEN
			PERFORM theazo_internal.endpoint_check('models.config.' || k,
				theazo_internal.text_check('models.config.' || k, p_doc -> 'config' -> k, 2048), theazo_internal.platform_http());
		END IF;
	END LOOP;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.session_models_check(jsonb) IS
'a session''s model override, checked; returns what to store';

-- Keeps the provider row of a session's own endpoint in step with the session.
CREATE OR REPLACE FUNCTION theazo_internal.session_provider_sync(p_platform text, p_session text, p_compute jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF p_compute IS NULL OR NOT p_compute ? 'endpoint' THEN
		RETURN;
	END IF;
	INSERT INTO theazo_data.provider AS p (platform_id, kind, name, type, mode, endpoint, credential_ref, signing_ref, config)
	VALUES (p_platform, 'compute', p_session, theazo_internal.session_compute_type(p_compute), 'byoi', p_compute ->> 'endpoint', p_compute ->> 'credentialRef',
			coalesce(p_compute ->> 'signingSecretRef', p_compute -> 'config' ->> 'signingSecretRef'), p_compute -> 'config')
	ON CONFLICT ON CONSTRAINT provider_pkey DO UPDATE
	   SET type = excluded.type, endpoint = excluded.endpoint, credential_ref = excluded.credential_ref, signing_ref = excluded.signing_ref,
		   config = excluded.config, capabilities = '{}', updated_at = pg_catalog.now();
END $$;
COMMENT ON FUNCTION theazo_internal.session_provider_sync(text, text, jsonb) IS
'a session''s own endpoint as a provider row named by the session';

-- ---------------------------------------------------------------------------------------
-- making and reading

CREATE OR REPLACE FUNCTION theazo_internal.session_insert(
	p_user_id text, p_environment text, p_limits jsonb, p_metadata jsonb, p_compute jsonb, p_models jsonb)
RETURNS theazo.sessions LANGUAGE plpgsql AS $$
DECLARE
	made theazo_data.session;
	key_env text := theazo_internal.current_environment();
BEGIN
	p_environment := coalesce(p_environment, CASE key_env WHEN 'test' THEN 'development' ELSE 'production' END);
	PERFORM theazo_internal.one_of('environment', p_environment, 'production', 'staging', 'development');
	INSERT INTO theazo_data.session (platform_id, id, user_id, key_environment, environment, metadata, limits, compute, models)
	VALUES (theazo_internal.current_platform(), theazo_internal.id_new('ses'), p_user_id, key_env, p_environment,
			theazo_internal.metadata_check('metadata', p_metadata), theazo_internal.limits_merge('{}', p_limits),
			theazo_internal.session_compute_check(p_compute), theazo_internal.session_models_check(p_models))
	RETURNING * INTO made;
	PERFORM theazo_internal.session_provider_sync(made.platform_id, made.id, made.compute);
	PERFORM theazo_internal.session_event(made, 'session_created',
		pg_catalog.jsonb_build_object('environment', made.environment, 'limits', made.limits));
	RETURN theazo_internal.session_shown(made.id);
END $$;
COMMENT ON FUNCTION theazo_internal.session_insert(text, text, jsonb, jsonb, jsonb, jsonb) IS 'makes a session of the caller';

CREATE OR REPLACE FUNCTION theazo.session_create(
	user_id text, environment text DEFAULT NULL, limits jsonb DEFAULT NULL, metadata jsonb DEFAULT NULL,
	compute jsonb DEFAULT NULL, models jsonb DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:write');
	PERFORM theazo_internal.refuse_narrowed('making a session');
	PERFORM theazo_internal.name_check('user_id', user_id, 256);
	RETURN theazo_internal.session_insert(user_id, environment, limits, metadata, compute, models);
END $$;
COMMENT ON FUNCTION theazo.session_create(text, text, jsonb, jsonb, jsonb, jsonb, text) IS
'begins a session for an end user; always a new one';

CREATE OR REPLACE FUNCTION theazo_internal.session_newest(p_user_id text)
RETURNS theazo_data.session LANGUAGE plpgsql AS $$
DECLARE
	result theazo_data.session;
BEGIN
	SELECT * INTO result FROM theazo_data.session s
	 WHERE s.platform_id = theazo_internal.current_platform() AND s.user_id = p_user_id
	   AND s.status <> 'terminated'
	 ORDER BY s.id DESC LIMIT 1 FOR NO KEY UPDATE;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.session_newest(text) IS 'a user''s newest session that is not terminated, locked';

CREATE OR REPLACE FUNCTION theazo.session_for_user(
	user_id text, limits jsonb DEFAULT NULL, metadata jsonb DEFAULT NULL, environment text DEFAULT NULL,
	compute jsonb DEFAULT NULL, models jsonb DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s theazo_data.session;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:write');
	PERFORM theazo_internal.refuse_narrowed('making a session');
	PERFORM theazo_internal.name_check('user_id', user_id, 256);
	s := theazo_internal.session_newest(user_id);
	IF s.id IS NULL THEN
		-- two first calls for one user must not make two sessions
		PERFORM theazo_internal.own_lock('session_for_user',
			theazo_internal.current_platform() || theazo_internal.current_environment() || user_id, true);
		s := theazo_internal.session_newest(user_id);
	END IF;
	IF s.id IS NULL THEN
		RETURN theazo_internal.session_insert(user_id, environment, limits, metadata, compute, models);
	END IF;
	IF environment IS NOT NULL THEN
		PERFORM theazo_internal.one_of('environment', environment, 'production', 'staging', 'development');
	END IF;
	IF limits IS NOT NULL THEN
		PERFORM theazo_internal.session_limits_set(s, limits);
	END IF;
	IF metadata IS NOT NULL OR compute IS NOT NULL OR models IS NOT NULL THEN
		PERFORM theazo_internal.object_check('metadata', metadata, 16384);
		compute := theazo_internal.session_compute_check(compute);
		UPDATE theazo_data.session t
		   SET metadata = theazo_internal.metadata_check('metadata', s.metadata || coalesce(session_for_user.metadata, '{}')),
			   compute = coalesce(session_for_user.compute, t.compute),
			   models = coalesce(theazo_internal.session_models_check(session_for_user.models), t.models)
		 WHERE t.platform_id = s.platform_id AND t.id = s.id;
		PERFORM theazo_internal.session_provider_sync(s.platform_id, s.id, compute);
		PERFORM theazo_internal.session_event(s, 'session_updated');
	END IF;
	RETURN theazo_internal.session_shown(s.id);
END $$;
COMMENT ON FUNCTION theazo.session_for_user(text, jsonb, jsonb, text, jsonb, jsonb, text) IS
'the user''s newest session that is not terminated, else a new one; limits and metadata are merged';

CREATE OR REPLACE FUNCTION theazo.session_get(session text, api_key text DEFAULT NULL)
RETURNS theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:read');
	RETURN theazo_internal.session_shown(session);
END $$;
COMMENT ON FUNCTION theazo.session_get(text, text) IS 'one session';

CREATE OR REPLACE FUNCTION theazo.session_list(
	user_id text DEFAULT NULL, status text DEFAULT NULL, max_rows integer DEFAULT 100, before text DEFAULT NULL,
	api_key text DEFAULT NULL)
RETURNS SETOF theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:read');
	IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	END IF;
	IF status IS NOT NULL THEN
		PERFORM theazo_internal.one_of('status', status, 'active', 'paused', 'terminated');
	END IF;
	RETURN QUERY
	SELECT s.* FROM theazo.sessions s
	 WHERE s.platform_id = theazo_internal.current_platform()
	   AND (session_list.user_id IS NULL OR s.user_id = session_list.user_id)
	   AND (session_list.status IS NULL OR s.status = session_list.status)
	   AND (before IS NULL OR s.id < before)
	 ORDER BY s.id DESC LIMIT max_rows;
END $$;
COMMENT ON FUNCTION theazo.session_list(text, text, integer, text, text) IS
'sessions, newest first; before is the last id of the page before';

CREATE OR REPLACE FUNCTION theazo.act_as(session text, api_key text DEFAULT NULL)
RETURNS theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.sessions;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:read');
	result := theazo_internal.session_shown(session);
	PERFORM theazo_internal.identity_narrow(result.id, result.user_id);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.act_as(text, text) IS
'narrows the caller to one session''s rows until this transaction ends';

-- What an end user's own client needs. Platform, keys, providers and definitions are closed to a token whatever it holds.
CREATE OR REPLACE FUNCTION theazo_internal.token_scopes()
RETURNS text[] LANGUAGE sql STABLE
RETURN ARRAY(SELECT s FROM pg_catalog.unnest(ARRAY['agent:read', 'agent:write', 'approval:read', 'event:read', 'file:read', 'file:write', 'log:read',
	'run:read', 'run:write', 'session:read', 'usage:read']) s WHERE theazo_internal.scope_held(s));
COMMENT ON FUNCTION theazo_internal.token_scopes() IS
'scopes of a session''s token when none are named: of the usual ones those that the caller holds';

CREATE OR REPLACE FUNCTION theazo.session_token_create(
	session text, ttl interval DEFAULT '1 hour', scopes text[] DEFAULT NULL, api_key text DEFAULT NULL,
	OUT id theazo.id, OUT key text, OUT prefix text, OUT created_at timestamptz, OUT expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s theazo_data.session;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:write');
	PERFORM theazo_internal.refuse_narrowed('a token');
	s := theazo_internal.session_lock(session);
	IF s.status = 'terminated' THEN
		PERFORM theazo_internal.session_open_check(s.id, s.status, NULL);
	ELSIF ttl IS NULL OR ttl < '1 s' OR ttl > '30 days' THEN
		PERFORM theazo_internal.raise_value('ttl', 'must be from 1 second to 30 days');
	END IF;
	scopes := theazo_internal.scopes_check(coalesce(scopes, theazo_internal.token_scopes()));
	PERFORM theazo_internal.key_grant_check(s.key_environment, scopes);
	created_at := pg_catalog.now();
	expires_at := created_at + ttl;
	SELECT i.id, i.key INTO STRICT session_token_create.id, session_token_create.key
	  FROM theazo_internal.api_key_insert(s.platform_id, 'token of ' || s.id, s.key_environment, 'th_' || s.key_environment,
		scopes, session_token_create.expires_at, s.id) i;
	prefix := pg_catalog."left"(key, 12) || '...';
END $$;
COMMENT ON FUNCTION theazo.session_token_create(text, interval, text[], text) IS
'a key for one end user''s client, shown once: it sees this session and nothing else, and ends with it or with its time';

-- ---------------------------------------------------------------------------------------
-- life cycle

CREATE OR REPLACE FUNCTION theazo_internal.session_pause(p_session theazo_data.session, p_reason text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a theazo_data.agent;
	target text := theazo_internal.move('session', p_session.id, p_session.status, 'pause');
BEGIN
	IF target = p_session.status THEN
		RETURN;
	END IF;
	UPDATE theazo_data.session s SET status = target, paused_at = pg_catalog.now(), paused_reason = p_reason
	 WHERE s.platform_id = p_session.platform_id AND s.id = p_session.id;
	FOR a IN SELECT * FROM theazo_data.agent t
			  WHERE t.platform_id = p_session.platform_id AND t.session_id = p_session.id
				AND t.status IN ('booting', 'ready', 'running', 'failed')
			  ORDER BY t.id FOR UPDATE
	LOOP
		-- one that boots pauses when it has: its lock was taken so that the boot sees this pause
		CONTINUE WHEN a.status = 'booting';
		PERFORM theazo_internal.agent_pause(a, 'session');
	END LOOP;
	PERFORM theazo_internal.session_event(p_session, 'session_paused', pg_catalog.jsonb_build_object('reason', p_reason));
END $$;
COMMENT ON FUNCTION theazo_internal.session_pause(theazo_data.session, text) IS
'pauses a locked session and its agents; also for limits and budgets';

CREATE OR REPLACE FUNCTION theazo_internal.session_resume(p_session theazo_data.session)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a theazo_data.agent;
	target text := theazo_internal.move('session', p_session.id, p_session.status, 'resume');
BEGIN
	IF target = p_session.status THEN
		RETURN;
	END IF;
	UPDATE theazo_data.session s SET status = target, paused_at = NULL, paused_reason = NULL
	 WHERE s.platform_id = p_session.platform_id AND s.id = p_session.id;
	FOR a IN SELECT * FROM theazo_data.agent t
			  WHERE t.platform_id = p_session.platform_id AND t.session_id = p_session.id
				AND t.status = 'paused' AND t.paused_by = 'session'
			  ORDER BY t.id FOR UPDATE
	LOOP
		PERFORM theazo_internal.agent_resume(a);
	END LOOP;
	PERFORM theazo_internal.session_event(p_session, 'session_resumed');
END $$;
COMMENT ON FUNCTION theazo_internal.session_resume(theazo_data.session) IS
'resumes a locked session and the agents that were paused with it';

CREATE OR REPLACE FUNCTION theazo.session_pause(session text, api_key text DEFAULT NULL)
RETURNS theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:write');
	PERFORM theazo_internal.refuse_narrowed('pausing a session');
	PERFORM theazo_internal.session_pause(theazo_internal.session_lock(session), 'user');
	RETURN theazo_internal.session_shown(session);
END $$;
COMMENT ON FUNCTION theazo.session_pause(text, text) IS
'a paused session takes no work; its agents pause, reading goes on';

CREATE OR REPLACE FUNCTION theazo.session_resume(session text, api_key text DEFAULT NULL)
RETURNS theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s theazo_data.session;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:write');
	PERFORM theazo_internal.refuse_narrowed('resuming a session');
	s := theazo_internal.session_lock(session);
	IF s.status = 'paused' AND s.paused_reason LIKE 'limit:%' THEN
		PERFORM theazo_internal.session_held(s);
	END IF;
	PERFORM theazo_internal.session_resume(s);
	RETURN theazo_internal.session_shown(session);
END $$;
COMMENT ON FUNCTION theazo.session_resume(text, text) IS
'ends a pause; agents that were paused with the session resume';

CREATE OR REPLACE FUNCTION theazo.session_terminate(session text, api_key text DEFAULT NULL)
RETURNS theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s theazo_data.session;
	a theazo_data.agent;
	target text;
	ended integer := 0;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:write');
	PERFORM theazo_internal.refuse_narrowed('ending a session');
	s := theazo_internal.session_lock(session);
	target := theazo_internal.move('session', s.id, s.status, 'terminate');
	IF target <> s.status THEN
		FOR a IN SELECT * FROM theazo_data.agent t
				  WHERE t.platform_id = s.platform_id AND t.session_id = s.id AND t.status <> 'completed'
				  ORDER BY t.id FOR UPDATE
		LOOP
			PERFORM theazo_internal.agent_terminate(a);
			ended := ended + 1;
		END LOOP;
		UPDATE theazo_data.session t SET status = target, terminated_at = pg_catalog.now(), paused_at = NULL, paused_reason = NULL
		 WHERE t.platform_id = s.platform_id AND t.id = s.id;
		PERFORM theazo_internal.session_event(s, 'session_terminated', pg_catalog.jsonb_build_object('agents', ended));
	END IF;
	RETURN theazo_internal.session_shown(session);
END $$;
COMMENT ON FUNCTION theazo.session_terminate(text, text) IS
'ends a session for good: agents end, runs are cancelled, sandboxes are destroyed';

-- ---------------------------------------------------------------------------------------
-- limits

CREATE OR REPLACE FUNCTION theazo_internal.session_limits_set(p_session theazo_data.session, p_limits jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	merged jsonb := theazo_internal.limits_merge(p_session.limits, p_limits);
	held_by text := pg_catalog.substring(p_session.paused_reason, '^limit:(.*)$');
BEGIN
	UPDATE theazo_data.session s SET limits = merged, limits_at = pg_catalog.clock_timestamp()
	 WHERE s.platform_id = p_session.platform_id AND s.id = p_session.id;
	PERFORM theazo_internal.session_event(p_session, 'session_limits_changed',
		pg_catalog.jsonb_build_object('limits', merged, 'was', p_session.limits));
	-- changing the limit that paused the session lets it go on; a limit still used up stops the next work again
	IF p_session.status = 'paused' AND held_by IS NOT NULL
		AND (merged -> held_by) IS DISTINCT FROM (p_session.limits -> held_by) THEN
		PERFORM theazo_internal.session_resume(p_session);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.session_limits_set(theazo_data.session, jsonb) IS
'lays limits over those of a locked session';

CREATE OR REPLACE FUNCTION theazo.session_update_limits(session text, limits jsonb, api_key text DEFAULT NULL)
RETURNS theazo.sessions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s theazo_data.session;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'session:write');
	PERFORM theazo_internal.refuse_narrowed('changing limits');
	s := theazo_internal.session_lock(session);
	IF s.status = 'terminated' THEN
		PERFORM theazo_internal.session_open_check(s.id, s.status, NULL);
	END IF;
	PERFORM theazo_internal.session_limits_set(s, limits);
	RETURN theazo_internal.session_shown(session);
END $$;
COMMENT ON FUNCTION theazo.session_update_limits(text, jsonb, text) IS
'changes some limits of a session; null removes one, zero stops everything';
