-- clib.sql: what C offers to SQL, by where it comes from.

-- ---- workers, wake-ups, waiting, errors (src/pg) ----

CREATE OR REPLACE FUNCTION theazo_internal.wake(slot integer DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_wake';
COMMENT ON FUNCTION theazo_internal.wake(integer) IS
	'When the transaction commits: wakes a dispatcher of this database that is free, the one of that slot, or all (-1).';

CREATE OR REPLACE FUNCTION theazo_internal.wake_cancel() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_wake_cancel';
COMMENT ON FUNCTION theazo_internal.wake_cancel() IS 'Wakes the dispatchers at commit and tells them to look for cancelled effects.';

CREATE OR REPLACE FUNCTION theazo_internal.wake_halt() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_wake_halt';
COMMENT ON FUNCTION theazo_internal.wake_halt() IS 'Tells every process at commit to read the halts again, and wakes dispatchers and keeper.';

CREATE OR REPLACE FUNCTION theazo_internal.wake_keeper() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_wake_keeper';
COMMENT ON FUNCTION theazo_internal.wake_keeper() IS 'Wakes the keeper of this database when the transaction commits.';

CREATE OR REPLACE FUNCTION theazo_internal.run_notify(run_id text) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_run_notify';
COMMENT ON FUNCTION theazo_internal.run_notify(text) IS 'Wakes who waits for this run, or follows it, when the transaction commits: it has ended.';

CREATE OR REPLACE FUNCTION theazo_internal.run_moved(run_id text) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_run_moved';
COMMENT ON FUNCTION theazo_internal.run_moved(text) IS 'Wakes who follows this run when the transaction commits: it has taken a step.';

CREATE OR REPLACE FUNCTION theazo_internal.run_block(run_id text, timeout_ms integer) RETURNS boolean
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_run_block';
COMMENT ON FUNCTION theazo_internal.run_block(text, integer) IS
	'Waits until a commit concerns the run: true, look again; false, the time is over. The first call for a run returns true at once.';

CREATE OR REPLACE FUNCTION theazo_internal.worker_status(
	OUT kind text, OUT slot integer, OUT pid integer, OUT incarnation bigint, OUT database_id oid,
	OUT started_at timestamptz, OUT state text, OUT inflight integer, OUT note text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_worker_status';
COMMENT ON FUNCTION theazo_internal.worker_status() IS
	'The launcher and every worker place of this database; an empty place has no pid and says why.';

CREATE OR REPLACE FUNCTION theazo_internal.workers_alive() RETURNS bigint[]
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_workers_alive';
COMMENT ON FUNCTION theazo_internal.workers_alive() IS 'Incarnations of the workers of this database that are alive.';

CREATE OR REPLACE FUNCTION theazo_internal.launcher_notice() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_launcher_notice';
COMMENT ON FUNCTION theazo_internal.launcher_notice() IS 'Tells the launcher at commit to look for the extension in this database.';

CREATE OR REPLACE FUNCTION theazo_internal.pause_point(name text, "on" boolean) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_pause_point';
COMMENT ON FUNCTION theazo_internal.pause_point(text, boolean) IS 'Test builds: holds workers at a named place while on.';

CREATE OR REPLACE FUNCTION theazo_internal.pause_points(
	OUT name text, OUT "on" boolean, OUT waiting integer, OUT hits integer)
	RETURNS SETOF record
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_pause_points';
COMMENT ON FUNCTION theazo_internal.pause_points() IS 'Test builds: pause points that were named, and who waits there.';

CREATE OR REPLACE FUNCTION theazo_internal.error_codes(
	OUT sqlstate text, OUT name text, OUT code text, OUT http_status integer, OUT meaning text)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'theazo_error_codes';
COMMENT ON FUNCTION theazo_internal.error_codes() IS 'The SQLSTATEs of class TZ with their REST code and HTTP status.';

-- ---- what models are saying right now (src/stream) ----

CREATE OR REPLACE FUNCTION theazo_internal.stream_generation(effect text, attempt integer) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_stream_generation';
COMMENT ON FUNCTION theazo_internal.stream_generation(text, integer) IS 'Number that tells the text of one attempt from that of another.';

CREATE OR REPLACE FUNCTION theazo_internal.stream_mark(run text) RETURNS integer
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_stream_mark';
COMMENT ON FUNCTION theazo_internal.stream_mark(text) IS 'Taken before rows of a run are looked at: what commits later ends stream_block().';

CREATE OR REPLACE FUNCTION theazo_internal.stream_block(
	run text, mark integer, step integer, generation integer, "position" bigint, timeout_ms integer) RETURNS boolean
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_stream_block';
COMMENT ON FUNCTION theazo_internal.stream_block(text, integer, integer, integer, bigint, integer) IS
	'Waits until a commit concerns the run or its step''s text grows: true, look again; false, the time is over. Step 0: for commits only.';

CREATE OR REPLACE FUNCTION theazo_internal.stream_block_output(
	run text, mark integer, step integer, generation integer, printed bigint, errors bigint, timeout_ms integer) RETURNS boolean
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_stream_block_output';
COMMENT ON FUNCTION theazo_internal.stream_block_output(text, integer, integer, integer, bigint, bigint, integer) IS
	'stream_block() for both streams of a command';

CREATE OR REPLACE FUNCTION theazo_internal.stream_read(
	run text, step integer, wanted integer, "position" bigint,
	OUT generation integer, OUT first bigint, OUT finish bigint, OUT content text)
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_stream_read';
COMMENT ON FUNCTION theazo_internal.stream_read(text, integer, integer, bigint) IS
	'What a model is saying in a step, from a position on, at most 64 KiB. Wanted 0: whatever is there, from its beginning. Generation 0: nothing is.';

-- ---- identifiers (src/pg/ids.c) ----

CREATE OR REPLACE FUNCTION theazo_internal.id_new(prefix text) RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_id_new';
COMMENT ON FUNCTION theazo_internal.id_new(text) IS
	'a new identifier: prefix, underscore, 48 bits of time and 80 random bits in base32';

CREATE OR REPLACE FUNCTION theazo_internal.number_new() RETURNS bigint
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_number_new';
COMMENT ON FUNCTION theazo_internal.number_new() IS 'A number below 2^53 that no event or other row has, for contracts that show integers.';

CREATE OR REPLACE FUNCTION theazo_internal.number_reach("number" bigint) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_number_reach';
COMMENT ON FUNCTION theazo_internal.number_reach(bigint) IS 'Numbers of events go on behind this one.';

CREATE OR REPLACE FUNCTION theazo_internal.id_time(id text) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_id_time';
COMMENT ON FUNCTION theazo_internal.id_time(text) IS
	'when an identifier was made, to the millisecond';

CREATE OR REPLACE FUNCTION theazo_internal.id_floor(ts timestamptz) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_id_floor';
COMMENT ON FUNCTION theazo_internal.id_floor(timestamptz) IS
	'the smallest root of that millisecond: a partition bound';

CREATE OR REPLACE FUNCTION theazo_internal.id_root(id text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_id_root';
COMMENT ON FUNCTION theazo_internal.id_root(text) IS
	'the 26 characters of an identifier after its prefix';

CREATE OR REPLACE FUNCTION theazo_internal.run_root(id text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF
	AS 'MODULE_PATHNAME', 'theazo_run_root';
COMMENT ON FUNCTION theazo_internal.run_root(text) IS
	'the same, null where it is none: tells nothing by failing, so that views under policies may look up by it';

CREATE OR REPLACE FUNCTION theazo_internal.id_derive(prefix text, time_from text, seed text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_id_derive';
COMMENT ON FUNCTION theazo_internal.id_derive(text, text, text) IS
	'an identifier that follows from its inputs: time of time_from, first 80 bits of SHA-256 of seed';

CREATE OR REPLACE FUNCTION theazo_internal.instance() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_instance';
COMMENT ON FUNCTION theazo_internal.instance() IS
	'this instance: system identifier and database oid; a restored or cloned database is another one';

-- ---- who asks (src/auth) ----

CREATE OR REPLACE FUNCTION theazo_internal.identity_set(platform text, key_id text, environment text, scopes text[]) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'theazo_identity_set';
COMMENT ON FUNCTION theazo_internal.identity_set(text, text, text, text[]) IS
	'from here to the end of the transaction this platform asks';

CREATE OR REPLACE FUNCTION theazo_internal.identity_narrow(session_id text, user_id text) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'theazo_identity_narrow';
COMMENT ON FUNCTION theazo_internal.identity_narrow(text, text) IS
	'narrows who asks to one session; there is no way back but the end of the transaction or authenticating again';

CREATE OR REPLACE FUNCTION theazo_internal.identity_clear() RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'theazo_identity_clear';
COMMENT ON FUNCTION theazo_internal.identity_clear() IS
	'forgets who asks';

CREATE OR REPLACE FUNCTION theazo_internal.may_read(scope text) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_may_read';
COMMENT ON FUNCTION theazo_internal.may_read(text) IS
	'for views: does whoever reads them hold this scope; true inside the public functions';

CREATE OR REPLACE FUNCTION theazo_internal.in_maintenance() RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_in_maintenance';
COMMENT ON FUNCTION theazo_internal.in_maintenance() IS
	'does ANALYZE, REINDEX, REFRESH or the like run code of an object''s owner now';

CREATE OR REPLACE FUNCTION theazo_internal.current_platform() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_platform';
COMMENT ON FUNCTION theazo_internal.current_platform() IS
	'platform that asks: as set for this transaction, else the one the outer role is bound to, else null';

CREATE OR REPLACE FUNCTION theazo_internal.current_session() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_session';
COMMENT ON FUNCTION theazo_internal.current_session() IS
	'session this transaction is narrowed to, or null';

CREATE OR REPLACE FUNCTION theazo_internal.current_run() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_run';
COMMENT ON FUNCTION theazo_internal.current_run() IS
	'run whose tool is executing here, in the process of a function that is a tool; null elsewhere';

CREATE OR REPLACE FUNCTION theazo_internal.current_user_id() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_user_id';
COMMENT ON FUNCTION theazo_internal.current_user_id() IS
	'end user of the session this transaction is narrowed to, or null';

CREATE OR REPLACE FUNCTION theazo_internal.current_key() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_key';
COMMENT ON FUNCTION theazo_internal.current_key() IS
	'API key that authenticated this transaction, or null';

CREATE OR REPLACE FUNCTION theazo_internal.current_environment() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_environment';
COMMENT ON FUNCTION theazo_internal.current_environment() IS
	'live or test, by the key or role that asks; null when nobody does';

CREATE OR REPLACE FUNCTION theazo_internal.current_scopes() RETURNS text[]
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_scopes';
COMMENT ON FUNCTION theazo_internal.current_scopes() IS
	'scopes of who asks; null when nobody does';

CREATE OR REPLACE FUNCTION theazo_internal.current_actor_kind() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_actor_kind';
COMMENT ON FUNCTION theazo_internal.current_actor_kind() IS
	'key, role, worker or operator';

CREATE OR REPLACE FUNCTION theazo_internal.current_actor() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_current_actor';
COMMENT ON FUNCTION theazo_internal.current_actor() IS
	'id of the key, or name of the role or worker, that asks';

CREATE OR REPLACE FUNCTION theazo_internal.api_key_make(kind text, OUT key text, OUT prefix text, OUT hash bytea)
	LANGUAGE c VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_api_key_make';
COMMENT ON FUNCTION theazo_internal.api_key_make(text) IS
	'a new API key of 256 random bits, what may be shown of it, and its SHA-256';

CREATE OR REPLACE FUNCTION theazo_internal.key_touch(platform text, key_id text) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_key_touch';
COMMENT ON FUNCTION theazo_internal.key_touch(text, text) IS
	'remembers in shared memory that a key was used now; works in read-only transactions';

CREATE OR REPLACE FUNCTION theazo_internal.keys_touched(OUT platform_id text, OUT key_id text, OUT used_at timestamptz) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'theazo_keys_touched';
COMMENT ON FUNCTION theazo_internal.keys_touched() IS
	'keys used since the last call, with the time; empties the memory of them';

CREATE OR REPLACE FUNCTION theazo_internal.memo_reset() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'theazo_memo_reset';
COMMENT ON FUNCTION theazo_internal.memo_reset() IS
	'trigger of tables that backends remember rows of: with the commit they forget them';

-- ---- audit (src/audit) ----

CREATE OR REPLACE FUNCTION theazo_internal.event_guard() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'theazo_event_guard';
COMMENT ON FUNCTION theazo_internal.event_guard() IS
	'trigger that refuses to change, delete or truncate events';

CREATE OR REPLACE FUNCTION theazo_internal.event_insert() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_event_insert';
COMMENT ON FUNCTION theazo_internal.event_insert() IS
'trigger: notes that rows came by a statement, and refuses one that claims to be written by this instance now';

CREATE OR REPLACE FUNCTION theazo_internal.event_partition_turn(p_name text, p_from_key text, p_to_key text)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'theazo_event_partition_turn';
COMMENT ON FUNCTION theazo_internal.event_partition_turn(text, text, text) IS
'detaches the default partition of events, names it and attaches it for a span, which nobody else may';


-- ---- vault (src/vault) ----

CREATE OR REPLACE FUNCTION theazo_internal.random_bytes(n integer) RETURNS bytea
	LANGUAGE c VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'theazo_random_bytes';
COMMENT ON FUNCTION theazo_internal.random_bytes(integer) IS
	'1 to 1024 cryptographically strong random bytes';

CREATE OR REPLACE FUNCTION theazo_internal.secret_seal(platform text, session text, name text, version integer,
		platform_salt bytea, value text, OUT master_key_id text, OUT salt bytea, OUT sealed bytea)
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'theazo_secret_seal';
COMMENT ON FUNCTION theazo_internal.secret_seal(text, text, text, integer, bytea, text) IS
	'seals a value under the current master key, bound to platform, session, name and version';

CREATE OR REPLACE FUNCTION theazo_internal.secret_opens(platform text, session text, name text, version integer,
		platform_salt bytea, master_key_id text, salt bytea, sealed bytea) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'theazo_secret_opens';
COMMENT ON FUNCTION theazo_internal.secret_opens(text, text, text, integer, bytea, text, bytea, bytea) IS
	'whether a sealed value opens here; raises TZ303 when its master key is missing; never tells the value';

CREATE OR REPLACE FUNCTION theazo_internal.secret_reseal(platform text, session text, name text, version integer,
		platform_salt bytea, master_key_id text, salt bytea, sealed bytea, target text,
		OUT new_salt bytea, OUT new_sealed bytea, OUT fault text)
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'theazo_secret_reseal';
COMMENT ON FUNCTION theazo_internal.secret_reseal(text, text, text, integer, bytea, text, bytea, bytea, text) IS
	'in workers only: seals a sealed value anew under another master key; fault says why it does not open';

CREATE OR REPLACE FUNCTION theazo_internal.master_key_current() RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_master_key_current';
COMMENT ON FUNCTION theazo_internal.master_key_current() IS
	'fingerprint of the master key that seals; raises TZ301 without one';

CREATE OR REPLACE FUNCTION theazo_internal.master_key_loaded(id text) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_master_key_loaded';
COMMENT ON FUNCTION theazo_internal.master_key_loaded(text) IS
	'whether this server holds the master key of a fingerprint';

CREATE OR REPLACE FUNCTION theazo_internal.master_keys(OUT id text, OUT current boolean, OUT source text) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'theazo_master_keys';
COMMENT ON FUNCTION theazo_internal.master_keys() IS
	'fingerprints of the master keys this server holds, and where they came from';

-- ---- procedures that wait (src/worker/procedure.c). They commit, so they are SECURITY INVOKER without SET ----

CREATE OR REPLACE PROCEDURE theazo.exec(
	agent text, language text, code text, timeout interval DEFAULT NULL, env jsonb DEFAULT NULL,
	idempotency_key text DEFAULT NULL, api_key text DEFAULT NULL,
	INOUT run_id text DEFAULT NULL, INOUT stdout text DEFAULT NULL, INOUT stderr text DEFAULT NULL,
	INOUT exit_code integer DEFAULT NULL, INOUT duration_ms bigint DEFAULT NULL, INOUT cost numeric DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_exec';
COMMENT ON PROCEDURE theazo.exec(text, text, text, interval, jsonb, text, text, text, text, text, integer, bigint, numeric) IS
	'Runs code in the agent''s sandbox: commits, waits and returns the result. cost is in cents.';

CREATE OR REPLACE PROCEDURE theazo.file_write(
	agent text, path text, content bytea, api_key text DEFAULT NULL, INOUT run_id text DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_file_write';
COMMENT ON PROCEDURE theazo.file_write(text, text, bytea, text, text) IS
	'Writes a file in the agent''s sandbox: commits, waits and returns.';

CREATE OR REPLACE PROCEDURE theazo.file_read(
	agent text, path text, api_key text DEFAULT NULL,
	INOUT run_id text DEFAULT NULL, INOUT content bytea DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_file_read';
COMMENT ON PROCEDURE theazo.file_read(text, text, text, text, bytea) IS
	'Reads a file of the agent''s sandbox: commits, waits and returns its content.';

CREATE OR REPLACE PROCEDURE theazo.file_list(
	agent text, dir text DEFAULT '/', api_key text DEFAULT NULL,
	INOUT run_id text DEFAULT NULL, INOUT entries jsonb DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_file_list';
COMMENT ON PROCEDURE theazo.file_list(text, text, text, text, jsonb) IS
	'Lists a directory of the agent''s sandbox: commits, waits and returns the entries.';

CREATE OR REPLACE PROCEDURE theazo.port_expose(
	agent text, port integer, api_key text DEFAULT NULL, INOUT run_id text DEFAULT NULL, INOUT url text DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_port_expose';
COMMENT ON PROCEDURE theazo.port_expose(text, integer, text, text, text) IS
	'Makes a port of the agent''s sandbox reachable: commits, waits and returns its address as the provider gives it.';

CREATE OR REPLACE PROCEDURE theazo.http_fetch(
	agent text, url text, method text DEFAULT 'GET', headers jsonb DEFAULT NULL, body text DEFAULT NULL,
	timeout interval DEFAULT NULL, idempotency_key text DEFAULT NULL, api_key text DEFAULT NULL,
	INOUT run_id text DEFAULT NULL, INOUT status integer DEFAULT NULL, INOUT response_headers jsonb DEFAULT NULL,
	INOUT response_body text DEFAULT NULL, INOUT truncated boolean DEFAULT NULL, INOUT duration_ms bigint DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_http_fetch';
COMMENT ON PROCEDURE theazo.http_fetch(text, text, text, jsonb, text, interval, text, text, text, integer, jsonb, text, boolean, bigint) IS
	'Sends an HTTP request from the server on behalf of an agent: commits, waits and returns the answer, whatever its status.';

CREATE OR REPLACE PROCEDURE theazo.tool_test(
	agent text, name text, input jsonb DEFAULT '{}', api_key text DEFAULT NULL,
	INOUT run_id text DEFAULT NULL, INOUT output text DEFAULT NULL, INOUT success boolean DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_tool_test';
COMMENT ON PROCEDURE theazo.tool_test(text, text, jsonb, text, text, text, boolean) IS
	'Tries a tool as a model would call it: commits, waits and returns what it said and whether it worked.';

CREATE OR REPLACE PROCEDURE theazo.run(
	agent text, task text, max_cost numeric DEFAULT NULL, timeout interval DEFAULT NULL, max_steps integer DEFAULT NULL,
	response_schema jsonb DEFAULT NULL, idempotency_key text DEFAULT NULL, api_key text DEFAULT NULL,
	INOUT run_id text DEFAULT NULL, INOUT output text DEFAULT NULL, INOUT cost numeric DEFAULT NULL, INOUT duration_ms bigint DEFAULT NULL,
	INOUT tool_calls jsonb DEFAULT NULL, INOUT artifacts jsonb DEFAULT NULL, INOUT usage jsonb DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_run';
COMMENT ON PROCEDURE theazo.run(text, text, numeric, interval, integer, jsonb, text, text, text, text, numeric, bigint, jsonb, jsonb, jsonb) IS
	'Gives an agent a task: commits, waits and returns the answer. cost and max_cost are in cents.';

CREATE OR REPLACE PROCEDURE theazo.execute(
	agent text, input jsonb DEFAULT NULL, task text DEFAULT NULL, data jsonb DEFAULT NULL, idempotency_key text DEFAULT NULL, api_key text DEFAULT NULL,
	INOUT execution_id bigint DEFAULT NULL, INOUT status text DEFAULT NULL, INOUT output jsonb DEFAULT NULL, INOUT error jsonb DEFAULT NULL,
	INOUT duration_ms bigint DEFAULT NULL, INOUT resource_usage jsonb DEFAULT NULL, INOUT host_call_audit jsonb DEFAULT NULL,
	INOUT violation_count integer DEFAULT NULL, INOUT was_terminated boolean DEFAULT NULL, INOUT logs jsonb DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_execute';
COMMENT ON PROCEDURE theazo.execute(text, jsonb, text, jsonb, text, text, bigint, text, jsonb, jsonb, bigint, jsonb, jsonb, integer, boolean, jsonb) IS
	'Runs a governed agent: commits, waits and returns the execution, whatever its status.';

-- ---- partitions: membership in the extension (src/pg/member.c) ----

CREATE OR REPLACE FUNCTION theazo_internal.partition_member_swap(old_table regclass, new_table regclass) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_partition_member_swap';
COMMENT ON FUNCTION theazo_internal.partition_member_swap(regclass, regclass) IS
	'moves membership in the extension and registration for dumps from an adopted default partition to the new one';

-- ---- the agent loop (src/worker/model_sql.c) ----

CREATE OR REPLACE FUNCTION theazo_internal.model_encode(dialect text, message jsonb) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_model_encode';
COMMENT ON FUNCTION theazo_internal.model_encode(text, jsonb) IS
	'a message as a provider takes it: dialect anthropic, chat or responses; several are joined by commas';

CREATE OR REPLACE FUNCTION theazo_internal.json_schema_check(schema jsonb, value jsonb) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_json_schema_check';
COMMENT ON FUNCTION theazo_internal.json_schema_check(jsonb, jsonb) IS
	'null when a document fits a JSON schema, else where and why it does not';

CREATE OR REPLACE FUNCTION theazo_internal.json_compact(value jsonb) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_json_compact';
COMMENT ON FUNCTION theazo_internal.json_compact(jsonb) IS
	'a document as text without blanks';

CREATE OR REPLACE FUNCTION theazo_internal.json_schema_valid(schema jsonb) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'theazo_json_schema_valid';
COMMENT ON FUNCTION theazo_internal.json_schema_valid(jsonb) IS
	'null when it is a JSON schema that can be checked, else what is wrong with it';
