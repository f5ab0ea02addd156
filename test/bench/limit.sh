# shellcheck shell=bash
# Row 6: rate limits. Row 6k: the kill switch, seen from the sockets of the server that was talking and from the processes of
# sandboxes. Sourced by run.sh, with its functions and variables.
# shellcheck disable=SC2154

kill_streams=${BENCH_STREAMS:-1000}
kill_boxes=${BENCH_BOXES:-50}

rate_row() {
	q -c "SELECT theazo.rate_limit_set('provider', 1000000000, 1000000, api_key => '$key')" > /dev/null
	echo "SELECT 1;" > "$work/select1.sql"
	echo "SELECT theazo_internal.rate_take('provider', '$platform', 'hot');" > "$work/rate.sql"
	for _ in $(seq "$rounds"); do
		bench "$work/select1.sql" $clients >> "$work/rate.ref"
		bench "$work/rate.sql" $clients >> "$work/rate.own"
	done
	row 6 "rate checks on one key, $clients clients" "1/s" "$(median < "$work/rate.ref")" "$(median < "$work/rate.own")" ">= 0.92"
	"${CC:-cc}" -O2 -std=gnu11 -I"$("$bindir/pg_config" --includedir)" -I/usr/include/postgresql -o "$work/backend" test/bench/backend.c -lpq
	"$work/backend" 25 4000 "SELECT 1" "SELECT theazo_internal.rate_take('provider', '$platform', 'hot')" > "$work/rate.cpu"
	row 6 "the same, CPU of a backend" "us" "$(sed -n 1p "$work/rate.cpu")" "$(sed -n 2p "$work/rate.cpu")" "<= 1.09"
}

kill_row() {
	local session halted last_ms port=$((port + 21000)) daemon
	"${CC:-cc}" -O2 -std=gnu11 -o "$work/talkd" test/bench/talkd.c
	"$work/talkd" "$port" 100 100000 > "$work/cuts" 2>&1 &
	daemon=$!
	q > /dev/null << END
SELECT theazo.platform_allow_egress('$platform', true, true);
SELECT theazo.provider_set('endless', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1', priority => 1, api_key => '$key');
ALTER SYSTEM SET theazo.sandbox_max = 100;
ALTER SYSTEM SET theazo.sandbox_memory = '64MB';
SELECT pg_reload_conf();
END
	session=$(q -c "SELECT id FROM theazo.session_create('bench-kill', api_key => '$key')")
	q -c "SELECT count(theazo.session_run('$session', 'talker', 'Talk ' || i, '{\"model\": \"bench/slow\"}', timeout => '10 min', api_key => '$key'))
			FROM generate_series(1, $kill_streams) i" > /dev/null
	q -c "SELECT count(theazo.agent_create('$session', '{\"provider\": \"theazo\"}', api_key => '$key')) FROM generate_series(1, $kill_boxes)" > /dev/null
	until [ "$(q -c "SELECT count(*) FROM theazo_data.agent WHERE session_id = '$session' AND NOT one_shot AND status = 'booting'")" = 0 ]; do
		sleep 0.2
	done
	q -c "SELECT count(theazo.exec_start(a.id, 'sh', 'exec sleep 4711', timeout => '10 min', api_key => '$key'))
			FROM theazo_data.agent a WHERE a.session_id = '$session' AND NOT a.one_shot AND a.status = 'ready'" > /dev/null
	until [ "$(q -c "SELECT count(*) FROM theazo_data.effect WHERE session_id = '$session' AND state = 'sent'")" -ge $((kill_streams + kill_boxes)) ]; do
		sleep 0.2
	done
	q -c "SELECT id FROM theazo.halt('bench', api_key => '$key')" > "$work/halt"
	while pgrep -f 'sleep 471[1]' > /dev/null; do
		:
	done
	last_ms=$(($(date +%s%N) / 1000000))
	until [ "$(q -c "SELECT applied_at IS NOT NULL FROM theazo_data.halt WHERE id = '$(cat "$work/halt")'")" = t ]; do
		sleep 0.2
	done
	halted=$(q -c "SELECT round(1000 * extract(epoch FROM halted_at)) FROM theazo_data.halt WHERE id = '$(cat "$work/halt")'")
	kill "$daemon"
	awk -v at="$halted" '/^cut/ { print $2 / 1000 - at }' "$work/cuts" > "$work/cut"
	if [ "$(wc -l < "$work/cut")" -lt "$kill_streams" ]; then
		echo "bench: only $(wc -l < "$work/cut") streams were cut" >&2
	fi
	absolute 6k "halt to the end of a stream, p99 of $kill_streams" "ms" "$(percentile 99 "$work/cut")" 250
	absolute 6k "halt to the last process of $kill_boxes sandboxes" "ms" "$((last_ms - halted))" 250
	absolute 6k "halt until nothing is left, in rows" "ms" "$(q -c "SELECT halt_ms FROM theazo_data.halt WHERE id = '$(cat "$work/halt")'")" 30000
	q -c "SELECT theazo.unhalt('$key')" > /dev/null
}

if wants 6; then
	rate_row
fi
if wants 6k; then
	kill_row
fi
