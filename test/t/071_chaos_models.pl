# Chaos with models: runs of five tool rounds go on while processes are killed with SIGKILL at random
# moments. The scripted server counts the calls it has answered whole and refuses a history that differs by one
# byte from what it has answered before. Afterwards each run has ended once, and that count is the
# ledger's, except for calls whose answer was lost: those are unknown, charged by estimate, flagged.
#
# THEAZO_CHAOS: number of kills (3); with it 300 runs, else 40. THEAZO_CHAOS_RUNS, THEAZO_CHAOS_SEED: as in 070.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $kills = $ENV{THEAZO_CHAOS} || 3;
my $total = $ENV{THEAZO_CHAOS_RUNS} || ($ENV{THEAZO_CHAOS} ? 300 : 40);
my $seed = $ENV{THEAZO_CHAOS_SEED} || 20260204;
my $at_once = 8;
my $patience = 180;
srand($seed);
diag("seed $seed, $kills kills, $total runs");

# --- the scripted server: five rounds of tools, then a text --------------------
my $rules = PostgreSQL::Test::Utils::tempdir() . '/rules.json';
my $say = { name => 'report_progress', arguments => { message => 'on it' } };
my $look = { name => 'stock', arguments => { sku => 'A1' } };
append_to_file($rules, encode_json([ { delay_ms => 60, gap_ms => 5, turns => [
	{ text => 'One.', tools => [$say] }, { tools => [$look] }, { text => 'Three.', tools => [ $say, $look, $look ] },
	{ tools => [$say] }, { text => 'Five.', tools => [$look] }, { text => 'Done: 7 pieces.' } ] } ]));
my $pid = open(my $double, '-|', 'python3', "$FindBin::Bin/../mock/model_server.py", '--key', 'sk-chaos', '--rules', $rules)
  or die "cannot start the model server: $!";
chomp(my $port = <$double>);
END
{
	my $status = $?;
	kill 'KILL', $pid if $pid;
	$? = $status;
}
my $http = HTTP::Tiny->new(timeout => 30);
sub seen { return decode_json($http->get("http://127.0.0.1:$port/_control")->{content}) }

# --- the server ------------------------------------------------------------------
my $node = PostgreSQL::Test::Cluster->new('chaosmodels');
$node->init;
my $keyfile = $node->basedir . '/master.key';
append_to_file($keyfile, ('0123456789abcdef' x 4) . "\n");
chmod 0600, $keyfile;
$node->append_conf('postgresql.conf', qq(
shared_preload_libraries = 'theazo'
max_worker_processes = 20
restart_after_crash = on
fsync = on
theazo.master_key_file = '$keyfile'
theazo.egress_allow_http = on
theazo.egress_allow_private = on
theazo.dispatchers = 2
theazo.keeper_interval = 1s
));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');

# One statement; undef when the server went away under it.
sub try_sql
{
	my ($sql, $role) = @_;
	my ($out, $err);
	my $rc = eval { $node->psql('postgres', $sql, stdout => \$out, stderr => \$err, timeout => 60, on_error_die => 0,
			$role ? (extra_params => [ '-U', $role ]) : ()) };
	return $out if defined $rc && $rc == 0;
	$err //= '';
	die "$err\nin: $sql" if $err =~ /ERROR:/ && $err !~ /terminat|server closed|recovery|starting up|shutting down|connection/;
	return undef;
}

sub sql
{
	my ($sql, $role) = @_;
	my $until = time() + $patience;
	while (time() < $until)
	{
		my $out = try_sql($sql, $role);
		return $out if defined $out;
		sleep 0.2;
	}
	die "the server did not answer within $patience s: $sql";
}

sub wait_for
{
	my ($what, $sql, $want) = @_;
	my ($until, $got) = (time() + $patience, '');
	while (time() < $until)
	{
		$got = try_sql($sql) // '';
		return 1 if $got eq $want;
		sleep 0.3;
	}
	diag("$what: got '$got', wanted '$want'");
	return 0;
}

# A role of its own: functions of the database are not called with all rights.
sql("CREATE ROLE shop LOGIN; GRANT theazo_app TO shop; CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO shop;"
	  . " CREATE FUNCTION shop.stock(sku text) RETURNS integer STABLE LANGUAGE sql AS 'SELECT 7'; GRANT EXECUTE ON FUNCTION shop.stock TO shop");
my $platform = sql("SELECT id FROM theazo.platform_create('Chaos')");
sql("SELECT role_name FROM theazo.platform_bind_role('$platform', 'shop')");
sql("SELECT theazo.platform_allow_egress('$platform', allow_http => true, allow_private => true)");
sql("SELECT name FROM theazo.secret_set('model-key', 'sk-chaos')", 'shop');
sql("SELECT name FROM theazo.provider_set('mine', kind => 'model', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'model-key',"
	  . " config => '{\"model\": \"chaos-1\"}')", 'shop');
