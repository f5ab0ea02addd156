\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
-- Which model answers, and where: chains of entries. Nothing is sent here.
SELECT platform AS p, live AS k FROM tst.platform('Model') \gset
SELECT theazo_internal.operator_platform() AS op \gset
SELECT id AS s FROM theazo.session_create('user-1', api_key => :'k') \gset

-- one id for one model
SELECT n, theazo_internal.model_id(n) FROM unnest(ARRAY['anthropic/claude-sonnet-4-20250514', 'claude-opus-5-5', 'anthropic/claude-opus-5.5', 'Claude-Haiku-4-5-latest',
	'gpt-5.5', 'openai/gpt-4o-mini-2024-07-18', 'o3', 'gemini-2.5-pro', 'llama3:70b', 'llama3:8b', 'mistralai/mixtral:free', 'claude-opus-4-8@20260101']) n;
-- which API, which dialect
SELECT t, n, u, e ->> 'adapter' AS adapter, e ->> 'api' AS api, e ->> 'dialect' AS dialect, e ->> 'sent' AS sent
  FROM (VALUES ('anthropic', 'anthropic/claude-opus-5-5', NULL, '{}'), ('anthropic', 'anthropic/claude-opus-5-5', 'https://proxy.example', '{}'),
	('openai', 'openai/gpt-5.5', NULL, '{}'), ('openai', 'openai/gpt-4.1', NULL, '{}'), ('openai', 'openai/gpt-5.5', 'https://eu.api.openai.com/v1', '{}'),
	('openai', 'openai/gpt-5.5', NULL, '{"api":"chat"}'), ('openai', 'openai/gpt-5.5', 'https://openrouter.ai/api/v1', '{}'),
	('openai-compatible', 'anthropic/claude-opus-5-5', 'https://openrouter.ai/api/v1', '{}'), ('openai-compatible', 'llama3:8b', 'http://localhost:11434/v1', '{}'),
	('openai-compatible', 'openai/gpt-5.5', 'https://r.openai.azure.com', '{}'), ('openai-compatible', 'openai/gpt-5.5', 'https://r.openai.azure.com', '{"deployment":"mine"}'),
	('openai-compatible', 'openai/gpt-5.5', 'https://vllm.example/v1', '{"api":"responses","preset":"vllm"}')) v (t, n, u, c)
 CROSS JOIN LATERAL theazo_internal.model_entry(t, n, 'x', 'plt_x', false, u, c::jsonb) e;
SELECT u, c, theazo_internal.model_preset(u, c::jsonb) FROM (VALUES ('https://openrouter.ai/api/v1', '{}'), ('https://evilopenrouter.ai/', '{}'), ('https://r.openai.azure.com/openai', '{}'),
	('http://gpu:11434', '{}'), ('https://x.example/:11434', '{}'), ('https://x.example', '{"preset":"litellm"}'), (NULL, '{"preset":"ollama"}')) v (u, c);

-- the chain an agent with these options would get
CREATE FUNCTION tst.chain(p_session text, p_options jsonb DEFAULT '{}') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	a := theazo_internal.agent_make(p_session, p_options, true);
	RETURN QUERY SELECT concat_ws(' ', ord || '.', e ->> 'shown', e ->> 'adapter', e ->> 'sent', e ->> 'url',
			CASE WHEN (e ->> 'managed')::boolean THEN 'managed' END, 'key ' || (e ->> 'credential'), 'from ' || (e ->> 'vault'))
	  FROM jsonb_array_elements(theazo_internal.model_chain(a)) WITH ORDINALITY AS x (e, ord);
EXCEPTION WHEN OTHERS THEN
	DECLARE
		d text; h text;
	BEGIN
		GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
		RETURN NEXT SQLSTATE || ' ' || SQLERRM || ' | ' || d || ' | ' || h;
	END;
END $$;

