# What a run meets at its edges: numbers written oddly, the words of a provider that refuses, inputs that come at
# the wrong moment, calls with long names. Each of these once ended a run for the wrong reason or lost something.
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

sub counts
{
	return decode_json($http->get("http://127.0.0.1:$port/_control")->{content})->{counts};
}

my $node = new_server('edges', "theazo.dispatchers = 1\n");
my $p = new_platform($node, 'Edges');
sub sql { return $node->safe_psql('postgres', $_[0]) }

sub refused
{
	my ($rc, $stdout, $stderr) = $node->psql('postgres', '\set VERBOSITY verbose' . "\n$_[0]");
	return $stderr;
}
sql("SELECT theazo.secret_set('model.key', 'sk-canary-0123456789', api_key => '$p->{key}')");
my $models = encode_json({ provider => 'openai-compatible', endpoint => "http://127.0.0.1:$port/v1", credentialRef => 'model.key' });
$p->{session} = sql("SELECT id FROM theazo.session_create('user', models => '$models', api_key => '$p->{key}')");
my $key = "api_key => '$p->{key}'";

my $n = 0;
# A one-shot run under one rule. Returns the run.
sub begin
{
	my ($rule, %options) = @_;
	my $name = 'c' . ++$n;
	control({ rule => { conversation => $name, %$rule } });
	return sql("SELECT id FROM theazo.session_run('$p->{session}', 'tester', '[conv:$name] Do it.', "
		  . quote(encode_json({ model => 'chatty/one', %options })) . ", $key)");
}
sub result { return wait_run($p, $_[0]) }

sub started
{
	my ($agent, $task) = @_;
	return sql("SELECT id FROM theazo.run_start('$agent', " . quote($task) . ", $key)");
}

sub heard
{
	my ($run) = @_;
	return sql("SELECT string_agg(m.canonical ->> 'text', '; ' ORDER BY m.seq) FROM theazo_data.message m WHERE m.root_id = substr('$run', 5) AND m.role = 'user'");
}
my $progress = sub { return { name => 'report_progress', arguments => { message => "step $_[0]" } } };

# ---- whole numbers, written with a point
{
	my $r = result(begin({ turns => [
		{ tools => [ { name => 'web_search', arguments => '{"query": "x", "limit": 5.0}' }, { name => 'web_search', arguments => '{"query": "x", "limit": 1e1}' } ] },
		{ text => 'None.' } ] }));
	is($r->{status}, 'completed', 'a whole number with a point in it is one') or diag explain $r;
	like($r->{tool_calls}[$_]{output}, qr/not configured/, '... and the tool is asked') foreach 0, 1;
	my $agent = new_agent($p, '{"tools": []}');
	my $run = sql("SELECT id FROM theazo.tool_test_start('$agent', 'web_search', '{\"query\": \"x\", \"limit\": 5.0}', $key)");
	like(result($run)->{output}, qr/not configured/, '... also when it is tried');
}

# ---- the words of a provider that refuses
{
	my $run = begin({ status => 400, body => { error => { message => 'max_tokens: 8192 is more than 4096; your key is sk-canary-0123456789', type => 'invalid_request_error' } } });
	my $r = result($run);
	is($r->{status}, 'failed', 'a call that is refused');
	like($r->{error_message}, qr/^provider answered 400: max_tokens: 8192 is more than 4096/, '... says why');
	my $log = sql("SELECT string_agg(message || ' ' || coalesce(metadata::text, ''), chr(10)) FROM theazo_data.log WHERE run_id = '$run' AND source = 'model'");
	like($log, qr/chatty\/one failed: provider answered 400.*max_tokens: 8192.*"status": 400/, '... and so does the log');
	like(sql("SELECT error_message FROM theazo.run_steps('$run', '$p->{key}')"), qr/max_tokens: 8192/, '... and the step');
	unlike(sql("SELECT coalesce(string_agg(x, ' '), '') FROM (SELECT r::text AS x FROM theazo_data.run r UNION ALL SELECT l::text FROM theazo_data.log l"
			  . " UNION ALL SELECT s::text FROM theazo_data.step s UNION ALL SELECT e::text FROM theazo_data.effect e) y"), qr/sk-canary/, '... without the key');
}

