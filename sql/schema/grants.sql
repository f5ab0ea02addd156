-- grants.sql: the last file of every script: owners, policies, grants, dump registration.
--
-- Everything here follows a rule over the catalog plus short lists of exceptions, so that
-- a new table, view or function starts closed and with the right owner. It may run again
-- at the end of an update: it takes everything away first and gives it anew.
--
-- Why owners matter: a view reads and a definer function acts as its owner. theazo_owner is
-- under the policies, theazo_system is not, theazo_guard may write events and nothing else.

-- ---------------------------------------------------------------------------------------
-- owners

DO $grants$
DECLARE
	-- views that show all platforms, and functions that work across them: for the operator
	system_views CONSTANT text[] := ARRAY['effects', 'held_effects', 'workers', 'sandbox_preflight', 'prices', 'model_prices', 'vault_keys', 'vault_rotations'];
	system_functions CONSTANT text[] := ARRAY['audit_segment_export', 'price_set', 'model_price_set', 'effects_release', 'integrity_check', 'vault_rotate', 'vault_forget'];
	owner_internal CONSTANT text[] := ARRAY['partition_make', 'partition_adopt', 'partition_drop', 'fire_attempt'];
	guard_internal CONSTANT text[] := ARRAY['event_write', 'event_refused', 'event_guard', 'event_insert', 'event_partition_make', 'event_partition_adopt', 'event_partition_turn',
		'round_record', 'anchor_record',
		'audit_seal', 'checkpoints_make', 'attestation_sign', 'segment_exported', 'segment_detach'];
	guard_tables CONSTANT text[] := ARRAY['event', 'seal', 'tree_node', 'audit_checkpoint', 'audit_key', 'audit_cursor', 'audit_sweep',
		'audit_round', 'audit_round_leaf', 'audit_anchor', 'audit_segment'];
	s text;
	r record;
BEGIN
	FOREACH s IN ARRAY ARRAY['theazo', 'theazo_data', 'theazo_internal', 'theazo_api'] LOOP
		EXECUTE pg_catalog.format('ALTER SCHEMA %I OWNER TO theazo_owner', s);
	END LOOP;

	FOR r IN
		SELECT c.oid::pg_catalog.regclass AS rel, c.relkind,
			   CASE WHEN c.relkind = 'v' THEN
						CASE WHEN c.relname = ANY (system_views) OR c.relname LIKE 'operator\_%' THEN 'theazo_system' ELSE 'theazo_owner' END
					WHEN c.relname = ANY (guard_tables) OR p.relname = 'event' THEN 'theazo_guard'
					ELSE 'theazo_owner' END AS owner
		  FROM pg_catalog.pg_class c
		  LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
		  LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
		 WHERE c.relnamespace::pg_catalog.regnamespace::text IN ('theazo', 'theazo_data', 'theazo_api')
		   AND c.relkind IN ('r', 'p', 'v', 'S')
		 ORDER BY c.relkind <> 'p', c.oid
	LOOP
		EXECUTE pg_catalog.format('ALTER %s %s OWNER TO %I',
			CASE r.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.rel, r.owner);
	END LOOP;

	FOR r IN
		SELECT p.oid::pg_catalog.regprocedure AS func,
			   CASE WHEN n.nspname = 'theazo_internal' THEN
						CASE WHEN p.proname = ANY (owner_internal) THEN 'theazo_owner'
							 WHEN p.proname = ANY (guard_internal) THEN 'theazo_guard' ELSE 'theazo_system' END
					WHEN p.proname = ANY (system_functions) OR p.proname LIKE 'operator\_%' THEN 'theazo_system'
					ELSE 'theazo_owner' END AS owner
		  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		 WHERE n.nspname IN ('theazo', 'theazo_internal', 'theazo_api')
	LOOP
		EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO %I', r.func, r.owner);
	END LOOP;

	FOR r IN
		SELECT t.oid::pg_catalog.regtype AS dom FROM pg_catalog.pg_type t
		 WHERE t.typnamespace = 'theazo'::pg_catalog.regnamespace AND t.typtype = 'd'
	LOOP
		EXECUTE pg_catalog.format('ALTER DOMAIN %s OWNER TO theazo_owner', r.dom);
	END LOOP;
END
$grants$;

