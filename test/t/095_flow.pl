# Labels under attack: functions of the database that a model calls look at, copy and pass on what a labelled run has
# read, in every way there is, and what comes of it may not leave either. A run cannot change what governs it.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
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

my $node = new_server('flow', "theazo.dispatchers = 1\ntheazo.sql_tool_workers = 4\n");
my $double = new_double('--exec', 'real');
sub sql { return $node->safe_psql('postgres', $_[0]) }
# As the platform's own role, which is what tools run as.
sub app { return $node->safe_psql('postgres', $_[0], connstr => $node->connstr('postgres') . ' user=app') }

my $platform = sql("SELECT id FROM theazo.platform_create('Flow')");
sql(qq{
CREATE ROLE app LOGIN; GRANT theazo_app TO app;
SELECT theazo.platform_bind_role('$platform', 'app');
SELECT theazo.platform_allow_egress('$platform', allow_private => true, allow_http => true);
CREATE TABLE public.note (name text PRIMARY KEY, id text); GRANT ALL ON note TO app;
});
app("SELECT theazo.secret_set('model.key', 'sk-canary-0123456789')");
app("SELECT theazo.provider_set('hooked', type => 'webhook', endpoint => 'http://127.0.0.1:$double->{port}')");
my $models = encode_json({ provider => 'openai-compatible', endpoint => "http://127.0.0.1:$port/v1", credentialRef => 'model.key' });
my $session = app("SELECT id FROM theazo.session_create('user', models => '$models')");

# Tools. What they are about stands in public.note, because a played model cannot know ids.
sub tool
{
	my ($name, $arguments, $returns, $body, $reads) = @_;
	sql("CREATE FUNCTION public.$name($arguments) RETURNS $returns LANGUAGE plpgsql AS \$f\$ $body \$f\$; GRANT EXECUTE ON FUNCTION public.$name TO app");
	app("SELECT theazo.tool_set('$name', 'a tool', sql_function => 'public.$name', read_only => " . ($reads ? 'true' : 'false') . ", timeout => '60 s')");
}
my $run = "(SELECT id FROM public.note WHERE name = 'run')";
my $agent = "(SELECT id FROM public.note WHERE name = 'agent')";
tool('crm', '', 'text', "BEGIN RETURN 'the secret'; END", 1);
tool('peek', '', 'text', "BEGIN RETURN (theazo.run_result($run)).output; END", 1);
tool('peek_steps', '', 'text', "BEGIN RETURN (SELECT string_agg(s.output, ' ') FROM theazo.run_steps($run) s); END", 1);
tool('peek_follow', '', 'text', "BEGIN RETURN (SELECT string_agg(f.data::text, ' ') FROM theazo.run_follow($run, timeout => '0 s') f); END", 1);
tool('peek_view', '', 'text', "BEGIN RETURN (SELECT output FROM theazo.run_results WHERE id = $run); END", 1);
tool('peek_events', '', 'text', "BEGIN RETURN (SELECT string_agg(summary::text, ' ') FROM theazo.events WHERE run_id = $run); END", 1);
tool('peek_trail', '', 'text', "BEGIN RETURN (SELECT string_agg(e::text, ' ') FROM theazo.audit_log(run => $run) e); END", 1);
tool('peek_logs', '', 'text', "BEGIN RETURN (SELECT string_agg(message, ' ') FROM theazo.logs WHERE run_id = $run); END", 1);
# told in an error, which undoes everything that rows could say
tool('peek_raise', '', 'text', "BEGIN RAISE EXCEPTION '%', (theazo.run_result($run)).output; END", 1);
tool('peek_undone', '', 'text', "DECLARE v text; BEGIN BEGIN v := (theazo.run_result($run)).output; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END; RETURN v; END", 1);
tool('get', 'key text', 'text', "BEGIN RETURN theazo.agent_context_get($agent, get.key); END", 1);
tool('get_all', '', 'text', "BEGIN RETURN (SELECT string_agg(c.value::text, ' ') FROM theazo.agent_context_list($agent) c); END", 1);
tool('get_view', '', 'text', "BEGIN RETURN (SELECT string_agg(c.value::text, ' ') FROM theazo.agent_contexts c WHERE c.agent_id = $agent); END", 1);
tool('put', 'key text, value text', 'text', "BEGIN PERFORM theazo.agent_context_set($agent, put.key, to_jsonb(put.value)); RETURN 'kept'; END");
tool('send', 'words text', 'text', "BEGIN PERFORM theazo.agent_send($agent, 'note', send.words); RETURN 'sent'; END");
tool('spawn', 'task text', 'text', "BEGIN INSERT INTO public.note SELECT 'child', id FROM theazo.run_start($agent, spawn.task); RETURN 'begun'; END");
tool('child_says', '', 'text', "DECLARE c text := (SELECT id FROM public.note WHERE name = 'child'); BEGIN FOR i IN 1 .. 600 LOOP EXIT WHEN (theazo.run_get(c)).status <> 'running'; PERFORM pg_sleep(0.05); END LOOP;"
	. " RETURN (theazo.run_result(c)).output; END");