BEGIN;
SELECT theazo.authenticate(:'k');
-- nobody
SELECT tst.chain(:'s');
-- managed: the operator's entries; what has no price is refused before anything is sent
SELECT name FROM theazo.operator_secret_set('anthropic', 'canary-model-operator') \gset
SELECT name, type FROM theazo.operator_provider_set('claude', 'model', 'anthropic', credential_ref => 'anthropic', priority => 10) \gset
SELECT name FROM theazo.operator_provider_set('router', 'model', endpoint => 'https://openrouter.ai/api/v1', priority => 20) \gset
SELECT tst.chain(:'s');
SELECT tst.chain(:'s', '{"model":"gpt-5.5"}');
SELECT tst.chain(:'s', '{"model":"mistralai/mixtral"}');
SELECT tst.chain(:'s', '{"modelFallback":["mistralai/mixtral"]}');
SELECT (theazo.model_price_set('mistralai/Mixtral', 20, 60)).source;
SELECT tst.chain(:'s', '{"model":"mistralai/mixtral"}');
-- the platform's own: the vendor's first, then gateways; never the operator's beside them
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1', priority => 5) \gset
SELECT name FROM theazo.provider_set('anthropic', 'model', priority => 50) \gset
SELECT name FROM theazo.provider_set('openai', 'model', priority => 50) \gset
SELECT name FROM theazo.provider_set('oldgate', 'model', 'openai', config => '{"baseUrl":"https://old.example/v1"}', priority => 1) \gset
SELECT tst.chain(:'s', '{"model":"anthropic/claude-opus-5-5"}');
SELECT tst.chain(:'s', '{"model":"gpt-4.1"}');
SELECT tst.chain(:'s', '{"model":"meta/llama-4"}');
-- a limit of nothing takes an entry out
SELECT name FROM theazo.provider_set('anthropic', 'model', limits => '{"maxConcurrent":0}') \gset
SELECT tst.chain(:'s', '{"model":"anthropic/claude-opus-5-5"}');
-- mode managed: back to the operator's account of that type, and billed
SELECT name, endpoint, credential_ref FROM theazo.provider_set('anthropic', 'model', mode => 'managed', endpoint => 'https://x.example');
SELECT tst.chain(:'s', '{"model":"anthropic/claude-opus-5-5"}');
-- fallback: the same again for each model
SELECT tst.chain(:'s', '{"model":"anthropic/claude-opus-5-5","modelFallback":["gpt-4.1"]}');
SELECT tst.try(format('SELECT theazo.session_run(%L, NULL, %L, %L)', :'s', 't', c)) FROM unnest(ARRAY['{"modelFallback":"gpt"}', '{"modelFallback":[1]}', '{"modelFallback":["a","b","c","d","e","f","g","h","i"]}',
	'{"modelFallback":[""]}']) c;
-- an agent's own object before all
SELECT tst.chain(:'s', '{"model":{"provider":"openai","baseUrl":"https://mine.example/v1","credentialRef":"k","name":"openai/gpt-5.5"}}');
SELECT tst.chain(:'s', '{"model":{"endpoint":"https://mine.example/v1","model":"llama"}}');
SELECT tst.chain(:'s', '{"model":{"provider":"anthropic","endpoint":"https://mine.example","model":"anthropic/claude-opus-5-5"}}');
SELECT tst.chain(:'s', '{"model":{"credentialRef":"k","model":"anthropic/claude-opus-5-5"}}');
SELECT tst.chain(:'s', '{"model":{"provider":"gate","model":"anthropic/claude-opus-5-5"}}');
SELECT tst.chain(:'s', '{"model":{"provider":"gate","credentialRef":"k","model":"anthropic/claude-opus-5-5"}}');
SELECT tst.chain(:'s', '{"model":{"provider":"theazo","model":"anthropic/claude-opus-5-5"}}');
SELECT tst.chain(:'s', '{"model":{"provider":"nosuch","credentialRef":"k","model":"gpt-4.1"}}');
SELECT tst.chain(:'s', '{"model":{"name":"gpt-4.1"}}');
-- then the session's
SELECT id AS s2 FROM theazo.session_create('user-2', models => '{"provider":"openai-compatible","baseUrl":"https://session.example/v1","credentialRef":"k","model":"qwen"}') \gset
SELECT tst.chain(:'s2');
SELECT tst.chain(:'s2', '{"model":"other"}');
SELECT tst.chain(:'s2', '{"model":{"provider":"gate","model":"x"}}');
SELECT id AS s3 FROM theazo.session_create('user-3', models => '{"model":"gpt-4.1"}') \gset
SELECT tst.chain(:'s3');
SELECT id AS s4 FROM theazo.session_create('user-3', models => '{"config":{"preset":"openrouter"},"credentialRef":"k","model":"x/y"}') \gset
SELECT tst.chain(:'s4');
SELECT c, tst.try(format('SELECT theazo.session_create(%L, models => %L)', 'u', c)) FROM unnest(ARRAY['{"config":{"preset":"nosuch"}}', '{"config":{"api":"soap"}}', '{"config":{"headers":{"x":1}}}',
	'{"config":{"baseUrl":"ftp://x"}}', '{"config":{"path":"x"}}', '{"config":{"headers":[]}}', '{"config":{"supports_stream_usage":"yes"}}']) c;
