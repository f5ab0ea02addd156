-- sample.sql: figures of sandboxes over time: the keeper asks for them, and what was asked for by hand is kept as well.

CREATE OR REPLACE VIEW theazo.sandbox_metrics WITH (security_barrier) AS
	SELECT m.sandbox_id, m.agent_id, m.session_id, m.environment, m.taken_at, m.cpu_percent, m.memory_mb, m.disk_mb
	  FROM theazo_data.sandbox_sample m
	 WHERE (SELECT theazo_internal.may_read('agent:read'));
COMMENT ON VIEW theazo.sandbox_metrics IS 'processor, memory and disk use of sandboxes over time';

-- Of each sandbox the last 1440 are kept: a day of minutes.
CREATE OR REPLACE FUNCTION theazo_internal.sample_keep(s theazo_data.sandbox, p_result jsonb, p_at timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF s.id IS NULL THEN
		RETURN;
	END IF;
	INSERT INTO theazo_data.sandbox_sample (platform_id, sandbox_id, taken_at, session_id, agent_id, environment, cpu_percent, memory_mb, disk_mb)
	SELECT s.platform_id, s.id, p_at, s.session_id, s.agent_id, s.environment, f.v[1], f.v[2], f.v[3]
	  FROM (SELECT array_agg(CASE jsonb_typeof(p_result -> m.name) WHEN 'number' THEN (p_result ->> m.name)::double precision END ORDER BY m.ord) AS v
			  FROM unnest(ARRAY['cpu_percent', 'memory_mb', 'disk_mb']) WITH ORDINALITY m (name, ord)) f
	ON CONFLICT DO NOTHING;
	DELETE FROM theazo_data.sandbox_sample x
	 WHERE x.platform_id = s.platform_id AND x.sandbox_id = s.id
	   AND x.taken_at <= (SELECT y.taken_at FROM theazo_data.sandbox_sample y
						   WHERE y.platform_id = s.platform_id AND y.sandbox_id = s.id ORDER BY y.taken_at DESC OFFSET 1440 LIMIT 1);
END
$$;
COMMENT ON FUNCTION theazo_internal.sample_keep(theazo_data.sandbox, jsonb, timestamptz) IS 'keeps figures of a sandbox, of each the last 1440';

CREATE OR REPLACE FUNCTION theazo_internal.sample_interval()
RETURNS interval
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN x.every > '0'::interval THEN greatest(x.every, '1 second') END
	  FROM (SELECT coalesce(current_setting('theazo.metrics_interval', true), '0')::interval AS every) x
$$;
COMMENT ON FUNCTION theazo_internal.sample_interval() IS 'theazo.metrics_interval; null: the keeper takes no samples';

-- One question a sandbox and interval, where the provider can answer it. One that no dispatcher takes in time is not asked.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_samples()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_every	interval := theazo_internal.sample_interval();
	v_here	text := theazo_internal.instance();
	s		theazo_data.sandbox;
	v_n		integer := 0;
BEGIN
	DELETE FROM theazo_data.sandbox_sample x
	 USING (SELECT y.platform_id, y.sandbox_id, y.taken_at FROM theazo_data.sandbox_sample y
			 WHERE y.taken_at < now() - '7 days'::interval ORDER BY y.taken_at LIMIT 10000) o
	 WHERE x.platform_id = o.platform_id AND x.sandbox_id = o.sandbox_id AND x.taken_at = o.taken_at;
	IF v_every IS NULL THEN
		RETURN 0;
	END IF;
	FOR s IN
		SELECT x.* FROM theazo_data.sandbox x
		 WHERE x.status = 'ready' AND x.instance = v_here AND coalesce(x.sampled_at, x.started_at) <= clock_timestamp() - v_every
		   AND x.adapter IN (SELECT k.adapter FROM theazo_internal.effect_kinds() k WHERE k.kind = 'compute.sample')
		 ORDER BY coalesce(x.sampled_at, x.started_at) LIMIT 500
		   FOR UPDATE SKIP LOCKED
	LOOP
		UPDATE theazo_data.sandbox x SET sampled_at = clock_timestamp() WHERE x.platform_id = s.platform_id AND x.id = s.id;
		CONTINUE WHEN NOT theazo_internal.compute_capable(s.platform_id, s.provider_name, 'metrics')
			OR EXISTS (SELECT FROM theazo_internal.compute_operations() o WHERE o.type = s.adapter AND o.operation = 'metrics' AND o.support = 'none');
		PERFORM theazo_internal.effect_enqueue(s.platform_id, NULL, 'compute.sample', s.adapter, NULL, p_session => s.session_id, p_agent => s.agent_id,
			p_sandbox => s.id, p_provider => s.provider_name, p_timeout_ms => 10000, p_max_attempts => 1,
			p_affinity => CASE WHEN s.adapter = 'local' THEN s.worker_slot END, p_deadline => clock_timestamp() + least(v_every, '1 minute'));
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_samples() IS 'keeper: has figures of live sandboxes taken, and drops those older than a week';
