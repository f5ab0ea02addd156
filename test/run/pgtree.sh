#!/bin/bash
# pgtree.sh [MAJOR [DIR]]: makes DIR (.build/pgMAJOR), a private, relocatable copy
# of the server, so that no test or demo ever installs into the system's.
# pg_config, pg_ctl and friends find everything relative to where they are.
set -eu
cd "$(dirname "$0")/../.."

major=${1:-15}
tree=${2:-$PWD/.build/pg$major}
lib=/usr/lib/postgresql/$major
share=/usr/share/postgresql/$major

if [ ! -x "$lib/bin/postgres" ]; then
	echo "PostgreSQL $major is not installed: run \`make deps\` as root" >&2
	exit 1
fi
# Copied anew when the packaged server changed.
stamp="$(stat -c '%Y %s' "$lib/bin/postgres")"
if [ -f "$tree/.stamp" ] && [ "$(cat "$tree/.stamp")" = "$stamp" ]; then
	exit 0
fi
rm -rf "$tree"
mkdir -p "$tree/usr/lib/postgresql" "$tree/usr/share/postgresql"
cp -a "$lib" "$tree/usr/lib/postgresql/"
cp -a "$share" "$tree/usr/share/postgresql/"
ln -s /usr/include "$tree/usr/include"
# Whatever a plain `make install` once put into the system's server is not ours to test.
rm -f "$tree/usr/lib/postgresql/$major"/lib/theazo* "$tree/usr/share/postgresql/$major"/extension/theazo*
echo "$stamp" > "$tree/.stamp"