# ---- what is sent to an agent is read
{
	my $agent = new_agent($p, '{"model": "chatty/one", "tools": []}');
	sql("SELECT theazo.agent_send('$agent', 'note', 'remember the milk', $key)");
	control({ rule => { conversation => 'milk', fault => 'key', times => 1 } });
	my $run = started($agent, '[conv:milk] Go.');
	is(result($run)->{status}, 'failed', 'a run that took an input fails');
	$run = sql("SELECT id FROM theazo.agent_retry('$agent', '$p->{key}')");
	is(result($run)->{status}, 'completed', 'tried again');
	is(heard($run), '[note] remember the milk; [conv:milk] Go.', '... it is given the input again');
	is(sql("SELECT run_id FROM theazo_data.agent_input WHERE agent_id = '$agent'"), $run, '... and has taken it');
}
{
	my $agent = new_agent($p, '{"model": "chatty/one", "tools": ["report_progress"], "longRunning": true}');
	my $taken = sub { return "SELECT count(*) FROM theazo_data.agent_input WHERE agent_id = '$agent' AND content = '$_[0]' AND run_id IS NOT NULL" };
	control({ rule => { conversation => 'long', turns => [ { tools => [ $progress->(1) ] }, { text => 'One.' } ], delay_ms => 500 } });
	my $run = started($agent, '[conv:long] Go.');
	sql("CREATE ROLE sender LOGIN; GRANT theazo_app TO sender");
	$node->safe_psql('postgres', "SELECT theazo.agent_send('$agent', 'note', 'while it works', $key)", connstr => $node->connstr('postgres') . ' user=sender');
	is(result($run)->{status}, 'completed', 'a long-running agent is sent something while it works');
	wait_sql($node, $taken->('while it works'), '1', 'an input that came during a run');
	wait_sql($node, "SELECT status FROM theazo_data.agent WHERE id = '$agent'", 'ready', 'the run that it began');
	isnt(sql("SELECT run_id FROM theazo_data.agent_input WHERE agent_id = '$agent'"), $run, '... begins the next one');
	is(sql("SELECT l.role_name FROM theazo_data.run_loop l JOIN theazo_data.agent_input i ON i.run_id = 'run_' || l.root_id WHERE i.agent_id = '$agent'"), 'sender',
		'... in the name of its sender');
	sql("SELECT theazo.agent_pause('$agent', '$p->{key}')");
	sql("SELECT theazo.agent_send('$agent', 'note', 'while it rests', $key)");
	is(sql($taken->('while it rests')), '0', 'one that is paused reads nothing');
	sql("SELECT theazo.agent_resume('$agent', '$p->{key}')");
	wait_sql($node, $taken->('while it rests'), '1', 'and all of it when it is resumed');
	wait_sql($node, "SELECT status FROM theazo_data.agent WHERE id = '$agent'", 'ready', 'its run ends');
	my $early = sql("SELECT id FROM theazo.agent_create('$p->{session}', '{\"model\": \"chatty/one\", \"tools\": [], \"longRunning\": true}', $key)");
	sql("SELECT theazo.agent_send('$early', 'note', 'before it is there', $key)");
	wait_sql($node, "SELECT count(*) FROM theazo_data.agent_input WHERE agent_id = '$early' AND run_id IS NOT NULL", '1', 'one that boots reads as well');
}

