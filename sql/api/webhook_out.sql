-- webhook_out.sql: telling a platform's own servers what happened. Each delivery is an effect on the one path: at least
-- once, signed, and tried again for two days.

CREATE OR REPLACE VIEW theazo.webhooks WITH (security_barrier) AS
SELECT w.platform_id, w.id, w.environment, w.url, w.events, w.secret_hint AS secret, w.status, w.failures, w.last_error, w.failed_at,
	   w.created_at, w.disabled_at
  FROM theazo_data.webhook w
 WHERE (SELECT theazo_internal.may_read('webhook:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.webhooks IS
'where the platform is told of events; secret is shown whole once, by theazo.webhook_create(), later only its beginning';

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

CREATE OR REPLACE FUNCTION theazo_internal.notice_enqueue(p_platform text, p_webhook text, p_id text, p_event text, p_body bytea, p_test boolean)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.effect_enqueue(p_platform, theazo_internal.id_root(p_id), 'webhook.deliver', 'webhook_out',
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('id', p_id, 'type', p_event, 'once', p_test)),
		p_provider => 'webhook.' || p_webhook, p_timeout_ms => 10000,
		p_max_attempts => CASE WHEN p_test THEN 1 ELSE 1 + pg_catalog.cardinality(theazo_internal.webhook_waits()) END, p_content => p_body);
END $$;
COMMENT ON FUNCTION theazo_internal.notice_enqueue(text, text, text, text, bytea, boolean) IS 'queues one delivery to one webhook; returns the effect';

-- A delivery has ended. What arrived at the first attempt does not come here (effect_done).
CREATE OR REPLACE FUNCTION theazo_internal.notice_settle(e theazo_data.effect, p_state text, p_result jsonb, p_finished timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_gone	boolean := p_state <> 'done' AND (p_result ->> 'http_status')::integer = 410;
	v_why	text := left(theazo_internal.text_mask(p_result ->> 'message'), 500);
	w		theazo_data.webhook;
BEGIN
	IF p_state = 'done' THEN
		UPDATE theazo_data.effect_payload x SET result = p_result
		 WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
		RETURN;
	ELSIF p_state = 'cancelled' THEN
		RETURN;
	END IF;
	UPDATE theazo_data.webhook t
	   SET failures = t.failures + 1, last_error = v_why, failed_at = p_finished, status = CASE WHEN v_gone THEN 'disabled' ELSE t.status END,
		   disabled_at = CASE WHEN v_gone THEN coalesce(t.disabled_at, p_finished) ELSE t.disabled_at END
	 WHERE t.platform_id = e.platform_id AND t.id = substr(e.provider_name, 9)
	RETURNING t.* INTO w;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.event_write(e.platform_id, 'network', CASE WHEN v_gone THEN 'webhook_disabled' ELSE 'webhook_given_up' END,
		jsonb_build_object('webhook', w.id, 'host', theazo_internal.url_host(w.url), 'attempts', e.attempt, 'reason', v_why),
		NULL, NULL, NULL, w.environment);
	IF v_gone THEN
		-- what else waits for it would be refused as well
		UPDATE theazo_data.effect x
		   SET state = 'cancelled', finished_at = p_finished, error_code = 'cancelled', error_message = 'the webhook was disabled'
		 WHERE x.platform_id = e.platform_id AND x.kind = 'webhook.deliver' AND x.provider_name = e.provider_name AND x.state = 'queued';
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.notice_settle(theazo_data.effect, text, jsonb, timestamptz) IS
'the end of a delivery that took more than one attempt: counted, and the webhook disabled where its receiver said 410';

CREATE OR REPLACE VIEW theazo.webhook_deliveries WITH (security_barrier) AS
SELECT e.id, w.id AS webhook_id, w.environment, p.request ->> 'id' AS event_id, p.request ->> 'type' AS event,
	   CASE e.state WHEN 'done' THEN 'delivered' WHEN 'queued' THEN 'waiting' WHEN 'claimed' THEN 'sending' WHEN 'sent' THEN 'sending'
					WHEN 'unknown' THEN 'failed' ELSE e.state END AS status,
	   e.attempt AS attempts, CASE WHEN e.state = 'queued' THEN e.due_at END AS next_attempt_at, e.error_message AS last_error,
	   (p.result ->> 'status')::integer AS http_status, theazo_internal.id_time(e.id) AS created_at, e.finished_at
  FROM theazo_data.webhook w
  JOIN theazo_data.effect e ON e.platform_id = w.platform_id AND e.kind = 'webhook.deliver' AND e.provider_name = 'webhook.' || w.id
  LEFT JOIN theazo_data.effect_payload p ON p.platform_id = e.platform_id AND p.root_id = e.root_id AND p.id = e.id
 WHERE (SELECT theazo_internal.may_read('webhook:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.webhook_deliveries IS 'deliveries to the platform''s webhooks, and when one that failed is tried again';

-- ---------------------------------------------------------------------------------------
-- where to

CREATE OR REPLACE FUNCTION theazo_internal.webhook_row(p_id text)
RETURNS theazo.webhooks LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.webhooks;
BEGIN
	SELECT * INTO result FROM theazo.webhooks w WHERE w.platform_id = theazo_internal.current_platform() AND w.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('webhook', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_row(text) IS 'a webhook as the caller may see it, or 42704';

-- Where machines ask who they are. No delivery would be sent there (src/lib/netpolicy.c); who tries is told at once, on every platform.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_host_check(p_host text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_host	text := pg_catalog.btrim(theazo_internal.host_clean(p_host), '[]');
	v_ip	inet;
BEGIN
	BEGIN
		v_ip := v_host::inet;
	EXCEPTION WHEN invalid_text_representation THEN
		v_ip := NULL;
	END;
	IF v_ip OPERATOR(pg_catalog.<<=) ANY ('{169.254.0.0/16,100.100.100.200/32,168.63.129.16/32,192.0.0.192/32,fe80::/10,fd00:ec2::/32,fd20:ce::/32,::ffff:169.254.0.0/112,::169.254.0.0/112,64:ff9b::169.254.0.0/112}'::inet[])
		OR v_host IN ('metadata', 'instance-data') OR v_host OPERATOR(pg_catalog.~) '(^|[.])metadata[.](google[.]internal|goog)$' THEN
		PERFORM theazo_internal.raise_value('url', 'names a link-local or metadata address', 'Give a host that others can reach.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_host_check(text) IS '22023 for a link-local address or one of a cloud''s metadata service, however it is spelled';

CREATE OR REPLACE FUNCTION theazo.webhook_create(url text, events text[], api_key text DEFAULT NULL)
RETURNS theazo.webhooks LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_here		text;
	v_env		text;
	v_event		text;
	v_secret	text;
	v_id		text := theazo_internal.id_new('wh');
	result		theazo.webhooks;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:write');
	PERFORM theazo_internal.flow_clean('a webhook');
	PERFORM theazo_internal.refuse_narrowed('a webhook');
	v_here := theazo_internal.current_platform();
	v_env := theazo_internal.current_environment();
	url := theazo_internal.handler_check(url);
	PERFORM theazo_internal.webhook_host_check(theazo_internal.url_host(url));
	IF events IS NULL OR cardinality(events) NOT BETWEEN 1 AND 100 THEN
		PERFORM theazo_internal.raise_value('events', 'must name 1 to 100 events', 'Use {*} for all of them.');
	END IF;
	FOREACH v_event IN ARRAY events LOOP
		IF v_event IS NULL OR v_event <> '*' AND NOT v_event = ANY (theazo_internal.webhook_events()) THEN
			PERFORM theazo_internal.raise_value('events', format('has no event %s', theazo_internal.quoted(v_event)),
				'Known events: *, ' || array_to_string(theazo_internal.webhook_events(), ', ') || '.');
		END IF;
	END LOOP;
	IF (SELECT count(*) FROM theazo_data.webhook w WHERE w.platform_id = v_here) >= 100 THEN
		PERFORM theazo_internal.raise_ceiling('webhooks', 100, 'Delete those that are not used.');
	END IF;
	-- 32 bytes behind whsec_, as stock libraries of Standard Webhooks take it
	v_secret := 'whsec_' || encode(theazo_internal.random_bytes(32), 'base64');
	PERFORM theazo_internal.secret_set_row(v_here, '', 'webhook.' || v_id, v_secret, 'env', '{}', NULL, NULL);
	INSERT INTO theazo_data.webhook (platform_id, id, environment, url, events, secret_ref, secret_hint)
	VALUES (v_here, v_id, v_env, webhook_create.url, ARRAY(SELECT DISTINCT e COLLATE "C" FROM unnest(webhook_create.events) e ORDER BY 1),
			'webhook.' || v_id, left(v_secret, 10) || '…');
	PERFORM theazo_internal.event_write(v_here, 'control', 'webhook_created',
		jsonb_build_object('webhook', v_id, 'host', theazo_internal.url_host(webhook_create.url), 'events', (SELECT to_jsonb(w.events) FROM theazo_data.webhook w WHERE w.platform_id = v_here AND w.id = v_id)), NULL, NULL, NULL, v_env);
	result := theazo_internal.webhook_row(v_id);
	result.secret := v_secret;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.webhook_create(text, text[], text) IS
'has a server told of events of the caller''s environment; its signing secret is shown once, here';

CREATE OR REPLACE FUNCTION theazo.webhook_get(webhook text, api_key text DEFAULT NULL)
RETURNS theazo.webhooks LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:read');
	PERFORM theazo_internal.refuse_narrowed('a webhook');
	RETURN theazo_internal.webhook_row(webhook);
END $$;
COMMENT ON FUNCTION theazo.webhook_get(text, text) IS 'one webhook; of its secret the beginning';

CREATE OR REPLACE FUNCTION theazo.webhook_list(api_key text DEFAULT NULL)
RETURNS SETOF theazo.webhooks LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:read');
	PERFORM theazo_internal.refuse_narrowed('the list of webhooks');
	RETURN QUERY SELECT w.* FROM theazo.webhooks w WHERE w.platform_id = theazo_internal.current_platform() ORDER BY w.id DESC;
END $$;
COMMENT ON FUNCTION theazo.webhook_list(text) IS 'the platform''s webhooks, newest first';

CREATE OR REPLACE FUNCTION theazo.webhook_delete(webhook text, api_key text DEFAULT NULL)
RETURNS theazo.webhooks LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_here	text;
	was		theazo_data.webhook;
	result	theazo.webhooks;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:write');
	PERFORM theazo_internal.refuse_narrowed('a webhook');
	v_here := theazo_internal.current_platform();
	SELECT * INTO was FROM theazo_data.webhook w WHERE w.platform_id = v_here AND w.id = webhook_delete.webhook FOR UPDATE;
	result := theazo_internal.webhook_row(webhook_delete.webhook);
	DELETE FROM theazo_data.webhook w WHERE w.platform_id = v_here AND w.id = was.id;
	IF EXISTS (SELECT FROM theazo_data.secret s WHERE s.platform_id = v_here AND s.session_id = '' AND s.name = was.secret_ref) THEN
		PERFORM theazo_internal.secret_drop(v_here, '', was.secret_ref, true);
	END IF;
	PERFORM theazo_internal.event_write(v_here, 'control', 'webhook_deleted',
		jsonb_build_object('webhook', was.id, 'host', theazo_internal.url_host(was.url)), NULL, NULL, NULL, was.environment);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.webhook_delete(text, text) IS 'deletes a webhook; what was not delivered yet is dropped';

-- Once: whoever tests wants to know whether it works now.
CREATE OR REPLACE FUNCTION theazo.webhook_test(webhook text, api_key text DEFAULT NULL)
RETURNS theazo.webhook_deliveries LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	w		theazo.webhooks;
	v_id	text := theazo_internal.id_new('evt');
	v_sent	text;
	result	theazo.webhook_deliveries;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:write');
	PERFORM theazo_internal.refuse_narrowed('a webhook');
	w := theazo_internal.webhook_row(webhook_test.webhook);
	IF w.status <> 'active' THEN
		PERFORM theazo_internal.raise_state('webhook', w.id, w.status, 'test', 'Its receiver said that it is gone; make a new one with theazo.webhook_create().');
	END IF;
	v_sent := theazo_internal.notice_enqueue(w.platform_id, w.id, v_id, 'webhook.test',
		theazo_internal.notice_body(v_id, 'webhook.test', jsonb_build_object('webhookId', w.id)), true);
	PERFORM theazo_internal.event_write(w.platform_id, 'control', 'webhook_tested', jsonb_build_object('webhook', w.id, 'event', v_id),
		NULL, NULL, NULL, w.environment);
	SELECT * INTO STRICT result FROM theazo.webhook_deliveries d WHERE d.id = v_sent;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.webhook_test(text, text) IS
'sends event webhook.test once, after the commit; theazo.webhook_deliveries says what became of it';
