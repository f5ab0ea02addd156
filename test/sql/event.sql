\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Events') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset

-- who, what, when, and the exact bytes
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo_internal.event_write(:'p', 'data', 'file_read', '{"path": "/a", "n": 2}', :'s', NULL, NULL, 'live', 'allow', 'r1', true) AS e \gset
SELECT environment, session_id = :'s', actor_kind, actor_id ~ '^key_', category, action, decision, rule, is_violation, summary FROM theazo.events WHERE id = :'e';
SELECT tst.mask(convert_from(body, 'UTF8')), format, xid = pg_current_xact_id(), instance = theazo_internal.instance() FROM theazo_data.event WHERE id = :'e';
-- its number and its id have the same time, and sort alike
SELECT e.number < 9007199254740992 AS small, (e.number >> 12) + 1577836800000 = round(extract(epoch FROM theazo_internal.id_time(e.id)) * 1000) AS same FROM theazo.events e WHERE e.id = :'e';
-- numbers go on behind those of before a restart; one that was made up does not use them up
SELECT max(number) + 40960 AS ahead FROM theazo_data.event \gset
SELECT theazo_internal.number_reach(:ahead), theazo_internal.number_reach(9007199254740990), theazo_internal.number_reach(NULL), theazo_internal.number_reach(-1);
SELECT theazo_internal.event_write(:'p', 'data', 'file_read', NULL, NULL, NULL, NULL, 'live') AS e \gset
SELECT number > :ahead AS behind, number < 9007199254000000 AS left_over FROM theazo.events WHERE id = :'e';
SET LOCAL theazo.request_id = 'req-1';
SELECT theazo_internal.event_write(:'p', 'permission', 'permission_checked', NULL, NULL, NULL, NULL, 'live', p_permission => 'granted') AS e \gset
SELECT request_id, permission_state, summary IS NULL AS nothing FROM theazo.events WHERE id = :'e';
SELECT convert_from(body, 'UTF8') FROM theazo_data.event WHERE id = :'e';
SELECT tst.try(format('SET theazo.request_id = %L', repeat('x', 129)));
SELECT tst.try($$SET theazo.request_id = E'a\nb'$$);
-- summaries are short and carry no secret
SELECT theazo_internal.summary_bound(d) FROM unnest(ARRAY['{}', '{"a": 1}', '"text"', '[1, 2]', '{"apiKey": "abc", "password": "x", "accessToken": {"a": 1}, "name": "tokens"}',
	'{"note": "used th_live_0123456789abcdefghijklmnopqrstuvwxyz and Bearer abcdefghijklmnop ok"}', '{"list": ["sk-0123456789abcdef"]}']::jsonb[]) d;
SELECT length(theazo_internal.summary_bound(jsonb_build_object('a', repeat('x', 5000))) ->> 'a');
SELECT octet_length(theazo_internal.summary_bound((SELECT jsonb_object_agg('k' || n, repeat('y', 300)) FROM generate_series(1, 500) n))::text) < 4096;
SELECT theazo_internal.summary_bound(NULL);
ROLLBACK;
SELECT count(*) FROM theazo_data.event WHERE platform_id = :'p' AND category = 'data';

-- never changed, never deleted: not by the superuser, not on any partition, not as a replica
SELECT theazo_internal.event_write(:'p', 'data', 'kept', NULL, NULL, NULL, NULL, 'live') AS e \gset
SELECT regexp_replace(tst.try($$UPDATE theazo_data.event SET action = 'x'$$), '"event\w*"', '"event..."');
SELECT regexp_replace(tst.try($$DELETE FROM theazo_data.event$$), '"event\w*"', '"event..."');
SELECT regexp_replace(tst.try($$TRUNCATE theazo_data.event$$), '"event\w*"', '"event..."');
SET session_replication_role = replica;
SELECT tst.code($$UPDATE theazo_data.event SET action = 'x'$$), tst.code($$DELETE FROM theazo_data.event$$), tst.code($$TRUNCATE theazo_data.event$$);
SELECT count(*) > 0 AS partitions, count(*) FILTER (WHERE tst.code(format('TRUNCATE theazo_data.%I', partition)) <> 'TZ502') AS open FROM theazo_internal.partition_list('event');
RESET session_replication_role;
SELECT count(*) FILTER (WHERE tst.code(format('TRUNCATE theazo_data.%I', partition)) <> 'TZ502') AS open FROM theazo_internal.partition_list('event');
SELECT count(*) FROM theazo_data.event WHERE id = :'e';
SET ROLE theazo_guard;
SELECT tst.code($$UPDATE theazo_data.event SET action = 'x'$$), tst.code($$DELETE FROM theazo_data.event$$), tst.code($$TRUNCATE theazo_data.event$$);
RESET ROLE;
SET ROLE theazo_system;
SELECT tst.code($$INSERT INTO theazo_data.event (platform_id) VALUES ('x')$$), tst.code($$UPDATE theazo_data.event SET action = 'x'$$), tst.code($$DELETE FROM theazo_data.event$$), tst.code($$TRUNCATE theazo_data.event$$);
RESET ROLE;
SET ROLE theazo_app;
SELECT tst.code($$SELECT theazo_internal.event_write('plt_00000000000000000000000000', 'a', 'b', NULL, NULL, NULL, NULL, 'live')$$), tst.code($$TABLE theazo_data.event$$), tst.code($$DELETE FROM theazo.events$$);
RESET ROLE;
