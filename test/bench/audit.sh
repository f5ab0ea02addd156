# shellcheck shell=bash
# The rows of the audit trail. Sourced by run.sh, with its functions and variables.
# shellcheck disable=SC2154

# One table a contender, the same facts: a plain row, the same row as an event's by INSERT, and the obvious chain: a trigger that locks the tenant's head,
# hashes the previous hash with the row and moves the head. 100 tenants; the platforms stand for them.
audit_tables() {
	q > /dev/null << SQL
CREATE TABLE bench_fact (id bigserial PRIMARY KEY, tenant int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
	actor text, action text, detail jsonb);
CREATE TABLE bench_same (LIKE theazo_data.event INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE bench_same ADD PRIMARY KEY (platform_id, id);
CREATE INDEX ON bench_same (xid);
CREATE TABLE bench_chain (LIKE bench_fact INCLUDING ALL, seq bigint, prev bytea, hash bytea);
CREATE TABLE bench_head (tenant int PRIMARY KEY, seq bigint NOT NULL DEFAULT 0, hash bytea NOT NULL DEFAULT '\\x');
INSERT INTO bench_head (tenant) SELECT generate_series(1, 100);
CREATE FUNCTION bench_link() RETURNS trigger LANGUAGE plpgsql AS \$\$
DECLARE h bench_head;
BEGIN
	SELECT * INTO h FROM bench_head WHERE tenant = NEW.tenant FOR UPDATE;
	NEW.seq := h.seq + 1;
	NEW.prev := h.hash;
	NEW.hash := sha256(h.hash || convert_to(concat_ws('|', NEW.tenant, NEW.seq, NEW.at, NEW.actor, NEW.action, NEW.detail), 'UTF8'));
	UPDATE bench_head SET seq = NEW.seq, hash = NEW.hash WHERE tenant = NEW.tenant;
	RETURN NEW;
END \$\$;
CREATE TRIGGER link BEFORE INSERT ON bench_chain FOR EACH ROW EXECUTE FUNCTION bench_link();
CREATE TABLE bench_tenant (tenant int PRIMARY KEY, platform text);
INSERT INTO bench_tenant SELECT i, (theazo.platform_create('tenant ' || i)).id FROM generate_series(1, 100) i;
SQL
}

# The platform of a tenant is a constant of the script: picking it from a table would be work the others do not have.
audit_scripts() {			# audit_scripts TENANTS
	local detail='{"name":"openai","scope":"session","ip":"10.0.0.1"}'
	for t in fact chain; do
		printf '\\set t random(1, %s)\nINSERT INTO bench_%s (tenant, actor, action, detail) VALUES (:t, '"'agent-7', 'secret.read', '%s');\n" \
			"$1" "$t" "$detail" > "$work/$t$1.sql"
	done
	cat > "$work/same$1.sql" << END
INSERT INTO bench_same (platform_id, id, number, occurred_at, xid, instance, environment, actor_kind, actor_id, category, action, body)
SELECT '$platform', theazo_internal.id_new('evt'), 1, clock_timestamp(), pg_current_xact_id(), theazo_internal.instance(), 'live', 'operator', 'bench',
	'data', 'secret_read', convert_to('{"summary": $detail}', 'UTF8');
END
	q -c "SELECT format('SELECT theazo_internal.event_write(%L, ''data'', ''secret_read'', %L, NULL, NULL, NULL, ''live'');', platform, '$detail')
			FROM bench_tenant WHERE tenant <= $1 ORDER BY tenant" | while IFS= read -r line; do
		n=$((${n:-0} + 1))
		printf '%s\n' "$line" > "$work/event$1.$n.sql"
	done
}

# pgbench picks one of the scripts for each transaction.
audit_events() {			# audit_events TENANTS: transactions per second
	local files=()
	for f in "$work/event$1".*.sql; do
		files+=(-f "$f")
	done
	"$bindir/pgbench" -n -c 16 -j 2 -T "$seconds" -M prepared "${files[@]}" 2> /dev/null | awk '/^tps/ { print $3 }'
}

unsealed() {
	q -c "SELECT unsealed FROM theazo.operator_audit_status"
}

# How long after the last commit the last event was sealed, in ms.
seal_lag() {
	local t
	t=$(date +%s%3N)
	while [ "$(unsealed)" != 0 ]; do
		sleep 0.01
	done
	echo $(($(date +%s%3N) - t))
}

insert_row() {				# insert_row NAME WHAT TENANTS AIM
	audit_scripts "$3"
	: > "$work/fact.n"
	: > "$work/same.n"
	: > "$work/chain.n"
	: > "$work/own.n"
	: > "$work/lag.n"
	for _ in $(seq 1 "$rounds"); do
		bench "$work/fact$3.sql" 16 >> "$work/fact.n"
		bench "$work/same$3.sql" 16 >> "$work/same.n"
		bench "$work/chain$3.sql" 16 >> "$work/chain.n"
		audit_events "$3" >> "$work/own.n"
		seal_lag >> "$work/lag.n"
	done
	row "$1" "$2, INSERT of such a row" "1/s" "$(median < "$work/same.n")" "$(median < "$work/own.n")" "$4"
	row "$1" "$2, INSERT of a short row" "1/s" "$(median < "$work/fact.n")" "$(median < "$work/own.n")" "$4"
	row "$1" "$2, chaining trigger" "1/s" "$(median < "$work/chain.n")" "$(median < "$work/own.n")" ">= 1"
	absolute "$1" "sealed after the last commit" ms "$(median < "$work/lag.n")" 1000
}

# A chain of 1 M events, in CPU time: whatever else the machine does counts for neither. The reference is what cannot be
# left out: reading the rows, and SHA-256 over their bytes, each once; or with the link of the chain and the node of the tree.
verify_row() {
	local n=${BENCH_VERIFY:-1000000} tenant key bytes
	tenant=$(q -c "SELECT platform FROM bench_tenant WHERE tenant = 1")
	key=$(q -c "SELECT key FROM theazo.api_key_create('bench', platform => '$tenant')")
	"$cc" -O2 -std=gnu11 -o "$work/sha" test/bench/sha.c -lcrypto
	q > /dev/null << END
SET synchronous_commit = off;
SELECT count(theazo_internal.event_write('$tenant', 'data', 'secret_read', jsonb_build_object('name', 'openai', 'scope', 'session', 'n', i), NULL, NULL, NULL, 'live'))
  FROM generate_series(1, $n) i;
VACUUM ANALYZE theazo_data.event;
END
	seal_lag > /dev/null
	n=$(q -c "SELECT count(*) FROM theazo_data.event WHERE platform_id = '$tenant'")
	# as src/lib/entry.h puts it together
	bytes=$(q -c "SELECT round(avg(octet_length(concat(platform_id, id, number, xid, instance, environment, actor_kind, actor_id, category, action))
			+ octet_length(body) + 16 + 1 + 15 + 13 * 4 + 8)) FROM theazo_data.event WHERE platform_id = '$tenant'")
	: > "$work/scan.n"
	: > "$work/sha.n"
	: > "$work/all.n"
	: > "$work/verify.n"
	for _ in $(seq 1 "$rounds"); do
		q > "$work/verify.txt" << END
SET max_parallel_workers_per_gather = 0;
SELECT pg_backend_pid() AS pid \gset
\setenv PID :pid
\! awk '{ print "begin", \$14 + \$15 }' /proc/\$PID/stat
SELECT sum(octet_length(body)), max(id) FROM theazo_data.event WHERE platform_id = '$tenant';
\! awk '{ print "scan", \$14 + \$15 }' /proc/\$PID/stat
SELECT 1 / chain_valid::int FROM theazo.audit_verify(api_key => '$key');
\! awk '{ print "verify", \$14 + \$15 }' /proc/\$PID/stat
END
		awk '$1 == "begin" || $1 == "scan" || $1 == "verify" { if ($1 != "begin") print $1, ($2 - last) * 10; last = $2 }' "$work/verify.txt" > "$work/verify.ms"
		awk '$1 == "scan" { print $2 }' "$work/verify.ms" >> "$work/scan.n"
		awk '$1 == "verify" { print $2 }' "$work/verify.ms" >> "$work/verify.n"
		"$work/sha" "$n" "$bytes" | awk '{ print $2 }' >> "$work/sha.n"
		"$work/sha" "$n" "$bytes" more | awk '{ print $2 }' >> "$work/all.n"
	done
	per_second() {			# per_second MS...
		awk -v n="$n" 'BEGIN { for (i = 1; i < ARGC; i++) ms += ARGV[i]; print n / ms * 1000 }' "$@"
	}
	row 5c "verify $n events, scan and SHA-256" "1/s" "$(per_second "$(median < "$work/scan.n")" "$(median < "$work/sha.n")")" \
		"$(per_second "$(median < "$work/verify.n")")" ">= 0.8"
	row 5c "the same, and links and nodes" "1/s" "$(per_second "$(median < "$work/scan.n")" "$(median < "$work/all.n")")" \
		"$(per_second "$(median < "$work/verify.n")")" ">= 0.8"
}

if wants 5a || wants 5b || wants 5c; then
	audit_tables
fi
if wants 5a; then
	insert_row 5a "audited inserts, 100 tenants" 100 ">= 0.9"
fi
if wants 5b; then
	insert_row 5b "audited inserts, one tenant" 1 ">= 0.85"
fi
if wants 5c; then
	verify_row
fi
