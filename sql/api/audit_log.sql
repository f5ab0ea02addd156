-- audit_log.sql: reading the audit trail: events with their places in the chain, and following it live.

-- ---------------------------------------------------------------------------------------
-- the place of an event

CREATE OR REPLACE FUNCTION theazo_internal.seal_rows(
	p_first_seq bigint, p_sealed_at timestamptz, p_prev_hash bytea, p_ids bytea, p_leaves bytea,
	OUT seq bigint, OUT event_id text, OUT leaf bytea, OUT prev_hash bytea, OUT hash bytea)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'theazo_seal_rows';
COMMENT ON FUNCTION theazo_internal.seal_rows(bigint, timestamptz, bytea, bytea, bytea) IS 'what a seal says of each of its events';

CREATE OR REPLACE FUNCTION theazo_internal.seal_row(
	p_first_seq bigint, p_sealed_at timestamptz, p_prev_hash bytea, p_ids bytea, p_leaves bytea, p_event text,
	OUT seq bigint, OUT leaf bytea, OUT prev_hash bytea, OUT hash bytea)
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'theazo_seal_row';
COMMENT ON FUNCTION theazo_internal.seal_row(bigint, timestamptz, bytea, bytea, bytea, text) IS 'what a seal says of one of its events; nulls when it is not there';

