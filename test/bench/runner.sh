# shellcheck shell=bash disable=SC2154
# Row 8: the program that runs agents' code, alone, beside worker threads of Node that do the same. Sourced by run.sh.

runner_cli() {
	"$work/runnercli" --runner ./theazo-runner --spares 2 "$@"
}

runner_median() {			# runner_median N < CODE: microseconds
	runner_cli bench "$1" | awk '/^median_us/ { print $2 }'
}

spares_below() {		# spares_below PID: how many programs wait for code below it, and the KiB that are resident of the largest
	ps -e -o pid=,ppid=,rss= | awk -v root="$1" '{ up[$1] = $2; rss[$1] = $3; below[$2]++ }
		END { for (p in up) { if (below[p]) continue; for (a = p; a != root && a in up; a = up[a]);
			if (a == root && p != root) { n++; if (rss[p] > most) most = rss[p] } } print n + 0, most + 0 }'
}

spare_memory() {			# KiB that are resident of a program which waits for code, once both do and neither grows
	local cli now='' before
	mkfifo "$work/jobs"
	runner_cli batch < "$work/jobs" > /dev/null &
	cli=$!
	exec 9> "$work/jobs"
	echo '{"code": "return 1"}' >&9
	for _ in $(seq 100); do
		before=$now
		now=$(spares_below "$cli")
		[[ $now == "2 "* && $now == "$before" ]] && break
		sleep 0.1
	done
	exec 9>&-
	wait "$cli"
	rm "$work/jobs"
	[[ $now == "2 "* ]] || echo "row 8m: no two programs waited for code" >&2
	echo "${now#* }"
}

runner_rows() {
	local small="thetazero.log('begun'); const c = await thetazero.read_context('k'); return c"
	local heavy='let s = 0; for (let i = 0; i < 5e6; i++) s = (s * 31 + i) % 1000003; return s'
	"$cc" -O2 -std=gnu11 -D_GNU_SOURCE -Isrc -o "$work/runnercli" test/runner/runnercli.c src/runner/*.c src/http/mux.c \
		src/lib/{status,buf,utf8,json,sign,spawn}.c -ljansson -lcrypto
	: > "$work/ref"
	: > "$work/own"
	for _ in $(seq 1 "$rounds"); do
		node test/bench/worker.mjs 40 <<< "$small" >> "$work/ref"
		runner_median 400 <<< "$small" >> "$work/own"
	done
	row 8 "a small agent's run, p50" us "$(median < "$work/ref")" "$(median < "$work/own")" "<= 0.02"
	row 8m "resident memory of a waiting spare" KiB 4096 "$(spare_memory)" "<= 1"
	row 8c "a run of 5 million steps (told, no aim)" us "$(node test/bench/worker.mjs 3 <<< "$heavy")" "$(runner_median 3 <<< "$heavy")" "<= 1000"
}

if wants 8 || wants 8m || wants 8c; then
	runner_rows
fi
