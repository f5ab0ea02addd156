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

# Ten of the streams are followed from SQL; beside them ten are read by hand, without us, as the reference.
stream_row() {
	local session before after own ref hand
	restart_with 1
	stream_setup
	session=$(q -c "SELECT id FROM theazo.session_create('bench', api_key => '$key')")
	before=$(private_kb)
	q -c "SELECT x.id FROM generate_series(1, $streams) i,
			LATERAL (SELECT id FROM theazo.session_run('$session', 'talker', 'Talk ' || i, '{\"model\": \"bench/slow\"}',
				timeout => '10 min', api_key => '$key')) x" > "$work/runs"
	until [ "$(q -c "SELECT count(*) FROM theazo_data.effect WHERE state = 'sent'")" -ge "$streams" ]; do
		sleep 0.5
	done
	awk -v n="$streams" 'NR % (n / 10) == 1' "$work/runs" > "$work/some"
	"$work/follow" -t "$talk_port" 10 > "$work/ref" &
	hand=$!
	timeout $((stream_seconds / 3)) "$work/follow" "$key" < "$work/some" > "$work/own" || true
	after=$(private_kb)
	kill "$hand" "$talkd"
	own=$(percentile 99 "$work/own")
	ref=$(percentile 99 "$work/ref")
	absolute 3s "memory of a stream, $streams open" "KiB" "$(((after - before) / streams))" 64
	absolute 3s "delay of a piece in $(wc -l < "$work/own"), p50" "ms" "$(percentile 50 "$work/own" | awk '{ print $1 / 1000 }')" 5
	absolute 3s "delay of a piece beyond reading by hand, p99" "ms" "$(awk -v a="$own" -v b="$ref" 'BEGIN { print (a - b) / 1000 }')" 5
	wait_idle
	restart_with 2
}

if wants 3s; then
	stream_row
fi
