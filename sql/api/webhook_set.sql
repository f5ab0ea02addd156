-- webhook_set.sql: where a platform wants to be told, and with which key. What is told is webhook_event.sql, how it gets there
-- webhook_out.sql.

CREATE OR REPLACE VIEW theazo.webhooks WITH (security_barrier) AS
SELECT w.platform_id, w.id, w.environment, w.url, w.events, w.secret_hint AS secret, w.status, w.max_in_flight, w.failures, w.last_error,
	   w.failed_at, w.failing_since, w.created_at, w.disabled_at, w.disabled_reason, w.previous_until
  FROM theazo_data.webhook w
 WHERE (SELECT theazo_internal.may_read('webhook:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.webhooks IS
'where the platform is told of events; secret is shown whole once, by theazo.webhook_create(), later only its beginning';

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
		RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'url names a link-local or metadata address', COLUMN = 'url',
			DETAIL = '{"reason": "egress_denied"}', HINT = 'Give a host that others can reach.';
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_host_check(text) IS '22023 for a link-local address or one of a cloud''s metadata service, however it is spelled';

CREATE OR REPLACE FUNCTION theazo_internal.webhook_url_check(p_url text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_url	text := theazo_internal.handler_check(p_url);
BEGIN
	PERFORM theazo_internal.webhook_host_check(theazo_internal.url_host(v_url));
	RETURN v_url;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_url_check(text) IS 'an address that can be told things: https, or http where the operator allows it, and not link-local';

-- Sorted, each once.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_events_check(p_events text[])
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_event	text;
BEGIN
	IF p_events IS NULL OR pg_catalog.cardinality(p_events) NOT BETWEEN 1 AND 100 THEN
		PERFORM theazo_internal.raise_value('events', 'must name 1 to 100 events', 'Use {*} for all of them.');
	END IF;
	FOREACH v_event IN ARRAY p_events LOOP
		IF v_event IS NULL OR v_event <> '*' AND NOT v_event = ANY (theazo_internal.webhook_events()) THEN
			PERFORM theazo_internal.raise_value('events', pg_catalog.format('has no event %s', theazo_internal.quoted(v_event)),
				'Known events: *, ' || pg_catalog.array_to_string(theazo_internal.webhook_events(), ', ') || '.');
		END IF;
	END LOOP;
	RETURN ARRAY(SELECT DISTINCT e COLLATE "C" FROM pg_catalog.unnest(p_events) e ORDER BY 1);
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_events_check(text[]) IS 'names of events a webhook asks for, or 22023';

-- 32 bytes behind whsec_, as stock libraries of Standard Webhooks take it. Returns the key; its name has a number behind it from the
-- second one on, as both sign for a while.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_secret_make(p_platform text, p_ref text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_secret	text := 'whsec_' || pg_catalog.encode(theazo_internal.random_bytes(32), 'base64');
BEGIN
	PERFORM theazo_internal.secret_set_row(p_platform, '', p_ref, v_secret, 'env', '{}', NULL, NULL);
	RETURN v_secret;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_secret_make(text, text) IS 'makes a signing key, stores it in the vault and returns it';

CREATE OR REPLACE FUNCTION theazo_internal.webhook_secret_drop(p_platform text, p_ref text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM theazo_data.secret s WHERE s.platform_id = p_platform AND s.session_id = '' AND s.name = p_ref) THEN
		PERFORM theazo_internal.secret_drop(p_platform, '', p_ref, true);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_secret_drop(text, text) IS 'takes a signing key out of the vault';

CREATE OR REPLACE FUNCTION theazo_internal.webhook_lock(p_id text)
RETURNS theazo_data.webhook LANGUAGE plpgsql AS $$
DECLARE
	result theazo_data.webhook;
BEGIN
	SELECT * INTO result FROM theazo_data.webhook w
	 WHERE w.platform_id = theazo_internal.current_platform() AND w.id = p_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('webhook', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.webhook_lock(text) IS 'a webhook of the caller, locked for change';

CREATE OR REPLACE FUNCTION theazo.webhook_create(url text, events text[], api_key text DEFAULT NULL)
RETURNS theazo.webhooks LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_here		text;
	v_env		text;
	v_secret	text;
	v_id		text := theazo_internal.id_new('wh');
	result		theazo.webhooks;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:write');
	PERFORM theazo_internal.flow_clean('a webhook');
	PERFORM theazo_internal.refuse_narrowed('a webhook');
	v_here := theazo_internal.current_platform();
	v_env := theazo_internal.current_environment();
	url := theazo_internal.webhook_url_check(url);
	events := theazo_internal.webhook_events_check(events);
	IF (SELECT count(*) FROM theazo_data.webhook w WHERE w.platform_id = v_here) >= 100 THEN
		PERFORM theazo_internal.raise_ceiling('webhooks', 100, 'Delete those that are not used.');
	END IF;
	v_secret := theazo_internal.webhook_secret_make(v_here, 'webhook.' || v_id);
	INSERT INTO theazo_data.webhook (platform_id, id, environment, url, events, secret_ref, secret_hint)
	VALUES (v_here, v_id, v_env, webhook_create.url, webhook_create.events, 'webhook.' || v_id, left(v_secret, 10) || '…');
	PERFORM theazo_internal.event_write(v_here, 'control', 'webhook_created',
		jsonb_build_object('webhook', v_id, 'host', theazo_internal.url_host(webhook_create.url), 'events', webhook_create.events), NULL, NULL, NULL, v_env);
	result := theazo_internal.webhook_row(v_id);
	result.secret := v_secret;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.webhook_create(text, text[], text) IS
'has a server told of events of the caller''s environment; its signing secret is shown once, here';

-- Null leaves a thing as it is.
CREATE OR REPLACE FUNCTION theazo.webhook_update(webhook text, url text DEFAULT NULL, events text[] DEFAULT NULL, active boolean DEFAULT NULL,
	max_in_flight integer DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.webhooks LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was	theazo_data.webhook;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:write');
	PERFORM theazo_internal.flow_clean('a webhook');
	PERFORM theazo_internal.refuse_narrowed('a webhook');
	was := theazo_internal.webhook_lock(webhook_update.webhook);
	url := CASE WHEN url IS NOT NULL THEN theazo_internal.webhook_url_check(url) ELSE was.url END;
	events := CASE WHEN events IS NOT NULL THEN theazo_internal.webhook_events_check(events) ELSE was.events END;
	IF max_in_flight NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_in_flight', 'must be from 1 to 1000');
	END IF;
	IF NOT active AND was.status = 'active' THEN
		PERFORM theazo_internal.webhook_disable(was, 'user');
	END IF;
	UPDATE theazo_data.webhook w
	   SET url = webhook_update.url, events = webhook_update.events, max_in_flight = coalesce(webhook_update.max_in_flight, w.max_in_flight),
		   status = CASE WHEN active THEN 'active' ELSE w.status END,
		   disabled_at = CASE WHEN active THEN NULL ELSE w.disabled_at END, disabled_reason = CASE WHEN active THEN NULL ELSE w.disabled_reason END,
		   failing_since = CASE WHEN active AND was.status = 'disabled' OR webhook_update.url <> w.url THEN NULL ELSE w.failing_since END
	 WHERE w.platform_id = was.platform_id AND w.id = was.id;
	PERFORM theazo_internal.event_write(was.platform_id, 'control', 'webhook_updated', jsonb_strip_nulls(jsonb_build_object('webhook', was.id,
		'host', CASE WHEN url <> was.url THEN theazo_internal.url_host(url) END, 'events', CASE WHEN events <> was.events THEN to_jsonb(events) END,
		'active', active, 'maxInFlight', max_in_flight)), NULL, NULL, NULL, was.environment);
	-- what waits may have a place now
	PERFORM theazo_internal.webhook_freed();
	RETURN theazo_internal.webhook_row(was.id);
END $$;
COMMENT ON FUNCTION theazo.webhook_update(text, text, text[], boolean, integer, text) IS
'changes where a webhook is, what it hears, how many deliveries it gets at once, or switches it off and on; what waits when it is switched off is dropped';

CREATE OR REPLACE FUNCTION theazo.webhook_rotate(webhook text, overlap interval DEFAULT '24 hours', api_key text DEFAULT NULL)
RETURNS theazo.webhooks LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was			theazo_data.webhook;
	v_ref		text;
	v_secret	text;
	result		theazo.webhooks;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:write');
	PERFORM theazo_internal.refuse_narrowed('a webhook');
	IF overlap IS NULL OR overlap < '0'::interval OR overlap > '30 days'::interval THEN
		PERFORM theazo_internal.raise_value('overlap', 'must be from 0 to 30 days', 'For so long both keys sign.');
	END IF;
	was := theazo_internal.webhook_lock(webhook_rotate.webhook);
	IF was.previous_ref IS NOT NULL THEN
		PERFORM theazo_internal.webhook_secret_drop(was.platform_id, was.previous_ref);
	END IF;
	v_ref := format('webhook.%s.%s', was.id, 1 + coalesce(substring(was.secret_ref FROM '\.(\d+)$')::bigint, 1));
	v_secret := theazo_internal.webhook_secret_make(was.platform_id, v_ref);
	UPDATE theazo_data.webhook w
	   SET secret_ref = v_ref, secret_hint = left(v_secret, 10) || '…', previous_ref = was.secret_ref, previous_until = clock_timestamp() + overlap
	 WHERE w.platform_id = was.platform_id AND w.id = was.id;
	PERFORM theazo_internal.event_write(was.platform_id, 'control', 'webhook_rotated',
		jsonb_build_object('webhook', was.id, 'overlapSeconds', extract(epoch FROM overlap)::bigint), NULL, NULL, NULL, was.environment);
	result := theazo_internal.webhook_row(was.id);
	result.secret := v_secret;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.webhook_rotate(text, interval, text) IS
'gives a webhook another signing secret, shown once, here; for a while webhook-signature has one by each';

-- An hour later nothing is on its way any more that would be signed by it.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_webhooks()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	w	theazo_data.webhook;
	n	integer := 0;
BEGIN
	FOR w IN SELECT * FROM theazo_data.webhook x WHERE x.previous_until < clock_timestamp() - '1 hour'::interval
			  ORDER BY x.platform_id, x.id LIMIT 1000 FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM theazo_internal.webhook_secret_drop(w.platform_id, w.previous_ref);
		UPDATE theazo_data.webhook x SET previous_ref = NULL, previous_until = NULL WHERE x.platform_id = w.platform_id AND x.id = w.id;
		n := n + 1;
	END LOOP;
	RETURN n;
END $$;
COMMENT ON FUNCTION theazo_internal.keeper_webhooks() IS 'keeper: takes signing keys of webhooks out of the vault that were replaced and sign no more';

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
	PERFORM theazo_internal.webhook_secret_drop(v_here, was.secret_ref);
	IF was.previous_ref IS NOT NULL THEN
		PERFORM theazo_internal.webhook_secret_drop(v_here, was.previous_ref);
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
		PERFORM theazo_internal.raise_state('webhook', w.id, w.status, 'test', 'Switch it on with theazo.webhook_update(active => true).');
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

-- ---------------------------------------------------------------------------------------
-- deliveries

CREATE OR REPLACE FUNCTION theazo.webhook_delivery_list(webhook text DEFAULT NULL, status text DEFAULT NULL, max_rows integer DEFAULT 100,
	before text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.webhook_deliveries LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:read');
	PERFORM theazo_internal.refuse_narrowed('the list of deliveries');
	IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	END IF;
	IF webhook_delivery_list.webhook IS NOT NULL THEN
		PERFORM theazo_internal.webhook_row(webhook_delivery_list.webhook);
	END IF;
	RETURN QUERY SELECT d.* FROM theazo.webhook_deliveries d
	 WHERE (webhook_delivery_list.webhook IS NULL OR d.webhook_id = webhook_delivery_list.webhook)
	   AND (webhook_delivery_list.status IS NULL OR d.status = webhook_delivery_list.status)
	   AND (before IS NULL OR d.id < before)
	 ORDER BY d.id DESC LIMIT max_rows;
END $$;
COMMENT ON FUNCTION theazo.webhook_delivery_list(text, text, integer, text, text) IS
'deliveries, newest first; before is the last id of the page before';

-- With the same body and event: a receiver that has had it knows it by its id.
CREATE OR REPLACE FUNCTION theazo.webhook_redeliver(delivery text, api_key text DEFAULT NULL)
RETURNS theazo.webhook_deliveries LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d		theazo.webhook_deliveries;
	w		theazo.webhooks;
	v_body	bytea;
	v_sent	text;
	result	theazo.webhook_deliveries;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'webhook:write');
	PERFORM theazo_internal.refuse_narrowed('a webhook');
	SELECT * INTO d FROM theazo.webhook_deliveries x WHERE x.id = webhook_redeliver.delivery;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('delivery', webhook_redeliver.delivery);
	ELSIF d.status NOT IN ('delivered', 'failed', 'cancelled') THEN
		PERFORM theazo_internal.raise_state('delivery', d.id, d.status, 'redeliver', 'It is still under way.');
	END IF;
	w := theazo_internal.webhook_row(d.webhook_id);
	IF w.status <> 'active' THEN
		PERFORM theazo_internal.raise_state('webhook', w.id, w.status, 'redeliver', 'Switch it on with theazo.webhook_update(active => true).');
	END IF;
	SELECT p.content INTO v_body FROM theazo_data.effect_payload p
	 WHERE p.platform_id = w.platform_id AND p.root_id = theazo_internal.id_root(d.event_id) AND p.id = d.id;
	v_sent := theazo_internal.notice_enqueue(w.platform_id, w.id, d.event_id, d.event, v_body, NULL);
	PERFORM theazo_internal.event_write(w.platform_id, 'control', 'webhook_redelivered', jsonb_build_object('webhook', w.id, 'event', d.event_id),
		NULL, NULL, NULL, w.environment);
	SELECT * INTO STRICT result FROM theazo.webhook_deliveries x WHERE x.id = v_sent;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.webhook_redeliver(text, text) IS 'sends a delivery that has ended once more, with the same event and body and all its attempts';
