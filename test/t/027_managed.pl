# Managed compute through an account of the operator's: platforms use it as theazo, its
# address and its secrets are seen by its own endpoint and by nobody else.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $first = 'op-canary-4711-first';
my $second = 'op-canary-0815-second';
my $sign = 'op-canary-2718-sign';
my $own = 'platform-token-3141';

my $account = new_double('--exec', 'real');
my $other = new_double('--exec', 'real');
my $theirs = new_double('--exec', 'real');
my $node = new_server('managed', q(
theazo.egress_allow_http = off
theazo.egress_allow_private = off
theazo.dispatchers = 1
log_statement = 'all'
log_min_messages = debug1
));
my $p = new_platform($node, 'Managed');
my $k = "api_key => '$p->{key}'";
$node->safe_psql('postgres', "CREATE ROLE op_role LOGIN; GRANT theazo_operator TO op_role; CREATE ROLE app_role LOGIN; GRANT theazo_app TO app_role");

# As the operator, who is no superuser.
sub op
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', "SET ROLE op_role; $sql");
}

# Requests that carried a text, in a header or in the body.
sub carried
{
	my ($double, $text) = @_;
	return scalar grep { encode_json($_) =~ /\Q$text\E/ } $double->requests;
}

# --- an account, and who uses it ---------------------------------------------------------
op("SELECT name FROM theazo.operator_secret_set('account', '$first')");
op("SELECT name FROM theazo.operator_secret_set('account.sign', '$sign')");
op("SELECT name FROM theazo.operator_provider_set('acme cloud', endpoint => 'http://127.0.0.1:$account->{port}/compute', "
	  . "credential_ref => 'account', signing_ref => 'account.sign', priority => 10)");
my $agent = new_agent($p, '{}');
my $run = run_code($p, $agent, 'sh', 'echo managed');
is("$run->{status} $run->{stdout}", "completed managed\n", 'a platform that brings nothing runs on the operator\'s account');
is($node->safe_psql('postgres', "SELECT a.provider, s.provider, s.managed, s.external_id IS NOT NULL, r.provider FROM theazo_data.agent a"
	  . " JOIN theazo_data.sandbox s ON s.id = a.sandbox_id JOIN theazo_data.run r ON r.agent_id = a.id WHERE a.id = '$agent'"),
	'theazo|theazo|t|t|theazo', 'and knows it as theazo');
cmp_ok(carried($account, "Bearer $first"), '>=', 2, 'with the operator\'s credential');

# --- one set is a rotation ------------------------------------------------------------------
op("SELECT version FROM theazo.operator_secret_set('account', '$second')");
$run = run_code($p, $agent, 'sh', 'echo rotated');
is($run->{stdout}, "rotated\n", 'after a new value the sandbox is still there');
is(carried($account, "Bearer $second"), 1, 'and the next call carries it');

# --- a sandbox stays with the account that made it --------------------------------------------
op("SELECT name FROM theazo.operator_provider_set('newer', endpoint => 'http://127.0.0.1:$other->{port}/compute', credential_ref => 'account.sign', priority => 1)");
$run = run_code($p, $agent, 'sh', 'echo the same');
is($run->{stdout}, "the same\n", 'another entry in front takes no sandbox over');
is(scalar($other->requests), 0, 'and hears nothing of it');
my $agent2 = new_agent($p, '{"provider": "theazo"}');
is(scalar($other->requests('create')), 1, 'it makes the next one');
is(carried($other, $first) + carried($other, $second), 0, 'with its own credential');

# --- one that fails is followed by the next --------------------------------------------------------
$other->control({ rule => { op => 'create', mode => 'status', status => 500 } });
my $agent3 = new_agent($p, '{}');
is($node->safe_psql('postgres', "SELECT provider, status FROM theazo_data.agent WHERE id = '$agent3'"), 'theazo|ready', 'an account that fails is followed by the next');
is(scalar($account->requests('create')), 2, 'which was the first one');

# --- what goes wrong is told without names -----------------------------------------------------------
$account->control({ rule => { op => 'exec', mode => 'status', status => 401, body => { error => "bad token $second" } } });
$run = run_code($p, $agent, 'sh', 'true');
is($run->{status}, 'failed', 'a refused credential fails the run');
op("SELECT name FROM theazo.operator_secret_delete('account', force => true)");
$run = run_code($p, $agent, 'sh', 'true');
is($run->{status}, 'failed', 'a missing credential fails the run');
like($run->{error_message}, qr/account of the managed provider is not set up/, 'in words of its own');
op("SELECT version FROM theazo.operator_secret_set('account', '$second')");

