-- governed.sql: governed agents: code of their own that runs under an agent's policy, what became of each execution, what it
-- asked of its host, and the signed statement about it.

-- One row beside an agent: that one holds its policy, its context, its halts; what it does stands in the trail under its id.
CREATE TABLE theazo_data.governed_agent (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- agt_
	number			bigint NOT NULL,					-- for contracts that show integers
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	name			text COLLATE "C" NOT NULL,
	revision		integer NOT NULL,					-- the one that holds: governed_version
	status			text NOT NULL,						-- that it is halted, its halt says
	execution_count	bigint NOT NULL DEFAULT 0,			-- that have ended
	last_execution_at timestamptz,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT governed_agent_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT governed_agent_number_key UNIQUE (platform_id, number),
	CONSTRAINT governed_agent_name_key UNIQUE (platform_id, session_id, name),
	CONSTRAINT governed_agent_id_fkey FOREIGN KEY (platform_id, id) REFERENCES theazo_data.agent (platform_id, id),
	CONSTRAINT governed_agent_status_check CHECK (status IN ('draft', 'ready', 'paused'))
);

-- What it was at each time: every change makes a new one.
CREATE TABLE theazo_data.governed_version (
	platform_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	revision		integer NOT NULL,					-- from 1
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	version			text NOT NULL,						-- as its owner counts
	description		text,
	document		jsonb NOT NULL,						-- config, permissions, sandbox, limits, compliance as given
	entry_code		text,								-- null: it works through the loop
	code_hash		bytea,								-- SHA-256 of entry_code
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT governed_version_pkey PRIMARY KEY (platform_id, agent_id, revision),
	CONSTRAINT governed_version_agent_id_fkey FOREIGN KEY (platform_id, agent_id) REFERENCES theazo_data.governed_agent (platform_id, id),
	CONSTRAINT governed_version_hash_check CHECK ((entry_code IS NULL) = (code_hash IS NULL))
);

-- The session in which a platform's governed agents live that were registered without one.
CREATE TABLE theazo_data.governed_session (
	platform_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	session_id		theazo.id NOT NULL,
	CONSTRAINT governed_session_pkey PRIMARY KEY (platform_id, environment)
);

-- One execution: a run, under a number. Input, output and logs lie with the run.
CREATE TABLE theazo_data.execution (
	platform_id		theazo.id NOT NULL,
	number			bigint NOT NULL,
	run_id			theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	revision		integer NOT NULL,
	mode			text NOT NULL,						-- code: its own; task: the loop
	status			text NOT NULL DEFAULT 'running',
	policy			jsonb NOT NULL,						-- what held for it: template, limits, scopes, network, guardrails, version
	labels			text[] NOT NULL DEFAULT '{}',		-- of what it has read
	error_code		text,
	error_message	text,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	started_at		timestamptz,						-- its code began
	ended_at		timestamptz,
	cpu_ms			numeric,
	memory_mb		numeric,
	api_calls		integer NOT NULL DEFAULT 0,			-- that count against its limit
	host_calls		integer NOT NULL DEFAULT 0,			-- all
	violations		integer NOT NULL DEFAULT 0,
	was_terminated	boolean NOT NULL DEFAULT false,
	evidence		jsonb,								-- task: where its machine was and what its provider says of it, as found at the end
	end_event		theazo.id,							-- the event of its end: its place in the trail is what is attested
	attestation		text,								-- att_; null: not yet
	CONSTRAINT execution_pkey PRIMARY KEY (platform_id, number),
	CONSTRAINT execution_mode_check CHECK (mode IN ('code', 'task')),
	CONSTRAINT execution_status_check CHECK (status IN ('running', 'completed', 'failed', 'terminated', 'blocked')),
	CONSTRAINT execution_end_check CHECK ((status = 'running') = (ended_at IS NULL))
);
CREATE INDEX execution_agent_idx ON theazo_data.execution (platform_id, agent_id, number);
-- What the keeper has to attest.
CREATE INDEX execution_attest_idx ON theazo_data.execution (ended_at)
	WHERE ended_at IS NOT NULL AND attestation IS NULL AND end_event IS NOT NULL;

-- What code asked of its host and was not answered on the spot. Those that are (log, write_result) lie with the result.
CREATE TABLE theazo_data.host_call (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,				-- of the run
	call			integer NOT NULL,					-- as the code counts them
	agent_id		theazo.id NOT NULL,
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	fn				text NOT NULL,
	args_summary	text NOT NULL,						-- at most 200 characters, masked
	allowed			boolean NOT NULL,
	counted			boolean NOT NULL,					-- against the limit of calls
	violation		boolean NOT NULL DEFAULT false,
	effect_id		theazo.id,							-- the request it became
	occurred_at		timestamptz NOT NULL,
	duration_ms		integer,							-- null: under way
	error			text
) PARTITION BY RANGE (root_id);

-- The signed statement about an execution: exactly these bytes.
CREATE TABLE theazo_data.attestation (
	platform_id		theazo.id NOT NULL,
	number			bigint NOT NULL,					-- of the execution
	id				text COLLATE "C" NOT NULL,			-- att_ and the SHA-256 of the statement
	agent_id		theazo.id NOT NULL,
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	statement		text NOT NULL,
	key_id			theazo.id NOT NULL,					-- audit_key.id
	signature		bytea NOT NULL,						-- Ed25519
	provider_document jsonb,							-- evidence of whoever ran it, as it came
	provider_kind	text,								-- what was found of it: verified, unverified, refused
	evidence		text,								-- of the execution, exactly as it was hashed
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	CONSTRAINT attestation_pkey PRIMARY KEY (platform_id, number),
	CONSTRAINT attestation_signature_check CHECK (pg_catalog.octet_length(signature) = 64)
);

-- One call of a running execution.
CREATE TYPE theazo_internal.host_ask AS (
	r			theazo_data.run,
	x			theazo_data.execution,
	call		integer,
	fn			text,
	kind		text,
	args		jsonb,
	at			timestamptz,
	slot		integer,
	deadline	timestamptz
);
