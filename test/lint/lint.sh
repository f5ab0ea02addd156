#!/bin/bash
# What must hold for every file and for every object of an installed extension.
#
#	lint.sh [BINDIR CONF]	BINDIR: server programs with theazo installed; CONF: its settings
#
# Prints "ok - name" or "not ok - name" and what is wrong. Without BINDIR only
# the files are looked at. Catalog checks are queries in catalog.sql: a row is
# an offence.
set -u
cd "$(dirname "$0")/../.." || exit 1

bindir=${1:-}
conf=${2:-}
bad=0
mapfile -t sources < <(find src -name '*.[ch]' | sort)
work=$(mktemp -d "${TMPDIR:-/tmp}/theazo-lint.XXXXXX")
. test/run/tmpserver.sh

cleanup() {
	tmp_server_stop
	rm -rf "$work"
}
trap cleanup EXIT

# report NAME FILE: passes when FILE, the list of offences, is empty.
report() {
	if [ -s "$2" ]; then
		echo "not ok - $1"
		head -n 40 "$2" | sed 's/^/    /'
		bad=1
	else
		echo "ok - $1"
	fi
}

c_files() {
	find src test -name '*.[ch]' | sort
}

check_format() {
	local f
	c_files | while read -r f; do
		clang-format --style=file --dry-run --Werror "$f" > /dev/null 2>&1 || echo "$f: run clang-format -i"
	done > "$work/o"
	report "layout of C files" "$work/o"
}

