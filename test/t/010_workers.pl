# Workers: they start, follow the extension, the settings and the databases, come
# back after being killed, and get out of the way when a database must be empty.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('workers');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF})) if $ENV{THEAZO_CONF};
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'theazo'
max_worker_processes = 12
max_prepared_transactions = 4
restart_after_crash = on
theazo.dispatchers = 2
theazo.max_waiters = 2
});
$node->start;

my $status = 'SELECT kind, slot FROM theazo_internal.worker_status() WHERE pid IS NOT NULL ORDER BY 1, 2';
my $all = "dispatcher|0\ndispatcher|1\nkeeper|0\nlauncher|0";

sub wait_workers
{
	my ($db, $what) = @_;
	ok($node->poll_query_until($db, "SELECT count(*) = 4 FROM theazo_internal.worker_status() WHERE state = 'running'"),
		$what);
}

# Sessions of a database, ours only, seen from another one.
sub wait_alone
{
	my ($db, $what) = @_;
	ok($node->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$db' AND backend_type LIKE 'theazo%'"),
		$what);
}

sub log_count
{
	my ($pattern) = @_;
	my $n = () = slurp_file($node->logfile) =~ /$pattern/g;
	return $n;
}

# The last line of a setting wins.
sub configure
{
	my ($name, $value) = @_;
	$node->append_conf('postgresql.conf', "$name = $value");
}

# ---- the extension comes and goes ------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE one');
# a keeper looks into each database once
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type IN ('theazo keeper', 'theazo dispatcher')"),
	'no worker stays where the extension is not');
$node->safe_psql('one', 'CREATE EXTENSION theazo CASCADE');
wait_workers('one', 'workers start at the commit of CREATE EXTENSION');
is($node->safe_psql('one', $status), $all, 'a launcher, a keeper, two dispatchers');
is($node->safe_psql('one', "SELECT count(*) = 3 AND count(DISTINCT i) = 3 FROM unnest(theazo_internal.workers_alive()) i"),
	't', 'three incarnations are alive');

$node->safe_psql('one', 'DROP EXTENSION theazo CASCADE');
wait_alone('one', 'workers leave at the commit of DROP EXTENSION');
$node->safe_psql('one', "BEGIN; CREATE EXTENSION theazo; ROLLBACK");
$node->safe_psql('one', 'CREATE EXTENSION theazo');
wait_workers('one', 'workers start again after DROP and CREATE EXTENSION');

{
	# A drop that is undone: the workers step aside and come back.
	my $psql = $node->background_psql('one');
	$psql->query_safe('BEGIN');
	$psql->query_safe('DROP EXTENSION theazo CASCADE');
	wait_alone('one', 'workers stay away while DROP EXTENSION is not committed');
	$psql->query_safe('ROLLBACK');
	$psql->quit;
	wait_workers('one', 'workers are back after the drop was undone');
}

$node->safe_psql('one', 'DROP EXTENSION theazo CASCADE');
wait_alone('one', 'gone again');
$node->safe_psql('one', "BEGIN; CREATE EXTENSION theazo; PREPARE TRANSACTION 'create'");
$node->safe_psql('one', "COMMIT PREPARED 'create'");
wait_workers('one', 'workers start at COMMIT PREPARED');

# ---- killed, and back --------------------------------------------------------
foreach my $row (split /\n/, $node->safe_psql('one', 'SELECT kind, slot, pid FROM theazo_internal.worker_status() ORDER BY 1, 2'))
{
	my ($kind, $slot, $pid) = split /\|/, $row;
	$node->safe_psql('one', "SELECT pg_terminate_backend($pid, 10000)");
	ok($node->poll_query_until('one', "SELECT EXISTS (SELECT FROM theazo_internal.worker_status()
			WHERE kind = '$kind' AND slot = $slot AND pid <> $pid AND state = 'running')"),
		"$kind $slot comes back after pg_terminate_backend");
}
is($node->safe_psql('one', $status), $all, 'each is there once');
$node->safe_psql('one', "SELECT pg_cancel_backend(pid) FROM theazo_internal.worker_status() WHERE pid IS NOT NULL");
is($node->safe_psql('one', $status), $all, 'pg_cancel_backend ends no idle worker');