sql("SELECT name FROM theazo.provider_set('claude', kind => 'model', type => 'anthropic', endpoint => 'http://127.0.0.1:$port',"
	  . " credential_ref => 'model-key')", 'shop');
sql("SELECT name FROM theazo.tool_set('stock', 'pieces in stock', sql_function => 'shop.stock')", 'shop');
my $session = sql("SELECT id FROM theazo.session_create('chaos-user')", 'shop');

# --- work, and the killer ------------------------------------------------------------
my @victims = ('dispatcher', 'keeper', 'dispatcher', 'postmaster', 'launcher', 'backend');
my %killed;
my ($started, $done_kills, $between) = (0, 0, 0);

# One-shot agents, half of them at each protocol; the key makes the start safe to repeat when its answer was lost.
sub start_run
{
	my $n = $started + 1;
	my $model = $n % 2 ? 'chaos-1' : 'claude-sonnet-5-5';
	my $out = try_sql("SELECT id FROM theazo.session_run('$session', 'clerk', 'Count the stock [conv:r$n]',"
		  . " '{\"model\": \"$model\", \"tools\": [\"report_progress\", \"stock\"]}', timeout => '900 s', idempotency_key => 'chaos-$n')", 'shop');
	$started++ if defined $out && $out =~ /^run_/;
}

sub kill_one
{
	my ($kind) = @_;
	for (1 .. 60)
	{
		last if seen()->{inflight} > 0;
		sleep 0.05;
	}
	my ($waiting, $in, $out, $err);
	if ($kind eq 'backend')
	{
		$in = "SELECT pg_sleep(60);\n";
		$waiting = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err);
		sleep 0.3;
	}
	my $like = $kind eq 'backend' ? 'client backend' : "theazo $kind";
	my $victim;
	for (1 .. 50)
	{
		$victim = $kind eq 'postmaster' ? $node->{_pid}
		  : try_sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$like' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1");
		last if $victim;
		sleep 0.1;
	}
	return 0 unless $victim;
	my $flight = seen()->{inflight};
	kill 'KILL', $victim;
	$killed{$kind}++;
	$between++ if $flight > 0;
	if ($kind eq 'postmaster')
	{
		for (1 .. 300)
		{
			last unless -e $node->data_dir . '/postmaster.pid' && kill(0, $victim);
			sleep 0.1;
		}
		$node->{_pid} = undef;
		for (1 .. 100)
		{
			last if $node->start(fail_ok => 1);
			sleep 0.3;
		}
	}
	eval { $waiting->kill_kill } if $waiting;
	sql('SELECT 1');
	return 1;
}

my $until = time() + $patience + 3 * $total + 20 * $kills;
my $of = "platform_id = '$platform' AND kind = 'agent'";
while (($started < $total || $done_kills < $kills) && time() < $until)
{
	my $open = try_sql("SELECT count(*) FROM theazo_data.run WHERE $of AND status IN ('queued', 'running')") // $at_once;
	if ($open < $at_once) { start_run() for $open + 1 .. $at_once }
	else { sleep 0.1 }
	if ($done_kills < $kills && $started >= ($done_kills + 0.5) * $total / $kills)
	{
		$done_kills++ if kill_one($victims[ $done_kills < @victims ? $done_kills : int(rand(@victims)) ]);
	}
}
cmp_ok($started, '>=', $total, "at least $total runs were started");
is($done_kills, $kills, "$kills kills: " . join(', ', map { "$_ $killed{$_}" } sort keys %killed));
diag("kills while calls were out: $between");

# --- afterwards --------------------------------------------------------------------
ok(wait_for('runs ended', "SELECT count(*) FROM theazo_data.run WHERE $of AND status IN ('completed', 'failed', 'cancelled')", $started),
	'every run has ended');
ok(wait_for('effects settled', "SELECT count(*) FROM theazo_data.effect WHERE platform_id = '$platform'"
		  . " AND state IN ('queued', 'claimed', 'sent', 'held')", '0'), 'no effect is left open');
diag(sql("SELECT string_agg(format('%s%s: %s', status, coalesce(' ' || error_sqlstate || ' ' || error_message, ''), n), ', ') FROM"
	  . " (SELECT status, error_sqlstate, error_message, count(*) AS n FROM theazo_data.run WHERE $of GROUP BY 1, 2, 3 ORDER BY 1, 2) s"));
