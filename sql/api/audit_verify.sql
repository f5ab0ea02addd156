-- audit_verify.sql: is the trail what was sealed, and the proofs that others can check.

CREATE OR REPLACE FUNCTION theazo_internal.audit_check(
	p_platform text, p_from bigint, p_to bigint, p_event text,
	OUT chain_valid boolean, OUT events bigint, OUT first_seq bigint, OUT last_seq bigint, OUT archived bigint, OUT pending bigint,
	OUT signed_seq bigint, OUT anchored_seq bigint, OUT anchor_tx_hash text, OUT anchored_at timestamptz,
	OUT bad_seq bigint, OUT bad_event text, OUT bad_table text, OUT problem text)
RETURNS record LANGUAGE c STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'theazo_audit_check';
COMMENT ON FUNCTION theazo_internal.audit_check(text, bigint, bigint, text) IS
'recomputes leaves, chain, tree, signed heads and anchors of a platform, a range of it or one event';

-- An event by its id or its number. The number's upper bits are the time in the id.
CREATE OR REPLACE FUNCTION theazo_internal.audit_event_id(p_platform text, p_event text)
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_ms	bigint;
	v_id	text;
BEGIN
	IF p_event ~ '^[0-9]{1,16}$' THEN
		v_ms := (p_event::bigint >> 12) + 1577836800000;
		SELECT e.id INTO v_id FROM theazo_data.event e
		 WHERE e.platform_id = p_platform AND e.number = p_event::bigint
		   AND e.id >= 'evt_' || theazo_internal.id_floor(to_timestamp(v_ms / 1000.0))
		   AND e.id < 'evt_' || theazo_internal.id_floor(to_timestamp((v_ms + 1) / 1000.0));
		RETURN v_id;
	END IF;
	RETURN p_event;
END
$$;
COMMENT ON FUNCTION theazo_internal.audit_event_id(text, text) IS 'the id of an event that is named by its id or its number';

-- Who sees one session only may ask about its events, one at a time.
CREATE OR REPLACE FUNCTION theazo_internal.audit_may(p_event text)
RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	IF theazo_internal.current_session() IS NOT NULL
	   AND (p_event IS NULL OR NOT EXISTS (SELECT FROM theazo_data.event e
			WHERE e.platform_id = theazo_internal.current_platform() AND e.id = p_event)) THEN
		PERFORM theazo_internal.raise_scope('the audit trail of a platform is not shown to one session', 'session', 'Use a key of the whole platform.');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.audit_may(text) IS 'TZ602 for a caller narrowed to a session, unless it asks about one of its events';

CREATE OR REPLACE FUNCTION theazo.audit_verify(
	event text DEFAULT NULL, from_seq bigint DEFAULT NULL, to_seq bigint DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS TABLE (
	chain_valid boolean, events bigint, first_seq bigint, last_seq bigint, bad_seq bigint, bad_event text, bad_table text, problem text,
	anchor_tx_hash text, anchored_seq bigint, anchor_age interval, verified_at timestamptz, signed_seq bigint, archived bigint, pending bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_platform	text;
	v_event		text;
	c			record;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'event:read');
	v_platform := theazo_internal.current_platform();
	IF audit_verify.event IS NOT NULL THEN
		IF audit_verify.from_seq IS NOT NULL OR audit_verify.to_seq IS NOT NULL THEN
			PERFORM theazo_internal.raise_value('event', 'and a range exclude each other');
		END IF;
		v_event := theazo_internal.audit_event_id(v_platform, audit_verify.event);
		IF v_event IS NULL THEN
			PERFORM theazo_internal.raise_not_found('event', audit_verify.event);
		END IF;
	END IF;
	IF audit_verify.from_seq < 1 OR audit_verify.to_seq < coalesce(audit_verify.from_seq, 1) THEN
		PERFORM theazo_internal.raise_value('from_seq', 'and to_seq are no range',
			'Sequence numbers begin at 1; from_seq is at most to_seq.');
	END IF;
	PERFORM theazo_internal.audit_may(v_event);
	SELECT x.* INTO c FROM theazo_internal.audit_check(v_platform, audit_verify.from_seq, audit_verify.to_seq, v_event) x;
	IF v_event IS NOT NULL AND c.events = 0 AND c.pending = 0 AND c.problem IS NULL THEN
		PERFORM theazo_internal.raise_not_found('event', audit_verify.event);
	END IF;
	RETURN QUERY
		SELECT c.chain_valid, c.events, c.first_seq, c.last_seq, c.bad_seq, c.bad_event, c.bad_table, c.problem,
			   c.anchor_tx_hash, c.anchored_seq, clock_timestamp() - c.anchored_at, clock_timestamp(),
			   c.signed_seq, c.archived, c.pending;
END
$$;
COMMENT ON FUNCTION theazo.audit_verify(text, bigint, bigint, text) IS
'recomputes the audit trail, all of it, a range of sequence numbers or one event (id or number), and names the first bad row';
