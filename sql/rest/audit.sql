-- audit.sql: the audit trail as the governed agents' interface shows it.

-- Agents and runs have text ids in the trail; here those that are governed have numbers, others none.
CREATE OR REPLACE FUNCTION theazo_internal.rest_audit_rows(p_events theazo.audit_events[])
RETURNS jsonb LANGUAGE sql STABLE
RETURN (
	WITH e AS (SELECT * FROM pg_catalog.unnest(p_events)),
		 g AS (SELECT x.id, x.number FROM theazo.governed_agents x WHERE x.id = ANY (ARRAY(SELECT e.agent_id FROM e))),
		 x AS (SELECT y.run_id, y.execution_id FROM theazo.executions y WHERE y.run_id = ANY (ARRAY(SELECT e.run_id FROM e)))
	SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
		'id', e.number, 'timestamp', theazo_internal.rest_at(e.occurred_at), 'agent_id', g.number, 'execution_id', x.execution_id,
		'action_type', e.action, 'action_category', e.category, 'description', e.description,
		'input_summary', e.input_summary, 'output_summary', e.output_summary, 'permission_state', e.permission_state,
		'is_violation', e.is_violation, 'prev_hash', pg_catalog.encode(e.prev_hash, 'hex'), 'hash', pg_catalog.encode(e.hash, 'hex'),
		'anchored', e.anchored) ORDER BY e.id DESC), '[]')
	  FROM e LEFT JOIN g ON g.id = e.agent_id LEFT JOIN x ON x.run_id = e.run_id);
COMMENT ON FUNCTION theazo_internal.rest_audit_rows(theazo.audit_events[]) IS
'events as audit rows, newest first; hashes are null until an event is sealed';

CREATE OR REPLACE FUNCTION theazo_internal.rest_execution_run(a jsonb)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF theazo_internal.rest_value(a, 'executionId', false) IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN (theazo.execution_get(a ->> 'executionId')).run_id;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_execution_run(jsonb) IS
'the run of the execution that executionId names';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_id(a jsonb)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF theazo_internal.rest_value(a, 'agentId', false) IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN (theazo_internal.rest_governed_find(a ->> 'agentId')).id;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_id(jsonb) IS
'the text id of the agent that agentId names';

-- A comma list; null for none.
CREATE OR REPLACE FUNCTION theazo_internal.rest_list(a jsonb, p_field text)
RETURNS text[] LANGUAGE sql IMMUTABLE
RETURN nullif(ARRAY(SELECT pg_catalog.btrim(t)
	FROM pg_catalog.unnest(pg_catalog.string_to_array(theazo_internal.rest_text(a, p_field, false, 4096), ',')) t
	WHERE pg_catalog.btrim(t) <> ''), '{}');
COMMENT ON FUNCTION theazo_internal.rest_list(jsonb, text) IS
'the parts of a comma list of the query';

CREATE OR REPLACE FUNCTION theazo_internal.rest_audit_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_limit		integer := theazo_internal.rest_limit(a, 200, 999);
	v_events	theazo.audit_events[];
	v_rows		jsonb;
BEGIN
	SELECT pg_catalog.array_agg(e ORDER BY e.id DESC) INTO v_events
	  FROM theazo.audit_log(theazo_internal.rest_time(a, 'from'), theazo_internal.rest_time(a, 'to'), theazo_internal.rest_list(a, 'actionTypes'),
			coalesce(theazo_internal.rest_bool(a, 'violationsOnly'), false), NULL, theazo_internal.rest_governed_id(a),
			theazo_internal.rest_execution_run(a), v_limit + 1, theazo_internal.rest_after(a, 'audit')) e;
	v_rows := theazo_internal.rest_audit_rows(v_events[1:v_limit]);
	RETURN pg_catalog.jsonb_build_object('success', true, 'events', v_rows, 'total', pg_catalog.jsonb_array_length(v_rows),
		'anchored', v_rows <> '[]' AND NOT v_rows @> '[{"anchored": false}]',
		'cursor', CASE WHEN pg_catalog.cardinality(v_events) > v_limit THEN theazo_internal.rest_cursor('audit', (v_events[v_limit]).id) ELSE '' END);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_audit_list(jsonb) IS
