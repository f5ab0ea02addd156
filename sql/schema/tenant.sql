-- tenant.sql: platforms, keys, role bindings, sessions, definitions, agents.

CREATE TABLE theazo_data.platform (
	platform_id			theazo.id NOT NULL,
	name				text NOT NULL,
	compute_mode		text NOT NULL DEFAULT 'managed',
	primitives_enabled	boolean NOT NULL DEFAULT true,
	plan				text NOT NULL DEFAULT 'free',
	state				text NOT NULL DEFAULT 'active',
	metadata			jsonb NOT NULL DEFAULT '{}',
	allow_private		boolean NOT NULL DEFAULT false,	-- operator: this platform's endpoints may be private
	allow_http			boolean NOT NULL DEFAULT false,	-- operator: ... and plain http
	vault_salt			bytea,								-- set with the first secret
	secret_delivery		text NOT NULL DEFAULT 'env',		-- of secrets and definitions that do not say
	created_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT platform_pkey PRIMARY KEY (platform_id),
	CONSTRAINT platform_name_check CHECK (pg_catalog.length(name) BETWEEN 1 AND 200),
	CONSTRAINT platform_secret_delivery_check CHECK (secret_delivery IN ('env', 'brokered')),
	CONSTRAINT platform_compute_mode_check CHECK (compute_mode IN ('managed', 'byoi')),
	CONSTRAINT platform_state_check CHECK (state IN ('active', 'deleted', 'reserved'))	-- reserved: the operator's
);

CREATE TABLE theazo_data.api_key (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- key_
	name			text NOT NULL,
	environment		text NOT NULL,
	kind			text NOT NULL,						-- th_live, th_test, tzk
	prefix			text NOT NULL,						-- first 12 characters and ...
	key_hash		bytea NOT NULL,						-- SHA-256 of the whole key
	scopes			text[] NOT NULL DEFAULT '{*}',
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	expires_at		timestamptz,
	revoked_at		timestamptz,
	rotated_to		theazo.id,
	made_by			text,								-- key:... or role:...; null: the operator
	last_used_at	timestamptz,
	session_id		theazo.id,							-- acts for this session only
	CONSTRAINT api_key_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT api_key_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT api_key_environment_check CHECK (environment IN ('live', 'test')),
	CONSTRAINT api_key_kind_check CHECK (kind IN ('th_live', 'th_test', 'tzk')),
	CONSTRAINT api_key_hash_check CHECK (pg_catalog.octet_length(key_hash) = 32)
);
CREATE INDEX api_key_hash_idx ON theazo_data.api_key (key_hash);

-- A database role that acts for a platform. By name: role OIDs do not survive a dump.
CREATE TABLE theazo_data.platform_role (
	platform_id		theazo.id NOT NULL,
	role_name		name NOT NULL,
	scopes			text[] NOT NULL DEFAULT '{*}',
	environment		text NOT NULL DEFAULT 'live',
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT platform_role_pkey PRIMARY KEY (platform_id, role_name),
	CONSTRAINT platform_role_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT platform_role_environment_check CHECK (environment IN ('live', 'test'))
);
CREATE INDEX platform_role_role_name_idx ON theazo_data.platform_role (role_name);

CREATE TABLE theazo_data.session (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- ses_
	user_id			text NOT NULL,
	key_environment	text NOT NULL DEFAULT 'live',		-- live or test: who may see it
	environment		text NOT NULL,						-- production, staging, development
	status			text NOT NULL DEFAULT 'active',
	metadata		jsonb NOT NULL DEFAULT '{}',
	limits			jsonb NOT NULL DEFAULT '{}',
	limits_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),	-- when they were set last
	compute			jsonb,
	models			jsonb,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	paused_at		timestamptz,
	paused_reason	text,
	terminated_at	timestamptz,
	CONSTRAINT session_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT session_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT session_user_id_check CHECK (pg_catalog.length(user_id) BETWEEN 1 AND 256),
	CONSTRAINT session_key_environment_check CHECK (key_environment IN ('live', 'test')),
	CONSTRAINT session_environment_check CHECK (environment IN ('production', 'staging', 'development')),
	CONSTRAINT session_status_check CHECK (status IN ('active', 'paused', 'terminated'))
);
CREATE INDEX session_user_id_idx ON theazo_data.session (platform_id, user_id, id);

CREATE TABLE theazo_data.definition (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- adef_
	name			text NOT NULL,
	version			integer NOT NULL,					-- the current one
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	deleted_at		timestamptz,
	CONSTRAINT definition_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT definition_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform
);
CREATE INDEX definition_name_idx ON theazo_data.definition (platform_id, name, id);

