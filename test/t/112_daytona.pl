# Daytona against its double (judged by the vendor's client in suite clients): the life of a sandbox,
# commands as jobs, lost and late answers, and where secrets must not be.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoDouble;
use TheazoPath;
use Time::HiRes qw(sleep time);

my $canary = 'dtn_canary-4711-abcdef';
my $env_secret = 'env-canary-2718-mnopqr';

# --- the double ------------------------------------------------------------------
my $double = double_start('daytona.py', '--key', $canary, '--hold-ms', '0', '--move-ms', '60');
my $dir = $double->{dir};
my $base = $double->{url};
sub control { return $double->control(@_); }
sub rule { return $double->rule(@_); }
sub rules_off { return $double->rules_off; }
sub journal { return $double->journal(@_); }
sub boxes { return @{ control({})->{boxes} }; }
sub boxes_of { return (grep { $_->{labels}{'theazo.id'} eq sql("SELECT sandbox_id FROM theazo_data.agent WHERE id = '$_[0]'") } boxes())[0]; }

# --- server ------------------------------------------------------------------------
my $node = new_server('daytona', "theazo.dispatchers = 1\nlog_statement = 'all'\nrestart_after_crash = on\n");
my $db = 'postgres';

sub sql { return $node->safe_psql($db, $_[0]); }
sub refused { return sql_refused($node, qr/\Q$canary\E/, @_); }

my $platform = sql("SELECT id FROM theazo.platform_create('Hooks')");
my $key = sql("SELECT key FROM theazo.api_key_create('test', platform => '$platform')");
my $k = "api_key => '$key'";
sql("SELECT name FROM theazo.secret_set('dtn', '$canary', $k)");
sql("SELECT theazo.platform_allow_egress('$platform', allow_private => true, allow_http => true)");

sub provider
{
	my ($name, $endpoint, $config) = @_;
	$config //= '{"snapshots": {"python": "py-agent"}, "target": "eu"}';
	sql("SELECT name FROM theazo.provider_set('$name', type => 'daytona', endpoint => '$endpoint', credential_ref => 'dtn', config => '$config', $k)");
	return;
}

provider('daytona', "$base/api");
my $session = sql("SELECT id FROM theazo.session_create('user-1', $k)");

sub agent
{
	my ($provider, $of) = @_;
	$provider //= 'daytona';
	$of //= $session;
	return sql("SELECT id FROM theazo.agent_create('$of', '{\"provider\": \"$provider\"}', $k)");
}

