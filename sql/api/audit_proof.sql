-- audit_proof.sql: proofs that an event is in the trail, and that one trail is the beginning of another.

CREATE OR REPLACE FUNCTION theazo_internal.audit_inclusion(p_platform text, p_seq bigint, p_size bigint)
RETURNS bytea[] LANGUAGE c STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'theazo_audit_inclusion';
COMMENT ON FUNCTION theazo_internal.audit_inclusion(text, bigint, bigint) IS
'RFC 9162 inclusion path of an event in the tree of the first p_size events, leaf to root';

CREATE OR REPLACE FUNCTION theazo_internal.audit_consistent(p_platform text, p_from bigint, p_to bigint)
RETURNS bytea[] LANGUAGE c STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'theazo_audit_consistent';
COMMENT ON FUNCTION theazo_internal.audit_consistent(text, bigint, bigint) IS
'RFC 9162 consistency proof of two tree sizes; the last two hashes are the roots';

-- Where an event lies.
CREATE OR REPLACE FUNCTION theazo_internal.audit_place(p_platform text, p_event text, OUT seq bigint, OUT leaf bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_high	text := 'evt_' || theazo_internal.id_floor(theazo_internal.id_time(p_event) + '10.001 s'::interval);
	v_at	integer;
	s		record;
BEGIN
	FOR s IN
		SELECT x.first_seq, x.ids, x.leaves FROM theazo_data.seal x
		 WHERE x.platform_id = p_platform AND x.max_id >= p_event AND x.max_id <= v_high ORDER BY x.max_id
	LOOP
		v_at := array_position(theazo_internal.seal_ids(s.ids), p_event);
		IF v_at IS NOT NULL THEN
			seq := s.first_seq + v_at - 1;
			leaf := substr(s.leaves, 32 * (v_at - 1) + 1, 32);
			RETURN;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.audit_place(text, text) IS 'sequence number and leaf of a sealed event; null for one that is not';

CREATE OR REPLACE FUNCTION theazo_internal.audit_hash_lines(p_hashes bytea[])
RETURNS text
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(string_agg(encode(h.hash, 'base64') || E'\n', '' ORDER BY h.n), '') FROM unnest(p_hashes) WITH ORDINALITY h(hash, n)
$$;
COMMENT ON FUNCTION theazo_internal.audit_hash_lines(bytea[]) IS 'hashes in base64, one a line';

CREATE OR REPLACE FUNCTION theazo.audit_proof(event text, api_key text DEFAULT NULL)
RETURNS TABLE (seq bigint, leaf bytea, tree_size bigint, root bytea, path bytea[], checkpoint text, proof text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_platform	text;
	v_event		text;
	v_seq		bigint;
	v_leaf		bytea;
	v_path		bytea[];
	c			record;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'event:read');
	v_platform := theazo_internal.current_platform();
	v_event := theazo_internal.audit_event_id(v_platform, audit_proof.event);
	PERFORM theazo_internal.audit_may(v_event);
	IF v_event ~ '^evt_[0-9A-HJKMNP-TV-Z]{26}$' THEN
		SELECT p.seq, p.leaf INTO v_seq, v_leaf FROM theazo_internal.audit_place(v_platform, v_event) p;
	END IF;
	IF v_seq IS NULL THEN
		PERFORM theazo_internal.raise_not_found('sealed event', audit_proof.event);
	END IF;
	SELECT k.tree_size, k.root, k.note INTO c FROM theazo_data.audit_checkpoint k
	 WHERE k.platform_id = v_platform AND k.tree_size >= v_seq ORDER BY k.tree_size LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('event %s is not covered by a signed checkpoint yet', theazo_internal.quoted(v_event)),
			HINT = 'A checkpoint is signed with each round of anchoring (theazo.anchor_interval). Ask again after the next one.';
	END IF;
	v_path := theazo_internal.audit_inclusion(v_platform, v_seq, c.tree_size);
	RETURN QUERY SELECT v_seq, v_leaf, c.tree_size, c.root, v_path, c.note,
		format(E'c2sp.org/tlog-proof@v1\nindex %s\n%s\n%s', v_seq - 1, theazo_internal.audit_hash_lines(v_path), c.note);
END
$$;
COMMENT ON FUNCTION theazo.audit_proof(text, text) IS
'that an event (id or number) is in the trail: its leaf, the path to the root of the first signed checkpoint that covers it, and both as a C2SP tlog-proof';

CREATE OR REPLACE FUNCTION theazo.audit_consistency(from_size bigint, to_size bigint, api_key text DEFAULT NULL)
RETURNS TABLE (from_root bytea, to_root bytea, proof bytea[], from_checkpoint text, to_checkpoint text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_platform	text;
	v_last		bigint;
	v_all		bytea[];
	v_n			integer;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'event:read');
	v_platform := theazo_internal.current_platform();
	PERFORM theazo_internal.audit_may(NULL);
	SELECT s.first_seq + s.events - 1 INTO v_last FROM theazo_data.seal s
	 WHERE s.platform_id = v_platform ORDER BY s.first_seq DESC LIMIT 1;
	IF audit_consistency.from_size IS NULL OR audit_consistency.to_size IS NULL OR audit_consistency.from_size < 1
	   OR audit_consistency.from_size > audit_consistency.to_size OR audit_consistency.to_size > coalesce(v_last, 0) THEN
		PERFORM theazo_internal.raise_value('to_size', 'and from_size are no sizes of this tree',
			format('1 <= from_size <= to_size <= %s.', coalesce(v_last, 0)));
	END IF;
	v_all := theazo_internal.audit_consistent(v_platform, audit_consistency.from_size, audit_consistency.to_size);
	v_n := cardinality(v_all);
	RETURN QUERY SELECT v_all[v_n - 1], v_all[v_n], v_all[1:v_n - 2],
		(SELECT k.note FROM theazo_data.audit_checkpoint k WHERE k.platform_id = v_platform AND k.tree_size = audit_consistency.from_size),
		(SELECT k.note FROM theazo_data.audit_checkpoint k WHERE k.platform_id = v_platform AND k.tree_size = audit_consistency.to_size);
END
$$;
COMMENT ON FUNCTION theazo.audit_consistency(bigint, bigint, text) IS
'RFC 9162 proof that the trail of from_size events is the beginning of the one of to_size, with both roots and their signed checkpoints where there are such';
