-- flow_rule.sql: where labels come from, and where they may not go: rows of the platform.

CREATE OR REPLACE VIEW theazo.flow_labels WITH (security_barrier) AS
SELECT s.platform_id, s.id, s.label, s.kind, s.pattern, nullif(s.subject, '') AS subject, s.created_at
  FROM theazo_data.flow_label s
 WHERE (SELECT theazo_internal.may_read('permission:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.flow_labels IS 'sources of labels: a run that reads one carries its label';

CREATE OR REPLACE VIEW theazo.flow_rules WITH (security_barrier) AS
SELECT s.platform_id, s.id, s.label, s.kind, s.pattern, nullif(s.subject, '') AS subject, s.effect, s.created_at
  FROM theazo_data.flow_rule s
 WHERE (SELECT theazo_internal.may_read('permission:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.flow_rules IS 'where labels may not go: a run that carries one may not call what matches';

CREATE OR REPLACE FUNCTION theazo_internal.label_check(p_label text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_label IS NULL OR NOT p_label OPERATOR(pg_catalog.~) '^[a-z0-9][a-z0-9_.:-]{0,63}$' THEN
		PERFORM theazo_internal.raise_value('label', 'is no label', 'Use 1 to 64 small letters, digits, and _ . : - inside.');
	END IF;
	RETURN p_label;
END $$;
COMMENT ON FUNCTION theazo_internal.label_check(text) IS 'a label; returns it';

CREATE OR REPLACE FUNCTION theazo_internal.flow_pattern_check(p_kind text, p_pattern text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_pattern IS NULL THEN
		PERFORM theazo_internal.raise_value('pattern', 'is missing', 'Use * for each.');
	END IF;
	RETURN CASE p_kind WHEN 'path' THEN theazo_internal.path_pattern_check('pattern', p_pattern)
					   WHEN 'host' THEN theazo_internal.host_pattern_check('pattern', p_pattern)
					   WHEN 'scope' THEN coalesce(nullif(theazo_internal.scope_pattern_check('pattern', p_pattern), ''), '*')
					   ELSE theazo_internal.pattern_check('pattern', p_pattern) END;
END $$;
COMMENT ON FUNCTION theazo_internal.flow_pattern_check(text, text) IS 'a pattern of what a source or a sink is named by';

CREATE OR REPLACE FUNCTION theazo.flow_label_set(label text, kind text, pattern text, subject text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.flow_labels LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	here	text;
	s		theazo_data.flow_label;
	was		text;
	result	theazo.flow_labels;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.governance_check('a label');
	here := theazo_internal.current_platform();
	s.label := theazo_internal.label_check(flow_label_set.label);
	s.kind := theazo_internal.one_of('kind', flow_label_set.kind, 'tool', 'path', 'host', 'context', 'input');
	s.pattern := theazo_internal.flow_pattern_check(s.kind, flow_label_set.pattern);
	s.subject := theazo_internal.subject_check(flow_label_set.subject);
	SELECT x.id INTO was FROM theazo_data.flow_label x
	 WHERE x.platform_id = here AND (x.label, x.kind, x.pattern, x.subject) = (s.label, s.kind, s.pattern, s.subject);
	IF NOT FOUND THEN
		-- every gate compares them all, and a run must be able to carry them
		IF (SELECT count(DISTINCT x.label) FROM theazo_data.flow_label x WHERE x.platform_id = here AND x.label <> s.label) >= 50 THEN
			PERFORM theazo_internal.raise_ceiling('labels', 50, 'A label is a class of data; patterns say what belongs to it.');
		ELSIF (SELECT count(*) FROM theazo_data.flow_label x WHERE x.platform_id = here) >= 200 THEN
			PERFORM theazo_internal.raise_ceiling('sources of labels', 200, 'Use patterns, and delete what is not needed any more.');
		END IF;
		INSERT INTO theazo_data.flow_label AS x (platform_id, id, label, kind, pattern, subject)
		VALUES (here, theazo_internal.id_new('flb'), s.label, s.kind, s.pattern, s.subject)
		ON CONFLICT ON CONSTRAINT flow_label_key DO UPDATE SET label = excluded.label
		RETURNING x.id INTO was;
		PERFORM theazo_internal.event_write(here, 'permission', 'flow_label_set', jsonb_strip_nulls(jsonb_build_object('source', was, 'label', s.label,
			'kind', s.kind, 'pattern', s.pattern, 'subject', nullif(s.subject, ''))), NULL, NULL, NULL, theazo_internal.current_environment());
	END IF;
	SELECT * INTO STRICT result FROM theazo.flow_labels x WHERE x.platform_id = here AND x.id = was;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.flow_label_set(text, text, text, text, text) IS
'whoever reads this (kind: tool, path, host, context, input) carries the label from then on';

CREATE OR REPLACE FUNCTION theazo.flow_label_delete(source text, api_key text DEFAULT NULL)
RETURNS theazo.flow_labels LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here	text;
	result	theazo.flow_labels;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.governance_check('a label');
	here := theazo_internal.current_platform();
	SELECT * INTO result FROM theazo.flow_labels x WHERE x.platform_id = here AND x.id = flow_label_delete.source;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('label', flow_label_delete.source);
	END IF;
	DELETE FROM theazo_data.flow_label x WHERE x.platform_id = here AND x.id = flow_label_delete.source;
	PERFORM theazo_internal.event_write(here, 'permission', 'flow_label_deleted', jsonb_build_object('source', result.id, 'label', result.label),
		NULL, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.flow_label_delete(text, text) IS 'deletes a source; what was read already keeps its label';

CREATE OR REPLACE FUNCTION theazo.flow_label_list(api_key text DEFAULT NULL)
RETURNS SETOF theazo.flow_labels LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:read');
	PERFORM theazo_internal.refuse_narrowed('the list of labels');
	RETURN QUERY SELECT s.* FROM theazo.flow_labels s WHERE s.platform_id = theazo_internal.current_platform() ORDER BY s.id;
END $$;
COMMENT ON FUNCTION theazo.flow_label_list(text) IS 'sources of labels';

CREATE OR REPLACE FUNCTION theazo.flow_rule_set(label text, kind text, pattern text, subject text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.flow_rules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	here	text;
	s		theazo_data.flow_rule;
	was		text;
	result	theazo.flow_rules;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.governance_check('a flow rule');
	here := theazo_internal.current_platform();
	s.label := CASE flow_rule_set.label WHEN '*' THEN '*' ELSE theazo_internal.label_check(flow_rule_set.label) END;
	s.kind := theazo_internal.one_of('kind', flow_rule_set.kind, 'tool', 'scope', 'host');
	s.pattern := theazo_internal.flow_pattern_check(s.kind, flow_rule_set.pattern);
	s.subject := theazo_internal.subject_check(flow_rule_set.subject);
	SELECT x.id INTO was FROM theazo_data.flow_rule x
	 WHERE x.platform_id = here AND (x.label, x.kind, x.pattern, x.subject) = (s.label, s.kind, s.pattern, s.subject);
	IF NOT FOUND THEN
		IF (SELECT count(*) FROM theazo_data.flow_rule x WHERE x.platform_id = here) >= 200 THEN
			PERFORM theazo_internal.raise_ceiling('flow rules', 200, 'Use patterns, and delete what is not needed any more.');
		END IF;
		INSERT INTO theazo_data.flow_rule AS x (platform_id, id, label, kind, pattern, subject)
		VALUES (here, theazo_internal.id_new('frl'), s.label, s.kind, s.pattern, s.subject)
		ON CONFLICT ON CONSTRAINT flow_rule_key DO UPDATE SET label = excluded.label
		RETURNING x.id INTO was;
		PERFORM theazo_internal.event_write(here, 'permission', 'flow_rule_set', jsonb_strip_nulls(jsonb_build_object('rule', was, 'label', s.label,
			'kind', s.kind, 'pattern', s.pattern, 'subject', nullif(s.subject, ''))), NULL, NULL, NULL, theazo_internal.current_environment());
	END IF;
	SELECT * INTO STRICT result FROM theazo.flow_rules x WHERE x.platform_id = here AND x.id = was;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.flow_rule_set(text, text, text, text, text) IS
'a run that carries the label (* for any) may not call this (kind: tool, scope, host)';

CREATE OR REPLACE FUNCTION theazo.flow_rule_delete(rule text, api_key text DEFAULT NULL)
RETURNS theazo.flow_rules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here	text;
	result	theazo.flow_rules;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	PERFORM theazo_internal.governance_check('a flow rule');
	here := theazo_internal.current_platform();
	SELECT * INTO result FROM theazo.flow_rules x WHERE x.platform_id = here AND x.id = flow_rule_delete.rule;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('flow rule', flow_rule_delete.rule);
	END IF;
	DELETE FROM theazo_data.flow_rule x WHERE x.platform_id = here AND x.id = flow_rule_delete.rule;
	PERFORM theazo_internal.event_write(here, 'permission', 'flow_rule_deleted', jsonb_build_object('rule', result.id, 'label', result.label),
		NULL, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.flow_rule_delete(text, text) IS 'deletes a rule about labels';

CREATE OR REPLACE FUNCTION theazo.flow_rule_list(api_key text DEFAULT NULL)
RETURNS SETOF theazo.flow_rules LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:read');
	PERFORM theazo_internal.refuse_narrowed('the list of flow rules');
	RETURN QUERY SELECT s.* FROM theazo.flow_rules s WHERE s.platform_id = theazo_internal.current_platform() ORDER BY s.id;
END $$;
COMMENT ON FUNCTION theazo.flow_rule_list(text) IS 'where labels may not go';
