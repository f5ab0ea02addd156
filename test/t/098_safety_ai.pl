# Texts the rules are in doubt about, before a judge that is slow, broken, wrong or says what it likes: nothing in doubt passes
# a boundary without a verdict, and no run is lost while it waits for one.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoPath;
use Time::HiRes qw(sleep);

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

my $http = HTTP::Tiny->new(timeout => 30);

sub control
{
	my ($what) = @_;
	my $answer = $http->post("http://127.0.0.1:$port/_control", { content => encode_json($what) });
	die "the scripted server refused: $answer->{content}" if !$answer->{success};
	return;
}
sub state { return decode_json($http->get("http://127.0.0.1:$port/_control")->{content}) }
sub asked { return state()->{counts}{moderations} // 0 }

sub holding
{
	for (1 .. 1200)
	{
		return 1 if state()->{holding};
		sleep 0.05;
	}
	return 0;
}

# What the model says turn by turn, and what the judge does.
sub rules
{
	my ($judge, @turns) = @_;
	control({ rules => [ { turns => \@turns }, { api => 'moderation', %$judge } ] });
	return;
}

my $node = new_server('judged', "theazo.dispatchers = 2\n");
my $p = new_platform($node, 'careful');
my $key = "api_key => '$p->{key}'";
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(qq(
SELECT theazo.secret_set('model.key', '$secret', $key);
SELECT theazo.provider_set('double', 'model', 'openai-compatible', endpoint => 'http://127.0.0.1:$port/v1', credential_ref => 'model.key', $key);
UPDATE theazo_data.platform SET allow_http = true, allow_private = true WHERE platform_id = '$p->{id}';
CREATE ROLE app LOGIN; GRANT theazo_app TO app; SELECT theazo.platform_bind_role('$p->{id}', 'app');
CREATE FUNCTION public.read_page(name text) RETURNS text LANGUAGE sql AS
	\$\$ SELECT CASE name WHEN 'blue' THEN 'A blue heron stands there.' ELSE 'Opening hours: 9 to 5.' END \$\$;
GRANT EXECUTE ON FUNCTION public.read_page TO app;
SELECT theazo.guardrails_set('{"contentFilter": "moderate", "promptInjection": true, "blockPII": true}', $key);
SELECT theazo.safety_pattern_set('grey', 'grey\\s+heron', 'illicit', 0.3, $key);
SELECT theazo.safety_pattern_set('blue', 'blue\\s+heron', 'prompt_injection', 0.25, $key);
));
my $app = $node->connstr('postgres') . ' user=app';
sub app { return $node->safe_psql('postgres', $_[0], connstr => $app) }
app("SELECT theazo.tool_set('read_page', 'reads a page', sql_function => 'public.read_page')");
my $session = app("SELECT id FROM theazo.session_create('u')");
my $agent;

sub begin
{
	my ($task) = @_;
	$agent = app("SELECT id FROM theazo.agent_create('$session', options => '{\"model\": \"acme/talker\"}')");
	return app("SELECT id FROM theazo.run_start('$agent', " . quote($task // 'Tell me.') . ')');
}

sub ended
{
	my ($run) = @_;
	wait_sql($node, "SELECT status IN ('completed', 'failed', 'cancelled') FROM theazo_data.run WHERE id = '$run'", 't', 'the run ends');
	return decode_json(sql("SELECT jsonb_build_object('status', r.status, 'sqlstate', r.error_sqlstate, 'message', r.error_message,
		'output', p.result ->> 'output', 'verdict', p.verdict) FROM theazo_data.run r
		JOIN theazo_data.run_payload p ON p.platform_id = r.platform_id AND p.root_id = substr(r.id, 5) WHERE r.id = '$run'"));
}

# stage/status/rule/scores of the verdicts with a judge
sub verdicts
{
	return sql("SELECT coalesce(string_agg(concat_ws('/', stage, status, rule, toxicity, judge_toxicity::float, judge_injection::float), ' ' ORDER BY created_at, id), '')
		FROM theazo_data.safety_verdict WHERE run_id = '$_[0]' AND judge IS NOT NULL");
}
sub steps { return sql("SELECT coalesce(string_agg(concat_ws(' ', input, output), ' ' ORDER BY seq), '') FROM theazo_data.step_payload WHERE root_id = substr('$_[0]', 5)") }
sub checked { return is(sql("SELECT coalesce(string_agg(to_jsonb(i)::text, ' '), '') FROM theazo.integrity_check() i"), '', "$_[0]: the checker finds nothing") }

my $grey = 'There is a grey heron at the pond.';

# Nobody is configured: what is in doubt passes, and nobody is asked.
rules({ scores => { hate => 1 } }, { text => $grey });
my $run = begin($grey);
is(ended($run)->{output}, $grey, 'without a judge nothing changes');
is(asked(), 0, 'and nobody is asked');

sql("SELECT theazo.safety_ai_set('moderation', 'mod-1', endpoint => 'http://127.0.0.1:$port/v1/moderations', credential_ref => 'model.key',
	timeout_ms => 20000, $key)");

# What the rules are sure of is not asked about.
rules({ scores => { hate => 1 } }, { text => 'The library opens at nine.' });
$run = begin();
is(ended($run)->{status}, 'completed', 'a text that nothing is found in');
is(asked(), 0, 'is not shown to the judge');

# Each boundary, with a judge that lets pass and one that does not.
for my $case ([ 0.1, 'completed' ], [ 0.4, 'failed' ])
{
	my ($score, $status) = @$case;
	rules({ scores => { hate => $score } }, { text => 'Fine.' });
	my $before = state()->{counts}{requests} // 0;
	$run = begin($grey);
	my $r = ended($run);
	is($r->{status}, $status, "input, judged $score: $status");
	is((state()->{counts}{requests} // 0) - $before, $status eq 'completed' ? 1 : 0, 'and the model is asked after it');
	is(verdicts($run), $score < 0.4 ? "input/passed/0.30/$score" : "input/blocked/judge.toxicity/0.30/$score", 'both scores are in the verdict');
	rules({ scores => { hate => $score } }, { text => "$grey Write to bob\@example.com." });
	$run = begin();
	$r = ended($run);
	is($r->{status}, $status, "output, judged $score: $status");
	is($r->{output} // '', $status eq 'completed' ? "$grey Write to [REDACTED]." : '', 'with its text or without');
	if ($status eq 'completed')
	{
		like(steps($run), qr/grey heron/, 'the step has it, once it passed');
		is(sql("SELECT count(*) FROM theazo_data.effect_payload WHERE root_id = substr('$run', 5) AND request ->> 'input' LIKE '%bob\@%'"), '0',
			'the judge is not told personal data');
	}
	else
	{
		is($r->{sqlstate}, 'TZ205', 'TZ205');
		unlike(steps($run), qr/grey heron/, 'and no step has it');
	}
	rules({ scores => { hate => $score } }, { tools => [ { name => 'read_page', arguments => { name => 'grey heron' } } ] }, { text => 'Done.' });
	$run = begin();
	is(ended($run)->{status}, 'completed', "arguments, judged $score: the run goes on");
	like(steps($run), $score < 0.4 ? qr/"grey heron".*Opening hours/ : qr/\[withheld: .*error: the tool's input is blocked/, 'with the answer, or the reason');
	unlike(steps($run), qr/grey heron/, 'and without the arguments') if $score >= 0.4;
}
checked('moderation');

# Whatever is no verdict blocks.
for my $case (
	[ { status => 500, body => 'x' }, 'a judge that answers 500' ],
	[ { body => '{"results": []}' }, 'one without a result' ],
	[ { body => 'all good' }, 'garbage' ],
	[ { scores => { hate => 7 } }, 'a score there is none of' ],
	[ { fault => 'close' }, 'one that hangs up' ],
	[ { status => 302, body => '{}' }, 'a redirect' ])
{
	rules($case->[0], { text => $grey });
	$run = begin();
	my $r = ended($run);
	is($r->{sqlstate}, 'TZ205', "$case->[1]: blocked");
	like($r->{message}, qr/could not be checked/, 'and said so');
	like(verdicts($run), qr{^output/error/judge_failed}, 'with status error');
}
sql("SELECT theazo.safety_ai_set('moderation', endpoint => 'http://127.0.0.1:$port/v1/moderations', credential_ref => 'model.key', timeout_ms => 300, $key)");
rules({ hold => [0], scores => { hate => 0 } }, { text => $grey });
$run = begin();
like(ended($run)->{message}, qr/could not be checked/, 'one that is too slow: blocked');
control({ release => JSON::PP::true });
checked('failures');

# While the judge is asked: nothing of it is shown, and the run can be cancelled, halted, paused and survives a crash.
sql("SELECT theazo.safety_ai_set('moderation', endpoint => 'http://127.0.0.1:$port/v1/moderations', credential_ref => 'model.key', timeout_ms => 30000, $key)");
my $wait = { hold => [0], scores => { hate => 0 } };
rules($wait, { text => $grey, piece => 5 });
$run = begin();
ok(holding(), 'the judge is asked about an answer');
unlike(sql("SELECT coalesce(string_agg(data::text, ' '), '') FROM theazo.run_follow('$run', 0, '1 s', $key)"), qr/heron/, 'who follows sees nothing of it');
checked('output waits');
control({ release => JSON::PP::true });
is(ended($run)->{output}, $grey, 'then it is delivered');
like(sql("SELECT string_agg(data::text, ' ') FROM theazo.run_follow('$run', 0, '1 s', $key)"), qr/"text".*grey heron/, 'and shown');

for my $stage (qw(input arguments output))
{
	my @turns = $stage eq 'arguments' ? ({ tools => [ { name => 'read_page', arguments => { name => 'grey heron' } } ] }, { text => 'Done.' })
	  : ({ text => $stage eq 'output' ? $grey : 'Fine.' });
	my $task = $stage eq 'input' ? $grey : undef;
	rules($wait, @turns);
	$run = begin($task);
	ok(holding(), "$stage: waits");
	is(sql("SELECT state FROM theazo_data.step WHERE root_id = substr('$run', 5) AND kind = 'tool'"), 'waiting', 'the step waits') if $stage eq 'arguments';
	checked("$stage waits");
	sql("SELECT theazo.run_cancel('$run', $key)");
	is(ended($run)->{status}, 'cancelled', "$stage: cancelled");
	control({ release => JSON::PP::true });
	rules($wait, @turns);
	$run = begin($task);
	holding();
	sql("SELECT theazo.kill('$run', 'enough', $key)");
	is(ended($run)->{sqlstate}, 'TZ203', "$stage: killed");
	control({ release => JSON::PP::true });
	rules($wait, @turns);
	$run = begin($task);
	holding();
	sql("SELECT theazo.agent_pause('$agent', $key)");
	control({ release => JSON::PP::true });
	sleep 0.5;
	sql("SELECT theazo.agent_resume('$agent', $key)");
	is(ended($run)->{status}, 'completed', "$stage: paused and resumed");
	rules($wait, @turns);
	$run = begin($task);
	holding();
	$node->stop('immediate');
	control({ release => JSON::PP::true });
	$node->start;
	my $r = ended($run);
	is($r->{status}, $stage eq 'arguments' ? 'completed' : 'failed', "$stage: after a crash nobody knows the verdict, and it is blocked");
	like(verdicts($run), qr{/error/judge_failed}, 'with status error');
	checked("$stage crashed");
}

# A model as the judge, which the text talks to.
sql("SELECT theazo.safety_ai_set('model', 'acme/judge', provider => 'double', timeout_ms => 20000, $key)");
sub model_judge
{
	my ($said, @turns) = @_;
	control({ rules => [ { turns => \@turns }, { contains => 'You are a content filter', answer => { text => $said } } ] });
	return;
}
sub scores { return encode_json({ toxicity => $_[0], injection => $_[1], reason => '' }) }
my @page = ({ tools => [ { name => 'read_page', arguments => { name => 'blue' } } ] }, { text => 'Done.' });
model_judge(scores(0, 0.1), @page);
$run = begin();
is(ended($run)->{status}, 'completed', 'an answer of a tool');
like(steps($run), qr/blue heron/, 'is told to the model');
is(verdicts($run), 'result/passed/0.00/0/0.1', 'after its verdict');
ok(sql("SELECT count(*) = 3 FROM theazo_data.charge WHERE run_id = '$run' AND item = 'model.call'") eq 't', 'and the question is booked like a call');
for my $said (scores(0, 0.35), 'I would rather not.', '{"toxicity": 0, "injection": 0}', scores(0, 0) . ' That is all.')
{
	model_judge($said, @page);
	$run = begin();
	is(ended($run)->{status}, 'completed', 'a judge that says: ' . substr($said, 0, 40));
	like(steps($run), qr/\[withheld: /, 'has it withheld');
	is(sql("SELECT count(*) FROM theazo_data.charge WHERE run_id = '$run' AND item = 'model.call'"), '3', 'and is paid like any answer');
	is(sql("SELECT count(*) FROM theazo_data.message WHERE root_id = substr('$run', 5) AND wire LIKE '%blue heron%'"), '0', 'from the model, too');
}
checked('model');

# The server dies while the judge reads what a tool has answered.
control({ rules => [ { turns => \@page }, { contains => 'You are a content filter', hold => [0], answer => { text => scores(0, 0) } } ] });
$run = begin();
ok(holding(), 'result: waits');
$node->stop('immediate');
control({ release => JSON::PP::true });
$node->start;
is(ended($run)->{status}, 'completed', 'result: after a crash the run goes on');
like(verdicts($run), qr{result/error/judge_failed}, 'without the verdict');
like(steps($run), qr/\[withheld: /, 'and so without what the tool said');
checked('result crashed');

# The operator's judge holds where a platform has none; the platform learns nothing about it.
sql("SELECT theazo.safety_ai_delete($key)");
sql("SELECT theazo.operator_secret_set('mod.key', '$secret'); SELECT theazo.operator_safety_ai_set('moderation', endpoint => 'http://127.0.0.1:$port/v1/moderations',
	credential_ref => 'mod.key', timeout_ms => 20000)");
rules({ scores => { hate => 0.9 } }, { text => $grey });
$run = begin();
is(ended($run)->{sqlstate}, 'TZ205', 'the judge of the operator');
is(sql("SELECT string_agg(judge, ' ') FROM theazo_data.safety_verdict WHERE run_id = '$run' AND judge IS NOT NULL"), 'theazo', 'is called theazo');
sql('SELECT theazo.operator_safety_ai_delete()');
checked('end');

done_testing();
