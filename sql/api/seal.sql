-- seal.sql: the chain and the tree of events.

-- Facts of audit are immutable for everyone, also under session_replication_role = replica.
DO $$
DECLARE
	v_table text;
BEGIN
	FOREACH v_table IN ARRAY ARRAY['seal', 'tree_node', 'audit_checkpoint', 'audit_round', 'audit_round_leaf', 'audit_anchor', 'audit_segment']
	LOOP
		EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER audit_guard_row BEFORE UPDATE OR DELETE ON theazo_data.%I'
								  ' FOR EACH ROW EXECUTE FUNCTION theazo_internal.event_guard()', v_table);
		EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER audit_guard_truncate BEFORE TRUNCATE ON theazo_data.%I'
								  ' FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.event_guard()', v_table);
		EXECUTE pg_catalog.format('ALTER TABLE theazo_data.%I ENABLE ALWAYS TRIGGER audit_guard_row,'
								  ' ENABLE ALWAYS TRIGGER audit_guard_truncate', v_table);
	END LOOP;
END
$$;

-- A key that has signed stays as it was; only that it was retired is noted.
CREATE OR REPLACE TRIGGER audit_guard_row
	BEFORE UPDATE OF platform_id, id, public_key, sealed, created_at OR DELETE ON theazo_data.audit_key
	FOR EACH ROW EXECUTE FUNCTION theazo_internal.event_guard();
CREATE OR REPLACE TRIGGER audit_guard_truncate BEFORE TRUNCATE ON theazo_data.audit_key
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.event_guard();
ALTER TABLE theazo_data.audit_key ENABLE ALWAYS TRIGGER audit_guard_row, ENABLE ALWAYS TRIGGER audit_guard_truncate;

-- ---------------------------------------------------------------------------------------
-- sealing

-- Plans by index, once and for all: the tables are empty when they are made and large afterwards.
CREATE OR REPLACE FUNCTION theazo_internal.audit_seal()
RETURNS integer LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET plan_cache_mode = force_generic_plan
AS 'MODULE_PATHNAME', 'theazo_audit_seal';
COMMENT ON FUNCTION theazo_internal.audit_seal() IS
'gives events that became visible since the last call their places in chain and tree; below 0: there is more';

-- ---------------------------------------------------------------------------------------
-- checkpoints

-- Platforms whose chain ends elsewhere than their last checkpoint; with what was signed then, and with the seal that
-- holds that place now.
CREATE OR REPLACE FUNCTION theazo_internal.checkpoints_due(
	OUT platform_id text, OUT tree_size bigint, OUT hash bytea, OUT frontier bytea, OUT signed_size bigint, OUT signed_root bytea,
	OUT signed_chain bytea, OUT old_size bigint, OUT old_frontier bytea, OUT old_hash bytea)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
	WITH RECURSIVE p (platform_id) AS (
		(SELECT s.platform_id::text COLLATE "C" FROM theazo_data.seal s ORDER BY s.platform_id LIMIT 1)
		UNION ALL
		SELECT (SELECT s.platform_id::text COLLATE "C" FROM theazo_data.seal s WHERE s.platform_id > p.platform_id ORDER BY s.platform_id LIMIT 1)
		  FROM p WHERE p.platform_id IS NOT NULL)
	SELECT p.platform_id, h.size, h.hash, h.frontier, c.tree_size, c.root, c.chain, o.size, o.frontier, o.hash
	  FROM p
	 CROSS JOIN LATERAL (SELECT s.first_seq + s.events - 1 AS size, s.hash, s.frontier FROM theazo_data.seal s
						  WHERE s.platform_id = p.platform_id ORDER BY s.first_seq DESC LIMIT 1) h
	  LEFT JOIN LATERAL (SELECT k.tree_size, k.root, k.chain FROM theazo_data.audit_checkpoint k
						  WHERE k.platform_id = p.platform_id ORDER BY k.tree_size DESC LIMIT 1) c ON true
	  LEFT JOIN LATERAL (SELECT s.first_seq + s.events - 1 AS size, s.hash, s.frontier FROM theazo_data.seal s
						  WHERE s.platform_id = p.platform_id AND s.first_seq <= c.tree_size ORDER BY s.first_seq DESC LIMIT 1) o ON true
	 WHERE c.tree_size IS DISTINCT FROM h.size
$$;
COMMENT ON FUNCTION theazo_internal.checkpoints_due() IS 'platforms with seals behind their last checkpoint';

CREATE OR REPLACE FUNCTION theazo_internal.checkpoints_make()
RETURNS integer LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'theazo_checkpoints_make';
COMMENT ON FUNCTION theazo_internal.checkpoints_make() IS
'keeper: signs a checkpoint for every platform that has new seals; returns how many. Without a master key: none';

-- Where anchors are on, their rounds sign.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_checkpoints()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_last	timestamptz := (SELECT k.signed_at FROM theazo_data.audit_checkpoint k ORDER BY k.signed_at DESC LIMIT 1);
BEGIN
	IF v_last + current_setting('theazo.anchor_interval')::interval > clock_timestamp() AND v_last <= clock_timestamp()
		OR EXISTS (SELECT FROM theazo_internal.anchors_used()) THEN
		RETURN 0;
	END IF;
	-- the commit is waited for: below 0 says so
	RETURN -theazo_internal.checkpoints_make();
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_checkpoints() IS 'keeper: signs checkpoints every theazo.anchor_interval';

CREATE OR REPLACE FUNCTION theazo_internal.audit_vkey(p_name text, p_public_key bytea)
RETURNS text LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'theazo_audit_vkey';
COMMENT ON FUNCTION theazo_internal.audit_vkey(text, bytea) IS 'a public key as C2SP verifiers take it';

