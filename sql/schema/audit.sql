-- audit.sql: what makes events provable: chain, tree, signed checkpoints and anchors. See docs/audit.md.
--
-- Sealing gives committed events their place: a sequence number of their platform, a link of its hash chain and
-- a leaf of its RFC 9162 tree. Rows here are added and never changed; the few tables that are state or
-- configuration say so.

-- A run of events with their places in the chain. Events in a row ascend by id, span at most 10 s of id time
-- and never the border of a month: so the row of an event is found by max_id, without an index entry an event.
CREATE TABLE theazo_data.seal (
	platform_id		theazo.id NOT NULL,
	first_seq		bigint NOT NULL,					-- sequence number of its first event; the platform's first is 1
	events			integer NOT NULL,					-- how many
	sealed_at		timestamptz NOT NULL,
	prev_hash		bytea NOT NULL,						-- end of the chain before it
	hash			bytea NOT NULL,						-- end of the chain after it
	min_id			theazo.id NOT NULL,					-- of its events
	max_id			theazo.id NOT NULL,
	ids				bytea NOT NULL,						-- 16 bytes an event: the binary form of the id's 26 characters
	leaves			bytea NOT NULL,						-- 32 bytes an event: the leaf of the tree
	frontier		bytea NOT NULL,						-- roots of the perfect subtrees after it, largest first, 32 bytes each
	CONSTRAINT seal_pkey PRIMARY KEY (platform_id, first_seq),
	CONSTRAINT seal_platform_id_max_id_key UNIQUE (platform_id, max_id),
	CONSTRAINT seal_first_seq_check CHECK (first_seq >= 1),
	CONSTRAINT seal_events_check CHECK (events BETWEEN 1 AND 128),
	CONSTRAINT seal_hash_check CHECK (pg_catalog.octet_length(prev_hash) = 32 AND pg_catalog.octet_length(hash) = 32),
	CONSTRAINT seal_id_check CHECK (min_id <= max_id),
	CONSTRAINT seal_length_check CHECK (pg_catalog.octet_length(ids) = 16 * events AND pg_catalog.octet_length(leaves) = 32 * events
		AND pg_catalog.octet_length(frontier) BETWEEN 32 AND 2048)
)
-- hashes do not compress, and a row of 7 KB read whole is cheaper than its pieces
WITH (toast_tuple_target = 8160);

-- Roots of complete, aligned subtrees of 2^level leaves; the levels between are computed.
CREATE TABLE theazo_data.tree_node (
	platform_id		theazo.id NOT NULL,
	level			smallint NOT NULL,					-- 8, 16, 24 and so on
	index			bigint NOT NULL,					-- from 0 within its level
	hash			bytea NOT NULL,
	CONSTRAINT tree_node_pkey PRIMARY KEY (platform_id, level, index),
	CONSTRAINT tree_node_level_check CHECK (level BETWEEN 8 AND 56 AND level % 8 = 0),
	CONSTRAINT tree_node_index_check CHECK (index >= 0),
	CONSTRAINT tree_node_hash_check CHECK (pg_catalog.octet_length(hash) = 32)
);

-- Signed heads: so many leaves, this root, this end of the chain.
CREATE TABLE theazo_data.audit_checkpoint (
	platform_id		theazo.id NOT NULL,
	tree_size		bigint NOT NULL,					-- leaves, which is also the last sequence number
	signed_at		timestamptz NOT NULL,
	root			bytea NOT NULL,						-- of the tree
	chain			bytea NOT NULL,						-- the hash after its last event
	key_id			theazo.id NOT NULL,					-- audit_key.id
	note			text NOT NULL,						-- C2SP signed note: what is published
	CONSTRAINT audit_checkpoint_pkey PRIMARY KEY (platform_id, tree_size),
	CONSTRAINT audit_checkpoint_tree_size_check CHECK (tree_size >= 1),
	CONSTRAINT audit_checkpoint_hash_check CHECK (pg_catalog.octet_length(root) = 32 AND pg_catalog.octet_length(chain) = 32),
	CONSTRAINT audit_checkpoint_note_check CHECK (pg_catalog.octet_length(note) <= 4096)
);

CREATE INDEX audit_checkpoint_signed_at_idx ON theazo_data.audit_checkpoint (signed_at);

