# shellcheck shell=bash
# Agent runs of five tool rounds against the model without latency in loopd: rows 1e, 3a, 3b.
# Sourced by run.sh, with its functions and variables.
# shellcheck disable=SC2154

models_setup() {
	q > /dev/null << END
CREATE TABLE bench_step (run uuid, seq integer, kind text, input jsonb, output jsonb, tokens integer, at timestamptz DEFAULT now(), PRIMARY KEY (run, seq));
SELECT theazo.platform_allow_egress('$platform', true, true);
SELECT theazo.provider_set('bench', kind => 'model', endpoint => 'http://127.0.0.1:$port/v1', config => '{"model": "bench-1"}', api_key => '$key');
END
	models_session=$(q -c "SELECT id FROM theazo.session_create('bench', api_key => '$key')")
	# A step by hand: one row, one commit. Six of them are a run.
	cat > "$work/step.sql" << 'END'
INSERT INTO bench_step (run, seq, kind, input, output, tokens)
VALUES (gen_random_uuid(), 1, 'model', '{"role": "assistant", "content": null, "tool_calls": [{"id": "call_1"}]}', '[{"role": "tool", "content": "ok"}]', 220);
END
	# Each client has one run under way: start, wait, next.
	cat > "$work/run.sql" << END
SELECT id AS run FROM theazo.session_run('$models_session', 'bench', 'Work in five steps.', '{"tools": ["report_progress"]}', api_key => '$key') \\gset
SELECT status FROM theazo.run_wait(:run, api_key => '$key');
END
}

# CPU milliseconds of the server so far: what lives, and what the postmaster has seen end.
server_cpu() {
	local main pid sum t
	main=$(head -n 1 "$work/data/postmaster.pid")
	sum=$(awk '{ print $14 + $15 + $16 + $17 }' "/proc/$main/stat")
	for pid in $(pgrep -P "$main"); do
		t=$(awk '{ print $14 + $15 }' "/proc/$pid/stat" 2> /dev/null || echo 0)
		sum=$((sum + t))
	done
	echo $((sum * 1000 / $(getconf CLK_TCK)))
}

# own_runs CLIENTS: runs per second; CPU of client and server per run goes to owncpu, 11 steps a run
own_runs() {
	local c0 c1 n0 n1
	n0=$(q -c "SELECT count(*) FROM theazo_data.run WHERE platform_id = '$platform' AND kind = 'agent' AND status = 'completed'")
	c0=$(server_cpu)
	TIMEFORMAT='%U %S'
	{ time "$bindir/pgbench" -n -c "$1" -j 2 -T "$seconds" -M prepared -f "$work/run.sql" > "$work/pgbench.out" 2> "$work/pgbench.err"; } 2> "$work/client"
	c1=$(server_cpu)
	n1=$(q -c "SELECT count(*) FROM theazo_data.run WHERE platform_id = '$platform' AND kind = 'agent' AND status = 'completed'")
	awk -v c="$((c1 - c0))" -v n="$((n1 - n0))" '{ print ($1 * 1000 + $2 * 1000 + c) / n }' "$work/client" >> "$work/owncpu"
	awk '/^tps/ { print $3 }' "$work/pgbench.out"
}

steps_row() {
	: > "$work/ref"
	: > "$work/own"
	for _ in $(seq 1 "$rounds"); do
		bench "$work/step.sql" 16 >> "$work/ref"
		own_runs 16 | awk '{ print $1 * 11 }' >> "$work/own"
	done
	row 1e "durable steps, 16 runs at once" "1/s" "$(median < "$work/ref")" "$(median < "$work/own")" ">= 0.5"
}

runs_row() {
	local n c0 c1
	[ -e test/mock/clients/node_modules/pg ] || {
		echo "bench: rows 3a and 3b need the openai client: make deps" >&2
		return 1
	}
	: > "$work/ref"
	: > "$work/own"
	: > "$work/owncpu"
	: > "$work/http"
	: > "$work/node"
	: > "$work/nodecpu"
	for _ in $(seq 1 "$rounds"); do
		bench "$work/step.sql" 8 | awk '{ print $1 / 6 }' >> "$work/ref"
		"$work/multi" "http://127.0.0.1:$port/v1/chat/completions" 12000 8 '{"model":"bench-1","stream":true,"messages":[]}' |
			awk '{ print $1 / 6 }' >> "$work/http"
		n=$((seconds * 100))
		c0=$(server_cpu)
		node test/mock/clients/openai_loop.mjs "http://127.0.0.1:$port/v1" "$n" 8 > "$work/node.out"
		c1=$(server_cpu)
		awk '{ print $1 }' "$work/node.out" >> "$work/node"
		awk -v c="$((c1 - c0))" -v n="$n" '{ print $2 + c / n }' "$work/node.out" >> "$work/nodecpu"
		own_runs 8 >> "$work/own"
	done
	row 3a "agent runs, 8 at once; openai client" "1/s" "$(median < "$work/node")" "$(median < "$work/own")" ">= 5"
	row 3a "the same; six bare commits a run" "1/s" "$(median < "$work/ref")" "$(median < "$work/own")" ">= 0.5"
	row 3a "the same; six bare calls a run (libcurl)" "1/s" "$(median < "$work/http")" "$(median < "$work/own")" ">= 0.1"
	row 3b "CPU of a run, client and server" "ms" "$(median < "$work/nodecpu")" "$(median < "$work/owncpu")" "<= 0.167"
}

if wants 1e || wants 3a || wants 3b; then
	models_setup
fi
if wants 1e; then
	steps_row
fi
if wants 3a || wants 3b; then
	runs_row
fi
