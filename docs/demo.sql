-- theazo in one sitting. Type these lines into psql yourself: connected as a superuser or a
-- member of theazo_operator, in the top folder of a checkout (one line reads docs/demo-data.csv).

-- As the operator: a platform, and its first API key. A key is shown once; here psql keeps it.
SELECT id AS platform FROM theazo.platform_create('Acme Analytics') \gset
SELECT key FROM theazo.api_key_create('backend', platform => :'platform') \gset

-- From here on as the platform. A session for one of its end users, and an agent in it.
SELECT id AS session FROM theazo.session_create('user-42', api_key => :'key') \gset
SELECT id AS agent, status, provider, compute FROM theazo.agent_create(:'session', '{"compute": "python"}', api_key => :'key') \gset
\echo agent :agent is :status, compute by :provider

-- A real data file goes into the agent's sandbox: carbon dioxide at Mauna Loa by year.
\set csv `base64 -w0 docs/demo-data.csv`
CALL theazo.file_write(:'agent', 'co2.csv', decode(:'csv', 'base64'), api_key => :'key');

-- Python over it. The call commits, waits without holding anything, and returns what came out.
CALL theazo.exec(:'agent', 'python', $py$
import csv, json
rows = [(int(r["year"]), float(r["co2_ppm"])) for r in csv.DictReader(open("co2.csv"))]
decades = {}
for year, ppm in rows:
    decades.setdefault(year // 10 * 10, []).append(ppm)
growth = {d: round((v[-1] - v[0]) / (len(v) - 1), 2) for d, v in decades.items() if len(v) > 1}
for d, g in growth.items():
    print(f"{d}s  {g:5.2f} ppm a year  {'#' * round(g * 20)}")
json.dump({"years": len(rows), "growth": growth}, open("result.json", "w"))
$py$, api_key => :'key') \gx

-- Shell in the same sandbox: the files are still there.
CALL theazo.exec(:'agent', 'bash', 'echo "lines: $(wc -l < co2.csv)"; sort -t, -k2 -n co2.csv | tail -n 3; ls -l', api_key => :'key') \gx

-- The result file comes back as bytea.
CALL theazo.file_read(:'agent', 'result.json', api_key => :'key') \gset
SELECT jsonb_pretty(convert_from(:'content'::bytea, 'UTF8')::jsonb) AS "result.json";

-- A command that fails is a result like any other.
CALL theazo.exec(:'agent', 'bash', 'cat /etc/shadow; exit 3', api_key => :'key') \gx

-- Everything that happened is an event; what it cost is a charge. Views ask who looks: say so for one transaction.
BEGIN;
SELECT theazo.authenticate(:'key') \gset
SELECT kind, status, language, exit_code, duration_ms, cost FROM theazo.runs WHERE agent_id = :'agent' ORDER BY id;
SELECT occurred_at::time(3) AS at, category, action, actor_kind FROM theazo.events WHERE agent_id = :'agent' ORDER BY id;
SELECT item, quantity, cents, payer FROM theazo.charges WHERE agent_id = :'agent' ORDER BY id;
COMMIT;

-- A secure agent: code behind the kernel's walls that may read what is given to it and keep a note, and nothing else.
SELECT name, status, permissions FROM theazo.secure_agent_configure('co2-watch', jsonb_build_object('sandbox', 'STRICT', 'permissions', '["data:read", "data:write"]'::jsonb, 'entry_code', $js$
const rows = input.csv.trim().split("\n").slice(1).map(l => l.split(",").map(Number));
const [year, ppm] = rows.at(-1);
const seen = (await thetazero.read_context("runs")) ?? 0;
await thetazero.write_context("runs", seen + 1);
await thetazero.log(`${rows.length} years, the last is ${year}`);
try { await thetazero.http_request("https://example.com/") } catch (e) { await thetazero.log(e.message, "warn") }
return {year, ppm, rise: +(ppm - rows[0][1]).toFixed(2), seen};
$js$), api_key => :'key');
CALL theazo.execute('co2-watch', jsonb_build_object('csv', convert_from(decode(:'csv', 'base64'), 'UTF8')), api_key => :'key') \gset secure_
\echo execution :secure_execution_id is :secure_status: :secure_output
SELECT resource_usage, jsonb_pretty(host_call_audit) AS host_calls, isolation ->> 'mode' AS walls FROM theazo.execution_get(:'secure_execution_id', api_key => :'key') \gx
SELECT action, category, is_violation FROM theazo.audit_log(agent => (theazo.governed_get('co2-watch', api_key => :'key')).id, api_key => :'key') ORDER BY id;

-- And nobody can change it unseen: events are sealed into a hash chain and a tree, which can be recomputed any time.
SELECT chain_valid, events, first_seq, last_seq, pending, problem FROM theazo.audit_verify(api_key => :'key');

-- Done: the sandbox goes away with everything in it.
SELECT id, status FROM theazo.agent_terminate(:'agent', api_key => :'key');
