-- segment.sql: months of events leave once they were exported; the chain goes on over them.

CREATE OR REPLACE FUNCTION theazo_internal.event_segment_move(p_month text)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_event_segment_move';
COMMENT ON FUNCTION theazo_internal.event_segment_move(text) IS 'detaches a month of events and moves it to schema theazo_archive';

CREATE OR REPLACE FUNCTION theazo_internal.segments_look()
RETURNS boolean LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_segments_look';
COMMENT ON FUNCTION theazo_internal.segments_look() IS 'true once an hour in a process';

-- The last export must have held every event that is there, each must have its place, and a signed head must cover it: then
-- the seals stand for the events. Writers of other months go on; those of this one wait for the count.
CREATE OR REPLACE FUNCTION theazo_internal.segment_detach(p_month text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
	v_here	text := theazo_internal.operator_platform();
	l		record;
	g		theazo_data.audit_segment;
	v_why	text;
	v_there	bigint;
BEGIN
	SELECT x.partition, x.from_key, x.to_key INTO l FROM theazo_internal.partition_list('event') x
	 WHERE x.partition = 'event_' || p_month AND NOT x.is_default
	   AND x.to_key = 'evt_' || theazo_internal.id_floor(theazo_internal.month_next(theazo_internal.id_time(x.from_key)));
	IF NOT FOUND OR p_month !~ '^[0-9]{4}_[0-9]{2}$' THEN
		RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('%s is no month that has a partition of events of its own', theazo_internal.quoted(p_month)),
			HINT = 'Give a month as YYYY_MM; theazo.operator_partitions shows those of "event".';
	END IF;
	SELECT * INTO g FROM theazo_data.audit_segment x
	 WHERE x.platform_id = v_here AND x.month = p_month AND x.what = 'exported' ORDER BY x.at DESC LIMIT 1;
	EXECUTE format('LOCK TABLE theazo_data.%I IN SHARE MODE', l.partition);
	-- through the parent: partitions have no policy, so nobody reads them
	SELECT count(*) INTO v_there FROM theazo_data.event e WHERE e.id >= l.from_key AND e.id < l.to_key;
	IF g.month IS NULL THEN
		v_why := 'It was not exported.';
	ELSIF theazo_internal.id_time(l.to_key) > clock_timestamp() - '1 day'::interval THEN
		v_why := 'It is not over yet.';
	ELSIF v_there <> g.events THEN
		v_why := format('It has %s events, its last export %s.', v_there, g.events);
	ELSIF v_there <> (SELECT coalesce(sum(s.events), 0) FROM theazo_data.seal s WHERE s.max_id >= l.from_key AND s.max_id < l.to_key) THEN
		v_why := 'Not all of its events are sealed.';
	ELSIF EXISTS (SELECT FROM (SELECT s.platform_id, max(s.first_seq + s.events - 1) AS size FROM theazo_data.seal s
								WHERE s.max_id >= l.from_key AND s.max_id < l.to_key GROUP BY 1) x
				   WHERE x.size > coalesce((SELECT max(c.tree_size) FROM theazo_data.audit_checkpoint c WHERE c.platform_id = x.platform_id), 0)) THEN
		v_why := 'No signed checkpoint covers all of it.';
	END IF;
	IF v_why IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('month %s stays', p_month), DETAIL = v_why,
			HINT = 'Export it with theazo.audit_segment_export() when it is over and sealed.';
	END IF;
	INSERT INTO theazo_data.audit_segment (platform_id, month, what, at, events, digest)
	VALUES (v_here, p_month, 'detached', clock_timestamp(), v_there, g.digest);
	PERFORM theazo_internal.event_write(v_here, 'control', 'segment_detached',
		jsonb_build_object('month', p_month, 'events', v_there, 'digest', encode(g.digest, 'hex')), NULL, NULL, NULL, 'live');
	PERFORM theazo_internal.event_segment_move(p_month);
	RETURN v_there;
END
$$;
COMMENT ON FUNCTION theazo_internal.segment_detach(text) IS 'detaches a month that was exported, is sealed and signed; returns its events';

CREATE OR REPLACE FUNCTION theazo.operator_segment_detach(month text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	RETURN theazo_internal.segment_detach(month);
END
$$;
COMMENT ON FUNCTION theazo.operator_segment_detach(text) IS
'operator: moves a month of events (YYYY_MM) that was exported to schema theazo_archive, where it can be dropped; returns how many';

CREATE OR REPLACE FUNCTION theazo_internal.keeper_segments()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_days	integer := nullif(current_setting('theazo.retention_events'), '0')::integer;
	v_month	text;
	v_n		integer := 0;
	v_error	text;
BEGIN
	IF v_days IS NULL OR NOT theazo_internal.segments_look() THEN
		RETURN 0;
	END IF;
	FOR v_month IN
		SELECT DISTINCT g.month FROM theazo_data.audit_segment g JOIN theazo_internal.partition_list('event') l ON l.partition = 'event_' || g.month
		 WHERE g.what = 'exported' AND NOT l.is_default AND theazo_internal.id_time(l.to_key) <= now() - v_days * '1 day'::interval
		 ORDER BY 1
	LOOP
		BEGIN
			PERFORM theazo_internal.segment_detach(v_month);
			v_n := v_n + 1;
		EXCEPTION WHEN lock_not_available OR deadlock_detected OR object_not_in_prerequisite_state THEN
			GET STACKED DIAGNOSTICS v_error = PG_EXCEPTION_DETAIL;
			RAISE LOG 'theazo keeper: month % of events is left for the next hour: %', v_month, coalesce(nullif(v_error, ''), SQLERRM);
		END;
	END LOOP;
	RETURN -v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_segments() IS 'keeper: detaches exported months older than theazo.retention_events';
