# Chaos with money: runs in parallel against caps of a session, a user, a platform and the operator at once, while dispatchers, the keeper
# and backends are killed with SIGKILL. In every look at one snapshot what is spent and what is reserved is at most each cap; in the
# end every run has ended, nothing is reserved, the sums are the ledger's, and nothing is overspent.
#
# THEAZO_CHAOS: number of kills (3); with it 300 runs, else 90. THEAZO_CHAOS_SEED as in 070.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use lib "$FindBin::RealBin";
use TheazoChaos;
use TheazoPath;

my $kills = $ENV{THEAZO_CHAOS} || 3;
my $runs = $ENV{THEAZO_CHAOS} ? 300 : 90;
my $seed = chaos_seed(20261122);
diag("seed $seed, $kills kills, $runs runs");

my $pid = open(my $double, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py") or die "cannot start the double: $!";
chomp(my $port = <$double>);
END { my $status = $?; kill 'KILL', $pid if $pid; $? = $status; }
my $say = { name => 'report_progress', arguments => { message => 'on it' } };
my $all = { usage => { output => 'max' } };
HTTP::Tiny->new->post("http://127.0.0.1:$port/_control", { content => encode_json({ rules => [ { delay_ms => 20,
	turns => [ { %$all, tools => [$say] }, { %$all, tools => [$say] }, { %$all, text => 'done' } ] } ] }) })->{success} or die 'the double refused';

my $node = new_server('chaosbudget', "theazo.dispatchers = 2\ntheazo.keeper_interval = 1s\nrestart_after_crash = on\nfsync = on\n");
chaos_server($node, 60);
sql("SELECT theazo.operator_secret_set('key', 'sk-test')");
sql("SELECT theazo.operator_provider_set('m', kind => 'model', type => 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'key')");
sql("SELECT theazo.model_price_set('dear', input => 100, output => 1000)");
my $p = new_platform($node, 'chaos');
my @sessions = ($p->{session}, map { sql("SELECT id FROM theazo.session_create('$_', api_key => '$p->{key}')") } qw(user other));
# each of them can be met before the next
my $unit = $runs / 90;
my %cap = map { ($_->[0] => sprintf("%.2f", $_->[1] * $unit)) } [ session => 2 ], [ user => 4 ], [ platform => 6 ], [ operator => 6.4 ];
sql("SELECT theazo.session_update_limits('$sessions[0]', '{\"maxCost\": {\"amount\": " . int($cap{session}) . ", \"period\": \"month\"}}', api_key => '$p->{key}')");
$cap{session} = int($cap{session});
sql("SELECT theazo.user_budget_set($cap{user}, user_id => 'user', api_key => '$p->{key}')");
sql("SELECT theazo.budget_set($cap{platform}, api_key => '$p->{key}')");
sql("SELECT theazo.operator_budget_set($cap{operator})");
my %of = (session => "session_id = '$sessions[0]'", user => "user_id = 'user'", platform => "platform_id = '$p->{id}'", operator => 'true');

my $options = '{"model": "dear", "tools": ["report_progress"], "config": {"maxTokens": 50}}';
my ($started, $done, $samples, $over) = (0, 0, 0, '');
my %killed;
my $look = 'SELECT ' . join(', ', map { "(SELECT coalesce(sum(amount), 0) FROM theazo_data.charge WHERE $of{$_}) + (SELECT coalesce(sum(held), 0) FROM theazo_data.reservation WHERE $of{$_})" } sort keys %of)
  . ", (SELECT count(*) FROM theazo_data.run r LEFT JOIN theazo_data.run_loop l ON l.platform_id = r.platform_id AND l.root_id = substr(r.id, 5) WHERE r.status IN ('queued', 'running') AND NOT coalesce(l.suspended, false))";
my $until = time() + 120 + 10 * $kills;
while (time() < $until)
{
	if ($started < $runs)
	{
		my $at = $sessions[ int(rand(@sessions)) ];
		# refused or not: who is refused here has not begun
		$node->psql('postgres', "SELECT count(*) FROM generate_series(1, 10) i CROSS JOIN LATERAL theazo.session_run('$at', NULL, 'go ' || i, '$options', timeout => '120 s', api_key => '$p->{key}') r");
		$started += 10;
	}
	my @now = split /\|/, sql($look);
	my $open = pop @now;
	$samples++;
	foreach my $level (sort keys %of)
	{
		my $sum = shift @now;
		$over .= "$level: $sum of $cap{$level} cents; " if $sum > $cap{$level} * 1e6;
	}
	if ($done < $kills && $started >= ($done + 0.5) * $runs / $kills)
	{
		my $kind = (qw(dispatcher keeper dispatcher backend))[ $done % 4 ];
		my $victim = victim_pid($kind);
		if ($victim && kill 'KILL', $victim)
		{
			$killed{$kind}++;
			sleep 0.5;
			sql('DELETE FROM theazo_data.provider_health');
		}
		$done++;
	}
	last if $started >= $runs && $done >= $kills && $open == 0;
}
diag(sql("SELECT string_agg(format('%s %s: %s', status, error_sqlstate, n), ', ') FROM (SELECT status, error_sqlstate, count(*) AS n FROM theazo_data.run GROUP BY 1, 2) x"));
is($done, $kills, "$kills kills: " . join(', ', map { "$_ $killed{$_}" } sort keys %killed));
is($over, '', "in none of $samples looks is more spent and reserved than there is");
is((split /\|/, sql($look))[-1], '0', 'every run has ended, or sleeps in a session that is paused');
wait_sql($node, 'SELECT count(*) FROM theazo_data.reservation', '0', 'nothing is reserved any more');
foreach my $level (sort keys %of)
{
	my $spent = sql("SELECT coalesce(sum(amount), 0) FROM theazo_data.charge WHERE $of{$level}");
	cmp_ok($spent, '<=', $cap{$level} * 1e6, "$level: $spent millionths of a cent are spent of $cap{$level} cents");
}
cmp_ok(sql("SELECT count(*) FROM theazo_data.run WHERE error_sqlstate = 'TZ202'"), '>', 0, 'some were refused');
cmp_ok(sql("SELECT count(*) FROM theazo_data.run WHERE status = 'completed'"), '>', 0, 'some went through');
is(sql("SELECT count(*) FROM theazo_data.spend s WHERE s.used + coalesce((SELECT sum(d.amount) FROM theazo_data.spend_delta d WHERE d.platform_id = s.platform_id"
	  . " AND CASE s.level WHEN 'user' THEN d.user_id = s.subject WHEN 'session' THEN d.session_id = s.subject ELSE true END), 0) <> (SELECT coalesce(sum(c.amount), 0) FROM theazo_data.charge c"
	  . " WHERE c.platform_id = s.platform_id AND CASE s.level WHEN 'user' THEN c.user_id = s.subject WHEN 'session' THEN c.session_id = s.subject ELSE true END)"),
	'0', 'all sums are the ledger\'s');
is(sql("SELECT string_agg(c::text, chr(10)) FROM theazo.integrity_check() c"), '', 'and the ledger agrees');
$node->stop;
kill 'KILL', $pid;
done_testing();
