-- vault.sql: sealed secrets. Values never leave workers; see docs/vault.md.

CREATE TABLE theazo_data.secret (
	platform_id		theazo.id NOT NULL,
	session_id		text COLLATE "C" NOT NULL DEFAULT '',	-- '' : the platform's own
	name			text NOT NULL,
	version			integer NOT NULL,
	delivery		text NOT NULL DEFAULT 'env',
	master_key_id	text NOT NULL,						-- fingerprint of the master key it is sealed under
	salt			bytea NOT NULL,						-- 32 random bytes
	sealed			bytea NOT NULL,						-- AES-256-GCM: ciphertext and tag
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	last_used_at	timestamptz,
	CONSTRAINT secret_pkey PRIMARY KEY (platform_id, session_id, name),
	CONSTRAINT secret_platform_id_fkey FOREIGN KEY (platform_id) REFERENCES theazo_data.platform,
	CONSTRAINT secret_name_check CHECK (name OPERATOR(pg_catalog.~) '^[A-Za-z0-9_. -]{1,128}$'),
	CONSTRAINT secret_delivery_check CHECK (delivery IN ('env', 'brokered'))
);

-- One row per master key ever seen: a known value sealed under it, so that a wrong key fails at once.
CREATE TABLE theazo_data.master_key (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	id				text NOT NULL,						-- fingerprint
	salt			bytea NOT NULL,
	check_value		bytea NOT NULL,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT master_key_pkey PRIMARY KEY (platform_id, id)
);
