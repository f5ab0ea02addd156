-- audit_export.sql: the trail as lines that theazo-verify reads, and as CSV for people. See docs/audit.md.

CREATE OR REPLACE FUNCTION theazo_internal.seal_ids(p_ids bytea)
RETURNS text[] LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_seal_ids';
COMMENT ON FUNCTION theazo_internal.seal_ids(bytea) IS 'ids of a seal''s events as text';

CREATE OR REPLACE FUNCTION theazo_internal.audit_text(p_bytes bytea)
RETURNS text LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_audit_text';
COMMENT ON FUNCTION theazo_internal.audit_text(bytea) IS 'bytes as text; null where they are none in this database';

CREATE OR REPLACE FUNCTION theazo_internal.unix_us(p_at timestamptz)
RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (extract(epoch FROM p_at) * 1000000)::bigint;
COMMENT ON FUNCTION theazo_internal.unix_us(timestamptz) IS 'microseconds since 1970 in UTC';

-- One event as a line: every column that is hashed, and the leaf that its seal holds.
CREATE OR REPLACE FUNCTION theazo_internal.audit_line(p_seq bigint, p_leaf bytea, p_event theazo_data.event)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT json_strip_nulls(json_build_object('t', 'event', 'seq', p_seq, 'leaf', encode(p_leaf, 'base64'),
		'platform_id', (p_event).platform_id, 'id', (p_event).id, 'number', (p_event).number,
		'occurred_at_us', theazo_internal.unix_us((p_event).occurred_at), 'xid', (p_event).xid::text, 'instance', (p_event).instance,
		'environment', (p_event).environment, 'session_id', (p_event).session_id, 'agent_id', (p_event).agent_id, 'run_id', (p_event).run_id,
		'actor_kind', (p_event).actor_kind, 'actor_id', (p_event).actor_id, 'request_id', (p_event).request_id,
		'category', (p_event).category, 'action', (p_event).action, 'permission_state', (p_event).permission_state,
		'decision', (p_event).decision, 'rule', (p_event).rule, 'is_violation', (p_event).is_violation, 'personal', (p_event).personal,
		'body', theazo_internal.audit_text((p_event).body),
		'body_b64', CASE WHEN theazo_internal.audit_text((p_event).body) IS NULL THEN translate(encode((p_event).body, 'base64'), E'\n', '') END))::text
$$;
COMMENT ON FUNCTION theazo_internal.audit_line(bigint, bytea, theazo_data.event) IS 'an event as a line of an export';

-- What stands behind the seal that ends at p_size: its signed head, the rounds that anchored it, their anchors.
CREATE OR REPLACE FUNCTION theazo_internal.audit_head_lines(p_platform text, p_size bigint)
RETURNS SETOF text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_operator	text := theazo_internal.operator_platform();
	v_note		text;
	r			record;
BEGIN
	SELECT c.note INTO v_note FROM theazo_data.audit_checkpoint c WHERE c.platform_id = p_platform AND c.tree_size = p_size;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	RETURN NEXT json_build_object('t', 'checkpoint', 'note', v_note)::text;
	FOR r IN
		SELECT l.round_id, l.index, d.size, d.root,
			   (SELECT coalesce(json_agg(encode(substr(l.path, 32 * n + 1, 32), 'base64') ORDER BY n), '[]'::json)
				  FROM generate_series(0, octet_length(l.path) / 32 - 1) n) AS path
		  FROM theazo_data.audit_round_leaf l JOIN theazo_data.audit_round d ON d.platform_id = v_operator AND d.id = l.round_id
		 WHERE l.platform_id = p_platform AND l.tree_size = p_size ORDER BY l.round_id
	LOOP
		RETURN NEXT json_build_object('t', 'round', 'id', r.round_id, 'index', r.index, 'size', r.size, 'path', r.path,
			'root', encode(r.root, 'base64'))::text;
		RETURN QUERY SELECT json_strip_nulls(json_build_object('t', 'anchor', 'round', a.round_id, 'name', a.name, 'kind', a.kind,
				'confirmed_at_us', theazo_internal.unix_us(a.confirmed_at), 'evidence', a.evidence,
				'token', translate(encode(a.token, 'base64'), E'\n', '')))::text
		  FROM theazo_data.audit_anchor a WHERE a.platform_id = v_operator AND a.round_id = r.round_id ORDER BY a.name;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.audit_head_lines(text, bigint) IS 'signed head, rounds and anchors behind a seal as lines of an export';

