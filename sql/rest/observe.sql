-- observe.sql: logs, metrics and traces.

CREATE OR REPLACE FUNCTION theazo_internal.rest_since(p_period text)
RETURNS timestamptz LANGUAGE sql STABLE
RETURN (
	SELECT CASE p_period WHEN 'today' THEN t.today WHEN 'month' THEN pg_catalog.date_trunc('month', t.today, 'UTC')
			WHEN 'last_30_days' THEN t.today - '29 days'::interval ELSE t.today - '6 days'::interval END
	  FROM (SELECT pg_catalog.date_trunc('day', pg_catalog.now(), 'UTC')) AS t (today));
COMMENT ON FUNCTION theazo_internal.rest_since(text) IS
'first moment of a named period, UTC';

CREATE OR REPLACE FUNCTION theazo_internal.rest_log(l theazo.logs)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('id', l.id, 'timestamp', theazo_internal.rest_at(l.occurred_at), 'level', l.level, 'source', l.source,
		'agentId', coalesce(l.agent_id, ''), 'sessionId', coalesce(l.session_id, ''), 'userId', coalesce(l.user_id, ''),
		'provider', coalesce(l.provider, ''), 'message', l.message)
	|| CASE WHEN l.metadata IS NULL OR l.metadata = '{}' THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('metadata', l.metadata) END
	|| CASE WHEN l.trace_id IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('traceId', l.trace_id) END;
COMMENT ON FUNCTION theazo_internal.rest_log(theazo.logs) IS
'a LogEntry';

