# No secret reaches the server log, activity or statement statistics, whatever the
# log settings and however the statement fails. The test first shows that it would
# see one: a planted value is found in every place it searches.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('redact');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF})) if $ENV{THEAZO_CONF};

my $keyfile = $node->basedir . '/redact.key';
append_to_file($keyfile, join('', map { sprintf '%02x', int(rand(256)) } 1 .. 32) . "\n");
chmod 0600, $keyfile;

$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'pg_stat_statements,auto_explain,theazo'
theazo.master_key_file = '$keyfile'
logging_collector = on
log_destination = 'stderr,csvlog,jsonlog'
log_directory = 'log'
log_statement = all
log_duration = on
log_min_duration_statement = 0
log_min_error_statement = info
log_min_messages = debug1
log_lock_waits = on
deadlock_timeout = 100ms
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
auto_explain.log_verbose = on
pg_stat_statements.track = all
pg_stat_statements.track_utility = on
compute_query_id = on
track_activity_query_size = 8192
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE; CREATE EXTENSION pg_stat_statements');

# Text of every log file.
sub logs
{
	my $all = slurp_file($node->logfile);
	$all .= slurp_file($_) for glob($node->data_dir . '/log/*');
	return $all;
}

# Files that hold a pattern, by kind.
sub log_kinds
{
	my ($pattern) = @_;
	my %kinds;
	for my $file (glob($node->data_dir . '/log/*'))
	{
		my ($kind) = $file =~ /\.(\w+)$/;
		$kinds{$kind} = 1 if slurp_file($file) =~ /$pattern/;
	}
	return join(' ', sort keys %kinds);
}

# Polls until the log has a line, as the collector writes when it likes.
sub wait_log
{
	my ($pattern) = @_;
	for (1 .. 600)
	{
		return 1 if logs() =~ /$pattern/;
		usleep(100_000);
	}
	return 0;
}

# Ends a statement that sleeps so that it can be looked at.
sub wake
{
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	return;
}

my $tag = sprintf 'canary%08x', int(rand(2**32));
my $n = 0;

# A value of its own for each place, so that a find says where it came from.
sub canary
{
	$n++;
	return "${tag}n$n";
}

sub activity
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%$_[0]%' AND pid <> pg_backend_pid()");
}

sub statements
{
	return $node->safe_psql('postgres', "SELECT query FROM pg_stat_statements") =~ /$_[0]/ ? 1 : 0;
}

# Runs one statement, error or not; the search for it is at the end.
sub run
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	$node->psql('postgres', $sql, stdout => \$out, stderr => \$err);
	return "$out\n$err";
}

# A statement in another session, as a handle to finish.
sub start
{
	my ($sql) = @_;
	my $h = { in => '', out => '', err => '' };
	$h->{run} = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \$h->{in}, '>', \$h->{out}, '2>', \$h->{err});
	return $h;
}

# ---- the eye ---------------------------------------------------------------
my $eye = sprintf 'planted%08x', int(rand(2**32));
run("SELECT '$eye'");
run("DO \$\$ BEGIN PERFORM '$eye'; END \$\$");
ok(wait_log($eye), 'a planted value is seen in the log');
wait_log('disconnection|duration');
is(log_kinds($eye), 'csv json log', 'in all three formats of it');
ok(statements($eye), 'in pg_stat_statements');
my $sleeper = start("SELECT '$eye', pg_sleep(100)");
ok($node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%$eye%' AND pid <> pg_backend_pid()"),
	'and in pg_stat_activity');
wake();
$sleeper->{run}->finish;

# ---- a platform, its key -----------------------------------------------------
my $platform = $node->safe_psql('postgres', "SELECT id FROM theazo.platform_create('acme')");
my $key = $node->safe_psql('postgres', "SELECT key FROM theazo.api_key_create('k', platform => '$platform')");
like($key, qr/^th_live_\w{43}$/, 'a key');
my $auth = "BEGIN; SELECT theazo.authenticate('$key');";

