-- safety.sql: patterns, guardrails, verdicts.
--
-- A violation has no row of its own: it is the event of the refusal, which stays although the caller's transaction fails.

-- What a platform has checked of its agents' texts; an agent's own guardrails lie over it.
CREATE TABLE theazo_data.guardrail (
	platform_id		theazo.id NOT NULL,
	config			jsonb NOT NULL,						-- contentFilter, blockPII, promptInjection, allowedDomains, ...
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT guardrail_pkey PRIMARY KEY (platform_id)
);

-- Patterns laid over the shipped rules: the operator's, for every platform, and a platform's own.
CREATE TABLE theazo_data.safety_pattern (
	platform_id		theazo.id NOT NULL,					-- the operator platform, or one platform
	name			text NOT NULL,
	pattern			text NOT NULL,						-- regular expression without look-around and back-references
	category		text NOT NULL,
	weight			smallint NOT NULL DEFAULT 100,		-- hundredths of a score; 100 blocks by itself
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT safety_pattern_pkey PRIMARY KEY (platform_id, name),
	CONSTRAINT safety_pattern_name_check CHECK (name OPERATOR(pg_catalog.~) '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'),
	CONSTRAINT safety_pattern_weight_check CHECK (weight BETWEEN 1 AND 100),
	CONSTRAINT safety_pattern_pattern_check CHECK (pg_catalog.octet_length(pattern) BETWEEN 1 AND 512)
);

-- Who is asked about texts the rules are in doubt about: the operator's for every platform, or a platform's own instead of it.
CREATE TABLE theazo_data.safety_ai (
	platform_id		theazo.id NOT NULL,					-- the operator platform, or one platform
	kind			text NOT NULL,						-- moderation: an endpoint of that shape; model: a model that is asked for scores
	provider		text,								-- model: name of the owner's model provider
	endpoint		text,								-- moderation: the whole address; model: base of a compatible server
	credential_ref	text,								-- of the owner's vault, with an endpoint
	model			text,
	timeout_ms		integer NOT NULL DEFAULT 3000,		-- from the question to the verdict; later is a failure
	toxicity_from	numeric NOT NULL DEFAULT 0.2,		-- scores of the rules from which on it is asked
	injection_from	numeric NOT NULL DEFAULT 0.2,
	toxicity_max	numeric NOT NULL DEFAULT 0.4,		-- scores of its own from which on a text is blocked
	injection_max	numeric NOT NULL DEFAULT 0.35,
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT safety_ai_pkey PRIMARY KEY (platform_id),
	CONSTRAINT safety_ai_kind_check CHECK (kind IN ('moderation', 'model')),
	CONSTRAINT safety_ai_timeout_ms_check CHECK (timeout_ms BETWEEN 100 AND 30000),
	CONSTRAINT safety_ai_place_check CHECK ((provider IS NULL) <> (endpoint IS NULL) AND (provider IS NULL OR kind = 'model' AND credential_ref IS NULL))
);

-- What was found of a text that was looked at; never the text.
CREATE TABLE theazo_data.safety_verdict (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,				-- of the run
	id				theazo.id NOT NULL,					-- vrd_
	environment		text NOT NULL,
	session_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	run_id			theazo.id NOT NULL,
	stage			text NOT NULL,						-- input, output, delta, arguments, result, code
	status			text NOT NULL,
	tool			text,								-- arguments, result
	type			text,								-- as a violation is shown: pii, prompt_injection, content_filter, ...
	category		text,								-- of the rule that says most
	rule			text,
	version			text NOT NULL,						-- of the rules
	toxicity		numeric,
	injection		numeric,
	judge			text,								-- who was asked beside the rules
	judge_toxicity	numeric,							-- and its scores
	judge_injection	numeric,
	reason			text,								-- why nothing was looked for, or what failed
	text_hash		bytea,								-- SHA-256 of the text the verdict is about
	delivered_hash	bytea,								-- of what was let out in its place
	created_at		timestamptz NOT NULL,
	CONSTRAINT safety_verdict_stage_check CHECK (stage IN ('input', 'output', 'delta', 'arguments', 'result', 'code')),
	CONSTRAINT safety_verdict_status_check CHECK (status IN ('passed', 'blocked', 'redacted', 'skipped', 'error'))
) PARTITION BY RANGE (root_id);

-- No result without a verdict: what is stored names the one that let it out. A run that failed has figures and no output.
ALTER TABLE theazo_data.run_payload ADD CONSTRAINT run_payload_verdict_check
	CHECK (verdict <> 'none' OR result_content IS NULL AND (result IS NULL OR coalesce(result OPERATOR(pg_catalog.->>) 'output' = '', false)));
