-- log.sql: logs, traces, spans and metrics.

-- Both insert without a statement and ask no privilege: only the owners may call them.
CREATE OR REPLACE FUNCTION theazo_internal.log_write(
	p_platform text, p_root text, p_level text, p_source text, p_message text, p_environment text,
	p_session text DEFAULT NULL, p_agent text DEFAULT NULL, p_run text DEFAULT NULL, p_user text DEFAULT NULL,
	p_provider text DEFAULT NULL, p_trace text DEFAULT NULL, p_metadata jsonb DEFAULT NULL)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_log_write';
COMMENT ON FUNCTION theazo_internal.log_write(text, text, text, text, text, text, text, text, text, text, text, text, jsonb) IS
'writes one log line, bounded and masked';

CREATE OR REPLACE FUNCTION theazo_internal.span_write(
	p_platform text, p_root text, p_id text, p_trace text, p_parent text, p_environment text, p_session text,
	p_agent text, p_run text, p_name text, p_status text, p_start timestamptz, p_end timestamptz,
	p_attributes jsonb DEFAULT '{}')
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_span_write';
COMMENT ON FUNCTION theazo_internal.span_write(text, text, text, text, text, text, text, text, text, text, text,
	timestamptz, timestamptz, jsonb) IS 'writes one span, or a trace when it has no parent';

CREATE OR REPLACE VIEW theazo.logs WITH (security_barrier) AS
	SELECT l.id, l.occurred_at, l.environment, l.level, l.source, l.session_id, l.agent_id, l.run_id, l.user_id,
		   l.provider, l.trace_id, l.message, l.metadata
	  FROM theazo_data.log l
	 WHERE (SELECT theazo_internal.may_read('log:read'))
	   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(NULL) END);
COMMENT ON VIEW theazo.logs IS 'log lines of the platform';

CREATE OR REPLACE VIEW theazo.spans WITH (security_barrier) AS
	SELECT s.id, s.trace_id, s.parent_id, s.environment, s.session_id, s.agent_id, s.run_id, s.name, s.status,
		   s.started_at, s.ended_at,
		   round(extract(epoch FROM s.ended_at - s.started_at) * 1000)::bigint AS duration_ms, s.attributes
	  FROM theazo_data.span s
	 WHERE (SELECT theazo_internal.may_read('log:read'))
	   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(NULL) END);
COMMENT ON VIEW theazo.spans IS 'spans of all traces of the platform';

CREATE OR REPLACE VIEW theazo.traces WITH (security_barrier) AS
	SELECT s.id, s.environment, s.session_id, s.agent_id, s.run_id, s.name, s.status, s.started_at, s.ended_at,
		   round(extract(epoch FROM s.ended_at - s.started_at) * 1000)::bigint AS duration_ms,
		   (coalesce((SELECT r.cost FROM theazo_data.run r
					   WHERE r.platform_id = s.platform_id AND r.id = s.run_id), 0)::numeric / 1000000)::numeric(30,6) AS cents
	  FROM theazo_data.span s
	 WHERE (SELECT theazo_internal.may_read('log:read')) AND s.parent_id IS NULL;
COMMENT ON VIEW theazo.traces IS 'one row per run or exec, with its duration and cost';

-- What a run costs while it is looked at belongs to run.sql; here are the figures over many.
CREATE OR REPLACE FUNCTION theazo.metrics_summary(api_key text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_today	timestamptz;
	v_all	bigint;
	v_bad	bigint;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'log:read');
	v_today := theazo_internal.period_start('today');
	SELECT count(*), count(*) FILTER (WHERE r.status = 'failed') INTO v_all, v_bad
	  FROM theazo.runs r
	 WHERE r.id >= 'run_' || theazo_internal.id_floor(v_today) AND r.ended_at IS NOT NULL;
	RETURN jsonb_build_object(
		'active_agents', (SELECT count(*) FROM theazo.agents a WHERE a.status NOT IN ('completed', 'failed')),
		'active_sessions', (SELECT count(*) FROM theazo.sessions s WHERE s.status = 'active'),
		'cost_today_cents', coalesce((SELECT sum(c.cents) FROM theazo.charges c
									   WHERE c.occurred_at >= v_today AND c.payer = 'theazo'), 0),
		'agents_created_today', (SELECT count(*) FROM theazo.agents a WHERE a.created_at >= v_today),
		'error_rate', CASE WHEN v_all = 0 THEN 0 ELSE round(v_bad::numeric / v_all, 4) END);
