# The E2B adapter against a double of both of its planes: the whole life of a sandbox, its token kept out of every
# row, creations whose answer is lost, streams that break, refusals of every form.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $key_of_account = 'e2b_c0ffee0123456789abcdef0123456789abcdef01';
my $env_secret = 'env-canary-e2b-2718-mnopqr';

# --- the double ---------------------------------------------------------------------
sub double_start
{
	my (@args) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $pid = open(my $out, '-|', 'python3', "$FindBin::Bin/../mock/e2b.py", '--dir', $dir, '--key', $key_of_account,
		'--max-timeout', 7200, @args) or die "cannot start the double: $!";
	my ($api, $gateway) = split ' ', <$out>;
	return {
		dir => $dir, pid => $pid, out => $out, api => "http://127.0.0.1:$api", gateway => "http://127.0.0.1:$gateway",
		port => $gateway, http => HTTP::Tiny->new(timeout => 30)
	};
}

my $double = double_start();

END
{
	kill 'TERM', $double->{pid} if $double;
	$? = 0 if Test::More->builder->is_passing && $? == 15;
}

sub control
{
	my ($wish) = @_;
	my $r = $double->{http}->post("$double->{api}/_control", { content => encode_json($wish // {}) });
	die "control: $r->{status} $r->{content}" unless $r->{success};
	return decode_json($r->{content});
}

sub rule { control({ rule => {@_} }); return; }
sub rules_off { $double->{http}->delete("$double->{api}/_control"); return; }

sub journal
{
	my (%want) = @_;
	my @found;
	foreach my $line (split /\n/, slurp_file("$double->{dir}/journal.jsonl"))
	{
		my $e = decode_json($line);
		push @found, $e unless grep { ($e->{$_} // '') ne $want{$_} } keys %want;
	}
	return @found;
}

sub asked { my ($op) = @_; return scalar journal(event => 'request', op => $op); }

# --- the server -------------------------------------------------------------------
my $node = PostgreSQL::Test::Cluster->new('e2b');
$node->init;
my $keyfile = $node->basedir . '/master.key';
append_to_file($keyfile, ('0123456789abcdef' x 4) . "\n");
chmod 0600, $keyfile;
$node->append_conf('postgresql.conf', qq(
shared_preload_libraries = 'theazo'
max_worker_processes = 20
theazo.master_key_file = '$keyfile'
theazo.dispatchers = 1
theazo.http_max_body = '16MB'
log_statement = 'all'
));
$node->start;
my $db = 'postgres';
$node->safe_psql($db, 'CREATE EXTENSION theazo CASCADE');

sub sql { my ($sql) = @_; return $node->safe_psql($db, $sql); }

# What a statement fails with: SQLSTATE, message, hint.
sub failure
{
	my ($sql) = @_;
	my ($out, $err);
	$node->psql($db, "\\set VERBOSITY verbose\n$sql", stdout => \$out, stderr => \$err, on_error_stop => 1, timeout => 90);
	my ($state, $message) = $err =~ /ERROR:  ([0-9A-Z]{5}): (.*)/;
	my ($hint) = $err =~ /HINT:  (.*)/;
	return { state => $state // 'none', message => $message // $err, hint => $hint // '', all => $err };
}

sub refused
{
	my ($sql, $state, $like, $name) = @_;
	my $f = failure($sql);
	is($f->{state}, $state, "$name: SQLSTATE") or diag($f->{all});
	like($f->{message}, $like, "$name: message");
	isnt($f->{hint}, '', "$name: a hint") or diag($f->{all});
	unlike($f->{all}, qr/\Q$key_of_account\E|envd-[0-9a-f]{32}/, "$name: no credential shown");
	return $f;
}

my $platform = sql("SELECT id FROM theazo.platform_create('Boxes')");
my $key = sql("SELECT key FROM theazo.api_key_create('test', platform => '$platform')");
my $k = "api_key => '$key'";
sql("SELECT theazo.platform_allow_egress('$platform', allow_private => true, allow_http => true)");
sql("SELECT name FROM theazo.secret_set('account', '$key_of_account', $k)");

sub provider
{
	my ($name, $config) = @_;
	sql("SELECT name FROM theazo.provider_set('$name', type => 'e2b', endpoint => '$double->{api}', credential_ref => 'account', "
		  . "config => '" . encode_json({ sandboxUrl => $double->{gateway}, %{ $config // {} } }) . "', $k)");
	return;
}

my $session = sql("SELECT id FROM theazo.session_create('user-1', $k)");

sub agent
{
	my ($provider, $options) = @_;
	return sql("SELECT id FROM theazo.agent_create('$session', '" . encode_json({ provider => $provider, %{ $options // {} } }) . "', $k)");
}

sub exec_sql
{
	my ($agent, $code, $more) = @_;
	return "CALL theazo.exec('$agent', 'sh', \$code\$$code\$code\$, $k" . ($more // '') . ')';
}

sub boxes { return @{ control({})->{sandboxes} }; }

sub settled
{
	my ($agent, $name) = @_;
	ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"
			. " AND kind LIKE 'compute.%' AND agent_id = '$agent'"), "$name: settled");
	return;
}

provider('box');

# --- a life --------------------------------------------------------------------------
my $agent = agent('box');
like(sql(exec_sql($agent, 'echo out; echo err >&2; exit 3')), qr/\|out\n\|err\n\|3\|\d+\|/, 'stdout, stderr, exit code');
like(sql(exec_sql($agent, 'echo again')), qr/\|again\n\|\|0\|/, 'an exit code that is left out is 0');
like(sql(exec_sql($agent, 'printf %s "$A"', q{, env => $j${"A": "it's \"quoted\" $HOME"}$j$})),
	qr/\|it's "quoted" \$HOME\|/, 'environment of one call');
like(sql("CALL theazo.exec('$agent', 'python', 'print(6 * 7)', $k)"), qr/\|42\n\|/, 'python');
my ($create) = journal(event => 'request', op => 'create');
my $sandbox = sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$agent'");
my $made = decode_json($create->{body});
is($made->{metadata}{'theazo.id'}, $sandbox, 'it carries the name it has here');
is($made->{templateID}, 'base', 'of the usual template');
is($made->{timeout}, 3600, 'its lifetime is said, which would be 15 seconds');
ok($made->{secure}, 'with a token of its own');
ok(defined $made->{allow_internet_access} && !$made->{allow_internet_access}, 'without a network');
is(asked('ask'), 0, 'its token was at hand all the time');
sql("SELECT theazo.agent_terminate('$agent', $k)");
settled($agent, 'terminated');
is(scalar(boxes()), 0, 'nothing is left');

$node->stop;
done_testing();
