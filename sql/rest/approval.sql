-- approval.sql: approvals as REST shows them.

CREATE OR REPLACE FUNCTION theazo_internal.rest_approval(x theazo.approvals)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('id', x.id, 'agentId', coalesce(x.agent_id, ''), 'action', x.action, 'params', x.params,
		'status', x.status, 'requestedAt', theazo_internal.rest_at(x.requested_at), 'expiresAt', theazo_internal.rest_at(x.expires_at),
		'sessionId', x.session_id, 'runId', x.run_id, 'stepId', x.step_seq::text)
	|| pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('resolvedAt', theazo_internal.rest_at(x.resolved_at),
		'resolvedBy', x.resolved_by, 'reason', x.reason))
	|| CASE WHEN x.modifications IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('modifications', x.modifications) END;
COMMENT ON FUNCTION theazo_internal.rest_approval(theazo.approvals) IS
'an Approval; what is not known yet is left out';

CREATE OR REPLACE FUNCTION theazo_internal.rest_approval_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_approval(x) ORDER BY x.id::text COLLATE "C" DESC), '[]')
			  FROM theazo.approval_list(theazo_internal.rest_text(a, 'sessionId'),
					theazo_internal.rest_one_of(a, 'status', false, 'pending', 'approved', 'denied', 'expired'), 1000) x);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_approval_list(jsonb) IS
'GET /v1/approvals';

CREATE OR REPLACE FUNCTION theazo_internal.rest_approval_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_approval(theazo.approval_get(a ->> 'id'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_approval_get(jsonb) IS
'GET /v1/approvals/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_approval_approve(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.approval_approve(a ->> 'id', theazo_internal.rest_object(a, 'modifications'));
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_approval_approve(jsonb) IS
'POST /v1/approvals/:id/approve';

CREATE OR REPLACE FUNCTION theazo_internal.rest_approval_deny(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.approval_deny(a ->> 'id', theazo_internal.rest_text(a, 'reason', false, 2000));
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_approval_deny(jsonb) IS
'POST /v1/approvals/:id/deny';

CREATE OR REPLACE FUNCTION theazo_internal.rest_approvals_approve(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.approval_bulk_approve(theazo_internal.rest_texts(a, 'ids', true, 200));
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_approvals_approve(jsonb) IS
'POST /v1/approvals/bulk-approve';

CREATE OR REPLACE FUNCTION theazo_internal.rest_approvals_deny(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.approval_bulk_deny(theazo_internal.rest_texts(a, 'ids', true, 200), theazo_internal.rest_text(a, 'reason', false, 2000));
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_approvals_deny(jsonb) IS
'POST /v1/approvals/bulk-deny';
