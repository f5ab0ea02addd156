-- retention.sql: what is kept no longer: whole months of what lies with runs, row by row what is smaller and kept longer.
--
-- Whatever goes leaves an event in the trail, and a note that names it. So what is missing can be told from what was taken away:
-- it is gone by retention when its time lies in a note whose event says the same.

-- 0 keeps for ever.
CREATE OR REPLACE FUNCTION theazo_internal.retention_days(p_setting text)
RETURNS integer LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(nullif(regexp_replace(coalesce(current_setting(p_setting, true), ''), '\D', '', 'g'), '')::integer, 0)
$$;
COMMENT ON FUNCTION theazo_internal.retention_days(text) IS 'days that a setting keeps something; null: for ever';

CREATE OR REPLACE FUNCTION theazo_internal.expiry_summary(p_what text, p_from timestamptz, p_to timestamptz)
RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('table', p_what, 'from', theazo_internal.time_iso(p_from), 'to', theazo_internal.time_iso(p_to))
$$;
COMMENT ON FUNCTION theazo_internal.expiry_summary(text, timestamptz, timestamptz) IS 'what the event of rows that are kept no longer says of them';

CREATE OR REPLACE FUNCTION theazo_internal.expiry_note(p_platform text, p_what text, p_from timestamptz, p_to timestamptz, p_days integer, p_rows bigint)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- as exact as the event tells it
	p_from := date_trunc('milliseconds', p_from);
	p_to := date_trunc('milliseconds', p_to);
	INSERT INTO theazo_data.expiry AS x (platform_id, what, from_at, to_at, event_id)
	VALUES (p_platform, p_what, p_from, p_to, theazo_internal.event_write(p_platform, 'control', 'rows_expired',
		jsonb_strip_nulls(theazo_internal.expiry_summary(p_what, p_from, p_to) || jsonb_build_object('days', p_days, 'rows', p_rows)), NULL, NULL, NULL, 'live'))
	ON CONFLICT ON CONSTRAINT expiry_pkey DO UPDATE SET to_at = greatest(x.to_at, EXCLUDED.to_at),
		event_id = CASE WHEN EXCLUDED.to_at >= x.to_at THEN EXCLUDED.event_id ELSE x.event_id END;
END
$$;
COMMENT ON FUNCTION theazo_internal.expiry_note(text, text, timestamptz, timestamptz, integer, bigint) IS
'notes that rows of a span are kept no longer, with the event that says so';

-- A note alone is worth nothing: its event must say the same, or be so old that it was archived itself, and then have its place in the chain.
CREATE OR REPLACE FUNCTION theazo_internal.expired(p_platform text, p_what text, p_at timestamptz)
RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (
		SELECT FROM theazo_data.expiry x
		  LEFT JOIN theazo_data.event e ON e.platform_id = x.platform_id AND e.id = x.event_id
		 WHERE x.platform_id IN (p_platform, theazo_internal.operator_platform()) AND x.what = p_what AND x.from_at <= p_at AND p_at < x.to_at
		   AND CASE WHEN e.id IS NULL THEN (SELECT p.seq FROM theazo_internal.audit_place(x.platform_id, x.event_id) p) IS NOT NULL
					ELSE e.action = 'rows_expired'
						AND convert_from(e.body, 'UTF8')::jsonb -> 'summary' @> theazo_internal.expiry_summary(x.what, x.from_at, x.to_at) END);
END
$$;
COMMENT ON FUNCTION theazo_internal.expired(text, text, timestamptz) IS 'are rows of a table and a time gone by retention';

-- Whole partitions, never rows. A span of runs goes with its payloads and effects, or not at all.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_retention()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r		record;
	v_days	integer;
	v_n		integer := 0;
	v_error	text;
BEGIN
	FOR r IN
		SELECT l.parent, l.partition, p.keep_setting, p.keep_group,
			   substr(l.from_key, length(p.prefix) + 1) AS from_root, substr(l.to_key, length(p.prefix) + 1) AS to_root
		  FROM theazo_internal.partition_list() l JOIN theazo_internal.partition_parents() p ON p.parent = l.parent
		 WHERE NOT l.is_default AND p.keep_setting IS NOT NULL AND l.to_key IS NOT NULL
		 ORDER BY l.from_key, l.parent
	LOOP
		v_days := theazo_internal.retention_days(r.keep_setting);
		CONTINUE WHEN v_days IS NULL
				   OR theazo_internal.id_time('x_' || r.to_root) > now() - v_days * '1 day'::interval;
		CONTINUE WHEN NOT theazo_internal.partition_is_over(r.keep_group, r.from_root, r.to_root);
		BEGIN
			PERFORM theazo_internal.partition_drop(r.parent, r.partition);
			PERFORM theazo_internal.expiry_note(theazo_internal.operator_platform(), r.parent, theazo_internal.id_time('x_' || r.from_root),
				theazo_internal.id_time('x_' || r.to_root), v_days, NULL);
			v_n := v_n + 1;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			GET STACKED DIAGNOSTICS v_error = MESSAGE_TEXT;
			RAISE LOG 'theazo keeper: partition % left for the next turn: %', r.partition, v_error;
		END;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_retention() IS
