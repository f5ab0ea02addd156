-- definition.sql: agent options, checked in one place, and definitions, which are named and
-- versioned sets of them. History only grows: an update and a rollback both add a version.

-- ---------------------------------------------------------------------------------------
-- options

CREATE OR REPLACE FUNCTION theazo_internal.network_check(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	rule text;
	rules text[] := '{}';
BEGIN
	PERFORM theazo_internal.object_check('network', p_doc, 32768, ARRAY['enabled', 'allow']);
	IF p_doc ? 'allow' THEN
		FOREACH rule IN ARRAY theazo_internal.names_check('network.allow', p_doc -> 'allow', 100, 260) LOOP
			rules := rules || theazo_internal.host_rule_check('network.allow', rule);
		END LOOP;
	END IF;
	RETURN pg_catalog.jsonb_build_object(
		'enabled', CASE WHEN p_doc ? 'enabled' THEN theazo_internal.boolean_check('network.enabled', p_doc -> 'enabled') ELSE false END,
		'allow', pg_catalog.to_jsonb(rules));
END $$;
COMMENT ON FUNCTION theazo_internal.network_check(jsonb) IS
'the network option: off unless enabled, and then only to the hosts listed';

CREATE OR REPLACE FUNCTION theazo_internal.model_check(p_doc jsonb, p_http boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	k text;
BEGIN
	IF pg_catalog.jsonb_typeof(p_doc) = 'string' THEN
		PERFORM theazo_internal.name_check('model', p_doc #>> '{}', 200);
		RETURN p_doc;
	ELSIF pg_catalog.jsonb_typeof(p_doc) <> 'object' THEN
		PERFORM theazo_internal.raise_value('model', 'must be a name or an object', 'For example "openai/gpt-5.4" or {"endpoint": "https://host/v1", "model": "my-model"}.');
	END IF;
	PERFORM theazo_internal.object_check('model', p_doc, 8192,
		ARRAY['provider', 'baseUrl', 'endpoint', 'credentialRef', 'name', 'model']);
	FOREACH k IN ARRAY ARRAY['provider', 'name', 'model'] LOOP
		IF p_doc ? k THEN
			PERFORM theazo_internal.name_check('model.' || k, theazo_internal.text_check('model.' || k, p_doc -> k, 200), 200);
		END IF;
	END LOOP;
	FOREACH k IN ARRAY ARRAY['baseUrl', 'endpoint'] LOOP
		IF p_doc ? k THEN
			PERFORM theazo_internal.endpoint_check('model.' || k, theazo_internal.text_check('model.' || k, p_doc -> k, 2048), p_http);
		END IF;
	END LOOP;
	IF p_doc ? 'credentialRef' THEN
		PERFORM theazo_internal.secret_name_check('model.credentialRef', p_doc ->> 'credentialRef');
	END IF;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.model_check(jsonb, boolean) IS
'the model option: a name, or an object that brings its own provider';

CREATE OR REPLACE FUNCTION theazo_internal.approvals_check(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM theazo_internal.object_check('approvals', p_doc, 16384, ARRAY['require', 'notifyVia', 'timeout', 'defaultAction', 'quorum', 'noSelfApproval']);
	IF p_doc ? 'require' THEN
		PERFORM theazo_internal.names_check('approvals.require', p_doc -> 'require', 200, 200);
	END IF;
	IF p_doc ? 'notifyVia' THEN
		PERFORM theazo_internal.one_of('approvals.notifyVia', p_doc ->> 'notifyVia', 'webhook');
	END IF;
	IF p_doc ? 'timeout' THEN
		p_doc := p_doc || pg_catalog.jsonb_build_object('timeout', pg_catalog.trim_scale(EXTRACT(epoch FROM
			theazo_internal.duration_check('approvals.timeout', p_doc -> 'timeout', '1 second', '2400 hours'))));
	END IF;
	IF p_doc ? 'defaultAction' THEN
		PERFORM theazo_internal.one_of('approvals.defaultAction', p_doc ->> 'defaultAction', 'approve', 'deny');
	END IF;
	IF p_doc ? 'quorum' THEN
		PERFORM theazo_internal.integer_check('approvals.quorum', p_doc -> 'quorum', 1, 20);
	END IF;
	IF p_doc ? 'noSelfApproval' THEN
		PERFORM theazo_internal.boolean_check('approvals.noSelfApproval', p_doc -> 'noSelfApproval');
	END IF;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.approvals_check(jsonb) IS 'the approvals option';

CREATE OR REPLACE FUNCTION theazo_internal.lifecycle_check(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM theazo_internal.object_check('lifecycle', p_doc, 4096, ARRAY['autoPause', 'onFailure', 'maxRetries', 'retryDelay']);
	IF p_doc ? 'autoPause' THEN
		PERFORM theazo_internal.object_check('lifecycle.autoPause', p_doc -> 'autoPause', 1024, ARRAY['afterIdle']);
		IF p_doc -> 'autoPause' ? 'afterIdle' THEN
			p_doc := pg_catalog.jsonb_set(p_doc, '{autoPause,afterIdle}', pg_catalog.to_jsonb(pg_catalog.trim_scale(EXTRACT(epoch FROM
				theazo_internal.duration_check('lifecycle.autoPause.afterIdle', p_doc -> 'autoPause' -> 'afterIdle', '1 second', '8784 hours')))));
		END IF;
	END IF;
	IF p_doc ? 'onFailure' THEN
		PERFORM theazo_internal.one_of('lifecycle.onFailure', p_doc ->> 'onFailure', 'retry', 'pause', 'terminate');
	END IF;
	IF p_doc ? 'maxRetries' THEN
		PERFORM theazo_internal.integer_check('lifecycle.maxRetries', p_doc -> 'maxRetries', 0, 100);
	END IF;
	IF p_doc ? 'retryDelay' THEN
		p_doc := p_doc || pg_catalog.jsonb_build_object('retryDelay', pg_catalog.trim_scale(EXTRACT(epoch FROM
			theazo_internal.duration_check('lifecycle.retryDelay', p_doc -> 'retryDelay', '0', '24 hours'))));
	END IF;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.lifecycle_check(jsonb) IS 'the lifecycle option; durations become seconds';

CREATE OR REPLACE FUNCTION theazo_internal.option_check(k text, v jsonb, p_http boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	CASE
		WHEN k = 'compute' THEN
			PERFORM theazo_internal.one_of(k, v #>> '{}', 'python', 'node', 'go');
		WHEN k = 'secretDelivery' THEN
			PERFORM theazo_internal.one_of(k, theazo_internal.text_check(k, v, 20), 'env', 'brokered');
		WHEN k IN ('browser', 'longRunning', 'autoResume', 'managedLoop') THEN
			PERFORM theazo_internal.boolean_check(k, v);
		WHEN k IN ('gpu', 'provider', 'providerFallback', 'region') THEN
			PERFORM theazo_internal.name_check(k, theazo_internal.text_check(k, v, 128), 128);
		WHEN k = 'storage' THEN
			PERFORM theazo_internal.storage_gb(k, theazo_internal.text_check(k, v, 128));
		WHEN k = 'definition' THEN
			PERFORM theazo_internal.name_check(k, theazo_internal.text_check(k, v, 200), 200);
		WHEN k IN ('instructions', 'description') THEN
			PERFORM theazo_internal.text_check(k, v, 32768);
		WHEN k = 'model' THEN
			v := theazo_internal.model_check(v, p_http);
		WHEN k = 'modelFallback' THEN
			PERFORM theazo_internal.names_check(k, v, 8, 200);
		WHEN k IN ('tools', 'mcp') THEN
			PERFORM theazo_internal.names_check(k, v, 200, 200);
		WHEN k = 'secrets' THEN
			PERFORM theazo_internal.secret_name_check(k, n) FROM pg_catalog.unnest(theazo_internal.names_check(k, v, 200, 128)) n;
		WHEN k IN ('timeout', 'checkpointInterval', 'maxDuration', 'hibernateAfterIdle') THEN
			v := pg_catalog.to_jsonb(pg_catalog.trim_scale(EXTRACT(epoch FROM
				theazo_internal.duration_check(k, v, '1 second', '8784 hours'))));
		WHEN k = 'warmPool' THEN
			PERFORM theazo_internal.integer_check(k, v, 0, 100);
		WHEN k = 'costCap' THEN
			v := theazo_internal.cost_check(k, v, false);
		WHEN k = 'approvals' THEN
			v := theazo_internal.approvals_check(v);
		WHEN k = 'knowledge' THEN
			IF pg_catalog.jsonb_typeof(v) <> 'boolean' THEN
				PERFORM theazo_internal.name_check(k, theazo_internal.text_check(k, v, 128), 128);
			END IF;
		WHEN k = 'metadata' THEN
			PERFORM theazo_internal.object_check(k, v, 32768, ARRAY['extract', 'custom']);
			IF v ? 'extract' THEN
				PERFORM theazo_internal.names_check('metadata.extract', v -> 'extract', 50, 64);
			END IF;
			v := v || pg_catalog.jsonb_build_object('custom', theazo_internal.metadata_check('metadata.custom', v -> 'custom'));
		WHEN k = 'permissions' THEN
			v := theazo_internal.permissions_check(k, v);
		WHEN k = 'template' THEN
			PERFORM theazo_internal.template_check(k, theazo_internal.text_check(k, v, 20));
		WHEN k = 'limits' THEN
			v := theazo_internal.agent_limits_check(v);
		WHEN k = 'guardrails' THEN
			v := theazo_internal.guardrails_check(k, v);
		WHEN k = 'lifecycle' THEN
			v := theazo_internal.lifecycle_check(v);
		WHEN k = 'network' THEN
			v := theazo_internal.network_check(v);
		WHEN k = 'config' THEN
			PERFORM theazo_internal.object_check(k, v, 4096, ARRAY['temperature', 'maxTokens']);
			IF v ? 'temperature' AND (pg_catalog.jsonb_typeof(v -> 'temperature') <> 'number'
				OR (v ->> 'temperature')::numeric NOT BETWEEN 0 AND 2) THEN
				PERFORM theazo_internal.raise_value('config.temperature', 'must be a number from 0 to 2');
			END IF;
			IF v ? 'maxTokens' THEN
				PERFORM theazo_internal.integer_check('config.maxTokens', v -> 'maxTokens', 1, 10000000);
			END IF;
	END CASE;
	RETURN v;
END $$;
COMMENT ON FUNCTION theazo_internal.option_check(text, jsonb, boolean) IS
'one agent option; returns what to store (durations as seconds)';

CREATE OR REPLACE FUNCTION theazo_internal.options_check(p_field text, p_doc jsonb, p_http boolean, VARIADIC p_more text[] DEFAULT '{}')
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	result jsonb := '{}';
	k text;
	v jsonb;
BEGIN
	p_doc := theazo_internal.object_check(p_field, p_doc, 65536,
		ARRAY['compute', 'browser', 'storage', 'gpu', 'model', 'modelFallback', 'instructions', 'tools', 'timeout', 'costCap', 'provider',
			  'providerFallback', 'region', 'approvals', 'knowledge', 'metadata', 'guardrails', 'lifecycle', 'secrets',
			  'secretDelivery', 'longRunning', 'checkpointInterval', 'maxDuration', 'hibernateAfterIdle', 'autoResume', 'managedLoop', 'mcp',
			  'network', 'config', 'description', 'permissions', 'template', 'limits'] || p_more);
	FOR k, v IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(p_doc) e LOOP
		result := result || pg_catalog.jsonb_build_object(k,
			CASE WHEN pg_catalog.jsonb_typeof(v) = 'null' OR k = 'overrides' THEN v
				 ELSE theazo_internal.option_check(k, v, p_http) END);
	END LOOP;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.options_check(text, jsonb, boolean, text[]) IS
'agent options, each checked; nulls stay, for merging';

CREATE OR REPLACE FUNCTION theazo_internal.without_nulls(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
	RETURN coalesce((SELECT pg_catalog.jsonb_object_agg(e.key, e.value) FROM pg_catalog.jsonb_each(p_doc) e
					  WHERE pg_catalog.jsonb_typeof(e.value) OPERATOR(pg_catalog.<>) 'null'), '{}');
END
$$;
COMMENT ON FUNCTION theazo_internal.without_nulls(jsonb) IS 'an object without its null members; inner ones stay';

CREATE OR REPLACE FUNCTION theazo_internal.platform_http()
RETURNS boolean LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN (SELECT p.allow_http FROM theazo_data.platform p
			 WHERE p.platform_id OPERATOR(pg_catalog.=) theazo_internal.current_platform());
END
$$;
COMMENT ON FUNCTION theazo_internal.platform_http() IS 'may the caller''s platform use plain http endpoints';

-- ---------------------------------------------------------------------------------------
-- definitions

CREATE OR REPLACE VIEW theazo.definitions WITH (security_barrier) AS
SELECT d.platform_id, d.id, d.name, d.version, v.content ->> 'description' AS description,
	   coalesce(v.content ->> 'compute', 'python') AS compute, v.content -> 'model' AS model,
	   v.content ->> 'instructions' AS instructions, v.content -> 'tools' AS tools, v.content, d.created_at,
	   v.created_at AS updated_at
  FROM theazo_data.definition d
  JOIN theazo_data.definition_version v
	ON v.platform_id = d.platform_id AND v.definition_id = d.id AND v.version = d.version
 WHERE (SELECT theazo_internal.may_read('definition:read')) AND d.deleted_at IS NULL AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.definitions IS 'agent definitions with their current version';

CREATE OR REPLACE VIEW theazo.definition_versions WITH (security_barrier) AS
SELECT v.platform_id, v.definition_id, v.version, v.changelog, v.content, v.created_at
  FROM theazo_data.definition_version v
  JOIN theazo_data.definition d ON d.platform_id = v.platform_id AND d.id = v.definition_id
 WHERE (SELECT theazo_internal.may_read('definition:read')) AND d.deleted_at IS NULL AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.definition_versions IS 'every version of every agent definition';

CREATE OR REPLACE FUNCTION theazo_internal.definition_shown(p_id text)
RETURNS theazo.definitions LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.definitions;
BEGIN
	SELECT * INTO result FROM theazo.definitions d
	 WHERE d.platform_id = theazo_internal.current_platform() AND d.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('definition', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.definition_shown(text) IS 'a definition of the caller, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.definition_lock(p_id text)
RETURNS theazo_data.definition LANGUAGE plpgsql AS $$
DECLARE
	result theazo_data.definition;
BEGIN
	SELECT * INTO result FROM theazo_data.definition d
	 WHERE d.platform_id = theazo_internal.current_platform() AND d.id = p_id AND d.deleted_at IS NULL FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('definition', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.definition_lock(text) IS 'a definition of the caller, locked';

-- An id names a definition exactly; anything else is a name and means the newest of it.
CREATE OR REPLACE FUNCTION theazo_internal.definition_find(p_ref text)
RETURNS theazo_data.definition LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo_data.definition;
BEGIN
	SELECT * INTO result FROM theazo_data.definition d
	 WHERE d.platform_id = theazo_internal.current_platform() AND d.deleted_at IS NULL AND d.id = p_ref;
	IF NOT FOUND THEN
		SELECT * INTO result FROM theazo_data.definition d
		 WHERE d.platform_id = theazo_internal.current_platform() AND d.deleted_at IS NULL AND d.name = p_ref
		 ORDER BY d.id DESC LIMIT 1;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.definition_find(text) IS 'a definition by id, else the newest of that name, else a row of nulls';

CREATE OR REPLACE FUNCTION theazo_internal.definition_version_add(p_definition theazo_data.definition, p_content jsonb, p_changelog text, p_action text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	next_version integer;
BEGIN
	SELECT coalesce(pg_catalog.max(v.version), 0) + 1 INTO next_version FROM theazo_data.definition_version v
	 WHERE v.platform_id = p_definition.platform_id AND v.definition_id = p_definition.id;
	IF next_version > 10000 THEN
		PERFORM theazo_internal.raise_ceiling('versions of this definition', 10000, 'Make a new definition.');
	END IF;
	INSERT INTO theazo_data.definition_version (platform_id, definition_id, version, content, changelog)
	VALUES (p_definition.platform_id, p_definition.id, next_version, p_content, p_changelog);
	UPDATE theazo_data.definition d SET version = next_version
	 WHERE d.platform_id = p_definition.platform_id AND d.id = p_definition.id;
	IF p_content ? 'warmPool' THEN
		PERFORM theazo_internal.wake_keeper();
	END IF;
	PERFORM theazo_internal.event_write(p_definition.platform_id, 'control', p_action,
		pg_catalog.jsonb_build_object('definitionId', p_definition.id, 'name', p_definition.name, 'version', next_version,
			'changelog', p_changelog), NULL, NULL, NULL, theazo_internal.current_environment());
END $$;
COMMENT ON FUNCTION theazo_internal.definition_version_add(theazo_data.definition, jsonb, text, text) IS
'adds a version to a locked definition and makes it current';

CREATE OR REPLACE FUNCTION theazo.definition_create(name text, content jsonb DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS theazo.definitions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d theazo_data.definition;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'definition:write');
	PERFORM theazo_internal.shared_change_check('a definition');
	PERFORM theazo_internal.name_check('name', name, 200);
	content := theazo_internal.without_nulls(theazo_internal.options_check('content', content, theazo_internal.platform_http(), 'warmPool'));
	IF (SELECT pg_catalog.count(*) FROM theazo_data.definition t
		 WHERE t.platform_id = theazo_internal.current_platform() AND t.deleted_at IS NULL) >= 10000 THEN
		PERFORM theazo_internal.raise_ceiling('definitions', 10000, 'Delete those that are not used.');
	END IF;
	INSERT INTO theazo_data.definition AS t (platform_id, id, name, version)
	VALUES (theazo_internal.current_platform(), theazo_internal.id_new('adef'), definition_create.name, 1)
	RETURNING t.* INTO d;
	PERFORM theazo_internal.definition_version_add(d, content, 'Initial version', 'definition_created');
	RETURN theazo_internal.definition_shown(d.id);
END $$;
COMMENT ON FUNCTION theazo.definition_create(text, jsonb, text) IS
'makes an agent definition, version 1; content holds agent options';

CREATE OR REPLACE FUNCTION theazo.definition_update(
	definition text, content jsonb, changelog text DEFAULT '', api_key text DEFAULT NULL)
RETURNS theazo.definitions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d theazo_data.definition;
	was jsonb;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'definition:write');
	PERFORM theazo_internal.shared_change_check('a definition');
	content := theazo_internal.options_check('content', content, theazo_internal.platform_http(), 'warmPool');
	changelog := theazo_internal.text_check('changelog', pg_catalog.to_jsonb(coalesce(changelog, '')), 2000);
	d := theazo_internal.definition_lock(definition);
	SELECT v.content INTO STRICT was FROM theazo_data.definition_version v
	 WHERE v.platform_id = d.platform_id AND v.definition_id = d.id AND v.version = d.version;
	content := theazo_internal.object_check('content', theazo_internal.without_nulls(was || content), 65536);
	PERFORM theazo_internal.definition_version_add(d, content, changelog, 'definition_updated');
	RETURN theazo_internal.definition_shown(d.id);
END $$;
COMMENT ON FUNCTION theazo.definition_update(text, jsonb, text, text) IS
'adds a version: the given options over the current ones, null removes one';

CREATE OR REPLACE FUNCTION theazo.definition_rollback(definition text, version integer, api_key text DEFAULT NULL)
RETURNS theazo.definitions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d theazo_data.definition;
	was jsonb;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'definition:write');
	PERFORM theazo_internal.shared_change_check('a definition');
	d := theazo_internal.definition_lock(definition);
	SELECT v.content INTO was FROM theazo_data.definition_version v
	 WHERE v.platform_id = d.platform_id AND v.definition_id = d.id AND v.version = definition_rollback.version;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('version', coalesce(version::text, ''));
	END IF;
	PERFORM theazo_internal.definition_version_add(d, was, 'Rollback to version ' || version, 'definition_rolled_back');
	RETURN theazo_internal.definition_shown(d.id);
END $$;
COMMENT ON FUNCTION theazo.definition_rollback(text, integer, text) IS
'adds a version with the content of an older one';

CREATE OR REPLACE FUNCTION theazo.definition_get(definition text, api_key text DEFAULT NULL)
RETURNS theazo.definitions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'definition:read');
	PERFORM theazo_internal.refuse_narrowed('a definition');
	RETURN theazo_internal.definition_shown(definition);
END $$;
COMMENT ON FUNCTION theazo.definition_get(text, text) IS 'one definition, current version';

CREATE OR REPLACE FUNCTION theazo.definition_delete(definition text, api_key text DEFAULT NULL)
RETURNS theazo.definitions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d theazo_data.definition;
	result theazo.definitions;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'definition:write');
	PERFORM theazo_internal.shared_change_check('a definition');
	d := theazo_internal.definition_lock(definition);
	result := theazo_internal.definition_shown(d.id);
	UPDATE theazo_data.definition t SET deleted_at = pg_catalog.now()
	 WHERE t.platform_id = d.platform_id AND t.id = d.id;
	PERFORM theazo_internal.event_write(d.platform_id, 'control', 'definition_deleted',
		pg_catalog.jsonb_build_object('definitionId', d.id, 'name', d.name, 'version', d.version),
		NULL, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.definition_delete(text, text) IS
'deletes a definition; agents made from it keep what they have';
