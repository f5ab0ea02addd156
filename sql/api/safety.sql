-- safety.sql: content safety of what goes into a run, through its tools and out of it.

CREATE OR REPLACE FUNCTION theazo_internal.safety_input(a theazo_data.agent, p_stage text, p_text text)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_input(theazo_data.agent, text, text) IS 'TZ205 for a text that must not go in, else the verdict about it';

CREATE OR REPLACE FUNCTION theazo_internal.safety_arguments(l theazo_data.run_loop, r theazo_data.run, p_tool text, p_arguments jsonb)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_arguments(theazo_data.run_loop, theazo_data.run, text, jsonb) IS 'why a tool must not be called with these arguments, or null';

CREATE OR REPLACE FUNCTION theazo_internal.safety_result(l theazo_data.run_loop, r theazo_data.run, p_tool text, p_text text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN p_text;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_result(theazo_data.run_loop, theazo_data.run, text, text) IS 'the answer of a tool as the model may see it';

CREATE OR REPLACE FUNCTION theazo_internal.safety_deliver(l theazo_data.run_loop, r theazo_data.run, p_text text, OUT output text, OUT verdict text, OUT error jsonb, OUT waiting boolean)
LANGUAGE plpgsql
AS $$
BEGIN
	output := p_text;
	verdict := 'none';
	waiting := false;
END
$$;
COMMENT ON FUNCTION theazo_internal.safety_deliver(theazo_data.run_loop, theazo_data.run, text) IS 'the answer of a run as it may be delivered with the verdict that lets it out, why it may not, or that a judge is still asked';
