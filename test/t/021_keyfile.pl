# Master keys: what is accepted, what is refused, and that the server starts anyway.
use strict;
use warnings;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('keyfile');
$node->init;
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF})) if $ENV{THEAZO_CONF};
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'theazo'
theazo.master_key_file = ''
theazo.master_key_command = ''
});

my $dir = $node->basedir;
my $hex = join('', map { sprintf '%02x', $_ * 7 % 256 } 1 .. 32);
my $other = join('', map { sprintf '%02x', $_ * 11 % 256 } 1 .. 32);
my $files = 0;

# A file with this content and mode.
sub file
{
	my ($content, $mode) = @_;
	my $path = "$dir/key" . ++$files;
	open my $fh, '>', $path or die $!;
	binmode $fh;
	print $fh $content;
	close $fh;
	chmod $mode // 0600, $path;
	return $path;
}

# Starts with these settings and gives the fingerprints.
sub keys_with
{
	my (%set) = @_;
	$set{master_key_file} //= '';
	$set{master_key_command} //= '';
	$node->adjust_conf('postgresql.conf', "theazo.$_", "'" . $set{$_} =~ s/'/''/gr . "'") for sort keys %set;
	$node->stop if $node->{_pid};
	$node->start;
	return $node->safe_psql('postgres', 'SELECT id FROM theazo_internal.master_keys() ORDER BY current DESC, id');
}

my $seal = "SELECT master_key_id FROM theazo_internal.secret_seal('plt_00000000000000000000000000', '', 'A', 1, theazo_internal.random_bytes(32), 'v')";

# Refused: no keys, and sealing says why.
sub refused
{
	my ($what, $pattern, %set) = @_;
	is(keys_with(%set), '', "$what: the server starts without a key");
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$seal");
	like($err, qr/ERROR:  TZ301: no master key is configured/, "$what: sealing is refused");
	like($err, $pattern, "$what: and says why");
	like($err, qr/HINT:  .*theazo\.master_key_/, "$what: and what to set");
	my ($why) = $err =~ /DETAIL:  (.*)/;
	my $hint = $node->safe_psql('postgres', "SELECT theazo.vault_status() ->> 'hint'");
	like($hint, defined $why ? qr/^\Q$why\E\. .*theazo\.master_key_/ : qr/^Set theazo\.master_key_/, "$what: the vault's status says both");
	ok("$err\n" . slurp_file($node->logfile) !~ /\Q$hex\E/i, "$what: nothing shows the key");
}

$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');

# ---- nothing set -----------------------------------------------------------
refused('nothing set', qr/HINT:  Set theazo\.master_key_file or theazo\.master_key_command/);

# ---- good ones: the same key in three forms ----------------------------------
my $id = keys_with(master_key_file => file("$hex\n"));
like($id, qr/^[0-9a-f]{16}$/, 'hex');
is($node->safe_psql('postgres', $seal), $id, 'seals under it');
is(keys_with(master_key_file => file(pack('H*', $hex), 0400)), $id, 'raw, mode 0400');
my $base64 = encode_base64(pack('H*', $hex), '');
is(keys_with(master_key_file => file("# comment\n\n$base64\r\n")), $id, 'base64');
my $both = keys_with(master_key_file => file("$other\n$hex\n"));
like($both, qr/^[0-9a-f]{16}\n$id$/, 'two keys, the first is current');
is($node->safe_psql('postgres', $seal), (split /\n/, $both)[0], 'seals under the first');

# ---- what was sealed opens after rotation, and not without its key --------------
$node->safe_psql('postgres', "CREATE TABLE kept AS SELECT * FROM theazo_internal.random_bytes(32) p, LATERAL theazo_internal.secret_seal('plt_00000000000000000000000000', '', 'A', 1, p, 'v')");
my $opens = "SELECT theazo_internal.secret_opens('plt_00000000000000000000000000', '', 'A', 1, p, master_key_id, salt, sealed) FROM kept";
is($node->safe_psql('postgres', $opens), 't', 'opens');
is(keys_with(master_key_file => file("$hex\n$other\n")), join("\n", reverse split /\n/, $both), 'the other way round');
is($node->safe_psql('postgres', $opens), 't', 'opens under the old key');
keys_with(master_key_file => file("$hex\n"));
my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$opens");
my $lost = (split /\n/, $both)[0];
like($err, qr/ERROR:  TZ303: master key "$lost" is missing/, 'a missing key is named');

# ---- bad files -----------------------------------------------------------------------
refused('open to the group', qr/is open to group or others: Its mode is 0640/, master_key_file => file($hex, 0640));
refused('open to others', qr/is open to group or others/, master_key_file => file($hex, 0604));
refused('writable by others', qr/is open to group or others/, master_key_file => file($hex, 0602));
refused('missing', qr/could not open master key file/, master_key_file => "$dir/none");
symlink(file($hex), "$dir/link");
refused('a link', qr/is a link/, master_key_file => "$dir/link");
refused('a directory', qr/is not a regular file/, master_key_file => $dir);
mkdir "$dir/sub";
require POSIX;
POSIX::mkfifo("$dir/fifo", 0600);
refused('a pipe', qr/is not a regular file/, master_key_file => "$dir/fifo");
refused('empty', qr/is empty/, master_key_file => file(''));
refused('truncated', qr/line 1 is no key of 256 bit/, master_key_file => file(substr($hex, 0, 62)));
refused('128 bit', qr/line 1 is no key of 256 bit/, master_key_file => file(substr($hex, 0, 32)));
refused('a passphrase', qr/line 1 is no key of 256 bit/, master_key_file => file('correct horse battery staple'));
refused('zeros', qr/one byte repeated/, master_key_file => file('0' x 64));
refused('the same key twice', qr/line 2 repeats a key/, master_key_file => file("$hex\n$hex\n"));
refused('a bad second line', qr/line 2 is no key/, master_key_file => file("$hex\nnonsense\n"));
refused('raw, a byte short', qr/is no key of 256 bit/, master_key_file => file(substr(pack('H*', $hex), 0, 31)));
refused('raw, a byte long', qr/is no key of 256 bit/, master_key_file => file(pack('H*', $hex) . "\n"));
refused('two raw ones', qr/is no key of 256 bit/, master_key_file => file(pack('H*', $other . $hex)));
refused('base64 cut', qr/line 1 is no key of 256 bit/, master_key_file => file(substr($base64, 0, 40)));
refused('base64 of 31 bytes', qr/line 1 is no key of 256 bit/, master_key_file => file(encode_base64(pack('H*', substr($hex, 0, 62)), '')));
refused('a second key cut', qr/line 2 is no key of 256 bit/, master_key_file => file("$other\n" . substr($hex, 0, 40)));
refused('hex with another character', qr/line 1 is no key of 256 bit/, master_key_file => file(substr($hex, 0, 63) . 'g'));
refused('a zero byte', qr/line 1 is no key of 256 bit/, master_key_file => file(substr($hex, 0, 30) . "\0" . substr($hex, 31)));
refused('a byte order mark', qr/line 1 is no key of 256 bit/, master_key_file => file("\xef\xbb\xbf$hex\n"));
refused('comments only', qr/there is no master key in it/, master_key_file => file("# $other\n\n"));
refused('too many', qr/more than 16 master keys/, master_key_file => file(join '', map { sprintf("%064x\n", $_ * 12345) } 1 .. 17));
refused('a file nobody may read', qr/could not open master key file/, master_key_file => file($hex, 0000));
refused('a device', qr/is not a regular file/, master_key_file => '/dev/zero');
refused('too long', qr/longer than 4096 bytes/, master_key_file => file("\n" x 5000));

# ---- commands --------------------------------------------------------------------------
my $good = file($hex);
is(keys_with(master_key_command => "cat '$good' | tr a-f A-F"), $id, 'a command');
is($node->safe_psql('postgres', 'SELECT source FROM theazo_internal.master_keys()'), 'command', 'is named as source');
is(keys_with(master_key_command => "cat '" . file(pack('H*', $hex)) . "'"), $id, 'a command may print raw bytes');
refused('a command that ends in the middle of a key', qr/line 1 is no key of 256 bit/, master_key_command => "head -c 40 '$good'");
refused('a command that prints words beside the key', qr/line 1 is no key of 256 bit/, master_key_command => "echo key: && cat '$good'");
refused('a command that fails', qr/ended with status 3/, master_key_command => "cat '$good'; exit 3");
refused('a command that does not exist', qr/ended with status 127/, master_key_command => '/nonexistent/program');
refused('a command killed', qr/ended by signal 9/, master_key_command => "cat '$good'; kill -9 \$\$");
refused('a command that prints nothing', qr/there is no master key in it/, master_key_command => 'true');
refused('a command that prints too much', qr/printed more than 4096 bytes/, master_key_command => 'yes');
refused('both set', qr/are both set/, master_key_file => $good, master_key_command => "cat '$good'");
my $begin = time;
refused('a command that hangs', qr/took too long/, master_key_command => "cat '$good'; sleep 1000");
cmp_ok(time - $begin, '<', 30, 'the start of the server is bounded');
refused('a command that leaves its output open', qr/took too long/, master_key_command => "cat '$good'; sleep 1000 &");
refused('a command that hangs in the background', qr/took too long/,
	master_key_command => "cat '$good'; exec > /dev/null; sleep 1000");
is(`pgrep -u \$(id -u) -fx 'sleep 1000'`, '', 'nothing of it stays behind');

# ---- the key's memory --------------------------------------------------------------------
keys_with(master_key_file => $good);
my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
my $locked = 0;
open my $maps, '<', "/proc/$postmaster/smaps" or die $!;
while (<$maps>)
{
	$locked++ if /^VmFlags:.*\blo\b.*\bdd\b/;
}
close $maps;
cmp_ok($locked, '>=', 1, 'a page is locked and left out of core dumps');

# A backend inherits that page and locks one of its own for what it derives.
my $count = "SELECT count(*) FROM regexp_split_to_table(pg_read_file('/proc/self/smaps'), E'\\n') l WHERE l ~ '^VmFlags:.* lo( .*)? dd'";
my @pages = split /\n/, $node->safe_psql('postgres', "$count; $seal; $count");
is($pages[2] - $pages[0], 1, 'keys of platforms lie in locked memory as well');

$node->stop;
done_testing();
