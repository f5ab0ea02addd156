-- tool_set.sql: a platform's own tools: webhooks, and functions of this database.

CREATE OR REPLACE VIEW theazo.tools WITH (security_barrier) AS
	SELECT t.platform_id, t.name, t.description, t.parameters, t.type, t.url, t.sql_function, t.read_only, t.timeout_ms, t.requires_approval,
		   t.created_at, t.updated_at, false AS builtin, NULL::text AS secret
	  FROM theazo_data.tool t
	 WHERE (SELECT theazo_internal.may_read('tool:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.tools IS
'the platform''s own tools; the built-in ones are in theazo.tool_list(). secret is empty: theazo.tool_set() shows it once';

CREATE OR REPLACE FUNCTION theazo_internal.schema_check(p_field text, p_schema jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_why text;
BEGIN
	IF p_schema IS NULL OR jsonb_typeof(p_schema) <> 'object' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be an object', 'Give a JSON schema, such as {"type": "object", "properties": {}}.');
	ELSIF octet_length(p_schema::text) > 65536 THEN
		PERFORM theazo_internal.raise_value(p_field, 'is larger than 64 KiB');
	END IF;
	v_why := theazo_internal.json_schema_valid(p_schema);
	IF v_why IS NOT NULL THEN
		PERFORM theazo_internal.raise_value(p_field, 'is no JSON schema: ' || v_why);
	END IF;
	RETURN p_schema;
END
$$;
COMMENT ON FUNCTION theazo_internal.schema_check(text, jsonb) IS 'a JSON schema of at most 64 KiB, or 22023';

-- A handler's address may have a query, which a provider's base may not.
CREATE OR REPLACE FUNCTION theazo_internal.handler_check(p_url text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_url LIKE '%#%' THEN
		PERFORM theazo_internal.raise_value('url', 'has a fragment, which is never sent');
	END IF;
	PERFORM theazo_internal.endpoint_check('url', split_part(p_url, '?', 1), theazo_internal.platform_http());
	PERFORM theazo_internal.fetch_check(p_url, 'POST', NULL, NULL);
	RETURN p_url;
END
$$;
COMMENT ON FUNCTION theazo_internal.handler_check(text) IS 'address of a tool''s handler: https, or http where the operator allows it';

-- A function by schema.name or schema.name(types). The catalog is read instead of casting to regprocedure,
-- which needs the right to use the schema: the caller has it, the owner of this function need not.
CREATE OR REPLACE FUNCTION theazo_internal.tool_function_find(p_function text)
RETURNS pg_catalog.pg_proc
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_hint	CONSTANT text := 'Give schema.name, or schema.name(argument types) where several functions have the name.';
	v_parts	text[];
	v_types	text := substring(p_function FROM '^[^(]*\((.*)\)\s*$');
	v_found	pg_proc;
	v_n		integer;
BEGIN
	IF p_function IS NULL OR octet_length(p_function) > 1000 THEN
		PERFORM theazo_internal.raise_value('sql_function', 'must have 1 to 1000 bytes', v_hint);
	END IF;
	BEGIN
		v_parts := parse_ident(split_part(p_function, '(', 1));
	EXCEPTION WHEN invalid_parameter_value THEN
		v_parts := NULL;
	END;
	IF cardinality(v_parts) IS DISTINCT FROM 2 OR p_function LIKE '%(%' AND v_types IS NULL THEN
		PERFORM theazo_internal.raise_value('sql_function', format('names no function: %s', theazo_internal.quoted(p_function)), v_hint);
	END IF;
	-- int for integer, and the like: what needs no schema is read as the server reads it
	IF v_types !~ '["().]' THEN
		BEGIN
			SELECT string_agg(coalesce(to_regtype(t)::text, t), ',' ORDER BY o) INTO v_types
			  FROM unnest(string_to_array(v_types, ',')) WITH ORDINALITY AS x (t, o) WHERE btrim(t) <> '';
			v_types := coalesce(v_types, '');
		EXCEPTION WHEN syntax_error OR invalid_parameter_value THEN
			NULL;
		END;
	END IF;
	SELECT count(*) INTO v_n FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	 WHERE n.nspname = v_parts[1] AND p.proname = v_parts[2]
	   AND (v_types IS NULL OR replace(oidvectortypes(p.proargtypes), ' ', '') = lower(replace(v_types, ' ', '')));
	IF v_n = 0 THEN
		PERFORM theazo_internal.raise_value('sql_function', format('names no function: %s', theazo_internal.quoted(p_function)), v_hint);
	ELSIF v_n > 1 THEN
		PERFORM theazo_internal.raise_value('sql_function', format('names %s functions', v_n), v_hint);
	END IF;
	SELECT p.* INTO v_found FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	 WHERE n.nspname = v_parts[1] AND p.proname = v_parts[2]
	   AND (v_types IS NULL OR replace(oidvectortypes(p.proargtypes), ' ', '') = lower(replace(v_types, ' ', '')));
	RETURN v_found;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_function_find(text) IS 'the function that a tool is to be, or 22023';

-- EXECUTE that was given to this role, not to everybody: functions are open to PUBLIC unless somebody thought of it.
CREATE OR REPLACE FUNCTION theazo_internal.tool_function_check(p pg_catalog.pg_proc, p_role name)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_schema name := (SELECT n.nspname FROM pg_namespace n WHERE n.oid = p.pronamespace);
BEGIN
	IF v_schema IN ('pg_catalog', 'information_schema', 'theazo') OR v_schema LIKE 'pg\_%' OR v_schema LIKE 'theazo\_%' THEN
		PERFORM theazo_internal.raise_value('sql_function', format('lies in schema "%s"', v_schema),
			'Functions of the system and of theazo are no tools; write one of your own around it.');
	ELSIF p.prokind <> 'f' OR p.provariadic <> 0
		OR EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype) AND t.typtype = 'p'
					AND t.oid NOT IN ('record'::regtype, 'void'::regtype)) THEN
		PERFORM theazo_internal.raise_value('sql_function', 'cannot be called with JSON',
			'Use a plain function, not a procedure, aggregate or trigger, without polymorphic or variadic arguments.');
	ELSIF NOT theazo_internal.tool_takes_document(p) AND cardinality(theazo_internal.tool_arguments(p)) < p.pronargs THEN
		PERFORM theazo_internal.raise_value('sql_function', 'has arguments without names',
			'Name every argument, or take one of type jsonb.');
	ELSIF NOT pg_has_role(p_role, p.proowner, 'USAGE')
		AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) a
						 WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> 0 AND pg_has_role(p_role, a.grantee, 'USAGE')) THEN
		PERFORM theazo_internal.event_refused(NULL, 'permission', 'permission_denied',
			jsonb_build_object('code', '42501', 'role', p_role, 'function', format('%I.%I', v_schema, p.proname)), p_rule => 'function_not_granted',
			p_is_violation => true, p_permission => 'denied');
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('role %s has not been granted function %I.%I', theazo_internal.quoted(p_role), v_schema, p.proname),
			DETAIL = 'What PUBLIC may execute does not count: a tool is granted on purpose.',
			HINT = format('GRANT EXECUTE ON FUNCTION %I.%I(%s) TO %I;', v_schema, p.proname, oidvectortypes(p.proargtypes), p_role);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_function_check(pg_catalog.pg_proc, name) IS