# ---- statements that work ------------------------------------------------------
my $seal = "theazo_internal.secret_seal('$platform', '', 'A', 1, theazo_internal.random_bytes(32), ";
unlike(run("$auth SELECT * FROM theazo.secret_set('PLAIN', '" . canary() . "'); COMMIT"), qr/ERROR/, 'secret_set');
unlike(run("$auth SELECT * FROM theazo.secrets_set('{\"MANY\": \"" . canary() . "\"}'); COMMIT"), qr/ERROR/, 'secrets_set');
unlike(run("SELECT * FROM theazo.secret_set('ONE', '" . canary() . "', api_key => '$key')"), qr/ERROR/, 'one-call form');
unlike(run("SELECT * FROM theazo.secret_list(NULL, '$key')"), qr/ERROR/, 'a key by position');
unlike(run("SELECT * FROM theazo.secret_list(api_key => \$x\$$key\$x\$)"), qr/ERROR/, 'a key in dollar quotes');
run("SELECT theazo.secret_set('E', E'" . canary() . "\\'x', api_key => '$key')");
run("SELECT theazo.secret_set('D', \$q\$" . canary() . "'\$q\$, api_key => '$key')");
run("/* don't */ SELECT -- it's\n theazo.secret_set(U&'\\0055', '" . canary() . "', api_key => '$key')");
run("DO \$\$ BEGIN PERFORM theazo.secret_set('DO', '" . canary() . "', api_key => '$key'); RAISE NOTICE '" . canary() . "'; END \$\$");
run("CREATE TABLE made AS SELECT ${seal}'" . canary() . "') IS NULL AS x");
run("EXPLAIN (ANALYZE, VERBOSE) SELECT ${seal}'" . canary() . "')");
run("PREPARE p(text) AS SELECT ${seal}\$1); EXECUTE p('" . canary() . "')");
run("PREPARE \"My P\"(text, text) AS SELECT theazo.secret_set(\$1, \$2, api_key => '$key'); EXECUTE \"My P\"('PREP', '" . canary() . "')");
run("PREPARE p(text) AS SELECT ${seal}\$1); EXPLAIN (ANALYZE, VERBOSE) EXECUTE p('" . canary() . "')");
run("SET compute_query_id = on; CALL pg_catalog.nothing('secret_set " . canary() . "')");
run("SET client_min_messages = debug5; SELECT ${seal}'" . canary() . "')");
run("SET debug_print_parse = on; SET debug_print_rewritten = on; SET debug_print_plan = on; SELECT ${seal}'" . canary() . "')");
run("SET auto_explain.log_format = json; SELECT ${seal}E'" . canary() . "\\'" . canary() . "')");
run("SET auto_explain.log_format = xml; SELECT ${seal}'" . canary() . "')");
run("SET auto_explain.log_format = yaml; SELECT ${seal}'" . canary() . "')");
run("SET standard_conforming_strings = off; SELECT ${seal}'\\'" . canary() . "')");

run("SELECT theazo_internal.U&\"\\0073ecret_seal\"('$platform', '', 'A', 1, theazo_internal.random_bytes(32), '" . canary() . "')");
run("SELECT theazo_internal.u&\"!0073ecret_seal\" UESCAPE '!' ('$platform', '', 'A', '" . canary() . "', NULL, 'x')");
run("PREPARE \"a\"\"b\"(text) AS SELECT ${seal}\$1); EXECUTE /* a /* b */ c */ \"a\"\"b\"('" . canary() . "')");
{
	# cut as the server cuts it: in front of a character that would be halved
	my $long = 'n' x 62 . "\xc3\xa9" x 4;
	run("PREPARE $long(text) AS SELECT ${seal}\$1); EXECUTE --\r$long('" . canary() . "')");
}
run("DECLARE c CURSOR WITH HOLD FOR SELECT ${seal}'" . canary() . "'); FETCH c; CLOSE c");
run("COPY (SELECT ${seal}'" . canary() . "')) TO STDOUT");
run("SELECT theazo.whoami(api_key => text '" . canary() . "')");
run("SELECT theazo.whoami(api_key => U&'" . canary() . "')");

# By way of functions whose names say nothing: known as soon as the inner statement begins. What log_statement wrote
# before that is written, so it is off here.
$node->safe_psql('postgres', q(
CREATE FUNCTION keep_it(v text) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN RETURN (theazo_internal.secret_seal('p', '', 'A', 1, theazo_internal.random_bytes(32), v)).sealed; END $$;
CREATE FUNCTION keep_sql(v text) RETURNS bytea LANGUAGE sql AS $$ SELECT (theazo_internal.secret_seal('p', '', 'A', 1, theazo_internal.random_bytes(32), v)).sealed $$;
CREATE PROCEDURE keep_by(v text) LANGUAGE plpgsql AS $$ BEGIN PERFORM keep_it(v); PERFORM 1 / 0; END $$;
CREATE TABLE keep_in (v text);
CREATE FUNCTION keep_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM keep_it(NEW.v); RETURN NULL; END $$;
CREATE TRIGGER keep_row BEFORE INSERT ON keep_in FOR EACH ROW EXECUTE FUNCTION keep_row()));

