\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include

SELECT live AS k FROM tst.platform('Definitions') \gset
SELECT live AS other FROM tst.platform('Definitions, other') \gset

-- every option is checked
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT o, tst.try(format('SELECT theazo.definition_create(%L, %L)', 'd', o)) FROM unnest(ARRAY[
	'[]', '{"colour":"red"}', '{"definition":"x"}', '{"compute":"rust"}', '{"compute":5}', '{"browser":"yes"}', '{"longRunning":1}',
	'{"managedLoop":"false"}', '{"storage":5}', '{"provider":""}', '{"region":"a\u0007"}', '{"instructions":{}}', '{"model":""}',
	'{"model":{"vendor":"x"}}', '{"model":{"baseUrl":"ftp://x"}}', '{"model":{"credentialRef":"a/b"}}', '{"tools":"all"}', '{"tools":[1]}',
	'{"tools":[""]}', '{"secrets":["a/b"]}', '{"timeout":"0s"}', '{"timeout":"-5s"}', '{"timeout":"five"}', '{"timeout":true}', '{"timeout":{"days":1}}',
	'{"maxDuration":"367d"}', '{"costCap":5}', '{"costCap":{"amount":-1}}', '{"costCap":{"amount":1,"period":"day"}}', '{"approvals":[]}',
	'{"approvals":{"notifyVia":"fax"}}', '{"approvals":{"timeout":"x"}}', '{"approvals":{"defaultAction":"maybe"}}', '{"approvals":{"require":"all"}}',
	'{"knowledge":3}', '{"metadata":{"x":1}}', '{"metadata":{"custom":{"a":[]}}}', '{"metadata":{"extract":[1]}}', '{"guardrails":[]}',
	'{"lifecycle":{"onFailure":"cry"}}', '{"lifecycle":{"maxRetries":-1}}', '{"lifecycle":{"autoPause":{"afterIdle":0}}}', '{"lifecycle":{"autoPause":5}}',
	'{"lifecycle":{"retryDelay":"1y"}}', '{"network":true}', '{"network":{"enabled":"yes"}}', '{"network":{"allow":"*"}}', '{"network":{"allow":["*"]}}',
	'{"network":{"allow":["a b"]}}', '{"network":{"allow":["a.example:0"]}}', '{"network":{"allow":["a.example:65536"]}}', '{"network":{"allow":["https://a.example"]}}',
	'{"network":{"allow":["a..example"]}}', '{"config":{"temperature":3}}', '{"config":{"maxTokens":0}}', '{"config":{"top":1}}']) o;
SELECT tst.try($$SELECT theazo.definition_create('d', jsonb_build_object('instructions', repeat('x', 32769)))$$);
SELECT tst.try($$SELECT theazo.definition_create('d', jsonb_build_object('guardrails', jsonb_build_object('x', repeat('x', 70000))))$$);
SELECT tst.try($$SELECT theazo.definition_create('')$$);
SELECT tst.try($$SELECT theazo.definition_create(repeat('x', 201))$$);
SELECT count(*) FROM theazo.definitions;

-- versions only grow
SELECT id AS d FROM theazo.definition_create('writer', '{"instructions":"Write.","timeout":"5m","tools":["search"],"model":"openai/gpt","browser":null}') \gset
SELECT name, version, compute, model, instructions, tools, content FROM theazo.definition_get(:'d');
SELECT version, instructions, content FROM theazo.definition_update(:'d', '{"instructions":"Write well.","timeout":null,"config":{"temperature":0.5,"maxTokens":100}}', 'better');
SELECT version, content FROM theazo.definition_update(:'d', '{}');
SELECT version, instructions, content FROM theazo.definition_rollback(:'d', 1);
SELECT tst.try(format($$SELECT theazo.definition_rollback(%L, 9)$$, :'d'));
SELECT tst.try(format($$SELECT theazo.definition_rollback(%L, NULL)$$, :'d'));
SELECT tst.try(format($$SELECT theazo.definition_update(%L, '{"compute":"x"}')$$, :'d'));
SELECT tst.try(format($$SELECT theazo.definition_update(%L, '{}', repeat('x', 2001))$$, :'d'));
SELECT version, changelog FROM theazo.definition_versions WHERE definition_id = :'d' ORDER BY version;
SELECT content FROM theazo.definition_create('all', '{"compute":"node","browser":true,"storage":"1GB","gpu":"none","model":{"provider":"openai-compatible","baseUrl":"https://m.example","credentialRef":"key","model":"m"},
	"description":"d","instructions":"i","tools":[],"timeout":{"minutes":2},"costCap":{"amount":100},"provider":"theazo","providerFallback":"theazo","region":"eu",
	"approvals":{"require":["pay"],"notifyVia":"webhook","timeout":"1h","defaultAction":"deny"},"knowledge":"docs","metadata":{"extract":["a"],"custom":{"n":1}},
	"guardrails":{"contentFilter":"strict"},"lifecycle":{"autoPause":{"afterIdle":"10m"},"onFailure":"retry","maxRetries":2,"retryDelay":"5s"},"secrets":["a key"],
	"longRunning":true,"checkpointInterval":60,"maxDuration":"2d","hibernateAfterIdle":"1h","autoResume":false,"managedLoop":false,"mcp":["m1"],
	"network":{"enabled":true,"allow":["Example.com","*.example.org:8443","[::1]:80"]},"config":{"temperature":0}}');
COMMIT;

-- a name means the newest of that name; a deleted one is gone
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS d2 FROM theazo.definition_create('writer', '{"instructions":"Newest."}') \gset
SELECT (theazo_internal.definition_find('writer')).id = :'d2', (theazo_internal.definition_find(:'d')).id = :'d', (theazo_internal.definition_find('nobody')).id;
SELECT name, version FROM theazo.definition_delete(:'d2');
SELECT (theazo_internal.definition_find('writer')).id = :'d';
SELECT tst.try(format($$SELECT theazo.definition_get(%L)$$, :'d2'));
SELECT tst.try(format($$SELECT theazo.definition_delete(%L)$$, :'d2'));
SELECT tst.try(format($$SELECT theazo.definition_update(%L, '{}')$$, :'d2'));
SELECT count(*) FROM theazo.definition_versions WHERE definition_id = :'d2';
COMMIT;

-- another platform
SELECT tst.mask(f), tst.code(format('SELECT theazo.%s', f)) FROM unnest(ARRAY[
	format('definition_get(%L, %L)', :'d', :'other'), format('definition_update(%L, ''{}'', api_key => %L)', :'d', :'other'),
	format('definition_rollback(%L, 1, %L)', :'d', :'other'), format('definition_delete(%L, %L)', :'d', :'other')]) f;
BEGIN;
SELECT theazo.authenticate(:'other');
SELECT (SELECT count(*) FROM theazo.definitions), (SELECT count(*) FROM theazo.definition_versions);
SELECT (theazo_internal.definition_find('writer')).id;
SELECT tst.try(format($$SELECT theazo.definition_get(%L)$$, :'d'));
COMMIT;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT action, count(*) FROM theazo.events WHERE action LIKE 'definition\_%' GROUP BY 1 ORDER BY 1;
COMMIT;
