-- safety_work.sql: what work in an agent's name brings back that no run of the loop asked for: commands, requests, files, figures,
-- tools that are tried.

-- The result as it is stored, with the id of its verdict. What commands print and what others answer is judged like the answer of
-- a tool, where the agent's guardrails ask for it; a file and a figure are given to whoever asks as they are.
CREATE OR REPLACE FUNCTION theazo_internal.safety_work(r theazo_data.run, p_result jsonb, OUT shown jsonb, OUT verdict text)
LANGUAGE plpgsql
AS $$
DECLARE
	a			theazo_data.agent;
	v_guard		jsonb;
	v_text		text;
	v_verdict	jsonb := '{"stage": "result", "status": "skipped", "reason": "the guardrails ask for nothing here"}';
	v_withheld	text;
BEGIN
	shown := p_result;
	CASE r.kind
		WHEN 'exec' THEN
			v_text := concat_ws(E'\n', nullif(p_result ->> 'stdout', ''), nullif(p_result ->> 'stderr', ''), p_result ->> 'output', p_result ->> 'progress');
		WHEN 'http_fetch' THEN
			v_text := coalesce(p_result ->> 'body', '');
		WHEN 'tool_test' THEN
			v_text := coalesce(p_result ->> 'output', '');
		ELSE
			v_verdict := v_verdict || '{"reason": "files and figures are given as they are"}';
	END CASE;
	IF v_text IS NOT NULL THEN
		SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = r.platform_id AND x.id = r.agent_id;
		v_guard := theazo_internal.guardrails_of(a);
		IF theazo_internal.guardrails_on(v_guard) THEN
			v_verdict := theazo_internal.safety_judge(r.platform_id, v_guard, 'result', v_text) || jsonb_build_object('tool', r.kind);
		END IF;
	END IF;
	verdict := theazo_internal.safety_note(r, 'the result', v_verdict);
	IF theazo_internal.safety_stops(v_verdict) THEN
		v_withheld := format('[withheld: %s]', theazo_internal.safety_message('the result', v_verdict));
		shown := shown || CASE r.kind WHEN 'exec' THEN jsonb_build_object('stdout', v_withheld, 'stderr', '')
										|| CASE WHEN shown ? 'output' THEN jsonb_build_object('output', v_withheld, 'artifacts', '[]'::jsonb) ELSE '{}' END
										|| CASE WHEN shown ? 'progress' THEN jsonb_build_object('progress', '[]'::jsonb) ELSE '{}' END
									  WHEN 'http_fetch' THEN jsonb_build_object('body', v_withheld)
									  ELSE jsonb_build_object('output', v_withheld) END;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_work(theazo_data.run, jsonb) IS
'the result of a command, a request, file work or a tool that was tried as it may be stored, with the verdict about it';