# ---- busy: in the middle of a statement that cannot go on ------------------------
{
	my $psql = $node->background_psql('one');
	my $blocked = "SELECT count(*) > 0 FROM pg_locks l JOIN theazo_internal.worker_status() w USING (pid) WHERE NOT l.granted AND w.kind = 'dispatcher'";
	$psql->query_safe('BEGIN');
	$psql->query_safe('LOCK TABLE theazo_data.effect');
	ok($node->poll_query_until('one', $blocked), 'a dispatcher waits for a lock');
	$node->safe_psql('one', 'ALTER EXTENSION theazo UPDATE');
	ok(1, 'a statement that needs the workers away gets them away');
	ok($node->poll_query_until('one', $blocked), 'a dispatcher waits again');
	is($node->safe_psql('one', "SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND pid IS NOT NULL"),
		't', 'a dispatcher in the middle of a statement ends when told');
	$psql->query_safe('ROLLBACK');
	$psql->quit;
	wait_workers('one', 'all are back');
}

# ---- a job of the keeper that fails ------------------------------------------------
my $job = $node->safe_psql('one', "SELECT pg_get_functiondef('theazo_internal.keeper_keys'::regproc)");
$node->safe_psql('one', q{
CREATE OR REPLACE FUNCTION theazo_internal.keeper_keys() RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$BEGIN RAISE 'broken on purpose'; END$$;
SELECT theazo_internal.wake_keeper();
});
ok($node->poll_query_until('one', "SELECT note = 'keeper_keys: broken on purpose' FROM theazo_internal.worker_status() WHERE kind = 'keeper'"),
	'a failing job is shown');
$node->safe_psql('one', "$job; SELECT theazo_internal.wake_keeper()");
ok($node->poll_query_until('one', "SELECT note IS NULL AND state = 'running' FROM theazo_internal.worker_status() WHERE kind = 'keeper'"),
	'and forgotten once it works');

# ---- library and extension of different versions --------------------------------------
my $version = $node->safe_psql('one', "SELECT extversion FROM pg_extension WHERE extname = 'theazo'");
$node->safe_psql('one', "UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'theazo'; SELECT theazo_internal.launcher_notice()");
ok($node->poll_query_until('one', "SELECT count(*) = 3 FROM theazo_internal.worker_status() WHERE state = 'mismatch' AND note LIKE 'library $version, extension 0.0.1'"),
	'workers idle while library and extension differ');
is(log_count(qr/theazo workers idle: the library is version/), 1, 'and say so once');
configure('theazo.sandbox_bwrap', "'/nowhere/bwrap'");
$node->reload;
ok($node->poll_query_until('one', "SELECT current_setting('theazo.sandbox_bwrap') = '/nowhere/bwrap'"), 'settings are read meanwhile');
$node->safe_psql('one', "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'theazo'; SELECT theazo_internal.launcher_notice()");
wait_workers('one', 'they go on when the versions agree');
SKIP:
{
	skip 'no local sandboxes on this machine', 6
	  if $node->safe_psql('one', "SELECT count(*) FROM theazo.sandbox_preflight WHERE mode = 'none'") > 0;
	my $key = $node->safe_psql('one', "SELECT k.key FROM theazo.platform_create('Reload Inc') p, theazo.api_key_create('k', platform => p.id) k");
	my $agent = $node->safe_psql('one', "SELECT a.id FROM theazo.session_create('u', api_key => '$key') s, theazo.agent_create(s.id, '{}', api_key => '$key') a");
	my ($rc, $out, $err) = $node->psql('one', "CALL theazo.exec('$agent', 'sh', 'true', api_key => '$key')");
	like($err, qr{could not start "/nowhere/bwrap"}, 'settings that changed while workers were idle hold for the first thing they do');

	# a command that ends while its worker cannot settle it
	configure('theazo.sandbox_bwrap', "'/usr/bin/bwrap'");
	$node->reload;
	$agent = $node->safe_psql('one', "SELECT a.id FROM theazo.session_create('u', api_key => '$key') s, theazo.agent_create(s.id, '{}', api_key => '$key') a");
	my $run = $node->safe_psql('one', "SELECT id FROM theazo.exec_start('$agent', 'sh', 'sleep 5', api_key => '$key')");
	ok($node->poll_query_until('one', "SELECT sum(inflight) = 1 FROM theazo_internal.worker_status() WHERE kind = 'dispatcher'"), 'a command runs');
	$node->safe_psql('one', "UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'theazo'; SELECT theazo_internal.launcher_notice()");
	ok($node->poll_query_until('one', "SELECT count(*) = 2 FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND state = 'mismatch'"), 'its worker idles');
	my @pids = split /\n/, $node->safe_psql('one', "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher'");
	my $ticks = sub { my $sum = 0; $sum += (split / /, slurp_file("/proc/$_/stat"))[13] + (split / /, slurp_file("/proc/$_/stat"))[14] for @pids; return $sum; };
	sleep 6;
	my $before = $ticks->();
	sleep 2;
	cmp_ok($ticks->() - $before, '<', 50, 'and does so at rest');
	$node->safe_psql('one', "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'theazo'; SELECT theazo_internal.launcher_notice()");
	ok($node->poll_query_until('one', "SELECT status = 'completed' FROM theazo.run_get('$run', '$key')"), 'what ended meanwhile is settled then');
	wait_workers('one', 'and all work again');
}
configure('theazo.sandbox_bwrap', "'/usr/bin/bwrap'");
$node->reload;

