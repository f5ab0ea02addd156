-- webhook_out.sql: telling a platform's own servers what happened. Each delivery is an effect on the one path: at least
-- once, signed, and tried again for two days.

-- After each failed attempt; the last one is followed by none. 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 24 h.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_waits()
RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY[5000, 300000, 1800000, 7200000, 18000000, 36000000, 86400000]::bigint[];
COMMENT ON FUNCTION theazo_internal.webhook_waits() IS 'milliseconds between the attempts of a delivery';

-- p_tries: attempts that have failed. A receiver that asks for more time gets it, up to a day.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_wait(p_tries integer, p_asked bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest((theazo_internal.webhook_waits())[p_tries], least(coalesce(p_asked, 0), 86400000));
COMMENT ON FUNCTION theazo_internal.webhook_wait(integer, bigint) IS 'milliseconds until a delivery is tried again';

-- ---------------------------------------------------------------------------------------
-- telling

-- A delivery for each webhook that asked for this. Its body is made once and is the same in every attempt; the id in it,
-- which is also what it is signed under, is the event's, so a receiver with two webhooks sees it as one.
CREATE OR REPLACE FUNCTION theazo_internal.notify(p_platform text, p_environment text, p_event text, p_data jsonb)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	v_webhooks	text[] := theazo_internal.webhooks_for(p_platform, p_environment, p_event);
	v_webhook	text;
	v_id		text;
	v_body		bytea;
BEGIN
	IF v_webhooks IS NULL THEN
		RETURN 0;
	END IF;
	v_id := theazo_internal.id_new('evt');
	v_body := theazo_internal.notice_body(v_id, p_event, p_data);
	FOREACH v_webhook IN ARRAY v_webhooks
	LOOP
		PERFORM theazo_internal.notice_enqueue(p_platform, v_webhook, v_id, p_event, v_body, NULL);
	END LOOP;
	RETURN pg_catalog.cardinality(v_webhooks);
END $$;
COMMENT ON FUNCTION theazo_internal.notify(text, text, text, jsonb) IS
'queues the deliveries of an event to the platform''s webhooks; returns how many';

-- Compact, as a JavaScript serialiser writes it, in the order that is documented.
CREATE OR REPLACE FUNCTION theazo_internal.notice_body(p_id text, p_event text, p_data jsonb)
RETURNS bytea LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT convert_to(format('{"id":%s,"type":%s,"createdAt":%s,"data":%s}', to_json(p_id), to_json(p_event),
		to_json(theazo_internal.time_iso(clock_timestamp())), theazo_internal.json_compact(coalesce(p_data, '{}'))), 'UTF8')
$$;
COMMENT ON FUNCTION theazo_internal.notice_body(text, text, jsonb) IS 'what a webhook is sent, to the byte';

-- p_test: tried once.
CREATE OR REPLACE FUNCTION theazo_internal.notice_enqueue(p_platform text, p_webhook text, p_id text, p_event text, p_body bytea, p_test boolean)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.effect_enqueue(p_platform, theazo_internal.id_root(p_id), 'webhook.deliver', 'webhook_out',
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('id', p_id, 'type', p_event, 'once', p_test)),
		p_provider => 'webhook.' || p_webhook, p_timeout_ms => 10000,
		p_max_attempts => CASE WHEN p_test THEN 1 ELSE 1 + pg_catalog.cardinality(theazo_internal.webhook_waits()) END,
		-- it waits in the lane of its webhook
		p_due => 'infinity', p_content => p_body);
END $$;
COMMENT ON FUNCTION theazo_internal.notice_enqueue(text, text, text, text, bytea, boolean) IS 'queues one delivery to one webhook; returns the effect';

-- ---------------------------------------------------------------------------------------
-- what became of it

-- How long nothing may arrive before a webhook is disabled.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_patience()
RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '5 days'::interval;
COMMENT ON FUNCTION theazo_internal.webhook_patience() IS 'how long nothing may arrive before a webhook is disabled';

