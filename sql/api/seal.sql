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
