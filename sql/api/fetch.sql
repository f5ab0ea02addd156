-- fetch.sql: HTTP requests on behalf of an agent, sent by the server and not by its sandbox.
--
-- A run like any other: written here, sent by a dispatcher, settled in a transaction of its own. Where a header names the
-- placeholder of a brokered secret, the dispatcher puts the value in, for the secret's own hosts only.

-- Form only; who may be asked is judged when the request is sent, by the one reader of URLs.
CREATE OR REPLACE FUNCTION theazo_internal.fetch_headers_check(p_headers jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_name	text;
	v_value	jsonb;
	v_seen	text[] := '{}';
	v_bytes	integer := 0;
BEGIN
	IF p_headers IS NULL OR jsonb_typeof(p_headers) = 'null' THEN
		RETURN '{}';
	ELSIF jsonb_typeof(p_headers) <> 'object' THEN
		PERFORM theazo_internal.raise_value('headers', 'must be an object of strings');
	END IF;
	FOR v_name, v_value IN SELECT h.key, h.value FROM jsonb_each(p_headers) h
	LOOP
		IF v_name !~ '^[A-Za-z0-9!#$%&''*+.^_`|~-]{1,128}$' THEN
			PERFORM theazo_internal.raise_value('headers', format('has a name that is no header: %s', theazo_internal.quoted(v_name)));
		ELSIF lower(v_name) ~ '^(host|content-length|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|http2-settings|accept-encoding|proxy-.*)$' THEN
			PERFORM theazo_internal.raise_value('headers', format('may not set %s', theazo_internal.quoted(v_name)),
				'Leave it out: it follows from the URL and the body.');
		ELSIF lower(v_name) = ANY (v_seen) THEN
			PERFORM theazo_internal.raise_value('headers', format('has %s twice', theazo_internal.quoted(v_name)),
				'Names of headers are the same in upper and lower case.');
		ELSIF jsonb_typeof(v_value) <> 'string' THEN
			PERFORM theazo_internal.raise_value('headers', format('has a value for %s that is no string', theazo_internal.quoted(v_name)));
		ELSIF octet_length(v_value #>> '{}') > 8192 THEN
			PERFORM theazo_internal.raise_value('headers', format('has a value for %s that is longer than 8 KiB', theazo_internal.quoted(v_name)));
		ELSIF (v_value #>> '{}') ~ '[\x01-\x08\x0a-\x1f\x7f]' THEN
			PERFORM theazo_internal.raise_value('headers', format('has a control character in %s', theazo_internal.quoted(v_name)),
				'A header is one line.');
		END IF;
		v_seen := v_seen || lower(v_name);
		v_bytes := v_bytes + octet_length(v_name) + octet_length(v_value #>> '{}');
	END LOOP;
	IF cardinality(v_seen) > 40 THEN
		PERFORM theazo_internal.raise_value('headers', format('has %s entries', cardinality(v_seen)), 'At most 40 are allowed.');
	ELSIF v_bytes > 32768 THEN
		PERFORM theazo_internal.raise_value('headers', format('is %s bytes large', v_bytes), 'At most 32 KiB are allowed.');
	END IF;
	RETURN p_headers;
END
$$;
COMMENT ON FUNCTION theazo_internal.fetch_headers_check(jsonb) IS
'headers of one request: an object of at most 40 strings, none that says where it goes or ends';

CREATE OR REPLACE FUNCTION theazo_internal.fetch_check(p_url text, p_method text, p_headers jsonb, p_body text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_method	text := upper(coalesce(p_method, 'GET'));
BEGIN
	IF p_url IS NULL OR octet_length(p_url) > 8000 OR p_url !~* '^https?://[a-z0-9._:%\[\]-]+([/?#][!-~]*)?$' THEN
		PERFORM theazo_internal.raise_value('url', 'is not a usable address',
			'Give https://host/path: no user, no spaces, at most 8000 bytes; host names in ASCII (xn--), other characters percent-encoded.');
	ELSIF v_method NOT IN ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS') THEN
		PERFORM theazo_internal.raise_value('method', format('%s is not known', theazo_internal.quoted(p_method)),
			'Use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.');
	ELSIF v_method IN ('GET', 'HEAD') AND p_body <> '' THEN
		PERFORM theazo_internal.raise_value('body', format('does not go with %s', v_method), 'Use another method, or put it into the URL.');
	ELSIF octet_length(p_body) > 1048576 THEN
		PERFORM theazo_internal.raise_value('body', format('is %s bytes large', octet_length(p_body)), 'At most 1 MiB is allowed.');
	END IF;
	RETURN jsonb_strip_nulls(jsonb_build_object('url', p_url, 'method', v_method,
		'headers', theazo_internal.fetch_headers_check(p_headers), 'body', nullif(p_body, ''), 'max_body', 102400));
END
$$;
COMMENT ON FUNCTION theazo_internal.fetch_check(text, text, jsonb, text) IS
'the request document of one HTTP request, checked for its form';

-- What binds an agent's sandbox binds what is sent in its name.
CREATE OR REPLACE FUNCTION theazo_internal.fetch_allowed(p_request jsonb, p_platform text, p_agent text)
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_allow jsonb;
BEGIN
	SELECT a.options -> 'network' -> 'allow' INTO v_allow FROM theazo_data.agent a WHERE a.platform_id = p_platform AND a.id = p_agent;
	IF jsonb_typeof(v_allow) = 'array' AND jsonb_array_length(v_allow) > 0 THEN
		RETURN p_request || jsonb_build_object('allow', v_allow);
	END IF;
	RETURN p_request;
END
$$;
COMMENT ON FUNCTION theazo_internal.fetch_allowed(jsonb, text, text) IS 'a request with the list of hosts its agent may reach, where it has one';

-- Run, effect, event and trace of one request. It needs no sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.fetch_make(p_platform text, p_agent text, p_request jsonb, p_timeout_ms integer)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a			theazo_data.agent;
	v_run		text := theazo_internal.id_new('run');
	v_root		text := substr(v_run, 5);
	v_env		text;
	v_repeat	boolean := p_request ->> 'method' IN ('GET', 'HEAD');
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent;
	SELECT s.key_environment INTO v_env FROM theazo_data.session s WHERE s.platform_id = p_platform AND s.id = a.session_id;
	PERFORM theazo_internal.gate_agent(CASE WHEN v_repeat THEN 'http.get' ELSE 'http.request' END, a, v_run,
		p_host => theazo_internal.url_host(p_request ->> 'url'));
	PERFORM theazo_internal.guardrails_request(a, theazo_internal.url_host(p_request ->> 'url'));
	p_request := theazo_internal.fetch_allowed(p_request, p_platform, p_agent);
	INSERT INTO theazo_data.run (platform_id, id, session_id, agent_id, user_id, environment, kind, provider, timeout_ms, trace_id, parent_id)
	VALUES (p_platform, v_run, a.session_id, p_agent, a.user_id, v_env, 'http_fetch', 'theazo', p_timeout_ms, 'tr_' || v_root,
			theazo_internal.current_run());
	INSERT INTO theazo_data.run_payload (platform_id, root_id, input) VALUES (p_platform, v_root, p_request);
	PERFORM theazo_internal.effect_enqueue(
		p_platform, v_root, CASE WHEN v_repeat THEN 'http.get' ELSE 'http.request' END, 'http', NULL, v_run, a.session_id, p_agent,
		p_timeout_ms => p_timeout_ms, p_max_attempts => CASE WHEN v_repeat THEN 2 ELSE 1 END);
	INSERT INTO theazo_data.span (platform_id, root_id, id, trace_id, environment, session_id, agent_id, run_id, name, status, started_at)
	VALUES (p_platform, v_root, 'tr_' || v_root, 'tr_' || v_root, v_env, a.session_id, p_agent, v_run, 'http_fetch', 'running', clock_timestamp());
	-- Never path or query: addresses carry keys more often than they should.
	PERFORM theazo_internal.event_write(p_platform, 'network', 'http_fetch',
		jsonb_build_object('method', p_request ->> 'method', 'host', theazo_internal.url_host(p_request ->> 'url'),
						   'bytes', octet_length(coalesce(p_request ->> 'body', ''))),
		a.session_id, p_agent, v_run, v_env);
	RETURN v_run;
END
$$;
COMMENT ON FUNCTION theazo_internal.fetch_make(text, text, jsonb, integer) IS
'writes run, payload, effect, event and trace of one HTTP request';

CREATE OR REPLACE FUNCTION theazo.http_fetch_start(
	agent text, url text, method text DEFAULT 'GET', headers jsonb DEFAULT NULL, body text DEFAULT NULL,
	timeout interval DEFAULT NULL, idempotency_key text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a			theazo_data.agent;
	v_ms		integer;
	v_request	jsonb;
	v_hash		bytea;
	v_run		text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	v_request := theazo_internal.fetch_check(url, method, headers, body);
	v_ms := theazo_internal.timeout_check(http_fetch_start.timeout);
	IF http_fetch_start.idempotency_key IS NOT NULL THEN
		v_hash := sha256(convert_to(jsonb_build_array(v_request, v_ms)::text, 'UTF8'));
		v_run := theazo_internal.idempotent_run('http_fetch:', http_fetch_start.agent, http_fetch_start.idempotency_key, v_hash);
		IF v_run IS NOT NULL THEN
			RETURN theazo_internal.run_row(v_run);
		END IF;
	END IF;
	a := theazo_internal.agent_take(http_fetch_start.agent, false);
	v_run := theazo_internal.fetch_make(a.platform_id, a.id, v_request, v_ms);
	PERFORM theazo_internal.idempotent_keep('http_fetch:', a.id, http_fetch_start.idempotency_key, v_hash, v_run);
	RETURN theazo_internal.run_row(v_run);
END
$$;
COMMENT ON FUNCTION theazo.http_fetch_start(text, text, text, jsonb, text, interval, text, text) IS
'starts an HTTP request from the server on behalf of an agent and returns the run at once';

-- The end of a request: any answer completes the run, whatever its status.
CREATE OR REPLACE FUNCTION theazo_internal.fetch_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r			theazo_data.run;
	v_request	jsonb;
	v_host		text;
	v_started	timestamptz := coalesce(p_started, e.claimed_at);
	v_ms		bigint;
BEGIN
	IF e.run_id IS NULL THEN
		UPDATE theazo_data.effect_payload x SET result = p_result
		 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
		RETURN;
	END IF;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = e.platform_id AND x.id = e.run_id;
	IF e.step_seq IS NULL THEN
		SELECT x.input INTO v_request FROM theazo_data.run_payload x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id;
	ELSE
		SELECT x.request INTO v_request FROM theazo_data.effect_payload x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
	END IF;
	v_host := coalesce(theazo_internal.url_host(v_request ->> 'url'), '');
	v_ms := round(extract(epoch FROM p_finished - coalesce(v_started, p_finished)) * 1000);
	IF r.kind = 'tool_test' THEN
		PERFORM theazo_internal.tool_test_settle(e, p_state, p_result, p_started, p_finished);
	ELSIF e.step_seq IS NULL THEN
		PERFORM theazo_internal.run_finish(e.platform_id, e.run_id,
			CASE p_state WHEN 'done' THEN 'completed' WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END,
			CASE WHEN p_state = 'done' THEN p_result END, NULL, CASE WHEN p_state <> 'done' THEN p_result END, 0,
			v_started, p_finished, p_state = 'unknown');
	ELSE
		PERFORM theazo_internal.tool_settle(e, p_state, p_result, NULL, v_started, p_finished);
	END IF;
	PERFORM theazo_internal.log_write(e.platform_id, e.root_id,
		CASE WHEN p_state IN ('done', 'cancelled') THEN 'info' ELSE 'warn' END, 'agent',
		CASE WHEN p_state = 'done'
			 THEN format('%s %s answered %s after %s ms', v_request ->> 'method', v_host, p_result ->> 'status', v_ms)
			 ELSE format('%s %s %s after %s ms: %s', v_request ->> 'method', v_host, CASE p_state WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END,
						 v_ms, coalesce(p_result ->> 'message', p_state)) END,
		r.environment, e.session_id, e.agent_id, e.run_id, r.user_id, r.provider, r.trace_id,
		jsonb_strip_nulls(jsonb_build_object('method', v_request ->> 'method', 'host', v_host, 'status', p_result -> 'status',
			'durationMs', v_ms, 'attempt', e.attempt, 'truncated', p_result -> 'truncated')));
	-- What was kept from leaving is for the audit as well.
	IF p_state = 'failed' AND p_result ->> 'sqlstate' IN ('TZ304', 'TZ405') THEN
		PERFORM theazo_internal.event_write(e.platform_id, 'network', 'http_fetch_refused',
			jsonb_build_object('host', v_host, 'sqlstate', p_result ->> 'sqlstate', 'reason', theazo_internal.mask_left(p_result ->> 'message', 300)),
			e.session_id, e.agent_id, e.run_id, r.environment, 'deny', NULL, true);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.fetch_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'what the end of an HTTP request means for its run';