CREATE OR REPLACE FUNCTION theazo_internal.audit_key_list(
	OUT id text, OUT public_key bytea, OUT created_at timestamptz, OUT retired_at timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT k.id, k.public_key, k.created_at, k.retired_at FROM theazo_data.audit_key k
	 WHERE k.platform_id = theazo_internal.operator_platform()
$$;
COMMENT ON FUNCTION theazo_internal.audit_key_list() IS 'public halves of the keys that sign checkpoints';

CREATE OR REPLACE VIEW theazo.audit_keys WITH (security_barrier) AS
	SELECT k.id, k.public_key,
		   theazo_internal.audit_vkey(current_setting('theazo.audit_origin') || '/' || theazo_internal.current_platform(), k.public_key) AS vkey,
		   k.created_at, k.retired_at
	  FROM theazo_internal.audit_key_list() k
	 WHERE (SELECT theazo_internal.may_read('event:read'));
COMMENT ON VIEW theazo.audit_keys IS 'public keys that sign the checkpoints of the platform, as verifiers take them; retired ones stay';

CREATE OR REPLACE VIEW theazo.audit_checkpoints WITH (security_barrier) AS
	SELECT c.tree_size, c.signed_at, c.root, c.chain, c.key_id, c.note
	  FROM theazo_data.audit_checkpoint c
	 WHERE (SELECT theazo_internal.may_read('event:read'));
COMMENT ON VIEW theazo.audit_checkpoints IS 'signed heads of the audit trail of the platform';

-- ---------------------------------------------------------------------------------------
-- how far it is

CREATE OR REPLACE FUNCTION theazo_internal.audit_progress(p_platform text,
	OUT sealed bigint, OUT sealed_at timestamptz, OUT unsealed bigint, OUT oldest_unsealed_at timestamptz, OUT sweeping boolean,
	OUT checkpoint_size bigint, OUT checkpoint_at timestamptz, OUT anchored_size bigint, OUT anchor text, OUT anchored_at timestamptz)
RETURNS record LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c	theazo_data.audit_cursor;
BEGIN
	SELECT * INTO c FROM theazo_data.audit_cursor x WHERE x.platform_id = theazo_internal.operator_platform() AND x.instance = theazo_internal.instance();
	-- transactions that the cursor has not passed; what a restore brought is counted by nobody until it is swept
	SELECT count(*), min(e.occurred_at) INTO unsealed, oldest_unsealed_at FROM theazo_data.event e
	 WHERE (e.xid >= coalesce(c.next_xid, '0') OR e.xid = ANY (c.open_xids)) AND e.instance = theazo_internal.instance()
	   AND (p_platform IS NULL OR e.platform_id = p_platform);
	sweeping := c.instance IS NULL OR EXISTS (SELECT FROM theazo_data.audit_sweep);
	IF p_platform IS NULL THEN
		SELECT max(s.sealed_at) INTO audit_progress.sealed_at FROM (
			SELECT (SELECT y.sealed_at FROM theazo_data.seal y WHERE y.platform_id = p.platform_id ORDER BY y.first_seq DESC LIMIT 1)
			  FROM (SELECT x.platform_id FROM theazo_data.platform x UNION SELECT theazo_internal.operator_platform()) p) s (sealed_at);
		RETURN;
	END IF;
	SELECT s.first_seq + s.events - 1, s.sealed_at INTO sealed, audit_progress.sealed_at FROM theazo_data.seal s
	 WHERE s.platform_id = p_platform ORDER BY s.first_seq DESC LIMIT 1;
	sealed := coalesce(sealed, 0);
	SELECT k.tree_size, k.signed_at INTO checkpoint_size, checkpoint_at FROM theazo_data.audit_checkpoint k
	 WHERE k.platform_id = p_platform ORDER BY k.tree_size DESC LIMIT 1;
	SELECT l.tree_size, a.name, a.confirmed_at INTO anchored_size, anchor, anchored_at
	  FROM theazo_data.audit_round_leaf l
	  JOIN theazo_data.audit_anchor a ON a.platform_id = theazo_internal.operator_platform() AND a.round_id = l.round_id
	 WHERE l.platform_id = p_platform ORDER BY l.tree_size DESC, a.confirmed_at DESC LIMIT 1;
END
$$;
COMMENT ON FUNCTION theazo_internal.audit_progress(text) IS 'how far sealing, signing and anchoring of a platform are; null: sealing of all';

CREATE OR REPLACE VIEW theazo.audit_status WITH (security_barrier) AS
	SELECT p.sealed, p.sealed_at, p.unsealed, p.oldest_unsealed_at, clock_timestamp() - p.oldest_unsealed_at AS lag, p.sweeping,
		   p.checkpoint_size, p.checkpoint_at, p.anchored_size, p.anchor, p.anchored_at, clock_timestamp() - p.anchored_at AS anchor_age
	  FROM theazo_internal.audit_progress(theazo_internal.current_platform()) p
	 WHERE (SELECT theazo_internal.may_read('event:read'));
COMMENT ON VIEW theazo.audit_status IS
'how far the audit trail of the platform is sealed, signed and anchored; lag is the age of the oldest event without a place in the chain';

CREATE OR REPLACE VIEW theazo.operator_audit_status WITH (security_barrier) AS
	SELECT p.sealed_at, p.unsealed, p.oldest_unsealed_at, clock_timestamp() - p.oldest_unsealed_at AS lag, p.sweeping,
		   (SELECT max(c.signed_at) FROM theazo_data.audit_checkpoint c) AS checkpoint_at,
		   (SELECT max(a.confirmed_at) FROM theazo_data.audit_anchor a) AS anchored_at
	  FROM theazo_internal.audit_progress(NULL) p;
COMMENT ON VIEW theazo.operator_audit_status IS 'operator: how far sealing is, over all platforms';