SELECT c, tst.try(format('SELECT theazo.provider_set(%L, %L, config => %L)', 'x', 'model', c)) FROM unnest(ARRAY['{"preset":"nosuch"}', '{"query":{"a":"b\u0001"}}', '{"deployment":7}']) c;
ROLLBACK;

-- the model of the entry, for agents and sessions that name none
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.operator_provider_set('ours', 'model', 'anthropic', config => '{"model":"claude-haiku-4-5"}') \gset
SELECT tst.chain(:'s');
SELECT name FROM theazo.provider_set('local-llm', 'model', endpoint => 'https://llm.example/v1', config => '{"model":"qwen3"}') \gset
SELECT name FROM theazo.provider_set('another', 'model', endpoint => 'https://another.example/v1', priority => 20) \gset
SELECT tst.chain(:'s');
SELECT name FROM theazo.provider_set('another', 'model', endpoint => 'https://another.example/v1', priority => 200) \gset
SELECT tst.chain(:'s');
SELECT tst.chain(:'s', '{"model":{"provider":"theazo"}}');
SELECT tst.chain(:'s', '{"model":{"provider":"local-llm"}}');
SELECT tst.chain(:'s', '{"model":{"baseUrl":"https://x.example/v1"}}');
SELECT tst.chain(:'s', '{"model":"gpt-4.1"}');
ROLLBACK;

-- a reference that somebody gave who acts for one session opens that session's vault only
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.secret_set('k', 'canary-model-platform') \gset
SELECT id AS d FROM theazo.definition_create('d', '{"model":{"provider":"anthropic","credentialRef":"k","model":"claude-opus-5-5"}}') \gset
SELECT tst.chain(:'s', '{"model":{"provider":"anthropic","credentialRef":"k"}}');
SELECT count(*) FROM theazo.act_as(:'s');
SELECT tst.chain(:'s', '{"model":{"provider":"anthropic","credentialRef":"k"}}');
-- the platform's definition says the same of its own accord
SELECT tst.chain(:'s', jsonb_build_object('definition', :'d'));
SELECT tst.chain(:'s', jsonb_build_object('definition', :'d', 'overrides', '{"model":{"provider":"anthropic","credentialRef":"k","endpoint":"https://mine.example"}}'::jsonb));
SELECT tst.try(format('SELECT theazo.session_run(%L, NULL, %L, %L)', :'s', 't', '{"modelNarrowed":false}'));
-- what is opened: nothing of the platform's
SELECT id AS r FROM theazo.session_run(:'s', NULL, 'hello', '{"model":{"provider":"anthropic","credentialRef":"k"}}') \gset
SELECT platform_id AS ep, root_id AS er, id AS e FROM theazo_data.effect WHERE run_id = :'r' \gset
SELECT tst.try(format('SELECT theazo_internal.effect_secrets(%L, %L, %L)', :'ep', :'er', :'e'));
SELECT name FROM theazo.secret_set('k', 'canary-model-session', :'s') \gset
SELECT use, name, session_id = :'s' AS of_session, owner = :'p' AS of_platform, host FROM theazo_internal.effect_secrets(:'ep', :'er', :'e');
ROLLBACK;

