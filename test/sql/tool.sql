\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
\set ECHO none
CREATE FUNCTION tst.tool_says(t text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('text', t, 'stop', 'end', 'tool_calls', '[]'::jsonb, 'wire', jsonb_build_object('role', 'assistant', 'content', t)::text,
		'usage', '{"input": 10, "output": 5}'::jsonb)
$$;
CREATE FUNCTION tst.tool_calls_of(c jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT tst.tool_says('thinking') || jsonb_build_object('stop', 'tool_use',
		'tool_calls', (SELECT jsonb_agg(jsonb_build_object('id', 'call_' || o, 'name', x ->> 0, 'arguments', x -> 1) ORDER BY o)
						 FROM jsonb_array_elements(c) WITH ORDINALITY AS u (x, o)))
$$;
CREATE SCHEMA shop;
CREATE TABLE shop.item (id int PRIMARY KEY, name text);
CREATE FUNCTION shop.find(name text, "limit" int DEFAULT 5, price numeric DEFAULT NULL, tags text[] DEFAULT '{}', sure boolean DEFAULT true, at date DEFAULT NULL,
	extra jsonb DEFAULT NULL, OUT id int, OUT found text) RETURNS SETOF record LANGUAGE sql AS $$ SELECT 1, name $$;
CREATE FUNCTION shop.doc(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION shop.twice(a int) RETURNS int LANGUAGE sql AS $$ SELECT a $$;
CREATE FUNCTION shop.twice(a text) RETURNS text LANGUAGE sql AS $$ SELECT a $$;
CREATE FUNCTION shop.unnamed(int) RETURNS int LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION shop.many(VARIADIC a int[]) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION shop.any(a anyelement) RETURNS anyelement LANGUAGE sql AS $$ SELECT a $$;
CREATE FUNCTION shop.trig() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE PROCEDURE shop.proc() LANGUAGE sql AS $$ SELECT $$;
CREATE AGGREGATE shop.agg(int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION shop."Odd name"("Some (arg)" text) RETURNS text LANGUAGE sql AS $$ SELECT $1 $$;
CREATE ROLE tool_role; GRANT theazo_app TO tool_role; GRANT USAGE ON SCHEMA tst TO tool_role;
\set ECHO all
SELECT platform AS p, live AS k, test AS t FROM tst.platform('Tools') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Other') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
SELECT id AS s FROM theazo.session_create('user-1') \gset
COMMIT;

-- what is there without doing anything
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name, type, builtin, requires_approval, secret FROM theazo.tool_list();
SELECT count(*) FROM theazo.tools;
ROLLBACK;

-- a handler: its secret is shown once and kept in the vault
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name, type, url, sql_function, timeout_ms, requires_approval, builtin, secret ~ '^tlsec_[0-9a-f]{64}$' AS shown
  FROM theazo.tool_set('ship', 'Ships an order.', '{"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}',
	url => 'https://shop.example/ship?v=1', timeout => '10 s');
SELECT secret AS first FROM theazo.tool_set('ship', 'Ships an order', '{"type": "object"}', url => 'https://shop.example/ship') \gset
SELECT secret <> :'first' AS another, updated_at >= created_at FROM theazo.tool_set('ship', 'Ships', '{"type": "object"}', url => 'https://shop.example/ship');
SELECT name, secret FROM theazo.tools;
SELECT name, version, delivery FROM theazo.secrets;
SELECT tst.try($$SELECT theazo.secret_delete('tool.ship')$$);
SELECT action, summary FROM theazo.events WHERE action LIKE 'tool%' ORDER BY id;
SELECT count(*) FROM theazo.events e WHERE e::text LIKE '%tlsec_%';
SELECT name, type FROM theazo.tool_delete('ship');
SELECT count(*) FROM theazo.tools;
SELECT count(*) FROM theazo.secrets;
SELECT tst.try($$SELECT theazo.tool_delete('ship')$$);
SELECT tst.try($$SELECT theazo.tool_delete('run_code')$$);
-- a handler that becomes a function needs no secret any more
SELECT count(theazo.tool_set('x', 'x', '{"type": "object"}', url => 'https://shop.example/x'));
SELECT name, type, url, sql_function, secret FROM theazo.tool_set('x', 'x', sql_function => 'shop.doc');
SELECT count(*) FROM theazo.secrets;
SELECT name FROM theazo.secret_set('tool.mine', 'of my own');
SELECT tst.try($$SELECT theazo.tool_set('mine', 'x', '{"type": "object"}', url => 'https://shop.example/x')$$);
ROLLBACK;

-- functions: found, checked, described
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name, sql_function, read_only, parameters FROM theazo.tool_set('find', 'Finds items.', sql_function => 'shop.find');
SELECT sql_function, read_only, parameters FROM theazo.tool_set('doc', 'x', sql_function => 'shop.doc(jsonb)', read_only => false);
SELECT sql_function FROM theazo.tool_set('twice', 'x', sql_function => 'shop.twice( TEXT )');
SELECT sql_function, parameters FROM theazo.tool_set('odd', 'x', sql_function => 'shop."Odd name"');
SELECT tst.try(format($$SELECT theazo.tool_set('x', 'x', sql_function => %L)$$, f))
  FROM unnest(ARRAY['', 'find', 'shop.none', 'shop.twice', 'shop.twice(date)', 'shop.twice(int', 'shop.find; DROP TABLE x', 'shop.unnamed', 'shop.many', 'shop.any',
	'shop.trig', 'shop.proc', 'shop.agg', 'pg_catalog.pg_sleep', 'pg_catalog.pg_read_file(text)', 'theazo.whoami', 'theazo_internal.identity_clear', 'a.b.c', repeat('x', 1001)]) f;
SELECT tst.try($$SELECT theazo.tool_set('x', 'x', '{"type": "object", "properties": {"nope": {}}}', sql_function => 'shop.find')$$);
ROLLBACK;

-- a grant to everybody is nobody's decision
BEGIN;
SELECT role_name FROM theazo.platform_bind_role(:'p', 'tool_role');
SET LOCAL ROLE tool_role;
SELECT tst.try($$SELECT theazo.tool_set('doc', 'x', sql_function => 'shop.doc')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION shop.doc(jsonb) TO theazo_app;
SET LOCAL ROLE tool_role;
SELECT tst.try($$SELECT (theazo.tool_set('doc', 'x', sql_function => 'shop.doc')).sql_function$$);
ROLLBACK;

-- what is refused
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.try(format('SELECT theazo.tool_set(%L, %L, %L::jsonb, url => %L)', n, d, p, u))
  FROM (VALUES ('', 'x', '{"type": "object"}', 'https://h.example'), (NULL, 'x', '{"type": "object"}', 'https://h.example'),
	('a b', 'x', '{"type": "object"}', 'https://h.example'), (repeat('x', 65), 'x', '{"type": "object"}', 'https://h.example'),
	('read_file', 'x', '{"type": "object"}', 'https://h.example'), ('search_knowledge', 'x', '{"type": "object"}', 'https://h.example'),
	('x', '', '{"type": "object"}', 'https://h.example'), ('x', repeat('x', 4097), '{"type": "object"}', 'https://h.example'),
	('x', 'x', NULL, 'https://h.example'), ('x', 'x', '[]', 'https://h.example'), ('x', 'x', '{"type": "array"}', 'https://h.example'),
	('x', 'x', '{"type": 5}', 'https://h.example'), ('x', 'x', '{"type": "object"}', NULL),
	('x', 'x', '{"type": "object"}', 'ftp://h.example'), ('x', 'x', '{"type": "object"}', 'https://u:p@h.example/'), ('x', 'x', '{"type": "object"}', 'https://h.example/#x'),
	('x', 'x', '{"type": "object"}', 'https://h.example/?a b')) AS v (n, d, p, u);
SELECT tst.try($$SELECT theazo.tool_set('x', 'x', '{"type": "object"}', url => 'https://h.example', sql_function => 'shop.doc')$$);
SELECT tst.try($$SELECT theazo.tool_set('x', 'x', '{"type": "object"}', url => 'https://h.example', read_only => false)$$);
SELECT tst.try(format($$SELECT theazo.tool_set('x', 'x', sql_function => 'shop.doc', timeout => %L)$$, t)) FROM unnest('{0 s,1 ms,301 s}'::text[]) t;
SELECT count(theazo.tool_set('t' || i, 'x', sql_function => 'shop.doc')) FROM generate_series(1, 200) i;
SELECT tst.try($$SELECT theazo.tool_set('t201', 'x', sql_function => 'shop.doc')$$);
SELECT tst.try($$SELECT (theazo.tool_set('t200', 'y', sql_function => 'shop.doc')).description$$);
ROLLBACK;

-- who may
SELECT tst.try(format($$SELECT theazo.tool_set('x', 'x', sql_function => 'shop.doc', api_key => %L)$$, :'t'));
SELECT count(*) > 5 FROM theazo.tool_list(api_key => :'t');
SELECT tst.try($$SELECT theazo.tool_list()$$);
SELECT key AS narrow FROM theazo.api_key_create('narrow', scopes => '{tool:read}', api_key => :'k') \gset
SELECT count(*) > 5 FROM theazo.tool_list(api_key => :'narrow');
SELECT tst.try(format($$SELECT theazo.tool_set('x', 'x', sql_function => 'shop.doc', api_key => %L)$$, :'narrow'));
SELECT tst.try(format($$SELECT theazo.tool_delete('x', api_key => %L)$$, :'narrow'));
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.tool_set('mine', 'x', sql_function => 'shop.doc'));
SELECT (theazo.act_as(:'s')).status;
SELECT tst.try($$SELECT theazo.tool_list()$$);
SELECT count(*) FROM theazo.tools;
SELECT theazo.authenticate(:'k2');
SELECT name FROM theazo.tool_list() WHERE NOT builtin;
SELECT tst.try($$SELECT theazo.tool_delete('mine')$$);
ROLLBACK;

-- a run: own tools are offered, called as effects, and what they say goes back to the model
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.tool_set('ship', 'Ships.', '{"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}', url => 'https://shop.example/ship'));
SELECT count(theazo.tool_set('find', 'Finds.', sql_function => 'shop.find', timeout => '7 s'));
SELECT count(theazo.tool_set('pay', 'Pays.', '{"type": "object"}', url => 'https://shop.example/pay', requires_approval => true));
SELECT count(theazo.tool_set('gone', 'Goes.', sql_function => 'shop.doc'));
SELECT id AS a FROM theazo.agent_create(:'s', '{"tools": ["ship", "find", "pay", "gone"]}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'Ship it') \gset
SELECT tst.claim();
SELECT jsonb_path_query_array(request, '$.tools[*].name') FROM tst.claimed;
SELECT name FROM theazo.tool_delete('gone');
SELECT tst.settle('model.call', 'done', tst.tool_calls_of('[["ship", {"order": 12}], ["ship", {"order": "x"}], ["find", {"name": "n", "price": 1.50}], ["pay", {}], ["gone", {}], ["no", {}]]'));
SELECT tst.claim();
SELECT kind, needs_secrets, timeout_ms, tst.mask((request - 'role')::text), endpoint - 'owner' FROM tst.claimed ORDER BY kind DESC;
SELECT s.use, s.name, s.session_id, s.host, s.sealed IS NOT NULL AS sealed
  FROM tst.claimed c CROSS JOIN LATERAL theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) s WHERE c.kind = 'tool.webhook';
SELECT action, summary FROM theazo.events WHERE action = 'secret_opened';
SELECT tst.settle('tool.sql', 'done', '{"output": "[{\"id\":1}]", "truncated": false}');
SELECT tst.settle('tool.webhook', 'done', '{"output": "no stock, says sk-abcdef0123456789", "failed": true, "status": 409}');
SELECT status FROM theazo.approval_deny((SELECT id FROM theazo.approvals), 'not now');
SELECT seq, kind, state, name, input, output FROM theazo.run_steps(:'r') ORDER BY seq;
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.tool_says('Done'));
SELECT status, output FROM theazo.run_result(:'r');
-- outcomes that are no answers
SELECT id AS r FROM theazo.run_start(:'a', 'Again') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.tool_calls_of('[["ship", {"order": 1}], ["find", {"name": "n"}]]'));
SELECT tst.claim();
SELECT tst.settle('tool.webhook', 'unknown', '{"message": "the connection broke"}'), tst.settle('tool.sql', 'failed', '{"code": "forbidden", "message": "role \"x\" is not permitted to log in"}');
SELECT seq, state, name, output FROM theazo.run_steps(:'r') WHERE kind = 'tool' ORDER BY seq;
ROLLBACK;

-- trying one
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.tool_set('ship', 'Ships.', '{"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}', url => 'https://shop.example/ship'));
SELECT count(theazo.tool_set('doc', 'x', sql_function => 'shop.doc'));
SELECT count(theazo.tool_set('pay', 'Pays.', '{"type": "object"}', url => 'https://shop.example/pay', requires_approval => true));
SELECT id AS a FROM theazo.agent_create(:'s', '{"network": {"enabled": true, "allow": ["api.example"]}}') \gset
SELECT id AS r1, kind, status FROM theazo.tool_test_start(:'a', 'ship', '{"order": 5}') \gset
SELECT id AS r2 FROM theazo.tool_test_start(:'a', 'doc', '{"x": 12345678901234567890.123456789}') \gset
SELECT id AS r3 FROM theazo.tool_test_start(:'a', 'http_fetch', '{"url": "https://api.example/"}') \gset
SELECT id AS r4 FROM theazo.tool_test_start(:'a', 'web_search', '{"query": "x"}') \gset
SELECT :'kind', :'status';
SELECT tst.claim();
SELECT kind, needs_secrets, tst.mask((request - 'role')::text) FROM tst.claimed WHERE kind <> 'compute.create' ORDER BY kind;
SELECT tst.settle('tool.webhook', 'done', '{"output": "as you wish", "failed": true, "status": 500}'), tst.settle('tool.sql', 'done', '{"output": "{\"a\":1}", "truncated": true}'),
	tst.settle('http.get', 'done', '{"status": 200, "headers": {}, "body": "hello"}');
