# shellcheck shell=bash disable=SC2154
# Rows 3d and 3e: containers, beside the engine asked directly; row 3f: local sandboxes. Sourced by run.sh. Needs the socket of
# an engine in THEAZO_ENGINE, as check.sh gives it.

box_image=localhost/theazo-test:1-bare
box_runs=${BENCH_EXECS:-40}

box_sql() {					# box_sql SCRIPT N: times of transactions in ms
	rm -f "$work"/boxlog*
	"$bindir/pgbench" -n -c 1 -t "$2" -l --log-prefix="$work/boxlog" -f "$1" > /dev/null 2>> "$work/pgbench.err"
	cat "$work"/boxlog* | awk '{ print $3 / 1000 }'
}

box_life_script() {			# box_life_script PROVIDER
	cat <<- END
		SELECT id AS agent FROM theazo.agent_create('$box_session', '{"provider": "$1"}', api_key => '$key') \\gset
		CALL theazo.exec(':agent', 'sh', 'true', api_key => '$key');
		SELECT FROM theazo.agent_terminate(':agent', api_key => '$key');
	END
}

box_rows() {
	local ref own agent
	switch on
	box_session=$(q -c "SELECT id FROM theazo.session_create('bench-box', api_key => '$key')")
	if wants 3d || wants 3e; then
		[ -S "${THEAZO_ENGINE:-}" ] || {
			echo "bench: no engine in THEAZO_ENGINE" >&2
			return 1
		}
		q -c "SELECT FROM theazo.operator_provider_set('boxes', type => 'docker', endpoint => 'unix://$THEAZO_ENGINE',
			config => '{\"image\": \"$box_image\", \"pull\": false, \"memoryMb\": 128, \"ulimits\": {\"nofile\": 1024, \"nproc\": 4096}}')"
	fi
	if wants 3d; then
		agent=$(q -c "SELECT id FROM theazo.agent_create('$box_session', '{\"provider\": \"theazo\"}', api_key => '$key')")
		echo "CALL theazo.exec('$agent', 'sh', 'true', api_key => '$key');" > "$work/box.sql"
		box_sql "$work/box.sql" 3 > /dev/null
		ref=$(python3 test/bench/box.py "$THEAZO_ENGINE" "$box_image" exec "$box_runs" | median)
		own=$(box_sql "$work/box.sql" "$box_runs" | median)
		row 3d "exec in a container, p50" ms "$ref" "$own" "<= 2"
		absolute 3d "of that ours, p50" ms "$(awk -v a="$own" -v b="$ref" 'BEGIN { print a - b }')" 3
		q -c "SELECT FROM theazo.agent_terminate('$agent', api_key => '$key')"
		wait_idle
	fi
	if wants 3e; then
		box_life_script theazo > "$work/box.sql"
		ref=$(python3 test/bench/box.py "$THEAZO_ENGINE" "$box_image" life "$((box_runs / 4))" | median)
		own=$(box_sql "$work/box.sql" "$((box_runs / 4))" | median)
		row 3e "create, exec, destroy of a container, p50" ms "$ref" "$own" "<= 2"
		wait_idle
	fi
	q -c "SELECT FROM theazo.operator_provider_delete('boxes', force => true)" > /dev/null 2>&1 || true
	if wants 3f; then
		box_life_script local > "$work/box.sql"
		ref=$(for _ in $(seq "$box_runs"); do box_bare; done | median)
		own=$(box_sql "$work/box.sql" "$box_runs" | median)
		row 3f "create, exec, destroy of a local sandbox, p50" ms "$ref" "$own" "<= 10"
		wait_idle
	fi
}

box_bare() {				# one bubblewrap, in ms
	local t0 t1
	t0=$(date +%s%N)
	bwrap --unshare-all --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp sh -c true
	t1=$(date +%s%N)
	echo $(((t1 - t0) / 1000)) | awk '{ print $1 / 1000 }'
}

box_rows
