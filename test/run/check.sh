#!/bin/bash
# Runs suites and ends with one line of counts.
#
#	check.sh all | versions | SUITE...	(suites: see suites.sh)
#
# Servers refuse root, so as root everything runs in a scratch copy of the tree
# that belongs to an unprivileged account; for anybody else likewise in a copy,
# so that what is tested is what is in the tree and nothing stale. Output of a
# failed run is kept in .build/failed.
set -eu
cd "$(dirname "$0")/../.."
. test/run/lib.sh

mkdir -p .build
counts=$PWD/.build/counts-all
failures=$PWD/.build/failures-all
: > "$counts"
: > "$failures"
export THEAZO_COUNTS=$counts THEAZO_FAILURES=$failures
started=$(date +%s)

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/theazo-check.XXXXXX")
# Whoever is stopped takes what it started along: children run in the background
# and are waited for, so that a signal is seen at once.
child=
aside=
cleanup() {
	local c
	for c in $child $aside; do
		kill -- "-$c" 2> /dev/null || true
	done
	test/run/engine.sh stop "$scratch/engine" || true
	rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT
trap 'exit 143' TERM INT HUP
rc=0

# attended COMMAND...: in a process group of its own.
attended() {
	local status=0
	set -m
	"$@" &
	child=$!
	set +m
	wait "$child" || status=$?
	child=
	return "$status"
}

# Tests of containers want an engine, which only root can start: they find its socket in THEAZO_ENGINE.
# Without one they fail.
need_engine() {
	if [ -n "${THEAZO_ENGINE:-}" ] || ! is_root; then
		return
	fi
	case " $* " in
		*" tap "* | *" chaos "* | *" bench "*)
			mkdir -p "$scratch/engine"
			if test/run/engine.sh start "$scratch/engine" "$TEST_USER"; then
				export THEAZO_ENGINE=$scratch/engine/engine.sock
			fi
			;;
	esac
}

# here MAJOR SUITE...: in the scratch copy, on the machine's own version.
here() {
	chmod 755 "$scratch"
	if [ ! -f "$scratch/tree/Makefile" ]; then
		copy_tree "$scratch/tree"
		mkdir -p "$scratch/home"
		if is_root; then
			need_test_user
			chown -R "$TEST_USER:$(id -gn "$TEST_USER")" "$scratch/tree" "$scratch/home"
		fi
	fi
	need_engine "$@"
	local status=0
	TEST_HOME="$scratch/home" attended as_test_user "$scratch/tree/test/run/suites.sh" "$@" || status=$?
	cat "$scratch/tree/.build/counts" >> "$counts" || echo "suites 0 1 0" >> "$counts"
	if [ "$status" != 0 ]; then
		rc=1
		cat "$scratch/tree/.build/failures" >> "$failures" || true
		rm -rf .build/failed
		mkdir -p .build/failed
		cp -r "$scratch/tree/.build/out/." .build/failed/ || true
		echo "   output is in .build/failed"
	fi
}

# What runs foreign code is attacked as root as well: privileges that are there must be given up.
as_root_too() {
	local suite
	if is_root; then
		for suite in box runner; do
			as_root "$suite"
		done
	fi
}

as_root() {
	local log=$scratch/$1-root.log p f s status=0
	say "$1 as root"
	(cd "$scratch/tree" && timeout 900 "test/$1/run.sh") > "$log" 2>&1 || status=$?
	p=$(grep -E '^ok ' "$log" | grep -v -c '# SKIP' || true)
	s=$(grep -E -c '^ok .*# SKIP' "$log" || true)
	f=$(grep -E -c '^not ok ' "$log" || true)
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	if [ "$f" != 0 ]; then
		rc=1
		grep -E '^not ok ' "$log" | sed "s/^/$1-root: /" >> "$failures" || true
		tail -n 60 "$log"
	fi
	echo "$1-root $p $f $s" >> "$counts"
	printf '   %s-root: %d passed, %d failed, %d skipped\n' "$1" "$p" "$f" "$s"
}

versions() {
	attended test/run/versions.sh run "$@" || rc=1
}

# The other versions have trees and mounts of their own, and much of a test is waiting: they run beside the machine's own
# version. What they print comes when they are waited for.
versions_aside() {
	set -m
	test/run/versions.sh run "$@" > "$scratch/versions.log" 2>&1 &
	aside=$!
	set +m
}

versions_wait() {
	wait "$aside" || rc=1
	aside=
	cat "$scratch/versions.log"
}

# The same lists on each version must give the same counts.
compare_versions() {
	local suite ref n got
	say "counts by version (passed failed skipped)"
	for suite in "$@"; do
		ref=$(awk -v s="$suite-15" '$1 == s { print $2, $3, $4 }' "$counts" | tail -n 1)
		printf '   %-10s 15: %s' "$suite" "$ref"
		for n in $MAJORS; do
			got=$(awk -v s="$suite-$n" '$1 == s { print $2, $3, $4 }' "$counts" | tail -n 1)
			printf '   %s: %s' "$n" "$got"
			if [ "$got" != "$ref" ]; then
				printf ' (differs)'
				echo "equal-$suite-$n 0 1 0" >> "$counts"
				echo "$suite: $n counts differently" >> "$failures"
				rc=1
			fi
		done
		echo
	done
}

case ${1:-} in
	all)
		versions_aside regress isolation tap-core
		here 15 lint clients unit fuzz box runner regress isolation tap
		as_root_too
		versions_wait
		compare_versions regress isolation
		;;
	versions)
		here 15 regress isolation tap
		versions regress isolation tap
		compare_versions regress isolation tap
		;;
	reference)
		here 15 reference
		if [ "$rc" = 0 ]; then
			cp "$scratch/tree/.build/out/reference.md" docs/reference.md
		fi
		;;
	'')
		die "usage: check.sh all | versions | SUITE..."
		;;
	*)
		here 15 "$@"
		;;
esac

passed=$(awk '{ n += $2 } END { print n + 0 }' "$counts")
failed=$(awk '{ n += $3 } END { print n + 0 }' "$counts")
skipped=$(awk '{ n += $4 } END { print n + 0 }' "$counts")
# Next to the last line, where it is seen: a run is long.
if [ -s "$failures" ]; then
	say "what failed"
	cut -c 1-300 "$failures"
fi
say "took $(($(date +%s) - started)) s"
if [ "$rc" != 0 ] && [ "$failed" = 0 ]; then
	failed=1
fi
if [ "$skipped" != 0 ]; then
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
else
	printf '%d passed, %d failed\n' "$passed" "$failed"
fi
[ "$failed" = 0 ]
