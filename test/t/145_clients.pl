# The clients of docs/clients against a gateway: every method, in Python and in Node.
use strict;
use warnings;
use FindBin;
use IO::Socket::INET;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_server('clients', "theazo.dispatchers = 2\ntheazo.gateway_workers = 1\ntheazo.gateway_listen = 'postgres=127.0.0.1:$port'\n");
my $until = time + 60;
sleep 0.05 until IO::Socket::INET->new("127.0.0.1:$port") || time > $until;

foreach my $c ([ 'Python', 'python3', 'check_agent.py' ], [ 'Node', 'node', 'check_agent.cjs' ])
{
	my ($name, $program, $file) = @$c;
	my $p = new_platform($node, $name);
	local $ENV{THEAZO_BASE_URL} = "http://127.0.0.1:$port";
	local $ENV{THEAZO_API_KEY} = $p->{key};
	my ($out, $err) = run_command([ $program, "$FindBin::RealBin/../clients/$file" ]);
	my @lines = split /\n/, $out;
	ok(/^ok /, "$name: $_") foreach @lines;
	cmp_ok(scalar(@lines), '>', 20, "$name: the script came to its end") or diag($err);
	is($err, '', "$name: nothing on stderr");
}
$node->stop;
done_testing();