END
$$;
COMMENT ON FUNCTION theazo.metrics_summary(text) IS 'agents, sessions, cost and error rate of today';

CREATE OR REPLACE FUNCTION theazo.metrics_query(metric text, since timestamptz, until timestamptz, bucket interval, api_key text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_seconds	numeric;
	v_bucket	interval;
	v_out		jsonb;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'log:read');
	IF metrics_query.metric IS NULL OR metrics_query.metric NOT IN
		('latency', 'run.duration', 'model.latency', 'exec.duration', 'cost', 'tokens') THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('metric %s is not known', theazo_internal.quoted(metrics_query.metric)),
			HINT = 'Use latency, run.duration, model.latency, exec.duration, cost or tokens.';
	END IF;
	IF since IS NULL OR until IS NULL OR bucket IS NULL OR since >= until OR NOT isfinite(since) OR NOT isfinite(until) THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'since must be before until, and bucket must be given';
	END IF;
	-- Nothing is older than the first id can say.
	since := greatest(since, '1970-01-02 00:00:00+00'::timestamptz);
	v_seconds := extract(epoch FROM bucket);
	IF v_seconds < 1 OR extract(epoch FROM until - since) / v_seconds > 10000 THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('bucket "%s" is out of range', bucket),
			HINT = 'Use at least one second and at most 10000 buckets.';
	END IF;
	-- date_bin takes no months; by its epoch a month counts 30 days.
	v_bucket := make_interval(secs => v_seconds::double precision);
	SELECT jsonb_agg(jsonb_build_object('timestamp', b.at, 'p50', b.p[1], 'p95', b.p[2], 'p99', b.p[3]) ORDER BY b.at) INTO v_out
	  FROM (SELECT date_bin(v_bucket, x.ended_at, 'epoch'::timestamptz) AS at,
				   percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY x.value) AS p
			  FROM (SELECT r.ended_at,
						   CASE WHEN metrics_query.metric = 'cost' THEN r.cost::double precision
								ELSE r.duration_ms::double precision END AS value
					  FROM theazo.runs r
					 WHERE r.ended_at >= metrics_query.since AND r.ended_at < metrics_query.until
					   AND r.id >= 'run_' || theazo_internal.id_floor(metrics_query.since - '1 day'::interval)
					   AND (metrics_query.metric IN ('latency', 'run.duration', 'cost') AND r.kind IN ('agent', 'exec', 'script')
							OR metrics_query.metric = 'exec.duration' AND r.kind = 'exec')
					 UNION ALL
					SELECT s.ended_at, extract(epoch FROM s.ended_at - s.started_at)::double precision * 1000
					  FROM theazo.spans s
					 WHERE metrics_query.metric = 'model.latency' AND s.name = 'model' AND NOT s.attributes ? 'reported'
					   AND s.ended_at >= metrics_query.since AND s.ended_at < metrics_query.until
					   AND s.id >= 'spn_' || theazo_internal.id_floor(metrics_query.since - '1 day'::interval)
					 UNION ALL
					SELECT c.occurred_at, (coalesce(c.input_tokens, 0) + coalesce(c.cached_tokens, 0) + coalesce(c.output_tokens, 0))::double precision
					  FROM theazo.charges c
					 WHERE metrics_query.metric = 'tokens' AND c.item = 'model.call'
					   AND c.occurred_at >= metrics_query.since AND c.occurred_at < metrics_query.until) x
			 WHERE x.value IS NOT NULL
			 GROUP BY 1) b;
	RETURN coalesce(v_out, '[]');
END
$$;
COMMENT ON FUNCTION theazo.metrics_query(text, timestamptz, timestamptz, interval, text) IS
'percentiles of a metric by time bucket, oldest first, empty buckets left out';