-- Ed25519 keys that sign checkpoints. retired_at is the one thing that changes.
CREATE TABLE theazo_data.audit_key (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	id				theazo.id NOT NULL,					-- aky_
	public_key		bytea NOT NULL,						-- 32 bytes
	sealed			bytea NOT NULL,						-- the seed: fingerprint of the master key, salt, ciphertext
	created_at		timestamptz NOT NULL,
	retired_at		timestamptz,						-- signs no more; what it signed still verifies
	CONSTRAINT audit_key_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT audit_key_public_key_check CHECK (pg_catalog.octet_length(public_key) = 32)
);

-- How far sealing has come: transactions below next_xid are sealed, but for the open ones. State of this
-- database, so pg_dump leaves it out: transaction ids mean nothing in another cluster.
CREATE TABLE theazo_data.audit_cursor (
	platform_id		theazo.id NOT NULL,					-- the operator platform: one row
	instance		text NOT NULL,						-- whose transaction ids they are
	next_xid		xid8 NOT NULL,
	open_xids		xid8[] NOT NULL,					-- below next_xid, running then
	CONSTRAINT audit_cursor_pkey PRIMARY KEY (platform_id)
);

-- Transactions that brought events by SQL or COPY, as a restore does: those without a seal are looked for. State,
-- not dumped.
CREATE TABLE theazo_data.audit_sweep (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	id				theazo.id NOT NULL,					-- asw_
	xid				xid8 NOT NULL,
	CONSTRAINT audit_sweep_pkey PRIMARY KEY (platform_id, id)
);

-- One round of anchoring: checkpoints of all platforms with new seals, as leaves of a small tree.
CREATE TABLE theazo_data.audit_round (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	id				theazo.id NOT NULL,					-- rnd_
	created_at		timestamptz NOT NULL,
	size			integer NOT NULL,					-- leaves
	root			bytea NOT NULL,						-- what is anchored
	CONSTRAINT audit_round_pkey PRIMARY KEY (platform_id, id),
	CONSTRAINT audit_round_size_check CHECK (size >= 1),
	CONSTRAINT audit_round_root_check CHECK (pg_catalog.octet_length(root) = 32)
);

-- A platform's checkpoint in a round, with the path from its leaf to the root.
CREATE TABLE theazo_data.audit_round_leaf (
	platform_id		theazo.id NOT NULL,					-- whose checkpoint
	round_id		theazo.id NOT NULL,
	index			integer NOT NULL,					-- of the leaf, from 0
	tree_size		bigint NOT NULL,					-- of the checkpoint
	path			bytea NOT NULL,						-- 32 bytes a hash, leaf to root
	CONSTRAINT audit_round_leaf_pkey PRIMARY KEY (platform_id, round_id),
	CONSTRAINT audit_round_leaf_index_check CHECK (index >= 0),
	CONSTRAINT audit_round_leaf_path_check CHECK (pg_catalog.octet_length(path) % 32 = 0)
);
CREATE INDEX audit_round_leaf_tree_size_idx ON theazo_data.audit_round_leaf (platform_id, tree_size);

-- A confirmed anchor of a round.
CREATE TABLE theazo_data.audit_anchor (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	round_id		theazo.id NOT NULL,
	name			text NOT NULL,						-- of the anchor
	kind			text NOT NULL,						-- rfc3161, evm, file
	confirmed_at	timestamptz NOT NULL,
	evidence		jsonb NOT NULL,						-- what an auditor needs to look it up
	token			bytea,								-- rfc3161: the answer as it came
	CONSTRAINT audit_anchor_pkey PRIMARY KEY (platform_id, round_id, name)
);

-- What became of a month of events: exported, then detached.
CREATE TABLE theazo_data.audit_segment (
	platform_id		theazo.id NOT NULL,					-- the operator platform
	month			text COLLATE "C" NOT NULL,			-- YYYY_MM
	what			text NOT NULL,
	at				timestamptz NOT NULL,
	events			bigint NOT NULL,
	digest			bytea NOT NULL,						-- SHA-256 of what was exported
	CONSTRAINT audit_segment_pkey PRIMARY KEY (platform_id, month, what, at),
	CONSTRAINT audit_segment_month_check CHECK (month OPERATOR(pg_catalog.~) '^[0-9]{4}_[0-9]{2}$'),
	CONSTRAINT audit_segment_what_check CHECK (what IN ('exported', 'detached'))
);
