-- attestation.sql: the signed statement about an execution, and whether everything is still as it says.
--
-- A statement is a text of lines, "field: JSON", signed with the key of the audit trail once the event of the execution's end
-- has its place in the chain. What is exported has the fields beside the text, so that whoever changes one is named by it.

CREATE OR REPLACE FUNCTION theazo_internal.attestation_sign(p_statement text, OUT key_id text, OUT signature bytea)
LANGUAGE c STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'theazo_attestation_sign';
COMMENT ON FUNCTION theazo_internal.attestation_sign(text) IS
'keeper: signs a statement with the key of the audit trail; nulls without a master key';

CREATE OR REPLACE FUNCTION theazo_internal.ed25519_verify(p_key bytea, p_message text, p_signature bytea)
RETURNS boolean LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'theazo_ed25519_verify';
COMMENT ON FUNCTION theazo_internal.ed25519_verify(bytea, text, bytea) IS 'is this the Ed25519 signature of the message';

CREATE OR REPLACE FUNCTION theazo_internal.json_hash(p_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN pg_catalog.to_jsonb(theazo_internal.text_hash(p_doc::text));
END $$;
COMMENT ON FUNCTION theazo_internal.json_hash(jsonb) IS 'SHA-256 of a document as jsonb prints it, in hexadecimal digits';

-- What a provider says of a sandbox: {statement, signature}. Believed is what the key of its entry has signed about this sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.attestation_judge(p_document jsonb, p_sandbox text, p_config jsonb, OUT state text, OUT problem text, OUT tee boolean)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v_text	text := p_document ->> 'statement';
	v_sign	text := p_document ->> 'signature';
	v_said	jsonb;
BEGIN
	tee := false;
	state := CASE WHEN p_document IS NULL THEN NULL WHEN p_config ->> 'attestationKey' IS NULL THEN 'unverified' ELSE 'refused' END;
	IF state IS DISTINCT FROM 'refused' THEN
		RETURN;
	ELSIF pg_catalog.jsonb_typeof(p_document -> 'statement') IS DISTINCT FROM 'string' OR pg_catalog.jsonb_typeof(p_document -> 'signature') IS DISTINCT FROM 'string'
		OR NOT v_sign OPERATOR(pg_catalog.~) '^[A-Za-z0-9+/]{86}==$' THEN
		problem := 'it has no statement with an Ed25519 signature';
	ELSIF NOT theazo_internal.ed25519_verify(theazo_internal.ed25519_key('config.attestationKey', p_config ->> 'attestationKey'), v_text,
			pg_catalog.decode(v_sign, 'base64')) THEN
		problem := 'the key of the entry has not signed it';
	ELSE
		BEGIN
			v_said := v_text::jsonb;
		EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
			v_said := NULL;
		END;
		IF pg_catalog.jsonb_typeof(v_said) IS DISTINCT FROM 'object' THEN
			problem := 'what is signed is no JSON object';
		ELSIF v_said -> 'sandbox' IS DISTINCT FROM pg_catalog.to_jsonb(p_sandbox) THEN
			problem := 'it is about another sandbox';
		ELSE
			state := 'verified';
			tee := coalesce(v_said -> 'evidence' = '"hardware_quote"' AND p_config -> 'attestationTee' = 'true', false);
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.attestation_judge(jsonb, text, jsonb) IS
'what is found of a provider''s document about a sandbox: verified, unverified (no key configured) or refused, and does it tell of a hardware quote that is to be believed';

-- How much a kind of wall says, for the least of several.
CREATE OR REPLACE FUNCTION theazo_internal.tee_name(p_adapter text, p_state text, p_tee boolean)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_adapter = 'local' THEN 'local_sandbox' WHEN p_tee AND p_state = 'verified' THEN 'theta_tee' WHEN p_adapter = 'docker' THEN 'docker_fallback'
			ELSE 'provider' END;
COMMENT ON FUNCTION theazo_internal.tee_name(text, text, boolean) IS 'what the machine of an adapter, with what was found of its document, is called';

-- Of the machine that a task's run has worked on, whatever its agent has now, and of several the one that says least:
-- {sandbox, adapter, document, key, state, problem, tee}; null where there was none.
CREATE OR REPLACE FUNCTION theazo_internal.attestation_evidence(x theazo_data.execution)
RETURNS jsonb LANGUAGE plpgsql STABLE
AS $$
BEGIN
	IF x.mode <> 'task' THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('sandbox', b.id, 'adapter', b.adapter,
				'key', CASE WHEN j.state IN ('verified', 'refused') THEN p.config -> 'attestationKey' END, 'state', j.state, 'problem', j.problem, 'tee', j.tee))
				|| CASE WHEN j.state IS NOT NULL THEN pg_catalog.jsonb_build_object('document', b.metadata -> 'attestation') ELSE '{}' END
			  FROM (SELECT DISTINCT e.sandbox_id FROM theazo_data.effect e
					 WHERE e.platform_id = x.platform_id AND e.root_id = theazo_internal.id_root(x.run_id) AND e.sandbox_id IS NOT NULL
					   AND e.kind LIKE 'compute.%' AND e.kind <> 'compute.destroy') u
			  JOIN theazo_data.sandbox b ON b.platform_id = x.platform_id AND b.id = u.sandbox_id
			 CROSS JOIN LATERAL theazo_internal.compute_entry(b.platform_id, b.provider_name) n
			  LEFT JOIN theazo_data.provider p ON p.platform_id = n.owner AND p.kind = 'compute' AND p.name = n.name
			 CROSS JOIN LATERAL theazo_internal.attestation_judge(nullif(b.metadata -> 'attestation', 'null'), b.id, p.config) j
			 ORDER BY pg_catalog.array_position(ARRAY['provider', 'docker_fallback', 'local_sandbox', 'theta_tee'], theazo_internal.tee_name(b.adapter, j.state, j.tee)),
					  b.id DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION theazo_internal.attestation_evidence(theazo_data.execution) IS
