-- run.sql: sandboxes, and the partitioned tables of the one path.
--
-- Partitioned parents carry CHECKs, row triggers and policies, but no primary key, unique
-- constraint, index or foreign key: pg_dump restores a partition and then adds its keys, which
-- collides with what the parent made. theazo_internal.partition_make() gives each partition its own.
-- run and event are partitioned by their id; what belongs to a run by root_id, the part of
-- the run's id after the prefix (or of their own id), so a run's rows lie together.

-- One that is made ahead, for whoever comes, has no session, agent and user until it is given away.
CREATE TABLE theazo_data.sandbox (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- sbx_
	session_id		theazo.id,
	agent_id		theazo.id,
	user_id			text,
	environment		text NOT NULL,
	provider		text NOT NULL,						-- as shown: theazo when managed
	provider_name	text,								-- provider row; theazo:name the operator's; null: local, managed
	adapter			text NOT NULL,						-- local, webhook
	managed			boolean NOT NULL,
	external_id		text,								-- the provider's id
	status			text NOT NULL DEFAULT 'creating',
	isolation		text,								-- local: full, namespaces
	worker_slot		integer,							-- local: dispatcher that holds it
	incarnation		bigint,								-- local: of that dispatcher
	started_at		timestamptz,
	billed_until	timestamptz,						-- end of the last closed interval
	billed_seconds	bigint NOT NULL DEFAULT 0,			-- sum of all intervals so far
	paused_seconds	numeric NOT NULL DEFAULT 0,
	paused_at		timestamptz,
	browser			boolean NOT NULL DEFAULT false,		-- billed at another price
	tried			text[] NOT NULL DEFAULT '{}',		-- providers that failed before this one
	snapshot		text,								-- the provider's, while paused there
	snapshot_id		theazo.id,							-- ours of that
	metadata		jsonb,								-- what the provider said at creation
	sampled_at		timestamptz,						-- when its figures were last asked for
	labels			text[] NOT NULL DEFAULT '{}',		-- of what was put into it
	instance		text NOT NULL,						-- of the database that made it
	labelled		text,								-- the instance its provider knows it by, where that is another
	status_before_hold text,							-- while held
	lifetime_s		integer,							-- what was asked for, at creation or last
	expires_at		timestamptz,						-- its provider ends it then; null: never, or nobody says when
	renew_at		timestamptz,						-- more time is asked for then
	seen_at			timestamptz,						-- its provider last said so that it is there
	missed			smallint NOT NULL DEFAULT 0,		-- times in a row that its provider did not list it
	reap_at			timestamptz,						-- unknown: when it is destroyed again, should it be there; else: when its provider is asked for a twin
	reaps			smallint NOT NULL DEFAULT 0,		-- how often that was done
	policy			text NOT NULL DEFAULT 'unconfirmed',	-- what its provider says of what was asked for
	policy_found	jsonb,								-- its words
	definition_id	theazo.id,							-- made ahead for agents of this
	pool_key		text,								-- and like this
	assigned_at		timestamptz,						-- given away then
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	ended_at		timestamptz,
	CONSTRAINT sandbox_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT sandbox_status_check CHECK (status IN ('creating', 'warm', 'ready', 'paused', 'destroying', 'destroyed', 'lost', 'failed', 'unknown', 'held')),
	CONSTRAINT sandbox_policy_check CHECK (policy IN ('confirmed', 'unconfirmed', 'weaker')),
	CONSTRAINT sandbox_owner_check CHECK (agent_id IS NOT NULL AND session_id IS NOT NULL AND user_id IS NOT NULL
										  OR pool_key IS NOT NULL AND status NOT IN ('ready', 'paused'))
);
CREATE INDEX sandbox_agent_id_idx ON theazo_data.sandbox (platform_id, agent_id);
CREATE INDEX sandbox_live_idx ON theazo_data.sandbox (status, billed_until)
	WHERE status IN ('creating', 'ready', 'paused', 'destroying');
-- What providers list is named by this alone.
CREATE INDEX sandbox_id_idx ON theazo_data.sandbox (id);
CREATE INDEX sandbox_warm_idx ON theazo_data.sandbox (platform_id, definition_id, status) WHERE definition_id IS NOT NULL;
CREATE INDEX sandbox_reap_idx ON theazo_data.sandbox (reap_at) WHERE reap_at IS NOT NULL;

CREATE TABLE theazo_data.run (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- run_
	session_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	user_id			text NOT NULL,
	environment		text NOT NULL,						-- live, test
	kind			text NOT NULL,						-- agent, exec, file_write, file_read, file_list, metrics, port_expose, http_fetch, tool_test, script
	status			text NOT NULL DEFAULT 'queued',
	language		text,
	provider		text NOT NULL,
	timeout_ms		integer NOT NULL,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	started_at		timestamptz,
	ended_at		timestamptz,
	exit_code		integer,
	cost			bigint NOT NULL DEFAULT 0,			-- millionths of a cent
	trace_id		theazo.id,
	error_sqlstate	text,
	error_code		text,								-- REST code
	error_message	text,
	error_hint		text,
	outcome_unknown	boolean NOT NULL DEFAULT false,
	cancel_requested boolean NOT NULL DEFAULT false,
	parent_id		theazo.id,							-- the run that started it
	execution		bigint,								-- number of the execution that it is
	CONSTRAINT run_kind_check CHECK (kind IN ('exec', 'file_write', 'file_read', 'file_list', 'metrics', 'port_expose', 'http_fetch', 'tool_test', 'agent', 'script')),
	CONSTRAINT run_status_check CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled'))
) PARTITION BY RANGE (id);