# Each line a message of its own.
sub quiet
{
	my $in = join('', map { "$_\n" } 'SET log_statement = none;', @_);
	my ($o, $e) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-q', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$o, '2>', \$e);
	return "$o\n$e";
}
like(quiet("SELECT keep_it('" . canary() . "');"), qr/\\x/, 'a wrapper of our function works');
quiet("SELECT keep_sql('" . canary() . "');");
# what was looked at before and found harmless
quiet(("SELECT keep_it('" . canary() . "');") x 4);
quiet('PREPARE again(text) AS SELECT keep_it($1);', ("EXECUTE again('" . canary() . "');") x 4, "EXECUTE again(repeat('" . canary() . "', 2));");
quiet("CALL keep_by('" . canary() . "');");
like(quiet("SELECT keep_it('" . canary() . "'), 1 / (length(keep_it('x')) * 0);"), qr/division by zero/, 'and may fail after it');
quiet("INSERT INTO keep_in VALUES ('" . canary() . "');");
quiet("COPY keep_in FROM STDIN;", canary(), '\.');
quiet("DO \$\$ BEGIN EXECUTE 'SELECT theazo_internal.sec' || 'ret_seal(''p'', '''', ''A'', 1, ''x'', ''" . canary() . "'')'; END \$\$;");

# ---- statements that fail ---------------------------------------------------------
run("SELECT ${seal}" . canary());	# end of input
run("SELECT ${seal}" . canary() . "-x y z)");	# a value without quotes
run("SELECT ${seal}'" . canary());	# a string that never ends
run("SELECT ${seal}\"" . canary() . "\")");	# the wrong quotes
run("SELECT * FROM theazo.secret_set('A' '" . canary() . "')");
run("SELECT theazo.secret_set('A', '" . canary() . "', delivery => 7 + 'x" . canary() . "')");
run("SELECT theazo.secret_set('A', '" . canary() . "')");	# nobody asks
run("$auth SELECT theazo.secret_set('', '" . canary() . "')");
run("$auth SELECT theazo.secret_set(E'a\\nb', '" . canary() . "')");
run("$auth SELECT theazo.secret_set('A', repeat('" . canary() . "', 10000))");
run("$auth SELECT theazo.secret_set('A', '" . canary() . "', session => 'ses_00000000000000000000000000')");
run("SELECT theazo_internal.secret_seal('$platform', '', 'A', '" . canary() . "', NULL, 'x')");
run("SELECT theazo_internal.secret_seal('$platform', '', 'A', 1, '" . canary() . "'::bytea, 'x')");
run("SELECT theazo_internal.secret_seal('$platform', '', 'A', 1, theazo_internal.random_bytes(32), '" . canary() . "', 'x')");
run("DO \$\$ BEGIN PERFORM ${seal}'x'); RAISE EXCEPTION '% %', '" . canary() . "', 'x' USING DETAIL = '" . canary() . "', HINT = '" . canary() . "'; END \$\$");
run("DO \$\$ BEGIN EXECUTE 'SELECT theazo.secret_set(''A'', ''" . canary() . "'') FROM nowhere'; END \$\$");
run("PREPARE p(text, int) AS SELECT ${seal}\$1); EXECUTE p('x', '" . canary() . "')");
run("PREPARE p(text) AS SELECT ${seal}\$1); EXECUTE p('" . canary() . "', '" . canary() . "')");
run("CREATE TABLE strict (v text CHECK (v = 'secret_set')); INSERT INTO strict VALUES ('" . canary() . " secret_set')");
run("SELECT theazo.authenticate('" . canary() . "')");
run("SELECT theazo.whoami(api_key => '" . canary() . "')");
run("SELECT theazo.whoami(api_key := E'" . canary() . "')");
run("SELECT theazo.whoami('$key', 'too', 'many')");
run("SELECT theazo.whoamI('$key'");
run("SELECT set_config('request.headers', '{\"x-api-key\": \"" . canary() . "\"}', true)");

