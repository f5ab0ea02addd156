# What TAP files about the one path share: a server with the extension, a platform in it, runs, the webhook double.
package TheazoPath;

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

our @EXPORT = qw(new_server new_platform new_agent start_run wait_run run_code wait_sql new_double quote);

my @doubles;

sub quote
{
	my ($text) = @_;
	return 'NULL' if !defined $text;
	$text =~ s/'/''/g;
	return "'$text'";
}

# A running server with the extension and all of its workers.
sub new_server
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', slurp_file($ENV{THEAZO_CONF})) if $ENV{THEAZO_CONF};
	if (!$ENV{THEAZO_CONF})
	{
		my $keyfile = $node->basedir . '/master.key';
		append_to_file($keyfile, ('0123456789abcdef' x 4) . "\n");
		chmod 0600, $keyfile;
		$node->append_conf('postgresql.conf', qq(
shared_preload_libraries = 'theazo'
max_worker_processes = 20
theazo.master_key_file = '$keyfile'
theazo.egress_allow_http = on
theazo.egress_allow_private = on
));
	}
	$node->append_conf('postgresql.conf', $conf // '');
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION theazo CASCADE');
	$node->poll_query_until('postgres',
		"SELECT count(*) = current_setting('theazo.dispatchers')::int FROM theazo_internal.worker_status()"
		  . " WHERE kind = 'dispatcher' AND state = 'running'")
	  or die "dispatchers do not run";
	return $node;
}

# A platform with a key and a session.
sub new_platform
{
	my ($node, $name) = @_;
	my $p = { node => $node };
	$p->{id} = $node->safe_psql('postgres', "SELECT id FROM theazo.platform_create('$name')");
	$p->{key} = $node->safe_psql('postgres', "SELECT key FROM theazo.api_key_create('test', platform => '$p->{id}')");
	$p->{session} = $node->safe_psql('postgres', "SELECT id FROM theazo.session_create('user', api_key => '$p->{key}')");
	return $p;
}

# An agent that is ready (or failed, when that is what is waited for).
sub new_agent
{
	my ($p, $options, $status) = @_;
	my $agent = $p->{node}->safe_psql('postgres',
		"SELECT id FROM theazo.agent_create('$p->{session}', " . quote($options // '{}') . ", api_key => '$p->{key}')");
	$status //= 'ready';
	wait_sql($p->{node}, "SELECT status FROM theazo_data.agent WHERE id = '$agent'", $status, "agent becomes $status");
	return $agent;
}

# Polls until the query answers that; a test of its own only when it does not.
sub wait_sql
{
	my ($node, $sql, $want, $what, $seconds) = @_;
	my $until = time() + ($seconds // 60);
	my $got;
	do
	{
		$got = $node->safe_psql('postgres', $sql);
		return 1 if $got eq $want;
		sleep 0.05;
	} while (time() < $until);
	fail("$what: got \"$got\", wanted \"$want\"");
	return 0;
}

# Id of a run that was queued. call: everything behind the agent, "'bash', 'true'".
sub start_run
{
	my ($p, $function, $agent, $call) = @_;
	return $p->{node}->safe_psql('postgres',
		"SELECT id FROM theazo.$function('$agent', $call, api_key => '$p->{key}')");
}

# The ended run with its results, as a hash.
sub wait_run
{
	my ($p, $run, $seconds) = @_;
	wait_sql($p->{node},
		"SELECT status IN ('completed', 'failed', 'cancelled') FROM theazo_data.run WHERE id = '$run'", 't',
		"run $run ends", $seconds);
	return decode_json($p->{node}->safe_psql('postgres',
		"SELECT to_jsonb(r) || jsonb_build_object('text', convert_from(r.content, 'UTF8'))"
		  . " FROM theazo.run_result('$run', api_key => '$p->{key}') r"));
}

sub run_code
{
	my ($p, $agent, $language, $code, $more) = @_;
	return wait_run($p, start_run($p, 'exec_start', $agent,
			"'$language', " . quote($code) . (defined $more ? ", $more" : '')));
}

# The webhook double: port, dir, control(rule), journal().
sub new_double
{
	my @args = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $pid = open(my $out, '-|', 'python3', "$FindBin::RealBin/../mock/webhook.py", '--dir', $dir, @args)
	  or die "cannot start the webhook double: $!";
	my $port = <$out>;
	chomp $port;
	my $self = bless { pid => $pid, out => $out, dir => $dir, port => $port, http => HTTP::Tiny->new(timeout => 30) },
	  'TheazoPath::Double';
	push @doubles, $self;
	return $self;
}

END
{
	my $status = $?;
	kill 'TERM', $_->{pid} foreach @doubles;
	$? = $status;
}

package TheazoPath::Double;

sub control
{
	my ($self, $what) = @_;
	my $answer = $self->{http}->post("http://127.0.0.1:$self->{port}/_control", { content => JSON::PP::encode_json($what) });
	die "the double refused: $answer->{content}" if !$answer->{success};
	return;
}

# Requests that arrived, oldest first.
sub requests
{
	my ($self, $op) = @_;
	my @found;
	open(my $fh, '<', "$self->{dir}/journal.jsonl") or return ();
	while (my $line = <$fh>)
	{
		my $entry = eval { JSON::PP::decode_json($line) } or next;
		push @found, $entry
		  if ($entry->{event} // '') eq 'request' && (!defined $op || $entry->{op} eq $op);
	}
	return @found;
}

1;
