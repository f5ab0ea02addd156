# The six kinds of compute as tests set them up: a platform's provider has the name of its kind, and each has its double or engine.
package TheazoCompute;

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoEngine;
use TheazoPath;

our @EXPORT = qw(compute_kinds);

my @doubles;
my $http = HTTP::Tiny->new(timeout => 30);

# What a double says on its first line.
sub double
{
	my ($script, $dir, @arguments) = @_;
	my $pid = open(my $out, '-|', 'python3', "$FindBin::RealBin/../mock/$script", '--dir', $dir, @arguments)
	  or die "cannot start $script: $!";
	push @doubles, [ $pid, $out ];
	my $line = <$out>;
	chomp $line;
	return $line;
}

END { my $status = $?; kill 'TERM', map { $_->[0] } @doubles; $? = $status; }

# Of a platform: type, provider (what an agent names), start() which sets it up, control(method, wish) of its double where it has one.
# docker is the operator's: once it is started it stands in the place of the local sandbox. hold: requests to its engine can be held. ports: agents with its options have ports, unless it is portless.
sub compute_kinds
{
	my ($node, $p, %options) = @_;
	my $key = "api_key => '$p->{key}'";
	my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
	my $control = sub {
		my ($kind) = @_;
		return sub {
			my ($method, $wish) = @_;
			my $answer = $http->request($method, "http://127.0.0.1:$kind->{port}/_control", { defined $wish ? (content => encode_json($wish)) : () });
			die "the double of $kind->{type} refused: $answer->{content}" if !$answer->{success};
			return decode_json($answer->{content});
		};
	};
	my $dir = sub { return PostgreSQL::Test::Utils::tempdir() };
	my @kinds = (
		{ type => 'local', provider => 'local', start => sub { } },
		{ type => 'webhook', start => sub {
			my ($kind) = @_;
			$kind->{port} = double('webhook.py', $dir->(), '--exec', 'real');
			$sql->("SELECT theazo.provider_set('webhook', type => 'webhook', endpoint => 'http://127.0.0.1:$kind->{port}', $key)");
		} },
		{ type => 'e2b', start => sub {
			my ($kind) = @_;
			($kind->{port}, my $gateway) = split ' ', double('e2b.py', $dir->(), '--key', 'e2b_c0ffee0123456789abcdef0123456789abcdef01', '--max-timeout', 7200);
			$sql->("SELECT theazo.secret_set('e2b.key', 'e2b_c0ffee0123456789abcdef0123456789abcdef01', $key)");
			$sql->("SELECT theazo.provider_set('e2b', type => 'e2b', endpoint => 'http://127.0.0.1:$kind->{port}', credential_ref => 'e2b.key',
				config => '{\"sandboxUrl\": \"http://{port}-{id}.localhost:$gateway\"}', $key)");
		} },
		{ type => 'daytona', start => sub {
			my ($kind) = @_;
			$kind->{port} = double('daytona.py', $dir->(), '--key', 'dtn_4711-abcdef', '--hold-ms', 0);
			$sql->("SELECT theazo.secret_set('daytona.key', 'dtn_4711-abcdef', $key)");
			$sql->("SELECT theazo.provider_set('daytona', type => 'daytona', endpoint => 'http://127.0.0.1:$kind->{port}/api', credential_ref => 'daytona.key', $key)");
		} },
		{ type => 'fly', start => sub {
			my ($kind) = @_;
			$kind->{port} = double('fly.py', $dir->(), '--key', 'fly_4711-abcdef', '--no-limit');
			$sql->("SELECT theazo.secret_set('fly.key', 'fly_4711-abcdef', $key)");
			$sql->("SELECT theazo.provider_set('fly', type => 'fly', endpoint => 'http://127.0.0.1:$kind->{port}', credential_ref => 'fly.key',
				config => '{\"app\": \"boxes\"}', $key)");
		} },
		{ type => 'docker', provider => 'theazo', start => sub {
			my ($kind) = @_;
			my $socket = $kind->{engine} = $ENV{THEAZO_ENGINE} // BAIL_OUT('no engine: run the suite as root, or name the socket of one in THEAZO_ENGINE');
			if ($options{hold})
			{
				my $short = PostgreSQL::Test::Utils::tempdir_short();
				$kind->{port} = double('hold.py', $short, '--to', $socket);
				$socket = "$short/engine.sock";
			}
			# ports need networks, which not every machine lets an engine make
			$kind->{portless} = $options{ports} && !bridges($kind->{engine}, 'localhost/theazo-test:1');
			my $ports = $options{ports} && !$kind->{portless} ? ', "network": "own", "ports": [8080]' : '';
			$kind->{options} = ', "network": {"enabled": true}' if $ports ne '';
			$sql->("SELECT theazo.operator_provider_set('boxes', type => 'docker', endpoint => 'unix://$socket',
				config => '{\"image\": \"localhost/theazo-test:1\", \"pull\": false, \"memoryMb\": 128, \"ulimits\": {\"nofile\": 1024, \"nproc\": 4096}$ports}')");
		} },
	);
	foreach my $kind (@kinds)
	{
		$kind->{provider} //= $kind->{type};
		$kind->{control} = $control->($kind);
	}
	return @kinds;
}

1;
