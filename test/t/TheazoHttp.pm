# The gateway as a client sees it, byte by byte: requests over a socket of their own, several at once, anything but HTTP.
package TheazoHttp;

use strict;
use warnings;
use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(dial say_raw hear ask request wait_gateway);

sub dial
{
	my ($port) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10) or die "no connection to $port: $!";
	$s->autoflush(1);
	return $s;
}

# The bytes of a request. more: key, body (text, or a structure), headers.
sub request
{
	my ($method, $path, %more) = @_;
	my $body = $more{body};
	$body = JSON::PP->new->canonical->utf8->encode($body) if ref $body;
	my $text = "$method $path HTTP/1.1\r\nHost: localhost\r\n";
	$text .= "Authorization: Bearer $more{key}\r\n" if defined $more{key};
	$text .= "$_: $more{headers}{$_}\r\n" for sort keys %{ $more{headers} // {} };
	$text .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;
	return "$text\r\n" . ($body // '');
}

# Whatever is written, without dying when the other side has had enough.
sub say_raw
{
	my ($s, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	while (length $bytes)
	{
		my $n = syswrite($s, $bytes);
		return 0 if !defined $n;
		substr($bytes, 0, $n, '');
	}
	return 1;
}

# One answer, as {status, headers, body, doc}; undef when the connection ends before. left keeps what is behind it; head: there is no body.
sub hear
{
	my ($s, $left, $seconds, $head) = @_;
	my $until = time() + ($seconds // 60);
	my $select = IO::Select->new($s);
	my $buffer = defined $left ? $$left : '';
	my %a;
	while (1)
	{
		$buffer =~ s/^HTTP\/1\.1 100[^\r\n]*\r\n\r\n// if !%a;
		if (!%a && $buffer =~ s/^HTTP\/1\.[01] (\d\d\d)[^\r\n]*\r\n(.*?)\r\n\r\n//s)
		{
			$a{status} = $1;
			for my $line (split /\r\n/, $2)
			{
				my ($name, $value) = split /:\s*/, $line, 2;
				$a{headers}{ lc $name } = $value;
			}
		}
		my $want = %a && $head ? 0 : %a ? ($a{headers}{'content-length'} // 0) : undef;
		if (defined $want && (length $buffer >= $want))
		{
			$a{body} = substr($buffer, 0, $want, '');
			$$left = $buffer if defined $left;
			$a{doc} = eval { JSON::PP->new->utf8->allow_nonref->decode($a{body}) };
			return \%a;
		}
		return undef if time() >= $until || !$select->can_read($until - time());
		my $n = sysread($s, my $more, 65536);
		return undef if !$n;
		$buffer .= $more;
	}
}

# One request on a connection of its own.
sub ask
{
	my ($port, $method, $path, %more) = @_;
	my $s = dial($port);
	say_raw($s, request($method, $path, %more));
	my $a = hear($s, undef, $more{seconds}, $method eq 'HEAD');
	close $s;
	return $a // { status => 0, headers => {}, body => '' };
}

# Until it answers that it is ready.
sub wait_gateway
{
	my ($port, $seconds) = @_;
	my $until = time() + ($seconds // 60);
	while (time() < $until)
	{
		my $a = eval { ask($port, 'GET', '/readyz', seconds => 5) };
		return 1 if $a && $a->{status} == 200;
		select undef, undef, undef, 0.05;
	}
	fail('the gateway answers');
	return 0;
}

1;
