-- flow.sql: labels, and how they travel. Where they come from and may not go is in flow_rule.sql.
--
--	a source is read -> the run carries its label -> whatever the run writes carries it: its sandbox, the context store, inputs
--	it sends, runs it starts, the memory of its agent -> whoever reads that carries it
--
-- Labels are only ever added. A run's labels are those of its row (run_loop.labels) and, inside a function of the database
-- that a model called, of what the function has read so far (flow_current). Reading is judged conservatively: code can open
-- every file of its sandbox, so it reads every labelled one.

CREATE OR REPLACE FUNCTION theazo_internal.flow_known(p_platform text)
RETURNS boolean LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_flow_known';
COMMENT ON FUNCTION theazo_internal.flow_known(text) IS 'has the platform labels, or rules about them; without, nothing is carried';

CREATE OR REPLACE FUNCTION theazo_internal.flow_sources(
	p_platform text, p_agent text, p_policy jsonb, p_kind text, p_tool text DEFAULT NULL, p_path text DEFAULT NULL, p_host text DEFAULT NULL,
	p_key text DEFAULT NULL)
RETURNS text[] LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_flow_sources';
COMMENT ON FUNCTION theazo_internal.flow_sources(text, text, jsonb, text, text, text, text, text) IS 'labels of the sources that an action reads';

CREATE OR REPLACE FUNCTION theazo_internal.labels_join(VARIADIC p_labels text[])
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.array_agg(DISTINCT u COLLATE "C"), '{}') FROM pg_catalog.unnest(p_labels) u WHERE u IS NOT NULL);
END $$;
COMMENT ON FUNCTION theazo_internal.labels_join(text[]) IS 'labels, each once, in order';

-- ----------------------------------------------------------------------------
-- How labels travel
-- ----------------------------------------------------------------------------
-- Labels of a run: those it carries, or those of the sandbox it worked in.
CREATE OR REPLACE FUNCTION theazo_internal.flow_run(p_platform text, p_run text)
RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_labels	text[];
	a			theazo_data.agent;
	r			theazo_data.run;
BEGIN
	SELECT l.labels INTO v_labels FROM theazo_data.run_loop l WHERE l.platform_id = p_platform AND l.root_id = theazo_internal.id_root(p_run);
	IF FOUND THEN
		RETURN v_labels;
	END IF;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = p_platform AND x.id = p_run;
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = r.agent_id;
	IF NOT FOUND THEN
		RETURN '{}';
	END IF;
	IF r.kind = 'script' THEN
		RETURN coalesce((theazo_internal.execution_of(p_platform, theazo_internal.id_root(p_run))).labels, '{}');
	END IF;
	-- Where one request went is not kept apart: it is one whose path or host nobody knows.
	v_labels := theazo_internal.flow_sources(p_platform, a.id, theazo_internal.policy_of(a), CASE r.kind WHEN 'exec' THEN 'compute.exec'
		WHEN 'file_read' THEN 'compute.read' WHEN 'file_list' THEN 'compute.list' WHEN 'http_fetch' THEN 'http.request' ELSE 'tool.test' END);
	IF r.kind IN ('exec', 'file_read', 'file_list') THEN
		v_labels := v_labels || theazo_internal.flow_sandbox(p_platform, a.sandbox_id);
	END IF;
	IF r.parent_id IS NOT NULL THEN
		v_labels := v_labels || theazo_internal.flow_run(p_platform, r.parent_id);
	END IF;
	RETURN theazo_internal.labels_join(VARIADIC v_labels);
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_run(text, text) IS 'labels of what a run has read, and so of its result';

CREATE OR REPLACE FUNCTION theazo_internal.flow_sandbox(p_platform text, p_sandbox text)
RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT s.labels FROM theazo_data.sandbox s WHERE s.platform_id = p_platform AND s.id = p_sandbox), '{}');
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_sandbox(text, text) IS 'labels of what was put into a sandbox';

