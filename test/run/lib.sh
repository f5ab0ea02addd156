# shellcheck shell=bash
# Common to the scripts of this directory; sourced with the top of the tree as
# the current directory.

# A path free of shims that only the caller's home has: the same tools for every user.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
export LC_ALL=C.UTF-8
umask 022

TEST_USER=${THEAZO_TEST_USER:-theazo-test}
# shellcheck disable=SC2034
MAJORS="17 18"

say() {
	printf '== %s\n' "$*"
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

is_root() {
	[ "$(id -u)" = 0 ]
}

# The unprivileged account that runs servers and tests when we are root.
need_test_user() {
	if ! id "$TEST_USER" > /dev/null 2>&1; then
		useradd --system --no-create-home --home-dir /nonexistent \
			--shell /usr/sbin/nologin "$TEST_USER"
	fi
}

# Everything that can change a result is passed by name, nothing else.
as_test_user() {
	local keep=() v
	for v in TESTS FUZZ_SECONDS THEAZO_CHAOS THEAZO_CHAOS_RUNS THEAZO_CHAOS_SEED THEAZO_VERSIONS_FULL \
		THEAZO_CACHE PROVE_FLAGS PAUSE_POINTS BENCH_ROWS BENCH_SECONDS BENCH_ROUNDS \
		BENCH_CALLS BENCH_CARRY BENCH_EXECS BENCH_SEAL THEAZO_ENGINE; do
		if [ -n "${!v+set}" ]; then
			keep+=("$v=${!v}")
		fi
	done
	if is_root; then
		setpriv --reuid="$TEST_USER" --regid="$TEST_USER" --init-groups \
			env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME="${TEST_HOME:-/tmp}" \
			USER="$TEST_USER" LOGNAME="$TEST_USER" "${keep[@]}" "$@"
	else
		env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME="$HOME" USER="$(id -un)" \
			LOGNAME="$(id -un)" "${keep[@]}" "$@"
	fi
}

# What a copy of the tree is made of: no build products, no history.
copy_tree() {
	mkdir -p "$1"
	tar -cf - --exclude=./.build --exclude=./.git --exclude='*.o' --exclude='*.d' \
		--exclude='*.so' --exclude='*.bc' --exclude='./theazo-init' --exclude='./theazo-verify' --exclude='./theazo-runner' \
		--exclude='./theazo--*.sql' . | tar -xf - -C "$1" --no-same-owner
	# The engine takes a minute to compile and the network to fetch: it goes along. One copy at a time: a file that is
	# touched meanwhile would end tar.
	mkdir -p .build
	(
		flock 8
		src/runner/engine/build.sh
		tar -cf - .build/engine | tar -xf - -C "$1" --no-same-owner
	) 8> .build/engine.lock
}

# Where what is fetched once is kept: outside the tree.
cache_dir() {
	if [ -n "${THEAZO_CACHE:-}" ]; then
		printf '%s\n' "$THEAZO_CACHE"
	elif is_root || [ -d /var/cache/theazo ]; then
		printf '%s\n' /var/cache/theazo
	else
		printf '%s\n' "${HOME:?}/.cache/theazo"
	fi
}
