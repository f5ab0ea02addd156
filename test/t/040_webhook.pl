# The webhook compute adapter against a double that behaves, and misbehaves, like a
# customer's endpoint: signatures, capabilities learnt, bad answers, limits, egress
# policy, rotation of credentials, and where secrets must never be seen.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TheazoDouble;
use Time::HiRes qw(sleep time);

my $canary = 'tok-canary-4711-abcdef';
my $rotated = 'tok-rotated-0815-ghijkl';
my $signing = 'whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH';
my $env_secret = 'env-canary-2718-mnopqr';

# --- doubles ---------------------------------------------------------------------
my $plain = double_start('webhook.py', '--exec', 'real', '--credential', $canary);
my $tls = double_start('webhook.py', '--exec', 'real', '--tls', '--credential', $canary, '--signing', $signing);

my @others;
END { my $status = $?; kill 'TERM', map { $_->{pid} } @others; $? = $status; }

sub control { my ($double, @wish) = @_; return $double->control(@wish); }
sub rules_off { return $plain->rules_off; }
sub journal { my ($double, @want) = @_; return $double->journal(@want); }
sub asked { my ($double, $op) = @_; return $double->asked($op); }

# --- server -------------------------------------------------------------------------
my $node = PostgreSQL::Test::Cluster->new('webhook');
$node->init;
my $keyfile = $node->basedir . '/master.key';
append_to_file($keyfile, ('0123456789abcdef' x 4) . "\n");
chmod 0600, $keyfile;
$node->append_conf('postgresql.conf', qq(
shared_preload_libraries = 'theazo'
max_worker_processes = 20
theazo.master_key_file = '$keyfile'
theazo.dispatchers = 1
theazo.ca_file = '$tls->{dir}/ca.pem'
theazo.http_max_body = '4MB'
log_statement = 'all'
));
$node->start;
my $db = 'postgres';
$node->safe_psql($db, 'CREATE EXTENSION theazo CASCADE');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql($db, $sql);
}

sub failure { return sql_failure($node, @_); }
sub refused { return sql_refused($node, qr/\Q$canary\E/, @_); }

sub dispatcher
{
	return sql("SELECT pid FROM theazo_internal.worker_status() WHERE kind = 'dispatcher' AND pid IS NOT NULL");
}

my $platform = sql("SELECT id FROM theazo.platform_create('Hooks')");
my $key = sql("SELECT key FROM theazo.api_key_create('test', platform => '$platform')");
my $k = "api_key => '$key'";
sql("SELECT name FROM theazo.secret_set('hook', '$canary', $k)");
sql("SELECT name FROM theazo.secret_set('sign', '$signing', $k)");

sub provider
{
	my ($name, $double, $more) = @_;
	sql("SELECT name FROM theazo.provider_set('$name', type => 'webhook', endpoint => '$double->{url}/compute', "
		  . "credential_ref => 'hook', $more $k)");
}

my $session = sql("SELECT id FROM theazo.session_create('user-1', $k)");

sub agent
{
	my ($provider) = @_;
	return sql("SELECT id FROM theazo.agent_create('$session', '{\"provider\": \"$provider\"}', $k)");
}