CREATE TABLE theazo_data.run_payload (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,				-- of the run
	input			jsonb NOT NULL DEFAULT '{}',
	content			bytea,
	result			jsonb,
	result_content	bytea,
	verdict			text NOT NULL DEFAULT 'none'		-- that let the result out; none: nothing was delivered
) PARTITION BY RANGE (root_id);

CREATE TABLE theazo_data.effect (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	id				theazo.id NOT NULL,					-- eff_; idempotency key of every attempt
	kind			text NOT NULL,						-- area.verb, no CHECK: an unknown one is held
	adapter			text NOT NULL,
	contract		smallint NOT NULL DEFAULT 1,
	state			text NOT NULL DEFAULT 'queued',
	step			smallint NOT NULL DEFAULT 0,
	attempt			integer NOT NULL DEFAULT 0,
	max_attempts	integer NOT NULL DEFAULT 1,
	due_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	deadline		timestamptz,						-- nothing is sent after this
	timeout_ms		integer NOT NULL DEFAULT 30000,		-- of one call
	affinity		integer,							-- dispatcher slot that must carry it
	incarnation		bigint,								-- of the worker that claimed it
	claimed_at		timestamptz,
	lease_until		timestamptz,
	sent_at			timestamptz,
	finished_at		timestamptz,
	instance		text NOT NULL,						-- system identifier : database oid
	run_id			theazo.id,
	session_id		theazo.id,
	agent_id		theazo.id,
	sandbox_id		theazo.id,
	step_seq		integer,							-- of the run's step it carries out
	provider_name	text,								-- as of the sandbox
	cancel_requested boolean NOT NULL DEFAULT false,
	error_code		text,
	error_message	text,
	held_reason		text,								-- claimed: 'refused' where the claim itself says that it must not leave
	CONSTRAINT effect_state_check CHECK (state IN ('queued', 'claimed', 'sent', 'done', 'failed', 'unknown', 'held', 'cancelled'))
) PARTITION BY RANGE (root_id);

CREATE TABLE theazo_data.effect_payload (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	id				theazo.id NOT NULL,					-- of the effect
	request			jsonb NOT NULL,
	content			bytea,
	step_state		jsonb,
	result			jsonb
) PARTITION BY RANGE (root_id);

CREATE TABLE theazo_data.charge (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	id				theazo.id NOT NULL,					-- chg_, derived from its cause
	environment		text NOT NULL,
	session_id		theazo.id,
	agent_id		theazo.id,
	run_id			theazo.id,
	user_id			text,
	effect_id		theazo.id,
	sandbox_id		theazo.id,
	item			text NOT NULL,						-- compute.second, agent.fee, ...
	quantity		numeric NOT NULL,
	amount			bigint NOT NULL,					-- millionths of a cent
	currency		text NOT NULL DEFAULT 'usd',
	payer			text NOT NULL,						-- theazo, provider
	provider		text,
	model			text,
	input_tokens	bigint,								-- model calls: without what came from a cache
	cached_tokens	bigint,
	output_tokens	bigint,
	estimated		boolean NOT NULL DEFAULT false,
	interval_start	timestamptz,
	interval_end	timestamptz,
	occurred_at		timestamptz NOT NULL,
	provider_cents	numeric,							-- what the provider says it costs, for information
	CONSTRAINT charge_payer_check CHECK (payer IN ('theazo', 'provider'))
) PARTITION BY RANGE (root_id);

CREATE TABLE theazo_data.log (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	id				theazo.id NOT NULL,					-- log_
	environment		text NOT NULL,
	occurred_at		timestamptz NOT NULL,
	level			text NOT NULL,
	source			text NOT NULL,
	session_id		theazo.id,
	agent_id		theazo.id,
	run_id			theazo.id,
	user_id			text,
	provider		text,
	trace_id		theazo.id,
	message			text NOT NULL,
	metadata		jsonb,
	CONSTRAINT log_level_check CHECK (level IN ('debug', 'info', 'warn', 'error')),
	CONSTRAINT log_source_check CHECK (source IN ('agent', 'system', 'provider', 'model'))
) PARTITION BY RANGE (root_id);

-- The row with no parent_id is the trace itself.
CREATE TABLE theazo_data.span (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	id				theazo.id NOT NULL,					-- spn_ (tr_ for the trace row)
	trace_id		theazo.id NOT NULL,
	parent_id		theazo.id,
	environment		text NOT NULL,
	session_id		theazo.id,
	agent_id		theazo.id,
	run_id			theazo.id,
	name			text NOT NULL,
	status			text NOT NULL,
	started_at		timestamptz NOT NULL,
	ended_at		timestamptz,
	attributes		jsonb NOT NULL DEFAULT '{}',
	CONSTRAINT span_status_check CHECK (status IN ('running', 'completed', 'failed'))
) PARTITION BY RANGE (root_id);

-- Operator's prices, laid over theazo_internal.price_book(). platform_id: the operator platform, or one platform.
CREATE TABLE theazo_data.price (
	platform_id		theazo.id NOT NULL,
	item			text NOT NULL,
	valid_from		timestamptz NOT NULL,
	amount			numeric NOT NULL,					-- millionths of a cent per unit
	unit			text NOT NULL,
	currency		text NOT NULL DEFAULT 'usd',
	CONSTRAINT price_pkey PRIMARY KEY (platform_id, item, valid_from),
	CONSTRAINT price_amount_check CHECK (amount >= 0)
);

-- What the machine offers for local sandboxes, written by dispatchers at start.
CREATE TABLE theazo_data.preflight (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	instance		text NOT NULL,
	mode			text NOT NULL,
	checks			jsonb NOT NULL,						-- [{name, ok, found, hint}]
	checked_at		timestamptz NOT NULL,
	CONSTRAINT preflight_pkey PRIMARY KEY (platform_id, instance)
);
