# A fast stop in the middle of 200 slow calls: workers leave within a second or so, nothing is lost or sent twice,
# and what was claimed and never begun is free again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $calls = 200;
my $double = new_double('--credential', 'token', '--exec', 'scripted');
my $node = new_server('faststop', "theazo.dispatchers = 2\n");
my $p = new_platform($node, 'faststop');
$node->safe_psql('postgres', "SELECT theazo.platform_allow_egress('$p->{id}', allow_http => true, allow_private => true)");
$node->safe_psql('postgres', "SELECT name FROM theazo.secret_set('hook', 'token', api_key => '$p->{key}')");
$node->safe_psql('postgres', "SELECT name FROM theazo.provider_set('hook', type => 'webhook', endpoint =>"
	  . " 'http://127.0.0.1:$double->{port}/', credential_ref => 'hook', api_key => '$p->{key}')");
$node->safe_psql('postgres',
	"SELECT count((theazo.agent_create('$p->{session}', '{\"provider\": \"hook\"}', api_key => '$p->{key}')).id)"
	  . " FROM generate_series(1, $calls)");
ok(wait_sql($node, "SELECT count(*) FROM theazo_data.agent WHERE status = 'ready'", $calls, 'agents become ready'),
	"$calls agents are ready");

# What a stop takes on this machine as it is now, with nothing under way.
my $idle = time();
$node->stop('fast');
$idle = time() - $idle;
$node->start;

# Execs answer after ten minutes: far beyond the stop.
$double->control({ rule => { op => 'exec', mode => 'delay', ms => 600000 } });
$node->safe_psql('postgres',
	"SELECT count((theazo.exec_start(id, 'sh', 'true', api_key => '$p->{key}')).id) FROM theazo_data.agent");
my $until = time() + 60;
sleep 0.1 while $double->requests('exec') < $calls && time() < $until;
is(scalar $double->requests('exec'), $calls, "$calls calls are in flight");

# A command of a local sandbox, and work that nobody can have begun.
my $local = new_agent($p, '{"provider": "theazo"}');
my $run = start_run($p, 'exec_start', $local, "'sh', 'sleep 600'");
wait_sql($node, "SELECT status FROM theazo_data.run WHERE id = '$run'", 'running', 'a local command runs');

my $begun = time();
$node->stop('fast');
my $took = time() - $begun;
diag(sprintf('stopped in %.2f s, with nothing under way in %.2f s', $took, $idle));
cmp_ok($took, '<', 5 + 4 * $idle, 'the server stops at once');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nobody had to be killed');

$node->start;
wait_sql($node, "SELECT count(*) FROM theazo_data.run WHERE status NOT IN ('completed', 'failed', 'cancelled')", 0, 'every run ends')
  and pass('every run has ended');
is($node->safe_psql('postgres', "SELECT DISTINCT error_sqlstate FROM theazo_data.run WHERE provider = 'hook'"), 'TZ408',
	'those that had been sent with "outcome unknown"');
# Settled as gone when the dispatcher had the time before it left; else the next one can only say that it does not
# know, and then the charge must say so too.
like($node->safe_psql('postgres', "SELECT r.error_sqlstate, r.outcome_unknown, c.estimated FROM theazo_data.run r"
			. " JOIN theazo_data.charge c ON c.platform_id = r.platform_id AND c.run_id = r.id WHERE r.id = '$run'"),
	qr/^(TZ410\|f\|f|TZ408\|t\|t)$/, 'the local one because its sandbox is gone, or as unknown, with one charge that says the same');
is(scalar $double->requests('exec'), $calls, 'none was sent again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM theazo.integrity_check()'), 0, 'the rows fit together');

# ---- what was claimed and not begun is released ----------------------------------------
$double->control({ rule => { op => 'exec', mode => 'normal', stdout => 'fine', exit_code => 0 } });
$node->safe_psql('postgres', "SELECT theazo_internal.pause_point('dispatcher-after-claim', true)");
$node->safe_psql('postgres',
	"SELECT count((theazo.exec_start(id, 'sh', 'true', api_key => '$p->{key}')).id)"
	  . " FROM (SELECT id FROM theazo_data.agent WHERE provider = 'hook' ORDER BY id LIMIT 20) a");
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE state = 'claimed'", 20, 'claimed');
$begun = time();
$node->stop('fast');
cmp_ok(time() - $begun, '<', 5 + 4 * $idle, 'the server stops while claims are held back');
is(scalar $double->requests('exec'), $calls, 'nothing of them was sent');
$node->start;
wait_sql($node, "SELECT count(*) FROM theazo_data.run WHERE status = 'completed'", 20, 'they are carried out after the start')
  and pass('they are carried out after the start');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.run WHERE status IN ('queued', 'running')"), 0, 'all of them');
is(scalar $double->requests('exec'), $calls + 20, 'once each');
$node->stop;
done_testing();
