-- base.sql: what operations of the REST face share.
--
-- An operation is one function, rest_<operation>(a jsonb) RETURNS jsonb: it reads its arguments
-- with the accessors below, calls functions and views of schema theazo, and returns the
-- document of the contract; NULL means 204. It runs as the role that serves (theazo_gateway),
-- so scopes and policies are asked by what it calls. It names no table.
--
-- `a` holds the members of the body, then those of the query (their values are text), then the
-- parameters of the path; later ones win. Members that begin with $ come from the face only:
-- $body (the whole body, for routes with flag body), $raw (its text, flag raw), $accept, $headers.

CREATE OR REPLACE FUNCTION theazo_internal.rest_errors(
	OUT sqlstate text, OUT code text, OUT snake_code text, OUT status integer)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'theazo_rest_errors';
COMMENT ON FUNCTION theazo_internal.rest_errors() IS
'the one list of SQLSTATE to error code and HTTP status; what is not in it is internal_error, 500';

CREATE OR REPLACE FUNCTION theazo_internal.rest_envelope(
	sqlstate text, message text, detail text, hint text, col text, typ text, tab text, request_id text, snake boolean,
	OUT status integer, OUT document jsonb, OUT retry_after integer)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_rest_envelope';
COMMENT ON FUNCTION theazo_internal.rest_envelope(text, text, text, text, text, text, text, text, boolean) IS
'an error as the contract shows it; snake: the form of the governed agents'' interface';

CREATE OR REPLACE FUNCTION theazo_internal.rest_answer(status integer, headers jsonb DEFAULT NULL) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_rest_answer';
COMMENT ON FUNCTION theazo_internal.rest_answer(integer, jsonb) IS
'for an operation: another status than the route''s, and headers; null leaves what was said before';

CREATE OR REPLACE FUNCTION theazo_internal.rest_answer_reset() RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_rest_answer_reset';
COMMENT ON FUNCTION theazo_internal.rest_answer_reset() IS
'for a face, before it calls an operation';

CREATE OR REPLACE FUNCTION theazo_internal.rest_answered(OUT status integer, OUT headers jsonb)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_rest_answered';
COMMENT ON FUNCTION theazo_internal.rest_answered() IS
'for a face, after it called an operation: what the operation said by rest_answer()';

-- ---------------------------------------------------------------------------------------
-- arguments

