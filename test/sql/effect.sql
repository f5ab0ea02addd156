\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Effects') \gset
SELECT platform AS p2 FROM tst.platform('Effects, other') \gset
SELECT set_config('tst.p', :'p', false) \gset

-- what may be done when an outcome is unknown
SELECT adapter, kind, contract, recovery FROM theazo_internal.effect_kinds() ORDER BY 1, 2;
SELECT theazo_internal.effect_recovery('webhook', 'compute.exec'), theazo_internal.effect_recovery('nobody', 'knows.this');

-- enqueue, claim, done
BEGIN;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') AS e \gset
SELECT state, attempt, root_id = substr(:'e', 5), instance = theazo_internal.instance() FROM theazo_data.effect WHERE id = :'e';
SELECT count(*) FROM theazo_data.effect_payload WHERE id = :'e';
SELECT theazo_internal.effect_next_due(0) <= now();
SELECT * FROM tst.claim();
SELECT state, attempt, incarnation, lease_until > clock_timestamp() FROM theazo_data.effect WHERE id = :'e';
SELECT * FROM tst.claim();
SELECT theazo_internal.effect_next_due(0);
-- a late answer of another attempt counts for nothing; the right one counts once
SELECT theazo_internal.effect_done(ARRAY[:'p'], ARRAY[substr(:'e', 5)], ARRAY[:'e'], ARRAY[2], '{done}', ARRAY['{}'::jsonb], ARRAY[NULL::bytea], ARRAY[now()], ARRAY[now()]);
SELECT theazo_internal.effect_done(ARRAY[:'p'], ARRAY[substr(:'e', 5)], ARRAY[:'e'], ARRAY[1], '{done}', ARRAY['{}'::jsonb], ARRAY[NULL::bytea], ARRAY[now()], ARRAY[now()]);
SELECT theazo_internal.effect_done(ARRAY[:'p'], ARRAY[substr(:'e', 5)], ARRAY[:'e'], ARRAY[1], '{failed}', ARRAY['{}'::jsonb], ARRAY[NULL::bytea], ARRAY[now()], ARRAY[now()]);
SELECT state, finished_at IS NOT NULL FROM theazo_data.effect WHERE id = :'e';
SELECT theazo_internal.effect_done('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
SELECT tst.try(format($$SELECT theazo_internal.effect_settle(%L, %L, %L, 1, 'perhaps', '{}', NULL, NULL, NULL)$$, :'p', substr(:'e', 5), :'e'));
ROLLBACK;

-- a plain call is settled as one of many, its answer stays with it; what a model would be asked is not made for it
BEGIN;
SET LOCAL track_functions = 'all';
SELECT CASE WHEN theazo_internal.gate('http.get', :'p', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NULL THEN theazo_internal.effect_enqueue(:'p', NULL, 'http.get', 'http', '{"url": "https://example.com/"}') END AS h \gset
SELECT * FROM tst.claim();
SELECT request, endpoint, needs_secrets FROM tst.claimed WHERE id = :'h';
SELECT theazo_internal.effect_done(ARRAY[:'p'], ARRAY[substr(:'h', 5)], ARRAY[:'h'], ARRAY[2], '{done}', ARRAY['{"status": 200}'::jsonb], ARRAY[NULL::bytea], ARRAY[now()], ARRAY[now()]);
SELECT theazo_internal.effect_done(ARRAY[:'p'], ARRAY[substr(:'h', 5)], ARRAY[:'h'], ARRAY[1], '{done}', ARRAY['{"status": 200}'::jsonb], ARRAY[NULL::bytea], ARRAY[now()], ARRAY[now()]);
SELECT e.state, e.finished_at IS NOT NULL, x.result FROM theazo_data.effect e JOIN theazo_data.effect_payload x USING (platform_id, root_id, id) WHERE e.id = :'h';
SELECT funcname, calls FROM pg_stat_xact_user_functions WHERE funcname IN ('effect_claim', 'effect_done', 'model_request', 'model_endpoint') ORDER BY 1;
ROLLBACK;

-- many at once
BEGIN;
SELECT cardinality(theazo_internal.effect_enqueue_many(:'p', 'probe.noop', 'noop', array_fill(NULL::jsonb, ARRAY[250])));
SELECT count(*) FROM tst.claim(p_max => 100);
SELECT tst.settle('probe.noop', 'done');
SELECT count(*) FROM tst.claim(p_max => 0);
SELECT count(*) FROM tst.claim(p_max => 1000);
ROLLBACK;

-- fair: 10,000 of one platform do not starve one of another
BEGIN;
SELECT cardinality(theazo_internal.effect_enqueue_many(:'p', 'probe.noop', 'noop', array_fill(NULL::jsonb, ARRAY[10000])));
SELECT theazo_internal.effect_enqueue(:'p2', NULL, 'probe.noop', 'noop') IS NOT NULL;
SELECT count(*) FROM tst.claim();
SELECT platform_id = :'p2', count(*) FROM tst.claimed GROUP BY 1 ORDER BY 1;
-- what one platform leaves of its share goes to the others
SELECT count(*) FROM tst.claim();
ROLLBACK;

-- who may take what: affinity, due time, deadline, cancellation, another instance, an unknown kind
BEGIN;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop', p_affinity => 1) IS NOT NULL,
	theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop', p_due => now() + '1 hour') IS NOT NULL,
	theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop', p_deadline => now() - '1 s'::interval) IS NOT NULL;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') AS c \gset
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') AS i \gset
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'model.dream', 'oracle', '{"a": 1}') AS u \gset
UPDATE theazo_data.effect SET cancel_requested = true WHERE id = :'c';
UPDATE theazo_data.effect SET instance = '1:2' WHERE id = :'i';
SELECT * FROM tst.claim(0);
SELECT state, held_reason FROM theazo_data.effect WHERE id = :'u';
SELECT * FROM tst.claim(1);
SELECT theazo_internal.effect_next_due(0) BETWEEN now() + '59 min' AND now() + '61 min';
-- the keeper ends what cannot be sent any more and holds what is foreign
SELECT theazo_internal.effects_expire(), theazo_internal.effects_hold(), theazo_internal.effects_hold();
SELECT kind, state, error_code, held_reason FROM theazo_data.effect WHERE platform_id = :'p' ORDER BY kind, state, error_code;
SELECT kind, held_reason, on_release FROM theazo.held_effects WHERE platform_id = :'p' ORDER BY kind;
SELECT tst.try($$SELECT theazo.effects_release('eff_00000000000000000000000000')$$);
SELECT theazo.effects_release(:'i');
SELECT count(*) FROM tst.claim(0);
-- a library that knows the kind would take it; this one holds it again
SELECT theazo.effects_release();
SELECT count(*) FROM tst.claim(0);
SELECT state, held_reason FROM theazo_data.effect WHERE id = :'u';
ROLLBACK;

