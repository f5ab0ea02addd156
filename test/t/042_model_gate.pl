# Providers of models as they are at work: how many calls one gets at once, whom the next one is when it refuses or keeps
# failing, and that it is asked again when it is well. The double counts what reaches it.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use lib "$FindBin::RealBin";
use TheazoPath;

my @doubles;
END { my $status = $?; kill 'TERM', $_->{pid} foreach @doubles; $? = $status; }
my $http = HTTP::Tiny->new(timeout => 30);

# A double of model providers: its port and what it is told.
sub model_double
{
	my $pid = open(my $out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py", @_) or die "cannot start the double: $!";
	my $port = <$out>;
	chomp $port;
	push @doubles, { pid => $pid, out => $out, port => $port };
	return $port;
}
sub instruct { my ($port, $what) = @_; $http->post("http://127.0.0.1:$port/_control", { content => encode_json($what) })->{success} or die "the double refused"; }
sub told { my ($port) = @_; return decode_json($http->get("http://127.0.0.1:$port/_control")->{content}); }

my ($one, $two) = (model_double(), model_double());
my $node = new_server('gate', "theazo.dispatchers = 2\n");
my $p = new_platform($node, 'gate');
my $other = new_platform($node, 'other');

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub provider
{
	my ($name, $port, $more) = @_;
	return sql("SELECT name FROM theazo.provider_set('$name', kind => 'model', endpoint => 'http://127.0.0.1:$port/v1'" . ($more // '') . ", api_key => '$p->{key}')");
}
sub start
{
	my ($n, $who) = @_;
	$who //= $p;
	return split /\n/, sql("SELECT (theazo.session_run('$who->{session}', NULL, 'hello ' || i, '{\"model\":\"m\",\"tools\":[]}', api_key => '$who->{key}')).id FROM generate_series(1, $n) i");
}
# How the runs ended: "3 completed, 1 failed TZ401".
sub ended
{
	my (@runs) = @_;
	my $in = join(', ', map { "'$_'" } @runs);
	wait_sql($node, "SELECT count(*) FROM theazo_data.run WHERE id IN ($in) AND status IN ('completed', 'failed', 'cancelled')", scalar(@runs), 'the runs end', 120);
	return sql("SELECT string_agg(x, ', ' ORDER BY x) FROM (SELECT concat_ws(' ', count(*), status, error_sqlstate) AS x FROM theazo_data.run WHERE id IN ($in) GROUP BY status, error_sqlstate) y");
}

# ---- never more at once than it takes ----------------------------------------------------------------------
provider('one', $one, q(, limits => '{"maxConcurrent":3}'));
instruct($one, { rules => [{ delay_ms => 200, answer => { text => 'hi' } }] });
# Whoever is not woken when a place is free now sleeps for longer than anybody waits here.
sql("ALTER SYSTEM SET theazo.claim_interval = '60s'");
sql('SELECT pg_reload_conf()');
$node->poll_query_until('postgres', "SELECT current_setting('theazo.claim_interval') = '1min'") or die 'not reloaded';
is(ended(start(18)), '18 completed', 'all of them are answered: a place that is free is taken at once');
my $seen = told($one);
is($seen->{inflight_max}, 3, 'three at once, and never more');
is($seen->{counts}{answered}, 18, 'each of them once');
is(sql("SELECT count(*) FROM theazo_data.effect WHERE kind = 'model.call' AND state = 'queued'"), 0, 'nobody is left at the gate');
sql('ALTER SYSTEM RESET theazo.claim_interval');
sql('SELECT pg_reload_conf()');

# an open transaction that has begun a run holds up nobody, and its run goes when it commits
my $open = $node->background_psql('postgres');
$open->query_safe("BEGIN");
my $held = $open->query_safe("SELECT id FROM theazo.session_run('$p->{session}', NULL, 'held', '{\"model\":\"m\",\"tools\":[]}', api_key => '$p->{key}')");
is(ended(start(4)), '4 completed', 'others pass an open transaction');
$open->query_safe("COMMIT");
is(ended($held), '1 completed', 'and it goes with its commit');
$open->quit;

# one account of the operator's, one limit for all platforms
sql("SELECT name FROM theazo.provider_delete('one', kind => 'model', api_key => '$p->{key}')");
sql("SELECT name FROM theazo.operator_provider_set('ours', kind => 'model', endpoint => 'http://127.0.0.1:$two/v1', limits => '{\"maxConcurrent\":2}')");
sql("SELECT source FROM theazo.model_price_set('m', 100, 200)");
instruct($two, { rules => [{ delay_ms => 100, answer => { text => 'hi', usage => { input => 1000, output => 100 } } }] });
is(ended(start(5), start(5, $other)), '10 completed', 'managed calls of two platforms');
is(told($two)->{inflight_max}, 2, 'together no more than the account takes');
is(sql("SELECT count(*), count(DISTINCT platform_id), min(payer), bool_and(amount > 0) FROM theazo_data.charge WHERE item = 'model.call' AND provider = 'theazo'"), '10|2|theazo|t', 'and each has paid for its own');

# a crash of the server: who waited goes on, what was under way is marked, and nothing is sent twice
my $before = told($two)->{counts}{requests};
instruct($two, { rules => [ { answer => { text => 'hi' } }, { hold => [0], times => 2, answer => { text => 'hi' } } ] });
my @runs = start(8);
# Held until both have arrived: one that is cut on its way there would not be counted.
for (1 .. 600) { last if told($two)->{inflight} == 2; sleep 0.1 }
is(told($two)->{inflight}, 2, 'two calls are under way');
$node->stop('immediate');
instruct($two, { release => JSON::PP::true });
$node->start;
my $how = ended(@runs);
is($how, '2 failed TZ408, 6 completed', 'after a crash those are lost that were under way, and no more');
is(told($two)->{counts}{requests} - $before, 8, 'each was sent once');
is(sql("SELECT count(*) FROM theazo.integrity_check()"), 0, 'the ledger agrees');

# ---- whom the next one is ------------------------------------------------------------------------------------
provider('one', $one, ', priority => 1');
provider('two', $two, ', priority => 2');
instruct($one, { rules => [{ fault => 'quota' }] });
instruct($two, { rules => [{ answer => { text => 'from two' } }] });
$before = told($one)->{counts}{requests};
my ($run) = start(1);
is(ended($run), '1 completed', 'the next provider answers when the first has no money left');
is(sql("SELECT output FROM theazo.run_steps('$run', api_key => '$p->{key}') WHERE kind = 'model'"), 'from two', 'it was the second');
is(told($one)->{counts}{requests} - $before, 1, 'the first was not asked again');
is(sql("SELECT name, state, last_error FROM theazo.operator_provider_health"), 'one|resting|quota', 'it rests');
is(ended(start(3)), '3 completed', 'further runs');
is(told($one)->{counts}{requests} - $before, 1, 'pass it over');

# asked again: twice, then the next
provider('one', $one, ', priority => 1');
instruct($one, { rules => [{ fault => 'overloaded' }] });
$before = told($one)->{counts}{requests};
($run) = start(1);
is(ended($run), '1 completed', 'an overloaded one');
is(told($one)->{counts}{requests} - $before, 3, 'is asked twice more');
is(sql("SELECT attempts FROM theazo_data.step WHERE root_id = substr('$run', 5)"), 2, 'and then the next');
instruct($one, { rules => [{ fault => 'rate_seconds', times => 1 }] });
my $began = time();
is(ended(start(1)), '1 completed', 'one that says when');
cmp_ok(time() - $began, '>=', 1, 'is asked then');

# ---- it keeps failing, and is well again ---------------------------------------------------------------------
sql("SELECT name FROM theazo.provider_delete('two', kind => 'model', api_key => '$p->{key}')");
provider('one', $one);
instruct($one, { rules => [{ fault => 'error' }] });
$before = told($one)->{counts}{requests};
is(ended(start(1)), '1 failed TZ402', "failure $_") foreach 1 .. 4;
is(told($one)->{counts}{requests} - $before, 12, 'each after three attempts');
is(sql("SELECT state, failures FROM theazo.operator_provider_health"), 'failing|4', 'do not rest it yet');
is(ended(start(1)), '1 failed TZ402', 'one more');
is(sql("SELECT failures, round(extract(epoch FROM open_until - updated_at)) FROM theazo.operator_provider_health"), '5|5', 'five failures rest it for five seconds');
# A longer rest, so that it is not over before we have looked, yet shorter than a run may take.
sql("UPDATE theazo_data.provider_health SET open_until = now() + '2 minutes'");
is(sql('SELECT state FROM theazo.operator_provider_health'), 'resting', 'it rests');
$before = told($one)->{counts}{requests};
@runs = start(4);
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE kind = 'model.call' AND state = 'queued' AND due_at = 'infinity'", '4', 'calls wait at the gate');
sleep 1;
is(told($one)->{counts}{requests}, $before, 'nothing is sent meanwhile');
instruct($one, { rules => [{ answer => { text => 'well again' } }] });
sql("UPDATE theazo_data.provider_health SET open_until = clock_timestamp() + '1 second'; SELECT theazo_internal.wake()");
is(ended(@runs), '4 completed', 'when the rest is over one goes to see, and then all go');
is(sql("SELECT count(*) FROM theazo.operator_provider_health"), 0, 'all is well');
is(sql("SELECT count(*) FROM theazo.integrity_check()"), 0, 'the ledger agrees');

$node->stop;
done_testing();
