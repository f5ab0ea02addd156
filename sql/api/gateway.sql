-- gateway.sql: what the worker behind the REST face asks beside operations.

-- By its place in the array, so that nothing has to be looked up by whoever asked. What an agent waits for is its start.
CREATE OR REPLACE FUNCTION theazo_internal.gateway_runs_ended(p_platforms text[], p_ids text[])
RETURNS SETOF integer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT w.at::integer
	  FROM unnest(p_platforms, p_ids) WITH ORDINALITY AS w (platform, id, at)
	 WHERE CASE WHEN w.id LIKE 'run\_%' THEN NOT EXISTS (
				SELECT FROM theazo_data.run r WHERE r.platform_id = w.platform AND r.id = w.id AND r.status IN ('queued', 'running'))
				WHEN w.id LIKE 'agt\_%' THEN NOT EXISTS (
				SELECT FROM theazo_data.agent a WHERE a.platform_id = w.platform AND a.id = w.id AND a.status = 'booting')
				ELSE true END;
END
$$;
COMMENT ON FUNCTION theazo_internal.gateway_runs_ended(text[], text[]) IS
'which of these runs have ended, and which agents have started: their places in the list';
