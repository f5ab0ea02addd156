-- vault.sql: sealed secrets. Values never leave workers; see docs/vault.md.

CREATE TABLE theazo_data.secret (
	platform_id		theazo.id NOT NULL,
	session_id		text COLLATE "C" NOT NULL DEFAULT '',	-- '' : the platform's own
	name			text NOT NULL,
	version			integer NOT NULL,
	delivery		text,									-- env, brokered; null: as definition or platform say
	hosts			text[] NOT NULL DEFAULT '{}',			-- brokered: the only hosts it is sent to
	header			text,									-- brokered: as this header; null: Authorization
	username		text,									-- brokered: as basic authentication of this user
	master_key_id	text NOT NULL,						-- fingerprint of the master key it is sealed under
	salt			bytea NOT NULL,						-- 32 random bytes
	sealed			bytea NOT NULL,						-- AES-256-GCM: format byte, ciphertext and tag
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	last_used_at	timestamptz,
	CONSTRAINT secret_pkey PRIMARY KEY (platform_id, session_id, name),
	CONSTRAINT secret_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT secret_name_check CHECK (name OPERATOR(pg_catalog.~) '^[A-Za-z0-9_. -]{1,128}$'),
	CONSTRAINT secret_delivery_check CHECK (delivery IN ('env', 'brokered')),
	CONSTRAINT secret_header_check CHECK (header IS NULL OR username IS NULL)
);
CREATE INDEX secret_master_key_id_idx ON theazo_data.secret (master_key_id);

-- One row for each version there ever was, without its value. A name that is set again after
-- it was deleted goes on counting, so that no version means two values. What replaces a version is the
-- row of the next one, so that setting a secret adds one row and changes none; only a deletion is
-- written here.
CREATE TABLE theazo_data.secret_version (
	platform_id		theazo.id NOT NULL,
	session_id		text COLLATE "C" NOT NULL DEFAULT '',
	name			text NOT NULL,
	version			integer NOT NULL,
	actor_kind		text NOT NULL,						-- who set it: key, role, worker
	actor			text,
	set_at			timestamptz NOT NULL,
	ended_at		timestamptz,						-- when it was deleted
	end_reason		text,								-- deleted
	CONSTRAINT secret_version_pkey PRIMARY KEY (platform_id, session_id, name, version),
	CONSTRAINT secret_version_end_reason_check CHECK (end_reason IN ('deleted'))
);

-- What was put into a sandbox that may still live, sealed as it was then: its output is masked by
-- it even after the secret has been replaced or deleted. Rows end with their sandbox.
CREATE TABLE theazo_data.secret_delivered (
	platform_id		theazo.id NOT NULL,
	sandbox_id		theazo.id NOT NULL,
	session_id		text COLLATE "C" NOT NULL,			-- the vault it came from, '' : the platform's
	name			text NOT NULL,
	version			integer NOT NULL,
	master_key_id	text NOT NULL,
	salt			bytea NOT NULL,
	sealed			bytea NOT NULL,
	delivered_at	timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT secret_delivered_pkey PRIMARY KEY (platform_id, sandbox_id, session_id, name, version)
);
CREATE INDEX secret_delivered_master_key_id_idx ON theazo_data.secret_delivered (master_key_id);

-- Keys that theazo made itself, sealed like secrets: of end users, whose personal fields in events are
-- sealed under theirs, and of the operator platform. Without its row a key is gone.
CREATE TABLE theazo_data.data_key (
	platform_id		theazo.id NOT NULL,
	id				theazo.id NOT NULL,					-- uky_ of an end user, aky_ of the audit trail
	environment		text NOT NULL DEFAULT 'live',
	user_id			text,								-- uky_: whose it is
	master_key_id	text NOT NULL,
	salt			bytea NOT NULL,
	sealed			bytea NOT NULL,						-- 32 bytes, under the id as name and version 0
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT data_key_pkey PRIMARY KEY (platform_id, id)
);
CREATE INDEX data_key_user_id_idx ON theazo_data.data_key (platform_id, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX data_key_master_key_id_idx ON theazo_data.data_key (master_key_id);

-- One row per master key ever seen: a known value sealed under it, so that a wrong key fails at once.
CREATE TABLE theazo_data.master_key (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	id				text NOT NULL,						-- fingerprint
	salt			bytea NOT NULL,
	check_value		bytea NOT NULL,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	retired_at		timestamptz,						-- nothing is sealed under it any more, or it is lost
	lost			boolean NOT NULL DEFAULT false,		-- given up by the operator
	CONSTRAINT master_key_pkey PRIMARY KEY (platform_id, id)
);

-- Sealing everything anew under the current master key, carried on by the keeper.
CREATE TABLE theazo_data.vault_rotation (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	id				theazo.id NOT NULL,					-- vrt_
	master_key_id	text NOT NULL,						-- the key everything goes to
	state			text NOT NULL DEFAULT 'running',
	batch			integer NOT NULL,					-- values a transaction
	total			bigint NOT NULL,					-- values under other keys at the start
	done			bigint NOT NULL DEFAULT 0,
	failed			bigint NOT NULL DEFAULT 0,			-- in this pass
	failures		jsonb NOT NULL DEFAULT '[]',		-- the first of them: platform, session, name, version, reason
	pass			integer NOT NULL DEFAULT 1,			-- rows that others held are met again in the next
	pass_done		bigint NOT NULL DEFAULT 0,
	reached			text[],								-- last row of the pass: table and key
	draining		text[],								-- transactions that may still copy what they read before
	waiting			text,								-- why it stands still
	due_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	started_by		text NOT NULL,
	started_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	finished_at		timestamptz,
	CONSTRAINT vault_rotation_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT vault_rotation_state_check CHECK (state IN ('running', 'done', 'incomplete'))
);
CREATE UNIQUE INDEX vault_rotation_running_idx ON theazo_data.vault_rotation (platform_id) WHERE state = 'running';
