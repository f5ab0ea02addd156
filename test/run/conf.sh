#!/bin/bash
# conf.sh DIR: writes DIR/theazo.conf, test/theazo.conf with a master key file of
# its own, and prints its path. Only for servers of tests.
set -eu
cd "$(dirname "$0")/../.."

dir=$1
mkdir -p "$dir"
if [ ! -f "$dir/master.key" ]; then
	(umask 077 && openssl rand -hex 32 > "$dir/master.key")
fi
{
	cat test/theazo.conf
	echo "theazo.master_key_file = '$dir/master.key'"
} > "$dir/theazo.conf"
printf '%s\n' "$dir/theazo.conf"