-- Events of a seal lie within 10 s of id time, so the seals to look into are those whose last event is at most that much younger.
CREATE OR REPLACE FUNCTION theazo_internal.event_seal(p_platform text, p_event text)
RETURNS TABLE (seq bigint, leaf bytea, prev_hash bytea, hash bytea, sealed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.seq, r.leaf, r.prev_hash, r.hash, s.sealed_at
	  FROM theazo_data.seal s
	 CROSS JOIN LATERAL theazo_internal.seal_row(s.first_seq, s.sealed_at, s.prev_hash, s.ids, s.leaves, p_event) r
	 WHERE s.platform_id = p_platform AND s.max_id >= p_event
	   AND s.max_id < 'evt_' || theazo_internal.id_floor(theazo_internal.id_time(p_event) + '10 s'::interval)
	   AND s.min_id <= p_event AND r.seq IS NOT NULL
	 LIMIT 1
$$;
COMMENT ON FUNCTION theazo_internal.event_seal(text, text) IS 'place of an event in its platform''s chain; no row until it is sealed';

CREATE OR REPLACE FUNCTION theazo_internal.anchored_seq()
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT l.tree_size FROM theazo_internal.anchor_latest(theazo_internal.current_platform()) l $$;
COMMENT ON FUNCTION theazo_internal.anchored_seq() IS 'up to which sequence number the caller''s chain is anchored, null without a confirmed anchor';

CREATE OR REPLACE VIEW theazo.audit_events WITH (security_barrier) AS
	SELECT v.id, v.number, v.occurred_at, v.environment, v.session_id, v.agent_id, v.run_id, v.actor_kind, v.actor_id, v.request_id,
		   v.category, v.action, coalesce(v.summary ->> 'description', replace(v.action, '_', ' ')) AS description,
		   coalesce(v.summary ->> 'input', v.summary ->> 'task') AS input_summary, v.summary ->> 'output' AS output_summary, v.summary,
		   v.permission_state, v.decision, v.rule, v.is_violation,
		   s.seq, s.prev_hash, s.hash, coalesce(s.seq <= (SELECT theazo_internal.anchored_seq()), false) AS anchored
	  FROM theazo.events v
	  LEFT JOIN LATERAL theazo_internal.event_seal((SELECT theazo_internal.current_platform()), v.id) s ON true;
COMMENT ON VIEW theazo.audit_events IS
'audit events of the platform with their place in its chain (null until sealed) and whether a confirmed anchor covers them';

-- ---------------------------------------------------------------------------------------
-- pages

-- What can be asked for; null asks for everything. audit_log() says the same of the table.
CREATE OR REPLACE FUNCTION theazo_internal.audit_wanted(
	e theazo.events, p_actions text[], p_violations boolean, p_session text, p_agent text, p_run text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
	SELECT (p_actions IS NULL OR e.action = ANY (p_actions) OR e.category = ANY (p_actions)) AND (NOT p_violations OR e.is_violation)
		AND (p_session IS NULL OR e.session_id = p_session) AND (p_agent IS NULL OR e.agent_id = p_agent) AND (p_run IS NULL OR e.run_id = p_run)
$$;
COMMENT ON FUNCTION theazo_internal.audit_wanted(theazo.events, text[], boolean, text, text, text) IS 'does an event pass the filters of audit_follow()';

CREATE OR REPLACE FUNCTION theazo.audit_log(
	since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, actions text[] DEFAULT NULL, violations_only boolean DEFAULT false,
	session text DEFAULT NULL, agent text DEFAULT NULL, run text DEFAULT NULL, "limit" integer DEFAULT 200, after text DEFAULT NULL,
	api_key text DEFAULT NULL)
RETURNS SETOF theazo.audit_events
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
	v_ids		text[];
	first_id	CONSTANT timestamptz := '1970-01-02 00:00:00+00';
	v_from		text;
	v_to		text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'event:read');
	IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('limit', 'must be between 1 and 1000');
	ELSIF since = 'infinity' THEN
		PERFORM theazo_internal.raise_value('since', 'must be finite');
	ELSIF after IS NOT NULL AND (octet_length(after) <> 30 OR after !~ '^evt_[0-9A-HJKMNP-TV-Z]{26}$') THEN
		PERFORM theazo_internal.raise_value('after', 'is not the id of an event', 'Pass the id of the last event of the page before.');
	END IF;
	-- Nothing of a run is older than the run: the ids say so, and the index goes by them.
	v_from := 'evt_' || theazo_internal.id_floor(greatest(since, theazo_internal.id_moment(audit_log.session), theazo_internal.id_moment(audit_log.agent),
		theazo_internal.id_moment(audit_log.run), first_id) - '1 minute'::interval);
	v_to := coalesce('evt_' || theazo_internal.id_floor(greatest(nullif(until, 'infinity'), CASE WHEN until IS NOT NULL AND until <> 'infinity' THEN first_id END)
		+ '1 minute'::interval), 'evt_7ZZZZZZZZZZZZZZZZZZZZZZZZZ');
	-- From the table, under its policies: through the view the index would not give the order.
	v_ids := ARRAY(
		SELECT e.id FROM theazo_data.event e
		 WHERE e.id >= v_from AND e.id < least(v_to, coalesce(after, v_to))
		   AND (since IS NULL OR e.occurred_at >= since) AND (until IS NULL OR e.occurred_at < until)
		   AND (actions IS NULL OR e.action = ANY (actions) OR e.category = ANY (actions)) AND (violations_only IS NOT TRUE OR e.is_violation)
		   AND (audit_log.session IS NULL OR e.session_id = audit_log.session) AND (audit_log.agent IS NULL OR e.agent_id = audit_log.agent)
		   AND (audit_log.run IS NULL OR e.run_id = audit_log.run)
		 ORDER BY e.id DESC LIMIT "limit");
	-- By values: a join would look at every event of the platform, as nothing of it goes into a view with a barrier.
	RETURN QUERY SELECT a.* FROM theazo.audit_events a WHERE a.id = ANY (v_ids) ORDER BY a.id DESC;
END
$$;
COMMENT ON FUNCTION theazo.audit_log(timestamptz, timestamptz, text[], boolean, text, text, text, integer, text, text) IS
'audit events, newest first, at most limit (1000); after is the id of the last event of the page before; actions holds actions or categories';

CREATE OR REPLACE FUNCTION theazo_internal.id_moment(p_id text)
RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN p_id ~ '^[a-z]{1,13}_[0-7][0-9A-HJKMNP-TV-Z]{25}$' THEN theazo_internal.id_time(p_id) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.id_moment(text) IS 'when an id was made; null for what is no id';

-- ---------------------------------------------------------------------------------------
-- live

-- In the order of the chain: whoever comes back with the last seq misses nothing and gets nothing twice.
CREATE OR REPLACE FUNCTION theazo.audit_follow(
	after bigint DEFAULT 0, actions text[] DEFAULT NULL, violations_only boolean DEFAULT false,
	session text DEFAULT NULL, agent text DEFAULT NULL, run text DEFAULT NULL, timeout interval DEFAULT '25 s', api_key text DEFAULT NULL)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	seals_a_look	CONSTANT integer := 8;				-- a thousand events
	v_platform		text;
	v_ids			text[];
	v_at			bigint := after;
	v_end			bigint;
	v_mark			integer;
	v_left			integer;
	v_until			timestamptz;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'event:read');
	IF after IS NULL OR after < 0 THEN
		PERFORM theazo_internal.raise_value('after', 'must be the seq of an event, or 0');
	ELSIF audit_follow.timeout IS NULL OR extract(epoch FROM audit_follow.timeout) < 0 THEN
		PERFORM theazo_internal.raise_value('timeout', 'must not be negative');
	END IF;
	IF pg_current_xact_id_if_assigned() IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ104',
			MESSAGE = 'cannot wait for events in this transaction',
			DETAIL = 'It has written something, or its snapshot would never show what is sealed later.',
			HINT = 'Use a READ COMMITTED transaction that has written nothing.';
	END IF;
	v_platform := theazo_internal.current_platform();
	v_until := clock_timestamp() + least(audit_follow.timeout, '25 s'::interval);
	LOOP
		v_mark := theazo_internal.stream_mark(v_platform);
		LOOP
			v_end := theazo_internal.audit_end(v_platform, v_at, seals_a_look);
			EXIT WHEN v_end IS NULL;
			v_ids := ARRAY(SELECT p.event_id FROM theazo_internal.audit_places(v_platform, v_at, v_end) p);
			RETURN QUERY
			SELECT p.seq, 'event', jsonb_strip_nulls(to_jsonb(e) || jsonb_build_object('seq', p.seq, 'hash', encode(p.hash, 'hex'), 'prev_hash', encode(p.prev_hash, 'hex')))
			  FROM theazo_internal.audit_places(v_platform, v_at, v_end) p
			  JOIN theazo.events e ON e.id = p.event_id
			 WHERE e.id = ANY (v_ids)
			   AND theazo_internal.audit_wanted(e, actions, coalesce(violations_only, false), audit_follow.session, audit_follow.agent, audit_follow.run)
			 ORDER BY p.seq;
			v_at := v_end;
			IF FOUND THEN
				RETURN;
			END IF;
		END LOOP;
		v_left := ceil(extract(epoch FROM v_until - clock_timestamp()) * 1000);
		EXIT WHEN v_left <= 0;
		PERFORM theazo_internal.stream_block(v_platform, v_mark, 0, 0, 0, v_left);
	END LOOP;
	-- So that what the filters left out is not looked at again.
	IF v_at > after THEN
		RETURN QUERY SELECT v_at, 'position', '{}'::jsonb;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo.audit_follow(bigint, text[], boolean, text, text, text, interval, text) IS
