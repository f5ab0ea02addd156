-- model.sql: the agent loop: its steps and messages, tools, prices of models.
--
-- What belongs to a run lies with it, partitioned by its root. History is append-only: a message is
-- kept as the provider sent or took it, because some refuse one that was written anew.

-- What a run of kind agent needs beside its row: fixed at the start, but for the counters.
CREATE TABLE theazo_data.run_loop (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	agent_id		theazo.id NOT NULL,
	chain			jsonb NOT NULL,						-- providers to try, best first
	at				smallint NOT NULL DEFAULT 0,		-- place in the chain
	system			text NOT NULL DEFAULT '',			-- instructions
	options			jsonb NOT NULL DEFAULT '{}',		-- max_tokens, temperature, schema of the answer
	tools			jsonb NOT NULL DEFAULT '[]',		-- as offered: name, description, parameters, kind
	tools_hash		bytea NOT NULL,						-- SHA-256 of them
	prior			text[] COLLATE "C" NOT NULL DEFAULT '{}',	-- roots of earlier runs in the history, oldest first
	prior_tokens	integer[] NOT NULL DEFAULT '{}',	-- of each of them, estimated
	role_name		name,								-- database role that asked: SQL tools run as it
	cost_cap		bigint,								-- millionths of a cent
	spent			bigint NOT NULL DEFAULT 0,
	max_steps		integer NOT NULL DEFAULT 25,		-- model calls
	model_calls		integer NOT NULL DEFAULT 0,
	last_seq		integer NOT NULL DEFAULT 0,			-- of steps
	open_tools		integer NOT NULL DEFAULT 0,			-- tool calls of this round without an answer
	corrections		smallint NOT NULL DEFAULT 0,		-- answers sent back because they did not fit their schema
	messages		integer NOT NULL DEFAULT 0,			-- of this run
	tokens			integer NOT NULL DEFAULT 0,			-- of them, estimated
	paused			boolean NOT NULL DEFAULT false,		-- its agent is: stop at the next boundary
	suspended		boolean NOT NULL DEFAULT false,		-- has stopped there: goes on when the agent is resumed
	deadline		timestamptz NOT NULL,
	parent_root		theazo.root,						-- of the run that started it
	policy			jsonb NOT NULL DEFAULT '{}',		-- permissions, guardrails and limits as they were at the start
	labels			text[] NOT NULL DEFAULT '{}',		-- of what it has read
	started_by		text[] NOT NULL DEFAULT '{}'		-- whose request it is: key:, role:, session:
) PARTITION BY RANGE (root_id);

CREATE TABLE theazo_data.step (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	seq				integer NOT NULL,
	round			integer NOT NULL,					-- the model call it belongs to, counted from 1
	kind			text NOT NULL,						-- model, tool
	state			text NOT NULL DEFAULT 'queued',
	name			text NOT NULL,						-- canonical model or tool
	call_id			text,								-- tool: the model's id of the call
	effect_id		theazo.id,							-- null: answered at once
	provider		text,								-- as shown
	adapter			text,
	attempts		smallint NOT NULL DEFAULT 1,		-- providers tried for this step
	input_tokens	bigint,								-- without what came from a cache
	cache_read_tokens bigint,
	cache_write_tokens bigint,
	output_tokens	bigint,								-- with reasoning
	reasoning_tokens bigint,
	cost			bigint NOT NULL DEFAULT 0,			-- millionths of a cent
	estimated		boolean NOT NULL DEFAULT false,
	stop			text,								-- why the model stopped
	request_id		text,								-- the provider's
	started_at		timestamptz,
	ended_at		timestamptz,
	ended_no		smallint,							-- tool: how many of its round had ended with it
	error_code		text,
	error_message	text,
	approval_id		theazo.id,							-- tool: the one it waits or waited for
	CONSTRAINT step_kind_check CHECK (kind IN ('model', 'tool')),
	CONSTRAINT step_state_check CHECK (state IN ('queued', 'waiting', 'done', 'failed', 'unknown', 'cancelled'))
) PARTITION BY RANGE (root_id);

CREATE TABLE theazo_data.step_payload (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	seq				integer NOT NULL,
	input			jsonb,								-- tool: arguments
	output			text,								-- tool: what the model is told; model: text
	raw				jsonb								-- model: usage and limits as reported; tool: files a command handed over
) PARTITION BY RANGE (root_id);

