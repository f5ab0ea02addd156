\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include

-- platforms: only an operator makes them
CREATE ROLE reg_op;
CREATE ROLE reg_app;
CREATE ROLE reg_nobody;
GRANT theazo_operator TO reg_op;
GRANT theazo_app TO reg_app;
SET ROLE reg_nobody;
SELECT tst.try($$SELECT theazo.platform_create('X')$$);
SET ROLE reg_app;
SELECT tst.try($$SELECT theazo.platform_create('X')$$);
SELECT tst.try($$SELECT theazo.session_create('u')$$);
SELECT tst.try($$SELECT theazo.api_key_create('k', platform => 'plt_00000000000000000000000000')$$);
SET ROLE reg_op;
SELECT tst.try($$SELECT theazo.platform_create('')$$);
SELECT tst.try($$SELECT theazo.platform_create(NULL)$$);
SELECT tst.try($$SELECT theazo.platform_create(E'a\nb')$$);
SELECT tst.try($$SELECT theazo.platform_create(U&'a\202Eb')$$);
SELECT tst.try($$SELECT theazo.platform_create(repeat('x', 201))$$);
SELECT tst.try($$SELECT theazo.platform_create('X', 'mine')$$);
SELECT tst.try($$SELECT theazo.platform_create('X', NULL)$$);
SELECT tst.try($$SELECT theazo.platform_create('X', primitives_enabled => NULL)$$);
SELECT tst.try($$SELECT theazo.platform_create('X', metadata => '[]')$$);
SELECT tst.try($$SELECT theazo.platform_create('X', metadata => '{"a":{}}')$$);
SELECT tst.try($$SELECT theazo.platform_create('X', metadata => '{"":"x"}')$$);
SELECT tst.try($$SELECT theazo.platform_create('X', metadata => jsonb_build_object('a', repeat('x', 1025)))$$);
SELECT tst.try($$SELECT theazo.platform_create('X', metadata => jsonb_build_object(repeat('k', 65), 1))$$);
SELECT tst.try($$SELECT theazo.platform_create('X', metadata => (SELECT jsonb_object_agg('k' || i, i) FROM generate_series(1, 51) i))$$);
SELECT tst.try($$SELECT theazo.platform_create('X', metadata => (SELECT jsonb_object_agg('k' || i, repeat('x', 1000)) FROM generate_series(1, 20) i))$$);
SELECT name, compute_mode, primitives_enabled, plan, state, metadata, allow_private, allow_http
  FROM theazo.platform_create('Acme', metadata => '{"tier":1,"vip":true,"note":"ü"}');
SELECT id AS acme FROM theazo.operator_platforms WHERE name = 'Acme' \gset
SELECT name, compute_mode, primitives_enabled FROM theazo.platform_create('Beta', 'byoi', false);
SELECT id AS beta FROM theazo.operator_platforms WHERE name = 'Beta' \gset

-- keys: the first by the operator, shown once
SELECT id AS k1_id, key AS k1, prefix FROM theazo.api_key_create('first', platform => :'acme') \gset
SELECT :'k1' ~ '^th_live_[0-9A-Za-z]{43}$' AS form, :'prefix' = left(:'k1', 12) || '...' AS prefix;
SELECT key AS kt FROM theazo.api_key_create('testing', 'test', platform => :'acme') \gset
SELECT :'kt' ~ '^th_test_';
SELECT key AS kz FROM theazo.api_key_create('thetazero', kind => 'tzk', platform => :'acme') \gset
SELECT :'kz' ~ '^tzk_';
SELECT key AS kb FROM theazo.api_key_create('first', platform => :'beta') \gset
SELECT tst.try($$SELECT theazo.api_key_create('k', platform => 'plt_00000000000000000000000000')$$);
SELECT tst.try($$SELECT theazo.api_key_create('k', platform => 'nonsense')$$);
SELECT tst.try(format($$SELECT theazo.api_key_create('k', 'staging', platform => %L)$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.api_key_create('k', 'live', kind => 'th_test', platform => %L)$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.api_key_create('k', scopes => '{}', platform => %L)$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.api_key_create('k', scopes => '{session:own}', platform => %L)$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.api_key_create('k', scopes => ARRAY[NULL], platform => %L)$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.api_key_create('k', expires_at => now() - interval '1s', platform => %L)$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.api_key_create('k', expires_at => %L, platform => %L)$$, e, :'acme')) FROM unnest('{infinity,-infinity,3000-01-01}'::timestamptz[]) e;
SELECT tst.try(format($$SELECT theazo.api_key_create(E'k\x7f', platform => %L)$$, :'acme'));
SELECT tst.try($$SELECT theazo.api_key_create('k')$$);
RESET ROLE;
-- the stored form is the hash
SELECT k.key_hash = sha256(:'k1'::bytea), position(right(:'k1', 43) in row_to_json(k)::text) = 0
  FROM theazo_data.api_key k WHERE k.id = :'k1_id';

