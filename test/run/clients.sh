#!/bin/bash
# The vendors' own npm clients and a development node of an EVM chain, in the
# versions and with the checksums of the lock file, fetched once and linked into the
# tree. The clients judge the scripted servers, which then judge our adapters; the
# node takes anchors.
#
#	clients.sh prepare	fetch them if they are not there
#	clients.sh check	TAP lines: the servers as the clients see them
set -eu
cd "$(dirname "$0")/../.."
. test/run/lib.sh

dir=test/mock/clients
key=$(cat $dir/package.json $dir/package-lock.json | sha256sum | cut -c1-16)
kept=$(cache_dir)/clients-$key

case ${1:-} in
	prepare)
		command -v npm > /dev/null || die 'npm is missing'
		if [ ! -d "$kept/node_modules" ]; then
			say "fetching the vendors' model clients and a chain's node"
			mkdir -p "$(cache_dir)"
			new=$(mktemp -d "$kept.XXXXXX")
			trap 'rm -rf "$new"' EXIT
			cp $dir/package.json $dir/package-lock.json "$new"
			(cd "$new" && timeout 600 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
			chmod -R a+rX "$new"
			mv -T "$new" "$kept"
			trap - EXIT
		fi
		rm -rf $dir/node_modules
		ln -s "$kept/node_modules" $dir/node_modules
		;;
	check)
		[ -e $dir/node_modules/openai ] || die 'the clients are missing: run make deps'
		status=0
		for f in "$dir"/check*.mjs; do
			timeout 600 node "$f" python3 || status=1
		done
		# what they do not show
		timeout 300 python3 test/mock/check_lists.py || status=1
		exit $status
		;;
	*)
		die "usage: clients.sh prepare | check"
		;;
esac