-- verdicts
BEGIN;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop', p_max_attempts => 3) AS e \gset
SELECT count(*) FROM tst.claim();
SELECT clock_timestamp() AS before \gset
SELECT tst.settle('probe.noop', 'retry', '{"code": "provider_error", "message": "busy th_live_abcdefghijk", "retry_after_ms": 5000}');
SELECT state, attempt, incarnation, due_at BETWEEN :'before'::timestamptz + '5 s' AND clock_timestamp() + '5 s', error_code, error_message FROM theazo_data.effect WHERE id = :'e';
SELECT count(*) FROM tst.claim();
SELECT tst.due() \gset
SELECT count(*) FROM tst.claim();
-- backoff of our own: within half and the whole of a doubling wait
SELECT clock_timestamp() AS before \gset
SELECT tst.settle('probe.noop', 'retry');
SELECT due_at BETWEEN :'before'::timestamptz + '0.5 s' AND clock_timestamp() + '1 s' FROM theazo_data.effect WHERE id = :'e';
SELECT n, theazo_internal.backoff_ms(n, 0), theazo_internal.backoff_ms(n, 1) FROM unnest(ARRAY[0, 1, 2, 3, 7, 8, 1000]) n;
SELECT tst.due() \gset
SELECT count(*) FROM tst.claim();
-- not for ever: the adapter counts, and six is the end
SELECT tst.settle('probe.noop', 'retry');
UPDATE theazo_data.effect SET attempt = 5 WHERE id = :'e';
SELECT tst.due() \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('probe.noop', 'retry');
SELECT state, attempt FROM theazo_data.effect WHERE id = :'e';
-- of each step: a walk through many does not end at the first that must be tried again
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') AS e \gset
UPDATE theazo_data.effect SET step = 8, attempt = 8, max_attempts = 9 WHERE id = :'e';
SELECT count(*) FROM tst.claim();
SELECT tst.settle('probe.noop', 'retry');
SELECT state, attempt, max_attempts FROM theazo_data.effect WHERE id = :'e';
UPDATE theazo_data.effect SET attempt = 13 WHERE id = :'e';
SELECT tst.due() \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('probe.noop', 'retry');
SELECT state, attempt FROM theazo_data.effect WHERE id = :'e';
-- a retry that would come after the deadline fails now
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop', p_max_attempts => 9, p_deadline => now() + '1 min') AS e \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('probe.noop', 'retry', '{"retry_after_ms": 120000}');
SELECT state, attempt FROM theazo_data.effect WHERE id = :'e';
-- released: as if never claimed, except that the attempt is spent
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') AS e \gset
SELECT count(*) FROM tst.claim();
SELECT tst.settle('probe.noop', 'released');
SELECT state, attempt, max_attempts FROM theazo_data.effect WHERE id = :'e';
-- next: another step with what the adapter wants to remember
SELECT count(*) FROM tst.claim();
SELECT tst.settle('probe.noop', 'next', '{"state": {"page": 2}}');
SELECT state, step, attempt FROM theazo_data.effect WHERE id = :'e';
SELECT step_state FROM theazo_data.effect_payload WHERE id = :'e';
SELECT count(*) FROM tst.claim();
-- cancelled while it was in flight: whatever else came, it does not go out again
UPDATE theazo_data.effect SET cancel_requested = true WHERE id = :'e';
SELECT id = :'e', attempt FROM theazo_internal.effect_cancels(7);
SELECT count(*) FROM theazo_internal.effect_cancels(8);
SELECT tst.settle('probe.noop', 'retry');
SELECT state FROM theazo_data.effect WHERE id = :'e';
ROLLBACK;

