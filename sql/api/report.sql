-- report.sql: what programs in a sandbox report of themselves, through what they print (docs/client.md).
--
-- A program can say what it likes, so what it says reaches its own run and nothing else: log lines, spans of its trace,
-- how far it is, what it hands over. Sizes and shapes were checked where the output was read (src/lib/record_shape.c).

CREATE OR REPLACE VIEW theazo.progress WITH (security_barrier) AS
	SELECT p.agent_id, p.session_id, p.environment, p.run_id, p.percentage, p.message, p.reported_at
	  FROM theazo_data.progress p
	 WHERE (SELECT theazo_internal.may_read('agent:read'))
	   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(NULL) END);
COMMENT ON VIEW theazo.progress IS 'the newest progress that each agent or a program in its sandbox has reported';

CREATE OR REPLACE FUNCTION theazo_internal.progress_set(r theazo_data.run, p_percentage numeric, p_message text)
RETURNS void
LANGUAGE sql
AS $$
	INSERT INTO theazo_data.progress (platform_id, agent_id, session_id, environment, run_id, percentage, message, reported_at)
	VALUES (r.platform_id, r.agent_id, r.session_id, r.environment, r.id, p_percentage,
			theazo_internal.mask_left(p_message, 1000), pg_catalog.clock_timestamp())
	ON CONFLICT (platform_id, agent_id) DO UPDATE
	   SET run_id = EXCLUDED.run_id, percentage = EXCLUDED.percentage, message = EXCLUDED.message, reported_at = EXCLUDED.reported_at
$$;
COMMENT ON FUNCTION theazo_internal.progress_set(theazo_data.run, numeric, text) IS 'keeps the newest progress of an agent';

CREATE OR REPLACE FUNCTION theazo_internal.run_reports(p_platform text, p_run text)
RETURNS SETOF jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.said FROM theazo_data.run_payload p
	 CROSS JOIN LATERAL jsonb_array_elements(p.result -> 'progress') WITH ORDINALITY AS x (said, ord)
	 WHERE p.platform_id = p_platform AND p.root_id = substr(p_run, 5) ORDER BY x.ord
$$;
COMMENT ON FUNCTION theazo_internal.run_reports(text, text) IS 'progress that a command reported, in order';

-- One record. Returns nothing: what a record may change is what is called here.
CREATE OR REPLACE FUNCTION theazo_internal.report_write(r theazo_data.run, p_record jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_at	jsonb := CASE WHEN p_record ? 'at' THEN pg_catalog.jsonb_build_object('at', pg_catalog.to_timestamp((p_record ->> 'at')::double precision / 1000)) ELSE '{}' END;
	v_root	text := theazo_internal.id_root(r.id);
BEGIN
	CASE p_record ->> 't'
		WHEN 'log' THEN
			PERFORM theazo_internal.log_write(r.platform_id, v_root, p_record ->> 'level', 'agent', p_record ->> 'message',
				r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id, coalesce(p_record -> 'metadata', '{}') || v_at);
		WHEN 'progress' THEN
			PERFORM theazo_internal.log_write(r.platform_id, v_root, 'info', 'agent', coalesce(p_record ->> 'message', ''),
				r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id,
				pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('progress', true, 'percentage', p_record -> 'percentage')) || v_at);
		WHEN 'span' THEN
			PERFORM theazo_internal.span_write(r.platform_id, v_root, theazo_internal.id_new('spn'), r.trace_id, r.trace_id, r.environment,
				r.session_id, r.agent_id, r.id, theazo_internal.text_mask(p_record ->> 'name'), p_record ->> 'status',
				pg_catalog.to_timestamp((p_record ->> 'start')::double precision / 1000), pg_catalog.to_timestamp((p_record ->> 'end')::double precision / 1000),
				coalesce(theazo_internal.summary_bound(p_record -> 'attributes'), '{}') || pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('reported', true,
					'error', theazo_internal.text_mask(p_record ->> 'error'))));
		WHEN 'model' THEN
			-- Whose program called it pays for it: counted for who looks, never booked.
			PERFORM theazo_internal.log_write(r.platform_id, v_root, 'info', 'model',
				pg_catalog.format('%s: %s input tokens, %s output tokens, as reported', p_record ->> 'model',
					coalesce(p_record ->> 'inputTokens', '0'), coalesce(p_record ->> 'outputTokens', '0')),
				r.environment, r.session_id, r.agent_id, r.id, r.user_id, NULL, r.trace_id, (p_record - 't' - 'at') || v_at || '{"reported": true}');
		ELSE
			NULL;
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.report_write(theazo_data.run, jsonb) IS 'a record from inside a sandbox becomes a log line or a span of its run';