-- who asks: by key
SET ROLE reg_app;
SELECT tst.try($$SELECT theazo.whoami()$$);
SELECT tst.try(format($$SELECT theazo.whoami(%L)$$, :'k1'));
SELECT tst.try(format($$SELECT theazo.whoami(%L)$$, :'kt'));
SELECT tst.try($$SELECT theazo.authenticate(NULL)$$);
SELECT tst.try($$SELECT theazo.authenticate('')$$);
SELECT tst.try($$SELECT theazo.authenticate('th_live_0000000000000000000000000000000000000000000')$$);
SELECT tst.try($$SELECT theazo.authenticate(repeat('x', 100000))$$);
SELECT tst.try(format($$SELECT theazo.authenticate(%L)$$, :'k1' || 'x'));
-- for one transaction, and no longer
BEGIN;
SELECT theazo.authenticate(:'k1');
SELECT name FROM theazo.platform_get();
COMMIT;
SELECT tst.try($$SELECT theazo.platform_get()$$);
-- a rolled back subtransaction takes its identity with it
BEGIN;
SELECT theazo.authenticate(:'k1');
SAVEPOINT a;
SELECT theazo.authenticate(:'kb');
SELECT name FROM theazo.platform_get();
ROLLBACK TO a;
SELECT name FROM theazo.platform_get();
SAVEPOINT b;
SELECT theazo.authenticate(:'kb');
RELEASE b;
SELECT name FROM theazo.platform_get();
-- a failed try leaves who was there before
SELECT tst.try($$SELECT theazo.authenticate('wrong')$$);
SELECT name FROM theazo.platform_get();
ROLLBACK;
-- works where nothing may be written
BEGIN READ ONLY;
SELECT theazo.authenticate(:'k1');
SELECT name FROM theazo.platforms;
COMMIT;

-- scopes
BEGIN;
SELECT theazo.authenticate(:'k1');
SELECT key AS kr FROM theazo.api_key_create('reader', scopes => '{session:read,agent:*,session:read}') \gset
SELECT key AS kk FROM theazo.api_key_create('keys', scopes => '{key:*,session:read}') \gset
SELECT name, environment, kind, scopes, expires_at, revoked_at, rotated_to, last_used_at FROM theazo.api_keys ORDER BY name;
COMMIT;
SELECT tst.try(format($$SELECT theazo.session_create('u', api_key => %L)$$, :'kr'));
SELECT tst.try(format($$SELECT theazo.platform_get(%L)$$, :'kr'));
SELECT count(*) FROM theazo.session_list(api_key => :'kr');
-- nobody gives what they do not hold
SELECT tst.try(format($$SELECT theazo.api_key_create('x', api_key => %L)$$, :'kk'));
SELECT tst.try(format($$SELECT theazo.api_key_create('x', scopes => '{session:*}', api_key => %L)$$, :'kk'));
SELECT tst.try(format($$SELECT prefix <> '' FROM theazo.api_key_create('x', scopes => '{session:read,key:read}', api_key => %L)$$, :'kk'));
-- a test key stays in test
SELECT tst.try(format($$SELECT theazo.api_key_create('x', api_key => %L)$$, :'kt'));
SELECT tst.try(format($$SELECT prefix FROM theazo.api_key_create('x2', 'test', api_key => %L)$$, :'kt')) LIKE 'th_test_%';
SELECT tst.try(format($$SELECT theazo.api_key_revoke(%L, %L)$$, :'k1_id', :'kt'));
SELECT tst.try(format($$SELECT theazo.platform_update('Y', api_key => %L)$$, :'kt'));
-- a platform's caller names no other platform
SELECT tst.try(format($$SELECT theazo.api_key_create('x', platform => %L, api_key => %L)$$, :'beta', :'k1'));