CREATE OR REPLACE FUNCTION theazo_internal.rest_bad(p_field text, p_message text, p_hint text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = p_field || ' ' || p_message, COLUMN = p_field,
		HINT = coalesce(p_hint, pg_catalog.format('Correct %s and send the request again.', p_field));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_bad(text, text, text) IS
'400 invalid_request; details.field names the field';

CREATE OR REPLACE FUNCTION theazo_internal.rest_given(a jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN coalesce((SELECT pg_catalog.jsonb_object_agg(e.key, e.value) FROM pg_catalog.jsonb_each(a) e
				  WHERE pg_catalog.jsonb_typeof(e.value) <> 'null'), '{}');
COMMENT ON FUNCTION theazo_internal.rest_given(jsonb) IS
'an object without its members that are null';

CREATE OR REPLACE FUNCTION theazo_internal.rest_pick(a jsonb, VARIADIC p_members text[])
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	-- mostly there is nothing; and a function in SQL is read anew by each statement that calls it
	IF a IS NULL OR a = '{}' THEN
		RETURN a;
	END IF;
	RETURN coalesce((SELECT pg_catalog.jsonb_object_agg(m, a -> m) FROM pg_catalog.unnest(p_members) m WHERE a ? m), '{}');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_pick(jsonb, text[]) IS
'the members of an object that are known; the others are ignored';

CREATE OR REPLACE FUNCTION theazo_internal.rest_value(a jsonb, p_field text, p_required boolean)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := a -> p_field;
BEGIN
	IF v IS NULL OR v = 'null' THEN
		IF p_required THEN
			PERFORM theazo_internal.rest_bad(p_field, 'is required');
		END IF;
		RETURN NULL;
	END IF;
	RETURN v;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_value(jsonb, text, boolean) IS
'a member; null where it is absent or null, 400 if it is required';

CREATE OR REPLACE FUNCTION theazo_internal.rest_text(a jsonb, p_field text, p_required boolean DEFAULT false, p_max integer DEFAULT 10485760)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_value(a, p_field, p_required);
BEGIN
	IF v IS NULL THEN
		RETURN NULL;
	ELSIF pg_catalog.jsonb_typeof(v) <> 'string' THEN
		PERFORM theazo_internal.rest_bad(p_field, 'must be a string');
	ELSIF p_required AND v = '""' THEN
		PERFORM theazo_internal.rest_bad(p_field, 'must not be empty');
	ELSIF pg_catalog.length(v #>> '{}') > p_max THEN
		PERFORM theazo_internal.rest_bad(p_field, pg_catalog.format('is longer than %s characters', p_max));
	END IF;
	RETURN v #>> '{}';
END $$;
COMMENT ON FUNCTION theazo_internal.rest_text(jsonb, text, boolean, integer) IS
'a string; one that is required is not empty';

CREATE OR REPLACE FUNCTION theazo_internal.rest_one_of(a jsonb, p_field text, p_required boolean, VARIADIC p_allowed text[])
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v text := theazo_internal.rest_text(a, p_field, p_required);
BEGIN
	IF v IS NOT NULL AND NOT v = ANY (p_allowed) THEN
		PERFORM theazo_internal.rest_bad(p_field, 'is not one of: ' || pg_catalog.array_to_string(p_allowed, ', '));
	END IF;
	RETURN v;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_one_of(jsonb, text, boolean, text[]) IS
'a string out of a fixed list';

CREATE OR REPLACE FUNCTION theazo_internal.rest_int(a jsonb, p_field text, p_required boolean DEFAULT false,
	p_min bigint DEFAULT 0, p_max bigint DEFAULT 9007199254740991)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_value(a, p_field, p_required);
	n numeric;
BEGIN
	IF v IS NULL THEN
		RETURN NULL;
	ELSIF pg_catalog.jsonb_typeof(v) <> 'number' THEN
		PERFORM theazo_internal.rest_bad(p_field, 'must be a whole number');
	END IF;
	n := v::numeric;
	IF n <> pg_catalog.trunc(n) OR n < p_min OR n > p_max THEN
		PERFORM theazo_internal.rest_bad(p_field, pg_catalog.format('must be a whole number from %s to %s', p_min, p_max));
	END IF;
	RETURN n::bigint;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_int(jsonb, text, boolean, bigint, bigint) IS
'a whole number of the body';

CREATE OR REPLACE FUNCTION theazo_internal.rest_number(a jsonb, p_field text, p_required boolean DEFAULT false,
	p_min numeric DEFAULT NULL, p_max numeric DEFAULT NULL)
RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_value(a, p_field, p_required);
BEGIN
	IF v IS NULL THEN
		RETURN NULL;
	ELSIF pg_catalog.jsonb_typeof(v) <> 'number' THEN
		PERFORM theazo_internal.rest_bad(p_field, 'must be a number');
	ELSIF v::numeric < p_min OR v::numeric > p_max THEN
		PERFORM theazo_internal.rest_bad(p_field, pg_catalog.concat('must be a number', ' from ' || p_min, ' to ' || p_max));
	END IF;
	RETURN v::numeric;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_number(jsonb, text, boolean, numeric, numeric) IS
'a number of the body';

CREATE OR REPLACE FUNCTION theazo_internal.rest_bool(a jsonb, p_field text, p_required boolean DEFAULT false)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_value(a, p_field, p_required);
BEGIN
	IF v IS NULL THEN
		RETURN NULL;
	ELSIF v = 'true' OR v = '"true"' THEN
		RETURN true;
	ELSIF v = 'false' OR v = '"false"' THEN
		RETURN false;
	END IF;
	PERFORM theazo_internal.rest_bad(p_field, 'must be true or false');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_bool(jsonb, text, boolean) IS
'true or false, also as the text of a query';

CREATE OR REPLACE FUNCTION theazo_internal.rest_object(a jsonb, p_field text, p_required boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_value(a, p_field, p_required);
BEGIN
	IF v IS NOT NULL AND pg_catalog.jsonb_typeof(v) <> 'object' THEN
		PERFORM theazo_internal.rest_bad(p_field, 'must be an object');
	END IF;
	RETURN v;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_object(jsonb, text, boolean) IS
'a JSON object';

CREATE OR REPLACE FUNCTION theazo_internal.rest_array(a jsonb, p_field text, p_required boolean DEFAULT false, p_max integer DEFAULT 10000)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_value(a, p_field, p_required);
BEGIN
	IF v IS NULL THEN
		RETURN NULL;
	ELSIF pg_catalog.jsonb_typeof(v) <> 'array' THEN
		PERFORM theazo_internal.rest_bad(p_field, 'must be an array');
	ELSIF p_required AND v = '[]' THEN
		PERFORM theazo_internal.rest_bad(p_field, 'must not be empty');
	ELSIF pg_catalog.jsonb_array_length(v) > p_max THEN
		PERFORM theazo_internal.rest_bad(p_field, pg_catalog.format('has more than %s entries', p_max));
	END IF;
	RETURN v;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_array(jsonb, text, boolean, integer) IS
'a JSON array; one that is required is not empty';

CREATE OR REPLACE FUNCTION theazo_internal.rest_texts(a jsonb, p_field text, p_required boolean DEFAULT false, p_max integer DEFAULT 1000)
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_array(a, p_field, p_required, p_max);
BEGIN
	IF v IS NULL THEN
		RETURN NULL;
	ELSIF EXISTS (SELECT FROM pg_catalog.jsonb_array_elements(v) e WHERE pg_catalog.jsonb_typeof(e) <> 'string') THEN
		PERFORM theazo_internal.rest_bad(p_field, 'must be an array of strings');
	END IF;
	RETURN ARRAY(SELECT e FROM pg_catalog.jsonb_array_elements_text(v) WITH ORDINALITY x(e, n) ORDER BY n);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_texts(jsonb, text, boolean, integer) IS
'a JSON array of strings';

CREATE OR REPLACE FUNCTION theazo_internal.rest_cents(a jsonb, p_field text, p_required boolean DEFAULT false)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_object(a, p_field, p_required);
BEGIN
	IF v IS NULL THEN
		RETURN NULL;
	ELSIF v -> 'amount' IS NULL OR pg_catalog.jsonb_typeof(v -> 'amount') <> 'number'
		OR (v -> 'amount')::numeric <> pg_catalog.trunc((v -> 'amount')::numeric)
		OR (v -> 'amount')::numeric NOT BETWEEN 0 AND 1000000000000 THEN
		PERFORM theazo_internal.rest_bad(p_field || '.amount', 'must be a whole number of cents');
	ELSIF coalesce(v ->> 'currency', 'usd') <> 'usd' THEN
		PERFORM theazo_internal.rest_bad(p_field || '.currency', 'must be usd');
	END IF;
	RETURN (v -> 'amount')::numeric::bigint;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_cents(jsonb, text, boolean) IS
'a Cost: whole cents';

CREATE OR REPLACE FUNCTION theazo_internal.rest_interval(a jsonb, p_field text, p_required boolean DEFAULT false,
	p_min interval DEFAULT '0', p_max interval DEFAULT '87600 hours')
RETURNS interval LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v jsonb := theazo_internal.rest_value(a, p_field, p_required);
BEGIN
	IF v IS NULL THEN
		RETURN NULL;
	ELSIF pg_catalog.jsonb_typeof(v) = 'string' AND v #>> '{}' OPERATOR(pg_catalog.~) '^[0-9]{1,9}(\.[0-9]{1,6})?$' THEN
		-- a bare number of seconds, as the text of a query
		v := pg_catalog.to_jsonb((v #>> '{}')::numeric);
	END IF;
	RETURN theazo_internal.duration_check(p_field, v, p_min, p_max);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_interval(jsonb, text, boolean, interval, interval) IS
'a duration in any of its forms';

CREATE OR REPLACE FUNCTION theazo_internal.rest_time(a jsonb, p_field text, p_required boolean DEFAULT false)
RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	t text := theazo_internal.rest_text(a, p_field, p_required, 64);
BEGIN
	IF t IS NULL THEN
		RETURN NULL;
	ELSIF t OPERATOR(pg_catalog.~) '^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?)?$' THEN
		t := t || CASE WHEN pg_catalog.length(t) = 10 THEN ' 00:00:00' ELSE '' END || 'Z';
	ELSIF NOT t OPERATOR(pg_catalog.~*) '^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)$' THEN
		PERFORM theazo_internal.rest_bad(p_field, 'is not a time', 'Use ISO 8601, for example 2026-01-31T12:00:00Z or 2026-01-31.');
	END IF;
	BEGIN
		RETURN pg_catalog.replace(t, ',', '.')::timestamptz;
	EXCEPTION WHEN data_exception THEN
		PERFORM theazo_internal.rest_bad(p_field, 'is not a time', 'Use ISO 8601, for example 2026-01-31T12:00:00Z or 2026-01-31.');
	END;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_time(jsonb, text, boolean) IS
'a time in ISO 8601, UTC unless it says otherwise; also a plain date';

-- ---------------------------------------------------------------------------------------
-- pages

CREATE OR REPLACE FUNCTION theazo_internal.rest_limit(a jsonb, p_default integer DEFAULT 20, p_max integer DEFAULT 100)
RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	t text := theazo_internal.rest_value(a, 'limit', false) #>> '{}';
BEGIN
	IF t IS NULL THEN
		RETURN p_default;
	ELSIF NOT t OPERATOR(pg_catalog.~) '^0*[1-9][0-9]{0,17}$' THEN
		PERFORM theazo_internal.rest_bad('limit', 'must be a whole number from 1 on');
	END IF;
	RETURN LEAST(t::bigint, p_max);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_limit(jsonb, integer, integer) IS
'the length of a page; more than the maximum is the maximum';

-- A cursor is a position and a check, so that a changed one is noticed. It opens nothing: what
-- lies behind it is read under the same policies.
CREATE OR REPLACE FUNCTION theazo_internal.rest_cursor(p_list text, p_position text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN pg_catalog.translate(pg_catalog.encode(pg_catalog.convert_to(
	pg_catalog."left"(pg_catalog.md5(p_list || ':' || p_position), 8) || p_position, 'UTF8'), 'base64'), E'+/=\n', '-_');
COMMENT ON FUNCTION theazo_internal.rest_cursor(text, text) IS
'the cursor behind a position of a list';

CREATE OR REPLACE FUNCTION theazo_internal.rest_after(a jsonb, p_list text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	t text := theazo_internal.rest_text(a, 'cursor', false, 1000);
	p text;
BEGIN
	IF coalesce(t, '') = '' THEN
		RETURN NULL;
	END IF;
	BEGIN
		p := pg_catalog.convert_from(pg_catalog.decode(pg_catalog.rpad(pg_catalog.translate(t, '-_', '+/'),
			(pg_catalog.length(t) + 3) / 4 * 4, '='), 'base64'), 'UTF8');
	EXCEPTION WHEN data_exception THEN
		p := '';
	END;
	IF pg_catalog.length(p) < 9 OR theazo_internal.rest_cursor(p_list, pg_catalog.substr(p, 9)) <> t THEN
		PERFORM theazo_internal.rest_bad('cursor', 'is not one of this list', 'Send back the cursor of the page before as it was.');
	END IF;
	RETURN pg_catalog.substr(p, 9);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_after(jsonb, text) IS
'the position that a cursor of this list stands for, null without one; 400 for anything else';

CREATE OR REPLACE FUNCTION theazo_internal.rest_page(p_list text, p_limit integer, p_rows jsonb[], p_positions text[])
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN pg_catalog.jsonb_build_object(
	'data', pg_catalog.to_jsonb(coalesce(p_rows[1:p_limit], '{}')),
	'hasMore', coalesce(pg_catalog.cardinality(p_rows), 0) > p_limit,
	'cursor', CASE WHEN coalesce(pg_catalog.cardinality(p_rows), 0) > p_limit
				   THEN theazo_internal.rest_cursor(p_list, p_positions[p_limit]) ELSE '' END);
COMMENT ON FUNCTION theazo_internal.rest_page(text, integer, jsonb[], text[]) IS
'a page out of up to one row more than its length, and their positions';

-- ---------------------------------------------------------------------------------------
-- values of answers

CREATE OR REPLACE FUNCTION theazo_internal.rest_at(p_at timestamptz)
RETURNS text LANGUAGE sql STABLE
RETURN pg_catalog.to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
COMMENT ON FUNCTION theazo_internal.rest_at(timestamptz) IS
'a time as answers show it: UTC, milliseconds';

CREATE OR REPLACE FUNCTION theazo_internal.rest_cost(p_cents bigint)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN pg_catalog.jsonb_build_object('amount', coalesce(p_cents, 0), 'currency', 'usd');
COMMENT ON FUNCTION theazo_internal.rest_cost(bigint) IS
'a Cost out of whole cents';

CREATE OR REPLACE FUNCTION theazo_internal.rest_duration(p_ms bigint)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE
	WHEN p_ms IS NULL THEN NULL
	WHEN p_ms < 60000 THEN pg_catalog.to_char(LEAST(pg_catalog.round(p_ms / 1000.0, 1), 59.9), 'FM990.0') || 's'
	WHEN p_ms < 3600000 THEN p_ms / 60000 || 'm ' || p_ms % 60000 / 1000 || 's'
	WHEN p_ms < 86400000 THEN p_ms / 3600000 || 'h ' || p_ms % 3600000 / 60000 || 'm ' || p_ms % 60000 / 1000 || 's'
	ELSE p_ms / 86400000 || 'd ' || p_ms % 86400000 / 3600000 || 'h ' || p_ms % 3600000 / 60000 || 'm'
END;
COMMENT ON FUNCTION theazo_internal.rest_duration(bigint) IS
'a duration as answers show it: 4.2s, 3m 12s, 1h 3m 12s, 2d 4h 10m';

-- ---------------------------------------------------------------------------------------
-- calling

CREATE OR REPLACE FUNCTION theazo_internal.rest_not_built(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = 'this route is not served by this version',
		HINT = 'The REST reference lists what is.';
END $$;
COMMENT ON FUNCTION theazo_internal.rest_not_built(jsonb) IS
'the operation of routes that are not served: 501';

CREATE OR REPLACE FUNCTION theazo_internal.rest_run(p_operation text, a jsonb, p_api_key text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
BEGIN
	IF p_api_key IS NOT NULL THEN
		PERFORM theazo.authenticate(p_api_key);
	END IF;
	PERFORM theazo_internal.rest_answer_reset();
	EXECUTE pg_catalog.format('SELECT theazo_internal.%I($1)', 'rest_' || p_operation) INTO result USING a;
	IF result ? '$stream' THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = 'a stream needs the gateway',
			HINT = 'Ask the gateway for this path, or follow with theazo.run_follow() and theazo.audit_follow().';
	ELSIF result ? '$wait' THEN
		PERFORM theazo_internal.rest_answer(202);
		RETURN coalesce(result -> '$now', pg_catalog.jsonb_build_object('status', 'running', 'runId', result ->> '$wait'));
	END IF;
	RETURN result;
EXCEPTION WHEN serialization_failure OR deadlock_detected THEN
	-- some versions of PostgREST would repeat a 40001 for ever
	RAISE EXCEPTION USING ERRCODE = 'TZ107', MESSAGE = 'another transaction was in the way', HINT = 'Nothing was done; send the request again.';
END $$;
COMMENT ON FUNCTION theazo_internal.rest_run(text, jsonb, text) IS
'one operation, for callers that cannot wait or follow: what would wait answers with the run''s id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_call(p_operation text, a jsonb, p_api_key text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
	route record;
	answer record;
	e_state text; e_message text; e_detail text; e_hint text; e_column text; e_type text; e_table text;
BEGIN
	IF coalesce(pg_catalog.current_setting('request.method', true), '') = '' THEN
		RETURN theazo_internal.rest_run(p_operation, a, p_api_key);
	END IF;
	SELECT r.status, 'snake' = ANY (r.flags) AS snake INTO route
	  FROM theazo_internal.rest_routes() r WHERE r.operation = p_operation LIMIT 1;
	BEGIN
		result := theazo_internal.rest_run(p_operation, a, p_api_key);
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS e_state = RETURNED_SQLSTATE, e_message = MESSAGE_TEXT, e_detail = PG_EXCEPTION_DETAIL,
			e_hint = PG_EXCEPTION_HINT, e_column = COLUMN_NAME, e_type = PG_DATATYPE_NAME, e_table = TABLE_NAME;
		SELECT * INTO answer FROM theazo_internal.rest_envelope(e_state, e_message, e_detail, e_hint, e_column, e_type, e_table,
			theazo_internal.rest_request_id(), route.snake);
		IF answer.status = 500 THEN
			RAISE LOG '% failed: % (%)', p_operation, e_message, e_state;
		END IF;
		PERFORM pg_catalog.set_config('response.status', answer.status::text, true);
		IF answer.retry_after IS NOT NULL THEN
			PERFORM pg_catalog.set_config('response.headers', pg_catalog.jsonb_build_array(
				pg_catalog.jsonb_build_object('Retry-After', answer.retry_after::text))::text, true);
		END IF;
		RETURN answer.document;
	END;
	SELECT * INTO answer FROM theazo_internal.rest_answered();
	PERFORM pg_catalog.set_config('response.status', coalesce(answer.status, CASE WHEN result IS NULL THEN 204 ELSE route.status END)::text, true);
	PERFORM pg_catalog.set_config('response.headers', (
		SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(h.key, h.value))::text FROM pg_catalog.jsonb_each_text(answer.headers) h), true)
	  WHERE answer.headers IS NOT NULL;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_call(text, jsonb, text) IS
'what the functions of theazo_api call: raises in plain SQL; under PostgREST sets status and headers, and answers errors with their envelope';

CREATE OR REPLACE FUNCTION theazo_internal.rest_request_id()
RETURNS text LANGUAGE sql VOLATILE
RETURN coalesce(nullif(pg_catalog.current_setting('theazo.request_id', true), ''), theazo_internal.id_new('req'));
COMMENT ON FUNCTION theazo_internal.rest_request_id() IS
'the id of this request: the face''s, else a new one';
