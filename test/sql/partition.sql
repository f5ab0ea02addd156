\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Partitions') \gset
SELECT parent, key_column, prefix, keep_setting FROM theazo_internal.partition_parents();
SELECT parent, suffix, definition FROM theazo_internal.partition_indexes();
-- parents carry no key and no index
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'theazo_data'::regnamespace AND c.relkind = 'p';
SELECT theazo_internal.month_floor('2024-02-29 23:59:59.999+00') AT TIME ZONE 'UTC', theazo_internal.month_next('2024-02-29 23:59:59.999+00') AT TIME ZONE 'UTC',
	theazo_internal.month_floor('2024-03-01 00:30:00+01') AT TIME ZONE 'UTC', theazo_internal.month_next('2024-12-31 12:00+00') AT TIME ZONE 'UTC';

-- a partition of a month: made once, with its own keys, closed, with its guard
BEGIN;
SELECT theazo_internal.partition_make('event', '2001-05-17 10:00+00'), theazo_internal.partition_make('event', '2001-05-31 23:59+00');
SELECT theazo_internal.partition_make('run', '2001-05-17 10:00+00');
SELECT partition, from_time AT TIME ZONE 'UTC', to_time AT TIME ZONE 'UTC' FROM theazo.operator_partitions WHERE partition LIKE '%2001%' ORDER BY 1;
SELECT relname, relowner::regrole, relrowsecurity, relforcerowsecurity, ARRAY(SELECT r FROM unnest(ARRAY['theazo_owner', 'theazo_system', 'theazo_app', 'theazo_worker', 'theazo_operator']) r WHERE has_table_privilege(r, c.oid, 'SELECT')) AS readers FROM pg_class c WHERE relname IN ('event_2001_05', 'run_2001_05') ORDER BY 1;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'theazo_data.run_2001_05'::regclass ORDER BY 1;
SELECT conname FROM pg_constraint WHERE conrelid = 'theazo_data.run_2001_05'::regclass AND contype <> 'n' ORDER BY 1;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'theazo_data.event_2001_05'::regclass ORDER BY 1;
SELECT count(*) FROM pg_depend WHERE objid IN ('theazo_data.run_2001_05'::regclass, 'theazo_data.event_2001_05'::regclass) AND deptype = 'e';
-- rows find their way
INSERT INTO theazo_data.event (platform_id, id, number, occurred_at, xid, instance, environment, actor_kind, actor_id, category, action, body)
	SELECT :'p', 'evt_' || theazo_internal.id_floor(t), 1, t, '3', 'x', 'live', 'worker', 'x', 'lifecycle', 'test', ''
	  FROM unnest(ARRAY['2001-05-01 00:00:00+00', '2001-05-31 23:59:59.999+00', '2001-06-01 00:00:00+00', '2001-04-30 23:59:59.999+00']::timestamptz[]) t;
SELECT tableoid::regclass, occurred_at AT TIME ZONE 'UTC' FROM theazo_data.event WHERE action = 'test' ORDER BY 2;
SELECT tst.try($$SELECT theazo_internal.partition_make('agent', now())$$);
SELECT tst.try($$SELECT theazo_internal.partition_drop('event', 'event_2001_05')$$);
SELECT tst.try($$SELECT theazo_internal.partition_drop('run', 'run_default')$$);
SELECT theazo_internal.partition_drop('run', 'run_2001_05') \gset
SELECT to_regclass('theazo_data.run_2001_05');
ROLLBACK;

-- rows that came before their partition: the default becomes the partition of the span, a new default takes its place
-- and its membership; no row moves
BEGIN;
SELECT theazo_internal.keeper_partitions() >= 0;
INSERT INTO theazo_data.log (platform_id, root_id, id, environment, occurred_at, level, source, message)
	SELECT :'p', theazo_internal.id_floor(t), 'log_' || theazo_internal.id_floor(t), 'live', t, 'info', 'system', 'test'
	  FROM unnest(ARRAY['2001-05-05 00:00:00+00', '2001-06-30 00:00:00+00']::timestamptz[]) t;
INSERT INTO theazo_data.event (platform_id, id, number, occurred_at, xid, instance, environment, actor_kind, actor_id, category, action, body)
	SELECT :'p', 'evt_' || theazo_internal.id_floor(t), 1, t, '3', 'x', 'live', 'worker', 'x', 'lifecycle', 'test', ''
	  FROM unnest(ARRAY['2001-05-05 00:00:00+00']::timestamptz[]) t;