'22023 for a function that cannot be a tool, 42501 for one that was not granted to this role';

-- One argument of type json or jsonb: it gets the whole object.
CREATE OR REPLACE FUNCTION theazo_internal.tool_takes_document(p pg_catalog.pg_proc)
RETURNS boolean LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.pronargs = 1 AND p.proargtypes[0] IN ('json'::regtype, 'jsonb'::regtype)
$$;
COMMENT ON FUNCTION theazo_internal.tool_takes_document(pg_catalog.pg_proc) IS 'does a function take the arguments as one document';

-- Names of what goes in.
CREATE OR REPLACE FUNCTION theazo_internal.tool_arguments(p pg_catalog.pg_proc)
RETURNS text[] LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(a.name ORDER BY a.ord), '{}')
	  FROM unnest(p.proargnames) WITH ORDINALITY AS a (name, ord)
	 WHERE a.name <> '' AND coalesce(p.proargmodes[a.ord] IN ('i', 'b'), true)
$$;
COMMENT ON FUNCTION theazo_internal.tool_arguments(pg_catalog.pg_proc) IS 'names of a function''s input arguments';

-- A schema made of a function's arguments.
CREATE OR REPLACE FUNCTION theazo_internal.tool_schema(p pg_catalog.pg_proc)
RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN theazo_internal.tool_takes_document(p) THEN '{"type": "object"}'
		ELSE jsonb_build_object('type', 'object', 'additionalProperties', false,
			'properties', coalesce(jsonb_object_agg(a.name, CASE
				WHEN t.typcategory = 'B' THEN '{"type": "boolean"}'
				WHEN t.oid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN '{"type": "integer"}'
				WHEN t.typcategory = 'N' THEN '{"type": "number"}'
				WHEN t.oid IN ('json'::regtype, 'jsonb'::regtype) THEN '{}'
				WHEN t.typcategory = 'A' THEN '{"type": "array"}'
				WHEN t.typtype = 'c' THEN '{"type": "object"}'
				ELSE '{"type": "string"}' END::jsonb) FILTER (WHERE a.name IS NOT NULL), '{}'),
			'required', coalesce(jsonb_agg(a.name ORDER BY a.ord) FILTER (WHERE a.ord <= p.pronargs - p.pronargdefaults), '[]')) END
	  FROM unnest(theazo_internal.tool_arguments(p)) WITH ORDINALITY AS a (name, ord)
	  LEFT JOIN pg_type t ON t.oid = p.proargtypes[a.ord::integer - 1]
