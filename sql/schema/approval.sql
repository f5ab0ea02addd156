-- approval.sql: what waits for a person: calls that need an approval, permissions agents ask for; and webhooks, which
-- tell of it.
--
-- None of these tables is partitioned: their rows come at the speed of people, and some must be found by a deadline of any
-- run. What was asked for and decided stays; it is evidence.

-- One exact call of one run. It is decided once, and what was decided is carried out in the same transaction.
CREATE TABLE theazo_data.approval (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- apr_
	session_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	user_id			text NOT NULL,
	environment		text NOT NULL,						-- live, test
	run_id			theazo.id NOT NULL,
	step_seq		integer NOT NULL,					-- the step that waits
	action			text NOT NULL,						-- the tool
	params			jsonb NOT NULL,						-- its arguments, as the model gave them
	params_hash		bytea NOT NULL,						-- SHA-256 of them
	tool_hash		bytea NOT NULL,						-- SHA-256 of the definition the model was told, and of what the tool does
	policy_version	text NOT NULL,						-- hash of the policy the run is under and of the agent's approvals option
	requesters		text[] NOT NULL,					-- who started the run and those above it: key:, role:, session:
	status			text NOT NULL DEFAULT 'pending',
	requested_at	timestamptz NOT NULL,
	expires_at		timestamptz NOT NULL,
	default_action	text NOT NULL,						-- deny, approve: carried out when nobody decides in time
	quorum			smallint NOT NULL DEFAULT 1,		-- deciders who must approve the same arguments
	no_self_approval boolean NOT NULL DEFAULT true,		-- who asked may not approve
	modifications	jsonb,								-- what the deciders laid over params
	modified_hash	bytea,								-- SHA-256 of the arguments as approved, when they were modified
	reason			text,
	resolved_at		timestamptz,
	resolved_by		text,								-- key record or role; default_action, run_ended, tool_changed
	used_at			timestamptz,						-- the call began; an approval is used once
	instance		text NOT NULL,						-- of the database that asked
	CONSTRAINT approval_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT approval_session_id_fkey FOREIGN KEY (platform_id, session_id) REFERENCES theazo_data.session (platform_id, id),
	CONSTRAINT approval_status_check CHECK (status IN ('pending', 'approved', 'denied', 'expired')),
	CONSTRAINT approval_default_action_check CHECK (default_action IN ('approve', 'deny')),
	CONSTRAINT approval_quorum_check CHECK (quorum BETWEEN 1 AND 20),
	CONSTRAINT approval_hash_check CHECK (pg_catalog.octet_length(params_hash) = 32 AND pg_catalog.octet_length(tool_hash) = 32),
	-- both hashes of an edit are kept, and an edit has both
	CONSTRAINT approval_modified_check CHECK ((modifications IS NULL) = (modified_hash IS NULL)),
	CONSTRAINT approval_resolved_check CHECK ((status = 'pending') = (resolved_at IS NULL) AND (resolved_at IS NULL) = (resolved_by IS NULL)),
	CONSTRAINT approval_used_check CHECK (used_at IS NULL OR status = 'approved' OR status = 'expired' AND default_action = 'approve')
);
CREATE UNIQUE INDEX approval_step_idx ON theazo_data.approval (platform_id, run_id, step_seq) WHERE status = 'pending';
CREATE INDEX approval_run_id_idx ON theazo_data.approval (platform_id, run_id);
CREATE INDEX approval_due_idx ON theazo_data.approval (expires_at) WHERE status = 'pending';
CREATE INDEX approval_pending_idx ON theazo_data.approval (platform_id, action) WHERE status = 'pending';

