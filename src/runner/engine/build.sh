#!/bin/bash
# The JavaScript engine of theazo-runner: WebAssembly from its npm package, turned
# into C, compiled once. What it leaves in .build/engine (quickjs.wasm, qjs.h,
# wasm-rt.h, qjs.o) is all a build needs; with quickjs.wasm there it needs no network.
set -eu
cd "$(dirname "$0")/../../.."

here=src/runner/engine
out=.build/engine
wasm_sha256=d4c9375f2b1ca4dc95f72c8aa2982a7a9951ac8011490d79c6582df732b4bbd9
# What the module may ask of us. A module that asks for more is another module.
imports='env.host_call
env.host_get_timezone_offset
env.host_interrupt
env.host_module_load
env.host_module_normalize
env.host_promise_rejection
wasi_snapshot_preview1.clock_time_get
wasi_snapshot_preview1.fd_close
wasi_snapshot_preview1.fd_fdstat_get
wasi_snapshot_preview1.fd_seek
wasi_snapshot_preview1.fd_write
wasi_snapshot_preview1.random_get'
cc=${CC:-gcc}
flags='-O2 -fPIE -fstack-clash-protection -fstack-protector-strong'

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

key=$(cat $here/build.sh $here/package-lock.json | sha256sum | cut -c 1-32)

complete() {
	[ "$(cat $out/stamp 2> /dev/null)" = "$key" ] && [ -f $out/qjs.o ] && [ -f $out/qjs.h ] && [ -f $out/wasm-rt.h ]
}

if complete; then
	touch $out/qjs.o
	exit 0
fi
mkdir -p $out
exec 9> $out/.lock
flock 9
if complete; then
	exit 0
fi
tmp=$(mktemp -d "$out/making.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

genuine() {
	[ "$(sha256sum < "$1" | cut -d ' ' -f 1)" = "$wasm_sha256" ]
}

if [ ! -f $out/quickjs.wasm ] || ! genuine $out/quickjs.wasm; then
	command -v npm > /dev/null || die 'npm is missing: it fetches the JavaScript engine (make deps)'
	cp $here/package.json $here/package-lock.json "$tmp"
	# The lock file pins the package by its SHA-512.
	(cd "$tmp" && HOME=$PWD npm_config_cache=$PWD/cache timeout 300 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error > npm.log 2>&1) ||
		{ cat "$tmp/npm.log" >&2; die 'could not fetch the JavaScript engine'; }
	genuine "$tmp/node_modules/quickjs-wasi/quickjs.wasm" || die 'the JavaScript engine is not the one that is expected'
	mv "$tmp/node_modules/quickjs-wasi/quickjs.wasm" $out/quickjs.wasm
fi
command -v wasm2c > /dev/null || die 'wasm2c is missing: it is in the package wabt (make deps)'

found=$(wasm-objdump -j Import -x $out/quickjs.wasm | sed -n 's/^ - func\[[0-9]*\] sig=[0-9]* <\([^>]*\)>.*/\1/p' | sort)
others=$(wasm-objdump -j Import -x $out/quickjs.wasm | grep -c '^ - ' || true)
if [ "$found" != "$imports" ] || [ "$others" != 12 ]; then
	die 'the JavaScript engine imports something else than it should'
fi

wasm2c $out/quickjs.wasm -n qjs -o "$tmp/qjs.c"
for dir in /usr/include /usr/src/wasm2c /usr/share/wabt/wasm2c; do
	if [ -f $dir/wasm-rt.h ]; then
		cp $dir/wasm-rt.h "$tmp/"
		break
	fi
done
[ -f "$tmp/wasm-rt.h" ] || die 'wasm-rt.h is missing: it is in the package wabt'
# shellcheck disable=SC2086
$cc $flags -w -I"$tmp" -c "$tmp/qjs.c" -o "$tmp/qjs.o"
mv "$tmp/qjs.h" "$tmp/wasm-rt.h" "$tmp/qjs.o" $out/
printf '%s\n' "$key" > $out/stamp
