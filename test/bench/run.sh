#!/bin/bash
# Prints reference, theazo and ratio for the rows of docs/performance.md, measured
# in turn in one run on one private server with fsync on.
#
#	run.sh BINDIR [ROW...]		rows: 1a 1b 1c 1d 1e 2a 2b 2c 3a 3b 3s 3x 3d 3e 3f 4a 4b 5a 5b 5c 6 6g 6k 8 8s 8q 8c 8w 9
#
# BENCH_SECONDS: length of a timed row (5); BENCH_ROUNDS: interleaved rounds, the median counts (3).
set -eu
cd "$(dirname "$0")/../.."
. test/run/tmpserver.sh

bindir=$1
shift
seconds=${BENCH_SECONDS:-5}
rounds=${BENCH_ROUNDS:-3}
rows=${*:-1a 1b 1c 1d 1e 2a 2b 2c 3a 3b 3s 3x 3d 3e 3f 4a 4b 5a 5b 5c 6 6g 6k 8 8s 8q 8c 8w 9}
clients=8

gateway_port=$((42000 + $$ % 10000))
work=$(mktemp -d "${TMPDIR:-/var/tmp}/theazo-bench.XXXXXX")
loopd=
cleanup() {
	[ -z "$loopd" ] || kill "$loopd" 2> /dev/null || true
	tmp_server_stop
	rm -rf "$work"
}
trap cleanup EXIT

cat > "$work/bench.conf" << END
shared_preload_libraries = 'theazo'
fsync = on
synchronous_commit = on
shared_buffers = 512MB
max_wal_size = 8GB
checkpoint_timeout = 30min
track_commit_timestamp = on
max_worker_processes = 20
max_connections = 50
theazo.dispatchers = 2
theazo.gateway_workers = 2
theazo.gateway_listen = '127.0.0.1:$gateway_port'
theazo.egress_allow_http = on
theazo.egress_allow_private = on
theazo.master_key_file = '$work/master.key'
END
(umask 077 && openssl rand -hex 32 > "$work/master.key")