$$;
COMMENT ON FUNCTION theazo_internal.tool_schema(pg_catalog.pg_proc) IS 'JSON schema of a function''s arguments';

CREATE OR REPLACE FUNCTION theazo.tool_set(
	name text, description text, parameters jsonb DEFAULT NULL, url text DEFAULT NULL, sql_function text DEFAULT NULL,
	read_only boolean DEFAULT true, timeout interval DEFAULT '30 s', requires_approval boolean DEFAULT false, api_key text DEFAULT NULL)
RETURNS theazo.tools
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here		text;
	v_ms		integer;
	v_secret	text;
	v_ref		text;
	v_unknown	text;
	p			pg_proc;
	was			theazo_data.tool;
	result		theazo.tools;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'tool:write');
	PERFORM theazo_internal.shared_change_check('a tool');
	v_here := theazo_internal.current_platform();
	IF tool_set.name IS NULL OR tool_set.name !~ '^[A-Za-z0-9_-]{1,64}$' THEN
		PERFORM theazo_internal.raise_value('name', 'must have 1 to 64 letters, digits, underscores or hyphens');
	ELSIF EXISTS (SELECT FROM theazo_internal.tool_builtins() b WHERE b.name = tool_set.name) OR tool_set.name = 'search_knowledge' THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('tool "%s" is built in', tool_set.name), HINT = 'Choose another name.';
	ELSIF description IS NULL OR btrim(description) = '' OR octet_length(description) > 4096 THEN
		PERFORM theazo_internal.raise_value('description', 'must have 1 to 4096 bytes', 'Say what the tool does and when to use it: the model reads it.');
	ELSIF (url IS NULL) = (sql_function IS NULL) THEN
		PERFORM theazo_internal.raise_value('url', 'or sql_function must be given, and not both');
	ELSIF url IS NOT NULL AND NOT coalesce(read_only, true) THEN
		PERFORM theazo_internal.raise_value('read_only', 'is about functions of the database, not about handlers', 'Leave it out.');
	END IF;
	v_ms := theazo_internal.timeout_check(coalesce(tool_set.timeout, '30 s'));
	IF v_ms NOT BETWEEN 100 AND 300000 THEN
		PERFORM theazo_internal.raise_value('timeout', 'must be from 0.1 to 300 seconds');
	END IF;
	SELECT * INTO was FROM theazo_data.tool t WHERE t.platform_id = v_here AND t.name = tool_set.name FOR UPDATE;
	IF NOT FOUND AND (SELECT count(*) FROM theazo_data.tool t WHERE t.platform_id = v_here) >= 200 THEN
		PERFORM theazo_internal.raise_ceiling('tools', 200, 'Delete those that are not used.');
	END IF;
	IF url IS NOT NULL THEN
		url := theazo_internal.handler_check(url);
		parameters := theazo_internal.schema_check('parameters', parameters);
		v_secret := 'tlsec_' || encode(theazo_internal.random_bytes(32), 'hex');
		v_ref := 'tool.' || tool_set.name;
		IF was.secret_ref IS NULL
			AND EXISTS (SELECT FROM theazo_data.secret s WHERE s.platform_id = v_here AND s.session_id = '' AND s.name = v_ref) THEN
			RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('secret "%s" is in the way', v_ref),
				DETAIL = 'The key a tool is signed with is kept under this name.', HINT = 'Delete the secret, or choose another name for the tool.';
		END IF;
		PERFORM theazo_internal.secret_set_row(v_here, '', v_ref, v_secret, 'env', '{}', NULL, NULL);
	ELSE
		p := theazo_internal.tool_function_find(sql_function);
		PERFORM theazo_internal.tool_function_check(p, theazo_internal.outer_role());
		sql_function := p.oid::regprocedure::text;
		parameters := theazo_internal.schema_check('parameters', coalesce(parameters, theazo_internal.tool_schema(p)));
		IF NOT theazo_internal.tool_takes_document(p) AND jsonb_typeof(parameters -> 'properties') = 'object' THEN
			SELECT min(k) INTO v_unknown FROM jsonb_object_keys(parameters -> 'properties') k WHERE NOT k = ANY (theazo_internal.tool_arguments(p));
			IF v_unknown IS NOT NULL THEN
				PERFORM theazo_internal.raise_value('parameters', format('has %s, which is no argument of %s', theazo_internal.quoted(v_unknown), sql_function),
					'Its arguments are: ' || coalesce(nullif(array_to_string(theazo_internal.tool_arguments(p), ', '), ''), 'none') || '.');
			END IF;
		END IF;
	END IF;
	IF parameters ->> 'type' IS DISTINCT FROM 'object' THEN
		PERFORM theazo_internal.raise_value('parameters', 'must describe an object', 'Arguments have names: {"type": "object", "properties": {...}}.');
	END IF;
	INSERT INTO theazo_data.tool AS t (platform_id, name, description, parameters, type, url, secret_ref, sql_function, read_only, timeout_ms, requires_approval)
	VALUES (v_here, tool_set.name, tool_set.description, tool_set.parameters, CASE WHEN url IS NOT NULL THEN 'webhook' ELSE 'sql' END, tool_set.url, v_ref,
			tool_set.sql_function, coalesce(tool_set.read_only, true), v_ms, coalesce(tool_set.requires_approval, false))
	ON CONFLICT ON CONSTRAINT tool_pkey DO UPDATE
	   SET description = excluded.description, parameters = excluded.parameters, type = excluded.type, url = excluded.url,
		   secret_ref = excluded.secret_ref, sql_function = excluded.sql_function, read_only = excluded.read_only, timeout_ms = excluded.timeout_ms,
		   requires_approval = excluded.requires_approval, updated_at = now();
	IF was.secret_ref IS NOT NULL AND v_ref IS NULL THEN
		PERFORM theazo_internal.secret_drop(v_here, '', was.secret_ref, true);
	END IF;
	SELECT * INTO STRICT result FROM theazo.tools t WHERE t.platform_id = v_here AND t.name = tool_set.name;
	PERFORM theazo_internal.event_write(v_here, 'control', 'tool_set',
		jsonb_strip_nulls(jsonb_build_object('name', result.name, 'type', result.type, 'url', split_part(result.url, '?', 1), 'function', result.sql_function,
			'readOnly', CASE WHEN result.type = 'sql' THEN result.read_only END, 'requiresApproval', result.requires_approval)),
		NULL, NULL, NULL, theazo_internal.current_environment());
	result.secret := v_secret;
	RETURN result;
