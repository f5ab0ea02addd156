-- Who asks: per transaction, per subtransaction, by role.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.who() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', coalesce(theazo_internal.current_platform(), 'nobody'),
		theazo_internal.current_session(), theazo_internal.current_user_id(), theazo_internal.current_key(),
		theazo_internal.current_environment(), theazo_internal.current_scopes()::text,
		theazo_internal.current_actor_kind(), theazo_internal.current_key() = theazo_internal.current_actor())
$$;
\set a '''plt_0000000000000000000000000A'''
\set b '''plt_0000000000000000000000000B'''
\set k '''key_0000000000000000000000000A'''
\set s '''ses_0000000000000000000000000A'''
\set t '''ses_0000000000000000000000000B'''

-- nobody
SELECT pg_temp.who();
SELECT theazo_internal.current_actor() = current_user AS "an operator acts by his role";

-- until commit
BEGIN;
SELECT theazo_internal.identity_set(:a, :k, 'live', '{session:read,run:*}');
SELECT pg_temp.who();
COMMIT;
SELECT pg_temp.who();

-- until rollback
BEGIN;
SELECT theazo_internal.identity_set(:a, NULL, 'test', NULL);
SELECT pg_temp.who();
ROLLBACK;
SELECT pg_temp.who();

-- until an error
BEGIN;
SELECT theazo_internal.identity_set(:a, :k, 'live', '{}');
SELECT 1 / 0;
ROLLBACK;
SELECT pg_temp.who();

-- until prepare
BEGIN;
SELECT theazo_internal.identity_set(:a, :k, 'live', '{}');
PREPARE TRANSACTION 'identity';
SELECT pg_temp.who();
ROLLBACK PREPARED 'identity';

-- without a transaction block: for one statement
SELECT theazo_internal.identity_set(:a, :k, 'live', '{}');
SELECT pg_temp.who();

-- ROLLBACK TO brings back what was
BEGIN;
SELECT theazo_internal.identity_set(:a, :k, 'live', '{x}');
SAVEPOINT one;
SELECT theazo_internal.identity_set(:b, :k, 'live', '{y}');
SAVEPOINT two;
SELECT theazo_internal.identity_clear();
SELECT pg_temp.who();
ROLLBACK TO two;
SELECT pg_temp.who();
RELEASE two;
ROLLBACK TO one;
SELECT pg_temp.who();
SELECT theazo_internal.identity_narrow(:s, 'user');
SAVEPOINT three;
SAVEPOINT four;
SELECT theazo_internal.identity_set(:b, :k, 'live', '{z}');
RELEASE four;
SELECT pg_temp.who();
ROLLBACK TO three;
SELECT pg_temp.who();
ROLLBACK TO one;
SELECT pg_temp.who();
COMMIT;
SELECT pg_temp.who();

-- released subtransactions keep it, up to the top
BEGIN;
SAVEPOINT one;
SAVEPOINT two;
SELECT theazo_internal.identity_set(:a, :k, 'live', '{}');
RELEASE two;
RELEASE one;
SELECT pg_temp.who();
SAVEPOINT three;
SELECT theazo_internal.identity_clear();
SELECT 1 / 0;
ROLLBACK TO three;
SELECT pg_temp.who();
COMMIT;

-- an exception handler runs as who asked before
DO $$
BEGIN
	PERFORM theazo_internal.identity_set('plt_0000000000000000000000000A', 'key_0000000000000000000000000A', 'live', '{}');
	BEGIN
		PERFORM theazo_internal.identity_set('plt_0000000000000000000000000B', 'key_0000000000000000000000000A', 'live', '{}');
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		RAISE NOTICE 'handler: %', pg_temp.who();
	END;
	BEGIN
		PERFORM theazo_internal.identity_set('plt_0000000000000000000000000B', 'key_0000000000000000000000000A', 'live', '{}');
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	RAISE NOTICE 'after: %', pg_temp.who();
END $$;

-- a procedure that commits starts anew
DO $$
BEGIN
	PERFORM theazo_internal.identity_set('plt_0000000000000000000000000A', 'key_0000000000000000000000000A', 'live', '{}');
	COMMIT;
	RAISE NOTICE '%', pg_temp.who();
END $$;

-- narrowing goes one way
BEGIN;
SELECT theazo_internal.identity_narrow(:s, 'user');
ROLLBACK;
BEGIN;
SELECT theazo_internal.identity_set(:a, :k, 'live', '{}');
SELECT theazo_internal.identity_narrow(:s, 'user');
SELECT theazo_internal.identity_narrow(:s, 'user');
SELECT pg_temp.who();
SELECT theazo_internal.identity_narrow(:t, 'user');
ROLLBACK;

-- bad values
SELECT theazo_internal.identity_set(NULL, :k, 'live', '{}');
SELECT theazo_internal.identity_set('', :k, 'live', '{}');
SELECT theazo_internal.identity_set(:a, repeat('x', 41), 'live', '{}');
SELECT theazo_internal.identity_set(:a, :k, 'both', '{}');
SELECT theazo_internal.identity_set(:a, :k, 'live', (SELECT array_agg('s' || i) FROM generate_series(1, 65) i));
SELECT theazo_internal.identity_set(:a, :k, 'live', ARRAY[repeat('x', 3000)]);

-- by role: the outer user, directly, of an active platform
BEGIN;
CREATE ROLE regress_identity_bound;
CREATE ROLE regress_identity_member IN ROLE regress_identity_bound;
GRANT regress_identity_bound TO CURRENT_USER;
INSERT INTO theazo_data.platform (platform_id, name) VALUES (:a, 'a'), (:b, 'b');
INSERT INTO theazo_data.platform_role (platform_id, role_name, scopes, environment)
	VALUES (:a, 'regress_identity_bound', '{run:read}', 'test');