# ---- parameters: the extended protocol --------------------------------------------
sub pgbench
{
	my ($mode, $sql, %vars) = @_;
	my $file = $node->basedir . "/script$n.sql";
	open my $fh, '>', $file or die $!;
	print $fh "$sql\n";
	close $fh;
	my @vars = map { ('-D', "$_=$vars{$_}") } sort keys %vars;
	my ($out, $err);
	IPC::Run::run([ 'pgbench', '-n', '-t', '2', '-M', $mode, '-f', $file, @vars, '-d', $node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
	return $err;
}
for my $mode (qw(extended prepared))
{
	pgbench($mode, "SELECT * FROM theazo.secret_set('BOUND', :v, api_key => :k);", v => canary(), k => $key);
	pgbench($mode, "SELECT * FROM theazo.secret_list(NULL, :k);", k => $key);
	pgbench($mode, "SELECT ${seal}'" . canary() . "');");
	pgbench($mode, "SELECT theazo_internal.secret_seal('$platform', '', 'A', :v, theazo_internal.random_bytes(32), 'x');", v => canary());
	pgbench($mode, "SELECT 1 / (length(${seal}:v)::text) - length(:v) * 0 - length(${seal}:v)::text));", v => canary());
}

# ---- while it runs, while it waits -------------------------------------------------
my $in_simple = canary();
$sleeper = start("SELECT ${seal}'$in_simple'), pg_sleep(100)");
ok($node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%hidden%'"),
	'a running statement is hidden in pg_stat_activity');
is(activity($tag), 0, 'and shows no value there');
wake();
$sleeper->{run}->finish;

my $in_bench = IPC::Run::start([ 'pgbench', '-n', '-t', '1', '-M', 'extended', '-f', do
		{
			my $file = $node->basedir . '/sleep.sql';
			append_to_file($file, "SELECT pg_sleep(100), ${seal}'" . canary() . "');\n");
			$file;
		}, '-d', $node->connstr('postgres') ], '>', \my $bench_out, '2>', \my $bench_err);
ok($node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%hidden%'"),
	'nor does one of the extended protocol');
is(activity($tag), 0, 'no value there either');
wake();
$in_bench->finish;

$node->safe_psql('postgres', 'CREATE TABLE busy ()');
my $holder = start('BEGIN; LOCK TABLE busy; SELECT pg_sleep(100); COMMIT');
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'busy'::regclass AND granted AND mode = 'AccessExclusiveLock'");
my $waiter = start("SELECT ${seal}'" . canary() . "'), (SELECT count(*) FROM busy)");
ok(wait_log('still waiting for AccessShareLock'), 'a wait for a lock is reported');
wake();
$waiter->{run}->finish;
$holder->{run}->finish;

# ---- what stays readable --------------------------------------------------------------
my $out = run("SELECT theazo.secret_set('A', 'x', session => 'ses_00000000000000000000000000', api_key => '$key')");
like($out, qr/ERROR:  .*ses_00000000000000000000000000/, 'our own messages stay as they are');
like(run("SELECT '7x'::int"), qr/"7x"/, 'messages of other statements too');
like(run("SELECT theazo.exec('a', 'sh', '" . canary() . "', api_key => '$key')"), qr/is a procedure.*To call a procedure, use CALL/s,
	'whoever selects from a procedure is told what to do');
like(run("SELECT theazo.secret_st('a', '" . canary() . "', api_key => '$key')"), qr/function theazo\.secret_st\(.*does not exist.*HINT:  No function/s,
	'so is whoever misspells a function');
like(run("SELECT theazo.secrets_set('{" . canary() . "', api_key => '$key')"), qr/invalid input syntax for type json/, 'or whose JSON is none');
run("SELECT 'visible' AS authenticated");
ok(wait_log("statement: SELECT 'visible' AS authenticated"), 'and so do their texts');

# ---- the search --------------------------------------------------------------------------
my $last = 'last' . int(rand(2**32));
run("SELECT '$last'");
ok(wait_log($last), 'the log is complete');
my $text = logs();
my @found = $text =~ /(${tag}n\d+)/g;
my %seen = map { $_ => 1 } @found;
is(join(' ', sort keys %seen), '', "none of $n values is in the log");
if (%seen)
{
	for my $value (sort keys %seen)
	{
		my ($line) = $text =~ /^(.*$value\b.*)$/m;
		diag("$value: " . substr($line, 0, 400));
	}
}
my $secret_part = substr($key, 12);
is(scalar(() = $text =~ /\Q$secret_part\E/g), 0, 'nor is the API key');
ok($text =~ /statement hidden/, 'the log says that it hides something');
ok(!statements($tag), 'none is in pg_stat_statements');
ok(!statements($secret_part), 'nor the key');
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
ok(length($dump) > 10000, 'a dump');
ok($dump !~ /$tag/, 'none is in it');
ok($dump !~ /\Q$secret_part\E/, 'nor the key');

$node->stop;
done_testing();