-- What an agent's next run begins with, whatever it is given.
CREATE OR REPLACE FUNCTION theazo_internal.flow_agent(a theazo_data.agent)
RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_labels text[];
BEGIN
	IF NOT theazo_internal.flow_known(a.platform_id) THEN
		RETURN coalesce(a.labels, '{}');
	END IF;
	v_labels := coalesce(a.labels, '{}') || theazo_internal.flow_sources(a.platform_id, a.id, theazo_internal.policy_of(a), 'input', p_key => 'task');
	IF a.memory_root IS NOT NULL THEN
		v_labels := v_labels || (SELECT l.labels FROM theazo_data.run_loop l WHERE l.platform_id = a.platform_id AND l.root_id = a.memory_root);
	END IF;
	-- its instructions are the words of the run that made it
	IF a.parent_run_id IS NOT NULL THEN
		v_labels := v_labels || theazo_internal.flow_run(a.platform_id, a.parent_run_id);
	END IF;
	RETURN theazo_internal.labels_join(VARIADIC v_labels);
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_agent(theazo_data.agent) IS 'labels of what an agent remembers and was made from';

-- A run begins: with what its agent remembers, its history, the inputs it takes, and what its parent has read.
CREATE OR REPLACE FUNCTION theazo_internal.flow_begin(a theazo_data.agent, p_prior text[], p_inputs text[], p_parent_root text)
RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_labels text[];
BEGIN
	-- what an agent remembers stays labelled, should there be rules again
	IF NOT theazo_internal.flow_known(a.platform_id) THEN
		RETURN coalesce(a.labels, '{}');
	END IF;
	v_labels := theazo_internal.flow_agent(a) || p_inputs || theazo_internal.flow_current();
	-- One by one: each lies in a partition of its own.
	FOR i IN 1 .. coalesce(cardinality(p_prior), 0)
	LOOP
		v_labels := v_labels || (SELECT l.labels FROM theazo_data.run_loop l WHERE l.platform_id = a.platform_id AND l.root_id = p_prior[i]);
	END LOOP;
	IF p_parent_root IS NOT NULL THEN
		v_labels := v_labels || theazo_internal.flow_run(a.platform_id, 'run_' || p_parent_root);
	END IF;
	RETURN theazo_internal.labels_join(VARIADIC v_labels);
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_begin(theazo_data.agent, text[], text[], text) IS 'labels a run begins with';

-- Inside a function that a model called: the run in whose name it works. Empty elsewhere.
CREATE OR REPLACE FUNCTION theazo_internal.flow_current()
RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_run text := theazo_internal.current_run();
BEGIN
	IF v_run IS NULL THEN
		RETURN '{}';
	END IF;
	RETURN theazo_internal.labels_join(VARIADIC theazo_internal.flow_noted()
		|| (SELECT l.labels FROM theazo_data.run_loop l
			 WHERE l.platform_id = theazo_internal.current_platform() AND l.root_id = theazo_internal.id_root(v_run)));
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_current() IS 'labels of the run in whose name this process works';

-- What a tool call brings to its run.
CREATE OR REPLACE FUNCTION theazo_internal.flow_read(
	l theazo_data.run_loop, r theazo_data.run, p_kind text, p_tool text, p_arguments jsonb, p_result text)
RETURNS text[]
LANGUAGE plpgsql
AS $$
DECLARE
	a			theazo_data.agent;
	t			record;
	v_labels	text[];
BEGIN
	IF NOT theazo_internal.flow_known(l.platform_id) THEN
		RETURN '{}';
	END IF;
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = l.platform_id AND x.id = l.agent_id;
	t := theazo_internal.tool_action(l.platform_id, p_tool, coalesce(p_arguments, '{}'));
	v_labels := theazo_internal.flow_sources(l.platform_id, l.agent_id, l.policy, coalesce(p_kind, t.kind), p_tool, t.path, t.host);
	IF p_kind IN ('compute.exec', 'compute.read', 'compute.list') THEN
		v_labels := v_labels || theazo_internal.flow_sandbox(l.platform_id, a.sandbox_id);
	END IF;
	RETURN v_labels;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_read(theazo_data.run_loop, theazo_data.run, text, text, jsonb, text) IS 'labels that the answer of a tool call brings to its run';