CREATE FUNCTION public.identity_who() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT concat_ws(' ', coalesce(theazo_internal.current_platform(), 'nobody'), theazo_internal.current_environment(),
		theazo_internal.current_scopes()::text, theazo_internal.current_actor_kind(), theazo_internal.current_actor())
$$;
GRANT EXECUTE ON FUNCTION public.identity_who() TO PUBLIC;
SAVEPOINT s;
SET ROLE regress_identity_bound;
SELECT public.identity_who();
RESET ROLE;
SET ROLE regress_identity_member;
SELECT public.identity_who();
RESET ROLE;
-- a key wins over the role, and nothing but the end of the transaction takes it back
SELECT theazo_internal.identity_set(:b, :k, 'live', '{}');
SET ROLE regress_identity_bound;
SELECT public.identity_who() <> 'nobody';
SELECT split_part(public.identity_who(), ' ', 1);
ROLLBACK TO s;
-- two bindings speak for none
INSERT INTO theazo_data.platform_role (platform_id, role_name) VALUES (:b, 'regress_identity_bound');
SET ROLE regress_identity_bound;
SELECT split_part(public.identity_who(), ' ', 1);
ROLLBACK TO s;
-- nor does a deleted platform
UPDATE theazo_data.platform SET state = 'deleted' WHERE platform_id = :a;
SET ROLE regress_identity_bound;
SELECT split_part(public.identity_who(), ' ', 1);
ROLLBACK TO s;
-- a binding that is rolled back is forgotten
DELETE FROM theazo_data.platform_role WHERE role_name = 'regress_identity_bound';
SAVEPOINT t;
INSERT INTO theazo_data.platform_role (platform_id, role_name) VALUES (:b, 'regress_identity_bound');
SET ROLE regress_identity_bound;
SELECT split_part(public.identity_who(), ' ', 1);
ROLLBACK TO t;
SET ROLE regress_identity_bound;
SELECT split_part(public.identity_who(), ' ', 1);
ROLLBACK;

-- nobody but the owners may say who asks
BEGIN;
CREATE ROLE regress_identity_none;
SET ROLE regress_identity_none;
SELECT theazo_internal.identity_set('plt_0000000000000000000000000A', NULL, 'live', '{}');
ROLLBACK;

-- identifiers
SELECT theazo_internal.id_new('ses') ~ '^ses_0[0-9A-HJKMNP-TV-Z]{25}$' AS form,
	abs(extract(epoch FROM theazo_internal.id_time(theazo_internal.id_new('x')) - clock_timestamp())) < 5 AS time;
SELECT count(DISTINCT theazo_internal.id_new('x')) FROM generate_series(1, 1000);
SELECT theazo_internal.id_floor('2016-07-30 22:36:16.385+00'), theazo_internal.id_floor('1970-01-01 00:00:00+00');
SELECT theazo_internal.id_time('01ARYZ6S410000000000000000') AT TIME ZONE 'UTC' AS time;
SELECT theazo_internal.id_root('ses_01ARYZ6S41ZZZZZZZZZZZZZZZZ'),
	theazo_internal.id_derive('chg', 'run_01ARYZ6S41ZZZZZZZZZZZZZZZZ', 'abc');
SELECT theazo_internal.id_floor('infinity');
SELECT theazo_internal.id_floor('1969-12-31 00:00:00+00');
SELECT theazo_internal.id_new('Not');
SELECT theazo_internal.id_new('');
SELECT theazo_internal.id_time('ses_nonsense');
SELECT theazo_internal.instance() = (SELECT system_identifier::text FROM pg_control_system()) || ':' ||
	(SELECT oid::text FROM pg_database WHERE datname = current_database()) AS instance;

-- keys
SELECT kind, k.key ~ ('^' || kind || '_[0-9A-Za-z]{43}$') AS form, k.prefix = left(k.key, 12) || '...' AS prefix,
	k.hash = sha256(k.key::bytea) AS hash
FROM unnest(ARRAY['th_live', 'th_test', 'tzk']) kind, LATERAL theazo_internal.api_key_make(kind) k;
SELECT theazo_internal.api_key_make('root');

-- last use, also from a transaction that writes nothing; within one statement, as the keeper empties the table too
BEGIN READ ONLY;
SELECT t.platform_id, t.key_id, now() - t.used_at < '1 minute' AS lately
FROM theazo_internal.key_touch(:a, 'key_0000000000000000000000000C') WITH ORDINALITY touched (x, n),
	LATERAL (SELECT * FROM theazo_internal.keys_touched() WHERE n = 1) t WHERE t.key_id = 'key_0000000000000000000000000C';
ROLLBACK;
SELECT count(*) FROM theazo_internal.keys_touched() WHERE key_id = 'key_0000000000000000000000000C';
DO $$
BEGIN
	FOR i IN 1 .. 3000 LOOP
		PERFORM theazo_internal.key_touch('p', 'k' || i);
	END LOOP;
	ASSERT (SELECT count(*) FROM theazo_internal.keys_touched()) <= 1024;
END $$;
SELECT theazo_internal.key_touch('', 'k');

-- events are guarded by a trigger function that does nothing but refuse
SELECT theazo_internal.event_guard();
CREATE TEMP TABLE guarded (x int);
INSERT INTO guarded VALUES (1);
CREATE TRIGGER guard_row BEFORE UPDATE OR DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION theazo_internal.event_guard();
CREATE TRIGGER guard_all BEFORE TRUNCATE ON guarded EXECUTE FUNCTION theazo_internal.event_guard();
\set VERBOSITY default
UPDATE guarded SET x = 2;
\set VERBOSITY terse
DELETE FROM guarded;
TRUNCATE guarded;
SELECT * FROM guarded;
