# Chaos: work goes on while processes are killed with SIGKILL at random moments. Afterwards every run
# has ended, no charge is missing or double, nothing was sent twice that must not be, and no sandbox
# process or directory is left. The webhook double never de-duplicates and journals on disk, so that
# calls received, sandboxes held, effects and charges can be compared with each other.
#
# THEAZO_CHAOS: number of kills (3). THEAZO_CHAOS_RUNS: number of runs (200). THEAZO_CHAOS_SEED: repeats a run.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoChaos;
use TheazoPath qw(new_server);
use Time::HiRes qw(sleep time);

my $kills = $ENV{THEAZO_CHAOS} || 3;
my $total = $ENV{THEAZO_CHAOS_RUNS} || 200;
my $seed = chaos_seed(20260131);
my $patience = 180;
diag("seed $seed, $kills kills, $total runs");

# --- the webhook double --------------------------------------------------------
my $double_dir = PostgreSQL::Test::Utils::tempdir();
my $pid = open(my $double, '-|', 'python3', "$FindBin::Bin/../mock/webhook.py",
	'--dir', $double_dir, '--exec', 'real', '--credential', 'chaos-token')
  or die "cannot start the webhook double: $!";
my $port = <$double>;
chomp $port;
END
{
	my $status = $?;
	kill 'KILL', $pid if $pid;
	$? = $status;
}
my $http = HTTP::Tiny->new(timeout => 30);
# Commands take a while, so that kills fall between request and answer.
$http->post("http://127.0.0.1:$port/_control",
	{ content => encode_json({ rule => { op => 'exec', mode => 'delay', ms => 400 } }) });

# --- the server ------------------------------------------------------------------
my $node = new_server('chaos', "theazo.dispatchers = 2\ntheazo.keeper_interval = 1s\nrestart_after_crash = on\nfsync = on\n");
chaos_server($node, $patience);

my $platform = sql("SELECT id FROM theazo.platform_create('Chaos')");
my $key = sql("SELECT key FROM theazo.api_key_create('chaos', platform => '$platform')");
sql("SELECT name FROM theazo.secret_set('hook', 'chaos-token', api_key => '$key')");
sql("SELECT theazo.platform_allow_egress('$platform', allow_http => true, allow_private => true)");
sql("SELECT name FROM theazo.provider_set('hook', type => 'webhook', endpoint => 'http://127.0.0.1:$port/compute',"
	  . " credential_ref => 'hook', api_key => '$key')");
my $session = sql("SELECT id FROM theazo.session_create('chaos-user', api_key => '$key')");

my @agents;
foreach my $n (1 .. 8)
{
	my $provider = $n <= 5 ? 'hook' : 'theazo';
	push @agents, {
		provider => $provider,
		id => sql("SELECT id FROM theazo.agent_create('$session', '{\"provider\": \"$provider\"}', api_key => '$key')")
	};
}
my $ids = join(',', map { "'$_->{id}'" } @agents);

# --- what the double saw -----------------------------------------------------------
sub journal
{
	my @entries;
	open(my $fh, '<', "$double_dir/journal.jsonl") or return ();
	while (my $line = <$fh>)
	{
		my $entry = eval { decode_json($line) } or next;
		push @entries, $entry;
	}
	close $fh;
	return @entries;
}

sub in_flight
{
	my %open;
	foreach my $e (journal())
	{
		if ($e->{event} eq 'request') { $open{ $e->{n} } = $e->{op} }
		else { delete $open{ $e->{n} } }
	}
	return scalar grep { $_ eq 'exec' } values %open;
}

# --- work, and the killer ------------------------------------------------------------
my @victims = ('dispatcher', 'keeper', 'launcher', 'backend', 'postmaster');
my %killed;
my $between = 0;

sub kill_one
{
	my ($kind) = @_;
	# Mostly while calls are out: that is where something can be lost.
	for (1 .. 40)
	{
		last if in_flight() > 0;
		sleep 0.05;
	}
	my $waiting;
	# One that waits for its run.
	$waiting = waiting_backend("CALL theazo.file_list('$agents[-1]{id}', '/', '$key');\nSELECT pg_sleep(60);\n") if $kind eq 'backend';
	my $victim;
	for (1 .. 50)
	{
		$victim = victim_pid($kind);
		last if $victim;
		sleep 0.1;
	}
	return 0 unless $victim;
	my $flight = in_flight();
	$killed{$kind}++;
	$between++ if $flight > 0;
	$kind eq 'postmaster' ? kill_server() : kill('KILL', $victim);
	eval { $waiting->kill_kill } if $waiting;
	sql('SELECT 1');
	return 1;
}

