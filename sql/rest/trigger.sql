-- trigger.sql: triggers as REST shows them, and the address that others call.

CREATE OR REPLACE FUNCTION theazo_internal.rest_origin()
RETURNS text LANGUAGE sql STABLE
RETURN pg_catalog.rtrim(coalesce(nullif(pg_catalog.current_setting('theazo.public_url', true), ''), 'http://localhost'), '/');
COMMENT ON FUNCTION theazo_internal.rest_origin() IS 'what stands in front of the paths of this server where an answer shows a URL';

CREATE OR REPLACE FUNCTION theazo_internal.rest_trigger(t theazo.triggers)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object(
	'id', t.id, 'name', t.name, 'url', theazo_internal.rest_origin() || '/triggers/' || t.id, 'secret', t.secret, 'agent', t.agent, 'userId', t.user_id,
	'createdAt', theazo_internal.rest_at(t.created_at), 'lastFiredAt', theazo_internal.rest_at(t.last_fired_at));
COMMENT ON FUNCTION theazo_internal.rest_trigger(theazo.triggers) IS 'a Trigger';

CREATE OR REPLACE FUNCTION theazo_internal.rest_trigger_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.rest_one_of(a, 'type', true, 'webhook');
	RETURN theazo_internal.rest_trigger(theazo.trigger_create(
		theazo_internal.rest_text(a, 'name', true, 200), theazo_internal.rest_text(a, 'agent', true, 200), theazo_internal.rest_text(a, 'userId', true, 256)));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_trigger_create(jsonb) IS 'POST /v1/triggers';

CREATE OR REPLACE FUNCTION theazo_internal.rest_trigger_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_trigger(t) ORDER BY t.id DESC), '[]') FROM theazo.trigger_list(1000) t);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_trigger_list(jsonb) IS 'GET /v1/triggers';

CREATE OR REPLACE FUNCTION theazo_internal.rest_trigger_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.trigger_delete(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_trigger_delete(jsonb) IS 'DELETE /v1/triggers/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_trigger_history(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_fire(e) ORDER BY e.id DESC), '[]') FROM theazo.trigger_history(a ->> 'id', 1000) e);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_trigger_history(jsonb) IS 'GET /v1/triggers/:id/history';

CREATE OR REPLACE FUNCTION theazo_internal.rest_trigger_fire(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object('executionId', theazo.trigger_fire(a ->> 'id', coalesce(a ->> '$raw', ''), a -> '$headers' ->> 'x-trigger-signature'),
		'status', 'accepted');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_trigger_fire(jsonb) IS 'POST /triggers/:id';
