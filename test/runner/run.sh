#!/bin/bash
# The program that runs agents' code, attacked as the user this is started as; TAP on stdout.
# RUNNER_ENGINE=jsc: the same lists of JavaScript, with the system's engine.
set -eu
cd "$(dirname "$0")/../.."
engine=${RUNNER_ENGINE:-quickjs}
build=.build/runner-$engine-$(id -u)
mkdir -p "$build"
flags=('-DTHEAZO_VERSION="test"' -std=gnu11 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter
	-Wno-missing-field-initializers -Isrc)
program=(-O2 -fPIE -static-pie -fstack-protector-strong -fstack-clash-protection -isystem .build/engine)
helper=src/runner/helper
cc=${CC:-gcc}
# make NAME ARGUMENTS...: one program, beside the others.
make() {
	local name=$1
	shift
	$cc "${flags[@]}" -o "$build/$name" "$@" &
	jobs="$jobs $!"
}

jobs=
parent=(test/runner/runnercli.c src/runner/*.c src/http/mux.c src/lib/{status,buf,utf8,json,sign,spawn}.c -ljansson -lcrypto)
if [ "$engine" = jsc ]; then
	read -r -a jsc <<< "$(pkg-config --cflags --libs javascriptcoregtk-4.1)"
	make theazo-runner -O2 -fPIE -pie -Wl,-z,now -fstack-protector-strong -fstack-clash-protection \
		"-DJSC_VERSION=\"$(pkg-config --modversion javascriptcoregtk-4.1)\"" \
		$helper/*.c $helper/jsc/*.c src/runner/frame.c src/lib/seccomp.c "${jsc[@]}" -lm
	make runnercli "${parent[@]}"
	make nons test/box/nons.c
	for job in $jobs; do
		wait "$job"
	done
	exec /usr/bin/python3 test/runner/check.py "$build" jsc
fi
src/runner/engine/build.sh
make theazo-runner "${program[@]}" $helper/*.c $helper/quickjs/*.c src/runner/frame.c src/lib/seccomp.c .build/engine/qjs.o -lm
make sysrunner "${program[@]}" $helper/{main,jail,filter,zygote,run}.c test/runner/engine_sys.c src/runner/frame.c src/lib/seccomp.c
make runnercli "${parent[@]}"
make quickcli -DRUNNER_START_MS=500 -DRUNNER_EXIT_MS=300 "${parent[@]}"
make stub test/runner/stub.c src/runner/frame.c
make nons test/box/nons.c
for job in $jobs; do
	wait "$job"
done
exec /usr/bin/python3 test/runner/check.py "$build" "$@"
