-- stop.sql: the process of a command that nobody waits for any more.

-- A call that is cut ends here; at most providers what it had started goes on. Where the adapter can, it is asked to end that as
-- well: by the effect's id, which is the name that the command has there.
CREATE OR REPLACE FUNCTION theazo_internal.compute_stop(e theazo_data.effect, s theazo_data.sandbox, p_state text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	-- What was never claimed has started nothing, and what runs in a sandbox that ends ends with it.
	IF e.kind <> 'compute.exec' OR p_state NOT IN ('cancelled', 'unknown') OR e.attempt = 0 OR s.status IS DISTINCT FROM 'ready'
		OR NOT EXISTS (SELECT FROM theazo_internal.effect_kinds() k WHERE k.adapter = e.adapter AND k.kind = 'compute.stop') THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.effect_enqueue(
		e.platform_id, NULL, 'compute.stop', e.adapter, pg_catalog.jsonb_build_object('exec', e.id), p_session => e.session_id,
		p_agent => e.agent_id, p_sandbox => s.id, p_provider => e.provider_name, p_max_attempts => 3,
		p_deadline => pg_catalog.clock_timestamp() + '2 minutes'::interval);
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_stop(theazo_data.effect, theazo_data.sandbox, text) IS
'has the process of a command ended that was cancelled, or whose outcome is unknown, where the provider can';
