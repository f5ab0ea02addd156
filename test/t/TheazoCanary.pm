# Values that must not be seen, and the places to look for them. A value is found as it is, in hex and in base64,
# and says by its number where it was given.
package TheazoCanary;

use strict;
use warnings;
use Exporter 'import';
use Fcntl 'SEEK_SET';
use File::Find;
use MIME::Base64;

our @EXPORT = qw(new_canary canaries file_canaries memory_canaries children_of undumpable);

# A source of values: new() gives one, name() tells what a number was for.
sub new_canary
{
	my ($prefix) = @_;
	my $tag = $prefix . join('', map { ('a' .. 'z')[ rand 26 ] } 1 .. 8);
	my $self = bless { tag => $tag, names => [] }, 'TheazoCanary::Source';
	# a pattern, and fixed strings one of which stands wherever it matches: looking for those is much faster
	my $h = unpack('H*', "${tag}n");
	my @forms = ([ qr/${tag}n(\d+)e/, $tag ], [ qr/$h((?:3\d)+)65/i, $h, uc $h ]);
	foreach my $shift (0 .. 2)
	{
		# characters that the tag alone decides
		my $first = (0, 2, 3)[$shift];
		my $text = encode_base64(("\0" x $shift) . $tag . 'n', '');
		my $whole = int((length($tag) + 1 + $shift) * 8 / 6);
		my $core = substr($text, $first, $whole - $first);
		my $url = $core =~ tr{+/}{-_}r;
		push @forms, [ qr/((?:\Q$core\E|\Q$url\E)[-A-Za-z0-9+\/_]*)/, $core, $url, $first ];
	}
	$self->{forms} = \@forms;
	return $self;
}

# Numbers of a source's values in a text, each once, in order.
sub canaries
{
	my ($source, $text) = @_;
	my %seen;
	my ($raw, $hex, @base64) = @{ $source->{forms} };
	return () if !defined $text;
	if (index($text, $raw->[1]) >= 0)
	{
		$seen{$1} = 1 while $text =~ /$raw->[0]/g;
	}
	if (index($text, $hex->[1]) >= 0 || index($text, $hex->[2]) >= 0)
	{
		$seen{ pack('H*', $1) } = 1 while $text =~ /$hex->[0]/g;
	}
	# the first letter lies half in front of what is found
	my $tail = substr($source->{tag}, 1);
	foreach my $form (@base64)
	{
		my ($pattern, $core, $url, $first) = @$form;
		next if index($text, $core) < 0 && index($text, $url) < 0;
		while ($text =~ /$pattern/g)
		{
			my $found = ('A' x $first . $1) =~ tr{-_}{+/}r;
			$seen{ decode_base64($found) =~ /${tail}n(\d+)e/ ? $1 : '?' } = 1;
		}
	}
	my @numbers = sort { ($a eq '?' ? -1 : $a) <=> ($b eq '?' ? -1 : $b) } keys %seen;
	return @numbers;
}

# Numbers in the files below a directory, as number => a path; skip: paths that do not count.
sub file_canaries
{
	my ($source, $dir, $skip) = @_;
	my %found;
	find({ no_chdir => 1, wanted => sub {
		my $path = $File::Find::name;
		return if !-f $path || (defined $skip && $path =~ $skip);
		open(my $fh, '<:raw', $path) or return;
		my $tail = '';
		while (read($fh, my $chunk, 4 * 1024 * 1024))
		{
			$found{$_} = $path foreach canaries($source, $tail . $chunk);
			$tail = substr($chunk, -256);
		}
	} }, $dir);
	return %found;
}

# Numbers in the writable memory of a process; undef when that cannot be read. shared: only what it shares, or only the rest.
sub memory_canaries
{
	my ($source, $pid, $shared) = @_;
	my %found;
	my $read = 0;
	open(my $maps, '<', "/proc/$pid/maps") or return;
	open(my $mem, '<:raw', "/proc/$pid/mem") or return;
	while (my $line = <$maps>)
	{
		my ($from, $to, $mode) = $line =~ /^([0-9a-f]+)-([0-9a-f]+) rw.(.)/ or next;
		no warnings 'portable';
		($from, $to) = (hex $from, hex $to);
		next if ($mode eq 's') != ($shared ? 1 : 0);
		my $tail = '';
		for (my $at = $from; $at < $to;)
		{
			my $want = $to - $at < 1048576 ? $to - $at : 1048576;
			sysseek($mem, $at, SEEK_SET) or last;
			my $n = sysread($mem, my $chunk, $want);
			last if !$n;
			$read += $n;
			# pages of zeros are most of it
			$found{$_} = sprintf('%x', $at) foreach $chunk =~ /[^\0]/ ? canaries($source, $tail . $chunk) : ();
			$tail = substr($chunk, -256);
			$at += $n;
		}
	}
	return if !$read;
	return \%found;
}

# Processes below one, as pid => title.
sub children_of
{
	my ($parent) = @_;
	my %of;
	my %title;
	foreach my $dir (glob '/proc/[0-9]*')
	{
		my ($pid) = $dir =~ /(\d+)$/;
		open(my $fh, '<', "$dir/status") or next;
		my ($ppid) = join('', <$fh>) =~ /^PPid:\s*(\d+)/m;
		$of{$pid} = $ppid;
		open($fh, '<', "$dir/cmdline") or next;
		$title{$pid} = join('', <$fh>) =~ tr/\0/ /r;
	}
	my %below;
	my @todo = ($parent);
	while (defined(my $p = shift @todo))
	{
		my @next = grep { ($of{$_} // 0) == $p && !exists $below{$_} } keys %of;
		$below{$_} = $title{$_} // '' foreach @next;
		push @todo, @next;
	}
	return %below;
}

# A process that leaves no core dump owns none of its files in /proc; undef when it is gone.
sub undumpable
{
	my ($pid) = @_;
	my @stat = stat("/proc/$pid/environ") or return;
	return $stat[4] == $> ? 0 : 1;
}

package TheazoCanary::Source;

sub new_value
{
	my ($self, $name) = @_;
	push @{ $self->{names} }, $name;
	return sprintf '%sn%de', $self->{tag}, scalar @{ $self->{names} };
}

sub name
{
	my ($self, $number) = @_;
	return "$number (" . ($number =~ /^\d+$/ && $self->{names}[ $number - 1 ] || 'unknown') . ')';
}

1;
