-- gateway.sql: what the REST face remembers of requests.

-- Answers to requests that carried an Idempotency-Key, for a day. What answered with a credential is not kept.
CREATE TABLE theazo_data.rest_reply (
	platform_id		theazo.id NOT NULL,
	environment		text NOT NULL,
	session_id		text NOT NULL,						-- of a caller that is narrowed to one, else empty
	key				text NOT NULL,
	request_hash	bytea NOT NULL,						-- of method, target and body
	status			integer,							-- null: the request waits for a run, or its answer is not kept
	headers			jsonb NOT NULL DEFAULT '{}',
	body			text,
	waits			jsonb,								-- {run, then, args}: the answer is made from the run each time
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT rest_reply_pkey PRIMARY KEY (platform_id, environment, session_id, key)
);
CREATE INDEX rest_reply_created_at_idx ON theazo_data.rest_reply (created_at);
