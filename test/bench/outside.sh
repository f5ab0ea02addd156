# shellcheck shell=bash
# The rows that leave the server: webhook calls to loopd, commands in a local
# sandbox. Sourced by run.sh, with its functions and variables.
# shellcheck disable=SC2154

# One durable call each: the row goes in, the answer is stored, both committed.
call_request='{"sandbox": "sb", "language": "bash", "code": "true", "timeout_ms": 30000, "env": {}, "max_output": 65536}'

# What the SQL functions do that queue a call: the gate, then the effect.
gated() {
	echo "CASE WHEN theazo_internal.gate('compute.exec', '$platform', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NULL THEN"
}

calls_in() {				# calls_in N ENDPOINT-NAME: queued in one commit
	q -c "SELECT count($(gated) theazo_internal.effect_enqueue('$platform', NULL, 'compute.exec', 'webhook', '$call_request',
			p_provider => '$2') END) FROM generate_series(1, $1)" > /dev/null
}

dispatcher_cpu() {			# microseconds so far, all dispatchers
	local pid sum=0 t
	for pid in $(q -c "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher'"); do
		t=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
		sum=$((sum + t))
	done
	echo $((sum * 1000000 / $(getconf CLK_TCK)))
}

# Seconds from the commit that queues them until the last call is settled.
carry_calls() {				# carry_calls N PROVIDER
	carried "SELECT count($(gated) theazo_internal.effect_enqueue('$platform', NULL, 'compute.exec', 'webhook', '$call_request',
			p_provider => '$2') END) FROM generate_series(1, $1)"
}

http_setup() {
	q -c "SELECT theazo.platform_allow_egress('$platform', true, true)" > /dev/null
	q -c "SELECT theazo.provider_set('fast', endpoint => 'http://127.0.0.1:$port', api_key => '$key')" > /dev/null
	q -c "SELECT theazo.provider_set('slow', endpoint => 'http://127.0.0.1:$port/delay/1000', api_key => '$key')" > /dev/null
}

calls_row() {
	local n=${BENCH_CALLS:-10000} c0 c1 s
	: > "$work/ref"
	: > "$work/own"
	: > "$work/refcpu"
	: > "$work/owncpu"
	for _ in $(seq 1 "$rounds"); do
		"$work/multi" "http://127.0.0.1:$port/" "$n" 200 > "$work/multi.out"
		awk '{ print $1 }' "$work/multi.out" >> "$work/ref"
		awk '{ print $2 }' "$work/multi.out" >> "$work/refcpu"
		c0=$(dispatcher_cpu)
		s=$(carry_calls "$n" fast)
		c1=$(dispatcher_cpu)
		awk -v n="$n" -v s="$s" 'BEGIN { print n / s }' >> "$work/own"
		awk -v n="$n" -v c="$((c1 - c0))" 'BEGIN { print c / n }' >> "$work/owncpu"
	done
	row 2a "outgoing HTTP, durable in and out" "1/s" "$(median < "$work/ref")" "$(median < "$work/own")" ">= 0.5"
	row 2a "CPU of a call" "us" "$(median < "$work/refcpu")" "$(median < "$work/owncpu")" "<= 2"
}

slow_row() {
	: > "$work/ref"
	: > "$work/own"
	for _ in $(seq 1 "$rounds"); do
		"$work/multi" "http://127.0.0.1:$port/delay/1000" 200 200 | awk '{ print $3 }' >> "$work/ref"
		carry_calls 200 slow >> "$work/own"
	done
	row 2b "200 answers of one second" "s" "$(median < "$work/ref")" "$(median < "$work/own")" "<= 1.04"
}

# A fast call while 20 slow ones are out: from its commit to the end of its call.
behind_row() {
	for _ in $(seq 1 20); do
		calls_in 20 slow
		sleep 0.2
		q -c "INSERT INTO bench_mark (id) SELECT $(gated) theazo_internal.effect_enqueue('$platform', NULL, 'compute.exec', 'webhook',
				'$call_request', p_provider => 'fast') END"
		wait_idle
	done
	absolute 2c "a fast call behind 20 slow ones, p50" "ms" "$(q -c "
		SELECT round((1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY
				extract(epoch FROM e.finished_at - pg_xact_commit_timestamp(m.xid::xid))))::numeric, 2)
		  FROM bench_mark m JOIN theazo_data.effect e USING (id) WHERE e.kind = 'compute.exec'")" 5
}

# `true` in the sandbox, from SQL, against one bubblewrap for it.
sandbox_row() {
	local n=${BENCH_EXECS:-100} t0 t1 session agent
	: > "$work/ref"
	: > "$work/own"
	session=$(q -c "SELECT id FROM theazo.session_create('bench', api_key => '$key')")
	agent=$(q -c "SELECT id FROM theazo.agent_create('$session', '{\"provider\": \"theazo\"}', api_key => '$key')")
	q -c "CALL theazo.exec('$agent', 'bash', 'true', api_key => '$key')" > /dev/null
	for _ in $(seq 1 "$n"); do
		t0=$(date +%s%N)
		bwrap --unshare-all --unshare-user --disable-userns --die-with-parent --new-session --as-pid-1 --clearenv --uid 1000 \
			--gid 1000 --cap-drop ALL --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
			--proc /proc --dev /dev --tmpfs /tmp --tmpfs /workspace --remount-ro /dev --remount-ro / --chdir /workspace \
			-- /usr/bin/bash -c true
		t1=$(date +%s%N)
		echo "$t0 $t1" | awk '{ print ($2 - $1) / 1e6 }' >> "$work/ref"
	done
	{
		echo '\timing on'
		for _ in $(seq 1 "$n"); do
			echo "CALL theazo.exec('$agent', 'bash', 'true', api_key => '$key');"
		done
	} | q | awk '/^Time:/ { print $2 }' > "$work/own"
	row 3x "true in a local sandbox from SQL, p50" "ms" "$(median < "$work/ref")" "$(median < "$work/own")" "<= 2"
}

if wants 2a || wants 2b || wants 2c; then
	http_setup
fi
if wants 2a; then
	calls_row
fi
if wants 2b; then
	slow_row
fi
if wants 2c; then
	behind_row
fi
if wants 3x; then
	sandbox_row
fi
