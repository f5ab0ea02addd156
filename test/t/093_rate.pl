# Rate limits: what is counted where, which of two limits holds, what who is refused is told, and what waits instead. Counts, not
# times: rates are so low that nothing comes back while the test looks, or so high that it does not matter.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $node = new_server('rate', "theazo.dispatchers = 1\ntheazo.rate_buckets = 64\n");
my $p = new_platform($node, 'limited');
my $q = new_platform($node, 'other');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub key { return ", api_key => '" . ($_[0] // $p)->{key} . "')" }
# How often a call succeeds out of so many, and what the last one was refused with.
sub tries
{
	my ($n, $call) = @_;
	my $ok = 0;
	my $last = '';
	foreach (1 .. $n)
	{
		my ($rc, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
		if ($rc == 0 && $err !~ /ERROR/) { $ok++ }
		else { $last = $err }
	}
	return ($ok, $last);
}
# One session, because each takes a while to begin.
sub takes
{
	my ($n, $scope, $platform, $subject) = @_;
	return sql("SELECT count(*) FILTER (WHERE theazo_internal.rate_take('$scope', '$platform', '$subject') IS NULL) FROM generate_series(1, $n)");
}

# ---- what holds -----------------------------------------------------------------------------------------------------------------
is(takes(250, 'key', $p->{id}, 'key_a') >= 200 ? 1 : 0, 1, 'a key may be shown 200 times at once');
is(sql("SELECT per_minute || ' ' || burst FROM theazo_internal.rate_of('key', '$p->{id}', 'key_a')"), '6000 200', '... and 100 times a second');
sql("SELECT theazo.operator_rate_limit_set('session', 6, 60)");
sql("SELECT theazo.operator_rate_limit_set('session', 5, 50, platform => '$p->{id}')");
sub rate { my ($scope, $x, $subject) = @_; return sql("SELECT per_minute || ' ' || burst FROM theazo_internal.rate_of('$scope', '$x->{id}', '$subject')") }
is(rate('session', $p, 's'), '5 50', 'what the operator says of one platform comes before what it says of all');
is(rate('session', $q, 's'), '6 60', '... who have the other');
sql("SELECT theazo.rate_limit_set('session', 100, 10" . key());
is(rate('session', $p, 's'), '5 10', 'of both sides the stricter holds, in rate and in burst');
sql("SELECT theazo.rate_limit_set('session', 1, 2, 's1'" . key());
is(rate('session', $p, 's1') . ' ' . rate('session', $p, 's'), '1 2 5 10', 'one that has its own');
is(sql("SELECT count(*) FROM theazo.operator_rate_limits"), 10, 'the operator sees all of it');
is(takes(20, 'session', $p->{id}, 's1'), 2, 'two at once');
is(takes(20, 'session', $p->{id}, 's2'), 10, 'ten for the others, each');
is(takes(20, 'session', $q->{id}, 's1'), 20, 'of another platform the same name is another subject');
sql("SELECT theazo.rate_limit_set('session', 1000000, 1000, 's1'" . key());
sql("SELECT theazo.operator_rate_limit_set('session', 1000000, 1000, platform => '$p->{id}')");
is(takes(1, 'session', $p->{id}, 's1') >= 0, 1, 'it is raised');
wait_sql($node, "SELECT theazo_internal.rate_take('session', '$p->{id}', 's1') IS NULL", 't', 'what was raised counts at once, not after what was owed');
sql("SELECT theazo.operator_rate_limit_set('agent', 0.01, 3, platform => '$q->{id}')");
is(takes(5, 'agent', $q->{id}, 'a'), 3, 'what the operator allows');
sql("SELECT theazo.rate_limit_set('agent', 0.01, 1" . key($q));
is(takes(2, 'agent', $q->{id}, 'a'), 0, 'and less that a platform sets itself');
sql("SELECT theazo.rate_limit_delete('agent'" . key($q));
is(takes(5, 'agent', $q->{id}, 'a'), 0, '... gives back nothing when it is taken back');
foreach my $bad (['nothing', 1, 1], ['key', 0, 1], ['key', 1, 0], ['key', "'NaN'", 1], ['key', 0.0001, 1000000])
{
	like((($node->psql('postgres', "\\set VERBOSITY verbose\nSELECT theazo.rate_limit_set('$bad->[0]', $bad->[1], $bad->[2]" . key()))[2]), qr/22023/, "no limit: @$bad");
}

# ---- what is refused ------------------------------------------------------------------------------------------------------------------
sql("SELECT theazo.operator_rate_limit_set('key', 0.01, 3, platform => '$q->{id}')");
my ($ok, $why) = tries(5, "SELECT theazo.whoami(api_key => '$q->{key}')");
cmp_ok($ok, '<=', 3, 'a key that is shown too often');
like($why, qr/TZ201: .*too many calls with this API key.*DETAIL:  Retry after \d+ ms\..*HINT/s, '... is refused with the time to wait');
is(sql("SELECT count(*) > 0 FROM theazo_data.event WHERE platform_id = '$q->{id}' AND action = 'rate_limit_hit' AND decision = 'deny' AND is_violation AND rule = 'key'"),
	't', 'and that is recorded although the call failed');
like(sql("SELECT id FROM theazo.halt('stop'" . key($q)), qr/^hlt_/, 'the kill switch is not refused');
sql("SELECT theazo.unhalt('$q->{key}')");
sql("SELECT theazo.operator_rate_limit_set('platform', 0.01, 2, platform => '$q->{id}'); SELECT theazo.operator_rate_limit_delete('key', '$q->{id}')");
($ok, $why) = tries(4, "SELECT theazo.whoami('$q->{key}')");
is($ok, 2, 'a platform as a whole');
like($why, qr/too many calls of the platform/, '... is told so');
is(sql("SELECT theazo.operator_rate_limit_delete('platform', '$q->{id}') AND NOT theazo.operator_rate_limit_delete('platform', '$q->{id}')"), 't', 'taken back, once');
is((tries(3, "SELECT theazo.whoami('$q->{key}')"))[0], 3, 'it is free again');

# ---- work ------------------------------------------------------------------------------------------------------------------------------
sql(qq{SELECT theazo.provider_set('m', 'model', 'openai-compatible', endpoint => 'https://m.example/v1', api_key => '$p->{key}')});
sql("SELECT theazo.rate_limit_delete('session'" . key());
sql("SELECT theazo.rate_limit_set('agent', 0.01, 1" . key());
my $agent = new_agent($p, '{"model": "m"}');
is((tries(3, "SELECT theazo.http_fetch_start('$agent', 'https://a.example/'" . key()))[0], 1, 'an agent begins as much as it may');
like((tries(1, "SELECT theazo.run_start('$agent', 'x'" . key()))[1], qr/TZ201: .*too much work begun by this agent/, '... of whatever kind');
is(sql("SELECT count(*) FROM theazo_data.event WHERE agent_id = '$agent' AND action = 'rate_limit_hit' AND rule = 'agent'"), 3, 'each refusal is an event of the agent');
sql("SELECT theazo.rate_limit_delete('agent'" . key());
# runs that a run starts; its own call waits for its turn meanwhile, and so do theirs
sql("SELECT theazo.rate_limit_set('provider', 0.02, 1, 'm'" . key());
is(takes(2, 'provider', $p->{id}, 'm'), 1, 'the provider has no token left');
my $parent = sql("SELECT id FROM theazo.session_run('$p->{session}', 'parent', 'x', '{\"model\": \"m\"}', timeout => '23 h'" . key());
is(sql("SELECT count(*) FROM theazo_data.effect WHERE run_id = '$parent' AND state = 'queued' AND due_at > now() + '1 minute'::interval"), 1, 'a model call is put off, not failed');
sql("SELECT theazo.rate_limit_delete('provider', 'm'" . key());
($ok, $why) = tries(12, "SELECT theazo.session_run('$p->{session}', 'child', 'x', '{\"model\": \"m\"}', parent => '$parent', timeout => '23 h'" . key());
is($ok, 10, 'a run starts ten others an hour');
like($why, qr/TZ201: .*too many runs started by runs of this agent/, '... and is told when the next');

# ---- a call to a model waits for its turn ---------------------------------------------------------------------------------------------------
sql("SELECT theazo.provider_set('n', 'model', 'openai-compatible', endpoint => 'https://n.example/v1', priority => 1" . key());
sql("SELECT theazo.rate_limit_set('provider', 60, 2, 'n'" . key());
my @due = split /\n/, sql(qq{BEGIN;
SELECT theazo.authenticate('$p->{key}');
SELECT count(*) FROM (SELECT theazo.session_run('$p->{session}', 'late', 'x', '{"model": "m"}', timeout => '10 min') FROM generate_series(1, 5)) x;
SELECT count(*) FILTER (WHERE due_at <= clock_timestamp()) || ' ' || count(*) FILTER (WHERE due_at > clock_timestamp() + '1 s') FROM theazo_data.effect
 WHERE platform_id = '$p->{id}' AND kind = 'model.call' AND xmin = pg_current_xact_id()::xid;
ROLLBACK});
is($due[-1], '2 2', 'two go now, the others one after the other');

# at a provider that takes two at once as well: whoever is let through takes the next turn
sql("SELECT theazo.provider_set('o', 'model', 'openai-compatible', endpoint => 'https://o.example/v1', priority => 0, limits => '{\"maxConcurrent\": 2}'" . key());
sql("SELECT theazo.rate_limit_set('provider', 1, 1, 'o'" . key());
@due = split /\n/, sql(qq{BEGIN;
SELECT theazo.authenticate('$p->{key}');
SELECT count(*) FROM (SELECT theazo.session_run('$p->{session}', 'late', 'x', '{"model": "m"}', timeout => '10 min') FROM generate_series(1, 4)) x;
SELECT string_agg(due_at::text, ' ') FROM theazo_data.effect WHERE platform_id = '$p->{id}' AND kind = 'model.call' AND xmin = pg_current_xact_id()::xid AND due_at < 'infinity';
SELECT theazo_internal.model_gate() >= 2;
SELECT count(*) FILTER (WHERE due_at <= clock_timestamp()) || ' ' || count(*) FILTER (WHERE due_at BETWEEN clock_timestamp() + '30 s' AND clock_timestamp() + '61 s')
	|| ' ' || count(*) FILTER (WHERE due_at = 'infinity') FROM theazo_data.effect WHERE platform_id = '$p->{id}' AND kind = 'model.call' AND provider_name = 'o';
SELECT theazo_internal.model_gate();
ROLLBACK});
is("@due[-4, -3, -2, -1]", ' t 1 1 2 0', 'one goes now, one in a minute, the others when these have ended');

# ---- a table that is too small: stricter, and said -----------------------------------------------------------------------------------------
sql("SELECT theazo.rate_limit_set('spawn', 0.001, 2" . key());
is(sql("SELECT max(n) <= 2 FROM (SELECT count(*) FILTER (WHERE theazo_internal.rate_take('spawn', '$p->{id}', 'x' || i) IS NULL) AS n
	FROM generate_series(1, 500) i, generate_series(1, 4) GROUP BY i) x"), 't', 'with more subjects than buckets none gets more than it may');
is(sql("SELECT crowded > 0 AND used <= buckets AND buckets >= 64 FROM theazo.operator_rate_buckets"), 't', 'and the operator sees that they share');
$node->stop;
done_testing();
