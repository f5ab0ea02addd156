#!/bin/bash
# make demo: builds theazo into a private copy of PostgreSQL, starts a server that
# listens on a unix socket only, runs docs/demo.sql there and leaves the server
# running. Again is fine: the same server, a new session. Nothing outside one
# directory is touched: $THEAZO_DEMO, by default in /var/tmp.
#
# With a model within reach an agent gets a task as well (docs/demo-model.sql): at
# THEAZO_MODEL_URL (any server with an OpenAI-compatible API; THEAZO_MODEL names the model,
# THEAZO_MODEL_KEY the key if it wants one), else ANTHROPIC_API_KEY, else OPENAI_API_KEY.
#
#	demo.sh [start | stop | delete]
set -eu
cd "$(dirname "$0")/../.."
. test/run/lib.sh

# Keys are for the one statement that stores them: nothing started here inherits them.
anthropic_key=${ANTHROPIC_API_KEY:-}
openai_key=${OPENAI_API_KEY:-}
model_key=${THEAZO_MODEL_KEY:-}
unset ANTHROPIC_API_KEY OPENAI_API_KEY THEAZO_MODEL_KEY

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

reachable() {				# does anything answer there, whatever it says
	curl -s -o /dev/null --max-time 8 "$1"
}

# The first model of a server that was given without one.
first_model() {
	{ [ -z "$model_key" ] || printf 'Authorization: Bearer %s\n' "$model_key"; } |
		curl -sf --max-time 8 -H @- "$1/models" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])' 2> /dev/null
}

# Sets provider, endpoint, model and model_key; says why when there is none.
find_model() {
	endpoint=
	model=${THEAZO_MODEL:-}
	if [ -n "${THEAZO_MODEL_URL:-}" ]; then
		provider=mine
		endpoint=${THEAZO_MODEL_URL%/}
		if ! reachable "$endpoint"; then
			say "no model: nothing answers at $endpoint (THEAZO_MODEL_URL)"
			return 1
		fi
		if [ -z "$model" ] && ! model=$(first_model "$endpoint"); then
			say "no model: $endpoint does not list any, name one in THEAZO_MODEL"
			return 1
		fi
	elif [ -n "$anthropic_key" ]; then
		provider=anthropic
		model=${model:-claude-haiku-4-5}
		model_key=$anthropic_key
	elif [ -n "$openai_key" ]; then
		provider=openai
		model=${model:-gpt-5.4-mini}
		model_key=$openai_key
	else
		say "no model: set ANTHROPIC_API_KEY, OPENAI_API_KEY, or THEAZO_MODEL_URL (for Ollama http://localhost:11434/v1) to see an agent work by itself"
		return 1
	fi
	if [ -z "$endpoint" ] && ! reachable "https://api.$provider.com/"; then
		say "no model: api.$provider.com cannot be reached from here"
		return 1
	fi
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

if find_model; then
	say "docs/demo-model.sql: $model at ${endpoint:-$provider}"
	THEAZO_DEMO_SECRET=$model_key PGHOST=$sock PGPORT=$port PGUSER=$super PGDATABASE=demo \
		client -d demo -v ON_ERROR_STOP=1 --echo-all --quiet -v provider="$provider" -v endpoint="$endpoint" -v model="$model" \
		-v credential= -v has_key="$([ -n "$model_key" ] && echo 1 || echo 0)" -f docs/demo-model.sql ||
		die "the model's part of the demo failed; all before it worked"
fi

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
