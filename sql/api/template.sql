-- template.sql: the templates STRICT, STANDARD and DEV, and the policy of an agent.

CREATE OR REPLACE FUNCTION theazo_internal.policy_of(a theazo_data.agent)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION theazo_internal.policy_of(theazo_data.agent) IS 'permissions, guardrails, limits and approvals of an agent as they hold now';
