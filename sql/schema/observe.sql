-- observe.sql: what is known of sandboxes and agents at work, beside logs and spans.

-- The newest progress of each agent: of its model, or of a program in its sandbox.
CREATE TABLE theazo_data.progress (
	platform_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	run_id			theazo.id NOT NULL,					-- that reported it
	percentage		numeric,
	message			text NOT NULL DEFAULT '',
	reported_at		timestamptz NOT NULL,
	CONSTRAINT progress_pkey PRIMARY KEY (platform_id, agent_id)
);

-- Figures of sandboxes, at most so many of each: the oldest go first.
CREATE TABLE theazo_data.sandbox_sample (
	platform_id		theazo.id NOT NULL,
	sandbox_id		theazo.id NOT NULL,
	taken_at		timestamptz NOT NULL,
	session_id		theazo.id NOT NULL,
	agent_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	cpu_percent		double precision,
	memory_mb		double precision,
	disk_mb			double precision,
	CONSTRAINT sandbox_sample_pkey PRIMARY KEY (platform_id, sandbox_id, taken_at)
);
CREATE INDEX sandbox_sample_taken_at_idx ON theazo_data.sandbox_sample (taken_at);

-- Spans of time whose rows are kept no longer. The operator platform's: of whole tables, for every platform.
CREATE TABLE theazo_data.expiry (
	platform_id		theazo.id NOT NULL,
	what			text NOT NULL,						-- the table
	from_at			timestamptz NOT NULL,
	to_at			timestamptz NOT NULL,
	event_id		theazo.id NOT NULL,					-- that says so
	CONSTRAINT expiry_pkey PRIMARY KEY (platform_id, what, from_at)
);
