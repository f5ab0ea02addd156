\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/try.psql'
\i :include
\set include :abs_srcdir '/sql/include/worker.psql'
\i :include
\set ECHO none
CREATE FUNCTION tst.says(t text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('text', t, 'stop', 'end', 'tool_calls', '[]'::jsonb, 'wire', jsonb_build_object('role', 'assistant', 'content', t)::text,
		'usage', '{"input": 10, "output": 5}'::jsonb)
$$;
CREATE FUNCTION tst.calls(c jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT tst.says('thinking') || jsonb_build_object('stop', 'tool_use',
		'tool_calls', (SELECT jsonb_agg(jsonb_build_object('id', 'call_' || o, 'name', x ->> 0, 'arguments', x -> 1) ORDER BY o)
						 FROM jsonb_array_elements(c) WITH ORDINALITY AS u (x, o)))
$$;
-- a run of an agent with these options whose model calls these tools: its id; what it waits for is in tst.asked
CREATE TABLE tst.asked (n int, id text);
GRANT ALL ON tst.asked TO PUBLIC;
CREATE FUNCTION tst.ask(s text, options jsonb, c jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_run text;
BEGIN
	v_run := (theazo.session_run(s, 'helper', 'Do it', options || '{"model": "openai/gpt-5.4"}')).id;
	PERFORM tst.claim();
	PERFORM tst.settle('model.call', 'done', tst.calls(c));
	DELETE FROM tst.asked;
	INSERT INTO tst.asked SELECT row_number() OVER (ORDER BY x.step_seq), x.id FROM theazo_data.approval x WHERE x.run_id = v_run AND x.status = 'pending';
	RETURN v_run;
END $$;
CREATE FUNCTION tst.nth(p int) RETURNS text LANGUAGE sql AS $$ SELECT a.id FROM tst.asked a WHERE a.n = p $$;
\set ECHO all
SELECT platform AS p, live AS k, test AS t FROM tst.platform('Approvals') \gset
SELECT platform AS p2, live AS k2 FROM tst.platform('Strangers') \gset
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT name FROM theazo.provider_set('gate', 'model', 'openai-compatible', endpoint => 'https://gate.example/v1');
SELECT id AS s FROM theazo.session_create('user-1') \gset
SELECT count(theazo.tool_set('pay', 'Pays.', '{"type": "object", "properties": {"amount": {"type": "integer"}, "to": {"type": "string"}}, "required": ["amount"]}', url => 'https://shop.example/pay', requires_approval => true));
SELECT count(theazo.tool_set('look', 'Looks.', '{"type": "object"}', url => 'https://shop.example/look'));
SELECT key AS boss, id AS boss_id FROM theazo.api_key_create('boss') \gset
SELECT key AS chief FROM theazo.api_key_create('chief') \gset
SELECT key AS reader FROM theazo.api_key_create('reader', scopes => '{approval:read}') \gset
COMMIT;

-- the option
SELECT tst.try(format('SELECT theazo_internal.approvals_check(%L)', o))
  FROM unnest(ARRAY['{"quorum": 0}', '{"quorum": 21}', '{"quorum": "2"}', '{"noSelfApproval": 1}', '{"other": 1}',
	'{"require": ["*"], "timeout": "2h", "quorum": 2, "noSelfApproval": false, "defaultAction": "approve"}']) o;

-- what needs one: a tool by itself, a name, all; what does not goes on at once
SELECT n, theazo_internal.approval_required(o::jsonb, n, x) FROM (VALUES ('pay', NULL, true), ('pay', NULL, false), ('look', '{"require": ["look"]}', false),
	('look', '{"require": ["pay"]}', false), ('look', '{"require": ["*"]}', false), ('look', '{}', false)) v (n, o, x);

-- asked for: the run waits and nothing of it is under way
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay", "look"]}', '[["pay", {"amount": 5, "to": "x"}], ["look", {}]]') AS r \gset
SELECT seq, kind, state, name, output FROM theazo.run_steps(:'r') ORDER BY seq;
SELECT status FROM theazo.run_get(:'r');
SELECT action, params, status, default_action, quorum, no_self_approval, expires_at - requested_at AS time, modifications, reason, resolved_at, resolved_by, used_at,
	params_hash = encode(sha256('{"to": "x", "amount": 5}'), 'hex') AS of_params, length(tool_hash), length(policy_version) FROM theazo.approvals;
SELECT s.state, a.id = s.approval_id AS linked FROM theazo_data.step s JOIN theazo_data.approval a ON a.run_id = 'run_' || s.root_id AND a.step_seq = s.seq;
SELECT action, category, decision, permission_state, tst.mask((summary - 'definition' - 'params' - 'policy')::text) FROM theazo.events WHERE action LIKE 'approval%' ORDER BY id;
SELECT message, metadata ->> 'progress' FROM theazo.logs WHERE message LIKE 'waiting%';
SELECT count(*) FROM theazo.charges WHERE item = 'approval.cycle';
-- who asked does not approve, and neither does a key that follows it
SELECT tst.try(format('SELECT theazo.approval_approve(%L)', tst.nth(1)));
SELECT theazo.authenticate(:'boss');
SELECT key AS follower FROM theazo.api_key_rotate((SELECT id FROM theazo.api_keys WHERE name = 'live')) \gset
SELECT theazo.authenticate(:'follower');
SELECT tst.try(format('SELECT theazo.approval_approve(%L)', tst.nth(1)));
-- nor a key that they make meanwhile, or make out of another one's by rotating it
SELECT theazo.authenticate(:'k');
SELECT key AS late FROM theazo.api_key_create('late') \gset
SELECT theazo.authenticate(:'late');
SELECT key AS later FROM theazo.api_key_create('later') \gset
SELECT tst.try(format('SELECT theazo.approval_approve(%L)', tst.nth(1)));
SELECT theazo.authenticate(:'later');
SELECT tst.try(format('SELECT theazo.approval_approve(%L)', tst.nth(1)));
SELECT key AS taken FROM theazo.api_key_rotate(:'boss_id') \gset
SELECT theazo.authenticate(:'taken');
SELECT tst.try(format('SELECT theazo.approval_approve(%L)', tst.nth(1)));
SELECT k.name, m.name AS made_by FROM theazo.api_keys k JOIN theazo.api_keys m ON k.made_by = 'key:' || m.id WHERE k.name LIKE 'late%' ORDER BY k.name;
-- others do, once
SELECT theazo.authenticate(:'boss');
SELECT status, resolved_by = :'boss_id' AS by_boss, used_at = resolved_at AS used, modified_hash FROM theazo.approval_approve(tst.nth(1), reason => 'fine');
SELECT tst.try(format('SELECT theazo.approval_approve(%L)', tst.nth(1)));
SELECT tst.try(format('SELECT theazo.approval_deny(%L)', tst.nth(1)));
SELECT seq, state, name FROM theazo.run_steps(:'r') WHERE kind = 'tool' ORDER BY seq;
SELECT kind, request -> 'body' -> 'input' AS input FROM theazo_data.effect e JOIN theazo_data.effect_payload p USING (platform_id, root_id, id) WHERE e.run_id = :'r' ORDER BY e.step_seq;
SELECT voted_by = :'boss_id' AS by_boss, verdict, modifications, reason FROM theazo.approval_votes;
SELECT action, decision, permission_state, tst.mask((summary - 'params' - 'waitedMs' - 'by')::text) FROM theazo.events WHERE action = 'approval_resolved';
SELECT item, quantity, cents FROM theazo.charges WHERE item = 'approval.cycle';
SELECT tst.claim();
SELECT tst.settle('tool.webhook', 'done', '{"output": "ok", "status": 200}');
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.says('Paid'));
SELECT status, output, cost >= 1 AS with_fee FROM theazo.run_result(:'r');
SELECT * FROM theazo.integrity_check();
ROLLBACK;

-- denied: the model is told and goes on; a self-denial is possible
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 5}]]') AS r \gset
SELECT status, reason FROM theazo.approval_deny(tst.nth(1), 'too much');
SELECT seq, state, output FROM theazo.run_steps(:'r') ORDER BY seq;
SELECT tst.claim();
SELECT content_of.c FROM tst.claimed, LATERAL (SELECT convert_from(content, 'UTF8') LIKE '%denied: too much%') content_of (c);
SELECT tst.settle('model.call', 'done', tst.says('All right'));
SELECT status, output FROM theazo.run_result(:'r');
SELECT action, decision, summary ->> 'status' FROM theazo.events WHERE action = 'approval_resolved';
ROLLBACK;

