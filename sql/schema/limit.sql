-- limit.sql: the kill switch and rate limits.

-- What is halted. Inserting is all that a kill does, and it locks nothing that somebody else might hold: no key to
-- other tables, and no uniqueness, so that the same thing may be halted twice. A row stays; lifting it fills two columns.
CREATE TABLE theazo_data.halt (
	platform_id		theazo.id NOT NULL,					-- the operator platform: everything
	id				theazo.id NOT NULL,					-- hlt_
	kind			text NOT NULL,
	target			theazo.id,							-- agent, session or run; null: all of the platform, or all platforms
	only_environment text,								-- null: live and test
	session_id		theazo.id,							-- of the target: who acts for that session sees it
	by_operator		boolean NOT NULL DEFAULT false,		-- only the operator lifts it
	reason			text NOT NULL,
	halted_by		text NOT NULL,						-- kind and name of the actor
	halted_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	applied_at		timestamptz,						-- nothing that it holds for was under way any more
	halt_ms			bigint,								-- from halted_at until then
	affected		jsonb NOT NULL DEFAULT '{}',			-- what it ended: runs, executions, calls, sandboxes
	lifted_at		timestamptz,
	lifted_by		text,
	CONSTRAINT halt_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT halt_kind_check CHECK (kind IN ('agent', 'session', 'run', 'platform', 'global')),
	CONSTRAINT halt_target_check CHECK ((target IS NULL) = (kind IN ('platform', 'global'))),
	CONSTRAINT halt_only_environment_check CHECK (only_environment IN ('live', 'test')),
	CONSTRAINT halt_reason_check CHECK (pg_catalog.length(reason) BETWEEN 1 AND 200)
);
-- A run that was killed and has ended cannot begin again, so its halt is over.
CREATE INDEX halt_in_force_idx ON theazo_data.halt (platform_id) WHERE lifted_at IS NULL AND (kind <> 'run' OR applied_at IS NULL);

-- Rates. A platform sets its own, the operator sets some for one platform or for all (rows of the operator platform);
-- of both, the stricter holds.
CREATE TABLE theazo_data.rate_limit (
	platform_id		theazo.id NOT NULL,
	set_by			text NOT NULL,
	scope			text NOT NULL,
	subject			text NOT NULL DEFAULT '',			-- key, session, agent or provider; empty: all that have none of their own
	per_minute		numeric NOT NULL,
	burst			integer NOT NULL,
	set_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT rate_limit_pkey PRIMARY KEY (platform_id, set_by, scope, subject),
	CONSTRAINT rate_limit_set_by_check CHECK (set_by IN ('platform', 'operator')),
	CONSTRAINT rate_limit_scope_check CHECK (scope IN ('key', 'platform', 'session', 'agent', 'run', 'spawn', 'provider')),
	CONSTRAINT rate_limit_per_minute_check CHECK (per_minute > 0),
	CONSTRAINT rate_limit_burst_check CHECK (burst BETWEEN 1 AND 1000000)
);

-- Drills of the kill switch: calls that do nothing, halted, and how long that took. Of the operator platform.
CREATE TABLE theazo_data.halt_drill (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- drl_
	target			theazo.id NOT NULL,					-- agent that the calls say they belong to; there is none
	calls			integer NOT NULL,
	status			text NOT NULL DEFAULT 'starting',
	halt_id			theazo.id,
	started_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	halted_at		timestamptz,
	ended_at		timestamptz,
	in_flight		integer,							-- when the halt was committed
	cut				integer,							-- of those
	p50_ms			numeric,							-- from the halt to the cut, as dispatchers saw it
	p99_ms			numeric,
	max_ms			numeric,
	error			text,
	CONSTRAINT halt_drill_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT halt_drill_status_check CHECK (status IN ('starting', 'halted', 'passed', 'failed'))
);
CREATE INDEX halt_drill_open_idx ON theazo_data.halt_drill (started_at) WHERE status IN ('starting', 'halted');
