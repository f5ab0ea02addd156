-- guardrail.sql: the platform's guardrails, and what they stopped.

-- The members' own form is looked at here, so that errors name them as the request does.
CREATE OR REPLACE FUNCTION theazo_internal.rest_guardrails_set(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	-- null has a meaning for those that can be null; for the others it says nothing
	v_config	jsonb := theazo_internal.rest_pick(a, 'contentFilter', 'blockPII', 'promptInjection', 'allowedDomains', 'blockedDomains', 'maxOutputTokens', 'maxToolCalls');
	k			text;
	v_column	text;
	v_message	text;
	v_hint		text;
BEGIN
	FOREACH k IN ARRAY ARRAY['contentFilter', 'blockPII', 'promptInjection', 'blockedDomains'] LOOP
		v_config := CASE WHEN v_config -> k = 'null' THEN v_config - k ELSE v_config END;
	END LOOP;
	RETURN theazo.guardrails_set(v_config);
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS v_column = COLUMN_NAME, v_message = MESSAGE_TEXT, v_hint = PG_EXCEPTION_HINT;
	v_column := pg_catalog.regexp_replace(v_column, '^config\.', '');
	RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = pg_catalog.regexp_replace(v_message, '^config\.', ''),
		COLUMN = v_column, HINT = pg_catalog.replace(v_hint, 'config.', '');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_guardrails_set(jsonb) IS
'PUT /v1/guardrails; what is left out keeps its value';

CREATE OR REPLACE FUNCTION theazo_internal.rest_guardrails_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo.guardrails_get();
END $$;
COMMENT ON FUNCTION theazo_internal.rest_guardrails_get(jsonb) IS
'GET /v1/guardrails';

-- Other bounds that agents hit are in the audit trail; here are those that guardrails set.
CREATE OR REPLACE FUNCTION theazo_internal.rest_guardrail_violations(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	n		integer := theazo_internal.rest_limit(a);
	after	text := theazo_internal.rest_after(a, 'violations');
	since	timestamptz := theazo_internal.rest_since(theazo_internal.rest_period(a));
	types	CONSTANT text[] := '{pii,prompt_injection,content_filter,domain_blocked,max_output_tokens,max_tool_calls}';
	v_type	text := theazo_internal.rest_one_of(a, 'type', false, VARIADIC types);
	v_agent	text := theazo_internal.rest_text(a, 'agentId');
	rows	jsonb[];
	ids		text[];
BEGIN
	PERFORM theazo_internal.enter(NULL, 'event:read');
	SELECT pg_catalog.array_agg(pg_catalog.jsonb_build_object('id', x.id, 'agentId', coalesce(x.agent_id, ''), 'type', x.type,
				'message', coalesce(x.message, ''), 'timestamp', theazo_internal.rest_at(x.occurred_at)) ORDER BY x.id DESC),
		   pg_catalog.array_agg(x.id ORDER BY x.id DESC) INTO rows, ids
	  FROM (SELECT v.id COLLATE "C" AS id, v.agent_id, v.type, v.message, v.occurred_at FROM theazo.guardrail_violations v
			 WHERE v.occurred_at >= since AND v.type = ANY (types) AND (v_type IS NULL OR v.type = v_type)
			   AND (v_agent IS NULL OR v.agent_id = v_agent) AND (after IS NULL OR v.id COLLATE "C" < after)
			 ORDER BY 1 DESC LIMIT n + 1) x;
	RETURN theazo_internal.rest_page('violations', n, rows, ids);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_guardrail_violations(jsonb) IS
'GET /v1/guardrails/violations';
