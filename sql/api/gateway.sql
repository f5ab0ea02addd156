-- gateway.sql: what the worker behind the REST face asks beside operations.

-- By its place in the array, so that nothing has to be looked up by whoever asked. What an agent waits for is its start.
CREATE OR REPLACE FUNCTION theazo_internal.gateway_runs_ended(p_platforms text[], p_ids text[])
RETURNS SETOF integer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT w.at::integer
	  FROM unnest(p_platforms, p_ids) WITH ORDINALITY AS w (platform, id, at)
	 WHERE CASE WHEN w.id LIKE 'run\_%' THEN NOT EXISTS (
				SELECT FROM theazo_data.run r WHERE r.platform_id = w.platform AND r.id = w.id AND r.status IN ('queued', 'running'))
				WHEN w.id LIKE 'agt\_%' THEN NOT EXISTS (
				SELECT FROM theazo_data.agent a WHERE a.platform_id = w.platform AND a.id = w.id AND a.status = 'booting')
				WHEN w.id LIKE 'snap\_%' THEN NOT EXISTS (
				SELECT FROM theazo_data.snapshot s WHERE s.platform_id = w.platform AND s.id = w.id AND s.status IN ('pending', 'taking'))
				-- the one delivery of a webhook's test
				WHEN w.id LIKE 'evt\_%' THEN NOT EXISTS (
				SELECT FROM theazo_data.effect e
				 WHERE e.platform_id = w.platform AND e.root_id = theazo_internal.id_root(w.id) AND e.kind = 'webhook.deliver'
				   AND e.state IN ('queued', 'claimed', 'sent'))
				ELSE true END;
END
$$;
COMMENT ON FUNCTION theazo_internal.gateway_runs_ended(text[], text[]) IS
'which of these runs have ended, which agents have started, which snapshots are taken, which tests of webhooks are over: their places in the list';

-- ---------------------------------------------------------------------------------------
-- Idempotency-Key

-- Takes the key, or tells what it stands for. Whoever sends the same one at the same time waits here for the first one's commit.
CREATE OR REPLACE FUNCTION theazo_internal.gateway_once_begin(
	p_key text, p_hash bytea, OUT taken boolean, OUT same boolean, OUT status integer, OUT headers jsonb, OUT body text, OUT waits jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_session CONSTANT text := coalesce(theazo_internal.current_session(), '');
BEGIN
	INSERT INTO theazo_data.rest_reply AS r (platform_id, environment, session_id, key, request_hash)
	VALUES (theazo_internal.current_platform(), theazo_internal.current_environment(), v_session, p_key, p_hash)
		ON CONFLICT ON CONSTRAINT rest_reply_pkey
		DO UPDATE SET request_hash = excluded.request_hash, status = NULL, headers = '{}', body = NULL, waits = NULL, created_at = excluded.created_at
		WHERE r.created_at < now() - '24 hours'::interval;
	taken := FOUND;
	IF taken THEN
		RETURN;
	END IF;
	SELECT r.request_hash = p_hash, r.status, r.headers, r.body, r.waits
	  INTO gateway_once_begin.same, gateway_once_begin.status, gateway_once_begin.headers, gateway_once_begin.body, gateway_once_begin.waits
	  FROM theazo_data.rest_reply r
	 WHERE r.platform_id = theazo_internal.current_platform() AND r.environment = theazo_internal.current_environment()
	   AND r.session_id = v_session AND r.key = p_key;
END
$$;
COMMENT ON FUNCTION theazo_internal.gateway_once_begin(text, bytea) IS
'an Idempotency-Key: taken by this request, or what it stands for';

-- p_status null and p_waits null: the answer is not kept, the key stays used. p_keep false: the key is free again.
CREATE OR REPLACE FUNCTION theazo_internal.gateway_once_end(p_key text, p_keep boolean, p_status integer, p_headers jsonb, p_body text, p_waits jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_session CONSTANT text := coalesce(theazo_internal.current_session(), '');
	-- Keys and signing secrets are shown once, and nowhere kept in the clear.
	v_secret CONSTANT boolean := coalesce(p_body ~ '"(th_live_|th_test_|tzk_|ths_|whsec_|trgsec_|tlsec_)[A-Za-z0-9+/=_-]{16,}"', false);
BEGIN
	IF p_keep THEN
		UPDATE theazo_data.rest_reply r
		   SET status = CASE WHEN NOT v_secret THEN p_status END, body = CASE WHEN NOT v_secret THEN p_body END,
			   headers = CASE WHEN v_secret THEN '{}' ELSE coalesce(p_headers, '{}') END, waits = p_waits
		 WHERE r.platform_id = theazo_internal.current_platform() AND r.environment = theazo_internal.current_environment()
		   AND r.session_id = v_session AND r.key = p_key;
	ELSE
		DELETE FROM theazo_data.rest_reply r
		 WHERE r.platform_id = theazo_internal.current_platform() AND r.environment = theazo_internal.current_environment()
		   AND r.session_id = v_session AND r.key = p_key;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.gateway_once_end(text, boolean, integer, jsonb, text, jsonb) IS
'what the request that took an Idempotency-Key was answered';

-- ---------------------------------------------------------------------------------------
-- figures

CREATE OR REPLACE FUNCTION theazo_internal.gateway_counters(
	OUT slot integer, OUT connections integer, OUT waiting integer, OUT streams integer, OUT replies_2xx bigint, OUT replies_3xx bigint,
	OUT replies_4xx bigint, OUT replies_5xx bigint, OUT transactions bigint, OUT requests bigint, OUT seconds double precision)
	RETURNS SETOF record
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_gateway_counters';
COMMENT ON FUNCTION theazo_internal.gateway_counters() IS
'what the gateways of this database hold and have done since the server started';

CREATE OR REPLACE VIEW theazo.operator_gateways WITH (security_barrier) AS
	SELECT * FROM theazo_internal.gateway_counters();
COMMENT ON VIEW theazo.operator_gateways IS
'operator: connections, waiting requests and streams of each gateway; answers by class; requests that reached the database, the transactions they shared and the time these took';