-- The first lines: what it is, and where it begins if not at the beginning.
CREATE OR REPLACE FUNCTION theazo_internal.audit_begin_lines(p_platform text, p_first bigint)
RETURNS SETOF text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_origin	text := current_setting('theazo.audit_origin') || '/' || p_platform;
	s			record;
BEGIN
	-- Heads that were signed under another name say so themselves.
	SELECT split_part(c.note, E'\n', 1) INTO v_origin FROM theazo_data.audit_checkpoint c
	 WHERE c.platform_id = p_platform AND c.tree_size >= p_first ORDER BY c.tree_size LIMIT 1;
	v_origin := coalesce(v_origin, current_setting('theazo.audit_origin') || '/' || p_platform);
	RETURN QUERY SELECT json_build_object('t', 'origin', 'format', 1, 'platform', p_platform, 'origin', v_origin, 'keys',
		(SELECT coalesce(json_agg(theazo_internal.audit_vkey(v_origin, k.public_key) ORDER BY k.created_at), '[]'::json)
		   FROM theazo_data.audit_key k))::text;
	IF p_first > 1 THEN
		SELECT x.hash, x.frontier INTO s FROM theazo_data.seal x
		 WHERE x.platform_id = p_platform AND x.first_seq < p_first ORDER BY x.first_seq DESC LIMIT 1;
		RETURN QUERY SELECT json_build_object('t', 'start', 'seq', p_first, 'frontier',
			(SELECT json_agg(encode(substr(s.frontier, 32 * n + 1, 32), 'base64') ORDER BY n) FROM generate_series(0, octet_length(s.frontier) / 32 - 1) n),
			'prev_hash', encode(s.hash, 'base64'))::text;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.audit_begin_lines(text, bigint) IS 'first lines of an export';

-- A whole export: the seals of the range, and on to the first signed head behind it, of which only leaves are
-- given. A row that should be there and is not is left out, so that whoever verifies finds it missing.
CREATE OR REPLACE FUNCTION theazo_internal.audit_export_lines(
	p_platform text, p_from bigint, p_to bigint, p_environment text, p_month text DEFAULT NULL)
RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_first		bigint;
	v_last		bigint := 0;
	v_until		bigint;
	v_archived	boolean;
	s			record;
BEGIN
	SELECT x.first_seq INTO v_first FROM theazo_data.seal x
	 WHERE x.platform_id = p_platform AND x.first_seq <= p_from ORDER BY x.first_seq DESC LIMIT 1;
	v_first := coalesce(v_first, 1);
	SELECT c.tree_size INTO v_until FROM theazo_data.audit_checkpoint c
	 WHERE c.platform_id = p_platform AND c.tree_size >= p_to ORDER BY c.tree_size LIMIT 1;
	RETURN QUERY SELECT * FROM theazo_internal.audit_begin_lines(p_platform, v_first);
	FOR s IN
		SELECT x.* FROM theazo_data.seal x
		 WHERE x.platform_id = p_platform AND x.first_seq >= v_first AND x.first_seq <= coalesce(v_until, 9223372036854775807)
		 ORDER BY x.first_seq
	LOOP
		v_last := s.first_seq + s.events - 1;
		RETURN NEXT json_build_object('t', 'seal', 'first_seq', s.first_seq, 'events', s.events,
			'sealed_at_us', theazo_internal.unix_us(s.sealed_at), 'prev_hash', encode(s.prev_hash, 'base64'), 'hash', encode(s.hash, 'base64'))::text;
		v_archived := coalesce(to_char(theazo_internal.id_time(s.min_id) AT TIME ZONE 'UTC', 'YYYY_MM') <> p_month, false)
			OR theazo_internal.audit_archived(theazo_internal.id_time(s.min_id));
		RETURN QUERY
			SELECT CASE WHEN i.seq NOT BETWEEN p_from AND p_to OR v_archived
							 OR (p_environment IS NOT NULL AND e.environment <> p_environment)
						THEN json_build_object('t', 'leaf', 'seq', i.seq, 'leaf', encode(i.leaf, 'base64'))::text
						ELSE theazo_internal.audit_line(i.seq, i.leaf, e) END
			  FROM (SELECT u.id, s.first_seq + u.n - 1 AS seq, substr(s.leaves, (32 * (u.n - 1) + 1)::integer, 32) AS leaf
					  FROM unnest(theazo_internal.seal_ids(s.ids)) WITH ORDINALITY u(id, n)) i
			  LEFT JOIN theazo_data.event e ON e.platform_id = p_platform AND e.id = i.id AND e.id BETWEEN s.min_id AND s.max_id
			 WHERE e.id IS NOT NULL OR v_archived OR i.seq NOT BETWEEN p_from AND p_to
			 ORDER BY i.seq;
		RETURN QUERY SELECT * FROM theazo_internal.audit_head_lines(p_platform, v_last);
	END LOOP;
	RETURN NEXT json_build_object('t', 'end', 'last_seq', v_last)::text;
