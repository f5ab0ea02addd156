-- provider.sql: compute and model providers. One name may stand for an entry of each kind; `kind` says which is meant.

CREATE OR REPLACE FUNCTION theazo_internal.rest_provider(p theazo.providers)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('name', p.name, 'kind', p.kind,
	-- what the contract calls the adapter of webhooks
	'type', CASE p.type WHEN 'webhook' THEN 'custom' ELSE p.type END,
	'mode', p.mode, 'endpoint', p.endpoint, 'credentialRef', p.credential_ref, 'config', p.config, 'priority', p.priority,
	'limits', p.limits, 'capabilities', p.capabilities,
	'createdAt', theazo_internal.rest_at(p.created_at), 'updatedAt', theazo_internal.rest_at(p.updated_at));
COMMENT ON FUNCTION theazo_internal.rest_provider(theazo.providers) IS
'a Provider';

CREATE OR REPLACE FUNCTION theazo_internal.rest_provider_kind(a jsonb)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN coalesce(theazo_internal.rest_one_of(a, 'kind', false, 'compute', 'model'),
		CASE WHEN a ->> 'name' IN ('anthropic', 'openai', 'openai-compatible') THEN 'model' ELSE 'compute' END);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_provider_kind(jsonb) IS
'the kind that is given, else the one that the name means';

-- Of what is there; where the name's own kind is not there, the other one is meant.
CREATE OR REPLACE FUNCTION theazo_internal.rest_provider_find(a jsonb)
RETURNS theazo.providers LANGUAGE plpgsql AS $$
DECLARE
	v_kind	text := theazo_internal.rest_provider_kind(a);
	v_other	text := CASE v_kind WHEN 'model' THEN 'compute' ELSE 'model' END;
BEGIN
	IF NOT a ? 'kind' AND NOT EXISTS (SELECT FROM theazo.providers p WHERE p.kind = v_kind AND p.name = a ->> 'name')
		AND EXISTS (SELECT FROM theazo.providers p WHERE p.kind = v_other AND p.name = a ->> 'name') THEN
		v_kind := v_other;
	END IF;
	RETURN theazo.provider_get(a ->> 'name', v_kind);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_provider_find(jsonb) IS
'the provider that a path names, or 404';

CREATE OR REPLACE FUNCTION theazo_internal.rest_provider_secret(p_kind text, p_name text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'inline.provider.' || pg_catalog.md5(p_kind || ':' || p_name);
COMMENT ON FUNCTION theazo_internal.rest_provider_secret(text, text) IS
'name of the secret that holds what was given inline';

-- What came inline was made for this entry, and goes with it.
CREATE OR REPLACE FUNCTION theazo_internal.rest_provider_forget(p_kind text, p_name text, p_was text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF p_was = theazo_internal.rest_provider_secret(p_kind, p_name) THEN
		PERFORM theazo.secret_delete(p_was);
	END IF;
EXCEPTION WHEN dependent_objects_still_exist OR object_in_use OR SQLSTATE 'TZ103' OR SQLSTATE 'TZ602' THEN
	-- named by something else as well, or not the caller's to delete
	NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_provider_forget(text, text, text) IS
'deletes the secret of an entry that does not name it any more, if it was given inline';

CREATE OR REPLACE FUNCTION theazo_internal.rest_provider_set(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_kind	text := theazo_internal.rest_provider_kind(a);
	v_mode	text := theazo_internal.rest_one_of(a, 'mode', false, 'byoi', 'managed');
	v_model	text := theazo_internal.rest_text(a, 'model', false, 200);
	v_doc	jsonb := theazo_internal.rest_inline(a, NULL, theazo_internal.rest_provider_secret(v_kind, a ->> 'name'));
	v_was	text;
	p		theazo.providers;
BEGIN
	SELECT x.credential_ref INTO v_was FROM theazo.providers x WHERE x.kind = v_kind AND x.name = a ->> 'name';
	p := theazo.provider_set(a ->> 'name', v_kind, NULL, v_mode, theazo_internal.rest_text(a, 'endpoint', false, 2048),
		theazo_internal.rest_text(v_doc, 'credentialRef', false, 200), NULL,
		coalesce(theazo_internal.rest_object(a, 'config'), '{}')
			|| CASE WHEN v_model IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('model', v_model) END,
		coalesce(theazo_internal.rest_int(a, 'priority', false, 0, 1000000), 100)::integer,
		theazo_internal.rest_pick(coalesce(theazo_internal.rest_object(a, 'limits'), '{}'), 'maxConcurrent'));
	IF p.credential_ref IS DISTINCT FROM v_was THEN
		PERFORM theazo_internal.rest_provider_forget(v_kind, p.name, v_was);
	END IF;
	RETURN theazo_internal.rest_provider(p);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_provider_set(jsonb) IS
'PUT /v1/providers/:name';

CREATE OR REPLACE FUNCTION theazo_internal.rest_provider_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_provider(p) ORDER BY p.created_at DESC, p.kind, p.name COLLATE "C"), '[]')
			  FROM theazo.provider_list(theazo_internal.rest_one_of(a, 'kind', false, 'compute', 'model')) p);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_provider_list(jsonb) IS
'GET /v1/providers';

CREATE OR REPLACE FUNCTION theazo_internal.rest_provider_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_provider(theazo_internal.rest_provider_find(a));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_provider_get(jsonb) IS
'GET /v1/providers/:name';

CREATE OR REPLACE FUNCTION theazo_internal.rest_provider_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	p theazo.providers := theazo_internal.rest_provider_find(a);
BEGIN
	PERFORM theazo.provider_delete(p.name, p.kind);
	PERFORM theazo_internal.rest_provider_forget(p.kind, p.name, p.credential_ref);
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_provider_delete(jsonb) IS
'DELETE /v1/providers/:name';
