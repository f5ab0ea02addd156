# Personal fields of events: never on disk in clear, readable after rotation of the vault, kills and restore,
# and gone for good once the user is erased, while every hash stays true.
use strict;
use warnings;
use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;

my $dir = PostgreSQL::Test::Utils::tempdir();
my %key = map { my $f = $_ * 41; $_ => join('', map { sprintf '%02x', ($_ * $f + $f) % 256 } 1 .. 32) } 1 .. 3;
my $canary = 'Amaryllis-canary-7f3d';

sub keys_are
{
	open my $fh, '>', "$dir/master.key" or die $!;
	print $fh map { "$key{$_}\n" } @_;
	close $fh;
	chmod 0600, "$dir/master.key";
	return;
}

keys_are(1);
my $node = new_server('personal', qq(
theazo.master_key_file = '$dir/master.key'
theazo.keeper_interval = 500ms
restart_after_crash = on
log_statement = none
log_min_error_statement = panic
));
sub sql { return $node->safe_psql('postgres', $_[0]) }
my $p = new_platform($node, 'persons');
my $anna = sql("SELECT id FROM theazo.session_create('anna-$canary', api_key => '$p->{key}')");
my $bert = sql("SELECT id FROM theazo.session_create('bert', api_key => '$p->{key}')");

sub write_event
{
	my ($session, $task) = @_;
	# bound, so that the text stands in no statement
	open my $fh, '>', "$dir/task" or die $!;
	print $fh $task;
	close $fh;
	return sql("\\set task `cat $dir/task`\nSELECT theazo_internal.event_write('$p->{id}', 'execution', 'execution_started', jsonb_build_object('task', :'task'), '$session', NULL, NULL, 'live')");
}
sub shown { my ($event) = @_; return sql("BEGIN; SELECT FROM theazo.authenticate('$p->{key}'); SELECT summary ->> 'task' FROM theazo.events WHERE id = '$event'; COMMIT;") =~ s/^\n//r }
sub sealed_up
{
	wait_sql($node, 'SELECT unsealed = 0 FROM theazo.operator_audit_status', 't', 'everything is sealed', 60);
	return;
}
sub verifies
{
	my ($what) = @_;
	sealed_up();
	is(sql("SELECT chain_valid || ' ' || coalesce(problem, 'nothing') || ' ' || pending FROM theazo.audit_verify(api_key => '$p->{key}')"), 'true nothing 0', "$what: the chain is true");
	return;
}
sub hashed { my ($event) = @_; return sql("SELECT encode(sha256(convert_to(to_jsonb(e)::text, 'UTF8')), 'hex') FROM theazo_data.event e WHERE e.id = '$event'") }

my $said = write_event($anna, "tell $canary by heart");
my $other = write_event($bert, 'of somebody else');
is(shown($said), "tell $canary by heart", 'the platform reads what was said');
verifies('with personal fields');

# ---- not on disk ---------------------------------------------------------------------------------------
# The session knows its user; the event must not, and what was said is nowhere.
$node->stop;
my @found;
find({ no_chdir => 1, wanted => sub {
	return unless -f $_;
	local $/;
	open my $fh, '<:raw', $_ or return;
	my $bytes = <$fh>;
	push @found, $_ if index($bytes, "tell $canary") >= 0;
} }, $node->data_dir);
is("@found", '', 'what was said stands in no file of the server, the log of changes included');
$node->start;

# ---- the vault turns ---------------------------------------------------------------------------------------
sub rotation_ends { wait_sql($node, "SELECT state <> 'running' FROM theazo.vault_rotations ORDER BY started_at DESC LIMIT 1", 't', 'the rotation ends', 120); return }
keys_are(2, 1);
$node->restart;
sql('SELECT FROM theazo.vault_rotate()');
rotation_ends();
is(sql("SELECT string_agg(data_keys || ' ' || removable, ', ' ORDER BY current DESC) FROM theazo.vault_keys WHERE loaded"),
	sql('SELECT count(*) FROM theazo_data.data_key') . ' false, 0 true', 'keys of users went to the new master key, the old one can go');
keys_are(2);
$node->restart;
is(shown($said), "tell $canary by heart", 'with the new master key alone it is read as before');
keys_are(3);
$node->restart;
is(shown($said), '[sealed]', 'without the master key it is not');
my $blind = write_event($anna, 'what nobody can seal');
keys_are(2, 3);
$node->restart;
is(shown($blind), '[withheld]', 'an event that could not seal its fields was written without them');
is(shown($said), "tell $canary by heart", 'and the key coming back brings them back');

# ---- erasure: not before its commit, and for good after it -----------------------------------------------------
my $before = hashed($said);
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN');
$open->query_safe("SELECT FROM theazo.user_erase('anna-$canary', '$p->{key}')");
kill 'KILL', $open->query_safe('SELECT pg_backend_pid()');
eval { $open->quit };
$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
is(shown($said), "tell $canary by heart", 'an erasure that was not committed has erased nothing');
sql("SELECT FROM theazo.user_erase('anna-$canary', '$p->{key}')");
kill 'KILL', split /\n/, sql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type <> 'client backend'");
$node->stop('immediate', fail_ok => 1);
$node->start;
is(shown($said), '[erased]', 'a committed one is there after the server was killed');
is(shown($other), 'of somebody else', 'others are as they were');
is(hashed($said), $before, 'the event itself is the same to the bit');
verifies('after the erasure');
my $again = write_event($anna, 'after it');
is(shown($again), 'after it', 'what comes later is under a new key');
is(sql("SELECT count(*) FROM theazo_data.event e WHERE e.action = 'user_erased' AND position('canary'::bytea in e.body) = 0"), 1, 'the erasure is an event without the name');

# ---- a copy reads the same, and what is erased stays so ----------------------------------------------------------
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'dumped');
sql('CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-1', '--exit-on-error', '-d', $node->connstr('copy'), "$dir/dump" ], 'restored');
for ([ $said, '[erased]' ], [ $again, 'after it' ])
{
	is($node->safe_psql('copy', "BEGIN; SELECT FROM theazo.authenticate('$p->{key}'); SELECT summary ->> 'task' FROM theazo.events WHERE id = '$_->[0]'; COMMIT;") =~ s/^\n//r,
		$_->[1], "in the copy: $_->[1]");
}
$node->stop;
done_testing();
