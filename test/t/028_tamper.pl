# Rows of the vault that somebody changed: each region of what is sealed, its salt, its names, rows moved and rows
# exchanged. Every one is met by a real call, which must fail, say which secret it was, and show nothing of it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $dir = PostgreSQL::Test::Utils::tempdir();
open my $fh, '>', "$dir/master.key" or die $!;
print $fh '0123456789abcdef' x 4, "\n", '0fedcba987654321' x 4, "\n";
close $fh;
chmod 0600, "$dir/master.key";
my $node = new_server('tamper', "theazo.master_key_file = '$dir/master.key'\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

my $value = 'canary-' . 'v' x 40;
my $other_value = 'canary-' . 'w' x 40;
my $p = new_platform($node, 'tampered');
my $q = new_platform($node, 'beside');
my $second = sql("SELECT id FROM theazo.session_create('second', api_key => '$p->{key}')");
for my $o ($p, $q)
{
	sql("SELECT FROM theazo.secret_set('token', '$value', '$o->{session}', api_key => '$o->{key}')") for 1 .. 2;
}
sql("SELECT FROM theazo.secret_set('token', '$other_value', '$second', api_key => '$p->{key}')") for 1 .. 2;
sql("SELECT FROM theazo.secret_set('token', '$other_value', api_key => '$p->{key}')") for 1 .. 2;
my $other_key = sql('SELECT id FROM theazo_internal.master_keys() WHERE NOT current');
my $agent = new_agent($p);
# Runs with what the environment holds; the length tells that it came.
sub call { return run_code($p, $agent, 'sh', 'printf %s "$TOKEN" | wc -c') }
is(call()->{stdout}, length($value) . "\n", 'the secret arrives');
sql('CREATE TABLE kept AS SELECT * FROM theazo_data.secret; CREATE TABLE kept_platform AS SELECT * FROM theazo_data.platform');

my $row = "platform_id = '$p->{id}' AND session_id = '$p->{session}' AND name = 'token'";
my $length = sql("SELECT length(sealed) FROM theazo_data.secret WHERE $row");
sub flip { my ($column, $at, $mask) = @_; return "UPDATE theazo_data.secret SET $column = set_byte($column, $at, get_byte($column, $at) # $mask) WHERE $row" }
# The row takes these columns of another row.
sub takes { my ($columns, $from) = @_; my $c = join ', ', map { "$_ = o.$_" } split / /, $columns; return "UPDATE theazo_data.secret s SET $c FROM kept o WHERE s." . ($row =~ s/AND /AND s./gr) . " AND $from" }
my $of_q = "o.platform_id = '$q->{id}' AND o.name = 'token'";
my $of_second = "o.session_id = '$second' AND o.name = 'token'";
my $of_platform = "o.platform_id = '$p->{id}' AND o.session_id = '' AND o.name = 'token'";
my @cases = (
	['format byte', flip('sealed', 0, 3)],
	['first byte of the ciphertext', flip('sealed', 1, 1)],
	['middle of the ciphertext', flip('sealed', 20, 128)],
	['last byte of the ciphertext', flip('sealed', $length - 17, 1)],
	['first byte of the tag', flip('sealed', $length - 16, 1)],
	['last byte of the tag', flip('sealed', $length - 1, 64)],
	['cut by a byte', "UPDATE theazo_data.secret SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE $row"],
	['cut to less than a tag', "UPDATE theazo_data.secret SET sealed = substr(sealed, 1, 10) WHERE $row"],
	['empty', "UPDATE theazo_data.secret SET sealed = '' WHERE $row"],
	['longer by a byte', "UPDATE theazo_data.secret SET sealed = sealed || '\\x00' WHERE $row"],
	['far too long', "UPDATE theazo_data.secret SET sealed = sealed || decode(repeat('00', 100000), 'hex') WHERE $row"],
	['first byte of the salt', flip('salt', 0, 1)],
	['last byte of the salt', flip('salt', 31, 128)],
	['salt cut', "UPDATE theazo_data.secret SET salt = substr(salt, 1, 31) WHERE $row"],
	['salt empty', "UPDATE theazo_data.secret SET salt = '' WHERE $row"],
	['version', "UPDATE theazo_data.secret SET version = version + 1 WHERE $row"],
	['version below zero', "UPDATE theazo_data.secret SET version = -version WHERE $row"],
	['another loaded key', "UPDATE theazo_data.secret SET master_key_id = '$other_key' WHERE $row"],
	['another name', "UPDATE theazo_data.secret SET name = 'Token' WHERE $row"],
	['salt of another row', takes('salt', $of_second)],
	['sealed bytes of another session', takes('salt sealed', $of_second)],
	['sealed bytes of the platform', takes('salt sealed', $of_platform)],
	['sealed bytes of another platform', takes('salt sealed', $of_q)],
	['moved from another session', "DELETE FROM theazo_data.secret WHERE $row; UPDATE theazo_data.secret SET session_id = '$p->{session}' WHERE session_id = '$second'"],
	['moved from the platform', "DELETE FROM theazo_data.secret WHERE $row; UPDATE theazo_data.secret SET session_id = '$p->{session}' WHERE platform_id = '$p->{id}' AND session_id = ''"],
	['moved from another platform', "DELETE FROM theazo_data.secret WHERE $row; UPDATE theazo_data.secret SET platform_id = '$p->{id}', session_id = '$p->{session}' WHERE platform_id = '$q->{id}'"],
	['salt of the platform', "UPDATE theazo_data.platform SET vault_salt = set_byte(vault_salt, 3, get_byte(vault_salt, 3) # 1) WHERE platform_id = '$p->{id}'"],
	['salt of the platform cut', "UPDATE theazo_data.platform SET vault_salt = substr(vault_salt, 1, 31) WHERE platform_id = '$p->{id}'"],
	['salt of another platform', "UPDATE theazo_data.platform SET vault_salt = (SELECT vault_salt FROM kept_platform WHERE platform_id = '$q->{id}') WHERE platform_id = '$p->{id}'"],
	['a key that never was', "UPDATE theazo_data.secret SET master_key_id = '0123456789abcdef' WHERE $row", 'TZ303'],
	['a key of another form', "UPDATE theazo_data.secret SET master_key_id = repeat('x', 300) WHERE $row", 'TZ303'],
);
for my $case (@cases)
{
	my ($what, $statement, $state) = @$case;
	sql($statement);
	my $r = call();
	is($r->{status} . ' ' . ($r->{error_sqlstate} // ''), 'failed ' . ($state // 'TZ302'), "$what: the call fails");
	my $said = join ' ', map { $r->{$_} // '' } qw(error_message error_detail error_hint stdout stderr);
	like($said, $state ? qr/master key "[^"]*" is missing/ : qr/secret "[Tt]oken" does not authenticate/, '... and says what it was') or diag($said);
	unlike($said, qr/canary/, '... and nothing of it');
	sql("TRUNCATE theazo_data.secret; INSERT INTO theazo_data.secret SELECT * FROM kept;"
		. " UPDATE theazo_data.platform p SET vault_salt = k.vault_salt FROM kept_platform k WHERE p.platform_id = k.platform_id");
}
my $back = call();
is($back->{stdout}, length($value) . "\n", 'put back as it was, it arrives') or diag(explain($back));

# ---- a credential: nothing leaves -----------------------------------------------------------------------------
my $double = new_double();
sql("SELECT FROM theazo.secret_set('hook', '$value', api_key => '$p->{key}')");
sql("SELECT FROM theazo.provider_set('hook', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}/compute', credential_ref => 'hook', api_key => '$p->{key}')");
sql("UPDATE theazo_data.platform SET allow_http = true, allow_private = true");
sql("UPDATE theazo_data.secret SET sealed = set_byte(sealed, 5, get_byte(sealed, 5) # 1) WHERE name = 'hook'");
new_agent($p, '{"provider": "hook"}', 'failed');
is(scalar($double->requests), 0, 'no request is made without its credential');
sql("SELECT FROM theazo.secret_set('hook', '$value', api_key => '$p->{key}')");
my $w = new_agent($p, '{"provider": "hook"}');
cmp_ok(scalar($double->requests), '>', 0, 'set again it is');

# ---- the check value of the key -----------------------------------------------------------------------------------
my $current = sql('SELECT theazo_internal.master_key_current()');
is(sql("SELECT verified FROM theazo.vault_keys WHERE id = '$current'"), 't', 'the key is what it is called');
for my $what ('check_value = set_byte(check_value, 3, get_byte(check_value, 3) # 1)', 'salt = set_byte(salt, 3, get_byte(salt, 3) # 1)')
{
	sql("BEGIN; UPDATE theazo_data.master_key SET $what WHERE id = '$current'; CREATE TABLE seen AS SELECT verified FROM theazo.vault_keys WHERE id = '$current'; COMMIT");
	is(sql('SELECT verified FROM seen'), 'f', "seen: $what");
	sql("DROP TABLE seen; UPDATE theazo_data.master_key SET $what WHERE id = '$current'");
}
is(sql("SELECT verified FROM theazo.vault_keys WHERE id = '$current'"), 't', 'put back it is right again');
ok(index(slurp_file($node->logfile), 'canary-') < 0, 'nothing of the values is in the log');

$node->stop;
done_testing();