-- rotation: both work for the overlap
BEGIN;
SELECT theazo.authenticate(:'k1');
SELECT id AS r_id, key AS r FROM theazo.api_key_create('rotating', scopes => '{session:*}', expires_at => now() + interval '30 days') \gset
SELECT id AS r2_id, key AS r2, old_id = :'r_id' AS old, expires_at = created_at + interval '30 days' AS same_life, old_expires_at = now() + interval '1 hour' AS overlap
  FROM theazo.api_key_rotate(:'r_id', '1 hour') \gset
SELECT :'old', :'same_life', :'overlap';
SELECT name, scopes, rotated_to = :'r2_id' AS rotated, expires_at = now() + interval '1 hour' AS ends FROM theazo.api_keys WHERE id IN (:'r_id', :'r2_id') ORDER BY id;
SELECT tst.try(format($$SELECT theazo.api_key_rotate(%L)$$, :'r_id'));
SELECT tst.try(format($$SELECT theazo.api_key_rotate(%L, '-1s')$$, :'r2_id'));
SELECT tst.try(format($$SELECT theazo.api_key_rotate(%L, '91 days')$$, :'r2_id'));
SELECT tst.try(format($$SELECT theazo.api_key_rotate(%L, NULL)$$, :'r2_id'));
SELECT tst.try($$SELECT theazo.api_key_rotate('key_00000000000000000000000000')$$);
COMMIT;
SELECT tst.try(format($$SELECT theazo.whoami(%L) -> 'scopes'$$, :'r'));
SELECT tst.try(format($$SELECT theazo.whoami(%L) -> 'scopes'$$, :'r2'));
SELECT key AS r3 FROM theazo.api_key_rotate(:'r2_id', '0', api_key => :'k1') \gset
SELECT tst.try(format($$SELECT theazo.whoami(%L)$$, :'r2'));
SELECT tst.try(format($$SELECT theazo.api_key_rotate(%L, api_key => %L)$$, :'r2_id', :'k1'));
SELECT tst.try(format($$SELECT theazo.whoami(%L) -> 'scopes'$$, :'r3'));
-- revoking, twice
SELECT (theazo.api_key_revoke(:'r_id', :'k1')).revoked_at IS NOT NULL;
SELECT (theazo.api_key_revoke(:'r_id', :'k1')).revoked_at IS NOT NULL;
SELECT tst.try(format($$SELECT theazo.whoami(%L)$$, :'r'));
SELECT tst.try(format($$SELECT theazo.api_key_rotate(%L, api_key => %L)$$, :'r_id', :'k1'));
-- another platform's key is as unknown as none
SELECT tst.try(format($$SELECT theazo.api_key_revoke(%L, %L)$$, :'k1_id', :'kb'));
SELECT tst.try(format($$SELECT theazo.api_key_revoke('key_00000000000000000000000000', %L)$$, :'kb'));