'keeper: drops partitions whose time is over and that hold nothing unfinished';

-- The oldest of a platform, a bounded number at once. What has no statement yet waits for it a week.
CREATE OR REPLACE FUNCTION theazo_internal.executions_expire(p_platform text, p_before timestamptz)
RETURNS bigint LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	WITH gone AS (
		DELETE FROM theazo_data.execution x USING (
			SELECT y.number FROM (SELECT z.* FROM theazo_data.execution z WHERE z.platform_id = p_platform ORDER BY z.number LIMIT 2000) y
			 WHERE y.ended_at < p_before AND (y.attestation IS NOT NULL OR y.end_event IS NULL OR y.ended_at < p_before - '7 days'::interval)) o
		 WHERE x.platform_id = p_platform AND x.number = o.number
		RETURNING 1)
	SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION theazo_internal.executions_expire(text, timestamptz) IS 'deletes executions that ended before a time; how many';

CREATE OR REPLACE FUNCTION theazo_internal.attestations_expire(p_platform text, p_before timestamptz)
RETURNS bigint LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	WITH gone AS (
		DELETE FROM theazo_data.attestation x USING (
			SELECT y.number FROM (SELECT z.* FROM theazo_data.attestation z WHERE z.platform_id = p_platform ORDER BY z.number LIMIT 2000) y
			 WHERE y.created_at < p_before) o
		 WHERE x.platform_id = p_platform AND x.number = o.number
		RETURNING 1)
	SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION theazo_internal.attestations_expire(text, timestamptz) IS 'deletes statements that were signed before a time; how many';

-- Platforms whose oldest row is an hour over its time, so that an hour makes one event, and not each minute.
CREATE OR REPLACE FUNCTION theazo_internal.records_due(p_what text, p_before timestamptz)
RETURNS SETOF text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.platform_id::text FROM theazo_data.platform p
	 CROSS JOIN LATERAL (
		(SELECT x.created_at AS at FROM theazo_data.execution x WHERE p_what = 'execution' AND x.platform_id = p.platform_id ORDER BY x.number LIMIT 1)
		UNION ALL
		(SELECT x.created_at FROM theazo_data.attestation x WHERE p_what = 'attestation' AND x.platform_id = p.platform_id ORDER BY x.number LIMIT 1)) o
	 WHERE o.at < p_before - '1 hour'::interval
$$;
COMMENT ON FUNCTION theazo_internal.records_due(text, timestamptz) IS 'platforms that have executions, or statements, which are kept no longer';

-- Inputs and outputs lie with their runs, calls of the host in months of their own.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_records()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
	v_what		text;
	v_days		integer;
	v_before	timestamptz;
	v_platform	text;
	v_rows		bigint;
	v_n			integer := 0;
BEGIN
	FOREACH v_what IN ARRAY ARRAY['execution', 'attestation'] LOOP
		v_days := theazo_internal.retention_days(format('theazo.retention_%ss', v_what));
		CONTINUE WHEN v_days IS NULL;
		v_before := now() - v_days * '1 day'::interval;
		FOR v_platform IN SELECT d FROM theazo_internal.records_due(v_what, v_before) d LIMIT 50
		LOOP
			v_rows := CASE v_what WHEN 'execution' THEN theazo_internal.executions_expire(v_platform, v_before)
								  ELSE theazo_internal.attestations_expire(v_platform, v_before) END;
			CONTINUE WHEN v_rows = 0;
			PERFORM theazo_internal.expiry_note(v_platform, v_what, 'epoch', v_before, v_days, v_rows);
			v_n := v_n + 1;
		END LOOP;
	END LOOP;
	-- there may be more of them
	RETURN -v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_records() IS 'keeper: deletes executions and statements that are kept no longer';
