# A container engine, asked directly over its socket.
package TheazoEngine;

use strict;
use warnings;
use Exporter qw(import);
use IO::Socket::UNIX;
use JSON::PP;

our @EXPORT = qw(ask bridges);

# Method, path and, as a Perl structure, the body; gives the document, or status and text.
sub ask
{
	my ($socket, $method, $path, $body) = @_;
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

# Whether this machine lets its engine make networks.
sub bridges
{
	my ($socket, $image) = @_;
	my $name = "theazo-probe-$$";
	my ($made) = ask($socket, 'POST', '/networks/create', { Name => $name, Driver => 'bridge' });
	my ($box) = ask($socket, 'POST', "/containers/create?name=$name", { Image => $image, Cmd => ['true'], HostConfig => { NetworkMode => $name } });
	my ($started) = ask($socket, 'POST', "/containers/$name/start");
	ask($socket, 'DELETE', "/containers/$name?force=1");
	ask($socket, 'DELETE', "/networks/$name");
	return $made == 201 && $box == 201 && $started == 204;
}

1;