-- the platform's own knobs
SELECT name, compute_mode, primitives_enabled, metadata FROM theazo.platform_update(api_key => :'k1');
SELECT name, compute_mode, primitives_enabled, metadata FROM theazo.platform_update('Acme 2', 'byoi', false, '{}', api_key => :'k1');
SELECT name, compute_mode, primitives_enabled FROM theazo.platform_update('Acme', 'managed', true, api_key => :'k1');
SELECT tst.try(format($$SELECT theazo.platform_update(compute_mode => 'x', api_key => %L)$$, :'k1'));
SELECT tst.try(format($$SELECT theazo.platform_update('', api_key => %L)$$, :'k1'));

-- what the operator alone may open
SET ROLE reg_op;
SELECT tst.try($$SELECT theazo.platform_allow_egress('plt_00000000000000000000000000', true)$$);
SELECT allow_private, allow_http FROM theazo.platform_allow_egress(:'acme', allow_http => true);
SELECT allow_private, allow_http FROM theazo.platform_allow_egress(:'acme', allow_private => true, allow_http => false);
SELECT allow_private, allow_http FROM theazo.platform_allow_egress(:'acme', allow_private => false);
SET ROLE reg_app;
SELECT tst.try(format($$SELECT theazo.platform_allow_egress(%L, true)$$, :'acme'));

-- who asks: by a bound role
RESET ROLE;
CREATE ROLE reg_bound;
CREATE ROLE reg_member;
CREATE ROLE reg_super SUPERUSER;
SET ROLE reg_op;
SELECT tst.try(format($$SELECT theazo.platform_bind_role(%L, 'reg_missing')$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.platform_bind_role(%L, 'reg_super')$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.platform_bind_role(%L, 'theazo_app')$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.platform_bind_role(%L, 'reg_bound', '{nope}')$$, :'acme'));
SELECT tst.try(format($$SELECT theazo.platform_bind_role(%L, 'reg_bound', environment => 'x')$$, :'acme'));
SELECT tst.try($$SELECT theazo.platform_bind_role('plt_00000000000000000000000000', 'reg_bound')$$);
SET client_min_messages = notice;
SELECT role_name, scopes, environment FROM theazo.platform_bind_role(:'acme', 'reg_bound');
SET client_min_messages = warning;
SELECT tst.try(format($$SELECT theazo.platform_bind_role(%L, 'reg_bound')$$, :'beta'));
RESET ROLE;
GRANT theazo_app TO reg_bound;
GRANT reg_bound TO reg_member;
SET ROLE reg_bound;
SELECT name FROM theazo.platforms;
SELECT tst.try($$SELECT theazo.whoami()$$);
-- a member of the bound role is not the bound role
SET ROLE reg_member;
SELECT count(*) FROM theazo.platforms;
SELECT tst.try($$SELECT theazo.whoami()$$);
SET ROLE reg_op;
SELECT scopes, environment FROM theazo.platform_bind_role(:'acme', 'reg_bound', '{session:read}', 'test');
SET ROLE reg_bound;
SELECT tst.try($$SELECT theazo.whoami()$$);
SELECT tst.try($$SELECT theazo.session_create('u')$$);
SET ROLE reg_op;
SELECT role_name FROM theazo.operator_platform_roles WHERE platform_id = :'acme';
SELECT tst.try(format($$SELECT theazo.platform_unbind_role(%L, 'reg_bound')$$, :'beta'));
SELECT role_name FROM theazo.platform_unbind_role(:'acme', 'reg_bound');
SELECT tst.try(format($$SELECT theazo.platform_unbind_role(%L, 'reg_bound')$$, :'acme'));
SET ROLE reg_bound;
SELECT tst.try($$SELECT theazo.whoami()$$);

-- what happened is recorded, by whom, and never the key
RESET ROLE;
BEGIN;
SELECT theazo.authenticate(:'k1');
SELECT actor_kind, category, action, count(*) FROM theazo.events GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT count(*) FROM theazo.events WHERE events::text ~ '(th_live|th_test|tzk)_[0-9A-Za-z]{43}';
COMMIT;

DROP ROLE reg_op, reg_app, reg_nobody, reg_bound, reg_member, reg_super;
