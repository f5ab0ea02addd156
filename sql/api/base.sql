-- base.sql: who may enter, the checks every area shares, and the errors they raise.
--
-- Nothing here knows the REST contract. Each kind of error is raised in one place, so that
-- its SQLSTATE, its words and its hint are the same everywhere. Functions run as whoever
-- calls them (theazo_owner under its policies, or theazo_system) unless said otherwise.

CREATE OR REPLACE FUNCTION theazo_internal.operator_platform()
RETURNS theazo.id LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'plt_00000000000000000000000000'::theazo.id;
COMMENT ON FUNCTION theazo_internal.operator_platform() IS
'the reserved platform that owns rows without a platform';

CREATE OR REPLACE FUNCTION theazo_internal.own_lock(p_what text, p_name text, p_wait boolean)
RETURNS boolean LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_own_lock';
COMMENT ON FUNCTION theazo_internal.own_lock(text, text, boolean) IS
'a lock on a name to the end of the transaction, which nobody else can take; false where another one has it and this one does not wait';

-- ---------------------------------------------------------------------------------------
-- errors

CREATE OR REPLACE FUNCTION theazo_internal.quoted(p_text text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce('"' || pg_catalog.regexp_replace(pg_catalog."left"(p_text, 100),
	'[\u0001-\u001f\u007f-\u009f]' COLLATE "C", '?', 'g') || '"', 'null');
COMMENT ON FUNCTION theazo_internal.quoted(text) IS
'a value as messages show it: quoted, bounded, without control characters';

CREATE OR REPLACE FUNCTION theazo_internal.raise_not_found(p_kind text, p_id text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING
		ERRCODE = 'undefined_object',
		MESSAGE = pg_catalog.format('%s %s does not exist', p_kind, theazo_internal.quoted(p_id)),
		TABLE = p_kind, DATATYPE = coalesce(pg_catalog."left"(p_id, 200), ''),
		HINT = 'Only what belongs to your own platform, environment and session can be named.';
END $$;
COMMENT ON FUNCTION theazo_internal.raise_not_found(text, text) IS
'42704: no such thing for this caller; the same words for unknown and foreign ids. Kind and id travel in TABLE and DATATYPE';

CREATE OR REPLACE FUNCTION theazo_internal.raise_value(p_field text, p_message text, p_hint text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING
		ERRCODE = 'invalid_parameter_value',
		MESSAGE = p_field || ' ' || p_message,
		COLUMN = p_field,
		HINT = coalesce(p_hint, pg_catalog.format('Correct %s and call again.', p_field));
END $$;
COMMENT ON FUNCTION theazo_internal.raise_value(text, text, text) IS
'22023: a value that cannot be taken; the field travels in COLUMN';

CREATE OR REPLACE FUNCTION theazo_internal.raise_state(p_kind text, p_id text, p_state text, p_event text, p_hint text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING
		ERRCODE = 'TZ103',
		MESSAGE = pg_catalog.format('%s %s is %s', p_kind, theazo_internal.quoted(p_id), p_state),
		DETAIL = pg_catalog.format('"%s" is not possible in state "%s".', p_event, p_state),
		DATATYPE = p_state,
		HINT = coalesce(p_hint, (
			SELECT pg_catalog.format('"%s" is possible in: %s.', p_event, pg_catalog.string_agg(m.from_state, ', ' ORDER BY m.from_state))
			  FROM theazo_internal.moves() m
			 WHERE m.object = p_kind AND m.event = p_event AND m.from_state <> ''
			HAVING pg_catalog.count(*) > 0),
			'This state is final.');
END $$;
COMMENT ON FUNCTION theazo_internal.raise_state(text, text, text, text, text) IS
'TZ103: the state of the thing does not allow the call; the state travels in DATATYPE';

CREATE OR REPLACE FUNCTION theazo_internal.raise_scope(p_message text, p_reason text, p_hint text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.event_refused(NULL, 'permission', 'permission_denied',
		pg_catalog.jsonb_build_object('code', 'TZ602', 'message', p_message), p_rule => p_reason, p_is_violation => true, p_permission => 'denied');
	RAISE EXCEPTION USING
		ERRCODE = 'TZ602',
		MESSAGE = p_message,
		DETAIL = pg_catalog.format('Reason: %s.', p_reason),
		HINT = p_hint;
END $$;
COMMENT ON FUNCTION theazo_internal.raise_scope(text, text, text) IS
'TZ602: the caller is known and may not do this; DETAIL carries the reason';

CREATE OR REPLACE FUNCTION theazo_internal.raise_ceiling(p_what text, p_max bigint, p_hint text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.event_refused(NULL, 'limit', 'ceiling_hit',
		pg_catalog.jsonb_build_object('code', '53400', 'what', p_what, 'max', p_max), p_rule => 'ceiling');
	RAISE EXCEPTION USING
		ERRCODE = 'configuration_limit_exceeded',
		MESSAGE = pg_catalog.format('there are %s %s already', p_max, p_what),
		DETAIL = pg_catalog.format('The ceiling is %s.', p_max),
		HINT = p_hint;
END $$;
COMMENT ON FUNCTION theazo_internal.raise_ceiling(text, bigint, text) IS
'53400: a platform has reached a fixed ceiling';

-- ---------------------------------------------------------------------------------------
-- entering

CREATE OR REPLACE FUNCTION theazo_internal.library_version()
RETURNS text LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_library_version';
COMMENT ON FUNCTION theazo_internal.library_version() IS
'the version of the loaded library';

CREATE OR REPLACE FUNCTION theazo_internal.sql_version()
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '0.1.0';
COMMENT ON FUNCTION theazo_internal.sql_version() IS
'the version of these SQL objects; must equal the library''s';

CREATE OR REPLACE FUNCTION theazo_internal.enter_check()
RETURNS void LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_enter_check';
COMMENT ON FUNCTION theazo_internal.enter_check() IS
'TZ105 when switched off, TZ106 when library and objects do not match';

CREATE OR REPLACE FUNCTION theazo_internal.scope_held(p_scope text)
RETURNS boolean LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'theazo_scope_held';
COMMENT ON FUNCTION theazo_internal.scope_held(text) IS
'does the caller hold this scope, its area''s wildcard, or all';

-- In C because everything passes here; what makes a key valid is key_authenticate().
CREATE OR REPLACE FUNCTION theazo_internal.enter(p_api_key text, p_scope text)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_enter';
COMMENT ON FUNCTION theazo_internal.enter(text, text) IS
'first line of every public function: who asks (TZ601), is it on (TZ105, TZ106), may they (TZ602)';

-- The role the session acts as: what SET ROLE chose, else who logged in. Inside a definer
-- function current_user is the owner and says nothing about the caller.
CREATE OR REPLACE FUNCTION theazo_internal.outer_role()
RETURNS name LANGUAGE sql STABLE
RETURN CASE pg_catalog.current_setting('role') WHEN 'none' THEN SESSION_USER
	ELSE pg_catalog.current_setting('role')::name END;
COMMENT ON FUNCTION theazo_internal.outer_role() IS
'the role that called, seen from inside definer functions';

CREATE OR REPLACE FUNCTION theazo_internal.is_operator()
RETURNS boolean LANGUAGE sql STABLE
RETURN NOT theazo_internal.in_maintenance()
	AND pg_catalog.pg_has_role(theazo_internal.outer_role(), 'theazo_operator', 'MEMBER');
COMMENT ON FUNCTION theazo_internal.is_operator() IS
'is the calling role a member of theazo_operator or a superuser; never during maintenance, which runs the code of others';

CREATE OR REPLACE FUNCTION theazo_internal.enter_operator()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.enter_check();
	IF NOT theazo_internal.is_operator() THEN
		PERFORM theazo_internal.raise_scope('only an operator may do this', 'operator_only',
			'Call it as a member of role theazo_operator.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.enter_operator() IS
'first line of what only the operator may call';

CREATE OR REPLACE FUNCTION theazo_internal.refuse_narrowed(p_what text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF theazo_internal.current_session() IS NOT NULL THEN
		PERFORM theazo_internal.raise_scope(
			pg_catalog.format('%s belongs to the platform, not to one session', p_what), 'session_only',
			'Do it before theazo.act_as(), or in a transaction of its own.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.refuse_narrowed(text) IS
'TZ602 for a caller that acts as one session';

-- Providers, platform secrets and definitions have no environment: live work uses them too.
CREATE OR REPLACE FUNCTION theazo_internal.shared_change_check(p_what text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.refuse_narrowed(p_what);
	IF theazo_internal.current_environment() <> 'live' THEN
		PERFORM theazo_internal.raise_scope(
			pg_catalog.format('a test key cannot change %s, because live work uses it too', p_what), 'test_key', 'Use a live key.');
	END IF;
	PERFORM theazo_internal.flow_clean(p_what);
END $$;
COMMENT ON FUNCTION theazo_internal.shared_change_check(text) IS
'TZ602 for a change of what the whole platform shares, by one session or with a test key';

-- ---------------------------------------------------------------------------------------
-- legal moves

CREATE OR REPLACE FUNCTION theazo_internal.moves()
RETURNS TABLE (object text, from_state text, event text, to_state text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
VALUES
	('session', '',           'create',    'active'),
	('session', 'active',     'pause',     'paused'),
	('session', 'paused',     'resume',    'active'),
	('session', 'active',     'terminate', 'terminated'),
	('session', 'paused',     'terminate', 'terminated'),

	('agent',   '',           'create',    'booting'),
	('agent',   'booting',    'boot',      'ready'),
	('agent',   'booting',    'break',     'failed'),
	('agent',   'ready',      'run',       'running'),
	('agent',   'failed',     'run',       'running'),
	('agent',   'running',    'finish',    'ready'),
	('agent',   'running',    'complete',  'completed'),
	('agent',   'running',    'break',     'failed'),
	('agent',   'ready',      'break',     'failed'),
	('agent',   'paused',     'break',     'failed'),
	('agent',   'ready',      'pause',     'paused'),
	('agent',   'running',    'pause',     'paused'),
	('agent',   'failed',     'pause',     'paused'),
	('agent',   'paused',     'resume',    'ready'),
	('agent',   'paused',     'continue',  'running'),
	('agent',   'booting',    'terminate', 'completed'),
	('agent',   'ready',      'terminate', 'completed'),
	('agent',   'running',    'terminate', 'completed'),
	('agent',   'paused',     'terminate', 'completed'),
	('agent',   'failed',     'terminate', 'completed'),

	('run',     '',           'create',    'queued'),
	('run',     'queued',     'start',     'running'),
	('run',     'queued',     'fail',      'failed'),
	('run',     'queued',     'cancel',    'cancelled'),
	('run',     'running',    'finish',    'completed'),
	('run',     'running',    'fail',      'failed'),
	('run',     'running',    'cancel',    'cancelled')
$$;
COMMENT ON FUNCTION theazo_internal.moves() IS
'the legal moves of every life cycle; from_state is empty for creation';

CREATE OR REPLACE FUNCTION theazo_internal.move(p_object text, p_id text, p_from text, p_event text)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	target text;
BEGIN
	SELECT m.to_state INTO target FROM theazo_internal.moves() m
	 WHERE m.object = p_object AND m.from_state = p_from AND m.event = p_event;
	IF FOUND THEN
		RETURN target;
	END IF;
	-- repeating a move whose target is already the state succeeds and changes nothing
	PERFORM 1 FROM theazo_internal.moves() m
	 WHERE m.object = p_object AND m.event = p_event AND m.to_state = p_from AND m.from_state <> '';
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_state(p_object, p_id, p_from, p_event);
	END IF;
	RETURN p_from;
END $$;
COMMENT ON FUNCTION theazo_internal.move(text, text, text, text) IS
'the state an event leads to; TZ103 when the move is not legal, the same state when it is made already';

-- ---------------------------------------------------------------------------------------
-- values

CREATE OR REPLACE FUNCTION theazo_internal.has_control(p_text text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_text OPERATOR(pg_catalog.~) '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]' COLLATE "C";
COMMENT ON FUNCTION theazo_internal.has_control(text) IS
'does the text hold control characters, line separators or direction overrides';

CREATE OR REPLACE FUNCTION theazo_internal.name_check(p_field text, p_name text, p_max integer)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	-- the length first: trimming and matching take several times the memory of the text
	IF pg_catalog.length(p_name) > p_max THEN
		PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('is longer than %s characters', p_max));
	ELSIF p_name IS NULL OR pg_catalog.btrim(p_name) = '' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must not be empty');
	ELSIF theazo_internal.has_control(p_name) THEN
		PERFORM theazo_internal.raise_value(p_field, 'contains control characters',
			'Use printable characters only.');
	END IF;
	RETURN p_name;
END $$;
COMMENT ON FUNCTION theazo_internal.name_check(text, text, integer) IS
'a name: not empty, bounded, no control characters; returns it';

CREATE OR REPLACE FUNCTION theazo_internal.one_of(p_field text, p_value text, VARIADIC p_allowed text[])
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_value IS NULL OR NOT p_value = ANY (p_allowed) THEN
		PERFORM theazo_internal.raise_value(p_field,
			pg_catalog.format('%s is not known', theazo_internal.quoted(p_value)),
			pg_catalog.format('Use one of: %s.', pg_catalog.array_to_string(p_allowed, ', ')));
	END IF;
	RETURN p_value;
END $$;
COMMENT ON FUNCTION theazo_internal.one_of(text, text, text[]) IS
'a value out of a fixed list; returns it';

CREATE OR REPLACE FUNCTION theazo_internal.object_check(p_field text, p_doc jsonb, p_max_bytes integer, p_keys text[] DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	stranger text;
BEGIN
	IF p_doc IS NULL OR pg_catalog.jsonb_typeof(p_doc) = 'null' THEN
		RETURN '{}';
	ELSIF pg_catalog.jsonb_typeof(p_doc) <> 'object' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be a JSON object',
			pg_catalog.format('It is a JSON %s.', pg_catalog.jsonb_typeof(p_doc)));
	ELSIF pg_catalog.octet_length(p_doc::text) > p_max_bytes THEN
		PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('is larger than %s bytes', p_max_bytes));
	END IF;
	IF p_keys IS NOT NULL THEN
		SELECT k INTO stranger FROM pg_catalog.jsonb_object_keys(p_doc) k
		 WHERE NOT k = ANY (p_keys) ORDER BY k COLLATE "C" LIMIT 1;
		IF FOUND THEN
			PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('has no field %s', theazo_internal.quoted(stranger)),
				pg_catalog.format('Known fields: %s.', pg_catalog.array_to_string(p_keys, ', ')));
		END IF;
	END IF;
	RETURN p_doc;
END $$;
COMMENT ON FUNCTION theazo_internal.object_check(text, jsonb, integer, text[]) IS
'a JSON object: bounded, only known fields; null becomes {}';

CREATE OR REPLACE FUNCTION theazo_internal.metadata_check(p_field text, p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	result jsonb := '{}';
	k text;
	v jsonb;
	kind text;
BEGIN
	p_doc := theazo_internal.object_check(p_field, p_doc, 16384);
	IF (SELECT pg_catalog.count(*) FROM pg_catalog.jsonb_object_keys(p_doc)) > 50 THEN
		PERFORM theazo_internal.raise_value(p_field, 'has more than 50 keys');
	END IF;
	FOR k, v IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(p_doc) e LOOP
		kind := pg_catalog.jsonb_typeof(v);
		IF k = '' OR pg_catalog.length(k) > 64 OR theazo_internal.has_control(k) THEN
			PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('has a bad key %s', theazo_internal.quoted(k)),
				'Keys have 1 to 64 printable characters.');
		ELSIF kind NOT IN ('string', 'number', 'boolean') THEN
			PERFORM theazo_internal.raise_value(p_field || '.' || k, pg_catalog.format('is a JSON %s', kind),
				'Values are strings; numbers and booleans are stored as strings.');
		ELSIF pg_catalog.length(v #>> '{}') > 1024 THEN
			PERFORM theazo_internal.raise_value(p_field || '.' || k, 'is longer than 1024 characters');
		END IF;
		result := result || pg_catalog.jsonb_build_object(k, v #>> '{}');
	END LOOP;
	IF pg_catalog.octet_length(result::text) > 16384 THEN
		PERFORM theazo_internal.raise_value(p_field, 'is larger than 16384 bytes');
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.metadata_check(text, jsonb) IS
'metadata: at most 50 keys, 16 KiB; numbers and booleans become strings; returns what to store';

CREATE OR REPLACE FUNCTION theazo_internal.integer_check(p_field text, p_value jsonb, p_min bigint, p_max bigint)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	n numeric;
BEGIN
	IF p_value IS NULL OR pg_catalog.jsonb_typeof(p_value) <> 'number' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be a whole number');
	END IF;
	n := (p_value #>> '{}')::numeric;
	IF n <> pg_catalog.trunc(n) OR n < p_min OR n > p_max THEN
		PERFORM theazo_internal.raise_value(p_field,
			pg_catalog.format('must be a whole number from %s to %s', p_min, p_max));
	END IF;
	RETURN n::bigint;
END $$;
COMMENT ON FUNCTION theazo_internal.integer_check(text, jsonb, bigint, bigint) IS
'a whole JSON number within bounds';

CREATE OR REPLACE FUNCTION theazo_internal.boolean_check(p_field text, p_value jsonb)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_value IS NULL OR pg_catalog.jsonb_typeof(p_value) <> 'boolean' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be true or false');
	END IF;
	RETURN p_value::boolean;
END $$;
COMMENT ON FUNCTION theazo_internal.boolean_check(text, jsonb) IS
'a JSON boolean';

CREATE OR REPLACE FUNCTION theazo_internal.time_check(p_field text, p_value jsonb)
RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN theazo_internal.text_check(p_field, p_value, 64)::timestamptz;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format OR invalid_time_zone_displacement_value THEN
	PERFORM theazo_internal.raise_value(p_field, 'is not a time', 'Write it as 2030-01-31T12:00:00Z.');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.time_check(text, jsonb) IS 'a time in a JSON string';

CREATE OR REPLACE FUNCTION theazo_internal.text_check(p_field text, p_value jsonb, p_max integer)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_value IS NULL OR pg_catalog.jsonb_typeof(p_value) <> 'string' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be a string');
	ELSIF pg_catalog.length(p_value #>> '{}') > p_max THEN
		PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('is longer than %s characters', p_max));
	END IF;
	RETURN p_value #>> '{}';
END $$;
COMMENT ON FUNCTION theazo_internal.text_check(text, jsonb, integer) IS
'a bounded JSON string';

CREATE OR REPLACE FUNCTION theazo_internal.names_check(p_field text, p_value jsonb, p_max_items integer, p_max_length integer)
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	item jsonb;
	result text[] := '{}';
BEGIN
	IF p_value IS NULL OR pg_catalog.jsonb_typeof(p_value) <> 'array' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be an array of strings');
	ELSIF pg_catalog.jsonb_array_length(p_value) > p_max_items THEN
		PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('has more than %s entries', p_max_items));
	END IF;
	FOR item IN SELECT e FROM pg_catalog.jsonb_array_elements(p_value) e LOOP
		IF pg_catalog.jsonb_typeof(item) <> 'string' THEN
			PERFORM theazo_internal.raise_value(p_field, 'must be an array of strings');
		END IF;
		result := result || theazo_internal.name_check(p_field, item #>> '{}', p_max_length);
	END LOOP;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.names_check(text, jsonb, integer, integer) IS
'a bounded JSON array of names';

-- A string of number-unit pairs, an object with hours, minutes, seconds, or seconds.
CREATE OR REPLACE FUNCTION theazo_internal.duration_check(p_field text, p_value jsonb, p_min interval, p_max interval)
RETURNS interval LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	seconds numeric := 0;
	kind text := pg_catalog.jsonb_typeof(p_value);
	t text := pg_catalog.lower(p_value #>> '{}');
	k text;
	v jsonb;
	bad boolean := false;
BEGIN
	IF kind = 'number' THEN
		seconds := t::numeric;
	ELSIF kind = 'string' AND pg_catalog.length(t) <= 64
		AND t OPERATOR(pg_catalog.~) '^\s*([0-9]{1,9}(\.[0-9]{1,6})?\s*(ms|s|m|h|d)\s*)+$' THEN
		SELECT pg_catalog.sum(m[1]::numeric * CASE m[2] WHEN 'ms' THEN 0.001 WHEN 's' THEN 1 WHEN 'm' THEN 60
													   WHEN 'h' THEN 3600 ELSE 86400 END)
		  INTO seconds
		  FROM pg_catalog.regexp_matches(t, '([0-9.]+)\s*(ms|s|m|h|d)', 'g') m;
	ELSIF kind = 'object' AND p_value <> '{}' THEN
		FOR k, v IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(p_value) e LOOP
			IF k NOT IN ('hours', 'minutes', 'seconds') OR pg_catalog.jsonb_typeof(v) <> 'number'
				OR (v #>> '{}')::numeric < 0 THEN
				bad := true;
			ELSE
				seconds := seconds + (v #>> '{}')::numeric * CASE k WHEN 'hours' THEN 3600 WHEN 'minutes' THEN 60 ELSE 1 END;
			END IF;
		END LOOP;
	ELSE
		bad := true;
	END IF;
	IF bad THEN
		PERFORM theazo_internal.raise_value(p_field, 'is not a duration',
			'Use "90s", "1h30m", an object with hours, minutes and seconds that are not negative, or a number of seconds.');
	ELSIF seconds > 0 AND seconds < 0.000001 THEN
		PERFORM theazo_internal.raise_value(p_field, 'is shorter than a microsecond', 'Use 0, or a duration that can be measured.');
	ELSIF seconds < EXTRACT(epoch FROM p_min) OR seconds > EXTRACT(epoch FROM p_max) THEN
		PERFORM theazo_internal.raise_value(p_field,
			pg_catalog.format('must be from %s to %s seconds',
				EXTRACT(epoch FROM p_min)::bigint, EXTRACT(epoch FROM p_max)::bigint));
	END IF;
	RETURN pg_catalog.make_interval(secs => seconds::double precision);
END $$;
COMMENT ON FUNCTION theazo_internal.duration_check(text, jsonb, interval, interval) IS
'a duration in any of its forms, within bounds';

CREATE OR REPLACE FUNCTION theazo_internal.cost_check(p_field text, p_value jsonb, p_period boolean)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	result jsonb;
BEGIN
	IF p_value IS NULL OR pg_catalog.jsonb_typeof(p_value) <> 'object' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be an object',
			'For example {"amount": 500, "currency": "usd"}; the amount is in cents.');
	END IF;
	PERFORM theazo_internal.object_check(p_field, p_value, 1024,
		CASE WHEN p_period THEN ARRAY['amount', 'currency', 'period'] ELSE ARRAY['amount', 'currency'] END);
	result := pg_catalog.jsonb_build_object(
		'amount', theazo_internal.integer_check(p_field || '.amount', p_value -> 'amount', 0, 1000000000000),
		'currency', theazo_internal.one_of(p_field || '.currency',
			CASE WHEN p_value ? 'currency' THEN p_value ->> 'currency' ELSE 'usd' END, 'usd'));
	IF p_period THEN
		result := result || pg_catalog.jsonb_build_object('period',
			theazo_internal.one_of(p_field || '.period', p_value ->> 'period', 'day', 'month'));
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.cost_check(text, jsonb, boolean) IS
'an amount of money in whole cents, with a period when it is a limit';

-- Laid over what is there: a null removes a limit. Returns the whole new document.
CREATE OR REPLACE FUNCTION theazo_internal.limits_merge(p_old jsonb, p_new jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	result jsonb := p_old;
	k text;
	v jsonb;
	seconds numeric;
BEGIN
	p_new := theazo_internal.object_check('limits', p_new, 4096,
		ARRAY['maxCost', 'maxAgents', 'maxComputeMinutes', 'maxDuration']);
	FOR k, v IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(p_new) e LOOP
		IF pg_catalog.jsonb_typeof(v) = 'null' THEN
			result := result - k;
			CONTINUE;
		END IF;
		CASE k
			WHEN 'maxCost' THEN
				v := theazo_internal.cost_check('limits.maxCost', v, true);
			WHEN 'maxAgents' THEN
				v := pg_catalog.to_jsonb(theazo_internal.integer_check('limits.maxAgents', v, 0, 1000000));
			WHEN 'maxComputeMinutes' THEN
				IF pg_catalog.jsonb_typeof(v) <> 'number' OR (v #>> '{}')::numeric < 0 OR (v #>> '{}')::numeric > 1000000000 THEN
					PERFORM theazo_internal.raise_value('limits.maxComputeMinutes', 'must be a number from 0 to 1000000000');
				END IF;
			WHEN 'maxDuration' THEN
				seconds := EXTRACT(epoch FROM theazo_internal.duration_check('limits.maxDuration', v, '0', '87600 hours'));
				v := pg_catalog.jsonb_build_object('hours', pg_catalog.trunc(seconds / 3600),
					'minutes', pg_catalog.trunc(seconds % 3600 / 60), 'seconds', pg_catalog.trim_scale(seconds % 60));
		END CASE;
		result := result || pg_catalog.jsonb_build_object(k, v);
	END LOOP;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.limits_merge(jsonb, jsonb) IS
'session limits laid over older ones; null removes one; negative values are refused, zero is a limit';

-- A rule about hosts as src/lib/hostlist.c reads it.
CREATE OR REPLACE FUNCTION theazo_internal.host_rule_check(p_field text, p_rule text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	-- an address in the one spelling that it is compared in
	v_literal	text := theazo_internal.host_clean(pg_catalog.substring(p_rule, '^\[[^]]*\]'));
BEGIN
	p_rule := pg_catalog.lower(p_rule);
	IF NOT p_rule OPERATOR(pg_catalog.~) '^((\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?$'
		OR coalesce(pg_catalog.substring(p_rule, ':([0-9]+)$')::integer, 1) NOT BETWEEN 1 AND 65535
		OR p_rule LIKE '[%' AND v_literal IS NULL THEN
		PERFORM theazo_internal.raise_value(p_field,
			pg_catalog.format('has no usable host in %s', theazo_internal.quoted(p_rule)),
			CASE WHEN p_rule LIKE '%:%:%' AND NOT p_rule OPERATOR(pg_catalog.~) '^\[[0-9a-f:.]+\]:' THEN 'Write an IPv6 address in brackets: [2001:db8::1], or [2001:db8::1]:8443.'
				 ELSE 'Use host, *.host, or host:port; without a port 443 is meant.' END);
	END IF;
	IF v_literal IS NULL THEN
		RETURN p_rule;
	END IF;
	RETURN CASE WHEN v_literal LIKE '%:%' THEN '[' || v_literal || ']' ELSE v_literal END || coalesce(pg_catalog.substring(p_rule, '\](:[0-9]+)$'), '');
END $$;
COMMENT ON FUNCTION theazo_internal.host_rule_check(text, text) IS
'one rule of a list of hosts; returns it in lower case, an IPv6 address in its one spelling';

-- The address itself is judged when the connection is made; here only its form and scheme.
CREATE OR REPLACE FUNCTION theazo_internal.endpoint_check(p_field text, p_url text, p_http boolean)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF p_url IS NULL OR pg_catalog.octet_length(p_url) > 2048
		OR NOT p_url OPERATOR(pg_catalog.~*) '^https?://([a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?(/[!-~]*)?$'
		OR p_url OPERATOR(pg_catalog.~) '[?#@\\"<>^`{|}]'
		OR coalesce(pg_catalog.substring(p_url, '^[a-zA-Z]+://[^/]*:([0-9]+)(?:/|$)')::integer, 443) NOT BETWEEN 1 AND 65535 THEN
		PERFORM theazo_internal.raise_value(p_field, 'is not a usable address',
			'Give https://host/path: no user, query or fragment, no spaces, at most 2048 bytes.');
	ELSIF pg_catalog.lower(p_url) LIKE 'http://%' AND NOT p_http
		AND NOT coalesce(pg_catalog.current_setting('theazo.egress_allow_http', true), 'off')::boolean THEN
		PERFORM theazo_internal.event_refused(NULL, 'network', 'egress_refused',
			pg_catalog.jsonb_build_object('code', 'TZ405', 'field', p_field), p_rule => 'https');
		RAISE EXCEPTION USING
			ERRCODE = 'TZ405',
			MESSAGE = pg_catalog.format('%s must use https', p_field),
			COLUMN = p_field,
			HINT = 'The operator can allow plain http with theazo.platform_allow_egress() or theazo.egress_allow_http.';
	END IF;
	RETURN pg_catalog.rtrim(p_url, '/');
END $$;
COMMENT ON FUNCTION theazo_internal.endpoint_check(text, text, boolean) IS
'an endpoint''s form and scheme; returns it without trailing slashes';
