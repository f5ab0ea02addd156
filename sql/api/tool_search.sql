-- tool_search.sql: web_search, through what the operator configured.

-- What is not unreserved in RFC 3986, byte by byte.
CREATE OR REPLACE FUNCTION theazo_internal.url_encode(p_text text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(string_agg(CASE WHEN chr(get_byte(b.bytes, i)) ~ '[A-Za-z0-9._~-]' AND get_byte(b.bytes, i) < 128
									THEN chr(get_byte(b.bytes, i)) ELSE '%' || upper(lpad(to_hex(get_byte(b.bytes, i)), 2, '0')) END, '' ORDER BY i), '')
	  FROM (SELECT convert_to(p_text, 'UTF8') AS bytes) b CROSS JOIN LATERAL generate_series(0, octet_length(b.bytes) - 1) i
$$;
COMMENT ON FUNCTION theazo_internal.url_encode(text) IS 'a text as it stands in the query of a URL';

-- The request of one search: null when the operator configured none.
CREATE OR REPLACE FUNCTION theazo_internal.search_request(p_query text, p_limit integer)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_url		text := nullif(current_setting('theazo.web_search_url', true), '');
	v_header	text := nullif(current_setting('theazo.web_search_header', true), '');
BEGIN
	IF v_url IS NULL THEN
		RETURN NULL;
	ELSIF btrim(coalesce(p_query, '')) = '' OR octet_length(p_query) > 1000 THEN
		PERFORM theazo_internal.raise_value('query', 'must have 1 to 1000 bytes');
	END IF;
	v_url := replace(replace(v_url, '{limit}', least(greatest(p_limit, 1), 20)::text), '{query}', theazo_internal.url_encode(p_query));
	RETURN theazo_internal.fetch_check(v_url, 'GET', jsonb_build_object('Accept', 'application/json')
		|| CASE WHEN v_header IS NULL THEN '{}'
				ELSE jsonb_build_object(btrim(split_part(v_header, ':', 1)), btrim(substr(v_header, strpos(v_header, ':') + 1))) END, NULL)
		|| jsonb_build_object('limit', least(greatest(p_limit, 1), 20));
END
$$;
COMMENT ON FUNCTION theazo_internal.search_request(text, integer) IS
'request document of a web search by theazo.web_search_url; null without one';

-- Through what the operator configured: null when there is nothing.
CREATE OR REPLACE FUNCTION theazo_internal.tool_call_search(l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_query text, p_limit integer)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_request jsonb := theazo_internal.search_request(p_query, p_limit);
BEGIN
	IF v_request IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN theazo_internal.effect_enqueue(l.platform_id, l.root_id, 'http.get', 'http', v_request, r.id, r.session_id, r.agent_id,
		p_provider => 'theazo:web_search', p_timeout_ms => 30000, p_max_attempts => 2, p_deadline => l.deadline, p_step_seq => p_seq);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_call_search(theazo_data.run_loop, theazo_data.run, integer, text, integer) IS
'queues a web search through the endpoint the operator configured; null without one';

-- Endpoints of search differ: the first array of objects with an address in it is the list. What has none goes on as it came.
CREATE OR REPLACE FUNCTION theazo_internal.search_answer(p_result jsonb, OUT output text, OUT failed boolean)
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_body	jsonb;
	v_list	jsonb;
BEGIN
	failed := NOT coalesce((p_result ->> 'status')::integer BETWEEN 200 AND 299, false);
	IF failed THEN
		output := format('error: the search answered %s', p_result ->> 'status');
		RETURN;
	END IF;
	BEGIN
		v_body := (p_result ->> 'body')::jsonb;
	EXCEPTION WHEN data_exception OR invalid_text_representation OR statement_too_complex THEN
		v_body := NULL;
	END;
	SELECT c.list INTO v_list
	  FROM unnest(ARRAY['{results}', '{web,results}', '{items}', '{organic}', '{organic_results}', '{data}', '{webPages,value}', '{hits}', '{}']::text[])
			WITH ORDINALITY AS k (path, ord)
	 CROSS JOIN LATERAL (SELECT v_body #> k.path::text[] AS list) c
	 WHERE jsonb_typeof(c.list) = 'array' AND jsonb_typeof(c.list -> 0) = 'object'
	 ORDER BY k.ord LIMIT 1;
	IF v_list IS NULL THEN
		output := coalesce(theazo_internal.json_compact(v_body), p_result ->> 'body', '');
		RETURN;
	END IF;
	SELECT theazo_internal.json_compact(coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
				'title', left(coalesce(x ->> 'title', x ->> 'name'), 300),
				'url', left(coalesce(x ->> 'url', x ->> 'link', x ->> 'href'), 2000),
				'excerpt', left(coalesce(x ->> 'excerpt', x ->> 'snippet', x ->> 'description', x ->> 'content', x ->> 'text'), 1000))) ORDER BY o.ord), '[]'))
	  INTO output
	  FROM jsonb_array_elements(v_list) WITH ORDINALITY AS o (x, ord)
	 WHERE o.ord <= 20 AND jsonb_typeof(o.x) = 'object';
END
$$;
COMMENT ON FUNCTION theazo_internal.search_answer(jsonb) IS 'what a model is told of a web search: title, address and excerpt of each result';
