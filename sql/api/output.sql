-- output.sql: what commands print: while they run from memory, afterwards from rows.
--
-- A reader's place in a command's output is one number as well, the seq of the last event it was told. Its parts, from the
-- left: 1 bit for what comes behind all output, 5 which attempt, 1 and 1 whether live output of either stream was lost, 22 bytes
-- of what it printed, 22 of its errors. It grows with each of them, and fits into a double.

-- What a dispatcher needs to show the output of a command and to tell its records from it. Output that guardrails have to
-- judge is shown when it has been judged: whole, at the end. Joined: both streams as one text, as a tool call is told of.
CREATE OR REPLACE FUNCTION theazo_internal.output_request(p_guard jsonb, p_step integer, p_joined boolean)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object('records', pg_catalog.replace(pg_catalog.gen_random_uuid()::text, '-', ''))
		|| CASE WHEN theazo_internal.guardrails_on(p_guard) THEN '{}'
				WHEN p_joined THEN pg_catalog.jsonb_build_object('stream', true, 'step', p_step, 'joined', true)
				ELSE pg_catalog.jsonb_build_object('stream', true, 'step', p_step) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.output_request(jsonb, integer, boolean) IS
'members of a command''s request: whether its output is shown while it runs, and the nonce of its records';

CREATE OR REPLACE FUNCTION theazo_internal.output_seq(p_attempt integer, p_lost boolean, p_lost_errors boolean, p_printed bigint, p_errors bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (least(p_attempt, 31)::bigint << 46) | (p_lost::integer::bigint << 45) | (p_lost_errors::integer::bigint << 44)
		   | (least(p_printed, 4194303) << 22) | least(p_errors, 4194303)
$$;
COMMENT ON FUNCTION theazo_internal.output_seq(integer, boolean, boolean, bigint, bigint) IS 'a reader''s place in the output of a command';

-- Text behind a place. A place in output that was withheld since may lie within a character.
CREATE OR REPLACE FUNCTION theazo_internal.text_behind(p_text text, p_bytes bigint)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_bytes	bytea := convert_to(p_text, 'UTF8');
	v_at	integer := p_bytes;
BEGIN
	WHILE v_at < octet_length(v_bytes) AND get_byte(v_bytes, v_at) & 192 = 128
	LOOP
		v_at := v_at + 1;
	END LOOP;
	RETURN convert_from(substr(v_bytes, v_at + 1), 'UTF8');
END
$$;
COMMENT ON FUNCTION theazo_internal.text_behind(text, bigint) IS 'the rest of a text behind so many bytes';

-- What a command has printed behind a place. attempt, printed, errors: what to wait for more of; attempt 0: of a commit only.
CREATE OR REPLACE FUNCTION theazo_internal.output_look(p_platform text, p_run text, p_after bigint)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_root		text := substr(p_run, 5);
	v_effect	text;
	v_attempt	integer;
	v_over		boolean;
	v_shown		jsonb;
	v_live		record;
	v_text		text;
	-- stdout, stderr
	v_at		bigint[] := ARRAY[p_after >> 22 & 4194303, p_after & 4194303];
	v_lost		boolean[] := ARRAY[p_after >> 45 & 1 = 1, p_after >> 44 & 1 = 1];
BEGIN
	SELECT e.id, e.attempt, r.status NOT IN ('queued', 'running'), p.result INTO v_effect, v_attempt, v_over, v_shown
	  FROM theazo_data.run r
	  JOIN theazo_data.effect e ON e.platform_id = r.platform_id AND e.root_id = v_root AND e.run_id = r.id AND e.kind = 'compute.exec'
	  LEFT JOIN theazo_data.run_payload p ON p.platform_id = r.platform_id AND p.root_id = v_root
	 WHERE r.platform_id = p_platform AND r.id = p_run;
	IF NOT FOUND OR p_after >> 51 = 1 THEN
		RETURN;
	END IF;
	IF least(v_attempt, 31) <> p_after >> 46 THEN
		IF p_after & ((1::bigint << 46) - 1) <> 0 THEN
			RETURN QUERY SELECT theazo_internal.output_seq(v_attempt, false, false, 0, 0), 'gap', '{"reason": "restart"}'::jsonb;
		END IF;
		v_at := '{0,0}';
		v_lost := '{f,f}';
	END IF;
	FOR i IN 1 .. 2
	LOOP
		IF v_over THEN
			v_text := coalesce(v_shown ->> CASE i WHEN 1 THEN 'stdout' ELSE 'stderr' END, '');
			CONTINUE WHEN octet_length(convert_to(v_text, 'UTF8')) <= v_at[i];
			v_shown := v_shown || jsonb_build_object('told', theazo_internal.text_behind(v_text, v_at[i]));
			v_at[i] := octet_length(convert_to(v_text, 'UTF8'));
			RETURN QUERY SELECT theazo_internal.output_seq(v_attempt, v_lost[1], v_lost[2], v_at[1], v_at[2]),
				CASE i WHEN 1 THEN 'stdout' ELSE 'stderr' END, jsonb_build_object('text', v_shown -> 'told');
			CONTINUE;
		END IF;
		CONTINUE WHEN v_lost[i];
		SELECT x.* INTO v_live
		  FROM theazo_internal.stream_read(p_run, CASE i WHEN 1 THEN 1 ELSE 65537 END, theazo_internal.stream_generation(v_effect, v_attempt), v_at[i]) x;
		CONTINUE WHEN v_live.generation <> theazo_internal.stream_generation(v_effect, v_attempt);
		IF v_live.first > v_at[i] THEN
			v_lost[i] := true;
			RETURN QUERY SELECT theazo_internal.output_seq(v_attempt, v_lost[1], v_lost[2], v_at[1], v_at[2]), 'gap',
				jsonb_build_object('reason', 'behind', 'stream', CASE i WHEN 1 THEN 'stdout' ELSE 'stderr' END);
		ELSIF v_live.content <> '' THEN
			v_at[i] := v_live.finish;
			RETURN QUERY SELECT theazo_internal.output_seq(v_attempt, v_lost[1], v_lost[2], v_at[1], v_at[2]),
				CASE i WHEN 1 THEN 'stdout' ELSE 'stderr' END, jsonb_build_object('text', v_live.content);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.output_look(text, text, bigint) IS 'what a command printed behind a reader''s place: stdout, stderr, gap';

-- Until a commit concerns the run, or more is there than the place says.
CREATE OR REPLACE FUNCTION theazo_internal.output_wait(p_platform text, p_run text, p_after bigint, p_mark integer, p_left integer)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_attempt	integer;
	v_effect	text;
	v_wanted	integer;
	v_there		integer;
	v_live		boolean;
BEGIN
	SELECT e.id, e.attempt INTO v_effect, v_attempt FROM theazo_data.effect e
	 WHERE e.platform_id = p_platform AND e.root_id = substr(p_run, 5) AND e.run_id = p_run AND e.kind = 'compute.exec';
	v_wanted := theazo_internal.stream_generation(v_effect, v_attempt);
	v_there := (theazo_internal.stream_read(p_run, 1, v_wanted, 0)).generation;
	-- Of an attempt before this one, what is there is no news.
	v_live := v_there IN (0, v_wanted);
	PERFORM theazo_internal.stream_block_output(p_run, p_mark, 1, CASE WHEN v_live THEN v_wanted ELSE v_there END,
		CASE WHEN NOT v_live OR p_after >> 45 & 1 = 1 THEN 1::bigint << 40 WHEN p_after >> 46 = least(v_attempt, 31) THEN p_after >> 22 & 4194303 ELSE 0 END,
		CASE WHEN NOT v_live OR p_after >> 44 & 1 = 1 THEN 1::bigint << 40 WHEN p_after >> 46 = least(v_attempt, 31) THEN p_after & 4194303 ELSE 0 END,
		CASE WHEN v_live THEN p_left ELSE least(p_left, 1000) END);
END
$$;
COMMENT ON FUNCTION theazo_internal.output_wait(text, text, bigint, integer, integer) IS 'waits for more output of a command, or for its end';

-- theazo.run_follow() of a run that is one command. The caller's right to see it was checked.
CREATE OR REPLACE FUNCTION theazo_internal.output_follow(p_run text, p_after bigint, p_until timestamptz)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_behind	CONSTANT bigint := 1::bigint << 51;			-- of all output
	v_platform	text := theazo_internal.current_platform();
	r			theazo.runs;
	v_mark		integer;
	v_left		integer;
BEGIN
	LOOP
		v_mark := theazo_internal.stream_mark(p_run);
		r := theazo_internal.run_row(p_run);
		RETURN QUERY SELECT t.* FROM theazo_internal.output_look(v_platform, p_run, p_after) t;
		IF r.status NOT IN ('queued', 'running') THEN
			RETURN QUERY
			SELECT v_behind + p.ord, 'progress', p.said
			  FROM theazo_internal.run_reports(v_platform, p_run) WITH ORDINALITY AS p (said, ord)
			 WHERE v_behind + p.ord > p_after;
			RETURN QUERY SELECT t.seq, t.type, t.data || CASE t.type WHEN 'done' THEN jsonb_build_object('exitCode', r.exit_code) ELSE '{}' END
			  FROM theazo_internal.follow_end(r, v_behind + (1 << 20)) t WHERE t.seq > p_after;
			RETURN;
		ELSIF FOUND THEN
			RETURN;
		END IF;
		v_left := ceil(extract(epoch FROM p_until - clock_timestamp()) * 1000);
		EXIT WHEN v_left <= 0;
		PERFORM theazo_internal.output_wait(v_platform, p_run, p_after, v_mark, v_left);
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.output_follow(text, bigint, timestamptz) IS 'events of a command behind a place; waits for the next ones';

-- What a command that runs has printed so far, from memory: as much of it as is still there, from a line's beginning.
CREATE OR REPLACE FUNCTION theazo_internal.output_running(p_platform text, p_run text, p_errors boolean)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_step			integer := CASE WHEN p_errors THEN 65537 ELSE 1 END;
	v_generation	integer;
	v_at			bigint := 0;
	v_text			text := '';
	v_cut			boolean := false;
	v_live			record;
BEGIN
	SELECT theazo_internal.stream_generation(e.id, e.attempt) INTO v_generation FROM theazo_data.effect e
	 WHERE e.platform_id = p_platform AND e.root_id = substr(p_run, 5) AND e.run_id = p_run AND e.kind = 'compute.exec';
	-- 64 KiB a look; the bound is for a command that prints faster than this reads
	FOR i IN 1 .. 64
	LOOP
		SELECT x.* INTO v_live FROM theazo_internal.stream_read(p_run, v_step, v_generation, v_at) x;
		EXIT WHEN v_live.generation IS DISTINCT FROM v_generation;
		IF v_live.first > v_at THEN
			v_at := v_live.first;
			v_text := '';
			v_cut := true;
			CONTINUE;
		END IF;
		IF v_live.content = '' THEN
			-- what was overwritten may end within a character
			EXIT WHEN NOT v_cut OR v_text <> '' OR v_at > v_live.first + 3;
			v_at := v_at + 1;
			CONTINUE;
		END IF;
		v_text := v_text || v_live.content;
		v_at := v_live.finish;
	END LOOP;
	RETURN CASE WHEN v_cut THEN substr(v_text, strpos(v_text, E'\n') + 1) ELSE v_text END;
END
$$;
COMMENT ON FUNCTION theazo_internal.output_running(text, text, boolean) IS 'what a command that runs has printed so far, as far as it is in memory';

-- The last lines that commands of an agent printed, oldest first, newest run last: from rows, of one that runs from memory.
CREATE OR REPLACE FUNCTION theazo.output_tail(agent text, lines integer DEFAULT 100, api_key text DEFAULT NULL)
RETURNS TABLE (run_id text, ended_at timestamptz, stream text, line text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_most		integer := lines;
	v_platform	text;
	x			record;
	v_rows		jsonb[] := '{}';
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	v_platform := theazo_internal.current_platform();
	IF lines IS NULL OR lines NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('lines', 'must be between 1 and 1000');
	END IF;
	PERFORM 1 FROM theazo.agents a WHERE a.id = output_tail.agent;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('agent', output_tail.agent);
	END IF;
	FOR x IN
		SELECT l.id, l.ended_at,
			   CASE WHEN l.ended_at IS NULL THEN theazo_internal.output_running(v_platform, l.id, false) ELSE p.stdout END AS stdout,
			   CASE WHEN l.ended_at IS NULL THEN theazo_internal.output_running(v_platform, l.id, true) ELSE p.stderr END AS stderr
		  FROM (SELECT q.id, q.ended_at FROM theazo.runs q
				 WHERE q.agent_id = output_tail.agent AND q.kind = 'exec' ORDER BY q.id DESC LIMIT 100) l
		  LEFT JOIN LATERAL (SELECT p.stdout, p.stderr FROM theazo.run_results p WHERE p.id = l.id AND l.ended_at IS NOT NULL) p ON true
		 ORDER BY l.id DESC
	LOOP
		EXIT WHEN v_most <= 0;
		PERFORM theazo_internal.flow_look(x.id);
		v_rows := ARRAY(
			SELECT jsonb_build_object('run', x.id, 'at', x.ended_at, 'stream', y.stream, 'line', y.line) FROM (
				SELECT z.stream, z.line, row_number() OVER (ORDER BY z.stream, z.ord DESC) AS back, z.ord FROM (
					SELECT 'stdout' AS stream, o.line, o.ord
					  FROM unnest(string_to_array(regexp_replace(x.stdout, E'\n$', ''), E'\n')) WITH ORDINALITY o (line, ord) WHERE x.stdout <> ''
					UNION ALL
					SELECT 'stderr', o.line, o.ord
					  FROM unnest(string_to_array(regexp_replace(x.stderr, E'\n$', ''), E'\n')) WITH ORDINALITY o (line, ord) WHERE x.stderr <> '') z) y
			 WHERE y.back <= v_most ORDER BY y.back DESC) || v_rows;
		v_most := lines - cardinality(v_rows);
	END LOOP;
	RETURN QUERY SELECT u.doc ->> 'run', (u.doc ->> 'at')::timestamptz, u.doc ->> 'stream', u.doc ->> 'line'
	  FROM unnest(v_rows) WITH ORDINALITY u (doc, ord) ORDER BY u.ord;
END
$$;
COMMENT ON FUNCTION theazo.output_tail(text, integer, text) IS
'the last lines that commands in an agent''s sandbox printed, of its last 100 commands, oldest first; of one that still runs what is in memory';
