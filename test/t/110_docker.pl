# Containers as sandboxes, at a real engine: the whole life of one, what it may
# not do, where secrets are not to be found, and what is left when calls are lost.
use strict;
use warnings;
use FindBin;
use IO::Socket::UNIX;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $socket = $ENV{THEAZO_ENGINE} // '';
unless (ok(-S $socket, 'there is an engine'))
{
	diag('run the suite as root, or name the socket of an engine in THEAZO_ENGINE');
	done_testing();
	exit 1;
}
my $image = 'localhost/theazo-test:1';
my $canary = 'env-canary-3141-qrstuv';

# --- the engine, asked directly ---------------------------------------------------
sub engine
{
	my ($method, $path, $body) = @_;
	my $s = IO::Socket::UNIX->new(Peer => $socket) or die "engine: $!";
	$body = defined $body ? encode_json($body) : '';
	print $s "$method /v1.41$path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
	  . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
	$s->flush;
	local $/;
	my $answer = <$s>;
	my ($head, $text) = split /\r\n\r\n/, $answer, 2;
	my ($status) = $head =~ m{^HTTP/1\.. (\d+)};
	if ($head =~ /transfer-encoding:\s*chunked/i)
	{
		my $whole = '';
		while ($text =~ s/^([0-9a-fA-F]+)\r\n//)
		{
			my $n = hex $1 or last;
			$whole .= substr($text, 0, $n, '');
			$text =~ s/^\r\n//;
		}
		$text = $whole;
	}
	return wantarray ? ($status, $text) : eval { decode_json($text) };
}

sub containers
{
	my $list = engine('GET', '/containers/json?all=1');
	return map { $_->{Labels}{'theazo.id'} // () } @$list;
}

# --- server ---------------------------------------------------------------------
my $node = PostgreSQL::Test::Cluster->new('docker');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF}));
$node->append_conf('postgresql.conf', qq(
theazo.dispatchers = 1
log_statement = 'all'
));
$node->start;
my $db = 'postgres';
$node->safe_psql($db, 'CREATE EXTENSION theazo CASCADE');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql($db, $sql);
}

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
	return $f;
}

my $platform = sql("SELECT id FROM theazo.platform_create('Boxes')");
my $key = sql("SELECT key FROM theazo.api_key_create('test', platform => '$platform')");
my $k = "api_key => '$key'";
my $session = sql("SELECT id FROM theazo.session_create('user-1', $k)");

sub agent
{
	my ($options) = @_;
	return sql("SELECT id FROM theazo.agent_create('$session', '" . ($options // '{}') . "', $k)");
}

sub exec_sql
{
	my ($agent, $code, $more) = @_;
	return "CALL theazo.exec('$agent', 'sh', \$code\$$code\$code\$, $k" . ($more // '') . ')';
}

sub sandbox
{
	my ($agent) = @_;
	return split /\|/, sql("SELECT s.id, s.external_id FROM theazo_data.sandbox s "
		. "WHERE s.agent_id = '$agent' ORDER BY s.created_at DESC LIMIT 1");
}

sub settled
{
	my ($what) = @_;
	ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"
			. " AND kind LIKE 'compute.%'"), "$what: settled");
}

# --- who may name a socket -----------------------------------------------------------
refused("SELECT theazo.provider_set('mine', type => 'docker', endpoint => 'unix://$socket', $k)", '22023', qr/endpoint/,
	'a platform cannot name a socket of the machine');
refused("SELECT theazo.operator_provider_set('boxes', type => 'docker', endpoint => 'unix://../engine')", '22023', qr/endpoint/, 'no path');
sql("SELECT name FROM theazo.operator_provider_set('boxes', type => 'docker', endpoint => 'unix://$socket', "
	  . qq{config => '{"image": "$image", "pull": false, "memoryMb": 128, "ulimits": {"nofile": 1024, "nproc": 4096}}')});

# --- commands ---------------------------------------------------------------------------
my $agent = agent();
like(sql(exec_sql($agent, 'echo out; echo err >&2; exit 3')), qr/\|out\n\|err\n\|3\|\d+\|/, 'stdout, stderr, exit code');
my ($id, $container) = sandbox($agent);
like($container, qr/^[0-9a-f]{64}$/, 'the sandbox is a container');
is_deeply([ containers() ], [$id], 'which carries the name of the sandbox');
like(sql(exec_sql($agent, 'printf %s "$A"', q{, env => $j${"A": "it's \\"quoted\\" $HOME"}$j$})),
	qr/\|it's "quoted" \$HOME\|/, 'environment of one call');

# --- end -----------------------------------------------------------------------------------
sql("SELECT theazo.agent_terminate('$agent', $k)");
settled('the end');
is_deeply([ containers() ], [], 'the container is gone');

$node->stop;
done_testing();