SELECT tableoid::regclass, ctid FROM theazo_data.log WHERE message = 'test' ORDER BY id;
SELECT pg_relation_filenode('theazo_data.log_default') AS node \gset
SELECT theazo_internal.keeper_partitions();
SELECT tableoid::regclass, ctid FROM theazo_data.log WHERE message = 'test' ORDER BY id;
SELECT pg_relation_filenode('theazo_data.log_2001_05') = :node AS same_file;
SELECT partition, is_default, from_time AT TIME ZONE 'UTC', to_time AT TIME ZONE 'UTC' FROM theazo.operator_partitions WHERE partition ~ '^(log|event)_(2001|default)' ORDER BY 1;
SELECT c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid WHERE d.deptype = 'e' AND c.relname ~ '^(log|event)_(2001|default)' ORDER BY 1;
SELECT c.relname FROM pg_extension e, unnest(extconfig) o JOIN pg_class c ON c.oid = o WHERE e.extname = 'theazo' AND c.relname ~ '^(log|event)_(2001|default)' ORDER BY 1;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'theazo_data.event_2001_05'::regclass ORDER BY 1;
SELECT tst.code($$DELETE FROM theazo_data.event WHERE action = 'test'$$), tst.code($$TRUNCATE theazo_data.event_2001_05$$), tst.code($$TRUNCATE theazo_data.event_default$$);
-- again: nothing to do
SELECT theazo_internal.keeper_partitions();
-- both months between lie in one partition; a row between finds it, a new one beyond goes to the new default
INSERT INTO theazo_data.log (platform_id, root_id, id, environment, occurred_at, level, source, message)
	SELECT :'p', theazo_internal.id_floor(t), 'log_' || theazo_internal.id_floor(t), 'live', t, 'info', 'system', 'more'
	  FROM unnest(ARRAY['2001-05-15 00:00:00+00', '2001-07-01 00:00:00+00']::timestamptz[]) t;
SELECT tableoid::regclass FROM theazo_data.log WHERE message = 'more' ORDER BY id;
-- a span that a dated partition cuts in two stays where it is
INSERT INTO theazo_data.log (platform_id, root_id, id, environment, occurred_at, level, source, message)
	SELECT :'p', theazo_internal.id_floor(t), 'log_' || theazo_internal.id_floor(t), 'live', t, 'info', 'system', 'more'
	  FROM unnest(ARRAY['2001-04-15 00:00:00+00']::timestamptz[]) t;
SELECT theazo_internal.keeper_partitions();
SELECT * FROM theazo.integrity_check() WHERE platform_id IS NULL;
-- retention: whole partitions, when nothing in them is unfinished
INSERT INTO theazo_data.run (platform_id, id, session_id, agent_id, user_id, environment, kind, provider, timeout_ms, status)
	SELECT :'p', 'run_' || theazo_internal.id_floor(t), 'ses_' || theazo_internal.id_floor(t), 'agt_' || theazo_internal.id_floor(t), 'u', 'live', 'exec', 'x', 1, s
	  FROM (VALUES ('2001-01-15 00:00:00+00'::timestamptz, 'completed')) v (t, s);
SELECT theazo_internal.keeper_partitions() > 0;
SELECT theazo_internal.partition_make('run', '2001-02-01 00:00+00'), theazo_internal.partition_make('effect', '2001-02-01 00:00+00'),
	theazo_internal.partition_make('effect', '2001-03-01 00:00+00'), theazo_internal.partition_make('run', '2001-03-01 00:00+00');
INSERT INTO theazo_data.run (platform_id, id, session_id, agent_id, user_id, environment, kind, provider, timeout_ms, status)
	SELECT :'p', 'run_' || theazo_internal.id_floor(t), 'ses_' || theazo_internal.id_floor(t), 'agt_' || theazo_internal.id_floor(t), 'u', 'live', 'exec', 'x', 1, s
	  FROM (VALUES ('2001-02-15 00:00:00+00'::timestamptz, 'queued')) v (t, s);
INSERT INTO theazo_data.effect (platform_id, root_id, id, kind, adapter, state, instance)
	SELECT :'p', theazo_internal.id_floor(t), 'eff_' || theazo_internal.id_floor(t), 'probe.noop', 'noop', 'held', 'x'
	  FROM (VALUES ('2001-03-15 00:00:00+00'::timestamptz)) v (t);
SELECT theazo_internal.keeper_retention();
SELECT partition FROM theazo.operator_partitions WHERE partition ~ '2001' ORDER BY 1;
ROLLBACK;

-- an extension script cannot make dated ones, and nobody but the owners swaps membership
SET ROLE theazo_app;
SELECT tst.code($$SELECT theazo_internal.partition_make('run', now())$$), tst.code($$SELECT theazo_internal.partition_member_swap('theazo_data.run_default', 'theazo_data.run_default')$$);
RESET ROLE;
SET ROLE theazo_system;
SELECT tst.try($$SELECT theazo_internal.partition_member_swap('theazo_data.run_default', 'theazo_data.run_default')$$);
SELECT tst.try($$SELECT theazo_internal.partition_member_swap('pg_class', 'pg_class')$$);
RESET ROLE;
