#!/bin/bash
# make demo: builds theazo into a private copy of PostgreSQL, starts a server that
# listens on a unix socket only, runs docs/demo.sql there and leaves the server
# running. Again is fine: the same server, a new session. Nothing outside one
# directory is touched: $THEAZO_DEMO, by default in /var/tmp.
#
#	demo.sh [start | stop | delete]
set -eu
cd "$(dirname "$0")/../.."
. test/run/lib.sh

demo=${THEAZO_DEMO:-/var/tmp/theazo-demo.$(id -un)}
server=$demo/server
bindir=$server/usr/lib/postgresql/15/bin
data=$demo/data
sock=$demo/run
port=5439
super=demo

run() {						# as the account that owns the server
	if is_root; then
		(cd / && TEST_HOME=$demo as_test_user "$@")
	else
		"$@"
	fi
}

client() {
	"$bindir/psql" -X -h "$sock" -p "$port" -U "$super" "$@"
}

running() {
	[ -f "$data/PG_VERSION" ] && run "$bindir/pg_ctl" -D "$data" status > /dev/null 2>&1
}

stop() {
	if running; then
		run "$bindir/pg_ctl" -D "$data" -m fast -w stop > /dev/null
	fi
}

case ${1:-start} in
	stop)
		stop
		exit 0
		;;
	delete)
		if [ -e "$demo" ] && [ ! -d "$server" ]; then
			die "$demo is no demo's directory: nothing is deleted"
		fi
		stop
		rm -rf --one-file-system "$demo"
		exit 0
		;;
	start) ;;
	*) die "usage: demo.sh [start | stop | delete]" ;;
esac

if is_root; then
	need_test_user
	owner=$TEST_USER
else
	owner=$(id -un)
fi
# The name is known beforehand: take nobody else's directory.
if [ -e "$demo" ] && { [ -L "$demo" ] || [ "$(stat -c %U "$demo")" != "$owner" ]; }; then
	die "$demo exists and is not $owner's: set THEAZO_DEMO to another directory"
fi

say "building"
mkdir -p "$demo" .build
chmod 700 "$demo"
if is_root; then
	chown "$owner:$(id -gn "$owner")" "$demo"
fi
test/run/pgtree.sh 15 "$server"
if ! make -s PG_CONFIG="$bindir/pg_config" all > .build/demo-build.log 2>&1; then
	tail -n 30 .build/demo-build.log >&2
	die "the build failed"
fi

# Another install script than the data was made with: begin anew.
sum=$(cat theazo--*.sql theazo.control | sha256sum | cut -d' ' -f1)
if [ -d "$data" ] && [ "$(cat "$demo/.install" 2> /dev/null)" != "$sum" ]; then
	say "the extension's install script changed: starting with an empty database"
	stop
	rm -rf --one-file-system "$data"
fi
fresh=no
if ! cmp -s theazo.so "$server/usr/lib/postgresql/15/lib/theazo.so" ||
	! cmp -s theazo-init "$server/usr/lib/postgresql/15/lib/theazo-init"; then
	stop
fi
make -s PG_CONFIG="$bindir/pg_config" install > .build/demo-build.log 2>&1 ||
	die "installing failed, see .build/demo-build.log"

if [ ! -f "$data/PG_VERSION" ]; then
	say "making a private server in $demo"
	rm -rf --one-file-system "$data"
	run mkdir -p "$sock"
	# The master key of the vault: 32 random bytes that only the server's account can read.
	(umask 077 && openssl rand -hex 32 > "$demo/master.key")
	if is_root; then
		chown "$owner" "$demo/master.key"
	fi
	run "$bindir/initdb" -D "$data" -A trust -E UTF8 --no-locale -U "$super" > .build/demo-initdb.log
	run tee -a "$data/postgresql.conf" > /dev/null << END
# --- theazo demo ---
shared_preload_libraries = 'theazo'
theazo.master_key_file = '$demo/master.key'
listen_addresses = ''
unix_socket_directories = '$sock'
unix_socket_permissions = 0700
port = $port
max_worker_processes = 20
END
	fresh=yes
fi
if ! running; then
	say "starting it"
	run "$bindir/pg_ctl" -D "$data" -l "$demo/server.log" -w start > /dev/null || {
		tail -n 20 "$demo/server.log" >&2
		die "the server did not start"
	}
fi
if [ "$fresh" = yes ]; then
	client -q -d postgres -c 'CREATE DATABASE demo'
	client -q -d demo -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION theazo CASCADE'
	printf '%s\n' "$sum" > "$demo/.install"
fi

say "docs/demo.sql"
client -d demo -v ON_ERROR_STOP=1 --echo-all --quiet -f docs/demo.sql || {
	echo "The end of the server's log, $demo/server.log:" >&2
	tail -n 20 "$demo/server.log" >&2
	die "the demo failed"
}

# Somewhere else than usual must be said again to stop and to delete it.
again=
if [ -n "${THEAZO_DEMO:-}" ]; then
	again="THEAZO_DEMO=$(printf '%q' "$demo") "
fi
cat << END

The server is still running. Connect, and type the lines of docs/demo.sql yourself:
    $bindir/psql -h $sock -p $port -U $super demo
Stop it:
    $again$PWD/test/run/demo.sh stop
Delete it with everything in it ($demo):
    $again$PWD/test/run/demo.sh delete
END