CREATE TABLE theazo_data.message (
	platform_id		theazo.id NOT NULL,
	root_id			theazo.root NOT NULL,
	seq				integer NOT NULL,
	role			text NOT NULL,						-- user, assistant, tool
	canonical		jsonb NOT NULL,						-- for another dialect
	dialect			text NOT NULL,						-- anthropic, chat, responses
	wire			text NOT NULL,						-- in that dialect, as it goes out; several with commas between
	tokens			integer NOT NULL,					-- estimate
	CONSTRAINT message_role_check CHECK (role IN ('user', 'assistant', 'tool'))
) PARTITION BY RANGE (root_id);

-- What was sent to an agent while it was at work or idle: part of its next run.
CREATE TABLE theazo_data.agent_input (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- inp_
	agent_id		theazo.id NOT NULL,
	session_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	type			text NOT NULL,
	content			text NOT NULL,
	metadata		jsonb,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),	-- the order in which they are read
	run_id			theazo.id,							-- the run that took it
	role_name		name,								-- whose functions a run may call that begins because of it
	labels			text[] NOT NULL DEFAULT '{}',		-- of the run that sent it
	sent_by			text[] NOT NULL DEFAULT '{}',		-- as started_by of the run that reads it
	CONSTRAINT agent_input_pkey PRIMARY KEY (platform_id, id)
);
CREATE INDEX agent_input_agent_id_idx ON theazo_data.agent_input (platform_id, agent_id, created_at) WHERE run_id IS NULL;
CREATE INDEX agent_input_run_id_idx ON theazo_data.agent_input (platform_id, run_id) WHERE run_id IS NOT NULL;
CREATE INDEX agent_input_created_at_idx ON theazo_data.agent_input (created_at) WHERE run_id IS NOT NULL;

-- Tools of a platform beside the built-in ones.
CREATE TABLE theazo_data.tool (
	platform_id		theazo.id NOT NULL,
	name			text NOT NULL,
	description		text NOT NULL,
	parameters		jsonb NOT NULL,						-- JSON schema of the arguments
	type			text NOT NULL,						-- webhook, sql
	url				text,								-- webhook
	secret_ref		text,								-- webhook: name of the signing secret in the platform's vault
	sql_function	text,								-- sql: schema.name(argument types)
	read_only		boolean NOT NULL DEFAULT true,		-- sql
	timeout_ms		integer NOT NULL DEFAULT 30000,
	requires_approval boolean NOT NULL DEFAULT false,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT tool_pkey PRIMARY KEY (platform_id, name),
	CONSTRAINT tool_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT tool_name_check CHECK (name OPERATOR(pg_catalog.~) '^[A-Za-z0-9_-]{1,64}$'),
	CONSTRAINT tool_type_check CHECK (type IN ('webhook', 'sql'))
);

-- Operator's list prices of models, laid over theazo_internal.model_price_book(), in millionths of a
-- cent per million tokens. Over the threshold of prompt tokens the second five hold for the whole call.
-- Some hold for one of the operator's providers only, or for one tier of service.
CREATE TABLE theazo_data.model_price (
	platform_id		theazo.id NOT NULL,					-- the operator platform, or one platform
	model			text NOT NULL,						-- canonical id
	valid_from		timestamptz NOT NULL,
	input			numeric NOT NULL,
	cache_read		numeric NOT NULL,
	cache_write_5m	numeric NOT NULL,
	cache_write_1h	numeric NOT NULL,
	output			numeric NOT NULL,
	threshold_tokens integer,
	over_input		numeric,
	over_cache_read	numeric,
	over_cache_write_5m numeric,
	over_cache_write_1h numeric,
	over_output		numeric,
	currency		text NOT NULL DEFAULT 'usd',
	provider		text NOT NULL DEFAULT '',			-- the operator's entry it is for; empty: any
	tier			text NOT NULL DEFAULT '',			-- as the vendor calls it; empty: the usual one
	web_search		numeric,							-- of one search by the vendor, in millionths of a cent
	CONSTRAINT model_price_pkey PRIMARY KEY (platform_id, model, provider, tier, valid_from),
	CONSTRAINT model_price_check CHECK (least(input, cache_read, cache_write_5m, cache_write_1h, output, over_input, over_cache_read,
		over_cache_write_5m, over_cache_write_1h, over_output, web_search) >= 0)
);

-- Circuit breaker of a provider: a row only after something failed. With a model: the pause that the provider itself asked for,
-- which is nobody's failure.
CREATE TABLE theazo_data.provider_health (
	platform_id		theazo.id NOT NULL,
	kind			text NOT NULL,
	name			text NOT NULL,
	model			text NOT NULL DEFAULT '',			-- canonical id of the one that is paused; empty: the provider
	failures		integer NOT NULL DEFAULT 0,			-- in a row
	open_until		timestamptz,						-- nothing is sent before
	last_error		text,
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT provider_health_pkey PRIMARY KEY (platform_id, kind, name, model)
);