# --- for named hosts only, in a form of its own ----------------------------------------------------------
my $brokered = 'op-canary-1618-hosts';
op("SELECT version FROM theazo.operator_secret_set('account', '$brokered', hosts => '{127.0.0.1:$account->{port}}', header => 'X-Account-Key')");
$account->{http}->delete("http://127.0.0.1:$account->{port}/_control");
$run = run_code($p, $agent, 'sh', 'echo brokered');
is("$run->{status} $run->{stdout}", "completed brokered\n", 'a credential with hosts reaches the endpoint');
is(carried($account, $brokered), 1, '... once');
is(carried($account, "Bearer $brokered"), 0, '... in no other form than its header');
op("SELECT version FROM theazo.operator_secret_set('account', '$brokered', hosts => '{elsewhere.example}')");
$run = run_code($p, $agent, 'sh', 'true');
is($run->{error_sqlstate}, 'TZ304', 'to a host it is not for it does not go');
like($run->{error_message}, qr/credential of the managed provider must not be sent to its address/, '... and the platform is told no name');
unlike(encode_json($run), qr/elsewhere|127\.0\.0\.1|"account"/, '... nor an address');
my $denied = "FROM theazo_data.event WHERE action = 'provider_call_refused' AND decision = 'deny' AND platform_id";
my $told = $node->safe_psql('postgres', "SELECT string_agg(convert_from(body, 'UTF8'), ' ') $denied = '$p->{id}'");
like($told, qr/"provider": ?"theazo"/, 'that is an event of the platform');
unlike($told, qr/elsewhere|127\.0\.0\.1|acme|"account"/, '... which tells it no more');
like($node->safe_psql('postgres', "SELECT string_agg(convert_from(body, 'UTF8'), ' ') $denied = theazo_internal.operator_platform()"),
	qr/(?=.*"provider": ?"acme cloud")(?=.*"host": ?"127\.0\.0\.1")(?=.*$p->{id})/, '... and one of the operator, who is told all');
# an address that the operator has forbidden
op("SELECT version FROM theazo.operator_secret_set('account', '$brokered', hosts => '{127.0.0.1:$account->{port}}')");
$node->append_conf('postgresql.conf', "theazo.egress_deny = '127.0.0.0/8'");
$node->reload;
$run = run_code($p, $agent, 'sh', 'true');
for (my $i = 0; $i < 20 && $run->{status} eq 'completed'; $i++) { sleep 1; $run = run_code($p, $agent, 'sh', 'true'); }
is("$run->{status} $run->{error_sqlstate}", 'failed TZ405', 'nor to an address that is forbidden');
like($run->{error_message}, qr/^the address of the managed provider is not allowed/, '... which the platform is told');
unlike(encode_json($run), qr/127\.0\.0\.1|deny list/, '... without the address');
unlike($node->safe_psql('postgres', "SELECT string_agg(convert_from(body, 'UTF8'), ' ') $denied = '$p->{id}'"), qr/127\.0\.0\.1/, '... also in its events');
like($node->safe_psql('postgres', "SELECT string_agg(convert_from(body, 'UTF8'), ' ') $denied = theazo_internal.operator_platform()"),
	qr/address \\"127\.0\.0\.1\\" is not allowed/, '... and the operator with it');
$node->append_conf('postgresql.conf', "theazo.egress_deny = ''");
$node->reload;
for (my $i = 0; $i < 20; $i++) { last if run_code($p, $agent, 'sh', 'true')->{status} eq 'completed'; sleep 1; }
my $carried = carried($account, $brokered);
# a row that was changed
op("SELECT version FROM theazo.operator_secret_set('account', '$brokered', hosts => '{127.0.0.1:$account->{port}}')");
$node->safe_psql('postgres', "UPDATE theazo_data.secret SET sealed = set_byte(sealed, 3, get_byte(sealed, 3) # 1) WHERE name = 'account' AND platform_id = theazo_internal.operator_platform()");
$run = run_code($p, $agent, 'sh', 'true');
is($run->{error_sqlstate}, 'TZ302', 'a tampered credential does not open');
like($run->{error_message}, qr/credential of the managed provider cannot be opened/, '... in words without a name');
like(slurp_file($node->logfile), qr/a secret of a managed provider cannot be opened: secret "account" does not authenticate/, '... and the reason is in the server log');
is(carried($account, $brokered), $carried, 'nothing of these calls was sent');
op("SELECT version FROM theazo.operator_secret_set('account', '$second', delivery => 'env')");