-- where a call goes, and what becomes of it when its entry goes
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.secret_set('k', 'canary-model-platform') \gset
SELECT name FROM theazo.provider_set('az', 'model', endpoint => 'https://r.openai.azure.com', credential_ref => 'k', config => '{"api_version":"2024-10-21","model":"dep"}') \gset
SELECT substr(id, 5) AS root FROM theazo.session_run(:'s', NULL, 'hello') \gset
SELECT theazo_internal.model_endpoint(:'p', :'root') - 'owner';
SELECT id AS e FROM theazo_data.effect WHERE root_id = :'root' \gset
SELECT use, name, host FROM theazo_internal.effect_secrets(:'p', :'root', :'e');
-- the address changes between claim and opening: the credential does not follow
SELECT theazo_internal.model_endpoint(:'p', :'root') AS claimed \gset
SELECT name FROM theazo.provider_set('az', 'model', endpoint => 'https://s.openai.azure.com', credential_ref => 'k', config => '{"model":"dep"}') \gset
SELECT tst.try(format('SELECT theazo_internal.effect_secrets(%L, %L, %L, %L)', :'p', :'root', :'e', :'claimed'));
SELECT name FROM theazo.provider_set('az', 'model', type => 'anthropic', credential_ref => 'k') \gset
SELECT tst.try(format('SELECT theazo_internal.effect_secrets(%L, %L, %L)', :'p', :'root', :'e'));
SELECT name FROM theazo.provider_delete('az', 'model') \gset
SELECT theazo_internal.model_endpoint(:'p', :'root');
SELECT tst.try(format('SELECT theazo_internal.effect_secrets(%L, %L, %L)', :'p', :'root', :'e'));
ROLLBACK;
-- gateways that have an address of their own
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo.platform_allow_egress(:'p', true, true) IS NOT NULL AS open;
CREATE TEMP TABLE r ON COMMIT DROP AS
SELECT c, (theazo.session_run(:'s', NULL, 'hello', jsonb_build_object('model', c::jsonb))).id
  FROM unnest(ARRAY['{"provider":"openai-compatible","credentialRef":"k","model":"x"}', '{"provider":"anthropic","credentialRef":"k","model":"claude-x"}', '{"endpoint":"http://127.0.0.1:4000","model":"x"}']) c;
SELECT r.c, m ->> 'url' AS url, m ->> 'allow_http' AS http FROM r, theazo_internal.model_endpoint(:'p', substr(r.id, 5)) m;
ROLLBACK;

-- a managed call opens the operator's secret; the platform that uses it learns neither its name nor its address
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.operator_secret_set('account', 'canary-model-operator') \gset
SELECT name FROM theazo.operator_provider_set('claude', 'model', 'anthropic', endpoint => 'http://10.0.0.1:8080', credential_ref => 'account') \gset
SELECT substr(id, 5) AS root FROM theazo.session_run(:'s', NULL, 'hello') \gset
SELECT id AS e FROM theazo_data.effect WHERE root_id = :'root' \gset
SELECT m ->> 'url' AS url, m ->> 'provider' AS provider, m ->> 'allow_http' AS http, m ->> 'allow_private' AS private FROM theazo_internal.model_endpoint(:'p', :'root') m;
SELECT use, name, owner = :'op' AS of_operator FROM theazo_internal.effect_secrets(:'p', :'root', :'e');
SELECT count(*) FROM theazo.events WHERE action = 'secret_opened';
SELECT count(*) FROM theazo.providers WHERE kind = 'model';
SELECT provider FROM theazo.steps;
SELECT name FROM theazo.operator_secret_delete('account', true) \gset
SELECT tst.try(format('SELECT theazo_internal.effect_secrets(%L, %L, %L)', :'p', :'root', :'e'));
ROLLBACK;

-- where to go on after a refusal
SELECT cl, res, theazo_internal.model_next('[{"model":"a"},{"model":"a"},{"model":"b"}]', at, cl, res::jsonb)
  FROM (VALUES (0, 'transient', '{}'), (0, 'rate', '{}'), (0, 'quota', '{}'), (0, 'auth', '{}'), (0, 'too_long', '{}'), (0, 'policy', '{}'), (0, 'caller', '{"http_status":400}'),
	(0, 'caller', '{"http_status":404}'), (0, 'caller', '{"http_status":400,"code":"unsupported_parameter"}'), (1, 'policy', '{}'), (2, 'transient', '{}')) v (at, cl, res);