SELECT status, output, success, truncated, error_code FROM unnest(ARRAY[:'r1', :'r2', :'r3', :'r4']) WITH ORDINALITY AS u (id, o) CROSS JOIN LATERAL theazo.run_result(u.id) ORDER BY o;
SELECT action, summary - 'durationMs' FROM theazo.events WHERE run_id = :'r1' ORDER BY occurred_at, action;
SELECT id AS r5 FROM theazo.tool_test_start(:'a', 'ship', '{"order": 5}') \gset
SELECT tst.claim();
SELECT tst.settle('tool.webhook', 'failed', '{"code": "tool_handler_unreachable", "sqlstate": "TZ402", "message": "could not connect"}');
SELECT status, error_code, error_sqlstate, error_message FROM theazo.run_result(:'r5');
SELECT tst.try(format('SELECT theazo.tool_test_start(%L, %L, %L::jsonb)', :'a', n, i))
  FROM (VALUES ('none', '{}'), ('read_file', '{"path": "x"}'), ('ship', '{}'), ('ship', '[]'), ('pay', '{}'), ('http_fetch', '{"url": "ftp://x"}'), ('web_search', '{}')) AS v (n, i);
SELECT tst.try($$SELECT theazo.tool_test_start('agt_00000000000000000000000000', 'ship', '{}')$$);
SELECT theazo.authenticate(:'k2');
SELECT tst.try(format($$SELECT theazo.tool_test_start(%L, 'web_search', '{"query": "x"}')$$, :'a'));
ROLLBACK;

