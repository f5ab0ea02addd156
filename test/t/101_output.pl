# What commands print, while they run: told in pieces and in order, each stream by itself, without secrets also where pieces cut
# them, and joined the same as what is stored. Readers may come late, fall behind or come back.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $node = new_server('output', qq(
theazo.dispatchers = 1
theazo.stream_buffer = 256kB
));
my $p = new_platform($node, 'printers');
my $secret = 'hunter2-hunter2-4711';
my $agent = new_agent($p, '{"provider": "theazo"}');

sub look
{
	my ($run, $after, $timeout) = @_;
	$timeout //= '25 s';
	my $rows = $node->safe_psql('postgres',
		"SELECT jsonb_build_object('seq', seq, 'type', type, 'data', data)"
		  . " FROM theazo.run_follow('$run', $after, '$timeout', api_key => '$p->{key}')");
	return map { decode_json($_) } split /\n/, $rows;
}

# Events until one of that type, or the end.
sub follow
{
	my ($run, $after, $type) = @_;
	my $until = time() + 120;
	my @all;
	while (time() < $until)
	{
		foreach my $e (look($run, $after))
		{
			die "seq $e->{seq} behind $after" if $e->{seq} <= $after;
			$after = $e->{seq};
			push @all, $e;
		}
		return @all if @all && (grep { $_->{type} =~ /^(done|error)$/ || $_->{type} eq ($type // '') } @all);
	}
	die "the run did not end";
}

sub joined
{
	my ($type, @events) = @_;
	return join('', map { $_->{data}{text} } grep { $_->{type} eq $type } @events);
}

sub place { return @_ ? $_[-1]{seq} : 0 }

sub start { return start_run($p, 'exec_start', $agent, "'$_[0]', " . quote($_[1])) }

# --- pieces as they are printed; the command waits for a file that the test writes
my $run = start('bash', 'echo one; while [ ! -e go ]; do sleep 0.05; done; echo two >&2; rm go; while [ ! -e go ]; do sleep 0.05; done; printf three');
my @seen = follow($run, 0, 'stdout');
is(joined('stdout', @seen), "one\n", 'the first line comes while the command runs');
is($node->safe_psql('postgres', "SELECT status FROM theazo_data.run WHERE id = '$run'"), 'running', 'it has not ended');
$node->safe_psql('postgres', "CALL theazo.file_write('$agent', '/go', '', api_key => '$p->{key}')");
push @seen, follow($run, place(@seen), 'stderr');
is(joined('stderr', @seen), "two\n", 'errors are a stream of their own');
$node->safe_psql('postgres', "CALL theazo.file_write('$agent', '/go', '', api_key => '$p->{key}')");
push @seen, follow($run, place(@seen));
is(joined('stdout', @seen), "one\nthree", 'the rest');
is($seen[-1]{type}, 'done', 'and the end');
is($seen[-1]{data}{exitCode}, 0, 'with the exit code');
my $r = wait_run($p, $run);
is($r->{stdout}, joined('stdout', @seen), 'what was told is what is stored');
is($r->{stderr}, joined('stderr', @seen), 'of both streams');
my @late = follow($run, 0);
is(joined('stdout', @late) . '|' . joined('stderr', @late), "one\nthree|two\n", 'who comes late is told all from rows');
is(scalar(look($run, place(@late), '0')), 0, 'behind the end there is nothing');

# --- a reader that comes back with any place goes on there
my $again = (grep { $_->{type} eq 'stdout' } @seen)[0];
is(joined('stdout', follow($run, $again->{seq})), 'three', 'from a place between the pieces');

$node->safe_psql('postgres', "SELECT theazo.secret_set('DOOR', '$secret', session => '$p->{session}', api_key => '$p->{key}')");
# --- bytes that are no text, characters and secrets cut by pieces
$run = start('python', <<'PY');
import os, sys, time
door = os.environ['DOOR'].encode()
out = b'a\xff\xc3\xa9 ' + door + b' \xe2\x82\xac tail \xe2\x82'
for i in range(len(out)):
    while i == 20 and not os.path.exists('half'): time.sleep(0.02)
    os.write(1, out[i:i + 1])
    os.write(2, out[i:i + 1])
    time.sleep(0.002)
PY
@seen = follow($run, 0, 'stdout');
$node->safe_psql('postgres', "CALL theazo.file_write('$agent', '/half', '', api_key => '$p->{key}')");
push @seen, follow($run, place(@seen));
$r = wait_run($p, $run);
my $want = "a\x{fffd}\x{e9} *** \x{20ac} tail \x{fffd}";
is($r->{stdout}, $want, 'stored: repaired and masked');
is(joined('stdout', @seen), $want, 'told: the same');
is(joined('stderr', @seen), $want, 'on both streams');
cmp_ok(scalar(@seen), '>', 3, 'in pieces');
unlike(join('', map { $_->{data}{text} // '' } @seen), qr/hunter2/, 'no piece holds the secret');

# --- a flood: more than memory holds, and more than is kept
$run = start('python', "import sys\nfor i in range(20000): print('line %06d' % i)\n");
@seen = follow($run, 0);
$r = wait_run($p, $run);
is(length($r->{stdout}), 240000, 'all of it is stored');
is(joined('stdout', @seen), $r->{stdout}, 'and told, whatever memory lost');
$run = start('python', "import os\nb = b'x' * 65536\nfor i in range(40): os.write(1, b)\n");
@seen = follow($run, 0);
$r = wait_run($p, $run);
is(length($r->{stdout}), 1048576, 'a stream ends at 1 MiB');
is(length(joined('stdout', @seen)), 1048576, 'told as far');
ok($r->{truncated}, 'and the run says so');

# --- a command that is cancelled, one that fails, one nobody may see
$run = start('bash', 'echo begun; sleep 600');
@seen = follow($run, 0, 'stdout');
is($node->safe_psql('postgres', "SELECT run_id, ended_at IS NULL, stream, line FROM theazo.output_tail('$agent', 1, api_key => '$p->{key}')"),
	"$run|t|stdout|begun", 'what it has printed so far is in the tail');
$node->safe_psql('postgres', "SELECT theazo.run_cancel('$run', api_key => '$p->{key}')");
push @seen, follow($run, place(@seen));
is($seen[-1]{type}, 'error', 'a cancelled command ends in an error');
my $other = new_platform($node, 'others');
my (undef, undef, $stderr) = $node->psql('postgres', "SELECT * FROM theazo.run_follow('$run', api_key => '$other->{key}')");
like($stderr, qr/does not exist|not found/, 'others see nothing');

# --- the tail of a sandbox
run_code($p, $agent, 'bash', 'seq 1 5; echo bad >&2');
is($node->safe_psql('postgres', "SELECT string_agg(stream || ':' || line, ' ') FROM theazo.output_tail('$agent', 3, api_key => '$p->{key}')"),
	'stdout:4 stdout:5 stderr:bad', 'the last lines of its commands');
like($node->safe_psql('postgres', "SELECT count(DISTINCT run_id) FROM theazo.output_tail('$agent', 1000, api_key => '$p->{key}')"), qr/^[1-9]/,
	'of several of them');

# --- commands that a model runs: told while they run, both streams as one text, the answer has it all
our $said;
my $model = open($said, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py") or die "cannot start the model server: $!";
my $port = <$said>;
chomp $port;
END { my $status = $?; kill 'TERM', $model if $model; $? = $status; }
$node->safe_psql('postgres', "SELECT theazo.secret_set('model.key', 'sk-test', api_key => '$p->{key}');"
	  . " SELECT theazo.provider_set('double', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'model.key', api_key => '$p->{key}');"
	  . " UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}'");

# A run of an agent whose model says these turns.
sub begin
{
	my ($who, @turns) = @_;
	my $answer = HTTP::Tiny->new->post("http://127.0.0.1:$port/_control", { content => encode_json({ rules => [ { turns => \@turns } ] }) });
	die "the model server refused: $answer->{content}" if !$answer->{success};
	return $node->safe_psql('postgres', "SELECT id FROM theazo.run_start('$who', 'Do it.', api_key => '$p->{key}')");
}
sub code { return { name => 'run_code', arguments => { language => $_[0], code => $_[1] } } }
sub go { $node->safe_psql('postgres', "CALL theazo.file_write('$agent', '/$_[0]', '', api_key => '$p->{key}')"); return }
sub until_go { return "while [ ! -e $_[0] ]; do sleep 0.05; done; rm $_[0]" }

$agent = new_agent($p, '{"provider": "theazo", "model": "acme/talker"}');
$run = begin($agent, { tools => [
	code('bash', 'echo first; ' . until_go('one') . '; echo "$DOOR is the secret of the door" >&2; ' . until_go('two') . '; echo end of first'),
	code('bash', 'echo second; ' . until_go('three') . '; echo end of second'),
	code('python', "from theazo_sandbox import complete, log\nlog('from a tool')\ncomplete('made', artifacts=['made.csv', 'b.csv'])") ] },
	{ text => 'Done.' });
@seen = follow($run, 0, 'tool_output');
is(join(' ', map { $_->{type} } @seen[0 .. 2]), 'tool_call tool_call tool_call', 'all calls of a round are told first');
is(joined('tool_output', @seen), "first\n", 'a command of a tool call is told of while it runs');
is($seen[-1]{data}{tool} . $seen[-1]{data}{step}, 'run_code' . $seen[0]{data}{step}, 'with its tool and step');
go('one');
push @seen, follow($run, place(@seen), 'tool_output') while joined('tool_output', @seen) !~ /secret/;
like(joined('tool_output', @seen), qr/^first\n\*\*\* is the secret/, 'both streams are one text, and secrets are masked');
push @seen, follow($run, place(@seen), 'tool_result') if !grep { $_->{type} eq 'tool_result' } @seen;
is((grep { $_->{type} eq 'tool_result' } @seen)[0]{data}{output},
	'{"stdout":"","stderr":"","exitCode":0,"output":"made","artifacts":["made.csv","b.csv"]}', 'the shortest has ended: the model is told what it handed over');
go('two');
push @seen, follow($run, place(@seen), 'tool_output') while joined('tool_output', @seen) !~ /second\n$/;
like(joined('tool_output', @seen), qr/^first\n\*\*\* is the secret[^\n]*\n?(end of first\n)?second\n$/, 'when the first has ended the second is told of from its beginning');
go('three');
push @seen, follow($run, place(@seen));
is(scalar(grep { $_->{type} eq 'tool_result' } @seen), 3, 'each answer is told once');
is($seen[-1]{type}, 'done', 'to the end');
is_deeply($seen[-1]{data}{artifacts}, [ 'b.csv', 'made.csv' ], 'what was handed over in a call is the run\'s');
my %result = map { $_->{data}{step} => $_->{data}{output} } grep { $_->{type} eq 'tool_result' } @seen;
my $broken = 0;
foreach my $i (0 .. $#seen - 1)
{
	my @all = (@seen[0 .. $i], follow($run, $seen[$i]{seq}));
	my @ended = map { $_->{data}{step} . $_->{data}{output} } grep { $_->{type} eq 'tool_result' } @all;
	$broken++ if join('|', sort @ended) ne join('|', map { $_ . $result{$_} } sort keys %result) || $all[-1]{type} ne 'done';
}
is($broken, 0, 'whoever comes back with any place is told each answer once');
is(scalar(grep { $_->{type} eq 'tool_output' } follow($run, 0)), 0, 'who comes late is told of answers only');
is($node->safe_psql('postgres', "SELECT count(*) FROM theazo_data.log WHERE run_id = '$run' AND message = 'from a tool'"), '1', 'records of a tool call are logs of its run');

# --- governed: judged first, so nothing is shown before the end
my $governed = new_agent($p, '{"provider": "theazo", "template": "STANDARD"}');
$run = start_run($p, 'exec_start', $governed, "'bash', " . quote('echo quiet; sleep 1; echo done'));
@seen = follow($run, 0, 'stdout');
is(joined('stdout', @seen), "quiet\ndone\n", 'an agent with guardrails is told of as a whole');
is(scalar(grep { $_->{type} eq 'stdout' } @seen), 1, 'in one piece');
$governed = new_agent($p, '{"provider": "theazo", "model": "acme/talker", "template": "STANDARD"}');
@seen = follow(begin($governed, { tools => [ code('bash', 'echo quiet; sleep 0.5; echo done') ] }, { text => 'Done.' }), 0);
is(join(' ', map { $_->{type} } grep { $_->{type} =~ /^tool/ } @seen), 'tool_call tool_result', 'nor is a tool call of it');

$node->stop;
done_testing();
