-- checkpoint.sql: what of an agent is kept beside it: snapshots and checkpoints; and what providers were asked to list.

-- A sandbox as it was at a moment. What a provider keeps is paid by the day; where one keeps nothing there is the row alone.
CREATE TABLE theazo_data.snapshot (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- snap_
	session_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	user_id			text NOT NULL,
	environment		text NOT NULL,
	sandbox_id		theazo.id,							-- of which it was taken; null: there was none
	origin			text NOT NULL,						-- pause, checkpoint
	status			text NOT NULL DEFAULT 'pending',
	provider		text NOT NULL,						-- as of the sandbox
	provider_name	text,
	adapter			text,
	managed			boolean NOT NULL DEFAULT false,
	handle			text,								-- the provider's name of it; null: no files are kept
	size_bytes		bigint,								-- as the provider says
	labels			text[] NOT NULL DEFAULT '{}',		-- of the sandbox
	memory_root		theazo.root,						-- of the last run that the agent remembered
	effect_id		theazo.id,							-- that takes it
	billed_until	timestamptz,						-- end of the last day that is booked
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	taken_at		timestamptz,
	ended_at		timestamptz,						-- given up then
	CONSTRAINT snapshot_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT snapshot_origin_check CHECK (origin IN ('pause', 'checkpoint')),
	CONSTRAINT snapshot_status_check CHECK (status IN ('pending', 'taking', 'kept', 'empty', 'ended')),
	CONSTRAINT snapshot_kept_check CHECK (status <> 'kept' OR handle IS NOT NULL)
);
CREATE INDEX snapshot_agent_id_idx ON theazo_data.snapshot (platform_id, agent_id);
CREATE INDEX snapshot_open_idx ON theazo_data.snapshot (status) WHERE status IN ('pending', 'taking');
CREATE INDEX snapshot_billed_idx ON theazo_data.snapshot (billed_until) WHERE billed_until IS NOT NULL;

-- Files of the machine's own sandboxes, packed; of others their providers keep them.
CREATE TABLE theazo_data.snapshot_content (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- of the snapshot
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	content			bytea NOT NULL,
	CONSTRAINT snapshot_content_pkey PRIMARY KEY (platform_id, id)
);
ALTER TABLE theazo_data.snapshot_content ALTER COLUMN content SET STORAGE EXTERNAL;

-- What runs have written into files by tool and the rows of their steps hold, one row a run, as long as those rows are there.
CREATE TABLE theazo_data.artifact (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,				-- of the run
	session_id		theazo.id NOT NULL,
	user_id			text NOT NULL,
	environment		text NOT NULL,
	size_bytes		bigint NOT NULL,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	CONSTRAINT artifact_pkey PRIMARY KEY (platform_id, root_id)
);
CREATE INDEX artifact_session_id_idx ON theazo_data.artifact (platform_id, session_id);

-- Up to when the artifacts of a session are booked; the operator platform's, without a session: of all of them.
CREATE TABLE theazo_data.artifact_account (
	platform_id		theazo.id NOT NULL,
	session_id		text NOT NULL,
	billed_until	timestamptz NOT NULL,
	CONSTRAINT artifact_account_pkey PRIMARY KEY (platform_id, session_id)
);

-- Where an agent can be taken back to. Conversations are not copied: they are runs, and a run knows those before it.
CREATE TABLE theazo_data.checkpoint (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- ckpt_
	session_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	snapshot_id		theazo.id NOT NULL,
	memory_root		theazo.root,						-- of the last run that the agent remembers
	labels			text[] NOT NULL DEFAULT '{}',		-- of what that holds
	phase			text,
	progress		numeric NOT NULL DEFAULT 0,
	metadata		jsonb,
	automatic		boolean NOT NULL DEFAULT false,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT checkpoint_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT checkpoint_progress_check CHECK (progress BETWEEN 0 AND 100)
);
CREATE INDEX checkpoint_agent_id_idx ON theazo_data.checkpoint (platform_id, agent_id, id);

-- When a provider was last asked which sandboxes it has, and what came of it. One row an account; of the machine itself one a
-- dispatcher.
CREATE TABLE theazo_data.compute_sweep (
	platform_id		theazo.id NOT NULL,					-- the operator platform for its accounts and the machine
	provider_name	text NOT NULL,						-- as of a sandbox; local: its dispatcher's slot
	adapter			text NOT NULL,
	due_at			timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	root_id			theazo.root,						-- of the effect that asks
	effect_id		theazo.id,
	asked_at		timestamptz,
	answered_at		timestamptz,
	listing			jsonb,								-- an answer nobody has looked at yet
	listed			integer,							-- sandboxes of the last answer
	lost			bigint NOT NULL DEFAULT 0,			-- rows whose sandbox was not there, in all
	reaped			bigint NOT NULL DEFAULT 0,			-- sandboxes that were nobody's, in all
	error			text,								-- why the last answer was none
	CONSTRAINT compute_sweep_pkey PRIMARY KEY (platform_id, provider_name)
);
