# What TAP files about outside services share: doubles of test/mock that are told what to do and say what they were asked, and statements
# that must be refused.
package TheazoDouble;

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(double_start sql_failure sql_refused);

my @doubles;

# test/mock/SCRIPT, running: dir, ports (what it prints first), url (of the first), pid.
sub double_start
{
	my ($script, @args) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $pid = open(my $out, '-|', 'python3', "$FindBin::RealBin/../mock/$script", '--dir', $dir, @args) or die "cannot start $script: $!";
	my @ports = split ' ', <$out>;
	my $tls = grep { $_ eq '--tls' } @args;
	my $self = bless {
		dir => $dir, pid => $pid, out => $out, ports => \@ports, port => $ports[0], url => ($tls ? 'https' : 'http') . "://127.0.0.1:$ports[0]",
		http => HTTP::Tiny->new(timeout => 60, SSL_options => { SSL_ca_file => "$dir/ca.pem" })
	}, 'TheazoDouble::Script';
	push @doubles, $self;
	return $self;
}

END
{
	# the pipe is open until here: closing it waits for the double
	my $status = $?;
	kill 'TERM', map { $_->{pid} } @doubles;
	$? = $status;
}

# What a statement fails with: SQLSTATE, message, hint.
sub sql_failure
{
	my ($node, $sql) = @_;
	my ($out, $err);
	$node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stdout => \$out, stderr => \$err, on_error_stop => 1, timeout => 90);
	my ($state, $message) = $err =~ /ERROR:  ([0-9A-Z]{5}): (.*)/;
	my ($hint) = $err =~ /HINT:  (.*)/;
	return { state => $state // 'none', message => $message // $err, hint => $hint // '', all => $err };
}

# It must, with a hint, and without what secret matches.
sub sql_refused
{
	my ($node, $secret, $sql, $state, $like, $name) = @_;
	my $f = sql_failure($node, $sql);
	is($f->{state}, $state, "$name: SQLSTATE") or diag($f->{all});
	like($f->{message}, $like, "$name: message");
	isnt($f->{hint}, '', "$name: a hint") or diag($f->{all});
	unlike($f->{all}, $secret, "$name: no credential shown");
	return $f;
}

package TheazoDouble::Script;

sub control
{
	my ($self, $wish) = @_;
	my $r = $self->{http}->post("$self->{url}/_control", { content => JSON::PP::encode_json($wish // {}) });
	die "control: $r->{status} $r->{content}" unless $r->{success};
	return JSON::PP::decode_json($r->{content});
}

sub rule
{
	my ($self, %rule) = @_;
	return $self->control({ rule => \%rule });
}

sub rules_off
{
	my ($self) = @_;
	$self->{http}->delete("$self->{url}/_control");
	return;
}

# Requests and answers, oldest first, whose members are as wanted.
sub journal
{
	my ($self, %want) = @_;
	my @found;
	foreach my $line (split /\n/, PostgreSQL::Test::Utils::slurp_file("$self->{dir}/journal.jsonl"))
	{
		my $e = JSON::PP::decode_json($line);
		push @found, $e unless grep { ($e->{$_} // '') ne $want{$_} } keys %want;
	}
	return @found;
}

sub asked
{
	my ($self, $op) = @_;
	return scalar $self->journal(event => 'request', op => $op);
}

1;
