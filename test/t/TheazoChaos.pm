# What TAP files about chaos share: statements to a server that may be gone, who is killed, and the server started anew.
package TheazoChaos;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(chaos_seed chaos_server try_sql sql wait_for victim_pid kill_server waiting_backend);

my ($node, $patience) = (undef, 60);

# THEAZO_CHAOS_SEED repeats a run.
sub chaos_seed
{
	my ($seed) = @_;
	$seed = $ENV{THEAZO_CHAOS_SEED} || $seed;
	srand($seed);
	return $seed;
}

# The server that statements go to, and how many seconds they are tried.
sub chaos_server
{
	($node, $patience) = @_;
	return;
}

# One statement; undef when the server went away under it.
sub try_sql
{
	my ($sql, $role) = @_;
	my ($out, $err);
	# psql may end before it has read the statement: then there is no return code.
	my $rc = eval { $node->psql('postgres', $sql, stdout => \$out, stderr => \$err, timeout => 60, on_error_die => 0,
			$role ? (extra_params => [ '-U', $role ]) : ()) };
	return $out if defined $rc && $rc == 0;
	$err //= '';
	# Anything but a server that went away is a fault of ours.
	die "$err\nin: $sql" if $err =~ /ERROR:/ && $err !~ /terminat|server closed|recovery|starting up|shutting down|connection/;
	return undef;
}

# The same until it works.
sub sql
{
	my ($sql, $role) = @_;
	my $until = time() + $patience;
	while (time() < $until)
	{
		my $out = try_sql($sql, $role);
		return $out if defined $out;
		sleep 0.1;
	}
	die "the server did not answer within $patience s: $sql";
}

# Does the answer come to be this?
sub wait_for
{
	my ($what, $sql, $want, $seconds) = @_;
	my ($until, $got) = (time() + ($seconds // $patience), '');
	while (time() < $until)
	{
		$got = try_sql($sql) // '';
		return 1 if $got eq $want;
		sleep 0.1;
	}
	diag("$what: got '$got', wanted '$want'");
	return 0;
}

# One of these, if there is one: dispatcher, keeper, ..., backend, postmaster.
sub victim_pid
{
	my ($kind) = @_;
	return $node->{_pid} if $kind eq 'postmaster';
	my $like = $kind eq 'backend' ? 'client backend' : "theazo $kind";
	return try_sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$like' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1");
}

# Once the postmaster is killed: what was left of the old server must be gone before the new one starts.
sub kill_server
{
	my $pid = $node->{_pid};
	kill 'KILL', $pid;
	for (1 .. 600)
	{
		last unless -e $node->data_dir . '/postmaster.pid' && kill(0, $pid);
		sleep 0.1;
	}
	$node->{_pid} = undef;
	for (1 .. 100)
	{
		return if $node->start(fail_ok => 1);
		sleep 0.3;
	}
	die 'the server does not start again';
}

# A backend that is busy with these statements; its handle.
sub waiting_backend
{
	my ($in) = @_;
	my ($out, $err);
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err);
}

1;
