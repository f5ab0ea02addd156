#!/bin/bash
# Builds the tree it lies in against a private copy of one PostgreSQL version
# and runs suites there, as the unprivileged user it was started as:
#
#	suites.sh MAJOR SUITE...	lint clients unit fuzz box runner jsc regress isolation tap tap-core chaos
#
# Each suite leaves a line "name passed failed skipped" in .build/counts, what
# failed by name in .build/failures and its output in .build/out. TESTS="a b" limits regress, isolation and TAP to names.
# shellcheck disable=SC2317  # suites are called by name
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
. test/run/lib.sh

major=$1
shift
top=$PWD
out=$top/.build/out
counts=$top/.build/counts
failures=$top/.build/failures
mkdir -p "$out"
: > "$counts"
: > "$failures"

bindir=$top/.build/pg$major/usr/lib/postgresql/$major/bin
export PG_CONFIG=$bindir/pg_config
pgxs=$top/.build/pg$major/usr/lib/postgresql/$major/lib/pgxs
rc=0
since=0

# What failed in a log, each with the file it is in where the log says so.
failed_in() {
	awk -v suite="$1-$major" '
		{ sub(/^\[[0-9:]+\] /, "") }
		/^test\/t\/[a-z0-9_]+\.pl \.\./ || /^# \.build\// { file = ($1 == "#" ? $2 : $1) " " }
		/^not ok / || /^test .* FAILED/ || /^\[  FAILED  \] [A-Za-z_]/ || / Dubious, / {
			sub(/^test /, "")
			print suite ": " file $0
		}' "$2" | sort -u | head -n 20
}

# count SUITE PASSED FAILED SKIPPED
count() {
	printf '%s-%s %d %d %d\n' "$1" "$major" "$2" "$3" "$4" >> "$counts"
	printf '   %s on %s: %d passed, %d failed, %d skipped (%d s)\n' "$1" "$major" "$2" "$3" "$4" $((SECONDS - since))
	since=$SECONDS
	if [ "$3" != 0 ]; then
		rc=1
		if [ -s "$out/$1.log" ]; then
			failed_in "$1" "$out/$1.log" >> "$failures"
		else
			echo "$1-$major" >> "$failures"
		fi
	fi
}

# grep -c that never fails.
lines() {
	grep -c -E "$1" "$2" || true
}

build() {
	test/run/pgtree.sh "$major" || return 1
	make -s PG_CONFIG="$PG_CONFIG" WERROR=1 PAUSE_POINTS="${PAUSE_POINTS:-1}" all install > "$out/build.log" 2>&1
}

# What the servers of the suites are configured with, paths filled in.
server_conf() {
	test/run/conf.sh "$top/.build/test-$major"
}