END
$$;
COMMENT ON FUNCTION theazo_internal.audit_export_lines(text, bigint, bigint, text, text) IS
'the trail of a platform, a range of it, or in a range the events of a month, as lines for theazo-verify';

-- Was the month exported and detached?
CREATE OR REPLACE FUNCTION theazo_internal.audit_archived(p_at timestamptz)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM theazo_data.audit_segment g
					WHERE g.platform_id = theazo_internal.operator_platform() AND g.what = 'detached'
					  AND g.month = to_char(p_at AT TIME ZONE 'UTC', 'YYYY_MM'))
	   AND to_regclass('theazo_data.event_' || to_char(p_at AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL
$$;
COMMENT ON FUNCTION theazo_internal.audit_archived(timestamptz) IS 'is the month of that time exported and detached';

-- A field of a CSV line: always quoted; what a spreadsheet would take for a formula is made text.
CREATE OR REPLACE FUNCTION theazo_internal.csv_field(p_text text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_text IS NULL THEN ''
	ELSE '"' || CASE WHEN p_text ~ '^[=+@\t\r-]' THEN '''' ELSE '' END || pg_catalog.replace(p_text, '"', '""') || '"' END;
COMMENT ON FUNCTION theazo_internal.csv_field(text) IS 'a field of a CSV line';

CREATE OR REPLACE FUNCTION theazo_internal.audit_csv_lines(p_platform text, p_from bigint, p_to bigint, p_environment text)
RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	record;
BEGIN
	RETURN NEXT 'seq,id,number,occurred_at,environment,session_id,agent_id,run_id,actor_kind,actor_id,request_id,category,action,'
		'permission_state,decision,rule,is_violation,body,leaf';
	FOR s IN
		SELECT x.* FROM theazo_data.seal x
		 WHERE x.platform_id = p_platform AND x.first_seq > p_from - 128 AND x.first_seq <= p_to ORDER BY x.first_seq
	LOOP
		RETURN QUERY
			SELECT (SELECT string_agg(theazo_internal.csv_field(f.value), ',' ORDER BY f.n)
					  FROM unnest(ARRAY[i.seq::text, e.id, e.number::text, to_char(e.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
						e.environment, e.session_id, e.agent_id, e.run_id, e.actor_kind, e.actor_id, e.request_id, e.category, e.action,
						e.permission_state, e.decision, e.rule, e.is_violation::text,
						coalesce(theazo_internal.audit_text(e.body), encode(e.body, 'hex')), encode(i.leaf, 'hex')]) WITH ORDINALITY f(value, n))
			  FROM (SELECT u.id, s.first_seq + u.n - 1 AS seq, substr(s.leaves, (32 * (u.n - 1) + 1)::integer, 32) AS leaf
					  FROM unnest(theazo_internal.seal_ids(s.ids)) WITH ORDINALITY u(id, n)) i
			  JOIN theazo_data.event e ON e.platform_id = p_platform AND e.id = i.id AND e.id BETWEEN s.min_id AND s.max_id
			 WHERE i.seq BETWEEN p_from AND p_to AND (p_environment IS NULL OR e.environment = p_environment)
			 ORDER BY i.seq;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.audit_csv_lines(text, bigint, bigint, text) IS 'the trail of a platform, or a range of it, as CSV';

CREATE OR REPLACE FUNCTION theazo.audit_export(format text DEFAULT 'jsonl', from_seq bigint DEFAULT NULL, to_seq bigint DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_platform		text;
	v_environment	text;
	v_from			bigint := coalesce(audit_export.from_seq, 1);
	v_to			bigint := audit_export.to_seq;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'event:read');
	v_platform := theazo_internal.current_platform();
	PERFORM theazo_internal.audit_may(NULL);
	-- Who holds a test key sees rows of the test environment; of the others the leaves.
	IF theazo_internal.current_environment() = 'test' THEN
		v_environment := 'test';
	END IF;
	IF v_from < 1 OR v_to < v_from THEN
		PERFORM theazo_internal.raise_value('from_seq', 'and to_seq are no range', 'Sequence numbers begin at 1; from_seq is at most to_seq.');
	END IF;
	v_to := coalesce(v_to, 9223372036854775807);
	CASE audit_export.format
		WHEN 'jsonl' THEN RETURN QUERY SELECT * FROM theazo_internal.audit_export_lines(v_platform, v_from, v_to, v_environment);
		WHEN 'csv' THEN RETURN QUERY SELECT * FROM theazo_internal.audit_csv_lines(v_platform, v_from, v_to, v_environment);
		ELSE PERFORM theazo_internal.raise_value('format', 'is unknown', 'Formats: jsonl (for theazo-verify), csv.');
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo.audit_export(text, bigint, bigint, text) IS
'the audit trail or a range of it as lines: jsonl with seals, signed heads and anchors for theazo-verify, or csv';

-- SHA-256 in steps: the state is a value, so that what is hashed need not be held. A null line ends it.
CREATE OR REPLACE FUNCTION theazo_internal.digest_step(p_state bytea, p_line text)
RETURNS bytea LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_sha256_step';
COMMENT ON FUNCTION theazo_internal.digest_step(bytea, text) IS
'takes a line with its line feed into a SHA-256 (state null: a new one); the digest when the line is null';

CREATE OR REPLACE FUNCTION theazo_internal.segment_exported(p_month text, p_events bigint, p_digest bytea)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO theazo_data.audit_segment (platform_id, month, what, at, events, digest)
	VALUES (theazo_internal.operator_platform(), p_month, 'exported', clock_timestamp(), p_events, p_digest);
	PERFORM theazo_internal.event_write(theazo_internal.operator_platform(), 'control', 'segment_exported',
		jsonb_build_object('month', p_month, 'events', p_events, 'digest', encode(p_digest, 'hex')), NULL, NULL, NULL, 'live');
END
$$;
COMMENT ON FUNCTION theazo_internal.segment_exported(text, bigint, bytea) IS 'notes that a month of events was exported';

-- All platforms of the month, each as an export of its own. What is noted is of the lines with their line feeds,
-- so that sha256sum of the file says the same.
CREATE OR REPLACE FUNCTION theazo.audit_segment_export(month text)
RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_low		text;
	v_high		text;
	v_state		bytea;
	v_line		text;
	v_events	bigint := 0;
	p			record;
BEGIN
	PERFORM theazo_internal.enter_operator();
	IF audit_segment_export.month IS NULL OR audit_segment_export.month !~ '^20[0-9]{2}_(0[1-9]|1[0-2])$' THEN
		PERFORM theazo_internal.raise_value('month', 'is no month', 'Give it as YYYY_MM, such as 2027_01.');
	END IF;
	v_low := 'evt_' || theazo_internal.id_floor(to_date(audit_segment_export.month, 'YYYY_MM')::timestamp AT TIME ZONE 'UTC');
	v_high := 'evt_' || theazo_internal.id_floor(theazo_internal.month_next(to_date(audit_segment_export.month, 'YYYY_MM')::timestamp AT TIME ZONE 'UTC'));
	FOR p IN
		SELECT s.platform_id, min(s.first_seq) AS first, max(s.first_seq + s.events - 1) AS last FROM theazo_data.seal s
		 WHERE s.max_id >= v_low AND s.max_id < v_high GROUP BY 1 ORDER BY 1
	LOOP
		FOR v_line IN SELECT x FROM theazo_internal.audit_export_lines(p.platform_id, p.first, p.last, NULL, audit_segment_export.month) x
		LOOP
			IF v_line LIKE '{"t":"event",%' THEN
				v_events := v_events + 1;
			END IF;
			v_state := theazo_internal.digest_step(v_state, v_line);
			RETURN NEXT v_line;
		END LOOP;
	END LOOP;
	IF v_state IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('nothing is sealed of month %s', audit_segment_export.month),
			HINT = 'theazo.audit_status shows how far sealing is.';
	END IF;
	PERFORM theazo_internal.segment_exported(audit_segment_export.month, v_events, theazo_internal.digest_step(v_state, NULL));
END
$$;
COMMENT ON FUNCTION theazo.audit_segment_export(text) IS
'operator: a month of events (YYYY_MM) of all platforms as lines for theazo-verify, and notes that it was exported, with its count and the SHA-256 of the file';
