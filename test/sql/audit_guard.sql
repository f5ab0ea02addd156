\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
-- What is refused to everybody, and what stays possible. All of it as a superuser.
SELECT platform AS p FROM tst.platform('Guarded') \gset
SELECT theazo_internal.event_write(:'p', 'data', 'kept', NULL, NULL, NULL, NULL, 'live') AS e \gset
CREATE SCHEMA guard_test;
CREATE FUNCTION guard_test.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TABLE guard_test.part (LIKE theazo_data.event INCLUDING CONSTRAINTS);
CREATE TABLE guard_test.full (LIKE theazo_data.event INCLUDING CONSTRAINTS);

CREATE TABLE guard_test.root (a int) PARTITION BY RANGE (a);
CREATE TABLE guard_test.seals (LIKE theazo_data.seal) PARTITION BY RANGE (first_seq);
CREATE TABLE guard_test.parent (platform_id theazo.id);
INSERT INTO guard_test.full SELECT (jsonb_populate_record(e, '{"id": "evt_00000000000000000000000001"}')).* FROM theazo_data.event e WHERE id = :'e';
CREATE ROLE guard_test_role;

-- the words
SELECT tst.try('DROP TABLE theazo_data.seal');
SELECT tst.try('CREATE OR REPLACE FUNCTION theazo_internal.event_guard() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$');
SELECT tst.try('ALTER EXTENSION theazo DROP TABLE theazo_data.seal');

CREATE FUNCTION guard_test.refused(statements text[], tables text[] DEFAULT '{}') RETURNS TABLE (code text, statement text) LANGUAGE plpgsql AS $$
DECLARE
	s text; t text;
BEGIN
	FOREACH s IN ARRAY statements LOOP
		FOREACH t IN ARRAY CASE WHEN tables = '{}' THEN ARRAY[''] ELSE tables END LOOP
			code := tst.code(replace(s, '%t', t));
			statement := replace(s, '%t', t);
			IF code <> 'TZ502' OR tables = '{}' THEN
				RETURN NEXT;
			END IF;
		END LOOP;
	END LOOP;
END $$;
-- each on each table, with a row in it and without the server's own care for members of an extension: only what is
-- not refused is listed
CREATE FUNCTION guard_test.fill() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c record; names text; vals text;
BEGIN
	FOR c IN SELECT cl.oid, cl.relname FROM pg_class cl WHERE cl.relnamespace = 'theazo_data'::regnamespace
		AND cl.relname IN ('seal', 'tree_node', 'audit_checkpoint', 'audit_key', 'audit_round', 'audit_round_leaf', 'audit_anchor', 'audit_segment') LOOP
		SELECT string_agg(quote_ident(a.attname), ', '), string_agg(CASE
				WHEN a.attname = 'platform_id' THEN '''plt_00000000000000000000000009'''
				WHEN a.attname = 'ids' THEN $f$decode(repeat('00', 16), 'hex')$f$
				WHEN a.atttypid = 'bytea'::regtype THEN $f$decode(repeat('00', 32), 'hex')$f$
				WHEN a.atttypid = 'theazo.id'::regtype THEN '''x_00000000000000000000000009'''
				WHEN a.atttypid = 'timestamptz'::regtype THEN 'now()'
				WHEN a.atttypid = 'jsonb'::regtype THEN '''{}'''
				WHEN a.attname = 'month' THEN '''2001_01''' WHEN a.attname = 'what' THEN '''exported'''
				WHEN a.attname = 'level' THEN '8' ELSE '1' END, ', ')
		  INTO names, vals FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped;
		EXECUTE format('INSERT INTO theazo_data.%I (%s) VALUES (%s)', c.relname, names, vals);
	END LOOP;