names() {					# names DIR SUFFIX: tests to run, TESTS applied
	local f b
	for f in "$1"/*."$2"; do
		[ -e "$f" ] || continue
		b=$(basename "$f" ".$2")
		case " ${TESTS:-$b} " in
			*" $b "*) printf '%s\n' "$b" ;;
		esac
	done
}

# regress and isolation differ in the program and the folder only.
pg_suite() {
	local suite=$1 prog=$2 dir=$3 suffix=$4 log=$out/$1.log list p f
	list=$(names "test/$dir" "$suffix")
	if [ -z "$list" ]; then
		if [ -z "${TESTS:-}" ]; then
			echo "   no tests in test/$dir"
			count "$suite" 0 1 0
		fi
		return
	fi
	rm -rf "$top/.build/$suite"
	mkdir -p "$top/.build/$suite"
	# These tests play the workers themselves: real ones would take their locks and rows, as would autovacuum where
	# the tests take longer than its nap.
	{
		cat "$(server_conf)"
		echo "theazo.databases = ''"
		echo "autovacuum = off"
	} > "$top/.build/$suite/theazo.conf"
	# shellcheck disable=SC2086
	timeout 1200 "$pgxs/$prog" --bindir="$bindir" --inputdir=test \
		--outputdir="$top/.build/$suite" --temp-instance="$top/.build/$suite/instance" \
		--temp-config="$top/.build/$suite/theazo.conf" --encoding=UTF8 --no-locale \
		--load-extension=pgcrypto --load-extension=theazo \
		--dbname="contrib_$suite" $list > "$log" 2>&1
	local status=$?
	p=$(lines '^(test .* \.\.\. +ok|ok [0-9]+ )' "$log")
	f=$(lines '^(test .* \.\.\. +FAILED|not ok [0-9]+ )' "$log")
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	if [ "$f" != 0 ]; then
		tail -n 40 "$log"
		if [ -f "$top/.build/$suite/regression.diffs" ]; then
			cp "$top/.build/$suite/regression.diffs" "$out/$suite.diffs"
			head -n 200 "$out/$suite.diffs"
		fi
		cp -r "$top/.build/$suite/log" "$out/$suite-log" 2> /dev/null
	fi
	count "$suite" "$p" "$f" 0
}

# tap_suite NAME FILE...
tap_suite() {
	local suite=$1 log=$out/$1.log p f s status
	shift
	if [ $# = 0 ]; then
		count "$suite" 0 1 0
		return
	fi
	rm -rf "$top/.build/$suite"
	mkdir -p "$top/.build/$suite"
	(
		# the server's test modules drop LC_ALL; without LANG their clusters would be SQL_ASCII
		export LANG=C.UTF-8
		export PATH="$bindir:$PATH" PG_REGRESS="$pgxs/src/test/regress/pg_regress"
		export PERL5LIB="$pgxs/src/test/perl:$top/test/t"
		export TESTDIR="$top/.build/$suite" TESTDATADIR="$top/.build/$suite/tmp_check"
		export TESTLOGDIR="$top/.build/$suite/log"
		export top_builddir="$top" portdir="$top/.build" PGCTLTIMEOUT=120
		THEAZO_CONF=$(server_conf)
		export THEAZO_CONF
		# shellcheck disable=SC2086
		timeout 3000 prove --verbose --timer ${PROVE_FLAGS:-} "$@"
	) > "$log" 2>&1
	status=$?
	p=$(grep -E '^ok [0-9]+' "$log" | grep -v -c -i '# skip')
	s=$(lines '^(ok [0-9]+.*# [Ss][Kk][Ii][Pp]|1\.\.0 # [Ss][Kk][Ii][Pp])' "$log")
	# a file that died has failed once more than its tests say
	f=$(lines '^(not ok [0-9]+|# Tests were run but no plan was declared)' "$log")
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	if [ "$f" != 0 ]; then
		grep -E -A 12 '^(#   Failed|# Looks like|Bailout|.*Dubious|.*died)' "$log" | head -n 150 ||
			tail -n 25 "$log"
		mkdir -p "$out/$suite-log"
		cp "$top/.build/$suite"/log/* "$out/$suite-log/" 2> /dev/null
		cp "$top/.build/$suite"/tmp_check/log/* "$out/$suite-log/" 2> /dev/null
	fi
	count "$suite" "$p" "$f" "$s"
	slowest "$log"
}

# The files of a TAP suite that took longest.
slowest() {
	awk '
		{ sub(/^\[[0-9:]+\] /, "") }
		/^test\/t\/[a-z0-9_]+\.pl \.\./ { file = $1; sub(/.*\//, "", file); sub(/\.pl$/, "", file) }
		/^ok +[0-9]+ ms/ { printf "%d s %s\n", $2 / 1000, file }' "$1" | sort -n -r | head -n 8 | paste -s -d , | sed 's/,/, /g; s/^/   slowest: /'
}

tap_files() {				# chaos is a suite of its own under `make chaos`
	local b
	for b in $(names test/t pl); do
		printf 'test/t/%s.pl\n' "$b"
	done
}

# What workers do, the whole path from SQL to a sandbox and back, streams, the loop and functions as tools: where
# servers, libcurl and the rest of a system differ.
tap_core() {
	local f
	for f in test/t/010_workers.pl test/t/041_stream.pl test/t/043_loop.pl test/t/044_tools.pl test/t/090_docs.pl; do
		[ -e "$f" ] && printf '%s\n' "$f"
	done
}

unit() {
	local log=$out/unit.log t p f=0 n
	: > "$log"
	if ! make -s unit-build > "$out/unit-build.log" 2>&1; then
		tail -n 30 "$out/unit-build.log"
		count unit 0 1 0
		return
	fi
	for t in .build/unit/test_*; do
		if [ ! -x "$t" ]; then continue; fi
		case $t in *.d) continue ;; esac
		echo "# $t" >> "$log"
		THEAZO_INIT="$top/theazo-init" ASAN_OPTIONS=detect_leaks=1 \
			timeout 300 "$t" > "$log.one" 2>&1
		local status=$?
		cat "$log.one" >> "$log"
		# cmocka names a failed test where it ran and once more in its summary
		n=$(grep -E '^\[  FAILED  \] [A-Za-z_]' "$log.one" | sort -u | wc -l)
		# Dead without a report (sanitizer, signal, timeout) is one failure.
		if [ "$status" != 0 ]; then
			[ "$n" -gt 0 ] || n=1
			echo "   failed: $t"
			tail -n 40 "$log.one"
		fi
		f=$((f + n))
	done
	rm -f "$log.one"
	p=$(lines '^\[       OK \]' "$log")
	[ $((p + f)) -gt 0 ] || f=1
	count unit "$p" "$f" "$(lines '^\[  SKIPPED \]' "$log")"
}

# The whole corpus of each fuzzer, then some seconds of new input.
fuzz() {
	local log=$out/fuzz.log t name p=0 f=0 corpus
	: > "$log"
	if ! make -s fuzz-build > "$out/fuzz-build.log" 2>&1; then
		tail -n 30 "$out/fuzz-build.log"
		count fuzz 0 1 0
		return
	fi
	for t in .build/fuzz/fuzz_*; do
		case $t in *.d) continue ;; esac
		[ -x "$t" ] || continue
		name=$(basename "$t")
		corpus=test/fuzz/corpus/${name#fuzz_}
		mkdir -p ".build/fuzz/new/$name" "$out/crash-$name"
		echo "# $name" >> "$log"
		# shellcheck disable=SC2046
		if timeout 600 "$t" -runs=0 $([ -d "$corpus" ] && echo "$corpus") >> "$log" 2>&1 &&
			timeout $((${FUZZ_SECONDS:-3} + 120)) "$t" -max_total_time="${FUZZ_SECONDS:-3}" \
				-timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
				-artifact_prefix="$out/crash-$name/" ".build/fuzz/new/$name" \
				$([ -d "$corpus" ] && echo "$corpus") >> "$log" 2>&1; then
			p=$((p + 1))
			rmdir "$out/crash-$name" 2> /dev/null
		else
			f=$((f + 1))
			echo "   failed: $name"
			tail -n 30 "$log"
		fi
	done
	[ $((p + f)) -gt 0 ] || f=1
	count fuzz "$p" "$f" 0
}

# Attacks on sandboxes, as this user; check.sh runs them as root too.
box() {
	local log=$out/box.log p f s status=0
	timeout 900 test/box/run.sh > "$log" 2>&1 || status=$?
	p=$(grep -E '^ok ' "$log" | grep -v -c '# SKIP')
	s=$(lines '^ok .*# SKIP' "$log")
	f=$(lines '^not ok ' "$log")
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	[ "$f" = 0 ] || grep -E -A 12 '^not ok ' "$log" | head -n 100
	grep -E '^# mode: \[' "$log" | sed 's/^# mode: /   /'
	count box "$p" "$f" "$s"
}

# The program that runs agents' code, as this user; check.sh runs it as root too.
runner() {
	runner_with runner quickjs
}

# The same lists of JavaScript with the engine of the system.
jsc() {
	runner_with jsc jsc
}

runner_with() {			# runner_with NAME ENGINE
	local log=$out/$1.log p f status=0
	RUNNER_ENGINE=$2 timeout 900 test/runner/run.sh > "$log" 2>&1 || status=$?
	p=$(lines '^ok ' "$log")
	f=$(lines '^not ok ' "$log")
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
		tail -n 20 "$log"
	fi
	[ "$f" = 0 ] || grep -E -A 4 '^not ok ' "$log" | head -n 100
	count "$1" "$p" "$f" 0
}

# The scripted model server before the vendors' own clients: only then may it judge.
clients() {
	local log=$out/clients.log p f status=0
	test/run/clients.sh check > "$log" 2>&1 || status=$?
	p=$(lines '^ok ' "$log")
	f=$(lines '^not ok ' "$log")
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
		tail -n 20 "$log"
	fi
	[ "$f" = 0 ] || grep -E -A 6 '^not ok ' "$log" | head -n 60
	count clients "$p" "$f" 0
}

lint() {
	local log=$out/lint.log
	timeout 300 test/lint/lint.sh "$bindir" "$(server_conf)" > "$log" 2>&1
	local status=$? p f
	p=$(lines '^ok ' "$log")
	f=$(lines '^not ok ' "$log")
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	[ "$f" = 0 ] || grep -v '^ok ' "$log" | head -n 150
	count lint "$p" "$f" 0
}

# Not a test: its rows are the output.
bench() {
	# shellcheck disable=SC2086
	if test/bench/run.sh "$bindir" ${BENCH_ROWS:-} 2> "$out/bench.err" | tee "$out/bench.txt"; then
		count bench "$(lines ' met$' "$out/bench.txt")" 0 0
	else
		cat "$out/bench.err"
		count bench 0 1 0
	fi
}

# Not a test: docs/reference.md, for check.sh to take.
reference() {
	if test/run/reference.sh "$bindir" "$(server_conf)" > "$out/reference.md" 2> "$out/reference.log"; then
		count reference 1 0 0
	else
		cat "$out/reference.log"
		count reference 0 1 0
	fi
}

say "building against PostgreSQL $major"
if ! build; then
	grep -E -i 'error|warning' "$out/build.log" | head -n 40
	tail -n 20 "$out/build.log"
	count build 0 1 0
	exit 1
fi
count build 1 0 0

for suite in "$@"; do
	say "$suite on PostgreSQL $major"
	case $suite in
		regress) pg_suite regress src/test/regress/pg_regress sql sql ;;
		isolation) pg_suite isolation src/test/isolation/pg_isolation_regress specs spec ;;
		tap)
			# shellcheck disable=SC2046
			tap_suite tap $(tap_files)
			;;
		tap-core)
			# shellcheck disable=SC2046
			tap_suite tap $(tap_core)
			;;
		chaos)
			if ls test/t/*chaos*.pl > /dev/null 2>&1; then
				tap_suite chaos test/t/*chaos*.pl
			else
				count chaos 0 1 0
			fi
			;;
		clients | unit | fuzz | box | runner | jsc | lint | reference | bench) "$suite" ;;
		*) die "no suite $suite" ;;
	esac
done
exit "$rc"