cc=${CC:-cc}
"$cc" -O2 -std=gnu11 -o "$work/loopd" test/bench/loopd.c
"$cc" -O2 -std=gnu11 -o "$work/multi" test/bench/multi.c -lcurl
"$cc" -O2 -std=gnu11 -I"$("$bindir/pg_config" --includedir)" -I/usr/include/postgresql -o "$work/listen" test/bench/listen.c -lpq
tmp_server_start "$bindir" "$work" "$work/bench.conf" || {
	tail -n 20 "$work"/*.log >&2
	exit 1
}
port=$((20000 + $$ % 20000))
"$work/loopd" "$port" > "$work/loopd.log" 2>&1 &
loopd=$!

q() {
	"$bindir/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

# Work is done by one database's workers; the references have tables of their own there.
q << END
CREATE TABLE bench_plain (LIKE theazo_data.effect INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE bench_plain ADD PRIMARY KEY (platform_id, root_id, id);
CREATE INDEX ON bench_plain (platform_id, due_at) WHERE state = 'queued';
CREATE TABLE bench_queue (id bigserial PRIMARY KEY, payload jsonb NOT NULL, due_at timestamptz NOT NULL DEFAULT now(),
	attempts integer NOT NULL DEFAULT 0, state "char" NOT NULL DEFAULT 'r');
CREATE INDEX ON bench_queue (due_at, id) WHERE state = 'r';
CREATE TABLE bench_listen (id bigserial PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	state "char" NOT NULL DEFAULT 'r', started_at timestamptz);
CREATE INDEX ON bench_listen (id) WHERE state = 'r';
CREATE TABLE bench_mark (id text PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id());
END
platform=$(q -c "SELECT id FROM theazo.platform_create('bench')")
key=$(q -c "SELECT key FROM theazo.api_key_create('bench', platform => '$platform')")
# bulk loads show the key with every row
q -c "SELECT theazo.operator_rate_limit_set('key', 1000000000, 1000000, platform => '$platform')" > /dev/null

switch() {					# switch on | off: the engine
	q -c "ALTER SYSTEM SET theazo.enabled = $1" -c 'SELECT pg_reload_conf()' > /dev/null
	sleep 0.5
}

wait_idle() {				# until nothing is queued or in flight
	local left
	for _ in $(seq 1 6000); do
		left=$(q -c "SELECT 1 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent') LIMIT 1")
		[ -n "$left" ] || return 0
		sleep 0.02
	done
	echo "bench: work did not end" >&2
	return 1
}

bench() {					# bench SCRIPT CLIENTS: transactions per second
	"$bindir/pgbench" -n -c "$2" -j 2 -T "$seconds" -M prepared -f "$1" 2> /dev/null |
		awk '/^tps/ { print $3 }'
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

row() {						# row NAME WHAT UNIT REFERENCE THEAZO AIM
	awk -v name="$1" -v what="$2" -v unit="$3" -v ref="$4" -v own="$5" -v aim="$6" 'BEGIN {
		ratio = ref > 0 ? own / ref : 0
		split(aim, a, " ")
		ok = a[1] == ">=" ? ratio >= a[2] : ratio <= a[2]
		printf "%-3s %-44s %12.4g %12.4g %8.2f   %-8s %s\n", name, what " (" unit ")", ref, own, ratio, aim, ok ? "met" : "MISSED"
	}'
}

absolute() {				# absolute NAME WHAT UNIT OWN CEILING
	awk -v name="$1" -v what="$2" -v unit="$3" -v own="$4" -v max="$5" 'BEGIN {
		printf "%-3s %-44s %12s %12.4g %8s   <= %-5s %s\n", name, what " (" unit ")", "", own, "", max, own <= max ? "met" : "MISSED"
	}'
}

wants() {
	case " $rows " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

cat > "$work/plain1.sql" << END
INSERT INTO bench_plain (platform_id, root_id, id, kind, adapter, instance)
SELECT '$platform', substr(x, 5), x, 'probe.noop', 'noop', theazo_internal.instance() FROM theazo_internal.id_new('eff') x;
END
cat > "$work/plain100.sql" << END
INSERT INTO bench_plain (platform_id, root_id, id, kind, adapter, instance)
SELECT '$platform', substr(x, 5), x, 'probe.noop', 'noop', theazo_internal.instance()
  FROM (SELECT theazo_internal.id_new('eff') AS x FROM generate_series(1, 100)) i;
END
cat > "$work/own1.sql" << END
SELECT theazo_internal.effect_enqueue('$platform', NULL, 'probe.noop', 'noop');
END
cat > "$work/own100.sql" << END
SELECT theazo_internal.effect_enqueue_many('$platform', 'probe.noop', 'noop', array_fill(NULL::jsonb, ARRAY[100]));
END
cat > "$work/take100.sql" << 'END'
WITH j AS (SELECT id FROM bench_queue WHERE state = 'r' AND due_at <= now() ORDER BY due_at, id LIMIT 100 FOR UPDATE SKIP LOCKED)
DELETE FROM bench_queue USING j WHERE bench_queue.id = j.id RETURNING bench_queue.id;
END

printf '%-3s %-44s %12s %12s %8s   %-8s\n' row what reference theazo ratio aim

enqueue_row() {				# enqueue_row NAME WHAT PLAIN OWN TIMES AIM
	: > "$work/ref"
	: > "$work/own"
	switch off
	for _ in $(seq 1 "$rounds"); do
		bench "$3" "$clients" >> "$work/ref"
		bench "$4" "$clients" >> "$work/own"
		# The queue is emptied by hand: carrying it is row 1c.
		q -c 'TRUNCATE bench_plain' -c "UPDATE theazo_data.effect SET state = 'done' WHERE state = 'queued'" -c 'VACUUM theazo_data.effect'
	done
	switch on
	row "$1" "$2" "1/s" "$(median < "$work/ref" | awk -v n="$5" '{ print $1 * n }')" \
		"$(median < "$work/own" | awk -v n="$5" '{ print $1 * n }')" "$6"
}

# Queues in one transaction what the statement says; seconds from its commit until the last of it is settled.
carried() {					# carried STATEMENT
	local mark
	mark="batch $(date +%s%N)"
	q > /dev/null << END
BEGIN;
INSERT INTO bench_mark (id) VALUES ('$mark');
$1;
COMMIT;
END
	wait_idle
	q -c "SELECT extract(epoch FROM max(e.finished_at) - pg_xact_commit_timestamp(m.xid::xid))
			FROM bench_mark m JOIN theazo_data.effect e ON e.finished_at > pg_xact_commit_timestamp(m.xid::xid)
		   WHERE m.id = '$mark' GROUP BY m.xid"
}

carry_row() {
	local n=${BENCH_CARRY:-50000} per
	: > "$work/ref"
	: > "$work/own"
	for _ in $(seq 1 "$rounds"); do
		q -c "INSERT INTO bench_queue (payload) SELECT '{\"n\": 1}' FROM generate_series(1, $n)" -c 'VACUUM ANALYZE bench_queue'
		per=$((n / 100 / 2))
		"$bindir/pgbench" -n -c 2 -j 2 -t "$per" -M prepared -f "$work/take100.sql" 2> /dev/null |
			awk '/^tps/ { print $3 * 100 }' >> "$work/ref"
		carried "SELECT cardinality(theazo_internal.effect_enqueue_many('$platform', 'probe.noop', 'noop', array_fill(NULL::jsonb, ARRAY[$n])))" |
			awk -v n="$n" '{ print n / $1 }' >> "$work/own"
	done
	row 1c "carry no-op effects, queue to settled" "1/s" "$(median < "$work/ref")" "$(median < "$work/own")" ">= 0.4"
}

# From the commit record of the row to the worker's stamp of taking it.
start_row() {
	local n=200 pid
	"$work/listen" "$n" > "$work/listen.log" &
	pid=$!
	sleep 0.5
	for _ in $(seq 1 "$n"); do
		echo "WITH x AS (INSERT INTO bench_listen DEFAULT VALUES RETURNING 1) SELECT pg_notify('bench', '') FROM x \\g /dev/null"
		echo "SELECT pg_sleep(0.015) \\g /dev/null"
	done | q
	wait "$pid"
	for _ in $(seq 1 "$n"); do
		echo "INSERT INTO bench_mark (id) SELECT theazo_internal.effect_enqueue('$platform', NULL, 'probe.noop', 'noop');"
		echo "SELECT pg_sleep(0.015) \\g /dev/null"
	done | q
	wait_idle
	q -c "SELECT round(1000 * extract(epoch FROM started_at - pg_xact_commit_timestamp(xid::xid)), 3) FROM bench_listen" > "$work/ref"
	q -c "SELECT round(1000 * extract(epoch FROM e.claimed_at - pg_xact_commit_timestamp(m.xid::xid)), 3)
			FROM bench_mark m JOIN theazo_data.effect e USING (id)" > "$work/own"
	row 1d "commit to start, p50" "ms" "$(percentile 50 "$work/ref")" "$(percentile 50 "$work/own")" "<= 0.5"
	row 1d "commit to start, p99" "ms" "$(percentile 99 "$work/ref")" "$(percentile 99 "$work/own")" "<= 0.5"
}

percentile() {
	sort -g "$2" | awk -v p="$1" '{ v[NR] = $1 } END { i = int((NR * p + 99) / 100); print v[i < 1 ? 1 : i] }'
}

if wants 1a; then
	enqueue_row 1a "enqueue, one per commit, $clients clients" "$work/plain1.sql" "$work/own1.sql" 1 ">= 0.9"
fi
if wants 1b; then
	enqueue_row 1b "enqueue, 100 per commit, $clients clients" "$work/plain100.sql" "$work/own100.sql" 100 ">= 0.7"
fi
if wants 1c; then
	carry_row
fi
if wants 1d; then
	start_row
fi
. test/bench/outside.sh
. test/bench/stream.sh
. test/bench/vault.sh
. test/bench/models.sh
. test/bench/audit.sh
. test/bench/gate.sh
. test/bench/limit.sh
. test/bench/safety.sh
. test/bench/runner.sh
. test/bench/script.sh
. test/bench/http.sh
if wants 8w; then
	. test/bench/webhook.sh
fi
if wants 3d || wants 3e || wants 3f; then
	. test/bench/box.sh
fi
