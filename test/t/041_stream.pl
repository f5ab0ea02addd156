# Answers as they come: what readers of a run are told while its model talks, and afterwards from rows. A reader may
# come late, fall behind or come back, and gets each piece once; what may not be shown is not shown in pieces either.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $secret = 'sk-test-4711-abcdefgh-0815';
our $out;
my $pid = open($out, '-|', 'python3', "$FindBin::RealBin/../mock/model_server.py", '--key', $secret)
  or die "cannot start the scripted server: $!";
my $port = <$out>;
chomp $port;
END
{
	my $status = $?;
	kill 'TERM', $pid if $pid;
	$? = $status;
}

sub rules
{
	my @rules = @_;
	my $answer = HTTP::Tiny->new->post("http://127.0.0.1:$port/_control", { content => encode_json({ rules => \@rules }) });
	die "the scripted server refused: $answer->{content}" if !$answer->{success};
	return;
}

sub counts
{
	return decode_json(HTTP::Tiny->new->get("http://127.0.0.1:$port/_control")->{content});
}

# Lets go an answer that waits at a place of its rule, once it has come there.
sub held
{
	for (1 .. 1200)
	{
		return if counts()->{holding} > 0;
		sleep 0.1;
	}
	die "no answer is held";
}

sub release
{
	held();
	HTTP::Tiny->new->post("http://127.0.0.1:$port/_control", { content => '{"release": true}' });
	return;
}

my $node = new_server('stream', qq(
theazo.dispatchers = 1
theazo.stream_buffer = 256kB
restart_after_crash = on
));
my $p = new_platform($node, 'talkers');
$node->safe_psql('postgres', qq(
SELECT theazo.secret_set('model.key', '$secret', api_key => '$p->{key}');
SELECT theazo.provider_set('double', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'model.key',
	api_key => '$p->{key}');
UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}';
));
my $agent = new_agent($p, '{"model": "acme/talker"}');

sub begin
{
	my ($more) = @_;
	return $node->safe_psql('postgres',
		"SELECT id FROM theazo.run_start('$agent', 'Tell me.', api_key => '$p->{key}'" . (defined $more ? ", $more" : '') . ')');
}

# One call: list of {seq, type, data, at}.
sub look
{
	my ($run, $after, $timeout) = @_;
	$timeout //= '25 s';
	my $rows = $node->safe_psql('postgres',
		"SELECT jsonb_build_object('seq', seq, 'type', type, 'data', data)"
		  . " FROM theazo.run_follow('$run', $after, '$timeout', api_key => '$p->{key}')");
	my $at = time();
	return map { { %{ decode_json($_) }, at => $at } } split /\n/, $rows;
}

