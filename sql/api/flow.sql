-- flow.sql: labels of data, and where labelled data may not go.

CREATE OR REPLACE FUNCTION theazo_internal.flow_known(p_platform text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN false;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_known(text) IS 'does a platform label any data; without a statement';

CREATE OR REPLACE FUNCTION theazo_internal.flow_begin(a theazo_data.agent, p_prior text[], p_inputs text[], p_parent_root text)
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_begin(theazo_data.agent, text[], text[], text) IS 'labels that a run begins with: of its history, its inputs and the run that started it';

CREATE OR REPLACE FUNCTION theazo_internal.flow_read(l theazo_data.run_loop, r theazo_data.run, p_kind text, p_tool text, p_arguments jsonb, p_result text)
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_read(theazo_data.run_loop, theazo_data.run, text, text, jsonb, text) IS 'labels of what a tool call has read';

CREATE OR REPLACE FUNCTION theazo_internal.flow_wrote(l theazo_data.run_loop, r theazo_data.run, p_kind text, p_tool text, p_arguments jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_wrote(theazo_data.run_loop, theazo_data.run, text, text, jsonb) IS 'hands the labels of a run on to what it writes into';
