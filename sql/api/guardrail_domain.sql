-- guardrail_domain.sql: hosts that guardrails allow: where requests go, and where what a search finds is from.

CREATE OR REPLACE FUNCTION theazo_internal.domains_check(p_field text, p_value jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	v_name	text;
	v_host	text;
	v_names	text[] := theazo_internal.names_check(p_field, p_value, 200, 253);
	v_out	jsonb := '[]';
BEGIN
	FOREACH v_name IN ARRAY v_names
	LOOP
		v_name := pg_catalog.rtrim(pg_catalog.lower(v_name), '.');
		-- an address in whatever form is kept as the address it is
		v_host := theazo_internal.host_clean(v_name);
		IF NOT v_name OPERATOR(pg_catalog.~) '^([a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]|[0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*)$'
			OR v_name LIKE '%..%' OR v_host IS NULL THEN
			PERFORM theazo_internal.raise_value(p_field, pg_catalog.format('has no domain in %s', theazo_internal.quoted(v_name)),
				'Give names such as example.com; each covers its subdomains.');
		END IF;
		v_out := v_out || pg_catalog.to_jsonb(v_host);
	END LOOP;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.domains_check(text, jsonb) IS 'a list of domains in lower case, or 22023';

-- A domain covers its subdomains. What is blocked is blocked, also where it is allowed.
CREATE OR REPLACE FUNCTION theazo_internal.domain_listed(p_host text, p_list jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
	SELECT coalesce(pg_catalog.bool_or(theazo_internal.host_covers(d.name, theazo_internal.host_clean(p_host))), false)
	  FROM pg_catalog.jsonb_array_elements_text(p_list) AS d (name)
$$;
COMMENT ON FUNCTION theazo_internal.domain_listed(text, jsonb) IS 'is a host, or a domain it belongs to, in a list';

-- By the one spelling of a host: 127.1 is 127.0.0.1. What cannot be read as a host is in no list that allows and in each that blocks.
CREATE OR REPLACE FUNCTION theazo_internal.domain_passes(p_host text, p_guard jsonb)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	v_host	text := theazo_internal.host_clean(p_host);
BEGIN
	IF coalesce(p_guard -> 'blockedDomains', '[]') = '[]' AND coalesce(p_guard -> 'allowedDomains', 'null') = 'null' THEN
		RETURN true;
	END IF;
	RETURN v_host IS NOT NULL AND NOT theazo_internal.domain_listed(v_host, p_guard -> 'blockedDomains')
		AND (coalesce(p_guard -> 'allowedDomains', 'null') = 'null' OR theazo_internal.domain_listed(v_host, p_guard -> 'allowedDomains'));
END
$$;
COMMENT ON FUNCTION theazo_internal.domain_passes(text, jsonb) IS 'do guardrails let a request go to a host';

-- A request that is no tool call: in an agent's name, or in the platform's own (a.id null), whose guardrails alone hold then.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_request(a theazo_data.agent, p_host text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_message	text;
BEGIN
	IF p_host IS NULL OR theazo_internal.domain_passes(p_host, theazo_internal.guardrails_of(a)) THEN
		RETURN;
	END IF;
	v_message := pg_catalog.format('the guardrails do not allow the domain %s', pg_catalog."left"(p_host, 253));
	PERFORM theazo_internal.event_refused(a.platform_id, 'safety', 'content_blocked', pg_catalog.jsonb_build_object('code', 'TZ205',
		'type', 'domain_blocked', 'stage', 'arguments', 'message', v_message), a.session_id, a.id, NULL, a.key_environment, 'deny', 'domain_blocked', true);
	RAISE EXCEPTION USING ERRCODE = 'TZ205', MESSAGE = v_message, DETAIL = 'Type: domain_blocked. Rule: domain_blocked.',
		HINT = 'Ask another host, or change allowedDomains and blockedDomains with theazo.guardrails_set().';
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_request(theazo_data.agent, text) IS 'TZ205 for a host that the guardrails of an agent do not allow';

CREATE OR REPLACE FUNCTION theazo_internal.guardrails_domain(r theazo_data.run, p_guard jsonb, p_tool text, p_host text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	v_message	text;
BEGIN
	IF p_host IS NULL OR theazo_internal.domain_passes(p_host, p_guard) THEN
		RETURN NULL;
	END IF;
	v_message := pg_catalog.format('the guardrails do not allow the domain %s', pg_catalog."left"(p_host, 253));
	PERFORM theazo_internal.guardrails_violated(r, 'domain_blocked', p_tool, v_message);
	RETURN 'error: ' || v_message;
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_domain(theazo_data.run, jsonb, text, text) IS 'the error for a host the guardrails do not allow, or null';

-- What a web search found, without what lies at hosts that the guardrails do not allow. What is no list of results cannot be
-- told apart, and is withheld where there are lists of domains. One violation for the whole answer.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_results(r theazo_data.run, p_guard jsonb, p_output text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	v_list	jsonb;
	v_kept	jsonb;
	v_out	text[];
BEGIN
	IF coalesce(p_guard -> 'blockedDomains', '[]') = '[]' AND coalesce(p_guard -> 'allowedDomains', 'null') = 'null' THEN
		RETURN p_output;
	END IF;
	BEGIN
		v_list := p_output::jsonb;
	EXCEPTION WHEN data_exception OR invalid_text_representation OR statement_too_complex THEN
		v_list := NULL;
	END;
	IF pg_catalog.jsonb_typeof(v_list) IS DISTINCT FROM 'array' THEN
		PERFORM theazo_internal.guardrails_violated(r, 'domain_blocked', 'web_search', 'what the search found does not say where it is from');
		RETURN '[withheld: the search does not say where its results are from, and the guardrails list domains]';
	END IF;
	SELECT coalesce(pg_catalog.jsonb_agg(o.x ORDER BY o.ord) FILTER (WHERE o.passes), '[]'),
		   pg_catalog.array_agg(DISTINCT coalesce(o.host, 'an unknown host')) FILTER (WHERE NOT o.passes)
	  INTO v_kept, v_out
	  FROM (SELECT e.x, e.ord, h.host, coalesce(theazo_internal.domain_passes(h.host, p_guard), false) AS passes
			  FROM pg_catalog.jsonb_array_elements(v_list) WITH ORDINALITY AS e (x, ord)
			 CROSS JOIN LATERAL (SELECT theazo_internal.url_host(e.x ->> 'url') AS host) h) o;
	IF v_out IS NULL THEN
		RETURN p_output;
	END IF;
	PERFORM theazo_internal.guardrails_violated(r, 'domain_blocked', 'web_search', pg_catalog."left"(pg_catalog.format(
		'results of the search were left out: the guardrails do not allow %s', pg_catalog.array_to_string(v_out, ', ')), 500));
	RETURN theazo_internal.json_compact(v_kept);
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_results(theazo_data.run, jsonb, text) IS
'the results of a web search that lie at hosts the guardrails allow; the rest is a violation';

-- A workflow's webhooks are held to the platform's lists.
CREATE OR REPLACE FUNCTION theazo_internal.guardrails_webhook(p_platform text, p_environment text, p_host text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	a	theazo_data.agent;
BEGIN
	a.platform_id := p_platform;
	a.key_environment := p_environment;
	a.options := '{}';
	PERFORM theazo_internal.guardrails_request(a, p_host);
END
$$;
COMMENT ON FUNCTION theazo_internal.guardrails_webhook(text, text, text) IS 'TZ205 for a host that the guardrails of a platform do not allow; of no one agent';
