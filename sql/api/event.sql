-- event.sql: writing audit facts, and the view of them.

-- Masks what looks like a key and cuts what is long, so that no event carries a secret or a payload.
CREATE OR REPLACE FUNCTION theazo_internal.text_mask(p_text text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN pg_catalog.regexp_replace(p_text,
		'\m(th_live_|th_test_|tzk_|whsec_|trgsec_|tlsec_|sk-|ghp_|gho_|xox[a-z]-|AKIA)[A-Za-z0-9_-]{6,}|(Bearer\s+)[A-Za-z0-9._~+/=-]{8,}',
		'\1\2***', 'g');
END
$$;
COMMENT ON FUNCTION theazo_internal.text_mask(text) IS 'masks what looks like a key or a token';

-- Masked first: a key that is cut is still most of a key. Of a long text only the beginning is read, and the end of that is
-- never shown, where a key may have been cut too short to be known.
CREATE OR REPLACE FUNCTION theazo_internal.mask_left(p_text text, p_max integer)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN pg_catalog."left"(CASE WHEN pg_catalog.length(p_text) <= p_max + 800 THEN theazo_internal.text_mask(p_text)
		ELSE pg_catalog."left"(theazo_internal.text_mask(pg_catalog."left"(p_text, p_max + 800)), -64) END, p_max);
END
$$;
COMMENT ON FUNCTION theazo_internal.mask_left(text, integer) IS 'the beginning of a text, masked before it is cut';

CREATE OR REPLACE FUNCTION theazo_internal.excerpt(p_text text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN nullif(theazo_internal.mask_left(p_text, 200), '');
END
$$;
COMMENT ON FUNCTION theazo_internal.excerpt(text) IS 'the beginning of a text for the summary of an event, masked; null for nothing';

-- A summary is for people: at most 200 characters a value, 4 KiB in all, secrets masked.
CREATE OR REPLACE FUNCTION theazo_internal.summary_bound(p_summary jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_text	text;
	v_key	text;
	v_value	jsonb;
	v_out	jsonb := '{}';
BEGIN
	IF p_summary IS NULL OR p_summary = '{}' THEN
		RETURN NULL;
	END IF;
	IF jsonb_typeof(p_summary) <> 'object' THEN
		p_summary := jsonb_build_object('text', p_summary);
	END IF;
	v_text := p_summary::text;
	-- The usual case costs two scans of a short text.
	IF octet_length(v_text) > 200 OR v_text ~* 'secret|passw|token|credential|authorization|api_?key|_live_|_test_|tzk_|sec_|sk-|gh[po]_|xox|AKIA|Bearer' THEN
		FOR v_key, v_value IN SELECT e.key, e.value FROM jsonb_each(p_summary) e ORDER BY e.key LIMIT 40
		LOOP
			IF v_key ~* '(secret|password|passwd|token|credential|authorization|api_?key|value)$' THEN
				v_value := '"***"';
			ELSIF jsonb_typeof(v_value) = 'string' THEN
				v_value := to_jsonb(theazo_internal.mask_left(v_value #>> '{}', 200));
			ELSIF jsonb_typeof(v_value) IN ('object', 'array') THEN
				v_text := theazo_internal.text_mask(v_value::text);
				v_value := CASE WHEN octet_length(v_text) <= 200 THEN v_text::jsonb ELSE to_jsonb(left(v_text, 200)) END;
			END IF;
			v_out := v_out || jsonb_build_object(left(v_key, 64), v_value);
		END LOOP;
		IF octet_length(v_out::text) > 4096 THEN
			v_out := jsonb_build_object('text', left(v_out::text, 1000), 'truncated', true);
		END IF;
		RETURN v_out;
	END IF;
	RETURN p_summary;
END
$$;
COMMENT ON FUNCTION theazo_internal.summary_bound(jsonb) IS 'bounds and masks the summary of an event';

-- The one way to write an event. It inserts without a statement and asks no privilege: only the owners
-- may call it, and the table itself takes rows from theazo_guard alone.
CREATE OR REPLACE FUNCTION theazo_internal.event_write(
	p_platform text, p_category text, p_action text, p_summary jsonb,
	p_session text, p_agent text, p_run text, p_environment text,
	p_decision text DEFAULT NULL, p_rule text DEFAULT NULL, p_is_violation boolean DEFAULT false, p_permission text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_event_write';
COMMENT ON FUNCTION theazo_internal.event_write(text, text, text, jsonb, text, text, text, text, text, text, boolean, text) IS
'writes one audit event in the current transaction and returns its id';

-- What is refused ends in an error, which takes back what the caller wrote: so the event goes to the keeper through shared
-- memory. Null platform, session or environment: the caller's, or the operator's for one who is not known.
CREATE OR REPLACE FUNCTION theazo_internal.event_refused(
	p_platform text, p_category text, p_action text, p_summary jsonb,
	p_session text DEFAULT NULL, p_agent text DEFAULT NULL, p_run text DEFAULT NULL, p_environment text DEFAULT NULL,
	p_decision text DEFAULT 'deny', p_rule text DEFAULT NULL, p_is_violation boolean DEFAULT false, p_permission text DEFAULT NULL)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_event_refused';
COMMENT ON FUNCTION theazo_internal.event_refused(text, text, text, jsonb, text, text, text, text, text, text, boolean, text) IS
'records a refusal so that it stays although the caller''s transaction fails; waits a moment for the keeper''s commit';

-- A function that a model called reads a view in which the words of any run may stand. p_user: whoever reads; inside the public functions it is their
-- owner, and they have said which run it is (flow_look).
CREATE OR REPLACE FUNCTION theazo_internal.flow_open(p_user name)
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here text := theazo_internal.current_platform();
BEGIN
	IF p_user IN ('theazo_owner', 'theazo_system') THEN
		RETURN true;
	END IF;
	PERFORM theazo_internal.flow_act('run.read');
	IF theazo_internal.flow_known(v_here) THEN
		PERFORM theazo_internal.flow_note((SELECT coalesce(array_agg(DISTINCT s.label), '{}') FROM theazo_data.flow_label s WHERE s.platform_id = v_here));
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.flow_open(name) IS 'a function that a model called reads what all runs have said: it carries every label of the platform';

CREATE OR REPLACE VIEW theazo.events WITH (security_barrier) AS
	SELECT e.id, e.occurred_at, e.environment, e.session_id, e.agent_id, e.run_id, e.actor_kind, e.actor_id,
		   e.category, e.action, e.decision, e.rule, e.is_violation,
		   CASE WHEN e.personal IS NULL THEN convert_from(e.body, 'UTF8')::jsonb -> 'summary'
				ELSE coalesce(convert_from(e.body, 'UTF8')::jsonb -> 'summary', '{}')
					 || theazo_internal.event_personal(e.platform_id, e.id, e.personal, e.personal_sealed) END AS summary, e.number, e.request_id, e.permission_state
	  FROM theazo_data.event e
	 WHERE (SELECT theazo_internal.may_read('event:read'))
	   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(NULL) END);
COMMENT ON VIEW theazo.events IS 'audit events of the platform';