-- ---------------------------------------------------------------------------------------
-- policies
--
-- Every table has one policy for all that stand under policies: the row's platform is the
-- caller's, its environment is the caller's, and for a caller narrowed to one session it is
-- a row of that session. The functions are asked once a statement, not once a row.
-- Partitions have none: whoever addresses one directly sees nothing.

DO $grants$
DECLARE
	platform CONSTANT text := 'platform_id = (SELECT theazo_internal.current_platform())';
	whole CONSTANT text := '(SELECT theazo_internal.current_session()) IS NULL';
	rule text;
	r record;
BEGIN
	FOR r IN
		SELECT c.oid::pg_catalog.regclass AS rel, c.relname, c.relispartition,
			   (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
					AND a.attname IN ('key_environment', 'environment') ORDER BY a.attname DESC LIMIT 1) AS env_column,
			   EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
					AND a.attname = 'session_id') AS has_session
		  FROM pg_catalog.pg_class c
		 WHERE c.relnamespace = 'theazo_data'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p')
		 ORDER BY c.oid
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', r.rel);
		CONTINUE WHEN r.relispartition;
		EXECUTE pg_catalog.format('DROP POLICY IF EXISTS %I ON %s', r.relname || '_tenant', r.rel);
		CASE r.relname
			WHEN 'platform_role' THEN
				rule := platform || ' AND ' || whole;
			WHEN 'api_key' THEN
				-- who holds a live key also manages test keys
				rule := platform || ' AND ' || whole
					|| ' AND (environment = (SELECT theazo_internal.current_environment()) OR (SELECT theazo_internal.current_environment()) = ''live'')';
			WHEN 'session' THEN
				rule := platform || ' AND key_environment = (SELECT theazo_internal.current_environment())'
					|| ' AND (' || whole || ' OR id = (SELECT theazo_internal.current_session()))';
			WHEN 'data_key', 'budget', 'budget_fired', 'spend', 'webhook', 'schedule', 'schedule_fire', 'trigger' THEN
				rule := platform || ' AND environment = (SELECT theazo_internal.current_environment()) AND ' || whole;
			WHEN 'secret', 'secret_version', 'secret_delivered' THEN
				-- session secrets follow their session, whose own policy applies in the subquery
				rule := platform || ' AND CASE WHEN session_id = '''' THEN ' || whole
					|| pg_catalog.format(' ELSE EXISTS (SELECT FROM theazo_data.session s WHERE s.platform_id = %1$I.platform_id AND s.id = %1$I.session_id) END', r.relname);
			ELSE
				rule := platform;
				IF r.env_column IS NOT NULL THEN
					rule := rule || pg_catalog.format(' AND %I = (SELECT theazo_internal.current_environment())', r.env_column);
				END IF;
				IF r.has_session THEN
					rule := rule || ' AND (' || whole || ' OR session_id = (SELECT theazo_internal.current_session()))';
				END IF;
		END CASE;
		EXECUTE pg_catalog.format('CREATE POLICY %I ON %s USING (%s)', r.relname || '_tenant', r.rel, rule);
	END LOOP;

	-- reference tables: rows of the operator platform can be read by all
	DROP POLICY IF EXISTS price_reference ON theazo_data.price;
	CREATE POLICY price_reference ON theazo_data.price FOR SELECT
		USING (platform_id = theazo_internal.operator_platform());
	-- what is anchored is of use to an auditor only with the round it was anchored in
	FOREACH rule IN ARRAY ARRAY['audit_round', 'audit_anchor'] LOOP
		EXECUTE pg_catalog.format('DROP POLICY IF EXISTS %I ON theazo_data.%I', rule || '_reference', rule);
		EXECUTE pg_catalog.format('CREATE POLICY %I ON theazo_data.%I FOR SELECT USING (platform_id = theazo_internal.operator_platform())',
			rule || '_reference', rule);
	END LOOP;

	-- audit tables are written by their guard, for every platform
	FOR r IN
		SELECT c.oid::pg_catalog.regclass AS rel, c.relname FROM pg_catalog.pg_class c
		 WHERE c.relnamespace = 'theazo_data'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		   AND c.relowner = 'theazo_guard'::pg_catalog.regrole
		 ORDER BY c.oid
	LOOP
		EXECUTE pg_catalog.format('DROP POLICY IF EXISTS %I ON %s', r.relname || '_guard', r.rel);
		EXECUTE pg_catalog.format('CREATE POLICY %I ON %s TO theazo_guard USING (true) WITH CHECK (true)', r.relname || '_guard', r.rel);
	END LOOP;
END
$grants$;

-- ---------------------------------------------------------------------------------------
-- grants

DO $grants$
DECLARE
	-- what only the operator may call or read
	operator_functions CONSTANT text[] := ARRAY['platform_create', 'platform_allow_egress', 'platform_bind_role',
		'platform_unbind_role', 'audit_segment_export', 'price_set', 'model_price_set', 'effects_release', 'integrity_check', 'vault_rotate', 'vault_forget'];
	operator_views CONSTANT text[] := ARRAY['effects', 'held_effects', 'workers', 'sandbox_preflight', 'prices', 'model_prices', 'vault_keys', 'vault_rotations'];
	-- what an auditor may call; it reads every view of its platform
	auditor_functions CONSTANT text[] := ARRAY['authenticate', 'act_as', 'whoami', 'platform_get', 'session_get', 'session_list',
		'agent_get', 'agent_list', 'definition_get', 'provider_get', 'provider_list', 'run_get', 'run_result', 'secret_list', 'secret_history', 'vault_status',
		'usage_summary', 'usage_for_user', 'user_usage', 'session_usage', 'usage_daily', 'usage_by_provider', 'usage_export', 'metrics_summary', 'metrics_query',
		'audit_log', 'audit_follow', 'audit_verify', 'audit_proof', 'audit_consistency', 'audit_export'];
	-- what workers call; each is a definer function of theazo_system, or C
	worker_functions CONSTANT text[] := ARRAY['effect_claim', 'effect_next_due', 'effect_sent', 'effect_done', 'effect_settle', 'effect_broken',
		'effect_secrets', 'effect_cancels', 'effect_verify', 'worker_started', 'worker_stopped', 'leases_reclaim', 'sandbox_gone',
		'connection_record', 'reports_note', 'preflight_store', 'instance', 'workers_alive', 'sql_version', 'master_key_faults', 'audit_seal', 'halts_in_force', 'rate_of', 'host_calls', 'executions_counted'];
	-- what operations of the REST face call beside rest_*: they run as theazo_gateway, so that what they call asks for its scope
	rest_functions CONSTANT text[] := ARRAY['audit_since', 'csv_field', 'duration_check', 'enter', 'gateway_once_begin', 'gateway_once_end', 'gateway_runs_ended', 'id_floor', 'id_new', 'quoted',
		'raise_not_found', 'raise_value', 'sql_version'];
	-- who asks: the policies behind the views call these as the caller. Without USAGE on the
	-- schema nobody can name them.
	identity_functions CONSTANT text[] := ARRAY['current_platform', 'current_session', 'current_environment'];
	everybody CONSTANT text := 'theazo_app, theazo_auditor, theazo_operator, theazo_worker, theazo_gateway';
	s text;
	r record;
BEGIN
	FOREACH s IN ARRAY ARRAY['theazo', 'theazo_data', 'theazo_internal', 'theazo_api'] LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM PUBLIC, %s', s, everybody);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC, %s', s, everybody);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM PUBLIC, %s', s, everybody);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL ROUTINES IN SCHEMA %I FROM PUBLIC, %s', s, everybody);
	END LOOP;
	GRANT USAGE ON SCHEMA theazo TO theazo_app, theazo_auditor, theazo_operator, theazo_gateway, theazo_worker, theazo_system, theazo_guard;
	GRANT USAGE ON SCHEMA theazo_internal TO theazo_system, theazo_guard, theazo_worker, theazo_gateway;
	GRANT USAGE ON SCHEMA theazo_data TO theazo_system;
	-- the guard makes the partitions of its table
	GRANT USAGE, CREATE ON SCHEMA theazo_data TO theazo_guard;
	GRANT USAGE ON SCHEMA theazo_api TO theazo_gateway, theazo_system;

	FOR r IN
		SELECT t.oid::pg_catalog.regtype AS dom FROM pg_catalog.pg_type t
		 WHERE t.typnamespace = 'theazo'::pg_catalog.regnamespace AND t.typtype = 'd'
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON TYPE %s FROM PUBLIC', r.dom);
		EXECUTE pg_catalog.format('GRANT USAGE ON TYPE %s TO %s, theazo_system, theazo_guard', r.dom, everybody);
	END LOOP;

	-- tables: the owner by owning, theazo_system by grant; events are only read
	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA theazo_data TO theazo_system;
	GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA theazo_data TO theazo_system;
	FOR r IN
		SELECT c.oid::pg_catalog.regclass AS rel, c.relispartition FROM pg_catalog.pg_class c
		 WHERE c.relnamespace = 'theazo_data'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p')
		   AND c.relowner = 'theazo_guard'::pg_catalog.regrole
	LOOP
		EXECUTE pg_catalog.format('REVOKE INSERT, UPDATE, DELETE ON %s FROM theazo_system', r.rel);
		IF NOT r.relispartition THEN
			EXECUTE pg_catalog.format('GRANT SELECT ON %s TO theazo_owner', r.rel);
		END IF;
	END LOOP;

	-- functions
	GRANT EXECUTE ON ALL ROUTINES IN SCHEMA theazo_internal TO theazo_owner, theazo_system, theazo_guard;
	GRANT EXECUTE ON ALL ROUTINES IN SCHEMA theazo TO theazo_system;
	FOR r IN
		SELECT p.oid::pg_catalog.regprocedure AS func, n.nspname, p.proname
		  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		 WHERE n.nspname IN ('theazo', 'theazo_internal')
	LOOP
		IF r.nspname = 'theazo' THEN
			EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO theazo_operator', r.func);
			IF NOT (r.proname = ANY (operator_functions) OR r.proname LIKE 'operator\_%') THEN
				EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO theazo_app, theazo_gateway', r.func);
			END IF;
			IF r.proname = ANY (auditor_functions) THEN
				EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO theazo_auditor', r.func);
			END IF;
		ELSIF r.proname = ANY (identity_functions) THEN
			EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO %s', r.func, everybody);
		ELSIF r.proname = ANY (worker_functions) OR r.proname LIKE 'keeper\_%' THEN
			EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO theazo_worker', r.func);
		END IF;
		IF r.nspname = 'theazo_internal' AND (r.proname = ANY (rest_functions) OR r.proname LIKE 'rest\_%') THEN
			EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO theazo_gateway', r.func);
		END IF;
	END LOOP;
	GRANT EXECUTE ON ALL ROUTINES IN SCHEMA theazo_api TO theazo_gateway;

	-- views
	GRANT SELECT ON ALL TABLES IN SCHEMA theazo TO theazo_operator, theazo_app, theazo_auditor, theazo_gateway, theazo_owner, theazo_system;
	FOR r IN
		SELECT c.oid::pg_catalog.regclass AS rel FROM pg_catalog.pg_class c
		 WHERE c.relnamespace = 'theazo'::pg_catalog.regnamespace AND c.relkind = 'v'
		   AND (c.relname = ANY (operator_views) OR c.relname LIKE 'operator\_%')
	LOOP
		EXECUTE pg_catalog.format('REVOKE SELECT ON %s FROM theazo_app, theazo_auditor, theazo_gateway', r.rel);
	END LOOP;
	-- a view's functions run as whoever reads it, so readers need them, and still cannot name them
	FOR r IN
		SELECT DISTINCT p.oid::pg_catalog.regprocedure AS func,
			   CASE WHEN v.relowner = 'theazo_system'::pg_catalog.regrole THEN 'theazo_operator'
					ELSE 'theazo_operator, theazo_app, theazo_auditor, theazo_gateway' END AS readers
		  FROM pg_catalog.pg_depend d
		  JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
		  JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relnamespace = 'theazo'::pg_catalog.regnamespace
		  JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid = p.oid
			   AND p.pronamespace = 'theazo_internal'::pg_catalog.regnamespace
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO %s', r.func, r.readers);
	END LOOP;
END
$grants$;

-- ---------------------------------------------------------------------------------------
-- dump

DO $grants$
DECLARE
	-- say something about this cluster only
	state_tables CONSTANT text[] := ARRAY['audit_cursor', 'audit_sweep'];
	r record;
BEGIN
	FOR r IN
		SELECT c.oid FROM pg_catalog.pg_depend d
		  JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p', 'S')
		 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
		   AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		   AND d.refobjid = (SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname = 'theazo')
		   AND c.relnamespace = 'theazo_data'::pg_catalog.regnamespace
		   AND NOT c.relname = ANY (state_tables)
	LOOP
		PERFORM pg_catalog.pg_extension_config_dump(r.oid, '');
	END LOOP;
	-- the launcher looks at this database when the installation commits
	PERFORM theazo_internal.launcher_notice();
END
$grants$;