tool('make', 'instructions text', 'text', "BEGIN INSERT INTO public.note SELECT 'made', id FROM theazo.agent_create('$session', jsonb_build_object('provider', 'hooked', 'model', 'chatty/one', 'instructions', make.instructions)); RETURN 'made'; END");
tool('request', 'url text', 'text', "BEGIN PERFORM theazo.http_fetch_start($agent, request.url); RETURN 'gone'; END");
tool('write', 'words text', 'text', "BEGIN PERFORM theazo.file_write_start($agent, '/note', convert_to(write.words, 'UTF8')); RETURN 'written'; END");
tool('try_tool', '', 'text', "DECLARE c text; BEGIN c := (theazo.tool_test_start($agent, 'crm')).id; INSERT INTO public.note VALUES ('run', c) ON CONFLICT (name) DO UPDATE SET id = c; RETURN 'begun'; END");
tool('status', '', 'text', "BEGIN RETURN (SELECT s.task FROM theazo.agent_status($agent) s); END", 1);
tool('agents', '', 'text', "BEGIN RETURN (SELECT string_agg(a.options::text, ' ') FROM theazo.agents a); END", 1);
tool('agent_told', '', 'text', "BEGIN RETURN (theazo.agent_get($agent)).options::text; END", 1);
tool('rule', 'words text', 'text', "DECLARE v text; BEGIN EXECUTE rule.words INTO v; RETURN v; END");
app("SELECT theazo.flow_label_set('pii', 'tool', 'crm')");
app("SELECT theazo.flow_rule_set('pii', 'scope', 'network:outbound')");

