\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
-- Row-level security seen from below: as theazo_owner, which every public function is. For each table of the
-- catalog: are there rows, and can one be seen that is not the caller's? All in one transaction that is rolled back.

-- something in every table, for one platform and environment: two sessions
CREATE FUNCTION tst.fill(key text, OUT s1 text, OUT s2 text, OUT run text) LANGUAGE plpgsql AS $$
DECLARE a text; s text; ex record;
BEGIN
	PERFORM theazo.authenticate(key);
	-- what the platform shares is changed with a live key only
	IF theazo_internal.current_environment() = 'live' THEN
		PERFORM theazo.definition_create('d', '{}');
		PERFORM theazo.secret_set('platform', 'v');
		PERFORM theazo.provider_set('p', endpoint => 'https://p.example', credential_ref => 'platform');
		PERFORM theazo.provider_set('m', 'model', endpoint => 'https://m.example');
		PERFORM theazo_internal.model_health(jsonb_build_object('owner', theazo_internal.current_platform(), 'provider', 'm'), false, 'transient');
		PERFORM theazo.model_price_set('m', 1, 1, platform => theazo_internal.current_platform());
		PERFORM theazo.rate_limit_set('agent', 1000, 100);
		INSERT INTO theazo_data.tool (platform_id, name, description, parameters, type) VALUES (theazo_internal.current_platform(), 't', 'd', '{}', 'webhook');
		PERFORM theazo.permission_rule_set('deny', tool => 'nothing');
		PERFORM theazo.flow_label_set('secret', 'tool', 'nothing');
		PERFORM theazo.flow_rule_set('secret', 'tool', 'nothing');
		PERFORM theazo.platform_policy_set(max_memory_mb => 2048);
		PERFORM theazo.guardrails_set('{"blockPII": false}');
		INSERT INTO theazo_data.compute_sweep (platform_id, provider_name, adapter) VALUES (theazo_internal.current_platform(), 'p', 'webhook');
		PERFORM theazo_internal.expiry_note(theazo_internal.current_platform(), 'execution', 'epoch', '2001-01-01', 1, 1);
		PERFORM theazo.safety_pattern_set('own', 'xyzzy', 'abuse');
		PERFORM theazo.safety_ai_set('moderation', endpoint => 'https://judge.example/v1/moderations');
	END IF;
	PERFORM theazo.webhook_create('https://w.example/', '{*}');
	PERFORM theazo.schedule_run((theazo.schedule_create('s', 'r', '@daily', 'scheduled')).id);
	PERFORM theazo.trigger_create('t', 'r', 'scheduled');
	s1 := (theazo.session_create('u1')).id;
	s2 := (theazo.session_create('u2')).id;
	FOREACH s IN ARRAY ARRAY[s1, s2] LOOP
		PERFORM theazo.secret_set('own', 'v', s);
		a := (theazo.agent_create(s)).id;
		SELECT id INTO run FROM theazo.exec_start(a, 'python', 'print(1)', idempotency_key => 'i' || s);
		PERFORM theazo_internal.verdict_write(r, '{"stage": "input", "status": "passed"}') FROM theazo_data.run r WHERE r.id = run;
		PERFORM theazo_internal.log_write(theazo_internal.current_platform(), NULL, 'info', 'system', 'm', theazo_internal.current_environment(), s, a, run);
		PERFORM theazo_internal.span_write(theazo_internal.current_platform(), theazo_internal.id_root(run), theazo_internal.id_new('tr'), theazo_internal.id_new('tr'),
			NULL, theazo_internal.current_environment(), s, a, run, 'n', 'running', now(), NULL);
		PERFORM theazo_internal.charge_write(theazo_internal.current_platform(), theazo_internal.id_root(run), theazo_internal.id_new('chg'),
			theazo_internal.current_environment(), s, a, run, 'u', NULL, NULL, 'agent.fee', 1, 2000000, 'theazo', 'p');
		PERFORM theazo_internal.progress_set(r, 50, 'half') FROM theazo_data.run r WHERE r.id = run;
		PERFORM theazo_internal.sample_keep(x, '{"cpu_percent": 1}', now()) FROM theazo_data.sandbox x WHERE x.agent_id = a;
		PERFORM theazo.agent_send(a, 'note', 'text');
		PERFORM theazo.budget_set(100000);
		INSERT INTO theazo_data.budget_fired (platform_id, environment, level, subject, period, threshold)
		VALUES (theazo_internal.current_platform(), theazo_internal.current_environment(), 'user', 'u' || s, '2026-01', 1);
		INSERT INTO theazo_data.spend (platform_id, environment, level, subject, period, used)
		VALUES (theazo_internal.current_platform(), theazo_internal.current_environment(), 'session', s, '2026-01', 1);
		INSERT INTO theazo_data.reservation (platform_id, id, environment, session_id, user_id, agent_id, held)
		VALUES (theazo_internal.current_platform(), run, theazo_internal.current_environment(), s, 'u', a, 1);
		INSERT INTO theazo_data.limit_hit (platform_id, id, session_id, rule) VALUES (theazo_internal.current_platform(), theazo_internal.id_new('hit'), s, 'limit:maxCost');
		INSERT INTO theazo_data.rest_reply (platform_id, environment, session_id, key, request_hash)
		VALUES (theazo_internal.current_platform(), theazo_internal.current_environment(), s, 'k', '');
		PERFORM theazo.agent_context_set(a, 'k', '1');
		PERFORM theazo.governed_register('g' || s, 'return 1', session => s);
		SELECT x.execution_id AS number, x.run_id INTO ex FROM theazo.execution_start('g' || s) x;
		INSERT INTO theazo_data.governed_session (platform_id, environment, session_id)
		VALUES (theazo_internal.current_platform(), theazo_internal.current_environment(), s) ON CONFLICT DO NOTHING;
		INSERT INTO theazo_data.host_call (platform_id, root_id, call, agent_id, session_id, environment, fn, args_summary, allowed, counted, occurred_at)
		SELECT x.platform_id, theazo_internal.id_root(x.run_id), 1, x.agent_id, x.session_id, x.environment, 'f', '', true, true, now()
		  FROM theazo_data.execution x WHERE x.number = ex.number;
		INSERT INTO theazo_data.attestation (platform_id, number, id, agent_id, session_id, environment, statement, key_id, signature)
		SELECT x.platform_id, x.number, 'att_' || x.number, x.agent_id, x.session_id, x.environment, '{}', theazo_internal.id_new('aky'), decode(repeat('00', 64), 'hex')
		  FROM theazo_data.execution x WHERE x.number = ex.number;
		PERFORM theazo.permission_request_create(a, '{"allow_network": true}', 'to look something up');
		WITH x AS (
			INSERT INTO theazo_data.approval (platform_id, id, session_id, agent_id, user_id, environment, run_id, step_seq, action, params, params_hash,
				tool_hash, policy_version, requesters, requested_at, expires_at, default_action, instance)
			VALUES (theazo_internal.current_platform(), theazo_internal.id_new('apr'), s, a, 'u', theazo_internal.current_environment(), run, 1, 't', '{}',
				sha256(''), sha256(''), 'v', '{}', now(), now() + '1 hour'::interval, 'deny', 'i') RETURNING *)
		INSERT INTO theazo_data.approval_vote (platform_id, approval_id, voter, voted_by, verdict, params_hash, voted_at, session_id, environment)
		SELECT x.platform_id, x.id, 'key:k', 'k', 'approve', x.params_hash, now(), x.session_id, x.environment FROM x;
		INSERT INTO theazo_data.step_payload (platform_id, root_id, seq, output)
		SELECT theazo_internal.current_platform(), theazo_internal.id_root(r.id), 1, 'o' FROM theazo.session_run(s, NULL, 'task', '{"model":"m"}') r;
		INSERT INTO theazo_data.secret_delivered (platform_id, sandbox_id, session_id, name, version, master_key_id, salt, sealed)
		SELECT x.platform_id, (SELECT b.id FROM theazo_data.sandbox b WHERE b.agent_id = a), s, x.name, x.version, x.master_key_id, x.salt, x.sealed
		  FROM theazo_data.secret x WHERE x.session_id = s;
		INSERT INTO theazo_data.snapshot (platform_id, id, session_id, agent_id, user_id, environment, origin, status, provider)
		VALUES (theazo_internal.current_platform(), theazo_internal.id_new('snap'), s, a, 'u', theazo_internal.current_environment(), 'checkpoint', 'empty', 'p');
		INSERT INTO theazo_data.artifact (platform_id, root_id, session_id, user_id, environment, size_bytes)
		VALUES (theazo_internal.current_platform(), theazo_internal.id_root(run), s, 'u', theazo_internal.current_environment(), 1);
		INSERT INTO theazo_data.artifact_account (platform_id, session_id, billed_until) VALUES (theazo_internal.current_platform(), s, now());
		INSERT INTO theazo_data.snapshot_content (platform_id, id, session_id, environment, content)
		SELECT x.platform_id, x.id, s, x.environment, '' FROM theazo_data.snapshot x WHERE x.agent_id = a;
		INSERT INTO theazo_data.checkpoint (platform_id, id, session_id, agent_id, environment, snapshot_id)
		SELECT x.platform_id, theazo_internal.id_new('ckpt'), s, a, x.environment, x.id FROM theazo_data.snapshot x WHERE x.agent_id = a;
		PERFORM theazo.kill(run, 'enough');
	END LOOP;
