-- partition.sql: the spans of time that growing tables are cut into.
--
-- Parents carry CHECKs, row triggers and policies, but no key and no index: pg_dump restores a
-- partition and then adds its keys, which would collide with what a parent made. So one function
-- dresses every partition, the default one too, with the same named keys and indexes.
--
-- The install script makes only the default partitions; they are members of the extension. The
-- keeper makes dated ones (a calendar month, UTC), which are no members, so pg_dump carries them.

-- The parents: the column they are cut by, what its values begin with, and the setting that says
-- how long they are kept (null: for ever).
CREATE OR REPLACE FUNCTION theazo_internal.partition_parents()
RETURNS TABLE (parent text, key_column text, prefix text, keep_setting text, keep_group text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	VALUES ('run', 'id', 'run_', 'theazo.retention_runs', 'runs'),
		   ('run_payload', 'root_id', '', 'theazo.retention_runs', 'runs'),
		   ('run_loop', 'root_id', '', 'theazo.retention_runs', 'runs'),
		   ('step', 'root_id', '', 'theazo.retention_runs', 'runs'),
		   ('step_payload', 'root_id', '', 'theazo.retention_runs', 'runs'),
		   ('message', 'root_id', '', 'theazo.retention_runs', 'runs'),
		   ('safety_verdict', 'root_id', '', 'theazo.retention_runs', 'runs'),
		   ('host_call', 'root_id', '', 'theazo.retention_host_calls', 'runs'),
		   ('effect', 'root_id', '', 'theazo.retention_runs', 'runs'),
		   ('effect_payload', 'root_id', '', 'theazo.retention_runs', 'runs'),
		   ('charge', 'root_id', '', NULL, 'charges'),
		   ('log', 'root_id', '', 'theazo.retention_logs', 'logs'),
		   ('span', 'root_id', '', 'theazo.retention_traces', 'traces'),
		   ('event', 'id', 'evt_', NULL, 'events')
$$;
COMMENT ON FUNCTION theazo_internal.partition_parents() IS
'partitioned tables: key column, prefix of its values, setting that says how long they are kept';

-- Keys and indexes of every partition. The name is <partition>_<suffix>.
CREATE OR REPLACE FUNCTION theazo_internal.partition_indexes()
RETURNS TABLE (parent text, suffix text, definition text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	VALUES ('run', 'pkey', '(platform_id, id)'),
		   ('run', 'agent_idx', '(platform_id, agent_id, id)'),
		   ('run', 'session_idx', '(platform_id, session_id, id)'),
		   ('run', 'open_idx', '(platform_id, agent_id) WHERE status IN (''queued'', ''running'')'),
		   ('run_payload', 'pkey', '(platform_id, root_id)'),
		   ('run_loop', 'pkey', '(platform_id, root_id)'),
		   ('run_loop', 'parent_idx', '(platform_id, parent_root) WHERE parent_root IS NOT NULL'),
		   ('step', 'pkey', '(platform_id, root_id, seq)'),
		   ('step_payload', 'pkey', '(platform_id, root_id, seq)'),
		   ('message', 'pkey', '(platform_id, root_id, seq)'),
		   ('safety_verdict', 'pkey', '(platform_id, root_id, id)'),
		   ('host_call', 'pkey', '(platform_id, root_id, call)'),
		   ('effect', 'pkey', '(platform_id, root_id, id)'),
		   ('effect', 'due_idx', '(platform_id, due_at) WHERE state = ''queued'''),
		   ('effect', 'open_idx', '(incarnation) WHERE state IN (''claimed'', ''sent'', ''held'')'),
		   ('effect', 'model_idx', '(due_at, provider_name) WHERE kind = ''model.call'' AND state IN (''queued'', ''claimed'', ''sent'')'),
		   ('effect', 'webhook_idx', '(platform_id, provider_name, id) WHERE kind = ''webhook.deliver'''),
		   -- deliveries that wait for their webhook's turn, and those under way
		   ('effect', 'lane_idx', '(provider_name, id) WHERE kind = ''webhook.deliver'' AND state = ''queued'' AND due_at = ''infinity'''),
		   ('effect', 'flying_idx', '(provider_name) WHERE kind = ''webhook.deliver'' AND state IN (''claimed'', ''sent'')'),
		   ('effect_payload', 'pkey', '(platform_id, root_id, id)'),
		   ('charge', 'pkey', '(platform_id, root_id, id)'),
		   ('charge', 'occurred_idx', '(platform_id, occurred_at)'),
		   ('charge', 'session_idx', '(platform_id, session_id, occurred_at)'),
		   ('log', 'pkey', '(platform_id, root_id, id)'),
		   ('log', 'occurred_idx', '(platform_id, occurred_at)'),
		   ('span', 'pkey', '(platform_id, root_id, id)'),
		   ('span', 'trace_idx', '(platform_id, started_at) WHERE parent_id IS NULL'),
		   ('event', 'pkey', '(platform_id, id)'),
		   ('event', 'xid_idx', '(xid)')
$$;
COMMENT ON FUNCTION theazo_internal.partition_indexes() IS
'keys and indexes that each partition carries, by suffix of their name';

-- First moment of the calendar month, UTC.
CREATE OR REPLACE FUNCTION theazo_internal.month_floor(p_at timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT date_trunc('month', p_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;
COMMENT ON FUNCTION theazo_internal.month_floor(timestamptz) IS 'first moment of the calendar month in UTC';

CREATE OR REPLACE FUNCTION theazo_internal.month_next(p_at timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (date_trunc('month', p_at AT TIME ZONE 'UTC') + '1 month'::interval) AT TIME ZONE 'UTC'
$$;
COMMENT ON FUNCTION theazo_internal.month_next(timestamptz) IS 'first moment of the following calendar month in UTC';

-- What exists: the bounds are read from the catalog, they are the only truth.
CREATE OR REPLACE FUNCTION theazo_internal.partition_list(p_parent text DEFAULT NULL)
RETURNS TABLE (parent text, partition text, is_default boolean, from_key text, to_key text, part_oid oid)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pc.relname::text, c.relname::text, b.bound = 'DEFAULT',
		   (regexp_match(b.bound, 'FROM \(''([^'']*)''\) TO \(''([^'']*)''\)'))[1],
		   (regexp_match(b.bound, 'FROM \(''([^'']*)''\) TO \(''([^'']*)''\)'))[2],
		   c.oid
	  FROM theazo_internal.partition_parents() p
	  JOIN pg_class pc ON pc.relname = p.parent::name
					  AND pc.relnamespace = 'theazo_data'::regnamespace
	  JOIN pg_inherits i ON i.inhparent = pc.oid
	  JOIN pg_class c ON c.oid = i.inhrelid
	 CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid)) AS b(bound)
	 WHERE p_parent IS NULL OR p.parent = p_parent
	 ORDER BY 1, 3, 4
$$;
COMMENT ON FUNCTION theazo_internal.partition_list(text) IS 'partitions that exist, with their bounds as the catalog has them';

-- Keys, indexes, row-level security and, for events, the guard of one table that is or will be a partition.
CREATE OR REPLACE FUNCTION theazo_internal.partition_dress(p_parent text, p_name text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_suffix	text;
	v_def		text;
BEGIN
	FOR v_suffix, v_def IN
		SELECT x.suffix, x.definition FROM theazo_internal.partition_indexes() x WHERE x.parent = p_parent
	LOOP
		IF v_suffix = 'pkey' THEN
			EXECUTE format('ALTER TABLE theazo_data.%I ADD CONSTRAINT %I PRIMARY KEY %s',
						   p_name, p_name || '_pkey', v_def);
		ELSE
			EXECUTE format('CREATE INDEX %I ON theazo_data.%I %s', p_name || '_' || v_suffix, p_name, v_def);
		END IF;
	END LOOP;
	EXECUTE format('ALTER TABLE theazo_data.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', p_name);
	EXECUTE format('REVOKE ALL ON theazo_data.%I FROM PUBLIC', p_name);
	-- As grants.sql gives on what the install script made.
	EXECUTE format('GRANT %s ON theazo_data.%I TO theazo_system',
				   CASE WHEN p_parent = 'event' THEN 'SELECT' ELSE 'SELECT, INSERT, UPDATE, DELETE' END, p_name);
	IF p_parent = 'event' THEN
		-- Statement triggers are not cloned to partitions. Row triggers are, and go when it is detached: so it has one
		-- of its own as well.
		EXECUTE format('CREATE TRIGGER event_guard_own BEFORE UPDATE OR DELETE ON theazo_data.%I'
					   ' FOR EACH ROW EXECUTE FUNCTION theazo_internal.event_guard()', p_name);
		EXECUTE format('CREATE TRIGGER event_guard_truncate BEFORE TRUNCATE ON theazo_data.%I'
					   ' FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.event_guard()', p_name);
		EXECUTE format('ALTER TABLE theazo_data.%I ENABLE ALWAYS TRIGGER event_guard_own,'
					   ' ENABLE ALWAYS TRIGGER event_guard_truncate', p_name);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_dress(text, text) IS
'gives a partition its named keys and indexes, row-level security and, for events, its guard';

CREATE OR REPLACE FUNCTION theazo_internal.partition_create(p_parent text, p_name text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('CREATE TABLE theazo_data.%I (LIKE theazo_data.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS'
				   ' INCLUDING STORAGE INCLUDING COMPRESSION)', p_name, p_parent);
	-- A row of the queue is written three times, so its pages leave room; payloads and facts once.
	IF p_parent IN ('effect', 'run') THEN
		EXECUTE format('ALTER TABLE theazo_data.%I SET (autovacuum_vacuum_scale_factor = 0.02,'
					   ' autovacuum_vacuum_threshold = 1000)', p_name);
	END IF;
	PERFORM theazo_internal.partition_dress(p_parent, p_name);
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_create(text, text) IS
'makes a table shaped like a partitioned parent, not attached yet';

-- Name of a dated partition, from the bounds.
CREATE OR REPLACE FUNCTION theazo_internal.partition_name(p_parent text, p_from timestamptz)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p_parent || '_' || to_char(p_from AT TIME ZONE 'UTC', 'YYYY_MM')
$$;
COMMENT ON FUNCTION theazo_internal.partition_name(text, timestamptz) IS 'name of the partition that begins at that month';

CREATE OR REPLACE FUNCTION theazo_internal.partition_attach(p_parent text, p_name text, p_from timestamptz, p_to timestamptz)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_prefix text := (SELECT x.prefix FROM theazo_internal.partition_parents() x WHERE x.parent = p_parent);
BEGIN
	-- ATTACH alone lets writers go on. One that has chosen the default partition by then would find its
	-- row outside of it ("violates partition constraint"); so they wait here and choose afterwards.
	EXECUTE format('LOCK TABLE theazo_data.%I IN SHARE ROW EXCLUSIVE MODE', p_parent);
	EXECUTE format('ALTER TABLE theazo_data.%I ATTACH PARTITION theazo_data.%I FOR VALUES FROM (%L) TO (%L)',
				   p_parent, p_name, v_prefix || theazo_internal.id_floor(p_from),
				   v_prefix || theazo_internal.id_floor(p_to));
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_attach(text, text, timestamptz, timestamptz) IS
'attaches a table to its parent for a span of time';

-- Runs as the owner of the parent; p_month is any moment of the month.
CREATE OR REPLACE FUNCTION theazo_internal.partition_build(p_parent text, p_month timestamptz)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_from	timestamptz := theazo_internal.month_floor(p_month);
	v_name	text := theazo_internal.partition_name(p_parent, v_from);
	v_key	text;
BEGIN
	SELECT x.prefix || theazo_internal.id_floor(v_from) INTO v_key
	  FROM theazo_internal.partition_parents() x WHERE x.parent = p_parent;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('table %s is not partitioned', theazo_internal.quoted(p_parent)),
			HINT = 'Use one of theazo_internal.partition_parents().';
	END IF;
	IF EXISTS (SELECT FROM theazo_internal.partition_list(p_parent) l
				WHERE NOT l.is_default AND l.from_key COLLATE "C" <= v_key AND v_key < l.to_key COLLATE "C") THEN
		RETURN false;
	END IF;
	PERFORM theazo_internal.partition_create(p_parent, v_name);
	-- A member would be missing from every dump.
	IF EXISTS (SELECT FROM pg_depend d
				WHERE d.classid = 'pg_class'::regclass AND d.objid = format('theazo_data.%I', v_name)::regclass
				  AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e') THEN
		RAISE EXCEPTION USING ERRCODE = '55000',
			MESSAGE = 'dated partitions cannot be made by an extension script',
			HINT = 'The keeper makes them after CREATE EXTENSION.';
	END IF;
	PERFORM theazo_internal.partition_attach(p_parent, v_name, v_from, theazo_internal.month_next(v_from));
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_build(text, timestamptz) IS
'makes and attaches the partition of a month, as the caller, who must own the parent; false if one covers it';

-- pg_dump finds tables in its snapshot and locks them by name after. Between the two the default partition must not become
-- another table: the dump would hold an empty one, and not say so.
CREATE OR REPLACE FUNCTION theazo_internal.dump_running()
RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.application_name LIKE 'pg_dump%')
$$;
COMMENT ON FUNCTION theazo_internal.dump_running() IS 'is this database being dumped now';

-- The default partition holds rows of a span: it becomes the partition of that span and an empty one takes
-- its place. Rows never move. The new default takes over the membership in the extension.
CREATE OR REPLACE FUNCTION theazo_internal.partition_turn(p_parent text, p_from timestamptz, p_to timestamptz)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_default	text := p_parent || '_default';
	v_name		text := theazo_internal.partition_name(p_parent, p_from);
	v_old		oid := format('theazo_data.%I', v_default)::regclass;
	v_suffix	text;
BEGIN
	IF p_parent = 'event' THEN
		-- In one step of C: nobody else may detach events.
		LOCK TABLE theazo_data.event IN SHARE ROW EXCLUSIVE MODE;
		PERFORM theazo_internal.event_partition_turn(v_name, 'evt_' || theazo_internal.id_floor(p_from), 'evt_' || theazo_internal.id_floor(p_to));
	ELSE
		EXECUTE format('ALTER TABLE theazo_data.%I DETACH PARTITION theazo_data.%I', p_parent, v_default);
		EXECUTE format('ALTER TABLE theazo_data.%I RENAME TO %I', v_default, v_name);
		PERFORM theazo_internal.partition_attach(p_parent, v_name, p_from, p_to);
	END IF;
	FOR v_suffix IN
		SELECT x.suffix FROM theazo_internal.partition_indexes() x WHERE x.parent = p_parent
	LOOP
		-- Renaming the index of a key renames the key.
		EXECUTE format('ALTER INDEX theazo_data.%I RENAME TO %I', v_default || '_' || v_suffix, v_name || '_' || v_suffix);
	END LOOP;
	PERFORM theazo_internal.partition_create(p_parent, v_default);
	EXECUTE format('ALTER TABLE theazo_data.%I ATTACH PARTITION theazo_data.%I DEFAULT', p_parent, v_default);
	PERFORM theazo_internal.partition_member_swap(v_old::regclass, format('theazo_data.%I', v_default)::regclass);
	-- One that began meanwhile waits for the locks of this transaction, which goes back for it. What was read of the
	-- activity before is kept for a transaction.
	PERFORM pg_stat_clear_snapshot();
	IF theazo_internal.dump_running() THEN
		RAISE EXCEPTION USING ERRCODE = '55P03', MESSAGE = 'the database is being dumped', HINT = 'Try again when pg_dump has ended.';
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_turn(text, timestamptz, timestamptz) IS
'turns the default partition into the one of a span and makes a new default, as the caller, who must own the parent';

-- A partition is dropped by whoever owns the parent; whether it may go is the keeper's decision.
CREATE OR REPLACE FUNCTION theazo_internal.partition_remove(p_parent text, p_name text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_parent IN ('event', 'charge') OR NOT EXISTS (SELECT FROM theazo_internal.partition_list(p_parent) l
													   WHERE l.partition = p_name AND NOT l.is_default) THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('partition %s of %s cannot be dropped', theazo_internal.quoted(p_name), theazo_internal.quoted(p_parent)),
			HINT = 'Default partitions, events and charges stay.';
	END IF;
	EXECUTE format('DROP TABLE theazo_data.%I', p_name);
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_remove(text, text) IS 'drops a dated partition, as the caller, who must own it';

-- The doors: owned by the owners of the parents. event belongs to theazo_guard, the rest to theazo_owner.
CREATE OR REPLACE FUNCTION theazo_internal.event_partition_make(p_month timestamptz)
RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$ SELECT theazo_internal.partition_build('event', p_month) $$;
COMMENT ON FUNCTION theazo_internal.event_partition_make(timestamptz) IS 'makes the partition of events of a month';

CREATE OR REPLACE FUNCTION theazo_internal.event_partition_adopt(p_from timestamptz, p_to timestamptz)
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$ SELECT theazo_internal.partition_turn('event', p_from, p_to) $$;
COMMENT ON FUNCTION theazo_internal.event_partition_adopt(timestamptz, timestamptz) IS
'turns the default partition of events into the one of a span';

CREATE OR REPLACE FUNCTION theazo_internal.partition_make(p_parent text, p_month timestamptz)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
BEGIN
	IF p_parent = 'event' THEN
		RETURN theazo_internal.event_partition_make(p_month);
	END IF;
	RETURN theazo_internal.partition_build(p_parent, p_month);
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_make(text, timestamptz) IS
'makes and attaches the partition of the month of that moment; false if one covers it already';

CREATE OR REPLACE FUNCTION theazo_internal.partition_adopt(p_parent text, p_from timestamptz, p_to timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
BEGIN
	IF p_parent = 'event' THEN
		PERFORM theazo_internal.event_partition_adopt(p_from, p_to);
	ELSE
		PERFORM theazo_internal.partition_turn(p_parent, p_from, p_to);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_adopt(text, timestamptz, timestamptz) IS
'turns the default partition into the one of a span and makes a new, empty default';

CREATE OR REPLACE FUNCTION theazo_internal.partition_drop(p_parent text, p_name text)
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$ SELECT theazo_internal.partition_remove(p_parent, p_name) $$;
COMMENT ON FUNCTION theazo_internal.partition_drop(text, text) IS 'drops a dated partition whose time is over';

-- Makes the partitions of this month and three more; rows in a default partition come first. Each step that
-- cannot get its lock in time is left for the next turn.
CREATE OR REPLACE FUNCTION theazo_internal.partitions_keep(p_all boolean)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p		record;
	v_low	text;
	v_high	text;
	v_from	timestamptz;
	v_to	timestamptz;
	v_month	timestamptz;
	v_n		integer := 0;
	v_error	text;
BEGIN
	FOR p IN SELECT * FROM theazo_internal.partition_parents()
	LOOP
		BEGIN
			EXECUTE format('SELECT min(%1$I), max(%1$I) FROM theazo_data.%2$I', p.key_column, p.parent || '_default')
				INTO v_low, v_high;
			IF v_low IS NOT NULL THEN
				v_from := theazo_internal.month_floor(theazo_internal.id_time(v_low));
				v_to := theazo_internal.month_next(theazo_internal.id_time(v_high));
				-- A dated partition between the first and the last month: then the rows stay where they are.
				IF NOT EXISTS (SELECT FROM theazo_internal.partition_list(p.parent) l
								WHERE NOT l.is_default
								  AND l.from_key COLLATE "C" < p.prefix || theazo_internal.id_floor(v_to)
								  AND l.to_key COLLATE "C" > p.prefix || theazo_internal.id_floor(v_from)) THEN
					CONTINUE WHEN theazo_internal.dump_running();
					PERFORM theazo_internal.partition_adopt(p.parent, v_from, v_to);
					v_n := v_n + 1;
				END IF;
			END IF;
			v_month := theazo_internal.month_floor(now());
			FOR i IN 0..3
			LOOP
				-- Months that rows in the default still belong to cannot be cut out of it.
				IF v_low IS NULL OR v_from > v_month OR v_to <= v_month
					OR NOT EXISTS (SELECT FROM theazo_internal.partition_list(p.parent) l
									WHERE NOT l.is_default
									  AND l.from_key COLLATE "C" <= p.prefix || theazo_internal.id_floor(v_month)
									  AND l.to_key COLLATE "C" > p.prefix || theazo_internal.id_floor(v_month)) THEN
					IF theazo_internal.partition_make(p.parent, v_month) THEN
						v_n := v_n + 1;
					END IF;
				END IF;
				v_month := theazo_internal.month_next(v_month);
			END LOOP;
		EXCEPTION
			-- Somebody holds the table, or a row of another month came between: next turn.
			WHEN lock_not_available OR check_violation OR deadlock_detected THEN
				GET STACKED DIAGNOSTICS v_error = MESSAGE_TEXT;
				RAISE LOG 'theazo keeper: partitions of % left for the next turn: %', p.parent, v_error;
		END;
		EXIT WHEN v_n > 0 AND NOT p_all;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.partitions_keep(boolean) IS
'upkeep of partitions: of the first table that needs it, or of all';

-- The usual answer is no, and the keeper asks often: one look at the catalog and one into each default partition.
CREATE OR REPLACE FUNCTION theazo_internal.partitions_due()
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_parent	text;
	v_rows		boolean;
BEGIN
	IF EXISTS (
		WITH have AS MATERIALIZED (SELECT l.parent, l.from_key, l.to_key FROM theazo_internal.partition_list() l WHERE NOT l.is_default),
		month AS MATERIALIZED (
			SELECT theazo_internal.id_floor(theazo_internal.month_floor(now() + m * '1 month'::interval)) AS key FROM generate_series(0, 3) m)
		SELECT FROM theazo_internal.partition_parents() p CROSS JOIN month
		 WHERE NOT EXISTS (SELECT FROM have h WHERE h.parent = p.parent AND h.from_key COLLATE "C" <= p.prefix || month.key
												AND h.to_key COLLATE "C" > p.prefix || month.key)) THEN
		RETURN true;
	END IF;
	FOR v_parent IN SELECT p.parent FROM theazo_internal.partition_parents() p
	LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM theazo_data.%I)', v_parent || '_default') INTO v_rows;
		IF v_rows THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END
$$;
COMMENT ON FUNCTION theazo_internal.partitions_due() IS 'is a partition of the next months missing, or does a default partition hold rows';

-- Does a span still hold something unfinished? Then it stays, however old.
CREATE OR REPLACE FUNCTION theazo_internal.partition_is_over(p_group text, p_from text, p_to text)
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_group <> 'runs' THEN
		RETURN true;
	END IF;
	RETURN NOT EXISTS (SELECT FROM theazo_data.run r
						WHERE r.id >= 'run_' || p_from AND r.id < 'run_' || p_to AND r.status IN ('queued', 'running'))
	   AND NOT EXISTS (SELECT FROM theazo_data.effect e
						WHERE e.root_id >= p_from AND e.root_id < p_to
						  AND (e.state = 'queued' OR e.state IN ('claimed', 'sent') OR e.state = 'held'));
END
$$;
COMMENT ON FUNCTION theazo_internal.partition_is_over(text, text, text) IS
'true when no run and no effect of that span is unfinished';

-- Events are immutable for everyone, also under session_replication_role = replica: triggers of the
-- parent are cloned with their firing state.
CREATE OR REPLACE TRIGGER event_guard_row BEFORE UPDATE OR DELETE ON theazo_data.event
	FOR EACH ROW EXECUTE FUNCTION theazo_internal.event_guard();
CREATE OR REPLACE TRIGGER event_guard_truncate BEFORE TRUNCATE ON theazo_data.event
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.event_guard();
CREATE OR REPLACE TRIGGER event_guard_insert BEFORE INSERT ON theazo_data.event
	FOR EACH ROW EXECUTE FUNCTION theazo_internal.event_insert();
ALTER TABLE theazo_data.event ENABLE ALWAYS TRIGGER event_guard_row;
ALTER TABLE theazo_data.event ENABLE ALWAYS TRIGGER event_guard_insert;
ALTER TABLE theazo_data.event ENABLE ALWAYS TRIGGER event_guard_truncate;

-- The default partitions: members of the extension, so the install script makes them.
DO $$
DECLARE
	v_parent text;
BEGIN
	FOR v_parent IN SELECT p.parent FROM theazo_internal.partition_parents() p
	LOOP
		IF pg_catalog.to_regclass('theazo_data.' || v_parent || '_default') IS NULL THEN
			PERFORM theazo_internal.partition_create(v_parent, v_parent || '_default');
			EXECUTE pg_catalog.format('ALTER TABLE theazo_data.%I ATTACH PARTITION theazo_data.%I DEFAULT',
									  v_parent, v_parent || '_default');
		END IF;
	END LOOP;
END
$$;