'GET /api/sdk/audit; total counts the rows of this answer, anchored says whether an anchor covers all of them';

CREATE OR REPLACE FUNCTION theazo_internal.rest_audit_csv(p_rows jsonb)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN (
	SELECT pg_catalog.string_agg(pg_catalog.array_to_string(ARRAY(
			SELECT theazo_internal.csv_field(r.doc ->> c.name) FROM pg_catalog.unnest(ARRAY['id', 'timestamp', 'agent_id', 'execution_id', 'action_type',
				'action_category', 'description', 'input_summary', 'output_summary', 'permission_state', 'is_violation', 'prev_hash', 'hash', 'anchored'])
				WITH ORDINALITY c (name, n) ORDER BY c.n), ',', '') || E'\r\n', '' ORDER BY r.n)
	  FROM pg_catalog.jsonb_array_elements(p_rows) WITH ORDINALITY r (doc, n));
COMMENT ON FUNCTION theazo_internal.rest_audit_csv(jsonb) IS
'audit rows as lines of CSV, without a head';

CREATE OR REPLACE FUNCTION theazo_internal.rest_audit_export(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_format	text := coalesce(theazo_internal.rest_one_of(a, 'format', false, 'csv', 'json'), 'csv');
	v_from		timestamptz := theazo_internal.rest_time(a, 'from');
	v_to		timestamptz := theazo_internal.rest_time(a, 'to');
	v_events	theazo.audit_events[];
	v_after		text;
	v_pages		jsonb[] := '{}';
	v_rows		jsonb;
BEGIN
	LOOP
		SELECT pg_catalog.array_agg(e ORDER BY e.id DESC) INTO v_events
		  FROM theazo.audit_log(v_from, v_to, "limit" => 1000, after => v_after) e;
		EXIT WHEN v_events IS NULL;
		IF pg_catalog.cardinality(v_pages) >= 100 THEN
			PERFORM theazo_internal.rest_bad('from', 'leaves more than 100,000 rows',
				'Name a shorter span of time; theazo.audit_export() gives all of it, row by row.');
		END IF;
		v_rows := theazo_internal.rest_audit_rows(v_events);
		v_pages := v_pages || CASE WHEN v_format = 'csv' THEN pg_catalog.to_jsonb(theazo_internal.rest_audit_csv(v_rows)) ELSE v_rows END;
		EXIT WHEN pg_catalog.cardinality(v_events) < 1000;
		v_after := (v_events[1000]).id;
	END LOOP;
	IF v_format = 'csv' THEN
		PERFORM theazo_internal.rest_answer(200, '{"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": "attachment; filename=\"audit.csv\""}');
		RETURN pg_catalog.to_jsonb('id,timestamp,agent_id,execution_id,action_type,action_category,description,input_summary,output_summary,'
			|| E'permission_state,is_violation,prev_hash,hash,anchored\r\n'
			|| coalesce((SELECT pg_catalog.string_agg(p #>> '{}', '' ORDER BY n) FROM pg_catalog.unnest(v_pages) WITH ORDINALITY x (p, n)), ''));
	END IF;
	RETURN coalesce((SELECT pg_catalog.jsonb_agg(r ORDER BY x.n, y.n) FROM pg_catalog.unnest(v_pages) WITH ORDINALITY x (p, n)
		CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(x.p) WITH ORDINALITY y (r, n)), '[]');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_audit_export(jsonb) IS
'GET /api/sdk/audit/export: newest first, at most 100,000 rows';

CREATE OR REPLACE FUNCTION theazo_internal.rest_audit_verify(a jsonb)
RETURNS jsonb LANGUAGE sql VOLATILE
RETURN (
	SELECT pg_catalog.jsonb_build_object('success', true, 'chain_valid', v.chain_valid, 'anchor_tx_hash', v.anchor_tx_hash,
		'verified_at', theazo_internal.rest_at(v.verified_at))
	  FROM theazo.audit_verify(a ->> 'id') v);
COMMENT ON FUNCTION theazo_internal.rest_audit_verify(jsonb) IS
'GET /api/sdk/audit/:id/verify';
