-- webhook.sql: webhooks as REST shows them.

CREATE OR REPLACE FUNCTION theazo_internal.rest_webhook(w theazo.webhooks)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('id', w.id, 'url', w.url, 'secret', w.secret, 'events', pg_catalog.to_jsonb(w.events),
	'createdAt', theazo_internal.rest_at(w.created_at));
COMMENT ON FUNCTION theazo_internal.rest_webhook(theazo.webhooks) IS
'a Webhook';

CREATE OR REPLACE FUNCTION theazo_internal.rest_webhook_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_webhook(theazo.webhook_create(
		theazo_internal.rest_text(a, 'url', true, 2048), theazo_internal.rest_texts(a, 'events', true, 100)));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_webhook_create(jsonb) IS
'POST /v1/webhooks';

CREATE OR REPLACE FUNCTION theazo_internal.rest_webhook_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_webhook(w) ORDER BY w.id DESC), '[]') FROM theazo.webhook_list() w);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_webhook_list(jsonb) IS
'GET /v1/webhooks';

CREATE OR REPLACE FUNCTION theazo_internal.rest_webhook_test(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	d theazo.webhook_deliveries := theazo.webhook_test(a ->> 'id');
BEGIN
	RETURN theazo_internal.rest_wait(d.event_id, 'webhook_tested', pg_catalog.jsonb_build_object('id', a -> 'id', 'delivery', d.id));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_webhook_test(jsonb) IS
'POST /v1/webhooks/:id/test';

CREATE OR REPLACE FUNCTION theazo_internal.rest_webhook_tested(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	d theazo.webhook_deliveries;
BEGIN
	-- deleted meanwhile, it is a webhook that does not exist
	PERFORM theazo.webhook_get(a ->> 'id');
	SELECT * INTO STRICT d FROM theazo.webhook_deliveries x WHERE x.webhook_id = a ->> 'id' AND x.id = a ->> 'delivery';
	IF d.status IN ('waiting', 'sending') THEN
		RETURN theazo_internal.rest_wait(d.event_id, 'webhook_tested', a);
	ELSIF d.status <> 'delivered' THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ401', MESSAGE = coalesce(d.last_error, 'the delivery is ' || d.status),
			DETAIL = pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('provider', 'webhook', 'status', d.http_status))::text,
			HINT = 'What it answered is in the history of the delivery.';
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_webhook_tested(jsonb) IS
'nothing once the receiver of a test has answered 2xx, 502 for anything else';

CREATE OR REPLACE FUNCTION theazo_internal.rest_webhook_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.webhook_delete(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_webhook_delete(jsonb) IS
'DELETE /v1/webhooks/:id';