-- Deliveries in this batch have arrived: their webhooks do not fail any more, and what waits for a place may have one.
CREATE OR REPLACE FUNCTION theazo_internal.notices_arrived(p_platforms text[], p_providers text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE theazo_data.webhook w SET failing_since = NULL
	  FROM (SELECT DISTINCT u.platform_id, pg_catalog.substr(u.provider, 9) AS id FROM ROWS FROM (pg_catalog.unnest(p_platforms), pg_catalog.unnest(p_providers)) AS u (platform_id, provider)
			 ORDER BY 1, 2) d
	 WHERE w.platform_id = d.platform_id AND w.id = d.id AND w.failing_since IS NOT NULL;
	PERFORM theazo_internal.webhook_freed();
END $$;
COMMENT ON FUNCTION theazo_internal.notices_arrived(text[], text[]) IS 'what the arrival of deliveries means for their webhooks';

CREATE OR REPLACE FUNCTION theazo_internal.notice_try(e theazo_data.effect, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('at', theazo_internal.time_iso(coalesce(p_started, e.claimed_at)),
		'ms', pg_catalog.round(extract(epoch FROM p_finished - coalesce(p_started, e.claimed_at)) * 1000),
		'status', coalesce(p_result -> 'status', p_result -> 'http_status'),
		'error', pg_catalog."left"(theazo_internal.text_mask(p_result ->> 'message'), 500)));
END $$;
COMMENT ON FUNCTION theazo_internal.notice_try(theazo_data.effect, jsonb, timestamptz, timestamptz) IS 'one attempt of a delivery as its history has it';

-- An attempt has failed and another one may follow: noted, with the delivery and, not for each of many, with its webhook.
CREATE OR REPLACE FUNCTION theazo_internal.notice_failed(e theazo_data.effect, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_try	jsonb := theazo_internal.notice_try(e, p_result, p_started, p_finished);
BEGIN
	UPDATE theazo_data.effect_payload x SET result = pg_catalog.jsonb_build_object('tries', coalesce(x.result -> 'tries', '[]') || v_try)
	 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
	UPDATE theazo_data.webhook w
	   SET failing_since = coalesce(w.failing_since, p_finished), failed_at = p_finished, last_error = v_try ->> 'error'
	 WHERE w.platform_id = e.platform_id AND w.id = pg_catalog.substr(e.provider_name, 9)
	   AND (w.failing_since IS NULL OR w.failed_at < p_finished - '10 seconds'::interval);
END $$;
COMMENT ON FUNCTION theazo_internal.notice_failed(theazo_data.effect, jsonb, timestamptz, timestamptz) IS 'notes an attempt that failed and is followed by another one';

-- Nothing has arrived for days, or there is nobody any more: it is not tried again.
CREATE OR REPLACE FUNCTION theazo_internal.notice_hopeless(e theazo_data.effect)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN NOT EXISTS (SELECT FROM theazo_data.webhook w
		 WHERE w.platform_id = e.platform_id AND w.id = pg_catalog.substr(e.provider_name, 9) AND w.status = 'active'
		   AND (w.failing_since IS NULL OR w.failing_since > pg_catalog.clock_timestamp() - theazo_internal.webhook_patience()));
END $$;
COMMENT ON FUNCTION theazo_internal.notice_hopeless(theazo_data.effect) IS 'is it of no use to try this delivery again';

-- A delivery has ended. What arrived at the first attempt does not come here (effect_done).
CREATE OR REPLACE FUNCTION theazo_internal.notice_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_try	jsonb := theazo_internal.notice_try(e, p_result, p_started, p_finished);
	v_why	text;
	w		theazo_data.webhook;
BEGIN
	IF p_state <> 'cancelled' THEN
		UPDATE theazo_data.effect_payload x
		   SET result = jsonb_strip_nulls(jsonb_build_object('status', v_try -> 'status', 'tries', coalesce(x.result -> 'tries', '[]') || v_try))
		 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
	END IF;
	-- Whoever tests a webhook may wait for this.
	PERFORM theazo_internal.run_notify('evt_' || e.root_id);
	IF p_state = 'done' THEN
		PERFORM theazo_internal.notices_arrived(ARRAY[e.platform_id], ARRAY[e.provider_name]);
		RETURN;
	END IF;
	PERFORM theazo_internal.webhook_freed();
	IF p_state = 'cancelled' THEN
		RETURN;
	END IF;
	UPDATE theazo_data.webhook t
	   SET failures = t.failures + 1, last_error = v_try ->> 'error', failed_at = p_finished, failing_since = coalesce(t.failing_since, p_finished)
	 WHERE t.platform_id = e.platform_id AND t.id = substr(e.provider_name, 9)
	RETURNING t.* INTO w;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	v_why := CASE WHEN (p_result ->> 'http_status')::integer = 410 THEN 'gone'
				  WHEN w.failing_since < clock_timestamp() - theazo_internal.webhook_patience() THEN 'failing' END;
	IF v_why IS NOT NULL AND w.status = 'active' THEN
		PERFORM theazo_internal.webhook_disable(w, v_why);
	ELSE
		PERFORM theazo_internal.event_write(e.platform_id, 'network', 'webhook_given_up',
			jsonb_build_object('webhook', w.id, 'host', theazo_internal.url_host(w.url), 'attempts', e.attempt, 'reason', v_try ->> 'error'),
			NULL, NULL, NULL, w.environment);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.notice_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'the end of a delivery that took more than one attempt: counted, and the webhook disabled where nobody listens any more';

-- What waits for it would be refused as well. The other webhooks hear of it.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_disable(w theazo_data.webhook, p_reason text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_dropped	integer;
BEGIN
	UPDATE theazo_data.effect x
	   SET state = 'cancelled', finished_at = pg_catalog.clock_timestamp(), error_code = 'cancelled', error_message = 'the webhook was disabled'
	 WHERE x.platform_id = w.platform_id AND x.kind = 'webhook.deliver' AND x.provider_name = 'webhook.' || w.id AND x.state = 'queued';
	GET DIAGNOSTICS v_dropped = ROW_COUNT;
	UPDATE theazo_data.webhook t SET status = 'disabled', disabled_reason = p_reason, disabled_at = pg_catalog.clock_timestamp()
	 WHERE t.platform_id = w.platform_id AND t.id = w.id;
	PERFORM theazo_internal.event_write(w.platform_id, CASE p_reason WHEN 'user' THEN 'control' ELSE 'network' END, 'webhook_disabled',
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('webhook', w.id, 'host', theazo_internal.url_host(w.url), 'reason', p_reason,
			'dropped', v_dropped, 'error', CASE WHEN p_reason <> 'user' THEN w.last_error END)),
		NULL, NULL, NULL, w.environment);
	IF p_reason <> 'user' THEN
		PERFORM theazo_internal.notify(w.platform_id, w.environment, 'webhook.disabled',
			pg_catalog.jsonb_build_object('webhookId', w.id, 'url', w.url, 'reason', p_reason));
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_disable(theazo_data.webhook, text) IS 'sends a webhook nothing any more, and drops what waits for it: gone, failing, user';

-- In its history each attempt that has ended.
CREATE OR REPLACE VIEW theazo.webhook_deliveries WITH (security_barrier) AS
SELECT e.id, w.id AS webhook_id, w.environment, p.request ->> 'id' AS event_id, p.request ->> 'type' AS event,
	   CASE e.state WHEN 'done' THEN 'delivered' WHEN 'queued' THEN 'waiting' WHEN 'claimed' THEN 'sending' WHEN 'sent' THEN 'sending'
					WHEN 'unknown' THEN 'failed' ELSE e.state END AS status,
	   e.attempt AS attempts, CASE WHEN e.state = 'queued' AND e.due_at < 'infinity' THEN e.due_at END AS next_attempt_at, e.error_message AS last_error,
	   (p.result ->> 'status')::integer AS http_status, theazo_internal.id_time(e.id) AS created_at, e.finished_at,
	   CASE WHEN p.result ? 'tries' THEN p.result -> 'tries' WHEN e.state = 'done' THEN jsonb_build_array(jsonb_build_object(
			'at', theazo_internal.time_iso(e.claimed_at), 'ms', round(extract(epoch FROM e.finished_at - e.claimed_at) * 1000),
			'status', p.result -> 'status')) ELSE '[]' END AS history
  FROM theazo_data.webhook w
  JOIN theazo_data.effect e ON e.platform_id = w.platform_id AND e.kind = 'webhook.deliver' AND e.provider_name = 'webhook.' || w.id
  LEFT JOIN theazo_data.effect_payload p ON p.platform_id = e.platform_id AND p.root_id = e.root_id AND p.id = e.id
 WHERE (SELECT theazo_internal.may_read('webhook:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.webhook_deliveries IS 'deliveries to the platform''s webhooks, each attempt of them, and when one that failed is tried again';