# All events from there to the end.
sub follow
{
	my ($run, $after, $seconds) = @_;
	my $until = time() + ($seconds // 120);
	my @all;
	$after //= 0;
	while (time() < $until)
	{
		foreach my $e (look($run, $after))
		{
			die "seq $e->{seq} behind $after" if $e->{seq} <= $after;
			$after = $e->{seq};
			push @all, $e;
			return @all if $e->{type} eq 'done' || $e->{type} eq 'error';
		}
	}
	die "the run did not end";
}

# What a client shows at the end: text after the last result or restart.
sub shown
{
	my $text = '';
	foreach my $e (@_)
	{
		$text = '' if $e->{type} eq 'tool_result' || ($e->{type} eq 'gap' && $e->{data}{reason} eq 'restart');
		$text .= $e->{data}{text} if $e->{type} eq 'text';
	}
	return $text;
}

sub types
{
	my @types = map { $_->{type} } @_;
	my $line = join ' ', @types;
	$line =~ s/\btext( text)+/text/g;
	return $line;
}

# --- live, in pieces, masked -------------------------------------------------------
# The second answer stops in the middle until a reader has been told its beginning.
rules({ turn => 0, gap_ms => 20, answer =>
	{ text => 'First a look.', tools => [{ name => 'report_progress', arguments => { message => 'half', percentage => 50 } }] } },
	{ turn => 1, gap_ms => 20, hold => [4], answer => { text => "Gr\x{fc}\x{df}e, the key $secret is none of your business. " . 'And on it goes. ' x 4, piece => 7 } });
my $run = begin();
my @children;
my $dir = PostgreSQL::Test::Utils::tempdir();
foreach my $n (1 .. 3)
{
	my $child = fork() // die "cannot fork: $!";
	if ($child == 0)
	{
		my $text = eval { encode_json([follow($run)]) } // "[]";
		append_to_file("$dir/$n", $text);
		kill 'KILL', $$;
	}
	push @children, $child;
}
my @events;
for (1 .. 20)
{
	last if grep { $_->{type} =~ /^(done|error)$/ || ($_->{type} eq 'text' && $_->{data}{step} > 2) } @events;
	push @events, look($run, @events ? $events[-1]{seq} : 0);
}
is($node->safe_psql('postgres', "SELECT status FROM theazo_data.run WHERE id = '$run'"), 'running', 'the first words are told long before the end');
release();
push @events, follow($run, $events[-1]{seq});
waitpid $_, 0 foreach @children;
my $output = $node->safe_psql('postgres', "SELECT output FROM theazo.run_result('$run', api_key => '$p->{key}')");
utf8::decode($output);
my @texts = grep { $_->{type} eq 'text' } @events;
is(types(@events), 'text tool_call progress tool_result text done', 'events of a run in their order');
cmp_ok(scalar @texts, '>', 3, 'the text came in many pieces');
is(shown(@events), $output, 'joined they are the output');
is($events[-1]{data}{output}, $output, 'and the last event has it too');
like($output, qr/the key \*\*\* is none/, 'the secret is masked');
is(index(encode_json(\@events), substr($secret, 0, 12)), -1, 'and not a part of it came through in pieces');
foreach my $n (1 .. 3)
{
	is(shown(@{ decode_json(slurp_file("$dir/$n")) }), $output, "reader $n beside it was told the same");
}

# --- afterwards, from rows; from any place --------------------------------------------
is(types(follow($run)), types(@events), 'told again from rows: the same events');
is(shown(follow($run)), $output, '... and the same text');
my $broken = 0;
foreach my $i (0 .. $#events - 1)
{
	$broken++ if shown(@events[0 .. $i], follow($run, $events[$i]{seq})) ne $output;
}
is($broken, 0, 'whoever comes back goes on exactly where it was');
is(scalar(look($run, $events[-1]{seq}, '5 s')), 0, 'behind the end there is nothing, at once');

# --- a reader that is too slow ---------------------------------------------------------
my $long = join '', map { sprintf 'line %05d of a long answer. ', $_ } 1 .. 3000;
rules({ hold => [400], answer => { text => $long, piece => 200 } });
$run = begin();
wait_sql($node, "SELECT (theazo_internal.stream_read('$run', 1, 0, 0)).first > 0", 't', 'the beginning is overwritten');
my @late = look($run, 0);
release();
is(types(@late), 'gap', 'who comes when the beginning is gone is told so');
is($late[0]{data}{reason}, 'behind', '... with the reason');
push @late, follow($run, $late[-1]{seq});
is(types(@late), 'gap text done', '... once, and gets the text when it is finished');
is(shown(@late), $long, '... all of it');

rules({ hold => [ 10, 400 ], answer => { text => $long, piece => 200 } });
$run = begin();
my @slow = look($run, 0);
release();
wait_sql($node, "SELECT (theazo_internal.stream_read('$run', 1, 0, 0)).first > 0", 't', 'the beginning is overwritten');
push @slow, look($run, $slow[-1]{seq});
release();
push @slow, follow($run, $slow[-1]{seq});
is(types(@slow), 'text gap text done', 'who falls behind is told so');
is(shown(@slow), $long, '... and still gets each piece once');

# --- an attempt that breaks off ----------------------------------------------------------
rules(
	{ gap_ms => 80, answer => { text => 'The second one works, as it should: to the end.' } },
	{ hold => [4], times => 1, cut_after => 5, answer => { text => 'The first one breaks off in the middle of everything.' } });
$run = begin();
@events = look($run, 0);
release();
push @events, follow($run, $events[-1]{seq});
is(types(@events), 'text gap text done', 'the next attempt begins anew, and readers are told') or diag(encode_json(\@events));
is((grep { $_->{type} eq 'gap' } @events)[0]{data}{reason}, 'restart', '... why');
is(shown(@events), 'The second one works, as it should: to the end.', '... and get the whole of it');
@events = grep { $_->{type} eq 'text' } @events;
is(shown(follow($run, $events[0]{seq})), 'The second one works, as it should: to the end.', 'also whoever slept over it');

# --- cutting a talker off -------------------------------------------------------------------
rules({ gap_ms => 50, endless => 'text', answer => { text => 'On and on and on and on and on.' } });
$run = begin();
my @first = look($run, 0);
$node->safe_psql('postgres', "SELECT theazo.run_cancel('$run', api_key => '$p->{key}')");
@events = follow($run, $first[-1]{seq});
is($events[-1]{type}, 'error', 'a cancelled run ends for its readers');
is($events[-1]{data}{code}, 'cancelled', '... with that code');
wait_sql($node, "SELECT state FROM theazo_data.step WHERE root_id = substr('$run', 5)", 'cancelled', 'the call is cut between two pieces');
is($node->safe_psql('postgres', "SELECT estimated AND output_tokens > 0 FROM theazo_data.step WHERE root_id = substr('$run', 5)"),
	't', '... and what it had said is counted, as an estimate');
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE state IN ('claimed', 'sent')", 0, 'nothing is in flight');

$run = begin("timeout => '2 s'");
@events = follow($run);
is($events[-1]{type}, 'error', 'a stream that never ends ends with its time');
is($node->safe_psql('postgres', "SELECT error_sqlstate FROM theazo_data.run WHERE id = '$run'"), 'TZ403', '... and says so');

# Longer than anybody waits here: the run does not end because the server does.
rules({ hold_ms => 600000, answer => { text => 'Done, but I stay on the line.' } });
$run = begin();
is(shown(follow($run)), 'Done, but I stay on the line.', 'a server that does not hang up does not hold the run');

# --- work beside many talkers --------------------------------------------------------------------
rules({ gap_ms => 300, endless => 'text', answer => { text => 'On and on and on and on and on.' } });
my $session = $node->safe_psql('postgres', "SELECT id FROM theazo.session_create('many', api_key => '$p->{key}')");
$node->safe_psql('postgres', qq(
SELECT count(x.id) FROM generate_series(1, 100) i, LATERAL (SELECT id FROM theazo.session_run('$session', 'talker', 'Talk ' || i,
	'{"model": "acme/talker"}', timeout => '5 min', api_key => '$p->{key}')) x));
my $talking = "SELECT count(*) FROM theazo_data.effect WHERE kind = 'model.call' AND state = 'sent'";
wait_sql($node, $talking, 100, 'a hundred talk at once', 120);
$node->safe_psql('postgres', qq(
SELECT theazo_internal.effect_enqueue_many('$p->{id}', 'probe.noop', 'noop', array_fill(NULL::jsonb, ARRAY[1000]));
SELECT count(CASE WHEN theazo_internal.gate('http.get', '$p->{id}', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NULL THEN theazo_internal.effect_enqueue('$p->{id}', NULL, 'http.get', 'http', '{"url": "http://127.0.0.1:$port/_control", "method": "GET"}') END)
  FROM generate_series(1, 100)));
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE kind IN ('probe.noop', 'http.get') AND state = 'done'", 1100,
	'what is queued beside them is claimed, carried and settled', 120);
is($node->safe_psql('postgres', $talking), 100, '... while all of them go on');
# Two places left: less than what is worth a claim at once, so each pair of calls waits a moment, but not for ever.
$node->append_conf('postgresql.conf', "theazo.http_max_calls = 102\n");
$node->reload;
$node->safe_psql('postgres', qq(
SELECT count(CASE WHEN theazo_internal.gate('http.get', '$p->{id}', NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NULL THEN theazo_internal.effect_enqueue('$p->{id}', NULL, 'http.get', 'http', '{"url": "http://127.0.0.1:$port/_control", "method": "GET"}') END)
  FROM generate_series(1, 40)));
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE kind = 'http.get' AND state = 'done'", 140, 'two places are enough for the rest', 120);
is($node->safe_psql('postgres', $talking), 100, '... while all of them go on');
$node->append_conf('postgresql.conf', "theazo.http_max_calls = 1000\n");
$node->reload;
$node->safe_psql('postgres', "SELECT count(theazo.run_cancel(id, api_key => '$p->{key}')) FROM theazo_data.run WHERE session_id = '$session'");
wait_sql($node, "SELECT count(*) FROM theazo_data.effect WHERE state IN ('claimed', 'sent')", 0, 'all of them are cut', 120);

# --- bounded -----------------------------------------------------------------------------------
$node->append_conf('postgresql.conf', "theazo.http_max_body = 64kB\n");
$node->reload;
foreach my $kind ('text', 'ping')
{
	rules({ endless => $kind, answer => { text => 'Words without end, amen, and then some more.' } });
	$run = begin("timeout => '600 s'");
	@events = follow($run);
	is($events[-1]{type}, 'error', "an endless stream of $kind is cut");
	like($events[-1]{data}{message}, qr/(stream is longer|answer is larger) than 65536 bytes/, '... at the ceiling of answers');
}
$node->append_conf('postgresql.conf', "theazo.http_max_body = 40MB\n");
$node->reload;

# --- rules of waiting ---------------------------------------------------------------------------
rules({ hold => [3], answer => { text => 'Slowly, slowly, slowly.' } });
$run = begin();
held();
my ($ret, $stdout, $stderr) = $node->psql('postgres',
	"BEGIN; CREATE TABLE t (a int); SELECT * FROM theazo.run_follow('$run', 4400000000000, api_key => '$p->{key}')");
like($stderr, qr/cannot wait for run .* in a transaction that has written something/, 'not in a transaction that has written');
($ret, $stdout, $stderr) = $node->psql('postgres',
	"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM theazo.run_follow('$run', 4400000000000, api_key => '$p->{key}')");
like($stderr, qr/above READ COMMITTED/, 'not with a snapshot that stands still');
is(scalar(look($run, 4400000000000, '300 ms')), 0, 'nothing new, for as long as asked');
($ret, $stdout, $stderr) = $node->psql('postgres', "SELECT * FROM theazo.run_follow('$run', -1, api_key => '$p->{key}')");
like($stderr, qr/after/, 'a place below zero is refused');
my $other = new_platform($node, 'others');
($ret, $stdout, $stderr) = $node->psql('postgres', "SELECT * FROM theazo.run_follow('$run', api_key => '$other->{key}')");
like($stderr, qr/run .* does not exist|not found/, 'the run of another platform cannot be followed');
release();
follow($run);

# --- everything in memory may be lost ------------------------------------------------------------
rules({ hold => [6], answer => { text => 'This will be interrupted, and nobody will know where it was going to end, will they?' } });
$run = begin();
@first = look($run, 0);
my $dispatcher = $node->safe_psql('postgres', "SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher'");
kill 'KILL', $dispatcher;
$node->poll_query_until('postgres', "SELECT status NOT IN ('queued', 'running') FROM theazo_data.run WHERE id = '$run'")
  or fail('the run ends');
@events = follow($run, $first[-1]{seq});
is($events[-1]{type}, 'error', 'after a crash the reader goes on with what rows say');

$node->stop;
done_testing();