# --- what a platform cannot do -------------------------------------------------------------------------
$node->safe_psql('postgres', "SELECT theazo.platform_allow_egress('$p->{id}', true, true)");
$node->safe_psql('postgres', "SELECT name FROM theazo.secret_set('token', '$own', $k)");
foreach my $call ("provider_set('mine', endpoint => 'http://127.0.0.1:$theirs->{port}/compute', credential_ref => 'account', $k)",
	"provider_set('mine', endpoint => 'http://127.0.0.1:$theirs->{port}/compute', credential_ref => 'token', signing_ref => 'account.sign', $k)",
	"provider_set('theazo:acme cloud', endpoint => 'http://127.0.0.1:$theirs->{port}/compute', credential_ref => 'token', $k)",
	"provider_get('acme cloud', $k)", "secret_delete('account', $k)", "secret_history('account', $k)",
	"agent_create('$p->{session}', '{\"provider\": \"theazo:acme cloud\"}', $k)")
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE app_role; SELECT * FROM theazo.$call", on_error_stop => 1);
	like($err, qr/ERROR:  (22023|42704):/, "refused: $call");
}
# names that the operator's secrets have too, in the platform's vault and in a session's endpoint
$node->safe_psql('postgres', "SELECT name FROM theazo.secret_set('account', '$own', $k)");
$node->safe_psql('postgres', "SELECT name FROM theazo.provider_set('acme cloud', endpoint => 'http://127.0.0.1:$theirs->{port}/compute', credential_ref => 'account', $k)");
new_agent($p, '{"provider": "acme cloud"}');
my $session = $node->safe_psql('postgres', "SELECT id FROM theazo.session_create('thief', compute => "
	  . "'{\"endpoint\": \"http://127.0.0.1:$theirs->{port}/compute\", \"credentialRef\": \"account\", \"signingSecretRef\": \"account.sign\"}', $k)");
my $thief = $node->safe_psql('postgres', "SELECT id FROM theazo.agent_create('$session', $k)");
wait_sql($node, "SELECT status FROM theazo_data.agent WHERE id = '$thief'", 'failed', 'an endpoint that names a secret only the operator has');
is(carried($theirs, 'op-canary'), 0, 'no endpoint of a platform hears an operator\'s secret');
cmp_ok(carried($theirs, $own), '>=', 1, 'while its own it does');

# --- where nothing of it may stand ------------------------------------------------------------------------
my @places = map { ["view $_", "SELECT string_agg(x::text, E'\\n') FROM theazo.$_ x"] }
  qw(agents charges events logs providers run_results runs sandboxes secret_versions secrets spans traces);
foreach my $place (@places)
{
	my $text = $node->safe_psql('postgres', "BEGIN; SELECT theazo.authenticate('$p->{key}'); $place->[1]; COMMIT");
	unlike($text, qr/op-canary|theazo:|:$account->{port}|:$other->{port}/, "$place->[0] tells nothing of the account");
}
my $tables = join "\n", map { $node->safe_psql('postgres', "SELECT x::text FROM theazo_data.$_ x") }
  split /\n/, $node->safe_psql('postgres', "SELECT relname FROM pg_class WHERE relnamespace = 'theazo_data'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition");
unlike($tables, qr/op-canary/, 'no table holds a value');
unlike(slurp_file($node->logfile), qr/op-canary/, 'nor does the server log');
my %opened = map { split /\|/, $_, 2 } split /\n/, op("SELECT summary ->> 'use', count(*) > 0 AND bool_and(summary ->> 'platform' = '$p->{id}' AND summary ->> 'host' = '127.0.0.1'"
	  . " AND summary ? 'version') FROM theazo.operator_events WHERE action = 'secret_opened' GROUP BY 1");
is_deeply(\%opened, { broker => 't', credential => 't', signing => 't' }, 'each opening is an event for the operator: for whom, which version, where to');
cmp_ok(op("SELECT count(*) FROM theazo.operator_events WHERE action = 'secret_opened' AND summary ->> 'run' LIKE 'run_%'"), '>=', 3, 'and for which run');
isnt(op("SELECT last_used_at FROM theazo.operator_secrets WHERE name = 'account.sign'"), '', 'last use is known');

$node->stop;
done_testing();