-- modified: laid over at the top level, checked against the schema, both hashes kept, and what is sent is what was approved
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 5, "to": "x"}]]') AS r \gset
SELECT theazo.authenticate(:'boss');
SELECT tst.try(format('SELECT theazo.approval_approve(%L, %L::jsonb)', tst.nth(1), m)) FROM unnest(ARRAY['{"amount": "five"}', '[]', '5']) m;
SELECT status, params, modifications, modified_hash = encode(sha256('{"to": "x", "amount": 3}'), 'hex') AS of_modified, params_hash = encode(sha256('{"to": "x", "amount": 5}'), 'hex') AS of_params
  FROM theazo.approval_approve(tst.nth(1), '{"amount": 3}');
SELECT tst.claim();
SELECT request -> 'body' -> 'input' AS sent FROM tst.claimed;
SELECT input FROM theazo.run_steps(:'r') WHERE kind = 'tool';
ROLLBACK;

-- its fee is reserved while people are asked: what cannot be paid is not asked, and the model is told
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT count(theazo.budget_set(1.5));
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 1}], ["pay", {"amount": 2}]]') AS r \gset
SELECT seq, state, output FROM theazo.run_steps(:'r') WHERE kind = 'tool' ORDER BY seq;
SELECT level, spent, reserved, remaining FROM theazo.budget_status;
SELECT category, action, rule, is_violation FROM theazo.events WHERE run_id = :'r' AND decision = 'deny';
SELECT status FROM theazo.approval_deny(tst.nth(1));
SELECT level, spent, reserved, remaining FROM theazo.budget_status;
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.says('Too dear'));
SELECT status, output, cost >= 1 AS with_fee FROM theazo.run_result(:'r');
SELECT level, spent, reserved, remaining FROM theazo.budget_status;
SELECT count(*) FROM theazo_data.reservation x WHERE x.platform_id = :'p';
SELECT * FROM theazo.integrity_check();
ROLLBACK;

