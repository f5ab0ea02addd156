\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
-- What C offers to SQL, called by hand: whoever may name a function may give it anything, and C that trusts its callers
-- takes the server down with them.

-- every function, with nulls alone and with all but one of them; an error of an application is an answer, an internal one is not
CREATE TABLE tst.called (call text, answer text);
CREATE FUNCTION tst.call_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	f		record;
	args	text;
BEGIN
	FOR f IN
		SELECT p.pronargs, p.prokind, format('%I.%I', n.nspname, p.proname) AS name, p.proargtypes::oid[] AS types, p.proargnames AS names
		  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
		  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'theazo'
		 WHERE l.lanname = 'c' AND p.prorettype <> 'trigger'::regtype
		 ORDER BY p.oid::regprocedure::text
	LOOP
		FOR i IN 0 .. f.pronargs LOOP
			SELECT coalesce(string_agg(CASE
					   WHEN i = 0 OR t.ord = i THEN format('NULL::%s', t.type)
					   WHEN t.type = 'text' AND f.names[t.ord] ~ 'root$' THEN quote_literal('01ARZ3NDEKTSV4RRFFQ69G5FAV')
					   WHEN t.type = 'text' THEN quote_literal('tst_01ARZ3NDEKTSV4RRFFQ69G5FAV')
					   WHEN t.type = 'text[]' THEN 'ARRAY[''x'']'
					   WHEN t.type = 'jsonb' THEN '''{}''::jsonb'
					   WHEN t.type = 'boolean' THEN 'true'
					   WHEN t.type = 'bytea' THEN '''x''::bytea'
					   WHEN t.type = 'timestamp with time zone' THEN 'now()'
					   WHEN t.type = 'interval' THEN '''1 ms''::interval'
					   WHEN t.type LIKE 'theazo_data.%' THEN format('jsonb_populate_record(NULL::%s, ''{}'')', t.type)
					   ELSE format('1::%s', t.type) END, ', ' ORDER BY t.ord), '')
			  INTO args FROM (SELECT u.type::regtype::text, u.ord FROM unnest(f.types) WITH ORDINALITY AS u(type, ord)) t;
			DECLARE
				call	text := format('%s %s(%s)', CASE f.prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT * FROM' END, f.name, args);
			BEGIN
				-- should it be the last thing this server does, the log says what it was
				RAISE LOG 'calling by hand: %', call;
				INSERT INTO tst.called VALUES (call, tst.code(call));
			END;
		END LOOP;
	END LOOP;
END $$;
BEGIN;
SELECT tst.call_all();
SELECT count(*) > 300 FROM tst.called;
SELECT call, answer FROM tst.called WHERE answer LIKE 'XX%' OR answer LIKE '42%' AND answer <> '42501';
ROLLBACK;
-- procedures, where they may commit
\set VERBOSITY terse
\set ECHO none
SELECT format('CALL theazo.%I(%s)', p.proname, (SELECT string_agg(format('NULL::%s', t::regtype), ', ') FROM unnest(p.proargtypes) t))
  FROM pg_proc p WHERE p.pronamespace = 'theazo'::regnamespace AND p.prokind = 'p' ORDER BY p.proname \gexec
\set ECHO all
-- the same as an application: everything it may name, and nothing else
BEGIN;
GRANT ALL ON tst.called TO theazo_app;
SET LOCAL ROLE theazo_app;
SELECT tst.call_all();
SELECT count(*) > 300 FROM tst.called;
SELECT answer, count(*) FROM tst.called WHERE call LIKE '% theazo_internal.%' AND answer <> '42501' GROUP BY 1;
SELECT call, answer FROM tst.called WHERE answer LIKE 'XX%';
ROLLBACK;

-- rows that are replaced without a statement keep what the table demands of them, and the message is a statement's
SELECT platform AS p FROM tst.platform('By hand') \gset
BEGIN;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') AS e \gset
SELECT substr(:'e', 5) AS root \gset
SELECT tst.code(format('SELECT theazo_internal.effect_end(%L, %L, %L, %L, now(), NULL, NULL)', :'p', :'root', :'e', 'perhaps'));
SELECT tst.code(format('SELECT theazo_internal.effect_end(%L, %L, %L, NULL, now(), NULL, NULL)', :'p', :'root', :'e'));
SELECT state FROM theazo_data.effect WHERE id = :'e';
SELECT theazo_internal.effect_end(:'p', :'root', :'e', 'failed', now(), 'c', 'm');
SELECT state, error_code, error_message FROM theazo_data.effect WHERE id = :'e';
SELECT theazo_internal.step_append(:'p', :'root', 1, 1, 'model', 'queued', 'n', NULL, NULL, NULL, NULL, now(), NULL, NULL, NULL);
SELECT tst.code(format('SELECT theazo_internal.step_close(%L, %L, 1, %L, 1, 1, 1, 1, 1, 1, false, NULL, NULL, now(), now(), NULL, NULL)', :'p', :'root', 'perhaps'));
SELECT tst.code(format('SELECT theazo_internal.step_close(%L, %L, 1, NULL, 1, 1, 1, 1, 1, 1, false, NULL, NULL, now(), now(), NULL, NULL)', :'p', :'root'));
SELECT theazo_internal.step_close(:'p', :'root', 1, 'done', 1, 1, 1, 1, 1, 1, false, NULL, NULL, now(), now(), NULL, NULL);
SELECT tst.code(format('SELECT theazo_internal.step_close(%L, %L, 1, %L, 9223372036854775807, 1, 1, 1, 1, 1, false, NULL, NULL, now(), now(), NULL, NULL)', :'p', :'root', 'done'));
SELECT state, input_tokens, cost FROM theazo_data.step WHERE platform_id = :'p';
ROLLBACK;

-- an index that somebody adds is not taken for the one that leads to what is due
BEGIN;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop', p_affinity => 93) AS e \gset
CREATE FUNCTION tst.own_indexes(p_effect text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE part regclass := (SELECT tableoid FROM theazo_data.effect WHERE id = p_effect);
BEGIN
	EXECUTE format('CREATE INDEX ON %s (platform_id, due_at) WHERE state = ''failed''', part);
	EXECUTE format('CREATE INDEX ON %s (due_at, provider_name) WHERE state = ''failed''', part);
END $$;
SELECT tst.own_indexes(:'e');
SELECT count(*) FROM theazo_internal.effect_claim(93, 7, 10, '60 s') WHERE id = :'e';
ROLLBACK;

-- an effect is held with its agent, also where only a statement can look for it
SELECT (theazo.api_key_create('live', platform => :'p')).key AS k \gset
BEGIN;
SELECT (theazo.agent_create((theazo.session_create('u', api_key => :'k')).id, api_key => :'k')).id AS a \gset
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop', p_agent => :'a') AS e \gset
CREATE FUNCTION tst.same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE FUNCTION tst.trouble(p_effect text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER same BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION tst.same()',
		(SELECT tableoid::regclass FROM theazo_data.effect WHERE id = p_effect));
END $$;
SELECT tst.trouble(:'e');
SAVEPOINT before;
SELECT xmax::text AS x FROM theazo_data.agent WHERE id = :'a' \gset
SELECT (theazo_internal.effect_hold(:'p', substr(:'e', 5), :'e')).state;
SELECT xmax::text <> :'x' AS agent_locked FROM theazo_data.agent WHERE id = :'a';
ROLLBACK;

-- a function that somebody declared anew with another result is told as such, not as a fault of the server
BEGIN;
CREATE FUNCTION tst.queue() RETURNS text LANGUAGE c AS 'theazo', 'theazo_effect_queue';
SELECT tst.code('SELECT tst.queue()');
CREATE FUNCTION tst.take(text[], int, int, timestamptz, interval, int, bigint, text[], text[]) RETURNS text LANGUAGE c AS 'theazo', 'theazo_effect_take';
SELECT tst.code('SELECT tst.take(''{}'', 1, 1, now(), ''1 s'', 0, 1, ''{}'', ''{}'')');
ROLLBACK;
