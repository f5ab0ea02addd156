-- budget.sql: budgets, what was spent of them, and what is reserved.
--
-- What is spent stands in the ledger (charge). To be asked before every call it is kept as sums as well: each charge adds a row
-- to spend_delta in its own transaction and touches no row that others need; the keeper and the dispatchers fold those rows
-- into spend. So spent = spend.used + what is not folded yet, and with the reservations it is read in one statement.

-- Monthly budgets beside the limits of a session, a run and an agent, which stand with those.
CREATE TABLE theazo_data.budget (
	platform_id		theazo.id NOT NULL,					-- operator: the platform it is for; the operator platform: all together
	environment		text NOT NULL,						-- live, test; empty: both (operator)
	level			text NOT NULL,						-- platform, user, operator
	subject			text NOT NULL DEFAULT '',			-- user: whose; '*': everybody who has none of his own
	monthly			bigint NOT NULL,					-- millionths of a cent a calendar month, UTC
	alerts			jsonb NOT NULL DEFAULT '[]',		-- [{threshold, channel, action}]
	set_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT budget_pkey PRIMARY KEY (platform_id, environment, level, subject),
	CONSTRAINT budget_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT budget_environment_check CHECK (environment IN ('live', 'test') OR environment = '' AND level = 'operator'),
	CONSTRAINT budget_level_check CHECK (level IN ('platform', 'user', 'operator')),
	CONSTRAINT budget_subject_check CHECK ((subject <> '') = (level = 'user')),
	CONSTRAINT budget_monthly_check CHECK (monthly >= 0)
);

-- Thresholds that were reached: each once in a month. A budget that is set anew begins anew.
CREATE TABLE theazo_data.budget_fired (
	platform_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	level			text NOT NULL,
	subject			text NOT NULL,						-- user: who reached it, also under the budget of everybody
	period			text NOT NULL,						-- YYYY-MM
	threshold		numeric NOT NULL,
	fired_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT budget_fired_pkey PRIMARY KEY (platform_id, environment, level, subject, period, threshold)
);

-- What was spent in a span of time. Of platforms and users each month; of a session only what its limit asks for.
CREATE TABLE theazo_data.spend (
	platform_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	level			text NOT NULL,						-- platform, user, session
	subject			text NOT NULL,						-- user or session; platform: empty
	period			text NOT NULL,						-- YYYY-MM, or YYYY-MM-DD where a session's limit is a day's; UTC
	used			bigint NOT NULL,					-- millionths of a cent
	CONSTRAINT spend_pkey PRIMARY KEY (platform_id, environment, level, subject, period),
	CONSTRAINT spend_level_check CHECK (level IN ('platform', 'user', 'session'))
)
-- the same few rows again and again
WITH (fillfactor = 50);

-- Charges that are not in spend yet.
CREATE TABLE theazo_data.spend_delta (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- of the charge
	environment		text NOT NULL,
	session_id		theazo.id,
	user_id			text,
	amount			bigint NOT NULL,					-- of the charge
	occurred_at		timestamptz NOT NULL,				-- decides the period, as in the ledger
	CONSTRAINT spend_delta_pkey PRIMARY KEY (platform_id, id)
)
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- Money that is promised: to the call of a run that is under way, and what the run drew beyond it for its next ones; to the
-- started minutes of a sandbox. A row goes with its run or sandbox.
CREATE TABLE theazo_data.reservation (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- of the run or the sandbox; the agent's for the fee of one made for its run
	environment		text NOT NULL,
	session_id		theazo.id,							-- these three null: a sandbox that is made ahead
	user_id			text,
	agent_id		theazo.id,
	held			bigint NOT NULL,					-- millionths of a cent, all of it
	need			bigint NOT NULL DEFAULT 0,			-- of that: for what is under way; the rest may be taken for others
	made_at			timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	drawn_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),	-- when the levels above were looked at last
	CONSTRAINT reservation_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT reservation_held_check CHECK (need >= 0 AND held >= need)
)
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- A session to be paused, because its limit was hit or an alert says so: the keeper does it, once, whoever noticed.
CREATE TABLE theazo_data.limit_hit (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- hit_
	session_id		theazo.id NOT NULL,
	rule			text NOT NULL,						-- limit:<name>, or budget:<level> that an alert pauses for
	was				jsonb,								-- the limit as it stood; null: looked at when it is carried out
	hit_at			timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	CONSTRAINT limit_hit_pkey PRIMARY KEY (platform_id, id)
);

-- Live sandboxes of a session, and its limited ones: asked for where a limit counts them.
CREATE INDEX sandbox_session_id_idx ON theazo_data.sandbox (platform_id, session_id);
CREATE INDEX session_duration_idx ON theazo_data.session (platform_id, id)
	WHERE status = 'active' AND limits OPERATOR(pg_catalog.?) 'maxDuration';
