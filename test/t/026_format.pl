# What the server stores is what docs/vault.md says: rows sealed by SQL are computed again from
# the master key by test/vectors/vault.py, which shares no code with theazo; before and after a
# rotation.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @keys = map { unpack 'H*', pack 'C*', map { int rand 256 } 1 .. 32 } 1 .. 2;
my $node = PostgreSQL::Test::Cluster->new('format');
$node->init;
my $keyfile = $node->basedir . '/master.key';

sub hold
{
	unlink $keyfile;
	append_to_file($keyfile, join('', map { "$_\n" } @_));
	chmod 0600, $keyfile;
}

hold($keys[0]);
$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF}) . "\ntheazo.master_key_file = '$keyfile'\n");
$node->start;
my $db = 'postgres';
$node->safe_psql($db, 'CREATE EXTENSION theazo CASCADE');

my $platform = $node->safe_psql($db, "SELECT id FROM theazo.platform_create('format')");
my $key = $node->safe_psql($db, "SELECT key FROM theazo.api_key_create('format', platform => '$platform')");
my $session = $node->safe_psql($db, "SELECT id FROM theazo.session_create('user', api_key => '$key')");
my %value = ('a name' => 'plain', 'stripe.key' => "two\nlines \x{c3}\x{bc}", 'cloud' => 'x' x 200);
$node->safe_psql($db, "SELECT theazo.secret_set('a name', 'before', api_key => '$key'); SELECT theazo.secret_set('a name', '$value{'a name'}', api_key => '$key');");
$node->safe_psql($db, "SELECT theazo.secret_set('stripe.key', '$value{'stripe.key'}', session => '$session', api_key => '$key')");
$node->safe_psql($db, "SELECT theazo.operator_secret_set('cloud', '$value{cloud}')");

# Every row there is, and the check values of the master keys, against the program.
sub agree
{
	my ($what, $master, $number) = @_;
	my $operator = $node->safe_psql($db, 'SELECT theazo_internal.operator_platform()');
	my @rows = split /\n/, $node->safe_psql($db, q{
		SELECT concat_ws('|', s.platform_id, encode(p.vault_salt, 'hex'), s.session_id, s.name, s.version, s.master_key_id,
						 encode(s.salt, 'hex'), encode(s.sealed, 'hex'))
		  FROM theazo_data.secret s JOIN theazo_data.platform p USING (platform_id) ORDER BY s.name});
	push @rows, split /\n/, $node->safe_psql($db, q{
		SELECT concat_ws('|', m.platform_id, encode(sha256('theazo'), 'hex'), '', 'master key check', 1, m.id, encode(m.salt, 'hex'),
						 encode(m.check_value, 'hex'))
		  FROM theazo_data.master_key m WHERE m.retired_at IS NULL});
	is(scalar @rows, $number, "$what: rows");
	my ($in, @want) = ('');
	foreach (@rows)
	{
		my ($owner, $platform_salt, $vault, $name, $version, $master_id, $salt, $sealed) = split /\|/;
		my $kind = $owner eq $operator ? 'operator' : 'platform';
		my $hex = unpack 'H*', $value{$name} // 'theazo';
		$in .= "case = $name\nkind = $kind\nmaster_key = $master\nplatform = $owner\nplatform_salt = $platform_salt\nkey_version = 1\n"
		  . "session = $vault\nname = $name\nversion = $version\nrecord_salt = $salt\nvalue = $hex\n";
		push @want, "$name $master_id $sealed";
	}
	my $file = PostgreSQL::Test::Utils::tempdir() . '/cases';
	append_to_file($file, $in);
	my ($out, $err) = run_command([ 'python3', 'test/vectors/vault.py', '--fill', $file ]);
	my @got;
	foreach my $case (split /\n\n/, $out)
	{
		my %field = map { split / = ?/, $_, 2 } grep { / =/ } split /\n/, $case;
		push @got, "$field{name} $field{fingerprint} $field{sealed}";
	}
	is_deeply(\@got, \@want, "$what: fingerprint and sealed bytes are those of the page") or diag($err);
}

agree('as set', $keys[0], 4);
is($node->safe_psql($db, "SELECT version FROM theazo_data.secret WHERE name = 'a name'"), '2', 'one of them is a second version');

hold($keys[1], $keys[0]);
$node->restart;
$node->safe_psql($db, 'SELECT theazo.vault_rotate()');
ok($node->poll_query_until($db, "SELECT state = 'done' FROM theazo.vault_rotations"), 'rotated');
agree('after a rotation', $keys[1], 4);

$node->stop;
done_testing();
