#!/bin/bash
# Writes docs/reference.md from the catalog of an installed extension: names,
# arguments and comments are told once, in the SQL. `make reference` runs it;
# lint notices when it was forgotten.
#
#	reference.sh BINDIR CONF > docs/reference.md
set -eu
cd "$(dirname "$0")/../.."
. test/run/tmpserver.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/theazo-ref.XXXXXX")
trap 'tmp_server_stop; rm -rf "$work"' EXIT
tmp_server_start "$1" "$work" "$2" || {
	tail -n 20 "$work"/*.log >&2
	exit 1
}

q() {
	"$1/psql" -X -q -A -t -v ON_ERROR_STOP=1 -c "$2"
}

functions() {				# functions SCHEMA [CONDITION]
	q "$bindir" "
	SELECT format(E'| \`%s.%s(%s)\` | %s | %s |', n.nspname, p.proname,
				  regexp_replace(replace(replace(pg_get_function_arguments(p.oid), '|', '\\|'), 'timestamp with time zone', 'timestamptz'),
								 '::[a-z]+(\[\])?', '', 'g'),
				  CASE WHEN p.prokind = 'p' THEN 'CALL'
					   ELSE replace(replace(coalesce(pg_get_function_result(p.oid), ''), '|', '\\|'), 'timestamp with time zone', 'timestamptz') END,
				  replace(coalesce(obj_description(p.oid, 'pg_proc'), ''), '|', '\\|'))
	  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	 WHERE n.nspname = '$1' AND ${2:-true}
	 ORDER BY p.proname COLLATE \"C\""
}

views() {					# views CONDITION
	q "$bindir" "
	SELECT format(E'| \`%s.%s\` | %s | %s |', n.nspname, c.relname,
				  replace(coalesce(obj_description(c.oid, 'pg_class'), ''), '|', '\\|'),
				  (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
					WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
	  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	 WHERE n.nspname = 'theazo' AND c.relkind = 'v' AND $1
	 ORDER BY c.relname COLLATE \"C\""
}

# A column for each kind, a row for each operation.
capabilities() {
	q "$bindir" "
	WITH kinds AS (SELECT type, row_number() OVER (ORDER BY type <> 'local', type <> 'webhook', type) AS n
					 FROM (SELECT DISTINCT type FROM theazo_internal.compute_operations()) t),
		 ops AS (SELECT operation, min(n) AS n FROM (SELECT operation, row_number() OVER () AS n FROM theazo_internal.compute_operations()) o GROUP BY 1)
	SELECT '| operation | ' || string_agg(type, ' | ' ORDER BY n) || ' |' || E'\n|---|' || repeat('---|', count(*)::int) FROM kinds
	UNION ALL
	SELECT * FROM (
		SELECT '| ' || o.operation || ' | ' || string_agg(coalesce(c.support || coalesce(': ' || replace(c.note, '|', '\|'), ''), 'none'), ' | ' ORDER BY k.n) || ' |'
		  FROM ops o CROSS JOIN kinds k
		  LEFT JOIN theazo_internal.compute_operations() c ON c.type = k.type AND c.operation = o.operation
		 GROUP BY o.operation, o.n ORDER BY o.n) x"
}

members() {
	q "$bindir" "
	SELECT format('| %s | \`%s\` | %s | %s |', type, member,
				  CASE shape WHEN 'word' THEN array_to_string(words, ', ') WHEN 'integer' THEN format('whole number from %s to %s', min, max)
							 WHEN 'number' THEN format('number from %s to %s', min, max) WHEN 'name' THEN format('text of up to %s characters', max)
							 WHEN 'runtimes' THEN 'object: text for python, node, go, browser' WHEN 'boolean' THEN 'true or false'
							 WHEN 'integers' THEN 'object of whole numbers' WHEN 'names' THEN 'array of texts' WHEN 'pem' THEN 'PEM text' WHEN 'key' THEN 'base64 or PEM'
							 WHEN 'url' THEN 'address' ELSE shape END, what)
	  FROM theazo_internal.compute_members() ORDER BY type, member"
}

bindir=$1
app="has_function_privilege('theazo_app', p.oid, 'EXECUTE')"
app_view="has_table_privilege('theazo_app', c.oid, 'SELECT')"

sed '/^<!-- generated -->$/,$d' docs/reference.md 2> /dev/null || true
cat << 'END'
<!-- generated -->

## Functions of a platform

Granted to `theazo_app` (and to roles that are members of it).

| function | result | what it does |
|---|---|---|
END
functions theazo "$app"
cat << 'END'

## Functions of the operator

Granted to `theazo_operator`, not to `theazo_app`.

| function | result | what it does |
|---|---|---|
END
functions theazo "NOT $app"
cat << 'END'

## Views of a platform

Rows of the platform that asks, and of the narrowed session where `theazo.act_as()` was called. Nobody asks: no rows.

| view | what it shows | columns |
|---|---|---|
END
views "$app_view"
cat << 'END'

## Views of the operator

| view | what it shows | columns |
|---|---|---|
END
views "NOT $app_view"
cat << 'END'

## REST documents

Functions of schema `theazo_api`: [rest-reference.md](rest-reference.md).
END
cat << 'END'

## What compute can do

`native`; `emulated`, by other means; `none`, which is refused with `TZ406`, as is what has no row. How entries are configured is in
[providers/index.md](providers/index.md).

END
capabilities
cat << 'END'

## Configuration of compute providers

Members of `config`; `endpoint` and `baseUrl` are known to all. `local` and `webhook` keep what they are given.

| kind | member | what it may be | what it says |
|---|---|---|---|
END
members
cat << 'END'

## Inside

Schema `theazo_internal` is what the functions above and the workers call. Nobody else has the right to; names and
arguments change without notice.

| function | result | what it does |
|---|---|---|
END
functions theazo_internal