'where the machine is that a task worked on, what its provider says of it, and what is found of that; null without a machine';

-- Which kind of wall was around it. Hardware only where a provider's verified document tells of it.
CREATE OR REPLACE FUNCTION theazo_internal.tee_mode(x theazo_data.execution)
RETURNS text LANGUAGE plpgsql STABLE
AS $$
DECLARE
	e jsonb := CASE WHEN x.ended_at IS NULL THEN theazo_internal.attestation_evidence(x) ELSE x.evidence END;
BEGIN
	-- a task without a machine is done where its model is
	RETURN CASE WHEN x.mode = 'code' THEN 'local_sandbox'
				ELSE theazo_internal.tee_name(e ->> 'adapter', e ->> 'state', coalesce((e ->> 'tee')::boolean, false)) END;
END
$$;
COMMENT ON FUNCTION theazo_internal.tee_mode(theazo_data.execution) IS
'local_sandbox, docker_fallback, provider, or theta_tee where a verified document tells of hardware: where an execution ran';

-- The fields of a statement, in their order, as they are now.
CREATE OR REPLACE FUNCTION theazo_internal.attestation_fields(x theazo_data.execution)
RETURNS TABLE (name text, value jsonb)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN QUERY
	SELECT f.name, coalesce(f.value, 'null')
	  FROM theazo_data.governed_agent g
	  JOIN theazo_data.governed_version v ON v.platform_id = g.platform_id AND v.agent_id = g.id AND v.revision = x.revision
	  LEFT JOIN theazo_data.run_payload p ON p.platform_id = x.platform_id AND p.root_id = theazo_internal.id_root(x.run_id)
	  LEFT JOIN LATERAL theazo_internal.audit_place(x.platform_id, x.end_event) s ON true
	 CROSS JOIN LATERAL (VALUES
		(1, 'origin', to_jsonb(pg_catalog.current_setting('theazo.audit_origin') || '/' || x.platform_id)),
		(2, 'execution', to_jsonb(x.number)), (3, 'run', to_jsonb(x.run_id)), (4, 'agent', to_jsonb(x.agent_id)),
		(5, 'agent_version', to_jsonb(v.version)), (6, 'revision', to_jsonb(x.revision)), (7, 'mode', to_jsonb(x.mode)),
		(8, 'status', to_jsonb(x.status)), (9, 'error_code', to_jsonb(x.error_code)),
		(10, 'code_sha256', to_jsonb(encode(CASE WHEN v.entry_code IS NOT NULL THEN pg_catalog.sha256(pg_catalog.convert_to(v.entry_code, 'UTF8')) END, 'hex'))),
		(11, 'input_sha256', theazo_internal.json_hash(coalesce(p.input -> 'input', 'null'))),
		(12, 'output_sha256', theazo_internal.json_hash(coalesce(p.result -> 'output', 'null'))),
		(13, 'helper_sha256', p.result -> 'helper_sha256'), (14, 'engine', p.result -> 'engine'), (15, 'engine_version', p.result -> 'engine_version'),
		(16, 'template', x.policy -> 'template'), (17, 'limits', x.policy -> 'run'), (18, 'permissions', x.policy -> 'scopes'),
		(19, 'policy_version', x.policy -> 'version'), (20, 'isolation', p.result -> 'isolation'), (21, 'tee_mode', to_jsonb(theazo_internal.tee_mode(x))),
		(22, 'started_at', to_jsonb(theazo_internal.time_iso(coalesce(x.started_at, x.created_at)))), (23, 'ended_at', to_jsonb(theazo_internal.time_iso(x.ended_at))),
		(24, 'api_calls', to_jsonb(x.api_calls)), (25, 'host_calls', to_jsonb(x.host_calls)), (26, 'violations', to_jsonb(x.violations)),
		(27, 'audit_event', to_jsonb(x.end_event)), (28, 'audit_seq', to_jsonb(s.seq)), (29, 'audit_leaf', to_jsonb(encode(s.leaf, 'hex'))),
		(30, 'evidence', x.evidence -> 'state'), (31, 'evidence_sha256', CASE WHEN x.evidence IS NOT NULL THEN theazo_internal.json_hash(x.evidence) END)) f (n, name, value)
	 WHERE g.platform_id = x.platform_id AND g.id = x.agent_id
	 ORDER BY f.n;