'sealed events behind a sequence number in the order of the chain; waits for the first, at most 25 s; a row of type position says how far it looked';

CREATE OR REPLACE FUNCTION theazo_internal.audit_end(p_platform text, p_after bigint, p_seals integer)
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT max(x.last) FROM (
		SELECT s.first_seq + s.events - 1 AS last FROM theazo_data.seal s
		 WHERE s.platform_id = p_platform AND s.first_seq > p_after - 128 AND s.first_seq + s.events - 1 > p_after
		 ORDER BY s.first_seq LIMIT p_seals) x
$$;
COMMENT ON FUNCTION theazo_internal.audit_end(text, bigint, integer) IS 'last sequence number of the next so many seals behind a place; null when there are none';

-- The chain grows with time, so the first seal from its end that is older is the answer.
CREATE OR REPLACE FUNCTION theazo_internal.audit_since(p_since timestamptz)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((SELECT s.first_seq + s.events - 1 FROM theazo_data.seal s
					  WHERE s.platform_id = theazo_internal.current_platform() AND s.sealed_at < p_since
					  ORDER BY s.first_seq DESC LIMIT 1), 0)
$$;
COMMENT ON FUNCTION theazo_internal.audit_since(timestamptz) IS
'the sequence number behind which everything of the caller''s chain stands that happened from a time on';

CREATE OR REPLACE FUNCTION theazo_internal.audit_places(p_platform text, p_after bigint, p_until bigint)
RETURNS TABLE (seq bigint, event_id text, prev_hash bytea, hash bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.seq, r.event_id, r.prev_hash, r.hash
	  FROM theazo_data.seal s
	 CROSS JOIN LATERAL theazo_internal.seal_rows(s.first_seq, s.sealed_at, s.prev_hash, s.ids, s.leaves) r
	 WHERE s.platform_id = p_platform AND s.first_seq > p_after - 128 AND s.first_seq <= p_until AND r.seq > p_after AND r.seq <= p_until
$$;
COMMENT ON FUNCTION theazo_internal.audit_places(text, bigint, bigint) IS 'events with sequence numbers in a range, with their hashes';