-- What a command reports while it runs, in pieces. What it hands over, and the count of what was no good, come with its end.
CREATE OR REPLACE FUNCTION theazo_internal.reports_note(p_platform text, p_run text, p_records jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r		theazo_data.run;
	x		jsonb;
	v_last	jsonb;
BEGIN
	SELECT * INTO r FROM theazo_data.run y WHERE y.platform_id = p_platform AND y.id = p_run;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	FOR x IN SELECT y.value FROM jsonb_array_elements(p_records) y
	LOOP
		PERFORM theazo_internal.report_write(r, x);
		v_last := CASE WHEN x ->> 't' = 'progress' THEN x ELSE v_last END;
	END LOOP;
	IF v_last IS NOT NULL AND r.status IN ('queued', 'running') THEN
		PERFORM theazo_internal.progress_set(r, (v_last ->> 'percentage')::numeric, v_last ->> 'message');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.reports_note(text, text, jsonb) IS
'what a command has reported so far: logs, spans and progress of its run';

-- The records of a command that has ended; so many of them were written while it ran. Returns its result without them, with what it handed over: output, artifacts, progress.
CREATE OR REPLACE FUNCTION theazo_internal.reports_settle(e theazo_data.effect, p_result jsonb)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r			theazo_data.run;
	x			jsonb;
	v_done		jsonb;
	v_progress	jsonb[] := '{}';
	v_bad		bigint := (p_result #>> '{records,spoiled}')::bigint;
	v_over		bigint := (p_result #>> '{records,dropped}')::bigint;
	v_told		integer := coalesce((p_result #>> '{records,told}')::integer, 0);
BEGIN
	SELECT * INTO r FROM theazo_data.run y WHERE y.platform_id = e.platform_id AND y.id = e.run_id;
	IF NOT FOUND THEN
		RETURN p_result - 'records';
	END IF;
	FOR x IN SELECT y.value FROM jsonb_array_elements(p_result #> '{records,list}') y
	LOOP
		v_told := v_told - 1;
		IF v_told < 0 THEN
			PERFORM theazo_internal.report_write(r, x);
		END IF;
		IF x ->> 't' = 'complete' THEN
			v_done := x;
		ELSIF x ->> 't' = 'progress' THEN
			v_progress := v_progress[greatest(1, cardinality(v_progress) - 98):]
				|| jsonb_strip_nulls(jsonb_build_object('message', coalesce(x ->> 'message', ''), 'percentage', x -> 'percentage'));
		END IF;
	END LOOP;
	IF cardinality(v_progress) > 0 THEN
		x := v_progress[cardinality(v_progress)];
		PERFORM theazo_internal.progress_set(r, (x ->> 'percentage')::numeric, x ->> 'message');
	END IF;
	IF v_bad > 0 OR v_over > 0 THEN
		PERFORM theazo_internal.log_write(r.platform_id, theazo_internal.id_root(r.id), 'warn', 'agent',
			format('%s records of the program were malformed or came again, %s were too many or too large', v_bad, v_over),
			r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id);
	END IF;
	RETURN (p_result - 'records') || CASE WHEN v_done IS NULL THEN '{}' ELSE v_done - 't' END
		|| CASE WHEN cardinality(v_progress) = 0 THEN '{}' ELSE jsonb_build_object('progress', to_jsonb(v_progress)) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.reports_settle(theazo_data.effect, jsonb) IS
'what a command reported: logs, spans, progress of its run; its result with what it handed over';
