-- definition.sql: agent definitions as REST shows them.

CREATE OR REPLACE FUNCTION theazo_internal.rest_definition(d theazo.definitions)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object(
	'id', d.id, 'name', d.name, 'version', d.version, 'description', coalesce(d.description, ''), 'compute', d.compute,
	'model', coalesce(CASE pg_catalog.jsonb_typeof(d.model) WHEN 'string' THEN d.model #>> '{}'
						   WHEN 'object' THEN coalesce(d.model ->> 'model', d.model ->> 'name') END, 'anthropic/claude-sonnet-4-20250514'),
	'instructions', coalesce(d.instructions, ''), 'tools', coalesce(d.tools, '[]'),
	'browser', coalesce((d.content ->> 'browser')::boolean, false),
	'timeout', pg_catalog.trim_scale(coalesce((d.content ->> 'timeout')::numeric, 300)) || 's',
	'config', coalesce(d.content -> 'config', '{}'), 'createdAt', theazo_internal.rest_at(d.created_at));
COMMENT ON FUNCTION theazo_internal.rest_definition(theazo.definitions) IS
'a Definition';

CREATE OR REPLACE FUNCTION theazo_internal.rest_definition_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_definition(theazo.definition_create(theazo_internal.rest_text(a, 'name', true, 200),
		theazo_internal.rest_options(a) - 'definition' - 'overrides'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_definition_create(jsonb) IS
'POST /v1/agent-definitions';

CREATE OR REPLACE FUNCTION theazo_internal.rest_definition_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.enter(NULL, 'definition:read');
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_definition(x.d) ORDER BY x.id DESC), '[]')
			  FROM (SELECT d, d.id::text COLLATE "C" AS id FROM theazo.definitions d ORDER BY d.id DESC LIMIT 1000) x);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_definition_list(jsonb) IS
'GET /v1/agent-definitions';

CREATE OR REPLACE FUNCTION theazo_internal.rest_definition_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_definition(theazo.definition_get(a ->> 'id'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_definition_get(jsonb) IS
'GET /v1/agent-definitions/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_definition_update(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_definition(theazo.definition_update(a ->> 'id',
		theazo_internal.rest_options(a) - 'definition' - 'overrides', coalesce(theazo_internal.rest_text(a, 'changelog', false, 2000), '')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_definition_update(jsonb) IS
'PUT /v1/agent-definitions/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_definition_rollback(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.definition_rollback(a ->> 'id', theazo_internal.rest_int(a, 'version', true, 1, 2147483647)::integer);
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_definition_rollback(jsonb) IS
'POST /v1/agent-definitions/:id/rollback';

CREATE OR REPLACE FUNCTION theazo_internal.rest_definition_versions(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	d theazo.definitions := theazo.definition_get(a ->> 'id');
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('version', v.version, 'createdAt', theazo_internal.rest_at(v.created_at),
					'changelog', coalesce(v.changelog, '')) ORDER BY v.version DESC), '[]')
			  FROM (SELECT x.* FROM theazo.definition_versions x WHERE x.definition_id = d.id ORDER BY x.version DESC LIMIT 1000) v);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_definition_versions(jsonb) IS
'GET /v1/agent-definitions/:id/versions';

CREATE OR REPLACE FUNCTION theazo_internal.rest_definition_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.definition_delete(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_definition_delete(jsonb) IS
'DELETE /v1/agent-definitions/:id';
