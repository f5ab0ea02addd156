-- exec.sql: code and files in an agent's sandbox: what may be asked, and the calls that ask.

-- ----------------------------------------------------------------------------
-- Checks
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.language_check(p_language text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CASE lower(left(p_language, 20))
		WHEN 'python', 'node', 'go', 'sh', 'bash' THEN RETURN lower(p_language);
		WHEN 'javascript', 'js' THEN RETURN 'node';
		WHEN 'shell' THEN RETURN 'sh';
		ELSE
			PERFORM theazo_internal.raise_value('language', format('%s is not known', theazo_internal.quoted(p_language)),
				'Use python, node, go, sh or bash.');
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.language_check(text) IS 'canonical name of a language';

-- The leading slash of a path is the sandbox's working directory. Returns the path without dots and double slashes.
CREATE OR REPLACE FUNCTION theazo_internal.path_check(p_path text, p_is_directory boolean)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_field	text := CASE WHEN p_is_directory THEN 'dir' ELSE 'path' END;
	v_part	text;
	v_out	text[] := '{}';
BEGIN
	IF p_path IS NULL OR p_path = '' THEN
		PERFORM theazo_internal.raise_value(v_field, 'is empty', 'Name a file below the working directory, such as /data/input.csv.');
	ELSIF octet_length(p_path) > 4096 THEN
		PERFORM theazo_internal.raise_value(v_field, format('is %s bytes long', octet_length(p_path)), 'At most 4096 bytes are allowed.');
	ELSIF p_path ~ '[\x01-\x1f\x7f]' THEN
		PERFORM theazo_internal.raise_value(v_field, 'contains control characters', 'Use printable characters only.');
	END IF;
	FOREACH v_part IN ARRAY string_to_array(p_path, '/')
	LOOP
		CONTINUE WHEN v_part IN ('', '.');
		IF v_part = '..' THEN
			IF cardinality(v_out) = 0 THEN
				PERFORM theazo_internal.raise_value(v_field, format('%s climbs out of the sandbox''s working directory', theazo_internal.quoted(p_path)),
					'Paths begin at the working directory.');
			END IF;
			v_out := v_out[1:cardinality(v_out) - 1];
		ELSIF octet_length(v_part) > 255 THEN
			PERFORM theazo_internal.raise_value(v_field, 'has a name longer than 255 bytes');
		ELSE
			v_out := v_out || v_part;
		END IF;
	END LOOP;
	IF NOT p_is_directory AND (cardinality(v_out) = 0 OR right(p_path, 1) = '/') THEN
		PERFORM theazo_internal.raise_value(v_field, format('%s names a directory', theazo_internal.quoted(p_path)), 'Name a file.');
	END IF;
	RETURN '/' || array_to_string(v_out, '/');
END
$$;
COMMENT ON FUNCTION theazo_internal.path_check(text, boolean) IS
'a path in a sandbox, cleaned; 22023 when it climbs out';

CREATE OR REPLACE FUNCTION theazo_internal.env_check(p_env jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_key	text;
	v_value	jsonb;
	v_bytes	integer := 0;
	v_n		integer := 0;
BEGIN
	IF p_env IS NULL OR jsonb_typeof(p_env) = 'null' THEN
		RETURN '{}';
	ELSIF jsonb_typeof(p_env) <> 'object' THEN
		PERFORM theazo_internal.raise_value('env', 'must be an object of strings');
	END IF;
	FOR v_key, v_value IN SELECT e.key, e.value FROM jsonb_each(p_env) e
	LOOP
		IF v_key !~ '^[A-Za-z_][A-Za-z0-9_]{0,127}$' THEN
			PERFORM theazo_internal.raise_value('env', format('has a name that is no variable: %s', theazo_internal.quoted(v_key)),
				'Names are letters, digits and underscores, not beginning with a digit.');
		ELSIF upper(v_key) LIKE 'THEAZO\_%' THEN
			PERFORM theazo_internal.raise_value('env', format('may not set %s', theazo_internal.quoted(v_key)), 'Names beginning with THEAZO_ are reserved.');
		ELSIF jsonb_typeof(v_value) <> 'string' THEN
			PERFORM theazo_internal.raise_value('env', format('has a value for %s that is no string', theazo_internal.quoted(v_key)));
		END IF;
		v_n := v_n + 1;
		v_bytes := v_bytes + octet_length(v_key) + octet_length(v_value #>> '{}');
	END LOOP;
	IF v_n > 64 THEN
		PERFORM theazo_internal.raise_value('env', format('has %s entries', v_n), 'At most 64 are allowed.');
	ELSIF v_bytes > 32768 THEN
		PERFORM theazo_internal.raise_value('env', format('is %s bytes large', v_bytes), 'At most 32 KiB are allowed.');
	END IF;
	RETURN p_env;
END
$$;
COMMENT ON FUNCTION theazo_internal.env_check(jsonb) IS 'environment of one exec: an object of at most 64 strings, 32 KiB';

-- An interval as milliseconds; null takes the setting.
CREATE OR REPLACE FUNCTION theazo_internal.timeout_check(p_timeout interval)
RETURNS integer
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_seconds numeric := extract(epoch FROM coalesce(p_timeout, current_setting('theazo.run_timeout', true)::interval, '60 s'));
BEGIN
	IF v_seconds <= 0 THEN
		PERFORM theazo_internal.raise_value('timeout', 'must be above zero');
	ELSIF v_seconds > 86400 THEN
		PERFORM theazo_internal.raise_value('timeout', 'is longer than a day', 'At most 24 hours are allowed.');
	END IF;
	RETURN greatest(1, ceil(v_seconds * 1000))::integer;
END
$$;
COMMENT ON FUNCTION theazo_internal.timeout_check(interval) IS 'a time limit in milliseconds; null takes theazo.run_timeout';

-- ----------------------------------------------------------------------------
-- Calls
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo.exec_start(
	agent text, language text, code text, timeout interval DEFAULT NULL, env jsonb DEFAULT NULL,
	idempotency_key text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a			theazo_data.agent;
	v_language	text;
	v_ms		integer;
	v_env		jsonb;
	v_hash		bytea;
	v_run		text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	v_language := theazo_internal.language_check(exec_start.language);
	IF code IS NULL THEN
		PERFORM theazo_internal.raise_value('code', 'is missing');
	ELSIF octet_length(code) > 1048576 THEN
		PERFORM theazo_internal.raise_value('code', format('is %s bytes large', octet_length(code)),
			'At most 1 MiB is allowed; write larger programs with theazo.file_write() and run them from there.');
	END IF;
	v_ms := theazo_internal.timeout_check(exec_start.timeout);
	v_env := theazo_internal.env_check(exec_start.env);
	IF exec_start.idempotency_key IS NOT NULL THEN
		v_hash := sha256(convert_to(jsonb_build_array(v_language, code, v_ms, v_env)::text, 'UTF8'));
		v_run := theazo_internal.idempotent_run('exec:', exec_start.agent, exec_start.idempotency_key, v_hash);
		IF v_run IS NOT NULL THEN
			RETURN theazo_internal.run_row(v_run);
		END IF;
	END IF;
	a := theazo_internal.agent_take(exec_start.agent, true);
	v_ms := least(v_ms, theazo_internal.policy_time_ms(theazo_internal.policy_of(a)));
	v_run := theazo_internal.run_make(
		a.platform_id, a.id, 'exec', 'exec',
		jsonb_build_object('language', v_language, 'code', code, 'timeout_ms', v_ms, 'env', v_env, 'max_output', 1048576)
			|| theazo_internal.output_request(theazo_internal.guardrails_of(a), 1, false),
		NULL, v_language, v_ms, v_ms + 5000,
		jsonb_build_object('language', v_language, 'bytes', octet_length(code), 'input', theazo_internal.excerpt(code)));
	PERFORM theazo_internal.idempotent_keep('exec:', a.id, exec_start.idempotency_key, v_hash, v_run);
	RETURN theazo_internal.run_row(v_run);
END
$$;
COMMENT ON FUNCTION theazo.exec_start(text, text, text, interval, jsonb, text, text) IS
'starts code in an agent''s sandbox and returns the run at once';

CREATE OR REPLACE FUNCTION theazo.file_write_start(agent text, path text, content bytea, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a		theazo_data.agent;
	v_path	text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'file:write');
	v_path := theazo_internal.path_check(file_write_start.path, false);
	IF content IS NULL THEN
		PERFORM theazo_internal.raise_value('content', 'is missing');
	ELSIF octet_length(content) > 16777216 THEN
		PERFORM theazo_internal.raise_value('content', format('is %s bytes large', octet_length(content)), 'At most 16 MiB are allowed.');
	END IF;
	a := theazo_internal.agent_take(file_write_start.agent, false);
	RETURN theazo_internal.run_row(theazo_internal.run_make(
		a.platform_id, a.id, 'file_write', 'write', jsonb_build_object('path', v_path), content, NULL, 30000, 30000,
		jsonb_build_object('path', v_path, 'bytes', octet_length(content))));
END
$$;
COMMENT ON FUNCTION theazo.file_write_start(text, text, bytea, text) IS 'starts writing a file into an agent''s sandbox';

CREATE OR REPLACE FUNCTION theazo.file_read_start(agent text, path text, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a		theazo_data.agent;
	v_path	text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'file:read');
	v_path := theazo_internal.path_check(file_read_start.path, false);
	a := theazo_internal.agent_take(file_read_start.agent, false);
	RETURN theazo_internal.run_row(theazo_internal.run_make(
		a.platform_id, a.id, 'file_read', 'read', jsonb_build_object('path', v_path, 'max_bytes', 16777216), NULL, NULL, 30000, 30000,
		jsonb_build_object('path', v_path)));
END
$$;
COMMENT ON FUNCTION theazo.file_read_start(text, text, text) IS 'starts reading a file of an agent''s sandbox';

CREATE OR REPLACE FUNCTION theazo.file_list_start(agent text, dir text DEFAULT '/', api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a		theazo_data.agent;
	v_dir	text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'file:read');
	v_dir := theazo_internal.path_check(coalesce(file_list_start.dir, '/'), true);
	a := theazo_internal.agent_take(file_list_start.agent, false);
	RETURN theazo_internal.run_row(theazo_internal.run_make(
		a.platform_id, a.id, 'file_list', 'list', jsonb_build_object('dir', v_dir), NULL, NULL, 30000, 30000,
		jsonb_build_object('dir', v_dir)));
END
$$;
COMMENT ON FUNCTION theazo.file_list_start(text, text, text) IS 'starts listing a directory of an agent''s sandbox';

CREATE OR REPLACE FUNCTION theazo.metrics_start(agent text, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a	theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	a := theazo_internal.agent_take(metrics_start.agent, false);
	RETURN theazo_internal.run_row(theazo_internal.run_make(
		a.platform_id, a.id, 'metrics', 'metrics', '{}', NULL, NULL, 30000, 30000, NULL));
END
$$;
COMMENT ON FUNCTION theazo.metrics_start(text, text) IS 'starts reading processor, memory and disk use of an agent''s sandbox';

CREATE OR REPLACE FUNCTION theazo.port_expose_start(agent text, port integer, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a	theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	IF port_expose_start.port IS NULL OR port_expose_start.port NOT BETWEEN 1 AND 65535 THEN
		PERFORM theazo_internal.raise_value('port', 'must be from 1 to 65535');
	END IF;
	a := theazo_internal.agent_take(port_expose_start.agent, false);
	RETURN theazo_internal.run_row(theazo_internal.run_make(
		a.platform_id, a.id, 'port_expose', 'expose_port', jsonb_build_object('port', port_expose_start.port), NULL, NULL, 30000, 30000,
		jsonb_build_object('port', port_expose_start.port)));
END
$$;
COMMENT ON FUNCTION theazo.port_expose_start(text, integer, text) IS
'starts making a port of an agent''s sandbox reachable; whoever has the address reaches it';