END $$;
BEGIN;
-- the workers step aside until the end of this transaction
SAVEPOINT aside;
DROP EXTENSION theazo CASCADE;
ROLLBACK TO aside;
SELECT guard_test.fill() IS NOT NULL AS filled;
SET LOCAL allow_system_table_mods = on;
DELETE FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'theazo');
SELECT * FROM guard_test.refused(ARRAY[
	'UPDATE theazo_data.%t SET platform_id = platform_id',
	'DELETE FROM theazo_data.%t',
	'TRUNCATE theazo_data.%t',
	'TRUNCATE theazo_data.%t CASCADE',
	'DROP TABLE theazo_data.%t CASCADE',
	'ALTER TABLE theazo_data.%t RENAME TO other',
	'ALTER TABLE theazo_data.%t RENAME COLUMN platform_id TO other',
	'ALTER TABLE theazo_data.%t SET SCHEMA guard_test',
	'ALTER TABLE theazo_data.%t OWNER TO guard_test_role',
	'ALTER TABLE theazo_data.%t DISABLE TRIGGER ALL',
	'ALTER TABLE theazo_data.%t DISABLE TRIGGER USER',
	'ALTER TABLE theazo_data.%t ENABLE TRIGGER ALL',
	'ALTER TABLE theazo_data.%t DROP COLUMN platform_id',
	'ALTER TABLE theazo_data.%t ALTER COLUMN platform_id TYPE text',
	'ALTER TABLE theazo_data.%t ALTER COLUMN platform_id DROP NOT NULL',
	'ALTER TABLE theazo_data.%t ALTER COLUMN platform_id SET DEFAULT ''x''',
	'ALTER TABLE theazo_data.%t ADD COLUMN other text',
	'ALTER TABLE theazo_data.%t ADD CHECK (false) NOT VALID',
	'ALTER TABLE theazo_data.%t ADD FOREIGN KEY (platform_id) REFERENCES theazo_data.platform',
	'ALTER TABLE theazo_data.%t SET UNLOGGED',
	'ALTER TABLE theazo_data.%t DISABLE ROW LEVEL SECURITY',
	'ALTER TABLE theazo_data.%t NO FORCE ROW LEVEL SECURITY',
	'ALTER TABLE theazo_data.%t INHERIT guard_test.parent',
	'CREATE TABLE guard_test.child () INHERITS (theazo_data.%t)',
	'ALTER TABLE guard_test.part INHERIT theazo_data.%t',
	'CREATE RULE silent AS ON INSERT TO theazo_data.%t DO INSTEAD NOTHING',
	'CREATE TRIGGER other BEFORE INSERT ON theazo_data.%t FOR EACH ROW EXECUTE FUNCTION guard_test.nothing()',
	'CREATE POLICY other ON theazo_data.%t AS RESTRICTIVE USING (false)',
	'DROP OWNED BY theazo_guard CASCADE',
	'REASSIGN OWNED BY theazo_guard TO guard_test_role'
], ARRAY['event', 'event_default', 'seal', 'tree_node', 'audit_checkpoint', 'audit_key', 'audit_round', 'audit_round_leaf', 'audit_anchor', 'audit_segment']);
SELECT * FROM guard_test.refused(ARRAY[
	'DROP FUNCTION theazo_internal.event_guard()',
	'DROP FUNCTION theazo_internal.event_guard() CASCADE',
	'DROP FUNCTION theazo_internal.event_write CASCADE',
	'DROP SCHEMA theazo_internal CASCADE',
	'DROP DOMAIN theazo.id CASCADE',
	'DO $f$ BEGIN DROP TABLE theazo_data.seal; END $f$'
]);
ROLLBACK;
-- each trigger of each table; a clone is kept by the server itself
BEGIN;
-- the workers step aside until the end of this transaction
SAVEPOINT aside;
DROP EXTENSION theazo CASCADE;
ROLLBACK TO aside;
SELECT c.relname, t.tgname, s, tried.code FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid,
	unnest(ARRAY['ALTER TABLE %1$s DISABLE TRIGGER %2$I', 'ALTER TABLE %1$s ENABLE TRIGGER %2$I', 'ALTER TABLE %1$s ENABLE REPLICA TRIGGER %2$I',
		'DROP TRIGGER %2$I ON %1$s', 'DROP TRIGGER %2$I ON %1$s CASCADE', 'ALTER TRIGGER %2$I ON %1$s RENAME TO other',
		'CREATE OR REPLACE TRIGGER %2$I BEFORE UPDATE ON %1$s FOR EACH ROW EXECUTE FUNCTION guard_test.nothing()',
		'CREATE OR REPLACE TRIGGER %2$I BEFORE UPDATE ON %1$s FOR EACH ROW WHEN (false) EXECUTE FUNCTION theazo_internal.event_guard()',
		'CREATE OR REPLACE TRIGGER %2$I BEFORE UPDATE OR DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION theazo_internal.event_guard()']) s,
	LATERAL (SELECT tst.code(format(s, t.tgrelid::regclass, t.tgname))) AS tried (code)
 WHERE t.tgfoid IN ('theazo_internal.event_guard'::regproc, 'theazo_internal.event_insert'::regproc)
   AND tried.code <> 'TZ502' AND (t.tgparentid = 0 OR tried.code = 'ok')
 ORDER BY 1, 2, 3;
