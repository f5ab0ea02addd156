-- budget.sql: budgets and limits: what they are, and whether they are used up.

CREATE OR REPLACE FUNCTION theazo_internal.budget_check(p_platform text, p_environment text, p_session text, p_user text, p_agent text, p_new_agent boolean)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_check(text, text, text, text, text, boolean) IS 'TZ202 when a limit of the session, user, platform or operator is used up';

CREATE OR REPLACE FUNCTION theazo_internal.budget_end(r theazo_data.run)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.budget_end(theazo_data.run) IS 'releases what a run that has ended still holds';
