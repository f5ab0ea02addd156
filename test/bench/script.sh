# shellcheck shell=bash disable=SC2154
# Rows 8s and 8q: agents' code with everything governed, recorded and committed, beside Node's worker_threads doing the same and
# committing nothing. Sourced by run.sh.

script_code="thetazero.log('begun'); const c = await thetazero.read_context('k'); return c"

script_reference() {		# runs per second, the best of several numbers at once
	local n
	for n in 2 4 8; do
		node test/bench/worker.mjs "$seconds" "$n" <<< "$script_code"
	done | sort -g | tail -n 1
}

script_rows() {
	local agent n=${BENCH_SCRIPTS:-400}
	switch on
	agent=$(q -v code="$script_code" -v key="$key" <<< "SELECT id FROM theazo.governed_register('bench', :'code', api_key => :'key');")
	q -c "SELECT FROM theazo.agent_context_set('$agent', 'k', '\"value\"', api_key => '$key')"
	: > "$work/ref"
	: > "$work/own"
	: > "$work/queue"
	echo "CALL theazo.execute('bench', api_key => '$key');" > "$work/script.sql"
	for _ in $(seq 1 "$rounds"); do
		script_reference >> "$work/ref"
		if wants 8s; then
			bench "$work/script.sql" "$clients" >> "$work/own"
		fi
		if wants 8q; then
			carried "SELECT count(theazo.execution_start('bench', api_key => '$key')) FROM generate_series(1, $n)" |
				awk -v n="$n" '{ print n / $1 }' >> "$work/queue"
		fi
	done
	if wants 8s; then
		row 8s "run an agent's code from SQL, $clients clients" "1/s" "$(median < "$work/ref")" "$(median < "$work/own")" ">= 10"
	fi
	if wants 8q; then
		row 8q "the same, queue to settled" "1/s" "$(median < "$work/ref")" "$(median < "$work/queue")" ">= 10"
	fi
}

if wants 8s || wants 8q; then
	script_rows
fi