-- What a tool call takes along: what it writes into carries the run's labels before the call leaves. What code has read may lie
-- in any file from then on.
CREATE OR REPLACE FUNCTION theazo_internal.flow_wrote(l theazo_data.run_loop, r theazo_data.run, p_kind text, p_tool text, p_arguments jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF p_kind IN ('compute.exec', 'compute.write') AND theazo_internal.flow_known(l.platform_id) THEN
		PERFORM theazo_internal.flow_mark(l.platform_id, a.sandbox_id, l.labels
			|| CASE WHEN p_kind = 'compute.exec' THEN theazo_internal.flow_sources(l.platform_id, l.agent_id, l.policy, p_kind, p_tool) ELSE '{}' END)
		   FROM theazo_data.agent a WHERE a.platform_id = l.platform_id AND a.id = l.agent_id;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_wrote(theazo_data.run_loop, theazo_data.run, text, text, jsonb) IS 'marks the sandbox that a tool call writes into';

CREATE OR REPLACE FUNCTION theazo_internal.flow_mark(p_platform text, p_sandbox text, p_labels text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE theazo_data.sandbox s SET labels = theazo_internal.labels_join(VARIADIC s.labels || p_labels)
	 WHERE s.platform_id = p_platform AND s.id = p_sandbox AND NOT s.labels @> p_labels;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_mark(text, text, text[]) IS 'labels a sandbox';

-- Work in a sandbox that is no tool call: from outside, or by a function that a model called.
CREATE OR REPLACE FUNCTION theazo_internal.flow_worked(a theazo_data.agent, p_kind text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF p_kind IN ('compute.exec', 'compute.write') AND theazo_internal.flow_known(a.platform_id) THEN
		PERFORM theazo_internal.flow_mark(a.platform_id, a.sandbox_id, theazo_internal.flow_current()
			|| CASE WHEN p_kind = 'compute.exec' THEN theazo_internal.flow_sources(a.platform_id, a.id, theazo_internal.policy_of(a), p_kind) ELSE '{}' END);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_worked(theazo_data.agent, text) IS 'labels a sandbox for work in it that is no tool call';

-- What work carries that is no tool call: what the run has read whose function asks for it; code also what lies in the sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.flow_direct(a theazo_data.agent, p_kind text)
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
	IF NOT theazo_internal.flow_known(a.platform_id) THEN
		RETURN '{}';
	END IF;
	RETURN theazo_internal.labels_join(VARIADIC theazo_internal.flow_current()
		|| CASE WHEN p_kind = 'compute.exec' THEN theazo_internal.flow_sandbox(a.platform_id, a.sandbox_id) ELSE '{}' END);
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_direct(theazo_data.agent, text) IS 'labels that work for an agent carries outside of its runs';

-- What a tool call carries: what its run has read; code also what lies in the sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.flow_call(l theazo_data.run_loop, p_kind text)
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
	IF p_kind <> 'compute.exec' OR NOT theazo_internal.flow_known(l.platform_id) THEN
		RETURN l.labels;
	END IF;
	RETURN theazo_internal.labels_join(VARIADIC l.labels || theazo_internal.flow_sandbox(l.platform_id,
		(SELECT a.sandbox_id FROM theazo_data.agent a WHERE a.platform_id = l.platform_id AND a.id = l.agent_id)));
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_call(theazo_data.run_loop, text) IS 'labels that a tool call of this kind carries';

-- Labels of an input that is queued for an agent.
CREATE OR REPLACE FUNCTION theazo_internal.flow_input(a theazo_data.agent, p_type text)
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
	IF NOT theazo_internal.flow_known(a.platform_id) THEN
		RETURN '{}';
	END IF;
	RETURN theazo_internal.labels_join(VARIADIC theazo_internal.flow_current() || theazo_internal.flow_sources(a.platform_id, a.id, theazo_internal.policy_of(a), 'input', p_key => p_type));
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_input(theazo_data.agent, text) IS 'labels of an input of this type, sent now';

-- ----------------------------------------------------------------------------
-- Inside a function that a model called
-- ----------------------------------------------------------------------------
-- Kept in this process, not in rows: the function may only read, and what it has read it can tell although it fails.
CREATE OR REPLACE FUNCTION theazo_internal.flow_note(p_labels text[])
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_flow_note';
COMMENT ON FUNCTION theazo_internal.flow_note(text[]) IS 'this process has read what carries these labels: its answer will';

CREATE OR REPLACE FUNCTION theazo_internal.flow_noted()
RETURNS text[] LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_flow_noted';
COMMENT ON FUNCTION theazo_internal.flow_noted() IS 'labels of what this process has read in the name of a run';

-- The agent in whose name a function that a model called works does something beyond its own sandbox: may it. Nothing elsewhere.
CREATE OR REPLACE FUNCTION theazo_internal.flow_act(p_kind text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_run	text := theazo_internal.current_run();
	l		theazo_data.run_loop;
	v		record;
BEGIN
	IF v_run IS NULL THEN
		RETURN;
	END IF;
	SELECT * INTO l FROM theazo_data.run_loop x
	 WHERE x.platform_id = theazo_internal.current_platform() AND x.root_id = theazo_internal.id_root(v_run);
	v := theazo_internal.permission_decide(theazo_internal.current_platform(), l.agent_id, l.policy, theazo_internal.flow_current(), p_kind, NULL, NULL, NULL);
	IF NOT v.allowed THEN
		PERFORM theazo_internal.raise_scope(v.message, 'permission', concat_ws(' ', v.hint, v.alternative));
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_act(text) IS 'TZ602 when a function that a model called asks for what its agent may not';

-- What everybody reads has no labels, so a run that carries some does not write it.
CREATE OR REPLACE FUNCTION theazo_internal.flow_clean(p_what text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF theazo_internal.current_run() IS NOT NULL AND theazo_internal.flow_current() <> '{}' THEN
		PERFORM theazo_internal.raise_scope(format('a run that carries labels cannot change %s', p_what), 'flow',
			'Others would read it without the labels. Change it outside of a run, or before the run has read what is labelled.');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_clean(text) IS 'TZ602 when a function that a labelled run called would change what everybody reads';

-- It looks at an agent: at what the agent was told, and by whom.
CREATE OR REPLACE FUNCTION theazo_internal.flow_look_agent(p_agent text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	IF theazo_internal.current_run() IS NULL THEN
		RETURN;
	END IF;
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = p_agent;
	IF theazo_internal.flow_known(a.platform_id) THEN
		PERFORM theazo_internal.flow_note(theazo_internal.flow_agent(a));
		IF a.task_run_id IS NOT NULL THEN
			PERFORM theazo_internal.flow_note(theazo_internal.flow_run(a.platform_id, a.task_run_id));
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_look_agent(text) IS 'a run whose function looks at an agent carries the labels of its instructions and its task';

-- It looks at a run: its own run carries from then on what that one carries.
CREATE OR REPLACE FUNCTION theazo_internal.flow_look(p_run text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text := theazo_internal.current_platform();
BEGIN
	IF theazo_internal.current_run() IS NULL OR p_run = theazo_internal.current_run() THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.flow_act('run.read');
	IF theazo_internal.flow_known(v_here) THEN
		PERFORM theazo_internal.flow_note(theazo_internal.flow_run(v_here, p_run));
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_look(text) IS 'a run whose function reads another one''s result needs agents:read and carries its labels';
