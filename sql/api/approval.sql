-- approval.sql: a human decides about one call.

CREATE OR REPLACE FUNCTION theazo_internal.approval_need(l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_name text, p_arguments jsonb, p_pin text, p_needed boolean, OUT approval_id text)
LANGUAGE plpgsql
AS $$
BEGIN
	NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.approval_need(theazo_data.run_loop, theazo_data.run, integer, text, jsonb, text, boolean) IS 'the approval that a call has to wait for, null when it needs none';

CREATE OR REPLACE FUNCTION theazo_internal.approvals_close(r theazo_data.run)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.approvals_close(theazo_data.run) IS 'ends what a run that ends still waited for';