END
$$;
COMMENT ON FUNCTION theazo.tool_set(text, text, jsonb, text, text, boolean, interval, boolean, text) IS
'registers or replaces a tool: a webhook (its signing secret is shown once, here) or a function of this database';

CREATE OR REPLACE FUNCTION theazo.tool_list(api_key text DEFAULT NULL)
RETURNS SETOF theazo.tools
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'tool:read');
	PERFORM theazo_internal.refuse_narrowed('the list of tools');
	RETURN QUERY
	SELECT theazo_internal.current_platform()::theazo.id, b.name, b.description, b.parameters, 'builtin'::text, NULL::text, NULL::text, NULL::boolean,
		   NULL::integer, false, NULL::timestamptz, NULL::timestamptz, true, NULL::text
	  FROM theazo_internal.tool_builtins() b ORDER BY b.name COLLATE "C";
	RETURN QUERY
	SELECT t.* FROM theazo.tools t WHERE t.platform_id = theazo_internal.current_platform() ORDER BY t.name COLLATE "C";
END
$$;
COMMENT ON FUNCTION theazo.tool_list(text) IS 'tools that agents may be given: the built-in ones, then the platform''s own';

CREATE OR REPLACE FUNCTION theazo.tool_delete(name text, api_key text DEFAULT NULL)
RETURNS theazo.tools
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text;
	was		theazo_data.tool;
	result	theazo.tools;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'tool:write');
	PERFORM theazo_internal.shared_change_check('a tool');
	v_here := theazo_internal.current_platform();
	IF EXISTS (SELECT FROM theazo_internal.tool_builtins() b WHERE b.name = tool_delete.name) THEN
		PERFORM theazo_internal.raise_scope(format('tool "%s" is built in', tool_delete.name), 'builtin', 'Leave it out of an agent''s tools instead.');
	END IF;
	SELECT * INTO was FROM theazo_data.tool t WHERE t.platform_id = v_here AND t.name = tool_delete.name FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('tool', tool_delete.name);
	END IF;
	SELECT * INTO STRICT result FROM theazo.tools t WHERE t.platform_id = v_here AND t.name = tool_delete.name;
	DELETE FROM theazo_data.tool t WHERE t.platform_id = v_here AND t.name = tool_delete.name;
	IF was.secret_ref IS NOT NULL
		AND EXISTS (SELECT FROM theazo_data.secret s WHERE s.platform_id = v_here AND s.session_id = '' AND s.name = was.secret_ref) THEN
		PERFORM theazo_internal.secret_drop(v_here, '', was.secret_ref, true);
	END IF;
	PERFORM theazo_internal.event_write(v_here, 'control', 'tool_deleted', jsonb_build_object('name', result.name, 'type', result.type),
		NULL, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END
$$;
COMMENT ON FUNCTION theazo.tool_delete(text, text) IS 'deletes a tool of the platform; calls under way end, later ones are unknown to the model';