-- sent and verify: a worker that was stopped asks whether its calls are still its own
BEGIN;
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') AS e \gset
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') AS f \gset
SELECT count(*) FROM tst.claim();
SELECT theazo_internal.effect_sent(ARRAY[substr(:'e', 5), substr(:'f', 5)], ARRAY[:'e', :'f'], ARRAY[1, 2]) \gset
SELECT id = :'e', state, sent_at IS NOT NULL FROM theazo_data.effect WHERE platform_id = :'p' ORDER BY state;
SELECT ord FROM theazo_internal.effect_verify(7, ARRAY[substr(:'e', 5), substr(:'f', 5), substr(:'f', 5)], ARRAY[:'e', :'f', :'f'], ARRAY[1, 2, 1]) ORDER BY 1;
SELECT ord FROM theazo_internal.effect_verify(8, ARRAY[substr(:'e', 5)], ARRAY[:'e'], ARRAY[1]);
UPDATE theazo_data.effect SET cancel_requested = true WHERE id = :'e';
SELECT ord FROM theazo_internal.effect_verify(7, ARRAY[substr(:'e', 5)], ARRAY[:'e'], ARRAY[1]);
ROLLBACK;

-- dead workers: what is harmless goes again, what is not ends as unknown; the living keep their leases, also when
-- these ran out
BEGIN;
SELECT CASE WHEN theazo_internal.gate(k, :'p', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NULL THEN theazo_internal.effect_enqueue(:'p', NULL, k, 'webhook') END IS NOT NULL FROM unnest(ARRAY['compute.exec', 'compute.read', 'compute.create', 'compute.destroy']) k;
SELECT * FROM tst.claim(0, 41);
UPDATE theazo_data.effect SET lease_until = now() - '1 hour'::interval WHERE platform_id = :'p';
SELECT theazo_internal.leases_reclaim('{41}');
SELECT theazo_internal.leases_reclaim('{42}');
SELECT kind, state, attempt, error_code FROM theazo_data.effect WHERE platform_id = :'p' ORDER BY kind;
SELECT tst.due() \gset
SELECT * FROM tst.claim(0, 42);
-- the dead one's answer comes after all
SELECT theazo_internal.effect_settle(platform_id, root_id, id, 1, 'done', '{}', NULL, now(), now()) FROM theazo_data.effect WHERE platform_id = :'p' ORDER BY kind;
-- not for ever
UPDATE theazo_data.effect SET attempt = 5 WHERE platform_id = :'p' AND state = 'claimed';
SELECT theazo_internal.leases_reclaim('{}');
SELECT kind, state, attempt FROM theazo_data.effect WHERE platform_id = :'p' ORDER BY kind;
ROLLBACK;

-- a restored database: what was queued is sent on release, what was in flight goes by the table
BEGIN;
SELECT CASE WHEN theazo_internal.gate(k, :'p', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NULL THEN theazo_internal.effect_enqueue(:'p', NULL, k, 'webhook') END IS NOT NULL FROM unnest(ARRAY['compute.exec', 'compute.read']) k;
SELECT * FROM tst.claim(0, 41);
SELECT theazo_internal.effect_enqueue(:'p', NULL, 'probe.noop', 'noop') IS NOT NULL;
UPDATE theazo_data.effect SET instance = 'elsewhere' WHERE platform_id = :'p';
SELECT theazo_internal.leases_reclaim('{}');
SELECT theazo_internal.effects_hold();
SELECT * FROM tst.claim(0, 41);
SELECT kind, held_reason, on_release FROM theazo.held_effects WHERE platform_id = :'p' ORDER BY kind;
SELECT theazo.effects_release();
SELECT kind, state, instance = theazo_internal.instance() FROM theazo_data.effect WHERE platform_id = :'p' ORDER BY kind;
ROLLBACK;

-- a row whose settlement throws ends without its area
BEGIN;
SELECT CASE WHEN theazo_internal.gate('compute.read', :'p', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NULL THEN theazo_internal.effect_enqueue(:'p', NULL, 'compute.read', 'webhook') END AS e \gset
SELECT count(*) FROM tst.claim();
SELECT theazo_internal.effect_broken(:'p', substr(:'e', 5), :'e', 2, 'wrong attempt') \gset
SELECT state FROM theazo_data.effect WHERE id = :'e';
SELECT theazo_internal.effect_broken(:'p', substr(:'e', 5), :'e', 1, 'it threw') \gset
SELECT state, error_code, error_message FROM theazo_data.effect WHERE id = :'e';
ROLLBACK;
-- so does a creation: what waited for the sandbox fails, and the agent can be used again
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS broken FROM theazo.session_create('user-broken') \gset
SELECT id AS a FROM theazo.agent_create(:'broken', '{"provider": "theazo"}') \gset
SELECT id AS r FROM theazo.exec_start(:'a', 'sh', 'true') \gset
SELECT * FROM tst.claim();
SELECT theazo_internal.effect_broken(c.platform_id, c.root_id, c.id, 1, 'it threw') FROM tst.claimed c;
SELECT a.status, a.error, a.sandbox_id, a.run_id, b.status FROM theazo.agents a JOIN theazo.sandboxes b ON b.agent_id = a.id;
SELECT status, error_sqlstate, error_message, error_hint FROM theazo.run_get(:'r');
SELECT kind, state, error_code FROM theazo_data.effect WHERE agent_id = :'a' ORDER BY kind;
SELECT status FROM theazo.exec_start(:'a', 'sh', 'true');
SELECT * FROM tst.claim();
SELECT tst.settle('compute.create', 'done', '{"sandbox": "box-2"}');
SELECT * FROM tst.claim();
-- a destruction that throws leaves a sandbox that may still exist
SELECT tst.settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
SELECT status FROM theazo.agent_terminate(:'a');
SELECT * FROM tst.claim();
SELECT theazo_internal.effect_broken(c.platform_id, c.root_id, c.id, 1, 'it threw') FROM tst.claimed c;
SELECT status, ended_at IS NOT NULL FROM theazo.sandboxes ORDER BY id;
ROLLBACK;

-- only workers claim
SET ROLE theazo_app;
SELECT tst.code($$SELECT theazo_internal.effect_claim(0, 1, 1, '1 s')$$), tst.code($$SELECT theazo_internal.effect_enqueue('x', NULL, 'x', 'x')$$),
	tst.code($$SELECT theazo.effects_release()$$), tst.code($$TABLE theazo.effects$$), tst.code($$TABLE theazo_data.effect$$);
RESET ROLE;

-- what is opened for a call: the provider's references from the platform's vault, the environment from the session's;
-- the session's value before the platform's; each one an event, no value anywhere
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.secret_set(n, 'canary-' || n)) FROM unnest(ARRAY['hook', 'sign', 'shared', 'plain']) n;
SELECT count(theazo.secret_set(n, 'canary-own-' || n, :'s')) FROM unnest(ARRAY['shared', 'db url', '9lives']) n;
SELECT name, delivery FROM theazo.secret_set('held back', 'canary', :'s', 'brokered');
SELECT (theazo.provider_set('hooked', type => 'webhook', endpoint => 'https://one.example', credential_ref => 'hook', signing_ref => 'sign')).name;
SELECT id AS a FROM theazo.agent_create(:'s', '{"provider": "hooked"}') \gset
SELECT * FROM tst.claim();
SELECT needs_secrets, endpoint - 'owner' - 'config' FROM tst.claimed;
SELECT x.use, x.env_name, x.name, x.session_id = :'s' AS own, x.version, length(x.salt), length(x.sealed) > 16, x.platform_salt IS NOT NULL
  FROM tst.claimed c, theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) x ORDER BY 1, 2, 3;
SELECT actor_kind, summary FROM theazo.events WHERE action = 'secret_opened' ORDER BY summary ->> 'use', summary ->> 'name';
SELECT name, last_used_at IS NOT NULL FROM theazo.secrets ORDER BY 1, 2;
-- without a signing secret the credential is both; a list on the agent restricts and opens the platform's vault
SELECT (theazo.provider_set('hooked', type => 'webhook', endpoint => 'https://one.example', credential_ref => 'hook')).name;
SELECT id AS b FROM theazo.agent_create(:'s', '{"provider": "hooked", "secrets": ["shared", "plain"]}') \gset
SELECT count(*) FROM tst.claim();
SELECT x.use, x.env_name, x.name, x.session_id = :'s' AS own
  FROM tst.claimed c, theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) x ORDER BY 1, 2, 3;