END
$$;
COMMENT ON FUNCTION theazo_internal.attestation_fields(theazo_data.execution) IS 'what a statement about an execution says, field by field, read from what is stored';

CREATE OR REPLACE FUNCTION theazo_internal.attestation_text(x theazo_data.execution)
RETURNS text LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN (SELECT E'theazo execution statement v1\n' || pg_catalog.string_agg(f.name || ': ' || theazo_internal.json_compact(f.value) || E'\n', '' ORDER BY f.n)
	  FROM theazo_internal.attestation_fields(x) WITH ORDINALITY AS f (name, value, n));
END
$$;
COMMENT ON FUNCTION theazo_internal.attestation_text(theazo_data.execution) IS 'the statement about an execution, as it is signed';

-- Those whose end is sealed. What a deletion takes away meanwhile is not stated.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_attest()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
	x		theazo_data.execution;
	v_text	text;
	v_id	text;
	s		record;
	v_n		integer := 0;
BEGIN
	FOR x IN
		SELECT y.* FROM theazo_data.execution y
		 WHERE y.ended_at IS NOT NULL AND y.attestation IS NULL AND y.end_event IS NOT NULL ORDER BY y.ended_at LIMIT 500
	LOOP
		CONTINUE WHEN (SELECT p.seq FROM theazo_internal.audit_place(x.platform_id, x.end_event) p) IS NULL;
		v_text := theazo_internal.attestation_text(x);
		CONTINUE WHEN v_text IS NULL;
		SELECT * INTO s FROM theazo_internal.attestation_sign(v_text);
		EXIT WHEN s.signature IS NULL;
		v_id := 'att_' || theazo_internal.text_hash(v_text);
		INSERT INTO theazo_data.attestation (platform_id, number, id, agent_id, session_id, environment, statement, key_id, signature, provider_document, provider_kind, evidence)
		VALUES (x.platform_id, x.number, v_id, x.agent_id, x.session_id, x.environment, v_text, s.key_id, s.signature,
			x.evidence -> 'document', x.evidence ->> 'state', x.evidence::text);
		UPDATE theazo_data.execution y SET attestation = v_id
		 WHERE y.platform_id = x.platform_id AND y.number = x.number;
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_attest() IS 'keeper: signs the statements about executions whose end has its place in the chain';

