# What TAP files about anchors share: an EVM chain (anvil) behind a proxy, a time-stamp authority, a server whose rounds they take.
package TheazoAnchor;

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(start_chain start_tsa post rpc rules tsa calls_of blocks tsa_dir tsa_url chain_config $account);

our $account = '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266';

my $mock = "$FindBin::RealBin/../mock";
my $http = HTTP::Tiny->new(timeout => 30);
my @children;
my ($node_port, $proxy_port, $tsa_port, $tsa_dir);

END
{
	my $status = $?;
	kill 'KILL', map { $_->{pid} } @children;
	$? = $status;
}

sub spawn_mock
{
	my (@command) = @_;
	my $pid = open(my $out, '-|', @command) or die "cannot start $command[1]: $!";
	# the handle is kept there: closing it would wait for the child
	push @children, { pid => $pid, out => $out };
	my $port = <$out>;
	die "$command[1] did not start" if !defined $port;
	chomp $port;
	return $port;
}

sub post
{
	my ($url, $what) = @_;
	my $answer = $http->post($url, { headers => { 'Content-Type' => 'application/json' }, content => encode_json($what) });
	die "$url: $answer->{status} $answer->{content}" if !$answer->{success};
	return decode_json($answer->{content});
}

# A chain that makes blocks when it is told to, and the proxy before it.
sub start_chain
{
	my ($anvil) = glob("$mock/clients/node_modules/\@foundry-rs/anvil-linux-*/bin/anvil");
	ok(defined $anvil && -x $anvil, 'anvil is there (make deps)') or BAIL_OUT('no chain to anchor on: run make deps');
	$node_port = PostgreSQL::Test::Cluster::get_free_port();
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		exec($anvil, '--host', '127.0.0.1', '--port', $node_port, '--chain-id', 365, '--no-mining', '--silent') or exit 1;
	}
	push @children, { pid => $pid };
	for (1 .. 200)
	{
		last if eval { rpc('eth_chainId') };
		sleep 0.05;
	}
	is(rpc('eth_chainId'), '0x16d', 'the chain runs');
	$proxy_port = spawn_mock('python3', "$mock/chain.py", '--node', $node_port);
}

sub start_tsa
{
	$tsa_dir = PostgreSQL::Test::Utils::tempdir();
	$tsa_port = spawn_mock('python3', "$mock/tsa.py", '--dir', $tsa_dir);
}

sub tsa_dir { return $tsa_dir; }
sub tsa_url { return "http://127.0.0.1:$tsa_port"; }

# Of the node itself.
sub rpc
{
	my ($method, @params) = @_;
	my $answer = post("http://127.0.0.1:$node_port", { jsonrpc => '2.0', id => 1, method => $method, params => \@params });
	die "$method: $answer->{error}{message}" if $answer->{error};
	return $answer->{result};
}

# How the proxy and the authority behave from now on.
sub rules { post("http://127.0.0.1:$proxy_port/_control", { rules => [@_] }); }
sub tsa { post("http://127.0.0.1:$tsa_port/_control", { mode => $_[0] }); }

# Calls of a method that came to the proxy.
sub calls_of
{
	my ($method) = @_;
	my $journal = decode_json($http->get("http://127.0.0.1:$proxy_port/_journal")->{content});
	return grep { $_->{method} eq $method } @$journal;
}

# Every block with its transactions, asked for at once.
sub blocks
{
	my @calls = map { { jsonrpc => '2.0', id => $_, method => 'eth_getBlockByNumber', params => [ sprintf('0x%x', $_), JSON::PP::true ] } }
	  0 .. hex(rpc('eth_blockNumber'));
	return map { $_->{result} } @{ post("http://127.0.0.1:$node_port", \@calls) };
}

# Settings of an anchor on that chain.
sub chain_config
{
	my (%more) = @_;
	return encode_json({ url => "http://127.0.0.1:$proxy_port", chain_id => 365, from => $account, confirmations => 3, poll_ms => 100, %more });
}

1;