is(sql("SELECT count(*) FROM theazo_data.run WHERE $of AND NOT (status = 'completed' OR status = 'failed' AND error_sqlstate = 'TZ408'"
		  . " AND outcome_unknown)"), '0', 'a run that did not complete failed because the outcome of a call is unknown, and says so');
cmp_ok(sql("SELECT count(*) FROM theazo_data.run WHERE $of AND status = 'completed'"), '>', $started / 4, 'kills do not stop the rest');
is(sql("SELECT count(*) FROM theazo_data.run r WHERE $of AND (SELECT count(*) FROM theazo_data.event e WHERE e.platform_id = r.platform_id"
		  . " AND e.run_id = r.id AND e.action IN ('execution_completed', 'execution_failed', 'execution_terminated')) <> 1"),
	'0', 'each run ended once');
is(sql("SELECT count(*) FROM theazo_data.run r WHERE $of AND status = 'completed' AND"
		  . " ((SELECT count(*) FROM theazo_data.step s WHERE s.platform_id = r.platform_id AND s.root_id = substr(r.id, 5) AND s.kind = 'model'"
		  . " AND s.state = 'done') <> 6 OR (SELECT count(*) FROM theazo_data.step s WHERE s.platform_id = r.platform_id"
		  . " AND s.root_id = substr(r.id, 5) AND s.kind = 'tool') <> 7)"), '0', 'each completed run has its six model calls and seven tool calls');

# The ledger against what the server has answered, conversation by conversation.
my $seen = seen();
my %ledger;
foreach (split /\n/, sql("SELECT substring(p.input ->> 'task' FROM 'conv:(r[0-9]+)'), count(c.id) FILTER (WHERE NOT c.estimated),"
		  . " count(c.id) FILTER (WHERE c.estimated), (SELECT count(*) FROM theazo_data.step s WHERE s.platform_id = r.platform_id"
		  . " AND s.root_id = substr(r.id, 5) AND s.kind = 'model' AND s.state = 'done'),"
		  . " (SELECT count(*) FROM theazo_data.step s WHERE s.platform_id = r.platform_id"
		  . " AND s.root_id = substr(r.id, 5) AND s.kind = 'model' AND s.state = 'unknown' AND s.estimated)"
		  . " FROM theazo_data.run r JOIN theazo_data.run_payload p ON p.platform_id = r.platform_id AND p.root_id = substr(r.id, 5)"
		  . " LEFT JOIN theazo_data.charge c ON c.platform_id = r.platform_id AND c.root_id = p.root_id AND c.item = 'model.call'"
		  . " WHERE r.platform_id = '$platform' AND r.kind = 'agent' GROUP BY 1, r.platform_id, r.id"))
{
	my ($conv, $booked, $estimated, $done, $unknown) = split /\|/;
	push @{ $ledger{$conv} }, { booked => $booked, estimated => $estimated, done => $done, unknown => $unknown };
}
is(scalar(grep { @$_ != 1 } values %ledger), 0, 'no start was made twice');
my ($wrong, $lost, $answered, $booked, $marked) = (0, 0, 0, 0, 0);
foreach my $conv (sort keys %ledger)
{
	my $l = $ledger{$conv}[0];
	my $count = ($seen->{conversations}{$conv} || {})->{answered} // 0;
	# One answer too many there is one that was lost here, and is marked.
	my $more = $count - $l->{booked};
	$answered += $count;
	$booked += $l->{booked};
	$marked += $l->{estimated};
	$lost += $more;
	next if $l->{booked} == $l->{done} && $l->{estimated} == $l->{unknown} && $more >= 0 && $more <= $l->{estimated};
	$wrong++;
	diag("$conv: the server answered $count, booked $l->{booked} and $l->{estimated} by estimate, steps done $l->{done}, unknown $l->{unknown}");
}
is($wrong, 0, "the server's count of answered calls is the ledger's: $answered answered, $booked booked, $lost lost of $marked marked");
is($seen->{counts}{answered}, $answered, 'the server answered nobody else');
is($seen->{counts}{history_refused} // 0, 0, 'no history differed by a byte') or diag(encode_json($seen->{refused}));
is($seen->{counts}{repeated} // 0, 0, 'no answered call was asked for again');
is($seen->{counts}{refused} // 0, 0, 'the server refused nothing');
is(sql("SELECT count(*) FROM (SELECT id FROM theazo_data.charge WHERE platform_id = '$platform' GROUP BY id HAVING count(*) > 1) s"),
	'0', 'no charge exists twice');
is(sql("SELECT count(*) FROM theazo.integrity_check()"), '0', 'the integrity check finds nothing');

$node->stop('fast');
kill 'TERM', $pid;
close $double;
done_testing();
