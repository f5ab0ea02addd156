# The kill switch: what is in flight is cut, at the sockets of the receiving server and in the processes of sandboxes; what waits is
# ended; what descends from it as well. Nothing begins again: not by itself, not after the server was killed, not on a standby
# that is promoted. A client that sits on a row holds up nobody.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $streams = 50;
my $boxes = 5;
our $out;
my $pid = open($out, '-|', 'python3', "$FindBin::RealBin/../mock/streams.py", '100') or die "cannot start the endless model: $!";
chomp(my $port = <$out>);
END { my $status = $?; kill 'TERM', $pid if $pid; $? = $status; }
sub seen { return decode_json(HTTP::Tiny->new->get("http://127.0.0.1:$port/")->{content}) }
sub open_is
{
	my ($want, $what) = @_;
	my $until = time() + 60;
	my $got;
	while (($got = seen()->{open}) != $want && time() < $until) { sleep 0.05 }
	is($got, $want, $what);
	return;
}

my $node = new_server('kill', qq(
theazo.dispatchers = 2
wal_level = replica
max_prepared_transactions = 2
max_wal_senders = 4
hot_standby = on
restart_after_crash = on
));
my $p = new_platform($node, 'killed');
my $other = new_platform($node, 'bystander');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub key { return ", api_key => '" . ($_[0] // $p)->{key} . "')" }
foreach my $x ($p, $other)
{
	sql("UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$x->{id}'");
	sql("SELECT theazo.provider_set('m', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1'" . key($x));
}
sub talk
{
	my ($n, $x, $session) = @_;
	$x //= $p;
	$session //= $x->{session};
	return split /\n/, sql("SELECT (theazo.session_run('$session', 'talker', 'Talk.', '{\"model\": \"m\"}', timeout => '10 min'" . key($x) . ").id FROM generate_series(1, $n)");
}
sub halted { return wait_sql($node, "SELECT applied_at IS NOT NULL FROM theazo.operator_halts WHERE id = '$_[0]'", 't', "halt $_[0] is applied") }
sub refused
{
	my ($call, $reason, $what) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
	like($err, qr/TZ203.*Reason: $reason\./s, $what);
	return;
}
sub states { return sql("SELECT string_agg(DISTINCT status || ' ' || coalesce(error_sqlstate, ''), ', ') FROM theazo_data.run WHERE id IN (" . join(', ', map { "'$_'" } @_) . ')') }

my $local = sql("SELECT mode FROM theazo.sandbox_preflight LIMIT 1") =~ /full|namespaces/;

# ---- a platform: streams, commands in sandboxes, queued work ----------------------------------------------------------------
my @alive = talk(2, $other);
my @runs = talk($streams);
open_is($streams + 2, "$streams streams of the platform are open, and two of another");
my @execs;
if ($local)
{
	foreach my $i (1 .. $boxes)
	{
		my $agent = new_agent($p, '{"provider": "theazo"}');
		push @execs, start_run($p, 'exec_start', $agent, "'sh', 'sleep 600', timeout => '10 min'");
	}
	wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE kind = 'compute.exec' AND state IN ('claimed', 'sent')", $boxes, "$boxes commands run");
}
my $box_processes = sub { return scalar grep { /theazo-init|\bsleep 600/ } `ps -eo args` };
my $before = $local ? $box_processes->() : 0;
cmp_ok($before, '>=', $local ? $boxes : 0, 'their processes are there');
# somebody sits on the row of an agent of the platform
my $idle_run = $runs[0];
my $sitter = $node->background_psql('postgres', on_error_stop => 0);
$sitter->query_safe("BEGIN; SELECT 1 FROM theazo_data.agent WHERE id = (SELECT agent_id FROM theazo_data.run WHERE id = '$idle_run') FOR UPDATE");
my $halt = sql("SELECT id FROM theazo.halt('enough'" . key());
open_is(2, 'every stream of the platform is cut, those of the other go on');
wait_sql($node, "SELECT count(*) FROM theazo_data.run WHERE platform_id = '$p->{id}' AND status IN ('queued', 'running')", 1, 'all runs end but the one that is sat on');
is(sql("SELECT applied_at IS NULL FROM theazo.operator_halts WHERE id = '$halt'"), 't', 'so the halt is not applied yet');
$sitter->query_safe('ROLLBACK');
$sitter->quit;
halted($halt);
is(states(@runs), 'failed TZ203', 'runs fail as halted');
is(sql("SELECT affected ->> 'runs' FROM theazo.operator_halts WHERE id = '$halt'"), $streams, 'the halt has counted them');
SKIP:
{
	skip 'no local sandboxes', 3 if !$local;
	is(states(@execs), 'cancelled TZ203', 'commands are terminated as halted');
	is(sql("SELECT count(*) FROM theazo_data.sandbox WHERE platform_id = '$p->{id}' AND status NOT IN ('destroyed', 'lost')"), 0, 'sandboxes are destroyed');
	my $until = time() + 30;
	while ($box_processes->() > $before - $boxes && time() < $until) { sleep 0.1 }
	cmp_ok($box_processes->(), '<=', $before - $boxes, 'and their processes are gone');
}
refused("SELECT theazo.session_run('$p->{session}', 'talker', 'Talk.', '{\"model\": \"m\"}'" . key(), 'platform_halt', 'nothing begins');
is(sql("SELECT count(*) FROM theazo_data.event WHERE platform_id = '$p->{id}' AND action = 'halt_refused' AND decision = 'deny'"), 1, 'the refusal is an event');
is(states(@alive), 'running ', 'the other platform works on');

# ---- one agent, halted on its own, outlives the platform's halt ---------------------------------------------------------------
my $session2 = sql("SELECT id FROM theazo.session_create('second'" . key());
my $agent = sql("SELECT agent_id FROM theazo_data.run WHERE id = '$runs[1]'");
sql("SELECT theazo.unhalt('$p->{key}')");
my ($alone, $kin) = talk(2);
my ($far) = talk(1, $p, $session2);
open_is(5, 'it works again');
my $alone_agent = sql("SELECT agent_id FROM theazo_data.run WHERE id = '$alone'");
my $child = sql("SELECT id FROM theazo.session_run('$p->{session}', 'child', 'Talk.', '{\"model\": \"m\"}', parent => '$alone', timeout => '10 min'" . key());
my $grandchild = sql("SELECT id FROM theazo.session_run('$p->{session}', 'child', 'Talk.', '{\"model\": \"m\"}', parent => '$child', timeout => '10 min'" . key());
my $prepared = sql("BEGIN; SELECT id FROM theazo.session_run('$p->{session}', 'child', 'Talk.', '{\"model\": \"m\"}', parent => '$child', timeout => '10 min'" . key()
	  . "; PREPARE TRANSACTION 'child'");
open_is(7, 'a run that started a run that started a run');
halted(sql("SELECT id FROM theazo.kill('$alone_agent', 'gone mad'" . key()));
is(states($alone, $child, $grandchild), 'failed TZ203', 'an agent is killed with all that descends from it');
sql("COMMIT PREPARED 'child'");
wait_sql($node, "SELECT concat_ws(' ', status, error_sqlstate) FROM theazo_data.run WHERE id = '$prepared'", 'failed TZ203', 'also what was prepared before and is committed after');
is(sql("SELECT count(*) FROM theazo_data.effect WHERE run_id = '$prepared' AND attempt > 0"), 0, '... without a call');
is(states($kin, $far), 'running ', '... and nobody else');
is(sql("SELECT error_message FROM theazo_data.run WHERE id = '$grandchild'"), "agent \"$alone_agent\" is halted: gone mad", 'the reason is told');
my $h2 = sql("SELECT id FROM theazo.halt('all'" . key());
halted($h2);
sql("SELECT theazo.unhalt('$p->{key}')");
refused("SELECT theazo.run_start('$alone_agent', 'Talk.'" . key(), 'agent_halted', 'who was halted alone stays so when the platform is not any more');

# ---- a run, a session, test work ------------------------------------------------------------------------------------------------
($alone, $kin) = talk(2);
($far) = talk(1, $p, $session2);
open_is(5, 'three more');
halted(sql("SELECT id FROM theazo.kill('$alone', 'wrong task'" . key()));
is(states($alone), 'failed TZ203', 'a run is killed');
like((($node->psql('postgres', "SELECT theazo.resume_halted('$alone'" . key()))[2]), qr/killed stays so/, '... for good');
halted(sql("SELECT id FROM theazo.kill('$session2', 'left'" . key()));
is(states($far) . ' / ' . states($kin), 'failed TZ203 / running ', 'a session is killed, the other one is not');
refused("SELECT theazo.session_run('$session2', 'talker', 'Talk.', '{\"model\": \"m\"}'" . key(), 'session_halted', 'nothing begins in it');
is(sql("SELECT theazo.resume_halted('$session2'" . key()), 1, 'it is resumed');
my $test_key = sql("SELECT key FROM theazo.api_key_create('t', 'test', platform => '$p->{id}')");
my $test_halt = sql("SELECT id FROM theazo.halt('tests', api_key => '$test_key')");
halted($test_halt);
is(states($kin), 'running ', 'what a test key halts is test work');
sql("SELECT theazo.unhalt('$test_key')");

# ---- the server is killed with a halt just committed ------------------------------------------------------------------------------
my @more = talk(10);
open_is(13, 'ten more');
# Nobody applies it: the keeper cannot get at a single run, and then everybody is gone.
$halt = sql("SELECT id FROM theazo.operator_halt('crash', platform => '$p->{id}')");
$node->stop('immediate');
$node->start;
halted($halt);
is(sql("SELECT count(*) FROM theazo_data.run WHERE platform_id = '$p->{id}' AND status IN ('queued', 'running')"), 0, 'after a crash it is applied all the same');
is(sql("SELECT count(*) FROM theazo_data.effect WHERE platform_id = '$p->{id}' AND state IN ('queued', 'claimed', 'sent', 'held')"), 0, 'nothing is left to send');
like((($node->psql('postgres', "SELECT theazo.unhalt('$p->{key}')"))[2]), qr/is not halted/, 'what the operator has halted, the platform does not lift');

# ---- a standby takes over ------------------------------------------------------------------------------------------------------------
sql("SELECT theazo.operator_unhalt(platform => '$p->{id}')");
# what the crash left unknown speaks against that provider for a while
sql("SELECT theazo.provider_set('m2', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1'" . key());
sql("SELECT theazo.provider_delete('m', 'model', force => true" . key());
talk(3);
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE platform_id = '$p->{id}' AND kind = 'model.call' AND state IN ('claimed', 'sent')", 3, 'three calls are in flight');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$halt = sql("SELECT id FROM theazo.operator_halt('everything')");
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
$node->stop('immediate');
$standby->promote;
$node = $standby;
$p->{node} = $node;
wait_sql($node, "SELECT count(*) FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND state = 'running'", 2, 'its workers start');
halted($halt);
my $begun = seen()->{begun};
is(sql("SELECT count(*) FROM theazo_data.run WHERE status IN ('queued', 'running')"), 0, 'a promoted standby holds to what was halted');
refused("SELECT theazo.session_run('$p->{session}', 'talker', 'Talk.', '{\"model\": \"m\"}'" . key(), 'global_halt', 'nothing begins there');
sleep 1.5;
is(seen()->{begun}, $begun, 'and nothing is sent');
is(sql('SELECT theazo.operator_unhalt()'), 1, 'the operator lifts it');
sleep 1;
is(seen()->{begun}, $begun, 'nothing that was ended begins again');
is(sql(q{SELECT string_agg(rule || ' ' || object || ' ' || coalesce(detail, ''), E'\n') FROM theazo.integrity_check()}), '', 'all rows fit');
$node->stop;
done_testing();