-- a quorum of different people for the very same arguments
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"], "approvals": {"quorum": 2, "timeout": "1h"}}', '[["pay", {"amount": 5}]]') AS r \gset
SELECT theazo.authenticate(:'boss');
SELECT status FROM theazo.approval_approve(tst.nth(1), '{"amount": 4}');
SELECT status FROM theazo.approval_approve(tst.nth(1), '{"amount": 4}');
SELECT key AS boss2 FROM theazo.api_key_rotate(:'boss_id') \gset
SELECT theazo.authenticate(:'boss2');
SELECT status FROM theazo.approval_approve(tst.nth(1), '{"amount": 4}');
SELECT theazo.authenticate(:'chief');
SELECT status FROM theazo.approval_approve(tst.nth(1));
SELECT verdict, modifications, count(*) FROM theazo.approval_votes GROUP BY 1, 2 ORDER BY 2;
SELECT status, modifications FROM theazo.approval_approve(tst.nth(1), '{"amount": 4}');
SELECT count(*) FROM theazo.events WHERE action = 'approval_voted';
SELECT tst.claim();
SELECT request -> 'body' -> 'input' AS sent FROM tst.claimed;
ROLLBACK;

-- one that may approve itself
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay", "look"], "approvals": {"require": ["look"], "noSelfApproval": false}}', '[["pay", {"amount": 5}], ["look", {}]]') AS r \gset
SELECT status, action FROM theazo.approval_approve(tst.nth(1));
SELECT status, action FROM theazo.approval_bulk_approve(ARRAY[tst.nth(2), tst.nth(2)]);
SELECT tst.claim();
ROLLBACK;

-- several at once: all or none
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 1}], ["pay", {"amount": 2}], ["pay", {"amount": 3}]]') AS r \gset
SELECT theazo.authenticate(:'boss');
SELECT status FROM theazo.approval_deny(tst.nth(3));
SELECT tst.try(format('SELECT theazo.approval_bulk_approve(%L)', ARRAY[tst.nth(1), tst.nth(2), tst.nth(3)]));
SELECT tst.try(format('SELECT theazo.approval_bulk_approve(%L)', ARRAY[tst.nth(1), 'apr_00000000000000000000000000']));
SELECT tst.try($$SELECT theazo.approval_bulk_deny('{}')$$);
SELECT status, count(*) FROM theazo.approvals GROUP BY 1 ORDER BY 1;
SELECT status, params FROM theazo.approval_bulk_approve(ARRAY[tst.nth(1), tst.nth(2)]) ORDER BY params;
SELECT tst.claim();
ROLLBACK;