my $started = 0;
my $done_kills = 0;

# Starts the next run on an agent that is idle. The idempotency key makes the start safe to repeat
# when the answer was lost.
sub start_run
{
	my ($agent) = @_;
	my $n = $started + 1;
	my ($language, $code) = $n % 2 ? ('python', "print($n)") : ('bash', "echo $n");
	my $out = try_sql(
		"SELECT id FROM theazo.exec_start('$agent->{id}', '$language', '$code',"
		  . " idempotency_key => 'chaos-$n', api_key => '$key')"
		  . " WHERE NOT EXISTS (SELECT FROM theazo_data.run r WHERE r.platform_id = '$platform'"
		  . " AND r.agent_id = '$agent->{id}' AND r.status IN ('queued', 'running'))");
	$started++ if defined $out && $out =~ /^run_/;
}

my $until = time() + $patience + $total + 15 * $kills;
while (($started < $total || $done_kills < $kills) && time() < $until)
{
	# Those of the double come last, so that they are out when the killer looks.
	start_run($_) foreach reverse @agents;
	if ($done_kills < $kills && $started >= ($done_kills + 0.5) * $total / $kills)
	{
		$done_kills++ if kill_one($victims[ $done_kills < 5 ? $done_kills : int(rand(5)) ]);
	}
}
cmp_ok($started, '>=', $total, "at least $total runs were started");
$total = $started;
is($done_kills, $kills, "$kills kills: " . join(', ', map { "$_ $killed{$_}" } sort keys %killed));
diag("kills between request sent and answer settled: $between");
if ($kills >= 30)
{
	cmp_ok($between, '>=', 5, 'at least five kills fell between request sent and answer settled');
}

# --- afterwards --------------------------------------------------------------------
ok(wait_for('runs ended',
		"SELECT count(*) FROM theazo_data.run WHERE platform_id = '$platform' AND kind = 'exec'"
		  . " AND status IN ('completed', 'failed', 'cancelled')", $total),
	'every run has ended');
diag(sql("SELECT string_agg(format('%s%s: %s', status, coalesce(' ' || error_sqlstate, ''), n), ', ') FROM"
	  . " (SELECT status, error_sqlstate, count(*) AS n FROM theazo_data.run WHERE platform_id = '$platform'"
	  . " AND kind = 'exec' GROUP BY 1, 2 ORDER BY 1, 2) s"));
is(sql("SELECT count(*) FROM theazo_data.run WHERE platform_id = '$platform' AND kind = 'exec' AND status = 'failed'"
		  . " AND coalesce(error_sqlstate, '') NOT IN ('TZ408', 'TZ410', 'TZ402')"),
	'0', 'a run that failed did so because its outcome is unknown or its sandbox was lost');
ok(wait_for('effects settled',
		"SELECT count(*) FROM theazo_data.effect WHERE platform_id = '$platform'"
		  . " AND state IN ('queued', 'claimed', 'sent')", '0'), 'no effect is left open');

# Charges against runs.
is(sql("SELECT count(*) FROM theazo_data.run r WHERE r.platform_id = '$platform' AND r.kind = 'exec'"
		  . " AND r.status = 'completed' AND (SELECT count(*) FROM theazo_data.charge c WHERE c.platform_id = r.platform_id"
		  . " AND c.run_id = r.id AND c.item LIKE 'compute%') <> 1"),
	'0', 'each completed run has exactly one compute charge');
is(sql("SELECT count(*) FROM (SELECT id FROM theazo_data.charge WHERE platform_id = '$platform' GROUP BY id HAVING count(*) > 1) s"),
	'0', 'no charge exists twice');
is(sql("SELECT count(*) FROM theazo_data.sandbox s WHERE s.platform_id = '$platform' AND s.billed_seconds <>"
		  . " (SELECT coalesce(sum(c.quantity), 0) FROM theazo_data.charge c WHERE c.platform_id = s.platform_id"
		  . " AND c.sandbox_id = s.id AND c.item LIKE 'compute%')"),
	'0', 'the charges of each sandbox add up to the seconds it was metered for');