-- search: through what the operator configured, with a secret of the operator's
BEGIN;
SELECT name FROM theazo.operator_secret_set('search', 'a value', hosts => '{search.example}', header => 'X-Token');
SELECT name FROM theazo.operator_secret_set('other', 'a value', hosts => '{search.example}');
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.secret_set('search', 'of the platform', hosts => '{search.example}');
SELECT count(CASE WHEN theazo_internal.gate('http.get', :'p', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NULL THEN theazo_internal.effect_enqueue(:'p', NULL, 'http.get', 'http',
	'{"url": "https://search.example/?q=x", "method": "GET", "headers": {"X-Token": "tzsecret_SEARCH"}}', p_provider => 'theazo:web_search') END);
SELECT tst.claim();
SELECT needs_secrets, endpoint - 'brokered_by' FROM tst.claimed;
SELECT s.use, s.env_name, s.owner = theazo_internal.operator_platform() AS operators, s.name, s.hosts, s.header, s.sealed IS NOT NULL AS sealed, s.host
  FROM tst.claimed c CROSS JOIN LATERAL theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) s;
ROLLBACK;
SELECT theazo_internal.url_encode(''), theazo_internal.url_encode('a b&c=ä/~._-');
SELECT theazo_internal.search_answer(x::jsonb) FROM (VALUES
	('{"status": 200, "body": "{\"results\": [{\"title\": \"T\", \"url\": \"u\", \"content\": \"c\", \"score\": 1}, 5]}"}'),
	('{"status": 200, "body": "{\"web\": {\"results\": [{\"name\": \"T\", \"link\": \"u\"}]}}"}'),
	('{"status": 200, "body": "[{\"title\": \"T\", \"href\": \"u\", \"snippet\": \"s\"}]"}'),
	('{"status": 200, "body": "{\"results\": []}"}'), ('{"status": 200, "body": "{\"answer\": 42}"}'), ('{"status": 200, "body": "no JSON"}'),
	('{"status": 200, "body": ""}'), ('{"status": 200}'), ('{"status": 429, "body": "slow down"}'), ('{}')) AS v (x);
SELECT theazo_internal.json_compact(x::jsonb) FROM (VALUES ('{"a": [1, 2.50, "x, y: z"], "b": {}}'), ('[]'), ('"x"'), ('12345678901234567890.10')) AS v (x);
SELECT theazo_internal.tool_answer('x', 'tool.sql', s, r::jsonb, NULL) FROM (VALUES
	('done', '{"output": "text"}'), ('done', '{"output": {"a": 1}}'), ('done', '{}'), ('done', '{"output": "Bearer abcdefghijkl", "failed": true}'),
	('failed', '{"message": "it said th_live_abcdefghij"}'), ('unknown', '{}'), ('cancelled', '{}')) AS v (s, r);
\set ECHO none
DROP SCHEMA shop CASCADE;
DROP OWNED BY tool_role;
DROP ROLE tool_role;
