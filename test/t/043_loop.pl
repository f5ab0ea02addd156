# The agent loop, driven by real dispatchers against a scripted model server that refuses any history which differs by a byte
# from what it has answered. Every answer a provider should not give, every way to end a run, and a crash between any two steps.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use lib "$FindBin::RealBin";
use TheazoPath;

our $out;
my $model = open($out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py") or die "cannot start the model server: $!";
my $port = <$out>;
chomp $port;
END { my $status = $?; kill 'TERM', $model if $model; $? = $status; }
my $http = HTTP::Tiny->new(timeout => 30);

sub control
{
	my ($what) = @_;
	my $answer = $http->post("http://127.0.0.1:$port/_control", { content => encode_json($what) });
	die "the model server refused: $answer->{content}" if !$answer->{success};
	return;
}

sub told
{
	return decode_json($http->get("http://127.0.0.1:$port/_control")->{content});
}

sub counts
{
	return told()->{counts};
}

# Until the server has so many calls to answer.
sub wait_told
{
	my ($what, $many) = @_;
	for (1 .. 1200)
	{
		return if told()->{$what} >= $many;
		sleep 0.05;
	}
	fail("the model server has $many $what");
	return;
}

my $node = new_server('loop', "theazo.dispatchers = 2\nrestart_after_crash = on\n");
my $p = new_platform($node, 'Loop');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql("SELECT theazo.secret_set('model.key', 'sk-test', api_key => '$p->{key}')");

# The three protocols at the same double, each in a session of its own whose models are there. Addresses that are a session's
# own have no circuit breaker: what fails here fails on purpose.
my (%own, %session);
foreach ([ chat => 'openai-compatible', '/v1', 'chatty/one' ], [ messages => 'anthropic', '', 'claude-one' ], [ responses => 'openai-compatible', '/v1', 'gpt-one' ])
{
	my ($api, $type, $path, $name) = @$_;
	my $models = encode_json({ provider => $type, endpoint => "http://127.0.0.1:$port$path", credentialRef => 'model.key', ($api eq 'responses' ? (config => { api => 'responses' }) : ()) });
	$session{$api} = sql("SELECT id FROM theazo.session_create('user', models => '$models', api_key => '$p->{key}')");
	$own{$api} = $name;
}
$p->{session} = $session{chat};

my $n = 0;
# A one-shot run in a conversation of its own under one rule. Returns run id and the conversation's name.
sub begin
{
	my ($api, $rule, %with) = @_;
	my $name = 'c' . ++$n;
	control({ rule => { conversation => $name, %$rule } }) if $rule;
	my %options = (model => $own{$api}, %{ $with{options} // {} });
	my $more = join '', map { ", $_ => $with{$_}" } grep { $_ ne 'options' } keys %with;
	my $run = sql("SELECT id FROM theazo.session_run('$session{$api}', 'tester', " . quote("[conv:$name] Do it.") . ', '
		  . quote(encode_json(\%options)) . "$more, api_key => '$p->{key}')");
	return ($run, $name);
}

sub result
{
	my ($run) = @_;
	return wait_run($p, $run, 180);
}

sub steps
{
	my ($run) = @_;
	return sql("SELECT string_agg(concat_ws(' ', kind, state, CASE WHEN kind = 'tool' THEN name END), ', ' ORDER BY seq) FROM theazo.run_steps('$run', '$p->{key}')");
}

sub whole
{
	my ($what) = @_;
	is(sql('SELECT string_agg(c::text, chr(10)) FROM theazo.integrity_check() c'), '', $what);
}

my $progress = sub { return { name => 'report_progress', arguments => { message => "step $_[0]" } } };
my $five = [ (map { { text => "Working on $_. ", tools => [ $progress->($_) ] } } 1 .. 5), { text => 'All five steps are done.' } ];

# ---- each protocol, five rounds, bytes split everywhere
foreach my $api (qw(chat messages responses))
{
	my ($run) = begin($api, { turns => $five, split => 7 });
	my $r = result($run);
	is($r->{status}, 'completed', "$api: five tool rounds") or diag explain $r;
	is($r->{output}, 'All five steps are done.', "$api: the last text is the output");
	is($r->{usage}{model_calls}, 6, "$api: six model calls");
	is(scalar @{ $r->{tool_calls} }, 5, "$api: five tool calls");
	is(sql("SELECT count(*) FROM theazo_data.charge WHERE run_id = '$run' AND item = 'model.call' AND NOT estimated"), '6', "$api: each call is booked");
}
is(counts()->{history_refused} // 0, 0, 'every history was what the server had said, byte for byte');

# ---- tools in the sandbox, in parallel
{
	my ($run) = begin('messages', { turns => [
		# each waits for the others
		{ tools => [ map { { name => 'run_code', arguments => { language => 'sh', code => "echo $_ > f$_; until [ -s f1 ] && [ -s f2 ] && [ -s f3 ]; do sleep 0.05; done; echo done $_" } } } 1 .. 3 ] },
		{ tools => [ { name => 'read_file', arguments => { path => 'f2' } }, { name => 'write_file', arguments => { path => 'out.txt', content => 'x' } },
			{ name => 'list_files', arguments => {} } ] },
		{ text => 'Made three files.' } ] });
	my $r = result($run);
	is($r->{status}, 'completed', 'tools in a sandbox that is made when it is needed') or diag explain $r;
	like($r->{tool_calls}[1]{output}, qr/done 2/, 'output of a program');
	is($r->{tool_calls}[3]{output}, "2\n", 'a file that it wrote');
	is_deeply($r->{artifacts}, ['out.txt'], 'files are named');
	is(sql("SELECT a.status FROM theazo_data.agent a JOIN theazo_data.run r ON r.agent_id = a.id WHERE r.id = '$run'"), 'completed', 'the agent went with its run');
	my $over = sql("SELECT max(started_at) < min(ended_at) FROM theazo_data.step WHERE root_id = substr('$run', 5) AND name = 'run_code'");
	is($over, 't', 'calls of one answer run at the same time');
}

# ---- the procedure, structured output, an agent that remembers
{
	control({ rule => { conversation => 'proc', turns => [ { text => '{"n": "four"}' }, { text => '{"n": 4}' }, { text => 'It was four.' } ] } });
	my $agent = new_agent($p, encode_json({ model => $own{chat}, tools => [] }));
	my $answer = sql("CALL theazo.run('$agent', '[conv:proc] Two and two?', response_schema => '{\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"integer\"}}, \"required\": [\"n\"]}', api_key => '$p->{key}')");
	like($answer, qr/\{"n": 4\}/, 'CALL theazo.run waits; an answer that does not fit its schema is asked for again');
	$answer = sql("CALL theazo.run('$agent', 'What was it?', api_key => '$p->{key}')");
	like($answer, qr/It was four\./, 'the agent remembers its earlier run');
	is(counts()->{history_refused} // 0, 0, '... byte for byte');
	my ($rc, $stdout, $stderr) = $node->psql('postgres', "BEGIN; CALL theazo.run('$agent', 'x', api_key => '$p->{key}')");
	like($stderr, qr/cannot wait for a run inside a transaction/, 'not in a transaction');
}

# ---- bad answers: name, rule, status, SQLSTATE or output, and whether the outcome is unknown
my @bad = (
	[ 'cut in the middle of an event', { answer => { text => 'x' x 400 }, cut_bytes => 301 }, 'failed' ],
	[ 'cut after some events', { answer => { text => 'y' x 400 }, cut_after => 4 }, 'failed' ],
	[ 'cut by a reset', { answer => { text => 'z' x 400 }, cut_after => 4, close => 'reset' }, 'failed' ],
	[ 'cut in the middle of a character', { answer => { text => "\x{20ac}" x 200, piece => 50 }, cut_bytes => 500, split => 3 }, 'failed' ],
	[ 'cut inside of tool arguments', { answer => { tools => [ $progress->('x' x 300) ] }, cut_after => 3 }, 'failed' ],
	[ 'an error after half a text', { answer => { text => 'half' x 100 }, error_after => 4 }, 'failed' ],
	[ 'no event stream at all', { status => 200, body => '<html>', content_type => 'text/html' }, 'failed' ],
	[ 'HTML with 502', { fault => 'html' }, 'failed' ],
	[ '200 with an error in it', { fault => 'error200' }, 'failed' ],
	[ 'a redirect', { fault => 'redirect', location => "http://127.0.0.1:$port/v1/elsewhere" }, 'failed' ],
	[ 'the key is wrong', { fault => 'key' }, 'failed' ],
	[ 'quota used up', { fault => 'quota' }, 'failed' ],
	[ 'spend limit', { fault => 'spend' }, 'failed' ],
	[ 'no such model', { fault => 'model' }, 'failed' ],
	[ 'too long', { fault => 'too_long' }, 'failed' ],
	[ 'refused', { answer => { text => 'I can', stop => 'refusal' } }, 'failed' ],
	[ 'cut at max_tokens in a tool call', { answer => { tools => [ $progress->(1) ], stop => 'max_tokens' } }, 'failed' ],
	[ 'overloaded once', { fault => 'overloaded', times => 1 }, 'completed' ],
	[ 'rate limited with seconds', { fault => 'rate_seconds', times => 1 }, 'completed' ],
	[ 'busy, then well', { fault => 'busy', times => 1 }, 'completed' ],
	[ 'negative and huge usage', { answer => { text => 'ok', usage => { input => -5, output => 99999999999999, cache_read => -1 } } }, 'completed' ],
	[ 'no usage', { answer => { text => 'ok', usage => undef } }, 'completed' ],
	[ 'nothing said', { answer => { text => '' } }, 'completed' ],
	[ 'every byte alone', { answer => { text => "gr\x{fc}\x{df}e \x{1f600}" }, split => 1, bom => JSON::PP::true, eol => 'crlf', comments => 1 }, 'completed' ],
);
foreach my $case (@bad)
{
	my ($name, $rule, $status) = @$case;
	foreach my $api (qw(chat messages responses))
	{
		my ($run) = begin($api, $rule);
		push @{ $case->[3] }, [ $api, $run ];
	}
}
foreach my $case (@bad)
{
	my ($name, $rule, $status, $runs) = @$case;
	foreach (@$runs)
	{
		my ($api, $run) = @$_;
		my $r = result($run);
		is($r->{status}, $status, "$api: $name") or diag explain $r;
		if ($status eq 'failed')
		{
			like($r->{error_sqlstate} // '', qr/^TZ/, "$api: $name: says why: $r->{error_message}");
			unlike(steps($run), qr/tool done/, "$api: $name: no tool was run");
		}
	}
}
is(sql("SELECT count(*) FROM theazo_data.charge WHERE item = 'model.call' AND (input_tokens < 0 OR output_tokens < 0 OR output_tokens > 1000000000)"), '0',
	'no nonsense in the ledger');
whole('all of that left nothing behind');

# ---- what a model may call
{
	my ($run) = begin('chat', { turns => [
		{ tools => [ { name => 'report_progress', arguments => '{"message": ' }, { name => 'report_progress', arguments => 'nonsense' },
			{ name => 'no_such_tool', arguments => {} }, { name => 'report_progress', arguments => [] }, { name => 'report_progress', arguments => {} } ] },
		{ text => 'I see.' } ] });
	my $r = result($run);
	is($r->{status}, 'completed', 'arguments that are no JSON, an unknown tool') or diag explain $r;
	my @errors = grep { $_->{output} =~ /^error: / } @{ $r->{tool_calls} };
	is(scalar @errors, 5, 'each is an error for the model');
	is(counts()->{history_refused} // 0, 0, 'and the history stays what it was');

	($run) = begin('messages', { answer => { tools => [ { name => 'no_such_tool', arguments => { a => 1 } } ] } });
	$r = result($run);
	is($r->{status}, 'failed', 'the same failing call');
	like($r->{error_message}, qr/"no_such_tool" three times in vain/, 'is stopped at the third, with the reason');
	is(sql("SELECT model_calls FROM theazo_data.run_loop WHERE root_id = substr('$run', 5)"), '3', 'after three calls');

	($run) = begin('responses', { answer => { tools => [ $progress->('x') ], text => 'again ' } }, max_steps => 4);
	$r = result($run);
	is("$r->{status} $r->{output} $r->{usage}{model_calls}", 'completed again  4', 'a model that never stops is stopped');
}

# ---- endless streams, a million deltas
{
	my ($run) = begin('chat', { answer => { text => 'on and on' }, endless => 'text', gap_ms => 1 }, timeout => quote('10 s'));
	my ($silent) = begin('messages', { answer => { text => 'x' }, endless => 'ping', gap_ms => 50 }, timeout => quote('10 s'));
	my ($hang) = begin('responses', { fault => 'hang' }, timeout => quote('10 s'));
	my ($slow) = begin('chat', { answer => { text => 'slow', piece => 1 }, gap_ms => 300 });
	foreach ([ 'a stream that never ends', $run ], [ 'keep-alives only', $silent ], [ 'no answer at all', $hang ])
	{
		my $r = result($_->[1]);
		is("$r->{status} $r->{error_sqlstate}", 'failed TZ403', "$_->[0]: cut at the run's time limit") or diag explain $r;
		is(sql("SELECT count(*) FROM theazo_data.charge WHERE run_id = '$_->[1]' AND item = 'model.call' AND estimated"), '1', "$_->[0]: booked as an estimate");
	}
	is(result($slow)->{output}, 'slow', 'a slow one beside them is answered');
	($run) = begin('chat', { answer => { text => 'd' x 30000, piece => 1 } });
	($hang) = begin('chat', { answer => { text => 'd' x 1000000, piece => 1 } });
	my $r = result($run);
	is(length($r->{output} // ''), 30000, 'thirty thousand deltas') or diag explain { %$r, output => undef };
	$r = result($hang);
	is($r->{status}, 'failed', 'a million deltas');
	like($r->{error_message}, qr/stream is longer than|answer is larger than/, '... are too many');
}

# ---- cancel: in flight, with tools under way
{
	my ($run) = begin('chat', { answer => { text => 'long', piece => 1 }, hold => [3] });
	wait_sql($node, "SELECT state FROM theazo_data.effect WHERE run_id = '$run' AND kind = 'model.call'", 'sent', 'the call is in flight');
	wait_told('holding', 1);
	sql("SELECT theazo.run_cancel('$run', api_key => '$p->{key}')");
	is(result($run)->{status}, 'cancelled', 'a stream is cut in the middle');
	is(told()->{holding}, 1, '... while its server still has something to say');
	control({ release => JSON::PP::true });
	($run) = begin('chat', { answer => { tools => [ { name => 'run_code', arguments => { language => 'sh', code => 'sleep 600' } }, { name => 'run_code', arguments => { language => 'sh', code => 'sleep 601' } } ] } });
	wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE run_id = '$run' AND kind = 'compute.exec' AND state = 'sent'", '2', 'two programs run');
	sql("SELECT theazo.run_cancel('$run', api_key => '$p->{key}')");
	is(result($run)->{status}, 'cancelled', 'parallel tools are cut, long before they end');
	($run) = begin('chat', { answer => { tools => [ { name => 'run_code', arguments => { language => 'sh', code => 'sleep 600' } } ] } }, timeout => quote('4 s'));
	my $r = result($run);
	is("$r->{status} $r->{error_sqlstate}", 'failed TZ403', 'a tool is cut at the run\'s time limit');
}

# ---- pause and resume
{
	control({ rules => [ { conversation => 'nap', turns => $five }, { conversation => 'nap', turns => $five, hold => [0], times => 1 } ] });
	my $agent = new_agent($p, encode_json({ model => $own{chat} }));
	my $run = sql("SELECT id FROM theazo.run_start('$agent', '[conv:nap] Do it.', api_key => '$p->{key}')");
	wait_told('holding', 1);
	sql("SELECT theazo.agent_pause('$agent', '$p->{key}')");
	control({ release => JSON::PP::true });
	wait_sql($node, "SELECT suspended FROM theazo_data.run_loop WHERE root_id = substr('$run', 5)", 't', 'the run stops between two calls');
	whole('a suspended run is whole');
	sql("SELECT theazo.agent_resume('$agent', '$p->{key}')");
	is(result($run)->{output}, 'All five steps are done.', 'and goes on');
	# one commit: rolled back, nothing is left and nothing was called
	my $before = counts()->{requests};
	sql("CREATE TABLE orders (id int); BEGIN; INSERT INTO orders VALUES (1); SELECT theazo.run_start('$agent', 'x', api_key => '$p->{key}'); ROLLBACK");
	is(sql('SELECT count(*) FROM orders') . sql("SELECT count(*) FROM theazo_data.run WHERE agent_id = '$agent'"), '01', 'and leaves nothing');
	sql("BEGIN; INSERT INTO orders VALUES (1); SELECT theazo.run_start('$agent', '[conv:nap2] x', api_key => '$p->{key}'); COMMIT");
	wait_sql($node, "SELECT string_agg(status, ' ') FROM theazo_data.run WHERE agent_id = '$agent'", 'completed completed', 'one that is committed is carried out');
	is(counts()->{requests} - $before, 1, '... and is the only one that called anybody');
}

# ---- crashes between steps: a finished call is never made again
sub pids
{
	my ($kind) = @_;
	return split /\n/, sql("SELECT pid FROM theazo_internal.worker_status() WHERE kind = '$kind' AND pid IS NOT NULL");
}
{
	local $SIG{PIPE} = 'IGNORE';
	my @runs = map { [ begin((qw(chat messages responses))[ $_ % 3 ], { turns => $five, delay_ms => 60 }) ] } 1 .. 9;
	for (1 .. 6)
	{
		# not for anything: kills come at any moment
		sleep 0.25;
		my @pids = eval { pids('dispatcher') };
		kill 'KILL', $pids[ rand @pids ] if @pids;
		# the postmaster restarts everybody
		for (1 .. 1200)
		{
			last if eval { $node->psql('postgres', 'SELECT 1') == 0 };
			sleep 0.1;
		}
	}
	sleep 0.2;
	$node->stop('immediate');
	$node->start;
	my %ended;
	foreach (@runs)
	{
		my $r = result($_->[0]);
		$ended{ $r->{status} }++;
		if ($r->{status} eq 'completed')
		{
			is($r->{output}, 'All five steps are done.', 'after crashes: the whole answer');
		}
		else
		{
			is($r->{error_sqlstate}, 'TZ408', 'after crashes: or it says that nobody knows');
		}
		my $counted = told()->{conversations}{ $_->[1] };
		my $done = sql("SELECT count(*) FROM theazo_data.step WHERE root_id = substr('$_->[0]', 5) AND kind = 'model' AND state = 'done'");
		my $unknown = sql("SELECT count(*) FROM theazo_data.step WHERE root_id = substr('$_->[0]', 5) AND kind = 'model' AND state = 'unknown'");
		cmp_ok($counted->{answered} // 0, '<=', $done + $unknown, 'after crashes: what was answered is in the ledger, or marked');
		is($counted->{repeated} // 0, 0, 'after crashes: no finished call was made again');
	}
	note(join ', ', map { "$_: $ended{$_}" } sort keys %ended);
	is(counts()->{history_refused} // 0, 0, 'after crashes: histories are what they were');
	whole('after crashes: nothing is lost or doubled');
}

$node->stop;
done_testing();
