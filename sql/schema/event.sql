-- event.sql: the audit facts. Insert-only for everyone, on every partition.

-- All but the last two columns are hashed, in this order (src/lib/entry.h).
CREATE TABLE theazo_data.event (
	platform_id			theazo.id NOT NULL,
	id					theazo.id NOT NULL,				-- evt_
	number				bigint NOT NULL,				-- below 2^53; its upper bits are the time of the id
	occurred_at			timestamptz NOT NULL,
	xid					xid8 NOT NULL,
	instance			text NOT NULL,
	environment			text NOT NULL,
	session_id			theazo.id,
	agent_id			theazo.id,
	run_id				theazo.id,
	actor_kind			text NOT NULL,					-- key, role, worker, operator
	actor_id			text NOT NULL,
	request_id			text,							-- setting theazo.request_id of the caller
	category			text NOT NULL,
	action				text NOT NULL,
	permission_state	text,
	decision			text,
	rule				text,
	is_violation		boolean NOT NULL DEFAULT false,
	personal			text,							-- commitments of personal fields: name:sha256, by name
	body				bytea NOT NULL,					-- the exact bytes of the details
	personal_sealed		bytea,							-- the fields themselves, under a key of the end user
	format				smallint NOT NULL DEFAULT 2,
	CONSTRAINT event_actor_kind_check CHECK (actor_kind IN ('key', 'role', 'worker', 'operator')),
	CONSTRAINT event_body_check CHECK (pg_catalog.octet_length(body) <= 16384)
) PARTITION BY RANGE (id);
