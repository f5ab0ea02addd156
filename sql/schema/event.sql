-- event.sql: the audit facts. Insert-only for everyone, on every partition.

CREATE TABLE theazo_data.event (
	platform_id			theazo.id NOT NULL,
	id					theazo.id NOT NULL,				-- evt_
	occurred_at			timestamptz NOT NULL,
	xid					xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
	instance			text NOT NULL,
	environment			text NOT NULL,
	session_id			theazo.id,
	agent_id			theazo.id,
	run_id				theazo.id,
	actor_kind			text NOT NULL,					-- key, role, worker, operator
	actor_id			text NOT NULL,
	request_id			text,
	category			text NOT NULL,
	action				text NOT NULL,
	permission_state	text,
	decision			text,
	rule				text,
	is_violation		boolean NOT NULL DEFAULT false,
	personal			jsonb,							-- commitments of personal fields
	format				smallint NOT NULL DEFAULT 1,
	body				bytea NOT NULL,					-- the exact bytes that are hashed
	CONSTRAINT event_actor_kind_check CHECK (actor_kind IN ('key', 'role', 'worker', 'operator')),
	CONSTRAINT event_body_check CHECK (pg_catalog.octet_length(body) <= 16384)
) PARTITION BY RANGE (id);