-- Soon while executions of the last minutes have no statement.
CREATE OR REPLACE FUNCTION theazo_internal.attest_due()
RETURNS interval
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
	SELECT '1 second'::interval WHERE EXISTS (SELECT FROM theazo_data.execution y
		WHERE y.ended_at > clock_timestamp() - '2 minutes'::interval AND y.attestation IS NULL AND y.end_event IS NOT NULL)
$$;
COMMENT ON FUNCTION theazo_internal.attest_due() IS 'when the keeper looks for executions without a statement again; null when there are none';

-- ---------------------------------------------------------------------------------------
-- faces

-- A statement's text line by line, without its first.
CREATE OR REPLACE FUNCTION theazo_internal.attestation_lines(p_statement text)
RETURNS TABLE (name text, value text, n bigint)
LANGUAGE sql IMMUTABLE AS $$
	SELECT pg_catalog.split_part(l.line, ': ', 1), pg_catalog.substr(l.line, pg_catalog.strpos(l.line, ': ') + 2), l.n
	  FROM pg_catalog.unnest((pg_catalog.string_to_array(pg_catalog.rtrim(p_statement, E'\n'), E'\n'))[2:]) WITH ORDINALITY AS l (line, n)
$$;
COMMENT ON FUNCTION theazo_internal.attestation_lines(text) IS 'fields of a statement as they were signed: name and JSON';

