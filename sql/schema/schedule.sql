-- schedule.sql: work that begins by itself: at times a cron expression means, or when another system says so; and what
-- became of each time.

-- What is to be begun, for whom: the same columns in schedules and triggers.
CREATE TYPE theazo_internal.fire_target AS (
	kind		text,
	agent		text,
	agent_id	text,
	user_id		text,
	max_cost	numeric,
	timeout_ms	integer,
	role_name	name,
	asked_by	text[]
);

CREATE TABLE theazo_data.schedule (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- sch_
	environment		text NOT NULL,
	name			text NOT NULL,
	target			text NOT NULL,						-- agent: one made for it, by definition or role; run: an agent that is there; governed
	agent			text NOT NULL,						-- as it was given
	agent_id		theazo.id,							-- run, governed
	user_id			text NOT NULL,
	max_cost		numeric,							-- cents
	timeout_ms		integer,
	role_name		name NOT NULL,						-- as whom tools that are functions run
	asked_by		text[] NOT NULL,					-- whose request it is
	input			jsonb NOT NULL DEFAULT '{}',
	cron			text NOT NULL,
	timezone		text NOT NULL,						-- in which cron is read
	overlap			text NOT NULL,						-- when the one before still runs
	catchup			text NOT NULL,						-- when the server was away
	catchup_window	interval,							-- window: how old a time may be
	jitter			interval NOT NULL DEFAULT '0',		-- at most so much later, each time anew
	status			text NOT NULL DEFAULT 'active',
	due_at			timestamptz,						-- the next time; null: paused
	next_at			timestamptz,						-- when it is begun: with jitter, or put off
	last_at			timestamptz,						-- when the last one began
	fires			bigint NOT NULL DEFAULT 0,			-- that began
	skips			bigint NOT NULL DEFAULT 0,			-- that did not, because of the one before
	misses			bigint NOT NULL DEFAULT 0,			-- that did not, because the server was away
	instance		text NOT NULL,						-- a copy of the database begins nothing by itself
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	paused_at		timestamptz,
	CONSTRAINT schedule_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT schedule_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT schedule_environment_check CHECK (environment IN ('live', 'test')),
	CONSTRAINT schedule_target_check CHECK (target IN ('agent', 'run', 'governed') AND (target = 'agent') = (agent_id IS NULL)),
	CONSTRAINT schedule_status_check CHECK (status IN ('active', 'paused')),
	CONSTRAINT schedule_overlap_check CHECK (overlap IN ('skip', 'queue', 'parallel', 'cancel_previous')),
	CONSTRAINT schedule_catchup_check CHECK (catchup IN ('none', 'last', 'all', 'window')),
	CONSTRAINT schedule_window_check CHECK ((catchup = 'window') = (catchup_window IS NOT NULL)),
	CONSTRAINT schedule_due_check CHECK (status = 'active' OR due_at IS NULL AND next_at IS NULL)
);
CREATE INDEX schedule_user_id_idx ON theazo_data.schedule (platform_id, user_id);
-- What the keeper has to begin.
CREATE INDEX schedule_next_idx ON theazo_data.schedule (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE theazo_data.trigger (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- trg_
	environment		text NOT NULL,
	name			text NOT NULL,
	target			text NOT NULL,						-- agent: one made for it, by definition or role; run: an agent that is there; governed
	agent			text NOT NULL,						-- as it was given
	agent_id		theazo.id,							-- run, governed
	user_id			text NOT NULL,
	max_cost		numeric,							-- cents
	timeout_ms		integer,
	role_name		name NOT NULL,						-- as whom tools that are functions run
	asked_by		text[] NOT NULL,					-- whose request it is
	key_id			theazo.id NOT NULL,					-- data_key: what bodies are signed with
	secret_hint		text NOT NULL,						-- its beginning, to tell it by
	fires			bigint NOT NULL DEFAULT 0,
	last_at			timestamptz,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	CONSTRAINT trigger_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT trigger_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT trigger_environment_check CHECK (environment IN ('live', 'test')),
	CONSTRAINT trigger_target_check CHECK (target IN ('agent', 'run', 'governed') AND (target = 'agent') = (agent_id IS NULL))
);
CREATE INDEX trigger_user_id_idx ON theazo_data.trigger (platform_id, user_id);
-- Whoever calls one names it alone.
CREATE INDEX trigger_id_idx ON theazo_data.trigger (id);

-- Each time, also those at which nothing began. A time of a schedule is there once, whoever was first.
CREATE TABLE theazo_data.schedule_fire (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- exe_
	environment		text NOT NULL,
	source_id		theazo.id NOT NULL,					-- sch_, trg_
	cause			text NOT NULL,						-- due; late: made up for; manual; trigger
	due_at			timestamptz,						-- due, late: the time that was meant
	status			text NOT NULL,						-- that its run has ended, the keeper notes after a while
	input			jsonb,								-- trigger: what came; else the schedule's
	session_id		theazo.id,
	agent_id		theazo.id,
	run_id			theazo.id,
	fee				bigint NOT NULL DEFAULT 0,			-- millionths of a cent
	cost			bigint,								-- of all of it, once it has ended
	error_code		text,
	error_message	text,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	started_at		timestamptz,
	ended_at		timestamptz,
	CONSTRAINT schedule_fire_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT schedule_fire_cause_check CHECK (cause IN ('due', 'late', 'manual', 'trigger')),
	CONSTRAINT schedule_fire_status_check CHECK (status IN ('queued', 'running', 'completed', 'failed', 'skipped')),
	CONSTRAINT schedule_fire_run_check CHECK (run_id IS NOT NULL OR status <> 'running')
);
CREATE UNIQUE INDEX schedule_fire_due_key ON theazo_data.schedule_fire (platform_id, source_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX schedule_fire_source_idx ON theazo_data.schedule_fire (platform_id, source_id, id);
CREATE INDEX schedule_fire_open_idx ON theazo_data.schedule_fire (platform_id, source_id, id) WHERE status IN ('queued', 'running');
CREATE INDEX schedule_fire_created_idx ON theazo_data.schedule_fire (created_at);
