# Compute providers as they are configured, with real dispatchers and providers that answer: tried, full, resting, on trial, passed over.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $one = new_double('--exec', 'real', '--credential', 'the-token');
my $two = new_double('--exec', 'real');
my $node = new_server('compute_config', "theazo.dispatchers = 2\n");
my $p = new_platform($node, 'Configured');
my $k = "api_key => '$p->{key}'";
sub sql { return $node->safe_psql('postgres', $_[0]) }

# What a double holds; and its rules forgotten.
sub held { my ($double) = @_; return decode_json($double->{http}->get("http://127.0.0.1:$double->{port}/_control")->{content})->{sandboxes} }
sub forget { my ($double) = @_; $double->{http}->request('DELETE', "http://127.0.0.1:$double->{port}/_control"); return }

sub tested
{
	my ($name, $operators) = @_;
	my $from = $operators ? 'theazo.operator_providers' : "theazo.provider_list('compute', $k)";
	sql($operators ? "SELECT FROM theazo.operator_provider_test('$name')" : "SELECT FROM theazo.provider_test('$name', $k)");
	wait_sql($node, "SELECT tested ->> 'status' <> 'running' FROM $from WHERE name = '$name'", 't', "the test of $name ends");
	return decode_json(sql("SELECT tested FROM $from WHERE name = '$name'"));
}

# --- does it work ---------------------------------------------------------------------------------
sql("SELECT FROM theazo.secret_set('token', 'the-token', $k); SELECT FROM theazo.secret_set('wrong', 'another', $k)");
sql("SELECT FROM theazo.provider_set('one', endpoint => 'http://127.0.0.1:$one->{port}', credential_ref => 'token', priority => 1, $k)");
sql("SELECT FROM theazo.provider_set('two', endpoint => 'http://127.0.0.1:$two->{port}', priority => 2, $k)");
my $t = tested('one');
is($t->{status}, 'passed', 'a provider that works passes') or diag(encode_json($t));
is(join(' ', sort keys %{ $t->{ms} }), 'create destroy exec', 'after a sandbox, a command and its end');
is(join(' ', map { $_->{op} } $one->requests), 'create exec destroy', 'which the provider saw');
is(scalar(@{ held($one) }), 0, 'and nothing is left there');
$t = tested('two');
is($t->{status}, 'passed', 'so does the other');
sql("SELECT FROM theazo.provider_set('one', endpoint => 'http://127.0.0.1:$one->{port}', credential_ref => 'wrong', priority => 1, $k)");
$t = tested('one');
is("$t->{status} $t->{error}{step} $t->{error}{sqlstate}", 'failed create TZ401', 'a credential that does not fit fails');
unlike(encode_json($t), qr/another/, 'and is not told');
sql("SELECT FROM theazo.provider_set('nobody', endpoint => 'http://127.0.0.1:1', priority => 900, $k)");
$t = tested('nobody');
is("$t->{status} $t->{error}{step} $t->{error}{sqlstate}", 'failed create TZ402', 'so does an address where nobody is');
$two->control({ rule => { op => 'exec', mode => 'status', status => 500, times => 1 } });
$t = tested('two');
is("$t->{status} $t->{error}{step}", 'failed exec', 'and one that runs nothing');
is(scalar($two->requests('destroy')), 2, 'whose sandbox is destroyed all the same');
sql("SELECT FROM theazo.operator_provider_set('ours', type => 'local', priority => 1)");
$t = tested('ours', 1);
is($t->{status}, 'passed', 'the operator tries its own') or diag(encode_json($t));
is(sql('SELECT count(*) FROM theazo_data.charge'), 0, 'nothing of it is charged');

# --- what is asked for reaches the provider -----------------------------------------------------------
new_agent($p, '{"provider": "two", "region": "eu", "browser": true, "storage": "20GB", "gpu": "a100"}');
my ($create) = grep { ($_->{body} // '') =~ /"eu"/ } $two->requests('create');
like($create->{body} // '', qr/"region":"eu","browser":true,"storageGb":20,"gpu":"a100"\}$/, 'region, browser, storage and gpu are handed on');

# --- rest and trial --------------------------------------------------------------------------------------
sql("SELECT FROM theazo.provider_set('one', endpoint => 'http://127.0.0.1:$one->{port}', credential_ref => 'token', priority => 1, $k)");
$one->control({ rule => { op => 'create', mode => 'status', status => 500 } });
new_agent($p, '{}') for 1 .. 5;
is(sql("SELECT failures FROM theazo_data.provider_health WHERE name = 'one'"), '5', 'five failures in a row');
# however slow this machine is
sql("UPDATE theazo_data.provider_health SET open_until = clock_timestamp() + interval '10 minutes' WHERE name = 'one'");
my $before = $one->requests('create');
new_agent($p, '{}') for 1 .. 2;
is(scalar($one->requests('create')), $before, 'and nobody is sent there');
is(sql("SELECT count(*), count(DISTINCT summary ->> 'reason') FROM theazo_data.event e CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'summary' AS summary) s"
	  . " WHERE e.action = 'provider_fallback' AND summary ->> 'to' = 'two' AND summary ->> 'from' = 'one'"), '7|2', 'each time it is written down who took its place');
forget($one);
sql("UPDATE theazo_data.provider_health SET open_until = clock_timestamp() - interval '1 s' WHERE name = 'one'");
my @made = map { new_agent($p, '{}') } 1 .. 2;
is(sql("SELECT string_agg(provider, ' ' ORDER BY id) FROM theazo_data.agent WHERE id IN ('$made[0]', '$made[1]')"), 'one one', 'after the rest one tries, and the next is there again');
is(sql("SELECT count(*) FROM theazo_data.provider_health WHERE name = 'one'"), 0, 'all is forgotten');

# --- how many -----------------------------------------------------------------------------------------------
# callers who do not see each other: all ask before any of them commits
my $there = sql("SELECT theazo_internal.compute_live('$p->{id}', 'one')");
sql("SELECT FROM theazo.provider_set('one', endpoint => 'http://127.0.0.1:$one->{port}', credential_ref => 'token', priority => 1, limits => '{\"maxConcurrent\": "
	  . ($there + 2) . "}', $k)");
$one->control({ rule => { op => 'create', mode => 'delay', ms => 200 } });
my @open = map { $node->background_psql('postgres', on_error_stop => 1) } 1 .. 6;
my @ids = map { $_->query_safe("BEGIN; SELECT id FROM theazo.agent_create('$p->{session}', $k)") =~ /(agt_\w+)/ } @open;
is(sql("SELECT theazo_internal.compute_live('$p->{id}', 'one')"), $there, 'six have asked, and nobody sees it');
$_->query_safe('COMMIT') for @open;
$_->quit for @open;
wait_sql($node, "SELECT count(*) FROM theazo_data.agent WHERE status = 'ready' AND id IN (" . join(', ', map { "'$_'" } @ids) . ')', '6', 'all six get a sandbox');
is(sql("SELECT string_agg(provider, ' ' ORDER BY provider) FROM theazo_data.agent WHERE id IN (" . join(', ', map { "'$_'" } @ids) . ')'),
	'one one two two two two', 'as many as there is room for, the others from the next');

is(sql('SELECT count(*) FROM theazo.integrity_check()'), 0, 'the rows agree');
done_testing();
