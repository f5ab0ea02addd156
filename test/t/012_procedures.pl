# CALL theazo.exec and its like: they commit, wait without holding anything, answer.
# No worker runs here: the test itself claims and settles, so that each moment can be looked at.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('procedures');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF})) if $ENV{THEAZO_CONF};
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'theazo'
theazo.databases = ''
theazo.max_waiters = 2
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');

my $platform = $node->safe_psql('postgres', "SELECT id FROM theazo.platform_create('Acme')");
my $key = $node->safe_psql('postgres', "SELECT key FROM theazo.api_key_create('backend', platform => '$platform')");
my $session = $node->safe_psql('postgres', "SELECT id FROM theazo.session_create('user-1', api_key => '$key')");
my $agent = $node->safe_psql('postgres', "SELECT id FROM theazo.agent_create('$session', api_key => '$key')");
$node->safe_psql('postgres', "CREATE ROLE app LOGIN; GRANT theazo_app TO app; CREATE ROLE bound LOGIN; GRANT theazo_app TO bound");
$node->safe_psql('postgres', "SELECT theazo.platform_bind_role('$platform', 'bound')");

# Settles the next effect of this kind as a dispatcher would.
sub settle
{
	my ($kind, $verdict, $result, $content) = @_;
	my $bytes = defined $content ? "'$content'::bytea" : 'NULL::bytea';
	my $claim;
	foreach my $i (1 .. 100)
	{
		$claim = $node->safe_psql('postgres', q{SELECT platform_id, root_id, id, kind, attempt
			FROM theazo_internal.effect_claim(0, 4711, 1, '1 minute')});
		last if $claim ne '';
		select undef, undef, undef, 0.05;
	}
	my ($p, $root, $id, $found, $attempt) = split /\|/, $claim;
	is($found, $kind, "claimed $kind");
	$node->safe_psql('postgres', qq{SELECT theazo_internal.effect_done(ARRAY['$p'], ARRAY['$root'], ARRAY['$id'],
		ARRAY[$attempt], ARRAY['$verdict'], ARRAY[\$j\$$result\$j\$::jsonb], ARRAY[$bytes], ARRAY[now()], ARRAY[now()])});
}

# Starts psql with the commands, without waiting for it.
sub background
{
	my ($user, $sql) = @_;
	my $psql = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', $user, '-A', '-t' ]);
	$psql->query_until(qr/go/, "\\set VERBOSITY verbose\n\\echo go\n$sql\n");
	return $psql;
}

my $waiting = q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename IN ('app', 'bound')
	AND wait_event_type = 'Extension' AND backend_xmin IS NULL AND backend_xid IS NULL};

# ---- what comes back ---------------------------------------------------------
my $psql = background('app', "CALL theazo.exec('$agent', 'sh', 'echo hi', api_key => '$key');");
settle('compute.create', 'done', '{"sandbox": "box-1", "isolation": "namespaces", "metadata": {}}');
ok($node->poll_query_until('postgres', $waiting), 'the caller waits without snapshot or transaction id');
settle('compute.exec', 'done', '{"stdout": "hi\\n", "stderr": "", "exit_code": 0, "truncated": false, "timed_out": false}');
my $out = $psql->query_safe('SELECT 1');
like($out, qr/run_[0-9A-Z]{26}\|hi\n\|\|0\|\d+\|/, 'exec returns run, output, exit code, duration and cost');
$psql->quit;

$psql = background('app', "CALL theazo.exec('$agent', 'sh', 'exit 3', timeout => '10 s', env => '{\"A\": \"b\"}', api_key => '$key');");
settle('compute.exec', 'done', '{"stdout": "", "stderr": "bad\\n", "exit_code": 3, "truncated": false, "timed_out": false}');
like($psql->query_safe('SELECT 1'), qr/\|\|bad\n\|3\|/, 'a command that fails is a result');
$psql->quit;

