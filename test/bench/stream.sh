# shellcheck shell=bash
# Row 3s: slow streams of models, all on one dispatcher. Sourced by run.sh.
# shellcheck disable=SC2154

streams=${BENCH_STREAMS:-1000}
stream_seconds=${BENCH_STREAM_SECONDS:-90}	# that each of them talks, ten pieces a second
talk_port=$((port + 20000))
talkd=

restart_with() {			# restart_with DISPATCHERS
	q -c "ALTER SYSTEM SET theazo.dispatchers = $1"
	"$bindir/pg_ctl" -D "$work/data" -m fast -w -l "$work/server.log" restart > /dev/null
	until [ "$(q -c "SELECT count(*) FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND state = 'running'")" = "$1" ]; do
		sleep 0.2
	done
}

stream_setup() {
	"${CC:-cc}" -O2 -std=gnu11 -o "$work/talkd" test/bench/talkd.c
	"${CC:-cc}" -O2 -std=gnu11 -o "$work/hearall" test/bench/hearall.c -lcurl
	"${CC:-cc}" -O2 -std=gnu11 -I"$("$bindir/pg_config" --includedir)" -I/usr/include/postgresql -o "$work/follow" test/bench/follow.c -lpq
	"$work/talkd" "$talk_port" 100 $((stream_seconds * 10)) > "$work/talkd.log" 2>&1 &
	talkd=$!
	q > /dev/null << END
SELECT theazo.platform_allow_egress('$platform', true, true);
SELECT theazo.secret_set('slow.key', 'sk-bench-0123456789abcdef0123456789abcdef', api_key => '$key');
SELECT theazo.provider_set('talkd', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$talk_port/v1', credential_ref => 'slow.key',
	api_key => '$key');
END
}

private_kb() {				# of the only dispatcher
	awk '/^RssAnon/ { print $2 }' \
		"/proc/$(q -c "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher'")/status"
}

# The reference reads as many of the same streams by bare libcurl, before: what of the delay is the machine's shows there too.
# Then ten of ours are followed from SQL.
stream_row() {
	local session before after c0 c1 t0 t1 listen=$((stream_seconds / 3))
	restart_with 1
	stream_setup
	"$work/hearall" "$talk_port" "$streams" $((listen / 2)) > "$work/ref" 2> "$work/refcpu"
	session=$(q -c "SELECT id FROM theazo.session_create('bench', api_key => '$key')")
	before=$(private_kb)
	q -c "SELECT x.id FROM generate_series(1, $streams) i,
			LATERAL (SELECT id FROM theazo.session_run('$session', 'talker', 'Talk ' || i, '{\"model\": \"bench/slow\"}',
				timeout => '10 min', api_key => '$key')) x" > "$work/runs"
	until [ "$(q -c "SELECT count(*) FROM theazo_data.effect WHERE state = 'sent'")" -ge "$streams" ]; do
		sleep 0.5
	done
	awk -v n="$streams" 'NR % (n / 10) == 1' "$work/runs" > "$work/some"
	c0=$(dispatcher_cpu)
	t0=$(date +%s%N)
	timeout "$listen" "$work/follow" "$key" < "$work/some" > "$work/own" || true
	c1=$(dispatcher_cpu)
	t1=$(date +%s%N)
	after=$(private_kb)
	kill "$talkd"
	absolute 3s "memory of a stream, $streams open" "KiB" "$(((after - before) / streams))" 64
	for p in 50 99; do
		absolute 3s "delay of a piece beyond bare libcurl, p$p" "ms" \
			"$(awk -v a="$(percentile "$p" "$work/own")" -v b="$(percentile "$p" "$work/ref")" 'BEGIN { print (a - b) / 1000 }')" 5
	done
	# ten pieces a second each
	row 3s "CPU of a piece" "us" "$(cat "$work/refcpu")" \
		"$(awk -v c="$((c1 - c0))" -v t="$((t1 - t0))" -v n="$streams" 'BEGIN { print c / (n * 10 * t / 1e9) }')" "<= 3"
	wait_idle
	restart_with 2
}

if wants 3s; then
	stream_row
fi
