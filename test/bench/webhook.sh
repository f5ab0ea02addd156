# shellcheck shell=bash
# Row 8w, deliveries to webhooks: signed POSTs, each a row that is queued, taken, sent and settled. Sourced by run.sh, with its
# functions and variables; loopd answers.
# shellcheck disable=SC2154

notice_data='{"sessionId": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", "userId": "user-1", "status": "active", "environment": "production"}'

delivery_row() {
	local n=${BENCH_DELIVERIES:-10000} hooks=${BENCH_WEBHOOKS:-4} c0 c1 s body
	q -c "SELECT theazo.platform_allow_egress('$platform', true, true)" > /dev/null
	q -c "SELECT theazo.webhook_update(w.id, max_in_flight => ${BENCH_IN_FLIGHT:-1000}, api_key => '$key') FROM (
			SELECT (theazo.webhook_create('http://127.0.0.1:$port/', '{session.created}', '$key')).id FROM generate_series(1, $hooks)) w" > /dev/null
	body=$(q -c "SELECT convert_from(theazo_internal.notice_body('evt_01ARZ3NDEKTSV4RRFFQ69G5FAV', 'session.created', '$notice_data'), 'UTF8')")
	: > "$work/ref"
	: > "$work/own"
	: > "$work/refcpu"
	: > "$work/owncpu"
	for _ in $(seq 1 "$rounds"); do
		"$work/multi" "http://127.0.0.1:$port/" "$n" 200 "$body" > "$work/multi.out"
		awk '{ print $1 }' "$work/multi.out" >> "$work/ref"
		awk '{ print $2 }' "$work/multi.out" >> "$work/refcpu"
		c0=$(dispatcher_cpu)
		s=$(carried "SELECT sum(theazo_internal.notify('$platform', 'live', 'session.created', '$notice_data')) FROM generate_series(1, $n / $hooks)")
		c1=$(dispatcher_cpu)
		awk -v n="$n" -v s="$s" 'BEGIN { print n / s }' >> "$work/own"
		awk -v n="$n" -v c="$((c1 - c0))" 'BEGIN { print c / n }' >> "$work/owncpu"
	done
	row 8w "signed webhook deliveries, queue to settled" "1/s" "$(median < "$work/ref")" "$(median < "$work/own")" ">= 0.3"
	row 8w "CPU of a delivery" "us" "$(median < "$work/refcpu")" "$(median < "$work/owncpu")" "<= 3"
	# the events of openings show how often the key was opened
	q -c "SELECT 'openings of keys a delivery: ' || round(count(*)::numeric / ($n * $rounds), 4) FROM theazo_data.event WHERE action = 'secret_opened'"
}

delivery_row