-- Who approved which arguments. Several votes of one person, through several keys of one rotation, are one.
CREATE TABLE theazo_data.approval_vote (
	platform_id		theazo.id NOT NULL,
	approval_id		theazo.id NOT NULL,
	voter			text NOT NULL,						-- key: and the first key of its rotation, or role:
	voted_by		text NOT NULL,						-- the key record or role itself
	verdict			text NOT NULL,						-- approve, deny
	params_hash		bytea NOT NULL,						-- SHA-256 of the arguments the vote is for
	modifications	jsonb,
	reason			text,
	voted_at		timestamptz NOT NULL,
	session_id		theazo.id NOT NULL,					-- of the approval
	environment		text NOT NULL,
	CONSTRAINT approval_vote_pkey PRIMARY KEY (platform_id, approval_id, voter, params_hash),
	CONSTRAINT approval_vote_approval_id_fkey FOREIGN KEY (platform_id, approval_id) REFERENCES theazo_data.approval (platform_id, id),
	CONSTRAINT approval_vote_verdict_check CHECK (verdict IN ('approve', 'deny'))
);

-- More rights for one agent, asked for with a reason.
CREATE TABLE theazo_data.permission_request (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- prq_
	number			bigint NOT NULL,					-- the same for contracts that show integers
	session_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	permissions		jsonb NOT NULL,						-- as asked for
	justification	text NOT NULL,
	status			text NOT NULL DEFAULT 'pending',
	requested_by	text NOT NULL,						-- key record or role
	requested_at	timestamptz NOT NULL,
	expires_at		timestamptz NOT NULL,
	granted			jsonb,								-- as approved, perhaps less
	reason			text,
	decided_at		timestamptz,
	decided_by		text,
	CONSTRAINT permission_request_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT permission_request_number_key UNIQUE (platform_id, number),
	CONSTRAINT permission_request_session_id_fkey FOREIGN KEY (platform_id, session_id) REFERENCES theazo_data.session (platform_id, id),
	CONSTRAINT permission_request_status_check CHECK (status IN ('pending', 'approved', 'denied', 'expired')),
	CONSTRAINT permission_request_decided_check CHECK ((status IN ('pending', 'expired')) = (decided_at IS NULL)),
	CONSTRAINT permission_request_granted_check CHECK ((status = 'approved') = (granted IS NOT NULL))
);
CREATE INDEX permission_request_due_idx ON theazo_data.permission_request (expires_at) WHERE status = 'pending';
CREATE INDEX permission_request_agent_id_idx ON theazo_data.permission_request (platform_id, agent_id, id);

-- Where a platform wants to be told of what happens. The signing key is in its vault, under secret_ref.
CREATE TABLE theazo_data.webhook (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- wh_
	environment		text NOT NULL,						-- live, test: of which it is told
	url				text NOT NULL,
	events			text[] NOT NULL,					-- names, or * for all
	secret_ref		text NOT NULL,
	secret_hint		text NOT NULL,						-- the key's beginning, to tell it by
	status			text NOT NULL DEFAULT 'active',
	max_in_flight	integer NOT NULL DEFAULT 100,		-- deliveries under way at once
	failures		integer NOT NULL DEFAULT 0,			-- deliveries that were given up
	last_error		text,								-- of the last one that failed
	failed_at		timestamptz,
	failing_since	timestamptz,						-- the first failure since anything arrived
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	disabled_at		timestamptz,
	disabled_reason	text,								-- gone: the receiver said 410; failing: nothing arrived for days; user
	previous_ref	text,								-- the key before this one: both sign until then
	previous_until	timestamptz,
	CONSTRAINT webhook_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT webhook_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT webhook_environment_check CHECK (environment IN ('live', 'test')),
	CONSTRAINT webhook_status_check CHECK (status IN ('active', 'disabled')),
	CONSTRAINT webhook_disabled_check CHECK (disabled_reason IN ('gone', 'failing', 'user') AND status = 'disabled' OR disabled_reason IS NULL AND status = 'active'),
	CONSTRAINT webhook_in_flight_check CHECK (max_in_flight BETWEEN 1 AND 1000),
	CONSTRAINT webhook_events_check CHECK (pg_catalog.cardinality(events) BETWEEN 1 AND 100)
);
