-- permission.sql: what agents may do (rules, labels, what a platform allows), and what they keep between runs.
--
-- Rules and labels are read by every gate, from a memo that triggers renew (sql/api/permission.sql). They belong to the
-- platform: one row holds for live and test work. An empty pattern is no pattern: whatever it is.

CREATE TABLE theazo_data.permission_rule (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- prl_
	effect			text NOT NULL,						-- allow, deny
	scope			text NOT NULL DEFAULT '',			-- network:outbound, or data:*
	tool			text NOT NULL DEFAULT '',			-- pattern of names
	path			text NOT NULL DEFAULT '',			-- pattern of files in a sandbox
	host			text NOT NULL DEFAULT '',			-- host with its subdomains, *.host, *
	subject			text NOT NULL DEFAULT '',			-- an agent or a definition; empty: all
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT permission_rule_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT permission_rule_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT permission_rule_key UNIQUE (platform_id, effect, scope, tool, path, host, subject),
	CONSTRAINT permission_rule_effect_check CHECK (effect IN ('allow', 'deny')),
	CONSTRAINT permission_rule_names_check CHECK (scope <> '' OR tool <> '' OR path <> '' OR host <> '')
);

-- Where a label comes from: whoever reads this carries it from then on.
CREATE TABLE theazo_data.flow_label (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- flb_
	label			text NOT NULL,
	kind			text NOT NULL,						-- what is read: tool, path, host, context, input
	pattern			text NOT NULL,						-- of its name: a tool, a file, a host, a key, a type of input
	subject			text NOT NULL DEFAULT '',
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT flow_label_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT flow_label_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT flow_label_key UNIQUE (platform_id, label, kind, pattern, subject),
	CONSTRAINT flow_label_kind_check CHECK (kind IN ('tool', 'path', 'host', 'context', 'input'))
);

-- Where a label may not go.
CREATE TABLE theazo_data.flow_rule (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- frl_
	label			text NOT NULL,						-- a label, or * for each
	kind			text NOT NULL,						-- of the sink: tool, scope, host
	pattern			text NOT NULL,						-- of its name
	subject			text NOT NULL DEFAULT '',
	effect			text NOT NULL DEFAULT 'deny',
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT flow_rule_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT flow_rule_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT flow_rule_key UNIQUE (platform_id, label, kind, pattern, subject),
	CONSTRAINT flow_rule_kind_check CHECK (kind IN ('tool', 'scope', 'host')),
	CONSTRAINT flow_rule_effect_check CHECK (effect IN ('deny'))
);

-- What a platform allows its agents, over what their templates say. No row: everything a template allows.
CREATE TABLE theazo_data.platform_policy (
	platform_id				theazo.id NOT NULL,
	template				text,						-- the loosest; what agents get that name none
	max_memory_mb			integer,
	max_execution_time_sec	integer,
	max_api_calls_per_run	integer,
	updated_at				timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT platform_policy_pkey PRIMARY KEY (platform_id),
	CONSTRAINT platform_policy_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT platform_policy_template_check CHECK (template IN ('STRICT', 'STANDARD', 'DEV')),
	CONSTRAINT platform_policy_max_check CHECK (least(max_memory_mb, max_execution_time_sec) >= 1 AND max_api_calls_per_run >= 0)
);

-- What an agent keeps by name between its runs.
CREATE TABLE theazo_data.agent_context (
	platform_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	key				text COLLATE "C" NOT NULL,
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	value			jsonb NOT NULL,						-- at most 64 KiB
	labels			text[] NOT NULL DEFAULT '{}',		-- of what the run had read that wrote it
	run_id			theazo.id,							-- that wrote it; null: the platform
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT agent_context_pkey PRIMARY KEY (platform_id, agent_id, key),
	CONSTRAINT agent_context_agent_id_fkey FOREIGN KEY (platform_id, agent_id) REFERENCES theazo_data.agent (platform_id, id),
	CONSTRAINT agent_context_value_check CHECK (pg_catalog.octet_length(value::text) <= 65536)
);
