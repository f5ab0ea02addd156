-- clib.sql: what C offers to SQL. A section for each builder of functions.

-- ---- workers, wake-ups, waiting (src/pg) ----

CREATE OR REPLACE FUNCTION theazo_internal.wake() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_wake';
COMMENT ON FUNCTION theazo_internal.wake() IS 'Wakes the dispatchers of this database when the transaction commits.';

CREATE OR REPLACE FUNCTION theazo_internal.wake_cancel() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_wake_cancel';
COMMENT ON FUNCTION theazo_internal.wake_cancel() IS 'Wakes the dispatchers at commit and tells them to look for cancelled effects.';

CREATE OR REPLACE FUNCTION theazo_internal.wake_keeper() RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'theazo_wake_keeper';
COMMENT ON FUNCTION theazo_internal.wake_keeper() IS 'Wakes the keeper of this database when the transaction commits.';

CREATE OR REPLACE FUNCTION theazo_internal.run_notify(run_id text) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'theazo_run_notify';
COMMENT ON FUNCTION theazo_internal.run_notify(text) IS 'Wakes who waits for this run when the transaction commits.';

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