-- nobody decides: denied, or what the option says; the run gets the time back
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"], "timeout": "60s"}', '[["pay", {"amount": 1}]]') AS r1 \gset
UPDATE theazo_data.approval SET requested_at = requested_at - interval '2 days', expires_at = clock_timestamp() - interval '1 s';
SELECT theazo_internal.keeper_turn() <= '1 s';
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', tst.nth(1), :'boss'));
SELECT theazo_internal.keeper_approvals();
SELECT theazo_internal.keeper_approvals();
SELECT status, resolved_by, reason, used_at FROM theazo.approvals;
SELECT tst.try(format('SELECT theazo.approval_deny(%L)', tst.nth(1)));
SELECT state, output FROM theazo.run_steps(:'r1') WHERE kind = 'tool';
SELECT l.deadline - clock_timestamp() BETWEEN '47 hours' AND '49 hours' FROM theazo_data.run_loop l WHERE 'run_' || l.root_id = :'r1';
SELECT tst.ask(:'s', '{"tools": ["pay"], "approvals": {"defaultAction": "approve", "timeout": 5}}', '[["pay", {"amount": 1}]]') AS r2 \gset
UPDATE theazo_data.approval SET expires_at = clock_timestamp() - interval '1 s' WHERE status = 'pending';
SELECT theazo_internal.keeper_approvals();
SELECT status, default_action, resolved_by, reason, used_at IS NOT NULL AS used FROM theazo.approvals WHERE run_id = :'r2';
SELECT state FROM theazo.run_steps(:'r2') WHERE kind = 'tool';
SELECT action, decision, summary ->> 'action', summary ->> 'by' FROM theazo.events WHERE action = 'approval_expired' ORDER BY number;
SELECT count(*) FROM theazo.charges WHERE item = 'approval.cycle';
SELECT * FROM theazo.integrity_check();
ROLLBACK;

-- the tool is another one meanwhile: nobody can approve what was not shown
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"], "approvals": {"defaultAction": "approve"}}', '[["pay", {"amount": 1}]]') AS r \gset
SELECT count(theazo.tool_set('pay', 'Pays twice.', '{"type": "object", "properties": {"amount": {"type": "integer"}}}', url => 'https://shop.example/pay', requires_approval => true));
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', tst.nth(1), :'boss'));
SELECT theazo_internal.keeper_approvals();
SELECT status, resolved_by, reason FROM theazo.approvals;
SELECT state, output FROM theazo.run_steps(:'r') WHERE kind = 'tool';
ROLLBACK;
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 1}]]') AS r \gset
-- arguments that somebody changed behind its back
UPDATE theazo_data.step_payload SET input = '{"amount": 100}' WHERE root_id = substr(:'r', 5) AND input IS NOT NULL;
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', tst.nth(1), :'boss'));
UPDATE theazo_data.step_payload SET input = '{"amount": 1}' WHERE root_id = substr(:'r', 5) AND input IS NOT NULL;
UPDATE theazo_data.run_loop SET policy = '{"changed": true}' WHERE root_id = substr(:'r', 5);
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', tst.nth(1), :'boss'));
ROLLBACK;
-- a deleted tool
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 1}]]') AS r \gset
SELECT name FROM theazo.tool_delete('pay');
SELECT theazo_internal.keeper_approvals();
SELECT status, resolved_by FROM theazo.approvals;
ROLLBACK;

-- the run ends otherwise: cancelled, terminated, the session ended
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 1}]]') AS r \gset
SELECT status FROM theazo.run_cancel(:'r');
SELECT status, resolved_by FROM theazo.approvals;
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', tst.nth(1), :'boss'));
SELECT id AS a FROM theazo.agent_create(:'s', '{"tools": ["pay", "look"], "model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'Work') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.calls('[["pay", {"amount": 1}], ["look", {}]]'));
SELECT count(*) FROM theazo.approvals WHERE status = 'pending';
SELECT status FROM theazo.agent_terminate(:'a');
SELECT status FROM theazo.run_get(:'r');
SELECT status, resolved_by FROM theazo.approvals WHERE run_id = :'r';
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 1}]]') AS r \gset
SELECT status FROM theazo.session_terminate(:'s');
SELECT status, resolved_by FROM theazo.approvals WHERE run_id = :'r';
SELECT * FROM theazo.integrity_check();
ROLLBACK;

-- paused: nothing begins, a denial may be told
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"tools": ["pay"], "model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT id AS r FROM theazo.run_start(:'a', 'Work') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.calls('[["pay", {"amount": 1}]]'));
SELECT id AS ap FROM theazo.approval_list(status => 'pending') \gset
SELECT status FROM theazo.agent_pause(:'a');
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', :'ap', :'boss'));
SELECT status FROM theazo.session_pause(:'s');
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', :'ap', :'boss'));
SELECT status FROM theazo.approval_deny(:'ap');
SELECT suspended FROM theazo_data.run_loop WHERE 'run_' || root_id = :'r';
SELECT * FROM theazo.integrity_check();
ROLLBACK;

