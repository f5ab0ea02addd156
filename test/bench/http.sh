# shellcheck shell=bash
# Row 9: sessions made over HTTP, by wrk against the gateway: 16 connections and 1, against pgbench inserting the same row and
# against pgbench calling the same function; and against a small server of node and pg. Sourced by run.sh, with its functions and variables.
# shellcheck disable=SC2154

http_load() {				# http_load PORT CONNECTIONS: "requests/s p99 ms"; dies when something else than 201 is answered
	wrk -t1 -c"$2" -d"${seconds}s" --latency -s "$work/http.lua" "http://127.0.0.1:$1/v1/sessions" > "$work/wrk.out"
	if grep -q 'Non-2xx\|Socket errors' "$work/wrk.out"; then
		cat "$work/wrk.out" >&2
		return 1
	fi
	awk '/^Requests\/sec/ { rate = $2 } $1 == "99%" { p = $2; ms = p ~ /us$/ ? p / 1000 : p ~ /ms$/ ? p + 0 : p * 1000 }
		END { print rate, ms }' "$work/wrk.out"
}

# Microseconds of CPU that the whole server has used, those of its processes that ended included.
server_us() {
	local main
	main=$(head -n 1 "$work/data/postmaster.pid")
	# shellcheck disable=SC2046
	cat "/proc/$main/stat" $(pgrep -P "$main" | sed 's,.*,/proc/&/stat,') 2> /dev/null |
		awk -v main="$main" -v hz="$(getconf CLK_TCK)" '{ us += $14 + $15; if ($1 == main) us += $16 + $17 } END { printf "%d\n", us * 1000000 / hz }'
}

http_cpu() {				# http_cpu COMMAND...: microseconds of the server's CPU for each session that it made
	local us made
	made=$(q -c 'SELECT count(*) FROM theazo_data.session')
	us=$(server_us)
	"$@" > /dev/null 2>&1
	us=$(($(server_us) - us))
	echo $((us / ($(q -c 'SELECT count(*) FROM theazo_data.session') - made)))
}

http_rows() {
	local daemon node_port=$((port + 22000)) n
	command -v wrk > /dev/null || {
		echo "row 9 needs wrk: run make deps" >&2
		return 0
	}
	cat > "$work/http.lua" << END
wrk.method = "POST"
wrk.body = '{"userId": "bench"}'
wrk.headers["Authorization"] = "Bearer $key"
wrk.headers["Content-Type"] = "application/json"
END
	q << END
CREATE TABLE bench_session (LIKE theazo_data.session INCLUDING ALL);
CREATE TABLE bench_key AS SELECT platform_id, environment, key_hash FROM theazo_data.api_key;
CREATE UNIQUE INDEX ON bench_key (key_hash);
END
	echo "INSERT INTO bench_session (platform_id, id, user_id, environment) VALUES ('$platform', theazo_internal.id_new('ses'), 'bench', 'production');" \
		> "$work/http.plain.sql"
	echo "SELECT theazo.session_create('bench', api_key => '$key');" > "$work/http.own.sql"
	# Plans are made for tables with rows in them, as autovacuum sees to.
	bench "$work/http.plain.sql" 4 > /dev/null
	http_load "$gateway_port" 4 > /dev/null
	q -c ANALYZE
	for _ in $(seq "$rounds"); do
		for n in 16 1; do
			bench "$work/http.plain.sql" $n >> "$work/http.plain.$n"
			bench "$work/http.own.sql" $n >> "$work/http.function.$n"
			http_load "$gateway_port" $n >> "$work/http.gateway.$n"
		done
		http_cpu "$bindir/pgbench" -n -c 16 -j 1 -T "$seconds" -M prepared -f "$work/http.own.sql" >> "$work/http.function.us"
		http_cpu http_load "$gateway_port" 16 >> "$work/http.gateway.us"
	done
	for n in 16 1; do
		cut -d' ' -f1 "$work/http.gateway.$n" | median > "$work/http.rate.$n"
		row 9 "session create over HTTP, $n connections" "1/s" "$(median < "$work/http.plain.$n")" "$(cat "$work/http.rate.$n")" ">= 0.8"
		row 9f "the same against the function, $n clients" "1/s" "$(median < "$work/http.function.$n")" "$(cat "$work/http.rate.$n")" ">= 0.8"
	done
	row 9u "CPU of the server a session, against the function" us "$(median < "$work/http.function.us")" "$(median < "$work/http.gateway.us")" "<= 1.1"
	absolute 9 "the same, p99, 16 connections" ms "$(cut -d' ' -f2 "$work/http.gateway.16" | median)" 8
	if [ ! -e test/mock/clients/node_modules/pg ]; then
		echo "row 9n needs the module pg: run test/run/clients.sh prepare" >&2
		return 0
	fi
	node test/bench/http.mjs "$node_port" "postgres://$PGUSER@/$PGDATABASE?host=$PGHOST&port=$PGPORT" > "$work/http.node" 2>&1 &
	daemon=$!
	until grep -q ready "$work/http.node"; do
		kill -0 $daemon 2> /dev/null || {
			cat "$work/http.node" >&2
			return 1
		}
		sleep 0.1
	done
	for _ in $(seq "$rounds"); do
		http_load "$node_port" 16 >> "$work/http.peer"
		http_load "$gateway_port" 16 >> "$work/http.gateway"
	done
	kill $daemon
	row 9n "the same against node and pg" "1/s" "$(cut -d' ' -f1 "$work/http.peer" | median)" "$(cut -d' ' -f1 "$work/http.gateway" | median)" ">= 2"
}

if wants 9; then
	http_rows
fi
