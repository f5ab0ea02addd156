-- host_call.sql: what code asks of its host: judged, counted, carried out, taken down.
--
-- What comes here is what a hostile program chose to send: a name out of a fixed list, arguments as JSON. Each call passes the
-- gate under the policy its execution began with. A refusal is an answer; the code goes on.

-- What a call is for the gate, whether it counts against the limit, and how many arguments it takes.
CREATE OR REPLACE FUNCTION theazo_internal.host_functions()
RETURNS TABLE (fn text, kind text, counts boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
VALUES
	('http_request',  'http.fetch',    true),
	('read_context',  'context.read',  true),
	('write_context', 'context.write', true)
$$;
COMMENT ON FUNCTION theazo_internal.host_functions() IS 'functions of the host that are judged; log and write_result are taken down where the code runs';

CREATE OR REPLACE FUNCTION theazo_internal.host_error(p_code text, p_message text)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN pg_catalog.jsonb_build_object('error', pg_catalog.jsonb_build_object('name', 'HostError', 'code', p_code, 'message', pg_catalog."left"(p_message, 1000)));
COMMENT ON FUNCTION theazo_internal.host_error(text, text) IS 'the answer to a call that is refused';

-- Arguments for people: cut and masked, and of a request never the query, the headers' values or the body.
CREATE OR REPLACE FUNCTION theazo_internal.host_summary(p_fn text, p_args jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN coalesce(CASE p_fn
		WHEN 'http_request' THEN theazo_internal.excerpt(pg_catalog.concat_ws(' ', pg_catalog.upper(coalesce(p_args ->> 1, 'GET')),
			pg_catalog.regexp_replace(pg_catalog."left"(p_args ->> 0, 2000), '[?#].*$', '')))
		WHEN 'write_context' THEN theazo_internal.excerpt(pg_catalog.concat_ws(' ', p_args ->> 0,
			pg_catalog.format('(%s bytes)', pg_catalog.octet_length((p_args -> 1)::text))))
		ELSE theazo_internal.excerpt(p_args ->> 0) END, '');
END $$;
COMMENT ON FUNCTION theazo_internal.host_summary(text, jsonb) IS 'the arguments of a call in short';

-- Without statements, so only the owners may call these two.
CREATE OR REPLACE FUNCTION theazo_internal.host_call_append(
	p_platform text, p_root text, p_call integer, p_agent text, p_session text, p_environment text, p_fn text, p_summary text, p_allowed boolean,
	p_counted boolean, p_violation boolean, p_effect text, p_at timestamptz, p_ms bigint, p_error text)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_host_call_append';
COMMENT ON FUNCTION theazo_internal.host_call_append(text, text, integer, text, text, text, text, text, boolean, boolean, boolean, text, timestamptz, bigint, text) IS
'the row of a call to the host';

CREATE OR REPLACE FUNCTION theazo_internal.host_tally(p_platform text, p_root text, OUT made integer, OUT counted integer, OUT violations integer)
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_host_tally';
COMMENT ON FUNCTION theazo_internal.host_tally(text, text) IS 'calls of a run to its host: all, those that count, those that broke a rule';

-- The row of a call; it has ended unless it became an effect.
CREATE OR REPLACE FUNCTION theazo_internal.host_keep(h theazo_internal.host_ask, p_counts boolean, p_effect text, p_error jsonb, p_violation boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.host_call_append((h.r).platform_id, theazo_internal.id_root((h.r).id), h.call, (h.r).agent_id, (h.r).session_id, (h.r).environment, pg_catalog."left"(h.fn, 64),
		theazo_internal.host_summary(h.fn, h.args), p_error IS NULL, p_counts, p_violation, p_effect, h.at,
		CASE WHEN p_effect IS NULL THEN greatest(0, theazo_internal.execution_ms(h.at, clock_timestamp())) END,
		nullif(pg_catalog."left"(theazo_internal.text_mask(pg_catalog.concat_ws(': ', p_error #>> '{error,code}', p_error #>> '{error,message}')), 300), ''));
END $$;
COMMENT ON FUNCTION theazo_internal.host_keep(theazo_internal.host_ask, boolean, text, jsonb, boolean) IS 'takes down a call of code to its host';

-- Refused by a rule: the event says so, and it counts as a violation.
CREATE OR REPLACE FUNCTION theazo_internal.host_refuse(h theazo_internal.host_ask, p_code text, p_category text, p_action text, p_rule text, p_message text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_error jsonb := theazo_internal.host_error(p_code, p_message);
BEGIN
	PERFORM theazo_internal.event_write((h.r).platform_id, p_category, p_action, pg_catalog.jsonb_build_object('fn', h.fn, 'message', p_message,
		'args', theazo_internal.host_summary(h.fn, h.args)), (h.r).session_id, (h.r).agent_id, (h.r).id, (h.r).environment, 'deny', p_rule, true,
		CASE WHEN p_action = 'permission_denied' THEN 'denied' END);
	PERFORM theazo_internal.host_keep(h, false, NULL, v_error, true);
	RETURN v_error;
END $$;
COMMENT ON FUNCTION theazo_internal.host_refuse(theazo_internal.host_ask, text, text, text, text, text) IS 'refuses a call of code to its host as a violation';

-- A call that cannot be carried out as it was made: no violation, it is simply wrong.
CREATE OR REPLACE FUNCTION theazo_internal.host_wrong(h theazo_internal.host_ask, p_message text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_error jsonb := theazo_internal.host_error('INVALID_REQUEST', p_message);
BEGIN
	PERFORM theazo_internal.host_keep(h, true, NULL, v_error, false);
	RETURN v_error;
END $$;
COMMENT ON FUNCTION theazo_internal.host_wrong(theazo_internal.host_ask, text) IS 'answers a call of code that is wrong in itself';

-- A domain as registered, which may be an address in brackets, and its port, if it names one.
CREATE OR REPLACE FUNCTION theazo_internal.domain_parts(p_domain text, OUT host text, OUT port text)
LANGUAGE sql IMMUTABLE AS $$
	SELECT pg_catalog.substring(p_domain, '^(\[[^]]*\]|[^:]*)'), pg_catalog.substring(p_domain, ':([0-9]+)$')
$$;
COMMENT ON FUNCTION theazo_internal.domain_parts(text) IS 'host, brackets included, and port of an allowed domain; no port: null';

-- Is the host one of these, or below one? An empty list means every host; a domain with a port means that port alone.
CREATE OR REPLACE FUNCTION theazo_internal.host_listed(p_host text, p_port text, p_domains jsonb)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT p_domains = '[]' OR EXISTS (SELECT FROM pg_catalog.jsonb_array_elements_text(p_domains) d
		 CROSS JOIN LATERAL theazo_internal.domain_parts(d) y
		WHERE theazo_internal.host_covers(theazo_internal.host_clean(y.host), p_host) AND coalesce(y.port, p_port) = p_port
		  -- nothing lies below an address
		  AND (p_host = theazo_internal.host_clean(y.host) OR NOT p_host OPERATOR(pg_catalog.~) '\.[0-9]+$'))
$$;
COMMENT ON FUNCTION theazo_internal.host_listed(text, text, jsonb) IS 'is a host at this port in a list of domains, or below one of them';

-- http_request(url, method, headers, body): form and rules here; where it may connect is judged again when it is sent.
CREATE OR REPLACE FUNCTION theazo_internal.host_request(h theazo_internal.host_ask)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_policy	jsonb := (h.x).policy;
	v_url		text := h.args ->> 0;
	v_body		jsonb := coalesce(h.args -> 3, 'null');
	v_headers	jsonb := CASE WHEN pg_catalog.jsonb_typeof(h.args -> 2) = 'object' THEN h.args -> 2 END;
	v_host		text := theazo_internal.host_clean(theazo_internal.url_host(v_url));
	v_http		boolean := (SELECT p.allow_http FROM theazo_data.platform p WHERE p.platform_id = (h.r).platform_id)
					OR coalesce(pg_catalog.current_setting('theazo.egress_allow_http', true), 'off')::boolean;
	v_port		text := coalesce(pg_catalog.substring(v_url, '^[a-zA-Z]+://(?:\[[^]]*\]|[^/?#:]*):([0-9]+)'), CASE WHEN v_url OPERATOR(pg_catalog.~*) '^http:' THEN '80' ELSE '443' END);
	v_request	jsonb;
	v_verdict	jsonb;
	v_message	text;
	v_effect	text;
BEGIN
	BEGIN
		IF pg_catalog.jsonb_typeof(h.args -> 0) IS DISTINCT FROM 'string' THEN
			RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'url must be a string';
		ELSIF pg_catalog.jsonb_typeof(h.args -> 2) NOT IN ('object', 'null') THEN
			RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'headers must be an object of strings';
		END IF;
		IF pg_catalog.jsonb_typeof(v_body) NOT IN ('string', 'null')
			AND NOT EXISTS (SELECT FROM pg_catalog.jsonb_object_keys(coalesce(v_headers, '{}')) k WHERE pg_catalog.lower(k) = 'content-type') THEN
			v_headers := coalesce(v_headers, '{}') || '{"content-type": "application/json"}';
		END IF;
		v_request := theazo_internal.fetch_check(v_url, h.args ->> 1, v_headers,
			CASE WHEN pg_catalog.jsonb_typeof(v_body) IN ('string', 'null') THEN v_body #>> '{}' ELSE theazo_internal.json_compact(v_body) END);
	EXCEPTION WHEN invalid_parameter_value THEN
		GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT;
		RETURN theazo_internal.host_wrong(h, v_message);
	END;
	IF v_host IS NULL OR NOT v_url OPERATOR(pg_catalog.~) '^[a-zA-Z]+://(\[[^]]*\]|[^/?#:]+)(:[0-9]{1,5})?([/?#]|$)' THEN
		RETURN theazo_internal.host_wrong(h, 'url has no usable host');
	ELSIF v_url OPERATOR(pg_catalog.~*) '^http:' AND NOT v_http THEN
		RETURN theazo_internal.host_refuse(h, 'PERMISSION_DENIED', 'permission', 'permission_denied', 'https', 'only https addresses can be asked');
	ELSIF NOT theazo_internal.host_listed(v_host, v_port, v_policy #> '{run,allowed_domains}') THEN
		RETURN theazo_internal.host_refuse(h, 'PERMISSION_DENIED', 'permission', 'permission_denied', 'allowed_domains',
			pg_catalog.format('%s is not among the allowed domains', v_host));
	END IF;
	IF theazo_internal.guardrails_on(v_policy -> 'guardrails') THEN
		v_message := theazo_internal.guardrails_domain(h.r, v_policy -> 'guardrails', h.fn, v_host);
		IF v_message IS NOT NULL THEN
			v_request := theazo_internal.host_error('CONTENT_BLOCKED', pg_catalog.substr(v_message, 8));
			PERFORM theazo_internal.host_keep(h, true, NULL, v_request, true);
			RETURN v_request;
		END IF;
		v_verdict := theazo_internal.safety_judge((h.r).platform_id, v_policy -> 'guardrails', 'arguments', theazo_internal.json_text(h.args));
		IF theazo_internal.safety_stops(v_verdict) THEN
			PERFORM theazo_internal.safety_note(h.r, 'the request', v_verdict || '{"tool": "http_request"}');
			v_request := theazo_internal.host_error('CONTENT_BLOCKED', theazo_internal.safety_message('the request', v_verdict));
			PERFORM theazo_internal.host_keep(h, true, NULL, v_request, true);
			RETURN v_request;
		END IF;
	END IF;
	v_request := v_request || pg_catalog.jsonb_build_object('max_body', 1048576)
		-- as the engine reads rules: the host itself and all below it, at this port
		|| CASE WHEN v_policy #> '{run,allowed_domains}' = '[]' THEN '{}' ELSE pg_catalog.jsonb_build_object('allow',
			(SELECT pg_catalog.jsonb_agg(y.rule || d.host || ':' || v_port) FROM pg_catalog.jsonb_array_elements_text(v_policy #> '{run,allowed_domains}') e
			  CROSS JOIN LATERAL theazo_internal.domain_parts(e) d CROSS JOIN (VALUES (''), ('*.')) AS y (rule)
			  WHERE coalesce(d.port, v_port) = v_port AND NOT (d.host LIKE '[%' AND y.rule = '*.'))) END;
	v_effect := theazo_internal.effect_enqueue((h.r).platform_id, theazo_internal.id_root((h.r).id), 'http.fetch', 'http', v_request, (h.r).id,
		(h.r).session_id, (h.r).agent_id, p_timeout_ms => least(60000, greatest(1, theazo_internal.execution_ms(clock_timestamp(), h.deadline)))::integer,
		p_affinity => h.slot, p_deadline => h.deadline);
	PERFORM theazo_internal.event_write((h.r).platform_id, 'network', 'api_call', pg_catalog.jsonb_build_object('fn', h.fn, 'method', v_request -> 'method',
		'host', v_host, 'bytes', pg_catalog.octet_length(coalesce(v_request ->> 'body', ''))), (h.r).session_id, (h.r).agent_id, (h.r).id, (h.r).environment, 'allow');
	PERFORM theazo_internal.host_keep(h, true, v_effect, NULL, false);
	IF theazo_internal.flow_known((h.r).platform_id) THEN
		PERFORM theazo_internal.host_labels(h, theazo_internal.flow_sources((h.r).platform_id, (h.r).agent_id, v_policy, h.kind, p_host => v_host));
	END IF;
	RETURN pg_catalog.jsonb_build_object('effect', v_effect);
END $$;
COMMENT ON FUNCTION theazo_internal.host_request(theazo_internal.host_ask) IS 'http_request of running code: queues the request, or says why not';

-- What code has read it carries on.
CREATE OR REPLACE FUNCTION theazo_internal.host_labels(h theazo_internal.host_ask, p_labels text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE theazo_data.execution x SET labels = theazo_internal.labels_join(VARIADIC x.labels || p_labels)
	 WHERE x.platform_id = (h.x).platform_id AND x.number = (h.x).number AND NOT x.labels @> p_labels;
END $$;
COMMENT ON FUNCTION theazo_internal.host_labels(theazo_internal.host_ask, text[]) IS 'adds labels to an execution';

CREATE OR REPLACE FUNCTION theazo_internal.host_read(h theazo_internal.host_ask)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	c	theazo_data.agent_context;
BEGIN
	IF pg_catalog.jsonb_typeof(h.args -> 0) IS DISTINCT FROM 'string' THEN
		RETURN theazo_internal.host_wrong(h, 'key must be a string');
	END IF;
	SELECT * INTO c FROM theazo_data.agent_context y
	 WHERE y.platform_id = (h.r).platform_id AND y.agent_id = (h.r).agent_id AND y.key = h.args ->> 0;
	IF theazo_internal.flow_known((h.r).platform_id) THEN
		PERFORM theazo_internal.host_labels(h, coalesce(c.labels, '{}')
			|| theazo_internal.flow_sources((h.r).platform_id, (h.r).agent_id, (h.x).policy, h.kind, p_key => h.args ->> 0));
	END IF;
	PERFORM theazo_internal.event_write((h.r).platform_id, 'data', 'context_read', pg_catalog.jsonb_build_object('key', theazo_internal.mask_left(h.args ->> 0, 200),
		'found', c.key IS NOT NULL), (h.r).session_id, (h.r).agent_id, (h.r).id, (h.r).environment);
	PERFORM theazo_internal.host_keep(h, true, NULL, NULL, false);
	RETURN pg_catalog.jsonb_build_object('ok', c.value);
END $$;
COMMENT ON FUNCTION theazo_internal.host_read(theazo_internal.host_ask) IS 'read_context of running code';

CREATE OR REPLACE FUNCTION theazo_internal.host_write(h theazo_internal.host_ask)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	a			theazo_data.agent;
	v_message	text;
BEGIN
	IF pg_catalog.jsonb_typeof(h.args -> 0) IS DISTINCT FROM 'string' THEN
		RETURN theazo_internal.host_wrong(h, 'key must be a string');
	END IF;
	SELECT * INTO a FROM theazo_data.agent y WHERE y.platform_id = (h.r).platform_id AND y.id = (h.r).agent_id;
	BEGIN
		PERFORM theazo_internal.context_key_check(h.args ->> 0);
		PERFORM theazo_internal.context_put(a, h.args ->> 0, h.args -> 1, (h.r).id,
			(SELECT y.labels FROM theazo_data.execution y WHERE y.platform_id = (h.x).platform_id AND y.number = (h.x).number));
	EXCEPTION WHEN invalid_parameter_value OR configuration_limit_exceeded THEN
		GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT;
		RETURN theazo_internal.host_wrong(h, v_message);
	END;
	PERFORM theazo_internal.host_keep(h, true, NULL, NULL, false);
	RETURN '{"ok": null}';
END $$;
COMMENT ON FUNCTION theazo_internal.host_write(theazo_internal.host_ask) IS 'write_context of running code';

-- Judges one call: known, within its number, allowed by permissions, network and rates.
CREATE OR REPLACE FUNCTION theazo_internal.host_judged(h theazo_internal.host_ask)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_max		integer := ((h.x).policy #>> '{run,max_api_calls}')::integer;
	v_n			record;
	v_refusal	jsonb;
	v_error		jsonb;
BEGIN
	v_n := theazo_internal.host_tally((h.r).platform_id, theazo_internal.id_root((h.r).id));
	IF v_n.made >= v_max + 200 THEN
		-- a program that asks for ever is not taken down for ever
		RETURN theazo_internal.host_error('RATE_LIMITED', 'the execution has been refused too often');
	ELSIF h.kind IS NULL THEN
		RETURN theazo_internal.host_refuse(h, 'UNKNOWN_FUNCTION', 'permission', 'permission_denied', 'unknown_function',
			pg_catalog.format('thetazero.%s is not known', pg_catalog."left"(h.fn, 64)));
	ELSIF v_n.counted >= v_max THEN
		RETURN theazo_internal.host_refuse(h, 'RATE_LIMITED', 'limit', 'rate_limit_hit', 'max_api_calls_per_run',
			pg_catalog.format('the execution may make %s calls', v_max));
	ELSIF h.kind = 'http.fetch' AND NOT ((h.x).policy #>> '{run,allow_network}')::boolean THEN
		RETURN theazo_internal.host_refuse(h, 'PERMISSION_DENIED', 'permission', 'permission_denied', 'allow_network', 'the network is closed to this agent');
	END IF;
	v_refusal := theazo_internal.gate(h.kind, (h.r).platform_id, (h.r).environment, (h.r).session_id, (h.r).agent_id, (h.r).id,
		theazo_internal.id_root((h.r).parent_id), (h.x).policy, (h.x).labels, NULL, h.fn, NULL,
		CASE WHEN h.kind = 'http.fetch' THEN theazo_internal.url_host(h.args ->> 0) END);
	IF v_refusal ? 'sqlstate' THEN
		PERFORM theazo_internal.gate_note(v_refusal, h.kind, h.r, h.fn);
		v_error := theazo_internal.host_error(CASE v_refusal ->> 'sqlstate' WHEN 'TZ201' THEN 'RATE_LIMITED' WHEN 'TZ203' THEN 'AGENT_HALTED'
			ELSE 'PERMISSION_DENIED' END, v_refusal ->> 'message');
		PERFORM theazo_internal.host_keep(h, false, NULL, v_error, coalesce((v_refusal ->> 'violation')::boolean, true));
	END IF;
	RETURN v_error;
END $$;
COMMENT ON FUNCTION theazo_internal.host_judged(theazo_internal.host_ask) IS 'why a call of code to its host is refused, or null';

CREATE OR REPLACE FUNCTION theazo_internal.host_call(p_call jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	h			theazo_internal.host_ask;
	v_error		jsonb;
BEGIN
	h.r := theazo_internal.run_read(p_call ->> 'platform', 'run_' || (p_call ->> 'root'));
	IF (h.r).status IS DISTINCT FROM 'running' OR (h.r).cancel_requested THEN
		RETURN theazo_internal.host_error('TERMINATED', 'the execution has ended');
	END IF;
	h.x := theazo_internal.execution_read((h.r).platform_id, (h.r).execution);
	h.call := (p_call ->> 'call')::integer;
	h.fn := p_call ->> 'fn';
	h.args := CASE WHEN pg_catalog.jsonb_typeof(p_call -> 'args') = 'array' THEN p_call -> 'args' ELSE '[]' END;
	h.at := coalesce((p_call ->> 'at')::timestamptz, clock_timestamp());
	h.slot := (p_call ->> 'slot')::integer;
	h.deadline := (p_call ->> 'deadline')::timestamptz;
	IF (h.x).number IS NULL THEN
		RETURN theazo_internal.host_error('TERMINATED', 'the execution has ended');
	END IF;
	h.kind := (SELECT f.kind FROM theazo_internal.host_functions() f WHERE f.fn = h.fn);
	v_error := theazo_internal.host_judged(h);
	RETURN CASE WHEN v_error IS NOT NULL THEN v_error
				WHEN h.kind = 'http.fetch' THEN theazo_internal.host_request(h)
				WHEN h.kind = 'context.read' THEN theazo_internal.host_read(h)
				ELSE theazo_internal.host_write(h) END;
END $$;
COMMENT ON FUNCTION theazo_internal.host_call(jsonb) IS 'judges and carries out one call of running code to its host';

-- In: an array of {platform, root, effect, run, session, agent, slot, execution, call, fn, args, at, deadline}. Out, in the same
-- order: {"ok": value}, {"error": {name, code, message}}, or {"effect": id} of a request that was queued and whose outcome is the
-- answer. In the dispatcher's transaction.
CREATE OR REPLACE FUNCTION theazo_internal.host_calls(p_calls jsonb)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	v_answers	jsonb := '[]';
	c			jsonb;
BEGIN
	FOR c IN SELECT y.it FROM jsonb_array_elements(p_calls) WITH ORDINALITY AS y (it, ord) ORDER BY y.ord
	LOOP
		v_answers := v_answers || jsonb_build_array(theazo_internal.host_call(c));
	END LOOP;
	RETURN v_answers;
END
$$;
COMMENT ON FUNCTION theazo_internal.host_calls(jsonb) IS 'judges and carries out what running programs ask of their host';

CREATE OR REPLACE FUNCTION theazo_internal.host_answer(p_effect text, p_error text)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_host_answer';
COMMENT ON FUNCTION theazo_internal.host_answer(text, text) IS
'in the dispatcher that settles a request of code: its answer may be told, or, with p_error, that is; what nothing is said of is not told';

-- What code would read of an answer: where it is JSON, the strings it is made of.
CREATE OR REPLACE FUNCTION theazo_internal.host_answer_text(p_result jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_text text := p_result ->> 'body';
BEGIN
	BEGIN
		IF v_text OPERATOR(pg_catalog.~) '^\s*[\[{"]' THEN
			v_text := theazo_internal.json_text(v_text::jsonb);
		END IF;
	EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
		NULL;
	END;
	RETURN pg_catalog.concat_ws(E'\n', nullif(theazo_internal.json_text(p_result -> 'headers'), ''), v_text);
END $$;
COMMENT ON FUNCTION theazo_internal.host_answer_text(jsonb) IS 'the text of an answer to a request of code, as the content filter reads it';

-- Held against what the answers of tools are. Returns what code is told in its place, or null.
CREATE OR REPLACE FUNCTION theazo_internal.host_answer_judged(r theazo_data.run, p_policy jsonb, p_result jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_verdict jsonb;
BEGIN
	IF NOT theazo_internal.guardrails_on(p_policy -> 'guardrails') THEN
		RETURN NULL;
	END IF;
	v_verdict := theazo_internal.safety_judge(r.platform_id, p_policy -> 'guardrails', 'result', theazo_internal.host_answer_text(p_result))
		|| '{"tool": "http_request"}';
	IF v_verdict ->> 'status' <> 'skipped' THEN
		PERFORM theazo_internal.safety_note(r, 'the answer to the request', v_verdict);
	END IF;
	RETURN CASE WHEN theazo_internal.safety_stops(v_verdict) THEN
		theazo_internal.host_error('CONTENT_BLOCKED', theazo_internal.safety_message('the answer to the request', v_verdict)) END;
END $$;
COMMENT ON FUNCTION theazo_internal.host_answer_judged(theazo_data.run, jsonb, jsonb) IS 'the error that code gets in place of an answer which the content filter stops, or null';

-- A request of code has ended.
CREATE OR REPLACE FUNCTION theazo_internal.host_called(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	h		theazo_data.host_call;
	r		theazo_data.run;
	x		theazo_data.execution;
	v_error	jsonb;
BEGIN
	IF e.run_id IS NULL THEN
		PERFORM theazo_internal.host_answer(e.id, NULL);
		UPDATE theazo_data.effect_payload y SET result = p_result WHERE y.platform_id = e.platform_id AND y.root_id = e.root_id AND y.id = e.id;
		RETURN;
	END IF;
	SELECT * INTO r FROM theazo_data.run y WHERE y.platform_id = e.platform_id AND y.id = e.run_id;
	x := theazo_internal.execution_of(e.platform_id, e.root_id);
	IF p_state = 'done' AND x.number IS NOT NULL THEN
		v_error := theazo_internal.host_answer_judged(r, x.policy, p_result);
		PERFORM theazo_internal.host_answer(e.id, (v_error -> 'error')::text);
		p_result := coalesce(v_error -> 'error', p_result);
	END IF;
	UPDATE theazo_data.host_call c
	   SET duration_ms = greatest(0, theazo_internal.execution_ms(c.occurred_at, p_finished)),
		   error = CASE WHEN p_state <> 'done' OR v_error IS NOT NULL THEN pg_catalog."left"(theazo_internal.text_mask(pg_catalog.concat_ws(': ', p_result ->> 'code',
				coalesce(p_result ->> 'message', p_state))), 300) END,
		   allowed = c.allowed AND p_result ->> 'sqlstate' IS DISTINCT FROM 'TZ405',
		   violation = c.violation OR v_error IS NOT NULL OR coalesce(p_result ->> 'sqlstate' IN ('TZ304', 'TZ405'), false)
	 WHERE c.platform_id = e.platform_id AND c.root_id = e.root_id AND c.effect_id = e.id
	RETURNING c.* INTO h;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	-- what was kept from leaving is for the audit as well
	IF p_state = 'failed' AND p_result ->> 'sqlstate' IN ('TZ304', 'TZ405') THEN
		PERFORM theazo_internal.event_write(e.platform_id, 'permission', 'permission_denied', pg_catalog.jsonb_build_object('fn', h.fn, 'args', h.args_summary,
			'sqlstate', p_result ->> 'sqlstate', 'message', theazo_internal.mask_left(p_result ->> 'message', 200)),
			e.session_id, e.agent_id, e.run_id, r.environment, 'deny', 'egress', true, 'denied');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.host_called(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'what the end of a request of code means for its record';