-- a session's secret does not stand in for what the platform stored for its own provider, but counts for the session's endpoint
SELECT (theazo.secret_set('hook', 'canary-mine', :'s')).version;
SELECT x.use, x.name, x.session_id = :'s' AS own
  FROM tst.claimed c, theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) x WHERE x.name = 'hook' ORDER BY 1, 2, 3;
SAVEPOINT own_endpoint;
SELECT id AS s2 FROM theazo.session_create('user-2', compute => '{"endpoint": "https://own.example", "credentialRef": "hook"}') \gset
SELECT (theazo.secret_set('hook', 'canary-theirs', :'s2')).version;
SELECT theazo.agent_create(:'s2') IS NOT NULL;
SELECT count(*) FROM tst.claim();
SELECT x.use, x.name, x.session_id = :'s2' AS own
  FROM tst.claimed c, theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) x WHERE x.use <> 'env' ORDER BY 1, 2, 3;
ROLLBACK TO own_endpoint;
-- who acts for one session does not open the platform's vault by naming what lies there, also not by a detour over a
-- secret of the same name; a definition of the platform's does
SAVEPOINT narrowed;
SELECT theazo.definition_create('opens', '{"provider": "theazo", "secrets": ["plain"]}') IS NOT NULL;
SELECT theazo.act_as(:'s') IS NOT NULL;
SELECT (theazo.secret_set('sign', 'canary-detour', :'s')).version;
SELECT options - 'provider' FROM theazo.agent_create(:'s', '{"provider": "theazo", "secrets": ["plain", "sign", "shared"]}');
SELECT name FROM theazo.secret_delete('sign', :'s');
SELECT count(*) FROM tst.claim();
SELECT x.env_name, x.vault = :'s' AS own
  FROM tst.claimed c, theazo_internal.agent_secrets(c.platform_id, c.session_id, c.agent_id) x ORDER BY 1, 2;