# ---- a role bound to a platform needs no key -------------------------------------
$psql = background('bound', "CALL theazo.file_write('$agent', 'a.txt', 'abc');\nCALL theazo.file_read('$agent', 'a.txt');\nCALL theazo.file_list('$agent');");
settle('compute.write', 'done', '{}');
settle('compute.read', 'done', '{"size": 3}', 'abc');
settle('compute.list', 'done', '{"entries": [{"name": "a.txt", "size": 3, "is_dir": false}]}');
$out = $psql->query_safe('SELECT 1');
like($out, qr/\|\\x616263/, 'file_read returns the content');
like($out, qr/\|\[\{"name": "a.txt"/, 'file_list returns the entries');
$psql->quit;

# ---- what goes wrong ------------------------------------------------------------
my ($rc, $stderr);
($rc, $out, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL theazo.exec('$agent', 'sh', 'true')", extra_params => [ '-U', 'app' ]);
like($stderr, qr/TZ601/, 'nobody asks: refused');
($rc, $out, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL theazo.exec('agt_00000000000000000000000000', 'sh', 'true', api_key => '$key')", extra_params => [ '-U', 'app' ]);
like($stderr, qr/42704/, 'an unknown agent');
($rc, $out, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nDO \$\$DECLARE r text; o text; e text; x int; d bigint; c numeric; BEGIN CALL theazo.exec('$agent', 'sh', 'true', NULL, NULL, NULL, '$key', r, o, e, x, d, c); EXCEPTION WHEN division_by_zero THEN NULL; END\$\$", extra_params => [ '-U', 'app' ]);
like($stderr, qr/TZ104|2D000/, 'inside a subtransaction: refused');

{
	my ($in, $o, $e) = ('', '', '');
	my $h = IPC::Run::start([ 'psql', '-XAt', '-v', 'VERBOSITY=verbose', '-U', 'app', '-d', $node->connstr('postgres'),
		'-c', "CALL theazo.exec('$agent', 'sh', 'true', api_key => '$key')" ], \$in, \$o, \$e);
	settle('compute.exec', 'failed', '{"code": "provider_error", "sqlstate": "TZ401", "message": "the provider said no", "hint": "Ask nicely."}');
	$h->finish;
	like($e, qr/TZ401: the provider said no.*Run "run_.*HINT:  Ask nicely/s, 'a failed run raises what it failed with');

	($o, $e) = ('', '');
	$h = IPC::Run::start([ 'psql', '-XAt', '-v', 'VERBOSITY=verbose', '-U', 'app', '-d', $node->connstr('postgres'),
		'-c', "CALL theazo.exec('$agent', 'sh', 'sleep 99', api_key => '$key')" ], \$in, \$o, \$e);
	ok($node->poll_query_until('postgres', $waiting), 'it waits');
	my $run = $node->safe_psql('postgres', "SELECT id FROM theazo_data.run WHERE status IN ('queued', 'running')");
	$node->safe_psql('postgres', "SELECT theazo.run_cancel('$run', api_key => '$key')");
	$h->finish;
	like($e, qr/ERROR:.*run "run_\w+" was cancelled/, 'a cancelled run ends the wait with an error');
}

($rc, $out, $stderr) = $node->psql('postgres', "SET statement_timeout = '300ms';\nCALL theazo.exec('$agent', 'sh', 'true', api_key => '$key')", extra_params => [ '-U', 'app' ]);
like($stderr, qr/statement timeout/, 'the caller can stop waiting');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.run WHERE status IN ('queued', 'running')"), 1, 'which leaves the run running');
settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');

# ---- run_wait, inside a transaction -----------------------------------------------
my $run = $node->safe_psql('postgres', "SELECT id FROM theazo.exec_start('$agent', 'sh', 'true', api_key => '$key')");
$psql = background('app', "SELECT status FROM theazo.run_wait('$run', '20 s', '$key');");
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'app' AND wait_event_type = 'Extension'"),
	'run_wait waits');
settle('compute.exec', 'done', '{"stdout": "", "stderr": "", "exit_code": 0}');
like($psql->query_safe('SELECT 1'), qr/completed/, 'and is woken');
$psql->quit;
is($node->safe_psql('postgres', "SELECT status FROM theazo.run_wait('$run', '0 s', '$key')"), 'completed', 'an ended run needs no wait');
($rc, $out, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN; SELECT id AS run FROM theazo.exec_start('$agent', 'sh', 'true', api_key => '$key') \\gset\nSELECT theazo.run_wait(:'run', '5 s', '$key')");
like($stderr, qr/TZ104/, 'waiting for a run this transaction started is refused');

$node->stop;
done_testing();
