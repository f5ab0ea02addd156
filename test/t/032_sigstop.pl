# A dispatcher that is stopped past its lease and continued sends nothing twice: a lease belongs to a live worker, not
# to a clock, and what was taken from it in the meantime it does not send at all.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $double = new_double('--credential', 'token', '--exec', 'scripted');
my $node = new_server('sigstop', "theazo.dispatchers = 1\ntheazo.lease = 1s\ntheazo.keeper_interval = 1s\n");
my $p = new_platform($node, 'sigstop');
$node->safe_psql('postgres', "SELECT theazo.platform_allow_egress('$p->{id}', allow_http => true, allow_private => true)");
$node->safe_psql('postgres', "SELECT name FROM theazo.secret_set('hook', 'token', api_key => '$p->{key}')");
$node->safe_psql('postgres', "SELECT name FROM theazo.provider_set('hook', type => 'webhook', endpoint =>"
	  . " 'http://127.0.0.1:$double->{port}/', credential_ref => 'hook', api_key => '$p->{key}')");
my $agent = new_agent($p, '{"provider": "hook"}');
my $pid = $node->safe_psql('postgres', "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher'");

sub effect
{
	my ($run, $what) = @_;
	return $node->safe_psql('postgres', "SELECT $what FROM theazo_data.effect WHERE run_id = '$run'");
}

# Stopped until the lease is over and the keeper has looked at it several times.
sub stop_past_lease
{
	my ($run) = @_;
	kill 'STOP', $pid;
	wait_sql($node, "SELECT lease_until < now() - interval '2 s' FROM theazo_data.effect WHERE run_id = '$run'", 't', 'the lease runs out');
	$node->safe_psql('postgres', 'SELECT theazo_internal.leases_reclaim(theazo_internal.workers_alive())');
}

# ---- before anything was sent -----------------------------------------------------------
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('dispatcher-after-claim', true)");
my $run = start_run($p, 'exec_start', $agent, "'sh', 'echo one'");
wait_sql($node, "SELECT state FROM theazo_data.effect WHERE run_id = '$run'", 'claimed', 'claimed');
stop_past_lease($run);
is(effect($run, 'state || attempt'), 'claimed1', 'a lease that ran out is not taken from a worker that lives');
is(scalar $double->requests('exec'), 0, 'nothing was sent');
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('dispatcher-after-claim', false)");
kill 'CONT', $pid;
is(wait_run($p, $run)->{status}, 'completed', 'it goes on');
is(scalar $double->requests('exec'), 1, 'and sends once');

# ---- between request and answer -------------------------------------------------------------
$double->control({ rule => { op => 'exec', mode => 'delay', ms => 3000 } });
$run = start_run($p, 'exec_start', $agent, "'sh', 'echo two'");
my $until = time() + 60;
sleep 0.02 while $double->requests('exec') < 2 && time() < $until;
stop_past_lease($run);
like(effect($run, 'state || attempt'), qr/^(claimed|sent)1$/, 'nor is a call in flight');
kill 'CONT', $pid;
is(wait_run($p, $run)->{status}, 'completed', 'the answer that waited is read');
is(scalar $double->requests('exec'), 2, 'and nothing was sent again');

# ---- taken away meanwhile ---------------------------------------------------------------------
$double->control({ rule => { op => 'exec', mode => 'normal' } });
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('dispatcher-after-claim', true)");
$run = start_run($p, 'exec_start', $agent, "'sh', 'echo three'");
wait_sql($node, "SELECT state FROM theazo_data.effect WHERE run_id = '$run'", 'claimed', 'claimed');
stop_past_lease($run);
# What recovery would do if it took the worker for dead: the same effect, a later attempt, not due before long.
$node->safe_psql('postgres', "UPDATE theazo_data.effect SET state = 'queued', incarnation = NULL, lease_until = NULL,"
	  . " due_at = now() + interval '1 hour' WHERE run_id = '$run'");
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('dispatcher-after-claim', false)");
kill 'CONT', $pid;
# Another effect goes through behind it, so the worker has passed the point.
$node->safe_psql('postgres', "SELECT theazo_internal.effect_enqueue('$p->{id}', NULL, 'probe.noop', 'noop')");
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE kind = 'probe.noop' AND state = 'done'", 1, 'the worker goes on');
is(scalar $double->requests('exec'), 2, 'what was taken away is not sent');
is(effect($run, 'state || attempt'), 'queued1', 'nor settled');
$node->safe_psql('postgres', "UPDATE theazo_data.effect SET due_at = now() WHERE run_id = '$run'");
is(wait_run($p, $run)->{status}, 'completed', 'the later attempt is carried out');
is(scalar $double->requests('exec'), 3, 'once');
is(effect($run, 'attempt'), 2, 'as attempt 2');

$node->stop;
done_testing();