# ---- settings ------------------------------------------------------------------
configure('theazo.enabled', 'off');
$node->reload;
ok($node->poll_query_until('one', "SELECT count(*) = 3 FROM theazo_internal.worker_status() WHERE state = 'disabled'"),
	'theazo.enabled = off makes workers idle');
configure('theazo.enabled', 'on');
$node->reload;
wait_workers('one', 'theazo.enabled = on brings them to life');

configure('theazo.databases', "'two, \"odd name\"'");
$node->reload;
wait_alone('one', 'a database that is not listed any more loses its workers');
is($node->safe_psql('one', "SELECT DISTINCT note FROM theazo_internal.worker_status() WHERE kind <> 'launcher'"),
	'theazo.databases does not list this database', 'and its status says why');
configure('theazo.databases', "'*'");
$node->reload;
wait_workers('one', 'and gets them back');

# ---- two databases ---------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE two TEMPLATE one');
ok(1, 'a database with workers can be a template');
wait_workers('two', 'the copy gets workers without being asked');
wait_workers('one', 'the template has its own again');
is($node->safe_psql('postgres', "SELECT count(DISTINCT datname), count(*) FROM pg_stat_activity
		WHERE backend_type IN ('theazo keeper', 'theazo dispatcher')"),
	'2|6', 'three workers in each');

# ---- databases that must be empty ---------------------------------------------------
$node->safe_psql('postgres', 'ALTER DATABASE two RENAME TO three');
ok(1, 'ALTER DATABASE RENAME');
wait_workers('three', 'workers are back after a rename');
my $tablespace = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$tablespace'");
$node->safe_psql('postgres', 'ALTER DATABASE three SET TABLESPACE space');
ok(1, 'ALTER DATABASE SET TABLESPACE');
wait_workers('three', 'workers are back after the move');
{
	# A statement that fails: somebody else is connected.
	my $psql = $node->background_psql('three');
	$psql->query_safe('SELECT 1');
	my ($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE three');
	isnt($rc, 0, 'DROP DATABASE fails while a client is connected');
	like($err, qr/There is 1 other session/, 'and counts the client only');
	wait_workers('three', 'workers return after the statement failed');
	$psql->quit;
}
{
	# Who may not drop it cannot stop its workers either.
	$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
	my $before = $node->safe_psql('three', 'SELECT theazo_internal.workers_alive()');
	my ($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE three',
		extra_params => [ '-U', 'nobody' ]);
	like($err, qr/must be owner/, 'a stranger cannot drop the database');
	is($node->safe_psql('three', 'SELECT theazo_internal.workers_alive()'), $before, 'nor disturb its workers');
}
$node->safe_psql('postgres', 'DROP DATABASE three');
ok(1, 'DROP DATABASE: the workers let go of it by themselves');
$node->safe_psql('postgres', 'CREATE DATABASE two TEMPLATE one');
wait_workers('two', 'another copy');
$node->safe_psql('postgres', 'DROP DATABASE two WITH (FORCE)');
ok(1, 'DROP DATABASE WITH (FORCE)');
wait_workers('one', 'the other database was not touched');

# ---- waiting for a run ---------------------------------------------------------------
my $block = "SELECT theazo_internal.run_block('run_x', 60000)";
my ($rc, $out, $err) = $node->psql('one', "BEGIN ISOLATION LEVEL REPEATABLE READ; $block");
like($err, qr/above READ COMMITTED/, 'waiting above READ COMMITTED is refused');
($rc, $out, $err) = $node->psql('one', "\\set VERBOSITY verbose\nBEGIN; CREATE TABLE public.x (); $block");
like($err, qr/TZ104.*has written something.*HINT/s, 'waiting with uncommitted work is refused');
($rc, $out, $err) = $node->psql('one', "SELECT theazo_internal.run_block('run_x', -1)");
like($err, qr/must not be negative/, 'a negative timeout is refused');
is($node->safe_psql('one', "$block; SELECT theazo_internal.run_block('run_x', 10)"), "t\nf",
	'the first call says look, the second waits out its time');
{
	my @waiters = map { $node->background_psql('one') } 1 .. 2;
	foreach my $waiter (@waiters)
	{
		$waiter->query_until(qr/go/, "$block;\n\\echo go\nSELECT 'woken', theazo_internal.run_block('run_x', 20000);\n");
	}
	ok($node->poll_query_until('one', "SELECT count(*) = 2 FROM pg_stat_activity WHERE query LIKE '%woken%' AND wait_event_type = 'Extension'"),
		'two callers wait');
	($rc, $out, $err) = $node->psql('one', "$block;\n\\set VERBOSITY verbose\n$block");
	like($err, qr/53400.*too many callers are waiting.*theazo\.max_waiters/s, 'one more than theazo.max_waiters is refused');
	$node->safe_psql('one', "BEGIN; SELECT theazo_internal.run_notify('run_x'); ROLLBACK");
	is($node->safe_psql('one', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%woken%' AND state = 'active' AND pid <> pg_backend_pid()"),
		2, 'a rolled back notice wakes nobody');
	$node->safe_psql('one', "SELECT theazo_internal.run_notify('run_x')");
	foreach my $waiter (@waiters)
	{
		like($waiter->query_safe('SELECT 1'), qr/woken\|t/, 'a committed notice wakes a waiter');
		$waiter->quit;
	}
}
($rc, $out, $err) = $node->psql('one', "\\set VERBOSITY verbose\nBEGIN;\nCALL theazo.exec('agt_x', 'sh', 'true')");
like($err, qr/TZ104.*inside a transaction.*HINT.*_start/s, 'CALL theazo.exec in a transaction block is refused');
($rc, $out, $err) = $node->psql('one', "SET statement_timeout = '300ms';\n$block;\n$block;\n$block");
like($err, qr/statement timeout/, 'a waiter can be cancelled');

# ---- no worker slot -----------------------------------------------------------------
configure('max_worker_processes', 3);
$node->restart;
ok($node->poll_query_until('one', "SELECT EXISTS (SELECT FROM theazo_internal.worker_status()
		WHERE pid IS NULL AND note LIKE '%raise max_worker_processes (now 3)%')"),
	'missing worker slots are shown with the setting to raise');
is(log_count(qr/no background worker slot is free\n/), 1, 'and logged once');
configure('max_worker_processes', 12);
$node->restart;
wait_workers('one', 'all there with enough slots');

# ---- crash and stop --------------------------------------------------------------------
my $before = $node->safe_psql('one', 'SELECT theazo_internal.workers_alive()');
kill 'KILL', $node->safe_psql('one', "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' LIMIT 1");
ok($node->poll_query_until('one', "SELECT count(*) = 4 FROM theazo_internal.worker_status() WHERE state = 'running'
		AND NOT coalesce(incarnation, 0) = ANY ('$before'::bigint[])"),
	'all are new after a SIGKILL');
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/received immediate shutdown|terminated by signal (?!9)/, 'fast stop is orderly');
$node->start;
wait_workers('one', 'started after a fast stop');
$node->stop('immediate');
$node->start;
wait_workers('one', 'started after an immediate stop');

# ---- an encoding that answers would not fit into --------------------------------------------
for my $encoding (qw(LATIN1 SQL_ASCII))
{
	$node->safe_psql('postgres', "CREATE DATABASE other_\L$encoding\E TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	my ($rc, $out, $err) = $node->psql(lc "other_$encoding", 'CREATE EXTENSION theazo CASCADE');
	like($err, qr/theazo does not work in a database of encoding $encoding/, "a database in $encoding is refused");
}

# ---- not preloaded ---------------------------------------------------------------------
configure('shared_preload_libraries', "''");
$node->restart;
($rc, $out, $err) = $node->psql('one', 'SELECT * FROM theazo_internal.worker_status()');
like($err, qr/not loaded when the server started.*shared_preload_libraries/s, 'without preloading a function says what to do');

$node->stop;
done_testing();