sub exec_sql
{
	my ($agent, $code, $more) = @_;
	return "CALL theazo.exec('$agent', 'sh', \$code\$$code\$code\$, $k" . ($more // '') . ')';
}

sub run { return sql(exec_sql(@_)); }
sub end { sql("SELECT theazo.agent_terminate('$_[0]', $k)"); return; }

sub settled
{
	my ($what) = @_;
	return ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"), $what);
}

# --- one life -------------------------------------------------------------------------
my $agent = agent();
like(run($agent, 'echo out; echo err >&2; exit 3'), qr/\|out\n\|err\n\|3\|\d+\|/, 'stdout, stderr, exit code');
my ($create) = map { decode_json($_->{body}) } journal(event => 'request', op => 'create');
my $sandbox = sql("SELECT id FROM theazo_data.sandbox WHERE agent_id = '$agent'");
is($create->{labels}{'theazo.id'}, $sandbox, 'it is labelled with our id');
is($create->{name}, 'theazo-' . lc($sandbox =~ s/_/-/gr), 'and named by it');
is($create->{snapshot}, 'py-agent', 'the snapshot of the runtime');
is($create->{target}, 'eu', 'the region of the configuration');
is($create->{networkBlockAll}, JSON::PP::true, 'no network unless it is opened');
is($create->{ttlMinutes}, 60, 'an hour to live');
is($create->{autoStopInterval}, 0, 'idleness is not its end');
is($create->{cpu}, undef, 'no sizes beside a snapshot');
is(sql("SELECT metadata ->> 'target' FROM theazo_data.sandbox WHERE id = '$sandbox'"), 'eu', 'what it is like is kept');
like(run($agent, 'printf %s "$A"', q{, env => $j${"A": "it's \\"quoted\\" $HOME"}$j$}), qr/\|it's "quoted" \$HOME\|/, 'environment of one call');
like(run($agent, 'printf "a\\377b\\000c"'), qr/\|a\x{fffd}b\x{fffd}c\||\|a\xef\xbf\xbdb\xef\xbf\xbdc\|/, 'bytes that are no text, and no line added');
like(sql("CALL theazo.exec('$agent', 'python', 'print(6 * 7)', $k)"), qr/\|42\n\|/, 'python');
like(run($agent, 'cat; echo after'), qr/\|after\n\|/, 'a command that reads its input does not eat the rest');
sql("CALL theazo.file_write('$agent', '/data/in put.bin', '\\x00ff410d0a2d2d'::bytea, $k)");
like(sql("CALL theazo.file_read('$agent', '/data/in put.bin', $k)"), qr/\|\\x00ff410d0a2d2d$/, 'a file there and back');
like(run($agent, 'od -An -tx1 "data/in put.bin"'), qr/00 ff 41 0d 0a 2d 2d/, 'the command sees the file');
like(sql("CALL theazo.file_list('$agent', '/data', $k)"), qr/"in put\.bin"/, 'list');
like(sql("CALL theazo.file_list('$agent', '/', $k)"), qr/"data"/, 'list of the working directory');
refused("CALL theazo.file_read('$agent', '/nothing', $k)", '58P01', qr/no such file/, 'a file that is not there');
refused("CALL theazo.file_read('$agent', '/data', $k)", 'TZ401', qr/answered 400/, 'a directory');

{
	my $run = sql("SELECT id FROM theazo.exec_start('$agent', 'python', 'import time; print(\"first\", flush=True); time.sleep(1.2)', $k)");
	for (1 .. 60) { last if sql("SELECT status FROM theazo.run_get('$run', $k)") ne 'queued'; sleep 0.1; }
	ok($node->poll_query_until($db, "SELECT status = 'completed' FROM theazo.run_get('$run', $k)"), 'a command that prints early ends');
	cmp_ok(scalar(grep { $_->{op} eq 'toolbox /process/execute' && $_->{body} =~ /first/ || $_->{body} =~ /head -c 65536/ } journal(event => 'request')), '>', 0, 'it was looked at while it ran');
	like(sql("SELECT stdout FROM theazo.run_result('$run', $k)"), qr/^first\s*$/, 'with all it printed, once');
}

# --- long, large, late -----------------------------------------------------------------
refused(exec_sql($agent, 'echo begun; sleep 600', ", timeout => '1 s'"), 'TZ403', qr/longer than 1000 ms/, 'a command beyond its limit');
is(run($agent, 'ps ax | grep -c "[s]leep 600" || true') =~ /\|0\n/ ? 0 : 1, 0, 'it was stopped there');
{
	my $long = run($agent, 'head -c 1500000 /dev/zero | tr "\\0" x');
	cmp_ok(length $long, '>', 1048576, 'a megabyte of output');
	cmp_ok(length $long, '<', 1048576 + 200, 'and no more');
}
like(run($agent, 'sleep 100 & echo parent'), qr/\|parent\n\|/, 'what a command leaves running holds nobody up');

# --- answers that are lost, late or none ---------------------------------------------------
sub once
{
	my ($name, %rule) = @_;
	rule(op => 'toolbox /process/execute', times => 1, %rule);
	my $got = run($agent, 'echo x >>count; echo ' . $name);
	like($got, qr/\|\Q$name\E\n\|/, "exec, $name: the result comes");
	rules_off();
	return;
}
unlink glob("$dir/box-*/count");
once('cut_before', cut => 'before');
once('cut_head', cut => 'head');
once('cut_half', cut => 'half');
once('request_timeout', status => 408, execute => JSON::PP::true);
once('not_carried_out_408', status => 408, execute => JSON::PP::false);
once('dead_upstream', status => 502, empty => JSON::PP::true, execute => JSON::PP::true);
once('dead_upstream_page', status => 502, html => JSON::PP::true);
once('throttled', throttle => 'authenticated', execute => JSON::PP::true);
once('unknown_fields', extra => JSON::PP::true);
once('slow_first_byte', delay_ms => 700);
once("split_$_", split_at => $_ * 37) for 0 .. 12;
like(run($agent, 'wc -l <count'), qr/\|23\n\|/, 'each of them ran once');
rule(op => 'toolbox /process/execute', html => JSON::PP::true, times => 1);
refused(exec_sql($agent, 'true'), 'TZ404', qr/content type/, 'a page with 200');
rule(op => 'toolbox /process/execute', body => { exitCode => -1, result => 'no such file: exec /bin/bash' }, times => 1);
refused(exec_sql($agent, 'true'), 'TZ404', qr/could not be started/, 'no shell there');
rules_off();

# --- a creation is never made twice, and leaves nothing behind --------------------------------
sub created
{
	my ($name, %rule) = @_;
	my $n = scalar boxes();
	rule(op => 'create', times => 1, %rule);
	my $one = agent();
	like(run($one, "echo $name"), qr/\|\Q$name\E\n\|/, "create, $name: it works");
	rules_off();
	is(scalar(boxes()) - $n, 1, "create, $name: one sandbox");
	end($one);
	settled("create, $name: settled");
	is(scalar(boxes()) - $n, 0, "create, $name: and none when it ended");
	return;
}
created('answer_lost', cut => 'before');
created('answer_half', cut => 'half');
created('gateway_page', status => 502, html => JSON::PP::true, execute => JSON::PP::true);
created('not_even_made', status => 503, execute => JSON::PP::false);
created('throttled', throttle => 'sandbox-create', seconds => 1);
created('unread', body => 'no json', execute => JSON::PP::true);
{
	my ($refused, $again) = (journal(event => 'answer', op => 'create', status => 429))[0];
	ok($refused, 'the limit was met');
	($again) = grep { $_->{op} eq 'create' && $_->{event} eq 'request' && $_->{n} > $refused->{n} } journal();
	cmp_ok($again->{t} - $refused->{t}, '>=', 0.9, 'not before the time it was told');
}
sub uncreated
{
	my ($name, $state, $like, %rule) = @_;
	my $n = scalar boxes();
	# nobody rests for what is failed on purpose
	sql('DELETE FROM theazo_data.provider_health');
	# as often as it is tried: its agent begins before the command comes
	rule(op => 'create', %rule) if %rule;
	refused(exec_sql(agent(), 'true'), $state, $like, "create, $name");
	rules_off();
	settled("create, $name: settled");
	for (1 .. 50) { last if scalar(boxes()) == $n; sleep 0.1; }
	is(scalar(boxes()) - $n, 0, "create, $name: nothing is left");
	return;
}
control({ hold_ms => 3000 });
uncreated('failed to start, held', 'TZ401', qr/answered 400/, fail_start => JSON::PP::true);
control({ hold_ms => 0 });
uncreated('failed to start', 'TZ402', qr/failed to start/, fail_start => JSON::PP::true);
uncreated('quota', 'TZ401', qr/answered 400/, quota => JSON::PP::true);
provider('wrong', "$base/elsewhere");
refused(exec_sql(agent('wrong'), 'true'), 'TZ404', qr/content type is not JSON/, 'a dashboard in the place of the API');
provider('mars', "$base/api", '{"target": "mars"}');
refused(exec_sql(agent('mars'), 'true'), 'TZ401', qr/answered 403/, 'a region that is not ours');
provider('nowhere', "$base/api", '{"snapshot": "nowhere"}');
refused(exec_sql(agent('nowhere'), 'true'), 'TZ401', qr/answered 400/, 'a snapshot that is not there');

is(sql("SELECT count(*) > 0 FROM theazo_data.log WHERE metadata ->> 'detail' LIKE '%$_%'"), 't', "the log has the provider's words: $_")
  foreach ('path must be a file', 'no such file: exec', 'No runner could start it', 'Total CPU limit exceeded', 'Region mars', 'Snapshot nowhere not found');

# --- a dispatcher that dies under a command -----------------------------------------------------
{
	my $worker = sql("SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND pid IS NOT NULL");
	my $run = sql("SELECT id FROM theazo.exec_start('$agent', 'sh', 'echo x >>killed; sleep 2; echo survived; wc -l <killed', $k)");
	for (1 .. 200) { last if glob("$dir/box-*/killed"); sleep 0.05; }
	kill 'KILL', $worker;
	for (1 .. 300) { last if $node->psql($db, 'SELECT 1') == 0 && $_ > 10; sleep 0.1; }
	ok($node->poll_query_until($db, "SELECT status IN ('completed', 'failed') FROM theazo.run_get('$run', $k)"), 'the run ends after its dispatcher was killed');
	like(sql("SELECT stdout FROM theazo.run_result('$run', $k)"), qr/^survived\n1$/, 'with its result, and it ran once');
}

# --- a command that is cancelled -------------------------------------------------------------------
{
	my $run = sql("SELECT id FROM theazo.exec_start('$agent', 'sh', 'echo \$\$ >leader; sleep 611 & echo \$! >child; wait', $k)");
	for (1 .. 200) { last if glob("$dir/box-*/child"); sleep 0.05; }
	my @pids = map { slurp_file($_) =~ /(\d+)/ } glob("$dir/box-*/leader"), glob("$dir/box-*/child");
	is(scalar(grep { kill 0, $_ } @pids), 2, 'a command and what it has started run');
	sql("SELECT theazo.run_cancel('$run', $k)");
	settled('the cancelled command is settled');
	for (1 .. 100) { last unless grep { kill 0, $_ } @pids; sleep 0.05; }
	is(scalar(grep { kill 0, $_ } @pids), 0, 'both have ended');
	is(sql("SELECT status FROM theazo.run_get('$run', $k)"), 'cancelled', 'it was cancelled');
}

# --- a snapshot -------------------------------------------------------------------------------------
{
	run($agent, 'echo as it was >state');
	sql("SELECT theazo.checkpoint_create('$agent', $k)");
	settled('a checkpoint is settled');
	my ($handle) = sql("SELECT handle FROM theazo_data.snapshot WHERE agent_id = '$agent' AND status = 'kept'");
	like($handle, qr/^theazo-snap-/, 'the provider keeps it under our name');
	is(scalar(grep { $_ eq $handle } @{ control({})->{snapshots} }), 1, 'and has it');
	my $kept = sql("SELECT size_bytes FROM theazo_data.snapshot WHERE handle = '$handle'");
	is($kept, 268435456, 'with its size');
	my @in = grep { slurp_file($_) =~ /as it was/ } glob("$dir/snapshot-*/state");
	is(scalar(@in), 1, 'its files are in it');
	like(run($agent, 'cat state'), qr/\|as it was\n\|/, 'the sandbox goes on');
}

# --- the provider moves it -----------------------------------------------------------------------
my $external = sql("SELECT external_id FROM theazo_data.sandbox WHERE id = '$sandbox'");
run($agent, 'echo kept >kept');
control({ box => $external, state => 'stopped' });
like(run($agent, 'cat kept'), qr/\|kept\n\|/, 'one that was stopped there is started again');
control({ box => $external, state => 'stopping' });
like(run($agent, 'cat kept'), qr/\|kept\n\|/, 'also from within the move');

# --- pause ----------------------------------------------------------------------------------------
sql("SELECT name FROM theazo.secret_set('service_token', '$env_secret', session => '$session', $k)");
my $with_secret = agent();
like(run($with_secret, 'printf %s "$SERVICE_TOKEN" | cut -c1-10; echo "$SERVICE_TOKEN"'), qr/\|env-canary\n/, 'a secret in the environment of a command');

sub pause_and_resume
{
	my ($one, $what) = @_;
	sql("SELECT theazo.agent_pause('$one', $k)");
	settled("$what: paused");
	my $state = (grep { $_->{labels}{'theazo.id'} eq sql("SELECT id FROM theazo_data.sandbox WHERE agent_id = '$one' AND status = 'paused'") } boxes())[0]{state};
	system('grep', '-rqs', $env_secret, $dir . '/box-' . '*') == 0 and fail("$what: a secret on the disk");
	sql("SELECT theazo.agent_resume('$one', $k)");
	return $state;
}
is(pause_and_resume($with_secret, 'container'), 'stopped', 'a container is stopped');
{
	my @printed = grep { -s $_ && slurp_file($_) =~ /\Q$env_secret\E/ } glob("$dir/box-*.tmp/.theazo/*/*");
	is("@printed", '', 'what commands printed is not kept over a pause');
}
like(run($with_secret, 'echo again'), qr/\|again\n\|/, 'it works after the pause');
control({ kind => 'linux-vm' });
my $plain = sql("SELECT id FROM theazo.session_create('user-2', $k)");
my $vm = agent('daytona', $plain);
my $counts = 'n=0; (while :; do n=$((n+1)); echo $n >c; mv c counter; sleep 0.05; done) >/dev/null 2>&1 & sleep 0.3; cat counter';
like(run($vm, $counts), qr/\|\d+\n\|/, 'a counter in a process of a virtual machine');
is(pause_and_resume($vm, 'virtual machine'), 'paused', 'a virtual machine is paused');
{
	my ($first) = run($vm, 'cat counter') =~ /\|(\d+)\n\|/;
	my ($then) = run($vm, 'sleep 0.5; cat counter') =~ /\|(\d+)\n\|/;
	cmp_ok($then, '>', $first, 'its process goes on counting');
}
{
	my $knowing = agent();
	run($knowing, $counts);
	is(pause_and_resume($knowing, 'virtual machine with secrets'), 'paused', 'one with secrets is paused');
	my ($first) = run($knowing, 'cat counter') =~ /\|(\d+)\n\|/;
	my ($then) = run($knowing, 'sleep 0.5; cat counter') =~ /\|(\d+)\n\|/;
	is($then, $first, 'what was given secrets has ended before');
	end($knowing);
}
is(boxes_of($vm)->{ttlMinutes}, 60, 'its limit counts anew after the pause');
end($vm);
control({ kind => 'container' });

# --- an old daemon ----------------------------------------------------------------------------------
control({ old => JSON::PP::true });
like(run($agent, 'echo old'), qr/\|old\n\|/, 'old daemon: exec');
sql("CALL theazo.file_write('$agent', '/old.bin', '\\x01'::bytea, $k)");
like(sql("CALL theazo.file_read('$agent', '/old.bin', $k)"), qr/\|\\x01$/, 'old daemon: a file there and back');
refused("CALL theazo.file_read('$agent', '/nothing', $k)", '58P01', qr/no such file/, 'old daemon: a file that is not there');
{
	my $run = sql("SELECT id FROM theazo.metrics_start('$agent', $k)");
	ok($node->poll_query_until($db, "SELECT status IN ('completed', 'failed') FROM theazo.run_get('$run', $k)"), 'old daemon: metrics end');
	like(sql("SELECT to_jsonb(r) FROM theazo.run_result('$run', $k) r"), qr/"memory_mb": \d/, 'old daemon: by a command');
}
control({ old => JSON::PP::false });

# --- gone -------------------------------------------------------------------------------------------
control({ box => $external, state => 'destroyed' });
refused(exec_sql($agent, 'true'), 'TZ410', qr/gone/, 'one that was deleted there');
like(run($agent, 'ls'), qr/\|\|/, 'the next command makes a new one');
refused(exec_sql(do { sql("SELECT name FROM theazo.secret_set('dtn', 'dtn_other', $k)"); $agent }, 'true'), 'TZ401', qr/answered 401/, 'a key that is not known any more');
sql("SELECT name FROM theazo.secret_set('dtn', '$canary', $k)");
rule(op => 'delete', status => 500, times => 2);
sql("SELECT theazo.session_terminate('$session', $k)");
settled('everything is settled after the session ended');
for (1 .. 50) { last if scalar(boxes()) == 0; sleep 0.1; }
is(scalar(boxes()), 0, 'no sandbox is left') or diag(encode_json([boxes()]));

# --- where secrets must not be ------------------------------------------------------------------------
foreach my $secret ($canary, $env_secret)
{
	my $name = substr($secret, 0, 8) . '...';
	unlike(slurp_file($node->logfile), qr/\Q$secret\E/, "$name is not in the server log");
	my $dump = $node->basedir . '/dump.sql';
	$node->command_ok([ 'pg_dump', '--file', $dump, $node->connstr($db) ], 'dump');
	unlike(slurp_file($dump), qr/\Q$secret\E/, "$name is not in a dump");
	my @leaks;
	foreach my $e (journal(event => 'request'))
	{
		my %rest = %$e;
		delete $rest{authorization};
		next if $secret eq $env_secret && $e->{op} eq 'toolbox /process/execute';
		push @leaks, $e->{op} if encode_json(\%rest) =~ /\Q$secret\E/;
	}
	is("@leaks", '', "$name is in no request but where it belongs");
}
$node->stop;
done_testing();