SELECT options - 'provider' FROM theazo.agent_create(:'s', '{"definition": "opens"}');
SELECT options - 'provider' FROM theazo.agent_create(:'s', '{"definition": "opens", "overrides": {"secrets": ["plain", "sign"]}}');
SELECT count(*) FROM tst.claim();
SELECT x.env_name, x.vault = :'s' AS own
  FROM tst.claimed c, theazo_internal.agent_secrets(c.platform_id, c.session_id, c.agent_id) x ORDER BY 1, 2;
SELECT tst.code(format($$SELECT theazo.agent_create(%L, '{"sessionSecrets": []}')$$, :'s'));
ROLLBACK TO narrowed;
-- a reference to nothing: the call must not go out without it
SELECT tst.settle('compute.create', 'done', '{"sandbox": "x"}');
SELECT id AS r FROM theazo.file_list_start(:'b') \gset
DELETE FROM theazo_data.secret WHERE platform_id = :'p' AND name = 'hook';
SELECT count(*) FROM tst.claim();
SELECT tst.try(format('SELECT theazo_internal.effect_secrets(%L, %L, %L)', c.platform_id, c.root_id, c.id)) FROM tst.claimed c;
SELECT count(*) FROM theazo_data.event e WHERE e.platform_id = :'p' AND convert_from(e.body, 'UTF8') ~ 'canary';
SELECT count(*) FROM theazo_internal.effect_secrets(:'p', '00000000000000000000000000', 'eff_00000000000000000000000000');
ROLLBACK;
