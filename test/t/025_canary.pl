# Secrets reach nobody who should not have them. Values that are like no other go through every function that takes or
# uses one and through every failure on the way; then everything a server writes, keeps or sends is searched. What the
# search can see is shown first: a value planted in each place is found there.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoCanary;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $libdir = `pg_config --pkglibdir`;
chomp $libdir;
my $cron = -e "$libdir/pg_cron.so";
my $preload = 'pg_stat_statements,auto_explain' . ($cron ? ',pg_cron' : '') . ',theazo';

# Master keys are values as well.
my $source = new_canary('cnry');
my (%http, %environ, %kept, %keys);	# numbers: in which requests, in environments, in rows of others, keys

sub canary
{
	return $source->new_value($_[0]);
}

sub number
{
	return $_[0] =~ /n(\d+)e/ ? $1 : die "no canary: $_[0]";
}

my $keyfile = PostgreSQL::Test::Utils::tempdir() . '/master.key';

sub master_key
{
	my $key = canary($_[0]);
	$keys{ number($key) } = 1;
	return unpack('H*', $key . '#' x (32 - length $key)) . "\n";
}
my $old_key = master_key('the first master key');
append_to_file($keyfile, $old_key);
chmod 0600, $keyfile;

my $node = new_server('canary', qq(
shared_preload_libraries = '$preload'
theazo.master_key_file = '$keyfile'
wal_level = logical
shared_buffers = 16MB
theazo.dispatchers = 2
logging_collector = on
log_destination = 'stderr,csvlog,jsonlog'
log_directory = 'log'
log_statement = all
log_duration = on
log_min_duration_statement = 0
log_min_error_statement = info
log_rotation_size = 0
log_connections = on
log_lock_waits = on
deadlock_timeout = 200ms
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
pg_stat_statements.track = all
compute_query_id = on
track_activity_query_size = 16384
max_locks_per_transaction = 256
) . ($cron ? "cron.use_background_workers = on\ncron.database_name = 'postgres'\n" : ''));
# Plans of what we do; workers would write gigabytes of theirs, in which no value can be.
$ENV{PGOPTIONS} = join(' ', map { "-c $_" } 'auto_explain.log_min_duration=0', 'auto_explain.log_nested_statements=on', 'auto_explain.log_analyze=on',
	'auto_explain.log_verbose=on', 'log_min_messages=debug1');
my $data = $node->data_dir;
my $postmaster = (split /\n/, slurp_file("$data/postmaster.pid"))[0];
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('canary', 'test_decoding')");

# ---- doing things ------------------------------------------------------------------------

# One session; each statement a message of its own, errors or not.
sub run
{
	my $in = join('', map { "$_;\n" } @_);
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err);
	# psql shows its own statement, not what the server sent
	$err =~ s/^LINE \d+:.*\n//mg;
	return "$out\n$err";
}

# The same in the background, as a handle to finish.
sub start
{
	my $h = { out => '', err => '' };
	$h->{run} = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), map { ('-c', $_) } @_ ],
		'<', '/dev/null', '>', \$h->{out}, '2>', \$h->{err});
	return $h;
}

# Several statements with parameters, by the extended protocol. vars: name => value, used as :name.
my $scripts = 0;

sub bound
{
	my ($mode, $sql, %vars) = @_;
	my $file = $node->basedir . '/script' . ++$scripts . '.sql';
	append_to_file($file, "$sql;\n");
	my ($out, $err);
	IPC::Run::run([ 'pgbench', '-n', '-t', '1', '-M', $mode, '-f', $file, (map { ('-D', "$_=$vars{$_}") } sort keys %vars),
			'-d', $node->connstr('postgres') ], '>', \$out, '2>', \$err);
	return "$out\n$err";
}

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# ---- places ---------------------------------------------------------------------------------

sub log_files { return (glob("$data/log/*"), $node->logfile); }

sub tail
{
	my ($file) = @_;
	open(my $fh, '<:raw', $file) or return '';
	seek($fh, -4194304, 2) if -s $file > 4194304;
	read($fh, my $text, 4194304);
	return $text;
}

# What the collector has written by now, once a mark of ours has come out.
my $marks = 0;

sub logs
{
	my ($ending) = @_;
	my $mark = sprintf 'mark%d_%d', $$, ++$marks;
	run("SELECT '$mark'");
	for (1 .. 200)
	{
		last if 3 <= grep { index(tail($_), $mark) >= 0 } glob("$data/log/*");
		sleep 0.05;
	}
	return join('', map { slurp_file($_) } grep { /$ending/ } log_files());
}

# Rows of all relations of some kinds as text; superusers see what policies hide.
sub rows
{
	my ($kinds, $where) = @_;
	my @names = split /\n/, sql("SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
		  . " WHERE c.relkind IN ($kinds) AND c.relpersistence <> 't' AND ($where) ORDER BY 1");
	# a view may refuse; what is searched is not to be logged again
	local $ENV{PGOPTIONS} = '-c log_statement=none -c log_min_duration_statement=-1 -c log_duration=off';
	return run(map { ("\\echo == $_\nSELECT x::text FROM $_ x") } @names);
}

my $watched = "SELECT coalesce(string_agg(a::text, E'\\n'), '') FROM pg_stat_activity a WHERE pid <> pg_backend_pid()";
my $decoded = '';
my %place = (
	'the log' => sub { return logs(qr/\.log$/); },
	'the log as CSV' => sub { return logs(qr/\.csv$/); },
	'the log as JSON' => sub { return logs(qr/\.json$/); },
	'pg_stat_activity' => sub { return sql($watched); },
	'pg_stat_statements' => sub { return sql('SELECT query FROM pg_stat_statements'); },
	'statistics and other views of the server' => sub { return rows("'v'", "n.nspname = 'pg_catalog'"); },
	'views of theazo' => sub { return rows("'v'", "n.nspname LIKE 'theazo%'"); },
	'tables of all schemas' => sub { return rows("'r', 'm'", 'true'); },
	'a dump' => sub { return (run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]))[0]; },
	'a dump of the cluster' => sub { return (run_command([ 'pg_dumpall', '-d', $node->connstr('postgres') ]))[0]; },
	'decoded WAL' => sub {
		$decoded .= sql("SELECT data FROM pg_logical_slot_get_changes('canary', NULL, NULL)");
		return $decoded;
	},
);
my $journals = sub { return join('', map { slurp_file("$_->{dir}/journal.jsonl") } @_); };

