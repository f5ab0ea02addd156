# Fly against its double: lost answers, limits, machines that sleep or do not start, and where secrets must not be.
# What all kinds do alike is in 119_conformance.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoDouble;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $canary = 'fly_canary-4711-abcdef';
my $double = double_start('fly.py', '--key', $canary);
my $dir = $double->{dir};
my $base = $double->{url};
sub control { return $double->control(@_); }
sub rule { return $double->rule(@_); }
sub machines { return @{ control({})->{machines} }; }

my $node = new_server('fly', "theazo.dispatchers = 1\ntheazo.metrics_interval = 60\n");
my $p = new_platform($node, 'machines');
my $key = "api_key => '$p->{key}'";
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql("UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}'");
sql("SELECT theazo.secret_set('fly.key', '$canary', $key)");
sql("SELECT theazo.secret_set('SHOWN', 'shown-4711-abcdef', session => '$p->{session}', $key)");
sql("SELECT theazo.provider_set('fly', type => 'fly', endpoint => '$base', credential_ref => 'fly.key', config => '{\"app\": \"boxes\", \"memory_mb\": 256}', $key)");
sub agent { return sql("SELECT id FROM theazo.agent_create('$p->{session}', '{\"provider\": \"fly\"}', $key)"); }
sub made
{
	my ($agent, $want, $name) = @_;
	wait_sql($node, "SELECT status IN ('ready', 'failed') FROM theazo_data.agent WHERE id = '$agent'", 't', $name, 90);
	return is(sql("SELECT status FROM theazo_data.agent WHERE id = '$agent'"), $want, "$name: $want");
}
sub run_sh { return run_code($p, $_[0], 'sh', $_[1]); }

rule(op => 'create', cut => 'before', times => 1);
my $agent = agent();
made($agent, 'ready', 'a creation whose answer is lost');
is(scalar(machines()), 1, 'it is one machine');
rule(op => 'exec', cut => 'half', times => 1);
is(run_sh($agent, 'echo x >>count; echo "$SHOWN" | cut -c1-5')->{stdout}, "shown\n", 'a command whose answer is lost');
rule(op => 'exec', status => 500, body => { error => 'deadline_exceeded' }, execute => JSON::PP::true, times => 1);
is(run_sh($agent, 'echo x >>count; wc -l <count | tr -d " "')->{stdout}, "2\n", 'a guest that was not reached; each ran once');
is(run_sh($agent, "echo $_")->{stdout}, "$_\n", "one command after the other, within the limit: $_") for 1 .. 5;
my $machine = (machines())[0]{id};
my $plain = sql("SELECT id FROM theazo.session_create('other', $key)");
control({ machine => $machine, state => 'suspended' });
is(run_sh($agent, 'wc -l <count | tr -d " "')->{stdout}, "2\n", 'one that was suspended is started, with its files');

# figures that the keeper has taken
sql("UPDATE theazo_data.sandbox SET sampled_at = clock_timestamp() - interval '1 h' WHERE status = 'ready'; SELECT theazo_internal.keeper_samples()");
ok(wait_sql($node, "SELECT count(*) > 0 AND bool_and(memory_mb > 0 AND cpu_percent >= 0) FROM theazo_data.sandbox_sample", 't', 'figures'), 'the keeper has figures of it');

# a command that is cancelled
{
	my $run = start_run($p, 'exec_start', $agent, q('sh', 'echo $$ >leader; sleep 612 & echo $! >child; wait'));
	for (1 .. 200) { last if glob("$dir/machine-*/child"); sleep 0.05; }
	my @pids = map { slurp_file($_) =~ /(\d+)/ } glob("$dir/machine-*/leader"), glob("$dir/machine-*/child");
	is(scalar(grep { kill 0, $_ } @pids), 2, 'a command and what it has started run');
	sql("SELECT theazo.run_cancel('$run', $key)");
	for (1 .. 200) { last unless grep { kill 0, $_ } @pids; sleep 0.05; }
	is(scalar(grep { kill 0, $_ } @pids), 0, 'cancelled, both end');
}

# pause: what was given secrets ends before; what was not goes on where it was; a cold start keeps the disk
sub sleeps_and_wakes
{
	my ($one, $cold) = @_;
	sql("SELECT theazo.agent_pause('$one', $key)");
	wait_sql($node, "SELECT count(*) = 0 FROM theazo_data.effect WHERE kind = 'compute.pause' AND state IN ('queued', 'claimed', 'sent')", 't', 'it sleeps');
	my $id = sql("SELECT external_id FROM theazo_data.sandbox WHERE agent_id = '$one' AND status = 'paused'");
	is((grep { $_->{id} eq $id } machines())[0]{state}, 'suspended', 'it is suspended') or diag(encode_json([machines()]));
	control({ machine => $id, cold => JSON::PP::true }) if $cold;
	sql("SELECT theazo.agent_resume('$one', $key)");
	return;
}
sub counts
{
	my ($one) = @_;
	my ($first, $then) = split /\n/, run_sh($one, 'cat counter; sleep 0.5; cat counter')->{stdout};
	return $then - $first;
}
my $count = 'n=0; (while :; do n=$((n+1)); echo $n >c; mv c counter; sleep 0.05; done) >/dev/null 2>&1 & sleep 0.3; cat counter';
my $other = sql("SELECT id FROM theazo.agent_create('$plain', '{\"provider\": \"fly\", \"region\": \"fra\"}', $key)");
made($other, 'ready', 'one in a region of its own');
is((grep { $_->{id} ne $machine } machines())[0]{region}, 'fra', 'it is there');
run_sh($other, $count);
sleeps_and_wakes($other);
cmp_ok(counts($other), '>', 0, 'a counter goes on after the pause');
rule(op => 'suspend', leased => JSON::PP::true, times => 1);
sleeps_and_wakes($other, 1);
is(counts($other), 0, 'a cold start ends it, and keeps its files');
is(scalar(grep { $_->{op} eq 'suspend' && $_->{event} eq 'answer' && $_->{status} == 409 } $double->journal), 1,
	'a lease was in the way once');
run_sh($agent, $count);
rule(op => 'delete', leased => JSON::PP::true, times => 1);
sleeps_and_wakes($agent);
is(counts($agent), 0, 'what was given secrets has ended');
sql("SELECT theazo.session_terminate('$plain', $key)");
control({ machine => $machine, state => 'destroyed' });
is(run_sh($agent, 'true')->{error_sqlstate}, 'TZ410', 'one that is gone');
rule(op => 'create', fail_start => JSON::PP::true, times => 1);
made(agent(), 'failed', 'one that stops when it has started');
rule(op => 'create', capacity => JSON::PP::true, times => 1);
made(agent(), 'failed', 'no capacity');
sql("SELECT theazo.session_terminate('$p->{session}', $key)");
wait_sql($node, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')", 't', 'everything is settled');
for (1 .. 50) { last if scalar(machines()) == 0; sleep 0.1; }
is(scalar(machines()), 0, 'no machine is left');
my @leaks = grep { $_->{op} // '' } map { decode_json($_) } grep { /shown-4711-abcdef/ } split /\n/, slurp_file("$dir/journal.jsonl");
is(scalar(grep { $_->{op} ne 'exec' } @leaks), 0, 'the secret is in commands only');
unlike(slurp_file($node->logfile), qr/\Q$canary\E/, 'the credential is not in the log');
$node->stop;
done_testing();