-- who may look and decide
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 1}]]') AS r \gset
SELECT tst.nth(1) AS ap \gset
SELECT count(*) FROM theazo.approval_list(:'s', 'pending');
SELECT tst.try($$SELECT count(*) FROM theazo.approval_list(status => 'open')$$), tst.try($$SELECT count(*) FROM theazo.approval_list(max_rows => 0)$$), tst.try($$SELECT count(*) FROM theazo.approval_list('ses_00000000000000000000000000')$$);
SELECT tst.try(format('SELECT (theazo.approval_get(%L, %L)).status', :'ap', :'reader'));
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', :'ap', :'reader'));
SELECT tst.try(format('SELECT theazo.approval_get(%L, %L)', :'ap', :'k2'));
SELECT tst.try(format('SELECT theazo.approval_deny(%L, api_key => %L)', :'ap', :'k2'));
SELECT tst.try(format('SELECT theazo.approval_get(%L, %L)', :'ap', :'t'));
SELECT tst.try(format('SELECT theazo.approval_deny(%L, repeat(%L, 2001), api_key => %L)', :'ap', 'x', :'boss'));
SELECT id AS s2 FROM theazo.session_create('user-2', api_key => :'boss') \gset
SELECT theazo.authenticate(:'boss');
SELECT (theazo.act_as(:'s2')).status;
SELECT count(*) FROM theazo.approvals;
SELECT tst.try(format('SELECT theazo.approval_approve(%L)', :'ap'));
SELECT theazo.authenticate(:'boss');
SELECT (theazo.act_as(:'s')).status;
SELECT status FROM theazo.approval_approve(:'ap');
ROLLBACK;
-- whoever acts for a session stays the one that asked, with any key
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT (theazo.act_as(:'s')).status;
SELECT tst.ask(:'s', '{"tools": ["pay"]}', '[["pay", {"amount": 1}]]') AS r \gset
SELECT theazo.authenticate(:'boss');
SELECT (theazo.act_as(:'s')).status;
SELECT tst.try(format('SELECT theazo.approval_approve(%L)', tst.nth(1)));
ROLLBACK;
-- also of what a run asks for that reads what somebody sent, and of what runs ask for that it starts
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"tools": ["pay"], "model": "openai/gpt-5.4"}') \gset
SELECT tst.boot();
SELECT theazo.agent_send(:'a', 'note', 'Pay me', api_key => :'boss');
SELECT id AS r FROM theazo.run_start(:'a', 'Work', api_key => :'k') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.calls('[["pay", {"amount": 1}]]'));
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', id, :'boss')) FROM theazo.approval_list(status => 'pending');
SELECT id AS child FROM theazo.session_run(:'s', 'helper', 'Do it', '{"tools": ["pay"], "model": "openai/gpt-5.4"}', parent => :'r', api_key => :'chief') \gset
SELECT tst.claim();
SELECT tst.settle('model.call', 'done', tst.calls('[["pay", {"amount": 2}]]'));
SELECT id AS ap FROM theazo.approvals WHERE run_id = :'child' \gset
SELECT tst.try(format('SELECT theazo.approval_approve(%L, api_key => %L)', :'ap', k)) FROM unnest(ARRAY[:'k', :'boss', :'chief']) WITH ORDINALITY u (k, o) ORDER BY o;
SELECT cardinality(requesters) FROM theazo_data.approval WHERE id = :'ap';
ROLLBACK;

-- a tool that needs one cannot be tried
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT id AS a FROM theazo.agent_create(:'s', '{"approvals": {"require": ["look"]}}') \gset
SELECT tst.boot();
SELECT tst.try(format('SELECT theazo.tool_test_start(%L, %L, %L::jsonb)', :'a', n, '{"amount": 1}')) FROM unnest('{pay,look}'::text[]) n;
ROLLBACK;

-- waiting: at once when there is something, else for the time given
BEGIN;
SELECT count(*) FROM theazo.approval_wait('10 ms', api_key => :'k');
ROLLBACK;
SELECT tst.try($$SELECT count(*) FROM theazo.approval_wait('-1 s')$$);
SELECT tst.try(format($$SELECT count(*) FROM theazo.approval_wait('-1 s', api_key => %L)$$, :'k'));
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT tst.try(format($$SELECT count(*) FROM theazo.approval_wait('1 s', api_key => %L)$$, :'k'));
ROLLBACK;
BEGIN;
SELECT pg_current_xact_id() IS NOT NULL;
SELECT tst.try(format($$SELECT count(*) FROM theazo.approval_wait('1 s', api_key => %L)$$, :'k'));
ROLLBACK;
DROP FUNCTION tst.says(text), tst.calls(jsonb), tst.ask(text, jsonb, jsonb), tst.nth(int);
DROP TABLE tst.asked;