ROLLBACK;
-- and the rest
BEGIN;
-- the workers step aside until the end of this transaction
SAVEPOINT aside;
DROP EXTENSION theazo CASCADE;
ROLLBACK TO aside;
-- tables that would be partitions and not be protected, or not keep every row
CREATE UNLOGGED TABLE theazo_data.event_unlogged (LIKE theazo_data.event INCLUDING CONSTRAINTS);
CREATE TABLE theazo_data.event_trigger (LIKE theazo_data.event INCLUDING CONSTRAINTS);
CREATE TRIGGER other BEFORE INSERT ON theazo_data.event_trigger FOR EACH ROW EXECUTE FUNCTION guard_test.nothing();
CREATE TABLE theazo_data.event_rule (LIKE theazo_data.event INCLUDING CONSTRAINTS);
CREATE RULE silent AS ON INSERT TO theazo_data.event_rule DO INSTEAD NOTHING;
SELECT * FROM guard_test.refused(ARRAY[
	'ALTER TABLE theazo_data.event DETACH PARTITION theazo_data.event_default',
	'ALTER TABLE theazo_data.event ATTACH PARTITION guard_test.part FOR VALUES FROM (''evt_00000000000000000000000000'') TO (''evt_00V00000000000000000000000'')',
	'ALTER TABLE theazo_data.event ATTACH PARTITION theazo_data.event_unlogged FOR VALUES FROM (''evt_00000000000000000000000000'') TO (''evt_00V00000000000000000000000'')',
	'ALTER TABLE theazo_data.event ATTACH PARTITION theazo_data.event_trigger FOR VALUES FROM (''evt_00000000000000000000000000'') TO (''evt_00V00000000000000000000000'')',
	'ALTER TABLE theazo_data.event ATTACH PARTITION theazo_data.event_rule FOR VALUES FROM (''evt_00000000000000000000000000'') TO (''evt_00V00000000000000000000000'')',
	'ALTER TABLE theazo_data.event ATTACH PARTITION guard_test.full FOR VALUES FROM (''evt_00000000000000000000000000'') TO (''evt_00V00000000000000000000000'')',
	'CREATE TABLE guard_test.slice PARTITION OF theazo_data.event FOR VALUES FROM (''evt_00000000000000000000000000'') TO (''evt_00V00000000000000000000000'')',
	'ALTER TABLE guard_test.seals ATTACH PARTITION theazo_data.seal DEFAULT',
	'ALTER TABLE theazo_data.seal DROP CONSTRAINT seal_pkey',
	'ALTER TABLE theazo_data.seal DROP CONSTRAINT seal_events_check',
	'ALTER TABLE theazo_data.seal RENAME CONSTRAINT seal_events_check TO other',
	'ALTER TABLE theazo_data.event_default DROP CONSTRAINT event_default_pkey CASCADE',
	'DROP POLICY event_guard ON theazo_data.event',
	'ALTER POLICY event_guard ON theazo_data.event USING (false)',
	'ALTER FUNCTION theazo_internal.event_guard() RENAME TO other',
	'ALTER FUNCTION theazo_internal.event_guard() SET SCHEMA guard_test',
	'ALTER FUNCTION theazo_internal.event_guard() OWNER TO guard_test_role',
	'ALTER FUNCTION theazo_internal.event_insert() SET search_path = x',
	'CREATE OR REPLACE FUNCTION theazo_internal.event_insert() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NULL; END $f$',
	'ALTER SCHEMA theazo_data RENAME TO other',
	'ALTER SCHEMA theazo_internal RENAME TO other',
	'ALTER EXTENSION theazo DROP TABLE theazo_data.event',
	'ALTER EXTENSION theazo DROP TABLE theazo_data.event_default',
	'ALTER EXTENSION theazo DROP FUNCTION theazo_internal.event_guard()',
	'ALTER EXTENSION theazo DROP SCHEMA theazo_data'
]);
ROLLBACK;
-- a row that says it was written here and now, by COPY as well
SELECT tst.try($$INSERT INTO theazo_data.event SELECT (jsonb_populate_record(e, jsonb_build_object('xid', pg_current_xact_id()::text))).* FROM theazo_data.event e LIMIT 1$$);
SELECT tst.code($$INSERT INTO theazo_data.event SELECT (jsonb_populate_record(e, '{"xid": "9000000000000"}')).* FROM theazo_data.event e LIMIT 1$$);
-- nor while a default partition becomes a month's
CREATE FUNCTION guard_test.along() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
	RAISE NOTICE 'meanwhile: % %', tst.code('ALTER TABLE theazo_data.event DISABLE TRIGGER ALL'),
		(SELECT string_agg(tst.code(format('DELETE FROM %s', c.oid::regclass)), ' ') FROM pg_class c
		  WHERE c.relkind = 'r' AND c.relnamespace = 'theazo_data'::regnamespace AND c.relname IN ('event_default', 'event_2001_05')); END $$;