-- Fields whose rows went by retention: those of an execution's payload, or, of an execution that is gone itself, all but its place.
CREATE OR REPLACE FUNCTION theazo_internal.attestation_gone(x theazo_data.execution, t theazo_data.attestation)
RETURNS text[] LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF x.number IS NULL THEN
		RETURN CASE WHEN theazo_internal.expired(t.platform_id, 'execution',
				(SELECT (l.value::jsonb #>> '{}')::timestamptz FROM theazo_internal.attestation_lines(t.statement) l WHERE l.name = 'ended_at'))
			THEN ARRAY(SELECT l.name FROM theazo_internal.attestation_lines(t.statement) l WHERE l.name NOT IN ('origin', 'execution', 'audit_event', 'audit_seq', 'audit_leaf') ORDER BY l.n) END;
	ELSIF EXISTS (SELECT FROM theazo_data.run_payload p WHERE p.platform_id = x.platform_id AND p.root_id = theazo_internal.id_root(x.run_id))
		OR NOT theazo_internal.expired(x.platform_id, 'run_payload', theazo_internal.id_time(x.run_id)) THEN
		RETURN NULL;
	END IF;
	RETURN ARRAY['input_sha256', 'output_sha256', 'helper_sha256', 'engine', 'engine_version', 'isolation'];
END $$;
COMMENT ON FUNCTION theazo_internal.attestation_gone(theazo_data.execution, theazo_data.attestation) IS
'fields of a statement that cannot be read anew, because what they tell of is kept no longer; null: none';

-- What a statement says, as it can still be read.
CREATE OR REPLACE FUNCTION theazo_internal.attestation_now(x theazo_data.execution, t theazo_data.attestation)
RETURNS TABLE (name text, value jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF x.number IS NOT NULL THEN
		RETURN QUERY SELECT f.* FROM theazo_internal.attestation_fields(x) f;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT l.name, coalesce(CASE l.name WHEN 'execution' THEN to_jsonb(t.number) WHEN 'audit_event' THEN l.value::jsonb
								WHEN 'audit_seq' THEN to_jsonb(p.seq) WHEN 'audit_leaf' THEN to_jsonb(encode(p.leaf, 'hex')) END, 'null')
	  FROM theazo_internal.attestation_lines(t.statement) l
	  LEFT JOIN LATERAL theazo_internal.audit_place(t.platform_id, theazo_internal.attestation_event(t)) p ON true
	 ORDER BY l.n;
END $$;
COMMENT ON FUNCTION theazo_internal.attestation_now(theazo_data.execution, theazo_data.attestation) IS
'fields of a statement as they are now; of an execution that is gone those that do not lie with it';

CREATE OR REPLACE FUNCTION theazo_internal.attestation_event(t theazo_data.attestation)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT l.value::jsonb #>> '{}' FROM theazo_internal.attestation_lines(t.statement) l WHERE l.name = 'audit_event'
$$;
COMMENT ON FUNCTION theazo_internal.attestation_event(theazo_data.attestation) IS 'the event that a statement names as the end of its execution';

-- The first field that is not any more what was signed, or null.
CREATE OR REPLACE FUNCTION theazo_internal.attestation_differs(x theazo_data.execution, t theazo_data.attestation, p_gone text[])
RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_signed	text[] := string_to_array(t.statement, E'\n');
	f			record;
BEGIN
	IF v_signed[1] IS DISTINCT FROM 'theazo execution statement v1' THEN
		RETURN 'statement';
	ELSIF x.number IS NULL AND p_gone IS NULL THEN
		RETURN 'execution';
	END IF;
	FOR f IN SELECT y.* FROM theazo_internal.attestation_now(x, t) WITH ORDINALITY AS y (name, value, n) ORDER BY y.n LOOP
		-- a name that is given to the trail later does not unmake what was signed under another
		CONTINUE WHEN f.name = 'origin' OR f.name = ANY (p_gone);
		IF v_signed[f.n + 1] IS DISTINCT FROM f.name || ': ' || theazo_internal.json_compact(f.value) THEN
			RETURN f.name;
		END IF;
	END LOOP;
	RETURN CASE WHEN t.id <> 'att_' || theazo_internal.text_hash(t.statement) OR x.attestation <> t.id THEN 'attestation_id'
				WHEN NOT coalesce(theazo_internal.ed25519_verify((SELECT k.public_key FROM theazo_internal.audit_key_list() k WHERE k.id = t.key_id), t.statement, t.signature), false)
				THEN 'signature' END;
END $$;
COMMENT ON FUNCTION theazo_internal.attestation_differs(theazo_data.execution, theazo_data.attestation, text[]) IS
'the first field of a statement that is not as it was signed, but for those that are kept no longer, or null';

-- The statement about an execution that is kept no longer.
CREATE OR REPLACE FUNCTION theazo_internal.attestation_find(p_execution text)
RETURNS theazo_data.attestation LANGUAGE plpgsql STABLE AS $$
DECLARE
	t	theazo_data.attestation;
BEGIN
	IF p_execution OPERATOR(pg_catalog.~) '^[0-9]{1,18}$' THEN
		SELECT * INTO t FROM theazo_data.attestation y
		 WHERE y.platform_id = theazo_internal.current_platform() AND y.number = p_execution::bigint
		   AND (theazo_internal.current_session() IS NULL OR y.session_id = theazo_internal.current_session())
		   AND y.environment = theazo_internal.current_environment()
		   AND NOT EXISTS (SELECT FROM theazo_data.execution x WHERE x.platform_id = y.platform_id AND x.number = y.number);
	END IF;
	RETURN t;
END $$;
COMMENT ON FUNCTION theazo_internal.attestation_find(text) IS 'the statement about an execution of the caller that is gone itself, or nulls';

CREATE OR REPLACE FUNCTION theazo_internal.execution_take(p_execution text)
RETURNS theazo_data.execution LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN theazo_internal.execution_read(theazo_internal.current_platform(), theazo_internal.execution_find(p_execution));
END $$;
COMMENT ON FUNCTION theazo_internal.execution_take(text) IS 'the row of an execution of the caller, or 42704';

CREATE OR REPLACE FUNCTION theazo.verify_execution(execution text, api_key text DEFAULT NULL)
RETURNS TABLE (execution_id bigint, tee_mode text, attestation_id text, valid boolean, chain_valid boolean, problem text, verified_at timestamptz,
	evidence text, evidence_problem text, kept_no_longer text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	x	theazo_data.execution;
	t	theazo_data.attestation;
	c	record;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	t := theazo_internal.attestation_find(execution);
	IF t.id IS NULL THEN
		x := theazo_internal.execution_take(execution);
		SELECT * INTO t FROM theazo_data.attestation y WHERE y.platform_id = x.platform_id AND y.number = x.number;
		tee_mode := theazo_internal.tee_mode(x);
	ELSE
		tee_mode := (SELECT l.value::jsonb #>> '{}' FROM theazo_internal.attestation_lines(t.statement) l WHERE l.name = 'tee_mode');
	END IF;
	execution_id := coalesce(x.number, t.number);
	attestation_id := coalesce(t.id, x.attestation);
	evidence := coalesce(x.evidence, t.evidence::jsonb) ->> 'state';
	evidence_problem := coalesce(x.evidence, t.evidence::jsonb) ->> 'problem';
	verified_at := clock_timestamp();
	IF t.id IS NOT NULL THEN
		kept_no_longer := theazo_internal.attestation_gone(x, t);
		problem := theazo_internal.attestation_differs(x, t, kept_no_longer);
		valid := problem IS NULL;
		SELECT y.* INTO c FROM theazo_internal.audit_check(t.platform_id, NULL, NULL, coalesce(x.end_event, theazo_internal.attestation_event(t))) y;
		chain_valid := c.chain_valid;
		problem := coalesce(problem, CASE WHEN NOT c.chain_valid THEN 'audit_seq: ' || coalesce(c.problem, 'the chain does not hold') END);
	ELSIF x.attestation IS NULL THEN
		problem := CASE WHEN x.ended_at IS NULL THEN 'it has not ended' ELSE 'it has no statement yet: its end is about to be sealed' END;
	ELSIF theazo_internal.expired(x.platform_id, 'attestation', x.ended_at) THEN
		kept_no_longer := '{statement}';
		problem := 'its statement is kept no longer';
	ELSE
		valid := false;
		problem := 'attestation_id';
	END IF;
	RETURN NEXT;
END $$;
COMMENT ON FUNCTION theazo.verify_execution(text, text) IS
'is an execution as its signed statement says, and is its place in the audit chain intact; problem names the first field that is not; kept_no_longer names those that retention has taken what they tell of; evidence is what was found of a document that a provider gave of itself: verified, unverified or refused';

-- For theazo-verify and for people: the fields, the text that was signed, and the proof of its place where a signed head covers it.
CREATE OR REPLACE FUNCTION theazo.execution_statement(execution text, api_key text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	x		theazo_data.execution;
	t		theazo_data.attestation;
	v_key	bytea;
	v_proof	text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	t := theazo_internal.attestation_find(execution);
	IF t.id IS NULL THEN
		x := theazo_internal.execution_take(execution);
		SELECT * INTO t FROM theazo_data.attestation y WHERE y.platform_id = x.platform_id AND y.number = x.number;
	END IF;
	IF t.id IS NULL AND x.attestation IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('the statement of execution %s is kept no longer', x.number),
			HINT = 'theazo.retention_attestations says how long; what was exported before can still be checked.';
	ELSIF t.id IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('execution %s has no statement yet', x.number),
			HINT = 'It is signed when the execution has ended and its end is sealed, which takes seconds. Ask again.';
	END IF;
	SELECT k.public_key INTO v_key FROM theazo_internal.audit_key_list() k WHERE k.id = t.key_id;
	BEGIN
		SELECT p.proof INTO v_proof FROM theazo.audit_proof(theazo_internal.attestation_event(t)) p;
	EXCEPTION WHEN OTHERS THEN
		v_proof := NULL;
	END;
	RETURN jsonb_build_object('type', 'theazo-execution-statement', 'attestation_id', t.id,
		'fields', (SELECT jsonb_object_agg(l.name, l.value::jsonb) FROM theazo_internal.attestation_lines(t.statement) l),
		'statement', t.statement, 'signature', replace(encode(t.signature, 'base64'), E'\n', ''),
		'vkey', theazo_internal.audit_vkey(substring(t.statement, 'origin: "([^"]*)"'), v_key), 'proof', v_proof,
		'provider_document', t.provider_document, 'provider_kind', t.provider_kind,
		-- as it was hashed
		'evidence', t.evidence);
END $$;
COMMENT ON FUNCTION theazo.execution_statement(text, text) IS
'the signed statement about an execution with its fields, signature and place in the audit tree, as theazo-verify --statement takes it';
