-- anchor.sql: where the roots of the audit trail go, and how far that is. What was confirmed stands in
-- audit_anchor, which nobody changes; these tables are configuration and state.

CREATE TABLE theazo_data.anchor (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	name			text NOT NULL,
	kind			text NOT NULL,						-- rfc3161, evm, file
	config			jsonb NOT NULL,						-- where, and what that kind needs
	credential_ref	text,								-- operator's secret, sent as bearer token
	instance		text NOT NULL,						-- a copy of the database must not use the same account
	failing_since	timestamptz,						-- no success since then
	error			text,								-- of the last failure
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT anchor_pkey PRIMARY KEY (platform_id, name),
	CONSTRAINT anchor_name_check CHECK (name OPERATOR(pg_catalog.~) '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'),
	CONSTRAINT anchor_kind_check CHECK (kind IN ('rfc3161', 'evm', 'file'))
);

-- One round on its way to one anchor.
CREATE TABLE theazo_data.anchor_attempt (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	round_id		theazo.id NOT NULL,
	name			text NOT NULL,						-- of the anchor
	state			text NOT NULL DEFAULT 'waiting',
	effect_id		theazo.id,							-- the last one
	tries			integer NOT NULL DEFAULT 0,
	due_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	step_state		jsonb,								-- where the next effect goes on: nonce, hash
	error			text,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT anchor_attempt_pkey PRIMARY KEY (platform_id, round_id, name),
	CONSTRAINT anchor_attempt_state_check CHECK (state IN ('waiting', 'sending', 'confirmed', 'superseded', 'abandoned'))
);
CREATE INDEX anchor_attempt_open_idx ON theazo_data.anchor_attempt (platform_id, name, round_id) WHERE state IN ('waiting', 'sending');

-- When was last looked for something to anchor: one row.
CREATE TABLE theazo_data.anchor_clock (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	looked_at		timestamptz NOT NULL,
	asked_at		timestamptz,						-- somebody wants a round now
	CONSTRAINT anchor_clock_pkey PRIMARY KEY (platform_id)
);
