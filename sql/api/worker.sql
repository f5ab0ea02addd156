-- worker.sql: what workers say of themselves, and what a sandbox asked of one.

CREATE OR REPLACE FUNCTION theazo_internal.worker_started(p_kind text, p_slot integer, p_incarnation bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.log_write(theazo_internal.operator_platform(), NULL, 'info', 'system',
		format('%s %s started', p_kind, p_slot), 'live', p_metadata => jsonb_build_object('incarnation', p_incarnation));
END
$$;
COMMENT ON FUNCTION theazo_internal.worker_started(text, integer, bigint) IS 'a worker began; one log line of the operator';

CREATE OR REPLACE FUNCTION theazo_internal.worker_stopped(p_slot integer, p_incarnation bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.log_write(theazo_internal.operator_platform(), NULL, 'info', 'system',
		format('dispatcher %s stopped', p_slot), 'live', p_metadata => jsonb_build_object('incarnation', p_incarnation));
END
$$;
COMMENT ON FUNCTION theazo_internal.worker_stopped(integer, bigint) IS 'a dispatcher left in order; one log line of the operator';

CREATE OR REPLACE FUNCTION theazo_internal.preflight_store(p_mode text, p_checks jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO theazo_data.preflight AS p (platform_id, instance, mode, checks, checked_at)
	VALUES (theazo_internal.operator_platform(), theazo_internal.instance(), p_mode, p_checks, clock_timestamp())
	ON CONFLICT ON CONSTRAINT preflight_pkey
	DO UPDATE SET mode = excluded.mode, checks = excluded.checks, checked_at = excluded.checked_at;
END
$$;
COMMENT ON FUNCTION theazo_internal.preflight_store(text, jsonb) IS 'keeps what this machine offers for local sandboxes';

-- A connection that a sandbox asked for: a log line for its people, an event for the audit.
CREATE OR REPLACE FUNCTION theazo_internal.connection_record(
	p_platform_id text, p_root_id text, p_sandbox_id text, p_agent_id text, p_run_id text, p_host text, p_port integer,
	p_address text, p_allowed boolean, p_reason text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s		theazo_data.sandbox;
	v_host	text := left(regexp_replace(coalesce(p_host, ''), '[^\x21-\x7e]', '?', 'g'), 255);
	v_run	text := nullif(p_run_id, '');
BEGIN
	SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = p_platform_id AND x.id = p_sandbox_id;
	PERFORM theazo_internal.log_write(p_platform_id, CASE WHEN v_run IS NULL THEN NULL ELSE p_root_id END,
		CASE WHEN p_allowed THEN 'info' ELSE 'warn' END, 'agent',
		format('connection to %s:%s %s', v_host, p_port, CASE WHEN p_allowed THEN 'allowed' ELSE 'refused' END),
		s.environment, s.session_id, p_agent_id, v_run, s.user_id, s.provider,
		CASE WHEN v_run IS NULL THEN NULL ELSE 'tr_' || theazo_internal.id_root(v_run) END,
		jsonb_strip_nulls(jsonb_build_object('host', v_host, 'port', p_port, 'address', nullif(p_address, ''), 'reason', nullif(p_reason, ''))));
	PERFORM theazo_internal.event_write(p_platform_id, 'network', 'connection',
		jsonb_strip_nulls(jsonb_build_object('host', v_host, 'port', p_port, 'address', nullif(p_address, ''), 'reason', nullif(p_reason, ''))),
		s.session_id, p_agent_id, v_run, s.environment, CASE WHEN p_allowed THEN 'allow' ELSE 'deny' END, NULL, NOT p_allowed);
END
$$;
COMMENT ON FUNCTION theazo_internal.connection_record(text, text, text, text, text, text, integer, text, boolean, text) IS
'records a connection that a sandbox asked for';
