# shellcheck shell=bash
# A throw-away server with the extension, on a unix socket of its own; sourced.
#
#	tmp_server_start BINDIR WORK [CONF]		sets PGHOST, PGUSER, PGDATABASE; data in WORK/data
#	tmp_server_stop

tmp_server_bindir=
tmp_server_work=

tmp_server_start() {
	tmp_server_bindir=$1
	tmp_server_work=$2
	"$1/initdb" -D "$2/data" -A trust -N -E UTF8 --no-locale -U postgres > "$2/initdb.log" 2>&1 || return 1
	{
		[ -z "${3:-}" ] || cat "$3"
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$2'"
	} >> "$2/data/postgresql.conf"
	"$1/pg_ctl" -D "$2/data" -w -l "$2/server.log" start > /dev/null 2>&1 || return 1
	export PGHOST=$2 PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
	PGOPTIONS='-c client_min_messages=warning' "$1/psql" -X -q -v ON_ERROR_STOP=1 \
		-c 'CREATE EXTENSION theazo CASCADE' > "$2/create.log" 2>&1
}

tmp_server_stop() {
	if [ -n "$tmp_server_work" ] && [ -f "$tmp_server_work/data/postmaster.pid" ]; then
		"$tmp_server_bindir/pg_ctl" -D "$tmp_server_work/data" -m fast -w stop > /dev/null 2>&1
	fi
}
