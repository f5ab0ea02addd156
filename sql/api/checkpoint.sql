-- checkpoint.sql: where an agent can be taken back to: what it remembers, a phase, and its files where the provider keeps them.
--
-- What an agent remembers is the chain of runs that ended well, so a checkpoint names the last of them. A run that is under way at
-- that moment is not part of it.

CREATE OR REPLACE VIEW theazo.checkpoints WITH (security_barrier) AS
	SELECT c.id, c.agent_id, c.session_id, c.environment, c.snapshot_id, c.phase, c.progress, c.metadata, c.automatic,
		   CASE s.status WHEN 'kept' THEN 'kept' WHEN 'pending' THEN 'pending' WHEN 'taking' THEN 'pending' ELSE 'none' END AS files, c.created_at
	  FROM theazo_data.checkpoint c
	  JOIN theazo_data.snapshot s ON s.platform_id = c.platform_id AND s.id = c.snapshot_id
	 WHERE (SELECT theazo_internal.may_read('agent:read'))
	   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(current_user) END);
COMMENT ON VIEW theazo.checkpoints IS 'checkpoints of agents; files: kept by the provider, pending, or none';

CREATE OR REPLACE FUNCTION theazo_internal.checkpoint_shown(p_id text)
RETURNS theazo.checkpoints LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.checkpoints;
BEGIN
	SELECT * INTO result FROM theazo.checkpoints c WHERE c.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('checkpoint', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.checkpoint_shown(text) IS 'a checkpoint as the caller may see it, or 42704';

-- The agent is locked. The sandbox goes on: what its provider keeps is taken in the next moment in which nothing works there.
CREATE OR REPLACE FUNCTION theazo_internal.checkpoint_make(
	a theazo_data.agent, p_phase text, p_progress numeric, p_metadata jsonb, p_automatic boolean)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	b			theazo_data.sandbox;
	x			theazo_data.snapshot;
	v_id		text := theazo_internal.id_new('ckpt');
	v_snapshot	text;
BEGIN
	SELECT y.* INTO b FROM theazo_data.sandbox y
	 WHERE y.platform_id = a.platform_id AND y.id = a.sandbox_id AND y.status IN ('creating', 'ready', 'paused');
	v_snapshot := theazo_internal.snapshot_make(a, b, 'checkpoint', CASE WHEN theazo_internal.snapshot_way(b) = 'none' THEN 'empty' ELSE 'pending' END);
	IF b.status = 'paused' AND b.snapshot_id IS NOT NULL THEN
		-- Asleep: it is what the pause has kept.
		UPDATE theazo_data.snapshot y SET status = 'kept', handle = z.handle, taken_at = clock_timestamp()
		  FROM theazo_data.snapshot z
		 WHERE y.platform_id = a.platform_id AND y.id = v_snapshot AND z.platform_id = y.platform_id AND z.id = b.snapshot_id AND z.status = 'kept';
	END IF;
	INSERT INTO theazo_data.checkpoint (platform_id, id, session_id, agent_id, environment, snapshot_id, memory_root, labels, phase, progress, metadata, automatic)
	VALUES (a.platform_id, v_id, a.session_id, a.id, a.key_environment, v_snapshot, a.memory_root, a.labels, p_phase, coalesce(p_progress, 0), p_metadata, p_automatic);
	PERFORM theazo_internal.snapshots_take(a.platform_id, a.id);
	PERFORM theazo_internal.agent_event(a, 'checkpoint_created', jsonb_strip_nulls(jsonb_build_object('checkpoint', v_id, 'snapshot', v_snapshot, 'phase', left(p_phase, 200),
		'progress', p_progress, 'automatic', p_automatic)));
	IF p_automatic THEN
		-- The newest ten are kept.
		FOR x IN
			SELECT y.* FROM theazo_data.snapshot y WHERE y.platform_id = a.platform_id AND y.id IN (
				SELECT c.snapshot_id FROM theazo_data.checkpoint c
				 WHERE c.platform_id = a.platform_id AND c.agent_id = a.id AND c.automatic ORDER BY c.id DESC OFFSET 10) FOR UPDATE
		LOOP
			PERFORM theazo_internal.snapshot_end(x);
			DELETE FROM theazo_data.checkpoint c WHERE c.platform_id = x.platform_id AND c.snapshot_id = x.id;
		END LOOP;
	END IF;
	RETURN v_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.checkpoint_make(theazo_data.agent, text, numeric, jsonb, boolean) IS 'makes a checkpoint of a locked agent; returns its id';

CREATE OR REPLACE FUNCTION theazo.checkpoint_create(
	agent text, phase text DEFAULT NULL, progress numeric DEFAULT NULL, metadata jsonb DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.checkpoints LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a theazo_data.agent;
	made text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.flow_act('agent.write');
	IF phase IS NOT NULL THEN
		PERFORM theazo_internal.name_check('phase', phase, 200);
	END IF;
	IF progress IS NOT NULL AND NOT progress BETWEEN 0 AND 100 THEN
		PERFORM theazo_internal.raise_value('progress', 'must be from 0 to 100');
	END IF;
	IF metadata IS NOT NULL THEN
		metadata := theazo_internal.object_check('metadata', metadata, 16384);
	END IF;
	a := theazo_internal.agent_lock(agent);
	IF a.status = 'completed' OR a.one_shot THEN
		PERFORM theazo_internal.raise_state('agent', a.id, a.status, 'checkpoint',
			CASE WHEN a.one_shot THEN 'It was made for one run.' ELSE 'Create a new agent.' END);
	ELSIF (SELECT count(*) FROM theazo_data.checkpoint c WHERE c.platform_id = a.platform_id AND c.agent_id = a.id AND NOT c.automatic) >= 1000 THEN
		PERFORM theazo_internal.raise_ceiling('checkpoints of this agent', 1000, 'Delete some with theazo.checkpoint_delete().');
	END IF;
	made := theazo_internal.checkpoint_make(a, phase, progress, metadata, false);
	RETURN theazo_internal.checkpoint_shown(made);
END $$;
COMMENT ON FUNCTION theazo.checkpoint_create(text, text, numeric, jsonb, text) IS
'marks a point an agent can be taken back to with theazo.agent_resume_with(): what it remembers, phase, progress, and its files where the provider keeps them; the agent goes on';

CREATE OR REPLACE FUNCTION theazo.checkpoint_get(checkpoint text, api_key text DEFAULT NULL)
RETURNS theazo.checkpoints LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result theazo.checkpoints;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	PERFORM theazo_internal.flow_look_agent((SELECT c.agent_id FROM theazo_data.checkpoint c
		WHERE c.platform_id = theazo_internal.current_platform() AND c.id = checkpoint_get.checkpoint));
	result := theazo_internal.checkpoint_shown(checkpoint);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.checkpoint_get(text, text) IS 'one checkpoint';

CREATE OR REPLACE FUNCTION theazo.checkpoint_list(agent text, api_key text DEFAULT NULL)
RETURNS SETOF theazo.checkpoints LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	PERFORM theazo_internal.agent_shown(agent);
	PERFORM theazo_internal.flow_look_agent(agent);
	RETURN QUERY SELECT c.* FROM theazo.checkpoints c WHERE c.agent_id = checkpoint_list.agent ORDER BY c.id;
END $$;
COMMENT ON FUNCTION theazo.checkpoint_list(text, text) IS 'checkpoints of an agent, oldest first';

CREATE OR REPLACE FUNCTION theazo.checkpoint_delete(checkpoint text, api_key text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c theazo.checkpoints;
	a theazo_data.agent;
	x theazo_data.snapshot;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.flow_act('agent.write');
	c := theazo_internal.checkpoint_shown(checkpoint);
	a := theazo_internal.agent_lock(c.agent_id);
	SELECT y.* INTO x FROM theazo_data.snapshot y WHERE y.platform_id = a.platform_id AND y.id = c.snapshot_id FOR UPDATE;
	DELETE FROM theazo_data.checkpoint y WHERE y.platform_id = a.platform_id AND y.id = c.id;
	IF FOUND THEN
		PERFORM theazo_internal.snapshot_end(x);
		PERFORM theazo_internal.agent_event(a, 'checkpoint_deleted', jsonb_build_object('checkpoint', c.id));
	END IF;
	RETURN true;
END $$;
COMMENT ON FUNCTION theazo.checkpoint_delete(text, text) IS 'deletes a checkpoint and what the provider keeps for it';
