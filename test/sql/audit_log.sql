\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
SELECT platform AS p, live AS k, test AS tk FROM tst.platform('Readers') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
SELECT id AS s2 FROM theazo.session_create('user-2', api_key => :'k') \gset
-- seals whatever is committed, as the keeper does
CREATE PROCEDURE tst.seal() LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
	LOOP
		COMMIT;
		SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
		n := theazo_internal.audit_seal();
		COMMIT;
		EXIT WHEN n >= 0;
	END LOOP;
END $$;
SELECT count(theazo_internal.event_write(:'p', CASE WHEN i % 2 = 0 THEN 'data' ELSE 'permission' END, CASE WHEN i % 2 = 0 THEN 'file_read' ELSE 'permission_denied' END,
	jsonb_build_object('i', i, 'input', 'in ' || i, 'output', 'out ' || i), CASE WHEN i % 3 = 0 THEN :'s' ELSE :'s2' END, NULL, NULL, 'live', NULL, NULL, i % 2 = 1)) FROM generate_series(1, 300) i;

-- pages, newest first, each event once
SELECT count(*), min(summary ->> 'i'), bool_or(seq IS NOT NULL OR hash IS NOT NULL) AS sealed, bool_or(anchored) AS anchored FROM theazo.audit_log(actions => '{file_read,permission_denied}', api_key => :'k');
CREATE FUNCTION tst.pages(k text, size integer) RETURNS TABLE (pages integer, events bigint, different bigint, in_order boolean) LANGUAGE plpgsql AS $$
DECLARE a text; n integer; all_ids text[] := '{}'; page text[];
BEGIN
	pages := 0;
	LOOP
		SELECT array_agg(l.id::text) INTO page FROM theazo.audit_log("limit" => size, after => a, api_key => k) l;
		EXIT WHEN page IS NULL;
		pages := pages + 1; all_ids := all_ids || page; a := page[array_length(page, 1)];
	END LOOP;
	SELECT count(*), count(DISTINCT x) INTO events, different FROM unnest(all_ids) x;
	in_order := all_ids = ARRAY(SELECT x FROM unnest(all_ids) x ORDER BY x COLLATE "C" DESC);
	RETURN NEXT;
END $$;
SELECT events = (SELECT count(*) FROM theazo_data.event e WHERE e.platform_id = :'p' AND e.environment = 'live') AS "all", events = different AS once, in_order, pages = ceil(events / 7.0) AS full FROM tst.pages(:'k', 7);
SELECT count(*) FROM theazo.audit_log(violations_only => true, "limit" => 1000, api_key => :'k');
SELECT count(*) FROM theazo.audit_log(session => :'s', actions => '{data}', "limit" => 1000, api_key => :'k');
SELECT count(*) FROM theazo.audit_log(session => 'ses_nonsense', api_key => :'k');
SELECT count(*) FROM theazo.audit_log(since => now() + '1 hour', api_key => :'k');
SELECT count(*) FROM theazo.audit_log(until => '2020-01-01', api_key => :'k');
SELECT count(*) FROM theazo.audit_log(until => '-infinity', api_key => :'k');
SELECT count(*) > 300 FROM theazo.audit_log(since => '-infinity', until => 'infinity', "limit" => 1000, api_key => :'k');
SELECT description, input_summary, output_summary, is_violation FROM theazo.audit_log(actions => '{permission_denied}', "limit" => 1, api_key => :'k');
-- a test key sees what is of tests
SELECT count(*) FILTER (WHERE environment <> 'test') FROM theazo.audit_log(api_key => :'tk');
SELECT tst.try(format('SELECT theazo.audit_log("limit" => 0, api_key => %L)', :'k'));
SELECT tst.try(format('SELECT theazo.audit_log("limit" => 1001, api_key => %L)', :'k'));
SELECT tst.try(format('SELECT theazo.audit_log(after => %L, api_key => %L)', 'evt_x', :'k'));
SELECT tst.code('SELECT theazo.audit_log()');

-- sealed: each has its place, links go from one to the next
CALL tst.seal();
CREATE TEMP TABLE told AS SELECT * FROM theazo.audit_log("limit" => 1000, api_key => :'k');
SELECT count(*) = count(seq) AS sealed, count(DISTINCT seq) = count(*) AS distinct_places, bool_or(anchored) AS anchored FROM told;
-- the bytes of one, put together by hand
SELECT e.hash = sha256(e.prev_hash || sha256('\x00'::bytea || convert_to('theazo event 2' || chr(10)
	|| (SELECT string_agg(coalesce(octet_length(f) || ':' || f || ',', '-'), '' ORDER BY n) FROM unnest(ARRAY[
		d.platform_id, d.id, d.number::text, ((extract(epoch FROM d.occurred_at) * 1000000)::bigint)::text, d.xid::text, d.instance, d.environment, d.session_id, d.agent_id, d.run_id,
		d.actor_kind, d.actor_id, d.request_id, d.category, d.action, d.permission_state, d.decision, d.rule, CASE WHEN d.is_violation THEN 't' ELSE 'f' END, d.personal,
		convert_from(d.body, 'UTF8')]) WITH ORDINALITY u (f, n)), 'UTF8'))) AS same
  FROM told e JOIN theazo_data.event d ON d.id = e.id ORDER BY e.seq LIMIT 1;

-- followed in the order of the chain, in pieces, nothing twice
CREATE FUNCTION tst.follow(k text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE a bigint := 0; got bigint[]; all_seqs bigint[] := '{}';
BEGIN
	LOOP
		SELECT array_agg(f.seq) INTO got FROM theazo.audit_follow(a, timeout => '0', api_key => k) f WHERE f.type = 'event';
		EXIT WHEN got IS NULL;
		all_seqs := all_seqs || got; a := got[array_length(got, 1)];
	END LOOP;
	RETURN all_seqs;
END $$;
SELECT f = ARRAY(SELECT seq FROM told ORDER BY seq) AS same FROM tst.follow(:'k') f;
SELECT data ->> 'action', data #>> '{summary,i}', data ->> 'input' IS NULL, length(data ->> 'hash') FROM theazo.audit_follow(0, actions => '{permission_denied}', session => :'s', timeout => '0', api_key => :'k') ORDER BY seq LIMIT 2;
-- what the filters left out need not be looked at again
SELECT type, data, seq = (SELECT max(first_seq + events - 1) FROM theazo_data.seal WHERE platform_id = :'p') AS at_the_end FROM theazo.audit_follow(0, actions => '{nothing_such}', timeout => '0', api_key => :'k');
SELECT count(*) FROM theazo.audit_follow((SELECT max(first_seq + events - 1) FROM theazo_data.seal WHERE platform_id = :'p'), timeout => '10 ms', api_key => :'k');
SELECT tst.try(format('SELECT theazo.audit_follow(-1, api_key => %L)', :'k'));
BEGIN;
SELECT pg_current_xact_id() IS NOT NULL;
SELECT tst.try(format('SELECT theazo.audit_follow(0, api_key => %L)', :'k'));
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT tst.code(format('SELECT theazo.audit_follow(0, api_key => %L)', :'k'));
ROLLBACK;