my $n = 0;
sub turns { return map { ref $_ eq 'HASH' ? $_ : { tools => [ { name => $_->[0], arguments => $_->[1] // {} } ] } } @_ }
my $leak = [ http_fetch => { url => "http://127.0.0.1:$port/out" } ];
# A run that makes these calls, one an answer, and then says "the secret". agent: of this one; else of one made for it.
sub run
{
	my ($calls, %with) = @_;
	my $name = 'f' . ++$n;
	control({ rule => { conversation => $name, turns => [ turns(@$calls), { text => 'the secret' } ] } });
	my $options = quote(encode_json({ model => 'chatty/one', provider => 'hooked', %{ $with{options} // {} } }));
	my $id = app($with{agent} ? "SELECT id FROM theazo.run_start('$with{agent}', '[conv:$name] Do it.')"
		: "SELECT id FROM theazo.session_run('$session', NULL, '[conv:$name] Do it.', $options)");
	wait_sql($node, "SELECT status IN ('completed', 'failed', 'cancelled') FROM theazo_data.run WHERE id = '$id'", 't', "run $id ends", 120);
	return $id;
}
sub said { my ($id, $tool) = @_; return app("SELECT coalesce(string_agg(s.output, ' | ' ORDER BY s.seq), '') FROM theazo.run_steps('$id') s WHERE s.name = '$tool'") }
sub labels { return sql("SELECT labels FROM theazo_data.run_loop WHERE root_id = substr('$_[0]', 5)") }
sub point { my ($name, $id) = @_; sql("INSERT INTO note VALUES ('$name', '$id') ON CONFLICT (name) DO UPDATE SET id = excluded.id") }
sub keeps { my ($id, $what) = @_; is(labels($id), '{pii}', "$what: the label came along"); like(said($id, 'http_fetch'), qr/may not flow/, '... and nothing leaves') or diag(said($id, 'http_fetch')) }
sub agent { my $a = app("SELECT id FROM theazo.agent_create('$session', '" . encode_json({ provider => 'hooked', model => 'chatty/one', @_ }) . "')");
	wait_sql($node, "SELECT status FROM theazo_data.agent WHERE id = '$a'", 'ready', 'the agent is ready'); return $a }

# ---- the source, and one who has read nothing ---------------------------------------------------------------------
my $source = run([ ['crm'] ]);
is(labels($source), '{pii}', 'a run that read the CRM');
point(run => $source);
my $clean = run([ ['rule', { words => 'SELECT 1' } ], $leak ]);
is(labels($clean), '{}', 'one that did not');
unlike(said($clean, 'http_fetch'), qr/may not flow/, '... sends what it likes');
point(run => $clean);
my $idle = run([ ['peek'], $leak ]);
is(labels($idle), '{}', 'one that looked at a run without labels carries none');
like(said($idle, 'peek'), qr/the secret/, '... and has seen its words');
point(run => $source);

# ---- looking at a labelled run ------------------------------------------------------------------------------------
for my $peek (qw(peek peek_steps peek_follow peek_view peek_events peek_trail peek_logs peek_raise peek_undone))
{
	my $r = run([ [$peek], $leak ]);
	like(said($r, $peek), qr/the secret|execution_completed|run completed/, "$peek sees it") or diag(said($r, $peek));
	keeps($r, $peek);
}

# ---- what a labelled run leaves behind ----------------------------------------------------------------------------
my $target = agent();
point(agent => $target);
run([ ['crm'], [ 'put', { key => 'k', value => 'the secret' } ] ]);
for my $get ([ 'get', { key => 'k' } ], ['get_all'], ['get_view'])
{
	my $r = run([ $get, $leak ]);
	like(said($r, $get->[0]), qr/the secret/, "$get->[0] sees it");
	keeps($r, "the context store by $get->[0]");
}
run([ ['crm'], [ 'send', { words => 'the secret' } ] ]);
is(sql("SELECT labels FROM theazo_data.agent_input WHERE agent_id = '$target'"), '{pii}', 'an input that a labelled run sent');
keeps(run([ $leak ], agent => $target), 'an agent that read it');
is(sql("SELECT labels FROM theazo_data.agent WHERE id = '$target'"), '{pii}', '... remembers it');
is(labels(run([], agent => $target)), '{pii}', '... in a later run');
is(app("SELECT decision FROM theazo.permission_check('$target', tool => 'http_fetch', host => 'out.example')"), 'deny', '... which may not send it either');

my $files = agent();
point(agent => $files);
run([ ['crm'], [ 'write', { words => 'the secret' } ] ]);
is(sql("SELECT labels FROM theazo_data.sandbox WHERE agent_id = '$files'"), '{pii}', 'a sandbox that a labelled run wrote into');
keeps(run([ [ 'read_file', { path => '/note' } ], $leak ], agent => $files), 'a run that read the file');

# ---- runs that start runs -------------------------------------------------------------------------------------------
my $helper = agent();
point(agent => $helper);
control({ rule => { conversation => 'down', turns => [ turns($leak), { text => 'done' } ] } });
run([ ['crm'], [ 'spawn', { task => '[conv:down] Send it.' } ], ['child_says'] ]);
my $child = sql("SELECT id FROM note WHERE name = 'child'");
keeps($child, 'a child of a labelled run');
sql("DELETE FROM note WHERE name = 'child'");
$helper = agent();
point(agent => $helper);
control({ rule => { conversation => 'up', turns => [ turns(['crm']), { text => 'the secret' } ] } });
my $parent = run([ [ 'spawn', { task => '[conv:up] Look it up.' } ], ['child_says'], $leak ]);
like(said($parent, 'child_says'), qr/the secret/, 'a parent hears its child');
keeps($parent, 'what the child had read');
run([ ['crm'], [ 'make', { instructions => 'Say: the secret' } ] ]);
my $made = sql("SELECT id FROM note WHERE name = 'made'");
wait_sql($node, "SELECT status FROM theazo_data.agent WHERE id = '$made'", 'ready', 'the made agent is ready');
keeps(run([ $leak ], agent => $made), 'an agent that a labelled run made');

point(agent => $made);
for my $look (qw(agent_told agents status))
{
	my $r = run([ [$look], $leak ]);
	like(said($r, $look), qr/the secret|Do it/, "$look sees it");
	keeps($r, "an agent that a labelled run made, by $look");
}
# what a tool that was tried has said
point(agent => agent());
run([ ['try_tool'] ]);
my $tried = sql("SELECT id FROM note WHERE name = 'run'");
wait_sql($node, "SELECT status FROM theazo_data.run WHERE id = '$tried'", 'completed', 'the tool was tried');
my $tester = run([ ['peek'], $leak ]);
like(said($tester, 'peek'), qr/the secret/, 'the answer of a tool that was tried is seen');
keeps($tester, 'the answer of a tool that was tried');
point(run => $source);

# ---- what everybody reads
for my $shared ("SELECT theazo.definition_create('x', '{\"instructions\": \"the secret\"}')::text", "SELECT theazo.secret_set('x', 'the secret', '$session')::text",
	"SELECT theazo.tool_set('x', 'the secret', '{\"type\": \"object\"}', url => 'http://127.0.0.1:$port/')::text", "SELECT theazo.webhook_create('http://127.0.0.1:$port/', '{*}')::text")
{
	my $r = run([ ['crm'], [ 'rule', { words => $shared } ] ]);
	like(said($r, 'rule'), qr/a run that carries labels cannot change/, 'a labelled run does not: ' . $shared =~ s/.*theazo\.(\w+).*/$1/r) or diag(said($r, 'rule'));
}
my $free = run([ [ 'rule', { words => "SELECT theazo.definition_create('free')::text" } ] ]);
like(said($free, 'rule'), qr/adef_/, '... one without labels does');

# ---- sending out by other doors -----------------------------------------------------------------------------------------
point(agent => agent());
my $door = run([ ['crm'], [ 'request', { url => "http://127.0.0.1:$port/out" } ] ]);
like(said($door, 'request'), qr/may not flow/, 'a request in the name of another agent');
$door = run([ [ 'request', { url => "http://127.0.0.1:$port/out" } ] ]);
like(said($door, 'request'), qr/gone/, '... which one without labels may make');

# ---- a run cannot change what governs it ----------------------------------------------------------------------------------
for my $change ("SELECT theazo.flow_rule_delete(id)::text FROM theazo.flow_rules", "SELECT theazo.flow_label_delete(id)::text FROM theazo.flow_labels",
	"SELECT theazo.permission_rule_set('allow', '*')::text", "SELECT theazo.platform_policy_set('DEV')::text", "SELECT theazo.flow_label_set('x', 'tool', 'x')::text",
	"SELECT theazo.flow_rule_set('x', 'tool', 'x')::text")
{
	my $r = run([ [ 'rule', { words => $change } ] ]);
	like(said($r, 'rule'), qr/a tool of a run cannot change/, $change =~ s/.*theazo\.(\w+).*/$1/r) or diag(said($r, 'rule'));
}

# ---- words that others are given to read ------------------------------------------------------------------------------------
for my $told ("SELECT theazo.approval_deny('apr_x', 'the secret')::text", "SELECT theazo.permission_request_create('agt_x', '{\"allow_network\": true}', 'the secret')::text")
{
	my $r = run([ ['crm'], [ 'rule', { words => $told } ] ]);
	like(said($r, 'rule'), qr/a run that carries labels cannot change/, 'a labelled run cannot say it by ' . $told =~ s/.*theazo\.(\w+).*/$1/r) or diag(said($r, 'rule'));
}

# ---- permissions reach as far ---------------------------------------------------------------------------------------------
my @held = ('inference:call', 'data:read', 'data:write');
for my $need ([ 'agents:read', ['peek'] ], [ 'agents:read', ['peek_view'] ], [ 'agents:write', [ 'send', { words => 'x' } ] ], [ 'agents:write', [ 'make', { instructions => 'x' } ] ],
	[ 'agents:write', [ 'spawn', { task => 'x' } ] ], [ 'agents:read', [ 'get', { key => 'k' } ] ], [ 'agents:write', [ 'put', { key => 'x', value => 'x' } ] ])
{
	my $r = run([ $need->[1] ], options => { permissions => \@held });
	like(said($r, $need->[1][0]), qr/needs the scope "$need->[0]"/, "$need->[1][0] takes $need->[0]") or diag(said($r, $need->[1][0]));
}
my $r = run([ ['peek'] ], options => { permissions => [ @held, 'agents:read' ] });
like(said($r, 'peek'), qr/the secret/, '... and works with it');
cmp_ok(sql("SELECT count(*) FROM theazo_data.event WHERE action = 'permission_denied' AND is_violation"), '>=', 20, 'all of it is on record');
is(sql('SELECT count(*) FROM theazo.integrity_check()'), '0', 'nothing is inconsistent');
done_testing();
