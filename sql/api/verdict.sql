-- verdict.sql: what was found of each text that was checked.

CREATE OR REPLACE FUNCTION theazo_internal.verdict_append(
	p_platform text, p_root text, p_environment text, p_session text, p_agent text, p_run text, p_stage text, p_status text, p_tool text,
	p_type text, p_category text, p_rule text, p_version text, p_toxicity numeric, p_injection numeric, p_reason text, p_text bytea,
	p_delivered bytea, p_judge text, p_judge_toxicity numeric, p_judge_injection numeric)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_verdict_append';
COMMENT ON FUNCTION theazo_internal.verdict_append(text, text, text, text, text, text, text, text, text, text, text, text, text, numeric, numeric,
	text, bytea, bytea, text, numeric, numeric) IS 'the row of a verdict; returns its id';

-- p_verdict: status, stage, and what safety_judge() found. Null: nothing was looked at, and nothing is kept.
CREATE OR REPLACE FUNCTION theazo_internal.verdict_write(r theazo_data.run, p_verdict jsonb)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
	IF p_verdict IS NULL THEN
		RETURN 'none';
	END IF;
	RETURN theazo_internal.verdict_append(r.platform_id, theazo_internal.id_root(r.id), r.environment, r.session_id, r.agent_id, r.id,
		p_verdict ->> 'stage', p_verdict ->> 'status', pg_catalog."left"(p_verdict ->> 'tool', 128), p_verdict ->> 'type', p_verdict ->> 'category',
		p_verdict ->> 'rule', coalesce(p_verdict ->> 'version', theazo_internal.safety_version()), (p_verdict ->> 'toxicity')::pg_catalog."numeric",
		(p_verdict ->> 'injection')::pg_catalog."numeric", pg_catalog."left"(p_verdict ->> 'reason', 500),
		pg_catalog.decode(p_verdict ->> 'hash', 'hex'), pg_catalog.decode(p_verdict ->> 'delivered', 'hex'), pg_catalog."left"(p_verdict ->> 'judge', 300),
		(p_verdict ->> 'judgeToxicity')::pg_catalog."numeric", (p_verdict ->> 'judgeInjection')::pg_catalog."numeric");
END
$$;
COMMENT ON FUNCTION theazo_internal.verdict_write(theazo_data.run, jsonb) IS 'keeps what was found of a text; returns its id';

CREATE OR REPLACE FUNCTION theazo_internal.text_hash(p_text text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	RETURN pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(p_text, 'UTF8')), 'hex');
END
$$;
COMMENT ON FUNCTION theazo_internal.text_hash(text) IS 'SHA-256 of a text, in hexadecimal digits';

CREATE OR REPLACE VIEW theazo.safety_verdicts WITH (security_barrier) AS
	SELECT v.id, v.created_at, v.environment, v.session_id, v.agent_id, v.run_id, v.stage, v.status, v.tool, v.type, v.category, v.rule, v.version,
		   v.toxicity, v.injection, v.judge, v.judge_toxicity, v.judge_injection, v.reason, encode(v.text_hash, 'hex') AS text_hash, encode(v.delivered_hash, 'hex') AS delivered_hash
	  FROM theazo_data.safety_verdict v
	 WHERE (SELECT theazo_internal.may_read('run:read'));
COMMENT ON VIEW theazo.safety_verdicts IS 'what was found of each text that was checked, and by which version of the rules; never the text';