END $$;

-- per table: rows seen, rows of another platform, of another environment, of another session
CREATE FUNCTION tst.seen(OUT tab name, OUT seen bigint, OUT foreign_platform bigint, OUT foreign_environment bigint, OUT foreign_session bigint)
RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	env text; ses text;
BEGIN
	FOR tab IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = 'theazo_data' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
	LOOP
		SELECT a.attname INTO env FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		 WHERE n.nspname = 'theazo_data' AND c.relname = tab AND a.attname IN ('environment', 'key_environment') ORDER BY a.attname DESC LIMIT 1;
		SELECT CASE WHEN tab = 'session' THEN 'id' ELSE a.attname END INTO ses FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		 WHERE n.nspname = 'theazo_data' AND c.relname = tab AND (a.attname = 'session_id' OR tab = 'session' AND a.attname = 'id') LIMIT 1;
		EXECUTE format('SELECT count(*), count(*) FILTER (WHERE platform_id IS DISTINCT FROM %L), count(*) FILTER (WHERE %s IS DISTINCT FROM %L), count(*) FILTER (WHERE %s IS DISTINCT FROM %L) FROM theazo_data.%I',
			theazo_internal.current_platform(), coalesce(env, quote_nullable(theazo_internal.current_environment())), theazo_internal.current_environment(),
			CASE WHEN theazo_internal.current_session() IS NULL THEN 'NULL' ELSE coalesce(ses, quote_literal(theazo_internal.current_session())) END, theazo_internal.current_session(), tab)
		   INTO seen, foreign_platform, foreign_environment, foreign_session;
		RETURN NEXT;
	END LOOP;