# Arrows point down only. worker/ and theazo.c may know everybody.
check_includes() {
	awk '
	BEGIN {
		may["lib"] = " lib "
		may["safety"] = " safety lib "
		may["http"] = " http lib "
		may["adapter"] = " adapter lib "
		may["sandbox"] = " sandbox lib "
		may["runner"] = " runner lib "
		may["verify"] = " verify lib "
		may["pg"] = " pg lib "
		n = split("effect vault audit gate auth stream gateway", up, " ")
		for (i = 1; i <= n; i++)
			may[up[i]] = " " up[i] " pg lib "
		may["call"] = " call safety effect vault audit gate auth pg lib "
		may["gateway"] = " gateway call stream gate auth pg lib "
		# Rows are decoded into the nouns of the adapter contract.
		may["effect"] = may["effect"] "adapter "
	}
	FNR == 1 {
		split(FILENAME, part, "/")
		area = part[2]
	}
	match($0, /^#[ \t]*include[ \t]*"[a-z_]+\/[a-z_\/]+\.h"/) {
		name = $0
		sub(/^[^"]*"/, "", name)
		sub(/".*/, "", name)
		split(name, to, "/")
		# The event loop is what the host sides of a box and of a run hang on.
		if ((area == "sandbox" || area == "runner") && name == "http/mux.h")
			next
		if (area in may && (to[1] in may || to[1] == "worker") && index(may[area], " " to[1] " ") == 0)
			print FILENAME ": " name " points up or across"
	}
	/^#[ \t]*include[ \t]*"postgres\.h"/ && (area ~ /^(lib|safety|http|adapter|sandbox|runner|verify)$/ || FILENAME ~ /\.h$/) {
		print FILENAME ": postgres.h does not belong here"
	}' "${sources[@]}" > "$work/o"
	report "include directions" "$work/o"
}

check_banned() {
	grep -nE '(^|[^A-Za-z0-9_>.])(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|system|popen)[ \t]*\(' \
		"${sources[@]}" | grep -vE ':[0-9]+:[ \t]*(/\*|\*|//)' > "$work/o"
	report "banned C functions" "$work/o"
}

# Names of machines, mirrors and private folders do not belong in a repository.
check_paths() {
	local hosts='deb[.]debian|security[.]debian|pypi[.]org|pythonhosted|npmjs[.]org|proxy[.]golang|crates[.]io|apt[.]postgresql'
	grep -rnE "(/root/|/home/[a-z]|/work/|$hosts)" --include='*' \
		--exclude-dir=.git --exclude-dir=.build --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude='theazo-init' --exclude='theazo-verify' --exclude='theazo-runner' \
		--exclude='lint.sh' . > "$work/o"
	report "no machine paths, no registry hosts" "$work/o"
}

# The client as it is put into sandboxes is what src/client says.
check_client() {
	test/run/embed.py --check > "$work/o" 2>&1
	report "client in C is the one in src/client" "$work/o"
}

check_shell() {
	if ! command -v shellcheck > /dev/null; then
		echo 'shellcheck is missing: run make deps' > "$work/o"
	else
		find test .ci -type f \( -name '*.sh' -o -path '.ci/run' \) -print0 |
			xargs -0 shellcheck -x -S warning -f gcc > "$work/o" 2>&1
	fi
	report "shell scripts" "$work/o"
}

# Both ways: what there is is explained, what is explained is there.
check_errors() {
	{
		grep -oE "'T','Z','[0-9]','[0-9]','[0-9]'" src/pg/errors.h | tr -d "',"
		grep -oE "^X\([A-Z_]+, *TZ[0-9]{3}" src/pg/errors.h | grep -oE 'TZ[0-9]{3}'
	} | sort -u > "$work/have"
	grep -oE '^\| *`TZ[0-9]{3}`' docs/errors.md 2> /dev/null | grep -oE 'TZ[0-9]{3}' | sort -u > "$work/told"
	{
		comm -23 "$work/have" "$work/told" | sed 's/$/: not in docs\/errors.md/'
		comm -13 "$work/have" "$work/told" | sed 's/$/: in docs\/errors.md only/'
		[ -s "$work/have" ] || echo "no codes found in src/pg/errors.h"
	} > "$work/o"
	report "docs/errors.md lists every SQLSTATE" "$work/o"
	# Codes in SQL and C that the list does not have.
	grep -rnoE "'TZ[0-9]{3}'|\"TZ[0-9]{3}\"" sql src | grep -v 000 | while IFS= read -r line; do
		code=$(echo "$line" | grep -oE 'TZ[0-9]{3}')
		grep -qx "$code" "$work/have" || echo "$line"
	done > "$work/o"
	report "SQLSTATEs raised are in the list" "$work/o"
}

check_links() {
	local f t
	for f in README.md docs/*.md docs/providers/*.md test/README.md; do
		[ -f "$f" ] || continue
		grep -oE '\]\([^)#: ]+[)# ]' "$f" | sed 's/^](//; s/.$//' | while read -r t; do
			[ -e "$(dirname "$f")/$t" ] || echo "$f: $t"
		done
	done > "$work/o"
	report "links in the docs" "$work/o"
}

# The page about the routes is what sql/rest/routes.tsv says.
check_routes() {
	awk -v want=docs -f sql/rest/routes.awk sql/rest/routes.tsv > "$work/have"
	sed '1,/^<!-- generated -->$/d' docs/rest-reference.md | diff "$work/have" - > "$work/o"
	report "docs/rest-reference.md is up to date" "$work/o"
	grep -nE 'theazo_data|SECURITY DEFINER|^SET ' sql/rest/*.sql > "$work/o"
	report "operations of the REST face name no table and are no definers" "$work/o"
}

start_server() {
	tmp_server_start "$bindir" "$work" "$conf"
}

# Partitions are the keeper's to make; what it makes is checked as well.
await_keeper() {
	for _ in $(seq 1 100); do
		[ "$("$bindir/psql" -X -q -A -t -c "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'
			AND relnamespace = 'theazo_data'::regnamespace AND pg_get_expr(relpartbound, oid) <> 'DEFAULT'")" -gt 0 ] && return 0
		sleep 0.1
	done
	echo 'no partition after ten seconds'
	tail -n 10 "$work/server.log"
}

# One query after the other; a line "-- check: NAME" begins each.
check_catalog() {
	local name
	: > "$work/names"
	awk -v dir="$work" '/^-- check: / { n++; print substr($0, 11) > (dir "/names"); next }
		n { print > sprintf("%s/q%03d.sql", dir, n) }' test/lint/catalog.sql
	local n=0
	while IFS= read -r name; do
		n=$((n + 1))
		"$bindir/psql" -X -q -A -t -v ON_ERROR_STOP=1 -f "$(printf '%s/q%03d.sql' "$work" "$n")" > "$work/o" 2>&1
		report "$name" "$work/o"
	done < "$work/names"
}

# documented FILE QUERY NAME: each name the query gives stands in FILE as `name`.
documented() {
	local file=$1 name
	"$bindir/psql" -X -q -A -t -v ON_ERROR_STOP=1 -c "$2" > "$work/have" 2> "$work/o" || echo "query failed" >> "$work/o"
	while IFS= read -r name; do
		grep -qE "\`${name}[\`(]" "$file" 2> /dev/null || echo "$name: not in $file"
	done < "$work/have" >> "$work/o"
	[ -s "$work/have" ] || echo "nothing found to document" >> "$work/o"
	report "$3" "$work/o"
}

check_docs() {
	documented docs/reference.md "SELECT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = 'theazo' ORDER BY 1" "docs/reference.md lists every public function"
	documented docs/rest-reference.md "SELECT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = 'theazo_api' ORDER BY 1" "docs/rest-reference.md lists every function of theazo_api"
	documented docs/reference.md "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('theazo', 'theazo_api') AND c.relkind IN ('v', 'm', 'r', 'p') ORDER BY 1" "docs/reference.md lists every view"
	documented docs/reference.md "SELECT rolname FROM pg_roles WHERE rolname LIKE 'theazo%' ORDER BY 1" "docs/reference.md lists every role"
	documented docs/settings.md "SELECT name FROM pg_settings WHERE name LIKE 'theazo.%' ORDER BY 1" "docs/settings.md lists every setting"
	# And nothing that is not there.
	"$bindir/psql" -X -q -A -t -c "SELECT name FROM pg_settings WHERE name LIKE 'theazo.%'" | sort > "$work/have"
	grep -oE '^\| *`theazo\.[a-z_]+`' docs/settings.md 2> /dev/null | grep -oE 'theazo\.[a-z_]+' | sort -u > "$work/told"
	comm -13 "$work/have" "$work/told" > "$work/o"
	report "docs/settings.md lists nothing else" "$work/o"
	"$bindir/psql" -X -q -A -t -c "SELECT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname IN ('theazo', 'theazo_api', 'theazo_internal')
		UNION SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('theazo', 'theazo_api')" | sort > "$work/have"
	grep -oE '^\| *`theazo(_api|_internal)?\.[a-z0-9_]+' docs/reference.md 2> /dev/null | grep -oE 'theazo[a-z_]*\.[a-z0-9_]+' | sort -u > "$work/told"
	comm -13 "$work/have" "$work/told" > "$work/o"
	report "docs/reference.md lists nothing else" "$work/o"
}

check_symbols() {
	nm -D --defined-only "$("$bindir/pg_config" --pkglibdir)/theazo.so" | awk '$2 ~ /[TDBR]/ { print $3 }' |
		grep -vE '^(theazo_[a-z0-9_]+|pg_finfo_theazo_[a-z0-9_]+|_PG_init|_PG_fini|Pg_magic_func)$' > "$work/o"
	report "only our names leave the library" "$work/o"
}

# The weights are what is learnt from the texts that are here; labels are right, and no text stands there twice.
check_weights() {
	local f
	for f in src/safety/model/*.tsv; do
		awk -F '\t' -v f="$f" 'NF != 2 || $1 !~ /^(harmless|injection|toxic|harmful)$/ || $2 == "" { print f ": line " NR }
			$2 in seen { print f ": line " NR " stands there twice" }
			{ seen[$2] = 1 }' "$f"
	done > "$work/o"
	report "labelled texts" "$work/o"
	{ make -s weights-check || echo "the weights are not what is learnt: make weights"; } > "$work/o" 2>&1
	report "weights of the content filter" "$work/o"
}

check_format
check_includes
check_banned
check_paths
check_client
check_shell
check_errors
check_links
check_routes
check_weights
if [ -n "$bindir" ]; then
	check_symbols
	if start_server; then
		echo "ok - the extension installs"
		await_keeper > "$work/o"
		report "the keeper makes partitions" "$work/o"
		check_catalog
		check_docs
	else
		echo "not ok - the extension installs"
		tail -n 20 "$work/initdb.log" "$work/server.log" "$work/create.log" 2> /dev/null | sed 's/^/    /'
		bad=1
	fi
fi
exit "$bad"
