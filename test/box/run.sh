#!/bin/bash
# Attacks on sandboxes as the user it is started as; TAP on stdout.
set -eu
cd "$(dirname "$0")/../.."
build=.build/box-$(id -u)
mkdir -p "$build"
flags='-std=gnu11 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Isrc'
# shellcheck disable=SC2086
${CC:-gcc} $flags -o "$build/boxcli" test/box/boxcli.c src/sandbox/*.c src/http/mux.c src/lib/status.c src/lib/buf.c src/lib/utf8.c src/lib/client.c src/lib/spawn.c
# shellcheck disable=SC2086
${CC:-gcc} $flags -o "$build/nons" test/box/nons.c
# shellcheck disable=SC2086
${CC:-gcc} $flags -static -o "$build/theazo-init" src/sandbox/init/*.c src/sandbox/wire.c src/lib/seccomp.c
exec /usr/bin/python3 test/box/attacks.py "$build/boxcli" "$build/theazo-init" "$build/nons"