END $$;
-- may the caller write into another platform, environment or session?
CREATE FUNCTION tst.writes(victim text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE t name; n bigint;
BEGIN
	FOR t IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			  WHERE n.nspname = 'theazo_data' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relowner <> 'theazo_guard'::regrole ORDER BY 1
	LOOP
		EXECUTE format('UPDATE theazo_data.%I SET platform_id = platform_id WHERE platform_id = %L', t, victim);
		GET DIAGNOSTICS n = ROW_COUNT;
		IF n > 0 THEN RETURN NEXT t || ' updated'; END IF;
		EXECUTE format('DELETE FROM theazo_data.%I WHERE platform_id = %L', t, victim);
		GET DIAGNOSTICS n = ROW_COUNT;
		IF n > 0 THEN RETURN NEXT t || ' deleted'; END IF;
		-- moving a row of one's own there
		BEGIN
			EXECUTE format('UPDATE theazo_data.%I SET platform_id = %L', t, victim);
			GET DIAGNOSTICS n = ROW_COUNT;
			IF n > 0 THEN RETURN NEXT t || ' moved'; END IF;
		EXCEPTION WHEN insufficient_privilege THEN NULL;
		END;
	END LOOP;
END $$;

BEGIN;
SELECT platform AS pa, live AS ka, test AS ta FROM tst.platform('A') \gset
SELECT platform AS pb, live AS kb, test AS tb FROM tst.platform('B') \gset
SELECT theazo.price_set('agent.fee', 3) IS NOT NULL;
SELECT s1 AS a1, s2 AS a2, run AS ar FROM tst.fill(:'ka') \gset
SELECT s1 AS at1 FROM tst.fill(:'ta') \gset
SELECT s1 AS b1, run AS br FROM tst.fill(:'kb') \gset
-- seen without policies, so that nothing below is empty by accident (the keeper fills the tables of the audit trail)
SELECT string_agg(tab, ' ' ORDER BY tab) AS empty_tables FROM tst.seen() WHERE seen = 0 AND tab NOT IN ('preflight', 'platform_role', 'master_key', 'vault_rotation', 'halt_drill') AND tab !~ '^(anchor|audit_|seal|tree_node)';

SET ROLE theazo_owner;
\echo -- as platform A, live
SELECT theazo.authenticate(:'ka') IS NULL AS x \gset
SELECT string_agg(tab, ' ' ORDER BY tab) FROM tst.seen() WHERE seen > 0;
SELECT (SELECT count(*) FROM theazo_data.session), (SELECT count(*) FROM theazo_data.agent), (SELECT count(*) FROM theazo_data.secret);
SELECT tab FROM tst.seen() WHERE foreign_platform > 0 AND tab <> 'price' OR foreign_environment > 0 AND tab <> 'api_key' OR foreign_session > 0;
\echo -- as platform A, test
SELECT theazo.authenticate(:'ta') IS NULL AS x \gset
SELECT string_agg(tab, ' ' ORDER BY tab) FROM tst.seen() WHERE seen > 0;
SELECT (SELECT count(*) FROM theazo_data.session), (SELECT count(*) FROM theazo_data.agent), (SELECT count(*) FROM theazo_data.secret);
SELECT tab FROM tst.seen() WHERE foreign_platform > 0 AND tab <> 'price' OR foreign_environment > 0 OR foreign_session > 0;
\echo -- as one session of platform A
SELECT theazo.authenticate(:'ka') IS NULL AS x \gset
SELECT (theazo.act_as(:'a1')).id = :'a1';
SELECT string_agg(tab, ' ' ORDER BY tab) FROM tst.seen() WHERE seen > 0;
SELECT (SELECT count(*) FROM theazo_data.session), (SELECT count(*) FROM theazo_data.agent), (SELECT count(*) FROM theazo_data.secret);
SELECT tab FROM tst.seen() WHERE foreign_platform > 0 AND tab <> 'price' OR foreign_environment > 0 OR foreign_session > 0;
\echo -- as nobody
SELECT theazo_internal.identity_clear() IS NULL AS x \gset
SELECT * FROM tst.seen() WHERE seen > 0 AND tab <> 'price';

-- partitions addressed directly show nothing to anybody under policies
SELECT theazo.authenticate(:'ka') IS NULL AS x \gset
SELECT count(*) > 0 FROM theazo_data.run;
SELECT (SELECT count(*) FROM theazo_data.run_default), (SELECT count(*) FROM theazo_data.effect_default), (SELECT count(*) FROM theazo_data.charge_default),
	   (SELECT count(*) FROM theazo_data.log_default), (SELECT count(*) FROM theazo_data.run_payload_default);

-- writing across
SELECT * FROM tst.writes(:'pb');
SELECT tst.try(format($$INSERT INTO theazo_data.session (platform_id, id, user_id, environment) VALUES (%L, theazo_internal.id_new('ses'), 'u', 'production')$$, :'pb'));
SELECT tst.try(format($$INSERT INTO theazo_data.session (platform_id, id, user_id, environment, key_environment) VALUES (%L, theazo_internal.id_new('ses'), 'u', 'production', 'test')$$, :'pa'));
SELECT tst.try(format($$INSERT INTO theazo_data.event SELECT * FROM theazo_data.event WHERE platform_id = %L$$, :'pa'));
SELECT tst.try($$DELETE FROM theazo_data.event$$);
SELECT (theazo.act_as(:'a1')).id = :'a1';
SELECT tst.try(format($$INSERT INTO theazo_data.agent (platform_id, id, session_id, user_id, key_environment, provider, model) VALUES (%L, theazo_internal.id_new('agt'), %L, 'u', 'live', 'p', 'm')$$, :'pa', :'a2'));
SELECT tst.try(format($$INSERT INTO theazo_data.api_key (platform_id, id, name, environment, kind, prefix, key_hash) VALUES (%L, theazo_internal.id_new('key'), 'x', 'live', 'tzk', 'p', sha256(''))$$, :'pa'));
SELECT tst.try(format($$INSERT INTO theazo_data.secret (platform_id, session_id, name, version, master_key_id, salt, sealed) VALUES (%L, %L, 'x', 1, 'k', '', '')$$, :'pa', :'a2'));
SELECT tst.try(format($$INSERT INTO theazo_data.secret (platform_id, session_id, name, version, master_key_id, salt, sealed) VALUES (%L, '', 'x', 1, 'k', '', '')$$, :'pa'));
-- policies cannot be switched off from here
SET LOCAL row_security = off;
SELECT tst.try('SELECT count(*) FROM theazo_data.session');
SET LOCAL row_security = on;
RESET ROLE;

-- joins that would tell of foreign rows: the views are barriers
SET ROLE theazo_app;
CREATE FUNCTION pg_temp.peek(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE WARNING 'saw %', tst.mask($1); RETURN true; END $$;
SELECT theazo.authenticate(:'kb') IS NULL AS x \gset
SELECT (theazo.act_as(:'b1')).id = :'b1';
SELECT count(*) FROM theazo.sessions WHERE pg_temp.peek(id);
RESET ROLE;
ROLLBACK;

-- scopes hold for views: each shows its rows with the scope of its area, and nothing without
BEGIN;
SELECT platform AS pa, live AS ka FROM tst.platform('Scopes of views') \gset
SELECT s1 FROM tst.fill(:'ka') \gset
SELECT key AS kf FROM theazo.api_key_create('files only', scopes => '{file:read,run:write}') \gset
CREATE FUNCTION tst.agent_of(ses text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT id FROM theazo_data.agent WHERE session_id = ses $$;
CREATE FUNCTION tst.rows(key text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE v name; n bigint;
BEGIN
	PERFORM theazo.authenticate(key);
	FOR v IN SELECT relname FROM pg_class WHERE relnamespace = 'theazo'::regnamespace AND relkind = 'v'
				AND has_table_privilege('theazo_app', oid, 'SELECT') ORDER BY 1
	LOOP
		EXECUTE format('SELECT count(*) FROM theazo.%I', v) INTO n;
		IF n > 0 THEN RETURN NEXT v; END IF;
	END LOOP;
END $$;
CREATE TEMP TABLE area_key AS SELECT area, (theazo.api_key_create(area, scopes => ARRAY[area || CASE WHEN area < 'l' THEN ':read' ELSE ':*' END])).key
	FROM unnest('{agent,definition,event,key,log,permission,platform,provider,run,secret,session,usage}'::text[]) area;
GRANT SELECT ON area_key TO theazo_app;
-- something in the ledger as well
SELECT theazo_internal.fee_write(:'pa', 'agent.fee', a.id, 'live', a.session_id, a.id, NULL, 'u', 'p') FROM theazo.agents a WHERE a.session_id = :'s1';
SET LOCAL ROLE theazo_app;
SELECT count(*) FROM tst.rows(:'kf');
SELECT area, (SELECT string_agg(r, ' ') FROM tst.rows(key) r) FROM area_key ORDER BY area;
SELECT string_agg(r, ' ') FROM tst.rows(:'ka') r;
-- functions return what they made though the caller could not read it
SELECT theazo.authenticate(:'kf');
SELECT tst.code(format('SELECT theazo.session_get(%L)', :'s1'));
SELECT kind FROM theazo.file_list_start((SELECT id FROM tst.agent_of(:'s1') id));
RESET ROLE;
ROLLBACK;
DROP FUNCTION tst.fill, tst.seen, tst.writes;

-- Code of a table's owner that maintenance runs in somebody else's session does not ask in their name: not as the
-- operator, not by the session's role, not by its key, and it cannot replace who asks.
CREATE ROLE reg_thief;
CREATE ROLE reg_victim;
GRANT theazo_app TO reg_thief, reg_victim;
GRANT reg_thief TO reg_victim;
SELECT platform AS pt, live AS kt FROM tst.platform('Thief') \gset
SELECT platform AS pv, live AS kv FROM tst.platform('Victim') \gset
SELECT role_name FROM theazo.platform_bind_role(:'pv', 'reg_victim');
SELECT id AS sv FROM theazo.session_create('seen by nobody else', api_key => :'kv') \gset
CREATE SCHEMA thief AUTHORIZATION reg_thief;
SET ROLE reg_thief;
CREATE TABLE thief.loot (what text, got text);
CREATE TABLE thief.bait AS SELECT 1 AS x;
CREATE TABLE thief.keys AS SELECT :'pv'::text AS pv, :'kt'::text AS kt;
CREATE FUNCTION thief.take(what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE got text;
BEGIN
	CASE what
		WHEN 'operator' THEN SELECT 'a key' INTO got FROM theazo.api_key_create('stolen', platform => (SELECT pv FROM thief.keys));
		WHEN 'role' THEN SELECT user_id INTO got FROM theazo.session_list();
		WHEN 'views' THEN SELECT count(*) || ' sessions' INTO got FROM theazo.sessions;
		WHEN 'vault' THEN SELECT theazo.vault_status() #>> '{keys,0,source}' INTO got;
		WHEN 'key' THEN PERFORM theazo.authenticate((SELECT kt FROM thief.keys)); got := 'authenticated';
	END CASE;
	INSERT INTO thief.loot VALUES (what, coalesce(got, 'nothing'));
EXCEPTION WHEN OTHERS THEN
	INSERT INTO thief.loot VALUES (what, SQLSTATE);
END $$;
CREATE FUNCTION thief.trap(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x; END $$;
CREATE INDEX ON thief.bait (thief.trap(x));
CREATE OR REPLACE FUNCTION thief.trap(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM thief.take(w) FROM unnest('{operator,role,views,vault,key}'::text[]) w;
	RETURN x;
END $$;
RESET ROLE;
-- as the superuser, as autovacuum would; then as a platform's role, and with its key
ANALYZE thief.bait;
SELECT DISTINCT what, got FROM thief.loot ORDER BY 1;
TRUNCATE thief.loot;
SET ROLE reg_victim;
ANALYZE thief.bait;
SELECT DISTINCT what, got FROM thief.loot ORDER BY 1;
TRUNCATE thief.loot;
RESET ROLE;
BEGIN;
SELECT theazo.authenticate(:'kv');
ANALYZE thief.bait;
SELECT DISTINCT what, got FROM thief.loot ORDER BY 1;
-- and the session asks as before
SELECT user_id FROM theazo.session_list();
ROLLBACK;
-- what a role keeps of its own it may refresh
CREATE SCHEMA victim AUTHORIZATION reg_victim;
SET ROLE reg_victim;
CREATE MATERIALIZED VIEW victim.mine AS SELECT user_id FROM theazo.sessions;
REFRESH MATERIALIZED VIEW victim.mine;
SELECT * FROM victim.mine;
RESET ROLE;
REFRESH MATERIALIZED VIEW victim.mine;
SELECT * FROM victim.mine;
SELECT role_name FROM theazo.platform_unbind_role(:'pv', 'reg_victim');
SET client_min_messages = error;
DROP SCHEMA thief, victim CASCADE;
DROP OWNED BY reg_thief, reg_victim CASCADE;
DROP ROLE reg_thief, reg_victim;
RESET client_min_messages;
