-- budget_reserve.sql: what is set aside before a call leaves.

CREATE OR REPLACE FUNCTION theazo_internal.budget_reserve(e theazo_data.effect, l theazo_data.run_loop, OUT max_tokens integer, OUT refusal jsonb)
LANGUAGE plpgsql
AS $$
BEGIN
	NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_reserve(theazo_data.effect, theazo_data.run_loop) IS 'sets the worst case of a model call aside: the tokens it may answer with where that is less than asked for, or why it may not leave';
