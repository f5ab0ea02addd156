# shellcheck shell=bash
# What a decision of the gate costs. Sourced by run.sh, with its functions and variables.
# shellcheck disable=SC2154

# A platform that uses all of it: rules, labels, limits at every level, budgets, guardrails, a halt of somebody else.
gate_setup() {
	q -v "k=$key" << 'SQL' > /dev/null
BEGIN;
SELECT theazo.authenticate(:'k');
SELECT theazo.provider_set('bench_gate', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:1/v1');
SELECT theazo.permission_rule_set('deny', tool => 'tool_' || i, path => NULL, host => 'h' || i || '.example') FROM generate_series(1, 20) i;
SELECT theazo.flow_label_set('label' || i, 'tool', 'source_' || i) FROM generate_series(1, 5) i;
SELECT theazo.flow_rule_set('label' || i, 'host', 'sink' || i || '.example') FROM generate_series(1, 5) i;
SELECT theazo.rate_limit_set(s, 1000000000, 1000000) FROM unnest(ARRAY['key', 'session', 'agent', 'run', 'provider', 'platform']) s;
SELECT theazo.budget_set(1000000);
SELECT theazo.user_budget_set(1000000);
SELECT theazo.guardrails_set('{"contentFilter": "strict", "blockPII": true, "promptInjection": true}');
SELECT id AS s FROM theazo.session_create('bench-gate') \gset
SELECT id AS other FROM theazo.session_create('bench-halted') \gset
SELECT agent_id AS a, id AS r FROM theazo.session_run(:'s', 'bench', 'Begin.', '{"permissions": "FULL", "network": {"enabled": true}}') \gset
SELECT theazo.kill(:'other', 'bench');
COMMIT;
CREATE TABLE bench_gate AS SELECT :'s' AS s, :'a' AS a, :'r' AS r;
SQL
}

# Microseconds of one call of an expression over bench_gate g and run_loop l.
gate_cost() {				# gate_cost EXPRESSION
	q -c "SET jit = off" -c "
WITH t AS MATERIALIZED (SELECT clock_timestamp() AS t0),
c AS MATERIALIZED (SELECT count($1) FROM t, bench_gate g JOIN theazo_data.run_loop l ON l.root_id = substr(g.r, 5), generate_series(1, 20000))
SELECT 1e6 * extract(epoch FROM clock_timestamp() - t.t0) / 20000 FROM t, c"
}

gate_row() {
	local text
	text=$(awk 'BEGIN { for (i = 0; i < 20; i++) printf "the quick brown fox jumps over the lazy dog by the river "; }' | cut -c1-1024)
	gate_setup
	wait_idle
	gate_cost "theazo_internal.gate('http.get', l.platform_id, 'live', g.s, g.a, g.r, NULL, l.policy, ARRAY['label1', 'label2'], 'bench', 'http_fetch', NULL, 'host.example')" > "$work/gate"
	gate_cost "theazo_internal.budget_check(l.platform_id, 'live', g.s, 'bench-gate', g.a, false)" > "$work/budget"
	gate_cost "theazo_internal.safety_scan(l.platform_id, '$text', 'strict', true, true)" > "$work/scan"
	[ -z "${BENCH_VERBOSE:-}" ] || head "$work/gate" "$work/budget" "$work/scan" >&2
	absolute 6g "gate: kill switch, permissions, rates" "us" "$(cat "$work/gate")" 50
	absolute 6g "gate: with budgets and 1 KB of text scanned" "us" "$(cat "$work/gate" "$work/budget" "$work/scan" | awk '{ s += $1 } END { print s }')" 50
}

if wants 6g; then
	gate_row
fi