CREATE TABLE theazo_data.definition_version (
	platform_id		theazo.id NOT NULL,
	definition_id	theazo.id NOT NULL,
	version			integer NOT NULL,
	content			jsonb NOT NULL,
	changelog		text NOT NULL,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT definition_version_pkey PRIMARY KEY (platform_id, definition_id, version),
	CONSTRAINT definition_version_definition_fkey FOREIGN KEY (platform_id, definition_id)
		REFERENCES theazo_data.definition (platform_id, id)
);

CREATE TABLE theazo_data.agent (
	platform_id			theazo.id NOT NULL,
	id					theazo.id NOT NULL,				-- agt_
	session_id			theazo.id NOT NULL,
	user_id				text NOT NULL,
	key_environment		text NOT NULL,					-- of its session
	definition_id		theazo.id,
	definition_version	integer,
	status				text NOT NULL DEFAULT 'booting',
	compute				text NOT NULL DEFAULT 'python',
	provider			text NOT NULL,					-- as shown: theazo when managed
	model				text NOT NULL,
	managed_loop		boolean NOT NULL DEFAULT true,
	one_shot			boolean NOT NULL DEFAULT false,
	options				jsonb NOT NULL DEFAULT '{}',		-- everything else of the creation call
	sandbox_id			theazo.id,						-- the live one
	run_id				theazo.id,						-- the run in progress
	error				text,
	status_before_pause	text,
	paused_by			text,							-- user, session, idle, failure
	retry_at			timestamptz,					-- its last task starts again then
	task_run_id			theazo.id,						-- its last run of the loop
	memory_root			text COLLATE "C",				-- root of the last one that ended well
	parent_run_id		theazo.id,						-- the run that made it
	resumed_at			timestamptz,					-- its last pause ended then
	paused_seconds		numeric NOT NULL DEFAULT 0,		-- of all pauses that have ended
	labels				text[] NOT NULL DEFAULT '{}',	-- of what it remembers
	created_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	paused_at			timestamptz,
	ended_at			timestamptz,
	CONSTRAINT agent_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT agent_session_id_fkey FOREIGN KEY (platform_id, session_id)
		REFERENCES theazo_data.session (platform_id, id),
	CONSTRAINT agent_key_environment_check CHECK (key_environment IN ('live', 'test')),
	CONSTRAINT agent_status_check CHECK (status IN ('booting', 'ready', 'running', 'paused', 'completed', 'failed')),
	CONSTRAINT agent_compute_check CHECK (compute IN ('python', 'node', 'go'))
);
CREATE INDEX agent_session_id_idx ON theazo_data.agent (platform_id, session_id, id);
-- What the keeper looks at every few seconds: agents that end or fall asleep by themselves.
CREATE INDEX agent_timed_idx ON theazo_data.agent (platform_id, id)
	WHERE status <> 'completed'
	  AND (options OPERATOR(pg_catalog.?) 'maxDuration' OR options OPERATOR(pg_catalog.?) 'checkpointInterval' OR options OPERATOR(pg_catalog.?) 'hibernateAfterIdle'
		   OR options OPERATOR(pg_catalog.#>) '{lifecycle,autoPause,afterIdle}' IS NOT NULL);

CREATE INDEX agent_retry_idx ON theazo_data.agent (retry_at) WHERE retry_at IS NOT NULL;

-- Compute and model providers a platform configured.
CREATE TABLE theazo_data.provider (
	platform_id		theazo.id NOT NULL,
	kind			text NOT NULL,
	name			text NOT NULL,
	type			text NOT NULL,						-- adapter
	mode			text NOT NULL DEFAULT 'byoi',
	endpoint		text,
	credential_ref	text,
	signing_ref		text,
	config			jsonb NOT NULL DEFAULT '{}',
	priority		integer NOT NULL DEFAULT 100,
	limits			jsonb NOT NULL DEFAULT '{}',
	capabilities	jsonb NOT NULL DEFAULT '{}',			-- learnt: {"pause": false}
	tested			jsonb,								-- compute: the last round trip: status, at, ms, error
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT provider_pkey PRIMARY KEY (platform_id, kind, name),
	CONSTRAINT provider_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT provider_kind_check CHECK (kind IN ('compute', 'model')),
	CONSTRAINT provider_mode_check CHECK (mode IN ('byoi', 'managed'))
);

-- Small and unpartitioned: uniqueness across partitions does not exist.
CREATE TABLE theazo_data.idempotency_key (
	platform_id		theazo.id NOT NULL,
	scope			text NOT NULL,						-- 'exec:agt_...'
	key				text NOT NULL,
	request_hash	bytea NOT NULL,
	object_id		theazo.id NOT NULL,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT idempotency_key_pkey PRIMARY KEY (platform_id, scope, key)
);
CREATE INDEX idempotency_key_created_at_idx ON theazo_data.idempotency_key (created_at);