# ---- ids of calls as long as providers make them
{
	my $id = 'call_' . ('x' x 240);
	my $r = result(begin({ turns => [ { tools => [ { name => 'run_code', arguments => { language => 'sh', code => 'echo hi' }, id => $id } ] }, { text => 'Done.' } ] }));
	is($r->{status}, 'completed', 'the id of a call comes back as it was') or diag explain $r;
	is(counts()->{history_refused} // 0, 0, '... and so does the history');
}

# ---- a tool that is another one by now
{
	sql("CREATE FUNCTION public.looks() RETURNS text LANGUAGE sql AS \$\$ SELECT 'looked' \$\$; CREATE FUNCTION public.acts() RETURNS text LANGUAGE sql AS \$\$ SELECT 'acted' \$\$;"
		  . " CREATE ROLE tooler LOGIN; GRANT theazo_app TO tooler; GRANT EXECUTE ON FUNCTION public.looks, public.acts TO tooler;"
		  . " SELECT theazo.platform_bind_role('$p->{id}', 'tooler')");
	my $tooler = sub { return $node->safe_psql('postgres', $_[0], connstr => $node->connstr('postgres') . ' user=tooler') };
	my $set = sub { $tooler->("SELECT name FROM theazo.tool_set('look', '" . ($_[1] // 'Looks.') . "', sql_function => 'public.$_[0]'" . ($_[2] // '') . ')') };
	my @again = map { { tools => [ { name => 'look', arguments => {} } ] } } 1 .. 2;
	foreach my $case ([ 'another function', 'acts' ], [ 'another description', 'looks', 'Looks twice.' ], [ 'one that may write', 'looks', 'Looks.', ', read_only => false' ])
	{
		my ($what, @change) = @$case;
		my $name = 'tool' . ++$n;
		$set->('looks');
		control({ rule => { conversation => $name, turns => [ @again, { text => 'Done.' } ] } });
		control({ rule => { conversation => $name, turn => 1, turns => [ @again, { text => 'Done.' } ], delay_ms => 1500 } });
		my $run = $tooler->("SELECT id FROM theazo.session_run('$p->{session}', 'tester', '[conv:$name] Go.', '{\"model\": \"chatty/one\", \"tools\": [\"look\"]}')");
		wait_sql($node, "SELECT count(*) FROM theazo_data.step WHERE root_id = substr('$run', 5) AND kind = 'tool' AND state = 'done'", '1', 'the first call');
		$set->(@change);
		my $r = result($run);
		is(join(' | ', map { $_->{output} } @{ $r->{tool_calls} }), 'looked | error: this tool was changed while the run was under way', "$what is not called");
	}
}

# ---- what is said of a tool that could not be reached
{
	my $r = result(begin({ turns => [ { tools => [ { name => 'http_fetch', arguments => { url => 'http://169.254.169.254/latest' } } ] }, { text => 'Done.' } ] }));
	like($r->{tool_calls}[0]{output}, qr/^error: address "169\.254\.169\.254" is not allowed/, 'the model is told which address is not allowed');
	control({ rule => { contains => '"tool":"slow"', delay_ms => 20000 } });
	sql("SELECT theazo.tool_set('slow', 'Slow.', '{\"type\": \"object\"}', url => 'http://127.0.0.1:$port/chat/completions', timeout => '1 s', $key)");
	my $agent = new_agent($p, '{"tools": []}');
	$r = result(sql("SELECT id FROM theazo.tool_test_start('$agent', 'slow', '{}', $key)"));
	is("$r->{status} $r->{error_code}", 'failed tool_handler_unreachable', 'a handler that does not answer in time');
	sql("SELECT theazo.tool_delete('slow', $key)");
}

# ---- what stays in events for ever
{
	my $name = 'kept' . ++$n;
	control({ rule => { conversation => $name, turns => [ { tools => [ { name => 'http_fetch', arguments => { url => 'http://127.0.0.1:1/hidden?api_key=hush' } },
		{ name => 'report_progress', arguments => { message => 'Authorization: Bearer canary0123456789abcdef' } } ] }, { text => 'Done.' } ] } });
	my $run = sql("SELECT id FROM theazo.session_run('$p->{session}', 'tester', '[conv:$name] Use sk-live-canary0123456789 for it.', '{\"model\": \"chatty/one\"}', $key)");
	is(result($run)->{status}, 'completed', 'keys in a task and in arguments');
	my $events = sql("SELECT string_agg(e.action || ' ' || convert_from(e.body, 'UTF8') || coalesce(theazo_internal.event_personal(e.platform_id, e.id, e.personal, e.personal_sealed)::text, ''), chr(10)) FROM theazo_data.event e WHERE e.run_id = '$run'");
	like($events, qr/tool_called.*GET 127\.0\.0\.1/, '... of an address an event has the host');
	unlike($events, qr/canary|hush|hidden/, '... and of keys nothing');
}

# ---- too much, too few
{
	my $r = result(begin({ turns => [ { tools => [ map { $progress->($_) } 1 .. 129 ] }, { text => 'Done.' } ] }));
	like("$r->{status}: $r->{error_message}", qr/^failed: the model called too many tools at once/, 'more calls at once than are taken');
	$r = result(begin({ turns => [ { tools => [ map { $progress->($_) } 1 .. 128 ] }, { text => 'Done.' } ] }));
	is("$r->{status} " . @{ $r->{tool_calls} }, 'completed 128', 'and as many as are');
	control({ rule => { conversation => 'few', turns => [ { text => '{"n": 1', tools => [ $progress->(1) ] }, { text => '{"n": 1}' } ] } });
	my $with = "'[conv:few] Go.', '{\"model\": \"chatty/one\"}', response_schema => '{\"type\": \"object\", \"required\": [\"n\"]}', $key";
	$r = result(sql("SELECT id FROM theazo.session_run('$p->{session}', 'tester', $with, max_steps => 1)"));
	is("$r->{status} $r->{error_sqlstate}", 'failed TZ404', 'a run that may not go on until its answer fits has none');
	like($r->{error_message}, qr/does not fit the schema: it is no JSON$/, '... and says why');
	like($r->{error_hint}, qr/give a higher max_steps/, '... and what helps');
}

# ---- somebody's open transaction holds up what it holds, and nothing else; there is one dispatcher here
{
	my $agent = new_agent($p, '{"model": "chatty/one", "tools": ["report_progress"]}');
	control({ rule => { conversation => 'held', turns => [ { tools => [ $progress->(1) ] }, { text => 'At last.' } ], delay_ms => 1000 } });
	my $run = started($agent, '[conv:held] Go.');
	my $idle = $node->background_psql('postgres');
	$idle->query_safe("BEGIN; SELECT theazo.agent_send('$agent', 'note', 'held', $key)");
	sleep 2;
	is(result(begin({ answer => { text => 'Not held up.' } }))->{output}, 'Not held up.', 'a client that idles in a transaction holds up nobody else') for 1 .. 2;
	is(sql("SELECT status FROM theazo_data.run WHERE id = '$run'"), 'running', '... only what it has locked');
	$idle->query_safe('COMMIT');
	$idle->quit;
	is(result($run)->{output}, 'At last.', '... which goes on when it has ended');
}

# ---- what is asked for wrongly
like(refused("SELECT * FROM theazo.run_follow(NULL, timeout => '1 s', $key)"), qr/42704: run null does not exist/, 'no run to follow');
like(refused("SELECT theazo.session_run('$p->{session}', 'tester', 'x', response_schema => '{\"type\": \"nonsense\"}', $key)"),
	qr/22023: response_schema is no JSON schema: "type" of a schema must be object, array/, 'a schema of a type there is none of');

is(sql('SELECT string_agg(c::text, chr(10)) FROM theazo.integrity_check() c'), '', 'all of that left nothing behind');
done_testing();