CREATE OR REPLACE FUNCTION theazo_internal.rest_log_query(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	n			integer := theazo_internal.rest_limit(a, 100, 1000);
	after		text := theazo_internal.rest_after(a, 'logs');
	v_level		text := theazo_internal.rest_one_of(a, 'level', false, 'debug', 'info', 'warn', 'error');
	v_session	text := theazo_internal.rest_text(a, 'sessionId');
	v_agent		text := theazo_internal.rest_text(a, 'agentId');
	v_search	text := pg_catalog.lower(theazo_internal.rest_text(a, 'search', false, 1000));
	since		timestamptz := theazo_internal.rest_time(a, 'since');
	until		timestamptz := theazo_internal.rest_time(a, 'until');
	rows		jsonb[];
	ids			text[];
BEGIN
	PERFORM theazo_internal.enter(NULL, 'log:read');
	SELECT pg_catalog.array_agg(theazo_internal.rest_log(x.l) ORDER BY x.id DESC), pg_catalog.array_agg(x.id ORDER BY x.id DESC) INTO rows, ids
	  FROM (SELECT l, l.id::text COLLATE "C" AS id FROM theazo.logs l
			 WHERE (v_level IS NULL OR l.level = v_level)
			   AND (v_session IS NULL OR l.session_id = v_session)
			   AND (v_agent IS NULL OR l.agent_id = v_agent)
			   AND (coalesce(v_search, '') = '' OR pg_catalog.strpos(pg_catalog.lower(l.message), v_search) > 0)
			   AND (since IS NULL OR l.occurred_at >= since)
			   AND (until IS NULL OR l.occurred_at < until)
			   AND (after IS NULL OR l.id < after)
			 ORDER BY l.id DESC LIMIT n + 1) x;
	RETURN theazo_internal.rest_page('logs', n, rows, ids);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_log_query(jsonb) IS
'GET /v1/logs';

-- ---------------------------------------------------------------------------------------
-- metrics

CREATE OR REPLACE FUNCTION theazo_internal.rest_metrics_summary(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	m jsonb := theazo.metrics_summary();
BEGIN
	RETURN pg_catalog.jsonb_build_object('activeAgents', m -> 'active_agents', 'activeSessions', m -> 'active_sessions',
		'costToday', theazo_internal.rest_cost(pg_catalog.round((m ->> 'cost_today_cents')::numeric)::bigint),
		'agentsCreatedToday', m -> 'agents_created_today', 'errorRate', pg_catalog.trim_scale((m ->> 'error_rate')::numeric));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_metrics_summary(jsonb) IS
'GET /v1/metrics/summary';

CREATE OR REPLACE FUNCTION theazo_internal.rest_metrics_query(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_metric	text := theazo_internal.rest_one_of(a, 'metric', true, 'latency', 'run.duration', 'model.latency', 'exec.duration', 'cost', 'tokens');
	v_since		timestamptz := theazo_internal.rest_time(a, 'since', true);
	v_until		timestamptz := theazo_internal.rest_time(a, 'until', true);
	v_interval	interval := theazo_internal.rest_interval(a, 'interval', true, '1 s');
BEGIN
	IF v_since >= v_until THEN
		PERFORM theazo_internal.rest_bad('until', 'must be later than since');
	ELSIF EXTRACT(epoch FROM v_until - v_since) / EXTRACT(epoch FROM v_interval) > 10000 THEN
		PERFORM theazo_internal.rest_bad('interval', 'makes more than 10000 points of this span', 'Ask for a longer interval or a shorter span.');
	END IF;
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(m || pg_catalog.jsonb_build_object('timestamp', theazo_internal.rest_at((m ->> 'timestamp')::timestamptz)) ORDER BY n), '[]')
			  FROM pg_catalog.jsonb_array_elements(theazo.metrics_query(v_metric, v_since, v_until, v_interval)) WITH ORDINALITY x (m, n));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_metrics_query(jsonb) IS
'GET /v1/metrics';

-- ---------------------------------------------------------------------------------------
-- traces

CREATE OR REPLACE FUNCTION theazo_internal.rest_trace(t theazo.traces)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('traceId', t.id, 'agentId', coalesce(t.agent_id, ''), 'sessionId', coalesce(t.session_id, ''),
	'startedAt', theazo_internal.rest_at(t.started_at), 'durationMs', t.duration_ms, 'status', t.status,
	'cost', theazo_internal.rest_cost(pg_catalog.round(t.cents)::bigint));
COMMENT ON FUNCTION theazo_internal.rest_trace(theazo.traces) IS
'a Trace without its spans';

CREATE OR REPLACE FUNCTION theazo_internal.rest_trace_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	n			integer := theazo_internal.rest_limit(a);
	after		text := theazo_internal.rest_after(a, 'traces');
	v_session	text := theazo_internal.rest_text(a, 'sessionId');
	v_agent		text := theazo_internal.rest_text(a, 'agentId');
	rows		jsonb[];
	ids			text[];
BEGIN
	PERFORM theazo_internal.enter(NULL, 'log:read');
	SELECT pg_catalog.array_agg(theazo_internal.rest_trace(x.t) ORDER BY x.id DESC), pg_catalog.array_agg(x.id ORDER BY x.id DESC) INTO rows, ids
	  FROM (SELECT t, t.id::text COLLATE "C" AS id FROM theazo.traces t
			 WHERE (v_session IS NULL OR t.session_id = v_session) AND (v_agent IS NULL OR t.agent_id = v_agent) AND (after IS NULL OR t.id < after)
			 ORDER BY t.id DESC LIMIT n + 1) x;
	IF pg_catalog.cardinality(rows) > n THEN
		PERFORM theazo_internal.rest_answer(200, pg_catalog.jsonb_build_object('X-Next-Cursor', theazo_internal.rest_cursor('traces', ids[n])));
	END IF;
	RETURN pg_catalog.to_jsonb(coalesce(rows[1:n], '{}'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_trace_list(jsonb) IS
'GET /v1/traces; where there are more, the next cursor is in header X-Next-Cursor';

CREATE OR REPLACE FUNCTION theazo_internal.rest_trace_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	t theazo.traces;
BEGIN
	PERFORM theazo_internal.enter(NULL, 'log:read');
	SELECT * INTO t FROM theazo.traces x WHERE x.id = a ->> 'traceId';
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('trace', a ->> 'traceId');
	END IF;
	RETURN theazo_internal.rest_trace(t) || pg_catalog.jsonb_build_object('spans', (
		SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('spanId', s.id, 'name', s.name, 'startTime', theazo_internal.rest_at(s.started_at),
				'endTime', theazo_internal.rest_at(s.ended_at), 'durationMs', s.duration_ms, 'attributes', coalesce(s.attributes, '{}'),
				'parentSpanId', s.parent_id) ORDER BY s.started_at, s.id::text COLLATE "C"), '[]')
		  FROM theazo.spans s WHERE s.trace_id = t.id));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_trace_get(jsonb) IS
'GET /v1/traces/:traceId';
