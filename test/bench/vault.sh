# shellcheck shell=bash
# The rows of the vault: sealing and opening without a server, setting a secret
# with one. Sourced by run.sh, with its functions and variables.
# shellcheck disable=SC2154

seal_row() {
	local secs=${BENCH_SEAL:-0.2}
	"$cc" -O2 -std=gnu11 -D_GNU_SOURCE -Isrc -o "$work/seal" test/bench/seal.c \
		src/lib/envelope.c src/lib/buf.c src/lib/status.c -lcrypto
	: > "$work/seal.txt"
	# Short turns and CPU time: whatever else runs then disturbs all of them alike.
	for _ in $(seq 1 $((3 * rounds))); do
		"$work/seal" "$secs" >> "$work/seal.txt"
		if command -v node > /dev/null; then
			node test/bench/seal.mjs "$secs" >> "$work/seal.txt"
		fi
	done
	of() {
		awk -v who="$1" -v what="$2" '$1 == who && $2 == what { print $3 }' "$work/seal.txt" | median
	}
	row 4a "open 64 bytes, against EVP_KDF and GCM" "1/s" "$(of hkdf open)" "$(of theazo open)" ">= 1.7"
	row 4a "open, against EVP_KDF expanding only and GCM" "1/s" "$(of expand open)" "$(of theazo open)" ">= 1"
	row 4a "seal 64 bytes, against EVP_KDF and GCM" "1/s" "$(of hkdf seal)" "$(of theazo seal)" ">= 1.7"
	if grep -q '^node' "$work/seal.txt"; then
		row 4a "open 64 bytes, against node:crypto" "1/s" "$(of node open)" "$(of theazo open)" ">= 10"
	fi
}

# A secret of 64 bytes replaced, one a commit, by a role that is bound to its platform; against one row as
# long as the sealed value. Each of the names is set once before.
set_row() {
	q > /dev/null << END
CREATE ROLE bench_app LOGIN;
GRANT theazo_app TO bench_app;
SELECT theazo.platform_bind_role('$platform', 'bench_app');
CREATE TABLE bench_row (id bigserial PRIMARY KEY, name text NOT NULL, sealed bytea NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now());
GRANT ALL ON bench_row, bench_row_id_seq TO bench_app;
SET SESSION AUTHORIZATION bench_app;
SELECT theazo.secret_set('name' || i, repeat('s', 64)) FROM generate_series(1, 200) i;
END
	cat > "$work/set-plain.sql" << 'END'
\set n random(1, 200)
INSERT INTO bench_row (name, sealed) VALUES ('name' || :n, decode(repeat('ab', 81), 'hex'));
END
	cat > "$work/set-own.sql" << 'END'
\set n random(1, 200)
SELECT theazo.secret_set('name' || :n, repeat('s', 64));
END
	local c
	for c in 1 "$clients"; do
		: > "$work/ref"
		: > "$work/own"
		for _ in $(seq 1 "$rounds"); do
			PGUSER=bench_app bench "$work/set-plain.sql" "$c" >> "$work/ref"
			PGUSER=bench_app bench "$work/set-own.sql" "$c" >> "$work/own"
		done
		row 4b "set a secret, $c client(s), against a plain row" "1/s" "$(median < "$work/ref")" "$(median < "$work/own")" ">= 0.95"
	done
}

if wants 4a; then
	seal_row
fi
if wants 4b; then
	set_row
fi