# Environments and titles of processes other than ours: pid => text.
sub processes
{
	my ($file) = @_;
	my %all;
	foreach my $dir (glob '/proc/[0-9]*')
	{
		my ($pid) = $dir =~ /(\d+)$/;
		next if $pid == $$;
		open(my $fh, '<', "$dir/$file") or next;
		local $/;
		$all{$pid} = <$fh> // '';
	}
	return %all;
}

# Everything the server's processes keep in memory, unless they let nobody look.
sub memories
{
	my ($source) = @_;
	my (%found, %looked);
	my %below = (%{ { children_of($postmaster) } }, $postmaster => 'postmaster');
	foreach my $pid (sort keys %below)
	{
		my $seen = memory_canaries($source, $pid, 0);
		$looked{$pid} = $below{$pid} if defined $seen;
		$found{$_} .= "$below{$pid} " foreach keys %{ $seen // {} };
	}
	my $seen = memory_canaries($source, $postmaster, 1);
	$found{$_} .= 'shared memory ' foreach keys %{ $seen // {} };
	return (\%found, \%looked);
}

# ---- the eye: what is planted is found -------------------------------------------------------
my $double = new_double('--exec', 'real');
my $eye = new_canary('seen');
my $n = 0;

sub planted
{
	my ($place, $value, $text) = @_;
	my ($number) = $value =~ /n(\d+)e$/;
	ok((grep { $_ eq $number } canaries($eye, $text)), "a value planted in $place is found");
}

{
	my $v = $eye->new_value('log');
	run("SELECT '$v'");
	planted($_, $v, $place{$_}->()) foreach 'the log', 'the log as CSV', 'the log as JSON';
	$v = $eye->new_value('statements');
	run("DO \$\$ BEGIN PERFORM '$v'; END \$\$");
	planted('pg_stat_statements', $v, $place{'pg_stat_statements'}->());

	my ($as_is, $hex, $base64, $toast) = map { $eye->new_value('row') } 1 .. 4;
	run("CREATE SCHEMA other", "CREATE TABLE other.planted (a text, b bytea, c text, d text)", 'ALTER TABLE other.planted ALTER d SET STORAGE external',
		"INSERT INTO other.planted VALUES ('$as_is', '$hex', encode('x$base64', 'base64'), repeat('z', 100000) || '$toast')", 'ANALYZE other.planted');
	foreach my $name ('tables of all schemas', 'a dump', 'a dump of the cluster', 'decoded WAL')
	{
		my $text = $place{$name}->();
		planted("$name, $$_[0]", $$_[1], $text)
		  foreach [ 'as it is', $as_is ], [ 'in hex', $hex ], [ 'in base64', $base64 ], [ 'behind 100 kB', $toast ];
	}
	run("INSERT INTO other.planted VALUES ('$as_is')", 'ANALYZE other.planted');
	planted('views of the server', $as_is, $place{'statistics and other views of the server'}->());
	run('CHECKPOINT');
	my %files = file_canaries($eye, $data, qr{/log/});
	ok((grep { m{/base/} } values %files), 'values planted are found in the files of the database');
	ok(exists $files{ $toast =~ s/.*n(\d+)e/$1/r }, 'out of line, too');

	$v = $eye->new_value('view of theazo');
	sql("SELECT theazo.platform_create('$v')");
	planted('views of theazo', $v, $place{'views of theazo'}->());
	$v = $eye->new_value('request');
	$double->{http}->post("http://127.0.0.1:$double->{port}/compute/create", { content => '{}', headers => { 'X-Planted' => "a $v" } });
	planted('a request', $v, $journals->($double));

	my ($in_env, $in_title, $in_query, $in_notify, $in_memory) = map { $eye->new_value('process') } 1 .. 5;
	my $sleeper = do { local $ENV{PLANTED} = $in_env; IPC::Run::start([ 'sh', '-c', "sleep 30; : $in_title" ], '<', '/dev/null'); };
	my $session = start("SELECT set_config('application_name', 'planted', false), set_config('planted.value', '$in_memory', false)",
		"NOTIFY planted, '$in_notify'", "SELECT pg_sleep(30), '$in_query'");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%$in_query%'"),
		'a statement that runs is seen in pg_stat_activity');
	planted('pg_stat_activity', $in_query, $place{'pg_stat_activity'}->());
	planted('an environment', $in_env, join('', values %{ { processes('environ') } }));
	planted('a command line', $in_title, join('', values %{ { processes('cmdline') } }));
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'planted'");
	is(undumpable($pid), 0, 'an ordinary session may leave a core dump');
	my ($found, $looked) = memories($eye);
	SKIP:
	{
		skip 'this machine lets nobody look into the memory of a process', 2 if !exists $looked->{$pid};
		like($found->{ $in_memory =~ s/.*n(\d+)e/$1/r } // '', qr/postgres/, 'whose memory holds what was planted there');
		like($found->{ $in_notify =~ s/.*n(\d+)e/$1/r } // '', qr/shared memory/, 'as shared memory does a NOTIFY');
	}
	$sleeper->kill_kill;
	sql("SELECT pg_terminate_backend($pid)");
	$session->{run}->finish;
}

# ---- values go everywhere ---------------------------------------------------------------------
my $p = new_platform($node, 'acme');
my $key = $p->{key};
my $k = "api_key => '$key'";
my $other = new_platform($node, 'other');
sql("SELECT theazo.platform_allow_egress('$p->{id}', allow_private => true, allow_http => true)");

# What it says for a human, and never the value. want: in its output.
sub works
{
	my ($what, $want, @statements) = @_;
	my $out = run(@statements);
	like($out, $want, $what);
	is(join(' ', canaries($source, $out)), '', "$what: the client is shown no value");
	return $out;
}

# A job of another extension's worker takes a minute to begin.
if ($cron)
{
	my $v = canary('pg_cron');
	$kept{ number($v) } = 1;
	run('CREATE EXTENSION pg_cron', "SELECT cron.schedule('keep', '* * * * *', \$c\$SELECT theazo.secret_set('CRON', '$v', $k), pg_sleep(3)\$c\$)");
}

# Functions that take a value.
my $set = "theazo.secret_set(";
works('secret_set', qr/A\|1\|/, "SELECT * FROM ${set}'A', '" . canary('secret_set') . "', $k)");
works('a new version', qr/A\|2\|/, "SELECT * FROM ${set}'A', '" . canary('new version') . "', $k)");
works('secrets_set', qr/B\|1\|.*C\|1\|/s, "SELECT * FROM theazo.secrets_set('{\"B\": \"" . canary('secrets_set') . "\", \"C\": \"" . canary('secrets_set') . "\"}', $k)");
my $of_session = canary('session secret');
$http{ number($of_session) } = 'env';
works('a session secret', qr/D\|1\|/, "SELECT * FROM ${set}'D', '$of_session', session => '$p->{session}', $k)");
works('as a bound role', qr/ROLE/, 'CREATE ROLE app IN ROLE theazo_app', "SELECT 1 FROM theazo.platform_bind_role('$p->{id}', 'app')",
	"SET SESSION AUTHORIZATION app", "SELECT name FROM ${set}'ROLE', '" . canary('role') . "')");
works('escaped names', qr/ESC/, "SELECT name FROM theazo.U&\"\\0073ecret_set\"('ESC', '" . canary('escaped name') . "', $k)");
works('a cursor', qr/CUR/, 'BEGIN', "DECLARE c CURSOR FOR SELECT name FROM ${set}'CUR', '" . canary('cursor') . "', $k)", 'FETCH c', 'COMMIT');
works('COPY', qr/COPY/, "COPY (SELECT name FROM ${set}'COPY', '" . canary('copy') . "', $k)) TO STDOUT");
works('EXPLAIN', qr/secret_set/, "EXPLAIN (ANALYZE, VERBOSE) SELECT theazo.secret_set('EXPL', (SELECT current_setting('x.y', true) || 'v'), $k)");
run("EXPLAIN (ANALYZE, VERBOSE) SELECT ${set}'EXPL', '" . canary('explain') . "', $k)");	# its plan is the caller's own
works('a prepared statement', qr/PREP/, "PREPARE p (text) AS SELECT name FROM ${set}'PREP', \$1, $k)", "EXECUTE p('" . canary('execute') . "')", 'DEALLOCATE p');
works('DO', qr/^\s*$/, "DO \$d\$ BEGIN PERFORM ${set}'DO', '" . canary('DO') . "', $k); END \$d\$");
works('CREATE TABLE AS', qr/^\s*$/, "CREATE TABLE other.made AS SELECT name, version FROM ${set}'CTAS', '" . canary('ctas') . "', $k)");
works('a rule', qr/^\s*$/, 'CREATE VIEW other.vault AS SELECT name, NULL::text AS value FROM theazo_data.secret',
	"CREATE FUNCTION other.my_secret_set() RETURNS trigger LANGUAGE plpgsql AS \$f\$ BEGIN PERFORM ${set}NEW.name, NEW.value, $k); RETURN NEW; END \$f\$",
	'CREATE TRIGGER vault INSTEAD OF INSERT ON other.vault FOR EACH ROW EXECUTE FUNCTION other.my_secret_set()',
	'SET log_statement = none', "INSERT INTO other.vault VALUES ('RULE', '" . canary('view with a trigger') . "')");
works('a function that is named so', qr/WRAP/, "CREATE FUNCTION other.secret_setter(v text) RETURNS text LANGUAGE plpgsql AS \$f\$ BEGIN RETURN (${set}'WRAP', v, $k)).name; END \$f\$",
	"SELECT other.secret_setter('" . canary('wrapper') . "')");
works('a large value', qr/LARGE/, "SELECT name FROM ${set}'LARGE', repeat('" . canary('large') . "', 3000), $k)");
foreach my $mode ('extended', 'prepared')
{
	like(bound($mode, "SELECT * FROM ${set}'BOUND', :v, api_key => :k)", v => canary("bound, $mode"), k => $key), qr/processed: 1/, "bound, $mode");
	like(bound($mode, "SELECT * FROM theazo.secrets_set(jsonb_build_object('BOUND', (:v)::text), api_key => :k)", v => canary("bound, $mode"), k => $key), qr/processed: 1/,
		"bound json, $mode");
}
works('history', qr/A\|1\|.*A\|2\|/s, "SELECT name, version, 1 FROM theazo.secret_history('A', $k) ORDER BY version");
works('the list', qr/BOUND/, "SELECT * FROM theazo.secret_list($k)");

# Calls that fail.
my @bad = (
	[ 'a syntax error', qr/syntax error/, sub { "SELECT ${set}'X' '$_[0]', $k)" } ],
	[ 'a value without quotes', qr/ERROR/, sub { "SELECT ${set}'X', $_[0], $k)" } ],
	[ 'the wrong quotes', qr/ERROR/, sub { "SELECT ${set}'X', \"$_[0]\", $k)" } ],
	[ 'an unterminated string', qr/ERROR|^\s*$/, sub { "SELECT ${set}'X', \$q\$$_[0], $k)" } ],
	[ 'an escape that is none', qr/ERROR/, sub { "SELECT ${set}'X', E'\\xzz\\u12$_[0]', $k)" } ],
	[ 'a type that is wrong', qr/ERROR/, sub { "SELECT ${set}'X', '$_[0]'::integer, $k)" } ],
	[ 'json that is none', qr/ERROR/, sub { "SELECT theazo.secrets_set('{\"X\": $_[0]', $k)" } ],
	[ 'json of another shape', qr/ERROR/, sub { "SELECT theazo.secrets_set('[\"$_[0]\"]', $k)" } ],
	[ 'json with a number', qr/ERROR/, sub { "SELECT theazo.secrets_set('{\"X\": \"$_[0]\", \"Y\": 1}', $k)" } ],
	[ 'json as text', qr/ERROR/, sub { "SELECT theazo.secrets_set(text '{\"X\": \"$_[0]\"}', $k)" } ],
	[ 'arguments too many', qr/ERROR/, sub { "SELECT ${set}'X', '$_[0]', 1, 2, 3, 4, 5, 6, 7, 8, 9)" } ],
	[ 'an argument nobody knows', qr/ERROR/, sub { "SELECT ${set}'X', '$_[0]', colour => '$_[0]', $k)" } ],
	[ 'the value in the place of the session', qr/ERROR/, sub { "SELECT ${set}'X', 'x', '$_[0]', $k)" } ],
	[ 'the value in the place of the name', qr/ERROR/, sub { "SELECT ${set}'$_[0]\n', 'x', $k)" } ],
	[ 'the value in the place of the delivery', qr/ERROR/, sub { "SELECT ${set}'X', 'x', delivery => '$_[0]', $k)" } ],
	[ 'the value in the place of a host', qr/ERROR/, sub { "SELECT ${set}'X', 'x', delivery => 'brokered', hosts => ARRAY['https://$_[0]'], $k)" } ],
	[ 'the value in the place of a header', qr/ERROR/, sub { "SELECT ${set}'X', 'x', delivery => 'brokered', hosts => ARRAY['a.example'], header => 'X: $_[0]', $k)" } ],
	[ 'the value in the place of a username', qr/ERROR/, sub { "SELECT ${set}'X', 'x', delivery => 'brokered', hosts => ARRAY['a.example'], username => 'a:$_[0]', $k)" } ],
	[ 'a name that is reserved', qr/ERROR/, sub { "SELECT ${set}'PATH', '$_[0]', $k)" } ],
	[ 'a name that is too long', qr/ERROR/, sub { "SELECT ${set}repeat('n', 200), '$_[0]', $k)" } ],
	[ 'a value that is too long', qr/ERROR/, sub { "SELECT ${set}'X', repeat('$_[0]', 5000), $k)" } ],
	[ 'a session of another', qr/ERROR/, sub { "SELECT ${set}'X', '$_[0]', session => '$other->{session}', $k)" } ],
	[ 'a key that is none', qr/ERROR/, sub { "SELECT ${set}'X', '$_[0]', api_key => 'th_live_wrong$_[0]')" } ],
	[ 'nobody who asks', qr/ERROR/, sub { "SELECT ${set}'X', '$_[0]')" } ],
	[ 'a role without rights', qr/permission denied for/, sub { ('SET ROLE pg_monitor', "SELECT ${set}'X', '$_[0]', $k)") } ],
	[ 'a transaction that was aborted', qr/aborted/, sub { ('BEGIN', 'SELECT 1 / 0', "SELECT ${set}'X', '$_[0]', $k)", 'ROLLBACK') } ],
	[ 'a transaction rolled back', qr/X/, sub { ('BEGIN', "SELECT name FROM ${set}'X', '$_[0]', $k)", 'SAVEPOINT s', "SELECT name FROM ${set}'X', '$_[0]', $k)", 'ROLLBACK TO s', 'ROLLBACK') } ],
	[ 'a read-only transaction', qr/read-only/, sub { ('BEGIN READ ONLY', "SELECT ${set}'X', '$_[0]', $k)", 'ROLLBACK') } ],
	[ 'division by zero beside it', qr/ERROR/, sub { "SELECT ${set}'X', '$_[0]', $k), 1 / (length('$_[0]') * 0)" } ],
	[ 'an error after it in a block', qr/ERROR/, sub { "DO \$d\$ BEGIN PERFORM ${set}'X', '$_[0]', $k); RAISE EXCEPTION 'so %', '$_[0]' USING DETAIL = '$_[0]', HINT = '$_[0]'; END \$d\$" } ],
	[ 'a warning in a block', qr/WARNING/, sub { "DO \$d\$ BEGIN PERFORM ${set}'X', '$_[0]', $k); RAISE WARNING 'so \"%\"', '$_[0]' USING DETAIL = '$_[0]'; END \$d\$" } ],
	[ 'a cast in a block', qr/ERROR/, sub { "DO \$d\$ DECLARE v text := '$_[0]'; BEGIN PERFORM ${set}'X', v, $k); PERFORM v::date; END \$d\$" } ],
	[ 'a check', qr/ERROR/, sub { ("CREATE TABLE other.checked (name text, v text CHECK (v = 'x'))", "INSERT INTO other.checked SELECT name, '$_[0]' FROM ${set}'X', '$_[0]', $k)") } ],
	[ 'a function that is not there', qr/ERROR/, sub { "SELECT theazo.secret_sets('X', '$_[0]', $k)" } ],
	[ 'a function body', qr/ERROR/, sub { "CREATE FUNCTION other.f() RETURNS void LANGUAGE sql AS \$f\$ SELECT ${set}'X', '$_[0]', $k \$f\$" } ],
	[ 'sealing by hand', qr/ERROR/, sub { "SELECT theazo_internal.secret_seal('$p->{id}', '', 'A', 1, '$_[0]'::bytea, '$_[0]')" } ],
	[ 'authenticate', qr/ERROR/, sub { "SELECT theazo.authenticate('$_[0]')" } ],
	[ 'CALL with a key that is none', qr/ERROR/, sub { "CALL theazo.exec('agt_0', 'sh', 'true', api_key => '$_[0]')" } ],
	[ 'a statement timeout', qr/timeout/, sub { ("SET statement_timeout = '300ms'", "SELECT ${set}'X', '$_[0]', $k), pg_sleep(5)") } ],
	[ 'a large statement', qr/ERROR/, sub { "SELECT ${set}'X', '" . ('y' x 200000) . "$_[0]', $k)" } ],
);
foreach my $case (@bad)
{
	my ($what, $want, $make) = @$case;
	works($what, $want, $make->(canary($what)));
	# the body of a function is a row of the catalog, until it is found wrong
	$kept{ scalar @{ $source->{names} } } = 1 if $what eq 'a function body';
}
foreach my $mode ('extended', 'prepared')
{
	bound($mode, "SELECT ${set}'X', :v, session => :v, $k)", v => canary("bound, not found, $mode"));
	bound($mode, "SELECT ${set}'X', :v, $k), (:v)::integer", v => canary("bound, a cast, $mode"));
	bound($mode, "SELECT 1 / (length(${set}'X', :v, $k)::text) * 0)", v => canary("bound, division, $mode"));
	bound($mode, "SELECT ${set}'X', '" . canary("literal, $mode") . "', $k), :v::integer", v => canary("bound, $mode"));
	bound($mode, "SELECT theazo.authenticate(:v)", v => canary("bound, authenticate, $mode"));
}

# While others wait.
sub shows_nothing
{
	my ($what) = @_;
	is(join(' ', map { $source->name($_) } canaries($source, $place{'pg_stat_activity'}->())), '', "$what: pg_stat_activity shows no value");
}
{
	my $holder = start("SET application_name = 'holder'", 'BEGIN', 'LOCK TABLE theazo_data.secret', 'SELECT pg_sleep(600)', 'COMMIT');
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'theazo_data.secret'::regclass AND mode = 'AccessExclusiveLock' AND granted");
	my @waiting = (
		start("SELECT ${set}'WAIT', '" . canary('lock wait') . "', $k)"),
		start("SET lock_timeout = '1s'", "SELECT ${set}'WAIT', '" . canary('lock timeout') . "', $k)"),
		start("SET statement_timeout = '1s'", "SELECT ${set}'WAIT', '" . canary('timeout while waiting') . "', $k)"),
		start("SET application_name = 'victim'", "SELECT ${set}'WAIT', '" . canary('cancelled') . "', $k)"),
		start("SET application_name = 'victim2'", "SELECT ${set}'WAIT', '" . canary('terminated') . "', $k)"));
	ok($node->poll_query_until('postgres', "SELECT count(*) >= 3 AND count(*) FILTER (WHERE application_name LIKE 'victim%') = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%hidden%'"),
		'statements that wait for a lock are hidden');
	shows_nothing('while they wait');
	sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'");
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim2'");
	# until the two whose time is short have given up
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%hidden%'"), 'one waits to the end');
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'");
	$_->{run}->finish foreach @waiting, $holder;
	is(join(' ', canaries($source, join('', map { $_->{out} . $_->{err} } @waiting))), '', 'nor do their errors');
}
{
	my @two = map {
		my ($first, $second) = $_ ? ('DL2', 'DL1') : ('DL1', 'DL2');
		my $v = canary('deadlock, of the session');
		$http{ number($v) } = 'env';
		start('BEGIN', "SELECT ${set}'$first', '$v', session => '$p->{session}', $k)", "SELECT pg_advisory_xact_lock($_)", 'SELECT pg_sleep(1)',
			"SELECT ${set}'X$second', '" . canary('deadlock') . "', $k), pg_advisory_xact_lock(1 - $_)", 'COMMIT')
	} 0, 1;
	$_->{run}->finish foreach @two;
	my $text = join('', map { $_->{out} . $_->{err} } @two);
	like($text, qr/deadlock detected|lock/, 'a deadlock');
	is(join(' ', canaries($source, $text)), '', 'whose report shows no value');
}

# ---- calls to a provider -------------------------------------------------------------------------
sub secret
{
	my ($name, $what, $more) = @_;
	my $v = canary($what);
	like(run("SELECT name FROM ${set}'$name', '$v'" . ($more // '') . ", $k)"), qr/\Q$name\E/, "$what is stored");
	return $v;
}

sub wait_idle
{
	return wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')", '0', 'all effects end');
}

my $credential = secret('hook', 'credential of a webhook');
$http{ number($credential) } = 'authorization';
my $signing = secret('sign', 'signing secret of a webhook');
my $in_env = secret('SERVICE_TOKEN', 'environment secret', ", session => '$p->{session}'");
$http{ number($in_env) } = 'env';
works('a provider', qr/hooks/, "SELECT name FROM theazo.provider_set('hooks', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}/compute', "
	  . "credential_ref => 'hook', signing_ref => 'sign', $k)");
my $agent = new_agent($p, '{"provider": "hooks"}');
works('exec at a webhook', qr/here/, "CALL theazo.exec('$agent', 'sh', 'echo here', $k)");

# Answers that repeat what was sent, in every way there is.
my @echoes = (
	{ mode => 'echo', status => 500 }, { mode => 'echo', status => 401 }, { mode => 'echo', status => 404 }, { mode => 'echo', status => 200 },
	{ mode => 'status', status => 403, body => { error => "token $credential is not valid" } },
	{ mode => 'status', status => 422, body => { message => "bad variable $in_env", detail => [ $credential ] } },
	{ mode => 'status', status => 501, body => { error => "no $credential" } },
	{ mode => 'status', status => 429, retry_after => 1, body => { error => "slow down, $credential" }, times => 1 },
	{ mode => 'answer', body => { error => { message => "code for $credential", code => 7 } } },
	{ mode => 'answer', body => { stdout => 1, stderr => $credential, exitCode => 'x' } },
	{ mode => 'raw', body => "{\"stdout\": \"$credential" }, { mode => 'raw', body => "\0$credential" },
	{ mode => 'content_type', content_type => "text/$credential" },
	{ mode => 'redirect', location => "http://127.0.0.1:1/?token=$credential" },
);
foreach my $rule (@echoes)
{
	my $name = "$rule->{mode} " . ($rule->{status} // '');
	foreach my $op ('exec', 'read', 'list', 'write')
	{
		next if $op ne 'exec' && $rule->{mode} !~ /echo|status|answer/;
		my $one = $op eq 'exec' ? new_agent($p, '{"provider": "hooks"}') : $agent;
		$double->control({ rule => { op => $op, times => 1, %$rule } });
		my $out = run({ exec => "CALL theazo.exec('$one', 'sh', 'true', $k)", read => "CALL theazo.file_read('$one', 'f', $k)",
			list => "CALL theazo.file_list('$one', '/', $k)", write => "CALL theazo.file_write('$one', 'f', 'x', $k)" }->{$op});
		is(join(' ', canaries($source, $out)), '', "$op, $name: the caller is shown no value");
		$double->{http}->delete("http://127.0.0.1:$double->{port}/_control");
	}
}
$double->control({ rule => { op => 'create', mode => 'echo', status => 500, times => 3 } });
new_agent($p, '{"provider": "hooks"}', 'failed');
$double->{http}->delete("http://127.0.0.1:$double->{port}/_control");

# Wrong ones: a value with a line break cannot be a header, one that is no text no variable.
{
	my $v = secret('broken', 'credential with a line break', " || E'\\r\\nX-Evil: 1'");
	run("SELECT theazo.provider_set('broken', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}/compute', credential_ref => 'broken', $k)");
	my $out = run("SELECT theazo.agent_create('$p->{session}', '{\"provider\": \"broken\"}', $k)");
	wait_idle();
	$v = canary('a value in the place of a reference');
	my $refused = run("SELECT theazo.provider_set('wrong', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}/compute', credential_ref => '$v\n', $k)");
	like($refused, qr/ERROR/, 'a reference that is no name is refused');
	run("SELECT theazo.provider_set('wrong', type => 'webhook', endpoint => 'http://user:" . canary('password in an endpoint') . "\@127.0.0.1/', credential_ref => 'hook', $k)");
	$kept{$_} = 1 foreach canaries($source, $v);	# not named secret_set, so its text is shown: it is no statement with a secret
	$kept{ $#{ $source->{names} } + 1 } = 1;
}

# ---- the operator's own account --------------------------------------------------------------------
my $account = canary("the operator's account");
$http{ number($account) } = 'authorization';
my $managed = new_double('--exec', 'real');
works('operator_secret_set', qr/account/, "SELECT name FROM theazo.operator_secret_set('account', '$account')");
works('a failing operator_secret_set', qr/ERROR/, "SELECT name FROM theazo.operator_secret_set('a/b', '" . canary('operator, bad name') . "')");
works('operator_secret_set as a platform', qr/ERROR/, 'SET SESSION AUTHORIZATION app', "SELECT name FROM theazo.operator_secret_set('x', '" . canary('operator, not allowed') . "')");
bound('extended', 'SELECT theazo.operator_secret_set(:n, :v)', n => 'bound', v => canary('operator, bound'));
works('operator_provider_set', qr/cloud/, "SELECT name FROM theazo.operator_provider_set('cloud', type => 'webhook', endpoint => 'http://127.0.0.1:$managed->{port}/compute', credential_ref => 'account')");
my $theirs = new_agent($p, '{"provider": "theazo"}');
works('exec at the managed account', qr/there/, "CALL theazo.exec('$theirs', 'sh', 'echo there', $k)");
$managed->control({ rule => { op => 'exec', mode => 'echo', status => 500, times => 1 } });
works('an account that is echoed', qr/ERROR/, "CALL theazo.exec('$theirs', 'sh', 'echo there', $k)");

# ---- local sandboxes ------------------------------------------------------------------------------
my $isolation = sql('SELECT mode FROM theazo_data.preflight');
my %below = children_of($postmaster);
foreach my $pid (grep { $below{$_} =~ /theazo (dispatcher|keeper)/ } sort keys %below)
{
	is(undumpable($pid), 1, "no core dump: $below{$pid}");
}
cmp_ok(scalar(grep { /theazo dispatcher/ } values %below), '>=', 2, 'all dispatchers were looked at');

SKIP:
{
	skip 'this machine offers no local sandboxes', 4 if $isolation eq 'none';
	my $local = new_agent($p, '{"provider": "local"}');
	my $v = secret('LOCAL_TOKEN', 'secret of a local sandbox', ", session => '$p->{session}'");
	$http{ number($v) } = 'env';	# of the same session
	# all of the session's
	$environ{$_} = 1 foreach grep { $http{$_} eq 'env' } keys %http;
	my $run = start_run($p, 'exec_start', $local, "'sh', 'sleep 603; echo \$LOCAL_TOKEN | cut -c1-4'");
	my (%with, %all);
	my @napping;
	for (1 .. 600)
	{
		%all = processes('environ');
		%with = map { $_ => 1 } grep { canaries($source, $all{$_}) } keys %all;
		@napping = grep { slurp_file("/proc/$_/cmdline") =~ /^sleep\x00603/ } grep { -e "/proc/$_" } keys %with;
		last if @napping;
		sleep 0.1;
	}
	my $ours = readlink "/proc/$$/ns/pid";
	cmp_ok(scalar(keys %with), '>', 0, 'the environment of a sandboxed process holds what was delivered');
	is(join(' ', grep { (readlink("/proc/$_/ns/pid") // '') eq $ours } keys %with), '', 'and no process outside of it');
	my %seen = map { $_ => 1 } map { canaries($source, $all{$_}) } keys %with;
	is(join(' ', grep { !$environ{$_} } keys %seen), '', 'nor anything else inside');
	is(join(' ', canaries($source, join('', values %{ { processes('cmdline') } }))), '', 'no command line shows a value');
	my @adj = map { slurp_file("/proc/$_/oom_score_adj") + 0 } grep { -e "/proc/$_" } keys %with;
	is(scalar(grep { $_ != 1000 } @adj), 0, 'sandboxes are the first to go when memory is short');
	kill 'TERM', @napping;
	is(wait_run($p, $run)->{stdout}, "cnry\n", 'it is what the program sees');
	# what comes back shows none of it, whatever form it has
	my $echo = wait_run($p, start_run($p, 'exec_start', $local, "'sh', 'echo \$LOCAL_TOKEN; echo -n \$LOCAL_TOKEN | base64; echo -n x\$LOCAL_TOKEN | base64; "
			. "echo \$LOCAL_TOKEN >&2; echo \$LOCAL_TOKEN > f; mkdir d; touch d/\$LOCAL_TOKEN; env'"));
	is(join(' ', canaries($source, JSON::PP::encode_json($echo))), '', 'its output is masked');
	like($echo->{stdout}, qr/\*\*\*/, 'visibly');
	works('a file with the value in it', qr/file_read|\\x/, "CALL theazo.file_read('$local', 'f', $k)");
	works('a list with the value in a name', qr/\*\*\*/, "CALL theazo.file_list('$local', 'd', $k)");
	run_code($p, $local, 'sh', 'exit 3');
	run_code($p, $local, 'sh', 'kill -9 $$');
	run_code($p, $local, 'sh', 'sleep 60', "timeout => '1 s'");
	# pause and snapshot
	works('pause', qr/paus/, "SELECT status FROM theazo.agent_pause('$local', $k)");
	wait_idle();
	works('resume', qr/\w/, "SELECT status FROM theazo.agent_resume('$local', $k)");
	wait_idle();
	works('terminate', qr/\w/, "SELECT status FROM theazo.agent_terminate('$local', $k)");
}
works('pause at a webhook', qr/paus/, "SELECT status FROM theazo.agent_pause('$agent', $k)");
wait_idle();
works('resume at a webhook', qr/\w/, "SELECT status FROM theazo.agent_resume('$agent', $k)");
wait_idle();

# ---- brokered: into a request of the dispatcher, and nowhere else ----------------------------------------
my $recorded = PostgreSQL::Test::Utils::tempdir();
our $ports;	# not lexical: closing it waits for its child
my $recorder = open($ports, '-|', 'python3', "$FindBin::RealBin/../mock/recorder.py", '--dir', $recorded) or die "cannot start the recorder: $!";
my ($plain_port) = split ' ', scalar <$ports>;

END
{
	my $status = $?;
	kill 'TERM', $recorder if $recorder;
	$? = $status;
}
my $brokered = secret('stripe.key', 'brokered secret', ", session => '$p->{session}', delivery => 'brokered', hosts => ARRAY['localhost:$plain_port']");
my $basic = secret('basic', 'brokered, basic', ", session => '$p->{session}', delivery => 'brokered', hosts => ARRAY['localhost:$plain_port'], username => 'me'");
my $nowhere = secret('nowhere', 'brokered, without hosts', ", session => '$p->{session}', delivery => 'brokered', hosts => ARRAY['api.example.com']");

sub fetch
{
	my ($url, $headers, $more) = @_;
	return run("CALL theazo.http_fetch('$agent', '$url', headers => '$headers'" . ($more // '') . ", $k)");
}
foreach my $path ('echo', 'echo?status=500', 'status?status=401', 'plain')
{
	foreach my $name ('STRIPE_KEY', 'BASIC')
	{
		my $out = fetch("http://localhost:$plain_port/$path", "{\"Authorization\": \"Bearer tzsecret_$name\"}");
		is(join(' ', canaries($source, $out)), '', "http_fetch, $path, $name: the caller is shown no value");
	}
}
foreach my $case ([ "http://localhost:$plain_port/", '{"Authorization": "Bearer tzsecret_NOWHERE"}' ], [ 'https://example.com/', '{"Authorization": "tzsecret_STRIPE_KEY"}' ],
	[ "http://localhost:$plain_port/?k=tzsecret_STRIPE_KEY", '{}' ], [ "http://localhost:$plain_port/", '{"X": "tzsecret_STRIPE_KEY\\n"}' ])
{
	my $out = fetch(@$case);
	like($out, qr/ERROR/, "$$case[0] is refused");
	is(join(' ', canaries($source, $out)), '', 'without a value');
}

# ---- sessions that handled one ------------------------------------------------------------------------
{
	my @sessions = (
		[ 'a session that set a secret', "SELECT name FROM ${set}'CORE', '" . canary('a session that lives on') . "', $k)" ],
		[ 'one whose statement was wrong', "SELECT ${set}'CORE' '" . canary('a wrong one that lives on') . "', $k)" ],
		[ 'one that sealed through another function', "SELECT other.keep('" . canary('by another function') . "')" ]);
	run("CREATE FUNCTION other.keep(v text) RETURNS void LANGUAGE plpgsql AS \$f\$ BEGIN PERFORM ${set}'CORE', v, $k); END \$f\$");
	my $i = 0;
	foreach my $case (@sessions)
	{
		my ($what, $statement) = @$case;
		my $name = 'holder' . ++$i;
		my $h = start("SET application_name = '$name'", 'SET log_statement = none', $statement, 'SELECT pg_sleep(60)');
		ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name' AND wait_event = 'PgSleep'"), $what);
		my $pid = sql("SELECT pid FROM pg_stat_activity WHERE application_name = '$name'");
		is(undumpable($pid), 1, 'it leaves no core dump');
		sql("SELECT pg_terminate_backend($pid)");
		$h->{run}->finish;
	}
}

# ---- a job of another extension's worker -----------------------------------------------------------
if ($cron)
{
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_cron' AND wait_event = 'PgSleep'"), 'a job of pg_cron runs');
	unlike(sql("SELECT query FROM pg_stat_activity WHERE backend_type = 'pg_cron'"), qr/cnry/, 'pg_stat_activity does not show its command');
}

# ---- memory -------------------------------------------------------------------------------------------
{
	my ($found, $looked) = memories($source);
	SKIP:
	{
		skip 'this machine lets nobody look into the memory of a process', 3 if !%$looked;
		is(scalar(grep { /theazo (dispatcher|keeper)/ } values %$looked), 0, 'nobody looks into the memory of a worker');
		cmp_ok(scalar(keys %$looked), '>=', 5, 'processes that may leave a core dump: ' . scalar(keys %$looked));
		my @bad = grep { !$keys{$_} && !$kept{$_} } sort keys %$found;
		is(join(', ', map { $source->name($_) . " in $found->{$_}" } @bad), '', 'their memory holds no value');
	}
}

# ---- rotation -----------------------------------------------------------------------------------------
{
	my $new_key = master_key('the second master key');
	unlink $keyfile;
	append_to_file($keyfile, $new_key . $old_key);
	chmod 0600, $keyfile;
	$node->restart;
	$postmaster = (split /\n/, slurp_file("$data/postmaster.pid"))[0];
	works('rotation', qr/running/, 'SELECT state FROM theazo.vault_rotate()');
	wait_sql($node, "SELECT state FROM theazo.vault_rotations ORDER BY started_at DESC LIMIT 1", 'done', 'the rotation ends');
	works('exec after it', qr/still/, "CALL theazo.exec('$agent', 'sh', 'echo still', $k)");
	unlink $keyfile;
	append_to_file($keyfile, $new_key);
	chmod 0600, $keyfile;
	$node->restart;
	$postmaster = (split /\n/, slurp_file("$data/postmaster.pid"))[0];
	works('exec without the old key', qr/still/, "CALL theazo.exec('$agent', 'sh', 'echo still', $k)");
	works('deleting', qr/BOUND/, "SELECT name FROM theazo.secret_delete('BOUND', $k)");
}
wait_idle();

# ---- the search ---------------------------------------------------------------------------------------
# Prints where each is from; true when there is none but those of others' rows.
sub none_in
{
	my ($where, $text, $may_keep) = @_;
	my @found = grep { !$may_keep || !$kept{$_} } canaries($source, $text);
	is(join(', ', map { $source->name($_) } @found), '', "no value in $where");
	foreach my $number (@found)
	{
		my ($line) = $text =~ /^(.*n${number}e.*)$/m;
		diag(substr($line // '', 0, 600));
	}
	return;
}
cmp_ok(scalar(@{ $source->{names} }), '>', 90, 'values were given: ' . scalar(@{ $source->{names} }));
foreach my $name (sort keys %place)
{
	my $text = $place{$name}->();
	cmp_ok(length($text), '>', 100, "$name: there is something to search");
	# statements about cron.job and providers are no statements with a secret, and are where their author put them
	none_in($name, $text, 1);
}
run('CHECKPOINT');
my %files = file_canaries($source, $data, qr{/log/});
is(join(', ', map { $source->name($_) . " in $files{$_}" } grep { !$kept{$_} } sort keys %files), '', 'no value in the files of the server');
like(logs(qr/\.log$/), qr/statement hidden/, 'the log says where it hides something');

# Requests: a value stands in the header or the variable it is for, at the server it is for.
foreach my $case ([ $double, 'authorization' => $credential, 'env' => 1 ], [ $managed, 'authorization' => $account, 'env' => 1 ])
{
	my ($server, %may) = @$case;
	my (%wrong, %right);
	foreach my $line (split /\n/, $journals->($server))
	{
		my $e = JSON::PP::decode_json($line);
		next if $e->{event} ne 'request';
		my $authorization = delete $e->{authorization} // '';
		my $body = $e->{op} =~ /^(create|exec)$/ && $may{env} ? delete $e->{body} : '';
		foreach my $number (canaries($source, $authorization))
		{
			$authorization eq "Bearer $may{authorization}" ? $right{$number}++ : $wrong{$number}++;
		}
		($http{$_} // '') eq 'env' ? $right{$_}++ : $wrong{$_}++ foreach canaries($source, $body);
		$wrong{$_}++ foreach canaries($source, JSON::PP::encode_json($e));
	}
	ok($right{ number($may{authorization}) }, 'a provider is sent its credential');
	is(join(', ', map { $source->name($_) } sort keys %wrong), '', 'and no other value, nor in another place');
}
{
	my (%right, %wrong);
	my @requests = map { JSON::PP::decode_json($_)->{raw} } split /\n/, slurp_file("$recorded/recorded.jsonl");
	cmp_ok(scalar(@requests), '>=', 4, 'requests of http_fetch arrived');
	foreach my $raw (@requests)
	{
		$right{$_} = 1 foreach $raw =~ s/^(authorization: (?:Bearer \Q$brokered\E|Basic \Q@{[ encode_base64("me:$basic", '') ]}\E))\r?$//mi ? canaries($source, $1) : ();
		$wrong{$_} = 1 foreach canaries($source, $raw);
	}
	is(join(' ', sort { $a <=> $b } keys %right), join(' ', sort { $a <=> $b } number($brokered), number($basic)), 'brokered secrets stand in their header');
	is(join(', ', map { $source->name($_) } keys %wrong), '', 'and nowhere else');
}
my %left = processes('environ');
is(join(', ', map { $source->name($_) } map { canaries($source, $_) } values %left), '', 'no environment holds a value when all is done');
# theazo_internal.notify() queues webhooks
my @notify = split /\n/, sql("SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
	  . " WHERE n.nspname LIKE 'theazo%' AND p.prosrc ~* '\\mpg_notify\\M|(?<!theazo_internal\\.)\\mnotify\\M'");
is("@notify", '', 'no function of ours sends a NOTIFY');

$node->stop;
done_testing();
