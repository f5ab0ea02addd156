-- The same in the hands of a model: an agent with a task, tools and a sandbox. make demo runs this when it finds a model; it sets
-- provider, endpoint, model (and has_key when a key is needed).

SELECT id AS platform FROM theazo.platform_create('Acme with a model') \gset
SELECT key FROM theazo.api_key_create('backend', platform => :'platform') \gset

-- The provider's key goes into the vault as a parameter, so that it stands in no statement; the entry names it only.
\if :has_key
\setenv THEAZO_DEMO_API_KEY :key
\! test/run/secret.py model-key
SELECT nullif('model-key', '') AS credential \gset
\endif
-- A server on this machine is private and plain http: the operator allows that for this platform.
SELECT allow_http, allow_private FROM theazo.platform_allow_egress(:'platform', allow_http => :'endpoint' LIKE 'http:%', allow_private => :'endpoint' <> '');
SELECT name, type, mode, endpoint, credential_ref FROM theazo.provider_set(:'provider', kind => 'model', endpoint => nullif(:'endpoint', ''),
    credential_ref => nullif(:'credential', ''), config => jsonb_build_object('model', :'model'), api_key => :'key');

-- An agent for one of the platform's end users, with a file in its sandbox.
SELECT id AS session FROM theazo.session_create('user-42', api_key => :'key') \gset
SELECT id AS agent, model FROM theazo.agent_create(:'session', '{"tools": ["run_code", "read_file", "list_files", "report_progress"],
    "instructions": "You work in a sandbox with Python. Compute with run_code, never in your head. Answer in two sentences."}', api_key => :'key') \gset
\set csv `base64 -w0 docs/demo-data.csv`
CALL theazo.file_write(:'agent', 'co2.csv', decode(:'csv', 'base64'), api_key => :'key');

-- The task. The call commits, waits without holding anything, and returns the answer.
CALL theazo.run(:'agent', 'The file co2.csv has columns year and co2_ppm. By how many ppm a year did it grow on average since the year 2000?',
    max_cost => 50, timeout => '180 s', api_key => :'key') \gset
SELECT output, usage, cost, duration_ms FROM theazo.run_result(:'run_id', api_key => :'key') \gx

-- Each step is a row: calls of the model with their tokens, calls of tools with what went in and came out.
SELECT seq, kind, name, state, left(input::text, 60) AS input, left(output, 60) AS output FROM theazo.run_steps(:'run_id', api_key => :'key');
BEGIN;
SELECT theazo.authenticate(:'key') \gset
SELECT item, provider, model, quantity, input_tokens, output_tokens, cents, payer FROM theazo.charges WHERE run_id = :'run_id' ORDER BY id;
COMMIT;
SELECT id, status FROM theazo.agent_terminate(:'agent', api_key => :'key');