BEGIN;
-- the workers step aside until the end of this transaction
SAVEPOINT aside;
DROP EXTENSION theazo CASCADE;
ROLLBACK TO aside;
INSERT INTO theazo_data.event SELECT (jsonb_populate_record(e, jsonb_build_object('id', 'evt_' || theazo_internal.id_floor('2001-05-05 00:00+00'),
	'instance', 'elsewhere:1'))).* FROM theazo_data.event e WHERE e.id = :'e';
CREATE EVENT TRIGGER guard_test_start ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION guard_test.along();
CREATE EVENT TRIGGER guard_test_end ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION guard_test.along();
SET LOCAL client_min_messages = notice;
SELECT theazo_internal.event_partition_turn('event_2001_05', 'evt_' || theazo_internal.id_floor('2001-05-01 00:00+00'), 'evt_' || theazo_internal.id_floor('2100-01-01 00:00+00'));
SET LOCAL client_min_messages = warning;
ROLLBACK;

-- nothing has changed
SELECT count(*) FROM theazo_data.event WHERE id = :'e';
SELECT c.relname, string_agg(t.tgname || ' ' || t.tgenabled::text, ', ' ORDER BY t.tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relname IN ('event', 'event_default', 'seal') GROUP BY 1 ORDER BY 1;

-- what stays possible
CREATE FUNCTION guard_test.allowed(statements text[]) RETURNS TABLE (code text, statement text) LANGUAGE plpgsql AS $$
BEGIN
	FOREACH statement IN ARRAY statements LOOP
		code := tst.code(statement);
		RETURN NEXT;
	END LOOP;
END $$;
BEGIN;
-- the workers step aside until the end of this transaction
SAVEPOINT aside;
DROP EXTENSION theazo CASCADE;
ROLLBACK TO aside;
SELECT * FROM guard_test.allowed(ARRAY[
	'ANALYZE theazo_data.event',
	'CREATE INDEX event_extra_idx ON theazo_data.event_default (action)',
	'ALTER INDEX theazo_data.event_extra_idx RENAME TO event_other_idx',
	'REINDEX TABLE theazo_data.event_default',
	'CLUSTER theazo_data.event_default USING event_default_pkey',
	'DROP INDEX theazo_data.event_other_idx',
	'CREATE STATISTICS guard_test.s ON action, category FROM theazo_data.event_default',
	'ALTER TABLE theazo_data.event_default SET (autovacuum_enabled = true)',
	'ALTER TABLE theazo_data.event_default RESET (autovacuum_enabled)',
	'ALTER TABLE theazo_data.event_default ALTER COLUMN action SET STATISTICS 200',
	'ALTER TABLE theazo_data.event_default ALTER COLUMN body SET STORAGE EXTERNAL',
	'ALTER TABLE theazo_data.event_default REPLICA IDENTITY FULL',
	'ALTER TABLE theazo_data.seal SET TABLESPACE pg_default',
	'ALTER TABLE theazo_data.seal OWNER TO theazo_guard',
	'ALTER TABLE theazo_data.seal ENABLE ALWAYS TRIGGER audit_guard_row',
	'ALTER TABLE theazo_data.event_default ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
	'COMMENT ON TABLE theazo_data.seal IS ''mine''',
	'GRANT SELECT ON theazo_data.seal TO guard_test_role',
	'REVOKE SELECT ON theazo_data.seal FROM guard_test_role',
	'LOCK TABLE theazo_data.seal IN ACCESS EXCLUSIVE MODE',
	'CREATE VIEW guard_test.v AS SELECT * FROM theazo_data.event',
	'CREATE TABLE guard_test.copy AS SELECT * FROM theazo_data.event',
	'CREATE TABLE guard_test.ref (p theazo.id, i theazo.id, FOREIGN KEY (p, i) REFERENCES theazo_data.event_default)',
	'DROP TABLE guard_test.ref',
	-- as a restore does with a month's partition
	'CREATE TABLE theazo_data.event_0000 (LIKE theazo_data.event INCLUDING CONSTRAINTS)',
	'ALTER TABLE theazo_data.event ATTACH PARTITION theazo_data.event_0000 FOR VALUES FROM (''evt_00000000000000000000000000'') TO (''evt_00V00000000000000000000000'')',
	'ALTER TABLE theazo_data.event_0000 ADD CONSTRAINT event_0000_pkey PRIMARY KEY (platform_id, id)',
	'CREATE TRIGGER event_guard_truncate BEFORE TRUNCATE ON theazo_data.event_0000 FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.event_guard()',
	'ALTER TABLE theazo_data.event_0000 ENABLE ALWAYS TRIGGER event_guard_truncate',
	'DROP TABLE guard_test.parent'
]);
ROLLBACK;
-- what came by a statement is noted once for each transaction
SELECT count(*) AS before FROM theazo_data.audit_sweep \gset
INSERT INTO theazo_data.event SELECT (jsonb_populate_record(e, jsonb_build_object('id', theazo_internal.id_new('evt'), 'instance', 'elsewhere:1'))).* FROM theazo_data.event e, generate_series(1, 3) WHERE e.id = :'e';
SELECT count(*) - :before AS notes, max(xid) < pg_current_xact_id() AS committed FROM theazo_data.audit_sweep;
-- one that events write themselves is not
SELECT theazo_internal.event_write(:'p', 'data', 'again', NULL, NULL, NULL, NULL, 'live') IS NOT NULL;
SELECT count(*) - :before AS notes FROM theazo_data.audit_sweep;

-- the whole extension may go
BEGIN;
DROP EXTENSION theazo CASCADE;
SELECT count(*) FROM pg_class WHERE relname = 'event';
ROLLBACK;
SELECT count(*) FROM theazo_data.event WHERE id = :'e';
DROP SCHEMA guard_test CASCADE;
DROP ROLE guard_test_role;