# Calls received against effects.
my (%calls, %created, %destroyed, %answered);
foreach my $e (journal())
{
	if ($e->{event} eq 'request') { $calls{ $e->{op} }{ $e->{effect} }++ }
	elsif ($e->{op} eq 'create' && $e->{sandbox}) { $created{ $e->{sandbox} } = 1 }
}
my @twice = grep { $calls{exec}{$_} > 1 } keys %{ $calls{exec} || {} };
is(scalar @twice, 0, 'no command was sent twice') or diag("sent twice: @twice");
my %seen = map { $_ => 1 } split /\n/,
  sql("SELECT e.id FROM theazo_data.effect e JOIN theazo_data.run r ON r.platform_id = e.platform_id AND r.id = e.run_id"
	  . " WHERE e.platform_id = '$platform' AND e.kind = 'compute.exec' AND e.adapter = 'webhook' AND r.status = 'completed'");
is(scalar(grep { !$calls{exec}{$_} } keys %seen), 0, 'each completed run was really received by the double');
my %unknown = map { $_ => 1 } split /\n/,
  sql("SELECT e.id FROM theazo_data.effect e WHERE e.platform_id = '$platform' AND e.kind = 'compute.exec'"
	  . " AND e.adapter = 'webhook' AND e.state <> 'done'");
is(scalar(grep { !$seen{$_} && !$unknown{$_} } keys %{ $calls{exec} || {} }), 0,
	'each command received belongs to a completed run or to one whose outcome is unknown');

# Sandboxes held against rows; a creation whose answer was lost may have left one with the provider.
my $held = decode_json($http->get("http://127.0.0.1:$port/_control")->{content})->{sandboxes};
my %rows = map { $_ => 1 } split /\n/,
  sql("SELECT external_id FROM theazo_data.sandbox WHERE platform_id = '$platform' AND adapter = 'webhook'"
	  . " AND external_id IS NOT NULL AND status IN ('ready', 'paused')");
my $lost = sql("SELECT count(*) FROM theazo_data.effect WHERE platform_id = '$platform' AND kind = 'compute.create'"
	  . " AND adapter = 'webhook' AND state = 'unknown'");
my @orphans = grep { !$rows{$_} } @$held;
cmp_ok(scalar @orphans, '<=', $lost, 'the double holds no sandbox that no row and no unknown creation accounts for');
is(scalar(grep { my $id = $_; !grep { $_ eq $id } @$held } keys %rows), 0, 'each live row has its sandbox');

# Integrity across partitions.
is(sql("SELECT count(*) FROM theazo.integrity_check()"), '0', 'the integrity check finds nothing');
ok(wait_for('events sealed', 'SELECT count(*) FROM theazo.operator_audit_status WHERE unsealed = 0', 1), 'every event is sealed');
is(sql("SELECT chain_valid || ' ' || coalesce(problem, 'nothing') || ' ' || (events = (SELECT count(*) FROM theazo_data.event e WHERE e.platform_id = '$platform'))"
	. " FROM theazo.audit_verify(api_key => '$key')"), 'true nothing true', 'and the chain of all of them verifies');

# The end: agents are terminated, and nothing is left behind.
sql("SELECT count(theazo.agent_terminate(id, '$key')) FROM unnest(ARRAY[$ids]) id");
ok(wait_for('sandboxes destroyed',
		"SELECT count(*) FROM theazo_data.sandbox WHERE platform_id = '$platform'"
		  . " AND status IN ('creating', 'ready', 'paused', 'destroying')", '0'), 'every sandbox is gone');
$held = decode_json($http->get("http://127.0.0.1:$port/_control")->{content})->{sandboxes};
cmp_ok(scalar @$held, '<=', $lost, 'the double holds none but those whose creation is unknown');
my $init = $node->config_data('--pkglibdir') . '/theazo-init';
my $left = 1;
for (1 .. 600)
{
	$left = grep { my $c = slurp_cmdline($_); $c =~ /theazo-init|bwrap/ && owned($_) } glob('/proc/[0-9]*');
	last if $left == 0;
	sleep 0.1;
}
is($left, 0, 'no process of a sandbox is left');

$node->stop('fast');
kill 'TERM', $pid;
close $double;
done_testing();

sub slurp_cmdline
{
	my ($dir) = @_;
	open(my $fh, '<', "$dir/cmdline") or return '';
	local $/;
	my $c = <$fh> // '';
	close $fh;
	return $c;
}

# Ours: descendants of this server only, other tests may run their own.
sub owned
{
	my ($dir) = @_;
	my ($p) = $dir =~ /(\d+)$/;
	for (1 .. 12)
	{
		open(my $fh, '<', "/proc/$p/stat") or return 0;
		my $s = <$fh>;
		close $fh;
		my ($ppid) = $s =~ /^\d+ \(.*\) \S (\d+)/;
		return 1 if $ppid == ($node->{_pid} // -1);
		return 0 if $ppid <= 1;
		$p = $ppid;
	}
	return 0;
}
