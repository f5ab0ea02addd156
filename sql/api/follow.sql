-- follow.sql: what an agent's run is doing, as it does it: finished steps from rows, the step under way from memory.
--
-- A reader's place is one number, the seq of the last event it was told. Its parts, from the left: 12 bits step,
-- 4 how often the step's text began anew, 1 whether the live text was lost, 10 which attempt the text is of, 25
-- bytes of it. So whoever comes back with it goes on where it was, in rows or in memory, and it fits into a
-- double. Of tool calls the low bits count events; results stand behind the last call of their round in the order in which they
-- came, the results told so far being bits 32 to 39; what a command prints meanwhile is told below them (follow_tool.sql).

CREATE OR REPLACE FUNCTION theazo_internal.follow_seq(p_step integer, p_anew integer, p_lost boolean, p_attempt integer, p_bytes bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (least(p_step, 4095)::bigint << 40) | (least(p_anew, 15)::bigint << 36) | (p_lost::integer::bigint << 35)
		   | (p_attempt::bigint << 25) | least(p_bytes, 33554431)
$$;
COMMENT ON FUNCTION theazo_internal.follow_seq(integer, integer, boolean, integer, bigint) IS 'a reader''s place in the events of a run';

-- Events behind a place that rows hold, but for the text of the step the reader is in: tool calls, their results, texts of later steps.
CREATE OR REPLACE FUNCTION theazo_internal.follow_rows(p_platform text, p_root text, p_after bigint)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH s AS (
		SELECT x.seq AS no, x.kind, x.state, x.name, x.ended_no, p.input, p.output, theazo_internal.stream_generation(x.effect_id, e.attempt) AS attempt,
			   max(x.seq) OVER w AS last, min(x.seq) FILTER (WHERE x.kind = 'tool') OVER w AS first,
			   array_agg(x.ended_no::integer) FILTER (WHERE x.kind = 'tool') OVER w AS ends
		  FROM theazo_data.step x
		  LEFT JOIN theazo_data.step_payload p ON p.platform_id = x.platform_id AND p.root_id = x.root_id AND p.seq = x.seq
		  LEFT JOIN theazo_data.effect e ON e.platform_id = x.platform_id AND e.root_id = x.root_id AND e.id = x.effect_id
		 WHERE x.platform_id = p_platform AND x.root_id = p_root
		   -- From the round of the reader's step on; behind the last step there is nothing.
		   AND x.round >= (SELECT coalesce(max(y.round) FILTER (WHERE y.seq = p_after >> 40), CASE WHEN max(y.seq) < p_after >> 40 THEN max(y.round) + 1 END, 0)
							 FROM theazo_data.step y WHERE y.platform_id = p_platform AND y.root_id = p_root)
		WINDOW w AS (PARTITION BY x.round ORDER BY x.seq ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
	), v AS (
		SELECT theazo_internal.follow_seq(s.no, 0, false, coalesce(s.attempt, 0), octet_length(convert_to(s.output, 'UTF8'))) AS seq,
			   'text' AS type, jsonb_build_object('text', s.output, 'step', s.no) AS data
		  FROM s WHERE s.kind = 'model' AND s.state = 'done' AND s.output <> '' AND s.no > p_after >> 40
		UNION ALL
		SELECT theazo_internal.follow_seq(s.no, 0, false, 0, 1), 'tool_call', jsonb_build_object('tool', s.name, 'input', s.input, 'step', s.no)
		  FROM s WHERE s.kind = 'tool'
		UNION ALL
		SELECT theazo_internal.follow_seq(s.no, 0, false, 0, 2), 'progress',
			   jsonb_strip_nulls(jsonb_build_object('message', s.input ->> 'message', 'percentage', s.input -> 'percentage', 'step', s.no))
		  FROM s WHERE s.kind = 'tool' AND s.name = 'report_progress' AND s.state = 'done'
		UNION ALL
		SELECT theazo_internal.follow_seq_ended(s.last, s.ended_no) | theazo_internal.follow_carried(p_after, s.last, s.ended_no, s.first, s.ends), 'tool_result',
			   jsonb_build_object('tool', s.name, 'output', coalesce(s.output, ''), 'step', s.no)
		  FROM s WHERE s.kind = 'tool' AND s.ended_no IS NOT NULL
			   -- whatever else the reader's place says
			   AND theazo_internal.follow_seq_ended(s.last, s.ended_no) > p_after - (p_after & 4294967295)
	)
	SELECT v.seq, v.type, v.data FROM v WHERE v.seq > p_after ORDER BY v.seq;
END
$$;
COMMENT ON FUNCTION theazo_internal.follow_rows(text, text, bigint) IS 'events of finished steps of a run behind a reader''s place';

-- The text of one model call behind a place: from the row when the step is done, else from memory. p_attempt 0: the reader has nothing of it.
CREATE OR REPLACE FUNCTION theazo_internal.follow_text(
	p_run text, s theazo_data.step, p_attempt integer, p_bytes bigint, p_anew integer, p_lost boolean)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_whole		bytea;
	v_attempt	integer;
	v_live		record;
	v_bytes		bigint := p_bytes;
	v_anew		integer := p_anew;
BEGIN
	IF s.state = 'done' THEN
		SELECT convert_to(p.output, 'UTF8') INTO v_whole FROM theazo_data.step_payload p
		 WHERE p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq;
		SELECT theazo_internal.stream_generation(e.id, e.attempt) INTO v_attempt FROM theazo_data.effect e
		 WHERE e.platform_id = s.platform_id AND e.root_id = s.root_id AND e.id = s.effect_id;
		IF p_attempt <> coalesce(v_attempt, 0) AND p_attempt <> 0 THEN
			v_anew := v_anew + 1;
			v_bytes := 0;
			RETURN QUERY SELECT theazo_internal.follow_seq(s.seq, v_anew, false, coalesce(v_attempt, 0), 0), 'gap',
				jsonb_build_object('step', s.seq, 'reason', 'restart');
		END IF;
		IF v_bytes < octet_length(v_whole) THEN
			RETURN QUERY SELECT theazo_internal.follow_seq(s.seq, v_anew, p_lost AND v_anew = p_anew, coalesce(v_attempt, 0), octet_length(v_whole)), 'text',
				jsonb_build_object('text', convert_from(substr(v_whole, v_bytes::integer + 1), 'UTF8'), 'step', s.seq);
		END IF;
		RETURN;
	END IF;
	-- What the reader has need not be copied again; of another attempt this tells its number only.
	SELECT r.* INTO v_live FROM theazo_internal.stream_read(p_run, s.seq, p_attempt, CASE WHEN p_attempt = 0 THEN 0 ELSE p_bytes END) r;
	IF v_live.generation <> 0 AND v_live.generation <> p_attempt AND p_attempt <> 0 THEN
		SELECT r.* INTO v_live FROM theazo_internal.stream_read(p_run, s.seq, 0, 0) r;
	END IF;
	IF v_live.generation = 0 OR (v_live.finish = 0 AND v_live.first = 0) THEN
		RETURN;
	END IF;
	IF p_attempt <> 0 AND p_attempt <> v_live.generation THEN
		v_anew := v_anew + 1;
		RETURN QUERY SELECT theazo_internal.follow_seq(s.seq, v_anew, false, v_live.generation, 0), 'gap',
			jsonb_build_object('step', s.seq, 'reason', 'restart');
	ELSIF p_attempt <> 0 AND p_lost THEN
		RETURN;
	END IF;
	IF v_live.first > (CASE WHEN v_anew = p_anew AND p_attempt <> 0 THEN p_bytes ELSE 0 END) THEN
		RETURN QUERY SELECT theazo_internal.follow_seq(s.seq, v_anew, true, v_live.generation,
				CASE WHEN v_anew = p_anew AND p_attempt <> 0 THEN p_bytes ELSE 0 END),
			'gap', jsonb_build_object('step', s.seq, 'reason', 'behind');
	ELSIF v_live.content <> '' THEN
		RETURN QUERY SELECT theazo_internal.follow_seq(s.seq, v_anew, false, v_live.generation, v_live.finish), 'text',
			jsonb_build_object('text', v_live.content, 'step', s.seq);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.follow_text(text, theazo_data.step, integer, bigint, integer, boolean) IS
'what the text of a model call has behind a reader''s place, finished or not';

-- Everything behind a place. One statement: rows of later steps only together with the rest of the reader's own.
CREATE OR REPLACE FUNCTION theazo_internal.follow_look(p_platform text, p_run text, p_after bigint)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_root	text := substr(p_run, 5);
	v_step	integer := p_after >> 40;
BEGIN
	RETURN QUERY
	WITH told AS MATERIALIZED (
		SELECT t.* FROM theazo_data.step x
		 CROSS JOIN LATERAL theazo_internal.follow_text(p_run, x, CASE WHEN x.seq = v_step THEN (p_after >> 25 & 1023)::integer ELSE 0 END,
			CASE WHEN x.seq = v_step THEN p_after & 33554431 ELSE 0 END, CASE WHEN x.seq = v_step THEN (p_after >> 36 & 15)::integer ELSE 0 END,
			x.seq = v_step AND p_after >> 35 & 1 = 1) t
		 WHERE x.platform_id = p_platform AND x.root_id = v_root AND x.kind = 'model'
		   AND (x.seq = v_step OR (x.seq > v_step AND x.state = 'queued'))
		UNION ALL
		SELECT t.* FROM theazo_internal.follow_rows(p_platform, v_root, p_after) t)
	SELECT e.seq, e.type, e.data FROM (
		SELECT t.* FROM told t
		UNION ALL
		SELECT t.* FROM theazo_internal.follow_output(p_platform, p_run, greatest(p_after, (SELECT max(y.seq) FROM told y))) t) e
	 ORDER BY e.seq;
END
$$;
COMMENT ON FUNCTION theazo_internal.follow_look(text, text, bigint) IS 'all events of a run behind a reader''s place but its end';

-- The end of a run as an event.
CREATE OR REPLACE FUNCTION theazo_internal.follow_end(r theazo.runs, p_seq bigint)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p_seq, CASE r.status WHEN 'completed' THEN 'done' ELSE 'error' END,
		   CASE r.status WHEN 'completed' THEN
				jsonb_build_object('output', coalesce(x.output, x.stdout, ''), 'cost', jsonb_build_object('amount', x.cost, 'currency', 'usd'),
					'duration', round(x.duration_ms / 1000.0, 1) || 's', 'durationMs', x.duration_ms, 'artifacts', coalesce(x.artifacts, '[]'))
		   ELSE jsonb_build_object('code', coalesce(x.error_code, r.status), 'message', coalesce(x.error_message, 'the run was cancelled')) END
	  FROM theazo.run_results x WHERE x.id = r.id
$$;
COMMENT ON FUNCTION theazo_internal.follow_end(theazo.runs, bigint) IS 'the last event of a run: done with its result, or error';

-- All events behind a place; when there are none, waits for the first.
CREATE OR REPLACE FUNCTION theazo.run_follow(run text, after bigint DEFAULT 0, timeout interval DEFAULT '25 s', api_key text DEFAULT NULL)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	r			theazo.runs;
	v_root		text := substr(run_follow.run, 5);
	v_step		integer := after >> 40;
	v_open		integer;							-- the reader's step, while its text is live
	v_next		integer;							-- else the step that may begin to talk
	v_now		integer;
	s			theazo_data.step;
	v_until		timestamptz;
	v_left		integer;
	v_mark		integer;
	v_last		integer;
	v_told		boolean;
	v_command	record;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	IF run_follow.timeout IS NULL OR extract(epoch FROM run_follow.timeout) < 0 THEN
		PERFORM theazo_internal.raise_value('timeout', 'must not be negative');
	END IF;
	IF run_follow.after IS NULL OR run_follow.after < 0 THEN
		PERFORM theazo_internal.raise_value('after', 'must be the seq of an event, or 0');
	ELSIF run_follow.run IS NULL THEN
		PERFORM theazo_internal.raise_not_found('run', NULL);
	END IF;
	PERFORM theazo_internal.flow_look(run_follow.run);
	v_until := clock_timestamp() + least(run_follow.timeout, '25 s'::interval);
	IF (theazo_internal.run_row(run_follow.run)).kind = 'exec' THEN
		RETURN QUERY SELECT t.* FROM theazo_internal.output_follow(run_follow.run, after, v_until) t;
		RETURN;
	END IF;
	LOOP
		v_now := theazo_internal.stream_mark(run_follow.run);
		v_told := false;
		IF v_now IS DISTINCT FROM v_mark THEN
			v_mark := v_now;
			r := theazo_internal.run_row(run_follow.run);
			-- Where the reader is in the step under way there are no later rows.
			SELECT x.* INTO s FROM theazo_data.step x
			 WHERE x.platform_id = theazo_internal.current_platform() AND x.root_id = v_root AND x.seq = v_step AND x.kind = 'model' AND x.state = 'queued';
			v_open := s.seq;
			IF v_open IS NULL OR r.status NOT IN ('queued', 'running') THEN
				RETURN QUERY SELECT t.* FROM theazo_internal.follow_look(theazo_internal.current_platform(), run_follow.run, after) t;
				v_told := FOUND;
				v_open := NULL;
			END IF;
		END IF;
		IF v_open = v_step THEN
			RETURN QUERY SELECT t.* FROM theazo_internal.follow_text(run_follow.run, s, (after >> 25 & 1023)::integer, after & 33554431,
				(after >> 36 & 15)::integer, after >> 35 & 1 = 1) t;
			v_told := FOUND;
		END IF;
		IF r.status NOT IN ('queued', 'running') THEN
			SELECT coalesce(max(x.seq), 0) + 1 INTO v_last FROM theazo_data.step x
			 WHERE x.platform_id = theazo_internal.current_platform() AND x.root_id = v_root;
			RETURN QUERY SELECT t.* FROM theazo_internal.follow_end(r, theazo_internal.follow_seq(v_last, 0, false, 1, 1)) t WHERE t.seq > after;
			RETURN;
		END IF;
		v_left := ceil(extract(epoch FROM v_until - clock_timestamp()) * 1000);
		EXIT WHEN v_told OR v_left <= 0;
		IF v_open IS NULL THEN
			SELECT max(x.seq) INTO v_next FROM theazo_data.step x
			 WHERE x.platform_id = theazo_internal.current_platform() AND x.root_id = v_root AND x.state = 'queued' AND x.kind = 'model';
		END IF;
		-- A text that was lost to the reader is waited for as a row.
		IF v_open = v_step THEN
			PERFORM theazo_internal.stream_block(run_follow.run, v_mark, v_step, (after >> 25 & 1023)::integer,
				CASE WHEN after >> 35 & 1 = 1 THEN 33554431 ELSE after & 33554431 END, v_left);
			CONTINUE;
		END IF;
		-- Without a step nothing is printed.
		SELECT p.* INTO v_command
		  FROM theazo_internal.follow_output_place(theazo_internal.current_platform(), run_follow.run, CASE WHEN v_next IS NULL THEN after ELSE 0 END) p;
		IF v_command.step IS NOT NULL THEN
			IF theazo_internal.stream_block(run_follow.run, v_mark, v_command.step, v_command.generation, v_command.bytes,
					CASE WHEN v_command.alone THEN v_left ELSE least(v_left, 500) END) OR NOT v_command.alone THEN
				v_mark := NULL;
			END IF;
		ELSIF theazo_internal.stream_block(run_follow.run, v_mark, coalesce(v_next, 0), 0, 0, v_left) THEN
			v_mark := NULL;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo.run_follow(text, bigint, interval, text) IS
'events of a run behind a place: text, tool_call, tool_output, tool_result, progress, gap, done, error, of a command stdout and stderr; waits for the next ones, at most 25 s';
