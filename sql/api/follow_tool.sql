-- follow_tool.sql: what a command of a tool call prints, while it runs, to who follows the run.
--
-- It is told from memory only: the call's result has it all. Of commands that run at once one is told of at a time, the
-- first, and when it has ended the next. Within the last call of a round a reader's place has, from the left: 8 bits results told, 1 bit
-- that output was told, 2 unused, 7 which call of the round that was of, 22 how many bytes.

CREATE OR REPLACE FUNCTION theazo_internal.follow_seq_ended(p_step integer, p_ended integer)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (least(p_step, 4095)::bigint << 40) | (least(p_ended, 255)::bigint << 32)
$$;
COMMENT ON FUNCTION theazo_internal.follow_seq_ended(integer, integer) IS 'a reader''s place behind so many results of the round that ends with that step';

-- What of a reader's place is still true behind a result: how far it was told of a command that goes on.
CREATE OR REPLACE FUNCTION theazo_internal.follow_carried(p_after bigint, p_last integer, p_ended integer, p_first integer, p_ends integer[])
RETURNS bigint
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN p_after >> 40 = p_last AND p_after >> 31 & 1 = 1
				 AND coalesce(p_ends[(p_after >> 22 & 127) + 1], 1000) > p_ended THEN p_after & 4294967295 ELSE 0 END
$$;
COMMENT ON FUNCTION theazo_internal.follow_carried(bigint, integer, integer, integer, integer[]) IS
'the part of a reader''s place that tells how far it is in a command''s output, as far as it is true behind a result';

-- The command whose output comes next for a reader behind all calls of a round, and how much of it the reader has. Null: there is none.
CREATE OR REPLACE FUNCTION theazo_internal.follow_output_place(
	p_platform text, p_run text, p_after bigint,
	OUT step integer, OUT tool text, OUT generation integer, OUT bytes bigint, OUT base bigint, OUT alone boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	v_root	text := substr(p_run, 5);
	v_last	integer := p_after >> 40;
	v_first	integer;
	v_at	integer;
	v_there	integer;
	x		record;
BEGIN
	SELECT min(t.seq) INTO v_first FROM theazo_data.step t
	  JOIN theazo_data.step y ON y.platform_id = p_platform AND y.root_id = v_root AND y.seq = v_last AND y.kind = 'tool' AND y.round = t.round
	 WHERE t.platform_id = p_platform AND t.root_id = v_root AND t.kind = 'tool'
	HAVING max(t.seq) = v_last;
	IF v_first IS NULL THEN
		RETURN;
	END IF;
	v_at := CASE WHEN p_after >> 31 & 1 = 1 THEN v_first + (p_after >> 22 & 127) END;
	alone := true;
	FOR x IN
		SELECT t.seq, t.name, theazo_internal.stream_generation(e.id, e.attempt) AS generation
		  FROM theazo_data.step t
		  JOIN theazo_data.effect e ON e.platform_id = t.platform_id AND e.root_id = t.root_id AND e.id = t.effect_id AND e.kind = 'compute.exec'
		 WHERE t.platform_id = p_platform AND t.root_id = v_root AND t.seq BETWEEN coalesce(v_at, v_first) AND v_last AND t.state = 'queued'
		 ORDER BY t.seq
	LOOP
		v_there := (theazo_internal.stream_read(p_run, x.seq, x.generation, 0)).generation;
		CONTINUE WHEN v_there NOT IN (0, x.generation);
		alone := step IS NULL;
		-- The first that has begun to print; while none has, the first.
		CONTINUE WHEN step IS NOT NULL AND v_there = 0;
		step := x.seq;
		tool := x.name;
		generation := x.generation;
		bytes := CASE WHEN x.seq = v_at THEN p_after & 4194303 ELSE 0 END;
		base := ((p_after >> 32) << 32) | (1::bigint << 31) | (least(x.seq - v_first, 127)::bigint << 22);
		EXIT WHEN v_there <> 0;
	END LOOP;
	-- Another that is found to print first is told of instead.
	alone := alone AND step IS NOT NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.follow_output_place(text, text, bigint) IS 'the command of a tool call whose output a reader is told next';

CREATE OR REPLACE FUNCTION theazo_internal.follow_output(p_platform text, p_run text, p_after bigint)
RETURNS TABLE (seq bigint, type text, data jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	w		record;
	v_live	record;
BEGIN
	SELECT p.* INTO w FROM theazo_internal.follow_output_place(p_platform, p_run, p_after) p;
	IF w.step IS NULL THEN
		RETURN;
	END IF;
	SELECT r.* INTO v_live FROM theazo_internal.stream_read(p_run, w.step, w.generation, w.bytes) r;
	IF v_live.generation <> w.generation THEN
		RETURN;
	END IF;
	IF v_live.first > w.bytes THEN
		RETURN QUERY SELECT w.base | least(v_live.first, 4194303), 'gap', jsonb_build_object('step', w.step, 'reason', 'behind');
		SELECT r.* INTO v_live FROM theazo_internal.stream_read(p_run, w.step, w.generation, v_live.first) r;
	END IF;
	IF v_live.content <> '' THEN
		RETURN QUERY SELECT w.base | least(v_live.finish, 4194303), 'tool_output',
			jsonb_build_object('tool', w.tool, 'text', v_live.content, 'step', w.step);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.follow_output(text, text, bigint) IS 'what a command of a tool call prints behind a reader''s place: tool_output, gap';