sub exec_sql
{
	my ($agent, $code, $more) = @_;
	return "CALL theazo.exec('$agent', 'sh', \$code\$$code\$code\$, $k" . ($more // '') . ')';
}

# --- egress policy ----------------------------------------------------------------
refused("SELECT theazo.provider_set('plain', type => 'webhook', endpoint => '$plain->{url}', credential_ref => 'hook', $k)",
	'TZ405', qr/endpoint/, 'plain http where it is not allowed');
provider('tls', $tls, "signing_ref => 'sign',");
my $shut_out = agent('tls');
refused(exec_sql($shut_out, 'true'), 'TZ405', qr/127\.0\.0\.1/, 'loopback without permission');
is(asked($tls, 'create'), 0, 'nothing was sent there');

sql("SELECT theazo.platform_allow_egress('$platform', allow_private => true, allow_http => true)");
provider('plain', $plain, '');

# --- TLS, a signing secret of its own --------------------------------------------------
my $agent = agent('tls');
like(sql(exec_sql($agent, 'echo over TLS')), qr/\|over TLS\n\|/, 'exec over TLS with an authority of our own');
my ($request) = journal($tls, event => 'request', op => 'exec');
is($request->{verdicts}{$_}, JSON::PP::true, "verified: $_") for qw(bearer signature reserialised standard skew);

# --- the whole contract -------------------------------------------------------------------
$agent = agent('plain');
like(sql(exec_sql($agent, 'echo out; echo err >&2; exit 3')), qr/\|out\n\|err\n\|3\|\d+\|/, 'stdout, stderr, exit code');
like(sql(exec_sql($agent, 'printf %s "$A"', q{, env => $j${"A": "it's \\"quoted\\" $HOME"}$j$})),
	qr/\|it's "quoted" \$HOME\|/, 'environment of one call');
like(sql("CALL theazo.exec('$agent', 'python', 'print(6 * 7)', $k)"), qr/\|42\n\|/, 'python');
sql("CALL theazo.file_write('$agent', '/data/in put.bin', '\\x00ff41'::bytea, $k)");
like(sql("CALL theazo.file_read('$agent', '/data/in put.bin', $k)"), qr/\|\\x00ff41$/, 'a file there and back');
like(sql(exec_sql($agent, 'od -An -tx1 "data/in put.bin"')), qr/00 ff 41/, 'the command sees the file');
like(sql("CALL theazo.file_list('$agent', '/data', $k)"), qr/"in put\.bin"/, 'list');
refused("CALL theazo.file_read('$agent', '/nothing', $k)", '58P01', qr/no such file/, 'a file that is not there');
my @requests = journal($plain, event => 'request');
is(scalar(grep { my $v = $_->{verdicts}; grep { defined $v->{$_} && !$v->{$_} } keys %$v } @requests), 0,
	'every request is signed as the contract wants it');
is(scalar(grep { ($_->{effect} // '') !~ /^eff_/ } @requests), 0, 'and carries the id of its effect');
my ($create) = journal($plain, event => 'request', op => 'create');
like($create->{body}, qr/^\{"runtime":"python","timeout":\d+,"envVars":\{"THEAZO_/, 'the body of create');

# --- an environment secret goes into the sandbox and nowhere else ---------------------------
sql("SELECT name FROM theazo.secret_set('service_token', '$env_secret', session => '$session', $k)");
my $with_secret = agent('plain');
like(sql(exec_sql($with_secret, 'printf %s "$SERVICE_TOKEN" | cut -c1-10')), qr/\|env-canary\n\|/, 'upper-cased secret in the environment');
my @seen = grep { encode_json($_) =~ /\Q$env_secret\E/ } journal($plain, event => 'request');
is(scalar(grep { $_->{op} !~ /^(create|exec)$/ } @seen), 0, 'only create and exec carry it');
ok(@seen > 0, 'and one of them does');

# --- capabilities ----------------------------------------------------------------------------
control($plain, { rule => { op => 'pause', mode => 'unsupported' } });
my $before = asked($plain, 'pause');

sub pause_and_resume
{
	my ($what) = @_;
	sql("SELECT theazo.agent_pause('$agent', $k)");
	ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"
			. " AND kind LIKE 'compute.%' AND agent_id = '$agent'"), "$what: settled");
	is(sql("SELECT status FROM theazo.agent_get('$agent', $k)"), 'paused', "$what: the agent is paused all the same");
	refused(exec_sql($agent, 'true'), 'TZ103', qr/paused/, "$what: it takes no work");
	sql("SELECT theazo.agent_resume('$agent', $k)");
	like(sql(exec_sql($agent, 'cat "data/in put.bin" | wc -c')), qr/\|\s*3\n\|/, "$what: the sandbox is the same after resume");
}

pause_and_resume('pause answered 501');
is(asked($plain, 'pause') - $before, 1, 'it was asked once');
is(sql("SELECT capabilities ->> 'pause' FROM theazo.provider_get('plain', $k)"), 'false', 'the provider entry says so');
pause_and_resume('the second time');
$node->restart;
pause_and_resume('after a restart');
is(asked($plain, 'pause') - $before, 1, 'it was never asked again');
rules_off();
provider('plain', $plain, '');
pause_and_resume('after the entry was replaced');
is(asked($plain, 'pause') - $before, 2, 'it is asked again');

control($plain, { rule => { op => 'list', mode => 'unsupported' } });
$before = asked($plain, 'list');
refused("CALL theazo.file_list('$agent', '/', $k)", 'TZ406', qr/support/, 'list answered 501');
refused("CALL theazo.file_list('$agent', '/', $k)", 'TZ406', qr/support/, 'list, known to be missing');
is(asked($plain, 'list') - $before, 1, 'list was asked once');
rules_off();
provider('plain', $plain, '');
like(sql("CALL theazo.file_list('$agent', '/', $k)"), qr/"data"/, 'list works after the entry was replaced');

# --- bad answers ---------------------------------------------------------------------------------
my $worker = dispatcher();
my @bad = (
	[ 'garbage', {}, 'TZ404', qr/understood/ ],
	[ 'empty', {}, 'TZ404', qr/understood: empty/ ],
	[ 'html', {}, 'TZ404', qr/content type/ ],
	[ 'content_type', {}, 'TZ404', qr/content type/ ],
	[ 'error200', {}, 'TZ404', qr/error inside/ ],
	[ 'half', {}, 'TZ404', qr/broke off|stated length|ended/ ],
	[ 'close_after_headers', {}, 'TZ404', qr/broke off|stated length|ended/ ],
	[ 'big', {}, undef, qr/larger than/ ],
	[ 'close', {}, 'TZ408', qr/unknown/ ],
	[ 'answer', { body => { stdout => 'x', stderr => '' } }, 'TZ404', qr/exitCode/ ],
	[ 'answer', { body => { stdout => 1, stderr => '', exitCode => 0 } }, 'TZ404', qr/stdout/ ],
	[ 'answer', { body => [] }, 'TZ404', qr/understood/ ],
	[ 'raw', { body => '{"stdout":"' . ('[' x 200) }, 'TZ404', qr/invalid JSON/ ],
	[ 'status', { status => 500 }, 'TZ402', qr/answered 500/ ],
	[ 'status', { status => 403 }, 'TZ401', qr/answered 403/ ],
	[ 'status', { status => 404 }, undef, qr/answered 404/ ],
	[ 'echo', { status => 500 }, 'TZ402', qr/answered 500/ ],
	[ 'redirect', { location => 'http://169.254.169.254/' }, 'TZ401', qr/answered 307/ ],
);
foreach my $case (@bad)
{
	my ($mode, $rule, $state, $like) = @$case;
	my $name = "exec, $mode" . ($rule->{status} ? " $rule->{status}" : '');
	my $n = asked($plain, 'exec');
	my $one = agent('plain');
	control($plain, { rule => { op => 'exec', mode => $mode, times => 1, %$rule } });
	my $f = failure(exec_sql($one, 'echo hello'));
	$state //= $f->{state} =~ /^(TZ|54)/ ? $f->{state} : 'TZ...';
	is($f->{state}, $state, "$name: SQLSTATE") or diag($f->{all});
	like($f->{message} . $f->{all}, $like, "$name: message");
	isnt($f->{hint}, '', "$name: a hint") or diag($f->{all});
	unlike($f->{all}, qr/\Q$canary\E/, "$name: no credential shown");
	is(asked($plain, 'exec') - $n, 1, "$name: sent once");
	rules_off();
}
{
	# the same for what makes the sandbox
	control($plain, { rule => { op => 'create', mode => 'answer', execute => JSON::PP::false, body => { metadata => {} } } });
	refused(exec_sql(agent('plain'), 'true'), 'TZ404', qr/sandboxId/, 'create without an id');
	rules_off();
	# a file, and the one repetition of a GET
	my $reads = asked($plain, 'read');
	control($plain, { rule => { op => 'read', mode => 'close', times => 1 } });
	like(sql("CALL theazo.file_read('$agent', '/data/in put.bin', $k)"), qr/00ff41$/, 'a read is repeated after a connection failure');
	is(asked($plain, 'read') - $reads, 2, 'once');
	control($plain, { rule => { op => 'read', mode => 'answer', body => { content => '***' } } });
	refused("CALL theazo.file_read('$agent', '/data/in put.bin', $k)", 'TZ404', qr/base64/, 'a file that is no base64');
	rules_off();
}
{
	# told to come back: not carried out, so it goes again, with the same id
	my $n = asked($plain, 'exec');
	control($plain, { rule => { op => 'exec', mode => 'status', status => 429, retry_after => 1, times => 1 } });
	like(sql(exec_sql($agent, 'echo again')), qr/\|again\n\|/, '429 with Retry-After is repeated');
	my @both = (journal($plain, event => 'request', op => 'exec'))[ $n .. $n + 1 ];
	is($both[0]{effect}, $both[1]{effect}, 'with the same idempotency key');
	cmp_ok($both[1]{t} - $both[0]{t}, '>=', 0.9, 'not before the time it was told');
}
control($plain, { rule => { op => 'exec', mode => 'slow', ms => 5, times => 1 } });
like(sql(exec_sql($agent, 'echo slowly')), qr/\|slowly\n\|/, 'an answer byte by byte');
is(dispatcher(), $worker, 'the dispatcher lives on through all of it');

# --- limits ------------------------------------------------------------------------------------------
{
	# the other end is asked for longer than we would wait here
	refused(exec_sql($agent, 'sleep 600', ", timeout => '1 s'"), 'TZ403', qr/longer than 1000 ms/, 'a command beyond its limit');
	my $last = (journal($plain, event => 'request', op => 'exec'))[-1];
	is(scalar(grep { !$_->{lost} } journal($plain, event => 'answer', n => $last->{n})), 1, 'it was stopped at the other end, which has answered');
	my $late = agent('plain');
	sql(exec_sql($late, 'true'));
	control($plain, { rule => { op => 'exec', mode => 'delay', ms => 600000, times => 1 } });
	my $f = failure(exec_sql($late, 'true', ", timeout => '1 s'"));
	like($f->{state}, qr/^TZ40[38]$/, 'we do not wait for ever for an answer') or diag($f->{all});
	rules_off();
}

# --- nobody there, and cut off ----------------------------------------------------------------------
{
	my $gone = double_start('webhook.py');
	kill 'KILL', $gone->{pid};
	provider('gone', $gone, '');
	refused(exec_sql(agent('gone'), 'true'), 'TZ402', qr/refused|reachable/, 'nobody listens');

	my $cut = agent('plain');
	sql(exec_sql($cut, 'true'));
	my $n = asked($plain, 'exec');
	control($plain, { rule => { op => 'exec', mode => 'delay', ms => 600000, times => 1 } });
	my $run = sql("SELECT id FROM theazo.exec_start('$cut', 'sh', 'sleep 20', $k)");
	for (1 .. 600) { last if asked($plain, 'exec') > $n; sleep 0.1; }
	sql("SELECT theazo.run_cancel('$run', $k)");
	ok($node->poll_query_until($db, "SELECT status IN ('cancelled', 'failed') FROM theazo.run_get('$run', $k)"), 'a cancelled run ends without waiting for the answer');
	is(sql("SELECT status FROM theazo.run_get('$run', $k)"), 'cancelled', 'as cancelled');
	rules_off();
}

# --- the endpoint in the documentation --------------------------------------------------------------
{
	my ($code) = slurp_file("$FindBin::Bin/../../docs/webhook.md") =~ /```python\n(.*?)```/s;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$dir/endpoint.py", $code);
	local $ENV{COMPUTE_TOKEN} = $canary;
	local $ENV{TMPDIR} = $dir;
	my $pid = open(my $out, '-|', 'python3', "$dir/endpoint.py", '0') or die $!;
	my $port = <$out>;
	chomp $port;
	# kept open: closing it would wait for the end of the program
	push @others, { pid => $pid, out => $out };
	sql("SELECT name FROM theazo.provider_set('doc', type => 'webhook', endpoint => 'http://127.0.0.1:$port', credential_ref => 'hook', $k)");
	my $one = agent('doc');
	like(sql(exec_sql($one, 'echo documented | tee out.txt')), qr/\|documented\n\|/, 'the documented endpoint runs a command');
	like(sql("CALL theazo.file_read('$one', '/out.txt', $k)"), qr/646f63756d656e7465640a$/, 'and gives a file back');
	refused("CALL theazo.file_list('$one', '/', $k)", 'TZ406', qr/support/, 'and does not offer to list');
	sql("SELECT theazo.agent_terminate('$one', $k)");
}

# --- rotation ----------------------------------------------------------------------------------------
control($plain, { credential => $rotated });
refused(exec_sql($agent, 'true'), 'TZ401', qr/answered 401/, 'a credential the provider does not know any more');
sql("SELECT name FROM theazo.secret_set('hook', '$rotated', $k)");
like(sql(exec_sql($agent, 'echo rotated')), qr/\|rotated\n\|/, 'the next call uses the new credential');
control($plain, { credential => $canary });
sql("SELECT name FROM theazo.secret_set('hook', '$canary', $k)");
like(sql(exec_sql($agent, 'echo back')), qr/\|back\n\|/, 'and back');

# --- the end of it ---------------------------------------------------------------------------------
sql("SELECT theazo.session_terminate('$session', $k)");
ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM theazo_data.effect WHERE state IN ('queued', 'claimed', 'sent')"),
	'everything is settled after the session ended');
is(scalar(@{ control($plain, {})->{sandboxes} }), 0, 'no sandbox is held any more')
  or diag(encode_json(control($plain, {})));

# --- what is sent once -------------------------------------------------------------------------------
{
	my %times;
	$times{ $_->{effect} }++
	  foreach grep { $_->{op} =~ /^(create|exec|pause|resume|write)$/ } journal($plain, event => 'request'), journal($tls, event => 'request');
	is(scalar(grep { $_ > 1 } values %times), 1, 'no call that changes something went twice, but the one that was told to come back');
}

# --- where secrets must not be -----------------------------------------------------------------------
foreach my $secret ($canary, $rotated, $signing, $env_secret)
{
	my $name = substr($secret, 0, 8) . '...';
	unlike(slurp_file($node->logfile), qr/\Q$secret\E/, "$name is not in the server log");
	my $dump = $node->basedir . '/dump.sql';
	$node->command_ok([ 'pg_dump', '--file', $dump, $node->connstr($db) ], 'dump');
	unlike(slurp_file($dump), qr/\Q$secret\E/, "$name is not in a dump");
	my @leaks;
	foreach my $e (journal($plain), journal($tls))
	{
		my %rest = %$e;
		delete $rest{authorization};
		next if $secret eq $env_secret && ($e->{op} // '') =~ /^(create|exec)$/;
		push @leaks, $e->{op} if encode_json(\%rest) =~ /\Q$secret\E/;
	}
	is("@leaks", '', "$name is in no request but where it belongs");
}

$node->stop;
done_testing();
